//! Creates diffs whose cost is bounded before git computes them.
//!
//! Git loads a whole file to compute its diff, to detect a rename, and even to classify a new file as binary.
//! So git must not load large files. Instead, git compares two reduced trees that contain only the changed
//! files, with a small binary placeholder for each large blob. Equal blobs have equal placeholders. The diff
//! therefore still shows the status of every file, and shows a moved large file as moved.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use tokio::io::AsyncReadExt as _;
use truing_core::RepoPath;
use truing_core::id::Sha;
use truing_core::outcome::{CoverageGap, SkipReason};

use crate::command::GitCommand;
use crate::export::split_listing;
use crate::isolated_git_dir::{
    CommitDiff, IsolatedGitDir, create_object_store, parse_sha, unknown_output_error, write_alternates,
};
use crate::{GitError, PrivateFolder, WorktreeDiff};

/// Flags that list the changed files without reading their content.
const RAW_FLAGS: &[&str] = &[
    "--raw",
    "-z",
    "--no-abbrev",
    "--no-renames",
    "--no-ext-diff",
    "--no-textconv",
    "--submodule=short",
    "--ignore-submodules=none",
];

/// File mode of a submodule.
const GITLINK_MODE: &str = "160000";
/// File mode of a symbolic link.
const SYMLINK_MODE: &str = "120000";

/// Environment variable with the path of the object store.
const OBJECT_STORE_VARIABLE: &str = "GIT_OBJECT_DIRECTORY";

/// Number of bytes at the beginning of a blob that git checks for binary content.
const PROBE_BYTES: u64 = 8000;
/// Maximum number of large files that are probed for binary content. Large files beyond this number count as
/// text.
const MAX_PROBES: usize = 200;
/// Maximum size of a file's section in the diff without its lines and its path, in bytes.
const MAX_SECTION_HEADER_BYTES: u64 = 500;

/// The old or the new version of a changed file.
#[derive(Debug)]
struct FileSide {
    mode: String,
    id: String,
    size: u64,
}

impl FileSide {
    /// Returns `None` if the file does not exist on this side.
    fn new(mode: &str, id: &str) -> Option<Self> {
        let is_there = mode.bytes().any(|digit| digit != b'0') && id.bytes().any(|digit| digit != b'0');
        is_there.then(|| Self { mode: mode.to_owned(), id: id.to_owned(), size: 0 })
    }

    fn is_submodule(&self) -> bool {
        self.mode == GITLINK_MODE
    }
}

/// A path that differs between the two sides.
#[derive(Debug)]
struct ChangedFile {
    path: RepoPath,
    old: Option<FileSide>,
    new: Option<FileSide>,
}

impl ChangedFile {
    fn from_raw_entry(entry_header: &[u8], path: &[u8]) -> Option<Self> {
        let facts = std::str::from_utf8(entry_header.strip_prefix(b":")?).ok()?;
        let mut facts = facts.split(' ');
        let (old_mode, new_mode, old, new) = (facts.next()?, facts.next()?, facts.next()?, facts.next()?);
        Some(Self {
            path: RepoPath::from_bytes(path),
            old: FileSide::new(old_mode, old),
            new: FileSide::new(new_mode, new),
        })
    }

    fn blobs(&self) -> impl Iterator<Item = &FileSide> {
        self.old.iter().chain(&self.new)
    }

    /// Returns true if both sides have the same blob.
    fn has_same_blob(&self) -> bool {
        self.old.as_ref().zip(self.new.as_ref()).is_some_and(|(old, new)| old.id == new.id)
    }

    /// Returns the size of the larger of the two blobs; 0 if both sides have the same blob, which git need
    /// not load.
    fn max_loaded_size(&self) -> u64 {
        if self.has_same_blob() { 0 } else { self.blobs().map(|blob| blob.size).max().unwrap_or(0) }
    }

    /// Estimates an upper bound for the size of the file's section in the diff.
    fn max_section_bytes(&self) -> u64 {
        let sides = if self.has_same_blob() { 0 } else { self.blobs().map(|blob| blob.size).sum() };
        let name = u64::try_from(self.path.as_bytes().len()).unwrap_or(u64::MAX);
        sides.saturating_add(name.saturating_mul(4)).saturating_add(MAX_SECTION_HEADER_BYTES)
    }

