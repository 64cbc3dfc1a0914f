//! Rejects repositories with files that would block git or Truing, or that would exhaust the memory. If a
//! file is replaced by a pipe, a socket or a device, git opens it and waits forever for a writer. Git also
//! reads some files as a whole, no matter how large they are.
//!
//! The check runs before git starts. The check covers the repository's own folders and the files that the
//! repository's configuration includes. If the working tree is read, the check also covers the pattern lists
//! in the working tree.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::options::{MAX_CONFIG_BYTES, MAX_INDEX_BYTES};
use crate::{Git, GitError};

/// Maximum number of folder entries that are checked. The maximum applies separately to git's folders and
/// to the folders of the working tree. Further files are not checked. If git blocks on an unchecked file,
/// the git call runs until its time limit.
const MAX_ENTRIES: usize = 500_000;
/// Maximum bytes of a file that contains the path of another folder (`.git`, `commondir`, `info/alternates`).
const MAX_POINTER_BYTES: u64 = 64 << 10;
/// Files that git reads first to check if a folder is a bare repository.
const BARE_REPOSITORY_FILES: [&str; 3] = ["HEAD", "config", "commondir"];
/// Configuration files of a git folder.
const CONFIG_FILE_NAMES: [&str; 2] = ["config", "config.worktree"];
/// Maximum number of configuration files that are checked, counting the files that they include.
const MAX_CONFIGS: usize = 100;
/// Pattern of the configuration keys that include another file; git prints keys in lower case.
const INCLUDE_KEY_REGEX: &str = r"^include(if\..*)?\.path$";
/// Files that git opens in every folder of a working tree.
const WORKTREE_PATTERN_FILES: [&str; 3] = [".gitignore", ".gitattributes", ".gitmodules"];

/// Checks the repository that git would find from `folder`: its git folder, the common folder of its working
/// trees, and the folders whose objects the repository borrows. Returns these folders.
///
/// # Errors
/// [`GitError::SpecialFile`] with the first special file, [`GitError::HugeFile`] with a file that is too
/// large.
pub(super) fn check_repository_git_folders(folder: &Path) -> Result<Vec<PathBuf>, GitError> {
    let mut pending_folders = Vec::new();
    for above in folder.ancestors() {
        let dot_git = above.join(".git");
        refuse_special_file(&dot_git)?;
        if dot_git.is_dir() {
            pending_folders.push(dot_git);
        } else if let Some(named) = resolve_git_file(&dot_git) {
            pending_folders.push(named);
        } else {
            for name in BARE_REPOSITORY_FILES {
                refuse_special_file(&above.join(name))?;
            }
            continue;
        }
        break;
    }
    check_git_folders(pending_folders, &mut 0)
}

/// Checks the files that the configuration of these git folders includes. Conditional includes are checked
/// even if their condition is not met.
///
/// # Errors
/// As [`check_repository_git_folders`].
pub(super) async fn check_config_includes(git: &Git, folders: &[PathBuf]) -> Result<(), GitError> {
    let mut left = folders
        .iter()
        .flat_map(|folder| CONFIG_FILE_NAMES.map(|name| folder.join(name)))
        .filter(|path| mentions_include(path))
        .collect::<Vec<_>>();
    let mut seen = Vec::new();
    while let Some(config) = left.pop() {
        if seen.contains(&config) || seen.len() >= MAX_CONFIGS {
            continue;
        }
        // Git parses the file and expands `~`. This call does not follow includes.
        let call = git.command("config").args(["-z", "--no-includes", "--type=path", "--file"]).arg(&config);
        // If the file cannot be read, later git calls report the error.
        let listing = call.args(["--get-regexp", INCLUDE_KEY_REGEX]).run().await?.stdout;
        let paths = listing.split(|byte| *byte == 0).filter_map(|entry| {
            let (_, path) = entry.split_at_checked(entry.iter().position(|byte| *byte == b'\n')? + 1)?;
            Some(config.parent()?.join(OsStr::from_bytes(path)))
        });
        for path in paths {
            if path.as_os_str() == "/dev/null" {
                continue;
            }
            refuse_special_file(&path)?;
            refuse_large_file(&path, MAX_CONFIG_BYTES)?;
            if mentions_include(&path) {
                left.push(path);
            }
        }
        seen.push(config);
    }
    Ok(())
}

/// Checks the files that git opens in the folders of a working tree. Nested repositories are also checked,
/// because git reads the HEAD of each. Like git, the check does not follow links.
///
/// # Errors
/// As [`check_repository_git_folders`].
pub(crate) async fn refuse_special_files_in_worktree(root: &Path) -> Result<(), GitError> {
    let (root, path) = (root.to_owned(), root.to_owned());
    let looked = tokio::task::spawn_blocking(move || check_working_tree(&root)).await;
    looked.unwrap_or_else(|stopped| {
        let source = std::io::Error::other(stopped);
        Err(GitError::Io { failure: "cannot read the files of", path, source })
    })
}

