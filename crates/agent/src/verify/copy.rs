//! Copies folders whose content may be hostile. The copy follows no links and creates no special files. The
//! copy keeps hard links, and the times of files, because builds depend on these times.

use std::collections::HashMap;
use std::fs::{File, FileTimes, Metadata, Permissions};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::SeekFrom;

use super::usage::BLOCK_BYTES;

/// Mode bits that are copied. The mask excludes set-user-id and set-group-id.
const COPIED_MODE_BITS: u32 = 0o777;
/// Mode bits that the owner of a folder needs to work in it.
const OWNER_ACCESS_MODE: u32 = 0o700;
/// Maximum number of bytes of a path that an error message shows.
const MAX_ERROR_PATH_BYTES: usize = 200;

/// Copies everything from the folder `from` that the existing folder `to` lacks. Existing files stay
/// unchanged, and folders that exist in both are merged. Only folders, regular files and links are copied.
/// Returns an error if the files are larger than `max_bytes` in total. The size of a file is its length, even
/// if it has holes and uses less space on the disk.
///
/// # Errors
/// An I/O error of the disk, or an error if the files exceed the limit. In both cases, the copy is
/// incomplete.
pub(crate) fn copy_missing(from: &Path, to: &Path, max_bytes: u64) -> io::Result<()> {
    let mut copy = FolderCopy { remaining_bytes: max_bytes, copied_hard_links: HashMap::new() };
    copy.copy_folder(from, to)
}

/// Adds a file's path to an error. If the path is long, adds only its end.
pub(super) fn error_at_path(path: &Path, error: io::Error) -> io::Error {
    let text = path.display().to_string();
    let from = text.ceil_char_boundary(text.len().saturating_sub(MAX_ERROR_PATH_BYTES));
    let cut = if from > 0 { "…" } else { "" };
    io::Error::new(error.kind(), format!("{cut}{}: {error}", text.get(from..).unwrap_or_default()))
}

struct FolderCopy {
    /// Number of bytes that may still be copied.
    remaining_bytes: u64,
    /// For each file with several hard links, the path of its first copy, by the original's device and inode
    /// number.
    copied_hard_links: HashMap<(u64, u64), PathBuf>,
}

impl FolderCopy {
    fn copy_folder(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        for entry in std::fs::read_dir(from)? {
            let entry = entry?;
            let name = entry.file_name();
            let (source, target) = (entry.path(), to.join(&name));
            let (found, there) = (entry.metadata()?, target.symlink_metadata().ok());
            match there {
                Some(there) if there.is_dir() && found.is_dir() => self.copy_folder(&source, &target)?,
                Some(_) => {}
                None => self.copy_entry(&source, &target, &found).map_err(|error| match error.get_ref() {
                    // An error with an inner error already contains a path in its message.
                    Some(_) => error,
                    None => error_at_path(&source, error),
                })?,
            }
        }
        Ok(())
    }

    fn copy_entry(&mut self, source: &Path, target: &Path, metadata: &Metadata) -> io::Result<()> {
        if metadata.is_dir() {
            std::fs::create_dir(target)?;
            self.copy_folder(source, target)?;
            // The folder's mode is set last, because it may forbid the creation of files.
            std::fs::set_permissions(
                target,
                Permissions::from_mode(metadata.mode() & COPIED_MODE_BITS | OWNER_ACCESS_MODE),
            )?;
            return File::open(target)?.set_times(file_times(metadata)?);
        }
        if metadata.is_symlink() {
            return symlink(std::fs::read_link(source)?, target);
        }
        if !metadata.is_file() {
            return Ok(());
        }
        let number = (metadata.dev(), metadata.ino());
        if metadata.nlink() > 1
            && let Some(first) = self.copied_hard_links.get(&number)
        {
            return std::fs::hard_link(first, target);
        }
        let too_much = || {
            let reason = "its files together exceed the limit for written data (`verify.disk_mib`)";
            io::Error::new(io::ErrorKind::StorageFull, reason)
        };
        self.remaining_bytes = self.remaining_bytes.checked_sub(metadata.len()).ok_or_else(too_much)?;
        copy_file(source, target, metadata)?;
        if metadata.nlink() > 1 {
            self.copied_hard_links.insert(number, target.to_owned());
        }
        Ok(())
    }
}

