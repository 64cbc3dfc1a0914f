//! Git folders that Truing creates: the folder of a mirror, and the private view of a local repository.
//!
//! A view borrows only the objects of a repository (`objects/info/alternates`). Truing writes the view's
//! configuration. A view has no hooks, no `info/attributes` and no remotes. New objects, such as the objects
//! for the diff of a working tree, are written only to the view. Git therefore never loads the settings of a
//! hostile repository, such as `filter.*`, `diff.*`, `core.fsmonitor` or `include.path`. Truing need not
//! override each setting, including settings of future versions.
//!
//! A view has no attributes, and `GIT_ATTR_SOURCE` makes git read attributes from the empty tree. Therefore,
//! no version of git uses attributes, even in a folder without a working tree. As a result, the author of a
//! change cannot hide the change by declaring files as binary.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use truing_core::RepoPath;
use truing_core::id::Sha;
use truing_core::outcome::CoverageGap;

use crate::command::{GitCommand, clean_message};
use crate::{Git, GitError};

/// Hash algorithm of object ids.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ObjectFormat {
    Sha1,
    Sha256,
}

impl ObjectFormat {
    /// Parses git's name of a hash algorithm.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        match name {
            "sha1" => Some(Self::Sha1),
            "sha256" => Some(Self::Sha256),
            _ => None,
        }
    }

    /// Returns the id of the empty tree. Git knows this tree even if it is not stored.
    pub(crate) fn empty_tree(self) -> &'static str {
        match self {
            Self::Sha1 => "4b825dc642cb6eb9a060e54bf8d69288fbee4904",
            Self::Sha256 => "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321",
        }
    }

    fn repository_config(self) -> &'static str {
        match self {
            Self::Sha1 => "[core]\n\trepositoryformatversion = 0\n\tbare = true\n",
            Self::Sha256 => {
                "[core]\n\trepositoryformatversion = 1\n\tbare = true\n[extensions]\n\tobjectFormat = \
                 sha256\n"
            }
        }
    }
}

/// Flags that every diff is computed with. The flags disable programs, attributes and configuration.
const DIFF_FLAGS: &[&str] = &[
    "--no-color",
    "--no-ext-diff",
    "--no-textconv",
    "-M",
    "--full-index",
    "--src-prefix=a/",
    "--dst-prefix=b/",
    "--submodule=short",
    "--ignore-submodules=none",
];

/// Difference between two commits.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CommitDiff {
    /// Diff in git's own format. A file that is too large appears as changed but without its lines, like a
    /// binary file.
    pub diff: Vec<u8>,
    /// Files of the new side whose lines the diff omits, in path order. These are text files that are too
    /// large, and files with paths that git does not permit in an index.
    pub skipped_files: Vec<CoverageGap>,
}

/// A git folder that Truing created. The methods run git in this folder.
#[derive(Clone, Debug)]
pub(crate) struct IsolatedGitDir {
    git: Git,
    dir: PathBuf,
    format: ObjectFormat,
    /// True if the source repository may lack objects, because it is a partial clone.
    may_lack_objects: bool,
}

impl IsolatedGitDir {
    /// Returns an object for a folder that [`create_git_folder`] has created.
    pub(crate) fn new(git: Git, dir: PathBuf, format: ObjectFormat) -> Self {
        Self { git, dir, format, may_lack_objects: false }
    }

    /// Sets whether the source repository is a partial clone, which may lack objects. If so, an error about a
    /// missing object reports that the object was never fetched.
    pub(crate) fn with_partial_clone(self, may_lack_objects: bool) -> Self {
        Self { may_lack_objects, ..self }
    }

