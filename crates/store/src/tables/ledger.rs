//! The ledger: budget levels, each with its reserved and its spent sum. Every operation is one transaction
//! over all levels of a run's budget. Processes that share the store therefore cannot exceed a limit
//! together.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::sql::{SqlRow, SqlTransaction};
use async_trait::async_trait;
use truing_core::id::{RunId, SlotKey, UnixMillis};
use truing_core::ledger::{
    BudgetLevel, BudgetLevelKind, BudgetUsage, CostBasis, ReservationDecision, ReservationId,
    ReservationOutcome, ReservationRequest, RunBudget, decide_reservation, exhausted_notice,
    threshold_notice, utc_day, utc_month,
};
use truing_core::money::MicroUsd;
use truing_core::port::{Ledger, StoreError};
use truing_core::slot::LoopKind;

use super::operator_tables::notice;
use crate::fault::StoreFault;
use crate::store::Store;

/// Largest number of rows that one write deletes. The limit bounds how long other writers must wait.
const DELETE_BATCH_SIZE: i64 = 256;

/// Time in milliseconds for which the budget level of a pull request is kept after its last use. Without this
/// level, an open pull request would again have its full budget.
const PULL_LEVEL_RETENTION_MS: i64 = 400 * 24 * 60 * 60 * 1000;

#[async_trait]
impl Ledger for Store {
    async fn reserve(
        &self,
        budget: &RunBudget,
        request: &ReservationRequest,
    ) -> Result<ReservationOutcome, StoreError> {
        let (budget, request, clock) = (budget.clone(), *request, Arc::clone(&self.0.clock));
        self.write_serialized(move |connection| reserve(connection, &budget, &request, clock.now())).await
    }

    async fn settle_reservation(
        &self,
        reservation: ReservationId,
        cost: MicroUsd,
        basis: CostBasis,
    ) -> Result<MicroUsd, StoreError> {
        let clock = Arc::clone(&self.0.clock);
        self.write_serialized(move |connection| {
            settle_reservation(connection, reservation, cost, basis, clock.now())
        })
        .await
    }

    async fn budget_usage(&self, levels: &[BudgetLevel]) -> Result<Vec<BudgetUsage>, StoreError> {
        let (levels, clock) = (levels.to_vec(), Arc::clone(&self.0.clock));
        self.write_serialized(move |connection| {
            settle_expired_reservations(connection, clock.now())?;
            levels.iter().map(|level| Ok(find_level(connection, level)?.1)).collect()
        })
        .await
    }

    async fn current_usage(&self) -> Result<Vec<BudgetUsage>, StoreError> {
        let clock = Arc::clone(&self.0.clock);
        self.write_serialized(move |connection| {
            let now = clock.now();
            settle_expired_reservations(connection, now)?;
            current_levels(connection, now)
        })
        .await
    }
}

impl Store {
    /// Returns the budget usage of all reviews of a slot and of the given runs. There is one entry for each
    /// reviewed head.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be written.
    #[truing_core::boxed_future]
    pub async fn slot_usage(&self, key: &SlotKey, runs: &[RunId]) -> Result<Vec<BudgetUsage>, StoreError> {
        let (key, clock) = (key.as_str().to_owned(), Arc::clone(&self.0.clock));
        let runs: Vec<String> = runs.iter().map(|run| run.as_str().to_owned()).collect();
        self.write_serialized(move |connection| {
            settle_expired_reservations(connection, clock.now())?;
            let columns = "SELECT id, kind, key, period, cap, spent, reserved FROM level";
            let reviews = format!("{columns} WHERE kind = 'review' AND key >= ?1 AND key < ?2");
            let run = format!("{columns} WHERE kind = 'run' AND key = ?1");
            let mut found: Vec<LevelRow> = connection
                .sql(&reviews)
                .query((format!("{key}@"), format!("{key}A")), parse_level_row)?
                .collect::<Result<_, _>>()?;
            for id in &runs {
                let rows =
                    connection.sql(&run).query([id], parse_level_row)?.collect::<Result<Vec<_>, _>>()?;
                found.extend(rows);
            }
            Ok(found.into_iter().map(|(_, drawn)| drawn).collect())
        })
        .await
    }

