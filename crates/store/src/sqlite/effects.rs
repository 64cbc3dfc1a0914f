//! Effects: the intent of each, written before its call, and its end. Of all leases on one key only the one with the
//! greatest token may write.

use rusqlite::{Connection, OptionalExtension as _};
use truing_core::id::{CommentId, Millis, Token, Topic};
use truing_core::port::{EffectLog, Entry, EntryState, Replacement, StoreError, Writer};

use super::Sqlite;
use super::backup::BATCH;
use super::fault::Fault;
use super::runs::row::fenced;
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
    async fn effects(&self, writer: &Writer, topics: &[Topic]) -> Result<Vec<Option<Entry>>, StoreError> {
        let (writer, topics) = (writer.clone(), topics.to_vec());
        self.read(move |connection| topics.iter().map(|topic| entry(connection, &writer, topic)).collect())
            .await
    }

    async fn open_effects(&self, writer: &Writer) -> Result<Vec<(Topic, Entry)>, StoreError> {
        let writer = writer.clone();
        self.read(move |connection| {
            let sql = "SELECT topic, content, at, lost FROM effect
                       WHERE key = ?1 AND producer = ?2 AND lost IS NOT NULL ORDER BY at, topic";
            let mut select = connection.prepare_cached(sql)?;
            let open = select.query_map((writer.key.as_str(), writer.producer.as_str()), |row| {
                let state = EntryState::Open { lost: row.get(3)? };
                let entry = Entry { content: row.get(1)?, at: Millis(row.get(2)?), state };
                Ok((Topic::new(row.get::<_, String>(0)?), entry))
            })?;
            Ok(open.collect::<Result<_, _>>()?)
        })
        .await
    }

    async fn replace_effects(&self, writer: &Writer, changes: &[Replacement]) -> Result<bool, StoreError> {
        let (writer, changes) = (writer.clone(), changes.to_vec());
        self.write(move |connection| replace(connection, &writer, &changes)).await
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

fn replace(connection: &Connection, writer: &Writer, changes: &[Replacement]) -> Result<bool, Fault> {
    if let Some(token) = writer.token {
        let newest = "SELECT max(token) FROM (SELECT token FROM effect WHERE key = ?1
                                              UNION ALL SELECT token FROM run WHERE key = ?1)";
        let newest: Option<u64> =
            connection.prepare_cached(newest)?.query_row([writer.key.as_str()], |row| row.get(0))?;
        if let Some(newest) = newest.filter(|newest| *newest > token.0) {
            return Err(fenced(&writer.key, Token(newest)));
        }
    }
    for Replacement { topic, known, .. } in changes {
        if entry(connection, writer, topic)? != *known {
            return Ok(false);
        }
    }
    let token = writer.token.map_or(0, |token| token.0);
    let delete = "DELETE FROM effect WHERE key = ?1 AND producer = ?2 AND topic = ?3";
    let insert = "INSERT OR REPLACE INTO effect (key, producer, topic, token, content, at, lost, comment) \
                  VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    for Replacement { topic, new, .. } in changes {
        let key = (writer.key.as_str(), writer.producer.as_str(), topic.as_str());
        let Some(new) = new else {
            connection.prepare_cached(delete)?.execute(key)?;
            continue;
        };
        let (lost, comment) = match &new.state {
            EntryState::Open { lost } => (Some(*lost), None),
            EntryState::Done { comment } => (None, comment.as_ref().map(CommentId::as_str)),
        };
        let row = (key.0, key.1, key.2, token, &new.content, new.at.0, lost, comment);
        connection.prepare_cached(insert)?.execute(row)?;
    }
    raise_counter(connection, token)?;
    Ok(true)
}
