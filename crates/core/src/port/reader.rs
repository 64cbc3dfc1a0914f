//! The port to the process that parses a repository's files, with its requests and responses.

use std::collections::BTreeSet;
use std::path::PathBuf;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use truing_diff::RepoPath;

use crate::finding::{CodeLocation, RawFinding};
use crate::outcome::UnreviewedFile;
use crate::suppression::{SuppressedFinding, UnusedSuppression};

/// A changed file, as far as a reader needs it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ChangedFile {
    /// Path of the file at the head.
    pub path: RepoPath,
    /// Earlier path, if the file was renamed or copied.
    pub old_path: Option<RepoPath>,
    /// Added lines of the head's file: 1-based, inclusive, ascending, not overlapping.
    pub added: Vec<(u32, u32)>,
}

/// A request to apply rules to changed files.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ReadRequest {
    /// Folder that contains the head's files. Links in it are not followed.
    pub tree: PathBuf,
    /// Changed files to read, in path order.
    pub files: Vec<ChangedFile>,
    /// Paths that changed too but are not to be read (removed, binary, ignored), for rules about files that
    /// must change together.
    #[serde(default)]
    pub also_changed: Vec<RepoPath>,
    /// Names of the rule packs to use.
    pub packs: Vec<String>,
    /// Names of their rules that are disabled.
    #[serde(default)]
    pub off: Vec<String>,
}

/// The result of applying the rules.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ReadReport {
    /// Findings on added lines, by path, line and rule.
    pub findings: Vec<RawFinding>,
    /// Files that were read.
    pub reviewed: Vec<RepoPath>,
    /// Files that were not read, each with the reason.
    pub not_reviewed: Vec<UnreviewedFile>,
    /// Findings on added lines that a comment suppresses, by path, line and rule.
    #[serde(default)]
    pub suppressed: Vec<SuppressedFinding>,
    /// Comments on added lines that suppress nothing, by path and line.
    #[serde(default)]
    pub suppressions: Vec<UnusedSuppression>,
    /// Names of the rules that were applied; empty if the reader does not report them.
    #[serde(default)]
    pub rules: Vec<String>,
}

/// The complete output of a tool, and the place where it ran.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ToolOutput {
    /// Name of the tool, if the output does not contain it.
    pub tool: String,
    /// Name of the output format; `None` if it has to be detected.
    pub format: Option<String>,
    /// Absolute paths of the folder with the files, as the tool may write them.
    pub roots: Vec<String>,
    /// Folder in which the tool ran, below the folder with the files. Relative paths begin there; `None`
    /// means that folder itself.
    #[serde(default)]
    pub folder: Option<RepoPath>,
    /// Output of the tool; invalid UTF-8 in it is replaced.
    pub text: String,
    /// Reason why the tool did not finish its work, as far as the caller that ran it knows.
    #[serde(default)]
    pub failed: Option<String>,
    /// Reason for a failure if no finding can be read from the output although the exit code signals some.
    #[serde(default)]
    pub unnamed: Option<String>,
    /// Facts of a run outside Truing; `None` if Truing ran the tool.
    #[serde(default)]
    pub foreign: Option<ExternalToolRun>,
    /// True if the tool ended with the exit code that means no findings.
    #[serde(default)]
    pub is_clean: bool,
    /// True if its findings count anywhere in changed files, and not only on added lines.
    #[serde(default)]
    pub everywhere: bool,
    /// Changed files whose findings do not count, although the tool has read them.
    #[serde(default)]
    pub left_out: BTreeSet<String>,
    /// Rules of the tool whose findings do not count.
    #[serde(default)]
    pub without: BTreeSet<String>,
    /// Changed files whose findings are all to be returned, to be kept for a later run.
    #[serde(default)]
    pub keep: BTreeSet<String>,
    /// Findings kept from an earlier run on unchanged files; they replace the text.
    #[serde(default)]
    pub kept: Option<Vec<RawFinding>>,
}

/// A run of a tool outside Truing, perhaps on another machine.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ExternalToolRun {
    /// Name of the tool as the user gave it; overrides the name in the output.
    pub tool: Option<String>,
    /// Folder in which the tool may have run, if the files there match its relative paths.
    pub folder: Option<RepoPath>,
    /// True if the tree contains every file of the head: then a path without a file there is wrong.
    pub is_tree_whole: bool,
}

/// A tool's output to parse, and the change that it concerns.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ToolRequest {
    /// Folder that contains the head's files. Links in it are not followed.
    pub tree: PathBuf,
    /// Changed files, in path order.
    pub files: Vec<ChangedFile>,
    /// Output to be parsed.
    pub output: ToolOutput,
}

/// A request to detect the tools that a repository uses.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ToolDetectionRequest {
    /// Folder that contains the head's files. Links in it are not followed.
    pub tree: PathBuf,
    /// Paths of files that may show that a tool is used.
    pub paths: Vec<String>,
    /// Paths of the changed files; the project may exclude some of them from a tool.
    pub changed: Vec<String>,
}

