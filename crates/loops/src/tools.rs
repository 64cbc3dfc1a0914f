//! Runs linters on the files of a review: installed linters that the repository uses, and linters that are
//! defined in the configuration.
//!
//! Each linter runs in the sandbox without a network, on files that are read-only to it. If the linter
//! accepts a list of files, it receives only the changed files. The reader process parses the linter's output
//! exactly as it parses an output for `--from` (docs/adr/0090).

// long: the public interface for linters; the modules below run the linters.

mod base;
mod baseline;
mod builds;
mod cache;
mod cached_findings;
mod configuration;
mod exposure;
mod fetch;
mod hook_dependencies;
mod inspected_files;
mod linter_output;
mod linter_runner;
mod linter_tree;
mod machine;
mod missing_requirements;
mod modules;
pub(crate) mod overlap;
mod pinned_programs;
mod pinned_version;
mod select;
mod signs;
pub(crate) mod suggestions;

use futures_util::future::BoxFuture;
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZero;
use std::path::{Path, PathBuf};

use futures_util::future::join_all;
use tokio::sync::Semaphore;
use truing_agent::installed::InstalledProgram;
use truing_agent::sandbox::SandboxLevel;
use truing_agent::verify::{CacheScope as Trust, SetupResult, Verifier, affects_setup};
use truing_config::Config;
use truing_config::tool::{ToolCondition, ToolConfig, ToolScope, ToolSelection};
use truing_core::finding::RawFinding;
use truing_core::id::Fingerprint;
use truing_core::identity::PlacedFinding;
use truing_core::line::clean_line;
use truing_core::outcome::ToolRunResult;
use truing_core::port::{ChangedFile, DetectedTools, ReaderError, RepositoryReader, ToolOutput};
use truing_diff::{FileDiff, RepoPath};
use truing_git::PrivateFolder;
use truing_reader::output::known::{FetchedFolder, fill_arguments, find_tool};
use truing_reader::output::tool_name;

pub use base::BaseCommit;
use builds::BuildFolderGuard;
pub use cache::ToolCache;
use cached_findings::{LinterFindingCache, ProgramIdentity, ProgramsByLinter};
pub(crate) use configuration::{BaseConfigFiles, BaseFilesByLinter};
use configuration::{BaseConfigFolder, BaseConfigOverlay, LinterDifferences, linter_folder, merge_linters};
pub use exposure::{LinterVisiblePaths, resolve_links};
use fetch::FetchedProgram;
pub use fetch::ProgramFetcher;
use hook_dependencies::missing_packages_reason;
use inspected_files::{first_component, inspected_files, split_batches, unlintable_files};
pub use linter_output::LinterOutput;
pub use linter_runner::{LinterFiles, LinterRunner};
use linter_runner::{LinterRunMethod, OWN_FILES_CACHE_SCOPE};
use machine::run_in_project_setup;
use missing_requirements::{install_command, not_installed_reason};
use modules::ModuleLinks;
use pinned_programs::PinnedPrograms;
pub use select::{SelectedLinter, select_linters};
use select::{select_nested_linters, suggested_linters};
use signs::{used_tools, used_tools_in_subfolders};

/// Maximum number of linters of a review.
const MAX_TOOLS: usize = 50;
/// Maximum number of characters of a reason.
const MAX_REASON_CHARS: usize = 600;
/// The tool name in a report about hooks of the repository that could not be read.
const HOOKS_TOOL_NAME: &str = "pre-commit";
/// The warning that findings of a linter may already exist at the base, because its program was replaced
/// during the review.
const PROGRAM_REPLACED_REASON: &str =
    "its program was replaced during the review, so the reported findings may include findings of the base";

/// The reason why a linter that the repository runs, and that is not in the table of tools, did not run.
const UNKNOWN_LINTER_REASON: &str = "Truing does not know this linter: add a `[[tool]]` with its command and \
                                     format, or pass its output with `--from`";

/// The reason why a known linter that the repository runs did not run, because it has no configuration that
/// the table of tools lists.
const UNCONFIGURED_LINTER_REASON: &str = "it runs without a configuration file in the root: add a `[[tool]]` \
                                          with its command and format, or pass its output with `--from`";

/// The reason why a linter that the repository's own file configures is not run.
const REPOSITORY_CONFIG_REASON: &str =
    "the repository's own file configures it, and the operator's `verify.from_repository` is false";

