//! The attempts to escape from the sandbox, and their results.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// One attempt. The attempt has succeeded if the process exits with 0.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum EscapeProbe {
    /// Does nothing, and always succeeds.
    Nothing,
    /// Waits until its input ends. Other attempts try to reach this process.
    Wait,
    /// Reads the file at this path.
    Read(PathBuf),
    /// Writes to the file at this path.
    Write(PathBuf),
    /// Changes the permissions of this file.
    ChangeMode(PathBuf),
    /// Changes the time of the last change of this file.
    ChangeTimes(PathBuf),
    /// Truncates this file by opening it for reading.
    TruncateOnOpen(PathBuf),
    /// Lowers the priority of a process.
    LowerPriority(i32),
    /// Starts this program; the attempt succeeds if the program exits with 0.
    Start(PathBuf),
    /// Replaces the process with this program; the attempt succeeds if the program exits with 0.
    Exec(PathBuf),
    /// Finds this text in the environment of some process.
    FindInEnvironment(String),
    /// Connects to this address by TCP.
    Tcp(SocketAddr),
    /// Sends data with the first packet of a TCP connection to this address.
    TcpFastOpen(SocketAddr),
    /// Sends a datagram to this address by UDP.
    Udp(SocketAddr),
    /// Connects to an abstract socket.
    AbstractSocket(String),
    /// Connects to a socket that is a file.
    Socket(PathBuf),
    /// Sends a datagram to a socket that is a file, from a socket without a name.
    DatagramPair(PathBuf),
    /// Sends a signal to a process.
    Signal(i32),
    /// Opens the memory of a process.
    OpenProcessMemory(i32),
    /// Starts this many threads.
    Threads(u64),
    /// Uses this many bytes of memory.
    Memory(u64),
    /// Writes this many bytes to the temporary folder.
    Disk(u64),
    /// Makes this many empty files in the temporary folder.
    Files(u64),
    /// Fills an unnamed file in memory with this many bytes.
    MemoryFile(u64),
    /// Fills files of this folder, or of the temporary folder if the path is empty, with this many bytes, and
    /// removes their names.
    UnlinkedFiles(PathBuf, u64),
    /// Makes this many pairs of sockets.
    Sockets(u64),
    /// Makes this many pipes with data in them.
    Pipes(u64),
    /// Sends this many files through a socket, and receives none of them.
    FilesInFlight(u64),
    /// Watches this many files of the temporary folder.
    Watches(u64),
    /// Starts this many processes of this program, each with this attempt.
    ChildProcesses(u64, Box<EscapeProbe>),
    /// Makes this attempt, writes one letter to the output, and holds the resources until the input ends.
    Hold(Box<EscapeProbe>),
    /// Makes both attempts, and holds their resources.
    Both(Box<EscapeProbe>, Box<EscapeProbe>),
}

/// The result of one attempt.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct EscapeCheck {
    /// Name of the attempt.
    pub name: &'static str,
    /// True if the attempt failed, as required; `None` if the attempt could not be made.
    #[serde(rename = "stopped")]
    pub is_blocked: Option<bool>,
    /// The reason that the attempt was not made, if it was not made. If a limit for all processes together
    /// stopped the attempt, the note contains the measured use instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Number of bytes that the attempt held in kernel objects. Present only for attempts that try to exceed
    /// the memory limit with one kind of kernel object.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(rename = "held")]
    pub held_bytes: Option<u64>,
    /// The memory limit that the attempt tried to exceed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
}

impl EscapeCheck {
    /// Returns true if the attempt escaped.
    pub fn has_escaped(&self) -> bool {
        self.is_blocked == Some(false)
    }
}
