//! The optional walkthrough of a review. It states the purpose of a change and which files to read first, in
//! one line for each file. Lines about unchanged files are ignored. Lines that express a verdict are also
//! ignored, because the model does not decide the outcome of a review.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use truing_core::RepoPath;
use truing_core::line;
use truing_core::outcome::WalkthroughLine;
use truing_model::messages::ToolDefinition;

use super::{
    MAX_REPORTED_ITEMS, ReportedWalkthroughLine, UncheckedFindings, findings_tool, parse_json_object,
    parse_report_text, read_findings,
};
use crate::native::ReportSchema;

/// Maximum number of lines of a walkthrough.
pub const MAX_LINES: usize = 8;
/// Maximum number of characters of a line.
const MAX_LINE_CHARS: usize = 200;
/// Words that express a verdict.
const VERDICT_WORDS: &[&str] = &[
    "lgtm",
    "approve",
    "approved",
    "approves",
    "approving",
    "approval",
    "reject",
    "rejected",
    "mergeable",
    "shipit",
];
/// Phrases that express a verdict.
const VERDICT_PHRASES: &[&str] = &[
    "looks good",
    "looks fine",
    "looks correct",
    "looks safe",
    "good to go",
    "good to merge",
    "safe to merge",
    "ready to merge",
    "ready to be merged",
    "ready to ship",
    "can be merged",
    "should be merged",
    "must not be merged",
    "should not be merged",
    "do not merge",
    "don t merge",
    "ship it",
    "no issues",
    "no problems",
    "no defects",
    "nothing to fix",
    "request changes",
    "requests changes",
    "needs changes",
];
/// Symbols that express a verdict.
const VERDICT_SIGNS: &[char] = &['✅', '✔', '👍', '❌', '👎', '🚀'];

/// Findings, and a walkthrough of the change.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct WalkthroughReport(pub UncheckedFindings);

impl ReportSchema for WalkthroughReport {
    const RETRY_MESSAGE: &str = UncheckedFindings::RETRY_MESSAGE;
    const CUT_OFF_MESSAGE: &str = UncheckedFindings::CUT_OFF_MESSAGE;
    const LAST_TURN_MESSAGE: &str = UncheckedFindings::LAST_TURN_MESSAGE;
    const KEEPS_REJECTED_REPORTS: bool = UncheckedFindings::KEEPS_REJECTED_REPORTS;

    fn tool() -> ToolDefinition {
        let text = |field_description: &str| json!({ "type": "string", "description": field_description });
        let line = json!({
            "type": "object",
            "properties": {
                "path": text("The file, as the diff names it at the head."),
                "text": text("One line."),
            },
            "required": ["path", "text"],
            "additionalProperties": false,
        });
        let mut tool = findings_tool();
        tool.input_schema["properties"]["walkthrough"] = json!({ "type": "array", "items": line,
            "description": format!("For human readers, in your last report: what the change does and \
                where to look first. At most {MAX_LINES} lines, one for each file, the most important \
                file first. No findings and no verdict.") });
        tool
    }

    fn parse_tool_input(input: &Value) -> Result<(Self, bool), String> {
        let report = read_findings(input).map_err(|malformed| malformed.to_string())?;
        Ok((Self(with_walkthrough(report.unchecked_findings, input)), report.has_more))
    }

    fn parse_text(text: &str) -> Option<(Self, bool)> {
        let report = parse_report_text(text)?;
        let input = parse_json_object(text).unwrap_or_default();
        Some((Self(with_walkthrough(report.unchecked_findings, &input)), report.has_more))
    }

    fn accept_report(&mut self, report: Self) {
        self.0.add(report.0);
    }

    fn acceptance_message(&self) -> String {
        ReportSchema::acceptance_message(&self.0)
    }
}

/// Adds the valid walkthrough lines of the input to a report.
fn with_walkthrough(items: UncheckedFindings, input: &Value) -> UncheckedFindings {
    let lines = input.get("walkthrough").and_then(Value::as_array).into_iter().flatten();
    let walkthrough = lines
        .filter_map(|line| truing_core::json::from_value::<ReportedWalkthroughLine>(line).ok())
        .take(MAX_REPORTED_ITEMS)
        .collect();
    UncheckedFindings { walkthrough, ..items }
}

