//! Tests of desired comments and of pending effects across runs. A comment that may exist is never forgotten,
//! and a rejected anchor is not used again unless the row moves.

use truing_core::finding::AnchorKind;
use truing_core::id::{CommentId, FencingToken, UnixMillis};
use truing_core::port::{
    EffectEntry, EffectEntryChange, EffectEntryState, EffectLog as _, EffectOwner, RunStore,
};
use truing_core::publish::{CommentProducer, CommentSubject, DesiredComment};
use truing_store::Store;

use super::{NOW, computed, item, key, new_store, revision, row, run, status, summary};

const REVIEW: CommentProducer = CommentProducer::Review;

/// Begins a run with this token, and stores these rows as its computed review.
async fn compute(store: &Store, token: u64, rows: Vec<DesiredComment>) {
    store.begin_run(&run(token), &revision('a'), UnixMillis(NOW)).await.unwrap();
    store.store_computed_review(&run(token), &computed(&run(token), 'a', rows)).await.unwrap();
}

async fn rows(store: &Store) -> Vec<DesiredComment> {
    store.desired_state(&key(), REVIEW).await.unwrap().0
}

fn writer() -> EffectOwner {
    EffectOwner { key: key(), producer: REVIEW, token: Some(FencingToken(1)) }
}

/// Records an open effect for a comment on each of these items, as a run does before it posts the comments.
async fn announce(store: &Store, items: &[&str]) {
    let new = EffectEntry {
        content_digest: "1".into(),
        last_event_at: UnixMillis(NOW),
        state: EffectEntryState::Open { lost_responses: 0 },
    };
    let change = |id: &&str| EffectEntryChange {
        topic: item(id).topic(),
        expected_entry: None,
        new_entry: Some(new.clone()),
    };
    let changes: Vec<EffectEntryChange> = items.iter().map(change).collect();
    assert!(store.compare_and_set_entries(&writer(), &changes).await.unwrap());
}

async fn pending_items(store: &Store) -> Vec<CommentSubject> {
    let open = store.open_entries(&writer()).await.unwrap();
    open.iter().filter_map(|(topic, _)| CommentSubject::from_topic(topic)).collect()
}

fn row_with_comment(row: DesiredComment, comment: &str) -> DesiredComment {
    DesiredComment { comment: Some(CommentId::new(comment)), ..row }
}

fn comment(item_id: &str, id: &str) -> (CommentSubject, CommentId) {
    (item(item_id), CommentId::new(id))
}

#[tokio::test]
async fn a_known_comment_stays_with_its_item() {
    let (_home, store) = new_store().await;
    compute(&store, 1, vec![summary("one"), row("f1", 1), row("f2", 2), row("f3", 3)]).await;
    store.store_comments(&run(1), REVIEW, &[comment("f1", "c1"), comment("summary", "c0")]).await.unwrap();
    // In the second run, f1 is on another line, f2 has the id of an adopted comment, and f3 is missing; f3
    // never had a comment.
    let given = vec![row("f1", 9), summary("two"), row_with_comment(row("f2", 2), "c2")];
    compute(&store, 2, given).await;
    let expected = [
        row_with_comment(row("f1", 9), "c1"),
        row_with_comment(summary("two"), "c0"),
        row_with_comment(row("f2", 2), "c2"),
    ];
    assert_eq!(rows(&store).await, expected);
    // The recorded comment takes precedence over the comment in the new row.
    compute(&store, 3, vec![row_with_comment(row("f1", 9), "stale")]).await;
    assert!(rows(&store).await.contains(&row_with_comment(row("f1", 9), "c1")));
    // A call of `store_comments` replaces the recorded comment.
    store.store_comments(&run(3), REVIEW, &[comment("f1", "c9")]).await.unwrap();
    assert!(rows(&store).await.contains(&row_with_comment(row("f1", 9), "c9")));
}

#[tokio::test]
async fn a_row_that_is_shown_or_may_be_is_not_forgotten() {
    let (_home, store) = new_store().await;
    compute(&store, 1, vec![row("shown", 1), row("sent", 2), row("planned", 3)]).await;
    store.store_comments(&run(1), REVIEW, &[comment("shown", "c1")]).await.unwrap();
    announce(&store, &["sent"]).await;
    compute(&store, 2, vec![summary("nothing left")]).await;
    let mut left = rows(&store).await;
    left.sort_by(|a, b| a.body.cmp(&b.body));
    assert_eq!(left, [row("sent", 2), row_with_comment(row("shown", 1), "c1"), summary("nothing left")]);
}

