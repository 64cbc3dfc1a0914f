//! Who answers: an address and what opens it, as data.

use std::fmt;
use std::time::SystemTime;

use jiff::Timestamp;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use truing_core::loopback::is_loopback;
use truing_core::secret::SecretString;
use url::Url;

use crate::retry::FailedTry;
#[cfg(feature = "aws")]
use crate::retry::FailureCause;
use crate::wire::{ProviderRefusal, WireFormat};

/// What opens a provider.
#[derive(Clone, Debug)]
pub enum ProviderCredentials {
    /// `x-api-key`.
    Key(SecretString),
    /// `Authorization: Bearer`.
    Bearer(SecretString),
    /// `api-key`, as Azure has it.
    ApiKey(SecretString),
    /// A signature of each request, by a key of AWS.
    #[cfg(feature = "aws")]
    Aws(crate::aws::AwsLogin),
    /// Nothing: a server of one's own.
    Open,
}

impl ProviderCredentials {
    /// Everything in it that must not be seen. What is fetched later is kept by [`truing_core::given_secrets`], too.
    pub fn secrets(&self) -> Vec<SecretString> {
        match self {
            Self::Key(secret) | Self::Bearer(secret) | Self::ApiKey(secret) => vec![secret.clone()],
            #[cfg(feature = "aws")]
            Self::Aws(login) => login.secrets(),
            Self::Open => Vec::new(),
        }
    }
}

/// The keys of one try.
#[derive(Clone, Debug)]
pub(crate) enum ProviderAccess {
    /// The login says it all.
    Login,
    /// Keys to sign with.
    #[cfg(feature = "aws")]
    Keys(crate::aws::AwsKeys),
}

/// A provider of models.
#[derive(Clone)]
pub struct ModelProvider {
    base: Url,
    login: ProviderCredentials,
    wire: WireFormat,
    header: Option<(HeaderName, HeaderValue)>,
}

/// Why an address or a key cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ProviderError {
    /// It is no address.
    #[error("base_url is no web address: {0}")]
    NoAddress(String),
    /// The key would be readable on its way.
    #[error(
        "base_url must begin with https:// (http:// is for this machine alone: localhost, 127.0.0.1, [::1])"
    )]
    Unprotected,
    /// A part that has no meaning here, or that would be seen.
    #[error("base_url must have no user, password, query or fragment")]
    Extra,
    /// It cannot stand in a header.
    #[error("the key holds characters that no key has (a line end?): check where it is read from")]
    Key,
    /// The TLS stack could not be set up.
    #[error("cannot set up the HTTP client: {0}")]
    Client(String),
}

impl ModelProvider {
    /// A provider of the Messages API at this address: what `/v1/messages` is added to.
    ///
    /// # Errors
    /// [`ProviderError`]
    pub fn new(base_url: &str, login: ProviderCredentials) -> Result<Self, ProviderError> {
        let mut base = Url::parse(base_url).map_err(|error| ProviderError::NoAddress(error.to_string()))?;
        match base.scheme() {
            "https" => {}
            "http" if base.host_str().is_some_and(is_loopback) => {}
            _ => return Err(ProviderError::Unprotected),
        }
        let extra = [base.query(), base.fragment(), base.password()].iter().any(Option::is_some);
        if extra || !base.username().is_empty() {
            return Err(ProviderError::Extra);
        }
        let path = base.path().trim_end_matches('/').to_owned();
        base.set_path(&path);
        let header = match &login {
            ProviderCredentials::Key(key) => {
                Some((HeaderName::from_static("x-api-key"), hidden(key.expose())?))
            }
            ProviderCredentials::ApiKey(key) => {
                Some((HeaderName::from_static("api-key"), hidden(key.expose())?))
            }
            ProviderCredentials::Bearer(token) => {
                Some((AUTHORIZATION, hidden(&format!("Bearer {}", token.expose()))?))
            }
            // Each request has headers of its own.
            #[cfg(feature = "aws")]
            ProviderCredentials::Aws(_) => None,
            ProviderCredentials::Open => None,
        };
        Ok(Self { base, login, wire: WireFormat::Messages, header })
    }

