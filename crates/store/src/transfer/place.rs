//! The two stores of a transfer: their names for people, and the right to read one and to fill the other.

use std::fs::File;

use crate::lock::{self, LockError, ServeLock};
use crate::postgres::Alone;
use crate::store::{Engine, Store, apart};

use super::fault::TransferError;

/// The words of a process that fills a file, in its lock.
const LISTEN: &str = "truing store migrate";

/// The name of a store for people: a path, or two servers, without passwords.
pub(super) fn name(store: &Store) -> String {
    match (&store.0.engine, &store.0.valkey) {
        (Engine::Sqlite(file), _) => {
            let path = file.path();
            path.canonicalize().unwrap_or_else(|_| path.to_owned()).display().to_string()
        }
        (Engine::Postgres(database), Some(valkey)) => format!("{} with {}", database.name(), valkey.name()),
        (Engine::Postgres(database), None) => database.name().to_owned(),
    }
}

/// The place of a store's slots, which a transfer that goes on has to find again.
pub(super) fn slots_name(store: &Store) -> String {
    store.0.valkey.as_ref().map_or("", |valkey| valkey.name()).to_owned()
}

/// Is any part of one store a part of the other?
pub(super) fn share(one: &Store, other: &Store) -> bool {
    let slots = slots_name(one);
    let records = |store: &Store| match &store.0.engine {
        Engine::Sqlite(_) => name(store),
        Engine::Postgres(database) => database.name().to_owned(),
    };
    records(one) == records(other) || (!slots.is_empty() && slots == slots_name(other))
}

/// Does the store keep texts in PostgreSQL?
pub(super) fn is_postgres(store: &Store) -> bool {
    match &store.0.engine {
        Engine::Sqlite(_) => false,
        Engine::Postgres(_) => true,
    }
}

/// The right to read a source that does not change: no command leases its slots, nor begins to before this is dropped.
pub(super) fn still(source: &Store) -> Result<Option<File>, TransferError> {
    let Some(path) = source.path() else { return Ok(None) };
    match lock::alone(path)? {
        Some(lock) => Ok(Some(lock)),
        None => Err(TransferError::AtWork { source_name: name(source) }),
    }
}

/// The right to fill a target, which nobody serves.
pub(super) enum Right {
    File { _lock: ServeLock },
    Database { _lock: Box<Alone> },
}

impl Right {
    pub(super) async fn take(target: &Store) -> Result<Self, TransferError> {
        let busy = |by: String| TransferError::Busy { target: name(target), by };
        match &target.0.engine {
            Engine::Sqlite(file) => match ServeLock::take(file.path(), LISTEN, target.0.clock.now()) {
                Ok(_lock) => Ok(Self::File { _lock }),
                Err(LockError::Held { holder, .. }) => Err(busy(lock::by(&holder))),
                Err(error @ (LockError::Linked { .. } | LockError::Io { .. })) => Err(error.into()),
            },
            Engine::Postgres(database) => match apart(|| database.alone()).await? {
                Some(lock) => Ok(Self::Database { _lock: Box::new(lock) }),
                None => Err(busy(String::new())),
            },
        }
    }
}
