//! A private clone for untrusted programs: a working tree with its own git folder.
//!
//! The clone contains a commit's files as a checkout creates them, and copies of the objects of the commit
//! and its history. Nothing in the clone refers to the mirror: the clone has no remote, no hook and no
//! borrowed object. Its configuration is only ours. The tree's `.gitattributes` can name programs, but git
//! runs only configured programs, and the clone configures none.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::time::SystemTime;

use truing_core::id::Sha;

use crate::isolated_git_dir::{IsolatedGitDir, create_object_store, write_file};
use crate::{GitError, Mirror};

/// Complete configuration of the clone.
const CONFIG: &[u8] = b"[core]\n\trepositoryformatversion = 0\n\tbare = false\n\tlogAllRefUpdates = false\n";

/// The index of a clone, as the checkout left it. With this index, [`Mirror::stage_clone`] need not read
/// unmodified files again.
#[derive(Debug)]
pub struct CheckoutIndex {
    bytes: Vec<u8>,
    /// Modification time of the index file. If a file was written at or after this time, git reads the file
    /// again instead of trusting its recorded times.
    modified_at: SystemTime,
}

impl CheckoutIndex {
    /// Reads the index. The index must be read before any program runs in the clone, because the clone's git
    /// folder is untrusted afterwards.
    fn from_file(index: &Path) -> Result<Self, GitError> {
        let read = || {
            let (mut file, mut bytes) = (File::open(index)?, Vec::new());
            file.read_to_end(&mut bytes)?;
            Ok(Self { bytes, modified_at: file.metadata()?.modified()? })
        };
        read().map_err(|source| GitError::Io { failure: "cannot read", path: index.to_owned(), source })
    }

    /// Writes the index with its original time into another git folder.
    pub(crate) fn write_to(&self, index: &Path) -> Result<(), GitError> {
        write_file(index, &self.bytes)?;
        let aged =
            File::options().write(true).open(index).and_then(|file| file.set_modified(self.modified_at));
        aged.map_err(|source| GitError::Io { failure: "cannot write", path: index.to_owned(), source })
    }
}

impl Mirror {
    /// Checks out `head` in `dest`, which must be an empty folder. The clone contains the history of `head`
    /// and of `other_commits`. `HEAD` is detached at `head`.
    ///
    /// # Errors
    /// [`GitError::CommandFailed`] if a commit is not in the mirror, [`GitError::Io`] if `dest` cannot be
    /// written.
    #[truing_core::boxed_future]
    pub async fn check_out_private_clone(
        &self,
        head: &Sha,
        other_commits: &[Sha],
        dest: &Path,
    ) -> Result<CheckoutIndex, GitError> {
        let git_dir = dest.join(".git");
        create_object_store(&git_dir)?;
        let io = |source| GitError::Io { failure: "cannot make", path: git_dir.join("refs"), source };
        std::fs::create_dir(git_dir.join("refs")).map_err(io)?;
        write_file(&git_dir.join("config"), CONFIG)?;
        write_file(&git_dir.join("HEAD"), format!("{head}\n").as_bytes())?;

        let clone = IsolatedGitDir::new(
            self.isolated_dir().git().clone(),
            git_dir.clone(),
            self.isolated_dir().object_format(),
        );
        let revisions: Vec<String> = [head].into_iter().chain(other_commits).map(Sha::to_string).collect();
        // After a power failure, the clone is not used any more, so its objects are not synced to disk.
        let store = (git_dir.join("objects"), "none");
        clone.copy_objects(&self.dir().join("objects"), &store.0, store.1, &revisions).await?;
        let checkout = clone.command_with_attributes("reset").in_folder(dest).env("GIT_WORK_TREE", dest);
        checkout.args(["--hard", "--quiet"]).arg(head.as_str()).arg("--").read_output().await?;
        CheckoutIndex::from_file(&git_dir.join("index"))
    }
}
