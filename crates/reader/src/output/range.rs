//! A range in a file as a tool reports it: lines with columns, or offsets, in the tool's unit.
//!
//! A range does not depend on the file's content. [`FileText`](crate::output::resolve::FileText) determines
//! the bytes to which a range refers.

/// Unit in which a tool counts columns and offsets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ColumnUnit {
    /// Bytes of UTF-8 (rdjson, Rust, Go).
    Byte,
    /// UTF-16 code units (JavaScript, Java, .NET, and SARIF unless it names another unit).
    Utf16,
    /// Unicode code points (Python, Clang).
    CodePoint,
}

/// Range of a diagnostic or of an edit in a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DiagnosticRange {
    WholeFile,
    /// Lines, with columns if the tool reported columns.
    Lines(LineSpan),
    /// Offsets from the file's beginning.
    Offsets(OffsetSpan),
}

/// A position in a line. Without a column, the position at the start of a span is the beginning of the line.
/// At the end of a span, it is the end of the line, before the line break.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LinePosition {
    line: u32,
    column: Option<u32>,
}

/// Span between two positions; the start is inclusive, the end is exclusive and not before the start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LineSpan {
    start: LinePosition,
    end: LinePosition,
    unit: ColumnUnit,
}

/// Span between two zero-based offsets; the start is inclusive, the end is exclusive and not before the
/// start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OffsetSpan {
    start: u64,
    end: u64,
    unit: ColumnUnit,
}

impl LinePosition {
    /// Creates a position from a line and a column, both from 1. Returns `None` for the line 0. Column 0
    /// means that the column is unknown, because many tools print 0 in this case.
    pub fn new(line: u32, column: Option<u32>) -> Option<Self> {
        (line > 0).then_some(Self { line, column: column.filter(|column| *column > 0) })
    }

    /// Returns the line, from 1.
    pub fn line(self) -> u32 {
        self.line
    }

    /// Returns the column, from 1.
    pub fn column(self) -> Option<u32> {
        self.column
    }
}

impl LineSpan {
    /// Creates a span. Returns `None` if the end is before the start. An end without a column is the end of
    /// the line.
    pub fn new(start: LinePosition, end: LinePosition, unit: ColumnUnit) -> Option<Self> {
        let key = |position: LinePosition, default_column: u32| {
            (position.line, position.column.unwrap_or(default_column))
        };
        (key(start, 1) <= key(end, u32::MAX)).then_some(Self { start, end, unit })
    }

    /// Returns the first position in the span.
    pub fn start(self) -> LinePosition {
        self.start
    }

    /// Returns the first position after the span.
    pub fn end(self) -> LinePosition {
        self.end
    }

    pub fn unit(self) -> ColumnUnit {
        self.unit
    }
}

impl OffsetSpan {
    /// Creates a span. Returns `None` if the end is before the start.
    pub fn new(start: u64, end: u64, unit: ColumnUnit) -> Option<Self> {
        (start <= end).then_some(Self { start, end, unit })
    }

    /// Returns the first offset in the span.
    pub fn start(self) -> u64 {
        self.start
    }

    /// Returns the first offset after the span.
    pub fn end(self) -> u64 {
        self.end
    }

    pub fn unit(self) -> ColumnUnit {
        self.unit
    }
}

impl DiagnosticRange {
    /// Creates a range of whole lines from `first_line` to `last_line`, both inclusive and counted from 1.
    /// Numbers are never rejected: line 0 means the whole file, and a last line before the first line is
    /// ignored.
    pub fn from_lines(first_line: u32, last_line: u32) -> Self {
        let start = LinePosition { line: first_line, column: None };
        let end = LinePosition { line: last_line.max(first_line), column: None };
        // Whole lines have no columns, so any unit is correct.
        if first_line == 0 {
            Self::WholeFile
        } else {
            Self::Lines(LineSpan { start, end, unit: ColumnUnit::Byte })
        }
    }

    /// Creates the range of a diagnostic at one position of a line. Lines and columns count from 1. Line 0
    /// means the whole file, and column 0 means the whole line.
    pub fn from_position(line: u32, column: u32, unit: ColumnUnit) -> Self {
        if column == 0 {
            Self::from_lines(line, line)
        } else {
            Self::from_positions((line, column), (line, column), unit)
        }
    }

    /// Creates the range of a diagnostic from a start and an exclusive end. Start and end each consist of a
    /// line and a column. Numbers are never rejected: line 0 means the whole file, and an end before the
    /// start is ignored. For the range of an edit, use [`DiagnosticRange::from_exact_positions`].
    pub fn from_positions(start: (u32, u32), end: (u32, u32), unit: ColumnUnit) -> Self {
        if start.1 == 0 && end.1 == 0 {
            return Self::from_lines(start.0, end.0);
        }
        let position = |(line, column)| LinePosition::new(line, Some(column));
        let Some(start) = position(start) else { return Self::WholeFile };
        let end = position(end).unwrap_or(start);
        Self::Lines(LineSpan::new(start, end, unit).unwrap_or(LineSpan { start, end: start, unit }))
    }

    /// Creates the range of an edit from a start and an exclusive end. Start and end each consist of a line
    /// and a column. Returns `None` if a line or a column is 0, or if the end is before the start. Unlike a
    /// diagnostic, an edit needs an exact range.
    pub fn from_exact_positions(start: (u32, u32), end: (u32, u32), unit: ColumnUnit) -> Option<Self> {
        if start.1 == 0 || end.1 == 0 {
            return None;
        }
        let position = |(line, column)| LinePosition::new(line, Some(column));
        LineSpan::new(position(start)?, position(end)?, unit).map(Self::Lines)
    }

    /// Creates a range between two zero-based offsets. Returns `None` if the end is before the start.
    pub fn from_offsets(start: u64, end: u64, unit: ColumnUnit) -> Option<Self> {
        OffsetSpan::new(start, end, unit).map(Self::Offsets)
    }

    /// Returns the line on which the range starts, from 1. Returns `None` for offsets, whose line depends on
    /// the file's content, and for the whole file.
    pub fn first_line(&self) -> Option<u32> {
        match self {
            Self::Lines(span) => Some(span.start.line),
            Self::WholeFile | Self::Offsets(_) => None,
        }
    }
}
