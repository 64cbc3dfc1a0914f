//! `cargo xtask test`: installs the tools that the tests need, runs all tests, and reports those that could
//! not run.

mod programs;
mod tally;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::lock::BuildLock;
use crate::tools::{self, MissingTool, ToolSearch};
use crate::{say, workspace};
use programs::TestBinary;
use tally::TestTally;

/// The arguments that select the tests that require the network: arguments for cargo, and arguments for the
/// test program. By default, these tests are ignored. They print their measurements.
const ONLINE: ([&str; 2], [&str; 4]) =
    (["--package=truing", "--test=it"], ["online::", "--ignored", "--nocapture", "--test-threads=1"]);

/// The environment variable that makes tests try every point at which a run can be interrupted.
const FULL: &str = "TRUING_TEST_FULL";
/// The environment variable that names a file for counts. Each test appends the number of interruption points
/// that it has tried, and the number of all its interruption points.
const POINTS: &str = "TRUING_TEST_POINTS";

/// The test programs that run a second time where the kernel forbids namespaces, with the filters that select
/// their tests: those of jobs in the sandbox, and of all loops that change code.
const WITHOUT_NAMESPACES: [(&str, &[&str]); 2] = [
    ("truing-agent it", &[]),
    ("truing it", &["demo::", "verify::", "gate::", "converge::fixer::", "sync_run::bump::", "runtimes::"]),
];

/// The folder whose files Linux keeps in memory. The constant below is the free space, in KiB, that the
/// folder must have.
const MEMORY: &str = "/dev/shm";
const MEMORY_KIB: u64 = 8 << 20;

/// Number of the slowest tests that are listed.
const SLOWEST: usize = 10;

/// The options of `cargo xtask test`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Fail if the tests of a package could not be run; a part that a test skips is only listed
    #[arg(long)]
    require_all: bool,
    /// Try every point at which a run can be interrupted, instead of a selection of points
    #[arg(long)]
    full: bool,
    /// Run only the tests that require the network; each test prints its further requirements
    #[arg(long, conflicts_with = "arguments")]
    online: bool,
    /// Arguments for `cargo test`, for example `-p truing-core -- slot::`
    #[arg(last = true, value_name = "CARGO TEST ARGUMENTS")]
    arguments: Vec<String>,
}

/// Runs the tests. Returns `false` if a test failed, or if `--require-all` is given and a test was not run.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let root = workspace::workspace_root()?;
    let _lock = BuildLock::acquire(&root)?;
    let start = Instant::now();
    let mut tally = TestTally::default();
    let missing = run_programs(&root, options, &mut tally)?;

    for name in &tally.failures {
        say::print_line(&format!("failed: {name}"));
    }
    for MissingTool { requirement, reason } in &missing {
        match requirement.untested_promise {
            None => say::print_line(&format!(
                "not run: the tests of {}: {reason}",
                requirement.packages.join(", ")
            )),
            Some(shows) => say::print_line(&format!("not shown: {shows}: {reason}")),
        }
    }
    if !options.online {
        say::print_line("not run: what needs the network: cargo xtask test --online");
        say::print_line("not run: what takes long: cargo xtask soak");
    }
    tally.skipped += missing.len() as u64;
    let incomplete =
        options.require_all && missing.iter().any(|missing| missing.requirement.untested_promise.is_none());
    if incomplete {
        say::print_line("--require-all: what was not run counts as an error");
    }
    say::print_line(&format!("built and tested in {:.1} s", start.elapsed().as_secs_f64()));
    say::print_line(&tally.to_string());
    Ok(tally.failed == 0 && !incomplete)
}

