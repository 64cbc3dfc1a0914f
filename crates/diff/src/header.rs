//! Reads a file's header, which precedes the hunks. The header contains names, modes, renames and binary
//! content.

use crate::file_name;
use crate::input_line::{InputLine, MalformedLine, trim_line_end};

/// Message for a name with invalid quoting.
pub(crate) const INVALID_QUOTING_MESSAGE: &str = "the name of the file is not quoted as git quotes names";

/// The two names of a rename or copy, without prefixes.
#[derive(Clone, Default, Debug)]
pub(crate) struct MovedPaths {
    /// Name of the source file.
    pub(crate) from: Option<Vec<u8>>,
    /// Name of the destination file.
    pub(crate) to: Option<Vec<u8>>,
}

/// The data of a file's header that has been read so far.
#[derive(Clone, Default, Debug)]
pub(crate) struct FileHeader {
    /// Name in the `---` line, with its prefix; `None` for `/dev/null`.
    pub(crate) old_name: Option<Vec<u8>>,
    /// Name in the `+++` line, with its prefix; `None` for `/dev/null`.
    pub(crate) new_name: Option<Vec<u8>>,
    /// Names of the `rename from` and `rename to` lines.
    pub(crate) rename_paths: Option<MovedPaths>,
    /// Names of the `copy from` and `copy to` lines.
    pub(crate) copy_paths: Option<MovedPaths>,
    /// True after a `new file mode` line.
    pub(crate) is_new: bool,
    /// True after a `deleted file mode` line.
    pub(crate) is_deleted: bool,
    /// True after an `old mode` or `new mode` line.
    pub(crate) mode_changed: bool,
    /// True if the header contains binary content, or a `Binary files` line instead of it.
    pub(crate) is_binary: bool,
    /// True for a file of a merge diff against all parents.
    pub(crate) is_combined: bool,
    /// Mode of the file before the change.
    pub(crate) old_mode: Option<u32>,
    /// Mode of the file after the change.
    pub(crate) new_mode: Option<u32>,
    /// True if there are `---` and `+++` lines.
    pub(crate) has_name_lines: bool,
    /// True if the header has at least one line.
    pub(crate) has_lines: bool,
    /// Difference between the old and the new content according to the `index` line.
    content: ContentDifference,
    /// True after a `similarity index` line, which precedes the names of a rename or copy.
    has_similarity: bool,
    /// True after an `old mode` line without its `new mode` line.
    lacks_new_mode: bool,
    stage: HeaderStage,
}

/// Difference between the old and the new content of a file according to the `index` line.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
enum ContentDifference {
    /// There is no `index` line.
    #[default]
    Unknown,
    /// There are no changed lines: the contents are equal, or an empty file was added or deleted.
    NoLines,
    /// The two contents differ.
    Differs,
}

/// The lines of the header that may follow next.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
enum HeaderStage {
    /// Any line of a header.
    #[default]
    AnyLine,
    /// Only the `+++` line may follow.
    NewName,
    /// Only the first line of a block of binary content may follow. The first block contains the new content,
    /// or a delta that produces the new content. The second block, which may be missing, contains the same
    /// data for the old content.
    BinaryBlockStart { is_first: bool },
    /// A line of binary content may follow, or the empty line that ends the block.
    BinaryContent { is_first: bool },
    /// The header is complete.
    End,
}

impl FileHeader {
    /// Returns an empty header for a file in a merge diff, after its `diff --cc` line was read.
    pub(crate) fn for_merge() -> Self {
        Self { is_combined: true, ..Self::default() }
    }

    /// Reads the header of a plain unified diff, which consists of the `---` line and the `+++` line.
    pub(crate) fn from_name_lines(old: &InputLine<'_>, new: &InputLine<'_>) -> Result<Self, MalformedLine> {
        let mut header =
            Self { has_name_lines: true, has_lines: true, stage: HeaderStage::End, ..Self::default() };
        header.old_name = parse_side_name(old, b"--- ")?;
        header.new_name = parse_side_name(new, b"+++ ")?;
        Ok(header)
    }

