//! A commit's files as plain bytes in a folder: no checkout, no filters, no attributes, nothing executable.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::io::{ErrorKind, Write as _};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{ChildStdin, ChildStdout};
use truing_core::RepoPath;
use truing_core::id::Sha;
use truing_core::outcome::{NotReviewed, SkipReason};

use crate::view::{View, garbled};
use crate::{GitError, Limits};

/// Longest line that announces a blob: an id, a word and a size.
const MAX_HEADER_BYTES: u64 = 256;

/// How many paths are looked for by name. Git tries each on every entry; with more, all are listed.
const MAX_NAMED: usize = 100;

/// What an export wrote.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Exported {
    /// Number of files written.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// What was left out, in tree order: symbolic links and submodules (always), files over a bound, and files
    /// that cannot be written or whose name must not be (`.git` in any spelling, `..`).
    pub left_out: Vec<NotReviewed>,
    /// Those of them that are over a bound, with their size in bytes.
    pub too_large: Vec<(RepoPath, u64)>,
}

impl Exported {
    fn leave_out(&mut self, path: RepoPath, reason: SkipReason) {
        self.left_out.push(NotReviewed { path, reason });
    }
}

/// One file of a tree.
struct Entry {
    id: String,
    size: u64,
    path: RepoPath,
}

impl View {
    /// Writes the files of a commit below `dest`, which is made if it is missing. Existing files are never
    /// overwritten. `only`: these paths alone; one that the commit does not have is not mentioned.
    pub(crate) async fn export(
        &self,
        sha: &Sha,
        dest: &Path,
        only: Option<&[RepoPath]>,
    ) -> Result<Exported, GitError> {
        let call = self.call("ls-tree").args(["-r", "-z", "--full-tree"]);
        let call = call.output(self.git().limits().listing_bytes);
        let Some(only) = only else {
            let listing = call.args(["-l", sha.as_str()]).read().await?;
            let entries = lines(&listing).map(|line| parse(line).ok_or_else(|| garbled("ls-tree", line)));
            return self.write(entries.collect::<Result<Vec<_>, _>>()?.into_iter(), dest).await;
        };
        // Sizes are asked for where they are needed, and few paths are looked for instead of listing all: a commit may
        // have far more files than a change.
        let call = call.args(["--", sha.as_str()]);
        let is_plain = |path: &RepoPath| may_be_written(path) && !path.as_bytes().contains(&0);
        let few = only.len() <= MAX_NAMED && !only.is_empty() && only.iter().all(is_plain);
        let named = if few { only } else { &[] };
        let listing = call.args(named.iter().map(|path| OsStr::from_bytes(path.as_bytes()))).read().await?;
        let only = only.iter().collect::<HashSet<_>>();
        let mut entries = Vec::new();
        for line in lines(&listing) {
            let entry = parse_plain(line).ok_or_else(|| garbled("ls-tree", line))?;
            if only.contains(&entry.2) {
                entries.push(entry);
            }
        }
        self.export_entries(entries, dest).await
    }

    /// Writes these files of an index or a tree, each with its mode and its id.
    pub(crate) async fn export_entries(
        &self,
        entries: Vec<(String, String, RepoPath)>,
        dest: &Path,
    ) -> Result<Exported, GitError> {
        if entries.is_empty() {
            return self.write(std::iter::empty(), dest).await;
        }
        let ids = entries.iter().map(|(_, id, _)| format!("{id}\n")).collect::<String>();
        let call = self.call("cat-file").arg("--batch-check=%(objectsize)").input(ids.into_bytes());
        let sizes = call.output(self.git().limits().listing_bytes).read().await?;
        let sizes = String::from_utf8_lossy(&sizes);
        // What is missing has no size; that it is missing is noticed when it is to be written.
        let sizes = sizes.lines().map(|line| line.parse().unwrap_or(0));
        let entry = |((mode, id, path), size)| (mode, Entry { id, size, path });
        self.write(entries.into_iter().zip(sizes).map(entry), dest).await
    }

