//! A circuit breaker. If a service fails repeatedly, or reports that a cap is reached, the breaker refuses
//! calls for some time. After that time, it admits one trial call, whose result decides about all further
//! calls. Pure: times are arguments.

use serde::{Deserialize, Serialize};

use crate::id::{TimeSpan, UnixMillis};

/// Number of consecutive failed calls that open the circuit.
pub const FAILURE_THRESHOLD: u32 = 3;
/// Time for which the circuit stays open after it was closed. Each failed trial doubles this time.
pub const MIN_OPEN_PERIOD: TimeSpan = TimeSpan::seconds(30);
/// Maximum time for which the circuit stays open.
pub const MAX_OPEN_PERIOD: TimeSpan = TimeSpan::minutes(60);
/// Time for which the circuit stays open after a cap is reached, if the service does not report for how long
/// the cap applies.
pub const DEFAULT_CAP_PERIOD: TimeSpan = TimeSpan::minutes(10);
/// Time after which an unfinished trial is dropped and another call may become the trial.
pub const TRIAL_TIMEOUT: TimeSpan = TimeSpan::minutes(20);

/// Reason for which a circuit is open.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TripReason {
    /// Several consecutive calls failed.
    Failures,
    /// A cap on spending is reached.
    #[serde(rename = "cap")]
    SpendingCap,
}

/// State of an open circuit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OpenCircuit {
    #[serde(rename = "why")]
    pub reason: TripReason,
    /// Time at which a trial call is permitted.
    pub until: UnixMillis,
}

/// Kind of permission that a call received.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CallAdmission {
    /// A normal call on a closed circuit.
    Normal,
    /// The one trial call: its caller must report the result or call [`CircuitBreaker::abandon_trial`].
    Trial,
}

#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CircuitBreaker {
    state: CircuitState,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum CircuitState {
    /// Every call is admitted.
    Closed { failures: u32 },
    /// No call is admitted until the time in `circuit`. `open_period` is the length of the open period.
    Open {
        #[serde(rename = "open")]
        circuit: OpenCircuit,
        #[serde(rename = "last")]
        open_period: TimeSpan,
    },
    /// One trial call is running.
    Trial {
        #[serde(rename = "since")]
        started_at: UnixMillis,
        #[serde(rename = "why")]
        reason: TripReason,
        #[serde(rename = "last")]
        open_period: TimeSpan,
    },
}

impl Default for CircuitState {
    fn default() -> Self {
        Self::Closed { failures: 0 }
    }
}

impl CircuitBreaker {
    /// Requests permission to make a call. A caller whose call is admitted must report the result with
    /// [`Self::record_success`], [`Self::record_failure`] or [`Self::record_cap_reached`]. If a trial ends
    /// without a result, the caller must call [`Self::abandon_trial`].
    ///
    /// # Errors
    /// [`OpenCircuit`] if the call must not be made.
    pub fn admit(&mut self, now: UnixMillis) -> Result<CallAdmission, OpenCircuit> {
        let (reason, last) = match &self.state {
            CircuitState::Closed { .. } => return Ok(CallAdmission::Normal),
            CircuitState::Open { circuit: open, .. } if is_plausible_future(open.until, now) => {
                return Err(*open);
            }
            CircuitState::Trial { started_at: since, reason, .. }
                if is_plausible_future(*since + TRIAL_TIMEOUT, now) =>
            {
                return Err(OpenCircuit { reason: *reason, until: *since + TRIAL_TIMEOUT });
            }
            CircuitState::Open { circuit: open, open_period: last } => (open.reason, *last),
            CircuitState::Trial { reason, open_period: last, .. } => (*reason, *last),
        };
        self.state = CircuitState::Trial { started_at: now, reason, open_period: last };
        Ok(CallAdmission::Trial)
    }

    /// Returns the state of the circuit if it is open. A caller whose call was admitted before the circuit
    /// opened uses this state to decide whether to continue.
    pub fn open_state(&self, now: UnixMillis) -> Option<OpenCircuit> {
        match &self.state {
            CircuitState::Open { circuit: open, .. } => {
                Some(*open).filter(|open| is_plausible_future(open.until, now))
            }
            CircuitState::Closed { .. } | CircuitState::Trial { .. } => None,
        }
    }

