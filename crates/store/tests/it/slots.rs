//! Tests of slots: versions, compare-and-swap, the order of due slots, the clock, and other processes with
//! the same file.

use std::collections::BTreeMap;

use proptest::prelude::*;
use truing_core::id::{FencingToken, SlotKey, SlotVersion, UnixMillis};
use truing_core::port::{RunStore, SlotStore, VersionConflict};
use truing_core::slot::{HoldReason, LoopKind, Slot, SlotState, WaitReason};

use super::{Home, new_store};

pub(crate) fn key(number: u8) -> SlotKey {
    SlotKey::new(format!("pr/github/1/{number}"))
}

pub(crate) fn waiting(number: u8, at: i64) -> Slot {
    Slot {
        state: SlotState::Waiting { due_at: UnixMillis(at), reason: WaitReason::Debounce },
        ..Slot::new(key(number))
    }
}

fn leased(number: u8, deadline: i64) -> Slot {
    let state = SlotState::Leased {
        token: FencingToken(1),
        deadline: UnixMillis(deadline),
        loop_kind: LoopKind::Review,
        claimed_events: None,
        pause_requested: false,
    };
    Slot { state, ..Slot::new(key(number)) }
}

#[derive(Clone, Debug)]
enum Op {
    /// Slots to commit, each with true if the expected version is the current one.
    Commit(Vec<(bool, Slot)>),
    Due(i64, usize),
    Load(Vec<u8>),
    Raise(u64),
    Token,
    Reopen,
}

fn slots() -> impl Strategy<Value = Slot> {
    prop_oneof![
        3 => (0..5u8, 0..9i64).prop_map(|(number, at)| waiting(number, at)),
        2 => (0..5u8, 0..9i64).prop_map(|(number, deadline)| leased(number, deadline)),
        1 => (0..5u8).prop_map(|number| {
            Slot { state: SlotState::Held { reason: HoldReason::Parked }, ..Slot::new(key(number)) }
        }),
        2 => (0..5u8).prop_map(|number| Slot::new(key(number))),
    ]
}

fn ops() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => prop::collection::vec((prop::bool::weighted(0.8), slots()), 0..4).prop_map(Op::Commit),
        3 => (0..10i64, 0..6usize).prop_map(|(now, limit)| Op::Due(now, limit)),
        2 => prop::collection::vec(0..5u8, 0..4).prop_map(Op::Load),
        1 => (0..60u64).prop_map(Op::Raise),
        1 => Just(Op::Token),
        1 => Just(Op::Reopen),
    ]
}

/// A model of the store port's behaviour, which keeps the slots in a map.
#[derive(Default)]
struct Model {
    rows: BTreeMap<SlotKey, Slot>,
    /// The greatest version or token that was returned or to which the counter was raised.
    greatest: u64,
}

impl Model {
    fn version(&self, key: &SlotKey) -> SlotVersion {
        self.rows.get(key).map_or(SlotVersion(0), |slot| slot.version)
    }

    fn due(&self, now: i64, limit: usize) -> Vec<Slot> {
        let mut due: Vec<Slot> = self
            .rows
            .values()
            .filter(|slot| slot.wake_time().is_some_and(|at| at.0 <= now))
            .cloned()
            .collect();
        due.sort_by_key(|slot| (slot.wake_time(), slot.key.clone()));
        due.truncate(limit);
        due
    }

    /// Checks the result for one committed slot, and applies it to the model.
    fn apply_swap_result(
        &mut self,
        expected: SlotVersion,
        slot: &Slot,
        answer: &Result<SlotVersion, VersionConflict>,
    ) {
        if self.version(&slot.key) != expected {
            assert_eq!(*answer, Err(VersionConflict));
            return;
        }
        let version = answer.expect("the version was right");
        if slot.is_deletable() {
            assert_eq!(version, SlotVersion(0), "no row");
            self.rows.remove(&slot.key);
            return;
        }
        assert!(version.0 > self.greatest, "{version:?} after {}", self.greatest);
        self.greatest = version.0;
        self.rows.insert(slot.key.clone(), Slot { version, ..slot.clone() });
    }
}