/// The linters that the configuration selects.
#[derive(Clone, Debug, Default)]
pub struct ConfiguredLinters {
    /// Selects which of the detected linters run.
    pub tool_selection: ToolSelection,
    /// The linters that the configuration defines or changes.
    pub tool_configs: Vec<ToolConfig>,
    /// True if linters are fetched in the versions that the repository pins.
    pub fetches_tools: bool,
    /// Names of linters that the repository's own file configures, although the operator does not permit such
    /// configuration.
    pub refused_linters: BTreeSet<String>,
}

impl ConfiguredLinters {
    /// Creates the selection of linters from a configuration.
    pub fn from_config(config: &Config) -> Self {
        let name = |key: &String| Some(key.strip_prefix("tool.")?.split('.').next()?.to_owned());
        let refused = config.denied_repository_keys().iter().filter_map(name).collect();
        Self {
            tool_selection: config.review.linters,
            tool_configs: config.linters.clone(),
            fetches_tools: config.review.fetches_tools,
            refused_linters: refused,
        }
    }

    /// True if the configuration permits linters to run.
    pub fn has_linters(&self) -> bool {
        match self.tool_selection {
            ToolSelection::Off => false,
            ToolSelection::Auto | ToolSelection::Suggested => true,
        }
    }
}

/// The linters of this machine, and the tool outputs that the caller supplied.
#[derive(Clone, Debug, Default)]
pub struct LinterSources {
    /// Outputs of tools that ran on the head, supplied by the caller.
    pub supplied_outputs: Vec<ToolOutput>,
    /// Runs the selected linters. None if no linters run in this review.
    pub runner: Option<LinterRunner>,
}

impl LinterSources {
    /// True if findings may concern any file of the head. In that case, the whole head must be exported.
    pub fn needs_tree(&self, configured_linters: &ConfiguredLinters) -> bool {
        self.has_any_linters(configured_linters) || !self.supplied_outputs.is_empty()
    }

    /// True if this machine can run linters and the configuration permits linters.
    pub fn has_any_linters(&self, configured_linters: &ConfiguredLinters) -> bool {
        self.runner.is_some() && configured_linters.has_linters()
    }
}

/// The linters of a review, and the resources that they may use.
#[derive(Clone, Copy, Debug)]
pub struct ReviewLinters<'a> {
    /// The linters of the machine, and the supplied outputs.
    pub linter_sources: &'a LinterSources,
    /// The value for [`LinterFiles::project_programs_folder`].
    pub project_programs_folder: Option<&'a Path>,
    /// The value for [`LinterFiles::trust`].
    pub trust: Option<&'a Trust>,
    /// The base commit. Linters that reported findings on the head also run on the base.
    pub base: BaseCommit<'a>,
}

