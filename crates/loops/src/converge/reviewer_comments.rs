//! Converts a comment of another reviewer to a finding for a fixer. The text of the comment is untrusted
//! data.

use truing_core::code_digest::CodeDigests;
use truing_core::converge::{AuditorFinding, LineOrigin};
use truing_core::finding::{
    AnchorKind, CodeLocation, DefectCategory, DiffSide, FindingSource, RawFinding, Severity,
};
use truing_core::identity::{FindingFacts, PlacedFinding};
use truing_core::line;
use truing_diff::RepoPath;
use truing_reader::redact::redact_secrets;

/// Prefix of the rule name that a reviewer's finding has. The rest of the rule name is the id of the first
/// comment in the thread.
pub(super) const REVIEWER_RULE_PREFIX: &str = "reviewer/";
/// Maximum number of bytes of a reviewer's comment in a fixer's prompt.
const MAX_COMMENT_BYTES: usize = 4 << 10;
/// Maximum number of characters of a finding's title.
pub(super) const MAX_TITLE_CHARS: usize = 120;

/// Creates the finding for a comment on a line. `snippet` is the text of this line.
pub(super) fn finding_from_comment(
    rule: String,
    path: RepoPath,
    line_number: u32,
    snippet: &str,
    comment: &str,
) -> AuditorFinding {
    let comment = redact_secrets(comment);
    let body = comment.get(..comment.floor_char_boundary(MAX_COMMENT_BYTES)).unwrap_or_default().to_owned();
    let first = body.lines().find(|line| !line.trim().is_empty()).unwrap_or("a reviewer requested a change");
    let place = CodeLocation { path, side: DiffSide::New, start_line: line_number, end_line: line_number };
    let raw = RawFinding {
        location: place.clone(),
        severity: Severity::P1,
        category: DefectCategory::J,
        rule,
        title: line::clean_line(first.trim(), MAX_TITLE_CHARS),
        body,
        snippet: snippet.to_owned(),
        code: CodeDigests::default(),
        suggestion: None,
        source: FindingSource::Agent,
        specialists: Vec::new(),
    };
    let anchor = AnchorKind::Summary;
    let placed = PlacedFinding {
        raw,
        anchor,
        comment_location: place,
        old_path: None,
        sighting: FindingFacts::default(),
    };
    AuditorFinding { placed, origin: LineOrigin::Change }
}
