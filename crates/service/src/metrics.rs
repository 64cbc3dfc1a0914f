//! `/metrics`: the counters and gauges of a running service, in Prometheus's text format.
//!
//! All names are in one table ([`METRICS`]), which also generates docs/reference/metrics.md. Events are
//! counted when they happen. A scrape reads the present state with a timeout. The duration of a scrape's
//! queries does not depend on the length of the history.

mod gather;
mod table;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{
    Counter, Encoder as _, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter,
    IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};
use truing_agent::native;
use truing_core::ledger::TokenUsage;
use truing_core::money::MicroUsd;
use truing_core::outcome::{ReviewOutcomeKind, ReviewRecord};
use truing_core::run::RunOutcome;
use truing_core::slot::LoopKind;
use truing_loops::review::RunCounter;
use truing_store::{Store, WriteMetrics};

pub use self::table::{METRICS, MetricDefinition, MetricKind, render_metrics_page};

/// Content type of the text format.
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// Buckets in seconds for webhooks. The first buckets are about as long as a disk flush. The last bucket is
/// ten seconds, after which the forge gives up.
const WEBHOOK_BUCKETS_SECONDS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Buckets in seconds for transactions.
const COMMIT_BUCKETS_SECONDS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];
/// Buckets in seconds for runs. The last bucket is the longest time that a run may take.
const RUN_BUCKETS_SECONDS: &[f64] = &[0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1200.0];

/// Buckets in dollars for runs. The default limit of a review is one dollar, and the last bucket is several
/// times as much.
const COST_BUCKETS_USD: &[f64] = &[0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 1.5, 2.0, 5.0, 10.0];
/// The outcomes of converge and sync runs.
const LOOP_RUN_OUTCOMES: [RunOutcome; 5] =
    [RunOutcome::Done, RunOutcome::Partial, RunOutcome::Skipped, RunOutcome::Deferred, RunOutcome::Failed];
/// Kinds of model tokens.
const TOKEN_KINDS: [&str; 4] = ["input", "output", "cache_read", "cache_write"];

/// Millionths of a dollar in a dollar.
const MICRO_USD_PER_USD: f64 = 1e6;

/// Results of webhooks. The series of all results exist from the start, so a rate counts the first event.
const WEBHOOK_RESULTS: [&str; 10] = [
    "accepted",
    "ignored",
    "unauthorized",
    "bad",
    "too_large",
    "rate_limited",
    "killswitch",
    "store_down",
    "busy",
    "unknown_forge",
];

/// All metrics of one service. Clones share them.
#[derive(Clone)]
pub struct ServiceMetrics(Arc<MetricsInner>);

struct MetricsInner {
    registry: Registry,
    runs: IntCounterVec,
    run_seconds: Histogram,
    model_tokens: IntCounterVec,
    model_denials: IntCounter,
    model_ends: IntCounterVec,
    model_retries: IntCounter,
    mcp_failures: IntCounterVec,
    linter_runs: IntCounterVec,
    linter_findings: IntCounterVec,
    run_cost: HistogramVec,
    failures: IntCounterVec,
    parked_slots: IntCounterVec,
    webhooks: IntCounterVec,
    webhook_seconds: Histogram,
    write_metrics: WriteMetrics,
    /// The store that scrapes read.
    store: OnceLock<Store>,
    slots: IntGaugeVec,
    unreadable_slots: IntGauge,
    oldest_due: Gauge,
    dead_letters: IntGauge,
    unsent_notices: IntGauge,
    notices_failed: IntCounter,
    budget: GaugeVec,
    store_bytes: IntGauge,
    store_up: IntGauge,
    calls_left: IntGaugeVec,
    calls_limit: IntGaugeVec,
    sweep_age: GaugeVec,
    swept_repositories: IntGaugeVec,
    forge_up: IntGaugeVec,
    scheduler_age: Gauge,
    kill_switch: IntGauge,
    cpu: Counter,
    memory: IntGauge,
}

