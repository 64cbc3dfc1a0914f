//! Levels of the sandbox around a process. The sandboxed process reports its level, and the operator can
//! require a minimum level.

use serde::{Deserialize, Serialize};

/// Level of a sandbox, weakest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SandboxLevel {
    /// The process has only resource limits and, if it is a reader process, a system call filter. Access to
    /// files is not restricted. On other systems than Linux, the process has no restrictions at all.
    None,
    /// Landlock, seccomp and a process outside the sandbox restrict the process. The process has no
    /// namespaces of its own, so it uses the file system and the network of the machine.
    Landlock,
    /// The process has its own user, process, network, mount, IPC and host name namespaces. Seccomp also
    /// restricts the process. Landlock also restricts it, if the kernel supports Landlock.
    Full,
}

impl SandboxLevel {
    /// Highest level that a reader process must reach, even if the operator requires a higher level. A reader
    /// starts no process, writes no file and opens no connection, so namespaces would add no protection.
    pub const MAX_REQUIRED_READER_LEVEL: Self = Self::Landlock;
    /// Lowest level at which a repository's code may run. From this level on, the sandbox enforces all four
    /// properties: no network, only the files of the job, no other process, and bounded resources.
    pub const MIN_FOR_FOREIGN_CODE: Self = Self::Landlock;

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

/// A resource limit for all processes of a sandboxed job together. A job that exceeds a limit is killed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SandboxLimit {
    /// Memory, including shared memory and files that exist only in memory.
    Memory,
    /// Number of processes and threads.
    Processes,
    /// Number of sockets, because their buffers occupy kernel memory.
    Sockets,
    /// Disk space for files that the job writes.
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
