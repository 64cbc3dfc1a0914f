//! A provider of models: its address, its credentials and its wire format.

use std::fmt;
use std::time::SystemTime;

use jiff::Timestamp;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use truing_core::loopback::is_loopback;
use truing_core::secret::SecretString;
use url::Url;

use crate::retry::{FailedAttempt, FailureCause};
use crate::subscription::{LOGIN_HINT, OAUTH_FEATURE, SubscriptionLogin};
use crate::wire::{ProviderErrorDetail, WireFormat};

/// The credentials of a provider.
#[derive(Clone, Debug)]
pub enum ProviderCredentials {
    /// A key in the header `x-api-key`.
    XApiKey(SecretString),
    /// A token in the header `Authorization: Bearer`.
    Bearer(SecretString),
    /// A key in the header `api-key`, as Azure requires.
    AzureApiKey(SecretString),
    /// The login of a subscription, which serves only requests of the program `claude`.
    Subscription(SubscriptionLogin),
    /// AWS credentials, which sign each request.
    #[cfg(feature = "aws")]
    Aws(crate::aws::AwsLogin),
    /// No credentials, for servers that users run themselves.
    Unauthenticated,
}

impl ProviderCredentials {
    /// Returns all secrets of the credentials. These secrets must not be shown. Secrets that are fetched
    /// later are not returned, but registered in [`truing_core::given_secrets`].
    pub fn secrets(&self) -> Vec<SecretString> {
        match self {
            Self::XApiKey(secret)
            | Self::Bearer(secret)
            | Self::AzureApiKey(secret)
            | Self::Subscription(SubscriptionLogin::Token(secret)) => vec![secret.clone()],
            #[cfg(feature = "aws")]
            Self::Aws(login) => login.secrets(),
            Self::Subscription(SubscriptionLogin::ConfigFolder(_)) | Self::Unauthenticated => Vec::new(),
        }
    }
}

/// The credentials of one attempt.
#[derive(Clone, Debug)]
pub(crate) enum AttemptKeys {
    /// No credentials beyond the provider's fixed header, which is the same for every attempt.
    StaticCredentials,
    /// The token of a subscription.
    SubscriptionToken(SecretString),
    /// AWS credentials that sign the request.
    #[cfg(feature = "aws")]
    Keys(crate::aws::AwsKeys),
}

/// A provider of models.
#[derive(Clone)]
pub struct ModelProvider {
    base_url: Url,
    credentials: ProviderCredentials,
    wire: WireFormat,
    auth_header: Option<(HeaderName, HeaderValue)>,
}

/// The reason why an address or a key of a provider is rejected.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ProviderError {
    /// The address is not a valid URL.
    #[error("base_url is not a web address: {0}")]
    InvalidUrl(String),
    /// The address does not use TLS, and is not on this machine, so the key would be sent unprotected.
    #[error(
        "base_url must begin with https:// (http:// is allowed only for this machine: localhost, \
        127.0.0.1, [::1])"
    )]
    InsecureUrl,
    /// The address has a user, password, query or fragment. These parts are not supported, because messages
    /// that show the address could disclose a secret.
    #[error("base_url must not contain a user, password, query or fragment")]
    UnsupportedUrlPart,
    /// The key or token is empty, or contains characters other than visible ASCII.
    #[error(
        "the {0} contains characters that are invalid in a key, such as a blank or a line end: check the \
        source of the {0}"
    )]
    InvalidKey(&'static str),
    /// The TLS stack could not be set up.
    #[error("cannot set up the HTTP client: {0}")]
    TlsSetup(String),
}

/// Beginning of an authorization header with a token.
const BEARER_PREFIX: &str = "Bearer ";

