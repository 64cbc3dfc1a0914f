//! Selects the linters to run: known linters that the repository uses, and linters in the configuration. The
//! configuration may also change the settings of a known linter.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use globset::GlobSet;
use truing_config::tool::{ToolCondition, ToolConfig, ToolScope};
use truing_config::value::compile_globs;
use truing_core::port::{DetectedTool, PinnedVersion};
use truing_reader::output::known::{
    self, FailureSearch, FetchedFolder, KnownTool, OutputStream, SuggestedRun,
};

/// Linters that are not in the table of tools, each with the language that it checks. If a repository runs
/// one of them, no other linter is suggested for the language.
const UNKNOWN_LINTER_LANGUAGES: [(&str, &str); 6] = [
    ("jshint", "JavaScript"),
    ("pycodestyle", "Python"),
    ("pydocstyle", "Python"),
    ("pyflakes", "Python"),
    ("standard", "JavaScript"),
    ("xo", "JavaScript"),
];
/// Default time limit of a linter.
const DEFAULT_TIME_LIMIT: Duration = Duration::from_secs(300);
/// Exit codes that count as success if the configuration and the table of tools set none.
const DEFAULT_SUCCESS_EXIT_CODES: [i32; 2] = [0, 1];

/// A linter that was selected to run, with its settings.
#[derive(Clone, Debug)]
pub struct SelectedLinter {
    pub name: String,
    /// The folder of the tree in which the linter runs and inspects files; empty for the root.
    pub folder: String,
    /// Folders below `folder` that are left out, because a separate run of the linter inspects their files.
    pub nested_folders: Vec<String>,
    /// Name or path of the program that runs the linter.
    pub program: String,
    /// The paths, relative to a project, at which the project may have installed the program.
    pub install_paths: Vec<String>,
    /// The program's arguments, with placeholders for the names of files.
    pub arguments: Vec<String>,
    /// Options that a pre-commit hook sets. They are inserted before the names of files.
    pub hook_options: Vec<String>,
    /// Packages, such as plugins, that a pre-commit hook installs together with the linter.
    pub hook_dependencies: Vec<String>,
    /// The version of the linter that the repository pins.
    pub pinned_version: Option<PinnedVersion>,
    /// The file or folder that shows that the linter is used.
    pub sign_path: String,
    /// True if this file only runs the linter, as a command or a hook.
    is_only_run: bool,
    /// The format of the linter's output.
    pub output_format: String,
    /// The exit codes that count as success.
    pub success_exit_codes: Vec<i32>,
    /// The condition for running the linter: always, or only if files changed that the linter inspects.
    pub condition: ToolCondition,
    /// Time limit of a run.
    pub time_limit: Duration,
    /// True if findings on all lines of changed files are accepted, not only on changed lines.
    pub accepts_unchanged_lines: bool,
    /// True if the only sign of the linter's use is a file that the linter inspects.
    pub is_guessed: bool,
    /// True if the configuration contains settings for the linter.
    pub is_configured: bool,
    /// The run of a linter that the repository does not use; `None` for the repository's own linters.
    pub(super) suggested_run: Option<&'static SuggestedRun>,
    /// The row of the table of tools, if the linter is a known tool.
    known_tool: Option<&'static KnownTool>,
    /// Patterns of the files that the linter inspects.
    inspected_globs: GlobSet,
    /// Scripts without a matching file name that the linter also inspects, relative to its folder.
    extra_scripts: BTreeSet<String>,
    /// Scripts that the hook or the configuration excludes, relative to the linter's folder.
    excluded_scripts: BTreeSet<String>,
}

