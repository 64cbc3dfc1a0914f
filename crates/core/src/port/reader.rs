//! The port to the reader, with its requests and responses. The reader is the process that parses a
//! repository's files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use truing_diff::RepoPath;

use crate::finding::{CodeLocation, RawFinding};
use crate::outcome::CoverageGap;
use crate::suppression::{SuppressedFinding, UnusedSuppression};

/// The data of a changed file that the reader needs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ChangedFile {
    /// Path of the file at the head.
    pub path: RepoPath,
    /// Earlier path, if the file was renamed or copied.
    pub old_path: Option<RepoPath>,
    /// Added lines of the head's file: 1-based, inclusive, ascending, not overlapping.
    #[serde(rename = "added")]
    pub added_lines: Vec<(u32, u32)>,
    /// True if the file is searched only for secrets, because git treats it as binary and does not report
    /// which of its lines changed.
    #[serde(default)]
    pub secrets_only: bool,
}

/// A request to apply rules to changed files.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ReadRequest {
    /// Folder that contains the head's files. Links in it are not followed.
    pub tree: PathBuf,
    /// Changed files to read, in path order.
    pub files: Vec<ChangedFile>,
    /// Changed paths that the reader must not read (removed, binary or ignored files). Rules about files that
    /// must change together need these paths.
    #[serde(default)]
    pub also_changed: Vec<RepoPath>,
    /// Names of the rule packs to use.
    pub packs: Vec<String>,
    /// Names of the packs' rules that are disabled.
    #[serde(default)]
    #[serde(rename = "off")]
    pub disabled_rules: Vec<String>,
}

/// The result of applying the rules.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ReadReport {
    /// Findings on added lines, by path, line and rule.
    pub findings: Vec<RawFinding>,
    /// Files that were read.
    pub reviewed: Vec<RepoPath>,
    /// Files that were not read, each with the reason.
    pub not_reviewed: Vec<CoverageGap>,
    /// Findings on added lines that a comment suppresses, by path, line and rule.
    #[serde(default)]
    pub suppressed: Vec<SuppressedFinding>,
    /// Suppression comments on added lines that suppress nothing, by path and line.
    #[serde(default)]
    pub suppressions: Vec<UnusedSuppression>,
    /// Names of the rules that were applied; empty if the reader does not report them.
    #[serde(default)]
    pub rules: Vec<String>,
}

/// The complete output of a tool, and the folder in which the tool ran.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ToolOutput {
    /// Name of the tool; used if the output does not contain a name.
    pub tool: String,
    /// Name of the output format; `None` if it has to be detected.
    pub format: Option<String>,
    /// All absolute paths by which the output may refer to the folder with the files.
    pub roots: Vec<String>,
    /// Folder in which the tool ran, relative to the folder with the files; `None` for that folder itself.
    /// Relative paths in the output are relative to the folder in which the tool ran.
    #[serde(default)]
    pub folder: Option<RepoPath>,
    /// Output of the tool; invalid UTF-8 in it is replaced.
    pub text: String,
    /// Reason why the tool did not finish its work; `None` if the caller that ran the tool knows of no
    /// failure.
    #[serde(default)]
    #[serde(rename = "failed")]
    pub failure_reason: Option<String>,
    /// Failure that is reported if the exit code means that there are findings, but the output contains no
    /// readable finding. `None` for other exit codes.
    #[serde(default)]
    pub unnamed: Option<String>,
    /// Data about a tool run outside Truing; `None` if Truing ran the tool.
    #[serde(default)]
    pub foreign: Option<ExternalToolRun>,
    /// True if the tool exited with the code that means no findings.
    #[serde(default)]
    pub is_clean: bool,
    /// True if findings on all lines of changed files are reported; false if only findings on added lines are
    /// reported.
    #[serde(default)]
    pub everywhere: bool,
    /// Changed files whose findings are ignored, although the tool has read these files.
    #[serde(default)]
    pub left_out: BTreeSet<String>,
    /// Rules of the tool whose findings are ignored.
    #[serde(default)]
    #[serde(rename = "without")]
    pub excluded_rules: BTreeSet<String>,
    /// Changed files for which all findings are returned, on every line. The caller stores these findings for
    /// a later run.
    #[serde(default)]
    pub keep: BTreeSet<String>,
    /// Stored findings of an earlier run, for files that have not changed since then. If present, they
    /// replace the findings in `text`.
    #[serde(default)]
    #[serde(rename = "kept")]
    pub cached_findings: Option<Vec<RawFinding>>,
}

/// Data about a tool run outside Truing, possibly on another machine.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ExternalToolRun {
    /// Name of the tool as the user gave it; overrides the name in the output.
    pub tool: Option<String>,
    /// Folder in which the tool may have run. The reader uses this folder only if the relative paths in the
    /// output match files in the folder.
    pub folder: Option<RepoPath>,
    /// True if the tree contains every file of the head. In this case, a path in the output that the tree
    /// does not contain is an error.
    pub is_tree_whole: bool,
}

/// A request to parse a tool's output. Only findings in the changed files are returned.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ToolOutputRequest {
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
    /// Paths of files, such as configuration files, that may show which tools the repository uses.
    pub paths: Vec<String>,
    /// Paths of the changed files; the project may exclude some of them from a tool.
    #[serde(rename = "changed")]
    pub changed_paths: Vec<String>,
}

