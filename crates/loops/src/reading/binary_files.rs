//! Finds the changed files that git treats as binary although they were text at the base, or are source code
//! by their name or first line. Rules other than the rules for secrets would otherwise be silent about such a
//! file, without a trace in the review.

use std::collections::BTreeMap;
use std::path::Path;

use truing_core::outcome::{CoverageGap, SkipReason};
use truing_diff::{FileDiff, FileStatus, RepoPath};
use truing_reader::FileTree;

use crate::tools::BaseCommit;

/// Number of bytes at the beginning of a file in which git searches for a NUL byte.
const PROBE_BYTES: usize = 8000;

/// Endings of the names of source code that interpreters and compilers read.
const SOURCE_ENDINGS: &[&str] = &[
    "astro", "bash", "bat", "c", "cc", "cjs", "clj", "cpp", "cs", "css", "cts", "cxx", "dart", "erl", "ex",
    "exs", "fish", "go", "gradle", "groovy", "h", "hpp", "hs", "html", "java", "jl", "js", "jsx", "kt",
    "kts", "lua", "m", "mjs", "ml", "mts", "php", "pl", "pm", "ps1", "py", "pyi", "r", "rb", "rs", "scala",
    "scss", "sh", "sql", "svelte", "swift", "tf", "toml", "ts", "tsx", "vue", "yaml", "yml", "zsh",
];

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

/// Sets the reason of each new binary file that is source code by its name or its first line, so that the
/// review becomes partial. `tree` contains the files of the head.
pub(super) fn mark_binary_source(gaps: &mut [CoverageGap], files: &[FileDiff<'_>], tree: &Path) {
    let is_new = |path: &RepoPath| {
        files.iter().any(|file| file.path == *path && file.is_binary && file.status == FileStatus::Added)
    };
    let binary = gaps.iter_mut().filter(|gap| gap.reason == SkipReason::Binary && is_new(&gap.path));
    let mut head = None;
    for gap in binary {
        let ending = gap.path.as_bytes().rsplit(|byte| *byte == b'.').next().unwrap_or_default();
        let ending = String::from_utf8_lossy(ending).to_ascii_lowercase();
        let head = head.get_or_insert_with(|| FileTree::open(tree).ok()).as_ref();
        let is_script = || {
            let bytes = head.and_then(|head| head.read_bytes(&gap.path).ok());
            bytes.is_some_and(|bytes| bytes.starts_with(b"#!"))
        };
        if SOURCE_ENDINGS.contains(&ending.as_str()) || is_script() {
            gap.reason = SkipReason::BinarySource;
        }
    }
}
