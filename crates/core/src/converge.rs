//! The converge loop's machine (spec/converge.md 2, 14, 15): what is to be done next on one branch, and what follows from
//! how it went, until a fresh audit finds nothing or there is a reason to stop. Pure.
//!
//! ```text
//!            ┌──── Mend ◀─ dirty ─┐            ┌─ re-run who gave no answer
//!            ▼                    │            ▼
//!   begin ▶ Gate ─────────────── clean ─────▶ Audit ──▶ Post ──▶ nothing found: converged
//!            ▲                                           │       no way on: stuck, cap reached
//!            │                                           ▼
//!          Reply ◀── Publish ◀── nothing wrong ── Check ◀─ Fix ◀─┐
//!                       └─ a hook blocks ────────────┴─ dirty ───┘
//! ```
//!
//! An act is one lease; what it came to is an event, and the [`ConvergeRun`] after it is kept before the next act begins. So a
//! run that dies goes on where it was: acts that write to git or a forge find what they have done already.
//! Nothing that is missing is ever clean: an auditor that dies or gives no proper answer is asked once more, and one
//! that stays silent leaves the loop degraded, which cannot converge.

mod act;
mod again;
mod audit_scope;
mod exit;
mod fix;
mod gate;
mod judge;
mod merge;
mod others;
mod progress;
pub mod readiness;
pub mod record;
mod reviewed_clean;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::dismissal::{self, Dismissal};
use crate::finding::{Finding, FindingStatus, Severity};
use crate::id::{FindingId, Sha};
use crate::identity::{PlacedFinding, identify};
use crate::increment::FileRenames;
use crate::outcome::ReviewCoverage;
pub use act::{
    AuditorAnswer, ConvergeAction, ConvergeEvent, ConvergeStep, FixCandidate, FixProblem, FixProblemKind,
    FixerVerdict,
};
pub use audit_scope::AuditScope;
use exit::NO_AUDITOR;
pub use exit::{ConvergeExit, ConvergeExitCode, ConvergeExitKind, no_answer};
pub use merge::{AuditorFinding, LineOrigin};
use merge::{MergedFinding, merged};
pub use others::SuspendedAudit;
pub use progress::FindingHistory;
pub use reviewed_clean::is_reviewed_clean;

/// So often another head than the expected one only costs an audit that does not count (spec/converge.md A10).
pub const MAX_MOVES: u32 = 3;

/// How far a run may go: `[converge]` of cli.md, as it was when the run began.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ConvergeLimits {
    /// Audits.
    pub max_audits: u32,
    /// Fixes of what the gate says, before one audit.
    pub gate_rounds: u32,
    /// Looks at a fix that find something, in one loop.
    pub selfaudit_rounds: u32,
    /// The first loop with several auditors.
    pub parallel_from: u32,
    /// So many.
    pub auditors: u32,
    /// How often an auditor or a fixer is asked before it counts as silent.
    pub worker_attempts: u32,
    /// How often a fix is made again because a hook blocks it.
    pub hook_retry: u32,
    /// Findings of less weight are fixed once and then left.
    pub min_blocking: Severity,
    /// Does a run converge with findings that its fixers declined?
    pub allow_declined: bool,
    /// Is what the last audit found fixed, though nobody audits the fix?
    pub final_fix: bool,
}

impl Default for ConvergeLimits {
    fn default() -> Self {
        Self {
            max_audits: 10,
            gate_rounds: 5,
            selfaudit_rounds: 3,
            parallel_from: 4,
            auditors: 3,
            worker_attempts: 2,
            hook_retry: 1,
            min_blocking: Severity::P2,
            allow_declined: false,
            final_fix: false,
        }
    }
}

/// A line of the run's log, for the report.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "line")]
pub enum ConvergeLogLine {
    /// An audit.
    Audit {
        /// Its number, from 1.
        number: u32,
        /// Findings of each weight, worst first.
        counts: [u32; 3],
        /// Auditors that stayed silent.
        silent: u32,
    },
    /// Other reviewers.
    Heard {
        /// Its number, from 1.
        number: u32,
        /// Findings of each weight, worst first.
        counts: [u32; 3],
    },
    /// A fix of what the audit of the same number found, or others since.
    Fix {
        /// The audit's number.
        number: u32,
        /// Its commit, if something was changed.
        commit: Option<Sha>,
        /// Findings that the fixer says are fixed.
        fixed: u32,
        /// Findings that it declined, or said nothing of.
        declined: u32,
    },
    /// A fix of what the gate said.
    Mend {
        /// Its commit.
        commit: Sha,
    },
    /// Somebody else has pushed, or the forge has merged the base into the branch.
    Moved {
        /// The new head.
        head: Sha,
    },
}

