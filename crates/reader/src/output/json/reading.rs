//! Contains helpers for all JSON parsers: for paths, for entries, and for reports about skipped parts.

use std::borrow::Cow;
use std::ops::ControlFlow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::output::diagnostic::{Diagnostic, ToolEdit};
use crate::output::entries::WholeNumber;
use crate::output::format::OutputContext;
use crate::output::path::PathResolver;
use crate::output::range::DiagnosticRange;
use crate::output::report::{DiagnosticCollector, DiagnosticReport, ProblemKind};
use crate::output::{decode, entries};

/// Number of bytes at the beginning of an output in which the marks of a format are searched.
const MARK_SEARCH_BYTES: usize = 4 << 10;

/// The state of parsing one output.
#[derive(Debug)]
pub(crate) struct OutputReader<'a> {
    tool: &'a str,
    paths: PathResolver,
    pub(crate) collector: DiagnosticCollector,
}

impl<'a> OutputReader<'a> {
    /// Creates a reader. `tool` is used as the tool's name if the caller's context contains no name.
    pub(crate) fn new(tool: &'a str, context: &OutputContext<'a>) -> Self {
        let tool = context.tool_name_or(tool);
        Self { tool, paths: PathResolver::new(context), collector: DiagnosticCollector::for_tool(tool) }
    }

