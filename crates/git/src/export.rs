//! Exports the files of a commit to a folder as plain bytes, without a checkout: no filters, attributes or
//! executable bits.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::io::{ErrorKind, Write as _};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::str::SplitAsciiWhitespace;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::task::{JoinHandle, spawn_blocking};
use truing_core::RepoPath;
use truing_core::id::Sha;
use truing_core::outcome::{CoverageGap, SkipReason};

use crate::isolated_git_dir::{IsolatedGitDir, unknown_output_error};
use crate::{GitError, GitLimits, PrivateFolder};

/// Maximum length of a blob's header line: an id, a word and a size.
const MAX_HEADER_BYTES: u64 = 256;

/// Maximum number of paths that a listing requests by name. Git compares every entry with each of these
/// paths, which takes time. For more paths, git lists all entries instead.
const MAX_PATH_ARGS: usize = 100;

/// Maximum size of a batch of written files in bytes, and maximum number of files in a batch. Truing writes
/// files in batches, because starting a thread for each file would take longer than the write.
const MAX_BATCH_BYTES: usize = 1 << 18;
const MAX_BATCH_FILES: usize = 64;

/// Summary of an export.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ExportSummary {
    /// Number of files written.
    pub file_count: usize,
    /// Total bytes of the written files.
    pub bytes: u64,
    /// Omitted files in tree order. Symbolic links and submodules are always omitted. Files are omitted if
    /// they exceed a limit, cannot be written, or have a forbidden name (`.git` in any spelling, `..`).
    pub omitted_files: Vec<CoverageGap>,
    /// Omitted files over a limit, with their size in bytes.
    pub oversized_files: Vec<(RepoPath, u64)>,
}

/// Listing entry of a file in a commit; its content is not read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TreeFile {
    pub path: RepoPath,
    /// Git's id of the file's content; equal content has the same id.
    pub id: String,
    /// Size in bytes; 0 if the repository lacks the content.
    pub size: u64,
    /// True for a plain file, false for a link or a submodule.
    pub is_plain: bool,
}

impl ExportSummary {
    fn add_omitted_file(&mut self, path: RepoPath, reason: SkipReason) {
        self.omitted_files.push(CoverageGap { path, reason });
    }
}

/// A blob of a tree, with its size and path.
pub(crate) struct SizedFile {
    pub(crate) id: String,
    size: u64,
    pub(crate) path: RepoPath,
}

impl IsolatedGitDir {
    /// Writes the files of a commit below `dest`, which is created if missing. Existing files are never
    /// overwritten. If `paths` is given, only these paths are exported. Paths that are not in the commit are
    /// ignored.
    pub(crate) async fn export(
        &self,
        sha: &Sha,
        dest: &Path,
        paths: Option<&[RepoPath]>,
    ) -> Result<ExportSummary, GitError> {
        let call = self.command("ls-tree").args(["-r", "-z", "--full-tree"]);
        let call = call.max_output(self.git().limits().listing_bytes);
        let Some(paths) = paths else {
            let (entries, exported) = self.select_files(sha).await?;
            return self.write_files(&entries, exported, dest).await;
        };
        // A commit may contain far more files than were requested, so sizes are queried only for the
        // requested paths. A short list of paths is passed to git, which then lists only these paths.
        let call = call.args(["--", sha.as_str()]);
        let is_literal_path = |path: &RepoPath| path.is_safe_to_write() && !path.as_bytes().contains(&0);
        let few = paths.len() <= MAX_PATH_ARGS && !paths.is_empty() && paths.iter().all(is_literal_path);
        let named = if few { paths } else { &[] };
        let listing =
            call.args(named.iter().map(|path| OsStr::from_bytes(path.as_bytes()))).read_output().await?;
        let paths = paths.iter().collect::<HashSet<_>>();
        let mut entries = Vec::new();
        for line in split_listing(&listing) {
            let entry =
                ListedFile::from_tree_line(line).ok_or_else(|| unknown_output_error("ls-tree", line))?;
            if paths.contains(&entry.path) {
                entries.push(entry);
            }
        }
        self.export_entries(entries, dest).await
    }

