//! Effects: the intent of each, written before its call, and its end. Of all leases on one key only the one with the
//! greatest token may write.

use rusqlite::{Connection, OptionalExtension as _};
use truing_core::id::{CommentId, Millis, Token, Topic};
use truing_core::port::{EffectLog, Entry, EntryState, StoreError, Writer};

use super::Sqlite;
use super::backup::BATCH;
use super::fault::Fault;
use super::records::fenced;
use super::slots::raise_counter;

impl Sqlite {
    /// Forgets some of the effects that were announced or ended before then. How many; 0: there are no more.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be written.
    pub async fn forget_effects(&self, before: Millis) -> Result<usize, StoreError> {
        self.write(move |connection| {
            let sql = "DELETE FROM effect WHERE (key, producer, topic) IN
                       (SELECT key, producer, topic FROM effect WHERE at < ?1 ORDER BY at LIMIT ?2)";
            Ok(connection.prepare_cached(sql)?.execute((before.0, BATCH))?)
        })
        .await
    }
}

impl EffectLog for Sqlite {
    async fn effect(&self, writer: &Writer, topic: &Topic) -> Result<Option<Entry>, StoreError> {
        let (writer, topic) = (writer.clone(), topic.clone());
        self.read(move |connection| entry(connection, &writer, &topic)).await
    }

    async fn replace_effect(
        &self,
        writer: &Writer,
        topic: &Topic,
        known: Option<&Entry>,
        new: Option<&Entry>,
    ) -> Result<bool, StoreError> {
        let (writer, topic, known, new) = (writer.clone(), topic.clone(), known.cloned(), new.cloned());
        self.write(move |connection| replace(connection, &writer, &topic, (known, new))).await
    }
}

fn entry(connection: &Connection, writer: &Writer, topic: &Topic) -> Result<Option<Entry>, Fault> {
    let sql = "SELECT content, at, lost, comment FROM effect WHERE key = ?1 AND producer = ?2 AND topic = ?3";
    let key = (writer.key.as_str(), writer.producer.as_str(), topic.as_str());
    let entry = connection.prepare_cached(sql)?.query_row(key, |row| {
        let state = match row.get(2)? {
            Some(lost) => EntryState::Open { lost },
            None => EntryState::Done { comment: row.get::<_, Option<String>>(3)?.map(CommentId::new) },
        };
        Ok(Entry { content: row.get(0)?, at: Millis(row.get(1)?), state })
    });
    Ok(entry.optional()?)
}

fn replace(
    connection: &Connection,
    writer: &Writer,
    topic: &Topic,
    (known, new): (Option<Entry>, Option<Entry>),
) -> Result<bool, Fault> {
    if let Some(token) = writer.token {
        let newest = "SELECT max(token) FROM effect WHERE key = ?1";
        let newest: Option<u64> =
            connection.prepare_cached(newest)?.query_row([writer.key.as_str()], |row| row.get(0))?;
        if let Some(newest) = newest.filter(|newest| *newest > token.0) {
            return Err(fenced(&writer.key, Token(newest)));
        }
    }
    if entry(connection, writer, topic)? != known {
        return Ok(false);
    }
    let key = (writer.key.as_str(), writer.producer.as_str(), topic.as_str());
    let Some(new) = new else {
        let sql = "DELETE FROM effect WHERE key = ?1 AND producer = ?2 AND topic = ?3";
        connection.prepare_cached(sql)?.execute(key)?;
        return Ok(true);
    };
    let (lost, comment) = match &new.state {
        EntryState::Open { lost } => (Some(*lost), None),
        EntryState::Done { comment } => (None, comment.as_ref().map(CommentId::as_str)),
    };
    let token = writer.token.map_or(0, |token| token.0);
    let sql = "INSERT OR REPLACE INTO effect (key, producer, topic, token, content, at, lost, comment) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    let row = (key.0, key.1, key.2, token, &new.content, new.at.0, lost, comment);
    connection.prepare_cached(sql)?.execute(row)?;
    raise_counter(connection, token)?;
    Ok(true)
}
