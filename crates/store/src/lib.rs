//! The storage of a service: [`Store`] implements the ports for slots, records and operations. [`ServeLock`]
//! prevents a second process from serving the same SQLite file. [`CommandLock`] announces to the server that
//! a command leases slots. This crate stores each slot exactly as the core created it, and does not decide
//! how a slot changes. The only values that this crate compares are fencing tokens: it refuses the writes of
//! a run that a newer run has replaced.

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

pub use self::lock::{
    CommandLock, ServeLock, ServeLockError, ServeLockHolder, check_serve_lock, is_out_of_space, is_served,
    serving_process,
};
pub use self::postgres::PostgresConnectError;
pub use self::read_only::SchemaVersions;
pub use self::sqlite::{BackupError, SqliteOpenError};
pub use self::store::Store;
pub use self::tables::{
    FindingCount, KeySpend, PostedFinding, RunDeletionCursor, RunEndCount, RunEntry, StoreStatistics,
};
pub use self::transfer::{CopiedPage, NulPolicy, TableComparison, TransferError};
pub use self::valkey::ValkeyConnectError;
pub use self::watch::WriteMetrics;
