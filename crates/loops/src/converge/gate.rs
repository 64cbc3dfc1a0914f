//! The gate: the commands that the operator has configured, linters, and the rule packs. The gate must have
//! no blocking findings before each audit.
//!
//! A command exits with 0 if it finds nothing, and with 1 if it has findings. Any other exit means that the
//! command could not run, which no change of the code can fix. Like a check, each command runs on its own
//! copy of the files. A command's changes to its copy affect neither the other commands nor the caller's
//! tree.
//!
//! Each line of a command's output is a finding. A finding on a changed line blocks. A finding on an
//! unchanged line is only advisory. A finding without a location blocks, because it may be about a changed
//! line. The maximum number of findings applies separately to blocking and to advisory findings. Advisory
//! findings therefore never displace a blocking finding.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::path::{Component, Path, PathBuf};

use truing_agent::verify::{CacheScope as Trust, CommandOutput, Verifier, VerifyError};
use truing_config::converge::PRE_COMMIT_PROGRAM;
use truing_core::line;
use truing_core::outcome::{CoverageGap, ReviewCoverage};
use truing_core::verification::CommandEndReason;
use truing_diff::RepoPath;
use truing_reader::redact::redact_secrets;

use super::pre_commit::{self, MAX_BASE_HOOKS_BYTES};
use crate::command_failure::failure_text;
use crate::reading::{self, ReadingError, ReadingOutcome, ReviewedChange};
use crate::tools::BaseCommit;

/// Maximum number of blocking findings that are kept. The same maximum applies to advisory findings.
/// Further findings are only counted.
pub const MAX_KEPT_FINDINGS: usize = 500;
/// Maximum number of characters of one finding.
const MAX_FINDING_CHARS: usize = 500;
/// Maximum number of characters of a command's name in findings and messages.
const MAX_COMMAND_NAME_CHARS: usize = 100;
/// Maximum number of findings in one prompt of a fixer.
const MAX_PROMPT_FINDINGS: usize = 100;
/// Maximum number of bytes of a path at the start of an output line. This is the operating system's limit for
/// a path.
const MAX_PATH_BYTES: usize = 4096;
/// Maximum number of colons in an output line that are examined as a possible end of a path.
const MAX_COLONS: usize = 8;
/// The exit code of a command that has findings.
const FINDINGS_EXIT_CODE: u8 = 1;

/// The commands of a gate, and the verifier that runs them.
#[derive(Clone, Debug)]
pub struct GateCommands {
    /// The commands in order, each a program and its arguments.
    pub argv: Vec<Vec<String>>,
    /// Runs the commands, after the set-up in the verifier's plan.
    pub verifier: Verifier,
    /// The base's list of pre-commit hooks. `None` if the base has no list, or if no command runs the hooks.
    pub base_hooks: Option<Vec<u8>>,
}

/// The result of the gate for a change.
#[derive(Debug, Default)]
pub struct GateResult {
    /// Findings on changed lines, and findings without a location.
    pub blocking: GateFindings,
    /// Findings on lines that the change does not modify.
    pub advisory: GateFindings,
    /// Number of changed files that the rules have read.
    pub inspected_file_count: usize,
    /// Changed files that the rules have not read, with the reasons.
    pub not_inspected: Vec<CoverageGap>,
    /// The results of the commands.
    pub command_runs: Vec<GateCommandRun>,
    /// True if the hooks of the base ran, because the change edits the list of hooks.
    pub uses_base_hooks: bool,
}

/// The blocking findings, or the advisory findings.
#[derive(Debug, Default)]
pub struct GateFindings {
    /// The findings that were found first, in order; at most [`MAX_KEPT_FINDINGS`].
    pub findings: Vec<GateFinding>,
    /// Number of further findings that are not kept.
    pub omitted_count: usize,
}

/// A finding of the gate.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GateFinding {
    /// Name of the rule or the command that reported the finding.
    pub reporter: String,
    /// The file and the line, if the finding names them.
    pub location: Option<(RepoPath, u32)>,
    /// The message on one line.
    pub text: String,
}

/// The result of a command that could run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GateCommandRun {
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// True if the command found nothing.
    pub is_clean: bool,
    /// Duration of the command in milliseconds.
    pub duration_ms: u64,
}

