//! What a model may say about a change: findings, by the schema of one tool, `report`.
//!
//! A tool, and not structured output, because every endpoint that can run the tool loop at all has tools; a wrong
//! report can be answered as a failed call; and findings that were reported before a limit are not lost with it
//! (docs/adr/0018). What is reported is data: [`check`] compares it with the tree before anything is believed. A
//! replacement of lines is one that somebody else has still to prove: forges offer to apply it.

pub mod audit;
mod check;
pub mod described;
pub mod judged;
pub mod mended;
mod owed;
mod proposed;
pub mod walkthrough;
pub mod work;

#[cfg(test)]
mod tests;

use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use truing_core::finding::{DefectCategory, Severity};
use truing_model::messages::ToolDefinition;

use crate::native::ReportForm;

pub use check::{CheckedFindings, DropReason, check, rule, unfit};
pub use owed::{RecheckStatus, ReportedVerdict, missing, verdicts};
pub use proposed::shown;

/// The tool's name.
pub const REPORT: &str = "report";
/// Findings of one run.
pub const MAX_FINDINGS: usize = 50;
/// Characters of a title.
pub const MAX_TITLE_CHARS: usize = 120;
/// Bytes of a body.
pub const MAX_BODY_BYTES: usize = 4 << 10;
/// Bytes of an excerpt, and of a path.
pub const MAX_CODE_BYTES: usize = 4 << 10;
/// Characters of a tool's name as it is repeated.
pub const MAX_NAME_CHARS: usize = 60;
/// Findings of all reports of a run that are looked at, and verdicts on earlier ones; the others are only counted.
const MAX_ITEMS: usize = 200;

/// One call of `report`.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct FindingsReport {
    /// What it holds.
    pub items: UncheckedFindings,
    /// Will there be another one?
    pub more: bool,
}

/// What was reported, not yet checked against the tree.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct UncheckedFindings {
    /// Findings that have the form.
    pub findings: Vec<ReportedFinding>,
    /// How many have not.
    pub malformed: u32,
    /// How many were beyond the bound.
    pub beyond: u32,
    /// Its verdicts on findings of earlier reviews.
    pub verdicts: Vec<ReportedVerdict>,
    /// The lines of its walkthrough, if one was asked for.
    pub walkthrough: Vec<ReportedLine>,
}

impl UncheckedFindings {
    /// With those of another report.
    pub fn add(&mut self, more: Self) {
        let room = MAX_ITEMS.saturating_sub(self.findings.len());
        let beyond = more.findings.len().saturating_sub(room);
        self.findings.extend(more.findings.into_iter().take(room));
        self.malformed = self.malformed.saturating_add(more.malformed);
        let beyond = u32::try_from(beyond).unwrap_or(u32::MAX);
        self.beyond = self.beyond.saturating_add(more.beyond).saturating_add(beyond);
        self.verdicts.extend(more.verdicts);
        self.verdicts.truncate(MAX_ITEMS);
        self.walkthrough.extend(more.walkthrough);
        self.walkthrough.truncate(MAX_ITEMS);
    }
}

impl ReportForm for UncheckedFindings {
    const ASK_AGAIN: &str = "Your answer was not a report, so nothing of it counts. Call the tool `report` now, \
        with all your findings, or with an empty list if there are none.";
    const BE_BRIEF: &str = "Your last answer was cut off because it was too long. Go on, more briefly: report a few \
        findings at a time, with `more` set to true until the last call.";
    const CONCLUDE: &str = "This is your last turn. Call the tool `report` now with all findings that you have not \
        reported yet. No other tool will be called.";

    // What was found counts, though a verdict is missing, or a finding does not fit, that the model was asked for.
    const STANDS: bool = true;

    fn tool() -> ToolDefinition {
        tool()
    }

    fn read(input: &Value) -> Result<(Self, bool), String> {
        read(input).map(|report| (report.items, report.more)).map_err(|malformed| malformed.to_string())
    }

    fn in_text(text: &str) -> Option<(Self, bool)> {
        in_text(text).map(|report| (report.items, report.more))
    }

    fn add(&mut self, more: Self) {
        Self::add(self, more);
    }

    fn taken(&self) -> String {
        format!("{} findings taken", self.findings.len())
    }
}

/// A finding as a model says it.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct ReportedFinding {
    /// The file at the head.
    pub path: String,
    /// First line.
    pub start_line: u32,
    /// Last line; none: the first one.
    #[serde(default)]
    pub end_line: Option<u32>,
    /// How bad.
    pub severity: Severity,
    /// What kind.
    pub category: DefectCategory,
    /// One line.
    pub title: String,
    /// Why it matters and what to do, in Markdown.
    pub body: String,
    /// What the lines say, word by word.
    pub excerpt: String,
    /// The text that they should be.
    #[serde(default, deserialize_with = "text_or_none")]
    pub replacement: Option<String>,
}

/// A text, if it is one: what else stands there costs no finding.
fn text_or_none<'de, D: Deserializer<'de>>(value: D) -> Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(value)? {
        Value::String(text) => Some(text),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => None,
    })
}

