//! A fix on its way to the branch: made by a fixer, looked at, and made again as often as the limits let it be.

use std::collections::BTreeMap;

use super::{Act, Candidate, Code, MAX_TOLD, Problem, ProblemKind, Run, Word};
use crate::finding::Finding;
use crate::id::FindingId;
use crate::line;

impl Run {
    /// What a fixer says and left.
    pub(super) fn fixed(
        &mut self,
        problems: &[Problem],
        words: BTreeMap<FindingId, Word>,
        candidate: Option<Candidate>,
    ) {
        self.silent_fixers = 0;
        self.words.extend(words);
        let is_other = candidate.as_ref().is_some_and(|new| new.tree != self.tree);
        // Its files count, not the second at which it was committed. What a hook minds need not be in them.
        let before = self.candidate.as_ref().map(|before| &before.tree);
        let is_new = candidate.as_ref().map(|new| &new.tree) != before
            || problems.iter().any(|problem| problem.kind == ProblemKind::Hook);
        let returns =
            candidate.as_ref().filter(|_| is_other).and_then(|new| self.ledger.returns_to(&new.tree));
        if let Some(reason) = returns {
            // What it brings back is known: it is not pushed, and what was found stands.
            self.candidate = None;
            return self.end(Code::Oscillation, reason);
        }
        match candidate {
            Some(candidate) if is_other && is_new => {
                self.candidate = Some(candidate);
                self.next = Act::Check;
            }
            // The problems that it was to fix are still there.
            Some(_) if is_other => self.give_up(problems),
            Some(_) | None => {
                self.candidate = None;
                self.next = Act::Reply;
            }
        }
    }

    /// A fixer died, or came to no report: what it left is thrown away, and a fresh one is asked.
    pub(super) fn silent_fixer(&mut self, why: &str) {
        self.silent_fixers = self.silent_fixers.saturating_add(1);
        if self.silent_fixers >= self.limits.worker_attempts {
            // Who goes on with the run asks as often again.
            self.silent_fixers = 0;
            let why = line::clean(why, MAX_TOLD);
            self.end(Code::Infrastructure, format!("no fixer came to its end: {why}"));
        }
    }

    /// What is wrong with its fix, if anything is.
    pub(super) fn checked(&mut self, problems: Vec<Problem>) {
        if problems.is_empty() {
            self.next = Act::Publish;
            return;
        }
        if self.is_mending() {
            return self.refuse(problems);
        }
        self.check_rounds = self.check_rounds.saturating_add(1);
        if problems.iter().any(|problem| problem.kind == ProblemKind::Test) {
            // With the fix goes what was said of it.
            self.candidate = None;
            self.words.clear();
        }
        if self.check_rounds >= self.limits.selfaudit_rounds {
            self.give_up(&problems);
        } else {
            self.next = Act::Fix { problems };
        }
    }

    /// A fix does not become right.
    fn give_up(&mut self, problems: &[Problem]) {
        self.candidate = None;
        let worst = problems.iter().min_by_key(|problem| problem.kind);
        let (kind, text) =
            worst.map_or((ProblemKind::Finding, ""), |worst| (worst.kind, worst.text.as_str()));
        let (code, what) = match kind {
            ProblemKind::Test => (Code::Tests, "the fix deletes or weakens tests"),
            ProblemKind::Check => (Code::Checks, "a check fails with the fix that passes without it"),
            ProblemKind::Hook => (Code::Hook, "a hook of the repository blocks the fix"),
            ProblemKind::Gate | ProblemKind::Finding => (Code::SelfAudit, "post-fix audit not converging"),
        };
        let text = line::clean(text, MAX_TOLD);
        let reason = if text.is_empty() { what.to_owned() } else { format!("{what}: {text}") };
        if self.holds_back() {
            return self.end(code, reason);
        }
        // What does not block may stay.
        let declined = |finding: &Finding| (finding.id.clone(), Word::Declined(reason.clone()));
        self.words = self.found.iter().map(declined).collect();
        self.next = Act::Reply;
    }

    /// A hook blocks the commit: once more, by a fresh fixer, who is told; then the findings are answered with it.
    pub(super) fn blocked(&mut self, words: String) {
        self.hook_blocks = self.hook_blocks.saturating_add(1);
        if self.hook_blocks <= self.limits.hook_retry {
            let problems = vec![Problem { kind: ProblemKind::Hook, text: words }];
            if self.is_mending() {
                return self.refuse(problems);
            }
            self.next = Act::Fix { problems };
            return;
        }
        self.candidate = None;
        if self.is_mending() {
            // No finding is in question.
            return self.end_by_hook(&words);
        }
        self.hook = Some(words);
        self.next = Act::Reply;
    }
}