#[tokio::test]
async fn a_refused_place_stays_lowered_until_the_row_moves() {
    let (_home, store) = new_store().await;
    compute(&store, 1, vec![row("f1", 1), row("f2", 2)]).await;
    store.replace_anchors(&run(1), REVIEW, &[(item("f1"), AnchorKind::File)]).await.unwrap();
    let kind_of = |rows: &[DesiredComment], id: &str| {
        rows.iter().find(|row| row.subject == item(id)).and_then(|row| row.location.clone()).unwrap().0
    };
    for token in [1, 2] {
        if token == 2 {
            compute(&store, 2, vec![row("f1", 1), row("f2", 2)]).await;
        }
        let rows = rows(&store).await;
        assert_eq!(kind_of(&rows, "f1"), AnchorKind::File, "run {token}");
        assert_eq!(kind_of(&rows, "f2"), AnchorKind::Inline, "run {token}");
    }
    store.replace_anchors(&run(2), REVIEW, &[(item("f1"), AnchorKind::Summary)]).await.unwrap();
    assert_eq!(kind_of(&rows(&store).await, "f1"), AnchorKind::Summary);
    compute(&store, 3, vec![row("f1", 7)]).await;
    assert_eq!(kind_of(&rows(&store).await, "f1"), AnchorKind::Inline, "another line may be tried");
}

#[tokio::test]
async fn a_comment_that_was_announced_is_pending_until_it_is_shown() {
    let (_home, store) = new_store().await;
    compute(&store, 1, vec![row("f1", 1), row("f2", 2)]).await;
    announce(&store, &["f2", "f1"]).await;
    assert_eq!(pending_items(&store).await, [item("f1"), item("f2")]);
    store.store_comments(&run(1), REVIEW, &[comment("f1", "c1")]).await.unwrap();
    assert_eq!(pending_items(&store).await, [item("f2")]);
    let known = store.entries(&writer(), &[item("f1").topic()]).await.unwrap().remove(0).unwrap();
    assert_eq!(known.state, EffectEntryState::Done { comment: Some(CommentId::new("c1")) });
    // Effects that the first run left open are still open for the next run.
    store.begin_run(&run(2), &revision('a'), UnixMillis(NOW)).await.unwrap();
    assert_eq!(pending_items(&store).await, [item("f2")]);
}

#[tokio::test]
async fn producers_do_not_touch_each_others_rows() {
    let (_home, store) = new_store().await;
    compute(&store, 1, vec![row("f1", 1)]).await;
    announce(&store, &["f1"]).await;
    let mut theirs = computed(&run(1), 'a', vec![row("f1", 5)]);
    theirs.producer = CommentProducer::Converge;
    store.store_computed_review(&run(1), &theirs).await.unwrap();
    store.store_comments(&run(1), CommentProducer::Converge, &[comment("f1", "c5")]).await.unwrap();
    assert_eq!(rows(&store).await, [row("f1", 1)]);
    assert_eq!(pending_items(&store).await, [item("f1")]);
}

#[tokio::test]
async fn only_another_status_is_set_again() {
    let (_home, store) = new_store().await;
    compute(&store, 1, vec![]).await;
    let due = async || store.desired_state(&key(), REVIEW).await.unwrap().1;
    // The status at the forge differs from the desired status, so the desired status still has to be set.
    store.mark_status_set(&run(1), &status('c')).await.unwrap();
    assert_eq!(due().await, Some(status('a')));
    store.mark_status_set(&run(1), &status('a')).await.unwrap();
    assert_eq!(due().await, None);
    compute(&store, 2, vec![]).await;
    assert_eq!(due().await, None, "the forge has it already");
    let mut next = computed(&run(2), 'c', vec![]);
    store.store_computed_review(&run(2), &next).await.unwrap();
    assert_eq!(due().await, Some(status('c')));
    next.status = None;
    store.store_computed_review(&run(2), &next).await.unwrap();
    assert_eq!(due().await, Some(status('c')), "who wants no status does not take away another's");
}
