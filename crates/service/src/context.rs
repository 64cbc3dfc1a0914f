//! Resources that all workers of a service share.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use truing_core::id::{PrId, RunId};
use truing_core::port::{Clock, ForgePull, RecordStore, RepositoryReader};
use truing_core::publish::CommentProducer;
use truing_core::slot::SlotLimits;
use truing_forge::write_monitor::WriteMonitor;
use truing_forge::{AnyForgeServer, ForgeServer as _};
use truing_git::Git;
use truing_loops::agent::ModelAgent;
use truing_loops::checkout::OperatorRules;
use truing_loops::run_gate::SwitchReader;
use truing_loops::tools::LinterSources;

use super::converge_runs::ConvergeSetup;
use super::duty_lease::DutyLeaseExpiry;
use super::kill_switch::HeldSlots;
use super::metrics::ServiceMetrics;
use super::repository_filter::RepositoryFilter;
use super::scheduler_waker::SchedulerWaker;
use super::sweep;

/// Access to the configured forges, with a client for each pull request.
pub trait ForgeClients: Send + Sync {
    /// Returns a client for a pull request. `repo` is the repository's name (`owner/name`), and `producer` is
    /// the author of the comments. Returns `None` if the forge is not configured. Each request of the client
    /// to the forge contains the run's id.
    fn pull_client(
        &self,
        run: &RunId,
        id: &PrId,
        repo: &str,
        producer: CommentProducer,
    ) -> Option<Box<dyn ForgePull>>;

    /// Returns the servers of the configured forges, by the `NAME` of `[forge.NAME]`. The servers are for
    /// requests that do not concern a single pull request.
    fn servers(&self) -> &BTreeMap<String, AnyForgeServer>;
}

/// The servers of the configured forges, by name.
#[derive(Clone, Debug, Default)]
pub struct ConfiguredForges(pub BTreeMap<String, AnyForgeServer>);

impl ForgeClients for ConfiguredForges {
    fn pull_client(
        &self,
        run: &RunId,
        id: &PrId,
        repo: &str,
        producer: CommentProducer,
    ) -> Option<Box<dyn ForgePull>> {
        let server = self.0.get(&id.forge)?.with_review_id(run.as_str());
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
    /// Folder of the mirrors. Each mirror is at `{forge}/{repository id}.git`.
    pub mirrors_folder: PathBuf,
    /// Limits of the slot machine, such as attempts and lease times.
    pub slot_limits: SlotLimits,
    /// Filter that selects the repositories to review.
    pub repository_filter: RepositoryFilter,
    /// The operator's configuration files and rules for reviews.
    pub rules: OperatorRules,
    /// Linters whose findings are part of reviews. A service always runs these linters itself, because linter
    /// output from the operator would be valid for only one head.
    pub linter_sources: LinterSources,
    /// Largest number of comments that a review posts on lines and files of one pull request.
    pub max_inline_comments: usize,
    /// The model that reviews in addition to the rules; `None` if only the rules review.
    pub agent: Option<ModelAgent>,
    /// The models, rules and tools for converge runs. If converge runs are not served, the reason as text for
    /// people.
    pub converge_setup: Result<ConvergeSetup, String>,
    /// The kill switches. Normally the switches are read from `store`. A dry run works on a copy of the
    /// store, but reads the switches of the real store.
    pub switches: Arc<SwitchReader>,
    /// The slots that cannot be leased because a kill switch is on.
    pub held_slots: HeldSlots,
    /// Reports the writes of reviews; a dry run writes nothing.
    pub write_monitor: WriteMonitor,
    /// The results of the last sweep of each repository.
    pub sweep_results: sweep::SweepResults,
    /// Counters and measurements for `/metrics`.
    pub metrics: ServiceMetrics,
    pub scheduler_waker: SchedulerWaker,
    /// The time until which this process holds the duty lease. Only the process with this lease performs
    /// duties such as sweeps.
    pub duty_lease_expiry: DutyLeaseExpiry,
    /// The longest duration of one step, by default [`crate::worker::MAX_STEP_TIME`].
    pub max_step_time: Duration,
}