async fn check(ops: Vec<Op>) {
    let (home, mut store) = new_store().await;
    let mut model = Model::default();
    for op in ops {
        match op {
            Op::Commit(changes) => {
                let changes: Vec<(SlotVersion, Slot)> = changes
                    .into_iter()
                    .map(|(right, slot)| {
                        let version = model.version(&slot.key);
                        (if right { version } else { SlotVersion(version.0 + 1) }, slot)
                    })
                    .collect();
                let answers = store.commit_slots(&changes).await.unwrap();
                assert_eq!(answers.len(), changes.len());
                for ((expected, slot), answer) in changes.iter().zip(&answers) {
                    model.apply_swap_result(*expected, slot, answer);
                }
            }
            Op::Due(now, limit) => {
                assert_eq!(store.due_slots(UnixMillis(now), limit).await.unwrap(), model.due(now, limit));
            }
            Op::Load(numbers) => {
                let keys: Vec<SlotKey> = numbers.into_iter().map(key).collect();
                let expected: Vec<Slot> = keys
                    .iter()
                    .map(|key| model.rows.get(key).cloned().unwrap_or_else(|| Slot::new(key.clone())))
                    .collect();
                assert_eq!(store.load_slots(&keys).await.unwrap(), expected);
            }
            Op::Raise(version) => {
                store.raise_version(SlotVersion(version)).await.unwrap();
                model.greatest = model.greatest.max(version);
            }
            Op::Token => {
                let token = store.fresh_token().await.unwrap();
                assert!(token.0 > model.greatest);
                model.greatest = token.0;
            }
            Op::Reopen => {
                drop(store);
                store = home.open().await;
            }
        }
        let all: Vec<Slot> = model.rows.values().cloned().collect();
        assert_eq!(store.list_slots().await.unwrap(), all);
        let leased: Vec<Slot> = all.into_iter().filter(|slot| slot.token().is_some()).collect();
        // Only one server can use a file, so every leased slot is orphaned there. With several servers, a
        // crashed holder is detected only when the lease expires.
        let orphans = if matches!(home, Home::File(_)) { leased } else { Vec::new() };
        assert_eq!(store.orphaned_slots().await.unwrap(), orphans);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn behaves_as_a_map_with_versions(ops in prop::collection::vec(ops(), 1..24)) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(check(ops));
    }
}

