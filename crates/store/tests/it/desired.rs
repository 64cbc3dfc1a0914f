//! Desired rows and intents across runs: comments are never forgotten, refused places never tried again.

use truing_core::finding::AnchorKind;
use truing_core::id::{CommentId, IntentId, Millis};
use truing_core::port::Records;
use truing_core::publish::{Desired, Intent, Item, Producer};
use truing_store::Sqlite;

use super::{NOW, computed, item, key, new_store, revision, row, run, status, summary};

const REVIEW: Producer = Producer::Review;

/// A new run computes these rows.
async fn compute(store: &Sqlite, token: u64, rows: Vec<Desired>) {
    store.begin(&run(token), &revision('a'), Millis(NOW)).await.unwrap();
    store.computed(&run(token), &computed(&run(token), 'a', rows)).await.unwrap();
}

async fn rows(store: &Sqlite) -> Vec<Desired> {
    store.desired(&key(), REVIEW).await.unwrap().0
}

fn intent(id: &str, created: i64, items: &[&str]) -> Intent {
    Intent {
        id: IntentId::new(id),
        items: items.iter().map(|id| item(id)).collect(),
        created: Millis(created),
    }
}

fn shown_as(row: Desired, comment: &str) -> Desired {
    Desired { comment: Some(CommentId::new(comment)), ..row }
}

fn comment(of: &str, id: &str) -> (Item, CommentId) {
    (item(of), CommentId::new(id))
}

#[tokio::test]
async fn a_known_comment_stays_with_its_item() {
    let (_folder, store) = new_store();
    compute(&store, 1, vec![summary("one"), row("f1", 1), row("f2", 2), row("f3", 3)]).await;
    store.shown(&run(1), REVIEW, &[comment("f1", "c1"), comment("summary", "c0")]).await.unwrap();
    // f1 has moved, f2 is new to the forge under a comment that was adopted, f3 is gone and was never shown.
    let given = vec![row("f1", 9), summary("two"), shown_as(row("f2", 2), "c2")];
    compute(&store, 2, given).await;
    let expected =
        [shown_as(row("f1", 9), "c1"), shown_as(summary("two"), "c0"), shown_as(row("f2", 2), "c2")];
    assert_eq!(rows(&store).await, expected);
    // The record knows better than the caller.
    compute(&store, 3, vec![shown_as(row("f1", 9), "stale")]).await;
    assert!(rows(&store).await.contains(&shown_as(row("f1", 9), "c1")));
    // Adopting another comment is an explicit word.
    store.shown(&run(3), REVIEW, &[comment("f1", "c9")]).await.unwrap();
    assert!(rows(&store).await.contains(&shown_as(row("f1", 9), "c9")));
}

#[tokio::test]
async fn a_row_that_is_shown_or_may_be_is_not_forgotten() {
    let (_folder, store) = new_store();
    compute(&store, 1, vec![row("shown", 1), row("sent", 2), row("planned", 3)]).await;
    store.shown(&run(1), REVIEW, &[comment("shown", "c1")]).await.unwrap();
    store.intend(&run(1), REVIEW, &intent("i1", NOW, &["sent"])).await.unwrap();
    compute(&store, 2, vec![summary("nothing left")]).await;
    let mut left = rows(&store).await;
    left.sort_by(|a, b| a.body.cmp(&b.body));
    assert_eq!(left, [row("sent", 2), shown_as(row("shown", 1), "c1"), summary("nothing left")]);
}

#[tokio::test]
async fn a_refused_place_stays_lowered_until_the_row_moves() {
    let (_folder, store) = new_store();
    compute(&store, 1, vec![row("f1", 1), row("f2", 2)]).await;
    store.intend(&run(1), REVIEW, &intent("i1", NOW, &["f1", "f2"])).await.unwrap();
    let id = IntentId::new("i1");
    store.withdraw(&run(1), REVIEW, &id, &[(item("f1"), AnchorKind::File)]).await.unwrap();
    let kind_of = |rows: &[Desired], id: &str| {
        rows.iter().find(|row| row.item == item(id)).and_then(|row| row.place.clone()).unwrap().0
    };
    for token in [1, 2] {
        if token == 2 {
            compute(&store, 2, vec![row("f1", 1), row("f2", 2)]).await;
        }
        let rows = rows(&store).await;
        assert_eq!(kind_of(&rows, "f1"), AnchorKind::File, "run {token}");
        assert_eq!(kind_of(&rows, "f2"), AnchorKind::Inline, "run {token}");
    }
    store.withdraw(&run(2), REVIEW, &id, &[(item("f1"), AnchorKind::Summary)]).await.unwrap();
    assert_eq!(kind_of(&rows(&store).await, "f1"), AnchorKind::Summary);
    compute(&store, 3, vec![row("f1", 7)]).await;
    assert_eq!(kind_of(&rows(&store).await, "f1"), AnchorKind::Inline, "another line may be tried");
}

