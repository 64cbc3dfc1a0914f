//! Files of a tree, read and replaced without following a link or leaving the tree. A file is replaced as a whole or
//! not at all, and only while it holds the bytes that are expected.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, Mode, OFlags, fchmod, fstat, fsync, openat, renameat, unlinkat};
use rustix::io::Errno;
use truing_core::port::ReaderError;
use truing_diff::RepoPath;
use truing_reader::{MAX_FILE_BYTES, NotOpened, open_regular};

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

impl From<Errno> for Kept {
    fn from(error: Errno) -> Self {
        NotOpened::from(error).into()
    }
}

impl From<NotOpened> for Kept {
    fn from(error: NotOpened) -> Self {
        match error {
            NotOpened::Link | NotOpened::NotRegular => Self::NotPlain,
            NotOpened::Refused(Errno::NOENT) => Self::Changed,
            NotOpened::Refused(other) => Self::Io(other.into()),
        }
    }
}

/// A folder whose files are read and replaced.
#[derive(Debug)]
pub struct Tree(truing_reader::Tree);

impl Tree {
    /// Opens the folder. The path to it may have links; nothing below it may.
    ///
    /// # Errors
    /// It is not there, or not a folder.
    pub fn open(path: &Path) -> Result<Self, ReaderError> {
        truing_reader::Tree::open(path).map(Self)
    }

    /// The bytes of a plain file.
    ///
    /// # Errors
    /// [`Kept`]
    pub fn read(&self, path: &RepoPath) -> Result<Vec<u8>, Kept> {
        let (folder, name) = self.folder(path)?;
        Ok(read(&folder, name)?.0)
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
        let (folder, name) = self.folder(path)?;
        let (bytes, mode) = read(&folder, name)?;
        if bytes != old {
            return Err(Kept::Changed);
        }
        let temporary = format!("{TEMPORARY}{}", std::process::id());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&folder, temporary.as_str(), flags, Mode::RUSR | Mode::WUSR)?;
        let replaced = put(file, new, mode).and_then(|()| {
            // An editor may have saved it in the meantime.
            if read(&folder, name)?.0 != old {
                return Err(Kept::Changed);
            }
            Ok(renameat(&folder, temporary.as_str(), &folder, name)?)
        });
        if replaced.is_err() {
            // What stays behind is of no use, and not being able to remove it changes nothing.
            let _ = unlinkat(&folder, temporary.as_str(), AtFlags::empty());
        }
        replaced
    }

    /// The folder that holds a file, which is not git's, and the file's name in it.
    fn folder<'path>(&self, path: &'path RepoPath) -> Result<(OwnedFd, &'path [u8]), Kept> {
        if !path.may_be_written() {
            return Err(Kept::NotPlain);
        }
        Ok(self.0.folder(path)?)
    }
}

/// The bytes and the mode of a plain file. One that is too large was not reviewed.
fn read(folder: &OwnedFd, name: &[u8]) -> Result<(Vec<u8>, Mode), Kept> {
    let file = open_regular(folder, name)?;
    let mode = Mode::from_raw_mode(fstat(&file)?.st_mode);
    let mut bytes = Vec::new();
    let read = file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if read as u64 > MAX_FILE_BYTES {
        return Err(Kept::Changed);
    }
    Ok((bytes, mode))
}

/// Writes a new file whole, with this mode.
fn put(file: OwnedFd, bytes: &[u8], mode: Mode) -> Result<(), Kept> {
    let mut file = File::from(file);
    file.write_all(bytes)?;
    fchmod(&file, mode)?;
    Ok(fsync(&file)?)
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
        for path in
            ["link", "folder/a", "away", "../out", "d/../../out", "d", ".git/a", "git~1/a", "d/a/x", ""]
        {
            let kept = tree.replace(&path.into(), b"old", b"new");
            assert!(matches!(kept, Err(Kept::NotPlain)), "{path}: {kept:?}");
        }
        for file in ["r/d/a", "out", "r/.git/a"] {
            assert_eq!(std::fs::read(folder.path().join(file)).unwrap(), b"old", "{file}");
        }
    }
}
