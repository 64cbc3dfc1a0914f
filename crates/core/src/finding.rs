//! Findings: what a rule or a model said about changed lines, and how one is recognised again.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use truing_diff::RepoPath;
pub use truing_diff::{AnchorKind, DiffSide};

use crate::code::CodeDigests;
use crate::id::{FindingId, Fingerprint, Sha};
use crate::recheck::{MAX_SNIPPET_LINES, SurroundingLines, UnverifiedReason};

/// How bad it is. `P0` is worst.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Severity {
    /// Must not be merged: a leaked secret, broken code.
    P0,
    /// Should be mended before merging; blocks by default.
    P1,
    /// Worth knowing.
    P2,
}

impl Severity {
    /// All, worst first.
    pub const ALL: [Self; 3] = [Self::P0, Self::P1, Self::P2];

    /// `P0`, `P1` or `P2`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::P0 => "P0",
            Self::P1 => "P1",
            Self::P2 => "P2",
        }
    }
}

/// The kind of defect: the letters of spec/converge.md 3.1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum DefectCategory {
    /// API contract.
    A,
    /// Selector, query and engine compatibility.
    B,
    /// Resource cleanup and lifecycle.
    C,
    /// Scoping, ordering, unbound references.
    D,
    /// Dead code.
    E,
    /// Silent failures.
    F,
    /// Bounds and overflow.
    G,
    /// Security boundaries.
    H,
    /// Concurrency hazards.
    I,
    /// Magic values, configuration drift, code rules.
    J,
}

/// Who said it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingSource {
    /// A rule of a pack.
    Rule,
    /// A tool that the team runs: its name is before the first `/` of the rule, its own rule behind it.
    Tool,
    /// A model, with what it said compared with the files.
    Agent,
}

/// Where in a file a finding is: 1-based, inclusive, `start_line <= end_line`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct CodeLocation {
    /// The file at the head (`DiffSide::New`), or before the change (`DiffSide::Old`).
    pub path: RepoPath,
    /// Which side the lines count on.
    pub side: DiffSide,
    /// First line.
    pub start_line: u32,
    /// Last line.
    pub end_line: u32,
}

/// What a reader reports, before it has an identity.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RawFinding {
    /// Where.
    pub place: CodeLocation,
    /// How bad.
    pub severity: Severity,
    /// What kind.
    pub category: DefectCategory,
    /// `pack/rule`; of a model's, `agent/` and what kind of defect it is.
    pub rule: String,
    /// One line.
    pub title: String,
    /// Why it matters and what to do, in Markdown.
    pub body: String,
    /// The lines it is about, without line ends and secrets: identity is made of them, and text output shows them.
    pub snippet: String,
    /// Distinguishes its lines from others with the same snippet.
    #[serde(default, skip_serializing_if = "CodeDigests::is_empty")]
    pub code: CodeDigests,
    /// Replacement of the whole lines `start_line..=end_line`, if one was proven: a model's at each head anew.
    pub suggestion: Option<SuggestedFix>,
    /// Who said it.
    pub source: FindingSource,
}

/// Stands in the body of a model's finding before a replacement that was not proven, on a line of its own.
const PROPOSED: &str = "Proposed replacement, not proven to fit:";

impl RawFinding {
    /// Without its suggestion, which is not proven: it is shown as code at the end of the body, which no reader can apply with
    /// one click. `shown`: as much of it as is to be seen.
    #[must_use]
    pub fn unproven(mut self, shown: &str) -> Self {
        self.suggestion = None;
        let body = self.own_body();
        // No run of back ticks in it is as long as the fence.
        let longest = shown.split(|letter| letter != '`').map(str::len).max().unwrap_or(0);
        let fence = "`".repeat(longest.max(2) + 1);
        let lines = if shown.is_empty() { String::new() } else { format!("{shown}\n") };
        self.body = format!("{body}\n\n{PROPOSED}\n\n{fence}\n{lines}{fence}");
        self
    }

    /// The body without a replacement that was not proven: the text of a fix is no part of a finding's identity.
    pub fn own_body(&self) -> &str {
        match (self.source, self.body.split_once(PROPOSED)) {
            (FindingSource::Agent, Some((own, _))) => own.trim_end(),
            (FindingSource::Agent | FindingSource::Rule | FindingSource::Tool, _) => &self.body,
        }
    }

