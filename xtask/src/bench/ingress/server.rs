//! The two services: started with data of their own in a folder that is thrown away, measured by what the system says
//! of their processes, and stopped.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use super::payload::SECRET;
use crate::bench::meter::TICKS;
use crate::workspace;

/// How long a service may take to answer first.
const START: Duration = Duration::from_secs(20);
/// Nothing is due before that: neither service does anything but take webhooks.
const DEBOUNCE: Duration = Duration::from_secs(6 * 60 * 60);

/// Which service.
pub(super) enum Kind {
    /// `truing serve`.
    Ours { program: PathBuf },
    /// Fastify, BullMQ and Redis.
    Peer { redis: PathBuf, folder: PathBuf },
}

impl Kind {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Ours { .. } => "truing",
            Self::Peer { .. } => "peer",
        }
    }
}

/// A running service.
pub(super) struct Server {
    port: u16,
    /// All of its processes, the one to stop first in front.
    processes: Vec<Process>,
    _data: TempDir,
}

/// What its processes have used.
pub(super) struct Used {
    /// Seconds on the processors.
    pub(super) cpu: f64,
    /// Peak resident memory, MB.
    pub(super) peak: f64,
}

/// A child that does not outlive this.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Server {
    pub(super) fn start(kind: &Kind) -> Result<Self> {
        // Not on a file system that lives in memory: a flush must cost what it costs.
        let parent = workspace::root()?.join("target");
        fs::create_dir_all(&parent)?;
        let data = tempfile::tempdir_in(&parent).context("cannot make a folder for the data")?;
        let port = free_port()?;
        let processes = match kind {
            Kind::Ours { program } => vec![ours(program, data.path(), port)?],
            Kind::Peer { redis, folder } => {
                let redis_port = free_port()?;
                let store = start(Command::new(redis).current_dir(data.path()).args([
                    "--port",
                    &redis_port.to_string(),
                    "--bind",
                    "127.0.0.1",
                    "--save",
                    "",
                    "--appendonly",
                    "yes",
                    "--appendfsync",
                    "always",
                    "--maxmemory-policy",
                    "noeviction",
                ]))?;
                until("redis-server listens", || TcpStream::connect(("127.0.0.1", redis_port)).is_ok())?;
                let debounce = DEBOUNCE.as_millis().to_string();
                let service = start(
                    Command::new("node")
                        .arg("server.mjs")
                        .current_dir(folder)
                        .env("PORT", port.to_string())
                        .env("REDIS_PORT", redis_port.to_string())
                        .env("SECRET", SECRET)
                        .env("DEBOUNCE_MS", &debounce)
                        .env("MAX_WAIT_MS", &debounce)
                        .env("NODE_ENV", "production"),
                )?;
                vec![service, store]
            }
        };
        until(&format!("{} is ready", kind.name()), || is_ready(port))?;
        Ok(Self { port, processes, _data: data })
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// What all processes have used so far.
    pub(super) fn used(&self) -> Result<Used> {
        let mut used = Used { cpu: 0.0, peak: 0.0 };
        for Process(child) in &self.processes {
            let stat = fs::read_to_string(format!("/proc/{}/stat", child.id()))?;
            let fields: Vec<&str> =
                stat.rsplit_once(')').context("no name in stat")?.1.split_whitespace().collect();
            // Behind the name `utime` and `stime` are the 12th and 13th field.
            let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok());
            let ticks = ticks(11).zip(ticks(12)).map(|(user, system)| user + system);
            used.cpu += ticks.context("no times in stat")? / f64::from(TICKS);
            let status = fs::read_to_string(format!("/proc/{}/status", child.id()))?;
            let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let peak = peak.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
            used.peak += peak.context("no peak in status")? / 1024.0;
        }
        Ok(used)
    }

    /// Ends it; an error if it has ended before.
    pub(super) fn stop(mut self) -> Result<()> {
        for Process(child) in &mut self.processes {
            if let Some(status) = child.try_wait()? {
                bail!("a service ended by itself ({status})");
            }
        }
        Ok(())
    }
}

fn ours(program: &Path, data: &Path, port: u16) -> Result<Process> {
    let config = data.join("truing.toml");
    let seconds = DEBOUNCE.as_secs();
    fs::write(
        &config,
        format!(
            "[store]\nurl = \"sqlite:truing.db\"\n[server]\nlisten = \"127.0.0.1:{port}\"\nrate_limit = 0\n[forge.github]\n\
             api_url = \"http://127.0.0.1:9\"\n\
             [review]\ndebounce = \"{seconds}s\"\nmax_wait = \"{seconds}s\"\n"
        ),
    )?;
    start(
        Command::new(program)
            .args(["--quiet", "serve", "--config"])
            .arg(&config)
            .env("GITHUB_WEBHOOK_SECRET", SECRET)
            .env("GITHUB_TOKEN", "not used"),
    )
}

fn start(command: &mut Command) -> Result<Process> {
    let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit());
    Ok(Process(command.spawn().with_context(|| format!("cannot start {command:?}"))?))
}

/// A port that was free a moment ago.
fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn is_ready(port: u16) -> bool {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}

fn until(what: &str, mut holds: impl FnMut() -> bool) -> Result<()> {
    let begun = Instant::now();
    while !holds() {
        if begun.elapsed() > START {
            bail!("waited {} s in vain: {what}", START.as_secs());
        }
        thread::park_timeout(Duration::from_millis(20));
    }
    Ok(())
}

/// Installs the peer below the target folder; where it is.
pub(super) fn peer(root: &Path) -> Result<PathBuf> {
    let folder = root.join("target/bench/ingress-peer");
    fs::create_dir_all(&folder).context("cannot make the peer's folder")?;
    for (name, text) in [
        ("package.json", include_str!("peer/package.json")),
        ("package-lock.json", include_str!("peer/package-lock.json")),
        ("server.mjs", include_str!("peer/server.mjs")),
    ] {
        fs::write(folder.join(name), text)?;
    }
    let mut install = Command::new("npm");
    // Not `npm ci`: it fails where a registry lacks binaries for other systems, which the lock file leaves out.
    install.args([
        "install",
        "--no-save",
        "--ignore-scripts",
        "--no-audit",
        "--no-fund",
        "--loglevel",
        "error",
    ]);
    workspace::output(install.current_dir(&folder)).context("the peer cannot be installed; npm is needed")?;
    Ok(folder)
}
