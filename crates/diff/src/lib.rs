//! Unified diffs as git prints them: files, hunks and lines, and where a comment may be anchored.
//! Pure: bytes in, values out.

mod anchor;
mod path;

pub use anchor::{AnchorKind, Side};
pub use path::RepoPath;
