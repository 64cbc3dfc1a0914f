//! Parses a diff as a whole, file by file, or from pieces of the input. Also derives a file's name and status
//! from its header.

use thiserror::Error;

use crate::RepoPath;
use crate::file_name::{self, FileName, NamePair};
use crate::header::FileHeader;
use crate::input_line::{InputPosition, MAX_STORED_LINE_BYTES, MalformedLine};
use crate::parsed_diff::{DiffEntry, FileDiff, FileDiffSpans, FileStatus, Hunk, HunkSpan, split_first_line};
use crate::scan::{LocatedHunk, Scanner};

/// The result of parsing a diff.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ParsedDiff<'a> {
    /// Files in the order of the input, up to the first error.
    pub files: Vec<FileDiff<'a>>,
    /// Error that stopped the parser; `None` if the whole input was parsed.
    pub error: Option<ParseError>,
}

/// The error of a malformed diff.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("the diff is malformed at line {line_number} (byte {byte_offset}): {message}")]
pub struct ParseError {
    /// Byte offset of the invalid line; the length of the input if the input ends too early.
    pub byte_offset: usize,
    /// Number of the invalid line, 1-based.
    pub line_number: usize,
    /// Description of the error, with the name of the file.
    pub message: String,
}

/// Parses the diffs of all files in `input`: the output of `git diff`, `git show`, `git log -p` and `git
/// format-patch`, the responses of GitHub and Bitbucket, and plain unified diffs.
///
/// Other text before, between and after the diffs is skipped as in `git apply`: commit messages, mail headers
/// and signatures. In a mail of `git format-patch`, the diff begins after the line `---`, as in `git am`.
///
/// Empty input, or input of white space only, is an empty diff without files and without an error. Input with
/// only commits that change nothing is an empty diff, too. A line that git prints identifies such input:
/// `commit ID`, the `From ID` of a mail, or `* Unmerged path`. Any other input without a file is an error at
/// the first non-blank line; examples are a web page, an error in JSON, and prose.
///
/// A line outside of a file's hunks that begins with `@@ -` is an error, as in git, because the file is
/// unknown. This applies even if the line is not a valid hunk header.
///
/// Coloured diffs, diffs with a graph (`git log --graph -p`), and word diffs are not unified diffs. Lines of
/// such diffs are skipped as text. Output of `--submodule=log` and `--submodule=diff` is an error, because it
/// does not describe the change as a diff of a file. Input that ends inside the header of a file is also an
/// error.
///
/// ```
/// use truing_diff::{RepoPath, FileStatus, parse};
/// let parsed = parse(b"diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1,2 @@ f()\n same\n+more\n");
/// let file = parsed.files.first().unwrap();
/// assert_eq!((file.status, file.added_lines, file.deleted_lines), (FileStatus::Modified, 1, 0));
/// assert_eq!(file.path, RepoPath::from("x"));
/// let more = file.hunks.first().unwrap().lines().last().unwrap();
/// assert_eq!((more.old_line, more.new_line, more.text), (None, Some(2), &b"more"[..]));
/// assert!(parsed.error.is_none());
/// ```
pub fn parse(input: &[u8]) -> ParsedDiff<'_> {
    let (mut read, mut error) = (Vec::new(), None);
    for file in parse_files(input) {
        match file {
            Ok(file) => read.push(file),
            Err(wrong) => error = Some(wrong),
        }
    }
    ParsedDiff { files: read, error }
}

/// Parses like [`parse`], but returns one file at a time. An error is the last item.
pub fn parse_files(input: &[u8]) -> DiffFiles<'_> {
    DiffFiles { input, rest: input, is_over: false, scanner: Scanner::new() }
}

/// The files of a diff, returned by [`parse_files`].
#[derive(Clone, Debug)]
pub struct DiffFiles<'a> {
    input: &'a [u8],
    rest: &'a [u8],
    is_over: bool,
    scanner: Scanner<LocatedHunk>,
}

impl<'a> Iterator for DiffFiles<'a> {
    type Item = Result<FileDiff<'a>, ParseError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(file) = self.scanner.pop_file() {
                let input = self.input;
                return Some(file.map(|file| file.map_hunks(|found| build_hunk(input, found))));
            }
            if self.is_over || self.scanner.has_failed() {
                return None;
            }
            if let Some((line, rest)) = split_first_line(self.rest) {
                self.rest = rest;
                self.scanner.read_line(line, line.len(), line.ends_with(b"\n"));
            } else {
                self.is_over = true;
                self.scanner.finish();
            }
        }
    }
}

