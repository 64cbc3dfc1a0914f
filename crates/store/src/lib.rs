//! The storage of a service: [`Store`] implements the ports for slots, records and operations. [`ServeLock`]
//! prevents a second process from serving from the same SQLite file, and [`CommandLock`] lets commands
//! announce their work to the server. This crate stores each slot exactly as the core created it, and makes
//! no decisions about slots. It only compares fencing tokens, to refuse writes of a run that a newer run has
//! replaced.

mod clock;
mod due;
mod fault;
mod lock;
mod postgres;
mod read_only;
mod sql;
mod sqlite;
mod store;
mod tables;
mod tls;
mod transfer;
mod valkey;
mod watch;

pub use self::lock::{CommandLock, ServeLock, ServeLockError, ServeLockHolder, is_served, serving_process};
pub use self::postgres::PostgresConnectError;
pub use self::read_only::SchemaVersions;
pub use self::sqlite::{BackupError, SqliteOpenError};
pub use self::store::Store;
pub use self::tables::{
    FindingCount, KeySpend, PostedFinding, RunDeletionCursor, RunEndCount, RunEntry, StoreStatistics,
};
pub use self::transfer::{CopiedPage, NulPolicy, TableComparison, TransferError};
pub use self::valkey::SlotsError;
pub use self::watch::WriteMetrics;
