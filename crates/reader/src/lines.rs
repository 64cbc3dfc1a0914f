//! Line numbers of byte offsets. As in git, a line ends with LF. A CR before the LF belongs to the line end.

use std::ops::Range;

/// Offsets at which the lines of a text begin.
#[derive(Debug)]
pub(crate) struct LineIndex<'text> {
    text: &'text [u8],
    /// Offset of the first byte of each line, in ascending order; the first offset is 0.
    starts: Vec<usize>,
}

impl<'text> LineIndex<'text> {
    /// Finds the lines of `text`.
    pub(crate) fn new(text: &'text [u8]) -> Self {
        let after_ends = memchr::memchr_iter(b'\n', text).map(|at| at + 1);
        Self { text, starts: std::iter::once(0).chain(after_ends).collect() }
    }

    /// Returns the whole text.
    pub(crate) fn text(&self) -> &'text [u8] {
        self.text
    }

    /// Returns the number of lines. If the text ends with a line end, no empty line follows.
    pub(crate) fn line_count(&self) -> u32 {
        let ended = self.starts.last().is_some_and(|start| *start == self.text.len());
        u32::try_from(self.starts.len() - usize::from(ended)).unwrap_or(u32::MAX)
    }

    /// Returns the 1-based number of the line that contains the byte at `offset`. A line includes its line
    /// end.
    pub(crate) fn line_number(&self, offset: usize) -> u32 {
        let number = self.starts.partition_point(|start| *start <= offset);
        u32::try_from(number).unwrap_or(u32::MAX)
    }

    /// Returns the byte range of a line without its line end. The range is empty if there is no line with
    /// this number.
    pub(crate) fn line_range(&self, number: u32) -> Range<usize> {
        let index = number.wrapping_sub(1) as usize;
        let Some(start) = self.starts.get(index).copied() else { return 0..0 };
        let after = self.starts.get(index.saturating_add(1)).copied();
        let mut end = after.map_or(self.text.len(), |after| after.saturating_sub(1));
        if after.is_some() && end > start && self.text.get(end - 1) == Some(&b'\r') {
            end -= 1;
        }
        start..end
    }

    /// Returns true if `line` belongs to the block that begins at `opening_line`: all lines after
    /// `opening_line`, up to `line`, are indented more deeply than `opening_line`.
    pub(crate) fn is_in_indented_block(&self, line: u32, opening_line: u32) -> bool {
        let indent = |number: u32| {
            let bytes = self.bytes(self.line_range(number));
            let at = bytes.iter().position(|byte| !byte.is_ascii_whitespace())?;
            // A line that begins with `)` is skipped, because it ends the head of the block.
            (bytes.get(at) != Some(&b')')).then_some(at)
        };
        let Some(outer) = indent(opening_line) else { return false };
        opening_line < line && (opening_line + 1..=line).filter_map(indent).all(|inner| inner > outer)
    }

    /// Returns the bytes at `range`. The result is empty if `range` is outside of the text.
    pub(crate) fn bytes(&self, range: Range<usize>) -> &'text [u8] {
        self.text.get(range).unwrap_or_default()
    }
}

/// Returns true if at least one of the ascending `ranges` contains a line from `first_line` to `last_line`.
pub(crate) fn overlaps_any(ranges: &[(u32, u32)], first_line: u32, last_line: u32) -> bool {
    let next = ranges.partition_point(|(_, end)| *end < first_line);
    ranges.get(next).is_some_and(|(start, _)| *start <= last_line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_with_lf_or_crlf_and_the_last_needs_no_end() {
        let lines = LineIndex::new(b"a\r\n\nb\rc\nd");
        let all: Vec<&[u8]> = (1..=4).map(|number| lines.bytes(lines.line_range(number))).collect();
        assert_eq!(all, [b"a".as_slice(), b"", b"b\rc", b"d"]);
        assert_eq!(
            (lines.line_number(0), lines.line_number(2), lines.line_number(3), lines.line_number(4)),
            (1, 1, 2, 3)
        );
        assert_eq!((lines.line_range(0), lines.line_range(5)), (0..0, 0..0));
        let counts = [b"".as_slice(), b"a", b"a\n", b"a\n\n"].map(|text| LineIndex::new(text).line_count());
        assert_eq!(counts, [0, 1, 1, 2]);
    }
}