/// One run on one branch.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ConvergeRun {
    /// How far it may go.
    pub limits: ConvergeLimits,
    /// What is to be done next.
    pub next: ConvergeAction,
    /// How it ended, if it did.
    pub exit: Option<ConvergeExit>,
    /// The head that it began with.
    pub starting: Sha,
    /// The head that is audited, and on which fixes are laid.
    pub head: Sha,
    /// The head's tree.
    pub tree: Sha,
    /// Audits begun.
    pub audits: u32,
    /// How often others had found something.
    pub heard: u32,
    /// Heads of other people; the first [`MAX_MOVES`] cost an audit that does not count.
    pub moves: u32,
    /// Heads that came of merging the base, as the forge was asked to; the audit of each does not count either.
    #[serde(default)]
    pub updates: u32,
    /// Fixes of what the gate says since the last audit.
    pub gate_rounds: u32,
    /// Answers of the audit that is not over.
    pub answers: BTreeMap<u32, Vec<AuditorFinding>>,
    /// What the newest audit found; while `aside` is there, what others did.
    pub found: Vec<Finding>,
    /// What the fix in progress is not about, if it is about what others found.
    pub aside: Option<SuspendedAudit>,
    /// Auditors of it that stayed silent.
    pub silent: u32,
    /// What fixers say of it.
    pub words: BTreeMap<FindingId, FixerVerdict>,
    /// What pushed fixes are said to mend, until an audit has looked: by which commit, and how long the log was then.
    #[serde(default)]
    pub claims: BTreeMap<FindingId, (Sha, usize)>,
    /// The fix in progress.
    pub candidate: Option<FixCandidate>,
    /// Looks at it that found something.
    pub check_rounds: u32,
    /// How often a hook blocked it.
    pub hook_blocks: u32,
    /// Fixers in a row that came to no report.
    #[serde(default)]
    pub silent_fixers: u32,
    /// The head that this run, or one before it, has cleared, whatever others say of it.
    #[serde(default)]
    pub cleared: Option<Sha>,
    /// What was wrong with the newest fix of what the gate says: it was thrown away, and the next fixer is told.
    #[serde(default)]
    pub refused: Vec<FixProblem>,
    /// What a hook said when it blocked the fix for good.
    pub hook: Option<String>,
    /// Have findings that do not block had their fix?
    pub is_polished: bool,
    /// Findings that people have dismissed, as of the newest audit.
    #[serde(default)]
    pub dismissals: Vec<Dismissal>,
    /// Everything that was found, and what became of it.
    #[serde(rename = "ledger")]
    pub history: FindingHistory,
    /// What was done.
    pub log: Vec<ConvergeLogLine>,
    /// What was pushed, oldest first.
    pub commits: Vec<Sha>,
    /// Does it end with its first audit? Nothing is fixed, and the gate is not asked.
    #[serde(default)]
    pub audits_only: bool,
    /// Is the head audited already, by such a run that goes on now? Then the gate alone stands before what it found.
    #[serde(default)]
    pub is_audited: bool,
}

/// What was told does not follow from what was to be done.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the converge run expected the end of `{act}` and got another event: its record is damaged")]
pub struct UnexpectedEvent {
    act: &'static str,
}