impl<'a> ReviewLinters<'a> {
    /// Returns the supplied outputs and the outputs of the selected linters.
    ///
    /// # Errors
    /// As [`LinterRunner::run_linters`].
    pub fn collect_outputs(
        self,
        tree: &'a Path,
        changed_files: &'a [ChangedFile],
        changed_paths: &'a [RepoPath],
        configured_linters: &'a ConfiguredLinters,
        reader: &'a dyn RepositoryReader,
    ) -> BoxFuture<'a, Result<LinterResults, ReaderError>> {
        Box::pin(async move {
            let Self { linter_sources: toolbox, project_programs_folder: project, trust, base } = self;
            let files = LinterFiles {
                tree,
                pin_folder: tree,
                project_programs_folder: project,
                changed_files,
                changed_paths,
                base: Some(base),
                trust,
            };
            let mut looked = match &toolbox.runner {
                Some(running) => running.run_linters(files, configured_linters, reader, None).await?,
                None => LinterResults::default(),
            };
            looked.outputs.splice(0..0, toolbox.supplied_outputs.iter().cloned().map(LinterOutput::from));
            Ok(looked)
        })
    }

    /// Returns the findings of linters on the current files.
    ///
    /// # Errors
    /// [`ReaderError`]
    pub fn find_findings(
        self,
        tree: &'a Path,
        changed_files: &'a [ChangedFile],
        configured_linters: &'a ConfiguredLinters,
        reader: &'a dyn RepositoryReader,
    ) -> BoxFuture<'a, Result<Vec<RawFinding>, ReaderError>> {
        Box::pin(async move {
            let looked = self.collect_outputs(tree, changed_files, &[], configured_linters, reader).await?;
            read_findings(looked.outputs, tree, changed_files, reader).await
        })
    }

    /// Removes the linter findings that already existed at the base, and returns their fingerprints.
    /// `changes` are the diffs of all changed files. `head_tree_and_programs` is the folder of the head's
    /// files, with the programs that ran on the head. All findings of a linter are kept if the linter fails
    /// on the base, or if its program was replaced between the two runs.
    ///
    /// # Errors
    /// [`ReaderError`]
    pub(crate) async fn remove_base_findings(
        self,
        placed_findings: &mut Vec<PlacedFinding>,
        runs: &mut [ToolRunResult],
        changes: &[FileDiff<'_>],
        head_tree_and_programs: (&Path, &ProgramsByLinter),
        configured_linters: &ConfiguredLinters,
        reader: &dyn RepositoryReader,
    ) -> Result<BTreeSet<Fingerprint>, ReaderError> {
        let Self { linter_sources: toolbox, project_programs_folder: project, trust, base } = self;
        let none = BTreeSet::new();
        let Some(running) = toolbox.runner.as_ref().filter(|_| configured_linters.has_linters()) else {
            return Ok(none);
        };
        let only = baseline::reporting_linters(placed_findings);
        let everywhere = configured_linters.tool_configs.iter().any(|tool| tool.scope == ToolScope::Files);
        let removed = baseline::changed_base_files(changes, placed_findings, everywhere);
        if only.is_empty() || removed.is_empty() {
            return Ok(none);
        }
        let Some(folder) = base.export_all().await else { return Ok(none) };
        let tree = folder.path();
        let files = LinterFiles {
            tree,
            pin_folder: head_tree_and_programs.0,
            project_programs_folder: project,
            changed_files: &removed,
            changed_paths: &[],
            base: None,
            trust,
        };
        let LinterResults { mut outputs, programs, .. } =
            running.run_linters(files, configured_linters, reader, Some(&only)).await?;
        let is_other = |name: &str| {
            programs.get(name).is_some_and(|now| {
                head_tree_and_programs.1.get(name).is_none_or(|before| !now.is_subset(before))
            })
        };
        for run in runs.iter_mut().filter(|run| run.failure_reason.is_none() && is_other(&run.name)) {
            run.failure_reason = Some(PROGRAM_REPLACED_REASON.to_owned());
        }
        outputs.retain(|printed| {
            printed.output.failure_reason.is_none() && !is_other(&tool_name(&printed.output.tool))
        });
        let old = baseline::remove_base_findings(
            placed_findings,
            &read_findings(outputs, tree, &removed, reader).await?,
            changes,
            everywhere,
        );
        for run in runs {
            let reported =
                placed_findings.iter().filter(|placed| placed.raw.tool() == Some(&run.name)).count();
            run.findings = u32::try_from(reported).unwrap_or(u32::MAX);
        }
        Ok(old)
    }
}

/// Reads the findings from outputs.
async fn read_findings(
    outputs: Vec<LinterOutput>,
    tree: &Path,
    changed_files: &[ChangedFile],
    reader: &dyn RepositoryReader,
) -> Result<Vec<RawFinding>, ReaderError> {
    let mut found = Vec::new();
    for printed in outputs {
        found.extend(printed.read_findings(tree, changed_files, reader).await?.0.findings);
    }
    Ok(found)
}

/// The result of running all selected linters.
#[derive(Debug, Default)]
pub struct LinterResults {
    /// Outputs that the reader has to parse.
    pub outputs: Vec<LinterOutput>,
    /// Linters that the repository uses but that did not run.
    pub skipped_linters: Vec<ToolRunResult>,
    /// The programs that ran, grouped by linter.
    pub(crate) programs: ProgramsByLinter,
    /// The changed files that each linter checks, by the name of the linter.
    pub(crate) inspected_files: BTreeMap<String, BTreeSet<RepoPath>>,
    /// The changed files that could not be passed to a linter, by the name of the linter.
    pub(crate) unlinted_files: BTreeMap<String, Vec<RepoPath>>,
    /// The configuration files that were taken from the base, grouped by linter.
    pub(crate) base_files: BaseFilesByLinter,
    /// The folders in which the linters ran. The folders are kept until the findings are cached, because a
    /// finding is cached only if its file is in the same state as before the run.
    pub(crate) run_folders: Vec<PrivateFolder>,
}

/// Tools and files that were found in a repository and cannot be used.
#[derive(Debug)]
struct UnusedDetections {
    /// Reason why the hook configuration could not be read.
    unread_hooks: Option<String>,
    /// Names of linters that the repository runs and that are not known.
    unknown_linters: BTreeSet<String>,
    /// Files that may configure linters and cannot be parsed, each with the reason.
    unread_configuration: BTreeMap<String, String>,
}

/// The result of running a linter.
#[derive(Debug)]
enum LinterRunOutcome {
    /// The linter was started. It may have failed.
    Ran(Vec<LinterOutput>),
    /// This machine lacks something that the linter needs.
    MissingRequirement(ToolRunResult),
}

