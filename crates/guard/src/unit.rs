//! Splits a file into its tests, and reads the assertions and values of each test.

use std::collections::BTreeSet;
use std::ops::Range;

use super::assertions::is_message_statement;
use super::language::{LanguageRules, TestEndRule, TestStartSyntax};
use super::scan::{ScannedText, is_word_byte, occurrences, text_slice};

/// Maximum number of attributes of a test.
const MAX_ATTRIBUTES: usize = 64;

/// Maximum size in bytes of the text between a test's name and its parameters. The same maximum applies to
/// the text between the parameters and the body.
const MAX_TEST_HEADER_BYTES: usize = 400;

/// Maximum bytes of a class name that are kept. The class name is copied into the name of each test of the
/// class.
const MAX_CLASS_NAME_BYTES: usize = 400;

/// One test of a file.
#[derive(Debug)]
pub(super) struct TestUnit {
    /// Name of the test, with the name of its class if the test is in a class.
    pub name: String,
    /// Start position, including attributes.
    pub start: usize,
    /// Range of the name, which does not count as content.
    name_range: Range<usize>,
    pub end: usize,
}

impl TestUnit {
    /// Returns the part of the test before its name and the part after its name.
    pub(super) fn ranges_around_name(&self) -> [Range<usize>; 2] {
        [self.start..self.name_range.start, self.name_range.end..self.end]
    }

    /// Returns the whole content of the test, except its name, without white space and comments.
    pub(super) fn content(&self, scanned: &ScannedText) -> String {
        self.ranges_around_name()
            .into_iter()
            .map(|range| without_blanks(text_slice(&scanned.code_with_strings, range)))
            .collect()
    }

    /// Returns the assertions in the test.
    pub(super) fn assertions(&self, scanned: &ScannedText, language: &LanguageRules) -> Vec<String> {
        self.ranges_around_name().into_iter().flat_map(|range| assertions(scanned, language, range)).collect()
    }

    /// Returns the strings and numbers in the test.
    pub(super) fn literals(&self, scanned: &ScannedText) -> Vec<String> {
        self.ranges_around_name().into_iter().flat_map(|range| literals(scanned, &range)).collect()
    }

    /// Returns the number of names in the test's code.
    pub(super) fn count_names(&self, scanned: &ScannedText) -> usize {
        self.ranges_around_name()
            .into_iter()
            .map(|range| meaningful_names(text_slice(&scanned.code, range)).count())
            .sum()
    }
}

/// Returns the tests of a file that are not inside another test.
pub(super) fn find_test_units(
    scanned: &ScannedText,
    language: &LanguageRules,
    is_test_file: bool,
) -> Vec<TestUnit> {
    let code = scanned.code.as_bytes();
    let mut found = Vec::new();
    let mut class: Option<(usize, String)> = None;
    let mut at = 0;
    while at < code.len() {
        let start = skip_while(code, at, |byte| {
            matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b';' | b'}' | b')' | b',')
        });
        if start >= code.len() {
            break;
        }
        let indent = indent_of(scanned, start);
        if class.as_ref().is_some_and(|(of, _)| indent <= *of) {
            class = None;
        }
        if let Some(rest) = scanned.code.get(start..).and_then(|rest| rest.strip_prefix("class ")) {
            let name = meaningful_names(first_line(rest)).next().unwrap_or_default();
            class = Some((
                indent,
                text_slice(name, 0..name.floor_char_boundary(MAX_CLASS_NAME_BYTES)).to_owned(),
            ));
        }
        let begin = skip_attributes(scanned, start);
        let attributes = start..begin;
        let opened = language
            .openings
            .iter()
            .filter(|opening| is_test_file || !opening.attributes.is_empty())
            .find_map(|opening| parse_test_unit(scanned, opening, attributes.clone()));
        at = match opened {
            Some(mut unit) => {
                if let Some((_, class)) = &class {
                    unit.name = format!("{class}.{}", unit.name);
                }
                let end = unit.end.max(begin + 1);
                found.push(unit);
                end
            }
            None => skip_while(code, begin, |byte| byte != b'\n').saturating_add(1),
        };
    }
    found
}

