//! Compares the working tree, including new files, with a commit. Nothing in the repository changes.
//!
//! Truing copies the index. Git's `update-index` then updates the copy from the working tree, and never
//! enters submodules. Git then compares the commit's tree with the updated copy. All these calls run in the
//! private view.
//!
//! During the write, git's folder for new objects borrows from no other object store. If it borrowed the
//! repository's objects, git would update the file times of objects that already exist there. One exception
//! remains: reading a sparse index updates the file times of the repository's tree objects. No content ever
//! changes.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsStr;
use std::io::{ErrorKind, Read as _};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use truing_core::RepoPath;
use truing_core::id::Sha;
use truing_core::outcome::{CoverageGap, SkipReason};

use super::LocalRepository;
use super::special_files::refuse_special_files_in_worktree;
use super::worktree_listing::WorktreeListing;
use crate::command::GitCommand;
use crate::export::{ListedFile, split_listing};
use crate::isolated_git_dir::{IsolatedGitDir, create_object_store, unknown_output_error, write_alternates};
use crate::options::MAX_INDEX_BYTES;
use crate::{GitError, GitLimits, PrivateFolder};

/// Extension of a sparse index: its name and its length, which is 0 (gitformat-index).
const SPARSE_MARK: &[u8] = b"sdir\0\0\0\0";

/// Name of the attributes files, which determine how other files are converted to stored content.
const ATTRIBUTES_FILE_NAME: &str = ".gitattributes";

/// Setting for the conversion of line ends in files whose attributes do not determine the conversion.
const AUTOCRLF_KEY: &str = "core.autocrlf";

/// If more files than this look changed, the indexed content of these files is first copied as a pack into
/// the folder for new objects.
const MAX_UNPACKED_BLOBS: usize = 50;

/// Difference between a working tree and a commit.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct WorktreeDiff {
    /// Diff in git's own format, including new files that are not ignored.
    pub diff: Vec<u8>,
    /// Changed or new paths whose lines the diff omits, in path order. Each of these paths is over a limit,
    /// is unreadable, or is a nested repository. If git cannot open a folder, the folder is listed instead of
    /// its new files, whose names are unknown.
    pub skipped_files: Vec<CoverageGap>,
    /// New files that are skipped because they are over a limit, in path order. Each of these files is
    /// complete in the working tree.
    pub large_new_files: Vec<RepoPath>,
    /// Changed files whose content is read from the index instead of the working tree. These files are
    /// outside a sparse checkout, or are marked `skip-worktree` or `assume-unchanged`.
    pub changed_unchecked_paths: Vec<RepoPath>,
}

/// Current state of a path on disk.
enum DiskEntry {
    Absent,
    File(u64),
    /// A link or the folder of a submodule. The content of a link is the path of its target.
    LinkOrFolder,
    Unreadable,
}

/// Actions for the changed paths.
#[derive(Default)]
struct IndexUpdatePlan {
    /// Paths in the index that no longer exist.
    deleted: Vec<RepoPath>,
    /// Paths whose content git must read into the index.
    paths_to_read: Vec<RepoPath>,
    /// Indexed blobs of the tracked paths in `paths_to_read`.
    indexed_blobs: Vec<Vec<u8>>,
    /// True if an attributes file applies to at least one of the paths in `paths_to_read`.
    has_attributes: bool,
    /// Tracked files over the size limit that look changed, each with the id of its indexed blob. Their
    /// content may be unchanged.
    large_tracked_files: Vec<(RepoPath, Option<Vec<u8>>)>,
    /// Tracked files whose content is not read. Their entries are reset to the base, so the diff does not
    /// show old content from the index.
    paths_to_reset: Vec<RepoPath>,
    skipped_files: Vec<CoverageGap>,
    /// New files over a limit.
    large_new_files: Vec<RepoPath>,
}

impl IndexUpdatePlan {
    fn skip(&mut self, path: &RepoPath, reason: SkipReason) {
        self.skipped_files.push(CoverageGap { path: path.clone(), reason });
    }
}

