//! Locks of a database file: an exclusive lock for the serving process, and shared locks for commands that
//! lease slots. The kernel releases a lock when its holder exits for any reason.

use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::mem::ManuallyDrop;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use truing_core::id::UnixMillis;

/// Largest number of bytes that are read from the lock file. The file contains three short lines.
const MAX_LOCK_FILE_BYTES: u64 = 1024;

/// Number of attempts to take a lock that another process may hold for a moment, and the pause between two
/// attempts.
const MAX_LOCK_ATTEMPTS: u32 = 5;
const LOCK_RETRY_DELAY: Duration = Duration::from_millis(20);

/// The exclusive right of this process to serve from one database file. The right ends when this value is
/// dropped or the process exits.
///
/// While no command holds a [`CommandLock`], a new `ServeLock` also proves that the holders of all leases in
/// the file have exited.
#[derive(Debug)]
pub struct ServeLock {
    file: File,
    /// The database file itself. The names of a database file have separate lock files, but the database file
    /// itself is the same. The file is never closed, because closing it would release SQLite's locks on the
    /// file.
    database: ManuallyDrop<File>,
}

/// The process that serves from the database, according to the lock file.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ServeLockHolder {
    /// The process id; `None` if the process has taken the lock but not written its id yet.
    pub pid: Option<u32>,
    /// The address on which the process listens.
    pub listen_address: Option<String>,
    /// Time at which the process took the lock.
    pub locked_at: Option<UnixMillis>,
}

/// Reasons why a lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum ServeLockError {
    /// Another process serves from this database.
    #[error("{} is served already{}; stop that process, or set another `store.url` for this process",
        database.display(), holder_text(holder))]
    AlreadyServed {
        /// Path of the database.
        database: PathBuf,
        /// The process that holds the lock.
        holder: ServeLockHolder,
    },
    /// Another process serves from the same file under another name.
    #[error("{} is already served under another name (a hard link or a mount); stop the other server, or \
        set another `store.url` for this process", database.display())]
    ServedByOtherName {
        /// Path of the database.
        database: PathBuf,
    },
    /// The lock file cannot be opened, read or written.
    #[error("cannot lock {}: {source}; {}", path.display(), io_advice(source, "check its permissions"))]
    Io {
        /// Path of the lock file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
}

/// Returns the next step after an error of the system: `advice`, or to free space if the disk is full.
pub(crate) fn io_advice<'a>(error: &io::Error, advice: &'a str) -> &'a str {
    if is_out_of_space(error) { "free space on this disk" } else { advice }
}

/// Returns true if the disk is full, or this user's part of it.
pub fn is_out_of_space(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// A shared lock of a command that leases slots of one database. Several commands may hold the lock at the
/// same time. The lock ends when this value is dropped or the process exits. A server that starts while no
/// command holds this lock assumes that the leases in the file have no holder.
#[derive(Debug)]
pub struct CommandLock {
    _file: File,
}

impl CommandLock {
    /// Takes the lock. A command must take the lock before its first lease. While a starting server ends the
    /// leases of processes that have exited, it locks out commands, so this call waits.
    ///
    /// # Errors
    /// [`ServeLockError::Io`] if the lock file cannot be used.
    pub fn acquire(database: &Path) -> Result<Self, ServeLockError> {
        let path = lock_file_path(database, ".commands.lock");
        let file = open_lock_file(&path).and_then(|file| file.lock_shared().map(|()| file));
        file.map(|file| Self { _file: file }).map_err(|source| ServeLockError::Io { path, source })
    }
}

/// Returns the process that serves from the database at this path, even if the file was deleted. Returns
/// `None` if no process serves from it, or if the lock file cannot be opened.
pub fn serving_process(database: &Path) -> Option<ServeLockHolder> {
    let mut file = File::open(lock_file_path(database, ".lock")).ok()?;
    is_locked(&file).then(|| read_holder(&mut file).unwrap_or_default())
}

/// Returns true if a server or a command has ever locked the database at this path.
pub(crate) fn has_lock_file(database: &Path) -> bool {
    [".lock", ".commands.lock"].iter().any(|end| lock_file_path(database, end).exists())
}

/// The state of a database's two serving locks: the lock file, and the database file itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum ServeLockState {
    /// No process serves from the file, or a process serves from the file under this name.
    NoConflict,
    /// A process serves from the file under another name, such as the path of a mount. SQLite's log would
    /// then be in the folder of that other name.
    ServedByOtherName,
    /// A process serves under this name, but its open file was replaced by this file.
    FileReplaced(ServeLockHolder),
}

