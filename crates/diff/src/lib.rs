//! Unified diffs as git prints them: files, hunks and lines, and where a comment may be anchored.
//! Pure: bytes in, values out.

mod anchor;
mod apply;
mod header;
mod hunks;
mod model;
mod name;
mod parse;
mod path;
mod track;

pub use anchor::{AnchorKind, Anchored, Reason, Side, anchor};
pub use apply::{apply, fits};
pub use model::{FileDiff, Hunk, Line, LineKind, Lines, Status, added_ranges};
pub use parse::{Files, ParseError, Parsed, files, parse};
pub use path::{RepoPath, quoted};
pub use track::{Fate, MAX_TRACKED_BYTES, Source, Tracked, Tracker};
