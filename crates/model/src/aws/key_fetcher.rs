//! Searches AWS's default credential chain once, with AWS's library and our own HTTP client. Nothing is
//! cached: each search reads the profile and token files again.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, ConfigLoader, Region};
use aws_credential_types::provider::ProvideCredentials as _;
use aws_types::os_shim_internal::Env;
use tokio::time::timeout;
use truing_core::secret::SecretString;

use super::fault::{self, AwsKeyError};
use super::http::RecordingHttpClient;
use super::keys::AwsKeys;
use super::profiles::{self, CredentialPrograms, UntrustedShell};
use super::variables::AwsVariables;

/// Timeout of one fetch. The timeout is long enough for chained roles and for a credential program that
/// prompts for a password.
const FETCH_TIMEOUT: Duration = Duration::from_secs(30);
/// Maximum number of attempts that the library makes for one request.
const MAX_ATTEMPTS: u32 = 2;

/// A function that returns the current time. Code calls the function again after each wait, because time has
/// passed.
pub(super) type KeyClock<'a> = &'a (dyn Fn() -> SystemTime + Sync);

/// Credentials with their expiry.
#[derive(Clone)]
pub(super) struct ExpiringKeys {
    pub(super) keys: AwsKeys,
    /// Time of expiry; `None` if the credentials do not expire.
    pub(super) expires_at: Option<SystemTime>,
}

impl ExpiringKeys {
    /// Returns true if the credentials are still valid at this time.
    pub(super) fn is_valid_at(&self, time: SystemTime) -> bool {
        self.expires_at.is_none_or(|ends| ends > time)
    }
}

/// Fetches credentials through AWS's default chain.
pub(super) struct KeyFetcher {
    variables: AwsVariables,
    region: String,
    programs: CredentialPrograms,
    http: RecordingHttpClient,
}

impl KeyFetcher {
    pub(super) fn new(
        variables: HashMap<String, String>,
        region: &str,
        programs: CredentialPrograms,
    ) -> Result<Self, reqwest::Error> {
        let variables = AwsVariables::from(variables);
        let region = variables.region().unwrap_or(region).to_owned();
        Ok(Self { variables, region, programs, http: RecordingHttpClient::new()? })
    }

    /// Fetches credentials, or returns the reason why there are none. `had_keys` is true if an earlier fetch
    /// succeeded.
    pub(super) async fn fetch(
        &self,
        had_keys: bool,
        clock: KeyClock<'_>,
    ) -> Result<ExpiringKeys, AwsKeyError> {
        let http = self.http.without_exchanges();
        let files = profiles::guarded_files(&self.variables, &self.programs).map_err(|UntrustedShell| {
            AwsKeyError::new_permanent(
                "a profile has a `credential_process`, which `sh` would start, but `PATH` finds `sh` in a \
                relative folder or in the reviewed repository: remove this folder from `PATH`"
                    .to_owned(),
            )
        })?;
        let loader = ConfigLoader::default()
            .behavior_version(BehaviorVersion::latest())
            .env(Env::from(self.variables.as_map().clone()))
            .region(Region::new(self.region.clone()))
            .retry_config(RetryConfig::standard().with_max_attempts(MAX_ATTEMPTS))
            .http_client(http.clone());
        let loader = files.into_iter().fold(loader, ConfigLoader::profile_files);
        let pass = async {
            let config = loader.load().await;
            match config.credentials_provider() {
                Some(provider) => provider.provide_credentials().await.map(Some),
                None => Ok(None),
            }
        };
        let found = match timeout(FETCH_TIMEOUT, pass).await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => {
                return Err(fault::key_error(&error, &http.exchanges(), &self.variables, had_keys, clock()));
            }
            Err(_) => return Err(fault::timeout_error(&http.exchanges(), FETCH_TIMEOUT)),
        };
        let credentials = found.ok_or_else(|| {
            AwsKeyError::new_permanent("AWS's library found no source of credentials".to_owned())
        })?;
        let keys = AwsKeys {
            key_id: credentials.access_key_id().to_owned(),
            secret_key: SecretString::new(credentials.secret_access_key()),
            session_token: credentials.session_token().map(SecretString::new),
        };
        let (expiring, now) = (ExpiringKeys { keys, expires_at: credentials.expiry() }, clock());
        if expiring.is_valid_at(now) {
            Ok(expiring)
        } else {
            Err(fault::expired_keys_error(&http.exchanges(), now))
        }
    }

    /// Returns a name for this chain that consists of its profile and role.
    pub(super) fn name(&self) -> String {
        let role = self.variables.get("AWS_ROLE_ARN").unwrap_or_default();
        format!("chain:{}:{role}", self.variables.profile())
    }
}
