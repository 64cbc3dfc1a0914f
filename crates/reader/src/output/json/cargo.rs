//! JSON of Cargo: the messages of `rustc` and Clippy.

use std::collections::HashSet;

use serde::Deserialize;

use crate::output::decode;
use crate::output::diagnostic::{DiagnosticLevel, ToolFix};
use crate::output::entries::{BoundedList, WholeNumber};
use crate::output::format::OutputContext;
use crate::output::json::reading::OutputReader;
use crate::output::level::level_or_warning;
use crate::output::range::{ColumnUnit, DiagnosticRange};
use crate::output::report::DiagnosticReport;

/// Maximum number of spans, and of child messages, that are parsed for a message.
const MAX_SPANS: usize = 200;
/// Maximum number of nested macro expansions that are followed to find a location in the tree.
const MAX_EXPANSIONS: usize = 100;
/// Words before the URL of a lint's page in Clippy's notes.
const LINT_PAGE_PREFIX: &str = "for further information visit ";

/// First words of the lines that Cargo prints about its progress.
const PROGRESS_LINE_WORDS: [&str; 12] = [
    "Adding",
    "Blocking",
    "Building",
    "Checking",
    "Compiling",
    "Downloaded",
    "Downloading",
    "Finished",
    "Fresh",
    "Locking",
    "Running",
    "Updating",
];

#[derive(Deserialize)]
struct CargoLine {
    reason: String,
    message: Option<RustcMessage>,
    /// Result of the build, in the last message.
    #[serde(default)]
    success: bool,
}

#[derive(Deserialize)]
struct RustcMessage {
    message: String,
    level: String,
    code: Option<RustcCode>,
    #[serde(default)]
    spans: BoundedList<RustcSpan, MAX_SPANS>,
    #[serde(default)]
    children: BoundedList<RustcChild, MAX_SPANS>,
}

#[derive(Deserialize)]
struct RustcCode {
    code: String,
}

#[derive(Deserialize)]
struct RustcChild {
    message: String,
    level: String,
    #[serde(default)]
    spans: BoundedList<RustcSpan, MAX_SPANS>,
}

/// Location reported by `rustc`: lines and columns from 1, columns in characters, and an exclusive end.
#[derive(Deserialize)]
struct RustcSpan {
    file_name: String,
    line_start: WholeNumber,
    column_start: WholeNumber,
    line_end: WholeNumber,
    column_end: WholeNumber,
    #[serde(default)]
    is_primary: bool,
    suggested_replacement: Option<String>,
    suggestion_applicability: Option<String>,
    expansion: Option<Box<RustcExpansion>>,
}

#[derive(Deserialize)]
struct RustcExpansion {
    span: RustcSpan,
}

impl RustcSpan {
    fn start(&self) -> (u32, u32) {
        (self.line_start.to_line_or_column(), self.column_start.to_line_or_column())
    }

    fn end(&self) -> (u32, u32) {
        (self.line_end.to_line_or_column(), self.column_end.to_line_or_column())
    }
}

/// Parses the output of `cargo clippy --message-format=json`, `cargo check` and `cargo build`, which has one
/// object on each line. Only compiler messages are used. If Cargo builds a file several times, repeated
/// messages are used only once. A suggestion becomes a fix only if all its parts are marked as
/// machine-applicable.
pub(crate) fn read_cargo(bytes: &[u8], context: &OutputContext<'_>) -> DiagnosticReport {
    let mut reading = OutputReader::new("clippy", context);
    let text = decode::decode_lines(bytes, &mut reading.collector);
    let mut seen = HashSet::new();
    let mut objects = 0;
    let mut is_successful = None;
    for line in text.lines().filter(|line| !line.trim().is_empty() && !is_progress(line)) {
        if !line.trim_start().starts_with('{') {
            reading.collector.record_unparsed_line(line);
            continue;
        }
        objects += 1;
        match serde_json::from_str::<CargoLine>(line) {
            Ok(CargoLine { reason, message: Some(message), .. }) if reason == "compiler-message" => {
                read_message(&mut reading, message, &mut seen);
            }
            Ok(CargoLine { reason, success, .. }) if reason == "build-finished" => {
                is_successful = Some(success);
            }
            Ok(CargoLine { .. }) => {}
            Err(error) => reading.add_malformed_entry(&format!("a message is malformed: {error}")),
        }
    }
    if objects > 0 {
        match is_successful {
            Some(true) => {}
            // After an error, Cargo neither checks the crates that depend on the crate with the error, nor
            // starts the check of another one.
            Some(false) => reading.add_tool_failure("the build failed, so Clippy did not check every crate"),
            None => reading
                .add_tool_failure("the output does not end with `build-finished`, so it may be incomplete"),
        }
    }
    reading.finish_lines(objects)
}

/// Returns true for a progress line for people. Cargo prints such lines between the JSON objects.
fn is_progress(line: &str) -> bool {
    let words = line.trim_start();
    line.starts_with(' ') && PROGRESS_LINE_WORDS.iter().any(|word| words.starts_with(word))
}

