//! What a run of a job came to, as it is printed: the outcome record of cli.md, and lines for people.

use std::fmt::Write as _;

use serde_json::{Value, json};
use truing_core::follow::job;
use truing_core::follow::record::{Record, Step};

use crate::cli::target::instant;

/// The record (`truing.outcome/1`).
pub(in crate::cli) fn json(record: &Record) -> Value {
    let step = |step: Step| json!({ "id": step.as_str(), "title": step.title() });
    json!({
        "schema": "truing.outcome/1",
        "loop": "sync",
        "key": job::key(&record.job),
        "kind": record.result.kind(),
        "result": record.result,
        "exit_reason": record.exit_reason,
        "update_type": record.update_type,
        "highest_step": step(record.highest_step),
        "steps": record.steps,
        "pr": record.pull,
        "model": record.model,
        "prompt_hash": record.prompt_hash,
        "versions": record.versions,
        "evidence": record.evidence,
        "started": instant(record.started),
        "ended": instant(record.ended),
        "run": record.run,
        "job": record.job,
        "package": record.package,
        "from": record.from,
        "to": record.to,
        "question": record.question,
        "turns": record.turns(),
        "cost_micro_usd": record.cost(),
    })
}

/// The same, for people.
pub(super) fn text(record: &Record) -> String {
    let word = record.result.as_str().replace('_', " ");
    let mut text = format!("{}: {word}", record.job);
    if let (Some(from), Some(to)) = (&record.from, &record.to) {
        let _ = write!(text, " ({} {from} to {to})", record.package);
    }
    let _ = writeln!(text, "\n{}", record.exit_reason);
    if let Some(question) = &record.question {
        let _ = writeln!(text, "people are asked: {question}");
    }
    for step in &record.steps {
        let _ = writeln!(text, "  {:<8} {:>7} ms  {}", step.id.as_str(), step.ms, step.id.title());
    }
    text
}
