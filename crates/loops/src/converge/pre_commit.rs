//! The gate's command `["pre-commit"]`: the hooks of `.pre-commit-config.yaml`, run by the program
//! `pre-commit` on the changed files.
//!
//! The program prints a line for each hook, with its result. Only failed hooks and their output are findings.
//! A hook that edits files fails. Its edits are in the command's own copy of the files.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use truing_config::converge::PRE_COMMIT_PROGRAM;
use truing_diff::RepoPath;

/// Path of the file that lists the hooks.
pub const PRE_COMMIT_FILE: &str = ".pre-commit-config.yaml";
/// Hint for hooks that cannot run.
pub const PRE_COMMIT_HINT: &str = "the hooks have no network: let `verify.setup` install them (`pre-commit \
    install-hooks`)";
/// Note for a gate that did not use the change's own list of hooks.
pub const BASE_HOOKS_NOTE: &str =
    "the change edits .pre-commit-config.yaml, so the gate ran the hooks of the base";
/// Maximum size of the base's list of hooks in bytes. The list is an argument of a command.
pub(super) const MAX_BASE_HOOKS_BYTES: usize = 64 << 10;
/// Shell command that runs the hooks of the list `$1` with the other arguments.
const RUN_HOOKS_COMMAND: &str = "file=$(mktemp) && printf %s \"$1\" > \"$file\" && shift && \
    exec pre-commit run --config \"$file\" \"$@\"";
/// Maximum number of files that are named to the program, which otherwise reads all files.
const MAX_NAMED_FILES: usize = 2000;
/// Beginning of the line that the program prints if it could not run the hooks.
const ERROR_PREFIX: &str = "An error has occurred: ";
/// Beginning and end of the line that the program prints if a hook's own program is missing.
const MISSING_PROGRAM_PARTS: [&str; 2] = ["Executable `", "` not found"];
/// Beginnings of lines that report the program's own work.
const NOTE_PREFIXES: [&str; 2] = ["[INFO] ", "[WARNING] "];
/// Ends of the lines of hooks that have found nothing. Dots fill the space after a hook's name.
const CLEAN_SUFFIXES: [&str; 2] = ["..Passed", ".(no files to check)Skipped"];
/// End of the line of a hook that has found something or edited files.
const FAILED_SUFFIX: &str = "..Failed";
/// Beginning of the lines with details of the failed hook above them.
const DETAIL_PREFIX: &str = "- ";

/// Returns true if the command stands for a run of the hooks.
pub fn is_pre_commit(argv: &[String]) -> bool {
    matches!(argv, [word] if word == PRE_COMMIT_PROGRAM)
}

/// Returns a note if the repository has hooks that no command of the gate runs.
pub fn unused_hooks_note(has_hooks: bool, gate: &[Vec<String>]) -> Option<String> {
    let runs_hooks = gate.iter().flatten().any(|word| word.contains(PRE_COMMIT_PROGRAM));
    (has_hooks && !runs_hooks).then(|| {
        format!(
            "the hooks of {PRE_COMMIT_FILE} are not run on fixes; to run them: `converge.gate = \
                [\"{PRE_COMMIT_PROGRAM}\"]`"
        )
    })
}

/// Returns the command that runs the hooks on these files. `hooks` replaces the list of hooks in the files.
pub(super) fn run_argv(files: &BTreeMap<RepoPath, Vec<(u32, u32)>>, hooks: Option<&str>) -> Vec<String> {
    let names: Option<Vec<String>> =
        files.keys().map(|path| path.as_str().map(|name| format!("./{name}"))).collect();
    let selection = match names.filter(|names| names.len() <= MAX_NAMED_FILES) {
        Some(names) => std::iter::once("--files".to_owned()).chain(names).collect(),
        None => vec!["--all-files".to_owned()],
    };
    let mut argv = match hooks {
        None => [PRE_COMMIT_PROGRAM, "run"].map(str::to_owned).to_vec(),
        Some(hooks) => ["sh", "-c", RUN_HOOKS_COMMAND, "sh", hooks].map(str::to_owned).to_vec(),
    };
    argv.extend::<Vec<String>>(selection);
    argv
}

/// Returns the command that checks, without network, that all hooks are installed.
pub(super) fn installed_hooks_argv() -> Vec<String> {
    [PRE_COMMIT_PROGRAM, "install-hooks"].map(str::to_owned).into()
}

/// Returns true if the program could not run the hooks, or one of them. Its exit code may be the one for
/// failed hooks.
pub(super) fn reports_error(output: &str) -> bool {
    let [before_program, after_program] = MISSING_PROGRAM_PARTS;
    output.lines().any(|line| {
        line.starts_with(ERROR_PREFIX) || line.starts_with(before_program) && line.ends_with(after_program)
    })
}

/// Returns the lines of failed hooks. Indents the details of a hook, so that they continue the hook's line.
pub(super) fn findings_text(output: &str) -> String {
    let mut text = String::new();
    // A hook that has found nothing may print lines, too.
    let mut is_failed = true;
    for line in output.lines() {
        if CLEAN_SUFFIXES.iter().any(|suffix| line.ends_with(suffix)) {
            is_failed = false;
        } else if line.ends_with(FAILED_SUFFIX) {
            is_failed = true;
        }
        if is_failed && !NOTE_PREFIXES.iter().any(|prefix| line.starts_with(prefix)) {
            let indent = if line.starts_with(DETAIL_PREFIX) { "  " } else { "" };
            let _ = writeln!(text, "{indent}{line}");
        }
    }
    text
}
