//! Names, history and past runs, which commands show to users. No decision depends on these rows, so they
//! need no fencing.

use std::collections::{BTreeMap, HashMap};

use serde_json::json;

use crate::sql::{SqlRow, SqlTransaction};
use truing_core::id::{FencingToken, RunId, SlotKey, UnixMillis};
use truing_core::outcome::ReviewRecord;
use truing_core::port::{HistoryEvent, PullRevision, SlotDescription, StoreError};
use truing_core::run::RunStage;
use truing_core::switch::RepositoryRef;

use super::operator_tables;
use super::runs::row::{parse_sha, parse_stage};
use crate::fault::{StoreFault, from_json, skip_unreadable};
use crate::store::Store;

/// Number of events that are kept for each key. Older events are deleted.
const MAX_EVENTS_PER_KEY: u32 = 200;

/// Number of runs in which the newest readable record is searched for.
const MAX_SEARCHED_RUNS: u32 = 3;

/// A run as `truing why` shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RunEntry {
    /// Id of the run.
    pub id: RunId,
    pub token: FencingToken,
    /// The last stage that the run reached.
    pub stage: RunStage,
    /// The revision that the run reviewed.
    pub revision: PullRevision,
    /// Time at which the run began.
    pub started_at: UnixMillis,
    /// The outcome of the run; none while the run has not ended.
    pub final_record: Option<ReviewRecord>,
}

impl Store {
    /// Returns the key's last events, newest first. At most 200 are kept.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be read.
    #[truing_core::boxed_future]
    pub async fn events(&self, key: &SlotKey, limit: usize) -> Result<Vec<HistoryEvent>, StoreError> {
        let key = key.clone();
        self.read(move |connection| {
            let sql = "SELECT at, run, what FROM event WHERE key = ?1 ORDER BY id DESC LIMIT ?2";
            connection
                .sql(sql)
                .query((key.as_str(), sql_limit(limit)), |row| {
                    let run: String = row.get(1)?;
                    let run = (!run.is_empty()).then(|| RunId::new(run));
                    Ok(HistoryEvent {
                        at: UnixMillis(row.get(0)?),
                        key: key.clone(),
                        run,
                        description: row.get(2)?,
                    })
                })?
                .collect()
        })
        .await
    }

    /// Returns the outcome of the key's newest ended run whose record can be read.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be read.
    #[truing_core::boxed_future]
    pub async fn last_review_record(&self, key: &SlotKey) -> Result<Option<ReviewRecord>, StoreError> {
        let key = key.clone();
        self.read(move |connection| {
            let sql =
                "SELECT record, id FROM run WHERE loop = 'review' AND key = ?1 AND record IS NOT NULL ORDER \
                 BY token DESC LIMIT ?2";
            let select = connection.sql(sql);
            let rows = select.query((key.as_str(), MAX_SEARCHED_RUNS), |row| {
                let (json, id): (String, String) = (row.get(0)?, row.get(1)?);
                from_json(&json, || format!("the outcome of run {id}"))
            })?;
            Ok(skip_unreadable(rows)?.into_iter().next())
        })
        .await
    }

    /// Returns the key's last reviews, newest first.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be read.
    #[truing_core::boxed_future]
    pub async fn review_entries(&self, key: &SlotKey, limit: usize) -> Result<Vec<RunEntry>, StoreError> {
        let key = key.clone();
        self.read(move |connection| {
            let sql = "SELECT id, token, stage, head, base, began, record FROM run
                       WHERE loop = 'review' AND key = ?1 ORDER BY token DESC LIMIT ?2";
            let select = connection.sql(sql);
            let rows = select.query((key.as_str(), sql_limit(limit)), parse_run_entry)?;
            skip_unreadable(rows)
        })
        .await
    }

    /// Finds the key of a pull request by its name `owner/name#7`, by the URL of its page, or by a URL below
    /// that page. Case is ignored. If two keys have had the name, returns the key whose description was
    /// stored last.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be read.
    #[truing_core::boxed_future]
    pub async fn find_pull_key(&self, text: &str) -> Result<Option<SlotKey>, StoreError> {
        let candidates = name_and_url_candidates(text);
        self.read(move |connection| {
            // In SQLite, comparisons of these columns already ignore case, because the table defines it.
            let sql = connection.dialect().choose(
                "SELECT key FROM described WHERE url = ?1 OR name = ?1 ORDER BY id DESC LIMIT 1",
                "SELECT key FROM described WHERE lower(url) = lower(?1) OR lower(name) = lower(?1)
                 ORDER BY id DESC LIMIT 1",
            );
            let find = connection.sql(sql);
            for candidate in &candidates {
                let key: Option<String> = find.first_row([candidate], |row| row.get(0))?;
                if let Some(key) = key {
                    return Ok(Some(SlotKey::new(key)));
                }
            }
            Ok(None)
        })
        .await
    }
}

