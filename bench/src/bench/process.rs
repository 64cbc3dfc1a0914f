//! Starts and stops the servers that a measurement needs, and measures them. Each server is stopped when its
//! value is dropped. A server's figures include all its child processes, and are read from Linux's `/proc`.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::meter::TICKS_PER_SECOND;
use super::watch::{child_ids, read_status_size};

/// Time limit for a server's first response.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// A child process that is stopped when this value is dropped.
pub(super) struct ChildProcess {
    /// Name of the process in tables.
    label: &'static str,
    child: Child,
    /// Id of the measured process: the child, or a process that the child has started.
    measured_id: u32,
}

/// The resource usage of a server's processes.
#[derive(Clone, Copy, Default)]
pub(super) struct ChildUsage {
    /// CPU time in seconds.
    pub(super) cpu_seconds: f64,
    /// Peak resident memory in MB. Memory that several processes of a server share is counted once.
    pub(super) peak_memory_mb: f64,
}

impl Drop for ChildProcess {
    fn drop(&mut self) {
        // A child with a pipe as its standard input cleans up and exits when this process closes the pipe.
        // Any other child is killed.
        match self.child.stdin.take() {
            Some(input) => drop(input),
            None => drop(self.child.kill()),
        }
        let _ = self.child.wait();
    }
}

impl ChildProcess {
    /// Starts a command without input, discards its output, and shows its error stream.
    pub(super) fn start(label: &'static str, command: &mut Command) -> Result<Self> {
        let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit());
        let child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
        Ok(Self { label, measured_id: child.id(), child })
    }

    /// Wraps a child process that exits when its standard input is closed. The measured process is not the
    /// child itself, but the process `measured_id`, which the child has started.
    pub(super) fn from_child(label: &'static str, child: Child, measured_id: u32) -> Self {
        Self { label, child, measured_id }
    }

    pub(super) fn label(&self) -> &'static str {
        self.label
    }

    /// Returns the resource usage so far of the process and all of its running children.
    pub(super) fn usage(&self) -> Result<ChildUsage> {
        let mut all = vec![self.measured_id];
        let mut at = 0;
        while let Some(id) = all.get(at) {
            all.extend(child_ids(*id));
            at += 1;
        }
        let (mut cpu, mut own, mut shared) = (0.0, 0, 0);
        for id in all {
            match process_cpu_seconds(&id.to_string()) {
                Ok(seconds) => cpu += seconds,
                Err(error) if id == self.measured_id => return Err(error.context(self.label)),
                Err(_) => continue, // the process has ended since it was listed
            }
            let of_others = read_status_size(id, "RssShmem:") + read_status_size(id, "RssFile:");
            own += read_status_size(id, "VmHWM:").saturating_sub(of_others);
            shared = shared.max(of_others);
        }
        Ok(ChildUsage { cpu_seconds: cpu, peak_memory_mb: (own + shared) as f64 / 1024.0 / 1024.0 })
    }

    /// Returns an error if the process has already exited.
    pub(super) fn check_running(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            Some(status) => bail!("{} ended by itself ({status})", self.label),
            None => Ok(()),
        }
    }
}

/// Returns the CPU time of a process in seconds, including the time of its exited children. `process` is an
/// id or `self`.
pub(super) fn process_cpu_seconds(process: &str) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).context("the process has ended")?;
    let fields = stat.rsplit_once(')').context("no name in stat")?.1.split_whitespace();
    // In the fields after the process's name, `utime`, `stime`, `cutime` and `cstime` are the 12th to the
    // 15th.
    let ticks: Vec<f64> = fields.skip(11).take(4).filter_map(|field| field.parse().ok()).collect();
    if ticks.len() < 4 {
        bail!("no times in stat");
    }
    Ok(ticks.iter().sum::<f64>() / f64::from(TICKS_PER_SECOND))
}

/// Returns a port that was free when this function checked it.
pub(super) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Returns the response to a GET request over unencrypted HTTP. Returns `None` if the status is not 200.
pub(super) fn http_get(port: u16, path: &str) -> Option<String> {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(3)))?;
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().ok().filter(|answer| answer.starts_with("HTTP/1.1 200"))
}

/// Waits until the server at this port reports that it is ready.
pub(super) fn wait_until_ready(process: &mut ChildProcess, port: u16) -> Result<()> {
    wait_until(process, || http_get(port, "/readyz").is_some())
}

/// Waits until a condition holds. Returns an error if the process exits first.
pub(super) fn wait_until(process: &mut ChildProcess, mut condition: impl FnMut() -> bool) -> Result<()> {
    let begun = Instant::now();
    while !condition() {
        process.check_running()?;
        if begun.elapsed() > START_TIMEOUT {
            bail!("waited {} s in vain: {} is not ready", START_TIMEOUT.as_secs(), process.label);
        }
        thread::park_timeout(Duration::from_millis(20));
    }
    Ok(())
}

/// Creates a temporary folder below `target`, which should be on a disk. On a file system in memory, a flush
/// would take no time.
pub(super) fn create_disk_folder(root: &Path) -> Result<tempfile::TempDir> {
    let parent = root.join("target");
    fs::create_dir_all(&parent)?;
    tempfile::tempdir_in(&parent).context("cannot make a folder for the data")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_counted_with_its_children_and_is_seen_to_end() {
        // The shell itself only waits, and its child uses CPU time.
        let command = "timeout 20 sh -c 'while :; do :; done' & wait";
        let mut process = ChildProcess::start("sh", Command::new("sh").args(["-c", command])).unwrap();
        while process.usage().unwrap().cpu_seconds < 0.05 {
            process.check_running().unwrap();
            thread::yield_now();
        }
        assert!(process.usage().unwrap().peak_memory_mb > 0.0);
        let mut ended = ChildProcess::start("true", &mut Command::new("true")).unwrap();
        let told = wait_until(&mut ended, || false).unwrap_err().to_string();
        assert!(told.contains("true ended by itself"), "{told}");
    }
}
