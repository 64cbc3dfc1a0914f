//! The name that a database is opened by. SQLite keeps its log beside that name, so a file that a server has open by another one
//! (a mount of the file) would get a second log, and what is in one of them would be lost. A file that took the place of a
//! server's is not looked at by that.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::database_file::file_at;
use super::open::SqliteOpenError;
use crate::lock::{LockState, lock_state};

/// How many stores of this process have a file open, by its device and number.
static OPEN: Mutex<BTreeMap<(u64, u64), usize>> = Mutex::new(BTreeMap::new());

/// That a store of this process has a file open.
pub(super) struct OpenFileGuard(Option<(u64, u64)>);

impl OpenFileGuard {
    /// To be called before SQLite opens the file.
    ///
    /// # Errors
    /// [`SqliteOpenError::Served`], [`SqliteOpenError::Replaced`]
    pub(super) fn of(path: &Path) -> Result<Self, SqliteOpenError> {
        let file = file_at(path).filter(|_| path.is_file());
        let Some(id) = file else { return Ok(Self(None)) };
        let mut open = counts();
        let count = open.entry(id).or_default();
        // To look is to open and to close it, which ends all locks that SQLite has on it in this process.
        let state = if *count == 0 { lock_state(path) } else { LockState::Right };
        match state {
            LockState::Right => *count += 1,
            LockState::Elsewhere => return Err(SqliteOpenError::Served { path: path.into() }),
            LockState::Replaced(server) => {
                return Err(SqliteOpenError::Replaced { path: path.into(), server });
            }
        }
        Ok(Self(Some(id)))
    }
}

impl Drop for OpenFileGuard {
    fn drop(&mut self) {
        let Some(id) = &self.0 else { return };
        let mut open = counts();
        if let Some(count) = open.get_mut(id) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                open.remove(id);
            }
        }
    }
}

fn counts() -> MutexGuard<'static, BTreeMap<(u64, u64), usize>> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}
