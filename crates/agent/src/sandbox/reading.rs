//! Confines a process that reads hostile data: the process restricts itself before it reads the first byte.
//! Such a process starts no other process, so it needs no namespaces, and the confinement costs very little.

use std::io;

use rustix::thread::{CapabilitySet, set_no_new_privs};
use truing_core::sandbox::SandboxLevel;

use super::read_only::ReadAccess;
use super::{JobLimits, enter, filter, landlock_rules};

/// If the machine's total number of threads has grown by this number, a reader can no longer start threads.
const MAX_ADDITIONAL_THREADS: u64 = 512;
/// File that contains the number of all threads of the machine.
const LOAD_AVERAGE_FILE: &str = "/proc/loadavg";
/// Capabilities that allow root to read the files of other users. A reader that has these capabilities keeps
/// them, but Landlock still restricts the files that it can read.
const READER_CAPABILITIES: CapabilitySet = CapabilitySet::DAC_OVERRIDE.union(CapabilitySet::DAC_READ_SEARCH);

impl ReadAccess {
    /// Confines this process permanently, and returns the level reached. Afterwards, the process can read the
    /// folders of `self`, use threads, and use its open streams. The process cannot open other files, change
    /// files, start programs, connect, or send signals.
    ///
    /// # Errors
    /// An I/O error if the kernel has no seccomp, or if this process has other threads, because the
    /// restrictions would apply only to one thread and its children.
    pub fn confine(&self) -> io::Result<SandboxLevel> {
        if std::fs::read_dir("/proc/self/task")?.count() != 1 {
            return Err(io::Error::other("a process with several threads cannot confine itself"));
        }
        let limits =
            JobLimits { memory: self.memory, processes: count_threads() + MAX_ADDITIONAL_THREADS, disk: 0 };
        limits.apply()?;
        enter::drop_capabilities(READER_CAPABILITIES)?;
        set_no_new_privs(true)?;
        let level = landlock_rules::apply_reader_restrictions(self)?;
        filter::apply_reader_filter()?;
        Ok(level)
    }
}

/// Returns the number of all threads on the machine. A reader's limit is based on this number, because the
/// kernel's limit counts all threads of the user, and no user can have more threads than the machine.
fn count_threads() -> u64 {
    let told = std::fs::read_to_string(LOAD_AVERAGE_FILE).unwrap_or_default();
    let all = told.split_whitespace().nth(3).and_then(|load| load.split_once('/')?.1.parse().ok());
    all.unwrap_or(JobLimits::default().processes)
}
