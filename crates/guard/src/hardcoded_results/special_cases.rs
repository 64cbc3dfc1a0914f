//! Detects special cases in code for the tests that the same fix adds. An example is `if items == [5173]:
//! return 5173` with a test that asserts exactly this result.
//!
//! The tests of an honest fix also use values with which the code compares its input, such as a boundary. The
//! value alone therefore proves nothing. A special case is reported only if it also returns a literal result
//! that the tests expect. A typical boundary value is not enough, either as the value or as the result.

use std::collections::BTreeSet;
use std::ops::Range;

use super::super::scan::ScannedText;
use super::super::unit::{literals, without_blanks};
use super::super::version::{AnalyzedVersion, FileChange, can_affect_tests};
use super::{find_numbers, is_distinctive_value, normalize_literal, text_slice};

/// Maximum size of an examined line in bytes.
const MAX_LINE_BYTES: usize = 400;

/// Number of lines after a condition that are searched for the return value of the condition's branch.
const MAX_BRANCH_LINES: usize = 2;

/// A whole number with fewer digits counts as a typical boundary result.
const MIN_SPECIFIC_DIGITS: usize = 2;

/// Calls that compare lists, in lower case.
const LIST_COMPARISON_CALLS: &[&str] = &["equal(", "equals(", "eq("];

/// Tests in the files of a fix, in the version after the fix.
pub(super) struct FixTests {
    /// Strings and numbers in the tests.
    values: BTreeSet<String>,
    /// Code of all the tests, without white space and comments.
    code: String,
}

/// A special case in the code for one value.
pub(super) struct SpecialCase {
    /// True if the value alone is specific enough to identify a test.
    is_distinctive: bool,
    /// If the value is in a list that is compared as a whole: this list without its brackets and white space.
    compared_list: Option<String>,
    /// Values that the code may return in this case.
    results: Vec<String>,
}

