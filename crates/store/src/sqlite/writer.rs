//! The thread that does all writes, with group commit. Waiting jobs share a transaction, so many small writes
//! need only one disk flush.

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};
use truing_core::port::StoreError;

use crate::sql::{SqlTransaction as Statements, TransactionResult, TransactionWork};

use super::open::SqliteOpenError;
use crate::clock::StoreClock;
use crate::fault::StoreFault;
use crate::watch::StoreMonitor;

/// Number of jobs that the queue holds. If the queue is full, further callers wait.
const QUEUE_CAPACITY: usize = 1024;

/// Largest number of jobs in one transaction. A larger batch would delay the result of its first job.
const MAX_BATCH_JOBS: usize = 256;

/// The queue of the writing thread. When this value is dropped, the waiting jobs are finished and the
/// connection is closed.
pub(super) struct WriterHandle {
    path: Arc<Path>,
    /// `None` only while the handle is being dropped.
    jobs: Option<mpsc::Sender<WriteJob>>,
    thread: Option<JoinHandle<()>>,
}

impl WriterHandle {
    pub(super) fn start(
        mut connection: Connection,
        path: Arc<Path>,
        clock: Arc<StoreClock>,
        monitor: Arc<StoreMonitor>,
    ) -> Result<Self, SqliteOpenError> {
        let (jobs, mut waiting) = mpsc::channel::<WriteJob>(QUEUE_CAPACITY);
        let own_path = Arc::clone(&path);
        let work = move || {
            while let Some(first) = waiting.blocking_recv() {
                let mut batch = vec![first];
                while batch.len() < MAX_BATCH_JOBS
                    && let Ok(next) = waiting.try_recv()
                {
                    batch.push(next);
                }
                commit_and_send_results(&mut connection, &own_path, &clock, &monitor, batch);
            }
        };
        let thread = std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(work)
            .map_err(|source| SqliteOpenError::StartWriterThread { path: path.to_path_buf(), source })?;
        Ok(Self { path, jobs: Some(jobs), thread: Some(thread) })
    }

    pub(super) async fn write(&self, work: TransactionWork) -> Result<TransactionResult, StoreError> {
        let stopped = || {
            StoreError::Unavailable(format!(
                "{}: the thread that writes this file has stopped; restart truing",
                self.path.display()
            ))
        };
        let (caller, answer) = oneshot::channel();
        let jobs = self.jobs.as_ref().ok_or_else(stopped)?;
        jobs.send(WriteJob { work, result: None, caller }).await.map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }
}

impl Drop for WriterHandle {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the thread is not reported here, because its callers get no result and report an
            // error.
            let _ = thread.join();
        }
    }
}

/// A unit of work.
struct WriteJob {
    work: TransactionWork,
    result: Option<Result<TransactionResult, StoreError>>,
    caller: oneshot::Sender<Result<TransactionResult, StoreError>>,
}

impl WriteJob {
    /// Does the work, and keeps the result until the transaction has been committed. Returns false if the
    /// work has to be rolled back.
    fn run(&mut self, connection: &Statements, path: &Path) -> bool {
        let result = (self.work)(connection).map_err(|fault| fault.into_store_error(path));
        self.result.insert(result).is_ok()
    }

    /// Sends the result to the caller. It is no error if the caller no longer waits.
    fn send_result(self, committed: &Result<(), StoreError>) {
        let answer = match (self.result, committed) {
            (Some(Err(own)), _) => Err(own),
            (_, Err(common)) => Err(common.clone()),
            (Some(Ok(value)), Ok(())) => Ok(value),
            (None, Ok(())) => Err(StoreError::Unavailable(
                "a write was not executed, although its transaction was committed".into(),
            )),
        };
        let _ = self.caller.send(answer);
    }
}

fn commit_and_send_results(
    connection: &mut Connection,
    path: &Path,
    clock: &StoreClock,
    monitor: &StoreMonitor,
    mut batch: Vec<WriteJob>,
) {
    let began = Instant::now();
    let committed = commit(connection, path, clock, &mut batch).map_err(|fault| fault.into_store_error(path));
    if let Some(meter) = monitor.write_metrics.get() {
        meter.commit_seconds.observe(began.elapsed().as_secs_f64());
        meter.failures.inc_by(u64::from(committed.is_err()));
    }
    for job in batch {
        job.send_result(&committed);
    }
}

