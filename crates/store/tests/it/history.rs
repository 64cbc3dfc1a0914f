//! Tests of names, events and past runs, which `truing why` and `truing queue` display.

use truing_core::id::{FencingToken, RunId, SlotKey, UnixMillis};
use truing_core::outcome::ReviewOutcomeKind;
use truing_core::port::{HistoryEvent, RunStore, SlotDescription};
use truing_core::run::RunStage;

use super::{NOW, computed, key, new_store, outcome, published, record, revision, run, sha};

pub(crate) fn slot_description(name: &str, head: Option<char>) -> SlotDescription {
    SlotDescription {
        name: name.into(),
        url: format!("https://github.test/{}", name.replace('#', "/pull/")),
        head: head.map(sha),
    }
}

fn event(at: i64, what: &str) -> HistoryEvent {
    HistoryEvent { at: UnixMillis(at), key: key(), run: None, description: what.into() }
}

#[tokio::test]
async fn people_find_a_key_by_page_or_name() {
    let (_home, store) = new_store().await;
    store.store_descriptions(&[(key(), slot_description("Owner/name#7", None))]).await.unwrap();
    for text in [
        "https://github.test/Owner/name/pull/7",
        "https://github.test/owner/name/pull/7/",
        "https://GitHub.test/Owner/name/pull/7/files#diff-1",
        "https://github.test/Owner/name/pull/7/commits/abc?x=1",
        " https://github.test/Owner/name/pull/7 ",
        "Owner/name#7",
        "owner/NAME #7",
        "Owner/name/7",
        "owner/NAME/7",
    ] {
        assert_eq!(store.find_pull_key(text).await.unwrap(), Some(key()), "{text}");
    }
    for text in [
        "",
        "https://",
        "https://github.test/Owner/name/pull/70",
        "https://github.test/Owner/name/pull",
        "https://github.test/Owner/name",
        "Owner/name#70",
        "Owner/name/70",
        "Owner/name/x",
        "name/7",
        "name#7",
        "Owner/name%",
    ] {
        assert_eq!(store.find_pull_key(text).await.unwrap(), None, "{text}");
    }
}

#[tokio::test]
async fn the_key_described_last_has_the_name_and_renames_lose_nothing() {
    let (_home, store) = new_store().await;
    let (old, new) = (SlotKey::new("pr/github/1/7"), SlotKey::new("pr/github/2/7"));
    store.store_descriptions(&[(old.clone(), slot_description("o/n#7", Some('a')))]).await.unwrap();
    // A pull request in another repository gets the name before the first one gets a new name.
    store.store_descriptions(&[(new.clone(), slot_description("o/n#7", None))]).await.unwrap();
    assert_eq!(store.find_pull_key("o/n#7").await.unwrap(), Some(new.clone()));
    // The first pull request gets its new name without a head. The store keeps the head that it knows.
    store.store_descriptions(&[(old.clone(), slot_description("o/renamed#7", None))]).await.unwrap();
    assert_eq!(store.find_pull_key("o/renamed#7").await.unwrap(), Some(old.clone()));
    assert_eq!(store.find_pull_key("o/n#7").await.unwrap(), Some(new.clone()));
    let unknown = SlotKey::new("pr/github/3/7");
    assert_eq!(
        store.descriptions(&[unknown, old, new]).await.unwrap(),
        [None, Some(slot_description("o/renamed#7", Some('a'))), Some(slot_description("o/n#7", None))]
    );
}

#[tokio::test]
async fn a_newer_head_replaces_the_one_heard_before() {
    let (_home, store) = new_store().await;
    store.store_descriptions(&[(key(), slot_description("o/n#7", Some('a')))]).await.unwrap();
    store.store_descriptions(&[(key(), slot_description("o/n#7", Some('c')))]).await.unwrap();
    assert_eq!(store.descriptions(&[key()]).await.unwrap(), [Some(slot_description("o/n#7", Some('c')))]);
}