/// The reason why the gate has no result. The error is not passed to fixers, because no change of the code
/// can remove its cause.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// A command could not run.
    #[error("code rules gate could not run: `{command}`: {reason}")]
    Command {
        command: String,
        /// The cause of the failure, and the end of the command's output.
        reason: String,
    },
    /// A linter failed, or its findings are incomplete.
    #[error("code rules gate could not run: {name}: {reason}")]
    Linter {
        name: String,
        /// The reason why some findings of the linter are unknown.
        reason: String,
    },
    /// The sandbox, a set-up, or the copy of the files failed.
    #[error("code rules gate could not run: {0}")]
    Verify(#[from] VerifyError),
    /// The rules could not read any of the files that they have to read.
    #[error(
        "code rules gate could not run: the rules could not read any of the changed files, such as \
        {path} ({reason})"
    )]
    NothingRead {
        /// The path of one of these files.
        path: String,
        /// The reason why this file was not read.
        reason: &'static str,
    },
    /// The change or the rules could not be read.
    #[error("code rules gate could not run: {0}")]
    Reading(#[from] ReadingError),
}

impl GateCommands {
    /// Returns the same commands with the list of pre-commit hooks in the base. A change cannot disable the
    /// hooks that check it.
    ///
    /// # Errors
    /// [`GateError::Command`] if the base cannot be read, or if its list is too long.
    pub async fn with_base_hooks(&self, base: BaseCommit<'_>) -> Result<Self, GateError> {
        if !self.argv.iter().any(|words| pre_commit::is_pre_commit(words)) {
            return Ok(self.clone());
        }
        let file = RepoPath::from_bytes(pre_commit::PRE_COMMIT_FILE.as_bytes());
        let hooks = match base.read_file(&file).await {
            Ok(hooks) if hooks.as_ref().is_none_or(|hooks| hooks.len() <= MAX_BASE_HOOKS_BYTES) => hooks,
            Ok(_) => return Err(base_hooks_error("too long")),
            Err(reason) => return Err(base_hooks_error(&reason)),
        };
        Ok(Self { base_hooks: hooks, ..self.clone() })
    }

    /// Runs the commands on a change, and adds their findings to `result`. `tree` contains the files at the
    /// head of the change, and a git folder if the commands use git. The commands do not change `tree`.
    /// `trust` determines which dependency set-ups may be used.
    ///
    /// # Errors
    /// [`GateError`]; findings are not errors.
    #[truing_core::boxed_future]
    pub async fn run(
        &self,
        tree: &Path,
        change: &ReviewedChange,
        trust: &Trust,
        result: &mut GateResult,
    ) -> Result<(), GateError> {
        let lines = reading::relevant_lines_by_file(change)?;
        let Self { argv, verifier, base_hooks } = self;
        let hooks_file = tree.join(pre_commit::PRE_COMMIT_FILE);
        let base_hooks = match base_hooks {
            Some(hooks) if !has_content(&hooks_file, hooks) => {
                result.uses_base_hooks = true;
                Some(std::str::from_utf8(hooks).map_err(|_| base_hooks_error("not UTF-8"))?)
            }
            Some(_) | None => None,
        };
        let set_up = verifier.set_up(tree, trust).await?;
        let mut places =
            ChangedPlaces { lines, tree, sandbox_tree_path: PathBuf::new(), path_cache: BTreeMap::new() };
        for words in argv {
            let is_pre_commit = pre_commit::is_pre_commit(words);
            let command = redact_secrets(&line::clean_line(&words.join(" "), MAX_COMMAND_NAME_CHARS));
            let expanded = is_pre_commit.then(|| pre_commit::run_argv(&places.lines, base_hooks));
            let mut printout =
                verifier.run_on_copy(&set_up, tree, expanded.as_ref().unwrap_or(words)).await?;
            let is_broken = is_pre_commit && pre_commit::reports_error(&printout.stdout);
            let is_clean = match printout.end_reason {
                CommandEndReason::Exit { code: 0 } => true,
                CommandEndReason::Exit { code: FINDINGS_EXIT_CODE } if !is_broken => false,
                CommandEndReason::Exit { .. }
                | CommandEndReason::Killed
                | CommandEndReason::Time
                | CommandEndReason::Output
                | CommandEndReason::Disk
                | CommandEndReason::Limit { .. }
                | CommandEndReason::DiskFull
                | CommandEndReason::NoProgram => {
                    let mut reason = failure_text(&printout);
                    if !set_up.can_run_checks() {
                        reason += "; the set-up (`verify.setup`) failed";
                    }
                    if is_pre_commit {
                        reason = format!("{reason}; {}", pre_commit::PRE_COMMIT_HINT);
                    }
                    return Err(GateError::Command { command, reason });
                }
            };
            if !is_clean {
                if is_pre_commit {
                    printout.stdout = pre_commit::findings_text(&printout.stdout);
                }
                places.sandbox_tree_path.clone_from(&printout.tree_path);
                result.add_output(&command, &printout, &mut places);
            }
            result.command_runs.push(GateCommandRun {
                argv: words.clone(),
                is_clean,
                duration_ms: printout.duration_ms,
            });
        }
        Ok(())
    }
}

