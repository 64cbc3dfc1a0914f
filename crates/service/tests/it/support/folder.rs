//! Folders for records that a test writes again and again.

use std::path::Path;

use tempfile::TempDir;

/// Where Linux keeps files in memory.
const MEMORY: &str = "/dev/shm";

/// A folder in memory where the system has that, else one on the disk. The store and git wait for the disk after
/// every record, which no test here needs: what they crash is a process, and not the machine.
pub(crate) fn in_memory() -> TempDir {
    let memory = Path::new(MEMORY);
    let folder = memory.is_dir().then(|| tempfile::tempdir_in(memory).ok()).flatten();
    folder.unwrap_or_else(|| tempfile::tempdir().unwrap())
}
