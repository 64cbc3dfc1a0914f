//! Formats the result of a job's run: the outcome record as JSON, and lines of text.

use std::fmt::Write as _;

use serde_json::{Value, json};
use truing_core::id::UnixMillis;
use truing_core::run::LoopStep as _;
use truing_core::sync::SyncVerdict;
use truing_core::sync::job;
use truing_core::sync::record::{SyncOutcome as Outcome, SyncRecord};
use truing_loops::program_versions;
use truing_loops::text::{format_count, format_instant};

use crate::cli::error::{CliError, CommandExit};
use truing_service::report::amount::format_dollars;
use truing_service::report::outcome::outcome_json;

/// Returns the record in the format `truing.outcome/1`.
pub(in crate::cli) fn record_json(record: &SyncRecord) -> Value {
    let detail = &record.detail;
    let own = json!({
        "update_type": detail.verdict,
        "pr": detail.pull,
        "evidence": detail.evidence,
        "run": record.run,
        "job": detail.job,
        "package": detail.package,
        "from": detail.current_release,
        "to": detail.target_release,
        "question": detail.question_url,
        "turns": record.turns(),
        "carried_micro_usd": record.carried_micro_usd,
    });
    outcome_json(record, own)
}

/// Returns the JSON record of a run that could not begin or was stopped, with the run's start and end.
pub(super) fn error_json(
    name: &str,
    started_at: UnixMillis,
    ended_at: UnixMillis,
    error: &CliError,
) -> Value {
    let (result, kind) = match error.exit {
        CommandExit::Refusal | CommandExit::Interrupted => {
            (Outcome::Postponed, Outcome::Postponed.run_outcome())
        }
        CommandExit::Success
        | CommandExit::NegativeAnswer
        | CommandExit::Usage
        | CommandExit::Failure
        | CommandExit::Passthrough(_) => (Outcome::Failed, Outcome::Failed.run_outcome()),
    };
    json!({
        "schema": "truing.outcome/1",
        "loop": "sync",
        "key": job::job_key(name),
        "kind": kind,
        "result": result,
        "exit_reason": error.message,
        "update_type": null,
        "highest_step": null,
        "steps": [],
        "pr": null,
        "model": null,
        "prompt_hash": null,
        "versions": program_versions(),
        "evidence": null,
        "started": format_instant(started_at),
        "ended": format_instant(ended_at),
        "job": name,
    })
}

/// Formats the result of a run as text.
pub(super) fn render_text(record: &SyncRecord, dry_run: bool) -> String {
    let result = record.detail.result;
    let word = match (dry_run, result, record.detail.verdict) {
        (true, Outcome::DryRun, Some(SyncVerdict::Relax)) => "would relax".to_owned(),
        (true, Outcome::DryRun, Some(SyncVerdict::Bump)) => "would port".to_owned(),
        (true, Outcome::DryRun, _) => "would ask a model".to_owned(),
        (true, Outcome::QuestionAsked, _) => "would ask people".to_owned(),
        (..) => result.as_str().replace('_', " "),
    };
    let mut text = format!("{}: {word}", record.detail.job);
    if let (Some(from), Some(to)) = (&record.detail.current_release, &record.detail.target_release) {
        let _ = write!(text, " ({} {from} to {to})", record.detail.package);
    }
    let reason = &record.detail.exit_reason;
    let _ = writeln!(text, "\n{reason}");
    // An empty line follows a reason of several lines, such as a diff.
    if reason.contains('\n') {
        text.push('\n');
    }
    if let Some(question) = &record.detail.question_url {
        let already = if dry_run { " already" } else { "" };
        let _ = writeln!(text, "a question to people is open{already}: {question}");
    }
    for step in &record.steps {
        let _ = write!(text, "  {:<8} {:>7} ms  {}", step.step.as_str(), step.duration_ms, step.step.title());
        if step.turns > 0 {
            let cost = format_dollars(step.cost_micro_usd.0);
            let _ = write!(text, " ({}, {cost})", format_count(step.turns, "turn"));
        }
        text.push('\n');
    }
    if record.cost().0 > 0 {
        let turns = format_count(record.turns(), "turn");
        let _ = write!(text, "a model: {turns}, {}", format_dollars(record.cost().0));
        if record.carried_micro_usd.0 > 0 {
            let carried = format_dollars(record.carried_micro_usd.0);
            let _ = write!(text, ", {carried} of this cost is from earlier runs that were killed or stopped");
        }
        text.push('\n');
    }
    text
}
