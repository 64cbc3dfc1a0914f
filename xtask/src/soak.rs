//! `cargo xtask soak`: repeats checks that take too long for an ordinary test run, until the time is over.
//! [`PARTS`] lists the checks. Each check is a test or a command with a large amount of work. A check fails
//! if the program breaks a promise.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::{say, workspace};

/// The duration, and the parts to run.
#[derive(Args)]
pub(crate) struct Options {
    /// Start no new round after this number of minutes
    #[arg(long, default_value_t = 10)]
    minutes: u64,
    /// Run this part alone: schedules, demo, days, money, storm, fleet, large, bombs or agents; may be
    /// repeated
    #[arg(long = "only", value_name = "PART")]
    only: Vec<String>,
}

/// A test or command that is repeated.
struct SoakPart {
    name: &'static str,
    /// The promise that the part tests.
    promise: &'static str,
    /// Arguments of the cargo command.
    arguments: &'static [&'static str],
    /// The environment variable that sets the amount of work, and its value.
    workload_variable: Option<(&'static str, &'static str)>,
    /// The beginning of the output line that summarizes the work done.
    summary_prefix: &'static str,
}

const PARTS: [SoakPart; 10] = [
    SoakPart {
        name: "schedules",
        promise: "the slot machine's, under any schedule",
        arguments: &["test", "--package", "truing-core", "--test", "it", "slot::schedules"],
        // 50,000 cases take about ten seconds.
        workload_variable: Some(("PROPTEST_CASES", "50000")),
        summary_prefix: "test result",
    },
    SoakPart {
        name: "demo",
        promise: "the service's, in a storm of pushes",
        arguments: &["run", "--package", "truing", "--", "demo", "--storm", "--quiet", "--format", "json"],
        workload_variable: None,
        summary_prefix: "{",
    },
    SoakPart {
        name: "days",
        promise: "slots' and records', over seven days of 10,000 pull requests",
        arguments: &["test", "--package", "truing-store", "--test", "it", "--", "--nocapture", "week::"],
        workload_variable: Some(("TRUING_DAYS", "7,10000")),
        summary_prefix: "7 days",
    },
    SoakPart {
        name: "money",
        promise: "the ledger's, over 10,000 runs with parallel calls, deaths and lost answers",
        arguments: &["test", "--package", "truing-store", "--test", "it", "--", "--nocapture", "money::"],
        workload_variable: Some(("TRUING_RUNS", "10000")),
        summary_prefix: "money:",
    },
    SoakPart {
        name: "storm",
        promise: "the service's, of 500 pull requests with 200 pushes each and 50 times kill -9",
        arguments: &["test", "--package", "truing", "--test", "it", "--", "--nocapture", "storm::a_storm"],
        workload_variable: Some(("TRUING_STORM", "500,200,50")),
        summary_prefix: "storm:",
    },
    SoakPart {
        name: "fleet",
        promise: "the service's of eight processes on Valkey and PostgreSQL, of which one after another is \
             killed",
        arguments: &["test", "--package", "truing", "--test", "it", "--", "--nocapture", "storm::fleet::"],
        workload_variable: Some(("TRUING_FLEET", "500,4,4,600")),
        summary_prefix: "fleet:",
    },
    SoakPart {
        name: "crash",
        promise: "the reviews' on Valkey and PostgreSQL, interrupted at each of their calls",
        arguments: &[
            "test",
            "--package",
            "truing-service",
            "--test",
            "it",
            "--",
            "--nocapture",
            "crash::stories",
        ],
        workload_variable: Some(("TRUING_TEST_FULL", "1")),
        summary_prefix: "crash:",
    },
    SoakPart {
        name: "large",
        promise: "the memory and the calls of the forge that a pull request of 3,000 files takes",
        arguments: &["test", "--package", "truing", "--test", "it", "--", "--nocapture", "operate::large::"],
        workload_variable: Some(("TRUING_LARGE", "3000,100000")),
        summary_prefix: "large:",
    },
    SoakPart {
        name: "bombs",
        promise: "what is found beside 60 files that a parser makes very much of, in 150 s",
        arguments: &["test", "--package", "truing", "--test", "it", "--", "--nocapture", "operate::bombs::"],
        workload_variable: Some(("TRUING_BOMBS", "60")),
        summary_prefix: "bombs:",
    },
    SoakPart {
        name: "agents",
        promise: "the time and memory that 50 runs of a model take side by side",
        arguments: &["test", "--package", "truing", "--test", "it", "--", "--nocapture", "many::runs"],
        workload_variable: Some(("TRUING_AGENTS", "50,10")),
        summary_prefix: "agents:",
    },
];

/// Runs all parts repeatedly until the time is over or a part fails.
pub(crate) fn run(options: &Options) -> Result<bool> {
    if let Some(unknown) = options.only.iter().find(|name| PARTS.iter().all(|part| part.name != **name)) {
        let names = PARTS.map(|part| part.name).join(", ");
        bail!("there is no part `{unknown}`; there are {names}");
    }
    let wanted =
        |part: &&SoakPart| options.only.is_empty() || options.only.iter().any(|name| name == part.name);
    let end = Instant::now() + Duration::from_secs(options.minutes.saturating_mul(60));
    let mut rounds = 0_u32;
    loop {
        rounds += 1;
        for part in PARTS.iter().filter(wanted) {
            say::print_line(&format!("round {rounds}, {}: {}", part.name, run_part(part)?));
        }
        if Instant::now() >= end {
            break;
        }
    }
    say::print_line(&format!("{rounds} rounds, every promise kept"));
    Ok(true)
}

/// Runs a part. Returns the summary line of the part's output, followed by the duration.
fn run_part(part: &SoakPart) -> Result<String> {
    let began = Instant::now();
    let mut command = workspace::cargo_command(&workspace::workspace_root()?);
    let (verb, rest) = part.arguments.split_first().context("a part runs something")?;
    command.args([*verb, "--release", "--locked", "--quiet"]).args(rest).envs(part.workload_variable);
    let text = workspace::command_output(&mut command)
        .with_context(|| format!("a promise is broken: {}", part.promise))?;
    let summary_line = text.lines().find(|line| line.starts_with(part.summary_prefix));
    // The summary line is required, because a test run whose filter matches no test would also succeed.
    let summary_line = summary_line.with_context(|| {
        format!("{} ran nothing: it printed no line that begins with `{}`", part.name, part.summary_prefix)
    })?;
    Ok(format!("{summary_line} ({:.0} s)", began.elapsed().as_secs_f64()))
}
