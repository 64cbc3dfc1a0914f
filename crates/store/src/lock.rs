//! Who is at work on a database, by locks that the kernel releases when their holder dies, however it dies: one
//! serving process, and beside it commands that lease slots.

use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::mem::ManuallyDrop;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use truing_core::id::UnixMillis;

/// More of the lock file is not read: it holds three short lines.
const MAX_BYTES: u64 = 1024;

/// How often a lock is tried for that others may have for a moment, and the time between.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(20);

/// The right to serve from one database. Dropping it, or dying, gives it up.
///
/// Where no command holds a [`CommandLock`] it also proves that every lease in the file has lost its holder
/// (design.md section 2).
#[derive(Debug)]
pub struct ServeLock {
    file: File,
    /// The database itself, by whatever name. It is never closed: that would end the locks that SQLite has on it.
    database: ManuallyDrop<File>,
}

/// The process that serves from the database already, as it described itself.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ServeLockHolder {
    /// Its process id; none if it has only just begun.
    pub pid: Option<u32>,
    /// The address it listens on.
    pub listen: Option<String>,
    /// When it took the lock.
    pub since: Option<UnixMillis>,
}

/// Why the lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum ServeLockError {
    /// Another process serves from this database.
    #[error("{} is served already{}; stop that process, or give this one another `store.url`", database.display(), by(holder))]
    Held {
        /// The database.
        database: PathBuf,
        /// Who has it.
        holder: ServeLockHolder,
    },
    /// Another process serves from the same file by another name.
    #[error("{} is served already, by another name of it: a hard link or a mount; stop that process, or give this one another `store.url`", database.display())]
    Linked {
        /// The database.
        database: PathBuf,
    },
    /// The lock file cannot be used.
    #[error("cannot lock {}: {source}; check its permissions", path.display())]
    Io {
        /// The lock file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// That a command leases slots of one database. Any number of them may hold one at once. Dropping it, or dying, gives
/// it up: a server that starts then knows that the leases are nobody's.
#[derive(Debug)]
pub struct CommandLock {
    _file: File,
}

impl CommandLock {
    /// Takes one, before the first lease. Waits while a server that starts looks for leases of the dead.
    ///
    /// # Errors
    /// [`ServeLockError::Io`]
    pub fn take(database: &Path) -> Result<Self, ServeLockError> {
        let path = beside(database, ".commands.lock");
        let file = open(&path).and_then(|file| file.lock_shared().map(|()| file));
        file.map(|file| Self { _file: file }).map_err(|source| ServeLockError::Io { path, source })
    }
}

/// The process that serves from the database of this name, also of one that is not there any more; none if nobody does, or its
/// lock cannot be looked at.
pub fn server_of(database: &Path) -> Option<ServeLockHolder> {
    let mut file = File::open(beside(database, ".lock")).ok()?;
    is_locked(&file).then(|| read(&mut file).unwrap_or_default())
}

/// Has a server or a command ever had its lock of the database of this name?
pub(crate) fn was_locked(database: &Path) -> bool {
    [".lock", ".commands.lock"].iter().any(|end| beside(database, end).exists())
}

/// Who serves from a file, as its locks tell it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum LockState {
    /// Nobody, or somebody by this name.
    Right,
    /// Somebody by another name, such as that of a mount: the log would be beside that one.
    Elsewhere,
    /// Somebody by this name, of another file that was there before.
    Replaced(ServeLockHolder),
}

/// Looks at the locks of a file. Opens and closes it: nobody in this process may have it open.
pub(crate) fn lock_state(database: &Path) -> LockState {
    let looked = || {
        let of_file = File::open(database).is_ok_and(|file| is_locked(&file));
        match (of_file, server_of(database)) {
            (true, None) => LockState::Elsewhere,
            (false, Some(server)) => LockState::Replaced(server),
            (true, Some(_)) | (false, None) => LockState::Right,
        }
    };
    // A server that begins or ends has one of the two locks for a moment.
    for _ in 1..TRIES {
        if looked() == LockState::Right {
            return LockState::Right;
        }
        pause();
    }
    looked()
}

/// Another process has the lock, and tells nobody when it lets go.
fn pause() {
    std::thread::park_timeout(PAUSE);
}

