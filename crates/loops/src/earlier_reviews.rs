//! The earlier reviews of a change: the open findings, and the present status of these findings at the head.
//! The prompt shows these findings to a model, and the model must give a verdict on each finding that a model
//! reported. [`truing_core::recheck`] determines the status, with or without a model.

use std::collections::BTreeSet;
use std::path::Path;

use truing_core::dismissal::short_id;
use truing_core::finding::{Finding, FindingSource, RawFinding};
use truing_core::id::{FindingId, Sha};
use truing_core::identity::PlacedFinding;
use truing_core::increment::FileRenames;
use truing_core::line;
use truing_core::outcome::SkipReason;
use truing_core::recheck::{self, FollowOutcome, HeadView, RecheckSummary, ReviewerReport};
use truing_diff::{FileStatus, RepoPath, parse};
use truing_reader::FileTree;
use truing_reader::mask::{MASK, mask_secrets};
use truing_reader::redact::FileSecrets;

use super::desired_state::sort_worst_first;
use super::reading::{self, ReadingOutcome, ReviewedChange};

/// Maximum number of open findings in a model's prompt. Further findings get no verdict and stay open.
pub const MAX_PROMPT_FINDINGS: usize = 100;
/// Maximum size of the open findings in the prompt, in bytes.
const MAX_OPEN_FINDINGS_BYTES: usize = 48 << 10;
/// Maximum number of characters of a finding's body in the prompt.
const MAX_BODY_CHARS: usize = 600;
/// Maximum number of characters of a path or a title.
const MAX_PATH_OR_TITLE_CHARS: usize = 300;

/// Text that replaces the id of an unknown commit.
pub const UNKNOWN_COMMIT: &str = "unknown";

/// The results of earlier reviews of the change.
#[derive(Clone, Debug, Default)]
pub struct EarlierReviews {
    /// Every known finding of the change.
    pub known_findings: Vec<Finding>,
    /// The commit that was reviewed last, if there was one.
    pub last_reviewed_head: Option<Sha>,
    /// A text for the model about the commits and lines that were added since the last review.
    pub later_changes: String,
    /// The names that files had at the last review.
    pub renames: FileRenames,
    /// The findings that were seen only on another line of work, or may have been seen only in the working
    /// tree of the reviewed commit. Such a finding counts only if the head contains its lines unchanged.
    pub other_branch_findings: BTreeSet<FindingId>,
}

impl EarlierReviews {
    /// Returns the findings on which a model must give a verdict, worst first.
    pub fn findings_to_recheck(&self) -> Vec<&Finding> {
        let mut owed = sort_worst_first(recheck::findings_to_recheck(&self.known_findings));
        owed.truncate(MAX_PROMPT_FINDINGS);
        owed
    }

    /// True if the model must know about an earlier review.
    pub fn has_earlier_review(&self) -> bool {
        self.last_reviewed_head.is_some()
            || recheck::findings_to_recheck(&self.known_findings).next().is_some()
    }

    /// Returns the files that are inspected again, even if the change no longer contains them. These are the
    /// files of a model's findings, the files of open findings that belong to a line of work, and the files
    /// with the evidence of their fixes.
    pub fn recheck_paths(&self) -> Vec<RepoPath> {
        let is_of_line = |finding: &Finding| finding.is_open() && !finding.seen_on.is_empty();
        let is_looked_at =
            |finding: &&Finding| finding.raw.source == FindingSource::Agent || is_of_line(finding);
        let of_one = |finding: &Finding| {
            let shown = finding.evidence.as_ref().map(|evidence| evidence.path.clone());
            std::iter::once(finding.raw.location.path.clone()).chain(shown)
        };
        let paths: BTreeSet<RepoPath> =
            self.known_findings.iter().filter(is_looked_at).flat_map(of_one).collect();
        paths.into_iter().filter(RepoPath::is_safe_to_write).collect()
    }

