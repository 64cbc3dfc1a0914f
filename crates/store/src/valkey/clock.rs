//! A clock with the time of the Valkey server. The server's time is read from time to time. Between two
//! reads, the time is advanced by this machine's clock. Machines with different clocks therefore use the same
//! time.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::SystemTime;

use truing_core::id::UnixMillis;
use truing_core::port::Clock;

/// The server's clock, estimated from this machine's clock.
pub(super) struct ServerClock {
    /// Clock for tests, in place of the server's clock.
    test_clock: Option<Arc<dyn Clock>>,
    /// Milliseconds by which the server's clock was ahead of this machine's clock at the server's last
    /// response.
    offset_ms: AtomicI64,
}

impl ServerClock {
    pub(super) fn new(test_clock: Option<Arc<dyn Clock>>) -> Self {
        Self { test_clock, offset_ms: AtomicI64::new(0) }
    }

    /// Sets this clock to the server's time.
    pub(super) fn adopt_server_time(&self, server: UnixMillis) {
        self.offset_ms.store(server.0.saturating_sub(local_millis()), Ordering::Relaxed);
    }
}

impl Clock for ServerClock {
    fn now(&self) -> UnixMillis {
        match &self.test_clock {
            Some(clock) => clock.now(),
            None => UnixMillis(local_millis().saturating_add(self.offset_ms.load(Ordering::Relaxed))),
        }
    }
}

/// Returns this machine's clock in milliseconds.
fn local_millis() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_whose_clocks_differ_agree_on_the_servers() {
        let clock = ServerClock::new(None);
        for ahead in [300_000, -300_000, 0] {
            clock.adopt_server_time(UnixMillis(local_millis() + ahead));
            let off = clock.now().0 - local_millis() - ahead;
            assert!(off.abs() < 60_000, "{ahead}: off by {off} ms");
        }
    }
}