/// Returns the error for a list of hooks in the base that cannot be used.
fn base_hooks_error(reason: &str) -> GateError {
    let reason = format!("the base's {} cannot be used: {reason}", pre_commit::PRE_COMMIT_FILE);
    GateError::Command { command: PRE_COMMIT_PROGRAM.to_owned(), reason }
}

/// Returns true if the path is a regular file with this content.
fn has_content(path: &Path, content: &[u8]) -> bool {
    let has_same_size = std::fs::symlink_metadata(path)
        .is_ok_and(|metadata| metadata.is_file() && usize::try_from(metadata.len()) == Ok(content.len()));
    has_same_size && std::fs::read(path).is_ok_and(|own_content| own_content == content)
}

impl GateResult {
    /// Creates a result from the findings of the rules and linters.
    ///
    /// # Errors
    /// [`GateError::Linter`]
    pub fn from_reading(reading: ReadingOutcome) -> Result<Self, GateError> {
        let ReadingOutcome {
            findings, tools, coverage: ReviewCoverage { reviewed, not_reviewed, .. }, ..
        } = reading;
        if let Some((name, reason)) =
            tools.into_iter().find_map(|tool| Some((tool.name, tool.failure_reason?)))
        {
            return Err(GateError::Linter { name, reason });
        }
        let mut gated =
            Self { inspected_file_count: reviewed.len(), not_inspected: not_reviewed, ..Self::default() };
        for raw in findings.into_iter().map(|placed| placed.raw) {
            let text = line::clean_line(&format!("{}: {}", raw.title, raw.body), MAX_FINDING_CHARS);
            let location = Some((raw.location.path, raw.location.start_line));
            gated.blocking.add(|| GateFinding { reporter: raw.rule, location, text });
        }
        Ok(gated)
    }

    /// True if no finding blocks.
    pub fn is_clean(&self) -> bool {
        self.blocking.findings.is_empty()
    }

    /// Returns the result if the gate has checked something. Returns an error if no command ran and the rules
    /// could not read any of the files that they have to read.
    ///
    /// # Errors
    /// [`GateError::NothingRead`]
    pub fn ensure_checked(self) -> Result<Self, GateError> {
        let missed = self.not_inspected.iter().find(|gap| !gap.reason.is_by_design());
        match missed.filter(|_| self.inspected_file_count == 0 && self.command_runs.is_empty()) {
            Some(CoverageGap { path, reason }) => {
                let path = line::visible_line(&path.to_string());
                Err(GateError::NothingRead { path, reason: reason.as_str() })
            }
            None => Ok(self),
        }
    }

    /// Returns the list of blocking findings for a fixer's prompt; none if no finding blocks.
    pub fn fixer_text(&self) -> Option<String> {
        if self.is_clean() {
            return None;
        }
        let GateFindings { findings, omitted_count: left_out } = &self.blocking;
        let mut words = String::new();
        for finding in findings.iter().take(MAX_PROMPT_FINDINGS) {
            let _ = writeln!(words, "{finding}");
        }
        let more = findings.len().saturating_sub(MAX_PROMPT_FINDINGS) + left_out;
        if more > 0 {
            let _ = writeln!(words, "and {more} more");
        }
        Some(words)
    }

    /// Adds the findings in the output of a command.
    fn add_output(&mut self, command: &str, printout: &CommandOutput, places: &mut ChangedPlaces<'_>) {
        let mut is_silent = true;
        for text in [&printout.stdout, &printout.stderr] {
            // True if the previous finding blocks; `None` if there is no previous finding. An indented line
            // continues the previous finding.
            let mut above = None;
            for line in text.lines() {
                let stripped = anstream::adapter::strip_str(line).to_string();
                if line::visible_line(&stripped).is_empty() {
                    continue;
                }
                is_silent = false;
                if let Some(blocks) = above
                    && stripped.starts_with([' ', '\t'])
                {
                    let found = if blocks { &mut self.blocking } else { &mut self.advisory };
                    found.append_line(&stripped);
                    continue;
                }
                let (location, rest, blocks) = places.parse_line(&stripped);
                let found = if blocks { &mut self.blocking } else { &mut self.advisory };
                found.add(|| GateFinding {
                    reporter: command.to_owned(),
                    location,
                    text: line::clean_line(&redact_secrets(rest), MAX_FINDING_CHARS),
                });
                above = Some(blocks);
            }
        }
        if is_silent {
            let text = "the command reported findings without any details".to_owned();
            self.blocking.add(|| GateFinding { reporter: command.to_owned(), location: None, text });
        }
    }
}

