//! Handles findings and pushes by others during a run. Other reviewers' findings are fixed next. They are
//! treated like the findings of an audit: they get ids and a line in the log, and the same limits apply.
//! After the push of such a fix, the run continues as after any other push.

use serde::{Deserialize, Serialize};

use super::{AuditorFinding, ConvergeAction, ConvergeExit, ConvergeExitKind, ConvergeLogLine, ConvergeRun};
use crate::finding::Finding;
use crate::id::Sha;
use crate::identity::{PlacedFinding, assign_finding_ids};
use crate::increment::FileRenames;
use crate::outcome::ReviewCoverage;

/// The state of the audit that is suspended while other reviewers' findings are fixed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SuspendedAudit {
    /// Findings of the newest audit.
    #[serde(rename = "found")]
    pub findings: Vec<Finding>,
    /// Exit of the run, if it had converged at this head; otherwise `None`.
    pub exit: Option<ConvergeExit>,
}

impl ConvergeRun {
    /// Returns true if no audit or fix is in progress: before an audit begins, or after the run has
    /// converged. Findings of other reviewers are accepted only in this state.
    pub fn accepts_feedback(&self) -> bool {
        match &self.exit {
            Some(exit) => exit.kind() == ConvergeExitKind::Converged,
            None => self.next_action == ConvergeAction::Gate,
        }
    }

    /// Accepts findings of other reviewers. Until the replies are posted, `findings` contains these findings
    /// in the same order.
    pub(super) fn apply_feedback(&mut self, feedback_findings: Vec<AuditorFinding>, renames: &FileRenames) {
        if feedback_findings.is_empty() {
            return;
        }
        self.feedback_rounds = self.feedback_rounds.saturating_add(1);
        self.gate_fix_count = 0;
        let (placed, origins): (Vec<PlacedFinding>, Vec<_>) =
            feedback_findings.into_iter().map(|claim| (claim.placed, claim.origin)).unzip();
        // The known findings are not updated, because a finding may still exist although the other reviewers
        // did not report it.
        let identified =
            assign_finding_ids(self.history.findings(), placed, None, &ReviewCoverage::default(), renames)
                .current;
        self.history.record_sightings(&identified, &origins);
        let found = std::mem::replace(&mut self.findings, identified);
        self.suspended_audit = Some(SuspendedAudit { findings: found, exit: self.exit.take() });
        self.reset_fix_state();
        self.log
            .push(ConvergeLogLine::Feedback { number: self.feedback_rounds, counts: self.severity_counts() });
        if let Some((code, reason)) =
            self.history.recurrence_exit(self.findings.iter().map(|finding| &finding.id))
        {
            return self.set_exit(code, reason);
        }
        // The limit of audits also limits the number of other reviewers' reports, because a report is not
        // always followed by an audit.
        if self.feedback_rounds > self.limits.max_audits
            || self.remaining_audits() == 0 && !self.limits.fixes_last_audit
        {
            return self.end_at_audit_cap();
        }
        self.next_action = ConvergeAction::Fix { problems: Vec::new() };
    }

    /// Handles a push by another account. The work in progress is discarded, because it concerns code that no
    /// longer exists.
    pub(super) fn apply_foreign_push(&mut self, head: Sha, tree: Sha) {
        self.foreign_heads = self.foreign_heads.saturating_add(1);
        // The claims are dropped, because the push may have reverted the fixes.
        self.claimed_fixes.clear();
        self.restart_at_head(head, tree);
    }

    /// Handles a merge of the base into the branch that Truing had requested.
    pub(super) fn apply_base_update(&mut self, head: Sha, tree: Sha) {
        self.base_merges = self.base_merges.saturating_add(1);
        self.restart_at_head(head, tree);
    }

    fn restart_at_head(&mut self, head: Sha, tree: Sha) {
        self.log.push(ConvergeLogLine::HeadChange { head: head.clone() });
        (self.head, self.tree) = (head, tree);
        (self.exit, self.suspended_audit, self.candidate) = (None, None, None);
        (self.gate_fix_count, self.hook_blocks, self.silent_fixers) = (0, 0, 0);
        self.fix_problems.clear();
        self.history.clear_past_audits();
        self.next_action = ConvergeAction::Gate;
    }

    /// Handles a fixer that changed nothing in response to other reviewers' findings. The suspended audit is
    /// restored, because the head is unchanged.
    pub(super) fn handle_declined_feedback(&mut self, suspended_audit: SuspendedAudit) {
        self.findings = suspended_audit.findings;
        match suspended_audit.exit {
            Some(_) => self.decide_without_blockers(),
            None => self.next_action = ConvergeAction::Gate,
        }
    }
}
