//! `cargo xtask bench rules`: runs ten syntax rules on several hundred Python files, both with Truing and
//! with ast-grep's command line, and compares findings and speed.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::Value;

use super::meter::{self, RunDurations};
use crate::{say, workspace};

/// Number of measurements of each program, alternately; the medians are used.
const ROUNDS: usize = 21;

/// Minimum number of files. With fewer files, the start-up of the programs would dominate.
const MIN_FILES: usize = 300;

/// The rules: the name and the text of each file, in ast-grep's YAML.
const RULES: &[(&str, &str)] = &[
    ("assert-tuple", include_str!("rules/assert-tuple.yml")),
    ("bare-except", include_str!("rules/bare-except.yml")),
    ("compare-none", include_str!("rules/compare-none.yml")),
    ("eval-call", include_str!("rules/eval-call.yml")),
    ("exec-call", include_str!("rules/exec-call.yml")),
    ("mutable-default", include_str!("rules/mutable-default.yml")),
    ("nested-loop", include_str!("rules/nested-loop.yml")),
    ("open-without-with", include_str!("rules/open-without-with.yml")),
    ("print-call", include_str!("rules/print-call.yml")),
    ("subprocess-shell", include_str!("rules/subprocess-shell.yml")),
];

/// The rules to compare.
#[derive(Args)]
pub(crate) struct Options {
    /// A folder with Python files [default: the standard library of `python3`, without its tests]
    tree: Option<PathBuf>,
    /// ast-grep's program, from `pip install ast-grep-cli`
    #[arg(long, value_name = "FILE", default_value = "ast-grep")]
    ast_grep: PathBuf,
    /// The optimized program to measure [default: built now]
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
}

/// Runs the comparison. Returns `false` if the findings differ, or if Truing is slower.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let folder = tempfile::tempdir().context("no temporary folder can be made")?;
    let here = folder.path();
    let tree = match &options.tree {
        Some(tree) => tree.canonicalize().with_context(|| format!("cannot open {}", tree.display()))?,
        None => find_standard_library()?,
    };
    let (files, bytes) = copy_python_files(&tree, &here.join("tree"))?;
    if files < MIN_FILES {
        bail!("{}: {files} Python files are too few, at least {MIN_FILES} are needed", tree.display());
    }
    let rules = here.join("packs/ten/rules");
    fs::create_dir_all(&rules)?;
    for (name, text) in RULES {
        fs::write(rules.join(format!("{name}.yml")), text)?;
    }
    fs::write(here.join("truing.toml"), "[rules]\ndir = \"packs\"\npacks = [\"ten\"]\n")?;
    fs::write(here.join("sgconfig.yml"), "ruleDirs: [packs/ten/rules]\n")?;

    let program = match &options.program {
        Some(program) => program.canonicalize()?,
        None => super::program::build_truing(&workspace::workspace_root()?)?,
    };
    let mut ours = Command::new(program);
    ours.args(["--config", "truing.toml", "--format", "json", "rules", "check", "tree"]);
    let mut theirs = Command::new(&options.ast_grep);
    theirs.args(["scan", "--config", "sgconfig.yml", "--json=stream", "tree"]);
    for command in [&mut ours, &mut theirs] {
        command.current_dir(here).stdin(Stdio::null()).stderr(Stdio::null());
    }

    say::print_line(&format!("{} rules over {files} files, {:.1} MB", RULES.len(), bytes as f64 / 1e6));
    let same = compare(
        &collect_findings(&mut ours, parse_truing_finding)?,
        &collect_findings(&mut theirs, parse_peer_finding)?,
    );
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        rounds.push((meter::measure_run(&mut ours)?, meter::measure_run(&mut theirs)?));
    }
    let of =
        |part: fn(&(RunDurations, RunDurations)) -> f64| meter::median(rounds.iter().map(part).collect());
    // The ratio is computed for each pair of successive runs, because other work on the machine slows both
    // runs of a pair equally. The ratio uses CPU time, because other work affects CPU time less than elapsed
    // time.
    let ratio = of(|(ours, theirs)| theirs.cpu_seconds / ours.cpu_seconds);
    say::print_line(&format!(
        "on the processor: truing {:.2} s, ast-grep {:.2} s, {ratio:.2} times as fast, promised 1.00 \
         (medians of {ROUNDS} pairs)",
        of(|(ours, _)| ours.cpu_seconds),
        of(|(_, theirs)| theirs.cpu_seconds),
    ));
    say::print_line(&format!(
        "by the clock: truing {:.2} s, ast-grep {:.2} s, {:.2} times as fast (not judged: other work on the \
         machine counts)",
        of(|(ours, _)| ours.elapsed_seconds),
        of(|(_, theirs)| theirs.elapsed_seconds),
        of(|(ours, theirs)| theirs.elapsed_seconds / ours.elapsed_seconds),
    ));
    Ok(same && ratio >= 1.0)
}

