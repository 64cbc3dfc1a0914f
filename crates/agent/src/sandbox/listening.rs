//! The only network access of a sandbox: a socket on its loopback interface. A process outside accepts the
//! connections to the socket.
//!
//! The first process inside the sandbox makes the socket and hands it to the parent process outside. No data
//! is copied between the two networks, and the sandbox needs neither a mounted file nor a relay process.
//! Without namespaces, the interface is that of the machine, and the mediator lets the job connect only to
//! this socket and to its own.

use std::io::{self, IoSlice, IoSliceMut, Write as _};
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, Shutdown, TcpListener};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};

use super::SandboxJob;
use super::mediator::inode_number;

/// Maximum time to wait for the job's socket, which the sandbox creates at the end of its setup.
const SOCKET_TIMEOUT: Duration = Duration::from_secs(60);
/// The message that carries the socket's descriptor; the kernel requires at least one byte.
const MESSAGE: &[u8] = b"+";

/// The channel over which the job hands its socket to this process.
#[derive(Debug)]
pub struct SocketHandoff(UnixStream);

impl SandboxJob {
    /// Returns the command as [`SandboxJob::command`] does, for a job that reaches a server on its loopback
    /// interface. Inside the sandbox, the environment variables with the names `variables` hold the server's
    /// address. Requires [`SandboxJob::allows_sockets`]. The socket is handed over on the command's standard
    /// input. Drop the command after its start. Otherwise, this process does not notice the exit of the
    /// started process.
    ///
    /// # Errors
    /// Returns the same errors as [`SandboxJob::command`].
    pub fn command_with_socket(mut self, variables: &[&str]) -> io::Result<(Command, SocketHandoff)> {
        self.address_variables = variables.iter().map(|name| (*name).to_owned()).collect();
        let (ours, theirs) = UnixStream::pair()?;
        let mut command = self.command()?;
        command.stdin(Stdio::from(OwnedFd::from(theirs)));
        Ok((command, SocketHandoff(ours)))
    }
}

impl SocketHandoff {
    /// Waits for the socket, for at most one minute.
    ///
    /// # Errors
    /// An I/O error if the process exited before it made the socket, or could not make it.
    pub fn wait_for_socket(&self) -> io::Result<TcpListener> {
        self.0.set_read_timeout(Some(SOCKET_TIMEOUT))?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut handed = RecvAncillaryBuffer::new(&mut space);
        let mut byte = [0; 1];
        let received =
            recvmsg(self.0.as_fd(), &mut [IoSliceMut::new(&mut byte)], &mut handed, RecvFlags::CMSG_CLOEXEC)?;
        let socket = handed.drain().find_map(|message| {
            if let RecvAncillaryMessage::ScmRights(mut files) = message { files.next() } else { None }
        });
        match (received.bytes, socket) {
            (1.., Some(socket)) => Ok(TcpListener::from(socket)),
            (_, _) => Err(io::Error::other("the process exited before its network was set up")),
        }
    }

    /// Returns the other end of the job's standard input ([`SandboxJob::has_input_stream`]). The caller can
    /// write to it while the job runs. Call this after [`Self::wait_for_socket`].
    ///
    /// # Errors
    /// An I/O error of the system.
    pub fn into_stream(self) -> io::Result<tokio::net::UnixStream> {
        self.0.set_nonblocking(true)?;
        tokio::net::UnixStream::from_std(self.0)
    }

    /// Writes the whole standard input of a job ([`SandboxJob::has_input_stream`]), for at most one minute.
    ///
    /// # Errors
    /// An I/O error if the process no longer reads.
    pub fn send_input(&self, input: &[u8]) -> io::Result<()> {
        self.0.set_write_timeout(Some(SOCKET_TIMEOUT))?;
        (&self.0).write_all(input)?;
        self.0.shutdown(Shutdown::Write)
    }
}

/// The socket of a server of Truing to which a job may connect.
#[derive(Clone, Copy)]
pub(super) struct ServerSocket {
    pub(super) port: u16,
    /// Inode number of the socket.
    pub(super) inode: u64,
}

/// Creates the socket, inside the sandbox, and hands it to the parent over the standard input.
pub(super) fn hand_over_socket() -> io::Result<ServerSocket> {
    let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let files = [socket.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut handed = SendAncillaryBuffer::new(&mut space);
    if !handed.push(SendAncillaryMessage::ScmRights(&files)) {
        return Err(io::Error::other("the message has no space for the socket"));
    }
    sendmsg(io::stdin().as_fd(), &[IoSlice::new(MESSAGE)], &mut handed, SendFlags::empty())?;
    Ok(ServerSocket { port: socket.local_addr()?.port(), inode: inode_number(&socket)? })
}
