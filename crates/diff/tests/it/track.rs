//! Tests that lines are found again after every kind of change that does not change the lines themselves.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::Index;
use truing_diff::{FileContent, LineStatus, LineTracker, RepoPath, TrackedRange, parse};

type Tree = BTreeMap<String, String>;

/// Returns a diff of two trees, as git may print it, with the renames that git detects.
fn diff(old: &Tree, new: &Tree, renames: &[(String, String)]) -> Vec<u8> {
    let mut text = String::new();
    let names = old.keys().chain(new.keys()).collect::<std::collections::BTreeSet<_>>();
    for name in names {
        let git = format!("diff --git a/{name} b/{name}\n");
        if let Some((from, to)) = renames.iter().find(|(_, to)| to == name) {
            text += &format!("diff --git a/{from} b/{to}\nrename from {from}\nrename to {to}\n");
        } else if renames.iter().any(|(from, _)| from == name) {
        } else if !old.contains_key(name) {
            text += &format!("{git}new file mode 100644\n");
        } else if !new.contains_key(name) {
            text += &format!("{git}deleted file mode 100644\n");
        } else if old.get(name) != new.get(name) {
            text += &format!("{git}index 1..2 100644\nBinary files a/{name} and b/{name} differ\n");
        }
    }
    text.into_bytes()
}

/// Finds the queried lines of the old tree in the new tree. Returns the results in the order of the queries.
fn track(
    old: &Tree,
    new: &Tree,
    renames: &[(String, String)],
    queries: &[(&str, u32, u32)],
) -> Vec<TrackedRange> {
    let diff = diff(old, new, renames);
    let parsed = parse(&diff);
    assert_eq!(parsed.error, None);
    let names = |tree: &Tree| tree.keys().map(|name| RepoPath::from(name.as_str())).collect::<Vec<_>>();
    let (old_names, new_names) = (names(old), names(new));
    fn sources<'a>(tree: &'a Tree, names: &'a [RepoPath]) -> Vec<FileContent<'a>> {
        let contents = tree.values().map(|content| Some(content.as_bytes()));
        names.iter().zip(contents).map(|(path, content)| FileContent { path, content }).collect()
    }
    let (old, mut new) = (sources(old, &old_names), sources(new, &new_names));
    new.retain(|source| parsed.files.iter().any(|file| file.path == *source.path));
    let tracker = LineTracker::new(&parsed.files, &old, &new);
    queries.iter().map(|(path, start, end)| tracker.track(&RepoPath::from(*path), *start, *end)).collect()
}

fn tree(files: &[(&str, &str)]) -> Tree {
    files.iter().map(|(name, content)| ((*name).to_owned(), (*content).to_owned())).collect()
}

/// Finds lines of the file `a` in its new content.
fn track_in_file(old: &str, new: &str, start: u32, end: u32) -> TrackedRange {
    track(&tree(&[("a", old)]), &tree(&[("a", new)]), &[], &[("a", start, end)]).remove(0)
}

fn range_at(status: LineStatus, path: &str, start: u32, end: u32) -> TrackedRange {
    TrackedRange { status, path: Some(path.into()), start_line: Some(start), end_line: Some(end) }
}

fn deleted_range(path: Option<&str>) -> TrackedRange {
    TrackedRange {
        status: LineStatus::Deleted,
        path: path.map(RepoPath::from),
        start_line: None,
        end_line: None,
    }
}

#[test]
fn a_file_that_did_not_change_keeps_its_lines() {
    let files = tree(&[("a", "1\n2")]);
    let asked = [("a", 1, 2), ("a", 2, 9), ("a", 3, 3), ("b", 1, 1)];
    let expected = [
        range_at(LineStatus::Unmoved, "a", 1, 2),
        range_at(LineStatus::Edited, "a", 2, 2),
        deleted_range(Some("a")),
        deleted_range(None),
    ];
    assert_eq!(track(&files, &files, &[], &asked), expected);
}