/// Builds the test programs and, at the same time, installs missing tools. Then runs the programs one after
/// the other, and prints the duration of each. Returns the missing tools.
fn run_programs(root: &Path, options: &Options, tally: &mut TestTally) -> Result<Vec<MissingTool>> {
    let (for_cargo, for_programs) = split_arguments(options);
    let packages = selected_packages(&for_cargo);
    let begun = Instant::now();
    let (programs, provided) = std::thread::scope(|scope| {
        let provided = scope.spawn(|| tools::provide_tools(root, &packages));
        (programs::build_programs(root, &for_cargo), provided.join())
    });
    let Ok(ToolSearch { found, missing }) = provided else {
        bail!("the installation of tools panicked (see above)")
    };
    let Some(programs) = programs? else {
        tally.record_failure("the tests could not be built (see above)".to_owned());
        return Ok(missing);
    };
    found.iter().for_each(|tool| say::print_line(tool));
    let mut times = vec![("building".to_owned(), begun.elapsed())];
    let left_out = |program: &TestBinary| {
        missing.iter().any(|it| {
            it.requirement.untested_promise.is_none() && it.requirement.packages.contains(&program.package())
        })
    };
    let memory = memory_folder();
    let points = tempfile::NamedTempFile::new().context("cannot make a file for the counts of points")?;
    let mut variables = vec![(POINTS, points.path().as_os_str())];
    if options.full {
        variables.push((FULL, "1".as_ref()));
    }
    if let Some(folder) = &memory {
        say::print_line(&format!(
            "temporary files are in {} (TMPDIR chooses another place)",
            folder.path().display()
        ));
        variables.push(("TMPDIR", folder.path().as_os_str()));
    }
    for program in programs.iter().filter(|program| !left_out(program)) {
        times.push((program.name().to_owned(), program.run(root, &for_programs, &variables, tally)?));
    }
    if !options.online && for_programs.is_empty() && programs::can_forbid_namespaces() {
        for program in programs.iter().filter(|program| !left_out(program)) {
            let Some((_, filters)) = WITHOUT_NAMESPACES.iter().find(|(name, _)| *name == program.name())
            else {
                continue;
            };
            let took = program.run_without_namespaces(filters, &variables, tally)?;
            times.push((format!("{} without namespaces", program.name()), took));
        }
    }
    if !options.online && !for_cargo.iter().any(|argument| selects_targets(argument)) {
        let took = programs::run_examples(root, &for_cargo, &for_programs, tally)?;
        times.push(("examples of the documentation".to_owned(), took));
    }
    print_times(&times, tally.slowest(SLOWEST));
    print_interruption_points(
        &std::fs::read_to_string(points.path()).context("cannot read the counts of points")?,
    );
    Ok(missing)
}

/// Returns a folder in memory for the temporary files of tests, because file operations on a disk take a
/// sixth of the tests' total time. Returns `None` if `TMPDIR` is set, or if this machine has no file system
/// in memory with enough space.
fn memory_folder() -> Option<tempfile::TempDir> {
    let is_set = std::env::var_os("TMPDIR").is_some();
    let output = Command::new("df").args(["-Pk", MEMORY]).output().ok().filter(|_| !is_set)?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut fields = text.lines().nth(1)?.split_whitespace();
    let (system, free) = (fields.next()?, fields.nth(2)?.parse::<u64>().ok()?);
    let is_roomy = system == "tmpfs" && free >= MEMORY_KIB;
    is_roomy.then(|| tempfile::Builder::new().prefix("truing-").tempdir_in(MEMORY).ok()).flatten()
}

/// Splits the arguments into those for cargo and those for the test programs.
fn split_arguments(options: &Options) -> (Vec<String>, Vec<String>) {
    let owned = |arguments: &[&str]| arguments.iter().map(|argument| (*argument).to_owned()).collect();
    if options.online {
        return (owned(&ONLINE.0), owned(&ONLINE.1));
    }
    let mut parts = options.arguments.splitn(2, |argument| argument == "--");
    let mut for_cargo = parts.next().unwrap_or_default().to_vec();
    if !selects_packages(&options.arguments) {
        for_cargo.push("--workspace".to_owned());
    }
    (for_cargo, parts.next().unwrap_or_default().to_vec())
}