fn is_locked(file: &File) -> bool {
    matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
}

/// Takes a lock for one. Whoever only looks has it for a moment, and so has a process that was forked and is about to become
/// another program.
fn lock_alone(file: &File) -> Result<(), TryLockError> {
    for _ in 1..TRIES {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => pause(),
            done => return done,
        }
    }
    file.try_lock()
}

/// Does a process serve from this database?
///
/// # Errors
/// [`ServeLockError::Io`]
pub fn is_served(database: &Path) -> Result<bool, ServeLockError> {
    let path = beside(database, ".lock");
    let told = |source: io::Error| ServeLockError::Io { path: path.clone(), source };
    match open(&path).map_err(told)?.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(source)) => Err(told(source)),
    }
}

/// That no command holds a [`CommandLock`], for as long as the answer lives; none if one does.
pub(crate) fn alone(database: &Path) -> Result<Option<File>, ServeLockError> {
    let path = beside(database, ".commands.lock");
    let told = |source: io::Error| ServeLockError::Io { path: path.clone(), source };
    let file = open(&path).map_err(told)?;
    match lock_alone(&file) {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(source)) => Err(told(source)),
    }
}

/// The path of a lock file. Two names of one database lead to one lock.
fn beside(database: &Path, end: &str) -> PathBuf {
    let mut path = OsString::from(database.canonicalize().unwrap_or_else(|_| database.to_path_buf()));
    path.push(end);
    PathBuf::from(path)
}

/// Opens a lock file, which stays when it is not locked any more: deleting it would let two processes lock two files
/// of one name.
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

pub(crate) fn by(holder: &ServeLockHolder) -> String {
    let pid = holder.pid.map(|pid| format!(" by process {pid}")).unwrap_or_default();
    let listen = holder.listen.as_ref().map(|listen| format!(", listening on {listen}")).unwrap_or_default();
    format!("{pid}{listen}")
}

impl ServeLock {
    /// Takes the lock of the database at `database`, for this process, which listens on `listen`
    /// ([`ServeLock::listens`] says it better once that is known). The file has to be there ([`crate::Store::prepare`]), and need
    /// not be open: of two servers of one file by two names, the second one never opens it.
    ///
    /// # Errors
    /// [`ServeLockError::Held`] names the process that has it.
    pub fn take(database: &Path, listen: &str, now: UnixMillis) -> Result<Self, ServeLockError> {
        let path = beside(database, ".lock");
        let told = |source: io::Error| ServeLockError::Io { path: path.clone(), source };
        let mut file = open(&path).map_err(told)?;
        match lock_alone(&file) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let database = database.canonicalize().unwrap_or_else(|_| database.to_path_buf());
                return Err(ServeLockError::Held { holder: read(&mut file).map_err(told)?, database });
            }
            Err(TryLockError::Error(source)) => return Err(told(source)),
        }
        let of_database = |source: io::Error| ServeLockError::Io { path: database.to_owned(), source };
        let whole = ManuallyDrop::new(File::open(database).map_err(of_database)?);
        match lock_alone(&whole) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(ServeLockError::Linked { database: database.to_owned() });
            }
            Err(TryLockError::Error(source)) => return Err(of_database(source)),
        }
        describe(&mut file, listen, now).map_err(told)?;
        Ok(Self { file, database: whole })
    }

    /// Says where this process listens: what was asked for may be any port that is free.
    ///
    /// # Errors
    /// The lock file cannot be written.
    pub fn listens(&mut self, address: &str, now: UnixMillis) -> io::Result<()> {
        describe(&mut self.file, address, now)
    }
}

impl Drop for ServeLock {
    fn drop(&mut self) {
        // The database first: who finds it locked, and its name not, takes it for served by another name.
        let _ = self.database.unlock();
        // The file stays, empty.
        let _ = self.file.set_len(0);
        let _ = self.file.unlock();
    }
}

fn describe(file: &mut File, listen: &str, now: UnixMillis) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(format!("pid {}\nlisten {listen}\nsince {}\n", std::process::id(), now.0).as_bytes())
}

fn read(file: &mut File) -> io::Result<ServeLockHolder> {
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
        since: line("since").and_then(|since| since.parse().ok()).map(UnixMillis),
    })
}
