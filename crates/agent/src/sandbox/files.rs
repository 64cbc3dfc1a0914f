//! What the open files of a process hold in the kernel's memory. A pipe keeps what was written to it, and no process has
//! that mapped: pipes are counted by their number.

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, StatxFlags, openat, statat, statx};

use super::SandboxLevel;

/// Pipes that a job may have which are not counted, so that few do not matter however small its memory limit.
pub(super) const FEW_PIPES: u64 = 256;
/// The memory of an open file that is no pipe, in bytes: the file, and what stays in memory for it, such as the
/// file system's own record of it.
pub(super) const OTHER: u64 = 1536;
/// The most that a pipe keeps, in bytes, with what the kernel keeps of it. All pipes of a user have 64 MiB; beyond that
/// each has two pages.
const PIPE: u64 = 12 << 10;
/// The same of a user whom that limit does not hold: 16 pages.
const PIPE_WITHOUT_LIMIT: u64 = 68 << 10;

/// Open files of a process.
pub(super) struct OpenFiles {
    /// Each pipe, by its file system and number.
    pub(super) pipes: BTreeSet<(u32, u32, u64)>,
    /// How many others there are.
    pub(super) others: u64,
}

/// The most that one pipe of a job holds, in bytes.
pub(super) fn most_of_a_pipe(level: SandboxLevel) -> u64 {
    // Inside of a namespace nobody has the right to have more.
    if level != SandboxLevel::Full && rustix::process::geteuid().is_root() {
        PIPE_WITHOUT_LIMIT
    } else {
        PIPE
    }
}

/// How many files this table of `/proc` has. None if it has none.
pub(super) fn count(proc: &OwnedFd, table: &str) -> Option<u64> {
    // Its size is their number, since Linux 6.2.
    let size = u64::try_from(statat(proc, table, AtFlags::empty()).ok()?.st_size).ok()?;
    let count = if size > 0 { size } else { names(proc, table)?.1.count() as u64 };
    (count > 0).then_some(count)
}

/// Looks at each file of this table of `/proc`. None if it has none.
pub(super) fn read(proc: &OwnedFd, table: &str) -> Option<OpenFiles> {
    let (folder, names) = names(proc, table)?;
    let mut open = OpenFiles { pipes: BTreeSet::new(), others: 0 };
    for name in names {
        // The kernel asks no other machine for it. What was closed since holds nothing.
        let Ok(told) = statx(&folder, name, AtFlags::STATX_DONT_SYNC, StatxFlags::TYPE | StatxFlags::INO)
        else {
            continue;
        };
        if FileType::from_raw_mode(told.stx_mode.into()) == FileType::Fifo {
            open.pipes.insert((told.stx_dev_major, told.stx_dev_minor, told.stx_ino));
        } else {
            open.others = open.others.saturating_add(1);
        }
    }
    (!open.pipes.is_empty() || open.others > 0).then_some(open)
}

/// The numbers of the open files of this table of `/proc`. None if it has none.
pub(super) fn numbers(proc: &OwnedFd, table: &str) -> Option<Vec<String>> {
    let numbers: Vec<String> = names(proc, table)?.1.collect();
    (!numbers.is_empty()).then_some(numbers)
}

/// The folder of a table, and the names in it.
fn names(proc: &OwnedFd, table: &str) -> Option<(OwnedFd, impl Iterator<Item = String> + use<>)> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = openat(proc, table, flags, Mode::empty()).ok()?;
    let entries = Dir::read_from(&folder).ok()?;
    let names = entries.flatten().filter_map(|entry| {
        let name = entry.file_name().to_str().ok()?;
        name.parse::<u32>().is_ok().then(|| name.to_owned())
    });
    Some((folder, names))
}