    /// Writes all files of a commit to a private folder.
    pub(crate) async fn export_to_private_folder(
        &self,
        sha: &Sha,
    ) -> Result<(PrivateFolder, ExportSummary), GitError> {
        let (entries, exported) = self.select_files(sha).await?;
        let temp = self.git().temp_folder();
        let folder = PrivateFolder::for_files(temp, entries.iter().map(|entry| entry.size));
        let folder = folder.map_err(|source| GitError::Io {
            failure: "cannot create a private folder in",
            path: temp.to_owned(),
            source,
        })?;
        let exported = self.write_files(&entries, exported, folder.path()).await?;
        Ok((folder, exported))
    }

    /// Returns the files of a commit that will be written, and a summary with the omitted files.
    pub(crate) async fn select_files(&self, sha: &Sha) -> Result<(Vec<SizedFile>, ExportSummary), GitError> {
        let call = self.command("ls-tree").args(["-r", "-z", "--full-tree", "-l", sha.as_str()]);
        let listing = call.max_output(self.git().limits().listing_bytes).read_output().await?;
        let entries = split_listing(&listing)
            .map(|line| parse_sized_tree_line(line).ok_or_else(|| unknown_output_error("ls-tree", line)));
        let entries = entries.collect::<Result<Vec<_>, _>>()?;
        let mut exported = ExportSummary::default();
        Ok((select_entries(entries.into_iter(), self.git().limits(), &mut exported), exported))
    }

    /// Lists the files of a commit whose path is one of these paths or is below one of these paths.
    pub(crate) async fn list_files(&self, sha: &Sha, paths: &[&str]) -> Result<Vec<TreeFile>, GitError> {
        let call =
            self.command("ls-tree").args(["-r", "-z", "-l", "--full-tree", "--", sha.as_str()]).args(paths);
        let listing = call.max_output(self.git().limits().listing_bytes).read_output().await?;
        let file = |line| {
            let (mode, SizedFile { id, size, path }) =
                parse_sized_tree_line(line).ok_or_else(|| unknown_output_error("ls-tree", line))?;
            Ok(TreeFile { path, id, size, is_plain: mode.starts_with("100") })
        };
        split_listing(&listing).map(file).collect()
    }

    /// Returns the text files of a commit that contain one of these texts. The texts must have no line ends.
    pub(crate) async fn files_containing(
        &self,
        sha: &Sha,
        texts: &[String],
    ) -> Result<Vec<RepoPath>, GitError> {
        if texts.is_empty() {
            return Ok(Vec::new());
        }
        let call =
            self.command("grep").args(["-l", "-z", "-I", "--fixed-strings", "--full-name", "--no-textconv"]);
        let call = call.args(texts.iter().flat_map(|text| ["-e", text.as_str()])).arg(sha.as_str());
        let finished = call.max_output(self.git().limits().listing_bytes).run().await?;
        // Exit code 1 means that no file matches.
        if finished.code() == Some(1) && finished.stdout.is_empty() {
            return Ok(Vec::new());
        }
        let listing = finished.into_success_output("grep")?;
        let prefix = format!("{sha}:");
        let path = |line: &[u8]| {
            let path = line.strip_prefix(prefix.as_bytes()).map(<[u8]>::to_vec);
            path.map(RepoPath::from_bytes).ok_or_else(|| unknown_output_error("grep", line))
        };
        split_listing(&listing).map(path).collect()
    }

    /// Returns the content of one file of a commit. None if the file does not exist, or is a link or a
    /// submodule.
    pub(crate) async fn read_file(&self, sha: &Sha, path: &RepoPath) -> Result<Option<Vec<u8>>, GitError> {
        if !path.is_safe_to_write() || path.as_bytes().contains(&0) {
            return Ok(None);
        }
        let call =
            self.command("ls-tree").args(["-z", "--full-tree", "--end-of-options", sha.as_str(), "--"]);
        let listing = call.arg(OsStr::from_bytes(path.as_bytes())).read_output().await?;
        let entry = split_listing(&listing)
            .next()
            .map(|line| ListedFile::from_tree_line(line).ok_or(line))
            .transpose();
        let entry = entry.map_err(|line| unknown_output_error("ls-tree", line))?;
        let Some(entry) = entry.filter(|entry| entry.mode.starts_with("100") && entry.path == *path) else {
            return Ok(None);
        };
        let most = usize::try_from(self.git().limits().file_bytes).unwrap_or(usize::MAX);
        self.command("cat-file").args(["blob", &entry.id]).max_output(most).read_output().await.map(Some)
    }

