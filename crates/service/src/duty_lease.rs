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
const LEASE_DURATION: Duration = Duration::from_secs(30);
/// Interval between two renewals, or attempts to get the lease.
const RENEWAL_INTERVAL: Duration = Duration::from_secs(5);
/// Timeout for giving back the lease.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(2);

/// The time at which this process's duty lease ends. All clones of this value share the time.
#[derive(Clone, Debug, Default)]
pub struct DutyLeaseExpiry(Arc<Mutex<Option<Instant>>>);

impl DutyLeaseExpiry {
    /// Returns true while this process holds the lease.
    pub fn is_held(&self) -> bool {
        self.expires_at().is_some_and(|until| Instant::now() < until)
    }

    fn expires_at(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, expiry: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = expiry;
    }
}

/// Renews the lease, or tries to get the lease, at intervals of `RENEWAL_INTERVAL`. Never returns.
#[truing_core::boxed_future]
pub async fn renew_lease_forever(store: Arc<dyn RecordStore>, lease_expiry: DutyLeaseExpiry) {
    loop {
        tokio::time::sleep(RENEWAL_INTERVAL).await;
        renew_lease(&*store, &lease_expiry).await;
    }
}

/// Requests the lease once.
#[truing_core::boxed_future]
pub async fn renew_lease(store: &dyn RecordStore, lease_expiry: &DutyLeaseExpiry) {
    let (asked, had) = (Instant::now(), lease_expiry.is_held());
    match store
        .lease_exclusive_tasks(TimeSpan(i64::try_from(LEASE_DURATION.as_millis()).unwrap_or(i64::MAX)))
        .await
    {
        Ok(true) => {
            lease_expiry.set(Some(asked + LEASE_DURATION));
            if !had {
                tracing::info!(
                    "this process holds the lease of the sweep: it sweeps, runs commands from comments, \
                        sends notices and deletes old rows"
                );
            }
        }
        Ok(false) => lease_expiry.set(None),
        // After an error, this process still holds the lease until the lease expires.
        Err(error) => tracing::warn!(%error, "could not renew the lease of the sweep"),
    }
}

/// Gives the duty lease back, so that another process can get it before it expires.
#[truing_core::boxed_future]
pub async fn release_lease(store: &dyn RecordStore, lease_expiry: &DutyLeaseExpiry) {
    if lease_expiry.is_held() {
        lease_expiry.set(None);
        let _ = tokio::time::timeout(RELEASE_TIMEOUT, store.lease_exclusive_tasks(TimeSpan(0))).await;
    }
}
