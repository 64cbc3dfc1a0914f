//! Checks that no cycle of more than three files exists among the modules of a crate. To change one file of a
//! cycle, an author must know all files of the cycle.
//!
//! File A uses file B if A names an item of B in an import or a path. A `mod` declaration and a re-exporting
//! `pub use` do not count: a file that uses a re-exported name uses the file that defines the name. Test code
//! does not count. Calls of a method do not count as a use of the file that defines the method, because a
//! caller names only the type.

mod source;
mod tree;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::path::Path;

use anyhow::Result;

use self::tree::FileDependencies;
use super::report::CheckReport;
use crate::workspace;

/// Maximum number of files in a cycle.
const MAX_CYCLE_FILES: usize = 3;

/// Larger cycles that are accepted for now, each with one of its files and its size. No cycle may grow or be
/// added. If a cycle becomes smaller, its new size must be entered here.
const CYCLE_EXCEPTIONS: &[(&str, usize)] = &[("crates/loops/src/agent.rs", 5)];

/// Checks the modules of every crate.
pub(crate) fn check(root: &Path) -> Result<CheckReport> {
    let files = workspace::tracked_files(root)?;
    let texts: BTreeMap<&str, &str> = files
        .iter()
        .filter(|file| file.path.ends_with(".rs"))
        .map(|file| (file.path.as_str(), file.text.as_str()))
        .collect();
    Ok(find_cycles(&texts, CYCLE_EXCEPTIONS))
}

/// Finds the cycles in every crate whose root is among these files.
fn find_cycles(texts: &BTreeMap<&str, &str>, exceptions: &[(&str, usize)]) -> CheckReport {
    let (mut files, mut uses, mut circles) = (0, 0, Vec::new());
    for root in texts.keys().filter(|path| is_crate_root(path)) {
        let arrows = tree::file_dependencies(root, texts);
        files += arrows.len();
        uses += arrows.values().map(BTreeSet::len).sum::<usize>();
        circles.extend(
            strongly_connected_components(&arrows).into_iter().map(|files| FileCycle::new(files, &arrows)),
        );
    }
    circles.retain(|circle| circle.files.len() > MAX_CYCLE_FILES);
    circles.sort_by_key(|circle| std::cmp::Reverse(circle.files.len()));
    let (mut problems, mut warnings) = (Vec::new(), Vec::new());
    for circle in &circles {
        let (size, listed) = (circle.files.len(), circle.exception(exceptions));
        match listed {
            Some((_, allowed)) if size == allowed => {}
            Some((file, allowed)) if size < allowed => {
                warnings
                    .push(format!("{file}: its circle has {size} files now, and the list allows {allowed}"));
            }
            Some((_, allowed)) => {
                problems.push(format!("a circle of {size} files, and the list allows {allowed}: {circle}"));
            }
            None => problems.push(format!("a circle of {size} files, more than {MAX_CYCLE_FILES}: {circle}")),
        }
    }
    let holds = |file: &str| circles.iter().any(|circle| circle.files.iter().any(|known| known == file));
    let gone = exceptions.iter().filter(|(file, _)| !holds(file));
    warnings
        .extend(gone.map(|(file, _)| format!("{file}: on the list of exceptions, and in no large circle")));
    CheckReport::Completed { summary: format!("{files} files, {uses} uses"), problems, warnings }
}

/// Returns true if this file is the root of a crate.
fn is_crate_root(path: &str) -> bool {
    let source = path.strip_suffix("/lib.rs").or_else(|| path.strip_suffix("/main.rs"));
    source.and_then(|source| source.strip_suffix("/src")).is_some()
}

/// A set of files in which each file uses every other file, directly or indirectly.
struct FileCycle {
    files: Vec<String>,
    /// The shortest chain of uses from one of the files back to the same file.
    shortest_path: Vec<String>,
}

impl FileCycle {
    fn new(files: Vec<String>, dependencies: &FileDependencies) -> Self {
        let ways = files.iter().filter_map(|file| shortest_cycle(file, dependencies));
        let shortest = ways.min_by_key(Vec::len).unwrap_or_default();
        Self { files, shortest_path: shortest }
    }

    /// Returns the exception that names one of the cycle's files.
    fn exception<'a>(&self, exceptions: &[(&'a str, usize)]) -> Option<(&'a str, usize)> {
        exceptions.iter().find(|(file, _)| self.files.iter().any(|known| known == file)).copied()
    }
}

impl fmt::Display for FileCycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; the shortest way around: {}", self.files.join(", "), self.shortest_path.join(" → "))
    }
}

