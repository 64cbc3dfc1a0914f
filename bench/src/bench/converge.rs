//! `cargo xtask bench converge`: measures the time of a loop of `truing converge`. The model responds
//! immediately, and the repository has no tests. For comparison, git writes the same files once.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::Value;
use truing_fakes::model::{
    DEFAULT_API_KEY, FakeModel, KnownBug, ModelScript, ScriptedAnswer, ScriptedFix, ScriptedToolCall,
};

use super::meter;
use crate::{say, workspace};

/// Maximum duration of a loop in seconds.
const MAX_LOOP_SECONDS: f64 = 0.3;
/// Number of loops in a run. The first loop finds and fixes the bug, and the second loop finds nothing.
const LOOPS: f64 = 2.0;
/// The line with the bug. The next constants are the fixed line and the title of the finding.
const BUGGY_LINE: &str = "    for i in range(len(xs) - 1):\n";
const FIXED_LINE: &str = "    for i in range(len(xs)):\n";
const FINDING_TITLE: &str = "The last element is left out";

/// The size of the repository, and the number of measurements.
#[derive(Args)]
pub(crate) struct Options {
    /// Number of files in the repository
    #[arg(long, default_value_t = 1000)]
    files: usize,
    /// Number of measurements of Truing and of git, alternately; the medians are used
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// The optimized program to measure [default: built now]
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
}

/// Runs the measurement. Returns `false` if a loop takes more time than promised.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let program = match &options.program {
        Some(program) => program.canonicalize().with_context(|| format!("no {}", program.display()))?,
        None => super::program::build_truing(&workspace::workspace_root()?)?,
    };
    let runtime = tokio::runtime::Runtime::new().context("no threads can be had")?;
    let model = runtime.block_on(FakeModel::start(bug_fix_script())).context("the model cannot start")?;
    let temporary = tempfile::tempdir().context("no temporary folder can be made")?;
    let place =
        ConvergeBenchPaths { root: temporary.path().join("r"), home: temporary.path().to_owned(), program };
    place.create_repository(options.files, model.url())?;
    say::print_line("                     truing s   start s  a loop s    git s   ratio  asked");
    let (mut ours, mut starts, mut theirs, mut asked) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for _ in 0..options.rounds.max(1) {
        theirs.push(place.measure_checkout()?);
        place.remove_run_state()?;
        // The time of a dry run is the time before the first loop, because a dry run stops there.
        starts.push(meter::measure_run(place.converge_command().arg("--dry-run"))?.elapsed_seconds);
        place.remove_run_state()?;
        let before = model.request_log().len();
        let began = std::time::Instant::now();
        let output = place.converge_command().output().context("cannot start the program")?;
        ours.push(began.elapsed().as_secs_f64());
        asked = model.request_log().len().saturating_sub(before);
        let run_json: Value = serde_json::from_slice(&output.stdout).context("the run is no JSON")?;
        if run_json["exit"] != "converged" || run_json["loops"] != 2 {
            bail!("the run did not converge in two loops: {run_json}");
        }
    }
    let [whole, start, git] = [ours, starts, theirs].map(meter::median);
    let each = (whole - start) / LOOPS;
    say::print_line(&format!(
        "{:>6} files {whole:>16.3} {start:>9.3} {each:>9.3} {git:>8.3} {:>7.1} {asked:>6}",
        options.files,
        each / git
    ));
    say::print_line("start: `--dry-run`, with the first copy of the commits; a loop: half of what is left");
    say::print_line(&format!(
        "promised: less than {MAX_LOOP_SECONDS:.1} s a loop; git: `git checkout-index --all` of the same \
            files"
    ));
    Ok(each < MAX_LOOP_SECONDS)
}

/// Returns a script for the model: auditors report the bug until it is fixed, and a fixer fixes it.
fn bug_fix_script() -> ModelScript {
    let calls = vec![ScriptedToolCall::edit("total.py", BUGGY_LINE, FIXED_LINE)];
    let mend = ScriptedFix { title: Some(FINDING_TITLE.to_owned()), calls, declined: None };
    let audits = ScriptedAnswer::for_auditors([KnownBug::new("total.py", BUGGY_LINE.trim(), FINDING_TITLE)]);
    ModelScript::from_answers(audits.into_iter().chain([ScriptedAnswer::for_fixer([mend])]))
}

/// The folders and the program of the measurement.
struct ConvergeBenchPaths {
    root: PathBuf,
    home: PathBuf,
    program: PathBuf,
}

impl ConvergeBenchPaths {
    /// Creates a repository whose branch has the bug.
    fn create_repository(&self, files: usize, model: &str) -> Result<()> {
        for number in 0..files {
            let functions = (0..37).map(|n| format!("def f{number}_{n}(x):\n    return x + {n}\n\n\n"));
            self.write(&format!("pkg{}/m{number}.py", number % 40), &functions.collect::<String>())?;
        }
        self.git(&["init", "--quiet", "--initial-branch=main"])?;
        // Without this setting, git could run its maintenance in the background during a measurement.
        self.git(&["config", "maintenance.auto", "false"])?;
        self.commit_all("base")?;
        self.git(&["gc", "--quiet"])?;
        self.git(&["switch", "--quiet", "--create", "topic"])?;
        let text = format!("def total(xs):\n    s = 0\n{BUGGY_LINE}        s += xs[i]\n    return s\n");
        self.write("total.py", &text)?;
        self.commit_all("change")?;
        let config = format!("[model]\nbase_url = \"{model}\"\n");
        fs::write(self.home.join("op.toml"), config).context("cannot write the configuration")
    }

    fn commit_all(&self, message: &str) -> Result<()> {
        self.git(&["add", "."])?;
        self.git(&["commit", "--quiet", "--message", message]).map(drop)
    }

    fn write(&self, path: &str, text: &str) -> Result<()> {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().context("a file has a folder")?)?;
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Runs git in the repository, without the user's configuration.
    fn git(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new("git");
        command.arg("-C").arg(&self.root).args(arguments).stdin(Stdio::null());
        command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
        for role in ["AUTHOR", "COMMITTER"] {
            command
                .env(format!("GIT_{role}_NAME"), "bench")
                .env(format!("GIT_{role}_EMAIL"), "bench@localhost");
        }
        workspace::command_output(&mut command)
    }

    /// Returns the seconds that git needs to write all files once.
    fn measure_checkout(&self) -> Result<f64> {
        let folder = tempfile::tempdir().context("no temporary folder can be made")?;
        let prefix = format!("--prefix={}/", folder.path().display());
        let began = std::time::Instant::now();
        self.git(&["checkout-index", "--all", &prefix])?;
        Ok(began.elapsed().as_secs_f64())
    }

    /// Removes the branches and records of the previous run.
    fn remove_run_state(&self) -> Result<()> {
        for branch in self.git(&["branch", "--list", "--format=%(refname:short)", "truing/run/*"])?.lines() {
            self.git(&["branch", "--quiet", "-D", branch])?;
        }
        let records: &Path = &self.home.join(".local");
        if records.exists() { fs::remove_dir_all(records).context("cannot forget") } else { Ok(()) }
    }

    fn converge_command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["converge", "--config", "../op.toml", "--format", "json"]);
        command.current_dir(&self.root).stdin(Stdio::null());
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        // The program's folders and the repository are on the same disk, so the speed of another disk does
        // not affect the result.
        command.env("HOME", &self.home).env("TMPDIR", &self.home).env("ANTHROPIC_API_KEY", DEFAULT_API_KEY);
        command
    }
}
