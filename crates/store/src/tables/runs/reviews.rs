//! Reviews and their stages. The fence allows only the review with the greatest token of a key to write.

use crate::sql::{self, SqlTransaction};
use truing_core::id::{FencingToken, RunId, Sha, SlotKey, UnixMillis};
use truing_core::money::MicroUsd;
use truing_core::outcome::{
    INTERRUPTED_REASON, ReviewDetail, ReviewOutcome, ReviewOutcomeKind, ReviewRecord, ReviewRuntime,
    ReviewStep,
};
use truing_core::port::{PullRevision, RunReference, RunStart};
use truing_core::run::{RunStage, StepCost};

use super::super::dismissals;
use super::super::slots::{next_token, raise_counter};
use super::ends::RunEndColumns;
use super::review_progress::{newest_revision_at_stages, review_progress};
use super::row::{fenced_fault, parse_sha, parse_stage};
use crate::fault::{StoreFault, from_json, to_json};

/// The row of a review.
struct ReviewRunRow {
    token: FencingToken,
    id: RunId,
    stage: RunStage,
    revision: PullRevision,
    started_at: UnixMillis,
    /// The record of the computed review, as JSON.
    computed_json: Option<String>,
    /// True if the run has recorded its end.
    has_recorded_end: bool,
}

/// Begins `run`. Returns an error if another run with the same or a greater token has begun on the key.
pub(super) fn begin_run(
    connection: &SqlTransaction,
    run: &RunReference,
    revision: &PullRevision,
    now: UnixMillis,
) -> Result<RunStart, StoreFault> {
    let newest = newest_run(connection, &run.key)?;
    let last_computed = findings_revision(connection, &run.key)?;
    let again = newest.as_ref().is_some_and(|newest| is_same_run(newest, run));
    if let Some(newest) = &newest
        && newest.token >= run.token
        && !again
    {
        return Err(fenced_fault(&run.key, newest.token));
    }
    // If the newest run computed a review for the same revision, this run takes over that review. Only the
    // record must be copied, because findings and desired comments belong to the key, not to a run.
    let is_left = |newest: &&ReviewRunRow| newest.revision == *revision && newest.stage == RunStage::Computed;
    if let Some(newest) = newest.as_ref().filter(|newest| !again && !is_left(newest)) {
        record_interrupted_run_end(
            connection,
            &run.key,
            newest,
            "cut off: another run has replaced this run",
            now,
        )?;
    }
    let left = newest.filter(|newest| newest.revision == *revision);
    let untouched = again && left.is_some();
    let computed = left.filter(|left| left.stage == RunStage::Computed).and_then(|left| left.computed_json);
    if !untouched {
        let stage = if computed.is_some() { RunStage::Computed } else { RunStage::Prepared };
        write_run(connection, run, revision, now, stage, computed.as_deref())?;
        // If the same run recorded an end under a smaller token, that end is deleted, because the run will
        // record a new end.
        let sql = "UPDATE run SET record = NULL, ended = NULL, kind = NULL, reason = NULL, cost = NULL
                   WHERE loop = 'review' AND key = ?1 AND id = ?2 AND token < ?3";
        connection.sql(sql).execute((run.key.as_str(), run.id.as_str(), run.token.0))?;
        raise_counter(connection, run.token.0)?;
    }
    let computed = computed.map(|json| from_json(&json, || format!("run {}", run.id))).transpose()?;
    let (reviewed, json) = last_published_revision(connection, &run.key)?.unzip();
    let last = json.flatten().map(|json| from_json(&json, || format!("the last review of {}", run.key)));
    let is_same = reviewed.as_ref() == Some(revision);
    // An unreadable last published record is an error only if that record is about the same revision.
    let last: Option<ReviewRecord> = if is_same { last.transpose()? } else { last.and_then(Result::ok) };
    let returns_to_reviewed = is_same && has_newer_other_revision(connection, &run.key, revision)?;
    let dismissals = dismissals::dismissals_for(connection, &run.key)?;
    Ok(RunStart {
        last_published: reviewed,
        last_computed,
        last_review: last,
        returns_to_reviewed,
        unpublished_review: computed,
        dismissals,
    })
}

