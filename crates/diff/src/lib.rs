//! Parses unified diffs, as git prints them, into files, hunks and lines. Finds the lines on which comments
//! can be placed. The crate has no side effects: its functions take bytes and return values.

#![warn(missing_docs)]

mod anchor;
mod apply;
mod file_name;
mod header;
mod hunks;
mod input_line;
mod mail;
mod parse;
mod parsed_diff;
mod path;
mod scan;
mod track;

pub use anchor::{AnchorKind, CommentAnchor, DiffSide, InexactAnchorReason, find_anchor};
pub use apply::{apply, matches_side, undo_nearest_changes};
pub use parse::{DiffFiles, DiffSpanReader, ParseError, ParsedDiff, parse, parse_files};
pub use parsed_diff::{
    DiffEntry, FileDiff, FileDiffSpans, FileStatus, Hunk, HunkLine, HunkLines, HunkSpan, LineKind,
    added_ranges, deleted_ranges,
};
pub use path::{RepoPath, quote_name};
pub use track::{FileContent, LineStatus, LineTracker, MAX_TRACKED_BYTES, TrackedRange};
