//! Tests of copies that are made while the store is in use, and of deleted rows.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use truing_core::id::{SlotKey, SlotVersion, UnixMillis};
use truing_core::port::{HistoryEvent, RunStore as _, SlotStore as _};
use truing_core::slot::{HoldReason, Slot, SlotState};
use truing_store::{BackupError, Store};

use super::{NOW, dump, key, new_file, open, outcome, record, revision, run};
use truing_core::outcome::ReviewOutcomeKind;

#[tokio::test]
async fn a_copy_made_while_others_write_is_a_whole_store_at_one_instant() {
    let (folder, store) = new_file();
    let to = folder.path().join("copy.db");
    store.begin_run(&run(1), &revision('a'), UnixMillis(NOW)).await.unwrap();
    let before = dump(store.path().unwrap());
    // Another process has an open write transaction.
    let writer = rusqlite::Connection::open(store.path().unwrap()).unwrap();
    writer.execute_batch("BEGIN IMMEDIATE; UPDATE store SET counter = 77").unwrap();
    store.backup(&to).await.unwrap();
    writer.execute_batch("COMMIT").unwrap();

    assert_eq!(fs::metadata(&to).unwrap().permissions().mode() & 0o777, 0o600);
    let copy = open(&to);
    assert_eq!(dump(copy.path().unwrap()), before);
    copy.begin_run(&run(9), &revision('c'), UnixMillis(NOW)).await.unwrap();
    assert!(copy.fresh_token().await.unwrap().0 < 77, "what was not committed is not in it");
    let names: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!names.iter().any(|name| name.to_string_lossy().contains("partial")), "{names:?}");
}

#[tokio::test]
async fn a_copy_overwrites_nothing_and_leaves_nothing_half_written() {
    let (folder, store) = new_file();
    let there = folder.path().join("there");
    fs::write(&there, "mine").unwrap();
    let error = store.backup(&there).await.unwrap_err();
    assert!(matches!(error, BackupError::Exists { .. }), "{error}");
    assert_eq!(fs::read(&there).unwrap(), b"mine");
    let error = store.backup(&folder.path().join("no/such/folder.db")).await.unwrap_err();
    assert!(error.to_string().contains("no/such/folder.db"), "{error}");
    let half = folder.path().join("other.partial");
    fs::write(&half, "interrupted").unwrap();
    let error = store.backup(&folder.path().join("other")).await.unwrap_err();
    assert!(matches!(error, BackupError::PartialFileExists { .. }), "{error}");
    assert!(
        error.to_string().contains("other.partial") && error.to_string().contains("remove the file"),
        "{error}"
    );
    let error = store.backup(store.path().unwrap()).await.unwrap_err();
    assert!(matches!(error, BackupError::Exists { .. }), "{error}");
    assert!(!Path::new(&folder.path().join("there.partial")).exists());
}

async fn publish(store: &Store, token: u64, at: i64) {
    let run = run(token);
    store.begin_run(&run, &revision('a'), UnixMillis(at)).await.unwrap();
    let mut ended = record(&run, 'a');
    ended.ended_at = UnixMillis(at);
    store.mark_published(&run, &ended).await.unwrap();
}

/// Deletes the runs that ended before `before`, in batches. Returns the number of deleted runs.
async fn delete_all_old(store: &Store, before: i64) -> usize {
    let (mut gone, mut mark) = (0, None);
    loop {
        let (some, next) = store.delete_old_reviews(UnixMillis(before), mark).await.unwrap();
        gone += some;
        match next {
            None => return gone,
            next => mark = next,
        }
    }
}

async fn tokens(store: &Store) -> Vec<u64> {
    store.review_entries(&key(), 99).await.unwrap().iter().map(|run| run.token.0).collect()
}

#[tokio::test]
async fn old_runs_are_forgotten_but_never_the_newest_published_one_nor_what_came_after() {
    let (_folder, store) = new_file();
    publish(&store, 1, 10).await;
    store.begin_run(&run(2), &revision('c'), UnixMillis(11)).await.unwrap(); // never ended
    publish(&store, 3, 12).await;
    publish(&store, 4, 13).await;
    let failed = run(5);
    store.begin_run(&failed, &revision('c'), UnixMillis(14)).await.unwrap();
    store.end_run(&failed, &outcome(ReviewOutcomeKind::Failed), UnixMillis(14)).await.unwrap();

    assert_eq!(delete_all_old(&store, 12).await, 1, "only what is older");
    assert_eq!(tokens(&store).await, [5, 4, 3, 2]);
    assert_eq!(delete_all_old(&store, 1000).await, 2);
    assert_eq!(tokens(&store).await, [5, 4]);
    assert_eq!(delete_all_old(&store, 1000).await, 0);
    let begun = store.begin_run(&run(6), &revision('a'), UnixMillis(20)).await.unwrap();
    assert_eq!(begun.last_published, Some(revision('a')), "what was reviewed is known still");
}

#[tokio::test]
async fn a_key_without_a_published_run_keeps_its_newest() {
    let (_folder, store) = new_file();
    for token in 1..=3 {
        let failed = run(token);
        store.begin_run(&failed, &revision('c'), UnixMillis(14)).await.unwrap();
        store.end_run(&failed, &outcome(ReviewOutcomeKind::Failed), UnixMillis(14)).await.unwrap();
    }
    assert_eq!(delete_all_old(&store, 1000).await, 2);
    assert_eq!(tokens(&store).await, [3]);
}

#[tokio::test]
async fn closed_pull_requests_are_forgotten_with_the_last_of_their_history() {
    let (_folder, store) = new_file();
    let held = |key: &str, reason| {
        (SlotVersion(0), Slot { state: SlotState::Held { reason }, ..Slot::new(SlotKey::new(key)) })
    };
    store
        .commit_slots(&[held("closed", HoldReason::Cancelled), held("parked", HoldReason::Parked)])
        .await
        .unwrap();
    let event = |key: &str, at| HistoryEvent {
        at: UnixMillis(at),
        key: SlotKey::new(key),
        run: None,
        description: "x".into(),
    };
    store.append_history(&[event("closed", 5), event("parked", 5), event("parked", 50)]).await.unwrap();

    assert_eq!(store.delete_closed_slots().await.unwrap(), 0, "its history is younger than that");
    assert_eq!(store.delete_old_events(UnixMillis(10)).await.unwrap(), 2);
    assert_eq!(store.delete_old_events(UnixMillis(10)).await.unwrap(), 0);
    assert_eq!(store.delete_closed_slots().await.unwrap(), 1);
    // Some events have times in the future, because the clock was ahead. Old events that were appended after
    // them must still be deleted.
    let ahead: Vec<HistoryEvent> = (0..300).map(|number| event(&format!("pull {number}"), 9_000)).collect();
    store.append_history(&[ahead, vec![event("late", 6)]].concat()).await.unwrap();
    assert_eq!(store.delete_old_events(UnixMillis(10)).await.unwrap(), 1);
    let left = store.list_slots().await.unwrap();
    assert_eq!(left.iter().map(|slot| slot.key.as_str()).collect::<Vec<_>>(), ["parked"]);
    assert_eq!(store.events(&SlotKey::new("parked"), 9).await.unwrap().len(), 1);
}
