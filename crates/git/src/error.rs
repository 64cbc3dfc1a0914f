//! Errors of git calls, each with a message for the user and advice on the next action.

use std::path::PathBuf;
use std::time::Duration;

use truing_core::id::Sha;
use truing_core::port::ForgeError;

use crate::options::{MIN_VERSION, MIN_VERSION_TO_MERGE};

/// Failure of a git operation. The command exits with code 2 if [`GitError::is_wrong_input`] is true,
/// otherwise with code 3.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// The program is missing or cannot run.
    #[error("cannot run git: {program}: {source}")]
    NoGit {
        /// Path of the program, as configured.
        program: PathBuf,
        /// Reason from the operating system.
        source: std::io::Error,
    },
    /// The program is older than required, or is not git.
    #[error(
        "git is too old: `git --version` prints `{found_version}`, but Truing requires {}.{} or newer",
        MIN_VERSION.0,
        MIN_VERSION.1
    )]
    TooOld {
        /// Output of `git --version`, truncated and cleaned.
        found_version: String,
    },
    /// The program is older than the minimum version for merging two commits.
    #[error("git {}.{} is too old to merge two commits: Truing requires {}.{} or \
        newer", found_version.0, found_version.1,
        MIN_VERSION_TO_MERGE.0, MIN_VERSION_TO_MERGE.1)]
    TooOldToMerge { found_version: (u32, u32) },
    /// Truing could not read or write one of its own files or folders.
    #[error("{failure} {}: {source}", path.display())]
    Io {
        /// Failed action, as in `cannot write`.
        failure: &'static str,
        path: PathBuf,
        /// Reason from the operating system.
        source: std::io::Error,
    },
    /// A call exceeded its time limit and was killed with all its children.
    #[error("git {call} did not end within {} s and was stopped", time_limit.as_secs_f32())]
    TimedOut { call: &'static str, time_limit: Duration },
    /// The output exceeds the limit.
    #[error("git {call} printed more than {limit} bytes")]
    TooLarge {
        call: &'static str,
        /// Limit on the output in bytes.
        limit: usize,
    },
    /// A git command failed.
    #[error("git {call} failed: {message}")]
    CommandFailed {
        call: &'static str,
        /// Git's message, cut and cleaned.
        message: String,
    },
    /// Git lacks objects that were omitted when the repository was cloned (`git clone --filter`). Missing
    /// objects are not fetched without the owner's consent.
    #[error("this is a partial clone, and git {call} needs objects that were never fetched: {message}")]
    NotFetched {
        call: &'static str,
        /// Git's message, cut and cleaned.
        message: String,
    },
    /// Git needs more memory than its limit.
    #[error("git {call} needs more memory than its limit of {mib} MiB: {message}")]
    OutOfMemory {
        call: &'static str,
        /// Memory limit in MiB.
        mib: u64,
        /// Git's message, cut and cleaned.
        message: String,
    },
    /// Git's output has an unknown format.
    #[error("git {call} printed unexpected output: {output}")]
    UnknownOutput {
        call: &'static str,
        /// Output, cut and cleaned.
        output: String,
    },

    /// The forge's API created no commit, or did not respond.
    #[error(transparent)]
    Api(#[from] ForgeError),
    #[error("no file or folder exists at {}", .0.display())]
    PathMissing(PathBuf),
    /// The path is not a folder.
    #[error("{} is not a folder", .0.display())]
    NotADirectory(PathBuf),
    /// The path is not in a repository.
    #[error("{} is not in a git repository", .0.display())]
    NotARepository(PathBuf),
    /// The path is a bare repository, or inside a git folder.
    #[error("{} has no working tree: it is a bare repository, or inside a git folder", .0.display())]
    NoWorkTree(PathBuf),
    /// The repository's configuration sets a working tree that does not belong to the repository.
    #[error("the repository at {} is configured with the working tree {}, which does not belong to the \
        repository",
        path.display(), root.display())]
    ForeignWorkTree {
        /// Path as it was requested.
        path: PathBuf,
        /// Value of `core.worktree` in the configuration.
        root: PathBuf,
    },
    /// Git would read this path as a file, but the path is a pipe, a socket or a device.
    #[error("{} is a pipe, a socket or a device: git would wait for its data", .0.display())]
    SpecialFile(PathBuf),
    /// A file that git must read completely is larger than any file that git itself writes.
    #[error(
        "{} is too large: it has {} MiB, but Truing reads at most {} MiB",
        path.display(),
        bytes >> 20,
        limit >> 20
    )]
    HugeFile {
        path: PathBuf,
        /// Size of the file in bytes.
        bytes: u64,
        /// Limit on the size in bytes.
        limit: u64,
    },
    /// The current branch has no commit yet.
    #[error("the repository at {} has no commit on its current branch", .0.display())]
    NoCommits(PathBuf),
    /// The text cannot be the name of a commit.
    #[error("`{0}` cannot be the name of a commit")]
    BadRevision(String),
    /// The text cannot be the name of a branch.
    #[error("`{0}` cannot be the name of a branch")]
    BadBranch(String),
    /// No commit has this name.
    #[error("there is no commit named `{revision}`")]
    UnknownRevision {
        /// Name as it was requested.
        revision: String,
        /// Branch or tag with the most similar name.
        similar_name: Option<String>,
        /// True in a shallow clone. The commit may be missing because the clone is shallow.
        shallow: bool,
    },
    /// No branch qualifies as the default branch.
    #[error("no default branch: there is no origin/HEAD, origin/main, origin/master, main or master")]
    NoDefaultBranch,
    /// The two histories have no common commit.
    #[error("{head} and {branch} have no commit in common")]
    NoCommonAncestor {
        head: Sha,
        /// Branch that the commit was compared with.
        branch: String,
    },
    /// The clone is shallow and does not contain the required history.
    #[error("{missing} is not in this shallow clone")]
    MissingHistory {
        /// Description of the missing history.
        missing: String,
        /// Command that fetches the missing history.
        command: String,
    },
    /// The remote is not permitted. The URL is not shown whole, because it may contain a password.
    #[error("the remote {remote} is refused: {reason}")]
    BadRemote {
        /// Scheme and host of the URL.
        remote: String,
        /// Rule that the remote violates.
        reason: &'static str,
    },
    /// The folder is neither empty nor a mirror.
    #[error("{} is neither empty nor a mirror made by truing", .0.display())]
    NotAMirror(PathBuf),
    /// Another operation has held the mirror's lock for too long.
    #[error("the mirror at {} has been in use by another fetch for {} s", path.display(),
        waited.as_secs_f32())]
    MirrorBusy {
        /// Folder of the mirror.
        path: PathBuf,
        /// Time spent waiting for the lock.
        waited: Duration,
    },
    /// The remote does not have the commit, or no longer has it.
    #[error("{remote} does not have the commit{}",
        sha.as_ref().map(|sha| format!(" {sha}")).unwrap_or_default())]
    CommitGone {
        remote: String,
        /// Id of the commit, if git names it.
        sha: Option<Sha>,
    },
    /// The remote uses SHA-256 ids, which mirrors do not support.
    #[error("{remote} uses SHA-256 commit ids, which Truing supports only in a review of a working tree")]
    Sha256 { remote: String },
    /// The remote rejects the credentials, or requires credentials.
    #[error("{remote} denies read access: {message}")]
    Unauthorized {
        remote: String,
        /// Git's message, cut and cleaned.
        message: String,
    },
    /// A commit cannot be signed with the key of the configuration.
    #[error("`sign.ssh_key` of the forge cannot sign a commit: {message}")]
    Signing {
        /// Message that git has printed.
        message: String,
    },
    /// The repository does not exist, or is hidden from these credentials.
    #[error("{remote} does not exist, or is hidden from this token")]
    RemoteMissing { remote: String },
    /// A fork is gone, or hidden from these credentials, and no other repository has the commits of the pull
    /// request.
    #[error(
        "only the fork {fork} has the commits of the pull request, and the fork cannot be read: \
        {reason}"
    )]
    ForkUnreadable {
        /// Name of the fork, `owner/name`.
        fork: String,
        /// Reason why the fork cannot be read, as far as it is known.
        reason: String,
    },
}

