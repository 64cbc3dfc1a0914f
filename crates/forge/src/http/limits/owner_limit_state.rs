//! The known limits of one `RateLimitOwner`; its functions are pure and take the time as an argument. Each
//! process has its own state. Processes that share state also have one common state, which is stored as text.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};
use truing_core::id::{TimeSpan, UnixMillis};
use url::Url;

/// Wait if a response about a rate limit contains no time: the minimum that GitHub requires.
/// <https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api>
pub(in crate::http) const DEFAULT_WAIT: TimeSpan = TimeSpan::seconds(60);
/// Shortest wait that is accepted from a response. The longest accepted wait is `MAX_WAIT`, because the
/// window of the primary limit is one hour.
pub(in crate::http) const MIN_WAIT: TimeSpan = TimeSpan::seconds(1);
pub(in crate::http) const MAX_WAIT: TimeSpan = TimeSpan::minutes(60);

/// Maximum number of calls that create something within each time span; empty if there is no limit.
pub(super) type CreationLimits = [(usize, TimeSpan)];

/// The kind of secondary limit that was hit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::http) enum SecondaryLimit {
    /// The response contains the time to wait.
    WithWait,
    /// The response contains no time to wait, so each consecutive limit doubles the wait.
    WithoutWait,
}

/// The kinds of calls that the forge counts separately.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RateResource {
    Core,
    GraphQl,
}

impl RateResource {
    pub(super) fn from_url(url: &Url) -> Self {
        if url.path().ends_with("/graphql") { Self::GraphQl } else { Self::Core }
    }
}

/// The limits of one `RateLimitOwner`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct OwnerLimitState {
    /// Time before which no call is sent.
    paused: Option<UnixMillis>,
    /// Number of consecutive secondary limits whose responses contained no wait.
    strikes: u32,
    /// For each kind of call with no calls left, the time at which calls are available again.
    spent: BTreeMap<RateResource, UnixMillis>,
    /// Times of the calls that created something within the longest window, oldest first.
    created: VecDeque<UnixMillis>,
}

impl OwnerLimitState {
    /// Returns the time to wait if the call must not be sent now, and `None` if it may be sent. A call with
    /// `creation_limits` creates something; it is counted if it may be sent.
    pub(super) fn admit(
        &mut self,
        resource: RateResource,
        creation_limits: Option<&CreationLimits>,
        now: UnixMillis,
    ) -> Option<TimeSpan> {
        let spent = self.spent.get(&resource).and_then(|until| remaining_wait(*until, now));
        let wait = self.remaining_pause(now).max(spent);
        wait.or_else(|| creation_limits.and_then(|creations| self.count_creation(creations, now)))
    }

    /// Removes the last counted creation, because the call was not sent.
    pub(super) fn uncount_creation(&mut self) {
        self.created.pop_back();
    }

    /// Records a secondary limit: all calls wait. Returns the wait.
    pub(super) fn record_secondary_limit(
        &mut self,
        secondary_limit: SecondaryLimit,
        wait: TimeSpan,
        now: UnixMillis,
    ) -> TimeSpan {
        let wait = match secondary_limit {
            SecondaryLimit::WithWait => wait,
            SecondaryLimit::WithoutWait => {
                // Several calls may be in progress when the limit is hit. Their rejections together count as
                // one strike.
                if self.remaining_pause(now).is_none() {
                    self.strikes = self.strikes.saturating_add(1);
                }
                let times = self.strikes.saturating_sub(1).min(16);
                TimeSpan(DEFAULT_WAIT.0.saturating_mul(1 << times)).min(MAX_WAIT)
            }
        };
        self.paused = self.paused.max(Some(now + wait));
        wait
    }

    /// Records a successful call. Returns true if the success has reset the number of strikes.
    pub(super) fn record_success(&mut self, now: UnixMillis) -> bool {
        let ends = self.strikes > 0 && self.remaining_pause(now).is_none();
        if ends {
            self.strikes = 0;
        }
        ends
    }

    /// Records the time at which calls of this kind are available again; `None` if some calls are left.
    pub(super) fn record_exhausted_resource(
        &mut self,
        resource: RateResource,
        available_at: Option<UnixMillis>,
    ) {
        match available_at {
            Some(until) => self.spent.insert(resource, until),
            None => self.spent.remove(&resource),
        };
    }

    /// Copies the waits and strikes from another state. The other state's clock is ahead of ours by
    /// `clock_skew`.
    pub(super) fn merge_pauses(&mut self, other: &Self, clock_skew: TimeSpan) {
        let here = |until: UnixMillis| until + TimeSpan(clock_skew.0.saturating_neg());
        self.strikes = other.strikes;
        self.paused = self.paused.max(other.paused.map(here));
        for (resource, until) in &other.spent {
            let spent = self.spent.entry(*resource).or_default();
            *spent = here(*until).max(*spent);
        }
    }

    /// Returns true if the state contains a wait, a strike or a counted creation that still applies.
    pub(super) fn has_active_limits(&self, now: UnixMillis) -> bool {
        let ahead = |until: &UnixMillis| remaining_wait(*until, now).is_some();
        let last = self.created.back().is_some_and(|last| remaining_wait(*last + MAX_WAIT, now).is_some());
        last || self.strikes > 0 || self.paused.iter().chain(self.spent.values()).any(ahead)
    }

    fn remaining_pause(&self, now: UnixMillis) -> Option<TimeSpan> {
        self.paused.and_then(|until| remaining_wait(until, now))
    }

    /// Counts a call that creates something, or returns the time until such a call is allowed.
    fn count_creation(&mut self, creation_limits: &CreationLimits, now: UnixMillis) -> Option<TimeSpan> {
        let longest = creation_limits.iter().map(|(_, window)| *window).max()?;
        self.created.retain(|at| (0..longest.0).contains(&(now - *at).0));
        let waits = creation_limits.iter().filter_map(|(most, window)| {
            // A window may contain `most` creations. A new creation is allowed only if the `most`th creation
            // before it is older than the window.
            let oldest = self.created.iter().rev().nth(most.checked_sub(1)?)?;
            remaining_wait(*oldest + *window, now)
        });
        let wait = waits.max();
        if wait.is_none() {
            self.created.push_back(now);
        }
        wait
    }
}

/// Returns the remaining time of a wait. If the remaining time is longer than `MAX_WAIT`, the clock was set
/// back, so the wait is ignored.
fn remaining_wait(until: UnixMillis, now: UnixMillis) -> Option<TimeSpan> {
    Some(until - now).filter(|left| (1..=MAX_WAIT.0).contains(&left.0))
}