/// Returns the shortest chain of uses from a file back to itself; the file is the first and the last element.
fn shortest_cycle(from: &str, dependencies: &FileDependencies) -> Option<Vec<String>> {
    let mut reached = BTreeSet::new();
    let mut ways = VecDeque::from([vec![from.to_owned()]]);
    while let Some(way) = ways.pop_front() {
        for next in way.last().and_then(|last| dependencies.get(last)).into_iter().flatten() {
            let further = [way.as_slice(), std::slice::from_ref(next)].concat();
            if next == from {
                return Some(further);
            }
            if reached.insert(next) {
                ways.push_back(further);
            }
        }
    }
    None
}

/// Returns the strongly connected components of at least two files (Tarjan's algorithm).
fn strongly_connected_components(dependencies: &FileDependencies) -> Vec<Vec<String>> {
    let mut search =
        CycleSearch { dependencies, visit_order: BTreeMap::new(), stack: Vec::new(), cycles: Vec::new() };
    for file in dependencies.keys() {
        if !search.visit_order.contains_key(file.as_str()) {
            search.visit(file);
        }
    }
    search.cycles
}

struct CycleSearch<'a> {
    dependencies: &'a FileDependencies,
    /// The visit number of each file: 0 for the first visited file, 1 for the second.
    visit_order: BTreeMap<&'a str, usize>,
    stack: Vec<&'a str>,
    cycles: Vec<Vec<String>>,
}

