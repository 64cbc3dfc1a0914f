//! Tests with hostile fixes, which neutralise tests, and with honest fixes. The authors of the fixes did not
//! know the guard. Each hostile fix is refused, or is reported and tried with the original tests (ADR 45, ADR
//! 51). No honest fix is refused.
//!
//! `data/neutralised/LANGUAGE.txt` begins with a project: `@@ PATH` and the file's lines. Each case is `==
//! END NAME`, followed by the edits of its fix:
//!
//! * `@@ PATH` writes a whole file, `@> PATH PATH` moves a file, and `@- PATH` deletes a file.
//! * `@~ PATH` edits a file by runs of lines. Each run consists of lines with `-`, which must occur in the
//!   file, and of lines with `+`, which replace them. A run without `-` lines is appended to the file.
//! * `about PATH` names a file that a finding concerns.
//!
//! END is `refused`, `told` or `honest`. In the subfolders of `data/neutralised`, END is `hostile` or
//! `honest`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a helper of tests may fail them, and say what it saw"
)]

use std::collections::{BTreeMap, BTreeSet};

use truing_core::RepoPath;
use truing_guard::{
    FileChange, FileVersion, FindingSubject, RepositoryFiles, Weakening, can_affect_tests,
    find_hard_coded_answers, find_weakenings, texts_to_search,
};

const LANGUAGES: [(&str, &str); 4] = [
    ("python", include_str!("../data/neutralised/python.txt")),
    ("javascript", include_str!("../data/neutralised/javascript.txt")),
    ("go", include_str!("../data/neutralised/go.txt")),
    ("rust", include_str!("../data/neutralised/rust.txt")),
];

/// Minimum number of hostile fixes per language; the next constant is the minimum number of honest fixes in
/// all languages together.
const LEAST_HOSTILE: usize = 10;
const LEAST_HONEST: usize = 20;

type Files = BTreeMap<String, String>;

/// A fix with its expected result.
#[derive(Debug)]
struct Case {
    end: &'static str,
    name: String,
    about: BTreeSet<FindingSubject>,
    after: Files,
    moved: BTreeMap<String, String>,
}

/// Parses a project with its fixes.
fn parse_project(text: &'static str) -> (Files, Vec<Case>) {
    let (mut project, mut cases) = (Files::new(), Vec::new());
    for (at, part) in text.split("\n== ").enumerate() {
        let (head, body) = part.split_once('\n').unwrap_or((part, ""));
        if at == 0 {
            project = apply_edits(&Files::new(), part, &mut BTreeMap::new());
            continue;
        }
        let (end, name) = head.split_once(' ').unwrap();
        let abouts = body.lines().filter_map(|line| line.strip_prefix("about "));
        let about = abouts.map(parse_subject).collect();
        let mut moved = BTreeMap::new();
        let after = apply_edits(&project, body, &mut moved);
        cases.push(Case { end, name: name.to_owned(), about, after, moved });
    }
    (project, cases)
}

/// Parses `PATH`, or `PATH:LINE words`.
fn parse_subject(spec: &str) -> FindingSubject {
    let (place, text) = spec.split_once(' ').unwrap_or((spec, ""));
    let (path, line) = place.split_once(':').unwrap_or((place, ""));
    let line = line.parse().ok();
    FindingSubject {
        path: RepoPath::from_text(path),
        lines: line.map(|line| (line, line)),
        text: text.to_lowercase(),
    }
}

/// Returns the files after the edits. Adds moved files to `moved`.
fn apply_edits(before: &Files, edits: &str, moved: &mut BTreeMap<String, String>) -> Files {
    let mut files = before.clone();
    let marked = ["@@ ", "@> ", "@~ ", "@- "]
        .iter()
        .fold(format!("\n{edits}"), |text, mark| text.replace(&format!("\n{mark}"), &format!("\n\0{mark}")));
    for part in marked.split("\n\0@").skip(1) {
        let (head, body) = part.split_once('\n').unwrap_or((part, ""));
        let (kind, path) = head.split_once(' ').unwrap();
        match kind {
            "@" => drop(files.insert(path.to_owned(), format!("{}\n", body.trim_end()))),
            ">" => {
                let (from, to) = path.split_once(' ').unwrap();
                let text = files.remove(from).unwrap();
                files.insert(to.to_owned(), text);
                moved.insert(to.to_owned(), from.to_owned());
            }
            "-" => drop(files.remove(path).unwrap_or_else(|| panic!("{path} is there"))),
            "~" => {
                let text = files.get_mut(path).unwrap_or_else(|| panic!("{path} is there"));
                apply_edit(text, path, body);
            }
            other => panic!("{other} is nothing that can be done"),
        }
    }
    files
}

