//! `cargo xtask bench review`: runs a whole review of a large change in a generated repository, and compares
//! it with `git diff` of the same change.

mod project;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::Value;

use super::meter::{self, RunDurations};
use super::watch;
use crate::{say, workspace};
use project::GeneratedProject;

/// Promised maximum difference, in seconds, between the time of a review and that of `git diff` for the same
/// change.
const MAX_EXTRA_SECONDS: f64 = 1.0;
/// Promised maximum memory, in megabytes, of a review together with the processes that it starts.
const MAX_MEMORY_MB: f64 = 200.0;

/// Age of the base's files. The files must be older than git's index, because git reads newer files again.
const BASE_FILE_AGE: Duration = Duration::from_secs(3600);

/// The size of the repository and of the change, and the number of measurements.
#[derive(Args)]
pub(crate) struct Options {
    /// Number of files in the repository
    #[arg(long, default_value_t = 1000)]
    files: usize,
    /// Approximate number of lines of each file
    #[arg(long, default_value_t = 150)]
    file_lines: usize,
    /// Number of files in the change; some are new, renamed or deleted
    #[arg(long, default_value_t = 200)]
    changed: usize,
    /// Approximate number of lines that the change adds
    #[arg(long, default_value_t = 10_000)]
    lines: usize,
    /// Seed of the generated repository and change
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Number of measurements of the review and of `git diff`, alternately; the medians are used
    #[arg(long, default_value_t = 11)]
    rounds: usize,
    /// Create the repository in this folder, which must not exist yet, and keep it [default: a temporary
    /// folder]
    #[arg(long, value_name = "FOLDER")]
    keep: Option<PathBuf>,
    /// The optimized program to measure [default: built now]
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
}

/// Runs the measurement. Returns `false` if a review takes more time or memory than promised, or finds
/// nothing.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let program = match &options.program {
        Some(program) => program.canonicalize().with_context(|| format!("no {}", program.display()))?,
        None => super::program::build_truing(&workspace::workspace_root()?)?,
    };
    let temporary = tempfile::tempdir().context("no temporary folder can be made")?;
    let folder = options.keep.as_deref().unwrap_or(temporary.path());
    if options.keep.is_some() && folder.exists() {
        bail!("{}: it already exists", folder.display());
    }
    let place = ReviewBenchPaths { root: folder.join("repository"), home: folder.join("home"), program };
    let mut project = GeneratedProject::new(options.seed, options.files, options.file_lines);
    place.create_repository(&project)?;
    let change = project.generate_change(options.changed, options.lines);
    place.apply(&change)?;
    // The new files are added to the index, because git counts only files in its index.
    place.git(&["add", "--intent-to-add", "."])?;
    let counts = place.git(&["diff", "--shortstat", "-M", "main"])?;
    place.git(&["reset", "--quiet"])?;
    say::print_line(&format!(
        "{} files, {} lines; the change: {}",
        options.files,
        project.line_count(),
        counts.trim()
    ));
    say::print_line(&format!("{change}; medians of {} pairs", options.rounds));
    say::print_line("");
    say::print_line(TABLE_HEADER);

    let mut kept = true;
    let mut measure = |what: &str, review: &[&str], diff: &[&str]| -> Result<()> {
        kept &= place.compare_with_git(what, review, diff, options.rounds)?;
        Ok(())
    };
    let with_program = ["-c", "diff.autoRefreshIndex=false", "diff", "--no-ext-diff"];
    let diff = |sides: &[&'static str]| [&with_program[..], sides].concat();
    measure("working tree", &[], &diff(&["main"]))?;
    measure("the same, no records", &["--no-record"], &diff(&["main"]))?;
    place.touch_all(&place.root)?;
    measure("every file touched", &[], &diff(&["main"]))?;
    place.git(&["add", "."])?;
    if place.supports_flag("--staged")? {
        measure("--staged", &["--staged"], &diff(&["--cached", "main"]))?;
    }
    place.git(&["switch", "--quiet", "--create", "change"])?;
    place.git(&["commit", "--quiet", "--message", "change"])?;
    measure("--head", &["--base", "main", "--head", "change"], &diff(&["main", "change"]))?;

    say::print_line("");
    say::print_line(&format!(
        "promised: less than {MAX_EXTRA_SECONDS:.1} s beyond git, {MAX_MEMORY_MB:.0} MB"
    ));
    say::print_line("MB: the largest resident size of truing (VmHWM), and of it with its processes");
    say::print_line("(the sum of VmRSS, looked at every 2 ms), in a run that is not timed");
    Ok(kept)
}

/// The header of the table.
const TABLE_HEADER: &str = "\
review of              git diff  truing    more  ratio   truing    MB   tree   found
                              s       s       s          CPU s";

/// The folders and the program of the measurement.
struct ReviewBenchPaths {
    root: PathBuf,
    home: PathBuf,
    program: PathBuf,
}

