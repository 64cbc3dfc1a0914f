//! Lists the files of the tree that a model may read.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use ignore::WalkBuilder;
use truing_diff::RepoPath;

use super::ToolCallError;
use super::page::visible_text;

/// Largest number of files that the index contains. An exported tree has no more files than this.
const MAX_FILES: usize = 200_000;
/// Largest number of files with the same name that are suggested for a path that does not exist.
const MAX_SUGGESTED_FILES: usize = 5;

/// Regular files below the root, except the files of git itself, sorted by path.
pub(super) struct FileIndex {
    files: Vec<RepoPath>,
    is_truncated: bool,
}

/// Kind of a requested path.
pub(super) enum PathKind {
    /// Folder with files below it. The root contains all files.
    Folder,
    /// Single file at this path.
    File,
}

/// Returns the regular files below a folder, except the files of git itself.
fn walk_files(root: &Path) -> Vec<RepoPath> {
    let mut walk = WalkBuilder::new(root);
    walk.standard_filters(false).follow_links(false);
    walk.filter_entry(|entry| {
        let name = RepoPath::from_bytes(entry.file_name().as_bytes());
        entry.depth() == 0 || name.is_safe_to_write()
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
    path.is_safe_to_write() && file.symlink_metadata().is_ok_and(|found| found.is_file())
}

impl FileIndex {
    /// Lists the regular files among `candidate_paths`. If `candidate_paths` is `None`, lists all files of
    /// the tree. Adds `extra_paths` to the list. Symbolic links are not followed.
    pub(super) fn new(root: &Path, candidate_paths: Option<&[RepoPath]>, extra_paths: &[RepoPath]) -> Self {
        let mut files = match candidate_paths {
            Some(paths) => paths.iter().filter(|path| is_regular_file(root, path)).cloned().collect(),
            None => walk_files(root),
        };
        let is_cut = files.len() > MAX_FILES;
        files.truncate(MAX_FILES);
        files.extend(extra_paths.iter().filter(|path| path.is_safe_to_write()).cloned());
        files.sort();
        files.dedup();
        Self { files, is_truncated: is_cut }
    }

    /// Parses a path from the model; a leading `./` and a trailing `/` are ignored. The root is the empty
    /// path.
    pub(super) fn parse_path(raw_path: Option<&str>) -> Result<RepoPath, ToolCallError> {
        let raw_path = raw_path.unwrap_or_default();
        let mut text = raw_path.trim_end_matches('/');
        while let Some(rest) = text.strip_prefix("./") {
            text = rest;
        }
        let path = RepoPath::from_text(if text == "." { "" } else { text });
        let is_root = path.as_bytes().is_empty() && !raw_path.starts_with('/');
        if is_root || path.is_safe_to_write() {
            Ok(path)
        } else {
            Err(ToolCallError::NotAPath(raw_path.to_owned()))
        }
    }

    /// Returns the parsed path if a file exists at it. Otherwise returns an error that suggests similar
    /// files.
    pub(super) fn find_file(&self, raw_path: &str) -> Result<RepoPath, ToolCallError> {
        let path = Self::parse_path(Some(raw_path))?;
        match self.path_kind(&path) {
            Some(PathKind::File) => Ok(path),
            Some(PathKind::Folder) => Err(ToolCallError::IsAFolder(path)),
            None => {
                let near = self.similar_files_note(&path);
                Err(ToolCallError::NoSuchFile { path, suggestion: near })
            }
        }
    }

    /// Returns `File` or `Folder` if the path exists.
    pub(super) fn path_kind(&self, path: &RepoPath) -> Option<PathKind> {
        if self.files.binary_search(path).is_ok() {
            return Some(PathKind::File);
        }
        (path.as_bytes().is_empty() || !self.files_below(path).is_empty()).then_some(PathKind::Folder)
    }

    /// Returns the files in a folder and its subfolders.
    pub(super) fn files_below(&self, folder: &RepoPath) -> &[RepoPath] {
        if folder.as_bytes().is_empty() {
            return &self.files;
        }
        let prefix = [folder.as_bytes(), b"/"].concat();
        let start = self.files.partition_point(|file| file.as_bytes() < prefix.as_slice());
        let rest = self.files.get(start..).unwrap_or_default();
        let count = rest.partition_point(|file| file.as_bytes().starts_with(&prefix));
        rest.get(..count).unwrap_or_default()
    }

    /// Returns the file at a path, or all files in a folder.
    pub(super) fn files_at(&self, raw_path: Option<&str>) -> Result<&[RepoPath], ToolCallError> {
        let path = Self::parse_path(raw_path)?;
        match self.path_kind(&path) {
            Some(PathKind::Folder) => Ok(self.files_below(&path)),
            Some(PathKind::File) => {
                let at = self.files.partition_point(|file| file < &path);
                Ok(self.files.get(at..=at).unwrap_or_default())
            }
            None => Err(ToolCallError::NoSuchFileOrFolder(path)),
        }
    }

    /// Returns a note if the tree contains more than `MAX_FILES` files.
    pub(super) fn truncation_note(&self) -> &'static str {
        if self.is_truncated {
            " (this tree has more files than can be listed: some are left out)"
        } else {
            ""
        }
    }

    /// Returns a note with other paths that end with the same file name.
    fn similar_files_note(&self, path: &RepoPath) -> String {
        let name = path.as_bytes().rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        let same = |file: &&RepoPath| file.as_bytes().rsplit(|byte| *byte == b'/').next() == Some(name);
        let near: Vec<_> = self
            .files
            .iter()
            .filter(same)
            .take(MAX_SUGGESTED_FILES)
            .map(|file| visible_text(&file.to_string()))
            .collect();
        if near.is_empty() { String::new() } else { format!(" (there is: {})", near.join(", ")) }
    }
}
