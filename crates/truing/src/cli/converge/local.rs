//! A converge run on a branch of a local repository.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use truing_config::Config;
use truing_core::converge::record::{ConvergeDetail, ConvergeRecord};
use truing_core::converge::{ConvergeAction, ConvergeExit as End, ConvergeExitCode, ConvergeRun};
use truing_core::id::{FencingToken, RunId, Sha, SlotKey, TimeSpan};
use truing_core::port::{Clock as _, RunStore as _, WriteGate};
use truing_core::switch::RepositoryRef;
use truing_git::{Git, GitError, LocalRepository, Mirror, Remote};
use truing_loops::budget::repository_name_from_url;
use truing_loops::converge::local::{
    LocalWorkspace, RUN_BRANCH_PREFIX, audit_key, branch_runs_key, checked_out_branch, run_branch,
};
use truing_loops::converge::lock::{RunLock, RunLockError};
use truing_loops::converge::{
    ConvergeAgents, ConvergeCallOutcome, ConvergeContext, ConvergeRunMode, ConvergeRunner, InspectionTools,
    RunObserver, run_texts,
};
use truing_loops::machine::{SystemClock, new_run_id};
use truing_loops::program_versions;
use truing_loops::telemetry::ConvergeSpan;
use truing_store::Store;

use super::outcome::interrupted_error;
use super::target_run::TargetRun;
use super::{ConvergeArgs, NO_TARGET_MESSAGE, UNCOMMITTED_CHANGES_MESSAGE, refusal_error};
use crate::cli::error::{CliError, CommandExit};
use crate::cli::review::read_repository_config;
use crate::cli::target::{check_kill_switches, store_error};
use crate::wiring;

/// Name of the folder of run locks, beside the database.
pub(super) const LOCK_FOLDER_NAME: &str = "converge";

/// The branch that a run works on.
struct BranchCheckout {
    repository: LocalRepository,
    mirror: Mirror,
    /// Name of the branch; `HEAD` if none is checked out.
    branch: String,
    base: Sha,
    head: Sha,
}

/// A run that is ready to start, with the values that it needs.
pub(super) struct PreparedRun {
    checkout: BranchCheckout,
    agents: ConvergeAgents,
    inspection_tools: InspectionTools,
    config: Config,
    store: Store,
    gate: Arc<dyn WriteGate>,
    record: ConvergeRecord,
    /// Message about an earlier run on this branch; `None` if there is no message.
    earlier_run_message: Option<String>,
    /// Lock that prevents other runs from working on this branch.
    lock: RunLock,
}

impl PreparedRun {
    /// Prepares the interrupted run of this branch, or a new run.
    ///
    /// # Errors
    /// Returns the refusals R1 to R3, and an error if another run works on the branch. Also returns an error
    /// if a file, folder or store cannot be opened.
    pub(super) async fn new(
        args: &ConvergeArgs,
        target_run: &TargetRun<'_>,
        path: &Path,
    ) -> Result<Self, CliError> {
        let context = target_run.context;
        let mut config = context.config(&[])?;
        let git = wiring::open_git(&context.environment).await?;
        let repository = git.open(path).await.map_err(wiring::git_error)?;
        if let Some(own) = read_repository_config(&repository, None).await? {
            config = config.with_repository(&own)?;
            target_run
                .print_note(format_args!("the configuration includes {} from the working tree", own.name));
        }
        let config = args.run_args.apply_to(config)?;
        let folder = wiring::ensure_machine_folder(&config)?;
        let checkout = BranchCheckout::open(repository, &git, &folder).await?;
        let store = wiring::open_store(&config, &context.environment).await?;
        check_kill_switches(&store, &RepositoryRef::default()).await?;
        let agents = match wiring::converge::converge_agents(&config, &context.environment, &store, None) {
            Ok(agents) => agents,
            Err(error) => return Err(checkout.record_failure(&store, args.is_audit, error).await),
        };
        let mut looks = match wiring::converge::inspection_tools(&config, &context.environment) {
            Ok(looks) => looks,
            Err(error) => return Err(checkout.record_failure(&store, args.is_audit, error).await),
        };
        // The user's local linters are used, because the checked-out branch belongs to the user.
        looks.linter_sources = wiring::tools::local_linters(&config, &context.environment, Vec::new());
        looks.project_programs_folder = Some(checkout.repository.root().to_owned());
        let key = checkout.key();
        let mut lock =
            RunLock::acquire(&folder.join(LOCK_FOLDER_NAME), &key).map_err(|error| run_lock_error(&error))?;
        let (mut record, earlier) = checkout
            .load_or_new_record(&config, &store, key, &looks.configuration_id, &agents.auditor.model)
            .await?;
        lock.write_run_id(&record.run).map_err(|error| CliError::failure("lock", error.to_string()))?;
        record.detail.cost_before_resume = record.cost();
        let gate = wiring::agent::gate_for_run(&agents.auditor, RepositoryRef::from_key(&record.key));
        Ok(Self {
            checkout,
            agents,
            inspection_tools: looks,
            config,
            store,
            gate,
            record,
            earlier_run_message: earlier,
            lock,
        })
    }

