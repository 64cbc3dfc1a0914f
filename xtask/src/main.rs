//! `cargo xtask`: the commands that test, check and measure the workspace, alike on a desk and in CI.

mod bench;
mod check;
mod contract;
#[cfg(test)]
mod effects;
mod fuzz;
#[cfg(test)]
mod limits;
mod rules;
mod say;
mod sbom;
mod size;
mod soak;
mod test;
mod tools;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Tests, checks and measures the workspace", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install what the tests need, run them all, and list what could not be run and why
    ///
    /// The last line of the output is always `N passed, N failed, N skipped`.
    Test(test::Options),
    /// Check what the compiler does not: crate arrows, licences, duplicates, advisories, file sizes, test programs, words, docs, changelog
    Check(check::Options),
    /// Run schedules and storms until the time is over
    Soak(soak::Options),
    /// Measure what is promised in figures, beside its peers
    Bench(bench::Options),
    /// Cut the descriptions that forges publish of their APIs down to what tests check exchanges against
    Contract(contract::Options),
    /// Feed readers of foreign bytes with damaged input until the time is over
    Fuzz(fuzz::Options),
    /// Run the rules over the histories of public repositories, beside what people judged of what they find there
    Rules(rules::Options),
    /// Write what the program is built from, as a CycloneDX bill of materials
    Sbom(sbom::Options),
    /// Build the release binary from clean and print build time, size and start-up time
    Size,
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Test(options) => test::run(&options),
        Command::Check(options) => check::run(&options),
        Command::Soak(options) => soak::run(&options),
        Command::Bench(options) => bench::run(&options),
        Command::Contract(options) => contract::run(&options),
        Command::Fuzz(options) => fuzz::run(&options),
        Command::Rules(options) => rules::run(&options),
        Command::Sbom(options) => sbom::run(&options),
        Command::Size => size::run(),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say::problem(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
