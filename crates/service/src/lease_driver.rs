//! Drives a lease from its start to its end, for every loop. Sends heartbeats while the step runs, lets the
//! loop record why the step stopped, and ends the lease. A loop implements only `LeasedStep`;
//! `LeaseDriver::drive` does the rest.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt as _;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::Instrument as _;
use truing_core::id::{FencingToken, SlotVersion, TimeSpan};
use truing_core::port::{Clock, RecordStore, StoreError};
use truing_core::slot::{SlotCommand, SlotLimits, SlotRefusal, StepOutcome, WaitReason};
use truing_loops::slots::{SlotCommandError, apply_slot_command};
use truing_loops::step_stop_reason::StepStopReason;
use truing_loops::telemetry;

use super::lease::Lease;
use super::notify;

/// The step of a loop that is done under a lease. Each loop implements its own step.
#[async_trait]
pub(crate) trait LeasedStep: Sync {
    /// The result of a completed step, which is returned to the caller of `LeaseDriver::drive`.
    type Output: Send;

    /// Does the step.
    ///
    /// # Errors
    /// [`StepStopReason`] if the step is not completed.
    async fn step(&self) -> Result<(NextSlotState, Self::Output), StepStopReason>;

    /// Records why the step stopped, before the slot changes. Not called if the heartbeats find that the
    /// lease is lost.
    ///
    /// # Errors
    /// [`StoreError`]. After an error, the driver lets the lease expire. The exception is a step that was
    /// stopped on request.
    async fn record_stop(&self, reason: &StepStopReason) -> Result<(), StoreError>;
}

/// The slot's state after a completed step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NextSlotState {
    /// The step has determined the outcome. The times in the outcome are in the wall clock's time.
    Outcome(StepOutcome),
    /// The run is unfinished. Its [`LeaseSuccessor`] determines whether a server continues the run.
    Unfinished,
}

/// The party that continues the work that a lease leaves unfinished.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum LeaseSuccessor {
    /// A server continues the work. The server waits as long as the forge requires, and counts failed
    /// attempts.
    Server,
    /// No server continues the work. The slot becomes free. A run begins again only if a person or the
    /// calendar requests it.
    Nobody,
}

/// Drives leases on one store.
pub(crate) struct LeaseDriver<'a> {
    /// The store of slots and records.
    pub store: &'a Arc<dyn RecordStore>,
    /// The wall clock. Runs use this clock.
    pub clock: &'a dyn Clock,
    /// Limits of the slot machine, such as the lease time.
    pub limits: &'a SlotLimits,
}