    /// Writes these entries of an index or a tree as files.
    pub(crate) async fn export_entries(
        &self,
        entries: Vec<ListedFile>,
        dest: &Path,
    ) -> Result<ExportSummary, GitError> {
        if entries.is_empty() {
            return self.write_files(&[], ExportSummary::default(), dest).await;
        }
        let ids = entries.iter().map(|entry| format!("{}\n", entry.id)).collect::<String>();
        let call = self.command("cat-file").arg("--batch-check=%(objectsize)").with_input(ids.into_bytes());
        let sizes = call.max_output(self.git().limits().listing_bytes).read_output().await?;
        let sizes = String::from_utf8_lossy(&sizes);
        // For a missing blob, git prints no size. The missing blob is reported when the files are written.
        let sizes = sizes.lines().map(|line| line.parse().unwrap_or(0));
        let entry = |(ListedFile { mode, id, path }, size)| (mode, SizedFile { id, size, path });
        let mut exported = ExportSummary::default();
        let entries =
            select_entries(entries.into_iter().zip(sizes).map(entry), self.git().limits(), &mut exported);
        self.write_files(&entries, exported, dest).await
    }

    /// Writes these files below `dest`.
    pub(crate) async fn write_files(
        &self,
        entries: &[SizedFile],
        summary: ExportSummary,
        dest: &Path,
    ) -> Result<ExportSummary, GitError> {
        create_folder_tree(dest).await?;
        if entries.is_empty() {
            return Ok(summary);
        }

        let mut running = self.command("cat-file").args(["--batch", "--buffer"]).spawn(true)?;
        let (stdin, stdout) = (running.stdin.take(), running.stdout.take());
        let ask = request_blobs(stdin, entries.iter().map(|entry| format!("{}\n", entry.id)).collect());
        let work = async {
            let (_, exported) = tokio::join!(ask, write_received_blobs(stdout, entries, dest, summary));
            exported
        };
        let (exported, _, _) = running.supervise(work).await?;
        Ok(exported)
    }
}

/// Returns the files that will be written, and records the other files as omitted.
fn select_entries(
    listing: impl Iterator<Item = (String, SizedFile)>,
    limits: &GitLimits,
    summary: &mut ExportSummary,
) -> Vec<SizedFile> {
    let mut entries = Vec::new();
    let mut total = 0_u64;
    for (mode, entry) in listing {
        let reason = match mode.as_str() {
            "120000" => Some(SkipReason::Symlink),
            "160000" => Some(SkipReason::Submodule),
            _ if !entry.path.is_safe_to_write() => Some(SkipReason::Unreadable),
            _ if entry.size > limits.file_bytes
                || total.saturating_add(entry.size) > limits.total_bytes
                || entries.len() >= limits.file_count =>
            {
                Some(SkipReason::TooLarge)
            }
            _ => None,
        };
        if reason == Some(SkipReason::TooLarge) {
            summary.oversized_files.push((entry.path.clone(), entry.size));
        }
        match reason {
            Some(reason) => summary.add_omitted_file(entry.path, reason),
            None => {
                total = total.saturating_add(entry.size);
                entries.push(entry);
            }
        }
    }
    entries
}

/// Splits a listing at NUL bytes.
pub(crate) fn split_listing(listing: &[u8]) -> impl Iterator<Item = &[u8]> {
    listing.split(|byte| *byte == 0).filter(|line| !line.is_empty())
}

/// A file as a tree or an index lists it.
pub(crate) struct ListedFile {
    pub(crate) mode: String,
    pub(crate) id: String,
    pub(crate) path: RepoPath,
}

