//! `cargo xtask bench runtimes`: runs the same scripted review with the runtimes `native` and `cli`, and
//! measures time and memory. For comparison, it also measures the `claude` program with a single question.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::{Value, json};
use truing_fakes::model::{AnswerCondition, DEFAULT_API_KEY, FakeModel, ModelScript, ScriptedAnswer};

use super::{meter, watch};
use crate::{say, tools, workspace};

/// The program to measure, and the number of measurements.
#[derive(Args)]
pub(crate) struct Options {
    /// Number of measurements of each program, alternately; the medians are used
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// The optimized program to measure [default: built now]
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
}

/// Runs the measurement. Returns `false` if the reviews of the two runtimes have different results.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let root = workspace::workspace_root()?;
    let program = match &options.program {
        Some(program) => program.canonicalize().with_context(|| format!("no {}", program.display()))?,
        None => super::program::build_truing(&root)?,
    };
    let [claude] = tools::NPM_ARCHIVE_TOOLS else {
        bail!("which of the packed tools is the claude program?")
    };
    let claude = tools::find_or_download(&root, claude).map_err(anyhow::Error::msg)?;
    let runtime = tokio::runtime::Runtime::new().context("no threads can be had")?;
    let model = runtime.block_on(FakeModel::start(review_script())).context("the model cannot start")?;
    let temporary = tempfile::tempdir().context("no temporary folder can be made")?;
    let home = temporary.path().to_owned();
    let place =
        RuntimeBenchPaths { root: home.join("r"), home, program, claude, model_url: model.url().to_owned() };
    place.create_repository()?;
    let mut rows = [MeasuredRuntime::Native, MeasuredRuntime::Cli, MeasuredRuntime::Claude]
        .map(|who| RuntimeRow { runtime: who, runs: Vec::new(), memory_bytes: 0 });
    let mut figures = Vec::new();
    for round in 0..=options.rounds.max(1) {
        for row in &mut rows {
            if round == 0 {
                // This run measures memory, which takes time, so its times are not used.
                let seen = watch::run_and_measure(&mut place.review_command(row.runtime))?;
                row.memory_bytes = seen.tree_bytes;
                if !matches!(row.runtime, MeasuredRuntime::Claude) {
                    figures.push(parse_review_result(&seen.output)?);
                }
            } else {
                row.runs.push(meter::measure_run(&mut place.review_command(row.runtime))?);
            }
        }
    }
    say::print_line("                      seconds  ratio  CPU s  ratio     MB");
    let of = |row: &RuntimeRow, part: fn(&meter::RunDurations) -> f64| {
        meter::median(row.runs.iter().map(part).collect())
    };
    let first = rows.first().map(|row| (of(row, |run| run.elapsed_seconds), of(row, |run| run.cpu_seconds)));
    let (clock_of_first, processor_of_first) = first.context("nothing was run")?;
    for row in &rows {
        let (clock, processor) = (of(row, |run| run.elapsed_seconds), of(row, |run| run.cpu_seconds));
        say::print_line(&format!(
            "{:<20} {clock:>8.2} {:>6.1} {processor:>6.2} {:>6.1} {:>6.0}",
            row.runtime.name(),
            clock / clock_of_first,
            processor / processor_of_first,
            row.memory_bytes as f64 / 1e6
        ));
    }
    say::print_line(
        "ratio: to `native`; MB: the largest sum of VmRSS of all processes (what they share counts for each)",
    );
    let same = figures.windows(2).all(|pair| pair.first() == pair.get(1));
    say::print_line(if same { "both reviews found the same" } else { "the reviews did not find the same" });
    Ok(same)
}

/// The command that is measured.
#[derive(Clone, Copy)]
enum MeasuredRuntime {
    Native,
    Cli,
    /// `claude --print` with a question that needs no tools.
    Claude,
}

impl MeasuredRuntime {
    fn name(self) -> &'static str {
        match self {
            Self::Native => "review, native",
            Self::Cli => "review, cli",
            Self::Claude => "claude --print alone",
        }
    }
}

struct RuntimeRow {
    runtime: MeasuredRuntime,
    runs: Vec<meter::RunDurations>,
    memory_bytes: u64,
}

