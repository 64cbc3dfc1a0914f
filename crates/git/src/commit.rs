//! Creates commits: stages the differences between a commit and a folder, and commits these differences.
//!
//! The index and the new objects are in a private folder, which borrows the mirror's objects. Only the files
//! of the working tree are read. The working tree's git folder and its configuration are ignored, because
//! untrusted programs may have changed them.
//!
//! Attributes determine the line ends of staged files, as they do in a checkout. Attributes can name
//! programs, but git runs only configured programs, and none is configured. Commits are unsigned, and no hook
//! runs.

use std::collections::HashSet;
use std::path::Path;

use truing_core::RepoPath;
use truing_core::commit::GitIdentity;
use truing_core::id::{Sha, UnixMillis};

use crate::clone::CheckoutIndex;
use crate::command::GitCommand;
use crate::export::split_listing;
use crate::isolated_git_dir::{
    IsolatedGitDir, create_git_folder, parse_sha, unknown_output_error, write_alternates,
};
use crate::options::MIN_VERSION_TO_MERGE;
use crate::repository::special_files::refuse_special_files_in_worktree;
use crate::{GitError, Mirror, PrivateFolder};

/// Mode of an index entry for a submodule or another repository inside the folder.
const GITLINK_MODE: &[u8] = b"160000";

/// Maximum number of nested repositories without a commit in a folder. If there are more, nothing is
/// committed, because each such repository needs another git call.
const MAX_REPOSITORIES_WITHOUT_COMMIT: usize = 16;

/// Metadata of a new commit. The same content and the same metadata always give the same commit id.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewCommit {
    pub message: String,
    pub author: GitIdentity,
    /// Committer: the identity of this service.
    pub committer: GitIdentity,
    /// Time of authoring and committing, used in whole seconds.
    pub commit_time: UnixMillis,
}

/// The kind of difference between a path's file in the commit and in the folder.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum PathStatus {
    /// The path is new.
    Added,
    /// The content or the file type differs.
    Modified,
    /// The path was deleted.
    Deleted,
}

/// Differences between a commit and a folder, ready to be committed.
#[derive(Debug)]
pub struct StagedChanges {
    isolated_dir: IsolatedGitDir,
    folder: PrivateFolder,
    parent: Sha,
    /// Paths that will be committed, in order. A renamed file appears as a deleted path and an added path.
    pub paths: Vec<(RepoPath, PathStatus)>,
    /// Differing paths that are not committed, in order: submodules, repositories inside the folder, and
    /// paths that were not requested.
    pub omitted_paths: Vec<RepoPath>,
}

/// A commit that was created locally and is not pushed yet.
#[derive(Debug)]
pub struct UnpushedCommit {
    isolated_dir: IsolatedGitDir,
    // Private folder that contains the objects; `None` if a mirror contains the objects.
    _folder: Option<PrivateFolder>,
    sha: Sha,
    header: Option<CommitHeader>,
}

/// Result of merging two commits.
#[derive(Debug)]
pub enum MergeOutcome {
    Merged(UnpushedCommit),
    /// Files with conflicting changes.
    Conflicts(Vec<RepoPath>),
}

/// Parent and tree of a commit that this module created.
#[derive(Debug)]
struct CommitHeader {
    parent: Sha,
    tree: Sha,
}

impl Mirror {
    /// Returns a commit of the mirror in the form that a push requires.
    pub fn unpushed_commit(&self, sha: &Sha) -> UnpushedCommit {
        UnpushedCommit {
            isolated_dir: self.isolated_dir().clone(),
            _folder: None,
            sha: sha.clone(),
            header: None,
        }
    }

    /// Stages the differences between `parent`, which must be in the mirror, and the files in `folder`. Files
    /// that the folder's `.gitignore` files ignore are not staged. If `paths` is given, only these paths are
    /// staged.
    ///
    /// # Errors
    /// [`GitError::CommandFailed`] if the commit is not in the mirror or a file cannot be read,
    /// [`GitError::Io`].
    #[truing_core::boxed_future]
    pub async fn stage_folder(
        &self,
        parent: &Sha,
        folder: &Path,
        paths: Option<&[RepoPath]>,
    ) -> Result<StagedChanges, GitError> {
        let mut staged = self.prepare_staging(parent)?;
        staged.read_parent().await?;
        staged.add_folder(folder).await?;
        staged.select_paths(paths).await?;
        Ok(staged)
    }

