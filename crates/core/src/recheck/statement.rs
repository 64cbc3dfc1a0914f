//! Splits a file into statements, and detects statements that are new since a finding was last seen. Changes
//! of formatting do not make a statement new.
//!
//! A statement is a line, together with the following lines while one of its brackets is open. White space,
//! types of quotation marks, commas before a closing bracket, and comments are ignored. A statement has two
//! marks, which are hashes. The text mark covers the text of the statement. The pair mark also covers the
//! text of the statement above and the direction of the change in indentation. The pair mark therefore
//! changes if a line is moved or re-indented, or if the statement above is deleted.
//!
//! This is a heuristic that parses no language. If it fails, a finding stays open.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::compared_file::{ComparedFile, StableHash};

/// Maximum number of lines that are joined into one statement while a bracket is open. The limit is needed
/// because a bracket in a string may have no closing bracket.
const MAX_JOINED_LINES: u32 = 20;
/// Bit mask for marks, which have six hexadecimal digits.
const STATEMENT_HASH_MASK: u64 = 0x00ff_ffff;
/// Number of hexadecimal digits of a mark.
const HASH_HEX_DIGITS: usize = 6;
/// Number of lines above and below a finding whose marks are stored, even if the change did not add the
/// lines.
const STORED_NEARBY_LINES: u32 = 200;
/// Maximum number of marks that are stored for one finding. If a change has more marks, a fix is recognized
/// only near the finding.
pub(super) const MAX_STATEMENT_HASHES: usize = 3_000;

/// One statement of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct CodeStatement {
    /// First line, from 1.
    pub(super) first_line: u32,
    /// Last line of the statement.
    pub(super) last_line: u32,
    /// Mark of the statement's text.
    pub(super) text_hash: u32,
    /// Mark of the statement together with the statement above.
    pub(super) pair_hash: u32,
    /// True if the statement contains a letter or digit, and not only punctuation.
    pub(super) has_words: bool,
    /// Number of columns of indentation.
    pub(super) indent: usize,
}

impl CodeStatement {
    pub(super) fn touches(&self, lines: (u32, u32)) -> bool {
        let (first, last) = lines;
        self.first_line <= last && first <= self.last_line
    }
}

/// The marks of a change when a finding was last seen. Each mark has six hexadecimal digits; the marks are in
/// ascending order.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct StatementHashes(Vec<u32>);

impl fmt::Debug for StatementHashes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} marks", self.len())
    }
}

impl StatementHashes {
    pub(super) fn contains_hash(&self, statement_hash: u32) -> bool {
        self.0.binary_search(&statement_hash).is_ok()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn new(mut hashes: Vec<u32>) -> Self {
        hashes.sort_unstable();
        hashes.dedup();
        Self(hashes)
    }

    /// Returns the marks of both sets.
    pub(super) fn union_with(mut self, other: &Self) -> Self {
        self.0.extend(&other.0);
        Self::new(self.0)
    }

    /// Collects the marks of the statements around these lines of a file.
    pub(super) fn from_surroundings(file: &ComparedFile, start: u32, end: u32) -> Self {
        let window = (start.saturating_sub(STORED_NEARBY_LINES), end.saturating_add(STORED_NEARBY_LINES));
        let near = file.statements().iter().filter(|statement| statement.touches(window));
        Self::new(near.flat_map(|statement| [statement.text_hash, statement.pair_hash]).collect())
    }
}

impl From<String> for StatementHashes {
    fn from(text: String) -> Self {
        let digits =
            text.as_bytes().chunks(HASH_HEX_DIGITS).filter_map(|digits| std::str::from_utf8(digits).ok());
        Self::new(digits.filter_map(|digits| u32::from_str_radix(digits, 16).ok()).collect())
    }
}

impl From<StatementHashes> for String {
    fn from(marks: StatementHashes) -> Self {
        marks.0.into_iter().map(|mark| format!("{mark:06x}")).collect()
    }
}

/// Returns the statements of a text, from its top.
pub(super) fn split_statements(text: &str) -> Vec<CodeStatement> {
    let mut all: Vec<CodeStatement> = Vec::new();
    let mut open: Option<UnfinishedStatement> = None;
    for (line, number) in text.lines().zip(1_u32..) {
        let code = strip_comment(line);
        if code.is_empty() {
            continue;
        }
        let mut now = open
            .take()
            .unwrap_or_else(|| UnfinishedStatement::new(number, line.len() - line.trim_start().len()));
        now.append_line(code, number);
        if now.bracket_depth > 0 && number - now.first_line < MAX_JOINED_LINES {
            open = Some(now);
        } else {
            all.push(now.into_statement(all.last()));
        }
    }
    if let Some(now) = open {
        all.push(now.into_statement(all.last()));
    }
    all
}

/// A statement that is not complete yet.
struct UnfinishedStatement {
    first_line: u32,
    last_line: u32,
    indent: usize,
    bracket_depth: u32,
    hash: StableHash,
    /// Last byte that is not white space. The next two fields are true if white space or a comma follows this
    /// byte.
    previous_byte: u8,
    has_trailing_space: bool,
    has_trailing_comma: bool,
    has_words: bool,
}

impl UnfinishedStatement {
    const fn new(first_line: u32, indent: usize) -> Self {
        let (hash, before) = (StableHash::new(), 0);
        Self {
            first_line,
            last_line: first_line,
            indent,
            bracket_depth: 0,
            hash,
            previous_byte: before,
            has_trailing_space: false,
            has_trailing_comma: false,
            has_words: false,
        }
    }

