//! Models that act by what they are shown: an auditor who reports a planted line as long as it is in the
//! file, a fixer who mends it with its tools, a writer who describes the change. What they do is data; when,
//! is [`super::AnswerCondition`].
//!
//! Nothing is remembered between requests: how far a run has come is in its messages.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Value, json};

use super::script::AnswerBlock;

/// The tool that ends a run.
const REPORT: &str = "report";
/// The tool that shows a file.
const READ: &str = "read";
/// The most files that an auditor reads.
const MAX_READ: usize = 20;
/// The categories of an audit.
const CATEGORIES: [&str; 10] = ["A", "B", "C", "D", "E", "F", "G", "H", "I", "J"];

/// Who is asked, by how the prompts of the converge loop begin: what others wrote comes after that.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PromptRole {
    /// An auditor of the whole change.
    Audit,
    /// An auditor of a fix.
    Check,
    /// A fixer of findings.
    Fix,
    /// A fixer of what the gate says.
    Gate,
    /// The writer of the description.
    Describe,
}

impl PromptRole {
    /// Every one.
    #[cfg(test)]
    pub(super) const ALL: [Self; 5] = [Self::Audit, Self::Check, Self::Fix, Self::Gate, Self::Describe];

    /// How its system prompt and its first message begin.
    pub(super) fn beginnings(self) -> (&'static str, &'static str) {
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

    /// Is this asked of it?
    pub(super) fn is_asked(self, body: &Value) -> bool {
        let (system, first) = self.beginnings();
        folded(&text(&body["system"])).starts_with(system) && folded(&first_message(body)).starts_with(first)
    }
}

/// A way to act.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum ScriptedBehaviour {
    /// Reads the files that the request names, and reports those of the bugs that are in them, and for each
    /// other category that there is nothing, with lines that it was shown.
    Audit {
        /// What it knows to be wrong.
        #[serde(default)]
        bugs: Vec<KnownBug>,
        /// Categories that it says nothing of: then its report is none.
        #[serde(default)]
        silent: Vec<String>,
    },
    /// Calls, one after another, what mends the bugs that the request names, and reports.
    Fix {
        /// What it knows to mend.
        mends: Vec<ScriptedFix>,
    },
    /// Describes the change in these words, above what is to be kept.
    Describe {
        /// The words.
        summary: String,
        /// Does it lose what is to be kept?
        #[serde(default)]
        loses: bool,
    },
}

/// A line that is a defect.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownBug {
    /// Its file; none: any.
    #[serde(default)]
    pub path: Option<String>,
    /// The line, its indentation apart; none: the first one that is shown, whatever it says.
    #[serde(default)]
    pub line: Option<String>,
    /// What it is reported as.
    pub title: String,
    /// What it is.
    #[serde(default = "default_category")]
    pub category: String,
    /// How bad.
    #[serde(default = "default_severity")]
    pub severity: String,
    /// What breaks.
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
    /// A line of a file, reported as P1 of category G.
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

/// What a fixer does about a finding.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScriptedFix {
    /// The finding's title: nothing is done if the request does not say it. None: whatever the request says.
    #[serde(default)]
    pub title: Option<String>,
    /// The calls, in order.
    #[serde(default)]
    pub calls: Vec<ScriptedToolCall>,
    /// Why it is not mended; none: it says that it is.
    #[serde(default)]
    pub declined: Option<String>,
}

/// A call of a tool.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScriptedToolCall {
    /// The tool.
    pub tool: String,
    /// Its input.
    #[serde(default)]
    pub input: Value,
}

impl ScriptedToolCall {
    /// One text of a file in place of another.
    pub fn edit(path: &str, old: &str, new: &str) -> Self {
        Self { tool: "edit".to_owned(), input: json!({ "path": path, "old": old, "new": new }) }
    }

    /// A whole file.
    pub fn write(path: &str, content: &str) -> Self {
        Self { tool: "write".to_owned(), input: json!({ "path": path, "content": content }) }
    }

    /// A command.
    pub fn run(argv: &[&str]) -> Self {
        Self { tool: "run".to_owned(), input: json!({ "argv": argv }) }
    }

    fn block(&self) -> AnswerBlock {
        AnswerBlock::ToolUse { name: self.tool.clone(), input: self.input.clone(), json: None }
    }
}

impl ScriptedBehaviour {
    /// What it says to a request.
    pub(super) fn said(&self, body: &Value) -> Vec<AnswerBlock> {
        match self {
            Self::Audit { bugs, silent } => audit(body, bugs, silent),
            Self::Fix { mends } => fix(body, mends),
            Self::Describe { summary, loses } => {
                let kept = datum(&first_message(body), "kept").filter(|_| !loses).unwrap_or_default();
                vec![report(json!({ "body": format!("## Summary\n{summary}\n\n{kept}\n") }))]
            }
        }
    }
}

fn report(input: Value) -> AnswerBlock {
    AnswerBlock::ToolUse { name: REPORT.to_owned(), input, json: None }
}

