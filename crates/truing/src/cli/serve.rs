//! The command `truing serve`: runs the service on this machine until it is stopped.

mod dry_run;

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use truing_agent::runtime::AgentRuntime;
use truing_config::Config;
use truing_config::environment::Environment;
use truing_config::layer::KeyFlag;
use truing_config::login::ForgeLogin;
use truing_core::port::{Clock as _, SlotStore as _};
use truing_forge::webhook::HookSecret;
use truing_git::PrivateFolder;
use truing_loops::machine::SystemClock;
use truing_service::housekeeping;
use truing_service::ingress::{ConnectionLimits, IngressSettings};
use truing_service::notify::send_notices_forever;
use truing_service::{ProcessRole, ReviewService, ServeError};
use truing_store::{ServeLock, ServeLockError};

use super::CommandContext;
use super::error::{CliError, CommandExit};
use super::logging::LogStyle;
use super::runtime::{self, StopSignal, StopSignals};
use super::target::store_error;
use crate::wiring;
use crate::wiring::jobs::ScheduledJobs;
use crate::wiring::store::{self, StoreLocation};

/// Run the service: receive webhooks and review pull requests
///
/// `--dry-run` reports what a start would do, and exits. Exit 0: a start would work; 1: a forge rejects the
/// token or is unreachable; 2, 3: a start would fail with this exit code, or the program of the runtime `cli`
/// cannot be used; 4: another process uses the store.
#[derive(clap::Args, Debug)]
pub struct ServeArgs {
    /// The address to listen on, instead of server.listen
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,

    /// The part of the work that this process does. With SQLite, only one process can serve, so the other
    /// parts wait. With Valkey, other processes can do the other parts
    #[arg(long, value_enum, default_value_t = RoleFlag::All)]
    role: RoleFlag,

    /// Report what a start would do, and write nothing: the repositories, the open pull requests, and which
    /// pull requests would be reviewed
    #[arg(long)]
    dry_run: bool,

    /// The form of log lines [default: text at a terminal, json elsewhere]
    #[arg(long, value_enum, value_name = "STYLE")]
    log_format: Option<LogFormat>,
}

impl ServeArgs {
    /// Returns the style of log lines. The default is text on a terminal, else JSON.
    pub(super) fn log_style(&self) -> LogStyle {
        match self.log_format {
            Some(LogFormat::Text) => LogStyle::Text,
            Some(LogFormat::Json) => LogStyle::Json,
            None if std::io::stderr().is_terminal() => LogStyle::Text,
            None => LogStyle::Json,
        }
    }
}

/// The form of log lines, as a value of `--log-format`.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum LogFormat {
    /// For people
    Text,
    /// For log collectors: one object a line
    Json,
}

/// The part of the work, as a value of `--role`.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum RoleFlag {
    /// Everything
    All,
    /// Accept webhooks; lease nothing and do not sweep
    Ingress,
    /// Lease, review and sweep; accept no webhooks
    Worker,
    /// Sweep, serve comments, send notices and delete old records; accept no webhooks and lease nothing
    Sweep,
}

impl From<RoleFlag> for ProcessRole {
    fn from(flag: RoleFlag) -> Self {
        match flag {
            RoleFlag::All => Self::All,
            RoleFlag::Ingress => Self::Ingress,
            RoleFlag::Worker => Self::Worker,
            RoleFlag::Sweep => Self::Sweep,
        }
    }
}

/// Maximum time that the process, before it exits, waits for blocking threads; a read from a disk may hang,
/// for example.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(1);

pub(crate) fn run(args: &ServeArgs, context: &CommandContext) -> Result<CommandExit, CliError> {
    let listen = args.listen.iter().map(|listen| KeyFlag {
        name: "--listen",
        key: "server.listen",
        values: vec![listen.clone()],
    });
    let config = context.config(&listen.collect::<Vec<_>>())?;
    let role = args.role.into();
    let secrets = webhook_secrets(&config, role, &context.environment)?;
    let runtime = runtime::start()?;
    if args.dry_run {
        return runtime.block_on(dry_run::run(&config, role, context));
    }
    let traces = wiring::start_telemetry(&config, &context.environment, runtime.handle())?;
    let ended = runtime.block_on(serve(&config, role, secrets, context));
    drop(traces);
    runtime.shutdown_within(SHUTDOWN_TIMEOUT);
    ended
}