/// Runs all jobs in one transaction. If there are several jobs, each job runs in its own savepoint. If the
/// transaction itself fails, every job that did not fail before gets that error.
fn commit(
    connection: &mut Connection,
    path: &Path,
    clock: &StoreClock,
    batch: &mut [WriteJob],
) -> Result<(), StoreFault> {
    // The transaction is immediate, because SQLite applies no busy timeout when a read transaction starts to
    // write.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    clock.advance_to_stored_time(&*transaction)?;
    let before = transaction.total_changes();
    if let [job] = batch {
        // A single job needs no savepoint, because a rollback of the transaction undoes the whole job. A
        // savepoint would also copy every page that the job changes.
        if !job.run(&*transaction, path) {
            return if transaction.is_autocommit() {
                Err(StoreFault::RolledBack)
            } else {
                Ok(transaction.rollback()?)
            };
        }
    } else {
        for job in batch {
            transaction.prepare_cached("SAVEPOINT job")?.execute([])?;
            if !job.run(&*transaction, path) {
                // After some disk failures, SQLite rolls back the whole transaction instead of only the
                // failed statement.
                if transaction.is_autocommit() {
                    return Err(StoreFault::RolledBack);
                }
                transaction.prepare_cached("ROLLBACK TO job")?.execute([])?;
            }
            transaction.prepare_cached("RELEASE job")?.execute([])?;
        }
    }
    if transaction.total_changes() != before {
        clock.persist(&*transaction)?;
    }
    Ok(transaction.commit()?)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::mpsc::channel;

    use tempfile::TempDir;
    use truing_core::id::UnixMillis;
    use truing_core::port::Clock;

    use super::super::database_file::DatabaseFile;
    use super::super::open;
    use super::*;
    use crate::store::Store;

    struct FrozenClock;

    impl Clock for FrozenClock {
        fn now(&self) -> UnixMillis {
            UnixMillis(1)
        }
    }

    fn store() -> (TempDir, Store, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("truing.db");
        let store = Store::open(&path, Arc::new(FrozenClock)).unwrap();
        (folder, store, path)
    }

    fn insert(connection: &Statements, key: &str) -> Result<(), StoreFault> {
        connection.sql("INSERT INTO slot (key, version, body) VALUES (?1, 1, '')").execute([key]).map(drop)
    }

    fn keys(connection: &Statements) -> Vec<String> {
        let select = connection.sql("SELECT key FROM slot ORDER BY key");
        select.query((), |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    }

    /// Runs the writes as one batch. The writes are queued while an earlier job occupies the thread.
    macro_rules! batch {
        ($store:expr, $($write:expr),+) => {{
            let (release, wait) = channel::<()>();
            let begun = std::sync::Arc::new(tokio::sync::Notify::new());
            let begin = std::sync::Arc::clone(&begun);
            let gate = $store.write(move |_| {
                begin.notify_one();
                let _ = wait.recv();
                Ok(())
            });
            // The job that occupies the thread is not part of the batch. The writes are polled in order, and
            // all of them are queued before that job ends.
            let writes = async {
                begun.notified().await;
                let (answers, ()) = tokio::join!(async { tokio::join!($($write),+) }, async {
                    release.send(()).unwrap();
                });
                answers
            };
            tokio::join!(gate, writes).1
        }};
    }

    #[tokio::test]
    async fn a_failed_job_undoes_itself_and_not_its_neighbours() {
        let (_folder, store, path) = store();
        let (first, bad, last) = batch!(
            store,
            store.write(|connection| insert(connection, "a")),
            store.write(|connection| {
                insert(connection, "half")?;
                insert(connection, "a")
            }),
            store.write(move |connection| {
                insert(connection, "b")?;
                Ok((
                    keys(connection),
                    keys(&open::open_reader(&DatabaseFile::from_path(path.as_path().into()))?),
                ))
            })
        );
        assert_eq!(first, Ok(()));
        assert!(bad.unwrap_err().to_string().contains("UNIQUE constraint failed"));
        let (inside, outside) = last.unwrap();
        assert_eq!(inside, ["a", "b"]);
        assert!(outside.is_empty(), "one transaction for the batch: nothing is visible yet");
        assert_eq!(store.read(|connection| Ok(keys(connection))).await.unwrap(), ["a", "b"]);
    }

    #[tokio::test]
    async fn a_failed_job_that_is_alone_undoes_itself() {
        let (_folder, store, _) = store();
        store.write(|connection| insert(connection, "a")).await.unwrap();
        let bad = store.write(|connection| {
            insert(connection, "half")?;
            insert(connection, "a")
        });
        assert!(bad.await.unwrap_err().to_string().contains("UNIQUE constraint failed"));
        store.write(|connection| insert(connection, "b")).await.unwrap();
        assert_eq!(store.read(|connection| Ok(keys(connection))).await.unwrap(), ["a", "b"]);
    }

    #[tokio::test]
    async fn a_full_disk_is_told_and_acknowledges_nothing() {
        let (_folder, store, path) = store();
        store
            .write(|connection| {
                let pages: i64 = connection.sql("PRAGMA page_count").single_row((), |row| row.get(0))?;
                connection.sql(&format!("PRAGMA max_page_count = {}", pages + 2)).single_row((), |_| Ok(()))
            })
            .await
            .unwrap();
        let (before, full, after) = batch!(
            store,
            store.write(|connection| insert(connection, "a")),
            store.write(|connection| insert(connection, &"x".repeat(1_000_000))),
            store.write(|connection| insert(connection, "b"))
        );
        let told = full.unwrap_err().to_string();
        assert!(told.contains("the disk is full"), "{told}");
        assert!(told.contains(path.to_str().unwrap()), "{told}");
        for neighbour in [before, after] {
            assert!(neighbour.unwrap_err().to_string().contains("try again"));
        }
        assert!(store.read(|connection| Ok(keys(connection))).await.unwrap().is_empty());
        store.write(|connection| insert(connection, "small")).await.unwrap();
    }

    #[tokio::test]
    async fn dropping_the_store_finishes_what_was_accepted() {
        let (_folder, store, path) = store();
        let (release, wait) = channel::<()>();
        let gate = store.write(move |_| Ok(wait.recv().is_ok()));
        let queued = store.write(|connection| insert(connection, "a"));
        // Polls both writes once. This queues the writes, but does not wait for their results.
        let polled = async {
            tokio::select! {
                biased;
                _ = gate => {}
                _ = queued => {}
                () = std::future::ready(()) => {}
            }
        };
        polled.await;
        release.send(()).unwrap();
        drop(store);
        assert_eq!(keys(&Connection::open(path).unwrap()), ["a"]);
    }
}
