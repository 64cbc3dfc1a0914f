//! The location of a store in a file or on servers, and copies of stores from which tests start.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use truing_core::port::Clock;
use truing_store::{NulPolicy, Store};

use super::postgres::Server;
use super::valkey::SlotServer;

/// The kinds of servers or files in which a store keeps its data.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Deployment {
    File,
    /// Valkey (or Redis) with PostgreSQL.
    Servers,
}

/// The location of a store.
pub(crate) enum Home {
    File(PathBuf),
    Servers { slots: String, records: String },
}

impl Home {
    /// Returns the location of a new store. For a store in a file, this is `file`; for a store on servers,
    /// new databases are created.
    pub(crate) fn new(deployment: Deployment, file: PathBuf) -> Self {
        match deployment {
            Deployment::File => Self::File(file),
            Deployment::Servers => {
                let (slots, records) = (SlotServer::new_database(), Server::shared_server().new_database());
                let (slots, records) =
                    (SlotServer::shared_server().url(slots), Server::shared_server().url(&records));
                Self::Servers { slots, records }
            }
        }
    }

    /// Returns the location of a new store into which the content of `copy` was copied.
    pub(crate) async fn of_copy(deployment: Deployment, file: PathBuf, copy: &Path) -> Self {
        let home = Self::new(deployment, file);
        match &home {
            Self::File(file) => drop(std::fs::copy(copy, file).unwrap()),
            Self::Servers { slots, records } => {
                let clock = Arc::new(truing_loops::machine::SystemClock);
                let from = Store::open(copy, clock).unwrap();
                let to = Store::connect_for_transfer(slots, records, None).await.unwrap();
                from.copy_to(&to, NulPolicy::Refuse, |_| ()).await.unwrap();
            }
        }
        home
    }

    /// Opens the store, as another process would.
    pub(crate) async fn open(&self, clock: Arc<dyn Clock>) -> Store {
        match self {
            Self::File(file) => Store::open(file, clock).unwrap(),
            Self::Servers { slots, records } => Store::connect(slots, records, Some(clock)).await.unwrap(),
        }
    }
}

/// Copies the whole content of a store to a new file.
pub(crate) async fn copy(store: &Store, file: &Path, clock: Arc<dyn Clock>) {
    if store.path().is_some() {
        return store.backup(file).await.unwrap();
    }
    let to = Store::open_for_transfer(file, clock).unwrap();
    store.copy_to(&to, NulPolicy::Refuse, |_| ()).await.unwrap();
}
