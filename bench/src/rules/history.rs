//! Runs the rules on the history of a repository, either on the changes of a commit or on all its files.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use truing_core::finding::RawFinding;
use truing_core::port::{ChangedFile, ReadRequest};
use truing_diff::{FileDiff, FileStatus, RepoPath, added_ranges, parse};
use truing_reader::InProcessReader;

/// The arguments of git with which a review computes a diff.
const DIFF_ARGS: &[&str] = &["diff", "--no-color", "--no-ext-diff", "--no-textconv", "-M", "--full-index"];
/// The range of all lines of a file.
const WHOLE_FILE_LINES: (u32, u32) = (1, u32::MAX);

/// A git folder whose commits are read.
pub(super) struct GitHistory {
    dir: PathBuf,
    blobs: BlobReader,
}

/// A running `git cat-file --batch`.
struct BlobReader {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl GitHistory {
    /// Opens a clone, bare or not.
    pub(super) fn open(dir: &Path) -> Result<Self> {
        let mut child = git_command(dir)
            .args(["cat-file", "--batch"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start git")?;
        let input = child.stdin.take().context("git has no input")?;
        let output = BufReader::new(child.stdout.take().context("git has no output")?);
        Ok(Self { dir: dir.to_owned(), blobs: BlobReader { child, input, output } })
    }

    /// Returns the newest commits that are reachable from `head` and have exactly one parent.
    pub(super) fn newest_commits(&self, head: &str, count: usize) -> Result<Vec<String>> {
        let count = format!("--max-count={count}");
        let list = ["rev-list", "--min-parents=1", "--max-parents=1", &count, head];
        let text = run_for_output(git_command(&self.dir).args(list))?;
        Ok(String::from_utf8(text)?.lines().map(str::to_owned).collect())
    }

    /// Returns the rules' findings in the changes of a commit, as in a review of the commit. Returns `None`
    /// if the clone lacks a file that the diff requires.
    pub(super) fn findings_in_change(
        &mut self,
        commit: &str,
        rules: &InProcessReader,
        pack: &str,
    ) -> Result<Option<Vec<RawFinding>>> {
        let parent = format!("{commit}^");
        let mut command = git_command(&self.dir);
        command.args(DIFF_ARGS).args([&parent, commit]).stderr(Stdio::null());
        let Ok(diff) = run_for_output(&mut command) else { return Ok(None) };
        let parsed = parse(&diff);
        if let Some(error) = parsed.error {
            bail!("{}: {commit}: {error}", self.dir.display());
        }
        let (mut files, mut also_changed) = (Vec::new(), Vec::new());
        for file in &parsed.files {
            let is_read = file.status != FileStatus::Deleted && !file.is_submodule() && !file.is_symlink();
            // A binary file is passed to the rules only if it is new.
            if is_read && (!file.is_binary || file.status == FileStatus::Added) {
                files.push(to_changed_file(file));
            } else {
                also_changed.push(file.path.clone());
            }
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        files.dedup_by(|a, b| a.path == b.path);
        let packs = vec![pack.to_owned()];
        let folder = tempfile::tempdir()?;
        let companions = rules.companion_paths_blocking(&packs, &files)?;
        let paths: BTreeSet<&RepoPath> = files.iter().map(|file| &file.path).chain(&companions).collect();
        for path in paths {
            self.blobs.write_blob(commit, path, folder.path())?;
        }
        let (tree, off) = (folder.path().to_owned(), Vec::new());
        let request = ReadRequest { tree, files, also_changed, packs, disabled_rules: off };
        Ok(Some(rules.read_blocking(&request)?.findings))
    }

    /// Returns the rules' findings in all files of a commit.
    pub(super) fn findings_in_tree(
        &self,
        commit: &str,
        rules: &InProcessReader,
        pack: &str,
    ) -> Result<Vec<RawFinding>> {
        let folder = tempfile::tempdir()?;
        let (index, tree) = (folder.path().join("index"), folder.path().join("tree"));
        fs::create_dir(&tree)?;
        let with_index = || {
            let mut command = git_command(&self.dir);
            command.env("GIT_INDEX_FILE", &index);
            command
        };
        run_for_output(with_index().args(["read-tree", commit]))?;
        let list = run_for_output(with_index().args(["ls-files", "-z"]))?;
        // A clone may lack the contents of large files. Git then writes all other files and exits with an
        // error, which is ignored.
        let mut write = with_index();
        write.arg("--work-tree").arg(&tree).args(["checkout-index", "--all", "--force"]);
        write.stderr(Stdio::null()).status().context("cannot start git")?;
        let all = |path: &[u8]| ChangedFile {
            path: RepoPath::from_bytes(path),
            old_path: None,
            added_lines: vec![WHOLE_FILE_LINES],
            secrets_only: false,
        };
        let is_file = |path: &&[u8]| {
            tree.join(OsStr::from_bytes(path)).symlink_metadata().is_ok_and(|facts| facts.is_file())
        };
        let paths = list.split(|byte| *byte == 0).filter(|path| !path.is_empty());
        let mut files: Vec<ChangedFile> = paths.filter(is_file).map(all).collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let packs = vec![pack.to_owned()];
        let request =
            ReadRequest { tree, files, also_changed: Vec::new(), packs, disabled_rules: Vec::new() };
        Ok(rules.read_blocking(&request)?.findings)
    }
}

impl Drop for GitHistory {
    fn drop(&mut self) {
        // The process only waits for requests, so killing it loses no data.
        let _ = self.blobs.child.kill();
        let _ = self.blobs.child.wait();
    }
}

impl BlobReader {
    /// Writes a file of a commit to the same path below a folder. Does nothing if the commit lacks the file.
    fn write_blob(&mut self, commit: &str, path: &RepoPath, folder: &Path) -> Result<()> {
        let name = path.as_bytes();
        if name.contains(&b'\n') || !path.stays_within_folder() {
            return Ok(());
        }
        self.input.write_all(&[commit.as_bytes(), b":", name, b"\n"].concat())?;
        self.input.flush()?;
        let mut header = Vec::new();
        self.output.read_until(b'\n', &mut header)?;
        let header = String::from_utf8_lossy(&header).into_owned();
        let mut words = header.trim_end().rsplit(' ');
        let Some(size) = words.next().and_then(|size| size.parse::<usize>().ok()) else { return Ok(()) };
        let kind = words.next();
        let mut bytes = vec![0; size + 1];
        self.output.read_exact(&mut bytes)?;
        ensure!(bytes.pop() == Some(b'\n'), "git cat-file: no line end behind {path}");
        if kind == Some("blob") {
            let file = folder.join(OsStr::from_bytes(name));
            if let Some(parent) = file.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::write(file, bytes)?;
        }
        Ok(())
    }
}

/// Converts a file of a diff to the type that a review passes to the rules.
fn to_changed_file(file: &FileDiff<'_>) -> ChangedFile {
    let added = if file.is_binary { vec![WHOLE_FILE_LINES] } else { added_ranges(file) };
    ChangedFile {
        path: file.path.clone(),
        old_path: file.old_path.clone(),
        added_lines: added,
        secrets_only: false,
    }
}

fn git_command(dir: &Path) -> Command {
    let mut command = Command::new("git");
    command.args(["-c", "core.quotePath=true", "-c", "safe.directory=*", "--git-dir"]).arg(dir);
    command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
    command.env("GIT_NO_LAZY_FETCH", "1").stdin(Stdio::null()).stderr(Stdio::inherit());
    command
}

fn run_for_output(command: &mut Command) -> Result<Vec<u8>> {
    let output = command.output().with_context(|| format!("cannot start {command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {}", output.status);
    Ok(output.stdout)
}
