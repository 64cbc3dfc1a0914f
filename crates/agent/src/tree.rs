//! Reads and replaces files of a tree without following a link or leaving the tree. A file is replaced
//! completely or not at all, and only if it still contains the expected bytes.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{
    AtFlags, Dir, FileType, Gid, Mode, OFlags, RawMode, Stat, Uid, fchmod, fchown, fstat, fsync, mkdirat,
    openat, renameat, statat, unlinkat,
};
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use truing_core::RepoPath;
use truing_core::port::ReaderError;
use truing_reader::{FileOpenError, MAX_FILE_BYTES, open_regular};

/// Prefix of a temporary file's name, followed by the process id. A file's new content has this name until it
/// is complete. If the machine stops earlier, the temporary file remains and `git status` lists it.
const TEMPORARY_FILE_PREFIX: &str = ".truing-fix-";
/// Mode of new files, before the process's umask; the next constant is the mode of new folders.
const NEW_FILE_MODE: RawMode = 0o666;
const NEW_FOLDER_MODE: RawMode = 0o777;

/// The reason that a file stays unchanged.
#[derive(Debug, thiserror::Error)]
pub enum ReplaceError {
    /// The file's bytes differ from the expected bytes.
    #[error("the file has changed since the review")]
    ContentChanged,
    /// The path does not lead to a regular file inside the tree, or it contains a link.
    #[error("it is not a regular file inside of the repository")]
    NotRegularFile,
    /// The file cannot be read or written.
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl From<Errno> for ReplaceError {
    fn from(error: Errno) -> Self {
        FileOpenError::from(error).into()
    }
}

impl From<FileOpenError> for ReplaceError {
    fn from(error: FileOpenError) -> Self {
        match error {
            FileOpenError::Link | FileOpenError::NotRegular => Self::NotRegularFile,
            FileOpenError::OsError(Errno::NOENT) => Self::ContentChanged,
            FileOpenError::OsError(other) => Self::Io(other.into()),
        }
    }
}

/// An attribute that a file loses when it is replaced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LostAttribute {
    /// The owner: only a privileged user may give files to other users.
    Owner,
    /// The other hard links to the file. These links still refer to the old content, because a write through
    /// them could change a file outside the repository.
    HardLinks,
}

impl fmt::Display for LostAttribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Owner => "the file belonged to another user or group, and belongs to you now",
            Self::HardLinks => "the file's other names (hard links) still have the earlier content",
        })
    }
}

/// A folder whose files are read and replaced.
#[derive(Debug)]
pub struct WritableTree(truing_reader::FileTree);

impl WritableTree {
    /// Opens the folder. The path of the folder may contain links, but a path inside the folder must not.
    ///
    /// # Errors
    /// [`ReaderError`] if the folder does not exist, or the path is not a folder.
    pub fn open(path: &Path) -> Result<Self, ReaderError> {
        truing_reader::FileTree::open(path).map(Self)
    }

    /// Returns the content of a regular file.
    ///
    /// # Errors
    /// [`ReplaceError`]
    pub fn read(&self, path: &RepoPath) -> Result<Vec<u8>, ReplaceError> {
        let (folder, name) = self.open_parent(path)?;
        Ok(read_regular_file(&folder, name)?.0)
    }

    /// Checks that a regular file holds these bytes.
    ///
    /// # Errors
    /// [`ReplaceError`] if the content differs, or if the file cannot be read.
    pub fn check_content(&self, path: &RepoPath, bytes: &[u8]) -> Result<(), ReplaceError> {
        if self.read(path)? == bytes { Ok(()) } else { Err(ReplaceError::ContentChanged) }
    }

