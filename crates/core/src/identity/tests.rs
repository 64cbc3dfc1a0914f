//! Tests of the identity of findings.

use super::*;
use crate::code::CodeDigests;
use crate::finding::{DefectCategory, DiffSide, FindingSource, Severity};
use crate::outcome::{SkipReason, UnreviewedFile};

fn at(path: &str, line: u32, snippet: &str) -> PlacedFinding {
    let place = CodeLocation { path: path.into(), side: DiffSide::New, start_line: line, end_line: line };
    let raw = RawFinding {
        place: place.clone(),
        severity: Severity::P1,
        category: DefectCategory::F,
        rule: "core/x".into(),
        title: "t".into(),
        body: "b".into(),
        snippet: snippet.into(),
        code: CodeDigests::default(),
        suggestion: None,
        source: FindingSource::Rule,
    };
    PlacedFinding {
        raw,
        anchor: AnchorKind::Inline,
        at: place,
        old_path: None,
        sighting: FindingFacts::default(),
    }
}

fn sha(digit: char) -> Sha {
    Sha::parse(&digit.to_string().repeat(40)).unwrap()
}

fn ids(findings: &[Finding]) -> Vec<String> {
    findings.iter().map(|finding| finding.id.to_string()).collect()
}

#[test]
fn equal_lines_get_ordinals_and_keep_them_when_they_move() {
    let none = (&ReviewCoverage::default(), &FileRenames::default());
    let first = identify(
        &[],
        vec![at("a", 1, "x"), at("a", 9, "x"), at("b", 1, "x")],
        Some(&sha('a')),
        none.0,
        none.1,
    );
    let names = ids(&first.current);
    assert!(names[0].ends_with("-1") && names[1].ends_with("-2") && names[2].ends_with("-1"), "{names:?}");
    let known = first.into_findings();
    let moved = identify(&known, vec![at("a", 3, " x"), at("a", 11, "x  ")], Some(&sha('b')), none.0, none.1);
    assert_eq!(ids(&moved.current), names[..2]);
    assert_eq!(moved.gone[0].status, FindingStatus::Fixed(sha('b')));
}

/// Returns findings of a tool on equal lines, each with the tool's own fingerprint.
fn equal(lines: &[(u32, &str)]) -> Vec<PlacedFinding> {
    let one = |(line, mark): &(u32, &str)| {
        let mut placed = at("a", *line, "x");
        placed.raw.source = FindingSource::Tool;
        placed.raw.code.tool_fingerprint = (!mark.is_empty()).then(|| CodeDigests::tool_fingerprint(mark));
        placed
    };
    lines.iter().map(one).collect()
}

#[test]
fn equal_lines_keep_their_ids_by_the_tools_own_fingerprints() {
    let none = (&ReviewCoverage::default(), &FileRenames::default());
    let known = identify(&[], equal(&[(1, "p"), (2, "q"), (3, "r")]), Some(&sha('a')), none.0, none.1)
        .into_findings();
    let names = ids(&known);
    // The first one is removed, and the second now has its place.
    let removed = identify(&known, equal(&[(1, "q"), (2, "r")]), Some(&sha('b')), none.0, none.1);
    assert_eq!(ids(&removed.current), names[1..]);
    assert_eq!((removed.gone[0].id.to_string(), removed.gone[0].is_open()), (names[0].clone(), false));
    let reordered = identify(&known, equal(&[(1, "r"), (2, "p"), (3, "q")]), Some(&sha('b')), none.0, none.1);
    assert_eq!(ids(&reordered.current), [&names[2], &names[0], &names[1]].map(String::clone));
    // Two findings on one line.
    let same = identify(&known, equal(&[(1, "q"), (1, "p")]), Some(&sha('b')), none.0, none.1);
    assert_eq!(ids(&same.current), [&names[1], &names[0]].map(String::clone));
}

