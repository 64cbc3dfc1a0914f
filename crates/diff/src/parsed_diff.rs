//! The data types for a parsed diff: files, hunks and lines. They borrow from the parsed bytes.

use serde::Serialize;

use crate::RepoPath;

/// Mode of a submodule (a "gitlink").
const MODE_SUBMODULE: u32 = 0o160_000;
/// Mode of a symbolic link.
const MODE_SYMLINK: u32 = 0o120_000;

/// The kind of change of a file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FileStatus {
    /// The file is new.
    Added,
    /// The file was deleted.
    Deleted,
    /// Lines of the file changed, but not its name. The mode may also have changed.
    Modified,
    /// The file has a new name. The content may also have changed.
    Renamed,
    /// The file was copied from another file, which still exists.
    Copied,
    /// Only the mode of the file changed.
    #[serde(rename = "mode")]
    ModeChanged,
    /// The content changed and is not text, and the name is the same. A binary file that was added, deleted,
    /// renamed or copied has the corresponding status; [`FileDiff::is_binary`] is true for every binary file.
    #[serde(rename = "binary")]
    BinaryModified,
}

/// The change of one file in a diff.
///
/// A change of a file's type, for example from a file to a symbolic link, has two entries with the same path:
/// first `Deleted`, then `Added`, as git prints them.
///
/// In the diff of a merge against all its parents (`diff --cc`, `-c`), the hunks contain only the lines of
/// the first parent and of the result. The hunks may lack some differences, so a comment can only be placed
/// on the file.
///
/// `truing diff parse` prints serialized entries as JSON. The type `H` represents a hunk, either with its
/// lines or only with its line numbers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct DiffEntry<H> {
    /// Path after the change; for a deleted file, the path before the change.
    pub path: RepoPath,
    /// Path before the change if the file was renamed or copied; otherwise `None`.
    pub old_path: Option<RepoPath>,
    /// Kind of the file's change.
    pub status: FileStatus,
    /// Number of added lines.
    #[serde(rename = "added")]
    pub added_lines: u32,
    /// Number of removed lines.
    #[serde(rename = "deleted")]
    pub deleted_lines: u32,
    /// Git's file mode before the change, such as `0o100644`, if the diff contains it.
    #[serde(skip)]
    pub old_mode: Option<u32>,
    /// Git's file mode after the change, if the diff contains it.
    #[serde(skip)]
    pub new_mode: Option<u32>,
    /// True if git treats the content as binary.
    #[serde(skip)]
    pub is_binary: bool,
    /// True in the diff of a merge against all its parents. The hunks of such a diff may lack some changed
    /// lines.
    #[serde(skip)]
    pub is_combined: bool,
    /// Hunks in order; empty if no text line changed. Hunks overlap only in the output of `git diff -W`: a
    /// hunk may begin with the last unchanged lines of the previous hunk.
    pub hunks: Vec<H>,
}

/// A file with the lines of its hunks.
pub type FileDiff<'a> = DiffEntry<Hunk<'a>>;

/// A file with only the line numbers of its hunks.
pub type FileDiffSpans = DiffEntry<HunkSpan>;

impl<H> DiffEntry<H> {
    /// Returns the entry with each hunk converted.
    pub(crate) fn map_hunks<T>(self, convert: impl FnMut(H) -> T) -> DiffEntry<T> {
        let Self {
            path,
            old_path,
            status,
            added_lines: added,
            deleted_lines: deleted,
            old_mode,
            new_mode,
            is_binary,
            is_combined,
            hunks,
        } = self;
        let hunks = hunks.into_iter().map(convert).collect();
        DiffEntry {
            path,
            old_path,
            status,
            added_lines: added,
            deleted_lines: deleted,
            old_mode,
            new_mode,
            is_binary,
            is_combined,
            hunks,
        }
    }

    /// Returns true if the file is a submodule before or after the change.
    pub fn is_submodule(&self) -> bool {
        self.has_mode(MODE_SUBMODULE)
    }

    /// Returns true if the file is a symbolic link before or after the change.
    pub fn is_symlink(&self) -> bool {
        self.has_mode(MODE_SYMLINK)
    }

    fn has_mode(&self, mode: u32) -> bool {
        self.old_mode == Some(mode) || self.new_mode == Some(mode)
    }
}

/// The line numbers of a [`Hunk`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct HunkSpan {
    /// First line on the old side.
    pub old_start: u32,
    /// Number of lines on the old side.
    pub old_lines: u32,
    /// First line on the new side.
    pub new_start: u32,
    /// Number of lines on the new side.
    pub new_lines: u32,
}