    /// Records a successful call and closes the circuit.
    pub fn record_success(&mut self) {
        self.state = CircuitState::default();
    }

    /// Records a failed call. Callers report only failures that would also affect other calls.
    pub fn record_failure(&mut self, now: UnixMillis) {
        self.state = match &self.state {
            CircuitState::Closed { failures } if failures.saturating_add(1) < FAILURE_THRESHOLD => {
                CircuitState::Closed { failures: failures.saturating_add(1) }
            }
            CircuitState::Closed { .. } => open_circuit(TripReason::Failures, now, MIN_OPEN_PERIOD),
            // The failed call began before the circuit opened, so the failure changes nothing.
            CircuitState::Open { .. } => return,
            CircuitState::Trial { reason: why, open_period: last, .. } => {
                open_circuit(*why, now, TimeSpan(last.0.saturating_mul(2)))
            }
        };
    }

    /// Records that a cap is reached. The circuit opens for `span`, or for [`DEFAULT_CAP_PERIOD`] if `span`
    /// is not known.
    pub fn record_cap_reached(&mut self, now: UnixMillis, span: Option<TimeSpan>) {
        self.state = open_circuit(TripReason::SpendingCap, now, span.unwrap_or(DEFAULT_CAP_PERIOD));
    }

    /// Converts the stored times to a clock that is `lead` ahead of the present clock.
    #[must_use]
    pub fn shift_clock_by(self, lead: TimeSpan) -> Self {
        let state = match self.state {
            CircuitState::Closed { failures } => CircuitState::Closed { failures },
            CircuitState::Open { circuit: open, open_period: last } => CircuitState::Open {
                circuit: OpenCircuit { until: open.until + lead, ..open },
                open_period: last,
            },
            CircuitState::Trial { started_at: since, reason: why, open_period: last } => {
                CircuitState::Trial { started_at: since + lead, reason: why, open_period: last }
            }
        };
        Self { state }
    }

    /// Ends a trial whose result allows no conclusion about the service. The circuit stays open until
    /// `until`, and the next call after this time becomes a trial.
    pub fn abandon_trial(&mut self, until: UnixMillis) {
        if let CircuitState::Trial { reason: why, open_period: last, .. } = self.state {
            self.state =
                CircuitState::Open { circuit: OpenCircuit { reason: why, until }, open_period: last };
        }
    }
}

fn open_circuit(reason: TripReason, now: UnixMillis, span: TimeSpan) -> CircuitState {
    let span = span.clamp(MIN_OPEN_PERIOD, MAX_OPEN_PERIOD);
    CircuitState::Open { circuit: OpenCircuit { reason, until: now + span }, open_period: span }
}