    /// Returns the context of the run: the branch, the agents, the inspection tools and the gate.
    fn converge_context<'b>(
        &'b self,
        workspace: &'b LocalWorkspace<'b>,
        repository: Option<&'b str>,
    ) -> ConvergeContext<'b> {
        ConvergeContext {
            workspace,
            mirror: &self.checkout.mirror,
            agents: &self.agents,
            inspection_tools: &self.inspection_tools,
            config: &self.config.converge,
            gate: &self.gate,
            repository,
        }
    }

    /// Continues the run until it ends or is interrupted.
    pub(super) async fn run(self, target_run: &TargetRun<'_>) -> Result<(ConvergeRecord, Mirror), CliError> {
        let Self { checkout, config, store, record, .. } = &self;
        let (name, workspace) = (checkout.origin_name(), checkout.workspace());
        let log_printer = RunLogPrinter { mirror: &checkout.mirror, target_run };
        let context = self.converge_context(&workspace, name.as_deref());
        let mut runner = ConvergeRunner::new(context, record.clone(), ConvergeRunMode::WholeRun);
        let has_gate = !config.converge.gate.is_empty();
        if let Some(warning) = skipped_hooks_warning(&checkout.repository.hooks(), has_gate) {
            runner.record.warn(warning);
        }
        let span = ConvergeSpan::start(&runner.record, name.as_deref(), None, SystemTime::now());
        let left = tokio::select! {
            left = span.wrap(run_to_end(&mut runner, store, &log_printer)) => {
                left.inspect_err(|error| span.record_failure(&error.message))?
            }
            () = target_run.wait_for_stop() => {
                let why = "interrupted: to resume the run where it stopped, run the command again";
                ConvergeCallOutcome::CannotContinue(End::new(ConvergeExitCode::Interrupted, why))
            }
        };
        if let ConvergeCallOutcome::CannotContinue(exit) = left {
            runner.add_interrupted_cost().await.map_err(store_error)?;
            runner.record.detail.state.exit = Some(exit);
            runner.record.ended_at = SystemClock.now();
            store.store_converge_record(FencingToken(0), &runner.record).await.map_err(store_error)?;
        }
        let mut record = runner.record;
        span.record_state(&record);
        if let Some(tip) = checkout.foreign_branch_tip(&record.detail.state.head).await {
            record.warn(format!(
                "{} is now at {}: the commits after {} were not audited",
                record.detail.name,
                run_texts::short_sha(&tip),
                run_texts::short_sha(&record.detail.state.starting_head)
            ));
        }
        Ok((record, self.checkout.mirror))
    }

    /// Audits the checked-out commit once. Findings and branches of earlier runs have no effect.
    pub(super) async fn audit_once(
        &mut self,
        target_run: &TargetRun<'_>,
    ) -> Result<ConvergeRecord, CliError> {
        let Self { checkout, inspection_tools, config, store, record, .. } = &*self;
        let tree = checkout.mirror.tree_id(&checkout.head).await.map_err(wiring::git_error)?;
        let state =
            ConvergeRun::new_audit_only(config.converge.limits.clone(), (checkout.head.clone(), tree));
        let mut record = checkout.new_record(record.key.clone(), state, &inspection_tools.configuration_id);
        record.detail.state.apply_dismissals(store.dismissals(&record.key).await.map_err(store_error)?);
        self.lock.write_run_id(&record.run).map_err(|error| CliError::failure("lock", error.to_string()))?;
        let Self { checkout, store, .. } = &*self;
        // This record preserves the cost if the process is killed. Because of its special key, no later run
        // resumes it.
        store
            .store_converge_record(FencingToken(0), &record.with_abandoned_key())
            .await
            .map_err(store_error)?;
        let (name, workspace) = (checkout.origin_name(), checkout.workspace());
        let context = self.converge_context(&workspace, name.as_deref());
        let mut runner = ConvergeRunner::new(context, record, ConvergeRunMode::WholeRun);
        let span = ConvergeSpan::start(&runner.record, name.as_deref(), None, SystemTime::now());
        let stopped = tokio::select! {
            () = span.wrap(runner.audit_once()) => false,
            () = target_run.wait_for_stop() => true,
        };
        runner.finish_audit(stopped).await.map_err(store_error)?;
        let record = runner.record;
        span.record_state(&record);
        // The audit is stored because users can dismiss its findings, reports include its cost, and a run may
        // continue from it.
        let mut kept = record.clone();
        kept.key = audit_key(&checkout.repository, &checkout.branch);
        kept.detail.state.exit.get_or_insert_with(|| record.detail.state.audit_only_exit());
        store.store_converge_record(FencingToken(0), &kept).await.map_err(store_error)?;
        Ok(record)
    }
}

