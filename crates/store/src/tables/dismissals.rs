//! Dismissals of findings by people: one row for each finding, with the latest decision.

use crate::sql::SqlTransaction;
use truing_core::dismissal::Dismissal;
use truing_core::id::SlotKey;

use crate::fault::{StoreFault, from_json, to_json};

/// Replaces the earlier decision on the same finding. Each decision gets a greater version than the previous
/// decision.
pub(super) fn store_dismissal(
    connection: &SqlTransaction,
    key: &SlotKey,
    dismissal: &Dismissal,
) -> Result<(), StoreFault> {
    let sql = "INSERT INTO dismissal (key, finding, version, body) VALUES (?1, ?2, 1, ?3)
               ON CONFLICT (key, finding) DO UPDATE SET version = dismissal.version + 1, body = \
         excluded.body";
    let row = (key.as_str(), dismissal.finding.as_str(), to_json(dismissal)?);
    connection.sql(sql).execute(row)?;
    Ok(())
}

/// Returns the dismissals on a key.
pub(super) fn dismissals_for(
    connection: &SqlTransaction,
    key: &SlotKey,
) -> Result<Vec<Dismissal>, StoreFault> {
    connection
        .sql("SELECT body, finding FROM dismissal WHERE key = ?1 ORDER BY finding")
        .query([key.as_str()], |row| {
            let (body, finding): (String, String) = (row.get(0)?, row.get(1)?);
            from_json(&body, || format!("the dismissal of finding {finding} of {key}"))
        })?
        .collect()
}
