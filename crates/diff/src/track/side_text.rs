//! Stores the lines of all changed files of one side in one sequence. Lines with equal text have the same
//! number, so they can be compared by this number.

use std::collections::HashMap;
use std::ops::Range;

use crate::RepoPath;
use crate::parsed_diff::split_first_line;

/// Weight of a line without words, such as `}` or an empty line.
pub(super) const WORDLESS_LINE_WEIGHT: u32 = 1;

/// Weight of a line with words.
const WORD_LINE_WEIGHT: u32 = 4;

/// Minimum number of letters and digits in a line with words. For example, `L1` is a line with words.
const MIN_WORD_LINE_ALPHANUMERICS: usize = 2;

/// Assigns a number to each distinct text of a line. Texts are numbered in the order of their first
/// occurrence.
#[derive(Default)]
pub(super) struct TextInterner<'a> {
    text_ids: HashMap<&'a [u8], u32>,
}

impl<'a> TextInterner<'a> {
    fn intern(&mut self, text: &'a [u8]) -> u32 {
        // The number of texts fits in 32 bits: there are not more lines than bytes, and `MAX_TRACKED_BYTES`
        // limits the number of bytes.
        let next = u32::try_from(self.text_ids.len()).unwrap_or(u32::MAX);
        *self.text_ids.entry(text).or_insert(next)
    }
}

/// The lines of one side.
#[derive(Default, Debug)]
pub(super) struct SideText<'a> {
    files: Vec<SideFile<'a>>,
    lines: Vec<SideLine<'a>>,
}

/// A line of one side.
#[derive(Clone, Copy, Debug)]
struct SideLine<'a> {
    /// Text of the line without white space at both ends, because indentation and line ends are ignored.
    text: &'a [u8],
    /// Number that identifies the text.
    text_id: u32,
    /// Index of the line's file.
    file_index: u32,
    has_words: bool,
}

/// A file of one side.
#[derive(Clone, Debug)]
pub(super) struct SideFile<'a> {
    pub(super) path: &'a RepoPath,
    /// Range of the file's lines in the sequence.
    pub(super) lines: Range<usize>,
}

impl SideFile<'_> {
    /// Returns the sequence indices of the file's lines from `start` to `end` (1-based). Lines beyond the end
    /// of the file are omitted.
    pub(super) fn line_range(&self, start: u32, end: u32) -> Range<usize> {
        let at = |number: u32| self.lines.start.saturating_add(number as usize).min(self.lines.end);
        at(start.saturating_sub(1))..at(end)
    }

    /// Converts an index in the sequence to a 1-based line number of this file.
    pub(super) fn line_number(&self, line: usize) -> u32 {
        u32::try_from(line.saturating_sub(self.lines.start) + 1).unwrap_or(u32::MAX)
    }
}

/// Returns the number of lines in a file.
pub(super) fn count_lines(content: &[u8]) -> u32 {
    let ends = memchr::memchr_iter(b'\n', content).count();
    let unended = usize::from(content.last().is_some_and(|last| *last != b'\n'));
    u32::try_from(ends + unended).unwrap_or(u32::MAX)
}

impl<'a> SideText<'a> {
    /// Adds the lines of a file and returns the index of the file.
    pub(super) fn add_file(
        &mut self,
        path: &'a RepoPath,
        content: &'a [u8],
        interner: &mut TextInterner<'a>,
    ) -> usize {
        let (file, start) = (self.files.len(), self.lines.len());
        let mut rest = content;
        while let Some((line, after)) = split_first_line(rest) {
            let text = line.trim_ascii();
            let letters = text.iter().filter(|byte| byte.is_ascii_alphanumeric() || !byte.is_ascii());
            let has_words = letters.take(MIN_WORD_LINE_ALPHANUMERICS).count() == MIN_WORD_LINE_ALPHANUMERICS;
            let (number, file) = (interner.intern(text), u32::try_from(file).unwrap_or(u32::MAX));
            self.lines.push(SideLine { text, text_id: number, file_index: file, has_words });
            rest = after;
        }
        self.files.push(SideFile { path, lines: start..self.lines.len() });
        file
    }

    /// Returns the number of lines in all files.
    pub(super) fn line_count(&self) -> usize {
        self.lines.len()
    }

    pub(super) fn files(&self) -> &[SideFile<'a>] {
        &self.files
    }

    pub(super) fn file(&self, index: usize) -> Option<&SideFile<'a>> {
        self.files.get(index)
    }

    /// Returns the index of the file that contains a line.
    pub(super) fn file_index(&self, line: usize) -> Option<usize> {
        self.lines.get(line).map(|line| line.file_index as usize)
    }

    /// Returns the number that identifies a line's text; `None` after the last line.
    pub(super) fn text_id(&self, line: usize) -> Option<u32> {
        self.lines.get(line).map(|line| line.text_id)
    }

    /// Returns the text of a line.
    pub(super) fn text(&self, line: usize) -> &'a [u8] {
        self.lines.get(line).map_or(b"", |line| line.text)
    }

    /// Returns true if the line contains words.
    pub(super) fn has_words(&self, line: usize) -> bool {
        self.lines.get(line).is_some_and(|line| line.has_words)
    }

    /// Returns the weight of a line.
    pub(super) fn line_weight(&self, line: usize) -> u32 {
        if self.has_words(line) { WORD_LINE_WEIGHT } else { WORDLESS_LINE_WEIGHT }
    }

    /// Returns the index of the next line in the same file; `None` for the last line of the file.
    pub(super) fn next_line(&self, line: usize) -> Option<usize> {
        let next = line.checked_add(1)?;
        (self.file_index(next)? == self.file_index(line)?).then_some(next)
    }

    /// Returns the index of the previous line in the same file; `None` for the first line of the file.
    pub(super) fn previous_line(&self, line: usize) -> Option<usize> {
        let previous = line.checked_sub(1)?;
        (self.file_index(previous)? == self.file_index(line)?).then_some(previous)
    }
}