/// A group of changed lines, with the unchanged lines around them.
///
/// Starts are 1-based. If a side has no lines, its start is the number of the line after which the other
/// side's lines are inserted; 0 is the top of the file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Hunk<'a> {
    /// First line on the old side.
    pub old_start: u32,
    /// Number of removed and unchanged lines.
    pub old_lines: u32,
    /// First line on the new side.
    pub new_start: u32,
    /// Number of added and unchanged lines.
    pub new_lines: u32,
    /// Text after the second `@@`, usually the enclosing function; may be empty.
    #[serde(skip)]
    pub heading: &'a [u8],
    /// Number of mark characters at the beginning of each line: 1, or one for each parent in a merge diff.
    #[serde(skip)]
    pub(crate) marker_width: usize,
    /// Lines of the hunk as in the input, each with its marks and line end.
    #[serde(skip)]
    pub(crate) body: &'a [u8],
}

impl<'a> Hunk<'a> {
    /// Returns the lines in order, with their numbers.
    pub fn lines(&self) -> HunkLines<'a> {
        HunkLines {
            rest: self.body,
            marker_width: self.marker_width,
            old_line: self.old_start,
            new_line: self.new_start,
        }
    }
}

/// The presence of a line in the old and the new file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LineKind {
    /// The line is in both files.
    Context,
    /// The line is only in the new file.
    Added,
    /// The line is only in the old file.
    Deleted,
}

/// A line of a hunk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HunkLine<'a> {
    /// Presence of the line in the two files.
    pub kind: LineKind,
    /// Line number (1-based) in the old file; `None` if the line was added.
    pub old_line: Option<u32>,
    /// Line number (1-based) in the new file; `None` if the line was removed.
    pub new_line: Option<u32>,
    /// Bytes of the line without the line feed. As in git, only a line feed ends a line. A carriage return
    /// before the line feed is part of the text, so the lines show changes of line ends.
    pub text: &'a [u8],
    /// True if the line ends with a line feed in the file. Only a file's last line may lack a line feed, and
    /// the diff marks such a line explicitly. A missing line feed at the end of the diff itself has no
    /// meaning.
    pub has_line_feed: bool,
}

/// The lines of a [`Hunk`].
#[derive(Clone, Debug)]
pub struct HunkLines<'a> {
    rest: &'a [u8],
    marker_width: usize,
    old_line: u32,
    new_line: u32,
}

impl<'a> Iterator for HunkLines<'a> {
    type Item = HunkLine<'a>;

    fn next(&mut self) -> Option<HunkLine<'a>> {
        loop {
            let line;
            (line, self.rest) = split_first_line(self.rest)?;
            let text = line.strip_suffix(b"\n").unwrap_or(line);
            // An empty line may lack its marks, because mail programs remove blanks at the end of lines.
            let (marks, text) = text.split_at_checked(self.marker_width).unwrap_or_default();
            let kind = match marks.first() {
                Some(b'+') => LineKind::Added,
                Some(b'-') => LineKind::Deleted,
                // The text "\ No newline at end of file" is not a line of the file; it describes the line
                // before.
                Some(b'\\') => continue,
                // The line exists only in a parent other than the first.
                Some(_) if marks.contains(&b'-') => continue,
                Some(_) | None => LineKind::Context,
            };
            let (old, new) = (kind != LineKind::Added, kind != LineKind::Deleted);
            let ended = self.rest.first() != Some(&b'\\');
            let line = HunkLine {
                kind,
                old_line: old.then_some(self.old_line),
                new_line: new.then_some(self.new_line),
                text,
                has_line_feed: ended,
            };
            self.old_line = self.old_line.saturating_add(u32::from(old));
            self.new_line = self.new_line.saturating_add(u32::from(new));
            return Some(line);
        }
    }
}

/// Returns the first line with its line feed, and the remaining bytes; `None` if there are no bytes.
pub(crate) fn split_first_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    if bytes.is_empty() {
        return None;
    }
    let end = memchr::memchr(b'\n', bytes).map_or(bytes.len(), |at| at + 1);
    bytes.split_at_checked(end)
}

/// Returns the ranges of added lines on the new side, 1-based and inclusive. They are sorted and do not touch
/// each other.
pub fn added_ranges(file: &FileDiff<'_>) -> Vec<(u32, u32)> {
    let lines = file.hunks.iter().flat_map(Hunk::lines).filter(|line| line.kind == LineKind::Added);
    group_into_ranges(lines.filter_map(|line| line.new_line))
}

/// Returns the ranges of removed lines on the old side, 1-based and inclusive. They are sorted and do not
/// touch each other.
pub fn deleted_ranges(file: &FileDiff<'_>) -> Vec<(u32, u32)> {
    let lines = file.hunks.iter().flat_map(Hunk::lines).filter(|line| line.kind == LineKind::Deleted);
    group_into_ranges(lines.filter_map(|line| line.old_line))
}

fn group_into_ranges(lines: impl Iterator<Item = u32>) -> Vec<(u32, u32)> {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for line in lines {
        match ranges.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(line) => *last = line,
            Some(_) | None => ranges.push((line, line)),
        }
    }
    ranges
}
