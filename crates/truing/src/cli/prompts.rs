//! The command `truing prompts`: lists, renders and formats the prompts of models, and checks an operator's
//! own prompts.

#[cfg(feature = "demo")]
mod test;

use std::path::{Path, PathBuf};

use serde::Serialize;
use truing_agent::prompt::case::TEST_BOUNDARY_WORD;
use truing_agent::prompt::envsubst;
use truing_agent::prompt::wrap::wrap_text;
use truing_agent::prompt::{
    DataBoundary, ListedModule, ListedVariable, PromptLibrary, PromptProblem, PromptValues,
};
use truing_loops::text::format_count;

use super::CommandContext;
use super::columns::fold_line;
use super::error::{CliError, CommandExit};
use crate::wiring;

/// List, render, check and test prompts
#[derive(clap::Args, Debug)]
pub struct PromptsArgs {
    #[command(subcommand)]
    action: PromptsCommand,
}

#[derive(clap::Subcommand, Debug)]
enum PromptsCommand {
    /// List every prompt and its values
    List,
    /// Show a prompt as a model receives it
    ///
    /// A value that is missing, unknown or of the wrong type is an error. Untrusted text is enclosed in marks
    /// that contain a random word. The word is new in every run; in this output it is all zeros. JSON
    /// includes the hash of the prompt.
    Render {
        /// The prompt's name
        name: String,
        /// The value of a variable of the prompt; may be repeated
        #[arg(long, value_name = "NAME=VALUE", value_parser = parse_assignment)]
        set: Vec<(String, String)>,
    },
    /// Check prompts, and list every problem with file and line
    ///
    /// Exit 1 if there is a problem.
    Check {
        /// The folder of prompts to check, instead of the configured folder. The prompts may include built-in
        /// prompts
        #[arg(conflicts_with_all = ["envsubst", "workflow"])]
        dir: Option<PathBuf>,
        /// Check a prompt that `envsubst` fills in, instead of a folder of prompts
        #[arg(long, value_name = "FILE", requires = "workflow")]
        envsubst: Option<PathBuf>,
        /// With --envsubst: the GitHub workflow that calls `envsubst`
        #[arg(long, value_name = "YML", requires = "envsubst")]
        workflow: Option<PathBuf>,
    },
    /// Test prompts: check that a model receives all information that it needs for the right decision
    ///
    /// A case is a TOML file in the folder `cases` beside the prompts. The request of a case is composed in
    /// the same way as the request of a run. The same loop as in a run sends the request to a scripted model
    /// on this machine. The scripted model gives the right answer only if the request contains all texts in
    /// the case. The test costs nothing. Exit code 1 if a case fails or, with --mutate, if no test detects a
    /// mistake.
    #[cfg(feature = "demo")]
    Test(test::PromptsTestArgs),
    /// Wrap prompts between 100 and 120 columns, without changing what they mean
    ///
    /// Front matter, code, tables, HTML and quotations stay as they are. Exit code 1 if `--check` finds a
    /// file that is not wrapped.
    Fmt {
        /// A folder of prompts, instead of the configured one
        dir: Option<PathBuf>,
        /// Change nothing: list the files that would change
        #[arg(long)]
        check: bool,
    },
}

pub(crate) fn run(args: &PromptsArgs, context: &CommandContext) -> Result<CommandExit, CliError> {
    match &args.action {
        PromptsCommand::List => list_prompts(context),
        PromptsCommand::Render { name, set } => render_prompt(name, set, context),
        PromptsCommand::Check { envsubst: Some(prompt), workflow: Some(workflow), .. } => {
            check_envsubst(prompt, workflow, context)
        }
        PromptsCommand::Check { dir, .. } => check_prompts(dir.as_ref(), context),
        #[cfg(feature = "demo")]
        PromptsCommand::Test(args) => test::run(args, context),
        PromptsCommand::Fmt { dir, check } => format_prompts(dir.as_ref(), *check, context),
    }
}

/// Parses an assignment `NAME=VALUE`.
fn parse_assignment(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("the form must be NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

// -------------------------------------------------------------------------------- list

#[derive(Serialize)]
struct PromptJson<'a> {
    name: &'a str,
    description: &'a str,
    file: &'a str,
    includes: &'a [String],
    variables: Vec<VariableJson<'a>>,
}

#[derive(Serialize)]
struct VariableJson<'a> {
    name: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    required: bool,
    default: Option<&'a str>,
    description: &'a str,
}