    fn append_line(&mut self, code: &str, line_number: u32) {
        self.last_line = line_number;
        self.has_trailing_space = true;
        let mut quote = None;
        for &byte in code.as_bytes() {
            if byte.is_ascii_whitespace() || byte.is_ascii_control() {
                self.has_trailing_space = true;
                continue;
            }
            if byte == b',' && !self.has_trailing_comma {
                self.has_trailing_comma = true;
                continue;
            }
            let is_word = is_word_byte(byte);
            if std::mem::take(&mut self.has_trailing_comma) && !matches!(byte, b')' | b']' | b'}') {
                self.hash.byte(b',');
            } else if self.has_trailing_space && is_word && can_precede_word(self.previous_byte) {
                self.hash.byte(b' ');
            }
            self.has_trailing_space = false;
            match (quote, byte) {
                (None, b'"' | b'\'' | b'`') => quote = Some(byte),
                (Some(begun), _) if begun == byte && self.previous_byte != b'\\' => quote = None,
                (None, b'(' | b'[') => self.bracket_depth = self.bracket_depth.saturating_add(1),
                (None, b')' | b']') => self.bracket_depth = self.bracket_depth.saturating_sub(1),
                (_, _) => {}
            }
            self.hash.byte(if matches!(byte, b'\'' | b'`') { b'"' } else { byte });
            self.has_words |= is_word;
            self.previous_byte = byte;
        }
    }

