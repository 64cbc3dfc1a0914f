//! What measures the product or feeds it for long, and so is built from its crates: `cargo xtask bench`, `fuzz` and
//! `rules` build this program and run it.

mod bench;
#[cfg(test)]
mod effects;
mod fuzz;
mod rules;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use xtask::{say, tools, workspace};

#[derive(Parser)]
#[command(name = "truing-bench", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measure what is promised in figures, beside its peers
    Bench(bench::Options),
    /// Feed readers of foreign bytes with damaged input until the time is over
    Fuzz(fuzz::Options),
    /// Run the rules over the histories of public repositories, beside what people judged of what they find there
    Rules(rules::Options),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Bench(options) => bench::run(&options),
        Command::Fuzz(options) => fuzz::run(&options),
        Command::Rules(options) => rules::run(&options),
    };
    say::exit_code(result)
}