    /// Returns true if git permits this path in an index.
    fn has_safe_path(&self) -> bool {
        let name = self.path.as_bytes().rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        let is_link = self.blobs().any(|blob| blob.mode == SYMLINK_MODE);
        self.path.is_safe_to_write() && !(is_link && name.eq_ignore_ascii_case(b".gitmodules"))
    }
}

impl IsolatedGitDir {
    /// Returns the diff between two commits or trees.
    pub(crate) async fn diff(&self, base: &Sha, head: &Sha) -> Result<CommitDiff, GitError> {
        let sides = |call: GitCommand| call.arg(base.as_str()).arg(head.as_str()).arg("--");
        let WorktreeDiff { diff, skipped_files: skipped, .. } =
            self.diff_sides(&self.object_store(), sides).await?;
        Ok(CommitDiff { diff, skipped_files: skipped })
    }

    /// Returns the diff between the two sides that `add_sides` adds to a git call. The object store `store`
    /// contains the objects of both sides. The lines of files over [`crate::GitLimits::file_bytes`] are
    /// omitted. If the diff still exceeds [`crate::GitLimits::diff_bytes`], the lines of deleted files are
    /// omitted, and then the lines of the largest files. The result lists the text files whose lines are
    /// omitted.
    pub(crate) async fn diff_sides(
        &self,
        store: &Path,
        add_sides: impl Fn(GitCommand) -> GitCommand + Send + Sync,
    ) -> Result<WorktreeDiff, GitError> {
        let limits = self.git().limits();
        let listing = add_sides(self.command("diff").args(RAW_FLAGS).max_output(limits.listing_bytes))
            .env(OBJECT_STORE_VARIABLE, store)
            .read_output();
        let mut pairs = parse_changed_files(&listing.await?)?;
        if pairs.is_empty() {
            return Ok(WorktreeDiff::default());
        }
        self.load_blob_sizes(store, &mut pairs).await?;
        pairs.sort_by_key(ChangedFile::max_loaded_size);
        let mut shown = pairs.partition_point(|pair| pair.max_loaded_size() <= limits.file_bytes);
        let mut has_deleted = true;
        loop {
            let made = if shown == pairs.len() {
                add_sides(self.diff_command())
                    .env(OBJECT_STORE_VARIABLE, store)
                    .read_output()
                    .await
                    .map(|diff| (diff, Vec::new()))
            } else {
                self.diff_with_placeholders(store, &pairs, shown).await
            };
            match made {
                // Lines of deleted files are omitted first, because nothing reads them later.
                Err(GitError::TooLarge { .. }) if std::mem::take(&mut has_deleted) => {
                    let is_large = |pair: &ChangedFile| pair.max_loaded_size() > limits.file_bytes;
                    pairs.sort_by_key(|pair| (is_large(pair), pair.new.is_none(), pair.max_loaded_size()));
                    shown = pairs.partition_point(|pair| !is_large(pair) && pair.new.is_some());
                }
                Err(GitError::TooLarge { .. }) if shown > 0 => shown = count_within_half_size(&pairs, shown),
                Err(error) => return Err(error),
                Ok((diff, mut skipped)) => {
                    let texts = self.find_omitted_text_files(store, &pairs, shown).await;
                    let new = texts.iter().filter(|pair| pair.old.is_none());
                    let mut large: Vec<RepoPath> = new.map(|pair| pair.path.clone()).collect();
                    large.sort();
                    let gap = |pair: &&ChangedFile| CoverageGap {
                        path: pair.path.clone(),
                        reason: SkipReason::TooLarge,
                    };
                    skipped.extend(texts.iter().map(gap));
                    skipped.sort_by(|a, b| a.path.cmp(&b.path));
                    return Ok(WorktreeDiff {
                        diff,
                        skipped_files: skipped,
                        large_new_files: large,
                        changed_unchecked_paths: vec![],
                    });
                }
            }
        }
    }

