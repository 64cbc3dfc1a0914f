//! All parts of the program, as its workers use them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use truing_core::id::{PrId, RunId};
use truing_core::port::{Clock, ForgePull, Reader, RecordStore};
use truing_core::publish::Producer;
use truing_core::slot::Limits;
use truing_forge::watch::Watch;
use truing_forge::{ForgeServer as _, Server};
use truing_git::Git;
use truing_loops::agent::Agent;
use truing_loops::checkout::Rules;
use truing_loops::run_gate::SwitchReader;
use truing_loops::tools::Toolbox;

use super::converges::Converging;
use super::metrics::Metrics;
use super::repositories::Repositories;
use super::sole::Sole;
use super::sweep;
use super::switch::HeldSlots;
use super::wake::Wake;

/// The pull requests that there are: one client a configured forge.
pub trait Forges: Send + Sync {
    /// The pull request of the repository that people call `repo` (`owner/name`), for this producer; none if the forge is
    /// not configured. Each call names the run.
    fn pull(&self, run: &RunId, id: &PrId, repo: &str, producer: Producer) -> Option<Box<dyn ForgePull>>;

    /// The configured forges beyond one pull request, by the `NAME` of `[forge.NAME]`.
    fn servers(&self) -> &BTreeMap<String, Server>;
}

/// The servers of the configured forges.
#[derive(Clone, Debug, Default)]
pub struct Servers(pub BTreeMap<String, Server>);

impl Forges for Servers {
    fn pull(&self, run: &RunId, id: &PrId, repo: &str, producer: Producer) -> Option<Box<dyn ForgePull>> {
        let server = self.0.get(&id.forge)?.for_review(run.as_str());
        Some(Box::new(server.client(id, repo, producer)))
    }

    fn servers(&self) -> &BTreeMap<String, Server> {
        &self.0
    }
}

/// Everything a worker needs. Shared by all of them.
pub struct ServiceContext {
    /// Slots and records.
    pub store: Arc<dyn RecordStore>,
    /// The forges.
    pub forges: Box<dyn Forges>,
    /// The plane that parses repository bytes.
    pub reader: Box<dyn Reader>,
    /// Wall clock.
    pub clock: Arc<dyn Clock>,
    /// Git.
    pub git: Git,
    /// Folder of the mirrors: `{forge}/{repository id}.git`.
    pub mirrors: PathBuf,
    /// Limits of the slot machine.
    pub limits: Limits,
    /// Names the repositories that are reviewed.
    pub repositories: Repositories,
    /// The files and rules of reviews.
    pub rules: Rules,
    /// Linters whose findings are part of reviews. A service is given no output of them: that is of one head.
    pub toolbox: Toolbox,
    /// Comments on lines and files of one pull request, at most.
    pub max_inline: usize,
    /// The model that reviews beside the rules; none: the rules alone.
    pub agent: Option<Agent>,
    /// The parts of runs that converge; or the reason why nothing does, for people.
    pub converging: Result<Converging, String>,
    /// The kill switches: those of `store`, but in a dry run, which works on a copy and pays from the real one.
    pub switches: Arc<SwitchReader>,
    /// The slots that a switch holds back.
    pub held: HeldSlots,
    /// Reports the writes of reviews; in a dry run none is made.
    pub watch: Watch,
    /// The periods at which repositories are swept.
    pub swept: sweep::Periods,
    /// Counts and measures, for `/metrics`.
    pub metrics: Metrics,
    /// Wakes the scheduler.
    pub wake: Wake,
    /// Is it for this process to do what one process does at a time?
    pub sole: Sole,
    /// The longest time of one step: [`crate::worker::STEP_TIME`].
    pub step_time: Duration,
}
