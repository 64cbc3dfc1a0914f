//! What is known of a repository once it is opened: asked in as few calls as there can be, because starting git takes
//! longer than most of its answers.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use truing_core::id::Sha;

use crate::command::{GitCommand, GitOutput, NO_HOOKS};
use crate::remote::without_credentials;
use crate::view::{ObjectFormat, garbled, sha};
use crate::{Git, GitError};

/// Stands between two answers that are paths, which may hold line ends: git repeats an option that it does not know.
const NEXT: &str = "--truing-next";

/// The URL of `origin`, which remotes keep objects for a partial clone, and settings that say how a working tree's files become content. The latter run nothing, and
/// without them unchanged files could look changed.
const SETTINGS: &str = "^(remote\\.origin\\.url|remote\\..*\\.promisor|core\\.(autocrlf|eol|filemode|symlinks|ignorecase|precomposeunicode|hookspath))$";

/// The settings among them that are not about content.
const ORIGIN: &str = "remote.origin.url";
const PROMISOR: &str = ".promisor";
const HOOKS: &str = "core.hookspath";

/// Settings of the system and of the user by which files become content: they run no program.
const USER_SETTINGS: &str = "^core\\.(autocrlf|eol|ignorecase)$";

/// Where a repository is, and what it is like.
#[derive(Clone, Debug)]
pub(super) struct RepositoryLayout {
    pub(super) git_dir: PathBuf,
    pub(super) objects: PathBuf,
    pub(super) index: PathBuf,
    /// The repository's own list of what is not tracked.
    pub(super) excludes: PathBuf,
    /// The top folder of the working tree.
    pub(super) root: PathBuf,
    pub(super) format: ObjectFormat,
    /// Is some of the history missing?
    pub(super) shallow: bool,
    /// The commit that is checked out; none if there is none yet.
    pub(super) head: Option<Sha>,
}

impl RepositoryLayout {
    /// Asks in `folder`, which is somewhere in the repository; errors name `path`, which is what the user called it.
    pub(super) async fn ask(git: &Git, folder: &Path, path: &Path) -> Result<Self, GitError> {
        let call = git.call("rev-parse").folder(folder).arg("--path-format=absolute");
        let call = call.args(["--is-inside-work-tree", "--is-shallow-repository", "--show-object-format"]);
        let call = call.args([NEXT, "--git-dir", NEXT, "--git-path", "objects", NEXT, "--git-path", "index"]);
        let call = call.args([NEXT, "--git-path", "info/exclude", NEXT, "--show-toplevel"]);
        // Last what may fail: there may be no commit yet. The name alone is asked for: a commit that is gone has one, and
        // whoever needs it fails; asked for the commit itself, git would answer as if there had never been one.
        let answer = call.args([NEXT, "HEAD", "--"]).run().await?;
        if answer.code() != Some(0) && answer.message.contains("not a git repository") {
            return Err(GitError::NotARepository(path.to_owned()));
        }
        match Self::of(answer, path) {
            // Its configuration may say that the working tree is elsewhere, or nowhere.
            Err(GitError::NoWorkTree(path)) => {
                let named =
                    git.call("config").folder(folder).args(["-z", "--get", "core.worktree"]).run().await?;
                let root = named.stdout.strip_suffix(b"\0").map(path_of);
                Err(root.map_or(GitError::NoWorkTree(path.clone()), |root| GitError::ForeignWorkTree {
                    path,
                    root,
                }))
            }
            answer => answer,
        }
    }

    fn of(answer: GitOutput, path: &Path) -> Result<Self, GitError> {
        let stdout = answer.stdout.clone();
        let between = format!("\n{NEXT}\n");
        let parts = split(&stdout, between.as_bytes());
        let facts = parts.first().map(|facts| String::from_utf8_lossy(facts)).unwrap_or_default();
        let [inside, shallow, format] = facts.lines().collect::<Vec<_>>()[..] else {
            return Err(answer.failure("rev-parse"));
        };
        if inside != "true" {
            return Err(GitError::NoWorkTree(path.to_owned()));
        }
        let [_, git_dir, objects, index, excludes, root, head] = parts[..] else {
            return Err(garbled("rev-parse", &stdout));
        };
        let head = match answer.code() {
            Some(0) => Some(sha("rev-parse", head.strip_suffix(b"--\n").unwrap_or(head))?),
            Some(128) => None,
            Some(_) | None => return Err(answer.failure("rev-parse")),
        };
        Ok(Self {
            git_dir: path_of(git_dir),
            objects: path_of(objects),
            index: path_of(index),
            excludes: path_of(excludes),
            root: path_of(root),
            format: ObjectFormat::parse(format).ok_or_else(|| garbled("rev-parse", &stdout))?,
            shallow: shallow == "true",
            head,
        })
    }
}

