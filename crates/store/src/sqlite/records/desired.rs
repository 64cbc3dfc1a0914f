//! Findings, the rows of desired state, the intents and the status: what publishing works from. Every function
//! that writes expects the caller to have passed the fence.

use rusqlite::{Connection, OptionalExtension};
use truing_core::finding::{AnchorKind, Finding};
use truing_core::id::{CommentId, IntentId, Key, Millis};
use truing_core::port::Computed;
use truing_core::publish::{Desired, DesiredStatus, Intent, Item, Producer};

use super::super::fault::{Fault, from_json, to_json};

/// Replaces the key's findings, the producer's desired rows and the status by what was computed.
pub(super) fn replace(connection: &Connection, key: &Key, computed: &Computed) -> Result<(), Fault> {
    replace_findings(connection, key, &computed.findings)?;
    replace_rows(connection, key, computed.producer, &computed.desired)?;
    if let Some(status) = &computed.status {
        want_status(connection, key, status)?;
    }
    Ok(())
}

fn replace_findings(connection: &Connection, key: &Key, findings: &[Finding]) -> Result<(), Fault> {
    connection.prepare_cached("DELETE FROM finding WHERE key = ?1")?.execute([key.as_str()])?;
    let sql = "INSERT INTO finding (key, id, position, body) VALUES (?1, ?2, ?3, ?4)";
    let mut insert = connection.prepare_cached(sql)?;
    for (position, finding) in findings.iter().enumerate() {
        insert.execute((key.as_str(), finding.id.as_str(), position, to_json(finding)?))?;
    }
    Ok(())
}

/// The key's findings, in the order in which they were given.
pub(super) fn findings(connection: &Connection, key: &Key) -> Result<Vec<Finding>, Fault> {
    let sql = "SELECT body, id FROM finding WHERE key = ?1 ORDER BY position";
    connection
        .prepare_cached(sql)?
        .query_and_then([key.as_str()], |row| {
            let (body, id): (String, String) = (row.get(0)?, row.get(1)?);
            from_json(&body, || format!("finding {id} of {key}"))
        })?
        .collect()
}

fn replace_rows(
    connection: &Connection,
    key: &Key,
    producer: Producer,
    given: &[Desired],
) -> Result<(), Fault> {
    forget_rows(connection, key, producer, given)?;
    upsert_rows(connection, key, producer, given)
}

/// Writes the summary's text and the status, and nothing else.
pub(super) fn announce(
    connection: &Connection,
    key: &Key,
    producer: Producer,
    summary: &str,
    status: &DesiredStatus,
) -> Result<(), Fault> {
    upsert_rows(connection, key, producer, &[Desired::summary(summary.to_owned())])?;
    want_status(connection, key, status)
}

