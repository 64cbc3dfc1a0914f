//! State machine of the converge loop: the result of each action on a branch determines the next action. The
//! run ends when a fresh audit finds nothing, or for one of the other reasons in `ConvergeExitCode`. Pure.
//!
//! ```text
//!            ┌──── Mend ◀─ dirty ─┐            ┌─ re-run silent auditors
//!            ▼                    │            ▼
//!   begin ▶ Gate ─────────────── clean ─────▶ Audit ──▶ Post ──▶ nothing found: converged
//!            ▲                                           │       no way on: stuck, cap reached
//!            │                                           ▼
//!          Reply ◀── Publish ◀── nothing wrong ── Check ◀─ Fix ◀─┐
//!                       └─ a hook blocks ────────────┴─ dirty ───┘
//! ```
//!
//! Each action runs under one lease, and its result is an event. The new [`ConvergeRun`] is stored before the
//! next action begins. An interrupted run therefore continues where it stopped. Actions that write to git or
//! a forge recognise their own earlier writes.
//!
//! A missing answer never counts as clean. An auditor that fails or gives no valid answer is called again. If
//! it still gives no valid answer, the loop is degraded and cannot converge.

// long: one state with all its transitions; each transition is short.

mod action;
mod audit_scope;
mod exit;
mod fix;
mod foreign_changes;
mod gate;
mod judge;
mod merge;
mod progress;
pub mod readiness;
pub mod record;
mod retry;
mod reviewed_clean;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::dismissal::{self, Dismissal};
use crate::finding::{Finding, FindingStatus, Severity};
use crate::id::{FindingId, Sha};
use crate::identity::{PlacedFinding, assign_finding_ids};
use crate::increment::FileRenames;
use crate::outcome::ReviewCoverage;
pub use action::{
    AuditorAnswer, ConvergeAction, ConvergeEvent, ConvergeStep, FixCandidate, FixProblem, FixProblemKind,
    FixerVerdict,
};
pub use audit_scope::AuditScopeDigest;
use exit::NO_AUDITOR_REASON;
pub use exit::{ConvergeExit, ConvergeExitCode, ConvergeExitKind, missing_answers_text};
pub use foreign_changes::SuspendedAudit;
pub use merge::{AuditorFinding, LineOrigin};
use merge::{MergedFinding, merge_findings};
pub use progress::FindingHistory;
pub use reviewed_clean::is_reviewed_clean;

/// Maximum number of heads pushed by other accounts. Audits of these heads do not count against the limit
/// of audits. Without this bound, a loop might never end while other accounts push.
pub const MAX_FOREIGN_HEADS: u32 = 3;

/// Limits of a run: the `[converge]` settings in effect when the run began.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ConvergeLimits {
    /// Maximum number of audits.
    pub max_audits: u32,
    /// Maximum number of fixes for gate failures before one audit.
    #[serde(rename = "gate_rounds")]
    pub max_gate_fixes: u32,
    /// Number of failed checks after which the run gives up the fix for an audit.
    #[serde(rename = "selfaudit_rounds")]
    pub max_failed_checks: u32,
    /// Number of the first audit with several auditors.
    #[serde(rename = "parallel_from")]
    pub first_parallel_audit: u32,
    /// Number of auditors in each audit from `parallel_from` on.
    pub auditors: u32,
    /// Maximum number of requests to an auditor or fixer. An auditor or fixer that gives no valid answer to
    /// any of these requests counts as silent.
    #[serde(rename = "worker_attempts")]
    pub max_agent_requests: u32,
    /// Maximum number of times that a fix is repeated because a hook has blocked it.
    #[serde(rename = "hook_retry")]
    pub max_hook_retries: u32,
    /// Lowest severity that blocks. Less severe findings get one attempt at a fix, and may remain after it.
    pub min_blocking: Severity,
    /// True if a run may converge with remaining findings that its fixers declined.
    pub allow_declined: bool,
    /// True if the findings of the last permitted audit are fixed, although no audit follows this fix.
    #[serde(rename = "final_fix")]
    pub fixes_last_audit: bool,
}

impl Default for ConvergeLimits {
    fn default() -> Self {
        Self {
            max_audits: 10,
            max_gate_fixes: 5,
            max_failed_checks: 3,
            first_parallel_audit: 4,
            auditors: 3,
            max_agent_requests: 2,
            max_hook_retries: 1,
            min_blocking: Severity::P2,
            allow_declined: false,
            fixes_last_audit: false,
        }
    }
}