impl ModelProvider {
    /// Returns a provider of the Messages API at this address, to which `/v1/messages` is appended.
    ///
    /// # Errors
    /// [`ProviderError`]
    pub fn new(base_url: &str, credentials: ProviderCredentials) -> Result<Self, ProviderError> {
        let mut base = Url::parse(base_url).map_err(|error| ProviderError::InvalidUrl(error.to_string()))?;
        match base.scheme() {
            "https" => {}
            "http" if base.host_str().is_some_and(is_loopback) => {}
            _ => return Err(ProviderError::InsecureUrl),
        }
        let extra = [base.query(), base.fragment(), base.password()].iter().any(Option::is_some);
        if extra || !base.username().is_empty() {
            return Err(ProviderError::UnsupportedUrlPart);
        }
        let path = base.path().trim_end_matches('/').to_owned();
        base.set_path(&path);
        let header = match &credentials {
            ProviderCredentials::XApiKey(key) => {
                Some((HeaderName::from_static("x-api-key"), secret_header("", key)?))
            }
            ProviderCredentials::AzureApiKey(key) => {
                Some((HeaderName::from_static("api-key"), secret_header("", key)?))
            }
            ProviderCredentials::Bearer(token) => Some((AUTHORIZATION, secret_header(BEARER_PREFIX, token)?)),
            // AWS requires new authorization headers for each request, because they contain a signature of
            // the request.
            #[cfg(feature = "aws")]
            ProviderCredentials::Aws(_) => None,
            ProviderCredentials::Subscription(SubscriptionLogin::Token(token))
                if !token.is_visible_ascii() =>
            {
                return Err(ProviderError::InvalidKey("token of the subscription"));
            }
            // The token of a logged-in program changes every few hours.
            ProviderCredentials::Subscription(_) | ProviderCredentials::Unauthenticated => None,
        };
        Ok(Self { base_url: base, credentials, wire: WireFormat::Messages, auth_header: header })
    }

    /// Sets the wire format of the provider.
    #[must_use]
    pub fn with_wire(self, wire: WireFormat) -> Self {
        Self { wire, ..self }
    }

    /// Returns the wire format of the provider.
    pub fn wire(&self) -> &WireFormat {
        &self.wire
    }

    /// Returns the URL of a call: the provider's address with the call's path, such as `/v1/messages`. The
    /// path may end in a query.
    pub(crate) fn url(&self, call_path: &str) -> Url {
        let (path, query) =
            call_path.split_once('?').map_or((call_path, None), |(path, query)| (path, Some(query)));
        let mut url = self.base_url.clone();
        url.set_path(&format!("{}{path}", self.base_url.path().trim_end_matches('/')));
        url.set_query(query);
        url
    }

    /// Returns the current credentials.
    ///
    /// # Errors
    /// [`FailedAttempt`] if there are no credentials.
    pub(crate) async fn fetch_keys(&self) -> Result<AttemptKeys, FailedAttempt> {
        match &self.credentials {
            #[cfg(feature = "aws")]
            ProviderCredentials::Aws(login) => login.keys().await.map(AttemptKeys::Keys).map_err(key_failure),
            ProviderCredentials::Subscription(login) => {
                login.token(SystemTime::now()).map(AttemptKeys::SubscriptionToken).map_err(|error| {
                    let message = format!("{error}: {LOGIN_HINT}");
                    FailedAttempt { cause: FailureCause::NoKeys, message }
                })
            }
            ProviderCredentials::XApiKey(_)
            | ProviderCredentials::Bearer(_)
            | ProviderCredentials::AzureApiKey(_)
            | ProviderCredentials::Unauthenticated => Ok(AttemptKeys::StaticCredentials),
        }
    }

    /// Returns other credentials if the provider refused `used_keys` as expired or unknown. Returns `None` if
    /// no other credentials exist.
    ///
    /// # Errors
    /// [`FailedAttempt`] if other credentials may become available later.
    pub(crate) async fn replacement_keys(
        &self,
        used_keys: &AttemptKeys,
        refusal: &ProviderErrorDetail,
    ) -> Result<Option<AttemptKeys>, FailedAttempt> {
        match (&self.credentials, used_keys) {
            #[cfg(feature = "aws")]
            (ProviderCredentials::Aws(login), AttemptKeys::Keys(keys)) => {
                let keys = login.keys_instead_of(keys, refusal).await.map_err(key_failure)?;
                Ok(keys.map(AttemptKeys::Keys))
            }
            // A program that is logged in may have replaced its token since the request.
            (ProviderCredentials::Subscription(login), AttemptKeys::SubscriptionToken(token)) => {
                let other = login.token(SystemTime::now()).ok().filter(|other| other != token);
                Ok(other.filter(|_| is_key_refusal(refusal)).map(AttemptKeys::SubscriptionToken))
            }
            (_, _) => Ok(None),
        }
    }

