//! The repositories, and the requests in their comments, check buttons and labels.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::sql::SqlTransaction;
use async_trait::async_trait;
use truing_core::id::{AccountId, PrId, Sha, SlotKey, UnixMillis};
use truing_core::port::{
    CommentKind, KnownRepository, RequestOrigin, ReviewProgress, StoreError, SweepStore, UserRequest,
    UserRequestOutcome, VersionConflict,
};
use truing_core::slot::Slot;
use truing_core::switch::RepositoryRef;

use super::history::{self, sql_limit};
use super::runs::{mark_status_unset, review_progress};
use super::{dismissals, ledger, operator_tables, slots};
use crate::fault::StoreFault;
use crate::store::{Store, box_future};
use crate::valkey::SwapOutcome;

#[async_trait]
impl SweepStore for Store {
    async fn repositories(&self, forge: &str) -> Result<Vec<KnownRepository>, StoreError> {
        let (forge, now) = (forge.to_owned(), self.0.clock.now());
        self.read(move |connection| repositories(connection, &forge, now)).await
    }

    async fn store_repositories(&self, repositories: &[KnownRepository]) -> Result<(), StoreError> {
        let repositories = repositories.to_vec();
        self.write(move |connection| store_repositories(connection, &repositories)).await
    }

    async fn finish_onboarding(&self, repository: &KnownRepository) -> Result<(), StoreError> {
        let repository = repository.clone();
        self.write(move |connection| {
            store_repositories(connection, std::slice::from_ref(&repository))?;
            let sql = "UPDATE repository SET onboarded = 1 WHERE forge = ?1 AND id = ?2";
            connection.sql(sql).execute((&repository.forge, &repository.id))?;
            Ok(())
        })
        .await
    }

    async fn last_reviews(&self, keys: &[SlotKey]) -> Result<Vec<ReviewProgress>, StoreError> {
        let keys = keys.to_vec();
        self.read(move |connection| keys.iter().map(|key| review_progress(connection, key)).collect()).await
    }

    async fn repository_slots(&self, forge: &str, repository: &str) -> Result<Vec<Slot>, StoreError> {
        let prefix = pull_key_prefix(forge, repository);
        if let Some(valkey) = self.valkey_server() {
            return box_future(|| valkey.slots_with_prefix(&prefix)).await;
        }
        let watch = Arc::clone(&self.0.monitor);
        self.read(move |connection| slots::slots_with_prefix(connection, &prefix, &watch)).await
    }

    async fn pulls_reviewed_at(
        &self,
        forge: &str,
        repository: &str,
        head: &Sha,
    ) -> Result<Vec<PrId>, StoreError> {
        let (prefix, head) = (pull_key_prefix(forge, repository), head.as_str().to_owned());
        self.read(move |connection| {
            let sql = "SELECT DISTINCT key FROM run WHERE loop = 'review' AND key >= ?1 AND key < ?2 AND \
                 head = ?3 ORDER BY key";
            let select = connection.sql(sql);
            let keys =
                select.query((&prefix, prefix_upper_bound(&prefix), &head), |row| row.get::<String>(0))?;
            let pulls = keys.map(|key| Ok(PrId::from_key(&SlotKey::new(key?))));
            Ok(pulls.collect::<Result<Vec<_>, StoreFault>>()?.into_iter().flatten().collect())
        })
        .await
    }

