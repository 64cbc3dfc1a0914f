//! A file before and after a fix.

use truing_core::line::clean_line;
use truing_diff::RepoPath;

use super::count::{count_items, missing_items, take_item};
use super::version::{AnalyzedVersion, FileChange};
use super::weakening::{MAX_QUOTE_CHARS, Weakening, WeakeningKind};

/// The versions of a file before and after a fix.
pub(super) struct FileVersionPair<'a> {
    pub(super) before: Option<AnalyzedVersion>,
    pub(super) after: Option<AnalyzedVersion>,
    pub(super) path: &'a RepoPath,
}

impl<'a> FileVersionPair<'a> {
    pub(super) fn new(change: &FileChange<'a>) -> Option<Self> {
        let path = change.before.or(change.after)?.path;
        Some(Self {
            before: change.before.map(AnalyzedVersion::new),
            after: change.after.map(AnalyzedVersion::new),
            path,
        })
    }

    pub(super) fn new_weakening(&self, kind: WeakeningKind, quoted_text: &str) -> Weakening {
        Weakening {
            path: self.path.clone(),
            kind,
            quoted_text: clean_line(quoted_text, MAX_QUOTE_CHARS),
            is_report_only: false,
        }
    }
}

/// For each file, its relevant lines before the fix and after the fix.
pub(super) type LinesByFile<'f, 'a> = Vec<(&'f FileVersionPair<'a>, Vec<String>, Vec<String>)>;

/// Returns the lines that were added. If the fix removes the same line from any file, the line counts as
/// moved and is not returned.
pub(super) fn added_lines<'f, 'a>(files: &LinesByFile<'f, 'a>) -> Vec<(&'f FileVersionPair<'a>, String)> {
    let gone: Vec<String> =
        files.iter().flat_map(|(_, before, after)| missing_items(before, after)).cloned().collect();
    let mut moved = count_items(&gone);
    let mut found = Vec::new();
    for (file, before, after) in files {
        let more = after.len().saturating_sub(before.len());
        let new = missing_items(after, before).into_iter().filter(|line| !take_item(&mut moved, line));
        found.extend(new.take(more).map(|line| (*file, line.clone())));
    }
    found
}
