//! Identity: which of today's findings is which of yesterday's (design.md section 4, "Ids").
//!
//! In two passes over each file. A finding keeps its id while its fingerprint stays the same; equal fingerprints
//! in a file are distinguished by the digests of their code and of the tool's own fingerprint, then by an ordinal, nearest lines first. What is left over on both sides is matched by
//! likeness (see [`similarity`]), one to one and so that the sum is best, because likeness is not transitive. The
//! order in which findings come changes nothing. An id is made at the first sighting from the fingerprint alone,
//! so a run without records, or one whose records were lost, gives the same ids.

mod assign;
mod similar;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use truing_diff::RepoPath;

pub use similar::{ComparableFinding, SAME, similarity};

use crate::code::CodeDigests;
use crate::dismissal::is_same_code;
use crate::finding::{
    AnchorKind, CodeLocation, Finding, FindingSource, FindingStatus, RawFinding, fingerprint,
};
use crate::id::{FindingId, Fingerprint, Sha};
use crate::increment::FileRenames;
use crate::outcome::ReviewCoverage;
use crate::recheck::{SurroundingLines, UnverifiedReason};
use assign::{MAX_CELLS, assign};

/// A raw finding with what the diff says about its place.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PlacedFinding {
    /// What was said.
    pub raw: RawFinding,
    /// How near a comment can be placed.
    pub anchor: AnchorKind,
    /// Where: the finding's own place, or with `Inline` the part of it that lies in one hunk.
    pub at: CodeLocation,
    /// The file's name before the change, if it was renamed.
    pub old_path: Option<RepoPath>,
    /// What else is known of it.
    pub sighting: FindingFacts,
}

/// The facts that are known of a finding besides its place.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct FindingFacts {
    /// The finding of an earlier review that it is, if that is known.
    pub of: Option<FindingId>,
    /// The lines beside it.
    pub around: Option<SurroundingLines>,
    /// Why nobody knows whether it is still there.
    pub unverified: Option<UnverifiedReason>,
    /// The reason of the comment that suppresses a rule's finding.
    pub suppressed: Option<String>,
}

/// Today's findings and what became of yesterday's others.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct IdentifiedFindings {
    /// What was found now, in the order given; open, as a person left it (dismissed, declined), or suppressed.
    pub current: Vec<Finding>,
    /// What is known and was not found: fixed at the head if that was verified, else as it was.
    pub gone: Vec<Finding>,
}

impl IdentifiedFindings {
    /// All, for the records.
    pub fn all(self) -> Vec<Finding> {
        let mut all = self.current;
        all.extend(self.gone);
        all
    }
}

/// Gives today's findings their ids.
///
/// `head` is the commit they were found at; without one (a working tree) nothing is called fixed. A finding that
/// is gone counts as fixed unless its file, which may have another name by now, could not be read, which `coverage`
/// tells.
pub fn identify(
    known: &[Finding],
    found: Vec<PlacedFinding>,
    head: Option<&Sha>,
    (coverage, renames): (&ReviewCoverage, &FileRenames),
) -> IdentifiedFindings {
    let mut known: Vec<&Finding> = known.iter().collect();
    known.sort_by_key(|finding| (finding.raw.place.start_line, &finding.id));
    let prints: Vec<Fingerprint> = found
        .iter()
        .map(|placed| fingerprint(&placed.raw.rule, &placed.raw.place.path, &placed.raw.snippet))
        .collect();
    // Today's findings by place, so that the order they came in changes nothing.
    let mut order: Vec<usize> = (0..found.len()).collect();
    order.sort_by_cached_key(|&at| sort_key(&found[at]));

    let mut before: Vec<Option<&Finding>> = found
        .iter()
        .map(|placed| known.iter().find(|known| Some(&known.id) == placed.sighting.of.as_ref()).copied())
        .collect();
    // The tool's own fingerprint decides between what is equal otherwise.
    let none = |_: &CodeDigests| CodeDigests::default();
    for form in [CodeDigests::clone, CodeDigests::without_tool, CodeDigests::of_tool, none] {
        same_code(&known, &found, &prints, form, &order, &mut before);
    }
    same_meaning(&known, (&found, renames), &order, &mut before);

    let taken: BTreeSet<&FindingId> = before.iter().flatten().map(|finding| &finding.id).collect();
    let gone = known.iter().filter(|finding| !taken.contains(&finding.id));
    let gone = gone.map(|finding| gone_at((*finding).clone(), head, (coverage, renames))).collect();
    let mut ids: BTreeSet<FindingId> = known.iter().map(|finding| finding.id.clone()).collect();
    let mut named: Vec<Option<FindingId>> = vec![None; found.len()];
    let mut next = BTreeMap::new();
    for at in order {
        let new = || first_free(&prints[at], &ids, next.entry(&prints[at]).or_insert(1));
        let id = before[at].map_or_else(new, |finding| finding.id.clone());
        ids.insert(id.clone());
        named[at] = Some(id);
    }
    let current = found.into_iter().zip(prints).zip(named.into_iter().zip(before));
    let current = current.filter_map(|((placed, print), (id, before))| {
        let status = status_after(before, &placed);
        let PlacedFinding { raw, anchor, at, old_path, sighting } = placed;
        let FindingFacts { of: _, around, unverified, suppressed: _ } = sighting;
        let seen_on = before.map(|before| before.seen_on.clone()).unwrap_or_default();
        let finding = Finding {
            id: id?,
            fingerprint: print,
            raw,
            old_path,
            anchor,
            at,
            status,
            around,
            unverified,
            seen_on,
            evidence: None,
        };
        Some(finding)
    });
    IdentifiedFindings { current: current.collect(), gone }
}