    /// Queries the size of each blob. A missing blob gets the size 0; git reports the missing blob when it
    /// computes the diff.
    async fn load_blob_sizes(&self, store: &Path, changed_files: &mut [ChangedFile]) -> Result<(), GitError> {
        let ids: Vec<String> = {
            let blobs = changed_files.iter().flat_map(ChangedFile::blobs).filter(|blob| !blob.is_submodule());
            blobs.map(|blob| blob.id.clone()).collect()
        };
        if ids.is_empty() {
            return Ok(());
        }
        let asked = ids.iter().map(|id| format!("{id}\n")).collect::<String>();
        let call =
            self.command("cat-file").arg("--batch-check=%(objectsize)").env(OBJECT_STORE_VARIABLE, store);
        let call = call.with_input(asked.into_bytes()).max_output(self.git().limits().listing_bytes);
        let response = call.read_output().await?;
        let text = String::from_utf8_lossy(&response);
        let sizes: Vec<u64> = text.lines().map(|line| line.parse().unwrap_or(0)).collect();
        if sizes.len() != ids.len() {
            return Err(unknown_output_error("cat-file", &response));
        }
        let sizes: HashMap<&String, u64> = ids.iter().zip(sizes).collect();
        for blob in changed_files.iter_mut().flat_map(|pair| pair.old.iter_mut().chain(&mut pair.new)) {
            blob.size = sizes.get(&blob.id).copied().unwrap_or(0);
        }
        Ok(())
    }

    /// Returns the diff with the lines of only the first `shown_count` files, and the list of files that the
    /// diff omits entirely.
    async fn diff_with_placeholders(
        &self,
        store: &Path,
        changed_files: &[ChangedFile],
        shown_count: usize,
    ) -> Result<(Vec<u8>, Vec<CoverageGap>), GitError> {
        let folder = self.git().create_private_folder()?;
        create_object_store(folder.path())?;
        write_alternates(folder.path(), store)?;
        let marked = changed_files.get(shown_count..).unwrap_or_default();
        let placeholders = self.write_placeholders(&folder, marked).await?;
        let mut skipped = Vec::new();
        let (mut old, mut new) = (Vec::new(), Vec::new());
        for (number, pair) in changed_files.iter().enumerate() {
            if !pair.has_safe_path() {
                if pair.new.is_some() {
                    skipped.push(CoverageGap { path: pair.path.clone(), reason: SkipReason::Unreadable });
                }
                continue;
            }
            let line = |blob: &FileSide| {
                let mark = placeholders.get(&blob.id).filter(|_| number >= shown_count);
                let id = mark.unwrap_or(&blob.id);
                [blob.mode.as_bytes(), b" ", id.as_bytes(), b"\t", pair.path.as_bytes(), b"\0"].concat()
            };
            old.extend(pair.old.iter().flat_map(line));
            new.extend(pair.new.iter().flat_map(line));
        }
        let old = self.write_tree(&folder, "old", old).await?;
        let new = self.write_tree(&folder, "new", new).await?;
        let call =
            with_object_store(self.diff_command(), &folder).arg(old.as_str()).arg(new.as_str()).arg("--");
        Ok((call.read_output().await?, skipped))
    }

    /// Writes a placeholder for each blob of the given files. Returns a map from the blob's id to the id of
    /// its placeholder.
    async fn write_placeholders(
        &self,
        folder: &PrivateFolder,
        changed_files: &[ChangedFile],
    ) -> Result<BTreeMap<String, String>, GitError> {
        let blobs = changed_files.iter().flat_map(ChangedFile::blobs).filter(|blob| !blob.is_submodule());
        let mut ids: Vec<String> = blobs.map(|blob| blob.id.clone()).collect();
        ids.sort();
        ids.dedup();
        if ids.is_empty() {
            return Ok(BTreeMap::new());
        }
        let path = folder.path().join("marks");
        let (place, texts) = (path.clone(), ids.clone());
        let written = tokio::task::spawn_blocking(move || {
            std::fs::create_dir(&place)?;
            let mut texts = texts.iter().enumerate();
            texts.try_for_each(|(number, id)| {
                std::fs::write(place.join(number.to_string()), format!("\0{id}\n"))
            })
        });
        let written = written.await.unwrap_or_else(|stopped| Err(std::io::Error::other(stopped)));
        written.map_err(|source| GitError::Io { failure: "cannot write", path: path.clone(), source })?;
        let names = (0..ids.len()).map(|number| format!("{number}\n")).collect::<String>();
        let call = with_object_store(self.command("hash-object"), folder).in_folder(&path);
        let call = call.args(["-w", "--no-filters", "--stdin-paths"]).with_input(names.into_bytes());
        let answer = call.max_output(self.git().limits().listing_bytes).read_output().await?;
        let text = String::from_utf8_lossy(&answer);
        let marks: Vec<String> = text.lines().map(str::to_owned).collect();
        if marks.len() != ids.len() {
            return Err(unknown_output_error("hash-object", &answer));
        }
        Ok(ids.into_iter().zip(marks).collect())
    }