fn check_working_tree(root: &Path) -> Result<(), GitError> {
    let (mut folders, mut entries) = (vec![root.to_owned()], 0);
    let mut nested = Vec::new();
    let own = fs::canonicalize(root.join(".git")).ok();
    'all: while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            entries += 1;
            if entries > MAX_ENTRIES {
                break 'all;
            }
            let (name, Ok(kind)) = (entry.file_name(), entry.file_type()) else { continue };
            if name == ".git" {
                let at = if kind.is_file() { resolve_git_file(&entry.path()) } else { Some(entry.path()) };
                // The repository's own git folder is skipped: it was checked before, with the git folders of
                // its submodules.
                let at = at.and_then(|at| fs::canonicalize(at).ok()).filter(|at| at.is_dir());
                nested.extend(at.filter(|at| own.as_ref().is_none_or(|own| !at.starts_with(own))));
            } else if kind.is_dir() {
                folders.push(entry.path());
            } else if WORKTREE_PATTERN_FILES.iter().any(|patterns| name == *patterns) {
                if kind.is_file() {
                    refuse_large_file(&entry.path(), MAX_CONFIG_BYTES)?;
                } else if !kind.is_symlink() {
                    return Err(GitError::SpecialFile(entry.path()));
                }
            }
        }
    }
    check_git_folders(nested, &mut 0).map(drop)
}

/// Checks these git folders, the common folders that they name, and the folders whose objects they borrow.
/// Returns all checked folders.
fn check_git_folders(mut pending: Vec<PathBuf>, entry_count: &mut usize) -> Result<Vec<PathBuf>, GitError> {
    let mut seen: Vec<PathBuf> = Vec::new();
    while let Some(next) = pending.pop() {
        // Two repositories may borrow objects from each other, so checked folders are skipped.
        let Ok(next) = fs::canonicalize(next) else { continue };
        if seen.iter().any(|before| next.starts_with(before)) {
            continue;
        }
        check_folder_tree(&next, entry_count)?;
        pending.extend(read_pointer_lines(&next.join("commondir")).iter().map(|shared| next.join(shared)));
        let objects = [next.join("objects"), next.clone()];
        pending.extend(objects.iter().flat_map(|objects| {
            let lines = read_pointer_lines(&objects.join("info/alternates"));
            lines.into_iter().filter(|line| !line.starts_with('#')).map(|line| objects.join(line))
        }));
        seen.push(next);
    }
    Ok(seen)
}

/// Checks all files in a folder and in the folders below it.
fn check_folder_tree(top: &Path, entry_count: &mut usize) -> Result<(), GitError> {
    let mut folders = vec![top.to_owned()];
    while let Some(folder) = folders.pop() {
        let inside = folder.strip_prefix(top).unwrap_or(&folder);
        let of_refs = inside.components().any(|part| part.as_os_str() == "refs");
        // Folders that cannot be listed are skipped, because git reports such folders later.
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            *entry_count += 1;
            if *entry_count > MAX_ENTRIES {
                return Ok(());
            }
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => {
                    folders.push(entry.path());
                    continue;
                }
                Ok(kind) if kind.is_file() => {}
                Ok(_) | Err(_) => refuse_special_file(&entry.path())?,
            }
            if let Some(limit) = max_file_bytes(&entry.file_name(), of_refs) {
                refuse_large_file(&entry.path(), limit)?;
            }
        }
    }
    Ok(())
}

/// Returns the size limit for a file in a git folder in bytes; `None` if git does not read the file as a
/// whole.
fn max_file_bytes(name: &OsStr, is_ref: bool) -> Option<u64> {
    match name.as_bytes() {
        b"index" | b"packed-refs" => Some(MAX_INDEX_BYTES),
        name if name.starts_with(b"sharedindex.") => Some(MAX_INDEX_BYTES),
        b"HEAD" | b"config" | b"config.worktree" | b"commondir" | b"gitdir" | b"shallow" => {
            Some(MAX_CONFIG_BYTES)
        }
        b"exclude" | b"attributes" | b"alternates" | b"grafts" | b"sparse-checkout" => Some(MAX_CONFIG_BYTES),
        _ => is_ref.then_some(MAX_CONFIG_BYTES),
    }
}

/// Returns an error if an existing path is neither a file nor a folder. If the path is a link, its target is
/// checked.
fn refuse_special_file(path: &Path) -> Result<(), GitError> {
    match fs::metadata(path) {
        Ok(found) if !found.is_file() && !found.is_dir() => Err(GitError::SpecialFile(path.to_owned())),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Returns an error if a file has more than `limit` bytes. If the path is a link, its target is checked.
fn refuse_large_file(path: &Path, limit: u64) -> Result<(), GitError> {
    match fs::metadata(path) {
        Ok(found) if found.is_file() && found.len() > limit => {
            Err(GitError::HugeFile { path: path.to_owned(), bytes: found.len(), limit })
        }
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Returns true if a configuration file may include other files. Git is called only for such files, which are
/// rare. The caller has already checked that the file is a plain file of permitted size.
fn mentions_include(path: &Path) -> bool {
    let text = fs::read(path).unwrap_or_default();
    text.windows(7).any(|word| word.eq_ignore_ascii_case(b"include"))
}

/// Returns the git folder that a file named `.git` refers to.
fn resolve_git_file(dot_git: &Path) -> Option<PathBuf> {
    let lines = read_pointer_lines(dot_git);
    Some(dot_git.parent()?.join(lines.first()?.strip_prefix("gitdir:")?.trim()))
}

/// Returns the lines of a small file; empty if the file is missing or too large.
fn read_pointer_lines(path: &Path) -> Vec<String> {
    let small = fs::metadata(path).is_ok_and(|found| found.is_file() && found.len() <= MAX_POINTER_BYTES);
    let text = if small { fs::read_to_string(path).unwrap_or_default() } else { String::new() };
    text.lines().map(|line| line.trim_end().to_owned()).filter(|line| !line.is_empty()).collect()
}
