//! Queued webhook deliveries, and the count of failed deliveries at a Data Center.

use bytes::Bytes;

use crate::forge::flavour::ForgeFlavour;

/// Maximum number of queued deliveries. If this number is exceeded, the oldest delivery is dropped.
pub const MAX_QUEUED_DELIVERIES: usize = 10_000;

/// The webhook to which deliveries are sent.
#[derive(Clone, Debug)]
pub struct WebhookTarget {
    /// URL to which deliveries are posted.
    pub url: String,
    /// Key that signs the deliveries.
    pub secret: String,
    /// True if each delivery is sent immediately after its change. Otherwise, deliveries are queued until
    /// [`crate::forge::FakeForge::take_deliveries`] is called.
    pub is_automatic: bool,
}

/// The message about one event. A delivery that is sent again has the same id and the same bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FakeDelivery {
    /// Kind of forge that sends the delivery. The kind determines the names of the headers.
    pub flavour: ForgeFlavour,
    /// Id of the event: `X-GitHub-Delivery`, `X-Request-UUID` or `X-Request-Id`.
    pub id: String,
    /// Name of the event: `X-GitHub-Event` or `X-Event-Key`.
    pub event: String,
    /// Field `action` of the payload; at Bitbucket, the part of the event's name after the last colon.
    pub action: String,
    /// Number of the pull request.
    pub pull_number: u64,
    pub body: Bytes,
}

/// Number of consecutive failures after which a Data Center skips a webhook.
const MAX_FAILURES: u32 = 5;
/// First and maximum duration for which a failing webhook is skipped, in seconds: 10 s and 10 h. Each further
/// failure doubles the duration.
const SKIP_SECONDS_RANGE: (i64, i64) = (10, 36_000);

/// The delivery failures of a webhook at a Data Center.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct WebhookCircuitBreaker {
    failures: u32,
    /// Time until which the webhook is skipped, in seconds since 1970.
    skipped_until: i64,
}

impl WebhookCircuitBreaker {
    /// Returns true if the webhook is skipped at this time.
    pub(crate) fn is_skipping(&self, now: i64) -> bool {
        now < self.skipped_until
    }

    /// Records the success or the failure of a delivery.
    pub(crate) fn record_delivery(&mut self, succeeded: bool, now: i64) {
        if succeeded {
            *self = Self::default();
            return;
        }
        self.failures = self.failures.saturating_add(1);
        if let Some(more) = self.failures.checked_sub(MAX_FAILURES) {
            let seconds =
                SKIP_SECONDS_RANGE.0.saturating_mul(1_i64.checked_shl(more.min(30)).unwrap_or(i64::MAX));
            self.skipped_until = now.saturating_add(seconds.min(SKIP_SECONDS_RANGE.1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_breaker_opens_after_five_failures_and_waits_longer_each_time() {
        let mut breaker = WebhookCircuitBreaker::default();
        for _ in 0..4 {
            breaker.record_delivery(false, 100);
        }
        assert!(!breaker.is_skipping(100));
        breaker.record_delivery(false, 100);
        assert!(breaker.is_skipping(109) && !breaker.is_skipping(110));
        breaker.record_delivery(false, 110);
        assert!(breaker.is_skipping(129) && !breaker.is_skipping(130));
        for _ in 0..50 {
            breaker.record_delivery(false, 130);
        }
        assert!(breaker.is_skipping(130 + 35_999) && !breaker.is_skipping(130 + 36_000));
        breaker.record_delivery(true, 40_000);
        breaker.record_delivery(false, 40_000);
        assert!(!breaker.is_skipping(40_000), "a success starts the count again");
    }
}
