//! Grants the duty lease, whose holder alone performs certain duties: the sweep, commands in comments,
//! notices, and the deletion of old rows. The store grants the lease for 30 s, and the holder renews the
//! lease every 5 s. If a holder hangs, two processes may believe for a short time that they hold the lease.
//! This is harmless, because every duty can be performed twice without an error.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use truing_core::id::TimeSpan;
use truing_core::port::RecordStore;

/// Duration of the lease on the duties.
const LENT: Duration = Duration::from_secs(30);
/// Interval between two renewals, or attempts to get the lease.
const RENEW: Duration = Duration::from_secs(5);
/// Timeout for giving back the lease.
const LEAVE: Duration = Duration::from_secs(2);

/// The time at which this process's duty lease ends. All clones of this value share the time.
#[derive(Clone, Debug, Default)]
pub struct DutyLeaseExpiry(Arc<Mutex<Option<Instant>>>);

impl DutyLeaseExpiry {
    /// Returns true while this process holds the lease.
    pub fn is_ours(&self) -> bool {
        self.expires_at().is_some_and(|until| Instant::now() < until)
    }

    fn expires_at(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, expiry: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = expiry;
    }
}

/// Renews the lease, or tries to get the lease, at intervals of `RENEW`. Never returns.
#[truing_core::boxed_future]
pub async fn renew_lease_forever(store: Arc<dyn RecordStore>, sole: DutyLeaseExpiry) {
    loop {
        tokio::time::sleep(RENEW).await;
        renew_lease(&*store, &sole).await;
    }
}

/// Requests the lease once.
#[truing_core::boxed_future]
pub async fn renew_lease(store: &dyn RecordStore, sole: &DutyLeaseExpiry) {
    let (asked, had) = (Instant::now(), sole.is_ours());
    match store.lease_sole_duties(TimeSpan(i64::try_from(LENT.as_millis()).unwrap_or(i64::MAX))).await {
        Ok(true) => {
            sole.set(Some(asked + LENT));
            if !had {
                tracing::info!(
                    "this process holds the lease of the sweep: it sweeps, runs commands from comments, \
                        sends notices and deletes old rows"
                );
            }
        }
        Ok(false) => sole.set(None),
        // After an error, this process still holds the lease until the lease expires.
        Err(error) => tracing::warn!(%error, "could not renew the lease of the sweep"),
    }
}

/// Gives the duty lease back, so that another process can get it before it expires.
#[truing_core::boxed_future]
pub async fn release_lease(store: &dyn RecordStore, sole: &DutyLeaseExpiry) {
    if sole.is_ours() {
        sole.set(None);
        let _ = tokio::time::timeout(LEAVE, store.lease_sole_duties(TimeSpan(0))).await;
    }
}
