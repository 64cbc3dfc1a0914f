//! The forge's rate limits, which all calls of one client share. If processes share state, they share the
//! limits, too. A call that would be rejected is not sent; the error contains the time to wait. This module
//! never sleeps for a rate limit: the slot of the pull request waits.
//! <https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api>
//!
//! A process checks its own state first. If processes share state ([`SharedStateStore`]), each call that
//! creates something is also counted in the shared state. For other calls, the shared state is read at most
//! once a second. While the store is unreachable, only the process's own state is used.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use reqwest::header::HeaderMap;
use tokio::sync::{Semaphore, SemaphorePermit};
use truing_core::id::{TimeSpan, UnixMillis};
use truing_core::port::{Clock, ForgeError, SharedStateStore, StateUpdate, update_state};

use self::owner_limit_state::{CreationLimits, OwnerLimitState, RateResource};
use super::classify::{header_text, response_date};
use super::{ForgeRequest, RetrySafety, unavailable_error};

mod owner_limit_state;
#[cfg(test)]
mod tests;

pub(super) use self::owner_limit_state::{DEFAULT_WAIT, MAX_WAIT, MIN_WAIT, SecondaryLimit};

/// Maximum number of concurrent calls. GitHub allows 100 for all clients of an account together.
const MAX_CONCURRENT_CALLS: usize = 24;
/// Maximum number of primary limits that are kept. Each installation has one limit for each kind of call.
const MAX_PRIMARY_LIMITS: usize = 4096;
/// Time for which a read of the shared state stays valid. A call that creates something reads the shared
/// state each time.
const SHARED_STATE_TTL: TimeSpan = TimeSpan::seconds(1);
/// Time for which a shared state is kept after its last change; longer than any wait that the state contains.
const SHARED_STATE_RETENTION: TimeSpan = TimeSpan::minutes(120);

/// The login or installation whose rate limit a call uses.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum RateLimitOwner {
    /// The token of the login.
    Token,
    /// The App itself, not an installation.
    App,
    /// An installation of the App.
    Installation(u64),
}

/// The forge's primary rate limit, as a response reports it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RateQuota {
    /// Number of calls in a window.
    pub limit: u64,
    /// Number of calls left in this window.
    pub remaining: u64,
    /// Time at which the next window begins.
    pub reset: UnixMillis,
}

/// The primary rate limit in the headers of a response.
pub(super) struct LimitHeaders {
    resource: Option<RateResource>,
    pub(super) quota: RateQuota,
    /// Time until the next window begins.
    pub(super) wait: TimeSpan,
}

/// The limits that all calls of a client share.
pub(super) struct RateLimits {
    clock: Arc<dyn Clock>,
    request_permits: Semaphore,
    creation_limits: &'static CreationLimits,
    state: Mutex<RateLimitState>,
    /// Store of the shared state, and the name of the login in this store; `None` if no state is shared.
    shared_state: Option<(Arc<dyn SharedStateStore>, String)>,
}

#[derive(Default)]
struct RateLimitState {
    /// Primary limits, each with the instant at which its window ends.
    windows: HashMap<(RateLimitOwner, RateResource), (RateQuota, UnixMillis)>,
    owner_entries: HashMap<RateLimitOwner, OwnerLimitEntry>,
}

/// The limits of one `RateLimitOwner` in this process.
#[derive(Default)]
struct OwnerLimitEntry {
    limit_state: OwnerLimitState,
    /// Time at which the shared state was last read.
    last_read_at: Option<UnixMillis>,
}

impl RateLimits {
    pub(super) fn new(creation_limits: &'static CreationLimits, clock: Arc<dyn Clock>) -> Self {
        let (request_permits, state) = (Semaphore::new(MAX_CONCURRENT_CALLS), Mutex::default());
        Self { clock, request_permits, creation_limits, state, shared_state: None }
    }

    /// Shares the limits with other processes that use this login.
    pub(super) fn with_shared_limits(self, shared_state: Arc<dyn SharedStateStore>, login: String) -> Self {
        Self { shared_state: Some((shared_state, login)), ..self }
    }

