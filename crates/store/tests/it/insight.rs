//! Tests of the store's statistics for metrics: counts, ages, and unreadable rows.

use std::time::Duration;

use prometheus::{Histogram, HistogramOpts, IntCounter};
use truing_core::id::{SlotKey, SlotVersion, UnixMillis};
use truing_core::port::{NewNotice, NoticeKind, OperatorStore as _, SlotStore as _, StoreError};
use truing_core::slot::{HoldReason, Slot, SlotState, WaitReason};
use truing_store::{Store, WriteMetrics};

use super::{NOW, new_file};

fn slot(key: &str, state: SlotState) -> (SlotVersion, Slot) {
    (SlotVersion(0), Slot { state, ..Slot::new(SlotKey::new(key)) })
}

fn waiting(key: &str, at: i64) -> (SlotVersion, Slot) {
    slot(key, SlotState::Waiting { due_at: UnixMillis(at), reason: WaitReason::Backoff })
}

/// Inserts a slot with this body, which no version of Truing would write.
fn write_damaged_row(store: &Store, key: &str, body: &str) {
    let connection = rusqlite::Connection::open(store.path().unwrap()).unwrap();
    connection
        .execute("INSERT INTO slot (key, version, wakes_at, body) VALUES (?1, 1, 0, ?2)", (key, body))
        .unwrap();
}

#[tokio::test]
async fn the_census_counts_slots_by_what_they_do_and_tells_the_oldest_due() {
    let (_folder, store) = new_file();
    let empty = store.collect_statistics().await.unwrap();
    assert_eq!((empty.slot_counts.len(), empty.oldest_due_age, empty.pending_notices), (0, None, 0));
    assert!(empty.bytes > 0);

    store
        .commit_slots(&[
            waiting("a", NOW - 7_000),
            waiting("b", NOW - 1),
            waiting("c", NOW + 5),
            slot("d", SlotState::Held { reason: HoldReason::Parked }),
        ])
        .await
        .unwrap();
    store.queue_notices(&[NewNotice::new(NoticeKind::Parked, "d", "day", "parked")]).await.unwrap();
    write_damaged_row(&store, "e", "}");
    let census = store.collect_statistics().await.unwrap();
    let told = |state: &str, reason: &str, count| (state.to_owned(), reason.to_owned(), count);
    assert_eq!(
        census.slot_counts,
        [told("held", "parked", 1), told("unreadable", "", 1), told("waiting", "backoff", 3)]
    );
    assert_eq!(census.oldest_due_age, Some(Duration::from_secs(7)));
    assert_eq!(census.pending_notices, 1);
}

#[tokio::test]
async fn a_row_that_cannot_be_read_stops_no_other_and_can_be_forgotten() {
    let (_folder, store) = new_file();
    store.commit_slots(&[waiting("b", 5), waiting("c", 6)]).await.unwrap();
    for (key, body) in [("a", "{}"), ("aa", "no json")] {
        write_damaged_row(&store, key, body);
    }
    let keys = |slots: Vec<Slot>| slots.into_iter().map(|slot| slot.key.to_string()).collect::<Vec<_>>();
    assert_eq!(keys(store.due_slots(UnixMillis(NOW), 1).await.unwrap()), ["b"], "they take nobody's place");
    assert_eq!(keys(store.due_slots(UnixMillis(NOW), 9).await.unwrap()), ["b", "c"]);
    assert_eq!(keys(store.list_slots().await.unwrap()), ["b", "c"]);
    assert_eq!(store.collect_statistics().await.unwrap().unreadable_slots, 2);

    let found = store.unreadable_slots().await.unwrap();
    assert_eq!(found.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), ["a", "aa"]);
    assert!(found[0].1.contains("slot a cannot be read: missing field"), "{}", found[0].1);
    let error = store.load_slots(&[SlotKey::new("a")]).await.unwrap_err();
    assert!(matches!(error, StoreError::Corrupt(_)) && error.to_string().contains("slot a"), "{error}");

    assert!(!store.delete_unreadable_slot(&SlotKey::new("b")).await.unwrap(), "it can be read");
    assert!(
        !store.delete_unreadable_slot(&SlotKey::new("x")).await.unwrap(),
        "the memory does not hold the written value"
    );
    assert!(store.delete_unreadable_slot(&SlotKey::new("a")).await.unwrap());
    assert_eq!(store.load_slots(&[SlotKey::new("a")]).await.unwrap(), [Slot::new(SlotKey::new("a"))]);
    assert_eq!(store.collect_statistics().await.unwrap().unreadable_slots, 1);
    assert_eq!(keys(store.list_slots().await.unwrap()), ["b", "c"]);
}

#[tokio::test]
async fn every_transaction_is_measured_and_those_that_fail_are_counted() {
    let (_folder, store) = new_file();
    let meter = WriteMetrics {
        commit_seconds: Histogram::with_opts(HistogramOpts::new("commit", "commit")).unwrap(),
        failures: IntCounter::new("failed", "failed").unwrap(),
        swaps: IntCounter::new("swaps", "swaps").unwrap(),
        conflicts: IntCounter::new("conflicts", "conflicts").unwrap(),
    };
    store.enable_write_metrics(meter.clone());
    store.check_operations().await.unwrap();
    assert_eq!((meter.commit_seconds.get_sample_count(), meter.failures.get()), (1, 0));

    // Another process locks the file for writing.
    let other = rusqlite::Connection::open(store.path().unwrap()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    store.check_operations().await.unwrap_err();
    assert_eq!((meter.commit_seconds.get_sample_count(), meter.failures.get()), (2, 1));
}
