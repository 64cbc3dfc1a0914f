//! Tests of the record of effects, and of the fence that rejects writes of outdated runs.

use truing_core::id::{CommentId, Topic};
use truing_core::port::{
    EffectEntry, EffectEntryChange, EffectEntryState, EffectLog as _, EffectOwner, RunStore as _, StoreError,
};

use super::*;

pub(crate) fn writer(producer: CommentProducer, token: Option<u64>) -> EffectOwner {
    EffectOwner { key: key(), producer, token: token.map(FencingToken) }
}

pub(crate) async fn replace(
    store: &Store,
    writer: &EffectOwner,
    topic: &Topic,
    known: Option<&EffectEntry>,
    new: Option<&EffectEntry>,
) -> Result<bool, StoreError> {
    let change =
        EffectEntryChange { topic: topic.clone(), expected_entry: known.cloned(), new_entry: new.cloned() };
    store.compare_and_set_entries(writer, &[change]).await
}

async fn entry(store: &Store, writer: &EffectOwner, topic: &Topic) -> Option<EffectEntry> {
    store.entries(writer, std::slice::from_ref(topic)).await.unwrap().remove(0)
}

pub(crate) fn announced_entry(content: &str, at: i64) -> EffectEntry {
    EffectEntry {
        content_digest: content.into(),
        last_event_at: UnixMillis(at),
        state: EffectEntryState::Open { lost_responses: 0 },
    }
}

#[tokio::test]
async fn one_of_two_announces_an_effect_and_the_other_is_told_so() {
    let (home, store) = new_store().await;
    let (topic, ours) = (Topic::new("report"), writer(CommentProducer::Mcp, None));
    let (one, two) = (announced_entry("1", NOW), announced_entry("2", NOW));
    let other = home.open().await;
    let (first, second) = tokio::join!(
        replace(&store, &ours, &topic, None, Some(&one)),
        replace(&other, &ours, &topic, None, Some(&two)),
    );
    assert!(first.unwrap() != second.unwrap(), "exactly one of them");
    let there = entry(&store, &ours, &topic).await;
    assert!(there == Some(one.clone()) || there == Some(two.clone()));
    // An effect of another loop on the same topic has a separate entry.
    let converge = writer(CommentProducer::Converge, Some(3));
    assert_eq!(entry(&store, &converge, &topic).await, None);
    assert!(replace(&store, &converge, &topic, None, Some(&one)).await.unwrap());
}

#[tokio::test]
async fn an_end_is_recorded_in_place_of_its_intent_and_outlives_the_process() {
    let (home, store) = new_store().await;
    let (topic, ours) = (Topic::new("report"), writer(CommentProducer::Converge, Some(3)));
    let intent = announced_entry("1", NOW);
    assert!(replace(&store, &ours, &topic, None, Some(&intent)).await.unwrap());
    let lost = EffectEntry {
        last_event_at: UnixMillis(NOW + 5),
        state: EffectEntryState::Open { lost_responses: 2 },
        ..intent.clone()
    };
    assert!(replace(&store, &ours, &topic, Some(&intent), Some(&lost)).await.unwrap());
    assert!(
        !replace(&store, &ours, &topic, Some(&intent), None).await.unwrap(),
        "the memory does not hold the written value"
    );
    drop(store);
    let store = home.open().await;
    assert_eq!(entry(&store, &ours, &topic).await, Some(lost.clone()));
    for comment in [None, Some(CommentId::new("issue/7"))] {
        let done = EffectEntry {
            last_event_at: UnixMillis(NOW + 9),
            state: EffectEntryState::Done { comment },
            ..intent.clone()
        };
        let known = entry(&store, &ours, &topic).await;
        assert!(replace(&store, &ours, &topic, known.as_ref(), Some(&done)).await.unwrap());
        assert_eq!(entry(&store, &ours, &topic).await, Some(done));
    }
    assert_eq!(store.delete_old_effects(UnixMillis(NOW + 9)).await.unwrap(), 0);
    assert_eq!(store.delete_old_effects(UnixMillis(NOW + 10)).await.unwrap(), 1);
    assert_eq!(entry(&store, &ours, &topic).await, None);
}

