//! A port by a model: what it is shown, within which limits it works on a private clone, and what of its work is taken.
//!
//! What it says of itself decides nothing in its favour. Only files that the job allows may differ, and only these are
//! copied into a clone that no command of it has touched; the range, the digests and the lock files are written there as
//! `recipe` made them, and the project's own checks have the last word.

mod clone;
mod told;

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::sync::Arc;

use tokio::task::spawn_blocking;
use truing_agent::fixer::{Fixer, FixerError, Workshop};
use truing_agent::native::{End, Limits, Ran};
use truing_agent::prompt::PromptError;
use truing_agent::schema::work::Work;
use truing_config::sync::JobConfig;
use truing_core::RepoPath;
use truing_core::id::{Millis, RunId, Sha};
use truing_core::money::MicroUsd;
use truing_core::policy::Policy;
use truing_core::port::{Gate, HaltReason, ReaderError};
use truing_core::sync::job::Said;
use truing_git::{GitError, Mirror, PrivateFolder};
use truing_model::gateway::Refused;
use truing_reader::protocol::ToolsRequest;
use truing_reader::redact::redact;
use truing_upstream::archives::Archives;
use truing_upstream::index::Index;

use super::{Decided, SyncError};
use crate::agent::{Agent, Bounded, ModelTask, Spent, WatchedTools, words};
use crate::files::{Change, NotTaken, put};
use crate::reader::ChildReader;

pub(super) use clone::Allowed;

/// What the model is called in traces.
const RUN: &str = "sync";
const AGENT: &str = "porter";

/// A model that ports code.
pub struct Porter {
    /// The model.
    pub agent: Agent,
    /// Folders with programs that the model's commands may run, besides the system's.
    pub programs: Vec<std::path::PathBuf>,
    /// The policy of ports, which allows the project's checks as they stand.
    pub policy: Arc<Policy>,
}

impl fmt::Debug for Porter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Porter").field("model", &self.agent.model).finish_non_exhaustive()
    }
}