/// Continues the run until it ends. Sleeps whenever the run has to wait.
async fn run_to_end(
    runner: &mut ConvergeRunner<'_>,
    store: &Store,
    log_printer: &RunLogPrinter<'_>,
) -> Result<ConvergeCallOutcome, CliError> {
    loop {
        match runner.run(store, FencingToken(0), log_printer).await.map_err(store_error)? {
            ConvergeCallOutcome::WaitUntil(at, _, what) => {
                log_printer.target_run.print_note(format_args!("waiting: {what}"));
                let wait = u64::try_from((at - SystemClock.now()).0).unwrap_or(0);
                tokio::time::sleep(Duration::from_millis(wait)).await;
            }
            left @ (ConvergeCallOutcome::NoFurtherAct
            | ConvergeCallOutcome::BeforeNextStep
            | ConvergeCallOutcome::CannotContinue(_)) => return Ok(left),
        }
    }
}

/// Prints new entries of a run's log.
struct RunLogPrinter<'a> {
    mirror: &'a Mirror,
    target_run: &'a TargetRun<'a>,
}

#[async_trait]
impl RunObserver for RunLogPrinter<'_> {
    fn on_action_start(&self, record: &ConvergeRecord, action: &ConvergeAction) {
        if let Some(line) = run_texts::describe_action_start(record, action) {
            self.target_run.show_step(line);
        }
    }

    async fn on_log_update(&self, record: &ConvergeRecord, previous_length: usize) {
        // An error in rendering the log entries is ignored, because the step itself succeeded.
        for line in run_texts::render_progress(self.mirror, record, previous_length).await.unwrap_or_default()
        {
            self.target_run.print_note(line);
        }
    }
}

/// Begins a run, or resumes the run that was interrupted.
pub(super) async fn run(
    args: &ConvergeArgs,
    target_run: &TargetRun<'_>,
    path: &Path,
) -> Result<(ConvergeRecord, Mirror), CliError> {
    let ready = tokio::select! {
        ready = PreparedRun::new(args, target_run, path) => ready?,
        () = target_run.wait_for_stop() => return Err(interrupted_error()),
    };
    if let Some(earlier_run_message) = &ready.earlier_run_message {
        target_run.print_note(earlier_run_message);
    }
    if args.dry_run {
        return Ok((ready.record, ready.checkout.mirror));
    }
    ready.checkout.check_branch_writable(&ready.record).await?;
    ready.checkout.prune_branches(&ready.store, &ready.record.run, target_run).await;
    if ready.record.is_unfinished() {
        for line in run_texts::describe_plan(&ready.record, ready.agents.auditor.budgets.max_converge_cost())
        {
            target_run.print_note(line);
        }
        target_run.print_note("your checkout does not change; fixes are committed to a separate branch:");
        target_run.print_note(format_args!("  {}", ready.record.detail.branch));
    }
    ready.run(target_run).await
}

/// Time for which the unmerged branch of a run is kept after the end of the run (30 days).
const BRANCH_RETENTION_TIME: TimeSpan = TimeSpan::minutes(30 * 24 * 60);

