//! The one place that puts the parts together: from a configuration to a store, clients and a service.

pub mod agent;
pub(crate) mod conceal;
pub mod converge;
mod forges;
pub mod jobs;
mod mcp;
pub mod policy;
mod programs;
mod provider;
pub mod role;
pub mod service;
pub mod store;
pub(crate) mod tools;
pub mod verify;

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::runtime::Handle;
use truing_agent::prompt::{PromptError, PromptLibrary};
use truing_agent::sandbox::SandboxLevel;
use truing_config::environment::Environment;
use truing_config::secret::SecretSource;
use truing_config::{
    Config, NotifyConfig, PromptsConfig, RetentionConfig, ReviewConfig, RulesConfig, SandboxConfig,
};
use truing_core::code::LinesKey;
use truing_core::fair::LeaseLimits;
use truing_core::id::TimeSpan;
use truing_core::port::{ForgeError, ForgeKind, ReaderError};
use truing_core::slot::SlotLimits;
use truing_forge::AnyForgeServer;
use truing_forge::remote::RemoteError;
use truing_git::{Git, GitError, GitOptions};
use truing_loops::reader::{ChildReader, packs_with};
use truing_loops::reading::ReviewScope;
use truing_loops::telemetry::TraceExport;
use truing_reader::RulePacks;
use truing_service::housekeeping::RetentionPeriods;
use truing_service::metrics::ServiceMetrics;
use truing_service::notify::{MailSink, NoticeSinks, WebhookSink};
use truing_service::{ProcessRole, ServicePace};

pub(crate) use self::forges::MARKER_KEY;
use self::forges::server;
pub use self::store::open_store;
use crate::cli::error::CliError;

/// The folder beside the database for what a server makes for one run only, empty: what a killed server left in it
/// is removed. To be called by whoever holds the serving lock.
///
/// # Errors
/// Exit 3 if it cannot be emptied or made.
pub fn cleared_temp(database: &Path) -> Result<PathBuf, CliError> {
    let mut folder = database.as_os_str().to_owned();
    folder.push(".tmp");
    let folder = PathBuf::from(folder);
    let told = |error: std::io::Error| {
        CliError::failed("temp", format!("cannot empty {}: {error}", folder.display()))
            .hint("see that the folder beside it is yours to write, or remove it yourself")
    };
    match std::fs::remove_dir_all(&folder) {
        Ok(()) => tracing::info!(folder = %folder.display(), "removed what a former server left"),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(told(error)),
    }
    DirBuilder::new().mode(0o700).create(&folder).map_err(told)?;
    Ok(folder)
}

/// Git with this environment's programs.
///
/// # Errors
/// Exit 3 if there is no usable git.
pub async fn git(environment: &Environment) -> Result<Git, CliError> {
    Git::new(git_options(environment)).await.map_err(git_error)
}

/// As [`git`], with its private folders in this one.
async fn git_in(environment: &Environment, temp: &Path) -> Result<Git, CliError> {
    let options = GitOptions { temp: temp.to_owned(), ..git_options(environment) };
    Git::new(options).await.map_err(git_error)
}

/// How git is run with this environment's programs.
fn git_options(environment: &Environment) -> GitOptions {
    let mut options = GitOptions::default();
    if environment.get("PATH").is_some() {
        options.programs = programs::programs(environment);
    }
    options.excludes =
        environment.user_folder("XDG_CONFIG_HOME", ".config").map(|folder| folder.join("git/ignore"));
    // The user's git finds a relative folder from where it is started.
    let here = environment.directory();
    let place = |name: &str| Some((name.to_owned(), here.join(environment.get(name)?).into_os_string()));
    let places = ["HOME", "XDG_CONFIG_HOME"].into_iter().filter_map(place);
    let variables = environment.with_prefix("GIT_CONFIG_");
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    options.user_variables = places.chain(variables).collect();
    options
}

