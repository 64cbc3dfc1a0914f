//! Models whose answers depend on the request. An auditor reports a planted line as long as the file contains
//! this line. A fixer fixes the line with tools, and a writer describes the change. The bugs and fixes that a
//! model knows are part of the script. [`super::AnswerCondition`] selects the requests to which an answer of
//! the script applies.
//!
//! The fake stores nothing between requests, because the messages in a request show the progress of the run.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Value, json};

use super::script::AnswerBlock;

/// Tool that ends a run.
const REPORT_TOOL: &str = "report";
/// Tool that returns the content of a file.
const READ_TOOL: &str = "read";
/// Maximum number of files that an auditor reads.
const MAX_READ_FILES: usize = 20;
/// Categories of an audit.
const CATEGORIES: [&str; 10] = ["A", "B", "C", "D", "E", "F", "G", "H", "I", "J"];

/// The role of the converge loop for which a request is made. The beginnings of the prompts identify the
/// role. A prompt contains untrusted text only after its beginning, so this text cannot change the role.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PromptRole {
    /// An auditor of the whole change.
    Audit,
    /// An auditor of a fix.
    Check,
    /// A fixer of findings.
    Fix,
    /// A fixer that repairs failures of the gate.
    Gate,
    /// The writer of the change's description.
    Describe,
}

impl PromptRole {
    /// All roles of the converge loop.
    #[cfg(test)]
    pub(super) const ALL: [Self; 5] = [Self::Audit, Self::Check, Self::Fix, Self::Gate, Self::Describe];

    /// Returns the beginnings of the role's system prompt and first message.
    pub(super) fn prompt_prefixes(self) -> (&'static str, &'static str) {
        const AUDITOR: &str = "# Your task You audit one change before it is merged";
        const FIXER: &str = "# Your task An audit of a change has found defects.";
        match self {
            Self::Audit => (AUDITOR, "# The change Review the change from"),
            Self::Check => (AUDITOR, "# A fix The change below is a fix"),
            Self::Fix => (FIXER, "# The findings Fix these defects"),
            Self::Gate => (FIXER, "# What the gate says Checks of this repository's rules block"),
            Self::Describe => (
                "# Your task You write the description of a pull request",
                "# The change Describe the change from",
            ),
        }
    }

    /// Returns true if the request is for this role.
    pub(super) fn matches_request(self, body: &Value) -> bool {
        let (system, first) = self.prompt_prefixes();
        fold_spaces(&content_text(&body["system"])).starts_with(system)
            && fold_spaces(&first_message(body)).starts_with(first)
    }
}

/// A behaviour of the model.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum ScriptedBehaviour {
    /// Reads the files in the request and reports the bugs in these files. For every category without a bug,
    /// the report states that nothing was found, and quotes a line that the model has read.
    Audit {
        /// Bugs that the auditor knows.
        #[serde(default)]
        bugs: Vec<KnownBug>,
        /// Categories that the auditor omits, which makes the report invalid.
        #[serde(default)]
        silent: Vec<String>,
    },
    /// Makes the tool calls that fix the bugs in the request, one after another, and then sends the report.
    Fix {
        /// Fixes that the fixer knows.
        mends: Vec<ScriptedFix>,
    },
    /// Describes the change with the words in `summary`, followed by the text that must be kept.
    Describe {
        /// Words of the description.
        summary: String,
        /// True if the writer drops the text that must be kept.
        #[serde(default)]
        loses: bool,
    },
}

/// A bug that the auditor reports if it sees a certain line.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownBug {
    /// File of the bug; `None` for any file.
    #[serde(default)]
    pub path: Option<String>,
    /// Text of the line without its indentation; `None` for the first line in the request.
    #[serde(default)]
    pub line: Option<String>,
    /// Title of the finding.
    pub title: String,
    /// Category of the finding.
    #[serde(default = "default_category")]
    pub category: String,
    /// Severity of the finding.
    #[serde(default = "default_severity")]
    pub severity: String,
    /// Description of the failure.
    #[serde(default = "default_body")]
    pub body: String,
}

fn default_category() -> String {
    "G".to_owned()
}

fn default_severity() -> String {
    "P1".to_owned()
}

fn default_body() -> String {
    "It gives the wrong answer.".to_owned()
}

impl KnownBug {
    /// Builds a bug on this line of a file, which the auditor reports with severity P1 and category G.
    pub fn new(path: &str, line: &str, title: &str) -> Self {
        Self {
            path: Some(path.to_owned()),
            line: Some(line.to_owned()),
            title: title.to_owned(),
            category: default_category(),
            severity: default_severity(),
            body: default_body(),
        }
    }
}

/// A fixer's reaction to a finding.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScriptedFix {
    /// Title of the finding. The fix applies only to requests that contain the title; if the title is `None`,
    /// the fix applies to every request.
    #[serde(default)]
    pub title: Option<String>,
    /// Tool calls, in order.
    #[serde(default)]
    pub calls: Vec<ScriptedToolCall>,
    /// Reason for not fixing the finding; `None` if the fixer reports the finding as fixed.
    #[serde(default)]
    pub declined: Option<String>,
}

