//! Tests of the identity of findings.

use super::*;
use crate::code_digest::CodeDigests;
use crate::finding::{DefectCategory, DiffSide, FindingSource, Severity};
use crate::outcome::{CoverageGap, SkipReason};

fn finding_at(path: &str, line: u32, snippet: &str) -> PlacedFinding {
    let place = CodeLocation { path: path.into(), side: DiffSide::New, start_line: line, end_line: line };
    let raw = RawFinding {
        location: place.clone(),
        severity: Severity::P1,
        category: DefectCategory::F,
        rule: "core/x".into(),
        title: "t".into(),
        body: "b".into(),
        snippet: snippet.into(),
        code: CodeDigests::default(),
        suggestion: None,
        source: FindingSource::Rule,
        specialists: Vec::new(),
    };
    PlacedFinding {
        raw,
        anchor: AnchorKind::Inline,
        comment_location: place,
        old_path: None,
        sighting: FindingFacts::default(),
    }
}

fn sha(digit: char) -> Sha {
    Sha::parse(&digit.to_string().repeat(40)).unwrap()
}

fn finding_ids(findings: &[Finding]) -> Vec<String> {
    findings.iter().map(|finding| finding.id.to_string()).collect()
}

#[test]
fn equal_lines_get_ordinals_and_keep_them_when_they_move() {
    let none = (&ReviewCoverage::default(), &FileRenames::default());
    let first = assign_finding_ids(
        &[],
        vec![finding_at("a", 1, "x"), finding_at("a", 9, "x"), finding_at("b", 1, "x")],
        Some(&sha('a')),
        none.0,
        none.1,
    );
    let names = finding_ids(&first.current);
    assert!(names[0].ends_with("-1") && names[1].ends_with("-2") && names[2].ends_with("-1"), "{names:?}");
    let known = first.into_findings();
    let moved = assign_finding_ids(
        &known,
        vec![finding_at("a", 3, " x"), finding_at("a", 11, "x  ")],
        Some(&sha('b')),
        none.0,
        none.1,
    );
    assert_eq!(finding_ids(&moved.current), names[..2]);
    assert_eq!(moved.missing_findings[0].status, FindingStatus::Fixed(sha('b')));
}

/// Returns findings of a tool on lines with equal text. Each tuple contains a finding's line and the tool's
/// fingerprint; an empty text means no fingerprint.
fn equal_tool_findings(lines: &[(u32, &str)]) -> Vec<PlacedFinding> {
    let one = |(line, mark): &(u32, &str)| {
        let mut placed = finding_at("a", *line, "x");
        placed.raw.source = FindingSource::Tool;
        placed.raw.code.tool_fingerprint =
            (!mark.is_empty()).then(|| CodeDigests::digest_tool_fingerprint(mark));
        placed
    };
    lines.iter().map(one).collect()
}

#[test]
fn equal_lines_keep_their_ids_by_the_tools_own_fingerprints() {
    let none = (&ReviewCoverage::default(), &FileRenames::default());
    let known = assign_finding_ids(
        &[],
        equal_tool_findings(&[(1, "p"), (2, "q"), (3, "r")]),
        Some(&sha('a')),
        none.0,
        none.1,
    )
    .into_findings();
    let names = finding_ids(&known);
    // The first finding is gone, and the second finding has moved to the first finding's line.
    let removed = assign_finding_ids(
        &known,
        equal_tool_findings(&[(1, "q"), (2, "r")]),
        Some(&sha('b')),
        none.0,
        none.1,
    );
    assert_eq!(finding_ids(&removed.current), names[1..]);
    assert_eq!(
        (removed.missing_findings[0].id.to_string(), removed.missing_findings[0].is_open()),
        (names[0].clone(), false)
    );
    let reordered = assign_finding_ids(
        &known,
        equal_tool_findings(&[(1, "r"), (2, "p"), (3, "q")]),
        Some(&sha('b')),
        none.0,
        none.1,
    );
    assert_eq!(finding_ids(&reordered.current), [&names[2], &names[0], &names[1]].map(String::clone));
    // Both findings are on the same line.
    let same = assign_finding_ids(
        &known,
        equal_tool_findings(&[(1, "q"), (1, "p")]),
        Some(&sha('b')),
        none.0,
        none.1,
    );
    assert_eq!(finding_ids(&same.current), [&names[1], &names[0]].map(String::clone));
}

