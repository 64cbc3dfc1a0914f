//! Drives a lease, the same for every loop: sends heartbeats while the step runs, has the loop record why it stopped, and ends
//! the lease.
//!
//! A loop gives its part as `LeasedStep`. `LeaseDriver::drive` is the whole way.

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
use truing_loops::slots::{StepError, step};
use truing_loops::stopped::StepStopReason;
use truing_loops::telemetry;

use super::lease::Lease;
use super::notify;

/// A loop's own part of a lease.
#[async_trait]
pub(crate) trait LeasedStep: Sync {
    /// The result of a step that came to its end, for whoever drives the lease.
    type Ended: Send;

    /// Does the step.
    ///
    /// # Errors
    /// [`StepStopReason`]
    async fn step(&self) -> Result<(NextSlotState, Self::Ended), StepStopReason>;

    /// Records why the step stopped. The slot is told after that. Where heartbeats find the lease lost nothing is recorded.
    ///
    /// # Errors
    /// [`StoreError`]: the lease is left to expire, unless the step was told to stop.
    async fn stopped(&self, why: &StepStopReason) -> Result<(), StoreError>;
}

/// The slot's state after a step that came to its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NextSlotState {
    /// The step says it. Instants are of the wall clock.
    Then(StepOutcome),
    /// The run is not at its end: its [`LeaseSuccessor`] goes on with it, if there is one.
    GivenBack,
}

/// Who goes on with what a lease leaves undone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum LeaseSuccessor {
    /// A server: it waits as the forge wants, and counts attempts that fail.
    Server,
    /// Nobody but the person or the calendar that asked, by asking again: the slot is free.
    Nobody,
}

/// Leases are driven with this.
pub(crate) struct LeaseDriver<'a> {
    /// Slots and records.
    pub store: &'a Arc<dyn RecordStore>,
    /// The wall clock, which runs count by.
    pub clock: &'a dyn Clock,
    /// Limits of the slot machine.
    pub limits: &'a SlotLimits,
}