    pub(crate) fn git(&self) -> &Git {
        &self.git
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn object_format(&self) -> ObjectFormat {
        self.format
    }

    /// Prepares a call in this folder that ignores all attributes.
    pub(crate) fn command(&self, name: &'static str) -> GitCommand {
        self.command_with_attributes(name).env("GIT_ATTR_SOURCE", self.format.empty_tree())
    }

    /// Prepares a call in this folder that applies the attributes of a working tree. These attributes can
    /// convert line ends. They cannot run programs, because the folder's configuration names no program.
    pub(crate) fn command_with_attributes(&self, name: &'static str) -> GitCommand {
        self.git
            .command(name)
            .in_folder(&self.dir)
            .env("GIT_DIR", &self.dir)
            .set_may_lack_objects(self.may_lack_objects)
    }

    /// Returns the object store of this folder.
    pub(crate) fn object_store(&self) -> PathBuf {
        self.dir.join("objects")
    }

    /// Copies the objects of these revisions from another store into `store`, as one pack. All copied objects
    /// become visible at the same time. A revision that begins with `^` names a commit that `store` already
    /// has with its history and content.
    pub(crate) async fn copy_objects(
        &self,
        from: &Path,
        store: &Path,
        fsync: &str,
        revisions: &[String],
    ) -> Result<(), GitError> {
        let call = self.command("pack-objects").env("GIT_OBJECT_DIRECTORY", store);
        let call = call.env("GIT_ALTERNATE_OBJECT_DIRECTORIES", quote_list_path(from));
        // Git keeps the existing deltas, because a search for better deltas would take longer than the copy.
        let call = call.args(["--revs", "--quiet", "--non-empty", "--delta-base-offset", "--window=0"]);
        let call = call.arg(store.join("pack/pack")).config("core.fsync", fsync).with_network_timeout();
        call.with_input(format!("{}\n", revisions.join("\n")).into_bytes()).read_output().await.map(drop)
    }

    /// Prepares `git diff`. The caller adds the two sides to compare.
    pub(crate) fn diff_command(&self) -> GitCommand {
        self.command("diff").args(DIFF_FLAGS).max_output(self.git.limits().diff_bytes)
    }
}

/// Quotes a path for an environment variable that contains a list of paths.
fn quote_list_path(path: &Path) -> OsString {
    let escaped = path.as_os_str().as_encoded_bytes().iter().flat_map(|byte| match byte {
        b'"' | b'\\' => vec![b'\\', *byte],
        _ => vec![*byte],
    });
    OsString::from_vec([b'"'].into_iter().chain(escaped).chain([b'"']).collect())
}

/// Creates the files of a git folder in an existing folder.
pub(crate) fn create_git_folder(dir: &Path, format: ObjectFormat) -> Result<(), GitError> {
    create_object_store(dir)?;
    create_folder(dir.join("refs"))?;
    write_file(&dir.join("config"), format.repository_config().as_bytes())?;
    // `HEAD` is written last, because git does not recognise a folder without `HEAD` as a git folder.
    write_file(&dir.join("HEAD"), b"ref: refs/heads/none\n")
}

/// Creates an empty object store, `dir/objects`.
pub(crate) fn create_object_store(dir: &Path) -> Result<(), GitError> {
    create_folder(dir.join("objects/info"))?;
    create_folder(dir.join("objects/pack"))
}

/// Makes git also search another object store for the objects of `dir`.
pub(crate) fn write_alternates(dir: &Path, objects: &Path) -> Result<(), GitError> {
    // Git expects the names in this file in git's own quoting.
    let name = RepoPath::from_bytes(objects.as_os_str().as_encoded_bytes());
    write_file(&dir.join("objects/info/alternates"), format!("{name}\n").as_bytes())
}

fn create_folder(path: PathBuf) -> Result<(), GitError> {
    std::fs::create_dir_all(&path).map_err(|source| GitError::Io { failure: "cannot make", path, source })
}

pub(crate) fn write_file(path: &Path, bytes: &[u8]) -> Result<(), GitError> {
    std::fs::write(path, bytes).map_err(|source| GitError::Io {
        failure: "cannot write",
        path: path.to_owned(),
        source,
    })
}

/// Returns the best common ancestor of two commits. `call` is a `git merge-base` call without arguments.
pub(crate) async fn merge_base(call: GitCommand, a: &Sha, b: &Sha) -> Result<Option<Sha>, GitError> {
    let finished = call.arg(a.as_str()).arg(b.as_str()).run().await?;
    if finished.code() == Some(1) && finished.stdout.is_empty() {
        return Ok(None);
    }
    parse_sha("merge-base", &finished.into_success_output("merge-base")?).map(Some)
}

/// Parses an output that consists of one id.
pub(crate) fn parse_sha(call: &'static str, output: &[u8]) -> Result<Sha, GitError> {
    let text = std::str::from_utf8(output).unwrap_or_default();
    Sha::parse(text.trim_end()).map_err(|_| unknown_output_error(call, output))
}

/// Returns the error for output in an unknown format.
pub(crate) fn unknown_output_error(call: &'static str, output: &[u8]) -> GitError {
    GitError::UnknownOutput { call, output: clean_message(output, None) }
}
