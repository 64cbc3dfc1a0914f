//! Matches current findings with those of earlier reviews.
//!
//! Findings of each file are matched in two passes. The first pass matches findings with equal fingerprints.
//! If several findings of a file have the same fingerprint, the digests of their code and of the tool's own
//! fingerprint distinguish them. Findings that are still equal are matched with the finding on the nearest
//! lines, and an ordinal distinguishes their ids.
//!
//! The second pass matches the remaining findings by similarity (see [`similarity`]). Similarity is not
//! transitive, so the pass does not form groups. It matches each finding with at most one earlier finding,
//! such that the sum of the similarities is greatest. The order of the input has no effect on the result. A
//! new id is derived from the fingerprint alone, so a run without records assigns the same ids.

mod assign;
mod similar;
mod text_tokens;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use truing_diff::RepoPath;

pub use similar::{ComparableFinding, MIN_SAME_SCORE, similarity};

use crate::code_digest::CodeDigests;
use crate::dismissal::is_same_code;
use crate::finding::{
    AnchorKind, CodeLocation, Finding, FindingSource, FindingStatus, RawFinding, fingerprint,
};
use crate::id::{FindingId, Fingerprint, Sha};
use crate::increment::FileRenames;
use crate::outcome::ReviewCoverage;
use crate::recheck::{SurroundingLines, UnverifiedReason};
use assign::{MAX_MATRIX_CELLS, max_weight_assignment};

/// A raw finding with the position of its comment in the diff.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PlacedFinding {
    pub raw: RawFinding,
    /// Position of the comment: on the finding's lines, on the file, or only in the summary.
    pub anchor: AnchorKind,
    /// Lines of the comment: all lines of the finding. For the anchor `Inline`, only those lines that are in
    /// one hunk.
    #[serde(rename = "at")]
    pub comment_location: CodeLocation,
    /// Path of the file before the change, if it was renamed.
    pub old_path: Option<RepoPath>,
    pub sighting: FindingFacts,
}

/// Facts about a finding other than its position.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct FindingFacts {
    /// Id of the same finding in an earlier review, if known.
    #[serde(rename = "of")]
    pub earlier_id: Option<FindingId>,
    /// Lines above and below the finding.
    #[serde(rename = "around")]
    pub surrounding_lines: Option<SurroundingLines>,
    /// Reason why the review could not verify that the finding is still present; `None` if the review
    /// verified it.
    pub unverified: Option<UnverifiedReason>,
    /// Reason that the suppression comment gives, if a comment suppresses this finding of a rule.
    pub suppressed: Option<String>,
}

/// Findings of the current review, and earlier findings that this review did not find again.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct IdentifiedFindings {
    /// Findings of this review in the given order. Each finding is open or suppressed, or keeps a person's
    /// decision (dismissed, declined).
    pub current: Vec<Finding>,
    /// Earlier findings that were not found again. If the review read the finding's file at the head, the
    /// status is updated, usually to fixed. Otherwise the status is unchanged.
    pub missing_findings: Vec<Finding>,
}

impl IdentifiedFindings {
    /// Joins both lists, for the records.
    pub fn into_findings(self) -> Vec<Finding> {
        let mut all = self.current;
        all.extend(self.missing_findings);
        all
    }
}

