//! Tests of runs: the fence for every write, repeated writes, and the state that a new run takes over from an
//! earlier run.

use truing_core::RepoPath;
use truing_core::finding::AnchorKind;
use truing_core::id::{CommentId, FencingToken, RunId, SlotKey, SlotVersion, UnixMillis};
use truing_core::outcome::ReviewOutcomeKind;
use truing_core::outcome::ReviewStep;
use truing_core::port::{RunReference, RunStart, RunStore, SlotStore, StoreError};
use truing_core::publish::CommentProducer;
use truing_core::run::{RunStage, StepCost};
use truing_store::Store;

use super::{
    NOW, computed, finding, item, key, new_store, outcome, published, record, revision, row, run, sha,
    status, summary,
};

/// The kinds of writes of a run.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Write {
    Begin,
    Computed,
    Announce,
    Shown,
    Lower,
    StatusSet,
    Ended,
    Published,
}

impl Write {
    /// All writes, in the order of a run that first ends without publishing and then publishes.
    const ALL: [Self; 8] = [
        Self::Begin,
        Self::Computed,
        Self::Announce,
        Self::Shown,
        Self::Lower,
        Self::StatusSet,
        Self::Ended,
        Self::Published,
    ];

    async fn write_as(self, run: &RunReference, store: &Store) -> Result<(), StoreError> {
        let producer = CommentProducer::Review;
        match self {
            Self::Begin => store.begin_run(run, &revision('a'), UnixMillis(NOW)).await.map(drop),
            Self::Computed => {
                let rows = vec![summary("sum"), row("f1", 1), row("f2", 2)];
                store.store_computed_review(run, &computed(run, 'a', rows)).await
            }
            Self::Announce => store.store_summary_and_status(run, producer, "sum", &status('a')).await,
            Self::Shown => store.store_comments(run, producer, &[(item("f1"), CommentId::new("c1"))]).await,
            Self::Lower => store.replace_anchors(run, producer, &[(item("f2"), AnchorKind::File)]).await,
            Self::StatusSet => store.mark_status_set(run, &status('a')).await,
            Self::Ended => {
                store.end_run(run, &outcome(ReviewOutcomeKind::Deferred), UnixMillis(NOW + 9)).await
            }
            Self::Published => store.mark_published(run, &record(run, 'a')).await,
        }
    }
}

#[tokio::test]
async fn every_write_of_a_run_that_is_not_the_newest_is_refused_and_changes_nothing() {
    for done in 0..=Write::ALL.len() {
        let (home, store) = new_store().await;
        Write::Begin.write_as(&run(3), &store).await.unwrap();
        store.begin_run(&run(5), &revision('a'), UnixMillis(NOW)).await.unwrap();
        for write in &Write::ALL[..done] {
            write.write_as(&run(5), &store).await.unwrap();
        }
        let before = home.dump();
        let impostor = RunReference { id: RunId::new("impostor"), ..run(5) };
        let strangers = [run(3), run(4), impostor, RunReference { token: FencingToken(4), ..run(5) }];
        for stranger in strangers {
            for write in Write::ALL {
                let refused = write.write_as(&stranger, &store).await;
                let fenced = StoreError::Fenced { key: key(), greatest_token: FencingToken(5) };
                assert_eq!(refused, Err(fenced), "{write:?} by {stranger:?} after {done} writes");
            }
        }
        // A token that is greater than the newest one, but has not begun a run, may only begin one.
        for write in Write::ALL.into_iter().filter(|write| *write != Write::Begin) {
            let refused = write.write_as(&run(9), &store).await;
            assert!(matches!(refused, Err(StoreError::Fenced { .. })), "{write:?}: {refused:?}");
        }
        assert_eq!(home.dump(), before, "after {done} writes");
    }
}

#[tokio::test]
async fn the_fence_is_each_keys_own_and_what_it_tells_leads_to_a_token_that_passes() {
    let (_home, store) = new_store().await;
    Write::Begin.write_as(&run(70), &store).await.unwrap();
    let other = RunReference { key: SlotKey::new("pr/github/1/8"), ..run(2) };
    Write::Begin.write_as(&other, &store).await.unwrap();
    // Simulates a store that has lost its token counter. After the counter is raised to the token in the
    // error, a new lease gets an accepted token.
    let Err(StoreError::Fenced { greatest_token: last, .. }) = Write::Begin.write_as(&run(3), &store).await
    else {
        panic!()
    };
    store.raise_version(SlotVersion(last.0)).await.unwrap();
    let token = store.fresh_token().await.unwrap();
    assert!(token > last);
    Write::Begin.write_as(&RunReference { token, ..run(3) }, &store).await.unwrap();
}

#[tokio::test]
async fn a_key_without_runs_is_fenced_too() {
    let (_home, store) = new_store().await;
    let refused = Write::Published.write_as(&run(4), &store).await;
    assert_eq!(refused, Err(StoreError::Fenced { key: key(), greatest_token: FencingToken(4) }));
}

