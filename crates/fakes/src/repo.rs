//! Creates bare repositories with real git. Each repository has one long-running `git fast-import` process,
//! so a push takes milliseconds. Dates are fixed, so the same commits have the same ids on every machine.

// long: every change of a ref goes through this one type, which mirrors the refs and the history.

mod history;
mod merging;

use std::collections::{HashMap, HashSet};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::OnceLock;

pub(crate) use self::history::{CommitObject, FakeCommitIdentity};

/// Date of the first commit, in seconds since 1970. Each later commit of a repository is a minute later.
const FIRST_COMMIT_TIME: i64 = 1_700_000_000;
/// Seconds between two commits.
const COMMIT_INTERVAL_SECONDS: i64 = 60;
/// The only ref that fast-import updates. At every checkpoint, fast-import rewrites all refs that it has
/// updated. All other refs are therefore written directly as files (loose refs), which is a hundred times
/// faster.
const FAST_IMPORT_REF: &str = "refs/import/tip";

/// The error of a git operation.
#[derive(Debug, thiserror::Error)]
pub enum FakeGitError {
    /// The program could not be run, or its pipe broke.
    #[error("{operation}: {error} (is git installed, and the temporary folder writable?)")]
    Io {
        /// Git operation that failed.
        operation: String,
        /// Error of the operating system.
        error: std::io::Error,
    },
    /// Git exited with an error.
    #[error("{operation} failed: {message}")]
    GitFailed {
        operation: String,
        /// Error output of git.
        message: String,
    },
    /// The ref name is invalid, or the repository has never contained the commit.
    #[error("`{0}` is neither a usable ref name nor a commit of this repository")]
    BadName(String),
}

/// The change of one path in a commit.
#[derive(Clone, Debug)]
enum PathChange {
    /// Writes the file with this mode (`100644`, `100755`, `120000`).
    Write(&'static str, Vec<u8>),
    /// Points a submodule at a commit.
    Submodule(String),
    Delete,
    /// Renames the file to this path.
    Rename(Vec<u8>),
}

/// A commit to create: a message, and changes to the files of the parent commit, in the given order.
#[derive(Clone, Debug)]
pub struct CommitBuilder {
    message: String,
    author: String,
    changes: Vec<(Vec<u8>, PathChange)>,
}

impl CommitBuilder {
    /// Starts the description of a commit with this message and no changes.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), author: "author".into(), changes: Vec::new() }
    }

    /// Sets the author's name (default `author`).
    #[must_use]
    pub fn with_author(mut self, author: impl Into<String>) -> Self {
        self.author = author.into();
        self
    }

    /// Returns the author's name.
    pub(crate) fn author(&self) -> &str {
        &self.author
    }

    /// Writes a file, replacing an existing one.
    #[must_use]
    pub fn write(self, path: impl AsRef<[u8]>, content: impl Into<Vec<u8>>) -> Self {
        self.add_change(path, PathChange::Write("100644", content.into()))
    }

    /// Writes an executable file.
    #[must_use]
    pub fn write_executable(self, path: impl AsRef<[u8]>, content: impl Into<Vec<u8>>) -> Self {
        self.add_change(path, PathChange::Write("100755", content.into()))
    }

    /// Writes a symbolic link.
    #[must_use]
    pub fn write_symlink(self, path: impl AsRef<[u8]>, target: impl Into<Vec<u8>>) -> Self {
        self.add_change(path, PathChange::Write("120000", target.into()))
    }

    /// Points a submodule at a commit of another repository.
    #[must_use]
    pub fn submodule(self, path: impl AsRef<[u8]>, commit: impl Into<String>) -> Self {
        self.add_change(path, PathChange::Submodule(commit.into()))
    }

    #[must_use]
    pub fn delete(self, path: impl AsRef<[u8]>) -> Self {
        self.add_change(path, PathChange::Delete)
    }

    #[must_use]
    pub fn rename(self, from: impl AsRef<[u8]>, to: impl AsRef<[u8]>) -> Self {
        let to = to.as_ref().to_vec();
        self.add_change(from, PathChange::Rename(to))
    }

    fn add_change(mut self, path: impl AsRef<[u8]>, change: PathChange) -> Self {
        self.changes.push((path.as_ref().to_vec(), change));
        self
    }
}

/// A bare repository and the process that writes its commits. All changes of refs go through this type.
#[derive(Debug)]
pub struct FakeGitRepository {
    dir: PathBuf,
    fast_import: Option<(Child, ChildStdin, BufReader<ChildStdout>)>,
    /// All commits that were ever created, each with its first parent.
    commits: HashMap<String, Option<String>>,
    refs: HashMap<String, String>,
}

