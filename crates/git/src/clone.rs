//! A private clone: a working tree with a git folder of its own, for programs that nobody vouches for.
//!
//! It holds a commit's files as a checkout has them, and copies of the objects below it. Nothing in it leads back: no
//! remote, no hook, no borrowed object, no configuration but ours. What a tree says of itself (`.gitattributes`) names
//! programs that are not configured, so none is run.

use std::path::Path;

use truing_core::id::Sha;

use crate::view::{View, make_objects, write};
use crate::{GitError, Mirror};

/// All that the clone is configured with.
const CONFIG: &[u8] = b"[core]\n\trepositoryformatversion = 0\n\tbare = false\n\tlogAllRefUpdates = false\n";

impl Mirror {
    /// Checks `head` out in `dest`, a folder that must be empty, with its history and that of `also`. `HEAD` is the
    /// commit itself, on no branch.
    ///
    /// # Errors
    /// [`GitError::Failed`] if a commit is not here, [`GitError::Io`] if `dest` cannot be written.
    pub async fn private_clone(&self, head: &Sha, also: &[Sha], dest: &Path) -> Result<(), GitError> {
        let inside = dest.join(".git");
        make_objects(&inside)?;
        let io = |source| GitError::Io { doing: "cannot make", path: inside.join("refs"), source };
        std::fs::create_dir(inside.join("refs")).map_err(io)?;
        write(&inside.join("config"), CONFIG)?;
        write(&inside.join("HEAD"), format!("{head}\n").as_bytes())?;

        let clone = View::new(self.view().git().clone(), inside.clone(), self.view().format());
        let revisions: Vec<String> = [head].into_iter().chain(also).map(Sha::to_string).collect();
        // A power failure ends whoever works there, too.
        let store = (inside.join("objects"), "none");
        clone.copy_objects(&self.dir().join("objects"), (&store.0, store.1), &revisions).await?;
        let checkout = clone.call_with_attributes("reset").folder(dest).env("GIT_WORK_TREE", dest);
        checkout.args(["--hard", "--quiet"]).arg(head.as_str()).arg("--").read().await.map(drop)
    }
}
