//! The one network access of a sandbox: a socket on its own loopback interface, which a process outside
//! serves.
//!
//! The first process inside makes the socket and hands it to the parent, which accepts connections outside.
//! The socket requires no copying of data between the two networks, no mounted file, and no relay process
//! inside.

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

/// The variables that programs read a proxy from. Some programs read only the upper-case or only the
/// lower-case names.
pub const PROXY: [&str; 4] = ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"];
/// Timeout for building the inside.
const BUILDING: Duration = Duration::from_secs(60);
/// A message needs at least one byte to carry a descriptor.
const MESSAGE: &[u8] = b"+";

/// The channel on which the socket of a job arrives.
#[derive(Debug)]
pub struct SocketHandoff(UnixStream);

impl SandboxJob {
    /// Returns the command as [`SandboxJob::command`] does, for a job with a server on its loopback
    /// interface. These variables hold the server's address. Requires
    /// [`SandboxLevel::Full`](super::SandboxLevel::Full) and [`SandboxJob::sockets`]. The command's standard
    /// input is used for the handoff. Drop the command once it is started: otherwise this process does not
    /// notice the end of the started process.
    ///
    /// # Errors
    /// The same as for [`SandboxJob::command`].
    pub fn command_with_socket(mut self, variables: &[&str]) -> io::Result<(Command, SocketHandoff)> {
        self.listens = variables.iter().map(|name| (*name).to_owned()).collect();
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
        self.0.set_read_timeout(Some(BUILDING))?;
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

    /// Returns the other end of the job's standard input ([`SandboxJob::hears`]), for writing while the job
    /// runs. Call this after [`Self::wait_for_socket`].
    ///
    /// # Errors
    /// An I/O error of the system.
    pub fn into_stream(self) -> io::Result<tokio::net::UnixStream> {
        self.0.set_nonblocking(true)?;
        tokio::net::UnixStream::from_std(self.0)
    }

    /// Writes the whole standard input of a job ([`SandboxJob::hears`]), for at most one minute.
    ///
    /// # Errors
    /// An I/O error if the process no longer reads.
    pub fn send_input(&self, words: &[u8]) -> io::Result<()> {
        self.0.set_write_timeout(Some(BUILDING))?;
        (&self.0).write_all(words)?;
        self.0.shutdown(Shutdown::Write)
    }
}

/// Runs inside: makes the socket and hands it to the parent over the standard input. Returns its port.
pub(super) fn hand_over() -> io::Result<u16> {
    let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let files = [socket.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut handed = SendAncillaryBuffer::new(&mut space);
    if !handed.push(SendAncillaryMessage::ScmRights(&files)) {
        return Err(io::Error::other("no room to hand a socket over"));
    }
    sendmsg(io::stdin().as_fd(), &[IoSlice::new(MESSAGE)], &mut handed, SendFlags::empty())?;
    Ok(socket.local_addr()?.port())
}
