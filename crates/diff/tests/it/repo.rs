//! A repository in a temporary folder, which ignores the git configuration of the machine.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;
use truing_diff::{FileDiff, FileStatus, Hunk, LineKind, RepoPath};

pub(crate) struct Repo(TempDir);

/// Line counts that `git diff --numstat -z` reports for one file; 0 for binary files.
#[derive(PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Count {
    pub(crate) path: RepoPath,
    pub(crate) old_path: Option<RepoPath>,
    pub(crate) added: u32,
    pub(crate) deleted: u32,
}

impl Repo {
    pub(crate) fn new() -> Self {
        let repo = Self(tempfile::tempdir().unwrap());
        repo.git(&["init", "-q", "-b", "main"]);
        repo
    }

    /// Runs git and returns what it printed.
    pub(crate) fn git<A: AsRef<OsStr>>(&self, args: &[A]) -> Vec<u8> {
        let (out, ok) = self.try_git(args);
        assert!(ok, "git {:?}", args.iter().map(AsRef::as_ref).collect::<Vec<&OsStr>>());
        out
    }

    /// Runs git. Returns the output, and true if git succeeded.
    pub(crate) fn try_git<A: AsRef<OsStr>>(&self, args: &[A]) -> (Vec<u8>, bool) {
        let out = Command::new("git")
            .arg("-C")
            .arg(self.0.path())
            .args(["-c", "core.autocrlf=false", "-c", "gc.auto=0"])
            .args(args)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.0.path())
            .env("LC_ALL", "C")
            .envs([("GIT_CONFIG_GLOBAL", "/dev/null"), ("GIT_CONFIG_NOSYSTEM", "1")])
            .envs([("GIT_AUTHOR_NAME", "t"), ("GIT_AUTHOR_EMAIL", "t@example.test")])
            .envs([("GIT_COMMITTER_NAME", "t"), ("GIT_COMMITTER_EMAIL", "t@example.test")])
            .output()
            .unwrap();
        (out.stdout, out.status.success())
    }

    fn full_path(&self, path: &[u8]) -> PathBuf {
        self.0.path().join(OsStr::from_bytes(path))
    }

    pub(crate) fn write_file(&self, path: impl AsRef<[u8]>, content: impl AsRef<[u8]>) {
        let file = self.full_path(path.as_ref());
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, content).unwrap();
    }

    pub(crate) fn remove(&self, path: impl AsRef<[u8]>) {
        fs::remove_file(self.full_path(path.as_ref())).unwrap();
    }

    pub(crate) fn rename(&self, from: &str, to: &str) {
        fs::rename(self.full_path(from.as_bytes()), self.full_path(to.as_bytes())).unwrap();
    }

    pub(crate) fn make_executable(&self, path: &str) {
        fs::set_permissions(self.full_path(path.as_bytes()), fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub(crate) fn link(&self, target: &str, path: &str) {
        symlink(target, self.full_path(path.as_bytes())).unwrap();
    }

    /// Commits everything with a message.
    pub(crate) fn commit(&self, message: &str) -> String {
        self.git(&["add", "-A"]);
        self.commit_index(message)
    }

    /// Commits what is in the index.
    pub(crate) fn commit_index(&self, message: &str) -> String {
        self.git(&["commit", "-q", "--allow-empty", "--cleanup=verbatim", "-m", message]);
        self.head()
    }

    pub(crate) fn head(&self) -> String {
        String::from_utf8(self.git(&["rev-parse", "HEAD"])).unwrap().trim().to_owned()
    }

    /// Returns the lines of a file at a commit; only line feeds separate lines.
    pub(crate) fn lines(&self, commit: &str, path: &RepoPath) -> Vec<Vec<u8>> {
        let object = [commit.as_bytes(), b":", path.as_bytes()].concat();
        let blob = self.git(&[OsString::from("cat-file"), "blob".into(), OsString::from_vec(object)]);
        let text = blob.strip_suffix(b"\n").unwrap_or(&blob);
        text.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
    }

    /// Returns the counts of `git diff --numstat -z` with these options and commits.
    pub(crate) fn numstat(&self, args: &[&str]) -> Vec<Count> {
        let out = self.git(&[&["diff", "-M", "--numstat", "-z"], args].concat());
        let mut fields = out.split(|byte| *byte == 0);
        let mut counts = Vec::new();
        while let Some(head) = fields.next().filter(|field| !field.is_empty()) {
            let mut parts = head.splitn(3, |byte| *byte == b'\t');
            let mut number = || std::str::from_utf8(parts.next().unwrap()).unwrap().parse().unwrap_or(0);
            let (added, deleted) = (number(), number());
            let name = parts.next().unwrap();
            let (old_path, path) = if name.is_empty() {
                (fields.next().map(RepoPath::from_bytes), fields.next().unwrap())
            } else {
                (None, name)
            };
            counts.push(Count { path: RepoPath::from_bytes(path), old_path, added, deleted });
        }
        counts.sort();
        counts
    }
}

/// Returns the line counts of these files, in the format of [`Repo::numstat`]. A file whose type changes has
/// two diffs, but only one count.
pub(crate) fn line_counts(files: &[FileDiff<'_>]) -> Vec<Count> {
    let mut counts: Vec<Count> = Vec::new();
    for file in files {
        let old_path = file.old_path.clone();
        let FileDiff { path, added_lines: added, deleted_lines: deleted, .. } = file;
        match counts.iter_mut().find(|count| count.path == *path) {
            Some(count) => {
                count.added += added;
                count.deleted += deleted;
            }
            None => counts.push(Count { path: path.clone(), old_path, added: *added, deleted: *deleted }),
        }
    }
    counts.sort();
    counts
}

/// Checks a file's hunks against the content of the file before and after the change.
pub(crate) fn check_lines(repo: &Repo, file: &FileDiff<'_>, from: &str, to: &str) {
    let old_path = file.old_path.as_ref().unwrap_or(&file.path);
    let none = Vec::new;
    let old = if file.status == FileStatus::Added { none() } else { repo.lines(from, old_path) };
    let new = if file.status == FileStatus::Deleted { none() } else { repo.lines(to, &file.path) };
    for hunk in &file.hunks {
        check_hunk(hunk);
        for line in hunk.lines() {
            for (number, side) in [(line.old_line, &old), (line.new_line, &new)] {
                let Some(number) = number else { continue };
                assert_eq!(line.text, side[number as usize - 1], "{file:?} line {number}");
            }
        }
    }
}

/// Checks that a hunk's line numbers have no gaps, and that the number of lines matches the hunk's header.
pub(crate) fn check_hunk(hunk: &Hunk<'_>) {
    let lines: Vec<_> = hunk.lines().collect();
    let old: Vec<u32> = lines.iter().filter_map(|line| line.old_line).collect();
    let new: Vec<u32> = lines.iter().filter_map(|line| line.new_line).collect();
    assert_eq!(old, (hunk.old_start..).take(hunk.old_lines as usize).collect::<Vec<_>>());
    assert_eq!(new, (hunk.new_start..).take(hunk.new_lines as usize).collect::<Vec<_>>());
    for line in lines {
        let sides = (line.old_line.is_some(), line.new_line.is_some());
        let expected = match line.kind {
            LineKind::Context => (true, true),
            LineKind::Added => (false, true),
            LineKind::Deleted => (true, false),
        };
        assert_eq!(sides, expected);
        assert!(!line.text.contains(&b'\n'));
    }
}
