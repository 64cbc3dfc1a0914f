//! Models on AWS, behind the Messages API or Amazon Bedrock: calls are opened by a signature of each request (AWS
//! Signature Version 4) instead of a key in it.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use truing_core::secret::Secret;
use url::Url;

/// AWS's name for the Messages API in signatures.
const SERVICE: &str = "aws-external-anthropic";
/// AWS's name for Amazon Bedrock in signatures.
const BEDROCK: &str = "bedrock";
/// The header that names the workspace, which every call must.
const WORKSPACE: &str = "anthropic-workspace-id";
/// Who gave the keys, for messages of the library.
const GIVEN_BY: &str = "truing";

/// A service of AWS that has models.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Service {
    /// The Messages API.
    Messages {
        /// The workspace that pays.
        workspace_id: String,
    },
    /// Amazon Bedrock.
    Bedrock,
}

/// Credentials for a service of AWS.
#[derive(Clone, Debug)]
pub struct AwsLogin {
    /// The service.
    pub service: Service,
    /// The region that it is asked in.
    pub region: String,
    /// The id of the key.
    pub key_id: String,
    /// The key.
    pub secret_key: Secret,
    /// What belongs to it if it is a temporary one.
    pub session_token: Option<Secret>,
}

/// Why a request cannot be signed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SignError {
    /// What the library says.
    #[error("the request cannot be signed: {0}")]
    Library(String),
    /// Something that cannot stand in a header.
    #[error("the request cannot be signed: `{0}` holds characters that no header has")]
    Header(&'static str),
}

impl AwsLogin {
    /// The address of the Messages API in this region; none, if it is no region's name.
    pub fn address(region: &str) -> Option<String> {
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let is_region = !region.is_empty() && region.bytes().all(is_plain);
        is_region.then(|| format!("https://{SERVICE}.{region}.api.aws"))
    }

    /// Adds to the headers of a `POST` what opens it. Every header that is there is signed, and the body: neither may
    /// change afterwards. A later try needs a signature of its own.
    pub(crate) fn open(
        &self,
        url: &Url,
        headers: &mut HeaderMap,
        body: &[u8],
        now: SystemTime,
    ) -> Result<(), SignError> {
        let service = match &self.service {
            Service::Messages { workspace_id } => {
                let workspace =
                    HeaderValue::from_str(workspace_id).map_err(|_| SignError::Header("workspace_id"))?;
                headers.insert(HeaderName::from_static(WORKSPACE), workspace);
                SERVICE
            }
            Service::Bedrock => BEDROCK,
        };
        self.sign(service, url, headers, body, now)
    }

    fn sign(
        &self,
        service: &str,
        url: &Url,
        headers: &mut HeaderMap,
        body: &[u8],
        now: SystemTime,
    ) -> Result<(), SignError> {
        let failed = |error: &dyn std::error::Error| SignError::Library(error.to_string());
        let token = self.session_token.as_ref().map(|token| token.expose().to_owned());
        let keys = Credentials::new(&self.key_id, self.secret_key.expose(), token, None, GIVEN_BY).into();
        let settings = SigningParams::builder()
            .identity(&keys)
            .region(&self.region)
            .name(service)
            .time(now)
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| failed(&error))?
            .into();
        let mut said = Vec::new();
        for (name, value) in &*headers {
            said.push((name.as_str(), value.to_str().map_err(|error| failed(&error))?));
        }
        let request = SignableRequest::new("POST", url.as_str(), said.into_iter(), SignableBody::Bytes(body));
        let signed =
            sign(request.map_err(|error| failed(&error))?, &settings).map_err(|error| failed(&error))?;
        for (name, value) in signed.output().headers() {
            let mut value = HeaderValue::from_str(value).map_err(|_| SignError::Header("a key"))?;
            value.set_sensitive(true);
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|error| failed(&error))?;
            headers.insert(name, value);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// The keys of AWS's own examples; not in one piece, since they look like somebody's.
    fn example(session_token: Option<Secret>) -> AwsLogin {
        AwsLogin {
            service: Service::Messages { workspace_id: "wrkspc_1".to_owned() },
            region: "us-east-1".to_owned(),
            key_id: "AKIDEXAMPLE".to_owned(),
            secret_key: Secret::new(["wJalrXUtnFEMI/K7MDENG", "+bPxRfiCYEXAMPLEKEY"].concat()),
            session_token,
        }
    }

    /// 2015-08-30T12:36:00Z, when all of AWS's examples are.
    fn then() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_440_938_160)
    }

    fn signed(login: &AwsLogin, headers: &[(&'static str, &'static str)], body: &[u8]) -> HeaderMap {
        let mut all: HeaderMap = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        let url = Url::parse("https://example.amazonaws.com/").unwrap();
        login.sign("service", &url, &mut all, body, then()).unwrap();
        all
    }

    /// Of AWS's published test suite for signatures: `post-vanilla`, `post-header-key-sort` and
    /// `post-x-www-form-urlencoded` without the header of its body's digest.
    #[test]
    fn signatures_are_those_of_awss_examples() {
        for (headers, signed_headers, signature) in [
            (&[][..], "host;x-amz-date", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
            (
                &[("my-header1", "value1")][..],
                "host;my-header1;x-amz-date",
                "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c",
            ),
        ] {
            let all = signed(&example(None), headers, b"");
            assert_eq!(all["x-amz-date"], "20150830T123600Z");
            let expected = format!(
                "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
                 SignedHeaders={signed_headers}, Signature={signature}"
            );
            assert_eq!(all["authorization"], expected);
        }
    }

    #[test]
    fn a_request_names_its_workspace_and_its_temporary_key_and_shows_no_secret() {
        let login = example(Some(Secret::new("token-canary")));
        let mut headers = HeaderMap::from_iter([(
            HeaderName::from_static("anthropic-version"),
            HeaderValue::from_static("2023-06-01"),
        )]);
        let url = Url::parse(&(AwsLogin::address("eu-central-1").unwrap() + "/v1/messages")).unwrap();
        assert_eq!(url.host_str(), Some("aws-external-anthropic.eu-central-1.api.aws"));
        login.open(&url, &mut headers, b"{}", then()).unwrap();
        let opened = headers["authorization"].to_str().unwrap();
        let all = "anthropic-version;anthropic-workspace-id;host;x-amz-date;x-amz-security-token";
        assert!(
            opened.contains(&format!("SignedHeaders={all},")) && opened.contains("/us-east-1/"),
            "{opened}"
        );
        assert_eq!(
            (&headers["anthropic-workspace-id"], &headers["x-amz-security-token"]),
            (&"wrkspc_1".parse().unwrap(), &"token-canary".parse().unwrap())
        );
        let shown = format!("{headers:?} {login:?}");
        assert!(!shown.contains("canary") && !shown.contains("wJalr"), "{shown}");
        // Another body is another signature.
        let mut other = HeaderMap::new();
        login.open(&url, &mut other, b"[]", then()).unwrap();
        assert_ne!(other["authorization"], headers["authorization"]);
        for wrong in ["", "eu central", "evil.example/", "EU"] {
            assert_eq!(AwsLogin::address(wrong), None, "{wrong}");
        }
    }
}
