//! Sends notices to the operators of a service, by webhook and by mail. A notice informs an operator of a
//! fact, or of a task for the operator.
//!
//! A notice is stored as a row, so it is not lost when the process exits. Each notice is sent to each sink at
//! least once, and in order. If a sink fails, the notice is retried a few times. After that, the failure is
//! logged and counted. While a notice is retried, only later notices wait.

mod mail;
mod webhook;

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use truing_core::id::{SlotKey, UnixMillis};
use truing_core::ledger::utc_day;
use truing_core::port::{NewNotice, NoticeKind, PendingNotice, RecordStore, StoreError};

pub use self::mail::MailSink;
pub use self::webhook::WebhookSink;
use super::duty_lease::DutyLeaseExpiry;
use super::metrics::ServiceMetrics;

/// Number of notices that one query reads.
const NOTICES_PER_QUERY: usize = 64;
/// Number of attempts to send one notice to a sink.
const MAX_SEND_ATTEMPTS: u32 = 5;
/// The wait after the first attempt. The wait doubles after each further attempt.
const INITIAL_RETRY_DELAY: Duration = Duration::from_secs(1);
/// Timeout of one attempt.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);
/// The sinks that notices are sent to.
pub struct NoticeSinks {
    sinks: Vec<NoticeSink>,
    initial_retry_delay: Option<Duration>,
    metrics: ServiceMetrics,
}

/// One sink with its state.
#[derive(Debug)]
struct NoticeSink {
    transport: SinkTransport,
    /// True if the last notice could not be sent to this sink. In that case the next notice is tried only
    /// once, so an unreachable sink does not delay the other sinks.
    is_down: AtomicBool,
}

/// The transports of sinks.
#[derive(Debug)]
enum SinkTransport {
    Webhook(WebhookSink),
    Mail(Box<MailSink>),
}

/// The reason why an attempt failed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{message}")]
pub struct SinkError {
    message: String,
    /// True if the sink refuses this notice, so a retry would fail as well.
    is_permanent: bool,
}

impl NoticeSinks {
    /// Creates the sinks. `metrics` counts the notices that a sink finally did not accept.
    pub fn new(webhook: Option<WebhookSink>, mail: Option<MailSink>, metrics: ServiceMetrics) -> Self {
        let all = webhook
            .map(SinkTransport::Webhook)
            .into_iter()
            .chain(mail.map(Box::new).map(SinkTransport::Mail));
        let sinks = all.map(|to| NoticeSink { transport: to, is_down: AtomicBool::new(false) }).collect();
        Self { sinks, initial_retry_delay: None, metrics }
    }

    /// Sets another wait after the first attempt.
    #[must_use]
    pub fn with_initial_retry_delay(self, initial_retry_delay: Duration) -> Self {
        Self { initial_retry_delay: Some(initial_retry_delay), ..self }
    }

    /// Returns the number of notices since the start that a sink did not accept.
    pub fn failed_count(&self) -> u64 {
        self.metrics.failed_notice_count()
    }

    /// Sends all pending notices in order.
    ///
    /// # Errors
    /// [`StoreError`]. If a notice was sent but could not be marked as sent, it will be sent again.
    #[truing_core::boxed_future]
    pub async fn deliver_pending(&self, store: &dyn RecordStore) -> Result<(), StoreError> {
        loop {
            let notices = store.pending_notices(NOTICES_PER_QUERY).await?;
            for notice in &notices {
                self.deliver(notice).await;
                store.finish_notice(notice.id).await?;
            }
            if notices.len() < NOTICES_PER_QUERY {
                return Ok(());
            }
        }
    }

    /// Sends one notice to all sinks at the same time.
    async fn deliver(&self, notice: &PendingNotice) {
        match self.sinks.as_slice() {
            [] => tracing::info!(
                kind = notice.kind,
                "this notice is only logged, because no sink of `[notify]` is configured: {}",
                notice.text
            ),
            [one] => self.send_with_retries(one, notice).await,
            [one, two, ..] => {
                tokio::join!(self.send_with_retries(one, notice), self.send_with_retries(two, notice));
            }
        }
    }