    /// Returns these reviews with the findings that count at the head; other findings are omitted. A closed
    /// finding of a model is reopened if it applies again ([`recheck::reopen_findings`]).
    pub(super) fn follow_to_head(
        &self,
        tree: &Path,
        change: &ReviewedChange,
        reading: &ReadingOutcome,
    ) -> Self {
        let mut earlier = self.clone();
        let files = RedactedFiles::new(tree);
        let changed = readable_paths(reading);
        let head = head_view(&files, &changed, change, reading);
        let is_there = |finding: &Finding| {
            matches!(recheck::locate_at_head(finding, &head), FollowOutcome::Found { .. })
        };
        earlier
            .known_findings
            .retain(|finding| !self.other_branch_findings.contains(&finding.id) || is_there(finding));
        recheck::reopen_findings(&mut earlier.known_findings, &head);
        earlier
    }

    /// Formats the open findings for a model's prompt.
    pub(super) fn render_open_findings(
        &self,
        tree: &Path,
        change: &ReviewedChange,
        reading: &ReadingOutcome,
    ) -> String {
        let files = RedactedFiles::new(tree);
        let changed = readable_paths(reading);
        let head = head_view(&files, &changed, change, reading);
        let mut text = String::new();
        for finding in self.findings_to_recheck() {
            let one = render_earlier_finding(finding, &recheck::locate_at_head(finding, &head));
            if text.len() + one.len() > MAX_OPEN_FINDINGS_BYTES {
                break;
            }
            text.push_str(&one);
        }
        text
    }
}

/// Formats one finding: its id, its description, its current location, and its lines as they were seen last.
fn render_earlier_finding(finding: &Finding, outcome: &FollowOutcome) -> String {
    let raw = &finding.raw;
    let name = |path: &RepoPath| line::clean_line(&path.to_string(), MAX_PATH_OR_TITLE_CHARS);
    let place = match outcome {
        FollowOutcome::Found { path, start, end } => {
            format!("{}, lines {start} to {end}: unchanged; look at the lines around them, too", name(path))
        }
        FollowOutcome::Changed { path, start, end, .. } if start <= end => {
            format!("{}: changed; look at lines {start} to {end}", name(path))
        }
        FollowOutcome::Changed { path, end, .. } => {
            format!("{}: the lines no longer exist; look at the lines around line {end}", name(path))
        }
        FollowOutcome::NotFound { path } => format!("{}: changed; look at the whole file", name(path)),
        FollowOutcome::NoFile => format!("{}: the file no longer exists", name(&raw.location.path)),
    };
    let severity = raw.severity.as_str();
    let title = line::clean_line(&raw.title, MAX_PATH_OR_TITLE_CHARS);
    let body = line::clean_line(&raw.body, MAX_BODY_CHARS);
    let was: String = raw.snippet.lines().map(|line| format!("    | {line}\n")).collect();
    format!(
        "id: {}\n{severity}, {}: {title}\n{body}\n{place}\nits lines when it was last seen:\n{was}\n",
        short_id(&finding.id),
        raw.rule
    )
}