    /// Returns true if the old name is `/dev/null`.
    pub(crate) fn has_null_old_name(&self) -> bool {
        self.has_name_lines && self.old_name.is_none()
    }

    /// Returns true if the new name is `/dev/null`.
    pub(crate) fn has_null_new_name(&self) -> bool {
        self.has_name_lines && self.new_name.is_none()
    }

    /// Reads the next line. Returns false if the line does not belong to the header, which means that the
    /// header has ended.
    pub(crate) fn read_line(&mut self, line: &InputLine<'_>) -> Result<bool, MalformedLine> {
        let text = trim_line_end(line.text);
        let taken = match self.stage {
            HeaderStage::AnyLine if self.is_combined => self.read_merge_line(text),
            HeaderStage::AnyLine => self.read_header_line(line, text)?,
            HeaderStage::NewName if line.text.starts_with(b"+++ ") => {
                self.new_name = parse_side_name(line, b"+++ ")?;
                self.stage = HeaderStage::End;
                true
            }
            HeaderStage::BinaryBlockStart { is_first } if is_binary_block_start(text) => {
                self.stage = HeaderStage::BinaryContent { is_first };
                true
            }
            HeaderStage::BinaryContent { is_first: true } if text.is_empty() => {
                self.stage = HeaderStage::BinaryBlockStart { is_first: false };
                true
            }
            HeaderStage::BinaryContent { is_first: false } if text.is_empty() => {
                self.stage = HeaderStage::End;
                true
            }
            HeaderStage::BinaryContent { .. } if is_base85_line(text) => true,
            HeaderStage::BinaryContent { .. } => {
                return Err(line.malformed_line("the line is not valid content of a git binary patch"));
            }
            HeaderStage::NewName | HeaderStage::BinaryBlockStart { .. } | HeaderStage::End => false,
        };
        if taken {
            line.ensure_complete()?;
            self.has_lines = true;
        } else if let Some(missing) = self.missing_line_message() {
            return Err(line.malformed_line(missing));
        }
        Ok(taken)
    }