/// Reads the state of a file's locks. The function opens and closes the file, which releases all locks that
/// this process has on the file. So no other part of this process may have the file open.
pub(crate) fn lock_state(database: &Path) -> ServeLockState {
    let read_state = || {
        let of_file = File::open(database).is_ok_and(|file| is_locked(&file));
        match (of_file, serving_process(database)) {
            (true, None) => ServeLockState::ServedByOtherName,
            (false, Some(server)) => ServeLockState::FileReplaced(server),
            (true, Some(_)) | (false, None) => ServeLockState::NoConflict,
        }
    };
    // A server that starts or stops briefly holds only one of the two locks, so the state is read several
    // times.
    for _ in 1..MAX_LOCK_ATTEMPTS {
        if read_state() == ServeLockState::NoConflict {
            return ServeLockState::NoConflict;
        }
        pause();
    }
    read_state()
}

/// Pauses before another attempt, because the holder of a lock does not report when it releases the lock.
fn pause() {
    std::thread::park_timeout(LOCK_RETRY_DELAY);
}

fn is_locked(file: &File) -> bool {
    matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
}

/// Takes an exclusive lock. Retries a few times, because some processes hold the lock only briefly. Examples
/// are a process that reads the state of the locks, and a forked process that has not yet executed its
/// program.
fn lock_exclusively(file: &File) -> Result<(), TryLockError> {
    for _ in 1..MAX_LOCK_ATTEMPTS {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => pause(),
            done => return done,
        }
    }
    file.try_lock()
}

/// Returns true if a process serves from this database.
///
/// # Errors
/// [`ServeLockError::Io`] if the lock file cannot be used.
pub fn is_served(database: &Path) -> Result<bool, ServeLockError> {
    let path = lock_file_path(database, ".lock");
    let to_lock_error = |source: io::Error| ServeLockError::Io { path: path.clone(), source };
    match open_lock_file(&path).map_err(to_lock_error)?.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(source)) => Err(to_lock_error(source)),
    }
}

/// Checks that [`ServeLock::acquire`] could take the lock, without taking it and without creating a file. The
/// function opens and closes the database, which releases all locks that this process has on the file. So no
/// other part of this process may have the file open.
///
/// # Errors
/// The errors of [`ServeLock::acquire`].
pub fn check_serve_lock(database: &Path) -> Result<(), ServeLockError> {
    if let Some(holder) = serving_process(database) {
        return Err(ServeLockError::AlreadyServed { database: database.to_owned(), holder });
    }
    if lock_state(database) == ServeLockState::ServedByOtherName {
        return Err(ServeLockError::ServedByOtherName { database: database.to_owned() });
    }
    let path = lock_file_path(database, ".lock");
    match OpenOptions::new().read(true).write(true).open(&path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(ServeLockError::Io { path, source }),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Prevents commands from taking a [`CommandLock`] while the returned file is open. Returns `None` if a
/// command already holds a lock.
pub(crate) fn lock_out_commands(database: &Path) -> Result<Option<File>, ServeLockError> {
    let path = lock_file_path(database, ".commands.lock");
    let to_lock_error = |source: io::Error| ServeLockError::Io { path: path.clone(), source };
    let file = open_lock_file(&path).map_err(to_lock_error)?;
    match lock_exclusively(&file) {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(source)) => Err(to_lock_error(source)),
    }
}

/// Returns the path of a lock file. Two paths that lead to one database through symbolic links have the same
/// lock file.
fn lock_file_path(database: &Path, suffix: &str) -> PathBuf {
    let mut path = OsString::from(database.canonicalize().unwrap_or_else(|_| database.to_path_buf()));
    path.push(suffix);
    PathBuf::from(path)
}

/// Opens a lock file. The file is not deleted when it is unlocked. If lock files were deleted, two processes
/// could lock two different files of the same name.
fn open_lock_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

pub(crate) fn holder_text(holder: &ServeLockHolder) -> String {
    let pid = holder.pid.map(|pid| format!(" by process {pid}")).unwrap_or_default();
    let listen =
        holder.listen_address.as_ref().map(|listen| format!(", listening on {listen}")).unwrap_or_default();
    format!("{pid}{listen}")
}

impl ServeLock {
    /// Takes the lock of the file at `database` for this process. `listen_address` is the expected address of
    /// the process; [`ServeLock::set_address`] corrects it later. The file must exist
    /// ([`crate::Store::prepare_database_file`]), but the database need not be open. A second server that
    /// uses another name of the file therefore fails before it opens the database.
    ///
    /// # Errors
    /// [`ServeLockError::AlreadyServed`] names the process that has the lock.
    pub fn acquire(database: &Path, listen_address: &str, now: UnixMillis) -> Result<Self, ServeLockError> {
        let path = lock_file_path(database, ".lock");
        let to_lock_error = |source: io::Error| ServeLockError::Io { path: path.clone(), source };
        let mut file = open_lock_file(&path).map_err(to_lock_error)?;
        match lock_exclusively(&file) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let database = database.canonicalize().unwrap_or_else(|_| database.to_path_buf());
                return Err(ServeLockError::AlreadyServed {
                    holder: read_holder(&mut file).map_err(to_lock_error)?,
                    database,
                });
            }
            Err(TryLockError::Error(source)) => return Err(to_lock_error(source)),
        }
        let of_database = |source: io::Error| ServeLockError::Io { path: database.to_owned(), source };
        let database_file = ManuallyDrop::new(File::open(database).map_err(of_database)?);
        match lock_exclusively(&database_file) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(ServeLockError::ServedByOtherName { database: database.to_owned() });
            }
            Err(TryLockError::Error(source)) => return Err(of_database(source)),
        }
        write_holder(&mut file, listen_address, now).map_err(to_lock_error)?;
        Ok(Self { file, database: database_file })
    }

    /// Writes the address on which this process listens. The requested port may be 0, so the actual port is
    /// known only after the process listens.
    ///
    /// # Errors
    /// [`io::Error`] if the lock file cannot be written.
    pub fn set_address(&mut self, address: &str, now: UnixMillis) -> io::Result<()> {
        write_holder(&mut self.file, address, now)
    }
}

