//! Determines the lines and bytes of a file to which the ranges and fixes of tools refer.

use std::ops;
use std::sync::OnceLock;

use truing_diff::RepoPath;

use crate::content::BYTE_ORDER_MARK;
use crate::lines::LineIndex;
use crate::output::diagnostic::{MAX_EDITS, ToolFix};
use crate::output::range::{ColumnUnit, DiagnosticRange, LinePosition, LineSpan, OffsetSpan};

/// Approximate distance in bytes between two entries of the index of character counts. To find a position,
/// characters are counted within approximately this number of bytes.
const INDEX_STRIDE_BYTES: usize = 4 << 10;

/// The content of a file as the tool examined it.
#[derive(Debug)]
pub struct FileText<'a> {
    lines: LineIndex<'a>,
    /// Length of the byte order mark in bytes.
    bom_bytes: usize,
    character_index: OnceLock<Option<CharacterIndex>>,
    has_crlf: OnceLock<bool>,
}

/// Reasons why a range cannot be resolved to bytes of the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RangeError {
    /// The line is after the file's last line.
    #[error("line {line} is beyond the end of the file, which has {line_count} lines")]
    LineOutOfRange {
        /// Line number, from 1.
        line: u32,
        /// Number of lines in the file.
        line_count: u32,
    },
    /// The column is after the line's end, or within a character or a line break.
    #[error("column {column} of line {line} is not a position in the file")]
    InvalidColumn {
        /// Line number, from 1.
        line: u32,
        /// Column, from 1, in the tool's unit.
        column: u32,
    },
    /// The offset is after the file's end, or within a character.
    #[error("offset {0} is not a position in the file")]
    InvalidOffset(u64),
    /// The file is not UTF-8, which is needed to count characters.
    #[error("the file is not UTF-8")]
    NotUtf8,
    /// The range is the whole file, for which no byte range is returned.
    #[error("the range is the whole file")]
    WholeFile,
}

/// Replacement of a byte range by a text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ByteEdit {
    /// Bytes that are replaced; empty for an insertion.
    pub range: ops::Range<usize>,
    /// Replacement text with the file's line breaks.
    pub new_text: String,
}

/// Reasons why a fix cannot be applied to a file.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ToolFixError {
    /// The fix has no edits, or more than [`MAX_EDITS`].
    #[error("the fix has {0} edits, but may have only 1 to {MAX_EDITS}")]
    InvalidEditCount(usize),
    /// The fix changes another file.
    #[error("the fix changes another file: {0}")]
    OtherFile(RepoPath),
    /// A range of the fix does not correspond to bytes of the file.
    #[error(transparent)]
    UnresolvedRange(#[from] RangeError),
    /// Two edits of the fix overlap, or insert at the same place.
    #[error("edits of the fix overlap")]
    Overlap,
    /// The fix leaves the file unchanged.
    #[error("the fix changes nothing")]
    NoChange,
}

impl<'a> FileText<'a> {
    /// Indexes the whole content of a file.
    pub fn new(bytes: &'a [u8]) -> Self {
        let bom_bytes = if bytes.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
        Self {
            lines: LineIndex::new(bytes),
            bom_bytes,
            character_index: OnceLock::new(),
            has_crlf: OnceLock::new(),
        }
    }