/// Assigns `token` to the key's newest computed or published review. The token must be greater than all
/// tokens of the key's runs.
pub(super) fn take_over_review(
    connection: &SqlTransaction,
    key: &SlotKey,
    token: FencingToken,
    now: UnixMillis,
) -> Result<Option<RunId>, StoreFault> {
    let Some(newest) = newest_run(connection, key)? else { return Ok(None) };
    if newest.token >= token {
        return Err(fenced_fault(key, newest.token));
    }
    let sql = format!(
        "SELECT {REVIEW_RUN_COLUMNS} FROM run WHERE loop = 'review' AND key = ?1 AND stage IN \
            ('computed', 'published')
         ORDER BY token DESC LIMIT 1"
    );
    let found = connection.sql(&sql).query([key.as_str()], parse_run_row)?.next().transpose()?;
    let Some(row) = found else { return Ok(None) };
    if newest.token != row.token {
        record_interrupted_run_end(connection, key, &newest, "cut off: comments are being retracted", now)?;
    }
    let sql = "UPDATE run SET token = ?3 WHERE loop = 'review' AND key = ?1 AND token = ?2";
    connection.sql(sql).execute((key.as_str(), row.token.0, token.0))?;
    raise_counter(connection, token.0)?;
    Ok(Some(row.id))
}

fn write_run(
    connection: &SqlTransaction,
    run: &RunReference,
    revision: &PullRevision,
    now: UnixMillis,
    stage: RunStage,
    computed_json: Option<&str>,
) -> Result<(), StoreFault> {
    let gone = "DELETE FROM run WHERE loop = 'review' AND key = ?1 AND token = ?2";
    connection.sql(gone).execute((run.key.as_str(), run.token.0))?;
    connection
        .sql(
            "INSERT INTO run (key, loop, token, id, stage, head, base, began, kept, computed)
             VALUES (?1, 'review', ?2, ?3, ?4, ?5, ?6, ?7, ?7, ?8)",
        )
        .execute((
            run.key.as_str(),
            run.token.0,
            run.id.as_str(),
            stage.as_str(),
            revision.head.as_str(),
            revision.base.as_str(),
            now.0,
            computed_json,
        ))?;
    Ok(())
}

/// Returns an error if the run is not the key's newest run.
pub(super) fn check_fence(connection: &SqlTransaction, run: &RunReference) -> Result<(), StoreFault> {
    require_newest_run(connection, run).map(drop)
}

/// Returns the run's row if the run is the key's newest run; otherwise returns an error.
fn require_newest_run(connection: &SqlTransaction, run: &RunReference) -> Result<ReviewRunRow, StoreFault> {
    match newest_run(connection, &run.key)? {
        Some(newest) if is_same_run(&newest, run) => Ok(newest),
        Some(newest) => Err(fenced_fault(&run.key, newest.token)),
        // The run has no row, because an older copy of the database was restored. The run must begin again
        // with a new token.
        None => Err(fenced_fault(&run.key, run.token)),
    }
}

fn is_same_run(row: &ReviewRunRow, run: &RunReference) -> bool {
    row.token == run.token && row.id == run.id
}

/// Stores the run's computed review. If the run is already published, writes nothing and returns false.
pub(super) fn store_computed_review(
    connection: &SqlTransaction,
    run: &RunReference,
    record: &ReviewRecord,
) -> Result<bool, StoreFault> {
    if require_newest_run(connection, run)?.stage == RunStage::Published {
        return Ok(false);
    }
    let mut record = assign_computed_review(connection, &run.key, &run.id, record.clone())?;
    record.detail.stage = RunStage::Computed;
    let sql =
        "UPDATE run SET stage = 'computed', computed = ?3 WHERE loop = 'review' AND key = ?1 AND token = ?2";
    connection.sql(sql).execute((run.key.as_str(), run.token.0, to_json(&record)?))?;
    Ok(true)
}

/// Replaces the run's computed review, and keeps the columns about the run's end and cost.
pub(super) fn replace_computed_review(
    connection: &SqlTransaction,
    run: &RunReference,
    record: &ReviewRecord,
) -> Result<(), StoreFault> {
    let column = match require_newest_run(connection, run)?.stage {
        RunStage::Published => "record",
        RunStage::Computed => "computed",
        RunStage::Prepared | RunStage::EndedUnpublished => return Ok(()),
    };
    let sql = format!("UPDATE run SET {column} = ?3 WHERE loop = 'review' AND key = ?1 AND token = ?2");
    connection.sql(&sql).execute((run.key.as_str(), run.token.0, to_json(record)?))?;
    Ok(())
}

/// Records that the forge shows the run's computed review.
pub(super) fn mark_published(
    connection: &SqlTransaction,
    run: &RunReference,
    record: &ReviewRecord,
) -> Result<(), StoreFault> {
    if require_newest_run(connection, run)?.stage == RunStage::Published {
        return Ok(());
    }
    write_end(connection, &run.key, run.token, RunStage::Published, record.clone())
}