#[tokio::test]
async fn an_intent_is_unanswered_until_each_item_is_shown_or_it_is_withdrawn() {
    let (_folder, store) = new_store();
    compute(&store, 1, vec![row("f1", 1), row("f2", 2)]).await;
    let (late, early) = (intent("i-a", NOW + 2, &["f2", "f1"]), intent("i-b", NOW + 1, &["f1", "summary"]));
    store.intend(&run(1), REVIEW, &late).await.unwrap();
    store.intend(&run(1), REVIEW, &early).await.unwrap();
    assert_eq!(store.unanswered(&key(), REVIEW).await.unwrap(), [early.clone(), late.clone()]);
    assert_eq!(store.unanswered(&key(), Producer::Converge).await.unwrap(), []);

    store.shown(&run(1), REVIEW, &[comment("f1", "c1")]).await.unwrap();
    let left = [intent("i-b", NOW + 1, &["summary"]), intent("i-a", NOW + 2, &["f2"])];
    assert_eq!(store.unanswered(&key(), REVIEW).await.unwrap(), left);
    store.shown(&run(1), REVIEW, &[comment("f2", "c2")]).await.unwrap();
    assert_eq!(store.unanswered(&key(), REVIEW).await.unwrap(), left[..1]);
    store.withdraw(&run(1), REVIEW, &early.id, &[]).await.unwrap();
    assert_eq!(store.unanswered(&key(), REVIEW).await.unwrap(), []);
    // Late repetitions bring nothing back.
    store.intend(&run(1), REVIEW, &late).await.unwrap();
    store.intend(&run(1), REVIEW, &early).await.unwrap();
    assert_eq!(store.unanswered(&key(), REVIEW).await.unwrap(), []);
}

#[tokio::test]
async fn unanswered_intents_survive_into_the_next_run_and_answered_ones_do_not() {
    let (_folder, store) = new_store();
    compute(&store, 1, vec![row("f1", 1), row("f2", 2)]).await;
    store.intend(&run(1), REVIEW, &intent("i1", NOW, &["f1"])).await.unwrap();
    store.intend(&run(1), REVIEW, &intent("i2", NOW, &["f2"])).await.unwrap();
    store.shown(&run(1), REVIEW, &[comment("f1", "c1")]).await.unwrap();
    store.begin(&run(2), &revision('a'), Millis(NOW)).await.unwrap();
    assert_eq!(store.unanswered(&key(), REVIEW).await.unwrap(), [intent("i2", NOW, &["f2"])]);
    let intents = super::dump(&store).iter().filter(|row| row.starts_with("intent:")).count();
    assert_eq!(intents, 1, "answered intents do not pile up");
}

#[tokio::test]
async fn producers_do_not_touch_each_others_rows() {
    let (_folder, store) = new_store();
    compute(&store, 1, vec![row("f1", 1)]).await;
    store.intend(&run(1), REVIEW, &intent("i1", NOW, &["f1"])).await.unwrap();
    let mut theirs = computed(&run(1), 'a', vec![row("f1", 5)]);
    theirs.producer = Producer::Converge;
    store.computed(&run(1), &theirs).await.unwrap();
    store.shown(&run(1), Producer::Converge, &[comment("f1", "c5")]).await.unwrap();
    assert_eq!(rows(&store).await, [row("f1", 1)]);
    assert_eq!(store.unanswered(&key(), REVIEW).await.unwrap().len(), 1);
}

#[tokio::test]
async fn only_another_status_is_set_again() {
    let (_folder, store) = new_store();
    compute(&store, 1, vec![]).await;
    let due = async || store.desired(&key(), REVIEW).await.unwrap().1;
    // Another status than the one that is wanted was set: that one is still due.
    store.status_set(&run(1), &status('c')).await.unwrap();
    assert_eq!(due().await, Some(status('a')));
    store.status_set(&run(1), &status('a')).await.unwrap();
    assert_eq!(due().await, None);
    compute(&store, 2, vec![]).await;
    assert_eq!(due().await, None, "the forge has it already");
    let mut next = computed(&run(2), 'c', vec![]);
    store.computed(&run(2), &next).await.unwrap();
    assert_eq!(due().await, Some(status('c')));
    next.status = None;
    store.computed(&run(2), &next).await.unwrap();
    assert_eq!(due().await, Some(status('c')), "who wants no status does not take away another's");
}