#[tokio::test]
async fn a_fresh_token_is_greater_than_every_token_that_was_accepted() {
    let (_home, store) = new_store().await;
    Write::Begin.write_as(&run(41), &store).await.unwrap();
    let one = store.fresh_token().await.unwrap();
    let two = store.fresh_token().await.unwrap();
    assert!(FencingToken(41) < one && one < two);
}

#[tokio::test]
async fn every_write_repeated_changes_nothing() {
    let (home, store) = new_store().await;
    for (index, write) in Write::ALL.into_iter().enumerate() {
        write.write_as(&run(5), &store).await.unwrap();
        let before = home.dump();
        write.write_as(&run(5), &store).await.unwrap();
        assert_eq!(home.dump(), before, "{write:?} at once");
        // Earlier writes of the same run also have no effect if they are repeated.
        for earlier in &Write::ALL[..index] {
            earlier.write_as(&run(5), &store).await.unwrap();
            assert_eq!(home.dump(), before, "{earlier:?} after {write:?}");
        }
    }
}

#[tokio::test]
async fn what_was_computed_is_read_back_whole() {
    let (_home, store) = new_store().await;
    Write::Begin.write_as(&run(1), &store).await.unwrap();
    assert_eq!(store.findings(&key()).await.unwrap(), []);
    let rows = vec![summary("sum"), row("f2", 2), row("f1", 1)];
    store.store_computed_review(&run(1), &computed(&run(1), 'a', rows.clone())).await.unwrap();
    assert_eq!(store.findings(&key()).await.unwrap(), [finding("f2"), finding("f1")]);
    assert_eq!(
        store.desired_state(&key(), CommentProducer::Review).await.unwrap(),
        (rows, Some(status('a')))
    );
    assert_eq!(store.review_entries(&key(), 1).await.unwrap()[0].stage, RunStage::Computed);
    Write::StatusSet.write_as(&run(1), &store).await.unwrap();
    assert_eq!(store.desired_state(&key(), CommentProducer::Review).await.unwrap().1, None);
    assert_eq!(store.desired_state(&key(), CommentProducer::Mcp).await.unwrap().0, []);
    assert_eq!(store.findings(&SlotKey::new("pr/github/1/8")).await.unwrap(), []);
}

#[tokio::test]
async fn paths_that_are_not_unicode_survive() {
    let (_home, store) = new_store().await;
    Write::Begin.write_as(&run(1), &store).await.unwrap();
    let mut odd = finding("f1");
    odd.raw.location.path = RepoPath::from_bytes(b"caf\xe9 \"x\".py");
    odd.raw.snippet = "nul \0, quote \", \u{1F600}".into();
    let mut all = computed(&run(1), 'a', vec![]);
    all.findings = vec![odd.clone()];
    store.store_computed_review(&run(1), &all).await.unwrap();
    assert_eq!(store.findings(&key()).await.unwrap(), [odd]);
}

#[tokio::test]
async fn a_new_run_on_the_same_revision_only_has_to_publish() {
    let (_home, store) = new_store().await;
    Write::Begin.write_as(&run(1), &store).await.unwrap();
    Write::Computed.write_as(&run(1), &store).await.unwrap();
    // The run ends without publishing and records this outcome.
    Write::Ended.write_as(&run(1), &store).await.unwrap();
    let told = store.last_review_record(&key()).await.unwrap().unwrap();
    assert_eq!((told.detail.outcome.kind, told.turns()), (ReviewOutcomeKind::Deferred, 3));

    let known = Some(revision('a'));
    let mut computed = record(&run(1), 'a');
    computed.detail.stage = RunStage::Computed;
    let taken_over =
        RunStart { unpublished_review: Some(computed), last_computed: known.clone(), ..RunStart::default() };
    for token in [2, 2, 3] {
        let begun = store.begin_run(&run(token), &revision('a'), UnixMillis(NOW)).await.unwrap();
        assert_eq!(begun, taken_over, "token {token}");
        assert_eq!(store.review_entries(&key(), 1).await.unwrap()[0].stage, RunStage::Computed);
    }
    assert_eq!(store.findings(&key()).await.unwrap().len(), 2);
    assert_eq!(store.desired_state(&key(), CommentProducer::Review).await.unwrap().0.len(), 3);

    Write::Published.write_as(&run(3), &store).await.unwrap();
    let begun = store.begin_run(&run(4), &revision('a'), UnixMillis(NOW)).await.unwrap();
    let last = Some(published(&run(3), 'a'));
    let of_a = RunStart {
        last_published: known.clone(),
        last_computed: known,
        last_review: last,
        ..RunStart::default()
    };
    assert_eq!(begun, of_a);
    let begun = store.begin_run(&run(5), &revision('b'), UnixMillis(NOW)).await.unwrap();
    assert_eq!(begun, of_a);
    // The revision is again the one that was reviewed last. Each run on this revision gets this information,
    // even if a previous such run did not end.
    for token in [6, 7] {
        let begun = store.begin_run(&run(token), &revision('a'), UnixMillis(NOW)).await.unwrap();
        assert_eq!(begun, RunStart { returns_to_reviewed: true, ..of_a.clone() });
    }
    Write::Published.write_as(&run(7), &store).await.unwrap();
    let begun = store.begin_run(&run(8), &revision('a'), UnixMillis(NOW)).await.unwrap();
    let of_a = RunStart { last_review: Some(published(&run(7), 'a')), ..of_a };
    assert_eq!(begun, of_a);
    store.begin_run(&run(9), &revision('b'), UnixMillis(NOW)).await.unwrap();
    // A review that was computed but not published changes `last_computed`, but not `reviewed`.
    Write::Computed.write_as(&run(9), &store).await.unwrap();
    let begun = store.begin_run(&run(10), &revision('c'), UnixMillis(NOW)).await.unwrap();
    assert_eq!(begun, RunStart { last_computed: Some(revision('b')), ..of_a });
}