/// Writes the end and the stage of a run.
fn write_end(
    connection: &SqlTransaction,
    key: &SlotKey,
    token: FencingToken,
    stage: RunStage,
    mut record: ReviewRecord,
) -> Result<(), StoreFault> {
    record.detail.stage = stage;
    let RunEndColumns { ended_at: ended, kind, reason, cost_micro_usd: cost } =
        RunEndColumns::from_record(&record);
    let sql =
        "UPDATE run SET stage = ?3, kept = ?4, ended = ?5, kind = ?6, reason = ?7, cost = ?8, record = ?9
               WHERE loop = 'review' AND key = ?1 AND token = ?2";
    let (key, stage) = (key.as_str(), stage.as_str());
    let row = (key, token.0, stage, record.ended_at.0, ended, kind, reason, cost, to_json(&record)?);
    connection.sql(sql).execute(row)?;
    Ok(())
}

/// Ends the run without publishing. Its computed review is kept, and the next run publishes that review.
pub(super) fn end_run(
    connection: &SqlTransaction,
    run: &RunReference,
    outcome: ReviewOutcome,
    now: UnixMillis,
) -> Result<(), StoreFault> {
    let row = require_newest_run(connection, run)?;
    end_unpublished(connection, &run.key, row, outcome, now)
}

/// Records a failed attempt of a run, even if the run never began.
pub(super) fn mark_failed(
    connection: &SqlTransaction,
    run: &RunReference,
    outcome: ReviewOutcome,
    now: UnixMillis,
) -> Result<(), StoreFault> {
    let newest = newest_run(connection, &run.key)?;
    if !newest.as_ref().is_some_and(|newest| is_same_run(newest, run)) {
        let revision = match newest {
            Some(newest) => newest.revision,
            None => PullRevision { head: Sha::null(), base: Sha::null() },
        };
        begin_run(connection, run, &revision, now)?;
    }
    end_run(connection, run, outcome, now)
}

/// Records the end of an interrupted run. Does nothing if the run has no cost.
pub(super) fn mark_interrupted(
    connection: &SqlTransaction,
    run: &RunReference,
    now: UnixMillis,
) -> Result<(), StoreFault> {
    match newest_run(connection, &run.key)? {
        Some(newest) if is_same_run(&newest, run) => {
            record_interrupted_run_end(connection, &run.key, &newest, INTERRUPTED_REASON, now)
        }
        Some(_) | None => Ok(()),
    }
}

/// Records the end of a run that stopped before it recorded its end. Does nothing if the run did not fail and
/// has no cost. Returns the cost.
pub(super) fn record_slotless_review_end(
    connection: &SqlTransaction,
    id: &RunId,
    key: &SlotKey,
    revision: &PullRevision,
    started_at: UnixMillis,
    outcome: ReviewOutcome,
    now: UnixMillis,
) -> Result<MicroUsd, StoreFault> {
    let cost = run_cost(connection, id)?;
    if cost > MicroUsd(0) || outcome.kind == ReviewOutcomeKind::Failed {
        let run = RunReference { id: id.clone(), key: key.clone(), token: next_token(connection)? };
        begin_run(connection, &run, revision, started_at)?;
        end_run(connection, &run, outcome, now)?;
    }
    Ok(cost)
}

/// Records the end of a run that stopped without recording its end. Does nothing if the run has no cost.
fn record_interrupted_run_end(
    connection: &SqlTransaction,
    key: &SlotKey,
    row: &ReviewRunRow,
    reason: &str,
    now: UnixMillis,
) -> Result<(), StoreFault> {
    let computed =
        row.computed_json.as_ref().and_then(|json| truing_core::json::from_str::<ReviewRecord>(json).ok());
    let cost = match computed {
        Some(computed) => computed.cost(),
        None => run_cost(connection, &row.id)?,
    };
    if row.has_recorded_end || row.stage == RunStage::Published || cost == MicroUsd(0) {
        return Ok(());
    }
    let Some(row) = find_run_by_token(connection, key, row.token)? else { return Ok(()) };
    let reason = Some(reason.to_owned());
    let outcome = ReviewOutcome {
        kind: ReviewOutcomeKind::Deferred,
        reason,
        next_attempt_at: None,
        runtime: ReviewRuntime::Rules,
    };
    end_unpublished(connection, key, row, outcome, now)
}