    /// Writes the files among these entries, each with its mode.
    async fn write(
        &self,
        entries: impl Iterator<Item = (String, Entry)>,
        dest: &Path,
    ) -> Result<Exported, GitError> {
        let mut exported = Exported::default();
        let entries = choose(entries, self.git().limits(), &mut exported);
        make_folder(dest).await?;
        if entries.is_empty() {
            return Ok(exported);
        }

        let mut running = self.call("cat-file").args(["--batch", "--buffer"]).spawn(true)?;
        let (stdin, stdout) = (running.stdin.take(), running.stdout.take());
        let ask = ask(stdin, entries.iter().map(|entry| format!("{}\n", entry.id)).collect());
        let work = async {
            let (_, exported) = tokio::join!(ask, receive(stdout, entries.as_slice(), dest, exported));
            exported
        };
        let (exported, _, _) = running.supervise(work).await?;
        Ok(exported)
    }
}

/// The files that are to be written; the others are noted as left out.
fn choose(
    listing: impl Iterator<Item = (String, Entry)>,
    limits: &Limits,
    exported: &mut Exported,
) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut total = 0_u64;
    for (mode, entry) in listing {
        let reason = match mode.as_str() {
            "120000" => Some(SkipReason::Symlink),
            "160000" => Some(SkipReason::Submodule),
            _ if !may_be_written(&entry.path) => Some(SkipReason::Unreadable),
            _ if entry.size > limits.file_bytes
                || total.saturating_add(entry.size) > limits.total_bytes
                || entries.len() >= limits.files =>
            {
                Some(SkipReason::TooLarge)
            }
            _ => None,
        };
        if reason == Some(SkipReason::TooLarge) {
            exported.too_large.push((entry.path.clone(), entry.size));
        }
        match reason {
            Some(reason) => exported.leave_out(entry.path, reason),
            None => {
                total = total.saturating_add(entry.size);
                entries.push(entry);
            }
        }
    }
    entries
}

/// The lines of a listing.
fn lines(listing: &[u8]) -> impl Iterator<Item = &[u8]> {
    listing.split(|byte| *byte == 0).filter(|line| !line.is_empty())
}

/// One line of `ls-tree`: mode, type and id, a tab, the path.
fn parse_plain(line: &[u8]) -> Option<(String, String, RepoPath)> {
    let (facts, path) = line.split_at_checked(line.iter().position(|byte| *byte == b'\t')?)?;
    let mut facts = std::str::from_utf8(facts).ok()?.split(' ');
    Some((facts.next()?.to_owned(), facts.nth(1)?.to_owned(), RepoPath::from_bytes(path.get(1..)?)))
}

/// One line of `ls-tree -l`: mode, type, id and size, a tab, the path.
fn parse(line: &[u8]) -> Option<(String, Entry)> {
    let tab = line.iter().position(|byte| *byte == b'\t')?;
    let (facts, path) = line.split_at_checked(tab)?;
    let mut facts = std::str::from_utf8(facts).ok()?.split_ascii_whitespace();
    let (mode, _kind, id, size) = (facts.next()?, facts.next()?, facts.next()?, facts.next()?);
    // Submodules have no size (`-`), nor have objects that a partial clone lacks.
    let size = size.parse().unwrap_or(0);
    Some((mode.to_owned(), Entry { id: id.to_owned(), size, path: RepoPath::from_bytes(path.get(1..)?) }))
}

/// True for a path that stays inside its folder and is no git folder's on any file system.
pub fn may_be_written(path: &RepoPath) -> bool {
    path.is_inside() && !path.as_bytes().split(|byte| matches!(byte, b'/' | b'\\')).any(is_dot_git)
}

/// Is this name `.git` to some file system? Case does not matter to many; HFS+ ignores some characters; NTFS
/// ignores spaces and dots at the end and what follows a colon, and `git~1` is the short form of `.git`.
fn is_dot_git(name: &[u8]) -> bool {
    let name = String::from_utf8_lossy(name);
    let name = name.split(':').next().unwrap_or_default();
    let seen =
        name.chars().filter(|letter| !ignored_by_hfs(*letter)).collect::<String>().to_ascii_lowercase();
    matches!(seen.trim_end_matches([' ', '.']), ".git" | "git~1")
}

fn ignored_by_hfs(letter: char) -> bool {
    matches!(letter,
        '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{206a}'..='\u{206f}' | '\u{feff}')
}

async fn ask(stdin: Option<ChildStdin>, ids: String) {
    if let Some(mut stdin) = stdin {
        // If git stops reading, its answer ends early, and that is noticed.
        let _ = stdin.write_all(ids.as_bytes()).await;
        let _ = stdin.shutdown().await;
    }
}

