//! Where a comment about lines may be anchored in a diff.

use serde::{Deserialize, Serialize};

/// Which side of the diff a line is on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The file before the change.
    Old,
    /// The file after it.
    New,
}

/// How near to the code a comment about it can be placed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnchorKind {
    /// On the lines.
    Inline,
    /// On the file: its lines are not part of the diff.
    File,
    /// In the summary only: the file is not part of the diff.
    Summary,
}
