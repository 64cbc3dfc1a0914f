//! A run of the converge loop as it is kept: all that is needed to go on where it was, and, once it has ended, its
//! outcome.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::readiness::PullReadiness;
use super::{AuditScope, ConvergeExit, ConvergeExitKind, ConvergeLimits, ConvergeRun, ConvergeStep};
use crate::dismissal::Dismissal;
use crate::finding::DefectCategory;
use crate::id::{RunId, Sha, SlotKey, UnixMillis};
use crate::money::MicroUsd;
use crate::run::{self, RunOutcome, RunRecord, StepCost};
use crate::slot::LoopKind;

/// The proof of an auditor, in one audit, that one category has no defect.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AbsenceProof {
    /// The number of the audit, from 1.
    pub r#loop: u32,
    /// The auditor's index in it.
    pub auditor: u32,
    /// The category.
    pub category: DefectCategory,
    /// Files that it looked at.
    pub files_opened: Vec<String>,
    /// Lines that it shows.
    pub lines_quoted: Vec<QuotedLine>,
    /// Its probes: each attempt, and the fact that ruled a defect out.
    pub probes: Vec<String>,
}

/// A line of a file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct QuotedLine {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
    /// Its text.
    pub text: String,
}

/// The key of audits of a pull request that nobody can go on from: they were stopped, or a run was at work there.
pub fn abandoned_key(key: &SlotKey) -> SlotKey {
    SlotKey::new(format!("audit/{key}"))
}

/// One run of the converge loop.
pub type ConvergeRecord = RunRecord<ConvergeDetail>;

/// The part of a run's record that only runs of the converge loop have.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ConvergeDetail {
    /// The name of the pull request or of the branch, for people.
    pub name: String,
    /// The branch that its commits go to.
    pub branch: String,
    /// The commit that the change is compared with.
    pub base: Sha,
    /// How far it has come.
    pub state: ConvergeRun,
    /// What the pull request still waits for; none: nobody has looked, or there is none.
    pub readiness: Option<PullReadiness>,
    /// Our own audit is content, and others are waited for.
    pub is_pursued: bool,
    /// By reviewer: how many comments of ours that wake it there were when it was asked last, and at which head. One
    /// more was made by a run that died before it remembered it.
    pub wakes: BTreeMap<String, (usize, Sha)>,
    /// The head that the pull request's description was written for; none: it is as it was.
    pub described: Option<Sha>,
    /// Names the gate, the checks and the rules that it is looked at with; what was clean by others is not clean by
    /// these.
    #[serde(default)]
    pub looks: String,
    /// Has whoever asked for the run been told how it ended?
    #[serde(default)]
    pub is_told: bool,
    /// The part of its cost that earlier calls paid. Set by whoever resumes the run.
    #[serde(skip)]
    pub paid_before: MicroUsd,
    /// The calls that were denied before. Set by whoever resumes the run.
    #[serde(skip)]
    pub denied_before: u32,
    /// What people should know besides.
    pub warnings: Vec<String>,
    /// Proof of what audits of the whole change have cleared.
    #[serde(default)]
    pub absences: Vec<AbsenceProof>,
    /// Commits of fixes that are not in what the pull request went to: it was closed or merged without them.
    #[serde(default)]
    pub unreached: Vec<Sha>,
    /// The end of the last attempt to go on, beside the run's own end: it found nothing more itself and waits for
    /// others.
    #[serde(default)]
    pub halted: Option<ConvergeExit>,
    /// Times in a row that the next act was put off because a forge gave no answer.
    #[serde(default)]
    pub put_off: u32,
}

impl run::RunDetail for ConvergeDetail {
    type Step = ConvergeStep;

    const LOOP: LoopKind = LoopKind::Converge;

    fn end(&self) -> Option<RunOutcome> {
        let kind = self.final_exit()?.kind();
        Some(match kind {
            _ if self.is_waiting() => RunOutcome::Deferred,
            ConvergeExitKind::Converged => RunOutcome::Done,
            // It has done what it was asked for.
            ConvergeExitKind::CapReached if self.state.audits_only => RunOutcome::Done,
            ConvergeExitKind::CapReached | ConvergeExitKind::Stuck | ConvergeExitKind::Blocked => {
                RunOutcome::Partial
            }
            ConvergeExitKind::Refused => RunOutcome::Skipped,
            ConvergeExitKind::Interrupted => RunOutcome::Deferred,
            ConvergeExitKind::Error => RunOutcome::Failed,
        })
    }

