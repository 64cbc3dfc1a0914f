//! The cost of a review that came to no end: it is told, and recorded if reviews are.

use std::time::Duration;

use crate::wiring::store::Place;
use truing_core::money::MicroUsd;
use truing_core::outcome::{INTERRUPTED, Outcome, OutcomeKind};
use truing_core::port::{Clock as _, StoreError};
use truing_loops::attempts::Attempts;
use truing_loops::machine::SystemClock;
use truing_model::gateway;

use super::Command;
use crate::cli::error::{CliError, Exit};

/// The time in which its calls have to be settled.
const SETTLE_TIME: Duration = Duration::from_secs(1);

/// The part of a command that outlives it.
pub(super) struct Unfinished {
    attempts: Attempts,
    /// The database, if there can be one.
    place: Option<Place>,
    is_recorded: bool,
}

impl Unfinished {
    pub(super) fn of(command: &Command) -> Self {
        Self {
            attempts: command.attempts.clone(),
            place: Place::of(&command.config, &command.environment).ok(),
            is_recorded: !command.args.no_record,
        }
    }

    /// It was told to stop.
    pub(super) async fn interrupted(&self) -> CliError {
        // What has not begun has nothing to tell.
        self.attempts.handed_over();
        let cost = self.cost(OutcomeKind::Deferred, INTERRUPTED).await;
        let message = match cost {
            MicroUsd(0) => "interrupted before the review was done".to_owned(),
            cost => format!("interrupted before the review was done; it has cost {cost}"),
        };
        CliError::new(Exit::Interrupted, "interrupted", message).costing(cost)
    }

    /// It could not be done.
    pub(super) async fn failed(&self, error: CliError) -> CliError {
        if error.exit != Exit::Failed {
            // Wrong use, or a refusal: nothing was attempted.
            self.attempts.handed_over();
        }
        let cost = self.cost(OutcomeKind::Failed, &error.message).await;
        error.costing(cost)
    }

    /// What it has cost, by the ledger. What cannot be asked or recorded is told by the next report.
    async fn cost(&self, kind: OutcomeKind, reason: &str) -> MicroUsd {
        let (open, told) = self.attempts.take();
        let mut cost = told.0;
        if open.is_empty() {
            return MicroUsd(cost);
        }
        let _ = tokio::time::timeout(SETTLE_TIME, gateway::settled()).await;
        let is_there = |place: &Place| place.is_there() || self.is_recorded;
        let Some(place) = self.place.clone().filter(is_there) else {
            return MicroUsd(cost);
        };
        let opened = tokio::task::spawn_blocking(move || place.open_here()).await;
        let Ok(Ok(store)) = opened else { return MicroUsd(cost) };
        for attempt in open {
            let (run, now) = (&attempt.run, SystemClock.now());
            let outcome =
                Outcome { kind, reason: Some(reason.to_owned()), until: None, runtime: attempt.runtime };
            let paid: Result<MicroUsd, StoreError> = match self.is_recorded {
                true => {
                    let of = (&attempt.revision, attempt.began);
                    store.ended_unfinished((run, &attempt.key), of, &outcome, now).await
                }
                false => store.paid(run).await,
            };
            match paid {
                Ok(paid) => cost = cost.saturating_add(paid.0),
                Err(error) => tracing::warn!(%run, %error, "what the review has cost is not recorded"),
            }
        }
        MicroUsd(cost)
    }
}
