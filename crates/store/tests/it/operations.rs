//! Tests of the kill switch, the audit log and notices.

use truing_core::id::UnixMillis;
use truing_core::port::{
    NewNotice, NoticeKind, OperatorAction, OperatorStore, RunStore, SlotStore, StoreError,
};
use truing_core::switch::{HaltMode, KillSwitch, SwitchRequest};
use truing_store::Store;

use super::{ManualWallClock, NOW, computed, new_home, new_store, outcome, record, revision, run};

fn turn_on_request(reason: &str, mode: HaltMode) -> SwitchRequest {
    SwitchRequest::TurnOn { reason: Some(reason.into()), mode: Some(mode) }
}

fn notice(key: &str, period: &str) -> NewNotice {
    NewNotice::new(NoticeKind::Budget, key, period, &format!("{key} in {period}"))
}

async fn audit_actions(store: &Store) -> Vec<String> {
    store.audit_entries(10).await.unwrap().into_iter().map(|audited| audited.action.action).collect()
}

#[tokio::test]
async fn every_change_of_the_switch_is_in_the_audit_log_and_told() {
    let (_home, store) = new_store().await;
    assert_eq!(store.kill_switches().await.unwrap().global_switch, KillSwitch::Off);
    let (before, after) = store.turn_switch(&turn_on_request("storm", HaltMode::Stop), "ada").await.unwrap();
    assert_eq!(before, KillSwitch::Off);
    assert_eq!(store.kill_switches().await.unwrap().global_switch, after);
    assert_eq!(after.engagement().unwrap().since, UnixMillis(NOW));
    // Setting the switch to its current state adds no audit entry.
    assert_eq!(
        store.turn_switch(&turn_on_request("storm", HaltMode::Stop), "bob").await.unwrap(),
        (after.clone(), after.clone())
    );
    assert_eq!(store.turn_switch(&SwitchRequest::TurnOff, "bob").await.unwrap(), (after, KillSwitch::Off));
    store.turn_switch(&SwitchRequest::TurnOff, "bob").await.unwrap();
    let log = store.audit_entries(10).await.unwrap();
    let acts: Vec<OperatorAction> = log.iter().map(|audited| audited.action.clone()).collect();
    assert_eq!(
        acts,
        [
            OperatorAction::new("bob", "kill off", "", ""),
            OperatorAction::new("ada", "kill on", "", "mode stop: storm")
        ]
    );
    assert!(log.iter().all(|audited| audited.at == UnixMillis(NOW)));
    assert_eq!(store.pending_notices(10).await.unwrap().len(), 2, "on and off");
}

#[tokio::test]
async fn another_process_sees_the_switch_at_once_and_it_outlives_both() {
    let home = new_home();
    let (server, command) = (home.open().await, home.open().await);
    command.turn_switch(&turn_on_request("storm", HaltMode::Finish), "ada").await.unwrap();
    assert!(server.kill_switches().await.unwrap().global_switch.engagement().is_some());
    drop((server, command));
    assert!(home.open().await.kill_switches().await.unwrap().global_switch.engagement().is_some());
}

#[tokio::test]
async fn a_sweep_is_wanted_from_off_until_one_is_done_that_began_later() {
    let (home, hand) = (new_home(), ManualWallClock::at(NOW));
    let store = home.open_at(hand.clone()).await;
    assert_eq!(store.sweep_request_time().await.unwrap(), None);
    store.turn_switch(&turn_on_request("x", HaltMode::Finish), "ada").await.unwrap();
    assert_eq!(store.sweep_request_time().await.unwrap(), None);
    store.turn_switch(&SwitchRequest::TurnOff, "ada").await.unwrap();
    assert_eq!(store.sweep_request_time().await.unwrap(), Some(UnixMillis(NOW)));
    hand.set(NOW + 5);
    store.turn_switch(&turn_on_request("x", HaltMode::Finish), "ada").await.unwrap();
    store.turn_switch(&SwitchRequest::TurnOff, "ada").await.unwrap();
    store.clear_sweep_request(UnixMillis(NOW)).await.unwrap();
    assert_eq!(
        store.sweep_request_time().await.unwrap(),
        Some(UnixMillis(NOW + 5)),
        "it was asked for again"
    );
    store.clear_sweep_request(UnixMillis(NOW + 5)).await.unwrap();
    assert_eq!(store.sweep_request_time().await.unwrap(), None);
}