/// Returns a warning that the clone's hooks are not run on fixes. Returns `None` if the clone has no hooks.
fn skipped_hooks_warning(hooks: &[&str], has_gate: bool) -> Option<String> {
    if hooks.is_empty() {
        return None;
    }
    let offer =
        if has_gate { "" } else { "; to run the hooks' checks on fixes, configure a gate (`converge.gate`)" };
    Some(format!("hooks of this clone are not run on fixes: {}{offer}", hooks.join(", ")))
}

impl BranchCheckout {
    /// Opens the checked-out branch, if it differs from the default branch and has no uncommitted changes.
    ///
    /// # Errors
    /// Returns the refusals R1 and R2, and errors of git.
    async fn open(repository: LocalRepository, git: &Git, folder: &Path) -> Result<Self, CliError> {
        let head = repository.head().map_err(wiring::git_error)?.clone();
        let base = match repository.default_branch_base(&head).await {
            Ok(base) => base.commit,
            Err(error @ (GitError::NoDefaultBranch | GitError::NoCommonAncestor { .. })) => {
                return Err(no_target_error().hint(error.to_string()));
            }
            Err(error) => return Err(wiring::git_error(error)),
        };
        if repository.diff(&base, &head).await.map_err(wiring::git_error)?.is_empty() {
            return Err(no_target_error());
        }
        let work = repository.worktree_diff(&head).await.map_err(wiring::git_error)?;
        if !(work.diff.is_empty() && work.skipped_files.is_empty()) {
            return Err(refusal_error(ConvergeExitCode::Uncommitted, UNCOMMITTED_CHANGES_MESSAGE).hint(
                "`git status` shows the changes; `git stash` keeps them for later; then run this \
                    command again",
            ));
        }
        let remote = Remote::from_local_path(repository.root()).map_err(wiring::git_error)?;
        let name = hex::encode(repository.root().as_os_str().as_encoded_bytes());
        let name = truing_core::line::truncate_text(name, MAX_MIRROR_NAME_BYTES);
        let place = wiring::mirrors_folder(folder).join("local").join(format!("{name}.git"));
        let mirror = git.open_mirror(&place, &remote).await.map_err(wiring::git_error)?;
        mirror.fetch(&[base.clone(), head.clone()]).await.map_err(|error| {
            let mut cli_error = wiring::git_error(error);
            if repository.is_shallow() {
                cli_error.hints = vec![SHALLOW_CLONE_HINT.to_owned()];
            }
            cli_error
        })?;
        let branch = checked_out_branch(&repository).await.map_err(wiring::git_error)?;
        Ok(Self { repository, mirror, branch, base, head })
    }

    /// Checks that the run's branch can be written. The check is done before the run costs money.
    ///
    /// # Errors
    /// Returns exit 3 with git's message.
    async fn check_branch_writable(&self, record: &ConvergeRecord) -> Result<(), CliError> {
        match self
            .repository
            .branch_write_error(&record.detail.branch, &record.detail.state.starting_head)
            .await
        {
            Ok(None) => Ok(()),
            Ok(Some(why)) => Err(branch_write_error(&record.detail.branch, &why)),
            Err(error) => Err(wiring::git_error(error)),
        }
    }

    /// Deletes branches of earlier runs that have ended. A branch is deleted only if its tip is the run's
    /// last commit, and if the branch is also merged or old. If this cannot be determined, the branch is
    /// kept.
    async fn prune_branches(&self, store: &Store, current: &RunId, target_run: &TargetRun<'_>) {
        let Ok(left) = self.repository.list_branches_in(RUN_BRANCH_PREFIX).await else { return };
        let now = SystemClock.now();
        for (name, tip) in left {
            let run = name.rsplit_once('/').map(|(_, run)| RunId::new(run));
            let Some(run) = run.filter(|run| run_branch(run) == name && run != current) else { continue };
            let Ok(Some(record)) = store.converge_run(&run).await else { continue };
            if record.is_unfinished() || record.detail.state.head != tip {
                continue;
            }
            let is_old = now - record.ended_at > BRANCH_RETENTION_TIME;
            let is_merged =
                matches!(self.repository.merge_base(&tip, &self.head).await, Ok(Some(base)) if base == tip);
            if (is_old || is_merged) && self.repository.delete_branch(&name, &tip).await.unwrap_or(false) {
                let reason = if is_merged { "merged" } else { "older than 30 days" };
                target_run.print_note(format_args!("deleted {name}, the branch of an earlier run: {reason}"));
            }
        }
    }