    /// Deletes a batch of settled reservations that expired before the given time, and of unused levels. A
    /// level is unused if its period is over, and if its last use was before the given time. A level of a
    /// pull request is deleted only if its last use was also more than `PULL_LEVEL_RETENTION_MS` ago. Returns
    /// the number of deleted rows, which is 0 if no such row is left.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be written.
    #[truing_core::boxed_future]
    pub async fn delete_old_reservations(&self, before: UnixMillis) -> Result<usize, StoreError> {
        let clock = Arc::clone(&self.0.clock);
        self.write_serialized(move |connection| {
            let now = clock.now();
            settle_expired_reservations(connection, now)?;
            let sql = "DELETE FROM reservation WHERE id IN
                       (SELECT id FROM reservation WHERE cost IS NOT NULL AND expires < ?1 LIMIT ?2)";
            let settled = connection.sql(sql).execute((before.0, DELETE_BATCH_SIZE))?;
            let sql = "DELETE FROM level WHERE id IN
                       (SELECT id FROM level WHERE touched < ?1 AND reserved = 0
                        AND (kind NOT IN ('pr', 'pr_ask') OR touched < ?5)
                        AND NOT EXISTS (SELECT 1 FROM draw WHERE level = level.id)
                        AND (period = '' OR period < CASE WHEN kind IN ('team_month', 'month') THEN ?3 ELSE \
                 ?2 END)
                        LIMIT ?4)";
            let pulls = now.0.saturating_sub(PULL_LEVEL_RETENTION_MS);
            let levels = connection.sql(sql).execute((
                before.0,
                utc_day(now),
                utc_month(now),
                DELETE_BATCH_SIZE,
                pulls,
            ))?;
            Ok(settled + levels)
        })
        .await
    }
}

/// The money spent by the runs of one key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeySpend {
    /// The key of the pull request, the local repository or the job. The key of a review also contains the
    /// head. If a run has no record, the run's id is used.
    pub key: String,
    /// The loop; none if the run has no record.
    pub loop_kind: Option<LoopKind>,
    /// The cost of settled calls.
    pub settled_cost: MicroUsd,
}

impl Store {
    /// Returns the cost of the calls since the given time, by key and loop.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be read.
    #[truing_core::boxed_future]
    pub async fn spent_since(&self, since: UnixMillis) -> Result<Vec<KeySpend>, StoreError> {
        let now = self.0.clock.now();
        self.read(move |connection| {
            // The level of a specialist's run is left out, because the level of the review already includes
            // its cost.
            let sql = "SELECT coalesce(run.key, level.key),
                              CASE level.kind WHEN 'review' THEN 'review' ELSE coalesce(run.loop, '') END,
                              CAST(sum(coalesce(paid.cost, paid.amount)) AS BIGINT)
                       FROM reservation AS paid JOIN draw ON draw.reservation = paid.id
                       JOIN level ON level.id = draw.level
                            AND (level.kind = 'review' OR (level.kind = 'run' AND level.key = paid.run))
                       LEFT JOIN run ON run.id = paid.run AND run.loop <> 'review'
                       WHERE paid.expires >= ?1 AND (paid.cost IS NOT NULL OR paid.expires <= ?2)
                       GROUP BY 1, 2 ORDER BY 1, 2";
            connection
                .sql(sql)
                .query((since.0, now.0), |row| {
                    let run_loop =
                        LoopKind::ALL.into_iter().find(|run_loop| run_loop.as_str() == row.text(1));
                    Ok(KeySpend {
                        key: row.get(0)?,
                        loop_kind: run_loop,
                        settled_cost: MicroUsd(row.get(2)?),
                    })
                })?
                .collect()
        })
        .await
    }
}

/// The id of a level's row, and its usage.
type LevelRow = (Option<i64>, BudgetUsage);