/// A line of the run's log, from which the report is generated.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "line")]
pub enum ConvergeLogLine {
    /// One audit of a head.
    Audit {
        /// Number of the audit, from 1.
        number: u32,
        /// Number of findings of each severity, worst severity first.
        counts: [u32; 3],
        /// Number of auditors that gave no valid answer.
        #[serde(rename = "silent")]
        silent_auditors: u32,
    },
    /// Findings that other reviewers reported.
    #[serde(rename = "heard")]
    Feedback {
        /// Number of the report, from 1.
        number: u32,
        /// Number of findings of each severity, worst severity first.
        counts: [u32; 3],
    },
    /// A fix of the findings of the audit with this number, or of other reviewers' findings that were
    /// reported after this audit.
    Fix {
        /// Number of the audit.
        number: u32,
        /// Commit of the fix. `None` if the fixer changed nothing.
        commit: Option<Sha>,
        /// Number of findings that the fixer reported as fixed.
        fixed: u32,
        /// Number of findings that the fixer declined or did not mention.
        declined: u32,
    },
    /// A fix of the gate's failures.
    #[serde(rename = "mend")]
    GateFix { commit: Sha },
    /// Another account has pushed, or the forge has merged the base into the branch.
    #[serde(rename = "moved")]
    HeadChange {
        /// New head of the branch.
        head: Sha,
    },
}

/// Recorded state of one converge run on one branch.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ConvergeRun {
    /// Limits of this run.
    pub limits: ConvergeLimits,
    /// Next action of the run.
    #[serde(rename = "next")]
    pub next_action: ConvergeAction,
    /// Result of the run; `None` while the run has not ended.
    pub exit: Option<ConvergeExit>,
    /// Head at which the run began.
    #[serde(rename = "starting")]
    pub starting_head: Sha,
    /// Head that is audited, and on which fixes are built.
    pub head: Sha,
    /// Tree of the head.
    pub tree: Sha,
    /// Number of audits begun.
    #[serde(rename = "audits")]
    pub audit_count: u32,
    /// Number of reports by other reviewers.
    #[serde(rename = "heard")]
    pub feedback_rounds: u32,
    /// Number of heads that others have pushed. Audits of the first [`MAX_FOREIGN_HEADS`] of these heads do
    /// not count against the limit of audits.
    #[serde(rename = "moves")]
    pub foreign_heads: u32,
    /// Number of heads that the forge created by merging the base on Truing's request. Audits of these heads
    /// do not count against the limit of audits.
    #[serde(default)]
    #[serde(rename = "updates")]
    pub base_merges: u32,
    /// Number of fixes of gate failures since the last audit.
    #[serde(rename = "gate_rounds")]
    pub gate_fix_count: u32,
    /// Answers of the auditors in the audit in progress, by auditor.
    pub answers: BTreeMap<u32, Vec<AuditorFinding>>,
    /// Findings of the newest audit. While `aside` is set, this list contains the findings of other reviewers
    /// instead.
    #[serde(rename = "found")]
    pub findings: Vec<Finding>,
    /// State of the audit that is suspended while other reviewers' findings are fixed.
    #[serde(rename = "aside")]
    pub suspended_audit: Option<SuspendedAudit>,
    /// Number of auditors without a valid answer in the newest audit.
    #[serde(rename = "silent")]
    pub silent_auditors: u32,
    /// Verdicts of fixers on the current findings.
    #[serde(rename = "words")]
    pub fixer_verdicts: BTreeMap<FindingId, FixerVerdict>,
    /// Findings that fixers reported as fixed. A finding is in this map from the push of its fix until an
    /// audit checks the finding. The value is the commit of the fix and the length of the log after the push.
    #[serde(default)]
    #[serde(rename = "claims")]
    pub claimed_fixes: BTreeMap<FindingId, (Sha, usize)>,
    /// Fix that is in progress.
    pub candidate: Option<FixCandidate>,
    /// Number of checks that found problems in the fix of the current findings.
    pub check_rounds: u32,
    /// Number of times that a hook has blocked the fix in progress.
    pub hook_blocks: u32,
    /// Number of consecutive fixers without a valid report.
    #[serde(default)]
    pub silent_fixers: u32,
    /// Head that an audit of this run or an earlier run has cleared. The findings of other reviewers are not
    /// considered.
    #[serde(default)]
    #[serde(rename = "cleared")]
    pub cleared_head: Option<Sha>,
    /// Problems that caused the newest fix of gate failures to be discarded. The next fixer receives these
    /// problems.
    #[serde(default)]
    #[serde(rename = "refused")]
    pub fix_problems: Vec<FixProblem>,
    /// Output of the hook that blocked the fix after all retries.
    #[serde(rename = "hook")]
    pub hook_message: Option<String>,
    /// True after the findings that do not block have had their only attempt at a fix.
    #[serde(rename = "is_polished")]
    pub has_fixed_nonblocking: bool,
    /// Dismissals that applied in the newest audit.
    #[serde(default)]
    pub dismissals: Vec<Dismissal>,
    /// All findings of the run with their outcomes.
    #[serde(rename = "ledger")]
    pub history: FindingHistory,
    pub log: Vec<ConvergeLogLine>,
    /// Pushed commits, oldest first.
    pub commits: Vec<Sha>,
    /// True if the run consists of one audit: it fixes nothing and does not run the gate.
    #[serde(default)]
    pub audits_only: bool,
    /// True if the run continues an audit-only run that has already audited the head. In this case, only the
    /// gate runs before the fix.
    #[serde(default)]
    #[serde(rename = "is_audited")]
    pub skips_next_audit: bool,
}

