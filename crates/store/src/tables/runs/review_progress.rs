//! The newest reviews of a key, for the sweep.

use crate::sql::SqlTransaction;
use truing_core::id::SlotKey;
use truing_core::outcome::{ReviewOutcomeKind, ReviewRecord};
use truing_core::port::{PullRevision, ReviewProgress};
use truing_core::review_settlement::is_review_settled;
use truing_core::run::RunStage;

use super::row::{parse_sha, parse_stage};
use crate::fault::StoreFault;

/// Returns the revision of the newest run whose stage satisfies the condition.
pub(super) fn newest_revision_at_stages(
    transaction: &SqlTransaction,
    key: &SlotKey,
    stage_condition: &str,
) -> Result<Option<PullRevision>, StoreFault> {
    let sql = format!(
        "SELECT head, base FROM run WHERE loop = 'review' AND key = ?1 AND {stage_condition} ORDER BY \
            token DESC LIMIT 1"
    );
    let found: Option<(String, String)> =
        transaction.sql(&sql).first_row([key.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))?;
    found.map(|(head, base)| Ok(PullRevision { head: parse_sha(head)?, base: parse_sha(base)? })).transpose()
}

/// Returns the progress of the reviews of the key.
pub(in crate::tables) fn review_progress(
    connection: &SqlTransaction,
    key: &SlotKey,
) -> Result<ReviewProgress, StoreFault> {
    let sql = "SELECT head, base, stage, kind, CASE WHEN kind = 'partial' THEN record END FROM run
               WHERE loop = 'review' AND key = ?1 ORDER BY token DESC LIMIT 1";
    let newest = connection.sql(sql).first_row([key.as_str()], |row| {
        let revision = PullRevision { head: parse_sha(row.get(0)?)?, base: parse_sha(row.get(1)?)? };
        let end: Option<String> = row.get(3)?;
        let end = ReviewOutcomeKind::ALL.into_iter().find(|kind| end.as_deref() == Some(kind.as_str()));
        let stage = parse_stage(row.text(2))?;
        // If the record of a run is unreadable, the run counts as a run that does not wait.
        let record = row
            .get::<Option<String>>(4)?
            .and_then(|json| truing_core::json::from_str::<ReviewRecord>(&json).ok());
        let waits = record.is_some_and(|record| record.detail.outcome.next_attempt_at.is_some());
        Ok((revision, is_review_settled(stage, end), stage == RunStage::Published, waits))
    })?;
    let Some((attempted, is_settled, is_published, waits)) = newest else {
        return Ok(ReviewProgress::default());
    };
    if waits {
        return Ok(ReviewProgress { last_attempted: Some(attempted), ..ReviewProgress::default() });
    }
    let last_settled = if is_settled {
        Some(attempted.clone())
    } else {
        newest_revision_at_stages(connection, key, "stage = 'published'")?
    };
    let is_skipped = is_settled && !is_published;
    Ok(ReviewProgress { last_attempted: Some(attempted), last_settled, is_skipped })
}