/// A git error as the command line tells it.
pub fn git_error(error: GitError) -> CliError {
    let hint = error.hint();
    let told = if error.is_wrong_input() {
        CliError::usage("git_input", error.to_string())
    } else {
        CliError::failed("git", error.to_string())
    };
    told.hint(hint)
}

/// The files and rules of a review. `lines_key`: of [`lines_key`], or any for a command that records nothing.
///
/// # Errors
/// Exit 2 for a pattern that is no glob.
pub fn scope(config: &Config, lines_key: LinesKey) -> Result<ReviewScope, CliError> {
    ReviewScope::of(config, lines_key).map_err(bad_pattern)
}

/// The key of digests of lines in the records, made where there is none: that of the markers, which all processes of a service
/// share.
///
/// # Errors
/// Exit 2 for a key that cannot be used, exit 3 for one that cannot be read or made.
pub fn lines_key(config: &Config, environment: &Environment) -> Result<LinesKey, CliError> {
    forges::records_markers(config, environment, &own_folder(config)?).map(|keys| keys.lines_key())
}

/// A pattern that is no glob, as the command line tells it.
pub fn bad_pattern(error: globset::Error) -> CliError {
    CliError::usage("bad_value", format!("rules.ignore: {error}"))
}

/// The embedded packs and those of the operator's folder.
///
/// # Errors
/// [`ReaderError::BadPack`] if a folder that is named is not there, or a rule in it is wrong.
pub fn packs(rules: &RulesConfig) -> Result<RulePacks, ReaderError> {
    packs_with(rules.dir.as_deref())
}

/// The embedded prompts and those of the operator's folder.
///
/// # Errors
/// Exit 2 if a folder that is named is not there, or a prompt in it is wrong.
pub fn prompts(config: &PromptsConfig) -> Result<PromptLibrary, CliError> {
    let embedded = PromptLibrary::embedded();
    let prompts = match &config.dir {
        None => embedded,
        Some(folder) => embedded.and_then(|prompts| prompts.with_folder(folder)),
    };
    prompts.map_err(|error| prompt_error(&error))
}

/// An error of prompts as the command line tells it.
pub fn prompt_error(error: &PromptError) -> CliError {
    match error {
        PromptError::Unknown { .. } => CliError::usage("unknown_prompt", error.to_string())
            .hint("`truing prompts list` shows all; `prompts.dir` names a folder of your own"),
        PromptError::Wrong(_) => CliError::usage("bad_prompt", error.to_string()).hint(
            "fix it, or `prompts.dir`, which says where prompts are; then try it: `truing prompts check`",
        ),
        PromptError::Values { .. } => CliError::usage("bad_values", error.to_string())
            .hint("`truing prompts list` shows what each takes; give it with `--set NAME=VALUE`"),
        PromptError::Folder { .. } | PromptError::TooManyFiles { .. } => {
            CliError::usage("prompts_folder", error.to_string())
                .hint("`prompts.dir` in the configuration says where prompts are")
        }
        PromptError::BadFence => CliError::failed("prompts", error.to_string()),
    }
}

/// The limits of the slot machine.
pub fn limits(review: &ReviewConfig, lease: Duration) -> SlotLimits {
    SlotLimits {
        debounce: span(review.debounce),
        max_wait: span(review.max_wait),
        quiet: span(review.quiet),
        storm_max: span(review.storm_max),
        lease: span(lease),
        backoff: span(review.backoff),
        backoff_max: span(review.backoff_max),
        attempts: review.attempts,
    }
}

/// The pace of the service.
pub fn pace(config: &Config, role: ProcessRole) -> ServicePace {
    let (all, per_owner) = (config.server.concurrency, config.server.concurrency_per_owner);
    ServicePace {
        role,
        places: LeaseLimits { all, per_owner: if per_owner == 0 { all } else { per_owner } },
        poll: config.server.poll,
        heartbeat: config.server.heartbeat,
        sweep: Some(config.server.sweep),
    }
}

