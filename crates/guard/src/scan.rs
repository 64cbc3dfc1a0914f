//! Splits a file's text into code, comments, strings, lines and brackets. The scanner reads the text once and
//! cannot fail, because text that it does not recognise counts as code.

use std::ops::Range;

use super::language::{LanguageRules, NonCodeKind, NonCodeSyntax};

/// Maximum length of a character literal, such as `'\u{10ffff}'`.
const MAX_CHAR_LITERAL_LEN: usize = 12;

/// Number of quote characters that open a documentation string.
const TRIPLE_QUOTE_LEN: usize = 3;

/// Copies of a text. In each copy, other parts of the text are replaced with blanks. A position refers to the
/// same character in the text and in every copy.
#[derive(Debug)]
pub(super) struct ScannedText {
    /// Code without comments and without the content of strings.
    pub code: String,
    /// Code with strings but without comments.
    pub code_with_strings: String,
    /// Comments without code, in lower case.
    pub comments: String,
    /// Strings with their quotes, in order.
    pub strings: Vec<Range<usize>>,
    /// Start of each line.
    pub line_starts: Vec<usize>,
    /// Positions of brackets, each with the number of open brackets after this position. Braces are not
    /// counted.
    bracket_depths: Vec<(usize, u32)>,
    /// Positions of opening brackets, each with the position of its closing bracket, in order.
    bracket_pairs: Vec<(usize, usize)>,
}

impl ScannedText {
    /// Splits a text of this language.
    pub(super) fn new(text: &str, language: &LanguageRules) -> Self {
        let (mut code, mut code_with_strings, mut comments) =
            (text.as_bytes().to_vec(), text.as_bytes().to_vec(), blank_copy(text));
        let mut strings = Vec::new();
        let firsts: Vec<u8> = language.spans.iter().filter_map(|span| span.open.bytes().next()).collect();
        let mut at = 0;
        let mut depth = 0_usize;
        while let Some(byte) = text.as_bytes().get(at) {
            let span = firsts.contains(byte).then(|| non_code_span_at(text, at, language)).flatten();
            let Some((span, end)) = span else {
                match byte {
                    b'(' | b'[' => depth = depth.saturating_add(1),
                    b')' | b']' => depth = depth.saturating_sub(1),
                    _ => {}
                }
                at += 1;
                continue;
            };
            // A string in three quotes is documentation if the string is a whole statement.
            let is_words = span.open.len() == TRIPLE_QUOTE_LEN && depth == 0 && begins_line(text, at);
            if span.kind == NonCodeKind::Comment || is_words {
                blank_range(&mut code, at..end);
                blank_range(&mut code_with_strings, at..end);
                copy_lowercase_range(&mut comments, text, at..end);
            } else {
                blank_range(&mut code, at + span.open.len()..end.saturating_sub(span.close.len()));
                strings.push(at..end);
            }
            at = end;
        }
        let [code, code_with_strings, comments] =
            [code, code_with_strings, comments].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let mut lines = vec![0];
        lines.extend(text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1));
        let mut scanned = Self {
            code,
            code_with_strings,
            comments,
            strings,
            line_starts: lines,
            bracket_depths: Vec::new(),
            bracket_pairs: Vec::new(),
        };
        scanned.match_brackets();
        scanned
    }

    fn match_brackets(&mut self) {
        let mut open: Vec<usize> = Vec::new();
        let mut depth = 0_u32;
        for (at, byte) in self.code.bytes().enumerate() {
            match byte {
                b'(' | b'[' | b'{' => {
                    open.push(at);
                    depth = depth.saturating_add(u32::from(byte != b'{'));
                }
                b')' | b']' | b'}' => {
                    self.bracket_pairs.extend(open.pop().map(|open| (open, at)));
                    depth = depth.saturating_sub(u32::from(byte != b'}'));
                }
                _ => continue,
            }
            self.bracket_depths.push((at, depth));
        }
        self.bracket_pairs.sort_unstable();
    }

    /// Returns the position of the bracket that closes the bracket at `open_offset`.
    pub(super) fn closing_bracket(&self, open_offset: usize) -> Option<usize> {
        let found =
            self.bracket_pairs.binary_search_by_key(&open_offset, |(open_offset, _)| *open_offset).ok()?;
        self.bracket_pairs.get(found).map(|(_, close)| *close)
    }

    /// Returns the number of brackets that are open at a position. Braces are not counted.
    pub(super) fn bracket_depth(&self, offset: usize) -> u32 {
        let before = self.bracket_depths.partition_point(|(bracket, _)| *bracket < offset);
        before.checked_sub(1).and_then(|last| self.bracket_depths.get(last)).map_or(0, |(_, depth)| *depth)
    }

    /// Returns the line number, from 0, of a position.
    pub(super) fn line_of(&self, offset: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= offset).saturating_sub(1)
    }

    /// Returns the range of a line without its line end.
    pub(super) fn line_range(&self, line: usize) -> Range<usize> {
        let start = self.line_starts.get(line).copied().unwrap_or(self.code.len());
        let end = self.line_starts.get(line + 1).map_or(self.code.len(), |next| next - 1);
        start..end.max(start)
    }

    /// Returns the strings in a range.
    pub(super) fn strings_in(&self, range: &Range<usize>) -> impl Iterator<Item = &Range<usize>> {
        let first = self.strings.partition_point(|string| string.start < range.start);
        self.strings.iter().skip(first).take_while(|string| string.end <= range.end)
    }
}

