//! Models on AWS, which are called through the Messages API or Amazon Bedrock. A signature (AWS Signature
//! Version 4) authorizes each request; the request contains no API key.

mod chain;
mod error_body;
mod fault;
mod http;
mod key_fetcher;
mod keys;
mod profiles;
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

pub use self::chain::CredentialChain;
pub(crate) use self::fault::{AwsKeyError, clock_skew_hint};
pub use self::keys::AwsKeys;
pub use self::profiles::{CredentialPrograms, profile_region};
use crate::wire::ProviderErrorDetail;

/// AWS's name for the Messages API in signatures.
const MESSAGES_SIGNING_NAME: &str = "aws-external-anthropic";
/// AWS's name for Amazon Bedrock in signatures.
const BEDROCK_SIGNING_NAME: &str = "bedrock";
/// The header with the workspace's id, which every call to the Messages API on AWS requires.
const WORKSPACE_HEADER: &str = "anthropic-workspace-id";
/// The name by which the AWS library's messages identify the source of the credentials.
const CREDENTIALS_PROVIDER_NAME: &str = "truing";

/// An AWS service that offers models.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AwsService {
    /// The Messages API on AWS.
    Messages {
        /// Id of the workspace that is billed.
        workspace_id: String,
    },
    /// The service Amazon Bedrock.
    Bedrock,
}

/// The source of AWS credentials.
#[derive(Clone, Debug)]
pub enum KeySource {
    /// Configured credentials, which do not change.
    Static(AwsKeys),
    /// AWS's default credential chain, which fetches credentials and renews them before they expire.
    Chain(CredentialChain),
}

/// The region and the credentials for requests to an AWS service.
#[derive(Clone, Debug)]
pub struct AwsLogin {
    pub service: AwsService,
    /// Region of the service.
    pub region: String,
    /// Source of the credentials.
    pub keys: KeySource,
}

/// The reason that a request cannot be signed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SignError {
    /// An error of the signing library.
    #[error("the request cannot be signed: {0}")]
    Library(String),
    /// A header value is invalid.
    #[error("the request cannot be signed: `{0}` contains characters that are invalid in a header")]
    InvalidHeader(&'static str),
}

impl AwsLogin {
    /// Returns the address of the Messages API in this region; `None` if the region's name is invalid.
    pub fn messages_base_url(region: &str) -> Option<String> {
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let is_region = !region.is_empty() && region.bytes().all(is_plain);
        is_region.then(|| format!("https://{MESSAGES_SIGNING_NAME}.{region}.api.aws"))
    }

    /// Returns credentials that are valid now.
    ///
    /// # Errors
    /// [`AwsKeyError`], with the reason why there are no credentials.
    pub(crate) async fn keys(&self) -> Result<AwsKeys, AwsKeyError> {
        match &self.keys {
            KeySource::Static(keys) => Ok(keys.clone()),
            KeySource::Chain(chain) => chain.keys(&SystemTime::now).await,
        }
    }

    /// Returns credentials that differ from `used_keys` if `refusal` reports that `used_keys` have expired or
    /// are unknown. Returns `None` for other refusals, or if no other credentials exist.
    ///
    /// # Errors
    /// [`AwsKeyError`] if other credentials may become available later.
    pub(crate) async fn keys_instead_of(
        &self,
        used_keys: &AwsKeys,
        refusal: &ProviderErrorDetail,
    ) -> Result<Option<AwsKeys>, AwsKeyError> {
        match &self.keys {
            KeySource::Chain(chain) if reports_expired_keys(refusal) => {
                match chain.replacement_keys(used_keys, &SystemTime::now).await {
                    // If this returns `None`, the caller reports why the service refused the credentials.
                    // That report is more helpful than the reason why no other credentials could be fetched.
                    Err(fault) if !fault.is_transient => Ok(None),
                    other => other,
                }
            }
            KeySource::Chain(_) | KeySource::Static(_) => Ok(None),
        }
    }

    /// Returns all secrets of the login. These secrets must not be shown.
    pub(crate) fn secrets(&self) -> Vec<SecretString> {
        match &self.keys {
            KeySource::Static(keys) => keys.secrets().cloned().collect(),
            KeySource::Chain(chain) => chain.secrets(),
        }
    }

    /// Returns a name that is unique to this login and contains no secret. The name stays the same when
    /// credentials are renewed.
    pub(crate) fn name(&self) -> String {
        match &self.keys {
            KeySource::Static(keys) => {
                keys.secrets().map(|secret| format!(":{}", secret.public_fingerprint())).collect()
            }
            KeySource::Chain(chain) => format!(":{}", chain.name()),
        }
    }

    /// Signs a `POST` request and adds the signature to its headers. The signature covers the body and all
    /// present headers, so the caller must not change these afterwards. Each retry needs a new signature,
    /// because signatures contain the time.
    pub(crate) fn authorize_headers(
        &self,
        keys: &AwsKeys,
        url: &Url,
        headers: &mut HeaderMap,
        body: &[u8],
        now: SystemTime,
    ) -> Result<(), SignError> {
        let service = match &self.service {
            AwsService::Messages { workspace_id } => {
                let workspace = HeaderValue::from_str(workspace_id)
                    .map_err(|_| SignError::InvalidHeader("workspace_id"))?;
                headers.insert(HeaderName::from_static(WORKSPACE_HEADER), workspace);
                MESSAGES_SIGNING_NAME
            }
            AwsService::Bedrock => BEDROCK_SIGNING_NAME,
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
        let keys =
            Credentials::new(&keys.key_id, keys.secret_key.expose(), token, None, CREDENTIALS_PROVIDER_NAME)
                .into();
        let settings = SigningParams::builder()
            .identity(&keys)
            .region(&self.region)
            .name(service)
            .time(now)
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| failed(&error))?
            .into();
        let mut headers_to_sign = Vec::new();
        for (name, value) in &*headers {
            headers_to_sign.push((name.as_str(), value.to_str().map_err(|error| failed(&error))?));
        }
        let request = SignableRequest::new(
            "POST",
            url.as_str(),
            headers_to_sign.into_iter(),
            SignableBody::Bytes(body),
        );
        let signed =
            sign(request.map_err(|error| failed(&error))?, &settings).map_err(|error| failed(&error))?;
        for (name, value) in signed.output().headers() {
            let mut value = HeaderValue::from_str(value).map_err(|_| SignError::InvalidHeader("a key"))?;
            value.set_sensitive(true);
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|error| failed(&error))?;
            headers.insert(name, value);
        }
        Ok(())
    }
}

/// Returns true if a refusal reports that the credentials have expired or are unknown.
fn reports_expired_keys(refusal: &ProviderErrorDetail) -> bool {
    const EXPIRED_KEY_CODES: [&str; 4] =
        ["ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "UnrecognizedClientException"];
    let code = refusal.kind.as_deref().unwrap_or_default();
    EXPIRED_KEY_CODES.contains(&code)
        || refusal.message.contains("security token included in the request is expired")
}
