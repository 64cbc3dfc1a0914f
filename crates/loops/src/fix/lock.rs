//! Allows one run of fixes at a time in a working tree, and detects the changes of a run that was killed.
//!
//! The lock is a file in the folder of the patches. While a run changes files, the lock file contains a
//! journal: the process id, the path of the patch, and the digest of each file's new content. If there is a
//! journal but no process holds the lock, the run that wrote the journal was killed. The digests then show
//! which files the killed run changed.

use std::ffi::OsString;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use truing_agent::tree::WritableTree;
use truing_diff::RepoPath;

use super::FixPlan;

/// Maximum size of a journal that is read, in bytes (64 MiB). Truing does not write longer journals.
const MAX_JOURNAL_BYTES: u64 = 64 << 20;

/// The reason why the lock cannot be acquired.
#[derive(Debug, thiserror::Error)]
pub enum FixLockError {
    /// Another process holds the lock.
    #[error("another `truing review --fix` is running in this folder")]
    AlreadyRunning,
    /// The folder or the file cannot be used.
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
}

/// The lock that permits changes to the files of a working tree. The lock is released when this value is
/// dropped, or when the process exits.
#[derive(Debug)]
pub struct FixLock {
    file: File,
}

/// The changes that a killed run may have made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InterruptedFix {
    /// The patch that reverts all planned changes. Before it is applied, it must be reduced to the changes
    /// that were completed.
    pub patch: PathBuf,
    process_id: u32,
    /// The files in the patch's order, each with the digest of its new content.
    file_digests: Vec<(String, RepoPath)>,
}

impl FixLock {
    /// Acquires the lock of a working tree. The lock file is in `folder`, which contains the patches.
    ///
    /// # Errors
    /// [`FixLockError`]
    pub fn acquire(folder: &Path, root: &Path) -> Result<Self, FixLockError> {
        let name = digest(root.as_os_str().as_bytes());
        let path = folder.join(format!("{name}.lock"));
        let to_lock_error = |source| FixLockError::Io { path: path.clone(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(to_lock_error)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(&path).map_err(to_lock_error)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { file }),
            Err(TryLockError::WouldBlock) => Err(FixLockError::AlreadyRunning),
            Err(TryLockError::Error(source)) => Err(to_lock_error(source)),
        }
    }

    /// Returns the changes of the previous run, if it was killed.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub fn interrupted_fix(&mut self) -> io::Result<Option<InterruptedFix>> {
        self.file.rewind()?;
        let mut text = Vec::new();
        (&self.file).take(MAX_JOURNAL_BYTES).read_to_end(&mut text)?;
        Ok(parse_journal(&String::from_utf8_lossy(&text)))
    }

    /// Writes the journal, before the first file is changed.
    ///
    /// # Errors
    /// Fails if the journal cannot be written.
    pub fn write_journal(&mut self, patch: &Path, plan: &FixPlan) -> io::Result<()> {
        let mut text = format!("{} {}\n", std::process::id(), hex::encode(patch.as_os_str().as_bytes()));
        for change in &plan.changes {
            text += &format!("{} {}\n", digest(&change.new), hex::encode(change.path.as_bytes()));
        }
        self.clear_journal()?;
        self.file.rewind()?;
        self.file.write_all(text.as_bytes())?;
        self.file.sync_all()
    }

    /// Clears the journal once all changes are done or reported.
    ///
    /// # Errors
    /// Fails if the journal cannot be cleared.
    pub fn clear_journal(&mut self) -> io::Result<()> {
        self.file.set_len(0)
    }
}

impl InterruptedFix {
    /// Returns one flag for each file of the patch: true if the file still has the content that the killed
    /// run wrote. Also removes the temporary files of changes that were not completed.
    pub fn completed_files(&self, tree: &WritableTree) -> Vec<bool> {
        let done = |(new, path): &(String, RepoPath)| {
            tree.remove_temporary(path, self.process_id);
            tree.read(path).is_ok_and(|bytes| digest(&bytes) == *new)
        };
        self.file_digests.iter().map(done).collect()
    }
}

fn digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// Parses a journal. A run changes files only after its whole journal is written, so a truncated journal
/// means that no file was changed.
fn parse_journal(text: &str) -> Option<InterruptedFix> {
    let (first, rest) = text.split_once('\n')?;
    let (process, patch) = first.split_once(' ')?;
    let file = |line: &str| {
        let (new, path) = line.split_once(' ')?;
        Some((new.to_owned(), RepoPath::from_bytes(hex::decode(path).ok()?)))
    };
    Some(InterruptedFix {
        process_id: process.parse().ok()?,
        patch: OsString::from_vec(hex::decode(patch).ok()?).into(),
        file_digests: rest.lines().map_while(file).collect(),
    })
}

impl Drop for FixLock {
    fn drop(&mut self) {
        // A child process that is just being started may still hold the file open, so the lock is released
        // explicitly.
        let _ = self.file.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fix::FixedFile;

    #[test]
    fn a_tree_has_one_run_at_a_time_and_its_journal_outlives_it() {
        let place = tempfile::tempdir().unwrap();
        let (folder, root) = (place.path().join("undo"), place.path().join("r"));
        let mut first = FixLock::acquire(&folder, &root).unwrap();
        assert!(matches!(FixLock::acquire(&folder, &root), Err(FixLockError::AlreadyRunning)));
        assert!(FixLock::acquire(&folder, place.path()).is_ok(), "another tree");
        assert_eq!(first.interrupted_fix().unwrap(), None);

        let change = |path: &[u8]| FixedFile {
            path: RepoPath::from_bytes(path),
            old: "old".into(),
            new: "new".into(),
            fix_count: 1,
        };
        let changes = vec![change(b"a"), change(b"b\xff\n c"), change(b"gone")];
        let plan = FixPlan { changes, ..FixPlan::default() };
        first.write_journal(Path::new("/p 1"), &plan).unwrap();
        drop(first);
        std::fs::create_dir(&root).unwrap();
        std::fs::write(root.join("a"), "new").unwrap();
        std::fs::write(root.join(std::ffi::OsStr::from_bytes(b"b\xff\n c")), "old").unwrap();
        let half = root.join(format!(".truing-fix-{}", std::process::id()));
        std::fs::write(&half, "ne").unwrap();

        let mut next = FixLock::acquire(&folder, &root).unwrap();
        let killed = next.interrupted_fix().unwrap().unwrap();
        assert_eq!(killed.patch, Path::new("/p 1"));
        assert_eq!(killed.completed_files(&WritableTree::open(&root).unwrap()), [true, false, false]);
        assert!(!half.exists());
        next.clear_journal().unwrap();
        assert_eq!(next.interrupted_fix().unwrap(), None);
    }
}
