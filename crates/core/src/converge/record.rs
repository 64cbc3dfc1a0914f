//! The stored record of a converge run. It contains the data for resuming the run and, after the run's end,
//! its outcome.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::readiness::PullReadiness;
use super::{AuditScopeDigest, ConvergeExit, ConvergeExitKind, ConvergeLimits, ConvergeRun, ConvergeStep};
use crate::dismissal::Dismissal;
use crate::finding::DefectCategory;
use crate::id::{RunId, Sha, SlotKey, UnixMillis};
use crate::money::MicroUsd;
use crate::run::{self, RunOutcome, RunRecord, StepCost};
use crate::slot::LoopKind;

/// The evidence of one auditor in one audit that the change has no defect of one category.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AbsenceProof {
    /// Number of the audit, from 1.
    pub r#loop: u32,
    /// Index of the auditor in that audit.
    pub auditor: u32,
    pub category: DefectCategory,
    /// Files that the auditor read.
    pub files_opened: Vec<String>,
    /// Lines that the auditor quotes as evidence.
    pub lines_quoted: Vec<QuotedLine>,
    /// Attempts by the auditor to find a defect. Each text also states why the attempt found no defect.
    pub probes: Vec<String>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct QuotedLine {
    pub file: String,
    /// Number of the line, from 1.
    pub line: u32,
    pub text: String,
}

/// Returns the key for a pull request's audits that cannot be resumed. An audit cannot be resumed if it was
/// stopped, or if a run was in progress on the pull request.
pub fn abandoned_key(key: &SlotKey) -> SlotKey {
    SlotKey::new(format!("audit/{key}"))
}

/// The record of one converge run.
pub type ConvergeRecord = RunRecord<ConvergeDetail>;

/// The part of a run's record that only converge runs have.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ConvergeDetail {
    /// Display name of the pull request or of the branch.
    pub name: String,
    /// Branch to which the run pushes its commits.
    pub branch: String,
    /// Commit with which the change is compared.
    pub base: Sha,
    /// State of the run in the state machine.
    pub state: ConvergeRun,
    /// State of the remaining requirements of the pull request. `None` if they were not read, or if there is
    /// no pull request.
    pub readiness: Option<PullReadiness>,
    /// True after Truing's own audit has cleared the head, while the run waits for other reviewers.
    pub is_pursued: bool,
    /// For each reviewer, the number of Truing's trigger comments at the latest request, and the head of that
    /// request. If the forge shows one more trigger comment, a killed run has sent a request without storing
    /// it.
    pub wakes: BTreeMap<String, (usize, Sha)>,
    /// Head for which the pull request's description was written. `None` if this run has not changed the
    /// description.
    pub described: Option<Sha>,
    /// Text that identifies the gate, the checks and the rules of the run. A clean result applies only to
    /// runs with the same text.
    #[serde(default)]
    #[serde(rename = "looks")]
    pub setup_id: String,
    /// True once the requester was notified of the end of the run.
    #[serde(default)]
    pub is_told: bool,
    /// Cost of the run before it was last resumed. The caller sets this field when it resumes the run.
    #[serde(skip)]
    pub cost_before_resume: MicroUsd,
    /// Number of tool calls that were denied before the run was resumed. The caller sets this field when it
    /// resumes the run.
    #[serde(skip)]
    pub denials_before_resume: u32,
    pub warnings: Vec<String>,
    /// Evidence for categories without defects, from audits of the whole change.
    #[serde(default)]
    pub absences: Vec<AbsenceProof>,
    /// Commits of fixes that the base branch lacks, because the pull request was closed or merged without
    /// them.
    #[serde(default)]
    pub unreached: Vec<Sha>,
    /// Exit of the last attempt to resume the run. This field is set only if the run itself already has an
    /// exit and waits for others.
    #[serde(default)]
    pub halted: Option<ConvergeExit>,
    /// Head that passed the preflight. `None` if no preflight has passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checked_head: Option<Sha>,
    /// Number of consecutive postponements of the next action because a forge did not respond.
    #[serde(default)]
    pub put_off: u32,
}