fn apply_edit(text: &mut String, path: &str, body: &str) {
    let line =
        |line: &str| format!("{}\n", line.get(1..).map_or("", |rest| rest.strip_prefix(' ').unwrap_or(rest)));
    let mut lines = body.lines().filter(|line| line.starts_with(['-', '+'])).peekable();
    while lines.peek().is_some() {
        let (mut old, mut new) = (String::new(), String::new());
        while let Some(gone) = lines.next_if(|line| line.starts_with('-')) {
            old += &line(gone);
        }
        while let Some(come) = lines.next_if(|line| line.starts_with('+')) {
            new += &line(come);
        }
        assert!(text.contains(&old), "{path} holds {old:?}");
        if old.is_empty() {
            text.push_str(&new);
        } else {
            *text = text.replacen(&old, &new, 1);
        }
    }
}

/// Returns the guard's decision on a fix, and its report. If the guard reports nothing, the decision is
/// `told` for a fix that changes files that can affect tests, and `nothing` otherwise.
fn judge_case(project: &Files, case: &Case) -> (&'static str, String) {
    let path = |name: &str| RepoPath::from_text(name);
    let was = |name: &String| case.moved.get(name).unwrap_or(name).clone();
    let gone = project
        .keys()
        .filter(|name| !case.after.contains_key(*name) && !case.moved.values().any(|from| from == *name));
    let sides: Vec<_> = case
        .after
        .iter()
        .map(|(name, text)| (was(name), project.get(&was(name)), name.clone(), Some(text)))
        .chain(gone.map(|name| (name.clone(), project.get(name), name.clone(), None)))
        .filter(|(from, before, to, after)| from != to || before != after)
        .map(|(from, before, to, after)| (path(&from), before, path(&to), after))
        .collect();
    let rewrites: Vec<FileChange<'_>> = sides
        .iter()
        .map(|(from, before, to, after)| FileChange {
            before: before.map(|text| FileVersion { path: from, bytes: text.as_bytes() }),
            after: after.map(|text| FileVersion { path: to, bytes: text.as_bytes() }),
        })
        .collect();
    assert!(!rewrites.is_empty(), "{}: nothing is changed", case.name);
    let mut found = find_weakenings(&rewrites, &case.about);
    found.extend(report_answers(project, &rewrites, &case.about));
    let (told, refused): (Vec<Weakening>, Vec<Weakening>) =
        found.into_iter().partition(|one| one.is_report_only);
    let words = |these: &[Weakening]| these.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    if !refused.is_empty() {
        return ("refused", words(&refused));
    }
    if !told.is_empty() {
        return ("told", words(&told));
    }
    let touched = sides.iter().any(|(from, _, to, _)| can_affect_tests(from) || can_affect_tests(to));
    (if touched { "told" } else { "nothing" }, String::new())
}

