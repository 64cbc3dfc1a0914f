//! JUnit's XML, as Ant, Maven, pytest and others write it: the failures and errors of test cases that have a place.
//!
//! The format has no owner. A place is in the attributes `file` and `line` of a failure, of its test case or of the suites
//! around it, or in the text of the failure (`tests/test_a.py:12: AssertionError`, `File "a.py", line 3`).

use std::sync::LazyLock;

use regex::Regex;
use truing_core::markdown;
use truing_diff::RepoPath;

use crate::output::decode;
use crate::output::diagnostic::{Diagnostic, Level, MAX_NAME_CHARS};
use crate::output::format::Input;
use crate::output::path::Paths;
use crate::output::range::Range;
use crate::output::report::{Collected, ProblemKind, Report};
use crate::output::text;
use crate::output::xml::{Element, MAX_TEXT_BYTES, Part, Parts};

/// Places in the text of a failure that are looked at.
const MAX_PLACES: usize = 200;
/// Bytes of a failure's text that are shown.
const MAX_SHOWN_BYTES: usize = 4 << 10;

/// A path and a line in text: at the beginning of a line, or with a separator in it, or as Python writes it. A name alone
/// within a line is none: Java names a file without its folder.
static PLACE: LazyLock<Regex> = LazyLock::new(|| {
    let place = r#"(?m)^[ \t>]*(?P<a>[^\s:"'()<>|*?]+\.\w+):(?P<b>\d{1,9})\b|File "(?P<c>[^"\n]+)", line (?P<d>\d{1,9})\b|(?P<e>(?:\b[A-Za-z]:)?[^\s:"'()\[\]<>|*?]*[/\\][^\s:"'()\[\]<>|*?]+\.\w+):(?P<f>\d{1,9})\b"#;
    #[expect(clippy::expect_used, reason = "a constant, which every test of this format compiles")]
    Regex::new(place).expect("the pattern of places")
});

/// A test case.
#[derive(Default)]
struct Case {
    name: String,
    class: String,
    file: Option<String>,
    line: u32,
}

/// A failure whose text is being read.
struct Failure {
    /// `failure` or `error`.
    rule: String,
    message: String,
    kind: String,
    file: Option<String>,
    line: u32,
    text: String,
}

/// A suite that is open.
struct Suite {
    file: Option<String>,
    /// Pytest counts lines from 0 (`junit_family=xunit1`).
    from_zero: bool,
}

/// Reads a report. It does not panic on any bytes.
pub(crate) fn read(bytes: &[u8], input: &Input<'_>) -> Report {
    let mut collected = Collected::new();
    let Some(text) = decode::document(bytes, &mut collected) else { return collected.finish() };
    let paths = Paths::new(input);
    let mut parts = Parts::of(&text);
    let (mut suites, mut case, mut failure): (Vec<Suite>, _, Option<Failure>) =
        (vec![], Case::default(), None);
    let mut is_seen = false;
    loop {
        match parts.part() {
            Ok(Some(Part::Start(element))) => match element.name.as_str() {
                "testsuites" => is_seen = true,
                "testsuite" => {
                    is_seen = true;
                    suites.push(suite(&element, suites.last()));
                }
                "testcase" => case = self::case(&element, suites.last()),
                "failure" | "error" => failure = Some(begun(&element)),
                _ => {}
            },
            Ok(Some(Part::Text(text))) => {
                if let Some(failure) = failure.as_mut().filter(|failure| failure.text.len() < MAX_TEXT_BYTES)
                {
                    failure.text.push_str(&text);
                }
            }
            Ok(Some(Part::End(name))) => match name.as_str() {
                "testsuite" => drop(suites.pop()),
                "testcase" => case = Case::default(),
                "failure" | "error" => {
                    if let Some(failure) = failure.take() {
                        told(&case, &failure, (&paths, input), &mut collected);
                    }
                }
                _ => {}
            },
            Ok(None) => break,
            Err(error) => {
                collected.problem(ProblemKind::Unreadable, &error);
                is_seen = true;
                break;
            }
        }
    }
    if !is_seen {
        collected.problem(ProblemKind::Unreadable, "no element `testsuite`");
    }
    collected.finish()
}

