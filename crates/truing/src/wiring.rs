//! Creates the store, the clients and the service from a configuration, and connects these parts.

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
use truing_core::code_digest::LinesKey;
use truing_core::id::TimeSpan;
use truing_core::lease_fairness::LeaseLimits;
use truing_core::port::{ForgeError, ForgeKind, ReaderError};
use truing_core::slot::SlotLimits;
use truing_forge::AnyForgeServer;
use truing_forge::remote::RemoteError;
use truing_git::{Git, GitError, GitOptions};
use truing_loops::reader::{self, ChildProcessReader};
use truing_loops::reading::ReviewScope;
use truing_loops::telemetry::TraceExport;
use truing_reader::RulePacks;
use truing_service::housekeeping::RetentionPeriods;
use truing_service::metrics::ServiceMetrics;
use truing_service::notify::{MailSink, NoticeSinks, WebhookSink};
use truing_service::{ProcessRole, ServiceSettings};

pub(crate) use self::forges::MARKER_KEY_FILE_NAME;
use self::forges::forge_server;
pub use self::store::open_store;
use crate::cli::error::CliError;

/// Returns the hint for a machine whose sandbox is too weak to run code of a repository.
pub(crate) fn sandbox_hint() -> &'static str {
    sandbox_hint_for_system(std::env::consts::OS)
}

/// Returns the hint for a machine with this operating system, named as in [`std::env::consts::OS`].
fn sandbox_hint_for_system(system: &str) -> &'static str {
    match system {
        "linux" => {
            "use a machine with Landlock (Linux 5.13 or newer) or user namespaces; `truing sandbox check` \
                shows which escapes the sandbox stops"
        }
        _ => {
            "only Linux has the sandbox: run truing in a Linux container or a virtual machine; here, `truing \
                review` works, and `truing sync decide` works with `sandbox.level = \"none\"`"
        }
    }
}

/// Returns the empty folder beside the database for a server's temporary files. Removes files that a killed
/// server left in the folder. The caller must hold the serving lock.
///
/// # Errors
/// Returns exit 3 if the folder cannot be emptied or created.
pub fn clear_temp_folder(database: &Path) -> Result<PathBuf, CliError> {
    let mut folder = database.as_os_str().to_owned();
    folder.push(".tmp");
    let folder = PathBuf::from(folder);
    let to_cli_error = |error: std::io::Error| {
        CliError::failure("temp", format!("cannot empty {}: {error}", folder.display()))
            .hint("check that its parent folder is writable, or remove the folder manually")
    };
    match std::fs::remove_dir_all(&folder) {
        Ok(()) => tracing::info!(folder = %folder.display(), "removed files that an earlier server left"),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(to_cli_error(error)),
    }
    DirBuilder::new().mode(0o700).create(&folder).map_err(to_cli_error)?;
    Ok(folder)
}

/// Returns the git program that is found in the `PATH` of this environment.
///
/// # Errors
/// Returns exit 3 if there is no usable git.
pub async fn open_git(environment: &Environment) -> Result<Git, CliError> {
    Git::new(git_options(environment)).await.map_err(git_error)
}

/// Returns git as [`open_git`] does, but creates git's private folders in `temp`.
async fn open_git_in(environment: &Environment, temp: &Path) -> Result<Git, CliError> {
    let options = GitOptions { temp_folder: temp.to_owned(), ..git_options(environment) };
    Git::new(options).await.map_err(git_error)
}

/// Returns the options for git from the environment: the search path, the user's ignore file, and the
/// variables that configure git.
fn git_options(environment: &Environment) -> GitOptions {
    let mut options = GitOptions::default();
    if environment.get("PATH").is_some() {
        options.search_path = programs::search_path(environment);
    }
    options.excludes_file =
        environment.user_folder("XDG_CONFIG_HOME", ".config").map(|folder| folder.join("git/ignore"));
    // Relative paths in these variables are resolved from the working folder, as in git itself.
    let here = environment.directory();
    let place = |name: &str| Some((name.to_owned(), here.join(environment.get(name)?).into_os_string()));
    let places = ["HOME", "XDG_CONFIG_HOME"].into_iter().filter_map(place);
    let variables = environment.variables_with_prefix("GIT_CONFIG_");
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    options.config_variables = places.chain(variables).collect();
    options
}

