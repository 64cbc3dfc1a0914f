//! Tests that the sweep finds changes and commands in comments if the webhooks were lost. Only the forge is a
//! fake. The forge and the service share a clock, which the tests move.

mod chosen;
mod commands;
mod dismissing;
mod existing;
mod healing;
mod midway;
mod moving;
mod rounds;

use crate::support::{change, site};

use std::time::Duration;

use truing_core::id::SlotKey;
use truing_core::slot::Slot;
use truing_service::ServiceContext;
use truing_service::comment_commands::CommandProcessor;
use truing_service::sweep::ForgeSweeps;
use truing_store::Store;

use change::{FOUND, NEW, STAY};
use site::{Opened, Running, Site, limits};

/// The period of sweeps in these tests.
const EVERY: Duration = Duration::from_mins(5);

/// A sweep and its context, which a test runs without a service.
struct SweepStage {
    sweep: ForgeSweeps,
    commands: CommandProcessor,
    context: ServiceContext,
    store: Store,
}

impl SweepStage {
    fn of(site: &Site) -> Self {
        Self::on(site, site.store())
    }

    fn on(site: &Site, store: Store) -> Self {
        let context = site.context(store.clone(), site.forges(), limits());
        Self { sweep: ForgeSweeps::new(EVERY), commands: CommandProcessor::default(), context, store }
    }

    /// Sweeps until no repository is due.
    async fn look(&mut self) {
        while self.sweep.sweep_next(&self.context).await {}
    }

    /// Moves the clock by a period, and then sweeps again.
    async fn round(&mut self, site: &Site) {
        site.clock.skip(truing_core::id::TimeSpan::minutes(5));
        self.look().await;
    }

    /// Moves the clock by a period, sweeps, and executes the commands in comments.
    async fn obey(&mut self, site: &Site) {
        self.round(site).await;
        self.commands.process_requests(&self.context).await.unwrap();
    }

    async fn slot(&self, key: &SlotKey) -> Slot {
        self.context.store.load_slots(std::slice::from_ref(key)).await.unwrap().remove(0)
    }

    async fn state(&self, key: &SlotKey) -> String {
        self.slot(key).await.state.to_string()
    }
}

/// Opens a pull request and lets a service review it. Returns both.
async fn reviewed(site: &Site) -> (Running, Opened) {
    let service = site.serve().await;
    let opened = site.open("change").await;
    site.deliver().await;
    service.rest(&site.clock).await;
    assert_eq!(shown(site, &opened).await, ("FIRST".to_owned(), FOUND));
    (service, opened)
}

/// Returns the name of the reviewed head, as in the summary, and the number of open comments.
async fn shown(site: &Site, opened: &Opened) -> (String, usize) {
    let picture = site.picture(opened).await;
    let summary = picture.summaries.first().cloned().unwrap_or_default();
    let head = ["FIRST", "SECOND"].into_iter().find(|head| summary.contains(&format!("commit `{head}`")));
    (head.unwrap_or("nothing").to_owned(), picture.open())
}

/// Returns the result of [`shown`] that is expected after a review of the second head.
fn second() -> (String, usize) {
    ("SECOND".to_owned(), STAY + NEW)
}