    /// Returns an error message that names the expected line if the header is incomplete; otherwise `None`.
    pub(crate) fn missing_line_message(&self) -> Option<&'static str> {
        match self.stage {
            HeaderStage::NewName => Some("a `+++` line should follow the `---` line"),
            HeaderStage::BinaryBlockStart { is_first: true } => {
                Some("a `literal` or `delta` line should follow `GIT binary patch`")
            }
            HeaderStage::BinaryContent { .. } => Some("the input ends inside a binary patch"),
            HeaderStage::AnyLine if self.lacks_new_mode => {
                Some("a `new mode` line should follow the `old mode` line")
            }
            HeaderStage::AnyLine | HeaderStage::BinaryBlockStart { is_first: false } | HeaderStage::End => {
                None
            }
        }
    }

    /// Returns true if the input may end after this header. Normally, hunks must follow if the contents
    /// differ. There are two exceptions: `git diff -w` may show no hunks for a file with a new name or mode,
    /// and `git diff -D` shows none for a deleted file.
    pub(crate) fn is_complete(&self) -> bool {
        if self.is_binary || self.has_name_lines || self.stage == HeaderStage::End {
            return true;
        }
        if self.is_combined {
            return !self.has_lines;
        }
        let is_moved = self.rename_paths.is_some() || self.copy_paths.is_some();
        match self.content {
            ContentDifference::Unknown => is_moved || !self.has_similarity,
            ContentDifference::NoLines => true,
            ContentDifference::Differs => is_moved || self.mode_changed || self.is_deleted,
        }
    }

    /// Reads a header line of a diff that is not a merge diff. Returns false if the line is not a header
    /// line.
    fn read_header_line(&mut self, line: &InputLine<'_>, text: &[u8]) -> Result<bool, MalformedLine> {
        if text.starts_with(b"--- ") {
            self.has_name_lines = true;
            self.old_name = parse_side_name(line, b"--- ")?;
            self.stage = HeaderStage::NewName;
        } else if text.starts_with(b"Binary files ") {
            self.is_binary = true;
            self.stage = HeaderStage::End;
        } else if text == b"GIT binary patch" {
            self.is_binary = true;
            self.stage = HeaderStage::BinaryBlockStart { is_first: true };
        } else {
            return self.read_extended_line(line, text);
        }
        Ok(true)
    }

    /// Reads one of git's extended header lines; returns false if the line is not such a line.
    fn read_extended_line(&mut self, line: &InputLine<'_>, text: &[u8]) -> Result<bool, MalformedLine> {
        let name = |rest| match file_name::parse_rename_line_name(rest) {
            Some(name) => Ok(name.into_owned()),
            None => Err(line.malformed_line(INVALID_QUOTING_MESSAGE)),
        };
        let mode =
            |rest| parse_octal(rest).ok_or_else(|| line.malformed_line("the mode is not an octal number"));
        if let Some(rest) = text.strip_prefix(b"index ") {
            // The line is `index OLD..NEW MODE` if the mode is the same before and after the change, and
            // otherwise `index OLD..NEW`.
            self.content = compare_blob_ids(rest);
            let same = rest.split(|byte| *byte == b' ').nth(1).and_then(parse_octal);
            self.old_mode = self.old_mode.or(same);
            self.new_mode = self.new_mode.or(same);
        } else if let Some(rest) = text.strip_prefix(b"old mode ") {
            (self.mode_changed, self.lacks_new_mode) = (true, true);
            self.old_mode = Some(mode(rest)?);
        } else if let Some(rest) = text.strip_prefix(b"new mode ") {
            (self.mode_changed, self.lacks_new_mode) = (true, false);
            self.new_mode = Some(mode(rest)?);
        } else if let Some(rest) = text.strip_prefix(b"new file mode ") {
            self.is_new = true;
            self.new_mode = Some(mode(rest)?);
        } else if let Some(rest) = text.strip_prefix(b"deleted file mode ") {
            self.is_deleted = true;
            self.old_mode = Some(mode(rest)?);
        } else if let Some(rest) = text.strip_prefix(b"rename from ") {
            self.rename_paths.get_or_insert_default().from = Some(name(rest)?);
        } else if let Some(rest) = text.strip_prefix(b"rename to ") {
            self.rename_paths.get_or_insert_default().to = Some(name(rest)?);
        } else if let Some(rest) = text.strip_prefix(b"copy from ") {
            self.copy_paths.get_or_insert_default().from = Some(name(rest)?);
        } else if let Some(rest) = text.strip_prefix(b"copy to ") {
            self.copy_paths.get_or_insert_default().to = Some(name(rest)?);
        } else {
            let is_rewritten = text.starts_with(b"dissimilarity index ");
            let has_similarity = text.starts_with(b"similarity index ") || is_rewritten;
            self.has_similarity |= has_similarity;
            return Ok(has_similarity || text.starts_with(REMERGE_HEADER_PREFIX));
        }
        Ok(true)
    }

    /// Reads a header line of a merge diff; returns false if the line is not such a line.
    fn read_merge_line(&mut self, text: &[u8]) -> bool {
        if let Some(rest) = text.strip_prefix(b"mode ") {
            // The line is `mode OLD,OLD..NEW`, with one old mode for each parent.
            let new = rest.windows(2).position(|two| two == b"..").and_then(|dots| rest.get(dots + 2..));
            self.new_mode = new.and_then(parse_octal);
        } else if let Some(rest) = text.strip_prefix(b"new file mode ") {
            (self.is_new, self.new_mode) = (true, parse_octal(rest));
        } else if text.starts_with(b"deleted file mode ") {
            self.is_deleted = true;
        } else if text.starts_with(b"Binary files ") {
            self.is_binary = true;
        } else if text.starts_with(b"+++ ") {
            self.stage = HeaderStage::End;
        } else {
            return IGNORED_MERGE_HEADER_PREFIXES.iter().any(|mark| text.starts_with(mark));
        }
        true
    }
}

