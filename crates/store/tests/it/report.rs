//! Tests of the queries for `truing report`.

use truing_core::finding::{Finding, FindingSource, FindingStatus};
use truing_core::id::{CommentId, FencingToken, SlotKey, UnixMillis};
use truing_core::ledger::{
    BudgetLevel, BudgetLevelKind, CostBasis, ReservationOutcome, ReservationRequest, RunBudget,
};
use truing_core::money::MicroUsd;
use truing_core::outcome::{ReviewDetail, ReviewOutcomeKind, ReviewRecord};
use truing_core::port::{
    ComputedReview, EffectEntry, EffectEntryChange, EffectEntryState, EffectLog as _, EffectOwner,
    Ledger as _, RunReference, RunStore as _, SlotDescription, StoreError,
};
use truing_core::publish::{CommentProducer, CommentSubject, DesiredComment};
use truing_core::run::RunStage;
use truing_core::slot::LoopKind;
use truing_store::{FindingCount, KeySpend, RunEndCount, Store};

use super::{NOW, computed, finding, key, new_store, outcome, record, revision, row, run};

const DAY: i64 = 86_400_000;

#[tokio::test]
async fn ended_runs_are_counted_by_day_kind_and_reason_and_listed_newest_first() {
    let (_home, store) = new_store().await;
    let name = SlotDescription { name: "a/b#7".into(), url: "https://example.com/7".into(), head: None };
    store.store_descriptions(&[(key(), name)]).await.unwrap();
    for (token, day) in [(1, 0), (2, 0), (3, 1)] {
        let run = run(token);
        store.begin_run(&run, &revision('a'), UnixMillis(NOW + day * DAY)).await.unwrap();
        let mut ended = record(&run, 'a');
        ended.ended_at = UnixMillis(NOW + day * DAY + 40);
        store.mark_published(&run, &ended).await.unwrap();
    }
    let failed = run(4);
    store.begin_run(&failed, &revision('c'), UnixMillis(NOW + DAY)).await.unwrap();
    let mut why = outcome(ReviewOutcomeKind::Failed);
    why.reason = Some("no forge".into());
    store.end_run(&failed, &why, UnixMillis(NOW + DAY + 90)).await.unwrap();
    store.begin_run(&run(5), &revision('d'), UnixMillis(NOW + DAY)).await.unwrap();

    let day = NOW / DAY;
    let ended = |day, kind: &str, reason: &str, runs, ms, cost| RunEndCount {
        utc_day: day,
        kind: kind.into(),
        reason: reason.into(),
        runs,
        total_duration_ms: ms,
        cost_micro_usd: cost,
        is_local: false,
    };
    assert_eq!(
        store.run_ends_by_day(LoopKind::Review, UnixMillis(0)).await.unwrap(),
        [
            ended(day, "reviewed", "", 2, 80, 14),
            ended(day + 1, "failed", "no forge", 1, 90, 0),
            ended(day + 1, "reviewed", "", 1, 40, 7),
        ]
    );
    assert_eq!(store.run_ends_by_day(LoopKind::Review, UnixMillis(NOW + DAY)).await.unwrap().len(), 2);

    let last = store.records::<ReviewDetail>(None, UnixMillis(0), 2).await.unwrap();
    assert_eq!(last.iter().map(|record| &record.run).collect::<Vec<_>>(), [&run(4).id, &run(3).id]);
    let stages = (last[0].detail.stage, last[1].detail.stage);
    assert_eq!(stages, (RunStage::EndedUnpublished, RunStage::Published));
    assert_eq!(last[0].detail.outcome, why);
}