    async fn send_with_retries(&self, sink: &NoticeSink, notice: &PendingNotice) {
        let tries = if sink.is_down.load(Ordering::Relaxed) { 1 } else { MAX_SEND_ATTEMPTS };
        let mut wait = self.initial_retry_delay.unwrap_or(INITIAL_RETRY_DELAY);
        for left in (0..tries).rev() {
            let tried = tokio::time::timeout(ATTEMPT_TIMEOUT, sink.transport.send(notice)).await;
            let error = match tried {
                Ok(Ok(())) => {
                    sink.is_down.store(false, Ordering::Relaxed);
                    tracing::info!(sink = sink.transport.name(), kind = notice.kind, "told: {}", notice.text);
                    return;
                }
                Ok(Err(error)) => error,
                Err(_) => {
                    let message = format!("no answer within {} s", ATTEMPT_TIMEOUT.as_secs());
                    SinkError { message, is_permanent: false }
                }
            };
            if left == 0 || error.is_permanent {
                sink.is_down.store(true, Ordering::Relaxed);
                self.metrics.count_failed_notice();
                let sink = sink.transport.name();
                tracing::error!(sink, kind = notice.kind, %error, "not told: {}", notice.text);
                return;
            }
            tracing::warn!(sink = sink.transport.name(), %error, "retrying the sink");
            tokio::time::sleep(wait).await;
            wait *= 2;
        }
    }
}

impl SinkTransport {
    async fn send(&self, notice: &PendingNotice) -> Result<(), SinkError> {
        match self {
            Self::Webhook(webhook) => webhook.send(notice).await,
            Self::Mail(mail) => mail.send(notice).await,
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Webhook(_) => "webhook",
            Self::Mail(_) => "smtp",
        }
    }
}

/// Sends pending notices while this process holds the duty lease. Never returns.
#[truing_core::boxed_future]
pub async fn send_notices_forever(
    store: &dyn RecordStore,
    sinks: &NoticeSinks,
    interval: Duration,
    duty_lease: &DutyLeaseExpiry,
) -> Infallible {
    let mut tick = tokio::time::interval(interval);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        if !duty_lease.is_held() {
            continue;
        }
        if let Err(error) = sinks.deliver_pending(store).await {
            tracing::error!(%error, "could not send notices");
        }
    }
}

/// Adds a notice that a slot is parked, at most once a day for each slot. The notice is stored before the
/// slot is parked, so a crash between the two cannot lose the notice. The notice is sent later.
#[truing_core::boxed_future]
pub async fn queue_parked_notice(store: &dyn RecordStore, key: &SlotKey, attempts: u32, now: UnixMillis) {
    if let Err(error) = try_queue_parked_notice(store, key, attempts, now).await {
        tracing::warn!(%key, %error, "could not queue the notice that the slot is parked");
    }
}

async fn try_queue_parked_notice(
    store: &dyn RecordStore,
    key: &SlotKey,
    attempts: u32,
    now: UnixMillis,
) -> Result<(), StoreError> {
    let described = store.descriptions(std::slice::from_ref(key)).await?.into_iter().flatten().next();
    let name = described.as_ref().map_or(key.as_str(), |described| &described.name);
    let text = format!(
        "{name} is parked after {attempts} failed attempts. `truing why {name}` says why, `truing queue \
         retry {name}` starts over."
    );
    store.queue_notices(&[NewNotice::new(NoticeKind::Parked, key.as_str(), &utc_day(now), &text)]).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_the_day_in_utc() {
        assert_eq!(utc_day(UnixMillis(1_790_000_000_000)), "2026-09-21");
        assert_eq!(utc_day(UnixMillis(-1)), "1969-12-31");
    }
}
