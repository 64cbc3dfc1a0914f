//! The model of a diff: files, hunks and lines, borrowing from the bytes that were parsed.

use serde::Serialize;

use crate::RepoPath;

/// The mode of a submodule (a "gitlink").
const MODE_SUBMODULE: u32 = 0o160_000;
/// The mode of a symbolic link.
const MODE_SYMLINK: u32 = 0o120_000;

/// What happened to a file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FileStatus {
    /// It is new.
    Added,
    /// It is gone.
    Deleted,
    /// Its lines changed in place; perhaps its mode too.
    Modified,
    /// It has another name; perhaps its content changed too.
    Renamed,
    /// It was made from another file, which stayed.
    Copied,
    /// Its mode changed and nothing else.
    Mode,
    /// Its content changed in place and is not text. A binary file that was added, deleted, renamed or copied
    /// says so instead: see [`FileDiff::is_binary`].
    Binary,
}

/// What a diff says of one file.
///
/// A change of type (a file that became a symbolic link) is two of these with one path, first `Deleted`, then
/// `Added`, as git prints it.
///
/// A merge shown against all its parents (`diff --cc`, `-c`) is told as seen from the first one: what its hunks show
/// of that parent and of the result. It need not show all that differs between them, so a comment can be placed on the
/// file only.
///
/// Serialises to the JSON of `truing diff parse`. `H` is what is kept of a hunk.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct DiffEntry<H> {
    /// The name after the change; of a deleted file the name it had.
    pub path: RepoPath,
    /// The name before it, if the file was renamed or copied.
    pub old_path: Option<RepoPath>,
    /// What happened.
    pub status: FileStatus,
    /// How many lines were added.
    pub added: u32,
    /// How many lines were removed.
    pub deleted: u32,
    /// Git's mode before the change (`0o100644`), if the diff tells it.
    #[serde(skip)]
    pub old_mode: Option<u32>,
    /// Git's mode after it, if the diff tells it.
    #[serde(skip)]
    pub new_mode: Option<u32>,
    /// Is the content not text, by git's judgement?
    #[serde(skip)]
    pub is_binary: bool,
    /// Is it of a merge shown against all its parents, which need not show all its lines?
    #[serde(skip)]
    pub is_combined: bool,
    /// The hunks, in order; none if no text line changed. They are apart from each other, but that one may begin with
    /// the unchanged lines that the one before it ends with (`git diff -W`).
    pub hunks: Vec<H>,
}

/// A file with the lines of its hunks.
pub type FileDiff<'a> = DiffEntry<Hunk<'a>>;

/// A file with the numbers of its hunks' lines.
pub type FileOutline = DiffEntry<HunkSpan>;

impl<H> DiffEntry<H> {
    /// The same with something else of each hunk.
    pub(crate) fn with_hunks<T>(self, hunk: impl FnMut(H) -> T) -> DiffEntry<T> {
        let Self {
            path,
            old_path,
            status,
            added,
            deleted,
            old_mode,
            new_mode,
            is_binary,
            is_combined,
            hunks,
        } = self;
        let hunks = hunks.into_iter().map(hunk).collect();
        DiffEntry {
            path,
            old_path,
            status,
            added,
            deleted,
            old_mode,
            new_mode,
            is_binary,
            is_combined,
            hunks,
        }
    }

    /// Is it a submodule before or after the change?
    pub fn is_submodule(&self) -> bool {
        self.has_mode(MODE_SUBMODULE)
    }

    /// Is it a symbolic link before or after the change?
    pub fn is_symlink(&self) -> bool {
        self.has_mode(MODE_SYMLINK)
    }

    fn has_mode(&self, mode: u32) -> bool {
        self.old_mode == Some(mode) || self.new_mode == Some(mode)
    }
}

/// The numbers of a [`Hunk`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct HunkSpan {
    /// First line on the old side.
    pub old_start: u32,
    /// How many lines of the old side it shows.
    pub old_lines: u32,
    /// First line on the new side.
    pub new_start: u32,
    /// How many lines of the new side it shows.
    pub new_lines: u32,
}

