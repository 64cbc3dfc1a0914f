//! Tests of marking slots: marking several slots in one transaction has the same effect as marking each of
//! them separately.

use truing_core::id::{SlotKey, TimeSpan, UnixMillis};
use truing_core::port::{
    HaltPolicy, HistoryEvent, LeaseRefusal, MarkOutcome, OperatorStore, RunStore, SlotDescription, SlotMark,
    SlotStore,
};
use truing_core::slot::{LoopKind, Slot, SlotCommand, SlotLimits};
use truing_core::switch::SwitchRequest;
use truing_store::Store;

use super::{Home, ManualWallClock, NOW, new_home, new_store, sha};

fn key(number: u8) -> SlotKey {
    SlotKey::new(format!("pr/github/1/{number}"))
}

fn mark(number: u8, head: char) -> SlotMark {
    let (name, url) = (format!("acme/shop#{number}"), format!("https://example.com/{number}"));
    SlotMark {
        key: key(number),
        description: SlotDescription { name, url, head: Some(sha(head)) },
        loop_kind: LoopKind::Review,
    }
}

async fn slot(store: &Store, number: u8) -> Slot {
    store.load_slots(&[key(number)]).await.unwrap().remove(0)
}

#[tokio::test]
async fn a_batch_is_what_its_events_are_one_by_one() {
    let limits = SlotLimits::default();
    let marks = [mark(1, 'a'), mark(2, 'a'), mark(1, 'b'), mark(1, 'c')];
    let (batch_home, batched) = new_store().await;
    batched.mark_slots(&marks, &limits, HaltPolicy::Refuse).await.unwrap();
    let (single_home, single) = new_store().await;
    for mark in &marks {
        single.mark_slots(std::slice::from_ref(mark), &limits, HaltPolicy::Refuse).await.unwrap();
    }
    for number in [1, 2] {
        let (batched, single) = (slot(&batched, number).await, slot(&single, number).await);
        assert_eq!(Slot { version: single.version, ..batched }, single);
        assert_eq!(single.wake_time(), Some(UnixMillis(NOW) + limits.debounce));
    }
    let names =
        |home: &Home| home.dump().into_iter().filter(|row| !row.starts_with("slot: ")).collect::<Vec<_>>();
    assert_eq!(names(&batch_home), names(&single_home), "names, heads and history, too");
    let described = batched.descriptions(&[key(1)]).await.unwrap().remove(0).unwrap();
    assert_eq!(described.head, Some(sha('c')), "the head heard last");
}

#[tokio::test]
async fn a_row_is_written_once_a_batch_and_not_for_nothing() {
    let (_home, store) = new_store().await;
    let marks = [mark(1, 'a'), mark(1, 'b'), mark(1, 'c')];
    store.mark_slots(&marks, &SlotLimits::default(), HaltPolicy::Refuse).await.unwrap();
    let first = slot(&store, 1).await.version;
    assert_eq!(first.0, 1);
    store.mark_slots(&marks, &SlotLimits::default(), HaltPolicy::Refuse).await.unwrap();
    assert_eq!(slot(&store, 1).await.version, first, "the clock stands still: nothing has changed");
}

#[tokio::test]
async fn every_row_of_a_batch_has_a_version_that_no_other_had() {
    let (_home, store) = new_store().await;
    store.mark_slots(&[mark(1, 'a')], &SlotLimits::default(), HaltPolicy::Refuse).await.unwrap();
    let before = slot(&store, 1).await.version;
    store
        .mark_slots(&[mark(2, 'a'), mark(3, 'a'), mark(4, 'a')], &SlotLimits::default(), HaltPolicy::Refuse)
        .await
        .unwrap();
    let mut given = vec![before];
    for number in 2..=4 {
        given.push(slot(&store, number).await.version);
    }
    assert!(given.is_sorted_by(|one, next| one < next), "{given:?}");
    assert!(store.fresh_token().await.unwrap().0 > given[3].0, "and no token has");
}

#[tokio::test]
async fn a_leased_slot_keeps_its_lease_and_remembers_the_event() {
    let clock = ManualWallClock::at(NOW);
    let home = new_home();
    let store = home.open_at(clock.clone()).await;
    let limits = SlotLimits { debounce: TimeSpan(0), ..SlotLimits::default() };
    store.mark_slots(&[mark(1, 'a')], &limits, HaltPolicy::Refuse).await.unwrap();
    let before = slot(&store, 1).await;
    let leased = before.apply_command(SlotCommand::Lease, &limits, UnixMillis(NOW)).unwrap().slot;
    store.commit_slots(&[(before.version, leased.clone())]).await.unwrap()[0].unwrap();
    clock.set(NOW + 7);
    store.mark_slots(&[mark(1, 'b')], &limits, HaltPolicy::Refuse).await.unwrap();
    let after = slot(&store, 1).await;
    assert_eq!(
        (after.state, after.pending.review.map(|event| event.last)),
        (leased.state, Some(UnixMillis(NOW + 7)))
    );
    let told = HistoryEvent {
        at: UnixMillis(NOW),
        key: key(1),
        run: None,
        description: "marked; waits for debounce".into(),
    };
    assert_eq!(store.events(&key(1), 9).await.unwrap(), [told], "one line for the first of a storm");
}

