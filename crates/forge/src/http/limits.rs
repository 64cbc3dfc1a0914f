//! The forge's limits, kept by all calls of one client together: what would be refused is not sent, and whoever wants
//! it is told how long to wait. Nothing here sleeps; waiting is the slot's business.
//! <https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api>

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use reqwest::header::HeaderMap;
use tokio::sync::{Semaphore, SemaphorePermit};
use truing_core::id::{Millis, Span};
use truing_core::port::{Clock, ForgeError};
use url::Url;

use super::classify::{DEFAULT_WAIT, MAX_WAIT, MIN_WAIT, date, text};
use super::{Call, Repeat, unavailable};

#[cfg(test)]
mod tests;

/// Calls at once. GitHub allows 100 of all clients of an account together.
const MAX_CONCURRENT: usize = 24;
/// Limits that are kept at once: one for each installation and kind of call.
const MAX_WINDOWS: usize = 4096;

/// Whose rate limit a call uses up.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Payer {
    /// The token's.
    Token,
    /// The App's own.
    App,
    /// An installation's.
    Installation(u64),
}

/// What the forge says of the primary rate limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Quota {
    /// Calls in a window.
    pub limit: u64,
    /// Calls left in this window.
    pub remaining: u64,
    /// When the next window begins.
    pub reset: Millis,
}

/// What kind of secondary limit was hit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Brake {
    /// The forge says how long to wait.
    Asked,
    /// It does not: longer each time.
    Unasked,
}

/// The kinds of calls that are counted apart.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Resource {
    Core,
    GraphQl,
}

/// What an answer's headers say of a primary limit.
pub(super) struct LimitHeaders {
    resource: Option<Resource>,
    pub(super) quota: Quota,
    /// Until the next window begins.
    pub(super) wait: Span,
}

/// What all calls of a client keep together.
pub(super) struct Limits {
    clock: Arc<dyn Clock>,
    places: Semaphore,
    /// How many calls that create something there may be in a span of time; empty: any number.
    creations: &'static [(usize, Span)],
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The primary limits, each with the instant at which its window ends.
    windows: HashMap<(Payer, Resource), (Quota, Millis)>,
    /// Nobody calls before then.
    paused: Option<Millis>,
    /// How often in a row a secondary limit named no wait.
    strikes: u32,
    /// When something was created in the longest window, oldest first.
    created: VecDeque<Millis>,
}

impl Limits {
    pub(super) fn of(creations: &'static [(usize, Span)], clock: Arc<dyn Clock>) -> Self {
        Self { clock, places: Semaphore::new(MAX_CONCURRENT), creations, state: Mutex::default() }
    }