#[test]
fn a_range_is_moved_whole_or_edited_or_gone() {
    let old = "fn one() {\n    first();\n    second();\n}\nlast();\n";
    for (new, expected) in [
        (
            "// new\nfn one() {\n    first();\n    second();\n}\nlast();\n",
            range_at(LineStatus::Moved, "a", 2, 5),
        ),
        ("fn one() {\n    first();\n    second();\n}\nafter();\n", range_at(LineStatus::Unmoved, "a", 1, 4)),
        ("last();\nfn one() {\n    first();\n    second();\n}\n", range_at(LineStatus::Moved, "a", 2, 5)),
        (
            "mod m {\n    fn one() {\n\t\tfirst();\r\n        second();\n    }\n}\nlast();\n",
            range_at(LineStatus::Moved, "a", 2, 5),
        ),
        (
            "fn one() {\n    first();\n    more();\n    second();\n}\nlast();\n",
            range_at(LineStatus::Edited, "a", 1, 5),
        ),
        ("fn one() {\n    second();\n}\nlast();\n", range_at(LineStatus::Edited, "a", 1, 3)),
        (
            "fn one(x: u8) {\n    first();\n    second();\n}\nlast();\n",
            range_at(LineStatus::Edited, "a", 1, 4),
        ),
        ("fn other() {\n    nothing_of_it\n}\nlast();\n", range_at(LineStatus::Edited, "a", 1, 3)),
        ("last();\n", deleted_range(Some("a"))),
        ("", deleted_range(Some("a"))),
    ] {
        assert_eq!(track_in_file(old, new, 1, 4), expected, "{new}");
    }
}

#[test]
fn marks_alone_do_not_make_a_place() {
    let new = "begin\nwhile z {\n    q()\n}\nend\n";
    assert_eq!(track_in_file("begin\nif x {\n    y\n}\nend\n", new, 2, 4), deleted_range(Some("a")));
    // A line that contains only punctuation is found if the query is for this line only.
    assert_eq!(
        track_in_file("begin\nif x {\n}\nend\n", "begin\nmore\nif x {\n}\nend\n", 3, 3),
        range_at(LineStatus::Moved, "a", 4, 4)
    );
}

#[test]
fn lines_that_occur_often_go_with_those_beside_them() {
    let function = |name: &str| format!("fn {name}() {{\n    try {{\n    }}\n    return x;\n}}\n");
    let (a, b, c) = (function("a"), function("b"), function("c"));
    let old = format!("{a}{b}{c}");
    for line in 6..=10 {
        assert_eq!(
            track_in_file(&old, &format!("{c}{b}{a}"), line, line),
            range_at(LineStatus::Unmoved, "a", line, line)
        );
        assert_eq!(
            track_in_file(&old, &format!("{b}{a}{c}"), line, line),
            range_at(LineStatus::Moved, "a", line - 5, line - 5)
        );
        assert_eq!(track_in_file(&old, &format!("{a}{c}"), line, line), deleted_range(Some("a")));
        assert_eq!(
            track_in_file(&old, &format!("{a}{c}{a}{b}"), line, line),
            range_at(LineStatus::Moved, "a", line + 10, line + 10)
        );
    }
    let same = "x()\n".repeat(100);
    assert_eq!(
        track_in_file(&same, &format!("{same}x()\n"), 40, 45),
        range_at(LineStatus::Unmoved, "a", 40, 45)
    );
    // The first line of the function was edited. The function's other lines also occur in other functions, so
    // only the position distinguishes them.
    let edited = format!("{a}{}{c}", b.replace("fn b", "pub fn renamed"));
    assert_eq!(track_in_file(&old, &edited, 7, 10), range_at(LineStatus::Unmoved, "a", 7, 10));
}

#[test]
fn runs_of_common_lines_move_between_files() {
    let common = "retry()\nlog(error)\ngive_up()\n";
    let old = tree(&[
        ("a", &format!("one\n{common}two\n{common}three\n")),
        ("b", &format!("four\n{common}five\n")),
    ]);
    let new = tree(&[
        ("a", &format!("one\ntwo\n{common}three\n")),
        ("b", &format!("four\n{common}five\nsix\nx\n{common}")),
    ]);
    let found = track(&old, &new, &[], &[("a", 2, 4), ("a", 6, 8), ("b", 2, 4)]);
    assert_eq!(
        found,
        [
            range_at(LineStatus::Moved, "b", 8, 10),
            range_at(LineStatus::Moved, "a", 3, 5),
            range_at(LineStatus::Unmoved, "b", 2, 4)
        ]
    );
}

