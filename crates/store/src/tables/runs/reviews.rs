//! Reviews, their stages, and the fence: of all reviews of a key only the one with the greatest token may write.

use crate::sql::{self, Connection};
use truing_core::id::{Key, Millis, RunId, Sha, Token};
use truing_core::money::MicroUsd;
use truing_core::outcome::{INTERRUPTED, Outcome, OutcomeKind, ReviewDetail, ReviewRecord, Runtime, Step};
use truing_core::port::{Begun, LastReviews, Revision, RunRef};
use truing_core::run::{Stage, StepCost};

use super::super::dismissals;
use super::super::slots::{next_token, raise_counter};
use super::ends::EndColumns;
use super::last::{last_reviews, newest_at};
use super::row::{fenced, parse_sha, parse_stage};
use crate::fault::{Fault, from_json, to_json};

/// A run as its row has it.
struct Row {
    token: Token,
    id: RunId,
    stage: Stage,
    revision: Revision,
    began: Millis,
    /// The record of what was computed, as JSON.
    computed: Option<String>,
    /// Has it told how it ended?
    is_told: bool,
}

/// Begins `run`, unless a run with a greater or the same token has begun before.
pub(super) fn begin(
    connection: &Connection,
    run: &RunRef,
    revision: &Revision,
    now: Millis,
) -> Result<Begun, Fault> {
    let newest = newest(connection, &run.key)?;
    let known = known(connection, &run.key)?;
    let again = newest.as_ref().is_some_and(|newest| is(newest, run));
    if let Some(newest) = &newest
        && newest.token >= run.token
        && !again
    {
        return Err(fenced(&run.key, newest.token));
    }
    // What the newest run computed for this very revision is this run's: rows of findings and desired state
    // belong to the key, so the record is all there is to carry over.
    let is_left = |newest: &&Row| newest.revision == *revision && newest.stage == Stage::Computed;
    if let Some(newest) = newest.as_ref().filter(|newest| !again && !is_left(newest)) {
        cut_off(connection, &run.key, newest, "cut off: another run goes on", now)?;
    }
    let left = newest.filter(|newest| newest.revision == *revision);
    let untouched = again && left.is_some();
    let computed = left.filter(|left| left.stage == Stage::Computed).and_then(|left| left.computed);
    if !untouched {
        let stage = if computed.is_some() { Stage::Computed } else { Stage::Prepared };
        write(connection, run, revision, now, stage, computed.as_deref())?;
        // What it told under another token it tells anew.
        let sql = "UPDATE run SET record = NULL, ended = NULL, kind = NULL, reason = NULL, cost = NULL
                   WHERE loop = 'review' AND key = ?1 AND id = ?2 AND token < ?3";
        connection.sql(sql).execute((run.key.as_str(), run.id.as_str(), run.token.0))?;
        raise_counter(connection, run.token.0)?;
    }
    let computed = computed.map(|json| from_json(&json, || format!("run {}", run.id))).transpose()?;
    let (reviewed, json) = reviewed(connection, &run.key)?.unzip();
    let last = json.flatten().map(|json| from_json(&json, || format!("the last review of {}", run.key)));
    let is_same = reviewed.as_ref() == Some(revision);
    // A record of another revision that cannot be read stands in no way.
    let last: Option<ReviewRecord> = if is_same { last.transpose()? } else { last.and_then(Result::ok) };
    let is_back = is_same && has_left(connection, &run.key, revision)?;
    let dismissals = dismissals::of(connection, &run.key)?;
    Ok(Begun { reviewed, known, last, is_back, computed, dismissals })
}

/// Gives the newest review that has computed something a greater token than all others of its key.
pub(super) fn reopen(
    connection: &Connection,
    key: &Key,
    token: Token,
    now: Millis,
) -> Result<Option<RunId>, Fault> {
    let Some(newest) = newest(connection, key)? else { return Ok(None) };
    if newest.token >= token {
        return Err(fenced(key, newest.token));
    }
    let sql = format!(
        "SELECT {COLUMNS} FROM run WHERE loop = 'review' AND key = ?1 AND stage IN ('computed', 'published')
         ORDER BY token DESC LIMIT 1"
    );
    let found = connection.sql(&sql).query([key.as_str()], row)?.next().transpose()?;
    let Some(row) = found else { return Ok(None) };
    if newest.token != row.token {
        cut_off(connection, key, &newest, "cut off: comments are taken back", now)?;
    }
    let sql = "UPDATE run SET token = ?3 WHERE loop = 'review' AND key = ?1 AND token = ?2";
    connection.sql(sql).execute((key.as_str(), row.token.0, token.0))?;
    raise_counter(connection, token.0)?;
    Ok(Some(row.id))
}