    async fn store_requests(
        &self,
        user_requests: &[UserRequest],
        repository: &KnownRepository,
        new_cursor: Option<UnixMillis>,
    ) -> Result<(), StoreError> {
        let (user_requests, of) = (user_requests.to_vec(), repository.clone());
        self.write(move |connection| {
            store_repositories(connection, std::slice::from_ref(&of))?;
            if let Some(new_cursor) = new_cursor {
                let sql = "UPDATE repository SET cursor = ?3 WHERE forge = ?1 AND id = ?2 AND cursor < ?3";
                connection.sql(sql).execute((&of.forge, &of.id, new_cursor.0))?;
            }
            let sql = "INSERT INTO comment_seen (forge, repository, kind, id, number, at, served)
                       VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0) ON CONFLICT DO NOTHING";
            let insert = connection.sql(sql);
            let sql = "INSERT INTO check_pressed (forge, repository, number, account, login, at)
                       VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING";
            let press = connection.sql(sql);
            let sql = "INSERT INTO label_set (forge, repository, number, name, at)
                       VALUES (?1, ?2, ?3, ?4, ?5)
                       ON CONFLICT (forge, repository, number, name) DO UPDATE
                       SET at = CASE WHEN label_set.at < excluded.at THEN excluded.at ELSE label_set.at + 1 \
                 END";
            let label = connection.sql(sql);
            for UserRequest { pr: PrId { forge, repository, number }, origin, noticed_at: at } in
                &user_requests
            {
                match origin {
                    RequestOrigin::Comment { kind, id } => {
                        insert.execute((forge, repository, kind.as_str(), id, number, at.0))?
                    }
                    RequestOrigin::Check { account, login } => {
                        press.execute((forge, repository, number, account.as_str(), login, at.0))?
                    }
                    RequestOrigin::Label { name } => {
                        label.execute((forge, repository, number, name, at.0))?
                    }
                };
            }
            Ok(())
        })
        .await
    }

    async fn unserved_requests(&self, forge: &str, limit: usize) -> Result<Vec<UserRequest>, StoreError> {
        let forge = forge.to_owned();
        self.read(move |connection| {
            // The result alternates between repositories. Otherwise a repository whose commands must wait
            // could fill the whole result.
            let sql = "SELECT repository, number, id, at, kind, account, login, label FROM
                           (SELECT repository, number, id, at, kind, NULL AS account, NULL AS login, NULL AS \
                 label
                            FROM comment_seen WHERE forge = ?1 AND served = 0
                            UNION ALL
                            SELECT repository, number, 0, at, NULL, account, login, NULL FROM check_pressed
                            WHERE forge = ?1
                            UNION ALL
                            SELECT repository, number, 0, at, NULL, NULL, NULL, name FROM label_set
                            WHERE forge = ?1) AS asked
                       ORDER BY row_number() OVER
                               (PARTITION BY repository ORDER BY kind IS NULL, id, coalesce(account, ''), \
                 number),
                           id, coalesce(account, ''), number
                       LIMIT ?2";
            connection
                .sql(sql)
                .query((&forge, sql_limit(limit)), |row| {
                    let pr = PrId { forge: forge.clone(), repository: row.get(0)?, number: row.get(1)? };
                    let (id, at) = (row.get(2)?, UnixMillis(row.get(3)?));
                    let origin = match (row.get::<Option<String>>(5)?, row.get(7)?) {
                        (Some(account), _) => {
                            RequestOrigin::Check { account: AccountId::new(account), login: row.get(6)? }
                        }
                        (None, Some(name)) => RequestOrigin::Label { name },
                        (None, None) => RequestOrigin::Comment { kind: parse_comment_kind(row.text(4))?, id },
                    };
                    Ok(UserRequest { pr, origin, noticed_at: at })
                })?
                .collect()
        })
        .await
    }

    async fn mark_request_served(
        &self,
        user_request: &UserRequest,
        outcome: Option<&UserRequestOutcome>,
    ) -> Result<Result<(), VersionConflict>, StoreError> {
        let is_apart = self.valkey_server().is_some();
        if let (Some(valkey), Some(UserRequestOutcome { slot, .. })) = (self.valkey_server(), outcome) {
            // The slot is written first. The request's name is the idempotency key, so the slot is written
            // only once. If the process exits before the other writes, a later process finds the slot already
            // changed, and does the other writes.
            let name = request_name(user_request);
            match box_future(|| valkey.swap_slots(std::slice::from_ref(slot), false, Some(&name))).await? {
                SwapOutcome::PerSlot(swapped) if swapped.iter().all(Result::is_ok) => {}
                SwapOutcome::AlreadyDone => {}
                SwapOutcome::PerSlot(_) | SwapOutcome::KillSwitchOn => return Ok(Err(VersionConflict)),
            }
        }
        let (user_request, obeyed, now) = (user_request.clone(), outcome.cloned(), self.0.clock.now());
        self.write(move |connection| {
            if let Some(UserRequestOutcome {
                slot: (version, slot),
                events,
                act,
                dismissal,
                raised_level: allowed,
            }) = &obeyed
            {
                if !is_apart && slots::swap(connection, *version, slot.clone())?.is_err() {
                    return Ok(Err(VersionConflict));
                }
                if matches!(user_request.origin, RequestOrigin::Check { .. }) {
                    mark_status_unset(connection, &user_request.pr.key())?;
                }
                history::append_events(connection, events)?;
                operator_tables::audit::append(connection, std::slice::from_ref(act), now)?;
                if let Some(dismissal) = dismissal {
                    dismissals::store_dismissal(connection, &user_request.pr.key(), dismissal)?;
                }
                if let Some(level) = allowed
                    && is_unserved(connection, &user_request)?
                {
                    ledger::raise_level_limit(connection, level, now)?;
                }
            }
            let PrId { forge, repository, number } = &user_request.pr;
            match &user_request.origin {
                RequestOrigin::Comment { kind, id } => {
                    let sql = "UPDATE comment_seen SET served = 1
                               WHERE forge = ?1 AND repository = ?2 AND kind = ?3 AND id = ?4";
                    connection.sql(sql).execute((forge, repository, kind.as_str(), id))?
                }
                RequestOrigin::Check { account, .. } => {
                    let sql = "DELETE FROM check_pressed
                               WHERE forge = ?1 AND repository = ?2 AND number = ?3 AND account = ?4";
                    connection.sql(sql).execute((forge, repository, number, account.as_str()))?
                }
                RequestOrigin::Label { name } => {
                    // If the label was set again later, that is a separate request, which is kept.
                    let sql = "DELETE FROM label_set WHERE forge = ?1 AND repository = ?2 AND number = ?3
                               AND name = ?4 AND at = ?5";
                    let row = (forge, repository, number, name, user_request.noticed_at.0);
                    connection.sql(sql).execute(row)?
                }
            };
            Ok(Ok(()))
        })
        .await
    }
}

