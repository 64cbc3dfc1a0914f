//! Copies the file while it is in use.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::database_file::DatabaseFile;
use super::open;
use crate::fault::StoreFault;
use crate::store::Store;

/// Reasons why no copy was made.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A file with the target's name exists.
    #[error("{} exists already; Truing does not overwrite it: choose another file name", path.display())]
    Exists {
        /// Path of the target.
        path: PathBuf,
    },
    /// Another process is making the same copy, or stopped before the copy was complete.
    #[error("{} exists already: a copy is being made, or was interrupted; if no copy is in progress, remove \
         the file",
        path.display())]
    PartialFileExists {
        /// Path of the unfinished copy.
        path: PathBuf,
    },
    /// The copy cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// Path that cannot be written.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// SQLite returned an error.
    #[error("{0}")]
    Sqlite(String),
    /// The store is on a server and has no file.
    #[error("a PostgreSQL server keeps the records; run `pg_dump --schema=truing` to copy the records")]
    NoDatabaseFile,
}

impl Store {
    /// Writes a copy of the whole store, as of one instant, to a new file. The copy is durable when the
    /// function returns. Other processes can read and write during the copy. The copy is first written to
    /// another name in the same folder. A file with the final name is therefore always complete.
    ///
    /// # Errors
    /// [`BackupError`]. After an error, the file `to` was not created by this call.
    #[truing_core::boxed_future]
    pub async fn backup(&self, to: &Path) -> Result<(), BackupError> {
        let (from, to) =
            (Arc::clone(self.database_file().ok_or(BackupError::NoDatabaseFile)?), to.to_owned());
        let destination = to.clone();
        tokio::task::spawn_blocking(move || copy(&from, &to)).await.unwrap_or_else(|error| {
            Err(BackupError::Write { path: destination, source: io::Error::other(error.to_string()) })
        })
    }
}

fn copy(from: &DatabaseFile, to: &Path) -> Result<(), BackupError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| BackupError::Write { path, source }
    };
    let mut partial = to.to_owned().into_os_string();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    if to.symlink_metadata().is_ok() {
        return Err(BackupError::Exists { path: to.to_owned() });
    }
    // The empty file is created with its permissions here, and SQLite fills it afterwards.
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial);
    drop(made.map_err(|error| {
        let exists = error.kind() == io::ErrorKind::AlreadyExists;
        if exists {
            BackupError::PartialFileExists { path: partial.clone() }
        } else {
            failed(&partial)(error)
        }
    })?);
    let copied = vacuum_into(from, &partial).and_then(|()| {
        File::open(&partial).and_then(|file| file.sync_all()).map_err(failed(&partial))?;
        // A hard link fails if another process has created a file with the same name; a rename would replace
        // that file.
        std::fs::hard_link(&partial, to).map_err(|error| {
            let exists = error.kind() == io::ErrorKind::AlreadyExists;
            if exists { BackupError::Exists { path: to.to_owned() } } else { failed(to)(error) }
        })
    });
    // The partial file is no longer needed: the copy already has its final name, or the copy failed.
    let _ = std::fs::remove_file(&partial);
    copied?;
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed(folder))
}

fn vacuum_into(from: &DatabaseFile, partial: &Path) -> Result<(), BackupError> {
    let work = || -> Result<(), StoreFault> {
        let connection = open::open_reader(from)?;
        let name = partial.to_str().ok_or_else(|| rusqlite::Error::InvalidPath(partial.to_owned()))?;
        connection.execute("VACUUM INTO ?1", [name])?;
        Ok(())
    };
    work().map_err(|fault| BackupError::Sqlite(fault.into_store_error(partial).to_string()))
}