    /// Returns the content, including a byte order mark.
    pub fn bytes(&self) -> &'a [u8] {
        self.lines.text()
    }

    /// Returns the number of lines. A line ends with LF. A line end at the end of the file does not begin
    /// another line.
    pub fn line_count(&self) -> u32 {
        self.lines.line_count()
    }

    pub(crate) fn line_index(&self) -> &LineIndex<'a> {
        &self.lines
    }

    /// Returns the length of the byte order mark in bytes.
    pub(crate) fn bom_length(&self) -> usize {
        self.bom_bytes
    }

    /// Returns the first and the last line of a range, from 1, for a diagnostic. A column beyond the end of
    /// the line is accepted. If the range ends at the beginning of a line, the preceding line is the last
    /// line. A range that begins directly after the last line of the file refers to the last line. A file
    /// without lines is treated like a file with one line. The whole file is reported as line 1.
    ///
    /// # Errors
    ///
    /// The first line or an offset is outside of the file. If only the last line is beyond the end of the
    /// file, the file's last line is used instead.
    pub fn range_lines(&self, range: &DiagnosticRange) -> Result<(u32, u32), RangeError> {
        let count = self.line_count().max(1);
        match range {
            DiagnosticRange::WholeFile => Ok((1, 1)),
            DiagnosticRange::Lines(span) => {
                let (start, end) = (span.start(), span.end());
                if start.line() > count.saturating_add(1) {
                    return Err(RangeError::LineOutOfRange {
                        line: start.line(),
                        line_count: self.line_count(),
                    });
                }
                let first = start.line().min(count);
                let ends_before = end.column() == Some(1) && end.line() > start.line();
                let last = end.line().saturating_sub(u32::from(ends_before));
                Ok((first, last.clamp(first, count)))
            }
            DiagnosticRange::Offsets(offsets) => {
                let found = self.offsets_range(*offsets)?;
                let first = self.lines.line_number(found.start).min(count);
                let last = self.lines.line_number(found.end.saturating_sub(1).max(found.start));
                Ok((first, last.clamp(first, count)))
            }
        }
    }

    /// Returns the exact bytes of a range.
    ///
    /// # Errors
    ///
    /// The range is the whole file, or one of its positions is outside of the file.
    pub fn byte_range(&self, range: &DiagnosticRange) -> Result<ops::Range<usize>, RangeError> {
        match range {
            DiagnosticRange::WholeFile => Err(RangeError::WholeFile),
            DiagnosticRange::Lines(span) => self.span_range(*span),
            DiagnosticRange::Offsets(offsets) => self.offsets_range(*offsets),
        }
    }

    fn span_range(&self, span: LineSpan) -> Result<ops::Range<usize>, RangeError> {
        let start = self.position_offset(span.start(), span.unit(), false)?;
        let end = self.position_offset(span.end(), span.unit(), true)?;
        // In a span, the end is never before the start, so the end offset is not smaller than the start
        // offset.
        Ok(start..end.max(start))
    }

    /// Returns the byte offset of a position. A byte order mark does not count as a column. A column directly
    /// after the line break is accepted, because SARIF uses such a column for the end of the file.
    fn position_offset(
        &self,
        position: LinePosition,
        unit: ColumnUnit,
        is_end: bool,
    ) -> Result<usize, RangeError> {
        let (line, text) = (position.line(), self.bytes());
        let beyond = RangeError::LineOutOfRange { line, line_count: self.line_count() };
        let is_after = line == self.line_count().saturating_add(1);
        if line > self.line_count() && !is_after {
            return Err(beyond);
        }
        let content = if is_after {
            // A position on the line after the last one is valid only if the file ends with a line break or
            // is empty.
            if text.last().is_some_and(|last| *last != b'\n') && text.len() > self.bom_bytes {
                return Err(beyond);
            }
            text.len()..text.len()
        } else {
            self.lines.line_range(line)
        };
        let start = if line == 1 { content.start.max(self.bom_bytes) } else { content.start };
        let Some(column) = position.column() else {
            return Ok(if is_end { content.end.max(start) } else { start });
        };
        let wrong = RangeError::InvalidColumn { line, column };
        let units = (column - 1) as usize;
        let at = match unit {
            ColumnUnit::Byte => start.checked_add(units).ok_or(wrong)?,
            ColumnUnit::Utf16 | ColumnUnit::CodePoint => {
                let index = self.character_index().ok_or(RangeError::NotUtf8)?;
                let target = index.units_before(text, start, unit).checked_add(units as u64).ok_or(wrong)?;
                index.offset_at(text, target, unit).ok_or(wrong)?
            }
        };
        let full_end = if is_after { text.len() } else { self.line_break_end_offset(line) };
        let is_inside = at <= content.end || at == full_end;
        let is_character = !self.is_utf8() || is_boundary(text, at);
        if is_inside && is_character { Ok(at) } else { Err(wrong) }
    }

    /// Returns the offset after a line's line break.
    pub(crate) fn line_break_end_offset(&self, line: u32) -> usize {
        let text = self.bytes();
        let end = self.lines.line_range(line).end;
        match text.get(end..) {
            Some([b'\r', b'\n', ..]) => end + 2,
            Some([b'\n', ..]) => end + 1,
            Some(_) | None => end,
        }
    }

    fn offsets_range(&self, offsets: OffsetSpan) -> Result<ops::Range<usize>, RangeError> {
        let start = self.byte_offset(offsets.start(), offsets.unit())?;
        Ok(start..self.byte_offset(offsets.end(), offsets.unit())?)
    }

    /// Converts an offset in the tool's unit to an offset in bytes. A byte order mark counts in offsets in
    /// bytes. It does not count in offsets in characters, because these refer to the decoded text.
    fn byte_offset(&self, offset: u64, unit: ColumnUnit) -> Result<usize, RangeError> {
        let text = self.bytes();
        let wrong = RangeError::InvalidOffset(offset);
        match unit {
            ColumnUnit::Byte => {
                let at = usize::try_from(offset).ok().filter(|at| *at <= text.len());
                at.filter(|at| self.character_index().is_none() || is_boundary(text, *at)).ok_or(wrong)
            }
            ColumnUnit::Utf16 | ColumnUnit::CodePoint => {
                let index = self.character_index().ok_or(RangeError::NotUtf8)?;
                let marked = index.units_before(text, self.bom_bytes, unit);
                index.offset_at(text, offset.checked_add(marked).ok_or(wrong)?, unit).ok_or(wrong)
            }
        }
    }

    /// Returns true if the file is UTF-8.
    pub(crate) fn is_utf8(&self) -> bool {
        self.character_index().is_some()
    }

    fn character_index(&self) -> Option<&CharacterIndex> {
        self.character_index.get_or_init(|| CharacterIndex::from_text(self.bytes())).as_ref()
    }

    /// Returns true if the file has lines and every line ends with CRLF.
    fn has_crlf(&self) -> bool {
        *self.has_crlf.get_or_init(|| {
            let text = self.bytes();
            let mut ends = memchr::memchr_iter(b'\n', text).peekable();
            ends.peek().is_some() && ends.all(|at| at > 0 && text.get(at - 1) == Some(&b'\r'))
        })
    }
}