/// Some lines that changed, with the unchanged lines around them.
///
/// Starts are 1-based, or with a count of 0 the line after which the other side's lines belong (0: at the top).
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Hunk<'a> {
    /// First line on the old side.
    pub old_start: u32,
    /// How many lines of the old side it shows: removed and unchanged.
    pub old_lines: u32,
    /// First line on the new side.
    pub new_start: u32,
    /// How many lines of the new side it shows: added and unchanged.
    pub new_lines: u32,
    /// What stands behind the second `@@`: usually the function the hunk is in. May be empty.
    #[serde(skip)]
    pub section: &'a [u8],
    /// How many marks each line has: 1, or in a merge as many as parents.
    #[serde(skip)]
    pub(crate) marks: usize,
    /// The lines as printed, each with its mark and line end.
    #[serde(skip)]
    pub(crate) body: &'a [u8],
}

impl<'a> Hunk<'a> {
    /// The lines in order, with their numbers.
    pub fn lines(&self) -> HunkLines<'a> {
        HunkLines { rest: self.body, marks: self.marks, old: self.old_start, new: self.new_start }
    }
}

/// Is a line only in the old file, only in the new one, or in both?
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LineKind {
    /// In both.
    Context,
    /// In the new file.
    Added,
    /// In the old file.
    Deleted,
}

/// A line of a hunk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HunkLine<'a> {
    /// Which file it is in.
    pub kind: LineKind,
    /// Its 1-based number in the old file, unless it was added.
    pub old: Option<u32>,
    /// Its 1-based number in the new file, unless it was removed.
    pub new: Option<u32>,
    /// Its bytes without the line feed. Only a line feed ends a line, as in git: a carriage return before it is
    /// part of the text, or else a change of line ends could not be seen.
    pub text: &'a [u8],
    /// Does a line feed end it in the file? Only the last line may have none, and then the diff says so: a line feed
    /// that is missing at the end of the diff itself is not missing in the file.
    pub ended: bool,
}

/// The lines of a [`Hunk`].
#[derive(Clone, Debug)]
pub struct HunkLines<'a> {
    rest: &'a [u8],
    marks: usize,
    old: u32,
    new: u32,
}

impl<'a> Iterator for HunkLines<'a> {
    type Item = HunkLine<'a>;

    fn next(&mut self) -> Option<HunkLine<'a>> {
        loop {
            let line;
            (line, self.rest) = first_line(self.rest)?;
            let text = line.strip_suffix(b"\n").unwrap_or(line);
            // An empty line without its marks: mail programs cut blanks off at the end of lines.
            let (marks, text) = text.split_at_checked(self.marks).unwrap_or_default();
            let kind = match marks.first() {
                Some(b'+') => LineKind::Added,
                Some(b'-') => LineKind::Deleted,
                // "\ No newline at end of file" is about the line before it.
                Some(b'\\') => continue,
                // Of another parent alone.
                Some(_) if marks.contains(&b'-') => continue,
                Some(_) | None => LineKind::Context,
            };
            let (old, new) = (kind != LineKind::Added, kind != LineKind::Deleted);
            let ended = self.rest.first() != Some(&b'\\');
            let line =
                HunkLine { kind, old: old.then_some(self.old), new: new.then_some(self.new), text, ended };
            self.old = self.old.saturating_add(u32::from(old));
            self.new = self.new.saturating_add(u32::from(new));
            return Some(line);
        }
    }
}

/// The first line with its line feed, and what follows it; none at the end.
pub(crate) fn first_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    if bytes.is_empty() {
        return None;
    }
    let end = memchr::memchr(b'\n', bytes).map_or(bytes.len(), |at| at + 1);
    bytes.split_at_checked(end)
}

/// The 1-based inclusive ranges of lines that were added, on the new side: in order, apart from each other and
/// not touching.
pub fn added_ranges(file: &FileDiff<'_>) -> Vec<(u32, u32)> {
    let lines = file.hunks.iter().flat_map(Hunk::lines).filter(|line| line.kind == LineKind::Added);
    ranges(lines.filter_map(|line| line.new))
}

/// The same of lines that were removed, on the old side.
pub fn removed_ranges(file: &FileDiff<'_>) -> Vec<(u32, u32)> {
    let lines = file.hunks.iter().flat_map(Hunk::lines).filter(|line| line.kind == LineKind::Deleted);
    ranges(lines.filter_map(|line| line.old))
}

fn ranges(lines: impl Iterator<Item = u32>) -> Vec<(u32, u32)> {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for line in lines {
        match ranges.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(line) => *last = line,
            Some(_) | None => ranges.push((line, line)),
        }
    }
    ranges
}