#[tokio::test]
async fn the_same_key_twice_in_a_batch_moves_on() {
    let (_home, store) = new_store().await;
    let answers = store
        .commit_slots(&[(SlotVersion(0), waiting(1, 1)), (SlotVersion(0), waiting(1, 2))])
        .await
        .unwrap();
    assert_eq!(answers, [Ok(SlotVersion(1)), Err(VersionConflict)]);
    assert_eq!(store.due_slots(UnixMillis(1), 9).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_deleted_rows_version_is_never_given_again() {
    let (_home, store) = new_store().await;
    let first = store.commit_slots(&[(SlotVersion(0), waiting(1, 1))]).await.unwrap()[0].unwrap();
    assert_eq!(store.commit_slots(&[(first, Slot::new(key(1)))]).await.unwrap(), [Ok(SlotVersion(0))]);
    assert_eq!(store.list_slots().await.unwrap(), []);
    let second = store.commit_slots(&[(SlotVersion(0), waiting(1, 1))]).await.unwrap()[0].unwrap();
    assert!(second > first);
    assert_eq!(store.commit_slots(&[(first, waiting(1, 5))]).await.unwrap(), [Err(VersionConflict)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_processes_exactly_one_wins_each_swap() {
    const ROUNDS: u64 = 20;
    const WRITERS: u64 = 6;
    let (home, one) = new_store().await;
    let other = home.open().await;
    let mut expected = SlotVersion(0);
    for round in 0..ROUNDS {
        let mut attempts = tokio::task::JoinSet::new();
        for writer in 0..WRITERS {
            let store = if writer % 2 == 0 { one.clone() } else { other.clone() };
            let slot = waiting(1, i64::try_from(round * WRITERS + writer).unwrap());
            attempts.spawn(async move {
                (store.commit_slots(&[(expected, slot.clone())]).await.unwrap()[0], slot)
            });
        }
        let answers = attempts.join_all().await;
        let won: Vec<(SlotVersion, Slot)> = answers
            .into_iter()
            .filter_map(|(answer, slot)| answer.ok().map(|version| (version, Slot { version, ..slot })))
            .collect();
        assert_eq!(won.len(), 1, "round {round}");
        assert!(won[0].0 > expected);
        expected = won[0].0;
        // Both stores return the committed slot.
        for store in [&one, &other] {
            assert_eq!(store.load_slots(&[key(1)]).await.unwrap(), [won[0].1.clone()]);
        }
    }
}

#[tokio::test]
async fn the_oldest_of_each_repository_come_before_the_second_oldest_of_any() {
    let (_home, store) = new_store().await;
    let slot = |repository: u64, number: u64, at: i64| {
        let key = SlotKey::new(format!("pr/github/{repository}/{number}"));
        (
            SlotVersion(0),
            Slot {
                state: SlotState::Waiting { due_at: UnixMillis(at), reason: WaitReason::Debounce },
                ..Slot::new(key)
            },
        )
    };
    let mut slots: Vec<_> = (0..1000).map(|number| slot(12, number, 1)).collect();
    slots.extend([slot(1, 9, 5), slot(1, 2, 7), slot(2, 12, 6), slot(1, 3, 99)]);
    store.commit_slots(&slots).await.unwrap();
    let due = store.due_slots(UnixMillis(9), 5).await.unwrap();
    let keys: Vec<_> = due.iter().map(|slot| slot.key.as_str()).collect();
    assert_eq!(
        keys,
        ["pr/github/12/0", "pr/github/1/9", "pr/github/2/12", "pr/github/12/1", "pr/github/1/2"]
    );
    assert_eq!(store.due_slots(UnixMillis(9), usize::MAX).await.unwrap().len(), 1003);
    assert_eq!(store.next_due(UnixMillis(7)).await.unwrap(), Some(UnixMillis(7)));
    assert_eq!(store.next_due(UnixMillis(8)).await.unwrap(), Some(UnixMillis(99)));
    assert_eq!(store.next_due(UnixMillis(100)).await.unwrap(), None);
}

#[tokio::test]
async fn of_more_due_slots_than_are_looked_at_once_all_that_are_asked_for_come_each_once() {
    let (_home, store) = new_store().await;
    let slot = |repository: u64, number: u64, at: i64| {
        let key = SlotKey::new(format!("pr/github/{repository}/{number}"));
        (
            SlotVersion(0),
            Slot {
                state: SlotState::Waiting { due_at: UnixMillis(at), reason: WaitReason::Debounce },
                ..Slot::new(key)
            },
        )
    };
    let mut slots: Vec<_> = (0..9000).map(|number| slot(12, number, 1 + number as i64)).collect();
    slots.push(slot(1, 7, 9001));
    for some in slots.chunks(1000) {
        store.commit_slots(some).await.unwrap();
    }
    let due = store.due_slots(UnixMillis(9001), usize::MAX).await.unwrap();
    let keys: std::collections::BTreeSet<_> = due.iter().map(|slot| slot.key.as_str()).collect();
    assert_eq!((due.len(), keys.len()), (9001, 9001));
    let first = store.due_slots(UnixMillis(9001), 2).await.unwrap();
    assert_eq!(
        first.iter().map(|slot| slot.key.as_str()).collect::<Vec<_>>(),
        ["pr/github/12/0", "pr/github/12/1"]
    );
    assert_eq!(store.due_slots(UnixMillis(8500), usize::MAX).await.unwrap().len(), 8500);
}
