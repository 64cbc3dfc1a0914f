//! The outcome records that `truing report` shows: totals by day, kind and reason, and the last ones as they are.

use truing_core::id::{RunId, UnixMillis};
use truing_core::money::MicroUsd;
use truing_core::port::StoreError;
use truing_core::slot::LoopKind;
use truing_core::sync::job::UnreportedCost;

use crate::store::Store;

/// How many runs of one day ended in one way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RunEndCount {
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
    /// Are they reviews on somebody's machine, not of a served pull request?
    pub is_local: bool,
}

impl Store {
    /// The runs of a loop that ended since then, counted by UTC day, kind, reason, and local or served; in that
    /// order. Without those whose
    /// record is damaged.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be read.
    #[truing_core::boxed_future]
    pub async fn ended_by_day(
        &self,
        of: LoopKind,
        since: UnixMillis,
    ) -> Result<Vec<RunEndCount>, StoreError> {
        self.read(move |connection| {
            // From an index alone, and those that are left out from one of their own: records are not read.
            let sql = "SELECT ended / 86400000, kind, coalesce(reason, ''), count(*),
                              CAST(sum(CASE WHEN ended > began THEN ended - began ELSE 0 END) AS BIGINT),
                              CAST(sum(coalesce(cost, 0)) AS BIGINT),
                              rowid IN (SELECT rowid FROM run WHERE substr(key, 1, 6) = 'local/' AND loop = ?1)
                       FROM run WHERE loop = ?1 AND ended >= ?2 AND kind IS NOT NULL AND rowid NOT IN
                         (SELECT rowid FROM run WHERE loop = ?1 AND ended >= ?2 AND (kind IS NULL OR NOT json_valid(record)))
                       GROUP BY 1, 2, 3, 7 ORDER BY 1, 2, 3, 7";
            connection
                .sql(sql)
                .query((of.as_str(), since.0), |row| {
                    Ok(RunEndCount {
                        day: row.get(0)?,
                        kind: row.get(1)?,
                        reason: row.get(2)?,
                        runs: row.get(3)?,
                        ms: row.get(4)?,
                        cost: row.get(5)?,
                        is_local: row.get(6)?,
                    })
                })?
                .collect()
        })
        .await
    }

    /// The runs that ended since then and that [`Self::ended_by_day`] leaves out.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be read.
    #[truing_core::boxed_future]
    pub async fn damaged(&self, of: LoopKind, since: UnixMillis) -> Result<Vec<RunId>, StoreError> {
        self.read(move |connection| {
            let sql = "SELECT id FROM run
                       WHERE loop = ?1 AND ended >= ?2 AND (kind IS NULL OR NOT json_valid(record))";
            let select = connection.sql(sql);
            let runs = select.query((of.as_str(), since.0), |row| Ok(RunId::new(row.get::<String>(0)?)))?;
            runs.collect::<Result<_, _>>()
        })
        .await
    }

    /// The cost since then of reviews that no record holds, served and local ones: not recorded as wished, or not at their end. A call
    /// counts by when it would have expired, and in full if it has.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be read.
    #[truing_core::boxed_future]
    pub async fn unrecorded(&self, since: UnixMillis) -> Result<MicroUsd, StoreError> {
        self.unrecorded_reviews(since, "TRUE").await
    }

    /// The part of it that local reviews have cost.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be read.
    #[truing_core::boxed_future]
    pub async fn unrecorded_locally(&self, since: UnixMillis) -> Result<MicroUsd, StoreError> {
        self.unrecorded_reviews(since, "substr(level.key, 1, 6) = 'local/'").await
    }

    /// The same of the levels that a condition names.
    async fn unrecorded_reviews(&self, since: UnixMillis, levels: &str) -> Result<MicroUsd, StoreError> {
        // Few calls are left where no record tells: their levels are looked up last.
        let sql = format!(
            "WITH paid AS (SELECT id, run, cost AS spent, expires FROM reservation WHERE cost IS NOT NULL
                           UNION ALL SELECT id, run, amount, expires FROM reservation
                           WHERE cost IS NULL AND expires <= ?2),
                  untold AS MATERIALIZED (SELECT id, spent FROM paid WHERE expires >= ?1 AND NOT EXISTS
                           (SELECT 1 FROM run WHERE run.id = paid.run AND loop = 'review' AND record IS NOT NULL))
             SELECT CAST(coalesce(sum(spent), 0) AS BIGINT) FROM untold
             WHERE EXISTS (SELECT 1 FROM draw JOIN level ON level.id = draw.level
                           WHERE draw.reservation = untold.id AND level.kind = 'review' AND {levels})"
        );
        self.money_since(since, sql).await
    }

    /// The same of runs that converge, and of audits: they go on, or were killed, or a call of theirs was settled after
    /// their end.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be read.
    #[truing_core::boxed_future]
    pub async fn unrecorded_converges(&self, since: UnixMillis) -> Result<MicroUsd, StoreError> {
        self.money_since(
            since,
            "SELECT CAST(coalesce(sum(CASE WHEN spent > told THEN spent - told ELSE 0 END), 0) AS BIGINT) FROM
               (SELECT sum(coalesce(paid.cost, paid.amount)) AS spent,
                       max(CASE WHEN run.ended IS NULL THEN 0 ELSE coalesce(run.cost, 0) END) AS told
                FROM run JOIN reservation AS paid ON paid.run = run.id
                WHERE run.loop <> 'review' AND run.loop = 'converge' AND (paid.cost IS NOT NULL OR paid.expires <= ?2)
                GROUP BY run.id HAVING max(paid.expires) >= ?1) AS costs"
                .to_owned(),
        )
        .await
    }

    /// The sum that a statement gives of calls that are settled, or that nobody has settled in time. `?1`: since when; `?2`: now.
    async fn money_since(&self, since: UnixMillis, sql: String) -> Result<MicroUsd, StoreError> {
        let now = self.0.clock.now();
        self.read(move |connection| {
            Ok(MicroUsd(connection.sql(&sql).only((since.0, now.0), |row| row.get(0))?))
        })
        .await
    }

    /// What runs of a job have cost of which no record tells yet: they were stopped, or killed, or go on.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be read.
    #[truing_core::boxed_future]
    pub async fn cost_untold(&self, runs: &[UnreportedCost]) -> Result<MicroUsd, StoreError> {
        let (runs, now) = (runs.to_vec(), self.0.clock.now());
        self.read(move |connection| {
            let sql = "SELECT CAST(coalesce(sum(coalesce(cost, amount)), 0) AS BIGINT) FROM reservation
                       WHERE run = ?1 AND (cost IS NOT NULL OR expires <= ?2)";
            let select = connection.sql(sql);
            let mut untold = 0_u64;
            for UnreportedCost { run, told } in &runs {
                let spent: u64 = select.only((run.as_str(), now.0), |row| row.get(0))?;
                untold = untold.saturating_add(spent.saturating_sub(told.0));
            }
            Ok(MicroUsd(untold))
        })
        .await
    }
}
