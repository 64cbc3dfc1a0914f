//! Checks a prompt whose variables `envsubst` replaces in a GitHub workflow. Reports variables whose values
//! would not reach the model as the author intends. The checks cover mistakes that occurred in practice:
//! variables without a value, variables that `envsubst` erases, variables on the wrong step, values computed
//! too late, and end marks that a model can write.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use super::workflow::{GithubWorkflow, WorkflowJob, WorkflowStep};

/// The two files to check, with their names.
pub struct EnvsubstFiles<'a> {
    /// Name of the prompt's file.
    pub prompt_name: &'a str,
    /// Text of the prompt.
    pub prompt_text: &'a str,
    /// Name of the workflow's file.
    pub workflow_name: &'a str,
    /// Text of the workflow.
    pub workflow_text: &'a str,
}

/// A problem in one of the files.
#[derive(PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct EnvsubstProblem {
    /// Name of the file that contains the problem.
    pub file: String,
    /// Line number, from 1.
    pub line: u32,
    /// Description of the mistake, and a correction.
    pub message: String,
}

/// Matches a variable in the two notations that `envsubst` replaces: `$NAME` and `${NAME}`.
#[expect(clippy::unwrap_used, reason = "the pattern is a constant, and a test compiles it")]
static VARIABLE_PATTERN: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)\})").unwrap());
/// Matches a call of `envsubst`, with its argument in single or double quotes, or bare.
#[expect(clippy::unwrap_used, reason = "the pattern is a constant, and a test compiles it")]
static ENVSUBST_CALL_PATTERN: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"\benvsubst\b(?:[ \t]+('[^']*'|"[^"]*"|[^\s<>|;&]+))?"#).unwrap());
/// Matches an assignment of a shell's variable, with its value in single or double quotes, or bare.
#[expect(clippy::unwrap_used, reason = "the pattern is a constant, and a test compiles it")]
static ASSIGNMENT_PATTERN: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"(?m)(?:^|[;&|\s])([A-Za-z_]\w*)=('[^']*'|"(?:[^"\\]|\\.)*"|[^\s;&|]*)"#).unwrap()
});
/// Matches `echo "name<<END"`, which begins a multi-line value with a fixed end word. The value itself may
/// also contain this word.
#[expect(clippy::unwrap_used, reason = "the pattern is a constant, and a test compiles it")]
static FIXED_DELIMITER_PATTERN: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"\b(?:echo|printf)\b[^\n]*?([A-Za-z_][\w-]*)<<([A-Za-z_]\w*)"#).unwrap());
/// Matches `steps.ID.`, a reference to a value that another step computes.
#[expect(clippy::unwrap_used, reason = "the pattern is a constant, and a test compiles it")]
static STEP_REFERENCE_PATTERN: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\bsteps\.([A-Za-z_][\w-]*)\.").unwrap());

/// Variables that every step has.
const RUNNER_VARIABLES: &[&str] = &["CI", "HOME", "PATH", "PWD", "SHELL", "USER", "LANG"];

/// Returns every problem in the two files.
pub fn check_envsubst(files: &EnvsubstFiles<'_>) -> Vec<EnvsubstProblem> {
    let workflow = match GithubWorkflow::parse(files.workflow_text) {
        Ok(workflow) => workflow,
        Err((line, what)) => {
            return vec![EnvsubstProblem { file: files.workflow_name.to_owned(), line, message: what }];
        }
    };
    let mut wrong = Vec::new();
    for step in workflow.jobs.values().flat_map(|job| &job.steps) {
        check_fixed_delimiters(files, step, &mut wrong);
    }
    let fills_in = |job: &'_ WorkflowJob| -> Vec<usize> {
        let calls = job.steps.iter().enumerate().filter(|(_, step)| runs_envsubst(files, step.script()));
        calls.map(|(at, _)| at).collect()
    };
    let mut any = false;
    for job in workflow.jobs.values() {
        for at in fills_in(job) {
            any = true;
            check_render_step(files, &workflow, job, at, &mut wrong);
        }
    }
    if !any {
        for (name, line) in find_variables(files.prompt_text) {
            wrong.push(prompt_problem(
                files,
                line,
                format!(
                    "`${name}` reaches the model as it is: no step of {} runs `envsubst` on this file",
                    files.workflow_name
                ),
            ));
        }
    }
    wrong.sort();
    wrong.dedup();
    wrong
}

/// Returns true if a script runs `envsubst` on the prompt.
fn runs_envsubst(files: &EnvsubstFiles<'_>, script: &str) -> bool {
    let file = files.prompt_name.rsplit('/').next().unwrap_or(files.prompt_name);
    ENVSUBST_CALL_PATTERN.is_match(script) && script.contains(file)
}

/// Returns the variables in a text, with their line numbers.
fn find_variables(text: &str) -> Vec<(&str, u32)> {
    let lines = (1_u32..).zip(text.lines());
    let found =
        lines.flat_map(|(line, words)| VARIABLE_PATTERN.captures_iter(words).map(move |found| (found, line)));
    found.filter_map(|(found, line)| Some((found.get(1).or(found.get(2))?.as_str(), line))).collect()
}