    /// Replaces a file that contains the bytes `old`. The new file gets the mode of the old file and, where
    /// the system allows it, the owner. Returns the attributes that the file has lost.
    ///
    /// # Errors
    /// [`ReplaceError`]; in case of an error, the file is unchanged.
    pub fn replace(
        &self,
        path: &RepoPath,
        old: &[u8],
        new: &[u8],
    ) -> Result<Vec<LostAttribute>, ReplaceError> {
        let (folder, name) = self.open_parent(path)?;
        let (bytes, stat) = read_regular_file(&folder, name)?;
        if bytes != old {
            return Err(ReplaceError::ContentChanged);
        }
        let temporary = temporary_name(std::process::id());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&folder, temporary.as_str(), flags, Mode::RUSR | Mode::WUSR)?;
        let replaced = write_new_file(file, new, &stat).and_then(|owned| {
            // The content is compared a second time, because an editor may have saved the file since the
            // first comparison.
            if read_regular_file(&folder, name)?.0 != old {
                return Err(ReplaceError::ContentChanged);
            }
            renameat(&folder, temporary.as_str(), &folder, name)?;
            let lost = [(!owned, LostAttribute::Owner), (stat.st_nlink > 1, LostAttribute::HardLinks)];
            Ok(lost.into_iter().filter_map(|(is_lost, what)| is_lost.then_some(what)).collect())
        });
        if replaced.is_err() {
            // The error is ignored, because a leftover temporary file is harmless.
            let _ = unlinkat(&folder, temporary.as_str(), AtFlags::empty());
        }
        replaced
    }

    /// Creates a new file, and the missing folders above it.
    ///
    /// # Errors
    /// [`ReplaceError`]; in case of an error, no file is created, and an existing file is unchanged.
    pub fn create(&self, path: &RepoPath, bytes: &[u8]) -> Result<(), ReplaceError> {
        self.create_folders(path)?;
        let (folder, name) = self.open_parent(path)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(openat(&folder, name, flags, Mode::from_raw_mode(NEW_FILE_MODE))?);
        let written = file.write_all(bytes);
        if written.is_err() {
            // Removes the partial file, because it is useless.
            let _ = unlinkat(&folder, name, AtFlags::empty());
        }
        Ok(written?)
    }

    /// Creates the missing folders above a file.
    fn create_folders(&self, path: &RepoPath) -> Result<(), ReplaceError> {
        let bytes = path.as_bytes();
        let ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
        for end in ends {
            let above = RepoPath::from_bytes(bytes.get(..end).unwrap_or_default());
            let (folder, name) = self.open_parent(&above)?;
            match mkdirat(&folder, name, Mode::from_raw_mode(NEW_FOLDER_MODE)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Removes the temporary file that a killed process has left in the folder of the file `path`. The name
    /// identifies the temporary file, because no other file has it.
    pub fn remove_temporary(&self, path: &RepoPath, process_id: u32) {
        if let Ok((folder, _)) = self.open_parent(path) {
            // The error is ignored, because usually there is no such file, and a leftover is harmless.
            let _ = unlinkat(&folder, temporary_name(process_id).as_str(), AtFlags::empty());
        }
    }

    /// Removes the temporary files that killed processes have left in the folder of a file. While this
    /// function runs, no other process may replace files of this tree. Files with this process's id are
    /// removed too, because an earlier process may have had the same id.
    pub fn remove_leftovers(&self, path: &RepoPath) {
        let Ok((folder, _)) = self.open_parent(path) else { return };
        let Ok(entries) = Dir::read_from(&folder) else { return };
        for entry in entries.flatten().filter(|entry| is_leftover(entry.file_name().to_bytes())) {
            let name = entry.file_name();
            let is_file = |stat: &Stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
            if statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|stat| is_file(&stat)) {
                // The error is ignored, because a leftover is harmless.
                let _ = unlinkat(&folder, name, AtFlags::empty());
            }
        }
    }

    /// Returns the folder that holds a file, and the file's name in it. A path inside git's folder is an
    /// error.
    fn open_parent<'path>(&self, path: &'path RepoPath) -> Result<(OwnedFd, &'path [u8]), ReplaceError> {
        if !path.is_safe_to_write() {
            return Err(ReplaceError::NotRegularFile);
        }
        Ok(self.0.open_folder(path)?)
    }
}

/// Returns the name that a process gives to a file until it is complete.
fn temporary_name(process_id: u32) -> String {
    format!("{TEMPORARY_FILE_PREFIX}{process_id}")
}

/// Returns true for the name of a temporary file whose process does not exist, or is this process.
fn is_leftover(name: &[u8]) -> bool {
    let id = name.strip_prefix(TEMPORARY_FILE_PREFIX.as_bytes()).and_then(|id| std::str::from_utf8(id).ok());
    let Some(id) =
        id.and_then(|id| id.parse::<u32>().ok()).filter(|id| temporary_name(*id).as_bytes() == name)
    else {
        return false;
    };
    let Some(process) = i32::try_from(id).ok().and_then(Pid::from_raw) else { return false };
    id == std::process::id() || test_kill_process(process) == Err(Errno::SRCH)
}

/// Returns the bytes and attributes of a regular file. A file above the size limit counts as changed, because
/// no reviewed file is that large.
fn read_regular_file(folder: &OwnedFd, name: &[u8]) -> Result<(Vec<u8>, Stat), ReplaceError> {
    let file = open_regular(folder, name)?;
    let stat = fstat(&file)?;
    let mut bytes = Vec::new();
    let read = file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if read as u64 > MAX_FILE_BYTES {
        return Err(ReplaceError::ContentChanged);
    }
    Ok((bytes, stat))
}

