//! Simulations of converge runs on whole pull requests. A real [`ConvergeRun`] reacts to simulated forges of
//! every kind. Reviewers at these forges answer, answer late or do not answer. Users push, close the pull
//! request and comment.
//!
//! Each simulation ends within all limits. A pull request becomes ready only if one head meets all
//! requirements.

use std::collections::{BTreeMap, BTreeSet};

use truing_core::converge::readiness::{
    LastComment, MergeableState, ObservedReview, PullReadiness, PullSnapshot, ReadinessAction,
    ReadinessRules, RequiredReviewer, ReviewTextSignal, ReviewerCheck, ReviewerFeedback, ThreadAuthor,
    UnansweredFeedback, UnresolvedThread,
};
use truing_core::converge::{
    AuditorAnswer, ConvergeAction, ConvergeEvent, ConvergeExitCode, ConvergeExitKind, ConvergeLimits,
    ConvergeRun, FixerVerdict,
};
use truing_core::id::{Sha, ThreadId, TimeSpan, UnixMillis};
use truing_core::increment::FileRenames;
use truing_core::port::{PullState, ReviewState};

use super::readiness::{START, draft_snapshot, reviewer_feedback, rules};
use super::simulation::SeededGenerator;
use super::{audited_event, candidate, p1_finding, sha, verdict_for_all};

const FORGES: u64 = 1_000;
/// Maximum number of polls of a simulation. With a minute between polls, this is far longer than the sum of
/// all timeouts of all heads.
const MAX_LOOKS: u32 = 5_000;

struct ForgeSimulation {
    dice: SeededGenerator,
    /// Average number of polls between two adverse events, such as a failed check.
    calm: u64,
    /// Average number of polls between two answers of a reviewer.
    pace: u64,
    now: UnixMillis,
    rules: ReadinessRules,
    seen: PullSnapshot,
    run: ConvergeRun,
    ready: PullReadiness,
    /// Head that the run's own audit has cleared.
    cleared: Option<Sha>,
    /// Times at which each reviewer was asked for a review of each head.
    asked: BTreeMap<(Sha, String), Vec<UnixMillis>>,
    handed: BTreeSet<(Sha, ThreadId)>,
    heads: u64,
}

impl ForgeSimulation {
    fn new(seed: u64) -> Self {
        let mut dice = SeededGenerator(seed);
        let lists: [&[&str]; 5] = [
            &["internal"],
            &["internal", "bugbot"],
            &["internal", "bugbot", "copilot"],
            &["bugbot", "internal"],
            &["bugbot"],
        ];
        let mut rules = rules(lists[usize::try_from(dice.roll(5)).unwrap()]);
        for reviewer in &mut rules.reviewers {
            if let RequiredReviewer::External(rule) = reviewer {
                rule.is_required = dice.roll(2) == 0;
                rule.requests = u32::try_from(dice.roll(4)).unwrap();
            }
        }
        (rules.allow_declined, rules.auto_rebase) = (dice.roll(2) == 0, dice.roll(2) == 0);
        (rules.mark_ready, rules.resolve_threads) = (dice.roll(4) > 0, dice.roll(2) == 0);
        let limits = ConvergeLimits {
            max_audits: 1 + u32::try_from(dice.roll(6)).unwrap(),
            allow_declined: rules.allow_declined,
            ..ConvergeLimits::default()
        };
        let mut seen = draft_snapshot(1);
        seen.state = if dice.roll(3) == 0 { PullState::Open } else { PullState::Draft };
        Self {
            calm: [4, 40, 400][usize::try_from(dice.roll(3)).unwrap()],
            pace: [3, 60][usize::try_from(dice.roll(2)).unwrap()],
            dice,
            now: START,
            rules,
            seen,
            run: ConvergeRun::new(limits, sha(1), sha(1_000_001), None),
            ready: PullReadiness::new(sha(1), "main", START),
            cleared: None,
            asked: BTreeMap::new(),
            handed: BTreeSet::new(),
            heads: 1,
        }
    }

