//! The outcomes of runs for `truing report`: totals by day, kind and reason.

use truing_core::id::{RunId, UnixMillis};
use truing_core::money::MicroUsd;
use truing_core::port::StoreError;
use truing_core::slot::LoopKind;
use truing_core::sync::job::UnreportedCost;

use crate::store::Store;

/// The number, duration and cost of the runs that ended on one day with the same outcome and reason.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RunEndCount {
    /// The UTC day, in days since 1970.
    pub utc_day: i64,
    /// The name of the outcome's kind.
    pub kind: String,
    /// The reason; empty if the kind needs no reason.
    pub reason: String,
    /// Number of these runs.
    pub runs: u64,
    /// Total duration of these runs, in milliseconds.
    pub total_duration_ms: u64,
    /// Total cost of these runs, in micro-dollars.
    pub cost_micro_usd: u64,
    /// True for local reviews by users, false for reviews by the service.
    pub is_local: bool,
}

impl Store {
    /// Counts the runs of a loop that ended since the given time, by UTC day, kind, reason and origin (local
    /// or served). Runs with a damaged record are left out.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be read.
    #[truing_core::boxed_future]
    pub async fn run_ends_by_day(
        &self,
        loop_kind: LoopKind,
        since: UnixMillis,
    ) -> Result<Vec<RunEndCount>, StoreError> {
        self.read(move |connection| {
            // The query does not read the records. The query uses only two indexes: the index of all ended
            // runs, and the index of runs with a damaged record.
            let sql = "SELECT ended / 86400000, kind, coalesce(reason, ''), count(*),
                              CAST(sum(CASE WHEN ended > began THEN ended - began ELSE 0 END) AS BIGINT),
                              CAST(sum(coalesce(cost, 0)) AS BIGINT),
                              rowid IN (SELECT rowid FROM run WHERE substr(key, 1, 6) = 'local/' AND loop = \
                 ?1)
                       FROM run WHERE loop = ?1 AND ended >= ?2 AND kind IS NOT NULL AND rowid NOT IN
                         (SELECT rowid FROM run WHERE loop = ?1 AND ended >= ?2 AND (kind IS NULL OR NOT \
                 json_valid(record)))
                       GROUP BY 1, 2, 3, 7 ORDER BY 1, 2, 3, 7";
            connection
                .sql(sql)
                .query((loop_kind.as_str(), since.0), |row| {
                    Ok(RunEndCount {
                        utc_day: row.get(0)?,
                        kind: row.get(1)?,
                        reason: row.get(2)?,
                        runs: row.get(3)?,
                        total_duration_ms: row.get(4)?,
                        cost_micro_usd: row.get(5)?,
                        is_local: row.get(6)?,
                    })
                })?
                .collect()
        })
        .await
    }

    /// Returns the runs that ended since the given time and that [`Self::run_ends_by_day`] leaves out.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be read.
    #[truing_core::boxed_future]
    pub async fn unreadable_ended_runs(
        &self,
        loop_kind: LoopKind,
        since: UnixMillis,
    ) -> Result<Vec<RunId>, StoreError> {
        self.read(move |connection| {
            let sql = "SELECT id FROM run
                       WHERE loop = ?1 AND ended >= ?2 AND (kind IS NULL OR NOT json_valid(record))";
            let select = connection.sql(sql);
            let runs =
                select.query((loop_kind.as_str(), since.0), |row| Ok(RunId::new(row.get::<String>(0)?)))?;
            runs.collect::<Result<_, _>>()
        })
        .await
    }

    /// Returns the part of the cost of served and local reviews since the given time that no record contains.
    /// A review has no record if no record was requested, or if the review was stopped before its end. The
    /// time of a call is the time at which its reservation expires. An unsettled call counts in full after
    /// its reservation has expired.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be read.
    #[truing_core::boxed_future]
    pub async fn unrecorded_cost(&self, since: UnixMillis) -> Result<MicroUsd, StoreError> {
        self.unrecorded_cost_on_levels(since, "TRUE").await
    }

