//! Jobs: what is remembered of each, and the records of their runs. Of all runs of a job only the one with the greatest
//! token may write.

use rusqlite::{Connection, OptionalExtension as _};
use truing_core::follow::job::Job;
use truing_core::follow::record::Record;
use truing_core::id::{Key, Millis, Token};
use truing_core::port::{Jobs, RunRef, StoreError};

use super::Sqlite;
use super::fault::{Fault, from_json, readable, to_json};
use super::history::sql_limit;
use super::records::fenced;
use super::slots::raise_counter;

impl Jobs for Sqlite {
    async fn begin_job(&self, run: &RunRef) -> Result<Job, StoreError> {
        let run = run.clone();
        self.write(move |connection| begin(connection, &run)).await
    }

    async fn keep_job(&self, run: &RunRef, job: &Job) -> Result<(), StoreError> {
        let (run, job) = (run.clone(), job.clone());
        self.write(move |connection| keep(connection, &run, &job)).await
    }

    async fn end_job(&self, run: &RunRef, job: &Job, record: &Record) -> Result<(), StoreError> {
        let (run, job, record) = (run.clone(), job.clone(), record.clone());
        self.write(move |connection| {
            keep(connection, &run, &job)?;
            let sql = "INSERT OR REPLACE INTO job_run (id, key, ended, body) VALUES (?1, ?2, ?3, ?4)";
            let row = (run.id.as_str(), run.key.as_str(), record.ended.0, to_json(&record)?);
            connection.prepare_cached(sql)?.execute(row)?;
            Ok(())
        })
        .await
    }

    async fn jobs(&self) -> Result<Vec<(Key, Job)>, StoreError> {
        self.read(|connection| {
            let mut select = connection.prepare_cached("SELECT key, body FROM job ORDER BY key")?;
            let rows = select.query_and_then([], |row| {
                let (key, body): (String, String) = (row.get(0)?, row.get(1)?);
                let job = from_json(&body, || format!("what is remembered of {key}"))?;
                Ok((Key::new(key), job))
            })?;
            readable(rows)
        })
        .await
    }

    async fn job_records(
        &self,
        job: Option<&Key>,
        since: Millis,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        let job = job.map(|key| key.as_str().to_owned());
        self.read(move |connection| {
            // Of one job by that job's index: a server asks often.
            let of = if job.is_some() { "key = ?2" } else { "?2 IS NULL" };
            let sql = format!(
                "SELECT body, id FROM job_run WHERE ended >= ?1 AND {of} ORDER BY ended DESC, id DESC LIMIT ?3"
            );
            let mut select = connection.prepare_cached(&sql)?;
            let rows = select.query_and_then((since.0, job, sql_limit(limit)), |row| {
                let (body, id): (String, String) = (row.get(0)?, row.get(1)?);
                from_json(&body, || format!("the record of run {id}"))
            })?;
            readable(rows)
        })
        .await
    }
}

/// The newest run of a job, and what is remembered.
fn newest(connection: &Connection, key: &Key) -> Result<Option<(Token, String, String)>, Fault> {
    let sql = "SELECT token, run, body FROM job WHERE key = ?1";
    let row = connection
        .prepare_cached(sql)?
        .query_row([key.as_str()], |row| Ok((Token(row.get(0)?), row.get(1)?, row.get(2)?)));
    Ok(row.optional()?)
}

fn begin(connection: &Connection, run: &RunRef) -> Result<Job, Fault> {
    let newest = newest(connection, &run.key)?;
    let is_newer = |(token, id, _): &(Token, String, String)| {
        *token > run.token || (*token == run.token && id != run.id.as_str())
    };
    if let Some((last, ..)) = newest.as_ref().filter(|newest| is_newer(newest)) {
        return Err(fenced(&run.key, *last));
    }
    let job = match &newest {
        Some((_, _, body)) => from_json(body, || format!("what is remembered of {}", run.key))?,
        None => Job::default(),
    };
    let sql = "INSERT OR REPLACE INTO job (key, token, run, body) VALUES (?1, ?2, ?3, ?4)";
    let row = (run.key.as_str(), run.token.0, run.id.as_str(), to_json(&job)?);
    connection.prepare_cached(sql)?.execute(row)?;
    raise_counter(connection, run.token.0)?;
    Ok(job)
}

fn keep(connection: &Connection, run: &RunRef, job: &Job) -> Result<(), Fault> {
    let sql = "UPDATE job SET body = ?4 WHERE key = ?1 AND token = ?2 AND run = ?3";
    let row = (run.key.as_str(), run.token.0, run.id.as_str(), to_json(job)?);
    if connection.prepare_cached(sql)?.execute(row)? == 1 {
        return Ok(());
    }
    Err(fenced(&run.key, newest(connection, &run.key)?.map_or(run.token, |(last, ..)| last)))
}

/// Deletes some of the records that are older; at most `limit`. How many it were.
pub(super) fn forget(connection: &Connection, before: Millis, limit: i64) -> Result<usize, Fault> {
    let sql =
        "DELETE FROM job_run WHERE id IN (SELECT id FROM job_run WHERE ended < ?1 ORDER BY ended LIMIT ?2)";
    Ok(connection.prepare_cached(sql)?.execute((before.0, limit))?)
}