/// Prefixes of merge diff header lines whose content is ignored. With `--combined-all-paths`, there is a
/// `---` line for each parent.
const IGNORED_MERGE_HEADER_PREFIXES: [&[u8]; 8] = [
    b"index ",
    b"--- ",
    b"similarity index ",
    b"dissimilarity index ",
    b"rename from ",
    b"rename to ",
    b"copy from ",
    b"copy to ",
];

/// Prefix of the header line with which `git show --remerge-diff` describes a conflict.
const REMERGE_HEADER_PREFIX: &[u8] = b"remerge ";

/// Ids of the empty blob, for SHA-1 and for SHA-256.
const EMPTY_FILE_IDS: [&[u8]; 2] = [
    b"e69de29bb2d1d6434b8b29ae775ad8c2e48c5391",
    b"473a0f4c3be8a93681a267e3b1e9a7dcda1185436fe141f7749120a303721813",
];

/// Compares the ids in `OLD..NEW`; a mode may follow the ids. A text without `..` counts as a difference.
fn compare_blob_ids(ids_and_mode: &[u8]) -> ContentDifference {
    let ids = ids_and_mode.split(|byte| *byte == b' ').next().unwrap_or_default();
    let Some(dots) = ids.windows(2).position(|two| two == b"..") else { return ContentDifference::Differs };
    let (old, new) = (ids.get(..dots).unwrap_or_default(), ids.get(dots + 2..).unwrap_or_default());
    let is_nothing = |id: &[u8]| {
        !id.is_empty()
            && (id.iter().all(|byte| *byte == b'0')
                || EMPTY_FILE_IDS.iter().any(|empty| empty.starts_with(id)))
    };
    if old == new || is_nothing(old) && is_nothing(new) {
        ContentDifference::NoLines
    } else {
        ContentDifference::Differs
    }
}

/// Returns the name in a `---` or `+++` line; `None` for `/dev/null`.
fn parse_side_name(line: &InputLine<'_>, prefix: &[u8]) -> Result<Option<Vec<u8>>, MalformedLine> {
    let rest = trim_line_end(line.text).strip_prefix(prefix).unwrap_or_default();
    let name =
        file_name::parse_header_name(rest).ok_or_else(|| line.malformed_line(INVALID_QUOTING_MESSAGE))?;
    Ok(Some(name.into_owned()).filter(|name| name != b"/dev/null"))
}

/// Returns true if the line begins a block of binary content: `literal 12` or `delta 12`.
fn is_binary_block_start(text: &[u8]) -> bool {
    let size = text.strip_prefix(b"literal ").or_else(|| text.strip_prefix(b"delta "));
    size.is_some_and(|size| !size.is_empty() && size.iter().all(u8::is_ascii_digit))
}

/// Returns true for a line of binary content: a letter that encodes the number of bytes (1 to 52), then five
/// characters for every four bytes.
fn is_base85_line(text: &[u8]) -> bool {
    let Some((length, data)) = text.split_first() else { return false };
    let bytes = match length {
        b'A'..=b'Z' => usize::from(length - b'A') + 1,
        b'a'..=b'z' => usize::from(length - b'a') + 27,
        _ => return false,
    };
    data.len() == bytes.div_ceil(4) * 5
}

/// Parses an octal file mode.
fn parse_octal(text: &[u8]) -> Option<u32> {
    u32::from_str_radix(std::str::from_utf8(text).ok()?, 8).ok()
}