fn reserve(
    connection: &SqlTransaction,
    budget: &RunBudget,
    request: &ReservationRequest,
    now: UnixMillis,
) -> Result<ReservationOutcome, StoreFault> {
    settle_expired_reservations(connection, now)?;
    let mut seen = BTreeSet::new();
    let once = budget.levels.iter().filter(|level| seen.insert((level.kind, &level.key, &level.period)));
    let found: Vec<LevelRow> = once.map(|level| find_level(connection, level)).collect::<Result<_, _>>()?;
    let (rows, drawn): (Vec<Option<i64>>, Vec<BudgetUsage>) = found.into_iter().unzip();
    let Some(decided) = decide_reservation(&drawn, request) else {
        let what = format!("the run {} has no budget: its cost would be unlimited", budget.run);
        return Err(StoreError::Unavailable(what).into());
    };
    match decided {
        ReservationDecision::Refused(drawn) => {
            notice::add(connection, exhausted_notice(drawn, request).as_slice(), now)?;
            Ok(ReservationOutcome::Refused {
                level: drawn.level.clone(),
                remaining_amount: drawn.available_amount(),
            })
        }
        ReservationDecision::Amount(amount) => {
            let sql = "INSERT INTO reservation (run, amount, expires) VALUES (?1, ?2, ?3) RETURNING id";
            let id: i64 = connection
                .sql(sql)
                .single_row((budget.run.as_str(), stored_amount(amount), request.expires.0), |row| {
                    row.get(0)
                })?;
            for (row, drawn) in rows.into_iter().zip(&drawn) {
                let reserved = add_saturating(drawn.reserved, amount);
                let level = write_level(connection, row, &BudgetUsage { reserved, ..drawn.clone() }, now)?;
                connection.sql("INSERT INTO draw VALUES (?1, ?2)").execute((id, level))?;
            }
            Ok(ReservationOutcome::Granted { id: ReservationId(id), amount })
        }
    }
}

/// A reservation as it is stored.
struct StoredReservation {
    id: i64,
    amount: MicroUsd,
    /// The cost, if the reservation is settled.
    settlement: Option<(MicroUsd, CostBasis)>,
}

fn settle_reservation(
    connection: &SqlTransaction,
    ReservationId(id): ReservationId,
    cost: MicroUsd,
    basis: CostBasis,
    now: UnixMillis,
) -> Result<MicroUsd, StoreFault> {
    let sql = "SELECT id, amount, cost, known FROM reservation WHERE id = ?1";
    let kept = connection.sql(sql).first_row([id], read_reservation)?;
    let Some(kept) = kept else {
        return Err(StoreError::Corrupt(format!("the ledger has no reservation {id}")).into());
    };
    if cost > kept.amount {
        tracing::error!(id, %cost, reserved = %kept.amount, "a call cost more than the amount that was \
            reserved for it");
    }
    settle_on_better_basis(connection, &kept, cost, basis, now)
}

/// Settles a reservation. Does nothing if the reservation is already settled on an equal or better basis.
/// Returns the recorded cost.
fn settle_on_better_basis(
    connection: &SqlTransaction,
    reservation: &StoredReservation,
    cost: MicroUsd,
    basis: CostBasis,
    now: UnixMillis,
) -> Result<MicroUsd, StoreFault> {
    let estimated = match (reservation.settlement, basis) {
        (None, CostBasis::Metered | CostBasis::Estimated) => None,
        (Some((estimated, CostBasis::Estimated)), CostBasis::Metered) => Some(estimated),
        (Some((settled, CostBasis::Metered)), CostBasis::Metered | CostBasis::Estimated)
        | (Some((settled, CostBasis::Estimated)), CostBasis::Estimated) => return Ok(settled),
    };
    let sql = "UPDATE reservation SET cost = ?2, known = ?3 WHERE id = ?1";
    connection.sql(sql).execute((reservation.id, stored_amount(cost), cost_basis_word(basis)))?;
    let sql = "SELECT id, kind, key, period, cap, spent, reserved FROM level
               WHERE id IN (SELECT level FROM draw WHERE reservation = ?1)";
    let levels: Vec<LevelRow> =
        connection.sql(sql).query([reservation.id], parse_level_row)?.collect::<Result<_, _>>()?;
    for (row, BudgetUsage { level, spent, reserved }) in levels {
        let drawn = match estimated {
            None => BudgetUsage {
                level,
                spent: add_saturating(spent, cost),
                reserved: subtract_saturating(reserved, reservation.amount),
            },
            Some(estimated) => BudgetUsage {
                level,
                spent: add_saturating(subtract_saturating(spent, estimated), cost),
                reserved,
            },
        };
        write_level(connection, row, &drawn, now)?;
        notice::add(connection, threshold_notice(&drawn).as_slice(), now)?;
    }
    Ok(cost)
}