/// The event is not a possible result of the action in progress.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "the converge run expected the end of `{expected_action}` and got another event: the record of the run \
        is damaged"
)]
pub struct UnexpectedEvent {
    expected_action: &'static str,
}

impl ConvergeRun {
    /// Begins a run on a branch. `clean_head` is the head that an earlier run found clean, according to the
    /// records or to one of Truing's reviews.
    pub fn new(limits: ConvergeLimits, head: Sha, tree: Sha, clean_head: Option<&Sha>) -> Self {
        let exit = (clean_head == Some(&head)).then(|| {
            ConvergeExit::new(
                ConvergeExitCode::AlreadyClean,
                format!("{} was already clean", head.short_sha()),
            )
        });
        let cleared = exit.is_some().then(|| head.clone());
        Self {
            limits,
            next_action: ConvergeAction::Gate,
            exit,
            starting_head: head.clone(),
            head,
            tree,
            audit_count: 0,
            feedback_rounds: 0,
            foreign_heads: 0,
            base_merges: 0,
            gate_fix_count: 0,
            answers: BTreeMap::new(),
            findings: Vec::new(),
            suspended_audit: None,
            silent_auditors: 0,
            fixer_verdicts: BTreeMap::new(),
            claimed_fixes: BTreeMap::new(),
            candidate: None,
            check_rounds: 0,
            hook_blocks: 0,
            silent_fixers: 0,
            cleared_head: cleared,
            fix_problems: Vec::new(),
            hook_message: None,
            has_fixed_nonblocking: false,
            dismissals: Vec::new(),
            history: FindingHistory::default(),
            log: Vec::new(),
            commits: Vec::new(),
            audits_only: false,
            skips_next_audit: false,
        }
    }

    /// Begins a run that audits one head and does nothing else.
    pub fn new_audit_only(limits: ConvergeLimits, head_and_tree: (Sha, Sha)) -> Self {
        let mut run = Self { audits_only: true, ..Self::new(limits, head_and_tree.0, head_and_tree.1, None) };
        run.begin_audit();
        run
    }

    /// Turns an audit-only run into a full run. The findings of the run's audit are fixed, and the head is
    /// not audited again.
    pub fn resume_from_audit(&mut self, limits: ConvergeLimits) {
        self.limits = limits;
        self.audits_only = false;
        if self.exit.take().is_some() {
            self.skips_next_audit = true;
            self.next_action = ConvergeAction::Gate;
        }
    }

    /// Applies all existing dismissals: immediately to known findings, and from the next audit on to other
    /// findings.
    pub fn apply_dismissals(&mut self, dismissals: Vec<Dismissal>) {
        self.history.add_dismissals(&dismissals);
        self.dismissals = dismissals;
        if matches!(self.next_action, ConvergeAction::Gate | ConvergeAction::Fix { .. }) {
            self.history.apply_statuses(self.findings.iter_mut());
            self.findings.retain(|finding| !matches!(finding.status, FindingStatus::Dismissed(_)));
        }
    }