/// Copies a file. If the file system supports it, the copy shares its blocks with the original until one of
/// the two files is changed.
fn copy_file(source: &Path, target: &Path, metadata: &Metadata) -> io::Result<()> {
    let (from, to) = (File::open(source)?, File::create_new(target)?);
    if truing_system::share_blocks(&from, &to).is_err() {
        if metadata.blocks().saturating_mul(BLOCK_BYTES) < metadata.len() {
            copy_sparse_file(&from, &to, metadata.len())?;
        } else {
            io::copy(&mut &from, &mut &to)?;
        }
    }
    to.set_permissions(Permissions::from_mode(metadata.mode() & COPIED_MODE_BITS))?;
    to.set_times(file_times(metadata)?)
}

/// Copies a file that has holes, and keeps the holes.
fn copy_sparse_file(from: &File, to: &File, len: u64) -> io::Result<()> {
    let mut at = 0;
    while at < len {
        let start = match rustix::fs::seek(from, SeekFrom::Data(at)) {
            Ok(start) => start,
            // The rest of the file is a hole.
            Err(rustix::io::Errno::NXIO) => break,
            Err(error) => return Err(error.into()),
        };
        at = rustix::fs::seek(from, SeekFrom::Hole(start))?;
        rustix::fs::seek(from, SeekFrom::Start(start))?;
        rustix::fs::seek(to, SeekFrom::Start(start))?;
        io::copy(&mut from.take(at.saturating_sub(start)), &mut &*to)?;
    }
    to.set_len(len)
}

fn file_times(metadata: &Metadata) -> io::Result<FileTimes> {
    Ok(FileTimes::new().set_accessed(metadata.accessed()?).set_modified(metadata.modified()?))
}

/// Removes everything from `folder` that also exists in `original`, except folders that exist in both. Only
/// new files remain.
///
/// # Errors
/// An I/O error of the disk.
pub(crate) fn remove_common_entries(folder: &Path, original: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let (path, before) = (entry.path(), original.join(entry.file_name()));
        let Ok(before_is) = before.symlink_metadata() else { continue };
        match (entry.metadata()?.is_dir(), before_is.is_dir()) {
            (true, true) => remove_common_entries(&path, &before)?,
            (true, false) => std::fs::remove_dir_all(&path)?,
            (false, _) => std::fs::remove_file(&path)?,
        }
    }
    Ok(())
}

