//! Finds the known tools that a repository uses, by signs such as configuration files. Reads from the
//! repository's pre-commit hooks with which options these tools run.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use truing_core::line::clean_line;
use truing_core::port::{DetectedTool, DetectedTools, PinnedVersion, ReaderError, ToolDetectionRequest};
use truing_diff::RepoPath;

use crate::bounds::is_one_line;
use crate::file::FileTree;
use crate::output::known;
use crate::output::known::arguments::{common_args, filter_args};
use crate::output::known::commands;
use crate::output::known::exclude;
use crate::output::known::hooks::{self, HookUsage, PreCommitHooks};
use crate::output::known::ini::find_ini_error;
use crate::output::known::pins::{PinFiles, is_pin_file};
use crate::output::known::script::RunCommand;
use crate::output::known::sign::{MAX_CONFIG_FILE_BYTES, parse_toml, strip_json_comments};
use crate::output::known::tool::KnownTool;
use crate::output::known::version::is_version;

/// Maximum total size in bytes of two lists of paths: the excluded files and the scripts of all tools.
/// Larger lists do not fit into a response, and are omitted. The defaults in the table of tools then apply.
const MAX_PATH_LISTS_BYTES: usize = 8 << 20;

/// Files that configure tools which silently use their defaults if they cannot parse the file.
const CONFIGURATION_FILES: &[&str] =
    &[".flake8", "Cargo.toml", "package.json", "pyproject.toml", "setup.cfg", "tox.ini"];

/// Linters and formatters that are not in the table of tools. If a repository runs one of them, the review
/// says that it did not.
const UNKNOWN_LINTERS: &[&str] = &[
    "ansible-lint",
    "cfn-lint",
    "checkov",
    "checkstyle",
    "clang-format",
    "cspell",
    "djlint",
    "dprint",
    "gofumpt",
    "jshint",
    "ktfmt",
    "luac",
    "luacheck",
    "nbqa",
    "nbqa-black",
    "nbqa-flake8",
    "nbqa-isort",
    "nbqa-mypy",
    "nbqa-pylint",
    "nbqa-ruff",
    "perlcritic",
    "pycodestyle",
    "pydocstyle",
    "pyflakes",
    "pyre",
    "pyrefly",
    "revive",
    "rumdl",
    "sphinx-lint",
    "spotless",
    "standard",
    "staticcheck",
    "stylua",
    "taplo",
    "textlint",
    "tfsec",
    "trivy",
    "ty",
    "vale",
    "vulture",
    "xo",
    "yapf",
];

/// Longest first line of a script, in bytes.
const MAX_SHEBANG_BYTES: usize = 256;

/// Finds the tools that a repository uses, by their signs among the paths of the request.
///
/// # Errors
///
/// [`ReaderError::Failed`] if the tree cannot be opened.
pub(crate) fn find_used_tools(request: &ToolDetectionRequest) -> Result<DetectedTools, ReaderError> {
    let tree = FileTree::open(&request.tree)?;
    let paths: Vec<&str> = request.paths.iter().map(String::as_str).collect();
    let read = |path: &str| tree.read_bytes(&RepoPath::from(path)).ok();
    let hooks = hooks::PRE_COMMIT_CONFIG_FILES.iter().find(|file| paths.contains(file)).map(|file| {
        let bytes =
            tree.read_bytes(&RepoPath::from(*file)).map_err(|reason| reason.as_str().replace('_', " "));
        bytes
            .and_then(|bytes| PreCommitHooks::parse(&bytes))
            .map_err(|reason| format!("{file} cannot be read: {reason}"))
    });
    let (hooks, unread_hooks) = match hooks.transpose() {
        Ok(hooks) => (hooks, None),
        Err(reason) => (None, Some(reason)),
    };
    let mut bytes = 0;
    let scripts = find_scripts(&request.changed_paths, &read);
    let commands = commands::find_commands(&paths, &read, hooks.as_ref());
    let pins = PinFiles::read(&read);
    let hooks_file = hooks::PRE_COMMIT_CONFIG_FILES.iter().copied().find(|file| paths.contains(file));
    let used = known::known_tools().iter().filter_map(|tool| {
        let runs = runs_of_tool(tool, &commands);
        let ToolUse { path, is_only_run } = find_use(tool, &paths, &read, &runs)?;
        let (files, own_scripts) = files_checked_by(tool, &request.changed_paths, &scripts);
        let hook = hooks.as_ref().and_then(|hooks| hooks.hook_usage(tool, &files, &scripts));
        let mut usage = hook.unwrap_or_else(|| command_usage(tool, &runs));
        let excluded = exclude::select_excluded(&tool.excludes, &read, &files);
        usage.excluded_files.extend(excluded.into_iter().map(str::to_owned));
        usage.excluded_files.sort();
        usage.excluded_files.dedup();
        bytes += usage.excluded_files.iter().map(String::len).sum::<usize>();
        bytes += own_scripts.iter().map(|path| path.len()).sum::<usize>();
        let is_much = bytes > MAX_PATH_LISTS_BYTES;
        if is_much {
            usage.excluded_files.clear();
        }
        let own_scripts = own_scripts.into_iter().filter(|_| !is_much);
        let scripts = own_scripts.map(str::to_owned).collect();
        let HookUsage { args, excluded_files: left_out, dependencies } = usage;
        // If an option is given twice, the last value applies. The hook's options come last, so they override
        // the other options.
        let args = filter_args(
            &tool.keeps,
            &[tool.sign_options(&path, &read), tool.table_options(&read), args].concat(),
        );
        let whole = tool.config_selects_files(&path, &read);
        Some(DetectedTool {
            name: tool.name.clone(),
            sign: path,
            is_only_run,
            args,
            hook_dependencies: dependencies,
            pinned_version: pins.find_version(tool, hooks.as_ref(), hooks_file, &runs),
            left_out,
            scripts,
            selects_own_files: whole,
        })
    });
    let tools: Vec<DetectedTool> = used.collect();
    let unknown_linters = find_unknown_linters(&commands, &tools);
    Ok(DetectedTools {
        tools,
        unread_hooks,
        unknown_linters,
        interpreters: scripts.into_iter().map(|(path, program)| (path.to_owned(), program)).collect(),
        unread_configuration: find_unread_configuration(&paths, &read),
    })
}

