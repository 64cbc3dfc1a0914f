//! The bounds of reading one file, held from outside of the process that reads it: no parser is asked to agree.
//!
//! A grammar can be made to take memory and time between two of the moments at which it asks whether to go on (ADR
//! 0065). So the kernel refuses a reader more memory than its file may cost, and a reader that works on one for too
//! long is killed.

use std::time::Duration;

use rustix::process::Pid;

/// The memory of reading a file besides [`FILE_BYTES`], in bytes.
pub const FILE_MEMORY: u64 = 64 << 20;
/// The bytes of memory that reading a file may take for each of its own.
pub const FILE_BYTES: u64 = 20;
/// The processor time of one file. A reader gives up on its own before that, where its parser asks.
pub const FILE_TIME: Duration = Duration::from_secs(2);
/// The time of a file where the processor is busy with others.
pub(super) const FILE_PATIENCE: Duration = Duration::from_secs(20);

/// The memory and time that a process uses. Linux tells; elsewhere a reader has no bounds but time.
#[derive(Clone, Copy, Debug)]
pub(super) struct ProcessUsage(Pid);

impl ProcessUsage {
    pub(super) fn of(process: Pid) -> Self {
        Self(process)
    }

    /// How long the processor has worked for it; none if that is not told.
    pub(super) fn worked(self) -> Option<Duration> {
        let told = self.proc("stat")?;
        // After its name, which may hold anything, comes its state as the third field.
        let fields: Vec<&str> = told.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks = |at: usize| fields.get(at)?.parse::<u64>().ok();
        let ticks = ticks(11)?.checked_add(ticks(12)?)?;
        let per_second = rustix::param::clock_ticks_per_second().max(1);
        Some(Duration::from_millis(ticks.saturating_mul(1000) / per_second))
    }

    /// Lets the process have as much more memory than it has now as a file of this size may cost. Says whether the
    /// kernel holds it to that.
    #[cfg(target_os = "linux")]
    pub(super) fn allow_for(self, size: u64) -> bool {
        use rustix::process::{Resource, Rlimit, getrlimit, prlimit};
        use truing_agent::sandbox::READER_MEMORY;

        let Some(has) = self.data() else { return false };
        let more = FILE_BYTES.saturating_mul(size).saturating_add(FILE_MEMORY);
        // The limit that it has set itself, which stays: a child's is never above its parent's.
        let most = getrlimit(Resource::Data).maximum.map_or(READER_MEMORY, |own| own.min(READER_MEMORY));
        let limit = Rlimit { current: Some(has.saturating_add(more).min(most)), maximum: Some(most) };
        prlimit(Some(self.0), Resource::Data, limit).is_ok()
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn allow_for(self, _: u64) -> bool {
        false
    }

    /// Its data and stacks, in bytes: what the limit counts.
    #[cfg(target_os = "linux")]
    fn data(self) -> Option<u64> {
        let told = self.proc("statm")?;
        let pages: u64 = told.split_whitespace().nth(5)?.parse().ok()?;
        pages.checked_mul(u64::try_from(rustix::param::page_size()).ok()?)
    }

    fn proc(self, name: &str) -> Option<String> {
        std::fs::read_to_string(format!("/proc/{}/{name}", self.0.as_raw_nonzero())).ok()
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_uses_is_told() {
        let own = ProcessUsage::of(rustix::process::getpid());
        let before = (own.worked().unwrap(), own.data().unwrap());
        // More than other tests may free meanwhile. Nothing of it is touched, so it takes no memory.
        let large = std::hint::black_box(vec![0_u8; 1 << 30]);
        let mut held = vec![1_u8; 1 << 20];
        while own.worked().unwrap() < before.0 + Duration::from_millis(20) {
            held.iter_mut().for_each(|byte| *byte = byte.wrapping_add(1));
        }
        assert!(own.data().unwrap() >= before.1 + large.len() as u64 / 2);
    }
}
