//! Folders for records that a test writes frequently.

use std::path::Path;

use tempfile::TempDir;

/// The folder in which Linux keeps files in memory.
const MEMORY: &str = "/dev/shm";

/// Creates a folder in memory if the system supports this, and otherwise on the disk. On a disk, the store
/// and git would flush after every record. The tests do not need that, because they crash a process and not
/// the machine.
pub(crate) fn in_memory() -> TempDir {
    let memory = Path::new(MEMORY);
    let folder = memory.is_dir().then(|| tempfile::tempdir_in(memory).ok()).flatten();
    folder.unwrap_or_else(|| tempfile::tempdir().unwrap())
}