/// Returns the files that may configure tools and that cannot be parsed, each with the reason.
fn find_unread_configuration(
    paths: &[&str],
    read_file: &dyn Fn(&str) -> Option<Vec<u8>>,
) -> BTreeMap<String, String> {
    let unread = CONFIGURATION_FILES.iter().filter(|file| paths.contains(*file)).filter_map(|file| {
        let bytes = read_file(file).filter(|bytes| bytes.len() <= MAX_CONFIG_FILE_BYTES)?;
        let text = String::from_utf8_lossy(&bytes);
        let reason = match file.rsplit_once('.') {
            Some((_, "toml")) => parse_toml(&text).err()?,
            Some((_, "json")) => {
                serde_json::from_str::<Value>(&strip_json_comments(&text)).err()?.to_string()
            }
            Some(_) | None => find_ini_error(&text)?,
        };
        Some(((*file).to_owned(), clean_line(&reason, hooks::MAX_REASON_CHARS)))
    });
    unread.collect()
}

/// A sign that a repository uses a tool.
struct ToolUse {
    /// The file or folder of the sign.
    path: String,
    /// True if the file only runs the tool.
    is_only_run: bool,
}

/// Returns the commands that run a tool and that count for the root of the tree. A tool that needs the
/// project's dependencies finds them only in the folder in which it runs.
fn runs_of_tool<'a>(tool: &KnownTool, commands: &'a [RunCommand]) -> Vec<&'a RunCommand> {
    let is_run =
        |command: &&RunCommand| tool.is_run_by(command) && !(command.is_elsewhere && tool.needs_setup);
    commands.iter().filter(is_run).collect()
}

/// Finds a sign that the repository uses the tool: its configuration, or a command or a hook that runs it, or
/// else a file that it could check.
fn find_use(
    tool: &KnownTool,
    paths: &[&str],
    read_file: &dyn Fn(&str) -> Option<Vec<u8>>,
    runs: &[&RunCommand],
) -> Option<ToolUse> {
    let sign = tool.find_sign(paths, read_file);
    let run = runs.first().filter(|_| !tool.needs_configuration);
    match (sign, run) {
        (Some((sign, path)), None) => Some(ToolUse { path, is_only_run: sign.hook().is_some() }),
        (Some((sign, path)), Some(_)) if !tool.is_guess(sign) => {
            Some(ToolUse { path, is_only_run: sign.hook().is_some() })
        }
        (_, Some(run)) => Some(ToolUse { path: run.file.clone(), is_only_run: true }),
        (None, None) => None,
    }
}

/// Returns the allowed options that all commands in the root share.
fn command_usage(tool: &KnownTool, runs: &[&RunCommand]) -> HookUsage {
    let words =
        runs.iter().filter(|run| !run.is_elsewhere && !run.is_packaged).map(|run| run.words.as_slice());
    HookUsage { args: common_args(&tool.keeps, words), ..HookUsage::default() }
}

/// Returns the linters that the repository runs and that are not known tools, and the known tools that cannot
/// run without a configuration that the repository lacks.
fn find_unknown_linters(commands: &[RunCommand], detected: &[DetectedTool]) -> BTreeSet<String> {
    let programs: BTreeSet<&str> = commands.iter().map(|command| command.program.as_str()).collect();
    let unknown =
        UNKNOWN_LINTERS.iter().filter(|name| programs.contains(**name)).map(|name| (*name).to_owned());
    let lacks_configuration = |tool: &&KnownTool| {
        (tool.needs_configuration || tool.needs_setup)
            && commands.iter().any(|command| tool.is_run_by(command))
            && detected.iter().all(|other| other.name != tool.name)
    };
    let unconfigured = known::known_tools().iter().filter(lacks_configuration).map(|tool| tool.name.clone());
    unknown.chain(unconfigured).collect()
}