    /// Returns the number of the newest audit's findings of each severity, worst severity first.
    pub fn severity_counts(&self) -> [u32; 3] {
        count_severities(&self.findings)
    }

    /// Lets a resumable run continue, for example a run that was interrupted or had used up its budget.
    pub fn resume(&mut self) {
        self.exit.take_if(|exit| exit.code.is_resumable());
    }

    /// Applies the result of an action. A run that has ended stays unchanged, with one exception: a converged
    /// run continues if its head has moved or if other reviewers report findings.
    ///
    /// # Errors
    /// [`UnexpectedEvent`] if the event is not a possible result of the action in progress.
    pub fn apply_event(&mut self, event: ConvergeEvent) -> Result<(), UnexpectedEvent> {
        let reopens = matches!(
            event,
            ConvergeEvent::HeadChanged { .. }
                | ConvergeEvent::BaseMerged { .. }
                | ConvergeEvent::FeedbackReceived { .. }
        ) && self.accepts_feedback();
        if self.exit.is_some() && !reopens {
            return Ok(());
        }
        match (self.next_action.clone(), event) {
            (_, ConvergeEvent::RunEnded(exit)) => self.exit = Some(exit),
            (_, ConvergeEvent::HeadChanged { head, tree }) => {
                self.skips_next_audit = false;
                self.apply_foreign_push(head, tree);
            }
            (_, ConvergeEvent::BaseMerged { head, tree }) => {
                self.skips_next_audit = false;
                self.apply_base_update(head, tree);
            }
            (_, ConvergeEvent::FeedbackReceived { findings, renames }) if reopens => {
                self.apply_feedback(findings, &renames);
            }
            (ConvergeAction::Gate, ConvergeEvent::GateFinished(None))
                if std::mem::take(&mut self.skips_next_audit) =>
            {
                self.next_action = ConvergeAction::Post;
            }
            (ConvergeAction::Gate, ConvergeEvent::GateFinished(None)) => self.begin_audit(),
            (ConvergeAction::Gate, ConvergeEvent::GateFinished(Some(output))) => {
                self.skips_next_audit = false;
                self.handle_gate_block(output);
            }
            (ConvergeAction::Mend { .. }, ConvergeEvent::GateFixFinished(candidate)) => {
                self.apply_gate_fix(candidate);
            }
            (
                ConvergeAction::Audit { auditors, attempt },
                ConvergeEvent::AuditFinished { answers, standing_findings: standing, coverage, renames },
            ) => {
                self.apply_audit(auditors, attempt, answers, standing, (&coverage, &renames));
            }
            (ConvergeAction::Post, ConvergeEvent::FindingsPosted) => {
                self.clear_examined_claims();
                self.decide_after_audit();
            }
            (ConvergeAction::Fix { problems }, ConvergeEvent::FixFinished { verdicts, candidate }) => {
                self.handle_fixer_report(&problems, verdicts, candidate);
            }
            (ConvergeAction::Fix { .. } | ConvergeAction::Mend { .. }, ConvergeEvent::FixerSilent(why)) => {
                self.handle_silent_fixer(&why);
            }
            (ConvergeAction::Check, ConvergeEvent::FixChecked(problems)) => self.apply_check_result(problems),
            (ConvergeAction::Publish, ConvergeEvent::FixPushed) => self.record_push(),
            (ConvergeAction::Publish, ConvergeEvent::HookBlocked(verdicts)) => {
                self.apply_hook_block(verdicts);
            }
            (ConvergeAction::Reply, ConvergeEvent::RepliesPosted) => self.continue_after_replies(),
            (act, _) => return Err(UnexpectedEvent { expected_action: act.as_str() }),
        }
        Ok(())
    }

    fn set_exit(&mut self, code: ConvergeExitCode, reason: impl Into<String>) {
        self.exit = Some(ConvergeExit::new(code, reason));
    }