/// Reads the blobs in the order in which they were asked for, and writes each.
async fn receive(
    stdout: Option<ChildStdout>,
    entries: &[Entry],
    dest: &Path,
    mut exported: Exported,
) -> Result<Exported, GitError> {
    let Some(stdout) = stdout else { return Err(garbled("cat-file", b"no answer")) };
    let mut answers = BufReader::new(stdout);
    for entry in entries {
        let Some(size) = header(&mut answers, entry).await? else {
            exported.leave_out(entry.path.clone(), SkipReason::Unreadable);
            continue;
        };
        // The content, and the line end after it.
        let mut content = vec![0; size.saturating_add(1)];
        answers.read_exact(&mut content).await.map_err(lost)?;
        content.truncate(size);
        if write_new(dest, &entry.path, &content).await? {
            exported.files = exported.files.saturating_add(1);
            exported.bytes = exported.bytes.saturating_add(entry.size);
        } else {
            exported.leave_out(entry.path.clone(), SkipReason::Unreadable);
        }
    }
    Ok(exported)
}

/// The size of the blob that comes next; none if the repository does not have it. It is the size that the
/// listing gave, which was within bounds.
async fn header(answers: &mut BufReader<ChildStdout>, entry: &Entry) -> Result<Option<usize>, GitError> {
    let mut line = Vec::new();
    (&mut *answers).take(MAX_HEADER_BYTES).read_until(b'\n', &mut line).await.map_err(lost)?;
    let text = std::str::from_utf8(&line).unwrap_or_default().trim_end();
    if text == format!("{} missing", entry.id) {
        return Ok(None);
    }
    if text == format!("{} blob {}", entry.id, entry.size) {
        return usize::try_from(entry.size).map(Some).map_err(|_| garbled("cat-file", &line));
    }
    Err(garbled("cat-file", &line))
}

fn lost(source: std::io::Error) -> GitError {
    GitError::Io { doing: "cannot read the answer of", path: PathBuf::from("git"), source }
}

async fn make_folder(path: &Path) -> Result<(), GitError> {
    let made = tokio::fs::create_dir_all(path).await;
    made.map_err(|source| GitError::Io { doing: "cannot make", path: path.to_owned(), source })
}

/// Writes a file that is not there yet, below `dest`, a folder of ours. False if its name must not be written (`.git`
/// in any spelling, `..`), or if the file system cannot hold it: a tree may have names that differ in case only, a file
/// and a folder of one name, or names that are too long.
///
/// # Errors
/// [`GitError::Io`]
pub async fn write_new(dest: &Path, path: &RepoPath, content: &[u8]) -> Result<bool, GitError> {
    if !may_be_written(path) {
        return Ok(false);
    }
    let target = dest.join(OsStr::from_bytes(path.as_bytes()));
    // One trip to a thread for blocking work, and not one for each call of the system.
    let (file, content) = (target.clone(), content.to_owned());
    let written = tokio::task::spawn_blocking(move || {
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::File::create_new(&file)?.write_all(&content)
    });
    match written.await.unwrap_or_else(|stopped| Err(std::io::Error::other(stopped))) {
        Ok(()) => Ok(true),
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::AlreadyExists
                    | ErrorKind::NotADirectory
                    | ErrorKind::IsADirectory
                    | ErrorKind::InvalidFilename
                    | ErrorKind::InvalidInput
            ) =>
        {
            Ok(false)
        }
        Err(source) => Err(GitError::Io { doing: "cannot write", path: target, source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_spelling_of_a_git_folder_is_written() {
        for bad in [
            ".git",
            ".git/config",
            "a/.git",
            ".GIT/x",
            ".Git",
            "a/.gIt/hooks/x",
            "git~1/x",
            "GIT~1",
            ".git /x",
            ".git./x",
            ".git. ./x",
            ".git::$INDEX_ALLOCATION/x",
            ".g\u{200c}it/x",
            "\u{feff}.git",
            "a\\.git\\x",
            "../x",
            "/x",
            "a/../x",
            "",
            "a//b",
            "a/.",
        ] {
            assert!(!may_be_written(&RepoPath::from(bad)), "{bad:?}");
        }
        for good in
            [".gitignore", ".github/x", "git", "a.git", "x/.gitattributes", "git~10", ".gi", "é/\u{200c}"]
        {
            assert!(may_be_written(&RepoPath::from(good)), "{good:?}");
        }
        assert!(may_be_written(&RepoPath::from_bytes(b"caf\xe9".to_vec())));
    }
}
