//! Opening changed files below a tree that may be hostile: no link is followed in any component, nothing but
//! regular files is opened, and no more than a bounded number of bytes is read.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, fstat, open, openat, statat};
use truing_core::outcome::SkipReason;
use truing_core::port::ReaderError;
use truing_diff::RepoPath;

use crate::content::{Content, PROBE_BYTES, begins_binary};
use crate::rules::companion::Head;

/// The largest file that is read, in bytes (5 MiB).
pub(crate) const MAX_FILE_BYTES: u64 = 5 * 1024 * 1024;

/// The folder that holds the head's files. The path to it is the operator's and may contain links; nothing
/// below it may.
#[derive(Debug)]
pub struct Tree {
    root: OwnedFd,
}

impl Tree {
    /// Opens the folder.
    ///
    /// # Errors
    /// [`ReaderError::Failed`]
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

    /// The content of a file, or why it is not read: of one that is too large to be, whether it is binary.
    pub(crate) fn read(&self, path: &RepoPath) -> Result<Content, SkipReason> {
        self.bytes(path).map(Content::of)
    }

    /// The bytes of a file, or why it is not read.
    ///
    /// # Errors
    /// [`SkipReason::Symlink`]; [`SkipReason::TooLarge`], or [`SkipReason::Binary`] if it is that too;
    /// [`SkipReason::Unreadable`] for anything else that is no file, also one behind a link.
    pub fn bytes(&self, path: &RepoPath) -> Result<Vec<u8>, SkipReason> {
        self.within_folder(path, read_regular)
    }

    /// The size of a regular file, in bytes.
    pub(crate) fn size(&self, path: &RepoPath) -> Option<u64> {
        let size = |folder: BorrowedFd<'_>, name: &[u8]| {
            let found =
                statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).map_err(|_| SkipReason::Unreadable)?;
            let regular = FileType::from_raw_mode(found.st_mode) == FileType::RegularFile;
            u64::try_from(found.st_size).ok().filter(|_| regular).ok_or(SkipReason::Unreadable)
        };
        self.within_folder(path, size).ok()
    }

    /// Opens the folder that holds a file and does something with the file's name in it.
    fn within_folder<T>(
        &self,
        path: &RepoPath,
        work: impl FnOnce(BorrowedFd<'_>, &[u8]) -> Result<T, SkipReason>,
    ) -> Result<T, SkipReason> {
        if !path.is_inside() {
            return Err(SkipReason::Unreadable);
        }
        let mut components = path.as_bytes().split(|byte| *byte == b'/').peekable();
        let mut folder: Option<OwnedFd> = None;
        while let Some(name) = components.next() {
            let parent = folder.as_ref().map_or(self.root.as_fd(), |folder| folder.as_fd());
            if components.peek().is_none() {
                return work(parent, name);
            }
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            folder = Some(openat(parent, name, flags, Mode::empty()).map_err(|_| SkipReason::Unreadable)?);
        }
        Err(SkipReason::Unreadable)
    }
}

impl Head for Tree {
    fn exists(&self, path: &RepoPath) -> bool {
        self.size(path).is_some()
    }

    fn text(&self, path: &RepoPath) -> Option<Vec<u8>> {
        self.read(path).ok()?.into_text()
    }
}

/// Reads `name` in `folder` if it is a regular file. Its type is asked for before it is opened, because opening
/// a device can act and opening a FIFO can wait, and again after, because it can be exchanged in between.
fn read_regular(folder: BorrowedFd<'_>, name: &[u8]) -> Result<Vec<u8>, SkipReason> {
    let before = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).map_err(|_| SkipReason::Unreadable)?;
    match FileType::from_raw_mode(before.st_mode) {
        FileType::RegularFile => {}
        FileType::Symlink => return Err(SkipReason::Symlink),
        FileType::Directory
        | FileType::Fifo
        | FileType::Socket
        | FileType::CharacterDevice
        | FileType::BlockDevice
        | FileType::Unknown => return Err(SkipReason::Unreadable),
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let opened = openat(folder, name, flags, Mode::empty()).map_err(|_| SkipReason::Unreadable)?;
    let after = fstat(&opened).map_err(|_| SkipReason::Unreadable)?;
    if FileType::from_raw_mode(after.st_mode) != FileType::RegularFile {
        return Err(SkipReason::Unreadable);
    }

    // Of a file that says it is too large only the beginning is read, to tell whether it is text at all. Of others,
    // one byte more than allowed tells one that is too large, whatever size it claims.
    let too_large = u64::try_from(after.st_size).is_ok_and(|size| size > MAX_FILE_BYTES);
    let limit = if too_large { PROBE_BYTES as u64 } else { MAX_FILE_BYTES + 1 };
    let mut bytes = Vec::new();
    let read = File::from(opened).take(limit).read_to_end(&mut bytes).map_err(|_| SkipReason::Unreadable)?;
    if too_large || read as u64 > MAX_FILE_BYTES {
        let probe = bytes.get(..PROBE_BYTES).unwrap_or(&bytes);
        return Err(if begins_binary(probe) { SkipReason::Binary } else { SkipReason::TooLarge });
    }
    Ok(bytes)
}
