//! A local repository, read without changing a byte of it and without executing what it holds.

mod base;
mod branch;
mod facts;
mod hooks;
mod index;
mod lfs;
pub(crate) mod special;
mod worktree;

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use truing_core::RepoPath;
use truing_core::id::Sha;

use crate::command::GitCommand;
use crate::view::{IsolatedGitDir, borrow, lay_out, sha};
use crate::{CommitDiff, ExportSummary, Git, GitError, PrivateFolder, TreeFile};
use facts::{RepositoryLayout, RepositorySettings};

pub use base::{DefaultBase, DefaultBaseSource};
pub use index::IndexSnapshot;
pub use worktree::WorktreeDiff;

/// How like an unknown name another must be to be offered instead (Jaro-Winkler, 0 to 1).
const NEAR: f64 = 0.8;
/// How many names are compared for that.
const MAX_NAMES: &str = "5000";

/// A repository with a working tree.
#[derive(Clone, Debug)]
pub struct LocalRepository {
    git: Git,
    layout: RepositoryLayout,
    settings: RepositorySettings,
    /// The default branch's candidates, best first.
    branches: Vec<base::BranchCandidate>,
    view: IsolatedGitDir,
    /// Holds the view; gone with the last clone.
    _private: Arc<PrivateFolder>,
}

impl Git {
    /// Opens the repository that `path` is in: its root, a folder below, a linked worktree, a submodule.
    ///
    /// # Errors
    /// [`GitError::PathMissing`], [`GitError::NotADirectory`], [`GitError::NotARepository`],
    /// [`GitError::NoWorkTree`], [`GitError::ForeignWorkTree`], [`GitError::SpecialFile`],
    /// [`GitError::HugeFile`], [`GitError::NoCommits`].
    #[truing_core::boxed_future]
    pub async fn open(&self, path: &Path) -> Result<LocalRepository, GitError> {
        let repository = self.open_unborn(path).await?;
        match repository.layout.head {
            Some(_) => Ok(repository),
            None => Err(GitError::NoCommits(path.to_owned())),
        }
    }

    /// Opens it as [`Git::open`] does, also if nothing has been committed yet.
    ///
    /// # Errors
    /// As [`Git::open`], without [`GitError::NoCommits`].
    #[truing_core::boxed_future]
    pub async fn open_unborn(&self, path: &Path) -> Result<LocalRepository, GitError> {
        let folder = std::fs::canonicalize(path).map_err(|source| {
            let path = path.to_owned();
            if source.kind() == ErrorKind::NotFound {
                GitError::PathMissing(path)
            } else if source.kind() == ErrorKind::NotADirectory {
                GitError::NotADirectory(path)
            } else {
                GitError::Io { doing: "cannot open", path, source }
            }
        })?;
        if !folder.is_dir() {
            return Err(GitError::NotADirectory(path.to_owned()));
        }
        let folders = special::refuse_special_files(&folder)?;
        special::refuse_included(self, &folders).await?;
        let layout = RepositoryLayout::ask(self, &folder, path).await?;
        // A hostile `core.worktree` must not make us read the files of another folder.
        let root = &layout.root;
        if std::fs::symlink_metadata(root.join(".git")).is_err() || !folder.starts_with(root) {
            return Err(GitError::ForeignWorkTree { path: path.to_owned(), root: root.clone() });
        }

        let private = self.private_folder()?;
        lay_out(private.path(), layout.format)?;
        borrow(private.path(), &layout.objects)?;
        let on_it = |name| self.call(name).folder(&layout.root).env("GIT_DIR", &layout.git_dir);
        let reads_user = !self.options().user_variables.is_empty();
        let (settings, branches) = tokio::join!(
            RepositorySettings::ask(|| on_it("config"), reads_user),
            base::branches(on_it("for-each-ref"))
        );
        let settings = settings?;
        let view = IsolatedGitDir::new(self.clone(), private.path().to_owned(), layout.format);
        Ok(LocalRepository {
            git: self.clone(),
            view: view.of_partial_clone(settings.partial),
            settings,
            branches: branches?,
            layout,
            _private: Arc::new(private),
        })
    }
}