impl<'a> From<&ListedVariable<'a>> for VariableJson<'a> {
    fn from(variable: &ListedVariable<'a>) -> Self {
        let ListedVariable { name, kind, description, default } = *variable;
        Self { name, kind: kind.as_str(), required: default.is_none(), default, description }
    }
}

fn list_prompts(context: &CommandContext) -> Result<CommandExit, CliError> {
    let prompts = wiring::load_prompts(&context.config(&[])?.prompts)?;
    let listed = prompts.list();
    match context.output.is_json() {
        true => context.output.print_json_lines(listed.iter().map(module_json))?,
        false => context.output.print_data(listed.iter().map(render_module_text).collect::<String>())?,
    }
    Ok(CommandExit::Success)
}

fn module_json<'a>(module: &ListedModule<'a>) -> PromptJson<'a> {
    let ListedModule { name, description, file, ref variables, includes } = *module;
    PromptJson {
        name,
        description,
        file,
        includes,
        variables: variables.iter().map(VariableJson::from).collect(),
    }
}

fn render_module_text(module: &ListedModule<'_>) -> String {
    let mut text = format!("{}\n{}", module.name, fold_line("  ", module.description));
    if !module.includes.is_empty() {
        text += &fold_line("  includes  ", &module.includes.join(", "));
    }
    for wanted in &module.variables {
        let ListedVariable { name, kind, description, default } = wanted;
        let needed = if default.is_some() { "" } else { ", required" };
        text += &fold_line("  takes     ", &format!("{name} ({}{needed}): {description}", kind.as_str()));
    }
    text
}

// -------------------------------------------------------------------------------- render

#[derive(Serialize)]
struct PromptRenderJson<'a> {
    name: &'a str,
    hash: String,
    text: String,
}

fn render_prompt(
    name: &str,
    variables: &[(String, String)],
    context: &CommandContext,
) -> Result<CommandExit, CliError> {
    let prompts = wiring::load_prompts(&context.config(&[])?.prompts)?;
    let mut values = PromptValues::default();
    for (at, (name, value)) in variables.iter().enumerate() {
        if variables.iter().take(at).any(|(known, _)| known == name) {
            return Err(CliError::usage("bad_values", format!("`{name}` is set twice")));
        }
        values = values.with_value(name, value);
    }
    let rendered = prompts.compose(name).and_then(|prompt| {
        let text = prompt.render(&values, &DataBoundary::new(TEST_BOUNDARY_WORD)?)?;
        Ok(PromptRenderJson { name, hash: prompt.hash(), text })
    });
    let rendered = rendered.map_err(|error| wiring::prompt_error(&error))?;
    context.output.print_answer(&rendered, || rendered.text.clone())?;
    Ok(CommandExit::Success)
}

// -------------------------------------------------------------------------------- check

#[derive(Serialize)]
struct PromptsCheckJson {
    problems: Vec<ProblemJson>,
}

#[derive(Serialize)]
struct ProblemJson {
    file: String,
    line: u32,
    message: String,
}

fn check_prompts(dir: Option<&PathBuf>, context: &CommandContext) -> Result<CommandExit, CliError> {
    let to_cli_error = |error| wiring::prompt_error(&error);
    let embedded = PromptLibrary::load_embedded().map_err(to_cli_error)?;
    let folder = match dir {
        Some(dir) => Some(context.environment.directory().join(dir)),
        None => context.config(&[])?.prompts.dir,
    };
    let problems = match folder {
        Some(folder) => embedded.check(&folder).map_err(to_cli_error)?,
        None => Vec::new(),
    };
    let as_json = |problem: &PromptProblem| {
        let PromptProblem { file, line, kind } = problem;
        ProblemJson { file: file.clone(), line: *line, message: kind.to_string() }
    };
    let answer = PromptsCheckJson { problems: problems.iter().map(as_json).collect() };
    context.output.print_answer(&answer, || match problems.len() {
        0 => "no problems\n".to_owned(),
        count => {
            let lines: String = problems.iter().map(|problem| fold_line("", &problem.to_string())).collect();
            format!("{lines}{}\n", format_count(count, "problem"))
        }
    })?;
    Ok(if problems.is_empty() { CommandExit::Success } else { CommandExit::NegativeAnswer })
}

// -------------------------------------------------------------------------------- fmt

