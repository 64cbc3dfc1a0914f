//! How much folders hold, and when that is too much.

use std::fs::Permissions;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};

/// The most files, whatever their size.
pub(crate) const MAX_FILES: u64 = 2_000_000;
/// How often folders are looked at, at most.
const PERIOD: Duration = Duration::from_secs(1);
/// Looking takes no more than one part in so many of the time.
const PAUSE: u32 = 20;
/// What is always left free on a disk, in bytes.
const FREE: u64 = 512 << 20;
/// The kernel counts blocks of so many bytes, whatever the file system has.
pub(super) const BLOCK: u64 = 512;
/// What the owner of a folder needs to see what is in it.
const LOOK: u32 = 0o500;

/// What files take.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct DiskUsage {
    /// In bytes, on the disk.
    pub(crate) bytes: u64,
    /// Files, folders and links.
    pub(crate) files: u64,
}

impl DiskUsage {
    /// So many bytes, in as many files as there may be.
    pub(crate) fn of_bytes(bytes: u64) -> Self {
        Self { bytes, files: MAX_FILES }
    }

    /// This and more.
    pub(crate) fn and(self, more: Self) -> Self {
        Self { bytes: self.bytes.saturating_add(more.bytes), files: self.files.saturating_add(more.files) }
    }

    fn is_over(self, most: Self) -> bool {
        self.bytes > most.bytes || self.files > most.files
    }
}

/// Too much.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum DiskOverrun {
    /// More than may be.
    Limit,
    /// Whatever it is: the disk is nearly full.
    Full,
}

/// What a folder holds. What vanishes meanwhile does not count; folders that their owner has closed are opened for a
/// moment, so that nothing hides in them.
pub(crate) fn of(folder: &Path) -> DiskUsage {
    let mut usage = DiskUsage::default();
    let mut folders = vec![folder.to_owned()];
    let mut closed = Vec::new();
    while let Some(folder) = folders.pop() {
        let found = std::fs::read_dir(&folder).or_else(|error| {
            closed.push(OpenedFolder::new(&folder).map_err(|_| error)?);
            std::fs::read_dir(&folder)
        });
        for entry in found.into_iter().flatten().flatten() {
            // Of a link itself, not of what it leads to.
            let Ok(found) = entry.metadata() else { continue };
            // A file of several names is shared among them.
            let bytes = found.blocks().saturating_mul(BLOCK) / found.nlink().max(1);
            usage = usage.and(DiskUsage { bytes: if found.is_dir() { 0 } else { bytes }, files: 1 });
            if found.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    usage
}

/// A folder that is open as long as this is there, and then as it was.
struct OpenedFolder {
    folder: OwnedFd,
    before: Permissions,
}

impl OpenedFolder {
    /// By a handle: a link that is put in its place meanwhile leads nowhere.
    fn new(folder: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = rustix::fs::open(folder, flags, Mode::empty())?;
        let before = std::fs::metadata(by_handle(&folder))?.permissions();
        std::fs::set_permissions(by_handle(&folder), Permissions::from_mode(before.mode() | LOOK))?;
        Ok(Self { folder, before })
    }
}

impl Drop for OpenedFolder {
    fn drop(&mut self) {
        // It is a program's folder, which goes soon.
        let _ = std::fs::set_permissions(by_handle(&self.folder), self.before.clone());
    }
}

fn by_handle(folder: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd()))
}

/// Ends when there [`is_over`].
pub(crate) async fn over(folders: &[PathBuf], most: DiskUsage) -> DiskOverrun {
    loop {
        let began = Instant::now();
        if let Some(over) = is_over(folders, most).await {
            return over;
        }
        tokio::time::sleep(PERIOD.max(began.elapsed() * PAUSE)).await;
    }
}

/// Do the folders hold more together than they may, or is their disk nearly full?
pub(crate) async fn is_over(folders: &[PathBuf], most: DiskUsage) -> Option<DiskOverrun> {
    let looked = folders.to_vec();
    let is_over = tokio::task::spawn_blocking(move || {
        let all = looked.iter().fold(DiskUsage::default(), |all, folder| all.and(of(folder)));
        if all.is_over(most) {
            return Some(DiskOverrun::Limit);
        }
        looked.iter().any(|folder| is_full(folder).unwrap_or(false)).then_some(DiskOverrun::Full)
    });
    is_over.await.unwrap_or(None)
}

fn is_full(folder: &Path) -> io::Result<bool> {
    let disk = rustix::fs::statvfs(folder)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize) < FREE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_folder_is_open_while_it_is_looked_into_and_no_link_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let mode = |name: &str| at(name).metadata().unwrap().mode() & 0o777;
        std::fs::create_dir(at("closed")).unwrap();
        std::fs::set_permissions(at("closed"), Permissions::from_mode(0o200)).unwrap();
        std::os::unix::fs::symlink(at("closed"), at("link")).unwrap();
        assert!(OpenedFolder::new(&at("link")).is_err());
        let opened = OpenedFolder::new(&at("closed")).unwrap();
        assert_eq!(mode("closed"), 0o700);
        drop(opened);
        assert_eq!(mode("closed"), 0o200);
    }
}