    /// Returns the number of audits that the limit still permits.
    fn remaining_audits(&self) -> u32 {
        // Audits of heads that others pushed, or that the forge created by a merge, do not count against the
        // limit.
        let anew = self
            .foreign_heads
            .min(MAX_FOREIGN_HEADS)
            .saturating_add(self.base_merges.min(readiness::MAX_BASE_MERGES));
        self.limits.max_audits.saturating_add(anew).saturating_sub(self.audit_count)
    }

    fn begin_audit(&mut self) {
        if self.remaining_audits() == 0 {
            return self.end_at_audit_cap();
        }
        self.audit_count = self.audit_count.saturating_add(1);
        self.gate_fix_count = 0;
        self.fix_problems.clear();
        self.answers.clear();
        let many = self.audit_count >= self.limits.first_parallel_audit;
        let auditors = if many { self.limits.auditors.max(1) } else { 1 };
        self.next_action = ConvergeAction::Audit { auditors: (0..auditors).collect(), attempt: 1 };
    }

    fn end_at_audit_cap(&mut self) {
        let [worst, bad, small] = self.severity_counts();
        let (audits, who) =
            (self.audit_count, self.suspended_audit.as_ref().map_or("the last one", |_| "others"));
        let made = if audits == 1 { "1 audit was".to_owned() } else { format!("{audits} audits were") };
        let reason = format!("{made} made, and {who} found {worst} P0, {bad} P1 and {small} P2");
        self.set_exit(ConvergeExitCode::CapReached, reason);
    }

    fn apply_audit(
        &mut self,
        auditors: BTreeSet<u32>,
        attempt: u32,
        answers: BTreeMap<u32, AuditorAnswer>,
        standing_findings: BTreeMap<FindingId, PlacedFinding>,
        coverage_and_renames: (&ReviewCoverage, &FileRenames),
    ) {
        // An auditor whose answer is missing also counts as silent.
        let mut silent: BTreeMap<u32, String> =
            auditors.into_iter().map(|auditor| (auditor, "the auditor gave no answer".to_owned())).collect();
        for (auditor, answer) in answers {
            match answer {
                AuditorAnswer::Complete(findings) if silent.remove(&auditor).is_some() => {
                    self.answers.insert(auditor, findings);
                }
                AuditorAnswer::NoAnswer(reason) if silent.contains_key(&auditor) => {
                    silent.insert(auditor, reason);
                }
                AuditorAnswer::Complete(_) | AuditorAnswer::NoAnswer(_) => {}
            }
        }
        if !silent.is_empty() && attempt < self.limits.max_agent_requests {
            let auditors = silent.into_keys().collect();
            self.next_action = ConvergeAction::Audit { auditors, attempt: attempt.saturating_add(1) };
            return;
        }
        if self.answers.is_empty() {
            let reason = silent.into_values().next().unwrap_or_default();
            return self.set_exit(ConvergeExitCode::Infrastructure, format!("{NO_AUDITOR_REASON}: {reason}"));
        }
        self.silent_auditors = u32::try_from(silent.len()).unwrap_or(u32::MAX);
        let findings = merge_findings(std::mem::take(&mut self.answers));
        let (mut placed, mut origins): (Vec<PlacedFinding>, Vec<LineOrigin>) = findings
            .into_iter()
            .map(|MergedFinding { finding: claim, .. }| (claim.placed, claim.origin))
            .unzip();
        self.history.add_dismissals(&self.dismissals);
        let declined: BTreeSet<FindingId> = standing_findings.keys().cloned().collect();
        for (placed_again, origin) in self.history.unfixed_findings(standing_findings, &placed) {
            placed.push(placed_again);
            origins.push(origin);
        }
        let mut identified = assign_finding_ids(
            self.history.findings(),
            placed,
            Some(&self.head),
            coverage_and_renames.0,
            coverage_and_renames.1,
        );
        dismissal::apply_dismissals(&mut identified.current, &self.dismissals);
        self.history.record_sightings(&identified.current, &origins);
        // Dismissed findings are left out, because they require no work.
        let counts = |finding: &Finding| !matches!(finding.status, FindingStatus::Dismissed(_));
        self.findings = identified.current.into_iter().filter(counts).collect();
        self.cleared_head = None;
        self.history.record_audit(self.audit_count, &self.tree, &self.findings);
        self.history.update_missing_findings(identified.missing_findings, &declined, &self.head);
        self.reset_fix_state();
        self.log.push(ConvergeLogLine::Audit {
            number: self.audit_count,
            counts: self.severity_counts(),
            silent_auditors: self.silent_auditors,
        });
        self.next_action = ConvergeAction::Post;
    }

