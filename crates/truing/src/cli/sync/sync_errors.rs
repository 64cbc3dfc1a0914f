//! Errors for invalid jobs, projects and versions, errors of failed runs, and the formatting of list items.

use std::collections::BTreeMap;
use std::path::Path;

use truing_config::layer::SourceFile;
use truing_config::sync::JobConfig;
use truing_config::{REPOSITORY_FILE, read_repository_file};
use truing_core::registry::PackageRegistry;
use truing_core::version::PackageVersion;
use truing_loops::sync::SyncDecisionError;
use truing_loops::sync::place::requirement_place;
use truing_upstream::project_requirement::{self, RequirementError};
use unicode_width::UnicodeWidthStr as _;

use crate::cli::CommandContext;
use crate::cli::columns::{MIN_TERMINAL_COLUMNS, fold_line};
use crate::cli::error::CliError;

/// Name of the operator's file in examples.
const OPERATOR_FILE_NAME: &str = "truing.toml";

/// Checks that the project's folder exists.
pub(super) fn check_project_folder(project: &Path) -> Result<(), CliError> {
    if project.is_dir() { Ok(()) } else { Err(no_project_error(project)) }
}

pub(super) fn no_project_error(project: &Path) -> CliError {
    CliError::usage("no_project", format!("there is no folder {}", project.display()))
        .hint("specify the project's folder: --repo PATH")
}

pub(super) fn parse_version(registry: PackageRegistry, text: &str) -> Result<PackageVersion, CliError> {
    PackageVersion::parse(registry, text).map_err(|error| CliError::usage("version", error.to_string()))
}

/// Returns the error for a job that is not configured. The error names the searched configuration file.
pub(super) fn unknown_job_error(
    name: &str,
    jobs: &BTreeMap<String, JobConfig>,
    context: &CommandContext,
) -> CliError {
    let place = context.operator_file_text();
    let mut error = CliError::usage("unknown_job", format!("there is no job `{name}` in {place}"));
    if !jobs.is_empty() {
        let names: Vec<&str> = jobs.keys().map(String::as_str).collect();
        error = error.hint(format!("there is {}", names.join(", ")));
    }
    if is_job_in_operator_file(name, context) {
        error = error.hint(format!(
            "{OPERATOR_FILE_NAME} in this folder has such a job: use this file with `--config \
                {OPERATOR_FILE_NAME}`"
        ));
    }
    let own = read_repository_file(context.environment.directory()).ok().flatten();
    match own {
        Some(own) if own.text.contains("[sync.") => error.hint(format!(
            "{REPOSITORY_FILE} is the repository's own file and configures no jobs: move the sections \
            [sync.…] from this file to {place}"
        )),
        Some(_) | None => error,
    }
}

/// Returns true if `truing.toml` or the repository file in the current folder contains a job with this name.
/// The caller has already searched the configuration that the command uses.
pub(super) fn is_job_in_current_folder(name: &str, context: &CommandContext) -> bool {
    let own = read_repository_file(context.environment.directory()).ok().flatten();
    is_job_in_operator_file(name, context) || own.is_some_and(|own| has_job(&own, name))
}

fn is_job_in_operator_file(name: &str, context: &CommandContext) -> bool {
    let here = context.environment.directory().join(OPERATOR_FILE_NAME);
    truing_config::read_named_file(Path::new(OPERATOR_FILE_NAME), &here)
        .is_ok_and(|file| has_job(&file, name))
}

fn has_job(file: &SourceFile, name: &str) -> bool {
    file.text.contains(&format!("[sync.{name}]"))
}

pub(super) fn decision_error(error: SyncDecisionError, job: &JobConfig, project: &Path) -> CliError {
    let text = error.to_string();
    match error {
        SyncDecisionError::Constraint(RequirementError::NotExactlyOneRequirement { count: 0, .. }) => {
            let mut cli_error = CliError::usage("constraint", text);
            for at in project_requirement::requiring_key_paths(&requirement_place(
                job,
                &project.join(&job.constraint_file),
            )) {
                cli_error = cli_error.hint(format!(
                    "the file requires the package at another key: set `constraint.path = '{at}'` of the job"
                ));
            }
            cli_error
                .hint(
                    "if the package is a dependency of another package, specify the releases to compare: \
                        --from V --to V",
                )
                .hint(
                    "if the requirement is elsewhere, set `constraint.file` and `constraint.path` of the \
                    job",
                )
        }
        SyncDecisionError::Constraint(_) => CliError::usage("constraint", text)
            .hint("check `constraint.file` and `constraint.path` of the job, which specify the requirement"),
        SyncDecisionError::Project { .. } => CliError::failure("project", text),
        SyncDecisionError::UnknownStartingRelease(_) => {
            CliError::usage("no_from", text).hint("name that release: --from V")
        }
        SyncDecisionError::UnstableStart { ref version, ref before, .. } => {
            let mut error =
                CliError::usage("no_from", text).hint(format!("compare with this release: --from {version}"));
            if let Some(before) = before {
                error = error.hint(format!("or step back: require {before}"));
            }
            error
        }
        SyncDecisionError::NoRequirementFile { .. } => {
            CliError::usage("no_from", text).hint("name that release: --from V").hint(
                "or specify the file that requires the package, for example `constraint.file = \
                \"requirements.txt\"` of the job",
            )
        }
        SyncDecisionError::NoProject(project) => no_project_error(&project),
        SyncDecisionError::NoRelease { .. } => CliError::usage("no_release", text),
        SyncDecisionError::Yanked { .. } => {
            CliError::usage("yanked", text).hint("choose another release: --to V")
        }
        SyncDecisionError::AllYanked(_) => {
            CliError::usage("yanked", text).hint("the package has no release that could be followed")
        }
        SyncDecisionError::Excluded { .. } => CliError::usage("excluded", text)
            .hint("choose another release: --to V; or remove the exclusion from the requirement"),
        SyncDecisionError::OlderRelease { .. } => CliError::usage("older", text).hint(
            "choose a later release: --to V; or specify the release that the project was made for: --from V",
        ),
        SyncDecisionError::NoDates(_) => {
            CliError::usage("no_dates", text).hint("remove `min_age`, or choose a release: --to V")
        }
        SyncDecisionError::Index(_) => CliError::failure("index", text)
            .hint("check the package index that pip, npm or cargo is configured to use"),
        SyncDecisionError::Archive(_) | SyncDecisionError::Sources { .. } => {
            CliError::failure("archive", text)
                .hint("try again; if the error persists, choose another release: --to V, or another index")
        }
    }
}

/// Formats a name and its description. If the name and the description do not fit on one line, the
/// description is on the next line.
pub(super) fn render_item(name: &str, description: &str) -> String {
    let line = format!("  {name}  {description}\n");
    if line.trim_end().width() <= MIN_TERMINAL_COLUMNS {
        line
    } else {
        format!("  {name}\n{}", fold_line("      ", description))
    }
}
