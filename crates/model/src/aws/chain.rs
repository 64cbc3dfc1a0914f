//! The keys of AWS's chain, kept while they last: fetched by one call at a time, early, and with what is still valid
//! in hand where that fails.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use truing_core::given_secrets;
use truing_core::secret::Secret;

use super::keys::AwsKeys;
use super::source::{KeyFetcher, KeyLease};

/// Keys are fetched anew so long before they end. Metadata services have the next ones by then.
const EARLY: Duration = Duration::from_secs(5 * 60);
/// The time after a failed attempt in which none is made.
const PAUSE: Duration = Duration::from_secs(10);
/// The same while there are valid keys, or after keys came that end soon.
const LONG_PAUSE: Duration = Duration::from_secs(60);

/// Keys by AWS's own chain: variables, profiles, web identity, containers, an instance's metadata. Clones are the same one.
#[derive(Clone)]
pub struct KeyChain(Arc<ChainState>);

struct ChainState {
    source: KeyFetcher,
    held: Mutex<KeyState>,
    /// Locked by the one call that fetches.
    flight: tokio::sync::Mutex<()>,
}

/// The outcome of earlier fetches.
#[derive(Default)]
struct KeyState {
    fetched: Option<KeyLease>,
    /// All that were fetched and had not ended at the last fetch: they are hidden in all that is shown.
    given: Vec<KeyLease>,
    /// The reason why the last fetch failed.
    fault: Option<String>,
    /// Nothing is fetched before, as long as there are keys or a reason.
    pause: Option<SystemTime>,
}

/// The way in which a call gets its keys.
enum KeyDecision {
    /// These keys will do.
    Use(AwsKeys),
    /// These will do, and are to be replaced.
    Renew(AwsKeys),
    /// There are none: they are fetched.
    Fetch,
    /// There are none, and it is too early to ask again.
    Refuse(String),
}

impl KeyState {
    fn way(&self, now: SystemTime) -> KeyDecision {
        let is_paused = self.pause.is_some_and(|pause| now < pause);
        let Some(KeyLease { keys, ends }) = &self.fetched else {
            return match &self.fault {
                Some(fault) if is_paused => KeyDecision::Refuse(fault.clone()),
                Some(_) | None => KeyDecision::Fetch,
            };
        };
        let lasts = |span| ends.is_none_or(|ends| ends > now + span);
        match (lasts(EARLY), lasts(Duration::ZERO)) {
            (true, _) => KeyDecision::Use(keys.clone()),
            (false, true) if is_paused => KeyDecision::Use(keys.clone()),
            (false, true) => KeyDecision::Renew(keys.clone()),
            (false, false) => match &self.fault {
                Some(fault) if is_paused => KeyDecision::Refuse(fault.clone()),
                Some(_) | None => KeyDecision::Fetch,
            },
        }
    }

    /// Takes what a fetch gave, which is hidden from now on; what has ended is not any more.
    fn take(&mut self, fetched: KeyLease, now: SystemTime) {
        self.given.retain(|old| {
            let lasts = old.ends.is_none_or(|ends| ends > now);
            if !lasts {
                old.keys.secrets().for_each(|secret| given_secrets::forget(secret.expose()));
            }
            lasts
        });
        for secret in fetched.keys.secrets() {
            given_secrets::keep(secret.expose());
        }
        let lasts_long = fetched.ends.is_none_or(|ends| ends > now + EARLY);
        if !self.given.iter().any(|old| old.keys == fetched.keys) {
            self.given.push(fetched.clone());
        }
        self.fault = None;
        self.pause = (!lasts_long).then(|| now + LONG_PAUSE);
        self.fetched = Some(fetched);
    }

    /// Gives up what is at hand.
    fn drop_keys(&mut self) {
        (self.fetched, self.fault, self.pause) = (None, None, None);
    }

    fn fail(&mut self, fault: String, now: SystemTime) {
        let is_valid = self.fetched.as_ref().is_some_and(|old| old.ends.is_none_or(|ends| ends > now));
        self.pause = Some(now + if is_valid { LONG_PAUSE } else { PAUSE });
        self.fault = Some(fault);
    }
}

impl KeyChain {
    /// The chain by these variables (all that begin with `AWS_`, and `HOME`). Nothing is asked yet. `region` is where
    /// STS is asked if no variable names one.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn new(
        variables: impl IntoIterator<Item = (String, String)>,
        region: &str,
    ) -> Result<Self, reqwest::Error> {
        let source = KeyFetcher::new(variables.into_iter().collect(), region)?;
        Ok(Self(Arc::new(ChainState {
            source,
            held: Mutex::default(),
            flight: tokio::sync::Mutex::default(),
        })))
    }

    /// Keys that are valid now.
    ///
    /// # Errors
    /// The reason why there are none, for people.
    pub(super) async fn keys(&self, now: SystemTime) -> Result<AwsKeys, String> {
        let way = self.held().way(now);
        let _flight = match way {
            KeyDecision::Use(keys) => return Ok(keys),
            KeyDecision::Refuse(fault) => return Err(fault),
            KeyDecision::Renew(keys) => match self.0.flight.try_lock() {
                Ok(flight) => flight,
                // Another call renews them.
                Err(_) => return Ok(keys),
            },
            KeyDecision::Fetch => self.0.flight.lock().await,
        };
        // Whoever had the turn before may have fetched them, or failed.
        let way = self.held().way(now);
        match way {
            KeyDecision::Use(keys) => Ok(keys),
            KeyDecision::Refuse(fault) => Err(fault),
            KeyDecision::Renew(keys) => {
                if let Err(fault) = self.fetch(now).await {
                    tracing::warn!("keys of AWS cannot be renewed, those at hand are still valid: {fault}");
                    return Ok(keys);
                }
                self.held().fetched.as_ref().map(|new| new.keys.clone()).map_or(Ok(keys), Ok)
            }
            KeyDecision::Fetch => self.fetch(now).await,
        }
    }

    /// Keys in place of these, which the service calls expired; none: there are no others.
    ///
    /// # Errors
    /// As [`Self::keys`].
    pub(super) async fn instead_of(
        &self,
        used: &AwsKeys,
        now: SystemTime,
    ) -> Result<Option<AwsKeys>, String> {
        {
            let mut held = self.held();
            if held.fetched.as_ref().is_some_and(|fetched| fetched.keys == *used) {
                held.drop_keys();
            }
        }
        let keys = self.keys(now).await?;
        Ok(Some(keys).filter(|keys| keys != used))
    }

    /// A name that no other chain has, with no secret in it.
    pub(super) fn name(&self) -> String {
        self.0.source.name()
    }

    /// Everything of it that must not be seen, as far as it is there.
    pub(super) fn secrets(&self) -> Vec<Secret> {
        let held = self.held();
        held.given.iter().flat_map(|fetched| fetched.keys.secrets()).cloned().collect()
    }

    async fn fetch(&self, now: SystemTime) -> Result<AwsKeys, String> {
        let fetched = self.0.source.fetch(now).await;
        let mut held = self.held();
        match fetched {
            Ok(fetched) => {
                let keys = fetched.keys.clone();
                held.take(fetched, now);
                Ok(keys)
            }
            Err(fault) => {
                held.fail(fault.clone(), now);
                Err(fault)
            }
        }
    }

    fn held(&self) -> MutexGuard<'_, KeyState> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for KeyChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chain").field("name", &self.name()).finish_non_exhaustive()
    }
}