/// A commit to create, with its parent and the refs to update.
#[derive(Clone, Copy, Debug)]
pub struct CommitRequest<'a> {
    /// Full names of the refs to update.
    pub refs: &'a [&'a str],
    /// Parent of the commit; `None` for a root commit.
    pub parent: Option<&'a str>,
    /// Content of the commit.
    pub commit: &'a CommitBuilder,
}

impl FakeGitRepository {
    /// Creates an empty bare repository with `HEAD` at `branch`. The folder `dir` must be missing or empty.
    pub fn create(dir: &Path, branch: &str) -> Result<Self, FakeGitError> {
        check_ref_name(branch)?;
        let io = |error| FakeGitError::Io { operation: format!("making {}", dir.display()), error };
        std::fs::create_dir_all(dir).map_err(io)?;
        let head = format!("--initial-branch={branch}");
        run_command(git_command(dir).args(["init", "--quiet", "--bare", "--template=", &head, "."]))?;
        // As a forge does, the repository serves any commit by its id and hides the branches of forks. Fsync
        // is off because all data is temporary.
        let config = "[uploadpack]\n\tallowReachableSHA1InWant = true\n\tallowAnySHA1InWant = \
             true\n\tallowFilter = true\n[transfer]\n\thideRefs = refs/forks\n\thideRefs = \
             refs/import\n[core]\n\tfsync = none\n[gc]\n\tauto = 0\n";
        let mut file = std::fs::OpenOptions::new().append(true).open(dir.join("config")).map_err(io)?;
        file.write_all(config.as_bytes()).map_err(io)?;
        let mut child = git_command(dir)
            .args(["fast-import", "--quiet", "--force"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| FakeGitError::Io { operation: "git fast-import".into(), error })?;
        let import = match (child.stdin.take(), child.stdout.take()) {
            (Some(input), Some(output)) => Some((child, input, BufReader::new(output))),
            (_, _) => None,
        };
        Ok(Self { dir: dir.to_owned(), fast_import: import, commits: HashMap::new(), refs: HashMap::new() })
    }

    /// Hides refs with this prefix from clients. Clients can still fetch the commits of these refs by id.
    pub(crate) fn hide_refs(&self, prefix: &str) -> Result<(), FakeGitError> {
        let io = |error| FakeGitError::Io {
            operation: format!("writing the configuration of {}", self.dir.display()),
            error,
        };
        let mut file = std::fs::OpenOptions::new().append(true).open(self.dir.join("config")).map_err(io)?;
        file.write_all(format!("[transfer]\n\thideRefs = {prefix}\n").as_bytes()).map_err(io)
    }

    /// Returns the commit whose id begins with this prefix; `None` if no commit, or more than one commit, has
    /// this prefix.
    pub(crate) fn expand_sha(&self, prefix: &str) -> Option<&str> {
        if let Some((whole, _)) = self.commits.get_key_value(prefix) {
            return Some(whole);
        }
        let mut fitting = self.commits.keys().filter(|sha| sha.starts_with(prefix));
        fitting.next().filter(|_| fitting.next().is_none()).map(String::as_str)
    }

    /// Returns the folder of the repository.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Returns the commit to which a ref points. `name` is the full name, such as `refs/heads/main`.
    pub fn tip(&self, name: &str) -> Option<&str> {
        self.refs.get(name).map(String::as_str)
    }

    /// Returns all refs whose names begin with `prefix`, each with its commit.
    pub fn refs<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.refs
            .iter()
            .filter(move |(name, _)| name.starts_with(prefix))
            .map(|(n, sha)| (n.as_str(), sha.as_str()))
    }

    /// Creates a commit on `parent` (`None` for a root commit), and points every ref of `refs` (full names)
    /// at the new commit. When this function returns, the commit is stored and visible to other git
    /// processes.
    pub fn commit(
        &mut self,
        refs: &[&str],
        parent: Option<&str>,
        commit: &CommitBuilder,
    ) -> Result<String, FakeGitError> {
        let mut made = self.commit_batch(&[CommitRequest { refs, parent, commit }])?;
        made.pop().ok_or_else(process_gone_error)
    }

