//! A model's report on its work in a clone: a summary, completed and remaining work, and questions for
//! people. No claim in the report counts as evidence: paths, digests and checks are verified separately.
//! Remaining work in the report blocks the change.

use serde::Deserialize;
use serde_json::{Value, json};
use truing_core::line;
use truing_model::messages::ToolDefinition;

use super::{REPORT_TOOL, parse_json_object};
use crate::native::ReportSchema;

/// Maximum number of lines in each list of the report; further lines are dropped.
pub const MAX_LINES_PER_LIST: usize = 30;
/// Maximum number of characters of a line. A longer line is cut and ends with `…`.
pub const MAX_LINE_CHARS: usize = 300;
/// Maximum number of characters of the summary. A longer summary is cut and ends with `…`.
pub const MAX_SUMMARY_CHARS: usize = 1200;

/// The report, within the limits above. The texts come from a model, and must be treated as data.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
pub struct WorkReport {
    /// Summary of the change.
    pub summary: String,
    /// Parts of the work that are complete.
    pub completed: Vec<String>,
    /// Parts of the work that are not complete.
    pub remaining: Vec<String>,
    /// Questions that people must answer before the remaining work can be done.
    #[serde(default)]
    pub questions: Vec<String>,
}

impl WorkReport {
    /// Returns the report with each text on one line, and all limits applied.
    fn truncate_entries(self) -> Self {
        let lines = |entries: Vec<String>| {
            let lines = entries.iter().map(|text| line::clean_line(text.trim(), MAX_LINE_CHARS));
            lines.filter(|text| !text.is_empty()).take(MAX_LINES_PER_LIST).collect()
        };
        Self {
            summary: line::clean_line(self.summary.trim(), MAX_SUMMARY_CHARS),
            completed: lines(self.completed),
            remaining: lines(self.remaining),
            questions: lines(self.questions),
        }
    }
}

impl ReportSchema for WorkReport {
    const RETRY_MESSAGE: &str = "Your answer was not a report. Call the tool `report` now, and name under \
         `remaining` whatever is not done.";
    const CUT_OFF_MESSAGE: &str = "Your last answer was cut off because it was too long. Go on, more \
        briefly: \
         change one place at a time.";
    const LAST_TURN_MESSAGE: &str = "This is your last turn. Call the tool `report` now; name under \
        `remaining` whatever is not done. No other tool will be called.";

    fn tool() -> ToolDefinition {
        let lines = |field_description: &str| {
            json!({ "type": "array", "items": { "type": "string" },
            "description": field_description })
        };
        ToolDefinition {
            name: REPORT_TOOL.to_owned(),
            description:
                "Ends your work and hands it over. Text outside of this tool is not read by anybody."
                    .to_owned(),
            input_schema: json!({
                "type": "object",
                "properties": {
                    "summary": { "type": "string", "description": "What the change does, in a few \
                         sentences." },
                    "completed": lines("What is done, one item for each line, including what was done \
                        before you began."),
                    "remaining": lines("What is not done; empty only if nothing is left to do."),
                    "questions": lines("What only people can decide, one question for each line."),
                },
                "required": ["summary", "completed", "remaining"],
                "additionalProperties": false,
            }),
            cache_control: None,
        }
    }

    fn parse_tool_input(input: &Value) -> Result<(Self, bool), String> {
        match truing_core::json::from_value::<Self>(input) {
            Ok(work) => Ok((work.truncate_entries(), false)),
            Err(error) => Err(format!(
                "the input of `report` is wrong: {}",
                line::clean_line(&error.to_string(), MAX_LINE_CHARS)
            )),
        }
    }

    fn parse_text(text: &str) -> Option<(Self, bool)> {
        Self::parse_tool_input(&parse_json_object(text)?).ok()
    }

    fn accept_report(&mut self, report: Self) {
        // The last report replaces the others.
        *self = report;
    }

    fn acceptance_message(&self) -> String {
        "taken".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_bounded_and_what_is_missing_is_named() {
        let long = "x".repeat(MAX_LINE_CHARS * 2);
        let input =
            json!({ "summary": "a\nb", "completed": vec![long; MAX_LINES_PER_LIST * 2], "remaining": [" "] });
        let (work, more) = WorkReport::parse_tool_input(&input).unwrap();
        assert!(!more && !work.summary.contains('\n') && work.remaining.is_empty(), "{work:?}");
        assert_eq!(work.completed.len(), MAX_LINES_PER_LIST);
        assert!(work.completed.iter().all(|line| line.chars().count() == MAX_LINE_CHARS + 1));
        let wrong = WorkReport::parse_tool_input(&json!({ "summary": "a", "completed": [] })).unwrap_err();
        assert!(wrong.contains("remaining"), "{wrong}");
        assert_eq!(
            WorkReport::parse_text("```json\n{\"summary\":\"\",\"completed\":[],\"remaining\":[]}\n```")
                .unwrap()
                .0,
            WorkReport::default()
        );
        assert_eq!(WorkReport::parse_text("I am done."), None);
    }
}
