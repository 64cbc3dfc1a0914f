//! The files of a port: which may differ, what does, and copying that into a clone that nobody has touched. No link is
//! followed: a model's commands may have left some.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use truing_agent::tree::{Kept, Tree};
use truing_agent::verify::decides_set_up;
use truing_core::RepoPath;
use truing_core::id::Sha;
use truing_core::policy::{Action, Policy, ProfileName};
use truing_git::{Edited, Mirror, PrivateFolder};

use super::{PortError, blocking};
use crate::config::sync::JobConfig;

/// Paths that an error names.
const NAMED: usize = 10;

/// Which files a port may change.
#[derive(Debug)]
pub(in crate::loops::sync) struct Allowed {
    globs: GlobSet,
    policy: Policy,
    /// What the server writes itself.
    own: [RepoPath; 2],
}

/// A file that differs: what it holds, or that it is gone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::loops::sync) struct Change {
    pub(in crate::loops::sync) path: RepoPath,
    pub(in crate::loops::sync) content: Option<Vec<u8>>,
}

impl Allowed {
    /// By the job's globs and the policy of the profile `sync`.
    pub(super) fn new(job: &JobConfig) -> Result<Self, PortError> {
        let mut globs = GlobSetBuilder::new();
        for glob in &job.ports {
            globs.add(GlobBuilder::new(glob).literal_separator(true).build()?);
        }
        Ok(Self {
            globs: globs.build()?,
            policy: Policy::shipped(ProfileName::Sync)?,
            own: [&job.constraint_file, &job.manifest].map(|path| RepoPath::from(path.as_str())),
        })
    }

    /// May this file be changed?
    pub(super) fn admits(&self, path: &RepoPath) -> bool {
        let Some(text) = path.as_str() else { return false };
        let named = self.globs.is_match(text) && !self.own.contains(path) && !decides_set_up(Path::new(text));
        named && self.policy.judge(Action::Edit(text)).is_allowed()
    }
}

/// What differs between a commit and the folder that was made of it.
///
/// # Errors
/// [`PortError::Paths`] for a file that may not be changed.
pub(super) async fn changes(
    mirror: &Mirror,
    base: &Sha,
    folder: &Path,
    allowed: &Allowed,
) -> Result<Vec<Change>, PortError> {
    let staged = mirror.stage(base, folder, None).await?;
    let paths = staged.paths.iter().map(|(path, _)| path).chain(&staged.left_out);
    let refused: Vec<String> = paths.filter(|path| !allowed.admits(path)).map(RepoPath::to_string).collect();
    if !refused.is_empty() {
        let more = refused.len().saturating_sub(NAMED);
        let mut named = refused.into_iter().take(NAMED).collect::<Vec<_>>().join(", ");
        if more > 0 {
            named += &format!(" and {more} more");
        }
        return Err(PortError::Paths(named));
    }
    taken(folder, staged.paths).await
}

/// The content of files as they are in a folder.
async fn taken(folder: &Path, paths: Vec<(RepoPath, Edited)>) -> Result<Vec<Change>, PortError> {
    let folder = folder.to_owned();
    blocking(move || {
        let tree = Tree::open(&folder)?;
        let one = |(path, edited): (RepoPath, Edited)| match edited {
            Edited::Deleted => Ok(Change { path, content: None }),
            Edited::Added | Edited::Modified => match tree.read(&path) {
                Ok(content) => Ok(Change { path, content: Some(content) }),
                Err(why) => Err(PortError::File { path, why }),
            },
        };
        paths.into_iter().map(one).collect()
    })
    .await
}

/// Makes the changes in a clone that no command has run in.
pub(super) fn put(folder: &Path, changes: &[Change]) -> Result<(), PortError> {
    for change in changes.iter().filter(|change| change.content.is_none()) {
        // A file of the commit that the clone is of: the folders above it are folders.
        std::fs::remove_file(folder.join(OsStr::from_bytes(change.path.as_bytes())))?;
    }
    let tree = Tree::open(folder)?;
    for Change { path, content } in changes {
        let Some(new) = content else { continue };
        let written = match tree.read(path) {
            Ok(old) => tree.replace(path, &old, new).map(drop),
            Err(Kept::Changed) => tree.create(path, new),
            Err(why) => Err(why),
        };
        written.map_err(|why| PortError::File { path: path.clone(), why })?;
    }
    Ok(())
}

/// Brings what an earlier run has saved at `head` into a clone of `tip`. The answer: files of it that do not go together
/// with what has come to the base branch since, and are as they are there.
pub(super) async fn lay_over(
    mirror: &Mirror,
    (tip, head): (&Sha, &Sha),
    folder: &Path,
    allowed: &Allowed,
) -> Result<Vec<RepoPath>, PortError> {
    mirror.fetch(std::slice::from_ref(head)).await?;
    let base = mirror.merge_base(tip, head).await?.unwrap_or_else(|| tip.clone());
    let theirs = PrivateFolder::new()?;
    mirror.private_clone(head, &[], theirs.path()).await?;
    let mut staged = mirror.stage(&base, theirs.path(), None).await?;
    // Range and digests are written anew.
    staged.paths.retain(|(path, _)| allowed.admits(path));
    let (mut changes, mut left) = (Vec::new(), Vec::new());
    for saved in taken(theirs.path(), staged.paths).await? {
        let (was, is) = (mirror.read(&base, &saved.path).await?, mirror.read(tip, &saved.path).await?);
        if is == saved.content {
            continue;
        }
        match (was == is, was, is, &saved.content) {
            (true, ..) => changes.push(saved),
            (false, Some(was), Some(is), Some(mine)) => match diffy::merge_bytes(&was, &is, mine) {
                Ok(merged) => changes.push(Change { content: Some(merged), ..saved }),
                Err(_) => left.push(saved.path),
            },
            (false, ..) => left.push(saved.path),
        }
    }
    let folder = folder.to_owned();
    blocking(move || put(&folder, &changes)).await?;
    Ok(left)
}