    fn into_statement(self, statement_above: Option<&CodeStatement>) -> CodeStatement {
        let text_hash = statement_hash(self.hash);
        let mut joint = StableHash::new();
        joint.bytes(&statement_above.map_or(0, |statement_above| statement_above.text_hash).to_be_bytes());
        // Only the direction of the change in indentation is hashed, because the width depends on the
        // formatter.
        joint.byte(
            statement_above
                .map_or(1, |statement_above| self.indent.cmp(&statement_above.indent) as i8)
                .to_be_bytes()[0],
        );
        joint.bytes(&text_hash.to_be_bytes());
        let Self { first_line: first, last_line: last, indent, has_words, .. } = self;
        CodeStatement {
            first_line: first,
            last_line: last,
            text_hash,
            pair_hash: statement_hash(joint),
            has_words,
            indent,
        }
    }
}

const fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

const fn can_precede_word(byte: u8) -> bool {
    byte != 0 && is_word_byte(byte)
}

fn statement_hash(hash: StableHash) -> u32 {
    let hash = hash.get();
    u32::try_from((hash ^ (hash >> 32)) & STATEMENT_HASH_MASK).unwrap_or_default()
}

/// Returns a line without its comment. Returns an empty text if the whole line is a comment.
pub(super) fn strip_comment(line: &str) -> &str {
    let trimmed = line.trim();
    let may_begin = trimmed.starts_with(['/', '*', '<', '-', '"', '\'', '#']);
    if !may_begin && ![" #", " /", " <!--"].iter().any(|mark| trimmed.contains(mark)) {
        return trimmed;
    }
    let begins = ["//", "/*", "*/", "<!--", "-- ", "\"\"\"", "'''", "# ", "#!"];
    let is_comment = begins.iter().any(|begin| trimmed.starts_with(begin))
        || matches!(trimmed, "*" | "#" | "--")
        || trimmed.starts_with("* ")
        || trimmed.strip_prefix('#').is_some_and(is_hash_comment);
    if is_comment {
        return "";
    }
    let mut quote = None;
    let mut before = 0;
    for (at, byte) in trimmed.bytes().enumerate() {
        match (quote, byte) {
            (None, b'"' | b'\'' | b'`') if has_closing_quote(trimmed, at, byte) => quote = Some(byte),
            (Some(begun), _) if begun == byte && before != b'\\' => quote = None,
            (None, b'#' | b'/' | b'<') if before == b' ' => {
                let rest = trimmed.get(at..).unwrap_or_default();
                let is_block =
                    rest.starts_with("/*") && rest.ends_with("*/") && rest.matches("/*").count() == 1;
                if ["# ", "//", "<!--"].iter().any(|begin| rest.starts_with(begin)) || is_block {
                    return trimmed.get(..at).unwrap_or_default().trim_end();
                }
            }
            (_, _) => {}
        }
        before = byte;
    }
    trimmed
}

/// Returns true if the quote at this position is closed on the same line. Apostrophes and the quotes of Rust
/// lifetimes, for example, are not closed and begin no string.
fn has_closing_quote(line: &str, position: usize, quote: u8) -> bool {
    line.as_bytes().get(position + 1..).is_some_and(|rest| rest.contains(&quote))
}

/// Returns true if a `#` that is not followed by a space begins a comment. Returns false for an attribute or
/// a C preprocessor directive.
fn is_hash_comment(text_after_hash: &str) -> bool {
    let word: &str =
        text_after_hash.split(|char: char| !char.is_ascii_alphabetic()).next().unwrap_or_default();
    let directives =
        ["include", "if", "ifdef", "ifndef", "define", "undef", "else", "elif", "endif", "pragma", "error"];
    !(text_after_hash.starts_with('[') || text_after_hash.starts_with("![") || directives.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement_marks(text: &str) -> Vec<(u32, u32)> {
        split_statements(text)
            .into_iter()
            .map(|statement| (statement.text_hash, statement.pair_hash))
            .collect()
    }

    #[test]
    fn what_a_formatter_does_is_nothing_new() {
        let text = "def pay(order, amount):\n    charge(order, 'now', amount)\n    return None\n";
        for other in [
            "def pay(order, amount):\n\n    charge( order, \"now\",  amount )\n    return None\n",
            "def pay(\n    order,\n    amount,\n):\n  charge(\n      order,\n      'now',\n      \
                amount,\n  )\n  return None",
            "def pay(order, amount):  # the bank's\n    # charge it\n    charge(order, 'now', \
             amount)\n    return None\n",
        ] {
            assert_eq!(statement_marks(text), statement_marks(other), "{other}");
        }
    }

    #[test]
    fn what_is_said_moved_or_indented_otherwise_is_new() {
        let text = "for x in xs:\n    total += x\n    return total\n";
        let was = statement_marks(text);
        for (other, own, joint) in [
            ("for x in xs:\n    total += x\nreturn total\n", 0, 1),
            ("for x in xs:\n    return total\n    total += x\n", 0, 2),
            ("for x in xs:\n    return total\n", 0, 1),
            ("for x in xs:\n    total -= x\n    return total\n", 1, 2),
            ("if xs:\n    pass\nfor x in xs:\n    total += x\n    return total\n", 2, 3),
        ] {
            let now = statement_marks(other);
            let new = |of: fn(&(u32, u32)) -> u32| {
                now.iter().filter(|now| !was.iter().any(|was| of(was) == of(now))).count()
            };
            assert_eq!((new(|mark| mark.0), new(|mark| mark.1)), (own, joint), "{other}");
        }
    }

    #[test]
    fn a_comment_is_no_statement_and_an_attribute_is_one() {
        for (line, is_code) in [
            ("# checked", false),
            ("#checked", false),
            ("// checked", false),
            ("/* checked */", false),
            (" * checked", false),
            ("<!-- checked -->", false),
            ("\"\"\"Checked.\"\"\"", false),
            ("#include <stdio.h>", true),
            ("#[must_use]", true),
            ("*out = 1;", true),
            ("url = 'http://a // b'", true),
        ] {
            assert_eq!(!split_statements(line).is_empty(), is_code, "{line}");
        }
        assert_eq!(statement_marks("x = 1 # why"), statement_marks("x = 1"));
        assert_eq!(statement_marks("x('a # b')").len(), 1);
        assert_ne!(statement_marks("x('a # b')"), statement_marks("x('a # c')"));
    }

    #[test]
    fn marks_are_kept_as_they_are() {
        let page = ComparedFile::new("a = 1\nb = 2\n".to_owned());
        let marks = StatementHashes::from_surroundings(&page, 1, 1);
        let text = serde_json::to_string(&marks).unwrap();
        assert_eq!(serde_json::from_str::<StatementHashes>(&text).unwrap(), marks);
        assert_eq!((marks.len(), text.len()), (4, 4 * HASH_HEX_DIGITS + 2));
    }
}