impl ListedFile {
    /// Parses one line of `ls-tree -z`: mode, type and id, a tab, the path.
    pub(crate) fn from_tree_line(line: &[u8]) -> Option<Self> {
        let (mut facts, path) = split_line(line)?;
        Some(Self { mode: facts.next()?.to_owned(), id: facts.nth(1)?.to_owned(), path })
    }

    /// Parses one line of `ls-files --stage -z`: mode, id and stage, a tab, the path.
    pub(crate) fn from_index_line(line: &[u8]) -> Option<Self> {
        let (mut facts, path) = split_line(line)?;
        Some(Self { mode: facts.next()?.to_owned(), id: facts.next()?.to_owned(), path })
    }
}

/// Parses one line of `ls-tree -lz`: mode, type, id and size, a tab, the path.
fn parse_sized_tree_line(line: &[u8]) -> Option<(String, SizedFile)> {
    // Submodules, and objects that a partial clone lacks, have no size (`-`).
    let size = split_line(line)?.0.nth(3)?.parse().unwrap_or(0);
    let ListedFile { mode, id, path } = ListedFile::from_tree_line(line)?;
    Some((mode, SizedFile { id, size, path }))
}

/// Splits a line into its fields and the path after the tab.
fn split_line(line: &[u8]) -> Option<(SplitAsciiWhitespace<'_>, RepoPath)> {
    let (facts, path) = line.split_at_checked(line.iter().position(|byte| *byte == b'\t')?)?;
    Some((str::from_utf8(facts).ok()?.split_ascii_whitespace(), RepoPath::from_bytes(path.get(1..)?)))
}

async fn request_blobs(stdin: Option<ChildStdin>, ids: String) {
    if let Some(mut stdin) = stdin {
        // Write errors are ignored: if git stops reading, its output ends early, and `write_received_blobs`
        // returns an error.
        let _ = stdin.write_all(ids.as_bytes()).await;
        let _ = stdin.shutdown().await;
    }
}

/// Reads the blobs in the requested order and writes them.
async fn write_received_blobs(
    stdout: Option<ChildStdout>,
    entries: &[SizedFile],
    dest: &Path,
    mut summary: ExportSummary,
) -> Result<ExportSummary, GitError> {
    let Some(stdout) = stdout else { return Err(unknown_output_error("cat-file", b"no answer")) };
    let mut answers = BufReader::with_capacity(MAX_BATCH_BYTES, stdout);
    let (mut batch, mut writing) = (WriteBatch::default(), None);
    for entry in entries {
        let content = match read_blob_header(&mut answers, entry).await? {
            None => None,
            Some(size) => {
                // The buffer also holds the line end after the content.
                let mut content = vec![0; size.saturating_add(1)];
                answers.read_exact(&mut content).await.map_err(lost_output_error)?;
                content.truncate(size);
                Some(content)
            }
        };
        batch.add(entry, content);
        if batch.is_full() {
            // The next batch is read while this batch is written.
            let next = std::mem::take(&mut batch).write(dest);
            summary.await_batch(writing.replace(next)).await?;
        }
    }
    summary.await_batch(writing).await?;
    summary.await_batch(Some(batch.write(dest))).await?;
    Ok(summary)
}

/// A batch of files that one thread writes.
#[derive(Default)]
struct WriteBatch {
    files: Vec<(RepoPath, Option<Vec<u8>>)>,
    bytes: usize,
}

/// The running task that writes a batch. The task returns each file with its size, or with `None` if the file
/// could not be written.
type WriteTask = JoinHandle<Result<Vec<(RepoPath, Option<usize>)>, GitError>>;

impl WriteBatch {
    /// Adds a file with its content; `content` is none if the repository lacks the content.
    fn add(&mut self, entry: &SizedFile, content: Option<Vec<u8>>) {
        self.bytes = self.bytes.saturating_add(content.as_ref().map_or(0, Vec::len));
        self.files.push((entry.path.clone(), content));
    }

