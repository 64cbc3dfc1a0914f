//! The command `truing sync`: compares a new release of an upstream package with the project that follows it,
//! and updates the project.

mod diff;
mod init;
mod job_run_error;
mod members;
pub(super) mod outcome;
mod package;
pub(crate) mod run;
mod sync_errors;

pub(super) use job_run_error::missing_job_run_error;
use package::{PackageJob, PackageOptions, PackageSearch};
use sync_errors::{check_project_folder, decision_error, parse_version, render_item};

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use jiff::Timestamp;
use serde::Serialize;
use truing_config::sync::JobConfig;
use truing_core::sync::{
    PinChange, PinChangeKind, PinManifest, SyncDecision, SyncVerdict, UnguardedPart, UnguardedReason,
};
use truing_loops::sync::{
    DecisionDetails, DecisionRequest, PackageSources, PinnedManifest, ReleaseDecision, SyncDecisionError,
    decide_release, load_pins, read_pins,
};
use truing_upstream::archives::ArchiveFolder;
use truing_upstream::range::VersionRange;

use super::columns::fold_line;
use super::error::{CliError, CommandExit};
use super::output::shell_quote;
use super::{CommandContext, runtime};
use crate::wiring::child_process_reader;
use crate::wiring::jobs::{archives_folder, package_index};

/// Follow an upstream package: decide which changes a new release requires, and make them
#[derive(clap::Args, Debug)]
pub struct SyncArgs {
    #[command(subcommand)]
    command: SyncCommand,
}

#[derive(Subcommand, Debug)]
enum SyncCommand {
    /// Decide which change of the project a release requires: skip, relax, bump or ask
    ///
    /// Downloads and verifies both releases, compares the definitions that the project pins, and changes
    /// nothing. If no job follows the package, the command searches the project's own files for its
    /// requirement. Exit 0; 1 if a person has to decide.
    Decide(SyncDecideArgs),
    /// Write a first manifest: the definitions of the package that the project overrides or copies
    ///
    /// Finds these definitions in the project's source (Python), in the mirrored files of the job (npm,
    /// crates) or in a hash test (`--import`). Pins the definitions of the release that the project was made
    /// for, and lists the definitions that could not be pinned. For a package that no job follows, the
    /// command prints the lines that configure a job.
    Init(init::SyncInitArgs),
    /// Run a job: open a pull request with the changes that the newest release requires, or ask people in an
    /// issue
    ///
    /// Keeps at most one pull request and one question open. Every run ends in one outcome record, which is
    /// printed. Exit 0; 1 if people have to decide; 3 if the run failed; 4 if the run was refused: an open
    /// circuit breaker, the kill switch, a release that `--to` cannot follow, or another active run.
    Run(run::SyncRunArgs),
    /// Show how each job's last runs ended, and its circuit breaker
    Status(run::SyncStatusArgs),
}

#[derive(clap::Args, Debug)]
struct SyncDecideArgs {
    /// The job, `[sync.NAME]` of the configuration; or a package that the project requires
    #[arg(value_name = "JOB|PACKAGE")]
    job: String,
    /// The release that the project was made for [default: the newest release that the project allows]
    #[arg(long, value_name = "V")]
    from: Option<String>,
    /// The release to follow [default: the newest]
    #[arg(long, value_name = "V")]
    to: Option<String>,
    /// The project's folder
    #[arg(long, value_name = "PATH", default_value = ".")]
    repo: PathBuf,
    /// A file with the pins of the project, instead of the job's `manifest`
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// Show the lines of each definition that changed, as a diff
    #[arg(long)]
    diff: bool,
    #[command(flatten)]
    options: PackageOptions,
}

impl SyncDecideArgs {
    /// Adds a hint with the command that writes the missing manifest as JSON. If the manifest's path does not
    /// end in `.json`, the manifest is a hash test, and the hint names a new file.
    fn with_manifest_hint(&self, error: CliError, path: &Path) -> CliError {
        let is_json = path.extension().is_some_and(|extension| extension == "json");
        let file = path.with_extension("json");
        let mut command = self.package_search(false).sibling_command("init");
        if self.manifest.is_some() || !is_json {
            command += &format!(" --output {}", shell_quote(&file.display().to_string()));
        }
        let error = error.hint(format!("write a first manifest: `{command}`"));
        match (is_json, &self.manifest) {
            (true, _) => error,
            (false, Some(_)) => {
                let file = shell_quote(&file.display().to_string());
                error.hint(format!("then specify the new manifest: `--manifest {file}`"))
            }
            (false, None) => {
                let named = file.strip_prefix(&self.repo).unwrap_or(&file).display();
                error.hint(format!("then set the new manifest in the job: `manifest = \"{named}\"`"))
            }
        }
    }
}

/// Maximum number of unguarded definitions that are listed below each heading.
const MAX_SHOWN_DEFINITIONS: usize = 12;