impl LocalRepository {
    /// The top folder of the working tree.
    pub fn root(&self) -> &Path {
        &self.layout.root
    }

    /// The top folder of the first working tree: the same for all that are linked to it.
    pub fn first_root(&self) -> &Path {
        let git_dir =
            self.layout.objects.parent().filter(|dir| dir.file_name().is_some_and(|name| name == ".git"));
        git_dir.and_then(Path::parent).unwrap_or(&self.layout.root)
    }

    /// Is some of the history missing (`git clone --depth`)?
    pub fn is_shallow(&self) -> bool {
        self.layout.shallow
    }

    /// The commit that was checked out when it was opened.
    ///
    /// # Errors
    /// [`GitError::NoCommits`] if there is none.
    pub fn head(&self) -> Result<&Sha, GitError> {
        self.born_head().ok_or_else(|| GitError::NoCommits(self.layout.root.clone()))
    }

    /// The commit that was checked out when it was opened; none if nothing had been committed yet on the current
    /// branch.
    pub fn born_head(&self) -> Option<&Sha> {
        self.layout.head.as_ref()
    }

    /// The tree without entries: what a repository without a commit is compared with.
    ///
    /// # Errors
    /// None that is expected: git's own constant is an id.
    pub fn empty_tree(&self) -> Result<Sha, GitError> {
        sha("hash-object", self.view.format().empty_tree().as_bytes())
    }

    /// The branch that is checked out; none if HEAD is detached.
    #[truing_core::boxed_future]
    pub async fn branch(&self) -> Result<Option<String>, GitError> {
        let name = self.symbolic_ref("HEAD").await?;
        Ok(name.map(|name| name.strip_prefix("refs/heads/").map_or(name.clone(), str::to_owned)))
    }

    /// The commit that a name stands for: a branch, a tag, an id, `HEAD~2` and the like.
    ///
    /// # Errors
    /// [`GitError::BadRevision`] for what would be an option, [`GitError::UnknownRevision`] with the nearest
    /// branch or tag.
    #[truing_core::boxed_future]
    pub async fn resolve(&self, revision: &str) -> Result<Sha, GitError> {
        if revision.is_empty() || revision.starts_with('-') || revision.chars().any(char::is_control) {
            return Err(GitError::BadRevision(
                revision.chars().filter(|c| !c.is_control()).take(80).collect(),
            ));
        }
        if let Some(found) = self.commit_named(revision).await? {
            return Ok(found);
        }
        let near = self.nearest_name(revision).await?;
        Err(GitError::UnknownRevision { revision: revision.to_owned(), near, shallow: self.is_shallow() })
    }

    /// The URL of `origin`, without credentials; none if there was no such remote when it was opened.
    pub fn remote_url(&self) -> Option<&str> {
        self.settings.origin.as_deref()
    }

    /// The diff between two commits (or a tree, as [`DefaultBase::commit`] may be), in git's own form: with renames, without colours, programs or attributes. It shows of
    /// a file over [`crate::GitLimits::file_bytes`] that it is changed, as of a binary one, and so of the largest others where
    /// it would have more than [`crate::GitLimits::diff_bytes`].
    ///
    /// # Errors
    /// [`GitError::TooLarge`] if the names of the files have more than that.
    #[truing_core::boxed_future]
    pub async fn diff(&self, base: &Sha, head: &Sha) -> Result<Vec<u8>, GitError> {
        self.view.diff(base, head).await.map(|found| found.diff)
    }

    /// That diff, and the files whose lines it does not show.
    ///
    /// # Errors
    /// As [`LocalRepository::diff`].
    #[truing_core::boxed_future]
    pub async fn commit_diff(&self, base: &Sha, head: &Sha) -> Result<CommitDiff, GitError> {
        self.view.diff(base, head).await
    }

    /// The diff between two commits with the lines of every file, however large: git loads them whole. For commands that follow
    /// lines, on a repository of whoever runs them.
    ///
    /// # Errors
    /// [`GitError::TooLarge`] if it has more than [`crate::GitLimits::diff_bytes`].
    #[truing_core::boxed_future]
    pub async fn whole_diff(&self, base: &Sha, head: &Sha) -> Result<Vec<u8>, GitError> {
        self.view.diff_call().arg(base.as_str()).arg(head.as_str()).arg("--").read().await
    }