/// Returns a hunk with its lines.
fn build_hunk(input: &[u8], located: LocatedHunk) -> Hunk<'_> {
    let LocatedHunk {
        span: HunkSpan { old_start, old_lines, new_start, new_lines },
        marker_width: marks,
        heading: section,
        body,
    } = located;
    Hunk {
        old_start,
        old_lines,
        new_start,
        new_lines,
        marker_width: marks,
        heading: input.get(section).unwrap_or_default(),
        body: input.get(body).unwrap_or_default(),
    }
}

/// Parses a diff like [`parse`], but accepts the input in pieces and does not store the text of hunks. A diff
/// may therefore have any size.
///
/// The reader stores the name and the hunks' line numbers of the current file (16 bytes per hunk), and up to
/// 1 MiB of a line. For a mail without statistics, the reader stores these data for all files of the mail.
/// Lines longer than 1 MiB are accepted in hunks and between diffs, but not in a header.
///
/// ```
/// use truing_diff::DiffSpanReader;
/// let mut outlines = DiffSpanReader::default();
/// outlines.push_bytes(b"--- a/x\n+++ b/x\n@@ -1 +1");
/// outlines.push_bytes(b",2 @@\n same\n+more");
/// assert!(outlines.pop_file().is_none());
/// outlines.finish();
/// let file = outlines.pop_file().unwrap().unwrap();
/// assert_eq!((file.added_lines, file.hunks.first().unwrap().new_lines), (1, 2));
/// ```
#[derive(Clone, Debug)]
pub struct DiffSpanReader {
    scanner: Scanner<HunkSpan>,
    /// Beginning of an incomplete line.
    partial_line: Vec<u8>,
    /// Number of bytes of the incomplete line that were read, including bytes that were not stored.
    partial_line_len: usize,
}

impl Default for DiffSpanReader {
    fn default() -> Self {
        Self { scanner: Scanner::new(), partial_line: Vec::new(), partial_line_len: 0 }
    }
}

impl DiffSpanReader {
    /// Reads the next piece of the input.
    pub fn push_bytes(&mut self, mut piece: &[u8]) {
        while let Some((line, rest)) = split_first_line(piece) {
            piece = rest;
            let is_ended = line.ends_with(b"\n");
            if is_ended && self.partial_line_len == 0 {
                self.scanner.read_line(line, line.len(), true);
                continue;
            }
            let room = MAX_STORED_LINE_BYTES.saturating_sub(self.partial_line.len());
            self.partial_line.extend(line.iter().take(room));
            self.partial_line_len += line.len();
            if is_ended {
                self.finish_line(true);
            }
        }
    }

    /// Marks the end of the input.
    pub fn finish(&mut self) {
        if self.partial_line_len > 0 {
            self.finish_line(false);
        }
        self.scanner.finish();
    }

    /// Returns the next complete file; `None` if no file is complete yet. An error is the last item.
    pub fn pop_file(&mut self) -> Option<Result<FileDiffSpans, ParseError>> {
        self.scanner.pop_file()
    }

    /// Returns true if an error has stopped the parser.
    pub fn has_failed(&self) -> bool {
        self.scanner.has_failed()
    }

    fn finish_line(&mut self, has_line_feed: bool) {
        self.scanner.read_line(&self.partial_line, self.partial_line_len, has_line_feed);
        self.partial_line.clear();
        self.partial_line_len = 0;
    }
}

/// Returns the file of a section that begins with `diff --git NAMES`; `None` if the file name cannot be
/// determined.
pub(crate) fn build_git_file<H>(
    names: &[u8],
    header: &FileHeader,
    position: InputPosition,
) -> Result<Option<DiffEntry<H>>, MalformedLine> {
    let Some((path, old_path)) = resolve_git_names(names, header, position)? else { return Ok(None) };
    let status = if header.rename_paths.is_some() {
        FileStatus::Renamed
    } else if header.copy_paths.is_some() {
        FileStatus::Copied
    } else if header.is_new || header.has_null_old_name() {
        FileStatus::Added
    } else if header.is_deleted || header.has_null_new_name() {
        FileStatus::Deleted
    } else if old_path.is_some() {
        // The output of `git diff --no-index OLD NEW` has no rename lines. Only the two different names show
        // that the file was renamed.
        FileStatus::Renamed
    } else if header.is_binary {
        FileStatus::BinaryModified
    } else if header.mode_changed && !header.has_name_lines {
        FileStatus::ModeChanged
    } else {
        FileStatus::Modified
    };
    let old_path = old_path.filter(|_| matches!(status, FileStatus::Renamed | FileStatus::Copied));
    Ok(Some(build_entry(path, old_path, status, header)))
}

