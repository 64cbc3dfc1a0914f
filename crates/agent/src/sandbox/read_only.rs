//! A process that only reads: the folders that it may read, and its memory.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Memory of a reader, in bytes, whatever it reads: large stacks, and what a syntax tree of the largest file takes. Who
/// starts it for a review holds it to less.
pub const READER_MEMORY: u64 = 2 << 30;

/// The files that a process that only reads may read.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ReadAccess {
    /// The folder with hostile files. Git's folder directly in it is no part of it.
    pub tree: PathBuf,
    /// A folder with rules.
    pub rules: Option<PathBuf>,
    /// Its memory, in bytes.
    pub memory: u64,
}

impl ReadAccess {
    /// Reads this tree, with a reader's memory.
    pub fn new(tree: PathBuf, rules: Option<PathBuf>) -> Self {
        Self { tree, rules, memory: READER_MEMORY }
    }
}
