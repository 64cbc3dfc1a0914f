//! Performs some system calls of a job outside the sandbox, for a job without namespaces.
//!
//! A filter can compare numbers, but it cannot read a path or an address, because these are in the memory of
//! the process. For such calls, the filter suspends the process and hands the call over to the mediator, a
//! thread of the helper. The mediator reads the path or the address once, checks it, and performs the call
//! with its own copy. The job cannot change the value after the check.
//!
//! * `sockets`: the job's network consists of its own TCP servers on loopback addresses, and of one server of
//!   Truing.
//! * `attributes`: the job changes permissions and times only of files that it may write. Landlock does not
//!   restrict these calls.
//! * `signals`: the job's signals reach only the job's processes.

mod attributes;
mod signals;
mod socket_table;
mod sockets;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::net::SocketAddr;
use std::path::PathBuf;

use rustix::io::Errno;
use truing_seccomp::{NotificationListener, SuspendedCall};

pub(super) use attributes::ATTRIBUTE_CALLS;
pub(super) use sockets::inode_number;

/// System calls that the mediator performs for the job's sockets.
pub(super) const SOCKET_CALLS: &[i64] = &[libc::SYS_connect, libc::SYS_bind, libc::SYS_listen];
/// System calls that the mediator performs for the job's signals.
pub(super) const SIGNAL_CALLS: &[i64] = &[libc::SYS_kill, libc::SYS_tgkill, libc::SYS_tkill];

/// The mediator of one job.
pub(super) struct CallMediator {
    listener: NotificationListener,
    /// Canonical paths of the folders whose files the job may write.
    writable_folders: Vec<PathBuf>,
    /// Addresses of the sockets that do not listen yet, by inode number.
    bound_addresses: BTreeMap<u64, SocketAddr>,
    /// Inode numbers of the sockets that are connected.
    connected_sockets: BTreeSet<u64>,
    /// Inode numbers of the sockets to which the job may connect.
    listening_sockets: BTreeSet<u64>,
}

impl CallMediator {
    /// Returns the mediator for the calls that `listener` receives. The job may connect to the listening
    /// socket with this inode number, which belongs to a server of Truing.
    pub(super) fn new(
        listener: NotificationListener,
        writable_folders: Vec<PathBuf>,
        server_inode: Option<u64>,
    ) -> Self {
        Self {
            listener,
            writable_folders,
            bound_addresses: BTreeMap::new(),
            connected_sockets: BTreeSet::new(),
            listening_sockets: server_inode.into_iter().collect(),
        }
    }

    /// Performs the job's calls until no process of the job is left.
    pub(super) fn run(mut self) {
        while let Ok(call) = self.listener.receive() {
            let result = self.perform(&call).map_err(Errno::raw_os_error);
            // The error is ignored, because the calling thread may have been killed.
            let _ = self.listener.respond(&call, result);
        }
    }

    fn perform(&mut self, call: &SuspendedCall) -> Result<i64, Errno> {
        match call.number {
            libc::SYS_connect => self.connect_socket(call),
            libc::SYS_bind => self.bind_socket(call),
            libc::SYS_listen => self.listen_on_socket(call),
            libc::SYS_kill | libc::SYS_tgkill | libc::SYS_tkill => signals::send_job_signal(call),
            _ => self.change_attributes(call),
        }
    }

    /// Opens the memory of the calling process. Data that is read from it belongs to the suspended call.
    fn open_memory(&self, call: &SuspendedCall) -> Result<File, Errno> {
        let memory = File::open(format!("/proc/{}/mem", call.thread_id)).map_err(|_| Errno::ACCESS)?;
        // The thread may have exited, and another process may have got its id before the file was opened.
        if self.listener.is_suspended(call) { Ok(memory) } else { Err(Errno::INTR) }
    }
}

/// Returns the low 32 bits of an argument as a signed number, as the kernel reads a parameter of type `int`.
fn low_bits(argument: u64) -> i32 {
    let [a, b, c, d, ..] = argument.to_le_bytes();
    i32::from_le_bytes([a, b, c, d])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_int_arguments_with_sign() {
        assert_eq!(low_bits(u64::from(u32::MAX)), -1);
        assert_eq!(low_bits(0xffff_ffff_0000_0005), 5);
    }
}
