//! Checks the name under which a database file is opened. SQLite keeps its log beside that name. If a server
//! has the file open under another name, such as the path of a mount, the file would get a second log. The
//! content of one of these logs would be lost. A file that replaced the open file of a running server is
//! refused as well, because that server would not use the new file.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::database_file::device_and_inode;
use super::open::SqliteOpenError;
use crate::lock::{ServeLockState, lock_state};

/// Number of this process's stores that have a file open. The key is the file's device and inode.
static OPEN_STORE_COUNTS: Mutex<BTreeMap<(u64, u64), usize>> = Mutex::new(BTreeMap::new());

/// Records that a store of this process has a file open. Dropping the guard removes the record.
pub(super) struct OpenFileGuard(Option<(u64, u64)>);

impl OpenFileGuard {
    /// Checks the file, and counts it as open. The caller must do this before SQLite opens the file.
    ///
    /// # Errors
    /// [`SqliteOpenError::ServedByOtherName`], [`SqliteOpenError::FileReplaced`]
    pub(super) fn acquire(path: &Path) -> Result<Self, SqliteOpenError> {
        let file = device_and_inode(path).filter(|_| path.is_file());
        let Some(id) = file else { return Ok(Self(None)) };
        let mut open = lock_open_counts();
        let count = open.entry(id).or_default();
        // The check opens and closes the file, which releases all locks that SQLite has on the file in this
        // process. The check is therefore skipped if another store of this process has the file open.
        let state = if *count == 0 { lock_state(path) } else { ServeLockState::NoConflict };
        match state {
            ServeLockState::NoConflict => *count += 1,
            ServeLockState::ServedByOtherName => {
                return Err(SqliteOpenError::ServedByOtherName { path: path.into() });
            }
            ServeLockState::FileReplaced(server) => {
                return Err(SqliteOpenError::FileReplaced { path: path.into(), server });
            }
        }
        Ok(Self(Some(id)))
    }
}

impl Drop for OpenFileGuard {
    fn drop(&mut self) {
        let Some(id) = &self.0 else { return };
        let mut open = lock_open_counts();
        if let Some(count) = open.get_mut(id) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                open.remove(id);
            }
        }
    }
}

fn lock_open_counts() -> MutexGuard<'static, BTreeMap<(u64, u64), usize>> {
    OPEN_STORE_COUNTS.lock().unwrap_or_else(PoisonError::into_inner)
}