    /// A place for a call, as soon as there is one, if it may be sent now.
    ///
    /// # Errors
    /// [`ForgeError::RateLimited`] with the wait: it is not to be sent.
    pub(super) async fn admit(&self, payer: Payer, call: &Call) -> Result<SemaphorePermit<'_>, ForgeError> {
        let place = self.places.acquire().await;
        let place = place.map_err(|_| unavailable(&call.what, "the client is shut"))?;
        // After the wait for a place: others may have met a limit meanwhile.
        let now = self.clock.now();
        let mut state = self.state();
        let creates = call.repeat == Repeat::Never;
        let wait = state.pause(now).max(state.spent(payer, Resource::of(&call.url), now));
        // Counted only if it is sent.
        match wait.or_else(|| creates.then(|| state.create(self.creations, now)).flatten()) {
            None => Ok(place),
            Some(wait) => {
                let wait = wait.clamp(MIN_WAIT, MAX_WAIT);
                Err(ForgeError::RateLimited { what: call.what.clone(), wait })
            }
        }
    }

    /// Takes note of what an answer says.
    pub(super) fn note(&self, payer: Payer, headers: &HeaderMap) {
        let now = self.clock.now();
        let Some(LimitHeaders { resource: Some(resource), quota, wait }) = told(headers, now) else { return };
        let mut state = self.state();
        if state.windows.len() >= MAX_WINDOWS {
            state.windows.retain(|_, (_, until)| *until > now);
        }
        state.windows.insert((payer, resource), (quota, now + wait));
    }

    /// A secondary limit was met: all calls wait. How long.
    pub(super) fn hit(&self, brake: Brake, wait: Span) -> Span {
        let now = self.clock.now();
        let mut state = self.state();
        let wait = match brake {
            Brake::Asked => wait,
            Brake::Unasked => {
                // Calls that were under way when the first of them was refused are one strike.
                if state.pause(now).is_none() {
                    state.strikes = state.strikes.saturating_add(1);
                }
                let times = state.strikes.saturating_sub(1).min(16);
                Span(DEFAULT_WAIT.0.saturating_mul(1 << times)).min(MAX_WAIT)
            }
        };
        state.paused = state.paused.max(Some(now + wait));
        wait
    }

    /// A call was answered as it should.
    pub(super) fn went_well(&self) {
        let now = self.clock.now();
        let mut state = self.state();
        if state.pause(now).is_none() {
            state.strikes = 0;
        }
    }

    /// Of whoever has the fewest REST calls left.
    pub(super) fn quota(&self) -> Option<Quota> {
        let now = self.clock.now();
        let state = self.state();
        let core = state.windows.iter().filter(|((_, resource), _)| *resource == Resource::Core);
        // A window that is over says nothing of the next one.
        core.map(|(_, (quota, until))| (*until <= now, quota.remaining, quota))
            .min_by_key(|(over, remaining, _)| (*over, *remaining))
            .map(|(_, _, quota)| *quota)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// What is left of a pause. One that is longer than any is of a clock that was set back.
    fn pause(&self, now: Millis) -> Option<Span> {
        self.paused.map(|until| until - now).filter(|left| (1..=MAX_WAIT.0).contains(&left.0))
    }

    /// How long until there are calls again, if none is left.
    fn spent(&self, payer: Payer, resource: Resource, now: Millis) -> Option<Span> {
        let (quota, until) = self.windows.get(&(payer, resource))?;
        let left = *until - now;
        (quota.remaining == 0 && (1..=MAX_WAIT.0).contains(&left.0)).then_some(left)
    }

    /// Counts a creating call; or how long until there may be one.
    fn create(&mut self, creations: &[(usize, Span)], now: Millis) -> Option<Span> {
        let longest = creations.iter().map(|(_, window)| *window).max().unwrap_or_default();
        self.created.retain(|at| (0..longest.0).contains(&(now - *at).0));
        let waits = creations.iter().filter_map(|(most, window)| {
            // The oldest of the last so many must be out of the window.
            let oldest = self.created.iter().rev().nth(most - 1)?;
            Some((*oldest + *window) - now).filter(|wait| wait.0 > 0)
        });
        let wait = waits.max();
        if wait.is_none() {
            self.created.push_back(now);
        }
        wait
    }
}

impl Resource {
    fn of(url: &Url) -> Self {
        if url.path().ends_with("/graphql") { Self::GraphQl } else { Self::Core }
    }
}

/// What the headers say. `now` is only used if they have no date.
pub(super) fn told(headers: &HeaderMap, now: Millis) -> Option<LimitHeaders> {
    let number = |name: &str| text(headers, name)?.parse::<u64>().ok();
    let (limit, remaining, reset) =
        (number("x-ratelimit-limit"), number("x-ratelimit-remaining")?, number("x-ratelimit-reset")?);
    let reset = Millis(i64::try_from(reset.saturating_mul(1000)).unwrap_or(i64::MAX));
    let resource = match text(headers, "x-ratelimit-resource") {
        None | Some("core") => Some(Resource::Core),
        Some("graphql") => Some(Resource::GraphQl),
        // Search and the like, which are not used.
        Some(_) => None,
    };
    // By the forge's own clock, so that ours may be wrong.
    let wait = (reset - date(headers).unwrap_or(now)).clamp(MIN_WAIT, MAX_WAIT);
    Some(LimitHeaders {
        resource,
        quota: Quota { limit: limit.unwrap_or(remaining), remaining, reset },
        wait,
    })
}
