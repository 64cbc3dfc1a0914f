//! The parts of a GitHub workflow that the check of a prompt uses: the variables and the script of each step.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use regex::Regex;
use serde::Deserialize;
use serde_json::Value;
use serde_saphyr::Spanned;

/// Variables by name, with their values.
pub(super) type WorkflowVariables = BTreeMap<String, Value>;

/// The parsed file of a workflow.
#[derive(Deserialize)]
pub(super) struct GithubWorkflow {
    #[serde(default)]
    env: Option<WorkflowVariables>,
    /// Jobs by their ids.
    pub(super) jobs: BTreeMap<String, WorkflowJob>,
}

/// A job of a workflow.
#[derive(Deserialize)]
pub(super) struct WorkflowJob {
    #[serde(default)]
    env: Option<WorkflowVariables>,
    /// Steps in order; empty for a job that runs another workflow instead.
    #[serde(default)]
    pub(super) steps: Vec<WorkflowStep>,
}

/// A step of a job.
#[derive(Deserialize)]
pub(super) struct WorkflowStep {
    #[serde(default)]
    pub(super) id: Option<String>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    pub(super) env: Option<WorkflowVariables>,
    #[serde(default)]
    run: Option<Spanned<String>>,
}

/// Matches `NAME=` or `export NAME=` at the beginning of a command.
#[expect(clippy::unwrap_used, reason = "the pattern is a constant, and a test compiles it")]
static ASSIGNMENT_PATTERN: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?m)(?:^|[;&|])[ \t]*(?:export[ \t]+)?([A-Za-z_]\w*)=").unwrap());
/// Matches `NAME=` or `NAME<<` in quotes. A script writes such text to set a variable for later steps.
#[expect(clippy::unwrap_used, reason = "the pattern is a constant, and a test compiles it")]
static ENV_WRITE_PATTERN: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"["' ]([A-Za-z_]\w*)(?:=|<<)"#).unwrap());

impl GithubWorkflow {
    /// Parses the text of a file.
    ///
    /// # Errors
    /// A line number and a message, if the text is not a workflow.
    pub(super) fn parse(text: &str) -> Result<Self, (u32, String)> {
        serde_saphyr::from_str(text).map_err(|error| {
            let line = error.location().map_or(1, |place| place.line());
            (
                u32::try_from(line).unwrap_or(u32::MAX),
                error.to_string().lines().next().unwrap_or_default().to_owned(),
            )
        })
    }

    /// Returns the variables that a step sees: its own variables, the job's variables and the workflow's
    /// variables.
    pub(super) fn variables<'a>(
        &'a self,
        job: &'a WorkflowJob,
        step: &'a WorkflowStep,
    ) -> BTreeMap<&'a str, &'a Value> {
        let of = |env: &'a Option<WorkflowVariables>| {
            env.iter().flatten().map(|(name, value)| (name.as_str(), value))
        };
        of(&self.env).chain(of(&job.env)).chain(of(&step.env)).collect()
    }
}

impl WorkflowStep {
    /// Returns the step's script; empty if the step runs no script.
    pub(super) fn script(&self) -> &str {
        self.run.as_ref().map_or("", |run| &run.value)
    }

    /// Returns the number of the line on which the step's script begins in the workflow's file.
    pub(super) fn script_line(&self) -> u64 {
        self.run.as_ref().map_or(1, |run| run.referenced.line())
    }

    /// Returns the step's name or id, as messages show it.
    pub(super) fn title(&self) -> String {
        let named = self.name.as_deref().or(self.id.as_deref());
        named.map_or_else(|| "a step without a name".to_owned(), |name| format!("step `{name}`"))
    }

    /// Returns the variables that the step's script sets for its own commands.
    pub(super) fn script_variables(&self) -> BTreeSet<&str> {
        ASSIGNMENT_PATTERN
            .captures_iter(self.script())
            .filter_map(|found| Some(found.get(1)?.as_str()))
            .collect()
    }

    /// Returns the variables that the step's script sets for later steps.
    pub(super) fn exported_variables(&self) -> BTreeSet<&str> {
        let lines = self.script().lines().filter(|line| line.contains("GITHUB_ENV"));
        lines
            .flat_map(|line| ENV_WRITE_PATTERN.captures_iter(line))
            .filter_map(|found| Some(found.get(1)?.as_str()))
            .collect()
    }
}
