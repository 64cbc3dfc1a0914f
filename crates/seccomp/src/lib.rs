//! A safe interface to seccomp user notifications. A filter hands selected system calls of a process over to
//! a listener. The kernel suspends such a call until the listener responds. The listener can perform the call
//! itself, with arguments that the process can no longer change.
//!
//! This crate contains all unsafe code of the workspace: calls of the kernel for which no maintained
//! crate without a C library has a safe function. Source of the rules: `seccomp_unotify(2)`.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

/// Creates a listener; flag of `seccomp(2)`.
const NEW_LISTENER: u64 = 1 << 3;
/// Lets only a fatal signal interrupt a suspended call that was received, so no call is performed twice
/// (Linux 5.19).
const WAIT_KILLABLE: u64 = 1 << 5;

/// Receives the system calls that a filter hands over.
#[derive(Debug)]
pub struct NotificationListener(OwnedFd);

/// A suspended system call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SuspendedCall {
    /// Identifies the call until it ends.
    pub id: u64,
    /// The thread that made the call.
    pub thread_id: u32,
    /// Number of the system call.
    pub number: i64,
    pub arguments: [u64; 6],
}

/// Adds a filter to this thread and to the processes that this thread starts later. Returns the listener of
/// the filter. This thread must not be able to gain privileges (`no_new_privs`).
///
/// # Errors
/// An I/O error of the kernel: `EBUSY` if an earlier filter of this thread has a listener, and `EINVAL` if
/// the kernel is older than Linux 5.0 or the filter is invalid.
pub fn install_filter_with_listener(filter: &[libc::sock_filter]) -> io::Result<NotificationListener> {
    let length = filter.len().try_into().map_err(io::Error::other)?;
    // The kernel only reads the instructions, although the type has a mutable pointer.
    let program = libc::sock_fprog { len: length, filter: filter.as_ptr().cast_mut() };
    let install = |flags: u64| {
        // SAFETY: The pointer is valid during the call, and `len` is the number of instructions behind it.
        check_result(unsafe {
            libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program)
        })
    };
    let descriptor = install(NEW_LISTENER | WAIT_KILLABLE).or_else(|error| match error.raw_os_error() {
        Some(libc::EINVAL) => install(NEW_LISTENER),
        _ => Err(error),
    })?;
    let descriptor = i32::try_from(descriptor).map_err(io::Error::other)?;
    // SAFETY: The kernel has just created the descriptor for this call, so no other value owns it.
    Ok(NotificationListener(unsafe { OwnedFd::from_raw_fd(descriptor) }))
}

/// Sends a signal to a process or, if `thread_id` is given, to this thread of the process. `process_id` and
/// `signal` have the meaning that `kill(2)` gives them.
///
/// # Errors
/// An I/O error of the kernel, for example if there is no such process.
pub fn send_signal(process_id: i32, thread_id: Option<i32>, signal: i32) -> io::Result<()> {
    let result = match thread_id {
        // SAFETY: The call takes three numbers.
        Some(thread_id) => unsafe { libc::syscall(libc::SYS_tgkill, process_id, thread_id, signal) },
        // SAFETY: The call takes two numbers.
        None => unsafe { libc::syscall(libc::SYS_kill, process_id, signal) },
    };
    check_result(result).map(drop)
}

impl NotificationListener {
    /// Waits for the next call.
    ///
    /// # Errors
    /// An I/O error if no process with the filter is left.
    pub fn receive(&self) -> io::Result<SuspendedCall> {
        loop {
            // The kernel requires that the structure contains only zeros.
            let mut call = libc::seccomp_notif {
                id: 0,
                pid: 0,
                flags: 0,
                data: libc::seccomp_data { nr: 0, arch: 0, instruction_pointer: 0, args: [0; 6] },
            };
            // SAFETY: The request fills a structure of this type.
            let result =
                unsafe { libc::ioctl(self.0.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut call) };
            match check_result(result.into()) {
                Ok(_) => {
                    return Ok(SuspendedCall {
                        id: call.id,
                        thread_id: call.pid,
                        number: call.data.nr.into(),
                        arguments: call.data.args,
                    });
                }
                // A signal interrupted the wait, or the process ended before its call was received.
                Err(error) if matches!(error.raw_os_error(), Some(libc::EINTR | libc::ENOENT)) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Returns true if the call is still suspended. If it is, data that was read before from the memory of
    /// its process belongs to this call, and not to a later process with the same id.
    pub fn is_suspended(&self, call: &SuspendedCall) -> bool {
        let id = call.id;
        // SAFETY: The request reads a number of this type.
        let result =
            unsafe { libc::ioctl(self.0.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_ID_VALID, &raw const id) };
        result == 0
    }

    /// Replaces a descriptor of the calling process with a copy of `source`. `flags` is 0 or `O_CLOEXEC`.
    ///
    /// # Errors
    /// An I/O error of the kernel, for example if the call is no longer suspended, or if the kernel is older
    /// than Linux 5.9.
    pub fn replace_descriptor(
        &self,
        call: &SuspendedCall,
        source: BorrowedFd<'_>,
        replaced: u32,
        flags: u32,
    ) -> io::Result<()> {
        let request = libc::seccomp_notif_addfd {
            id: call.id,
            flags: u32::try_from(libc::SECCOMP_ADDFD_FLAG_SETFD).map_err(io::Error::other)?,
            srcfd: source.as_raw_fd().unsigned_abs(),
            newfd: replaced,
            newfd_flags: flags,
        };
        // SAFETY: The request reads a structure of this type.
        let result =
            unsafe { libc::ioctl(self.0.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_ADDFD, &raw const request) };
        check_result(result.into()).map(drop)
    }

    /// Ends the call with this result: the returned value, or the number of an error.
    ///
    /// # Errors
    /// An I/O error if the call is no longer suspended.
    pub fn respond(&self, call: &SuspendedCall, result: Result<i64, i32>) -> io::Result<()> {
        let (value, error) = match result {
            Ok(value) => (value, 0),
            Err(error) => (0, -error),
        };
        let mut response = libc::seccomp_notif_resp { id: call.id, val: value, error, flags: 0 };
        // SAFETY: The request reads a structure of this type.
        let result =
            unsafe { libc::ioctl(self.0.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &raw mut response) };
        check_result(result.into()).map(drop)
    }
}

/// Returns the kernel's error if a call returned a negative number.
fn check_result(result: i64) -> io::Result<i64> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
