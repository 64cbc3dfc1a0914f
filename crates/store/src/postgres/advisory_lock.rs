//! An exclusive right to copy data into a database. If several processes want to copy, only one has the right
//! at a time. The right is an advisory lock on a session, so PostgreSQL releases it when the session of its
//! holder ends.

use std::time::Duration;

use deadpool_postgres::Object;
use truing_core::port::StoreError;

use super::{PostgresDatabase, SESSION_TIMEOUT, fault};

/// The key of the lock. The key may be any constant other than the key of the migration lock.
const COPY_LOCK_KEY: i64 = 0x5472_7566;
/// Number of attempts to take the lock. The server may notice only after a delay that the previous holder has
/// disconnected.
const MAX_LOCK_ATTEMPTS: u32 = 20;
const LOCK_RETRY_DELAY: Duration = Duration::from_millis(100);

/// The exclusive right to copy data into the database. The right ends when this value is dropped or the
/// process exits.
pub(crate) struct AdvisoryLock(Option<Object>);

impl Drop for AdvisoryLock {
    fn drop(&mut self) {
        // The session does not return to the pool, because a pooled session would keep the lock.
        drop(self.0.take().map(Object::take));
    }
}

impl PostgresDatabase {
    /// Tries to get the exclusive right to copy data into the database. Returns none if another process has
    /// the right.
    pub(crate) async fn try_acquire_copy_lock(&self) -> Result<Option<AdvisoryLock>, StoreError> {
        let client =
            self.pool.get().await.map_err(|error| fault::missing_session_error(&self.name, &error))?;
        let alone = AdvisoryLock(Some(client));
        let Some(client) = &alone.0 else { return Ok(None) };
        for at in 0..MAX_LOCK_ATTEMPTS {
            let asked = client.query_one("SELECT pg_try_advisory_lock($1)", &[&COPY_LOCK_KEY]);
            let row = match tokio::time::timeout(SESSION_TIMEOUT, asked).await {
                Ok(asked) => asked.map_err(|error| fault::store_error(error.into(), &self.name))?,
                Err(_) => {
                    return Err(StoreError::Unavailable(format!(
                        "{}: {}",
                        self.name,
                        fault::timeout_message()
                    )));
                }
            };
            if row.get(0) {
                return Ok(Some(alone));
            }
            if at + 1 < MAX_LOCK_ATTEMPTS {
                tokio::time::sleep(LOCK_RETRY_DELAY).await;
            }
        }
        Ok(None)
    }
}
