//! What a run came to, for people and for programs (cli.md, "Converge").

use serde::Serialize;
use serde_json::{Value, json};
use truing_core::converge::record::Record;
use truing_core::converge::{Code, Kind, Line};
use truing_core::finding::Finding;
use truing_core::id::Sha;
use truing_core::line;
use truing_git::Mirror;

use super::exit;
use crate::cli::Context;
use crate::cli::error::{CliError, Exit};
use crate::cli::review::json::found;
use crate::loops::converge::local::branch;
use crate::loops::converge::words;
use crate::wiring;

/// Characters of a reason.
const MAX_REASON: usize = 600;

/// An audit by its findings.
#[derive(Serialize)]
#[allow(non_snake_case)]
pub(in crate::cli) struct Counts {
    r#loop: u32,
    P0: u32,
    P1: u32,
    P2: u32,
}

/// Prints a run that has ended. The exit code.
pub(super) async fn print((record, mirror): &(Record, Mirror), context: &Context) -> Result<Exit, CliError> {
    if context.output.is_json() {
        context.output.json(&json(record))?;
        complain(record, context);
        return Ok(exit(record));
    }
    context.output.data(text(record, mirror).await?)?;
    complain(record, context);
    Ok(exit(record))
}

/// Says, as every command does, why a run could not go on.
fn complain(record: &Record, context: &Context) {
    let Some(exit) = record.state.exit.as_ref().filter(|exit| exit.kind() == Kind::Error) else { return };
    let reason = line::clean(&exit.reason, MAX_REASON);
    context.output.insist(format_args!("error: {reason}\nhint: {}\n", hint(exit.code)));
}

/// What is to be done about it.
fn hint(code: Code) -> &'static str {
    if code == Code::Budget {
        "raise `budget.converge_usd`, and run it again: it goes on where it was"
    } else if code == Code::Gate {
        "see what it says: `truing gate`"
    } else {
        "see what is missing: `truing preflight`; then run it again: it goes on where it was"
    }
}

/// Is the run's branch there? A run's own is made by its first fix.
fn is_there(record: &Record) -> bool {
    record.branch != branch(&record.run) || !record.state.commits.is_empty()
}

/// A run for people.
pub(super) async fn text(record: &Record, mirror: &Mirror) -> Result<String, CliError> {
    let mut text = words::report(mirror, record).await.map_err(wiring::git_error)?;
    // Of a pull request they are where its author looks for them.
    if !record.state.commits.is_empty() && record.branch == branch(&record.run) {
        text += &format!("\nFixes are on branch {0}: git merge --ff-only {0}\n", record.branch);
    }
    Ok(text)
}

/// What each audit found.
pub(in crate::cli) fn audits(record: &Record) -> Vec<Counts> {
    let counts = |line: &Line| match line {
        Line::Audit { number, counts: [a, b, c], .. } => {
            Some(Counts { r#loop: *number, P0: *a, P1: *b, P2: *c })
        }
        Line::Heard { .. } | Line::Fix { .. } | Line::Mend { .. } | Line::Moved { .. } => None,
    };
    record.state.log.iter().filter_map(counts).collect()
}

/// A run as an object.
fn json(record: &Record) -> Value {
    let state = &record.state;
    let (open, declined) = words::remaining(record);
    let findings = |findings: Vec<&Finding>| -> Vec<Value> {
        findings.into_iter().map(|finding| json!(found(finding))).collect()
    };
    json!({
        "pr": record.name,
        "exit": state.exit.as_ref().map(|exit| exit.kind().as_str()),
        "code": state.exit.as_ref().map(|exit| exit.code.as_str()),
        "reason": state.exit.as_ref().map(|exit| exit.reason.as_str()),
        // One that was begun and gave nothing is not done.
        "loops": audits(record).len(),
        "audits": audits(record),
        "commits": state.commits.iter().map(Sha::as_str).collect::<Vec<_>>(),
        "remaining": findings(open),
        "declined": findings(declined),
        "warnings": record.warnings,
        "cost_micro_usd": record.cost(),
        "run": record.run,
        "branch": is_there(record).then_some(&record.branch),
        "base": record.base,
        "starting": state.starting,
        "head": state.head,
    })
}

/// A run that was not begun, as an object; with what every error of a command has.
pub(super) fn refused(error: &CliError) -> Value {
    let mut object = json!(error.to_json());
    let fields = json!({
        "pr": null,
        "exit": "refused",
        "code": error.code,
        "reason": error.message,
        "loops": 0,
        "audits": [],
        "commits": [],
        "remaining": [],
        "declined": [],
        "warnings": [],
        "cost_micro_usd": 0,
    });
    if let (Some(object), Value::Object(fields)) = (object.as_object_mut(), fields) {
        object.extend(fields);
    }
    object
}
