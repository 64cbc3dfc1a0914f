//! Copies the index, and reads the content of the next commit from the copy. Changes to the index after the
//! copy have no effect.
//!
//! The working tree is not read. A path in conflict is not in the diff, because the index contains several
//! versions of the path. A path that is only intended to be added (`git add --intent-to-add`) is not in the
//! diff, because a commit does not include it.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;

use truing_core::RepoPath;
use truing_core::id::Sha;
use truing_core::outcome::{CoverageGap, SkipReason};

use super::LocalRepository;
use super::worktree::ScratchIndex;
use crate::command::GitCommand;
use crate::export::{ListedFile, split_listing};
use crate::isolated_git_dir::unknown_output_error;
use crate::{ExportSummary, GitError, WorktreeDiff};

/// A copy of an index.
#[derive(Debug)]
pub struct IndexSnapshot {
    repository: LocalRepository,
    scratch_index: ScratchIndex,
    /// Paths in conflict, which the diff omits.
    unmerged: Vec<RepoPath>,
}

impl LocalRepository {
    /// Copies the repository's index, or the index file `file`. For `git commit -a` and `git commit -- PATH`,
    /// git uses such an index file and passes its path to hooks in `GIT_INDEX_FILE`. A relative path starts
    /// at [`LocalRepository::root`], as in git. A missing index counts as empty.
    ///
    /// # Errors
    /// [`GitError::Io`] if the index cannot be copied, [`GitError::CommandFailed`] if the index is damaged.
    #[truing_core::boxed_future]
    pub async fn snapshot_index(&self, file: Option<&Path>) -> Result<IndexSnapshot, GitError> {
        let file = file.map(|file| self.root().join(file));
        let work = ScratchIndex::from_repository(self.clone(), file.as_deref()).await?;
        let mut index = IndexSnapshot { repository: self.clone(), scratch_index: work, unmerged: vec![] };
        let unmerged = index.list_entries(&["--unmerged"]).await?.into_iter().map(|entry| entry.path);
        // The index has several entries for a path in conflict, so duplicates are removed.
        let unmerged = unmerged.collect::<BTreeSet<_>>().into_iter().collect();
        index.unmerged = unmerged;
        Ok(index)
    }
}

impl IndexSnapshot {
    /// Returns the difference between `base` (a commit or tree) and the index. Paths in conflict are skipped.
    ///
    /// # Errors
    /// As [`LocalRepository::diff`].
    #[truing_core::boxed_future]
    pub async fn diff(&self, base: &Sha) -> Result<WorktreeDiff, GitError> {
        self.scratch_index.reset_to_base(base, &self.unmerged).await?;
        let sides = |call: GitCommand| {
            let flags = ["--cached", "--ita-invisible-in-index", base.as_str(), "--"];
            self.scratch_index.with_scratch_index(call).args(flags)
        };
        let view = &self.repository.isolated_dir;
        let found = view.diff_sides(&view.object_store(), sides).await?;
        let skip = |path: &RepoPath| CoverageGap { path: path.clone(), reason: SkipReason::Unmerged };
        let mut skipped = self.unmerged.iter().map(skip).chain(found.skipped_files).collect::<Vec<_>>();
        skipped.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(WorktreeDiff { diff: found.diff, skipped_files: skipped, ..WorktreeDiff::default() })
    }

    /// Writes the files of the index below `dest` as plain files: see [`ExportSummary`]. If `paths` is given,
    /// only these paths are written. Paths in `paths` that are not in the index are ignored.
    ///
    /// # Errors
    /// [`GitError::Io`] if `dest` cannot be written.
    #[truing_core::boxed_future]
    pub async fn export(&self, dest: &Path, paths: Option<&[RepoPath]>) -> Result<ExportSummary, GitError> {
        let paths = paths.map(|paths| paths.iter().collect::<HashSet<_>>());
        let is_wanted = |path: &RepoPath| paths.as_ref().is_none_or(|paths| paths.contains(path));
        let mut entries = self.list_entries(&[]).await?;
        entries.retain(|entry| is_wanted(&entry.path) && !self.unmerged.contains(&entry.path));
        self.repository.isolated_dir.export_entries(entries, dest).await
    }

    /// Returns the entries of the index.
    async fn list_entries(&self, pathspecs: &[&str]) -> Result<Vec<ListedFile>, GitError> {
        let call = self.scratch_index.with_scratch_index(self.repository.isolated_dir.command("ls-files"));
        let call =
            call.args(["--stage", "-z"]).args(pathspecs).max_output(self.scratch_index.max_listing_bytes());
        let listing = call.read_output().await?;
        split_listing(&listing)
            .map(|line| {
                ListedFile::from_index_line(line).ok_or_else(|| unknown_output_error("ls-files", line))
            })
            .collect()
    }
}
