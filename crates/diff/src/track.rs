//! Finds the lines of one commit in another commit. Lines are found even if their line numbers or their
//! indentation changed, if their file was renamed, or if they moved within a file or to another file.
//!
//! Lines are compared without the blanks at both ends. [`align`](self::align) matches single lines; this
//! module combines these matches to ranges of lines.

mod align;
mod hunk_tracking;
mod side_text;

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::{FileDiff, FileStatus, RepoPath};
use align::LineAlignment;
use side_text::{SideFile, SideText};

/// Maximum total size, in bytes, of the changed files on both sides that are compared line by line. Files
/// beyond this limit are tracked only by the hunks of the diff. Moved lines are not found in such files.
pub const MAX_TRACKED_BYTES: usize = 256 << 20;

/// Maximum number of lines inserted between two matched lines of a range. With more inserted lines, the
/// matched lines do not form one block.
const MAX_INSERTED_LINES: u64 = 50;

/// Number of the most recent blocks that are considered when a matched line is added to a block.
const MAX_CANDIDATE_BLOCKS: usize = 8;

/// The change of a range of lines.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LineStatus {
    /// The lines are in the same file with the same numbers. Their indentation may differ.
    Unmoved,
    /// All lines still exist as one block, but with other line numbers or in another file.
    Moved,
    /// Some of the lines were changed or deleted, or other lines were inserted between them.
    Edited,
    /// The lines no longer exist.
    Deleted,
}

/// The result of tracking a range of lines.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TrackedRange {
    /// Change of the lines.
    pub status: LineStatus,
    /// File that now contains the lines. For deleted lines, the file that contained them, under its new name;
    /// `None` if this file no longer exists.
    pub path: Option<RepoPath>,
    /// First line, 1-based; `None` if the lines are deleted.
    pub start_line: Option<u32>,
    /// Last line, 1-based; `None` if the lines are deleted.
    pub end_line: Option<u32>,
}

/// A file on one side of the diff.
#[derive(Clone, Copy, Debug)]
pub struct FileContent<'a> {
    /// Name of the file on that side.
    pub path: &'a RepoPath,
    /// Content of the file; `None` if the file was not read because of its size or kind. Such a file is
    /// tracked only by the diff's hunks.
    pub content: Option<&'a [u8]>,
}

/// Tracks lines from one commit to another.
///
/// ```
/// use truing_diff::{LineStatus, RepoPath, FileContent, LineTracker, parse};
/// let (path, other) = (RepoPath::from("a.rs"), RepoPath::from("b.rs"));
/// let diff = parse(b"diff --git a/a.rs b/b.rs\nsimilarity index 60%\nrename from a.rs\nrename to b.rs\n");
/// let old = [FileContent { path: &path, content: Some(b"let a = 1;\nlet b = 2;\n") }];
/// let new = [FileContent { path: &other, content: Some(b"if c {\n    let a = 1;\n}\n") }];
/// let tracker = LineTracker::new(&diff.files, &old, &new);
/// let first = tracker.track(&path, 1, 1);
/// let place = (first.status, first.path, first.start_line);
/// assert_eq!(place, (LineStatus::Moved, Some(other.clone()), Some(2)));
/// assert_eq!(tracker.track(&path, 2, 2).status, LineStatus::Deleted);
/// ```
#[derive(Debug)]
pub struct LineTracker<'a> {
    /// Tracking method of each file of the old side, by its old name.
    files: HashMap<&'a RepoPath, TrackingMethod<'a>>,
    old: SideText<'a>,
    new: SideText<'a>,
    alignment: LineAlignment,
}

/// The method by which a file of the old side is tracked.
#[derive(Clone, Copy, Debug)]
enum TrackingMethod<'a> {
    /// The file did not change. The value is its number of lines; `None` if the file was not read.
    Unchanged(Option<u32>),
    /// The file is tracked line by line. The values are the file's index in the old text and its new name.
    /// The new name is `None` if the file was deleted.
    Lines(usize, Option<&'a RepoPath>),
    /// The file is tracked by the hunks of its diff.
    Hunks(&'a FileDiff<'a>),
}

