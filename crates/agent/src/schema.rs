//! The findings that a model reports about a change. The model reports its findings by calling the tool
//! `report`, whose input has a schema.
//!
//! The report is a tool call instead of structured output for three reasons (docs/adr/0018). Every endpoint
//! that supports the tool loop has tools. An invalid report can be answered as a failed call. Findings that
//! were reported before a limit are not lost. A report is data, which `check` compares with the tree before
//! Truing uses it. The caller must still verify the proposed replacement of a finding's lines, because people
//! can apply a replacement with one click in the forge.

pub mod audit;
mod check;
pub mod description;
pub mod fix_report;
pub mod judged;
mod proposed;
mod recheck_verdicts;
pub mod walkthrough;
pub mod work;

#[cfg(test)]
mod tests;

use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use truing_core::finding::{DefectCategory, Severity};
use truing_model::messages::ToolDefinition;

use crate::native::ReportSchema;

pub use check::{CheckedFindings, DropReason, category_rule, check_findings, mismatch_message};
pub use proposed::truncate_replacement;
pub use recheck_verdicts::{RecheckStatus, ReportedVerdict, missing_verdicts_message, to_recheck_verdicts};

/// Name of the report tool.
pub const REPORT_TOOL: &str = "report";
/// Maximum number of findings of one run.
pub const MAX_FINDINGS: usize = 50;
/// Maximum number of characters of a title.
pub const MAX_TITLE_CHARS: usize = 120;
/// Maximum number of bytes of a body.
pub const MAX_BODY_BYTES: usize = 4 << 10;
/// Maximum number of bytes of an excerpt, and of a path.
pub const MAX_CODE_BYTES: usize = 4 << 10;
/// Maximum number of characters of a tool's name that a message shows.
pub const MAX_QUOTED_NAME_CHARS: usize = 60;
/// Maximum number of findings in all reports of a run together. The same limit applies to verdicts on
/// findings of earlier reviews. Further findings are only counted. Further verdicts are ignored.
const MAX_REPORTED_ITEMS: usize = 200;

/// One call of `report`.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct FindingsReport {
    /// The reported findings and verdicts.
    pub unchecked_findings: UncheckedFindings,
    /// True if another report will follow.
    pub has_more: bool,
}

/// The reported items, not yet checked against the tree.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct UncheckedFindings {
    /// Findings that match the schema.
    pub findings: Vec<ReportedFinding>,
    /// Number of findings that do not match the schema.
    pub malformed_count: u32,
    /// Number of findings above the limit.
    pub excess_count: u32,
    /// Verdicts on findings of earlier reviews.
    pub verdicts: Vec<ReportedVerdict>,
    /// Lines of the walkthrough, if the request asked for a walkthrough.
    pub walkthrough: Vec<ReportedWalkthroughLine>,
}

impl UncheckedFindings {
    /// Adds the items of another report.
    pub fn add(&mut self, report: Self) {
        let room = MAX_REPORTED_ITEMS.saturating_sub(self.findings.len());
        let beyond = report.findings.len().saturating_sub(room);
        self.findings.extend(report.findings.into_iter().take(room));
        self.malformed_count = self.malformed_count.saturating_add(report.malformed_count);
        let beyond = u32::try_from(beyond).unwrap_or(u32::MAX);
        self.excess_count = self.excess_count.saturating_add(report.excess_count).saturating_add(beyond);
        self.verdicts.extend(report.verdicts);
        self.verdicts.truncate(MAX_REPORTED_ITEMS);
        self.walkthrough.extend(report.walkthrough);
        self.walkthrough.truncate(MAX_REPORTED_ITEMS);
    }
}

impl ReportSchema for UncheckedFindings {
    const RETRY_MESSAGE: &str = "Your answer was not a report, so nothing of it counts. Call the tool \
        `report` now, with all your findings, or with an empty list if there are none.";
    const CUT_OFF_MESSAGE: &str = "Your last answer was cut off because it was too long. Go on, more \
        briefly: \
         report a few findings at a time, with `more` set to true until the last call.";
    const LAST_TURN_MESSAGE: &str = "This is your last turn. Call the tool `report` now with all \
        findings that you have not reported yet. No other tool will be called.";

    // A report that the check rejected is kept. Its findings therefore count even if a verdict is missing, or
    // if one of the findings does not match its file.
    const KEEPS_REJECTED_REPORTS: bool = true;

    fn tool() -> ToolDefinition {
        findings_tool()
    }

    fn parse_tool_input(input: &Value) -> Result<(Self, bool), String> {
        read_findings(input)
            .map(|report| (report.unchecked_findings, report.has_more))
            .map_err(|malformed| malformed.to_string())
    }

    fn parse_text(text: &str) -> Option<(Self, bool)> {
        parse_report_text(text).map(|report| (report.unchecked_findings, report.has_more))
    }

    fn accept_report(&mut self, report: Self) {
        Self::add(self, report);
    }

    fn acceptance_message(&self) -> String {
        format!("{} findings taken", self.findings.len())
    }
}

/// A finding as the model reports it.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct ReportedFinding {
    /// Path of the file in the head commit.
    pub path: String,
    /// First line that has the defect.
    pub start_line: u32,
    /// Last line that has the defect; defaults to the first line.
    #[serde(default)]
    pub end_line: Option<u32>,
    pub severity: Severity,
    pub category: DefectCategory,
    /// Title in one line.
    pub title: String,
    /// Description of the defect and its fix, in Markdown.
    pub body: String,
    /// Literal text of the lines that have the defect.
    pub excerpt: String,
    /// Text that should replace the lines, if the model proposes one.
    #[serde(default, deserialize_with = "text_or_none")]
    pub replacement: Option<String>,
}