/// The reader of the service: a child process a run. The packs are looked at once here, so that wrong ones are
/// told before anything is served.
///
/// # Errors
/// Exit 2 if a pack is not known or the operator's packs are wrong, exit 3 if the system cannot tell which program
/// is running.
pub fn child_reader(rules: &RulesConfig, sandbox: &SandboxConfig) -> Result<ChildReader, CliError> {
    packs(rules).and_then(|packs| packs.known(&rules.packs)).map_err(reader_error)?;
    let reader = ChildReader::of_this_program().map_err(|error| {
        CliError::failed("reader", format!("cannot tell which program this is, to start its reader: {error}"))
            .hint("see that /proc is mounted, or start truing by its full path")
    })?;
    Ok(reader.with_rules(rules.dir.clone()).reading_for(rules.time).accepting(sandbox.level))
}

/// The reader of a command on a local repository: children, too, so that no file takes the machine or costs the review
/// of the others. They are confined as far as this machine can.
///
/// # Errors
/// As [`child_reader`].
pub fn local_reader(rules: &RulesConfig) -> Result<ChildReader, CliError> {
    child_reader(rules, &SandboxConfig { level: SandboxLevel::None })
}

/// Where traces go, if anywhere. What waits is sent when it is dropped.
///
/// # Errors
/// Exit 2 for headers that cannot be used. None is repeated.
pub fn telemetry(
    config: &Config,
    environment: &Environment,
    runtime: &Handle,
) -> Result<Option<TraceExport>, CliError> {
    truing_loops::telemetry::start(&config.telemetry, environment, runtime).map_err(|error| {
        CliError::usage("telemetry", error.to_string())
            .hint("see `telemetry` in `truing config schema`, or remove the key: then nothing is traced")
    })
}

/// Where notices go.
///
/// # Errors
/// Exit 2 for a URL or secret that cannot be used. None is repeated.
pub fn sinks(
    notify: &NotifyConfig,
    environment: &Environment,
    metrics: &ServiceMetrics,
) -> Result<NoticeSinks, CliError> {
    let wrong = |key: &str, error: &dyn std::fmt::Display| {
        CliError::usage("notify", format!("notify.{key}: {error}"))
            .hint("see `notify` in `truing config schema`, or remove the key: then no notification is sent")
    };
    let read = |key: &str, secret: &Option<SecretSource>| {
        secret.as_ref().map(|secret| secret.read(environment).map_err(|error| wrong(key, &error))).transpose()
    };
    let webhook = read("webhook", &notify.webhook)?;
    let webhook =
        webhook.map(|url| WebhookSink::new(&url)).transpose().map_err(|error| wrong("webhook", &error))?;
    let password = read("smtp_password", &notify.smtp_password)?;
    let mail = read("smtp", &notify.smtp)?.map(|url| MailSink::new(&url, password.as_ref()));
    let mail = mail.transpose().map_err(|error| wrong("smtp", &error))?;
    Ok(NoticeSinks::new(webhook, mail, metrics.clone()))
}

/// Where mirrors are kept, beside the database.
pub fn mirrors(folder: &Path) -> PathBuf {
    folder.join("mirrors")
}

/// How alike a name must be to a known one to be taken for it, from 0 to 1.
const NEAR: f64 = 0.6;

/// The known name that is most like this one, if any is like it.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let near = |word: &&str| strsim::normalized_damerau_levenshtein(name, word);
    known.into_iter().max_by(|a, b| near(a).total_cmp(&near(b))).filter(|word| near(word) >= NEAR)
}

/// The three known names that are most like this one, the nearest first.
pub fn nearest_three<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let name = name.to_lowercase();
    let near = |word: &str| strsim::normalized_damerau_levenshtein(&name, word);
    let mut known: Vec<&str> = known.into_iter().collect();
    known.sort_by(|a, b| near(b).total_cmp(&near(a)).then(a.cmp(b)));
    known.dedup();
    known.truncate(3);
    known
}

