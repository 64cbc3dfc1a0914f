//! Tests of totals and of outcome records.

use serde_json::Value;
use truing_core::id::{RunId, Sha, SlotKey, UnixMillis};
use truing_core::money::MicroUsd;
use truing_core::outcome::{self, ReviewOutcome, ReviewOutcomeKind, ReviewRecord, ReviewRuntime, ReviewStep};
use truing_core::port::SlotDescription;
use truing_core::run::{RunStage, StepCost};
use truing_store::RunEndCount;

use super::loops::DAY_MILLIS;
use super::outcome::{compute_day_totals, compute_totals, review_outcome_json};

/// The instant 2026-09-21T14:13:20Z, in milliseconds.
const NOW: i64 = 1_790_000_000_000;

fn row(days_ago: i64, kind: &str, reason: &str, runs: u64, ms: u64) -> RunEndCount {
    RunEndCount {
        utc_day: NOW / DAY_MILLIS - days_ago,
        kind: kind.into(),
        reason: reason.into(),
        runs,
        total_duration_ms: ms,
        cost_micro_usd: 1_200 * runs,
        is_local: false,
    }
}

fn week() -> Vec<RunEndCount> {
    vec![
        row(1, "failed", "the forge sent an invalid answer", 2, 60_000),
        row(1, "partial", "1 changed file was not reviewed", 3, 6_000),
        row(1, "reviewed", "", 1_200, 1_800_000),
        row(0, "partial", "1 changed file was not reviewed", 1, 500),
        row(0, "reviewed", "", 44, 22_000),
    ]
}

#[test]
fn a_record_has_every_field_of_the_contract() {
    let outcome = ReviewOutcome {
        kind: ReviewOutcomeKind::Partial,
        reason: Some("1 changed file was not reviewed".into()),
        next_attempt_at: None,
        runtime: ReviewRuntime::Rules,
    };
    let sha = |digit: &str| Sha::parse(&digit.repeat(40)).unwrap();
    let mut record = ReviewRecord::new(
        RunId::new("r1"),
        SlotKey::new("pr/github/1/7"),
        outcome::ReviewDetail::new(Some(sha("a")), sha("b"), outcome),
        UnixMillis(NOW - 250),
    )
    .with_end_time(UnixMillis(NOW));
    record.detail.open_finding_counts = vec![(truing_core::finding::Severity::P1, 2)];
    record.detail.stage = RunStage::Published;
    let cost_micro_usd = MicroUsd(7);
    record.add_step_cost(
        ReviewStep::Review,
        &StepCost { turns: 3, cost_micro_usd, ..StepCost::<()>::default() },
    );
    record.versions = [("truing".to_owned(), "0.1.0".to_owned())].into();
    let known = SlotDescription { name: "a/b#7".into(), url: "https://example.com/7".into(), head: None };
    insta::assert_json_snapshot!(review_outcome_json(&record, Some(&known)), @r#"
    {
      "base": "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
      "cost_micro_usd": 7,
      "dropped": null,
      "ended": "2026-09-21T14:13:20Z",
      "evidence": null,
      "exit_reason": "1 changed file was not reviewed",
      "head": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
      "highest_step": {
        "id": "published",
        "title": "show the review"
      },
      "key": "pr/github/1/7",
      "kind": "partial",
      "loop": "review",
      "memory_hash": null,
      "model": null,
      "name": "a/b#7",
      "not_reviewed": 0,
      "open": [
        {
          "count": 2,
          "severity": "P1"
        }
      ],
      "permission_denials": null,
      "pr": null,
      "prompt_hash": null,
      "result": null,
      "review_id": "r1",
      "runtime": "rules",
      "schema": "truing.outcome/1",
      "started": "2026-09-21T14:13:19Z",
      "steps": [
        {
          "cost_micro_usd": 7,
          "id": "review",
          "ms": 250,
          "tokens": 0,
          "turns": 3
        }
      ],
      "tokens": null,
      "turns": 3,
      "update_type": null,
      "url": "https://example.com/7",
      "versions": {
        "truing": "0.1.0"
      }
    }
    "#);
}

#[test]
fn totals_name_all_kinds_and_days_add_up_to_them() {
    let totals = compute_totals(&week(), false);
    assert_eq!(totals.runs, 1250);
    assert_eq!(totals.kinds.values().filter_map(Value::as_u64).sum::<u64>(), 1250);
    assert_eq!(totals.kinds.len(), 5);
    assert_eq!((totals.cost_micro_usd, totals.mean_ms), (1_250 * 1_200, 1_888_500 / 1_250));
    let reason = totals.reasons.first().unwrap();
    assert_eq!((reason.kind.as_str(), reason.runs), ("partial", 4), "the rows of both days");
    assert_eq!(compute_day_totals(&week(), false).iter().map(|day| day.runs).collect::<Vec<_>>(), [1205, 45]);
}
