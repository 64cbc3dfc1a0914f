//! Restarts a stuck run whose inputs have not changed. The restart uses the findings of the newest audit, so
//! the same audit is not paid for twice.

use super::{ConvergeAction, ConvergeExitKind, ConvergeLimits, ConvergeRun};
use crate::dismissal::Dismissal;
use crate::finding::FindingStatus;

impl ConvergeRun {
    /// Returns true if the dismissals that excluded findings of this run still apply.
    pub fn dismissals_still_hold(&self, dismissals: &[Dismissal]) -> bool {
        let holds = |dismissal: &Dismissal| {
            dismissals.iter().any(|now| now.finding == dismissal.finding && !now.withdrawn)
        };
        self.dismissals.iter().filter(|dismissal| !dismissal.withdrawn).all(holds)
    }

    /// Returns true if the run is stuck on the findings of its newest audit, this audit examined the present
    /// head, and the run has these dismissals.
    pub fn is_stuck_with(&self, dismissals: &[Dismissal]) -> bool {
        let is_stuck = self.exit.as_ref().is_some_and(|exit| exit.kind() == ConvergeExitKind::Stuck);
        is_stuck
            && self.suspended_audit.is_none()
            && self.silent_auditors == 0
            && self.dismissals == dismissals
            && self.history.has_audited(self.audit_count, &self.tree)
    }

    /// Restarts a stuck run from the findings of its newest audit. Fixers are called again, and earlier
    /// unsuccessful fixes no longer count as a lack of progress.
    pub fn retry(&mut self, limits: ConvergeLimits) {
        self.limits = limits;
        self.exit = None;
        self.next_action = ConvergeAction::Gate;
        self.skips_next_audit = true;
        (self.gate_fix_count, self.silent_fixers) = (0, 0);
        self.fix_problems.clear();
        self.reset_fix_state();
        for finding in &mut self.findings {
            finding.status = FindingStatus::Open;
        }
        self.history.restart_progress();
    }
}
