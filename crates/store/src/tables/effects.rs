//! Effects. A row contains the intent, which is written before the request to the forge, and later the
//! result. Of all leases on one key, only the lease with the greatest token may write.

use crate::sql::SqlTransaction;
use async_trait::async_trait;
use truing_core::id::{CommentId, FencingToken, FindingId, SlotKey, Topic, UnixMillis};
use truing_core::port::{
    EffectEntry, EffectEntryChange, EffectEntryState, EffectLog, EffectOwner, StoreError,
};
use truing_core::publish::{CommentProducer, CommentSubject};

use super::forget::DELETE_BATCH_SIZE;
use super::runs::row::fenced_fault;
use super::slots::raise_counter;
use crate::fault::StoreFault;
use crate::store::Store;

impl Store {
    /// Deletes a batch of the effects that were announced or ended before the given time. Returns the number
    /// of deleted rows, which is 0 if no such effect is left.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be written.
    #[truing_core::boxed_future]
    pub async fn delete_old_effects(&self, before: UnixMillis) -> Result<usize, StoreError> {
        self.write(move |connection| {
            let sql = "DELETE FROM effect WHERE (key, producer, topic) IN
                       (SELECT key, producer, topic FROM effect WHERE at < ?1 ORDER BY at LIMIT ?2)";
            connection.sql(sql).execute((before.0, DELETE_BATCH_SIZE))
        })
        .await
    }
}

/// A finding whose comment was posted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PostedFinding {
    /// The key of the pull request.
    pub key: SlotKey,
    /// The id of the finding.
    pub finding: FindingId,
}

impl Store {
    /// Returns the findings for which a review has posted a comment since the given time, ordered by pull
    /// request. Does not include comments whose effects were deleted after the retention period.
    ///
    /// # Errors
    /// [`StoreError`] if the records cannot be read.
    #[truing_core::boxed_future]
    pub async fn posted_findings(&self, since: UnixMillis) -> Result<Vec<PostedFinding>, StoreError> {
        self.read(move |connection| {
            let sql = "SELECT key, topic FROM effect
                       WHERE producer = ?1 AND at >= ?2 AND lost IS NULL AND topic LIKE 'item/%' ORDER BY \
                 key, topic";
            let select = connection.sql(sql);
            let posted = select.query((CommentProducer::Review.as_str(), since.0), |row| {
                let (key, topic): (String, String) = (row.get(0)?, row.get(1)?);
                Ok((SlotKey::new(key), CommentSubject::from_topic(&Topic::new(topic))))
            })?;
            let posted = posted.collect::<Result<Vec<_>, StoreFault>>()?.into_iter();
            Ok(posted
                .filter_map(|(key, item)| match item {
                    Some(CommentSubject::Finding(finding)) => Some(PostedFinding { key, finding }),
                    Some(CommentSubject::Summary) | None => None,
                })
                .collect())
        })
        .await
    }
}

#[async_trait]
impl EffectLog for Store {
    async fn entries(
        &self,
        writer: &EffectOwner,
        topics: &[Topic],
    ) -> Result<Vec<Option<EffectEntry>>, StoreError> {
        let (writer, topics) = (writer.clone(), topics.to_vec());
        self.read(move |connection| topics.iter().map(|topic| entry(connection, &writer, topic)).collect())
            .await
    }

    async fn open_entries(&self, writer: &EffectOwner) -> Result<Vec<(Topic, EffectEntry)>, StoreError> {
        let writer = writer.clone();
        self.read(move |connection| {
            let sql = "SELECT topic, content, at, lost FROM effect
                       WHERE key = ?1 AND producer = ?2 AND lost IS NOT NULL ORDER BY at, topic";
            let select = connection.sql(sql);
            let open = select.query((writer.key.as_str(), writer.producer.as_str()), |row| {
                let state = EffectEntryState::Open { lost_responses: row.get(3)? };
                let entry = EffectEntry {
                    content_digest: row.get(1)?,
                    last_event_at: UnixMillis(row.get(2)?),
                    state,
                };
                Ok((Topic::new(row.get::<String>(0)?), entry))
            })?;
            open.collect::<Result<_, _>>()
        })
        .await
    }

    async fn compare_and_set_entries(
        &self,
        writer: &EffectOwner,
        changes: &[EffectEntryChange],
    ) -> Result<bool, StoreError> {
        let (by, changes) = (writer.clone(), changes.to_vec());
        let replaced = self.write(move |connection| replace_entries(connection, &by, &changes)).await?;
        if let Some(token) = writer.token {
            self.raise_counter_to_token(token).await?;
        }
        Ok(replaced)
    }
}

fn entry(
    connection: &SqlTransaction,
    writer: &EffectOwner,
    topic: &Topic,
) -> Result<Option<EffectEntry>, StoreFault> {
    let sql = "SELECT content, at, lost, comment FROM effect WHERE key = ?1 AND producer = ?2 AND topic = ?3";
    let key = (writer.key.as_str(), writer.producer.as_str(), topic.as_str());

    connection.sql(sql).first_row(key, |row| {
        let state = match row.get(2)? {
            Some(lost) => EffectEntryState::Open { lost_responses: lost },
            None => EffectEntryState::Done { comment: row.get::<Option<String>>(3)?.map(CommentId::new) },
        };
        Ok(EffectEntry { content_digest: row.get(0)?, last_event_at: UnixMillis(row.get(1)?), state })
    })
}

fn replace_entries(
    connection: &SqlTransaction,
    writer: &EffectOwner,
    changes: &[EffectEntryChange],
) -> Result<bool, StoreFault> {
    if let Some(token) = writer.token {
        let newest = "SELECT max(token) FROM (SELECT token FROM effect WHERE key = ?1
                                              UNION ALL SELECT token FROM run WHERE key = ?1) AS tokens";
        let newest: Option<u64> =
            connection.sql(newest).single_row([writer.key.as_str()], |row| row.get(0))?;
        if let Some(newest) = newest.filter(|newest| *newest > token.0) {
            return Err(fenced_fault(&writer.key, FencingToken(newest)));
        }
    }
    for EffectEntryChange { topic, expected_entry: expected, .. } in changes {
        if entry(connection, writer, topic)? != *expected {
            return Ok(false);
        }
    }
    let token = writer.token.map_or(0, |token| token.0);
    let delete = "DELETE FROM effect WHERE key = ?1 AND producer = ?2 AND topic = ?3";
    let insert = "INSERT INTO effect (key, producer, topic, token, content, at, lost, comment)
                  VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
                  ON CONFLICT (key, producer, topic) DO UPDATE
                  SET token = excluded.token, content = excluded.content, at = excluded.at, lost = \
         excluded.lost,
                      comment = excluded.comment";
    for EffectEntryChange { topic, new_entry: new, .. } in changes {
        let key = (writer.key.as_str(), writer.producer.as_str(), topic.as_str());
        let Some(new) = new else {
            connection.sql(delete).execute(key)?;
            continue;
        };
        let (lost, comment) = match &new.state {
            EffectEntryState::Open { lost_responses: lost } => (Some(*lost), None),
            EffectEntryState::Done { comment } => (None, comment.as_ref().map(CommentId::as_str)),
        };
        let row = (key.0, key.1, key.2, token, &new.content_digest, new.last_event_at.0, lost, comment);
        connection.sql(insert).execute(row)?;
    }
    raise_counter(connection, token)?;
    Ok(true)
}
