//! The forge's limits, kept by all calls of one client together, and by those of other processes if there are
//! any: what would be refused is not sent, and whoever wants it is told how long to wait. Nothing here
//! sleeps; waiting is the slot's business.
//! <https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api>
//!
//! A process asks its own knowledge first. Where processes keep something in common ([`SharedStateStore`]),
//! each call that creates something is counted there, too, and others ask there once a second for how long
//! nobody calls. While that cannot be reached, what this process knows is all that counts.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use reqwest::header::HeaderMap;
use tokio::sync::{Semaphore, SemaphorePermit};
use truing_core::id::{TimeSpan, UnixMillis};
use truing_core::port::{Clock, ForgeError, SharedStateStore, StateUpdate, change};

use self::account::{CreationLimits, PayerLimits, RateResource};
use super::classify::{date, text};
use super::{ForgeRequest, RetrySafety, unavailable};

mod account;
#[cfg(test)]
mod tests;

pub(super) use self::account::{DEFAULT_WAIT, MAX_WAIT, MIN_WAIT, SecondaryLimit};

/// Calls at once. GitHub allows 100 of all clients of an account together.
const MAX_CONCURRENT: usize = 24;
/// Limits that are kept at once: one for each installation and kind of call.
const MAX_WINDOWS: usize = 4096;
/// The time for which it is believed that other processes have met no limit. What creates something asks each
/// time.
const ASK_AGAIN: TimeSpan = TimeSpan::seconds(1);
/// The life of a state in common after its last change: longer than any wait in it.
const KEEP: TimeSpan = TimeSpan::minutes(120);

/// Whose rate limit a call uses up.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum QuotaPayer {
    /// The token's.
    Token,
    /// The App's own.
    App,
    /// An installation's.
    Installation(u64),
}

/// What the forge says of the primary rate limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RateQuota {
    /// Calls in a window.
    pub limit: u64,
    /// Calls left in this window.
    pub remaining: u64,
    /// When the next window begins.
    pub reset: UnixMillis,
}

/// What an answer's headers say of a primary limit.
pub(super) struct LimitHeaders {
    resource: Option<RateResource>,
    pub(super) quota: RateQuota,
    /// Until the next window begins.
    pub(super) wait: TimeSpan,
}

/// What all calls of a client keep together.
pub(super) struct RateLimits {
    clock: Arc<dyn Clock>,
    places: Semaphore,
    creations: &'static CreationLimits,
    state: Mutex<RateLimitState>,
    /// The states in common, and the name of the login in it.
    common: Option<(Arc<dyn SharedStateStore>, String)>,
}

#[derive(Default)]
struct RateLimitState {
    /// The primary limits, each with the instant at which its window ends.
    windows: HashMap<(QuotaPayer, RateResource), (RateQuota, UnixMillis)>,
    payers: HashMap<QuotaPayer, PayerEntry>,
}

/// This process's knowledge of a payer.
#[derive(Default)]
struct PayerEntry {
    account: PayerLimits,
    /// The last time that the others were asked.
    asked: Option<UnixMillis>,
}

impl RateLimits {
    pub(super) fn of(creations: &'static CreationLimits, clock: Arc<dyn Clock>) -> Self {
        let (places, state) = (Semaphore::new(MAX_CONCURRENT), Mutex::default());
        Self { clock, places, creations, state, common: None }
    }

    /// The same for a login that other processes have, too.
    pub(super) fn sharing(self, common: Arc<dyn SharedStateStore>, login: String) -> Self {
        Self { common: Some((common, login)), ..self }
    }

