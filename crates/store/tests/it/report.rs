//! What `truing report` is told.

use truing_core::id::Millis;
use truing_core::ledger::{Ask, Known, Level, LevelKind, Purse, Reserved};
use truing_core::money::MicroUsd;
use truing_core::outcome::{OutcomeKind, ReviewDetail, ReviewRecord};
use truing_core::port::{Computed, Described, Ledger as _, Runs as _, StoreError};
use truing_core::run::Stage;
use truing_core::slot::Loop;
use truing_store::Ended;

use super::{NOW, computed, key, new_store, outcome, record, revision, run};

const DAY: i64 = 86_400_000;

#[tokio::test]
async fn ended_runs_are_counted_by_day_kind_and_reason_and_listed_newest_first() {
    let (_home, store) = new_store().await;
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
        store.ended_by_day(Loop::Review, Millis(0)).await.unwrap(),
        [
            row(day, "reviewed", "", 2, 80, 14),
            row(day + 1, "failed", "no forge", 1, 90, 0),
            row(day + 1, "reviewed", "", 1, 40, 7),
        ]
    );
    assert_eq!(store.ended_by_day(Loop::Review, Millis(NOW + DAY)).await.unwrap().len(), 2);

    let last = store.records::<ReviewDetail>(None, Millis(0), 2).await.unwrap();
    assert_eq!(last.iter().map(|record| &record.run).collect::<Vec<_>>(), [&run(4).id, &run(3).id]);
    let stages = (last[0].detail.stage, last[1].detail.stage);
    assert_eq!(stages, (Stage::Ended, Stage::Published));
    assert_eq!(last[0].detail.outcome, why);
}

