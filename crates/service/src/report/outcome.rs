//! Totals and days of runs that ended, and reviews and runs that converge as outcome records, for programs.

use serde::Serialize;
use serde_json::{Map, Value, json};
use truing_core::converge::ConvergeLogLine;
use truing_core::converge::record::ConvergeRecord;
use truing_core::money::MicroUsd;
use truing_core::outcome::{OutcomeKind, ReviewRecord};
use truing_core::port::SlotDescription;
use truing_core::run::{LoopStep as _, RunDetail, RunOutcome, RunRecord};
use truing_loops::text::instant;
use truing_store::RunEndCount;

use super::alike::alike;
use super::amount::mean;
use super::loops::date;

/// How many runs ended how.
#[derive(Serialize, Clone, Default)]
pub struct OutcomeTotals {
    /// Runs that have ended.
    pub runs: u64,
    /// The number of them by the word of their end.
    pub kinds: Map<String, Value>,
    /// Micro-dollars; the cost of runs without a record is in it.
    pub cost_micro_usd: u64,
    /// The part of it that runs without a record have cost.
    pub unrecorded_micro_usd: u64,
    /// The time that one took, in milliseconds.
    pub mean_ms: u64,
    /// The reasons, the most frequent first.
    pub reasons: Vec<OutcomeReason>,
}

/// A reason for the end of runs.
#[derive(Serialize, Clone)]
pub struct OutcomeReason {
    /// The word of the end.
    pub kind: String,
    /// The reason in words.
    pub reason: String,
    /// The number of runs with it.
    pub runs: u64,
}

/// The runs that ended on one UTC day.
#[derive(Serialize)]
pub struct DayTotals {
    /// The day, as `2026-09-21`.
    pub day: String,
    /// Runs that have ended.
    pub runs: u64,
    /// The number of them by the word of their end.
    pub kinds: Map<String, Value>,
    /// Micro-dollars.
    pub cost_micro_usd: u64,
    /// The time that one took, in milliseconds.
    pub mean_ms: u64,
}

/// The words of ends that are told, also of those that did not happen: a script need not ask whether they are there.
fn words(has_others: bool) -> impl Iterator<Item = &'static str> + Clone {
    let others = has_others.then_some(RunOutcome::Done.as_str());
    OutcomeKind::ALL.into_iter().map(OutcomeKind::as_str).chain(others)
}

fn kinds(ended: &[RunEndCount], has_others: bool) -> Map<String, Value> {
    let count = |kind: &str| ended.iter().filter(|row| row.kind == kind).map(|row| row.runs).sum::<u64>();
    words(has_others).map(|kind| (kind.to_owned(), count(kind).into())).collect()
}

/// Of all of them; `has_others`: with the words of the other loops.
pub fn totals(ended: &[RunEndCount], has_others: bool) -> OutcomeTotals {
    let sum = |of: fn(&RunEndCount) -> u64| ended.iter().map(of).sum::<u64>();
    let runs = sum(|row| row.runs);
    OutcomeTotals {
        runs,
        kinds: kinds(ended, has_others),
        cost_micro_usd: sum(|row| row.cost),
        unrecorded_micro_usd: 0,
        mean_ms: mean(sum(|row| row.ms), runs),
        reasons: reasons(ended),
    }
}

impl OutcomeTotals {
    /// With what runs have cost of which no record tells.
    #[must_use]
    pub fn with(mut self, unrecorded: MicroUsd) -> Self {
        self.cost_micro_usd = self.cost_micro_usd.saturating_add(unrecorded.0);
        self.unrecorded_micro_usd = unrecorded.0;
        self
    }
}