impl LeaseDriver<'_> {
    /// Drives a lease until its step comes to its end, it is lost, or `told` ends: then it is given back. A step that stops in
    /// an order of its own gets a `told` that never ends. Heartbeats have a task of their own: a step that
    /// holds up its thread, as one that removes a deep folder, holds up none of them.
    ///
    /// # Errors
    /// [`StepError`]: the end could not be recorded. The lease is left to expire.
    pub(crate) async fn drive<L: LeasedStep>(
        &self,
        (lease, heir): (&Lease, LeaseSuccessor),
        heartbeat: Duration,
        told: impl Future<Output = ()>,
        leased: &L,
    ) -> Result<Result<L::Ended, StepStopReason>, StepError> {
        let ending = Arc::new(AtomicBool::new(false));
        let beats = LeaseHeartbeats {
            store: self.store.clone(),
            lease: lease.clone(),
            limits: self.limits.clone(),
            ending: Arc::clone(&ending),
        };
        let mut beats = HeartbeatTask::start(beats, heartbeat);
        let told = async {
            told.await;
            // What has come to its end is not stopped any more.
            if ending.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            ended = self.take((lease, heir), leased, &ending) => ended,
            () = beats.lost() => {
                if ending.load(Ordering::Relaxed) {
                    let what = format!("{}: the store did not confirm the end of the lease", lease.key);
                    return Err(StoreError::Unavailable(what).into());
                }
                tracing::warn!("the lease is lost; stopped");
                Ok(Err(StepStopReason::Lost))
            }
            () = told => {
                // The lease is given back whatever becomes of that.
                if let Err(error) = leased.stopped(&StepStopReason::Interrupted).await {
                    tracing::warn!(%error, "could not record how the run stopped");
                }
                self.end((lease, heir), Err(&StepStopReason::Interrupted)).await?;
                Ok(Err(StepStopReason::Interrupted))
            }
        }
    }

    /// Does the step, records why it stopped if it did, and ends the lease; no heartbeats. `ending` becomes true right before
    /// the lease is ended.
    ///
    /// # Errors
    /// As [`Self::drive`].
    pub(super) async fn take<L: LeasedStep>(
        &self,
        given: (&Lease, LeaseSuccessor),
        leased: &L,
        ending: &AtomicBool,
    ) -> Result<Result<L::Ended, StepStopReason>, StepError> {
        match Box::pin(leased.step()).await {
            Ok((after, ended)) => {
                ending.store(true, Ordering::Relaxed);
                self.end(given, Ok(after)).await?;
                Ok(Ok(ended))
            }
            Err(stopped) => {
                leased.stopped(&stopped).await?;
                ending.store(true, Ordering::Relaxed);
                self.end(given, Err(&stopped)).await?;
                Ok(Err(stopped))
            }
        }
    }

    /// Ends the lease. What is recorded stays, even if the lease was lost meanwhile.
    async fn end(
        &self,
        (lease, heir): (&Lease, LeaseSuccessor),
        ended: Result<NextSlotState, &StepStopReason>,
    ) -> Result<(), StepError> {
        if let Err(StepStopReason::Fenced(last)) = ended {
            // If the lease is ours still, the slots have forgotten a token: the next one is greater.
            self.store.raise(SlotVersion(last.0)).await?;
        }
        let lead = lead(&**self.store, self.clock).await?;
        let Some(command) = command(lease.token, (ended, lead), heir) else { return Ok(()) };
        if lease.last_attempt && matches!(command, SlotCommand::Fail(..)) {
            notify::parking(&**self.store, &lease.key, self.limits.attempts, self.clock.now()).await;
        }
        match step(&**self.store, &lease.key, command, self.limits).await {
            Ok(after) => tracing::info!("the lease has ended: the slot is {}", after.slot.state),
            Err(StepError::Refused(SlotRefusal::LeaseLost)) => {
                tracing::warn!("the lease was lost at its end");
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
    /// Is the lease being ended?
    ending: Arc<AtomicBool>,
}

impl LeaseHeartbeats {
    /// Sends them. Returns when the lease is lost, or when none was acknowledged for so long that it may be lost. While the
    /// lease is `ending`, a slot without a lease is not a loss.
    async fn lost(&self, every: Duration) {
        let Self { store, lease, limits, ending } = self;
        let patience = Duration::from_millis(u64::try_from(limits.self_stop().0).unwrap_or(0));
        let mut acknowledged = Instant::now();
        loop {
            tokio::time::sleep(every).await;
            let sent = Instant::now();
            let beat = step(&**store, &lease.key, SlotCommand::Heartbeat(lease.token), limits);
            match tokio::time::timeout_at(acknowledged + patience, beat).await {
                Ok(Ok(_)) => acknowledged = sent,
                Ok(Err(StepError::Refused(_))) if ending.load(Ordering::Relaxed) => acknowledged = sent,
                Ok(Err(StepError::Refused(_))) | Err(_) => return,
                Ok(Err(StepError::Store(error))) => {
                    tracing::warn!(key = %lease.key, %error, "heartbeat not acknowledged");
                    // A store that refuses at once never runs into the limit above.
                    if acknowledged.elapsed() >= patience {
                        return;
                    }
                }
            }
        }
    }
}

/// The task that sends heartbeats. It ends with this.
struct HeartbeatTask(JoinHandle<()>);

impl HeartbeatTask {
    fn start(beats: LeaseHeartbeats, every: Duration) -> Self {
        Self(tokio::spawn(async move { beats.lost(every).await }.in_current_span()))
    }

    /// Returns when the lease may be lost, as [`LeaseHeartbeats::lost`], also where heartbeats are sent no longer.
    async fn lost(&mut self) {
        let _ = (&mut self.0).await;
    }
}

impl Drop for HeartbeatTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// How far the store's clock is ahead of the wall clock: more than 0 after that was set back. Runs use the wall clock, slots the
/// store's.
pub(super) async fn lead(store: &dyn RecordStore, clock: &dyn Clock) -> Result<TimeSpan, StoreError> {
    let wall = clock.now();
    Ok(TimeSpan((store.now().await? - wall).0.max(0)))
}

/// Returns when `give_back` becomes true.
pub(super) async fn told(mut give_back: watch::Receiver<bool>) {
    if give_back.wait_for(|told| *told).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Says in a run's trace why it stopped, if that is a failure.
pub(super) fn trace_stop(trace: &Context, stopped: &StepStopReason) {
    match stopped {
        StepStopReason::Moved | StepStopReason::RateLimited { .. } | StepStopReason::Interrupted => {}
        StepStopReason::Halted => {
            trace.span().add_event("KillSwitchEngaged", Vec::new());
            telemetry::failed(trace, &stopped.to_string());
        }
        StepStopReason::Lost
        | StepStopReason::Fenced(_)
        | StepStopReason::NotThere { .. }
        | StepStopReason::Failed { .. } => {
            telemetry::failed(trace, &stopped.to_string());
        }
    }
}

/// The command that ends a lease; none for one that is lost. `lead`: how far the store's clock is ahead of the wall clock.
fn command(
    token: FencingToken,
    (ended, lead): (Result<NextSlotState, &StepStopReason>, TimeSpan),
    heir: LeaseSuccessor,
) -> Option<SlotCommand> {
    let given_back = match heir {
        LeaseSuccessor::Server => SlotCommand::HandBack(token),
        LeaseSuccessor::Nobody => SlotCommand::Finish(token, StepOutcome::Idle),
    };
    let stopped = match ended {
        Ok(NextSlotState::Then(StepOutcome::DueAt(at, why))) => {
            return Some(SlotCommand::Finish(token, StepOutcome::DueAt(at + lead, why)));
        }
        Ok(NextSlotState::Then(then @ (StepOutcome::Idle | StepOutcome::Again | StepOutcome::Held(_)))) => {
            return Some(SlotCommand::Finish(token, then));
        }
        Ok(NextSlotState::GivenBack) => return Some(given_back),
        Err(stopped) => stopped,
    };
    match (stopped, heir) {
        (StepStopReason::Lost, LeaseSuccessor::Server | LeaseSuccessor::Nobody) => None,
        (_, LeaseSuccessor::Nobody)
        | (
            StepStopReason::Fenced(_) | StepStopReason::Halted | StepStopReason::Interrupted,
            LeaseSuccessor::Server,
        ) => Some(given_back),
        (StepStopReason::Moved, LeaseSuccessor::Server) => {
            Some(SlotCommand::Finish(token, StepOutcome::Again))
        }
        (StepStopReason::RateLimited { until, .. }, LeaseSuccessor::Server) => {
            Some(SlotCommand::Finish(token, StepOutcome::DueAt(*until + lead, WaitReason::RateLimit)))
        }
        (StepStopReason::Failed { not_before, .. }, LeaseSuccessor::Server) => {
            Some(SlotCommand::Fail(token, not_before.map(|at| at + lead)))
        }
        (StepStopReason::NotThere { .. }, LeaseSuccessor::Server) => Some(SlotCommand::Fail(token, None)),
    }
}

#[cfg(test)]
mod tests;