#[test]
fn a_tools_fingerprint_makes_no_finding_another() {
    let none = (&ReviewCoverage::default(), &FileRenames::default());
    for (before, now) in [("", "p"), ("p", ""), ("p", "q")] {
        let known =
            assign_finding_ids(&[], equal_tool_findings(&[(1, before)]), Some(&sha('a')), none.0, none.1)
                .into_findings();
        let again =
            assign_finding_ids(&known, equal_tool_findings(&[(7, now)]), Some(&sha('b')), none.0, none.1);
        assert_eq!(
            (finding_ids(&again.current), again.missing_findings.len()),
            (finding_ids(&known), 0),
            "{before} {now}"
        );
    }
    let (marked, plain) =
        (equal_tool_findings(&[(1, "p"), (1, "q")]), equal_tool_findings(&[(1, ""), (1, "")]));
    let first = |found| finding_ids(&assign_finding_ids(&[], found, None, none.0, none.1).current);
    assert_eq!(first(marked.clone()), first(plain), "an id holds nothing of it");
    let turned: Vec<PlacedFinding> = marked.iter().rev().cloned().collect();
    let mut names = first(turned);
    names.reverse();
    assert_eq!(names, first(marked), "in whatever order they come");
}

#[test]
fn a_finding_comes_back_under_its_old_id() {
    let none = (&ReviewCoverage::default(), &FileRenames::default());
    let known = assign_finding_ids(&[], vec![finding_at("a", 1, "x")], Some(&sha('a')), none.0, none.1)
        .into_findings();
    let fixed = assign_finding_ids(&known, vec![], Some(&sha('b')), none.0, none.1).into_findings();
    let again = assign_finding_ids(&fixed, vec![finding_at("a", 7, "x")], Some(&sha('c')), none.0, none.1);
    assert_eq!((again.current[0].id.clone(), again.current[0].is_open()), (known[0].id.clone(), true));
}

#[test]
fn what_a_person_dismissed_stays_dismissed_while_the_code_is_the_same() {
    let none = (&ReviewCoverage::default(), &FileRenames::default());
    let mut known = assign_finding_ids(&[], vec![finding_at("a", 1, "x")], Some(&sha('a')), none.0, none.1)
        .into_findings();
    known[0].status = FindingStatus::Dismissed("wanted".into());
    let same = assign_finding_ids(&known, vec![finding_at("a", 2, "x")], Some(&sha('b')), none.0, none.1);
    assert!(!same.current[0].is_open());
    let edited =
        assign_finding_ids(&known, vec![finding_at("a", 2, "x + 1")], Some(&sha('b')), none.0, none.1);
    assert!(edited.current[0].is_open());
}

#[test]
fn a_file_that_could_not_be_read_fixes_nothing() {
    let none = (&ReviewCoverage::default(), &FileRenames::default());
    let known = assign_finding_ids(&[], vec![finding_at("a", 1, "x")], Some(&sha('a')), none.0, none.1)
        .into_findings();
    let unread = CoverageGap { path: "a".into(), reason: SkipReason::TooLarge };
    let coverage =
        ReviewCoverage { reviewed: vec![], not_reviewed: vec![unread], ..ReviewCoverage::default() };
    let (none, renames) = (ReviewCoverage::default(), FileRenames::default());
    assert!(
        assign_finding_ids(&known, vec![], Some(&sha('b')), &coverage, &renames).missing_findings[0]
            .is_open()
    );
    assert!(assign_finding_ids(&known, vec![], None, &none, &renames).missing_findings[0].is_open());
    assert!(
        !assign_finding_ids(&known, vec![], Some(&sha('b')), &none, &renames).missing_findings[0].is_open()
    );
}

