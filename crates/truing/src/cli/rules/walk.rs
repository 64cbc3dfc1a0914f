//! Which files `truing rules check` looks at: those that are named, and those in folders that git would not ignore.

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use ignore::WalkBuilder;
use truing_core::port::{ChangedFile, ReadRequest};
use truing_diff::RepoPath;

use super::joined;
use crate::cli::error::CliError;
use crate::loops::reading::Scope;

/// Files below one folder.
pub(super) struct Part {
    /// What is to be read; every line of every file counts.
    pub(super) request: ReadRequest,
    /// What stands before the files' paths where they are shown.
    prefix: Vec<u8>,
}

impl Part {
    /// A file's path as it is shown.
    pub(super) fn shown(&self, path: &RepoPath) -> RepoPath {
        joined(&self.prefix, path)
    }
}

/// The files that the paths name: those below the current folder, under their paths from there, so that rules' own
/// path globs mean what they mean in a repository; then those elsewhere, folder by folder.
pub(super) fn parts(paths: &[PathBuf], here: &Path, scope: &Scope) -> Result<Vec<Part>, CliError> {
    let missing = |path: &Path, error: &std::io::Error| {
        CliError::usage("no_such_path", format!("{}: {error}", path.display()))
            .hint("name files and folders that are there")
    };
    let here = here.canonicalize().map_err(|error| missing(here, &error))?;
    let mut inside = BTreeSet::new();
    let mut parts = Vec::new();
    for path in paths {
        let path = here.join(path).canonicalize().map_err(|error| missing(path, &error))?;
        if path.starts_with(&here) {
            inside.extend(files(&path, &here)?);
            continue;
        }
        let folder = if path.is_dir() { path.as_path() } else { path.parent().unwrap_or(Path::new("/")) };
        let found = files(&path, folder)?;
        parts.push(part(folder, found, folder.as_os_str().as_bytes().to_vec(), scope));
    }
    if !inside.is_empty() {
        parts.insert(0, part(&here, inside, Vec::new(), scope));
    }
    Ok(parts)
}

fn part(folder: &Path, files: BTreeSet<RepoPath>, prefix: Vec<u8>, scope: &Scope) -> Part {
    let ignored =
        |path: &RepoPath| scope.ignore.is_match(Path::new(std::ffi::OsStr::from_bytes(path.as_bytes())));
    let files = files.into_iter().filter(|path| !ignored(path));
    let all = |path| ChangedFile { path, old_path: None, added: vec![(1, u32::MAX)] };
    let request = ReadRequest {
        tree: folder.to_owned(),
        files: files.map(all).collect(),
        also_changed: Vec::new(),
        packs: scope.packs.clone(),
    };
    Part { request, prefix }
}

/// The files at or below a path, as paths from `root`. Links are not followed; what git ignores is left out.
fn files(path: &Path, root: &Path) -> Result<BTreeSet<RepoPath>, CliError> {
    let walk = WalkBuilder::new(path).hidden(false).filter_entry(|entry| entry.file_name() != ".git").build();
    let mut files = BTreeSet::new();
    for entry in walk {
        let entry = entry.map_err(|error| CliError::failed("unreadable", error.to_string()))?;
        if entry.file_type().is_some_and(|kind| kind.is_file()) {
            let from_root = entry.path().strip_prefix(root).unwrap_or(entry.path());
            files.insert(RepoPath::from_bytes(from_root.as_os_str().as_bytes()));
        }
    }
    Ok(files)
}
