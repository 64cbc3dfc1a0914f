//! Folders for records that are written often during a test.

use std::path::Path;

use tempfile::TempDir;

/// The folder in which Linux keeps files in memory.
const MEMORY: &str = "/dev/shm";

/// Creates a folder in memory if the system supports this, and otherwise on the disk. On a disk, the store
/// and git would wait until each write is on the disk. The tests do not need this, because only processes
/// crash in them, not the machine.
pub(crate) fn in_memory() -> TempDir {
    let memory = Path::new(MEMORY);
    let folder = memory.is_dir().then(|| tempfile::tempdir_in(memory).ok()).flatten();
    folder.unwrap_or_else(|| tempfile::tempdir().unwrap())
}
