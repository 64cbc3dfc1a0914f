//! Provides a home folder with a repository, and runs `truing` and git in the repository.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

pub(crate) use crate::support::home::Ran;

/// Content of a file with one P1 finding, which is on the second line.
pub(crate) const STOPS: &str = "def f():\n    breakpoint()\n";

/// Returns a fictitious key. The key is split in two, so that this file contains no text that looks like a
/// key.
pub(crate) fn fake_key() -> String {
    ["AKIA", "73U55XTPLPFT7V4S"].concat()
}

pub(crate) struct Place(TempDir);

impl Place {
    /// Creates a home folder in which the folder of the repository is empty.
    pub(crate) fn empty() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        std::fs::create_dir(place.repo()).unwrap();
        place
    }

    /// Creates a home folder with a repository, which has one commit on `main`.
    pub(crate) fn new() -> Self {
        let place = Self::empty();
        place.git(["init", "--quiet", "--initial-branch=main"]);
        place.write("a.py", "import os\n");
        place.commit("first");
        place
    }

    pub(crate) fn home(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn repo(&self) -> PathBuf {
        self.home().join("r")
    }

    /// Returns the path of the database in which reviews are recorded.
    pub(crate) fn store(&self) -> PathBuf {
        self.home().join(".local/state/truing/truing.db")
    }

    /// Writes a file of the repository.
    pub(crate) fn write(&self, name: impl AsRef<OsStr>, text: impl AsRef<[u8]>) {
        let path = self.repo().join(name.as_ref());
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Runs git in the repository and returns its output.
    pub(crate) fn git<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> String {
        self.git_in(&self.repo(), arguments)
    }

    pub(crate) fn git_in<S: AsRef<OsStr>>(
        &self,
        folder: &Path,
        arguments: impl IntoIterator<Item = S>,
    ) -> String {
        let mut git = Command::new(truing_fakes::repo::git_program());
        git.args(["-c", "maintenance.auto=false"])
            .args(arguments)
            .current_dir(folder)
            .env_clear()
            .env("PATH", search_path())
            .env("HOME", self.home());
        git.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
        for who in ["AUTHOR", "COMMITTER"] {
            git.env(format!("GIT_{who}_NAME"), "somebody").env(format!("GIT_{who}_EMAIL"), "s@example.org");
            git.env(format!("GIT_{who}_DATE"), "2026-01-01T00:00:00Z");
        }
        let output = git.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// Commits all changes and returns the commit id.
    pub(crate) fn commit(&self, message: &str) -> String {
        self.git(["add", "--all"]);
        self.git(["commit", "--quiet", "--allow-empty", "--message", message]);
        self.git(["rev-parse", "HEAD"])
    }

    /// Commits all changes without running the hooks.
    pub(crate) fn commit_unchecked(&self, message: &str) {
        self.git(["add", "--all"]);
        self.git(["commit", "--quiet", "--no-verify", "--message", message]);
    }

    /// Returns the `truing` command with these arguments, to be run in the repository.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_truing"));
        command.args(arguments).current_dir(self.repo()).stdin(Stdio::null());
        command.env_clear().env("HOME", self.home()).env("PATH", search_path());
        command
    }

    /// Runs `truing review` with these arguments.
    pub(crate) fn review(&self, arguments: &[&str]) -> Ran {
        Ran::from(self.command(&[&["review", "--quiet"], arguments].concat()).output().unwrap())
    }

    /// Runs `truing review --format json` and returns the printed report.
    pub(crate) fn report(&self, arguments: &[&str]) -> Value {
        let ran = self.review(&[&["--format", "json"], arguments].concat());
        assert!(ran.exit < 2, "{}", ran.err);
        ran.json()
    }

    /// Returns the modification times and contents of all files and folders in the repository.
    pub(crate) fn read_all_files(&self) -> BTreeMap<PathBuf, (i64, Vec<u8>)> {
        let mut files = BTreeMap::new();
        let mut folders = vec![self.repo()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let metadata = path.symlink_metadata().unwrap();
                let content = if metadata.is_file() { std::fs::read(&path).unwrap() } else { vec![] };
                files.insert(path.clone(), (metadata.mtime_nsec(), content));
                if metadata.is_dir() {
                    folders.push(path);
                }
            }
        }
        files
    }
}

fn search_path() -> std::ffi::OsString {
    std::env::var_os("PATH").unwrap_or_default()
}

/// Returns the value of one field for every finding in a report.
pub(crate) fn field_of_findings<'a>(report: &'a Value, field: &str) -> Vec<&'a Value> {
    report["findings"].as_array().unwrap().iter().map(|finding| &finding[field]).collect()
}