    fn roll_is_bad(&mut self) -> bool {
        self.dice.roll(self.calm) == 0
    }

    /// Simulates a push: creates a new head without feedback. Most of the existing comments are then on
    /// outdated lines.
    fn push(&mut self) -> Sha {
        self.heads += 1;
        self.seen.head = sha(self.heads);
        self.seen.committed = self.now;
        self.seen.reviewer_feedback.clear();
        for thread in &mut self.seen.threads {
            thread.is_outdated = self.dice.roll(4) > 0;
        }
        self.seen.head.clone()
    }

    /// Simulates the events at the forge between two polls.
    fn simulate_forge_events(&mut self) {
        for name in ["bugbot", "copilot"] {
            if self.dice.roll(self.pace) > 0 {
                continue;
            }
            let view = match (self.roll_is_bad(), self.dice.roll(8)) {
                (true, 0) => ReviewerFeedback::default(),
                (true, 1) => {
                    ReviewerFeedback { check: Some(ReviewerCheck::Failed), ..ReviewerFeedback::default() }
                }
                (true, 2 | 6) => {
                    reviewer_feedback(ReviewState::Commented, ReviewTextSignal::InlineFindings, 0)
                }
                (true, 3) => {
                    reviewer_feedback(ReviewState::ChangesRequested, ReviewTextSignal::NoFindings, 0)
                }
                (true, 4) => reviewer_feedback(ReviewState::Commented, ReviewTextSignal::AnyFindings, 0),
                (true, 5) => {
                    ReviewerFeedback { check: Some(ReviewerCheck::Running), ..ReviewerFeedback::default() }
                }
                (true, _) => {
                    self.add_thread(ThreadAuthor::Reviewer(name.into()), name);
                    reviewer_feedback(ReviewState::Commented, ReviewTextSignal::InlineFindings, 1)
                }
                (false, 0) => ReviewerFeedback { is_queued: true, ..ReviewerFeedback::default() },
                (false, 1) => {
                    ReviewerFeedback { check: Some(ReviewerCheck::Passed), ..ReviewerFeedback::default() }
                }
                (false, _) => reviewer_feedback(ReviewState::Commented, ReviewTextSignal::NoFindings, 0),
            };
            self.seen.reviewer_feedback.insert(name.into(), view);
        }
        if self.roll_is_bad() {
            self.add_thread(ThreadAuthor::Person, "person");
        }
        (self.seen.pending, self.seen.failed_checks, self.seen.lacks_review) =
            (vec![], vec![], self.dice.roll(2) == 0);
        self.seen.merge = match (self.roll_is_bad(), self.dice.roll(6)) {
            (true, 0) => MergeableState::Behind,
            (true, 1) => MergeableState::Dirty,
            (true, 2) => MergeableState::Blocked,
            (true, 3) => MergeableState::Unstable,
            (true, _) => MergeableState::Unknown,
            (false, 0) => MergeableState::Draft,
            (false, 1) => MergeableState::Unstable,
            (false, _) => MergeableState::Clean,
        };
        if self.seen.merge == MergeableState::Unstable && self.dice.roll(4) > 0 {
            self.seen.pending = vec!["ci".into()];
        }
        if self.roll_is_bad() && self.roll_is_bad() {
            self.seen.failed_checks = vec!["ci".into()];
        }
        if self.roll_is_bad() {
            match self.dice.roll(8) {
                0 => self.seen.state = PullState::Closed,
                1 => self.seen.state = PullState::Merged,
                2 => self.seen.state = PullState::Draft,
                3 => self.seen.state = PullState::Open,
                // A new base branch results in a different change, which no audit has cleared.
                4 => (self.seen.base, self.cleared) = (format!("base-{}", self.dice.roll(1 << 40)), None),
                _ => drop(self.push()),
            }
        }
    }

    fn add_thread(&mut self, author: ThreadAuthor, name: &str) {
        let id = ThreadId::new(format!("{name}-{}", self.dice.roll(6)));
        self.seen.threads.retain(|thread| thread.id != id);
        self.seen.threads.push(UnresolvedThread {
            id,
            author,
            is_outdated: false,
            last_comment: LastComment::ByOtherAccount,
        });
    }