/// Returns true if a UTF-8 character begins or ends at this offset.
fn is_boundary(text: &[u8], offset: usize) -> bool {
    text.get(offset).is_none_or(|byte| !(0x80..0xC0).contains(byte)) && offset <= text.len()
}

/// The number of characters before some offsets of a text. To find other positions, characters are counted
/// only from the nearest of these offsets.
#[derive(Debug)]
struct CharacterIndex {
    /// Offsets about every [`INDEX_STRIDE_BYTES`] bytes, each with the numbers of UTF-16 code units and of
    /// code points before the offset. The first offset is 0.
    checkpoints: Vec<(usize, u64, u64)>,
}

impl CharacterIndex {
    /// Indexes a text. Returns `None` if it is not UTF-8.
    fn from_text(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let (mut offsets, mut utf16, mut points) = (vec![(0, 0, 0)], 0_u64, 0_u64);
        let mut next = INDEX_STRIDE_BYTES;
        for (at, letter) in text.char_indices() {
            if at >= next {
                offsets.push((at, utf16, points));
                next = at + INDEX_STRIDE_BYTES;
            }
            utf16 += letter.len_utf16() as u64;
            points += 1;
        }
        Some(Self { checkpoints: offsets })
    }

    fn indexed_units(checkpoint: &(usize, u64, u64), unit: ColumnUnit) -> u64 {
        match unit {
            ColumnUnit::Byte => checkpoint.0 as u64,
            ColumnUnit::Utf16 => checkpoint.1,
            ColumnUnit::CodePoint => checkpoint.2,
        }
    }