impl FixTests {
    pub(super) fn new(changes: &[FileChange<'_>]) -> Self {
        let mut own = Self { values: BTreeSet::new(), code: String::new() };
        for after in changes.iter().filter_map(|rewrite| rewrite.after) {
            let version = AnalyzedVersion::new(after);
            let Some(read) = &version.scanned_file else { continue };
            let scanned = &read.scanned_text;
            let ranges: Vec<Range<usize>> = if can_affect_tests(after.path) {
                std::iter::once(0..scanned.code.len()).collect()
            } else {
                read.units.iter().map(|unit| unit.start..unit.end).collect()
            };
            for range in ranges {
                own.values.extend(literals(scanned, &range).iter().map(|value| normalize_literal(value)));
                own.code += &without_blanks(text_slice(&scanned.code_with_strings, range));
                own.code.push('\n');
            }
        }
        own
    }

    /// Returns true if these tests use the value or its list, and contain a result of the special case. If
    /// the list consists of specific numbers, the list alone is enough.
    pub(super) fn expects_special_case(&self, value: &str, special: &SpecialCase) -> bool {
        if special.compared_list.as_ref().is_some_and(|list| self.has_list(list)) {
            let is_numbers = special.is_distinctive && !value.contains(|letter: char| letter.is_alphabetic());
            return is_numbers || self.has_any_value(&special.results);
        }
        special.is_distinctive && self.values.contains(value) && self.has_any_value(&special.results)
    }

    fn has_any_value(&self, expected: &[String]) -> bool {
        expected.iter().any(|given| self.values.contains(given))
    }

    /// Returns true if the tests contain a list of exactly these values.
    fn has_list(&self, list: &str) -> bool {
        self.code.match_indices(list).any(|(at, _)| {
            let before = self.code.get(..at).is_some_and(|before| before.ends_with(['[', '(', '{']));
            let after = self.code.get(at + list.len()..).unwrap_or_default();
            before && after.trim_start_matches(',').starts_with([']', ')', '}'])
        })
    }
}

impl SpecialCase {
    /// Returns the special case that the code has for the value at this position. Returns `None` if the value
    /// is not specific and is not in a list that is compared as a whole.
    pub(super) fn from_compared_value(scanned: &ScannedText, value: &Range<usize>) -> Option<Self> {
        let first = scanned.line_of(value.start);
        let line = scanned.line_range(first);
        if line.len() > MAX_LINE_BYTES {
            return None;
        }
        let is_telling = is_distinctive_value(text_slice(&scanned.code_with_strings, value.clone()));
        let list = compared_list(scanned, &line, value);
        if !is_telling && list.is_none() {
            return None;
        }
        let outputs = result_values(scanned, first, value);
        Some(Self { is_distinctive: is_telling, compared_list: list, results: outputs })
    }
}

/// Returns true if a call on this line compares lists.
pub(super) fn compares_lists(code: &str) -> bool {
    let code = code.to_ascii_lowercase();
    LIST_COMPARISON_CALLS.iter().any(|call| code.contains(call))
}

/// Returns the list that contains this value, if the code compares the whole list with another value. The
/// value may also be a string that contains the list as text. Returns `None` if the list contains only
/// typical boundary values.
fn compared_list(scanned: &ScannedText, line: &Range<usize>, value: &Range<usize>) -> Option<String> {
    let before = text_slice(&scanned.code, line.start..value.start);
    if before.trim_end().ends_with("==") {
        return parse_list_text(text_slice(&scanned.code_with_strings, value.clone()));
    }
    let open = line.start + before.rfind(['[', '(', '{'])?;
    let close = scanned.closing_bracket(open).filter(|close| *close < line.end)?;
    let left_side = text_slice(&scanned.code, line.start..open);
    let compares = left_side.trim_end_matches(|letter: char| {
        letter.is_alphanumeric() || matches!(letter, ' ' | '&' | '!' | '[' | ']' | '(')
    });
    let is_arm = text_slice(&scanned.code, close + 1..line.end).trim_start().starts_with("=>");
    let inner = open + 1..close;
    let is_telling = find_numbers(&scanned.code, &inner)
        .any(|range| !is_boundary_value(text_slice(&scanned.code, range)))
        || scanned
            .strings_in(&inner)
            .any(|range| !is_boundary_value(text_slice(&scanned.code_with_strings, range.clone())));
    let text = without_blanks(text_slice(&scanned.code_with_strings, inner));
    let is_compared = compares.ends_with("==") || is_arm || compares_lists(left_side);
    (is_compared && is_telling).then(|| text.trim_end_matches(',').to_owned())
}

/// Returns the list that a string such as `"[4, 7, 9]"` or `"4,7,9"` contains as text.
fn parse_list_text(text: &str) -> Option<String> {
    let inner = normalize_literal(text);
    let is_list = text.contains(['"', '\'', '`'])
        && inner.contains([',', '['])
        && inner.chars().filter(char::is_ascii_digit).count() > 1
        && inner.chars().all(|letter| letter.is_ascii_digit() || ",.- []()".contains(letter));
    is_list.then(|| without_blanks(inner.trim_matches(['[', ']', '(', ')', ' '])))
}

/// Returns the values that may be results: all values except `value` in the line `first_line` and in the
/// branch that this line begins.
fn result_values(scanned: &ScannedText, first_line: usize, value: &Range<usize>) -> Vec<String> {
    let indent = |line: &Range<usize>| {
        let text = text_slice(&scanned.code, line.clone());
        (!text.trim().is_empty()).then(|| text.len() - text.trim_start().len())
    };
    let of_first = scanned.line_range(first_line);
    let depth = indent(&of_first);
    let branch = (first_line + 1..=first_line + MAX_BRANCH_LINES)
        .map(|line| scanned.line_range(line))
        .take_while(|line| line.len() <= MAX_LINE_BYTES && indent(line) > depth);
    std::iter::once(of_first)
        .chain(branch)
        .flat_map(|line| {
            let strings = scanned.strings_in(&line).cloned();
            let found: Vec<Range<usize>> = strings.chain(find_numbers(&scanned.code, &line)).collect();
            found.into_iter().map(move |range| (line.clone(), range))
        })
        .filter(|(line, range)| range != value && is_complete_result(scanned, line, range))
        .map(|(_, range)| text_slice(&scanned.code_with_strings, range))
        .filter(|text| is_specific_result(text))
        .map(normalize_literal)
        .collect()
}

/// Returns true if the value looks like a complete result: it is returned, assigned, or the value of a key or
/// match arm.
fn is_complete_result(scanned: &ScannedText, line: &Range<usize>, value: &Range<usize>) -> bool {
    let before = text_slice(&scanned.code, line.start..value.start).trim_end();
    let after = text_slice(&scanned.code, value.end..line.end).trim_start();
    let before = before.trim_end_matches(['[', '(', '{', '&', '-', ' ']);
    let before = ["Some", "Ok"].iter().fold(before, |text, word| text.strip_suffix(word).unwrap_or(text));
    let before = before.trim_end_matches(['(', ' ']);
    let is_kept = before.ends_with('=')
        && !["==", "!=", "<=", ">="].iter().any(|sign| before.ends_with(sign))
        || [":", "=>", "?", "return", "yield", "{"].iter().any(|word| before.ends_with(word))
        || before.trim().is_empty()
        || before.ends_with(')');
    let ends = after.is_empty()
        || after.starts_with([';', ',', ')', ']', '}', ':'])
        || after.starts_with("if ")
        || after.starts_with("else");
    is_kept && ends
}

/// Returns true if this value is not a typical boundary result.
fn is_specific_result(text: &str) -> bool {
    if text.contains(['"', '\'', '`']) {
        return normalize_literal(text).chars().count() > 1;
    }
    let number = normalize_literal(text);
    number.contains('.') || number.len() >= MIN_SPECIFIC_DIGITS
}

/// Returns true for typical boundary values: zero, one, or an empty text.
fn is_boundary_value(text: &str) -> bool {
    matches!(normalize_literal(text).as_str(), "" | "0" | "1" | "0.0" | "1.0")
}
