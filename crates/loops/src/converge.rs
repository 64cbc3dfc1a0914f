//! The converge loop: audit, fix, verify, push, until a fresh audit finds nothing, or there is a reason to stop
//! (spec/converge.md).
//!
//! What is next `truing_core::converge` decides; here each act is carried out: `audit`, `fix`, `check`, and [`gate`].
//! Where the branch is and who sees what is the business of a [`BranchWorkspace`]: a branch of a local repository ([`local`]), or
//! a pull request. After every act the run is kept, so whoever dies goes on where it was.

// long: the order of acts of one loop, each of which is a module below.

mod audit;
mod check;
mod describe;
mod fix;
pub mod gate;
mod heard;
pub mod local;
pub mod lock;
pub mod pull;
pub mod pursue;
mod stop;
mod update;
pub mod words;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use truing_agent::sandbox::SandboxLevel;
use truing_agent::verify::{CacheScope as Trust, Verifier};
use truing_config::converge::ConvergeConfig;
use truing_core::converge::record::ConvergeRecord;
use truing_core::converge::{
    ConvergeAction, ConvergeEvent, ConvergeExit, ConvergeExitCode, ConvergeStep, FixCandidate,
};
use truing_core::id::{FencingToken, Sha, TimeSpan, UnixMillis};
use truing_core::ledger::RunBudget;
use truing_core::money::MicroUsd;
use truing_core::policy::AgentPolicy;
use truing_core::port::{Clock as _, ForgeError, RunStore, StoreError, WriteGate};
use truing_core::run::StepCost;
use truing_core::slot::WaitReason;
use truing_core::verification::VerificationReport;
use truing_git::{CommitDiff, ExportedCommit, GitError, Mirror, PrivateFolder};
use truing_model::gateway;

use super::agent::{ModelAgent, ModelSpend};
use super::reading::{self, ReadingOutcome, ReviewScope, ReviewedChange};
use super::tools::{BaseCommit, LinterSources, ReviewLinters};
use crate::machine::SystemClock;
use audit::AuditInput;
use gate::{GateCommands, GateError, GateResult};
pub use stop::ActError;

/// Who does the work.
pub struct ConvergeAgents {
    /// The model that audits, and that fixes unless another one does.
    pub auditor: ModelAgent,
    /// The model that fixes, if it is another one.
    pub fixer: Option<ModelAgent>,
    /// How well its commands are kept in.
    pub sandbox: SandboxLevel,
}

/// What a head is looked at with besides models. The repository's own file has a say in it.
#[derive(Debug)]
pub struct InspectionTools {
    /// What runs the repository's own checks; none: none are configured.
    pub verifier: Option<Verifier>,
    /// Folders with programs that a fixer's commands may run, besides the system's.
    pub programs: Vec<std::path::PathBuf>,
    /// The policy of fixers, which allows the commands of the gate and the checks as they stand.
    pub policy: Arc<AgentPolicy>,
    /// What the gate's rules look at.
    pub scope: ReviewScope,
    /// Linters, whose findings belong to the gate.
    pub toolbox: LinterSources,
    /// The folder in which the owner of the files has installed programs for them; none: nobody has.
    pub project: Option<std::path::PathBuf>,
    /// Commands of the gate; none: the rules alone.
    pub commands: Option<GateCommands>,
    /// Names the gate, the checks and the rules.
    pub name: String,
}

impl ConvergeAgents {
    fn fixer(&self) -> &ModelAgent {
        self.fixer.as_ref().unwrap_or(&self.auditor)
    }
}

impl fmt::Debug for ConvergeAgents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConvergeAgents").field("auditor", &self.auditor.model).finish_non_exhaustive()
    }
}

