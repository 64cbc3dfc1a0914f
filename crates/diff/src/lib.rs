//! Unified diffs as git prints them: files, hunks and lines, and where a comment may be anchored.
//! Pure: bytes in, values out.

mod anchor;
mod header;
mod hunks;
mod model;
mod name;
mod parse;
mod path;

pub use anchor::{AnchorKind, Anchored, Reason, Side, anchor};
pub use model::{FileDiff, Hunk, Line, LineKind, Lines, Status, added_ranges};
pub use parse::{ParseError, Parsed, parse};
pub use path::RepoPath;
