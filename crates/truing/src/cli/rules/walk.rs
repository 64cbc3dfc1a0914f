//! Collects the files for `truing rules check`: the named files, and the files in named folders that git does
//! not ignore.

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use ignore::WalkBuilder;
use truing_core::port::{ChangedFile, ReadRequest};
use truing_diff::RepoPath;
use truing_loops::reading::ReviewScope;

use super::join_path;
use crate::cli::error::CliError;

/// Files to read below one folder.
pub(super) struct FolderFiles {
    /// Files to read; every line of every file is checked.
    pub(super) request: ReadRequest,
    /// Path of the folder, which precedes the files' paths in the output; empty for the current folder.
    display_prefix: Vec<u8>,
}

impl FolderFiles {
    /// Returns the path of a file in the output.
    pub(super) fn display_path(&self, path: &RepoPath) -> RepoPath {
        join_path(&self.display_prefix, path)
    }
}

/// The files to check in one run of `truing rules check`, and the paths that cannot be read.
#[derive(Default)]
pub(super) struct FolderWalkResult {
    /// Files to read, by folder.
    pub(super) folders: Vec<FolderFiles>,
    /// Requested paths that cannot be read.
    pub(super) unreadable_paths: Vec<UnreadablePath>,
}

/// A file or folder that cannot be read.
pub(super) struct UnreadablePath {
    /// Path in the output.
    pub(super) path: RepoPath,
    /// The reason that the path cannot be read.
    pub(super) reason: String,
}

/// Collects the files at or below the given paths. Files below the current folder get paths relative to the
/// current folder, so the rules' globs match as in a repository. Each other requested folder has its own
/// `FolderFiles`. Unreadable folders, and paths that are neither file nor folder, are listed as gaps.
///
/// # Errors
/// Returns `no_such_path` if one of the paths does not exist.
pub(super) fn walk_paths(
    paths: &[PathBuf],
    current_folder: &Path,
    scope: &ReviewScope,
) -> Result<FolderWalkResult, CliError> {
    let missing = |path: &Path, error: &std::io::Error| {
        CliError::usage("no_such_path", format!("{}: {error}", path.display()))
            .hint("give files and folders that exist")
    };
    let current_folder = current_folder.canonicalize().map_err(|error| missing(current_folder, &error))?;
    let mut inside = BTreeSet::new();
    let mut walked = FolderWalkResult::default();
    for path in paths {
        let path = current_folder.join(path).canonicalize().map_err(|error| missing(path, &error))?;
        if !path.is_dir() && !path.is_file() {
            walked.unreadable_paths.push(UnreadablePath::new(
                &path,
                &current_folder,
                "it is not a regular file".to_owned(),
            ));
            continue;
        }
        if path.starts_with(&current_folder) {
            inside.extend(collect_files(
                &path,
                &current_folder,
                &current_folder,
                &mut walked.unreadable_paths,
            ));
            continue;
        }
        let folder = if path.is_dir() { path.as_path() } else { path.parent().unwrap_or(Path::new("/")) };
        let found = collect_files(&path, folder, &current_folder, &mut walked.unreadable_paths);
        walked.folders.push(folder_files(folder, found, folder.as_os_str().as_bytes().to_vec(), scope));
    }
    if !inside.is_empty() {
        walked.folders.insert(0, folder_files(&current_folder, inside, Vec::new(), scope));
    }
    Ok(walked)
}

impl UnreadablePath {
    fn new(path: &Path, current_folder: &Path, reason: String) -> Self {
        let shown = path.strip_prefix(current_folder).ok().filter(|rest| !rest.as_os_str().is_empty());
        Self { path: RepoPath::from_bytes(shown.unwrap_or(path).as_os_str().as_bytes()), reason }
    }

    /// Converts an error of the search for files. `path` is the path at which the search began.
    fn from_error(error: ignore::Error, path: &Path, current_folder: &Path) -> Self {
        match error {
            ignore::Error::WithDepth { err, .. } => Self::from_error(*err, path, current_folder),
            ignore::Error::WithPath { path, err } => Self::from_error(*err, &path, current_folder),
            // The message of the inner error would repeat the path.
            ignore::Error::Io(error) => Self::new(path, current_folder, error.kind().to_string()),
            other @ (ignore::Error::Partial(_)
            | ignore::Error::WithLineNumber { .. }
            | ignore::Error::Loop { .. }
            | ignore::Error::Glob { .. }
            | ignore::Error::UnrecognizedFileType(_)
            | ignore::Error::InvalidDefinition) => Self::new(path, current_folder, other.to_string()),
        }
    }
}

fn folder_files(
    folder: &Path,
    files: BTreeSet<RepoPath>,
    prefix: Vec<u8>,
    scope: &ReviewScope,
) -> FolderFiles {
    let ignored = |path: &RepoPath| {
        scope.ignore_globs.is_match(Path::new(std::ffi::OsStr::from_bytes(path.as_bytes())))
    };
    let files = files.into_iter().filter(|path| !ignored(path));
    let all =
        |path| ChangedFile { path, old_path: None, added_lines: vec![(1, u32::MAX)], secrets_only: false };
    let request = ReadRequest {
        tree: folder.to_owned(),
        files: files.map(all).collect(),
        also_changed: Vec::new(),
        packs: scope.packs.clone(),
        disabled_rules: scope.disabled_rules.clone(),
    };
    FolderFiles { request, display_prefix: prefix }
}

/// Returns the files at or below a path, relative to `root`. Links are not followed. Files that git ignores
/// are skipped, and so are FIFOs, sockets and devices in folders.
fn collect_files(
    path: &Path,
    root: &Path,
    current_folder: &Path,
    unreadable_paths: &mut Vec<UnreadablePath>,
) -> BTreeSet<RepoPath> {
    let walk = WalkBuilder::new(path).hidden(false).filter_entry(|entry| entry.file_name() != ".git").build();
    let mut files = BTreeSet::new();
    for entry in walk {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                unreadable_paths.push(UnreadablePath::from_error(error, path, current_folder));
                continue;
            }
        };
        if entry.file_type().is_some_and(|kind| kind.is_file()) {
            let from_root = entry.path().strip_prefix(root).unwrap_or(entry.path());
            files.insert(RepoPath::from_bytes(from_root.as_os_str().as_bytes()));
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_cannot_be_entered_is_named_from_here_with_the_reason() {
        let denied = || std::io::Error::from(std::io::ErrorKind::PermissionDenied);
        let error = |path: &str| ignore::Error::WithDepth {
            depth: 1,
            err: Box::new(ignore::Error::WithPath { path: path.into(), err: Box::new(denied().into()) }),
        };
        for (path, shown) in [("/here/a/b", "a/b"), ("/here", "/here"), ("/elsewhere/c", "/elsewhere/c")] {
            let gap = UnreadablePath::from_error(error(path), Path::new("/here/a"), Path::new("/here"));
            assert_eq!((gap.path.to_string(), gap.reason), (shown.to_owned(), denied().to_string()));
        }
        let gap = UnreadablePath::from_error(denied().into(), Path::new("/here/a"), Path::new("/here"));
        assert_eq!(gap.path.to_string(), "a");
    }
}