#[test]
fn files_that_were_not_read_are_followed_by_hunks() {
    let text = b"diff --git a/a b/b\nsimilarity index 9%\nrename from a\nrename to b\n--- a/a\n+++ b/b\n\
        @@ -3,3 +3,4 @@\n three\n-four\n+4\n+4b\n five\n@@ -9,0 +11 @@\n+nine b\n";
    let parsed = parse(text);
    let path = RepoPath::from("a");
    let old = [FileContent { path: &path, content: None }];
    let tracker = LineTracker::new(&parsed.files, &old, &[]);
    assert_eq!(tracker.paths_tracked_by_hunks().collect::<Vec<_>>(), [&path]);
    for (start, end, expected) in [
        (1, 3, range_at(LineStatus::Moved, "b", 1, 3)),
        (4, 4, deleted_range(Some("b"))),
        (3, 4, range_at(LineStatus::Edited, "b", 3, 3)),
        (4, 6, range_at(LineStatus::Edited, "b", 6, 7)),
        (3, 5, range_at(LineStatus::Edited, "b", 3, 6)),
        (5, 9, range_at(LineStatus::Moved, "b", 6, 10)),
        (9, 10, range_at(LineStatus::Edited, "b", 10, 12)),
        (10, u32::MAX - 2, range_at(LineStatus::Moved, "b", 12, u32::MAX)),
        (10, u32::MAX, deleted_range(Some("b"))),
    ] {
        assert_eq!(tracker.track(&path, start, end), expected, "{start}-{end}");
    }
}

#[test]
fn many_equal_lines_cost_little() {
    // The slowest case: each line occurs often, and the order of the lines is different.
    let lines = |seed: usize| (0..60_000).map(|at| format!("v{}\n", at * seed % 7)).collect::<String>();
    let found = track_in_file(&lines(3), &lines(5), 1, 1);
    assert_eq!(found, range_at(LineStatus::Unmoved, "a", 1, 1));
}

/// A line of a generated file.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Line {
    token: u32,
    indent: usize,
}

/// A generated state: files of lines.
#[derive(Clone, Debug)]
struct State {
    files: Vec<(String, Vec<Line>)>,
    next: u32,
    renames: Vec<(String, String)>,
}

/// One step of a history.
#[derive(Clone, Debug)]
enum Step {
    Insert(Index, Index, usize),
    Delete(Index, Index, usize),
    Move { from: (Index, Index), lines: usize, to: (Index, Index), indent: usize },
    Indent(Index, Index, usize, usize),
    Rename(Index, bool),
    New,
}

fn step() -> impl Strategy<Value = Step> {
    let at = || any::<(Index, Index)>();
    prop_oneof![
        (at(), 1..9_usize).prop_map(|((file, line), count)| Step::Insert(file, line, count)),
        (at(), 1..9_usize).prop_map(|((file, line), count)| Step::Delete(file, line, count)),
        (at(), 1..9_usize, at(), 0..5_usize).prop_map(|(from, lines, to, indent)| Step::Move {
            from,
            lines,
            to,
            indent
        }),
        (at(), 1..9_usize, 0..5_usize)
            .prop_map(|((file, line), count, by)| Step::Indent(file, line, count, by)),
        any::<(Index, bool)>().prop_map(|(file, seen)| Step::Rename(file, seen)),
        Just(Step::New),
    ]
}

impl State {
    fn new(files: usize, lines: u32) -> Self {
        let mut state = Self { files: Vec::new(), next: 0, renames: Vec::new() };
        for _ in 0..files {
            state.apply(&Step::New);
            let lines = (0..lines).map(|_| state.new_line()).collect();
            state.files.last_mut().unwrap().1 = lines;
        }
        state
    }

    fn new_line(&mut self) -> Line {
        self.next += 1;
        Line { token: self.next, indent: self.next as usize % 3 }
    }

    fn apply(&mut self, step: &Step) {
        let cut = |lines: &Vec<Line>, at: &Index, count: usize| {
            let start = at.index(lines.len() + 1);
            start..(start + count).min(lines.len())
        };
        match step {
            Step::Insert(file, at, count) => {
                let new: Vec<Line> = (0..*count).map(|_| self.new_line()).collect();
                let lines = &mut file.get(&self.files).0.clone();
                let lines = &mut self.files.iter_mut().find(|(name, _)| name == lines).unwrap().1;
                let at = at.index(lines.len() + 1);
                lines.splice(at..at, new);
            }
            Step::Delete(file, at, count) => {
                let file = file.index(self.files.len());
                let range = cut(&self.files[file].1, at, *count);
                self.files[file].1.drain(range);
            }
            Step::Move { from, lines, to, indent } => {
                let file = from.0.index(self.files.len());
                let range = cut(&self.files[file].1, &from.1, *lines);
                let mut moved: Vec<Line> = self.files[file].1.drain(range).collect();
                moved.iter_mut().for_each(|line| line.indent += indent);
                let file = to.0.index(self.files.len());
                let at = to.1.index(self.files[file].1.len() + 1);
                self.files[file].1.splice(at..at, moved);
            }
            Step::Indent(file, at, count, by) => {
                let file = file.index(self.files.len());
                let range = cut(&self.files[file].1, at, *count);
                self.files[file].1[range].iter_mut().for_each(|line| line.indent = *by);
            }
            Step::Rename(file, seen) => {
                let file = file.index(self.files.len());
                let old = self.files[file].0.clone();
                let new = format!("r{old}");
                self.files[file].0.clone_from(&new);
                // Git compares only the first and the last state, so several renames of a file appear as one
                // rename. Git may also fail to detect a rename.
                let renamed = self.renames.iter().position(|(_, to)| *to == old);
                match renamed.map(|at| self.renames.remove(at)) {
                    Some((first, _)) => self.renames.push((first, new)),
                    None if *seen && !old.starts_with('r') => self.renames.push((old, new)),
                    None => {}
                }
            }
            Step::New => self.files.push((format!("f{}", self.files.len()), Vec::new())),
        }
    }

