//! The files of a port: which files may change, which files did change, and how the changes are copied to a
//! clean clone. Symbolic links are not followed, because a model's commands may have created them.

use std::path::Path;
use std::sync::Arc;

use globset::GlobSet;
use truing_agent::verify::affects_setup;
use truing_config::sync::JobConfig;
use truing_config::value;
use truing_core::RepoPath;
use truing_core::id::Sha;
use truing_core::policy::{AgentAction, AgentPolicy};
use truing_git::{Mirror, PrivateFolder};

use super::CodeMigrationError;
use crate::files::{FileContentChange, read_changes, summarise_paths, write_changes};
use crate::sync::release_note;

/// The files that a port may change.
#[derive(Debug)]
pub(in crate::sync) struct MigrationPathPolicy {
    globs: GlobSet,
    policy: Arc<AgentPolicy>,
    /// Files that Truing writes without the model.
    server_written_files: Vec<RepoPath>,
    /// Globs of the files that lock commands write.
    lock_file_globs: GlobSet,
}

impl MigrationPathPolicy {
    /// Creates the policy from the job's globs and the policy for ports.
    pub(super) fn new(job: &JobConfig, policy: Arc<AgentPolicy>) -> Result<Self, CodeMigrationError> {
        let own = [&job.constraint_file, &job.manifest].map(|path| RepoPath::from(path.as_str())).into_iter();
        Ok(Self {
            globs: value::compile_globs(&job.portable_file_globs)?,
            policy,
            lock_file_globs: value::compile_globs(&job.lock_files)?,
            server_written_files: own.chain(release_note::written_paths(job)).collect(),
        })
    }

    /// True if the port may change this file.
    pub(super) fn allows_path(&self, path: &RepoPath) -> bool {
        let Some(text) = path.as_str() else { return false };
        let is_own = self.server_written_files.contains(path) || self.lock_file_globs.is_match(text);
        let named = self.globs.is_match(text) && !is_own && !affects_setup(Path::new(text));
        named && self.policy.judge(AgentAction::Edit(text)).is_allowed()
    }
}

/// Returns the differences between the commit `base` and the folder that was created from it.
///
/// # Errors
/// [`CodeMigrationError::Paths`] for a file that may not be changed.
pub(super) async fn collect_changes(
    mirror: &Mirror,
    base: &Sha,
    folder: &Path,
    path_policy: &MigrationPathPolicy,
) -> Result<Vec<FileContentChange>, CodeMigrationError> {
    let staged = mirror.stage_folder(base, folder, None).await?;
    let paths = staged.paths.iter().map(|(path, _)| path).chain(&staged.omitted_paths);
    let refused: Vec<&RepoPath> = paths.filter(|path| !path_policy.allows_path(path)).collect();
    if !refused.is_empty() {
        return Err(CodeMigrationError::ForbiddenPaths(summarise_paths(&refused)));
    }
    Ok(read_changes(folder, staged.paths).await?)
}

/// Applies the changes that an earlier run has saved at `head` to a clone of `tip`, which is the newest
/// commit of the base branch. Returns the files for which the saved changes conflict with newer changes in
/// the base branch. These files keep the content of the base branch.
pub(super) async fn apply_saved_changes(
    mirror: &Mirror,
    tip: &Sha,
    head: &Sha,
    folder: &Path,
    path_policy: &MigrationPathPolicy,
) -> Result<Vec<RepoPath>, CodeMigrationError> {
    mirror.fetch(std::slice::from_ref(head)).await?;
    let base = mirror.merge_base(tip, head).await?.unwrap_or_else(|| tip.clone());
    let theirs = PrivateFolder::new()?;
    mirror.check_out_private_clone(head, &[], theirs.path()).await?;
    let mut staged = mirror.stage_folder(&base, theirs.path(), None).await?;
    // Files that a port must not change are omitted. Some of them, such as the files with the range and the
    // digests, are written again by this run.
    staged.paths.retain(|(path, _)| path_policy.allows_path(path));
    let (mut changes, mut left) = (Vec::new(), Vec::new());
    for saved in read_changes(theirs.path(), staged.paths).await? {
        let (was, is) =
            (mirror.read_file(&base, &saved.path).await?, mirror.read_file(tip, &saved.path).await?);
        if is == saved.content {
            continue;
        }
        match (was == is, was, is, &saved.content) {
            (true, ..) => changes.push(saved),
            (false, Some(was), Some(is), Some(mine)) => match diffy::merge_bytes(&was, &is, mine) {
                Ok(merged) => changes.push(FileContentChange { content: Some(merged), ..saved }),
                Err(_) => left.push(saved.path),
            },
            (false, ..) => left.push(saved.path),
        }
    }
    write_changes(folder, &changes).await?;
    Ok(left)
}
