//! A row of the table of runs: its columns, and the statements that all loops share.

use crate::sql::{SqlTransaction, values};
use truing_core::id::{FencingToken, Sha, SlotKey, UnixMillis};
use truing_core::port::StoreError;
use truing_core::run::{RunDetail, RunRecord, RunStage};

use super::ends::RunEndColumns;
use crate::fault::{StoreFault, to_json};

/// Creates the error for a run that is refused because a run with the token `greatest_token` has begun on the
/// key.
pub(in crate::tables) fn fenced_fault(key: &SlotKey, greatest_token: FencingToken) -> StoreFault {
    StoreError::Fenced { key: key.clone(), greatest_token }.into()
}

/// Parses a stored commit id.
pub(in crate::tables) fn parse_sha(text: String) -> Result<Sha, StoreFault> {
    Sha::try_from(text).map_err(|error| StoreError::Corrupt(error.to_string()).into())
}

/// Parses a stored stage.
pub(in crate::tables) fn parse_stage(stage_name: &str) -> Result<RunStage, StoreFault> {
    let known = RunStage::ALL.into_iter().find(|stage| stage.as_str() == stage_name);
    known.ok_or_else(|| StoreError::Corrupt(format!("`{stage_name}` is not a stage of a run")).into())
}

/// Writes the row of a converge or sync run. Replaces an earlier row with the same run id.
pub(super) fn write_run<D: RunDetail>(
    connection: &SqlTransaction,
    token: FencingToken,
    head_and_base: Option<(&Sha, &Sha)>,
    stage: RunStage,
    record: &RunRecord<D>,
) -> Result<(), StoreFault> {
    let none = Sha::null();
    let (head, base) = head_and_base.unwrap_or((&none, &none));
    let RunEndColumns { ended_at: ended, kind, reason, cost_micro_usd: cost } =
        RunEndColumns::from_record(record);
    let gone = "DELETE FROM run WHERE id = ?1 AND loop <> 'review'";
    connection.sql(gone).execute([record.run.as_str()])?;
    let sql = "INSERT INTO run
               (key, loop, token, id, stage, head, base, began, kept, ended, kind, reason, cost, record)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)";
    connection.sql(sql).execute(values![
        record.key.as_str(),
        D::LOOP.as_str(),
        token.0,
        record.run.as_str(),
        stage.as_str(),
        head.as_str(),
        base.as_str(),
        record.started_at.0,
        record.ended_at.0,
        ended,
        kind,
        reason,
        cost,
        to_json(record)?,
    ])?;
    Ok(())
}

/// Deletes at most `limit` of the converge and sync runs that were last written before the given time.
/// Returns the number of deleted rows.
pub(in crate::tables) fn delete_old_loop_runs(
    connection: &SqlTransaction,
    before: UnixMillis,
    limit: i64,
) -> Result<usize, StoreFault> {
    let sql = "DELETE FROM run WHERE rowid IN
               (SELECT rowid FROM run WHERE loop <> 'review' AND kept < ?1 ORDER BY kept LIMIT ?2)";
    connection.sql(sql).execute((before.0, limit))
}
