//! A git folder of our own: the skeleton of a mirror, and the private view of a local repository.
//!
//! A view borrows a repository's objects (`objects/info/alternates`) and nothing else. Its configuration is
//! ours, it has no hooks, no `info/attributes`, no remotes, and what is written (the objects of a working
//! tree's diff) stays in it. So a hostile repository's `filter.*`, `diff.*`, `core.fsmonitor`, `include.path`
//! and whatever git may add one day are not overridden one by one: they are never loaded.
//!
//! A view has no attributes, and git is told to read them from the empty tree (`GIT_ATTR_SOURCE`), whatever a
//! version of it would look at in a folder without a working tree: a head cannot hide its changes by calling
//! its files binary.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use truing_core::RepoPath;
use truing_core::id::Sha;
use truing_core::outcome::UnreviewedFile;

use crate::command::{GitCommand, clean};
use crate::{Git, GitError};

/// What ids are made with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ObjectFormat {
    Sha1,
    Sha256,
}

impl ObjectFormat {
    /// From git's own word.
    pub(crate) fn parse(word: &str) -> Option<Self> {
        match word {
            "sha1" => Some(Self::Sha1),
            "sha256" => Some(Self::Sha256),
            _ => None,
        }
    }

    /// The id of the tree without entries, which git knows without having it.
    pub(crate) fn empty_tree(self) -> &'static str {
        match self {
            Self::Sha1 => "4b825dc642cb6eb9a060e54bf8d69288fbee4904",
            Self::Sha256 => "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321",
        }
    }

    fn config(self) -> &'static str {
        match self {
            Self::Sha1 => "[core]\n\trepositoryformatversion = 0\n\tbare = true\n",
            Self::Sha256 => {
                "[core]\n\trepositoryformatversion = 1\n\tbare = true\n[extensions]\n\tobjectFormat = sha256\n"
            }
        }
    }
}

/// How diffs are made: no program, no attribute and no configuration has a say.
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

/// The difference between two commits.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CommitDiff {
    /// The diff, in git's own form. It shows of a file that is too large that it is changed, as of a binary one.
    pub diff: Vec<u8>,
    /// Files that are there and whose lines it does not show, in path order: texts that are too large, and paths that no
    /// index can have.
    pub skipped: Vec<UnreviewedFile>,
}

/// A git folder of our own, and how to read from it.
#[derive(Clone, Debug)]
pub(crate) struct IsolatedGitDir {
    git: Git,
    dir: PathBuf,
    format: ObjectFormat,
    /// May objects be missing?
    partial: bool,
}

impl IsolatedGitDir {
    /// Uses a folder that [`lay_out`] has made.
    pub(crate) fn new(git: Git, dir: PathBuf, format: ObjectFormat) -> Self {
        Self { git, dir, format, partial: false }
    }

    /// Of a repository that may have been cloned without some objects: a call that misses one says so.
    pub(crate) fn of_partial_clone(self, partial: bool) -> Self {
        Self { partial, ..self }
    }

    /// The git program.
    pub(crate) fn git(&self) -> &Git {
        &self.git
    }

    /// The folder.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// What ids are made with.
    pub(crate) fn format(&self) -> ObjectFormat {
        self.format
    }

    /// A call in this folder, without attributes.
    pub(crate) fn call(&self, name: &'static str) -> GitCommand {
        self.call_with_attributes(name).env("GIT_ATTR_SOURCE", self.format.empty_tree())
    }

    /// A call in this folder that heeds the attributes of a working tree (line ends; programs are unknown).
    pub(crate) fn call_with_attributes(&self, name: &'static str) -> GitCommand {
        self.git.call(name).folder(&self.dir).env("GIT_DIR", &self.dir).of_partial_clone(self.partial)
    }

    /// The store of this folder's objects.
    pub(crate) fn store(&self) -> PathBuf {
        self.dir.join("objects")
    }

