//! Protects git's folder in a tree that a job may write, for a job without its own file system: Landlock
//! cannot exclude a folder of a tree that is writable otherwise.
//!
//! While the job runs, the folder is outside of the tree, where the job can read but not write it. A file in
//! the tree names this path, so git works as before. Afterwards, the folder returns, and replaces any file
//! that the job has put in its place. The tree is used through an open handle, so a caller may move the tree
//! meanwhile.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, renameat};
use rustix::io::Errno;
use truing_system::handle_path;

use crate::verify::copy::make_accessible;

/// Name of git's data in a tree: a folder, or a file that names a folder.
const GIT: &str = ".git";

/// Git's data of a tree, while it is outside of the tree.
pub(super) struct MovedGitFolder {
    tree: OwnedFd,
    moved: PathBuf,
}

impl MovedGitFolder {
    /// Moves git's data out of the tree, to a name that does not exist yet. The data goes into `folder`, or
    /// beside the tree if `folder` is on another file system. Returns `None` if the tree has no such data. A
    /// link is left as it is, because the job cannot write its target.
    ///
    /// # Errors
    /// An I/O error if the data cannot be moved.
    pub(super) fn move_out(tree: &Path, folder: &Path) -> io::Result<Option<Self>> {
        let git = tree.join(GIT);
        let Ok(metadata) = git.symlink_metadata() else { return Ok(None) };
        if !metadata.is_dir() && !metadata.is_file() {
            return Ok(None);
        }
        let failed = |error: io::Error| {
            io::Error::new(error.kind(), format!("cannot move {} out of its tree: {error}", git.display()))
        };
        let tree_handle = open_folder(tree).map_err(failed)?;
        let inside = folder.join("git");
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let beside = tree.with_file_name(format!("{name}.git"));
        let moved = match renameat(&tree_handle, GIT, CWD, &inside) {
            Ok(()) => inside,
            Err(Errno::XDEV) => {
                renameat(&tree_handle, GIT, CWD, &beside).map_err(|error| failed(error.into()))?;
                beside
            }
            Err(error) => return Err(failed(error.into())),
        };
        let moved_folder = Self { tree: tree_handle, moved };
        let text = match metadata.is_dir() {
            true => format!("gitdir: {}\n", moved_folder.moved.display()).into_bytes(),
            false => std::fs::read(&moved_folder.moved).map_err(failed)?,
        };
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(0o644).open(&git).map_err(failed)?;
        file.write_all(&text).map_err(failed)?;
        Ok(Some(moved_folder))
    }

    /// Returns the moved data of a tree, for another process that may have to return it.
    ///
    /// # Errors
    /// An I/O error if the tree cannot be opened.
    pub(super) fn find(tree: &Path, moved: PathBuf) -> io::Result<Self> {
        Ok(Self { tree: open_folder(tree)?, moved })
    }

    /// Returns the path of the data while it is outside of the tree.
    pub(super) fn path(&self) -> &Path {
        &self.moved
    }

    /// Returns the data to the tree. Does nothing if the data is there again. Removes the data if the tree
    /// has been removed.
    ///
    /// # Errors
    /// An I/O error if the data cannot be moved.
    pub(super) fn restore(&self) -> io::Result<()> {
        if self.moved.symlink_metadata().is_err() {
            return Ok(());
        }
        // The job may have taken the permissions for the tree and for its own `.git` from their owner.
        let tree = handle_path(&self.tree);
        let is_removed = rustix::fs::fstat(&self.tree)?.st_nlink == 0;
        if is_removed {
            return remove(&self.moved);
        }
        let mode = tree.metadata()?.permissions().mode();
        std::fs::set_permissions(&tree, PermissionsExt::from_mode(mode | 0o700))?;
        remove(&tree.join(GIT))?;
        Ok(renameat(CWD, &self.moved, &self.tree, GIT)?)
    }
}

/// Removes a file, or a folder with its content. Does nothing if neither exists.
fn remove(path: &Path) -> io::Result<()> {
    match path.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => {
            make_accessible(path)?;
            std::fs::remove_dir_all(path)
        }
        Ok(_) => std::fs::remove_file(path),
        Err(_) => Ok(()),
    }
}

fn open_folder(folder: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::open(folder, flags, Mode::empty())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restores_git_folder_over_replacement() {
        let outer = tempfile::tempdir().unwrap();
        let private = tempfile::tempdir().unwrap();
        let tree = outer.path().join("tree");
        std::fs::create_dir_all(tree.join(".git")).unwrap();
        std::fs::write(tree.join(".git/config"), "true").unwrap();
        let moved = MovedGitFolder::move_out(&tree, private.path()).unwrap().unwrap();
        assert!(tree.join(".git").is_file());
        std::fs::remove_file(tree.join(".git")).unwrap();
        std::fs::create_dir_all(tree.join(".git/hooks")).unwrap();
        std::fs::write(tree.join(".git/config"), "false").unwrap();
        std::fs::set_permissions(tree.join(".git"), PermissionsExt::from_mode(0o500)).unwrap();
        std::fs::set_permissions(&tree, PermissionsExt::from_mode(0o500)).unwrap();
        // The caller may have moved the tree.
        let elsewhere = outer.path().join("elsewhere");
        std::fs::rename(&tree, &elsewhere).unwrap();
        moved.restore().unwrap();
        assert_eq!(std::fs::read_to_string(elsewhere.join(".git/config")).unwrap(), "true");
        assert!(!elsewhere.join(".git/hooks").exists());
        moved.restore().unwrap();
        assert!(elsewhere.join(".git/config").exists());
    }

    #[test]
    fn removes_the_data_if_the_tree_has_been_removed() {
        let outer = tempfile::tempdir().unwrap();
        let private = tempfile::tempdir().unwrap();
        let tree = outer.path().join("tree");
        std::fs::create_dir_all(tree.join(".git/objects")).unwrap();
        let moved = MovedGitFolder::move_out(&tree, private.path()).unwrap().unwrap();
        std::fs::remove_dir_all(&tree).unwrap();
        moved.restore().unwrap();
        assert!(!moved.path().exists());
    }

    #[test]
    fn leaves_trees_without_git_and_links_alone() {
        let tree = tempfile::tempdir().unwrap();
        let private = tempfile::tempdir().unwrap();
        assert!(MovedGitFolder::move_out(tree.path(), private.path()).unwrap().is_none());
        std::os::unix::fs::symlink("/etc/passwd", tree.path().join(".git")).unwrap();
        assert!(MovedGitFolder::move_out(tree.path(), private.path()).unwrap().is_none());
        assert!(tree.path().join(".git").is_symlink());
    }
}