impl LocalRepository {
    /// Returns the files of the working tree that are neither tracked nor ignored, as paths below its root.
    ///
    /// # Errors
    /// As [`LocalRepository::worktree_diff`].
    #[truing_core::boxed_future]
    pub async fn untracked_files(&self) -> Result<Vec<RepoPath>, GitError> {
        refuse_special_files_in_worktree(self.root()).await?;
        let WorktreeListing { untracked: new, .. } =
            ScratchIndex::from_repository(self.clone(), None).await?.list_paths().await?;
        // The path of a nested repository ends in `/`.
        Ok(new.into_iter().filter(|path| !path.as_bytes().ends_with(b"/")).collect())
    }

    /// Returns the tracked files that git does not check in the working tree. These files are outside a
    /// sparse checkout, or are marked `skip-worktree` or `assume-unchanged`. For these files, git uses the
    /// content in the index.
    ///
    /// # Errors
    /// As [`LocalRepository::worktree_diff`].
    #[truing_core::boxed_future]
    pub async fn unchecked_tracked_files(&self) -> Result<HashSet<RepoPath>, GitError> {
        refuse_special_files_in_worktree(self.root()).await?;
        Ok(ScratchIndex::from_repository(self.clone(), None).await?.list_paths().await?.unchecked_paths)
    }

    /// Returns the files of the working tree that are tracked or not ignored, as paths below its root.
    ///
    /// # Errors
    /// As [`LocalRepository::worktree_diff`].
    #[truing_core::boxed_future]
    pub async fn worktree_files(&self) -> Result<Vec<RepoPath>, GitError> {
        refuse_special_files_in_worktree(self.root()).await?;
        let WorktreeListing { tracked, untracked: new, .. } =
            ScratchIndex::from_repository(self.clone(), None).await?.list_paths().await?;
        Ok(tracked.into_iter().chain(new).collect())
    }

    /// Returns the difference between `base` (a commit or tree) and the working tree, including new files
    /// that are not ignored. If a file is staged, its content on disk is compared, not its staged content.
    ///
    /// # Errors
    /// As [`LocalRepository::diff`]. Also [`GitError::SpecialFile`] or [`GitError::HugeFile`] for an invalid
    /// pattern list, and [`GitError::CommandFailed`] if files change during the call.
    #[truing_core::boxed_future]
    pub async fn worktree_diff(&self, base: &Sha) -> Result<WorktreeDiff, GitError> {
        refuse_special_files_in_worktree(self.root()).await?;
        let work = ScratchIndex::from_repository(self.clone(), None).await?;
        let (mut changed, listing) = tokio::try_join!(work.changed_paths(), work.list_paths())?;
        let WorktreeListing { tracked: _, unchecked_paths: unseen, untracked: new, unreadable_folders } =
            listing;
        work.drop_unchanged_lfs(&mut changed).await?;
        let (root, limits) = (self.root().to_owned(), self.git.limits().clone());
        let planned = tokio::task::spawn_blocking(move || plan_index_update(&root, &limits, changed, new));
        let mut plan = planned.await.map_err(|stopped| GitError::Io {
            failure: "cannot read the files of",
            path: self.root().to_owned(),
            source: std::io::Error::other(stopped),
        })?;

        work.classify_large_files(&mut plan).await?;
        work.remove_entries(&plan.deleted).await?;
        work.add_changed_contents(&plan).await?;
        work.reset_to_base(base, &plan.paths_to_reset).await?;
        let sides = |call: GitCommand| work.with_scratch_index(call).args(["--cached", base.as_str(), "--"]);
        let WorktreeDiff { diff, skipped_files: skipped, large_new_files: large, .. } =
            self.isolated_dir.diff_sides(&work.object_store(), sides).await?;
        let unseen = work.changed_unchecked_files(base, unseen).await?;
        for folder in &unreadable_folders {
            plan.skip(folder, SkipReason::Unreadable);
        }
        plan.skipped_files.extend(skipped);
        plan.large_new_files.extend(large);
        plan.large_new_files.sort();
        plan.skipped_files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(WorktreeDiff {
            diff,
            skipped_files: plan.skipped_files,
            large_new_files: plan.large_new_files,
            changed_unchecked_paths: unseen,
        })
    }
}

