//! A circuit: who fails again and again, or says that no more is wanted, is left alone for a while; then one call
//! tries for all. Pure: instants are arguments.

use serde::{Deserialize, Serialize};

use crate::id::{Millis, Span};

/// So many calls that fail one after another open the circuit.
pub const FAILURES: u32 = 3;
/// How long it is open after that; twice as long each time that a trial fails.
pub const SHORTEST: Span = Span::seconds(30);
/// The longest that it is open.
pub const LONGEST: Span = Span::minutes(60);
/// How long it is open when a cap is reached and nobody says for how long.
pub const CAPPED: Span = Span::minutes(10);
/// A trial that has not ended after this is forgotten, and another call may try.
pub const TRIAL: Span = Span::minutes(20);

/// Why a circuit is open.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// Calls failed.
    Failures,
    /// A cap on spending is reached.
    Cap,
}

/// The circuit is open.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Open {
    /// Why.
    pub why: Why,
    /// Not to be tried before.
    pub until: Millis,
}

/// How a call was let through.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pass {
    /// As everybody.
    Free,
    /// As the one that tries for all: it must tell how it ended, or give up.
    Trial,
}

/// A circuit.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Breaker {
    state: State,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum State {
    /// Everybody may call.
    Closed { failures: u32 },
    /// Nobody may.
    Open { open: Open, last: Span },
    /// One does.
    Trial { since: Millis, why: Why, last: Span },
}

impl Default for State {
    fn default() -> Self {
        Self::Closed { failures: 0 }
    }
}

impl Breaker {
    /// Before a call. Whoever is let through tells how it ended: [`Self::succeeded`], [`Self::failed`] or
    /// [`Self::trip`]; a trial that ends otherwise, [`Self::given_up`].
    ///
    /// # Errors
    /// [`Open`]: it is not to be made.
    pub fn admit(&mut self, now: Millis) -> Result<Pass, Open> {
        let (why, last) = match &self.state {
            State::Closed { .. } => return Ok(Pass::Free),
            State::Open { open, .. } if lies_ahead(open.until, now) => return Err(*open),
            State::Trial { since, why, .. } if lies_ahead(*since + TRIAL, now) => {
                return Err(Open { why: *why, until: *since + TRIAL });
            }
            State::Open { open, last } => (open.why, *last),
            State::Trial { why, last, .. } => (*why, *last),
        };
        self.state = State::Trial { since: now, why, last };
        Ok(Pass::Trial)
    }

    /// Was it opened, by whatever else went on? For calls that were let through and want to go on.
    pub fn open(&self, now: Millis) -> Option<Open> {
        match &self.state {
            State::Open { open, .. } => Some(*open).filter(|open| lies_ahead(open.until, now)),
            State::Closed { .. } | State::Trial { .. } => None,
        }
    }

    /// A call went well: everybody may call.
    pub fn succeeded(&mut self) {
        self.state = State::default();
    }

    /// A call failed, in a way that others would, too.
    pub fn failed(&mut self, now: Millis) {
        self.state = match &self.state {
            State::Closed { failures } if failures.saturating_add(1) < FAILURES => {
                State::Closed { failures: failures.saturating_add(1) }
            }
            State::Closed { .. } => opened(Why::Failures, now, SHORTEST),
            // It was on its way when the circuit opened.
            State::Open { .. } => return,
            State::Trial { why, last, .. } => opened(*why, now, Span(last.0.saturating_mul(2))),
        };
    }

    /// A cap is reached: nobody may call, for so long if that is known.
    pub fn trip(&mut self, now: Millis, span: Option<Span>) {
        self.state = opened(Why::Cap, now, span.unwrap_or(CAPPED));
    }

    /// The same by a clock that is ahead by so much.
    #[must_use]
    pub fn by_clock_ahead(self, by: Span) -> Self {
        let state = match self.state {
            State::Closed { failures } => State::Closed { failures },
            State::Open { open, last } => State::Open { open: Open { until: open.until + by, ..open }, last },
            State::Trial { since, why, last } => State::Trial { since: since + by, why, last },
        };
        Self { state }
    }

    /// The trial ended without saying anything of the other side: the next call is one.
    pub fn given_up(&mut self, now: Millis) {
        if let State::Trial { why, last, .. } = self.state {
            self.state = State::Open { open: Open { why, until: now }, last };
        }
    }
}

fn opened(why: Why, now: Millis, span: Span) -> State {
    let span = span.clamp(SHORTEST, LONGEST);
    State::Open { open: Open { why, until: now + span }, last: span }
}

