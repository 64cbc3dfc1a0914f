//! Creates real repositories in temporary folders with real git, without the machine's configuration.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use async_trait::async_trait;
use tempfile::TempDir;
use truing_core::id::{Sha, UnixMillis};
use truing_core::port::{HaltReason, WriteGate, WritePermit};
use truing_git::{Git, GitOptions};

/// A gate that is open until it is shut.
#[derive(Debug, Default)]
pub(crate) struct LockableGate(AtomicBool);

impl LockableGate {
    pub(crate) fn shut(&self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[async_trait]
impl WriteGate for LockableGate {
    async fn permit_write(&self) -> Result<(), HaltReason> {
        if self.0.load(Ordering::SeqCst) { Err(HaltReason::KillSwitch) } else { Ok(()) }
    }
}

/// Returns a write permit from a gate that stays open.
pub(crate) async fn open_permit() -> Arc<WritePermit> {
    permit_for(&Arc::default()).await
}

/// Returns a write permit from this gate, which must be open at the time of the call.
pub(crate) async fn permit_for(door: &Arc<LockableGate>) -> Arc<WritePermit> {
    WritePermit::request_from(&(Arc::clone(door) as Arc<dyn WriteGate>), UnixMillis(0)).await.unwrap()
}

/// A temporary folder for one test.
pub(crate) struct Place {
    folder: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { folder: TempDir::new().unwrap() }
    }

    /// Returns the absolute path of `name` in the folder, with symbolic links in the folder's path resolved.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join(name)
    }

    /// Returns options that keep git's private folders in this temporary folder.
    pub(crate) fn options(&self) -> GitOptions {
        let temp = self.path("private");
        std::fs::create_dir_all(&temp).unwrap();
        GitOptions { temp_folder: temp, ..GitOptions::default() }
    }

    pub(crate) async fn git(&self) -> Git {
        Git::new(self.options()).await.unwrap()
    }

    /// Creates a repository with one commit of `a.txt` on `main`.
    pub(crate) fn create_repo(&self, name: &str) -> Repo {
        let repo = self.create_empty_repo(name);
        repo.write("a.txt", "one\ntwo\nthree\n");
        repo.commit("first");
        repo
    }

    /// Creates a repository without a commit.
    pub(crate) fn create_empty_repo(&self, name: &str) -> Repo {
        let root = self.path(name);
        std::fs::create_dir_all(&root).unwrap();
        let repo = Repo { root };
        repo.run(["init", "--quiet", "--initial-branch=main"]);
        repo
    }

    /// Creates an executable script. The system refuses to run a file that is open for writing, and a child
    /// of another test could inherit a writable handle of this process. Another process therefore writes the
    /// script.
    pub(crate) fn write_script(&self, name: &str, text: &str) -> PathBuf {
        let (source, path) = (self.path(&format!("{name}.source")), self.path(name));
        std::fs::write(&source, format!("#!/bin/sh\n{text}\n")).unwrap();
        assert!(Command::new("cp").arg(&source).arg(&path).status().unwrap().success());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }
}

/// A repository under test.
pub(crate) struct Repo {
    pub(crate) root: PathBuf,
}

impl Repo {
    /// Returns a git command in the repository, which sees no variables and settings of this machine.
    pub(crate) fn command<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new("git");
        command.arg("-C").arg(&self.root).args(arguments).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap()).env("GIT_CONFIG_NOSYSTEM", "1");
        command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_ALLOW_PROTOCOL", "file");
        for who in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{who}_NAME"), "T").env(format!("GIT_{who}_EMAIL"), "t@example.com");
            command.env(format!("GIT_{who}_DATE"), "1700000000 +0000");
        }
        command
    }

    /// Runs git in the repository and returns the output.
    pub(crate) fn run<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> String {
        let mut command = self.command(arguments);
        let done = command.output().unwrap();
        assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap().trim_end().to_owned()
    }

    /// Lists the mode and path of each entry of a tree, one per line, with options that every version of git
    /// supports.
    pub(crate) fn list_modes(&self, arguments: &[&str]) -> String {
        let listed = self.run([&["ls-tree"], arguments].concat());
        let lines = listed.lines().map(|line| {
            let (entry, path) = line.split_once('\t').unwrap();
            format!("{} {path}", entry.split(' ').next().unwrap())
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    pub(crate) fn write(&self, name: impl AsRef<OsStr>, content: impl AsRef<[u8]>) {
        let path = self.root.join(name.as_ref());
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// Commits all changes in the working tree.
    pub(crate) fn commit(&self, message: &str) -> Sha {
        self.run(["add", "--all"]);
        self.run(["commit", "--quiet", "--no-verify", "--allow-empty", "-m", message]);
        self.sha("HEAD")
    }

    pub(crate) fn sha(&self, name: &str) -> Sha {
        Sha::parse(&self.run(["rev-parse", name])).unwrap()
    }
}

/// Records the content, link target and modification time of every file and folder below `folder`. If two
/// records are equal, nothing was changed.
pub(crate) fn snapshot_folder(folder: &Path) -> BTreeMap<PathBuf, (Vec<u8>, SystemTime)> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let facts = std::fs::symlink_metadata(&path).unwrap();
            let content = if facts.is_dir() {
                folders.push(path.clone());
                Vec::new()
            } else if facts.is_symlink() {
                std::fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes()
            } else if facts.is_file() {
                std::fs::read(&path).unwrap()
            } else {
                Vec::new()
            };
            found.insert(path, (content, facts.modified().unwrap()));
        }
    }
    found
}

/// Returns the paths for which two snapshots differ.
pub(crate) fn changed_paths(
    before: &BTreeMap<PathBuf, (Vec<u8>, SystemTime)>,
    after: &BTreeMap<PathBuf, (Vec<u8>, SystemTime)>,
) -> Vec<PathBuf> {
    let paths = before.keys().chain(after.keys()).filter(|path| before.get(*path) != after.get(*path));
    paths.cloned().collect()
}

/// Returns a diff as text.
pub(crate) fn diff_text(diff: &[u8]) -> String {
    String::from_utf8_lossy(diff).into_owned()
}
