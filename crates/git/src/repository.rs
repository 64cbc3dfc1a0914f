//! Reads a local repository without changing any of its files and without executing any of its content.

mod base;
mod branch;
mod hooks;
mod index;
mod lfs;
mod metadata;
pub(crate) mod special_files;
mod worktree;
mod worktree_listing;

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use truing_core::RepoPath;
use truing_core::branch_name::is_branch_name;
use truing_core::id::Sha;

use crate::command::GitCommand;
use crate::isolated_git_dir::{IsolatedGitDir, create_git_folder, parse_sha, write_alternates};
use crate::{CommitDiff, ExportSummary, Git, GitError, PrivateFolder, TreeFile};
use metadata::{RepositoryLayout, RepositorySettings};

pub use base::{DefaultBase, DefaultBaseSource};
pub use index::IndexSnapshot;
pub use metadata::ConfiguredRemote;
pub use worktree::WorktreeDiff;

/// Minimum similarity (Jaro-Winkler, 0 to 1) of an existing name to an unknown name. A less similar name is
/// not suggested.
const MIN_NAME_SIMILARITY: f64 = 0.8;
/// Maximum number of known names that are compared with an unknown name to find a suggestion.
const MAX_COMPARED_NAMES: &str = "5000";

/// Name of the remote that `git clone` creates.
pub const ORIGIN: &str = "origin";

/// A repository with a working tree.
#[derive(Clone, Debug)]
pub struct LocalRepository {
    git: Git,
    layout: RepositoryLayout,
    settings: RepositorySettings,
    /// Candidates for the default branch, best first.
    default_branch_candidates: Vec<base::BranchCandidate>,
    isolated_dir: IsolatedGitDir,
    /// Folder of the view. The folder is removed when the last clone of this value is dropped.
    _private: Arc<PrivateFolder>,
}

impl Git {
    /// Opens the repository that contains `path`. The path may be the root or any folder below it, also in a
    /// linked worktree or a submodule.
    ///
    /// # Errors
    /// [`GitError::PathMissing`], [`GitError::NotADirectory`], [`GitError::NotARepository`],
    /// [`GitError::NoWorkTree`], [`GitError::ForeignWorkTree`], [`GitError::SpecialFile`],
    /// [`GitError::HugeFile`], [`GitError::NoCommits`].
    #[truing_core::boxed_future]
    pub async fn open(&self, path: &Path) -> Result<LocalRepository, GitError> {
        let repository = self.open_without_commits(path).await?;
        match repository.layout.head {
            Some(_) => Ok(repository),
            None => Err(GitError::NoCommits(path.to_owned())),
        }
    }

    /// Opens a repository like [`Git::open`], but also accepts a repository without commits.
    ///
    /// # Errors
    /// As [`Git::open`], without [`GitError::NoCommits`].
    #[truing_core::boxed_future]
    pub async fn open_without_commits(&self, path: &Path) -> Result<LocalRepository, GitError> {
        let folder = std::fs::canonicalize(path).map_err(|source| {
            let path = path.to_owned();
            if source.kind() == ErrorKind::NotFound {
                GitError::PathMissing(path)
            } else if source.kind() == ErrorKind::NotADirectory {
                GitError::NotADirectory(path)
            } else {
                GitError::Io { failure: "cannot open", path, source }
            }
        })?;
        if !folder.is_dir() {
            return Err(GitError::NotADirectory(path.to_owned()));
        }
        let folders = special_files::check_repository_git_folders(&folder)?;
        special_files::check_config_includes(self, &folders).await?;
        let layout = RepositoryLayout::load(self, &folder, path).await?;
        // A hostile repository could set `core.worktree` to make Truing read the files of another folder.
        let root = &layout.root;
        if std::fs::symlink_metadata(root.join(".git")).is_err() || !folder.starts_with(root) {
            return Err(GitError::ForeignWorkTree { path: path.to_owned(), root: root.clone() });
        }

        let private = self.create_private_folder()?;
        create_git_folder(private.path(), layout.format)?;
        write_alternates(private.path(), &layout.objects)?;
        let on_it = |name| self.command(name).in_folder(&layout.root).env("GIT_DIR", &layout.git_dir);
        let reads_user = !self.options().config_variables.is_empty();
        let (settings, branches) = tokio::join!(
            RepositorySettings::load(|| on_it("config"), reads_user),
            base::default_branch_candidates(on_it("for-each-ref"))
        );
        let settings = settings?;
        let view = IsolatedGitDir::new(self.clone(), private.path().to_owned(), layout.format);
        Ok(LocalRepository {
            git: self.clone(),
            isolated_dir: view.with_partial_clone(settings.is_partial_clone),
            settings,
            default_branch_candidates: branches?,
            layout,
            _private: Arc::new(private),
        })
    }
}

