//! Which files of the tree a model may see.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use ignore::WalkBuilder;
use truing_diff::RepoPath;

use super::ToolCallError;
use super::page::visible;

/// The most files of a tree that are known; an export has no more.
const MAX_FILES: usize = 200_000;
/// How many files of the same name are suggested for one that is not there.
const MAX_NEAR: usize = 5;

/// The regular files below the root, none of them git's, by path.
pub(super) struct FileIndex {
    files: Vec<RepoPath>,
    is_cut: bool,
}

/// A file or a folder that was asked for.
pub(super) enum PathKind {
    /// The files below it; of the root all.
    Folder,
    /// One file.
    File,
}

/// The regular files below a folder, without git's own.
fn walk(root: &Path) -> Vec<RepoPath> {
    let mut walk = WalkBuilder::new(root);
    walk.standard_filters(false).follow_links(false);
    walk.filter_entry(|entry| {
        let name = RepoPath::from_bytes(entry.file_name().as_bytes());
        entry.depth() == 0 || name.may_be_written()
    });
    let is_file = |entry: &ignore::DirEntry| entry.file_type().is_some_and(|kind| kind.is_file());
    let walked = walk.build().filter_map(Result::ok).filter(is_file);
    let below = walked.filter_map(|entry| {
        let below = entry.path().strip_prefix(root).ok()?;
        Some(RepoPath::from_bytes(below.as_os_str().as_bytes()))
    });
    below.take(MAX_FILES + 1).collect()
}

fn is_regular_file(root: &Path, path: &RepoPath) -> bool {
    let file = root.join(OsStr::from_bytes(path.as_bytes()));
    path.may_be_written() && file.symlink_metadata().is_ok_and(|found| found.is_file())
}

impl FileIndex {
    /// Walks the tree, or looks for `only` these files, and adds `always`; no link is followed.
    pub(super) fn of(root: &Path, only: Option<&[RepoPath]>, always: &[RepoPath]) -> Self {
        let mut files = match only {
            Some(paths) => paths.iter().filter(|path| is_regular_file(root, path)).cloned().collect(),
            None => walk(root),
        };
        let is_cut = files.len() > MAX_FILES;
        files.truncate(MAX_FILES);
        files.extend(always.iter().filter(|path| path.may_be_written()).cloned());
        files.sort();
        files.dedup();
        Self { files, is_cut }
    }

    /// A path as a model writes it: `./` before it and `/` behind it are allowed. The root is the empty path.
    pub(super) fn path(given: Option<&str>) -> Result<RepoPath, ToolCallError> {
        let given = given.unwrap_or_default();
        let mut text = given.trim_end_matches('/');
        while let Some(rest) = text.strip_prefix("./") {
            text = rest;
        }
        let path = RepoPath::from_text(if text == "." { "" } else { text });
        let is_root = path.as_bytes().is_empty() && !given.starts_with('/');
        if is_root || path.may_be_written() {
            Ok(path)
        } else {
            Err(ToolCallError::NotAPath(given.to_owned()))
        }
    }

    /// The path of a file that is there.
    pub(super) fn file(&self, given: &str) -> Result<RepoPath, ToolCallError> {
        let path = Self::path(Some(given))?;
        match self.place(&path) {
            Some(PathKind::File) => Ok(path),
            Some(PathKind::Folder) => Err(ToolCallError::IsAFolder(path)),
            None => {
                let near = self.near(&path);
                Err(ToolCallError::NoSuchFile { path, near })
            }
        }
    }

    /// What is at a path.
    pub(super) fn place(&self, path: &RepoPath) -> Option<PathKind> {
        if self.files.binary_search(path).is_ok() {
            return Some(PathKind::File);
        }
        (path.as_bytes().is_empty() || !self.below(path).is_empty()).then_some(PathKind::Folder)
    }

    /// The files in a folder and its folders.
    pub(super) fn below(&self, folder: &RepoPath) -> &[RepoPath] {
        if folder.as_bytes().is_empty() {
            return &self.files;
        }
        let prefix = [folder.as_bytes(), b"/"].concat();
        let start = self.files.partition_point(|file| file.as_bytes() < prefix.as_slice());
        let rest = self.files.get(start..).unwrap_or_default();
        let count = rest.partition_point(|file| file.as_bytes().starts_with(&prefix));
        rest.get(..count).unwrap_or_default()
    }

    /// The files at a place: of a folder all in it.
    pub(super) fn at(&self, given: Option<&str>) -> Result<&[RepoPath], ToolCallError> {
        let path = Self::path(given)?;
        match self.place(&path) {
            Some(PathKind::Folder) => Ok(self.below(&path)),
            Some(PathKind::File) => {
                let at = self.files.partition_point(|file| file < &path);
                Ok(self.files.get(at..=at).unwrap_or_default())
            }
            None => Err(ToolCallError::NoSuchPlace(path)),
        }
    }

    /// What to say if there were more files than are known.
    pub(super) fn note(&self) -> &'static str {
        if self.is_cut { " (this tree has more files than can be listed: some are left out)" } else { "" }
    }

    /// Files of the same name elsewhere.
    fn near(&self, path: &RepoPath) -> String {
        let name = path.as_bytes().rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        let same = |file: &&RepoPath| file.as_bytes().rsplit(|byte| *byte == b'/').next() == Some(name);
        let near: Vec<_> =
            self.files.iter().filter(same).take(MAX_NEAR).map(|file| visible(&file.to_string())).collect();
        if near.is_empty() { String::new() } else { format!(" (there is: {})", near.join(", ")) }
    }
}
