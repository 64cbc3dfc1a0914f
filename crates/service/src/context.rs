//! The parts of the program that workers share.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use truing_core::id::{PrId, RunId};
use truing_core::port::{Clock, ForgePull, RecordStore, RepositoryReader};
use truing_core::publish::CommentProducer;
use truing_core::slot::SlotLimits;
use truing_forge::watch::WriteMonitor;
use truing_forge::{AnyForgeServer, ForgeServer as _};
use truing_git::Git;
use truing_loops::agent::ModelAgent;
use truing_loops::checkout::OperatorRules;
use truing_loops::run_gate::SwitchReader;
use truing_loops::tools::LinterSources;

use super::converge_runs::ConvergeSetup;
use super::metrics::ServiceMetrics;
use super::repositories::RepositoryFilter;
use super::sole::DutyLeaseExpiry;
use super::sweep;
use super::switch::HeldSlots;
use super::wake::SchedulerWaker;

/// Access to pull requests, with one client for each configured forge.
pub trait ForgeClients: Send + Sync {
    /// Returns the client of a pull request in the repository with the name `repo` (`owner/name`), for this
    /// producer. Returns `None` if the forge is not configured. Each call of the client to the forge contains
    /// the run's id.
    fn pull(
        &self,
        run: &RunId,
        id: &PrId,
        repo: &str,
        producer: CommentProducer,
    ) -> Option<Box<dyn ForgePull>>;

    /// Returns the servers of the configured forges, by the `NAME` of `[forge.NAME]`. The servers are for
    /// calls that are not about one pull request.
    fn servers(&self) -> &BTreeMap<String, AnyForgeServer>;
}

/// The servers of the configured forges, by name.
#[derive(Clone, Debug, Default)]
pub struct ConfiguredForges(pub BTreeMap<String, AnyForgeServer>);

impl ForgeClients for ConfiguredForges {
    fn pull(
        &self,
        run: &RunId,
        id: &PrId,
        repo: &str,
        producer: CommentProducer,
    ) -> Option<Box<dyn ForgePull>> {
        let server = self.0.get(&id.forge)?.for_review(run.as_str());
        Some(Box::new(server.client(id, repo, producer)))
    }

    fn servers(&self) -> &BTreeMap<String, AnyForgeServer> {
        &self.0
    }
}

/// Everything that a worker needs, shared by all workers.
pub struct ServiceContext {
    /// The store of slots and records.
    pub store: Arc<dyn RecordStore>,
    pub forges: Box<dyn ForgeClients>,
    /// The process that parses untrusted bytes of repositories.
    pub reader: Box<dyn RepositoryReader>,
    /// The wall clock. Runs use this clock.
    pub clock: Arc<dyn Clock>,
    pub git: Git,
    /// Folder of the mirrors; each is at `{forge}/{repository id}.git`.
    pub mirrors: PathBuf,
    /// Limits of the slot machine, such as attempts and lease times.
    pub limits: SlotLimits,
    /// The filter of repositories that are reviewed.
    pub repositories: RepositoryFilter,
    /// The operator's configuration files and rules for reviews.
    pub rules: OperatorRules,
    /// Linters whose findings are part of reviews. A service runs the linters itself, because output that the
    /// operator provides would be valid for only one head.
    pub toolbox: LinterSources,
    /// Largest number of comments on lines and files of one pull request.
    pub max_inline: usize,
    /// The model that reviews in addition to the rules; `None` if only the rules review.
    pub agent: Option<ModelAgent>,
    /// The parts that converge runs need, or the reason, in words for people, why converge runs are not
    /// served.
    pub converging: Result<ConvergeSetup, String>,
    /// The kill switches. Normally the switches are from `store`. A dry run works on a copy of the store, but
    /// reads the switches of the real store.
    pub switches: Arc<SwitchReader>,
    /// The slots that cannot be leased because a kill switch is on.
    pub held_slots: HeldSlots,
    /// Reports the writes of reviews; a dry run writes nothing.
    pub watch: WriteMonitor,
    /// The times at which repositories were swept.
    pub sweep_results: sweep::SweepResults,
    /// Counters and measurements for `/metrics`.
    pub metrics: ServiceMetrics,
    pub wake: SchedulerWaker,
    /// The lease on the duties that only one process performs at a time.
    pub duty_lease: DutyLeaseExpiry,
    /// The longest time of one step, by default [`crate::worker::STEP_TIME`].
    pub step_time: Duration,
}