impl GateFindings {
    fn add(&mut self, build_finding: impl FnOnce() -> GateFinding) {
        if self.findings.len() < MAX_KEPT_FINDINGS {
            self.findings.push(build_finding());
        } else {
            self.omitted_count = self.omitted_count.saturating_add(1);
        }
    }

    /// Appends a continuation line to the finding that was added last.
    fn append_line(&mut self, continuation: &str) {
        if self.omitted_count == 0
            && let Some(last) = self.findings.last_mut()
        {
            last.text = line::clean_line(
                &format!("{} {}", last.text, redact_secrets(continuation)),
                MAX_FINDING_CHARS,
            );
        }
    }
}

/// Formats the finding as compilers and linters do, with the rule or command in brackets at the end.
impl fmt::Display for GateFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((path, line)) = &self.location {
            write!(f, "{}:{line}: ", line::visible_line(&path.to_string()))?;
        }
        write!(f, "{} [{}]", self.text, self.reporter)
    }
}

/// Finds the changed lines that the output of a command names.
struct ChangedPlaces<'a> {
    lines: BTreeMap<RepoPath, Vec<(u32, u32)>>,
    tree: &'a Path,
    /// Path of the tree at which the command saw it.
    sandbox_tree_path: PathBuf,
    /// Cache of resolved paths by their text; `None` if the text is not the path of a file in the tree.
    path_cache: BTreeMap<String, Option<RepoPath>>,
}

impl ChangedPlaces<'_> {
    /// Parses one line of output. Returns the location at its start, the text after the location, and true if
    /// the finding blocks.
    fn parse_line<'t>(&mut self, text: &'t str) -> (Option<(RepoPath, u32)>, &'t str, bool) {
        let Some((path, line, rest)) = self.parse_place(text) else { return (None, text, true) };
        let ranges = self.lines.get(&path).map(Vec::as_slice).unwrap_or_default();
        let blocks = ranges.iter().any(|(first, last)| (*first..=*last).contains(&line));
        (Some((path, line)), rest, blocks)
    }

    /// Parses `path:line: text` or `path:line:column: text`. The path must be a file of the tree.
    fn parse_place<'t>(&mut self, text: &'t str) -> Option<(RepoPath, u32, &'t str)> {
        let colons = text.match_indices(':').map(|(at, _)| at).take(MAX_COLONS);
        for at in colons.take_while(|at| *at <= MAX_PATH_BYTES) {
            let (path, rest) = (text.get(..at)?, text.get(at + 1..)?);
            let Some((line, rest)) = parse_number(rest).filter(|(line, _)| *line > 0) else { continue };
            let Some(path) = self.resolve_file(path) else { continue };
            let after_column = rest.strip_prefix(':').and_then(parse_number).map_or(rest, |(_, rest)| rest);
            return Some((path, line, after_column.trim_start_matches(':').trim()));
        }
        None
    }

    /// Returns the file of the tree with this path. Symbolic links are not followed, because their targets
    /// may be outside the tree.
    fn resolve_file(&mut self, path_text: &str) -> Option<RepoPath> {
        if let Some(known) = self.path_cache.get(path_text) {
            return known.clone();
        }
        let below = Path::new(path_text.trim_start());
        let below = below.strip_prefix(&self.sandbox_tree_path).unwrap_or(below);
        let mut inside = PathBuf::new();
        let mut is_file = false;
        for part in below.components() {
            match part {
                Component::CurDir => continue,
                Component::Normal(name) => inside.push(name),
                Component::Prefix(_) | Component::RootDir | Component::ParentDir => {
                    inside.clear();
                    break;
                }
            }
            let found = self.tree.join(&inside).symlink_metadata();
            is_file = found.as_ref().is_ok_and(std::fs::Metadata::is_file);
            if !is_file && !found.is_ok_and(|found| found.is_dir()) {
                break;
            }
        }
        let file = (is_file && !inside.as_os_str().is_empty())
            .then(|| RepoPath::from_bytes(inside.into_os_string().into_encoded_bytes()));
        self.path_cache.insert(path_text.to_owned(), file.clone());
        file
    }
}

/// Parses the number at the start of a text. Returns the number and the rest of the text; none if letters
/// follow the number.
fn parse_number(text: &str) -> Option<(u32, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at_checked(end)?;
    let ends = rest.is_empty() || rest.starts_with([':', ' ', '\t', ',']);
    Some((digits.parse().ok().filter(|_| ends)?, rest))
}
