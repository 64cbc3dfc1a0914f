//! Opens files in a folder that may contain hostile content. No link in a path is followed, only regular
//! files are opened, and a limited number of bytes is read.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, fstat, open, openat, statat};
use rustix::io::Errno;
use truing_core::outcome::SkipReason;
use truing_core::port::ReaderError;
use truing_diff::RepoPath;

use crate::content::{DecodedContent, PROBE_BYTES, has_binary_start};
use crate::rules::companion::HeadFiles;

/// Maximum size of a file that is read, in bytes (5 MiB).
pub const MAX_FILE_BYTES: u64 = 5 * 1024 * 1024;

/// Reasons why a file is not opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FileOpenError {
    /// The path is a symbolic link.
    Link,
    /// The path does not refer to a regular file, leads outside the tree, or leads through a link.
    NotRegular,
    /// The operating system reports an error, for example because the file does not exist or the process may
    /// not read it.
    OsError(Errno),
}

impl From<Errno> for FileOpenError {
    fn from(error: Errno) -> Self {
        match error {
            Errno::LOOP | Errno::NOTDIR => Self::NotRegular,
            other => Self::OsError(other),
        }
    }
}

impl From<FileOpenError> for SkipReason {
    fn from(error: FileOpenError) -> Self {
        match error {
            FileOpenError::Link => Self::Symlink,
            FileOpenError::NotRegular | FileOpenError::OsError(_) => Self::Unreadable,
        }
    }
}

/// A folder whose files are read, usually the files of the head commit. The operator chooses the path of this
/// folder, so this path may contain links. Paths below the folder must not contain links.
#[derive(Debug)]
pub struct FileTree {
    root: OwnedFd,
}

impl FileTree {
    /// Opens the folder of the tree.
    ///
    /// # Errors
    ///
    /// [`ReaderError::Failed`] if the folder cannot be opened.
    pub fn open(path: &Path) -> Result<Self, ReaderError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match open(path, flags, Mode::empty()) {
            Ok(root) => Ok(Self { root }),
            Err(error) => Err(ReaderError::Failed(format!(
                "the folder with the head's files cannot be opened: {}: {error}",
                path.display()
            ))),
        }
    }

    /// Returns the decoded content of a file. For a file that is too large, the error states whether the file
    /// is binary.
    pub(crate) fn read(&self, path: &RepoPath) -> Result<DecodedContent, SkipReason> {
        self.read_bytes(path).map(DecodedContent::from_bytes)
    }

    /// Returns the bytes of a file.
    ///
    /// # Errors
    ///
    /// [`SkipReason::Symlink`] for a symbolic link. [`SkipReason::TooLarge`] for a file that is too large, or
    /// [`SkipReason::Binary`] if such a file is also binary. [`SkipReason::Unreadable`] in all other cases,
    /// such as a folder, a missing file, or a path through a link.
    pub fn read_bytes(&self, path: &RepoPath) -> Result<Vec<u8>, SkipReason> {
        let (folder, name) = self.open_folder(path)?;
        read_bounded(open_regular(&folder, name)?)
    }

    /// Returns the text of a file, with U+FFFD in place of invalid UTF-8. Returns `None` if
    /// [`FileTree::read_bytes`] returns an error.
    pub fn read_text(&self, path: &RepoPath) -> Option<String> {
        self.read_bytes(path).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Returns the size of a regular file in bytes.
    pub fn size(&self, path: &RepoPath) -> Option<u64> {
        let (folder, name) = self.open_folder(path).ok()?;
        let found = statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        let regular = FileType::from_raw_mode(found.st_mode) == FileType::RegularFile;
        u64::try_from(found.st_size).ok().filter(|_| regular)
    }

    /// Returns true if a file, a link or a folder exists at this path.
    pub fn has_entry(&self, path: &RepoPath) -> bool {
        self.open_folder(path)
            .is_ok_and(|(folder, name)| statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW).is_ok())
    }

    /// Opens the folder that contains a file, and returns the folder and the file's name.
    ///
    /// # Errors
    ///
    /// [`FileOpenError::NotRegular`] if the path leads outside the tree or through a link;
    /// [`FileOpenError::OsError`] if the folder does not exist.
    pub fn open_folder<'path>(&self, path: &'path RepoPath) -> Result<(OwnedFd, &'path [u8]), FileOpenError> {
        if !path.stays_within_folder() {
            return Err(FileOpenError::NotRegular);
        }
        let mut components = path.as_bytes().split(|byte| *byte == b'/');
        let name = components.next_back().unwrap_or_default();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut folder = openat(&self.root, ".", flags, Mode::empty())?;
        for component in components {
            folder = openat(&folder, component, flags, Mode::empty())?;
        }
        Ok((folder, name))
    }
}

impl HeadFiles for FileTree {
    fn exists(&self, path: &RepoPath) -> bool {
        self.size(path).is_some()
    }

    fn read_file(&self, path: &RepoPath) -> Option<Vec<u8>> {
        self.read(path).ok()?.into_text()
    }
}

/// Opens `name` in `folder` if it is a regular file. The file's type is checked before opening, because
/// opening a device can have effects and opening a FIFO can block. The type is checked again after opening,
/// because the file may have been replaced in between.
///
/// # Errors
///
/// [`FileOpenError`], with the reason why the file is not opened.
pub fn open_regular(folder: impl AsFd, name: &[u8]) -> Result<File, FileOpenError> {
    let before = statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
    match FileType::from_raw_mode(before.st_mode) {
        FileType::RegularFile => {}
        FileType::Symlink => return Err(FileOpenError::Link),
        FileType::Directory
        | FileType::Fifo
        | FileType::Socket
        | FileType::CharacterDevice
        | FileType::BlockDevice
        | FileType::Unknown => return Err(FileOpenError::NotRegular),
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let opened = openat(&folder, name, flags, Mode::empty())?;
    match FileType::from_raw_mode(fstat(&opened)?.st_mode) == FileType::RegularFile {
        true => Ok(File::from(opened)),
        false => Err(FileOpenError::NotRegular),
    }
}

/// Reads a file that is not larger than [`MAX_FILE_BYTES`].
fn read_bounded(file: File) -> Result<Vec<u8>, SkipReason> {
    // If the file's reported size exceeds the limit, only the beginning of the file is read, to detect binary
    // content. Otherwise, one byte beyond the limit is requested, to detect a file that is larger than its
    // reported size.
    let too_large = file.metadata().is_ok_and(|facts| facts.len() > MAX_FILE_BYTES);
    let limit = if too_large { PROBE_BYTES as u64 } else { MAX_FILE_BYTES + 1 };
    let mut bytes = Vec::new();
    let read = file.take(limit).read_to_end(&mut bytes).map_err(|_| SkipReason::Unreadable)?;
    if too_large || read as u64 > MAX_FILE_BYTES {
        let probe = bytes.get(..PROBE_BYTES).unwrap_or(&bytes);
        return Err(if has_binary_start(probe) { SkipReason::Binary } else { SkipReason::TooLarge });
    }
    Ok(bytes)
}
