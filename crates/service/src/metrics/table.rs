//! Defines the metrics as data: names, kinds, labels and descriptions. docs/reference/metrics.md is generated
//! from this table.

/// The definition of a metric.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MetricDefinition {
    /// Its name. If the metric has a unit, the unit is the last word of the name, or the last word before
    /// `_total`.
    pub name: &'static str,
    pub kind: MetricKind,
    /// Names of its labels.
    pub labels: &'static [&'static str],
    /// Its description in a sentence or two.
    pub help: &'static str,
}

/// The kinds of metrics.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MetricKind {
    /// A value that only grows, from zero at the start of the process.
    Counter,
    /// A value that can grow and shrink.
    Gauge,
    /// Numbers of observations, by buckets.
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
        "Slots by state and why, in the words of `truing queue list`.",
    ),
    metric_row(
        "truing_slots_unreadable",
        MetricKind::Gauge,
        &[],
        "Slots whose row cannot be read and is left out; `truing queue list` names them.",
    ),
    metric_row(
        "truing_oldest_due_seconds",
        MetricKind::Gauge,
        &[],
        "How long the oldest due slot has been due; 0 if none is.",
    ),
    metric_row(
        "truing_dead_letters",
        MetricKind::Gauge,
        &[],
        "Parked slots: pull requests given up after `review.attempts` failures in a row.",
    ),
    metric_row(
        "truing_scheduler_age_seconds",
        MetricKind::Gauge,
        &[],
        "How long ago the scheduler last looked for due slots; `/healthz` fails when it is too long.",
    ),
    metric_row(
        "truing_runs_total",
        MetricKind::Counter,
        &["loop", "outcome"],
        "Runs that ended with an outcome: reviewed (for converge and sync: done), partial, skipped, \
            deferred, failed. Each failed attempt at a review counts as a run.",
    ),
    metric_row(
        "truing_run_seconds",
        MetricKind::Histogram,
        &[],
        "How long the leases of runs took, from grant to end, however they ended.",
    ),
    metric_row(
        "truing_run_cost_usd",
        MetricKind::Histogram,
        &["loop"],
        "Cost of the runs that used a model, in US dollars.",
    ),
    metric_row(
        "truing_model_tokens_total",
        MetricKind::Counter,
        &["kind"],
        "Tokens of reviews, as the provider counted them: input, output, cache_read, cache_write.",
    ),
    metric_row(
        "truing_model_denials_total",
        MetricKind::Counter,
        &[],
        "Calls of a tool that the model may not call.",
    ),
    metric_row(
        "truing_model_ends_total",
        MetricKind::Counter,
        &["end"],
        "Conversations with a model in reviews, by their end. turns, time, money, calls: a limit of the \
            run was reached. budget: Truing's budget is used up; spend_cap: the provider's. Other ends: \
            done, unavailable, refused, declined, cut, context, unreadable, failed, halted.",
    ),
    metric_row(
        "truing_model_retries_total",
        MetricKind::Counter,
        &[],
        "Calls to a model that were retried: it was overloaded, or its answer broke off. Each try may be \
         billed.",
    ),
    metric_row(
        "truing_mcp_failures_total",
        MetricKind::Counter,
        &["server"],
        "MCP servers (`[mcp.NAME]`) that failed in a review, or did not offer the configured tools; the \
            review continues without these servers.",
    ),
    metric_row(
        "truing_linter_runs_total",
        MetricKind::Counter,
        &["linter", "result"],
        "Linters in reviews, by result: looked, failed (the review is partial), or skipped (for example, \
            because the linter is not installed).",
    ),
    metric_row(
        "truing_linter_findings_total",
        MetricKind::Counter,
        &["linter"],
        "Findings of linters in reviews, on the reviewed lines; the same finding in a later review is \
            counted again.",
    ),
    metric_row(
        "truing_attempts_failed_total",
        MetricKind::Counter,
        &["loop", "class"],
        "Attempts that failed, by the reason shown on the pull request; the slot is retried or parked. A \
            reader process that crashed, hung or sent invalid data is counted as `the change cannot be \
            read`.",
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
        "Deliveries by what was answered: accepted, ignored (202); unauthorized (401); bad (400, 408, 415); \
         unknown_forge (404); too_large (413); rate_limited (429); killswitch, store_down, busy (503).",
    ),
    metric_row(
        "truing_webhook_seconds",
        MetricKind::Histogram,
        &[],
        "Time from a delivery's header to its answer; an accepted delivery is durable before the answer.",
    ),
    metric_row(
        "truing_store_commit_seconds",
        MetricKind::Histogram,
        &[],
        "From the beginning of a write transaction until it is durable; many writes share one.",
    ),
    metric_row(
        "truing_store_write_failures_total",
        MetricKind::Counter,
        &[],
        "Write transactions that failed as a whole: disk full, read only, locked.",
    ),
    metric_row(
        "truing_slot_commits_total",
        MetricKind::Counter,
        &[],
        "Changes of slots that were attempted, if Valkey keeps the slots.",
    ),
    metric_row(
        "truing_slot_conflicts_total",
        MetricKind::Counter,
        &[],
        "Changes of slots that were retried, because another process had changed the slot first.",
    ),
    metric_row(
        "truing_store_up",
        MetricKind::Gauge,
        &[],
        "1 if the store answered this scrape in time, else 0; with 0, the values from the store are those \
            of an earlier scrape.",
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
        "Calls that the forge's rate limit still allows until its window ends, according to the forge's \
            last answer.",
    ),
    metric_row(
        "truing_forge_calls_limit",
        MetricKind::Gauge,
        &["forge"],
        "Calls that the forge's rate limit allows in a whole window.",
    ),
    metric_row(
        "truing_sweep_age_seconds",
        MetricKind::Gauge,
        &["forge"],
        "How long ago the repository with the oldest sweep was swept.",
    ),
    metric_row(
        "truing_repositories_swept",
        MetricKind::Gauge,
        &["forge"],
        "Repositories that were swept since the process began.",
    ),
    metric_row(
        "truing_forge_up",
        MetricKind::Gauge,
        &["forge"],
        "1 if the forge answered the last sweep of this process; 0 if it refused the token, or did not \
         answer.",
    ),
    metric_row(
        "truing_kill_switch_on",
        MetricKind::Gauge,
        &[],
        "1 while the kill switch is on, or cannot be read.",
    ),
    metric_row(
        "truing_notices_unsent",
        MetricKind::Gauge,
        &[],
        "Notices that are not sent yet, for `[notify]`.",
    ),
    metric_row(
        "truing_notices_failed_total",
        MetricKind::Counter,
        &[],
        "Notices that a sink of `[notify]` did not accept after several attempts; they are not sent to \
            that sink again.",
    ),
    metric_row(
        "truing_budget_spent_ratio",
        MetricKind::Gauge,
        &["level"],
        "The spent part of a limit, for the repository or team with the greatest part. Today (UTC): all of \
            a repository (`repo_day`), its converge runs (`converge_day`), its jobs (`sync_day`). This \
            month: a team (`team_month`), the installation (`month`). `truing budget show` lists all \
            limits.",
    ),
    metric_row(
        "truing_build_info",
        MetricKind::Gauge,
        &["version"],
        "1; its label is the program's version.",
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
        with the process; gauges show the state at the time of the scrape. A scrape reads\nfrom the store \
        only what indexes provide, and waits at most two seconds; scrapes within one second get the same \
        answer.\nAnyone who can reach that address can read it: let a proxy in front of it forward only \
        `/webhooks/`, or give the\nmetrics an address of their own with `server.metrics_listen`.\n\nAlert \
        rules on these: [docs/alerts/truing.rules.yml](../alerts/truing.rules.yml); what to do \
        then:\n[docs/runbooks/](../runbooks/).\n\n| Name | Kind | Labels | Meaning |\n|---|---|---|---|\n"
        .to_owned();
    for MetricDefinition { name, kind, labels, help } in METRICS {
        let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
        page += &format!("| `{name}` | {} | {} | {help} |\n", kind.as_str(), labels.join(", "));
    }
    page
}
