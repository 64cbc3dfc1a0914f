//! Sends the signals of a job, on kernels on which Landlock does not restrict signals (before Linux 6.12).

use rustix::io::Errno;
use truing_seccomp::{SuspendedCall, send_signal};

use super::low_bits;
use crate::sandbox::processes::{parent_id, process_group};

/// Sends a signal of the job. The job reaches only its own processes.
pub(super) fn send_job_signal(call: &SuspendedCall) -> Result<i64, Errno> {
    let [first, second, third, ..] = call.arguments.map(low_bits);
    let (process_id, thread_id, signal) = match call.number {
        libc::SYS_tgkill => (first, Some(second), third),
        libc::SYS_tkill => (status_field(first, "Tgid:").ok_or(Errno::SRCH)?, Some(first), second),
        _ => (first, None, second),
    };
    if process_id > 0 {
        if !is_job_process(process_id) {
            let exists = std::fs::exists(format!("/proc/{process_id}")).unwrap_or(true);
            return Err(if exists { Errno::PERM } else { Errno::SRCH });
        }
        return send_to_process(process_id, thread_id, signal);
    }
    // The helper is in the same group as the job, so the signal is sent to each process of the job in turn.
    let caller = i32::try_from(call.thread_id).ok().and_then(|thread| status_field(thread, "Tgid:"));
    let group = match process_id {
        0 => Some(caller.and_then(process_group).ok_or(Errno::SRCH)?),
        -1 => None,
        group => Some(group.saturating_neg()),
    };
    let is_receiver = |process: &i32| match group {
        Some(group) => process_group(*process) == Some(group),
        None => Some(*process) != caller,
    };
    let mut sent = Err(Errno::SRCH);
    for process in list_processes().into_iter().filter(is_receiver).filter(|process| is_job_process(*process))
    {
        if send_to_process(process, None, signal).is_ok() {
            sent = Ok(0);
        }
    }
    sent
}

fn status_field(thread_id: i32, name: &str) -> Option<i32> {
    let status = std::fs::read_to_string(format!("/proc/{thread_id}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

fn send_to_process(process_id: i32, thread_id: Option<i32>, signal: i32) -> Result<i64, Errno> {
    send_signal(process_id, thread_id, signal)
        .map(|()| 0)
        .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::PERM))
}

/// Returns true if this process is a process of the job, so if it descends from the helper.
fn is_job_process(process_id: i32) -> bool {
    // Processes whose parent has exited become children of the helper.
    let helper = rustix::process::getpid().as_raw_nonzero().get();
    std::iter::successors(parent_id(process_id), |ancestor| parent_id(*ancestor))
        .any(|ancestor| ancestor == helper)
}

fn list_processes() -> Vec<i32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}
