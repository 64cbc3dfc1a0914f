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
    /// Returns the pull request of the repository with the name `repo` (`owner/name`), for this producer;
    /// none if the forge is not configured. Each call names the run.
    fn pull(
        &self,
        run: &RunId,
        id: &PrId,
        repo: &str,
        producer: CommentProducer,
    ) -> Option<Box<dyn ForgePull>>;

    /// Returns the configured forges beyond one pull request, by the `NAME` of `[forge.NAME]`.
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
    /// Wall clock, which runs use.
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
    /// Linters whose findings are part of reviews. A service runs them itself: given output would fit one
    /// head alone.
    pub toolbox: LinterSources,
    /// Largest number of comments on lines and files of one pull request.
    pub max_inline: usize,
    /// The model that reviews in addition to the rules; none if the rules review alone.
    pub agent: Option<ModelAgent>,
    /// The parts of converge runs, or the reason for people why they are not served.
    pub converging: Result<ConvergeSetup, String>,
    /// The kill switches. They are those of `store`, except in a dry run, which works on a copy and pays from
    /// the real one.
    pub switches: Arc<SwitchReader>,
    /// The slots that a kill switch holds back.
    pub held_slots: HeldSlots,
    /// Reports the writes of reviews; a dry run writes nothing.
    pub watch: WriteMonitor,
    /// The times at which repositories were swept.
    pub sweep_results: sweep::SweepResults,
    /// Counters and measurements for `/metrics`.
    pub metrics: ServiceMetrics,
    pub wake: SchedulerWaker,
    /// The lease on duties that one process has at a time.
    pub duty_lease: DutyLeaseExpiry,
    /// The longest time of one step, by default [`crate::worker::STEP_TIME`].
    pub step_time: Duration,
}
