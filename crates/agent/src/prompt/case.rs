//! Parses and checks step tests of prompts. A step test (a case) contains the inputs of a request, the texts
//! that the request's prompts must contain, and the calls that a correct model makes. `truing prompts test`
//! runs these tests.
//!
//! A case is a TOML file in the folder `cases` beside the modules. The name of a case is its path in that
//! folder, without the extension.

use std::collections::BTreeMap;
use std::path::{Component, Path};

use serde::Deserialize;
use serde_json::{Map, Value};
use truing_core::nesting::{TOO_DEEP_REASON, is_too_deep};

use super::folder::{self, MAX_CASE_BYTES};
use super::problem::{PromptError, PromptProblem, PromptProblemKind};
use super::route::{FilledPrompts, PromptRoute};
use super::{DataBoundary, PromptLibrary, PromptValues, embedded};
use crate::schema::REPORT_TOOL;

/// The fence word that `truing prompts test` and `truing prompts render` use instead of a random word.
pub const TEST_BOUNDARY_WORD: &str = "0000000000000000";

/// A case that was parsed and passed all checks.
#[derive(Clone, PartialEq, Debug)]
pub struct PromptCase {
    /// Path of the case, without the extension.
    pub name: String,
    /// Path of the file that contains the case.
    pub file: String,
    /// Purpose of the case.
    pub description: String,
    /// The kind of request that is tested.
    pub route: &'static PromptRoute,
    /// Prompt and values of the system message.
    pub system: CasePrompt,
    /// Prompt and values of the first message.
    pub task: CasePrompt,
    /// The files that the model's tools can read: path and content.
    pub files: BTreeMap<String, String>,
    /// Calls that the scripted model makes if the prompts contain all texts in `needs`.
    pub correct_calls: Vec<ScriptedCall>,
    /// Calls that the scripted model makes if the prompts lack a text in `needs`.
    pub wrong_calls: Vec<ScriptedCall>,
    /// Calls that must be made for the case to pass.
    pub expect: Vec<ScriptedCall>,
}

/// One of the two prompts of a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CasePrompt {
    /// Name of the prompt, which the case gives; without this name, the route's prompt is used.
    pub prompt: String,
    /// Values of the prompt's variables.
    pub values: PromptValues,
    /// Texts that the filled prompt must contain; whitespace is normalized before the comparison.
    pub required_texts: Vec<String>,
}