/// Where the branch is that a run works on, and who sees what it does.
#[async_trait]
pub trait BranchWorkspace: Sync {
    /// Where the branch is now.
    ///
    /// # Errors
    /// [`ActError::Over`]: the run cannot go on there, and nothing more is to be written.
    async fn head(&self, record: &ConvergeRecord) -> Result<Sha, ActError>;
    /// The time that something whose creation was not answered may stay unseen.
    fn settle(&self) -> TimeSpan {
        TimeSpan(0)
    }
    /// Why nothing can be pushed there, if that is known: then it is audited, and that is all.
    fn read_only(&self) -> Option<String> {
        None
    }
    /// Has the commits of a head that somebody else has pushed. What the change is compared with there.
    async fn follow(&self, record: &ConvergeRecord, head: &Sha) -> Result<Sha, ActError>;
    /// Shows what an audit found. What people should know besides.
    async fn post(&self, record: &ConvergeRecord) -> Result<Vec<String>, ActError>;
    /// Brings a fix to the branch, which must be where the run believes it to be.
    async fn publish(
        &self,
        record: &ConvergeRecord,
        candidate: &FixCandidate,
    ) -> Result<PublishOutcome, ActError>;
    /// How often the one was called that is called after each push; none: nobody is.
    async fn calls(&self) -> Result<Option<usize>, ActError> {
        Ok(None)
    }
    /// After a push: calls it, unless that was done since it had been called so often. What people should know besides.
    async fn call(&self, _record: &ConvergeRecord, _calls: usize) -> Result<Vec<String>, ActError> {
        Ok(Vec::new())
    }
    /// Answers the findings of the newest audit. What people should know besides.
    async fn reply(&self, record: &ConvergeRecord) -> Result<Vec<String>, ActError>;
}

/// A person's wish that a run on a pull request end before its next act.
pub trait StopRequests: fmt::Debug + Sync {
    /// The person who has said so since the run was begun or resumed, in words for people; none: nobody who may.
    fn stopped(&self) -> BoxFuture<'_, Result<Option<String>, ForgeError>>;
}

/// So many diffs are kept, each of so many bytes at most: of the change before and after a fix, of the fix, and of all
/// fixes.
const KEPT_DIFFS: usize = 4;
const MAX_KEPT_DIFF: usize = 1 << 20;

/// So many readings are kept: of the change before and after a fix.
const KEPT_READINGS: usize = 2;

/// How long calls of an interrupted act may take to be settled.
const SETTLE_TIME: Duration = Duration::from_secs(1);

/// Among those who are woken, the one that is called after each push: no reviewer can have this name.
const AFTER_PUSH: &str = "after each push";

/// The waits before an act is tried again that a forge did not answer, one after the other, each no longer than
/// `converge.poll`. After them the run ends, and can be gone on with.
const PUT_OFF: [TimeSpan; 3] = [TimeSpan::seconds(1), TimeSpan::seconds(4), TimeSpan::seconds(15)];

/// What came of bringing a fix to the branch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PublishOutcome {
    /// It is there.
    Done,
    /// Somebody else has pushed this.
    Moved(Sha),
    /// A hook blocks it, in these words.
    Blocked(String),
}

/// How far a run goes at a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RunMode {
    /// Until there is an end, or nothing can be done for now.
    Whole,
    /// At most until models are to be asked a second time: then others have their turn.
    Step,
}

/// Who is told while a run goes on.
#[async_trait]
pub trait RunObserver: Sync {
    /// An act begins that may take minutes.
    fn begins(&self, record: &ConvergeRecord, act: &ConvergeAction);
    /// An act is done, and the run is kept; its log was so long before.
    async fn grown(&self, record: &ConvergeRecord, before: usize) -> ();
}

/// Where a run is left.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RunProgress {
    /// At its end, or at rest because others have their turn.
    Over,
    /// Before its next step.
    Between,
    /// Where this keeps it from going on; what it came to before stands.
    Failed(ConvergeExit),
    /// Where nothing can be done before this instant, by the wall clock; and what is waited for, in words.
    Until(UnixMillis, WaitReason, String),
}

/// One run with all that it needs.
pub struct ConvergeRunner<'a> {
    /// Where the branch is.
    pub workspace: &'a dyn BranchWorkspace,
    /// The commits.
    pub mirror: &'a Mirror,
    /// Who works.
    pub agents: &'a ConvergeAgents,
    /// What a head is looked at with.
    pub looks: &'a InspectionTools,
    /// How it is configured.
    pub config: &'a ConvergeConfig,
    /// Asked before each act, and before each turn of a model.
    pub gate: &'a Arc<dyn WriteGate>,
    /// The repository's `owner/name`, if it has one: its teams pay, too.
    pub repository: Option<&'a str>,
    /// The run.
    pub record: ConvergeRecord,
    /// What differs between commits that were compared before.
    diffs: Vec<((Sha, Sha), CommitDiff)>,
    /// The files of the commit that was looked at last.
    laid: Option<ExportedCommit>,
    /// What the rules say of changes that were read before.
    readings: Vec<((Sha, Sha), ReadingOutcome)>,
    /// What the checks said of the newest head; none of them could be run: none.
    baseline: Option<(Sha, Option<VerificationReport>)>,
    /// What asking models took in this act.
    taken: StepCost<()>,
    /// How far it goes.
    mode: RunMode,
    /// Have models been asked in it?
    has_asked: bool,
}

