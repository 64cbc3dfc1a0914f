//! Identity: which of today's findings is which of yesterday's (design.md section 4, "Ids").
//!
//! A finding keeps its id while its fingerprint stays the same. Equal fingerprints in a file are told apart by an
//! ordinal, nearest lines first. An id is made at the first sighting from the fingerprint alone, so a run without
//! records, or one whose records were lost, gives the same ids.

use std::collections::BTreeSet;

use truing_diff::RepoPath;

use crate::finding::{AnchorKind, Finding, FindingStatus, Place, RawFinding, fingerprint};
use crate::id::{FindingId, Fingerprint, Sha};
use crate::outcome::Coverage;

/// A raw finding with what the diff says about its place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Placed {
    /// What was said.
    pub raw: RawFinding,
    /// How near a comment can be placed.
    pub anchor: AnchorKind,
    /// Where: the finding's own place, or with `Inline` the part of it that lies in one hunk.
    pub at: Place,
    /// The file's name before the change, if it was renamed.
    pub old_path: Option<RepoPath>,
}

/// Today's findings and what became of yesterday's others.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Identified {
    /// What was found now, in the order given; open, or as a person left it (dismissed, declined).
    pub current: Vec<Finding>,
    /// What is known and was not found: fixed at the head if that was verified, else as it was.
    pub gone: Vec<Finding>,
}

impl Identified {
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
/// is gone counts as fixed unless its file could not be read, which `coverage` tells.
pub fn identify(
    known: &[Finding],
    found: Vec<Placed>,
    head: Option<&Sha>,
    coverage: &Coverage,
) -> Identified {
    let mut free: Vec<&Finding> = known.iter().collect();
    let mut taken: BTreeSet<FindingId> = known.iter().map(|finding| finding.id.clone()).collect();
    let mut identified = Identified::default();
    for placed in found {
        let print = fingerprint(&placed.raw.rule, &placed.raw.place.path, &placed.raw.snippet);
        let line = placed.raw.place.start_line;
        let nearest = free
            .iter()
            .enumerate()
            .filter(|(_, finding)| finding.fingerprint == print)
            .min_by_key(|(_, finding)| finding.raw.place.start_line.abs_diff(line))
            .map(|(index, _)| index);
        let (id, status) = match nearest.map(|index| free.remove(index)) {
            Some(before) => (before.id.clone(), seen_again(&before.status)),
            None => (first_free(&print, &taken), FindingStatus::Open),
        };
        taken.insert(id.clone());
        let Placed { raw, anchor, at, old_path } = placed;
        identified.current.push(Finding { id, fingerprint: print, raw, old_path, anchor, at, status });
    }
    identified.gone = free.into_iter().map(|finding| gone(finding.clone(), head, coverage)).collect();
    identified
}

/// The status of a finding that is there: what a person said about the same code still counts.
fn seen_again(before: &FindingStatus) -> FindingStatus {
    match before {
        FindingStatus::Open | FindingStatus::Claimed | FindingStatus::Fixed(_) => FindingStatus::Open,
        FindingStatus::Declined(_) | FindingStatus::Dismissed(_) => before.clone(),
    }
}

fn gone(finding: Finding, head: Option<&Sha>, coverage: &Coverage) -> Finding {
    let unread =
        coverage.not_reviewed.iter().any(|gap| gap.path == finding.raw.place.path && !gap.reason.by_design());
    match (&finding.status, head) {
        (FindingStatus::Open | FindingStatus::Claimed, Some(head)) if !unread => {
            Finding { status: FindingStatus::Fixed(head.clone()), ..finding }
        }
        _ => finding,
    }
}

/// `{fingerprint}-{ordinal}`, with the first ordinal from 1 that no finding has.
fn first_free(print: &Fingerprint, taken: &BTreeSet<FindingId>) -> FindingId {
    let mut ordinal = 1_u64;
    loop {
        let id = FindingId::new(format!("{print}-{ordinal}"));
        if !taken.contains(&id) {
            return id;
        }
        ordinal += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::{Category, Severity, Side, Source};
    use crate::outcome::{NotReviewed, SkipReason};

    fn at(path: &str, line: u32, snippet: &str) -> Placed {
        let place = Place { path: path.into(), side: Side::New, start_line: line, end_line: line };
        let raw = RawFinding {
            place: place.clone(),
            severity: Severity::P1,
            category: Category::F,
            rule: "core/x".into(),
            title: "t".into(),
            body: "b".into(),
            snippet: snippet.into(),
            suggestion: None,
            source: Source::Rule,
        };
        Placed { raw, anchor: AnchorKind::Inline, at: place, old_path: None }
    }

    fn sha(digit: char) -> Sha {
        Sha::parse(&digit.to_string().repeat(40)).unwrap()
    }

    fn ids(findings: &[Finding]) -> Vec<String> {
        findings.iter().map(|finding| finding.id.to_string()).collect()
    }

    #[test]
    fn equal_lines_get_ordinals_and_keep_them_when_they_move() {
        let none = Coverage::default();
        let first =
            identify(&[], vec![at("a", 1, "x"), at("a", 9, "x"), at("b", 1, "x")], Some(&sha('a')), &none);
        let names = ids(&first.current);
        assert!(
            names[0].ends_with("-1") && names[1].ends_with("-2") && names[2].ends_with("-1"),
            "{names:?}"
        );
        let known = first.all();
        let moved = identify(&known, vec![at("a", 3, " x"), at("a", 11, "x  ")], Some(&sha('b')), &none);
        assert_eq!(ids(&moved.current), names[..2]);
        assert_eq!(moved.gone[0].status, FindingStatus::Fixed(sha('b')));
    }

    #[test]
    fn a_finding_comes_back_under_its_old_id() {
        let none = Coverage::default();
        let known = identify(&[], vec![at("a", 1, "x")], Some(&sha('a')), &none).all();
        let fixed = identify(&known, vec![], Some(&sha('b')), &none).all();
        let again = identify(&fixed, vec![at("a", 7, "x")], Some(&sha('c')), &none);
        assert_eq!((again.current[0].id.clone(), again.current[0].is_open()), (known[0].id.clone(), true));
    }

    #[test]
    fn what_a_person_dismissed_stays_dismissed_while_the_code_is_the_same() {
        let none = Coverage::default();
        let mut known = identify(&[], vec![at("a", 1, "x")], Some(&sha('a')), &none).all();
        known[0].status = FindingStatus::Dismissed("wanted".into());
        let same = identify(&known, vec![at("a", 2, "x")], Some(&sha('b')), &none);
        assert!(!same.current[0].is_open());
        let edited = identify(&known, vec![at("a", 2, "x + 1")], Some(&sha('b')), &none);
        assert!(edited.current[0].is_open());
    }

    #[test]
    fn a_file_that_could_not_be_read_fixes_nothing() {
        let known = identify(&[], vec![at("a", 1, "x")], Some(&sha('a')), &Coverage::default()).all();
        let unread = NotReviewed { path: "a".into(), reason: SkipReason::TooLarge };
        let coverage = Coverage { reviewed: vec![], not_reviewed: vec![unread] };
        assert!(identify(&known, vec![], Some(&sha('b')), &coverage).gone[0].is_open());
        assert!(identify(&known, vec![], None, &Coverage::default()).gone[0].is_open());
    }
}
