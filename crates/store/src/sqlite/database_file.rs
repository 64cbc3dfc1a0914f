//! The identity of the file that was at the store's path when the store was opened. A different identity
//! later means that the file was replaced.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;

use truing_core::port::StoreError;

/// A database file: its path, and the identity that the file at this path had when it was opened.
pub(crate) struct DatabaseFile {
    path: Arc<Path>,
    /// Device and inode of the file when it was opened.
    opened_file_identity: Option<(u64, u64)>,
}

impl DatabaseFile {
    pub(super) fn from_path(path: Arc<Path>) -> Self {
        let file = device_and_inode(&path);
        Self { path, opened_file_identity: file }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns an error if the file that was opened is no longer at its path.
    pub(crate) fn check_in_place(&self) -> Result<(), StoreError> {
        if device_and_inode(&self.path) == self.opened_file_identity {
            return Ok(());
        }
        Err(StoreError::Unavailable(format!(
            "{} was deleted or replaced after it was opened: all writes would be lost; stop this process, \
                put the file back, and start the process again",
            self.path.display()
        )))
    }
}

/// Returns the device and inode of the file at this path.
pub(super) fn device_and_inode(path: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(path).ok().map(|file| (file.dev(), file.ino()))
}