impl ServiceMetrics {
    /// Creates the metrics. All values are zero.
    ///
    /// # Errors
    /// [`prometheus::Error`] if the table has an invalid name, or the same name twice.
    pub fn new() -> prometheus::Result<Self> {
        let made = MetricsBuilder(Registry::new());
        let inner = MetricsInner {
            runs: made.register_vec("truing_runs_total", IntCounterVec::new)?,
            run_seconds: made.register_histogram("truing_run_seconds", RUN_BUCKETS_SECONDS)?,
            model_tokens: made.register_vec("truing_model_tokens_total", IntCounterVec::new)?,
            model_denials: made.register_metric("truing_model_denials_total", IntCounter::with_opts)?,
            model_ends: made.register_vec("truing_model_ends_total", IntCounterVec::new)?,
            model_retries: made.register_metric("truing_model_retries_total", IntCounter::with_opts)?,
            mcp_failures: made.register_vec("truing_mcp_failures_total", IntCounterVec::new)?,
            linter_runs: made.register_vec("truing_linter_runs_total", IntCounterVec::new)?,
            linter_findings: made.register_vec("truing_linter_findings_total", IntCounterVec::new)?,
            run_cost: made.register_histogram_vec("truing_run_cost_usd", COST_BUCKETS_USD)?,
            failures: made.register_vec("truing_attempts_failed_total", IntCounterVec::new)?,
            parked_slots: made.register_vec("truing_parked_total", IntCounterVec::new)?,
            webhooks: made.register_vec("truing_webhooks_total", IntCounterVec::new)?,
            webhook_seconds: made.register_histogram("truing_webhook_seconds", WEBHOOK_BUCKETS_SECONDS)?,
            write_metrics: WriteMetrics {
                commit_seconds: made
                    .register_histogram("truing_store_commit_seconds", COMMIT_BUCKETS_SECONDS)?,
                swaps: made.register_metric("truing_slot_commits_total", IntCounter::with_opts)?,
                conflicts: made.register_metric("truing_slot_conflicts_total", IntCounter::with_opts)?,
                failures: made.register_metric("truing_store_write_failures_total", IntCounter::with_opts)?,
            },
            store: OnceLock::new(),
            slots: made.register_vec("truing_slots", IntGaugeVec::new)?,
            unreadable_slots: made.register_metric("truing_slots_unreadable", IntGauge::with_opts)?,
            oldest_due: made.register_metric("truing_oldest_due_seconds", Gauge::with_opts)?,
            dead_letters: made.register_metric("truing_dead_letters", IntGauge::with_opts)?,
            unsent_notices: made.register_metric("truing_notices_unsent", IntGauge::with_opts)?,
            notices_failed: made.register_metric("truing_notices_failed_total", IntCounter::with_opts)?,
            budget: made.register_vec("truing_budget_spent_ratio", GaugeVec::new)?,
            store_bytes: made.register_metric("truing_store_bytes", IntGauge::with_opts)?,
            store_up: made.register_metric("truing_store_up", IntGauge::with_opts)?,
            calls_left: made.register_vec("truing_forge_calls_left", IntGaugeVec::new)?,
            calls_limit: made.register_vec("truing_forge_calls_limit", IntGaugeVec::new)?,
            sweep_age: made.register_vec("truing_sweep_age_seconds", GaugeVec::new)?,
            swept_repositories: made.register_vec("truing_repositories_swept", IntGaugeVec::new)?,
            forge_up: made.register_vec("truing_forge_up", IntGaugeVec::new)?,
            scheduler_age: made.register_metric("truing_scheduler_age_seconds", Gauge::with_opts)?,
            kill_switch: made.register_metric("truing_kill_switch_on", IntGauge::with_opts)?,
            cpu: made.register_metric("process_cpu_seconds_total", Counter::with_opts)?,
            memory: made.register_metric("process_resident_memory_bytes", IntGauge::with_opts)?,
            registry: made.0.clone(),
        };
        let build = made.register_vec("truing_build_info", IntGaugeVec::new)?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        for kind in ReviewOutcomeKind::ALL {
            inner.runs.with_label_values(&["review", kind.as_str()]);
        }
        for (of, kind) in
            ["converge", "sync"].into_iter().flat_map(|of| LOOP_RUN_OUTCOMES.map(|kind| (of, kind)))
        {
            inner.runs.with_label_values(&[of, kind.as_str()]);
        }
        for of in LoopKind::ALL {
            inner.parked_slots.with_label_values(&[of.as_str()]);
            inner.run_cost.with_label_values(&[of.as_str()]);
        }
        for kind in TOKEN_KINDS {
            inner.model_tokens.with_label_values(&[kind]);
        }
        // All series are created at the start. A rate does not count the first event of a series that did not
        // exist before.
        for end in native::AgentRunEnd::LABELS {
            inner.model_ends.with_label_values(&[end]);
        }
        for result in WEBHOOK_RESULTS {
            inner.webhooks.with_label_values(&[result]);
        }
        Ok(Self(Arc::new(inner)))
    }

    /// Measures the writes of this store, and lets scrapes read it. Only the first call has an effect.
    pub fn attach_store(&self, store: &Store) {
        store.enable_write_metrics(self.0.write_metrics.clone());
        let _ = self.0.store.set(store.clone());
    }

    /// Records the duration of a run's lease, for every outcome of the run.
    pub fn observe_run_duration(&self, took: Duration) {
        self.0.run_seconds.observe(took.as_secs_f64());
    }

    /// Sets the number of retried model calls since the start of the service.
    pub(super) fn set_model_retries(&self, total_retries: u64) {
        self.0.model_retries.inc_by(total_retries.saturating_sub(self.0.model_retries.get()));
    }

    /// Counts a failed attempt of a loop. `class` is the class of the failure, as shown on the pull request.
    pub fn record_failed_attempt(&self, loop_kind: LoopKind, class: &str, is_parked: bool) {
        self.0.failures.with_label_values(&[loop_kind.as_str(), class]).inc();
        self.0.parked_slots.with_label_values(&[loop_kind.as_str()]).inc_by(u64::from(is_parked));
    }

