//! Renders runs as CSV (RFC 4180): a header, and one row for each run, newest first. The costs add up to the
//! total of the other formats, because the cost without a run has a separate row.

use std::error::Error;

use truing_core::money::MicroUsd;
use truing_core::slot::LoopKind;
use truing_loops::text::format_instant;

use super::run::ReportedRun;
use super::section::LoopSection;

/// The columns. New columns are appended at the end.
const COLUMNS: [&str; 25] = [
    "loop",
    "run",
    "key",
    "name",
    "kind",
    "result",
    "exit_reason",
    "update_type",
    "package",
    "from",
    "to",
    "highest_step",
    "turns",
    "tokens",
    "cost_micro_usd",
    "ms",
    "model",
    "prompt_hash",
    "pr_kind",
    "pr_url",
    "question",
    "started",
    "ended",
    "steps",
    "origin",
];

/// Renders the sections as one table.
///
/// # Errors
/// An error of the CSV writer. In practice no such error occurs, because the writer writes to memory and
/// accepts any text.
pub fn render_csv(sections: &[LoopSection]) -> Result<String, Box<dyn Error + Send + Sync>> {
    let mut table = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    table.write_record(COLUMNS)?;
    let runs = sections.iter().flat_map(|section| &section.runs).map(render_row);
    let unrecorded =
        sections.iter().filter(|section| section.unrecorded_cost > MicroUsd(0)).map(unrecorded_row);
    for row in runs.chain(unrecorded) {
        table.write_record(row)?;
    }
    let bytes = table.into_inner().map_err(csv::IntoInnerError::into_error)?;
    Ok(String::from_utf8(bytes)?)
}

fn render_row(run: &ReportedRun) -> [String; COLUMNS.len()] {
    let word = |word: Option<&str>| word.unwrap_or_default().to_owned();
    let foreign = |text: Option<&String>| text.map_or_else(String::new, |text| escape_formula(text));
    [
        run.loop_kind.as_str().to_owned(),
        run.id.clone(),
        escape_formula(&run.slot_key),
        escape_formula(&run.name),
        run.outcome_word().to_owned(),
        word(run.result.as_deref()),
        escape_formula(&run.reason),
        word(run.update_type),
        foreign(run.package.as_ref()),
        foreign(run.previous_release.as_ref()),
        foreign(run.target_release.as_ref()),
        run.furthest_step.to_owned(),
        run.turns().to_string(),
        run.tokens().to_string(),
        run.cost_micro_usd().to_string(),
        run.duration_ms().to_string(),
        foreign(run.model.as_ref()),
        word(run.prompt_hash.as_deref()),
        word(run.pull_kind),
        foreign(run.pull_url.as_ref()),
        foreign(run.question_url.as_ref()),
        format_instant(run.started_at),
        format_instant(run.ended_at),
        render_steps_cell(run),
        word(run.origin()),
    ]
}

/// Makes the row for the unrecorded cost of a loop.
fn unrecorded_row(section: &LoopSection) -> [String; COLUMNS.len()] {
    COLUMNS.map(|column| match column {
        "loop" => section.loop_kind.as_str().to_owned(),
        "kind" => "unrecorded".to_owned(),
        "exit_reason" => "runs that have no record or are still running".to_owned(),
        "cost_micro_usd" => section.unrecorded_cost.0.to_string(),
        "origin" if section.loop_kind == LoopKind::Review => {
            if section.is_local() { "local" } else { "served" }.to_owned()
        }
        _ => String::new(),
    })
}

/// Formats the steps as `step:turns:cost:ms`, with a space between steps. Scripts can easily parse this
/// format.
fn render_steps_cell(run: &ReportedRun) -> String {
    let each = |part: &super::run::ReportedStep| {
        format!("{}:{}:{}:{}", part.step, part.turns, part.cost_micro_usd.0, part.duration_ms)
    };
    run.steps.iter().map(each).collect::<Vec<_>>().join(" ")
}

/// Prevents a spreadsheet from interpreting untrusted text as a formula. If the first character would begin a
/// formula, an apostrophe is inserted before it.
fn escape_formula(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() }
}