/// By place, then by what is said.
fn sort_key(placed: &PlacedFinding) -> impl Ord + use<> {
    let RawFinding { place, rule, title, body, snippet, code, .. } = placed.raw.clone();
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

/// First pass: equal fingerprints and what `form` leaves of the code's digests, so that lines move as little as can be.
fn same_code<'a>(
    known: &[&'a Finding],
    found: &[PlacedFinding],
    prints: &[Fingerprint],
    form: fn(&CodeDigests) -> CodeDigests,
    order: &[usize],
    before: &mut [Option<&'a Finding>],
) {
    let taken: BTreeSet<&FindingId> = before.iter().flatten().map(|finding| &finding.id).collect();
    let mut yesterday: BTreeMap<(&Fingerprint, CodeDigests), Vec<&'a Finding>> = BTreeMap::new();
    for finding in known.iter().filter(|finding| !taken.contains(&finding.id)) {
        yesterday.entry((&finding.fingerprint, form(&finding.raw.code))).or_default().push(finding);
    }
    let mut today: BTreeMap<(&Fingerprint, CodeDigests), Vec<usize>> = BTreeMap::new();
    for &at in order.iter().filter(|&&at| before[at].is_none()) {
        today.entry((&prints[at], form(&found[at].raw.code))).or_default().push(at);
    }
    for (print, rows) in today {
        let Some(columns) = yesterday.get(&print) else { continue };
        if rows.len() * columns.len() > MAX_CELLS {
            rows.iter().zip(columns).for_each(|(&at, finding)| before[at] = Some(finding));
            continue;
        }
        // However far, it is better than none: as many as can be are matched.
        let near = |at: &usize| columns.iter().map(|was| 2 * FAR - distance(&found[*at], was)).collect();
        let weights: Vec<Vec<i64>> = rows.iter().map(near).collect();
        for (at, column) in rows.iter().zip(assign(&weights)) {
            before[*at] = column.and_then(|column| columns.get(column)).copied();
        }
    }
}

/// Second pass: what is left over in a file, by likeness, and between equals by lines. A file in which more is
/// left than [`MAX_CELLS`] allows was written anew: its findings are new.
fn same_meaning<'a>(
    known: &[&'a Finding],
    (found, renames): (&[PlacedFinding], &FileRenames),
    order: &[usize],
    before: &mut [Option<&'a Finding>],
) {
    let mut today: BTreeMap<&RepoPath, Vec<usize>> = BTreeMap::new();
    for &at in order.iter().filter(|&&at| before[at].is_none()) {
        today.entry(&found[at].raw.place.path).or_default().push(at);
    }
    for (path, rows) in today {
        let taken: BTreeSet<&FindingId> = before.iter().flatten().map(|finding| &finding.id).collect();
        let old_names = rows.iter().filter_map(|&at| found[at].old_path.as_ref());
        let names: BTreeSet<&RepoPath> = old_names.chain(renames.of(path)).chain([path]).collect();
        // At the base its file may have had the same name as today's, and another one in between.
        let is_named = |finding: &Finding| {
            let old_path = finding.old_path.as_ref();
            [Some(&finding.raw.place.path), old_path].into_iter().flatten().any(|path| names.contains(path))
        };
        let left = |finding: &&&Finding| is_named(finding) && !taken.contains(&finding.id);
        let columns: Vec<&'a Finding> = known.iter().filter(left).copied().collect();
        if columns.is_empty() || rows.len() * columns.len() > MAX_CELLS {
            continue;
        }
        let path = path.to_string();
        let rows: Vec<(usize, ComparableFinding)> =
            rows.iter().map(|&at| (at, statement(&path, &found[at].raw))).collect();
        let columns: Vec<(&Finding, ComparableFinding)> =
            columns.into_iter().map(|finding| (finding, statement(&path, &finding.raw))).collect();
        let weights: Vec<Vec<i64>> = rows
            .iter()
            .map(|(at, today)| {
                let like = |(finding, statement): &(&Finding, ComparableFinding)| {
                    let path = &finding.raw.place.path;
                    let placed = &found[*at];
                    let (old, was) = (placed.old_path.as_ref(), finding.old_path.as_ref());
                    let same_file = renames.same_file(&placed.raw.place.path, path)
                        || old == Some(path)
                        || was.is_some() && (old == was || was == Some(&placed.raw.place.path));
                    if same_file { likeness(placed, today, finding, statement) } else { 0 }
                };
                columns.iter().map(like).collect()
            })
            .collect();
        for ((at, _), column) in rows.iter().zip(assign(&weights)) {
            before[*at] = column.and_then(|column| columns.get(column)).map(|(finding, _)| *finding);
        }
    }
}

/// Farther than any line.
const FAR: i64 = u32::MAX as i64;

fn distance(placed: &PlacedFinding, finding: &Finding) -> i64 {
    i64::from(placed.raw.place.start_line.abs_diff(finding.raw.place.start_line))
}

/// A finding as it is compared with others, as if it were in this file.
pub fn statement(path: &str, raw: &RawFinding) -> ComparableFinding {
    let snippet = Some(raw.snippet.as_str()).filter(|snippet| !snippet.trim().is_empty());
    ComparableFinding::new(path, &format!("{}\n\n{}", raw.title, raw.own_body()), snippet)
}

/// The weight of a match in one file; 0 if it is none. Distance decides only between equal scores.
fn likeness(
    placed: &PlacedFinding,
    today: &ComparableFinding,
    finding: &Finding,
    was: &ComparableFinding,
) -> i64 {
    if !comparable(&placed.raw, &finding.raw) {
        return 0;
    }
    let score = similarity(today, was);
    if score < SAME {
        return 0;
    }
    // A score is less than 1; a millionth of it outweighs any distance.
    let millionths = (score * 1e6) as i64;
    millionths * 2 * FAR + FAR - distance(placed, finding)
}

/// Two rules never say the same; what no rule said must be of one category. Both on the same side of the diff.
fn comparable(a: &RawFinding, b: &RawFinding) -> bool {
    let ruled = |raw: &RawFinding| match raw.source {
        FindingSource::Rule | FindingSource::Tool => !raw.rule.is_empty(),
        FindingSource::Agent => false,
    };
    let agree = if ruled(a) && ruled(b) { a.rule == b.rule } else { a.category == b.category };
    agree && a.place.side == b.place.side
}

/// The status of a finding that is there. What a person said counts as long as the code is the same, also
/// after a rename.
fn status_after(before: Option<&Finding>, placed: &PlacedFinding) -> FindingStatus {
    let said = before.map(|before| &before.status).filter(|status| match status {
        FindingStatus::Declined(_) | FindingStatus::Dismissed(_) => true,
        FindingStatus::Open
        | FindingStatus::Claimed
        | FindingStatus::Fixed(_)
        | FindingStatus::Outside
        | FindingStatus::Suppressed(_) => false,
    });
    let is_same = before.is_some_and(|before| {
        let was_changed = placed.sighting.unverified.is_some() && before.unverified.is_none();
        is_same_code(&before.raw, &placed.raw) && !was_changed
    });
    match (said.filter(|_| is_same), &placed.sighting.suppressed) {
        (Some(said), _) => said.clone(),
        (None, Some(reason)) => FindingStatus::Suppressed(reason.clone()),
        (None, None) => FindingStatus::Open,
    }
}

fn gone_at(
    finding: Finding,
    head: Option<&Sha>,
    (coverage, renames): (&ReviewCoverage, &FileRenames),
) -> Finding {
    let path = &finding.raw.place.path;
    let unread =
        coverage.not_reviewed.iter().any(|gap| gap.reason.unread() && renames.same_file(&gap.path, path));
    let Some(head) = head.filter(|_| !unread) else { return finding };
    let status = match finding.status {
        // Also what was dismissed: should it come back as it was, the dismissal holds again.
        FindingStatus::Open | FindingStatus::Claimed | FindingStatus::Dismissed(_) => {
            FindingStatus::Fixed(head.clone())
        }
        // Nobody has called it a problem since.
        FindingStatus::Suppressed(_) => FindingStatus::Outside,
        FindingStatus::Fixed(_) | FindingStatus::Outside | FindingStatus::Declined(_) => finding.status,
    };
    Finding { status, ..finding }
}

/// `{fingerprint}-{ordinal}`, with the first ordinal that no finding has, looked for from `next` on: a thousand
/// equal lines are not each looked for from the beginning.
fn first_free(print: &Fingerprint, taken: &BTreeSet<FindingId>, next: &mut u64) -> FindingId {
    loop {
        let id = FindingId::new(format!("{print}-{next}"));
        *next += 1;
        if !taken.contains(&id) {
            return id;
        }
    }
}

#[cfg(test)]
mod tests;