/// Returns the stored names and URLs to which a user's text may refer. The best match is first. For a URL,
/// the values are the URL itself and the pages above it (`…/pull/7/files` belongs to `…/pull/7`). For a name,
/// the value is the name without spaces.
fn name_and_url_candidates(text: &str) -> Vec<String> {
    let Some((scheme, rest)) = text.trim().split_once("://") else {
        let name: String = text.split_whitespace().collect();
        // Users write `owner/name/7` in shells where `#` starts a comment.
        let other = match name.split('/').collect::<Vec<_>>().as_slice() {
            [owner, repository, number] if number.parse::<u64>().is_ok() => {
                Some(format!("{owner}/{repository}#{number}"))
            }
            _ => None,
        };
        return std::iter::once(name).chain(other).collect();
    };
    let rest = rest.split(['?', '#']).next().unwrap_or(rest).trim_end_matches('/');
    let mut pages = vec![format!("{scheme}://{rest}")];
    let ends = rest.rmatch_indices('/').map(|(at, _)| at);
    pages.extend(ends.map(|end| format!("{scheme}://{}", rest.get(..end).unwrap_or(rest))));
    pages
}

fn parse_run_entry(row: &SqlRow) -> Result<RunEntry, StoreFault> {
    let (id, outcome): (String, Option<String>) = (row.get(0)?, row.get(6)?);
    let outcome = outcome.map(|json| from_json(&json, || format!("the outcome of run {id}"))).transpose()?;
    Ok(RunEntry {
        id: RunId::new(id),
        token: FencingToken(row.get(1)?),
        stage: parse_stage(&row.get::<String>(2)?)?,
        revision: PullRevision { head: parse_sha(row.get(3)?)?, base: parse_sha(row.get(4)?)? },
        started_at: UnixMillis(row.get(5)?),
        final_record: outcome,
    })
}

/// Adds events to the history. If a key then has more than `MAX_EVENTS_PER_KEY` events, deletes its oldest
/// events.
pub(super) fn append_events(connection: &SqlTransaction, events: &[HistoryEvent]) -> Result<(), StoreFault> {
    if events.is_empty() {
        return Ok(());
    }
    let rows = events.iter().map(|event| {
        let run = event.run.as_ref().map_or("", RunId::as_str);
        json!([event.key.as_str(), event.at.0, run, replace_nul_chars(&event.description)])
    });
    let (rows, given) = encode_rows(connection, rows);
    let insert = format!(
        "INSERT INTO event (key, at, run, what)
         SELECT value ->> 0, CAST(value ->> 1 AS BIGINT), value ->> 2, value ->> 3 FROM {given} WHERE TRUE
         ON CONFLICT DO NOTHING"
    );
    connection.sql(&insert).execute([&rows])?;
    let full = format!(
        "SELECT key FROM event WHERE key IN (SELECT value ->> 0 FROM {given}) GROUP BY key HAVING count(*) > \
         ?2"
    );
    let keys = connection.sql(&full).query((&rows, MAX_EVENTS_PER_KEY), |row| row.get::<String>(0))?;
    let bound = "DELETE FROM event WHERE key = ?1 AND id <=
                 (SELECT id FROM event WHERE key = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)";
    for key in keys {
        connection.sql(bound).execute((&key?, MAX_EVENTS_PER_KEY))?;
    }
    Ok(())
}