/// Reasons, the most frequent first; of those that differ in ids and times alone one, with all its runs.
fn reasons(ended: &[RunEndCount]) -> Vec<OutcomeReason> {
    let mut by_words = std::collections::BTreeMap::<(&str, String), (&str, u64)>::new();
    for row in ended.iter().filter(|row| !row.reason.is_empty()) {
        by_words.entry((&row.kind, alike(&row.reason))).or_insert((&row.reason, 0)).1 += row.runs;
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

/// Of each UTC day; they come day by day.
pub fn days(ended: &[RunEndCount], has_others: bool) -> Vec<DayTotals> {
    ended
        .chunk_by(|a, b| a.day == b.day)
        .map(|rows| {
            let OutcomeTotals { runs, kinds, cost_micro_usd, mean_ms, .. } = totals(rows, has_others);
            let day = rows.first().map_or_else(String::new, |row| date(row.day));
            DayTotals { day, runs, kinds, cost_micro_usd, mean_ms }
        })
        .collect()
}

/// An object with the fields of another, which replace its own.
pub fn merged(mut all: Value, more: Value) -> Value {
    if let (Value::Object(all), Value::Object(more)) = (&mut all, more) {
        all.extend(more);
    }
    all
}

/// A run as `truing.outcome/1`: the common fields; a field in `own` is added, or replaces the common one.
pub fn outcome<D: RunDetail>(record: &RunRecord<D>, own: Value) -> Value {
    let step = record.furthest();
    let common = json!({
        "schema": "truing.outcome/1",
        "loop": D::LOOP,
        "key": record.key,
        "kind": record.end().map(D::word),
        "result": record.result(),
        "exit_reason": record.reason(),
        "update_type": null,
        "highest_step": {"id": step.as_str(), "title": step.title()},
        "steps": record.steps,
        "pr": null,
        "model": record.model,
        "prompt_hash": record.prompt_hash,
        "versions": record.versions,
        "evidence": null,
        "started": instant(record.started),
        "ended": instant(record.ended),
        "cost_micro_usd": record.cost(),
    });
    merged(common, own)
}

/// A review. One by rules has no prompt and calls no model. What it was of, beside the key: `review_id`, `name`, `url`,
/// `head`, `base`, `open`.
pub fn review(record: &ReviewRecord, known: Option<&SlotDescription>) -> Value {
    let detail = &record.detail;
    let modelled = detail.modelled.as_ref();
    let open = detail.open.iter().map(|(severity, count)| json!({"severity": severity, "count": count}));
    let own = json!({
        "memory_hash": modelled.and_then(|did| did.memory.as_ref()).map(|memory| &memory.hash),
        "review_id": record.run,
        "runtime": detail.outcome.runtime,
        "name": known.map(|known| &known.name),
        "url": known.map(|known| &known.url),
        "head": detail.head,
        "base": detail.base,
        "open": open.collect::<Vec<_>>(),
        "not_reviewed": detail.coverage.not_reviewed.len(),
        "turns": record.turns(),
        "tokens": modelled.map(|did| did.tokens),
        "permission_denials": modelled.map(|did| &did.denials),
        "dropped": modelled.map(|did| &did.dropped),
    });
    outcome(record, own)
}

/// A run that converges. Its evidence is what the audits found, and what was pushed.
pub fn converge(record: &ConvergeRecord, known: Option<&SlotDescription>) -> Value {
    let (detail, state) = (&record.detail, &record.detail.state);
    let is_final = record.end() == Some(RunOutcome::Done) && !state.audits_only;
    let kind = if is_final { "final" } else { "wip" };
    let own = json!({
        "pr": known.map(|known| json!({"kind": kind, "url": known.url})),
        "evidence": {
            "loops": state.audits,
            "audits": audits(record),
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
    outcome(record, own)
}

/// An audit by its findings.
#[derive(Serialize)]
#[allow(non_snake_case)]
pub struct AuditCounts {
    r#loop: u32,
    P0: u32,
    P1: u32,
    P2: u32,
}

/// What each audit found.
pub fn audits(record: &ConvergeRecord) -> Vec<AuditCounts> {
    let counts = |line: &ConvergeLogLine| match line {
        ConvergeLogLine::Audit { number, counts: [a, b, c], .. } => {
            Some(AuditCounts { r#loop: *number, P0: *a, P1: *b, P2: *c })
        }
        ConvergeLogLine::Heard { .. }
        | ConvergeLogLine::Fix { .. }
        | ConvergeLogLine::Mend { .. }
        | ConvergeLogLine::Moved { .. } => None,
    };
    record.detail.state.log.iter().filter_map(counts).collect()
}