/// A finding: its path, first line, last line and rule.
type LintMatch = (String, u64, u64, String);
/// The findings of one program.
type LintMatches = BTreeSet<LintMatch>;

/// Returns the findings of a command. Two matches of one rule on the same lines are one finding.
fn collect_findings(
    command: &mut Command,
    parse_finding: fn(&Value) -> Option<LintMatch>,
) -> Result<LintMatches> {
    let output =
        command.stdout(Stdio::piped()).output().with_context(|| format!("cannot start {command:?}"))?;
    let text = String::from_utf8(output.stdout).context("the findings are not UTF-8")?;
    text.lines()
        .map(|line| {
            let finding: Value = serde_json::from_str(line).with_context(|| format!("no JSON: {line}"))?;
            parse_finding(&finding).with_context(|| format!("no finding: {line}"))
        })
        .collect()
}

fn parse_truing_finding(finding: &Value) -> Option<LintMatch> {
    let rule = finding["rule"].as_str()?.strip_prefix("ten/")?;
    let (first, last) = (finding["start_line"].as_u64()?, finding["end_line"].as_u64()?);
    Some((finding["path"].as_str()?.to_owned(), first, last, rule.to_owned()))
}

fn parse_peer_finding(finding: &Value) -> Option<LintMatch> {
    let line = |end: &str| Some(finding["range"][end]["line"].as_u64()? + 1);
    let rule = finding["ruleId"].as_str()?.to_owned();
    Some((finding["file"].as_str()?.to_owned(), line("start")?, line("end")?, rule))
}

fn compare(ours: &LintMatches, theirs: &LintMatches) -> bool {
    for only in ours.difference(theirs) {
        say::print_line(&format!("only ours: {only:?}"));
    }
    for only in theirs.difference(ours) {
        say::print_line(&format!("only theirs: {only:?}"));
    }
    say::print_line(&format!("{} findings, {} by ast-grep", ours.len(), theirs.len()));
    ours == theirs && !ours.is_empty()
}

/// Returns the folder of the standard library of `python3`.
fn find_standard_library() -> Result<PathBuf> {
    let mut python = Command::new("python3");
    python.args(["-c", "import sysconfig; print(sysconfig.get_paths()['stdlib'])"]);
    let output = python.output().context("cannot start python3; name a folder with Python files instead")?;
    Ok(PathBuf::from(String::from_utf8(output.stdout)?.trim()))
}

/// Copies the Python files below a folder, without tests and installed packages. Returns the number of the
/// files, and their total size in bytes.
fn copy_python_files(from: &Path, to: &Path) -> Result<(usize, u64)> {
    let skipped = ["test", "tests", "idle_test", "site-packages", "__pycache__"];
    let (mut files, mut bytes) = (0, 0);
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot open {}", from.display()))? {
        let entry = entry?;
        let (name, kind) = (entry.file_name(), entry.file_type()?);
        if kind.is_dir() && !skipped.iter().any(|skipped| name == *skipped) {
            let (more, more_bytes) = copy_python_files(&entry.path(), &to.join(&name))?;
            (files, bytes) = (files + more, bytes + more_bytes);
        } else if kind.is_file() && entry.path().extension().is_some_and(|ending| ending == "py") {
            bytes += fs::copy(entry.path(), to.join(&name))?;
            files += 1;
        }
    }
    Ok((files, bytes))
}
