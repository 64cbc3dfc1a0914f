//! Tests of the report on runs that have ended.

use truing_service::report::loops::DAY_MILLIS;

use super::*;

const NOW: i64 = 1_790_000_000_000;

fn sample_row(days_ago: i64, kind: &str, reason: &str, runs: u64, ms: u64) -> RunEndCount {
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

fn week_of_rows() -> Vec<RunEndCount> {
    vec![
        sample_row(1, "failed", "the forge sent an invalid answer", 2, 60_000),
        sample_row(1, "partial", "1 changed file was not reviewed", 3, 6_000),
        sample_row(1, "reviewed", "", 1_200, 1_800_000),
        sample_row(0, "partial", "1 changed file was not reviewed", 1, 500),
        sample_row(0, "reviewed", "", 44, 22_000),
    ]
}

fn served_totals(ended: Vec<RunEndCount>) -> ReviewTotals {
    let found = |rule: &str, source: &str, status: &str, findings| FindingCount {
        repository: "pr/github/1/".into(),
        rule: rule.into(),
        source: source.into(),
        status: status.into(),
        model: (source == "agent").then(|| "claude-sonnet-5-5".into()),
        specialists: Vec::new(),
        findings,
        posted: findings / 2,
    };
    let rows = [
        found("core/merge-conflict", "rule", "fixed", 4),
        found("core/merge-conflict", "rule", "open", 3),
        found("ruff/E501", "tool", "dismissed", 1200),
        found("agent/silent-failure-of-a-long-name", "agent", "claimed", 2),
        found("agent/silent-failure-of-a-long-name", "agent", "declined", 2),
        found("agent/bounds", "agent", "outside", 1),
        found("agent/bounds", "agent", "suppressed", 1),
    ];
    let names = BTreeMap::from([("pr/github/1/".to_owned(), "acme/shop".to_owned())]);
    let findings = FindingReport::from_rows(&rows, &names, &[1_000, 42_000, 180_000]);
    ReviewTotals { is_local: false, end_counts: ended, unrecorded_cost: MicroUsd(0), findings }
}

#[test]
fn the_screen_tells_totals_reasons_and_days_in_eighty_columns() {
    let text = review_text::render_reviews(
        &served_totals(week_of_rows()),
        UnixMillis(NOW - 7 * DAY_MILLIS),
        UnixMillis(NOW),
    );
    insta::assert_snapshot!(text, @r"
    1250 reviews ended from 2026-09-14T14:13:20Z to 2026-09-21T14:13:20Z

      reviewed      1244   99.5 %
      partial          4    0.3 %
      failed           2    0.2 %
      success     99.5 %  of 1250 runs with work to do
      mean         1.5 s
      cost         $1.50

    Findings             found  posted   open  fixed  dismissed  suppressed  outside
      all                 1213     605      5      4       1202           1        1

    Rule                 found  posted   open  fixed  dismissed  suppressed  outside
      ruff/E501           1200     600      0      0       1200           0        0
      core/merge-conflict
                             7       3      3      4          0           0        0
      agent/silent-failure-of-a-long-name
                             4       2      2      0          2           0        0
      agent/bounds           2       0      0      0          0           1        1

    Tool                 found  posted   open  fixed  dismissed  suppressed  outside
      ruff                1200     600      0      0       1200           0        0

    Model                found  posted   open  fixed  dismissed  suppressed  outside
      claude-sonnet-5-5      6       2      2      0          2           1        1

    Repository           found  posted   open  fixed  dismissed  suppressed  outside
      acme/shop           1213     605      5      4       1202           1        1

    Time from the start of a review to its first comment: median 42.0 s, 90th
    percentile 3.0 min (3 heads)

    Why
             4  partial: 1 changed file was not reviewed
             2  failed: the forge sent an invalid answer

    Day (UTC)      runs  reviewed   partial   skipped  deferred    failed     mean
    2026-09-20     1205      1200         3         -         -         2    1.5 s
    2026-09-21       45        44         1         -         -         -   500 ms
    ");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    insta::assert_snapshot!(review_text::render_reviews(&served_totals(Vec::new()), UnixMillis(NOW - DAY_MILLIS), UnixMillis(NOW)), @r"0 reviews ended from 2026-09-20T14:13:20Z to 2026-09-21T14:13:20Z");
}

#[test]
fn much_is_cut_and_says_so() {
    let ended: Vec<RunEndCount> = (0..40)
        .rev()
        .map(|ago| {
            sample_row(
                ago,
                "failed",
                &format!("{} {ago}", "very long words ".repeat(9)),
                99_999_999,
                7_200_000,
            )
        })
        .collect();
    let text = review_text::render_reviews(
        &served_totals(ended),
        UnixMillis(NOW - 40 * DAY_MILLIS),
        UnixMillis(NOW),
    );
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    assert!(text.contains("and 32 other reasons: `--format json` lists all reasons"), "{text}");
    assert!(text.contains("and 9 days since 2026-08-13"), "{text}");
    assert!(text.lines().count() < 85);
}

#[test]
fn since_is_a_length_a_day_or_an_instant() {
    let at =
        |text: &str| PeriodStart::parse(text).map(|since| format_instant(since.to_instant(UnixMillis(NOW))));
    assert_eq!(at("7d").unwrap(), "2026-09-14T14:13:20Z");
    assert_eq!(at("1h30m").unwrap(), "2026-09-21T12:43:20Z");
    assert_eq!(at("2026-09-20").unwrap(), "2026-09-20T00:00:00Z");
    assert_eq!(at("2026-09-20T10:00:00+02:00").unwrap(), "2026-09-20T08:00:00Z");
    for wrong in ["", "yesterday", "7", "-7d", "2026-13-01", "7 d"] {
        assert!(at(wrong).unwrap_err().contains("is not a length of time"), "{wrong}");
    }
    assert_eq!(at("99999999d").unwrap_err(), "`99999999d` is longer than 1000 years");
    assert!(PeriodStart::parse("99999999999999d").is_err());
}
