//! `cargo xtask test`: installs what the tests need, runs them all, and says what could not be run.

mod tally;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context, Result};

use crate::{say, tools, workspace};
use tally::Tally;

/// What chooses the tests that need the network: they are ignored by name, and print what they measured.
const ONLINE: [&str; 6] =
    ["--package=truing", "--test=online", "--", "--ignored", "--nocapture", "--test-threads=1"];

/// The options of `cargo xtask test`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Fail if a package's tests could not be run; parts that a test passes over are listed
    #[arg(long)]
    require_all: bool,
    /// Run the tests that need the network, and no others; what each needs besides it says itself
    #[arg(long, conflicts_with = "arguments")]
    online: bool,
    /// Arguments for `cargo test`, for example `-p truing-core -- slot::`
    #[arg(last = true, value_name = "CARGO TEST ARGUMENTS")]
    arguments: Vec<String>,
}

/// Tests that could not be run, or not whole.
struct NotRun {
    need: tools::Need,
    why: String,
}

/// Runs the tests. `false`: something failed, or was not run though `--require-all` asked for it.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let root = workspace::root()?;
    let not_run = missing_tools(&root);
    let start = Instant::now();
    let mut tally = cargo_test(&root, options, &not_run)?;

    for name in &tally.failures {
        say::line(&format!("failed: {name}"));
    }
    for NotRun { need, why } in &not_run {
        match need {
            tools::Need::Packages(packages) => {
                say::line(&format!("not run: the tests of {}: {why}", packages.join(", ")));
            }
            tools::Need::Part(shows) => say::line(&format!("not shown: {shows}: {why}")),
        }
    }
    if !options.online {
        say::line("not run: what needs the network: cargo xtask test --online");
    }
    tally.skipped += not_run.len() as u64;
    let incomplete = options.require_all && left_out(&not_run).next().is_some();
    if incomplete {
        say::line("--require-all: what was not run counts as an error");
    }
    say::line(&format!("built and tested in {:.1} s", start.elapsed().as_secs_f64()));
    say::line(&tally.to_string());
    Ok(tally.failed == 0 && !incomplete)
}

/// The packages whose tests are left out.
fn left_out(not_run: &[NotRun]) -> impl Iterator<Item = &'static str> {
    not_run.iter().flat_map(|not_run| match not_run.need {
        tools::Need::Packages(packages) => packages.iter().copied(),
        tools::Need::Part(_) => [].iter().copied(),
    })
}

/// Provides every tool, and lists what cannot be tried for want of one.
fn missing_tools(root: &Path) -> Vec<NotRun> {
    let mut not_run = Vec::new();
    for tool in tools::TOOLS {
        match tools::provide(tool) {
            Ok(version) => say::line(&format!("{} {version} (needed: {})", tool.name, tool.minimum)),
            Err(why) => not_run.push(NotRun { need: tool.need, why }),
        }
    }
    for packed in tools::PACKED {
        match tools::unpack(root, packed) {
            Ok(_) => say::line(&format!("{} {}", packed.name, packed.version)),
            Err(why) => not_run.push(NotRun { need: packed.need, why }),
        }
    }
    match tools::install(root) {
        Ok(()) => say::line("what is in xtask/npm"),
        Err(why) => not_run.push(NotRun { need: tools::NPM, why }),
    }
    not_run
}

/// Runs `cargo test`, passing its output on while counting.
fn cargo_test(root: &Path, options: &Options, not_run: &[NotRun]) -> Result<Tally> {
    let mut command = workspace::cargo(root);
    command.args(["test", "--locked", "--no-fail-fast"]);
    if options.online {
        command.args(ONLINE);
    } else if !names_packages(&options.arguments) {
        command.arg("--workspace");
        command.args(left_out(not_run).flat_map(|package| ["--exclude", package]));
    }
    command.args(&options.arguments);
    say::line(&format!("{command:?} (cargo downloads the crates of Cargo.lock that it does not have yet)"));

    let mut child = command.stdout(Stdio::piped()).spawn().context("cannot start cargo test")?;
    let mut output = BufReader::new(child.stdout.take().context("cargo test has no output")?);
    let mut tally = Tally::default();
    let mut line = Vec::new();
    while output.read_until(b'\n', &mut line).context("cannot read the output of cargo test")? > 0 {
        say::bytes(&line);
        tally.read(&String::from_utf8_lossy(&line));
        line.clear();
    }
    let status = child.wait().context("cannot wait for cargo test")?;
    tally.end(status.success());
    Ok(tally)
}

/// Whether arguments for cargo itself (those before a second `--`) choose packages, so that `--workspace` must not.
fn names_packages(arguments: &[String]) -> bool {
    arguments
        .iter()
        .take_while(|argument| *argument != "--")
        .any(|argument| ["-p", "--package", "--workspace"].iter().any(|flag| argument.starts_with(flag)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_cargos_own_arguments_choose_packages() {
        let chosen = |arguments: &[&str]| {
            names_packages(&arguments.iter().map(|a| (*a).to_owned()).collect::<Vec<_>>())
        };
        assert!(chosen(&["-p", "truing-core"]));
        assert!(chosen(&["--package=truing-core"]));
        assert!(chosen(&["--workspace", "--exclude", "truing-core"]));
        assert!(!chosen(&["--", "-p"]));
        assert!(!chosen(&["some_test"]));
    }
}
