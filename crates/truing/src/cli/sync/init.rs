//! The command `truing sync init`: writes a first manifest for a job. If the job is not configured, the
//! command also prints the lines that configure the job.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;
use truing_core::registry::PackageRegistry;
use truing_core::sync::PinManifest;
use truing_loops::sync::{
    DecisionRequest, HashTest, PackageSources, PinnedManifest, ProposedManifest, find_hash_test,
    propose_manifest, read_pins,
};
use truing_upstream::archives::ArchiveFolder;

use super::super::error::{CliError, CommandExit};
use super::super::init::DEFAULT_OUTPUT_FILE;
use super::super::output::shell_quote;
use super::super::{CommandContext, runtime};
use super::package::{PackageJob, PackageOptions, PackageSearch};
use super::sync_errors::{check_project_folder, decision_error, parse_version, render_item};
use crate::wiring::child_process_reader;
use crate::wiring::jobs::{archives_folder, package_index};

#[derive(clap::Args, Debug)]
pub(super) struct SyncInitArgs {
    /// The job, `[sync.NAME]` of the configuration; or a package that the project requires
    #[arg(value_name = "JOB|PACKAGE")]
    job: String,
    /// The release that the project was made for [default: the newest release that the project allows]
    #[arg(long, value_name = "V")]
    from: Option<String>,
    /// The project's folder
    #[arg(long, value_name = "PATH", default_value = ".")]
    repo: PathBuf,
    /// Use the pins of a Python hash test, or the names in a JSON file (`{"module:name": []}`), instead of
    /// searching the project
    #[arg(long, value_name = "FILE")]
    import: Option<PathBuf>,
    /// The file to write, instead of the job's `manifest`; it must not exist
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    options: PackageOptions,
}

/// Maximum number of names listed for each reason why a definition is unguarded.
const MAX_SHOWN_NAMES: usize = 4;

#[derive(Serialize)]
struct SyncInitJson {
    manifest: String,
    package: String,
    #[serde(rename = "at")]
    version: String,
    pinned: usize,
    not_guarded: Vec<UnguardedSymbolJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<String>,
}

#[derive(Serialize)]
struct UnguardedSymbolJson {
    symbol: String,
    #[serde(rename = "why")]
    reason: String,
}

impl SyncInitArgs {
    pub(super) fn run(&self, context: &CommandContext) -> Result<CommandExit, CliError> {
        let config = context.config(&[])?;
        let PackageJob { name, config: job, config_lines: lines } =
            &self.package_search().find_job(&config, context)?;
        check_project_folder(&self.repo)?;
        let path = self.output.clone().unwrap_or_else(|| self.repo.join(&job.manifest));
        if path.exists() {
            let may_be_of_other_package = lines.is_some() && self.output.is_none();
            return Err(match may_be_of_other_package {
                true => self.default_manifest_exists_error(&path),
                false => manifest_exists_error(&path),
            });
        }
        if path.extension().is_none_or(|extension| extension != "json") {
            let text =
                format!("{} does not end in .json, and the manifest is written as JSON", path.display());
            return Err(CliError::usage("manifest", text).hint("choose another file: --output FILE.json"));
        }
        let reader = child_process_reader(&config.rules, &config.sandbox)?;
        let runtime = runtime::start()?;
        let imported = self.import.as_deref().map(|test| runtime.block_on(read_pins(test, &reader)));
        let imported = imported.transpose().map_err(|error| CliError::usage("import", error.to_string()))?;
        let PinnedManifest { manifest, unparsed_pins: untold } = imported.unwrap_or_else(|| PinnedManifest {
            manifest: PinManifest::default(),
            unparsed_pins: Vec::new(),
        });
        let index = package_index(job, &context.environment)?;
        let archives = ArchiveFolder::new(archives_folder(&context.environment)?);
        let question = DecisionRequest {
            job,
            project: &self.repo,
            manifest: &manifest,
            from: self.from.as_deref().map(|text| parse_version(job.registry, text)).transpose()?,
            to: None,
            now: Timestamp::now(),
        };
        let sources = PackageSources { index: &index, archives: &archives, reader: &reader };
        let found = runtime
            .block_on(propose_manifest(question, sources))
            .map_err(|error| decision_error(error, job, &self.repo))?;
        let ProposedManifest { version, manifest, unguarded_reasons: not_guarded } = found;
        if manifest.rows.is_empty() {
            let text = format!(
                "nothing was found in {} that overrides or copies code of {}",
                self.repo.display(),
                job.package
            );
            let mirror = match (job.mirrored_paths.is_empty(), lines) {
                (true, Some(_)) => {
                    "specify the files of the package and their counterparts in the project: --mirror \
                    THEIRS=OURS"
                }
                (true, None) => {
                    "set `mirror` of the job to the files of the package and their counterparts in the \
                    project"
                }
                (false, _) => {
                    "the files in `mirror` of the job contain no definition of the package: check the pairs"
                }
            };
            let none = match lines {
                Some(_) => {
                    let decide = self.package_search().sibling_command("decide");
                    format!(
                        "if the project overrides and copies nothing of the package, nothing needs to be \
                            pinned: `{decide}` compares the releases anyway"
                    )
                }
                None => "if the project overrides and copies nothing of the package: set `manifest = \
                    \"none\"` of the job, and `verify.check`"
                    .to_owned(),
            };
            return Err(CliError::usage("nothing", text)
                .hint(mirror)
                .hint(
                    "if the project calls private functions of the package: use --import FILE.json, with \
                        {\"module:name\": []}",
                )
                .hint(none));
        }
        write_manifest(&path, &manifest)?;
        let untold = untold.into_iter().map(|one| {
            let words = one.change_text();
            (one.symbol, words)
        });
        let not_guarded = not_guarded.into_iter().chain(untold);
        let answer = SyncInitJson {
            manifest: path.display().to_string(),
            package: job.package.clone(),
            version: version.to_string(),
            pinned: manifest.rows.len(),
            not_guarded: not_guarded.map(|(symbol, reason)| UnguardedSymbolJson { symbol, reason }).collect(),
            config: lines.clone(),
        };
        context.output.print_answer(&answer, || answer.text(name, context))?;
        let hash_test = match (&self.import, job.registry) {
            (None, PackageRegistry::Pypi) => {
                runtime.block_on(find_hash_test(&self.repo, &job.package, &reader))
            }
            _ => None,
        };
        if let Some(HashTest { path, pin_count }) = hash_test {
            let test = path.display().to_string();
            context.output.print_note(format!(
                "{test} pins definitions itself ({pin_count} of {}): to use these pins, move {} away, then \
                 run `{} --import {}`",
                job.package,
                answer.manifest,
                self.package_search().sibling_command("init"),
                shell_quote(&test)
            ));
        }
        Ok(CommandExit::Success)
    }