/// A call of a tool.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScriptedToolCall {
    /// Name of the tool.
    pub tool: String,
    #[serde(default)]
    pub input: Value,
}

impl ScriptedToolCall {
    /// Builds a call that replaces a text in a file with another text.
    pub fn edit(path: &str, old: &str, new: &str) -> Self {
        Self { tool: "edit".to_owned(), input: json!({ "path": path, "old": old, "new": new }) }
    }

    /// Builds a call that writes a whole file.
    pub fn write(path: &str, content: &str) -> Self {
        Self { tool: "write".to_owned(), input: json!({ "path": path, "content": content }) }
    }

    /// Builds a call that runs a command.
    pub fn run(argv: &[&str]) -> Self {
        Self { tool: "run".to_owned(), input: json!({ "argv": argv }) }
    }

    fn to_answer_block(&self) -> AnswerBlock {
        AnswerBlock::ToolUse { name: self.tool.clone(), input: self.input.clone(), json: None }
    }
}

impl ScriptedBehaviour {
    /// Returns the answer to a request.
    pub(super) fn answer_blocks(&self, body: &Value) -> Vec<AnswerBlock> {
        match self {
            Self::Audit { bugs, silent } => answer_audit(body, bugs, silent),
            Self::Fix { mends } => answer_fix(body, mends),
            Self::Describe { summary, loses } => {
                let kept =
                    read_data_block(&first_message(body), "kept").filter(|_| !loses).unwrap_or_default();
                vec![report_block(json!({ "body": format!("## Summary\n{summary}\n\n{kept}\n") }))]
            }
        }
    }
}

fn report_block(input: Value) -> AnswerBlock {
    AnswerBlock::ToolUse { name: REPORT_TOOL.to_owned(), input, json: None }
}

/// Reads the files, if the request offers the tool `read`, and then reports the bugs in these files.
fn answer_audit(body: &Value, bugs: &[KnownBug], omitted_categories: &[String]) -> Vec<AnswerBlock> {
    let first = first_message(body);
    let diff = read_data_block(&first, "diff").unwrap_or_default();
    let mut lines = changed_lines(&diff);
    let others = read_data_block(&first, "not_shown").unwrap_or_default();
    let paths: BTreeSet<&str> = lines.keys().map(String::as_str).chain(others.lines()).collect();
    let can_read = body["tools"].as_array().into_iter().flatten().any(|tool| tool["name"] == READ_TOOL);
    let has_read = tool_calls(body).any(|(name, _)| name == READ_TOOL);
    if can_read && !has_read && !paths.is_empty() {
        let read = |path: &&str| {
            let input = json!({ "path": path });
            AnswerBlock::ToolUse { name: READ_TOOL.to_owned(), input, json: None }
        };
        return paths.iter().take(MAX_READ_FILES).map(read).collect();
    }
    // For each file that the model has read, the complete content replaces the lines in the diff.
    for answer in tool_results(body) {
        let Some((path, read)) = parse_read_result(&answer) else { continue };
        lines.insert(path, read);
    }
    let (mut findings, mut found) = (Vec::new(), BTreeSet::new());
    for bug in bugs {
        let here = lines.iter().filter(|(path, _)| bug.path.as_ref().is_none_or(|of| of == *path));
        let all =
            here.flat_map(|(path, lines)| lines.iter().map(move |(number, text)| (path, *number, text)));
        let is_it =
            |text: &str| bug.line.as_ref().map_or(!text.trim().is_empty(), |line| line.trim() == text.trim());
        let Some((path, number, text)) = all.into_iter().find(|(_, _, text)| is_it(text)) else { continue };
        found.insert(bug.category.as_str());
        findings.push(json!({
            "path": path, "start_line": number, "end_line": number, "severity": bug.severity,
            "category": bug.category, "title": bug.title, "body": bug.body, "excerpt": text,
            "fix": "the line does what its name says", "validation": "a test that calls it with its edge \
                 cases",
        }));
    }
    let quoted = lines.iter().find_map(|(path, lines)| {
        lines.iter().find(|(_, text)| !text.trim().is_empty()).map(|(number, text)| (path, number, text))
    });
    let absences = CATEGORIES.into_iter().filter(|category| !found.contains(category));
    let absences: Vec<Value> = absences
        .filter(|category| !omitted_categories.iter().any(|one| one == category))
        .filter_map(|category| {
            let (path, number, text) = quoted?;
            Some(json!({
                "category": category, "files_opened": [path],
                "lines_quoted": [{ "file": path, "line": number, "text": text }],
                "probes": [format!("{path}: each changed line was followed for {category} from entry to \
                     exit")],
            }))
        })
        .collect();
    vec![report_block(json!({ "findings": findings, "absences": absences }))]
}

