//! Reads JUnit's XML, as Ant, Maven, pytest and other tools write it. Each failure or error of a test case
//! with a known location becomes a diagnostic.
//!
//! The format has no official definition. The location is in the attributes `file` and `line` of the failure,
//! of its test case, or of an enclosing suite. The location may also be in the text of the failure
//! (`tests/test_a.py:12: AssertionError`, `File "a.py", line 3`). If the text contains a file name without
//! folders, the folder is derived from the class of the test or stack frame. In reports of linters, the suite
//! has the name of the file, and the text contains `line 2, col 7`.

use std::sync::LazyLock;

use regex::Regex;
use truing_core::markdown;
use truing_diff::RepoPath;

use crate::output::decode;
use crate::output::diagnostic::{Diagnostic, DiagnosticLevel, MAX_NAME_CHARS};
use crate::output::file_names::FileNames;
use crate::output::format::OutputContext;
use crate::output::path::{PathError, PathResolver};
use crate::output::range::DiagnosticRange;
use crate::output::report::{DiagnosticCollector, DiagnosticReport, ProblemKind};
use crate::output::text;
use crate::output::xml::{MAX_TEXT_BYTES, XmlElement, XmlPart, XmlParts};

/// Maximum number of locations that are examined in the text of a failure.
const MAX_TEXT_LOCATIONS: usize = 200;
/// Maximum number of bytes of a failure's text that are shown.
const MAX_FAILURE_TEXT_BYTES: usize = 4 << 10;

/// Pattern for a path and a line number in text. The path is at the beginning of a line, contains a
/// separator, or is written as in Python's stack traces. Within a line, a file name without a folder does not
/// match, because Java's stack frames contain such names.
static FILE_LOCATION_PATTERN: LazyLock<Regex> = LazyLock::new(|| {
    let place = concat!(
        r#"(?m)^[ \t>]*(?P<a>[^\s:"'()<>|*?]+\.\w+):(?P<b>\d{1,9})\b|File "(?P<c>[^"\n]+)", line "#,
        r#"(?P<d>\d{1,9})\b|(?P<e>(?:\b[A-Za-z]:)?[^\s:"'()\[\]<>|*?]*[/\\][^\s:"'()\[\]<>|*?]+\.\w+):"#,
        r#"(?P<f>\d{1,9})\b"#
    );
    #[expect(clippy::expect_used, reason = "a constant, which every test of this format compiles")]
    Regex::new(place).expect("the pattern of places")
});

/// Pattern for a stack frame of the JVM, which contains the class, and the name of the file without its
/// folder.
static JVM_FRAME_PATTERN: LazyLock<Regex> = LazyLock::new(|| {
    let frame = concat!(
        r"\bat (?:[\w.-]+@?[\w.-]*/)*(?P<class>(?:\w+\.)*[\w$]+)\.[\w$<>]+\((?P<file>\w+\.(?:java|kt",
        r"|groovy|scala)):(?P<line>\d{1,9})\)"
    );
    #[expect(clippy::expect_used, reason = "a constant, which every test of this format compiles")]
    Regex::new(frame).expect("the pattern of frames")
});

/// Pattern for a line number (`line 2`) in a linter's text, before or after the message.
static LINE_NUMBER_PATTERN: LazyLock<Regex> = LazyLock::new(|| {
    #[expect(clippy::expect_used, reason = "a constant, which every test of this format compiles")]
    Regex::new(r"\b(?i:line) (?P<line>\d{1,9})(?:, (?i:col(?:umn)?) \d{1,9})?\b")
        .expect("the pattern of lines")
});

/// Endings of test files in languages that run on the JVM.
const JVM_SOURCE_EXTENSIONS: [&str; 4] = ["java", "kt", "groovy", "scala"];
/// Package name that ESLint writes. Other tools copied this name, so it does not identify the tool.
const COPIED_ESLINT_PACKAGE: &str = "eslint";

#[derive(Default)]
struct JunitCase {
    name: String,
    class: String,
    suite: String,
    /// Package name of the suite, such as `ruff` for `org.ruff`.
    package: String,
    file: Option<String>,
    line: u32,
}

/// A failure whose text has not been read completely.
struct JunitFailure {
    /// Name of the element: `failure` or `error`.
    element_name: String,
    message: String,
    kind: String,
    file: Option<String>,
    line: u32,
    text: String,
}