impl<'a> ConvergeRunner<'a> {
    /// A run on a branch, with its commits; who works on it, with what, and how; its gate; the repository's `owner/name`, if it
    /// has one.
    pub fn new(
        (workspace, mirror): (&'a dyn BranchWorkspace, &'a Mirror),
        (agents, looks, config): (&'a ConvergeAgents, &'a InspectionTools, &'a ConvergeConfig),
        gate: &'a Arc<dyn WriteGate>,
        repository: Option<&'a str>,
        record: ConvergeRecord,
        mode: RunMode,
    ) -> Self {
        let (diffs, laid, readings, baseline) = (Vec::new(), None, Vec::new(), None);
        let (taken, has_asked) = (StepCost::default(), false);
        Self {
            workspace,
            mirror,
            agents,
            looks,
            config,
            gate,
            repository,
            record,
            diffs,
            laid,
            readings,
            baseline,
            taken,
            mode,
            has_asked,
        }
    }
}

impl ConvergeRunner<'_> {
    /// Goes on until there is an end, or as far as its mode allows. After every act the run is kept, and somebody told.
    ///
    /// # Errors
    /// [`StoreError`]: what was done last is not remembered; another run finds it done.
    #[truing_core::boxed_future]
    pub async fn run(
        &mut self,
        store: &dyn RunStore,
        token: FencingToken,
        told: &dyn RunObserver,
    ) -> Result<RunProgress, StoreError> {
        while self.record.detail.state.exit.is_none() {
            let (began, before) = (Instant::now(), self.record.detail.state.log.len());
            let act = self.record.detail.state.next.clone();
            if act.asks() && std::mem::replace(&mut self.has_asked, true) && self.mode == RunMode::Step {
                return Ok(RunProgress::Between);
            }
            if let Err(halted) = self.go_on().await {
                return Ok(RunProgress::Failed(halted.exit()));
            }
            told.begins(&self.record, &act);
            if matches!(act.step(), ConvergeStep::Gate | ConvergeStep::Audit) {
                self.record.detail.state.dismiss(store.dismissals(&self.record.key).await?);
            }
            let event = match Box::pin(self.act(&act)).await {
                Ok(event) => event,
                // Nothing of the act was begun.
                Err(stop @ ActError::Stopped(_)) => return Ok(RunProgress::Failed(stop.exit())),
                Err(ActError::Store(error)) => return Err(error),
                // What the act has written already, it finds when it is carried out again.
                Err(stop @ ActError::Halted(_)) => {
                    let exit = self.shut(&stop)?;
                    self.keep_taken(act.step(), began);
                    store.keep_converge(token, &self.record).await?;
                    return Ok(RunProgress::Failed(exit));
                }
                Err(stop) => match self.waits(&stop) {
                    Some(left) => {
                        self.keep_taken(act.step(), began);
                        store.keep_converge(token, &self.record).await?;
                        return Ok(left);
                    }
                    None => self.ends(stop),
                },
            };
            self.record.detail.put_off = 0;
            if let Err(unexpected) = self.record.detail.state.after(event) {
                let exit = ConvergeExit::new(ConvergeExitCode::Infrastructure, unexpected.to_string());
                self.record.detail.state.exit = Some(exit);
            }
            if self.ends_unchecked() {
                let none =
                    "nothing was fixed, so no check was run: whether `verify.check` passes is not known";
                self.record.warn(none.to_owned());
            }
            self.keep_taken(act.step(), began);
            self.settle(act.step()).await?;
            store.keep_converge(token, &self.record).await?;
            told.grown(&self.record, before).await;
            if self.others_are_next() {
                break;
            }
        }
        Ok(RunProgress::Over)
    }