    /// Creates several commits as [`FakeGitRepository::commit`] does, but much faster than with one call per
    /// commit. No commit of the batch may be the parent of another commit of the batch. Returns the ids of
    /// the commits, in order.
    pub fn commit_batch(&mut self, requests: &[CommitRequest<'_>]) -> Result<Vec<String>, FakeGitError> {
        let mut script = Vec::new();
        for (at, CommitRequest { refs, parent, commit }) in requests.iter().enumerate() {
            refs.iter().try_for_each(|name| check_ref_name(name))?;
            if let Some(parent) = parent.filter(|parent| !self.contains(parent)) {
                return Err(FakeGitError::BadName(parent.to_owned()));
            }
            let date = FIRST_COMMIT_TIME
                + COMMIT_INTERVAL_SECONDS * i64::try_from(self.commits.len() + at).unwrap_or(0);
            // In the author line, these characters would end the name or the line.
            let author: String = commit.author.chars().filter(|c| !"<>\n\0".contains(*c)).collect();
            let who = format!("{author} <{author}@example.invalid> {date} +0000");
            let head = format!(
                "reset {FAST_IMPORT_REF}\n\ncommit {FAST_IMPORT_REF}\nmark :1\nauthor {who}\ncommitter \
                    {who}\n"
            );
            script.extend(head.bytes());
            write_data(&mut script, commit.message.as_bytes());
            if let Some(parent) = parent {
                script.extend(format!("from {parent}\n").bytes());
            }
            for (path, change) in &commit.changes {
                write_path_change(&mut script, path, change);
            }
            script.extend(b"\nget-mark :1\n");
        }
        let made = self.run_fast_import(&script, requests.len())?;
        for (CommitRequest { refs, parent, .. }, sha) in requests.iter().zip(&made) {
            self.commits.insert(sha.clone(), parent.map(str::to_owned));
            for name in *refs {
                self.set_ref(name, sha)?;
            }
        }
        Ok(made)
    }

    /// Points a ref (full name) at an existing commit. The commit need not be a descendant of the ref's
    /// previous commit.
    pub fn set_ref(&mut self, name: &str, sha: &str) -> Result<(), FakeGitError> {
        check_ref_name(name)?;
        if !self.contains(sha) {
            return Err(FakeGitError::BadName(sha.to_owned()));
        }
        let (file, fresh) = (self.dir.join(name), self.dir.join("fresh-ref"));
        let io = |error| FakeGitError::Io { operation: format!("writing the ref {name}"), error };
        std::fs::create_dir_all(file.parent().unwrap_or(&self.dir)).map_err(io)?;
        std::fs::write(&fresh, format!("{sha}\n")).map_err(io)?;
        // The file is written under another name and then renamed, so a reader sees either the old or the new
        // commit.
        std::fs::rename(&fresh, &file).map_err(io)?;
        self.refs.insert(name.to_owned(), sha.to_owned());
        Ok(())
    }

    /// Deletes a ref (full name).
    pub fn delete_ref(&mut self, name: &str) -> Result<(), FakeGitError> {
        check_ref_name(name)?;
        if self.refs.remove(name).is_some() {
            let io = |error| FakeGitError::Io { operation: format!("deleting the ref {name}"), error };
            std::fs::remove_file(self.dir.join(name)).map_err(io)?;
        }
        Ok(())
    }

    /// Runs `git receive-pack` for a push and returns its output. After this, the caller must read each
    /// updated ref with [`Self::reload_ref`].
    pub(crate) fn receive_push(&self, extra_args: &[&str], input: &[u8]) -> Result<Vec<u8>, FakeGitError> {
        let what = "git receive-pack";
        let io = |error| FakeGitError::Io { operation: what.into(), error };
        let mut command = git_command(&self.dir);
        command.args(["receive-pack", "--stateless-rpc"]).args(extra_args).arg(".");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(io)?;
        if let Some(mut stdin) = child.stdin.take() {
            // A write error is ignored, because git may stop reading before the end of the input. If git
            // rejects the push, git's output contains the reason.
            let _ = stdin.write_all(input);
        }
        Ok(child.wait_with_output().map_err(io)?.stdout)
    }

    /// Reads the new commit of a ref (full name) that git may have moved, and records that commit's history.
    /// Returns `None` if the ref still points to the same commit.
    pub(crate) fn reload_ref(&mut self, name: &str) -> Result<Option<String>, FakeGitError> {
        check_ref_name(name)?;
        if !self.dir.join(name).exists() {
            self.refs.remove(name);
            return Ok(None);
        }
        let tip = run_command(git_command(&self.dir).args([
            "rev-parse",
            "--verify",
            "--quiet",
            "--end-of-options",
            name,
        ]))?;
        let tip = String::from_utf8_lossy(&tip).trim().to_owned();
        if self.tip(name) == Some(tip.as_str()) {
            return Ok(None);
        }
        let history = run_command(git_command(&self.dir).args(["rev-list", "--parents", &tip]))?;
        for line in String::from_utf8_lossy(&history).lines() {
            let mut ids = line.split(' ').map(str::to_owned);
            if let Some(sha) = ids.next() {
                self.commits.entry(sha).or_insert_with(|| ids.next());
            }
        }
        self.refs.insert(name.to_owned(), tip.clone());
        Ok(Some(tip))
    }

    /// Returns the commits that a push has added, and that no known ref contains.
    pub(crate) fn new_commits(&self, tip: &str) -> Result<Vec<String>, FakeGitError> {
        let mut command = git_command(&self.dir);
        command.args(["rev-list", tip, "--not"]).args(self.refs.values());
        let list = run_command(&mut command)?;
        Ok(String::from_utf8_lossy(&list).lines().map(str::to_owned).collect())
    }

    /// Returns true if the commit has a valid SSH signature of one of these public keys.
    pub(crate) fn has_valid_signature(
        &self,
        sha: &str,
        public_keys: &[String],
    ) -> Result<bool, FakeGitError> {
        if public_keys.is_empty() {
            return Ok(false);
        }
        let file = self.dir.join("allowed-signers");
        let lines: String = public_keys.iter().map(|key| format!("* {key}\n")).collect();
        let io = |error| FakeGitError::Io { operation: "writing the allowed signers".into(), error };
        std::fs::write(&file, lines).map_err(io)?;
        let mut command = git_command(&self.dir);
        command.arg("-c").arg("gpg.format=ssh");
        command.arg("-c").arg(format!("gpg.ssh.allowedSignersFile={}", file.display()));
        let checked = command.args(["verify-commit", sha]).output();
        let run = |error| FakeGitError::Io { operation: "git verify-commit".into(), error };
        Ok(checked.map_err(run)?.status.success())
    }

    /// Sets a ref (full name) in the folder to its known commit again.
    pub(crate) fn restore_ref(&mut self, name: &str) -> Result<(), FakeGitError> {
        check_ref_name(name)?;
        if let Some(tip) = self.refs.get(name).cloned() {
            return self.set_ref(name, &tip);
        }
        let io = |error| FakeGitError::Io { operation: format!("deleting the ref {name}"), error };
        std::fs::remove_file(self.dir.join(name)).map_err(io)
    }

    /// Returns true if a commit contains a file or folder with this path.
    pub(crate) fn has_path(&self, sha: &str, path: &str) -> Result<bool, FakeGitError> {
        let mut command = git_command(&self.dir);
        let list = run_command(command.args(["ls-tree", "--name-only", sha, "--", path]))?;
        Ok(!list.is_empty())
    }

    /// Returns true if this repository has ever contained the commit.
    pub fn contains(&self, sha: &str) -> bool {
        self.commits.contains_key(sha)
    }

    /// Returns true if `commit` is `descendant` or in its history.
    pub(crate) fn is_ancestor(&self, commit: &str, descendant: &str) -> bool {
        self.history(descendant).any(|sha| sha == commit)
    }

    /// Returns the newest common ancestor of two commits. The ancestor may be one of the two commits.
    pub fn merge_base(&self, one: &str, other: &str) -> Option<String> {
        let of_one: HashSet<&str> = self.history(one).collect();
        self.history(other).find(|sha| of_one.contains(sha)).map(str::to_owned)
    }

    /// Returns the number of commits that are reachable from `head` and not from `base`.
    pub fn count_ahead(&self, base: &str, head: &str) -> usize {
        let known: HashSet<&str> = self.history(base).collect();
        self.history(head).take_while(|sha| !known.contains(sha)).count()
    }

    /// Returns the commit and its ancestors, newest first.
    pub fn history<'a>(&'a self, sha: &'a str) -> impl Iterator<Item = &'a str> {
        let first = self.contains(sha).then_some(sha);
        std::iter::successors(first, |sha| self.commits.get(*sha)?.as_deref())
    }

    /// Runs fast-import commands, and waits until the created objects are in the repository. `mark_count` is
    /// the number of `get-mark` commands in the script. Returns the output of each `get-mark`.
    fn run_fast_import(&mut self, script: &[u8], mark_count: usize) -> Result<Vec<String>, FakeGitError> {
        let io = |error| FakeGitError::Io { operation: "git fast-import".into(), error };
        let (_, input, output) = self.fast_import.as_mut().ok_or_else(process_gone_error)?;
        input.write_all(script).map_err(io)?;
        input.write_all(b"checkpoint\nprogress done\n").map_err(io)?;
        input.flush().map_err(io)?;
        let mut lines = Vec::new();
        for _ in 0..=mark_count {
            let mut line = String::new();
            if output.read_line(&mut line).map_err(io)? == 0 {
                return Err(process_gone_error());
            }
            lines.push(line.trim_end().to_owned());
        }
        lines.truncate(mark_count);
        Ok(lines)
    }
}

/// Returns the error of a process that has exited.
fn process_gone_error() -> FakeGitError {
    let message = "it ended early; a fast_import_crash file in the repository says why".into();
    FakeGitError::GitFailed { operation: "git fast-import".into(), message }
}

impl Drop for FakeGitRepository {
    fn drop(&mut self) {
        // The process exits when its input is closed. The code waits for the exit, because the repository's
        // folder may be deleted afterwards.
        if let Some((mut child, input, output)) = self.fast_import.take() {
            drop((input, output));
            let _ = child.wait();
        }
    }
}

/// Returns a `git` command that runs in `dir`. The command gets only the search path from this process's
/// environment.
pub fn git_command(dir: &Path) -> Command {
    let mut command = Command::new(git_program());
    command.current_dir(dir).env_clear();
    for (name, value) in git_environment(dir) {
        command.env(name, value);
    }
    command
}

/// Returns the full path of git. If git is started by its name with another search path, the start takes
/// milliseconds longer, because the system copies this process's page tables.
pub fn git_program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let paths = std::env::var_os("PATH").unwrap_or_default();
        let found =
            std::env::split_paths(&paths).map(|folder| folder.join("git")).find(|file| file.is_file());
        found.unwrap_or_else(|| PathBuf::from("git"))
    })
}