fn rename_map(old: &str, new: &str) -> FileRenames {
    let diff =
        format!("diff --git a/{old} b/{new}\nsimilarity index 90%\nrename from {old}\nrename to {new}\n");
    let mut renames = FileRenames::default();
    renames.add_diff(&truing_diff::parse(diff.as_bytes()).files);
    renames
}

#[test]
fn a_renamed_file_that_could_not_be_read_fixes_nothing_and_one_that_was_keeps_its_ids() {
    let (none, renames) = (ReviewCoverage::default(), rename_map("a", "b"));
    let known = assign_finding_ids(
        &[],
        vec![finding_at("a", 1, "x = 1")],
        Some(&sha('a')),
        &none,
        &FileRenames::default(),
    )
    .into_findings();
    let unread = CoverageGap { path: "b".into(), reason: SkipReason::TooLarge };
    let coverage =
        ReviewCoverage { reviewed: vec![], not_reviewed: vec![unread], ..ReviewCoverage::default() };
    assert!(
        assign_finding_ids(&known, vec![], Some(&sha('b')), &coverage, &renames).missing_findings[0]
            .is_open()
    );
    let gone = assign_finding_ids(&known, vec![], Some(&sha('b')), &coverage, &FileRenames::default())
        .missing_findings;
    assert!(!gone[0].is_open(), "without a rename it is another file");
    let read =
        assign_finding_ids(&known, vec![finding_at("b", 4, "x = 1")], Some(&sha('b')), &none, &renames);
    assert_eq!(finding_ids(&read.current), finding_ids(&known));
}

/// Returns a finding with this title and this rule; the rule may be empty.
fn titled_finding(rule: &str, path: &str, line: u32, title: &str, snippet: &str) -> PlacedFinding {
    let mut placed = finding_at(path, line, snippet);
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
    let mut known = assign_finding_ids(
        &[],
        vec![titled_finding("", "a", 4, OPEN, "f = open(path)")],
        Some(&sha('a')),
        none.0,
        none.1,
    )
    .into_findings();
    known[0].status = FindingStatus::Dismissed("short-lived".into());
    let now = vec![titled_finding("", "a", 9, AGAIN, "f = open(path, 'rb')")];
    let edited = assign_finding_ids(&known, now, Some(&sha('b')), none.0, none.1);
    assert_eq!(finding_ids(&edited.current), finding_ids(&known));
    assert!(edited.current[0].is_open() && edited.missing_findings.is_empty());
    assert_ne!(edited.current[0].fingerprint, known[0].fingerprint);
}

#[test]
fn a_renamed_file_keeps_ids_and_what_people_said() {
    let none = (&ReviewCoverage::default(), &FileRenames::default());
    let mut known = assign_finding_ids(
        &[],
        vec![titled_finding("core/x", "old.py", 4, OPEN, "f = open(path)")],
        None,
        none.0,
        none.1,
    )
    .into_findings();
    known[0].status = FindingStatus::Declined("later".into());
    let mut now = titled_finding("core/x", "new.py", 4, OPEN, "  f = open(path)");
    let another = assign_finding_ids(&known, vec![now.clone()], None, none.0, none.1);
    assert_ne!(finding_ids(&another.current), finding_ids(&known), "without a rename it is another file");
    now.old_path = Some("old.py".into());
    let renamed = assign_finding_ids(&known, vec![now], None, none.0, none.1);
    assert_eq!(
        (finding_ids(&renamed.current), &renamed.current[0].status),
        (finding_ids(&known), &known[0].status)
    );
}

#[test]
fn equal_words_of_two_rules_are_two_findings() {
    let none = (&ReviewCoverage::default(), &FileRenames::default());
    let known = assign_finding_ids(
        &[],
        vec![titled_finding("core/x", "a", 4, OPEN, "f = open(path)")],
        None,
        none.0,
        none.1,
    )
    .into_findings();
    let now = vec![titled_finding("core/y", "a", 4, OPEN, "f = open(path)")];
    assert_ne!(
        finding_ids(&assign_finding_ids(&known, now, None, none.0, none.1).current),
        finding_ids(&known)
    );
}