#[tokio::test]
async fn the_last_two_hundred_events_of_each_key_are_kept() {
    let (_home, store) = new_store().await;
    let other =
        HistoryEvent { key: SlotKey::new("pr/github/9/9"), run: Some(RunId::new("r")), ..event(0, "other") };
    store.append_history(std::slice::from_ref(&other)).await.unwrap();
    let all: Vec<HistoryEvent> = (0..205).map(|at| event(at, "same words")).collect();
    store.append_history(&all).await.unwrap();
    // Events that the store already has are not added again.
    store.append_history(&all[100..]).await.unwrap();
    let kept = store.events(&key(), 1000).await.unwrap();
    assert_eq!(kept.len(), 200);
    assert_eq!(kept[0].at, UnixMillis(204), "newest first");
    assert_eq!(kept[199].at, UnixMillis(5));
    assert_eq!(store.events(&key(), 2).await.unwrap(), [event(204, "same words"), event(203, "same words")]);
    assert_eq!(store.events(&other.key, 10).await.unwrap(), [other]);
}

#[tokio::test]
async fn runs_and_outcomes_are_told_newest_first() {
    let (_home, store) = new_store().await;
    assert_eq!(store.last_review_record(&key()).await.unwrap(), None);
    store.begin_run(&run(1), &revision('a'), UnixMillis(NOW)).await.unwrap();
    store.store_computed_review(&run(1), &computed(&run(1), 'a', vec![])).await.unwrap();
    store.mark_published(&run(1), &record(&run(1), 'a')).await.unwrap();
    store.begin_run(&run(2), &revision('c'), UnixMillis(NOW + 50)).await.unwrap();
    assert_eq!(store.last_review_record(&key()).await.unwrap(), Some(published(&run(1), 'a')));
    store.end_run(&run(2), &outcome(ReviewOutcomeKind::Failed), UnixMillis(NOW + 60)).await.unwrap();

    let last = store.last_review_record(&key()).await.unwrap().unwrap();
    assert_eq!(last.detail.outcome.kind, ReviewOutcomeKind::Failed);
    assert_eq!((last.run, last.detail.head, last.detail.base), (run(2).id, Some(sha('c')), sha('b')));
    assert_eq!((last.started_at, last.ended_at), (UnixMillis(NOW + 50), UnixMillis(NOW + 60)));

    store.begin_run(&run(3), &revision('d'), UnixMillis(NOW + 70)).await.unwrap();
    let runs = store.review_entries(&key(), 9).await.unwrap();
    let seen: Vec<(FencingToken, RunStage, bool)> =
        runs.iter().map(|run| (run.token, run.stage, run.final_record.is_some())).collect();
    assert_eq!(
        seen,
        [
            (FencingToken(3), RunStage::Prepared, false),
            (FencingToken(2), RunStage::EndedUnpublished, true),
            (FencingToken(1), RunStage::Published, true)
        ]
    );
    assert_eq!(runs[0].revision, revision('d'));
    assert_eq!(store.review_entries(&key(), 1).await.unwrap(), runs[..1]);
}

#[tokio::test]
async fn of_many_keys_each_has_its_own_name_and_those_without_have_none() {
    let (_home, store) = new_store().await;
    let key = |number: usize| SlotKey::new(format!("pr/github/5/{number}"));
    let name =
        |number: usize| slot_description(&format!("o/n#{number}"), number.is_multiple_of(2).then_some('a'));
    let known: Vec<_> =
        (0..600).filter(|number| number % 3 > 0).map(|number| (key(number), name(number))).collect();
    store.store_descriptions(&known).await.unwrap();
    // The query has the keys in reverse order, and one key several times.
    let asked: Vec<usize> = (0..600).rev().chain([1, 1]).collect();
    let keys: Vec<SlotKey> = asked.iter().map(|number| key(*number)).collect();
    let expected: Vec<_> = asked.iter().map(|number| (number % 3 > 0).then(|| name(*number))).collect();
    assert_eq!(store.descriptions(&keys).await.unwrap(), expected);
    assert_eq!(store.descriptions(&[]).await.unwrap(), []);
}
