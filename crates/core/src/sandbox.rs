//! How strong the fence around a process is: declared by the process that is inside, asked for by the operator.

use serde::{Deserialize, Serialize};

/// How strong a sandbox is, weakest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SandboxLevel {
    /// Limits, and for a reader a filter of the kernel's calls; no fence around files.
    None,
    /// Landlock and seccomp on the machine's own file system: no namespaces.
    Landlock,
    /// Own user, process, network, mount, IPC and host name namespaces, and within them Landlock where the kernel has
    /// it, and seccomp.
    Full,
}

impl SandboxLevel {
    /// The strongest that a reader asks for: it starts nothing, writes nothing and connects to nothing, so namespaces
    /// would keep nothing more from it.
    pub const OF_READERS: Self = Self::Landlock;

    /// The level of this name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::None, Self::Landlock, Self::Full].into_iter().find(|level| level.as_str() == name)
    }

    /// The word used in text, configuration and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Landlock => "landlock",
            Self::Full => "full",
        }
    }
}

/// What a job in the sandbox is bounded in, all its processes together. The job is ended when it passes one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SandboxLimit {
    /// Memory, shared memory and files in memory included.
    Memory,
    /// Processes and threads.
    Processes,
    /// Sockets: their buffers are memory of the kernel's.
    Sockets,
    /// Files that it writes.
    Disk,
}

impl SandboxLimit {
    /// The bound of this name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Memory, Self::Processes, Self::Sockets, Self::Disk]
            .into_iter()
            .find(|bound| bound.as_str() == name)
    }

    /// The word used in text and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Processes => "processes",
            Self::Sockets => "sockets",
            Self::Disk => "disk",
        }
    }
}
