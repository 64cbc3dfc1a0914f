//! `cargo xtask test`: installs what the tests need, runs them all, and says what could not be run.

mod programs;
mod tally;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::{say, tools, workspace};
use tally::Tally;

/// What chooses the tests that need the network: for cargo, and for the program. They are ignored by name, and print what
/// they measured.
const ONLINE: ([&str; 2], [&str; 4]) =
    (["--package=truing", "--test=it"], ["online::", "--ignored", "--nocapture", "--test-threads=1"]);

/// How many of the slowest tests are named.
const SLOWEST: usize = 10;

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
    let mut tally = run_programs(&root, options, &not_run)?;

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
        say::line("not run: what takes long: cargo xtask soak");
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

/// Builds and runs the test programs one after the other, and says how long each took.
fn run_programs(root: &Path, options: &Options, not_run: &[NotRun]) -> Result<Tally> {
    let (cargos, own) = chosen(options, not_run);
    let mut tally = Tally::default();
    let begun = Instant::now();
    let Some(programs) = programs::build(root, &cargos)? else {
        tally.fail("the tests could not be built (see above)".to_owned());
        return Ok(tally);
    };
    let mut times = vec![("building".to_owned(), begun.elapsed())];
    for program in &programs {
        times.push((program.name().to_owned(), program.run(root, &own, &mut tally)?));
    }
    if !options.online && !cargos.iter().any(|argument| chooses_targets(argument)) {
        let took = programs::examples(root, &cargos, &own, &mut tally)?;
        times.push(("examples of the documentation".to_owned(), took));
    }
    tell_times(&times, tally.slowest(SLOWEST));
    Ok(tally)
}

/// The arguments for cargo, and those for the programs.
fn chosen(options: &Options, not_run: &[NotRun]) -> (Vec<String>, Vec<String>) {
    let owned = |arguments: &[&str]| arguments.iter().map(|argument| (*argument).to_owned()).collect();
    if options.online {
        return (owned(&ONLINE.0), owned(&ONLINE.1));
    }
    let mut parts = options.arguments.splitn(2, |argument| argument == "--");
    let mut cargos = parts.next().unwrap_or_default().to_vec();
    if !names_packages(&options.arguments) {
        cargos.push("--workspace".to_owned());
        cargos.extend(left_out(not_run).flat_map(|package| ["--exclude".to_owned(), package.to_owned()]));
    }
    (cargos, parts.next().unwrap_or_default().to_vec())
}

/// Does an argument for cargo choose among the targets of a package, so that examples of the documentation are not meant?
fn chooses_targets(argument: &str) -> bool {
    let flag = argument.split('=').next().unwrap_or_default();
    ["--lib", "--bin", "--bins", "--test", "--tests", "--bench", "--benches", "--example", "--examples"]
        .contains(&flag)
}

/// Prints how long the programs took that took a second, and the slowest tests.
fn tell_times(programs: &[(String, Duration)], slowest: &[(f64, String)]) {
    let row = |seconds: f64, name: &str| say::line(&format!("{seconds:>8.1} s  {name}"));
    say::line("\nTimes:");
    for (name, took) in programs.iter().filter(|(_, took)| took.as_secs() > 0) {
        row(took.as_secs_f64(), name);
    }
    if !slowest.is_empty() {
        say::line("The slowest tests:");
    }
    for (seconds, name) in slowest {
        row(*seconds, name);
    }
    say::line("");
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
    fn arguments_are_cargos_before_the_dashes_and_the_programs_behind_them() {
        let options = |arguments: &[&str]| Options {
            require_all: false,
            online: false,
            arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
        };
        let (cargos, own) = chosen(&options(&["-p", "truing-core", "--", "slot::", "--nocapture"]), &[]);
        assert_eq!(
            (cargos, own),
            (vec!["-p".into(), "truing-core".into()], vec!["slot::".into(), "--nocapture".into()])
        );
        let need = tools::Need::Packages(&["truing-store"]);
        let (cargos, own) = chosen(&options(&[]), &[NotRun { need, why: String::new() }]);
        assert_eq!(cargos, ["--workspace", "--exclude", "truing-store"]);
        assert!(own.is_empty());
        assert!(chooses_targets("--test=it") && chooses_targets("--lib") && !chooses_targets("-p"));
    }

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
