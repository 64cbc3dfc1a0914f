//! The limits of reading one file. The server and the kernel enforce these limits from outside the reading
//! process, so they do not depend on the parser.
//!
//! A crafted file can make a grammar use memory and time between two of its cancellation checks (ADR 0065).
//! The kernel therefore refuses memory requests beyond the file's limit, and the server kills a reader that
//! works on one file for too long.

use std::time::Duration;

use rustix::process::Pid;

/// Number of bytes of memory that reading a file may use in addition to the allowance by size
/// ([`MEMORY_PER_FILE_BYTE`]).
pub const FILE_BASE_MEMORY_BYTES: u64 = 64 << 20;
/// Number of bytes of memory that reading a file may use per byte of the file.
pub const MEMORY_PER_FILE_BYTE: u64 = 20;
/// Limit on the CPU time for reading one file. If the parser checks for cancellation, the reader stops by
/// itself at this limit.
pub const FILE_CPU_TIME_LIMIT: Duration = Duration::from_secs(2);
/// Limit on the elapsed time for reading one file. It is longer than the CPU time limit, because other
/// processes may use the processor.
pub(super) const FILE_ELAPSED_TIME_LIMIT: Duration = Duration::from_secs(20);

/// The memory and time that a process uses. The values are available only on Linux. On other systems, a
/// reader is limited only in time.
#[derive(Clone, Copy, Debug)]
pub(super) struct ProcessUsage(Pid);

impl ProcessUsage {
    pub(super) fn from_pid(process: Pid) -> Self {
        Self(process)
    }

    /// Returns the CPU time that the process has used; `None` if the system does not report this time.
    pub(super) fn cpu_time(self) -> Option<Duration> {
        let stat = self.read_proc_file("stat")?;
        // The process name may contain any character. Parsing therefore starts after the parenthesis that
        // closes the name, with the third field (the state).
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks = |at: usize| fields.get(at)?.parse::<u64>().ok();
        let ticks = ticks(11)?.checked_add(ticks(12)?)?;
        let per_second = rustix::param::clock_ticks_per_second().max(1);
        Some(Duration::from_millis(ticks.saturating_mul(1000) / per_second))
    }

    /// Limits the process to its current memory plus the allowance for a file of this size. Returns true if
    /// the kernel enforces the limit.
    #[cfg(target_os = "linux")]
    pub(super) fn limit_memory_for_file(self, size: u64) -> bool {
        use rustix::process::{Resource, Rlimit, getrlimit, prlimit};
        use truing_agent::sandbox::READER_MEMORY_BYTES;

        let Some(has) = self.data_bytes() else { return false };
        let more = MEMORY_PER_FILE_BYTE.saturating_mul(size).saturating_add(FILE_BASE_MEMORY_BYTES);
        // The kernel does not permit a limit above the hard limit of the server process, which a child
        // inherits.
        let most =
            getrlimit(Resource::Data).maximum.map_or(READER_MEMORY_BYTES, |own| own.min(READER_MEMORY_BYTES));
        let limit = Rlimit { current: Some(has.saturating_add(more).min(most)), maximum: Some(most) };
        prlimit(Some(self.0), Resource::Data, limit).is_ok()
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn limit_memory_for_file(self, _: u64) -> bool {
        false
    }

    /// Returns the size of the process's data and stacks in bytes. Only these count towards the memory limit.
    #[cfg(target_os = "linux")]
    fn data_bytes(self) -> Option<u64> {
        let statm = self.read_proc_file("statm")?;
        let pages: u64 = statm.split_whitespace().nth(5)?.parse().ok()?;
        pages.checked_mul(u64::try_from(rustix::param::page_size()).ok()?)
    }

    fn read_proc_file(self, name: &str) -> Option<String> {
        std::fs::read_to_string(format!("/proc/{}/{name}", self.0.as_raw_nonzero())).ok()
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
    }
}
