//! The converge loop: audits, fixes, verifies and pushes until a fresh audit finds nothing or another
//! condition stops the run.
//!
//! `truing_core::converge` decides the next act, and this module performs it (`audit`, `fix`, `check` and
//! [`gate`]). A [`BranchWorkspace`] provides access to the branch and shows results. The branch is in a local
//! repository ([`local`]) or belongs to a pull request. The run is saved after every act. If the process
//! exits, another process continues the run after the last saved act.

// long: the order of acts of one loop; each act is a module below.

mod audit;
mod check;
mod describe;
mod fix;
pub mod gate;
pub mod local;
pub mod lock;
pub mod post_audit;
pub mod pre_commit;
pub mod preflight;
pub mod pull;
mod reviewer_comments;
pub mod run_texts;
mod stop;
mod update;

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

/// The models of a run, and the isolation of the commands that fixers run.
pub struct ConvergeAgents {
    /// The model that audits. If `fixer` is `None`, this model also fixes.
    pub auditor: ModelAgent,
    /// The model that fixes, if it differs from the auditor.
    pub fixer: Option<ModelAgent>,
    /// Level of isolation of the commands that fixers run.
    pub sandbox: SandboxLevel,
}

/// The tools that inspect a head without a model. The repository's own file can configure them.
#[derive(Debug)]
pub struct InspectionTools {
    /// Runs the repository's own checks; none if no checks are configured.
    pub verifier: Option<Verifier>,
    /// Folders whose programs a fixer's commands may run, in addition to the programs in the system's
    /// folders.
    pub program_folders: Vec<std::path::PathBuf>,
    /// The policy for fixers. The policy permits the commands of the gate and of the checks, but only exactly
    /// as they are configured.
    pub policy: Arc<AgentPolicy>,
    /// The rules of the gate, and the files that the rules apply to.
    pub scope: ReviewScope,
    /// Linters, whose findings belong to the gate.
    pub linter_sources: LinterSources,
    /// The folder in which the owner of the files has installed the project's programs; none if there is no
    /// such folder.
    pub project_programs_folder: Option<std::path::PathBuf>,
    /// Commands of the gate; none if the gate consists of the rules alone.
    pub commands: Option<GateCommands>,
    /// A name that identifies the gate, the checks and the rules.
    pub configuration_id: String,
    /// True if the user skips the checks before the first paid call.
    pub skips_preflight: bool,
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

/// The branch that a run works on, and the place where people see the results of the run.
#[async_trait]
pub trait BranchWorkspace: Sync {
    /// Returns the current head of the branch.
    ///
    /// # Errors
    /// [`ActError::CannotContinue`] if the run cannot continue on this branch. The run must then not write
    /// anything more.
    async fn head(&self, record: &ConvergeRecord) -> Result<Sha, ActError>;
    /// Returns how long a created object may stay invisible if the response to its creation was lost.
    fn settle_time(&self) -> TimeSpan {
        TimeSpan(0)
    }
    /// Returns the known reason why nothing can be pushed to the branch; `None` if pushes are possible. If
    /// there is a reason, the run only audits.
    fn read_only_reason(&self) -> Option<String> {
        None
    }
    /// Fetches the commits of a head that another person has pushed. Returns the base with which this head is
    /// compared.
    async fn fetch_head(&self, record: &ConvergeRecord, head: &Sha) -> Result<Sha, ActError>;
    /// Shows the findings of an audit. Returns notices for people.
    async fn post_findings(&self, record: &ConvergeRecord) -> Result<Vec<String>, ActError>;
    /// Pushes a fix to the branch, which must still be at the head that the run expects.
    async fn publish(
        &self,
        record: &ConvergeRecord,
        candidate: &FixCandidate,
    ) -> Result<PublishOutcome, ActError>;
    /// Returns how often the run has called the reviewer that it calls after each push; `None` if no reviewer
    /// is called after each push.
    async fn count_reviewer_calls(&self) -> Result<Option<usize>, ActError> {
        Ok(None)
    }
    /// Calls the reviewer after a push. Does nothing if the run has already made more than
    /// `_known_calls` calls. Returns notices for people.
    async fn call_reviewer(
        &self,
        _record: &ConvergeRecord,
        _known_calls: usize,
    ) -> Result<Vec<String>, ActError> {
        Ok(Vec::new())
    }
    /// Answers the findings of the newest audit in comments. Returns notices for people.
    async fn reply_to_findings(&self, record: &ConvergeRecord) -> Result<Vec<String>, ActError>;
}

/// Source of requests to stop a run on a pull request, which is checked before each act.
pub trait StopRequests: fmt::Debug + Sync {
    /// Returns a description of the person who requested a stop after the run was started or last resumed.
    /// `None` if no person with permission has requested a stop.
    fn stop_requester(&self) -> BoxFuture<'_, Result<Option<String>, ForgeError>>;
}

/// Number of cached diffs, each of at most `MAX_CACHED_DIFF_BYTES` bytes. The cached diffs are the change
/// before a fix, the change after the fix, the fix itself, and all fixes together.
const MAX_CACHED_DIFFS: usize = 4;
const MAX_CACHED_DIFF_BYTES: usize = 1 << 20;

/// Number of cached results of the rules: one for the change before a fix, and one for the change after the
/// fix.
const MAX_CACHED_READINGS: usize = 2;

/// Maximum wait for the model calls of an interrupted act to be settled.
const SETTLE_TIME: Duration = Duration::from_secs(1);

/// Key of one entry in the map of reviewer calls: the entry of the reviewer that is called after each push.
/// No configured reviewer can have this name.
const AFTER_PUSH_REVIEWER_KEY: &str = "after each push";

/// Times to wait before the first, second and third retry of an act to which a forge did not respond. Each
/// wait is at most `converge.poll`. If the last retry fails, the run ends and can be resumed.
const RETRY_DELAYS: [TimeSpan; 3] = [TimeSpan::seconds(1), TimeSpan::seconds(4), TimeSpan::seconds(15)];

/// Result of pushing a fix to the branch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PublishOutcome {
    /// The fix is on the branch.
    Published {
        /// Commit on the branch. Its content is the fix's content, but its id differs if it was signed or
        /// created by the forge.
        commit: Sha,
        /// Notice for people, if the forge could not create the commit.
        warning: Option<String>,
    },
    /// Another person has pushed this commit.
    HeadChanged(Sha),
    /// A hook blocks the push, with this message.
    Blocked(String),
}