/// Settles expired reservations at their full amount. Their owner has exited, and the provider may
/// nevertheless have charged for the call.
fn settle_expired_reservations(connection: &SqlTransaction, now: UnixMillis) -> Result<(), StoreFault> {
    let sql = "SELECT id, amount, cost, known FROM reservation WHERE cost IS NULL AND expires <= ?1";
    let dead: Vec<StoredReservation> =
        connection.sql(sql).query([now.0], read_reservation)?.collect::<Result<_, _>>()?;
    for kept in dead {
        settle_on_better_basis(connection, &kept, kept.amount, CostBasis::Estimated, now)?;
        tracing::warn!(reservation = kept.id, cost = %kept.amount, "the cost of a call was never settled: \
            the whole reservation counts as spent");
    }
    Ok(())
}

fn read_reservation(row: &SqlRow) -> Result<StoredReservation, StoreFault> {
    let (cost, known): (Option<u64>, Option<String>) = (row.get(2)?, row.get(3)?);
    // In a row, `cost` and `known` are either both null or both not null. `known` contains only one of the
    // two names of a `CostBasis`.
    let known = known.map(|word| if word == "metered" { CostBasis::Metered } else { CostBasis::Estimated });
    Ok(StoredReservation {
        id: row.get(0)?,
        amount: MicroUsd(row.get(1)?),
        settlement: cost.map(MicroUsd).zip(known),
    })
}

fn cost_basis_word(basis: CostBasis) -> &'static str {
    match basis {
        CostBasis::Metered => "metered",
        CostBasis::Estimated => "estimated",
    }
}

/// Returns the usage of a level. The returned limit is the limit of `level` plus all amounts by which people
/// have raised it.
fn find_level(connection: &SqlTransaction, level: &BudgetLevel) -> Result<LevelRow, StoreFault> {
    let sql = "SELECT id, kind, key, period, cap, spent, reserved, allowed FROM level
               WHERE kind = ?1 AND key = ?2 AND period = ?3";
    let found = connection
        .sql(sql)
        .query((level.kind.as_str(), &level.key, &level.period), |row| {
            Ok::<_, StoreFault>((parse_level_row(row)?, MicroUsd(row.get(7)?)))
        })?
        .next()
        .transpose()?;
    Ok(match found {
        Some(((row, drawn), allowed)) => {
            let level = BudgetLevel { limit: add_saturating(level.limit, allowed), ..level.clone() };
            (row, BudgetUsage { level, ..drawn })
        }
        None => (None, BudgetUsage { level: level.clone(), spent: MicroUsd(0), reserved: MicroUsd(0) }),
    })
}

/// Raises the limit of a level by the level's configured limit.
pub(super) fn raise_level_limit(
    connection: &SqlTransaction,
    level: &BudgetLevel,
    now: UnixMillis,
) -> Result<(), StoreFault> {
    let (row, drawn) = find_level(connection, level)?;
    let raised = BudgetLevel { limit: add_saturating(drawn.level.limit, level.limit), ..level.clone() };
    let id = write_level(connection, row, &BudgetUsage { level: raised, ..drawn }, now)?;
    let sql = "UPDATE level SET allowed = allowed + ?2 WHERE id = ?1";
    connection.sql(sql).execute((id, stored_amount(level.limit)))?;
    Ok(())
}

fn parse_level_row(row: &SqlRow) -> Result<LevelRow, StoreFault> {
    let (kind, key, period): (String, String, String) = (row.get(1)?, row.get(2)?, row.get(3)?);
    let Some(kind) = BudgetLevelKind::from_word(&kind) else {
        let what = format!(
            "the ledger has a level of kind `{kind}` for {key} {period}: this version does not know this \
            kind"
        );
        return Err(StoreError::Corrupt(what).into());
    };
    let money = |column| Ok::<_, StoreFault>(MicroUsd(row.get(column)?));
    let read = || Ok::<_, StoreFault>((money(4)?, money(5)?, money(6)?));
    let (limit, spent, reserved) = read().map_err(|error| {
        let what = format!("the ledger's level {} of {key} {period} cannot be read: {error}", kind.as_str());
        StoreError::Corrupt(what)
    })?;
    Ok((row.get(0)?, BudgetUsage { level: BudgetLevel { kind, key, period, limit }, spent, reserved }))
}

