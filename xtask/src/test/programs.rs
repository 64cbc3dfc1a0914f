//! Builds the test programs and runs each program separately. Measures the durations of the programs and of
//! their tests.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::tally::TestTally;
use crate::{say, workspace};

/// The environment variable, and its value, that makes a stable libtest accept the `TIMES` arguments. Without
/// the variable, only a nightly compiler's libtest accepts them.
const TELLS_TIMES: (&str, &str) = ("RUSTC_BOOTSTRAP", "1");
/// The arguments that make libtest report the duration of each test.
const TIMES: [&str; 2] = ["-Zunstable-options", "--report-time"];

/// The environment variable for the number of parallel tests. The variable is set to twice the number of
/// cores, because tests often wait for other processes. Measured on two cores with 73 crash and service tests
/// (121 s of CPU time): 194 s with two threads, 134 s with four.
const THREADS: &str = "RUST_TEST_THREADS";

/// The words before a program that run the program in a user namespace in which the kernel allows no further
/// user namespaces.
const WITHOUT_NAMESPACES: [&str; 6] = [
    "unshare",
    "--map-root-user",
    "sh",
    "-c",
    "echo 0 > /proc/sys/user/max_user_namespaces && exec \"$@\"",
    "sh",
];

/// Returns true if this machine can run a program without namespaces. It cannot if it forbids namespaces
/// itself; all tests then run without namespaces anyway.
pub(super) fn can_forbid_namespaces() -> bool {
    let [program, arguments @ ..] = WITHOUT_NAMESPACES;
    let mut command = Command::new(program);
    command.args(arguments).arg("true").stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// A test program that cargo built.
pub(super) struct TestBinary {
    package: String,
    /// The package and the target, such as `truing-core identity`.
    name: String,
    /// The package's folder, where its tests run.
    folder: PathBuf,
    file: PathBuf,
}

/// A message in which cargo reports a built target.
#[derive(Deserialize)]
struct CargoMessage {
    reason: String,
    package_id: Option<String>,
    manifest_path: Option<PathBuf>,
    target: Option<CargoTarget>,
    profile: Option<CargoProfile>,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct CargoTarget {
    name: String,
    kind: Vec<String>,
}

#[derive(Deserialize)]
struct CargoProfile {
    test: bool,
}

/// Builds the programs. Returns `None` if the build fails; cargo has then printed the reason.
pub(super) fn build_programs(root: &Path, chosen: &[String]) -> Result<Option<Vec<TestBinary>>> {
    let mut command = workspace::cargo_command(root);
    command.args(["test", "--locked", "--no-run", "--message-format=json-render-diagnostics"]).args(chosen);
    say::print_line(&format!(
        "{command:?} (cargo downloads the crates of Cargo.lock that it does not have yet)"
    ));
    let mut child = command.stdout(Stdio::piped()).spawn().context("cannot start cargo")?;
    let messages = BufReader::new(child.stdout.take().context("cargo has no output")?);
    let mut programs = Vec::new();
    for line in messages.lines() {
        let line = line.context("cannot read the messages of cargo")?;
        programs.extend(parse_test_program(&line));
    }
    let built = child.wait().context("cannot wait for cargo")?.success();
    Ok(built.then_some(programs))
}

/// Returns the test program that a cargo message reports; none if the message reports anything else.
fn parse_test_program(line: &str) -> Option<TestBinary> {
    let message: CargoMessage = serde_json::from_str(line).ok()?;
    if message.reason != "compiler-artifact" || !message.profile?.test {
        return None;
    }
    let folder = message.manifest_path?.parent()?.to_owned();
    let id = message.package_id?;
    // A package id is `path+file:///…/crates/core#truing-core@0.1.0`, or `…/crates/truing#0.1.0` if the
    // folder has the package's name.
    let (path, version) = id.rsplit_once('#')?;
    let package = version.split_once('@').map_or_else(|| path.rsplit('/').next(), |(name, _)| Some(name))?;
    let target = message.target?;
    let unit = ["lib", "bin"].iter().any(|kind| target.kind.iter().any(|own| own == kind));
    let name = if unit { package.to_owned() } else { format!("{package} {}", target.name) };
    Some(TestBinary { package: package.to_owned(), name, folder, file: message.executable? })
}

impl TestBinary {
    /// Runs the program's tests, and prints their output. Returns the duration.
    pub(super) fn run(
        &self,
        root: &Path,
        arguments: &[String],
        variables: &[(&str, &OsStr)],
        tally: &mut TestTally,
    ) -> Result<Duration> {
        let times: &[&str] = if self.reports_times() { &TIMES } else { &[] };
        let mut command = self.command(&[]);
        command.args(times).args(arguments).env("INSTA_WORKSPACE_ROOT", root);
        command.envs(variables.iter().copied());
        self.run_command(command, &self.name, tally)
    }

    /// Runs some tests of the program on a kernel that forbids the program to make user namespaces, as Ubuntu,
    /// hosted runners and most pods do. Returns the duration.
    pub(super) fn run_without_namespaces(
        &self,
        filters: &[&str],
        variables: &[(&str, &OsStr)],
        tally: &mut TestTally,
    ) -> Result<Duration> {
        let mut command = self.command(&WITHOUT_NAMESPACES);
        command.args(filters).envs(variables.iter().copied());
        self.run_command(command, &format!("{} without namespaces", self.name), tally)
    }

    fn run_command(&self, command: Command, title: &str, tally: &mut TestTally) -> Result<Duration> {
        say::print_line(&format!("\n== {title}"));
        let begun = Instant::now();
        let passed = run_with_tally(command, tally)?;
        tally.finish_program(title, passed);
        Ok(begun.elapsed())
    }

    /// Returns the command that runs the program as an argument of `wrapper`.
    fn command(&self, wrapper: &[&str]) -> Command {
        let mut words = wrapper.iter().map(OsStr::new).chain([self.file.as_os_str()]);
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words);
        command.current_dir(&self.folder).stdin(Stdio::null()).env(TELLS_TIMES.0, TELLS_TIMES.1);
        command.env("CARGO_MANIFEST_DIR", &self.folder);
        if std::env::var_os(THREADS).is_none() {
            let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
            command.env(THREADS, (cores * 2).to_string());
        }
        command
    }

    /// Returns true if the program uses libtest's harness and therefore reports durations. A program with its
    /// own harness reports no durations.
    fn reports_times(&self) -> bool {
        let mut command = self.command(&[]);
        command.args(TIMES).args(["--list", "no test has this name"]);
        let listed = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
        listed.is_ok_and(|status| status.success())
    }

    pub(super) fn package(&self) -> &str {
        &self.package
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

/// Runs the examples of the documentation.
pub(super) fn run_examples(
    root: &Path,
    chosen: &[String],
    arguments: &[String],
    tally: &mut TestTally,
) -> Result<Duration> {
    let mut command = workspace::cargo_command(root);
    command
        .args(["test", "--locked", "--doc", "--quiet", "--no-fail-fast"])
        .args(chosen)
        .arg("--")
        .args(arguments);
    say::print_line("\n== examples of the documentation");
    let begun = Instant::now();
    let passed = run_with_tally(command, tally)?;
    tally.finish_program("examples of the documentation", passed);
    Ok(begun.elapsed())
}

/// Runs a command, prints its output, and counts the tests that the output reports. Returns `false` if the
/// command failed.
fn run_with_tally(mut command: Command, tally: &mut TestTally) -> Result<bool> {
    let shown = format!("{command:?}");
    let mut child =
        command.stdout(Stdio::piped()).spawn().with_context(|| format!("cannot start {shown}"))?;
    let Some(output) = child.stdout.take() else { bail!("{shown} has no output") };
    let mut output = BufReader::new(output);
    let mut line = Vec::new();
    while output.read_until(b'\n', &mut line).with_context(|| format!("cannot read the output of {shown}"))?
        > 0
    {
        say::print_bytes(&line);
        tally.read_line(&String::from_utf8_lossy(&line));
        line.clear();
    }
    Ok(child.wait().with_context(|| format!("cannot wait for {shown}"))?.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_programs_are_told_from_what_else_is_built() {
        let of = |id: &str, target: &str, kind: &str, test: bool| {
            let line = serde_json::json!({
                "reason": "compiler-artifact", "package_id": id, "manifest_path": "/w/crates/core/Cargo.toml",
                "target": {"name": target, "kind": [kind]}, "profile": {"test": test},
                    "executable": "/w/target/a",
            });
            parse_test_program(&line.to_string()).map(|program| (program.name, program.folder, program.file))
        };
        let (folder, file) = (PathBuf::from("/w/crates/core"), PathBuf::from("/w/target/a"));
        let core = "path+file:///w/crates/core#truing-core@0.1.0";
        let expected = |name: &str| Some((name.to_owned(), folder.clone(), file.clone()));
        assert_eq!(of(core, "truing_core", "lib", true), expected("truing-core"));
        assert_eq!(of(core, "it", "test", true), expected("truing-core it"));
        assert_eq!(of("path+file:///w/crates/truing#0.1.0", "it", "test", true), expected("truing it"));
        assert_eq!(of(core, "truing_core", "lib", false), None);
        assert!(
            parse_test_program("").is_none()
                && parse_test_program("{\"reason\": \"build-finished\"}").is_none()
        );
    }
}