/// Returns the script of the fake model for a review: the model reads the file, and reports one finding. The
/// model answers any other request with one word.
fn review_script() -> ModelScript {
    let finding = json!({ "path": "pay.py", "start_line": 2, "end_line": 2, "severity": "P1", "category": "G",
        "title": "The last one is left out", "body": "The range ends one too early.",
        "excerpt": "    return sum(xs[:-1])" });
    let turn = |answer: ScriptedAnswer, fresh| {
        let when = AnswerCondition {
            system: vec!["You review one pull request".to_owned()],
            is_first_request: Some(fresh),
            ..AnswerCondition::default()
        };
        answer.with_condition(when).times(0)
    };
    let read = turn(ScriptedAnswer::tool("read", json!({ "path": "pay.py" })), true);
    let report = turn(ScriptedAnswer::tool("report", json!({ "findings": [finding] })), false);
    ModelScript::from_answers([read, report, ScriptedAnswer::text("yes").times(0)])
}

/// Returns the result of a review, without its times.
fn parse_review_result(output: &[u8]) -> Result<Value> {
    let report: Value = serde_json::from_slice(output).context("the review is no JSON")?;
    if report["outcome"]["kind"] != "reviewed" || report["findings"][0]["source"] != "agent" {
        bail!("the review ended otherwise: {report}");
    }
    Ok(json!([report["findings"], report["verdict"], report["turns"], report["cost_micro_usd"]]))
}

/// The folders and programs of the measurement.
struct RuntimeBenchPaths {
    root: PathBuf,
    home: PathBuf,
    program: PathBuf,
    claude: PathBuf,
    model_url: String,
}

impl RuntimeBenchPaths {
    /// Creates a repository with a change in its working tree.
    fn create_repository(&self) -> Result<()> {
        fs::create_dir_all(&self.root)?;
        self.git(&["init", "--quiet", "--initial-branch=main"])?;
        fs::write(self.root.join("pay.py"), "def total(xs):\n    return sum(xs)\n")?;
        self.git(&["add", "."])?;
        self.git(&["commit", "--quiet", "--message", "base"])?;
        fs::write(self.root.join("pay.py"), "def total(xs):\n    return sum(xs[:-1])\n")?;
        let (model, claude) = (&self.model_url, self.claude.display());
        let config = format!("[model]\nbase_url = \"{model}\"\n[review]\nclaude = \"{claude}\"\n");
        fs::write(self.home.join("op.toml"), config).context("cannot write the configuration")
    }

    fn git(&self, arguments: &[&str]) -> Result<()> {
        let mut command = Command::new("git");
        command.arg("-C").arg(&self.root).args(arguments).stdin(Stdio::null());
        command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
        for role in ["AUTHOR", "COMMITTER"] {
            command
                .env(format!("GIT_{role}_NAME"), "bench")
                .env(format!("GIT_{role}_EMAIL"), "bench@localhost");
        }
        workspace::command_output(&mut command).map(drop)
    }

    fn review_command(&self, measured_runtime: MeasuredRuntime) -> Command {
        let review = |runtime| {
            let mut command = Command::new(&self.program);
            command.args(["review", "--quiet", "--no-record", "--format", "json", "--config", "../op.toml"]);
            command.args(["--runtime", runtime]);
            command
        };
        let mut command = match measured_runtime {
            MeasuredRuntime::Native => review("native"),
            MeasuredRuntime::Cli => review("cli"),
            MeasuredRuntime::Claude => {
                let mut command = Command::new(&self.claude);
                command.args(["--print", "--output-format", "json", "Is this a question?"]);
                command
            }
        };
        command.current_dir(&self.root).stdin(Stdio::null()).stderr(Stdio::null());
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command
            .env("HOME", &self.home)
            .env("ANTHROPIC_API_KEY", DEFAULT_API_KEY)
            .env("ANTHROPIC_BASE_URL", &self.model_url);
        // Without this variable, the `claude` program would try to contact update and telemetry servers,
        // which are not reachable here.
        command.env("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1");
        command
    }
}