#[tokio::test]
async fn a_damaged_row_hides_no_other() {
    let (home, store) = new_store().await;
    for token in 1..=5 {
        let run = run(token);
        store.begin_run(&run, &revision('a'), UnixMillis(NOW)).await.unwrap();
        store.mark_published(&run, &record(&run, 'a')).await.unwrap();
    }
    let damage = |token: u64, outcome: &str| {
        home.change_rows(&format!("UPDATE run SET record = '{outcome}' WHERE token = {token}"));
    };
    damage(5, "{\"outcome\": ");
    damage(4, "{\"outcome\": {\"reason\": 7}}");
    damage(3, "{\"run\": \"r\", \"detail\": {\"outcome\": {\"kind\": \"reviewed\", \"reason\": 7}}}");
    let counted = store.run_ends_by_day(LoopKind::Review, UnixMillis(0)).await.unwrap();
    let counted: Vec<_> = counted.iter().map(|row| (row.runs, row.cost_micro_usd)).collect();
    assert_eq!(counted, [(4, 28)], "what is JSON is counted without being read");
    assert_eq!(store.unreadable_ended_runs(LoopKind::Review, UnixMillis(0)).await.unwrap(), [run(5).id]);
    let last = store.records::<ReviewDetail>(None, UnixMillis(0), 9).await.unwrap();
    assert_eq!(last.iter().map(|record| &record.run).collect::<Vec<_>>(), [&run(2).id, &run(1).id]);
    assert!(store.last_review_record(&key()).await.is_ok());
    assert_eq!(store.review_entries(&key(), 9).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_failed_attempt_is_told_with_what_it_cost_and_each_sum_once() {
    let (_home, store) = new_store().await;
    let mut reason = outcome(ReviewOutcomeKind::Failed);
    reason.reason = Some("no forge".into());
    let pay = async |token: u64, cost: u64| {
        let level = BudgetLevel {
            kind: BudgetLevelKind::RepoDay,
            key: "r".into(),
            period: "2026-11-22".into(),
            limit: MicroUsd(900),
        };
        let budget = RunBudget { run: run(token).id, levels: vec![level] };
        let ask = ReservationRequest {
            min_amount: MicroUsd(1),
            max_amount: MicroUsd(cost),
            expires: UnixMillis(NOW * 2),
        };
        let ReservationOutcome::Granted { id, .. } = store.reserve(&budget, &ask).await.unwrap() else {
            panic!()
        };
        assert_eq!(
            store.settle_reservation(id, MicroUsd(cost), CostBasis::Metered).await.unwrap(),
            MicroUsd(cost)
        );
    };
    let told = async || {
        let counted = store.run_ends_by_day(LoopKind::Review, UnixMillis(0)).await.unwrap();
        counted.iter().map(|row| (row.kind.clone(), row.runs, row.cost_micro_usd)).collect::<Vec<_>>()
    };
    let kinds = |rows: &[(&str, u64, u64)]| {
        rows.iter().map(|(kind, runs, cost)| ((*kind).to_owned(), *runs, *cost)).collect::<Vec<_>>()
    };

    // The run failed before it knew the commit, so the record contains no head.
    store.mark_failed(&run(1), &reason, UnixMillis(NOW)).await.unwrap();
    store.mark_failed(&run(1), &reason, UnixMillis(NOW)).await.unwrap();
    assert_eq!(told().await, kinds(&[("failed", 1, 0)]));
    assert_eq!(store.records::<ReviewDetail>(None, UnixMillis(0), 1).await.unwrap()[0].detail.head, None);

    // The run paid for a model before it failed.
    store.begin_run(&run(2), &revision('a'), UnixMillis(NOW)).await.unwrap();
    pay(2, 30).await;
    store.mark_failed(&run(2), &reason, UnixMillis(NOW)).await.unwrap();
    assert_eq!(told().await, kinds(&[("failed", 2, 30)]));

    // One run fails after it has computed a review, and the next run fails before it begins. A further run
    // then takes over the computed review with its cost.
    store.begin_run(&run(3), &revision('a'), UnixMillis(NOW)).await.unwrap();
    let computed = computed(&run(3), 'a', vec![]);
    store.store_computed_review(&run(3), &computed).await.unwrap();
    store.mark_failed(&run(3), &reason, UnixMillis(NOW)).await.unwrap();
    store.mark_failed(&run(4), &reason, UnixMillis(NOW)).await.unwrap();
    assert_eq!(told().await, kinds(&[("failed", 4, 37)]), "what was computed has cost 7");
    let begun = store.begin_run(&run(5), &revision('a'), UnixMillis(NOW)).await.unwrap();
    let record = begun.unpublished_review.expect("what was computed is not lost");
    store
        .store_computed_review(&run(5), &ComputedReview { record: record.clone(), ..computed })
        .await
        .unwrap();
    let published = ReviewRecord { run: run(5).id, ended_at: UnixMillis(NOW), ..record };
    store.mark_published(&run(5), &published).await.unwrap();
    assert_eq!(told().await, kinds(&[("failed", 4, 30), ("reviewed", 1, 7)]));

    // A run that never ended is recorded when the next run begins.
    store.begin_run(&run(6), &revision('b'), UnixMillis(NOW)).await.unwrap();
    pay(6, 500).await;
    store.begin_run(&run(7), &revision('c'), UnixMillis(NOW)).await.unwrap();
    assert_eq!(told().await, kinds(&[("deferred", 1, 500), ("failed", 4, 30), ("reviewed", 1, 7)]));
    assert!(matches!(
        store.mark_failed(&run(6), &reason, UnixMillis(NOW)).await,
        Err(StoreError::Fenced { .. })
    ));
}

#[tokio::test]
async fn what_a_run_computed_that_told_nothing_is_told_once_by_the_run_that_takes_it_over() {
    let (_home, store) = new_store().await;
    store.begin_run(&run(1), &revision('a'), UnixMillis(NOW)).await.unwrap();
    let level = BudgetLevel {
        kind: BudgetLevelKind::Review,
        key: "r".into(),
        period: String::new(),
        limit: MicroUsd(900),
    };
    let budget = RunBudget { run: run(1).id, levels: vec![level] };
    let ask =
        ReservationRequest { min_amount: MicroUsd(1), max_amount: MicroUsd(7), expires: UnixMillis(NOW * 2) };
    let ReservationOutcome::Granted { id, .. } = store.reserve(&budget, &ask).await.unwrap() else {
        panic!()
    };
    store.settle_reservation(id, MicroUsd(7), CostBasis::Metered).await.unwrap();
    let computed = computed(&run(1), 'a', vec![]);
    store.store_computed_review(&run(1), &computed).await.unwrap();
    assert_eq!(store.unrecorded_cost(UnixMillis(0)).await.unwrap(), MicroUsd(7), "nobody has told it yet");
    let spend = KeySpend { key: "r".into(), loop_kind: Some(LoopKind::Review), settled_cost: MicroUsd(7) };
    assert_eq!(store.spent_since(UnixMillis(0)).await.unwrap(), [spend]);
    assert_eq!(store.spent_since(UnixMillis(NOW * 3)).await.unwrap(), []);

    // The first run did not publish. A second run with another lease continues from the computed review.
    let begun = store.begin_run(&run(2), &revision('a'), UnixMillis(NOW)).await.unwrap();
    let record = begun.unpublished_review.expect("what was computed is not lost");
    store
        .store_computed_review(&run(2), &ComputedReview { record: record.clone(), ..computed })
        .await
        .unwrap();
    assert_eq!(store.unrecorded_cost(UnixMillis(0)).await.unwrap(), MicroUsd(7), "it is told at the end");
    let published = ReviewRecord { run: run(2).id, ended_at: UnixMillis(NOW), ..record };
    store.mark_published(&run(2), &published).await.unwrap();
    assert_eq!(store.unrecorded_cost(UnixMillis(0)).await.unwrap(), MicroUsd(0));
    let counted = store.run_ends_by_day(LoopKind::Review, UnixMillis(0)).await.unwrap();
    assert_eq!(counted.iter().map(|row| (row.runs, row.cost_micro_usd)).collect::<Vec<_>>(), [(1, 7)]);
}

/// The query must scan the runs only once; a scan for each row would take hours.
#[tokio::test]
async fn a_hundred_thousand_runs_are_counted_at_once() {
    let (home, store) = new_store().await;
    store.begin_run(&run(1), &revision('a'), UnixMillis(NOW)).await.unwrap();
    store.mark_published(&run(1), &record(&run(1), 'a')).await.unwrap();
    home.change_rows(
        "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
             INSERT INTO run (key, loop, token, id, stage, head, base, began, kept, ended, kind, cost, record)
             SELECT 'k' || (i % 5000), loop, i, 'r' || i, stage, head, base, began, kept + i, ended + i, \
             kind, cost, record
             FROM n, run WHERE run.token = 1",
    );
    let counted: u64 = store
        .run_ends_by_day(LoopKind::Review, UnixMillis(0))
        .await
        .unwrap()
        .iter()
        .map(|row| row.runs)
        .sum();
    let last = store.records::<ReviewDetail>(None, UnixMillis(0), 100).await.unwrap().len();
    assert_eq!((counted, last), (100_000, 100));
}

/// Stores a review with these findings. Stores a comment on the first finding.
async fn store_review(
    store: &Store,
    run: &RunReference,
    began: i64,
    findings: Vec<Finding>,
    model: Option<&str>,
) {
    store.begin_run(run, &revision('a'), UnixMillis(began)).await.unwrap();
    let rows: Vec<DesiredComment> = findings.iter().map(|finding| row(finding.id.as_str(), 3)).collect();
    let first: Option<CommentSubject> = rows.first().map(|row| row.subject.clone());
    let outcome = ReviewRecord { model: model.map(ToOwned::to_owned), ..record(run, 'a') };
    let computed = ComputedReview { findings, record: outcome.clone(), ..computed(run, 'a', rows) };
    store.store_computed_review(run, &computed).await.unwrap();
    if let Some(item) = first {
        let writer =
            EffectOwner { key: run.key.clone(), producer: CommentProducer::Review, token: Some(run.token) };
        let state = EffectEntryState::Open { lost_responses: 0 };
        let new = Some(EffectEntry {
            content_digest: String::new(),
            last_event_at: UnixMillis(began + 900),
            state,
        });
        let announced = EffectEntryChange { topic: item.topic(), expected_entry: None, new_entry: new };
        assert!(store.compare_and_set_entries(&writer, &[announced]).await.unwrap());
        let comment = CommentId::new(format!("c{}", run.token.0));
        store.store_comments(run, CommentProducer::Review, &[(item, comment)]).await.unwrap();
    }
    store.mark_published(run, &outcome).await.unwrap();
}

#[tokio::test]
async fn findings_of_what_was_reviewed_are_counted_by_rule_status_repository_and_model() {
    let (home, store) = new_store().await;
    let of = |rule: &str, source: FindingSource, status: FindingStatus, id: &str| {
        let mut finding = finding(id);
        (finding.raw.rule, finding.raw.source, finding.status) = (rule.into(), source, status);
        finding
    };
    let on = |key: &str, token: u64| RunReference { key: SlotKey::new(key), ..run(token) };
    let all = vec![
        of("core/x", FindingSource::Rule, FindingStatus::Open, "f1"),
        of("core/x", FindingSource::Rule, FindingStatus::Open, "f2"),
        of("ruff/E501", FindingSource::Tool, FindingStatus::Dismissed("no".into()), "f3"),
        of("agent/f", FindingSource::Agent, FindingStatus::Suppressed("so".into()), "f4"),
    ];
    store_review(&store, &on("pr/github/1/7", 1), NOW, all, Some("m-1")).await;
    let more = vec![of("core/x", FindingSource::Rule, FindingStatus::Open, "f5")];
    store_review(&store, &on("pr/github/1/12", 2), NOW, more, None).await;
    let mut local = of("agent/f", FindingSource::Agent, FindingStatus::Fixed(revision('a').head), "f6");
    local.raw.specialists = ["security", "tests"].map(str::to_owned).into();
    let local = vec![local];
    store_review(&store, &on("local/tool2", 3), NOW, local, Some("m-2")).await;
    // Damaged rows do not count.
    home.change_rows(
        "INSERT INTO finding (key, id, position, body) VALUES ('pr/github/1/7', 'bad', 9, '{bad')",
    );

    let told = |rows: Vec<FindingCount>| -> Vec<String> {
        let words = |row: FindingCount| {
            let model = row.model.unwrap_or_default();
            let counts = format!("{} {}", row.findings, row.posted);
            let specialists = row.specialists.join("+");
            format!(
                "{} {} {} {} {model} {specialists} {counts}",
                row.repository, row.rule, row.source, row.status
            )
        };
        rows.into_iter().map(words).collect()
    };
    assert_eq!(
        told(store.finding_counts(UnixMillis(0)).await.unwrap()),
        [
            "local/tool2 agent/f agent fixed m-2 security+tests 1 1",
            "pr/github/1/ agent/f agent suppressed m-1  1 0",
            "pr/github/1/ core/x rule open   3 2",
            "pr/github/1/ ruff/E501 tool dismissed   1 0",
        ]
    );
    assert_eq!(store.finding_counts(UnixMillis(NOW + DAY)).await.unwrap(), []);
    home.change_rows(
        "INSERT INTO dismissal (key, finding, version, body)
         VALUES ('pr/github/1/7', 'f3', 1, '{\"retraction\":\"unanswered\"}'), ('pr/github/1/7', 'f1', 1, '{bad')",
    );
    let counts = told(store.finding_counts(UnixMillis(0)).await.unwrap());
    assert!(counts.contains(&"pr/github/1/ ruff/E501 tool retracted   1 0".to_owned()), "{counts:?}");
    assert_eq!(counts.len(), 4);
    let ended = store.run_ends_by_day(LoopKind::Review, UnixMillis(0)).await.unwrap();
    assert_eq!(ended.iter().map(|row| (row.is_local, row.runs)).collect::<Vec<_>>(), [(false, 2), (true, 1)]);
}

#[tokio::test]
async fn the_time_to_a_first_comment_is_from_the_first_review_of_a_head() {
    let (_home, store) = new_store().await;
    store_review(&store, &run(1), NOW, vec![finding("f1")], None).await;
    // The second review is of the same head. For each head, only the delay from the first review to the first
    // comment counts.
    store_review(&store, &run(2), NOW + 5_000, vec![finding("f2")], None).await;
    assert_eq!(store.first_comment_delays(UnixMillis(0)).await.unwrap(), [900]);
    assert_eq!(store.first_comment_delays(UnixMillis(NOW + 1)).await.unwrap(), [] as [u64; 0]);
}

#[tokio::test]
async fn a_review_that_is_restated_is_no_other_run_and_keeps_its_record() {
    let (_home, store) = new_store().await;
    assert_eq!(store.take_over_review(&key(), FencingToken(1), UnixMillis(NOW)).await.unwrap(), None);
    store.begin_run(&run(1), &revision('a'), UnixMillis(NOW)).await.unwrap();
    let computed = computed(&run(1), 'a', vec![]);
    store.store_computed_review(&run(1), &computed).await.unwrap();
    let published = ReviewRecord { ended_at: UnixMillis(NOW), ..computed.record.clone() };
    store.mark_published(&run(1), &published).await.unwrap();
    let told = async || {
        (
            store.run_ends_by_day(LoopKind::Review, UnixMillis(0)).await.unwrap(),
            store.review_entries(&key(), 9).await.unwrap().len(),
        )
    };
    let before = told().await;
    // A newer run takes over the review, so this run can no longer write.
    store.begin_run(&run(2), &revision('b'), UnixMillis(NOW)).await.unwrap();

    assert_eq!(
        store.take_over_review(&key(), FencingToken(3), UnixMillis(NOW)).await.unwrap(),
        Some(run(1).id)
    );
    let again = RunReference { token: FencingToken(3), ..run(1) };
    let begun = store.begin_run(&again, &revision('a'), UnixMillis(NOW)).await.unwrap();
    assert_eq!(
        begun.last_review.map(|record| (record.run, record.ended_at)),
        Some((run(1).id, UnixMillis(NOW)))
    );
    store
        .replace_computed_review(&again, &ComputedReview { findings: Vec::new(), ..computed.clone() })
        .await
        .unwrap();
    assert_eq!(store.findings(&key()).await.unwrap(), []);
    assert_eq!(told().await.0, before.0);
    assert_eq!(told().await.1, before.1 + 1, "the run that was under way");
    assert!(matches!(store.store_computed_review(&run(2), &computed).await, Err(StoreError::Fenced { .. })));
    assert!(matches!(
        store.take_over_review(&key(), FencingToken(3), UnixMillis(NOW)).await,
        Err(StoreError::Fenced { .. })
    ));
}
