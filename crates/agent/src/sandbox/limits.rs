//! What one job may use.

use std::io;

use rustix::process::{Resource, Rlimit, setrlimit};
use serde::{Deserialize, Serialize};

/// The fewest processes that can be asked for: the kernel keeps so many numbers of processes for itself.
const FEWEST_PROCESSES: u64 = 301;
/// The most open files of one process.
const OPEN_FILES: u64 = 4096;

/// Least, usual and most bytes of a connection's buffers. The number of sockets bounds their sum.
/// The kernel's own most are some megabytes.
const BUFFERS: [(&str, &str); 2] = [("tcp_rmem", "4096 65536 262144"), ("tcp_wmem", "4096 65536 262144")];

/// What one job may use.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Limits {
    /// Memory of all its processes together, in bytes: their own, shared memory, and files that are kept in memory. The
    /// kernel holds each process to it, a watcher all of them.
    pub memory: u64,
    /// Processes and threads, together.
    pub processes: u64,
    /// All files that it writes outside of a writable tree, and each file in it, in bytes.
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

    /// Bounds the buffers of connections, and the number of processes in the namespace of this process. The kernel's own
    /// limit of processes does not count those of root outside. Before Linux 6.14 a namespace has no such limit.
    pub(super) fn apply_to_namespace(&self, proc: &std::path::Path) {
        let most = self.processes.max(FEWEST_PROCESSES).to_string();
        let _ = std::fs::write(proc.join("sys/kernel/pid_max"), most);
        for (setting, sizes) in BUFFERS {
            let _ = std::fs::write(proc.join("sys/net/ipv4").join(setting), sizes);
        }
    }
}

fn lower(what: Resource, to: u64) -> io::Result<()> {
    let now = rustix::process::getrlimit(what);
    let to = Some(now.maximum.map_or(to, |now| now.min(to)));
    Ok(setrlimit(what, Rlimit { current: to, maximum: to })?)
}
