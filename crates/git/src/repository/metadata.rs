//! Reads the paths, properties and settings of a repository when the repository is opened. The module makes
//! as few calls as possible, because starting git usually takes longer than the work that git does.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use truing_core::id::Sha;

use crate::command::{GitCommand, GitOutput, NO_HOOKS};
use crate::isolated_git_dir::{ObjectFormat, parse_sha, unknown_output_error};
use crate::remote::without_credentials;
use crate::{Git, GitError};

/// Separator of the paths in the output of `rev-parse`, because paths may contain line ends. Git does not
/// know this option, so `rev-parse` prints it unchanged.
const PATH_SEPARATOR: &str = "--truing-next";

/// Pattern of the settings to read: the URLs of the remotes, the promisor remotes of a partial clone, the
/// hooks folder, and the conversion settings. Conversion settings determine how git converts a file to its
/// stored content. If they were ignored, unchanged files could look changed. None of these settings runs a
/// program.
const REPOSITORY_SETTINGS_PATTERN: &str = "^(remote\\..*\\.(url|promisor)|\
     core\\.(autocrlf|eol|filemode|symlinks|ignorecase|precomposeunicode|hookspath))$";

/// Keys of the pattern's settings that are not conversion settings.
const REMOTE_KEY_PREFIX: &str = "remote.";
const URL_KEY_SUFFIX: &str = ".url";
const PROMISOR_KEY_SUFFIX: &str = ".promisor";
const HOOKS_PATH_KEY: &str = "core.hookspath";

/// Pattern of the conversion settings of the system and of the user. None of these settings runs a program.
const USER_SETTINGS_PATTERN: &str = "^core\\.(autocrlf|eol|ignorecase)$";

/// Paths and properties of a repository.
#[derive(Clone, Debug)]
pub(super) struct RepositoryLayout {
    pub(super) git_dir: PathBuf,
    pub(super) objects: PathBuf,
    pub(super) index: PathBuf,
    /// The repository's own ignore list (`info/exclude`).
    pub(super) info_exclude: PathBuf,
    /// Top folder of the working tree.
    pub(super) root: PathBuf,
    pub(super) format: ObjectFormat,
    /// True if a part of the history is missing.
    pub(super) is_shallow: bool,
    /// Commit that is checked out; none if there is no commit yet.
    pub(super) head: Option<Sha>,
}

impl RepositoryLayout {
    /// Reads the layout with one git call in `folder`, which is a folder of the repository. Error messages
    /// contain `shown_path`, the path as the user wrote it.
    pub(super) async fn load(git: &Git, folder: &Path, shown_path: &Path) -> Result<Self, GitError> {
        let call = git.command("rev-parse").in_folder(folder).arg("--path-format=absolute");
        let call = call.args(["--is-inside-work-tree", "--is-shallow-repository", "--show-object-format"]);
        let call = call.args([
            PATH_SEPARATOR,
            "--git-dir",
            PATH_SEPARATOR,
            "--git-path",
            "objects",
            PATH_SEPARATOR,
            "--git-path",
            "index",
        ]);
        let call =
            call.args([PATH_SEPARATOR, "--git-path", "info/exclude", PATH_SEPARATOR, "--show-toplevel"]);
        // HEAD is the last argument, because git fails on HEAD if there is no commit yet. Only the id is
        // resolved; the commit is not read. If the commit were read here and its object were missing, the
        // repository would seem to have no commits. Later reads report the missing object.
        let answer = call.args([PATH_SEPARATOR, "HEAD", "--"]).run().await?;
        if answer.code() != Some(0) && answer.stderr_message.contains("not a git repository") {
            return Err(GitError::NotARepository(shown_path.to_owned()));
        }
        match Self::from_output(answer, shown_path) {
            // The cause may be a configuration that names another folder as the working tree, or that
            // declares the repository bare.
            Err(GitError::NoWorkTree(shown_path)) => {
                let named = git
                    .command("config")
                    .in_folder(folder)
                    .args(["-z", "--get", "core.worktree"])
                    .run()
                    .await?;
                let root = named.stdout.strip_suffix(b"\0").map(parse_path);
                Err(root.map_or(GitError::NoWorkTree(shown_path.clone()), |root| GitError::ForeignWorkTree {
                    path: shown_path,
                    root,
                }))
            }
            answer => answer,
        }
    }

    fn from_output(git_output: GitOutput, path: &Path) -> Result<Self, GitError> {
        let stdout = git_output.stdout.clone();
        let between = format!("\n{PATH_SEPARATOR}\n");
        let parts = split_bytes(&stdout, between.as_bytes());
        let facts = parts.first().map(|facts| String::from_utf8_lossy(facts)).unwrap_or_default();
        let [inside, shallow, format] = facts.lines().collect::<Vec<_>>()[..] else {
            return Err(git_output.into_error("rev-parse"));
        };
        if inside != "true" {
            return Err(GitError::NoWorkTree(path.to_owned()));
        }
        let [_, git_dir, objects, index, excludes, root, head] = parts[..] else {
            return Err(unknown_output_error("rev-parse", &stdout));
        };
        let head = match git_output.code() {
            Some(0) => Some(parse_sha("rev-parse", head.strip_suffix(b"--\n").unwrap_or(head))?),
            Some(128) => None,
            Some(_) | None => return Err(git_output.into_error("rev-parse")),
        };
        Ok(Self {
            git_dir: parse_path(git_dir),
            objects: parse_path(objects),
            index: parse_path(index),
            info_exclude: parse_path(excludes),
            root: parse_path(root),
            format: ObjectFormat::parse(format).ok_or_else(|| unknown_output_error("rev-parse", &stdout))?,
            is_shallow: shallow == "true",
            head,
        })
    }
}

