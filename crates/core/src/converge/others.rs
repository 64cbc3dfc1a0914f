//! What other reviewers found becomes the work of the next fix (spec/converge.md 10.8, 15.3), as if an audit had found
//! it: with ids and a line in the log, within the same limits. After its push the run goes on as after any other. And what
//! others push.

use serde::{Deserialize, Serialize};

use super::{AuditorFinding, ConvergeAction, ConvergeExit, ConvergeExitKind, ConvergeLogLine, ConvergeRun};
use crate::finding::Finding;
use crate::id::Sha;
use crate::identity::{PlacedFinding, identify};
use crate::increment::FileRenames;
use crate::outcome::ReviewCoverage;

/// What is set aside while a fix of what others found is in progress.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SuspendedAudit {
    /// What the newest audit found.
    pub found: Vec<Finding>,
    /// The run had converged at this head, so.
    pub exit: Option<ConvergeExit>,
}

impl ConvergeRun {
    /// Is nothing in progress? Then others may be heard: before an audit begins, and after the run has converged.
    pub fn is_at_rest(&self) -> bool {
        match &self.exit {
            Some(exit) => exit.kind() == ConvergeExitKind::Converged,
            None => self.next == ConvergeAction::Gate,
        }
    }

    /// Others have found this. `found` holds it, in the same order, until the fix is answered.
    pub(super) fn heard(&mut self, claims: Vec<AuditorFinding>, renames: &FileRenames) {
        if claims.is_empty() {
            return;
        }
        self.heard = self.heard.saturating_add(1);
        self.gate_rounds = 0;
        let (placed, origins): (Vec<PlacedFinding>, Vec<_>) =
            claims.into_iter().map(|claim| (claim.placed, claim.origin)).unzip();
        // They do not say that what they leave out is gone.
        let identified =
            identify(self.history.findings(), placed, None, (&ReviewCoverage::default(), renames)).current;
        self.history.seen(&identified, &origins);
        let found = std::mem::replace(&mut self.found, identified);
        self.aside = Some(SuspendedAudit { found, exit: self.exit.take() });
        self.forget_fix();
        self.log.push(ConvergeLogLine::Heard { number: self.heard, counts: self.counts() });
        if let Some((code, reason)) = self.history.worn(self.found.iter().map(|finding| &finding.id)) {
            return self.end(code, reason);
        }
        // Where no audit follows, this bounds it.
        if self.heard > self.limits.max_audits || self.audits_left() == 0 && !self.limits.final_fix {
            return self.reach_cap();
        }
        self.next = ConvergeAction::Fix { problems: Vec::new() };
    }

    /// Somebody else has pushed: what is in progress is about code that is gone.
    pub(super) fn moved(&mut self, head: Sha, tree: Sha) {
        self.moves = self.moves.saturating_add(1);
        // Whoever has pushed may have taken the fixes back.
        self.claims.clear();
        self.begin_anew(head, tree);
    }

    /// The base was merged into the branch, because we wanted it.
    pub(super) fn updated(&mut self, head: Sha, tree: Sha) {
        self.updates = self.updates.saturating_add(1);
        self.begin_anew(head, tree);
    }

    fn begin_anew(&mut self, head: Sha, tree: Sha) {
        self.log.push(ConvergeLogLine::Moved { head: head.clone() });
        (self.head, self.tree) = (head, tree);
        (self.exit, self.aside, self.candidate) = (None, None, None);
        (self.gate_rounds, self.hook_blocks, self.silent_fixers) = (0, 0, 0);
        self.refused.clear();
        self.history.moved();
        self.next = ConvergeAction::Gate;
    }

    /// A fixer changed nothing of what others found: the head is what it was.
    pub(super) fn turned_down(&mut self, aside: SuspendedAudit) {
        self.found = aside.found;
        match aside.exit {
            Some(_) => self.judge_clean(),
            None => self.next = ConvergeAction::Gate,
        }
    }
}
