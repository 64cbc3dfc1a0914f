//! The state of each job. Of all runs of a job, only the run with the greatest token may write.

use crate::sql::SqlTransaction;
use truing_core::id::{FencingToken, SlotKey};
use truing_core::port::RunReference;
use truing_core::sync::job::JobState;

use super::super::slots::raise_counter;
use super::row::fenced_fault;
use crate::fault::{StoreFault, from_json, skip_unreadable, to_json};

/// Returns every job that has a readable row. Each job that ever ran has a row.
pub(super) fn all_jobs(connection: &SqlTransaction) -> Result<Vec<(SlotKey, JobState)>, StoreFault> {
    let select = connection.sql("SELECT key, body FROM job ORDER BY key");
    let rows = select.query((), |row| {
        let (key, body): (String, String) = (row.get(0)?, row.get(1)?);
        let job = from_json(&body, || format!("the state of {key}"))?;
        Ok((SlotKey::new(key), job))
    })?;
    skip_unreadable(rows)
}

/// Returns the newest run of a job, and the job's state.
fn newest_run(
    connection: &SqlTransaction,
    key: &SlotKey,
) -> Result<Option<(FencingToken, String, String)>, StoreFault> {
    let sql = "SELECT token, run, body FROM job WHERE key = ?1";
    connection
        .sql(sql)
        .first_row([key.as_str()], |row| Ok((FencingToken(row.get(0)?), row.get(1)?, row.get(2)?)))
}

/// Begins a run, and returns the state of its job.
pub(super) fn begin_run(connection: &SqlTransaction, run: &RunReference) -> Result<JobState, StoreFault> {
    let newest = newest_run(connection, &run.key)?;
    let is_newer = |(token, id, _): &(FencingToken, String, String)| {
        *token > run.token || (*token == run.token && id != run.id.as_str())
    };
    if let Some((last, ..)) = newest.as_ref().filter(|newest| is_newer(newest)) {
        return Err(fenced_fault(&run.key, *last));
    }
    let job = match &newest {
        Some((_, _, body)) => from_json(body, || format!("the state of {}", run.key))?,
        None => JobState::default(),
    };
    let sql = "INSERT INTO job (key, token, run, body) VALUES (?1, ?2, ?3, ?4)
               ON CONFLICT (key) DO UPDATE SET token = excluded.token, run = excluded.run, body = \
         excluded.body";
    let row = (run.key.as_str(), run.token.0, run.id.as_str(), to_json(&job)?);
    connection.sql(sql).execute(row)?;
    raise_counter(connection, run.token.0)?;
    Ok(job)
}

/// Stores the state of the run's job.
pub(super) fn store_job(
    connection: &SqlTransaction,
    run: &RunReference,
    job: &JobState,
) -> Result<(), StoreFault> {
    let sql = "UPDATE job SET body = ?4 WHERE key = ?1 AND token = ?2 AND run = ?3";
    let row = (run.key.as_str(), run.token.0, run.id.as_str(), to_json(job)?);
    if connection.sql(sql).execute(row)? == 1 {
        return Ok(());
    }
    Err(fenced_fault(&run.key, newest_run(connection, &run.key)?.map_or(run.token, |(last, ..)| last)))
}