impl LocalRepository {
    /// Returns the top folder of the working tree.
    pub fn root(&self) -> &Path {
        &self.layout.root
    }

    /// Returns the top folder of the main working tree. Each linked working tree belongs to this main working
    /// tree.
    pub fn main_worktree_root(&self) -> &Path {
        let git_dir =
            self.layout.objects.parent().filter(|dir| dir.file_name().is_some_and(|name| name == ".git"));
        git_dir.and_then(Path::parent).unwrap_or(&self.layout.root)
    }

    /// Returns true if a part of the history is missing (`git clone --depth`).
    pub fn is_shallow(&self) -> bool {
        self.layout.is_shallow
    }

    /// Returns the commit that was checked out when the repository was opened.
    ///
    /// # Errors
    /// [`GitError::NoCommits`] if there is none.
    pub fn head(&self) -> Result<&Sha, GitError> {
        self.head_if_any().ok_or_else(|| GitError::NoCommits(self.layout.root.clone()))
    }

    /// Returns the commit that was checked out when the repository was opened; none if the current branch had
    /// no commit.
    pub fn head_if_any(&self) -> Option<&Sha> {
        self.layout.head.as_ref()
    }

    /// Returns the empty tree. This tree is the base for a comparison in a repository without commits.
    ///
    /// # Errors
    /// No error occurs in practice: git's own constant is a valid id.
    pub fn empty_tree(&self) -> Result<Sha, GitError> {
        parse_sha("hash-object", self.isolated_dir.object_format().empty_tree().as_bytes())
    }

    /// Returns the branch that is checked out; none if HEAD is detached.
    #[truing_core::boxed_future]
    pub async fn current_branch(&self) -> Result<Option<String>, GitError> {
        let name = self.resolve_symbolic_ref("HEAD").await?;
        Ok(name.map(|name| name.strip_prefix("refs/heads/").map_or(name.clone(), str::to_owned)))
    }

    /// Resolves a revision, such as a branch, a tag, an id or `HEAD~2`, to a commit. If a branch and a tag
    /// have the same name, the name means the branch.
    ///
    /// # Errors
    /// [`GitError::BadRevision`] if git would read the text as an option. [`GitError::UnknownRevision`] if no
    /// commit matches; the error suggests the most similar branch or tag.
    #[truing_core::boxed_future]
    pub async fn resolve_commit(&self, revision: &str) -> Result<Sha, GitError> {
        if revision.is_empty() || revision.starts_with('-') || revision.chars().any(char::is_control) {
            return Err(GitError::BadRevision(
                revision.chars().filter(|c| !c.is_control()).take(80).collect(),
            ));
        }
        let full_name = self.full_name_of_tagged_branch(revision).await?;
        if let Some(found) = self.find_commit(full_name.as_deref().unwrap_or(revision)).await? {
            return Ok(found);
        }
        let near = self.find_similar_ref(revision).await?;
        Err(GitError::UnknownRevision {
            revision: revision.to_owned(),
            similar_name: near,
            shallow: self.is_shallow(),
        })
    }

    /// Returns the URL of `origin` without credentials. None if this remote did not exist when the repository
    /// was opened.
    pub fn origin_url(&self) -> Option<&str> {
        self.remotes().iter().find(|remote| remote.name == ORIGIN).map(|remote| remote.url.as_str())
    }

