//! The report of a model that writes a pull request's description. The new description must repeat, word for
//! word, the sections that people wrote deliberately in the old description. Otherwise the old description is
//! kept.

use serde::Deserialize;
use serde_json::{Value, json};
use truing_core::{line, markdown};
use truing_model::messages::ToolDefinition;

use super::{REPORT_TOOL, parse_json_object};
use crate::native::ReportSchema;

/// Maximum number of characters of a description. The forges accept longer descriptions, so Truing can add
/// text.
pub const MAX_DESCRIPTION_CHARS: usize = 20_000;
/// Maximum number of characters that a message shows of a missing section or of a parser error.
const MAX_QUOTED_CHARS: usize = 120;
/// Headings of the sections that the model rewrites. Sections with any other heading are treated as written
/// by people.
const GENERATED_HEADINGS: [&str; 4] = ["summary", "production code changes", "test changes", "verification"];
/// Words that link an issue to the change if the same line contains the issue's number.
const ISSUE_LINK_WORDS: [&str; 11] = [
    "close", "closes", "closed", "fix", "fixes", "fixed", "resolve", "resolves", "resolved", "refs",
    "related",
];

/// The report. The text comes from a model, and must be cleaned before it is shown.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DescriptionReport {
    /// The whole description, in Markdown.
    pub body: String,
}