    /// Returns the part of [`Self::unrecorded_cost`] that local reviews spent.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be read.
    #[truing_core::boxed_future]
    pub async fn unrecorded_local_cost(&self, since: UnixMillis) -> Result<MicroUsd, StoreError> {
        self.unrecorded_cost_on_levels(since, "substr(level.key, 1, 6) = 'local/'").await
    }

    /// Returns the unrecorded cost of reviews on the budget levels that match `level_condition_sql`.
    async fn unrecorded_cost_on_levels(
        &self,
        since: UnixMillis,
        level_condition_sql: &str,
    ) -> Result<MicroUsd, StoreError> {
        // Only a few calls belong to runs without a record. The levels are therefore joined last, and only
        // for these calls.
        let sql = format!(
            "WITH paid AS (SELECT id, run, cost AS spent, expires FROM reservation WHERE cost IS NOT NULL
                           UNION ALL SELECT id, run, amount, expires FROM reservation
                           WHERE cost IS NULL AND expires <= ?2),
                  untold AS MATERIALIZED (SELECT id, spent FROM paid WHERE expires >= ?1 AND NOT EXISTS
                           (SELECT 1 FROM run WHERE run.id = paid.run AND loop = 'review' AND record IS NOT \
             NULL))
             SELECT CAST(coalesce(sum(spent), 0) AS BIGINT) FROM untold
             WHERE EXISTS (SELECT 1 FROM draw JOIN level ON level.id = draw.level
                           WHERE draw.reservation = untold.id AND level.kind = 'review' AND \
                           {level_condition_sql})"
        );
        self.sum_costs_since(since, sql).await
    }

    /// Returns the unrecorded cost of converge runs and audits. The cost of a run is unrecorded in three
    /// cases: the run continues, the run was killed, or a call was settled after the run's end.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be read.
    #[truing_core::boxed_future]
    pub async fn unrecorded_converge_cost(&self, since: UnixMillis) -> Result<MicroUsd, StoreError> {
        self.sum_costs_since(
            since,
            "SELECT CAST(coalesce(sum(CASE WHEN spent > told THEN spent - told ELSE 0 END), 0) AS BIGINT) FROM
               (SELECT sum(coalesce(paid.cost, paid.amount)) AS spent,
                       max(CASE WHEN run.ended IS NULL THEN 0 ELSE coalesce(run.cost, 0) END) AS told
                FROM run JOIN reservation AS paid ON paid.run = run.id
                WHERE run.loop <> 'review' AND run.loop = 'converge' AND (paid.cost IS NOT NULL OR \
             paid.expires <= ?2)
                GROUP BY run.id HAVING max(paid.expires) >= ?1) AS costs"
                .to_owned(),
        )
        .await
    }

    /// Returns the sum that a statement computes over settled and expired calls. In the statement, `?1` is
    /// `since`, and `?2` is the present time.
    async fn sum_costs_since(&self, since: UnixMillis, sql: String) -> Result<MicroUsd, StoreError> {
        let now = self.0.clock.now();
        self.read(move |connection| {
            Ok(MicroUsd(connection.sql(&sql).single_row((since.0, now.0), |row| row.get(0))?))
        })
        .await
    }

    /// Returns the part of the cost of a job's runs that no record contains yet. These runs were stopped or
    /// killed, or still continue.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be read.
    #[truing_core::boxed_future]
    pub async fn unrecorded_run_cost(&self, runs: &[UnreportedCost]) -> Result<MicroUsd, StoreError> {
        let (runs, now) = (runs.to_vec(), self.0.clock.now());
        self.read(move |connection| {
            let sql = "SELECT CAST(coalesce(sum(coalesce(cost, amount)), 0) AS BIGINT) FROM reservation
                       WHERE run = ?1 AND (cost IS NOT NULL OR expires <= ?2)";
            let select = connection.sql(sql);
            let mut untold = 0_u64;
            for UnreportedCost { run, reported_cost: told } in &runs {
                let spent: u64 = select.single_row((run.as_str(), now.0), |row| row.get(0))?;
                untold = untold.saturating_add(spent.saturating_sub(told.0));
            }
            Ok(MicroUsd(untold))
        })
        .await
    }
}
