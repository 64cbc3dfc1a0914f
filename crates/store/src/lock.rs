//! Locks on a database that the kernel releases when their holder dies in any way: one serving process, and
//! commands that lease slots beside it.

use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::mem::ManuallyDrop;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use truing_core::id::UnixMillis;

/// Most bytes of the lock file that are read: it holds three short lines.
const MAX_BYTES: u64 = 1024;

/// Number of attempts at a lock that others may hold for a moment, and the pause between them.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(20);

/// The right to serve from one database. It ends when this is dropped or the process dies.
///
/// While no command holds a [`CommandLock`], it also proves that every lease in the file has lost its holder.
#[derive(Debug)]
pub struct ServeLock {
    file: File,
    /// The database file itself, which is the same under every name. It is never closed, because that would
    /// release SQLite's locks on it.
    database: ManuallyDrop<File>,
}

/// The process that serves from the database already, as it described itself.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ServeLockHolder {
    /// Its process id; none if it has only just started.
    pub pid: Option<u32>,
    /// The address it listens on.
    pub listen: Option<String>,
    /// Time at which it took the lock.
    pub locked_at: Option<UnixMillis>,
}

/// The reasons for which the lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum ServeLockError {
    /// Another process serves from this database.
    #[error("{} is served already{}; stop that process, or give this one another `store.url`",
        database.display(), holder_text(holder))]
    AlreadyServed {
        /// Path of the database.
        database: PathBuf,
        /// The process that holds the lock.
        holder: ServeLockHolder,
    },
    /// Another process serves from the same file by another name.
    #[error("{} is served already, by another name of it: a hard link or a mount; stop that process, or give \
         this one another `store.url`", database.display())]
    ServedByOtherName {
        /// Path of the database.
        database: PathBuf,
    },
    /// The lock file cannot be used.
    #[error("cannot lock {}: {source}; check its permissions", path.display())]
    Io {
        /// Path of the lock file.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
}

/// A shared lock of a command that leases slots of one database; several commands may hold it at once. It
/// ends when this is dropped or the process dies: a server that starts then knows that the leases have no
/// holder.
#[derive(Debug)]
pub struct CommandLock {
    _file: File,
}

impl CommandLock {
    /// Takes the lock, before the first lease. Waits while a server that starts looks for leases of dead
    /// processes.
    ///
    /// # Errors
    /// [`ServeLockError::Io`] if the lock file cannot be used.
    pub fn acquire(database: &Path) -> Result<Self, ServeLockError> {
        let path = lock_file_path(database, ".commands.lock");
        let file = open(&path).and_then(|file| file.lock_shared().map(|()| file));
        file.map(|file| Self { _file: file }).map_err(|source| ServeLockError::Io { path, source })
    }
}

/// Returns the process that serves from the database of this name, even if the file has been deleted; none if
/// no process does, or its lock cannot be read.
pub fn serving_process(database: &Path) -> Option<ServeLockHolder> {
    let mut file = File::open(lock_file_path(database, ".lock")).ok()?;
    is_locked(&file).then(|| read_holder(&mut file).unwrap_or_default())
}

/// Returns true if a server or a command has ever locked the database of this name.
pub(crate) fn was_locked(database: &Path) -> bool {
    [".lock", ".commands.lock"].iter().any(|end| lock_file_path(database, end).exists())
}

/// The state of the serving locks of a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum ServeLockState {
    /// No process serves the file, or one does by this name.
    NoConflict,
    /// A process serves the file by another name, such as that of a mount; its log would be beside that name.
    ServedByOtherName,
    /// A process serves by this name, but another file that was there before.
    FileReplaced(ServeLockHolder),
}

/// Reads the state of a file's locks. It opens and closes the file, so no part of this process may have it
/// open.
pub(crate) fn lock_state(database: &Path) -> ServeLockState {
    let read_state = || {
        let of_file = File::open(database).is_ok_and(|file| is_locked(&file));
        match (of_file, serving_process(database)) {
            (true, None) => ServeLockState::ServedByOtherName,
            (false, Some(server)) => ServeLockState::FileReplaced(server),
            (true, Some(_)) | (false, None) => ServeLockState::NoConflict,
        }
    };
    // A server that starts or stops holds one of the two locks for a moment.
    for _ in 1..TRIES {
        if read_state() == ServeLockState::NoConflict {
            return ServeLockState::NoConflict;
        }
        pause();
    }
    read_state()
}

