//! A model's report on functions that a release changed. The report gives a verdict on each function, and
//! quotes the lines that support the verdict. Before the server accepts the report, it checks that each
//! function has a verdict and that the quoted lines exist.

use serde::Deserialize;
use serde_json::{Value, json};
use truing_core::line;
use truing_core::sync::classify::{
    FunctionJudgement, MAX_FUNCTIONS_PER_REQUEST, MigrationVerdict, MirroredFunction, ReleaseSide,
};
use truing_model::messages::ToolDefinition;

use super::check::find_quoted_lines;
use super::{MAX_CODE_BYTES, REPORT_TOOL, parse_json_object};
use crate::native::ReportSchema;

/// Maximum number of characters of a reason; the rest is cut off.
const MAX_REASON_CHARS: usize = 300;

/// The report: one verdict for each function. The texts come from a model, and must be treated as data.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct JudgementReport {
    /// The verdicts on the functions.
    pub functions: Vec<FunctionJudgement>,
}

#[derive(Deserialize)]
struct JudgementInput {
    functions: Vec<JudgementEntry>,
}

#[derive(Deserialize)]
struct JudgementEntry {
    file: String,
    function: String,
    verdict: MigrationVerdict,
    reason: String,
    release: ReleaseSide,
    start_line: u32,
    #[serde(default)]
    end_line: Option<u32>,
    excerpt: String,
}

impl JudgementReport {
    /// Checks that the quoted lines of every verdict exist and contain the verdict's excerpt. `read_file`
    /// returns a file's content in a release, if the file exists there.
    ///
    /// # Errors
    /// A description of the errors, for the model.
    pub fn check(&self, read_file: impl Fn(ReleaseSide, &str) -> Option<String>) -> Result<(), String> {
        for one in &self.functions {
            let FunctionJudgement {
                function: MirroredFunction { file, symbol },
                release,
                start_line,
                end_line,
                ..
            } = one;
            let name = line::clean_line(symbol, super::MAX_QUOTED_NAME_CHARS);
            if one.reason.is_empty() {
                return Err(format!("{name}: the answer gives no reason"));
            }
            let text = read_file(*release, file);
            find_quoted_lines(text.as_deref(), *start_line, *end_line, &one.excerpt).map_err(|reason| {
                let at = format!("lines {start_line} to {end_line} {} the change", release.as_str());
                format!("{name}: the excerpt differs from {at} ({})", reason.as_str())
            })?;
        }
        Ok(())
    }
}

impl ReportSchema for JudgementReport {
    const RETRY_MESSAGE: &str = "Your report was not accepted, so nothing of it counts. Call the tool \
        `report` once more, with every function of the list exactly once, and with lines copied from the \
        function's file. This is your last attempt.";
    const CUT_OFF_MESSAGE: &str = "Your last answer was cut off because it was too long. Go on, more \
        briefly: one sentence for each reason, and one line for each excerpt.";
    const LAST_TURN_MESSAGE: &str = "This is your last turn. Call the tool `report` now, with every \
        function of the list; what you cannot tell is `ambiguous`. No other tool will be called.";

    fn tool() -> ToolDefinition {
        let text = |field_description: &str| json!({ "type": "string", "description": field_description });
        let line = |text: &str| json!({ "type": "integer", "minimum": 1, "description": text });
        let verdicts = MigrationVerdict::ALL.map(MigrationVerdict::as_str);
        let function = json!({
            "type": "object",
            "properties": {
                "file": text("The function's file, as the list names it."),
                "function": text("The function's name, as the list names it."),
                "verdict": { "type": "string", "enum": verdicts,
                    "description": "no-port: the project's code works unchanged. port: the project's code \
                        has to be ported. ambiguous: you cannot tell." },
                "reason": text("Why, in one sentence."),
                "release": { "type": "string",
                    "enum": [ReleaseSide::Before.as_str(), ReleaseSide::After.as_str()],
                    "description": "The release whose file the lines are from." },
                "start_line": line("The first line that the verdict rests on, in the function's file, from \
                     1."),
                "end_line": line("The last line, if there is more than one."),
                "excerpt": text("The text of these lines, copied from the file."),
            },
            "required": ["file", "function", "verdict", "reason", "release", "start_line", "excerpt"],
            "additionalProperties": false,
        });
        ToolDefinition {
            name: REPORT_TOOL.to_owned(),
            description:
                "Reports what each changed function requires of the project, and ends your work. Text \
                outside of this tool is not read by anybody."
                    .to_owned(),
            input_schema: json!({
                "type": "object",
                "properties": { "functions": { "type": "array", "items": function,
                    "description": "Every function of the list, exactly once." } },
                "required": ["functions"],
                "additionalProperties": false,
            }),
            cache_control: None,
        }
    }

    fn parse_tool_input(input: &Value) -> Result<(Self, bool), String> {
        let wrong = |reason: &str| Err(format!("the input of `report` is wrong: {reason}"));
        let answers = match truing_core::json::from_value::<JudgementInput>(input) {
            Ok(JudgementInput { functions }) => functions,
            Err(error) => return wrong(&line::clean_line(&error.to_string(), MAX_REASON_CHARS)),
        };
        if answers.len() > MAX_FUNCTIONS_PER_REQUEST * 2
            || answers.iter().any(|one| one.excerpt.len() > MAX_CODE_BYTES)
        {
            return wrong("it is too long");
        }
        let functions = answers.into_iter().map(|one| FunctionJudgement {
            function: MirroredFunction { file: one.file, symbol: one.function },
            verdict: one.verdict,
            reason: line::clean_line(one.reason.trim(), MAX_REASON_CHARS),
            release: one.release,
            start_line: one.start_line,
            end_line: one.end_line.unwrap_or(one.start_line),
            excerpt: one.excerpt,
        });
        Ok((Self { functions: functions.collect() }, false))
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

    fn answers(excerpt: &str, lines: (u32, u32)) -> JudgementReport {
        let input = json!({ "functions": [{
            "file": "p/m.py", "function": "f", "verdict": "no-port", "reason": "docs", "release": "after",
            "start_line": lines.0, "end_line": lines.1, "excerpt": excerpt,
        }] });
        JudgementReport::parse_tool_input(&input).unwrap().0
    }

    #[test]
    fn lines_have_to_be_there_and_say_it() {
        let text = |release: ReleaseSide, file: &str| {
            (release == ReleaseSide::After && file == "p/m.py").then(|| "def f():\n    return 1\n".to_owned())
        };
        assert_eq!(answers("  return 1", (2, 2)).check(text), Ok(()));
        for (excerpt, lines) in
            [("return 2", (2, 2)), ("return 1", (1, 1)), ("return 1", (3, 3)), ("", (1, 1))]
        {
            assert!(answers(excerpt, lines).check(text).is_err(), "{excerpt} {lines:?}");
        }
        assert!(answers("return 1", (2, 2)).check(|_, _| None).is_err(), "a file that is not there");
    }

    #[test]
    fn what_has_not_the_form_is_told() {
        for input in [json!({}), json!({ "functions": [{ "file": "p/m.py" }] }), json!([])] {
            assert!(JudgementReport::parse_tool_input(&input).unwrap_err().contains("`report`"), "{input}");
        }
        assert_eq!(JudgementReport::parse_text("None of them matters."), None);
    }
}