/// Parses the paths of a listing in which NUL bytes separate the paths.
fn parse_paths(listing: &[u8]) -> Vec<RepoPath> {
    listing.split(|byte| *byte == 0).filter(|path| !path.is_empty()).map(RepoPath::from_bytes).collect()
}

/// A private copy of the index, and the git calls that use the copy.
#[derive(Debug)]
pub(super) struct ScratchIndex {
    pub(super) repository: LocalRepository,
    folder: PrivateFolder,
}

impl ScratchIndex {
    /// Copies the repository's index, or the index file `index` if it is given.
    pub(super) async fn from_repository(
        repository: LocalRepository,
        index: Option<&Path>,
    ) -> Result<Self, GitError> {
        let index = index.unwrap_or(&repository.layout.index).to_owned();
        let folder = repository.git.create_private_folder()?;
        let sparse =
            copy_index(&index, folder.path(), &repository.layout.git_dir, repository.isolated_dir.dir())?;
        create_object_store(folder.path())?;
        let work = Self { repository, folder };
        if sparse {
            // Git replaces each folder entry of a sparse index with entries for the folder's files. Git must
            // do this now, while it can still read the repository's trees.
            work.worktree_command("update-index").arg("--force-write-index").read_output().await?;
        }
        Ok(work)
    }

    /// Makes a call use the copied index.
    pub(super) fn with_scratch_index(&self, call: GitCommand) -> GitCommand {
        call.env("GIT_INDEX_FILE", self.folder.path().join("index"))
    }

    /// Prepares a call that reads the working tree. Attributes in the working tree determine the conversion
    /// of line ends. Attributes may also name programs, but the view does not configure any of these
    /// programs.
    pub(super) fn worktree_command(&self, name: &'static str) -> GitCommand {
        let call = self.with_scratch_index(self.repository.isolated_dir.command_with_attributes(name));
        let call = call.in_folder(self.repository.root()).env("GIT_WORK_TREE", self.repository.root());
        let call = call.config("core.fsync", "none");
        let settings = self.repository.settings.conversion_settings.iter();
        settings.fold(call, |call, (key, value)| call.config(key, value))
    }

    pub(super) fn root(&self) -> &Path {
        self.repository.root()
    }

    pub(super) fn isolated_dir(&self) -> &IsolatedGitDir {
        &self.repository.isolated_dir
    }

    pub(super) fn max_listing_bytes(&self) -> usize {
        self.repository.git.limits().listing_bytes
    }

    /// Returns the tracked paths that differ, or seem to differ, from the index.
    async fn changed_paths(&self) -> Result<BTreeMap<RepoPath, ChangedPath>, GitError> {
        // With `dirty`, git compares the HEAD of a submodule, but not the submodule's working tree.
        let flags = ["--raw", "-z", "--no-abbrev", "--no-renames", "--ignore-submodules=dirty"];
        let listing = self
            .worktree_command("diff-files")
            .args(flags)
            .max_output(self.max_listing_bytes())
            .read_output()
            .await?;
        parse_changed_paths(&listing)
            .collect::<Option<_>>()
            .ok_or_else(|| unknown_output_error("diff-files", &listing))
    }

    /// Returns the paths that git does not check in the working tree, if their index entry differs from
    /// `base`.
    async fn changed_unchecked_files(
        &self,
        base: &Sha,
        unchecked: HashSet<RepoPath>,
    ) -> Result<Vec<RepoPath>, GitError> {
        if unchecked.is_empty() {
            return Ok(Vec::new());
        }
        let flags = ["--cached", "--name-only", "-z", "--no-renames", base.as_str(), "--"];
        let call = self.with_scratch_index(self.repository.isolated_dir.command("diff-index")).args(flags);
        let mut changed = parse_paths(&call.max_output(self.max_listing_bytes()).read_output().await?);
        changed.retain(|path| unchecked.contains(path));
        Ok(changed)
    }

