//! Models on AWS, behind the Messages API or Amazon Bedrock: calls are opened by a signature of each request (AWS
//! Signature Version 4) instead of a key in it.

mod chain;
mod fault;
mod http;
mod keys;
mod refusal;
mod source;
#[cfg(test)]
mod tests;
mod variables;

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use truing_core::secret::SecretString;
use url::Url;

pub use self::chain::KeyChain;
pub(crate) use self::fault::{KeyFault, skew};
pub use self::keys::AwsKeys;
use crate::wire::ProviderRefusal;

/// AWS's name for the Messages API in signatures.
const SERVICE: &str = "aws-external-anthropic";
/// AWS's name for Amazon Bedrock in signatures.
const BEDROCK: &str = "bedrock";
/// The header that names the workspace, which every call must.
const WORKSPACE: &str = "anthropic-workspace-id";
/// The giver of keys, in messages of the library.
const GIVEN_BY: &str = "truing";

/// A service of AWS that has models.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AwsService {
    /// The Messages API.
    Messages {
        /// The workspace that pays.
        workspace_id: String,
    },
    /// Amazon Bedrock.
    Bedrock,
}

/// The source of keys of AWS.
#[derive(Clone, Debug)]
pub enum KeySource {
    /// They are given, and stay what they are.
    Fixed(AwsKeys),
    /// AWS's own chain: they are fetched, and fetched again before they end.
    Chain(KeyChain),
}

/// Credentials for a service of AWS.
#[derive(Clone, Debug)]
pub struct AwsLogin {
    /// The service.
    pub service: AwsService,
    /// The region that it is asked in.
    pub region: String,
    /// The source of its keys.
    pub keys: KeySource,
}

/// The reason why a request cannot be signed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SignError {
    /// The words of the library.
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

    /// Keys that are valid now.
    ///
    /// # Errors
    /// The reason why there are none.
    pub(crate) async fn keys(&self) -> Result<AwsKeys, KeyFault> {
        match &self.keys {
            KeySource::Fixed(keys) => Ok(keys.clone()),
            KeySource::Chain(chain) => chain.keys(&SystemTime::now).await,
        }
    }

    /// Other keys in place of those that a refusal of this type calls expired or unknown; none: there are no others.
    ///
    /// # Errors
    /// The reason why others may come later.
    pub(crate) async fn keys_instead_of(
        &self,
        used: &AwsKeys,
        refusal: &ProviderRefusal,
    ) -> Result<Option<AwsKeys>, KeyFault> {
        match &self.keys {
            KeySource::Chain(chain) if is_expired(refusal) => {
                match chain.instead_of(used, &SystemTime::now).await {
                    // The refusal of the keys at hand says more.
                    Err(fault) if !fault.is_passing => Ok(None),
                    other => other,
                }
            }
            KeySource::Chain(_) | KeySource::Fixed(_) => Ok(None),
        }
    }

    /// Everything in it that must not be seen.
    pub(crate) fn secrets(&self) -> Vec<SecretString> {
        match &self.keys {
            KeySource::Fixed(keys) => keys.secrets().cloned().collect(),
            KeySource::Chain(chain) => chain.secrets(),
        }
    }

    /// A name that no other login has, with no secret in it; it stays the same while keys change.
    pub(crate) fn name(&self) -> String {
        match &self.keys {
            KeySource::Fixed(keys) => keys.secrets().map(|secret| format!(":{}", secret.name())).collect(),
            KeySource::Chain(chain) => format!(":{}", chain.name()),
        }
    }

    /// Adds to the headers of a `POST` what opens it. Every header that is there is signed, and the body: neither may
    /// change afterwards. A later try needs a signature of its own.
    pub(crate) fn open(
        &self,
        keys: &AwsKeys,
        url: &Url,
        headers: &mut HeaderMap,
        body: &[u8],
        now: SystemTime,
    ) -> Result<(), SignError> {
        let service = match &self.service {
            AwsService::Messages { workspace_id } => {
                let workspace =
                    HeaderValue::from_str(workspace_id).map_err(|_| SignError::Header("workspace_id"))?;
                headers.insert(HeaderName::from_static(WORKSPACE), workspace);
                SERVICE
            }
            AwsService::Bedrock => BEDROCK,
        };
        self.sign(keys, service, url, headers, body, now)
    }

    fn sign(
        &self,
        keys: &AwsKeys,
        service: &str,
        url: &Url,
        headers: &mut HeaderMap,
        body: &[u8],
        now: SystemTime,
    ) -> Result<(), SignError> {
        let failed = |error: &dyn std::error::Error| SignError::Library(error.to_string());
        let token = keys.session_token.as_ref().map(|token| token.expose().to_owned());
        let keys = Credentials::new(&keys.key_id, keys.secret_key.expose(), token, None, GIVEN_BY).into();
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

/// Tells whether a refusal says that a key has ended, or that it is not known any more.
fn is_expired(refusal: &ProviderRefusal) -> bool {
    const CODES: [&str; 4] =
        ["ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "UnrecognizedClientException"];
    let code = refusal.name.as_deref().unwrap_or_default();
    CODES.contains(&code) || refusal.words.contains("security token included in the request is expired")
}
