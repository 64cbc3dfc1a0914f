//! The command `truing prompts test`: selects cases and prompts, and prints the results.

mod stage;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

use serde::Serialize;
use truing_agent::prompt::case::PromptCase;
use truing_agent::prompt::{PromptLibrary, PromptMutant};
use truing_config::PromptsConfig;
use truing_core::money::MicroUsd;
use truing_loops::text::format_count;

use super::super::columns::fold_line;
use super::super::error::{CliError, CommandExit};
use super::super::{CommandContext, runtime};
use crate::wiring;
use stage::{CASE_MONEY, CaseResult, CaseRunner};

/// The arguments.
#[derive(clap::Args, Debug)]
pub(super) struct PromptsTestArgs {
    /// A folder of prompts and cases, instead of the configured one. A prompt or case in this folder replaces
    /// the built-in one with the same name
    dir: Option<PathBuf>,
    /// Run only this case; may be repeated
    #[arg(long, value_name = "NAME")]
    case: Vec<String>,
    /// Ask the configured model, which costs money: at most $0.50 a case
    #[arg(long)]
    live: bool,
    /// Make mistakes in the prompts, one at a time, and list the mistakes that no test detects
    #[arg(long, conflicts_with = "live")]
    mutate: bool,
}

#[derive(Serialize)]
struct PromptsTestJson<'a> {
    cases: Vec<PromptCaseJson<'a>>,
    not_covered: Vec<&'a str>,
    cost_micro_usd: MicroUsd,
    mistakes: Option<MutationResults>,
}

#[derive(Serialize)]
struct PromptCaseJson<'a> {
    name: &'a str,
    file: &'a str,
    route: &'static str,
    passed: bool,
    problems: Vec<String>,
    turns: u32,
    cost_micro_usd: MicroUsd,
}

/// Numbers of deliberate mutations, by the test that detected the mutation first.
#[derive(Serialize, Default)]
struct MutationResults {
    #[serde(rename = "made")]
    mutation_count: usize,
    noticed_by_check: usize,
    noticed_by_values: usize,
    noticed_by_cases: usize,
    unnoticed: Vec<String>,
}

pub(super) fn run(args: &PromptsTestArgs, context: &CommandContext) -> Result<CommandExit, CliError> {
    let to_cli_error = |error| wiring::prompt_error(&error);
    let config = context.config(&[])?;
    let folder = match &args.dir {
        Some(dir) => Some(context.environment.directory().join(dir)),
        None => config.prompts.dir.clone(),
    };
    let prompts = wiring::load_prompts(&PromptsConfig { dir: folder.clone() })?;
    let cases = PromptCase::load_all(folder.as_deref()).map_err(to_cli_error)?;
    if let Some(folder) = &folder
        && prompts == PromptLibrary::load_embedded().map_err(to_cli_error)?
        && cases == PromptCase::load_all(None).map_err(to_cli_error)?
    {
        let message = format!("the folder {} holds neither prompts nor cases", folder.display());
        return Err(CliError::usage("no_prompts", message).hint(
            "the files of prompts end in .md; the files of cases are in the subfolder `cases` and \
                end in .toml",
        ));
    }
    let cases = select_cases(cases, &args.case)?;
    runtime::start()?.block_on(async {
        let stage = if args.live {
            CaseRunner::with_configured_model(&config, &context.environment).await?
        } else {
            CaseRunner::with_scripted_model().await?
        };
        if args.live {
            let all = MicroUsd(CASE_MONEY.0.saturating_mul(cases.len() as u64));
            context.output.print_lines(format_args!(
                "Asking {} for {}: at most {CASE_MONEY} each, {all} in all.\n",
                stage.model(),
                format_count(cases.len(), "case"),
            ));
        }
        let mut played = Vec::new();
        for case in &cases {
            played.push((case, stage.run_case(case, &prompts).await?));
        }
        let all_passed = played.iter().all(|(_, played)| played.has_passed());
        let mistakes = match args.mutate && all_passed {
            true => Some(run_mutations(&stage, &cases, &prompts).await?),
            false => None,
        };
        let is_good = all_passed && mistakes.as_ref().is_none_or(|mistakes| mistakes.unnoticed.is_empty());
        let answer = build_answer(&prompts, &cases, played, mistakes);
        context.output.print_answer(&answer, || render_text(&answer, args))?;
        Ok(if is_good { CommandExit::Success } else { CommandExit::NegativeAnswer })
    })
}

