//! Facts and operations of the operating system that not every system has, such as the files of Linux's
//! `/proc`. Outside of the sandbox, only this crate uses them. Each function states its result on a system
//! without them.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::Timespec;
use rustix::process::Pid;

/// The path of the running program on Linux. This path stays valid even if the program's file is replaced or
/// removed.
const CURRENT_PROGRAM_PATH: &str = "/proc/self/exe";
/// Folder of Linux's shared memory.
const SHARED_MEMORY_FOLDER: &str = "/dev/shm";
/// Indexes of the processor time that a process has spent in its own code and in the kernel, among the fields
/// of `/proc/PID/stat` that follow the name.
const CPU_TIME_FIELDS: [usize; 2] = [11, 12];
/// Indexes of the resident memory, and of the data and stacks, in `/proc/PID/statm`, in pages.
const RESIDENT_FIELD: usize = 1;
const DATA_FIELD: usize = 5;

/// Returns the path under which the running program can be started again. Without `/proc`, this is the path
/// under which the program was started.
///
/// # Errors
/// Fails if the system cannot return the program's path.
pub fn current_program() -> io::Result<PathBuf> {
    let stable_path = Path::new(CURRENT_PROGRAM_PATH);
    if stable_path.exists() { Ok(stable_path.to_owned()) } else { std::env::current_exe() }
}

/// Returns the folder whose files are in memory; `None` on other systems than Linux.
pub fn shared_memory_folder() -> Option<&'static Path> {
    cfg!(target_os = "linux").then_some(Path::new(SHARED_MEMORY_FOLDER))
}

/// Returns true if this folder is in memory and has at least this many bytes free. Returns false on other
/// systems than Linux.
#[cfg(target_os = "linux")]
pub fn has_free_memory(folder: &Path, min_bytes: u64) -> bool {
    /// Magic number of a file system in memory: `TMPFS_MAGIC` of statfs(2).
    const TMPFS: rustix::fs::FsWord = 0x0102_1994;

    rustix::fs::statfs(folder).is_ok_and(|found| {
        let block = u64::try_from(found.f_bsize).unwrap_or_default();
        found.f_type == TMPFS && found.f_bavail.saturating_mul(block) >= min_bytes
    })
}

/// Returns false, because only Linux has a folder in memory.
#[cfg(not(target_os = "linux"))]
pub fn has_free_memory(_: &Path, _: u64) -> bool {
    false
}

/// Returns a path that leads to this open folder, even if the folder was renamed. On other systems than
/// Linux, the path leads to no folder.
pub fn handle_path(folder: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd()))
}

/// Returns the flag that opens a folder only as a handle, without the permission to list the folder. Other
/// systems than Linux have no such flag.
#[cfg(target_os = "linux")]
pub fn handle_flag() -> rustix::fs::OFlags {
    rustix::fs::OFlags::PATH
}

/// Returns no flag, because only Linux opens folders as handles.
#[cfg(not(target_os = "linux"))]
pub fn handle_flag() -> rustix::fs::OFlags {
    rustix::fs::OFlags::empty()
}

/// Makes a file share the blocks of another file until one of the two is changed.
///
/// # Errors
/// An I/O error if the file system or the operating system does not support this.
#[cfg(target_os = "linux")]
pub fn share_blocks(from: &File, to: &File) -> io::Result<()> {
    Ok(rustix::fs::ioctl_ficlone(to, from)?)
}

/// Fails, because Truing shares blocks only on Linux.
///
/// # Errors
/// Always.
#[cfg(not(target_os = "linux"))]
pub fn share_blocks(_: &File, _: &File) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Returns true if this process was started with SIGHUP ignored. Returns false on other systems than Linux,
/// where this is not known.
pub fn ignores_sighup() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| is_sighup_ignored(&status))
}