#[tokio::test]
async fn a_damaged_row_hides_no_other() {
    let (home, store) = new_store().await;
    for token in 1..=5 {
        let run = run(token);
        store.begin(&run, &revision('a'), Millis(NOW)).await.unwrap();
        store.published(&run, &record(&run, 'a')).await.unwrap();
    }
    let damage = |token: u64, outcome: &str| {
        home.change(&format!("UPDATE run SET record = '{outcome}' WHERE token = {token}"));
    };
    damage(5, "{\"outcome\": ");
    damage(4, "{\"outcome\": {\"reason\": 7}}");
    damage(3, "{\"run\": \"r\", \"detail\": {\"outcome\": {\"kind\": \"reviewed\", \"reason\": 7}}}");
    let counted = store.ended_by_day(Loop::Review, Millis(0)).await.unwrap();
    let counted: Vec<_> = counted.iter().map(|row| (row.runs, row.cost)).collect();
    assert_eq!(counted, [(4, 28)], "what is JSON is counted without being read");
    assert_eq!(store.damaged(Loop::Review, Millis(0)).await.unwrap(), [run(5).id]);
    let last = store.records::<ReviewDetail>(None, Millis(0), 9).await.unwrap();
    assert_eq!(last.iter().map(|record| &record.run).collect::<Vec<_>>(), [&run(2).id, &run(1).id]);
    assert!(store.last_outcome(&key()).await.is_ok());
    assert_eq!(store.runs(&key(), 9).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_failed_attempt_is_told_with_what_it_cost_and_each_sum_once() {
    let (_home, store) = new_store().await;
    let mut why = outcome(OutcomeKind::Failed);
    why.reason = Some("no forge".into());
    let pay = async |token: u64, cost: u64| {
        let level = Level {
            kind: LevelKind::RepoDay,
            key: "r".into(),
            period: "2026-11-22".into(),
            limit: MicroUsd(900),
        };
        let purse = Purse { run: run(token).id, levels: vec![level] };
        let ask = Ask { least: MicroUsd(1), most: MicroUsd(cost), expires: Millis(NOW * 2) };
        let Reserved::Granted { id, .. } = store.reserve(&purse, &ask).await.unwrap() else { panic!() };
        assert_eq!(store.settle(id, MicroUsd(cost), Known::Metered).await.unwrap(), MicroUsd(cost));
    };
    let told = async || {
        let counted = store.ended_by_day(Loop::Review, Millis(0)).await.unwrap();
        counted.iter().map(|row| (row.kind.clone(), row.runs, row.cost)).collect::<Vec<_>>()
    };
    let kinds = |rows: &[(&str, u64, u64)]| {
        rows.iter().map(|(kind, runs, cost)| ((*kind).to_owned(), *runs, *cost)).collect::<Vec<_>>()
    };

    // The forge was not there: nobody knows of which commit it would have been.
    store.failed(&run(1), &why, Millis(NOW)).await.unwrap();
    store.failed(&run(1), &why, Millis(NOW)).await.unwrap();
    assert_eq!(told().await, kinds(&[("failed", 1, 0)]));
    assert_eq!(store.records::<ReviewDetail>(None, Millis(0), 1).await.unwrap()[0].detail.head, None);

    // A model was asked, and then something failed.
    store.begin(&run(2), &revision('a'), Millis(NOW)).await.unwrap();
    pay(2, 30).await;
    store.failed(&run(2), &why, Millis(NOW)).await.unwrap();
    assert_eq!(told().await, kinds(&[("failed", 2, 30)]));

    // Somebody else takes over what was computed, with what it cost, fails before it begins, and is followed.
    store.begin(&run(3), &revision('a'), Millis(NOW)).await.unwrap();
    let computed = computed(&run(3), 'a', vec![]);
    store.computed(&run(3), &computed).await.unwrap();
    store.failed(&run(3), &why, Millis(NOW)).await.unwrap();
    store.failed(&run(4), &why, Millis(NOW)).await.unwrap();
    assert_eq!(told().await, kinds(&[("failed", 4, 37)]), "what was computed has cost 7");
    let begun = store.begin(&run(5), &revision('a'), Millis(NOW)).await.unwrap();
    let record = begun.computed.expect("what was computed is not lost");
    store.computed(&run(5), &Computed { outcome: record.clone(), ..computed }).await.unwrap();
    let published = ReviewRecord { run: run(5).id, ended: Millis(NOW), ..record };
    store.published(&run(5), &published).await.unwrap();
    assert_eq!(told().await, kinds(&[("failed", 4, 30), ("reviewed", 1, 7)]));

    // Nobody tells of a run that was cut off, but the next.
    store.begin(&run(6), &revision('b'), Millis(NOW)).await.unwrap();
    pay(6, 500).await;
    store.begin(&run(7), &revision('c'), Millis(NOW)).await.unwrap();
    assert_eq!(told().await, kinds(&[("deferred", 1, 500), ("failed", 4, 30), ("reviewed", 1, 7)]));
    assert!(matches!(store.failed(&run(6), &why, Millis(NOW)).await, Err(StoreError::Fenced { .. })));
}

#[tokio::test]
async fn what_a_run_computed_that_told_nothing_is_told_once_by_the_run_that_takes_it_over() {
    let (_home, store) = new_store().await;
    store.begin(&run(1), &revision('a'), Millis(NOW)).await.unwrap();
    let level =
        Level { kind: LevelKind::Review, key: "r".into(), period: String::new(), limit: MicroUsd(900) };
    let purse = Purse { run: run(1).id, levels: vec![level] };
    let ask = Ask { least: MicroUsd(1), most: MicroUsd(7), expires: Millis(NOW * 2) };
    let Reserved::Granted { id, .. } = store.reserve(&purse, &ask).await.unwrap() else { panic!() };
    store.settle(id, MicroUsd(7), Known::Metered).await.unwrap();
    let computed = computed(&run(1), 'a', vec![]);
    store.computed(&run(1), &computed).await.unwrap();
    assert_eq!(store.unrecorded(Millis(0)).await.unwrap(), MicroUsd(7), "nobody has told it yet");

    // The forge refused a write and named a time: another lease goes on, with another run.
    let begun = store.begin(&run(2), &revision('a'), Millis(NOW)).await.unwrap();
    let record = begun.computed.expect("what was computed is not lost");
    store.computed(&run(2), &Computed { outcome: record.clone(), ..computed }).await.unwrap();
    assert_eq!(store.unrecorded(Millis(0)).await.unwrap(), MicroUsd(7), "it is told at the end");
    let published = ReviewRecord { run: run(2).id, ended: Millis(NOW), ..record };
    store.published(&run(2), &published).await.unwrap();
    assert_eq!(store.unrecorded(Millis(0)).await.unwrap(), MicroUsd(0));
    let counted = store.ended_by_day(Loop::Review, Millis(0)).await.unwrap();
    assert_eq!(counted.iter().map(|row| (row.runs, row.cost)).collect::<Vec<_>>(), [(1, 7)]);
}

/// Not more than a scan of what is asked for. Who looks at all for each takes hours.
#[tokio::test]
async fn a_hundred_thousand_runs_are_counted_at_once() {
    let (home, store) = new_store().await;
    store.begin(&run(1), &revision('a'), Millis(NOW)).await.unwrap();
    store.published(&run(1), &record(&run(1), 'a')).await.unwrap();
    home.change(
            "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
             INSERT INTO run (key, loop, token, id, stage, head, base, began, kept, ended, kind, cost, record)
             SELECT 'k' || (i % 5000), loop, i, 'r' || i, stage, head, base, began, kept + i, ended + i, kind, cost, record
             FROM n, run WHERE run.token = 1",
        );
    let counted: u64 =
        store.ended_by_day(Loop::Review, Millis(0)).await.unwrap().iter().map(|row| row.runs).sum();
    let last = store.records::<ReviewDetail>(None, Millis(0), 100).await.unwrap().len();
    assert_eq!((counted, last), (100_000, 100));
}
