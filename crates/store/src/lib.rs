//! The memory of a service: [`Store`] implements the ports for slots, records and operations, and [`ServeLock`] keeps a second
//! serving process off a SQLite file. [`CommandLock`] tells it of commands at work beside it.
//!
//! No decisions are made here. A slot is kept as the core made it, and what a run may write is decided by one
//! comparison of fencing tokens.

mod clock;
mod due;
mod fault;
mod lock;
mod look;
mod postgres;
mod sql;
mod sqlite;
mod store;
mod tables;
mod tls;
mod transfer;
mod valkey;
mod watch;

pub use self::lock::{CommandLock, ServeLock, ServeLockError, ServeLockHolder, is_served, server_of};
pub use self::look::SchemaVersions;
pub use self::postgres::PostgresConnectError;
pub use self::sqlite::{BackupError, SqliteOpenError};
pub use self::store::Store;
pub use self::tables::{FindingCount, KeySpend, PostedFinding, RunEndCount, RunEntry, RunMark, StoreCensus};
pub use self::transfer::{CopiedPage, NulPolicy, TableComparison, TransferError};
pub use self::valkey::SlotsError;
pub use self::watch::WriteMetrics;