impl<'a> LineTracker<'a> {
    /// Compares both sides of a diff.
    ///
    /// `changes` is the whole diff. `old` contains the old files of the diff, and all unchanged files for
    /// which `track` will be called. `new` contains the new files of the diff.
    ///
    /// Time and memory are linear in the size of the changed files, up to [`MAX_TRACKED_BYTES`]. Lines that
    /// occur often can only be matched by their order, and the number of comparisons for such lines is
    /// limited.
    pub fn new(changes: &'a [FileDiff<'a>], old: &[FileContent<'a>], new: &[FileContent<'a>]) -> Self {
        let mut room = MAX_TRACKED_BYTES;
        let mut read = |source: &FileContent<'a>| {
            let content = source.content.filter(|content| content.len() <= room)?;
            room -= content.len();
            Some(content)
        };
        let (mut old_text, mut new_text) = (SideText::default(), SideText::default());
        let mut words = side_text::TextInterner::default();
        let new_names: HashMap<&RepoPath, usize> = new
            .iter()
            .filter_map(|source| {
                Some((source.path, new_text.add_file(source.path, read(source)?, &mut words)))
            })
            .collect();
        let changed: HashMap<&RepoPath, &FileDiff<'_>> =
            changes.iter().filter_map(|change| Some((old_path(change)?, change))).collect();

        let mut files = HashMap::with_capacity(old.len());
        let mut pairs = Vec::new();
        for source in old {
            let Some(change) = changed.get(source.path) else {
                files.insert(
                    source.path,
                    TrackingMethod::Unchanged(source.content.map(side_text::count_lines)),
                );
                continue;
            };
            let new_name = (change.status != FileStatus::Deleted).then_some(&change.path);
            let partner = new_name.map(|name| new_names.get(name));
            let content = if partner == Some(None) { None } else { read(source) };
            let followed = match content {
                None => TrackingMethod::Hunks(change),
                Some(content) => {
                    let at = old_text.add_file(source.path, content, &mut words);
                    pairs.extend(partner.flatten().map(|new| (at, *new)));
                    TrackingMethod::Lines(at, new_name)
                }
            };
            files.insert(source.path, followed);
        }
        let alignment = LineAlignment::new(&old_text, &new_text, &pairs);
        Self { files, old: old_text, new: new_text, alignment }
    }

    /// Returns the old names of the changed files that are tracked only by the hunks of the diff.
    pub fn paths_tracked_by_hunks(&self) -> impl Iterator<Item = &RepoPath> {
        self.files
            .iter()
            .filter(|(_, followed)| matches!(followed, TrackingMethod::Hunks(_)))
            .map(|(path, _)| *path)
    }

    /// Returns the current location of the lines `start..=end` (1-based) of the old file `path`.
    ///
    /// A range in a missing file, or completely beyond the end of its file, counts as deleted. A range that
    /// extends beyond the end of its file counts as edited.
    pub fn track(&self, path: &RepoPath, start: u32, end: u32) -> TrackedRange {
        let gone = |path: Option<&RepoPath>| TrackedRange {
            status: LineStatus::Deleted,
            path: path.cloned(),
            start_line: None,
            end_line: None,
        };
        if start == 0 || end < start {
            return gone(None);
        }
        match self.files.get(path) {
            None => gone(None),
            Some(TrackingMethod::Unchanged(lines)) => {
                let last = lines.unwrap_or(end).min(end);
                if last < start {
                    return gone(Some(path));
                }
                let status = if last == end { LineStatus::Unmoved } else { LineStatus::Edited };
                tracked_range(status, path, start, last)
            }
            Some(TrackingMethod::Hunks(change)) => match hunk_tracking::track_range(change, start, end) {
                Some((first, last, whole)) => {
                    let stayed = change.path == *path && first == start;
                    tracked_range(line_status(whole, stayed), &change.path, first, last)
                }
                None => gone((change.status != FileStatus::Deleted).then_some(&change.path)),
            },
            Some(TrackingMethod::Lines(file, new_name)) => {
                self.track_by_lines(path, *file, start, end).unwrap_or_else(|| gone(*new_name))
            }
        }
    }

    /// Tracks a range by the matches of its lines; returns `None` if the lines are deleted.
    fn track_by_lines(
        &self,
        path: &RepoPath,
        old_file_index: usize,
        start: u32,
        end: u32,
    ) -> Option<TrackedRange> {
        let file = self.old.file(old_file_index)?;
        let lines = file.line_range(start, end);
        let mut places: Vec<MatchedBlock> = Vec::new();
        let mut has_words = false;
        for old in lines {
            let score = self.old.line_weight(old);
            has_words |= score > side_text::WORDLESS_LINE_WEIGHT;
            let Some(partner) = self.alignment.matched_line(old) else { continue };
            let line = MatchedLine {
                old_line: old,
                new_line: partner.new_line,
                new_file_index: self.new.file_index(partner.new_line)?,
                weight: score,
            };
            let recent = places.iter_mut().rev().take(MAX_CANDIDATE_BLOCKS);
            match recent.into_iter().find_map(|place| place.can_extend_with(&line).then_some(place)) {
                Some(place) => place.add(&line, partner.is_edited),
                None => places.push(MatchedBlock::new(&line, partner.is_edited)),
            }
        }
        // If several blocks have the same score, the first is to be used, but `max_by_key` returns the last.
        // The order is therefore reversed.
        let best = places.into_iter().rev().max_by_key(|place| place.score)?;
        if has_words && !best.has_words {
            return None;
        }
        let asked = u64::from(end - start) + 1;
        let whole = !best.edited && best.line_count == asked && best.new_line_span() == asked;
        let new: &SideFile<'_> = self.new.file(best.first_line.new_file_index)?;
        let (first, last) = (new.line_number(best.first_line.new_line), new.line_number(best.last_new_line));
        Some(tracked_range(line_status(whole, new.path == path && first == start), new.path, first, last))
    }
}

