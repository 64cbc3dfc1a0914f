//! A mirror: a bare repository that caches one remote's commits, fetched by their ids.
//!
//! * A mirror is made beside its place and moved there whole, so a half-made one is never in its place. A
//!   folder of ours that git does not recognise any more is made anew.
//! * Fetches take turns, by a lock on the file `NAME.lock` beside the mirror: between runs of a process, and
//!   between processes. Whoever has the lock may sweep away what a killed fetch left.
//! * What a fetch brings appears all at once, as one pack: a commit that is here has everything below it, whoever
//!   looks while another fetches, and whatever was killed.
//! * The newest fetched commits have a ref (`refs/truing/ID`): git tells the remote from these what it need not
//!   send again. History is whole (a merge base needs it), nothing is ever collected by itself (`gc.auto=0`);
//!   small packs are joined when there are many.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use truing_core::RepoPath;
use truing_core::id::Sha;
use truing_core::increment::BranchHistory;

use crate::command::GitCommand;
use crate::view::{IsolatedGitDir, ObjectFormat, garbled, lay_out, merge_base, sha, write};
use crate::{
    CommitDiff, ExportSummary, Git, GitError, PrivateFolder, Remote, TreeFile, UnpushedCommit, network,
};

/// The file that says that a folder is ours. It is part of the folder from the beginning.
const MARK: &str = "truing-mirror";

/// Hexadecimal digits of a SHA-1 id.
const SHA1_DIGITS: usize = 40;

/// What is written to the disk before it counts: refs too, or a power failure could leave empty ones.
const FSYNC: &str = "committed,reference";

/// How a local repository is served, whoever owns it: whoever names it may read it, and nothing that it configures runs.
const LOCAL_END: &str = "--upload-pack=git -c 'safe.directory=*' upload-pack";

/// With more packs than this, small ones are joined: git looks for an object in each.
const MAX_PACKS: usize = 50;

/// Commits that keep a ref, the newest.
const MAX_REFS: usize = 512;

/// A bare repository that follows one remote.
#[derive(Clone, Debug)]
pub struct Mirror {
    view: IsolatedGitDir,
    lock: PathBuf,
    remote: Remote,
}

impl Git {
    /// Opens the mirror at `dir`, or makes it. No network.
    ///
    /// # Errors
    /// [`GitError::NotAMirror`] if the folder holds something else, which is left alone.
    #[truing_core::boxed_future]
    pub async fn mirror(&self, dir: &Path, remote: &Remote) -> Result<Mirror, GitError> {
        let cannot = |source| GitError::Io { doing: "cannot use", path: dir.to_owned(), source };
        let dir = std::path::absolute(dir).map_err(cannot)?;
        let parent = dir.parent().unwrap_or(Path::new("/"));
        std::fs::create_dir_all(parent).map_err(cannot)?;
        let view = IsolatedGitDir::new(self.clone(), dir.clone(), ObjectFormat::Sha1);
        let mirror = Mirror { view, lock: with_suffix(&dir, ".lock"), remote: remote.clone() };
        let _turn = mirror.turn().await?;
        match state(&dir)? {
            MirrorState::Absent => make(&dir)?,
            MirrorState::Foreign => return Err(GitError::NotAMirror(dir)),
            MirrorState::Ours if mirror.is_whole().await? => {}
            MirrorState::Ours => {
                remove(&dir)?;
                make(&dir)?;
            }
        }
        Ok(mirror)
    }
}

/// What is in a mirror's place.
enum MirrorState {
    Absent,
    Ours,
    Foreign,
}

fn state(dir: &Path) -> Result<MirrorState, GitError> {
    let cannot = |source| GitError::Io { doing: "cannot look at", path: dir.to_owned(), source };
    let mut entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(MirrorState::Absent),
        Err(error) if error.kind() == ErrorKind::NotADirectory => return Ok(MirrorState::Foreign),
        Err(error) => return Err(cannot(error)),
    };
    if dir.join(MARK).is_file() {
        return Ok(MirrorState::Ours);
    }
    Ok(if entries.next().is_some() { MirrorState::Foreign } else { MirrorState::Absent })
}

