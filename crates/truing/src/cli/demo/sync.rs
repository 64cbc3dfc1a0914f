//! The command `truing demo sync`: a job follows the releases of a package, and each run is reported.

use truing_config::{RulesConfig, SandboxConfig};
use truing_core::line::format_count;
use truing_core::sandbox::SandboxLevel;
use truing_core::sync::record::SyncOutcome as Outcome;

use super::{CommandContext, demo_error, print_inspection_notes};
use crate::cli::columns::fold_line;
use crate::cli::error::{CliError, CommandExit};
use crate::demo::sync::{SyncDemo, SyncDemoEvent, SyncDemoReport, SyncDemoRun};
use crate::demo::{DemoError, WRITER_LOGIN, github_pulls_url};
use crate::wiring;

/// Indentation of a line about a run. The constant below is the indentation of a continuation line, and of a
/// line about a person's action.
const INDENT: &str = "   ";
const CONTINUATION_INDENT: &str = "                   ";
/// Commands that show more of the demonstration while `--stay` keeps it running.
const INSPECTION_COMMANDS: [&str; 2] = ["sync status rim", "report --loop sync --format html > report.html"];

pub(super) async fn run_demo(stay: bool, context: &CommandContext) -> Result<CommandExit, CliError> {
    let output = context.output;
    let level = tokio::task::spawn_blocking(truing_loops::machine::sandbox_level).await.map_err(|error| {
        CliError::failure("demo", format!("could not test the sandbox of this machine: {error}"))
    })?;
    let mut intro = fold_line(
        "",
        "rim is an example package in a package index on this machine; spokes, a project on a forge on \
        this machine, contains a copy of rim/spin.py that is rewritten as coroutines. Each run is one \
        `truing sync run rim`.",
    );
    if level < SandboxLevel::MIN_FOR_FOREIGN_CODE {
        let reason = format!(
            "The sandbox of this machine reaches level `{}`, but a model ports code only from level `{}` on: \
                that part of the demo is left out. `truing sandbox check` says how to reach it.",
            level.as_str(),
            SandboxLevel::MIN_FOR_FOREIGN_CODE.as_str()
        );
        intro += &fold_line("", &reason);
    }
    if !output.is_json() {
        output.print_data(intro)?;
    }
    // The demonstration reads only its own files, so its reader needs no sandbox and works on any machine.
    let reader = wiring::child_process_reader(
        &RulesConfig::default(),
        &SandboxConfig { min_level: SandboxLevel::None },
    )?;
    let mut story = SyncDemo::start(&context.environment, reader, level).await.map_err(demo_error)?;
    let (mut scene, mut before) = (0, String::new());
    let report = story
        .run_all_sections(|event| {
            let text = match &event {
                SyncDemoEvent::SectionStarted(title) => {
                    scene += 1;
                    format!("\n{}", fold_line(&format!("{scene}. "), title))
                }
                SyncDemoEvent::PersonAction(does) => fold_line(INDENT, &format!("{WRITER_LOGIN} {does}")),
                SyncDemoEvent::RunEnded(ran) => {
                    let text = render_run(ran, &before);
                    before.clone_from(&ran.reason);
                    text
                }
            };
            if output.is_json() { Ok(()) } else { output.print_data(text).map_err(DemoFailure::Cli) }
        })
        .await
        .map_err(|error| match error {
            DemoFailure::Cli(error) => error,
            DemoFailure::Demo(error) => demo_error(error),
        })?;
    output.print_answer(&report, || render_summary(&report))?;
    if stay {
        print_inspection_notes(
            output,
            &github_pulls_url(story.forge_url()),
            &story.config_path(),
            &INSPECTION_COMMANDS,
        );
        std::future::pending::<()>().await;
    }
    Ok(if report.has_passed() { CommandExit::Success } else { CommandExit::NegativeAnswer })
}

/// The reason why the demonstration stopped early.
enum DemoFailure {
    Demo(DemoError),
    Cli(CliError),
}

impl From<DemoError> for DemoFailure {
    fn from(error: DemoError) -> Self {
        Self::Demo(error)
    }
}

/// Formats one run. A reason is shortened if it equals `previous_reason`.
fn render_run(run: &SyncDemoRun, previous_reason: &str) -> String {
    let begun = if run.scheduled { "cron" } else { "run" };
    let label = format!("{INDENT}{begun:<5} {:<9} ", run.result.as_str().replace('_', " "));
    let mut text = match &run.shows {
        Some(shown) => {
            fold_line(&label, &format!("{} {}: {}", shown.kind.as_str(), shown.number, shown.title))
        }
        None => String::new(),
    };
    // For these two results, the title already contains the reason.
    if ![Outcome::RangeWidened, Outcome::CodePorted].contains(&run.result) {
        let reason = if run.reason == previous_reason {
            "as before"
        } else {
            run.reason.lines().next().unwrap_or_default()
        };
        text += &fold_line(if text.is_empty() { &label } else { CONTINUATION_INDENT }, reason);
    }
    if run.turns > 0 {
        text += &fold_line(
            CONTINUATION_INDENT,
            &format!("the model: {}, {}", format_count(run.turns, "turn"), run.cost_micro_usd),
        );
    }
    if run.scheduled {
        text += &fold_line(
            CONTINUATION_INDENT,
            &format!("{} to the forge; exit {}", format_count(run.forge_calls, "call"), run.exit),
        );
    }
    text
}

fn render_summary(report: &SyncDemoReport) -> String {
    let SyncDemoReport {
        runs,
        unexpected,
        pull_requests,
        drafts,
        questions,
        doubled,
        left_open,
        breaker,
        ..
    } = report;
    let verdict =
        if report.has_passed() { "As promised." } else { "The result differs from the expected one." };
    format!(
        "\n{} in {:.1} s, {unexpected} ended differently than expected (promised: 0)\n\x20 \
        opened                {}, {}, {}\n\x20 two open at once      {doubled} (promised: 0)\n\x20 left \
        open             {left_open} drafts and issues (promised: 0)\n\x20 circuit breaker       \
        {breaker}\n\x20 the model             {} answers from a script; {} tokens in, {} \
        out,\n\x20                       {} at list price\n{verdict}\n",
        format_count(runs.len(), "run"),
        report.seconds,
        format_count(pull_requests, "pull request"),
        format_count(drafts, "draft"),
        format_count(questions, "issue"),
        report.model.model_calls,
        report.model.model_tokens_in,
        report.model.model_tokens_out,
        report.model.model_cost_micro_usd
    )
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::TruingCli;

    #[test]
    fn what_is_said_to_show_more_are_commands() {
        for line in INSPECTION_COMMANDS {
            let words = line.split(" > ").next().unwrap().split(' ');
            let command = ["truing", "--config", "truing.toml"].into_iter().chain(words);
            assert!(TruingCli::try_parse_from(command).is_ok(), "{line}");
        }
    }
}