/// Records a linter that did not run.
fn skipped_run(name: &str, reason: &str) -> ToolRunResult {
    ToolRunResult {
        name: name.to_owned(),
        skip_reason: Some(clean_line(reason, MAX_REASON_CHARS)),
        ..ToolRunResult::default()
    }
}

/// Returns the reason why a linter that the repository runs cannot be run.
fn unknown_linter_reason(name: &str) -> &'static str {
    if find_tool(name).is_some() { UNCONFIGURED_LINTER_REASON } else { UNKNOWN_LINTER_REASON }
}

/// Selects the linters to run: linters that the files in `tree` show to be in use, and configured linters.
/// Also returns what was found in the repository and cannot be used.
async fn find_linters(
    tree: &Path,
    files: LinterFiles<'_>,
    configured_linters: &ConfiguredLinters,
    reader: &dyn RepositoryReader,
) -> Result<(Vec<SelectedLinter>, UnusedDetections), ReaderError> {
    let DetectedTools { tools: used, unread_hooks, unknown_linters, interpreters, unread_configuration } =
        used_tools(tree, files.changed_files.iter().map(|file| &file.path), reader).await?;
    let mut selected = select_linters(&used, &configured_linters.tool_configs);
    let below = used_tools_in_subfolders(tree, files.changed_files, reader).await?;
    let in_folders = select_nested_linters(&below, &mut selected, &configured_linters.tool_configs);
    selected.extend(in_folders);
    if configured_linters.tool_selection == ToolSelection::Suggested {
        selected.extend(suggested_linters(
            &selected,
            &unknown_linters,
            &configured_linters.tool_configs,
            &interpreters,
        ));
    }
    let configured = |name: &String| configured_linters.tool_configs.iter().any(|tool| tool.name == *name);
    let is_unused = |name: &String| !configured(name) && selected.iter().all(|tool| tool.name != *name);
    let unknown = unknown_linters.into_iter().filter(is_unused).collect();
    Ok((selected, UnusedDetections { unread_hooks, unknown_linters: unknown, unread_configuration }))
}

/// A linter that is ready to run.
struct ReadyLinter<'a> {
    tool: &'a SelectedLinter,
    files: Vec<&'a str>,
    run_method: LinterRunMethod<'a>,
    /// The folder that the linter inspects if it must use the base's configuration files. `None` if the
    /// linter inspects the head's folder.
    base_folder: Option<BaseConfigFolder<'a>>,
}