/// The known tools that a repository uses.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct DetectedTools {
    /// Tools in the order of their names.
    pub tools: Vec<DetectedTool>,
    /// Unreadable file of hooks with the reason, for users. Then the arguments that hooks give the tools are
    /// not known.
    pub unread_hooks: Option<String>,
}

/// A known tool that a repository uses.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct DetectedTool {
    /// Name of the tool.
    pub name: String,
    /// File or folder that shows its use.
    pub sign: String,
    /// Options that a pre-commit hook gives the tool; only those that select the reported findings.
    pub args: Vec<String>,
    /// Changed files that the hook excludes from the tool.
    pub left_out: Vec<String>,
    /// Changed files that only their first line, and not their name, identifies as input of the tool.
    pub scripts: Vec<String>,
    /// True if the tool's configuration selects the files. Then the tool is run without file arguments,
    /// which would override it.
    pub whole: bool,
}

/// The findings in a tool's output.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ToolFindings {
    /// Names of the tools that wrote the output.
    pub tools: BTreeSet<String>,
    /// Findings on added lines, by path, line and rule.
    pub findings: Vec<RawFinding>,
    /// Number of findings elsewhere.
    pub elsewhere: u64,
    /// Number of findings that the tool itself suppresses by its settings.
    pub suppressed: u64,
    /// Entries that could not be used, and a failure of the tool itself, each described for users.
    pub problems: Vec<String>,
    /// Reason, for users, why earlier findings that are no longer reported may persist; `None` if they are
    /// gone.
    #[serde(default)]
    pub keeps_open: Option<String>,
    /// Changed files that the tool reports as not read, because the project excludes them from it.
    #[serde(default)]
    pub ignored: BTreeSet<RepoPath>,
    /// All findings on the files to be kept, in any line, before anything is left out. `None` if they are
    /// too many, or if not all are known.
    #[serde(default)]
    pub keep: Option<Vec<RawFinding>>,
}

/// Replacements of lines that a model proposes, to be verified as those of rules are.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FixValidationRequest {
    /// Folder that contains the head's files. Links in it are not followed.
    pub tree: PathBuf,
    /// Replacements, each to be verified separately.
    pub proposals: Vec<ReplacementProposal>,
}

/// A replacement of whole lines of a file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ReplacementProposal {
    /// File whose lines are replaced.
    pub path: RepoPath,
    /// First replaced line, from 1.
    pub start_line: u32,
    /// Last replaced line, inclusive.
    pub end_line: u32,
    /// New text of the lines, without the last line end.
    pub replacement: String,
}

impl ReplacementProposal {
    /// Returns the replacement of a finding, if it has one.
    pub fn from_finding(raw: &RawFinding) -> Option<Self> {
        let replacement = raw.suggestion.as_ref()?.replacement.clone();
        let CodeLocation { path, start_line, end_line, .. } = &raw.place;
        Some(Self { path: path.clone(), start_line: *start_line, end_line: *end_line, replacement })
    }
}

/// The reason why a reader could not work at all. A file that it cannot read is in the report instead.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, thiserror::Error)]
pub enum ReaderError {
    /// There is no rule pack with this name.
    #[error("there is no rule pack `{name}` (known: {known})")]
    UnknownPack {
        /// Name that was requested.
        name: String,
        /// Names of the known packs.
        known: String,
    },
    /// The data of a rule pack is invalid.
    #[error("rule pack {0}")]
    BadPack(String),
    /// The reader itself failed.
    #[error("the reader failed: {0}")]
    Failed(String),
}

/// The isolated process that parses a repository's files.
#[async_trait]
pub trait RepositoryReader: Send + Sync {
    /// Reads the changed files and reports the findings of the rules on added lines.
    async fn read(&self, request: &ReadRequest) -> Result<ReadReport, ReaderError>;

    /// Parses the output of a tool and reports its findings on added lines.
    async fn tool_findings(&self, request: &ToolRequest) -> Result<ToolFindings, ReaderError>;

    /// Verifies replacements, and returns one boolean for each, in order. A replacement is verified if its
    /// file still parses as well as before and the syntax tree around its lines is unchanged.
    async fn verify_replacements(&self, request: &FixValidationRequest) -> Result<Vec<bool>, ReaderError>;

    /// Detects the known tools that a repository uses.
    async fn used_tools(&self, request: &ToolDetectionRequest) -> Result<DetectedTools, ReaderError>;

    /// Returns the paths that rules about these changed files read too. If these paths exist, the request's
    /// tree has to contain them. Opens no file of the repository.
    async fn companion_paths(
        &self,
        packs: &[String],
        files: &[ChangedFile],
    ) -> Result<Vec<RepoPath>, ReaderError>;
}
