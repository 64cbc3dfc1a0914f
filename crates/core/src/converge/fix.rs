//! Handles a fix until it reaches the branch: a fixer makes the fix, checks run, and a failed fix is repeated
//! within the limits.

use std::collections::BTreeMap;

use super::exit::NO_FIXER_REASON;
use super::{
    ConvergeAction, ConvergeExitCode, ConvergeLogLine, ConvergeRun, FixCandidate, FixProblem, FixProblemKind,
    FixerVerdict, MAX_QUOTED_CHARS,
};
use crate::finding::{Finding, FindingStatus};
use crate::id::{FindingId, Sha};
use crate::line;

impl ConvergeRun {
    /// Handles the verdicts of a fixer and, if there is one, its fix.
    pub(super) fn handle_fixer_report(
        &mut self,
        problems: &[FixProblem],
        verdicts: BTreeMap<FindingId, FixerVerdict>,
        candidate: Option<FixCandidate>,
    ) {
        self.silent_fixers = 0;
        self.fixer_verdicts.extend(verdicts);
        let is_other = candidate.as_ref().is_some_and(|new| new.tree != self.tree);
        // Fixes are compared by their trees, because the commits of equal trees may differ in their times.
        // After a hook has blocked a commit, an equal tree is accepted, because the hook may have rejected
        // something else.
        let before = self.candidate.as_ref().map(|before| &before.tree);
        let is_new = candidate.as_ref().map(|new| &new.tree) != before
            || problems.iter().any(|problem| problem.kind == FixProblemKind::Hook);
        let returns = candidate
            .as_ref()
            .filter(|_| is_other)
            .and_then(|new| self.history.reverted_tree_reason(&new.tree));
        if let Some(reason) = returns {
            // The fix restores a tree that an earlier audit has examined. The fix is not pushed, and the
            // findings remain.
            self.candidate = None;
            return self.set_exit(ConvergeExitCode::Oscillation, reason);
        }
        match candidate {
            Some(candidate) if is_other && is_new => {
                self.candidate = Some(candidate);
                self.next_action = ConvergeAction::Check;
            }
            // The new fix equals the previous fix, so it still has the problems of the previous fix.
            Some(_) if is_other => self.abandon_fix(problems),
            Some(_) | None => {
                self.candidate = None;
                self.next_action = ConvergeAction::Reply;
            }
        }
    }

    /// Handles a fixer that failed or gave no report. Its changes are discarded, and a fresh fixer is called
    /// while attempts remain.
    pub(super) fn handle_silent_fixer(&mut self, reason: &str) {
        self.silent_fixers = self.silent_fixers.saturating_add(1);
        if self.silent_fixers >= self.limits.max_agent_requests {
            // If the run is resumed, it has the full number of attempts again.
            self.silent_fixers = 0;
            let reason = line::clean_line(reason, MAX_QUOTED_CHARS);
            self.set_exit(ConvergeExitCode::Infrastructure, format!("{NO_FIXER_REASON}: {reason}"));
        }
    }

    /// Handles the problems that checks found in a fix. Accepts the fix if the list is empty.
    pub(super) fn apply_check_result(&mut self, problems: Vec<FixProblem>) {
        if problems.is_empty() {
            self.next_action = ConvergeAction::Publish;
            return;
        }
        if self.is_fixing_gate_report() {
            return self.discard_gate_fix(problems);
        }
        self.check_rounds = self.check_rounds.saturating_add(1);
        let is_unchanged = problems.iter().any(|problem| problem.kind == FixProblemKind::Unchanged);
        if is_unchanged || problems.iter().any(|problem| problem.kind == FixProblemKind::Test) {
            // The fixer's verdicts are removed, because they belong to the discarded fix.
            self.candidate = None;
            self.fixer_verdicts.clear();
        }
        // If the fix does not change the code's behaviour, only one more attempt is permitted.
        let most = self.limits.max_failed_checks.min(if is_unchanged { 2 } else { u32::MAX });
        if self.check_rounds >= most {
            self.abandon_fix(&problems);
        } else {
            self.next_action = ConvergeAction::Fix { problems };
        }
    }