/// Determines the status of findings of earlier reviews. The rules must have read the files below `tree`, and
/// all reviewers must have completed their reports.
pub(super) fn recheck_findings(
    earlier: &EarlierReviews,
    tree: &Path,
    change: &ReviewedChange,
    reading: &mut ReadingOutcome,
    mut reviewers: Vec<ReviewerReport>,
) -> RecheckSummary {
    let files = RedactedFiles::new(tree);
    let changed = readable_paths(reading);
    let mut found = std::mem::take(&mut reading.findings);
    let rechecked = {
        let head = head_view(&files, &changed, change, reading);
        // A finding's lines are stored without secrets. Secrets are therefore also removed from the lines
        // that a verdict quotes, before these lines are compared.
        for verdict in reviewers.iter_mut().flat_map(|reviewer| &mut reviewer.verdicts) {
            let finding = earlier.known_findings.iter().find(|finding| finding.id == verdict.finding);
            let went = finding.map(|finding| recheck::locate_at_head(finding, &head));
            if let Some(path) = went.as_ref().and_then(FollowOutcome::path) {
                verdict.excerpt = files.redact_text(path, &verdict.excerpt);
            }
        }
        let sections = reading::diff_sections(&change.diff);
        let place = |raw: RawFinding| -> PlacedFinding {
            let old_path = reading::old_path(&sections, &raw.location.path);
            reading::place_finding(&sections, raw, old_path)
        };
        recheck::recheck(&earlier.known_findings, &mut found, &reviewers, &head, place)
    };
    reading.findings = found;
    let RecheckSummary {
        applied_rules: rules,
        disabled_rules: off,
        rules_replaced_by_linters: left_to_linters,
        tools,
        base_fingerprints: old,
        ..
    } = std::mem::take(&mut reading.recheck_summary);
    RecheckSummary {
        applied_rules: rules,
        disabled_rules: off,
        rules_replaced_by_linters: left_to_linters,
        tools,
        base_fingerprints: old,
        ..rechecked
    }
}

/// Returns the changed files that can be read.
fn readable_paths(reading: &ReadingOutcome) -> Vec<RepoPath> {
    let not_shown = reading.coverage.not_reviewed.iter().filter(|gap| gap.reason == SkipReason::NotShown);
    reading.coverage.reviewed.iter().chain(not_shown.map(|gap| &gap.path)).cloned().collect()
}

fn head_view<'a>(
    files: &'a RedactedFiles,
    changed_paths: &'a [RepoPath],
    change: &ReviewedChange,
    reading: &'a ReadingOutcome,
) -> HeadView<'a, impl Fn(&RepoPath) -> Option<String> + 'a> {
    // The diff can be parsed here, because a damaged diff was already rejected.
    let mut added = reading::relevant_lines_by_file(change).unwrap_or_default();
    let deleted = parse(&change.diff).files.into_iter().filter(|file| file.status == FileStatus::Deleted);
    let mut deleted: BTreeSet<RepoPath> = deleted.map(|file| file.path).collect();
    let gaps = reading.coverage.not_reviewed.iter().filter(|gap| gap.reason != SkipReason::Deleted);
    for gap in gaps {
        added.entry(gap.path.clone()).or_default();
    }
    // A change of a file's type appears as a deletion and an addition with the same path. Such a file still
    // exists, so it does not count as deleted.
    deleted.retain(|path| !added.contains_key(path));
    HeadView::new(
        |path: &RepoPath| files.redacted_text(path),
        changed_paths,
        added,
        deleted,
        &reading.renames,
    )
}

/// The files at the head. Secrets are removed from their text.
struct RedactedFiles(Option<FileTree>);

impl RedactedFiles {
    fn new(tree: &Path) -> Self {
        Self(FileTree::open(tree).ok())
    }

    fn raw_text(&self, path: &RepoPath) -> Option<String> {
        self.0.as_ref()?.read_text(path)
    }

    fn redacted_text(&self, path: &RepoPath) -> Option<String> {
        let raw = self.raw_text(path)?;
        Some(FileSecrets::from_text(&raw).hide_secrets(&raw))
    }

    fn redact_text(&self, path: &RepoPath, review_text: &str) -> String {
        let Some(text) = self.raw_text(path) else { return review_text.to_owned() };
        let quoted = FileSecrets::from_text(&text);
        // A model sees fully masked secrets and quotes lines in this form, but stored lines contain the first
        // characters of each secret. The quoted lines are therefore converted to the form of the stored
        // lines.
        let (masked, hidden) = (mask_secrets(&text), quoted.hide_secrets(&text));
        let line = |review_text: &str| {
            let at = masked
                .lines()
                .position(|line| review_text.contains(MASK) && line.trim() == review_text.trim());
            at.and_then(|at| hidden.lines().nth(at)).unwrap_or(review_text).to_owned()
        };
        quoted.hide_secrets(&review_text.lines().map(line).collect::<Vec<_>>().join("\n"))
    }
}