fn upsert_rows(
    connection: &Connection,
    key: &Key,
    producer: Producer,
    given: &[Desired],
) -> Result<(), Fault> {
    let find = "SELECT body, lowered FROM desired WHERE key = ?1 AND producer = ?2 AND item = ?3";
    let mut find = connection.prepare_cached(find)?;
    // A known comment is the truth; the given one counts where none is known.
    let upsert = "INSERT INTO desired (key, producer, item, position, body, lowered, comment)
                  VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                  ON CONFLICT (key, producer, item) DO UPDATE
                  SET position = excluded.position, body = excluded.body, lowered = excluded.lowered,
                      comment = coalesce(comment, excluded.comment)";
    let mut upsert = connection.prepare_cached(upsert)?;
    for (position, row) in given.iter().enumerate() {
        let id = (key.as_str(), producer.as_str(), row.item.as_str());
        let stored: Option<(String, Option<String>)> =
            find.query_row(id, |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        // A place that the forge has refused is not tried again; another place is.
        let lowered = match stored {
            Some((body, Some(lowered))) => {
                let before: Desired = from_json(&body, || row_name(key, row.item.as_str()))?;
                let same = before.place.map(|(_, place)| place)
                    == row.place.as_ref().map(|(_, place)| place.clone());
                same.then_some(lowered)
            }
            Some((_, None)) | None => None,
        };
        let comment = row.comment.as_ref().map(CommentId::as_str);
        upsert.execute((id.0, id.1, id.2, position, to_json(row)?, lowered, comment))?;
    }
    Ok(())
}

/// Deletes the producer's rows that are not given any more, except those that the forge shows or may show
/// already: forgetting these would leave a comment that nobody answers for.
fn forget_rows(
    connection: &Connection,
    key: &Key,
    producer: Producer,
    given: &[Desired],
) -> Result<(), Fault> {
    let given: Vec<&str> = given.iter().map(|row| row.item.as_str()).collect();
    connection
        .prepare_cached(
            "DELETE FROM desired WHERE key = ?1 AND producer = ?2 AND comment IS NULL
             AND item NOT IN (SELECT value FROM json_each(?3))
             AND item NOT IN (SELECT item FROM intent_item WHERE key = ?1 AND producer = ?2)",
        )?
        .execute((key.as_str(), producer.as_str(), to_json(&given)?))?;
    Ok(())
}

/// The producer's rows, in the order in which they were given.
pub(super) fn rows(connection: &Connection, key: &Key, producer: Producer) -> Result<Vec<Desired>, Fault> {
    let sql = "SELECT body, item, lowered, comment FROM desired
               WHERE key = ?1 AND producer = ?2 ORDER BY position, item";
    connection
        .prepare_cached(sql)?
        .query_and_then((key.as_str(), producer.as_str()), |row| {
            let (body, item): (String, String) = (row.get(0)?, row.get(1)?);
            let mut desired: Desired = from_json(&body, || row_name(key, &item))?;
            let lowered: Option<String> = row.get(2)?;
            if let (Some(lowered), Some((kind, _))) = (lowered, &mut desired.place) {
                *kind = from_json::<AnchorKind>(&lowered, || row_name(key, &item))?;
            }
            desired.comment = row.get::<_, Option<String>>(3)?.map(CommentId::new);
            Ok(desired)
        })?
        .collect()
}

fn row_name(key: &Key, item: &str) -> String {
    format!("desired row {item} of {key}")
}

/// Writes an intent, unless it was written before, answered or not.
pub(super) fn intend(
    connection: &Connection,
    key: &Key,
    producer: Producer,
    intent: &Intent,
) -> Result<(), Fault> {
    let sql =
        "INSERT INTO intent (key, producer, id, created) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING";
    let id = (key.as_str(), producer.as_str(), intent.id.as_str());
    if connection.prepare_cached(sql)?.execute((id.0, id.1, id.2, intent.created.0))? == 0 {
        return Ok(());
    }
    let sql = "INSERT INTO intent_item (key, producer, intent, item, position) VALUES (?1, ?2, ?3, ?4, ?5)
               ON CONFLICT DO NOTHING";
    let mut insert = connection.prepare_cached(sql)?;
    for (position, item) in intent.items.iter().enumerate() {
        insert.execute((id.0, id.1, id.2, item.as_str(), position))?;
    }
    Ok(())
}

/// The producer's intents that still have items without an answer, oldest first, each with these items.
pub(super) fn unanswered(
    connection: &Connection,
    key: &Key,
    producer: Producer,
) -> Result<Vec<Intent>, Fault> {
    let sql = "SELECT intent.id, intent.created, item.item
               FROM intent JOIN intent_item AS item
               ON item.key = intent.key AND item.producer = intent.producer AND item.intent = intent.id
               WHERE intent.key = ?1 AND intent.producer = ?2
               ORDER BY intent.created, intent.id, item.position";
    let mut select = connection.prepare_cached(sql)?;
    let mut found = select.query((key.as_str(), producer.as_str()))?;
    let mut intents: Vec<Intent> = Vec::new();
    while let Some(row) = found.next()? {
        let id = IntentId::new(row.get::<_, String>(0)?);
        let item = Item::from_word(&row.get::<_, String>(2)?);
        match intents.last_mut() {
            Some(last) if last.id == id => last.items.push(item),
            Some(_) | None => intents.push(Intent { id, items: vec![item], created: Millis(row.get(1)?) }),
        }
    }
    Ok(intents)
}

/// These comments show these items: remembers them, and nothing about the items is unanswered any more.
pub(super) fn shown(
    connection: &Connection,
    key: &Key,
    producer: Producer,
    comments: &[(Item, CommentId)],
) -> Result<(), Fault> {
    let remember = "UPDATE desired SET comment = ?4 WHERE key = ?1 AND producer = ?2 AND item = ?3";
    let mut remember = connection.prepare_cached(remember)?;
    let answer = "DELETE FROM intent_item WHERE key = ?1 AND producer = ?2 AND item = ?3";
    let mut answer = connection.prepare_cached(answer)?;
    for (item, comment) in comments {
        remember.execute((key.as_str(), producer.as_str(), item.as_str(), comment.as_str()))?;
        answer.execute((key.as_str(), producer.as_str(), item.as_str()))?;
    }
    Ok(())
}

/// The call did nothing: nothing about the intent is unanswered any more, and some rows go elsewhere.
pub(super) fn withdraw(
    connection: &Connection,
    key: &Key,
    producer: Producer,
    intent: &IntentId,
    lowered: &[(Item, AnchorKind)],
) -> Result<(), Fault> {
    let lower = "UPDATE desired SET lowered = ?4 WHERE key = ?1 AND producer = ?2 AND item = ?3";
    let mut lower = connection.prepare_cached(lower)?;
    for (item, kind) in lowered {
        lower.execute((key.as_str(), producer.as_str(), item.as_str(), to_json(kind)?))?;
    }
    connection
        .prepare_cached("DELETE FROM intent_item WHERE key = ?1 AND producer = ?2 AND intent = ?3")?
        .execute((key.as_str(), producer.as_str(), intent.as_str()))?;
    Ok(())
}

/// The head should have this status. One that the forge has already need not be set again.
fn want_status(connection: &Connection, key: &Key, status: &DesiredStatus) -> Result<(), Fault> {
    connection
        .prepare_cached(
            "INSERT INTO status (key, body, done) VALUES (?1, ?2, 0)
             ON CONFLICT (key) DO UPDATE SET body = excluded.body, done = 0 WHERE body <> excluded.body",
        )?
        .execute((key.as_str(), to_json(status)?))?;
    Ok(())
}

/// What the forge has counts no more: somebody asked for it again.
pub(in super::super) fn status_again(connection: &Connection, key: &Key) -> Result<(), Fault> {
    connection.prepare_cached("UPDATE status SET done = 0 WHERE key = ?1")?.execute([key.as_str()])?;
    Ok(())
}

/// The status that is still to be set.
pub(super) fn status_due(connection: &Connection, key: &Key) -> Result<Option<DesiredStatus>, Fault> {
    let body: Option<String> = connection
        .prepare_cached("SELECT body FROM status WHERE key = ?1 AND done = 0")?
        .query_row([key.as_str()], |row| row.get(0))
        .optional()?;
    body.map(|body| from_json(&body, || format!("the status of {key}"))).transpose()
}

/// The forge has this status.
pub(super) fn status_set(connection: &Connection, key: &Key, status: &DesiredStatus) -> Result<(), Fault> {
    connection
        .prepare_cached("UPDATE status SET done = 1 WHERE key = ?1 AND body = ?2")?
        .execute((key.as_str(), to_json(status)?))?;
    Ok(())
}