    /// Where the run is left, if nothing is wrong and the same act is next a little later.
    fn waits(&mut self, stop: &ActError) -> Option<RunProgress> {
        if let ActError::Later { until, why, what } = stop {
            return Some(RunProgress::Until(*until, *why, what.clone()));
        }
        let tried = usize::try_from(self.record.detail.put_off).unwrap_or(usize::MAX);
        let wait = PUT_OFF.get(tried).filter(|_| stop.may_pass())?;
        self.record.detail.put_off = self.record.detail.put_off.saturating_add(1);
        let poll = i64::try_from(self.config.poll.as_millis()).unwrap_or(i64::MAX);
        let wait = TimeSpan(wait.0.min(poll).max(self.workspace.settle().0));
        Some(RunProgress::Until(SystemClock.now() + wait, WaitReason::Settling, stop.to_string()))
    }

    /// What follows from an act that came to nothing.
    fn ends(&mut self, stop: ActError) -> ConvergeEvent {
        let exit = stop.exit();
        if let ActError::Over { unreached, .. } = stop {
            self.record.detail.unreached = unreached;
        }
        ConvergeEvent::Ended(exit)
    }

    /// Adds what an act took.
    fn keep_taken(&mut self, step: ConvergeStep, began: Instant) {
        let ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let taken = StepCost { ms, ..std::mem::take(&mut self.taken) };
        self.record.took(step, &taken);
        self.record.ended = SystemClock.now();
    }

    /// Adds what the run has cost, by the ledger, and no act of it has told: an act that was cut off before, here or in
    /// a process that died, tells nothing. It counts for this step.
    ///
    /// # Errors
    /// [`StoreError`]: the ledger cannot be asked.
    #[truing_core::boxed_future]
    pub async fn settle(&mut self, step: ConvergeStep) -> Result<(), StoreError> {
        let own = RunBudget::of_run(self.record.run.clone(), MicroUsd(0)).levels;
        let drawn = self.agents.auditor.ledger.look(&own).await?;
        let spent = drawn.iter().map(|drawn| drawn.spent.0).fold(0, u64::saturating_add);
        let untold = MicroUsd(spent.saturating_sub(self.record.cost().0));
        if untold > MicroUsd(0) {
            self.record.took(step, &StepCost { cost_micro_usd: untold, ..StepCost::<()>::default() });
        }
        Ok(())
    }

    /// The same for an act that was interrupted, as soon as its calls are settled.
    ///
    /// # Errors
    /// As [`Self::settle`].
    #[truing_core::boxed_future]
    pub async fn interrupted(&mut self) -> Result<(), StoreError> {
        // What is not settled by then expires, and counts in full; nobody tells it.
        let _ = tokio::time::timeout(SETTLE_TIME, gateway::settled()).await;
        self.settle(self.record.detail.state.next.step()).await
    }

    /// Is it clean, and nobody has asked the checks, which are run on fixes?
    fn ends_unchecked(&self) -> bool {
        let state = &self.record.detail.state;
        let is_clean = state.exit.as_ref().is_some_and(|exit| exit.code == ConvergeExitCode::Clean);
        is_clean && !state.audits_only && state.commits.is_empty() && self.looks.verifier.is_some()
    }

    /// One audit and nothing else, without a gate before it; nothing is kept. Then the run has ended, or an audit of
    /// its head is done and [`ConvergeAction::Post`] is next. A head that moves meanwhile is audited instead.
    #[truing_core::boxed_future]
    pub async fn audit_once(&mut self) {
        let began = Instant::now();
        while self.record.detail.state.exit.is_none() {
            let event = match self.record.detail.state.next.clone() {
                ConvergeAction::Gate => ConvergeEvent::Gated(None),
                act @ ConvergeAction::Audit { .. } => {
                    Box::pin(self.act(&act)).await.unwrap_or_else(|stop| self.ends(stop))
                }
                ConvergeAction::Mend { .. }
                | ConvergeAction::Post
                | ConvergeAction::Fix { .. }
                | ConvergeAction::Check
                | ConvergeAction::Publish
                | ConvergeAction::Reply => {
                    break;
                }
            };
            if let Err(unexpected) = self.record.detail.state.after(event) {
                self.record.detail.state.exit =
                    Some(ConvergeExit::new(ConvergeExitCode::Infrastructure, unexpected.to_string()));
            }
        }
        self.keep_taken(ConvergeStep::Audit, began);
    }

    /// The end of [`Self::audit_once`], also of one that was stopped: all that it has cost is in the record.
    ///
    /// # Errors
    /// As [`Self::settle`].
    #[truing_core::boxed_future]
    pub async fn audited(&mut self, stopped: bool) -> Result<(), StoreError> {
        if !stopped {
            return self.settle(ConvergeStep::Audit).await;
        }
        self.interrupted().await?;
        self.record.detail.state.exit =
            Some(ConvergeExit::new(ConvergeExitCode::Interrupted, "interrupted before the audit was done"));
        self.record.ended = SystemClock.now();
        Ok(())
    }

