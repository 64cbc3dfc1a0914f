//! A mirror: a bare repository that caches one remote's commits, fetched by their ids.
//!
//! * A mirror is created beside its final path and then moved there, so a partial mirror is never at the
//!   final path. If git no longer recognises a mirror, Truing creates the mirror again.
//! * A lock on the file `NAME.lock` beside the mirror serialises fetches, both within a process and between
//!   processes. The holder of the lock may remove the leftovers of a killed fetch.
//! * All objects of a fetch become visible together, as one pack. Each commit in the mirror therefore has its
//!   complete history and content, even during another fetch or after a killed fetch.
//! * The newest fetched commits have a ref (`refs/truing/ID`). Git uses these refs to exclude known commits
//!   from a fetch. A mirror always has the complete history, because the search for a merge base requires it.
//!   Git never collects garbage automatically (`gc.auto=0`). If there are many small packs, they are joined.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use truing_core::RepoPath;
use truing_core::id::Sha;
use truing_core::increment::BranchHistory;

use crate::command::GitCommand;
use crate::isolated_git_dir::{
    IsolatedGitDir, ObjectFormat, create_git_folder, merge_base, parse_sha, unknown_output_error, write_file,
};
use crate::{
    CommitDiff, ExportSummary, Git, GitError, PrivateFolder, Remote, TreeFile, UnpushedCommit, network,
};

/// File that marks a folder as a mirror of Truing. This file is the first file that is created in a mirror.
const MARKER_FILE_NAME: &str = "truing-mirror";

/// Hexadecimal digits of a SHA-1 id.
const SHA1_DIGITS: usize = 40;

/// Value of `core.fsync`: new objects and refs are synced to disk. Without `reference`, a power failure could
/// leave empty refs.
const FSYNC_CONFIG: &str = "committed,reference";

/// Flag for a fetch from a local repository: the repository is served even if another user owns it. This is
/// safe, because git runs no program from that repository's configuration.
const LOCAL_UPLOAD_PACK_FLAG: &str = "--upload-pack=git -c 'safe.directory=*' upload-pack";

/// If there are more packs than this, small packs are joined. Git searches every pack for an object.
const MAX_PACKS: usize = 50;

/// Maximum number of refs. The refs of the newest commits are kept.
const MAX_REFS: usize = 512;

/// A bare repository that caches the commits of one remote.
#[derive(Clone, Debug)]
pub struct Mirror {
    isolated_dir: IsolatedGitDir,
    lock: PathBuf,
    remote: Remote,
}

impl Git {
    /// Opens the mirror at `dir`, or creates a mirror there. Does not access the network.
    ///
    /// # Errors
    /// [`GitError::NotAMirror`] if the folder has other content, which is left unchanged.
    #[truing_core::boxed_future]
    pub async fn open_mirror(&self, dir: &Path, remote: &Remote) -> Result<Mirror, GitError> {
        let cannot = |source| GitError::Io { failure: "cannot use", path: dir.to_owned(), source };
        let dir = std::path::absolute(dir).map_err(cannot)?;
        let parent = dir.parent().unwrap_or(Path::new("/"));
        std::fs::create_dir_all(parent).map_err(cannot)?;
        let view = IsolatedGitDir::new(self.clone(), dir.clone(), ObjectFormat::Sha1);
        let mirror = Mirror { isolated_dir: view, lock: with_suffix(&dir, ".lock"), remote: remote.clone() };
        let _lock = mirror.lock_mirror().await?;
        match mirror_state(&dir)? {
            MirrorState::Absent => create_mirror(&dir)?,
            MirrorState::Foreign => return Err(GitError::NotAMirror(dir)),
            MirrorState::HasMarker if mirror.is_valid_repository().await? => {}
            MirrorState::HasMarker => {
                remove_dir(&dir)?;
                create_mirror(&dir)?;
            }
        }
        Ok(mirror)
    }
}

/// The content of the path at which a mirror is opened.
enum MirrorState {
    Absent,
    HasMarker,
    Foreign,
}

fn mirror_state(dir: &Path) -> Result<MirrorState, GitError> {
    let cannot = |source| GitError::Io { failure: "cannot look at", path: dir.to_owned(), source };
    let mut entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(MirrorState::Absent),
        Err(error) if error.kind() == ErrorKind::NotADirectory => return Ok(MirrorState::Foreign),
        Err(error) => return Err(cannot(error)),
    };
    if dir.join(MARKER_FILE_NAME).is_file() {
        return Ok(MirrorState::HasMarker);
    }
    Ok(if entries.next().is_some() { MirrorState::Foreign } else { MirrorState::Absent })
}