/// Returns the test that begins after these attributes; `None` if no test begins there.
fn parse_test_unit(
    scanned: &ScannedText,
    opening: &TestStartSyntax,
    attributes: Range<usize>,
) -> Option<TestUnit> {
    let (start, begin) = (attributes.start, attributes.end);
    let rest = scanned.code.get(begin..)?.strip_prefix(opening.preceding_words)?;
    let attribute_text = text_slice(&scanned.code, attributes);
    if !opening.attributes.is_empty() && !opening.attributes.iter().any(|word| attribute_text.contains(word))
    {
        return None;
    }
    let after = begin + opening.preceding_words.len();
    let code = scanned.code.as_bytes();
    let (name_range, end) = match opening.extent {
        TestEndRule::Call => parse_call(scanned, after).map(|(name_range, end)| (name_range, Some(end)))?,
        TestEndRule::Indent if opening.name_prefix.is_empty() => {
            let line = scanned.line_range(scanned.line_of(begin));
            let name_range = scanned.strings_in(&(after..line.end)).next().cloned().unwrap_or(after..after);
            (name_range, None)
        }
        TestEndRule::Indent => (begin..after + word_length(rest.as_bytes()), None),
        TestEndRule::Braces => {
            let paren = after + find_parameter_bracket(rest.as_bytes())?;
            let brace = opening_brace(scanned, paren)?;
            (begin..paren, Some(scanned.closing_bracket(brace).map_or(code.len(), |close| close + 1)))
        }
    };
    let name = match opening.extent {
        TestEndRule::Call => text_slice(&scanned.code_with_strings, name_range.clone()),
        TestEndRule::Indent if opening.name_prefix.is_empty() => {
            text_slice(&scanned.code_with_strings, name_range.clone())
        }
        TestEndRule::Indent | TestEndRule::Braces => {
            text_slice(&scanned.code_with_strings, after..name_range.end)
        }
    };
    let name = name.trim();
    // The name is checked first, because the end of an indented block is searched for only if the block is a
    // test.
    name.starts_with(opening.name_prefix).then(|| TestUnit {
        name: name.to_owned(),
        start,
        name_range,
        end: end.unwrap_or_else(|| indented_end(scanned, begin)),
    })
}

/// Parses a call such as `it.each(table)("name", body)`, starting after its first word. Returns the range of
/// the test's name, and the end of the call.
fn parse_call(scanned: &ScannedText, mut offset: usize) -> Option<(Range<usize>, usize)> {
    let code = scanned.code.as_bytes();
    if code.get(offset).is_some_and(|byte| is_word_byte(*byte)) {
        return None;
    }
    offset = skip_while(code, offset, |byte| is_word_byte(byte) || byte == b'.');
    // Skips a table of test cases that is enclosed in back ticks.
    if let Some(table) =
        scanned.strings_in(&(offset..code.len())).next().filter(|string| string.start == offset)
    {
        offset = table.end;
    }
    let mut end = None;
    let mut naming = offset..offset;
    while code.get(offset) == Some(&b'(') {
        let close = scanned.closing_bracket(offset).unwrap_or(code.len().saturating_sub(1));
        let first = skip_while(code, offset + 1, |byte| byte.is_ascii_whitespace());
        if let Some(name) = scanned.strings_in(&(first..close)).next().filter(|string| string.start == first)
        {
            naming = name.clone();
        }
        offset = close + 1;
        end = Some(offset);
    }
    Some((naming, end?)).filter(|(naming, _)| !naming.is_empty())
}

/// Returns the end of the block whose first line contains `begin`. The block ends before the next line that
/// is not indented deeper.
fn indented_end(scanned: &ScannedText, begin: usize) -> usize {
    let first = scanned.line_of(begin);
    let indent = indent_of(scanned, begin);
    let depth = scanned.bracket_depth(begin);
    let mut line = first + 1;
    let mut end = scanned.line_range(first).end;
    while line < scanned.line_starts.len() {
        let range = scanned.line_range(line);
        let text = text_slice(&scanned.code_with_strings, range.clone());
        let is_inside = scanned.bracket_depth(range.start) > depth;
        let width = text.len() - text.trim_start().len();
        if !text.trim().is_empty() {
            if width <= indent && !is_inside {
                break;
            }
            end = range.end;
        }
        line += 1;
    }
    end
}

/// Returns the position of the first brace after the bracket that closes the bracket at `paren`. None if the
/// statement ends before a brace.
fn opening_brace(scanned: &ScannedText, paren: usize) -> Option<usize> {
    let code = scanned.code.as_bytes();
    let mut at = scanned.closing_bracket(paren)? + 1;
    let last = at + MAX_TEST_HEADER_BYTES;
    while at < last {
        match code.get(at)? {
            b'{' => return Some(at),
            b';' | b'}' => return None,
            b'(' | b'[' => at = scanned.closing_bracket(at)? + 1,
            _ => at += 1,
        }
    }
    None
}

/// Returns the position after all attributes, decorators and the white space that follows them.
fn skip_attributes(scanned: &ScannedText, start: usize) -> usize {
    let code = scanned.code.as_bytes();
    let mut at = start;
    for _ in 0..MAX_ATTRIBUTES {
        let after = match code.get(at) {
            Some(b'#') => {
                let bracket = if code.get(at + 1) == Some(&b'!') { at + 2 } else { at + 1 };
                if code.get(bracket) != Some(&b'[') {
                    return at;
                }
                scanned.closing_bracket(bracket).map(|close| close + 1)
            }
            Some(b'@') => {
                let name = skip_while(code, at + 1, |byte| is_word_byte(byte) || matches!(byte, b'.' | b':'));
                match code.get(name) {
                    Some(b'(') => scanned.closing_bracket(name).map(|close| close + 1),
                    Some(_) | None => Some(name),
                }
            }
            Some(_) | None => return at,
        };
        let Some(after) = after else { return at };
        at = skip_while(code, after, |byte| byte.is_ascii_whitespace());
    }
    at
}