    /// The tool that said it; none: a rule of ours, or a model.
    pub fn tool(&self) -> Option<&str> {
        match self.source {
            FindingSource::Tool => {
                Some(self.rule.split_once('/').map_or(self.rule.as_str(), |(tool, _)| tool))
            }
            FindingSource::Rule | FindingSource::Agent => None,
        }
    }

    /// The rule as whoever said it names it: of a tool its own, of our packs and of models with what it is of.
    pub fn own_rule(&self) -> &str {
        let own = self.tool().and_then(|tool| self.rule.strip_prefix(tool)?.strip_prefix('/'));
        own.unwrap_or(&self.rule)
    }
}

/// A proposed replacement.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SuggestedFix {
    /// The new text of the lines, without the last line end.
    pub replacement: String,
}

/// What became of a finding (design.md section 4).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "status", content = "reason")]
pub enum FindingStatus {
    /// It is there.
    Open,
    /// Somebody says it is mended; not yet verified.
    Claimed,
    /// Gone, verified at this head.
    Fixed(Sha),
    /// It is no part of the review any more: the change has left its lines as they are, or its rule is not used.
    Outside,
    /// A comment in the code suppresses it, with the reason: the code that it is about may be as it was.
    Suppressed(String),
    /// Its author will not mend it, with the reason.
    Declined(String),
    /// A person told us to be quiet about it, with the reason; until the code under it changes.
    Dismissed(String),
}

/// A finding with its identity: what is recorded and shown.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Finding {
    /// Durable id.
    pub id: FindingId,
    /// Fingerprint at the head it was last seen at.
    pub fingerprint: Fingerprint,
    /// What was said.
    pub raw: RawFinding,
    /// The file's name before the change, if it was renamed.
    pub old_path: Option<RepoPath>,
    /// How near a comment can be placed.
    pub anchor: AnchorKind,
    /// Where: the finding's own place, or with `Inline` the part of it that lies in one hunk.
    pub at: CodeLocation,
    /// What became of it.
    pub status: FindingStatus,
    /// The lines beside a model's finding, as they were when it was last seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub around: Option<SurroundingLines>,
    /// It is open, and nobody knows whether it is still there, because of this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unverified: Option<UnverifiedReason>,
    /// The lines of work on which local reviews saw a model's finding, the latest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub seen_on: Vec<BranchSighting>,
    /// What showed that a model's finding is fixed, when it was last found to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<FixEvidence>,
}

/// Lines that show that a finding is fixed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FixEvidence {
    /// Their file.
    pub path: RepoPath,
    /// First line; 0: the file is deleted.
    pub start_line: u32,
    /// Last line.
    pub end_line: u32,
    /// The lines, without secrets.
    pub text: String,
    /// The finding's own lines were left as they were, and this was new: with it gone, the finding is back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<u32>,
}

impl FixEvidence {
    /// These lines of a file, first and last.
    pub fn of(path: &RepoPath, (start_line, end_line): (u32, u32), lines: &[&str]) -> Self {
        let text = lines.iter().take(MAX_SNIPPET_LINES).copied().collect::<Vec<_>>().join("\n");
        Self { path: path.clone(), start_line, end_line, text, mark: None }
    }
}

/// A line of work of a local repository on which a finding was seen.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BranchSighting {
    /// Its name: a branch, its index, a commit.
    pub line: String,
    /// The commit that was checked out, or reviewed, when it was seen last.
    pub commit: Sha,
    /// Is it open there?
    pub is_open: bool,
    /// It is not open there because its lines had left the change.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_outside: bool,
}

impl Finding {
    /// Is it there, for all we know?
    pub fn is_open(&self) -> bool {
        matches!(self.status, FindingStatus::Open)
    }
}

/// The fingerprint of a raw finding: version `1:` and 128 bits of SHA-256 over rule, path and the snippet
/// with its white space folded, each ended by NUL (design.md section 4).
///
/// Reindenting the lines or moving them within the file changes nothing:
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