/// Returns true if the linter of this name may be one that cannot be run.
fn may_be_unknown(name: &str) -> bool {
    UNKNOWN_LINTERS.contains(&name)
        || known::known_tools()
            .iter()
            .any(|tool| (tool.needs_configuration || tool.needs_setup) && tool.name == name)
}

/// Returns the changed files that a tool checks. The second list contains only the scripts among these files.
fn files_checked_by<'a>(
    tool: &KnownTool,
    changed_paths: &'a [String],
    scripts: &BTreeMap<&'a str, String>,
) -> (Vec<&'a str>, Vec<&'a str>) {
    let globs = tool.path_globs();
    let is_looked_at = |path: &str| globs.iter().any(|glob| glob.is_match(path));
    let scripts =
        scripts.iter().filter(|(path, program)| tool.shebang.contains(program) && !is_looked_at(path));
    let scripts: Vec<&str> = scripts.map(|(path, _)| *path).collect();
    let files = changed_paths.iter().map(String::as_str);
    (files.filter(|path| is_looked_at(path) || scripts.contains(path)).collect(), scripts)
}

/// Returns the changed files that have no extension, and whose first line names a program. The value for each
/// file is the program's name without its version.
fn find_scripts<'a>(
    changed_paths: &'a [String],
    read_file: &dyn Fn(&str) -> Option<Vec<u8>>,
) -> BTreeMap<&'a str, String> {
    let has_no_ending = |path: &&str| !path.rsplit('/').next().unwrap_or(path).contains('.');
    let plain = changed_paths.iter().map(String::as_str).filter(has_no_ending);
    plain.filter_map(|path| Some((path, script_interpreter(&read_file(path)?)?))).collect()
}

/// Returns the program that the first line of a script names.
fn script_interpreter(bytes: &[u8]) -> Option<String> {
    let line = bytes.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let line = std::str::from_utf8(line.get(..MAX_SHEBANG_BYTES).unwrap_or(line)).ok()?;
    let mut words = line.split_whitespace();
    let name = |word: &'_ str| word.rsplit('/').next().unwrap_or_default().to_owned();
    let mut program = name(words.next()?);
    if program == "env" {
        program = name(words.find(|word| !word.starts_with('-') && !word.contains('='))?);
    }
    // For example, `python3.12` becomes `python`.
    Some(program.trim_end_matches(|letter: char| letter.is_ascii_digit() || letter == '.').to_owned())
}

/// Checks that the response fits the request.
///
/// # Errors
///
/// Returns the name of the invalid part.
pub(crate) fn check_detected_tools(
    request: &ToolDetectionRequest,
    detected: &DetectedTools,
) -> Result<(), &'static str> {
    let DetectedTools { tools: detected, unread_hooks, unknown_linters, interpreters, unread_configuration } =
        detected;
    if !interpreters.keys().all(|path| request.changed_paths.contains(path)) {
        return Err("a script that is not changed");
    }
    let is_unread = |(file, reason): (&String, &String)| {
        CONFIGURATION_FILES.contains(&file.as_str())
            && is_one_line(reason)
            && reason.chars().count() <= hooks::MAX_REASON_CHARS + 100
    };
    if !unread_configuration.iter().all(is_unread) {
        return Err("a file of configuration that cannot be read");
    }
    if !unknown_linters.iter().all(|name| may_be_unknown(name)) {
        return Err("a linter that is not known");
    }
    let is_told =
        |reason: &String| is_one_line(reason) && reason.chars().count() <= hooks::MAX_REASON_CHARS + 100;
    if !unread_hooks.as_ref().is_none_or(is_told) {
        return Err("the reason why the hooks are not known");
    }
    let changed: BTreeSet<&str> = request.changed_paths.iter().map(String::as_str).collect();
    let is_well = |tool: &DetectedTool| {
        let Some(known) = known::known_tools().iter().find(|known| known.name == tool.name) else {
            return false;
        };
        let folder = format!("{}/", tool.sign);
        let named = request.paths.iter().any(|path| *path == tool.sign || path.starts_with(&folder));
        let is_run = hooks::can_come_from_hooks(&tool.args, &tool.left_out, &known.keeps, &changed);
        let is_script = |path: &String| changed.contains(path.as_str()) && !known.shebang.is_empty();
        let has_packages = tool.hook_dependencies.len() <= hooks::MAX_DEPENDENCIES
            && tool.hook_dependencies.iter().all(|name| hooks::is_package_name(name));
        let is_pin = |pinned: &PinnedVersion| {
            is_version(&pinned.version)
                && (is_pin_file(&pinned.file) || commands::is_automation_file(&pinned.file))
        };
        named
            && is_run
            && tool.pinned_version.as_ref().is_none_or(is_pin)
            && has_packages
            && tool.scripts.iter().all(is_script)
            && (!tool.selects_own_files || !known.project_command.is_empty())
    };
    let in_order =
        detected.windows(2).all(|pair| matches!(pair, [first, second] if first.name < second.name));
    if in_order && detected.iter().all(is_well) { Ok(()) } else { Err("a tool that is used") }
}

#[cfg(test)]
mod tests;