    /// Returns the branch's tip if it is a commit that is not part of the run. The starting commit, `head`
    /// and the ancestors of `head` are part of the run.
    async fn foreign_branch_tip(&self, head: &Sha) -> Option<Sha> {
        // If the tip is unreadable, the branch is treated as not moved, because this function is used only
        // for a warning.
        let tip =
            self.repository.branch_tip(&self.branch).await.ok().flatten().filter(|tip| *tip != self.head)?;
        let common = self.repository.merge_base(&tip, head).await.ok().flatten();
        (common.as_ref() != Some(&tip)).then_some(tip)
    }

    /// Records a failure before the start of a run as a failed run (ADR 56). `error` is returned unchanged.
    async fn record_failure(&self, store: &Store, is_audit: bool, error: CliError) -> CliError {
        let key = if is_audit { audit_key(&self.repository, &self.branch) } else { self.key() };
        record_failed_start(store, key, self.branch.clone(), is_audit, &error).await;
        error
    }

    fn workspace(&self) -> LocalWorkspace<'_> {
        LocalWorkspace { repository: &self.repository, mirror: &self.mirror }
    }

    /// Returns the `owner/name` of the repository from which this repository was cloned.
    fn origin_name(&self) -> Option<String> {
        self.repository.origin_url().and_then(repository_name_from_url)
    }

    fn key(&self) -> SlotKey {
        branch_runs_key(&self.repository, &self.branch)
    }

    /// Returns the record of the run to continue, with a message about that run, or a new record.
    async fn load_or_new_record(
        &self,
        config: &Config,
        store: &Store,
        key: SlotKey,
        inspection_digest: &str,
        model: &str,
    ) -> Result<(ConvergeRecord, Option<String>), CliError> {
        let last = store.last_converge(&key).await.map_err(store_error)?;
        let last = last.filter(|last| last.detail.base == self.base);
        let audit =
            store.last_converge(&audit_key(&self.repository, &self.branch)).await.map_err(store_error)?;
        let dismissals = store.dismissals(&key).await.map_err(store_error)?;
        // The audit is used only if no run is unfinished, and no run began after the audit.
        let audit = audit.filter(|audit| {
            audit.is_audit_of(&self.head, &self.base, inspection_digest, &dismissals)
                && last
                    .as_ref()
                    .is_none_or(|last| last.started_at < audit.started_at && !last.is_unfinished())
        });
        if let Some(audit) = audit {
            let earlier = format!("continuing from the findings of audit {}", audit.run);
            let mut record = self.new_record(key, audit.detail.state, inspection_digest);
            record.detail.warnings = audit.detail.warnings;
            record.resume_from_audit(config.converge.limits.clone());
            return Ok((record, Some(earlier)));
        }
        if let Some(last) = &last
            && last.detail.state.starting_head == self.head
        {
            if last.is_unfinished() {
                let mut record = last.clone();
                let earlier = format!("continuing run {}", record.run);
                record.resume(config.converge.limits.clone(), inspection_digest);
                return Ok((record, Some(earlier)));
            }
            let tip = self.repository.branch_tip(&last.detail.branch).await.map_err(wiring::git_error)?;
            let is_there =
                last.detail.state.commits.is_empty() || tip.as_ref() == Some(&last.detail.state.head);
            if is_there && last.is_stuck_with(&self.base, inspection_digest, model, &dismissals) {
                let mut record = last.clone();
                let earlier = run_texts::render_stuck_notice(&record);
                record.retry(config.converge.limits.clone());
                return Ok((record, Some(earlier)));
            }
            let is_converged = last.detail.state.exit.as_ref().is_some_and(|exit| exit.code.exit_code() == 0);
            // If the gate or the checks have changed since the last run, that run's result does not count for
            // this commit.
            let is_same = last.detail.setup_id == inspection_digest
                && last.detail.state.dismissals_still_hold(&dismissals);
            if is_converged && is_same && tip.as_ref() == Some(&last.detail.state.head) {
                let earlier = format!("run {} has already converged from this commit", last.run);
                return Ok((last.clone(), Some(earlier)));
            }
        }
        // A user who starts a finished run again on the same commit wants a new audit. The message warns that
        // everything is audited again, because the new audit costs money.
        let before = last.as_ref().filter(|last| {
            let has_begun =
                last.detail.state.exit.as_ref().is_none_or(|exit| exit.code != ConvergeExitCode::Preflight);
            has_begun
                && last.detail.state.starting_head == self.head
                && last.detail.setup_id == inspection_digest
        });
        let earlier = before.and_then(|last| last.detail.state.exit.as_ref().map(|exit| (last, exit))).map(
            |(last, exit)| {
                format!(
                    "run {} started from this commit and has ended ({}): everything is audited again",
                    last.run,
                    exit.kind().as_str()
                )
            },
        );
        let tree = self.mirror.tree_id(&self.head).await.map_err(wiring::git_error)?;
        let clean =
            last.as_ref().and_then(|last| last.cleared_head(&self.base, inspection_digest, &dismissals));
        let state = ConvergeRun::new(config.converge.limits.clone(), self.head.clone(), tree, clean);
        let earlier = earlier.filter(|_| state.exit.is_none());
        // The warnings of the last run are kept, because they name the parts of the change that its audit
        // skipped. These parts are not known to be clean.
        let warnings = last.filter(|_| state.exit.is_some()).map(|last| last.detail.warnings);
        let mut record = self.new_record(key, state, inspection_digest);
        record.detail.warnings = warnings.unwrap_or_default();
        Ok((record, earlier))
    }

    /// Returns the record of a run that begins now, with a new branch for the run.
    fn new_record(&self, key: SlotKey, state: ConvergeRun, inspection_digest: &str) -> ConvergeRecord {
        let run = new_run_id();
        let branch = run_branch(&run);
        let detail = ConvergeDetail::new(self.branch.clone(), branch, self.base.clone(), state);
        let detail = ConvergeDetail { setup_id: inspection_digest.to_owned(), ..detail };
        ConvergeRecord {
            versions: program_versions(),
            ..ConvergeRecord::new(run, key, detail, SystemClock.now())
        }
    }
}