/// A suite whose end has not been reached.
struct JunitSuite {
    name: String,
    package: String,
    file: Option<String>,
    /// True if lines count from 0, as in pytest's output with `junit_family=xunit1`.
    is_zero_based: bool,
}

/// Reads a report. Never panics, for any input bytes.
pub(crate) fn read(bytes: &[u8], context: &OutputContext<'_>) -> DiagnosticReport {
    let mut collected = DiagnosticCollector::new();
    let Some(text) = decode::decode_document(bytes, &mut collected) else { return collected.finish() };
    let places = FailureLocator { paths: PathResolver::new(context), files: FileNames::new(context.files) };
    let mut parts = XmlParts::new(&text);
    let (mut suites, mut case, mut failure): (Vec<JunitSuite>, _, Option<JunitFailure>) =
        (vec![], JunitCase::default(), None);
    let mut is_seen = false;
    let mut expected_failures = 0;
    loop {
        match parts.next_part() {
            Ok(Some(XmlPart::Start(element))) => match element.name.as_str() {
                "testsuites" => is_seen = true,
                "testsuite" => {
                    is_seen = true;
                    if suites.is_empty() {
                        let count = |name: &str| u64::from(element.numeric_attribute(name));
                        expected_failures += count("errors") + count("failures");
                    }
                    suites.push(read_suite(&element, suites.last()));
                }
                "testcase" => case = self::read_case(&element, suites.last()),
                "failure" | "error" => failure = Some(read_failure(&element)),
                _ => {}
            },
            Ok(Some(XmlPart::Text(text))) => {
                if let Some(failure) = failure.as_mut().filter(|failure| failure.text.len() < MAX_TEXT_BYTES)
                {
                    failure.text.push_str(&text);
                }
            }
            Ok(Some(XmlPart::End(name))) => match name.as_str() {
                "testsuite" => drop(suites.pop()),
                "testcase" => case = JunitCase::default(),
                "failure" | "error" => {
                    if let Some(failure) = failure.take() {
                        report_failure(&case, &failure, &places, context, &mut collected);
                    }
                }
                _ => {}
            },
            Ok(None) => break,
            Err(error) => {
                collected.add_problem(ProblemKind::Unreadable, &error);
                is_seen = true;
                break;
            }
        }
    }
    collected.record_expected_total(expected_failures);
    if !is_seen {
        collected.add_problem(ProblemKind::Unreadable, "the output has no element `testsuite`");
    }
    collected.finish()
}

fn file_attribute(element: &XmlElement) -> Option<String> {
    element.attribute("file").or_else(|| element.attribute("filepath")).map(str::to_owned)
}

fn read_suite(element: &XmlElement, outer_suite: Option<&JunitSuite>) -> JunitSuite {
    let is_pytest = element.attribute("name") == Some("pytest");
    let named = |attribute: &str| element.attribute(attribute).map(str::to_owned);
    JunitSuite {
        name: named("name").unwrap_or_default(),
        package: named("package").or_else(|| Some(outer_suite?.package.clone())).unwrap_or_default(),
        file: file_attribute(element).or_else(|| outer_suite?.file.clone()),
        is_zero_based: is_pytest || outer_suite.is_some_and(|outer| outer.is_zero_based),
    }
}

fn read_case(element: &XmlElement, suite: Option<&JunitSuite>) -> JunitCase {
    let line = element.numeric_attribute("line");
    let has_line = element.attribute("line").is_some();
    // A test case may contain any number of failures.
    let name = |attribute: &str| {
        text::strip_line_escapes(element.attribute(attribute).unwrap_or_default(), MAX_NAME_CHARS)
    };
    JunitCase {
        name: name("name"),
        class: name("classname"),
        suite: suite.map(|suite| suite.name.clone()).unwrap_or_default(),
        package: suite.and_then(|suite| suite.package.strip_prefix("org.")).unwrap_or_default().to_owned(),
        file: file_attribute(element).or_else(|| suite?.file.clone()),
        line: line.saturating_add(u32::from(has_line && suite.is_some_and(|suite| suite.is_zero_based))),
    }
}