/// Writes the end of a run that was not published.
fn end_unpublished(
    connection: &SqlTransaction,
    key: &SlotKey,
    row: ReviewRunRow,
    outcome: ReviewOutcome,
    now: UnixMillis,
) -> Result<(), StoreFault> {
    let stage = match row.stage {
        RunStage::Published => return Ok(()),
        RunStage::Computed => RunStage::Computed,
        RunStage::Prepared | RunStage::EndedUnpublished => RunStage::EndedUnpublished,
    };
    let token = row.token;
    let computed: Option<ReviewRecord> =
        row.computed_json.map(|json| from_json(&json, || format!("run {}", row.id))).transpose()?;
    let record = match computed {
        Some(computed) => {
            let computed = assign_computed_review(connection, key, &row.id, computed)?;
            // The assigned review is also stored as the computed review of the row. A later run would take
            // over the review from there.
            let sql = "UPDATE run SET computed = ?3 WHERE loop = 'review' AND key = ?1 AND token = ?2";
            connection.sql(sql).execute((key.as_str(), token.0, to_json(&computed)?))?;
            let mut record = computed.with_end_time(now);
            record.detail.outcome = outcome;
            record
        }
        None => {
            let head = Some(row.revision.head).filter(|head| !head.is_null());
            let detail = ReviewDetail::new(head, row.revision.base, outcome);
            let cost_micro_usd = run_cost(connection, &row.id)?;
            let mut record =
                ReviewRecord::new(row.id, key.clone(), detail, row.started_at).with_end_time(now);
            record
                .add_step_cost(ReviewStep::Review, &StepCost { cost_micro_usd, ..StepCost::<()>::default() });
            record
        }
    };
    write_end(connection, key, token, stage, record)
}

/// Returns the cost of a run in the ledger. A reservation that is not settled counts with its full amount.
pub(super) fn run_cost(connection: &SqlTransaction, run: &RunId) -> Result<MicroUsd, StoreFault> {
    let sql =
        "SELECT CAST(coalesce(sum(coalesce(cost, amount)), 0) AS BIGINT) FROM reservation WHERE run = ?1";
    Ok(MicroUsd(connection.sql(sql).single_row([run.as_str()], |row| row.get(0))?))
}

/// Assigns a computed review to `run`. An earlier run may have computed the review. The cost of the review is
/// recorded only in the last run that takes it over.
fn assign_computed_review(
    connection: &SqlTransaction,
    key: &SlotKey,
    run: &RunId,
    record: ReviewRecord,
) -> Result<ReviewRecord, StoreFault> {
    if record.run != *run {
        let sql =
            "SELECT record FROM run WHERE loop = 'review' AND key = ?1 AND id = ?2 AND record IS NOT NULL";
        let computed: Option<String> =
            connection.sql(sql).first_row((key.as_str(), record.run.as_str()), |row| row.get(0))?;
        // The model calls of the earlier run are assigned to `run`. If the earlier run has a record, the cost
        // is removed from that record.
        let sql = "UPDATE reservation SET run = ?1 WHERE run = ?2";
        connection.sql(sql).execute((run.as_str(), record.run.as_str()))?;
        let of = (key.as_str(), record.run.as_str());
        let sql = "UPDATE run SET cost = 0
                   WHERE loop = 'review' AND key = ?1 AND id = ?2 AND record IS NOT NULL";
        connection.sql(sql).execute(of)?;
        // An unreadable record contains no cost.
        if let Some(computed) =
            computed.and_then(|json| truing_core::json::from_str::<ReviewRecord>(&json).ok())
        {
            let computed = computed.without_model_review();
            let sql = "UPDATE run SET record = ?3 WHERE loop = 'review' AND key = ?1 AND id = ?2";
            connection.sql(sql).execute((key.as_str(), record.run.as_str(), to_json(&computed)?))?;
        }
    }
    Ok(ReviewRecord { run: run.clone(), ..record })
}

const REVIEW_RUN_COLUMNS: &str = "token, id, stage, head, base, began, computed, record IS NOT NULL";

fn newest_run(connection: &SqlTransaction, key: &SlotKey) -> Result<Option<ReviewRunRow>, StoreFault> {
    let sql = format!(
        "SELECT {REVIEW_RUN_COLUMNS} FROM run WHERE loop = 'review' AND key = ?1 ORDER BY token DESC LIMIT 1"
    );
    connection.sql(&sql).query([key.as_str()], parse_run_row)?.next().transpose()
}