#[test]
fn a_tools_fingerprint_makes_no_finding_another() {
    let none = (&ReviewCoverage::default(), &FileRenames::default());
    for (before, now) in [("", "p"), ("p", ""), ("p", "q")] {
        let known = identify(&[], equal(&[(1, before)]), Some(&sha('a')), none.0, none.1).into_findings();
        let again = identify(&known, equal(&[(7, now)]), Some(&sha('b')), none.0, none.1);
        assert_eq!((ids(&again.current), again.gone.len()), (ids(&known), 0), "{before} {now}");
    }
    let (marked, plain) = (equal(&[(1, "p"), (1, "q")]), equal(&[(1, ""), (1, "")]));
    let first = |found| ids(&identify(&[], found, None, none.0, none.1).current);
    assert_eq!(first(marked.clone()), first(plain), "an id holds nothing of it");
    let turned: Vec<PlacedFinding> = marked.iter().rev().cloned().collect();
    let mut names = first(turned);
    names.reverse();
    assert_eq!(names, first(marked), "in whatever order they come");
}

#[test]
fn a_finding_comes_back_under_its_old_id() {
    let none = (&ReviewCoverage::default(), &FileRenames::default());
    let known = identify(&[], vec![at("a", 1, "x")], Some(&sha('a')), none.0, none.1).into_findings();
    let fixed = identify(&known, vec![], Some(&sha('b')), none.0, none.1).into_findings();
    let again = identify(&fixed, vec![at("a", 7, "x")], Some(&sha('c')), none.0, none.1);
    assert_eq!((again.current[0].id.clone(), again.current[0].is_open()), (known[0].id.clone(), true));
}

#[test]
fn what_a_person_dismissed_stays_dismissed_while_the_code_is_the_same() {
    let none = (&ReviewCoverage::default(), &FileRenames::default());
    let mut known = identify(&[], vec![at("a", 1, "x")], Some(&sha('a')), none.0, none.1).into_findings();
    known[0].status = FindingStatus::Dismissed("wanted".into());
    let same = identify(&known, vec![at("a", 2, "x")], Some(&sha('b')), none.0, none.1);
    assert!(!same.current[0].is_open());
    let edited = identify(&known, vec![at("a", 2, "x + 1")], Some(&sha('b')), none.0, none.1);
    assert!(edited.current[0].is_open());
}

#[test]
fn a_file_that_could_not_be_read_fixes_nothing() {
    let none = (&ReviewCoverage::default(), &FileRenames::default());
    let known = identify(&[], vec![at("a", 1, "x")], Some(&sha('a')), none.0, none.1).into_findings();
    let unread = UnreviewedFile { path: "a".into(), reason: SkipReason::TooLarge };
    let coverage = ReviewCoverage { reviewed: vec![], not_reviewed: vec![unread] };
    let (none, renames) = (ReviewCoverage::default(), FileRenames::default());
    assert!(identify(&known, vec![], Some(&sha('b')), &coverage, &renames).gone[0].is_open());
    assert!(identify(&known, vec![], None, &none, &renames).gone[0].is_open());
    assert!(!identify(&known, vec![], Some(&sha('b')), &none, &renames).gone[0].is_open());
}

fn renamed(old: &str, new: &str) -> FileRenames {
    let diff =
        format!("diff --git a/{old} b/{new}\nsimilarity index 90%\nrename from {old}\nrename to {new}\n");
    let mut renames = FileRenames::default();
    renames.add_diff(&truing_diff::parse(diff.as_bytes()).files);
    renames
}