    /// Returns a hint about a wrong clock on this machine, if the clock may be the reason why a signature was
    /// refused.
    #[cfg_attr(not(feature = "aws"), expect(unused_variables, reason = "nothing is signed"))]
    pub(crate) fn clock_skew_hint(
        &self,
        refusal: &ProviderErrorDetail,
        date: Option<Timestamp>,
        now: SystemTime,
    ) -> Option<String> {
        match &self.credentials {
            #[cfg(feature = "aws")]
            ProviderCredentials::Aws(_) => {
                let code = refusal.kind.as_deref().unwrap_or_default();
                crate::aws::clock_skew_hint(code, &refusal.message, date, now)
            }
            ProviderCredentials::XApiKey(_)
            | ProviderCredentials::Bearer(_)
            | ProviderCredentials::AzureApiKey(_)
            | ProviderCredentials::Subscription(_)
            | ProviderCredentials::Unauthenticated => None,
        }
    }

    /// Adds the authorization to the headers of a call. The caller must not change the call afterwards,
    /// because a signature may cover it.
    ///
    /// # Errors
    /// Returns a message if the request cannot be signed.
    #[cfg_attr(not(feature = "aws"), expect(unused_variables, reason = "nothing is signed"))]
    pub(crate) fn authorize_headers(
        &self,
        attempt_keys: &AttemptKeys,
        url: &Url,
        headers: &mut HeaderMap,
        body: &[u8],
        now: SystemTime,
    ) -> Result<(), String> {
        if let Some((name, value)) = &self.auth_header {
            headers.insert(name.clone(), value.clone());
        }
        if let AttemptKeys::SubscriptionToken(token) = attempt_keys {
            return authorize_subscription(token, headers);
        }
        match (&self.credentials, attempt_keys) {
            #[cfg(feature = "aws")]
            (ProviderCredentials::Aws(login), AttemptKeys::Keys(keys)) => {
                login.authorize_headers(keys, url, headers, body, now).map_err(|error| error.to_string())
            }
            (_, _) => Ok(()),
        }
    }

    /// Returns a name that identifies this provider and its credentials without containing a secret.
    pub(crate) fn public_identity(&self) -> String {
        let login = match &self.credentials {
            ProviderCredentials::XApiKey(secret)
            | ProviderCredentials::Bearer(secret)
            | ProviderCredentials::AzureApiKey(secret) => {
                format!(":{}", secret.public_fingerprint())
            }
            #[cfg(feature = "aws")]
            ProviderCredentials::Aws(login) => login.name(),
            ProviderCredentials::Subscription(login) => login.public_identity(),
            ProviderCredentials::Unauthenticated => String::new(),
        };
        format!("{}{login}", self.base_url)
    }

    /// Returns true if a subscription covers the cost of all requests to the provider.
    pub fn uses_subscription(&self) -> bool {
        matches!(self.credentials, ProviderCredentials::Subscription(_))
    }

    /// Returns true if the provider is on this machine.
    pub(crate) fn is_on_this_machine(&self) -> bool {
        self.base_url.host_str().is_some_and(is_loopback)
    }

    /// Removes the provider's secrets from a text of another program or service.
    pub(crate) fn redact_secrets(&self, text: &str) -> String {
        self.credentials.secrets().iter().fold(text.to_owned(), |text, secret| secret.redact_from(&text))
    }

    /// Returns scheme, host and port for messages to people.
    pub fn origin(&self) -> String {
        self.base_url.origin().ascii_serialization()
    }
}

impl fmt::Debug for ModelProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelProvider").field("base", &self.base_url.as_str()).finish_non_exhaustive()
    }
}

/// Returns the failure of an attempt for which no credentials are available.
#[cfg(feature = "aws")]
fn key_failure(error: crate::aws::AwsKeyError) -> FailedAttempt {
    FailedAttempt {
        cause: if error.is_transient { FailureCause::Unsent } else { FailureCause::NoKeys },
        message: error.message,
    }
}

