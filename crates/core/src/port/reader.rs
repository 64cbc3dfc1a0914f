//! What reads the bytes of a repository, and what it is asked and answers.

use std::collections::BTreeSet;
use std::path::PathBuf;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use truing_diff::RepoPath;

use crate::finding::{CodeLocation, RawFinding};
use crate::outcome::UnreviewedFile;
use crate::suppression::{IdleSuppression, SuppressedFinding};

/// A changed file, as far as a reader needs it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ChangedFile {
    /// The file at the head.
    pub path: RepoPath,
    /// Its name before, if it was renamed or copied.
    pub old_path: Option<RepoPath>,
    /// Added lines of the head's file: 1-based, inclusive, ascending, not overlapping.
    pub added: Vec<(u32, u32)>,
}

/// What to read.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ReadRequest {
    /// A folder that holds the head's files. Links in it are not followed.
    pub tree: PathBuf,
    /// The changed files to read, in path order.
    pub files: Vec<ChangedFile>,
    /// Paths that changed too but are not to be read (removed, binary, ignored): for rules about what must change
    /// together.
    #[serde(default)]
    pub also_changed: Vec<RepoPath>,
    /// Names of the rule packs to use.
    pub packs: Vec<String>,
    /// Names of their rules that do not look.
    #[serde(default)]
    pub off: Vec<String>,
}

/// What was read and found.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ReadReport {
    /// Findings on added lines, by path, line and rule.
    pub findings: Vec<RawFinding>,
    /// Files that were read.
    pub reviewed: Vec<RepoPath>,
    /// Files that were not, each with the reason.
    pub not_reviewed: Vec<UnreviewedFile>,
    /// Findings on added lines that a comment suppresses, by path, line and rule.
    #[serde(default)]
    pub suppressed: Vec<SuppressedFinding>,
    /// Comments on added lines that suppress nothing, by path and line.
    #[serde(default)]
    pub suppressions: Vec<IdleSuppression>,
    /// Names of the rules that looked; none: the reader does not say.
    #[serde(default)]
    pub rules: Vec<String>,
}

/// All that a tool has printed, and where it ran.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ToolOutput {
    /// The tool's name, where the output does not name it itself.
    pub tool: String,
    /// The format of the output, by its name; none: it is recognised.
    pub format: Option<String>,
    /// Absolute paths of the folder with the files, as the tool may name it.
    pub roots: Vec<String>,
    /// The folder below it in which the tool ran: relative paths begin there; none: in that folder itself.
    #[serde(default)]
    pub folder: Option<RepoPath>,
    /// The output; what is not UTF-8 in it is replaced.
    pub text: String,
    /// The reason for which the tool did not look to its end, as far as whoever ran it knows.
    #[serde(default)]
    pub failed: Option<String>,
    /// The reason for which it failed if no finding can be read of it, since it ended as one that found something.
    #[serde(default)]
    pub unnamed: Option<String>,
    /// Facts of a run that was not ours; none: Truing ran the tool.
    #[serde(default)]
    pub foreign: Option<ForeignRun>,
    /// Did it end with the exit code by which the tool says that it has found nothing?
    #[serde(default)]
    pub is_clean: bool,
    /// Do its findings count anywhere in changed files, not on added lines alone?
    #[serde(default)]
    pub everywhere: bool,
    /// Changed files of which its findings do not count, though it has looked at them.
    #[serde(default)]
    pub left_out: BTreeSet<String>,
    /// Rules of the tool whose findings do not count.
    #[serde(default)]
    pub without: BTreeSet<String>,
    /// Changed files of which the answer has to hold all findings, to be kept for a later run.
    #[serde(default)]
    pub keep: BTreeSet<String>,
    /// Findings that were kept of an earlier run, on files that are as they were; they stand in the place of the text.
    #[serde(default)]
    pub kept: Option<Vec<RawFinding>>,
}

/// A run of a tool by somebody else, perhaps on another machine.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ForeignRun {
    /// The name that somebody gave for the tool, whatever the output says.
    pub tool: Option<String>,
    /// The folder in which the tool may have run, if the files there fit its relative paths.
    pub folder: Option<RepoPath>,
    /// Does the tree hold every file of the head, so that a path without a file there is a wrong one?
    pub is_tree_whole: bool,
}

/// An output to read, and the change that it is about.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ToolRequest {
    /// A folder that holds the head's files. Links in it are not followed.
    pub tree: PathBuf,
    /// The changed files, in path order.
    pub files: Vec<ChangedFile>,
    /// The output.
    pub output: ToolOutput,
}