    /// Like [`Mirror::stage_folder`], for all changes in a private clone since its checkout. `parent` may
    /// differ from the commit that was checked out. Unmodified files are not read again. Git recognises
    /// unmodified files by size and times. This is safe, because programs cannot set the time of the last
    /// status change.
    ///
    /// # Errors
    /// As [`Mirror::stage_folder`].
    #[truing_core::boxed_future]
    pub async fn stage_clone(
        &self,
        parent: &Sha,
        folder: &Path,
        checkout_index: &CheckoutIndex,
    ) -> Result<StagedChanges, GitError> {
        let mut staged = self.prepare_staging(parent)?;
        checkout_index.write_to(&staged.folder.path().join("index"))?;
        staged.add_folder(folder).await?;
        staged.select_paths(None).await?;
        Ok(staged)
    }

    /// Like [`Mirror::stage_folder`], for a `folder` that contains only the changed files. `added_paths` and
    /// `removed_paths` list the files to add and the files to delete. All other files stay as in `parent`,
    /// and changed files keep the executable bits that they have in `parent`.
    ///
    /// # Errors
    /// As [`Mirror::stage_folder`]; also if a file has the path of a folder in `parent`, or a folder has the
    /// path of a file in `parent`.
    #[truing_core::boxed_future]
    pub async fn stage_changed_files(
        &self,
        parent: &Sha,
        folder: &Path,
        added_paths: &[RepoPath],
        removed_paths: &[RepoPath],
    ) -> Result<StagedChanges, GitError> {
        let mut staged = self.prepare_staging(parent)?;
        staged.read_parent().await?;
        // Deleted paths come first, because an added file may have the path of a deleted folder.
        let names = removed_paths
            .iter()
            .chain(added_paths)
            .flat_map(|path| path.as_bytes().iter().copied().chain([0]));
        let call = staged
            .isolated_dir
            .command_with_attributes("update-index")
            .in_folder(folder)
            .env("GIT_WORK_TREE", folder);
        let call = call.args(["--add", "--remove", "-z", "--stdin"]).config("core.fileMode", "false");
        call.config("core.fsync", "none").with_input(names.collect()).read_output().await?;
        staged.select_paths(None).await?;
        Ok(staged)
    }

    /// Merges `other` into `into`; attributes are ignored. The mirror must contain both commits with their
    /// history. Git runs no program that the repository's configuration names. The first parent of the new
    /// commit is `into`.
    ///
    /// # Errors
    /// [`GitError::CommandFailed`] if a commit is not in the mirror or the two histories have no common
    /// commit, [`GitError::TooOldToMerge`].
    #[truing_core::boxed_future]
    pub async fn merge(
        &self,
        into: &Sha,
        other: &Sha,
        new_commit: &NewCommit,
    ) -> Result<MergeOutcome, GitError> {
        let found = self.isolated_dir().git().version();
        if found < MIN_VERSION_TO_MERGE {
            return Err(GitError::TooOldToMerge { found_version: found });
        }
        let StagedChanges { isolated_dir: view, folder, parent, .. } = self.prepare_staging(into)?;
        let call = view.command("merge-tree").args(["--write-tree", "--name-only", "--no-messages", "-z"]);
        let call = call.args([parent.as_str(), other.as_str()]);
        let finished = call.max_output(view.git().limits().listing_bytes).run().await?;
        if finished.code() == Some(1) {
            // The first field is the id of a tree with conflict markers. The other fields are the paths with
            // conflicts.
            let paths = split_listing(&finished.stdout).skip(1);
            return Ok(MergeOutcome::Conflicts(paths.map(RepoPath::from_bytes).collect()));
        }
        let answer = finished.into_success_output("merge-tree")?;
        let tree = parse_sha("merge-tree", answer.strip_suffix(b"\0").unwrap_or(&answer))?;
        let call = view.command("commit-tree").args(["--no-gpg-sign", "-p", parent.as_str()]);
        let call = call.args(["-p", other.as_str(), "-F", "-"]).arg(tree.as_str());
        let sha = create_commit(with_identity(call, new_commit), new_commit).await?;
        Ok(MergeOutcome::Merged(UnpushedCommit {
            isolated_dir: view,
            _folder: Some(folder),
            sha,
            header: Some(CommitHeader { parent, tree }),
        }))
    }

