//! Defines the metrics as data: names, kinds, labels and descriptions. docs/reference/metrics.md is generated
//! from this table.

/// The definition of a metric.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MetricDefinition {
    /// The metric's name. If the metric has a unit, the unit is the last word of the name, or the last word
    /// before `_total`.
    pub name: &'static str,
    pub kind: MetricKind,
    /// Names of the metric's labels.
    pub labels: &'static [&'static str],
    /// Description of the metric, in one or two sentences.
    pub help: &'static str,
}

/// The kinds of metrics.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MetricKind {
    /// A value that only grows, from zero at the start of the process.
    Counter,
    /// A value that can grow and shrink.
    Gauge,
    /// Numbers of observations in each bucket.
    Histogram,
}

impl MetricKind {
    /// Returns the name of the kind in the text format.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

const fn metric_row(
    name: &'static str,
    kind: MetricKind,
    labels: &'static [&'static str],
    help: &'static str,
) -> MetricDefinition {
    MetricDefinition { name, kind, labels, help }
}

/// The definitions of all metrics.
pub const METRICS: &[MetricDefinition] = &[
    metric_row(
        "truing_slots",
        MetricKind::Gauge,
        &["state", "why"],
        "Number of slots (pull requests and jobs), by state and by reason (`why`). The names of states \
        and reasons are the same as in `truing queue list`.",
    ),
    metric_row(
        "truing_slots_unreadable",
        MetricKind::Gauge,
        &[],
        "Number of slots whose row in the database cannot be read. Truing ignores these slots, and \
        `truing queue list` names them.",
    ),
    metric_row(
        "truing_oldest_due_seconds",
        MetricKind::Gauge,
        &[],
        "Time since the oldest due slot became due; 0 if no slot is due.",
    ),
    metric_row(
        "truing_dead_letters",
        MetricKind::Gauge,
        &[],
        "Number of parked slots. A slot is parked after `review.attempts` failures in a row.",
    ),
    metric_row(
        "truing_scheduler_age_seconds",
        MetricKind::Gauge,
        &[],
        "Time since the scheduler last searched for due slots. `/healthz` fails if this time is too long.",
    ),
    metric_row(
        "truing_runs_total",
        MetricKind::Counter,
        &["loop", "outcome"],
        "Number of runs that have ended, by outcome: reviewed (for converge and sync: done), partial, \
        skipped, deferred, failed. Each failed attempt at a review counts as a run.",
    ),
    metric_row(
        "truing_run_seconds",
        MetricKind::Histogram,
        &[],
        "Duration of runs with any outcome, from the start to the end of the run's lease.",
    ),
    metric_row(
        "truing_run_cost_usd",
        MetricKind::Histogram,
        &["loop"],
        "Cost of each run that used a model, in US dollars.",
    ),
    metric_row(
        "truing_model_tokens_total",
        MetricKind::Counter,
        &["kind"],
        "Number of tokens in reviews, as counted by the provider. The kinds are input, output, cache_read \
        and cache_write.",
    ),
    metric_row(
        "truing_model_denials_total",
        MetricKind::Counter,
        &[],
        "Tool calls that Truing denied because the model may not call the tool.",
    ),
    metric_row(
        "truing_model_ends_total",
        MetricKind::Counter,
        &["end"],
        "Conversations with a model in reviews, by the reason for their end. turns, time, money, calls: \
        the run reached this limit. budget: Truing's budget is used up. spend_cap: the account at the \
        provider has reached its spending limit. Other reasons: done, unavailable, refused, declined, \
        cut, context, unreadable, failed, halted.",
    ),
    metric_row(
        "truing_model_retries_total",
        MetricKind::Counter,
        &[],
        "Calls to a model that Truing retried, because the model was overloaded or its response was \
        incomplete. The provider may bill each attempt.",
    ),
    metric_row(
        "truing_mcp_failures_total",
        MetricKind::Counter,
        &["server"],
        "Failures of MCP servers (`[mcp.NAME]`) in reviews. A server fails if it stops working or does \
        not offer the configured tools. The review continues without this server.",
    ),
    metric_row(
        "truing_linter_runs_total",
        MetricKind::Counter,
        &["linter", "result"],
        "Runs of linters in reviews, by result. looked: the linter checked the change. failed: the linter \
        failed, and the review is partial. skipped: the linter did not run, for example because the \
        linter is not installed.",
    ),
    metric_row(
        "truing_linter_findings_total",
        MetricKind::Counter,
        &["linter"],
        "Findings of linters on the reviewed lines. If a later review has the same finding, Truing counts \
        it again.",
    ),
    metric_row(
        "truing_attempts_failed_total",
        MetricKind::Counter,
        &["loop", "class"],
        "Failed attempts, by the reason that the pull request shows. After a failed attempt, Truing \
        retries or parks the slot. If a reader process crashed, hung or sent invalid data, the reason is \
        `the change cannot be read`.",
    ),
    metric_row(
        "truing_parked_total",
        MetricKind::Counter,
        &["loop"],
        "Slots that were parked after their last attempt.",
    ),
    metric_row(
        "truing_webhooks_total",
        MetricKind::Counter,
        &["result"],
        "Deliveries of webhooks, by result. The status of the response is in brackets: accepted, ignored \
        (202); unauthorized (401); bad (400, 408, 415); unknown_forge (404); too_large (413); \
        rate_limited (429); killswitch, store_down, busy (503).",
    ),
    metric_row(
        "truing_webhook_seconds",
        MetricKind::Histogram,
        &[],
        "Time from the header of a delivery to the response. An accepted delivery is stored durably \
        before the response is sent.",
    ),
    metric_row(
        "truing_store_commit_seconds",
        MetricKind::Histogram,
        &[],
        "Time from the beginning of a write transaction until the transaction is durable. Many writes \
            share one transaction.",
    ),
    metric_row(
        "truing_store_write_failures_total",
        MetricKind::Counter,
        &[],
        "Write transactions that failed completely, for example because the disk was full, or the \
        database was read-only or locked.",
    ),
    metric_row(
        "truing_slot_commits_total",
        MetricKind::Counter,
        &[],
        "Attempts to change a slot. Truing counts them only if the slots are stored in Valkey.",
    ),
    metric_row(
        "truing_slot_conflicts_total",
        MetricKind::Counter,
        &[],
        "Changes of slots that Truing retried, because another process had changed the slot first.",
    ),
    metric_row(
        "truing_store_up",
        MetricKind::Gauge,
        &[],
        "1 if the store answered this scrape in time, otherwise 0. If the value is 0, the other metrics \
        from the store are from an earlier scrape.",
    ),
    metric_row(
        "truing_store_bytes",
        MetricKind::Gauge,
        &[],
        "The size of the database and its write-ahead log.",
    ),
    metric_row(
        "truing_forge_calls_left",
        MetricKind::Gauge,
        &["forge"],
        "Number of calls that the rate limit still allows in the current window, according to the forge's \
        last response.",
    ),
    metric_row(
        "truing_forge_calls_limit",
        MetricKind::Gauge,
        &["forge"],
        "Calls that the forge's rate limit allows in one window.",
    ),
    metric_row(
        "truing_sweep_age_seconds",
        MetricKind::Gauge,
        &["forge"],
        "Time since the last sweep of a repository. The value is the longest such time of all \
        repositories.",
    ),
    metric_row(
        "truing_repositories_swept",
        MetricKind::Gauge,
        &["forge"],
        "Number of repositories that this process has swept since it started.",
    ),
    metric_row(
        "truing_forge_up",
        MetricKind::Gauge,
        &["forge"],
        "1 if the forge answered the last sweep of this process; 0 if the forge refused the token or did \
            not answer.",
    ),
    metric_row(
        "truing_kill_switch_on",
        MetricKind::Gauge,
        &[],
        "1 while the kill switch is on or while Truing cannot read its state.",
    ),
    metric_row(
        "truing_notices_unsent",
        MetricKind::Gauge,
        &[],
        "Notices for `[notify]` that are not yet sent.",
    ),
    metric_row(
        "truing_notices_failed_total",
        MetricKind::Counter,
        &[],
        "Notices that a receiver in `[notify]` did not accept after several attempts. Truing does not \
        send these notices to this receiver again.",
    ),
    metric_row(
        "truing_budget_spent_ratio",
        MetricKind::Gauge,
        &["level"],
        "Spending divided by the limit, for the repository or team with the highest value of this ratio. \
        Daily limits (UTC) of a repository: all its spending (`repo_day`), its converge runs \
        (`converge_day`), its sync jobs (`sync_day`). Monthly limits: a team (`team_month`), the whole \
        installation (`month`). `truing budget show` lists all limits.",
    ),
    metric_row(
        "truing_build_info",
        MetricKind::Gauge,
        &["version"],
        "Always 1. The label `version` is the version of the program.",
    ),
    metric_row(
        "process_cpu_seconds_total",
        MetricKind::Counter,
        &[],
        "Processor time of this process, without its children.",
    ),
    metric_row(
        "process_resident_memory_bytes",
        MetricKind::Gauge,
        &[],
        "Memory of this process, without its children.",
    ),
];

