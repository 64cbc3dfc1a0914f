//! Makes the part of a change that needs no model: the new bounds of the range, and the new digests. If the
//! project's code was ported, a definition's new digest replaces the earlier digests. If the project's code
//! stays unchanged, the new digest is added to the earlier digests.

use std::path::Path;

use sha2::{Digest as _, Sha256};
use truing_agent::tree::{ReplaceError, WritableTree};
use truing_config::sync::JobConfig;
use truing_core::RepoPath;
use truing_core::sync::{PinChangeKind, SyncVerdict};
use truing_upstream::manifest::{self, DigestUpdate, ManifestFileError};
use truing_upstream::project_requirement::{self, RequirementError};

use super::ReleaseDecision;
use super::place::requirement_place;
use crate::files::FileContentChange;

/// The reason why the change cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// The project's requirement cannot be read or widened.
    #[error(transparent)]
    Constraint(#[from] RequirementError),
    /// The manifest of pins cannot be read or written.
    #[error(transparent)]
    Manifest(#[from] ManifestFileError),
    /// The decision contains no new range.
    #[error("there is no requirement of {0} that could be widened")]
    NoRange(String),
    /// A file cannot be read or written.
    #[error("{path}: {reason}")]
    File {
        path: String,
        /// The reason for the failure, such as a symbolic link that could lead out of the project.
        reason: String,
    },
}

/// Writes the new range, and the new digest of each pinned definition that changed, into the project's
/// folder. Returns the written files.
///
/// # Errors
/// [`ChangeError`]. Files that were already written stay changed.
pub(super) fn apply_change(
    project: &Path,
    job: &JobConfig,
    release_decision: &ReleaseDecision,
) -> Result<Vec<FileContentChange>, ChangeError> {
    let spec =
        release_decision.spec_after.as_ref().ok_or_else(|| ChangeError::NoRange(job.package.clone()))?;
    let mut files = Vec::new();
    let file = project.join(&job.constraint_file);
    let old = read_regular_file(project, &job.constraint_file)?;
    let place = requirement_place(job, &file);
    let text = project_requirement::file_text_with_range(&place, spec, &release_decision.hashes)?;
    files.push(replace_file(project, &job.constraint_file, old, text)?);
    let changed = release_decision.decision.pin_changes.iter().filter(|change| match change.kind {
        PinChangeKind::Bytes => true,
        PinChangeKind::Tree => release_decision.decision.verdict == SyncVerdict::Bump,
        PinChangeKind::Removed => false,
    });
    let added: Vec<DigestUpdate<'_>> = changed
        .filter_map(|change| {
            let (old, new) = (change.old_hash.as_deref()?, change.new_hash.as_deref()?);
            Some(DigestUpdate { symbol: &change.symbol, old, new })
        })
        .collect();
    if !added.is_empty() {
        let file = project.join(&job.manifest);
        let old = read_regular_file(project, &job.manifest)?;
        let is_test = file.extension().is_some_and(|extension| extension == "py");
        let digests: Vec<(&str, &str)> = added.iter().map(|one| (one.symbol, one.new)).collect();
        let text = match (release_decision.decision.verdict, is_test) {
            (SyncVerdict::Relax, true) => manifest::add_hash_test_digests(&file, &added)?,
            (SyncVerdict::Relax, false) => manifest::add_digests(&file, &digests)?,
            (SyncVerdict::Bump, true) => manifest::replace_hash_test_digests(&file, &added)?,
            (SyncVerdict::Bump, false) => manifest::replace_digests(&file, &digests)?,
            (SyncVerdict::Ask | SyncVerdict::Skip, _) => return Ok(files),
        };
        files.push(replace_file(project, &job.manifest, old, text)?);
    }
    Ok(files)
}

/// Returns the digest of a manifest's bytes, in hexadecimal digits.
pub(super) fn manifest_digest(manifest: &[u8]) -> String {
    hex::encode(Sha256::digest(manifest))
}

/// Returns the content of a file that belongs to the job. None if the file does not exist. The file must be a
/// plain file inside the project, because a tracked symbolic link could lead out of the project.
///
/// # Errors
/// [`ChangeError::File`]
pub(super) fn read_regular_file(project: &Path, name: &str) -> Result<Option<Vec<u8>>, ChangeError> {
    let to_change_error = |reason: String| ChangeError::File { path: name.to_owned(), reason };
    let tree = WritableTree::open(project).map_err(|error| to_change_error(error.to_string()))?;
    match tree.read(&RepoPath::from(name)) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(ReplaceError::ContentChanged) => Ok(None),
        Err(error) => Err(to_change_error(error.to_string())),
    }
}

/// Replaces the content of a plain file.
///
/// # Errors
/// [`ChangeError::File`]
pub(super) fn replace_file(
    project: &Path,
    name: &str,
    old: Option<Vec<u8>>,
    new: String,
) -> Result<FileContentChange, ChangeError> {
    let to_change_error = |reason: String| ChangeError::File { path: name.to_owned(), reason };
    let tree = WritableTree::open(project).map_err(|error| to_change_error(error.to_string()))?;
    let path = RepoPath::from(name);
    let replaced = tree.replace(&path, &old.unwrap_or_default(), new.as_bytes());
    replaced.map_err(|error| to_change_error(error.to_string()))?;
    Ok(FileContentChange { path, content: Some(new.into_bytes()) })
}
