//! Coordinates the processes of a deployment: reports of waiting slots, the list of processes that lease
//! slots, and the duty lease.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::StreamExt as _;
use redis::RedisError;
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use truing_core::id::TimeSpan;
use truing_core::port::StoreError;
use truing_core::worker_group::WorkerGroup;
use uuid::Uuid;

use super::fault::REQUEST_TIMEOUT;
use super::primary::PrimaryServer;
use super::{CHANGE_CHANNEL, DUTY_LEASE_KEY, ValkeyServer, WORKERS_KEY};

/// Milliseconds without a message after which a process is removed from the list of processes that lease
/// slots.
const WORKER_EXPIRY_MILLIS: u32 = 30_000;
/// Time without a message after which a connection is replaced. The connection may be broken although no
/// error was reported.
const CONNECTION_IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// Delay before a lost connection is replaced by a new connection.
const RECONNECT_DELAY: Duration = Duration::from_secs(1);

/// This process, as one of the processes that share the slots.
pub(super) struct OwnWorker {
    /// The name of this process. Each start of the process gets a new name.
    own_name: String,
    report_notify: Arc<Notify>,
    /// The task that receives reports. It is started when a caller first waits for changes.
    listener: OnceLock<AbortHandle>,
}

impl OwnWorker {
    pub(super) fn new() -> Self {
        let (report_notify, listener) = (Arc::new(Notify::new()), OnceLock::new());
        Self { own_name: Uuid::now_v7().to_string(), report_notify, listener }
    }
}

impl Drop for OwnWorker {
    fn drop(&mut self) {
        if let Some(task) = self.listener.get() {
            task.abort();
        }
    }
}

impl ValkeyServer {
    /// Completes when a process reports a waiting slot. If a report is lost, the scheduler finds the slot at
    /// its next regular read.
    pub(crate) async fn wait_for_slot_report(&self) {
        let OwnWorker { report_notify, listener, .. } = &self.peers;
        listener.get_or_init(|| {
            let task = listen_for_slot_reports(self.route.subscribe(), Arc::clone(report_notify));
            tokio::spawn(task).abort_handle()
        });
        report_notify.notified().await;
    }

    /// Acquires or renews the duty lease. If `duration` is zero, releases the lease.
    pub(crate) async fn take_duty_lease(&self, duration: TimeSpan) -> Result<bool, StoreError> {
        let mut call = self.scripts.take_duty_lease.prepare_invoke();
        call.key(DUTY_LEASE_KEY).arg(&self.peers.own_name).arg(duration.0.max(0));
        Ok(self.invoke_script::<i64>(&call).await? == 1)
    }

    /// Adds this process to the processes that lease slots, or removes it if `is_leasing` is false. Returns
    /// the resulting list of these processes.
    pub(crate) async fn announce_worker(&self, is_leasing: bool) -> Result<WorkerGroup, StoreError> {
        let own_name = self.peers.own_name.clone();
        let mut call = self.scripts.update_workers.prepare_invoke();
        call.key(WORKERS_KEY).arg(&own_name).arg(i32::from(is_leasing)).arg(WORKER_EXPIRY_MILLIS);
        Ok(WorkerGroup { own_name, all_names: self.invoke_script(&call).await? })
    }
}

/// Receives reports from the channel while this future is polled.
async fn listen_for_slot_reports(mut primary_receiver: watch::Receiver<PrimaryServer>, notify: Arc<Notify>) {
    loop {
        if let Err(error) = receive_until_disconnect(&mut primary_receiver, &notify).await {
            tracing::debug!(%error, "cannot listen for wake-ups; due slots are found at the next check");
        }
        tokio::time::sleep(RECONNECT_DELAY).await;
    }
}

/// Receives reports until the connection ends, or another server becomes the primary.
async fn receive_until_disconnect(
    primary_receiver: &mut watch::Receiver<PrimaryServer>,
    notify: &Notify,
) -> Result<(), RedisError> {
    let primary = primary_receiver.borrow_and_update().clone();
    let connecting = async {
        let mut listener = primary.client.get_async_pubsub().await?;
        listener.subscribe(CHANGE_CHANNEL).await?;
        Ok(listener)
    };
    // If the connection takes longer than `REQUEST_TIMEOUT`, the caller retries.
    let Ok(listener) = tokio::time::timeout(REQUEST_TIMEOUT, connecting).await else { return Ok(()) };
    let mut listener = primary.mark_lost_on_error(listener)?;
    let mut messages = listener.on_message();
    loop {
        tokio::select! {
            message = tokio::time::timeout(CONNECTION_IDLE_TIMEOUT, messages.next()) => match message {
                Ok(Some(_)) => notify.notify_one(),
                Ok(None) => {
                    // The next function that needs the primary then asks the Sentinels again.
                    primary.mark_lost();
                    return Ok(());
                }
                Err(_) => return Ok(()),
            },
            _ = primary_receiver.changed() => return Ok(()),
        }
    }
}
