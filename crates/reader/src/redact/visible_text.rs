//! Searches a text for secrets as a person sees the text. Characters that are not displayed may separate the
//! letters of a secret.

use std::ops::Range;

use truing_core::line::is_invisible_char;

/// A text without the characters that are not displayed.
struct VisibleText {
    text: String,
    /// Position of each byte in the original text, and the original text's length.
    positions: Vec<usize>,
}

impl VisibleText {
    /// Returns the visible text. Returns `None` if all characters of the text are visible.
    fn from_text(text: &str) -> Option<Self> {
        if !text.contains(is_ignorable) {
            return None;
        }
        let mut visible =
            Self { text: String::with_capacity(text.len()), positions: Vec::with_capacity(text.len() + 1) };
        for (at, char) in text.char_indices().filter(|(_, char)| !is_ignorable(*char)) {
            visible.text.push(char);
            visible.positions.extend(at..at + char.len_utf8());
        }
        visible.positions.push(text.len());
        Some(visible)
    }

    /// Converts a range of the visible text to the range of the original text. Characters that are not
    /// displayed belong to the range only if they are within it.
    fn original_range(&self, range: &Range<usize>) -> Option<Range<usize>> {
        let last = range.end.checked_sub(1)?;
        Some(*self.positions.get(range.start)?..*self.positions.get(last)? + 1)
    }
}

/// Returns true for characters that are not displayed and do not end a line. Unlike in names, joiners and
/// selectors of emoji count too, because no secret contains them.
pub(crate) fn is_ignorable(char: char) -> bool {
    let is_line_space = matches!(char, '\n' | '\r' | '\t');
    (is_invisible_char(char) && !is_line_space) || matches!(char, '\u{200c}' | '\u{200d}' | '\u{fe0f}')
}

/// Returns the ranges that `find` returns for a text, and for the text as a person sees it.
pub(crate) fn visible_ranges(
    text: &str,
    mut find: impl FnMut(&str) -> Vec<Range<usize>>,
) -> Vec<Range<usize>> {
    let mut ranges = find(text);
    if let Some(visible) = VisibleText::from_text(text) {
        ranges.extend(find(&visible.text).iter().filter_map(|range| visible.original_range(range)));
    }
    ranges
}
