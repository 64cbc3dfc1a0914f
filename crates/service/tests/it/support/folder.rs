//! Folders for records that a test writes frequently.

use std::path::Path;

use tempfile::TempDir;

/// The folder in which Linux keeps files in memory.
const MEMORY: &str = "/dev/shm";

/// Makes a folder in memory if the system has that, else on the disk. The store and git flush the disk after
/// every record, which no test here needs: they crash a process, and not the machine.
pub(crate) fn in_memory() -> TempDir {
    let memory = Path::new(MEMORY);
    let folder = memory.is_dir().then(|| tempfile::tempdir_in(memory).ok()).flatten();
    folder.unwrap_or_else(|| tempfile::tempdir().unwrap())
}