    /// Waits until fewer than `MAX_CONCURRENT_CALLS` calls are in progress, then checks the rate limits.
    /// Returns a permit if the call may be sent now.
    ///
    /// # Errors
    /// [`ForgeError::RateLimited`] with the wait if the call must not be sent.
    pub(super) async fn admit(
        &self,
        limit_owner: RateLimitOwner,
        call: &ForgeRequest,
    ) -> Result<SemaphorePermit<'_>, ForgeError> {
        let place = self.request_permits.acquire().await;
        let place = place.map_err(|_| unavailable_error(&call.purpose, "the HTTP client is closed"))?;
        // The limits are checked only now, because another call may have hit a limit while this call waited.
        let resource = RateResource::from_url(&call.url);
        let creations = (call.retry_safety == RetrySafety::Unsafe).then_some(self.creation_limits);
        let wait =
            match self.update_own(limit_owner, |own, now| own.limit_state.admit(resource, creations, now)) {
                Some(wait) => Some(wait),
                None => self.shared_state_wait(limit_owner, resource, creations).await,
            };
        match wait {
            None => Ok(place),
            Some(wait) => {
                let wait = wait.clamp(MIN_WAIT, MAX_WAIT);
                Err(ForgeError::RateLimited { request: call.purpose.clone(), wait })
            }
        }
    }

    /// Checks the shared state for a call that this process's own state allows. Returns the time to wait if
    /// the call must not be sent.
    async fn shared_state_wait(
        &self,
        limit_owner: RateLimitOwner,
        resource: RateResource,
        creation_limits: Option<&CreationLimits>,
    ) -> Option<TimeSpan> {
        if !self.update_own(limit_owner, |own, now| own.is_shared_read_due(now)) && creation_limits.is_none()
        {
            return None;
        }
        let wait = self
            .update_shared(limit_owner, |account, now| account.admit(resource, creation_limits, now))
            .await
            .flatten()?;
        // The call is not sent, so its creation is removed from this process's count.
        if creation_limits.is_some() {
            self.update_own(limit_owner, |own, _| own.limit_state.uncount_creation());
        }
        Some(wait)
    }

    /// Records the primary limit that the headers of a response report.
    pub(super) async fn record_headers(&self, limit_owner: RateLimitOwner, headers: &HeaderMap) {
        let now = self.clock.now();
        let Some(LimitHeaders { resource: Some(resource), quota, wait }) = parse_limit_headers(headers, now)
        else {
            return;
        };
        {
            let mut state = self.state();
            if state.windows.len() >= MAX_PRIMARY_LIMITS {
                state.windows.retain(|_, (_, until)| *until > now);
            }
            state.windows.insert((limit_owner, resource), (quota, now + wait));
        }
        let is_spent = quota.remaining == 0;
        let note = |account: &mut OwnerLimitState, now: UnixMillis| {
            account.record_exhausted_resource(resource, is_spent.then_some(now + wait));
        };
        self.update_own(limit_owner, |own, now| note(&mut own.limit_state, now));
        if is_spent {
            self.update_shared(limit_owner, note).await;
        }
    }

    /// Records a secondary limit: all calls of this limit owner wait, including calls of other processes.
    /// Returns the wait.
    pub(super) async fn record_secondary_limit(
        &self,
        limit_owner: RateLimitOwner,
        secondary_limit: SecondaryLimit,
        wait: TimeSpan,
    ) -> TimeSpan {
        let hit = |account: &mut OwnerLimitState, now: UnixMillis| {
            account.record_secondary_limit(secondary_limit, wait, now)
        };
        match self.update_shared(limit_owner, hit).await {
            Some(wait) => wait,
            None => self.update_own(limit_owner, |own, now| hit(&mut own.limit_state, now)),
        }
    }

    /// Records a successful call.
    pub(super) async fn record_success(&self, limit_owner: RateLimitOwner) {
        if self.update_own(limit_owner, |own, now| own.limit_state.record_success(now)) {
            self.update_shared(limit_owner, OwnerLimitState::record_success).await;
        }
    }

    /// Returns the limit of the limit owner with the fewest REST calls left.
    pub(super) fn quota(&self) -> Option<RateQuota> {
        let now = self.clock.now();
        let state = self.state();
        let core = state.windows.iter().filter(|((_, resource), _)| *resource == RateResource::Core);
        // Windows that have ended are sorted last, because their counts do not apply to the next window.
        core.map(|(_, (quota, until))| (*until <= now, quota.remaining, quota))
            .min_by_key(|(over, remaining, _)| (*over, *remaining))
            .map(|(_, _, quota)| *quota)
    }

    /// Reads or changes the state of this process.
    fn update_own<T>(
        &self,
        limit_owner: RateLimitOwner,
        decide: impl FnOnce(&mut OwnerLimitEntry, UnixMillis) -> T,
    ) -> T {
        let now = self.clock.now();
        let mut state = self.state();
        if state.owner_entries.len() >= MAX_PRIMARY_LIMITS && !state.owner_entries.contains_key(&limit_owner)
        {
            state.owner_entries.retain(|_, own| own.limit_state.has_active_limits(now));
        }
        decide(state.owner_entries.entry(limit_owner).or_default(), now)
    }

    /// Reads or changes the shared state, and copies the waits in the shared state to this process's own
    /// state. `None` if there is no shared state or the store is unreachable.
    async fn update_shared<T>(
        &self,
        limit_owner: RateLimitOwner,
        decide: impl Fn(&mut OwnerLimitState, UnixMillis) -> T,
    ) -> Option<T> {
        let (common, login) = self.shared_state.as_ref()?;
        match update_state(&**common, &format!("{login}{limit_owner}"), SHARED_STATE_RETENTION, decide).await
        {
            Ok(StateUpdate { state, time: there, result }) => {
                self.update_own(limit_owner, |own, now| own.limit_state.merge_pauses(&state, there - now));
                Some(result)
            }
            Err(error) => {
                tracing::debug!(%error, "the rate limits seen by other processes are unknown: only the \
                    limits seen by this process apply");
                None
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, RateLimitState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OwnerLimitEntry {
    /// Returns true if the shared state has to be read again, and records the current time as the time of the
    /// read.
    fn is_shared_read_due(&mut self, now: UnixMillis) -> bool {
        let asks = self.last_read_at.is_none_or(|asked| !(0..SHARED_STATE_TTL.0).contains(&(now - asked).0));
        if asks {
            self.last_read_at = Some(now);
        }
        asks
    }
}

/// Formats the owner of a limit as a suffix of the shared state's name. The suffix of a token is empty,
/// because the name already identifies the login.
impl fmt::Display for RateLimitOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token => Ok(()),
            Self::App => f.write_str(":itself"),
            Self::Installation(number) => write!(f, ":installation/{number}"),
        }
    }
}

/// Parses the limit in the headers. `now` is used only if the headers have no date.
pub(super) fn parse_limit_headers(headers: &HeaderMap, now: UnixMillis) -> Option<LimitHeaders> {
    let number = |name: &str| header_text(headers, name)?.parse::<u64>().ok();
    let (limit, remaining, reset) =
        (number("x-ratelimit-limit"), number("x-ratelimit-remaining")?, number("x-ratelimit-reset")?);
    let reset = UnixMillis(i64::try_from(reset.saturating_mul(1000)).unwrap_or(i64::MAX));
    let resource = match header_text(headers, "x-ratelimit-resource") {
        None | Some("core") => Some(RateResource::Core),
        Some("graphql") => Some(RateResource::GraphQl),
        // Another resource is search or a similar group of calls, which Truing does not use.
        Some(_) => None,
    };
    // The wait is computed with the forge's own clock, so an error of our clock does no harm.
    let wait = (reset - response_date(headers).unwrap_or(now)).clamp(MIN_WAIT, MAX_WAIT);
    Some(LimitHeaders {
        resource,
        quota: RateQuota { limit: limit.unwrap_or(remaining), remaining, reset },
        wait,
    })
}