/// Records a run that failed before its commits were known. A failure to store the record is only logged.
pub(super) async fn record_failed_start(
    store: &Store,
    key: SlotKey,
    name: String,
    is_audit: bool,
    error: &CliError,
) {
    if error.exit != CommandExit::Failure {
        return;
    }
    let end = End::new(ConvergeExitCode::Infrastructure, &error.message);
    let of = (new_run_id(), key);
    let mut record = ConvergeRecord::from_early_failure(of, (name, String::new()), end, SystemClock.now());
    record.detail.state.audits_only = is_audit;
    (record.detail.is_told, record.versions) = (true, program_versions());
    if let Err(error) = store.store_converge_record(FencingToken(0), &record).await {
        tracing::warn!(%error, "could not record a failed run");
    }
}

/// Hint for a clone without the full history.
pub(in crate::cli) const SHALLOW_CLONE_HINT: &str = "this clone is shallow, but the full history is \
    needed: `git fetch \
    --unshallow origin` fetches the rest";

/// Maximum length of a mirror's name in bytes, which is half of the file systems' limit.
const MAX_MIRROR_NAME_BYTES: usize = 120;

fn no_target_error() -> CliError {
    refusal_error(ConvergeExitCode::NoTarget, NO_TARGET_MESSAGE).hint(
        "commit the changes to a branch that is not the default branch, or specify a pull request: `truing \
            audit URL` audits the pull request and changes nothing; `truing converge URL` fixes the \
            findings and pushes the fixes",
    )
}

/// Returns the error for a run that cannot write its fixes to the branch.
pub(in crate::cli) fn branch_write_error(branch: &str, reason: &str) -> CliError {
    CliError::failure("branch", format!("cannot create branch {branch} here: {reason}")).hint(
        "check that `.git` is writable; a branch called `truing` or `truing/run` conflicts and must be \
            renamed (`git branch -m OLD NEW`)",
    )
}

fn run_lock_error(error: &RunLockError) -> CliError {
    match error {
        RunLockError::AlreadyRunning(_) => {
            refusal_error(ConvergeExitCode::AlreadyRunning, &error.to_string()).hint(
                "wait until the other run has ended, or stop the other run: a stopped run can be \
                    continued later",
            )
        }
        RunLockError::Io { .. } => CliError::failure("lock", error.to_string())
            .hint("check that the lock folder beside the database is writable"),
    }
}
