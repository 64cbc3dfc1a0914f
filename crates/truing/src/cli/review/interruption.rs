//! Handles reviews that a signal interrupts. Reports and records the cost of reviews that end without a
//! result.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::watch;

use crate::wiring::store::StoreLocation;
use truing_core::money::MicroUsd;
use truing_core::outcome::{INTERRUPTED_REASON, ReviewOutcome, ReviewOutcomeKind};
use truing_core::port::{Clock as _, StoreError};
use truing_loops::attempts::AttemptRegistry;
use truing_loops::machine::SystemClock;
use truing_model::gateway;

use super::ReviewCommand;
use crate::cli::error::{CliError, CommandExit};
use crate::cli::runtime;

/// Maximum time to wait until the costs of the model calls are settled.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(1);

/// Maximum time for an interrupted review to stop its child processes and to clean up.
const GRACE_PERIOD: Duration = Duration::from_secs(2);

/// Maximum time for an interrupted `--fix` to complete the file that it is writing; the disk may be slow.
const FIX_GRACE_PERIOD: Duration = Duration::from_secs(30);

/// Runs the command in a separate task, so that an interruption is handled immediately.
pub(super) async fn run_until_interrupted(
    command: ReviewCommand,
    stop_sender: watch::Sender<bool>,
    interruption_hint: &str,
) -> Result<CommandExit, CliError> {
    let mut signals = runtime::StopSignals::new()?;
    let stop = Arc::clone(&command.is_interrupted);
    let grace = if command.args.fix { FIX_GRACE_PERIOD } else { GRACE_PERIOD };
    let publishes = command.args.publish;
    let unfinished = UnfinishedReview::new(&command);
    let mut task = tokio::spawn(command.run());
    tokio::select! {
        ended = &mut task => {
            let ended = ended.unwrap_or_else(|stopped| {
                Err(CliError::failure("internal", format!("the review stopped: {stopped}"))
                    .hint("this is a bug of truing; please report it"))
            });
            match ended {
                Ok(exit) => Ok(exit),
                Err(error) => Err(unfinished.record_failure(error).await),
            }
        }
        _ = signals.next_signal() => {
            // Dropping the task kills git's processes and deletes temporary folders. `--fix` stops before the
            // next file.
            stop.store(true, Ordering::Relaxed);
            stop_sender.send_replace(true);
            if publishes {
                // A command that publishes gets time to give its lease back.
                let _ = tokio::time::timeout(grace, &mut task).await;
            }
            if !task.is_finished() {
                task.abort();
                let _ = tokio::time::timeout(grace, task).await;
            }
            Err(unfinished.record_interruption().await.hint(interruption_hint))
        }
    }
}

/// The parts of a command that are needed after it was aborted.
pub(super) struct UnfinishedReview {
    attempts: AttemptRegistry,
    /// Location of the database. `None` if the configured location is invalid.
    store_location: Option<StoreLocation>,
    is_recorded: bool,
}

impl UnfinishedReview {
    pub(super) fn new(command: &ReviewCommand) -> Self {
        Self {
            attempts: command.attempts.clone(),
            store_location: StoreLocation::from_config(&command.config, &command.environment).ok(),
            is_recorded: !command.args.no_record,
        }
    }

    /// Returns the error of an interrupted review with its cost.
    pub(super) async fn record_interruption(&self) -> CliError {
        // A review that has not begun has no cost, so it is not reported.
        self.attempts.remove_delegated_review();
        let cost = self.record_cost(ReviewOutcomeKind::Deferred, INTERRUPTED_REASON).await;
        let message = match cost {
            MicroUsd(0) => "interrupted before the review was done".to_owned(),
            cost => format!("interrupted before the review was done; it has cost {cost}"),
        };
        CliError::new(CommandExit::Interrupted, "interrupted", message).with_cost(cost)
    }

    /// Adds the cost to the error of a failed review.
    pub(super) async fn record_failure(&self, error: CliError) -> CliError {
        if error.exit != CommandExit::Failure {
            // After a usage error or a refusal, no review was attempted, so none is recorded.
            self.attempts.remove_delegated_review();
        }
        let cost = self.record_cost(ReviewOutcomeKind::Failed, &error.message).await;
        error.with_cost(cost)
    }

    /// Returns the cost of the review according to the ledger. If the ledger is unavailable, the cost is
    /// missing in the result. A later report includes it.
    async fn record_cost(&self, kind: ReviewOutcomeKind, reason: &str) -> MicroUsd {
        let (open, told) = self.attempts.take_all();
        let mut cost = told.0;
        if open.is_empty() {
            return MicroUsd(cost);
        }
        let _ = tokio::time::timeout(SETTLE_TIMEOUT, gateway::wait_until_settled()).await;
        let is_there = |place: &StoreLocation| place.exists().unwrap_or(false) || self.is_recorded;
        let Some(place) = self.store_location.clone().filter(is_there) else {
            return MicroUsd(cost);
        };
        let opened = tokio::task::spawn_blocking(move || place.open_blocking()).await;
        let Ok(Ok(store)) = opened else { return MicroUsd(cost) };
        for attempt in open {
            let (run, now) = (&attempt.run, SystemClock.now());
            let outcome = ReviewOutcome {
                kind,
                reason: Some(reason.to_owned()),
                next_attempt_at: None,
                runtime: attempt.runtime,
            };
            let paid: Result<MicroUsd, StoreError> = match self.is_recorded {
                true => {
                    let of = (&attempt.revision, attempt.started_at);
                    store.record_slotless_review_end(run, &attempt.key, of.0, of.1, &outcome, now).await
                }
                false => store.run_cost(run).await,
            };
            match paid {
                Ok(paid) => cost = cost.saturating_add(paid.0),
                Err(error) => tracing::warn!(%run, %error, "the cost of the review is not recorded"),
            }
        }
        MicroUsd(cost)
    }
}
