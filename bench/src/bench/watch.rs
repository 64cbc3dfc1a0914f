//! Measures the memory of a command and of the processes that it starts. The figures come from Linux's
//! `/proc`.

use std::fs;
use std::io::Read;
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

/// Time between two measurements.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(2);

/// The result of a watched run.
pub(super) struct WatchedRun {
    /// Exit status of the command.
    pub(super) status: ExitStatus,
    pub(super) output: Vec<u8>,
    /// Largest resident size of the command's own process.
    pub(super) own_bytes: u64,
    /// Largest measured sum of the resident sizes of the command's process and all its descendants. Shared
    /// memory counts for each process that uses it.
    pub(super) tree_bytes: u64,
}

/// Runs a command to its end. Sizes are 0 on systems without `/proc`.
pub(super) fn run_and_measure(command: &mut Command) -> Result<WatchedRun> {
    let mut child =
        command.stdout(Stdio::piped()).spawn().with_context(|| format!("cannot start {command:?}"))?;
    let id = child.id();
    let mut stdout = child.stdout.take().context("there is no standard output")?;
    // The command writes its output at the end of its work. When the first byte arrives, the process still
    // exists, so the peak size of the whole run can be read.
    let reading = thread::spawn(move || {
        let (mut output, mut own) = (vec![0; 1], 0);
        let first = stdout.read(&mut output).unwrap_or_default();
        output.truncate(first);
        own = own.max(read_status_size(id, "VmHWM:"));
        stdout.read_to_end(&mut output).map(|_| (output, own))
    });
    let (mut own_bytes, mut tree_bytes) = (0, 0);
    while !reading.is_finished() {
        own_bytes = own_bytes.max(read_status_size(id, "VmHWM:"));
        tree_bytes = tree_bytes.max(resident_bytes(id));
        thread::park_timeout(SAMPLE_INTERVAL);
    }
    let (output, own) = reading.join().ok().context("the answer could not be read")??;
    let status = child.wait()?;
    own_bytes = own_bytes.max(own);
    Ok(WatchedRun { status, output, own_bytes, tree_bytes: tree_bytes.max(own_bytes) })
}

/// Returns the resident size of a process and all its descendants, in bytes.
fn resident_bytes(id: u32) -> u64 {
    read_status_size(id, "VmRSS:") + child_ids(id).into_iter().map(resident_bytes).sum::<u64>()
}

/// Returns the running child processes of the process `id`.
pub(super) fn child_ids(id: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten().flatten();
    let children = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    children
        .flat_map(|ids| ids.split_whitespace().filter_map(|id| id.parse().ok()).collect::<Vec<u32>>())
        .collect()
}

/// Returns a size from a process's status, in bytes. Returns 0 if the process has exited.
pub(super) fn read_status_size(id: u32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    let kibibytes = line.split_whitespace().next().and_then(|number| number.parse::<u64>().ok());
    kibibytes.unwrap_or_default() * 1024
}