/// Makes `folder` and every folder below it accessible to the owner. Call this function before removing a
/// folder, because a program may have forbidden access to folders inside it.
///
/// # Errors
/// An I/O error of the disk.
pub(crate) fn make_accessible(folder: &Path) -> io::Result<()> {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let mode = folder.symlink_metadata()?.mode();
        if mode & OWNER_ACCESS_MODE != OWNER_ACCESS_MODE {
            std::fs::set_permissions(
                &folder,
                Permissions::from_mode(mode & COPIED_MODE_BITS | OWNER_ACCESS_MODE),
            )?;
        }
        for entry in std::fs::read_dir(&folder).map_err(|error| error_at_path(&folder, error))? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt as _;

    use super::*;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    #[test]
    fn a_copy_is_what_was_there_and_follows_no_link() {
        let (from, to, outside) = (folder(), folder(), folder());
        let at = |name: &str| from.path().join(name);
        std::fs::create_dir_all(at("a/b")).unwrap();
        std::fs::write(at("a/b/file"), "text").unwrap();
        std::fs::hard_link(at("a/b/file"), at("a/other")).unwrap();
        std::fs::set_permissions(at("a/b/file"), Permissions::from_mode(0o4755)).unwrap();
        let old = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
        File::open(at("a/b/file")).unwrap().set_times(FileTimes::new().set_modified(old)).unwrap();
        std::fs::write(outside.path().join("secret"), "secret").unwrap();
        symlink(outside.path(), at("out")).unwrap();
        // The target already has a link with the name of a folder in the source, and a file with the name of
        // a file in the source. The copy must neither follow the link nor change the file.
        std::fs::create_dir(at("taken")).unwrap();
        std::fs::write(at("taken/new"), "new").unwrap();
        symlink(outside.path(), to.path().join("taken")).unwrap();
        std::fs::write(at("kept"), "theirs").unwrap();
        std::fs::write(to.path().join("kept"), "ours").unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            at("pipe"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR,
            0,
        )
        .unwrap();

        copy_missing(from.path(), to.path(), 100).unwrap();
        let copied = |name: &str| to.path().join(name);
        let (file, other) = (copied("a/b/file").metadata().unwrap(), copied("a/other").metadata().unwrap());
        assert_eq!((file.ino(), file.mode() & 0o7777), (other.ino(), 0o755));
        assert_eq!(file.modified().unwrap(), old);
        assert_eq!(std::fs::read_link(copied("out")).unwrap(), outside.path());
        assert_eq!(std::fs::read_to_string(copied("kept")).unwrap(), "ours");
        assert!(!outside.path().join("new").exists() && !copied("pipe").exists());
        // A change to the copied file must not change the original.
        std::fs::write(copied("a/b/file"), "changed").unwrap();
        assert_eq!(std::fs::read_to_string(at("a/b/file")).unwrap(), "text");
    }

    #[test]
    fn a_file_of_holes_is_not_filled() {
        let (from, to) = (folder(), folder());
        File::create(from.path().join("holes")).unwrap().set_len(1 << 40).unwrap();
        let error = copy_missing(from.path(), to.path(), 1 << 30).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert_eq!(std::fs::read_dir(to.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_copy_of_a_file_with_holes_has_them_too() {
        let (from, to) = (folder(), folder());
        let source = File::create(from.path().join("holes")).unwrap();
        for at in [1 << 20, 64 << 20] {
            source.write_all_at(b"here", at).unwrap();
        }
        source.set_len(128 << 20).unwrap();
        copy_sparse_file(
            &File::open(from.path().join("holes")).unwrap(),
            &File::create(to.path().join("a")).unwrap(),
            128 << 20,
        )
        .unwrap();
        copy_missing(from.path(), to.path(), 1 << 30).unwrap();
        for name in ["a", "holes"] {
            let copy = File::open(to.path().join(name)).unwrap();
            let found = copy.metadata().unwrap();
            assert!(found.len() == 128 << 20 && found.blocks() * BLOCK_BYTES < 1 << 20, "{name}: {found:?}");
            let mut text = [0; 5];
            copy.read_exact_at(&mut text, 64 << 20).unwrap();
            assert_eq!(&text, b"here\0");
        }
    }

    #[test]
    fn an_error_names_the_end_of_a_long_path() {
        let path = PathBuf::from("/x".repeat(3000));
        let told = error_at_path(&path, io::Error::from_raw_os_error(36)).to_string();
        assert!(
            told.starts_with('…') && told.len() < 300 && told.contains("/x: File name too long"),
            "{told}"
        );
    }

    #[test]
    fn what_is_new_is_kept_and_nothing_else() {
        let (folder, original) = (folder(), folder());
        let (at, was) = (|name: &str| folder.path().join(name), |name: &str| original.path().join(name));
        for here in [at("src"), was("src"), at(".venv/bin"), at("was_a_file")] {
            std::fs::create_dir_all(here).unwrap();
        }
        for file in [at("src/a"), was("src/a"), at("src/made"), at(".venv/bin/python"), was("was_a_file")] {
            std::fs::write(file, "").unwrap();
        }
        std::fs::write(at("src/a"), "changed").unwrap();
        std::fs::set_permissions(at(".venv/bin"), Permissions::from_mode(0o500)).unwrap();
        make_accessible(folder.path()).unwrap();
        assert_eq!(at(".venv/bin").metadata().unwrap().mode() & 0o777, 0o700);
        remove_common_entries(folder.path(), original.path()).unwrap();
        assert!(at("src/made").is_file() && at(".venv/bin/python").is_file());
        assert!(!at("src/a").exists() && !at("was_a_file").exists());
        assert_eq!(std::fs::read_to_string(was("src/a")).unwrap(), "");
    }
}