    fn is_full(&self) -> bool {
        self.bytes >= MAX_BATCH_BYTES || self.files.len() >= MAX_BATCH_FILES
    }

    fn write(self, dest: &Path) -> WriteTask {
        let dest = dest.to_owned();
        let write = move |(path, content): (RepoPath, Option<Vec<u8>>)| {
            let Some(content) = content else { return Ok((path, None)) };
            let is_written = write_new_file_blocking(&dest, &path, &content)?;
            Ok((path, is_written.then_some(content.len())))
        };
        spawn_blocking(move || self.files.into_iter().map(write).collect())
    }
}

impl ExportSummary {
    /// Waits until a batch is written, and adds its files to the summary.
    async fn await_batch(&mut self, batch: Option<WriteTask>) -> Result<(), GitError> {
        let Some(batch) = batch else { return Ok(()) };
        for (path, size) in
            batch.await.map_err(|stopped| lost_output_error(std::io::Error::other(stopped)))??
        {
            match size {
                Some(size) => {
                    self.file_count = self.file_count.saturating_add(1);
                    self.bytes = self.bytes.saturating_add(u64::try_from(size).unwrap_or(u64::MAX));
                }
                None => self.add_omitted_file(path, SkipReason::Unreadable),
            }
        }
        Ok(())
    }
}

/// Reads the header of the next blob; none if the repository lacks the blob. The blob's size must equal the
/// size in the listing, for which the limits were checked.
async fn read_blob_header(
    answers: &mut BufReader<ChildStdout>,
    entry: &SizedFile,
) -> Result<Option<usize>, GitError> {
    let mut line = Vec::new();
    (&mut *answers).take(MAX_HEADER_BYTES).read_until(b'\n', &mut line).await.map_err(lost_output_error)?;
    let text = std::str::from_utf8(&line).unwrap_or_default().trim_end();
    if text == format!("{} missing", entry.id) {
        return Ok(None);
    }
    if text == format!("{} blob {}", entry.id, entry.size) {
        return usize::try_from(entry.size).map(Some).map_err(|_| unknown_output_error("cat-file", &line));
    }
    Err(unknown_output_error("cat-file", &line))
}

fn lost_output_error(source: std::io::Error) -> GitError {
    GitError::Io { failure: "cannot read the output of", path: PathBuf::from("git"), source }
}

async fn create_folder_tree(path: &Path) -> Result<(), GitError> {
    let made = tokio::fs::create_dir_all(path).await;
    made.map_err(|source| GitError::Io { failure: "cannot make", path: path.to_owned(), source })
}

/// Writes a new file below `dest`, a folder that Truing created. Returns false for a forbidden name (`.git`
/// in any spelling, `..`), or if the file system cannot store the file. For example, the file system may not
/// support names that differ only in case, or may not support long names.
///
/// # Errors
/// [`GitError::Io`] for other failures of writing.
#[truing_core::boxed_future]
pub async fn write_new_file(dest: &Path, path: &RepoPath, content: &[u8]) -> Result<bool, GitError> {
    let (dest, path, content) = (dest.to_owned(), path.clone(), content.to_owned());
    let written = spawn_blocking(move || write_new_file_blocking(&dest, &path, &content));
    written.await.unwrap_or_else(|stopped| Err(lost_output_error(std::io::Error::other(stopped))))
}

fn write_new_file_blocking(dest: &Path, path: &RepoPath, content: &[u8]) -> Result<bool, GitError> {
    if !path.is_safe_to_write() {
        return Ok(false);
    }
    let target = dest.join(OsStr::from_bytes(path.as_bytes()));
    let written = match std::fs::File::create_new(&target) {
        // The folder of the file does not exist yet, so it is created.
        Err(error) if error.kind() == ErrorKind::NotFound => target
            .parent()
            .map_or(Ok(()), std::fs::create_dir_all)
            .and_then(|()| std::fs::File::create_new(&target)),
        made => made,
    };
    match written.and_then(|mut file| file.write_all(content)) {
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
        Err(source) => Err(GitError::Io { failure: "cannot write", path: target, source }),
    }
}
