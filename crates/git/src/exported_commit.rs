//! Exports a commit to a private folder, and can later update this folder to another commit. Files that are
//! equal in both commits are not written again.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use tokio::task::spawn_blocking;
use truing_core::RepoPath;
use truing_core::id::Sha;
use truing_core::outcome::{CoverageGap, SkipReason};

use crate::{ExportSummary, GitError, Mirror, PrivateFolder};

/// Plain files of a commit in a private folder. Only this type writes to the folder.
#[derive(Debug)]
pub struct ExportedCommit {
    folder: PrivateFolder,
    sha: Sha,
    /// Blob id of each file in the folder, by path.
    blobs: HashMap<RepoPath, String>,
    omitted_files: Vec<CoverageGap>,
}

impl ExportedCommit {
    /// Returns the path of the folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Returns the files of the commit that are not in the folder: see [`ExportSummary::omitted_files`].
    pub fn omitted_files(&self) -> &[CoverageGap] {
        &self.omitted_files
    }

    /// Returns true if the folder can be updated to another commit. If a file could not be written, the
    /// folder is not updated, because a removed file may have been the cause.
    fn is_updatable(&self) -> bool {
        self.omitted_files.iter().all(|gap| gap.reason != SkipReason::Unreadable)
    }
}

impl Mirror {
    /// Writes a commit's files as [`Mirror::export`] does. Updates the folder of `previous` if possible;
    /// otherwise uses a new folder.
    ///
    /// # Errors
    /// As [`Mirror::export`].
    #[truing_core::boxed_future]
    pub async fn export_in_place(
        &self,
        sha: &Sha,
        previous: Option<ExportedCommit>,
    ) -> Result<ExportedCommit, GitError> {
        let previous = match previous {
            Some(laid) if laid.sha == *sha => return Ok(laid),
            previous => previous.filter(ExportedCommit::is_updatable),
        };
        let view = self.isolated_dir();
        let (mut entries, exported) = view.select_files(sha).await?;
        let ids = entries.iter().map(|entry| (entry.path.clone(), entry.id.clone()));
        let mut blobs: HashMap<RepoPath, String> = ids.collect();
        let (folder, old) = match previous {
            Some(ExportedCommit { folder, sha: _, blobs, omitted_files: _ }) => (folder, blobs),
            None => (view.git().create_private_folder()?, HashMap::new()),
        };
        let gone: Vec<RepoPath> = old
            .iter()
            .filter(|(path, id)| blobs.get(path) != Some(id))
            .map(|(path, _)| path.clone())
            .collect();
        let at = folder.path().to_owned();
        let removed =
            spawn_blocking(move || gone.iter().try_for_each(|path| remove_file_and_empty_parents(&at, path)))
                .await;
        removed.unwrap_or_else(|stopped| Err(std::io::Error::other(stopped))).map_err(|source| {
            GitError::Io { failure: "cannot remove files in", path: folder.path().to_owned(), source }
        })?;
        entries.retain(|entry| old.get(&entry.path) != Some(&entry.id));
        let ExportSummary { omitted_files: left_out, .. } =
            view.write_files(&entries, exported, folder.path()).await?;
        for gap in &left_out {
            blobs.remove(&gap.path);
        }
        Ok(ExportedCommit { folder, sha: sha.clone(), blobs, omitted_files: left_out })
    }
}

/// Removes a file, and the parent folders that become empty.
fn remove_file_and_empty_parents(root: &Path, path: &RepoPath) -> std::io::Result<()> {
    let below = Path::new(OsStr::from_bytes(path.as_bytes()));
    std::fs::remove_file(root.join(below))?;
    for folder in below.ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty()) {
        match std::fs::remove_dir(root.join(folder)) {
            Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => break,
            removed => removed?,
        }
    }
    Ok(())
}