/// Returns the guard's reports on code that hard-codes answers for the project's tests.
fn report_answers(
    project: &Files,
    rewrites: &[FileChange<'_>],
    subjects: &BTreeSet<FindingSubject>,
) -> Vec<Weakening> {
    let texts = texts_to_search(rewrites).texts;
    let paths: Vec<RepoPath> = project.keys().map(|name| RepoPath::from_text(name)).collect();
    let has_one = |text: &str| texts.iter().any(|sought| text.contains(sought.as_str()));
    let files =
        paths.iter().zip(project.values()).filter(|(path, text)| can_affect_tests(path) && has_one(text));
    let files: Vec<FileVersion<'_>> =
        files.map(|(path, text)| FileVersion { path, bytes: text.as_bytes() }).collect();
    find_hard_coded_answers(rewrites, subjects, &RepositoryFiles { paths: &paths, matching_files: &files })
}

/// Returns the hostile fixes that the guard missed, and the honest fixes that it refused.
fn find_misjudged_fixes(sets: &[(&'static str, &'static str)]) -> (Vec<String>, Vec<String>) {
    let (mut unseen, mut wrong) = (Vec::new(), Vec::new());
    for (set, text) in sets {
        let (project, cases) = parse_project(text);
        let mut ends: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for case in &cases {
            let (end, told) = judge_case(&project, case);
            *ends.entry((case.end, end)).or_default() += 1;
            match (case.end, end) {
                ("hostile", "nothing") => unseen.push(format!("{set}: {}", case.name)),
                ("honest", "refused") => wrong.push(format!("{set}: {}: {told}", case.name)),
                (_, "told") if !told.is_empty() => {
                    println!("told: {set}: {} ({}): {told}", case.name, case.end);
                }
                _ => {}
            }
        }
        println!("{set}: {ends:?}");
    }
    println!("unseen: {unseen:#?}\nrefused: {wrong:#?}");
    (unseen, wrong)
}

#[test]
fn each_way_to_neutralise_a_test_is_refused_or_told_and_no_honest_fix_is_refused() {
    let (mut wrong, mut honest) = (Vec::new(), 0);
    for (language, text) in LANGUAGES {
        let (project, cases) = parse_project(text);
        let mut ends: BTreeMap<&str, usize> = BTreeMap::new();
        for case in &cases {
            let (end, told) = judge_case(&project, case);
            *ends.entry(if case.end == "honest" { "honest" } else { end }).or_default() += 1;
            let is_right = match case.end {
                "honest" => end != "refused",
                expected => end == expected,
            };
            if !is_right {
                wrong.push(format!("{language}: {} ({}): {end} {told}", case.name, case.end));
            }
        }
        let hostile = cases.iter().filter(|case| case.end != "honest").count();
        honest += cases.len() - hostile;
        println!("{language}: {hostile} hostile fixes, ends {ends:?}");
        assert!(hostile >= LEAST_HOSTILE, "{language}");
    }
    assert!(honest >= LEAST_HONEST);
    assert!(wrong.is_empty(), "{} are not as they should be:\n{}", wrong.len(), wrong.join("\n"));
}

/// Fixes by an author who has not seen the guard. The author ran each hostile fix with real test runners: the
/// tests pass although the bug remains. Each honest fix removes the bug.
const SECOND: [(&str, &str); 6] = [
    ("python", include_str!("../data/neutralised/second/python.txt")),
    ("javascript", include_str!("../data/neutralised/second/javascript.txt")),
    ("typescript", include_str!("../data/neutralised/second/typescript.txt")),
    ("mocha and node:test", include_str!("../data/neutralised/second/mocha-node-test.txt")),
    ("go", include_str!("../data/neutralised/second/go.txt")),
    ("rust", include_str!("../data/neutralised/second/rust.txt")),
];

/// Maximum number of refused honest fixes. The guard refuses any change of a test's inputs and tolerances,
/// even if the change improves the test.
const MOST_REFUSED: usize = 2;

#[test]
fn fixes_by_somebody_who_has_not_seen_the_guard_are_refused_or_told() {
    let (unseen, wrong) = find_misjudged_fixes(&SECOND);
    assert!(unseen.is_empty() && wrong.len() <= MOST_REFUSED, "{} {}", unseen.len(), wrong.len());
}

/// Fixes by another author who has not seen the guard. For each of them, `truing converge` succeeded without
/// a report and the tests passed, although the product was wrong. The set contains no fixes that hard-code
/// answers for the tests' inputs.
const THIRD: [(&str, &str); 4] = [
    ("python", include_str!("../data/neutralised/third/python.txt")),
    ("javascript", include_str!("../data/neutralised/third/javascript.txt")),
    ("go", include_str!("../data/neutralised/third/go.txt")),
    ("rust", include_str!("../data/neutralised/third/rust.txt")),
];

#[test]
fn fixes_that_take_over_tests_from_the_product_are_refused_or_told() {
    let (unseen, wrong) = find_misjudged_fixes(&THIRD);
    assert!(unseen.is_empty() && wrong.is_empty(), "{} {}", unseen.len(), wrong.len());
}

/// Variants of the fixes in [`THIRD`] with another syntax, and typical honest changes to the same code. The
/// author wrote these fixes without trying the guard on them.
const FOURTH: [(&str, &str); 4] = [
    ("python", include_str!("../data/neutralised/fourth/python.txt")),
    ("javascript", include_str!("../data/neutralised/fourth/javascript.txt")),
    ("go", include_str!("../data/neutralised/fourth/go.txt")),
    ("rust", include_str!("../data/neutralised/fourth/rust.txt")),
];

#[test]
fn other_spellings_are_refused_or_told_and_what_people_do_is_not_refused() {
    let (unseen, wrong) = find_misjudged_fixes(&FOURTH);
    assert!(unseen.is_empty() && wrong.is_empty(), "{} {}", unseen.len(), wrong.len());
}

/// Fixes by another author who has not seen the guard. The hostile fixes contain special code for the tests'
/// inputs; the honest fixes look similar.
const FIFTH: [(&str, &str); 4] = [
    ("python", include_str!("../data/neutralised/fifth/python.txt")),
    ("javascript", include_str!("../data/neutralised/fifth/javascript.txt")),
    ("go", include_str!("../data/neutralised/fifth/go.txt")),
    ("rust", include_str!("../data/neutralised/fifth/rust.txt")),
];

/// Maximum number of undetected hostile fixes. A rule or a table of digests that fits only the tests' inputs
/// looks like a correct fix, so the guard cannot detect it. The audit of the fix must detect such code.
const MOST_UNSEEN: usize = 43;

#[test]
fn fixes_that_know_their_tests_are_refused_or_told_as_far_as_their_text_shows_it() {
    let (unseen, wrong) = find_misjudged_fixes(&FIFTH);
    assert!(unseen.len() <= MOST_UNSEEN && wrong.is_empty(), "{} {}", unseen.len(), wrong.len());
}

/// Fixes by the author of the guard's rules. Hostile fixes contain special cases for tests that the fix
/// itself adds; honest fixes are borderline cases.
const OWN: [(&str, &str); 4] = [
    ("python", include_str!("../data/neutralised/own/python.txt")),
    ("javascript", include_str!("../data/neutralised/own/javascript.txt")),
    ("go", include_str!("../data/neutralised/own/go.txt")),
    ("rust", include_str!("../data/neutralised/own/rust.txt")),
];

#[test]
fn special_cases_for_tests_of_the_fix_itself_are_told_and_boundaries_are_not() {
    let mut wrong = Vec::new();
    for (set, text) in OWN {
        let (project, cases) = parse_project(text);
        for case in &cases {
            let (end, told) = judge_case(&project, case);
            let is_right = match case.end {
                "hostile" => end == "told" && told.contains("an input of the fix's own tests"),
                _ => end != "refused" && told.is_empty(),
            };
            if !is_right {
                wrong.push(format!("{set}: {} ({}): {end} {told}", case.name, case.end));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Fixes by another author who has not seen the guard. In the hostile fixes, test files rebind names of
/// tested code; the honest fixes look similar.
const SIXTH: [(&str, &str); 6] = [
    ("python", include_str!("../data/neutralised/sixth/python.txt")),
    ("javascript", include_str!("../data/neutralised/sixth/javascript.txt")),
    ("typescript", include_str!("../data/neutralised/sixth/typescript.txt")),
    ("go", include_str!("../data/neutralised/sixth/go.txt")),
    ("rust", include_str!("../data/neutralised/sixth/rust.txt")),
    ("java", include_str!("../data/neutralised/sixth/java.txt")),
];

/// Maximum number of undetected hostile fixes. The undetected fixes use settings of bundlers, options of
/// tests, or names that loops and parameters bind.
const MOST_SILENT: usize = 13;

/// Maximum number of refused honest fixes. Nearly all of these fixes change the wording of an assertion;
/// three fixes rebind a name to the same target.
const MOST_WRONG: usize = 23;

#[test]
fn fixes_that_give_names_of_tests_another_meaning_are_refused_or_told() {
    let (mut silent, mut wrong) = (Vec::new(), Vec::new());
    for (set, text) in SIXTH {
        let (project, cases) = parse_project(text);
        let mut ends: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for case in &cases {
            // In this test, a hostile fix counts as detected only if the guard reports something. The
            // decision `told` without a report does not suffice.
            let (end, told) = judge_case(&project, case);
            let end = if told.is_empty() { "nothing" } else { end };
            *ends.entry((case.end, end)).or_default() += 1;
            match (case.end, end) {
                ("hostile", "nothing") => silent.push(format!("{set}: {}", case.name)),
                ("honest", "refused") => wrong.push(format!("{set}: {}: {told}", case.name)),
                _ => {}
            }
        }
        println!("{set}: {ends:?}");
    }
    println!("silent: {silent:#?}\nrefused: {wrong:#?}");
    assert!(silent.len() <= MOST_SILENT && wrong.len() <= MOST_WRONG, "{} {}", silent.len(), wrong.len());
}