    /// Returns the remotes that had a URL when the repository was opened.
    pub fn remotes(&self) -> &[ConfiguredRemote] {
        &self.settings.remotes
    }

    /// Returns the diff between two commits in git's own format: with renames, without colours, programs or
    /// attributes. `base` may also be a tree, as in [`DefaultBase::commit`]. A file over
    /// [`crate::GitLimits::file_bytes`] appears as changed but without its lines, like a binary file. If the
    /// diff still exceeds [`crate::GitLimits::diff_bytes`], more files appear without their lines: first the
    /// deleted files, then the largest files.
    ///
    /// # Errors
    /// [`GitError::TooLarge`] if the names of the files alone exceed [`crate::GitLimits::diff_bytes`].
    #[truing_core::boxed_future]
    pub async fn diff(&self, base: &Sha, head: &Sha) -> Result<Vec<u8>, GitError> {
        self.isolated_dir.diff(base, head).await.map(|found| found.diff)
    }

    /// Returns the diff of [`LocalRepository::diff`], and the files whose lines the diff omits.
    ///
    /// # Errors
    /// As [`LocalRepository::diff`].
    #[truing_core::boxed_future]
    pub async fn diff_with_omissions(&self, base: &Sha, head: &Sha) -> Result<CommitDiff, GitError> {
        self.isolated_dir.diff(base, head).await
    }

    /// Returns the diff between two commits with the lines of all files of any size. Git loads each file into
    /// memory as a whole. Only commands that track lines call this function, and only for a repository of the
    /// user who runs the command.
    ///
    /// # Errors
    /// [`GitError::TooLarge`] if the diff exceeds [`crate::GitLimits::diff_bytes`].
    #[truing_core::boxed_future]
    pub async fn unlimited_diff(&self, base: &Sha, head: &Sha) -> Result<Vec<u8>, GitError> {
        self.isolated_dir.diff_command().arg(base.as_str()).arg(head.as_str()).arg("--").read_output().await
    }

    /// Returns the commits of `head` that are not in `base`, newest first, without merges; at most 201.
    ///
    /// # Errors
    /// Any [`GitError`] of the call.
    #[truing_core::boxed_future]
    pub async fn commits_since(&self, base: &Sha, head: &Sha) -> Result<Vec<Sha>, GitError> {
        self.isolated_dir.commits_excluding(&[base], head).await
    }

    /// Writes the files of a commit below `dest` as plain files: see [`ExportSummary`]. If `paths` is given,
    /// only these files are written.
    ///
    /// # Errors
    /// [`GitError::CommandFailed`] if the repository lacks the commit, [`GitError::Io`] if `dest` cannot be
    /// written.
    #[truing_core::boxed_future]
    pub async fn export(
        &self,
        sha: &Sha,
        dest: &Path,
        paths: Option<&[RepoPath]>,
    ) -> Result<ExportSummary, GitError> {
        self.isolated_dir.export(sha, dest, paths).await
    }

    /// Writes all files of a commit as plain files to a private folder: see [`ExportSummary`]. If the files
    /// are few and small, the folder is in memory.
    ///
    /// # Errors
    /// [`GitError::CommandFailed`] if the repository lacks the commit, [`GitError::Io`] if the files cannot
    /// be written.
    #[truing_core::boxed_future]
    pub async fn export_all(&self, sha: &Sha) -> Result<(PrivateFolder, ExportSummary), GitError> {
        self.isolated_dir.export_to_private_folder(sha).await
    }

    /// Lists the files of a commit, without their content: those with these paths, and those in folders with
    /// these paths.
    ///
    /// # Errors
    /// [`GitError::CommandFailed`] if the repository lacks the commit.
    #[truing_core::boxed_future]
    pub async fn list_files(&self, sha: &Sha, paths: &[&str]) -> Result<Vec<TreeFile>, GitError> {
        self.isolated_dir.list_files(sha, paths).await
    }

