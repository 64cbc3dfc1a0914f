//! How much folders hold, and when that is too much.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The most files, whatever their size.
pub(crate) const MAX_FILES: u64 = 2_000_000;
/// How often folders are looked at, at most.
const PERIOD: Duration = Duration::from_secs(1);
/// Looking takes no more than one part in so many of the time.
const PAUSE: u32 = 20;
/// What is always left free on a disk, in bytes.
const FREE: u64 = 512 << 20;
/// The kernel counts blocks of so many bytes, whatever the file system has.
const BLOCK: u64 = 512;

/// What files take.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Usage {
    /// In bytes, on the disk.
    pub(crate) bytes: u64,
    /// Files, folders and links.
    pub(crate) files: u64,
}

impl Usage {
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

/// What a folder holds. What vanishes meanwhile, or cannot be looked into, does not count.
pub(crate) fn of(folder: &Path) -> Usage {
    let mut usage = Usage::default();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            // Of a link itself, not of what it leads to.
            let Ok(found) = entry.metadata() else { continue };
            // A file of several names is shared among them.
            let bytes = found.blocks().saturating_mul(BLOCK) / found.nlink().max(1);
            usage = usage.and(Usage { bytes: if found.is_dir() { 0 } else { bytes }, files: 1 });
            if found.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    usage
}

/// Ends when [`is_over`].
pub(crate) async fn over(folders: &[PathBuf], most: Usage) {
    loop {
        let began = Instant::now();
        if is_over(folders, most).await {
            return;
        }
        tokio::time::sleep(PERIOD.max(began.elapsed() * PAUSE)).await;
    }
}

/// Do the folders hold more together than they may, or is their disk nearly full?
pub(crate) async fn is_over(folders: &[PathBuf], most: Usage) -> bool {
    let looked = folders.to_vec();
    let is_over = tokio::task::spawn_blocking(move || {
        let all = looked.iter().fold(Usage::default(), |all, folder| all.and(of(folder)));
        all.is_over(most) || looked.iter().any(|folder| is_full(folder).unwrap_or(false))
    });
    is_over.await.unwrap_or(false)
}

fn is_full(folder: &Path) -> io::Result<bool> {
    let disk = rustix::fs::statvfs(folder)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize) < FREE)
}
