//! Stores findings, the comments that a review should show, and the status of the head. The publisher reads
//! these rows. Before a caller writes with these functions, it must check that its run is the newest of the
//! key.

use crate::sql::SqlTransaction;
use truing_core::finding::{AnchorKind, Finding};
use truing_core::id::{CommentId, SlotKey};
use truing_core::port::ComputedReview;
use truing_core::publish::{CommentProducer, CommentSubject, DesiredComment, DesiredStatus};

use crate::fault::{StoreFault, from_json, to_json};

/// Replaces the key's findings and status, and the producer's desired comments, by those of the computed
/// review.
pub(super) fn replace_review_output(
    connection: &SqlTransaction,
    key: &SlotKey,
    computed: &ComputedReview,
) -> Result<(), StoreFault> {
    replace_findings(connection, key, &computed.findings)?;
    replace_rows(connection, key, computed.producer, &computed.desired_comments)?;
    if let Some(status) = &computed.status {
        set_desired_status(connection, key, status)?;
    }
    Ok(())
}

fn replace_findings(
    connection: &SqlTransaction,
    key: &SlotKey,
    findings: &[Finding],
) -> Result<(), StoreFault> {
    connection.sql("DELETE FROM finding WHERE key = ?1").execute([key.as_str()])?;
    let sql = "INSERT INTO finding (key, id, position, body) VALUES (?1, ?2, ?3, ?4)";
    let insert = connection.sql(sql);
    for (position, finding) in findings.iter().enumerate() {
        insert.execute((key.as_str(), finding.id.as_str(), position, to_json(finding)?))?;
    }
    Ok(())
}

/// Returns the key's findings, in the order in which they were given.
pub(super) fn findings(connection: &SqlTransaction, key: &SlotKey) -> Result<Vec<Finding>, StoreFault> {
    let sql = "SELECT body, id FROM finding WHERE key = ?1 ORDER BY position";
    connection
        .sql(sql)
        .query([key.as_str()], |row| {
            let (body, id): (String, String) = (row.get(0)?, row.get(1)?);
            from_json(&body, || format!("finding {id} of {key}"))
        })?
        .collect()
}

fn replace_rows(
    connection: &SqlTransaction,
    key: &SlotKey,
    producer: CommentProducer,
    desired: &[DesiredComment],
) -> Result<(), StoreFault> {
    delete_obsolete_rows(connection, key, producer, desired)?;
    upsert_rows(connection, key, producer, desired)
}

/// Writes only the text of the summary, and the status.
pub(super) fn store_summary_and_status(
    connection: &SqlTransaction,
    key: &SlotKey,
    producer: CommentProducer,
    summary: &str,
    status: &DesiredStatus,
) -> Result<(), StoreFault> {
    upsert_rows(connection, key, producer, &[DesiredComment::for_summary(summary.to_owned())])?;
    set_desired_status(connection, key, status)
}

fn upsert_rows(
    connection: &SqlTransaction,
    key: &SlotKey,
    producer: CommentProducer,
    desired: &[DesiredComment],
) -> Result<(), StoreFault> {
    let find = "SELECT body, lowered FROM desired WHERE key = ?1 AND producer = ?2 AND item = ?3";
    let find = connection.sql(find);
    // A stored comment id is kept. The given comment id is used only if no id is stored.
    let upsert = "INSERT INTO desired (key, producer, item, position, body, lowered, comment)
                  VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                  ON CONFLICT (key, producer, item) DO UPDATE
                  SET position = excluded.position, body = excluded.body, lowered = excluded.lowered,
                      comment = coalesce(desired.comment, excluded.comment)";
    let upsert = connection.sql(upsert);
    for (position, row) in desired.iter().enumerate() {
        let id = (key.as_str(), producer.as_str(), row.subject.as_str());
        let stored: Option<(String, Option<String>)> =
            find.first_row(id, |row| Ok((row.get(0)?, row.get(1)?)))?;
        // If the forge refused the anchor of a comment, the replacement kind of anchor is kept for the same
        // location. If the new row has a different location, the forge has not refused that location, so the
        // original anchor is tried.
        let lowered = match stored {
            Some((body, Some(lowered))) => {
                let before: DesiredComment = from_json(&body, || describe_row(key, row.subject.as_str()))?;
                let same = before.location.map(|(_, place)| place)
                    == row.location.as_ref().map(|(_, place)| place.clone());
                same.then_some(lowered)
            }
            Some((_, None)) | None => None,
        };
        let comment = row.comment.as_ref().map(CommentId::as_str);
        upsert.execute((id.0, id.1, id.2, position, to_json(row)?, lowered, comment))?;
    }
    Ok(())
}

/// Deletes the producer's rows that are not in `desired`. Keeps a row whose comment may be at the forge,
/// because a comment without a row would never be updated.
fn delete_obsolete_rows(
    connection: &SqlTransaction,
    key: &SlotKey,
    producer: CommentProducer,
    desired: &[DesiredComment],
) -> Result<(), StoreFault> {
    let find =
        connection.sql("SELECT item FROM desired WHERE key = ?1 AND producer = ?2 AND comment IS NULL");
    let known = find.query((key.as_str(), producer.as_str()), |row| row.get::<String>(0))?;
    let known: Vec<CommentSubject> =
        known.map(|word| word.map(|word| CommentSubject::from_word(&word))).collect::<Result<_, _>>()?;
    // If an effect was announced, the comment of the item may exist.
    let begun = "SELECT 1 FROM effect WHERE key = ?1 AND producer = ?2 AND topic = ?3";
    let begun = connection.sql(begun);
    let delete = "DELETE FROM desired WHERE key = ?1 AND producer = ?2 AND item = ?3";
    let delete = connection.sql(delete);
    for item in known.iter().filter(|item| !desired.iter().any(|row| row.subject == **item)) {
        if !begun.exists((key.as_str(), producer.as_str(), item.topic().as_str()))? {
            delete.execute((key.as_str(), producer.as_str(), item.as_str()))?;
        }
    }
    Ok(())
}

