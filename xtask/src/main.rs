//! `cargo xtask`: the commands that test, check and measure the workspace, both locally and in CI.
//!
//! It uses no crate of the product and therefore starts in seconds; commands that use the product are in the
//! crate `bench`.

mod check;
#[cfg(test)]
mod limits;
mod lock;
mod measure;
mod sbom;
mod size;
mod soak;
mod test;
mod texts;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use xtask::{say, tools, workspace};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Tests, checks and measures the workspace", version)]
struct XtaskCli {
    #[command(subcommand)]
    command: XtaskCommand,
}

#[derive(Subcommand)]
enum XtaskCommand {
    /// Install what the tests need, run them all, and list what could not be run and why
    ///
    /// The last line of the output is always `N passed, N failed, N skipped`.
    Test(test::Options),
    /// Check what the compiler does not: crate arrows, licences, duplicates, advisories, file sizes, test
    /// programs, words, docs, changelog
    Check(check::Options),
    /// Run a command while no other build of this repository runs, as `.ci/run` does with itself
    Lock(lock::Options),
    /// Run schedules and storms until the time is over
    Soak(soak::Options),
    /// Measure what is promised in figures, beside its peers
    #[command(disable_help_flag = true)]
    Bench(measure::Options),
    /// Cut the descriptions that forges publish of their APIs down to what tests check exchanges against
    #[command(disable_help_flag = true)]
    Contract(measure::Options),
    /// Feed readers of foreign bytes with damaged input until the time is over
    #[command(disable_help_flag = true)]
    Fuzz(measure::Options),
    /// Run the rules over the histories of public repositories, beside what people judged of what they find
    /// there
    #[command(disable_help_flag = true)]
    Rules(measure::Options),
    /// Write what the program is built from, as a CycloneDX bill of materials
    Sbom(sbom::Options),
    /// Print the texts of the program with file and line, to be read as a list
    Texts(texts::TextFilter),
    /// Build the release binary from clean and print build time, size and start-up time
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
        XtaskCommand::Sbom(options) => sbom::run(&options),
        XtaskCommand::Texts(options) => texts::run(&options),
        XtaskCommand::Size => size::run(),
    })
}