/// Returns true if the time is in the future. A time that is more than [`LONGEST`] ahead counts as past,
/// because the clock must have been set back since the time was stored.
fn is_plausible_future(time: UnixMillis, now: UnixMillis) -> bool {
    (1..=MAX_OPEN_PERIOD.0).contains(&(time - now).0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEST_START: UnixMillis = UnixMillis(1_000_000);

    fn time_after(span: TimeSpan) -> UnixMillis {
        TEST_START + span
    }

    #[test]
    fn failures_in_a_row_open_it_and_one_success_between_them_does_not_count() {
        let mut breaker = CircuitBreaker::default();
        breaker.record_failure(TEST_START);
        breaker.record_failure(TEST_START);
        breaker.record_success();
        breaker.record_failure(TEST_START);
        breaker.record_failure(TEST_START);
        assert_eq!(breaker.admit(TEST_START), Ok(CallAdmission::Normal));
        breaker.record_failure(TEST_START);
        assert_eq!(
            breaker.admit(TEST_START),
            Err(OpenCircuit { reason: TripReason::Failures, until: time_after(MIN_OPEN_PERIOD) })
        );
    }

    #[test]
    fn one_trial_call_is_admitted_after_the_open_period() {
        let mut breaker = CircuitBreaker::default();
        breaker.record_cap_reached(TEST_START, Some(TimeSpan::seconds(90)));
        let open = OpenCircuit { reason: TripReason::SpendingCap, until: time_after(TimeSpan::seconds(90)) };
        assert_eq!(breaker.admit(time_after(TimeSpan::seconds(89))), Err(open));
        assert_eq!(breaker.open_state(time_after(TimeSpan::seconds(89))), Some(open));
        assert_eq!(breaker.admit(open.until), Ok(CallAdmission::Trial));
        assert!(breaker.admit(open.until).is_err(), "a second one while the first is on its way");
        assert_eq!(breaker.open_state(open.until), None, "the trial itself may go on");
        breaker.record_success();
        assert_eq!(breaker.admit(open.until), Ok(CallAdmission::Normal));
        assert_eq!(breaker.admit(open.until), Ok(CallAdmission::Normal));
    }

    #[test]
    fn a_failed_trial_doubles_the_wait_up_to_a_bound() {
        let mut breaker = CircuitBreaker::default();
        breaker.record_cap_reached(TEST_START, Some(MIN_OPEN_PERIOD));
        let mut now = time_after(MIN_OPEN_PERIOD);
        for doubled in [2, 4, 8, 16, 32, 64, 120, 120] {
            assert_eq!(breaker.admit(now), Ok(CallAdmission::Trial));
            breaker.record_failure(now);
            let until = now + TimeSpan::seconds(30 * doubled);
            assert_eq!(
                breaker.admit(now),
                Err(OpenCircuit { reason: TripReason::SpendingCap, until }),
                "{doubled}"
            );
            now = until;
        }
    }

    #[test]
    fn an_abandoned_or_expired_trial_admits_another_trial() {
        let mut breaker = CircuitBreaker::default();
        breaker.record_cap_reached(TEST_START, None);
        let now = time_after(DEFAULT_CAP_PERIOD);
        assert_eq!(breaker.admit(now), Ok(CallAdmission::Trial));
        breaker.abandon_trial(now);
        assert_eq!(breaker.admit(now), Ok(CallAdmission::Trial));
        assert!(breaker.admit(now).is_err());
        assert_eq!(breaker.admit(now + TRIAL_TIMEOUT), Ok(CallAdmission::Trial));
    }

    #[test]
    fn shift_clock_by_keeps_the_remaining_periods() {
        let hour = TimeSpan::minutes(60);
        let mut breaker = CircuitBreaker::default();
        breaker.record_failure(TEST_START);
        assert_eq!(breaker.clone().shift_clock_by(hour), breaker);
        breaker.record_cap_reached(TEST_START, None);
        let mut ahead = breaker.shift_clock_by(hour);
        assert_eq!(
            ahead.open_state(TEST_START + hour),
            Some(OpenCircuit {
                reason: TripReason::SpendingCap,
                until: time_after(DEFAULT_CAP_PERIOD) + hour
            })
        );
        assert_eq!(ahead.admit(time_after(DEFAULT_CAP_PERIOD) + hour), Ok(CallAdmission::Trial));
        let mut back = ahead.shift_clock_by(TimeSpan(-hour.0));
        assert!(back.admit(UnixMillis((time_after(DEFAULT_CAP_PERIOD) + TRIAL_TIMEOUT).0 - 1)).is_err());
        assert_eq!(back.admit(time_after(DEFAULT_CAP_PERIOD) + TRIAL_TIMEOUT), Ok(CallAdmission::Trial));
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_keep_it_open() {
        let mut breaker = CircuitBreaker::default();
        breaker.record_cap_reached(TEST_START, None);
        assert_eq!(breaker.admit(UnixMillis(TEST_START.0 - MAX_OPEN_PERIOD.0 * 2)), Ok(CallAdmission::Trial));
    }

    proptest! {
        /// After any sequence of events, a call is admitted at most `LONGEST` after the last event.
        #[test]
        fn a_call_is_admitted_after_the_maximum_open_period(events in prop::collection::vec((0..5_u8, 0..4_000_000_i64),
            0..40)) {
            let mut breaker = CircuitBreaker::default();
            let mut now = TEST_START;
            for (event, later) in events {
                now = now + TimeSpan(later);
                match event {
                    0 => drop(breaker.admit(now)),
                    1 => breaker.record_success(),
                    2 => breaker.record_failure(now),
                    3 => breaker.record_cap_reached(now, Some(TimeSpan(later))),
                    _ => breaker.abandon_trial(now),
                }
            }
            prop_assert!(breaker.admit(now + MAX_OPEN_PERIOD).is_ok());
        }
    }
}
