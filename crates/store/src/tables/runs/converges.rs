//! Runs of the converge loop. Of all of them on one key only the one with the greatest token may write.

use crate::sql::SqlTransaction;
use truing_core::converge::record::ConvergeRecord;
use truing_core::id::{FencingToken, RunId, Sha, SlotKey};
use truing_core::run::RunStage;

use super::super::slots::raise_counter;
use super::row::{fenced, put};
use crate::fault::{StoreFault, from_json, readable};

/// The newest run on this whose commits are known: there is nothing to go on from in one that never knew them.
pub(super) fn last(connection: &SqlTransaction, key: &SlotKey) -> Result<Option<ConvergeRecord>, StoreFault> {
    let sql = "SELECT record, id FROM run WHERE key = ?1 AND loop = 'converge' AND base <> ?2
               ORDER BY token DESC, began DESC, id DESC LIMIT 1";
    let row = connection.sql(sql).first((key.as_str(), Sha::none().as_str()), |row| {
        Ok((row.get::<String>(0)?, row.get::<String>(1)?))
    })?;
    // One that cannot be read is as if it were not there: another run begins, and finds what it did.
    let read = row.map(|(json, run)| from_json(&json, || format!("the record of run {run}")));
    Ok(readable(read.into_iter())?.into_iter().next())
}

/// Writes a run as it is.
pub(super) fn keep(
    connection: &SqlTransaction,
    token: FencingToken,
    record: &ConvergeRecord,
) -> Result<(), StoreFault> {
    let newest = "SELECT max(token) FROM run WHERE key = ?1 AND loop = 'converge'";
    let newest: Option<u64> = connection.sql(newest).only([record.key.as_str()], |row| row.get(0))?;
    if let Some(newest) = newest.filter(|newest| *newest > token.0) {
        return Err(fenced(&record.key, FencingToken(newest)));
    }
    let stage = if record.end().is_some() { RunStage::Ended } else { RunStage::Prepared };
    let revision = (&record.detail.state.head, &record.detail.base);
    put(connection, token, (Some(revision), stage), record)?;
    raise_counter(connection, token.0)
}

/// One run.
pub(super) fn of_id(connection: &SqlTransaction, run: &RunId) -> Result<Option<ConvergeRecord>, StoreFault> {
    let sql = "SELECT record FROM run WHERE id = ?1 AND loop <> 'review' AND loop = 'converge'";
    let json: Option<String> = connection.sql(sql).first([run.as_str()], |row| row.get(0))?;
    json.map(|json| from_json(&json, || format!("the record of run {run}"))).transpose()
}