/// Renders the reference page of all metrics as Markdown.
pub fn render_metrics_page() -> String {
    let mut page = "# Metrics\n\n<!-- Generated from crates/service/src/metrics/table.rs. To update it: \
        UPDATE_DOCS=1 cargo test -p truing-service -->\n\n`truing serve` answers `GET /metrics` in \
        Prometheus's text format, on the address of its webhooks. Counters and\nhistograms start at zero \
        when the process starts. Gauges show the state at the time of the scrape. For a scrape, Truing \
        reads\nonly indexed data from the store, and waits for the store for at most two seconds. All \
        scrapes within one second get the same response.\nAnyone who can reach this address can read the \
        metrics. To prevent this, configure the proxy in front of the server to forward only \
        `/webhooks/`, or set\na separate address for the metrics with `server.metrics_listen`.\n\nThe \
        alert rules for these metrics are in [docs/alerts/truing.rules.yml](../alerts/truing.rules.yml). \
        The runbooks in\n[docs/runbooks/](../runbooks/) describe what to do after an alert.\n\n| Name | \
        Kind | Labels | Meaning |\n|---|---|---|---|\n"
        .to_owned();
    for MetricDefinition { name, kind, labels, help } in METRICS {
        let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
        page += &format!("| `{name}` | {} | {} | {help} |\n", kind.as_str(), labels.join(", "));
    }
    page
}