    /// Writes a tree from these index entries.
    async fn write_tree(
        &self,
        folder: &PrivateFolder,
        index: &str,
        entries: Vec<u8>,
    ) -> Result<Sha, GitError> {
        let index = folder.path().join(index);
        let call = |name| with_object_store(self.command(name), folder).env("GIT_INDEX_FILE", &index);
        if !entries.is_empty() {
            // Names that are special on other systems do no harm, because nothing is checked out.
            let call = call("update-index").config("core.protectNTFS", "false");
            let call = call.config("core.protectHFS", "false").args(["-z", "--index-info"]);
            call.with_input(entries).read_output().await?;
        }
        parse_sha("write-tree", &call("write-tree").arg("--missing-ok").read_output().await?)
    }

    /// Returns the text files after the first `shown_count` files whose content has changed and is not the
    /// content of a deleted file. Moved files are not returned. The diff shows the returned files as binary.
    async fn find_omitted_text_files<'a>(
        &self,
        store: &Path,
        changed_files: &'a [ChangedFile],
        shown_count: usize,
    ) -> Vec<&'a ChangedFile> {
        let gone = changed_files.iter().filter(|pair| pair.new.is_none()).flat_map(|pair| &pair.old);
        let gone: HashSet<&String> = gone.map(|blob| &blob.id).collect();
        let mut texts = Vec::new();
        let mut probes = 0;
        for pair in changed_files.get(shown_count..).unwrap_or_default() {
            let is_other = |new: &FileSide| !new.is_submodule() && !gone.contains(&new.id);
            if pair.has_same_blob() || !pair.new.as_ref().is_some_and(is_other) || !pair.has_safe_path() {
                continue;
            }
            // A file whose old version is large text counts as text even if its new version is binary:
            // otherwise, a NUL byte would hide the file from the rules.
            let mut is_binary = false;
            let first = pair.blobs().find(|blob| blob.size > self.git().limits().file_bytes);
            if let Some(blob) = first.filter(|_| probes < MAX_PROBES) {
                probes += 1;
                is_binary = self.is_binary_blob(store, &blob.id).await;
            }
            if !is_binary {
                texts.push(pair);
            }
        }
        texts
    }

    /// Returns true if git considers this blob binary. A blob that cannot be read within the limits counts as
    /// text.
    async fn is_binary_blob(&self, store: &Path, id: &str) -> bool {
        // With this threshold, git streams a larger blob in pieces, unless the blob is stored as a delta.
        let call = self.command("cat-file").args(["blob", id]).env(OBJECT_STORE_VARIABLE, store);
        let Ok(mut running) = call.config("core.bigFileThreshold", "1m").spawn(false) else { return false };
        let Some(stdout) = running.stdout.take() else { return false };
        let mut begin = Vec::new();
        let mut stdout = stdout.take(PROBE_BYTES);
        let time = self.git().limits().local_timeout;
        let read = tokio::time::timeout(time, stdout.read_to_end(&mut begin)).await;
        matches!(read, Ok(Ok(_))) && begin.contains(&0)
    }
}

/// Lets a call write to the object store of this folder. The objects are not synced to disk, because they
/// need not survive a power failure.
fn with_object_store(call: GitCommand, folder: &PrivateFolder) -> GitCommand {
    call.env(OBJECT_STORE_VARIABLE, folder.path().join("objects")).config("core.fsync", "none")
}

/// Parses the changed files in the output of `git diff --raw`.
fn parse_changed_files(listing: &[u8]) -> Result<Vec<ChangedFile>, GitError> {
    let mut fields = split_listing(listing);
    let mut pairs = Vec::new();
    while let Some(facts) = fields.next() {
        let pair = fields.next().and_then(|path| ChangedFile::from_raw_entry(facts, path));
        pairs.push(pair.ok_or_else(|| unknown_output_error("diff", facts))?);
    }
    Ok(pairs)
}

/// Drops files from the end of the first `shown_count` files until at most half of the estimated size is
/// left. Returns the number of files left.
fn count_within_half_size(changed_files: &[ChangedFile], shown_count: usize) -> usize {
    let first = changed_files.get(..shown_count).unwrap_or_default();
    let whole = first.iter().fold(0_u64, |sum, pair| sum.saturating_add(pair.max_section_bytes()));
    let mut left = whole;
    let mut count = shown_count;
    for pair in first.iter().rev() {
        left = left.saturating_sub(pair.max_section_bytes());
        count -= 1;
        if left <= whole / 2 {
            break;
        }
    }
    count
}