impl SelectedLinter {
    /// Returns the command that installs the program, if it is known.
    pub(super) fn install_command(&self) -> Option<&'static str> {
        self.known_tool.filter(|known| self.program == known.program)?.install.as_deref()
    }

    /// Returns the stream that the linter prints to.
    pub fn output_stream(&self) -> OutputStream {
        self.known_tool.map_or(OutputStream::Stdout, |known| known.stream)
    }

    /// True if the linter's configuration is code.
    pub fn is_configured_by_code(&self) -> bool {
        self.suggested_run.is_none() && self.known_tool.is_some_and(|known| known.code_configuration)
    }

    /// True if the linter needs the project's dependencies.
    pub fn needs_setup(&self) -> bool {
        self.suggested_run.is_none() && self.known_tool.is_some_and(|known| known.needs_setup)
    }

    /// Returns other programs that the linter starts if they exist.
    pub fn started_programs(&self) -> &[String] {
        self.known_tool.map_or(&[], |known| known.starts.as_slice())
    }

    /// Returns the folders that the linter needs and that a package manager must have fetched for the
    /// project.
    pub fn fetched_folders(&self) -> &[FetchedFolder] {
        self.known_tool.map_or(&[], |known| known.fetched.as_slice())
    }

    /// Returns the command that fetches the files that the linter needs, for people to run.
    pub fn fetch_command(&self) -> Option<&str> {
        self.known_tool?.fetch.as_deref()
    }

    /// True if the linter's error output says that the files fetched for the project are missing.
    pub(super) fn reports_unfetched_files(&self, errors: &str) -> bool {
        self.known_tool.is_some_and(|known| known.unfetched.iter().any(|words| errors.contains(words)))
    }

    /// Returns the linter's rules that check the permissions of files.
    pub fn permission_rules(&self) -> BTreeSet<String> {
        self.known_tool.iter().flat_map(|known| known.of_permissions.iter().cloned()).collect()
    }

    /// True if the linter's configuration and dependencies may be in subfolders. This is possible if the
    /// linter's sign at the root is only a hook or a command.
    fn has_nested_configuration(&self) -> bool {
        self.is_only_run && self.needs_setup() && !self.is_configured
    }

    /// True if the linter inspects this file.
    pub fn inspects(&self, path: &str) -> bool {
        let is_told = self.relative_path(path).is_some_and(|own| !self.excluded_scripts.contains(own));
        is_told && self.inspects_file_kind(Path::new(path))
    }

    /// True if the linter inspects files of this kind. Also true for a file that a hook or the configuration
    /// excludes.
    pub(super) fn inspects_file_kind(&self, path: &Path) -> bool {
        let is_nested = self.nested_folders.iter().any(|folder| path.starts_with(folder));
        let is_script = |relative_path: &Path| {
            relative_path.to_str().is_some_and(|relative_path| self.extra_scripts.contains(relative_path))
        };
        let is_own =
            |relative_path: &Path| self.inspected_globs.is_match(relative_path) || is_script(relative_path);
        !is_nested && path.strip_prefix(&self.folder).is_ok_and(is_own)
    }

    /// Returns a path relative to the linter's folder. None if the file is not in that folder.
    pub(super) fn relative_path<'a>(&self, path: &'a str) -> Option<&'a str> {
        if self.folder.is_empty() { Some(path) } else { path.strip_prefix(&self.folder)?.strip_prefix('/') }
    }

    /// Converts a path relative to the linter's folder into a path relative to the tree.
    pub(super) fn to_tree_path(&self, path: &str) -> String {
        if self.folder.is_empty() { path.to_owned() } else { format!("{}/{path}", self.folder) }
    }

    /// Returns the files that the hook or the configuration excludes, by their paths in the tree.
    pub(super) fn excluded_files(&self) -> BTreeSet<String> {
        self.excluded_scripts.iter().map(|own| self.to_tree_path(own)).collect()
    }

    /// True if each run checks only one file.
    pub(super) fn runs_on_single_files(&self) -> bool {
        self.known_tool.is_some_and(|tool| tool.one_file)
    }

    /// True if the linter says that it examined none of the files in its arguments.
    pub(super) fn says_that_it_examined_nothing(&self, output: &str) -> bool {
        self.known_tool.is_some_and(|tool| tool.examined_nothing.iter().any(|text| output.contains(text)))
    }

    /// True if an output without findings explains why the exit code is not 0.
    pub(super) fn is_exit_explained_by(&self, output: &str) -> bool {
        self.known_tool.is_some_and(|tool| tool.is_exit_explained_by(output))
    }

    /// Returns the line of a message that says why the linter crashed or could not check everything.
    pub(super) fn failure_line<'t>(&self, message: &'t str) -> Option<&'t str> {
        let failure_texts = self.known_tool.map_or(&[][..], |tool| tool.failures.as_slice());
        FailureSearch::new(failure_texts).find_reason(message)
    }

    /// Returns the linter's row of the table of tools if the linter's findings may be cached. Findings may be
    /// cached if the linter runs with the table's command, inspects each file separately, and needs no
    /// dependencies.
    pub(super) fn cacheable_tool(&self) -> Option<&'static KnownTool> {
        let known =
            self.known_tool.filter(|known| !known.config_file_names.is_empty() && !known.needs_setup)?;
        (self.arguments == known.command && self.program == known.program).then_some(known)
    }

    /// Returns the tool's row of the table if environment variables can set the folder for the tool's builds.
    pub(super) fn build_caching_tool(&self) -> Option<&'static KnownTool> {
        self.known_tool.filter(|known| !known.builds.is_empty() && self.program == known.program)
    }

    /// True if a file with this path configures the linter: the table of tools lists its path or name, or an
    /// option of a hook names it.
    pub fn is_configured_by(&self, path: &str) -> bool {
        let name = path.rsplit('/').next().unwrap_or(path);
        let fits = |glob: &str| {
            known::sign::compile_glob(glob).is_some_and(|glob| glob.is_match(path) || glob.is_match(name))
        };
        let is_known = self.known_tool.is_some_and(|known| {
            known.recognised.iter().filter_map(known::ToolSign::configuration_glob).any(fits)
                || known.configures.iter().any(|glob| fits(glob))
        });
        is_known || self.has_option_for(path)
    }

    /// True if an option of a hook names this file.
    pub(super) fn has_option_for(&self, path: &str) -> bool {
        let names_path = |word: &str, path: &str| {
            let before = word.strip_suffix(path);
            // `-cpath` is the one-letter option `-c` with its value.
            before
                .is_some_and(|before| before.is_empty() || before.ends_with(['=', '/']) || before.len() == 2)
        };
        let is_named = |word: &String| {
            names_path(word, path) || self.relative_path(path).is_some_and(|path| names_path(word, path))
        };
        self.hook_options.iter().any(is_named)
    }

    /// Returns the linter's row of the table of tools. `None` if the linter is not a known tool.
    pub(super) fn known_tool(&self) -> Option<&'static KnownTool> {
        self.known_tool
    }
}

