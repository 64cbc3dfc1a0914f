//! Computes the totals of ended runs, overall and by day, and renders outcome records of reviews and converge
//! runs. Programs read these totals and records.

use serde::Serialize;
use serde_json::{Map, Value, json};
use truing_core::converge::ConvergeLogLine;
use truing_core::converge::record::ConvergeRecord;
use truing_core::money::MicroUsd;
use truing_core::outcome::{ReviewOutcomeKind, ReviewRecord};
use truing_core::port::SlotDescription;
use truing_core::run::{LoopStep as _, RunDetail, RunOutcome, RunRecord};
use truing_loops::text::format_instant;
use truing_store::RunEndCount;

use super::amount::mean_per_run;
use super::loops::format_day;
use super::reason_normalization::normalize_reason;

/// The totals of ended runs, with the number of runs by end.
#[derive(Serialize, Clone, Default)]
pub struct OutcomeTotals {
    /// Number of runs that have ended.
    pub runs: u64,
    /// Number of runs by end. Each key is the name of an outcome, such as `failed`.
    pub kinds: Map<String, Value>,
    /// Cost in micro-dollars, including the cost of runs without a record.
    pub cost_micro_usd: u64,
    /// The cost of runs without a record.
    pub unrecorded_micro_usd: u64,
    /// Mean duration of a run, in milliseconds.
    pub mean_ms: u64,
    /// The reasons for ends, the most frequent first.
    pub reasons: Vec<OutcomeReason>,
}

/// A reason for the end of runs.
#[derive(Serialize, Clone)]
pub struct OutcomeReason {
    /// The outcome of these runs.
    pub kind: String,
    /// The reason in words.
    pub reason: String,
    /// The number of runs with this reason.
    pub runs: u64,
}

/// The totals of runs that ended on one UTC day.
#[derive(Serialize)]
pub struct DayTotals {
    /// The day, formatted as `2026-09-21`.
    pub day: String,
    /// Number of runs that have ended.
    pub runs: u64,
    /// Number of runs by end. Each key is the name of an outcome, such as `failed`.
    pub kinds: Map<String, Value>,
    /// Total cost in micro-dollars.
    pub cost_micro_usd: u64,
    /// Mean duration of a run, in milliseconds.
    pub mean_ms: u64,
}

/// Returns the names of all outcomes that are reported. Outcomes that did not occur are included, so scripts
/// need not check for missing keys.
fn outcome_names(includes_loop_outcomes: bool) -> impl Iterator<Item = &'static str> + Clone {
    let others = includes_loop_outcomes.then_some(RunOutcome::Done.as_str());
    ReviewOutcomeKind::ALL.into_iter().map(ReviewOutcomeKind::as_str).chain(others)
}

fn count_kinds(end_counts: &[RunEndCount], includes_loop_outcomes: bool) -> Map<String, Value> {
    let count =
        |kind: &str| end_counts.iter().filter(|row| row.kind == kind).map(|row| row.runs).sum::<u64>();
    outcome_names(includes_loop_outcomes).map(|kind| (kind.to_owned(), count(kind).into())).collect()
}

/// Computes the totals of all rows. If `includes_loop_outcomes` is true, the outcomes of converge and
/// sync runs are included.
pub fn compute_totals(end_counts: &[RunEndCount], includes_loop_outcomes: bool) -> OutcomeTotals {
    let sum = |value_of: fn(&RunEndCount) -> u64| end_counts.iter().map(value_of).sum::<u64>();
    let runs = sum(|row| row.runs);
    OutcomeTotals {
        runs,
        kinds: count_kinds(end_counts, includes_loop_outcomes),
        cost_micro_usd: sum(|row| row.cost_micro_usd),
        unrecorded_micro_usd: 0,
        mean_ms: mean_per_run(sum(|row| row.total_duration_ms), runs),
        reasons: count_reasons(end_counts),
    }
}

impl OutcomeTotals {
    /// Adds the cost of runs without a record.
    #[must_use]
    pub fn with_unrecorded_cost(mut self, unrecorded_cost: MicroUsd) -> Self {
        self.cost_micro_usd = self.cost_micro_usd.saturating_add(unrecorded_cost.0);
        self.unrecorded_micro_usd = unrecorded_cost.0;
        self
    }
}

/// Returns the reasons for the runs' ends. The most frequent reason is first. Reasons that differ only in ids
/// and times are combined.
fn count_reasons(end_counts: &[RunEndCount]) -> Vec<OutcomeReason> {
    let mut by_words = std::collections::BTreeMap::<(&str, String), (&str, u64)>::new();
    for row in end_counts.iter().filter(|row| !row.reason.is_empty()) {
        by_words.entry((&row.kind, normalize_reason(&row.reason))).or_insert((&row.reason, 0)).1 += row.runs;
    }
    let mut reasons: Vec<OutcomeReason> = by_words
        .into_iter()
        .map(|((kind, _), (reason, runs))| OutcomeReason {
            kind: kind.to_owned(),
            reason: reason.to_owned(),
            runs,
        })
        .collect();
    reasons.sort_by_key(|reason| std::cmp::Reverse(reason.runs));
    reasons
}

