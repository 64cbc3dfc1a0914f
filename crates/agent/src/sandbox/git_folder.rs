//! Protects git's folder in a tree that a job may write, for a job without its own file system: Landlock
//! cannot exclude a folder of a tree that is writable otherwise.
//!
//! While the job runs, the folder is beside the tree, where the job can read but not write it. A file in the
//! tree names this place, so git works as before. Afterwards, the folder returns, and replaces any file that
//! the job has put in its place.

use std::io;
use std::path::{Path, PathBuf};

/// Name of git's data in a tree: a folder, or a file that names a folder.
const GIT: &str = ".git";

/// Returns the place of git's folder while a job runs.
pub(super) fn moved_path(tree: &Path) -> PathBuf {
    let mut name = tree.as_os_str().to_owned();
    name.push(".git-of-tree");
    name.into()
}

/// Moves git's folder out of the tree. Does nothing if the tree has none.
///
/// # Errors
/// An I/O error if the folder cannot be moved.
pub(super) fn move_out(tree: &Path) -> io::Result<()> {
    // A helper that was killed may have left the folder in the other place.
    restore(tree)?;
    let folder = tree.join(GIT);
    let Ok(metadata) = folder.symlink_metadata() else { return Ok(()) };
    let moved = moved_path(tree);
    std::fs::rename(&folder, &moved)?;
    if metadata.is_dir() {
        std::fs::write(&folder, format!("gitdir: {}\n", moved.display()))
    } else {
        std::fs::copy(&moved, &folder).map(drop)
    }
}

/// Returns git's folder to the tree, and removes any file in its place.
///
/// # Errors
/// An I/O error if the folder cannot be moved.
pub(super) fn restore(tree: &Path) -> io::Result<()> {
    let moved = moved_path(tree);
    if moved.symlink_metadata().is_err() {
        return Ok(());
    }
    let folder = tree.join(GIT);
    match folder.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => std::fs::remove_dir_all(&folder)?,
        Ok(_) => std::fs::remove_file(&folder)?,
        Err(_) => {}
    }
    std::fs::rename(moved, folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_returns_whatever_is_in_its_place() {
        let outer = tempfile::tempdir().unwrap();
        let tree = outer.path().join("tree");
        std::fs::create_dir_all(tree.join(".git")).unwrap();
        std::fs::write(tree.join(".git/config"), "true").unwrap();
        move_out(&tree).unwrap();
        assert!(tree.join(".git").is_file());
        // The helper was killed, so the folder is still in the other place at the start of the next job.
        move_out(&tree).unwrap();
        std::fs::remove_file(tree.join(".git")).unwrap();
        std::fs::create_dir_all(tree.join(".git/hooks")).unwrap();
        std::fs::write(tree.join(".git/config"), "false").unwrap();
        restore(&tree).unwrap();
        assert_eq!(std::fs::read_to_string(tree.join(".git/config")).unwrap(), "true");
        assert!(!tree.join(".git/hooks").exists());
        restore(&tree).unwrap();
        assert!(tree.join(".git/config").exists());
    }

    #[test]
    fn a_tree_without_git_stays_as_it_is() {
        let tree = tempfile::tempdir().unwrap();
        move_out(tree.path()).unwrap();
        assert!(!tree.path().join(".git").exists() && !moved_path(tree.path()).exists());
    }
}
