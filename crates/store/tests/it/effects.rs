//! The record of effects, and who may write it.

use truing_core::id::{CommentId, Topic};
use truing_core::port::{EffectLog as _, Entry, EntryState, Records as _, StoreError, Writer};

use super::*;

fn writer(producer: Producer, token: Option<u64>) -> Writer {
    Writer { key: key(), producer, token: token.map(Token) }
}

fn announced(content: &str, at: i64) -> Entry {
    Entry { content: content.into(), at: Millis(at), state: EntryState::Open { lost: 0 } }
}

#[tokio::test]
async fn one_of_two_announces_an_effect_and_the_other_is_told_so() {
    let (folder, store) = new_store();
    let (topic, ours) = (Topic::new("report"), writer(Producer::Mcp, None));
    let (one, two) = (announced("1", NOW), announced("2", NOW));
    let other = open(&folder.path().join("truing.db"));
    let (first, second) = tokio::join!(
        store.replace_effect(&ours, &topic, None, Some(&one)),
        other.replace_effect(&ours, &topic, None, Some(&two)),
    );
    assert!(first.unwrap() != second.unwrap(), "exactly one of them");
    let there = store.effect(&ours, &topic).await.unwrap();
    assert!(there == Some(one.clone()) || there == Some(two.clone()));
    // Another loop's effect on the same topic is another one.
    let converge = writer(Producer::Converge, Some(3));
    assert_eq!(store.effect(&converge, &topic).await.unwrap(), None);
    assert!(store.replace_effect(&converge, &topic, None, Some(&one)).await.unwrap());
}

#[tokio::test]
async fn an_end_is_recorded_in_place_of_its_intent_and_outlives_the_process() {
    let (folder, store) = new_store();
    let (topic, ours) = (Topic::new("report"), writer(Producer::Converge, Some(3)));
    let intent = announced("1", NOW);
    assert!(store.replace_effect(&ours, &topic, None, Some(&intent)).await.unwrap());
    let lost = Entry { at: Millis(NOW + 5), state: EntryState::Open { lost: 2 }, ..intent.clone() };
    assert!(store.replace_effect(&ours, &topic, Some(&intent), Some(&lost)).await.unwrap());
    assert!(!store.replace_effect(&ours, &topic, Some(&intent), None).await.unwrap(), "it is not there");
    drop(store);
    let store = open(&folder.path().join("truing.db"));
    assert_eq!(store.effect(&ours, &topic).await.unwrap(), Some(lost.clone()));
    for comment in [None, Some(CommentId::new("issue/7"))] {
        let done = Entry { at: Millis(NOW + 9), state: EntryState::Done { comment }, ..intent.clone() };
        let known = store.effect(&ours, &topic).await.unwrap();
        assert!(store.replace_effect(&ours, &topic, known.as_ref(), Some(&done)).await.unwrap());
        assert_eq!(store.effect(&ours, &topic).await.unwrap(), Some(done));
    }
    assert_eq!(store.forget_effects(Millis(NOW + 9)).await.unwrap(), 0);
    assert_eq!(store.forget_effects(Millis(NOW + 10)).await.unwrap(), 1);
    assert_eq!(store.effect(&ours, &topic).await.unwrap(), None);
}

#[tokio::test]
async fn a_lease_that_was_taken_over_announces_nothing_more() {
    let (_folder, store) = new_store();
    let topic = |text: &str| Topic::new(text);
    let (old, new) = (writer(Producer::Converge, Some(3)), writer(Producer::Converge, Some(5)));
    let intent = announced("1", NOW);
    assert!(store.replace_effect(&old, &topic("a"), None, Some(&intent)).await.unwrap());
    assert!(store.replace_effect(&new, &topic("b"), None, Some(&intent)).await.unwrap());
    let before = dump(&store);
    let late = [
        store.replace_effect(&old, &topic("a"), Some(&intent), None).await.unwrap_err(),
        store.replace_effect(&old, &topic("c"), None, Some(&intent)).await.unwrap_err(),
    ];
    for error in late {
        assert_eq!(error, StoreError::Fenced { key: key(), last: Token(5) });
    }
    assert_eq!(dump(&store), before);
    assert!(store.fresh_token().await.unwrap() > Token(5));
    // Whoever holds no lease is fenced by none.
    let caller = writer(Producer::Mcp, None);
    assert!(store.replace_effect(&caller, &topic("c"), None, Some(&intent)).await.unwrap());
}

#[tokio::test]
async fn a_database_from_before_effects_is_opened_with_all_that_it_held() {
    let (folder, store) = new_store();
    let path = folder.path().join("truing.db");
    store.begin(&run(3), &revision('a'), Millis(NOW)).await.unwrap();
    let before = dump(&store);
    drop(store);
    let old = rusqlite::Connection::open(&path).unwrap();
    old.execute_batch("DROP TABLE effect; PRAGMA user_version = 7;").unwrap();
    drop(old);
    let store = open(&path);
    assert_eq!(dump(&store), before);
    let (ours, intent) = (writer(Producer::Converge, Some(3)), announced("1", NOW));
    assert!(store.replace_effect(&ours, &Topic::new("report"), None, Some(&intent)).await.unwrap());
}