/// Why there is no port.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// Git.
    #[error(transparent)]
    Git(#[from] GitError),
    /// A folder.
    #[error("no folder can be made for the port: {0}")]
    Folder(#[from] io::Error),
    /// What the model is told cannot be put together.
    #[error(transparent)]
    Prompt(#[from] PromptError),
    /// What the release changed cannot be shown.
    #[error(transparent)]
    Sync(#[from] SyncError),
    /// The model has no tools.
    #[error(transparent)]
    Fixer(#[from] FixerError),
    /// A glob of the job.
    #[error("`bump.paths` of the job: {0}")]
    Globs(#[from] globset::Error),
    /// A clone cannot be opened.
    #[error(transparent)]
    Clone(#[from] ReaderError),
    /// A file that cannot be taken over.
    #[error("the port is refused: {0}")]
    File(#[from] NotTaken),
    /// Files that no port may change.
    #[error("the port is refused: it changes what it may not: {0}")]
    Paths(String),
    /// The model has changed nothing.
    #[error("the model changed nothing that counts{0}")]
    Nothing(String),
    /// The money is used up before anything was asked.
    #[error("{0}")]
    Money(String),
    /// The gate was shut meanwhile.
    #[error(transparent)]
    Halted(HaltReason),
}

/// A port as it was made, before anybody has checked it.
#[derive(Debug)]
pub(super) struct Ported {
    /// The newest commit with the port, the range and the digests.
    pub(super) folder: PrivateFolder,
    /// What the model, or an earlier run, has changed.
    pub(super) changes: Vec<Change>,
    /// Every file that differs.
    pub(super) files: Vec<String>,
    /// What the model says of it.
    pub(super) work: Work,
    /// Why the model did not come to its end; none: it did.
    pub(super) cut_off: Option<String>,
}

/// One port.
#[derive(Debug)]
pub(super) struct Port<'a> {
    pub(super) porter: &'a Porter,
    pub(super) job: &'a JobConfig,
    pub(super) run: &'a RunId,
    pub(super) mirror: &'a Mirror,
    /// The newest commit, on which the port is made.
    pub(super) tip: &'a Sha,
    pub(super) decided: &'a Decided,
    /// What is written without the model: range, digests, lock files.
    pub(super) written: &'a [Change],
    pub(super) tools: (&'a Index, &'a Archives, &'a ChildReader),
    /// Asked before each turn of the model.
    pub(super) gate: &'a Arc<dyn Gate>,
    pub(super) now: Millis,
    /// What the run has cost before.
    pub(super) before: MicroUsd,
    /// What people have answered to questions of this port.
    pub(super) answers: &'a [Said],
}

impl Port<'_> {
    /// Lets the model port, on what an earlier run has saved, if there is such: its commit, and what it left to say.
    ///
    /// # Errors
    /// [`PortError`]; what was spent until then is told all the same.
    pub(super) async fn make(
        &self,
        saved: Option<(&Sha, &str)>,
        spent: &mut Spent,
    ) -> Result<Ported, PortError> {
        let allowed = Allowed::new(self.job, Arc::clone(&self.porter.policy))?;
        let bench = PrivateFolder::new()?;
        self.mirror.private_clone(self.tip, &[], bench.path()).await?;
        let handover = match saved {
            Some((head, words)) => {
                let left = clone::lay_over(self.mirror, (self.tip, head), bench.path(), &allowed).await?;
                Some(told::handover(words, &left))
            }
            None => None,
        };
        let ran = self.ask(&bench, &allowed, handover.as_deref(), spent).await?;
        let cut_off = (!ran.end.is_whole()).then(|| redact(&words(&ran.end)));
        let changes = clone::changes(self.mirror, self.tip, bench.path(), &allowed).await?;
        if changes.is_empty() {
            return Err(PortError::Nothing(cut_off.map(|why| format!(": {why}")).unwrap_or_default()));
        }
        let folder = PrivateFolder::new()?;
        self.lay_out(&folder, &changes).await?;
        let files: BTreeSet<_> = changes.iter().chain(self.written).map(|one| one.path.to_string()).collect();
        let files = files.into_iter().collect();
        Ok(Ported { folder, changes, files, work: without_secrets(ran.items), cut_off })
    }

    /// Asks the model.
    async fn ask(
        &self,
        bench: &PrivateFolder,
        allowed: &Allowed,
        handover: Option<&str>,
        spent: &mut Spent,
    ) -> Result<Ran<Work>, PortError> {
        let Porter { agent, programs, policy } = self.porter;
        let repository = self.job.repo.as_deref().unwrap_or_default();
        let (purse, most) = agent.budgets.purse_of_sync(self.run.clone(), repository, self.now);
        let told = told::prompt(self, handover).await?;
        let request = ToolsRequest { tree: bench.path().to_owned(), only: None, always: Vec::new() };
        let workshop = Workshop {
            programs: programs.clone(),
            time: self.job.wall.min(truing_agent::fixer::TIME),
            ..Workshop::new(bench.path().to_owned(), Arc::clone(policy))
        };
        let (.., reader) = self.tools;
        // Other work of this task, such as renewing its lease, must not wait for it.
        let level = spawn_blocking(crate::machine::sandbox_level)
            .await
            .map_err(|error| PortError::Folder(error.into()))?;
        let fixer = Fixer::new(Box::new(reader.tools(request, Vec::new())), workshop, level)?;
        let admits = |path: &RepoPath| allowed.admits(path);
        // There is no change to be shown yet; of its own, `git diff` tells.
        let tools = WatchedTools(Bounded { tools: fixer, admits, what: "port" });
        let most = MicroUsd(most.0.saturating_sub(self.before.0));
        let limits = Limits { turns: self.job.turns, time: self.job.wall, money: Some(most), ..agent.limits };
        let gate = Arc::clone(self.gate);
        let task = ModelTask { purse, name: (RUN, AGENT), told: &told, limits, gate };
        let ran = agent.sent(task, &tools, spent, |_: &Work| None).await.map_err(PortError::Halted)?;
        if ran.turns == 0 && matches!(ran.end, End::Refused(Refused::Budget { .. })) {
            return Err(PortError::Money(words(&ran.end)));
        }
        Ok(ran)
    }

    /// The newest commit with the changes of the port, and what was written without a model.
    async fn lay_out(&self, folder: &PrivateFolder, changes: &[Change]) -> Result<(), PortError> {
        self.mirror.private_clone(self.tip, &[], folder.path()).await?;
        put(folder.path(), changes).await?;
        Ok(put(folder.path(), self.written).await?)
    }
}

/// What a model says, without what has the form of a secret.
fn without_secrets(work: Work) -> Work {
    let lines = |lines: Vec<String>| lines.iter().map(|line| redact(line)).collect();
    Work {
        summary: redact(&work.summary),
        completed: lines(work.completed),
        remaining: lines(work.remaining),
        questions: lines(work.questions),
    }
}