fn prompt_problem(files: &EnvsubstFiles<'_>, line: u32, message: String) -> EnvsubstProblem {
    EnvsubstProblem { file: files.prompt_name.to_owned(), line, message }
}

/// Reports a problem in the workflow file, at the first line that contains these words and is not before the
/// step's script.
fn workflow_problem(
    files: &EnvsubstFiles<'_>,
    step: &WorkflowStep,
    searched_text: &str,
    message: String,
) -> EnvsubstProblem {
    let first = u32::try_from(step.script_line()).unwrap_or(1);
    let mut lines = (1_u32..).zip(files.workflow_text.lines()).filter(|(line, _)| *line >= first);
    let line = lines.find(|(_, text)| text.contains(searched_text)).map_or(first, |(line, _)| line);
    EnvsubstProblem { file: files.workflow_name.to_owned(), line, message }
}

/// Reports a problem with a step's variable, at the line of the workflow that contains these words. If
/// several lines contain them, reports the line nearest to the step's script.
fn variable_problem(
    files: &EnvsubstFiles<'_>,
    step: &WorkflowStep,
    searched_text: &str,
    message: String,
) -> EnvsubstProblem {
    let script = u32::try_from(step.script_line()).unwrap_or(1);
    let lines = (1_u32..).zip(files.workflow_text.lines()).filter(|(_, text)| text.contains(searched_text));
    let line = lines.map(|(line, _)| line).min_by_key(|line| line.abs_diff(script)).unwrap_or(script);
    EnvsubstProblem { file: files.workflow_name.to_owned(), line, message }
}

/// Checks a step that fills in the prompt.
fn check_render_step(
    files: &EnvsubstFiles<'_>,
    workflow: &GithubWorkflow,
    job: &WorkflowJob,
    step_index: usize,
    problems: &mut Vec<EnvsubstProblem>,
) {
    let Some(step) = job.steps.get(step_index) else { return };
    let given = workflow.variables(job, step);
    let mut passed: BTreeSet<&str> = given.keys().copied().chain(step.script_variables()).collect();
    passed.extend(job.steps.iter().take(step_index).flat_map(WorkflowStep::exported_variables));
    let from_runner = |name: &str| {
        RUNNER_VARIABLES.contains(&name) || name.starts_with("GITHUB_") || name.starts_with("RUNNER_")
    };
    let used = find_variables(files.prompt_text);
    let in_text: BTreeSet<&str> = used.iter().map(|(name, _)| *name).collect();
    let script = step.script();
    for call in ENVSUBST_CALL_PATTERN.captures_iter(script) {
        let argument = call.get(1).map(|argument| argument.as_str());
        let listed = match read_variable_list(argument, script, &given) {
            VariableList::Every => None,
            VariableList::Named(names) => Some(names),
            VariableList::Unknown => continue,
            VariableList::Values => {
                problems.push(workflow_problem(
                    files,
                    step,
                    "envsubst",
                    "the list of variables is in double quotes, so the shell replaces the names by values \
                        before `envsubst` reads the list; use single quotes"
                        .to_owned(),
                ));
                continue;
            }
        };
        for (name, line) in &used {
            let (is_passed, is_listed) =
                (passed.contains(name) || from_runner(name), listed.as_ref().map(|list| list.contains(name)));
            let elsewhere = other_step_title(job, step_index, name);
            let what = match (is_passed, is_listed, elsewhere) {
                (true, Some(true) | None, _) => continue,
                (true, Some(false), _) if from_runner(name) => continue,
                (true, Some(false), _) => format!(
                    "`${name}` is not replaced: its value is passed, but the list of `envsubst` does not \
                        name the variable"
                ),
                (false, Some(true) | None, Some(other)) => {
                    format!(
                        "`${name}` is erased: the variable is set on {other}, but {} fills in the prompt",
                        step.title()
                    )
                }
                (false, Some(false), Some(other)) => {
                    format!(
                        "`${name}` reaches the model as it is: the variable is set on {other}, but the \
                            list of `envsubst` does not name the variable"
                    )
                }
                (false, Some(true), None) => {
                    format!(
                        "`${name}` is erased: the list of `envsubst` names the variable, but nothing \
                        sets the variable"
                    )
                }
                (false, None, None) => format!(
                    "`${name}` is erased: nothing sets this variable, and `envsubst` has no list of \
                        variables; list those to replace: envsubst '$A $B'"
                ),
                // This is not a problem: the list of `envsubst` deliberately omits the variable, which has no
                // value, so the variable's name stays in the text.
                (false, Some(false), None) => continue,
            };
            problems.push(prompt_problem(files, *line, what));
        }
        for name in listed.iter().flatten().filter(|name| !in_text.contains(**name)) {
            let what =
                format!("the list of `envsubst` names `${name}`, and {} does not use it", files.prompt_name);
            problems.push(workflow_problem(files, step, "envsubst", what));
        }
    }
    let in_script: BTreeSet<&str> = find_variables(script).into_iter().map(|(name, _)| name).collect();
    for name in step.env.iter().flatten().map(|(name, _)| name.as_str()) {
        // A use of the variable only in the list of `envsubst` does not count, because the list reads the
        // variable's name but not its value.
        let is_read = in_script.contains(name)
            && !ENVSUBST_CALL_PATTERN
                .captures_iter(script)
                .filter_map(|call| call.get(1))
                .map(|list| list.as_str())
                .any(|list| list.contains(name) && (list.starts_with('\'') || list.contains("\\$")));
        if !in_text.contains(name) && !is_read {
            let what =
                format!("`{name}` is passed to {}, and {} does not use it", step.title(), files.prompt_name);
            problems.push(variable_problem(files, step, &format!("{name}:"), what));
        }
    }
    for (name, value) in given.iter().filter(|(name, _)| in_text.contains(**name)) {
        let Value::String(value) = value else { continue };
        for id in STEP_REFERENCE_PATTERN.captures_iter(value).filter_map(|found| Some(found.get(1)?.as_str()))
        {
            if !job.steps.iter().take(step_index).any(|step| step.id.as_deref() == Some(id)) {
                let what = format!(
                    "`{name}` is empty here: step `{id}`, which computes it, does not come before {}",
                    step.title()
                );
                problems.push(variable_problem(files, step, &format!("steps.{id}."), what));
            }
        }
    }
}