    /// Returns the number of threads without a reply of the run. The count does not use the run's own data.
    fn count_unanswered_threads(&self) -> usize {
        let mut threads = self
            .seen
            .threads
            .iter()
            .filter(|thread| thread.last_comment == LastComment::ByOtherAccount)
            .collect::<Vec<_>>();
        threads.retain(|thread| thread.author == ThreadAuthor::Person || !thread.is_outdated);
        threads
            .iter()
            .filter(|thread| !self.handed.contains(&(self.seen.head.clone(), thread.id.clone())))
            .count()
    }

    /// Continues the run until the run has ended or accepts findings of other reviewers.
    fn run_until_rest(&mut self, work: &UnansweredFeedback) {
        loop {
            let event = match self.run.next_action.clone() {
                ConvergeAction::Gate => ConvergeEvent::GateFinished(
                    (self.roll_is_bad() && self.run.gate_fix_count < 2).then(|| "style".into()),
                ),
                ConvergeAction::Mend { .. } => ConvergeEvent::GateFixFinished(None),
                ConvergeAction::Audit { auditors, .. } => {
                    let line = 100 * (1 + u32::try_from(self.dice.roll(1_000)).unwrap());
                    let claims = if self.roll_is_bad() { vec![p1_finding(line)] } else { vec![] };
                    audited_event(
                        auditors.into_iter().map(|at| (at, AuditorAnswer::Complete(claims.clone()))),
                    )
                }
                ConvergeAction::Post => ConvergeEvent::FindingsPosted,
                ConvergeAction::Fix { .. } => {
                    let is_mended = self.dice.roll(4) > 0;
                    let word =
                        if is_mended { FixerVerdict::Fixed } else { FixerVerdict::Declined("no".into()) };
                    let commit = is_mended.then(|| candidate(self.heads + 1));
                    ConvergeEvent::FixFinished {
                        verdicts: verdict_for_all(&self.run, &word),
                        candidate: commit,
                    }
                }
                ConvergeAction::Check => ConvergeEvent::FixChecked(vec![]),
                ConvergeAction::Publish => {
                    let head = self.push();
                    self.ready.record_push(&head, self.now);
                    ConvergeEvent::FixPushed
                }
                ConvergeAction::Reply => {
                    let is_mended = self.run.fixer_verdicts.values().any(|word| *word == FixerVerdict::Fixed);
                    for thread in
                        self.seen.threads.iter_mut().filter(|thread| work.threads.contains(&thread.id))
                    {
                        thread.last_comment =
                            if is_mended { LastComment::ReportsFix } else { LastComment::Declined };
                    }
                    if self.rules.resolve_threads {
                        self.seen.threads.retain(|thread| thread.last_comment != LastComment::ReportsFix);
                    }
                    ConvergeEvent::RepliesPosted
                }
            };
            self.run.apply_event(event).unwrap();
            if self.run.exit.is_some() || self.run.accepts_feedback() {
                return;
            }
        }
    }

    /// Reports the current head to the run if the head is new, or if `is_again` is set.
    fn report_new_head(&mut self, is_again: bool) {
        if is_again || self.run.head != self.seen.head {
            let (head, tree) = (self.seen.head.clone(), sha(1_000_000 + self.heads));
            self.run.apply_event(ConvergeEvent::HeadChanged { head, tree }).unwrap();
        }
    }

