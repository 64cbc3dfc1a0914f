//! The location of a store in either deployment, and copies of stores from which tests start.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use truing_core::port::Clock;
use truing_store::{NulPolicy, Store};

use super::postgres::Server;
use super::valkey::SlotServer;

/// The deployments of a store that tests use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Deployment {
    /// One file of SQLite.
    File,
    /// Valkey (or Redis) with PostgreSQL.
    Servers,
}

/// The place of a store.
pub(crate) enum Home {
    File(PathBuf),
    Servers { slots: String, records: String },
}

impl Home {
    /// Returns the location of a new store. In the deployment with a file, it is `file`.
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

    /// Makes a place with the content of a copy.
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

    /// Opens the store, as one more process would.
    pub(crate) async fn open(&self, clock: Arc<dyn Clock>) -> Store {
        match self {
            Self::File(file) => Store::open(file, clock).unwrap(),
            Self::Servers { slots, records } => Store::connect(slots, records, Some(clock)).await.unwrap(),
        }
    }
}

/// Writes everything of a store to a new file.
pub(crate) async fn copy(store: &Store, file: &Path, clock: Arc<dyn Clock>) {
    if store.path().is_some() {
        return store.backup(file).await.unwrap();
    }
    let to = Store::open_for_transfer(file, clock).unwrap();
    store.copy_to(&to, NulPolicy::Refuse, |_| ()).await.unwrap();
}