/// A line of a walkthrough as a model says it.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct ReportedLine {
    /// The file at the head.
    pub path: String,
    /// The sentence about it.
    pub text: String,
}

/// Why an input of `report` is none.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum MalformedReport {
    /// It is no object.
    #[error("the input of `report` must be an object with the list `findings`")]
    NoObject,
    /// It has no list of findings.
    #[error("the input of `report` has no list `findings`")]
    NoFindings,
    /// None of its findings has the form.
    #[error("no finding has the form of the schema; the first: {0}")]
    NoneFits(String),
}

/// The tool, as the model is told of it.
pub fn tool() -> ToolDefinition {
    let mut finding = finding_form();
    finding["properties"]["replacement"] = json!({ "type": "string",
        "description": "Only if these lines alone fix it: their whole new text, with its indentation. `excerpt` is all of \
            the lines then." });
    let input_schema = json!({
        "type": "object",
        "properties": {
            "findings": { "type": "array", "items": finding,
                "description": format!("The defects, worst first; an empty list if there are none. At most {MAX_FINDINGS} in all.") },
            "verdicts": { "type": "array", "items": owed::form(),
                "description": "One for each open finding of an earlier review that you were shown; leave it out if \
                    there was none." },
            "more": { "type": "boolean",
                "description": "True only if you will call `report` again with further findings." },
        },
        "required": ["findings"],
        "additionalProperties": false,
    });
    ToolDefinition {
        name: REPORT.to_owned(),
        description:
            "Reports the defects you found in the change, and ends the review. Text outside of this tool \
            is not read by anybody."
                .to_owned(),
        input_schema,
        cache_control: None,
    }
}

/// The form of a finding.
fn finding_form() -> Value {
    let text = |about: &str| json!({ "type": "string", "description": about });
    let line = |about: &str| json!({ "type": "integer", "minimum": 1, "description": about });
    json!({
        "type": "object",
        "properties": {
            "path": text("The file, as the diff names it at the head."),
            "start_line": line("The first line of the defect in the file at the head, from 1."),
            "end_line": line("The last line, if there is more than one."),
            "severity": { "type": "string", "enum": ["P0", "P1", "P2"],
                "description": "P0: must not be merged. P1: to be mended before merging. P2: worth knowing." },
            "category": { "type": "string", "enum": ["A", "B", "C", "D", "E", "F", "G", "H", "I", "J"],
                "description": "A API contract. B compatibility of queries and engines. C cleanup and lifecycle. \
                    D scoping and ordering. E dead code. F silent failures. G bounds and overflow. H security \
                    boundaries. I concurrency. J magic values, configuration drift, code rules." },
            "title": text("What is wrong, in one line."),
            "body": text("Why it matters and what to do, in Markdown."),
            "excerpt": text("The text of the lines start_line to end_line, copied from the file."),
        },
        "required": ["path", "start_line", "severity", "category", "title", "body", "excerpt"],
        "additionalProperties": false,
    })
}

/// Reads a call's input. A finding without the form costs no other one.
///
/// # Errors
/// [`MalformedReport`], if the model should say it again.
pub fn read(input: &Value) -> Result<FindingsReport, MalformedReport> {
    let Value::Object(fields) = input else { return Err(MalformedReport::NoObject) };
    let Some(Value::Array(found)) = fields.get("findings") else { return Err(MalformedReport::NoFindings) };
    let mut items =
        UncheckedFindings { verdicts: owed::read(fields.get("verdicts")), ..UncheckedFindings::default() };
    let mut first_wrong = None;
    for value in found {
        if items.findings.len() >= MAX_ITEMS {
            items.beyond = items.beyond.saturating_add(1);
            continue;
        }
        match ReportedFinding::deserialize(value) {
            Ok(item) => items.findings.push(item),
            Err(error) => {
                items.malformed = items.malformed.saturating_add(1);
                first_wrong.get_or_insert(truing_core::line::clean(&error.to_string(), MAX_TITLE_CHARS));
            }
        }
    }
    match first_wrong {
        Some(wrong) if items.findings.is_empty() => Err(MalformedReport::NoneFits(wrong)),
        Some(_) | None => {
            let more = fields.get("more").and_then(Value::as_bool).unwrap_or(false);
            Ok(FindingsReport { items, more })
        }
    }
}

/// A report that a model wrote out instead of calling the tool: an object, alone or in the last fence of its text.
pub fn in_text(text: &str) -> Option<FindingsReport> {
    read(&object_in(text)?).ok()
}

/// JSON that a model wrote, alone or in the last fence of its text.
fn object_in(text: &str) -> Option<Value> {
    let fenced = || {
        let (before, _) = text.trim_end().rsplit_once("```")?;
        let (_, inside) = before.rsplit_once("```")?;
        Some(inside.trim_start_matches("json"))
    };
    let parse = |text: &str| serde_json::from_str::<Value>(text.trim()).ok();
    parse(text).or_else(|| parse(fenced()?))
}
