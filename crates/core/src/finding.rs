//! Findings: statements of a rule, a tool or a model about changed lines. The fingerprint of a finding
//! identifies the finding in later reviews.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use truing_diff::RepoPath;
pub use truing_diff::{AnchorKind, DiffSide};

use crate::code_digest::CodeDigests;
use crate::id::{FindingId, Fingerprint, Sha};
use crate::recheck::{MAX_SNIPPET_LINES, SurroundingLines, UnverifiedReason};

/// Severity of a finding; `P0` is worst.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Severity {
    /// The change must not be merged, for example because of a leaked secret or broken code.
    P0,
    /// The finding should be fixed before the merge; it blocks by default.
    P1,
    /// Minor, but worth knowing.
    P2,
}

impl Severity {
    /// All severities, worst first.
    pub const ALL: [Self; 3] = [Self::P0, Self::P1, Self::P2];

    /// Returns `P0`, `P1` or `P2`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::P0 => "P0",
            Self::P1 => "P1",
            Self::P2 => "P2",
        }
    }
}

/// Kind of defect. The letters are those that audit reports use.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum DefectCategory {
    /// Violation of an API contract.
    A,
    /// Incompatible selector, query or engine.
    B,
    /// Error in resource cleanup or lifecycle.
    C,
    /// Error of scope or order, or an unbound reference.
    D,
    /// Code that is never used.
    E,
    /// Failure that is silently ignored.
    F,
    /// Violated bound or overflow.
    G,
    /// Violation of a security boundary.
    H,
    /// Hazard of concurrent execution.
    I,
    /// Magic value, configuration drift or violated code rule.
    J,
}

/// Origin of a finding.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingSource {
    /// A rule of a rule pack.
    Rule,
    /// A tool that the team runs. The rule id is the tool's name, `/`, and the tool's own rule id.
    Tool,
    /// A model, whose statements are checked against the files.
    Agent,
}

/// Lines of a file: 1-based, inclusive, `start_line <= end_line`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct CodeLocation {
    /// Path of the file at the head (`DiffSide::New`) or before the change (`DiffSide::Old`).
    pub path: RepoPath,
    /// Side of the diff that the line numbers refer to.
    pub side: DiffSide,
    pub start_line: u32,
    pub end_line: u32,
}

/// A finding as its source reports it, before it gets an id.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RawFinding {
    #[serde(rename = "place")]
    pub location: CodeLocation,
    pub severity: Severity,
    pub category: DefectCategory,
    /// Rule id: `pack/rule`, or `agent/` and the kind of defect for a model's finding.
    pub rule: String,
    /// Title, as one line.
    pub title: String,
    /// Explanation and advice, in Markdown.
    pub body: String,
    /// Text of the finding's lines, without line ends and secrets. These lines are part of the finding's
    /// identity, and text output displays them.
    pub snippet: String,
    /// Digests that distinguish the finding's lines from other lines with the same snippet.
    #[serde(default, skip_serializing_if = "CodeDigests::is_empty")]
    pub code: CodeDigests,
    /// Validated replacement for the whole lines `start_line..=end_line`; `None` if there is no validated
    /// replacement. A model's replacement is validated again at each head.
    pub suggestion: Option<SuggestedFix>,
    pub source: FindingSource,
    /// Names of the specialists that reported the finding; empty if the model was the only reviewer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub specialists: Vec<String>,
}

/// Line that precedes an unvalidated replacement in the body of a model's finding.
const UNVERIFIED_SUGGESTION_INTRO: &str = "Proposed replacement, which Truing has not verified:";

impl RawFinding {
    /// Replaces the unvalidated suggestion by a code block at the end of the body. Readers cannot apply this
    /// block with one click. `visible_replacement` is the visible part of the replacement.
    #[must_use]
    pub fn with_unproven_suggestion(mut self, visible_replacement: &str) -> Self {
        self.suggestion = None;
        let body = self.body_without_suggestion();
        // The fence is longer than any run of back ticks in the text.
        let longest = visible_replacement.split(|letter| letter != '`').map(str::len).max().unwrap_or(0);
        let fence = "`".repeat(longest.max(2) + 1);
        let lines =
            if visible_replacement.is_empty() { String::new() } else { format!("{visible_replacement}\n") };
        self.body = format!("{body}\n\n{UNVERIFIED_SUGGESTION_INTRO}\n\n{fence}\n{lines}{fence}");
        self
    }

    /// Returns the body without an unvalidated replacement. The replacement is removed because it is not part
    /// of the finding's identity.
    pub fn body_without_suggestion(&self) -> &str {
        match (self.source, self.body.split_once(UNVERIFIED_SUGGESTION_INTRO)) {
            (FindingSource::Agent, Some((own, _))) => own.trim_end(),
            (FindingSource::Agent | FindingSource::Rule | FindingSource::Tool, _) => &self.body,
        }
    }

    /// Returns the name of the tool that reported the finding; `None` if one of Truing's rules or a model
    /// reported it.
    pub fn tool(&self) -> Option<&str> {
        match self.source {
            FindingSource::Tool => {
                Some(self.rule.split_once('/').map_or(self.rule.as_str(), |(tool, _)| tool))
            }
            FindingSource::Rule | FindingSource::Agent => None,
        }
    }