/// Returns the environment variables of every git process of this crate.
pub(crate) fn git_environment(dir: &Path) -> Vec<(&'static str, std::ffi::OsString)> {
    vec![
        ("PATH", std::env::var_os("PATH").unwrap_or_default()),
        ("HOME", dir.into()),
        ("GIT_CONFIG_NOSYSTEM", "1".into()),
        ("GIT_CONFIG_GLOBAL", "/dev/null".into()),
        ("GIT_TERMINAL_PROMPT", "0".into()),
        ("GIT_CONFIG_COUNT", "1".into()),
        ("GIT_CONFIG_KEY_0", "maintenance.auto".into()),
        ("GIT_CONFIG_VALUE_0", "false".into()),
        ("GIT_CEILING_DIRECTORIES", dir.parent().unwrap_or(dir).into()),
        ("LC_ALL", "C".into()),
    ]
}

/// Runs a git command to its end and returns its output.
pub(crate) fn run_command(command: &mut Command) -> Result<Vec<u8>, FakeGitError> {
    let operation = || {
        let words: Vec<_> = command.get_args().map(|word| word.to_string_lossy().into_owned()).collect();
        format!("git {}", words.join(" "))
    };
    let operation = operation();
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| FakeGitError::Io { operation: operation.clone(), error })?;
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(FakeGitError::GitFailed {
            operation,
            message: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        })
    }
}

