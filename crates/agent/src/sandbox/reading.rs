//! The way in for a process that itself reads what may be hostile: it confines itself before it reads the first byte of
//! it. It starts nothing, so it needs no namespaces, and costs hardly more than any process.

use std::io;

use rustix::thread::{CapabilitySet, set_no_new_privs};
use truing_core::sandbox::SandboxLevel;

use super::read_only::ReadAccess;
use super::{JobLimits, enter, fence, filter};

/// How many more threads there may come to be on the machine until a reader cannot start one.
const MORE_THREADS: u64 = 512;
/// Where the kernel says how many there are.
const LOAD: &str = "/proc/loadavg";
/// Root without rights may not read what others own. Where it may now, it still may, within the fence.
const KEPT: CapabilitySet = CapabilitySet::DAC_OVERRIDE.union(CapabilitySet::DAC_READ_SEARCH);

impl ReadAccess {
    /// Confines this process for good, and says how well. Afterwards it can read these folders, work with threads, and
    /// talk over the streams that it has: not open another file, change one, start a program, connect, or signal.
    ///
    /// # Errors
    /// If the kernel has no seccomp, or this process has other threads: a fence is around one thread and what it starts.
    pub fn confine(&self) -> io::Result<SandboxLevel> {
        if std::fs::read_dir("/proc/self/task")?.count() != 1 {
            return Err(io::Error::other("a process with several threads cannot confine itself"));
        }
        let limits = JobLimits { memory: self.memory, processes: threads() + MORE_THREADS, disk: 0 };
        limits.apply()?;
        enter::give_up_rights(KEPT)?;
        set_no_new_privs(true)?;
        let level = fence::put_up_for_reading(self)?;
        filter::put_up_for_reading()?;
        Ok(level)
    }
}

/// How many threads the machine has now: no user has more. The kernel's limit counts those of the user, also in other
/// processes.
fn threads() -> u64 {
    let told = std::fs::read_to_string(LOAD).unwrap_or_default();
    let all = told.split_whitespace().nth(3).and_then(|load| load.split_once('/')?.1.parse().ok());
    all.unwrap_or(JobLimits::default().processes)
}
