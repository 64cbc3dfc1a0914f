//! Finds the changed files that git treats as binary although they were text at the base. Rules other than
//! the rules for secrets would otherwise be silent about such a file, without a trace in the review.

use std::collections::BTreeMap;

use truing_core::outcome::{CoverageGap, SkipReason};
use truing_diff::{FileDiff, FileStatus, RepoPath};
use truing_reader::FileTree;

use crate::tools::BaseCommit;

/// Number of bytes at the beginning of a file in which git searches for a NUL byte.
const PROBE_BYTES: usize = 8000;

/// Returns true if git treats the content of this file as binary and does not report which of its lines
/// changed. All content of a new file counts as changed.
pub(super) fn has_unknown_changes(file: &FileDiff<'_>) -> bool {
    file.is_binary
        && match file.status {
            FileStatus::Added | FileStatus::Deleted => false,
            FileStatus::Modified
            | FileStatus::Renamed
            | FileStatus::Copied
            | FileStatus::ModeChanged
            | FileStatus::BinaryModified => true,
        }
}

/// Sets the reason of each binary file that was text at the base, so that the review becomes partial. A file
/// whose base version cannot be read keeps its reason.
pub(super) async fn mark_former_text_files(
    gaps: &mut [CoverageGap],
    files: &[FileDiff<'_>],
    base: BaseCommit<'_>,
) {
    let old_paths: BTreeMap<&RepoPath, &RepoPath> = files
        .iter()
        .filter(|file| has_unknown_changes(file))
        .map(|file| (&file.path, file.old_path.as_ref().unwrap_or(&file.path)))
        .collect();
    let binary = gaps.iter_mut().filter(|gap| gap.reason == SkipReason::Binary);
    let changed: Vec<(&RepoPath, &mut CoverageGap)> =
        binary.filter_map(|gap| Some((*old_paths.get(&gap.path)?, gap))).collect();
    if changed.is_empty() {
        return;
    }
    let paths: Vec<RepoPath> = changed.iter().map(|(old_path, _)| (*old_path).clone()).collect();
    let folder = match base.export_files(&paths).await {
        Ok(folder) => folder,
        Err(error) => {
            tracing::warn!(%error, "the base versions of binary files cannot be read");
            return;
        }
    };
    let Ok(tree) = FileTree::open(folder.path()) else { return };
    for (old_path, gap) in changed {
        let is_text = |bytes: Vec<u8>| !bytes.iter().take(PROBE_BYTES).any(|byte| *byte == 0);
        if tree.read_bytes(old_path).is_ok_and(is_text) {
            gap.reason = SkipReason::BecameBinary;
        }
    }
}
