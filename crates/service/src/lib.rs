//! The service: webhooks mark slots ([`ingress`]), the scheduler leases due slots ([`scheduler`]), and a
//! worker does the step of each lease ([`worker`], through [`lease_driver`]). [`ReviewService::run`] does
//! this work until a stop is requested. One process does all of it, or only the work of its [`ProcessRole`].
//! [`mcp`] serves tools to agents.

// The futures of a review are nested deeper than the compiler's default limit.
#![recursion_limit = "256"]

pub mod comment_commands;
mod context;
pub mod converge_runs;
pub mod duty_lease;
pub mod housekeeping;
pub mod ingress;
pub mod job_scheduler;
pub mod jobs;
pub mod kill_switch;
pub mod lease;
pub mod lease_driver;
pub mod manual_lease;
pub mod mark_batches;
pub mod mcp;
pub mod metrics;
pub mod notify;
pub mod report;
pub mod repository_filter;
mod role;
pub mod run_failure;
pub mod scheduler;
pub mod scheduler_waker;
pub mod status;
pub mod sweep;
mod wall_clock_wait;
pub mod worker;

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;
use truing_core::id::FencingToken;
use truing_core::lease_fairness::LeaseLimits;
use truing_core::port::StoreError;
use truing_loops::slots::end_orphaned_leases;

pub use self::context::{ConfiguredForges, ForgeClients, ServiceContext};
use self::lease::Lease;
pub use self::role::ProcessRole;
use self::scheduler::Scheduler;

/// Time that a stopping service gives its workers to finish. The whole stop may take 60 s.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(40);
/// Time for unfinished workers to give back their leases, after `DRAIN_TIMEOUT` is over.
const LEASE_RETURN_TIME: Duration = Duration::from_secs(5);
/// Timeout for ending the remaining leases in the store when the service stops. Leases that are not ended in
/// this time are ended at the next start.
const END_LEASES_TIMEOUT: Duration = Duration::from_secs(5);
/// Time for clients to finish a request or to read a response when the service stops.
const LINGER: Duration = Duration::from_secs(5);

/// The intervals and limits of a service.
#[derive(Clone, Debug)]
pub struct ServiceSettings {
    /// The part of the work that the process does.
    pub role: ProcessRole,
    /// Limits of simultaneous leases.
    pub lease_limits: LeaseLimits,
    /// Interval at which the scheduler reads due slots.
    pub poll_interval: Duration,
    /// Interval at which a lease is renewed.
    pub heartbeat_interval: Duration,
    /// Interval between the starts of two sweep rounds. If `None`, forges are not swept.
    pub sweep_interval: Option<Duration>,
}

/// A service that is ready to run.
pub struct ReviewService {
    /// The resources that the workers share.
    pub context: Arc<ServiceContext>,
    pub settings: ServiceSettings,
    /// The settings of webhook processing.
    pub ingress: ingress::IngressSettings,
    /// The listener of `/metrics`, if `/metrics` does not use the listener for webhooks.
    pub metrics: Option<TcpListener>,
}

/// Reasons why a service stops without a stop request.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The store failed before the service began to serve.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The system cannot start the thread that serves requests.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
}