impl run::RunDetail for ConvergeDetail {
    type Step = ConvergeStep;

    const LOOP: LoopKind = LoopKind::Converge;

    fn run_outcome(&self) -> Option<RunOutcome> {
        let kind = self.final_exit()?.kind();
        Some(match kind {
            _ if self.is_waiting() => RunOutcome::Deferred,
            ConvergeExitKind::Converged => RunOutcome::Done,
            // An audit-only run is complete even if its audit found defects.
            ConvergeExitKind::CapReached if self.state.audits_only => RunOutcome::Done,
            ConvergeExitKind::CapReached | ConvergeExitKind::Stuck | ConvergeExitKind::Blocked => {
                RunOutcome::Partial
            }
            ConvergeExitKind::Refused => RunOutcome::Skipped,
            ConvergeExitKind::Interrupted => RunOutcome::Deferred,
            ConvergeExitKind::Error => RunOutcome::Failed,
        })
    }

    /// Returns the result of the run as a word for lists. For an audit-only run, this is `clean` or the
    /// number of findings.
    fn result_word(&self) -> Option<String> {
        let kind = self.final_exit()?.kind();
        if self.state.audits_only {
            return Some(match kind {
                ConvergeExitKind::Converged => "clean".to_owned(),
                ConvergeExitKind::CapReached => format!("found {}", self.state.findings.len()),
                ConvergeExitKind::Stuck
                | ConvergeExitKind::Error
                | ConvergeExitKind::Interrupted
                | ConvergeExitKind::Refused
                | ConvergeExitKind::Blocked => kind.as_str().to_owned(),
            });
        }
        Some(if self.is_waiting() { "waiting" } else { kind.as_str() }.to_owned())
    }

    fn reason(&self) -> Option<&str> {
        self.final_exit().map(|exit| exit.reason.as_str())
    }

    /// Returns the furthest step that the run reached. For an audit-only run, this is the audit.
    fn furthest_step(&self, steps: &[StepCost<ConvergeStep>]) -> ConvergeStep {
        let next = if self.state.audits_only { ConvergeStep::Audit } else { self.state.next_action.step() };
        steps.iter().map(|step| step.step).fold(next, ConvergeStep::max)
    }
}

impl ConvergeDetail {
    /// Creates the details of a new run from its display name, its branch, the base of its change, and its
    /// state.
    pub fn new(name: String, branch: String, base: Sha, state: ConvergeRun) -> Self {
        Self {
            name,
            branch,
            base,
            state,
            readiness: None,
            is_pursued: false,
            wakes: BTreeMap::new(),
            described: None,
            setup_id: String::new(),
            is_told: false,
            cost_before_resume: MicroUsd(0),
            denials_before_resume: 0,
            warnings: Vec::new(),
            absences: Vec::new(),
            unreached: Vec::new(),
            halted: None,
            checked_head: None,
            put_off: 0,
        }
    }

    /// Returns the exit of the last attempt to resume the run or, if there is none, the run's own exit.
    /// Returns `None` if the run has neither.
    pub fn final_exit(&self) -> Option<&ConvergeExit> {
        self.halted.as_ref().or(self.state.exit.as_ref())
    }

    /// Returns true if the run's own audit found nothing more, and the run continues only to wait for others.
    fn waits_for_others(&self) -> bool {
        let is_content = |exit: &ConvergeExit| exit.kind() == ConvergeExitKind::Converged;
        self.is_pursued && self.state.exit.as_ref().is_none_or(is_content)
    }

    /// Returns true if the run waits for others, and no attempt to resume it has ended with an exit.
    fn is_waiting(&self) -> bool {
        self.halted.is_none() && self.waits_for_others()
    }
}

