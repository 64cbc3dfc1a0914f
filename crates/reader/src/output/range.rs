//! A place in a file as a tool gives it: lines, columns in the tool's unit, or offsets.
//!
//! A range knows nothing of the file. [`FileText`](crate::output::resolve::FileText) finds its bytes there.

/// The unit in which a tool counts columns and offsets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ColumnUnit {
    /// Bytes of UTF-8 (rdjson, Rust, Go).
    Byte,
    /// UTF-16 code units (JavaScript, Java, .NET, and SARIF unless it names another unit).
    Utf16,
    /// Unicode code points (Python, Clang).
    CodePoint,
}

/// The place of a diagnostic or of an edit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DiagnosticRange {
    /// The file as a whole, without a line.
    File,
    /// Lines, and columns in them if the tool gave those.
    Text(LineSpan),
    /// Offsets from the file's beginning.
    Offsets(OffsetSpan),
}

/// A position in a line. A position without column is the line's beginning where a span starts, and its end (before the
/// line break) where a span ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LinePosition {
    line: u32,
    column: Option<u32>,
}

/// From one position up to another one, which is not before it: the start is in it, the end is not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LineSpan {
    start: LinePosition,
    end: LinePosition,
    unit: ColumnUnit,
}

/// From one offset up to another one, which is not before it: zero-based, the start is in it, the end is not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OffsetSpan {
    start: u64,
    end: u64,
    unit: ColumnUnit,
}

impl LinePosition {
    /// A line and a column, both from 1. None for the line 0. A column 0 is no column: many tools print it where they know
    /// the line alone.
    pub fn new(line: u32, column: Option<u32>) -> Option<Self> {
        (line > 0).then_some(Self { line, column: column.filter(|column| *column > 0) })
    }

    /// The line, from 1.
    pub fn line(self) -> u32 {
        self.line
    }

    /// The column, from 1.
    pub fn column(self) -> Option<u32> {
        self.column
    }
}

impl LineSpan {
    /// None if the end is before the start. An end without column is the end of its line.
    pub fn new(start: LinePosition, end: LinePosition, unit: ColumnUnit) -> Option<Self> {
        let key = |position: LinePosition, none: u32| (position.line, position.column.unwrap_or(none));
        (key(start, 1) <= key(end, u32::MAX)).then_some(Self { start, end, unit })
    }

    /// The first position in it.
    pub fn start(self) -> LinePosition {
        self.start
    }

    /// The first position behind it.
    pub fn end(self) -> LinePosition {
        self.end
    }

    /// The unit of its columns.
    pub fn unit(self) -> ColumnUnit {
        self.unit
    }
}

impl OffsetSpan {
    /// None if the end is before the start.
    pub fn new(start: u64, end: u64, unit: ColumnUnit) -> Option<Self> {
        (start <= end).then_some(Self { start, end, unit })
    }

    /// The first offset in it.
    pub fn start(self) -> u64 {
        self.start
    }

    /// The first offset behind it.
    pub fn end(self) -> u64 {
        self.end
    }

    /// The unit of its offsets.
    pub fn unit(self) -> ColumnUnit {
        self.unit
    }
}

impl DiagnosticRange {
    /// Whole lines, both from 1 and both in it. It takes whatever a tool prints: the file for the line 0, and the first
    /// line alone where the last one is before it.
    pub fn lines(first: u32, last: u32) -> Self {
        let start = LinePosition { line: first, column: None };
        let end = LinePosition { line: last.max(first), column: None };
        // Lines have no columns, so the unit does not matter.
        if first == 0 { Self::File } else { Self::Text(LineSpan { start, end, unit: ColumnUnit::Byte }) }
    }

    /// One place of a line, both from 1, for a diagnostic: the file for the line 0, and the whole line for the column 0.
    pub fn at(line: u32, column: u32, unit: ColumnUnit) -> Self {
        if column == 0 {
            Self::lines(line, line)
        } else {
            Self::between((line, column), (line, column), unit)
        }
    }

    /// From a line and a column up to another column, which is not in it, for a diagnostic. It takes whatever a tool
    /// prints: the file for the line 0, and the start alone where the end is before it. An edit is read by
    /// [`DiagnosticRange::exact`].
    pub fn between(start: (u32, u32), end: (u32, u32), unit: ColumnUnit) -> Self {
        if start.1 == 0 && end.1 == 0 {
            return Self::lines(start.0, end.0);
        }
        let position = |(line, column)| LinePosition::new(line, Some(column));
        let Some(start) = position(start) else { return Self::File };
        let end = position(end).unwrap_or(start);
        Self::Text(LineSpan::new(start, end, unit).unwrap_or(LineSpan { start, end: start, unit }))
    }

    /// From a line and a column up to another column, which is not in it, for an edit. None if a line or a column is 0,
    /// or if the end is before the start: a program does not guess where text goes.
    pub fn exact(start: (u32, u32), end: (u32, u32), unit: ColumnUnit) -> Option<Self> {
        if start.1 == 0 || end.1 == 0 {
            return None;
        }
        let position = |(line, column)| LinePosition::new(line, Some(column));
        LineSpan::new(position(start)?, position(end)?, unit).map(Self::Text)
    }

    /// From an offset up to another one, both zero-based. None if the end is before the start.
    pub fn offsets(start: u64, end: u64, unit: ColumnUnit) -> Option<Self> {
        OffsetSpan::new(start, end, unit).map(Self::Offsets)
    }

    /// The column that it starts at, in the tool's unit, or the offset; none if it is of whole lines.
    pub fn first_column(&self) -> Option<u64> {
        match self {
            Self::File => None,
            Self::Text(span) => span.start.column.map(u64::from),
            Self::Offsets(offsets) => Some(offsets.start),
        }
    }

    /// The line that it starts on, from 1, if that is known without the file.
    pub fn first_line(&self) -> Option<u32> {
        match self {
            Self::Text(span) => Some(span.start.line),
            Self::File | Self::Offsets(_) => None,
        }
    }
}