/// Converts a git error to an error of the command line.
pub fn git_error(error: GitError) -> CliError {
    let hint = error.hint();
    let cli_error = if error.is_wrong_input() {
        CliError::usage("git_input", error.to_string())
    } else {
        CliError::failure("git", error.to_string())
    };
    cli_error.hint(hint)
}

/// Returns the scope of a review: which files are read, and which rules apply. `lines_key` is the result of
/// [`line_digest_key`], or any key if the command records nothing.
///
/// # Errors
/// Returns exit 2 for an invalid glob.
pub fn review_scope(config: &Config, lines_key: LinesKey) -> Result<ReviewScope, CliError> {
    ReviewScope::from_config(config, lines_key).map_err(invalid_glob_error)
}

/// Returns the key for the digests of code lines in the records. This is the marker key, which all processes
/// of a service share. Creates the key if there is none.
///
/// # Errors
/// Returns exit 2 for an invalid key, and exit 3 for a key that cannot be read or created.
pub fn line_digest_key(config: &Config, environment: &Environment) -> Result<LinesKey, CliError> {
    forges::service_marker_keys(config, environment, &ensure_machine_folder(config)?)
        .map(|keys| keys.lines_key())
}

/// Converts the error of an invalid glob to an error of the command line.
pub fn invalid_glob_error(error: globset::Error) -> CliError {
    CliError::usage("bad_value", format!("rules.ignore: {error}"))
}

/// Returns the embedded rule packs, and the rule packs in the operator's folder.
///
/// # Errors
/// Returns [`ReaderError::BadPack`] if the configured folder does not exist, or a rule in it is invalid.
pub fn load_packs(rules: &RulesConfig) -> Result<RulePacks, ReaderError> {
    reader::load_packs(rules.pack_folder.as_deref())
}

/// Returns the embedded prompts, and the prompts in the operator's folder.
///
/// # Errors
/// Returns exit 2 if the configured folder does not exist, or a prompt in it is invalid.
pub fn load_prompts(config: &PromptsConfig) -> Result<PromptLibrary, CliError> {
    let embedded = PromptLibrary::load_embedded();
    let prompts = match &config.dir {
        None => embedded,
        Some(folder) => embedded.and_then(|prompts| prompts.with_folder(folder)),
    };
    prompts.map_err(|error| prompt_error(&error))
}

/// Converts an error of prompts to an error of the command line.
pub fn prompt_error(error: &PromptError) -> CliError {
    match error {
        PromptError::Unknown { .. } => CliError::usage("unknown_prompt", error.to_string()).hint(
            "`truing prompts list` shows all prompts; `prompts.dir` names a folder of your own prompts",
        ),
        PromptError::Invalid(_) => CliError::usage("bad_prompt", error.to_string()).hint(
            "fix the prompt, or set `prompts.dir` to another folder; then test the prompts: `truing \
                prompts check`",
        ),
        PromptError::Values { .. } => CliError::usage("bad_values", error.to_string()).hint(
            "`truing prompts list` shows the variables of each prompt; set them with `--set \
                NAME=VALUE`",
        ),
        PromptError::Folder { .. } | PromptError::TooManyFiles { .. } => {
            CliError::usage("prompts_folder", error.to_string())
                .hint("`prompts.dir` in the configuration specifies the folder of prompts")
        }
        PromptError::BadBoundaryWord => CliError::failure("prompts", error.to_string()),
    }
}

/// Returns the time limits and the attempt limit of slots.
pub fn slot_limits(review: &ReviewConfig, lease_duration: Duration) -> SlotLimits {
    SlotLimits {
        debounce: to_time_span(review.debounce),
        max_debounce: to_time_span(review.max_debounce_delay),
        storm_quiet_time: to_time_span(review.burst_quiet_period),
        max_storm_duration: to_time_span(review.max_burst_duration),
        lease_duration: to_time_span(lease_duration),
        initial_backoff: to_time_span(review.initial_backoff),
        backoff_max: to_time_span(review.backoff_max),
        max_attempts: review.max_attempts,
    }
}

