//! The service: webhooks mark slots ([`ingress`]), the scheduler leases what is due ([`scheduler`]), a worker
//! takes one lease to its end ([`worker`]). [`Service::run`] is all three in one process, until it is told to
//! stop.

pub mod commands;
pub mod housekeeping;
pub mod ingress;
pub mod marks;
pub mod metrics;
pub mod notify;
pub mod scheduler;
pub mod sweep;
pub mod switch;
pub mod worker;

use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use truing_core::id::PrId;
use truing_core::port::{Clock, Forge, Ids, Operations, Reader, Records, Slots, StoreError, Watchlist};
use truing_core::slot::{Command, Limits, State};
use truing_forge::github::GitHub;
use truing_git::{Git, GitError, Remote};

use self::metrics::Metrics;
use self::switch::KillSwitch;
use crate::loops::reading::Scope;
use crate::slots::{StepError, step};

/// How long a stopping service lets its workers finish. The contract is 60 s for everything.
const DRAIN: Duration = Duration::from_secs(45);
/// How long those that do not have then to give their leases back.
const GIVE_BACK: Duration = Duration::from_secs(5);
/// How long it then waits for clients that are still sending a request or reading an answer.
const LINGER: Duration = Duration::from_secs(5);

/// Which pull requests there are: one client a configured forge.
pub trait Forges: Send + Sync {
    /// One pull request's side of a forge.
    type Pull: Forge;

    /// The pull request of the repository that people call `repo` (`owner/name`); none if the forge is not
    /// configured.
    fn pull(&self, id: &PrId, repo: &str) -> Option<Self::Pull>;

    /// The configured forges beyond one pull request, by the `NAME` of `[forge.NAME]`.
    fn servers(&self) -> &BTreeMap<String, GitHub>;

    /// Where a repository is fetched from; none if the forge is not configured.
    fn remote(&self, forge: &str, repo: &str) -> Option<Result<Remote, GitError>>;
}

/// Everything a worker needs. Shared by all of them.
pub struct House<S, W, R, C, I> {
    /// Slots and records.
    pub store: S,
    /// The forges.
    pub forges: W,
    /// The plane that parses repository bytes.
    pub reader: R,
    /// Wall clock.
    pub clock: C,
    /// New ids.
    pub ids: I,
    /// Git.
    pub git: Git,
    /// Folder of the mirrors: `{forge}/{repository id}.git`.
    pub mirrors: PathBuf,
    /// Limits of the slot machine.
    pub limits: Limits,
    /// What the rules look at.
    pub scope: Scope,
    /// Comments on lines and files of one pull request, at most.
    pub max_inline: usize,
    /// What is known of the kill switch.
    pub kill_switch: KillSwitch,
    /// How often each repository was swept.
    pub swept: sweep::Periods,
    /// What is counted and measured.
    pub metrics: Metrics,
}

/// The pace of a service.
#[derive(Clone, Debug)]
pub struct Pace {
    /// Leases at once.
    pub concurrency: usize,
    /// How often the scheduler looks for due slots.
    pub poll: Duration,
    /// How often a lease is renewed.
    pub heartbeat: Duration,
    /// From the beginning of one sweep to that of the next; none: forges are not swept.
    pub sweep: Option<Duration>,
}

/// A service that is about to run.
pub struct Service<S, W, R, C, I> {
    /// What its workers need.
    pub house: Arc<House<S, W, R, C, I>>,
    /// Its pace.
    pub pace: Pace,
    /// How webhooks are taken.
    pub ingress: ingress::Settings,
}

/// Why a service ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The store failed before anything was served.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl<S, W, R, C, I> Service<S, W, R, C, I>
where
    S: Slots + Records + Operations + Watchlist + 'static,
    W: Forges + 'static,
    R: Reader + 'static,
    C: Clock + 'static,
    I: Ids + 'static,
{
    /// Serves until `stop` ends, then drains: takes nothing new, lets the workers finish, gives back the leases
    /// of those that do not.
    ///
    /// # Errors
    /// [`ServeError`]
    pub async fn run(self, listener: TcpListener, stop: impl Future<Output = ()>) -> Result<(), ServeError> {
        self.house.end_old_leases().await?;
        let (stopping, stopped) = watch::channel(false);
        let (giving_back, give_back) = watch::channel(false);
        let looked = Arc::new(AtomicI64::new(self.house.clock.now().0));
        let bounds = self.ingress.bounds.clone();
        let routes = ingress::router(self.house.clone(), self.ingress, looked.clone(), self.pace.poll);
        // Ends with this function, however that ends.
        let mut http = JoinSet::new();
        http.spawn(ingress::listen::serve(listener, routes, bounds, stopped));
        let mut watching = JoinSet::new();
        watching.spawn(commands::run(self.house.clone(), self.pace.poll));
        if let Some(every) = self.pace.sweep {
            watching.spawn(sweep::run(self.house.clone(), every, self.pace.poll));
        }
        let mut workers = JoinSet::new();
        let mut poll = tokio::time::interval(self.pace.poll);
        poll.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        tokio::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => break,
                _ = poll.tick() => {}
                Some(_) = workers.join_next() => {}
            }
            let free = self.pace.concurrency.saturating_sub(workers.len());
            match scheduler::look(&*self.house, free).await {
                Ok(leases) => {
                    looked.store(self.house.clock.now().0, Ordering::Relaxed);
                    for lease in leases {
                        let house = self.house.clone();
                        let (heartbeat, give_back) = (self.pace.heartbeat, give_back.clone());
                        workers
                            .spawn(async move { worker::work(&*house, lease, heartbeat, give_back).await });
                    }
                }
                Err(error) => tracing::error!(%error, "the scheduler cannot look for due slots"),
            }
        }
        tracing::info!(running = workers.len(), "stopping");
        stopping.send_replace(true);
        // Each of their writes is one transaction: nothing is half done.
        watching.shutdown().await;
        if !drained(&mut workers, DRAIN).await {
            giving_back.send_replace(true);
            if !drained(&mut workers, GIVE_BACK).await {
                workers.shutdown().await;
                self.house.end_old_leases().await?;
            }
        }
        drained(&mut http, LINGER).await;
        Ok(())
    }
}

/// Waits for all of them to end; false if some have not.
async fn drained(workers: &mut JoinSet<()>, within: Duration) -> bool {
    let ended = async { while workers.join_next().await.is_some() {} };
    tokio::time::timeout(within, ended).await.is_ok()
}

impl<S: Slots + Records, W, R, C, I> House<S, W, R, C, I> {
    /// Ends every lease: whoever holds the serving lock knows that nobody else is at work. The slots are due at
    /// once, and no attempt is counted.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn end_old_leases(&self) -> Result<(), StoreError> {
        let far = truing_core::id::Millis(i64::MAX);
        for slot in self.store.due(far, usize::MAX).await? {
            if !matches!(slot.state, State::Leased { .. }) {
                continue;
            }
            match step(&self.store, &slot.key, Command::Restarted, &self.limits).await {
                Ok(_) | Err(StepError::Refused(_)) => {}
                Err(StepError::Store(error)) => return Err(error),
            }
        }
        Ok(())
    }
}