/// The repository's configuration; for ignored files and content that of the system and the user, too.
#[derive(Clone, Debug)]
pub(super) struct RepositorySettings {
    /// The URL of `origin`, without credentials.
    pub(super) origin: Option<String>,
    /// Were objects left out when it was cloned?
    pub(super) partial: bool,
    /// Settings by which files become content: keys and values; of equal keys the last one counts.
    pub(super) content: Vec<(String, String)>,
    /// Where its hooks are, if not in its git folder.
    pub(super) hooks: Option<PathBuf>,
    /// The file that `core.excludesFile` names, as git expands it; relative to the root of the working tree. Empty: no file,
    /// not even the usual one.
    pub(super) excludes: Option<PathBuf>,
}

impl RepositorySettings {
    /// Reads what `config`, which makes calls on the repository, says.
    pub(super) async fn ask(config: impl Fn() -> GitCommand, reads_user: bool) -> Result<Self, GitError> {
        let own = entries(config().args(["-z", "--get-regexp", SETTINGS]));
        let of_user = async {
            if !reads_user {
                return Ok((Vec::new(), None));
            }
            let content = entries(config().with_user_configuration().args([
                "-z",
                "--includes",
                "--get-regexp",
                USER_SETTINGS,
            ]));
            let excludes = config().with_user_configuration().args([
                "-z",
                "--includes",
                "--type=path",
                "--get",
                "core.excludesFile",
            ]);
            let (content, excludes) = tokio::try_join!(content, answer(excludes))?;
            let excludes = excludes.strip_suffix(b"\0").map(path_of);
            Ok((content, excludes))
        };
        let (own, (user_content, excludes)) = tokio::try_join!(own, of_user)?;

        let (origins, others): (Vec<_>, Vec<_>) = own.into_iter().partition(|(key, _)| key == ORIGIN);
        let (promisors, others): (Vec<_>, Vec<_>) =
            others.into_iter().partition(|(key, _)| key.ends_with(PROMISOR));
        let (hooks, mut content): (Vec<_>, Vec<_>) = others.into_iter().partition(|(key, _)| key == HOOKS);
        // Git's answer for the user has the repository's own settings at its end, so the last one counts here, too.
        content.extend(user_content);
        // Our own calls are told that there are none.
        let hooks =
            hooks.into_iter().rfind(|(_, path)| path != NO_HOOKS).map(|(_, path)| PathBuf::from(path));
        // As everywhere in git, the last one counts.
        let origin = origins.last().map(|(_, url)| without_credentials(url.trim_end()));
        let partial = promisors.iter().any(|(_, value)| value == "true");
        Ok(Self { origin, partial, content, hooks, excludes })
    }
}

/// The answer of a call that reads settings; empty if there is none.
async fn answer(config: GitCommand) -> Result<Vec<u8>, GitError> {
    let answer = config.run().await?;
    match answer.code() {
        Some(1) => Ok(Vec::new()),
        Some(_) | None => answer.success("config"),
    }
}

/// The keys and values of an answer.
async fn entries(config: GitCommand) -> Result<Vec<(String, String)>, GitError> {
    let answer = answer(config).await?;
    let entries = answer.split(|byte| *byte == 0).filter(|entry| !entry.is_empty()).map(|entry| {
        let entry = String::from_utf8_lossy(entry);
        // A key without a value means true.
        let (key, value) = entry.split_once('\n').unwrap_or((&entry, "true"));
        (key.to_owned(), value.to_owned())
    });
    Ok(entries.collect())
}

/// The parts between separators.
fn split<'a>(mut bytes: &'a [u8], separator: &[u8]) -> Vec<&'a [u8]> {
    let mut parts = Vec::new();
    while let Some(at) = bytes.windows(separator.len()).position(|part| part == separator) {
        parts.push(bytes.get(..at).unwrap_or_default());
        bytes = bytes.get(at + separator.len()..).unwrap_or_default();
    }
    parts.push(bytes);
    parts
}

/// The path that an answer is.
fn path_of(answer: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(answer))
}