/// Assigns ids to the current findings.
///
/// `head` is the commit that was reviewed. For a working tree, `head` is `None`, and no finding becomes
/// fixed. For a commit, a missing open finding becomes fixed, except if `coverage` shows that its file was
/// not read. `renames` lists the earlier names of files.
pub fn assign_finding_ids(
    known_findings: &[Finding],
    current_findings: Vec<PlacedFinding>,
    head: Option<&Sha>,
    coverage: &ReviewCoverage,
    renames: &FileRenames,
) -> IdentifiedFindings {
    let mut known_findings: Vec<&Finding> = known_findings.iter().collect();
    known_findings.sort_by_key(|finding| (finding.raw.location.start_line, &finding.id));
    let prints: Vec<Fingerprint> = current_findings
        .iter()
        .map(|placed| fingerprint(&placed.raw.rule, &placed.raw.location.path, &placed.raw.snippet))
        .collect();
    // The findings are sorted by path and lines, so the input order has no effect.
    let mut order: Vec<usize> = (0..current_findings.len()).collect();
    order.sort_by_cached_key(|&at| sort_key(&current_findings[at]));

    let mut before: Vec<Option<&Finding>> = current_findings
        .iter()
        .map(|placed| {
            known_findings
                .iter()
                .find(|known_findings| Some(&known_findings.id) == placed.sighting.earlier_id.as_ref())
                .copied()
        })
        .collect();
    // The tool's own fingerprint decides between findings that are otherwise equal.
    let none = |_: &CodeDigests| CodeDigests::default();
    for form in [CodeDigests::clone, CodeDigests::without_tool, CodeDigests::with_tool_only, none] {
        match_by_code(&known_findings, &current_findings, &prints, form, &order, &mut before);
    }
    match_by_similarity(&known_findings, &current_findings, renames, &order, &mut before);

    let taken: BTreeSet<&FindingId> = before.iter().flatten().map(|finding| &finding.id).collect();
    let gone = known_findings.iter().filter(|finding| !taken.contains(&finding.id));
    let gone =
        gone.map(|finding| update_missing_finding((*finding).clone(), head, coverage, renames)).collect();
    let mut ids: BTreeSet<FindingId> = known_findings.iter().map(|finding| finding.id.clone()).collect();
    let mut named: Vec<Option<FindingId>> = vec![None; current_findings.len()];
    let mut next = BTreeMap::new();
    for at in order {
        let new = || first_free_id(&prints[at], &ids, next.entry(&prints[at]).or_insert(1));
        let id = before[at].map_or_else(new, |finding| finding.id.clone());
        ids.insert(id.clone());
        named[at] = Some(id);
    }
    let current = current_findings.into_iter().zip(prints).zip(named.into_iter().zip(before));
    let current = current.filter_map(|((placed, print), (id, before))| {
        let status = next_finding_status(before, &placed);
        let PlacedFinding { raw, anchor, comment_location: at, old_path, sighting } = placed;
        let FindingFacts { earlier_id: _, surrounding_lines: around, unverified, suppressed: _ } = sighting;
        let seen_on = before.map(|before| before.seen_on.clone()).unwrap_or_default();
        let finding = Finding {
            id: id?,
            fingerprint: print,
            raw,
            old_path,
            anchor,
            comment_location: at,
            status,
            surrounding_lines: around,
            unverified,
            seen_on,
            evidence: None,
        };
        Some(finding)
    });
    IdentifiedFindings { current: current.collect(), missing_findings: gone }
}

/// Sort key: path and lines of the finding, then its content.
fn sort_key(placed: &PlacedFinding) -> impl Ord + use<> {
    let RawFinding { location: place, rule, title, body, snippet, code, .. } = placed.raw.clone();
    (
        place.path,
        place.start_line,
        place.end_line,
        place.side,
        rule,
        snippet,
        title,
        body,
        placed.old_path.clone(),
        code,
    )
}

