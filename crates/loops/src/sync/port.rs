//! A port by a model: the prompt, the limits of the model in a private clone, and the selection of the files
//! that the model changed.
//!
//! The model's own report never decides whether the port succeeded. Only files that the job allows may
//! differ. These files are copied into a clone that no command of the model has modified. In that clone,
//! `recipe` writes the range, the digests and the lock files. The project's own checks then decide whether
//! the port succeeded.

mod clone;
mod migration_prompt;

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::sync::Arc;

use tokio::task::spawn_blocking;
use truing_agent::fixer::{FixerError, FixerTools, FixerWorkspace};
use truing_agent::native::{AgentRunEnd, AgentRunResult, RunLimits};
use truing_agent::prompt::PromptError;
use truing_agent::schema::work::WorkReport;
use truing_config::sync::JobConfig;
use truing_core::RepoPath;
use truing_core::id::{RunId, Sha, UnixMillis};
use truing_core::money::MicroUsd;
use truing_core::policy::AgentPolicy;
use truing_core::port::{HaltReason, ReaderError, WriteGate};
use truing_core::sync::job::TrustedAnswer;
use truing_git::{GitError, Mirror, PrivateFolder};
use truing_model::gateway::ModelError;
use truing_reader::protocol::ToolsRequest;
use truing_reader::redact::redact_secrets;

use super::package_sources::PackageSources;
use super::{ReleaseDecision, SyncDecisionError};
use crate::agent::{ModelAgent, ModelSpend, ModelTask, RestrictedTools, TracedTools, describe_end};
use crate::files::{FileContentChange, RejectedFile, write_changes};

pub(super) use clone::MigrationPathPolicy;

/// The names of the run and of the model in traces.
const RUN_NAME: &str = "sync";
const AGENT_NAME: &str = "porter";

/// A model that ports code to a new release.
pub struct MigrationAgent {
    pub agent: ModelAgent,
    /// Folders with programs that the model's commands may run, in addition to the system's folders.
    pub program_folders: Vec<std::path::PathBuf>,
    /// The policy for ports; it permits the project's checks, but only exactly as they are configured.
    pub policy: Arc<AgentPolicy>,
}

impl fmt::Debug for MigrationAgent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MigrationAgent").field("model", &self.agent.model).finish_non_exhaustive()
    }
}

