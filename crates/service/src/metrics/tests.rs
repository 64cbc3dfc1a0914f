//! Tests of the table of metrics, the rendered metrics, and the documentation page.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use truing_core::id::{RunId, Sha, SlotKey, UnixMillis};
use truing_core::ledger::{BudgetLevelKind, TokenUsage};
use truing_core::money::MicroUsd;
use truing_core::outcome::{
    ModelReview, ModelReviewDetail, ReviewCoverage, ReviewDetail, ReviewOutcome, ReviewOutcomeKind,
    ReviewRecord, ToolRunResult,
};
use truing_store::StoreStatistics;

use super::*;
use crate::sweep::{ForgeHealth, RepositorySweep};

/// Makes metrics in which every metric has a value, and returns them with their rendered text.
fn told() -> (ServiceMetrics, String) {
    let metrics = ServiceMetrics::new().unwrap();
    metrics.record_store_statistics(StoreStatistics {
        slot_counts: vec![("held".into(), "parked".into(), 2), ("waiting".into(), "backoff".into(), 3)],
        oldest_due_age: Some(Duration::from_millis(1500)),
        pending_notices: 4,
        used_budget_permille: vec![(BudgetLevelKind::RepoDay, 850)],
        unreadable_slots: 1,
        bytes: 8192,
    });
    let swept = |name: &str, at| RepositorySweep {
        forge: "hub".into(),
        name: name.into(),
        swept_at: UnixMillis(at),
        time_since_previous: None,
        open_pulls: 1,
    };
    metrics.record_forge_health("hub", ForgeHealth::TokenRefused);
    metrics.record_sweeps(&[swept("a/b", 4_000), swept("a/c", 9_000)], UnixMillis(10_000));
    metrics.record_failed_attempt(LoopKind::Converge, "the forge refuses access", true);
    metrics.record_run_usage(LoopKind::Sync, MicroUsd(500_000), 2);
    metrics.record_run_usage(LoopKind::Sync, MicroUsd(0), 1);
    metrics.count_run("review", ReviewOutcomeKind::Reviewed.as_str());
    metrics.observe_run_duration(Duration::from_secs(2));
    metrics.count_review(&by_a_model());
    metrics.count_review(&by_a_model().without_model_review());
    metrics.set_model_retries(3);
    metrics.set_model_retries(5);
    metrics.record_webhook("accepted", Duration::from_millis(3));
    metrics.0.calls_left.with_label_values(&["hub"]).set(9);
    metrics.0.calls_limit.with_label_values(&["hub"]).set(10);
    let text = metrics.text();
    (metrics, text)
}

fn by_a_model() -> ReviewRecord {
    let tokens = TokenUsage { input: 1, output: 2, cache_read: 3, cache_write_5m: 4, cache_write_1h: 5 };
    let denials = [("run".to_owned(), 3), ("write".to_owned(), 4)].into();
    let servers_failed = [("docs".to_owned(), 2)].into();
    let ends = [("turns".to_owned(), 1)].into();
    let outcome = ReviewOutcome::from_rules_coverage(&ReviewCoverage::default());
    let run =
        |name: &str, findings| ToolRunResult { name: name.into(), findings, ..ToolRunResult::default() };
    let tools = vec![
        run("ruff", 2),
        ToolRunResult { failure_reason: Some("exit code 2".into()), ..run("mypy", 1) },
        ToolRunResult { skip_reason: Some("not installed".into()), ..run("tsc", 0) },
    ];
    let detail =
        ReviewDetail { tools, ..ReviewDetail::new(None, Sha::parse(&"b".repeat(40)).unwrap(), outcome) };
    let did = ModelReviewDetail {
        tokens,
        denials,
        conversation_ends: ends,
        mcp_server_failures: servers_failed,
        ..ModelReviewDetail::default()
    };
    let asked = ModelReview { turns: 1, cost: MicroUsd(250_000), detail: did, ..ModelReview::default() };
    ReviewRecord::new(RunId::new("r"), SlotKey::new("pr/hub/1/1"), detail, UnixMillis(0))
        .with_model_review(Some(asked))
}