/// Deserializes an optional string. A value of another type is ignored, so it does not make the finding
/// invalid.
fn text_or_none<'de, D: Deserializer<'de>>(value: D) -> Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(value)? {
        Value::String(text) => Some(text),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => None,
    })
}

/// A line of a walkthrough as the model reports it.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct ReportedWalkthroughLine {
    /// Path of the file in the head commit.
    pub path: String,
    /// Sentence about the file.
    pub text: String,
}

/// The reason that an input of `report` is invalid.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum MalformedReport {
    /// The input is not an object.
    #[error("the input of `report` must be an object with the list `findings`")]
    NoObject,
    /// The input has no list of findings.
    #[error("the input of `report` has no list `findings`")]
    NoFindings,
    /// None of the reported findings matches the schema.
    #[error("no finding matches the schema; the error in the first finding: {0}")]
    NoValidFinding(String),
}

/// Returns the definition of the report tool.
pub fn findings_tool() -> ToolDefinition {
    let mut finding = finding_schema();
    finding["properties"]["replacement"] = json!({ "type": "string",
        "description": "The new text of all these lines, with its indentation. Set it only if a change of \
            these lines alone fixes the defect. `excerpt` must then contain all of the lines." });
    let input_schema = json!({
        "type": "object",
        "properties": {
            "findings": { "type": "array", "items": finding,
                "description": format!("The defects, worst first; an empty list if there are none. At most \
                     {MAX_FINDINGS} in all.") },
            "verdicts": { "type": "array", "items": recheck_verdicts::verdict_schema(),
                "description": "One verdict for each open finding of an earlier review that you were \
                    shown. Omit this field if you were shown no such finding." },
            "more": { "type": "boolean",
                "description": "True only if you will call `report` again with further findings." },
        },
        "required": ["findings"],
        "additionalProperties": false,
    });
    ToolDefinition {
        name: REPORT_TOOL.to_owned(),
        description:
            "Reports the defects you found in the change, and ends the review. Text outside of this tool \
            is not read by anybody."
                .to_owned(),
        input_schema,
        cache_control: None,
    }
}

/// Returns the schema of a finding.
fn finding_schema() -> Value {
    let text = |field_description: &str| json!({ "type": "string", "description": field_description });
    let line = |text: &str| json!({ "type": "integer", "minimum": 1, "description": text });
    json!({
        "type": "object",
        "properties": {
            "path": text("The file, as the diff names it at the head."),
            "start_line": line("The first line of the defect in the file at the head, from 1."),
            "end_line": line("The last line, if there is more than one."),
            "severity": { "type": "string", "enum": ["P0", "P1", "P2"],
                "description": "P0: the change must not be merged. P1: the defect has to be fixed before \
                    the merge. P2: worth knowing." },
            "category": { "type": "string", "enum": ["A", "B", "C", "D", "E", "F", "G", "H", "I", "J"],
                "description": "A API contract. B compatibility of queries and engines. C cleanup and \
                     lifecycle. D scoping and ordering. E dead code. F silent failures. G bounds and \
                     overflow. H security boundaries. I concurrency. J magic values, configuration drift, \
                     code rules." },
            "title": text("What is wrong, in one line."),
            "body": text("Why it matters and what to do, in Markdown."),
            "excerpt": text("The text of the lines start_line to end_line, copied from the file."),
        },
        "required": ["path", "start_line", "severity", "category", "title", "body", "excerpt"],
        "additionalProperties": false,
    })
}

/// Parses a call's input. An invalid finding does not invalidate the other findings.
///
/// # Errors
/// [`MalformedReport`] if the report cannot be used, so the model should report again.
pub fn read_findings(input: &Value) -> Result<FindingsReport, MalformedReport> {
    let Value::Object(fields) = input else { return Err(MalformedReport::NoObject) };
    let Some(Value::Array(found)) = fields.get("findings") else { return Err(MalformedReport::NoFindings) };
    let mut items = UncheckedFindings {
        verdicts: recheck_verdicts::read_verdicts(fields.get("verdicts")),
        ..UncheckedFindings::default()
    };
    let mut first_wrong = None;
    for value in found {
        if items.findings.len() >= MAX_REPORTED_ITEMS {
            items.excess_count = items.excess_count.saturating_add(1);
            continue;
        }
        match truing_core::json::from_value::<ReportedFinding>(value) {
            Ok(item) => items.findings.push(item),
            Err(error) => {
                items.malformed_count = items.malformed_count.saturating_add(1);
                first_wrong.get_or_insert(truing_core::line::clean_line(&error.to_string(), MAX_TITLE_CHARS));
            }
        }
    }
    match first_wrong {
        Some(wrong) if items.findings.is_empty() => Err(MalformedReport::NoValidFinding(wrong)),
        Some(_) | None => {
            let has_more = fields.get("more").and_then(Value::as_bool).unwrap_or(false);
            Ok(FindingsReport { unchecked_findings: items, has_more })
        }
    }
}

/// Parses a report that a model wrote as text instead of a tool call. The text must be a JSON object, or its
/// last fenced code block must contain one.
pub fn parse_report_text(text: &str) -> Option<FindingsReport> {
    read_findings(&parse_json_object(text)?).ok()
}

/// Parses a JSON object in a model's text. The object must be the whole text or the content of its last
/// fenced code block.
fn parse_json_object(text: &str) -> Option<Value> {
    let fenced = || {
        let (before, _) = text.trim_end().rsplit_once("```")?;
        let (_, inside) = before.rsplit_once("```")?;
        Some(inside.trim_start_matches("json"))
    };
    let parse = |text: &str| serde_json::from_str::<Value>(text.trim()).ok();
    parse(text).or_else(|| parse(fenced()?))
}