/// Pauses, because the process that holds the lock does not report its release.
fn pause() {
    std::thread::park_timeout(PAUSE);
}

fn is_locked(file: &File) -> bool {
    matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
}

/// Takes an exclusive lock. A process that only reads the state holds it for a moment, and so does a forked
/// process before it executes another program.
fn lock_exclusively(file: &File) -> Result<(), TryLockError> {
    for _ in 1..TRIES {
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
    match open(&path).map_err(to_lock_error)?.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(source)) => Err(to_lock_error(source)),
    }
}

/// Excludes commands with a [`CommandLock`] for as long as the returned file is open; none if a command holds
/// one.
pub(crate) fn lock_out_commands(database: &Path) -> Result<Option<File>, ServeLockError> {
    let path = lock_file_path(database, ".commands.lock");
    let to_lock_error = |source: io::Error| ServeLockError::Io { path: path.clone(), source };
    let file = open(&path).map_err(to_lock_error)?;
    match lock_exclusively(&file) {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(source)) => Err(to_lock_error(source)),
    }
}

/// Returns the path of a lock file. Two names of one database lead to one lock.
fn lock_file_path(database: &Path, suffix: &str) -> PathBuf {
    let mut path = OsString::from(database.canonicalize().unwrap_or_else(|_| database.to_path_buf()));
    path.push(suffix);
    PathBuf::from(path)
}

/// Opens a lock file. The file remains after it is unlocked: after a deletion two processes could lock two
/// files of one name.
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

pub(crate) fn holder_text(holder: &ServeLockHolder) -> String {
    let pid = holder.pid.map(|pid| format!(" by process {pid}")).unwrap_or_default();
    let listen = holder.listen.as_ref().map(|listen| format!(", listening on {listen}")).unwrap_or_default();
    format!("{pid}{listen}")
}

impl ServeLock {
    /// Takes the lock of the database at `database` for this process, which listens on `listen`
    /// ([`ServeLock::set_address`] corrects the address once it is known). The file must exist
    /// ([`crate::Store::prepare`]), and need not be open: of two servers of one file by two names, the second
    /// one never opens it.
    ///
    /// # Errors
    /// [`ServeLockError::AlreadyServed`] names the process that has the lock.
    pub fn acquire(database: &Path, listen: &str, now: UnixMillis) -> Result<Self, ServeLockError> {
        let path = lock_file_path(database, ".lock");
        let to_lock_error = |source: io::Error| ServeLockError::Io { path: path.clone(), source };
        let mut file = open(&path).map_err(to_lock_error)?;
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
        write_holder(&mut file, listen, now).map_err(to_lock_error)?;
        Ok(Self { file, database: database_file })
    }

    /// Writes the address on which this process listens, because the requested port may be any free one.
    ///
    /// # Errors
    /// [`io::Error`] if the lock file cannot be written.
    pub fn set_address(&mut self, address: &str, now: UnixMillis) -> io::Result<()> {
        write_holder(&mut self.file, address, now)
    }
}

impl Drop for ServeLock {
    fn drop(&mut self) {
        // The database is unlocked first: a process that finds it locked, but not its name, concludes that it
        // is served by another name.
        let _ = self.database.unlock();
        // The file remains, and is empty.
        let _ = self.file.set_len(0);
        let _ = self.file.unlock();
    }
}

fn write_holder(file: &mut File, listen: &str, now: UnixMillis) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(format!("pid {}\nlisten {listen}\nsince {}\n", std::process::id(), now.0).as_bytes())
}

fn read_holder(file: &mut File) -> io::Result<ServeLockHolder> {
    let mut text = Vec::new();
    file.take(MAX_BYTES).read_to_end(&mut text)?;
    let text = String::from_utf8_lossy(&text);
    let line = |name: &str| {
        text.lines()
            .find_map(|line| line.split_once(' ').filter(|(word, _)| *word == name))
            .map(|(_, value)| value)
    };
    Ok(ServeLockHolder {
        pid: line("pid").and_then(|pid| pid.parse().ok()),
        listen: line("listen").map(str::to_owned),
        locked_at: line("since").and_then(|since| since.parse().ok()).map(UnixMillis),
    })
}