#[test]
fn linters_are_counted_by_what_became_of_them() {
    let (_, text) = told();
    for line in [
        "truing_linter_runs_total{linter=\"ruff\",result=\"looked\"} 2",
        "truing_linter_runs_total{linter=\"mypy\",result=\"failed\"} 2",
        "truing_linter_runs_total{linter=\"tsc\",result=\"skipped\"} 2",
        "truing_linter_findings_total{linter=\"ruff\"} 4",
    ] {
        assert!(text.lines().any(|told| told == line), "{line}: {text}");
    }
}

#[test]
fn every_metric_of_the_table_is_told_as_it_says_and_no_other() {
    let (_, text) = told();
    let types: BTreeSet<&str> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    let table: Vec<String> =
        METRICS.iter().map(|metric| format!("{} {}", metric.name, metric.kind.as_str())).collect();
    assert_eq!(types, table.iter().map(String::as_str).collect());
    for MetricDefinition { name, kind, labels, .. } in METRICS {
        for label in *labels {
            let sample = match kind {
                MetricKind::Counter | MetricKind::Gauge => format!("{name}{{"),
                MetricKind::Histogram => format!("{name}_count{{"),
            };
            let labelled = |line: &str| line.starts_with(&sample) && line.contains(&format!("{label}=\""));
            assert!(text.lines().any(labelled), "{name} has no {label}");
        }
    }
}

#[test]
fn figures_are_told_as_they_are() {
    let (metrics, text) = told();
    for line in [
        "truing_slots{state=\"waiting\",why=\"backoff\"} 3",
        "truing_dead_letters 2",
        "truing_oldest_due_seconds 1.5",
        "truing_notices_unsent 4",
        "truing_budget_spent_ratio{level=\"repo_day\"} 0.85",
        "truing_budget_spent_ratio{level=\"team_month\"} 0",
        "truing_slots_unreadable 1",
        "truing_sweep_age_seconds{forge=\"hub\"} 6",
        "truing_repositories_swept{forge=\"hub\"} 2",
        "truing_forge_up{forge=\"hub\"} 0",
        "truing_runs_total{loop=\"review\",outcome=\"reviewed\"} 1",
        "truing_runs_total{loop=\"review\",outcome=\"failed\"} 0",
        "truing_webhooks_total{result=\"accepted\"} 1",
        "truing_webhooks_total{result=\"store_down\"} 0",
        "truing_attempts_failed_total{class=\"the forge refuses access\",loop=\"converge\"} 1",
        "truing_parked_total{loop=\"converge\"} 1",
        "truing_parked_total{loop=\"review\"} 0",
        "truing_run_seconds_sum 2",
        "truing_run_cost_usd_count{loop=\"review\"} 1",
        "truing_run_cost_usd_sum{loop=\"review\"} 0.25",
        "truing_run_cost_usd_count{loop=\"sync\"} 1",
        "truing_run_cost_usd_sum{loop=\"sync\"} 0.5",
        "truing_model_tokens_total{kind=\"input\"} 1",
        "truing_model_tokens_total{kind=\"output\"} 2",
        "truing_model_tokens_total{kind=\"cache_read\"} 3",
        "truing_model_tokens_total{kind=\"cache_write\"} 9",
        "truing_model_denials_total 10",
        "truing_model_ends_total{end=\"turns\"} 1",
        "truing_model_ends_total{end=\"spend_cap\"} 0",
        "truing_mcp_failures_total{server=\"docs\"} 2",
        "truing_model_retries_total 5",
    ] {
        assert!(text.lines().any(|told| told == line), "{line} is not in\n{text}");
    }
    // Simulates a clock that was set back after the sweep, so the time of the sweep is in the future.
    let swept = RepositorySweep {
        forge: "hub".into(),
        name: "a/b".into(),
        swept_at: UnixMillis(9_000),
        time_since_previous: None,
        open_pulls: 1,
    };
    metrics.record_sweeps(&[swept], UnixMillis(2_000));
    assert!(metrics.text().contains("truing_sweep_age_seconds{forge=\"hub\"} 7\n"), "{text}");
    metrics.record_store_statistics(StoreStatistics::default());
    let text = metrics.text();
    assert!(!text.contains("truing_slots{"), "nothing is told of a state without slots:\n{text}");
    assert!(text.contains("truing_dead_letters 0\n") && text.contains("truing_oldest_due_seconds 0\n"));
}

