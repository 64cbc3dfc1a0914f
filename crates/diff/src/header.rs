//! What stands before the hunks of a file: names, modes, renames, and binary content instead of hunks.

use crate::hunks::Malformed;
use crate::model::first_line;
use crate::name::{self, Name};

/// A name in quotes that do not fit.
pub(crate) const BAD_QUOTES: &str = "the name of the file is not quoted as git quotes names";

/// The two names of a rename or copy, without prefixes.
#[derive(Default, Debug)]
pub(crate) struct Moved<'a> {
    /// The old one.
    pub(crate) from: Option<Name<'a>>,
    /// The new one.
    pub(crate) to: Option<Name<'a>>,
}

/// What the header of a file says.
#[derive(Default, Debug)]
pub(crate) struct Header<'a> {
    /// The name of the `---` line, with its prefix; none if it is `/dev/null`.
    pub(crate) old: Option<Name<'a>>,
    /// The name of the `+++` line, likewise.
    pub(crate) new: Option<Name<'a>>,
    /// `rename from`, `rename to`.
    pub(crate) renamed: Option<Moved<'a>>,
    /// `copy from`, `copy to`.
    pub(crate) copied: Option<Moved<'a>>,
    /// `new file mode`.
    pub(crate) is_new: bool,
    /// `deleted file mode`.
    pub(crate) is_deleted: bool,
    /// `old mode`, `new mode`.
    pub(crate) mode_changed: bool,
    /// There is binary content, or a line that says so.
    pub(crate) is_binary: bool,
    /// It is of a merge, shown against all its parents.
    pub(crate) is_combined: bool,
    /// The mode before the change.
    pub(crate) old_mode: Option<u32>,
    /// The mode after it.
    pub(crate) new_mode: Option<u32>,
    /// Are there `---` and `+++` lines?
    pub(crate) has_names: bool,
    /// How many lines it has.
    pub(crate) lines: usize,
    /// Where it ends.
    pub(crate) end: usize,
}

impl Header<'_> {
    /// Is the old name `/dev/null`?
    pub(crate) fn is_added(&self) -> bool {
        self.has_names && self.old.is_none()
    }

    /// Is the new name `/dev/null`?
    pub(crate) fn is_removed(&self) -> bool {
        self.has_names && self.new.is_none()
    }
}

/// Reads the lines from `at` on that belong to the header of one file; they begin behind the `diff --git` line.
pub(crate) fn read(input: &[u8], at: usize) -> Result<Header<'_>, Malformed> {
    let mut header = Header { end: at, ..Header::default() };
    while let Some((line, rest)) = input.get(header.end..).and_then(first_line) {
        let text = trimmed(line);
        let known = match text.first() {
            Some(b'-') if text.starts_with(b"--- ") => {
                names(&mut header, line, rest)?;
                break;
            }
            Some(b'B') if text.starts_with(b"Binary files ") => {
                header.is_binary = true;
                header.end += line.len();
                header.lines += 1;
                break;
            }
            Some(b'G') if text == b"GIT binary patch" => {
                header.is_binary = true;
                header.end = binary_patch(input, header.end + line.len())?;
                header.lines += 1;
                break;
            }
            Some(_) => extended(&mut header, text)?,
            None => false,
        };
        if !known {
            break;
        }
        header.end += line.len();
        header.lines += 1;
    }
    Ok(header)
}

/// Reads the `---` line `line` and the `+++` line after it.
fn names<'a>(header: &mut Header<'a>, line: &'a [u8], rest: &'a [u8]) -> Result<(), Malformed> {
    header.has_names = true;
    header.old = side(line, b"--- ", header.end)?;
    header.end += line.len();
    let new = first_line(rest).map(|(line, _)| line).unwrap_or_default();
    if !new.starts_with(b"+++ ") {
        return Err(Malformed::new(header.end, "a `+++` line should follow the `---` line"));
    }
    header.new = side(new, b"+++ ", header.end)?;
    header.end += new.len();
    header.lines += 2;
    Ok(())
}

/// The name in a `---` or `+++` line at `at`; none if it is `/dev/null`.
fn side<'a>(line: &'a [u8], mark: &[u8], at: usize) -> Result<Option<Name<'a>>, Malformed> {
    let rest = trimmed(line).strip_prefix(mark).unwrap_or_default();
    let name = name::header_name(rest).ok_or_else(|| Malformed::new(at, BAD_QUOTES))?;
    Ok(Some(name).filter(|name| name.as_ref() != b"/dev/null"))
}