/// Stores the descriptions of keys. A description contains the key's display name. An unchanged description
/// is not written again, because each sweep describes every pull request that it lists.
pub(super) fn store_descriptions<'a>(
    connection: &SqlTransaction,
    descriptions: impl Iterator<Item = (&'a SlotKey, &'a SlotDescription)>,
) -> Result<(), StoreFault> {
    // If `descriptions` contains a key several times, the last description is stored. If the last description
    // has no head, the head of the previous description of that key is stored.
    let mut new: BTreeMap<&SlotKey, SlotDescription> = BTreeMap::new();
    for (key, described) in descriptions {
        let SlotDescription { name, url, head } = described;
        let former = new.get(key).and_then(|former| former.head.clone());
        let (name, url, head) = (replace_nul_chars(name), replace_nul_chars(url), head.clone().or(former));
        new.insert(key, SlotDescription { name, url, head });
    }
    let heard = new.iter().filter_map(|(key, described)| {
        let (name, _) = described.name.rsplit_once('#')?;
        Some((name, RepositoryRef::from_key(key)))
    });
    operator_tables::switch::add_repositories_to_switches(connection, heard)?;
    let keys: Vec<SlotKey> = new.keys().map(|key| (*key).clone()).collect();
    let (mut heard, mut named) = (Vec::new(), Vec::new());
    for ((key, new), known) in new.into_iter().zip(find_descriptions(connection, &keys)?) {
        let head = new.head.as_ref().or(known.as_ref().and_then(|known| known.head.as_ref()));
        let same_name = known.as_ref().is_some_and(|known| known.name == new.name && known.url == new.url);
        let same_head = known.as_ref().is_some_and(|known| known.head.as_ref() == head);
        let row = json!([key.as_str(), new.name, new.url, head.map(|head| head.as_str())]);
        match (same_name, same_head) {
            (true, true) => {}
            (true, false) => heard.push(row),
            (false, _) => named.push(row),
        }
    }
    if !heard.is_empty() {
        let (rows, given) = encode_rows(connection, heard);
        let hear = format!(
            "UPDATE described SET head = its.head
             FROM (SELECT value ->> 0 AS key, value ->> 3 AS head FROM {given}) AS its WHERE described.key = \
             its.key"
        );
        connection.sql(&hear).execute([&rows])?;
    }
    if !named.is_empty() {
        // The rows are deleted and inserted again, so they get the greatest ids. Of several rows with the
        // same name, the row with the greatest id counts as the newest.
        let (rows, given) = encode_rows(connection, named);
        let delete = format!("DELETE FROM described WHERE key IN (SELECT value ->> 0 FROM {given})");
        connection.sql(&delete).execute([&rows])?;
        let insert = format!(
            "INSERT INTO described (key, name, url, head)
             SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM {given} WHERE TRUE
             ON CONFLICT (key) DO UPDATE SET name = excluded.name, url = excluded.url, head = excluded.head"
        );
        connection.sql(&insert).execute([&rows])?;
    }
    Ok(())
}

/// Encodes rows as one text, so that one statement can write any number of rows. Returns the text, and a
/// table expression whose column `value` contains the rows. In that expression, `?1` is the text. A server
/// then needs only one round trip.
fn encode_rows(
    connection: &SqlTransaction,
    rows: impl IntoIterator<Item = serde_json::Value>,
) -> (String, &'static str) {
    let rows = serde_json::Value::Array(rows.into_iter().collect());
    let table = "json_array_elements(CAST(CAST(?1 AS TEXT) AS JSON))";
    (rows.to_string(), connection.dialect().choose("json_each(?1)", table))
}

/// Replaces the zero character (U+0000), which ends a text in the JSON of either engine.
fn replace_nul_chars(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// Returns the descriptions of these keys. A description contains the key's display name.
pub(super) fn find_descriptions(
    connection: &SqlTransaction,
    keys: &[SlotKey],
) -> Result<Vec<Option<SlotDescription>>, StoreFault> {
    if let [key] = keys {
        return Ok(vec![find_description(connection, key)?]);
    }
    let (names, given) = encode_rows(connection, keys.iter().map(|key| json!([key.as_str()])));
    let sql =
        format!("SELECT name, url, head, key FROM described WHERE key IN (SELECT value ->> 0 FROM {given})");
    let rows =
        connection.sql(&sql).query([&names], |row| Ok((row.get::<String>(3)?, parse_description(row)?)))?;
    let known: HashMap<String, SlotDescription> = rows.collect::<Result<_, StoreFault>>()?;
    Ok(keys.iter().map(|key| known.get(key.as_str()).cloned()).collect())
}

fn find_description(
    connection: &SqlTransaction,
    key: &SlotKey,
) -> Result<Option<SlotDescription>, StoreFault> {
    connection
        .sql("SELECT name, url, head FROM described WHERE key = ?1")
        .first_row([key.as_str()], parse_description)
}

fn parse_description(row: &SqlRow) -> Result<SlotDescription, StoreFault> {
    let head: Option<String> = row.get(2)?;
    Ok(SlotDescription { name: row.get(0)?, url: row.get(1)?, head: head.map(parse_sha).transpose()? })
}

/// Converts a limit to the integer type of SQL.
pub(super) fn sql_limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