#[test]
fn names_end_in_their_units() {
    for MetricDefinition { name, kind, help, .. } in METRICS {
        assert_eq!(name.ends_with("_total"), *kind == MetricKind::Counter, "{name}");
        let has_unit = name.ends_with("_seconds") || name.ends_with("_usd");
        assert!(*kind != MetricKind::Histogram || has_unit, "{name}");
        assert!(name.starts_with("truing_") || name.starts_with("process_"), "{name}");
        assert!(help.ends_with('.'), "{name}: {help}");
    }
}

#[test]
fn the_page_is_what_the_table_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/metrics.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, render_metrics_page()).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(written, render_metrics_page(), "update it: UPDATE_DOCS=1 cargo test -p truing-service");
}

fn docs() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}

#[test]
fn alerts_ask_for_metrics_that_exist_and_name_a_page_that_begins_with_the_switch() {
    let rules = std::fs::read_to_string(docs().join("alerts/truing.rules.yml")).unwrap();
    let asked = regex::Regex::new(r"\b(?:truing|process)_[a-z_]+").unwrap();
    let mut names = 0;
    for found in rules
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .flat_map(|line| asked.find_iter(line))
    {
        let name = ["_bucket", "_sum", "_count"].iter().find_map(|part| found.as_str().strip_suffix(part));
        let known = METRICS.iter().find(|metric| metric.name == name.unwrap_or(found.as_str()));
        let known = known.unwrap_or_else(|| panic!("{} is no metric", found.as_str()));
        assert_eq!(name.is_some(), known.kind == MetricKind::Histogram, "{}", found.as_str());
        names += 1;
    }
    let after = |line: &'static str| -> Vec<String> {
        let words = rules.lines().filter_map(|told| told.trim().strip_prefix(line));
        words.map(|word| word.trim().to_owned()).collect()
    };
    let (alerts, pages) = (after("- alert:"), after("runbook:"));
    assert!(alerts.len() >= 10 && names >= alerts.len(), "{alerts:?}");
    assert_eq!(alerts.len(), pages.len());
    let tests = std::fs::read_to_string(docs().join("alerts/truing.test.yml")).unwrap();
    for (alert, page) in alerts.iter().zip(&pages) {
        assert!(tests.contains(&format!("name: {alert} fires")), "nothing tries {alert}");
        let text = std::fs::read_to_string(docs().join("..").join(page)).unwrap();
        assert!(text.contains(&format!("Alert: `{alert}`.")), "{page} is not about {alert}");
        // `truing kill on` replaces the reason of a switch that is on, so a page looks at the switch first.
        let mut commands = text.lines().filter(|line| line.starts_with("$ "));
        assert_eq!(commands.next(), Some("$ truing kill status"), "{page}");
        let is_of_switch = page.ends_with("kill-switch-on.md");
        let turns_on = commands.next().is_some_and(|second| second.starts_with("$ truing kill on --reason "));
        assert_eq!(turns_on, !is_of_switch, "{page}");
    }
}

/// Runs the rule tests of the alerts: each alert must fire under its conditions and not otherwise. The test
/// requires `promtool`, a program of Prometheus.
#[test]
fn alerts_fire() {
    let ran = std::process::Command::new("promtool")
        .args(["test", "rules", "truing.test.yml"])
        .current_dir(docs().join("alerts"))
        .output();
    match ran {
        Ok(ran) => assert!(ran.status.success(), "{ran:?}"),
        Err(error) => {
            eprintln!("skipped: promtool cannot be started ({error}); Debian's package is `prometheus`");
        }
    }
}