/// Updates a level's row, or inserts it if `row` is none. Returns the id of the row.
fn write_level(
    connection: &SqlTransaction,
    row: Option<i64>,
    usage: &BudgetUsage,
    now: UnixMillis,
) -> Result<i64, StoreFault> {
    let BudgetUsage { level, spent, reserved } = usage;
    let sums = (stored_amount(level.limit), stored_amount(*spent), stored_amount(*reserved), now.0);
    if let Some(id) = row {
        let sql = "UPDATE level SET cap = ?2, spent = ?3, reserved = ?4, touched = ?5 WHERE id = ?1";
        connection.sql(sql).execute((id, sums.0, sums.1, sums.2, sums.3))?;
        return Ok(id);
    }
    let sql = "INSERT INTO level (kind, key, period, cap, spent, reserved, touched)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) RETURNING id";
    let named = (level.kind.as_str(), &level.key, &level.period);
    connection
        .sql(sql)
        .single_row((named.0, named.1, named.2, sums.0, sums.1, sums.2, sums.3), |row| row.get(0))
}

/// Returns the levels of the current day and month. Levels without a period are included if they have
/// reservations or were used today. Levels of wider kinds are first, such as the whole month before a team's
/// month.
fn current_levels(connection: &SqlTransaction, now: UnixMillis) -> Result<Vec<BudgetUsage>, StoreFault> {
    let sql = "SELECT id, kind, key, period, cap, spent, reserved, touched FROM level
               WHERE period IN (?1, ?2) OR (period = '' AND (reserved > 0 OR touched >= ?3))";
    let today = utc_day(now);
    let since = now.0.saturating_sub(24 * 60 * 60 * 1000);
    let rows: Vec<(LevelRow, UnixMillis)> = connection
        .sql(sql)
        .query((&today, utc_month(now), since), |row| {
            Ok::<_, StoreFault>((parse_level_row(row)?, UnixMillis(row.get(7)?)))
        })?
        .collect::<Result<_, _>>()?;
    let is_of_today = |drawn: &BudgetUsage, touched| {
        !drawn.level.period.is_empty() || drawn.reserved > MicroUsd(0) || utc_day(touched) == today
    };
    let mut levels: Vec<BudgetUsage> = rows
        .into_iter()
        .filter(|((_, drawn), touched)| is_of_today(drawn, *touched))
        .map(|((_, drawn), _)| drawn)
        .collect();
    levels.sort_by(|a, b| (b.level.kind, &a.level.key).cmp(&(a.level.kind, &b.level.key)));
    Ok(levels)
}

/// Returns the largest spent fraction of a limit, in thousandths, for each kind of level. Only levels of the
/// current day or month are included.
pub(super) fn greatest_used_thousandths(
    connection: &SqlTransaction,
    now: UnixMillis,
) -> Result<Vec<(BudgetLevelKind, u64)>, StoreFault> {
    let sql = "SELECT kind, max(CAST(spent AS DOUBLE PRECISION) / cap) FROM level
               WHERE period IN (?1, ?2) AND cap > 0 GROUP BY kind";
    let rows = connection.sql(sql).query((utc_day(now), utc_month(now)), |row| {
        let part: f64 = row.get(1)?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "no sum is negative, and no ratio exceeds the integer type"
        )]
        Ok(BudgetLevelKind::from_word(row.text(0)).map(|kind| (kind, (1000.0 * part) as u64)))
    })?;
    rows.filter_map(Result::transpose).collect()
}

fn add_saturating(sum: MicroUsd, more: MicroUsd) -> MicroUsd {
    MicroUsd(sum.0.saturating_add(more.0))
}

fn subtract_saturating(sum: MicroUsd, part: MicroUsd) -> MicroUsd {
    MicroUsd(sum.0.saturating_sub(part.0))
}

/// Converts an amount to the stored type, which is large enough for every amount in this program.
fn stored_amount(money: MicroUsd) -> i64 {
    i64::try_from(money.0).unwrap_or(i64::MAX)
}
