//! Estimates the kernel memory behind a process's open files. Pipes are counted separately, because the
//! kernel keeps the data in a pipe, but no process maps this data.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, StatxFlags, openat, statat, statx};

use super::SandboxLevel;
use crate::verify::usage::BLOCK_BYTES;

/// Number of pipes whose memory is not counted, so a job with a low memory limit can still use a few pipes.
pub(super) const UNCOUNTED_PIPES: u64 = 256;
/// Kernel memory in bytes for an open file other than a pipe: the record of the file, and related records
/// such as those of the file system.
pub(super) const OPEN_FILE_BYTES: u64 = 1536;
/// Maximum number of bytes, including overhead, that the kernel keeps for a pipe once the user's pipes have
/// exceeded 64 MiB in total. Each pipe created after that has only two pages.
const LIMITED_PIPE_BYTES: u64 = 12 << 10;
/// Maximum number of bytes that the kernel keeps for a pipe of root, to which the limit of 64 MiB does not
/// apply: 16 pages, including overhead.
const UNLIMITED_PIPE_BYTES: u64 = 68 << 10;

/// The open files of a process.
#[derive(Default)]
pub(super) struct OpenFiles {
    /// Each pipe, identified by its file system and inode number.
    pub(super) pipes: BTreeSet<(u32, u32, u64)>,
    /// Inode numbers of the sockets.
    pub(super) sockets: BTreeSet<u64>,
    /// Bytes on the disk of each file without a name, identified like a pipe.
    pub(super) nameless_files: BTreeMap<(u32, u32, u64), u64>,
    /// Number of open files other than pipes.
    pub(super) other_files: u64,
}

/// Returns the maximum number of bytes that the kernel keeps for one pipe of a job.
pub(super) fn max_pipe_bytes(level: SandboxLevel) -> u64 {
    // Only root may exceed the limit for all pipes of a user. Inside a user namespace, even root may not
    // exceed it.
    if level != SandboxLevel::Full && rustix::process::geteuid().is_root() {
        UNLIMITED_PIPE_BYTES
    } else {
        LIMITED_PIPE_BYTES
    }
}

/// Returns the number of open files in this folder of `/proc`. Returns `None` if the folder is empty or
/// cannot be read.
pub(super) fn count_files(proc: &OwnedFd, fd_folder: &str) -> Option<u64> {
    // Since Linux 6.2, the folder's size is the number of files in it. Older kernels report the size 0.
    let size = u64::try_from(statat(proc, fd_folder, AtFlags::empty()).ok()?.st_size).ok()?;
    let count = if size > 0 { size } else { open_descriptor_folder(proc, fd_folder)?.1.count() as u64 };
    (count > 0).then_some(count)
}

/// Reads the type of each open file in this folder of `/proc`. Returns `None` if the folder is empty or
/// cannot be read.
pub(super) fn read_open_files(proc: &OwnedFd, fd_folder: &str) -> Option<OpenFiles> {
    let (folder, names) = open_descriptor_folder(proc, fd_folder)?;
    let mut open = OpenFiles::default();
    for name in names {
        // The flag avoids requests to a network file system. A file that was closed since the folder was
        // listed is skipped, because it holds no memory.
        let wanted = StatxFlags::TYPE | StatxFlags::INO | StatxFlags::NLINK | StatxFlags::BLOCKS;
        let Ok(file_stat) = statx(&folder, name, AtFlags::STATX_DONT_SYNC, wanted) else { continue };
        let id = (file_stat.stx_dev_major, file_stat.stx_dev_minor, file_stat.stx_ino);
        let kind = FileType::from_raw_mode(file_stat.stx_mode.into());
        if kind == FileType::Fifo {
            open.pipes.insert(id);
            continue;
        }
        if kind == FileType::RegularFile && file_stat.stx_nlink == 0 {
            open.nameless_files.insert(id, file_stat.stx_blocks.saturating_mul(BLOCK_BYTES));
        }
        if kind == FileType::Socket {
            open.sockets.insert(file_stat.stx_ino);
        }
        open.other_files = open.other_files.saturating_add(1);
    }
    (!open.pipes.is_empty() || open.other_files > 0).then_some(open)
}

/// Returns the numbers of the open files in this folder of `/proc`. Returns `None` if the folder is empty or
/// cannot be read.
pub(super) fn descriptor_numbers(proc: &OwnedFd, fd_folder: &str) -> Option<Vec<String>> {
    let numbers: Vec<String> = open_descriptor_folder(proc, fd_folder)?.1.collect();
    (!numbers.is_empty()).then_some(numbers)
}

/// Opens this folder of `/proc`, and returns it with the names of the files in it.
fn open_descriptor_folder(
    proc: &OwnedFd,
    fd_folder: &str,
) -> Option<(OwnedFd, impl Iterator<Item = String> + use<>)> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = openat(proc, fd_folder, flags, Mode::empty()).ok()?;
    let entries = Dir::read_from(&folder).ok()?;
    let names = entries.flatten().filter_map(|entry| {
        let name = entry.file_name().to_str().ok()?;
        name.parse::<u32>().is_ok().then(|| name.to_owned())
    });
    Some((folder, names))
}
