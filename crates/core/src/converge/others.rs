//! Findings and pushes of others during a run. Other reviewers' findings are fixed next, as if an audit had
//! found them: with ids, a log line and the same limits. After that push the run continues as after any
//! other.

use serde::{Deserialize, Serialize};

use super::{AuditorFinding, ConvergeAction, ConvergeExit, ConvergeExitKind, ConvergeLogLine, ConvergeRun};
use crate::finding::Finding;
use crate::id::Sha;
use crate::identity::{PlacedFinding, assign_finding_ids};
use crate::increment::FileRenames;
use crate::outcome::ReviewCoverage;

/// The state that is set aside while a fix for other reviewers' findings is in progress.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SuspendedAudit {
    /// Findings of the newest audit.
    pub found: Vec<Finding>,
    /// End with which the run had converged at this head, if it had.
    pub exit: Option<ConvergeExit>,
}

impl ConvergeRun {
    /// Returns true if nothing is in progress: before an audit begins, or after the run has converged. Only
    /// then are other reviewers' findings accepted.
    pub fn accepts_other_findings(&self) -> bool {
        match &self.exit {
            Some(exit) => exit.kind() == ConvergeExitKind::Converged,
            None => self.next == ConvergeAction::Gate,
        }
    }

    /// Accepts findings of other reviewers. `found` contains them in the same order until the fix is
    /// answered.
    pub(super) fn apply_claims(&mut self, claims: Vec<AuditorFinding>, renames: &FileRenames) {
        if claims.is_empty() {
            return;
        }
        self.heard = self.heard.saturating_add(1);
        self.gate_rounds = 0;
        let (placed, origins): (Vec<PlacedFinding>, Vec<_>) =
            claims.into_iter().map(|claim| (claim.placed, claim.origin)).unzip();
        // A finding that they do not report again is not necessarily gone.
        let identified =
            assign_finding_ids(self.history.findings(), placed, None, &ReviewCoverage::default(), renames)
                .current;
        self.history.record_sightings(&identified, &origins);
        let found = std::mem::replace(&mut self.found, identified);
        self.aside = Some(SuspendedAudit { found, exit: self.exit.take() });
        self.reset_fix_state();
        self.log.push(ConvergeLogLine::Heard { number: self.heard, counts: self.severity_counts() });
        if let Some((code, reason)) =
            self.history.recurrence_exit(self.found.iter().map(|finding| &finding.id))
        {
            return self.set_exit(code, reason);
        }
        // This limit applies where no audit follows.
        if self.heard > self.limits.max_audits || self.remaining_audits() == 0 && !self.limits.final_fix {
            return self.end_by_audit_cap();
        }
        self.next = ConvergeAction::Fix { problems: Vec::new() };
    }

    /// Handles a push of another user: the work in progress concerns code that is gone.
    pub(super) fn apply_foreign_push(&mut self, head: Sha, tree: Sha) {
        self.moves = self.moves.saturating_add(1);
        // The push may have reverted the fixes.
        self.claims.clear();
        self.restart_at_head(head, tree);
    }

    /// Handles the merge of the base into the branch that we requested.
    pub(super) fn apply_base_update(&mut self, head: Sha, tree: Sha) {
        self.updates = self.updates.saturating_add(1);
        self.restart_at_head(head, tree);
    }

    fn restart_at_head(&mut self, head: Sha, tree: Sha) {
        self.log.push(ConvergeLogLine::Moved { head: head.clone() });
        (self.head, self.tree) = (head, tree);
        (self.exit, self.aside, self.candidate) = (None, None, None);
        (self.gate_rounds, self.hook_blocks, self.silent_fixers) = (0, 0, 0);
        self.refused.clear();
        self.history.clear_progress_marks();
        self.next = ConvergeAction::Gate;
    }

    /// Handles a fixer that changed nothing for others' findings: the head is unchanged.
    pub(super) fn handle_declined_feedback(&mut self, aside: SuspendedAudit) {
        self.found = aside.found;
        match aside.exit {
            Some(_) => self.decide_without_blockers(),
            None => self.next = ConvergeAction::Gate,
        }
    }
}