/// Files first, if they can be read; then what is in them.
fn audit(body: &Value, bugs: &[KnownBug], silent: &[String]) -> Vec<AnswerBlock> {
    let first = first_message(body);
    let diff = datum(&first, "diff").unwrap_or_default();
    let mut lines = changed(&diff);
    let others = datum(&first, "not_shown").unwrap_or_default();
    let paths: BTreeSet<&str> = lines.keys().map(String::as_str).chain(others.lines()).collect();
    let can_read = body["tools"].as_array().into_iter().flatten().any(|tool| tool["name"] == READ);
    let has_read = calls(body).any(|(name, _)| name == READ);
    if can_read && !has_read && !paths.is_empty() {
        let read = |path: &&str| {
            let input = json!({ "path": path });
            AnswerBlock::ToolUse { name: READ.to_owned(), input, json: None }
        };
        return paths.iter().take(MAX_READ).map(read).collect();
    }
    // A file that was read is what it was read as.
    for answer in results(body) {
        let Some((path, read)) = as_read(&answer) else { continue };
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
            "fix": "the line does what its name says", "validation": "a test that calls it with its edge cases",
        }));
    }
    let quoted = lines.iter().find_map(|(path, lines)| {
        lines.iter().find(|(_, text)| !text.trim().is_empty()).map(|(number, text)| (path, number, text))
    });
    let absences = CATEGORIES.into_iter().filter(|category| !found.contains(category));
    let absences: Vec<Value> = absences
        .filter(|category| !silent.iter().any(|one| one == category))
        .filter_map(|category| {
            let (path, number, text) = quoted?;
            Some(json!({
                "category": category, "files_opened": [path],
                "lines_quoted": [{ "file": path, "line": number, "text": text }],
                "probes": [format!("{path}: each changed line was followed for {category} from entry to exit")],
            }))
        })
        .collect();
    vec![report(json!({ "findings": findings, "absences": absences }))]
}

/// The next call that is not made yet, or the report.
fn fix(body: &Value, mends: &[ScriptedFix]) -> Vec<AnswerBlock> {
    let first = first_message(body);
    let asked = |mend: &&ScriptedFix| mend.title.as_ref().is_none_or(|title| first.contains(title));
    let mends: Vec<&ScriptedFix> = mends.iter().filter(asked).collect();
    let made = calls(body).count();
    if let Some(next) = mends.iter().flat_map(|mend| &mend.calls).nth(made) {
        return vec![next.block()];
    }
    let findings = mends.iter().filter_map(|mend| {
        let id = named(&first, mend.title.as_ref()?)?;
        Some(match &mend.declined {
            None => json!({ "id": id, "status": "fixed" }),
            Some(why) => json!({ "id": id, "status": "could_not_address", "reason": why }),
        })
    });
    let summary = mends.iter().find_map(|mend| mend.title.as_deref()).unwrap_or("what was found");
    let findings: Vec<Value> = findings.collect();
    vec![report(json!({ "summary": format!("Fix: {summary}"), "findings": findings }))]
}

/// The name of a finding: what its `id:` before its title says.
fn named(text: &str, title: &str) -> Option<String> {
    let (before, _) = text.split_once(title)?;
    let (_, after) = before.rsplit_once("id: ")?;
    after.split_whitespace().next().map(str::to_owned)
}

/// Lines by file and number.
type NumberedLines = BTreeMap<String, Vec<(u64, String)>>;

/// The lines of a change after it, of each file that it names.
fn changed(diff: &str) -> NumberedLines {
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
        // Old number, new number, mark and text.
        let (Some(numbers), Some(rest)) = (line.get(..14), line.get(14..)) else { continue };
        let new = numbers.get(7..13).and_then(|new| new.trim().parse().ok());
        let lines = path.as_ref().and_then(|path| files.get_mut(path));
        if let (Some(new), Some(lines), Some(text)) = (new, lines, rest.get(1..)) {
            lines.push((new, text.to_owned()));
        }
    }
    files
}

/// What an answer of `read` shows.
fn as_read(answer: &str) -> Option<(String, Vec<(u64, String)>)> {
    let (heading, text) = answer.split_once('\n')?;
    let (path, _) = heading.rsplit_once(", lines ")?;
    let line = |line: &str| {
        let (number, text) = line.split_once('\t')?;
        Some((number.trim().parse().ok()?, text.to_owned()))
    };
    Some((path.to_owned(), text.lines().filter_map(line).collect()))
}

/// The content of a datum of a prompt, between its marks.
fn datum(text: &str, name: &str) -> Option<String> {
    let (before, rest) = text.split_once(&format!(" name=\"{name}\">"))?;
    let (_, word) = before.rsplit_once("<data-")?;
    let (inside, _) = rest.split_once(&format!("</data-{word}>"))?;
    Some(inside.trim_matches('\n').to_owned())
}

fn first_message(body: &Value) -> String {
    text(&body["messages"][0]["content"])
}

/// Blocks of text as one.
fn text(content: &Value) -> String {
    let blocks = content.as_array().into_iter().flatten().filter_map(|block| block["text"].as_str());
    content.as_str().into_iter().chain(blocks).collect::<Vec<_>>().join(" ")
}

fn folded(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Has nothing been said yet?
pub(super) fn is_fresh(body: &Value) -> bool {
    said(body).next().is_none()
}

fn said(body: &Value) -> impl Iterator<Item = &Value> {
    body["messages"].as_array().into_iter().flatten().filter(|message| message["role"] == "assistant")
}

/// The calls that were made in this run.
fn calls(body: &Value) -> impl Iterator<Item = (&str, &Value)> {
    said(body)
        .flat_map(|message| message["content"].as_array().into_iter().flatten())
        .filter_map(|block| block["name"].as_str().map(|name| (name, &block["input"])))
}

/// What tools have answered in this run.
fn results(body: &Value) -> impl Iterator<Item = String> {
    let messages = body["messages"].as_array().into_iter().flatten();
    let blocks = messages.flat_map(|message| message["content"].as_array().into_iter().flatten());
    blocks.filter(|block| block["type"] == "tool_result").map(|block| text(&block["content"]))
}

#[cfg(test)]
mod tests;