/// Returns true if the first signal, SIGHUP, is in the mask of ignored signals. `SigIgn:` is a hexadecimal
/// number with one bit per signal.
fn is_sighup_ignored(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

/// Returns the name of this machine in its network; `None` if it has no name.
pub fn host_name() -> Option<String> {
    let names = rustix::system::uname();
    Some(names.nodename().to_string_lossy().into_owned()).filter(|name| !name.is_empty())
}

/// Sets the kernel's limits of a process's data and stacks, in bytes. Mapped files do not count towards the
/// limits. Returns true if the kernel enforces the limits. Only Linux limits another process.
#[cfg(target_os = "linux")]
pub fn limit_data(process: Pid, current: u64, maximum: u64) -> bool {
    use rustix::process::{Resource, Rlimit, prlimit};

    let limit = Rlimit { current: Some(current), maximum: Some(maximum) };
    prlimit(Some(process), Resource::Data, limit).is_ok()
}

/// Returns false, because only Linux limits another process.
#[cfg(not(target_os = "linux"))]
pub fn limit_data(_: Pid, _: u64, _: u64) -> bool {
    false
}

/// The memory and time that a process uses. Other systems than Linux do not report them.
#[derive(Clone, Copy, Debug)]
pub struct ProcessUsage(Pid);

impl ProcessUsage {
    pub fn from_pid(process: Pid) -> Self {
        Self(process)
    }

    pub fn process(self) -> Pid {
        self.0
    }

    /// Returns the CPU time that the process has used; `None` if the system does not report this time.
    pub fn cpu_time(self) -> Option<Duration> {
        let stat = self.read_proc_file("stat")?;
        // The process name may contain any character. Parsing therefore starts after the parenthesis that
        // closes the name, with the third field (the state).
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let mut ticks: u64 = 0;
        for field in CPU_TIME_FIELDS {
            ticks = ticks.checked_add(fields.get(field)?.parse().ok()?)?;
        }
        let per_second = rustix::param::clock_ticks_per_second().max(1);
        Some(Duration::from_millis(ticks.saturating_mul(1000) / per_second))
    }

    /// Returns the size of the process's data and stacks in bytes; `None` if the system does not report this
    /// size.
    pub fn data_bytes(self) -> Option<u64> {
        self.memory_field(DATA_FIELD)
    }

    /// Returns the size of the process's resident memory in bytes; `None` if the system does not report this
    /// size.
    pub fn resident_bytes(self) -> Option<u64> {
        self.memory_field(RESIDENT_FIELD)
    }

    fn memory_field(self, field: usize) -> Option<u64> {
        let pages: u64 = self.read_proc_file("statm")?.split_whitespace().nth(field)?.parse().ok()?;
        pages.checked_mul(u64::try_from(rustix::param::page_size()).ok()?)
    }

    fn read_proc_file(self, name: &str) -> Option<String> {
        std::fs::read_to_string(format!("/proc/{}/{name}", self.0.as_raw_nonzero())).ok()
    }
}

/// A handle of a process. The handle stays valid after the process has exited, and never refers to another
/// process with the same process id.
#[derive(Debug)]
pub struct ProcessHandle(OwnedFd);

impl ProcessHandle {
    /// Opens the handle of a process.
    ///
    /// # Errors
    /// An I/O error if the process does not exist, and on other systems than Linux.
    #[cfg(target_os = "linux")]
    pub fn open(process: Pid) -> io::Result<Self> {
        Ok(Self(rustix::process::pidfd_open(process, rustix::process::PidfdFlags::empty())?))
    }

    /// Fails, because only Linux has handles of processes.
    ///
    /// # Errors
    /// Always.
    #[cfg(not(target_os = "linux"))]
    pub fn open(_: Pid) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Waits until the process exits, for at most this time. Returns true if the process has exited.
    pub fn wait_for_exit(&self, limit: Option<Duration>) -> bool {
        use rustix::event::{PollFd, PollFlags, poll};

        // A limit that the kernel cannot represent is no limit.
        let limit = limit.and_then(|limit| Timespec::try_from(limit).ok());
        poll(&mut [PollFd::new(&self.0, PollFlags::IN)], limit.as_ref()).is_ok_and(|exits| exits > 0)
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_uses_is_told() {
        let own = ProcessUsage::from_pid(rustix::process::getpid());
        let before = (own.cpu_time().unwrap(), own.data_bytes().unwrap());
        // Other tests of this process may free memory during this test. The allocation is larger than that
        // memory. Pages that are never written use no physical memory.
        let large = std::hint::black_box(vec![0_u8; 1 << 30]);
        let mut held = vec![1_u8; 1 << 20];
        while own.cpu_time().unwrap() < before.0 + Duration::from_millis(20) {
            held.iter_mut().for_each(|byte| *byte = byte.wrapping_add(1));
        }
        assert!(own.data_bytes().unwrap() >= before.1 + large.len() as u64 / 2);
        assert!(own.resident_bytes().unwrap() >= held.len() as u64);
    }

    #[test]
    fn a_process_is_waited_for_until_it_exits_or_the_time_is_over() {
        let mut child =
            std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        let process = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        let handle = ProcessHandle::open(process).unwrap();
        assert!(!handle.wait_for_exit(Some(Duration::from_millis(1))));
        drop(child.stdin.take());
        assert!(handle.wait_for_exit(None));
        child.wait().unwrap();
        assert!(handle.wait_for_exit(Some(Duration::ZERO)));
    }

    #[test]
    fn only_a_folder_in_memory_with_enough_space_has_free_memory() {
        assert!(!has_free_memory(Path::new("/proc"), 0) && !has_free_memory(Path::new("/no-such-folder"), 0));
        if has_free_memory(Path::new(SHARED_MEMORY_FOLDER), 0) {
            assert!(!has_free_memory(Path::new(SHARED_MEMORY_FOLDER), u64::MAX));
        }
    }

    #[test]
    fn the_mask_of_ignored_signals_tells_of_the_first() {
        for (status, ignored) in [
            ("Name:\ttruing\nSigBlk:\t0000000000000001\nSigIgn:\t0000000000001001\n", true),
            ("SigIgn:\t0000000000001000\nSigCgt:\t0000000000000001\n", false),
            ("SigIgn:\tx\n", false),
            ("", false),
        ] {
            assert_eq!(is_sighup_ignored(status), ignored, "{status}");
        }
    }
}