    /// Carries one act out.
    async fn act(&mut self, act: &ConvergeAction) -> Result<ConvergeEvent, ActError> {
        let head = self.workspace.head(&self.record).await?;
        // Between a push and its answers a new head does not matter: the answers belong to what was found.
        let follows = match act {
            ConvergeAction::Gate
            | ConvergeAction::Mend { .. }
            | ConvergeAction::Audit { .. }
            | ConvergeAction::Fix { .. } => true,
            ConvergeAction::Post
            | ConvergeAction::Check
            | ConvergeAction::Publish
            | ConvergeAction::Reply => false,
        };
        if follows && head != self.record.detail.state.head {
            return self.moved(head).await;
        }
        match act {
            // What an audit finds is of use where nobody may push, too.
            ConvergeAction::Gate if self.workspace.read_only().is_some() => Ok(ConvergeEvent::Gated(None)),
            ConvergeAction::Fix { .. } if let Some(why) = self.workspace.read_only() => {
                Ok(ConvergeEvent::Ended(ConvergeExit::new(ConvergeExitCode::ReadOnly, why)))
            }
            ConvergeAction::Gate => {
                let head = self.record.detail.state.head.clone();
                Ok(ConvergeEvent::Gated(self.gate_says(&head).await?))
            }
            ConvergeAction::Mend { output } => self.mend(output).await,
            ConvergeAction::Audit { auditors, attempt: _ } => {
                let (base, head) = (self.record.detail.base.clone(), self.record.detail.state.head.clone());
                let starting = self.record.detail.state.starting.clone();
                let audited = AuditInput::of(self, &base, &head).await?;
                let event = audited.event(self, auditors, &starting).await;
                self.laid = Some(audited.laid);
                event
            }
            ConvergeAction::Post => {
                let warnings = self.workspace.post(&self.record).await?;
                Ok(self.warned(warnings, ConvergeEvent::Posted))
            }
            ConvergeAction::Fix { problems } => self.fix(problems).await,
            ConvergeAction::Check => {
                // Asked before the check, which costs; kept with what it says: who dies after a push knows by it
                // whether the call was made.
                let calls = self.workspace.calls().await?;
                let event = self.check().await?;
                if let Some(calls) = calls {
                    let head = self.record.detail.state.head.clone();
                    self.record.detail.wakes.insert(AFTER_PUSH.to_owned(), (calls, head));
                }
                Ok(event)
            }
            ConvergeAction::Publish => self.publish().await,
            ConvergeAction::Reply => {
                let warnings = self.workspace.reply(&self.record).await?;
                Ok(self.warned(warnings, ConvergeEvent::Replied))
            }
        }
    }

    fn warned(&mut self, warnings: Vec<String>, event: ConvergeEvent) -> ConvergeEvent {
        for warning in warnings {
            self.record.warn(warning);
        }
        event
    }

    async fn publish(&mut self) -> Result<ConvergeEvent, ActError> {
        let Some(candidate) = &self.record.detail.state.candidate else {
            return Err(ActError::Model("there is no fix to be pushed".to_owned()));
        };
        match self.workspace.publish(&self.record, candidate).await? {
            PublishOutcome::Done => {
                let head = candidate.commit.clone();
                if let Some(readiness) = &mut self.record.detail.readiness {
                    readiness.pushed(&head, SystemClock.now());
                }
                let warnings = match self.record.detail.wakes.get(AFTER_PUSH) {
                    Some((calls, _)) => self.workspace.call(&self.record, *calls).await?,
                    None => Vec::new(),
                };
                Ok(self.warned(warnings, ConvergeEvent::Pushed))
            }
            PublishOutcome::Moved(head) => self.moved(head).await,
            PublishOutcome::Blocked(words) => Ok(ConvergeEvent::Blocked(words)),
        }
    }

    /// Somebody else has pushed. What came with the base branch is not the change: it is compared anew.
    async fn moved(&mut self, head: Sha) -> Result<ConvergeEvent, ActError> {
        let tree = self.compared(&head).await?;
        Ok(ConvergeEvent::Moved { head, tree })
    }

