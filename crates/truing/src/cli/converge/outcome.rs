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

/// Prints what a target came to: a run that has ended, or why there was none. `is_one_of_many`: what is for people
/// tells it by its name. The exit code.
pub(super) async fn print(
    name: Option<&str>,
    is_one_of_many: bool,
    ended: Result<(Record, Mirror), CliError>,
    context: &Context,
) -> Result<Exit, CliError> {
    let output = context.output;
    let shown = name.filter(|_| is_one_of_many);
    let (record, mirror) = match ended {
        Ok(ended) => ended,
        Err(mut error) => {
            if output.is_json() {
                output.json(&not_begun(name, &error))?;
            }
            if let Some(shown) = shown.filter(|shown| !error.message.contains(*shown)) {
                error.message = format!("{shown}: {}", error.message);
            }
            output.complain(&error);
            return Ok(error.exit);
        }
    };
    if output.is_json() {
        output.json(&json(&record))?;
    } else {
        let title = shown.map(|shown| format!("{}\n", line::clean(shown, MAX_REASON))).unwrap_or_default();
        let end = if is_one_of_many { "\n" } else { "" };
        output.data(format_args!("{title}{}{end}", text(&record, &mirror).await?))?;
    }
    complain(&record, shown, context);
    Ok(exit(&record))
}

/// Says, as every command does, why a run could not go on.
fn complain(record: &Record, shown: Option<&str>, context: &Context) {
    let Some(exit) = record.state.exit.as_ref().filter(|exit| exit.kind() == Kind::Error) else { return };
    let reason = line::clean(&exit.reason, MAX_REASON);
    let whose = shown.map(|shown| format!("{}: ", line::clean(shown, MAX_REASON))).unwrap_or_default();
    context.output.insist(format_args!("error: {whose}{reason}\nhint: {}\n", hint(exit.code)));
}

/// What ends a run that was told to stop before it had begun.
pub(super) fn interrupted() -> CliError {
    CliError::new(Exit::Interrupted, Code::Interrupted.as_str(), "interrupted before it was begun")
        .hint("nothing was done; run it again")
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
pub(super) fn not_begun(name: Option<&str>, error: &CliError) -> Value {
    let (kind, code) = match error.exit {
        Exit::Usage | Exit::Refused | Exit::Done | Exit::No => (Kind::Refused, error.code),
        Exit::Failed | Exit::Of(_) => (Kind::Error, Code::Infrastructure.as_str()),
        Exit::Interrupted => (Kind::Interrupted, error.code),
    };
    let mut object = json!(error.to_json());
    let fields = json!({
        "pr": name,
        "exit": kind.as_str(),
        "code": code,
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
