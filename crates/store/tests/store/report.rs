//! What `truing report` is told.

use std::time::Instant;

use truing_core::id::Millis;
use truing_core::outcome::OutcomeKind;
use truing_core::port::{Described, Records as _};
use truing_store::{Ended, Stage};

use super::{NOW, key, new_store, outcome, record, revision, run};

const DAY: i64 = 86_400_000;

#[tokio::test]
async fn ended_runs_are_counted_by_day_kind_and_reason_and_listed_newest_first() {
    let (_folder, store) = new_store();
    let name = Described { name: "a/b#7".into(), url: "https://example.com/7".into(), head: None };
    store.describe(&[(key(), name)]).await.unwrap();
    for (token, day) in [(1, 0), (2, 0), (3, 1)] {
        let run = run(token);
        store.begin(&run, &revision('a'), Millis(NOW + day * DAY)).await.unwrap();
        let mut ended = record(&run, 'a');
        ended.ended = Millis(NOW + day * DAY + 40);
        store.published(&run, &ended).await.unwrap();
    }
    let failed = run(4);
    store.begin(&failed, &revision('c'), Millis(NOW + DAY)).await.unwrap();
    let mut why = outcome(OutcomeKind::Failed);
    why.reason = Some("no forge".into());
    store.ended(&failed, &why, Millis(NOW + DAY + 90)).await.unwrap();
    store.begin(&run(5), &revision('d'), Millis(NOW + DAY)).await.unwrap();

    let day = NOW / DAY;
    let row = |day, kind: &str, reason: &str, runs, ms, cost| Ended {
        day,
        kind: kind.into(),
        reason: reason.into(),
        runs,
        ms,
        cost,
    };
    assert_eq!(
        store.ended_by_day(Millis(0)).await.unwrap(),
        [
            row(day, "reviewed", "", 2, 80, 14),
            row(day + 1, "failed", "no forge", 1, 90, 0),
            row(day + 1, "reviewed", "", 1, 40, 7),
        ]
    );
    assert_eq!(store.ended_by_day(Millis(NOW + DAY)).await.unwrap().len(), 2);

    let last = store.last_ended(Millis(0), 2).await.unwrap();
    assert_eq!(last.iter().map(|run| run.token.0).collect::<Vec<_>>(), [4, 3]);
    assert_eq!((last[0].stage, last[1].stage), (Stage::Ended, Stage::Published));
    assert_eq!(last[1].described, Some(("a/b#7".into(), "https://example.com/7".into())));
    assert_eq!(last[0].record.outcome, why);
}

/// Not more than a scan of what is asked for: a bound far above what it takes, so that a busy machine passes.
#[tokio::test]
async fn a_hundred_thousand_runs_are_counted_at_once() {
    let (_folder, store) = new_store();
    store.begin(&run(1), &revision('a'), Millis(NOW)).await.unwrap();
    store.published(&run(1), &record(&run(1), 'a')).await.unwrap();
    rusqlite::Connection::open(store.path())
        .unwrap()
        .execute_batch(
            "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
             INSERT INTO run (key, token, id, stage, head, base, began, computed, outcome, ended)
             SELECT 'k' || (i % 5000), i, 'r' || i, stage, head, base, began, NULL, outcome, ended + i
             FROM n, run WHERE run.token = 1",
        )
        .unwrap();
    let began = Instant::now();
    let counted: u64 = store.ended_by_day(Millis(0)).await.unwrap().iter().map(|row| row.runs).sum();
    let last = store.last_ended(Millis(0), 100).await.unwrap().len();
    let took = began.elapsed();
    assert_eq!((counted, last), (100_000, 100));
    assert!(took.as_secs() < 20, "{took:?}");
    println!("{took:?}");
}