/// Returns the cases with these names, or all of them.
fn select_cases(cases: Vec<PromptCase>, names: &[String]) -> Result<Vec<PromptCase>, CliError> {
    if let Some(name) = names.iter().find(|name| !cases.iter().any(|case| case.name == **name)) {
        let known = cases.iter().map(|case| case.name.as_str()).collect::<Vec<_>>().join(", ");
        return Err(CliError::usage("unknown_case", format!("there is no case `{name}` (known: {known})")));
    }
    Ok(cases.into_iter().filter(|case| names.is_empty() || names.contains(&case.name)).collect())
}

/// Returns the modules from which the request of a case is composed.
fn case_modules<'a>(case: &PromptCase, prompts: &'a PromptLibrary) -> BTreeSet<&'a str> {
    [&case.system, &case.task]
        .into_iter()
        .flat_map(|part| prompts.prompt_module_names(&part.prompt))
        .collect()
}

/// Applies every mutation to every module that a case covers.
async fn run_mutations(
    runner: &CaseRunner,
    cases: &[PromptCase],
    prompts: &PromptLibrary,
) -> Result<MutationResults, CliError> {
    let covered: BTreeSet<&str> = cases.iter().flat_map(|case| case_modules(case, prompts)).collect();
    let mut mistakes = MutationResults::default();
    for module in covered {
        let of_module: Vec<&PromptCase> =
            cases.iter().filter(|case| case_modules(case, prompts).contains(module)).collect();
        for PromptMutant { description, result } in prompts.mutants(module) {
            mistakes.mutation_count += 1;
            let Ok(result) = result else {
                mistakes.noticed_by_check += 1;
                continue;
            };
            if of_module.iter().any(|case| case.fill_prompts(&result).is_err()) {
                mistakes.noticed_by_values += 1;
                continue;
            }
            let mut is_noticed = false;
            for case in &of_module {
                is_noticed = !runner.run_case(case, &result).await?.has_passed();
                if is_noticed {
                    break;
                }
            }
            if is_noticed {
                mistakes.noticed_by_cases += 1;
            } else {
                mistakes.unnoticed.push(description);
            }
        }
    }
    Ok(mistakes)
}

fn build_answer<'a>(
    prompts: &'a PromptLibrary,
    cases: &'a [PromptCase],
    results: Vec<(&'a PromptCase, CaseResult)>,
    mistakes: Option<MutationResults>,
) -> PromptsTestJson<'a> {
    let covered: BTreeSet<&str> = cases.iter().flat_map(|case| case_modules(case, prompts)).collect();
    let all = prompts.list().into_iter().map(|listed| listed.name);
    let not_covered = all.filter(|name| !covered.contains(name)).collect();
    let cost_micro_usd = MicroUsd(results.iter().map(|(_, results)| results.cost.0).sum());
    let cases = results.into_iter().map(|(case, results)| PromptCaseJson {
        name: &case.name,
        file: &case.file,
        route: case.route.name,
        passed: results.has_passed(),
        problems: results.problems,
        turns: results.turns,
        cost_micro_usd: results.cost,
    });
    PromptsTestJson { cases: cases.collect(), not_covered, cost_micro_usd, mistakes }
}

fn render_text(answer: &PromptsTestJson<'_>, args: &PromptsTestArgs) -> String {
    let mut text = String::new();
    for case in &answer.cases {
        let verdict = if case.passed { "passed" } else { "failed" };
        let _ = writeln!(text, "{}: {verdict}", case.name);
        for problem in &case.problems {
            text += &fold_line("  ", problem);
        }
    }
    let failed = answer.cases.iter().filter(|case| !case.passed).count();
    let _ = writeln!(text, "{}, {failed} failed", format_count(answer.cases.len(), "case"));
    if args.live {
        let _ = writeln!(text, "cost: {}", answer.cost_micro_usd);
    }
    if args.case.is_empty() && !answer.not_covered.is_empty() {
        text += &fold_line("in no case: ", &answer.not_covered.join(", "));
    }
    match &answer.mistakes {
        Some(MutationResults {
            mutation_count: made,
            noticed_by_check,
            noticed_by_values,
            noticed_by_cases,
            unnoticed,
        }) => {
            let noticed = made.saturating_sub(unnoticed.len());
            let _ = writeln!(
                text,
                "{noticed} of {}: {noticed_by_check} by `check`, {noticed_by_values} by values, \
                 {noticed_by_cases} by cases",
                format_count(*made, "mistake")
            );
            for what in unnoticed {
                text += &fold_line("  not noticed: ", what);
            }
        }
        None if args.mutate => text += "no mistakes were introduced: fix the failing cases first\n",
        None => {}
    }
    text
}
