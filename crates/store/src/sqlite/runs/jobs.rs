//! Jobs: what is remembered of each. Of all runs of a job only the one with the greatest token may write.

use rusqlite::{Connection, OptionalExtension as _};
use truing_core::id::{Key, Token};
use truing_core::port::RunRef;
use truing_core::sync::job::Job;

use super::super::fault::{Fault, from_json, readable, to_json};
use super::super::slots::raise_counter;
use super::row::fenced;

/// Every job that ever ran, as far as it can be read.
pub(super) fn all(connection: &Connection) -> Result<Vec<(Key, Job)>, Fault> {
    let mut select = connection.prepare_cached("SELECT key, body FROM job ORDER BY key")?;
    let rows = select.query_and_then([], |row| {
        let (key, body): (String, String) = (row.get(0)?, row.get(1)?);
        let job = from_json(&body, || format!("what is remembered of {key}"))?;
        Ok((Key::new(key), job))
    })?;
    readable(rows)
}

/// The newest run of a job, and what is remembered.
fn newest(connection: &Connection, key: &Key) -> Result<Option<(Token, String, String)>, Fault> {
    let sql = "SELECT token, run, body FROM job WHERE key = ?1";
    let row = connection
        .prepare_cached(sql)?
        .query_row([key.as_str()], |row| Ok((Token(row.get(0)?), row.get(1)?, row.get(2)?)));
    Ok(row.optional()?)
}

/// Begins a run, and gives what is remembered of its job.
pub(super) fn begin(connection: &Connection, run: &RunRef) -> Result<Job, Fault> {
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

/// Remembers this of the run's job.
pub(super) fn keep(connection: &Connection, run: &RunRef, job: &Job) -> Result<(), Fault> {
    let sql = "UPDATE job SET body = ?4 WHERE key = ?1 AND token = ?2 AND run = ?3";
    let row = (run.key.as_str(), run.token.0, run.id.as_str(), to_json(job)?);
    if connection.prepare_cached(sql)?.execute(row)? == 1 {
        return Ok(());
    }
    Err(fenced(&run.key, newest(connection, &run.key)?.map_or(run.token, |(last, ..)| last)))
}
