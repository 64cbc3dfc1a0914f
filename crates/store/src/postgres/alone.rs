//! The right to fill a database: of several processes that copy a store into it one has the right at a time. It is a lock of the
//! server on a session, so it ends with its holder, however that ends.

use std::time::Duration;

use deadpool_postgres::Object;
use truing_core::port::StoreError;

use super::{PATIENCE, PostgresDatabase, fault};

/// The lock. Any number but that of migrations, as long as it stays.
const LOCK: i64 = 0x5472_7566;
/// Times that it is tried: the server may take a moment to notice that its last holder is gone.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(100);

/// The right. Dropping it, or dying, gives it up.
pub(crate) struct AdvisoryLock(Option<Object>);

impl Drop for AdvisoryLock {
    fn drop(&mut self) {
        // Not back to the pool: the lock would live on with the session.
        drop(self.0.take().map(Object::take));
    }
}

impl PostgresDatabase {
    /// Takes the right to fill it; none if another process has it.
    pub(crate) async fn alone(&self) -> Result<Option<AdvisoryLock>, StoreError> {
        let client = self.pool.get().await.map_err(|error| fault::no_session(&self.name, &error))?;
        let alone = AdvisoryLock(Some(client));
        let Some(client) = &alone.0 else { return Ok(None) };
        for at in 0..TRIES {
            let asked = client.query_one("SELECT pg_try_advisory_lock($1)", &[&LOCK]);
            let row = match tokio::time::timeout(PATIENCE, asked).await {
                Ok(asked) => asked.map_err(|error| fault::told(error.into(), &self.name))?,
                Err(_) => return Err(StoreError::Unavailable(format!("{}: {}", self.name, fault::silent()))),
            };
            if row.get(0) {
                return Ok(Some(alone));
            }
            if at + 1 < TRIES {
                tokio::time::sleep(PAUSE).await;
            }
        }
        Ok(None)
    }
}