/// The mode of a call: it determines how many acts of the run the call performs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConvergeRunMode {
    /// Performs acts until the run ends or has to wait.
    WholeRun,
    /// Performs acts until the next act would call models for the second time in this call. The call then
    /// ends, and other runs can be scheduled.
    Step,
}

/// Receives notifications about the progress of a run.
#[async_trait]
pub trait RunObserver: Sync {
    /// Called when an act begins. An act may take minutes.
    fn on_action_start(&self, record: &ConvergeRecord, action: &ConvergeAction);
    /// Called when an act is done and the run is saved. `previous_length` is the length of the run's log
    /// before the act.
    async fn on_log_update(&self, record: &ConvergeRecord, previous_length: usize) -> ();
}

/// The outcome of one call that continues a run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ConvergeCallOutcome {
    /// The run has ended, or other reviewers must review the head before the next audit.
    NoFurtherAct,
    /// The mode permits no further act in this call. The run continues with the next call.
    BeforeNextStep,
    /// The run cannot continue for this reason. Its earlier results remain valid.
    CannotContinue(ConvergeExit),
    /// The run cannot continue before this time of the wall clock. The other fields are the reason for the
    /// wait, and a description of the awaited event.
    WaitUntil(UnixMillis, WaitReason, String),
}

/// The branch of a run, and the components that the run uses. [`ConvergeRunner`] documents the fields.
pub struct ConvergeContext<'a> {
    pub workspace: &'a dyn BranchWorkspace,
    pub mirror: &'a Mirror,
    pub agents: &'a ConvergeAgents,
    pub inspection_tools: &'a InspectionTools,
    pub config: &'a ConvergeConfig,
    pub gate: &'a Arc<dyn WriteGate>,
    pub repository: Option<&'a str>,
}

