//! The sandbox on other systems than Linux: no job starts, and readers are not confined.

use std::convert::Infallible;
use std::io;
use std::net::TcpListener;
use std::process::Command;

use rustix::process::Pid;

use super::job::unsupported_system_error;
use super::{EscapeCheck, HelperStage, ReadAccess, SandboxError, SandboxJob, SandboxLevel, SandboxLimit};

impl HelperStage {
    pub(super) fn run(self) -> io::Result<u8> {
        Err(unsupported_system_error())
    }
}

impl ReadAccess {
    /// Returns [`SandboxLevel::None`]: the process stays unconfined.
    ///
    /// # Errors
    /// None on this system.
    pub fn confine(&self) -> io::Result<SandboxLevel> {
        Ok(SandboxLevel::None)
    }
}

/// The channel over which a job hands over its socket. No job starts on this system, so no value exists.
#[derive(Debug)]
pub struct SocketHandoff(Infallible);

impl SandboxJob {
    /// Fails, because no job starts on this system.
    ///
    /// # Errors
    /// Always.
    pub fn command_with_socket(self, _: &[&str]) -> io::Result<(Command, SocketHandoff)> {
        Err(unsupported_system_error())
    }
}

impl SocketHandoff {
    /// Is never called, because no value exists.
    ///
    /// # Errors
    /// None.
    pub fn wait_for_socket(&self) -> io::Result<TcpListener> {
        match self.0 {}
    }

    /// Is never called, because no value exists.
    ///
    /// # Errors
    /// None.
    pub fn into_stream(self) -> io::Result<tokio::net::UnixStream> {
        match self.0 {}
    }

    /// Is never called, because no value exists.
    ///
    /// # Errors
    /// None.
    pub fn send_input(&self, _: &[u8]) -> io::Result<()> {
        match self.0 {}
    }
}

/// Fails, because this system has no sandbox to escape from.
///
/// # Errors
/// [`SandboxError::Start`], always.
pub fn check_escapes(_: SandboxLevel) -> Result<Vec<EscapeCheck>, SandboxError> {
    Err(unsupported_system_error().into())
}

/// Returns `None`, because no job runs on this system.
pub fn exceeded_limit(_: Option<i32>, _: &[u8]) -> Option<(SandboxLimit, String)> {
    None
}

/// Returns no processes, because no helper runs on this system.
pub(crate) fn children_of(_: Pid) -> Vec<Pid> {
    Vec::new()
}
