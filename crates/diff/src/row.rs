//! One line of the input on its way through the reader, and what may be wrong with it.

/// The least number of bytes of a line that are looked at wherever a diff is read in pieces. Longer than any two names
/// that a file system takes, quoted.
pub(crate) const MAX_LOOKED_AT: usize = 1 << 20;

/// Where a line begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct InputPosition {
    /// Offset in the input.
    pub(crate) byte: usize,
    /// The number of the line, 1-based.
    pub(crate) line: usize,
}

impl InputPosition {
    /// The first line's.
    pub(crate) const START: Self = Self { byte: 0, line: 1 };
}

/// A line with its line feed, or the beginning of a long one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InputLine<'a> {
    /// Its bytes, with the line feed if it is whole and has one. Never empty.
    pub(crate) text: &'a [u8],
    /// Where it begins.
    pub(crate) at: InputPosition,
    /// Its length in the input, which is more than that of `text` if that is its beginning only.
    pub(crate) len: usize,
}

impl InputLine<'_> {
    /// Is only its beginning here?
    pub(crate) fn is_cut(&self) -> bool {
        self.text.len() < self.len
    }

    /// Offset of what follows it.
    pub(crate) fn end(&self) -> usize {
        self.at.byte + self.len
    }

    /// Something is wrong with this line.
    pub(crate) fn malformed(&self, what: impl Into<String>) -> MalformedLine {
        MalformedLine::new(self.at, what)
    }

    /// The line, if it is here as a whole; an error if not.
    pub(crate) fn whole(&self) -> Result<(), MalformedLine> {
        if self.is_cut() {
            Err(self.malformed("the line is too long for the header of a file"))
        } else {
            Ok(())
        }
    }
}

/// What is wrong at which line of the input.
#[derive(Clone, Debug)]
pub(crate) struct MalformedLine {
    /// Where.
    pub(crate) at: InputPosition,
    /// What is wrong.
    pub(crate) what: String,
}

impl MalformedLine {
    /// Something wrong at a line.
    pub(crate) fn new(at: InputPosition, what: impl Into<String>) -> Self {
        Self { at, what: what.into() }
    }
}

/// The line without its end. A name with a carriage return would be in quotes.
pub(crate) fn trimmed(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}