    /// The commits of `head` that `base` has not, newest first, without merges; 201 at most.
    ///
    /// # Errors
    /// [`GitError`]
    #[truing_core::boxed_future]
    pub async fn commits_since(&self, base: &Sha, head: &Sha) -> Result<Vec<Sha>, GitError> {
        self.view.commits(&[base], head).await
    }

    /// Writes a commit's files, or `only` some, below `dest` as plain files: see [`ExportSummary`].
    ///
    /// # Errors
    /// [`GitError::Failed`] if the commit is not here, [`GitError::Io`] if `dest` cannot be written.
    #[truing_core::boxed_future]
    pub async fn export(
        &self,
        sha: &Sha,
        dest: &Path,
        only: Option<&[RepoPath]>,
    ) -> Result<ExportSummary, GitError> {
        self.view.export(sha, dest, only).await
    }

    /// Writes all files of a commit as plain files to a private folder: see [`ExportSummary`]. It is in memory if they are few and small.
    ///
    /// # Errors
    /// [`GitError::Failed`] if the commit is not here, [`GitError::Io`] if the files cannot be written.
    #[truing_core::boxed_future]
    pub async fn export_all(&self, sha: &Sha) -> Result<(PrivateFolder, ExportSummary), GitError> {
        self.view.export_all(sha).await
    }

    /// The files of a commit that are these paths, or in folders of these names, without their content.
    ///
    /// # Errors
    /// [`GitError::Failed`] if the commit is not here.
    #[truing_core::boxed_future]
    pub async fn list(&self, sha: &Sha, at: &[&str]) -> Result<Vec<TreeFile>, GitError> {
        self.view.list(sha, at).await
    }

    /// The content of a file of a commit, as it is stored; none if there is no such file, or it is no plain one.
    ///
    /// # Errors
    /// [`GitError::TooLarge`] over [`crate::GitLimits::file_bytes`], [`GitError::Failed`] if the commit is not here.
    #[truing_core::boxed_future]
    pub async fn read(&self, sha: &Sha, path: &RepoPath) -> Result<Option<Vec<u8>>, GitError> {
        self.view.read(sha, path).await
    }

    /// A call on the repository itself, with its configuration: only for subcommands that resolve names and
    /// walk commits, which run nothing.
    fn call(&self, name: &'static str) -> GitCommand {
        self.git.call(name).folder(self.root()).env("GIT_DIR", &self.layout.git_dir)
    }

    async fn commit_named(&self, revision: &str) -> Result<Option<Sha>, GitError> {
        let call = self.call("rev-parse").args(["--verify", "--quiet", "--end-of-options"]);
        let finished = call.arg(format!("{revision}^{{commit}}")).run().await?;
        match finished.code() {
            Some(0) => sha("rev-parse", &finished.stdout).map(Some),
            // 1: no such name; 128: not even the form of one, or ambiguous.
            Some(1 | 128) => Ok(None),
            Some(_) | None => Err(finished.failure("rev-parse")),
        }
    }

    /// The full name of the ref that a symbolic one points to.
    async fn symbolic_ref(&self, name: &str) -> Result<Option<String>, GitError> {
        let finished = self.call("symbolic-ref").args(["--quiet", name]).run().await?;
        if finished.code() == Some(1) {
            return Ok(None);
        }
        let target = finished.success("symbolic-ref")?;
        Ok(Some(String::from_utf8_lossy(&target).trim_end().to_owned()))
    }

    async fn nearest_name(&self, wanted: &str) -> Result<Option<String>, GitError> {
        let call = self.call("for-each-ref").args(["--format=%(refname:lstrip=2)", "--count", MAX_NAMES]);
        let names = call.args(["refs/heads", "refs/remotes", "refs/tags"]).read().await?;
        let names = String::from_utf8_lossy(&names);
        let likeness = names.lines().map(|name| (strsim::jaro_winkler(wanted, name), name));
        let best = likeness.filter(|(like, _)| *like >= NEAR).max_by(|a, b| a.0.total_cmp(&b.0));
        Ok(best.map(|(_, name)| name.to_owned()))
    }
}