    /// Copies what these revisions hold from another store of objects into the one of this folder, or into `store`: as one
    /// pack, which appears whole. A revision after `^` is there already, with all below it.
    pub(crate) async fn copy_objects(
        &self,
        from: &Path,
        (store, fsync): (&Path, &str),
        revisions: &[String],
    ) -> Result<(), GitError> {
        let call = self.call("pack-objects").env("GIT_OBJECT_DIRECTORY", store);
        let call = call.env("GIT_ALTERNATE_OBJECT_DIRECTORIES", in_list(from));
        // What is stored as a difference stays one; to look for others would take longer than the copy.
        let call = call.args(["--revs", "--quiet", "--non-empty", "--delta-base-offset", "--window=0"]);
        let call = call.arg(store.join("pack/pack")).config("core.fsync", fsync).at_length();
        call.input(format!("{}\n", revisions.join("\n")).into_bytes()).read().await.map(drop)
    }

    /// `git diff`, without the sides.
    pub(crate) fn diff_call(&self) -> GitCommand {
        self.call("diff").args(DIFF_FLAGS).output(self.git.limits().diff_bytes)
    }
}

/// A path as git reads it in a variable that lists several: quoted, so that no letter of it ends it.
fn in_list(path: &Path) -> OsString {
    let escaped = path.as_os_str().as_encoded_bytes().iter().flat_map(|byte| match byte {
        b'"' | b'\\' => vec![b'\\', *byte],
        _ => vec![*byte],
    });
    OsString::from_vec([b'"'].into_iter().chain(escaped).chain([b'"']).collect())
}

/// Makes the files of a git folder, in a folder that must exist.
pub(crate) fn lay_out(dir: &Path, format: ObjectFormat) -> Result<(), GitError> {
    make_objects(dir)?;
    make(dir.join("refs"))?;
    write(&dir.join("config"), format.config().as_bytes())?;
    // Last: without it, it is no git folder.
    write(&dir.join("HEAD"), b"ref: refs/heads/none\n")
}

/// Makes an empty store of objects, `dir/objects`.
pub(crate) fn make_objects(dir: &Path) -> Result<(), GitError> {
    make(dir.join("objects/info"))?;
    make(dir.join("objects/pack"))
}

/// Lets `dir/objects` borrow from another store.
pub(crate) fn borrow(dir: &Path, objects: &Path) -> Result<(), GitError> {
    // Quoted as git quotes names, which is how it reads this file.
    let name = RepoPath::from_bytes(objects.as_os_str().as_encoded_bytes());
    write(&dir.join("objects/info/alternates"), format!("{name}\n").as_bytes())
}

fn make(path: PathBuf) -> Result<(), GitError> {
    std::fs::create_dir_all(&path).map_err(|source| GitError::Io { doing: "cannot make", path, source })
}

/// Writes a small file.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), GitError> {
    std::fs::write(path, bytes).map_err(|source| GitError::Io {
        doing: "cannot write",
        path: path.to_owned(),
        source,
    })
}

/// The best common ancestor of two commits, by a call prepared for `merge-base`.
pub(crate) async fn merge_base(call: GitCommand, a: &Sha, b: &Sha) -> Result<Option<Sha>, GitError> {
    let finished = call.arg(a.as_str()).arg(b.as_str()).run().await?;
    if finished.code() == Some(1) && finished.stdout.is_empty() {
        return Ok(None);
    }
    sha("merge-base", &finished.success("merge-base")?).map(Some)
}

/// The id that an answer consists of.
pub(crate) fn sha(call: &'static str, answer: &[u8]) -> Result<Sha, GitError> {
    let text = std::str::from_utf8(answer).unwrap_or_default();
    Sha::parse(text.trim_end()).map_err(|_| garbled(call, answer))
}

/// The error for an answer that is not understood.
pub(crate) fn garbled(call: &'static str, answer: &[u8]) -> GitError {
    GitError::Garbled { call, answer: clean(answer, None) }
}