/// The reason why a port could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CodeMigrationError {
    /// Git failed or could not be run.
    #[error(transparent)]
    Git(#[from] GitError),
    /// A temporary folder could not be created.
    #[error("cannot create a folder for the port: {0}")]
    TemporaryFolder(#[from] io::Error),
    /// The prompt cannot be built.
    #[error(transparent)]
    Prompt(#[from] PromptError),
    /// The changes of the release cannot be shown.
    #[error(transparent)]
    Sync(#[from] SyncDecisionError),
    /// The tools of the model could not be created.
    #[error(transparent)]
    Fixer(#[from] FixerError),
    /// A glob of the job is invalid.
    #[error("`bump.paths` of the job is invalid: {0}")]
    Globs(#[from] globset::Error),
    /// A clone cannot be opened.
    #[error(transparent)]
    Clone(#[from] ReaderError),
    /// A file of the model's clone cannot be copied.
    #[error("the port is refused: {0}")]
    File(#[from] RejectedFile),
    /// The model changed files that a port must not change.
    #[error("the port is refused: it changes files that it must not change: {0}")]
    ForbiddenPaths(String),
    /// The model has not changed any file.
    #[error("the model changed no relevant file{0}")]
    NoChange(String),
    /// The budget was used up before the first call of the model.
    #[error("{0}")]
    BudgetExhausted(String),
    /// The write gate was closed during the port.
    #[error(transparent)]
    Halted(HaltReason),
}

/// A port whose checks have not been run yet.
#[derive(Debug)]
pub(super) struct UncheckedMigration {
    /// Folder with the files of the newest commit, the changes of the model, and the changes that are made
    /// without a model.
    pub(super) folder: PrivateFolder,
    /// The changes that the model or an earlier run made.
    pub(super) changes: Vec<FileContentChange>,
    /// Every file that differs from the newest commit.
    pub(super) changed_files: Vec<String>,
    /// The model's own report.
    pub(super) work: WorkReport,
    /// The reason why the model did not complete its work; `None` if it did.
    pub(super) incomplete_reason: Option<String>,
}

/// One port by a model.
#[derive(Debug)]
pub(super) struct CodeMigration<'a> {
    pub(super) migration_agent: &'a MigrationAgent,
    pub(super) job: &'a JobConfig,
    pub(super) run: &'a RunId,
    pub(super) mirror: &'a Mirror,
    /// The newest commit of the default branch, which the port is based on.
    pub(super) tip: &'a Sha,
    pub(super) decision: &'a ReleaseDecision,
    /// The changes that are made without a model: the range, the digests and the lock files.
    pub(super) prepared_changes: &'a [FileContentChange],
    /// The index, the archive folder and the reader for the package's releases.
    pub(super) sources: PackageSources<'a>,
    /// The write gate, which is checked before each turn of the model.
    pub(super) gate: &'a Arc<dyn WriteGate>,
    pub(super) now: UnixMillis,
    /// Cost of this run before the port.
    pub(super) previous_cost: MicroUsd,
    /// People's answers to questions of this port.
    pub(super) answers: &'a [TrustedAnswer],
}

impl CodeMigration<'_> {
    /// Runs the model on the port. If an earlier run saved a port, the model continues from the commit and
    /// the handover of that run.
    ///
    /// # Errors
    /// [`CodeMigrationError`]. The cost until the error is still reported in `model_spend`.
    pub(super) async fn run_model(
        &self,
        saved_migration: Option<(&Sha, &str)>,
        model_spend: &mut ModelSpend,
    ) -> Result<UncheckedMigration, CodeMigrationError> {
        let allowed = MigrationPathPolicy::new(self.job, Arc::clone(&self.migration_agent.policy))?;
        let bench = PrivateFolder::new()?;
        self.mirror.check_out_private_clone(self.tip, &[], bench.path()).await?;
        let handover = match saved_migration {
            Some((head, words)) => {
                let left =
                    clone::apply_saved_changes(self.mirror, self.tip, head, bench.path(), &allowed).await?;
                Some(migration_prompt::render_handover(words, &left))
            }
            None => None,
        };
        let ran = self.ask_model(&bench, &allowed, handover.as_deref(), model_spend).await?;
        let cut_off = (!ran.end.is_complete()).then(|| redact_secrets(&describe_end(&ran.end)));
        let changes = clone::collect_changes(self.mirror, self.tip, bench.path(), &allowed).await?;
        if changes.is_empty() {
            return Err(CodeMigrationError::NoChange(
                cut_off.map(|reason| format!(": {reason}")).unwrap_or_default(),
            ));
        }
        let folder = PrivateFolder::new()?;
        self.prepare_clone(&folder, &changes).await?;
        let files: BTreeSet<_> =
            changes.iter().chain(self.prepared_changes).map(|one| one.path.to_string()).collect();
        let files = files.into_iter().collect();
        Ok(UncheckedMigration {
            folder,
            changes,
            changed_files: files,
            work: redact_report(ran.report),
            incomplete_reason: cut_off,
        })
    }

    /// Asks the model to port the code.
    async fn ask_model(
        &self,
        workspace: &PrivateFolder,
        path_policy: &MigrationPathPolicy,
        handover: Option<&str>,
        model_spend: &mut ModelSpend,
    ) -> Result<AgentRunResult<WorkReport>, CodeMigrationError> {
        let MigrationAgent { agent, program_folders: programs, policy } = self.migration_agent;
        let repository = self.job.repo.as_deref().unwrap_or_default();
        let (budget, most) = agent.budgets.sync_budget(self.run.clone(), repository, self.now);
        let prompt = migration_prompt::build_port_prompt(self, handover).await?;
        let request =
            ToolsRequest { tree: workspace.path().to_owned(), readable_files: None, always: Vec::new() };
        let workshop = FixerWorkspace {
            program_folders: programs.clone(),
            command_time_limit: self.job.port_timeout.min(truing_agent::fixer::DEFAULT_COMMAND_TIME_LIMIT),
            ..FixerWorkspace::new(workspace.path().to_owned(), Arc::clone(policy))
        };
        let reader = self.sources.reader;
        // Testing the sandbox blocks the thread, so the test runs on a separate thread. Other work, such as
        // the renewal of the lease, continues during the test.
        let level = spawn_blocking(crate::machine::sandbox_level)
            .await
            .map_err(|error| CodeMigrationError::TemporaryFolder(error.into()))?;
        let fixer = FixerTools::new(Box::new(reader.tools(request, Vec::new())), workshop, level)?;
        let admits = |path: &RepoPath| path_policy.allows_path(path);
        // The tools do not include the tool that shows the change, because there is no change yet. The model
        // can see its own changes with `git diff`.
        let tools = TracedTools(RestrictedTools { tools: fixer, allows_path: admits, work_noun: "port" });
        let most = MicroUsd(most.0.saturating_sub(self.previous_cost.0));
        let limits = RunLimits {
            turns: self.job.max_port_turns,
            time: self.job.port_timeout,
            max_cost: Some(most),
            ..agent.limits
        };
        let gate = Arc::clone(self.gate);
        let task =
            ModelTask { budget, loop_and_agent_names: (RUN_NAME, AGENT_NAME), prompt: &prompt, limits, gate };
        let ran = agent
            .run_task(task, &tools, model_spend, |_: &WorkReport| None)
            .await
            .map_err(CodeMigrationError::Halted)?;
        let is_budget = matches!(ran.end, AgentRunEnd::ModelFailed(ModelError::Budget { .. }));
        let is_usage_limit = matches!(ran.end, AgentRunEnd::ModelFailed(ModelError::UsageLimit { .. }));
        if ran.turns == 0 && is_budget || is_usage_limit {
            return Err(CodeMigrationError::BudgetExhausted(describe_end(&ran.end)));
        }
        Ok(ran)
    }

    /// Writes the files of the newest commit to `folder`, and applies the saved changes of the port and the
    /// changes that are made without a model.
    async fn prepare_clone(
        &self,
        folder: &PrivateFolder,
        changes: &[FileContentChange],
    ) -> Result<(), CodeMigrationError> {
        self.mirror.check_out_private_clone(self.tip, &[], folder.path()).await?;
        write_changes(folder.path(), changes).await?;
        Ok(write_changes(folder.path(), self.prepared_changes).await?)
    }
}

/// Removes text that looks like a secret from a model's report.
fn redact_report(report: WorkReport) -> WorkReport {
    let lines = |lines: Vec<String>| lines.iter().map(|line| redact_secrets(line)).collect();
    WorkReport {
        summary: redact_secrets(&report.summary),
        completed: lines(report.completed),
        remaining: lines(report.remaining),
        questions: lines(report.questions),
    }
}
