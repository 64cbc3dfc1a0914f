//! A copy of the file while it is in use, and forgetting what is old.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use truing_core::id::Millis;
use truing_core::port::StoreError;

use super::fault::{Fault, sql_message};
use super::runs::row;
use super::{Sqlite, open};

/// Rows that one write forgets: others wait for no longer than that takes.
pub(super) const BATCH: i64 = 256;

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// Something is there already.
    #[error("{} exists already; nothing is overwritten: name another file", path.display())]
    Exists {
        /// The path.
        path: PathBuf,
    },
    /// Somebody makes the same copy now, or did not finish it.
    #[error("{} exists already: a copy is being made, or was interrupted; if nobody makes one, remove it", path.display())]
    Partial {
        /// The unfinished copy.
        path: PathBuf,
    },
    /// The copy cannot be made or kept.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The path.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// SQLite could not do it.
    #[error("{0}")]
    Sqlite(String),
}

/// Where forgetting goes on: after that run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct RunMark {
    ended: i64,
    row: i64,
}

impl Sqlite {
    /// Writes a copy of the whole store, as it is at one instant, to a file that must not exist; durable when this
    /// returns. Others read and write meanwhile. The copy is made beside the file under another name first: what has
    /// the name is whole.
    ///
    /// # Errors
    /// [`BackupError`]; then nothing has the name.
    pub async fn backup(&self, to: &Path) -> Result<(), BackupError> {
        let (from, to) = (self.path().to_owned(), to.to_owned());
        let told = to.clone();
        tokio::task::spawn_blocking(move || copy(&from, &to)).await.unwrap_or_else(|error| {
            Err(BackupError::Write { path: told, source: io::Error::other(error.to_string()) })
        })
    }

    /// Forgets some of the reviews that ended before then: never a key's newest run, nor what is newer than its newest
    /// published one. How many, and where to go on; none at the end.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be written.
    pub async fn forget_runs(
        &self,
        before: Millis,
        after: Option<RunMark>,
    ) -> Result<(usize, Option<RunMark>), StoreError> {
        self.write(move |connection| forget_runs(connection, before, after)).await
    }

    /// Forgets some of the runs of `converge` and `sync` that were kept last before then. How many; 0: there are
    /// no more.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be written.
    pub async fn forget_other_runs(&self, before: Millis) -> Result<usize, StoreError> {
        self.write(move |connection| row::forget_others(connection, before, BATCH)).await
    }

    /// Forgets some of the history from before then. How many lines; 0: there are no more.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be written.
    pub async fn forget_events(&self, before: Millis) -> Result<usize, StoreError> {
        // Ids grow with time, but for a clock that was set back: as a rule the first ones are the oldest, and where
        // they are not, others must not wait while all are looked at.
        let old: Vec<i64> = self
            .read(move |connection| {
                let sql = "SELECT id FROM event WHERE at < ?1 ORDER BY id LIMIT ?2";
                let mut select = connection.prepare_cached(sql)?;
                Ok(select.query_map((before.0, BATCH), |row| row.get(0))?.collect::<Result<_, _>>()?)
            })
            .await?;
        if old.is_empty() {
            return Ok(0);
        }
        self.write(move |connection| {
            let mut delete = connection.prepare_cached("DELETE FROM event WHERE id = ?1")?;
            old.into_iter().try_fold(0, |gone, id| Ok(gone + delete.execute([id])?))
        })
        .await
    }

    /// Forgets some of the comments that were told of before then and are served. How many; 0: there are no more.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be written.
    pub async fn forget_comments(&self, before: Millis) -> Result<usize, StoreError> {
        self.write(move |connection| {
            let sql = "DELETE FROM comment_seen WHERE (forge, repository, kind, id) IN
                       (SELECT forge, repository, kind, id FROM comment_seen
                        WHERE at < ?1 AND served = 1 LIMIT ?2)";
            Ok(connection.prepare_cached(sql)?.execute((before.0, BATCH))?)
        })
        .await
    }