#[tokio::test]
async fn a_lease_that_was_taken_over_announces_nothing_more() {
    let (home, store) = new_store().await;
    let topic = |text: &str| Topic::new(text);
    let (old, new) = (writer(CommentProducer::Converge, Some(3)), writer(CommentProducer::Converge, Some(5)));
    let intent = announced_entry("1", NOW);
    assert!(replace(&store, &old, &topic("a"), None, Some(&intent)).await.unwrap());
    assert!(replace(&store, &new, &topic("b"), None, Some(&intent)).await.unwrap());
    let before = home.dump();
    let late = [
        replace(&store, &old, &topic("a"), Some(&intent), None).await.unwrap_err(),
        replace(&store, &old, &topic("c"), None, Some(&intent)).await.unwrap_err(),
    ];
    for error in late {
        assert_eq!(error, StoreError::Fenced { key: key(), greatest_token: FencingToken(5) });
    }
    assert_eq!(home.dump(), before);
    assert!(store.fresh_token().await.unwrap() > FencingToken(5));
    // The fence does not apply to a writer without a lease.
    let caller = writer(CommentProducer::Mcp, None);
    assert!(replace(&store, &caller, &topic("c"), None, Some(&intent)).await.unwrap());
}

#[tokio::test]
async fn a_run_that_a_newer_one_has_overtaken_announces_nothing_more() {
    let (_home, store) = new_store().await;
    let (topic, old) = (Topic::new("item/summary"), writer(CommentProducer::Review, Some(3)));
    store.begin_run(&run(3), &revision('a'), UnixMillis(NOW)).await.unwrap();
    assert!(replace(&store, &old, &topic, None, Some(&announced_entry("1", NOW))).await.unwrap());
    store.begin_run(&run(5), &revision('a'), UnixMillis(NOW)).await.unwrap();
    let late = replace(&store, &old, &topic, Some(&announced_entry("1", NOW)), None).await;
    assert_eq!(late, Err(StoreError::Fenced { key: key(), greatest_token: FencingToken(5) }));
}

#[tokio::test]
async fn the_parts_of_one_call_are_announced_together_or_not_at_all() {
    let (_home, store) = new_store().await;
    let ours = writer(CommentProducer::Review, Some(3));
    let new = |topic: &str, at: i64| {
        let new = Some(announced_entry(topic, at));
        EffectEntryChange { topic: Topic::new(topic), expected_entry: None, new_entry: new }
    };
    assert!(store.compare_and_set_entries(&ours, &[new("b", NOW + 1), new("a", NOW)]).await.unwrap());
    assert!(!store.compare_and_set_entries(&ours, &[new("c", NOW), new("a", NOW)]).await.unwrap());
    let topics = ["a", "b", "c"].map(Topic::new);
    let known = store.entries(&ours, &topics).await.unwrap();
    assert_eq!(known, [Some(announced_entry("a", NOW)), Some(announced_entry("b", NOW + 1)), None]);
    let open =
        [(topics[0].clone(), announced_entry("a", NOW)), (topics[1].clone(), announced_entry("b", NOW + 1))];
    assert_eq!(store.open_entries(&ours).await.unwrap(), open, "the oldest first");
    let done = EffectEntry { state: EffectEntryState::Done { comment: None }, ..announced_entry("a", NOW) };
    assert!(replace(&store, &ours, &topics[0], known[0].as_ref(), Some(&done)).await.unwrap());
    assert_eq!(store.open_entries(&ours).await.unwrap(), open[1..]);
    assert_eq!(store.open_entries(&writer(CommentProducer::Converge, None)).await.unwrap(), []);
}