#[tokio::test]
async fn while_the_kill_switch_is_on_only_what_must_be_marked_is_and_no_lease_is_granted() {
    let (_home, store) = new_store().await;
    let limits = SlotLimits::default();
    store.turn_switch(&SwitchRequest::TurnOn { reason: None, mode: None }, "ada").await.unwrap();
    assert_eq!(
        store.mark_slots(&[mark(1, 'a')], &limits, HaltPolicy::Refuse).await,
        Ok(MarkOutcome::BlockedByKillSwitch([key(1)].into()))
    );
    assert_eq!(slot(&store, 1).await, Slot::new(key(1)));
    // With `HaltPolicy::Mark`, the slot is marked although the switch is on, and waits until the switch is
    // off. This policy is for forges that disable a webhook after failures.
    assert_eq!(
        store.mark_slots(&[mark(2, 'a')], &limits, HaltPolicy::Mark).await,
        Ok(MarkOutcome::AllStored)
    );
    let marked = slot(&store, 2).await;
    assert!(marked.pending.review.is_some());
    let due = marked.wake_time().unwrap();
    let leased = marked.apply_command(SlotCommand::Lease, &limits, due).unwrap().slot;
    let granted = store.grant_leases(&[(marked.version, leased)]).await.unwrap();
    assert_eq!(granted, [Err(LeaseRefusal::BlockedByKillSwitch)]);
    store.turn_switch(&SwitchRequest::TurnOff, "ada").await.unwrap();
    assert_eq!(
        store.mark_slots(&[mark(1, 'a')], &limits, HaltPolicy::Refuse).await,
        Ok(MarkOutcome::AllStored)
    );
    assert!(slot(&store, 1).await.pending.review.is_some());
}

/// Returns a mark for a pull request in another repository.
fn mark_of_other_repository(number: u8) -> SlotMark {
    let SlotMark { description: described, loop_kind, .. } = mark(number, 'a');
    let described = SlotDescription { name: format!("acme/other#{number}"), ..described };
    SlotMark { key: SlotKey::new(format!("pr/github/11/{number}")), description: described, loop_kind }
}

#[tokio::test]
async fn the_switch_of_a_repository_keeps_its_slots_alone_from_being_marked_and_leased() {
    let (_home, store) = new_store().await;
    let limits = SlotLimits::default();
    // The store does not know the repository yet, so the switch is stored with the repository's name.
    store
        .turn_repository_switch("Acme/Shop", &SwitchRequest::TurnOn { reason: None, mode: None }, "ada")
        .await
        .unwrap();
    let marks = [mark(1, 'a'), mark_of_other_repository(1)];
    let refused = store.mark_slots(&marks, &limits, HaltPolicy::Refuse).await;
    assert_eq!(refused, Ok(MarkOutcome::BlockedByKillSwitch([key(1)].into())));
    assert_eq!(slot(&store, 1).await, Slot::new(key(1)));
    assert_eq!(store.descriptions(&[key(1)]).await.unwrap(), [None], "it is not remembered at all");
    // With `HaltPolicy::Mark`, both slots are marked and become due, but only the slot of the other
    // repository can be leased.
    assert_eq!(store.mark_slots(&marks, &limits, HaltPolicy::Mark).await, Ok(MarkOutcome::AllStored));
    let due: Vec<Slot> = store.load_slots(&[key(1), mark_of_other_repository(1).key]).await.unwrap();
    let leases: Vec<_> = due
        .iter()
        .map(|slot| {
            let at = slot.wake_time().unwrap();
            (slot.version, slot.clone().apply_command(SlotCommand::Lease, &limits, at).unwrap().slot)
        })
        .collect();
    let granted = store.grant_leases(&leases).await.unwrap();
    assert_eq!(granted[0], Err(LeaseRefusal::BlockedByKillSwitch));
    assert!(granted[1].is_ok(), "{granted:?}");
    assert_eq!(store.grant_leases(&leases[..1]).await.unwrap(), [Err(LeaseRefusal::BlockedByKillSwitch)]);
    store.turn_repository_switch("acme/shop", &SwitchRequest::TurnOff, "ada").await.unwrap();
    assert!(store.grant_leases(&leases[..1]).await.unwrap()[0].is_ok());
    assert_eq!(
        store.mark_slots(&[mark(2, 'a')], &limits, HaltPolicy::Refuse).await,
        Ok(MarkOutcome::AllStored)
    );
}

#[tokio::test]
async fn the_switch_of_a_repository_that_was_heard_of_stays_on_when_it_is_renamed() {
    let (_home, store) = new_store().await;
    let limits = SlotLimits::default();
    assert_eq!(
        store.mark_slots(&[mark(1, 'a')], &limits, HaltPolicy::Refuse).await,
        Ok(MarkOutcome::AllStored)
    );
    store
        .turn_repository_switch("acme/shop", &SwitchRequest::TurnOn { reason: None, mode: None }, "ada")
        .await
        .unwrap();
    let renamed = SlotDescription { name: "acme/store#1".into(), ..mark(1, 'b').description };
    let renamed = SlotMark { description: renamed, ..mark(1, 'b') };
    let marked = store.mark_slots(std::slice::from_ref(&renamed), &limits, HaltPolicy::Refuse).await;
    assert_eq!(marked, Ok(MarkOutcome::BlockedByKillSwitch([key(1)].into())));
    // After the store has learned the new name, the switch can be turned off with this name.
    store.store_descriptions(&[(key(1), renamed.description.clone())]).await.unwrap();
    let (before, after) =
        store.turn_repository_switch("acme/store", &SwitchRequest::TurnOff, "ada").await.unwrap();
    assert_eq!((before.repositories.len(), after.repositories.len()), (1, 0));
    assert_eq!(store.mark_slots(&[renamed], &limits, HaltPolicy::Refuse).await, Ok(MarkOutcome::AllStored));
}
