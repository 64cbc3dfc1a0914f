//! Unified diffs as git prints them: files, hunks and lines, and where a comment may be anchored.
//! Pure: bytes in, values out.

mod anchor;
mod apply;
mod header;
mod hunks;
mod mail;
mod model;
mod name;
mod parse;
mod path;
mod row;
mod scan;
mod track;

pub use anchor::{AnchorKind, Anchored, Reason, Side, anchor};
pub use apply::{apply, fits};
pub use model::{
    FileDiff, FileOf, Hunk, Line, LineKind, Lines, Outline, Span, Status, added_ranges, removed_ranges,
};
pub use parse::{Files, Outlines, ParseError, Parsed, files, parse};
pub use path::{RepoPath, quoted};
pub use track::{Fate, MAX_TRACKED_BYTES, Source, Tracked, Tracker};