fn read_failure(element: &XmlElement) -> JunitFailure {
    JunitFailure {
        element_name: element.name.clone(),
        message: element.attribute("message").unwrap_or_default().to_owned(),
        kind: element.attribute("type").unwrap_or_default().to_owned(),
        file: file_attribute(element),
        line: element.numeric_attribute("line"),
        text: String::new(),
    }
}

/// Determines the locations of failures.
struct FailureLocator<'a> {
    paths: PathResolver,
    files: FileNames<'a>,
}

/// Location of a failure (path and line), or the reason why the location is unknown.
type FailureLocation = Result<(RepoPath, u32), PathError>;

fn report_failure(
    case: &JunitCase,
    failure: &JunitFailure,
    locator: &FailureLocator<'_>,
    context: &OutputContext<'_>,
    collector: &mut DiagnosticCollector,
) {
    let name = match (case.class.as_str(), case.name.as_str()) {
        ("", "") => "a test",
        ("", name) | (name, "") => name,
        (class, name) => &format!("{class}.{name}"),
    };
    let linted = locator.linter_failure_location(case, failure);
    let is_linted = linted.is_some();
    let (path, line) = match linted.unwrap_or_else(|| locator.test_failure_location(case, failure)) {
        Ok(place) => place,
        Err(PathError::Missing) => {
            return collector
                .add_skipped_entry(ProblemKind::NoFile, &format!("{name}: no location in the tree"));
        }
        Err(error) => return collector.skip_unplaced_entry(&error, &format!("{name}: {error}")),
    };
    let first = |text: &str| text.lines().map(str::trim).find(|line| !line.is_empty()).map(str::to_owned);
    let reason = first(&failure.message).or_else(|| first(&failure.text));
    let reason = reason.or_else(|| Some(failure.kind.clone()).filter(|kind| !kind.is_empty()));
    let message = match (is_linted, reason) {
        (true, Some(reason)) => reason,
        (_, reason) => {
            format!("{name} fails{}", reason.map(|reason| format!(": {reason}")).unwrap_or_default())
        }
    };
    let package =
        case.package.split('.').next().filter(|package| !matches!(*package, "" | COPIED_ESLINT_PACKAGE));
    let tool = package.filter(|_| is_linted).unwrap_or_else(|| context.tool_name_or("junit"));
    let mut diagnostic = Diagnostic::new(tool, path, DiagnosticRange::from_lines(line, line), message);
    diagnostic.level = DiagnosticLevel::Error;
    diagnostic.rule =
        Some(if is_linted { failure_rule(case, failure) } else { failure.element_name.clone() });
    if is_linted {
        return collector.push(diagnostic);
    }
    let shown = text::clean_markdown(&failure.text);
    let shown = shown.get(..shown.floor_char_boundary(MAX_FAILURE_TEXT_BYTES)).unwrap_or_default();
    diagnostic.help = (!shown.is_empty()).then(|| markdown::code_block("", shown));
    collector.push(diagnostic);
}

/// Returns the rule that a linter's failure reports. This is the part of the test case's name after the
/// package, or else the type of the failure.
fn failure_rule(case: &JunitCase, failure: &JunitFailure) -> String {
    let of_case = case.name.strip_prefix("org.").and_then(|name| name.split_once('.')).map(|(_, rule)| rule);
    let of_kind = Some(failure.kind.as_str()).filter(|kind| !kind.is_empty());
    of_case.or(of_kind).unwrap_or(&failure.element_name).to_owned()
}