/// Takes in one of git's extended header lines; false if it is none.
fn extended<'a>(header: &mut Header<'a>, text: &'a [u8]) -> Result<bool, Malformed> {
    let at = header.end;
    let name = |rest| name::whole_name(rest).ok_or_else(|| Malformed::new(at, BAD_QUOTES));
    let mode = |rest| octal(rest).ok_or_else(|| Malformed::new(at, "the mode is not an octal number"));
    if let Some(rest) = text.strip_prefix(b"index ") {
        // `index OLD..NEW MODE` if the mode stayed as it was.
        let same = rest.split(|byte| *byte == b' ').nth(1).and_then(octal);
        header.old_mode = header.old_mode.or(same);
        header.new_mode = header.new_mode.or(same);
    } else if let Some(rest) = text.strip_prefix(b"old mode ") {
        header.mode_changed = true;
        header.old_mode = Some(mode(rest)?);
    } else if let Some(rest) = text.strip_prefix(b"new mode ") {
        header.mode_changed = true;
        header.new_mode = Some(mode(rest)?);
    } else if let Some(rest) = text.strip_prefix(b"new file mode ") {
        header.is_new = true;
        header.new_mode = Some(mode(rest)?);
    } else if let Some(rest) = text.strip_prefix(b"deleted file mode ") {
        header.is_deleted = true;
        header.old_mode = Some(mode(rest)?);
    } else if let Some(rest) = text.strip_prefix(b"rename from ") {
        header.renamed.get_or_insert_default().from = Some(name(rest)?);
    } else if let Some(rest) = text.strip_prefix(b"rename to ") {
        header.renamed.get_or_insert_default().to = Some(name(rest)?);
    } else if let Some(rest) = text.strip_prefix(b"copy from ") {
        header.copied.get_or_insert_default().from = Some(name(rest)?);
    } else if let Some(rest) = text.strip_prefix(b"copy to ") {
        header.copied.get_or_insert_default().to = Some(name(rest)?);
    } else {
        return Ok(text.starts_with(b"similarity index ") || text.starts_with(b"dissimilarity index "));
    }
    Ok(true)
}

/// Reads the header of a merge's file behind its `diff --cc` line.
pub(crate) fn read_combined(input: &[u8], at: usize) -> Header<'_> {
    let mut header = Header { end: at, is_combined: true, ..Header::default() };
    while let Some((line, _)) = input.get(header.end..).and_then(first_line) {
        let text = trimmed(line);
        let known = if let Some(rest) = text.strip_prefix(b"mode ") {
            // `mode OLD,OLD..NEW`
            let new = rest.windows(2).position(|two| two == b"..").and_then(|dots| rest.get(dots + 2..));
            header.new_mode = new.and_then(octal);
            true
        } else if let Some(rest) = text.strip_prefix(b"new file mode ") {
            (header.is_new, header.new_mode) = (true, octal(rest));
            true
        } else if text.starts_with(b"deleted file mode ") {
            header.is_deleted = true;
            true
        } else if text.starts_with(b"Binary files ") {
            header.is_binary = true;
            true
        } else {
            COMBINED.iter().any(|mark| text.starts_with(mark))
        };
        if !known {
            break;
        }
        header.end += line.len();
    }
    header
}

/// How the further header lines of a merge begin.
const COMBINED: [&[u8]; 9] = [
    b"index ",
    b"--- ",
    b"+++ ",
    b"similarity index ",
    b"dissimilarity index ",
    b"rename from ",
    b"rename to ",
    b"copy from ",
    b"copy to ",
];

/// Where the binary content that begins at `at`, behind `GIT binary patch`, ends: one block with the new content
/// (or how to make it), and mostly one with the old. Each ends with an empty line.
fn binary_patch(input: &[u8], at: usize) -> Result<usize, Malformed> {
    let mut end = at;
    for block in 0..2 {
        let Some((head, _)) = input.get(end..).and_then(first_line).filter(|(line, _)| is_block(line)) else {
            return if block == 0 {
                Err(Malformed::new(end, "a `literal` or `delta` line should follow `GIT binary patch`"))
            } else {
                Ok(end)
            };
        };
        end += head.len();
        loop {
            let Some((line, _)) = input.get(end..).and_then(first_line) else {
                return Err(Malformed::new(end, "the input ends inside a binary patch"));
            };
            let text = trimmed(line);
            if !text.is_empty() && !is_base85(text) {
                return Err(Malformed::new(end, "the line is not binary content as git writes it"));
            }
            end += line.len();
            if text.is_empty() {
                break;
            }
        }
    }
    Ok(end)
}

/// Does the line begin a block of binary content: `literal 12` or `delta 12`?
fn is_block(line: &[u8]) -> bool {
    let text = trimmed(line);
    let size = text.strip_prefix(b"literal ").or_else(|| text.strip_prefix(b"delta "));
    size.is_some_and(|size| !size.is_empty() && size.iter().all(u8::is_ascii_digit))
}

/// Is it a line of binary content: a letter for 1 to 52 bytes, and five characters for every four of them?
fn is_base85(text: &[u8]) -> bool {
    let Some((length, data)) = text.split_first() else { return false };
    let bytes = match length {
        b'A'..=b'Z' => usize::from(length - b'A') + 1,
        b'a'..=b'z' => usize::from(length - b'a') + 27,
        _ => return false,
    };
    data.len() == bytes.div_ceil(4) * 5
}

/// A mode.
fn octal(text: &[u8]) -> Option<u32> {
    u32::from_str_radix(std::str::from_utf8(text).ok()?, 8).ok()
}

/// The line without its end. A name with a carriage return would be in quotes.
pub(crate) fn trimmed(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}
