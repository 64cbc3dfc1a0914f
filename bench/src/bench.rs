//! `cargo xtask bench`: measures the figures for which the project promises limits, and measures comparable
//! tools in the same run. Times depend on the machine, so only ratios to the other tools can be compared
//! across machines.

mod converge;
mod diff;
pub(crate) mod hard_diffs;
mod ingress;
mod linters;
mod meter;
mod process;
mod program;
mod pushes;
mod records;
mod review;
mod rules;
mod stores;
mod watch;
mod workers;

use anyhow::Result;
use clap::{Args, Subcommand};

/// The measurement to run.
#[derive(Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    command: MeasurementCommand,
}

#[derive(Subcommand)]
enum MeasurementCommand {
    /// Diffs: compare our parser's line counts with git's, and its speed with that of diffy (in process) and
    /// of npm `diff` (as a whole process)
    Diff(diff::Options),
    /// Webhooks: compare CPU time, latency, memory and the highest rate with those of Fastify,
    /// BullMQ and Redis
    Ingress(ingress::Options),
    /// Many processes: measure reviews per minute with 1 to 8 workers on Redis and PostgreSQL, and find the
    /// component that limits them
    Workers(workers::Options),
    /// Millions of records: measure the time of commands and of queries for due slots, and the cost of moving
    /// a store to another engine
    Records(records::Options),
    /// Syntax rules: compare the findings and the speed with ast-grep's command line
    Rules(rules::Options),
    /// Linters: for many commits, compare the findings that Truing reports with the linter's own findings on
    /// added lines
    Linters(linters::Options),
    /// Linters on pull requests with several pushes: compare posted, repeated and remaining comments with
    /// those under reviewdog's rules
    Pushes(pushes::Options),
    /// A loop of `truing converge`: compare its time, without the model's time, with the time in which git
    /// writes the same files
    Converge(converge::Options),
    /// A whole review of 10,000 changed lines: measure its memory, and how much longer it takes than `git
    /// diff`
    Review(review::Options),
}

/// Runs the selected measurement. Returns `false` if a measured figure misses its promised limit.
pub(crate) fn run(options: &Options) -> Result<bool> {
    match &options.command {
        MeasurementCommand::Diff(options) => diff::run(options),
        MeasurementCommand::Ingress(options) => ingress::run(options),
        MeasurementCommand::Workers(options) => workers::run(options),
        MeasurementCommand::Records(options) => records::run(options),
        MeasurementCommand::Rules(options) => rules::run(options),
        MeasurementCommand::Linters(options) => linters::run(options),
        MeasurementCommand::Pushes(options) => pushes::run(options),
        MeasurementCommand::Converge(options) => converge::run(options),
        MeasurementCommand::Review(options) => review::run(options),
    }
}
