//! One line of the input with its position, and errors that refer to a line.

/// If a diff is read in pieces, at least this number of bytes of each line is examined. Two quoted file
/// names are always shorter than this number, because file systems limit the length of names.
pub(crate) const MAX_STORED_LINE_BYTES: usize = 1 << 20;

/// The position at which a line begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct InputPosition {
    /// Offset in the input in bytes.
    pub(crate) byte_offset: usize,
    /// Number of the line, 1-based.
    pub(crate) line_number: usize,
}

impl InputPosition {
    /// Position of the first line.
    pub(crate) const START: Self = Self { byte_offset: 0, line_number: 1 };
}

/// A line with its line feed, or the beginning of a long line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InputLine<'a> {
    /// Bytes of the line; never empty. The line feed is included if the line is complete and ends with one.
    pub(crate) text: &'a [u8],
    /// Position of the line's first byte.
    pub(crate) position: InputPosition,
    /// Length of the line in the input. This length exceeds the length of `text` if `text` is only the
    /// beginning of the line.
    pub(crate) len: usize,
}

impl InputLine<'_> {
    /// Returns true if the text is only the beginning of the line.
    pub(crate) fn is_truncated(&self) -> bool {
        self.text.len() < self.len
    }

    /// Returns the byte offset of the next line.
    pub(crate) fn end_offset(&self) -> usize {
        self.position.byte_offset + self.len
    }

    /// Returns an error at this line.
    pub(crate) fn malformed_line(&self, message: impl Into<String>) -> MalformedLine {
        MalformedLine::new(self.position, message)
    }

    /// Checks that the line is complete, and returns an error otherwise.
    pub(crate) fn ensure_complete(&self) -> Result<(), MalformedLine> {
        if self.is_truncated() {
            Err(self.malformed_line("the line is too long for the header of a file"))
        } else {
            Ok(())
        }
    }
}

/// The description and the position of an error in the input.
#[derive(Clone, Debug)]
pub(crate) struct MalformedLine {
    /// Position of the invalid line.
    pub(crate) position: InputPosition,
    /// Description of the error.
    pub(crate) message: String,
}

impl MalformedLine {
    /// Returns an error at a position.
    pub(crate) fn new(position: InputPosition, message: impl Into<String>) -> Self {
        Self { position, message: message.into() }
    }
}

/// Returns the line without its line end. A carriage return counts as part of the line end. Git quotes a name
/// that ends with a carriage return, so no name is shortened.
pub(crate) fn trim_line_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}