fn line_status(is_intact: bool, is_unmoved: bool) -> LineStatus {
    match (is_intact, is_unmoved) {
        (true, true) => LineStatus::Unmoved,
        (true, false) => LineStatus::Moved,
        (false, _) => LineStatus::Edited,
    }
}

fn tracked_range(status: LineStatus, path: &RepoPath, first: u32, last: u32) -> TrackedRange {
    TrackedRange { status, path: Some(path.clone()), start_line: Some(first), end_line: Some(last) }
}

/// Returns the path of a changed file before the change; `None` if the file was added or copied.
fn old_path<'a>(change: &'a FileDiff<'_>) -> Option<&'a RepoPath> {
    match change.status {
        FileStatus::Added | FileStatus::Copied => None,
        FileStatus::Renamed => change.old_path.as_ref(),
        FileStatus::Deleted | FileStatus::Modified | FileStatus::ModeChanged | FileStatus::BinaryModified => {
            Some(&change.path)
        }
    }
}

/// An old line of the range, with the new line that it matches.
struct MatchedLine {
    old_line: usize,
    new_line: usize,
    /// Index of the new file.
    new_file_index: usize,
    weight: u32,
}

/// Matched lines that form one block in a new file, in the same order as in the old file.
struct MatchedBlock {
    first_line: MatchedLine,
    last_old_line: usize,
    last_new_line: usize,
    line_count: u64,
    score: u64,
    has_words: bool,
    edited: bool,
}

impl MatchedBlock {
    fn new(line: &MatchedLine, edited: bool) -> Self {
        let first = MatchedLine { ..*line };
        let mut place = Self {
            first_line: first,
            last_old_line: 0,
            last_new_line: 0,
            line_count: 0,
            score: 0,
            has_words: false,
            edited: false,
        };
        place.add(line, edited);
        place
    }

    /// Returns true if the line may be added to the block. The line must be in the same new file, below the
    /// block's last line, and not too far from that line.
    fn can_extend_with(&self, line: &MatchedLine) -> bool {
        let apart = (line.new_line as u64).saturating_sub(self.last_new_line as u64);
        let were_apart = (line.old_line as u64).saturating_sub(self.last_old_line as u64);
        self.first_line.new_file_index == line.new_file_index
            && apart > 0
            && apart <= were_apart.saturating_add(MAX_INSERTED_LINES)
    }

    fn add(&mut self, line: &MatchedLine, edited: bool) {
        (self.last_old_line, self.last_new_line) = (line.old_line, line.new_line);
        self.line_count += 1;
        self.score += u64::from(line.weight);
        self.has_words |= line.weight > side_text::WORDLESS_LINE_WEIGHT;
        self.edited |= edited;
    }

    /// Returns the number of lines of the new file from the first to the last line of the block.
    fn new_line_span(&self) -> u64 {
        (self.last_new_line as u64).saturating_sub(self.first_line.new_line as u64) + 1
    }
}
