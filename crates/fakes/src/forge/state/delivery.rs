//! Deliveries of webhooks that wait to be sent, and what a Data Center remembers of those that failed.

use bytes::Bytes;

use crate::forge::flavour::ForgeFlavour;

/// Deliveries that wait to be sent; the oldest is forgotten for one more.
pub const MAX_QUEUED: usize = 10_000;

/// Where deliveries go.
#[derive(Clone, Debug)]
pub struct DeliveryHook {
    /// The address to post to.
    pub url: String,
    /// The key they are signed with.
    pub secret: String,
    /// Sent as changes happen? Otherwise they wait for [`crate::forge::FakeForge::pending`].
    pub automatic: bool,
}

/// One event as it goes over the wire. Sending it again is a redelivery: the same id and the same bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FakeDelivery {
    /// The kind of forge that sends it, and with it the names of its headers.
    pub flavour: ForgeFlavour,
    /// `X-GitHub-Delivery`, `X-Request-UUID` or `X-Request-Id`: names the event.
    pub id: String,
    /// `X-GitHub-Event` or `X-Event-Key`.
    pub event: String,
    /// The payload's `action`; at Bitbucket what follows the colon of the event.
    pub action: String,
    /// The pull request's number.
    pub number: u64,
    /// The payload.
    pub body: Bytes,
}

/// Failures of a hook, one after another, from which on a Data Center leaves it out (facts: 5).
const MAX_FAILURES: u32 = 5;
/// Seconds for which it is left out at first, and at most; each further failure doubles them (facts: 10 s to
/// 10 h).
const LEFT_OUT: (i64, i64) = (10, 36_000);

/// What a Data Center remembers of the deliveries of its hook.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct HookBreaker {
    failures: u32,
    /// The time until which nothing is sent, seconds since 1970.
    until: i64,
}

impl HookBreaker {
    /// Is the hook left out at this time?
    pub(crate) fn leaves_out(&self, now: i64) -> bool {
        now < self.until
    }

    /// A delivery was answered, or not.
    pub(crate) fn note(&mut self, done: bool, now: i64) {
        if done {
            *self = Self::default();
            return;
        }
        self.failures = self.failures.saturating_add(1);
        if let Some(more) = self.failures.checked_sub(MAX_FAILURES) {
            let seconds = LEFT_OUT.0.saturating_mul(1_i64.checked_shl(more.min(30)).unwrap_or(i64::MAX));
            self.until = now.saturating_add(seconds.min(LEFT_OUT.1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_breaker_opens_after_five_failures_and_waits_longer_each_time() {
        let mut breaker = HookBreaker::default();
        for _ in 0..4 {
            breaker.note(false, 100);
        }
        assert!(!breaker.leaves_out(100));
        breaker.note(false, 100);
        assert!(breaker.leaves_out(109) && !breaker.leaves_out(110));
        breaker.note(false, 110);
        assert!(breaker.leaves_out(129) && !breaker.leaves_out(130));
        for _ in 0..50 {
            breaker.note(false, 130);
        }
        assert!(breaker.leaves_out(130 + 35_999) && !breaker.leaves_out(130 + 36_000));
        breaker.note(true, 40_000);
        breaker.note(false, 40_000);
        assert!(!breaker.leaves_out(40_000), "a success starts the count again");
    }
}