    /// A place for a call, as soon as there is one, if it may be sent now.
    ///
    /// # Errors
    /// [`ForgeError::RateLimited`] with the wait: it is not to be sent.
    pub(super) async fn admit(
        &self,
        payer: QuotaPayer,
        call: &ForgeRequest,
    ) -> Result<SemaphorePermit<'_>, ForgeError> {
        let place = self.places.acquire().await;
        let place = place.map_err(|_| unavailable(&call.what, "the client is shut"))?;
        // After the wait for a place: others may have met a limit meanwhile.
        let resource = RateResource::of(&call.url);
        let creations = (call.repeat == RetrySafety::Never).then_some(self.creations);
        let wait = match self.own(payer, |own, now| own.account.admit(resource, creations, now)) {
            Some(wait) => Some(wait),
            None => self.admitted_by_others(payer, resource, creations).await,
        };
        match wait {
            None => Ok(place),
            Some(wait) => {
                let wait = wait.clamp(MIN_WAIT, MAX_WAIT);
                Err(ForgeError::RateLimited { what: call.what.clone(), wait })
            }
        }
    }

    /// The same by what processes keep in common, for a call that may be sent by what this one knows.
    async fn admitted_by_others(
        &self,
        payer: QuotaPayer,
        resource: RateResource,
        creations: Option<&CreationLimits>,
    ) -> Option<TimeSpan> {
        if !self.own(payer, |own, now| own.asks(now)) && creations.is_none() {
            return None;
        }
        let wait = self.all(payer, |account, now| account.admit(resource, creations, now)).await.flatten()?;
        // Counted only if it is sent.
        if creations.is_some() {
            self.own(payer, |own, _| own.account.not_created());
        }
        Some(wait)
    }

    /// Takes note of what an answer says.
    pub(super) async fn note(&self, payer: QuotaPayer, headers: &HeaderMap) {
        let now = self.clock.now();
        let Some(LimitHeaders { resource: Some(resource), quota, wait }) = told(headers, now) else { return };
        {
            let mut state = self.state();
            if state.windows.len() >= MAX_WINDOWS {
                state.windows.retain(|_, (_, until)| *until > now);
            }
            state.windows.insert((payer, resource), (quota, now + wait));
        }
        let is_spent = quota.remaining == 0;
        let note = |account: &mut PayerLimits, now: UnixMillis| {
            account.told(resource, is_spent.then_some(now + wait));
        };
        self.own(payer, |own, now| note(&mut own.account, now));
        if is_spent {
            self.all(payer, note).await;
        }
    }

    /// A secondary limit was met: all calls of this payer wait, those of other processes, too. How long.
    pub(super) async fn hit(&self, payer: QuotaPayer, brake: SecondaryLimit, wait: TimeSpan) -> TimeSpan {
        let hit = |account: &mut PayerLimits, now: UnixMillis| account.hit(brake, wait, now);
        match self.all(payer, hit).await {
            Some(wait) => wait,
            None => self.own(payer, |own, now| hit(&mut own.account, now)),
        }
    }

    /// A call was answered as it should.
    pub(super) async fn went_well(&self, payer: QuotaPayer) {
        if self.own(payer, |own, now| own.account.went_well(now)) {
            self.all(payer, PayerLimits::went_well).await;
        }
    }

    /// Of whoever has the fewest REST calls left.
    pub(super) fn quota(&self) -> Option<RateQuota> {
        let now = self.clock.now();
        let state = self.state();
        let core = state.windows.iter().filter(|((_, resource), _)| *resource == RateResource::Core);
        // A window that is over says nothing of the next one.
        core.map(|(_, (quota, until))| (*until <= now, quota.remaining, quota))
            .min_by_key(|(over, remaining, _)| (*over, *remaining))
            .map(|(_, _, quota)| *quota)
    }

    /// Looks at what this process knows, or changes it.
    fn own<T>(&self, payer: QuotaPayer, decide: impl FnOnce(&mut PayerEntry, UnixMillis) -> T) -> T {
        let now = self.clock.now();
        let mut state = self.state();
        if state.payers.len() >= MAX_WINDOWS && !state.payers.contains_key(&payer) {
            state.payers.retain(|_, own| own.account.matters(now));
        }
        decide(state.payers.entry(payer).or_default(), now)
    }

    /// The same with what processes keep in common, from which this one learns. None: there is no such thing,
    /// or it cannot be reached.
    async fn all<T>(
        &self,
        payer: QuotaPayer,
        decide: impl Fn(&mut PayerLimits, UnixMillis) -> T,
    ) -> Option<T> {
        let (common, login) = self.common.as_ref()?;
        match change(&**common, &format!("{login}{payer}"), KEEP, decide).await {
            Ok(StateUpdate { state, now: there, came }) => {
                self.own(payer, |own, now| own.account.learn(&state, there - now));
                Some(came)
            }
            Err(error) => {
                tracing::debug!(%error, "nobody tells which limits other processes have met: those of this one count");
                None
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, RateLimitState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PayerEntry {
    /// Is it time to ask the others? Then they are asked.
    fn asks(&mut self, now: UnixMillis) -> bool {
        let asks = self.asked.is_none_or(|asked| !(0..ASK_AGAIN.0).contains(&(now - asked).0));
        if asks {
            self.asked = Some(now);
        }
        asks
    }
}

/// As a part of a name that processes have in common. The one of a token is its login's.
impl fmt::Display for QuotaPayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token => Ok(()),
            Self::App => f.write_str(":itself"),
            Self::Installation(number) => write!(f, ":installation/{number}"),
        }
    }
}

/// What the headers say. `now` is only used if they have no date.
pub(super) fn told(headers: &HeaderMap, now: UnixMillis) -> Option<LimitHeaders> {
    let number = |name: &str| text(headers, name)?.parse::<u64>().ok();
    let (limit, remaining, reset) =
        (number("x-ratelimit-limit"), number("x-ratelimit-remaining")?, number("x-ratelimit-reset")?);
    let reset = UnixMillis(i64::try_from(reset.saturating_mul(1000)).unwrap_or(i64::MAX));
    let resource = match text(headers, "x-ratelimit-resource") {
        None | Some("core") => Some(RateResource::Core),
        Some("graphql") => Some(RateResource::GraphQl),
        // Search and the like, which are not used.
        Some(_) => None,
    };
    // By the forge's own clock, so that ours may be wrong.
    let wait = (reset - date(headers).unwrap_or(now)).clamp(MIN_WAIT, MAX_WAIT);
    Some(LimitHeaders {
        resource,
        quota: RateQuota { limit: limit.unwrap_or(remaining), remaining, reset },
        wait,
    })
}
