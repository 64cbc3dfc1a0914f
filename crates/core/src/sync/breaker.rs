//! The circuit breaker of a job that follows a package. After repeated failures on one release, the breaker
//! opens: Truing asks users a question, and skips further runs. After a user's answer or a change of the
//! target, one trial run may begin.
//!
//! New releases may appear almost daily, so consecutive failures on different releases are counted, too. When
//! this count reaches its limit, only a user's answer permits another run.
//!
//! ```text
//!              failures of one target, or of the job
//!   closed ─────────────────────────────────────────▶ open: a question is asked, runs are skipped
//!      ▲                                               │ an answer, or another target
//!      └────────────── success ──── one run tries ◀────┘  (failure: open again)
//! ```
//!
//! Pure. A run that never reported its end counts as failed, so the breaker also limits runs that crash.

use serde::{Deserialize, Serialize};

use crate::id::{CommentId, UnixMillis};
use crate::line::clean_line;

/// Number of latest failures that are stored for the question's text.
pub const MAX_STORED_FAILURES: usize = 10;

/// Maximum length in characters of a failure's stored reason.
pub const MAX_FAILURE_REASON_CHARS: usize = 500;

/// Numbers of consecutive failures at which the breaker opens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct JobBreakerLimits {
    /// Number of consecutive failures on one target.
    pub target_failures: u32,
    /// Number of consecutive failures of the job, regardless of the target.
    pub job_failures: u32,
}

impl Default for JobBreakerLimits {
    fn default() -> Self {
        Self { target_failures: 3, job_failures: 5 }
    }
}

/// The target of a run: one release and one manifest. A run with another release or a changed manifest has
/// another target.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SyncTarget {
    pub version: String,
    /// Digest of the manifest, in hexadecimal digits.
    #[serde(rename = "manifest")]
    pub manifest_digest: String,
}

/// A failed run of a job.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SyncFailure {
    /// End of the run. If the run never reported its end, the time at which the breaker noticed the missing
    /// report.
    #[serde(rename = "at")]
    pub failed_at: UnixMillis,
    /// Release that the run tried; empty if the run failed before the release was known.
    pub version: String,
    /// Reason as text for users.
    #[serde(rename = "why")]
    pub reason: String,
}

/// The reason why the breaker opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobTripReason {
    /// The number of failures on one target reached its limit. A run for another target may begin.
    Target,
    /// The number of consecutive failures of the job on all targets reached its limit. Only a user's answer
    /// permits another run.
    Streak,
}

/// The reason why the breaker is open, and the time at which it opened.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct JobBreakerTrip {
    #[serde(rename = "why")]
    pub reason: JobTripReason,
    /// Time since which the breaker is open.
    pub since: UnixMillis,
}

/// The breaker's decision on a run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RunAdmission {
    /// The run may begin.
    Run,
    /// The breaker is open, but the run may begin as a trial. Its success closes the breaker; its failure
    /// keeps the breaker open.
    Trial,
    /// The run must not begin.
    Skip(JobBreakerTrip),
}

/// The outcome of a run, in the categories that the breaker distinguishes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BreakerOutcome {
    /// The run achieved its purpose.
    Success,
    /// The run asked a user or saved unfinished work. It does not count as a success or as a failure.
    Neutral,
    /// The run failed, for this reason.
    Failure(String),
    /// The run was stopped for a reason that has nothing to do with the target.
    Interrupted,
}

/// The breaker of one job.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct JobBreaker {
    /// Target of the latest admitted run. `failures` counts the failures on this target, for
    /// [`JobBreakerLimits::target_failures`].
    target: Option<SyncTarget>,
    /// Number of consecutive failures on `target`.
    #[serde(rename = "failures")]
    target_failures: u32,
    /// Number of consecutive failures of the job on all targets.
    streak: u32,
    #[serde(rename = "open")]
    trip: Option<JobBreakerTrip>,
    /// Run that has begun and has not reported its end.
    running: Option<RunInProgress>,
    /// Latest answer that permitted a trial run.
    #[serde(rename = "heard")]
    trial_answer: Option<CommentId>,
    /// Last failures, oldest first.
    #[serde(rename = "told")]
    recent_failures: Vec<SyncFailure>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct RunInProgress {
    /// Answer that permitted the run; `None` if the run needed no answer.
    answer: Option<CommentId>,
}