    /// Compares each large tracked file with its indexed content. If the content is equal, the file counts as
    /// unchanged; otherwise, the file is skipped.
    async fn classify_large_files(&self, plan: &mut IndexUpdatePlan) -> Result<(), GitError> {
        if plan.large_tracked_files.is_empty() {
            return Ok(());
        }
        // With `--stdin-paths`, git reads one path from each line. A path with special characters is written
        // in quotes, which git accepts.
        let names = plan.large_tracked_files.iter().map(|(path, _)| format!("{path}\n")).collect::<String>();
        let call = self.worktree_command("hash-object").arg("--stdin-paths").with_input(names.into_bytes());
        let answer = call.max_output(self.max_listing_bytes()).read_output().await?;
        let ids = answer.split(|byte| *byte == b'\n').filter(|id| !id.is_empty()).collect::<Vec<_>>();
        if ids.len() != plan.large_tracked_files.len() {
            return Err(unknown_output_error("hash-object", &answer));
        }
        for ((path, was), is) in std::mem::take(&mut plan.large_tracked_files).into_iter().zip(ids) {
            if was.as_deref() != Some(is) {
                plan.skip(&path, SkipReason::TooLarge);
                plan.paths_to_reset.push(path);
            }
        }
        Ok(())
    }

    async fn remove_entries(&self, paths: &[RepoPath]) -> Result<(), GitError> {
        let zero = self.null_id();
        self.set_entries(paths.iter().flat_map(|path| index_info_line(b"0", zero.as_bytes(), path)).collect())
            .await
    }

    /// Makes a call write objects to the folder for new objects.
    fn with_object_store(&self, call: GitCommand) -> GitCommand {
        call.env("GIT_OBJECT_DIRECTORY", self.object_store())
    }

    /// Returns the folder of new objects.
    fn object_store(&self) -> PathBuf {
        self.folder.path().join("objects")
    }

    /// Reads the content of the changed paths into the index.
    async fn add_changed_contents(&self, plan: &IndexUpdatePlan) -> Result<(), GitError> {
        // For the automatic conversion of line ends, git needs the indexed content: if that content contains
        // CRLF, git does not convert the file.
        let by_setting =
            self.repository.settings.conversion_settings.iter().any(|(key, _)| key == AUTOCRLF_KEY);
        // If many files look changed, usually only the times of most of these files have changed. If the
        // folder for new objects already contains the content of a file, git does not write this content
        // again.
        if !plan.indexed_blobs.is_empty()
            && (by_setting || plan.has_attributes || plan.indexed_blobs.len() > MAX_UNPACKED_BLOBS)
        {
            let ids = plan.indexed_blobs.iter().flat_map(|id| id.iter().copied().chain([b'\n'])).collect();
            let call = self.repository.isolated_dir.command("pack-objects").args(["--quiet", "--window=0"]);
            call.arg(self.folder.path().join("objects/pack/pack")).with_input(ids).read_output().await?;
        }
        if !plan.paths_to_read.is_empty() {
            self.add_files_to_index(&plan.paths_to_read).await?;
        }
        // All new objects are written, so the folder may now borrow the repository's objects.
        write_alternates(self.folder.path(), &self.repository.isolated_dir.dir().join("objects"))
    }

    async fn add_files_to_index(&self, paths: &[RepoPath]) -> Result<(), GitError> {
        let names = paths.iter().flat_map(|path| path.as_bytes().iter().copied().chain([0])).collect();
        let call = self.with_object_store(self.worktree_command("update-index"));
        let call = call.args(["--add", "--remove", "--replace", "-z", "--stdin"]);
        call.with_input(names).read_output().await.map(drop)
    }

    /// Resets the index entries of these paths to their version in `base`, which removes the paths from the
    /// diff.
    pub(super) async fn reset_to_base(&self, base: &Sha, paths: &[RepoPath]) -> Result<(), GitError> {
        if paths.is_empty() {
            return Ok(());
        }
        let call =
            self.repository.isolated_dir.command("ls-tree").args(["-r", "-z", "--full-tree", base.as_str()]);
        let listing = call.max_output(self.max_listing_bytes()).read_output().await?;
        let entries = split_listing(&listing)
            .filter_map(ListedFile::from_tree_line)
            .map(|entry| (entry.path, (entry.mode, entry.id)));
        let entries = entries.collect::<HashMap<_, _>>();
        let zero = self.null_id();
        let line = |path: &RepoPath| {
            let (mode, id) = entries.get(path).map_or(("0", zero.as_str()), |(mode, id)| (mode, id));
            index_info_line(mode.as_bytes(), id.as_bytes(), path)
        };
        self.set_entries(paths.iter().flat_map(line).collect()).await
    }

