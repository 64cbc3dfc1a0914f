//! The limits of one payer as far as they are known: pure, instants are arguments. Each process has one for
//! itself, and all processes have one in common, as text.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};
use truing_core::id::{TimeSpan, UnixMillis};
use url::Url;

/// The wait where a rate limit names no time: the minimum that GitHub asks for.
/// <https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api>
pub(in crate::http) const DEFAULT_WAIT: TimeSpan = TimeSpan::seconds(60);
/// The shortest and longest wait that is believed: the window of the primary limit is one hour.
pub(in crate::http) const MIN_WAIT: TimeSpan = TimeSpan::seconds(1);
pub(in crate::http) const MAX_WAIT: TimeSpan = TimeSpan::minutes(60);

/// The most calls that create something in a span of time; empty: any number.
pub(super) type CreationLimits = [(usize, TimeSpan)];

/// The kind of secondary limit that was hit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::http) enum SecondaryLimit {
    /// The forge says how long to wait.
    Asked,
    /// It does not: longer each time.
    Unasked,
}

/// The kinds of calls that are counted apart.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RateResource {
    Core,
    GraphQl,
}

impl RateResource {
    pub(super) fn of(url: &Url) -> Self {
        if url.path().ends_with("/graphql") { Self::GraphQl } else { Self::Core }
    }
}

/// The state of one payer's limits.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct PayerLimits {
    /// Nobody calls before then.
    paused: Option<UnixMillis>,
    /// Secondary limits in a row that named no wait.
    strikes: u32,
    /// The instant of the next calls, of those kinds of which none is left.
    spent: BTreeMap<RateResource, UnixMillis>,
    /// The instants at which something was created in the longest window, oldest first.
    created: VecDeque<UnixMillis>,
}

impl PayerLimits {
    /// The wait of a call, if it is not to be sent now. One that creates something (then there are
    /// `creations`) is counted if it is.
    pub(super) fn admit(
        &mut self,
        resource: RateResource,
        creations: Option<&CreationLimits>,
        now: UnixMillis,
    ) -> Option<TimeSpan> {
        let spent = self.spent.get(&resource).and_then(|until| left(*until, now));
        let wait = self.pause(now).max(spent);
        wait.or_else(|| creations.and_then(|creations| self.create(creations, now)))
    }

    /// The last one that was counted was not sent after all.
    pub(super) fn not_created(&mut self) {
        self.created.pop_back();
    }

    /// A secondary limit was met: all calls wait. How long.
    pub(super) fn hit(&mut self, brake: SecondaryLimit, wait: TimeSpan, now: UnixMillis) -> TimeSpan {
        let wait = match brake {
            SecondaryLimit::Asked => wait,
            SecondaryLimit::Unasked => {
                // Calls that were under way when the first of them was refused are one strike.
                if self.pause(now).is_none() {
                    self.strikes = self.strikes.saturating_add(1);
                }
                let times = self.strikes.saturating_sub(1).min(16);
                TimeSpan(DEFAULT_WAIT.0.saturating_mul(1 << times)).min(MAX_WAIT)
            }
        };
        self.paused = self.paused.max(Some(now + wait));
        wait
    }

    /// A call was answered as it should. True: there are no strikes any more.
    pub(super) fn went_well(&mut self, now: UnixMillis) -> bool {
        let ends = self.strikes > 0 && self.pause(now).is_none();
        if ends {
            self.strikes = 0;
        }
        ends
    }

    /// There are no calls of this kind before then; none: there are some.
    pub(super) fn told(&mut self, resource: RateResource, spent: Option<UnixMillis>) {
        match spent {
            Some(until) => self.spent.insert(resource, until),
            None => self.spent.remove(&resource),
        };
    }

    /// Takes over for how long nobody calls, from an account whose instants are ahead by so much.
    pub(super) fn learn(&mut self, other: &Self, ahead: TimeSpan) {
        let here = |until: UnixMillis| until + TimeSpan(ahead.0.saturating_neg());
        self.strikes = other.strikes;
        self.paused = self.paused.max(other.paused.map(here));
        for (resource, until) in &other.spent {
            let spent = self.spent.entry(*resource).or_default();
            *spent = here(*until).max(*spent);
        }
    }

    /// Is there anything in it that counts now?
    pub(super) fn matters(&self, now: UnixMillis) -> bool {
        let ahead = |until: &UnixMillis| left(*until, now).is_some();
        let last = self.created.back().is_some_and(|last| left(*last + MAX_WAIT, now).is_some());
        last || self.strikes > 0 || self.paused.iter().chain(self.spent.values()).any(ahead)
    }

    fn pause(&self, now: UnixMillis) -> Option<TimeSpan> {
        self.paused.and_then(|until| left(until, now))
    }

    /// Counts a creating call; or how long until there may be one.
    fn create(&mut self, creations: &CreationLimits, now: UnixMillis) -> Option<TimeSpan> {
        let longest = creations.iter().map(|(_, window)| *window).max()?;
        self.created.retain(|at| (0..longest.0).contains(&(now - *at).0));
        let waits = creations.iter().filter_map(|(most, window)| {
            // The oldest of the last so many must be out of the window.
            let oldest = self.created.iter().rev().nth(most.checked_sub(1)?)?;
            left(*oldest + *window, now)
        });
        let wait = waits.max();
        if wait.is_none() {
            self.created.push_back(now);
        }
        wait
    }
}

/// The rest of a wait. One that is longer than any is of a clock that was set back.
fn left(until: UnixMillis, now: UnixMillis) -> Option<TimeSpan> {
    Some(until - now).filter(|left| (1..=MAX_WAIT.0).contains(&left.0))
}