impl ConvergeRun {
    /// A run on a branch. `clean_at`: the head that an earlier run of ours found clean, from records or from our own review.
    pub fn begin(limits: ConvergeLimits, (head, tree): (Sha, Sha), clean_at: Option<&Sha>) -> Self {
        let exit = (clean_at == Some(&head)).then(|| {
            ConvergeExit::new(
                ConvergeExitCode::AlreadyClean,
                format!("{} was found clean before", head.short()),
            )
        });
        let cleared = exit.is_some().then(|| head.clone());
        Self {
            limits,
            next: ConvergeAction::Gate,
            exit,
            starting: head.clone(),
            head,
            tree,
            audits: 0,
            heard: 0,
            moves: 0,
            updates: 0,
            gate_rounds: 0,
            answers: BTreeMap::new(),
            found: Vec::new(),
            aside: None,
            silent: 0,
            words: BTreeMap::new(),
            claims: BTreeMap::new(),
            candidate: None,
            check_rounds: 0,
            hook_blocks: 0,
            silent_fixers: 0,
            cleared,
            refused: Vec::new(),
            hook: None,
            is_polished: false,
            dismissals: Vec::new(),
            history: FindingHistory::default(),
            log: Vec::new(),
            commits: Vec::new(),
            audits_only: false,
            is_audited: false,
        }
    }

    /// One audit of a head, and nothing else.
    pub fn audit(limits: ConvergeLimits, at: (Sha, Sha)) -> Self {
        let mut run = Self { audits_only: true, ..Self::begin(limits, at, None) };
        run.begin_audit();
        run
    }

    /// Goes on from an audit: what it found is fixed, and not looked for again.
    pub fn take_up(&mut self, limits: ConvergeLimits) {
        self.limits = limits;
        self.audits_only = false;
        if self.exit.take().is_some() {
            self.is_audited = true;
            self.next = ConvergeAction::Gate;
        }
    }

    /// What people have dismissed by now counts from the next audit on; of what is known already, at once.
    pub fn dismiss(&mut self, said: Vec<Dismissal>) {
        self.history.dismissed(&said);
        self.dismissals = said;
        if matches!(self.next, ConvergeAction::Gate | ConvergeAction::Fix { .. }) {
            self.history.tell(self.found.iter_mut());
            self.found.retain(|finding| !matches!(finding.status, FindingStatus::Dismissed(_)));
        }
    }

    /// Findings of the newest audit by weight, worst first.
    pub fn counts(&self) -> [u32; 3] {
        counts(&self.found)
    }

    /// Lets a run go on that ended where it could: its money was used up, or it was interrupted.
    pub fn resume(&mut self) {
        self.exit.take_if(|exit| exit.code.is_resumable());
    }

    /// What follows from how the act went. A run that has ended stays as it is; but one that has converged goes on when its
    /// head has moved, or others find something.
    ///
    /// # Errors
    /// [`UnexpectedEvent`]: this cannot have happened.
    pub fn after(&mut self, event: ConvergeEvent) -> Result<(), UnexpectedEvent> {
        let reopens = matches!(
            event,
            ConvergeEvent::Moved { .. } | ConvergeEvent::Updated { .. } | ConvergeEvent::Heard { .. }
        ) && self.is_at_rest();
        if self.exit.is_some() && !reopens {
            return Ok(());
        }
        match (self.next.clone(), event) {
            (_, ConvergeEvent::Ended(exit)) => self.exit = Some(exit),
            (_, ConvergeEvent::Moved { head, tree }) => {
                self.is_audited = false;
                self.moved(head, tree);
            }
            (_, ConvergeEvent::Updated { head, tree }) => {
                self.is_audited = false;
                self.updated(head, tree);
            }
            (_, ConvergeEvent::Heard { claims, renames }) if reopens => self.heard(claims, &renames),
            (ConvergeAction::Gate, ConvergeEvent::Gated(None)) if std::mem::take(&mut self.is_audited) => {
                self.next = ConvergeAction::Post;
            }
            (ConvergeAction::Gate, ConvergeEvent::Gated(None)) => self.begin_audit(),
            (ConvergeAction::Gate, ConvergeEvent::Gated(Some(output))) => {
                self.is_audited = false;
                self.gate_blocks(output);
            }
            (ConvergeAction::Mend { .. }, ConvergeEvent::Mended(candidate)) => self.mended(candidate),
            (
                ConvergeAction::Audit { auditors, attempt },
                ConvergeEvent::Audited { answers, standing, coverage, renames },
            ) => {
                self.audited((auditors, attempt), answers, standing, (&coverage, &renames));
            }
            (ConvergeAction::Post, ConvergeEvent::Posted) => {
                self.forget_claims();
                self.judge();
            }
            (ConvergeAction::Fix { problems }, ConvergeEvent::Fixed { words, candidate }) => {
                self.fixed(&problems, words, candidate);
            }
            (ConvergeAction::Fix { .. } | ConvergeAction::Mend { .. }, ConvergeEvent::Silent(why)) => {
                self.silent_fixer(&why);
            }
            (ConvergeAction::Check, ConvergeEvent::Checked(problems)) => self.checked(problems),
            (ConvergeAction::Publish, ConvergeEvent::Pushed) => self.pushed(),
            (ConvergeAction::Publish, ConvergeEvent::Blocked(words)) => self.blocked(words),
            (ConvergeAction::Reply, ConvergeEvent::Replied) => self.replied(),
            (act, _) => return Err(UnexpectedEvent { act: act.as_str() }),
        }
        Ok(())
    }