    /// Returns the name of the tool.
    pub(crate) fn tool(&self) -> &'a str {
        self.tool
    }

    /// Returns the JSON document in an output. Some tools print lines before the document, so the document is
    /// assumed to start at the first line that begins with a bracket. The lines before it may say that the
    /// tool failed. If the output is too large, records a problem and returns an empty text.
    pub(crate) fn extract_document<'b>(&mut self, bytes: &'b [u8]) -> Cow<'b, str> {
        let Some(text) = decode::decode_document(bytes, &mut self.collector) else {
            return Cow::Borrowed("");
        };
        let start = text.len() - skip_to_json(&text).len();
        text.get(..start)
            .unwrap_or_default()
            .lines()
            .for_each(|line| self.collector.check_failure_line(line));
        match text {
            Cow::Borrowed(text) => Cow::Borrowed(text.get(start..).unwrap_or(text)),
            Cow::Owned(mut text) => {
                text.drain(..start);
                Cow::Owned(text)
            }
        }
    }

    /// Parses a document as an object. If this fails, adds a problem and returns `None`.
    pub(crate) fn parse_object<'b, T: Deserialize<'b>>(&mut self, text: &'b str) -> Option<T> {
        let read = entries::parse_document(text, &mut self.collector);
        read.map_err(|error| self.add_parse_error(&error)).ok()
    }

    /// Passes the well-formed entries of a JSON array to `visit_entry`. `null` is treated as an empty array.
    /// `entry_label` is the word for an entry in the descriptions of problems.
    pub(crate) fn for_each_entry<'b, T: Deserialize<'b>>(
        &mut self,
        array: &'b RawValue,
        entry_label: &str,
        visit_entry: impl FnMut(&mut Self, T),
    ) {
        if array.get() != "null" {
            self.for_each_array_entry(array.get(), entry_label, visit_entry);
        }
    }

    /// Passes the well-formed entries of a JSON array to `visit_entry`. `text` begins with the array and may
    /// continue after it.
    pub(crate) fn for_each_array_entry<'b, T: Deserialize<'b>>(
        &mut self,
        text: &'b str,
        entry_label: &str,
        mut visit_entry: impl FnMut(&mut Self, T),
    ) {
        let read = entries::for_each_entry(text, |index, entry| {
            match serde_json::from_str(entry.get()) {
                Ok(entry) => visit_entry(self, entry),
                Err(error) => self.add_malformed_entry(&format!("{entry_label} {}: {error}", index + 1)),
            }
            if self.collector.is_full() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        if let Err(error) = read {
            self.add_parse_error(&error);
        }
    }

    /// Creates a diagnostic of this tool. If the path is not in the tree, adds a problem and returns `None`.
    pub(crate) fn build_diagnostic(
        &mut self,
        path: &str,
        range: DiagnosticRange,
        message: &str,
    ) -> Option<Diagnostic> {
        match self.paths.resolve(path) {
            Ok(path) => Some(Diagnostic::new(self.tool, path, range, message)),
            Err(error) => {
                self.collector.skip_unplaced_entry(&error, &error.to_string());
                None
            }
        }
    }

    /// Records a file that the tool has not examined. Files outside the tree are not recorded.
    pub(crate) fn add_ignored_file(&mut self, path: &str) {
        if let Ok(path) = self.paths.resolve(path) {
            self.collector.add_ignored_file(path);
        }
    }

    /// Records the number of files that the tool examined, or of rules that it applied. `None` if the tool
    /// did not report the number.
    pub(crate) fn record_examined_count(&mut self, count: Option<WholeNumber>) {
        if count.is_some_and(|count| count.0 == 0) {
            self.collector.record_nothing_examined();
        }
    }

    /// Returns true if the path is in the tree.
    pub(crate) fn is_in_tree(&self, path: &str) -> bool {
        self.paths.resolve(path).is_ok()
    }

    /// Creates an edit. Returns `None` if the path is not in the tree, or if `range` is `None`.
    pub(crate) fn build_edit(
        &self,
        path: &str,
        range: Option<DiagnosticRange>,
        new_text: &str,
    ) -> Option<ToolEdit> {
        Some(ToolEdit { path: self.paths.resolve(path).ok()?, range: range?, new_text: new_text.to_owned() })
    }

    /// Records a problem for a malformed entry.
    pub(crate) fn add_malformed_entry(&mut self, text: &str) {
        self.collector.add_skipped_entry(ProblemKind::MalformedEntry, text);
    }

    /// Finishes the parsing of an output with one object per line. Adds a problem if the output contains no
    /// objects.
    pub(crate) fn finish_lines(mut self, object_count: u64) -> DiagnosticReport {
        if object_count == 0 {
            self.collector.report_unparsed_output();
        }
        self.finish()
    }

    /// Records a failure that the tool reports about itself.
    pub(crate) fn add_tool_failure(&mut self, text: &str) {
        self.collector.add_problem(ProblemKind::ToolFailed, text);
    }

    pub(crate) fn finish(self) -> DiagnosticReport {
        self.collector.finish()
    }

    fn add_parse_error(&mut self, error: &serde_json::Error) {
        self.collector.add_problem(ProblemKind::Unreadable, &error.to_string());
    }
}

/// Returns the text from the first line that begins with a bracket, or the whole text if there is no such
/// line.
fn skip_to_json(text: &str) -> &str {
    let opens = |line: &str| line.starts_with(['[', '{']);
    if opens(text.trim_start()) {
        return text;
    }
    let mut rest = text;
    while let Some((_, after)) = rest.split_once('\n') {
        if opens(after) {
            return after;
        }
        rest = after;
    }
    text
}

/// Returns true if a document begins with this bracket and its first 4 KiB contain all of these marks.
pub(crate) fn is_json_with_marks(bytes: &[u8], bracket: u8, marks: &[&str]) -> bool {
    let beginning = bytes.get(..MARK_SEARCH_BYTES).unwrap_or(bytes);
    let first = beginning.iter().find(|byte| !byte.is_ascii_whitespace());
    first == Some(&bracket)
        && marks.iter().all(|mark| memchr::memmem::find(beginning, mark.as_bytes()).is_some())
}

/// Returns the tag for a weakness in the Common Weakness Enumeration, in SARIF's notation:
/// `external/cwe/cwe-89` for `CWE-89: …` or `89`.
pub(crate) fn cwe_tag(text: &str) -> Option<String> {
    let digits = text.trim().trim_start_matches(['C', 'W', 'E', 'c', 'w', 'e', '-']);
    let digits: String = digits.chars().take_while(char::is_ascii_digit).take(6).collect();
    (!digits.is_empty()).then(|| format!("external/cwe/cwe-{digits}"))
}

/// Returns a message without the secret that some tools append to it. For example, `Possible hardcoded
/// password: '…'` is cut before the colon.
pub(crate) fn strip_secret_value(message: &str) -> &str {
    let quote = message.find([':', '\'', '"', '`']).unwrap_or(message.len());
    message.get(..quote).unwrap_or(message).trim_end()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_begins_at_its_bracket() {
        assert_eq!(skip_to_json("a warning\n[1]\n"), "[1]\n");
        assert_eq!(skip_to_json("  {}"), "  {}");
        assert_eq!(skip_to_json("no json\nat all"), "no json\nat all");
        assert!(is_json_with_marks(b" \n[{\"code\": 1}]", b'[', &["\"code\""]));
        assert!(!is_json_with_marks(b"{\"code\": 1}", b'[', &["\"code\""]));
    }

    #[test]
    fn weaknesses_are_tags() {
        assert_eq!(cwe_tag("CWE-89: Injection").as_deref(), Some("external/cwe/cwe-89"));
        assert_eq!(cwe_tag("703").as_deref(), Some("external/cwe/cwe-703"));
        assert_eq!(cwe_tag("none"), None);
    }

    #[test]
    fn a_value_does_not_stay_in_a_message() {
        assert_eq!(strip_secret_value("Possible hardcoded password: 'x'"), "Possible hardcoded password");
        assert_eq!(strip_secret_value("Possible hardcoded password"), "Possible hardcoded password");
    }
}