/// Subcommands that contact a remote.
const REMOTE_CALLS: [&str; 3] = ["fetch", "ls-remote", "push"];

/// Texts in git's messages that report a temporary failure of a remote or of the network.
const TEMPORARY_FAILURE_MESSAGES: [&str; 9] = [
    "error: 429",
    "error: 500",
    "error: 502",
    "error: 503",
    "error: 504",
    "RPC failed",
    "hung up unexpectedly",
    "Could not resolve host",
    "Failed to connect",
];

impl GitError {
    /// Returns true if the remote or the network failed and a retry may succeed.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::CommandFailed { call, message } => {
                REMOTE_CALLS.contains(call)
                    && TEMPORARY_FAILURE_MESSAGES.iter().any(|words| message.contains(words))
            }
            Self::TimedOut { call, .. } => REMOTE_CALLS.contains(call),
            Self::Api(error) => !error.has_no_effect(),
            Self::PathMissing(_)
            | Self::NotADirectory(_)
            | Self::NotARepository(_)
            | Self::NoWorkTree(_)
            | Self::ForeignWorkTree { .. }
            | Self::SpecialFile(_)
            | Self::HugeFile { .. }
            | Self::NoCommits(_)
            | Self::BadRevision(_)
            | Self::BadBranch(_)
            | Self::UnknownRevision { .. }
            | Self::NoDefaultBranch
            | Self::NoCommonAncestor { .. }
            | Self::BadRemote { .. }
            | Self::Sha256 { .. }
            | Self::NotAMirror(_)
            | Self::NoGit { .. }
            | Self::TooOld { .. }
            | Self::TooOldToMerge { .. }
            | Self::Io { .. }
            | Self::TooLarge { .. }
            | Self::NotFetched { .. }
            | Self::OutOfMemory { .. }
            | Self::UnknownOutput { .. }
            | Self::MissingHistory { .. }
            | Self::MirrorBusy { .. }
            | Self::CommitGone { .. }
            | Self::Unauthorized { .. }
            | Self::Signing { .. }
            | Self::RemoteMissing { .. }
            | Self::ForkUnreadable { .. } => false,
        }
    }

    /// Returns true if the user's request is invalid (exit code 2), and false if Truing could not fulfil the
    /// request (exit code 3).
    pub fn is_wrong_input(&self) -> bool {
        match self {
            Self::PathMissing(_)
            | Self::NotADirectory(_)
            | Self::NotARepository(_)
            | Self::NoWorkTree(_)
            | Self::ForeignWorkTree { .. }
            | Self::SpecialFile(_)
            | Self::HugeFile { .. }
            | Self::NoCommits(_)
            | Self::BadRevision(_)
            | Self::BadBranch(_)
            | Self::UnknownRevision { .. }
            | Self::NoDefaultBranch
            | Self::NoCommonAncestor { .. }
            | Self::BadRemote { .. }
            | Self::Sha256 { .. }
            | Self::NotAMirror(_) => true,
            Self::Api(_)
            | Self::TooOldToMerge { .. }
            | Self::NoGit { .. }
            | Self::TooOld { .. }
            | Self::Io { .. }
            | Self::TimedOut { .. }
            | Self::TooLarge { .. }
            | Self::CommandFailed { .. }
            | Self::NotFetched { .. }
            | Self::OutOfMemory { .. }
            | Self::UnknownOutput { .. }
            | Self::MissingHistory { .. }
            | Self::MirrorBusy { .. }
            | Self::CommitGone { .. }
            | Self::Unauthorized { .. }
            | Self::Signing { .. }
            | Self::RemoteMissing { .. }
            | Self::ForkUnreadable { .. } => false,
        }
    }

    /// Returns advice on the next action: one line, no full stop.
    pub fn hint(&self) -> String {
        match self {
            Self::NoGit { .. } | Self::TooOld { .. } => {
                format!("install git {}.{} or newer and put it in PATH", MIN_VERSION.0, MIN_VERSION.1)
            }
            Self::TooOldToMerge { .. } => {
                format!(
                    "install git {}.{} or newer and put it in PATH",
                    MIN_VERSION_TO_MERGE.0, MIN_VERSION_TO_MERGE.1
                )
            }
            Self::Api(error) => error.hint().into(),
            Self::Io { .. } => "check that the folder exists, is writable and has free space".into(),
            Self::TimedOut { .. } => "try again; if this persists, run the same git command manually".into(),
            Self::HugeFile { path, .. } if path.file_name().is_some_and(|name| name == "index") => {
                INVALID_INDEX_ADVICE.into()
            }
            Self::HugeFile { .. } => "remove the file, or clone the repository again".into(),
            Self::OutOfMemory { .. } => {
                "Truing cannot review files or a history of this size: choose a base closer to the head, \
                or exclude the files"
                    .into()
            }
            Self::TooLarge { .. } => "review a smaller range: choose a base closer to the head".into(),
            Self::CommandFailed { message, .. } => advice_for(message).into(),
            Self::NotFetched { .. } => "run `git diff --stat BASE HEAD` to fetch the objects that differ, \
                or `git fetch --refetch --no-filter origin` to fetch all objects"
                .into(),
            Self::UnknownOutput { .. } => "check that the program `git` in PATH is Git itself".into(),
            Self::PathMissing(_) => {
                "specify a folder inside a git repository; if the current folder was removed meanwhile, \
                    change to another folder (`cd`)"
                    .into()
            }
            Self::NotADirectory(_) | Self::NotARepository(_) => {
                "specify a folder inside a git repository".into()
            }
            Self::NoWorkTree(_) => "specify a folder of a working tree (`git worktree add` creates a \
                working tree)"
                .into(),
            Self::ForeignWorkTree { .. } => "unset core.worktree in the repository's configuration".into(),
            Self::SpecialFile(_) => "remove the file, or clone the repository again".into(),
            Self::NoCommits(_) => "create a commit first, or review the staged changes: `truing review \
                --staged`"
                .into(),
            Self::BadRevision(_) => "specify a branch, a tag or a commit id".into(),
            Self::BadBranch(_) => "use a name that `git check-ref-format --branch` accepts".into(),
            Self::UnknownRevision { similar_name: Some(near), .. } => format!("did you mean `{near}`?"),
            Self::UnknownRevision { shallow: true, .. } => {
                "this clone is shallow: `git fetch --unshallow origin` fetches the missing history".into()
            }
            Self::UnknownRevision { .. } => "`git branch --all` and `git tag` list the existing names".into(),
            Self::NoDefaultBranch => "specify the base with --base".into(),
            Self::NoCommonAncestor { .. } => {
                "specify the base with --base; to review all files as new: --base $(git hash-object -t \
                    tree /dev/null)"
                    .into()
            }
            Self::MissingHistory { command, .. } => format!("run `{command}`"),
            Self::BadRemote { .. } => {
                "use https://host/path without user, password, query or fragment; http is allowed only \
                for loopback addresses"
                    .into()
            }
            Self::NotAMirror(_) => "move the folder away, or choose another folder for mirrors".into(),
            Self::MirrorBusy { .. } => "try again later".into(),
            Self::CommitGone { .. } => {
                "a forced push may have replaced the commit: check the new head of the pull request; if \
                    the fork was deleted, its commits may be lost"
                    .into()
            }
            Self::Sha256 { .. } => {
                "use a repository with SHA-1 ids, such as a clone of a repository at a forge".into()
            }
            Self::Unauthorized { .. } | Self::RemoteMissing { .. } => {
                "check that the token is valid and may read the repository's contents (for a push: may \
                    write the contents)"
                    .into()
            }
            Self::Signing { .. } => {
                "use a private key without a passphrase, as `ssh-keygen -t ed25519 -N ''` writes it".into()
            }
            Self::ForkUnreadable { .. } => {
                "give the token read access to the fork; if the fork was deleted, push its branch to \
                    another repository and open another pull request"
                    .into()
            }
        }
    }

    /// Renders the error and its hint in one line.
    pub fn with_hint(&self) -> String {
        format!("{self} (hint: {})", self.hint())
    }
}