impl ConvergeRecord {
    /// Creates the record of a run that ended before its base and head were known. Such a run cannot be
    /// resumed ([`ConvergeRecord::has_begun`]).
    pub fn from_early_failure(
        run_and_key: (RunId, SlotKey),
        name_and_branch: (String, String),
        exit: ConvergeExit,
        now: UnixMillis,
    ) -> Self {
        let mut state = ConvergeRun::new(ConvergeLimits::default(), Sha::null(), Sha::null(), None);
        state.exit = Some(exit);
        let (run, key) = run_and_key;
        Self::new(
            run,
            key,
            ConvergeDetail::new(name_and_branch.0, name_and_branch.1, Sha::null(), state),
            now,
        )
    }

    /// Returns true if the base and head of the run are known.
    pub fn has_begun(&self) -> bool {
        !self.detail.base.is_null()
    }

    /// Resumes an unfinished run with these limits and this [`ConvergeDetail::setup_id`].
    pub fn resume(&mut self, limits: ConvergeLimits, setup_id: &str) {
        self.detail.state.resume();
        self.detail.halted = None;
        self.detail.state.limits = limits;
        if self.detail.setup_id != setup_id {
            // Other checks have to pass before the run pays for a call.
            self.detail.checked_head = None;
        }
        setup_id.clone_into(&mut self.detail.setup_id);
        self.detail.is_told = false;
    }

    /// Returns the head that the run found clean. Returns `None` if the run had a different base or setup, or
    /// if a dismissal of the run no longer applies.
    pub fn cleared_head(&self, base: &Sha, setup_id: &str, dismissals: &[Dismissal]) -> Option<&Sha> {
        let is_same = self.detail.base == *base
            && self.detail.setup_id == setup_id
            && self.detail.state.dismissals_still_hold(dismissals);
        self.detail.state.cleared_head.as_ref().filter(|_| is_same)
    }

    /// Returns the scope of the run's newest audit. The scope does not include the head.
    pub fn scope(&self) -> AuditScopeDigest {
        AuditScopeDigest::new(&self.detail.base, &self.detail.setup_id, &self.detail.state.dismissals)
    }

    /// Returns a copy of the record in which the audit counts as completed, if all auditors of this
    /// audit-only run have answered. Another run can continue from the copy.
    pub fn to_completed_audit(&self) -> Option<Self> {
        let mut state = self.detail.state.clone();
        if state.exit.is_some() || !state.audits_only || state.silent_auditors > 0 {
            return None;
        }
        state.apply_event(super::ConvergeEvent::FindingsPosted).ok()?;
        let detail = ConvergeDetail { state, is_told: true, ..self.detail.clone() };
        detail.state.exit.is_some().then(|| Self { detail, ..self.clone() })
    }

    /// Returns a copy of the record under the key for audits that cannot be resumed.
    #[must_use]
    pub fn with_abandoned_key(&self) -> Self {
        Self { key: abandoned_key(&self.key), ..self.clone() }
    }

    /// Returns true if this head is the first or last head of the run, or one of its commits.
    pub fn involves_head(&self, head: &Sha) -> bool {
        let ConvergeRun { starting_head: starting, head: last, commits, .. } = &self.detail.state;
        starting == head || last == head || commits.contains(head)
    }

    /// Turns the record of an audit-only run into that of a full run, which fixes the findings of the audit
    /// (see [`ConvergeRecord::is_audit_of`]).
    pub fn resume_from_audit(&mut self, limits: ConvergeLimits) {
        self.detail.state.resume_from_audit(limits);
        self.detail.is_told = false;
    }