    /// Counts the cost of an ended run, and the denied tool calls of its models. A run without cost called no
    /// model, so it is not added to the cost histogram.
    pub fn record_run_usage(&self, loop_kind: LoopKind, cost: MicroUsd, denied_calls: u32) {
        self.0.model_denials.inc_by(u64::from(denied_calls));
        if cost > MicroUsd(0) {
            self.record_run_cost(loop_kind, cost);
        }
    }

    fn record_run_cost(&self, loop_kind: LoopKind, cost: MicroUsd) {
        self.0.run_cost.with_label_values(&[loop_kind.as_str()]).observe(cost.0 as f64 / MICRO_USD_PER_USD);
    }

    /// Counts a delivery and its duration. `result` is one of `WEBHOOK_RESULTS`.
    pub fn record_webhook(&self, result: &str, took: Duration) {
        self.0.webhooks.with_label_values(&[result]).inc();
        self.0.webhook_seconds.observe(took.as_secs_f64());
    }

    /// Counts a notice that a sink of `[notify]` did not accept, after the last attempt.
    pub fn count_failed_notice(&self) {
        self.0.notices_failed.inc();
    }

    /// Returns the number of notices that were not accepted.
    pub(super) fn failed_notice_count(&self) -> u64 {
        self.0.notices_failed.get()
    }

    /// Renders all metrics in the text format.
    pub fn text(&self) -> String {
        let mut text = Vec::new();
        // Encoding to memory fails only for a metric without a name or a value, and the table contains no
        // such metric.
        if let Err(error) = TextEncoder::new().encode(&self.0.registry.gather(), &mut text) {
            tracing::error!(%error, "could not collect the metrics");
        }
        String::from_utf8(text).unwrap_or_default()
    }
}

impl RunCounter for ServiceMetrics {
    fn count_run(&self, loop_name: &str, outcome: &str) {
        self.0.runs.with_label_values(&[loop_name, outcome]).inc();
    }

    fn count_review(&self, record: &ReviewRecord) {
        for run in &record.detail.tools {
            let result = match (&run.failure_reason, &run.skip_reason) {
                (Some(_), _) => "failed",
                (None, Some(_)) => "skipped",
                (None, None) => "looked",
            };
            self.0.linter_runs.with_label_values(&[run.name.as_str(), result]).inc();
            self.0.linter_findings.with_label_values(&[&run.name]).inc_by(u64::from(run.findings));
        }
        let Some(modelled) = &record.detail.model_review else { return };
        let TokenUsage { input, output, cache_read, cache_write_5m, cache_write_1h } = modelled.tokens;
        let written = cache_write_5m.saturating_add(cache_write_1h);
        for (kind, count) in TOKEN_KINDS.into_iter().zip([input, output, cache_read, written]) {
            self.0.model_tokens.with_label_values(&[kind]).inc_by(count);
        }
        let denials = modelled.denials.values().map(|count| u64::from(*count)).sum();
        self.0.model_denials.inc_by(denials);
        for (end, count) in &modelled.conversation_ends {
            self.0.model_ends.with_label_values(&[end]).inc_by(u64::from(*count));
        }
        for (server, count) in &modelled.mcp_server_failures {
            self.0.mcp_failures.with_label_values(&[server]).inc_by(u64::from(*count));
        }
        self.record_run_cost(LoopKind::Review, record.cost());
    }
}

/// Makes the metrics of the table, and registers them.
struct MetricsBuilder(Registry);

impl MetricsBuilder {
    fn metric(name: &str) -> prometheus::Result<&'static MetricDefinition> {
        let unknown =
            || prometheus::Error::Msg(format!("the metric {name} is missing from the table of metrics"));
        METRICS.iter().find(|metric| metric.name == name).ok_or_else(unknown)
    }

    fn register_collector<M: Collector + Clone + 'static>(&self, collector: M) -> prometheus::Result<M> {
        self.0.register(Box::new(collector.clone()))?;
        Ok(collector)
    }

    fn register_metric<M: Collector + Clone + 'static>(
        &self,
        name: &str,
        make: fn(Opts) -> prometheus::Result<M>,
    ) -> prometheus::Result<M> {
        self.register_collector(make(Opts::new(name, Self::metric(name)?.help))?)
    }

    fn register_vec<M: Collector + Clone + 'static>(
        &self,
        name: &str,
        make: fn(Opts, &[&str]) -> prometheus::Result<M>,
    ) -> prometheus::Result<M> {
        let metric = Self::metric(name)?;
        self.register_collector(make(Opts::new(name, metric.help), metric.labels)?)
    }

    fn register_histogram_vec(&self, name: &str, bounds: &[f64]) -> prometheus::Result<HistogramVec> {
        let metric = Self::metric(name)?;
        let opts = HistogramOpts::new(name, metric.help).buckets(bounds.to_vec());
        self.register_collector(HistogramVec::new(opts, metric.labels)?)
    }

    fn register_histogram(&self, name: &str, bounds: &[f64]) -> prometheus::Result<Histogram> {
        let opts = HistogramOpts::new(name, Self::metric(name)?.help).buckets(bounds.to_vec());
        self.register_collector(Histogram::with_opts(opts)?)
    }
}

#[cfg(test)]
mod tests;