fn find_run_by_token(
    connection: &SqlTransaction,
    key: &SlotKey,
    token: FencingToken,
) -> Result<Option<ReviewRunRow>, StoreFault> {
    let sql =
        format!("SELECT {REVIEW_RUN_COLUMNS} FROM run WHERE loop = 'review' AND key = ?1 AND token = ?2");
    connection.sql(&sql).query((key.as_str(), token.0), parse_run_row)?.next().transpose()
}

fn parse_run_row(row: &sql::SqlRow) -> Result<ReviewRunRow, StoreFault> {
    Ok(ReviewRunRow {
        token: FencingToken(row.get(0)?),
        id: RunId::new(row.get::<String>(1)?),
        stage: parse_stage(row.text(2))?,
        revision: PullRevision { head: parse_sha(row.get(3)?)?, base: parse_sha(row.get(4)?)? },
        started_at: UnixMillis(row.get(5)?),
        computed_json: row.get(6)?,
        has_recorded_end: row.get(7)?,
    })
}

/// Returns the last published revision, and the record of the run that published it, as JSON.
fn last_published_revision(
    connection: &SqlTransaction,
    key: &SlotKey,
) -> Result<Option<(PullRevision, Option<String>)>, StoreFault> {
    let sql = "SELECT head, base, record FROM run WHERE loop = 'review' AND key = ?1 AND stage = 'published'
               ORDER BY token DESC LIMIT 1";
    let found: Option<(String, String, Option<String>)> =
        connection.sql(sql).first_row([key.as_str()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let read = |(head, base, outcome)| {
        Ok((PullRevision { head: parse_sha(head)?, base: parse_sha(base)? }, outcome))
    };
    found.map(read).transpose()
}

/// Returns true if a run on another revision followed the newest published run.
fn has_newer_other_revision(
    connection: &SqlTransaction,
    key: &SlotKey,
    revision: &PullRevision,
) -> Result<bool, StoreFault> {
    let sql = "SELECT count(*) FROM run WHERE loop = 'review' AND key = ?1 AND (head <> ?2 OR base <> ?3)
               AND token > (SELECT max(token) FROM run
                            WHERE loop = 'review' AND key = ?1 AND stage = 'published')";
    let of = (key.as_str(), revision.head.as_str(), revision.base.as_str());
    let count: i64 = connection.sql(sql).single_row(of, |row| row.get(0))?;
    Ok(count > 0)
}

/// Returns the revision of the newest computed or published review.
pub(super) fn findings_revision(
    connection: &SqlTransaction,
    key: &SlotKey,
) -> Result<Option<PullRevision>, StoreFault> {
    newest_revision_at_stages(connection, key, "stage IN ('computed', 'published')")
}

/// Records that the newest run's revision is skipped. Does nothing if a run has settled that revision.
/// Records a null revision if no run has read the head, or if `announced_head` is another head.
pub(super) fn skip_newest_revision(
    connection: &SqlTransaction,
    run: &RunReference,
    announced_head: Option<&Sha>,
    reason: &str,
    now: UnixMillis,
) -> Result<(), StoreFault> {
    let progress = review_progress(connection, &run.key)?;
    // A failed run that could not read its revision has the revision of the run before it, so the newest run
    // does not show whether the present head was read.
    let is_present_head = |attempted: &PullRevision| {
        !attempted.head.is_null() && announced_head.is_none_or(|announced| *announced == attempted.head)
    };
    let present = progress.last_attempted.clone().filter(is_present_head);
    let is_settled = match &present {
        Some(revision) => progress.last_settled.as_ref() == Some(revision),
        None => progress.is_dropped_without_head(),
    };
    if is_settled {
        return Ok(());
    }
    let revision = present.unwrap_or_else(|| PullRevision { head: Sha::null(), base: Sha::null() });
    record_skipped_revision(connection, run, &revision, reason, now)
}

/// Begins a run that skips this revision, and ends it.
pub(super) fn record_skipped_revision(
    connection: &SqlTransaction,
    run: &RunReference,
    revision: &PullRevision,
    reason: &str,
    now: UnixMillis,
) -> Result<(), StoreFault> {
    begin_run(connection, run, revision, now)?;
    let reason = Some(reason.to_owned());
    let outcome = ReviewOutcome {
        kind: ReviewOutcomeKind::Skipped,
        reason,
        next_attempt_at: None,
        runtime: ReviewRuntime::Rules,
    };
    end_run(connection, run, outcome, now)
}