/// Is it still to come? What is further away than anything lasts is of a clock that was set back.
fn lies_ahead(until: Millis, now: Millis) -> bool {
    (1..=LONGEST.0).contains(&(until - now).0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const T: Millis = Millis(1_000_000);

    fn after(span: Span) -> Millis {
        T + span
    }

    #[test]
    fn failures_in_a_row_open_it_and_one_success_between_them_does_not_count() {
        let mut breaker = Breaker::default();
        breaker.failed(T);
        breaker.failed(T);
        breaker.succeeded();
        breaker.failed(T);
        breaker.failed(T);
        assert_eq!(breaker.admit(T), Ok(Pass::Free));
        breaker.failed(T);
        assert_eq!(breaker.admit(T), Err(Open { why: Why::Failures, until: after(SHORTEST) }));
    }

    #[test]
    fn one_call_tries_for_all() {
        let mut breaker = Breaker::default();
        breaker.trip(T, Some(Span::seconds(90)));
        let open = Open { why: Why::Cap, until: after(Span::seconds(90)) };
        assert_eq!(breaker.admit(after(Span::seconds(89))), Err(open));
        assert_eq!(breaker.open(after(Span::seconds(89))), Some(open));
        assert_eq!(breaker.admit(open.until), Ok(Pass::Trial));
        assert!(breaker.admit(open.until).is_err(), "a second one while the first is on its way");
        assert_eq!(breaker.open(open.until), None, "the trial itself may go on");
        breaker.succeeded();
        assert_eq!(breaker.admit(open.until), Ok(Pass::Free));
        assert_eq!(breaker.admit(open.until), Ok(Pass::Free));
    }

    #[test]
    fn a_failed_trial_doubles_the_wait_up_to_a_bound() {
        let mut breaker = Breaker::default();
        breaker.trip(T, Some(SHORTEST));
        let mut now = after(SHORTEST);
        for doubled in [2, 4, 8, 16, 32, 64, 120, 120] {
            assert_eq!(breaker.admit(now), Ok(Pass::Trial));
            breaker.failed(now);
            let until = now + Span::seconds(30 * doubled);
            assert_eq!(breaker.admit(now), Err(Open { why: Why::Cap, until }), "{doubled}");
            now = until;
        }
    }

    #[test]
    fn a_trial_that_was_given_up_or_forgotten_leaves_its_place() {
        let mut breaker = Breaker::default();
        breaker.trip(T, None);
        let now = after(CAPPED);
        assert_eq!(breaker.admit(now), Ok(Pass::Trial));
        breaker.given_up(now);
        assert_eq!(breaker.admit(now), Ok(Pass::Trial));
        assert!(breaker.admit(now).is_err());
        assert_eq!(breaker.admit(now + TRIAL), Ok(Pass::Trial));
    }

    #[test]
    fn by_another_clock_it_is_open_and_tried_for_the_same_time() {
        let hour = Span::minutes(60);
        let mut breaker = Breaker::default();
        breaker.failed(T);
        assert_eq!(breaker.clone().by_clock_ahead(hour), breaker);
        breaker.trip(T, None);
        let mut ahead = breaker.by_clock_ahead(hour);
        assert_eq!(ahead.open(T + hour), Some(Open { why: Why::Cap, until: after(CAPPED) + hour }));
        assert_eq!(ahead.admit(after(CAPPED) + hour), Ok(Pass::Trial));
        let mut back = ahead.by_clock_ahead(Span(-hour.0));
        assert!(back.admit(Millis((after(CAPPED) + TRIAL).0 - 1)).is_err());
        assert_eq!(back.admit(after(CAPPED) + TRIAL), Ok(Pass::Trial));
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_keep_it_open() {
        let mut breaker = Breaker::default();
        breaker.trip(T, None);
        assert_eq!(breaker.admit(Millis(T.0 - LONGEST.0 * 2)), Ok(Pass::Trial));
    }

    proptest! {
        /// Whatever happens, a call is let through within the longest wait after the last event.
        #[test]
        fn it_always_opens_the_way_again(events in prop::collection::vec((0..5_u8, 0..4_000_000_i64), 0..40)) {
            let mut breaker = Breaker::default();
            let mut now = T;
            for (event, later) in events {
                now = now + Span(later);
                match event {
                    0 => drop(breaker.admit(now)),
                    1 => breaker.succeeded(),
                    2 => breaker.failed(now),
                    3 => breaker.trip(now, Some(Span(later))),
                    _ => breaker.given_up(now),
                }
            }
            prop_assert!(breaker.admit(now + LONGEST).is_ok());
        }
    }
}