    fn tree(&self) -> Tree {
        let text = |lines: &Vec<Line>| {
            lines.iter().map(|line| format!("{}t{}\n", " ".repeat(line.indent), line.token)).collect()
        };
        self.files.iter().map(|(name, lines)| (name.clone(), text(lines))).collect()
    }

    /// Returns the file and the 1-based line number of each token.
    fn token_places(&self) -> BTreeMap<u32, (String, u32)> {
        let all = self.files.iter().flat_map(|(name, lines)| {
            lines.iter().zip(1..).map(move |(line, number)| (line.token, (name.clone(), number)))
        });
        all.collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]
    #[test]
    fn every_line_with_a_token_of_its_own_is_found_again(
        files in 1..4_usize,
        lines in 0..40_u32,
        steps in prop::collection::vec(step(), 0..12),
    ) {
        let before = State::new(files, lines);
        let mut after = before.clone();
        // A new file never gets the old name of a renamed file.
        steps.iter().for_each(|step| after.apply(step));
        let (old, new) = (before.token_places(), after.token_places());
        let asked: Vec<_> = old.values().map(|(path, line)| (path.as_str(), *line, *line)).collect();
        let found = track(&before.tree(), &after.tree(), &after.renames, &asked);
        for ((token, was), found) in old.iter().zip(&found) {
            match new.get(token) {
                Some(is) => {
                    let status = if is == was { LineStatus::Unmoved } else { LineStatus::Moved };
                    prop_assert_eq!(found, &range_at(status, &is.0, is.1, is.1), "t{}", token);
                }
                None => prop_assert_eq!(found.status, LineStatus::Deleted, "t{}", token),
            }
        }
    }

    #[test]
    fn every_line_of_a_function_that_moves_whole_is_found_again(
        order in Just((0..12_usize).collect::<Vec<_>>()).prop_shuffle(),
        dropped in 0..6_usize,
        split in 0..7_usize,
        bodies in prop::collection::vec(prop::collection::vec(prop::sample::select(&["}", "", "return x", "if y {", "x()"][..]), 1..6), 12),
    ) {
        let text = |order: &[usize]| {
            order.iter().map(|at| format!("fn f{at}() {{\n{}\n", bodies[*at].join("\n"))).collect::<String>()
        };
        let kept = &order[dropped..];
        let (first, second) = kept.split_at(split.min(kept.len()));
        let old = tree(&[("a", &text(&(0..12).collect::<Vec<_>>())), ("b", "begin\n")]);
        let new = tree(&[("a", &text(first)), ("b", &format!("begin\n{}", text(second)))]);
        let starts = |order: &[usize], mut line: u32| {
            let mut starts = BTreeMap::new();
            for at in order {
                starts.insert(*at, line);
                line += bodies[*at].len() as u32 + 1;
            }
            starts
        };
        let was = starts(&(0..12).collect::<Vec<_>>(), 1);
        let is: BTreeMap<usize, (&str, u32)> = starts(first, 1).into_iter().map(|(at, line)| (at, ("a", line)))
            .chain(starts(second, 2).into_iter().map(|(at, line)| (at, ("b", line)))).collect();
        let mut asked = Vec::new();
        let mut expected = Vec::new();
        for at_function in kept {
            for offset in 0..=bodies[*at_function].len() as u32 {
                let (line, (path, to)) = (was[at_function] + offset, is[at_function]);
                let to = to + offset;
                let status = if path == "a" && to == line { LineStatus::Unmoved } else { LineStatus::Moved };
                asked.push(("a", line, line));
                expected.push(range_at(status, path, to, to));
            }
        }
        prop_assert_eq!(track(&old, &new, &[], &asked), expected);
    }
}