impl FailureLocator<'_> {
    /// Returns the location of a linter's failure. Returns `None` if the failure is not from a linter. A
    /// failure comes from a linter if the name of its suite is a file name, and the test case and the failure
    /// have no file.
    fn linter_failure_location(&self, case: &JunitCase, failure: &JunitFailure) -> Option<FailureLocation> {
        if case.file.is_some() || failure.file.is_some() || !is_file_name(&case.suite) {
            return None;
        }
        let in_text = [failure.text.as_str(), failure.message.as_str()]
            .iter()
            .find_map(|text| LINE_NUMBER_PATTERN.captures(text)?.name("line")?.as_str().parse().ok());
        let line = if case.line > 0 { case.line } else { in_text? };
        Some(self.paths.resolve(&case.suite).map(|path| (path, line)))
    }

    /// Returns the place of a test's failure. A location in the failure's own attributes takes precedence.
    /// Otherwise, the last location in the failure's text that refers to the test's file is used. If there is
    /// no such location, the location of the test is used. If the test's file is unknown, the first location
    /// in the text is used.
    fn test_failure_location(&self, case: &JunitCase, failure: &JunitFailure) -> FailureLocation {
        let mut wrong = PathError::Missing;
        let mut known = |file: &Option<String>| match self.paths.resolve(file.as_deref()?) {
            Ok(path) => Some(self.files.match_longest_suffix(&path).unwrap_or(path)),
            Err(error) => {
                wrong = error;
                None
            }
        };
        let own = known(&case.file);
        if let Some(path) = known(&failure.file) {
            return Ok((path, failure.line));
        }
        let own = own.or_else(|| self.find_class_file(&case.class));
        let texts = [failure.message.as_str(), failure.text.as_str()];
        let in_text: Vec<(RepoPath, u32)> = texts
            .iter()
            .flat_map(|text| self.locations_in_text(text, &case.class))
            .take(MAX_TEXT_LOCATIONS)
            .collect();
        if let Some(path) = own {
            let last = in_text.into_iter().rfind(|(known, _)| *known == path);
            return Ok(last.unwrap_or((path, case.line)));
        }
        in_text.into_iter().next().ok_or(wrong)
    }

    /// Returns the locations in a text, in the order of the text: paths with a line number, and stack frames
    /// of the JVM.
    fn locations_in_text(&self, text: &str, class: &str) -> Vec<(RepoPath, u32)> {
        let mut found: Vec<(usize, RepoPath, u32)> = Vec::new();
        for place in FILE_LOCATION_PATTERN.captures_iter(text).take(MAX_TEXT_LOCATIONS) {
            let one = |names: [&str; 3]| names.into_iter().find_map(|name| place.name(name));
            let (Some(file), Some(line)) = (one(["a", "c", "e"]), one(["b", "d", "f"])) else { continue };
            if let (Some(path), Ok(line)) = (self.find_file(file.as_str(), class), line.as_str().parse()) {
                found.push((file.start(), path, line));
            }
        }
        for frame in JVM_FRAME_PATTERN.captures_iter(text).take(MAX_TEXT_LOCATIONS) {
            let (Some(class), Some(file), Some(line)) =
                (frame.name("class"), frame.name("file"), frame.name("line"))
            else {
                continue;
            };
            let package = class.as_str().rsplit_once('.').map_or("", |(package, _)| package);
            let path = format!("{}/{}", package.replace('.', "/"), file.as_str());
            if let (Some(path), Ok(line)) = (self.files.match_whole_suffix(&path), line.as_str().parse()) {
                found.push((class.start(), path, line));
            }
        }
        found.sort_by_key(|(at, ..)| *at);
        found.into_iter().map(|(_, path, line)| (path, line)).collect()
    }

    /// Returns the file to which a file name in a failure's text refers. If `class` is a package path
    /// (`example.com/shop/pkg/cart`), the file may be named without its folder and is then searched in this
    /// package.
    fn find_file(&self, file: &str, class: &str) -> Option<RepoPath> {
        let has_folder = file.contains(['/', '\\']);
        if !has_folder && class.contains('/') && !self.files.is_empty() {
            return self.files.match_longest_text_suffix(&format!("{class}/{file}"));
        }
        let path = self.paths.resolve(file).ok()?;
        Some(self.files.match_longest_suffix(&path).unwrap_or(path))
    }

    /// Returns the file that contains a class of the JVM (`com.acme.CartTest$Inner`).
    fn find_class_file(&self, class: &str) -> Option<RepoPath> {
        let outer = class.split('$').next().filter(|outer| outer.contains('.'))?.replace('.', "/");
        JVM_SOURCE_EXTENSIONS
            .iter()
            .find_map(|ending| self.files.match_whole_suffix(&format!("{outer}.{ending}")))
    }
}

/// Returns true for the name of a file, and false for a class name or a sentence.
fn is_file_name(name: &str) -> bool {
    let last = name.rsplit(['/', '\\']).next().unwrap_or(name);
    let has_ending = last.rsplit_once('.').is_some_and(|(stem, ending)| {
        !stem.is_empty()
            && (1..=10).contains(&ending.len())
            && ending.bytes().all(|byte| byte.is_ascii_alphanumeric())
    });
    !name.contains(['\n', ' ']) && (name.contains(['/', '\\']) || has_ending)
}