impl DescriptionReport {
    /// Checks that the report is a valid description and contains the kept parts of the old description.
    ///
    /// # Errors
    /// The errors of the report, as messages to the model.
    pub fn check(&self, kept_parts: &[String]) -> Result<(), Vec<String>> {
        let body = normalize_text(&self.body);
        let mut wrong = Vec::new();
        if body.trim().is_empty() {
            wrong.push("`body` is empty".to_owned());
        }
        let chars = body.chars().count();
        if chars > MAX_DESCRIPTION_CHARS {
            wrong.push(format!("`body` has {chars} characters; the limit is {MAX_DESCRIPTION_CHARS}"));
        }
        // A part matches only as whole lines, because the same words may also occur within other text.
        let has = |part: &str| format!("\n{body}\n").contains(&format!("\n{part}\n"));
        for part in kept_parts.iter().filter(|part| !has(part)) {
            let part = line::clean_line(part, MAX_QUOTED_CHARS);
            wrong.push(format!("this text must stay unchanged, but `body` changes or omits it: {part}"));
        }
        let own = kept_parts.iter().fold(body.clone(), |body, part| body.replace(part.as_str(), ""));
        if own.contains("<!--") {
            wrong.push("`body` contains a comment that readers do not see".to_owned());
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
    }

    /// Returns the description for display. The kept parts and the standard headings stay unchanged, and all
    /// other text is made inactive. Inactive text has no links, no mentions, and no words that close an
    /// issue.
    pub fn render(&self, kept_parts: &[String]) -> String {
        let body = normalize_text(&self.body);
        let (mut shown, mut own) = (Vec::new(), String::new());
        let mut rest = body.as_str();
        let mut is_code = false;
        while !rest.is_empty() {
            let is_here = |part: &&String| {
                rest.strip_prefix(part.as_str()).is_some_and(|more| more.is_empty() || more.starts_with('\n'))
            };
            // If several kept parts begin at this position, the longest is used, because a line within a kept
            // section may itself be a kept part.
            let (taken, part) = match kept_parts.iter().filter(is_here).max_by_key(|part| part.len()) {
                Some(part) => (part.len(), Some(part.clone())),
                None => {
                    let line = rest.lines().next().unwrap_or_default();
                    is_code ^= line.trim_start().starts_with("```");
                    let words = heading_text(line).filter(|_| !is_code);
                    let ours = words
                        .as_ref()
                        .is_some_and(|words| GENERATED_HEADINGS.iter().any(|ours| words.starts_with(ours)));
                    let part =
                        ours.then(|| format!("## {}", markdown::escape_text(line.trim_matches(['#', ' ']))));
                    if part.is_none() {
                        // Other headings become bold text, because the next run would treat a section under
                        // such a heading as written by people.
                        own += &words
                            .map_or(line.to_owned(), |_| format!("**{}**", line.trim_matches(['#', ' '])));
                        own.push('\n');
                    }
                    (line.len(), part)
                }
            };
            if let Some(part) = part {
                shown.extend([markdown::sanitize_markdown(&std::mem::take(&mut own)), part]);
            }
            rest = rest.get(taken..).unwrap_or_default();
            rest = rest.strip_prefix('\n').unwrap_or(rest);
        }
        shown.push(markdown::sanitize_markdown(&own));
        shown.retain(|part| !part.trim().is_empty());
        shown.join("\n\n")
    }

    /// Returns all errors of the report as one message to the model, or `None` if there is no error.
    pub fn errors_text(&self, kept_parts: &[String]) -> Option<String> {
        let wrong = self.check(kept_parts).err()?;
        Some(format!("the description is not accepted:\n- {}", wrong.join("\n- ")))
    }
}

/// Returns the parts of a description that people wrote deliberately. These are sections with headings other
/// than the standard ones, and lines that link the change to issues.
pub fn handwritten_parts(description: &str) -> Vec<String> {
    let description = normalize_text(description);
    let mut kept = Vec::new();
    let mut section: Vec<&str> = Vec::new();
    let mut is_kept = false;
    let mut is_code = false;
    for line in description.lines() {
        is_code ^= line.trim_start().starts_with("```");
        if let Some(heading) = heading_text(line).filter(|_| !is_code) {
            finish_section(&mut kept, &section, is_kept);
            section.clear();
            is_kept = !GENERATED_HEADINGS.iter().any(|ours| heading.starts_with(ours));
        }
        section.push(line);
    }
    finish_section(&mut kept, &section, is_kept);
    kept
}

/// Adds a section to the kept parts: all of it if `is_kept` is true, otherwise only its lines that link to
/// issues.
fn finish_section(kept_parts: &mut Vec<String>, section: &[&str], is_kept: bool) {
    if is_kept {
        kept_parts.push(section.join("\n").trim_end().to_owned());
    } else {
        kept_parts.extend(section.iter().filter(|line| links_issue(line)).map(|line| (*line).to_owned()));
    }
}

/// Returns a heading's words in lower case.
fn heading_text(line: &str) -> Option<String> {
    let marks = line.bytes().take_while(|byte| *byte == b'#').count();
    let words = line.get(marks..)?.strip_prefix(' ')?;
    (1..=6).contains(&marks).then(|| words.trim().to_lowercase())
}

fn links_issue(line: &str) -> bool {
    let line = line.to_lowercase();
    let has_issue = line.contains("/issues/")
        || line.match_indices('#').any(|(at, _)| line.as_bytes().get(at + 1).is_some_and(u8::is_ascii_digit));
    has_issue
        && line.split(|letter: char| !letter.is_alphanumeric()).any(|word| ISSUE_LINK_WORDS.contains(&word))
}

/// Normalizes line ends, and removes white space at the ends of lines.
fn normalize_text(text: &str) -> String {
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

impl ReportSchema for DescriptionReport {
    const RETRY_MESSAGE: &str = "Your answer was not a report. Call the tool `report` now, with the whole \
         description as `body`.";
    const CUT_OFF_MESSAGE: &str =
        "Your last answer was cut off because it was too long. Write a shorter description.";
    const LAST_TURN_MESSAGE: &str = "This is your last turn. Call the tool `report` now, with the whole \
        description as `body`. No other tool will be called.";

    fn tool() -> ToolDefinition {
        ToolDefinition {
            name: REPORT_TOOL.to_owned(),
            description:
                "Hands the description over, and ends your work. Text outside of this tool is not read by \
                 anybody."
                    .to_owned(),
            input_schema: json!({
                "type": "object",
                "properties": {
                    "body": { "type": "string", "description": "The whole description, in Markdown." },
                },
                "required": ["body"],
                "additionalProperties": false,
            }),
            cache_control: None,
        }
    }

    fn parse_tool_input(input: &Value) -> Result<(Self, bool), String> {
        let described = truing_core::json::from_value::<Self>(input).map_err(|error| {
            format!(
                "the input of `report` is wrong: {}",
                line::clean_line(&error.to_string(), MAX_QUOTED_CHARS)
            )
        })?;
        Ok((described, false))
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

    const OLD_DESCRIPTION: &str = "Pays later.\r\nCloses #12, I think.\n\n## Summary\nOld words.\n\n## \
        Test plan\n- [x] paid  \n\n```\n## no heading\n```\n### Risk\n<!-- none -->\n\n## Verification\n3 \
        tests, see #4\n";

    fn described(body: &str) -> DescriptionReport {
        DescriptionReport { body: body.to_owned() }
    }

    #[test]
    fn what_people_wrote_on_purpose_is_known_by_its_headings_and_its_ties() {
        let expected = [
            "Closes #12, I think.",
            "## Test plan\n- [x] paid\n\n```\n## no heading\n```",
            "### Risk\n<!-- none -->",
        ];
        assert_eq!(handwritten_parts(OLD_DESCRIPTION), expected);
        assert_eq!(handwritten_parts(""), [""; 0]);
        assert_eq!(handwritten_parts("Fixes the sum for #hash and 3 others."), [""; 0]);
    }

    #[test]
    fn a_description_that_loses_nothing_is_taken() {
        let kept = handwritten_parts(OLD_DESCRIPTION);
        let whole = format!("## Summary\nPays in the background.\n\n{}\n", kept.join("\n\n"));
        assert_eq!(described(&whole).check(&kept), Ok(()));
        assert_eq!(described(&whole.replace('\n', "\r\n")).errors_text(&kept), None);
        assert_eq!(described("Pays.").check(&[]), Ok(()));
    }

    #[test]
    fn what_people_wrote_is_shown_as_it_is_and_nothing_else_acts() {
        let kept = handwritten_parts(OLD_DESCRIPTION);
        let body = format!(
            "Closes #9 and @ann\n### Summary of it\n[here](https://example.com)\n\n## Own \
             idea\nGH-3\n\n{}\n\n## Verification\n```sh\n# no heading\n```\n",
            kept.join("\n\n")
        );
        let shown = described(&body).render(&kept);
        assert_eq!(
            shown,
            "Closes #\u{200b}9 and @\u{200b}ann\n\n## Summary of it\n\nhere (`https://example.com`)\n\n**Own \
             idea**\nGH\u{200b}-3\n\nCloses #12, I think.\n\n## Test plan\n- [x] paid\n\n```\n## no \
             heading\n```\n\n### Risk\n<!-- none -->\n\n## Verification\n\n```sh\n# no heading\n```"
        );
        // A later run must find the same kept parts in the rendered description.
        assert_eq!(handwritten_parts(&shown), kept);
    }

    #[test]
    fn each_loss_is_named() {
        let kept = handwritten_parts(OLD_DESCRIPTION);
        let whole = format!("## Summary\nPays in the background.\n\n{}\n", kept.join("\n\n"));
        for (body, expected) in [
            (whole.replace("[x] paid", "[x] it pays"), "but `body` changes or omits it: ## Test plan"),
            (whole.replace("Closes #12, I think.", ""), "omits it: Closes #12"),
            (whole.replace("Closes #12, I think.", "It says: Closes #12, I think."), "omits it: Closes #12"),
            (format!("{whole}<!-- truing:1 producer=review -->"), "a comment that readers do not see"),
            (" \n".to_owned(), "`body` is empty"),
            (whole.clone() + &"x".repeat(MAX_DESCRIPTION_CHARS), "characters; the limit is 20000"),
        ] {
            let told = described(&body).errors_text(&kept).unwrap_or_default();
            assert!(told.contains(expected), "{expected}: {told}");
        }
    }

    #[test]
    fn the_report_is_one_text() {
        assert_eq!(DescriptionReport::parse_tool_input(&json!({ "body": "a" })), Ok((described("a"), false)));
        for wrong in [json!({}), json!({ "body": 1 }), json!({ "body": "a", "title": "b" }), json!("a")] {
            assert!(
                DescriptionReport::parse_tool_input(&wrong)
                    .unwrap_err()
                    .starts_with("the input of `report` is wrong"),
                "{wrong}"
            );
        }
        assert_eq!(
            DescriptionReport::parse_text("```json\n{\"body\":\"a\"}\n```"),
            Some((described("a"), false))
        );
    }
}
