//! What one job may use.

use std::io;

use rustix::process::{Resource, Rlimit, setrlimit};
use serde::{Deserialize, Serialize};

/// The fewest processes that can be asked for: the kernel keeps so many numbers of processes for itself.
const FEWEST_PROCESSES: u64 = 301;
/// The most open files of one process.
pub(super) const OPEN_FILES: u64 = 4096;
/// The most signals that wait, and timers, of all processes.
pub(super) const SIGNALS: u64 = 4096;
/// The most that one queue of `inotify` holds, in bytes: 16384 events, each with a name.
pub(super) const EVENT_QUEUE: u64 = 16384 * 512;
/// The kernel's memory for a file that `inotify` watches, with the file that it keeps, in bytes.
pub(super) const FILE_WATCH: u64 = 2 << 10;

/// Least, usual and most bytes of a connection's buffers. The number of sockets bounds their sum.
/// The kernel's own most are some megabytes.
const BUFFERS: [(&str, &str); 2] = [("tcp_rmem", "4096 65536 262144"), ("tcp_wmem", "4096 65536 262144")];

/// What one job may use.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct JobLimits {
    /// Memory of all its processes together, in bytes: their own, shared memory, and files that are kept in memory. The
    /// kernel holds each process to it, a watcher all of them.
    pub memory: u64,
    /// Processes and threads, together.
    pub processes: u64,
    /// All files that it writes outside of a writable tree, and each file in it, in bytes.
    pub disk: u64,
}

impl Default for JobLimits {
    fn default() -> Self {
        Self { memory: 4 << 30, processes: 1024, disk: 2 << 30 }
    }
}

impl JobLimits {
    /// Holds this process, and what it starts, to them. A limit that is lower already stays.
    pub(super) fn apply(&self) -> io::Result<()> {
        lower(Resource::Data, self.memory)?;
        lower(Resource::Fsize, self.disk)?;
        lower(Resource::Nofile, OPEN_FILES)?;
        lower(Resource::Core, 0)?;
        lower(Resource::Sigpending, SIGNALS)?;
        lower(Resource::Nproc, self.processes)
    }

    /// The number of queues that `inotify` may have: half of the memory, if all are full.
    pub(super) fn event_queues(&self) -> u64 {
        self.memory.div_euclid(EVENT_QUEUE * 2)
    }

    /// The number of files that `inotify` may watch: a sixteenth of the memory.
    pub(super) fn file_watches(&self) -> u64 {
        self.memory.div_euclid(FILE_WATCH * 16)
    }

    /// Bounds the buffers of connections, what `inotify` keeps, and the number of processes in the namespace of this process. The kernel's own
    /// limit of processes does not count those of root outside. Before Linux 6.14 a namespace has no such limit.
    pub(super) fn apply_to_namespace(&self, proc: &std::path::Path) {
        let most = self.processes.max(FEWEST_PROCESSES).to_string();
        let _ = std::fs::write(proc.join("sys/kernel/pid_max"), most);
        for (setting, most) in
            [("max_inotify_instances", self.event_queues()), ("max_inotify_watches", self.file_watches())]
        {
            let _ = std::fs::write(proc.join("sys/user").join(setting), most.to_string());
        }
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