/// Returns true if an argument for cargo selects certain targets of a package. The examples in the
/// documentation are then not run.
fn selects_targets(argument: &str) -> bool {
    let flag = argument.split('=').next().unwrap_or_default();
    ["--lib", "--bin", "--bins", "--test", "--tests", "--bench", "--benches", "--example", "--examples"]
        .contains(&flag)
}

/// Prints the durations of programs that took at least a second, and the slowest tests.
fn print_times(programs: &[(String, Duration)], slowest: &[(f64, String)]) {
    let row = |seconds: f64, name: &str| say::print_line(&format!("{seconds:>8.1} s  {name}"));
    say::print_line("\nTimes:");
    for (name, took) in programs.iter().filter(|(_, took)| took.as_secs() > 0) {
        row(took.as_secs_f64(), name);
    }
    if !slowest.is_empty() {
        say::print_line("The slowest tests:");
    }
    for (seconds, name) in slowest {
        row(*seconds, name);
    }
    say::print_line("");
}

/// Returns the packages that the arguments for cargo select; empty if they select all packages.
fn selected_packages(for_cargo: &[String]) -> Vec<String> {
    let mut arguments = for_cargo.iter();
    let mut packages = Vec::new();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--workspace" => return Vec::new(),
            "-p" | "--package" => packages.extend(arguments.next().cloned()),
            other => packages.extend(other.strip_prefix("--package=").map(str::to_owned)),
        }
    }
    packages
}

/// Prints how many interruption points the tests have tried. Each line of `counts` contains the number of
/// tried points and the number of all points of one test.
fn print_interruption_points(counts: &str) {
    let sums = counts.lines().filter_map(|line| {
        let (played, all) = line.split_once(' ')?;
        Some((played.parse::<u64>().ok()?, all.parse::<u64>().ok()?))
    });
    let (played, all) = sums.fold((0, 0), |sum, count| (sum.0 + count.0, sum.1 + count.1));
    if all > 0 {
        say::print_line(&format!(
            "points of interruption: {played} of {all} played (all: cargo xtask test --full)"
        ));
    }
}

/// Returns true if the arguments for cargo (before `--`) select packages. `--workspace` is then not added.
fn selects_packages(arguments: &[String]) -> bool {
    arguments
        .iter()
        .take_while(|argument| *argument != "--")
        .any(|argument| ["-p", "--package", "--workspace"].iter().any(|flag| argument.starts_with(flag)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_cargos_before_the_dashes_and_the_programs_behind_them() {
        let options = |arguments: &[&str]| Options {
            require_all: false,
            full: false,
            online: false,
            arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
        };
        let (for_cargo, for_programs) =
            split_arguments(&options(&["-p", "truing-core", "--", "slot::", "--nocapture"]));
        assert_eq!(for_cargo, ["-p", "truing-core"]);
        assert_eq!(for_programs, ["slot::", "--nocapture"]);
        assert_eq!(selected_packages(&for_cargo), ["truing-core"]);
        let (for_cargo, for_programs) = split_arguments(&options(&[]));
        assert_eq!(for_cargo, ["--workspace"]);
        assert!(for_programs.is_empty() && selected_packages(&for_cargo).is_empty());
        assert!(selects_targets("--test=it") && selects_targets("--lib") && !selects_targets("-p"));
    }

    #[test]
    fn only_cargos_own_arguments_choose_packages() {
        let chosen = |arguments: &[&str]| {
            selects_packages(&arguments.iter().map(|a| (*a).to_owned()).collect::<Vec<_>>())
        };
        assert!(chosen(&["-p", "truing-core"]));
        assert!(chosen(&["--package=truing-core"]));
        assert!(chosen(&["--workspace", "--exclude", "truing-core"]));
        assert!(!chosen(&["--", "-p"]));
        assert!(!chosen(&["some_test"]));
    }
}
