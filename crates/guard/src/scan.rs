//! A file's text taken apart: code, comments, strings, lines and brackets. One pass, and no failure: whatever is not
//! understood is code.

use std::ops::Range;

use super::language::{LanguageRules, SpanKind, SpanSyntax};

/// How far a character literal may reach, such as `'\u{10ffff}'`.
const MAX_LETTER: usize = 12;

/// The length of a quotation mark that documentation stands in.
const LONG_QUOTE: usize = 3;

/// A text, and the same text with parts of it blanked out; all positions are the same in each.
#[derive(Debug)]
pub(super) struct ScannedText {
    /// Code alone: comments and what stands in strings are blank.
    pub code: String,
    /// Code with its strings: comments are blank.
    pub bare: String,
    /// Comments alone, in small letters.
    pub comments: String,
    /// Strings with their quotes, in order.
    pub strings: Vec<Range<usize>>,
    /// Where each line begins.
    pub lines: Vec<usize>,
    /// Where brackets stand, braces apart, and how many are open after each.
    depths: Vec<(usize, u32)>,
    /// For each bracket that opens, where it closes; in order.
    pairs: Vec<(usize, usize)>,
}

impl ScannedText {
    /// Takes a text apart.
    pub(super) fn new(text: &str, language: &LanguageRules) -> Self {
        let (mut code, mut bare, mut comments) =
            (text.as_bytes().to_vec(), text.as_bytes().to_vec(), blank(text));
        let mut strings = Vec::new();
        let firsts: Vec<u8> = language.spans.iter().filter_map(|span| span.open.bytes().next()).collect();
        let mut at = 0;
        let mut depth = 0_usize;
        while let Some(byte) = text.as_bytes().get(at) {
            let span = firsts.contains(byte).then(|| opened(text, at, language)).flatten();
            let Some((span, end)) = span else {
                match byte {
                    b'(' | b'[' => depth = depth.saturating_add(1),
                    b')' | b']' => depth = depth.saturating_sub(1),
                    _ => {}
                }
                at += 1;
                continue;
            };
            // A string that stands alone says something of the code, and is none.
            let is_words = span.open.len() == LONG_QUOTE && depth == 0 && begins_line(text, at);
            if span.kind == SpanKind::Comment || is_words {
                hide(&mut code, at..end);
                hide(&mut bare, at..end);
                show(&mut comments, text, at..end);
            } else {
                hide(&mut code, at + span.open.len()..end.saturating_sub(span.close.len()));
                strings.push(at..end);
            }
            at = end;
        }
        let [code, bare, comments] =
            [code, bare, comments].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let mut lines = vec![0];
        lines.extend(text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1));
        let mut scanned =
            Self { code, bare, comments, strings, lines, depths: Vec::new(), pairs: Vec::new() };
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
                    self.pairs.extend(open.pop().map(|open| (open, at)));
                    depth = depth.saturating_sub(u32::from(byte != b'}'));
                }
                _ => continue,
            }
            self.depths.push((at, depth));
        }
        self.pairs.sort_unstable();
    }

    /// Where the bracket closes that opens here.
    pub(super) fn closing(&self, open: usize) -> Option<usize> {
        let found = self.pairs.binary_search_by_key(&open, |(open, _)| *open).ok()?;
        self.pairs.get(found).map(|(_, close)| *close)
    }

    /// How many brackets are open before a position, braces apart.
    pub(super) fn depth(&self, at: usize) -> u32 {
        let before = self.depths.partition_point(|(bracket, _)| *bracket < at);
        before.checked_sub(1).and_then(|last| self.depths.get(last)).map_or(0, |(_, depth)| *depth)
    }

    /// The line, from 0, of a position.
    pub(super) fn line_of(&self, at: usize) -> usize {
        self.lines.partition_point(|start| *start <= at).saturating_sub(1)
    }

    /// Where a line begins and ends, its end not counted.
    pub(super) fn line(&self, line: usize) -> Range<usize> {
        let start = self.lines.get(line).copied().unwrap_or(self.code.len());
        let end = self.lines.get(line + 1).map_or(self.code.len(), |next| next - 1);
        start..end.max(start)
    }

    /// The strings in a range.
    pub(super) fn strings_in(&self, range: &Range<usize>) -> impl Iterator<Item = &Range<usize>> {
        let first = self.strings.partition_point(|string| string.start < range.start);
        self.strings.iter().skip(first).take_while(|string| string.end <= range.end)
    }
}

