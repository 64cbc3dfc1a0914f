//! Starts the two services, each with its data in a temporary folder. Measures their processes with the
//! system's figures, and stops them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

use super::IngressStore;
use super::payload::SECRET;
use crate::bench::process::{ChildProcess, ChildUsage, create_disk_folder, free_port, wait_until_ready};
use crate::bench::stores;
use crate::workspace;

/// The delay before a slot becomes due. The delay is longer than the measurement, so the services do nothing
/// except receive webhooks.
const DEBOUNCE: Duration = Duration::from_secs(6 * 60 * 60);

/// The service to measure, with the programs that it needs.
pub(super) enum IngressService {
    /// The service `truing serve`.
    Truing { program: PathBuf, store: IngressStore, redis: PathBuf },
    /// The peer service, built from Fastify, BullMQ and Redis.
    Peer { redis: PathBuf, folder: PathBuf },
}

impl IngressService {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Truing { .. } => "truing",
            Self::Peer { .. } => "peer",
        }
    }
}

/// A running service with its data.
pub(super) struct RunningService {
    port: u16,
    /// All processes of the service, in the order in which they are stopped.
    processes: Vec<ChildProcess>,
    _data: TempDir,
}

impl RunningService {
    pub(super) fn start(kind: &IngressService) -> Result<Self> {
        let data = create_disk_folder(&workspace::workspace_root()?)?;
        let port = free_port()?;
        let mut processes = match kind {
            IngressService::Truing { program, store: IngressStore::Sqlite, redis: _ } => {
                let store = "[store]\nurl = \"sqlite:truing.db\"\n";
                vec![ChildProcess::start(
                    "truing",
                    &mut truing_command(program, data.path(), port, store, "")?,
                )?]
            }
            IngressService::Truing { program, store: IngressStore::Valkey, redis } => {
                let servers = stores::start_servers(redis, data.path())?;
                let store = format!("{}folder = \"local\"\n", servers.store_section);
                let mut command =
                    truing_command(program, data.path(), port, &store, servers.marker_key_line)?;
                let (name, value) = servers.marker_key_variable;
                let [slots, records] = servers.processes;
                vec![ChildProcess::start("truing", command.env(name, value))?, slots, records]
            }
            IngressService::Peer { redis, folder } => {
                let (store, redis_port) = stores::start_redis(redis, data.path())?;
                let debounce = DEBOUNCE.as_millis().to_string();
                let service = ChildProcess::start(
                    "node",
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
        if let Some(service) = processes.first_mut() {
            wait_until_ready(service, port)?;
        }
        Ok(Self { port, processes, _data: data })
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Returns the resource usage so far of each process of the service, with the name of the process.
    pub(super) fn process_usages(&self) -> Result<Vec<(&'static str, ChildUsage)>> {
        self.processes.iter().map(|process| Ok((process.label(), process.usage()?))).collect()
    }

    /// Stops the service. Returns an error if the service has already exited.
    pub(super) fn stop(mut self) -> Result<()> {
        self.processes.iter_mut().try_for_each(ChildProcess::check_running)
    }
}

/// Builds the command of `truing serve`. `store` is the configuration's section `[store]`, and
/// `marker_key_line` is a line for its section of the forge.
fn truing_command(
    program: &Path,
    data: &Path,
    port: u16,
    store: &str,
    marker_key_line: &str,
) -> Result<Command> {
    let config = data.join("truing.toml");
    let seconds = DEBOUNCE.as_secs();
    fs::write(
        &config,
        format!(
            "{store}[server]\nlisten = \"127.0.0.1:{port}\"\nrate_limit = 0\n[forge.github]\n\
             api_url = \"http://127.0.0.1:9\"\n{marker_key_line}\
             [review]\ndebounce = \"{seconds}s\"\nmax_wait = \"{seconds}s\"\n"
        ),
    )?;
    let mut command = Command::new(program);
    command
        .args(["--quiet", "serve", "--config"])
        .arg(&config)
        .env("GITHUB_WEBHOOK_SECRET", SECRET)
        .env("GITHUB_TOKEN", "not used");
    Ok(command)
}

/// Installs the peer below the target folder, and returns the peer's folder.
pub(super) fn install_peer(root: &Path) -> Result<PathBuf> {
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
    // `npm install` is used, because `npm ci` fails if the registry lacks a binary for another system. The
    // lock file leaves out such binaries.
    install.args([
        "install",
        "--no-save",
        "--ignore-scripts",
        "--no-audit",
        "--no-fund",
        "--loglevel",
        "error",
    ]);
    workspace::command_output(install.current_dir(&folder))
        .context("the peer cannot be installed; npm is needed")?;
    Ok(folder)
}