    /// The same, asked in this form.
    #[must_use]
    pub fn with_wire(self, wire: WireFormat) -> Self {
        Self { wire, ..self }
    }

    /// The form in which it is asked.
    pub fn wire(&self) -> &WireFormat {
        &self.wire
    }

    /// The address of a call (`/v1/messages`), which may have a query.
    pub(crate) fn url(&self, call: &str) -> Url {
        let (path, query) = call.split_once('?').map_or((call, None), |(path, query)| (path, Some(query)));
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        url.set_query(query);
        url
    }

    /// Its keys, as they are now.
    ///
    /// # Errors
    /// There are no keys.
    pub(crate) async fn access(&self) -> Result<ProviderAccess, FailedTry> {
        match &self.login {
            #[cfg(feature = "aws")]
            ProviderCredentials::Aws(login) => login.keys().await.map(ProviderAccess::Keys).map_err(keyless),
            ProviderCredentials::Key(_)
            | ProviderCredentials::Bearer(_)
            | ProviderCredentials::ApiKey(_)
            | ProviderCredentials::Open => Ok(ProviderAccess::Login),
        }
    }

    /// Other keys in place of those that it refused as expired; none: there are no others.
    ///
    /// # Errors
    /// Others may come later.
    #[cfg_attr(not(feature = "aws"), expect(unused_variables, reason = "nothing is fetched"))]
    pub(crate) async fn access_instead_of(
        &self,
        used: &ProviderAccess,
        refusal: &ProviderRefusal,
    ) -> Result<Option<ProviderAccess>, FailedTry> {
        match (&self.login, used) {
            #[cfg(feature = "aws")]
            (ProviderCredentials::Aws(login), ProviderAccess::Keys(keys)) => {
                let keys = login.keys_instead_of(keys, refusal).await.map_err(keyless)?;
                Ok(keys.map(ProviderAccess::Keys))
            }
            #[cfg(feature = "aws")]
            (
                ProviderCredentials::Key(_)
                | ProviderCredentials::Bearer(_)
                | ProviderCredentials::ApiKey(_)
                | ProviderCredentials::Open,
                ProviderAccess::Keys(_),
            ) => Ok(None),
            (_, ProviderAccess::Login) => Ok(None),
        }
    }

    /// Words about this machine's clock, if that is why a signature was refused.
    #[cfg_attr(not(feature = "aws"), expect(unused_variables, reason = "nothing is signed"))]
    pub(crate) fn skew(
        &self,
        refusal: &ProviderRefusal,
        date: Option<Timestamp>,
        now: SystemTime,
    ) -> Option<String> {
        match &self.login {
            #[cfg(feature = "aws")]
            ProviderCredentials::Aws(_) => {
                let code = refusal.name.as_deref().unwrap_or_default();
                crate::aws::skew(code, &refusal.words, date, now)
            }
            ProviderCredentials::Key(_)
            | ProviderCredentials::Bearer(_)
            | ProviderCredentials::ApiKey(_)
            | ProviderCredentials::Open => None,
        }
    }

    /// Adds what opens it to the headers of a call, which then is to be sent as it is.
    ///
    /// # Errors
    /// A signature that cannot be made, in words.
    #[cfg_attr(not(feature = "aws"), expect(unused_variables, reason = "nothing is signed"))]
    pub(crate) fn open(
        &self,
        access: &ProviderAccess,
        url: &Url,
        headers: &mut HeaderMap,
        body: &[u8],
        now: SystemTime,
    ) -> Result<(), String> {
        if let Some((name, value)) = &self.header {
            headers.insert(name.clone(), value.clone());
        }
        match (&self.login, access) {
            #[cfg(feature = "aws")]
            (ProviderCredentials::Aws(login), ProviderAccess::Keys(keys)) => {
                login.open(keys, url, headers, body, now).map_err(|error| error.to_string())
            }
            (_, _) => Ok(()),
        }
    }