    /// Returns the stored content of a file of a commit; none if the path does not exist or is not a plain
    /// file.
    ///
    /// # Errors
    /// [`GitError::TooLarge`] if the file exceeds [`crate::GitLimits::file_bytes`],
    /// [`GitError::CommandFailed`] if the repository lacks the commit.
    #[truing_core::boxed_future]
    pub async fn read_file(&self, sha: &Sha, path: &RepoPath) -> Result<Option<Vec<u8>>, GitError> {
        self.isolated_dir.read_file(sha, path).await
    }

    /// Prepares a call that runs in the repository itself and loads its configuration. Only for subcommands
    /// that resolve names and walk commits, because these subcommands run no other program.
    fn command(&self, name: &'static str) -> GitCommand {
        self.git.command(name).in_folder(self.root()).env("GIT_DIR", &self.layout.git_dir)
    }

    async fn find_commit(&self, revision: &str) -> Result<Option<Sha>, GitError> {
        let call = self.command("rev-parse").args(["--verify", "--quiet", "--end-of-options"]);
        let finished = call.arg(format!("{revision}^{{commit}}")).run().await?;
        match finished.code() {
            // The revision `^NAME` names the commits that NAME does not contain.
            Some(0) if finished.stdout.starts_with(b"^") => Ok(None),
            Some(0) => parse_sha("rev-parse", &finished.stdout).map(Some),
            // Exit code 1: the name is unknown. Exit code 128: the name is invalid or ambiguous.
            Some(1 | 128) => Ok(None),
            Some(_) | None => Err(finished.into_error("rev-parse")),
        }
    }

    /// Returns the revision with the full name of its branch, if it begins with a name that a branch and a
    /// tag have. Git would resolve this name to the tag. A clone gets all tags of its remote, so a tag of
    /// another person could replace the base that the user means.
    async fn full_name_of_tagged_branch(&self, revision: &str) -> Result<Option<String>, GitError> {
        let (name, rest) = revision.split_at(revision.find(['~', '^']).unwrap_or(revision.len()));
        if !is_branch_name(name) {
            return Ok(None);
        }
        let refs = [
            format!("refs/tags/{name}"),
            format!("refs/heads/{name}"),
            format!("refs/remotes/{name}"),
            format!("refs/remotes/{name}/HEAD"),
        ];
        let lines = refs.iter().map(|full_name| format!("{full_name}\n")).collect::<String>();
        let call = self.command("cat-file").arg("--batch-check").with_input(lines.into_bytes());
        let answer = call.read_output().await?;
        let answer = String::from_utf8_lossy(&answer);
        let found = refs.iter().zip(answer.lines()).filter(|(_, line)| !line.ends_with(" missing"));
        let found = found.map(|(full_name, _)| full_name).collect::<Vec<_>>();
        Ok(match found.as_slice() {
            [tag, branch, ..] if tag.starts_with("refs/tags/") => Some(format!("{branch}{rest}")),
            _ => None,
        })
    }

    /// Returns the full name of the ref that a symbolic ref points to.
    async fn resolve_symbolic_ref(&self, name: &str) -> Result<Option<String>, GitError> {
        let finished = self.command("symbolic-ref").args(["--quiet", name]).run().await?;
        if finished.code() == Some(1) {
            return Ok(None);
        }
        let target = finished.into_success_output("symbolic-ref")?;
        Ok(Some(String::from_utf8_lossy(&target).trim_end().to_owned()))
    }

    async fn find_similar_ref(&self, ref_name: &str) -> Result<Option<String>, GitError> {
        let call = self.command("for-each-ref").args([
            "--format=%(refname:lstrip=2)",
            "--count",
            MAX_COMPARED_NAMES,
        ]);
        let names = call.args(["refs/heads", "refs/remotes", "refs/tags"]).read_output().await?;
        let names = String::from_utf8_lossy(&names);
        let likeness = names.lines().map(|name| (strsim::jaro_winkler(ref_name, name), name));
        let best =
            likeness.filter(|(like, _)| *like >= MIN_NAME_SIMILARITY).max_by(|a, b| a.0.total_cmp(&b.0));
        Ok(best.map(|(_, name)| name.to_owned()))
    }
}