#[tokio::test]
async fn switches_of_repositories_are_apart_from_that_of_everything() {
    let (_home, store) = new_store().await;
    store
        .turn_repository_switch("acme/shop", &turn_on_request("storm", HaltMode::Stop), "ada")
        .await
        .unwrap();
    store.turn_switch(&turn_on_request("all", HaltMode::Finish), "ada").await.unwrap();
    let switches = store.kill_switches().await.unwrap();
    let [of_shop] = switches.repositories.as_slice() else { panic!("{switches:?}") };
    let engaged = &of_shop.engaged;
    assert_eq!(
        (of_shop.repository.name.as_str(), engaged.since, engaged.mode),
        ("acme/shop", UnixMillis(NOW), HaltMode::Stop)
    );
    assert_eq!(store.sweep_request_time().await.unwrap(), None);
    store.turn_switch(&SwitchRequest::TurnOff, "ada").await.unwrap();
    let left = store.kill_switches().await.unwrap();
    assert_eq!((left.global_switch, left.repositories), (KillSwitch::Off, switches.repositories));
    store.clear_sweep_request(UnixMillis(NOW)).await.unwrap();
    // Turning off a repository's switch also requests a sweep. Turning off a switch that is already off adds
    // no audit entry.
    store.turn_repository_switch("ACME/shop", &SwitchRequest::TurnOff, "bob").await.unwrap();
    assert_eq!(store.sweep_request_time().await.unwrap(), Some(UnixMillis(NOW)));
    let (before, after) =
        store.turn_repository_switch("acme/shop", &SwitchRequest::TurnOff, "bob").await.unwrap();
    assert_eq!(before, after);
    let log = store.audit_entries(10).await.unwrap();
    let acts: Vec<OperatorAction> = log.iter().map(|audited| audited.action.clone()).collect();
    let of_all = [
        OperatorAction::new("ada", "kill off", "", ""),
        OperatorAction::new("ada", "kill on", "", "mode finish: all"),
    ];
    assert_eq!(acts[0], OperatorAction::new("bob", "kill off", "acme/shop", ""));
    assert_eq!(acts[1..3], of_all);
    assert_eq!(acts[3], OperatorAction::new("ada", "kill on", "acme/shop", "mode stop: storm"));
    assert_eq!(store.pending_notices(10).await.unwrap().len(), 4);
}

#[tokio::test]
async fn a_switch_that_is_damaged_is_told_and_never_off() {
    let (home, store) = new_store().await;
    home.change_rows("UPDATE switch SET body = '{\"on\":{}}'");
    let error = store.kill_switches().await.unwrap_err();
    assert!(matches!(&error, StoreError::Corrupt(told) if told.contains("kill switch")), "{error:?}");
    home.change_rows("UPDATE switch SET body = '\"off\"', repositories = '[1]'");
    let error = store.kill_switches().await.unwrap_err();
    assert!(matches!(&error, StoreError::Corrupt(told) if told.contains("kill switch")), "{error:?}");
}

#[tokio::test]
async fn the_audit_log_is_never_edited_and_old_lines_are_forgotten() {
    let (home, hand) = (new_home(), ManualWallClock::at(NOW));
    let store = home.open_at(hand.clone()).await;
    store
        .append_audit_log(&[
            OperatorAction::new("ada", "slots retry", "a", ""),
            OperatorAction::new("bob", "slots drop", "b", ""),
        ])
        .await
        .unwrap();
    let refused = home.refused_sql("UPDATE audit SET actor = 'eve'");
    assert!(refused.contains("never edited"), "{refused}");
    hand.set(NOW + 10);
    store.append_audit_log(&[OperatorAction::new("ada", "slots retry", "c", "")]).await.unwrap();
    assert_eq!(store.delete_old_entries(UnixMillis(NOW)).await.unwrap(), 0);
    assert_eq!(store.delete_old_entries(UnixMillis(NOW + 10)).await.unwrap(), 2);
    assert_eq!(audit_actions(&store).await, ["slots retry"]);
    // The store deletes old entries in batches, so that other writers do not wait long.
    store.append_audit_log(&vec![OperatorAction::new("ada", "slots retry", "d", ""); 300]).await.unwrap();
    let mut batches = Vec::new();
    while batches.last() != Some(&0) {
        batches.push(store.delete_old_entries(UnixMillis(NOW + 20)).await.unwrap());
    }
    assert_eq!(batches, [256, 45, 0]);
}

#[tokio::test]
async fn a_notice_is_told_once_for_its_kind_key_and_period_in_order() {
    let (_home, store) = new_store().await;
    store
        .queue_notices(&[notice("a", "1"), notice("b", "1"), notice("a", "1"), notice("a", "2")])
        .await
        .unwrap();
    let untold = store.pending_notices(10).await.unwrap();
    let texts: Vec<&str> = untold.iter().map(|notice| notice.text.as_str()).collect();
    assert_eq!(texts, ["a in 1", "b in 1", "a in 2"]);
    assert_eq!((untold[0].kind.as_str(), untold[0].created), ("budget", UnixMillis(NOW)));
    store.finish_notice(untold[0].id).await.unwrap();
    store.queue_notices(&[notice("a", "1")]).await.unwrap();
    assert_eq!(store.pending_notices(10).await.unwrap(), untold[1..], "what was told is not wanted again");
    // Only notices that were finished can be deleted.
    assert_eq!(store.delete_old_entries(UnixMillis(NOW + 1)).await.unwrap(), 1);
    assert_eq!(store.pending_notices(1).await.unwrap(), untold[1..2]);
}

#[tokio::test]
async fn a_run_that_ended_says_when() {
    let (home, store) = new_store().await;
    store.begin_run(&run(1), &revision('a'), UnixMillis(NOW)).await.unwrap();
    let ended = || home.rows("SELECT coalesce(ended, 0) + 0 FROM run ORDER BY token DESC LIMIT 1").remove(0);
    assert_eq!(ended(), "0");
    store.store_computed_review(&run(1), &computed(&run(1), 'a', vec![])).await.unwrap();
    store.mark_published(&run(1), &record(&run(1), 'a')).await.unwrap();
    assert_eq!(ended(), record(&run(1), 'a').ended_at.0.to_string());
    store.begin_run(&run(2), &revision('c'), UnixMillis(NOW)).await.unwrap();
    store
        .end_run(&run(2), &outcome(truing_core::outcome::ReviewOutcomeKind::Failed), UnixMillis(NOW + 60))
        .await
        .unwrap();
    assert_eq!(ended(), (NOW + 60).to_string());
    assert_eq!(store.now().await.unwrap(), UnixMillis(NOW));
}