impl JobBreaker {
    /// Decides whether a run with this target may begin. The caller has to report the end of an admitted run
    /// with [`Self::record_end`]. `answer` is the newest comment by a trusted person after the
    /// answer that permitted the latest trial run; `None` if there is no such comment.
    pub fn admit(
        &mut self,
        target: &SyncTarget,
        answer: Option<&CommentId>,
        limits: JobBreakerLimits,
        now: UnixMillis,
    ) -> RunAdmission {
        self.record_lost_run(limits, now);
        let is_new = self.target.as_ref() != Some(target);
        let admission = match &self.trip {
            None => RunAdmission::Run,
            Some(open) if answer.is_none() && !(is_new && open.reason == JobTripReason::Target) => {
                return RunAdmission::Skip(open.clone());
            }
            Some(_) => RunAdmission::Trial,
        };
        if is_new {
            self.target = Some(target.clone());
            self.target_failures = 0;
        }
        self.running = Some(RunInProgress { answer: answer.cloned() });
        admission
    }

    /// If an earlier run never reported its end, counts it as failed and returns true. Called at the
    /// beginning of a run.
    pub fn record_lost_run(&mut self, limits: JobBreakerLimits, now: UnixMillis) -> bool {
        let is_lost = self.running.is_some();
        if is_lost {
            let reason = "the run stopped without a result: it was killed, or the machine went down";
            self.record_end(BreakerOutcome::Failure(reason.to_owned()), limits, now);
        }
        is_lost
    }

    /// Records the end of a run. A run that failed before its target was known was never admitted. Such a
    /// failure counts only for the job, and only while the breaker is closed.
    pub fn record_end(&mut self, outcome: BreakerOutcome, limits: JobBreakerLimits, now: UnixMillis) {
        let running = self.running.take();
        let is_trial = running.is_some() && self.trip.is_some();
        let answer = running.as_ref().and_then(|running| running.answer.clone());
        if outcome != BreakerOutcome::Interrupted && is_trial && answer.is_some() {
            self.trial_answer = answer;
        }
        match outcome {
            BreakerOutcome::Interrupted => {}
            BreakerOutcome::Success => self.reset(),
            // A trial that asked a user or saved unfinished work closes the breaker, but the next failure
            // opens it again.
            BreakerOutcome::Neutral if is_trial => {
                self.trip = None;
                self.target_failures = limits.target_failures.saturating_sub(1);
                self.streak = self.streak.min(limits.job_failures.saturating_sub(1));
            }
            BreakerOutcome::Neutral => {}
            BreakerOutcome::Failure(_) if running.is_none() && self.trip.is_some() => {}
            BreakerOutcome::Failure(reason) => {
                let target = self.target.as_ref().filter(|_| running.is_some());
                let version = target.map(|target| target.version.clone());
                self.target_failures = self.target_failures.saturating_add(u32::from(version.is_some()));
                self.streak = self.streak.saturating_add(1);
                self.recent_failures.push(SyncFailure {
                    failed_at: now,
                    version: version.unwrap_or_default(),
                    reason: clean_line(&reason, MAX_FAILURE_REASON_CHARS),
                });
                let surplus = self.recent_failures.len().saturating_sub(MAX_STORED_FAILURES);
                self.recent_failures.drain(..surplus);
                let reason = if self.streak >= limits.job_failures {
                    Some(JobTripReason::Streak)
                } else {
                    (is_trial || self.target_failures >= limits.target_failures)
                        .then_some(JobTripReason::Target)
                };
                self.trip = reason.map(|reason| JobBreakerTrip { reason, since: now });
            }
        }
    }

    /// Closes the breaker after a success or an operator's command. All failure counts are reset.
    pub fn reset(&mut self) {
        let heard = self.trial_answer.take();
        *self = Self { trial_answer: heard, ..Self::default() };
    }

    /// Returns the reason why the breaker is open, and the time at which it opened; `None` if the breaker is
    /// closed. While the breaker is open, a question to users is open at the forge.
    pub fn trip(&self) -> Option<&JobBreakerTrip> {
        self.trip.as_ref()
    }