/// The variables that a call of `envsubst` replaces.
enum VariableList<'a> {
    /// The call has no list.
    Every,
    Named(BTreeSet<&'a str>),
    /// The shell replaces the names in the list by their values.
    Values,
    /// A command or a value from elsewhere makes the list.
    Unknown,
}

/// Returns the variables that the argument of `envsubst` lists. The argument may be a variable whose value is
/// the list; `given` are the variables of the step's environment.
fn read_variable_list<'a>(
    argument: Option<&'a str>,
    script: &'a str,
    given: &BTreeMap<&str, &'a Value>,
) -> VariableList<'a> {
    let names = |list: &'a str| find_variables(list).into_iter().map(|(name, _)| name).collect();
    let Some(argument) = argument.filter(|argument| argument.contains('$')) else {
        return VariableList::Every;
    };
    if argument.starts_with('\'') || argument.contains("\\$") {
        return VariableList::Named(names(argument));
    }
    if argument.contains("$(") || argument.contains('`') {
        return VariableList::Unknown;
    }
    let [(name, _)] = find_variables(argument)[..] else { return VariableList::Values };
    let unquoted = argument.trim_matches('"');
    let is_whole = unquoted == format!("${name}") || unquoted == format!("${{{name}}}");
    let assigned = ASSIGNMENT_PATTERN.captures_iter(script).filter_map(|found| {
        (found.get(1)?.as_str() == name).then(|| found.get(2).map_or("", |value| value.as_str()))
    });
    match (is_whole, assigned.last(), given.get(name).copied()) {
        (false, ..) => VariableList::Values,
        (true, Some(list), _) if list.contains("$(") || list.contains('`') => VariableList::Unknown,
        (true, Some(list), _) if list.starts_with('\'') || list.contains("\\$") => {
            VariableList::Named(names(list))
        }
        (true, Some(_), _) => VariableList::Values,
        (true, None, Some(Value::String(list))) if !list.contains("${{") && list.contains('$') => {
            VariableList::Named(names(list))
        }
        (true, None, Some(Value::String(list))) if !list.contains("${{") => VariableList::Values,
        (true, None, _) => VariableList::Unknown,
    }
}

/// Returns the title of another step of the job that sets the variable: any other step in its own `env`, or a
/// later step for the steps after it.
fn other_step_title(job: &WorkflowJob, step_index: usize, name: &str) -> Option<String> {
    let others = job.steps.iter().enumerate().filter(|(other, _)| *other != step_index);
    let has = |(other, step): &(usize, &WorkflowStep)| {
        step.env.as_ref().is_some_and(|env| env.contains_key(name))
            || (*other > step_index && step.exported_variables().contains(name))
    };
    others.into_iter().find(has).map(|(_, step)| step.title())
}

/// Reports multi-line values that end at a fixed word. The author of such a value can write this word and
/// then set further variables or outputs.
fn check_fixed_delimiters(
    files: &EnvsubstFiles<'_>,
    step: &WorkflowStep,
    problems: &mut Vec<EnvsubstProblem>,
) {
    let script = step.script();
    if !["GITHUB_OUTPUT", "GITHUB_ENV"].iter().any(|file| script.contains(file)) {
        return;
    }
    for found in FIXED_DELIMITER_PATTERN.captures_iter(script) {
        let (Some(name), Some(end)) = (found.get(1), found.get(2)) else { continue };
        let (name, end) = (name.as_str(), end.as_str());
        let what = format!(
            "the value of `{name}` ends at the first line `{end}`, which a model or a stranger may write; \
             generate a new word each time: `END=$(openssl rand -hex 16)`"
        );
        problems.push(workflow_problem(files, step, &format!("{name}<<{end}"), what));
    }
}