    /// The tree of a new head. What it is compared with is so from now on.
    async fn compared(&mut self, head: &Sha) -> Result<Sha, ActError> {
        let base = self.workspace.follow(&self.record, head).await?;
        let tree = self.mirror.tree_of(head).await?;
        self.record.detail.base = base;
        Ok(tree)
    }
}

impl ConvergeRunner<'_> {
    /// What differs between two commits. Several acts look at the same change.
    async fn commit_diff(&mut self, base: &Sha, head: &Sha) -> Result<CommitDiff, GitError> {
        let known = self.diffs.iter().find(|((from, to), _)| (from, to) == (base, head));
        if let Some((_, found)) = known {
            return Ok(found.clone());
        }
        let found = self.mirror.commit_diff(base, head).await?;
        if found.diff.len() <= MAX_KEPT_DIFF {
            self.diffs.truncate(KEPT_DIFFS - 1);
            self.diffs.insert(0, ((base.clone(), head.clone()), found.clone()));
        }
        Ok(found)
    }

    /// What the gate says of the change up to this commit, if it blocks.
    async fn gate_says(&mut self, head: &Sha) -> Result<Option<String>, ActError> {
        let base = self.record.detail.base.clone();
        let change = self.change(&base, head).await?;
        let mut gated = GateResult::of(self.read(&change, head).await?)?;
        if let Some(commands) = &self.looks.commands {
            let trust = self.trust();
            let folder = PrivateFolder::new().map_err(ActError::Folder)?;
            self.mirror.private_clone(head, std::slice::from_ref(&change.base), folder.path()).await?;
            commands.look(folder.path(), &change, &trust, &mut gated).await?;
        }
        Ok(gated.seen()?.words())
    }

    /// The set-ups that may be used. What code of a model sets up is kept apart, as it is of checks.
    fn trust(&self) -> Trust {
        let own = format!("converge {}", self.record.key);
        Trust::new(format!("{own} fix")).trusting(own)
    }

    /// The change between two commits.
    async fn change(&mut self, base: &Sha, head: &Sha) -> Result<ReviewedChange, GitError> {
        Ok(ReviewedChange::between(base.clone(), head, self.commit_diff(base, head).await?))
    }

    /// The findings of rules and linters on a change up to this commit. Auditors see the same files after them.
    async fn read(&mut self, change: &ReviewedChange, head: &Sha) -> Result<ReadingOutcome, ActError> {
        if let Some(reading) = self.known_reading(&change.base, head) {
            return Ok(reading.clone());
        }
        let laid = self.mirror.lay(head, self.laid.take()).await?;
        let (scope, reader) = (&self.looks.scope, &self.agents.auditor.reader);
        let plan = reading::plan(change, scope).map_err(GateError::Reading)?;
        let (trust, InspectionTools { toolbox, project, .. }) = (self.trust(), self.looks);
        let (project, base) = (project.as_deref(), BaseCommit::Mirror(self.mirror, &change.base));
        let tooling = ReviewLinters { toolbox, project, trust: Some(&trust), base };
        let reading = plan.read(laid.path().to_owned(), scope, reader, Some(tooling)).await;
        let tree = self.laid.insert(laid).path();
        let mut reading = reading.map_err(GateError::Reading)?;
        reading.sign_lines(tree, &scope.lines_key);
        self.readings.truncate(KEPT_READINGS - 1);
        self.readings.insert(0, ((change.base.clone(), head.clone()), reading.clone()));
        Ok(reading)
    }

    /// What the rules have said of this change before.
    fn known_reading(&self, base: &Sha, head: &Sha) -> Option<&ReadingOutcome> {
        self.readings.iter().find(|((from, to), _)| (from, to) == (base, head)).map(|(_, reading)| reading)
    }

    /// What pays for a model, and how much is left of what the run may cost.
    fn purse(&self, agent: &ModelAgent) -> (RunBudget, MicroUsd) {
        let run = self.record.run.clone();
        let (key, now) = (&self.record.key, SystemClock.now());
        let (purse, most) = agent.budgets.purse_of_converge(run, key, self.repository, now);
        let spent = self.record.cost().0.saturating_add(self.taken.cost_micro_usd.0);
        (purse, MicroUsd(most.0.saturating_sub(spent)))
    }

    /// Adds what asking a model took.
    fn spent(&mut self, spent: &ModelSpend) {
        self.taken.add(&spent.clone().take());
    }
}