impl LinterRunner {
    /// Runs all selected linters in parallel. If `linter_names` is set, only the linters with these names
    /// run.
    ///
    /// # Errors
    /// [`ReaderError`], if the reader cannot determine the tools that the repository uses. If a linter fails,
    /// its output contains the failure and no error is returned.
    pub fn run_linters<'f>(
        &'f self,
        files: LinterFiles<'f>,
        configured_linters: &'f ConfiguredLinters,
        reader: &'f dyn RepositoryReader,
        linter_names: Option<&'f BTreeSet<String>>,
    ) -> BoxFuture<'f, Result<LinterResults, ReaderError>> {
        Box::pin(async move {
            let mut looked = LinterResults::default();
            if !configured_linters.has_linters() {
                return Ok(looked);
            }
            let mut base = BaseConfigOverlay::from_files(files).filter(|_| self.is_foreign_code);
            let signs = match &base {
                Some(base) => base.create_detection_folder().await,
                None => Ok(None),
            };
            let of_signs = signs.as_ref().ok().and_then(Option::as_ref).map(PrivateFolder::path);
            let (mut selected, unused) =
                find_linters(of_signs.unwrap_or(files.tree), files, configured_linters, reader).await?;
            looked.skipped_linters.extend(
                unused.unknown_linters.iter().map(|name| skipped_run(name, unknown_linter_reason(name))),
            );
            looked.skipped_linters.extend(unused.unread_configuration.iter().map(|(file, reason)| {
                let reason = format!("the linters that it may configure did not run: {reason}");
                ToolRunResult {
                    name: file.clone(),
                    failure_reason: Some(clean_line(&reason, MAX_REASON_CHARS)),
                    ..ToolRunResult::default()
                }
            }));
            if let Some(reason) = unused.unread_hooks {
                let reason = format!("{reason}; linters run without the options of their hooks");
                looked.skipped_linters.push(skipped_run(HOOKS_TOOL_NAME, &reason));
            }
            if of_signs.is_some() {
                let (of_head, _) = self::find_linters(files.tree, files, configured_linters, reader).await?;
                let LinterDifferences { new_linters: new, base_files: by_base } =
                    merge_linters(&mut selected, of_head, files);
                looked.skipped_linters.extend(new.iter().map(|(name, reason)| skipped_run(name, reason)));
                looked.base_files = by_base;
            }
            selected.retain(|tool| {
                linter_names.is_none_or(|linter_names| linter_names.contains(&tool_name(&tool.name)))
            });
            let set_up = self.set_up_dependencies(&selected, files).await;
            let pinned_programs = if configured_linters.fetches_tools {
                self.use_pins_of_head(&mut selected, files, configured_linters, reader).await?;
                self.fetch_pinned_programs(&selected, files).await
            } else {
                PinnedPrograms::default()
            };
            let mut ready = Vec::new();
            for tool in &selected {
                let names = inspected_files(tool, files.changed_files);
                if tool.condition == ToolCondition::FilesChanged
                    && names.is_empty()
                    && unlintable_files(tool, files.changed_files).is_empty()
                {
                    continue;
                }
                if ready.len() >= MAX_TOOLS {
                    let reason = format!("Truing runs at most {MAX_TOOLS} linters");
                    looked.outputs.push(LinterOutput::from_failure(tool, &reason));
                    continue;
                }
                let fetched_program = pinned_programs.get(tool).and_then(Result::ok);
                let run_method = self.run_method(tool, files, set_up.as_ref(), fetched_program);
                match run_method
                    .map_err(|reason| pinned_programs.add_failure(tool, Some(reason)).unwrap_or_default())
                {
                    Ok(run_method) => match linter_folder(tool, &signs, base.as_mut()).await {
                        Ok(base_folder) => {
                            let paths = names.iter().map(|name| RepoPath::from(*name));
                            looked.inspected_files.entry(tool_name(&tool.name)).or_default().extend(paths);
                            ready.push(ReadyLinter { tool, files: names, run_method, base_folder });
                        }
                        Err(reason) => looked.outputs.push(LinterOutput::from_failure(tool, &reason)),
                    },
                    Err(reason)
                        if tool.is_configured || self.is_disabled_by_change(tool, files, set_up.as_ref()) =>
                    {
                        looked.outputs.push(LinterOutput::from_failure(tool, &reason));
                    }
                    // Nothing is reported here: the only sign of the tool is a file that it could inspect, so
                    // the repository may not use the tool.
                    Err(_) if tool.is_guessed => {}
                    // The tool is already reported as skipped in another folder.
                    Err(_) if looked.skipped_linters.iter().any(|run| run.name == tool_name(&tool.name)) => {}
                    Err(reason) => looked.skipped_linters.push(skipped_run(&tool_name(&tool.name), &reason)),
                }
            }
            let refused = configured_linters
                .refused_linters
                .iter()
                .filter(|name| selected.iter().all(|tool| tool.name != **name));
            looked
                .skipped_linters
                .extend(refused.map(|name| skipped_run(&tool_name(name), REPOSITORY_CONFIG_REASON)));
            let at_once = std::thread::available_parallelism().map_or(1, NonZero::get);
            let places = Semaphore::new(at_once);
            let (mut runs, mut folders) = (Vec::new(), Vec::new());
            for ready in ready {
                folders.push(ready.tool.folder.as_str());
                if let LinterRunMethod::MachineProgram(installed) = &ready.run_method
                    && let Some(program) = ProgramIdentity::from_path(&installed.file)
                {
                    looked.programs.entry(tool_name(&ready.tool.name)).or_default().insert(program);
                }
                let unlinted = unlintable_files(ready.tool, files.changed_files);
                if !unlinted.is_empty() {
                    looked.unlinted_files.entry(tool_name(&ready.tool.name)).or_default().extend(unlinted);
                }
                let name = tool_name(&ready.tool.name);
                if let Some(base_folder) = &ready.base_folder {
                    looked.base_files.entry(name).or_default().add(base_folder, &ready.files);
                }
                runs.push(self.run(ready, files, &pinned_programs, &places));
            }
            let folders: BTreeSet<&str> = std::iter::once("").chain(folders).collect();
            let _modules = (!runs.is_empty()).then(|| {
                ModuleLinks::create_links(files.project_programs_folder, files.tree, folders.into_iter())
            });
            for done in join_all(runs).await {
                match done {
                    LinterRunOutcome::Ran(outputs) => looked.outputs.extend(outputs),
                    LinterRunOutcome::MissingRequirement(run)
                        if looked.skipped_linters.iter().any(|other| other.name == run.name) => {}
                    LinterRunOutcome::MissingRequirement(run) => looked.skipped_linters.push(run),
                }
            }
            looked.run_folders = base.map(BaseConfigOverlay::into_folders).unwrap_or_default();
            Ok(looked)
        })
    }

    /// If linters inspect the base of the user's own change, gives each linter the version that the head
    /// pins. Findings of different versions could not be compared.
    async fn use_pins_of_head(
        &self,
        selected: &mut [SelectedLinter],
        files: LinterFiles<'_>,
        configured_linters: &ConfiguredLinters,
        reader: &dyn RepositoryReader,
    ) -> Result<(), ReaderError> {
        if self.is_foreign_code || files.pin_folder == files.tree {
            return Ok(());
        }
        let (of_head, _) = find_linters(files.pin_folder, files, configured_linters, reader).await?;
        for tool in selected {
            let in_head = of_head.iter().find(|other| other.name == tool.name && other.folder == tool.folder);
            tool.pinned_version = in_head.and_then(|other| other.pinned_version.clone());
        }
        Ok(())
    }

    /// Sets up the project's dependencies if a selected tool needs them. Returns `None` if no tool needs them
    /// or no set-up is configured.
    async fn set_up_dependencies(
        &self,
        selected: &[SelectedLinter],
        files: LinterFiles<'_>,
    ) -> Option<Result<(&Verifier, SetupResult), String>> {
        let (verifier, trust) = (self.verifier.as_ref()?, files.trust?);
        let is_needed = |tool: &SelectedLinter| {
            tool.needs_setup()
                && tool.folder.is_empty()
                && (tool.condition == ToolCondition::Always
                    || !inspected_files(tool, files.changed_files).is_empty())
        };
        if !selected.iter().any(is_needed) {
            return None;
        }
        Some(match verifier.set_up(files.tree, trust).await {
            Ok(set_up) if set_up.can_run_checks() => Ok((verifier, set_up)),
            Ok(_) => Err("the set-up (`verify.setup`) failed".to_owned()),
            Err(error) => Err(error.to_string()),
        })
    }

    /// Returns an error with the reason if a tool must not run, whether or not it is installed.
    fn check_may_run(&self, tool: &SelectedLinter, files: LinterFiles<'_>) -> Result<(), String> {
        if self.sandbox_level < SandboxLevel::MIN_FOR_FOREIGN_CODE {
            return Err(
                "this machine does not support the sandbox that the linter needs (`truing sandbox check`)"
                    .to_owned(),
            );
        }
        match self.changed_configuration_code(tool, files) {
            Some(path) => Err(format!("its configuration is code that this change modifies: {path}")),
            None => Ok(()),
        }
    }

    /// Returns the method for running a tool, or the reason why the tool is not run. A fetched program takes
    /// precedence over an installed program.
    fn run_method<'a>(
        &self,
        tool: &SelectedLinter,
        files: LinterFiles<'_>,
        setup_result: Option<&'a Result<(&'a Verifier, SetupResult), String>>,
        fetched_program: Option<&FetchedProgram>,
    ) -> Result<LinterRunMethod<'a>, String> {
        self.check_may_run(tool, files)?;
        let touched =
            || files.changed_paths.iter().filter(|_| self.is_foreign_code).filter_map(|path| path.as_str());
        if self.is_foreign_code && tool.needs_setup() && !tool.folder.is_empty() {
            let folder = &tool.folder;
            return Err(format!(
                "{folder} configures the linter, but `verify.setup` installs only the \
                dependencies of the root"
            ));
        }
        if self.is_foreign_code && tool.needs_setup() {
            // True for a changed path in a folder in which the project installs the tool's program.
            let is_brought = |path: &&str| {
                tool.install_paths.iter().any(|place| first_component(place) == first_component(path))
            };
            if let Some(path) = touched().find(is_brought) {
                return Err(format!("this change adds the linter's own programs: {path}"));
            }
            if let Some(path) = touched().find(|path| affects_setup(Path::new(path))) {
                return Err(format!("this change affects what `verify.setup` installs: {path}"));
            }
            return match setup_result {
                Some(Ok((verifier, set_up))) => Ok(LinterRunMethod::ProjectSetup(verifier, set_up)),
                Some(Err(reason)) => Err(reason.clone()),
                None => Err("it needs the project's dependencies: set `verify.setup`".to_owned()),
            };
        }
        let fetched =
            fetched_program.and_then(|program| self.find_fetched_program(tool, program, files.pin_folder));
        let fetched_folder =
            fetched_program.filter(|_| fetched.is_some()).map(|program| program.folder.as_path());
        let installed = fetched
            .or_else(|| self.find_installed_program(tool, files.pin_folder, files.project_programs_folder));
        if let Some((folder, file)) =
            installed.as_ref().and_then(|installed| self.find_hidden_path_overlap(installed, fetched_folder))
        {
            let (folder, file) = (folder.display(), file.display());
            return Err(format!(
                "its program needs {folder}, but linters must not read {file}: install the program \
                    elsewhere"
            ));
        }
        installed.map(LinterRunMethod::MachineProgram).ok_or_else(|| {
            let project = files.project_programs_folder.unwrap_or(files.tree);
            if self.needs_project_installation(tool) {
                return not_installed_reason(project, &tool.folder, &tool.install_paths);
            }
            let has_rustup = self.machine_paths.find("rustup", &[], project).is_some();
            let command = tool.install_command().map(|command| install_command(command, project, has_rustup));
            let install = command.map(|command| format!(": `{command}`")).unwrap_or_default();
            format!("`{}` is not installed{install}", tool.program)
        })
    }

    /// True if the linter finds the project's dependencies only if it is installed together with them.
    fn needs_project_installation(&self, tool: &SelectedLinter) -> bool {
        // Tools for Go and Rust find the dependencies even if the tool's program is installed elsewhere.
        let is_beside = tool.install_paths.iter().any(|place| !place.starts_with("bin/"));
        tool.needs_setup() && is_beside && !tool.is_configured
    }

    fn find_installed_program(
        &self,
        tool: &SelectedLinter,
        tree: &Path,
        project: Option<&Path>,
    ) -> Option<InstalledProgram> {
        let own = project.filter(|_| !self.is_foreign_code);
        let inner = own.filter(|_| !tool.folder.is_empty()).map(|project| project.join(&tool.folder));
        let folders = inner.iter().map(PathBuf::as_path).chain(own);
        let in_folder =
            |folder: &Path| tool.install_paths.iter().map(|place| folder.join(place)).collect::<Vec<_>>();
        let mut places: Vec<PathBuf> = folders.flat_map(in_folder).collect();
        places.extend(self.python_environment.as_ref().map(|folder| folder.join("bin").join(&tool.program)));
        // A linter that is installed elsewhere would not find the project's dependencies.
        if self.needs_project_installation(tool) && !places.iter().any(|place| place.exists()) {
            return None;
        }
        self.find_with_started_programs(tool, &places, tree)
    }

    /// Finds a tool's program, first in `candidate_paths`, with the programs and folders that it needs.
    fn find_with_started_programs(
        &self,
        tool: &SelectedLinter,
        candidate_paths: &[PathBuf],
        tree: &Path,
    ) -> Option<InstalledProgram> {
        let mut installed = self.machine_paths.find(&tool.program, candidate_paths, tree)?;
        for program in tool.started_programs() {
            if let Some(found) = self.machine_paths.find(program, &[], tree) {
                installed.readable_paths.extend(found.readable_paths);
                installed.search_path.extend(found.search_path);
            }
        }
        for fetched in tool.fetched_folders() {
            if let Some(folder) = self.find_fetched_folder(fetched) {
                installed
                    .readable_paths
                    .extend(fetched.parts.iter().map(|part| folder.join(part)).filter(|it| it.exists()));
            }
        }
        Some(installed)
    }

    fn find_fetched_folder(&self, fetched: &FetchedFolder) -> Option<PathBuf> {
        let named = self.folders_by_variable.get(&fetched.variable).cloned();
        named
            .or_else(|| Some(self.machine_paths.home.as_ref()?.join(&fetched.folder)))
            .filter(|it| it.is_dir())
    }

    /// Waits for a free slot, then runs a tool on the files for which no findings are cached. If the file
    /// names do not fit on one command line, the tool runs several times.
    async fn run(
        &self,
        linter: ReadyLinter<'_>,
        files: LinterFiles<'_>,
        pinned_programs: &PinnedPrograms,
        slots: &Semaphore,
    ) -> LinterRunOutcome {
        // An error would mean that the semaphore is closed. It is ignored, because no code closes the
        // semaphore.
        let _place = slots.acquire().await;
        let ReadyLinter { tool, files: mut names, run_method, base_folder } = linter;
        let files =
            LinterFiles { tree: base_folder.as_ref().map_or(files.tree, BaseConfigFolder::tree), ..files };
        let (tree, is_copy) = (files.tree, files.project_programs_folder != Some(files.tree));
        // The linter does not inspect configuration files that were copied from the base, because their lines
        // may differ from the head's lines.
        names.retain(|name| base_folder.as_ref().is_none_or(|base_folder| !base_folder.is_from_base(name)));
        let mut without = if is_copy { tool.permission_rules() } else { BTreeSet::new() };
        let difference = self.compare_pinned_version(tool, &run_method, files).await;
        without.extend(difference.newer_rules);
        let recipe = self.cache_context(tool, &run_method, files).await;
        let mut outputs = Vec::new();
        let mut left = names;
        let mut recalled = match &recipe {
            Some(recipe) => recipe.load_findings(&left).await,
            None => cached_findings::CachedFindings::default(),
        };
        if !recalled.cached_files.is_empty() {
            left.retain(|name| !recalled.cached_files.contains(*name));
            let kept =
                LinterOutput::from_cached_findings(tool, std::mem::take(&mut recalled.findings), &without);
            outputs.push(kept);
        }
        let held = self.acquire_build_folder(tool, &run_method, files).await;
        let builds = held.as_ref().map(BuildFolderGuard::output_folder);
        let moves_tree = is_copy && self.can_use_fixed_tree_path(&run_method, tree);
        let (mut ends, mut lack) = (Vec::new(), None);
        for names in split_batches(tool, &left) {
            let own: Vec<&str> = names.iter().filter_map(|name| tool.relative_path(name)).collect();
            let words = fill_arguments(&tool.arguments, &tool.hook_options, &own, &tool.sign_path);
            let ran = match &run_method {
                LinterRunMethod::MachineProgram(installed) => {
                    let base_folder = machine::LinterRunSettings {
                        tree,
                        uses_fixed_tree_path: moves_tree,
                        time_limit: tool.time_limit,
                        build_folder: builds,
                    };
                    self.run_machine_program(tool, installed, words, base_folder).await
                }
                LinterRunMethod::ProjectSetup(verifier, set_up) => {
                    run_in_project_setup(tool, verifier, set_up, words, tree).await
                }
            };
            ends.extend(ran.iter().map(|printout| printout.end_reason));
            outputs.push(match ran {
                Ok(printout) => {
                    let printed = LinterOutput::from_printout(tool, &printout, &without);
                    if tool.suggested_run.is_some() {
                        let is_silent = printed.failed_without_findings();
                        let unnamed = printed.output.unnamed.clone().filter(|_| is_silent);
                        lack = printed.output.failure_reason.clone().filter(|_| is_silent).or(unnamed);
                    } else if printed.failed_without_findings() {
                        lack = self.missing_requirement(tool, &run_method, files, &printout).await;
                    }
                    match (&recipe, &lack) {
                        (_, Some(reason)) if tool.is_configured => LinterOutput::from_failure(tool, reason),
                        (Some(recipe), _) => printed.with_cache(recipe.clone(), recalled.states_for(names)),
                        (None, _) => printed,
                    }
                }
                Err(reason) => LinterOutput::from_failure(tool, &reason),
            });
            if lack.is_some() {
                break;
            }
        }
        if let Some(held) = held {
            held.release(ends).await;
        }
        if let Some(printed) = outputs.first_mut() {
            printed.version_note = pinned_programs.add_failure(tool, difference.note);
        }
        let project = files.project_programs_folder.filter(|_| !self.is_foreign_code);
        if let Some(reason) = missing_packages_reason(tool, &run_method, project) {
            outputs.push(LinterOutput::from_failure(tool, &reason));
        }
        if let Some(base_folder) = &base_folder {
            outputs.iter_mut().for_each(|printed| base_folder.drop_base_findings(&mut printed.output));
        }
        match lack.filter(|_| !tool.is_configured) {
            Some(reason) => {
                LinterRunOutcome::MissingRequirement(skipped_run(&tool_name(&tool.name), &reason))
            }
            None => LinterRunOutcome::Ran(outputs),
        }
    }

    /// Returns the inputs that determine a tool's findings, except the inspected file itself. `None` if the
    /// findings must not be cached.
    async fn cache_context(
        &self,
        tool: &SelectedLinter,
        method: &LinterRunMethod<'_>,
        files: LinterFiles<'_>,
    ) -> Option<LinterFindingCache> {
        let cache = self.cache.as_ref()?;
        let LinterRunMethod::MachineProgram(installed) = method else { return None };
        let known = tool.cacheable_tool()?;
        let (program, version) = self.version_output(tool, installed, &known.version, files).await?;
        let scopes = match files.trust {
            Some(trust) => trust.names().map(str::to_owned).collect(),
            None => vec![OWN_FILES_CACHE_SCOPE.to_owned()],
        };
        Some(LinterFindingCache::new(cache.clone(), tool, known, program, &version, files.tree, scopes))
    }
}

#[cfg(test)]
mod tests;