/// Returns the producer's rows, in the order in which they were given.
pub(super) fn comment_rows(
    connection: &SqlTransaction,
    key: &SlotKey,
    producer: CommentProducer,
) -> Result<Vec<DesiredComment>, StoreFault> {
    let sql = "SELECT body, item, lowered, comment FROM desired
               WHERE key = ?1 AND producer = ?2 ORDER BY position, item";
    connection
        .sql(sql)
        .query((key.as_str(), producer.as_str()), |row| {
            let (body, item): (String, String) = (row.get(0)?, row.get(1)?);
            let mut desired: DesiredComment = from_json(&body, || describe_row(key, &item))?;
            let lowered: Option<String> = row.get(2)?;
            if let (Some(lowered), Some((kind, _))) = (lowered, &mut desired.location) {
                *kind = from_json::<AnchorKind>(&lowered, || describe_row(key, &item))?;
            }
            desired.comment = row.get::<Option<String>>(3)?.map(CommentId::new);
            Ok(desired)
        })?
        .collect()
}

fn describe_row(key: &SlotKey, item: &str) -> String {
    format!("desired row {item} of {key}")
}

/// Stores the ids of the comments that show these items, and ends the announced effects of these items.
pub(super) fn store_comments(
    connection: &SqlTransaction,
    key: &SlotKey,
    producer: CommentProducer,
    comments: &[(CommentSubject, CommentId)],
) -> Result<(), StoreFault> {
    let remember = "UPDATE desired SET comment = ?4 WHERE key = ?1 AND producer = ?2 AND item = ?3";
    let remember = connection.sql(remember);
    let end = "UPDATE effect SET lost = NULL, comment = ?4
               WHERE key = ?1 AND producer = ?2 AND topic = ?3 AND lost IS NOT NULL";
    let end = connection.sql(end);
    for (item, comment) in comments {
        let (key, producer, comment) = (key.as_str(), producer.as_str(), comment.as_str());
        remember.execute((key, producer, item.as_str(), comment))?;
        end.execute((key, producer, item.topic().as_str(), comment))?;
    }
    Ok(())
}

/// Removes the comment ids of these items, and the effects that created the comments.
pub(super) fn remove_comments(
    connection: &SqlTransaction,
    key: &SlotKey,
    producer: CommentProducer,
    subjects: &[CommentSubject],
) -> Result<(), StoreFault> {
    let forget = "UPDATE desired SET comment = NULL WHERE key = ?1 AND producer = ?2 AND item = ?3";
    let forget = connection.sql(forget);
    let end = connection.sql("DELETE FROM effect WHERE key = ?1 AND producer = ?2 AND topic = ?3");
    for item in subjects {
        forget.execute((key.as_str(), producer.as_str(), item.as_str()))?;
        end.execute((key.as_str(), producer.as_str(), item.topic().as_str()))?;
    }
    Ok(())
}

/// Sets another kind of anchor for these rows, because the forge refuses the present anchors.
pub(super) fn replace_anchors(
    connection: &SqlTransaction,
    key: &SlotKey,
    producer: CommentProducer,
    anchors: &[(CommentSubject, AnchorKind)],
) -> Result<(), StoreFault> {
    let lower = "UPDATE desired SET lowered = ?4 WHERE key = ?1 AND producer = ?2 AND item = ?3";
    let lower = connection.sql(lower);
    for (item, kind) in anchors {
        lower.execute((key.as_str(), producer.as_str(), item.as_str(), to_json(kind)?))?;
    }
    Ok(())
}

/// Sets the desired status of the head. If the forge already has this status, the status is not set again.
fn set_desired_status(
    connection: &SqlTransaction,
    key: &SlotKey,
    status: &DesiredStatus,
) -> Result<(), StoreFault> {
    connection
        .sql(
            "INSERT INTO status (key, body, done) VALUES (?1, ?2, 0)
             ON CONFLICT (key) DO UPDATE SET body = excluded.body, done = 0 WHERE status.body <> \
             excluded.body",
        )
        .execute((key.as_str(), to_json(status)?))?;
    Ok(())
}

/// Marks the status as not yet set, because a user requested a rerun of the check.
pub(in super::super) fn mark_status_unset(
    connection: &SqlTransaction,
    key: &SlotKey,
) -> Result<(), StoreFault> {
    connection.sql("UPDATE status SET done = 0 WHERE key = ?1").execute([key.as_str()])?;
    Ok(())
}

/// Returns the status that has not been set at the forge yet.
pub(super) fn pending_status(
    connection: &SqlTransaction,
    key: &SlotKey,
) -> Result<Option<DesiredStatus>, StoreFault> {
    let body: Option<String> = connection
        .sql("SELECT body FROM status WHERE key = ?1 AND done = 0")
        .first_row([key.as_str()], |row| row.get(0))?;
    body.map(|body| from_json(&body, || format!("the status of {key}"))).transpose()
}

/// Records that the forge has this status.
pub(super) fn mark_status_set(
    connection: &SqlTransaction,
    key: &SlotKey,
    status: &DesiredStatus,
) -> Result<(), StoreFault> {
    connection
        .sql("UPDATE status SET done = 1 WHERE key = ?1 AND body = ?2")
        .execute((key.as_str(), to_json(status)?))?;
    Ok(())
}