    fn char_units(character: char, unit: ColumnUnit) -> u64 {
        match unit {
            ColumnUnit::Byte => character.len_utf8() as u64,
            ColumnUnit::Utf16 => character.len_utf16() as u64,
            ColumnUnit::CodePoint => 1,
        }
    }

    /// Returns the number of units before an offset.
    fn units_before(&self, text: &[u8], offset: usize, unit: ColumnUnit) -> u64 {
        let index = self.checkpoints.partition_point(|known| known.0 <= offset).saturating_sub(1);
        let Some(known) = self.checkpoints.get(index) else { return 0 };
        let between = text.get(known.0..offset).and_then(|between| std::str::from_utf8(between).ok());
        let letters = between.unwrap_or_default().chars();
        Self::indexed_units(known, unit) + letters.map(|letter| Self::char_units(letter, unit)).sum::<u64>()
    }

    /// Returns the byte offset after this number of units. Returns `None` if the offset would be after the
    /// text's end or within a character.
    fn offset_at(&self, text: &[u8], units: u64, unit: ColumnUnit) -> Option<usize> {
        let index = self
            .checkpoints
            .partition_point(|known| Self::indexed_units(known, unit) <= units)
            .saturating_sub(1);
        let known = self.checkpoints.get(index)?;
        let (mut at, mut seen) = (known.0, Self::indexed_units(known, unit));
        // The position is before the next offset in the index, so only the text up to that offset is
        // examined.
        let end = self.checkpoints.get(index + 1).map_or(text.len(), |next| next.0);
        let mut letters = std::str::from_utf8(text.get(at..end)?).ok()?.chars();
        while seen < units {
            let letter = letters.next()?;
            at += letter.len_utf8();
            seen += Self::char_units(letter, unit);
        }
        (seen == units).then_some(at)
    }
}

/// Resolves the edits of a fix to byte edits of the file. The byte edits are sorted, and edits without an
/// effect are omitted. If all lines of the file end with CRLF, line breaks in the edits are also converted to
/// CRLF.
///
/// # Errors
///
/// The fix changes another file, or cannot be applied exactly.
pub fn resolve_fix(
    fix: &ToolFix,
    path: &RepoPath,
    file: &FileText<'_>,
) -> Result<Vec<ByteEdit>, ToolFixError> {
    if !(1..=MAX_EDITS).contains(&fix.edits.len()) {
        return Err(ToolFixError::InvalidEditCount(fix.edits.len()));
    }
    if let Some(other) = fix.edits.iter().find(|edit| edit.path != *path) {
        return Err(ToolFixError::OtherFile(other.path.clone()));
    }
    if !file.is_utf8() {
        return Err(RangeError::NotUtf8.into());
    }
    let has_crlf = file.has_crlf();
    let mut edits = Vec::with_capacity(fix.edits.len());
    for edit in &fix.edits {
        let range = file.byte_range(&edit.range)?;
        let new_text = match has_crlf {
            true => edit.new_text.replace("\r\n", "\n").replace('\n', "\r\n"),
            false => edit.new_text.clone(),
        };
        edits.push(ByteEdit { range, new_text });
    }
    edits.sort_by_key(|edit| (edit.range.start, edit.range.end));
    let overlap = |pair: &[ByteEdit]| match pair {
        [one, two] => two.range.start < one.range.end || one.range == two.range,
        _ => false,
    };
    if edits.windows(2).any(overlap) {
        return Err(ToolFixError::Overlap);
    }
    edits.retain(|edit| file.bytes().get(edit.range.clone()) != Some(edit.new_text.as_bytes()));
    if edits.is_empty() { Err(ToolFixError::NoChange) } else { Ok(edits) }
}
