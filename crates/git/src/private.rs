//! Private folders: only this user can read them, and they are removed when dropped. Each folder is locked
//! while its process runs. A killed process leaves its folders unlocked, so a later process removes them.

use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, OFlags, flock, fstat, open};
use rustix::process::geteuid;
use tempfile::TempDir;

/// Prefix of the names of private folders.
const FOLDER_NAME_PREFIX: &str = "truing-git-";
/// Maximum bytes of files that are kept in memory.
const MAX_IN_MEMORY_BYTES: u64 = 64 << 20;
/// Minimum free space of the shared memory in bytes, because other programs use the shared memory too.
const MIN_FREE_MEMORY_BYTES: u64 = 4 * MAX_IN_MEMORY_BYTES;
/// Page size in bytes; a file in memory takes whole pages.
const PAGE_BYTES: u64 = 4 << 10;
/// Maximum number of attempts to create a folder. An attempt fails if another process removes the new
/// folder before it is locked. The other process assumes that an unlocked folder is stale.
const MAX_TRIES: u32 = 100;

/// A private folder that this process has locked.
#[derive(Debug)]
pub struct PrivateFolder {
    // The fields are dropped in this order, so the folder stays locked until it is removed.
    folder: TempDir,
    _lock: File,
}

impl PrivateFolder {
    /// Creates a folder in the system's folder for temporary files.
    ///
    /// # Errors
    /// If that folder is missing, not writable or full.
    pub fn new() -> io::Result<Self> {
        Self::new_in(&std::env::temp_dir())
    }

    /// Creates a folder in `temp`, and removes the private folders in `temp` whose processes no longer run.
    ///
    /// # Errors
    /// If `temp` is missing, not writable or full.
    pub fn new_with_cleanup(temp: &Path) -> io::Result<Self> {
        remove_stale_folders(temp);
        Self::new_in(temp)
    }

    /// Creates a folder in `temp`.
    pub(crate) fn new_in(temp: &Path) -> io::Result<Self> {
        for _ in 0..MAX_TRIES {
            let alone = Permissions::from_mode(0o700);
            let folder =
                tempfile::Builder::new().prefix(FOLDER_NAME_PREFIX).permissions(alone).tempdir_in(temp)?;
            if let Some(lock) = try_lock_folder(folder.path())? {
                return Ok(Self { folder, _lock: lock });
            }
        }
        Err(io::Error::other("a folder that Truing creates in this folder does not persist"))
    }

    /// Creates a folder for files of these sizes. The folder is in memory if the files are few and small, and
    /// if neither `TMPDIR` nor an option sets the folder for temporary files. Otherwise, the folder is in
    /// `temp`.
    pub(crate) fn for_files(temp: &Path, sizes: impl Iterator<Item = u64>) -> io::Result<Self> {
        let is_chosen = std::env::var_os("TMPDIR").is_some() || temp != std::env::temp_dir();
        if let Some(memory) = truing_system::shared_memory_folder()
            && !is_chosen
            && fits_in_memory(sizes)
            && truing_system::has_free_memory(memory, MIN_FREE_MEMORY_BYTES)
        {
            // If the folder in memory is not writable, `temp` is used.
            return Self::new_in(memory).or_else(|_| Self::new_in(temp));
        }
        Self::new_in(temp)
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for PrivateFolder {
    fn drop(&mut self) {
        // If the folder cannot be removed, a later process tries again.
        let _ = remove_folder(self.folder.path());
    }
}

/// Returns true if files of these sizes are small enough together to be kept in memory.
fn fits_in_memory(sizes: impl Iterator<Item = u64>) -> bool {
    sizes.map(|size| size.div_ceil(PAGE_BYTES).max(1).saturating_mul(PAGE_BYTES)).fold(0, u64::saturating_add)
        <= MAX_IN_MEMORY_BYTES
}

/// Removes a folder, even if its owner lacks permissions for folders in it. Links are not followed.
///
/// # Errors
/// If the folder is missing, or belongs to another user.
pub fn remove_folder(folder: &Path) -> io::Result<()> {
    std::fs::remove_dir_all(folder).or_else(|_| {
        grant_owner_access(folder)?;
        std::fs::remove_dir_all(folder)
    })
}

/// Gives the owner full permissions for a folder and all folders below it.
fn grant_owner_access(folder: &Path) -> io::Result<()> {
    let mut permissions = folder.symlink_metadata()?.permissions();
    permissions.set_mode(permissions.mode() | 0o700);
    std::fs::set_permissions(folder, permissions)?;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            grant_owner_access(&entry.path())?;
        }
    }
    Ok(())
}

/// Removes this user's private folders in `temp` whose processes are dead. If a folder cannot be removed, a
/// later process tries again.
pub(crate) fn remove_stale_folders(temp: &Path) {
    let Ok(entries) = std::fs::read_dir(temp) else { return };
    let is_private = |path: &PathBuf| {
        path.file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(FOLDER_NAME_PREFIX.as_bytes()))
    };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())).filter(is_private) {
        if let Ok(Some(_lock)) = try_lock_folder(&path) {
            let _ = remove_folder(&path);
        }
    }
}

/// Locks a folder of this user; none if another process holds the lock or has just removed the folder.
fn try_lock_folder(folder: &Path) -> io::Result<Option<File>> {
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
    // The previous holder may have removed the folder after we opened it and before we locked it.
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
        grant_owner_access(folder.path()).unwrap();
        assert_eq!(closed.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        assert!(closed.join("below").is_dir());
    }

    #[test]
    fn few_and_small_files_fit_into_memory_unless_a_folder_is_chosen() {
        assert!(
            fits_in_memory([MAX_IN_MEMORY_BYTES].into_iter())
                && !fits_in_memory([MAX_IN_MEMORY_BYTES, 0].into_iter())
        );
        let pages = usize::try_from(MAX_IN_MEMORY_BYTES / PAGE_BYTES).unwrap();
        assert!(
            fits_in_memory(std::iter::repeat_n(1, pages))
                && !fits_in_memory(std::iter::repeat_n(1, pages + 1))
        );
        assert!(!fits_in_memory([u64::MAX, 1].into_iter()));
        let elsewhere = tempfile::tempdir().unwrap();
        let folder = PrivateFolder::for_files(elsewhere.path(), [1].into_iter()).unwrap();
        assert!(folder.path().starts_with(elsewhere.path()), "somebody has chosen it");
    }

    #[test]
    fn a_dead_processs_folder_is_removed_and_nothing_else() {
        let temp = tempfile::tempdir().unwrap();
        let held = PrivateFolder::new_in(temp.path()).unwrap();
        assert_eq!(held.path().metadata().unwrap().permissions().mode() & 0o777, 0o700);
        let outside = tempfile::tempdir().unwrap();
        for dead in ["truing-git-dead/a/b", "other"] {
            std::fs::create_dir_all(temp.path().join(dead)).unwrap();
        }
        symlink(outside.path(), temp.path().join("truing-git-link")).unwrap();
        std::fs::write(temp.path().join("truing-git-file"), "").unwrap();
        remove_stale_folders(temp.path());
        let is_there = |name: &str| temp.path().join(name).symlink_metadata().is_ok();
        assert!(!is_there("truing-git-dead"));
        assert!(["other", "truing-git-link", "truing-git-file"].iter().all(|name| is_there(name)));
        assert!(outside.path().is_dir() && held.path().is_dir());
        drop(held);
        assert_eq!(std::fs::read_dir(temp.path()).unwrap().count(), 3);
    }
}