#[test]
fn a_renamed_file_that_could_not_be_read_fixes_nothing_and_one_that_was_keeps_its_ids() {
    let (none, renames) = (ReviewCoverage::default(), renamed("a", "b"));
    let known = identify(&[], vec![at("a", 1, "x = 1")], Some(&sha('a')), &none, &FileRenames::default())
        .into_findings();
    let unread = UnreviewedFile { path: "b".into(), reason: SkipReason::TooLarge };
    let coverage = ReviewCoverage { reviewed: vec![], not_reviewed: vec![unread] };
    assert!(identify(&known, vec![], Some(&sha('b')), &coverage, &renames).gone[0].is_open());
    let gone = identify(&known, vec![], Some(&sha('b')), &coverage, &FileRenames::default()).gone;
    assert!(!gone[0].is_open(), "without a rename it is another file");
    let read = identify(&known, vec![at("b", 4, "x = 1")], Some(&sha('b')), &none, &renames);
    assert_eq!(ids(&read.current), ids(&known));
}

/// Returns a finding with this rule, or without one, and this title.
fn said(rule: &str, path: &str, line: u32, title: &str, snippet: &str) -> PlacedFinding {
    let mut placed = at(path, line, snippet);
    placed.raw.rule = rule.into();
    placed.raw.title = title.into();
    placed.raw.body = String::new();
    placed
}

const OPEN: &str = "`load_index` opens `path` without closing it, so the descriptor leaks";
const AGAIN: &str = "File descriptor leak in `load_index`: the handle opened for `path` is never closed";

#[test]
fn other_words_about_edited_code_keep_the_id_and_open_it_again() {
    let none = (&ReviewCoverage::default(), &FileRenames::default());
    let mut known =
        identify(&[], vec![said("", "a", 4, OPEN, "f = open(path)")], Some(&sha('a')), none.0, none.1)
            .into_findings();
    known[0].status = FindingStatus::Dismissed("short-lived".into());
    let now = vec![said("", "a", 9, AGAIN, "f = open(path, 'rb')")];
    let edited = identify(&known, now, Some(&sha('b')), none.0, none.1);
    assert_eq!(ids(&edited.current), ids(&known));
    assert!(edited.current[0].is_open() && edited.gone.is_empty());
    assert_ne!(edited.current[0].fingerprint, known[0].fingerprint);
}

#[test]
fn a_renamed_file_keeps_ids_and_what_people_said() {
    let none = (&ReviewCoverage::default(), &FileRenames::default());
    let mut known =
        identify(&[], vec![said("core/x", "old.py", 4, OPEN, "f = open(path)")], None, none.0, none.1)
            .into_findings();
    known[0].status = FindingStatus::Declined("later".into());
    let mut now = said("core/x", "new.py", 4, OPEN, "  f = open(path)");
    let another = identify(&known, vec![now.clone()], None, none.0, none.1);
    assert_ne!(ids(&another.current), ids(&known), "without a rename it is another file");
    now.old_path = Some("old.py".into());
    let renamed = identify(&known, vec![now], None, none.0, none.1);
    assert_eq!((ids(&renamed.current), &renamed.current[0].status), (ids(&known), &known[0].status));
}

#[test]
fn equal_words_of_two_rules_are_two_findings() {
    let none = (&ReviewCoverage::default(), &FileRenames::default());
    let known = identify(&[], vec![said("core/x", "a", 4, OPEN, "f = open(path)")], None, none.0, none.1)
        .into_findings();
    let now = vec![said("core/y", "a", 4, OPEN, "f = open(path)")];
    assert_ne!(ids(&identify(&known, now, None, none.0, none.1).current), ids(&known));
}

#[test]
fn of_equally_alike_findings_the_nearer_lines_are_the_same() {
    let none = (&ReviewCoverage::default(), &FileRenames::default());
    let lines = |a, b, code: &str| vec![said("", "a", a, OPEN, code), said("", "a", b, OPEN, code)];
    let known = identify(&[], lines(10, 90, "f = open(path, mode)"), None, none.0, none.1).into_findings();
    let now = identify(&known, lines(12, 93, "f = open(path, mode, 1)"), None, none.0, none.1);
    assert_eq!(ids(&now.current), ids(&known));
    let turned = identify(&known, lines(93, 12, "f = open(path, mode, 1)"), None, none.0, none.1);
    assert_eq!(ids(&turned.current), [ids(&known)[1].clone(), ids(&known)[0].clone()]);
}

