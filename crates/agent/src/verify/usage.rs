//! Measures the disk usage of folders, and detects when it exceeds a limit.

use std::fs::Permissions;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use truing_system::{handle_flag, handle_path};

/// Maximum number of files, regardless of their size.
pub(crate) const MAX_FILES: u64 = 2_000_000;
/// Minimum interval between two measurements.
const MEASUREMENT_INTERVAL: Duration = Duration::from_secs(1);
/// Minimum ratio of the pause after a measurement to the duration of the measurement.
const MEASUREMENT_PAUSE_RATIO: u32 = 20;
/// Bytes that must stay free on a disk.
const MIN_FREE_BYTES: u64 = 512 << 20;
/// Size in bytes of the blocks in which the kernel reports a file's disk usage. The size is equal for all
/// file systems.
pub(crate) const BLOCK_BYTES: u64 = 512;
/// Mode bits that the owner of a folder needs to list it.
const LIST_FOLDER_MODE: u32 = 0o500;

/// The disk usage of files.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct DiskUsage {
    /// Bytes on the disk.
    pub(crate) bytes: u64,
    /// Number of files, folders and links.
    pub(crate) files: u64,
}

impl DiskUsage {
    /// Returns a limit of this many bytes and `MAX_FILES` files.
    pub(crate) fn with_max_bytes(bytes: u64) -> Self {
        Self { bytes, files: MAX_FILES }
    }

    /// Returns the sum of two usages.
    pub(crate) fn plus(self, other: Self) -> Self {
        Self { bytes: self.bytes.saturating_add(other.bytes), files: self.files.saturating_add(other.files) }
    }

    fn is_over(self, limit: Self) -> bool {
        self.bytes > limit.bytes || self.files > limit.files
    }
}

/// The limit that was exceeded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ExceededDiskLimit {
    /// The configured limit of the folders.
    FolderLimit,
    /// The minimum of free space on the disk.
    DiskFull,
}

/// Returns the usage of a folder. A file that disappears during the measurement does not count. If a folder's
/// mode forbids its owner to list the folder, the mode is changed during the measurement.
pub(crate) fn measure_folder(folder: &Path) -> DiskUsage {
    let mut usage = DiskUsage::default();
    let mut folders = vec![folder.to_owned()];
    let mut closed = Vec::new();
    while let Some(folder) = folders.pop() {
        let found = std::fs::read_dir(&folder).or_else(|error| {
            closed.push(FolderAccessGuard::new(&folder).map_err(|_| error)?);
            std::fs::read_dir(&folder)
        });
        for entry in found.into_iter().flatten().flatten() {
            // This is the metadata of the entry itself: a link is not followed.
            let Ok(found) = entry.metadata() else { continue };
            // The size of a file with several hard links is divided among the links.
            let bytes = found.blocks().saturating_mul(BLOCK_BYTES) / found.nlink().max(1);
            usage = usage.plus(DiskUsage { bytes: if found.is_dir() { 0 } else { bytes }, files: 1 });
            if found.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    usage
}

/// A guard that makes a folder accessible, and restores its mode when dropped.
struct FolderAccessGuard {
    folder: OwnedFd,
    original_permissions: Permissions,
}

impl FolderAccessGuard {
    /// Opens the folder as a handle and makes it accessible. A link that has replaced the folder is not
    /// followed.
    fn new(folder: &Path) -> io::Result<Self> {
        let flags = handle_flag() | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = rustix::fs::open(folder, flags, Mode::empty())?;
        let before = std::fs::metadata(handle_path(&folder))?.permissions();
        std::fs::set_permissions(
            handle_path(&folder),
            Permissions::from_mode(before.mode() | LIST_FOLDER_MODE),
        )?;
        Ok(Self { folder, original_permissions: before })
    }
}

impl Drop for FolderAccessGuard {
    fn drop(&mut self) {
        // The error is ignored, because the folder belongs to a sandboxed program and will soon be removed.
        let _ = std::fs::set_permissions(handle_path(&self.folder), self.original_permissions.clone());
    }
}

/// Waits until the folders exceed their limit, or until the disk is nearly full; see [`is_over`].
pub(crate) async fn wait_for_excess(folders: &[PathBuf], limit: DiskUsage) -> ExceededDiskLimit {
    loop {
        let began = Instant::now();
        if let Some(over) = find_exceeded_limit(folders, limit).await {
            return over;
        }
        tokio::time::sleep(MEASUREMENT_INTERVAL.max(began.elapsed() * MEASUREMENT_PAUSE_RATIO)).await;
    }
}

/// Returns the exceeded limit, if any: the limit of the folders together, or the minimum of free space on the
/// folders' disks.
pub(crate) async fn find_exceeded_limit(folders: &[PathBuf], limit: DiskUsage) -> Option<ExceededDiskLimit> {
    let looked = folders.to_vec();
    let is_over = tokio::task::spawn_blocking(move || {
        let all = looked.iter().fold(DiskUsage::default(), |all, folder| all.plus(measure_folder(folder)));
        if all.is_over(limit) {
            return Some(ExceededDiskLimit::FolderLimit);
        }
        looked.iter().any(|folder| is_full(folder).unwrap_or(false)).then_some(ExceededDiskLimit::DiskFull)
    });
    is_over.await.unwrap_or(None)
}

pub(crate) fn is_full(folder: &Path) -> io::Result<bool> {
    let disk = rustix::fs::statvfs(folder)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize) < MIN_FREE_BYTES)
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
        assert!(FolderAccessGuard::new(&at("link")).is_err());
        let opened = FolderAccessGuard::new(&at("closed")).unwrap();
        assert_eq!(mode("closed"), 0o700);
        drop(opened);
        assert_eq!(mode("closed"), 0o200);
    }
}