    fn end(&mut self, code: ConvergeExitCode, reason: impl Into<String>) {
        self.exit = Some(ConvergeExit::new(code, reason));
    }

    /// Audits that may still be begun.
    fn audits_left(&self) -> u32 {
        // Nobody's fix is what these are for.
        let anew = self.moves.min(MAX_MOVES).saturating_add(self.updates.min(readiness::MAX_UPDATES));
        self.limits.max_audits.saturating_add(anew).saturating_sub(self.audits)
    }

    fn begin_audit(&mut self) {
        if self.audits_left() == 0 {
            return self.reach_cap();
        }
        self.audits = self.audits.saturating_add(1);
        self.gate_rounds = 0;
        self.refused.clear();
        self.answers.clear();
        let many = self.audits >= self.limits.parallel_from;
        let auditors = if many { self.limits.auditors.max(1) } else { 1 };
        self.next = ConvergeAction::Audit { auditors: (0..auditors).collect(), attempt: 1 };
    }

    fn reach_cap(&mut self) {
        let [worst, bad, small] = self.counts();
        let (audits, who) = (self.audits, self.aside.as_ref().map_or("the last one", |_| "others"));
        let made = if audits == 1 { "1 audit was".to_owned() } else { format!("{audits} audits were") };
        let reason = format!("{made} made, and {who} found {worst} P0, {bad} P1 and {small} P2");
        self.end(ConvergeExitCode::CapReached, reason);
    }

    fn audited(
        &mut self,
        (auditors, attempt): (BTreeSet<u32>, u32),
        answers: BTreeMap<u32, AuditorAnswer>,
        standing: BTreeMap<FindingId, PlacedFinding>,
        read: (&ReviewCoverage, &FileRenames),
    ) {
        // Who says nothing at all is silent as well.
        let mut silent: BTreeMap<u32, String> =
            auditors.into_iter().map(|auditor| (auditor, "it gave no answer".to_owned())).collect();
        for (auditor, answer) in answers {
            match answer {
                AuditorAnswer::Whole(claims) if silent.remove(&auditor).is_some() => {
                    self.answers.insert(auditor, claims);
                }
                AuditorAnswer::None(why) if silent.contains_key(&auditor) => {
                    silent.insert(auditor, why);
                }
                AuditorAnswer::Whole(_) | AuditorAnswer::None(_) => {}
            }
        }
        if !silent.is_empty() && attempt < self.limits.worker_attempts {
            let auditors = silent.into_keys().collect();
            self.next = ConvergeAction::Audit { auditors, attempt: attempt.saturating_add(1) };
            return;
        }
        if self.answers.is_empty() {
            let why = silent.into_values().next().unwrap_or_default();
            return self.end(ConvergeExitCode::Infrastructure, format!("{NO_AUDITOR}: {why}"));
        }
        self.silent = u32::try_from(silent.len()).unwrap_or(u32::MAX);
        let claims = merged(std::mem::take(&mut self.answers));
        let (mut placed, mut origins): (Vec<PlacedFinding>, Vec<LineOrigin>) =
            claims.into_iter().map(|MergedFinding { claim, .. }| (claim.placed, claim.origin)).unzip();
        self.history.dismissed(&self.dismissals);
        let declined: BTreeSet<FindingId> = standing.keys().cloned().collect();
        for (placed_again, origin) in self.history.unfixed(standing, &placed) {
            placed.push(placed_again);
            origins.push(origin);
        }
        let mut identified = identify(self.history.findings(), placed, Some(&self.head), read);
        dismissal::apply(&mut identified.current, &self.dismissals);
        self.history.seen(&identified.current, &origins);
        // The dismissed ones are known, and nobody's work.
        let counts = |finding: &Finding| !matches!(finding.status, FindingStatus::Dismissed(_));
        self.found = identified.current.into_iter().filter(counts).collect();
        self.cleared = None;
        self.history.audited(self.audits, &self.tree, &self.found);
        self.history.gone(identified.gone, &declined, &self.head);
        self.forget_fix();
        self.log.push(ConvergeLogLine::Audit {
            number: self.audits,
            counts: self.counts(),
            silent: self.silent,
        });
        self.next = ConvergeAction::Post;
    }