fn write(
    connection: &Connection,
    run: &RunRef,
    revision: &Revision,
    now: Millis,
    stage: Stage,
    computed: Option<&str>,
) -> Result<(), Fault> {
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
            computed,
        ))?;
    Ok(())
}

/// Lets only the key's newest run pass.
pub(super) fn fence(connection: &Connection, run: &RunRef) -> Result<(), Fault> {
    held(connection, run).map(drop)
}

/// The run's row if it is the key's newest.
fn held(connection: &Connection, run: &RunRef) -> Result<Row, Fault> {
    match newest(connection, &run.key)? {
        Some(newest) if is(&newest, run) => Ok(newest),
        Some(newest) => Err(fenced(&run.key, newest.token)),
        // It has never begun here (an older file was put back): it must begin again with a new token.
        None => Err(fenced(&run.key, run.token)),
    }
}

fn is(row: &Row, run: &RunRef) -> bool {
    row.token == run.token && row.id == run.id
}

/// The run has computed this. False: it is published already, and nothing may be written any more.
pub(super) fn computed(connection: &Connection, run: &RunRef, record: &ReviewRecord) -> Result<bool, Fault> {
    if held(connection, run)?.stage == Stage::Published {
        return Ok(false);
    }
    let mut record = taken_over(connection, &run.key, &run.id, record.clone())?;
    record.detail.stage = Stage::Computed;
    let sql =
        "UPDATE run SET stage = 'computed', computed = ?3 WHERE loop = 'review' AND key = ?1 AND token = ?2";
    connection.sql(sql).execute((run.key.as_str(), run.token.0, to_json(&record)?))?;
    Ok(true)
}

/// What the run computed is stated anew; how it ended, and what it has cost, stays.
pub(super) fn restated(connection: &Connection, run: &RunRef, record: &ReviewRecord) -> Result<(), Fault> {
    let column = match held(connection, run)?.stage {
        Stage::Published => "record",
        Stage::Computed => "computed",
        Stage::Prepared | Stage::Ended => return Ok(()),
    };
    let sql = format!("UPDATE run SET {column} = ?3 WHERE loop = 'review' AND key = ?1 AND token = ?2");
    connection.sql(&sql).execute((run.key.as_str(), run.token.0, to_json(record)?))?;
    Ok(())
}

/// The forge shows what the run computed.
pub(super) fn published(connection: &Connection, run: &RunRef, record: &ReviewRecord) -> Result<(), Fault> {
    if held(connection, run)?.stage == Stage::Published {
        return Ok(());
    }
    end(connection, (&run.key, run.token), Stage::Published, record.clone())
}

/// Writes how a run ended, and at which stage.
fn end(
    connection: &Connection,
    (key, token): (&Key, Token),
    stage: Stage,
    mut record: ReviewRecord,
) -> Result<(), Fault> {
    record.detail.stage = stage;
    let EndColumns { ended, kind, reason, cost } = EndColumns::of(&record);
    let sql =
        "UPDATE run SET stage = ?3, kept = ?4, ended = ?5, kind = ?6, reason = ?7, cost = ?8, record = ?9
               WHERE loop = 'review' AND key = ?1 AND token = ?2";
    let (key, stage) = (key.as_str(), stage.as_str());
    let row = (key, token.0, stage, record.ended.0, ended, kind, reason, cost, to_json(&record)?);
    connection.sql(sql).execute(row)?;
    Ok(())
}

/// The run ended without publishing. What it has computed stays to be published by the next run.
pub(super) fn ended(
    connection: &Connection,
    run: &RunRef,
    outcome: Outcome,
    now: Millis,
) -> Result<(), Fault> {
    let row = held(connection, run)?;
    tell(connection, &run.key, row, outcome, now)
}

/// An attempt has failed, whether or not it came as far as to begin.
pub(super) fn failed(
    connection: &Connection,
    run: &RunRef,
    outcome: Outcome,
    now: Millis,
) -> Result<(), Fault> {
    let newest = newest(connection, &run.key)?;
    if !newest.as_ref().is_some_and(|newest| is(newest, run)) {
        let revision = match newest {
            Some(newest) => newest.revision,
            None => Revision { head: Sha::none(), base: Sha::none() },
        };
        begin(connection, run, &revision, now)?;
    }
    ended(connection, run, outcome, now)
}