/// Selects the linters to run, sorted by name. Selects the linters in `detected_tools` that the configuration
/// does not disable, and the linters in the configuration. A known linter in the configuration runs even if
/// it is not detected.
pub fn select_linters(detected_tools: &[DetectedTool], tool_configs: &[ToolConfig]) -> Vec<SelectedLinter> {
    let named = |name: &str| tool_configs.iter().find(|config| config.name == name);
    let recognised = detected_tools.iter().filter(|detected_tools| named(&detected_tools.name).is_none());
    let recognised = recognised
        .filter_map(|detected_tools| build_linter(&detected_tools.name, Some(detected_tools), None));
    let configured = tool_configs.iter().filter(|config| config.condition != ToolCondition::Never);
    let configured = configured.filter_map(|config| {
        let sign = detected_tools.iter().find(|detected_tools| detected_tools.name == config.name);
        build_linter(&config.name, sign, Some(config))
    });
    let mut all: Vec<SelectedLinter> = recognised.chain(configured).collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

/// Selects known linters that the repository does not use, each with an accepted set of rules, for languages
/// that no linter of the repository checks. A linter that is selected only because of a file that it could
/// inspect does not count as the repository's own, and neither does a type checker or a formatter.
/// `interpreters` contains the changed scripts whose names have no ending. The configuration can disable each
/// of these linters.
pub(super) fn suggested_linters(
    selected: &[SelectedLinter],
    unknown_linters: &BTreeSet<String>,
    tool_configs: &[ToolConfig],
    interpreters: &BTreeMap<String, String>,
) -> Vec<SelectedLinter> {
    let is_own = |known: &KnownTool| {
        let checks_same = |tool: &&SelectedLinter| {
            !tool.is_guessed
                && tool.known_tool.is_some_and(|used_tool| {
                    used_tool.is_linter()
                        && used_tool.languages.iter().any(|language| known.languages.contains(language))
                })
        };
        let is_checked_by_unknown = |(name, language): &(&str, &str)| {
            unknown_linters.contains(*name) && known.languages.iter().any(|other| other == language)
        };
        selected.iter().any(|tool| tool.name == known.name || checks_same(&tool))
            || UNKNOWN_LINTER_LANGUAGES.iter().any(is_checked_by_unknown)
            || tool_configs.iter().any(|config| config.name == known.name)
    };
    let suggested = known::known_tools().iter().filter(|known| !is_own(known)).filter_map(|known| {
        let run = known.suggested.as_ref()?;
        let linter = build_linter(&known.name, None, None)?;
        let scripts = interpreters.iter().filter(|(_, program)| known.shebang.contains(program));
        Some(SelectedLinter {
            extra_scripts: scripts.map(|(path, _)| path.clone()).collect(),
            arguments: run.command.clone(),
            is_guessed: true,
            suggested_run: Some(run),
            ..linter
        })
    });
    suggested.collect()
}

/// Selects linters to run in folders below the root. A linter that a folder uses is selected for the folder
/// if the linter is not selected for the root or by the configuration. If nested folders use the same linter,
/// the linter inspects each file in the innermost of these folders that contains the file. A linter that
/// needs the project's dependencies is an exception if the root only has a hook or a command for it. Such a
/// linter also runs separately in each folder that configures it.
pub(super) fn select_nested_linters(
    nested_tools: &[(String, Vec<DetectedTool>)],
    root_linters: &mut [SelectedLinter],
    tool_configs: &[ToolConfig],
) -> Vec<SelectedLinter> {
    let mut all = Vec::new();
    for (folder, used) in nested_tools {
        for used in used {
            let at_root = root_linters.iter_mut().find(|tool| tool.name == used.name);
            let is_roots = at_root.as_ref().is_some_and(|tool| !tool.has_nested_configuration());
            if is_roots || tool_configs.iter().any(|config| config.name == used.name) {
                continue;
            }
            if let Some(tool) = at_root {
                tool.nested_folders.push(folder.clone());
            }
            let inside = format!("{folder}/");
            let others = nested_tools.iter().filter(|(other, tools)| {
                other.starts_with(&inside) && tools.iter().any(|tool| tool.name == used.name)
            });
            let nested = others.map(|(other, _)| other.clone()).collect();
            let tool = build_linter(&used.name, Some(used), None);
            all.extend(tool.map(|tool| SelectedLinter {
                folder: folder.clone(),
                nested_folders: nested,
                ..tool
            }));
        }
    }
    all
}

/// Combines the settings of a linter in the table of tools with the settings in the configuration. Returns
/// `None` if both lack a command, or if both lack a format. Validation has already rejected such a
/// configuration.
fn build_linter(
    name: &str,
    detected_tool: Option<&DetectedTool>,
    config: Option<&ToolConfig>,
) -> Option<SelectedLinter> {
    let known_tool = known::find_tool(name);
    let command = config.and_then(|config| config.command.clone());
    // If the operator sets a command, the table's program and arguments are not used.
    let own = command.as_ref().and_then(|words| words.split_first());
    let (program, arguments, install_places) = match (own, known_tool) {
        (Some((program, arguments)), _) => {
            // A relative path that contains a folder is the path of a program in the tree.
            let is_of_tree = program.contains('/') && !program.starts_with('/');
            let install_places = if is_of_tree { vec![program.clone()] } else { Vec::new() };
            (program.clone(), arguments.to_vec(), install_places)
        }
        (None, Some(known_tool)) => {
            let is_whole = detected_tool.is_some_and(|detected_tool| detected_tool.selects_own_files);
            let arguments = if is_whole { &known_tool.project_command } else { &known_tool.command };
            (known_tool.program.clone(), arguments.clone(), known_tool.installed.clone())
        }
        (None, None) => return None,
    };
    let format =
        config.and_then(|config| config.format.clone()).or_else(|| Some(known_tool?.format.clone()))?;
    let patterns = config.and_then(|config| config.paths.clone()).or_else(|| Some(known_tool?.paths.clone()));
    // The options of a hook are not used if the configuration sets the command. The exclusions of a hook are
    // not used if the configuration sets the command or the paths.
    let hook = detected_tool.filter(|_| command.is_none());
    let left_out = hook.filter(|_| config.is_none_or(|config| config.paths.is_none()));
    let scripts = detected_tool.filter(|_| config.is_none_or(|config| config.paths.is_none()));
    let exit = config
        .and_then(|config| config.success_exit_codes.clone())
        .or_else(|| Some(known_tool?.exit.clone()));
    Some(SelectedLinter {
        name: known_tool.map_or(name, |known_tool| &known_tool.name).to_owned(),
        folder: String::new(),
        nested_folders: Vec::new(),
        program,
        install_paths: install_places,
        arguments,
        hook_options: hook.map(|detected_tool| detected_tool.args.clone()).unwrap_or_default(),
        hook_dependencies: hook
            .map(|detected_tool| detected_tool.hook_dependencies.clone())
            .unwrap_or_default(),
        pinned_version: hook.and_then(|detected_tool| detected_tool.pinned_version.clone()),
        sign_path: detected_tool.map(|detected_tool| detected_tool.sign.clone()).unwrap_or_default(),
        is_only_run: detected_tool.is_some_and(|detected_tool| detected_tool.is_only_run),
        output_format: format,
        success_exit_codes: exit.unwrap_or_else(|| DEFAULT_SUCCESS_EXIT_CODES.to_vec()),
        condition: config.map_or(ToolCondition::FilesChanged, |config| config.condition),
        time_limit: config.map_or(DEFAULT_TIME_LIMIT, |config| config.timeout),
        accepts_unchanged_lines: config.is_some_and(|config| config.scope == ToolScope::Files),
        is_guessed: config.is_none()
            && detected_tool
                .zip(known_tool)
                .is_some_and(|(detected_tool, known_tool)| is_guessed(detected_tool, known_tool)),
        is_configured: config.is_some(),
        suggested_run: None,
        known_tool,
        inspected_globs: compile_globs(&patterns.unwrap_or_else(|| vec!["**".to_owned()])).ok()?,
        extra_scripts: scripts
            .map(|detected_tool| detected_tool.scripts.iter().cloned().collect())
            .unwrap_or_default(),
        excluded_scripts: left_out
            .map(|detected_tool| detected_tool.left_out.iter().cloned().collect())
            .unwrap_or_default(),
    })
}

fn is_guessed(detected_tool: &DetectedTool, known_tool: &KnownTool) -> bool {
    let shows =
        |glob: &str| known::sign::compile_glob(glob).is_some_and(|glob| glob.is_match(&detected_tool.sign));
    let is_guess = |sign: &known::ToolSign| known_tool.is_guess(sign) && sign.glob().is_some_and(shows);
    !detected_tool.is_only_run && known_tool.recognised.iter().any(is_guess)
}
