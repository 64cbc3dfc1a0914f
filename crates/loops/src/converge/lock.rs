//! A file lock that allows only one run at a time on a branch of a local repository. When the process that
//! holds the lock exits, the kernel releases the lock.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use truing_core::id::{RunId, SlotKey};

/// Maximum number of bytes that are read from a lock file. The file contains only the id of a run.
const MAX_LOCK_FILE_BYTES: u64 = 256;

/// The reason why the lock cannot be acquired.
#[derive(Debug, thiserror::Error)]
pub enum RunLockError {
    /// The run with this id holds the lock.
    #[error("already running: {0}")]
    AlreadyRunning(String),
    /// The folder or the file cannot be used.
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
}

/// The lock on the branch that a key names. The lock is released when this value is dropped or the process
/// exits.
#[derive(Debug)]
pub struct RunLock {
    file: File,
}

impl RunLock {
    /// Acquires the lock. The lock file is in a folder that belongs to the user.
    ///
    /// # Errors
    /// [`RunLockError`]
    pub fn acquire(folder: &Path, key: &SlotKey) -> Result<Self, RunLockError> {
        let path = lock_path(folder, key);
        let to_lock_error = |source| RunLockError::Io { path: path.clone(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(to_lock_error)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut file = options.open(&path).map_err(to_lock_error)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { file }),
            Err(TryLockError::WouldBlock) => {
                let mut run = String::new();
                (&mut file).take(MAX_LOCK_FILE_BYTES).read_to_string(&mut run).map_err(to_lock_error)?;
                Err(RunLockError::AlreadyRunning(if run.is_empty() {
                    "it has just started".to_owned()
                } else {
                    run
                }))
            }
            Err(TryLockError::Error(source)) => Err(to_lock_error(source)),
        }
    }

    /// True if a run holds the lock on the branch of this key. If the lock file does not exist, it is not
    /// created.
    ///
    /// # Errors
    /// [`RunLockError::Io`]
    pub fn is_held(folder: &Path, key: &SlotKey) -> Result<bool, RunLockError> {
        let path = lock_path(folder, key);
        let to_lock_error = |source| RunLockError::Io { path: path.clone(), source };
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(to_lock_error(error)),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(source)) => Err(to_lock_error(source)),
        }
    }

    /// Writes the run's id into the lock file, for other processes.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write_run_id(&mut self, run: &RunId) -> io::Result<()> {
        self.file.rewind()?;
        self.file.set_len(0)?;
        self.file.write_all(run.as_str().as_bytes())
    }
}

fn lock_path(folder: &Path, key: &SlotKey) -> PathBuf {
    let name = hex::encode(Sha256::digest(key.as_str().as_bytes()));
    folder.join(format!("{name}.lock"))
}