impl<'a> CycleSearch<'a> {
    /// Visits a file and all files that it uses. Returns the smallest visit number of a file on the stack
    /// that is reachable from this file. The depth of the recursion is at most the number of files in a
    /// crate, which is a few hundred.
    fn visit(&mut self, file: &'a str) -> usize {
        let index = self.visit_order.len();
        self.visit_order.insert(file, index);
        self.stack.push(file);
        let mut low = index;
        for next in self.dependencies.get(file).into_iter().flatten() {
            match self.visit_order.get(next.as_str()) {
                None => low = low.min(self.visit(next)),
                Some(seen) if self.stack.contains(&next.as_str()) => low = low.min(*seen),
                Some(_) => {}
            }
        }
        if low == index {
            let begin = self.stack.iter().position(|known| *known == file).unwrap_or_default();
            let mut files: Vec<String> = self.stack.drain(begin..).map(str::to_owned).collect();
            files.sort();
            if files.len() > 1 {
                self.cycles.push(files);
            }
        }
        low
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the problems and warnings for a fictitious crate with these files.
    fn find_cycle_problems(
        files: &[(&str, &str)],
        exceptions: &[(&str, usize)],
    ) -> (Vec<String>, Vec<String>) {
        let paths: Vec<String> = files.iter().map(|(path, _)| format!("crates/a/src/{path}")).collect();
        let texts = paths.iter().map(String::as_str).zip(files.iter().map(|(_, text)| *text)).collect();
        match find_cycles(&texts, exceptions) {
            CheckReport::Completed { summary: _, problems, warnings } => (problems, warnings),
            CheckReport::NotRun(why) => panic!("{why}"),
        }
    }

    /// Returns each file with the files that it uses.
    fn render_file_uses(files: &[(&str, &str)]) -> Vec<String> {
        let paths: Vec<String> = files.iter().map(|(path, _)| format!("src/{path}")).collect();
        let texts = paths.iter().map(String::as_str).zip(files.iter().map(|(_, text)| *text)).collect();
        let plain = |path: &str| path.trim_start_matches("src/").to_owned();
        let arrows =
            tree::file_dependencies("src/lib.rs", &texts).into_iter().filter(|(_, to)| !to.is_empty());
        arrows
            .map(|(from, to)| (plain(&from), to.iter().map(|to| plain(to)).collect::<Vec<_>>().join(" ")))
            .map(|(from, to)| format!("{from}: {to}"))
            .collect()
    }

    const RING: &[(&str, &str)] = &[
        ("lib.rs", "mod one; mod two; mod three; mod four;"),
        ("one.rs", "use crate::two::Two; pub struct One;"),
        ("two.rs", "pub struct Two(super::three::Three);"),
        ("three.rs", "use super::four::{self, Four}; pub struct Three;"),
        ("four.rs", "pub struct Four(crate::one::One);"),
    ];

    #[test]
    fn a_circle_of_more_than_three_files_is_a_problem_that_names_them_and_the_way_around() {
        let (problems, warnings) = find_cycle_problems(RING, &[]);
        let name = |name: &str| format!("crates/a/src/{name}.rs");
        let all = ["four", "one", "three", "two"].map(name).join(", ");
        let way = ["four", "one", "two", "three", "four"].map(name).join(" → ");
        let expected = format!("a circle of 4 files, more than 3: {all}; the shortest way around: {way}");
        assert_eq!((problems, warnings.len()), (vec![expected], 0));
        let three = [("three.rs", "pub struct Three(super::one::One);")];
        assert_eq!(
            find_cycle_problems(&[&RING[..3], &three, &RING[4..]].concat(), &[]).0,
            [""; 0],
            "three may know each other"
        );
    }

    #[test]
    fn of_the_ways_around_the_shortest_is_told() {
        let short = [("three.rs", "use super::{four::Four, two::Two}; pub struct Three;")];
        let (problems, _) = find_cycle_problems(&[&RING[..3], &short, &RING[4..]].concat(), &[]);
        let way = "around: crates/a/src/three.rs → crates/a/src/two.rs → crates/a/src/three.rs";
        assert!(problems.len() == 1 && problems[0].ends_with(way), "{problems:?}");
    }

    #[test]
    fn an_exception_may_not_grow_and_one_that_shrinks_is_to_be_lowered() {
        let exception = |size| [("crates/a/src/two.rs", size)];
        assert_eq!(find_cycle_problems(RING, &exception(4)), (vec![], vec![]));
        let (problems, _) = find_cycle_problems(RING, &[("crates/a/src/two.rs", 3)]);
        assert!(
            problems.concat().starts_with("a circle of 4 files, and the list allows 3: "),
            "{problems:?}"
        );
        let lower = "crates/a/src/two.rs: its circle has 4 files now, and the list allows 5";
        assert_eq!(find_cycle_problems(RING, &exception(5)), (vec![], vec![lower.to_owned()]));
        let gone = "crates/a/src/two.rs: on the list of exceptions, and in no large circle";
        assert_eq!(find_cycle_problems(&RING[..1], &exception(5)), (vec![], vec![gone.to_owned()]));
    }

    #[test]
    fn a_use_is_an_import_or_a_path_into_another_file() {
        let files = [
            ("lib.rs", "mod a; mod b; mod c; mod d; mod e; mod f; fn main() { a::run(); } pub struct Root;"),
            (
                "a.rs",
                "pub mod inner; use crate::b::{self, X as Y, deep::Z}; fn run() { b::go(self::inner::W) }",
            ),
            (
                "a/inner.rs",
                "fn f() -> super::super::Root { r#\"crate::c::Text\"#; /* crate::c::Talk */ 'x'; }",
            ),
            ("b.rs", "pub mod deep; pub struct X; fn go() {}"),
            ("b/deep.rs", "mod own { use super::super::X; } pub struct Z;"),
            ("c.rs", "use crate::d::*; use std::fmt; fn f() { fmt::Result; Self::new(); }"),
            ("d.rs", "use ::a::run; pub trait T where Self: crate::e::U {}"),
            ("e.rs", "macro_rules! m { () => { $crate::f::call() } }"),
            ("f.rs", "impl X { fn f(&self) -> impl Fn() + use<'_> { self.run() } }"),
        ];
        let expected = [
            "a.rs: a/inner.rs b.rs b/deep.rs",
            "a/inner.rs: lib.rs",
            "b/deep.rs: b.rs",
            "c.rs: d.rs",
            "d.rs: e.rs",
            "e.rs: f.rs",
            "lib.rs: a.rs",
        ];
        assert_eq!(render_file_uses(&files), expected);
    }

    #[test]
    fn a_name_that_is_handed_on_leads_to_the_file_that_defines_it() {
        let files = [
            (
                "lib.rs",
                "mod a; mod b; mod c; pub use a::Shown; pub(crate) use a::Own; fn f(_: Own) {} pub use \
                 serde::X;",
            ),
            ("a.rs", "pub mod low; pub use low::{Low as Shown, Own}; pub use self::low::*;"),
            ("a/low.rs", "pub struct Low; pub struct Own; pub fn more() {}"),
            ("b.rs", "use crate::Shown; use crate::{X, a};"),
            ("c.rs", "use crate::a; fn f() { a::more() }"),
        ];
        assert_eq!(render_file_uses(&files), ["b.rs: a/low.rs", "c.rs: a/low.rs", "lib.rs: a/low.rs"]);
    }

    #[test]
    fn what_is_for_tests_alone_does_not_count() {
        let files = [
            ("lib.rs", "mod a; mod b; mod c; #[cfg(test)] mod tests;"),
            ("a.rs", "#[cfg(test)] use crate::b::X; #[cfg(test)] mod t { use crate::c::Y; fn f() { {} } }"),
            ("b.rs", "struct S { #[cfg(test)] x: crate::a::A<(u8, u8)>, y: u8 } fn f() -> crate::c::Y {}"),
            (
                "c.rs",
                "#[cfg(all(test, unix))] #[must_use] fn f() { crate::a::A } #[cfg(not(test))] use \
                 crate::b::X;",
            ),
            ("tests.rs", "use crate::a::A;"),
        ];
        assert_eq!(render_file_uses(&files), ["b.rs: c.rs", "c.rs: b.rs"]);
    }
}
