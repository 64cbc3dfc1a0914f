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

pub use similar::{SAME, Statement, similarity};

use crate::code::CodeDigests;
use crate::dismissal::is_same_code;
use crate::finding::{AnchorKind, Finding, FindingStatus, Place, RawFinding, Source, fingerprint};
use crate::id::{FindingId, Fingerprint, Sha};
use crate::increment::Renames;
use crate::outcome::Coverage;
use crate::recheck::{Around, Unverified};
use assign::{MAX_CELLS, assign};

/// A raw finding with what the diff says about its place.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Placed {
    /// What was said.
    pub raw: RawFinding,
    /// How near a comment can be placed.
    pub anchor: AnchorKind,
    /// Where: the finding's own place, or with `Inline` the part of it that lies in one hunk.
    pub at: Place,
    /// The file's name before the change, if it was renamed.
    pub old_path: Option<RepoPath>,
    /// What else is known of it.
    pub sighting: Sighting,
}

/// The facts that are known of a finding besides its place.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Sighting {
    /// The finding of an earlier review that it is, if that is known.
    pub of: Option<FindingId>,
    /// The lines beside it.
    pub around: Option<Around>,
    /// Why nobody knows whether it is still there.
    pub unverified: Option<Unverified>,
    /// The reason of the comment that suppresses a rule's finding.
    pub suppressed: Option<String>,
}

/// Today's findings and what became of yesterday's others.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Identified {
    /// What was found now, in the order given; open, as a person left it (dismissed, declined), or suppressed.
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
/// is gone counts as fixed unless its file, which may have another name by now, could not be read, which `coverage`
/// tells.
pub fn identify(
    known: &[Finding],
    found: Vec<Placed>,
    head: Option<&Sha>,
    (coverage, renames): (&Coverage, &Renames),
) -> Identified {
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
        let Placed { raw, anchor, at, old_path, sighting } = placed;
        let Sighting { of: _, around, unverified, suppressed: _ } = sighting;
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
    Identified { current: current.collect(), gone }
}