    /// Prepares a private git folder with its own index, which borrows the mirror's objects.
    fn prepare_staging(&self, parent: &Sha) -> Result<StagedChanges, GitError> {
        let git = self.isolated_dir().git();
        let private = git.create_private_folder()?;
        create_git_folder(private.path(), self.isolated_dir().object_format())?;
        write_alternates(private.path(), &self.dir().join("objects"))?;
        let view =
            IsolatedGitDir::new(git.clone(), private.path().to_owned(), self.isolated_dir().object_format());
        Ok(StagedChanges {
            isolated_dir: view,
            folder: private,
            parent: parent.clone(),
            paths: Vec::new(),
            omitted_paths: Vec::new(),
        })
    }
}

/// Returns the path of the repository inside a folder that `git add` rejected because the repository has no
/// commit.
fn repository_without_commit(error: &GitError) -> Option<RepoPath> {
    let GitError::CommandFailed { call: "add", message } = error else { return None };
    let (path, _) = message.split_once("error: '")?.1.split_once("/' does not have a commit checked out")?;
    Some(RepoPath::from_text(path))
}

/// A changed path with its mode and blob id in the parent commit, and the kind of the difference.
struct ChangedEntry {
    path: RepoPath,
    mode: Vec<u8>,
    id: Vec<u8>,
    status: PathStatus,
    gitlink: bool,
}

impl StagedChanges {
    /// Fills the index with the parent's tree.
    async fn read_parent(&self) -> Result<(), GitError> {
        self.isolated_dir.command("read-tree").arg(self.parent.as_str()).read_output().await.map(drop)
    }

    /// Adds all differences of a folder to the index. Repositories without a commit inside the folder are
    /// left out, because `git add` fails for each of them.
    async fn add_folder(&mut self, folder: &Path) -> Result<(), GitError> {
        refuse_special_files_in_worktree(folder).await?;
        loop {
            let add = self
                .isolated_dir
                .command_with_attributes("add")
                .in_folder(folder)
                .env("GIT_WORK_TREE", folder);
            let without = self.omitted_paths.iter().map(|path| format!(":(exclude,literal){path}"));
            // The new objects are not synced to disk, because the commit is created again after a power
            // failure.
            let add = add.args(["--all", "--", "."]).args(without).env("GIT_LITERAL_PATHSPECS", "0");
            let error = match add.config("core.fsync", "none").read_output().await {
                Ok(_) => return Ok(()),
                Err(error) => error,
            };
            match repository_without_commit(&error) {
                Some(path)
                    if self.omitted_paths.len() < MAX_REPOSITORIES_WITHOUT_COMMIT
                        && !self.omitted_paths.contains(&path) =>
                {
                    self.omitted_paths.push(path);
                }
                _ => return Err(error),
            }
        }
    }

    /// Fills `paths` and `omitted_paths` with the differences between the index and the parent commit. Paths
    /// that are left out are reset in the index to their version in the parent commit.
    async fn select_paths(&mut self, paths: Option<&[RepoPath]>) -> Result<(), GitError> {
        let call = self.isolated_dir.command("diff-index").args([
            "--cached",
            "--raw",
            "-z",
            "--no-abbrev",
            "--no-renames",
        ]);
        let call = call.args(["--ignore-submodules=none", self.parent.as_str(), "--"]);
        let listing = call.max_output(self.isolated_dir.git().limits().listing_bytes).read_output().await?;
        let paths = paths.map(|paths| paths.iter().collect::<HashSet<_>>());
        let mut back = Vec::new();
        for found in parse_raw_entries(&listing) {
            let found = found.ok_or_else(|| unknown_output_error("diff-index", &listing))?;
            let asked = paths.as_ref().is_none_or(|paths| paths.contains(&found.path));
            if asked && !found.gitlink {
                self.paths.push((found.path, found.status));
            } else {
                let line = [&found.mode, &b" "[..], &found.id, b"\t", found.path.as_bytes(), b"\0"];
                back.extend_from_slice(&line.concat());
                self.omitted_paths.push(found.path);
            }
        }
        self.omitted_paths.sort();
        if back.is_empty() {
            return Ok(());
        }
        let call = self.isolated_dir.command("update-index").args(["--replace", "-z", "--index-info"]);
        call.with_input(back).read_output().await.map(drop)
    }

    /// Returns the differences to be committed, as a diff in git's own format.
    ///
    /// # Errors
    /// As [`Mirror::diff`].
    #[truing_core::boxed_future]
    pub async fn diff(&self) -> Result<Vec<u8>, GitError> {
        let sides = |call: GitCommand| call.args(["--cached", self.parent.as_str(), "--"]);
        self.isolated_dir.diff_sides(&self.isolated_dir.object_store(), sides).await.map(|found| found.diff)
    }