    /// Forgets some of the slots that are held because their pull request is closed, and of which history says
    /// nothing any more. How many; 0: there are no more.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be written.
    pub async fn forget_closed(&self) -> Result<usize, StoreError> {
        self.write(move |connection| {
            let sql = "DELETE FROM slot WHERE key IN
                       (SELECT key FROM slot WHERE shown = 'held/cancelled'
                        AND NOT EXISTS (SELECT 1 FROM event WHERE event.key = slot.key)
                        AND NOT EXISTS (SELECT 1 FROM run WHERE run.key = slot.key AND loop = 'review' AND run.ended IS NULL)
                        LIMIT ?1)";
            Ok(connection.prepare_cached(sql)?.execute([BATCH])?)
        })
        .await
    }
}

fn copy(from: &Path, to: &Path) -> Result<(), BackupError> {
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
    // Made here, with its mode: SQLite fills a file that is empty.
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial);
    drop(made.map_err(|error| {
        let exists = error.kind() == io::ErrorKind::AlreadyExists;
        if exists { BackupError::Partial { path: partial.clone() } } else { failed(&partial)(error) }
    })?);
    let copied = fill(from, &partial).and_then(|()| {
        File::open(&partial).and_then(|file| file.sync_all()).map_err(failed(&partial))?;
        // Unlike a renaming, a second name is refused where something has it by now.
        std::fs::hard_link(&partial, to).map_err(|error| {
            let exists = error.kind() == io::ErrorKind::AlreadyExists;
            if exists { BackupError::Exists { path: to.to_owned() } } else { failed(to)(error) }
        })
    });
    // Its content has its name, or is of no use.
    let _ = std::fs::remove_file(&partial);
    copied?;
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed(folder))
}

fn fill(from: &Path, partial: &Path) -> Result<(), BackupError> {
    let work = || -> rusqlite::Result<()> {
        let connection = open::read_only(from)?;
        let name = partial.to_str().ok_or_else(|| rusqlite::Error::InvalidPath(partial.to_owned()))?;
        connection.execute("VACUUM INTO ?1", [name])?;
        Ok(())
    };
    work().map_err(|error| BackupError::Sqlite(sql_message(partial, &error)))
}

fn forget_runs(
    connection: &Connection,
    before: Millis,
    after: Option<RunMark>,
) -> Result<(usize, Option<RunMark>), Fault> {
    let after = after.unwrap_or(RunMark { ended: i64::MIN, row: i64::MIN });
    let sql = "SELECT ended, rowid, key, token FROM run
               WHERE loop = 'review' AND ended < ?1 AND (ended, rowid) > (?2, ?3) ORDER BY ended, rowid LIMIT ?4";
    let looked: Vec<(RunMark, String, u64)> = connection
        .prepare_cached(sql)?
        .query_and_then((before.0, after.ended, after.row, BATCH), |row| {
            Ok::<_, Fault>((RunMark { ended: row.get(0)?, row: row.get(1)? }, row.get(2)?, row.get(3)?))
        })?
        .collect::<Result<_, _>>()?;
    // What came before the newest published run is no longer needed; where there is none, what came before the
    // newest run. A run that never ended goes with the next one that did.
    let sql = "DELETE FROM run WHERE key = ?1 AND loop = 'review' AND token <= ?2 AND began < ?3
               AND token < coalesce((SELECT max(token) FROM run WHERE key = ?1 AND stage = 'published'),
                                    (SELECT max(token) FROM run WHERE key = ?1 AND loop = 'review'))";
    let mut delete = connection.prepare_cached(sql)?;
    let mut gone = 0;
    for (_, key, token) in &looked {
        gone += delete.execute((key, token, before.0))?;
    }
    Ok((gone, looked.last().map(|(mark, ..)| *mark)))
}