    /// Returns true if a run has begun and has not reported its end.
    pub fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Returns the latest answer that permitted a trial run. Only a newer answer permits another trial.
    pub fn last_trial_answer(&self) -> Option<&CommentId> {
        self.trial_answer.as_ref()
    }

    /// Returns the target of the latest admitted run.
    pub fn target(&self) -> Option<&SyncTarget> {
        self.target.as_ref()
    }

    /// Returns the numbers of consecutive failures: on the latest target, and of the job on all targets.
    pub fn failure_counts(&self) -> (u32, u32) {
        (self.target_failures, self.streak)
    }

    /// Returns the last failures, oldest first.
    pub fn recent_failures(&self) -> &[SyncFailure] {
        &self.recent_failures
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: JobBreakerLimits = JobBreakerLimits { target_failures: 3, job_failures: 5 };
    const T: UnixMillis = UnixMillis(1_000_000);

    fn target(version: &str) -> SyncTarget {
        SyncTarget { version: version.into(), manifest_digest: "m".into() }
    }

    fn run_and_fail(breaker: &mut JobBreaker, version: &str) -> RunAdmission {
        let admission = breaker.admit(&target(version), None, LIMITS, T);
        breaker.record_end(BreakerOutcome::Failure("no".into()), LIMITS, T);
        admission
    }

    fn answer_id(text: &str) -> CommentId {
        CommentId::new(text)
    }

    #[test]
    fn three_failures_of_one_target_open_it_and_another_target_is_tried_once() {
        let mut breaker = JobBreaker::default();
        for _ in 0..3 {
            assert_eq!(run_and_fail(&mut breaker, "1"), RunAdmission::Run);
        }
        let open = JobBreakerTrip { reason: JobTripReason::Target, since: T };
        assert_eq!(breaker.admit(&target("1"), None, LIMITS, T), RunAdmission::Skip(open.clone()));
        assert_eq!(breaker.recent_failures().len(), 3);
        let other = SyncTarget { manifest_digest: "n".into(), ..target("1") };
        assert_eq!(breaker.admit(&other, None, LIMITS, T), RunAdmission::Trial, "the manifest changed");
        breaker.record_end(BreakerOutcome::Failure("no".into()), LIMITS, T);
        assert_eq!(breaker.admit(&other, None, LIMITS, T), RunAdmission::Skip(open));
    }

    #[test]
    fn releases_that_change_under_it_do_not_keep_it_trying() {
        let mut breaker = JobBreaker::default();
        for version in ["1", "2", "3", "4", "5"] {
            assert_eq!(run_and_fail(&mut breaker, version), RunAdmission::Run);
        }
        let open = JobBreakerTrip { reason: JobTripReason::Streak, since: T };
        assert_eq!(breaker.admit(&target("6"), None, LIMITS, T), RunAdmission::Skip(open.clone()));
        let first = answer_id("a");
        assert_eq!(breaker.admit(&target("6"), Some(&first), LIMITS, T), RunAdmission::Trial);
        breaker.record_end(BreakerOutcome::Failure("no".into()), LIMITS, T);
        assert_eq!(breaker.last_trial_answer(), Some(&first), "an answer is good for one run");
        assert_eq!(breaker.admit(&target("7"), None, LIMITS, T), RunAdmission::Skip(open));
        assert_eq!(breaker.admit(&target("7"), Some(&answer_id("b")), LIMITS, T), RunAdmission::Trial);
        breaker.record_end(BreakerOutcome::Success, LIMITS, T);
        assert_eq!((breaker.trip(), breaker.failure_counts()), (None, (0, 0)));
    }

    #[test]
    fn whoever_dies_has_failed_and_whoever_is_stopped_has_not() {
        let mut breaker = JobBreaker::default();
        for _ in 0..3 {
            assert_eq!(breaker.admit(&target("1"), None, LIMITS, T), RunAdmission::Run);
        }
        assert!(
            matches!(breaker.admit(&target("1"), None, LIMITS, T), RunAdmission::Skip(_)),
            "the third died, too"
        );
        let first = answer_id("a");
        assert_eq!(breaker.admit(&target("1"), Some(&first), LIMITS, T), RunAdmission::Trial);
        breaker.record_end(BreakerOutcome::Interrupted, LIMITS, T);
        assert_eq!(breaker.last_trial_answer(), None, "the answer still counts");
        assert_eq!(breaker.admit(&target("1"), Some(&first), LIMITS, T), RunAdmission::Trial);
        breaker.record_end(BreakerOutcome::Neutral, LIMITS, T);
        assert_eq!(breaker.trip(), None, "somebody is asked");
        assert_eq!(run_and_fail(&mut breaker, "1"), RunAdmission::Run);
        assert!(breaker.trip().is_some());
    }

    #[test]
    fn failures_before_a_target_is_known_count_for_the_job() {
        let mut breaker = JobBreaker::default();
        run_and_fail(&mut breaker, "1");
        for _ in 0..4 {
            assert_eq!(breaker.trip(), None);
            breaker.record_end(BreakerOutcome::Failure("the index is down".into()), LIMITS, T);
        }
        assert_eq!(breaker.trip(), Some(&JobBreakerTrip { reason: JobTripReason::Streak, since: T }));
        assert_eq!(breaker.failure_counts(), (1, 5));
        let before = breaker.clone();
        breaker.record_end(BreakerOutcome::Failure("the index is down".into()), LIMITS, T);
        assert_eq!(breaker, before, "what is not let through does not count");
        breaker.record_end(BreakerOutcome::Success, LIMITS, T);
        assert_eq!(breaker.trip(), None, "nothing is left to be done");
    }

    #[test]
    fn what_neither_failed_nor_succeeded_does_not_count() {
        let mut breaker = JobBreaker::default();
        for _ in 0..2 {
            run_and_fail(&mut breaker, "1");
        }
        breaker.admit(&target("1"), None, LIMITS, T);
        breaker.record_end(BreakerOutcome::Neutral, LIMITS, T);
        assert_eq!(breaker.failure_counts(), (2, 2));
        breaker.reset();
        assert_eq!(breaker, JobBreaker::default());
    }

    /// Generates releases, answers, run ends and crashes in any order.
    fn events() -> impl Strategy<Value = Vec<(u8, u8, u8)>> {
        prop::collection::vec((0..4_u8, 0..6_u8, 0..3_u8), 0..60)
    }

    proptest! {
        /// Checks that between two answers or successes at most `streak` runs fail, and at most `target` runs
        /// on one target. Also checks that runs are trials or skipped if, and only if, the breaker is open.
        #[test]
        fn no_more_runs_than_are_allowed_begin_without_an_answer(events in events()) {
            let mut breaker = JobBreaker::default();
            let (mut unanswered, mut of_target) = (0_u32, 0_u32);
            let mut last: Option<u8> = None;
            let mut comments = 0;
            for (version, event, extra) in events {
                let name = target(&version.to_string());
                let said = (extra == 0).then(|| { comments += 1; answer_id(&comments.to_string()) });
                let before = breaker.trip().cloned();
                let admission = breaker.admit(&name, said.as_ref(), LIMITS, T);
                if let RunAdmission::Skip(open) = &admission {
                    prop_assert_eq!(breaker.trip(), Some(open));
                    prop_assert!(said.is_none(), "an answer lets one run try");
                    continue;
                }
                prop_assert_eq!(admission == RunAdmission::Trial, breaker.trip().is_some(), "{:?}",
                    before);
                if last != Some(version) || said.is_some() { of_target = 0; }
                if said.is_some() { unanswered = 0; }
                last = Some(version);
                match event {
                    0 => { breaker.record_end(BreakerOutcome::Success, LIMITS, T); (unanswered,
                        of_target) = (0, 0); }
                    1 => breaker.record_end(BreakerOutcome::Neutral, LIMITS, T),
                    2 => breaker.record_end(BreakerOutcome::Interrupted, LIMITS, T),
                    3 => { unanswered += 1; of_target += 1; } // It dies.
                    _ => {
                        breaker.record_end(BreakerOutcome::Failure("no".into()), LIMITS, T);
                        unanswered += 1;
                        of_target += 1;
                    }
                }
                // This test resets its counts after an answer, because an answer permits a trial run even if
                // the limits are reached.
                prop_assert!(unanswered <= LIMITS.job_failures, "{} runs failed without an \
                    answer", unanswered);
                prop_assert!(of_target <= LIMITS.target_failures, "{} runs of one target", of_target);
                prop_assert!(breaker.recent_failures().len() <= MAX_STORED_FAILURES);
            }
        }
    }
}
