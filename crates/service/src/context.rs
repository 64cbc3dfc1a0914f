//! All parts of the program, as its workers use them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use truing_core::id::{PrId, RunId};
use truing_core::port::{Clock, ForgePull, RecordStore, RepositoryReader};
use truing_core::publish::Producer;
use truing_core::slot::SlotLimits;
use truing_forge::watch::WriteMonitor;
use truing_forge::{AnyForgeServer, ForgeServer as _};
use truing_git::Git;
use truing_loops::agent::ModelAgent;
use truing_loops::checkout::OperatorRules;
use truing_loops::run_gate::SwitchReader;
use truing_loops::tools::LinterSources;

use super::converges::ConvergeSetup;
use super::metrics::ServiceMetrics;
use super::repositories::RepositoryFilter;
use super::sole::SoleDutyLease;
use super::sweep;
use super::switch::HeldSlots;
use super::wake::SchedulerWaker;

/// The pull requests that there are: one client a configured forge.
pub trait ForgeClients: Send + Sync {
    /// The pull request of the repository that people call `repo` (`owner/name`), for this producer; none if the forge is
    /// not configured. Each call names the run.
    fn pull(&self, run: &RunId, id: &PrId, repo: &str, producer: Producer) -> Option<Box<dyn ForgePull>>;

    /// The configured forges beyond one pull request, by the `NAME` of `[forge.NAME]`.
    fn servers(&self) -> &BTreeMap<String, AnyForgeServer>;
}

/// The servers of the configured forges.
#[derive(Clone, Debug, Default)]
pub struct ConfiguredForges(pub BTreeMap<String, AnyForgeServer>);

impl ForgeClients for ConfiguredForges {
    fn pull(&self, run: &RunId, id: &PrId, repo: &str, producer: Producer) -> Option<Box<dyn ForgePull>> {
        let server = self.0.get(&id.forge)?.for_review(run.as_str());
        Some(Box::new(server.client(id, repo, producer)))
    }

    fn servers(&self) -> &BTreeMap<String, AnyForgeServer> {
        &self.0
    }
}

/// Everything a worker needs. Shared by all of them.
pub struct ServiceContext {
    /// Slots and records.
    pub store: Arc<dyn RecordStore>,
    /// The forges.
    pub forges: Box<dyn ForgeClients>,
    /// The plane that parses repository bytes.
    pub reader: Box<dyn RepositoryReader>,
    /// Wall clock.
    pub clock: Arc<dyn Clock>,
    /// Git.
    pub git: Git,
    /// Folder of the mirrors: `{forge}/{repository id}.git`.
    pub mirrors: PathBuf,
    /// Limits of the slot machine.
    pub limits: SlotLimits,
    /// Names the repositories that are reviewed.
    pub repositories: RepositoryFilter,
    /// The files and rules of reviews.
    pub rules: OperatorRules,
    /// Linters whose findings are part of reviews. A service is given no output of them: that is of one head.
    pub toolbox: LinterSources,
    /// Comments on lines and files of one pull request, at most.
    pub max_inline: usize,
    /// The model that reviews beside the rules; none: the rules alone.
    pub agent: Option<ModelAgent>,
    /// The parts of runs that converge; or the reason why nothing does, for people.
    pub converging: Result<ConvergeSetup, String>,
    /// The kill switches: those of `store`, but in a dry run, which works on a copy and pays from the real one.
    pub switches: Arc<SwitchReader>,
    /// The slots that a switch holds back.
    pub held: HeldSlots,
    /// Reports the writes of reviews; in a dry run none is made.
    pub watch: WriteMonitor,
    /// The periods at which repositories are swept.
    pub swept: sweep::SweepResults,
    /// Counts and measures, for `/metrics`.
    pub metrics: ServiceMetrics,
    /// Wakes the scheduler.
    pub wake: SchedulerWaker,
    /// Is it for this process to do what one process does at a time?
    pub sole: SoleDutyLease,
    /// The longest time of one step: [`crate::worker::STEP_TIME`].
    pub step_time: Duration,
}