/// The answer as JSON.
#[derive(Serialize)]
struct SyncDecisionJson {
    decision: SyncVerdict,
    needs_classification: bool,
    /// `None` if the requirement is not understood; then no release is read.
    from: Option<String>,
    to: Option<String>,
    spec_before: Option<String>,
    spec_after: Option<String>,
    relax_up_to: Option<String>,
    #[serde(rename = "changed")]
    pin_changes: Vec<PinChange>,
    unguarded: Vec<UnguardedPart>,
    reason: String,
}

pub(crate) fn run(args: &SyncArgs, context: &CommandContext) -> Result<CommandExit, CliError> {
    match &args.command {
        SyncCommand::Decide(decide) => decide.run(context),
        SyncCommand::Init(init) => init.run(context),
        SyncCommand::Run(run) => run.run(context),
        SyncCommand::Status(status) => status.run(context),
    }
}

impl SyncDecideArgs {
    fn run(&self, context: &CommandContext) -> Result<CommandExit, CliError> {
        self.decide(self.repo.join(DEFAULT_MANIFEST_FILE).exists(), context)
    }

    /// Decides which change of the project the release requires. If `uses_default_manifest` is set, a package
    /// without a configured job uses the manifest at the default path.
    fn decide(&self, uses_default_manifest: bool, context: &CommandContext) -> Result<CommandExit, CliError> {
        let config = context.config(&[])?;
        let PackageJob { config: job, config_lines: lines, .. } =
            &self.package_search(uses_default_manifest).find_job(&config, context)?;
        check_project_folder(&self.repo)?;
        let path = self.manifest.clone().unwrap_or_else(|| self.repo.join(&job.manifest));
        let reader = child_process_reader(&config.rules, &config.sandbox)?;
        let runtime = runtime::start()?;
        let pins = match &self.manifest {
            Some(path) => runtime.block_on(read_pins(path, &reader)),
            None => runtime.block_on(load_pins(job, &self.repo, &reader)),
        };
        let PinnedManifest { manifest, unparsed_pins: untold } = pins.map_err(|error| {
            let usage_error = CliError::usage("manifest", error.to_string());
            if !path.exists() {
                return self.with_manifest_hint(usage_error, &path);
            }
            usage_error.hint(
                "a manifest is an object of definitions and their digests, {\"module:Class.method\": \
                [\"SHA-1\"]}, or a Python test with pairs of objects and digests",
            )
        })?;
        let environment = &context.environment;
        let index = package_index(job, environment)?;
        let version =
            |text: &Option<String>| text.as_deref().map(|text| parse_version(job.registry, text)).transpose();
        let archives = ArchiveFolder::new(archives_folder(environment)?);
        let question = DecisionRequest {
            job,
            project: &self.repo,
            manifest: &manifest,
            from: version(&self.from)?,
            to: version(&self.to)?,
            now: Timestamp::now(),
        };
        let has_patches = self.diff && !context.output.is_json();
        let sources = PackageSources { index: &index, archives: &archives, reader: &reader };
        let explained = decide_release(question, sources, has_patches);
        let DecisionDetails { mut decision, relax_up_to, patches } = match runtime.block_on(explained) {
            Ok(details) => details,
            Err(error) => {
                let Some(answer) = SyncDecisionJson::from_requirement_doubt(&error) else {
                    return Err(decision_error(error, job, &self.repo));
                };
                context.output.print_answer(&answer, || answer.text(job))?;
                return Ok(CommandExit::NegativeAnswer);
            }
        };
        let is_assumed = lines.is_some() && self.manifest.is_none() && job.has_manifest();
        if is_assumed && matches_no_release(&manifest, &decision.decision) {
            context.output.warn(format_args!(
                "{DEFAULT_MANIFEST_FILE} pins nothing of {}, and seems to belong to another package; \
                    specify the right \
                    manifest with `--manifest FILE`",
                job.package
            ));
            return self.decide(false, context);
        }
        decision.decision.unguarded_parts.extend(untold);
        let exit = if decision.decision.verdict == SyncVerdict::Ask {
            CommandExit::NegativeAnswer
        } else {
            CommandExit::Success
        };
        let relax_up_to = relax_up_to.map(|version| version.to_string());
        let answer = SyncDecisionJson { relax_up_to, ..SyncDecisionJson::from(decision) };
        context.output.print_answer(&answer, || answer.text(job) + &diff::render_patches(&patches))?;
        if lines.is_some() && self.manifest.is_none() && !job.has_manifest() {
            context.output.print_note(self.unpinned_package_hint());
        }
        Ok(exit)
    }