/// Advice for git's messages. The first pair whose text occurs in the message applies.
const ADVICE_BY_MESSAGE: &[(&str, &str)] = &[
    ("bad config", "fix the line that git names in the repository's configuration"),
    ("config value", "fix the value that git names in the repository's configuration"),
    ("git repo version", NEWER_GIT_ADVICE),
    ("unknown repository extension", NEWER_GIT_ADVICE),
    ("index file", BROKEN_INDEX_ADVICE),
    ("bad signature", BROKEN_INDEX_ADVICE),
    ("cache entry", BROKEN_INDEX_ADVICE),
    (
        "encod",
        "save the file in the encoding that .gitattributes sets for it (`working-tree-encoding`), or \
        set the file's actual encoding there",
    ),
    ("tree depth", INVALID_TREE_ADVICE),
    ("tree entry", INVALID_TREE_ADVICE),
    ("too-short tree", INVALID_TREE_ADVICE),
    ("unable to read", LOST_OBJECT_ADVICE),
    ("bad object", LOST_OBJECT_ADVICE),
];
const NEWER_GIT_ADVICE: &str = "the repository's format is too new for this git: put a newer git in PATH";
const BROKEN_INDEX_ADVICE: &str = "git's index is damaged, or GIT_INDEX_FILE is not the path of an index; \
    run `rm \
    .git/index && git reset` to recreate the index without changing your files";
const INVALID_INDEX_ADVICE: &str = "the file is not an index that git wrote: run `rm .git/index && git \
    reset` to \
    recreate the index without changing your files";
const INVALID_TREE_ADVICE: &str = "the base or the head contains a folder that git cannot read, because it \
    is nested too deeply or has an invalid entry: review commits without this folder, or remove the folder \
    from the history";
const LOST_OBJECT_ADVICE: &str = "the repository lacks objects: `git fsck` lists them; run `git fetch \
    --refetch \
    origin` to fetch the objects that were pushed";

/// Returns the advice for git's message.
fn advice_for(message: &str) -> &'static str {
    let known = ADVICE_BY_MESSAGE.iter().find(|(words, _)| message.contains(words));
    known.map_or("try again; if this persists, see what `git status` and `git fsck` report", |(_, mend)| mend)
}