/// One run, and the components that the run uses.
pub struct ConvergeRunner<'a> {
    /// Access to the branch of the run.
    pub workspace: &'a dyn BranchWorkspace,
    /// The mirror that contains the commits.
    pub mirror: &'a Mirror,
    /// The models of the run, and the sandbox for their commands.
    pub agents: &'a ConvergeAgents,
    /// The tools that inspect a head.
    pub inspection_tools: &'a InspectionTools,
    /// The configuration of the converge loop.
    pub config: &'a ConvergeConfig,
    /// The gate of the kill switch, which is checked before each act and before each turn of a model.
    pub gate: &'a Arc<dyn WriteGate>,
    /// The repository's `owner/name`, if it has one. With this name, the cost is also charged to the budgets
    /// of the repository's teams.
    pub repository: Option<&'a str>,
    /// The record of the run.
    pub record: ConvergeRecord,
    /// Cached diffs, each with the two commits that it compares.
    diffs: Vec<((Sha, Sha), CommitDiff)>,
    /// The exported files of the commit that was inspected last.
    exported_commit: Option<ExportedCommit>,
    /// Cached results of the rules, each with the base and the head of the change.
    cached_readings: Vec<((Sha, Sha), ReadingOutcome)>,
    /// The newest inspected head, with the results of the checks on this head. The report is none if no check
    /// could be run.
    baseline: Option<(Sha, Option<VerificationReport>)>,
    /// Cost of the model calls in the current act.
    model_cost: StepCost<()>,
    /// The part of the run that this call performs.
    mode: ConvergeRunMode,
    /// True if this call has already called models.
    has_called_models: bool,
}

impl<'a> ConvergeRunner<'a> {
    /// Creates a runner for a run on a branch.
    pub fn new(context: ConvergeContext<'a>, record: ConvergeRecord, mode: ConvergeRunMode) -> Self {
        let ConvergeContext { workspace, mirror, agents, inspection_tools, config, gate, repository } =
            context;
        let (diffs, exported_commit, cached_readings, baseline) = (Vec::new(), None, Vec::new(), None);
        let (model_cost, has_called_models) = (StepCost::default(), false);
        Self {
            workspace,
            mirror,
            agents,
            inspection_tools,
            config,
            gate,
            repository,
            record,
            diffs,
            exported_commit,
            cached_readings,
            baseline,
            model_cost,
            mode,
            has_called_models,
        }
    }
}

