//! What is remembered: [`Sqlite`] implements the ports for slots, records and operations on one SQLite file, and
//! [`ServeLock`] keeps a second serving process off that file. [`CommandLock`] tells it of commands at work beside it.
//!
//! No decisions are made here. A slot is kept as the core made it, and what a run may write is decided by one
//! comparison of fencing tokens.

mod lock;
mod sqlite;

pub use self::lock::{CommandLock, Held, LockError, ServeLock, is_served, server_of};
pub use self::sqlite::{BackupError, Census, Ended, Meter, OpenError, RunEntry, RunMark, Sqlite};