/// Returns true if the comment of a request is not served yet. For other requests, always returns true. If
/// another process has served the comment, it has also raised the budget limit.
fn is_unserved(connection: &SqlTransaction, request: &UserRequest) -> Result<bool, StoreFault> {
    let RequestOrigin::Comment { kind, id } = &request.origin else { return Ok(true) };
    let PrId { forge, repository, .. } = &request.pr;
    let sql = "SELECT count(*) FROM comment_seen
               WHERE forge = ?1 AND repository = ?2 AND kind = ?3 AND id = ?4 AND served = 0";
    let count: i64 =
        connection.sql(sql).single_row((forge, repository, kind.as_str(), id), |row| row.get(0))?;
    Ok(count > 0)
}

/// Returns the unique name of a request.
fn request_name(UserRequest { pr, origin, noticed_at: at }: &UserRequest) -> String {
    let key = pr.key();
    match origin {
        RequestOrigin::Comment { kind, id } => format!("{key}:{}:{id}", kind.as_str()),
        RequestOrigin::Check { account, .. } => format!("{key}:check:{}:{}", account.as_str(), at.0),
        RequestOrigin::Label { name } => format!("{key}:label:{name}:{}", at.0),
    }
}

fn parse_comment_kind(kind_name: &str) -> Result<CommentKind, StoreFault> {
    let known = CommentKind::ALL.into_iter().find(|kind| kind.as_str() == kind_name);
    known.ok_or_else(|| StoreError::Corrupt(format!("`{kind_name}` is not a kind of comment")).into())
}

/// Returns the prefix of the keys of a repository's pull requests.
fn pull_key_prefix(forge: &str, repository: &str) -> String {
    format!("pr/{forge}/{repository}/")
}

/// Returns the smallest text that is greater than every text with this prefix. `prefix` ends in `/`.
pub(super) fn prefix_upper_bound(prefix: &str) -> String {
    format!("{}0", prefix.strip_suffix('/').unwrap_or(prefix))
}

fn repositories(
    connection: &SqlTransaction,
    forge: &str,
    now: UnixMillis,
) -> Result<Vec<KnownRepository>, StoreFault> {
    let mut known: BTreeMap<String, KnownRepository> = connection
        .sql("SELECT id, name, cursor, gone, onboarded FROM repository WHERE forge = ?1")
        .query([forge], |row| {
            let id: String = row.get(0)?;
            let gone: Option<i64> = row.get(3)?;
            let (name, cursor) = (row.get(1)?, UnixMillis(row.get(2)?));
            let forge = forge.to_owned();
            let onboarded = row.get::<i64>(4)? != 0;
            Ok((
                id.clone(),
                KnownRepository { forge, id, name, cursor, missing_since: gone.map(UnixMillis), onboarded },
            ))
        })?
        .collect::<Result<_, StoreFault>>()?;
    // The loop needs one query for each repository, because it skips from a repository's first pull request
    // to the next repository.
    let next = "SELECT key, name FROM described WHERE key > ?1 AND key < ?2 ORDER BY key LIMIT 1";
    let find = connection.sql(next);
    let all = format!("pr/{forge}/");
    let (mut from, end) = (all.clone(), prefix_upper_bound(&all));
    while let Some((key, name)) =
        find.first_row((&from, &end), |row| Ok((row.get::<String>(0)?, row.get::<String>(1)?)))?
    {
        let Some(pr) = PrId::from_key(&SlotKey::new(&key)) else {
            from = key;
            continue;
        };
        from = prefix_upper_bound(&pull_key_prefix(forge, &pr.repository));
        if let Some((name, _)) = name.rsplit_once('#') {
            known.entry(pr.repository.clone()).or_insert_with(|| KnownRepository {
                forge: forge.to_owned(),
                id: pr.repository,
                name: name.to_owned(),
                cursor: now,
                missing_since: None,
                onboarded: false,
            });
        }
    }
    Ok(known.into_values().collect())
}

fn store_repositories(
    connection: &SqlTransaction,
    repositories: &[KnownRepository],
) -> Result<(), StoreFault> {
    // A change of only the letter case must be stored, too. The names are therefore compared with case.
    // Without the collation, SQLite would ignore case in comparisons of this column.
    let exactly = connection.dialect().choose("COLLATE BINARY", "COLLATE \"C\"");
    let sql = format!(
        "INSERT INTO repository (forge, id, name, cursor, gone, onboarded) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (forge, id) DO UPDATE SET name = excluded.name, gone = excluded.gone
         WHERE repository.name <> excluded.name {exactly} OR repository.gone IS DISTINCT FROM excluded.gone"
    );
    let heard =
        repositories.iter().map(|one| (one.name.as_str(), RepositoryRef::from_id(&one.forge, &one.id)));
    operator_tables::switch::add_repositories_to_switches(connection, heard)?;
    let insert = connection.sql(&sql);
    for KnownRepository { forge, id, name, cursor, missing_since, onboarded } in repositories {
        insert.execute((forge, id, name, cursor.0, missing_since.map(|at| at.0), i64::from(*onboarded)))?;
    }
    Ok(())
}