/// By place, then by what is said.
fn sort_key(placed: &Placed) -> impl Ord + use<> {
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
    found: &[Placed],
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
    (found, renames): (&[Placed], &Renames),
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
        let rows: Vec<(usize, Statement)> =
            rows.iter().map(|&at| (at, statement(&path, &found[at].raw))).collect();
        let columns: Vec<(&Finding, Statement)> =
            columns.into_iter().map(|finding| (finding, statement(&path, &finding.raw))).collect();
        let weights: Vec<Vec<i64>> = rows
            .iter()
            .map(|(at, today)| {
                let like = |(finding, statement): &(&Finding, Statement)| {
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

fn distance(placed: &Placed, finding: &Finding) -> i64 {
    i64::from(placed.raw.place.start_line.abs_diff(finding.raw.place.start_line))
}

/// A finding as it is compared with others, as if it were in this file.
pub fn statement(path: &str, raw: &RawFinding) -> Statement {
    let snippet = Some(raw.snippet.as_str()).filter(|snippet| !snippet.trim().is_empty());
    Statement::new(path, &format!("{}\n\n{}", raw.title, raw.own_body()), snippet)
}

/// The weight of a match in one file; 0 if it is none. Distance decides only between equal scores.
fn likeness(placed: &Placed, today: &Statement, finding: &Finding, was: &Statement) -> i64 {
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
        Source::Rule | Source::Tool => !raw.rule.is_empty(),
        Source::Agent => false,
    };
    let agree = if ruled(a) && ruled(b) { a.rule == b.rule } else { a.category == b.category };
    agree && a.place.side == b.place.side
}

/// The status of a finding that is there. What a person said counts as long as the code is the same, also
/// after a rename.
fn status_after(before: Option<&Finding>, placed: &Placed) -> FindingStatus {
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

fn gone_at(finding: Finding, head: Option<&Sha>, (coverage, renames): (&Coverage, &Renames)) -> Finding {
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
mod tests {
    use super::*;
    use crate::code::CodeDigests;
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
            code: CodeDigests::default(),
            suggestion: None,
            source: Source::Rule,
        };
        Placed { raw, anchor: AnchorKind::Inline, at: place, old_path: None, sighting: Sighting::default() }
    }

    fn sha(digit: char) -> Sha {
        Sha::parse(&digit.to_string().repeat(40)).unwrap()
    }

    fn ids(findings: &[Finding]) -> Vec<String> {
        findings.iter().map(|finding| finding.id.to_string()).collect()
    }

    #[test]
    fn equal_lines_get_ordinals_and_keep_them_when_they_move() {
        let none = (&Coverage::default(), &Renames::default());
        let first =
            identify(&[], vec![at("a", 1, "x"), at("a", 9, "x"), at("b", 1, "x")], Some(&sha('a')), none);
        let names = ids(&first.current);
        assert!(
            names[0].ends_with("-1") && names[1].ends_with("-2") && names[2].ends_with("-1"),
            "{names:?}"
        );
        let known = first.all();
        let moved = identify(&known, vec![at("a", 3, " x"), at("a", 11, "x  ")], Some(&sha('b')), none);
        assert_eq!(ids(&moved.current), names[..2]);
        assert_eq!(moved.gone[0].status, FindingStatus::Fixed(sha('b')));
    }

    /// Findings of a tool on equal lines, each with the tool's own fingerprint.
    fn equal(lines: &[(u32, &str)]) -> Vec<Placed> {
        let one = |(line, mark): &(u32, &str)| {
            let mut placed = at("a", *line, "x");
            placed.raw.source = Source::Tool;
            placed.raw.code.tool_fingerprint =
                (!mark.is_empty()).then(|| CodeDigests::tool_fingerprint(mark));
            placed
        };
        lines.iter().map(one).collect()
    }

    #[test]
    fn equal_lines_keep_their_ids_by_the_tools_own_fingerprints() {
        let none = (&Coverage::default(), &Renames::default());
        let known = identify(&[], equal(&[(1, "p"), (2, "q"), (3, "r")]), Some(&sha('a')), none).all();
        let names = ids(&known);
        // The first one is removed: the second now stands where it stood.
        let removed = identify(&known, equal(&[(1, "q"), (2, "r")]), Some(&sha('b')), none);
        assert_eq!(ids(&removed.current), names[1..]);
        assert_eq!((removed.gone[0].id.to_string(), removed.gone[0].is_open()), (names[0].clone(), false));
        let reordered = identify(&known, equal(&[(1, "r"), (2, "p"), (3, "q")]), Some(&sha('b')), none);
        assert_eq!(ids(&reordered.current), [&names[2], &names[0], &names[1]].map(String::clone));
        // Two on one line.
        let same = identify(&known, equal(&[(1, "q"), (1, "p")]), Some(&sha('b')), none);
        assert_eq!(ids(&same.current), [&names[1], &names[0]].map(String::clone));
    }

    #[test]
    fn a_tools_fingerprint_makes_no_finding_another() {
        let none = (&Coverage::default(), &Renames::default());
        for (before, now) in [("", "p"), ("p", ""), ("p", "q")] {
            let known = identify(&[], equal(&[(1, before)]), Some(&sha('a')), none).all();
            let again = identify(&known, equal(&[(7, now)]), Some(&sha('b')), none);
            assert_eq!((ids(&again.current), again.gone.len()), (ids(&known), 0), "{before} {now}");
        }
        let (marked, plain) = (equal(&[(1, "p"), (1, "q")]), equal(&[(1, ""), (1, "")]));
        let first = |found| ids(&identify(&[], found, None, none).current);
        assert_eq!(first(marked.clone()), first(plain), "an id holds nothing of it");
        let turned: Vec<Placed> = marked.iter().rev().cloned().collect();
        let mut names = first(turned);
        names.reverse();
        assert_eq!(names, first(marked), "in whatever order they come");
    }

    #[test]
    fn a_finding_comes_back_under_its_old_id() {
        let none = (&Coverage::default(), &Renames::default());
        let known = identify(&[], vec![at("a", 1, "x")], Some(&sha('a')), none).all();
        let fixed = identify(&known, vec![], Some(&sha('b')), none).all();
        let again = identify(&fixed, vec![at("a", 7, "x")], Some(&sha('c')), none);
        assert_eq!((again.current[0].id.clone(), again.current[0].is_open()), (known[0].id.clone(), true));
    }

    #[test]
    fn what_a_person_dismissed_stays_dismissed_while_the_code_is_the_same() {
        let none = (&Coverage::default(), &Renames::default());
        let mut known = identify(&[], vec![at("a", 1, "x")], Some(&sha('a')), none).all();
        known[0].status = FindingStatus::Dismissed("wanted".into());
        let same = identify(&known, vec![at("a", 2, "x")], Some(&sha('b')), none);
        assert!(!same.current[0].is_open());
        let edited = identify(&known, vec![at("a", 2, "x + 1")], Some(&sha('b')), none);
        assert!(edited.current[0].is_open());
    }

    #[test]
    fn a_file_that_could_not_be_read_fixes_nothing() {
        let none = (&Coverage::default(), &Renames::default());
        let known = identify(&[], vec![at("a", 1, "x")], Some(&sha('a')), none).all();
        let unread = NotReviewed { path: "a".into(), reason: SkipReason::TooLarge };
        let coverage = Coverage { reviewed: vec![], not_reviewed: vec![unread] };
        let (none, renames) = (Coverage::default(), Renames::default());
        assert!(identify(&known, vec![], Some(&sha('b')), (&coverage, &renames)).gone[0].is_open());
        assert!(identify(&known, vec![], None, (&none, &renames)).gone[0].is_open());
        assert!(!identify(&known, vec![], Some(&sha('b')), (&none, &renames)).gone[0].is_open());
    }

    fn renamed(old: &str, new: &str) -> Renames {
        let diff =
            format!("diff --git a/{old} b/{new}\nsimilarity index 90%\nrename from {old}\nrename to {new}\n");
        let mut renames = Renames::default();
        renames.learn(&truing_diff::parse(diff.as_bytes()).files);
        renames
    }

    #[test]
    fn a_renamed_file_that_could_not_be_read_fixes_nothing_and_one_that_was_keeps_its_ids() {
        let (none, renames) = (Coverage::default(), renamed("a", "b"));
        let known =
            identify(&[], vec![at("a", 1, "x = 1")], Some(&sha('a')), (&none, &Renames::default())).all();
        let unread = NotReviewed { path: "b".into(), reason: SkipReason::TooLarge };
        let coverage = Coverage { reviewed: vec![], not_reviewed: vec![unread] };
        assert!(identify(&known, vec![], Some(&sha('b')), (&coverage, &renames)).gone[0].is_open());
        let gone = identify(&known, vec![], Some(&sha('b')), (&coverage, &Renames::default())).gone;
        assert!(!gone[0].is_open(), "without a rename it is another file");
        let read = identify(&known, vec![at("b", 4, "x = 1")], Some(&sha('b')), (&none, &renames));
        assert_eq!(ids(&read.current), ids(&known));
    }

    /// A finding of a rule, or of no rule, that says something.
    fn said(rule: &str, path: &str, line: u32, title: &str, snippet: &str) -> Placed {
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
        let none = (&Coverage::default(), &Renames::default());
        let mut known =
            identify(&[], vec![said("", "a", 4, OPEN, "f = open(path)")], Some(&sha('a')), none).all();
        known[0].status = FindingStatus::Dismissed("short-lived".into());
        let now = vec![said("", "a", 9, AGAIN, "f = open(path, 'rb')")];
        let edited = identify(&known, now, Some(&sha('b')), none);
        assert_eq!(ids(&edited.current), ids(&known));
        assert!(edited.current[0].is_open() && edited.gone.is_empty());
        assert_ne!(edited.current[0].fingerprint, known[0].fingerprint);
    }

    #[test]
    fn a_renamed_file_keeps_ids_and_what_people_said() {
        let none = (&Coverage::default(), &Renames::default());
        let mut known =
            identify(&[], vec![said("core/x", "old.py", 4, OPEN, "f = open(path)")], None, none).all();
        known[0].status = FindingStatus::Declined("later".into());
        let mut now = said("core/x", "new.py", 4, OPEN, "  f = open(path)");
        let another = identify(&known, vec![now.clone()], None, none);
        assert_ne!(ids(&another.current), ids(&known), "without a rename it is another file");
        now.old_path = Some("old.py".into());
        let renamed = identify(&known, vec![now], None, none);
        assert_eq!((ids(&renamed.current), &renamed.current[0].status), (ids(&known), &known[0].status));
    }

    #[test]
    fn equal_words_of_two_rules_are_two_findings() {
        let none = (&Coverage::default(), &Renames::default());
        let known = identify(&[], vec![said("core/x", "a", 4, OPEN, "f = open(path)")], None, none).all();
        let now = vec![said("core/y", "a", 4, OPEN, "f = open(path)")];
        assert_ne!(ids(&identify(&known, now, None, none).current), ids(&known));
    }

    #[test]
    fn of_equally_alike_findings_the_nearer_lines_are_the_same() {
        let none = (&Coverage::default(), &Renames::default());
        let lines = |a, b, code: &str| vec![said("", "a", a, OPEN, code), said("", "a", b, OPEN, code)];
        let known = identify(&[], lines(10, 90, "f = open(path, mode)"), None, none).all();
        let now = identify(&known, lines(12, 93, "f = open(path, mode, 1)"), None, none);
        assert_eq!(ids(&now.current), ids(&known));
        let turned = identify(&known, lines(93, 12, "f = open(path, mode, 1)"), None, none);
        assert_eq!(ids(&turned.current), [ids(&known)[1].clone(), ids(&known)[0].clone()]);
    }

    #[test]
    fn an_id_lasts_over_two_renames_of_the_file_since_the_base() {
        let none = (&Coverage::default(), &Renames::default());
        let code = "f = open(path, mode)\nf.write(text)";
        let of = |path: &str| Placed { old_path: Some("app".into()), ..said("core/x", path, 4, OPEN, code) };
        let known = identify(&[], vec![said("core/x", "app", 4, OPEN, code)], None, none).all();
        let once = identify(&known, vec![of("core")], None, none);
        assert_eq!(ids(&once.current), ids(&known));
        let twice = identify(&once.all(), vec![of("lib")], None, none);
        assert_eq!(ids(&twice.current), ids(&known));
        let back = identify(&twice.all(), vec![said("core/x", "app", 4, OPEN, code)], None, none);
        assert_eq!(ids(&back.current), ids(&known));
    }

    mod any {
        use proptest::prelude::*;

        use super::*;

        fn placed() -> impl Strategy<Value = Placed> {
            let rule = prop::sample::select(vec!["", "core/x", "core/y"]);
            let path = prop::sample::select(vec!["a", "b"]);
            let title =
                prop::sample::select(vec![OPEN, AGAIN, "`save_index` ignores the error of `sync`", "t"]);
            let snippet =
                prop::sample::select(vec!["f = open(path)", "f = open(path, 'rb')", "g = sync(path)", ""]);
            let renamed = prop::sample::select(vec![None, Some("b")]);
            (rule, path, 1_u32..30, title, snippet, renamed).prop_map(
                |(rule, path, line, title, snippet, from)| Placed {
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
                let none = (&Coverage::default(), &Renames::default());
                let known = identify(&[], first, Some(&sha('a')), none).all();
                let now = identify(&known, second.clone(), Some(&sha('b')), none);
                prop_assert_eq!(&now, &identify(&known, second.clone(), Some(&sha('b')), none));

                let mut all = ids(&now.clone().all());
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

                // Another order of today's, and of yesterday's: the same finding has the same id.
                let (mut turned, mut shuffled) = (second, known);
                if !turned.is_empty() {
                    let by = turn % turned.len();
                    turned.rotate_left(by);
                }
                shuffled.reverse();
                let again = identify(&shuffled, turned, Some(&sha('b')), none);
                let sorted = |identified: Identified| {
                    let mut all: Vec<String> =
                        identified.current.iter().map(|finding| format!("{finding:?}")).collect();
                    all.sort();
                    all
                };
                prop_assert_eq!(sorted(now), sorted(again));
            }
        }
    }
}