    /// Sets index entries in the format of `update-index --index-info`.
    async fn set_entries(&self, lines: Vec<u8>) -> Result<(), GitError> {
        if lines.is_empty() {
            return Ok(());
        }
        let call = self.worktree_command("update-index").args(["--replace", "-z", "--index-info"]);
        call.with_input(lines).read_output().await.map(drop)
    }

    /// Returns git's null id.
    fn null_id(&self) -> String {
        "0".repeat(self.repository.isolated_dir.object_format().empty_tree().len())
    }
}

/// The difference of a tracked path from the index.
pub(super) struct ChangedPath {
    /// Blob in the index; none for a submodule, and for a path in conflict.
    pub(super) blob: Option<Vec<u8>>,
    /// True if the file no longer exists.
    pub(super) is_deleted: bool,
    /// True if Git LFS stores the file's content and the content has changed.
    pub(super) is_changed_lfs_file: bool,
}

/// Parses entries of `--raw -z --no-renames`: `:MODE MODE ID ID LETTER`, NUL, path, NUL. If an entry has
/// another format, the iterator returns `None` in its place.
fn parse_changed_paths(listing: &[u8]) -> impl Iterator<Item = Option<(RepoPath, ChangedPath)>> {
    let mut fields = listing.strip_suffix(b"\0").unwrap_or(listing).split(|byte| *byte == 0);
    std::iter::from_fn(move || {
        let facts = fields.next().filter(|facts| !facts.is_empty())?;
        let path = fields.next();
        Some(path.and_then(|path| {
            let mut facts = facts.strip_prefix(b":")?.split(|byte| *byte == b' ');
            let (mode, id, letter) = (facts.next()?, facts.nth(1)?, facts.nth(1)?);
            let blob = mode != b"160000" && id.iter().any(|digit| *digit != b'0');
            let changed = ChangedPath {
                blob: blob.then(|| id.to_owned()),
                is_deleted: letter == b"D",
                is_changed_lfs_file: false,
            };
            Some((RepoPath::from_bytes(path), changed))
        }))
    })
}

fn index_info_line(mode: &[u8], id: &[u8], path: &RepoPath) -> Vec<u8> {
    [mode, b" ", id, b"\t", path.as_bytes(), b"\0"].concat()
}

/// Checks each path on disk, and decides how the path is treated.
fn plan_index_update(
    root: &Path,
    limits: &GitLimits,
    changed_paths: BTreeMap<RepoPath, ChangedPath>,
    untracked_paths: Vec<RepoPath>,
) -> IndexUpdatePlan {
    let mut plan = IndexUpdatePlan::default();
    for (path, changed_paths) in changed_paths {
        match inspect_path(root, &path) {
            _ if changed_paths.is_deleted => plan.deleted.push(path),
            DiskEntry::Absent => plan.deleted.push(path),
            _ if changed_paths.is_changed_lfs_file => {
                plan.skip(&path, SkipReason::Lfs);
                plan.paths_to_reset.push(path);
            }
            DiskEntry::File(size) if size > limits.file_bytes => {
                plan.large_tracked_files.push((path, changed_paths.blob));
            }
            DiskEntry::File(_) | DiskEntry::LinkOrFolder => {
                plan.paths_to_read.push(path);
                plan.indexed_blobs.extend(changed_paths.blob);
            }
            DiskEntry::Unreadable => {
                plan.skip(&path, SkipReason::Unreadable);
                plan.paths_to_reset.push(path);
            }
        }
    }
    let mut total = 0_u64;
    for path in untracked_paths {
        if path.as_bytes().ends_with(b"/") {
            plan.skip(&path, SkipReason::Submodule);
            continue;
        }
        match inspect_path(root, &path) {
            _ if !path.is_safe_to_write() => plan.skip(&path, SkipReason::Unreadable),
            DiskEntry::Absent => {}
            DiskEntry::File(size)
                if size > limits.file_bytes || total.saturating_add(size) > limits.total_bytes =>
            {
                plan.skip(&path, SkipReason::TooLarge);
                plan.large_new_files.push(path);
            }
            DiskEntry::File(size) => {
                total = total.saturating_add(size);
                plan.paths_to_read.push(path);
            }
            DiskEntry::LinkOrFolder => plan.paths_to_read.push(path),
            DiskEntry::Unreadable => plan.skip(&path, SkipReason::Unreadable),
        }
    }
    plan.has_attributes = has_attributes_file(root, &plan.paths_to_read);
    plan
}