/// Returns true if the provider refused the credentials.
fn is_key_refusal(refusal: &ProviderErrorDetail) -> bool {
    refusal.kind.as_deref() == Some("authentication_error")
}

/// Adds the token of a subscription, and the name of the feature that the provider requires with it.
fn authorize_subscription(token: &SecretString, headers: &mut HeaderMap) -> Result<(), String> {
    let bearer = secret_header(BEARER_PREFIX, token).map_err(|error| error.to_string())?;
    headers.insert(AUTHORIZATION, bearer);
    let name = HeaderName::from_static("anthropic-beta");
    let requested_features = headers.get(&name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let features = match requested_features.is_empty() {
        true => OAUTH_FEATURE.to_owned(),
        false => format!("{requested_features},{OAUTH_FEATURE}"),
    };
    headers.insert(name, HeaderValue::from_str(&features).map_err(|error| error.to_string())?);
    Ok(())
}

fn secret_header(prefix: &str, key: &SecretString) -> Result<HeaderValue, ProviderError> {
    let invalid = ProviderError::InvalidKey("API key");
    if !key.is_visible_ascii() {
        return Err(invalid);
    }
    let mut value = HeaderValue::from_str(&format!("{prefix}{}", key.expose())).map_err(|_| invalid)?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn provider_error(url: &str) -> Option<ProviderError> {
        ModelProvider::new(url, ProviderCredentials::Unauthenticated).err()
    }

    #[test]
    fn a_key_is_only_sent_where_nobody_can_read_it() {
        for url in
            ["https://api.anthropic.com", "http://127.0.0.1:1/", "http://[::1]", "http://localhost:11434"]
        {
            assert_eq!(provider_error(url), None, "{url}");
        }
        for url in ["http://api.anthropic.com", "http://127.0.0.1.example.com", "http://10.0.0.1", "ftp://h"]
        {
            assert_eq!(provider_error(url), Some(ProviderError::InsecureUrl), "{url}");
        }
        for url in ["https://u:p@h", "https://u@h", "https://h?a=1", "https://h#a"] {
            assert_eq!(provider_error(url), Some(ProviderError::UnsupportedUrlPart), "{url}");
        }
        assert!(matches!(provider_error("api.anthropic.com"), Some(ProviderError::InvalidUrl(_))));
    }

    #[test]
    fn calls_are_below_the_address() {
        for (base, url) in [
            ("https://h", "https://h/v1/messages"),
            ("https://h/", "https://h/v1/messages"),
            ("https://h/anthropic/", "https://h/anthropic/v1/messages"),
        ] {
            assert_eq!(
                ModelProvider::new(base, ProviderCredentials::Unauthenticated)
                    .unwrap()
                    .url("/v1/messages")
                    .as_str(),
                url
            );
        }
    }

    #[test]
    fn a_key_is_never_printed() {
        let key = SecretString::new("canary-12345");
        let provider = ModelProvider::new("https://h", ProviderCredentials::XApiKey(key)).unwrap();
        let mut headers = HeaderMap::new();
        provider
            .authorize_headers(
                &AttemptKeys::StaticCredentials,
                &provider.url("/"),
                &mut headers,
                b"",
                SystemTime::now(),
            )
            .unwrap();
        assert_eq!(headers["x-api-key"], "canary-12345");
        let printed = format!("{provider:?} {headers:?} {}", provider.redact_secrets("no canary-12345!"));
        assert!(!printed.contains("canary"), "{printed}");
    }

    #[test]
    fn a_key_of_other_than_visible_ascii_is_refused_and_not_printed() {
        for text in ["", "  ", "canary\n12345", "canary 12345", " canary", "canary-ä", "canary\u{7f}"] {
            let key = SecretString::new(text);
            for credentials in [
                ProviderCredentials::XApiKey(key.clone()),
                ProviderCredentials::AzureApiKey(key.clone()),
                ProviderCredentials::Bearer(key.clone()),
                ProviderCredentials::Subscription(SubscriptionLogin::Token(key.clone())),
            ] {
                let error = ModelProvider::new("https://h", credentials).unwrap_err();
                assert!(matches!(error, ProviderError::InvalidKey(_)), "{text:?}: {error}");
                assert!(!format!("{error} {error:?}").contains("canary"));
            }
        }
    }
}
