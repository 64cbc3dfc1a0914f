//! A cache of the credentials from AWS's default chain. One call at a time fetches new credentials before the
//! old ones expire. If the fetch fails, credentials that are still valid remain in use.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use truing_core::given_secrets;
use truing_core::secret::SecretString;

use super::fault::AwsKeyError;
use super::key_fetcher::{ExpiringKeys, KeyClock, KeyFetcher};
use super::keys::AwsKeys;
use super::profiles::CredentialPrograms;

/// Credentials are renewed if they expire within this time. Metadata services offer the next credentials at
/// least this long before the current credentials expire.
const RENEWAL_LEAD_TIME: Duration = Duration::from_secs(5 * 60);
/// Minimum time between a fetch that failed permanently and the next fetch.
const PERMANENT_FAILURE_DELAY: Duration = Duration::from_secs(10);
/// Minimum time between a fetch that failed for a possibly temporary reason and the next fetch.
const TRANSIENT_FAILURE_DELAY: Duration = Duration::from_secs(1);
/// Minimum time until the next fetch in two cases. Either a fetch failed and the current credentials stay
/// valid for this time, or the fetched credentials expire soon.
const VALID_KEYS_FETCH_DELAY: Duration = Duration::from_secs(60);

/// Credentials from AWS's default chain: environment variables, profiles, web identity, container credentials
/// and instance metadata. Clones share the cached credentials.
#[derive(Clone)]
pub struct CredentialChain(Arc<ChainState>);

struct ChainState {
    source: KeyFetcher,
    key_state: Mutex<KeyState>,
    /// A lock held by the caller that fetches credentials, because no two callers may fetch at the same time.
    fetch_lock: tokio::sync::Mutex<()>,
}

/// The current credentials, and the result of the last fetch.
#[derive(Default)]
struct KeyState {
    current_keys: Option<ExpiringKeys>,
    /// All fetched credentials that have not expired. The secrets of these credentials are removed from every
    /// text that is shown.
    issued_keys: Vec<ExpiringKeys>,
    /// The reason why the last fetch failed.
    fault: Option<AwsKeyError>,
    /// Period in which no credentials are fetched. If the clock is set back to a time before this period,
    /// credentials may be fetched again.
    pause: Option<Range<SystemTime>>,
}

/// The decision how a caller obtains credentials.
enum KeyDecision {
    /// Use these credentials, which remain valid long enough.
    Use(AwsKeys),
    /// Renew these credentials. Use them if the renewal fails or another caller is already renewing them.
    Renew(AwsKeys),
    /// Fetch credentials, because no valid credentials are cached.
    Fetch,
    /// Return this error, because no valid credentials are cached and it is too early for another fetch.
    Refuse(AwsKeyError),
}

impl KeyState {
    fn decide_keys(&self, now: SystemTime) -> KeyDecision {
        let is_paused = self.pause.as_ref().is_some_and(|pause| pause.contains(&now));
        match (&self.current_keys, &self.fault) {
            (Some(lease), _) if lease.is_valid_at(now + RENEWAL_LEAD_TIME) => {
                KeyDecision::Use(lease.keys.clone())
            }
            (Some(lease), _) if lease.is_valid_at(now) && is_paused => KeyDecision::Use(lease.keys.clone()),
            (Some(lease), _) if lease.is_valid_at(now) => KeyDecision::Renew(lease.keys.clone()),
            (_, Some(fault)) if is_paused => KeyDecision::Refuse(fault.clone()),
            (_, _) => KeyDecision::Fetch,
        }
    }

    /// Stores fetched credentials and registers their secrets. Registered secrets are removed from texts that
    /// are shown. Unregisters the secrets of expired credentials.
    fn store_fetched_keys(&mut self, fetched: ExpiringKeys, now: SystemTime) {
        for old in self.issued_keys.extract_if(.., |old| !old.is_valid_at(now)) {
            old.keys.secrets().for_each(|secret| given_secrets::unregister_secret(secret.expose()));
        }
        self.record_issued_keys(&fetched);
        // The secrets of all valid credentials are registered again, because they may share a secret with
        // expired credentials.
        for secret in self.issued_keys.iter().flat_map(|lease| lease.keys.secrets()) {
            given_secrets::register_secret(secret.expose());
        }
        self.fault = None;
        self.pause =
            (!fetched.is_valid_at(now + RENEWAL_LEAD_TIME)).then(|| now..now + VALID_KEYS_FETCH_DELAY);
        self.current_keys = Some(fetched);
    }

    /// Adds fetched credentials to the list of issued credentials. If the list already contains the same
    /// credentials, only their later expiry is recorded.
    fn record_issued_keys(&mut self, fetched: &ExpiringKeys) {
        match self.issued_keys.iter_mut().find(|old| old.keys == fetched.keys) {
            Some(old) => {
                old.expires_at = old.expires_at.zip(fetched.expires_at).map(|(old, new)| old.max(new));
            }
            None => self.issued_keys.push(fetched.clone()),
        }
    }

    /// Drops the current credentials, the last failure and the period without fetches.
    fn drop_keys(&mut self) {
        (self.current_keys, self.fault, self.pause) = (None, None, None);
    }

    fn record_fault(&mut self, fault: AwsKeyError, now: SystemTime) {
        let pause = match &self.current_keys {
            Some(lease) if lease.is_valid_at(now + VALID_KEYS_FETCH_DELAY) => VALID_KEYS_FETCH_DELAY,
            Some(_) | None if fault.is_transient => TRANSIENT_FAILURE_DELAY,
            Some(_) | None => PERMANENT_FAILURE_DELAY,
        };
        self.pause = Some(now..now + pause);
        self.fault = Some(fault);
    }
}