fn file(element: &Element) -> Option<String> {
    element.get("file").or_else(|| element.get("filepath")).map(str::to_owned)
}

fn suite(element: &Element, outer: Option<&Suite>) -> Suite {
    let is_pytest = element.get("name") == Some("pytest");
    Suite {
        file: file(element).or_else(|| outer?.file.clone()),
        from_zero: is_pytest || outer.is_some_and(|outer| outer.from_zero),
    }
}

fn case(element: &Element, suite: Option<&Suite>) -> Case {
    let line = element.number("line");
    let has_line = element.get("line").is_some();
    // A test case may hold any number of failures.
    let name = |attribute: &str| text::line(element.get(attribute).unwrap_or_default(), MAX_NAME_CHARS);
    Case {
        name: name("name"),
        class: name("classname"),
        file: file(element).or_else(|| suite?.file.clone()),
        line: line.saturating_add(u32::from(has_line && suite.is_some_and(|suite| suite.from_zero))),
    }
}

fn begun(element: &Element) -> Failure {
    Failure {
        rule: element.name.clone(),
        message: element.get("message").unwrap_or_default().to_owned(),
        kind: element.get("type").unwrap_or_default().to_owned(),
        file: file(element),
        line: element.number("line"),
        text: String::new(),
    }
}

fn told(case: &Case, failure: &Failure, (paths, input): (&Paths, &Input<'_>), collected: &mut Collected) {
    let name = match (case.class.as_str(), case.name.as_str()) {
        ("", "") => "a test",
        ("", name) | (name, "") => name,
        (class, name) => &format!("{class}.{name}"),
    };
    let Some((path, line)) = place(case, failure, paths) else {
        return collected.leave_out(ProblemKind::Place, &format!("{name}: no place of the tree"));
    };
    let first = |text: &str| text.lines().map(str::trim).find(|line| !line.is_empty()).map(str::to_owned);
    let reason = first(&failure.message).or_else(|| first(&failure.text));
    let reason = reason.or_else(|| Some(failure.kind.clone()).filter(|kind| !kind.is_empty()));
    let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
    let message = format!("{name} fails{reason}");
    let mut diagnostic = Diagnostic::new(input.tool_or("junit"), path, Range::lines(line, line), message);
    diagnostic.level = Level::Error;
    diagnostic.rule = Some(failure.rule.clone());
    let shown = text::markdown(&failure.text);
    let shown = shown.get(..shown.floor_char_boundary(MAX_SHOWN_BYTES)).unwrap_or_default();
    diagnostic.help = (!shown.is_empty()).then(|| markdown::fence("", shown));
    collected.push(diagnostic);
}

/// The place of a failure: its own; the last one in its text that is in the test's own file; the test's; or the first one
/// in its text that is in the tree.
fn place(case: &Case, failure: &Failure, paths: &Paths) -> Option<(RepoPath, u32)> {
    let known = |file: &Option<String>| file.as_deref().and_then(|file| paths.path(file).ok());
    let own = known(&case.file);
    if let Some(path) = known(&failure.file) {
        return Some((path, failure.line));
    }
    let texts = [failure.message.as_str(), failure.text.as_str()];
    let in_text = texts.iter().flat_map(|text| PLACE.captures_iter(text)).take(MAX_PLACES);
    let in_text = in_text.filter_map(|found| {
        let one = |names: [&str; 3]| names.into_iter().find_map(|name| found.name(name));
        let (file, line) = (one(["a", "c", "e"])?.as_str(), one(["b", "d", "f"])?.as_str());
        Some((paths.path(file).ok()?, line.parse().ok()?))
    });
    let in_text: Vec<(RepoPath, u32)> = in_text.collect();
    if let Some(path) = own {
        let last = in_text.into_iter().rfind(|(known, _)| *known == path);
        return Some(last.unwrap_or((path, case.line)));
    }
    in_text.into_iter().next()
}