    /// A name that tells it from others, with no secret in it.
    pub(crate) fn name(&self) -> String {
        let login = match &self.login {
            ProviderCredentials::Key(secret)
            | ProviderCredentials::Bearer(secret)
            | ProviderCredentials::ApiKey(secret) => {
                format!(":{}", secret.name())
            }
            #[cfg(feature = "aws")]
            ProviderCredentials::Aws(login) => login.name(),
            ProviderCredentials::Open => String::new(),
        };
        format!("{}{login}", self.base)
    }

    /// Is it on this machine?
    pub(crate) fn is_here(&self) -> bool {
        self.base.host_str().is_some_and(is_loopback)
    }

    /// Text that came from outside, without what opens this provider.
    pub(crate) fn hide_in(&self, text: &str) -> String {
        self.login.secrets().iter().fold(text.to_owned(), |text, secret| secret.hide_in(&text))
    }

    /// Scheme, host and port, for people.
    pub fn host(&self) -> String {
        self.base.origin().ascii_serialization()
    }
}

impl fmt::Debug for ModelProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelProvider").field("base", &self.base.as_str()).finish_non_exhaustive()
    }
}

/// The failure of a try that has no keys to sign with.
#[cfg(feature = "aws")]
fn keyless(fault: crate::aws::KeyFault) -> FailedTry {
    FailedTry {
        seen: if fault.is_passing { FailureCause::Unsent } else { FailureCause::NoKeys },
        what: fault.words,
    }
}

fn hidden(text: &str) -> Result<HeaderValue, ProviderError> {
    let mut value = HeaderValue::from_str(text).map_err(|_| ProviderError::Key)?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(url: &str) -> Option<ProviderError> {
        ModelProvider::new(url, ProviderCredentials::Open).err()
    }

    #[test]
    fn a_key_is_only_sent_where_nobody_can_read_it() {
        for url in
            ["https://api.anthropic.com", "http://127.0.0.1:1/", "http://[::1]", "http://localhost:11434"]
        {
            assert_eq!(refused(url), None, "{url}");
        }
        for url in ["http://api.anthropic.com", "http://127.0.0.1.example.com", "http://10.0.0.1", "ftp://h"]
        {
            assert_eq!(refused(url), Some(ProviderError::Unprotected), "{url}");
        }
        for url in ["https://u:p@h", "https://u@h", "https://h?a=1", "https://h#a"] {
            assert_eq!(refused(url), Some(ProviderError::Extra), "{url}");
        }
        assert!(matches!(refused("api.anthropic.com"), Some(ProviderError::NoAddress(_))));
    }

    #[test]
    fn calls_are_below_the_address() {
        for (base, url) in [
            ("https://h", "https://h/v1/messages"),
            ("https://h/", "https://h/v1/messages"),
            ("https://h/anthropic/", "https://h/anthropic/v1/messages"),
        ] {
            assert_eq!(
                ModelProvider::new(base, ProviderCredentials::Open).unwrap().url("/v1/messages").as_str(),
                url
            );
        }
    }

    #[test]
    fn a_key_is_never_printed() {
        let key = SecretString::new("canary-12345");
        let provider = ModelProvider::new("https://h", ProviderCredentials::Key(key)).unwrap();
        let mut headers = HeaderMap::new();
        provider
            .open(&ProviderAccess::Login, &provider.url("/"), &mut headers, b"", SystemTime::now())
            .unwrap();
        assert_eq!(headers["x-api-key"], "canary-12345");
        let printed = format!("{provider:?} {headers:?} {}", provider.hide_in("no canary-12345!"));
        assert!(!printed.contains("canary"), "{printed}");
        let error =
            ModelProvider::new("https://h", ProviderCredentials::Bearer(SecretString::new("canary\n12345")))
                .unwrap_err();
        assert!(!format!("{error} {error:?}").contains("canary"));
    }
}