    /// Of an audit that was asked for alone: `clean`, or how much it found.
    fn result(&self) -> Option<String> {
        let kind = self.final_exit()?.kind();
        if self.state.audits_only {
            return Some(match kind {
                ConvergeExitKind::Converged => "clean".to_owned(),
                ConvergeExitKind::CapReached => format!("found {}", self.state.found.len()),
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

    /// An audit that was asked for alone is its own last step.
    fn furthest(&self, steps: &[StepCost<ConvergeStep>]) -> ConvergeStep {
        let next = if self.state.audits_only { ConvergeStep::Audit } else { self.state.next.step() };
        steps.iter().map(|step| step.id).fold(next, ConvergeStep::max)
    }
}

impl ConvergeDetail {
    /// A run that has just begun: what people call its branch, and the branch; what its change is compared with, and its
    /// state.
    pub fn begin((name, branch): (String, String), (base, state): (Sha, ConvergeRun)) -> Self {
        Self {
            name,
            branch,
            base,
            state,
            readiness: None,
            is_pursued: false,
            wakes: BTreeMap::new(),
            described: None,
            looks: String::new(),
            is_told: false,
            paid_before: MicroUsd(0),
            denied_before: 0,
            warnings: Vec::new(),
            absences: Vec::new(),
            unreached: Vec::new(),
            halted: None,
            put_off: 0,
        }
    }

    /// The end of the run as a whole, if it has one.
    pub fn final_exit(&self) -> Option<&ConvergeExit> {
        self.halted.as_ref().or(self.state.exit.as_ref())
    }

    /// Has it found nothing more itself, and is not at its end, because others are waited for?
    fn waits_for_others(&self) -> bool {
        let is_content = |exit: &ConvergeExit| exit.kind() == ConvergeExitKind::Converged;
        self.is_pursued && self.state.exit.as_ref().is_none_or(is_content)
    }

    /// Does it wait for others, and nothing keeps it from going on?
    fn is_waiting(&self) -> bool {
        self.halted.is_none() && self.waits_for_others()
    }
}

impl ConvergeRecord {
    /// A run that ended before anybody knew its commits. There is nothing in it to go on from ([`ConvergeRecord::has_begun`]).
    pub fn never_begun(
        of: (RunId, SlotKey),
        names: (String, String),
        exit: ConvergeExit,
        now: UnixMillis,
    ) -> Self {
        let mut state = ConvergeRun::begin(ConvergeLimits::default(), (Sha::none(), Sha::none()), None);
        state.exit = Some(exit);
        let (run, key) = of;
        Self::begin(run, key, ConvergeDetail::begin(names, (Sha::none(), state)), now)
    }

    /// Are its commits known?
    pub fn has_begun(&self) -> bool {
        !self.detail.base.is_none()
    }

    /// Lets an unfinished run go on within these limits, looked at with these.
    pub fn resume(&mut self, limits: ConvergeLimits, looks: &str) {
        self.detail.state.resume();
        self.detail.halted = None;
        self.detail.state.limits = limits;
        looks.clone_into(&mut self.detail.looks);
        self.detail.is_told = false;
    }

    /// The head that its audit found clean, if that holds for a change from this base that is looked at with these, and with
    /// these dismissals.
    pub fn found_clean(&self, base: &Sha, looks: &str, said: &[Dismissal]) -> Option<&Sha> {
        let is_same =
            self.detail.base == *base && self.detail.looks == looks && self.detail.state.rests_on(said);
        self.detail.state.cleared.as_ref().filter(|_| is_same)
    }

    /// The scope of its newest audit: what that was made with, besides the head.
    pub fn scope(&self) -> AuditScope {
        AuditScope::of(&self.detail.base, &self.detail.looks, &self.detail.state.dismissals)
    }

    /// It as an audit that is over, and that a run can go on from, if its auditors have answered.
    pub fn as_audit(&self) -> Option<Self> {
        let mut state = self.detail.state.clone();
        if state.exit.is_some() || !state.audits_only || state.silent > 0 {
            return None;
        }
        state.after(super::ConvergeEvent::Posted).ok()?;
        let detail = ConvergeDetail { state, is_told: true, ..self.detail.clone() };
        detail.state.exit.is_some().then(|| Self { detail, ..self.clone() })
    }

    /// It under the key of audits that nobody goes on from.
    #[must_use]
    pub fn set_aside(&self) -> Self {
        Self { key: abandoned_key(&self.key), ..self.clone() }
    }

    /// Has it to do with this head: began there, ended there, or made it?
    pub fn is_about(&self, head: &Sha) -> bool {
        let ConvergeRun { starting, head: last, commits, .. } = &self.detail.state;
        starting == head || last == head || commits.contains(head)
    }

    /// Goes on from an audit that was asked for alone: what it found is fixed (see [`ConvergeRecord::is_audit_of`]).
    pub fn take_up(&mut self, limits: ConvergeLimits) {
        self.detail.state.take_up(limits);
        self.detail.is_told = false;
    }

    /// Has an audit that was asked for alone looked at this head, so that a run can go on from what it found, with these
    /// dismissals?
    pub fn is_audit_of(&self, head: &Sha, base: &Sha, looks: &str, said: &[Dismissal]) -> bool {
        let state = &self.detail.state;
        state.audits_only
            && state.rests_on(said)
            && state.silent == 0
            && state.exit.as_ref().is_some_and(|exit| {
                matches!(exit.kind(), ConvergeExitKind::Converged | ConvergeExitKind::CapReached)
            })
            && (&state.head, &self.detail.base, self.detail.looks.as_str()) == (head, base, looks)
    }

    /// Is it stuck, and would another run from `base` that is looked at with these, by the auditor of this `model` and
    /// with these dismissals, find nothing new there?
    pub fn is_stuck_with(&self, base: &Sha, (looks, model): (&str, &str), said: &[Dismissal]) -> bool {
        let is_same =
            self.detail.base == *base && self.detail.looks == looks && self.model.as_deref() == Some(model);
        is_same && self.detail.state.is_stuck_with(said)
    }

    /// Goes on with a run that is stuck ([`ConvergeRecord::is_stuck_with`]): fixers are asked anew, and no auditor before them.
    pub fn retry(&mut self, limits: ConvergeLimits) {
        self.detail.state.retry(limits);
        self.detail.is_told = false;
    }

    /// What it cost since it was gone on with this time.
    pub fn paid_now(&self) -> MicroUsd {
        MicroUsd(self.cost().0.saturating_sub(self.detail.paid_before.0))
    }

    /// Calls of tools that were denied since it was resumed.
    pub fn denied_now(&self) -> u32 {
        self.denied().saturating_sub(self.detail.denied_before)
    }

    /// It ends here, or rests: what keeps it from going on stands beside what its own audit has cleared.
    pub fn halt(&mut self, exit: ConvergeExit) {
        match self.detail.state.exit {
            None => self.detail.state.exit = Some(exit),
            Some(_) => self.detail.halted = Some(exit),
        }
    }

    /// Can it go on?
    pub fn is_unfinished(&self) -> bool {
        let is_resumable =
            |exit: &ConvergeExit| exit.code.is_resumable() && !self.detail.state.is_degraded_audit();
        self.detail.waits_for_others() || self.detail.state.exit.as_ref().is_none_or(is_resumable)
    }

    /// Is the description to be written? Once a head, when there is something to tell of (spec/converge.md 2.15).
    pub fn wants_description(&self) -> bool {
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

    /// Keeps the proof of one auditor of the newest audit, in place of what it had before.
    pub fn prove(&mut self, auditor: u32, absences: Vec<AbsenceProof>) {
        let number = self.detail.state.audits;
        self.detail.absences.retain(|known| (known.r#loop, known.auditor) != (number, auditor));
        let room = MAX_ABSENCES.saturating_sub(self.detail.absences.len());
        self.detail.absences.extend(absences.into_iter().take(room));
    }

    /// Remembers something for people, once.
    pub fn warn(&mut self, warning: String) {
        if self.detail.warnings.len() < MAX_WARNINGS && !self.detail.warnings.contains(&warning) {
            self.detail.warnings.push(warning);
        }
    }
}

/// So many absences are kept: of ten audits by three auditors, and some more.
const MAX_ABSENCES: usize = 400;

/// So many warnings are kept.
const MAX_WARNINGS: usize = 50;