/// Returns the intervals and concurrency limits of the service.
pub fn service_settings(config: &Config, role: ProcessRole) -> ServiceSettings {
    let (all, per_owner) = (config.server.concurrency, config.server.concurrency_per_owner);
    ServiceSettings {
        role,
        lease_limits: LeaseLimits { total: all, per_owner: if per_owner == 0 { all } else { per_owner } },
        poll_interval: config.server.slot_poll_interval,
        heartbeat_interval: config.server.heartbeat_interval,
        sweep_interval: Some(config.server.forge_poll_interval),
    }
}

/// Returns the file reader of the service. The reader starts a child process for each run. Validates the rule
/// packs, so invalid packs are reported before the service starts.
///
/// # Errors
/// Returns exit 2 if a pack is unknown or the operator's packs are invalid, and exit 3 if the path of this
/// program is unknown.
pub fn child_process_reader(
    rules: &RulesConfig,
    sandbox: &SandboxConfig,
) -> Result<ChildProcessReader, CliError> {
    load_packs(rules).and_then(|packs| packs.check_packs_exist(&rules.packs)).map_err(reader_error)?;
    let reader = ChildProcessReader::from_current_program().map_err(|error| {
        CliError::failure(
            "reader",
            format!("cannot find the path of this program, to start its reader: {error}"),
        )
        .hint("check that /proc is mounted, or start truing by its full path")
    })?;
    Ok(reader
        .with_rules(rules.pack_folder.clone())
        .with_reading_time_limit(rules.reading_time_limit)
        .with_min_sandbox(sandbox.min_level))
}

/// Returns the file reader of a command that works on a local repository. This reader also uses child
/// processes, so a single file cannot exhaust the machine's memory or stop the review of other files. The
/// child processes are confined as far as this machine allows.
///
/// # Errors
/// Returns the same errors as [`child_process_reader`].
pub fn local_reader(rules: &RulesConfig) -> Result<ChildProcessReader, CliError> {
    child_process_reader(rules, &SandboxConfig { min_level: SandboxLevel::None })
}

/// Starts the export of traces, if it is configured. When the returned value is dropped, pending traces are
/// sent.
///
/// # Errors
/// Returns exit 2 for invalid headers. The message does not contain the values of the headers.
pub fn start_telemetry(
    config: &Config,
    environment: &Environment,
    runtime: &Handle,
) -> Result<Option<TraceExport>, CliError> {
    truing_loops::telemetry::start_trace_export(&config.telemetry, environment, runtime).map_err(|error| {
        CliError::usage("telemetry", error.to_string())
            .hint("see `telemetry` in `truing config schema`, or remove the key: then nothing is traced")
    })
}

/// Returns the configured destinations to which notices are sent.
///
/// # Errors
/// Returns exit 2 for an invalid URL or secret. The message does not contain the URL or the secret.
pub fn notice_sinks(
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

/// Returns the folder of mirrors, beside the database.
pub fn mirrors_folder(folder: &Path) -> PathBuf {
    folder.join("mirrors")
}

/// Minimum similarity (0 to 1) at which a known name is suggested for an unknown name.
const MIN_NAME_SIMILARITY: f64 = 0.6;

/// Returns the most similar known name, if its similarity is at least `MIN_NAME_SIMILARITY`.
pub fn nearest_name<'a>(name: &str, known_names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let near = |word: &&str| strsim::normalized_damerau_levenshtein(name, word);
    known_names
        .into_iter()
        .max_by(|a, b| near(a).total_cmp(&near(b)))
        .filter(|word| near(word) >= MIN_NAME_SIMILARITY)
}

/// Returns the three most similar known names, the most similar first.
pub fn nearest_three_names<'a>(name: &str, known_names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let name = name.to_lowercase();
    let near = |word: &str| strsim::normalized_damerau_levenshtein(&name, word);
    let mut known_names: Vec<&str> = known_names.into_iter().collect();
    known_names.sort_by(|a, b| near(b).total_cmp(&near(a)).then(a.cmp(b)));
    known_names.dedup();
    known_names.truncate(3);
    known_names
}