    /// Gives up a fix that still has problems after all permitted attempts.
    fn abandon_fix(&mut self, problems: &[FixProblem]) {
        self.candidate = None;
        let worst = problems.iter().min_by_key(|problem| problem.kind);
        let (kind, text) =
            worst.map_or((FixProblemKind::Finding, ""), |worst| (worst.kind, worst.text.as_str()));
        let (code, what) = match kind {
            FixProblemKind::Test => (ConvergeExitCode::Tests, "the fix deletes or weakens tests"),
            FixProblemKind::Check => {
                (ConvergeExitCode::Checks, "the fix makes a check fail that passes without the fix")
            }
            FixProblemKind::Hook => (ConvergeExitCode::Hook, "a hook of the repository blocks the fix"),
            FixProblemKind::Unchanged => {
                (ConvergeExitCode::NothingFixed, "the fix does not change the code's behaviour")
            }
            FixProblemKind::Gate | FixProblemKind::Finding => {
                (ConvergeExitCode::SelfAudit, "the checks of the fix still find problems")
            }
        };
        let text = line::clean_line(text, MAX_QUOTED_CHARS);
        let reason = if text.is_empty() { what.to_owned() } else { format!("{what}: {text}") };
        if self.has_blocking_finding() {
            return self.set_exit(code, reason);
        }
        // Findings that do not block may remain, so the run continues with replies to them.
        let declined = |finding: &Finding| (finding.id.clone(), FixerVerdict::Declined(reason.clone()));
        self.fixer_verdicts = self.findings.iter().map(declined).collect();
        self.next_action = ConvergeAction::Reply;
    }

    /// Handles a hook that blocks the commit. While retries remain, a fresh fixer gets the hook's output.
    /// After the last retry, the run continues with replies to the findings.
    pub(super) fn apply_hook_block(&mut self, hook_output: String) {
        self.hook_blocks = self.hook_blocks.saturating_add(1);
        if self.hook_blocks <= self.limits.max_hook_retries {
            let problems = vec![FixProblem { kind: FixProblemKind::Hook, text: hook_output }];
            if self.is_fixing_gate_report() {
                return self.discard_gate_fix(problems);
            }
            self.next_action = ConvergeAction::Fix { problems };
            return;
        }
        self.candidate = None;
        if self.is_fixing_gate_report() {
            // A fix of a gate report concerns no finding, so there is nothing to reply to.
            return self.end_by_hook(&hook_output);
        }
        self.hook_message = Some(hook_output);
        self.next_action = ConvergeAction::Reply;
    }

    /// Records that the fix was pushed to the branch.
    pub(super) fn record_push(&mut self) {
        let Some(FixCandidate { commit, tree }) = self.candidate.take() else { return };
        (self.head, self.tree) = (commit.clone(), tree);
        self.hook_blocks = 0;
        self.commits.push(commit.clone());
        if self.is_fixing_gate_report() {
            self.log.push(ConvergeLogLine::GateFix { commit });
            self.next_action = ConvergeAction::Gate;
        } else {
            self.log_fix(Some(commit.clone()));
            self.history.record_fixer_verdicts(&self.findings, &self.fixer_verdicts);
            let fixed = self.fixer_verdicts.iter().filter(|(_, word)| **word == FixerVerdict::Fixed);
            self.claimed_fixes.extend(fixed.map(|(id, _)| (id.clone(), (commit.clone(), self.log.len()))));
            self.next_action = ConvergeAction::Reply;
        }
    }

    pub(super) fn end_by_hook(&mut self, hook_output: &str) {
        let last = crate::line::clean_line(hook_output.lines().last().unwrap_or_default(), MAX_QUOTED_CHARS);
        self.set_exit(ConvergeExitCode::Hook, format!("a hook of the repository blocks the fix: {last}"));
    }

    pub(super) fn log_fix(&mut self, commit: Option<Sha>) {
        let fixed_count =
            self.fixer_verdicts.values().filter(|word| matches!(word, FixerVerdict::Fixed)).count();
        // Without a commit, no finding is fixed, even if the fixer claims a fix.
        let fixed = if commit.is_some() { fixed_count } else { 0 };
        let declined = self.findings.len().saturating_sub(fixed_count);
        let count = |many| u32::try_from(many).unwrap_or(u32::MAX);
        let (fixed, declined) = (count(fixed), count(declined));
        self.log.push(ConvergeLogLine::Fix { number: self.audit_count, commit, fixed, declined });
    }

    /// Returns the findings that the newest audit confirms as fixed. Each has the commit of its fix, and the
    /// length of the log when the fixer reported the fix.
    pub fn confirmed_fixes(&self) -> impl Iterator<Item = (&Finding, &Sha, usize)> {
        let all = self.history.findings().iter().filter(move |_| self.silent_auditors == 0);
        all.filter(|finding| matches!(finding.status, FindingStatus::Fixed(_))).filter_map(move |finding| {
            self.claimed_fixes.get(&finding.id).map(|(commit, round)| (finding, commit, *round))
        })
    }

    /// Removes the claims of fixes that the audit has examined, and keeps all other claims.
    pub(super) fn clear_examined_claims(&mut self) {
        let waits = self.silent_auditors > 0;
        let open = |id: &FindingId| {
            let mut known = self.history.findings().iter();
            known.any(|known| {
                known.id == *id && (waits && !known.is_open() || known.status == FindingStatus::Claimed)
            })
        };
        let mut claims = std::mem::take(&mut self.claimed_fixes);
        claims.retain(|id, _| open(id));
        self.claimed_fixes = claims;
    }
}
