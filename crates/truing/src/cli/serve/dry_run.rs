//! The flag `truing serve --dry-run`: reports what the start of a server would do, and which requirements of
//! a start are missing. The dry run sends requests to the forges and reads the records as a server does. It
//! writes nothing: no store, migration, key or lock, and nothing at a forge.

use std::path::Path;

use serde::Serialize;
use truing_config::secret::SecretSource;
use truing_config::{Config, StoreConfig, StoreLocationConfig};
use truing_core::port::{OperatorStore as _, RecordStore};
use truing_loops::text::format_count;
use truing_service::ProcessRole;
use truing_service::sweep::preview::{ForgePreview, PullCounts, RepositoryPreview};
use truing_store::{SchemaVersions, ServeLockError, ServeLockHolder, check_serve_lock};

use crate::cli::columns::fold_line;
use crate::cli::error::{CliError, CommandExit};
use crate::cli::kill::render_engaged_switch_notice;
use crate::cli::target::store_error;
use crate::cli::{CliFormat, CommandContext, runtime};
use crate::wiring;
use crate::wiring::store::{StoreLocation, StoreView, check_file, check_folder, open_file};

/// Maximum number of listed repositories of one forge.
const MAX_SHOWN_REPOSITORIES: usize = 20;

/// The answer as JSON.
#[derive(Serialize)]
struct DryRunJson {
    /// True if pull requests that were open before Truing first saw the repository are not reviewed until
    /// they change.
    #[serde(rename = "leaves_existing")]
    leaves_existing_pulls: bool,
    store: DryRunStore,
    forges: Vec<DryRunForge>,
}

/// The store that a start would use.
#[derive(Serialize)]
struct DryRunStore {
    #[serde(rename = "place")]
    location: String,
    /// Schema version; none if a start creates the store.
    #[serde(rename = "form")]
    schema_version: Option<i64>,
    /// Schema version that a start migrates to.
    #[serde(rename = "own_form")]
    target_schema_version: Option<i64>,
    /// Process id of the server that uses the same file now.
    #[serde(rename = "served_by")]
    serving_pid: Option<u32>,
    /// True if another process serves from the file, so that a start is refused.
    is_served: bool,
    /// Descriptions of the kill switches that are on.
    #[serde(rename = "kill_switch")]
    engaged_kill_switches: Vec<String>,
}

/// A forge of the configuration.
#[derive(Serialize)]
struct DryRunForge {
    #[serde(flatten)]
    preview: ForgePreview,
    /// URL path that receives the forge's webhooks; none if this role accepts no webhooks.
    #[serde(rename = "webhooks")]
    webhook_path: Option<String>,
    /// True if `repositories` is set. Only the listed repositories are then served, even if the token can see
    /// others.
    #[serde(rename = "is_limited")]
    has_repository_list: bool,
}

/// Runs the preview. A signal stops the preview.
///
/// # Errors
/// Returns the errors with which the start of `truing serve` can fail.
pub(super) async fn run(
    config: &Config,
    role: ProcessRole,
    context: &CommandContext,
) -> Result<CommandExit, CliError> {
    let found = tokio::select! {
        found = Box::pin(inspect_setup(config, role, context)) => found?,
        told = runtime::wait_for_stop_signal() => return told.map(|_| CommandExit::Interrupted),
    };
    // A server of the same store probably listens on the same addresses until it stops.
    let bound = match found.store.is_served {
        true => Ok(()),
        false => super::bind_listeners(config).await.map(drop),
    };
    // JSON output is one document: the report or the error.
    if bound.is_ok() || context.output.format() != CliFormat::Json {
        context.output.print_answer(&found, || render_text(&found))?;
    }
    bound?;
    let lacks = found.forges.iter().any(|forge| forge.preview.state != "up");
    Ok(match found.store.is_served {
        true => CommandExit::Refusal,
        false if lacks => CommandExit::NegativeAnswer,
        false => CommandExit::Success,
    })
}

