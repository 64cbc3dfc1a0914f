//! Runs a repository's own checks on one state of the repository: a commit, the index or the working tree.
//! The state is checked out to a private folder, in which the project's set-up and then its checks run. If a
//! base is given, the results are compared with the results of the base.

use futures_util::future::BoxFuture;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use ignore::WalkBuilder;
use truing_agent::verify::{CacheScope, VerifiedTree, Verifier, VerifyError};
use truing_core::id::Sha;
use truing_core::verification::{CheckVerdict, VerificationReport};
use truing_git::{Git, GitError, IndexSnapshot, LocalRepository, Mirror, PrivateFolder, Remote};

/// The folder with git's own data, which is not copied.
const GIT_FOLDER: &str = ".git";

/// A request to run a repository's checks on one state.
#[derive(Debug)]
pub struct VerifyRequest<'a> {
    /// The repository, which is not changed.
    pub repository: &'a LocalRepository,
    /// The commit before the change; `None` if only one state is checked.
    pub base: Option<&'a Sha>,
    /// The commit to check; `None` for the working tree.
    pub head: Option<&'a Sha>,
}

/// The results of a repository's checks.
#[derive(Debug)]
pub struct VerifyOutcome {
    /// Result of the checks before the change; `None` if only one state was checked.
    pub base: Option<VerifiedTree>,
    /// Result of the checks on the requested state.
    pub head: VerifiedTree,
    /// The verdict on each check of the requested state; `None` if the checks could not be run.
    pub verdicts: Option<Vec<CheckVerdict>>,
}

/// The reason why the checks could not be run.
#[derive(Debug, thiserror::Error)]
pub enum RepositoryVerifyError {
    /// Git failed or could not be run.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The set-up or a check could not be run.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// A file of the working tree cannot be copied.
    #[error("cannot copy {}: {source}", path.display())]
    Copy { path: PathBuf, source: io::Error },
}

/// Runs the checks, first on the base and then on the head.
///
/// # Errors
/// [`RepositoryVerifyError`]; if a set-up or a check fails, the result reports the failure, and no error is
/// returned.
#[truing_core::boxed_future]
pub async fn verify_repository(
    request: &VerifyRequest<'_>,
    verifier: &Verifier,
    git: &Git,
) -> Result<VerifyOutcome, RepositoryVerifyError> {
    let VerifyRequest { repository, base, head } = *request;
    let root = repository.root();
    let folder = git.create_private_folder()?;
    let mirror = git.open_mirror(&path_in(&folder, "mirror.git"), &Remote::from_local_path(root)?).await?;
    // The user runs their own commands on their own files. All states of the repository may therefore share
    // cached set-ups.
    let scope = CacheScope::new(format!("local {}", root.display()));

    let base = match base {
        Some(commit) => {
            let tree = path_in(&folder, "base");
            check_out_with_git(&mirror, commit, &tree).await?;
            Some(verifier.verify_tree(&tree, &scope, None).await?)
        }
        None => None,
    };
    let tree = path_in(&folder, "head");
    match head {
        Some(commit) => check_out_with_git(&mirror, commit, &tree).await?,
        None => {
            check_out_with_git(&mirror, repository.head()?, &tree).await?;
            apply_working_tree(request.repository, &tree).await?;
        }
    }
    let baseline = base.as_ref().and_then(|base| base.verification.as_ref());
    let head = verifier.verify_tree(&tree, &scope, baseline).await?;
    let verdicts = head.verification.as_ref().map(|now| VerificationReport::compare(baseline, now));
    Ok(VerifyOutcome { base, head, verdicts })
}

/// A state of a repository.
#[derive(Clone, Copy, Debug)]
pub enum RepositoryState<'a> {
    /// The state of a commit.
    Commit(&'a Sha),
    /// The state of the index, which the next commit would record.
    Index(&'a IndexSnapshot),
    /// The state of the working tree.
    WorkingTree,
}

/// Checks out a state to a new private folder. The returned path is the subfolder that contains the files. If
/// there is a commit, the subfolder also contains a `.git` folder.
///
/// # Errors
/// [`RepositoryVerifyError`]
pub fn check_out_state<'a>(
    repository: &'a LocalRepository,
    state: RepositoryState<'a>,
    git: &'a Git,
) -> BoxFuture<'a, Result<(PrivateFolder, PathBuf), RepositoryVerifyError>> {
    Box::pin(async move {
        let folder = git.create_private_folder()?;
        let tree = path_in(&folder, "tree");
        let commit = match state {
            RepositoryState::Commit(commit) => Some(commit),
            RepositoryState::Index(_) | RepositoryState::WorkingTree => repository.head_if_any(),
        };
        match commit {
            Some(commit) => {
                let mirror = git
                    .open_mirror(
                        &path_in(&folder, "mirror.git"),
                        &Remote::from_local_path(repository.root())?,
                    )
                    .await?;
                check_out_with_git(&mirror, commit, &tree).await?;
            }
            None => create_folder(&tree)?,
        }
        match state {
            RepositoryState::Commit(_) => {}
            RepositoryState::Index(index) => {
                let staged = path_in(&folder, "index");
                create_folder(&staged)?;
                index.export(&staged, None).await?;
                apply_folder_changes(&staged, list_files(&staged), &tree)?;
            }
            RepositoryState::WorkingTree => apply_working_tree(repository, &tree).await?,
        }
        Ok((folder, tree))
    })
}