    /// Returns the rule's name. For a tool's finding, this is the name that the tool uses; for a rule pack or
    /// a model, the full rule id.
    pub fn rule_name(&self) -> &str {
        let own = self.tool().and_then(|tool| self.rule.strip_prefix(tool)?.strip_prefix('/'));
        own.unwrap_or(&self.rule)
    }
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SuggestedFix {
    /// New text of the lines, without the last line end.
    pub replacement: String,
}

/// Status of a finding.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "status", content = "reason")]
pub enum FindingStatus {
    /// The finding is present.
    Open,
    /// The author claims that the finding is fixed; the fix is not yet verified.
    Claimed,
    /// The finding is no longer present; this was verified at this head.
    Fixed(Sha),
    /// The finding is no longer part of the review: the change does not affect its lines, or its rule is
    /// disabled.
    #[serde(rename = "outside")]
    OutOfScope,
    /// A comment in the code suppresses the finding and gives this reason. The code of the finding may be
    /// unchanged.
    Suppressed(String),
    /// The author declined to fix the finding, for this reason.
    Declined(String),
    /// A person dismissed the finding, for this reason. The dismissal applies until the finding's code
    /// changes.
    Dismissed(String),
}

/// A finding with its identity, as recorded and displayed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Finding {
    /// Durable id, stable across reviews.
    pub id: FindingId,
    /// Fingerprint at the head where the finding was last seen.
    pub fingerprint: Fingerprint,
    /// The finding as last reported.
    pub raw: RawFinding,
    /// Path of the file before the change, if it was renamed.
    pub old_path: Option<RepoPath>,
    /// Position of the comment: on the finding's lines, on the file, or only in the summary.
    pub anchor: AnchorKind,
    /// Lines of the comment: all lines of the finding. For the anchor `Inline`, only those lines that are in
    /// one hunk.
    #[serde(rename = "at")]
    pub comment_location: CodeLocation,
    pub status: FindingStatus,
    /// Lines before and after a model's finding when it was last seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(rename = "around")]
    pub surrounding_lines: Option<SurroundingLines>,
    /// Reason why the review could not verify that this open finding is still present; `None` if the review
    /// verified it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unverified: Option<UnverifiedReason>,
    /// Branches or working trees on which local reviews saw a model's finding, with the most recent sighting
    /// last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub seen_on: Vec<BranchSighting>,
    /// Evidence from the most recent fix of a model's finding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<FixEvidence>,
}

/// Lines that show that a finding is fixed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FixEvidence {
    /// File that contains the lines.
    pub path: RepoPath,
    /// First line; 0 if the file is deleted.
    pub start_line: u32,
    pub end_line: u32,
    /// Text of the lines, without secrets.
    pub text: String,
    /// Hash of the added code that fixes the finding; `None` if the fix changed or removed the finding's own
    /// lines. If this code is removed, the finding is present again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<u32>,
}

impl FixEvidence {
    /// Creates the evidence from the text of the lines `start_line` to `end_line` of a file.
    pub fn new(path: &RepoPath, start_line: u32, end_line: u32, lines: &[&str]) -> Self {
        let text = lines.iter().take(MAX_SNIPPET_LINES).copied().collect::<Vec<_>>().join("\n");
        Self { path: path.clone(), start_line, end_line, text, mark: None }
    }
}

/// A branch or working tree of a local repository on which a finding was seen.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BranchSighting {
    /// Name of the reviewed line of work: a branch, the index of a branch, or a commit.
    pub line: String,
    /// Commit that was checked out or reviewed at the last sighting.
    pub commit: Sha,
    /// True if the finding is open on this branch or working tree.
    pub is_open: bool,
    /// True if the finding was closed on this branch or working tree because the change no longer contained
    /// its lines.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_outside: bool,
}

impl Finding {
    pub fn is_open(&self) -> bool {
        matches!(self.status, FindingStatus::Open)
    }
}

/// Returns the fingerprint of a raw finding: version `1:` and 128 bits of SHA-256 over rule, path and
/// snippet, each followed by a NUL. White space in the snippet is folded.
///
/// Reindenting the lines or moving them within the file does not change the fingerprint:
///
/// ```
/// use truing_core::finding::fingerprint;
/// let path = "src/a.py".into();
/// assert_eq!(fingerprint("core/x", &path, "  a = 1\n    b"), fingerprint("core/x", &path, "a = 1\n\tb  "));
/// assert_ne!(fingerprint("core/x", &path, "a = 1"), fingerprint("core/x", &path, "a = 2"));
/// ```
pub fn fingerprint(rule: &str, path: &RepoPath, snippet: &str) -> Fingerprint {
    let mut hash = Sha256::new();
    hash.update(rule.as_bytes());
    hash.update([0]);
    hash.update(path.as_bytes());
    hash.update([0]);
    for line in snippet.lines() {
        for word in line.split_whitespace() {
            hash.update(word.as_bytes());
            hash.update(b" ");
        }
        hash.update(b"\n");
    }
    let digest = hash.finalize();
    Fingerprint::new(format!("1:{}", hex::encode(digest.get(..16).unwrap_or(&digest))))
}