#[derive(Serialize)]
struct PromptsFmtJson {
    #[serde(rename = "changed")]
    changed_files: Vec<String>,
}

fn format_prompts(
    dir: Option<&PathBuf>,
    is_check: bool,
    context: &CommandContext,
) -> Result<CommandExit, CliError> {
    let folder = match dir {
        Some(dir) => Some(context.environment.directory().join(dir)),
        None => context.config(&[])?.prompts.dir,
    };
    let folder = folder.ok_or_else(|| {
        CliError::usage("no_folder", "no folder of prompts is configured")
            .hint("specify a folder: `truing prompts fmt DIR`; or set `prompts.dir`")
    })?;
    let failed = |error: &dyn std::fmt::Display| {
        CliError::usage("unreadable", format!("the folder of prompts {}: {error}", folder.display()))
    };
    let mut changed = Vec::new();
    let walk = ignore::WalkBuilder::new(&folder).standard_filters(false).sort_by_file_path(Ord::cmp).build();
    for entry in walk {
        let entry = entry.map_err(|error| failed(&error))?;
        let path = entry.path();
        let is_module =
            path.extension().is_some_and(|ending| ending == "md") && entry.file_name() != "README.md";
        if !is_module || !entry.file_type().is_some_and(|kind| kind.is_file()) {
            continue;
        }
        let text = read_text(path, context)?;
        let wrapped = wrap_text(&text);
        if wrapped != text {
            if !is_check {
                std::fs::write(path, wrapped).map_err(|error| {
                    CliError::failure("write_failed", format!("{}: {error}", path.display()))
                })?;
            }
            changed.push(
                path.strip_prefix(context.environment.directory()).unwrap_or(path).display().to_string(),
            );
        }
    }
    let exit =
        if is_check && !changed.is_empty() { CommandExit::NegativeAnswer } else { CommandExit::Success };
    let answer = PromptsFmtJson { changed_files: changed };
    context.output.print_answer(&answer, || {
        answer.changed_files.iter().map(|file| format!("{file}\n")).collect::<String>()
    })?;
    Ok(exit)
}

// -------------------------------------------------------------------------------- check --envsubst

/// Maximum bytes of a file that is checked or wrapped.
const MAX_FILE_BYTES: u64 = 1 << 20;

fn check_envsubst(prompt: &Path, workflow: &Path, context: &CommandContext) -> Result<CommandExit, CliError> {
    let (prompt_text, workflow_text) = (read_text(prompt, context)?, read_text(workflow, context)?);
    let (prompt, workflow) = (prompt.display().to_string(), workflow.display().to_string());
    let files = envsubst::EnvsubstFiles {
        prompt_name: &prompt,
        prompt_text: &prompt_text,
        workflow_name: &workflow,
        workflow_text: &workflow_text,
    };
    let problem = envsubst::check_envsubst(&files);
    let as_json = |problem: &envsubst::EnvsubstProblem| {
        let envsubst::EnvsubstProblem { file, line, message: what } = problem;
        ProblemJson { file: file.clone(), line: *line, message: what.clone() }
    };
    let answer = PromptsCheckJson { problems: problem.iter().map(as_json).collect() };
    context.output.print_answer(&answer, || match problem.len() {
        0 => "no problems\n".to_owned(),
        count => {
            let line = |problem: &envsubst::EnvsubstProblem| {
                fold_line("", &format!("{}:{}: {}", problem.file, problem.line, problem.message))
            };
            format!("{}{}\n", problem.iter().map(line).collect::<String>(), format_count(count, "problem"))
        }
    })?;
    Ok(if problem.is_empty() { CommandExit::Success } else { CommandExit::NegativeAnswer })
}

/// Reads the text of a file.
fn read_text(path: &Path, context: &CommandContext) -> Result<String, CliError> {
    use std::io::Read as _;
    let whole = context.environment.directory().join(path);
    let unread = |reason: String| {
        CliError::usage("unreadable", format!("{} cannot be read: {reason}", path.display()))
    };
    let file = std::fs::File::open(whole).map_err(|error| unread(error.to_string()))?;
    if !file.metadata().is_ok_and(|file| file.is_file()) {
        return Err(unread("it is not a regular file".to_owned()));
    }
    let mut text = String::new();
    file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text).map_err(|error| unread(error.to_string()))?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(unread(format!("it is longer than {MAX_FILE_BYTES} bytes")));
    }
    Ok(text)
}