/// Computes the totals of each UTC day. `end_counts` must be sorted by day.
pub fn compute_day_totals(end_counts: &[RunEndCount], includes_loop_outcomes: bool) -> Vec<DayTotals> {
    end_counts
        .chunk_by(|a, b| a.utc_day == b.utc_day)
        .map(|rows| {
            let OutcomeTotals { runs, kinds, cost_micro_usd, mean_ms, .. } =
                compute_totals(rows, includes_loop_outcomes);
            let day = rows.first().map_or_else(String::new, |row| format_day(row.utc_day));
            DayTotals { day, runs, kinds, cost_micro_usd, mean_ms }
        })
        .collect()
}

/// Merges two JSON objects. If both objects have the same field, the field of `extra_object` is used.
pub fn merge_objects(mut base_object: Value, extra_object: Value) -> Value {
    if let (Value::Object(base_object), Value::Object(extra_object)) = (&mut base_object, extra_object) {
        base_object.extend(extra_object);
    }
    base_object
}

/// Returns a run as `truing.outcome/1`: the common fields and the fields in `loop_fields`. If both have the
/// same field, the field in `loop_fields` is used.
pub fn outcome_json<D: RunDetail>(record: &RunRecord<D>, loop_fields: Value) -> Value {
    let step = record.furthest_step();
    let common = json!({
        "schema": "truing.outcome/1",
        "loop": D::LOOP,
        "key": record.key,
        "kind": record.run_outcome().map(D::outcome_word),
        "result": record.result_word(),
        "exit_reason": record.reason(),
        "update_type": null,
        "highest_step": {"id": step.as_str(), "title": step.title()},
        "steps": record.steps,
        "pr": null,
        "model": record.model,
        "prompt_hash": record.prompt_hash,
        "versions": record.versions,
        "evidence": null,
        "started": format_instant(record.started_at),
        "ended": format_instant(record.ended_at),
        "cost_micro_usd": record.cost(),
    });
    merge_objects(common, loop_fields)
}

/// Returns a review as an outcome record. A review by rules has no prompt and calls no model. In addition to
/// the common fields, the record contains the key, `review_id`, `name`, `url`, `head`, `base` and `open`.
pub fn review_outcome_json(record: &ReviewRecord, description: Option<&SlotDescription>) -> Value {
    let detail = &record.detail;
    let modelled = detail.model_review.as_ref();
    let open = detail
        .open_finding_counts
        .iter()
        .map(|(severity, count)| json!({"severity": severity, "count": count}));
    let own = json!({
        "memory_hash": modelled.and_then(|did| did.memory.as_ref()).map(|memory| &memory.hash),
        "review_id": record.run,
        "runtime": detail.outcome.runtime,
        "name": description.map(|description| &description.name),
        "url": description.map(|description| &description.url),
        "head": detail.head,
        "base": detail.base,
        "open": open.collect::<Vec<_>>(),
        "not_reviewed": detail.coverage.not_reviewed.len(),
        "turns": record.turns(),
        "tokens": modelled.map(|did| did.tokens),
        "permission_denials": modelled.map(|did| &did.denials),
        "dropped": modelled.map(|did| &did.rejected_findings),
    });
    outcome_json(record, own)
}

/// Returns a converge run as an outcome record. The evidence consists of the audits' findings and the pushed
/// commits.
pub fn converge_outcome_json(record: &ConvergeRecord, description: Option<&SlotDescription>) -> Value {
    let (detail, state) = (&record.detail, &record.detail.state);
    let is_final = record.run_outcome() == Some(RunOutcome::Done) && !state.audits_only;
    let kind = if is_final { "final" } else { "wip" };
    let own = json!({
        "pr": description.map(|description| json!({"kind": kind, "url": description.url})),
        "evidence": {
            "loops": state.audit_count,
            "audits": audit_counts(record),
            "absences": detail.absences,
            "commits": state.commits,
            "unreached": detail.unreached,
            "head": record.has_begun().then_some(&state.head),
            "code": detail.final_exit().map(|exit| exit.code),
        },
        "run": record.run,
        "name": detail.name,
        "branch": detail.branch,
    });
    outcome_json(record, own)
}

/// Numbers of an audit's findings, by severity.
#[derive(Serialize)]
#[allow(non_snake_case)]
pub struct AuditCounts {
    r#loop: u32,
    P0: u32,
    P1: u32,
    P2: u32,
}

/// Returns the numbers of findings by severity, for each audit of a run.
pub fn audit_counts(record: &ConvergeRecord) -> Vec<AuditCounts> {
    let counts = |line: &ConvergeLogLine| match line {
        ConvergeLogLine::Audit { number, counts: [a, b, c], .. } => {
            Some(AuditCounts { r#loop: *number, P0: *a, P1: *b, P2: *c })
        }
        ConvergeLogLine::Feedback { .. }
        | ConvergeLogLine::Fix { .. }
        | ConvergeLogLine::GateFix { .. }
        | ConvergeLogLine::HeadChange { .. } => None,
    };
    record.detail.state.log.iter().filter_map(counts).collect()
}