/// The locations and messages of the diagnostics so far, by which repeated diagnostics are recognised.
type SeenDiagnostics = HashSet<(String, (u32, u32), (u32, u32), String)>;

fn read_message(
    reader: &mut OutputReader<'_>,
    message: RustcMessage,
    seen_diagnostics: &mut SeenDiagnostics,
) {
    let Some(span) = message.spans.iter().find(|span| span.is_primary) else {
        // An error without a location means that the build failed. A warning without a location only states
        // the number of warnings.
        if message.level.starts_with("error") && !message.message.starts_with("aborting due to ") {
            reader.add_tool_failure(&message.message);
        }
        return;
    };
    let span = span_in_tree(reader, span);
    if !seen_diagnostics.insert((span.file_name.clone(), span.start(), span.end(), message.message.clone())) {
        return;
    }
    let range = DiagnosticRange::from_positions(span.start(), span.end(), ColumnUnit::CodePoint);
    let Some(mut diagnostic) = reader.build_diagnostic(&span.file_name, range, &message.message) else {
        return;
    };
    // The level of an internal compiler error (`error: internal compiler error`) also begins with `error`.
    diagnostic.level = if message.level.starts_with("error") {
        DiagnosticLevel::Error
    } else {
        level_or_warning(Some(&message.level))
    };
    diagnostic.fixes = message.children.iter().filter_map(|child| child_fix(reader, child)).collect();
    let has_replacement =
        |child: &RustcChild| child.spans.iter().any(|span| span.suggested_replacement.is_some());
    diagnostic.has_unsafe_fix = diagnostic.fixes.is_empty() && message.children.iter().any(has_replacement);
    diagnostic.help = help_text(&message.children);
    diagnostic.rule = message.code.map(|code| code.code);
    let rule_page = message.children.iter().find_map(|child| child.message.strip_prefix(LINT_PAGE_PREFIX));
    diagnostic.rule_page_url =
        rule_page.map(str::to_owned).or_else(|| diagnostic.rule.as_deref().and_then(error_page_url));
    reader.collector.push(diagnostic);
}

/// Returns a location in the tree to which a diagnostic can be assigned. If the reported location is in
/// another crate's macro, this is the location of the macro call.
fn span_in_tree<'a>(reader: &OutputReader<'_>, span: &'a RustcSpan) -> &'a RustcSpan {
    let mut place = span;
    for _ in 0..MAX_EXPANSIONS {
        if reader.is_in_tree(&place.file_name) {
            return place;
        }
        let Some(expansion) = &place.expansion else { break };
        place = &expansion.span;
    }
    span
}

/// Returns the URL of the page about a `rustc` error.
fn error_page_url(code: &str) -> Option<String> {
    let is_error = code.len() == 5 && code.strip_prefix('E')?.bytes().all(|byte| byte.is_ascii_digit());
    is_error.then(|| format!("https://doc.rust-lang.org/error_codes/{code}.html"))
}

/// Returns the fix that a child message proposes. Returns `None` if the message lists alternatives for the
/// same location.
fn child_fix(reader: &OutputReader<'_>, child: &RustcChild) -> Option<ToolFix> {
    let mut parts: Vec<&RustcSpan> =
        child.spans.iter().filter(|span| span.suggested_replacement.is_some()).collect();
    let is_sure = |span: &&RustcSpan| {
        span.suggestion_applicability.as_deref() == Some("MachineApplicable") && span.expansion.is_none()
    };
    if parts.is_empty() || parts.len() != child.spans.0.len() || !parts.iter().all(is_sure) {
        return None;
    }
    parts.sort_by_key(|span| (span.file_name.clone(), span.start()));
    let overlap = parts.windows(2).any(|pair| {
        let [one, two] = pair else { return false };
        one.file_name == two.file_name && (one.start() == two.start() || one.end() > two.start())
    });
    if overlap {
        return None;
    }
    let edits = parts.into_iter().map(|span| {
        let range = DiagnosticRange::from_exact_positions(span.start(), span.end(), ColumnUnit::CodePoint);
        reader.build_edit(&span.file_name, range, span.suggested_replacement.as_deref()?)
    });
    Some(ToolFix { message: Some(child.message.clone()), edits: edits.collect::<Option<Vec<_>>>()? })
}

/// Returns the notes below a message. Notes with the URL of a page, and notes about why a lint is enabled,
/// are left out.
fn help_text(children: &BoundedList<RustcChild, MAX_SPANS>) -> Option<String> {
    let is_help = |child: &&RustcChild| {
        !child.message.starts_with(LINT_PAGE_PREFIX)
            && !child.message.starts_with("`#[")
            && !child.spans.iter().any(|span| span.suggested_replacement.is_some())
    };
    let lines: Vec<String> =
        children.iter().filter(is_help).map(|child| format!("{}: {}", child.level, child.message)).collect();
    (!lines.is_empty()).then(|| lines.join("\n\n"))
}
