//! What is remembered of the jobs that follow packages: their state, and the record of each run.

use std::future::Future;

use super::{RunRef, StoreError};
use crate::follow::job::Job;
use crate::follow::record::Record;
use crate::id::{Key, Millis};

/// Jobs and their records. Writes of a run are refused ([`StoreError::Fenced`]) once a newer run of the job has begun.
pub trait Jobs: Send + Sync {
    /// Begins a run, and gives what is remembered of its job. Refused unless its token is greater than the last; the
    /// same run again is accepted.
    fn begin_job(&self, run: &RunRef) -> impl Future<Output = Result<Job, StoreError>> + Send;

    /// Remembers this of the run's job, durably.
    fn keep_job(&self, run: &RunRef, job: &Job) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Ends the run: remembers this of its job, with the record, in one transaction. Repeating it changes nothing.
    fn end_job(
        &self,
        run: &RunRef,
        job: &Job,
        record: &Record,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Every job that ever ran, by its key.
    fn jobs(&self) -> impl Future<Output = Result<Vec<(Key, Job)>, StoreError>> + Send;

    /// The records of runs that ended since then, newest first, of one job or of all.
    fn job_records(
        &self,
        job: Option<&Key>,
        since: Millis,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Record>, StoreError>> + Send;
}
