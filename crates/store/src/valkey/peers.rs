//! News between processes, beside slots: that a slot waits, who leases, and who does what one does at a time.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::StreamExt as _;
use redis::RedisError;
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use truing_core::id::TimeSpan;
use truing_core::port::StoreError;
use truing_core::share::WorkerGroup;
use uuid::Uuid;

use super::fault::PATIENCE;
use super::primary::PrimaryServer;
use super::{CHANGED, SOLE, ValkeyServer, WORKERS};

/// A process that was not heard of for so long leases no more.
const SILENT_MILLIS: u32 = 30_000;
/// A connection that has been silent for so long may be dead, which nobody tells: it is made again.
const QUIET: Duration = Duration::from_secs(30);
/// After a lost connection until the next one.
const AGAIN: Duration = Duration::from_secs(1);

/// This process among those that share the slots.
pub(super) struct ProcessPeers {
    /// Its name: another one each time that it starts.
    own: String,
    told: Arc<Notify>,
    /// The task that listens, once somebody wants to hear.
    listening: OnceLock<AbortHandle>,
}

impl ProcessPeers {
    pub(super) fn new() -> Self {
        let (told, listening) = (Arc::new(Notify::new()), OnceLock::new());
        Self { own: Uuid::now_v7().to_string(), told, listening }
    }
}

impl Drop for ProcessPeers {
    fn drop(&mut self) {
        if let Some(task) = self.listening.get() {
            task.abort();
        }
    }
}

impl ValkeyServer {
    /// Ends when a slot was told to wait. What is not heard is found by the next look.
    pub(crate) async fn changed(&self) {
        let ProcessPeers { told, listening, .. } = &self.peers;
        listening.get_or_init(|| {
            let task = listen(self.route.follow(), Arc::clone(told));
            tokio::spawn(task).abort_handle()
        });
        told.notified().await;
    }

    /// Lends the right to do what one process does at a time; for no time: gives it back.
    pub(crate) async fn lend_sole(&self, time: TimeSpan) -> Result<bool, StoreError> {
        let mut call = self.scripts.lend.prepare_invoke();
        call.key(SOLE).arg(&self.peers.own).arg(time.0.max(0));
        Ok(self.call::<i64>(&call).await? == 1)
    }

    /// Who leases; this process, too, if it says so, and no more if not.
    pub(crate) async fn workers(&self, leases: bool) -> Result<WorkerGroup, StoreError> {
        let own = self.peers.own.clone();
        let mut call = self.scripts.workers.prepare_invoke();
        call.key(WORKERS).arg(&own).arg(i32::from(leases)).arg(SILENT_MILLIS);
        Ok(WorkerGroup { own, all: self.call(&call).await? })
    }
}

/// Hears what is told on the channel, for as long as it is polled.
async fn listen(mut at: watch::Receiver<PrimaryServer>, told: Arc<Notify>) {
    loop {
        if let Err(error) = hear(&mut at, &told).await {
            tracing::debug!(%error, "cannot listen for wake-ups; due slots are found at the next look");
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Hears until the connection ends, or another server becomes the primary.
async fn hear(at: &mut watch::Receiver<PrimaryServer>, told: &Notify) -> Result<(), RedisError> {
    let primary = at.borrow_and_update().clone();
    let connecting = async {
        let mut listener = primary.client.get_async_pubsub().await?;
        listener.subscribe(CHANGED).await?;
        Ok(listener)
    };
    // One that takes longer is tried again.
    let Ok(listener) = tokio::time::timeout(PATIENCE, connecting).await else { return Ok(()) };
    let mut listener = primary.noting(listener)?;
    let mut messages = listener.on_message();
    loop {
        tokio::select! {
            message = tokio::time::timeout(QUIET, messages.next()) => match message {
                Ok(Some(_)) => told.notify_one(),
                Ok(None) => {
                    // Whoever calls next asks the Sentinels.
                    primary.lose();
                    return Ok(());
                }
                Err(_) => return Ok(()),
            },
            _ = at.changed() => return Ok(()),
        }
    }
}