/// Returns a part of a text; empty if the range is invalid.
pub(super) fn text_slice(text: &str, range: Range<usize>) -> &str {
    text.get(range).unwrap_or_default()
}

/// Returns true if a name may contain this byte.
pub(super) fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// Returns the positions at which `words` occurs in a text. Each occurrence must begin at the start of a
/// word.
pub(super) fn occurrences<'a>(text: &'a str, words: &'a str) -> impl Iterator<Item = usize> + 'a {
    let needs_start = words.bytes().next().is_some_and(is_word_byte);
    text.match_indices(words).map(|(at, _)| at).filter(move |at| {
        let before = at.checked_sub(1).and_then(|before| text.as_bytes().get(before));
        !needs_start || !before.is_some_and(|byte| is_word_byte(*byte))
    })
}

/// Returns the span of text that is not code and that begins at `offset`, and the end of this span.
fn non_code_span_at<'l>(
    text: &str,
    offset: usize,
    language: &'l LanguageRules,
) -> Option<(&'l NonCodeSyntax, usize)> {
    let rest = text.get(offset..)?;
    let span = language.spans.iter().find(|span| rest.starts_with(span.open))?;
    let before = offset.checked_sub(1).and_then(|before| text.as_bytes().get(before));
    let joins =
        span.open.bytes().next().is_some_and(is_word_byte) && before.is_some_and(|byte| is_word_byte(*byte));
    let inner = offset + span.open.len();
    let end = match span.kind {
        _ if joins => None,
        NonCodeKind::Comment | NonCodeKind::RawString => Some(span_end(text, inner, span)),
        NonCodeKind::EscapedString => Some(escaped_span_end(text, inner, span)),
        NonCodeKind::CharLiteral => char_literal_end(text, inner),
    };
    end.map(|end| (span, end))
}

/// Returns the end of a span that ends at its first closing mark.
fn span_end(text: &str, content_start: usize, span: &NonCodeSyntax) -> usize {
    let rest = text.get(content_start..).unwrap_or_default();
    match rest.find(span.close) {
        // A line comment ends before its line end.
        Some(found) if span.close == "\n" => content_start + found,
        Some(found) => content_start + found + span.close.len(),
        None => text.len(),
    }
}

/// Returns the end of a span in which a backslash escapes the next character.
fn escaped_span_end(text: &str, content_start: usize, span: &NonCodeSyntax) -> usize {
    let bytes = text.as_bytes();
    let first = span.close.as_bytes().first().copied();
    let mut at = content_start;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' => at += 1,
            b'\n' if !span.is_multiline => return at,
            byte if Some(*byte) == first
                && bytes.get(at..).is_some_and(|rest| rest.starts_with(span.close.as_bytes())) =>
            {
                return at + span.close.len();
            }
            _ => {}
        }
        at += 1;
    }
    text.len()
}

/// Returns the end of a character literal; none if the text is not a character literal.
fn char_literal_end(text: &str, content_start: usize) -> Option<usize> {
    let rest = text.get(content_start..)?;
    let mut letters = rest.char_indices();
    let (_, first) = letters.next()?;
    if first == '\\' {
        letters.next()?;
        let found = letters.take(MAX_CHAR_LITERAL_LEN).find(|(_, letter)| *letter == '\'')?;
        return Some(content_start + found.0 + 1);
    }
    letters
        .next()
        .filter(|(_, second)| *second == '\'' && first != '\n')
        .map(|(at, _)| content_start + at + 1)
}

fn begins_line(text: &str, offset: usize) -> bool {
    let before = text.as_bytes().get(..offset).unwrap_or_default();
    before.iter().rev().take_while(|byte| **byte != b'\n').all(u8::is_ascii_whitespace)
}

fn blank_copy(text: &str) -> Vec<u8> {
    text.bytes().map(|byte| if byte == b'\n' { byte } else { b' ' }).collect()
}

fn blank_range(bytes: &mut [u8], range: Range<usize>) {
    for byte in bytes.get_mut(range).unwrap_or_default() {
        if *byte != b'\n' {
            *byte = b' ';
        }
    }
}

fn copy_lowercase_range(bytes: &mut [u8], text: &str, range: Range<usize>) {
    let from = text.as_bytes().get(range.clone()).unwrap_or_default();
    for (byte, from) in bytes.get_mut(range).unwrap_or_default().iter_mut().zip(from) {
        *byte = from.to_ascii_lowercase();
    }
}