/// Creates a mirror beside its final path, and then moves the mirror to that path.
fn create_mirror(dir: &Path) -> Result<(), GitError> {
    let half = with_suffix(dir, ".new");
    remove_dir(&half)?;
    let cannot = |source| GitError::Io { failure: "cannot make", path: dir.to_owned(), source };
    std::fs::create_dir(&half).map_err(cannot)?;
    write_file(
        &half.join(MARKER_FILE_NAME),
        b"A cache of one remote's commits, made by truing. It may be deleted.\n",
    )?;
    create_git_folder(&half, ObjectFormat::Sha1)?;
    std::fs::rename(&half, dir).map_err(cannot)
}

fn remove_dir(dir: &Path) -> Result<(), GitError> {
    match std::fs::remove_dir_all(dir) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(GitError::Io { failure: "cannot remove", path: dir.to_owned(), source: error })
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

fn with_suffix(dir: &Path, suffix: &str) -> PathBuf {
    let mut name = dir.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

impl Mirror {
    pub fn dir(&self) -> &Path {
        self.isolated_dir.dir()
    }

    /// Returns a copy of the mirror that fetches missing commits from another remote, which is a fork of the
    /// mirror's own remote.
    #[must_use]
    pub fn with_remote(&self, remote: &Remote) -> Self {
        Self { remote: remote.clone(), ..self.clone() }
    }

    pub(crate) fn isolated_dir(&self) -> &IsolatedGitDir {
        &self.isolated_dir
    }

    /// Ensures that the mirror has these commits with their complete history. Contacts the remote only if a
    /// commit is missing.
    ///
    /// # Errors
    /// [`GitError::CommitGone`], [`GitError::Sha256`], [`GitError::Unauthorized`],
    /// [`GitError::RemoteMissing`], [`GitError::MirrorBusy`], or another failure of git.
    #[truing_core::boxed_future]
    pub async fn fetch(&self, commits: &[Sha]) -> Result<(), GitError> {
        if self.missing_commits(commits).await?.is_empty() {
            return Ok(());
        }
        let _turn = self.lock_mirror().await?;
        // Another run may have fetched the commits while this run waited for the lock.
        let missing = self.missing_commits(commits).await?;
        if missing.is_empty() {
            return Ok(());
        }
        if missing.iter().any(|sha| sha.as_str().len() > SHA1_DIGITS) {
            return Err(GitError::Sha256 { remote: self.remote.url().to_owned() });
        }
        remove_fetch_leftovers(self.dir());
        self.fetch_from_remote(&missing).await?;
        match self.missing_commits(&missing).await?.into_iter().next() {
            None => self.consolidate_packs_and_refs().await,
            Some(sha) => Err(GitError::CommitGone { remote: self.remote.url().to_owned(), sha: Some(sha) }),
        }
    }

    /// Copies a commit that Truing created, with its history and content, into the mirror. The mirror keeps
    /// the commit after the private folder is removed.
    ///
    /// # Errors
    /// [`GitError::MirrorBusy`], [`GitError::CommandFailed`]
    #[truing_core::boxed_future]
    pub async fn store_commit(&self, commit: &UnpushedCommit) -> Result<(), GitError> {
        let _turn = self.lock_mirror().await?;
        remove_fetch_leftovers(self.dir());
        let (sha, from) = (commit.sha(), commit.isolated_dir().dir().join("objects"));
        let revisions: Vec<String> =
            [sha.to_string()].into_iter().chain(commit.parent().map(|parent| format!("^{parent}"))).collect();
        self.isolated_dir.copy_objects(&from, &self.dir().join("objects"), FSYNC_CONFIG, &revisions).await?;
        let call = self.isolated_dir.command("update-ref").config("core.fsync", FSYNC_CONFIG);
        call.args([format!("refs/truing/{sha}").as_str(), sha.as_str()]).read_output().await?;
        self.consolidate_packs_and_refs().await
    }

    /// Returns the tree of a commit in the mirror.
    ///
    /// # Errors
    /// [`GitError::CommandFailed`] if the mirror does not have the commit.
    #[truing_core::boxed_future]
    pub async fn tree_id(&self, commit: &Sha) -> Result<Sha, GitError> {
        let call = self.isolated_dir.command("rev-parse").args(["--verify", "--end-of-options"]);
        parse_sha("rev-parse", &call.arg(format!("{commit}^{{tree}}")).read_output().await?)
    }

    /// If there are many packs, joins the small packs and packs the refs, so an old mirror stays fast.
    /// Concurrent readers find every object either in an old pack or in the new pack.
    async fn consolidate_packs_and_refs(&self) -> Result<(), GitError> {
        let folder = self.dir().join("objects/pack");
        let entries = std::fs::read_dir(&folder).map_err(|source| GitError::Io {
            failure: "cannot look at",
            path: folder,
            source,
        })?;
        let packs =
            entries.flatten().filter(|entry| entry.path().extension().is_some_and(|end| end == "pack"));
        if packs.count() <= MAX_PACKS {
            return Ok(());
        }
        self.isolated_dir.command("repack").args(["-d", "--geometric=2", "--quiet"]).read_output().await?;
        self.delete_old_refs().await?;
        // Each fetched commit has its own ref file, and many ref files would make every fetch slower.
        self.isolated_dir
            .command("pack-refs")
            .arg("--all")
            .config("core.fsync", FSYNC_CONFIG)
            .read_output()
            .await
            .map(drop)
    }

    /// Deletes all refs except those of the newest commits. The refs only reduce the amount of data that a
    /// fetch transfers. The commits remain in the mirror, because git collects no garbage in it.
    async fn delete_old_refs(&self) -> Result<(), GitError> {
        let call = self.isolated_dir.command("for-each-ref");
        let call = call.args(["--sort=-committerdate", "--format=delete %(refname)", "refs/truing"]);
        let listed = call.read_output().await?;
        let old: Vec<u8> =
            listed.split_inclusive(|byte| *byte == b'\n').skip(MAX_REFS).flatten().copied().collect();
        if old.is_empty() {
            return Ok(());
        }
        let call = self
            .isolated_dir
            .command("update-ref")
            .arg("--stdin")
            .with_input(old)
            .config("core.fsync", FSYNC_CONFIG);
        call.read_output().await.map(drop)
    }

    /// Requests the newest commit of the default branch from the remote; none if the remote has no default
    /// branch.
    ///
    /// # Errors
    /// As [`Mirror::fetch`].
    #[truing_core::boxed_future]
    pub async fn default_tip(&self) -> Result<Option<Sha>, GitError> {
        self.remote_tip("HEAD").await
    }

    /// Requests the newest commit of a branch from the remote; none if the remote has no such branch.
    ///
    /// # Errors
    /// As [`Mirror::fetch`].
    #[truing_core::boxed_future]
    pub async fn branch_tip(&self, branch: &str) -> Result<Option<Sha>, GitError> {
        self.remote_tip(&format!("refs/heads/{branch}")).await
    }

    /// Returns true if the remote has a tag of one of these names.
    ///
    /// # Errors
    /// As [`Mirror::fetch`].
    #[truing_core::boxed_future]
    pub async fn remote_has_any_tag(&self, names: &[String]) -> Result<bool, GitError> {
        let asked: Vec<String> = names.iter().map(|name| format!("refs/tags/{name}")).collect();
        let call =
            self.isolated_dir.command("ls-remote").args(["--quiet", "--end-of-options", self.remote.url()]);
        let answer =
            network::read_remote_output(self.isolated_dir.git(), &self.remote, call.args(&asked)).await?;
        for reference in &asked {
            if network::parse_listed_ref(&answer, reference)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Requests the commit that this ref of the remote points to.
    async fn remote_tip(&self, reference: &str) -> Result<Option<Sha>, GitError> {
        let call = self.isolated_dir.command("ls-remote").args([
            "--quiet",
            "--end-of-options",
            self.remote.url(),
            reference,
        ]);
        let answer = network::read_remote_output(self.isolated_dir.git(), &self.remote, call).await?;
        network::parse_listed_ref(&answer, reference)
    }

    async fn fetch_from_remote(&self, commits: &[Sha]) -> Result<(), GitError> {
        let call = self.fetch_command().arg("--end-of-options").arg(self.remote.url());
        let call = call.args(commits.iter().map(|sha| format!("+{sha}:refs/truing/{sha}")));
        network::read_remote_output(self.isolated_dir.git(), &self.remote, call).await.map(drop)
    }

    /// Prepares a fetch into this mirror. The caller adds the remote and the refs to fetch.
    fn fetch_command(&self) -> GitCommand {
        let call = self.isolated_dir.command("fetch").args([
            "--quiet",
            "--no-tags",
            "--no-write-fetch-head",
            "--no-auto-maintenance",
            "--no-recurse-submodules",
            "--no-show-forced-updates",
        ]);
        // In a local fetch, `git upload-pack` serves the objects. `git upload-pack` does not receive our
        // settings, so `LOCAL_UPLOAD_PACK_FLAG` passes the only setting that it needs.
        let call = match self.remote.protocol() {
            "file" => call.arg(LOCAL_UPLOAD_PACK_FLAG),
            _ => call,
        };
        let call = call.config("core.fsync", FSYNC_CONFIG);
        // With the limit 1, git keeps the fetched objects in a pack. If git unpacked the objects, a commit
        // could become visible before its tree.
        call.config("fetch.unpackLimit", "1")
    }

    /// Returns the commits of this list that are not in the mirror.
    async fn missing_commits(&self, commits: &[Sha]) -> Result<Vec<Sha>, GitError> {
        let asked = commits.iter().map(|sha| format!("{sha}^{{commit}}\n")).collect::<String>();
        let call = self
            .isolated_dir
            .command("cat-file")
            .arg("--batch-check=%(objectname)")
            .with_input(asked.into_bytes());
        let answer = call.read_output().await?;
        let lines = answer.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect::<Vec<_>>();
        if lines.len() != commits.len() {
            return Err(unknown_output_error("cat-file", &answer));
        }
        let absent = commits.iter().zip(lines).filter(|(_, line)| line.ends_with(b" missing"));
        let mut absent = absent.map(|(sha, _)| sha.clone()).collect::<Vec<_>>();
        absent.sort();
        absent.dedup();
        Ok(absent)
    }

    /// Returns the best common ancestor of two commits; `None` if their histories have no common commit.
    ///
    /// # Errors
    /// [`GitError::CommandFailed`] if the mirror lacks a commit.
    #[truing_core::boxed_future]
    pub async fn merge_base(&self, a: &Sha, b: &Sha) -> Result<Option<Sha>, GitError> {
        merge_base(self.isolated_dir.command("merge-base"), a, b).await
    }

    /// Returns true if the mirror has this commit with its history.
    ///
    /// # Errors
    /// Any failure of git.
    #[truing_core::boxed_future]
    pub async fn has_commit(&self, commit: &Sha) -> Result<bool, GitError> {
        Ok(self.missing_commits(std::slice::from_ref(commit)).await?.is_empty())
    }

    /// Determines how a branch changed from `old_range` to `new_range`. Each argument is a pair: the fork
    /// point from the target branch, and the head. None if there are too many commits to compare. The mirror
    /// must have all these commits.
    ///
    /// # Errors
    /// [`GitError::CommandFailed`] if the mirror lacks a commit.
    #[truing_core::boxed_future]
    pub async fn branch_history(
        &self,
        old_range: (&Sha, &Sha),
        new_range: (&Sha, &Sha),
    ) -> Result<Option<BranchHistory>, GitError> {
        self.isolated_dir.branch_history(old_range, new_range).await
    }

    /// Returns the diff between two commits in git's own format: with renames, without colours, programs or
    /// attributes. A file over [`crate::GitLimits::file_bytes`] appears as changed but without its lines,
    /// like a binary file. If the diff still exceeds [`crate::GitLimits::diff_bytes`], more files appear
    /// without their lines: first the deleted files, then the largest files.
    ///
    /// # Errors
    /// [`GitError::TooLarge`] if the names of the files alone exceed [`crate::GitLimits::diff_bytes`].
    #[truing_core::boxed_future]
    pub async fn diff(&self, base: &Sha, head: &Sha) -> Result<Vec<u8>, GitError> {
        self.isolated_dir.diff(base, head).await.map(|found| found.diff)
    }

    /// Returns the diff of [`Mirror::diff`], and the files whose lines the diff omits.
    ///
    /// # Errors
    /// As [`Mirror::diff`].
    #[truing_core::boxed_future]
    pub async fn diff_with_omissions(&self, base: &Sha, head: &Sha) -> Result<CommitDiff, GitError> {
        self.isolated_dir.diff(base, head).await
    }

    /// Writes the files of a commit below `dest` as plain files: see [`ExportSummary`]. If `paths` is given,
    /// only these files are written.
    ///
    /// # Errors
    /// [`GitError::CommandFailed`] if the mirror lacks the commit, [`GitError::Io`] if `dest` cannot be
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
    /// [`GitError::CommandFailed`] if the mirror lacks the commit, [`GitError::Io`] if the files cannot be
    /// written.
    #[truing_core::boxed_future]
    pub async fn export_all(&self, sha: &Sha) -> Result<(PrivateFolder, ExportSummary), GitError> {
        self.isolated_dir.export_to_private_folder(sha).await
    }

    /// Lists the files of a commit, without their content: those with these paths, and those in folders with
    /// these paths.
    ///
    /// # Errors
    /// [`GitError::CommandFailed`] if the mirror lacks the commit.
    #[truing_core::boxed_future]
    pub async fn list_files(&self, sha: &Sha, paths: &[&str]) -> Result<Vec<TreeFile>, GitError> {
        self.isolated_dir.list_files(sha, paths).await
    }

    /// Returns the text files of a commit that contain at least one of these texts. If no texts are given,
    /// returns no files. The texts must have no line ends.
    ///
    /// # Errors
    /// [`GitError::CommandFailed`] if the mirror lacks the commit.
    #[truing_core::boxed_future]
    pub async fn files_containing(&self, sha: &Sha, texts: &[String]) -> Result<Vec<RepoPath>, GitError> {
        self.isolated_dir.files_containing(sha, texts).await
    }

    /// Returns the stored content of a file of a commit; none if the path does not exist or is not a plain
    /// file.
    ///
    /// # Errors
    /// [`GitError::TooLarge`] if the file exceeds [`crate::GitLimits::file_bytes`],
    /// [`GitError::CommandFailed`] if the mirror lacks the commit.
    #[truing_core::boxed_future]
    pub async fn read_file(&self, sha: &Sha, path: &RepoPath) -> Result<Option<Vec<u8>>, GitError> {
        self.isolated_dir.read_file(sha, path).await
    }

    /// Checks that the remote's signing key, if there is one, can sign commits. Signs a copy of a commit,
    /// which no ref names afterwards.
    ///
    /// # Errors
    /// [`GitError::Signing`]
    pub async fn check_signing_key(&self, commit: &Sha) -> Result<(), GitError> {
        match self.remote.signing_key() {
            Some(signing_key) => self.unpushed_commit(commit).sign(signing_key).await.map(drop),
            None => Ok(()),
        }
    }

    /// Returns true if git recognises the folder as a repository.
    async fn is_valid_repository(&self) -> Result<bool, GitError> {
        let finished = self.isolated_dir.command("rev-parse").arg("--is-bare-repository").run().await?;
        Ok(finished.code() == Some(0)
            && finished.stdout == b"true\n"
            && self.dir().join("objects/pack").is_dir())
    }

    /// Waits for the exclusive lock on this mirror.
    async fn lock_mirror(&self) -> Result<File, GitError> {
        let after = self.isolated_dir.git().limits().network_timeout;
        let lock = self.lock.clone();
        // If the caller cancels the wait, the thread still acquires the lock later, and then releases it
        // immediately.
        let locked = tokio::task::spawn_blocking(move || {
            let file = File::create(lock)?;
            flock(&file, FlockOperation::LockExclusive)?;
            Ok(file)
        });
        let cannot = |source| GitError::Io { failure: "cannot lock", path: self.lock.clone(), source };
        match tokio::time::timeout(after, locked).await {
            Ok(Ok(locked)) => locked.map_err(cannot),
            Ok(Err(stopped)) => Err(cannot(std::io::Error::other(stopped))),
            Err(_) => Err(GitError::MirrorBusy { path: self.dir().to_owned(), waited: after }),
        }
    }
}

/// Removes the leftovers of a killed fetch: locks, which would block later fetches, and unfinished packs.
/// Only the holder of the mirror's lock may call this function. Errors are ignored: if a file cannot be
/// removed, a later error message of git names the file.
fn remove_fetch_leftovers(dir: &Path) {
    let remove_stale = |folder: &str, is_stale: fn(&str) -> bool| {
        for entry in std::fs::read_dir(dir.join(folder)).into_iter().flatten().flatten() {
            if entry.file_name().to_str().is_some_and(is_stale) {
                let _ = std::fs::remove_file(entry.path());
            }
        }
    };
    remove_stale("", |name| name.ends_with(".lock"));
    remove_stale("refs/truing", |name| name.ends_with(".lock"));
    remove_stale("objects/pack", |name| name.starts_with("tmp_") || name.starts_with(".tmp-"));
}
