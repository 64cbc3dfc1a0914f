//! A fixer's report in the converge loop. For each finding, the fixer claims that the finding is fixed, or
//! gives a reason why it is not. Later checks decide whether the claims are true.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};
use truing_core::line;
use truing_model::messages::ToolDefinition;

use super::{MAX_FINDINGS, REPORT_TOOL, parse_json_object};
use crate::native::ReportSchema;

/// Maximum number of characters of a reason. A longer reason is cut and ends with `…`.
const MAX_REASON_CHARS: usize = 300;
/// Maximum number of characters of the summary. A longer summary is cut and ends with `…`.
const MAX_SUMMARY_CHARS: usize = 300;

/// The report, within the limits above. The texts come from a model, and must be treated as data.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FixReport {
    /// Summary of the change in one line, which becomes the commit's message.
    pub summary: String,
    /// The findings, by the ids in the fixer's task. The value is `None` for a fixed finding, and otherwise
    /// the reason why the finding is not fixed.
    pub findings: BTreeMap<String, Option<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FixReportInput {
    summary: String,
    findings: Vec<FixEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FixEntry {
    id: String,
    status: FixStatus,
    #[serde(default)]
    reason: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum FixStatus {
    Fixed,
    CouldNotAddress,
}

impl ReportSchema for FixReport {
    const RETRY_MESSAGE: &str = "Your answer was not a report. Call the tool `report` now, with one entry \
        for each finding that you were given.";
    const CUT_OFF_MESSAGE: &str = "Your last answer was cut off because it was too long. Go on, more \
        briefly: \
         change one place at a time.";
    const LAST_TURN_MESSAGE: &str = "This is your last turn. Call the tool `report` now, with one entry \
        for each finding that you were given. No other tool will be called.";

    fn tool() -> ToolDefinition {
        let text = |field_description: &str| json!({ "type": "string", "description": field_description });
        let one = json!({
            "type": "object",
            "properties": {
                "id": text("The finding's id, as in the task."),
                "status": { "type": "string", "enum": ["fixed", "could_not_address"],
                    "description": "Is it fixed?" },
                "reason": text("If the finding is not fixed: the reason, in one line. Otherwise empty."),
            },
            "required": ["id", "status"],
            "additionalProperties": false,
        });
        ToolDefinition {
            name: REPORT_TOOL.to_owned(),
            description:
                "Ends your work and hands it over. Text outside of this tool is not read by anybody."
                    .to_owned(),
            input_schema: json!({
                "type": "object",
                "properties": {
                    "summary": text("What the change does, in one line."),
                    "findings": { "type": "array", "items": one,
                        "description": "One entry for each finding." },
                },
                "required": ["summary", "findings"],
                "additionalProperties": false,
            }),
            cache_control: None,
        }
    }

    fn parse_tool_input(input: &Value) -> Result<(Self, bool), String> {
        let report = truing_core::json::from_value::<FixReportInput>(input).map_err(|error| {
            format!(
                "the input of `report` is wrong: {}",
                line::clean_line(&error.to_string(), MAX_REASON_CHARS)
            )
        })?;
        let entries =
            report.findings.into_iter().take(2 * MAX_FINDINGS).map(|FixEntry { id, status, reason }| {
                let reason = line::clean_line(reason.trim(), MAX_REASON_CHARS);
                let why = match status {
                    FixStatus::Fixed => None,
                    FixStatus::CouldNotAddress if reason.is_empty() => Some("no reason was given".to_owned()),
                    FixStatus::CouldNotAddress => Some(reason),
                };
                (id, why)
            });
        let summary = line::clean_line(report.summary.trim(), MAX_SUMMARY_CHARS);
        Ok((Self { summary, findings: entries.collect() }, false))
    }

    fn parse_text(text: &str) -> Option<(Self, bool)> {
        Self::parse_tool_input(&parse_json_object(text)?).ok()
    }

    fn accept_report(&mut self, report: Self) {
        // If there are several reports, the last summary is used, and for each finding the last report about
        // it.
        self.summary = report.summary;
        self.findings.extend(report.findings);
    }

    fn acceptance_message(&self) -> String {
        format!("{} findings answered", self.findings.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_finding_has_one_word_and_a_reason_where_it_is_no() {
        let input = json!({ "summary": "close files\nand more", "findings": [
            { "id": "loop1-1", "status": "fixed", "reason": "ignored" },
            { "id": "loop1-2", "status": "could_not_address", "reason": " needs a decision " },
            { "id": "loop1-3", "status": "could_not_address" },
        ]});
        let (mended, more) = FixReport::parse_tool_input(&input).unwrap();
        assert!(!more && !mended.summary.contains('\n'));
        let said: Vec<_> =
            mended.findings.iter().map(|(id, reason)| (id.as_str(), reason.as_deref())).collect();
        let expected = [
            ("loop1-1", None),
            ("loop1-2", Some("needs a decision")),
            ("loop1-3", Some("no reason was given")),
        ];
        assert_eq!(said, expected);
        for wrong in [json!({}), json!({ "summary": "", "findings": [{ "id": "x", "status": "done" }] })] {
            assert!(
                FixReport::parse_tool_input(&wrong)
                    .unwrap_err()
                    .starts_with("the input of `report` is wrong")
            );
        }
    }
}