/// The folder for temporary files of this process.
enum TempFolder {
    /// Folder of the only server of a database file. The folder is beside the file and is cleared at the
    /// start.
    SingleServer(PathBuf),
    /// Folder of one of several servers. When this folder is created, the folders of servers that no longer
    /// run are removed.
    SharedServer(PrivateFolder),
}

impl TempFolder {
    fn create(config: &Config, location: &StoreLocation) -> Result<Self, CliError> {
        match location.file_path() {
            // This process holds the server lock, so no other server uses the folder. Any file in the folder
            // is left from a server that was killed.
            Some(path) => wiring::clear_temp_folder(path).map(Self::SingleServer),
            None => {
                let folder = wiring::ensure_machine_folder(config)?.join("temp");
                wiring::ensure_database_folder(&folder)?;
                PrivateFolder::new_with_cleanup(&folder).map(Self::SharedServer).map_err(|error| {
                    CliError::failure(
                        "temp",
                        format!("cannot make a folder in {}: {error}", folder.display()),
                    )
                    .hint("check that the parent folder is writable, or set store.folder to another folder")
                })
            }
        }
    }

    fn path(&self) -> &Path {
        match self {
            Self::SingleServer(path) => path,
            Self::SharedServer(folder) => folder.path(),
        }
    }
}