#[tokio::test]
async fn what_was_computed_for_another_revision_is_not_taken_over() {
    let mut other_base = revision('a');
    other_base.base = sha('e');
    for other in [revision('c'), other_base] {
        let (_home, store) = new_store().await;
        Write::Begin.write_as(&run(1), &store).await.unwrap();
        Write::Computed.write_as(&run(1), &store).await.unwrap();
        let begun = store.begin_run(&run(2), &other, UnixMillis(NOW)).await.unwrap();
        let known = || RunStart { last_computed: Some(revision('a')), ..RunStart::default() };
        assert_eq!(begun, known(), "{other:?}");
        // The revision is the first one again. The first computed review is still not taken over, because the
        // run in between may have changed the rows.
        let begun = store.begin_run(&run(3), &revision('a'), UnixMillis(NOW)).await.unwrap();
        assert_eq!(begun, known());
    }
}

#[tokio::test]
async fn the_outcome_of_a_published_run_is_final() {
    let (_home, store) = new_store().await;
    Write::Begin.write_as(&run(1), &store).await.unwrap();
    Write::Published.write_as(&run(1), &store).await.unwrap();
    let mut other = record(&run(1), 'a');
    other.add_step_cost(ReviewStep::Model, &StepCost { turns: 1, ..StepCost::<()>::default() });
    store.mark_published(&run(1), &other).await.unwrap();
    Write::Ended.write_as(&run(1), &store).await.unwrap();
    assert_eq!(store.last_review_record(&key()).await.unwrap(), Some(published(&run(1), 'a')));
}

#[tokio::test]
async fn a_run_that_begins_again_elsewhere_starts_over() {
    let (_home, store) = new_store().await;
    Write::Begin.write_as(&run(1), &store).await.unwrap();
    Write::Computed.write_as(&run(1), &store).await.unwrap();
    let begun = store.begin_run(&run(1), &revision('c'), UnixMillis(NOW)).await.unwrap();
    assert_eq!(begun, RunStart { last_computed: Some(revision('a')), ..RunStart::default() });
    let runs = store.review_entries(&key(), 9).await.unwrap();
    assert_eq!((runs.len(), runs[0].stage, &runs[0].revision), (1, RunStage::Prepared, &revision('c')));
}

#[tokio::test]
async fn the_revision_reviewed_is_the_last_that_was_published() {
    let (_home, store) = new_store().await;
    for (token, head) in [(1, 'a'), (2, 'c')] {
        store.begin_run(&run(token), &revision(head), UnixMillis(NOW)).await.unwrap();
        store.mark_published(&run(token), &record(&run(token), head)).await.unwrap();
    }
    store.begin_run(&run(3), &revision('d'), UnixMillis(NOW)).await.unwrap();
    store.end_run(&run(3), &outcome(ReviewOutcomeKind::Failed), UnixMillis(NOW)).await.unwrap();
    let begun = store.begin_run(&run(4), &revision('e'), UnixMillis(NOW)).await.unwrap();
    assert_eq!(begun.last_published, Some(revision('c')));
}

#[tokio::test]
async fn history_is_taken_from_fenced_out_runs_too() {
    let (_home, store) = new_store().await;
    Write::Begin.write_as(&run(1), &store).await.unwrap();
    Write::Begin.write_as(&run(2), &store).await.unwrap();
    let late = truing_core::port::HistoryEvent {
        at: UnixMillis(NOW),
        key: key(),
        run: Some(run(1).id),
        description: "stopped: a newer run holds the slot".into(),
    };
    store.append_history(std::slice::from_ref(&late)).await.unwrap();
    assert_eq!(store.events(&key(), 9).await.unwrap(), [late]);
}
