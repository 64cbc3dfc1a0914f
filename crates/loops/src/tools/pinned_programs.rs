//! Decides which linters of a review are fetched in the version that the repository pins.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use futures_util::future::join_all;
use truing_agent::installed::{InstalledProgram, MachinePaths};
use truing_config::tool::ToolCondition;
use truing_core::line::clean_line;

use super::builds::remove_unless_locked;
use super::fetch::{FetchedProgram, PinnedPackage, ProgramFetcher};
use super::inspected_files::inspected_files;
use super::linter_runner::{LinterFiles, LinterRunMethod, LinterRunner};
use super::missing_requirements::find_version;
use super::pinned_version::has_same_version;
use super::select::SelectedLinter;

/// Maximum number of characters of a sentence with a reason.
const MAX_SENTENCE_CHARS: usize = 600;

/// The pinned programs of a review: which linters need one, and the fetched programs.
#[derive(Debug, Default)]
pub(super) struct PinnedPrograms {
    /// The packages of linters that are not installed in the pinned version, by [`linter_key`].
    packages: BTreeMap<String, PinnedPackage>,
    fetched: BTreeMap<PinnedPackage, Result<FetchedProgram, String>>,
}

/// Returns a text that identifies a linter and its folder in a review.
pub(super) fn linter_key(tool: &SelectedLinter) -> String {
    tool.to_tree_path(&tool.name)
}

impl PinnedPrograms {
    /// Returns the fetched program of a linter, or the reason why it could not be fetched. `None` if the
    /// linter needs no fetched program.
    pub(super) fn get(&self, tool: &SelectedLinter) -> Option<Result<&FetchedProgram, &str>> {
        let package = self.packages.get(&linter_key(tool))?;
        Some(self.fetched.get(package)?.as_ref().map_err(String::as_str))
    }

    /// Adds the reason why a linter's program could not be fetched to a sentence about the linter.
    pub(super) fn add_failure(&self, tool: &SelectedLinter, sentence: Option<String>) -> Option<String> {
        let (Some(Err(reason)), Some(pinned)) = (self.get(tool), &tool.pinned_version) else {
            return sentence;
        };
        let sentence = sentence
            .unwrap_or_else(|| format!("{} pins {}", tool.to_tree_path(&pinned.file), pinned.version));
        let sentence = format!("{sentence}; {} {} could not be fetched: {reason}", tool.name, pinned.version);
        Some(clean_line(&sentence, MAX_SENTENCE_CHARS))
    }
}

impl LinterRunner {
    /// Fetches the programs of the linters that are not installed in the pinned version.
    pub(super) async fn fetch_pinned_programs(
        &self,
        selected: &[SelectedLinter],
        files: LinterFiles<'_>,
    ) -> PinnedPrograms {
        let mut packages = BTreeMap::new();
        for tool in selected {
            let runs = tool.condition == ToolCondition::Always
                || !inspected_files(tool, files.changed_files).is_empty();
            if runs
                && self.check_may_run(tool, files).is_ok()
                && let Some(package) = PinnedPackage::from_tool(tool)
                && !self.is_installed_in_pinned_version(tool, files).await
            {
                packages.insert(linter_key(tool), package);
            }
        }
        let mut programs = self.fetch_packages(packages, selected, files).await;
        for tool in selected {
            let Some(Ok(program)) = programs.get(tool) else { continue };
            let does_run =
                match (self.find_fetched_program(tool, program, files.pin_folder), tool.known_tool()) {
                    (Some(installed), Some(known)) => {
                        self.version_output(tool, &installed, &known.version, files).await.is_some()
                    }
                    (_, _) => false,
                };
            if !does_run {
                programs.discard(tool, &self.program_fetcher);
            }
        }
        programs
    }

    /// Fetches these packages. A linter whose hook also installs other packages keeps its installed program,
    /// because a fetched program would lack these packages.
    pub(super) async fn fetch_packages(
        &self,
        packages: BTreeMap<String, PinnedPackage>,
        selected: &[SelectedLinter],
        files: LinterFiles<'_>,
    ) -> PinnedPrograms {
        let machine_paths = self.paths_outside(files);
        let cache_folder = self.cache.as_ref().map(|cache| cache.folder());
        let distinct: BTreeSet<&PinnedPackage> = packages.values().collect();
        let mut refused = BTreeMap::new();
        for tool in selected {
            let Some(package) = packages.get(&linter_key(tool)) else { continue };
            if let Some(other) = tool.hook_dependencies.iter().find(|name| **name != package.package) {
                refused.insert(package.clone(), Err(format!("its hook also installs {other}")));
            }
        }
        let allowed: Vec<&PinnedPackage> =
            distinct.into_iter().filter(|package| !refused.contains_key(*package)).collect();
        let fetches =
            allowed.iter().map(|package| self.program_fetcher.fetch(package, cache_folder, &machine_paths));
        let results = join_all(fetches).await;
        let mut fetched = refused;
        fetched.extend(allowed.into_iter().cloned().zip(results));
        PinnedPrograms { packages, fetched }
    }

    /// Returns the machine's paths without the folders of the repository. A program in these folders must not
    /// fetch anything, because the change could have supplied the program.
    fn paths_outside(&self, files: LinterFiles<'_>) -> MachinePaths {
        let folders = [Some(files.tree), Some(files.pin_folder), files.project_programs_folder];
        let folders: Vec<PathBuf> =
            folders.into_iter().flatten().filter_map(|folder| folder.canonicalize().ok()).collect();
        let mut machine_paths = self.machine_paths.clone();
        machine_paths.search_path.retain(|path| {
            path.canonicalize().is_ok_and(|path| !folders.iter().any(|folder| path.starts_with(folder)))
        });
        machine_paths
    }

    async fn is_installed_in_pinned_version(&self, tool: &SelectedLinter, files: LinterFiles<'_>) -> bool {
        let installed = self.find_installed_program(tool, files.pin_folder, files.project_programs_folder);
        let (Some(installed), Some(known), Some(pinned)) =
            (installed, tool.known_tool(), &tool.pinned_version)
        else {
            return false;
        };
        let method = LinterRunMethod::MachineProgram(installed);
        let printed = self.printed_text(tool, &method, &known.version, files).await;
        let version = printed.as_deref().and_then(find_version);
        version.is_some_and(|version| has_same_version(version, &pinned.version))
    }

    /// Returns a fetched program with the paths that it needs.
    pub(super) fn find_fetched_program(
        &self,
        tool: &SelectedLinter,
        program: &FetchedProgram,
        tree: &Path,
    ) -> Option<InstalledProgram> {
        let found = self.find_with_started_programs(tool, std::slice::from_ref(&program.file), tree)?;
        // If the program was removed in the meantime, the search finds the installed program.
        found.file.starts_with(&program.folder).then_some(found)
    }
}

impl PinnedPrograms {
    /// Removes a fetched program that does not run.
    fn discard(&mut self, tool: &SelectedLinter, fetcher: &ProgramFetcher) {
        let Some(package) = self.packages.get(&linter_key(tool)) else { return };
        let reason = "the fetched program does not run";
        fetcher.record_failure(package, reason);
        let discarded = self.fetched.insert(package.clone(), Err(reason.to_owned()));
        // The lock of the program is dropped here, so the folder can be removed.
        let folder = discarded.and_then(Result::ok).map(|program| program.folder);
        if let Some(folder) = folder {
            remove_unless_locked(&folder);
        }
    }
}