async fn serve(
    config: &Config,
    role: ProcessRole,
    secrets: BTreeMap<String, HookSecret>,
    context: &CommandContext,
) -> Result<CommandExit, CliError> {
    let place = StoreLocation::from_config(config, &context.environment)?;
    // The lock ensures that a database file has only one server at a time. This server may therefore delete
    // files that earlier servers left.
    let mut lock = match place.file_path() {
        Some(path) => {
            store::prepare_file(path)?;
            let listen = config.server.listen.to_string();
            Some(ServeLock::acquire(path, &listen, SystemClock.now()).map_err(lock_error)?)
        }
        None => None,
    };
    let store = place.open().await?;
    // Signal handlers are registered before the server logs and prints that the server is running.
    let mut signals = StopSignals::new()?;
    tokio::select! {
        whole = store.check_integrity() => whole.map_err(store_error)?,
        // The integrity check may take long for a large file on a slow disk, so a signal stops the command
        // during the check.
        received_signals = signals.next_signal() => return Ok(signal_exit(received_signals)),
    }
    store.check_operations().await.map_err(|error| CliError::failure("store", error.to_string()))?;
    let reader = wiring::child_process_reader(&config.rules, &config.sandbox)?;
    let temp = TempFolder::create(config, &place)?;
    let (stores, shared_reader) = ((store.clone(), store.clone()), Box::new(reader.clone()));
    let server_cli = wiring::agent::server_cli(config, &context.environment);
    let server_runtime = server_cli.clone().map(AgentRuntime::ServerCli);
    let setup = async {
        // Only processes that review need the program.
        if let Some(cli) = server_cli.filter(|_| role.leases_slots())
            && let Some(warning) = wiring::agent::server_cli_warning(&cli, config).await
        {
            context.output.warn(warning);
        }
        wiring::service::service_context(
            config,
            &context.environment,
            stores.0,
            stores.1,
            shared_reader,
            temp.path(),
            server_runtime.as_ref(),
        )
        .await
    };
    let shared = tokio::select! {
        shared = setup => shared.map_err(wiring::role::suggest_runtime_key)?,
        // A git process or the program of the runtime may hang during the setup, so a signal stops the
        // command during the setup.
        received_signals = signals.next_signal() => return Ok(signal_exit(received_signals)),
    };
    let sinks = wiring::notice_sinks(&config.notify, &context.environment, &shared.metrics)?;
    let operations = Arc::clone(&shared.store);
    let ((listener, address), apart) = bind_listeners(config).await?;
    if let Some(Err(error)) =
        lock.as_mut().map(|lock| lock.set_address(&address.to_string(), SystemClock.now()))
    {
        tracing::warn!(%error, "could not write the address of this process to the lock file");
    }
    for name in secrets.keys() {
        context.output.print_note(format_args!("webhooks of forge {name}: http://{address}/webhooks/{name}"));
    }
    match &apart {
        None => context.output.print_note(format_args!(
            "health and metrics: http://{address}/healthz, http://{address}/metrics"
        )),
        Some((_, metrics)) => {
            context.output.print_note(format_args!("health: http://{address}/healthz"));
            context.output.print_note(format_args!("metrics: http://{metrics}/metrics"));
        }
    }
    for (address, is_behind_a_proxy) in [
        Some((address, !config.server.trusted_proxies.is_empty())),
        apart.as_ref().map(|(_, address)| (*address, false)),
    ]
    .into_iter()
    .flatten()
    {
        if !is_behind_a_proxy {
            warn_if_not_loopback(address, context);
        }
    }
    tracing::info!(%address, role = role.as_str(), database = %place, "serving");
    // The first signal stops the service; the second signal shortens the grace period of the stop.
    let (signal_sender, received_signals) = watch::channel(Vec::new());
    let [mut stop, mut hurry] = [received_signals.clone(), received_signals.clone()];
    let halted = config.forges.iter().filter_map(|(name, forge)| Some((name.clone(), forge.halt_policy?)));
    let ingress = IngressSettings {
        halt_policies: halted.collect(),
        trusted_proxies: config.server.trusted_proxies.clone(),
        rate_limit: config.server.max_webhooks_per_second,
        ..IngressSettings::new(secrets)
    };
    let connections = ingress.bounds.max_connections.min(raise_open_file_limit());
    let ingress = IngressSettings {
        bounds: ConnectionLimits { max_connections: connections, ..ingress.bounds },
        ..ingress
    };
    let every = config.server.slot_poll_interval;
    // These tasks are aborted when this function returns.
    let mut telling = JoinSet::new();
    telling.spawn(async move {
        for _ in 0..2 {
            let by = signals.next_signal().await;
            signal_sender.send_modify(|received_signals| received_signals.push(by));
        }
        std::future::pending().await
    });
    let (kept, keep) = (store.clone(), wiring::retention_periods(&config.retention));
    let shared = Arc::new(shared);
    if role.runs_sole_duties() {
        let sole = shared.duty_lease_expiry.clone();
        telling.spawn(async move { send_notices_forever(&*operations, &sinks, every, &sole).await });
        let sole = shared.duty_lease_expiry.clone();
        telling.spawn(async move { housekeeping::run(&kept, keep, &sole).await });
    }
    let metrics = apart.map(|(listener, _)| listener);
    let service = ReviewService {
        context: Arc::clone(&shared),
        settings: wiring::service_settings(config, role),
        ingress,
        metrics,
    };
    let jobs = if role.leases_slots() {
        Some(ScheduledJobs::new(config, &context.environment, &shared, &store, reader)?)
    } else {
        None
    };
    let (quit, quitting) = watch::channel(false);
    let mut ends = stop.clone();
    let stop = async move { drop(stop.wait_for(|received_signals| !received_signals.is_empty()).await) };
    let hurry = async move { drop(hurry.wait_for(|received_signals| received_signals.len() > 1).await) };
    let serving = async {
        let served = service.run(listener, stop, hurry).await;
        quit.send_replace(true);
        served
    };
    let ending = async {
        drop(ends.wait_for(|received_signals| !received_signals.is_empty()).await);
        quit.send_replace(true);
    };
    let running = async {
        if let Some(jobs) = &jobs {
            Box::pin(jobs.calendar(&shared).run(&shared.store, &shared.metrics, every, quitting)).await;
        }
    };
    // The select also waits for the scheduled jobs, so the jobs can release their leases after the first
    // signal.
    let both = async { tokio::join!(Box::pin(serving), running).0 };
    let served = tokio::select! {
        served = both => served,
        () = async { ending.await; std::future::pending().await } => Ok(()),
    };
    served.map_err(|error| match error {
        ServeError::Store(error) => CliError::failure("store", error.to_string()),
        ServeError::Thread(error) => runtime::thread_start_error(&error),
    })?;
    tracing::info!("stopped");
    let by = received_signals.borrow().first().copied();
    Ok(by.map_or(CommandExit::Success, signal_exit))
}

