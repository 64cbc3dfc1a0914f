//! The kill switch, the audit log and notices, and a file of the former version.

use truing_core::id::Millis;
use truing_core::port::{Act, NewNotice, NoticeKind, Operations, Runs, Slots, StoreError};
use truing_core::switch::{Mode, Switch, Turn};
use truing_store::Sqlite;

use super::{Hand, NOW, computed, new_store, open, outcome, record, revision, run};

fn on(reason: &str, mode: Mode) -> Turn {
    Turn::On { reason: Some(reason.into()), mode: Some(mode) }
}

fn notice(key: &str, period: &str) -> NewNotice {
    NewNotice::new(NoticeKind::Budget, key, period, &format!("{key} in {period}"))
}

async fn actions(store: &Sqlite) -> Vec<String> {
    store.audited(10).await.unwrap().into_iter().map(|audited| audited.act.action).collect()
}

#[tokio::test]
async fn every_change_of_the_switch_is_in_the_audit_log_and_told() {
    let (_folder, store) = new_store();
    assert_eq!(store.switch().await.unwrap(), Switch::Off);
    let (before, after) = store.turn(&on("storm", Mode::Stop), "ada").await.unwrap();
    assert_eq!(before, Switch::Off);
    assert_eq!(store.switch().await.unwrap(), after);
    assert_eq!(after.engaged().unwrap().since, Millis(NOW));
    // What changes nothing is not written down.
    assert_eq!(store.turn(&on("storm", Mode::Stop), "bob").await.unwrap(), (after.clone(), after.clone()));
    assert_eq!(store.turn(&Turn::Off, "bob").await.unwrap(), (after, Switch::Off));
    store.turn(&Turn::Off, "bob").await.unwrap();
    let log = store.audited(10).await.unwrap();
    let acts: Vec<Act> = log.iter().map(|audited| audited.act.clone()).collect();
    assert_eq!(
        acts,
        [Act::new("bob", "kill off", "", ""), Act::new("ada", "kill on", "", "mode stop: storm")]
    );
    assert!(log.iter().all(|audited| audited.at == Millis(NOW)));
    assert_eq!(store.untold(10).await.unwrap().len(), 2, "on and off");
}

#[tokio::test]
async fn another_process_sees_the_switch_at_once_and_it_outlives_both() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("truing.db");
    let (server, command) = (open(&path), open(&path));
    command.turn(&on("storm", Mode::Finish), "ada").await.unwrap();
    assert!(server.switch().await.unwrap().engaged().is_some());
    drop((server, command));
    assert!(open(&path).switch().await.unwrap().engaged().is_some());
}

#[tokio::test]
async fn a_sweep_is_wanted_from_off_until_one_is_done_that_began_later() {
    let folder = tempfile::tempdir().unwrap();
    let hand = Hand::at(NOW);
    let store = Sqlite::open(&folder.path().join("truing.db"), hand.clone()).unwrap();
    assert_eq!(store.sweep_wanted().await.unwrap(), None);
    store.turn(&on("x", Mode::Finish), "ada").await.unwrap();
    assert_eq!(store.sweep_wanted().await.unwrap(), None);
    store.turn(&Turn::Off, "ada").await.unwrap();
    assert_eq!(store.sweep_wanted().await.unwrap(), Some(Millis(NOW)));
    hand.set(NOW + 5);
    store.turn(&on("x", Mode::Finish), "ada").await.unwrap();
    store.turn(&Turn::Off, "ada").await.unwrap();
    store.swept(Millis(NOW)).await.unwrap();
    assert_eq!(store.sweep_wanted().await.unwrap(), Some(Millis(NOW + 5)), "it was asked for again");
    store.swept(Millis(NOW + 5)).await.unwrap();
    assert_eq!(store.sweep_wanted().await.unwrap(), None);
}

#[tokio::test]
async fn a_switch_that_is_damaged_is_told_and_never_off() {
    let (_folder, store) = new_store();
    let other = rusqlite::Connection::open(store.path()).unwrap();
    other.execute("UPDATE switch SET body = '{\"on\":{}}'", []).unwrap();
    let error = store.switch().await.unwrap_err();
    assert!(matches!(&error, StoreError::Corrupt(told) if told.contains("kill switch")), "{error:?}");
}

