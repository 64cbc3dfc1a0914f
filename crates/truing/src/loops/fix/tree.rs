//! Files of a tree, read and replaced without following a link or leaving the tree. A file is replaced as a whole or
//! not at all, and only while it holds the bytes that are expected.

use std::fs::{DirBuilder, File};
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, fchmod, fstat, fsync, open, openat, renameat, statat, unlinkat,
};
use truing_diff::RepoPath;

/// The largest file that is fixed, in bytes (5 MiB): as much as is reviewed.
const MAX_BYTES: u64 = 5 * 1024 * 1024;

/// A file's name until it is whole: this and the process's id. Git shows it, should the machine stop just then.
const TEMPORARY: &str = ".truing-fix-";

/// Why a file is left as it is.
#[derive(Debug, thiserror::Error)]
pub enum Kept {
    /// It holds something else.
    #[error("the file is not as it was reviewed")]
    Changed,
    /// It, or a folder above it, is a link, or it is no plain file inside of the tree.
    #[error("it is not a plain file inside of the repository")]
    NotPlain,
    /// It cannot be read or written.
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl From<rustix::io::Errno> for Kept {
    fn from(error: rustix::io::Errno) -> Self {
        match error {
            rustix::io::Errno::LOOP | rustix::io::Errno::NOTDIR => Self::NotPlain,
            rustix::io::Errno::NOENT => Self::Changed,
            other => Self::Io(other.into()),
        }
    }
}

/// A folder whose files are read and replaced.
#[derive(Debug)]
pub struct Tree {
    root: OwnedFd,
}

impl Tree {
    /// Opens the folder. The path to it may have links; nothing below it may.
    ///
    /// # Errors
    /// It is not there, or not a folder.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self { root: open(path, flags, Mode::empty())? })
    }

    /// The bytes of a plain file.
    ///
    /// # Errors
    /// [`Kept`]
    pub fn read(&self, path: &RepoPath) -> Result<Vec<u8>, Kept> {
        self.within_folder(path, |folder, name| Ok(read(folder, name)?.0))
    }

    /// Does a plain file hold these bytes?
    ///
    /// # Errors
    /// [`Kept`]: it does not.
    pub fn holds(&self, path: &RepoPath, bytes: &[u8]) -> Result<(), Kept> {
        if self.read(path)? == bytes { Ok(()) } else { Err(Kept::Changed) }
    }

    /// Replaces a file that holds `old`, keeping its mode.
    ///
    /// # Errors
    /// [`Kept`]: it is as it was.
    pub fn replace(&self, path: &RepoPath, old: &[u8], new: &[u8]) -> Result<(), Kept> {
        self.within_folder(path, |folder, name| {
            let (bytes, mode) = read(folder, name)?;
            if bytes != old {
                return Err(Kept::Changed);
            }
            let temporary = format!("{TEMPORARY}{}", std::process::id());
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let file = openat(folder, temporary.as_str(), flags, Mode::RUSR | Mode::WUSR)?;
            let replaced = put(file, new, mode).and_then(|()| {
                // An editor may have saved it in the meantime.
                if read(folder, name)?.0 != old {
                    return Err(Kept::Changed);
                }
                Ok(renameat(folder, temporary.as_str(), folder, name)?)
            });
            if replaced.is_err() {
                // What stays behind is of no use, and not being able to remove it changes nothing.
                let _ = unlinkat(folder, temporary.as_str(), AtFlags::empty());
            }
            replaced
        })
    }