/// Returns the first tool call that the model has not made yet, or the report after all calls.
fn answer_fix(body: &Value, fixes: &[ScriptedFix]) -> Vec<AnswerBlock> {
    let first = first_message(body);
    let asked = |mend: &&ScriptedFix| mend.title.as_ref().is_none_or(|title| first.contains(title));
    let mends: Vec<&ScriptedFix> = fixes.iter().filter(asked).collect();
    let made = tool_calls(body).count();
    if let Some(next) = mends.iter().flat_map(|mend| &mend.calls).nth(made) {
        return vec![next.to_answer_block()];
    }
    let findings = mends.iter().filter_map(|mend| {
        let id = finding_id(&first, mend.title.as_ref()?)?;
        Some(match &mend.declined {
            None => json!({ "id": id, "status": "fixed" }),
            Some(why) => json!({ "id": id, "status": "could_not_address", "reason": why }),
        })
    });
    let summary = mends.iter().find_map(|mend| mend.title.as_deref()).unwrap_or("what was found");
    let findings: Vec<Value> = findings.collect();
    vec![report_block(json!({ "summary": format!("Fix: {summary}"), "findings": findings }))]
}

/// Returns the id of a finding from the `id:` before its title.
fn finding_id(text: &str, title: &str) -> Option<String> {
    let (before, _) = text.split_once(title)?;
    let (_, after) = before.rsplit_once("id: ")?;
    after.split_whitespace().next().map(str::to_owned)
}

/// Lines by file and number.
type NumberedLines = BTreeMap<String, Vec<(u64, String)>>;

/// Returns the new lines of each file in the diff.
fn changed_lines(diff: &str) -> NumberedLines {
    let mut files = NumberedLines::new();
    let mut path = None;
    for line in diff.lines() {
        if let Some((name, counts)) = line.rsplit_once(" (")
            && !line.starts_with([' ', '@', '['])
            && counts.ends_with(')')
        {
            path = Some(name.to_owned());
            if !counts.starts_with("deleted") {
                files.entry(name.to_owned()).or_default();
            }
        }
        // A line of the diff consists of the old line number, the new line number, the mark and the text.
        let (Some(numbers), Some(rest)) = (line.get(..14), line.get(14..)) else { continue };
        let new = numbers.get(7..13).and_then(|new| new.trim().parse().ok());
        let lines = path.as_ref().and_then(|path| files.get_mut(path));
        if let (Some(new), Some(lines), Some(text)) = (new, lines, rest.get(1..)) {
            lines.push((new, text.to_owned()));
        }
    }
    files
}

/// Parses the path and the lines of a file in a result of the tool `read`.
fn parse_read_result(answer: &str) -> Option<(String, Vec<(u64, String)>)> {
    let (heading, text) = answer.split_once('\n')?;
    let (path, _) = heading.rsplit_once(", lines ")?;
    let line = |line: &str| {
        let (number, text) = line.split_once('\t')?;
        Some((number.trim().parse().ok()?, text.to_owned()))
    };
    Some((path.to_owned(), text.lines().filter_map(line).collect()))
}

/// Returns the content of a named data block of a prompt.
fn read_data_block(text: &str, name: &str) -> Option<String> {
    let (before, rest) = text.split_once(&format!(" name=\"{name}\">"))?;
    let (_, word) = before.rsplit_once("<data-")?;
    let (inside, _) = rest.split_once(&format!("</data-{word}>"))?;
    Some(inside.trim_matches('\n').to_owned())
}

fn first_message(body: &Value) -> String {
    content_text(&body["messages"][0]["content"])
}

/// Returns the text of a message's content: the joined text blocks.
fn content_text(content: &Value) -> String {
    let blocks = content.as_array().into_iter().flatten().filter_map(|block| block["text"].as_str());
    content.as_str().into_iter().chain(blocks).collect::<Vec<_>>().join(" ")
}

fn fold_spaces(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Returns true if the request is the first of a run, and therefore contains no answer of the model.
pub(super) fn is_first_request(body: &Value) -> bool {
    assistant_messages(body).next().is_none()
}

fn assistant_messages(body: &Value) -> impl Iterator<Item = &Value> {
    body["messages"].as_array().into_iter().flatten().filter(|message| message["role"] == "assistant")
}

/// Returns the tool calls that the model has made in this run.
fn tool_calls(body: &Value) -> impl Iterator<Item = (&str, &Value)> {
    assistant_messages(body)
        .flat_map(|message| message["content"].as_array().into_iter().flatten())
        .filter_map(|block| block["name"].as_str().map(|name| (name, &block["input"])))
}

/// Returns the results of the tool calls in this run.
fn tool_results(body: &Value) -> impl Iterator<Item = String> {
    let messages = body["messages"].as_array().into_iter().flatten();
    let blocks = messages.flat_map(|message| message["content"].as_array().into_iter().flatten());
    blocks.filter(|block| block["type"] == "tool_result").map(|block| content_text(&block["content"]))
}

#[cfg(test)]
mod tests;