    /// Returns the error for a package without a job, if the project already has a manifest at the default
    /// path. This manifest may belong to another package.
    fn default_manifest_exists_error(&self, path: &Path) -> CliError {
        let search = self.package_search();
        let (mut init, decide) = (search.sibling_command("init"), search.sibling_command("decide"));
        if let Some(import) = &self.import {
            init += &format!(" --import {}", shell_quote(&import.display().to_string()));
        }
        let file = search.separate_manifest_path().display().to_string();
        let file = shell_quote(&file);
        CliError::usage("manifest", format!("{} already exists", path.display()))
            .hint(format!(
                "if that file is the manifest of another package, write another file: `{init} \
                 --output {file}`; then use it: `{decide} --manifest {file}`"
            ))
            .hint(format!(
                "if that file is the manifest of {}: `{decide}` uses it; to write it again, move it away",
                self.job
            ))
    }

    fn package_search(&self) -> PackageSearch<'_> {
        let output = self.output.as_deref();
        let manifest = output.map(|path| path.strip_prefix(&self.repo).unwrap_or(path).display().to_string());
        PackageSearch {
            name: &self.job,
            project: &self.repo,
            manifest,
            subcommand: "init",
            from_release: self.from.as_deref(),
            options: &self.options,
        }
    }
}

impl SyncInitJson {
    fn text(&self, job: &str, context: &CommandContext) -> String {
        let Self { manifest, package, version: at, pinned, not_guarded, config } = self;
        let what = if *pinned == 1 { "definition" } else { "definitions" };
        let mut text = format!("{manifest}: {pinned} {what} pinned as in {package} {at}\n");
        if !not_guarded.is_empty() {
            let _ = writeln!(text, "not guarded:");
        }
        let mut by_why: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for one in not_guarded {
            by_why.entry(&one.reason).or_default().push(&one.symbol);
        }
        for (why, symbols) in by_why {
            if symbols.len() > MAX_SHOWN_NAMES {
                text += &render_item(
                    &format!("{} names", symbols.len()),
                    &format!("{why} (`--format json` lists them)"),
                );
                continue;
            }
            for symbol in symbols {
                text += &render_item(symbol, why);
            }
        }
        if let Some(lines) = config {
            let run = format!("sync run {job}");
            let (file, run) = match context.operator_file() {
                Some(file) => (file.display().to_string(), context.output.command_line(&run)),
                None => {
                    (DEFAULT_OUTPUT_FILE.to_owned(), format!("truing --config {DEFAULT_OUTPUT_FILE} {run}"))
                }
            };
            text += &format!("keep these lines in {} for `{run}`:\n{lines}", shell_quote(&file));
        }
        text
    }
}

fn write_manifest(path: &Path, manifest: &PinManifest) -> Result<(), CliError> {
    let unwritten = |reason: String| {
        CliError::failure("manifest", format!("{} cannot be written: {reason}", path.display()))
    };
    let text = serde_json::to_string_pretty(&manifest.rows).map_err(|error| unwritten(error.to_string()))?;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|error| unwritten(error.to_string()))?;
    }
    let mut file = match OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            return Err(manifest_exists_error(path));
        }
        Err(error) => return Err(unwritten(error.to_string())),
    };
    file.write_all(format!("{text}\n").as_bytes()).map_err(|error| unwritten(error.to_string()))
}

fn manifest_exists_error(path: &Path) -> CliError {
    let text = format!("{} already exists", path.display());
    CliError::usage("manifest", text).hint("move that file away, or write another file: --output FILE.json")
}