/// Checks a ref name against some rules of `git check-ref-format`. Git itself checks the remaining rules.
fn check_ref_name(name: &str) -> Result<(), FakeGitError> {
    let bad = name.is_empty()
        || name.starts_with(['-', '/', '.'])
        || name.ends_with(['/', '.'])
        || name.ends_with(".lock")
        || name.contains("..")
        || name.contains("//")
        || name.chars().any(|c| c.is_whitespace() || c.is_control() || "~^:?*[\\".contains(c));
    if bad { Err(FakeGitError::BadName(name.to_owned())) } else { Ok(()) }
}

/// Writes the fast-import command for the change of one path.
fn write_path_change(script: &mut Vec<u8>, path: &[u8], change: &PathChange) {
    let path = quote_path(path);
    match change {
        PathChange::Write(mode, content) => {
            script.extend(format!("M {mode} inline {path}\n").bytes());
            write_data(script, content);
        }
        PathChange::Submodule(commit) => script.extend(format!("M 160000 {commit} {path}\n").bytes()),
        PathChange::Delete => script.extend(format!("D {path}\n").bytes()),
        PathChange::Rename(to) => script.extend(format!("R {path} {}\n", quote_path(to)).bytes()),
    }
}

/// Writes a block of bytes with its length.
fn write_data(script: &mut Vec<u8>, bytes: &[u8]) {
    script.extend(format!("data {}\n", bytes.len()).bytes());
    script.extend_from_slice(bytes);
    script.push(b'\n');
}

