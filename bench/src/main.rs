//! Measures the product, fuzzes it, or generates its data, with more dependencies than `xtask` may have:
//! `cargo xtask bench`, `contract`, `fuzz` and `rules` build this program and run it.

mod bench;
mod contract;
#[cfg(test)]
mod effects;
mod fuzz;
mod rules;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use xtask::{say, tools, workspace};

#[derive(Parser)]
#[command(name = "truing-bench", bin_name = "cargo xtask")]
struct BenchCli {
    #[command(subcommand)]
    command: BenchCommand,
}

#[derive(Subcommand)]
enum BenchCommand {
    /// Measure what is promised in figures, beside its peers
    Bench(bench::Options),
    /// Cut the descriptions that forges publish of their APIs down to what tests check exchanges against
    Contract(contract::Options),
    /// Feed readers of foreign bytes with damaged input until the time is over
    Fuzz(fuzz::Options),
    /// Run the rules over the histories of public repositories, beside what people judged of what they find
    /// there
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