/// Returns true if the folder of one of these paths, or a folder above it, contains an attributes file.
pub(super) fn has_attributes_file(root: &Path, paths: &[RepoPath]) -> bool {
    let mut seen = HashSet::new();
    let folders = |path| Path::new(OsStr::from_bytes(RepoPath::as_bytes(path))).ancestors().skip(1);
    let mut new = paths
        .iter()
        .flat_map(|path| folders(path).take_while(|folder| seen.insert(*folder)).collect::<Vec<_>>());
    new.any(|folder| root.join(folder).join(ATTRIBUTES_FILE_NAME).symlink_metadata().is_ok())
}

/// Returns the location of a path in the working tree.
pub(super) fn disk_path(root: &Path, path: &RepoPath) -> PathBuf {
    root.join(OsStr::from_bytes(path.as_bytes()))
}

fn inspect_path(root: &Path, path: &RepoPath) -> DiskEntry {
    let path = disk_path(root, path);
    match std::fs::symlink_metadata(&path) {
        Ok(found) if found.is_symlink() || found.is_dir() => DiskEntry::LinkOrFolder,
        Ok(found) if found.is_file() => match std::fs::File::open(&path) {
            Ok(_) => DiskEntry::File(found.len()),
            Err(_) => DiskEntry::Unreadable,
        },
        // The path is a pipe, a socket or a device.
        Ok(_) => DiskEntry::Unreadable,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            DiskEntry::Absent
        }
        Err(_) => DiskEntry::Unreadable,
    }
}

/// Copies the index with its file time, because git checks the content of files that are not older than the
/// index. The shared files of a split index are copied to `view`, because git searches for them in the git
/// folder. Returns true if the index may be sparse.
fn copy_index(
    index: &Path,
    target_folder: &Path,
    git_dir: &Path,
    view_folder: &Path,
) -> Result<bool, GitError> {
    let failed = |source| GitError::Io { failure: "cannot copy", path: index.to_owned(), source };
    let bytes = match read_index(index) {
        // If there is no index, git treats every file as new, and the resulting diff is the same.
        Err(GitError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => return Ok(false),
        found => found?,
    };
    let set_time = |copy: &Path| {
        let time = std::fs::metadata(index)?.modified()?;
        std::fs::write(copy, &bytes)?;
        std::fs::File::options().write(true).open(copy)?.set_modified(time)
    };
    set_time(&target_folder.join("index")).map_err(failed)?;
    for entry in std::fs::read_dir(git_dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_name().as_bytes().starts_with(b"sharedindex.") {
            let shared = read_index(&entry.path())?;
            std::fs::write(view_folder.join(entry.file_name()), shared).map_err(failed)?;
        }
    }
    Ok(bytes.windows(SPARSE_MARK.len()).any(|part| part == SPARSE_MARK))
}

/// Reads a complete index file of limited size. Without the limit, copying a sparse file (a file with holes)
/// could fill our disk, although it takes no space in the repository.
fn read_index(path: &Path) -> Result<Vec<u8>, GitError> {
    let failed = |source| GitError::Io { failure: "cannot copy", path: path.to_owned(), source };
    let file = std::fs::File::open(path).map_err(failed)?;
    let bytes = file.metadata().map_err(failed)?.len();
    if bytes > MAX_INDEX_BYTES {
        return Err(GitError::HugeFile { path: path.to_owned(), bytes, limit: MAX_INDEX_BYTES });
    }
    let mut read = Vec::new();
    // The file may grow while it is read, so the limit also applies to the read.
    file.take(MAX_INDEX_BYTES).read_to_end(&mut read).map_err(failed)?;
    Ok(read)
}
