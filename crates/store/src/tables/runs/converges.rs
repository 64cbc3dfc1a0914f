//! Runs of the converge loop. Of all runs on one key, only the run with the greatest token may write.

use crate::sql::SqlTransaction;
use truing_core::converge::record::ConvergeRecord;
use truing_core::id::{FencingToken, RunId, Sha, SlotKey};
use truing_core::run::RunStage;

use super::super::slots::raise_counter;
use super::row::{fenced_fault, write_run};
use crate::fault::{StoreFault, from_json, skip_unreadable};

/// Returns the newest run of the key whose commits are known; a run without known commits cannot be
/// continued.
pub(super) fn last_converge(
    connection: &SqlTransaction,
    key: &SlotKey,
) -> Result<Option<ConvergeRecord>, StoreFault> {
    let sql = "SELECT record, id FROM run WHERE key = ?1 AND loop = 'converge' AND base <> ?2
               ORDER BY token DESC, began DESC, id DESC LIMIT 1";
    let row = connection.sql(sql).first_row((key.as_str(), Sha::null().as_str()), |row| {
        Ok((row.get::<String>(0)?, row.get::<String>(1)?))
    })?;
    // An unreadable record is treated as if no record existed. A new run then begins, and finds the changes
    // of the earlier run.
    let read = row.map(|(json, run)| from_json(&json, || format!("the record of run {run}")));
    Ok(skip_unreadable(read.into_iter())?.into_iter().next())
}

/// Writes the present state of a run.
pub(super) fn store_converge_record(
    connection: &SqlTransaction,
    token: FencingToken,
    record: &ConvergeRecord,
) -> Result<(), StoreFault> {
    let newest = "SELECT max(token) FROM run WHERE key = ?1 AND loop = 'converge'";
    let newest: Option<u64> = connection.sql(newest).single_row([record.key.as_str()], |row| row.get(0))?;
    if let Some(newest) = newest.filter(|newest| *newest > token.0) {
        return Err(fenced_fault(&record.key, FencingToken(newest)));
    }
    let stage = if record.run_outcome().is_some() { RunStage::EndedUnpublished } else { RunStage::Prepared };
    let revision = (&record.detail.state.head, &record.detail.base);
    write_run(connection, token, Some(revision), stage, record)?;
    raise_counter(connection, token.0)
}

/// Returns the run with this id.
pub(super) fn converge_by_id(
    connection: &SqlTransaction,
    run: &RunId,
) -> Result<Option<ConvergeRecord>, StoreFault> {
    let sql = "SELECT record FROM run WHERE id = ?1 AND loop <> 'review' AND loop = 'converge'";
    let json: Option<String> = connection.sql(sql).first_row([run.as_str()], |row| row.get(0))?;
    json.map(|json| from_json(&json, || format!("the record of run {run}"))).transpose()
}