/// Returns the accepted lines. They are the first line of each changed file that has text and expresses no
/// verdict.
pub fn walkthrough_lines(
    reported_lines: &[ReportedWalkthroughLine],
    is_changed: impl Fn(&RepoPath) -> bool,
) -> Vec<WalkthroughLine> {
    let mut seen = BTreeSet::new();
    let lines = reported_lines.iter().filter_map(|ReportedWalkthroughLine { path, text }| {
        let path = RepoPath::from_bytes(path.as_bytes());
        let text = line::clean_line(text, MAX_LINE_CHARS);
        let counts = is_changed(&path) && !text.is_empty() && !is_verdict(&text);
        (counts && seen.insert(path.clone())).then_some(WalkthroughLine { path, text })
    });
    lines.take(MAX_LINES).collect()
}

/// Returns true if a line expresses a verdict on the change.
fn is_verdict(text: &str) -> bool {
    let lower = text.to_lowercase();
    let words: Vec<&str> = lower
        .split(|letter: char| !letter.is_alphanumeric() && letter != '_')
        .filter(|word| !word.is_empty())
        .collect();
    let joined = format!(" {} ", words.join(" "));
    words.iter().any(|word| VERDICT_WORDS.contains(word))
        || VERDICT_PHRASES.iter().any(|phrase| joined.contains(&format!(" {phrase} ")))
        || text.contains(VERDICT_SIGNS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered_lines(said: &[(&str, &str)]) -> Vec<String> {
        let said: Vec<ReportedWalkthroughLine> = said
            .iter()
            .map(|(path, text)| ReportedWalkthroughLine { path: (*path).into(), text: (*text).into() })
            .collect();
        let lines = walkthrough_lines(&said, |path| path.to_string().starts_with("src/"));
        lines.into_iter().map(|line| format!("{}: {}", line.path, line.text)).collect()
    }

    #[test]
    fn only_lines_about_files_of_the_change_count_one_a_file_and_eight_in_all() {
        let said =
            [("src/a.py", "Adds\nretries.\u{202e}"), ("b.py", "x"), ("src/a.py", "again"), ("src/c.py", " ")];
        assert_eq!(rendered_lines(&said), ["src/a.py: Adds retries."]);
        let names: Vec<String> = (0..20).map(|at| format!("src/{at}.py")).collect();
        let many: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "It counts.")).collect();
        assert_eq!(rendered_lines(&many).len(), MAX_LINES);
        let long = "x".repeat(9000);
        assert_eq!(
            rendered_lines(&[("src/a.py", long.as_str())])[0].chars().count(),
            "src/a.py: ".len() + MAX_LINE_CHARS + 1
        );
    }

    #[test]
    fn a_line_that_passes_a_verdict_is_dropped_alone() {
        for verdict in [
            "LGTM",
            "Adds retries; looks good to me.",
            "Approved.",
            "This is SAFE to  merge",
            "safe-to-merge refactoring",
            "I request changes here",
            "Do not merge",
            "Don't merge before the release",
            "Retries ✅",
        ] {
            let said = [("src/a.py", verdict), ("src/b.py", "Calls approve_order() twice.")];
            assert_eq!(rendered_lines(&said), ["src/b.py: Calls approve_order() twice."], "{verdict}");
        }
    }

    #[test]
    fn it_is_read_where_it_is_asked_for_and_a_line_without_the_form_costs_no_other() {
        let input =
            json!({ "findings": [], "walkthrough": [{ "path": "a", "text": "b" }, { "path": "a" }, 7] });
        let (read, more) = WalkthroughReport::parse_tool_input(&input).unwrap();
        assert_eq!((read.0.walkthrough.len(), more), (1, false));
        let (written, _) = WalkthroughReport::parse_text(&input.to_string()).unwrap();
        assert_eq!(written, read);
        let (plain, _) = <UncheckedFindings as ReportSchema>::parse_tool_input(&input).unwrap();
        assert_eq!(plain.walkthrough, [], "nobody asked");
        let strange = json!({ "findings": [], "walkthrough": "LGTM" });
        assert_eq!(WalkthroughReport::parse_tool_input(&strange).unwrap().0.0.walkthrough, []);
        let has = |tool: ToolDefinition| tool.input_schema["properties"].get("walkthrough").is_some();
        assert!(has(WalkthroughReport::tool()) && !has(UncheckedFindings::tool()));
    }
}