/// Checks, without a trace, that a server could use the files of the store. Returns the server that already
/// uses the store. The report is useful beside that server, for example before an upgrade.
fn check_store_files(config: &Config, location: &StoreLocation) -> Result<Option<ServeLockHolder>, CliError> {
    let Some(path) = location.file_path() else {
        check_folder(config.store.local_data_folder()?)?;
        return Ok(None);
    };
    check_file(path)?;
    match check_serve_lock(path) {
        Ok(()) => Ok(None),
        Err(ServeLockError::AlreadyServed { holder, .. }) => Ok(Some(holder)),
        Err(error @ (ServeLockError::ServedByOtherName { .. } | ServeLockError::Io { .. })) => {
            Err(super::lock_error(error))
        }
    }
}

async fn inspect_setup(
    config: &Config,
    role: ProcessRole,
    context: &CommandContext,
) -> Result<DryRunJson, CliError> {
    let environment = &context.environment;
    let place = StoreLocation::from_config(config, environment)?;
    let server = check_store_files(config, &place)?;
    // The temporary folder is deleted when this function returns, also after an error.
    let temp =
        truing_git::PrivateFolder::new().map_err(truing_loops::local::LocalReviewError::TemporaryFolder)?;
    let StoreView { record_store: records, schema_versions: form } = place.open_view(temp.path()).await?;
    // A server creates files beside its records. A dry run creates these files in its temporary folder.
    let tried = open_file(&temp.path().join("tried.db"))?;
    let reader = wiring::child_process_reader(&config.rules, &config.sandbox)?;
    let isolated_config = isolate_config(config, temp.path())?;
    let stores = (tried.clone(), tried);
    let shared = wiring::service::service_context(
        &isolated_config,
        environment,
        stores.0,
        stores.1,
        Box::new(reader),
        temp.path(),
        // A dry run fails if the runtime cannot be used, although a start would warn and use only the rules.
        None,
    )
    .await
    .map_err(wiring::role::suggest_runtime_key)?;
    drop(wiring::notice_sinks(&config.notify, environment, &shared.metrics)?);
    let forges = shared
        .preview(records.as_ref().map(|store| store as &dyn RecordStore), config.server.forge_poll_interval)
        .await
        .map_err(store_error)?;
    let kill_switch = match (&records, place.file_path()) {
        // Kill switches are read only from the copy of a database file. With database servers, the list is
        // empty.
        (Some(copy), Some(_)) => {
            let switches = copy.kill_switches().await.map_err(store_error)?;
            switches
                .engaged_switches()
                .map(|switch| render_engaged_switch_notice(switch, context.output))
                .collect()
        }
        _ => Vec::new(),
    };
    let preview = |preview: ForgePreview| DryRunForge {
        webhook_path: role.takes_webhooks().then(|| format!("/webhooks/{}", preview.name)),
        has_repository_list: config
            .forges
            .get(&preview.name)
            .is_some_and(|forge| !forge.repositories.is_empty()),
        preview,
    };
    Ok(DryRunJson {
        leaves_existing_pulls: config.review.skips_existing_pulls,
        store: DryRunStore {
            location: place.to_string(),
            schema_version: form.map(|form| form.database),
            target_schema_version: form.map(|form| form.program),
            is_served: server.is_some(),
            serving_pid: server.and_then(|server| server.pid),
            engaged_kill_switches: kill_switch,
        },
        forges: forges.into_iter().map(preview).collect(),
    })
}

/// Returns a copy of the configuration in which the paths of all files that a server creates are in `temp`.
/// Existing marker keys are still read from their original files.
fn isolate_config(config: &Config, temp: &Path) -> Result<Config, CliError> {
    let is_shared = matches!(config.store.location()?, StoreLocationConfig::Servers { .. });
    let own_key = config.store.local_data_folder()?.join(wiring::MARKER_KEY_FILE_NAME);
    let mut apart = config.clone();
    apart.store = StoreConfig::from_file(temp.join("tried.db"));
    for (name, forge) in &mut apart.forges {
        match &forge.marker_key {
            None if own_key.exists() => forge.marker_key = Some(SecretSource::File(own_key.clone())),
            Some(SecretSource::File(path)) if !path.exists() => {
                if is_shared {
                    let message = format!("forge.{name}.marker_key: there is no file {}", path.display());
                    return Err(CliError::failure("marker_key", message)
                        .hint("copy the key of the other machines to that path"));
                }
                // The marker key does not exist yet. A real start would create the key.
                forge.marker_key = None;
            }
            None | Some(SecretSource::File(_) | SecretSource::Env(_) | SecretSource::PlainText(_)) => {}
        }
    }
    Ok(apart)
}

