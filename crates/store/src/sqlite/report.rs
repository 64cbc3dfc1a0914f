//! The outcome records that `truing report` shows: totals by day, kind and reason, and the last ones as they are.

use truing_core::follow::job::UnreportedCost;
use truing_core::id::{Millis, RunId, Token};
use truing_core::money::MicroUsd;
use truing_core::outcome::OutcomeRecord;
use truing_core::port::StoreError;

use super::Sqlite;
use super::fault::{from_json, readable};
use super::history::sql_limit;
use super::records::Stage;

/// How many runs of one day ended in one way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ended {
    /// The UTC day, in days since 1970.
    pub day: i64,
    /// The word of the outcome's kind.
    pub kind: String,
    /// Its reason; empty if the kind says it all.
    pub reason: String,
    /// Runs.
    pub runs: u64,
    /// How long they took, all together, in milliseconds.
    pub ms: u64,
    /// What they cost, all together, in micro-dollars.
    pub cost: u64,
}

/// A run that has ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EndedRun {
    /// Its fencing token.
    pub token: Token,
    /// How far it came.
    pub stage: Stage,
    /// What it came to.
    pub record: OutcomeRecord,
    /// What people call its key, and its page.
    pub described: Option<(String, String)>,
}

impl Sqlite {
    /// The runs that ended since then, counted by UTC day, kind and reason; in that order.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be read.
    pub async fn ended_by_day(&self, since: Millis) -> Result<Vec<Ended>, StoreError> {
        self.read(move |connection| {
            // What is damaged is left out, or counts for nothing.
            let sql = "SELECT ended / 86400000,
                              json_extract(outcome, '$.outcome.kind'),
                              CAST(coalesce(json_extract(outcome, '$.outcome.reason'), '') AS TEXT),
                              count(*), sum(max(ended - began, 0)),
                              sum(CASE json_type(outcome, '$.cost_micro_usd')
                                  WHEN 'integer' THEN max(json_extract(outcome, '$.cost_micro_usd'), 0)
                                  ELSE 0 END)
                       FROM run WHERE ended >= ?1 AND CASE WHEN json_valid(outcome)
                                  THEN json_type(outcome, '$.outcome.kind') = 'text' ELSE 0 END
                       GROUP BY 1, 2, 3 ORDER BY 1, 2, 3";
            connection
                .prepare_cached(sql)?
                .query_and_then([since.0], |row| {
                    Ok(Ended {
                        day: row.get(0)?,
                        kind: row.get(1)?,
                        reason: row.get(2)?,
                        runs: row.get(3)?,
                        ms: row.get(4)?,
                        cost: row.get(5)?,
                    })
                })?
                .collect()
        })
        .await
    }

    /// The runs that ended since then and that [`Self::ended_by_day`] leaves out, because their record is damaged.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be read.
    pub async fn damaged(&self, since: Millis) -> Result<Vec<RunId>, StoreError> {
        self.read(move |connection| {
            let sql = "SELECT id FROM run WHERE ended >= ?1 AND NOT CASE WHEN json_valid(outcome)
                                  THEN json_type(outcome, '$.outcome.kind') IS 'text' ELSE 0 END";
            let mut select = connection.prepare_cached(sql)?;
            let runs = select.query_map([since.0], |row| Ok(RunId::new(row.get::<_, String>(0)?)))?;
            Ok(runs.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// What reviews have cost since then of which no record tells: not recorded as wished, or not at their end. A call
    /// counts by when it would have expired, and in full if it has.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be read.
    pub async fn unrecorded(&self, since: Millis) -> Result<MicroUsd, StoreError> {
        self.money_since(
            since,
            "SELECT coalesce(sum(spent), 0) FROM paid
             WHERE expires >= ?1 AND run NOT IN (SELECT id FROM run WHERE outcome IS NOT NULL)
               AND EXISTS (SELECT 1 FROM draw JOIN level ON level.id = draw.level
                           WHERE draw.reservation = paid.id AND level.kind = 'review')",
        )
        .await
    }

    /// The same of runs that converge, and of audits: they go on, or were killed, or a call of theirs was settled after
    /// their end.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be read.
    pub async fn unrecorded_converges(&self, since: Millis) -> Result<MicroUsd, StoreError> {
        // What is damaged tells nothing.
        self.money_since(
            since,
            "SELECT coalesce(sum(max(spent - told, 0)), 0) FROM
               (SELECT sum(spent) AS spent,
                       CASE WHEN NOT json_valid(body) THEN 0
                            WHEN json_type(body, '$.state.exit') IS NOT 'object' THEN 0
                            ELSE (SELECT coalesce(sum(json_extract(value, '$.cost_micro_usd')), 0)
                                  FROM json_each(body, '$.taken')) END AS told
                FROM paid JOIN converge USING (run) GROUP BY run HAVING max(expires) >= ?1)",
        )
        .await
    }

    /// What a statement says of `paid`: the id, run, cost and end of each call that is settled, or that nobody has settled
    /// in time. `?1`: since when.
    async fn money_since(&self, since: Millis, sql: &'static str) -> Result<MicroUsd, StoreError> {
        let now = self.0.clock.now();
        self.read(move |connection| {
            let sql = format!(
                "WITH paid AS (SELECT id, run, cost AS spent, expires FROM reservation WHERE cost IS NOT NULL
                               UNION ALL SELECT id, run, amount, expires FROM reservation
                               WHERE cost IS NULL AND expires <= ?2) {sql}"
            );
            Ok(MicroUsd(connection.prepare_cached(&sql)?.query_row((since.0, now.0), |row| row.get(0))?))
        })
        .await
    }

    /// What runs of a job have cost of which no record tells yet: they were stopped, or killed, or go on.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be read.
    pub async fn cost_untold(&self, runs: &[UnreportedCost]) -> Result<MicroUsd, StoreError> {
        let (runs, now) = (runs.to_vec(), self.0.clock.now());
        self.read(move |connection| {
            let sql = "SELECT coalesce(sum(coalesce(cost, amount)), 0) FROM reservation
                       WHERE run = ?1 AND (cost IS NOT NULL OR expires <= ?2)";
            let mut select = connection.prepare_cached(sql)?;
            let mut untold = 0_u64;
            for UnreportedCost { run, told } in &runs {
                let spent: u64 = select.query_row((run.as_str(), now.0), |row| row.get(0))?;
                untold = untold.saturating_add(spent.saturating_sub(told.0));
            }
            Ok(MicroUsd(untold))
        })
        .await
    }

    /// The last runs that ended since then, newest first; without those whose record cannot be read.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be read.
    pub async fn last_ended(&self, since: Millis, limit: usize) -> Result<Vec<EndedRun>, StoreError> {
        self.read(move |connection| {
            let sql = "SELECT run.token, run.stage, run.outcome, described.name, described.url, run.id
                       FROM run LEFT JOIN described ON described.key = run.key
                       WHERE run.ended >= ?1 ORDER BY run.ended DESC, run.token DESC LIMIT ?2";
            let mut select = connection.prepare_cached(sql)?;
            let rows = select.query_and_then((since.0, sql_limit(limit)), |row| {
                let (json, name, url): (String, Option<String>, Option<String>) =
                    (row.get(2)?, row.get(3)?, row.get(4)?);
                let id: String = row.get(5)?;
                Ok(EndedRun {
                    token: Token(row.get(0)?),
                    stage: Stage::from_word(&row.get::<_, String>(1)?)?,
                    record: from_json(&json, || format!("the outcome of run {id}"))?,
                    described: name.zip(url),
                })
            })?;
            readable(rows)
        })
        .await
    }
}