/// Quotes a path. Every special byte is written as an octal escape.
fn quote_path(path: &[u8]) -> String {
    let mut text = String::from("\"");
    for byte in path {
        if byte.is_ascii_graphic() && !b"\"\\".contains(byte) {
            text.push(char::from(*byte));
        } else {
            text.push_str(&format!("\\{byte:03o}"));
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repo() -> (tempfile::TempDir, FakeGitRepository) {
        let dir = tempfile::tempdir().unwrap();
        let repo = FakeGitRepository::create(&dir.path().join("r.git"), "main").unwrap();
        (dir, repo)
    }

    fn git_output(repo: &FakeGitRepository, args: &[&str]) -> String {
        String::from_utf8_lossy(&run_command(git_command(repo.dir()).args(args)).unwrap())
            .trim_end()
            .to_owned()
    }

    #[test]
    fn the_same_commits_have_the_same_ids_and_git_finds_nothing_wrong() {
        let make = || {
            let (dir, mut repo) = repo();
            let first = CommitBuilder::new("One")
                .write("a/b.txt", "x\n")
                .write("c", "y\n")
                .write_executable("run", "#!\n");
            let one = repo.commit(&["refs/heads/main"], None, &first).unwrap();
            let second = CommitBuilder::new("Two")
                .write(b"odd \"\\\n\xff name", "z")
                .write_symlink("link", "a/b.txt")
                .submodule("sub", "1".repeat(40))
                .rename("c", "d")
                .delete("run");
            let two = repo.commit(&["refs/heads/main", "refs/pull/1/head"], Some(&one), &second).unwrap();
            (dir, repo, one, two)
        };
        let (_dir, repo, one, two) = make();
        assert_eq!(
            git_output(&repo, &["rev-parse", "refs/heads/main", "refs/pull/1/head", "main~1"]),
            format!("{two}\n{two}\n{one}")
        );
        assert_eq!(
            git_output(&repo, &["ls-tree", "-r", "--name-only", "-z", "main"]),
            "a/b.txt\0d\0link\0odd \"\\\n\u{fffd} name\0sub\0"
        );
        git_output(&repo, &["fsck", "--strict"]);
        let (_again, _, first, second) = make();
        assert_eq!((first, second), (one, two));
    }

    #[test]
    fn refs_are_forced_and_deleted_and_later_pushes_do_not_bring_them_back() {
        let (_dir, mut repo) = repo();
        let one =
            repo.commit(&["refs/heads/main"], None, &CommitBuilder::new("One").write("a", "1")).unwrap();
        let two =
            repo.commit(&["refs/heads/x"], Some(&one), &CommitBuilder::new("Two").write("a", "2")).unwrap();
        repo.set_ref("refs/heads/main", &two).unwrap();
        let three = repo
            .commit(&["refs/heads/main"], Some(&one), &CommitBuilder::new("Three").write("a", "3"))
            .unwrap();
        repo.delete_ref("refs/heads/x").unwrap();
        let four = repo.commit(&["refs/heads/y"], None, &CommitBuilder::new("Root").write("b", "4")).unwrap();
        assert_eq!(
            git_output(&repo, &["for-each-ref", "--format=%(refname) %(objectname)", "refs/heads"]),
            format!("refs/heads/main {three}\nrefs/heads/y {four}")
        );
        assert_eq!(
            git_output(&repo, &["ls-tree", "--name-only", "refs/heads/y"]),
            "b",
            "a root commit has its own files only"
        );
        assert_eq!(repo.merge_base(&two, &three).as_deref(), Some(one.as_str()));
        assert_eq!((repo.count_ahead(&two, &three), repo.count_ahead(&four, &three)), (1, 2));
        assert_eq!(repo.merge_base(&three, &four), None);
    }

    #[test]
    fn names_that_would_break_the_stream_are_refused() {
        let (_dir, mut repo) = repo();
        for bad in
            ["", "refs/heads/a b", "refs/heads/a\nb", "refs/heads/..", "-x", "refs/heads/x.lock", "a:b"]
        {
            assert!(repo.commit(&[bad], None, &CommitBuilder::new("x")).is_err(), "{bad:?}");
        }
        assert!(repo.set_ref("refs/heads/x", &"1".repeat(40)).is_err(), "an unknown commit");
    }
}