/// Returns the file of a plain unified diff. `position` is the position of the file's `---` line.
pub(crate) fn build_unified_entry<H>(
    header: &FileHeader,
    position: InputPosition,
) -> Result<DiffEntry<H>, MalformedLine> {
    let (path, old_path, status) = match (&header.old_name, &header.new_name) {
        (None, None) => return Err(MalformedLine::new(position, "the file is `/dev/null` before and after")),
        (None, Some(new)) => (repo_path(file_name::strip_git_prefix(new)), None, FileStatus::Added),
        (Some(old), None) => (repo_path(file_name::strip_git_prefix(old)), None, FileStatus::Deleted),
        (Some(old), Some(new)) => match file_name::strip_pair_prefixes(old, new) {
            NamePair::Same(same) => (repo_path(same), None, FileStatus::Modified),
            NamePair::Different(old, new) => (repo_path(new), Some(repo_path(old)), FileStatus::Renamed),
        },
    };
    Ok(build_entry(path, old_path, status, header))
}

/// Returns the file of a section in a merge diff.
pub(crate) fn build_merge_file<H>(name: &[u8], header: &FileHeader) -> DiffEntry<H> {
    let status = if header.is_new {
        FileStatus::Added
    } else if header.is_deleted {
        FileStatus::Deleted
    } else if header.is_binary {
        FileStatus::BinaryModified
    } else {
        FileStatus::Modified
    };
    build_entry(repo_path(name), None, status, header)
}

fn build_entry<H>(
    path: RepoPath,
    old_path: Option<RepoPath>,
    status: FileStatus,
    header: &FileHeader,
) -> DiffEntry<H> {
    DiffEntry {
        path,
        old_path,
        status,
        added_lines: 0,
        deleted_lines: 0,
        old_mode: header.old_mode,
        new_mode: header.new_mode,
        is_binary: header.is_binary,
        is_combined: header.is_combined,
        hunks: Vec::new(),
    }
}

fn repo_path(name: &[u8]) -> RepoPath {
    RepoPath::from_bytes(name)
}

/// Returns the name of the file, and the old name if it differs. Returns `None` if the names cannot be
/// determined.
///
/// `line` is the rest of the `diff --git` line. This line does not show where the first name ends, so it is
/// used only if the other header lines do not contain both names.
fn resolve_git_names(
    line: &[u8],
    header: &FileHeader,
    position: InputPosition,
) -> Result<Option<(RepoPath, Option<RepoPath>)>, MalformedLine> {
    if let Some(moved) = header.rename_paths.as_ref().or(header.copy_paths.as_ref()) {
        let (Some(from), Some(to)) = (&moved.from, &moved.to) else {
            return Err(MalformedLine::new(
                position,
                "the header has only one of the two file names (old and new)",
            ));
        };
        return Ok(Some((repo_path(to), Some(repo_path(from)))));
    }
    let (old, new) = (header.old_name.as_deref(), header.new_name.as_deref());
    let names: Option<(FileName<'_>, FileName<'_>)> = match (old, new) {
        (Some(old), Some(new)) => Some((old.into(), new.into())),
        // A new or deleted file has only one name in its `---` and `+++` lines. Two names are needed to
        // determine the prefixes, so the names of the `diff --git` line are used.
        (Some(_), None) | (None, Some(_)) | (None, None) => file_name::split_diff_git_line(line),
    };
    let Some((old, new)) = names else {
        return Ok(new.or(old).map(|name| (repo_path(file_name::strip_git_prefix(name)), None)));
    };
    Ok(Some(match file_name::strip_pair_prefixes(&old, &new) {
        NamePair::Same(same) => (repo_path(same), None),
        NamePair::Different(old, new) => (repo_path(new), Some(repo_path(old))),
    }))
}