    /// Opens the folder that holds a file and does something with the file's name in it.
    fn within_folder<T>(
        &self,
        path: &RepoPath,
        work: impl FnOnce(BorrowedFd<'_>, &[u8]) -> Result<T, Kept>,
    ) -> Result<T, Kept> {
        let is_gits = |part: &[u8]| part.eq_ignore_ascii_case(b".git");
        let mut parts = path.as_bytes().split(|byte| *byte == b'/').peekable();
        if !path.is_inside() || path.as_bytes().split(|byte| *byte == b'/').any(is_gits) {
            return Err(Kept::NotPlain);
        }
        let mut folder: Option<OwnedFd> = None;
        while let Some(name) = parts.next() {
            let parent = folder.as_ref().map_or(self.root.as_fd(), |folder| folder.as_fd());
            if parts.peek().is_none() {
                return work(parent, name);
            }
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            folder = Some(openat(parent, name, flags, Mode::empty())?);
        }
        Err(Kept::NotPlain)
    }
}

/// The bytes and the mode of a plain file. Its type is asked for first: opening a FIFO can wait.
fn read(folder: BorrowedFd<'_>, name: &[u8]) -> Result<(Vec<u8>, Mode), Kept> {
    let is_plain = |mode| FileType::from_raw_mode(mode) == FileType::RegularFile;
    if !is_plain(statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?.st_mode) {
        return Err(Kept::NotPlain);
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let opened = openat(folder, name, flags, Mode::empty())?;
    let mode = fstat(&opened)?.st_mode;
    if !is_plain(mode) {
        return Err(Kept::NotPlain);
    }
    let mut bytes = Vec::new();
    let read = File::from(opened).take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if read as u64 > MAX_BYTES {
        return Err(Kept::Changed);
    }
    Ok((bytes, Mode::from_raw_mode(mode)))
}

/// Writes a new file whole, with this mode.
fn put(file: OwnedFd, bytes: &[u8], mode: Mode) -> Result<(), Kept> {
    let mut file = File::from(file);
    file.write_all(bytes)?;
    fchmod(&file, mode)?;
    Ok(fsync(&file)?)
}

/// Writes a file below a folder of our own.
///
/// # Errors
/// There is no room.
pub(super) fn copy(folder: &Path, path: &RepoPath, bytes: &[u8]) -> io::Result<()> {
    let file = folder.join(std::ffi::OsStr::from_bytes(path.as_bytes()));
    if let Some(parent) = file.parent() {
        DirBuilder::new().recursive(true).create(parent)?;
    }
    std::fs::write(file, bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn tree() -> (tempfile::TempDir, Tree) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("r/d")).unwrap();
        std::fs::write(folder.path().join("r/d/a"), "old").unwrap();
        let tree = Tree::open(&folder.path().join("r")).unwrap();
        (folder, tree)
    }

    #[test]
    fn a_file_is_replaced_with_its_mode_and_only_if_it_holds_what_is_expected() {
        let (folder, tree) = tree();
        let file = folder.path().join("r/d/a");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o750)).unwrap();
        tree.replace(&"d/a".into(), b"old", b"new").unwrap();
        assert_eq!(tree.read(&"d/a".into()).unwrap(), b"new");
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o7777, 0o750);
        assert!(matches!(tree.replace(&"d/a".into(), b"old", b"x"), Err(Kept::Changed)));
        assert!(matches!(tree.replace(&"d/b".into(), b"", b"x"), Err(Kept::Changed)));
        assert_eq!(std::fs::read_dir(folder.path().join("r/d")).unwrap().count(), 1, "nothing else is left");
    }

    #[test]
    fn links_odd_files_and_what_is_outside_are_left_alone() {
        let (folder, tree) = tree();
        let root = folder.path().join("r");
        std::fs::write(folder.path().join("out"), "old").unwrap();
        std::fs::create_dir_all(root.join(".git")).unwrap();
        std::fs::write(root.join(".git/a"), "old").unwrap();
        symlink("d/a", root.join("link")).unwrap();
        symlink("d", root.join("folder")).unwrap();
        symlink("../out", root.join("away")).unwrap();
        for path in ["link", "folder/a", "away", "../out", "d/../../out", "d", ".git/a", "d/a/x", ""] {
            let kept = tree.replace(&path.into(), b"old", b"new");
            assert!(matches!(kept, Err(Kept::NotPlain)), "{path}: {kept:?}");
        }
        for file in ["r/d/a", "out", "r/.git/a"] {
            assert_eq!(std::fs::read(folder.path().join(file)).unwrap(), b"old", "{file}");
        }
    }
}