    /// Returns true if this is the record of a completed audit of this head with this base and setup, and if
    /// the dismissals of the audit still apply. Another run can continue from the audit's findings.
    pub fn is_audit_of(&self, head: &Sha, base: &Sha, setup_id: &str, dismissals: &[Dismissal]) -> bool {
        let state = &self.detail.state;
        state.audits_only
            && state.dismissals_still_hold(dismissals)
            && state.silent_auditors == 0
            && state.exit.as_ref().is_some_and(|exit| {
                matches!(exit.kind(), ConvergeExitKind::Converged | ConvergeExitKind::CapReached)
            })
            && (&state.head, &self.detail.base, self.detail.setup_id.as_str()) == (head, base, setup_id)
    }

    /// Returns true if the run is stuck and had this base, this setup, this auditor's model and these
    /// dismissals. Another run with the same inputs would find nothing new.
    pub fn is_stuck_with(&self, base: &Sha, setup_id: &str, model: &str, dismissals: &[Dismissal]) -> bool {
        let is_same = self.detail.base == *base
            && self.detail.setup_id == setup_id
            && self.model.as_deref() == Some(model);
        is_same && self.detail.state.is_stuck_with(dismissals)
    }

    /// Continues a stuck run ([`ConvergeRecord::is_stuck_with`]). Fixers are called again without a new
    /// audit.
    pub fn retry(&mut self, limits: ConvergeLimits) {
        self.detail.state.retry(limits);
        self.detail.is_told = false;
    }

    /// Returns the cost since the run was last resumed.
    pub fn cost_since_resume(&self) -> MicroUsd {
        MicroUsd(self.cost().0.saturating_sub(self.detail.cost_before_resume.0))
    }

    /// Returns the number of tool calls that were denied since the run was last resumed.
    pub fn denials_since_resume(&self) -> u32 {
        self.denied_tool_calls().saturating_sub(self.detail.denials_before_resume)
    }

    /// Records the exit with which the run ends or pauses. If the run itself already has an exit, the new
    /// exit is stored in `halted`.
    pub fn record_exit(&mut self, exit: ConvergeExit) {
        match self.detail.state.exit {
            None => self.detail.state.exit = Some(exit),
            Some(_) => self.detail.halted = Some(exit),
        }
    }

    /// Returns true if the run can continue.
    pub fn is_unfinished(&self) -> bool {
        let is_resumable =
            |exit: &ConvergeExit| exit.code.is_resumable() && !self.detail.state.is_degraded_audit();
        self.detail.waits_for_others() || self.detail.state.exit.as_ref().is_none_or(is_resumable)
    }

    /// Returns true if the description must be written. This is the case once for each head, after the run
    /// has ended with a result to report.
    pub fn is_description_due(&self) -> bool {
        if self.detail.state.audits_only {
            return false;
        }
        let is_told = self.detail.state.exit.as_ref().is_some_and(|exit| {
            matches!(
                exit.kind(),
                ConvergeExitKind::Converged | ConvergeExitKind::CapReached | ConvergeExitKind::Stuck
            )
        });
        is_told && self.detail.described.as_ref() != Some(&self.detail.state.head)
    }

    /// Stores one auditor's evidence in the newest audit. Replaces the evidence that the same auditor gave
    /// earlier in this audit.
    pub fn record_absences(&mut self, auditor: u32, absences: Vec<AbsenceProof>) {
        let number = self.detail.state.audit_count;
        self.detail.absences.retain(|known| (known.r#loop, known.auditor) != (number, auditor));
        let room = MAX_ABSENCES.saturating_sub(self.detail.absences.len());
        self.detail.absences.extend(absences.into_iter().take(room));
    }

    /// Stores a warning for users, unless the same warning is already stored.
    pub fn warn(&mut self, warning: String) {
        if self.detail.warnings.len() < MAX_WARNINGS && !self.detail.warnings.contains(&warning) {
            self.detail.warnings.push(warning);
        }
    }
}

/// Maximum number of stored absence proofs, enough for ten audits with three auditors each.
const MAX_ABSENCES: usize = 400;

/// Maximum number of stored warnings.
const MAX_WARNINGS: usize = 50;