    /// Runs the simulation until it ends. Returns an exit code, or `None` if the pull request is ready.
    fn play(mut self, seed: u64) -> Option<ConvergeExitCode> {
        for _ in 0..MAX_LOOKS {
            self.simulate_forge_events();
            // A process may be killed between two polls and continue from the stored state. The stored state
            // must therefore lead to the same next action.
            let kept = serde_json::to_string(&self.ready).unwrap();
            let mut restored: PullReadiness = serde_json::from_str(&kept).unwrap();
            let want = self.ready.next_action(&self.rules, &self.seen, self.now);
            assert_eq!(restored.next_action(&self.rules, &self.seen, self.now), want, "{seed}");
            assert_eq!(restored, self.ready, "{seed}");
            match want {
                ReadinessAction::AuditHead => {
                    assert_ne!(self.cleared.as_ref(), Some(&self.seen.head), "{seed}");
                    self.report_new_head(self.run.exit.is_some());
                    if self.run.exit.is_none() {
                        self.run_until_rest(&UnansweredFeedback::default());
                    }
                    if let Some(code) = self.stop_reason() {
                        return Some(code);
                    }
                    if self.run.exit.is_some() {
                        self.cleared = Some(self.run.head.clone());
                        self.ready.record_clearance(&self.run.head, self.now);
                    }
                }
                ReadinessAction::Fix(work) => {
                    assert!(!work.is_empty(), "{seed}");
                    let head = &self.seen.head;
                    let new = work.threads.iter().all(|id| self.handed.insert((head.clone(), id.clone())));
                    assert!(new, "{seed}: {work:?} is handed over twice at one head");
                    self.report_new_head(false);
                    let findings = (0..)
                        .zip(work.threads.iter())
                        .map(|(at, _)| p1_finding(31 + 40 * at))
                        .collect::<Vec<_>>();
                    let findings = if findings.is_empty() { vec![p1_finding(7)] } else { findings };
                    if self.run.exit.as_ref().is_none_or(|exit| exit.kind() == ConvergeExitKind::Converged) {
                        self.run
                            .apply_event(ConvergeEvent::FeedbackReceived {
                                findings,
                                renames: FileRenames::default(),
                            })
                            .unwrap();
                    }
                    if self.run.exit.is_none() {
                        self.run_until_rest(&work);
                    }
                    if let Some(code) = self.stop_reason() {
                        return Some(code);
                    }
                }
                ReadinessAction::RequestReview(name) => self.ask(&name, seed),
                ReadinessAction::Wait { until, .. } => {
                    assert!(until > self.now, "{seed}");
                    let span = until - self.now;
                    // In one of four cases, a notification causes an earlier poll.
                    let early = if self.dice.roll(4) == 0 { 2 } else { 1 };
                    self.now = self.now + TimeSpan(span.0 / early);
                }
                ReadinessAction::UpdateBranch => {
                    assert!(self.rules.auto_rebase, "{seed}");
                    let head = self.push();
                    self.ready.record_push(&head, self.now);
                }
                ReadinessAction::MarkReady => {
                    self.assert_ready(seed);
                    assert!(self.rules.mark_ready && self.seen.state == PullState::Draft, "{seed}");
                    self.ready.record_ready_mark();
                    self.seen.state = PullState::Open;
                }
                ReadinessAction::Ready { .. } => {
                    self.assert_ready(seed);
                    return None;
                }
                ReadinessAction::End(exit) => {
                    assert!(
                        exit.kind() == ConvergeExitKind::Blocked || exit.code == ConvergeExitCode::Declined,
                        "{seed}: {exit:?}"
                    );
                    return Some(exit.code);
                }
            }
        }
        panic!("{seed} does not end");
    }

    /// Returns the exit code if the run has ended without convergence, otherwise `None`.
    fn stop_reason(&self) -> Option<ConvergeExitCode> {
        self.run.exit.as_ref().filter(|exit| exit.kind() != ConvergeExitKind::Converged).map(|exit| exit.code)
    }

