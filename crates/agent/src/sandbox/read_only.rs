//! The permissions of a process that only reads: its folders and its memory limit.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Default memory limit of a reader in bytes. The limit suffices for large stacks and for the syntax tree of
/// the largest file. A reader for a review has a lower limit.
pub const READER_MEMORY_BYTES: u64 = 2 << 30;

/// The files that a read-only process may read.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ReadAccess {
    /// Folder with hostile files. The reader may not read the `.git` folder directly in this folder.
    pub tree: PathBuf,
    /// A further folder that the reader may read, with rules.
    pub rules: Option<PathBuf>,
    /// Memory limit in bytes.
    pub memory: u64,
}

impl ReadAccess {
    /// Returns the permissions for this tree, with the default memory limit of a reader.
    pub fn new(tree: PathBuf, rules: Option<PathBuf>) -> Self {
        Self { tree, rules, memory: READER_MEMORY_BYTES }
    }
}