impl ReviewService {
    /// Serves until `stop` completes. Then accepts no more work, and waits for the workers to finish. If
    /// `hurry` completes or the time limit is reached, unfinished workers give back their leases.
    ///
    /// # Errors
    /// [`ServeError`] if serving cannot begin, or the store fails at the end.
    pub async fn run(
        self,
        listener: TcpListener,
        stop: impl Future<Output = ()>,
        stop_now: impl Future<Output = ()>,
    ) -> Result<(), ServeError> {
        self.context.end_all_orphaned_leases().await?;
        let ServiceSettings {
            role,
            lease_limits,
            poll_interval: poll,
            heartbeat_interval: heartbeat,
            sweep_interval: sweep,
        } = self.settings;
        let (stopping, stopped) = watch::channel(false);
        let (giving_back, give_back) = watch::channel(false);
        let looked = Arc::new(AtomicI64::new(self.context.clock.now().0));
        let bounds = (self.ingress.bounds.clone(), self.ingress.trusted_proxies.clone());
        let (context, settings, seen) = (self.context.clone(), self.ingress, looked.clone());
        let apart = self.metrics.is_some();
        let routes = move || ingress::routes(context, settings, seen, poll, apart);
        // The receiver `http` is dropped whenever this function returns, which stops the listener.
        let http = ingress::listen::start(listener, self.metrics, routes, bounds.0, bounds.1, stopped)
            .map_err(ServeError::Thread)?;
        let mut watching = JoinSet::new();
        if role.runs_sole_duties() {
            duty_lease::renew_lease(&*self.context.store, &self.context.duty_lease_expiry).await;
            watching.spawn(duty_lease::renew_lease_forever(
                self.context.store.clone(),
                self.context.duty_lease_expiry.clone(),
            ));
            watching.spawn(comment_commands::run(self.context.clone(), poll));
            if let Some(every) = sweep {
                watching.spawn(sweep::run(self.context.clone(), every, poll));
            }
        }
        let mut scheduler =
            Scheduler::new(if role.leases_slots() { lease_limits } else { LeaseLimits::new(0) });
        let mut workers = RunningWorkers::default();
        tokio::pin!(stop);
        let (mut next, mut failing) = (Instant::now(), false);
        let in_a_look = loop {
            tokio::select! {
                () = &mut stop => break false,
                () = self.context.scheduler_waker.wait_for_mark(&*self.context.store, role) => {
                    tokio::select! {
                        () = &mut stop => break false,
                        pause = scheduler.time_until_next(&self.context,
                            poll) => next = next.min(Instant::now() + pause),
                    }
                    continue;
                }
                () = tokio::time::sleep_until(next) => {}
                Some(lease) = workers.join_next() => scheduler.release_lease(lease),
            }
            let look = async {
                let leases = scheduler.lease_due_slots(&self.context).await;
                (leases, scheduler.time_until_next(&self.context, poll).await)
            };
            // A stop request must take effect even if the store does not answer.
            let (leases, pause) = tokio::select! {
                () = &mut stop => break true,
                looked = look => looked,
            };
            next = Instant::now() + pause;
            match leases {
                Ok(leases) => {
                    looked.store(self.context.clock.now().0, Ordering::Relaxed);
                    if std::mem::take(&mut failing) {
                        tracing::info!("the scheduler can read due slots again");
                    }
                    for lease in leases {
                        workers.start(self.context.clone(), lease, heartbeat, give_back.clone());
                    }
                }
                // Only the first of several consecutive errors is logged as an error, because the scheduler
                // retries at each poll.
                Err(error) if !failing => {
                    failing = true;
                    tracing::error!(%error, "the scheduler could not read due slots");
                }
                Err(error) => tracing::debug!(%error, "the scheduler could not read due slots"),
            }
        };
        tracing::info!(running = workers.tasks.len(), "stopping");
        stopping.send_replace(true);
        // Each write of these tasks is one transaction, so the tasks can be aborted.
        watching.shutdown().await;
        if role.runs_sole_duties() {
            duty_lease::release_lease(&*self.context.store, &self.context.duty_lease_expiry).await;
        }
        let finished = tokio::select! {
            finished = drain_workers(&mut workers.tasks, DRAIN_TIMEOUT) => finished,
            () = stop_now => {
                tracing::info!(running = workers.tasks.len(), "stopping immediately: runs release their \
                    leases");
                false
            }
        };
        if !finished {
            giving_back.send_replace(true);
        }
        let given_back = finished || drain_workers(&mut workers.tasks, LEASE_RETURN_TIME).await;
        if in_a_look || !given_back {
            workers.tasks.shutdown().await;
            // Leases that remain after this timeout are ended at the next start.
            match tokio::time::timeout(END_LEASES_TIMEOUT, self.context.end_all_orphaned_leases()).await {
                Ok(ended) => ended?,
                Err(_) => {
                    tracing::error!("the store does not answer; the next start ends the remaining leases");
                }
            }
        }
        // This process is removed from the list of workers, so that other processes take over its work
        // without waiting for a timeout.
        let _ = tokio::time::timeout(END_LEASES_TIMEOUT, self.context.store.announce_worker(false)).await;
        let _ = tokio::time::timeout(LINGER, http).await;
        Ok(())
    }
}

/// The running workers, each with its lease.
#[derive(Default)]
struct RunningWorkers {
    tasks: JoinSet<()>,
    leases: HashMap<Id, FencingToken>,
}

impl RunningWorkers {
    fn start(
        &mut self,
        context: Arc<ServiceContext>,
        lease: Lease,
        heartbeat_interval: Duration,
        return_requested: watch::Receiver<bool>,
    ) {
        let token = lease.token;
        let task = async move {
            drop(worker::drive_lease(&context, lease, heartbeat_interval, return_requested).await);
        };
        self.leases.insert(self.tasks.spawn(task).id(), token);
    }

    /// Waits until one worker ends, normally or by a panic, and returns its lease. Returns `None` immediately
    /// if no worker is running.
    async fn join_next(&mut self) -> Option<FencingToken> {
        let id = match self.tasks.join_next_with_id().await? {
            Ok((id, ())) => id,
            Err(error) => {
                // The failed worker's lease expires, and the attempt counts as failed.
                tracing::error!(%error, "a worker has stopped: this is a bug of truing; please report it");
                JoinError::id(&error)
            }
        };
        self.leases.remove(&id)
    }
}

/// Waits for all workers to end. Returns false if some workers still run after `within`.
async fn drain_workers(workers: &mut JoinSet<()>, timeout: Duration) -> bool {
    let ended = async { while workers.join_next().await.is_some() {} };
    tokio::time::timeout(timeout, ended).await.is_ok()
}

impl ServiceContext {
    /// Ends the leases whose holders have exited. The slots become due immediately, and no failed attempt is
    /// counted.
    ///
    /// # Errors
    /// [`StoreError`] if the leases cannot be read or ended.
    #[truing_core::boxed_future]
    pub async fn end_all_orphaned_leases(&self) -> Result<(), StoreError> {
        end_orphaned_leases(&*self.store, &self.slot_limits).await
    }
}
