//! Words for people on a program's output.

use truing_agent::verify::Printout;
use truing_core::finding::RawFinding;
use truing_core::line;
use truing_reader::output::NO_RULE;
use truing_reader::redact::{redact, without_given};

/// Characters that a command's last words have in an error.
const MAX_LAST_WORDS: usize = 500;
/// Bytes in which an error is looked for.
const MAX_LOOKED_AT: usize = 64 << 10;
/// Lines of them.
const MAX_LINES: usize = 3;

/// The end of a command that could not do its work, and its last words.
pub(crate) fn why(printout: &Printout) -> String {
    let said = [&printout.errors, &printout.output].map(|text| shown(text.trim_end()));
    let last = said.iter().find(|text| !text.is_empty()).map(String::as_str).unwrap_or_default();
    let lines: Vec<&str> = last.lines().rev().take(MAX_LINES).collect();
    let words = lines.into_iter().rev().collect::<Vec<_>>().join("; ");
    let words = line::clean(&words, MAX_LAST_WORDS);
    if words.is_empty() { printout.end.to_string() } else { format!("{}: {words}", printout.end) }
}

/// The end of a program that could not do its work, and its words from the first that speaks of an error on.
pub(crate) fn cause(printout: &Printout) -> String {
    let said = [&printout.errors, &printout.output].map(|text| redact(&plain(text)));
    let speaks = |line: &str| line.to_ascii_lowercase().contains("error");
    let from_error = said.iter().find_map(|text| {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let lines: Vec<&str> = lines.skip_while(|line| !speaks(line)).take(MAX_LINES).collect();
        let words = line::clean(&lines.join("; "), MAX_LAST_WORDS);
        (!words.is_empty()).then_some(words)
    });
    from_error.map_or_else(|| why(printout), |words| format!("{}: {words}", printout.end))
}

/// The beginning of a text without its colours.
fn plain(text: &str) -> String {
    let end = text.floor_char_boundary(MAX_LOOKED_AT.min(text.len()));
    anstream::adapter::strip_str(text.get(..end).unwrap_or_default()).to_string()
}

/// Text of a command without its colours and without secrets, line by line.
fn shown(text: &str) -> String {
    // Nobody reads further back than this.
    let start = text.ceil_char_boundary(text.len().saturating_sub(MAX_LAST_WORDS * 8));
    redact(&anstream::adapter::strip_str(text.get(start..).unwrap_or_default()).to_string())
}

/// A finding without the values that this process was given, in whatever form: a linter may have found them. The
/// process that reads what it prints does not have them.
pub(crate) fn without_given_values(raw: RawFinding) -> RawFinding {
    let is_free = |text: &str| without_given(text) == text;
    let suggestion = raw.suggestion.filter(|suggestion| is_free(&suggestion.replacement));
    let rule = match (is_free(&raw.rule), raw.rule.split_once('/')) {
        (true, _) => raw.rule,
        (false, Some((tool, _))) if is_free(tool) => format!("{tool}/{NO_RULE}"),
        (false, _) => format!("tool/{NO_RULE}"),
    };
    let [title, body, snippet] = [&raw.title, &raw.body, &raw.snippet].map(|text| without_given(text));
    RawFinding { rule, title, body, snippet, suggestion, ..raw }
}