/// Returns the assertions in a range. Each assertion is one text without white space.
pub(super) fn assertions(
    scanned: &ScannedText,
    language: &LanguageRules,
    range: Range<usize>,
) -> Vec<String> {
    let mut found = Vec::new();
    let mut line = scanned.line_of(range.start);
    while line < scanned.line_starts.len() {
        let whole = scanned.line_range(line);
        if whole.start >= range.end {
            break;
        }
        let from = whole.start.max(range.start);
        let code = text_slice(&scanned.code, from..whole.end.min(range.end));
        if !language.asserts.iter().any(|words| occurrences(code, words).next().is_some()) {
            line += 1;
            continue;
        }
        let last = statement_last_line(scanned, line, from..range.end);
        let end = scanned.line_range(last).end.min(range.end);
        found.push(
            without_blanks(text_slice(&scanned.code_with_strings, from..end))
                .trim_end_matches([';', ','])
                .to_owned(),
        );
        line = last + 1;
    }
    found
}

/// Returns the last line of the statement that begins on `line`. After this line, no bracket of the statement
/// is open and the next line does not continue a chain of calls. The search stops at the end of the range.
fn statement_last_line(scanned: &ScannedText, line: usize, range: Range<usize>) -> usize {
    let depth = scanned.bracket_depth(range.start);
    let mut last = line;
    loop {
        let next = last + 1;
        if next >= scanned.line_starts.len() || scanned.line_range(next).start >= range.end {
            return last;
        }
        let is_open = scanned.bracket_depth(scanned.line_range(next).start) > depth;
        let is_chained = text_slice(&scanned.code, scanned.line_range(next)).trim_start().starts_with('.');
        if !is_open && !is_chained {
            return last;
        }
        last = next;
    }
}

pub(super) fn literals(scanned: &ScannedText, range: &Range<usize>) -> Vec<String> {
    let mut known = None;
    let mut is_said = |string: &&Range<usize>| {
        let line = scanned.line_of(string.start);
        // Each line is examined only once, even if it contains several strings.
        let (_, is_message) = known.filter(|(of, _)| *of == line).unwrap_or_else(|| {
            (
                line,
                is_message_statement(
                    text_slice(&scanned.code_with_strings, scanned.line_range(line)).trim_start(),
                ),
            )
        });
        known = Some((line, is_message));
        is_message
    };
    let strings = scanned.strings_in(range).filter(|string| !is_said(string));
    let mut found: Vec<String> =
        strings.map(|string| text_slice(&scanned.code_with_strings, string.clone()).to_owned()).collect();
    let code = text_slice(&scanned.code, range.clone());
    found.extend(
        names_and_numbers(code)
            .filter(|word| word.starts_with(|first: char| first.is_ascii_digit()))
            .map(str::to_owned),
    );
    found
}

fn names_and_numbers(code: &str) -> impl Iterator<Item = &str> {
    code.split(|letter: char| !(letter.is_alphanumeric() || letter == '_' || letter == '.'))
        .flat_map(|word| {
            if word.starts_with(|first: char| first.is_ascii_digit()) {
                vec![word]
            } else {
                word.split('.').collect()
            }
        })
        .filter(|word| !word.is_empty())
}

/// Returns the names in code, without `pass`, `self` and `return`.
fn meaningful_names(code: &str) -> impl Iterator<Item = &str> {
    names_and_numbers(code)
        .filter(|word| !word.starts_with(|first: char| first.is_ascii_digit()))
        .filter(|word| !matches!(*word, "pass" | "self" | "return"))
}

/// Removes white space from a text.
pub(super) fn without_blanks(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_whitespace()).collect()
}

/// Returns the names that more than one of these tests has.
pub(super) fn repeated_names(units: &[TestUnit]) -> BTreeSet<&str> {
    let mut seen = BTreeSet::new();
    units.iter().map(|unit| unit.name.as_str()).filter(|name| !seen.insert(*name)).collect()
}

fn indent_of(scanned: &ScannedText, offset: usize) -> usize {
    offset - scanned.line_range(scanned.line_of(offset)).start
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// Returns the position of the bracket that opens the parameters of a declaration. Returns `None` if a brace,
/// an assignment or the end of the statement comes first.
fn find_parameter_bracket(bytes: &[u8]) -> Option<usize> {
    let found = bytes
        .iter()
        .take(MAX_TEST_HEADER_BYTES)
        .position(|byte| matches!(byte, b'(' | b'{' | b'}' | b';' | b'='))?;
    (bytes.get(found) == Some(&b'(')).then_some(found)
}

fn word_length(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| is_word_byte(**byte)).count()
}

fn skip_while(bytes: &[u8], from: usize, accepts: impl Fn(u8) -> bool) -> usize {
    from + bytes.get(from..).unwrap_or_default().iter().take_while(|byte| accepts(**byte)).count()
}
