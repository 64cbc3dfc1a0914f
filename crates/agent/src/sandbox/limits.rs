//! What one job may use.

use std::io;

use rustix::process::{Resource, Rlimit, setrlimit};
use serde::{Deserialize, Serialize};

/// The fewest processes that can be asked for: the kernel keeps so many numbers of processes for itself.
const FEWEST_PROCESSES: u64 = 301;
/// The most open files of one process.
const OPEN_FILES: u64 = 4096;

/// What one job may use.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Limits {
    /// Memory of each of its processes, in bytes.
    pub memory: u64,
    /// Processes and threads, together; no fewer than about 300 where namespaces count them.
    pub processes: u64,
    /// All files that it writes outside of a writable tree, in bytes.
    pub disk: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { memory: 4 << 30, processes: 1024, disk: 2 << 30 }
    }
}

impl Limits {
    /// Holds this process, and what it starts, to them. A limit that is lower already stays.
    pub(super) fn apply(&self) -> io::Result<()> {
        lower(Resource::Data, self.memory)?;
        lower(Resource::Fsize, self.disk)?;
        lower(Resource::Nofile, OPEN_FILES)?;
        lower(Resource::Core, 0)?;
        lower(Resource::Nproc, self.processes)
    }

    /// Counts processes of the namespace whose first process this is, whoever they belong to: the limit of the
    /// kernel's own counts nobody who is root outside. Kernels before 6.14 have none for a namespace.
    pub(super) fn apply_to_namespace(&self, proc: &std::path::Path) {
        let most = self.processes.max(FEWEST_PROCESSES).to_string();
        let _ = std::fs::write(proc.join("sys/kernel/pid_max"), most);
    }
}

fn lower(what: Resource, to: u64) -> io::Result<()> {
    let now = rustix::process::getrlimit(what);
    let to = Some(now.maximum.map_or(to, |now| now.min(to)));
    Ok(setrlimit(what, Rlimit { current: to, maximum: to })?)
}