impl Drop for ServeLock {
    fn drop(&mut self) {
        // The lock file is unlocked last. While only the database is locked, other processes conclude that it
        // is served under another name.
        let _ = self.database.unlock();
        // The lock file is not deleted, only emptied.
        let _ = self.file.set_len(0);
        let _ = self.file.unlock();
    }
}

fn write_holder(file: &mut File, listen_address: &str, now: UnixMillis) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(
        format!("pid {}\nlisten {listen_address}\nsince {}\n", std::process::id(), now.0).as_bytes(),
    )
}

fn read_holder(file: &mut File) -> io::Result<ServeLockHolder> {
    let mut text = Vec::new();
    file.take(MAX_LOCK_FILE_BYTES).read_to_end(&mut text)?;
    let text = String::from_utf8_lossy(&text);
    let line = |name: &str| {
        text.lines()
            .find_map(|line| line.split_once(' ').filter(|(word, _)| *word == name))
            .map(|(_, value)| value)
    };
    Ok(ServeLockHolder {
        pid: line("pid").and_then(|pid| pid.parse().ok()),
        listen_address: line("listen").map(str::to_owned),
        locked_at: line("since").and_then(|since| since.parse().ok()).map(UnixMillis),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_no_question_of_permissions() {
        let told = |kind: io::ErrorKind| {
            ServeLockError::Io { path: "truing.db.lock".into(), source: kind.into() }.to_string()
        };
        for kind in [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded] {
            assert!(told(kind).ends_with("; free space on this disk"), "{}", told(kind));
        }
        assert!(told(io::ErrorKind::PermissionDenied).ends_with("; check its permissions"));
    }

    #[test]
    fn a_look_at_the_lock_tells_what_a_start_would_tell_and_creates_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("truing.db");
        check_serve_lock(&database).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        std::fs::write(&database, "").unwrap();
        let lock = ServeLock::acquire(&database, "127.0.0.1:1", UnixMillis(0)).unwrap();
        let error = check_serve_lock(&database).unwrap_err();
        assert!(matches!(error, ServeLockError::AlreadyServed { .. }), "{error}");
        drop(lock);
        check_serve_lock(&database).unwrap();
        let file = lock_file_path(&database, ".lock");
        std::fs::remove_file(&file).unwrap();
        std::fs::create_dir(&file).unwrap();
        let error = check_serve_lock(&database).unwrap_err();
        assert!(matches!(error, ServeLockError::Io { .. }), "{error}");
    }
}
