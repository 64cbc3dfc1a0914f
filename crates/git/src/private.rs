//! Private folders: readable by this user alone, gone when dropped. A process that is killed leaves its own behind; a
//! later one knows them by their locks, which end with the process that holds them, and removes them.

use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, FsWord, Mode, OFlags, flock, fstat, open, statfs};
use rustix::process::geteuid;
use tempfile::TempDir;

/// What the names of private folders begin with.
const PREFIX: &str = "truing-git-";
/// The machine's shared memory, as a folder.
pub(crate) const MEMORY: &str = "/dev/shm";
/// The magic number of a file system in memory: `TMPFS_MAGIC` of statfs(2).
const TMPFS: FsWord = 0x0102_1994;
/// The most bytes of files that are written to memory.
const MAX_IN_MEMORY: u64 = 64 << 20;
/// The free bytes that memory must have for that: others use it, too.
const FREE_IN_MEMORY: u64 = 4 * MAX_IN_MEMORY;
/// A file in memory takes whole pages of so many bytes.
const PAGE: u64 = 4 << 10;
/// How often a new folder may be taken for a dead process's, between its making and its locking.
const MAX_TRIES: u32 = 100;

/// A folder that this process holds.
#[derive(Debug)]
pub struct PrivateFolder {
    // Dropped in this order: the folder is locked until it is gone.
    folder: TempDir,
    _lock: File,
}

impl PrivateFolder {
    /// Makes one in the system's folder for temporary files.
    ///
    /// # Errors
    /// That folder is not there, not writable or full.
    pub fn new() -> io::Result<Self> {
        Self::make(&std::env::temp_dir())
    }

    /// Makes one in `temp`, and removes those that dead processes have left there.
    ///
    /// # Errors
    /// `temp` is not there, not writable or full.
    pub fn among(temp: &Path) -> io::Result<Self> {
        remove_dead(temp);
        Self::make(temp)
    }

    /// Makes one in `temp`.
    pub(crate) fn make(temp: &Path) -> io::Result<Self> {
        for _ in 0..MAX_TRIES {
            let alone = Permissions::from_mode(0o700);
            let folder = tempfile::Builder::new().prefix(PREFIX).permissions(alone).tempdir_in(temp)?;
            if let Some(lock) = lock(folder.path())? {
                return Ok(Self { folder, _lock: lock });
            }
        }
        Err(io::Error::other("new folders vanish from it"))
    }

    /// Makes one for files of these sizes: in memory, if they are few and small and no variable or option says where temporary files belong;
    /// else in `temp`.
    pub(crate) fn for_files(temp: &Path, sizes: impl Iterator<Item = u64>) -> io::Result<Self> {
        let is_chosen = std::env::var_os("TMPDIR").is_some() || temp != std::env::temp_dir();
        let memory = Path::new(MEMORY);
        if !is_chosen && is_small(sizes) && has_room(memory) {
            // Whoever may not write there writes elsewhere.
            return Self::make(memory).or_else(|_| Self::make(temp));
        }
        Self::make(temp)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for PrivateFolder {
    fn drop(&mut self) {
        // What cannot be removed stays: a later process tries again.
        let _ = remove(self.folder.path());
    }
}

/// May files of these sizes be written to memory?
fn is_small(sizes: impl Iterator<Item = u64>) -> bool {
    sizes.map(|size| size.div_ceil(PAGE).max(1).saturating_mul(PAGE)).fold(0, u64::saturating_add)
        <= MAX_IN_MEMORY
}

/// Is this folder in memory, with enough of it free?
fn has_room(memory: &Path) -> bool {
    statfs(memory).is_ok_and(|found| {
        let block = u64::try_from(found.f_bsize).unwrap_or_default();
        found.f_type == TMPFS && found.f_bavail.saturating_mul(block) >= FREE_IN_MEMORY
    })
}

/// Removes a folder, also if programs have left folders in it that their owner may not work in. No link in it is followed.
///
/// # Errors
/// It is not there, or not this user's.
pub fn remove(folder: &Path) -> io::Result<()> {
    std::fs::remove_dir_all(folder).or_else(|_| {
        open_up(folder)?;
        std::fs::remove_dir_all(folder)
    })
}

/// Lets the owner work in every folder below one.
fn open_up(folder: &Path) -> io::Result<()> {
    let mut permissions = folder.symlink_metadata()?.permissions();
    permissions.set_mode(permissions.mode() | 0o700);
    std::fs::set_permissions(folder, permissions)?;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            open_up(&entry.path())?;
        }
    }
    Ok(())
}