/// Converts an error of the reader to an error of the command line.
pub fn reader_error(error: ReaderError) -> CliError {
    match error {
        ReaderError::UnknownPack { ref name, known_packs: ref known } => {
            let cli_error = CliError::usage("unknown_pack", error.to_string());
            match nearest_name(name, known.split(", ")) {
                Some(word) => cli_error.hint(format!("did you mean `{word}`?")),
                None => cli_error.hint(
                    "`truing rules list` shows the packs; `rules.dir` in the configuration names the \
                    folder of your own packs",
                ),
            }
        }
        ReaderError::BadPack(_) => CliError::usage("bad_rule", error.to_string()).hint(
            "fix that file, or set `rules.dir` to the folder of your packs; then run `truing rules \
                test`",
        ),
        ReaderError::Failed(_) => CliError::failure("reader", error.to_string()),
    }
}

/// Returns the client of a configured forge. The client stores its files in `folder`, beside the database.
///
/// # Errors
/// Returns exit 2 for an invalid configuration, and exit 3 for files that cannot be opened.
pub fn forge_client(
    config: &Config,
    name: &str,
    environment: &Environment,
    folder: &Path,
) -> Result<AnyForgeServer, CliError> {
    let forge = config.forges.get(name);
    let forge = forge.ok_or_else(|| CliError::usage("forge", format!("[forge.{name}] is not configured")))?;
    forge_server(name, forge, config, environment, folder)
}

/// Returns this machine's folder for mirrors and keys. Creates the folder if it does not exist.
///
/// # Errors
/// Returns exit 2 if no folder is configured, and exit 3 if it cannot be created.
pub fn ensure_machine_folder(config: &Config) -> Result<PathBuf, CliError> {
    let folder = config.store.local_data_folder()?.to_owned();
    ensure_database_folder(&folder)?;
    Ok(folder)
}

/// Creates the folder of the database if it does not exist.
///
/// # Errors
/// Returns exit 3 if the folder cannot be created.
pub fn ensure_database_folder(folder: &Path) -> Result<(), CliError> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| {
        CliError::failure("store", format!("cannot make {}: {error}", folder.display()))
            .hint("check that its parent folder is writable, or set store.url to another database")
    })
}

/// Converts the error of a remote repository to an error of the command line.
pub fn remote_error(error: RemoteError) -> CliError {
    match error {
        RemoteError::Forge(error) => forge_error(error),
        RemoteError::Git(error) => git_error(error),
    }
}

/// Converts the error of a forge to an error of the command line that names the forge's configuration section
/// and kind.
pub fn forge_kind_error(forge: &str, kind: ForgeKind, error: RemoteError) -> CliError {
    let cli_error = match error {
        RemoteError::Forge(error) => forge_error_with_hint(&error, error.hint_at(kind)),
        RemoteError::Git(error) => git_error(error),
    };
    cli_error.map_hints(|hint| hint.replace("forge.NAME", &format!("forge.{forge}")))
}

/// Converts the error of a forge to an error of the command line.
pub fn forge_error(error: ForgeError) -> CliError {
    forge_error_with_hint(&error, error.hint())
}

fn forge_error_with_hint(error: &ForgeError, retry_advice: &str) -> CliError {
    let hint = match error {
        ForgeError::RateLimited { wait, .. } => {
            format!("run the command again in {} s", wait.0.saturating_add(999) / 1000)
        }
        ForgeError::Unavailable { .. } => format!("run the command again; {retry_advice}"),
        ForgeError::Unauthorized { .. }
        | ForgeError::Forbidden { .. }
        | ForgeError::NotFound { .. }
        | ForgeError::Moved { .. }
        | ForgeError::Rejected { .. }
        | ForgeError::Stale { .. }
        | ForgeError::Halted(_) => retry_advice.to_owned(),
    };
    CliError::failure("forge", error.to_string()).hint(hint)
}

/// Returns the periods for which a service keeps records.
pub fn retention_periods(retention: &RetentionConfig) -> RetentionPeriods {
    RetentionPeriods { runs: to_time_span(retention.runs), audit_log: to_time_span(retention.audit) }
}

/// Converts a duration to a `TimeSpan`, in milliseconds.
pub fn to_time_span(duration: Duration) -> TimeSpan {
    TimeSpan(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_without_the_sandbox_is_told_the_reason_and_the_alternatives() {
        let hint = sandbox_hint_for_system("macos");
        for words in ["only Linux", "container", "`truing review`", "`truing sync decide`"] {
            assert!(hint.contains(words), "{hint}");
        }
        assert!(sandbox_hint_for_system("linux").contains("`truing sandbox check`"));
    }
}