    fn ask(&mut self, name: &str, seed: u64) {
        let is_named = |reviewer: &RequiredReviewer| match reviewer {
            RequiredReviewer::External(rule) => rule.name == name,
            RequiredReviewer::Internal => false,
        };
        let at = self.rules.reviewers.iter().position(is_named).unwrap();
        let RequiredReviewer::External(rule) = &self.rules.reviewers[at] else { panic!() };
        let ours_first = self.rules.reviewers[..at].contains(&RequiredReviewer::Internal);
        assert!(
            !ours_first || self.cleared.as_ref() == Some(&self.seen.head),
            "{seed}: {name} is asked too soon"
        );
        assert_eq!(self.count_unanswered_threads(), 0, "{seed}: {name} is asked before others are answered");
        let asked = self.asked.entry((self.seen.head.clone(), name.to_owned())).or_default();
        assert!(asked.last().is_none_or(|last| self.now >= *last + rule.budget), "{seed}");
        asked.push(self.now);
        assert!(asked.len() <= usize::try_from(rule.requests).unwrap(), "{seed}");
        self.ready.record_request(name, self.now);
    }

    /// Checks that the current head meets all requirements.
    fn assert_ready(&self, seed: u64) {
        let PullSnapshot {
            head,
            reviewer_feedback: views,
            threads,
            merge,
            failed_checks: failed,
            pending,
            lacks_review,
            ..
        } = &self.seen;
        assert!(matches!(self.seen.state, PullState::Open | PullState::Draft), "{seed}");
        assert_eq!(self.ready.head(), head, "{seed}");
        for reviewer in &self.rules.reviewers {
            match reviewer {
                RequiredReviewer::Internal => {
                    assert_eq!((self.cleared.as_ref(), &self.run.head), (Some(head), head), "{seed}");
                }
                RequiredReviewer::External(rule) => {
                    let view = views.get(&rule.name).cloned().unwrap_or_default();
                    let is_shown = view.review.as_ref().is_some_and(|review| review.inline > 0);
                    let counts = view
                        .review
                        .as_ref()
                        .is_some_and(|review| review.text == ReviewTextSignal::InlineFindings);
                    let holds = view
                        .review
                        .as_ref()
                        .is_some_and(|review| review.text == ReviewTextSignal::AnyFindings);
                    let failed = view.check == Some(ReviewerCheck::Failed) && !holds;
                    assert!(!(counts || failed) || is_shown, "{seed}: {view:?}");
                    let has_answered = view.review.is_some() || view.check == Some(ReviewerCheck::Passed);
                    assert!(has_answered || !rule.is_required, "{seed}: {view:?}");
                    let asks = |review: &ObservedReview| review.state == ReviewState::ChangesRequested;
                    let objects = view.review.as_ref().is_some_and(asks) || holds && !is_shown;
                    assert!(!objects || self.rules.allow_declined, "{seed}: {view:?}");
                }
            }
        }
        for thread in
            threads.iter().filter(|thread| thread.author == ThreadAuthor::Person || !thread.is_outdated)
        {
            match thread.last_comment {
                LastComment::ByOtherAccount => panic!("{seed}: {thread:?}"),
                LastComment::ReportsFix => assert!(!self.rules.resolve_threads, "{seed}"),
                LastComment::Declined => assert!(self.rules.allow_declined, "{seed}"),
            }
        }
        match merge {
            MergeableState::Clean | MergeableState::HasHooks => {}
            MergeableState::Draft => assert!(failed.is_empty() && pending.is_empty(), "{seed}"),
            MergeableState::Blocked => {
                assert!(*lacks_review && failed.is_empty() && pending.is_empty(), "{seed}");
            }
            MergeableState::Unknown
            | MergeableState::Unstable
            | MergeableState::Behind
            | MergeableState::Dirty => panic!("{seed}: {merge:?}"),
        }
    }
}

#[test]
fn forges_of_every_temper_come_to_an_end_and_only_what_is_clean_at_one_head_is_ready() {
    let mut ends = BTreeMap::new();
    for seed in 0..FORGES {
        let end = ForgeSimulation::new(seed).play(seed);
        *ends.entry(end.map_or("ready", ConvergeExitCode::as_str)).or_insert(0) += 1;
    }
    println!("{FORGES} forges: {ends:?}");
    for end in ["ready", "closed", "head_moved", "inline_lag", "mergeability", "reviewer_silent", "threads"] {
        assert!(ends.contains_key(end), "{end} is never reached: {ends:?}");
    }
}