/// Removes this user's folders in `temp` whose processes are dead. One that cannot be removed stays: a later process
/// tries again.
pub(crate) fn remove_dead(temp: &Path) {
    let Ok(entries) = std::fs::read_dir(temp) else { return };
    let is_private = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(PREFIX.as_bytes()))
    };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())).filter(is_private) {
        if let Ok(Some(_lock)) = lock(&path) {
            let _ = remove(&path);
        }
    }
}

/// Locks a folder of this user's; none if another process holds it, or has just removed it.
fn lock(folder: &Path) -> io::Result<Option<File>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = match open(folder, flags, Mode::empty()) {
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        opened => opened?,
    };
    if fstat(&opened)?.st_uid != geteuid().as_raw() {
        return Ok(None);
    }
    match flock(&opened, FlockOperation::NonBlockingLockExclusive) {
        Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
        locked => locked?,
    }
    // Whoever had it may have removed it, between our opening and our locking.
    let is_there = open(folder, flags, Mode::empty()).and_then(fstat).is_ok_and(|there| {
        fstat(&opened).is_ok_and(|mine| (mine.st_dev, mine.st_ino) == (there.st_dev, there.st_ino))
    });
    Ok(is_there.then(|| File::from(opened)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn folders_that_are_closed_are_removed_too() {
        let folder = tempfile::tempdir().unwrap();
        let closed = folder.path().join("a/closed");
        std::fs::create_dir_all(closed.join("below")).unwrap();
        std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o000)).unwrap();
        open_up(folder.path()).unwrap();
        assert_eq!(closed.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        assert!(closed.join("below").is_dir());
    }

    #[test]
    fn few_and_small_files_fit_into_memory_and_a_disk_is_none() {
        assert!(is_small([MAX_IN_MEMORY].into_iter()) && !is_small([MAX_IN_MEMORY, 0].into_iter()));
        let pages = usize::try_from(MAX_IN_MEMORY / PAGE).unwrap();
        assert!(is_small(std::iter::repeat_n(1, pages)) && !is_small(std::iter::repeat_n(1, pages + 1)));
        assert!(!is_small([u64::MAX, 1].into_iter()));
        assert!(!has_room(Path::new("/proc")) && !has_room(Path::new("/no-such-folder")));
        let elsewhere = tempfile::tempdir().unwrap();
        let folder = PrivateFolder::for_files(elsewhere.path(), [1].into_iter()).unwrap();
        assert!(folder.path().starts_with(elsewhere.path()), "somebody has chosen it");
    }

    #[test]
    fn a_dead_processs_folder_is_removed_and_nothing_else() {
        let temp = tempfile::tempdir().unwrap();
        let held = PrivateFolder::make(temp.path()).unwrap();
        assert_eq!(held.path().metadata().unwrap().permissions().mode() & 0o777, 0o700);
        let outside = tempfile::tempdir().unwrap();
        for dead in ["truing-git-dead/a/b", "other"] {
            std::fs::create_dir_all(temp.path().join(dead)).unwrap();
        }
        symlink(outside.path(), temp.path().join("truing-git-link")).unwrap();
        std::fs::write(temp.path().join("truing-git-file"), "").unwrap();
        remove_dead(temp.path());
        let is_there = |name: &str| temp.path().join(name).symlink_metadata().is_ok();
        assert!(!is_there("truing-git-dead"));
        assert!(["other", "truing-git-link", "truing-git-file"].iter().all(|name| is_there(name)));
        assert!(outside.path().is_dir() && held.path().is_dir());
        drop(held);
        assert_eq!(std::fs::read_dir(temp.path()).unwrap().count(), 3);
    }
}
