//! The gate before an audit. A fixer resolves the problems that the gate reports, within a limit of rounds.
//! Each fix is checked before it is pushed.

use super::{ConvergeAction, ConvergeExitCode, ConvergeRun, FixCandidate, FixProblem, MAX_QUOTED_CHARS};
use crate::line;

impl ConvergeRun {
    /// Handles the output with which the gate blocks.
    pub(super) fn handle_gate_block(&mut self, mut output: String) {
        let refused = std::mem::take(&mut self.fix_problems);
        if self.gate_fix_count >= self.limits.max_gate_fixes {
            let mut reason =
                format!("the gate still blocks after {} fixes of its findings", self.gate_fix_count);
            if let Some(problem) = refused.first() {
                reason += &format!(
                    "; the last fix was discarded: {}",
                    line::clean_line(&problem.text, MAX_QUOTED_CHARS)
                );
            }
            self.set_exit(ConvergeExitCode::Gate, reason);
            return;
        }
        for problem in refused {
            output += &format!("\nThe last fix of these findings was discarded: {}\n", problem.text);
        }
        self.next_action = ConvergeAction::Mend { output };
    }

    /// Handles the fix of a gate report. If there is a fix, it is checked before it is pushed; then the gate
    /// runs again.
    pub(super) fn apply_gate_fix(&mut self, candidate: Option<FixCandidate>) {
        self.silent_fixers = 0;
        self.gate_fix_count = self.gate_fix_count.saturating_add(1);
        self.next_action = if candidate.is_some() { ConvergeAction::Check } else { ConvergeAction::Gate };
        self.candidate = candidate;
    }

    /// Discards a gate fix that has problems. The discarded round counts against the limit, and the next
    /// round starts from the unchanged head.
    pub(super) fn discard_gate_fix(&mut self, problems: Vec<FixProblem>) {
        (self.candidate, self.fix_problems, self.next_action) = (None, problems, ConvergeAction::Gate);
    }

    /// Returns true if the fix in progress resolves a gate report.
    pub fn is_fixing_gate_report(&self) -> bool {
        self.gate_fix_count > 0
    }
}