    /// Resets the state of the previous fix, because new findings were reported.
    fn reset_fix_state(&mut self) {
        self.fixer_verdicts.clear();
        self.candidate = None;
        (self.check_rounds, self.hook_blocks, self.hook_message) = (0, 0, None);
    }

    /// Returns true if this finding blocks the branch.
    fn blocks(&self, finding: &Finding) -> bool {
        let is_declined = matches!(finding.status, FindingStatus::Declined(_));
        let is_dismissed = matches!(finding.status, FindingStatus::Dismissed(_));
        finding.raw.severity <= self.limits.min_blocking
            && !is_dismissed
            && !(is_declined && self.limits.allow_declined)
    }

    /// Returns true if any current finding blocks the branch.
    fn has_blocking_finding(&self) -> bool {
        self.findings.iter().any(|finding| self.blocks(finding))
    }

    /// Returns the exit of an audit-only run whose auditors have finished.
    pub fn audit_only_exit(&self) -> ConvergeExit {
        let ([p0, p1, p2], head) = (self.severity_counts(), self.head.short_sha());
        match (self.silent_auditors, self.findings.is_empty()) {
            (0, true) => {
                ConvergeExit::new(ConvergeExitCode::Clean, format!("the audit found nothing at {head}"))
            }
            (0, false) => ConvergeExit::new(
                ConvergeExitCode::CapReached,
                format!("the audit found {p0} P0, {p1} P1 and {p2} P2 at {head}"),
            ),
            (silent, _) => ConvergeExit::new(
                ConvergeExitCode::Infrastructure,
                format!("{} at {head}", missing_answers_text(silent)),
            ),
        }
    }

    /// Returns true if an audit-only run ended without valid answers from some of its auditors. These
    /// auditors have used all permitted attempts, and only another audit calls them again.
    pub fn is_degraded_audit(&self) -> bool {
        self.audits_only && self.silent_auditors > 0 && self.exit.as_ref() == Some(&self.audit_only_exit())
    }

    /// Continues after the replies to the findings were posted. Ends the run if no fix was pushed and
    /// findings still block.
    fn continue_after_replies(&mut self) {
        if let Some(words) = self.hook_message.take().filter(|_| self.has_blocking_finding()) {
            return self.end_by_hook(&words);
        }
        if matches!(self.log.last(),
            Some(ConvergeLogLine::Fix { number, commit: Some(_), .. }) if *number == self.audit_count)
        {
            // The limit permits no audit of this fix or of later changes.
            if self.remaining_audits() == 0 {
                return self.end_at_audit_cap();
            }
            self.suspended_audit = None;
            self.next_action = ConvergeAction::Gate;
            return;
        }
        self.log_fix(None);
        let is_claim =
            |finding: &&Finding| self.fixer_verdicts.get(&finding.id) == Some(&FixerVerdict::Fixed);
        let others: Vec<Finding> =
            self.findings.iter().filter(|finding| !is_claim(finding)).cloned().collect();
        self.history.record_fixer_verdicts(&others, &self.fixer_verdicts);
        // Findings that do not block stay open as notes, so they do not get the status of the fixer's
        // verdict.
        let least = self.limits.min_blocking;
        self.history.apply_statuses(self.findings.iter_mut().filter(|finding| finding.raw.severity <= least));
        if let Some(aside) = self.suspended_audit.take() {
            return self.handle_declined_feedback(aside);
        }
        // Only blocking findings end the run, because other findings may remain.
        if self.has_blocking_finding() {
            self.set_exit(
                ConvergeExitCode::NothingFixed,
                "the fixer changed nothing, so blocking findings remain",
            );
        } else {
            self.decide_without_blockers();
        }
    }
}

/// Maximum number of characters of quoted text in a reason.
const MAX_QUOTED_CHARS: usize = 300;

fn count_severities(findings: &[Finding]) -> [u32; 3] {
    Severity::ALL.map(|severity| {
        let many = findings.iter().filter(|finding| finding.raw.severity == severity).count();
        u32::try_from(many).unwrap_or(u32::MAX)
    })
}
