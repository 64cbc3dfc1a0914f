//! The folders and files that linters can read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use truing_agent::installed::InstalledProgram;
use truing_config::tool::{ToolCondition, ToolConfig};
use truing_core::port::{DetectedTools, ReaderError, RepositoryReader};
use truing_diff::RepoPath;
use truing_reader::output::known::KnownTool;
use truing_reader::output::tool_name;

use super::linter_runner::{LinterFiles, LinterRunMethod, LinterRunner};
use super::select::suggested_linters;
use super::{ConfiguredLinters, SelectedLinter, select_linters, used_tools};

/// A linter with the paths that the sandbox shows to the linter, in addition to the inspected files.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LinterVisiblePaths {
    /// The name of the linter, as it appears in findings.
    pub linter_name: String,
    /// The linter's program, and the folders and files that the linter may read; or the reason why it does
    /// not run.
    pub visible_paths: Result<Vec<PathBuf>, String>,
}

/// The tools that could check the files of a review.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AvailableLinters {
    /// Tools that the repository uses, or that the configuration names.
    pub tools: Vec<ToolAvailability>,
    /// Languages of the files that no tool of the repository checks, each with the linter that
    /// `review.tools = "suggested"` runs.
    pub unchecked_languages: BTreeMap<String, String>,
}

/// A linter that inspects files of a change, and, if the linter cannot run, the reason.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ToolAvailability {
    /// The name of the tool in configuration files.
    pub name: String,
    /// The reason why the tool cannot run on this machine.
    pub missing_reason: Option<String>,
}

impl LinterRunner {
    /// Returns the tools that a repository uses and that inspect at least one of the files in
    /// `reviewed_paths`. For a tool that cannot run on this machine, the reason is included. A tool that
    /// cannot run is left out if the only sign of its use is a file that it could inspect. Such a file alone
    /// does not prove that the repository uses the tool. Also returns the languages of these files that no
    /// tool of the repository checks.
    ///
    /// # Errors
    /// [`ReaderError`]
    #[truing_core::boxed_future]
    pub async fn check_tool_availability(
        &self,
        project: &Path,
        reviewed_paths: &[RepoPath],
        tool_configs: &[ToolConfig],
        reader: &dyn RepositoryReader,
    ) -> Result<AvailableLinters, ReaderError> {
        let DetectedTools { tools: used, unknown_linters, interpreters, .. } =
            used_tools(project, reviewed_paths.iter(), reader).await?;
        let files = project_files(project);
        let selected = select_linters(&used, tool_configs);
        let suggested =
            suggested_linters(&selected, &unknown_linters, tool_configs, &interpreters).into_iter();
        let unchecked_languages = suggested
            .filter(|tool| inspects_any_file(tool, reviewed_paths))
            .filter(|tool| !tool.known_tool().is_some_and(KnownTool::is_of_any_language))
            .filter_map(|tool| Some((tool.known_tool()?.languages.first()?.clone(), tool.name)))
            .collect();
        let selected = selected.into_iter().filter(|tool| inspects_any_file(tool, reviewed_paths));
        let all = selected.filter_map(|tool| {
            let missing_reason = self.run_method(&tool, files, None, None).err();
            (missing_reason.is_none() || !tool.is_guessed)
                .then_some(ToolAvailability { name: tool.name, missing_reason })
        });
        Ok(AvailableLinters { tools: all.collect(), unchecked_languages })
    }

    /// Returns, for each linter, the folders and files that the sandbox shows to the linter when it inspects
    /// the files in `reviewed_paths`.
    ///
    /// # Errors
    /// [`ReaderError`]
    #[truing_core::boxed_future]
    pub async fn list_visible_paths(
        &self,
        project: &Path,
        reviewed_paths: &[RepoPath],
        configured_linters: &ConfiguredLinters,
        reader: &dyn RepositoryReader,
    ) -> Result<Vec<LinterVisiblePaths>, ReaderError> {
        let used = used_tools(project, reviewed_paths.iter(), reader).await?.tools;
        let files = project_files(project);
        let selected = select_linters(&used, &configured_linters.tool_configs).into_iter();
        let configured_linters = selected.filter(|tool| {
            tool.condition == ToolCondition::Always || inspects_any_file(tool, reviewed_paths)
        });
        let exposures = configured_linters.map(|tool| {
            let visible_paths = self.run_method(&tool, files, None, None).map(|by| match by {
                LinterRunMethod::MachineProgram(InstalledProgram {
                    file, readable_paths: mut read, ..
                }) => {
                    read.remove(&file);
                    std::iter::once(file).chain(read).collect()
                }
                LinterRunMethod::ProjectSetup(..) => Vec::new(),
            });
            LinterVisiblePaths { linter_name: tool_name(&tool.name), visible_paths }
        });
        Ok(exposures.collect())
    }

    /// Returns a path that a program needs and a hidden path, if one of these paths contains the other. The
    /// folder of a fetched program is not compared: it contains no other files, but Truing's data folder,
    /// which is hidden, contains it.
    pub(super) fn find_hidden_path_overlap<'i>(
        &'i self,
        installed: &'i InstalledProgram,
        fetched_folder: Option<&Path>,
    ) -> Option<(&'i Path, &'i Path)> {
        let shown = installed.readable_paths.iter().map(PathBuf::as_path).chain([installed.file.as_path()]);
        let shown = shown.filter(|path| !fetched_folder.is_some_and(|folder| path.starts_with(folder)));
        let mut pairs =
            shown.flat_map(|shown| self.hidden_paths.iter().map(move |file| (shown, file.as_path())));
        pairs.find(|(shown, file)| file.starts_with(shown) || shown.starts_with(file))
    }
}

/// Resolves symbolic links in a path. For a path that does not exist (yet), the existing part is resolved.
pub fn resolve_links(path: &Path) -> PathBuf {
    let mut parents = path.ancestors();
    let resolved = parents.find_map(|parent| {
        let real = parent.canonicalize().ok()?;
        let rest = path.strip_prefix(parent).ok()?;
        // Joining an empty rest would add a separator at the end of the path.
        Some(if rest.as_os_str().is_empty() { real } else { real.join(rest) })
    });
    resolved.unwrap_or_else(|| path.to_owned())
}

/// Returns the settings for linters that run on the user's own project.
pub(super) fn project_files(project: &Path) -> LinterFiles<'_> {
    LinterFiles {
        tree: project,
        pin_folder: project,
        project_programs_folder: Some(project),
        changed_files: &[],
        changed_paths: &[],
        base: None,
        trust: None,
    }
}

fn inspects_any_file(tool: &SelectedLinter, reviewed_paths: &[RepoPath]) -> bool {
    reviewed_paths.iter().filter_map(RepoPath::as_str).any(|path| tool.inspects(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_does_not_exist_is_resolved_as_far_as_it_does() {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().canonicalize().unwrap().join("real");
        let link = folder.path().join("link");
        std::fs::create_dir(&real).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        std::fs::write(real.join("key"), "").unwrap();
        assert_eq!(resolve_links(&link), real);
        assert_eq!(resolve_links(&link.join("key")), real.join("key"));
        assert_eq!(resolve_links(&link.join("later/key")), real.join("later/key"));
        assert_eq!(resolve_links(Path::new("/no-such-folder/key")), Path::new("/no-such-folder/key"));
    }
}