fn render_text(answer: &DryRunJson) -> String {
    let mut text = String::new();
    for forge in &answer.forges {
        text += &render_forge(forge, answer.leaves_existing_pulls);
    }
    text += &render_store(&answer.store);
    text + "nothing was written: this was a dry run\n"
}

fn render_forge(
    DryRunForge { preview: found, webhook_path: webhooks, has_repository_list: is_limited }: &DryRunForge,
    leaves_existing_pulls: bool,
) -> String {
    let name = &found.name;
    let label = format!("{name}: ");
    let mut text = match found.state {
        "token_refused" => fold_line(&label, "refuses the token: replace the token"),
        "away" => fold_line(&label, "does not answer"),
        _ => {
            let repositories = format_count(found.repositories.len(), "repository");
            fold_line(
                &label,
                &format!("{repositories}, {}", render_pulls(found.pulls, leaves_existing_pulls)),
            )
        }
    };
    if let Some(problem) = &found.problem {
        text += &fold_line("  ", problem);
    }
    if !is_limited {
        text += &fold_line(
            "  ",
            &format!(
                "`forge.{name}.repositories` is not set: every repository that the token sees is served"
            ),
        );
    }
    if found.not_admitted > 0 {
        let seen = format_count(found.not_admitted, "repository");
        text += &fold_line(
            "  ",
            &format!("`forge.{name}.repositories` does not list {seen} that the token sees"),
        );
    }
    for RepositoryPreview { name, problem, pulls } in found.repositories.iter().take(MAX_SHOWN_REPOSITORIES) {
        let description = problem.clone().unwrap_or_else(|| render_pulls(*pulls, leaves_existing_pulls));
        text += &fold_line("  ", &format!("{name}: {description}"));
    }
    if let Some(more) = found.repositories.len().checked_sub(MAX_SHOWN_REPOSITORIES).filter(|more| *more > 0)
    {
        text += &format!("  and {more} more\n");
    }
    if found.state == "up" && !found.is_complete {
        text += &fold_line(
            "  ",
            "there may be more repositories and pull requests: the dry run stopped when its share of the \
                rate limit was used up",
        );
    }
    if let Some(path) = webhooks {
        text += &fold_line("  webhooks: ", path);
    }
    text
}

/// Formats the counts of pull requests.
fn render_pulls(pulls: PullCounts, leaves_existing_pulls: bool) -> String {
    let PullCounts { open_pull_requests, will_be_reviewed, left_until_changed, already_known, drafts } =
        pulls;
    let mut text = format_count(open_pull_requests, "open pull request");
    // If `leaves_existing_pulls` is true, existing pull requests are not reviewed. A count of 0 is then left
    // out, because the other counts explain it.
    if will_be_reviewed > 0 || !leaves_existing_pulls {
        text += &format!(", {will_be_reviewed} will be reviewed");
    }
    if left_until_changed > 0 {
        text += &format!(", {left_until_changed} not reviewed until they change or a review is requested");
    }
    if already_known > 0 {
        text += &format!(", {already_known} known already");
    }
    if drafts > 0 {
        text += &format!(", {}", format_count(drafts, "draft"));
    }
    text
}

fn render_store(store: &DryRunStore) -> String {
    let DryRunStore {
        location: place,
        schema_version: form,
        target_schema_version: own_form,
        serving_pid,
        is_served,
        engaged_kill_switches: kill_switch,
    } = store;
    let form = form.zip(*own_form).map(|(database, program)| SchemaVersions { database, program });
    let mut text = match form {
        None => fold_line("store: ", &format!("{place}, which a start creates")),
        Some(form) if form.is_outdated() => {
            let SchemaVersions { database, program } = form;
            fold_line(
                "store: ",
                &format!("{place}, which a start upgrades from schema version {database} to {program}"),
            )
        }
        Some(_) => fold_line("store: ", place),
    };
    if *is_served {
        let process =
            serving_pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"));
        text += &fold_line(
            "  ",
            &format!("{process} is using the store: a start is refused until that process stops"),
        );
    }
    for switch_line in kill_switch {
        text += &fold_line("  ", switch_line);
    }
    text
}
