//! Strength of the sandbox around a process. The sandboxed process reports the strength, and the operator can
//! require a minimum.

use serde::{Deserialize, Serialize};

/// Strength of a sandbox, weakest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SandboxLevel {
    /// There are only resource limits and, for a reader process, a system call filter. Access to files is not
    /// restricted.
    None,
    /// Landlock and seccomp restrict the process. There are no namespaces, so the process uses the machine's
    /// own file system.
    Landlock,
    /// The process has its own user, process, network, mount, IPC and host name namespaces. It is also
    /// restricted by seccomp, and by Landlock if the kernel supports Landlock.
    Full,
}

impl SandboxLevel {
    /// Highest level that is required of a reader, even if the operator requires a higher one. A reader
    /// starts no process, writes no file and opens no connection, so namespaces would add no protection.
    pub const OF_READERS: Self = Self::Landlock;

    /// Finds the level of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::None, Self::Landlock, Self::Full].into_iter().find(|level| level.as_str() == name)
    }

    /// Returns the word used in text, configuration and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Landlock => "landlock",
            Self::Full => "full",
        }
    }
}

/// A resource limit on all processes of a sandboxed job together. The job is killed when it exceeds a limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SandboxLimit {
    /// Memory, including shared memory and files that exist only in memory.
    Memory,
    /// Number of processes and threads.
    Processes,
    /// Sockets, whose buffers take kernel memory.
    Sockets,
    /// Files that the job writes.
    Disk,
}

impl SandboxLimit {
    /// Finds the limit of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Memory, Self::Processes, Self::Sockets, Self::Disk]
            .into_iter()
            .find(|bound| bound.as_str() == name)
    }

    /// Returns the word used in text and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Processes => "processes",
            Self::Sockets => "sockets",
            Self::Disk => "disk",
        }
    }
}
