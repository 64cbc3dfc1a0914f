//! Renders the lines that are shown with a finding. The lines are shortened, and show only the first
//! characters of secrets.

use std::ops::Range;

pub use truing_core::code_digest::OMISSION_MARK;

use crate::lines::LineIndex;

/// Maximum number of lines of a snippet.
const MAX_LINES: usize = 8;
/// Maximum number of bytes of one line in a snippet.
const MAX_LINE_BYTES: usize = 400;
/// Number of bytes before the match that are shown if the line is longer than [`MAX_LINE_BYTES`].
const BYTES_BEFORE_MATCH: usize = 80;
/// Number of bytes of a secret that remain visible. They are sufficient to recognise the kind of the secret
/// and to distinguish secrets.
pub(crate) const REDACTED_PREFIX_BYTES: usize = 4;

/// Ranges of a file that must not be shown. The ranges are in ascending order, do not overlap and are not
/// empty.
#[derive(Debug, Default)]
pub(crate) struct SecretRanges(pub(crate) Vec<Range<usize>>);

impl SecretRanges {
    /// Merges ranges that touch or overlap.
    pub(crate) fn new(mut ranges: Vec<Range<usize>>) -> Self {
        ranges.sort_by_key(|range| (range.start, range.end));
        let mut joined: Vec<Range<usize>> = Vec::with_capacity(ranges.len());
        for range in ranges {
            match joined.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                _ if range.is_empty() => {}
                _ => joined.push(range),
            }
        }
        Self(joined)
    }

    /// Returns true if a range overlaps `window`.
    pub(crate) fn overlaps(&self, window: &Range<usize>) -> bool {
        self.ranges_in(window).next().is_some()
    }

    /// Returns the ranges that overlap `window`.
    fn ranges_in(&self, window: &Range<usize>) -> impl Iterator<Item = &Range<usize>> {
        let first = self.0.partition_point(|secret| secret.end <= window.start);
        let end = window.end;
        self.0.iter().skip(first).take_while(move |secret| secret.start < end)
    }
}

/// Returns the lines of a range as text, without the last line end. `match_offset` is the offset of the
/// match. The match is shown even if it is in the middle of a very long line. Each secret is shortened to its
/// first four characters and `…`. A line is left out if it is completely within a secret that begins on a
/// previous line.
pub(crate) fn render_snippet(
    lines: &LineIndex<'_>,
    first_line: u32,
    last_line: u32,
    match_offset: usize,
    secrets: &SecretRanges,
) -> String {
    let mut shown = Vec::new();
    for number in first_line..=last_line {
        if shown.len() == MAX_LINES {
            break;
        }
        let line = lines.line_range(number);
        let hidden =
            secrets.ranges_in(&line).any(|secret| secret.start < line.start && secret.end >= line.end);
        if !hidden {
            shown.push(render_line(lines, line, match_offset, secrets));
        }
    }
    shown.join("\n")
}

/// Returns one line, cut to a window and redacted.
fn render_line(
    lines: &LineIndex<'_>,
    line: Range<usize>,
    match_offset: usize,
    secrets: &SecretRanges,
) -> String {
    let window = line_window(lines, &line, match_offset);
    let mut text = String::new();
    let mut at = window.start;
    if at > line.start {
        text.push_str(OMISSION_MARK);
    }
    for secret in secrets.ranges_in(&window) {
        if secret.start >= window.start {
            text.push_str(&lossy_text(lines, at..secret.start));
            let readable = secret.start.saturating_add(REDACTED_PREFIX_BYTES).min(secret.end).min(window.end);
            text.push_str(&lossy_text(lines, secret.start..readable));
        }
        if !text.ends_with(OMISSION_MARK) {
            text.push_str(OMISSION_MARK);
        }
        at = secret.end.min(window.end);
    }
    text.push_str(&lossy_text(lines, at..window.end));
    if window.end < line.end && !text.ends_with(OMISSION_MARK) {
        text.push_str(OMISSION_MARK);
    }
    text
}

/// Returns the part of a line that is shown: the whole line, or [`MAX_LINE_BYTES`] bytes that begin shortly
/// before the match.
fn line_window(lines: &LineIndex<'_>, line: &Range<usize>, match_offset: usize) -> Range<usize> {
    if line.len() <= MAX_LINE_BYTES {
        return line.clone();
    }
    let start = if line.contains(&match_offset) {
        match_offset.saturating_sub(BYTES_BEFORE_MATCH).max(line.start)
    } else {
        line.start
    };
    let end = start.saturating_add(MAX_LINE_BYTES).min(line.end);
    // The window must not begin or end within a character.
    let next_character = |offset: usize| {
        let rest = lines.bytes(offset..line.end);
        offset + rest.iter().take(3).take_while(|byte| (0x80..0xC0).contains(*byte)).count()
    };
    next_character(start)..next_character(end)
}

fn lossy_text(lines: &LineIndex<'_>, range: Range<usize>) -> String {
    String::from_utf8_lossy(lines.bytes(range)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(text: &str, first: u32, last: u32, focus: usize, secrets: &[Range<usize>]) -> String {
        render_snippet(
            &LineIndex::new(text.as_bytes()),
            first,
            last,
            focus,
            &SecretRanges::new(secrets.to_vec()),
        )
    }

    #[test]
    fn every_secret_on_the_lines_is_reduced_to_its_beginning() {
        assert_eq!(show("a = KEY-12345; b = KEY-99", 1, 1, 0, &[19..25, 4..13]), "a = KEY-…; b = KEY-…");
        assert_eq!(show("abcdefghij", 1, 1, 0, &[0..5, 3..8]), "abcd…ij");
        assert_eq!(show("abcd", 1, 1, 0, &[0..2, 3..4]), "ab…cd…");
    }

    #[test]
    fn the_lines_inside_a_secret_are_left_out() {
        let text = "BEGIN\nMIIEsecret\nsecret\nsecret=\nEND\nx";
        let secret = 6..32;
        assert_eq!(&text[secret.clone()], "MIIEsecret\nsecret\nsecret=\n");
        assert_eq!(show(text, 1, 5, 0, &[secret]), "BEGIN\nMIIE…\nEND");
    }

    #[test]
    fn a_secret_that_ends_within_a_line_hides_that_part_of_it() {
        let secret = 3..17;
        assert_eq!(show("ab KEYsecret\nmore tail", 2, 2, 13, std::slice::from_ref(&secret)), "… tail");
    }

    #[test]
    fn long_lines_are_cut_around_the_match_between_characters() {
        let text = format!("{}!match!{}", "é".repeat(5000), "é".repeat(5000));
        let shown = show(&text, 1, 1, 10_000, &[]);
        assert!(shown.starts_with("…é") && shown.contains("!match!") && shown.ends_with("é…"), "{shown}");
        assert!(shown.len() <= MAX_LINE_BYTES + 3 + 2 * OMISSION_MARK.len(), "{}", shown.len());
        assert!(!shown.contains('\u{FFFD}'));
    }

    #[test]
    fn a_secret_on_a_cut_line_stays_hidden_on_both_sides_of_the_cut() {
        let text = format!("{}match{}", "s".repeat(1000), "s".repeat(1000));
        assert_eq!(show(&text, 1, 1, 1000, &[0..1000, 1005..2005]), "…matchssss…");
    }

    #[test]
    fn many_lines_are_cut() {
        assert_eq!(show(&"x\n".repeat(100), 1, 100, 0, &[]).lines().count(), MAX_LINES);
    }
}
