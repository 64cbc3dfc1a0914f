//! Tests of the records of converge runs, and of the fence that rejects writes of outdated runs.

use truing_core::converge::record::{ConvergeDetail, ConvergeRecord};
use truing_core::converge::{ConvergeExit, ConvergeExitCode, ConvergeLimits, ConvergeRun};
use truing_core::dismissal::Dismissal;
use truing_core::port::{OperatorAction, RunStore as _, StoreError};

use super::*;

fn record(run: &str, key: &str, at: i64) -> ConvergeRecord {
    let sha = |letter: &str| Sha::parse(&letter.repeat(40)).unwrap();
    let state = ConvergeRun::new(ConvergeLimits::default(), sha("b"), sha("c"), None);
    let detail = ConvergeDetail::new("shop#7".into(), "topic".into(), sha("a"), state);
    ConvergeRecord::new(RunId::new(run), SlotKey::new(key), detail, UnixMillis(at))
}

#[tokio::test]
async fn a_run_is_kept_by_the_newest_lease_alone_and_the_last_one_is_found() {
    let (home, store) = new_store().await;
    let mut first = record("a", "pr/7", NOW);
    store.store_converge_record(FencingToken(3), &first).await.unwrap();
    store.store_converge_record(FencingToken(4), &record("b", "pr/8", NOW + 1)).await.unwrap();
    first.detail.state.exit = Some(ConvergeExit::new(ConvergeExitCode::Budget, "used up"));
    store.store_converge_record(FencingToken(5), &first).await.unwrap();
    let late = store.store_converge_record(FencingToken(4), &record("a", "pr/7", NOW)).await.unwrap_err();
    assert_eq!(late, StoreError::Fenced { key: SlotKey::new("pr/7"), greatest_token: FencingToken(5) });
    drop(store);

    let store = home.open().await;
    let last = store.last_converge(&SlotKey::new("pr/7")).await.unwrap().unwrap();
    assert_eq!(last, first);
    assert!(last.is_unfinished(), "it can go on with more money");
    assert_eq!(store.last_converge(&SlotKey::new("pr/9")).await.unwrap(), None);
    assert!(store.fresh_token().await.unwrap() > FencingToken(5));

    let newer = record("c", "pr/7", NOW + 9);
    store.store_converge_record(FencingToken(5), &newer).await.unwrap();
    assert_eq!(store.last_converge(&SlotKey::new("pr/7")).await.unwrap(), Some(newer.clone()));
    let runs = store.records::<ConvergeDetail>(None, UnixMillis(NOW + 1), 9).await.unwrap();
    assert_eq!(runs.iter().map(|run| run.run.as_str()).collect::<Vec<_>>(), ["c", "b"]);
    assert_eq!(store.delete_old_loop_runs(UnixMillis(NOW + 9)).await.unwrap(), 2);
    assert_eq!(store.records::<ConvergeDetail>(None, UnixMillis(0), 9).await.unwrap(), [newer]);
}

#[tokio::test]
async fn the_last_word_on_a_finding_counts_on_its_key_and_is_in_the_audit_log() {
    let (_home, store) = new_store().await;
    let key = SlotKey::new("converge/local/a@topic");
    let said = |reason: &str| Dismissal {
        finding: FindingId::new("1:abcd-1"),
        snippet: "x".into(),
        reason: reason.into(),
        dismissed_by: "ada".into(),
        dismissed_at: UnixMillis(NOW),
        withdrawn: false,
        finding_snapshot: None,
        retraction: None,
    };
    let act = OperatorAction::new("ada", "dismiss", key.as_str(), "1:abcd-1: wanted");
    store.store_dismissals(&[(key.clone(), said("meant so"))], &act).await.unwrap();
    store.store_dismissals(&[(key.clone(), said("wanted"))], &act).await.unwrap();
    assert_eq!(store.dismissals(&key).await.unwrap(), [said("wanted")]);
    assert_eq!(store.dismissals(&SlotKey::new("converge/local/a@main")).await.unwrap(), []);
    assert_eq!(store.audit_entries(9).await.unwrap()[0].action, act);

    let run = record("a", key.as_str(), NOW);
    store.store_converge_record(FencingToken(0), &run).await.unwrap();
    assert_eq!(store.converge_run(&run.run).await.unwrap(), Some(run));
    assert_eq!(store.converge_run(&RunId::new("b")).await.unwrap(), None);
}