impl LeaseDriver<'_> {
    /// Drives a lease until its step is completed, the lease is lost, or `stop` completes. When `stop`
    /// completes, the lease is given back to the store. For a step that handles stop requests itself, the
    /// caller passes a future that never completes. A separate task sends the heartbeats, so a step that
    /// blocks its thread delays no heartbeat.
    ///
    /// # Errors
    /// [`SlotCommandError`] if the end of the lease could not be recorded. The lease then expires.
    pub(crate) async fn drive<L: LeasedStep>(
        &self,
        lease: &Lease,
        successor: LeaseSuccessor,
        heartbeat_interval: Duration,
        stop: impl Future<Output = ()>,
        step: &L,
    ) -> Result<Result<L::Output, StepStopReason>, SlotCommandError> {
        let ending = Arc::new(AtomicBool::new(false));
        let beats = LeaseHeartbeats {
            store: self.store.clone(),
            lease: lease.clone(),
            limits: self.limits.clone(),
            is_ending: Arc::clone(&ending),
        };
        let mut beats = HeartbeatTask::start(beats, heartbeat_interval);
        let stop = async {
            stop.await;
            // A stop request is ignored once the step is completed.
            if ending.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            ended = self.run_step((lease, successor), step, &ending) => ended,
            () = beats.wait_for_loss() => {
                if ending.load(Ordering::Relaxed) {
                    let what = format!("{}: the store did not confirm the end of the lease", lease.key);
                    return Err(StoreError::Unavailable(what).into());
                }
                tracing::warn!("the lease is lost; stopped");
                Ok(Err(StepStopReason::LeaseLost))
            }
            () = stop => {
                // The lease is given back even if recording the reason fails.
                if let Err(error) = step.record_stop(&StepStopReason::Interrupted).await {
                    tracing::warn!(%error, "could not record how the run stopped");
                }
                self.end_lease(lease, successor, Err(&StepStopReason::Interrupted)).await?;
                Ok(Err(StepStopReason::Interrupted))
            }
        }
    }

    /// Does the step, records the reason if the step stopped, and ends the lease. This function sends no
    /// heartbeats. `ending` becomes true right before the lease is ended.
    ///
    /// # Errors
    /// The errors of [`Self::drive`].
    pub(super) async fn run_step<L: LeasedStep>(
        &self,
        lease_and_successor: (&Lease, LeaseSuccessor),
        step: &L,
        is_ending: &AtomicBool,
    ) -> Result<Result<L::Output, StepStopReason>, SlotCommandError> {
        match Box::pin(step.step()).await {
            Ok((after, ended)) => {
                is_ending.store(true, Ordering::Relaxed);
                self.end_lease(lease_and_successor.0, lease_and_successor.1, Ok(after)).await?;
                Ok(Ok(ended))
            }
            Err(stopped) => {
                step.record_stop(&stopped).await?;
                is_ending.store(true, Ordering::Relaxed);
                self.end_lease(lease_and_successor.0, lease_and_successor.1, Err(&stopped)).await?;
                Ok(Err(stopped))
            }
        }
    }

    /// Ends the lease. The records of the step are kept, even if the lease is already lost.
    async fn end_lease(
        &self,
        lease: &Lease,
        successor: LeaseSuccessor,
        step_result: Result<NextSlotState, &StepStopReason>,
    ) -> Result<(), SlotCommandError> {
        if let Err(StepStopReason::Fenced(last)) = step_result {
            // The records contain the newer token `last`. The process may still hold the lease after the slot
            // store has lost that token. The slot version is raised to that token, so the next token is
            // greater.
            self.store.raise_version(SlotVersion(last.0)).await?;
        }
        let lead = clock_lead(&**self.store, self.clock).await?;
        let Some(command) = lease_end_command(lease.token, step_result, lead, successor) else {
            return Ok(());
        };
        if lease.is_last_attempt && matches!(command, SlotCommand::Fail(..)) {
            notify::queue_parked_notice(
                &**self.store,
                &lease.key,
                self.limits.max_attempts,
                self.clock.now(),
            )
            .await;
        }
        match apply_slot_command(&**self.store, &lease.key, command, self.limits).await {
            Ok(after) => tracing::info!("the lease has ended: the slot is {}", after.slot.state),
            Err(SlotCommandError::SlotRefused(SlotRefusal::LeaseLost)) => {
                tracing::warn!("the lease was lost before it could be ended");
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// The heartbeats of a lease.
struct LeaseHeartbeats {
    store: Arc<dyn RecordStore>,
    lease: Lease,
    limits: SlotLimits,
    /// True once the lease is being ended.
    is_ending: Arc<AtomicBool>,
}

impl LeaseHeartbeats {
    /// Sends the heartbeats of a lease. Returns when the lease is lost. Also returns if no heartbeat was
    /// acknowledged for the time after which a holder must stop itself. While `ending` is true, a refused
    /// heartbeat is ignored, because the lease may just have ended normally.
    async fn send_until_lost(&self, interval: Duration) {
        let Self { store, lease, limits, is_ending: ending } = self;
        let patience = Duration::from_millis(u64::try_from(limits.self_stop_delay().0).unwrap_or(0));
        let mut acknowledged = Instant::now();
        loop {
            tokio::time::sleep(interval).await;
            let sent = Instant::now();
            let beat = apply_slot_command(&**store, &lease.key, SlotCommand::Heartbeat(lease.token), limits);
            match tokio::time::timeout_at(acknowledged + patience, beat).await {
                Ok(Ok(_)) => acknowledged = sent,
                Ok(Err(SlotCommandError::SlotRefused(_))) if ending.load(Ordering::Relaxed) => {
                    acknowledged = sent;
                }
                Ok(Err(SlotCommandError::SlotRefused(_))) | Err(_) => return,
                Ok(Err(SlotCommandError::Store(error))) => {
                    tracing::warn!(key = %lease.key, %error, "heartbeat not acknowledged");
                    // If the store returns an error immediately, the timeout above never occurs.
                    if acknowledged.elapsed() >= patience {
                        return;
                    }
                }
            }
        }
    }
}

/// The task that sends heartbeats. Dropping this value stops the task.
struct HeartbeatTask(JoinHandle<()>);

impl HeartbeatTask {
    fn start(beats: LeaseHeartbeats, interval: Duration) -> Self {
        Self(tokio::spawn(async move { beats.send_until_lost(interval).await }.in_current_span()))
    }

    /// Returns when [`LeaseHeartbeats::send_until_lost`] returns or the task ends otherwise, for example by a
    /// panic.
    async fn wait_for_loss(&mut self) {
        let _ = (&mut self.0).await;
    }
}

impl Drop for HeartbeatTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Returns by how much the store's clock is ahead of the wall clock, at least 0. The value is positive after
/// the wall clock was set back. Runs use the wall clock, and slots use the store's clock.
pub(super) async fn clock_lead(store: &dyn RecordStore, clock: &dyn Clock) -> Result<TimeSpan, StoreError> {
    let wall = clock.now();
    Ok(TimeSpan((store.now().await? - wall).0.max(0)))
}

/// Returns when `return_requested` becomes true.
pub(super) async fn wait_for_return_request(mut return_requested: watch::Receiver<bool>) {
    if return_requested.wait_for(|is_requested| *is_requested).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Records in a run's trace why the run stopped, if the reason is a failure.
pub(super) fn trace_stop(trace: &Context, stop_reason: &StepStopReason) {
    match stop_reason {
        StepStopReason::HeadChanged | StepStopReason::RateLimited { .. } | StepStopReason::Interrupted => {}
        StepStopReason::Halted => {
            trace.span().add_event("KillSwitchEngaged", Vec::new());
            telemetry::record_failure(trace, &stop_reason.to_string());
        }
        StepStopReason::LeaseLost
        | StepStopReason::Fenced(_)
        | StepStopReason::NotFound { .. }
        | StepStopReason::StepFailed { .. } => {
            telemetry::record_failure(trace, &stop_reason.to_string());
        }
    }
}

/// Returns the command that ends a lease, or `None` if the lease is lost. `lead` is the time by which the
/// store's clock is ahead of the wall clock.
fn lease_end_command(
    token: FencingToken,
    step_result: Result<NextSlotState, &StepStopReason>,
    store_clock_lead: TimeSpan,
    successor: LeaseSuccessor,
) -> Option<SlotCommand> {
    let given_back = match successor {
        LeaseSuccessor::Server => SlotCommand::HandBack(token),
        LeaseSuccessor::Nobody => SlotCommand::Finish(token, StepOutcome::Done),
    };
    let stopped = match step_result {
        Ok(NextSlotState::Outcome(StepOutcome::DueAt(at, why))) => {
            return Some(SlotCommand::Finish(token, StepOutcome::DueAt(at + store_clock_lead, why)));
        }
        Ok(NextSlotState::Outcome(
            then @ (StepOutcome::Done | StepOutcome::DueAgain | StepOutcome::Held(_)),
        )) => {
            return Some(SlotCommand::Finish(token, then));
        }
        Ok(NextSlotState::Unfinished) => return Some(given_back),
        Err(stopped) => stopped,
    };
    match (stopped, successor) {
        (StepStopReason::LeaseLost, LeaseSuccessor::Server | LeaseSuccessor::Nobody) => None,
        (_, LeaseSuccessor::Nobody)
        | (
            StepStopReason::Fenced(_) | StepStopReason::Halted | StepStopReason::Interrupted,
            LeaseSuccessor::Server,
        ) => Some(given_back),
        (StepStopReason::HeadChanged, LeaseSuccessor::Server) => {
            Some(SlotCommand::Finish(token, StepOutcome::DueAgain))
        }
        (StepStopReason::RateLimited { until, .. }, LeaseSuccessor::Server) => Some(SlotCommand::Finish(
            token,
            StepOutcome::DueAt(*until + store_clock_lead, WaitReason::RateLimit),
        )),
        (StepStopReason::StepFailed { not_before, .. }, LeaseSuccessor::Server) => {
            Some(SlotCommand::Fail(token, not_before.map(|at| at + store_clock_lead)))
        }
        (StepStopReason::NotFound { .. }, LeaseSuccessor::Server) => Some(SlotCommand::Fail(token, None)),
    }
}

#[cfg(test)]
mod tests;