/// Makes a mirror beside its place, then moves it there.
fn make(dir: &Path) -> Result<(), GitError> {
    let half = with_suffix(dir, ".new");
    remove(&half)?;
    let cannot = |source| GitError::Io { doing: "cannot make", path: dir.to_owned(), source };
    std::fs::create_dir(&half).map_err(cannot)?;
    write(&half.join(MARK), b"A cache of one remote's commits, made by truing. It may be deleted.\n")?;
    lay_out(&half, ObjectFormat::Sha1)?;
    std::fs::rename(&half, dir).map_err(cannot)
}

fn remove(dir: &Path) -> Result<(), GitError> {
    match std::fs::remove_dir_all(dir) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(GitError::Io { doing: "cannot remove", path: dir.to_owned(), source: error })
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
    /// The folder.
    pub fn dir(&self) -> &Path {
        self.view.dir()
    }

    /// The same mirror, which asks another remote for what is missing: a fork of the one that it follows.
    #[must_use]
    pub fn asking(&self, remote: &Remote) -> Self {
        Self { remote: remote.clone(), ..self.clone() }
    }

    /// How to read it.
    pub(crate) fn view(&self) -> &IsolatedGitDir {
        &self.view
    }

    /// Makes sure that these commits are here with their whole history. Asks the remote only if one is
    /// missing.
    ///
    /// # Errors
    /// [`GitError::CommitGone`], [`GitError::Sha256`], [`GitError::Unauthorized`], [`GitError::RemoteMissing`],
    /// [`GitError::MirrorBusy`], or whatever else git says.
    #[truing_core::boxed_future]
    pub async fn fetch(&self, commits: &[Sha]) -> Result<(), GitError> {
        if self.missing(commits).await?.is_empty() {
            return Ok(());
        }
        let _turn = self.turn().await?;
        // Another run may have fetched them meanwhile.
        let missing = self.missing(commits).await?;
        if missing.is_empty() {
            return Ok(());
        }
        if missing.iter().any(|sha| sha.as_str().len() > SHA1_DIGITS) {
            return Err(GitError::Sha256 { remote: self.remote.url().to_owned() });
        }
        sweep(self.dir());
        self.ask_remote(&missing).await?;
        match self.missing(&missing).await?.into_iter().next() {
            None => self.join_packs().await,
            Some(sha) => Err(GitError::CommitGone { remote: self.remote.url().to_owned(), sha: Some(sha) }),
        }
    }

    /// Keeps a commit of ours, with everything below it, so that it outlives what it was made in.
    ///
    /// # Errors
    /// [`GitError::MirrorBusy`], [`GitError::Failed`]
    #[truing_core::boxed_future]
    pub async fn keep(&self, commit: &UnpushedCommit) -> Result<(), GitError> {
        let _turn = self.turn().await?;
        sweep(self.dir());
        let (sha, from) = (commit.sha(), commit.view().dir().join("objects"));
        let revisions: Vec<String> =
            [sha.to_string()].into_iter().chain(commit.parent().map(|parent| format!("^{parent}"))).collect();
        self.view.copy_objects(&from, (&self.dir().join("objects"), FSYNC), &revisions).await?;
        let call = self.view.call("update-ref").config("core.fsync", FSYNC);
        call.args([format!("refs/truing/{sha}").as_str(), sha.as_str()]).read().await?;
        self.join_packs().await
    }

    /// The tree of a commit that is here.
    ///
    /// # Errors
    /// [`GitError::Failed`] if it is not.
    #[truing_core::boxed_future]
    pub async fn tree_of(&self, commit: &Sha) -> Result<Sha, GitError> {
        let call = self.view.call("rev-parse").args(["--verify", "--end-of-options"]);
        sha("rev-parse", &call.arg(format!("{commit}^{{tree}}")).read().await?)
    }

    /// Joins small packs, and the refs with them, if there are many, so that a mirror of years stays quick. Those who read meanwhile find
    /// every object in an old pack or in the new one.
    async fn join_packs(&self) -> Result<(), GitError> {
        let folder = self.dir().join("objects/pack");
        let entries = std::fs::read_dir(&folder).map_err(|source| GitError::Io {
            doing: "cannot look at",
            path: folder,
            source,
        })?;
        let packs =
            entries.flatten().filter(|entry| entry.path().extension().is_some_and(|end| end == "pack"));
        if packs.count() <= MAX_PACKS {
            return Ok(());
        }
        self.view.call("repack").args(["-d", "--geometric=2", "--quiet"]).read().await?;
        self.forget_refs().await?;
        // A file for each commit that was ever fetched would slow every fetch.
        self.view.call("pack-refs").arg("--all").config("core.fsync", FSYNC).read().await.map(drop)
    }

    /// Deletes the refs of all but the newest commits: they only tell a remote what it need not send again, and the
    /// commits stay, since nothing is collected.
    async fn forget_refs(&self) -> Result<(), GitError> {
        let call = self.view.call("for-each-ref");
        let call = call.args(["--sort=-committerdate", "--format=delete %(refname)", "refs/truing"]);
        let listed = call.read().await?;
        let old: Vec<u8> =
            listed.split_inclusive(|byte| *byte == b'\n').skip(MAX_REFS).flatten().copied().collect();
        if old.is_empty() {
            return Ok(());
        }
        let call = self.view.call("update-ref").arg("--stdin").input(old).config("core.fsync", FSYNC);
        call.read().await.map(drop)
    }

    /// The newest commit of the remote's default branch, asked of the remote; none if it has none.
    ///
    /// # Errors
    /// As [`Mirror::fetch`].
    #[truing_core::boxed_future]
    pub async fn default_tip(&self) -> Result<Option<Sha>, GitError> {
        self.tip("HEAD").await
    }

    /// The newest commit of a branch of the remote, asked of the remote; none if it has no such branch.
    ///
    /// # Errors
    /// As [`Mirror::fetch`].
    #[truing_core::boxed_future]
    pub async fn branch_tip(&self, branch: &str) -> Result<Option<Sha>, GitError> {
        self.tip(&format!("refs/heads/{branch}")).await
    }

    /// Has the remote a tag of one of these names?
    ///
    /// # Errors
    /// As [`Mirror::fetch`].
    #[truing_core::boxed_future]
    pub async fn has_tag(&self, names: &[String]) -> Result<bool, GitError> {
        let asked: Vec<String> = names.iter().map(|name| format!("refs/tags/{name}")).collect();
        let call = self.view.call("ls-remote").args(["--quiet", "--end-of-options", self.remote.url()]);
        let answer = network::read(self.view.git(), &self.remote, call.args(&asked)).await?;
        for reference in &asked {
            if network::listed(&answer, reference)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What the remote says that this ref points to.
    async fn tip(&self, reference: &str) -> Result<Option<Sha>, GitError> {
        let call =
            self.view.call("ls-remote").args(["--quiet", "--end-of-options", self.remote.url(), reference]);
        let answer = network::read(self.view.git(), &self.remote, call).await?;
        network::listed(&answer, reference)
    }

    async fn ask_remote(&self, commits: &[Sha]) -> Result<(), GitError> {
        let call = self.fetch_call().arg("--end-of-options").arg(self.remote.url());
        let call = call.args(commits.iter().map(|sha| format!("+{sha}:refs/truing/{sha}")));
        network::read(self.view.git(), &self.remote, call).await.map(drop)
    }

    /// A fetch into here, without its source.
    fn fetch_call(&self) -> GitCommand {
        let call = self.view.call("fetch").args([
            "--quiet",
            "--no-tags",
            "--no-write-fetch-head",
            "--no-auto-maintenance",
            "--no-recurse-submodules",
            "--no-show-forced-updates",
        ]);
        // The program at the other end of a local fetch is not told what this one is told.
        let call = match self.remote.protocol() {
            "file" => call.arg(LOCAL_END),
            _ => call,
        };
        let call = call.config("core.fsync", FSYNC);
        // Object by object, a commit would be here before its tree.
        call.config("fetch.unpackLimit", "1")
    }

    /// Which of these commits are not here.
    async fn missing(&self, commits: &[Sha]) -> Result<Vec<Sha>, GitError> {
        let asked = commits.iter().map(|sha| format!("{sha}^{{commit}}\n")).collect::<String>();
        let call = self.view.call("cat-file").arg("--batch-check=%(objectname)").input(asked.into_bytes());
        let answer = call.read().await?;
        let lines = answer.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect::<Vec<_>>();
        if lines.len() != commits.len() {
            return Err(garbled("cat-file", &answer));
        }
        let absent = commits.iter().zip(lines).filter(|(_, line)| line.ends_with(b" missing"));
        let mut absent = absent.map(|(sha, _)| sha.clone()).collect::<Vec<_>>();
        absent.sort();
        absent.dedup();
        Ok(absent)
    }

    /// The best common ancestor; none if the histories never meet.
    ///
    /// # Errors
    /// [`GitError::Failed`] if a commit is not here.
    #[truing_core::boxed_future]
    pub async fn merge_base(&self, a: &Sha, b: &Sha) -> Result<Option<Sha>, GitError> {
        merge_base(self.view.call("merge-base"), a, b).await
    }

    /// Is this commit here, with its history?
    ///
    /// # Errors
    /// Whatever git says.
    #[truing_core::boxed_future]
    pub async fn has(&self, commit: &Sha) -> Result<bool, GitError> {
        Ok(self.missing(std::slice::from_ref(commit)).await?.is_empty())
    }

    /// How a branch came from `before` to `now`, each a head and, before it, where it left the branch that it goes
    /// to; none if there are too many commits to tell. All must be here.
    ///
    /// # Errors
    /// [`GitError::Failed`] if a commit is not here.
    #[truing_core::boxed_future]
    pub async fn history(
        &self,
        before: (&Sha, &Sha),
        now: (&Sha, &Sha),
    ) -> Result<Option<BranchHistory>, GitError> {
        self.view.history(before, now).await
    }

    /// The diff between two commits, in git's own form: with renames, without colours, programs or attributes. It shows of
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
    /// As [`Mirror::diff`].
    #[truing_core::boxed_future]
    pub async fn commit_diff(&self, base: &Sha, head: &Sha) -> Result<CommitDiff, GitError> {
        self.view.diff(base, head).await
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

    /// The text files of a commit in which one of these texts stands; none for no texts, which have no line ends in them.
    ///
    /// # Errors
    /// [`GitError::Failed`] if the commit is not here.
    #[truing_core::boxed_future]
    pub async fn containing(&self, sha: &Sha, texts: &[String]) -> Result<Vec<RepoPath>, GitError> {
        self.view.containing(sha, texts).await
    }

    /// The content of a file of a commit, as it is stored; none if there is no such file, or it is no plain one.
    ///
    /// # Errors
    /// [`GitError::TooLarge`] over [`crate::GitLimits::file_bytes`], [`GitError::Failed`] if the commit is not here.
    #[truing_core::boxed_future]
    pub async fn read(&self, sha: &Sha, path: &RepoPath) -> Result<Option<Vec<u8>>, GitError> {
        self.view.read(sha, path).await
    }

    /// Does git still recognise it?
    async fn is_whole(&self) -> Result<bool, GitError> {
        let finished = self.view.call("rev-parse").arg("--is-bare-repository").run().await?;
        Ok(finished.code() == Some(0)
            && finished.stdout == b"true\n"
            && self.dir().join("objects/pack").is_dir())
    }

    /// Waits until nobody else changes this mirror.
    async fn turn(&self) -> Result<File, GitError> {
        let after = self.view.git().limits().network_time;
        let lock = self.lock.clone();
        // If the wait is given up, the thread gets the lock later and lets go of it at once.
        let locked = tokio::task::spawn_blocking(move || {
            let file = File::create(lock)?;
            flock(&file, FlockOperation::LockExclusive)?;
            Ok(file)
        });
        let cannot = |source| GitError::Io { doing: "cannot lock", path: self.lock.clone(), source };
        match tokio::time::timeout(after, locked).await {
            Ok(Ok(locked)) => locked.map_err(cannot),
            Ok(Err(stopped)) => Err(cannot(std::io::Error::other(stopped))),
            Err(_) => Err(GitError::MirrorBusy { path: self.dir().to_owned(), after }),
        }
    }
}

/// Removes what a fetch that was killed leaves: locks, which would refuse later fetches, and unfinished packs.
/// Only for the holder of the mirror's lock. What cannot be removed shows in git's own message.
fn sweep(dir: &Path) {
    let stale = |folder: &str, is_stale: fn(&str) -> bool| {
        for entry in std::fs::read_dir(dir.join(folder)).into_iter().flatten().flatten() {
            if entry.file_name().to_str().is_some_and(is_stale) {
                let _ = std::fs::remove_file(entry.path());
            }
        }
    };
    stale("", |name| name.ends_with(".lock"));
    stale("refs/truing", |name| name.ends_with(".lock"));
    stale("objects/pack", |name| name.starts_with("tmp_") || name.starts_with(".tmp-"));
}