/// The run was told to stop: if it has cost anything, it tells so.
pub(super) fn interrupted(connection: &Connection, run: &RunRef, now: Millis) -> Result<(), Fault> {
    match newest(connection, &run.key)? {
        Some(newest) if is(&newest, run) => cut_off(connection, &run.key, &newest, INTERRUPTED, now),
        Some(_) | None => Ok(()),
    }
}

/// Records a run that was to be recorded at its end and came to none, if it failed or cost anything; returns the cost.
pub(super) fn ended_unfinished(
    connection: &Connection,
    (id, key): (&RunId, &Key),
    (revision, began): (&Revision, Millis),
    outcome: Outcome,
    now: Millis,
) -> Result<MicroUsd, Fault> {
    let cost = paid(connection, id)?;
    if cost > MicroUsd(0) || outcome.kind == OutcomeKind::Failed {
        let run = RunRef { id: id.clone(), key: key.clone(), token: next_token(connection)? };
        begin(connection, &run, revision, began)?;
        ended(connection, &run, outcome, now)?;
    }
    Ok(cost)
}

/// A run that told nothing of its end has told nothing of what it has cost, either.
fn cut_off(connection: &Connection, key: &Key, row: &Row, reason: &str, now: Millis) -> Result<(), Fault> {
    let computed = row.computed.as_ref().and_then(|json| serde_json::from_str::<ReviewRecord>(json).ok());
    let cost = match computed {
        Some(computed) => computed.cost(),
        None => paid(connection, &row.id)?,
    };
    if row.is_told || row.stage == Stage::Published || cost == MicroUsd(0) {
        return Ok(());
    }
    let Some(row) = at(connection, key, row.token)? else { return Ok(()) };
    let reason = Some(reason.to_owned());
    let outcome = Outcome { kind: OutcomeKind::Deferred, reason, until: None, runtime: Runtime::Rules };
    tell(connection, key, row, outcome, now)
}

/// Writes how a run ended that has published nothing.
fn tell(connection: &Connection, key: &Key, row: Row, outcome: Outcome, now: Millis) -> Result<(), Fault> {
    let stage = match row.stage {
        Stage::Published => return Ok(()),
        Stage::Computed => Stage::Computed,
        Stage::Prepared | Stage::Ended => Stage::Ended,
    };
    let token = row.token;
    let computed: Option<ReviewRecord> =
        row.computed.map(|json| from_json(&json, || format!("run {}", row.id))).transpose()?;
    let record = match computed {
        Some(computed) => {
            let computed = taken_over(connection, key, &row.id, computed)?;
            // Whoever takes it over next takes it from this run.
            let sql = "UPDATE run SET computed = ?3 WHERE loop = 'review' AND key = ?1 AND token = ?2";
            connection.sql(sql).execute((key.as_str(), token.0, to_json(&computed)?))?;
            let mut record = computed.ended_at(now);
            record.detail.outcome = outcome;
            record
        }
        None => {
            let head = Some(row.revision.head).filter(|head| !head.is_none());
            let detail = ReviewDetail::new(head, row.revision.base, outcome);
            let cost_micro_usd = paid(connection, &row.id)?;
            let mut record = ReviewRecord::begin(row.id, key.clone(), detail, row.began).ended_at(now);
            record.took(Step::Review, &StepCost { cost_micro_usd, ..StepCost::<()>::default() });
            record
        }
    };
    end(connection, (key, token), stage, record)
}

/// What the ledger holds a run to have cost. What nobody will settle any more counts in full.
pub(super) fn paid(connection: &Connection, run: &RunId) -> Result<MicroUsd, Fault> {
    let sql =
        "SELECT CAST(coalesce(sum(coalesce(cost, amount)), 0) AS BIGINT) FROM reservation WHERE run = ?1";
    Ok(MicroUsd(connection.sql(sql).only([run.as_str()], |row| row.get(0))?))
}

