//! Detects that another process has read all the data that was sent to it. A signal that is sent after that
//! cannot reach the process before the data.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

/// Maximum wait on a busy machine.
const PATIENCE: Duration = super::HANGS;
/// Number of consecutive checks that must find the process idle.
const LOOKS: u32 = 5;

/// Waits until a process has read all data from its connections and all its threads sleep.
pub(crate) fn wait_until_idle(process: u32) {
    let deadline = Instant::now() + PATIENCE;
    let mut seen = 0;
    while seen < LOOKS {
        seen = if is_idle(process) && !has_unread(process) { seen + 1 } else { 0 };
        assert!(Instant::now() < deadline, "it is never idle");
        std::thread::yield_now();
    }
}

/// Returns true if all threads of the process sleep.
fn is_idle(process: u32) -> bool {
    let threads = entry_names(Path::new(&format!("/proc/{process}/task")));
    threads.iter().all(|thread| {
        let stat = std::fs::read_to_string(format!("/proc/{process}/task/{thread}/stat")).unwrap_or_default();
        // The state follows the thread's name. The name is in parentheses and may itself contain parentheses.
        stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('S'))
    })
}

/// Returns true if a connection of the process has unread data.
fn has_unread(process: u32) -> bool {
    let folder = format!("/proc/{process}/fd");
    let links = entry_names(Path::new(&folder)).into_iter().filter_map(|file| {
        let link = std::fs::read_link(format!("{folder}/{file}")).ok()?;
        Some(link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())
    });
    let own: BTreeSet<String> = links.collect();
    let table = std::fs::read_to_string(format!("/proc/{process}/net/tcp")).unwrap();
    // The columns are: number, local address, remote address, state, sizes of the send and receive queues,
    // timer, retries, user, timeout, and inode of the socket.
    table.lines().skip(1).any(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let is_own = columns.get(9).is_some_and(|file| own.contains(*file));
        is_own && columns.get(4).is_some_and(|queues| !queues.ends_with(":00000000"))
    })
}

fn entry_names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}