/// A tree in which the tools are looked for that its repository uses.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct UsedToolsRequest {
    /// A folder that holds the head's files. Links in it are not followed.
    pub tree: PathBuf,
    /// The paths of files that may show that a tool is used.
    pub paths: Vec<String>,
    /// The paths of the changed files, of which a project may keep some from a tool.
    pub changed: Vec<String>,
}

/// The known tools that a repository uses.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct UsedTools {
    /// They, in the order of their names.
    pub tools: Vec<UsedTool>,
    /// The file of hooks that cannot be read, and the reason, for people: nothing is known of how hooks run the tools.
    pub unread_hooks: Option<String>,
}

/// A known tool that a repository uses.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct UsedTool {
    /// Its name.
    pub name: String,
    /// The file or folder that shows it.
    pub sign: String,
    /// Options that a hook of pre-commit gives the tool: those alone that choose what it tells.
    pub args: Vec<String>,
    /// Those of the changed files that the hook keeps from the tool.
    pub left_out: Vec<String>,
    /// Those of the changed files whose names do not say that they are for the tool, and whose first line does.
    pub scripts: Vec<String>,
    /// Does the tool's configuration choose the files? Then it is told of none, since that would override it.
    pub whole: bool,
}

/// The findings of an output.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ToolFindings {
    /// The tools that it is of, by their names.
    pub tools: BTreeSet<String>,
    /// Findings on added lines, by path, line and rule.
    pub findings: Vec<RawFinding>,
    /// Findings elsewhere.
    pub elsewhere: u64,
    /// Findings that the tool itself was told to suppress.
    pub suppressed: u64,
    /// Entries that could not be used, each in words for people, and that the tool itself failed.
    pub problems: Vec<String>,
    /// The reason, for people, for which earlier findings that it no longer reports may be there all the same; none: they are gone.
    #[serde(default)]
    pub keeps_open: Option<String>,
    /// The changed files that the tool says it has not looked at, since the project keeps them from it.
    #[serde(default)]
    pub ignored: BTreeSet<RepoPath>,
    /// All findings on the files that were to be kept, wherever they are, before anything is left out; none: they are too many, or
    /// not all are known.
    #[serde(default)]
    pub keep: Option<Vec<RawFinding>>,
}

/// Replacements of lines that a model proposes, to be proven as those of rules are.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ProofRequest {
    /// A folder that holds the head's files. Links in it are not followed.
    pub tree: PathBuf,
    /// The replacements, each to be proven alone.
    pub proposals: Vec<ReplacementProposal>,
}

/// A replacement of whole lines of a file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ReplacementProposal {
    /// The file.
    pub path: RepoPath,
    /// First line, from 1.
    pub start_line: u32,
    /// Last line.
    pub end_line: u32,
    /// Their new text, without the last line end.
    pub replacement: String,
}

impl ReplacementProposal {
    /// The replacement of a finding, if it has one.
    pub fn of(raw: &RawFinding) -> Option<Self> {
        let replacement = raw.suggestion.as_ref()?.replacement.clone();
        let CodeLocation { path, start_line, end_line, .. } = &raw.place;
        Some(Self { path: path.clone(), start_line: *start_line, end_line: *end_line, replacement })
    }
}

/// Why a reader could not work at all (a file it cannot read is in the report instead).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, thiserror::Error)]
pub enum ReaderError {
    /// There is no such pack.
    #[error("there is no rule pack `{name}` (known: {known})")]
    UnknownPack {
        /// As asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// A pack's own data is wrong.
    #[error("rule pack {0}")]
    BadPack(String),
    /// The reader itself failed.
    #[error("the reader failed: {0}")]
    Failed(String),
}

/// The plane that parses repository bytes.
#[async_trait]
pub trait RepositoryReader: Send + Sync {
    /// Reads the changed files and reports what its rules find on added lines.
    async fn read(&self, request: &ReadRequest) -> Result<ReadReport, ReaderError>;

    /// Reads what a tool has printed and reports its findings on added lines.
    async fn tool_findings(&self, request: &ToolRequest) -> Result<ToolFindings, ReaderError>;

    /// Says of each replacement, in their order: is it proven? Its file parses with it as well as before, and the tree around
    /// its lines stays as it is.
    async fn prove(&self, request: &ProofRequest) -> Result<Vec<bool>, ReaderError>;

    /// Looks for the known tools that a repository uses.
    async fn used_tools(&self, request: &UsedToolsRequest) -> Result<UsedTools, ReaderError>;

    /// Paths that rules about these changed files look at beside those: to be in the request's tree if they exist.
    /// Opens no file of the repository.
    async fn companions(&self, packs: &[String], files: &[ChangedFile])
    -> Result<Vec<RepoPath>, ReaderError>;
}