#[test]
fn of_equally_alike_findings_the_nearer_lines_are_the_same() {
    let none = (&ReviewCoverage::default(), &FileRenames::default());
    let lines = |a, b, code: &str| {
        vec![titled_finding("", "a", a, OPEN, code), titled_finding("", "a", b, OPEN, code)]
    };
    let known =
        assign_finding_ids(&[], lines(10, 90, "f = open(path, mode)"), None, none.0, none.1).into_findings();
    let now = assign_finding_ids(&known, lines(12, 93, "f = open(path, mode, 1)"), None, none.0, none.1);
    assert_eq!(finding_ids(&now.current), finding_ids(&known));
    let turned = assign_finding_ids(&known, lines(93, 12, "f = open(path, mode, 1)"), None, none.0, none.1);
    assert_eq!(
        finding_ids(&turned.current),
        [finding_ids(&known)[1].clone(), finding_ids(&known)[0].clone()]
    );
}

#[test]
fn an_id_lasts_over_two_renames_of_the_file_since_the_base() {
    let none = (&ReviewCoverage::default(), &FileRenames::default());
    let code = "f = open(path, mode)\nf.write(text)";
    let of = |path: &str| PlacedFinding {
        old_path: Some("app".into()),
        ..titled_finding("core/x", path, 4, OPEN, code)
    };
    let known =
        assign_finding_ids(&[], vec![titled_finding("core/x", "app", 4, OPEN, code)], None, none.0, none.1)
            .into_findings();
    let once = assign_finding_ids(&known, vec![of("core")], None, none.0, none.1);
    assert_eq!(finding_ids(&once.current), finding_ids(&known));
    let twice = assign_finding_ids(&once.into_findings(), vec![of("lib")], None, none.0, none.1);
    assert_eq!(finding_ids(&twice.current), finding_ids(&known));
    let back = assign_finding_ids(
        &twice.into_findings(),
        vec![titled_finding("core/x", "app", 4, OPEN, code)],
        None,
        none.0,
        none.1,
    );
    assert_eq!(finding_ids(&back.current), finding_ids(&known));
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
                ..titled_finding(rule, path, line, title, snippet)
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
            let known = assign_finding_ids(&[], first, Some(&sha('a')), none.0, none.1).into_findings();
            let now = assign_finding_ids(&known, second.clone(), Some(&sha('b')), none.0, none.1);
            prop_assert_eq!(&now, &assign_finding_ids(&known, second.clone(), Some(&sha('b')), none.0, none.1));

            let mut all = finding_ids(&now.clone().into_findings());
            all.sort();
            prop_assert!(all.windows(2).all(|pair| pair[0] != pair[1]), "{:?}", all);
            prop_assert!(known.iter().all(|before| all.contains(&before.id.to_string())));

            for finding in &now.current {
                if let Some(before) = known.iter().find(|before| before.id == finding.id) {
                    let (was, is) = (&before.raw.rule, &finding.raw.rule);
                    prop_assert!(was == is || was.is_empty() || is.is_empty(), "{was} is {is}");
                    let names = |of: &Finding| [Some(of.raw.location.path.clone()), of.old_path.clone()];
                    let is_named = |path: &Option<RepoPath>| path.is_some() && names(finding).contains(path);
                    prop_assert!(names(before).iter().any(is_named), "{before:?} is {finding:?}");
                }
            }

            // A finding gets the same id in any order of the current and the earlier findings.
            let (mut turned, mut shuffled) = (second, known);
            if !turned.is_empty() {
                let by = turn % turned.len();
                turned.rotate_left(by);
            }
            shuffled.reverse();
            let again = assign_finding_ids(&shuffled, turned, Some(&sha('b')), none.0, none.1);
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
