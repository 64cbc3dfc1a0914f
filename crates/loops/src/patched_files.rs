//! Writes the files of a head to a separate folder. The head is the result of applying a given diff to a
//! working tree.
//!
//! The working tree may or may not already contain the changes of the diff. Therefore, a file can be read if
//! its content in the working tree is the content before or after the diff. The other version is computed
//! with the hunks of the diff. If the file has any other content, the diff does not apply to it. The content
//! of new files is completely in the diff.
//!
//! Git may check out files with CRLF line ends (`core.autocrlf`, or the attribute `eol`), but diffs show the
//! stored content. If a file with CRLF does not match the diff, its text is converted to LF and compared
//! again. The paths are untrusted: symbolic links are not followed, and files outside of the working tree and
//! git's own files are not opened.

use futures_util::future::BoxFuture;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use truing_core::outcome::{CoverageGap, SkipReason};
use truing_diff::{DiffSide, FileDiff, FileStatus, RepoPath, apply, matches_side};
use truing_git::options::{MAX_FILES, MAX_TOTAL_BYTES};
use truing_git::write_new_file;
use truing_reader::FileTree;

use super::local::LocalReviewError;

/// The folders with the files that a diff is applied to.
#[derive(Clone, Copy, Debug)]
pub struct DiffSourceFolders<'a> {
    /// The top folder of the working tree.
    pub root: &'a Path,
    /// Folder with files that git does not read from the working tree, such as files outside a sparse
    /// checkout. These files have the content that is in the index.
    pub index: &'a Path,
}

/// The folder of the working tree and the folder of the index files, both opened.
struct OpenedDiffFolders {
    root: FileTree,
    index: FileTree,
}

impl OpenedDiffFolders {
    fn read_bytes(&self, path: &RepoPath) -> Result<Vec<u8>, SkipReason> {
        self.index.read_bytes(path).or_else(|_| self.root.read_bytes(path))
    }
}

/// Writes the files `paths` below `dest`, after applying the sections in `files` to the files of `source`.
/// Returns the files that could not be written, with the reasons. A file that the diff does not change is
/// copied.
///
/// # Errors
/// [`LocalReviewError::Reading`] if the working tree cannot be opened, [`LocalReviewError::Git`] if `dest`
/// cannot be written.
pub fn write_patched_files<'a>(
    files: &'a [FileDiff<'a>],
    paths: &'a [RepoPath],
    source: DiffSourceFolders<'a>,
    dest: &'a Path,
) -> BoxFuture<'a, Result<Vec<CoverageGap>, LocalReviewError>> {
    Box::pin(async move {
        let open = |folder| FileTree::open(folder).map_err(super::reading::ReadingError::from);
        let tree = &OpenedDiffFolders { root: open(source.root)?, index: open(source.index)? };
        let mut changes: BTreeMap<&RepoPath, Vec<&FileDiff<'_>>> = BTreeMap::new();
        for file in files {
            changes.entry(&file.path).or_default().push(file);
        }
        let (mut left, mut written) = (MAX_TOTAL_BYTES, 0);
        let mut missing = Vec::new();
        for path in paths.iter().collect::<BTreeSet<_>>() {
            let made = match changes.get(path) {
                _ if !path.is_safe_to_write() => Err(SkipReason::Unreadable),
                None => tree.read_bytes(path),
                Some(changes) => apply_changes(changes, tree),
            };
            let size = made.as_ref().map_or(0, |bytes| u64::try_from(bytes.len()).unwrap_or(u64::MAX));
            let reason = match made {
                Ok(_) if size > left || written >= MAX_FILES => Some(SkipReason::TooLarge),
                Ok(bytes) if write_new_file(dest, path, &bytes).await? => None,
                Ok(_) => Some(SkipReason::Unreadable),
                Err(reason) => Some(reason),
            };
            match reason {
                None => (left, written) = (left.saturating_sub(size), written + 1),
                Some(reason) => missing.push(CoverageGap { path: path.clone(), reason }),
            }
        }
        Ok(missing)
    })
}

/// Returns the content of a file after the diff. `changes` contains the sections of the diff that are about
/// this file. If the type of a file changes, the diff has two sections for the file. Any other repeated
/// section belongs to another commit, and the sections then do not match one version of the file.
fn apply_changes(changes: &[&FileDiff<'_>], tree: &OpenedDiffFolders) -> Result<Vec<u8>, SkipReason> {
    match changes {
        [file] => apply_section(file, tree),
        [gone, file] if gone.status == FileStatus::Deleted && file.status == FileStatus::Added => {
            apply_section(file, tree)
        }
        _ => Err(SkipReason::DoesNotApply),
    }
}

/// Returns the content of a file after one section of the diff.
fn apply_section(file: &FileDiff<'_>, tree: &OpenedDiffFolders) -> Result<Vec<u8>, SkipReason> {
    if file.is_binary {
        // The diff does not contain the file's content.
        return Err(SkipReason::Binary);
    }
    if file.status == FileStatus::Added {
        return apply(file, b"").ok_or(SkipReason::DoesNotApply);
    }
    let found = tree.read_bytes(&file.path);
    if let Ok(bytes) = &found
        && let Some(text) = apply_or_retry_with_lf(bytes, |text| {
            matches_side(file, DiffSide::New, text).then(|| text.to_vec())
        })
    {
        return Ok(text);
    }
    let old = match &file.old_path {
        None => found,
        Some(old_path) if old_path.is_safe_to_write() => tree.read_bytes(old_path),
        Some(_) => return Err(SkipReason::Unreadable),
    };
    match old {
        Ok(old) => apply_or_retry_with_lf(&old, |old| apply(file, old)).ok_or(SkipReason::DoesNotApply),
        Err(SkipReason::TooLarge) => Err(SkipReason::TooLarge),
        // The file does not exist, so the diff was made for other files.
        Err(_) => Err(SkipReason::DoesNotApply),
    }
}

/// Applies `parse` to a text. If `parse` returns none, applies it to the text with LF instead of CRLF at line
/// ends.
fn apply_or_retry_with_lf<T>(text: &[u8], parse: impl Fn(&[u8]) -> Option<T>) -> Option<T> {
    parse(text).or_else(|| {
        let lines = text.split_inclusive(|byte| *byte == b'\n');
        let with_lf = |line: &[u8]| match line.strip_suffix(b"\r\n") {
            Some(line) => [line, b"\n"].concat(),
            None => line.to_vec(),
        };
        parse(&lines.flat_map(with_lf).collect::<Vec<u8>>())
    })
}