    /// There is something new to fix.
    fn forget_fix(&mut self) {
        self.words.clear();
        self.candidate = None;
        (self.check_rounds, self.hook_blocks, self.hook) = (0, 0, None);
    }

    /// Does it hold the branch back?
    fn blocks(&self, finding: &Finding) -> bool {
        let is_declined = matches!(finding.status, FindingStatus::Declined(_));
        let is_dismissed = matches!(finding.status, FindingStatus::Dismissed(_));
        finding.raw.severity <= self.limits.min_blocking
            && !is_dismissed
            && !(is_declined && self.limits.allow_declined)
    }

    /// Does anything that was found hold the branch back?
    fn holds_back(&self) -> bool {
        self.found.iter().any(|finding| self.blocks(finding))
    }

    /// The end of an audit that was asked for alone, whose auditors were asked.
    pub fn audit_end(&self) -> ConvergeExit {
        let ([p0, p1, p2], head) = (self.counts(), self.head.short());
        match (self.silent, self.found.is_empty()) {
            (0, true) => {
                ConvergeExit::new(ConvergeExitCode::Clean, format!("the audit found nothing at {head}"))
            }
            (0, false) => ConvergeExit::new(
                ConvergeExitCode::CapReached,
                format!("the audit found {p0} P0, {p1} P1 and {p2} P2 at {head}"),
            ),
            (silent, _) => ConvergeExit::new(
                ConvergeExitCode::Infrastructure,
                format!("{} at {head}", no_answer(silent)),
            ),
        }
    }

    /// Is this an audit that was asked for alone, and has ended without a valid answer of some of its auditors? They
    /// were asked as often as they may be: to ask again is another audit.
    pub fn is_degraded_audit(&self) -> bool {
        self.audits_only && self.silent > 0 && self.exit.as_ref() == Some(&self.audit_end())
    }

    /// The findings are answered. With a fix at the branch it goes on; without one it is over.
    fn replied(&mut self) {
        if let Some(words) = self.hook.take().filter(|_| self.holds_back()) {
            return self.end_by_hook(&words);
        }
        if matches!(self.log.last(), Some(ConvergeLogLine::Fix { number, commit: Some(_), .. }) if *number == self.audits)
        {
            // Nobody would audit it any more: not what comes after it, either.
            if self.audits_left() == 0 {
                return self.reach_cap();
            }
            self.aside = None;
            self.next = ConvergeAction::Gate;
            return;
        }
        self.log_fix(None);
        let is_claim = |finding: &&Finding| self.words.get(&finding.id) == Some(&FixerVerdict::Fixed);
        let said: Vec<Finding> = self.found.iter().filter(|finding| !is_claim(finding)).cloned().collect();
        self.history.answered(&said, &self.words);
        // What does not block anyway is a note.
        let least = self.limits.min_blocking;
        self.history.tell(self.found.iter_mut().filter(|finding| finding.raw.severity <= least));
        if let Some(aside) = self.aside.take() {
            return self.turned_down(aside);
        }
        // What does not block may stay.
        if self.holds_back() {
            self.end(
                ConvergeExitCode::NothingFixed,
                "the fixer could not address findings: it changed nothing",
            );
        } else {
            self.judge_clean();
        }
    }
}

/// Characters of foreign words in a reason.
const MAX_TOLD: usize = 300;

fn counts(found: &[Finding]) -> [u32; 3] {
    Severity::ALL.map(|severity| {
        let many = found.iter().filter(|finding| finding.raw.severity == severity).count();
        u32::try_from(many).unwrap_or(u32::MAX)
    })
}