#[tokio::test]
async fn the_audit_log_is_never_edited_and_old_lines_are_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let hand = Hand::at(NOW);
    let store = Sqlite::open(&folder.path().join("truing.db"), hand.clone()).unwrap();
    store
        .audit(&[Act::new("ada", "slots retry", "a", ""), Act::new("bob", "slots drop", "b", "")])
        .await
        .unwrap();
    let other = rusqlite::Connection::open(store.path()).unwrap();
    let refused = other.execute("UPDATE audit SET actor = 'eve'", []).unwrap_err().to_string();
    assert!(refused.contains("never edited"), "{refused}");
    hand.set(NOW + 10);
    store.audit(&[Act::new("ada", "slots retry", "c", "")]).await.unwrap();
    assert_eq!(store.forget(Millis(NOW)).await.unwrap(), 0);
    assert_eq!(store.forget(Millis(NOW + 10)).await.unwrap(), 2);
    assert_eq!(actions(&store).await, ["slots retry"]);
    // A little at a time: others have something to write, too.
    store.audit(&vec![Act::new("ada", "slots retry", "d", ""); 300]).await.unwrap();
    let mut batches = Vec::new();
    while batches.last() != Some(&0) {
        batches.push(store.forget(Millis(NOW + 20)).await.unwrap());
    }
    assert_eq!(batches, [256, 45, 0]);
}

#[tokio::test]
async fn a_notice_is_told_once_for_its_kind_key_and_period_in_order() {
    let (_folder, store) = new_store();
    store.notify(&[notice("a", "1"), notice("b", "1"), notice("a", "1"), notice("a", "2")]).await.unwrap();
    let untold = store.untold(10).await.unwrap();
    let texts: Vec<&str> = untold.iter().map(|notice| notice.text.as_str()).collect();
    assert_eq!(texts, ["a in 1", "b in 1", "a in 2"]);
    assert_eq!((untold[0].kind.as_str(), untold[0].created), ("budget", Millis(NOW)));
    store.told(untold[0].id).await.unwrap();
    store.notify(&[notice("a", "1")]).await.unwrap();
    assert_eq!(store.untold(10).await.unwrap(), untold[1..], "what was told is not wanted again");
    // Only what was told can be forgotten.
    assert_eq!(store.forget(Millis(NOW + 1)).await.unwrap(), 1);
    assert_eq!(store.untold(1).await.unwrap(), untold[1..2]);
}

#[tokio::test]
async fn a_file_of_the_former_version_keeps_everything() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("truing.db");
    {
        let old = rusqlite::Connection::open(&path).unwrap();
        old.execute_batch(include_str!("../../migrations/0001.sql")).unwrap();
        old.execute_batch(
            "PRAGMA application_id = 0x54727565; PRAGMA user_version = 1;
             INSERT INTO described VALUES (1, 'pr/github/11/7', 'o/old#7', 'https://x/1', NULL),
                 (2, 'pr/ghe/22/1', 'o/n#1', 'https://x/2', NULL),
                 (3, 'pr/github/11/8', 'o/new#8', 'https://x/3', NULL),
                 (4, 'local/x', 'x', 'x', NULL);
             INSERT INTO run VALUES ('k', 1, 'r', 'ended', '', '', 1, NULL, '{\"ended\":42}'),
                 ('k', 2, 's', 'prepared', '', '', 1, NULL, NULL);",
        )
        .unwrap();
    }
    let store = open(&path);
    assert_eq!(store.switch().await.unwrap(), Switch::Off);
    assert!(store.key_of("o/n#1").await.unwrap().is_some());
    let new = rusqlite::Connection::open(&path).unwrap();
    let mut rows = new.prepare("SELECT forge || ' ' || id || ' ' || name FROM repository").unwrap();
    let rows: Vec<String> = rows.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    assert_eq!(rows, ["ghe 22 o/n", "github 11 o/new"]);
    let mut ended = new.prepare("SELECT ended FROM run ORDER BY token").unwrap();
    let ended: Vec<Option<i64>> =
        ended.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    assert_eq!(ended, [Some(42), None]);
}

#[tokio::test]
async fn a_run_that_ended_says_when() {
    let (_folder, store) = new_store();
    store.begin(&run(1), &revision('a'), Millis(NOW)).await.unwrap();
    let ended = async || -> Option<i64> {
        let other = rusqlite::Connection::open(store.path()).unwrap();
        other.query_row("SELECT ended FROM run ORDER BY token DESC LIMIT 1", [], |row| row.get(0)).unwrap()
    };
    assert_eq!(ended().await, None);
    store.computed(&run(1), &computed(&run(1), 'a', vec![])).await.unwrap();
    store.published(&run(1), &record(&run(1), 'a')).await.unwrap();
    assert_eq!(ended().await, Some(record(&run(1), 'a').ended.0));
    store.begin(&run(2), &revision('c'), Millis(NOW)).await.unwrap();
    store
        .ended(&run(2), &outcome(truing_core::outcome::OutcomeKind::Failed), Millis(NOW + 60))
        .await
        .unwrap();
    assert_eq!(ended().await, Some(NOW + 60));
    assert_eq!(store.now().await.unwrap(), Millis(NOW));
}