/// A remote of a repository.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfiguredRemote {
    /// Name of the remote, such as `origin`.
    pub name: String,
    /// URL without credentials. If the remote has several URLs, this is the first, from which git fetches.
    pub url: String,
}

/// Settings of the repository. The settings for ignored files and for the conversion of content also include
/// those of the system and the user.
#[derive(Clone, Debug)]
pub(super) struct RepositorySettings {
    /// The remotes that have a URL, in the order of the configuration.
    pub(super) remotes: Vec<ConfiguredRemote>,
    /// True if the clone omitted objects (a partial clone).
    pub(super) is_partial_clone: bool,
    /// Keys and values of the settings that determine how files are converted to stored content. If a key
    /// occurs several times, its last value applies.
    pub(super) conversion_settings: Vec<(String, String)>,
    /// Folder of the repository's hooks; `None` if it is the default folder, `hooks` in the git folder.
    pub(super) hooks: Option<PathBuf>,
    /// Path of the file that `core.excludesFile` names, as git expands it. A relative path starts at the root
    /// of the working tree. If the path is empty, no ignore file applies, not even the user's default file.
    pub(super) excludes_file: Option<PathBuf>,
}

impl RepositorySettings {
    /// Reads the settings. `config_command` prepares calls of `git config` in the repository.
    pub(super) async fn load(
        config_command: impl Fn() -> GitCommand,
        reads_user_config: bool,
    ) -> Result<Self, GitError> {
        let own =
            read_config_entries(config_command().args(["-z", "--get-regexp", REPOSITORY_SETTINGS_PATTERN]));
        let of_user = async {
            if !reads_user_config {
                return Ok((Vec::new(), None));
            }
            let content = read_config_entries(config_command().with_user_configuration().args([
                "-z",
                "--includes",
                "--get-regexp",
                USER_SETTINGS_PATTERN,
            ]));
            let excludes = config_command().with_user_configuration().args([
                "-z",
                "--includes",
                "--type=path",
                "--get",
                "core.excludesFile",
            ]);
            let (content, excludes) = tokio::try_join!(content, read_config(excludes))?;
            let excludes = excludes.strip_suffix(b"\0").map(parse_path);
            Ok((content, excludes))
        };
        let (own, (user_content, excludes)) = tokio::try_join!(own, of_user)?;

        let (urls, others): (Vec<_>, Vec<_>) =
            own.into_iter().partition(|(key, _)| key.ends_with(URL_KEY_SUFFIX));
        let (promisors, others): (Vec<_>, Vec<_>) =
            others.into_iter().partition(|(key, _)| key.ends_with(PROMISOR_KEY_SUFFIX));
        let (hooks, mut content): (Vec<_>, Vec<_>) =
            others.into_iter().partition(|(key, _)| key == HOOKS_PATH_KEY);
        // `user_content` ends with the repository's own settings, which follow the user's settings. The last
        // value of a key applies, as in git.
        content.extend(user_content);
        // One value is Truing's own: its calls set `core.hooksPath` to a folder without hooks. This value is
        // skipped.
        let hooks = hooks
            .into_iter()
            .rfind(|(_, shown_path)| shown_path != NO_HOOKS)
            .map(|(_, shown_path)| PathBuf::from(shown_path));
        let partial = promisors.iter().any(|(_, value)| value == "true");
        Ok(Self {
            remotes: remotes_of_settings(&urls),
            is_partial_clone: partial,
            conversion_settings: content,
            hooks,
            excludes_file: excludes,
        })
    }
}

/// Returns the remotes with these URL settings. The first URL of a remote applies, because git fetches from
/// it. An empty URL removes the URLs before it.
fn remotes_of_settings(urls: &[(String, String)]) -> Vec<ConfiguredRemote> {
    let mut remotes: Vec<ConfiguredRemote> = Vec::new();
    for (key, url) in urls {
        let name = key.strip_prefix(REMOTE_KEY_PREFIX).and_then(|rest| rest.strip_suffix(URL_KEY_SUFFIX));
        let Some(name) = name else { continue };
        if url.is_empty() {
            remotes.retain(|remote| remote.name != name);
        } else if remotes.iter().all(|remote| remote.name != name) {
            let url = without_credentials(url.trim_end());
            remotes.push(ConfiguredRemote { name: name.to_owned(), url });
        }
    }
    remotes
}

/// Runs a call that reads settings, and returns its output; empty if no setting matches.
async fn read_config(config: GitCommand) -> Result<Vec<u8>, GitError> {
    let answer = config.run().await?;
    match answer.code() {
        Some(1) => Ok(Vec::new()),
        Some(_) | None => answer.into_success_output("config"),
    }
}

/// Runs a call that reads settings, and parses keys and values from its output.
async fn read_config_entries(config: GitCommand) -> Result<Vec<(String, String)>, GitError> {
    let answer = read_config(config).await?;
    let entries = answer.split(|byte| *byte == 0).filter(|entry| !entry.is_empty()).map(|entry| {
        let entry = String::from_utf8_lossy(entry);
        // In git's configuration, a key without a value is true.
        let (key, value) = entry.split_once('\n').unwrap_or((&entry, "true"));
        (key.to_owned(), value.to_owned())
    });
    Ok(entries.collect())
}

/// Splits bytes at a separator.
fn split_bytes<'a>(mut bytes: &'a [u8], separator: &[u8]) -> Vec<&'a [u8]> {
    let mut parts = Vec::new();
    while let Some(at) = bytes.windows(separator.len()).position(|part| part == separator) {
        parts.push(bytes.get(..at).unwrap_or_default());
        bytes = bytes.get(at + separator.len()..).unwrap_or_default();
    }
    parts.push(bytes);
    parts
}

/// Converts a part of git's output to a path.
fn parse_path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(bytes))
}
