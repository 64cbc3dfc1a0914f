//! Measures the product, fuzzes it, or generates its data. `cargo xtask bench`, `contract`, `fuzz` and
//! `rules` build and run this program, because it needs more dependencies than `xtask` may have.

mod bench;
mod contract;
#[cfg(test)]
mod effects;
mod fuzz;
mod rules;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use xtask::{say, workspace};

#[derive(Parser)]
#[command(name = "truing-bench", bin_name = "cargo xtask")]
struct BenchCli {
    #[command(subcommand)]
    command: BenchCommand,
}

#[derive(Subcommand)]
enum BenchCommand {
    /// Measure the promised figures, and compare them with other tools
    Bench(bench::Options),
    /// Reduce the published descriptions of the forges' APIs to the parts that the tests need to check
    /// requests and responses
    Contract(contract::Options),
    /// Feed damaged input to the parsers of untrusted bytes until the time is over
    Fuzz(fuzz::Options),
    /// Run the rules on the histories of public repositories, and compare the findings with people's verdicts
    Rules(rules::Options),
}

fn main() -> ExitCode {
    let result = match BenchCli::parse().command {
        BenchCommand::Bench(options) => bench::run(&options),
        BenchCommand::Contract(options) => contract::run(&options),
        BenchCommand::Fuzz(options) => fuzz::run(&options),
        BenchCommand::Rules(options) => rules::run(&options),
    };
    say::exit_code(result)
}
