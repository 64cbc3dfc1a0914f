//! How much memory a command takes, with the processes that it starts, as Linux tells in `/proc`.

use std::fs;
use std::io::Read;
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

/// How often is looked.
const EVERY: Duration = Duration::from_millis(2);

/// What was seen of a run.
pub(super) struct WatchedRun {
    /// Its end.
    pub(super) status: ExitStatus,
    /// What the command printed.
    pub(super) output: Vec<u8>,
    /// The largest resident size of its own process.
    pub(super) own_bytes: u64,
    /// The largest sum of what its processes had at one moment. What they share counts for each.
    pub(super) tree_bytes: u64,
}

/// Runs a command to its end. Sizes are 0 where there is no `/proc`.
pub(super) fn watch(command: &mut Command) -> Result<WatchedRun> {
    let mut child =
        command.stdout(Stdio::piped()).spawn().with_context(|| format!("cannot start {command:?}"))?;
    let id = child.id();
    let mut stdout = child.stdout.take().context("there is no standard output")?;
    // The answer comes last, so that the process still exists when its first part is here.
    let reading = thread::spawn(move || {
        let (mut output, mut own) = (vec![0; 1], 0);
        let first = stdout.read(&mut output).unwrap_or_default();
        output.truncate(first);
        own = own.max(field(id, "VmHWM:"));
        stdout.read_to_end(&mut output).map(|_| (output, own))
    });
    let (mut own_bytes, mut tree_bytes) = (0, 0);
    while !reading.is_finished() {
        own_bytes = own_bytes.max(field(id, "VmHWM:"));
        tree_bytes = tree_bytes.max(resident(id));
        thread::park_timeout(EVERY);
    }
    let (output, own) = reading.join().ok().context("the answer could not be read")??;
    let status = child.wait()?;
    own_bytes = own_bytes.max(own);
    Ok(WatchedRun { status, output, own_bytes, tree_bytes: tree_bytes.max(own_bytes) })
}

/// The resident size of a process and all that it started, in bytes.
fn resident(id: u32) -> u64 {
    field(id, "VmRSS:") + children(id).into_iter().map(resident).sum::<u64>()
}

/// The processes that one has started, and that still run.
pub(super) fn children(id: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten().flatten();
    let children = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    children
        .flat_map(|ids| ids.split_whitespace().filter_map(|id| id.parse().ok()).collect::<Vec<u32>>())
        .collect()
}

/// A size in a process's status, in bytes; 0 if it has ended.
pub(super) fn field(id: u32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    let kibibytes = line.split_whitespace().next().and_then(|number| number.parse::<u64>().ok());
    kibibytes.unwrap_or_default() * 1024
}