/// A listener and its address.
type BoundListener = (TcpListener, SocketAddr);

/// Opens the service's listener, and the listener for metrics if metrics have an address of their own.
async fn bind_listeners(config: &Config) -> Result<(BoundListener, Option<BoundListener>), CliError> {
    let service = bind_listener(config.server.listen, "`--listen ADDR`").await?;
    let metrics = match config.server.metrics_listen {
        Some(wanted) => Some(bind_listener(wanted, "`server.metrics_listen`").await?),
        None => None,
    };
    Ok((service, metrics))
}

/// Opens a listener and returns it with its address. If this fails, the error's hint names `setting`.
async fn bind_listener(requested_address: SocketAddr, setting: &str) -> Result<BoundListener, CliError> {
    let listener = TcpListener::bind(requested_address).await.map_err(|error| {
        CliError::failure("listen", format!("cannot listen on {requested_address}: {error}"))
            .hint(format!("stop the program that listens there, or choose another address: {setting}"))
    })?;
    let address = listener.local_addr().unwrap_or(requested_address);
    Ok((listener, address))
}

fn warn_if_not_loopback(address: SocketAddr, context: &CommandContext) {
    if !address.ip().is_loopback() {
        context.output.warn(format_args!(
            "{address} is reachable from other machines, unencrypted: put a proxy with TLS in front, or \
             listen on 127.0.0.1"
        ));
    }
}

/// Returns the exit code of a server that was stopped by a signal.
fn signal_exit(signal: StopSignal) -> CommandExit {
    match signal {
        StopSignal::Interrupt => CommandExit::Interrupted,
        StopSignal::Terminate | StopSignal::HangUp => CommandExit::Success,
    }
}

/// Raises the process's limit of open files as far as possible. Returns half of this limit as the maximum
/// number of open connections. The other half remains for files that runs and child processes open.
fn raise_open_file_limit() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, ..limit };
    let limit = if setrlimit(Resource::Nofile, raised).is_ok() { raised } else { limit };
    limit.current.map_or(usize::MAX, |files| usize::try_from(files / 2).unwrap_or(usize::MAX).max(1))
}

/// Reads the webhook secret of each forge that sends webhooks. Without a secret, anyone could send webhooks
/// that trigger reviews. Also tries to read the tokens, so that one error names all missing secrets.
fn webhook_secrets(
    config: &Config,
    role: ProcessRole,
    environment: &Environment,
) -> Result<BTreeMap<String, HookSecret>, CliError> {
    if config.forges.is_empty() {
        return Err(CliError::usage("no_forge", "no forge is configured: there is nothing to serve").hint(
            "add `[forge.github]` to your configuration, or start from the file that `truing init` writes",
        ));
    }
    let mut secrets = BTreeMap::new();
    let mut errors = Vec::new();
    for (name, forge) in &config.forges {
        if let ForgeLogin::Token(token) = &forge.login {
            errors.extend(token.read(environment).err().map(CliError::from));
        }
        if !role.takes_webhooks() {
            continue;
        }
        match forge.webhook_secret.read(environment) {
            Ok(text) => {
                secrets.insert(name.clone(), HookSecret::new(text.expose().as_bytes()));
            }
            Err(error) => errors.push(
                CliError::usage("no_webhook_secret", format!("forge.{name}.webhook_secret: {error}")).hint(
                    "set the same secret here and at the forge's webhook: unsigned webhooks are refused",
                ),
            ),
        }
    }
    let mut errors = errors.into_iter();
    match errors.next() {
        Some(first) => Err(CliError { other_errors: errors.collect(), ..first }),
        None => Ok(secrets),
    }
}

fn lock_error(error: ServeLockError) -> CliError {
    match error {
        ServeLockError::AlreadyServed { .. } | ServeLockError::ServedByOtherName { .. } => {
            CliError::refusal("already_serving", error.to_string())
        }
        ServeLockError::Io { .. } => CliError::failure("lock", error.to_string()),
    }
}