/// The known tools that a repository uses.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct DetectedTools {
    /// Tools in the order of their names.
    pub tools: Vec<DetectedTool>,
    /// Text for users that names the hooks file that cannot be read, and the reason. In this case, the
    /// arguments that the hooks pass to tools are not known.
    pub unread_hooks: Option<String>,
    /// Names of linters that the repository runs and that cannot be run: linters that are not known tools,
    /// and known tools that run with a configuration of their command alone.
    #[serde(default)]
    pub unknown_linters: BTreeSet<String>,
    /// Changed files without an ending whose first line names an interpreter, each with its name.
    #[serde(default)]
    pub interpreters: BTreeMap<String, String>,
    /// Files that may configure tools and cannot be parsed, each with the reason for users. Tools that only
    /// such a file shows are missing in `tools`.
    #[serde(default)]
    pub unread_configuration: BTreeMap<String, String>,
}

/// The version of a tool that a repository pins.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct PinnedVersion {
    /// The version, which begins with a number.
    pub version: String,
    /// The file that pins the version.
    pub file: String,
}

/// A known tool that a repository uses.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
pub struct DetectedTool {
    /// Name of the tool.
    pub name: String,
    /// File or folder that shows that the repository uses the tool.
    pub sign: String,
    /// True if the sign is a command or a hook that runs the tool, and not the tool's configuration.
    #[serde(default)]
    pub is_only_run: bool,
    /// Options that a pre-commit hook or a command passes to the tool. Only options that select the reported
    /// findings are included.
    pub args: Vec<String>,
    /// Packages, such as plugins, that a pre-commit hook installs together with the tool.
    #[serde(default)]
    pub hook_dependencies: Vec<String>,
    /// The version of the tool that the repository pins.
    #[serde(default)]
    pub pinned_version: Option<PinnedVersion>,
    /// Changed files that the hook excludes from the tool.
    pub left_out: Vec<String>,
    /// Changed files that the tool can check according to their first line, but not according to their names.
    pub scripts: Vec<String>,
    /// True if the tool's configuration selects the files. In this case, the tool is run without file
    /// arguments, because file arguments would override the configuration.
    #[serde(rename = "whole")]
    pub selects_own_files: bool,
}

/// The findings in a tool's output.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ToolFindings {
    /// Names of the tools that wrote the output.
    pub tools: BTreeSet<String>,
    /// Findings on added lines, by path, line and rule.
    pub findings: Vec<RawFinding>,
    /// Number of findings outside the added lines.
    #[serde(rename = "elsewhere")]
    pub outside_count: u64,
    /// Number of findings that the output marks as suppressed.
    pub suppressed: u64,
    /// Descriptions, for users, of results in the output that could not be used, and of failures of the tool.
    pub problems: Vec<String>,
    /// Reason, for users, why earlier findings that the tool no longer reports may still exist; `None` if
    /// these findings are gone.
    #[serde(default)]
    pub keeps_open: Option<String>,
    /// Reason, for users, why the tool says nothing about the change, although it ran; `None` if it examined
    /// a changed file.
    #[serde(default)]
    pub skip_reason: Option<String>,
    /// Changed files that the tool reports as not read, because the project excludes these files from the
    /// tool.
    #[serde(default)]
    pub ignored: BTreeSet<RepoPath>,
    /// All findings in the files of `ToolOutput::keep`, on every line, without any filter. `None` if there
    /// are too many findings, or if parts of the output could not be used.
    #[serde(default)]
    pub keep: Option<Vec<RawFinding>>,
}

/// A request to verify line replacements that a model proposes. The reader verifies them in the same way as
/// replacements by rules.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ReplacementCheckRequest {
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
    /// Returns the replacement that a finding suggests; `None` if the finding suggests no replacement.
    pub fn from_finding(raw: &RawFinding) -> Option<Self> {
        let replacement = raw.suggestion.as_ref()?.replacement.clone();
        let CodeLocation { path, start_line, end_line, .. } = &raw.location;
        Some(Self { path: path.clone(), start_line: *start_line, end_line: *end_line, replacement })
    }
}

/// The reason why a reader returned no report. If only a single file cannot be read, the reader returns no
/// error; the report lists the file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, thiserror::Error)]
pub enum ReaderError {
    /// There is no rule pack with this name.
    #[error("there is no rule pack `{name}` (known: {known_packs})")]
    UnknownPack {
        /// Name that was requested.
        name: String,
        /// Names of the known packs.
        #[serde(rename = "known")]
        known_packs: String,
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
    async fn tool_findings(&self, request: &ToolOutputRequest) -> Result<ToolFindings, ReaderError>;

    /// Verifies replacements, and returns one boolean for each, in order. A boolean is true if two conditions
    /// hold: the file has no more syntax errors than before, and the syntax tree around the replaced lines is
    /// unchanged.
    async fn verify_replacements(&self, request: &ReplacementCheckRequest) -> Result<Vec<bool>, ReaderError>;

    /// Detects the known tools that a repository uses.
    async fn detect_tools(&self, request: &ToolDetectionRequest) -> Result<DetectedTools, ReaderError>;

    /// Returns the paths that rules read in addition to these changed files. If a file exists at such a path,
    /// the tree of a read request must contain the file. This call opens no file of the repository.
    async fn companion_paths(
        &self,
        packs: &[String],
        files: &[ChangedFile],
    ) -> Result<Vec<RepoPath>, ReaderError>;
}