/// A part of a text; nothing where it is no part.
pub(super) fn part(text: &str, range: Range<usize>) -> &str {
    text.get(range).unwrap_or_default()
}

/// Is a letter of a name?
pub(super) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// Where words stand in a text, each at the beginning of a word.
pub(super) fn occurrences<'a>(text: &'a str, words: &'a str) -> impl Iterator<Item = usize> + 'a {
    let needs_start = words.bytes().next().is_some_and(is_word);
    text.match_indices(words).map(|(at, _)| at).filter(move |at| {
        let before = at.checked_sub(1).and_then(|before| text.as_bytes().get(before));
        !needs_start || !before.is_some_and(|byte| is_word(*byte))
    })
}

/// The span that opens here, and its end.
fn opened<'l>(text: &str, at: usize, language: &'l LanguageRules) -> Option<(&'l SpanSyntax, usize)> {
    let rest = text.get(at..)?;
    let span = language.spans.iter().find(|span| rest.starts_with(span.open))?;
    let before = at.checked_sub(1).and_then(|before| text.as_bytes().get(before));
    let joins = span.open.bytes().next().is_some_and(is_word) && before.is_some_and(|byte| is_word(*byte));
    let inner = at + span.open.len();
    let end = match span.kind {
        _ if joins => None,
        SpanKind::Comment | SpanKind::Raw => Some(closed(text, inner, span)),
        SpanKind::Text => Some(escaped(text, inner, span)),
        SpanKind::Letter => letter(text, inner),
    };
    end.map(|end| (span, end))
}

/// The end of a span whose first closing mark ends it.
fn closed(text: &str, inner: usize, span: &SpanSyntax) -> usize {
    let rest = text.get(inner..).unwrap_or_default();
    match rest.find(span.close) {
        // A line's comment leaves its line's end alone.
        Some(found) if span.close == "\n" => inner + found,
        Some(found) => inner + found + span.close.len(),
        None => text.len(),
    }
}

/// The end of a span in which a backslash hides the next character.
fn escaped(text: &str, inner: usize, span: &SpanSyntax) -> usize {
    let bytes = text.as_bytes();
    let first = span.close.as_bytes().first().copied();
    let mut at = inner;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' => at += 1,
            b'\n' if !span.over_lines => return at,
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

/// The end of a character in quotes; none if it is something else.
fn letter(text: &str, inner: usize) -> Option<usize> {
    let rest = text.get(inner..)?;
    let mut letters = rest.char_indices();
    let (_, first) = letters.next()?;
    if first == '\\' {
        letters.next()?;
        let found = letters.take(MAX_LETTER).find(|(_, letter)| *letter == '\'')?;
        return Some(inner + found.0 + 1);
    }
    letters.next().filter(|(_, second)| *second == '\'' && first != '\n').map(|(at, _)| inner + at + 1)
}

fn begins_line(text: &str, at: usize) -> bool {
    let before = text.as_bytes().get(..at).unwrap_or_default();
    before.iter().rev().take_while(|byte| **byte != b'\n').all(u8::is_ascii_whitespace)
}

fn blank(text: &str) -> Vec<u8> {
    text.bytes().map(|byte| if byte == b'\n' { byte } else { b' ' }).collect()
}

fn hide(bytes: &mut [u8], range: Range<usize>) {
    for byte in bytes.get_mut(range).unwrap_or_default() {
        if *byte != b'\n' {
            *byte = b' ';
        }
    }
}

fn show(bytes: &mut [u8], text: &str, range: Range<usize>) {
    let from = text.as_bytes().get(range.clone()).unwrap_or_default();
    for (byte, from) in bytes.get_mut(range).unwrap_or_default().iter_mut().zip(from) {
        *byte = from.to_ascii_lowercase();
    }
}