/// Checks out a commit of a mirror to a new private folder. The returned path is the subfolder that contains
/// the files and a `.git` folder.
///
/// # Errors
/// [`RepositoryVerifyError`]
#[truing_core::boxed_future]
pub async fn check_out_mirror_commit(
    mirror: &Mirror,
    commit: &Sha,
    git: &Git,
) -> Result<(PrivateFolder, PathBuf), RepositoryVerifyError> {
    let folder = git.create_private_folder()?;
    let tree = path_in(&folder, "tree");
    check_out_with_git(mirror, commit, &tree).await?;
    Ok((folder, tree))
}

fn create_folder(folder: &Path) -> Result<(), RepositoryVerifyError> {
    std::fs::create_dir(folder)
        .map_err(|source| RepositoryVerifyError::Copy { path: folder.to_owned(), source })
}

fn path_in(folder: &PrivateFolder, name: &str) -> PathBuf {
    folder.path().join(name)
}

/// Checks out a commit together with a `.git` folder, because many builds and tests use git.
async fn check_out_with_git(mirror: &Mirror, commit: &Sha, tree: &Path) -> Result<(), RepositoryVerifyError> {
    create_folder(tree)?;
    mirror.fetch(std::slice::from_ref(commit)).await?;
    mirror.check_out_private_clone(commit, &[], tree).await?;
    Ok(())
}

/// Replaces the checked-out files by the files of the working tree, and adds untracked files. Files that git
/// ignores are not copied.
async fn apply_working_tree(repository: &LocalRepository, tree: &Path) -> Result<(), RepositoryVerifyError> {
    let new = repository.untracked_files().await?;
    let new = new.iter().map(|path| PathBuf::from(OsStr::from_bytes(path.as_bytes())));
    apply_folder_changes(repository.root(), new.collect(), tree)
}

/// Replaces each file in `tree` by the file with the same path in `root`, and adds the files in `new_paths`.
/// The paths in `new_paths` are relative to `root`.
fn apply_folder_changes(
    root: &Path,
    new_paths: Vec<PathBuf>,
    tree: &Path,
) -> Result<(), RepositoryVerifyError> {
    for below in list_files(tree) {
        let (from, to) = (root.join(&below), tree.join(&below));
        let failed = |source| RepositoryVerifyError::Copy { path: from.clone(), source };
        std::fs::remove_file(&to).map_err(failed)?;
        copy_entry(&from, &to).map_err(failed)?;
    }
    for below in new_paths {
        let (from, to) = (root.join(&below), tree.join(&below));
        if to.symlink_metadata().is_err() {
            copy_entry(&from, &to).map_err(|source| RepositoryVerifyError::Copy { path: from, source })?;
        }
    }
    Ok(())
}

/// Returns the paths of files and links below a folder, except those in `.git`.
fn list_files(root: &Path) -> Vec<PathBuf> {
    let mut walk = WalkBuilder::new(root);
    let found =
        walk.standard_filters(false).filter_entry(|entry| entry.file_name() != GIT_FOLDER).build().flatten();
    found
        .filter(|entry| entry.file_type().is_some_and(|kind| !kind.is_dir()))
        .filter_map(|entry| entry.path().strip_prefix(root).ok().map(Path::to_owned))
        .collect()
}

/// Copies a file. For a symbolic link, copies the link itself. Does nothing if the path does not exist.
fn copy_entry(from: &Path, to: &Path) -> io::Result<()> {
    let found = match from.symlink_metadata() {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(());
        }
        found => found?.file_type(),
    };
    if let Some(parent) = to.parent().filter(|parent| parent.symlink_metadata().is_err()) {
        std::fs::create_dir_all(parent)?;
    }
    if found.is_symlink() {
        return std::os::unix::fs::symlink(std::fs::read_link(from)?, to);
    }
    if found.is_file() { std::fs::copy(from, to).map(drop) } else { Ok(()) }
}