    /// Creates the commit, even if there are no differences.
    ///
    /// # Errors
    /// [`GitError::CommandFailed`] for a message with a NUL byte, or an author or committer without a name.
    #[truing_core::boxed_future]
    pub async fn commit(self, new_commit: &NewCommit) -> Result<UnpushedCommit, GitError> {
        let tree = parse_sha("write-tree", &self.isolated_dir.command("write-tree").read_output().await?)?;
        let call = self.isolated_dir.command("commit-tree").args([
            "--no-gpg-sign",
            "-p",
            self.parent.as_str(),
            "-F",
            "-",
        ]);
        let sha = create_commit(with_identity(call.arg(tree.as_str()), new_commit), new_commit).await?;
        let header = Some(CommitHeader { parent: self.parent, tree });
        Ok(UnpushedCommit { isolated_dir: self.isolated_dir, _folder: Some(self.folder), sha, header })
    }
}

impl UnpushedCommit {
    pub fn sha(&self) -> &Sha {
        &self.sha
    }

    /// Tree of the commit, if this module created the commit.
    pub fn tree(&self) -> Option<&Sha> {
        self.header.as_ref().map(|made| &made.tree)
    }

    /// Parent of the commit, if this module created the commit.
    pub(crate) fn parent(&self) -> Option<&Sha> {
        self.header.as_ref().map(|made| &made.parent)
    }

    pub(crate) fn isolated_dir(&self) -> &IsolatedGitDir {
        &self.isolated_dir
    }

    /// Returns a commit whose objects are in a private folder.
    pub(crate) fn in_private_folder(isolated_dir: IsolatedGitDir, folder: PrivateFolder, sha: Sha) -> Self {
        Self { isolated_dir, _folder: Some(folder), sha, header: None }
    }

    /// Returns another commit whose objects are in the same folder, or are known to the remote. The commit
    /// must not outlive this one.
    pub(crate) fn with_id(&self, sha: Sha) -> Self {
        Self { isolated_dir: self.isolated_dir.clone(), _folder: None, sha, header: None }
    }
}

/// Runs the call that creates a commit.
async fn create_commit(call: GitCommand, new_commit: &NewCommit) -> Result<Sha, GitError> {
    let message = format!("{}\n", new_commit.message.trim_end());
    let call = call.config("i18n.commitEncoding", "UTF-8").with_input(message.into_bytes());
    parse_sha("commit-tree", &call.read_output().await?)
}

/// Sets author, committer and date.
fn with_identity(call: GitCommand, new_commit: &NewCommit) -> GitCommand {
    let date = format!("@{} +0000", new_commit.commit_time.0.div_euclid(1000));
    let call = call
        .env("GIT_AUTHOR_NAME", &new_commit.author.name)
        .env("GIT_AUTHOR_EMAIL", &new_commit.author.email);
    let call = call
        .env("GIT_COMMITTER_NAME", &new_commit.committer.name)
        .env("GIT_COMMITTER_EMAIL", &new_commit.committer.email);
    call.env("GIT_AUTHOR_DATE", &date).env("GIT_COMMITTER_DATE", &date)
}

/// Parses entries of `--raw -z --no-renames`: `:MODE MODE ID ID LETTER`, NUL, path, NUL. If an entry has
/// another format, the iterator returns `None` in its place.
fn parse_raw_entries(listing: &[u8]) -> impl Iterator<Item = Option<ChangedEntry>> {
    let mut fields = split_listing(listing);
    std::iter::from_fn(move || {
        let entry_header = fields.next()?;
        let path = fields.next();
        Some(path.and_then(|path| parse_raw_entry(entry_header, path)))
    })
}

fn parse_raw_entry(facts: &[u8], path: &[u8]) -> Option<ChangedEntry> {
    let mut facts = facts.strip_prefix(b":")?.split(|byte| *byte == b' ');
    let (mode, now, id, letter) = (facts.next()?, facts.next()?, facts.next()?, facts.nth(1)?);
    let edited = match letter {
        b"A" => PathStatus::Added,
        b"D" => PathStatus::Deleted,
        _ => PathStatus::Modified,
    };
    let gitlink = mode == GITLINK_MODE || now == GITLINK_MODE;
    // The commit does not contain an added path, so mode 0 removes the path from the index.
    let mode = if edited == PathStatus::Added { b"0" } else { mode };
    Some(ChangedEntry {
        path: RepoPath::from_bytes(path),
        mode: mode.to_owned(),
        id: id.to_owned(),
        status: edited,
        gitlink,
    })
}
