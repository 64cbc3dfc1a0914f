//! The resource limits of one job.

use std::io;

use rustix::process::{Resource, Rlimit, setrlimit};

use super::JobLimits;

/// The lowest limit of the number of processes that the kernel accepts for a namespace, because it reserves
/// 300 process ids.
const MIN_NAMESPACE_PROCESSES: u64 = 301;
/// Maximum number of open files of one process.
pub(super) const MAX_OPEN_FILES: u64 = 4096;
/// Maximum number of pending signals and timers of all processes together.
pub(super) const MAX_PENDING_SIGNALS: u64 = 4096;
/// Maximum number of bytes of one `inotify` queue: 16384 events, each with a name.
pub(super) const EVENT_QUEUE_BYTES: u64 = 16384 * 512;
/// Kernel memory in bytes for a file that `inotify` watches. This size includes the file's inode, which the
/// watch keeps in memory.
pub(super) const FILE_WATCH_BYTES: u64 = 2 << 10;

/// The maximum number of files is the byte limit of the job's private files divided by this number.
const BYTES_PER_FILE: u64 = 8 << 10;
/// Minimum number of files that a job may have, even if its byte limit is low.
const MIN_FILES: u64 = 4096;

/// Smallest, default and largest size of a connection's receive and send buffers, in bytes. With these sizes,
/// the limit on the number of sockets also limits the sum of all buffers. The kernel's own maximum is several
/// megabytes.
const SOCKET_BUFFER_SETTINGS: [(&str, &str); 2] =
    [("tcp_rmem", "4096 65536 262144"), ("tcp_wmem", "4096 65536 262144")];

impl JobLimits {
    /// Applies the limits to this process and the processes that it starts. An existing lower limit is kept.
    pub(super) fn apply(&self) -> io::Result<()> {
        lower_limit(Resource::Data, self.memory)?;
        lower_limit(Resource::Fsize, self.disk)?;
        lower_limit(Resource::Nofile, MAX_OPEN_FILES)?;
        lower_limit(Resource::Core, 0)?;
        lower_limit(Resource::Sigpending, MAX_PENDING_SIGNALS)?;
        lower_limit(Resource::Nproc, self.processes)
    }

    /// Returns the maximum number of `inotify` queues. If all queues are full, they take half of the memory
    /// limit.
    pub(super) fn max_event_queues(&self) -> u64 {
        self.memory.div_euclid(EVENT_QUEUE_BYTES * 2)
    }

    /// Returns the maximum number of files that `inotify` may watch. Their watches together take a sixteenth
    /// of the memory limit.
    pub(super) fn max_file_watches(&self) -> u64 {
        self.memory.div_euclid(FILE_WATCH_BYTES * 16)
    }

    /// Sets the namespace's limits of connection buffers, `inotify` memory, and the number of processes. The
    /// process's own limit on processes does not suffice, because it does not apply to a user who is root
    /// outside the sandbox. Kernels before Linux 6.14 do not support a namespace's limit on processes.
    pub(super) fn apply_to_namespace(&self, proc: &std::path::Path) {
        let most = self.processes.max(MIN_NAMESPACE_PROCESSES).to_string();
        let _ = std::fs::write(proc.join("sys/kernel/pid_max"), most);
        for (setting, most) in [
            ("max_inotify_instances", self.max_event_queues()),
            ("max_inotify_watches", self.max_file_watches()),
        ] {
            let _ = std::fs::write(proc.join("sys/user").join(setting), most.to_string());
        }
        for (setting, sizes) in SOCKET_BUFFER_SETTINGS {
            let _ = std::fs::write(proc.join("sys/net/ipv4").join(setting), sizes);
        }
    }
}

/// Returns the maximum number of private files of a job whose private files may have this many bytes in
/// total. Even an empty file takes memory of the kernel.
pub(super) fn max_files(bytes: u64) -> u64 {
    bytes.div_euclid(BYTES_PER_FILE).max(MIN_FILES)
}

fn lower_limit(resource: Resource, to: u64) -> io::Result<()> {
    let now = rustix::process::getrlimit(resource);
    let to = Some(now.maximum.map_or(to, |now| now.min(to)));
    Ok(setrlimit(resource, Rlimit { current: to, maximum: to })?)
}
