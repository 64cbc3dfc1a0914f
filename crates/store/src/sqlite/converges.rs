//! Runs of the converge loop, each one row. Of all runs on one key only the one with the greatest token may write.

use rusqlite::{Connection, OptionalExtension as _};
use truing_core::converge::record::Record;
use truing_core::dismissal::Dismissal;
use truing_core::id::{Key, Millis, RunId, Sha, Token};
use truing_core::port::{Act, Converges, StoreError};

use super::fault::{Fault, from_json, readable, to_json};
use super::history::sql_limit;
use super::records::fenced;
use super::slots::raise_counter;
use super::{Sqlite, dismissals, operations};

impl Sqlite {
    /// The last runs on these keys that can be read, newest first.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be read.
    pub async fn converges_of(&self, keys: &[Key], limit: usize) -> Result<Vec<Record>, StoreError> {
        let keys = keys.to_vec();
        self.read(move |connection| {
            let sql = "SELECT body, run FROM converge WHERE key = ?1 ORDER BY ended DESC, run DESC LIMIT ?2";
            let mut select = connection.prepare_cached(sql)?;
            let mut all = Vec::new();
            for key in keys {
                let rows = select.query_and_then((key.as_str(), sql_limit(limit)), |row| {
                    let (body, run): (String, String) = (row.get(0)?, row.get(1)?);
                    from_json(&body, || format!("the record of run {run}"))
                })?;
                all.extend(readable(rows)?);
            }
            all.sort_by_key(|record: &Record| std::cmp::Reverse(record.ended));
            all.truncate(limit);
            Ok(all)
        })
        .await
    }
}

impl Converges for Sqlite {
    async fn last_converge(&self, key: &Key) -> Result<Option<Record>, StoreError> {
        let key = key.as_str().to_owned();
        self.read(move |connection| {
            // There is nothing to go on from in a run that never knew its commits.
            let sql = "SELECT body, run FROM converge WHERE key = ?1 AND instr(body, ?2) = 0 \
                       ORDER BY token DESC, started DESC, run DESC LIMIT 1";
            let row = connection
                .prepare_cached(sql)?
                .query_row([key, format!("\"base\":\"{}\"", Sha::none().as_str())], |row| {
                    Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
                })
                .optional()?;
            // One that cannot be read is as if it were not there: another run begins, and finds what it did.
            let read = row.map(|(body, run)| from_json(&body, || format!("the record of run {run}")));
            Ok(readable(read.into_iter())?.into_iter().next())
        })
        .await
    }

    async fn keep_converge(&self, token: Token, record: &Record) -> Result<(), StoreError> {
        let record = record.clone();
        self.write(move |connection| keep(connection, token, &record)).await
    }

    async fn converge_run(&self, run: &RunId) -> Result<Option<Record>, StoreError> {
        let run = run.as_str().to_owned();
        self.read(move |connection| {
            let row = connection
                .prepare_cached("SELECT body FROM converge WHERE run = ?1")?
                .query_row([&run], |row| row.get::<_, String>(0))
                .optional()?;
            row.map(|body| from_json(&body, || format!("the record of run {run}"))).transpose()
        })
        .await
    }

    async fn dismissals(&self, key: &Key) -> Result<Vec<Dismissal>, StoreError> {
        let key = key.clone();
        self.read(move |connection| dismissals::of(connection, &key)).await
    }

    async fn dismiss(&self, said: &[(Key, Dismissal)], act: &Act) -> Result<(), StoreError> {
        let (said, act, now) = (said.to_vec(), act.clone(), self.0.clock.now());
        self.write(move |connection| {
            for (key, said) in &said {
                dismissals::put(connection, key, said)?;
            }
            operations::audit::append(connection, &[act], now)
        })
        .await
    }

    async fn converge_records(&self, since: Millis, limit: usize) -> Result<Vec<Record>, StoreError> {
        self.read(move |connection| {
            let sql =
                "SELECT body, run FROM converge WHERE ended >= ?1 ORDER BY ended DESC, run DESC LIMIT ?2";
            let mut select = connection.prepare_cached(sql)?;
            let rows = select.query_and_then((since.0, sql_limit(limit)), |row| {
                let (body, run): (String, String) = (row.get(0)?, row.get(1)?);
                from_json(&body, || format!("the record of run {run}"))
            })?;
            readable(rows)
        })
        .await
    }
}

fn keep(connection: &Connection, token: Token, record: &Record) -> Result<(), Fault> {
    let newest = "SELECT max(token) FROM converge WHERE key = ?1";
    let newest: Option<u64> =
        connection.prepare_cached(newest)?.query_row([record.key.as_str()], |row| row.get(0))?;
    if let Some(newest) = newest.filter(|newest| *newest > token.0) {
        return Err(fenced(&record.key, Token(newest)));
    }
    let sql = "INSERT OR REPLACE INTO converge (run, key, token, started, ended, body) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let row = (
        record.run.as_str(),
        record.key.as_str(),
        token.0,
        record.started.0,
        record.ended.0,
        to_json(record)?,
    );
    connection.prepare_cached(sql)?.execute(row)?;
    raise_counter(connection, token.0)?;
    Ok(())
}

/// Deletes some of the runs that are older; at most `limit`. How many it were.
pub(super) fn forget(connection: &Connection, before: Millis, limit: i64) -> Result<usize, Fault> {
    let sql = "DELETE FROM converge WHERE run IN (SELECT run FROM converge WHERE ended < ?1 ORDER BY ended LIMIT ?2)";
    Ok(connection.prepare_cached(sql)?.execute((before.0, limit))?)
}
