//! A run that got stuck and is asked for again where nothing is new: what its newest audit found is known, and nobody pays for
//! the same audit twice.

use super::{ConvergeAction, ConvergeExitKind, ConvergeLimits, ConvergeRun};
use crate::dismissal::Dismissal;
use crate::finding::FindingStatus;

impl ConvergeRun {
    /// Do the dismissals still hold by which some of its findings were left out?
    pub fn rests_on(&self, said: &[Dismissal]) -> bool {
        let holds = |of: &Dismissal| said.iter().any(|now| now.finding == of.finding && !now.withdrawn);
        self.dismissals.iter().filter(|of| !of.withdrawn).all(holds)
    }

    /// Is it stuck, and is what holds it back what its own newest audit found at its head, with these dismissals?
    pub fn is_stuck_with(&self, said: &[Dismissal]) -> bool {
        let is_stuck = self.exit.as_ref().is_some_and(|exit| exit.kind() == ConvergeExitKind::Stuck);
        is_stuck
            && self.aside.is_none()
            && self.silent == 0
            && self.dismissals == said
            && self.history.has_audited(self.audits, &self.tree)
    }

    /// Lets a run that is stuck go on from what its newest audit found: fixers are asked anew, and what came of the fixes
    /// before counts no more.
    pub fn retry(&mut self, limits: ConvergeLimits) {
        self.limits = limits;
        self.exit = None;
        self.next = ConvergeAction::Gate;
        self.is_audited = true;
        (self.gate_rounds, self.silent_fixers) = (0, 0);
        self.refused.clear();
        self.forget_fix();
        for finding in &mut self.found {
            finding.status = FindingStatus::Open;
        }
        self.history.begin_again();
    }
}