impl ConvergeRunner<'_> {
    /// Continues the run until it ends, has to wait, or has performed all acts that the mode permits. After
    /// every act, the run is saved and the observer is notified.
    ///
    /// # Errors
    /// [`StoreError`] if the last act was not saved. A later run detects that the effects of this act already
    /// exist.
    #[truing_core::boxed_future]
    pub async fn run(
        &mut self,
        store: &dyn RunStore,
        token: FencingToken,
        observer: &dyn RunObserver,
    ) -> Result<ConvergeCallOutcome, StoreError> {
        while self.record.detail.state.exit.is_none() {
            let (began, before) = (Instant::now(), self.record.detail.state.log.len());
            let act = self.record.detail.state.next_action.clone();
            if act.needs_models()
                && std::mem::replace(&mut self.has_called_models, true)
                && self.mode == ConvergeRunMode::Step
            {
                return Ok(ConvergeCallOutcome::BeforeNextStep);
            }
            if let Err(halted) = self.check_write_gate().await {
                return Ok(ConvergeCallOutcome::CannotContinue(halted.exit()));
            }
            observer.on_action_start(&self.record, &act);
            if matches!(act.step(), ConvergeStep::Gate | ConvergeStep::Audit) {
                self.record.detail.state.apply_dismissals(store.dismissals(&self.record.key).await?);
            }
            let event = match Box::pin(self.run_action(&act)).await {
                Ok(event) => event,
                // The act had not begun, so the run is unchanged.
                Err(stop @ ActError::StoppedByUser(_)) => {
                    return Ok(ConvergeCallOutcome::CannotContinue(stop.exit()));
                }
                Err(ActError::Store(error)) => return Err(error),
                // A later call repeats the act, and detects the writes that the act has already made.
                Err(stop @ ActError::Halted(_)) => {
                    let exit = self.closed_gate_exit(&stop)?;
                    self.record_step_cost(act.step(), began);
                    store.store_converge_record(token, &self.record).await?;
                    return Ok(ConvergeCallOutcome::CannotContinue(exit));
                }
                Err(stop) => match self.temporary_error_wait(&stop) {
                    Some(left) => {
                        self.record_step_cost(act.step(), began);
                        store.store_converge_record(token, &self.record).await?;
                        return Ok(left);
                    }
                    None => self.end_with_error(stop),
                },
            };
            self.record.detail.put_off = 0;
            if let Err(unexpected) = self.record.detail.state.apply_event(event) {
                let exit = ConvergeExit::new(ConvergeExitCode::Infrastructure, unexpected.to_string());
                self.record.detail.state.exit = Some(exit);
            }
            if self.ends_without_checks() {
                let none = "`verify.check` was not run on this head; its result is unknown";
                self.record.warn(none.to_owned());
            }
            self.record_step_cost(act.step(), began);
            self.add_ledger_cost(act.step()).await?;
            store.store_converge_record(token, &self.record).await?;
            observer.on_log_update(&self.record, before).await;
            if self.has_reviewers_before_audit() {
                break;
            }
        }
        Ok(ConvergeCallOutcome::NoFurtherAct)
    }

    /// If the error is temporary, returns a wait as the outcome of the call. After the wait, the run repeats
    /// the same act.
    fn temporary_error_wait(&mut self, error: &ActError) -> Option<ConvergeCallOutcome> {
        if let ActError::Wait { until, reason, message } = error {
            return Some(ConvergeCallOutcome::WaitUntil(*until, *reason, message.clone()));
        }
        let tried = usize::try_from(self.record.detail.put_off).unwrap_or(usize::MAX);
        let wait = RETRY_DELAYS.get(tried).filter(|_| error.is_temporary())?;
        self.record.detail.put_off = self.record.detail.put_off.saturating_add(1);
        let poll = i64::try_from(self.config.poll_interval.as_millis()).unwrap_or(i64::MAX);
        let wait = TimeSpan(wait.0.min(poll).max(self.workspace.settle_time().0));
        Some(ConvergeCallOutcome::WaitUntil(
            SystemClock.now() + wait,
            WaitReason::Settling,
            error.to_string(),
        ))
    }

    /// Ends the run with the error of an act that failed.
    fn end_with_error(&mut self, error: ActError) -> ConvergeEvent {
        let exit = error.exit();
        if let ActError::CannotContinue { unmerged_commits: unreached, .. } = error {
            self.record.detail.unreached = unreached;
        }
        ConvergeEvent::RunEnded(exit)
    }

    /// Adds the time and cost of an act to the record.
    fn record_step_cost(&mut self, step: ConvergeStep, started_at: Instant) {
        let ms = u64::try_from(started_at.elapsed().as_millis()).unwrap_or(u64::MAX);
        let taken = StepCost { duration_ms: ms, ..std::mem::take(&mut self.model_cost) };
        self.record.add_step_cost(step, &taken);
        self.record.ended_at = SystemClock.now();
    }

    /// Adds the unreported cost of the run to this step: the cost that is in the ledger but not in the
    /// record. An interrupted act reports no cost, even if another process performed the act.
    ///
    /// # Errors
    /// [`StoreError`]: the ledger cannot be read.
    #[truing_core::boxed_future]
    pub async fn add_ledger_cost(&mut self, step: ConvergeStep) -> Result<(), StoreError> {
        let own = RunBudget::for_run(self.record.run.clone(), MicroUsd(0)).levels;
        let drawn = self.agents.auditor.ledger.budget_usage(&own).await?;
        let spent = drawn.iter().map(|drawn| drawn.spent.0).fold(0, u64::saturating_add);
        let untold = MicroUsd(spent.saturating_sub(self.record.cost().0));
        if untold > MicroUsd(0) {
            self.record
                .add_step_cost(step, &StepCost { cost_micro_usd: untold, ..StepCost::<()>::default() });
        }
        Ok(())
    }

    /// Waits until the calls of an interrupted act are settled, then adds the act's unreported cost.
    ///
    /// # Errors
    /// As [`Self::add_ledger_cost`].
    #[truing_core::boxed_future]
    pub async fn add_interrupted_cost(&mut self) -> Result<(), StoreError> {
        // A call that is not settled within this time expires later, and its full reserved cost is then
        // charged. No act reports this cost.
        let _ = tokio::time::timeout(SETTLE_TIME, gateway::wait_until_settled()).await;
        self.add_ledger_cost(self.record.detail.state.next_action.step()).await
    }

    /// True if the run ends as clean although no check was run on the head: there was no fix, and the
    /// preflight was skipped or checked another head.
    fn ends_without_checks(&self) -> bool {
        let state = &self.record.detail.state;
        let is_clean = state.exit.as_ref().is_some_and(|exit| exit.code == ConvergeExitCode::Clean);
        let is_unchecked = self.record.detail.checked_head.as_ref() != Some(&state.head);
        let has_checks = self.inspection_tools.verifier.is_some();
        is_clean && !state.audits_only && state.commits.is_empty() && has_checks && is_unchecked
    }

    /// Performs one audit without the gate. The run is not saved. Afterwards, the run has ended, or the head
    /// is audited and the next act is [`ConvergeAction::Post`]. If the head moves, the new head is audited
    /// instead.
    #[truing_core::boxed_future]
    pub async fn audit_once(&mut self) {
        let began = Instant::now();
        while self.record.detail.state.exit.is_none() {
            let event = match self.record.detail.state.next_action.clone() {
                ConvergeAction::Gate => ConvergeEvent::GateFinished(None),
                act @ ConvergeAction::Audit { .. } => {
                    Box::pin(self.run_action(&act)).await.unwrap_or_else(|stop| self.end_with_error(stop))
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
            if let Err(unexpected) = self.record.detail.state.apply_event(event) {
                self.record.detail.state.exit =
                    Some(ConvergeExit::new(ConvergeExitCode::Infrastructure, unexpected.to_string()));
            }
        }
        self.record_step_cost(ConvergeStep::Audit, began);
    }

    /// Completes the record after [`Self::audit_once`], even if the audit was stopped. Afterwards, the record
    /// contains the whole cost of the audit.
    ///
    /// # Errors
    /// As [`Self::add_ledger_cost`].
    #[truing_core::boxed_future]
    pub async fn finish_audit(&mut self, is_stopped: bool) -> Result<(), StoreError> {
        if !is_stopped {
            return self.add_ledger_cost(ConvergeStep::Audit).await;
        }
        self.add_interrupted_cost().await?;
        self.record.detail.state.exit =
            Some(ConvergeExit::new(ConvergeExitCode::Interrupted, "interrupted before the audit finished"));
        self.record.ended_at = SystemClock.now();
        Ok(())
    }

    async fn run_action(&mut self, action: &ConvergeAction) -> Result<ConvergeEvent, ActError> {
        let head = self.workspace.head(&self.record).await?;
        // Only these acts may continue if the head has changed. The other acts, such as replies after a push,
        // belong to the findings on the earlier head.
        let follows = match action {
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
            return self.handle_push(head).await;
        }
        if follows {
            self.run_preflight().await?;
        }
        match action {
            // If nothing may be pushed, the gate's findings cannot be fixed. The gate is skipped, because an
            // audit is useful even if its findings cannot be fixed.
            ConvergeAction::Gate if self.workspace.read_only_reason().is_some() => {
                Ok(ConvergeEvent::GateFinished(None))
            }
            ConvergeAction::Fix { .. } if let Some(why) = self.workspace.read_only_reason() => {
                Ok(ConvergeEvent::RunEnded(ConvergeExit::new(ConvergeExitCode::ReadOnly, why)))
            }
            ConvergeAction::Gate => {
                let head = self.record.detail.state.head.clone();
                Ok(ConvergeEvent::GateFinished(self.run_gate_check(&head).await?))
            }
            ConvergeAction::Mend { output } => self.fix_gate_report(output).await,
            ConvergeAction::Audit { auditors, attempt: _ } => {
                let (base, head) = (self.record.detail.base.clone(), self.record.detail.state.head.clone());
                let starting = self.record.detail.state.starting_head.clone();
                let audited = AuditInput::load(self, &base, &head).await?;
                let event = audited.run_auditors(self, auditors, &starting).await;
                self.exported_commit = Some(audited.exported_commit);
                event
            }
            ConvergeAction::Post => {
                let warnings = self.workspace.post_findings(&self.record).await?;
                Ok(self.add_warnings(warnings, ConvergeEvent::FindingsPosted))
            }
            ConvergeAction::Fix { problems } => self.fix_findings(problems).await,
            ConvergeAction::Check => {
                // Calls are counted first: if counting fails, no money is spent on the check. The count is
                // saved with the check's result. If the process exits after the push, the run can later
                // determine if the reviewer was called.
                let calls = self.workspace.count_reviewer_calls().await?;
                let event = self.check_fix().await?;
                if let Some(calls) = calls {
                    let head = self.record.detail.state.head.clone();
                    self.record.detail.wakes.insert(AFTER_PUSH_REVIEWER_KEY.to_owned(), (calls, head));
                }
                Ok(event)
            }
            ConvergeAction::Publish => self.publish().await,
            ConvergeAction::Reply => {
                let warnings = self.workspace.reply_to_findings(&self.record).await?;
                Ok(self.add_warnings(warnings, ConvergeEvent::RepliesPosted))
            }
        }
    }

    fn add_warnings(&mut self, warnings: Vec<String>, event: ConvergeEvent) -> ConvergeEvent {
        for warning in warnings {
            self.record.warn(warning);
        }
        event
    }

    async fn publish(&mut self) -> Result<ConvergeEvent, ActError> {
        let Some(candidate) = &self.record.detail.state.candidate else {
            return Err(ActError::Model("there is no fix to push".to_owned()));
        };
        match self.workspace.publish(&self.record, candidate).await? {
            PublishOutcome::Published { commit: head, warning } => {
                if let Some(candidate) = &mut self.record.detail.state.candidate {
                    candidate.commit = head.clone();
                }
                if let Some(warning) = warning {
                    self.record.warn(warning);
                }
                if let Some(readiness) = &mut self.record.detail.readiness {
                    readiness.record_push(&head, SystemClock.now());
                }
                let warnings = match self.record.detail.wakes.get(AFTER_PUSH_REVIEWER_KEY) {
                    Some((calls, _)) => self.workspace.call_reviewer(&self.record, *calls).await?,
                    None => Vec::new(),
                };
                Ok(self.add_warnings(warnings, ConvergeEvent::FixPushed))
            }
            PublishOutcome::HeadChanged(head) => self.handle_push(head).await,
            PublishOutcome::Blocked(words) => Ok(ConvergeEvent::HookBlocked(words)),
        }
    }

    /// Handles another person's push. The base is determined again, because the push may add commits of the
    /// base branch, which are not part of the change.
    async fn handle_push(&mut self, head: Sha) -> Result<ConvergeEvent, ActError> {
        let tree = self.record_head_base(&head).await?;
        Ok(ConvergeEvent::HeadChanged { head, tree })
    }

    /// Returns the tree of a new head, and records the base that the head is compared with.
    async fn record_head_base(&mut self, head: &Sha) -> Result<Sha, ActError> {
        let base = self.workspace.fetch_head(&self.record, head).await?;
        let tree = self.mirror.tree_id(head).await?;
        self.record.detail.base = base;
        Ok(tree)
    }
}

impl ConvergeRunner<'_> {
    /// Returns the differences between two commits. The differences are cached, because several acts compare
    /// the same commits.
    async fn commit_diff(&mut self, base: &Sha, head: &Sha) -> Result<CommitDiff, GitError> {
        let known = self.diffs.iter().find(|((from, to), _)| (from, to) == (base, head));
        if let Some((_, found)) = known {
            return Ok(found.clone());
        }
        let found = self.mirror.diff_with_omissions(base, head).await?;
        if found.diff.len() <= MAX_CACHED_DIFF_BYTES {
            self.diffs.truncate(MAX_CACHED_DIFFS - 1);
            self.diffs.insert(0, ((base.clone(), head.clone()), found.clone()));
        }
        Ok(found)
    }

    /// Returns the blocking findings of the gate in the change up to this commit, as text for a fixer; `None`
    /// if no finding blocks.
    async fn run_gate_check(&mut self, head: &Sha) -> Result<Option<String>, ActError> {
        let base = self.record.detail.base.clone();
        let change = self.load_change(&base, head).await?;
        let mut gated = GateResult::from_reading(self.read_change(&change, head).await?)?;
        if let Some(commands) = &self.inspection_tools.commands {
            let trust = self.setup_trust();
            let folder = PrivateFolder::new().map_err(ActError::TemporaryFolder)?;
            self.mirror
                .check_out_private_clone(head, std::slice::from_ref(&change.base), folder.path())
                .await?;
            let commands = commands.with_base_hooks(BaseCommit::Mirror(self.mirror, &change.base)).await?;
            commands.run(folder.path(), &change, &trust, &mut gated).await?;
            if gated.uses_base_hooks {
                self.record.warn(pre_commit::BASE_HOOKS_NOTE.to_owned());
            }
        }
        Ok(gated.ensure_checked()?.fixer_text())
    }

    /// Returns the trust scope of the gate's dependency set-ups. As in the checks, set-ups that a model's
    /// code made are kept separate.
    fn setup_trust(&self) -> Trust {
        let own = format!("converge {}", self.record.key);
        Trust::new(format!("{own} fix")).with_trusted(own)
    }

    /// Returns the change between two commits.
    async fn load_change(&mut self, base: &Sha, head: &Sha) -> Result<ReviewedChange, GitError> {
        Ok(ReviewedChange::from_commit_diff(base.clone(), head, self.commit_diff(base, head).await?))
    }

    /// Returns the findings of rules and linters in a change up to this commit. The files that this function
    /// exports are also read by auditors later.
    async fn read_change(&mut self, change: &ReviewedChange, head: &Sha) -> Result<ReadingOutcome, ActError> {
        if let Some(reading) = self.cached_reading(&change.base, head) {
            return Ok(reading.clone());
        }
        let laid = self.mirror.export_in_place(head, self.exported_commit.take()).await?;
        let (scope, reader) = (&self.inspection_tools.scope, &self.agents.auditor.reader);
        let mut plan = reading::plan_reading(change, scope).map_err(GateError::Reading)?;
        plan.add_unreviewed_files(laid.omitted_files().to_vec());
        let (trust, InspectionTools { linter_sources: toolbox, project_programs_folder: project, .. }) =
            (self.setup_trust(), self.inspection_tools);
        let (project, base) = (project.as_deref(), BaseCommit::Mirror(self.mirror, &change.base));
        let tooling = ReviewLinters {
            linter_sources: toolbox,
            project_programs_folder: project,
            trust: Some(&trust),
            base,
        };
        let reading = plan.read(laid.path().to_owned(), scope, reader, Some(tooling)).await;
        let tree = self.exported_commit.insert(laid).path();
        let mut reading = reading.map_err(GateError::Reading)?;
        reading.add_line_digests(tree, &scope.lines_key);
        self.cached_readings.truncate(MAX_CACHED_READINGS - 1);
        self.cached_readings.insert(0, ((change.base.clone(), head.clone()), reading.clone()));
        Ok(reading)
    }

    /// Returns the cached result of the rules for this change.
    fn cached_reading(&self, base: &Sha, head: &Sha) -> Option<&ReadingOutcome> {
        self.cached_readings
            .iter()
            .find(|((from, to), _)| (from, to) == (base, head))
            .map(|(_, reading)| reading)
    }

    /// Returns the budget that a model's cost is charged to, and the money that the run may still spend.
    fn model_budget(&self, agent: &ModelAgent) -> (RunBudget, MicroUsd) {
        let run = self.record.run.clone();
        let (key, now) = (&self.record.key, SystemClock.now());
        let (budget, most) = agent.budgets.converge_budget(run, key, self.repository, now);
        let spent = self.record.cost().0.saturating_add(self.model_cost.cost_micro_usd.0);
        (budget, MicroUsd(most.0.saturating_sub(spent)))
    }

    /// Adds the cost of a model to the cost of the current act.
    fn add_spend(&mut self, spent: &ModelSpend) {
        self.model_cost.add(&spent.step_cost);
    }
}