    /// Returns the hint for a package without a job and without a manifest. If the file at the default path
    /// exists, it is the manifest of another package, so the hint names a separate file.
    fn unpinned_package_hint(&self) -> String {
        let search = self.package_search(false);
        let init = search.sibling_command("init");
        if !self.repo.join(DEFAULT_MANIFEST_FILE).exists() {
            return format!("nothing is pinned yet: `{init}` finds definitions that could be pinned");
        }
        let path = search.separate_manifest_path();
        let file = path.display().to_string();
        let file = shell_quote(&file);
        if path.exists() {
            return format!("if {file} is the manifest of {}, use it: `--manifest {file}`", self.job);
        }
        format!(
            "nothing is pinned yet: `{init} --output {file}` finds definitions that could be pinned; then \
             use the new manifest: `--manifest {file}`"
        )
    }

    fn package_search(&self, uses_default_manifest: bool) -> PackageSearch<'_> {
        PackageSearch {
            name: &self.job,
            project: &self.repo,
            manifest: (!uses_default_manifest).then(|| "none".to_owned()),
            subcommand: "decide",
            from_release: self.from.as_deref(),
            options: &self.options,
        }
    }
}

/// Returns true if every pinned definition is missing in both releases or belongs to another package.
fn matches_no_release(manifest: &PinManifest, decision: &SyncDecision) -> bool {
    let is_absent =
        |one: &&UnguardedPart| matches!(one.reason, UnguardedReason::Missing | UnguardedReason::OtherPackage);
    let absent = decision.unguarded_parts.iter().filter(is_absent).count();
    !manifest.rows.is_empty() && absent == manifest.rows.len()
}

/// Default path of the manifest in the project's folder.
const DEFAULT_MANIFEST_FILE: &str = "upstream.json";

impl From<ReleaseDecision> for SyncDecisionJson {
    fn from(ReleaseDecision { from, to, spec_before, spec_after, decision, .. }: ReleaseDecision) -> Self {
        let text = |spec: Option<VersionRange>| spec.map(|spec| spec.to_string());
        Self {
            decision: decision.verdict,
            needs_classification: decision.needs_classification,
            from: Some(from.to_string()),
            to: Some(to.to_string()),
            spec_before: text(spec_before),
            spec_after: text(spec_after),
            relax_up_to: None,
            pin_changes: decision.pin_changes,
            unguarded: decision.unguarded_parts,
            reason: decision.reason,
        }
    }
}

impl SyncDecisionJson {
    /// Returns the answer for a requirement that is not understood; `None` for any other error.
    fn from_requirement_doubt(error: &SyncDecisionError) -> Option<Self> {
        let (requirement, _) = error.requirement_doubt()?;
        Some(Self {
            decision: SyncVerdict::Ask,
            needs_classification: false,
            from: None,
            to: None,
            spec_before: Some(requirement.to_owned()),
            spec_after: None,
            relax_up_to: None,
            pin_changes: Vec::new(),
            unguarded: Vec::new(),
            reason: error.to_string(),
        })
    }

    fn text(&self, job: &JobConfig) -> String {
        let Self { from, to, reason, .. } = self;
        let releases = match (from, to) {
            (Some(from), Some(to)) => format!(" {from} to {to}"),
            _ => String::new(),
        };
        let mut text = format!("{}: {}{releases}\n", self.decision.as_str(), job.package);
        text += &fold_line("", reason);
        if let (Some(before), Some(after)) = (&self.spec_before, &self.spec_after)
            && before != after
        {
            text += &fold_line("range: ", &format!("{before} becomes {after}"));
        }
        if let Some(version) = &self.relax_up_to {
            text += &format!("the range can be relaxed up to {version}\n");
        }
        for change in &self.pin_changes {
            let what = match change.kind {
                PinChangeKind::Tree => "changed",
                PinChangeKind::Bytes => "only the text changed",
                PinChangeKind::Removed => "gone",
            };
            let since = change.first_in.as_ref().map_or(String::new(), |first| format!(" in {first}"));
            text += &render_item(&change.symbol, &format!("{what}{since}"));
        }
        let (changes, others): (Vec<_>, Vec<_>) =
            self.unguarded.iter().partition(|one| one.reason.is_change());
        text + &render_parts("also changed, but not pinned by you:", &changes)
            + &render_parts("not guarded:", &others)
    }
}

/// Lists unguarded definitions below a heading. Returns an empty text if the list is empty.
fn render_parts(heading: &str, parts: &[&UnguardedPart]) -> String {
    if parts.is_empty() {
        return String::new();
    }
    let mut text = format!("{heading}\n");
    for one in parts.iter().take(MAX_SHOWN_DEFINITIONS) {
        text += &render_item(&one.name(), &one.change_text());
    }
    if parts.len() > MAX_SHOWN_DEFINITIONS {
        let _ = writeln!(text, "  and {} more (`--format json`)", parts.len() - MAX_SHOWN_DEFINITIONS);
    }
    text
}