impl ReviewBenchPaths {
    /// Creates a repository with one commit on `main`.
    fn create_repository(&self, project: &GeneratedProject) -> Result<()> {
        fs::create_dir_all(&self.root)?;
        fs::create_dir_all(&self.home)?;
        for (path, text) in project.files_with_text() {
            self.write(&path, &text, BASE_FILE_AGE)?;
        }
        self.git(&["init", "--quiet", "--initial-branch=main"])?;
        // Without this setting, git could run its maintenance in the background during a measurement.
        self.git(&["config", "maintenance.auto", "false"])?;
        self.git(&["add", "."])?;
        self.git(&["commit", "--quiet", "--message", "base"])?;
        self.git(&["gc", "--quiet"]).map(drop)
    }

    /// Makes the change in the working tree.
    fn apply(&self, change: &project::ProjectChange) -> Result<()> {
        for path in &change.removed_files {
            fs::remove_file(self.root.join(path)).with_context(|| format!("cannot remove {path}"))?;
        }
        for (path, text) in &change.written_files {
            self.write(path, text, Duration::ZERO)?;
        }
        Ok(())
    }

    fn write(&self, path: &str, text: &str, age: Duration) -> Result<()> {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().context("a file has a folder")?)?;
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        set_file_age(&path, age)
    }

    /// Changes the modification time of every file. Git must then read each file to detect that its content
    /// is unchanged.
    fn touch_all(&self, folder: &Path) -> Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                set_file_age(&entry.path(), BASE_FILE_AGE / 2)?;
            } else if entry.file_name() != ".git" {
                self.touch_all(&entry.path())?;
            }
        }
        Ok(())
    }

    /// Returns a git command in the repository, without the user's configuration.
    fn git_command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("git");
        command.arg("-C").arg(&self.root).args(arguments).stdin(Stdio::null());
        command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
        for role in ["AUTHOR", "COMMITTER"] {
            command
                .env(format!("GIT_{role}_NAME"), "bench")
                .env(format!("GIT_{role}_EMAIL"), "bench@localhost");
        }
        command
    }

    fn git(&self, arguments: &[&str]) -> Result<String> {
        workspace::command_output(&mut self.git_command(arguments))
    }

    /// Returns the command of a review, which stores its records in a separate home folder.
    fn review_command(&self, flags: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["review", "--quiet", "--format", "json"]).args(flags);
        command.current_dir(&self.root).stdin(Stdio::null()).stderr(Stdio::null());
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", &self.home);
        command
    }

    /// Returns true if `truing review` has this flag.
    fn supports_flag(&self, flag: &str) -> Result<bool> {
        let mut help = Command::new(&self.program);
        Ok(workspace::command_output(help.args(["review", "--help"]))?.contains(flag))
    }

    /// Measures one kind of review and the corresponding `git diff`, and prints the results as a line of the
    /// table. Returns `false` if the review takes more time or memory than promised, or finds nothing.
    fn compare_with_git(&self, label: &str, review: &[&str], diff: &[&str], rounds: usize) -> Result<bool> {
        let (mut ours, mut theirs) = (self.review_command(review), self.git_command(diff));
        let seen = watch::run_and_measure(&mut ours)?;
        let report: Value = serde_json::from_slice(&seen.output).context("the review is no JSON")?;
        let kind = report["outcome"]["kind"].as_str().unwrap_or_default();
        let found = report["findings"].as_array().map_or(0, Vec::len);
        let mut pairs = Vec::new();
        for _ in 0..rounds.max(1) {
            pairs.push((meter::measure_run(&mut theirs)?, meter::measure_run(&mut ours)?));
        }
        let of =
            |part: fn(&(RunDurations, RunDurations)) -> f64| meter::median(pairs.iter().map(part).collect());
        let (git, truing) = (of(|(git, _)| git.elapsed_seconds), of(|(_, truing)| truing.elapsed_seconds));
        let (more, ratio) = (of(|(git, truing)| truing.elapsed_seconds - git.elapsed_seconds), truing / git);
        let processor = of(|(_, truing)| truing.cpu_seconds);
        let megabytes = |bytes: u64| bytes as f64 / 1e6;
        let (own, tree) = (megabytes(seen.own_bytes), megabytes(seen.tree_bytes));
        say::print_line(&format!(
            "{label:<20} {git:>10.3} {truing:>7.3} {more:>7.3} {ratio:>6.1} {processor:>8.2} {own:>5.0} \
             {tree:>6.0} {found:>7}"
        ));
        if kind != "reviewed" {
            say::print_line(&format!("  the review ended as {kind:?}"));
        }
        Ok(more < MAX_EXTRA_SECONDS && tree < MAX_MEMORY_MB && found > 0 && kind == "reviewed")
    }
}

fn set_file_age(path: &Path, age: Duration) -> Result<()> {
    let file = fs::File::options().write(true).open(path)?;
    file.set_modified(SystemTime::now() - age)
        .with_context(|| format!("cannot set the time of {}", path.display()))
}