#[test]
fn an_id_lasts_over_two_renames_of_the_file_since_the_base() {
    let none = (&ReviewCoverage::default(), &FileRenames::default());
    let code = "f = open(path, mode)\nf.write(text)";
    let of =
        |path: &str| PlacedFinding { old_path: Some("app".into()), ..said("core/x", path, 4, OPEN, code) };
    let known =
        identify(&[], vec![said("core/x", "app", 4, OPEN, code)], None, none.0, none.1).into_findings();
    let once = identify(&known, vec![of("core")], None, none.0, none.1);
    assert_eq!(ids(&once.current), ids(&known));
    let twice = identify(&once.into_findings(), vec![of("lib")], None, none.0, none.1);
    assert_eq!(ids(&twice.current), ids(&known));
    let back =
        identify(&twice.into_findings(), vec![said("core/x", "app", 4, OPEN, code)], None, none.0, none.1);
    assert_eq!(ids(&back.current), ids(&known));
}

mod any {
    use proptest::prelude::*;

    use super::*;

    fn placed() -> impl Strategy<Value = PlacedFinding> {
        let rule = prop::sample::select(vec!["", "core/x", "core/y"]);
        let path = prop::sample::select(vec!["a", "b"]);
        let title = prop::sample::select(vec![OPEN, AGAIN, "`save_index` ignores the error of `sync`", "t"]);
        let snippet =
            prop::sample::select(vec!["f = open(path)", "f = open(path, 'rb')", "g = sync(path)", ""]);
        let renamed = prop::sample::select(vec![None, Some("b")]);
        (rule, path, 1_u32..30, title, snippet, renamed).prop_map(
            |(rule, path, line, title, snippet, from)| PlacedFinding {
                old_path: from.map(Into::into),
                ..said(rule, path, line, title, snippet)
            },
        )
    }

    proptest! {
        #[test]
        fn every_finding_has_one_id_whatever_the_order(
            first in prop::collection::vec(placed(), 0..8),
            second in prop::collection::vec(placed(), 0..8),
            turn in 0_usize..8,
        ) {
            let none = (&ReviewCoverage::default(), &FileRenames::default());
            let known = identify(&[], first, Some(&sha('a')), none.0, none.1).into_findings();
            let now = identify(&known, second.clone(), Some(&sha('b')), none.0, none.1);
            prop_assert_eq!(&now, &identify(&known, second.clone(), Some(&sha('b')), none.0, none.1));

            let mut all = ids(&now.clone().into_findings());
            all.sort();
            prop_assert!(all.windows(2).all(|pair| pair[0] != pair[1]), "{:?}", all);
            prop_assert!(known.iter().all(|before| all.contains(&before.id.to_string())));

            for finding in &now.current {
                if let Some(before) = known.iter().find(|before| before.id == finding.id) {
                    let (was, is) = (&before.raw.rule, &finding.raw.rule);
                    prop_assert!(was == is || was.is_empty() || is.is_empty(), "{was} is {is}");
                    let names = |of: &Finding| [Some(of.raw.place.path.clone()), of.old_path.clone()];
                    let is_named = |path: &Option<RepoPath>| path.is_some() && names(finding).contains(path);
                    prop_assert!(names(before).iter().any(is_named), "{before:?} is {finding:?}");
                }
            }

            // The same finding has the same id in any order of today's and yesterday's findings.
            let (mut turned, mut shuffled) = (second, known);
            if !turned.is_empty() {
                let by = turn % turned.len();
                turned.rotate_left(by);
            }
            shuffled.reverse();
            let again = identify(&shuffled, turned, Some(&sha('b')), none.0, none.1);
            let sorted = |identified: IdentifiedFindings| {
                let mut all: Vec<String> =
                    identified.current.iter().map(|finding| format!("{finding:?}")).collect();
                all.sort();
                all
            };
            prop_assert_eq!(sorted(now), sorted(again));
        }
    }
}