/// A record of what another run may have computed, as this run's. What that cost is told once, by the run that tells it
/// last.
fn taken_over(
    connection: &Connection,
    key: &Key,
    run: &RunId,
    record: ReviewRecord,
) -> Result<ReviewRecord, Fault> {
    if record.run != *run {
        let sql =
            "SELECT record FROM run WHERE loop = 'review' AND key = ?1 AND id = ?2 AND record IS NOT NULL";
        let told: Option<String> =
            connection.sql(sql).first((key.as_str(), record.run.as_str()), |row| row.get(0))?;
        // A run that has told nothing yet has no record to take its cost out of: its calls are this run's from now on.
        let sql = "UPDATE reservation SET run = ?1 WHERE run = ?2";
        connection.sql(sql).execute((run.as_str(), record.run.as_str()))?;
        let of = (key.as_str(), record.run.as_str());
        let sql = "UPDATE run SET cost = 0
                   WHERE loop = 'review' AND key = ?1 AND id = ?2 AND record IS NOT NULL";
        connection.sql(sql).execute(of)?;
        // What cannot be read tells nothing of its cost.
        if let Some(told) = told.and_then(|json| serde_json::from_str::<ReviewRecord>(&json).ok()) {
            let told = told.without_cost();
            let sql = "UPDATE run SET record = ?3 WHERE loop = 'review' AND key = ?1 AND id = ?2";
            connection.sql(sql).execute((key.as_str(), record.run.as_str(), to_json(&told)?))?;
        }
    }
    Ok(ReviewRecord { run: run.clone(), ..record })
}

const COLUMNS: &str = "token, id, stage, head, base, began, computed, record IS NOT NULL";

fn newest(connection: &Connection, key: &Key) -> Result<Option<Row>, Fault> {
    let sql =
        format!("SELECT {COLUMNS} FROM run WHERE loop = 'review' AND key = ?1 ORDER BY token DESC LIMIT 1");
    connection.sql(&sql).query([key.as_str()], row)?.next().transpose()
}

fn at(connection: &Connection, key: &Key, token: Token) -> Result<Option<Row>, Fault> {
    let sql = format!("SELECT {COLUMNS} FROM run WHERE loop = 'review' AND key = ?1 AND token = ?2");
    connection.sql(&sql).query((key.as_str(), token.0), row)?.next().transpose()
}

fn row(row: &sql::Row) -> Result<Row, Fault> {
    Ok(Row {
        token: Token(row.get(0)?),
        id: RunId::new(row.get::<String>(1)?),
        stage: parse_stage(row.text(2))?,
        revision: Revision { head: parse_sha(row.get(3)?)?, base: parse_sha(row.get(4)?)? },
        began: Millis(row.get(5)?),
        computed: row.get(6)?,
        is_told: row.get(7)?,
    })
}

/// The revision that was published last, and the record of that run as JSON.
fn reviewed(connection: &Connection, key: &Key) -> Result<Option<(Revision, Option<String>)>, Fault> {
    let sql = "SELECT head, base, record FROM run WHERE loop = 'review' AND key = ?1 AND stage = 'published'
               ORDER BY token DESC LIMIT 1";
    let found: Option<(String, String, Option<String>)> =
        connection.sql(sql).first([key.as_str()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let read =
        |(head, base, outcome)| Ok((Revision { head: parse_sha(head)?, base: parse_sha(base)? }, outcome));
    found.map(read).transpose()
}

/// Was a run after the newest published one about another revision?
fn has_left(connection: &Connection, key: &Key, revision: &Revision) -> Result<bool, Fault> {
    let sql = "SELECT count(*) FROM run WHERE loop = 'review' AND key = ?1 AND (head <> ?2 OR base <> ?3)
               AND token > (SELECT max(token) FROM run
                            WHERE loop = 'review' AND key = ?1 AND stage = 'published')";
    let of = (key.as_str(), revision.head.as_str(), revision.base.as_str());
    let count: i64 = connection.sql(sql).only(of, |row| row.get(0))?;
    Ok(count > 0)
}

/// The revision that was computed last.
pub(super) fn known(connection: &Connection, key: &Key) -> Result<Option<Revision>, Fault> {
    newest_at(connection, key, "stage IN ('computed', 'published')")
}

/// Ends the newest run's revision without a review, if no run has settled it.
pub(super) fn skip(connection: &Connection, run: &RunRef, reason: &str, now: Millis) -> Result<(), Fault> {
    let LastReviews { attempted, settled, .. } = last_reviews(connection, &run.key)?;
    let is_open = |attempted: &Revision| !attempted.head.is_none() && settled.as_ref() != Some(attempted);
    match attempted.filter(is_open) {
        Some(revision) => leave(connection, run, &revision, reason, now),
        None => Ok(()),
    }
}

/// Ends a run that leaves this revision without a review.
pub(super) fn leave(
    connection: &Connection,
    run: &RunRef,
    revision: &Revision,
    reason: &str,
    now: Millis,
) -> Result<(), Fault> {
    begin(connection, run, revision, now)?;
    let reason = Some(reason.to_owned());
    let outcome = Outcome { kind: OutcomeKind::Skipped, reason, until: None, runtime: Runtime::Rules };
    ended(connection, run, outcome, now)
}