/// A call of a tool.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScriptedCall {
    /// Name of the tool.
    pub tool: String,
    /// Input of the call.
    #[serde(default)]
    pub input: Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseFile {
    description: String,
    route: String,
    #[serde(default)]
    system: CasePromptInput,
    #[serde(default)]
    task: CasePromptInput,
    #[serde(default)]
    files: BTreeMap<String, String>,
    #[serde(rename = "right")]
    correct_calls: Vec<ScriptedCall>,
    #[serde(rename = "wrong")]
    wrong_calls: Vec<ScriptedCall>,
    expect: Vec<ScriptedCall>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct CasePromptInput {
    prompt: Option<String>,
    #[serde(default)]
    values: BTreeMap<String, String>,
    #[serde(default)]
    needs: Vec<String>,
}

impl PromptCase {
    /// Returns the cases that are built into the program and the cases in `folder`. A case in the folder
    /// replaces a built-in case of the same name.
    ///
    /// # Errors
    /// [`PromptError::Invalid`] with every problem; [`PromptError::Folder`] if the folder cannot be read.
    pub fn load_all(folder: Option<&Path>) -> Result<Vec<Self>, PromptError> {
        let (mut files, mut problems) = (embedded::cases().collect::<Vec<_>>(), Vec::new());
        if let Some(folder) = folder {
            let found = folder::read_cases(folder)?;
            problems.extend(found.problems);
            files.extend(found.files);
        }
        let mut cases = BTreeMap::new();
        for (name, file, text) in files {
            match Self::parse(&name, &file, &text) {
                Ok(case) => drop(cases.insert(name, case)),
                Err(problem) => problems.push(problem),
            }
        }
        if problems.is_empty() {
            Ok(cases.into_values().collect())
        } else {
            Err(PromptError::Invalid(problems))
        }
    }

    /// Parses and checks the text of a case.
    fn parse(name: &str, file: &str, text: &str) -> Result<Self, PromptProblem> {
        let wrong = |line, kind| PromptProblem { file: file.to_owned(), line, kind };
        if text.len() > MAX_CASE_BYTES {
            return Err(wrong(1, PromptProblemKind::TooLong(MAX_CASE_BYTES)));
        }
        if is_too_deep(text) {
            return Err(wrong(1, PromptProblemKind::Case(TOO_DEEP_REASON.to_owned())));
        }
        let written: CaseFile = toml::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let line = u32::try_from(1 + before.matches('\n').count()).unwrap_or(u32::MAX);
            wrong(line, PromptProblemKind::Case(error.message().to_owned()))
        })?;
        let CaseFile {
            description,
            route,
            system,
            task,
            files,
            correct_calls: right,
            wrong_calls: other,
            expect,
        } = written;
        let line_of = |words: &str| {
            let line = 1 + text.lines().position(|line| line.starts_with(words)).unwrap_or(0);
            u32::try_from(line).unwrap_or(u32::MAX)
        };
        let route = PromptRoute::find_by_name(&route).ok_or_else(|| {
            let known = PromptRoute::ALL.map(|route| route.name).join(", ");
            wrong(
                line_of("route"),
                PromptProblemKind::Case(format!("there is no route `{route}` (known: {known})")),
            )
        })?;
        let part = |part: CasePromptInput, of_route: &str| CasePrompt {
            prompt: part.prompt.unwrap_or_else(|| of_route.to_owned()),
            values: part
                .values
                .into_iter()
                .fold(PromptValues::default(), |all, (name, value)| all.with_value(&name, value)),
            required_texts: part.needs,
        };
        let case = Self {
            name: name.to_owned(),
            file: file.to_owned(),
            description,
            route,
            system: part(system, route.system_prompt_name),
            task: part(task, route.task_prompt_name),
            files,
            correct_calls: right,
            wrong_calls: other,
            expect,
        };
        if let Some(path) = case.files.keys().find(|path| !is_safe_relative_path(path)) {
            let kind = format!("`{path}` must be a relative path without `.` and `..`");
            return Err(wrong(line_of("[files]"), PromptProblemKind::Case(kind)));
        }
        match case.find_case_flaw() {
            None => Ok(case),
            Some((words, why)) => Err(wrong(line_of(words), PromptProblemKind::Case(why.to_owned()))),
        }
    }

    /// Returns the line and the reason of a mistake that makes the case useless, such as a test that every
    /// prompt passes. The returned text is the beginning of this line. Returns `None` if there is no such
    /// mistake.
    fn find_case_flaw(&self) -> Option<(&'static str, &'static str)> {
        let ends = |calls: &[ScriptedCall]| calls.last().is_some_and(|call| call.tool == REPORT_TOOL);
        let is_empty = |part: &CasePrompt| part.required_texts.iter().any(|need| need.trim().is_empty());
        if self.system.required_texts.is_empty() && self.task.required_texts.is_empty() {
            Some(("route", "`needs` is empty in both `system` and `task`, so every prompt would pass"))
        } else if is_empty(&self.system) || is_empty(&self.task) {
            Some(("needs", "an entry of `needs` is empty, so every prompt would match the entry"))
        } else if !ends(&self.correct_calls) {
            Some(("[[right]]", "`right` has to end with a call of `report`"))
        } else if !ends(&self.wrong_calls) {
            Some(("[[wrong]]", "`wrong` has to end with a call of `report`"))
        } else if !self.missing_calls(&self.correct_calls).is_empty() {
            Some(("[[expect]]", "`right` does not have the expected effect"))
        } else if self.missing_calls(&self.wrong_calls).is_empty() {
            Some(("[[expect]]", "`wrong` does all that is expected: every answer of a model would pass"))
        } else {
            None
        }
    }

    /// Returns the filled prompts of the case's request.
    ///
    /// # Errors
    /// [`PromptError`] if the prompts cannot be composed, or if the values do not fit the prompts.
    pub fn fill_prompts(&self, prompts: &PromptLibrary) -> Result<FilledPrompts, PromptError> {
        let names = (self.system.prompt.as_str(), self.task.prompt.as_str());
        prompts.fill_prompts(
            names.0,
            names.1,
            &self.system.values,
            &self.task.values,
            &DataBoundary::new(TEST_BOUNDARY_WORD)?,
        )
    }

    /// Returns the texts in `needs` that the filled prompts lack.
    pub fn missing_texts<'a>(&'a self, filled: &FilledPrompts) -> Vec<&'a str> {
        let missing_words = |part: &'a CasePrompt, text: &str| {
            let text = fold_whitespace(text);
            part.required_texts
                .iter()
                .map(String::as_str)
                .filter(move |need| !text.contains(&fold_whitespace(need)))
        };
        missing_words(&self.system, &filled.system).chain(missing_words(&self.task, &filled.task)).collect()
    }

    /// Returns the expected calls that were not made.
    pub fn missing_calls(&self, calls: &[ScriptedCall]) -> Vec<&ScriptedCall> {
        let made = |wanted: &ScriptedCall| {
            calls.iter().any(|call| call.tool == wanted.tool && json_contains(&call.input, &wanted.input))
        };
        self.expect.iter().filter(|wanted| !made(wanted)).collect()
    }
}