/// Writes the content of a new file. Gives the file the mode of the original file and, if possible, its
/// owner. Returns true if both files then have the same owner.
fn write_new_file(file: OwnedFd, bytes: &[u8], original_stat: &Stat) -> Result<bool, ReplaceError> {
    let mut file = File::from(file);
    file.write_all(bytes)?;
    let new = fstat(&file)?;
    let owned = (new.st_uid, new.st_gid) == (original_stat.st_uid, original_stat.st_gid)
        || fchown(
            &file,
            Some(Uid::from_raw(original_stat.st_uid)),
            Some(Gid::from_raw(original_stat.st_gid)),
        )
        .is_ok();
    // The mode is set after the owner, because a change of the owner clears some mode bits.
    fchmod(&file, Mode::from_raw_mode(original_stat.st_mode))?;
    fsync(&file)?;
    Ok(owned)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn tree() -> (tempfile::TempDir, WritableTree) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("r/d")).unwrap();
        std::fs::write(folder.path().join("r/d/a"), "old").unwrap();
        let tree = WritableTree::open(&folder.path().join("r")).unwrap();
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
        assert!(matches!(tree.replace(&"d/a".into(), b"old", b"x"), Err(ReplaceError::ContentChanged)));
        assert!(matches!(tree.replace(&"d/b".into(), b"", b"x"), Err(ReplaceError::ContentChanged)));
        assert_eq!(std::fs::read_dir(folder.path().join("r/d")).unwrap().count(), 1, "nothing else is left");
    }

    #[test]
    fn what_killed_processes_have_left_is_removed_and_nothing_else() {
        let (folder, tree) = tree();
        let root = folder.path().join("r");
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        let (gone, parent) = (child.id(), std::os::unix::process::parent_id());
        let left = [gone, std::process::id()].map(temporary_name);
        let kept = [
            temporary_name(parent),
            format!("{TEMPORARY_FILE_PREFIX}0{gone}"),
            format!("{TEMPORARY_FILE_PREFIX}{gone}x"),
            format!("{TEMPORARY_FILE_PREFIX}mine"),
            TEMPORARY_FILE_PREFIX.to_owned(),
            format!("x{TEMPORARY_FILE_PREFIX}{gone}"),
        ];
        for name in left.iter().chain(&kept) {
            std::fs::write(root.join("d").join(name), "").unwrap();
        }
        std::fs::write(root.join(temporary_name(gone)), "").unwrap();
        tree.remove_leftovers(&"d/a".into());
        assert!(left.iter().all(|name| !root.join("d").join(name).exists()));
        assert!(kept.iter().all(|name| root.join("d").join(name).exists()));
        assert!(
            root.join("d/a").exists() && root.join(temporary_name(gone)).exists(),
            "it is not in that folder"
        );
        for name in kept {
            std::fs::remove_file(root.join("d").join(name)).unwrap();
        }
        // A link is not removed, because a process leaves only regular files.
        symlink("a", root.join("d").join(temporary_name(gone))).unwrap();
        tree.remove_leftovers(&"d/a".into());
        assert!(root.join("d").join(temporary_name(gone)).is_symlink());
    }

    #[test]
    fn a_file_keeps_its_owner_and_its_other_names_keep_what_they_held() {
        use std::os::unix::fs::MetadataExt as _;
        let (folder, tree) = tree();
        let (file, other) = (folder.path().join("r/d/a"), folder.path().join("other"));
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o444)).unwrap();
        std::fs::hard_link(&file, &other).unwrap();
        // Only a privileged user can change the owner of a file.
        let is_given = std::os::unix::fs::chown(&file, Some(12345), Some(12345)).is_ok();
        assert_eq!(tree.replace(&"d/a".into(), b"old", b"new").unwrap(), [LostAttribute::HardLinks]);
        assert_eq!(std::fs::read(&other).unwrap(), b"old");
        let now = file.metadata().unwrap();
        assert_eq!(now.permissions().mode() & 0o7777, 0o444);
        assert!(!is_given || (now.uid(), now.gid()) == (12345, 12345));
        assert_eq!(tree.replace(&"d/a".into(), b"new", b"old").unwrap(), []);
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
            assert!(matches!(kept, Err(ReplaceError::NotRegularFile)), "{path}: {kept:?}");
            assert!(tree.create(&path.into(), b"new").is_err(), "{path}");
            let below = tree.create(&format!("{path}/new").as_str().into(), b"new");
            assert_eq!(below.is_ok(), path == "d", "{path}: {below:?}");
        }
        for file in ["r/d/a", "out", "r/.git/a"] {
            assert_eq!(std::fs::read(folder.path().join(file)).unwrap(), b"old", "{file}");
        }
    }
}