/// First pass: matches findings with equal fingerprints and equal digests, and minimises the sum of the
/// distances between matched lines. `reduce_digests` selects the digests that are compared.
fn match_by_code<'a>(
    known_findings: &[&'a Finding],
    current_findings: &[PlacedFinding],
    fingerprints: &[Fingerprint],
    reduce_digests: fn(&CodeDigests) -> CodeDigests,
    sorted_indices: &[usize],
    matches: &mut [Option<&'a Finding>],
) {
    let taken: BTreeSet<&FindingId> = matches.iter().flatten().map(|finding| &finding.id).collect();
    let mut yesterday: BTreeMap<(&Fingerprint, CodeDigests), Vec<&'a Finding>> = BTreeMap::new();
    for finding in known_findings.iter().filter(|finding| !taken.contains(&finding.id)) {
        yesterday.entry((&finding.fingerprint, reduce_digests(&finding.raw.code))).or_default().push(finding);
    }
    let mut today: BTreeMap<(&Fingerprint, CodeDigests), Vec<usize>> = BTreeMap::new();
    for &at in sorted_indices.iter().filter(|&&at| matches[at].is_none()) {
        today
            .entry((&fingerprints[at], reduce_digests(&current_findings[at].raw.code)))
            .or_default()
            .push(at);
    }
    for (print, rows) in today {
        let Some(columns) = yesterday.get(&print) else { continue };
        if rows.len() * columns.len() > MAX_MATRIX_CELLS {
            rows.iter().zip(columns).for_each(|(&at, finding)| matches[at] = Some(finding));
            continue;
        }
        // Every pair has a positive weight, however distant its lines are, so as many findings as possible
        // are matched.
        let near = |at: &usize| {
            columns
                .iter()
                .map(|was| 2 * LINE_DISTANCE_BOUND - distance(&current_findings[*at], was))
                .collect()
        };
        let weights: Vec<Vec<i64>> = rows.iter().map(near).collect();
        for (at, column) in rows.iter().zip(max_weight_assignment(&weights)) {
            matches[*at] = column.and_then(|column| columns.get(column)).copied();
        }
    }
}

/// Second pass: matches the remaining findings of a file by similarity. If two matches have the same score,
/// the match with the smaller distance of lines is preferred. If a file has more than [`MAX_MATRIX_CELLS`]
/// remaining pairs, its remaining findings count as new.
fn match_by_similarity<'a>(
    known_findings: &[&'a Finding],
    current_findings: &[PlacedFinding],
    renames: &FileRenames,
    sorted_indices: &[usize],
    matches: &mut [Option<&'a Finding>],
) {
    let mut today: BTreeMap<&RepoPath, Vec<usize>> = BTreeMap::new();
    for &at in sorted_indices.iter().filter(|&&at| matches[at].is_none()) {
        today.entry(&current_findings[at].raw.location.path).or_default().push(at);
    }
    for (path, rows) in today {
        let taken: BTreeSet<&FindingId> = matches.iter().flatten().map(|finding| &finding.id).collect();
        let old_names = rows.iter().filter_map(|&at| current_findings[at].old_path.as_ref());
        let names: BTreeSet<&RepoPath> = old_names.chain(renames.old_names(path)).chain([path]).collect();
        // The file may have had a different name at the earlier review, even if its names at the base and at
        // the head are equal.
        let is_named = |finding: &Finding| {
            let old_path = finding.old_path.as_ref();
            [Some(&finding.raw.location.path), old_path]
                .into_iter()
                .flatten()
                .any(|path| names.contains(path))
        };
        let left = |finding: &&&Finding| is_named(finding) && !taken.contains(&finding.id);
        let columns: Vec<&'a Finding> = known_findings.iter().filter(left).copied().collect();
        if columns.is_empty() || rows.len() * columns.len() > MAX_MATRIX_CELLS {
            continue;
        }
        let path = path.to_string();
        let rows: Vec<(usize, ComparableFinding)> =
            rows.iter().map(|&at| (at, comparable_finding(&path, &current_findings[at].raw))).collect();
        let columns: Vec<(&Finding, ComparableFinding)> =
            columns.into_iter().map(|finding| (finding, comparable_finding(&path, &finding.raw))).collect();
        let weights: Vec<Vec<i64>> = rows
            .iter()
            .map(|(at, today)| {
                let like = |(finding, statement): &(&Finding, ComparableFinding)| {
                    let path = &finding.raw.location.path;
                    let placed = &current_findings[*at];
                    let (old, was) = (placed.old_path.as_ref(), finding.old_path.as_ref());
                    let same_file = renames.is_same_file(&placed.raw.location.path, path)
                        || old == Some(path)
                        || was.is_some() && (old == was || was == Some(&placed.raw.location.path));
                    if same_file { match_weight(placed, today, finding, statement) } else { 0 }
                };
                columns.iter().map(like).collect()
            })
            .collect();
        for ((at, _), column) in rows.iter().zip(max_weight_assignment(&weights)) {
            matches[*at] = column.and_then(|column| columns.get(column)).map(|(finding, _)| *finding);
        }
    }
}

/// A number greater than any distance of lines.
const LINE_DISTANCE_BOUND: i64 = u32::MAX as i64;

fn distance(placed: &PlacedFinding, finding: &Finding) -> i64 {
    i64::from(placed.raw.location.start_line.abs_diff(finding.raw.location.start_line))
}

/// Prepares a finding for comparison with findings in the file `path`. If the finding's file was renamed,
/// `path` is the new name.
pub fn comparable_finding(path: &str, raw: &RawFinding) -> ComparableFinding {
    let snippet = Some(raw.snippet.as_str()).filter(|snippet| !snippet.trim().is_empty());
    ComparableFinding::new(path, &format!("{}\n\n{}", raw.title, raw.body_without_suggestion()), snippet)
}

/// Returns the weight of a match in one file; 0 if the two findings do not match. The distance of the lines
/// has an effect only if scores are equal.
fn match_weight(
    placed: &PlacedFinding,
    current: &ComparableFinding,
    finding: &Finding,
    earlier: &ComparableFinding,
) -> i64 {
    if !are_comparable(&placed.raw, &finding.raw) {
        return 0;
    }
    let score = similarity(current, earlier);
    if score < MIN_SAME_SCORE {
        return 0;
    }
    // A score is less than 1. A difference of one millionth between two scores outweighs any difference of
    // distances.
    let millionths = (score * 1e6) as i64;
    millionths * 2 * LINE_DISTANCE_BOUND + LINE_DISTANCE_BOUND - distance(placed, finding)
}

/// Returns true if two findings may be the same. Both findings must be on the same side of the diff. If both
/// come from a rule or a tool, their rules must be equal; otherwise their categories must be equal.
fn are_comparable(a: &RawFinding, b: &RawFinding) -> bool {
    let ruled = |raw: &RawFinding| match raw.source {
        FindingSource::Rule | FindingSource::Tool => !raw.rule.is_empty(),
        FindingSource::Agent => false,
    };
    let agree = if ruled(a) && ruled(b) { a.rule == b.rule } else { a.category == b.category };
    agree && a.location.side == b.location.side
}

/// Returns the status of a finding that is present. A person's decision (declined, dismissed) applies as long
/// as the finding's code is unchanged, even if the file was renamed.
fn next_finding_status(earlier: Option<&Finding>, placed: &PlacedFinding) -> FindingStatus {
    let lasting_status = earlier.map(|earlier| &earlier.status).filter(|status| match status {
        FindingStatus::Declined(_) | FindingStatus::Dismissed(_) => true,
        FindingStatus::Open
        | FindingStatus::Claimed
        | FindingStatus::Fixed(_)
        | FindingStatus::OutOfScope
        | FindingStatus::Suppressed(_) => false,
    });
    let is_same = earlier.is_some_and(|earlier| {
        let was_changed = placed.sighting.unverified.is_some() && earlier.unverified.is_none();
        is_same_code(&earlier.raw, &placed.raw) && !was_changed
    });
    match (lasting_status.filter(|_| is_same), &placed.sighting.suppressed) {
        (Some(lasting_status), _) => lasting_status.clone(),
        (None, Some(reason)) => FindingStatus::Suppressed(reason.clone()),
        (None, None) => FindingStatus::Open,
    }
}

fn update_missing_finding(
    finding: Finding,
    head: Option<&Sha>,
    coverage: &ReviewCoverage,
    renames: &FileRenames,
) -> Finding {
    let path = &finding.raw.location.path;
    let unread = coverage
        .not_reviewed
        .iter()
        .any(|gap| gap.reason.leaves_earlier_findings_undecided() && renames.is_same_file(&gap.path, path));
    let Some(head) = head.filter(|_| !unread) else { return finding };
    let status = match finding.status {
        // A missing dismissed finding becomes fixed, too. If the finding is found again with the same code,
        // its dismissal applies again.
        FindingStatus::Open | FindingStatus::Claimed | FindingStatus::Dismissed(_) => {
            FindingStatus::Fixed(head.clone())
        }
        // A missing suppressed finding becomes out of scope, not fixed, because reviews did not report the
        // finding as a problem.
        FindingStatus::Suppressed(_) => FindingStatus::OutOfScope,
        FindingStatus::Fixed(_) | FindingStatus::OutOfScope | FindingStatus::Declined(_) => finding.status,
    };
    Finding { status, ..finding }
}

/// Returns `{fingerprint}-{ordinal}` with the first free ordinal from `next_ordinal` on. The caller passes
/// the same `next_ordinal` for all findings with this fingerprint. The search therefore does not restart at 1
/// for each of them.
fn first_free_id(
    fingerprint: &Fingerprint,
    taken_ids: &BTreeSet<FindingId>,
    next_ordinal: &mut u64,
) -> FindingId {
    loop {
        let id = FindingId::new(format!("{fingerprint}-{next_ordinal}"));
        *next_ordinal += 1;
        if !taken_ids.contains(&id) {
            return id;
        }
    }
}

#[cfg(test)]
mod tests;
