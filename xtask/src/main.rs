//! `cargo xtask`: the commands that test, check and measure the workspace, both locally and in CI.
//!
//! This crate depends on no crate of the product, so cargo builds it in seconds. Commands that use the
//! product are in the crate `bench`.

mod check;
mod lock;
mod measure;
mod size;
mod soak;
mod test;
mod texts;
mod tools;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use xtask::{say, workspace};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Tests, checks and measures the workspace", version)]
struct XtaskCli {
    #[command(subcommand)]
    command: XtaskCommand,
}

#[derive(Subcommand)]
enum XtaskCommand {
    /// Install the tools that the tests need, run all tests, and list the tests that could not be run, with
    /// the reasons
    ///
    /// The last line of the output is always `N passed, N failed, N skipped`.
    Test(test::Options),
    /// Run the checks that the compiler does not make: dependencies between crates, file sizes, test
    /// programs, words, docs, changelog, and those of cargo-deny
    Check(check::Options),
    /// Run a command while no other build of this repository runs; `.ci/run` runs itself in this way
    Lock(lock::Options),
    /// Repeat long-running checks until the time is over
    Soak(soak::Options),
    /// Measure the figures for which the project makes promises, and compare them with other tools
    #[command(disable_help_flag = true)]
    Bench(measure::Options),
    /// Reduce the published descriptions of the forges' APIs to the parts with which tests compare requests
    /// and responses
    #[command(disable_help_flag = true)]
    Contract(measure::Options),
    /// Feed damaged input to the parsers of untrusted bytes until the time is over
    #[command(disable_help_flag = true)]
    Fuzz(measure::Options),
    /// Run the rules on the histories of public repositories, and compare the findings with people's verdicts
    #[command(disable_help_flag = true)]
    Rules(measure::Options),
    /// List the texts that the program prints, with file and line, for proofreading
    Texts(texts::TextFilter),
    /// Build the release binary from scratch, and print its build time, size and start-up time
    Size,
}

fn main() -> ExitCode {
    say::exit_code(match XtaskCli::parse().command {
        XtaskCommand::Test(options) => test::run(&options),
        XtaskCommand::Check(options) => check::run(&options),
        XtaskCommand::Lock(options) => lock::run(&options),
        XtaskCommand::Soak(options) => soak::run(&options),
        XtaskCommand::Bench(options) => measure::run("bench", "release", &options),
        XtaskCommand::Contract(options) => measure::run("contract", "dev", &options),
        XtaskCommand::Fuzz(options) => measure::run("fuzz", "dev", &options),
        XtaskCommand::Rules(options) => measure::run("rules", "dev", &options),
        XtaskCommand::Texts(options) => texts::run(&options),
        XtaskCommand::Size => size::run(),
    })
}