impl CredentialChain {
    /// Returns a chain that reads its settings from these environment variables: all variables that begin
    /// with `AWS_`, and `HOME`. Sends no request. STS is called in `region` if no variable sets a region.
    /// `programs` limits the programs that profiles may start.
    ///
    /// # Errors
    /// [`reqwest::Error`] if TLS cannot be set up.
    pub fn new(
        variables: impl IntoIterator<Item = (String, String)>,
        region: &str,
        programs: CredentialPrograms,
    ) -> Result<Self, reqwest::Error> {
        let source = KeyFetcher::new(variables.into_iter().collect(), region, programs)?;
        Ok(Self(Arc::new(ChainState {
            source,
            key_state: Mutex::default(),
            fetch_lock: tokio::sync::Mutex::default(),
        })))
    }

    /// Returns credentials that are valid now.
    ///
    /// # Errors
    /// [`AwsKeyError`], with the reason why there are no credentials.
    pub(super) async fn keys(&self, clock: KeyClock<'_>) -> Result<AwsKeys, AwsKeyError> {
        let way = self.lock_state().decide_keys(clock());
        let _flight = match way {
            KeyDecision::Use(keys) => return Ok(keys),
            KeyDecision::Refuse(fault) => return Err(fault),
            KeyDecision::Renew(keys) => match self.0.fetch_lock.try_lock() {
                Ok(flight) => flight,
                // Another call is already renewing the credentials.
                Err(_) => return Ok(keys),
            },
            KeyDecision::Fetch => self.0.fetch_lock.lock().await,
        };
        // Decide again: while this call waited, the previous holder of the lock may have fetched credentials
        // or failed.
        let way = self.lock_state().decide_keys(clock());
        match way {
            KeyDecision::Use(keys) => Ok(keys),
            KeyDecision::Refuse(fault) => Err(fault),
            KeyDecision::Renew(keys) => Ok(self.fetch(clock).await.unwrap_or_else(|fault| {
                let words = fault.message;
                tracing::warn!(
                    "cannot renew the AWS credentials; the current credentials are still valid: \
                    {words}"
                );
                keys
            })),
            KeyDecision::Fetch => self.fetch(clock).await,
        }
    }

    /// Returns credentials that differ from `used_keys`, which the service rejected as expired or unknown.
    /// Returns `None` if no other credentials exist.
    ///
    /// # Errors
    /// Returns the same errors as [`Self::keys`].
    pub(super) async fn replacement_keys(
        &self,
        used_keys: &AwsKeys,
        clock: KeyClock<'_>,
    ) -> Result<Option<AwsKeys>, AwsKeyError> {
        {
            let mut held = self.lock_state();
            if held.current_keys.as_ref().is_some_and(|fetched| fetched.keys == *used_keys) {
                held.drop_keys();
            }
        }
        let keys = self.keys(clock).await?;
        Ok(Some(keys).filter(|keys| keys != used_keys))
    }

    /// Returns a name for this chain, built from its profile and role. The name contains no secret.
    pub(super) fn name(&self) -> String {
        self.0.source.name()
    }

    /// Returns the secrets of all fetched credentials that have not expired.
    pub(super) fn secrets(&self) -> Vec<SecretString> {
        let held = self.lock_state();
        held.issued_keys.iter().flat_map(|fetched| fetched.keys.secrets()).cloned().collect()
    }

    async fn fetch(&self, clock: KeyClock<'_>) -> Result<AwsKeys, AwsKeyError> {
        let gave_before = !self.lock_state().issued_keys.is_empty();
        let fetched = self.0.source.fetch(gave_before, clock).await;
        let (mut held, now) = (self.lock_state(), clock());
        match fetched {
            Ok(fetched) => {
                let keys = fetched.keys.clone();
                held.store_fetched_keys(fetched, now);
                Ok(keys)
            }
            Err(fault) => {
                held.record_fault(fault.clone(), now);
                Err(fault)
            }
        }
    }

    fn lock_state(&self) -> MutexGuard<'_, KeyState> {
        self.0.key_state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for CredentialChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chain").field("name", &self.name()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expiring_keys(token: &str, expires_at: SystemTime) -> ExpiringKeys {
        let session_token = Some(SecretString::new(token));
        let keys =
            AwsKeys { key_id: "id".to_owned(), secret_key: SecretString::new("lease-secret"), session_token };
        ExpiringKeys { keys, expires_at: Some(expires_at) }
    }

    #[test]
    fn reissued_keys_are_redacted_until_their_later_expiry() {
        let now = SystemTime::UNIX_EPOCH;
        let hour = |hours: u64| now + Duration::from_secs(hours * 3600);
        let is_hidden = |token: &str| given_secrets::secret_values().contains(token);
        let mut state = KeyState::default();
        state.store_fetched_keys(expiring_keys("lease-again", hour(1)), now);
        state.store_fetched_keys(expiring_keys("lease-again", hour(3)), now);
        state.store_fetched_keys(expiring_keys("lease-other", hour(4)), hour(2));
        assert!(is_hidden("lease-again") && is_hidden("lease-secret"));
        state.store_fetched_keys(expiring_keys("lease-last", hour(5)), hour(3));
        assert!(!is_hidden("lease-again"));
        assert!(is_hidden("lease-secret"), "others that are valid have it, too");
    }
}