/// Returns true for a relative path without `..`.
fn is_safe_relative_path(path: &str) -> bool {
    !path.is_empty() && Path::new(path).components().all(|part| matches!(part, Component::Normal(_)))
}

/// Replaces each run of white space by one space.
fn fold_whitespace(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Returns true if `value` contains `expected_value`. An object must contain each expected field. An array
/// must contain each expected element, in any position; if no element is expected, the array must be empty. A
/// text must contain the expected text as whole words.
fn json_contains(value: &Value, expected_value: &Value) -> bool {
    match (value, expected_value) {
        (Value::Object(value), Value::Object(expected_value)) => {
            let has = |name: &String, expected_value| {
                value.get(name).is_some_and(|value| json_contains(value, expected_value))
            };
            expected_value.iter().all(|(name, expected_value)| has(name, expected_value))
        }
        (Value::Array(values), Value::Array(expected_value)) if expected_value.is_empty() => {
            values.is_empty()
        }
        (Value::Array(values), Value::Array(expected_value)) => expected_value
            .iter()
            .all(|expected_value| values.iter().any(|value| json_contains(value, expected_value))),
        (Value::String(value), Value::String(expected_value)) => contains_words(value, expected_value),
        (_, Value::Null) => true,
        (value, expected_value) => value == expected_value,
    }
}

/// Returns true if a text contains the expected text as whole words: `no-port` does not contain `port`.
fn contains_words(text: &str, expected_text: &str) -> bool {
    let in_word = |letter: Option<char>| {
        letter.is_some_and(|letter| letter.is_alphanumeric() || matches!(letter, '-' | '_'))
    };
    let begins = in_word(expected_text.chars().next());
    let ends = in_word(expected_text.chars().next_back());
    text.match_indices(expected_text).any(|(at, found)| {
        let before = text.get(..at).and_then(|before| before.chars().next_back());
        let after = text.get(at + found.len()..).and_then(|after| after.chars().next());
        !(begins && in_word(before) || ends && in_word(after))
    })
}

impl ScriptedCall {
    /// Formats the call for people.
    pub fn render(&self) -> String {
        if self.input.is_null() { self.tool.clone() } else { format!("{} {}", self.tool, self.input) }
    }

    /// Returns the call's input as a model would send it: an empty object if the case gives no input.
    pub fn input_object(&self) -> Value {
        if self.input.is_null() { Value::Object(Map::new()) } else { self.input.clone() }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_expected_may_be_a_part_of_what_was_called() {
        let called =
            json!({ "path": "a/b.py", "findings": [{ "line": 4, "title": "Injection: x" }], "none": [] });
        for (wanted, is_held) in [
            (json!({ "path": "b.py" }), true),
            (json!({ "path": "c.py" }), false),
            (json!({ "path": "y" }), false),
            (json!({ "other": "b.py" }), false),
            (json!({ "findings": [{ "title": "Injection:" }] }), true),
            (json!({ "findings": [{ "title": "Injection:", "line": 5 }] }), false),
            (json!({ "findings": [] }), false),
            (json!({ "none": [] }), true),
            (json!({ "none": ["x"] }), false),
            (json!({ "path": ["b.py"] }), false),
            (Value::Null, true),
        ] {
            assert_eq!(json_contains(&called, &wanted), is_held, "{wanted}");
        }
    }

    #[test]
    fn a_word_is_no_part_of_another() {
        for (text, wanted, is_said) in [
            ("no-port", "port", false),
            ("port", "port", true),
            ("no-port, then port", "port", true),
            ("Class._method: why", "_method", true),
            ("re_sign", "sign", false),
            ("what now?", "?", true),
        ] {
            assert_eq!(contains_words(text, wanted), is_said, "{text}: {wanted}");
        }
    }

    #[test]
    fn a_need_is_met_wherever_lines_end_and_only_in_its_own_prompt() {
        let cases = PromptCase::load_all(None).unwrap();
        let case = cases.iter().find(|case| case.name == "sync/bump").unwrap();
        let mut filled = case.fill_prompts(&PromptLibrary::load_embedded().unwrap()).unwrap();
        assert_eq!(case.missing_texts(&filled), [""; 0]);
        filled.system = filled.system.replace(' ', "\n");
        assert_eq!(case.missing_texts(&filled), [""; 0]);
        let all = format!("{} {}", filled.system, filled.task);
        (filled.system, filled.task) = (filled.task, all);
        assert_eq!(case.missing_texts(&filled), case.system.required_texts);
    }
}