/// A reader error as the command line tells it.
pub fn reader_error(error: ReaderError) -> CliError {
    match error {
        ReaderError::UnknownPack { ref name, ref known } => {
            let told = CliError::usage("unknown_pack", error.to_string());
            match nearest(name, known.split(", ")) {
                Some(word) => told.hint(format!("did you mean `{word}`?")),
                None => told.hint(
                    "`truing rules list` shows the packs; `rules.dir` in the configuration names the folder of your own",
                ),
            }
        }
        ReaderError::BadPack(_) => CliError::usage("bad_rule", error.to_string())
            .hint("fix that file, or set `rules.dir` to the folder of your packs; then `truing rules test`"),
        ReaderError::Failed(_) => CliError::failed("reader", error.to_string()),
    }
}

/// The client of a configured forge; what it keeps is in `folder`, beside the database.
///
/// # Errors
/// Exit 2 for configuration that cannot be used, exit 3 for what cannot be opened.
pub fn client(
    config: &Config,
    name: &str,
    environment: &Environment,
    folder: &Path,
) -> Result<AnyForgeServer, CliError> {
    let forge = config.forges.get(name);
    let forge = forge.ok_or_else(|| CliError::usage("forge", format!("[forge.{name}] is not configured")))?;
    server(name, forge, config, environment, folder)
}

/// The folder of this machine's own, where mirrors and keys are; made where there is none.
///
/// # Errors
/// Exit 2 where none is configured, exit 3 if it cannot be made.
pub fn own_folder(config: &Config) -> Result<PathBuf, CliError> {
    let folder = config.store.folder()?.to_owned();
    make_folder(&folder)?;
    Ok(folder)
}

/// The folder of the database, made where there is none.
///
/// # Errors
/// Exit 3 if it cannot be made.
pub fn make_folder(folder: &Path) -> Result<(), CliError> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| {
        CliError::failed("store", format!("cannot make {}: {error}", folder.display()))
            .hint("see that the folder above it is yours to write, or set store.url to another place")
    })
}

/// What keeps git from a repository, as the command line tells it.
pub fn remote_error(error: RemoteError) -> CliError {
    match error {
        RemoteError::Forge(error) => forge_error(error),
        RemoteError::Git(error) => git_error(error),
    }
}

/// An error of a forge whose name in the configuration and kind are known.
pub fn error_of((forge, kind): (&str, ForgeKind), error: RemoteError) -> CliError {
    let told = match error {
        RemoteError::Forge(error) => told_by(&error, error.hint_at(kind)),
        RemoteError::Git(error) => git_error(error),
    };
    told.with_hints(|hint| hint.replace("forge.NAME", &format!("forge.{forge}")))
}

/// A forge's error as the command line tells it.
pub fn forge_error(error: ForgeError) -> CliError {
    told_by(&error, error.hint())
}

fn told_by(error: &ForgeError, told: &str) -> CliError {
    let hint = match error {
        ForgeError::RateLimited { wait, .. } => {
            format!("run it again in {} s", wait.0.saturating_add(999) / 1000)
        }
        ForgeError::Unavailable { .. } => format!("run it again; {told}"),
        ForgeError::Unauthorized { .. }
        | ForgeError::Forbidden { .. }
        | ForgeError::NotFound { .. }
        | ForgeError::Moved { .. }
        | ForgeError::Rejected { .. }
        | ForgeError::Stale { .. }
        | ForgeError::Halted(_) => told.to_owned(),
    };
    CliError::failed("forge", error.to_string()).hint(hint)
}

/// How long a service remembers.
pub fn keep(retention: &RetentionConfig) -> RetentionPeriods {
    RetentionPeriods { runs: span(retention.runs), acts: span(retention.audit) }
}

/// A length of time as the core counts it.
pub fn span(duration: Duration) -> TimeSpan {
    TimeSpan(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX))
}
