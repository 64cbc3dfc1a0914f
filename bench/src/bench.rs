//! `cargo xtask bench`: measures the figures that the project promises, beside its peers in the same run.
//! Only ratios are comparable: times depend on the machine.

mod converge;
mod diff;
pub(crate) mod hard;
mod ingress;
mod linters;
mod meter;
mod process;
mod program;
mod pushes;
mod records;
mod review;
mod rules;
mod runtimes;
mod stores;
mod watch;
mod workers;

use anyhow::Result;
use clap::{Args, Subcommand};

/// What to measure.
#[derive(Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    what: MeasurementCommand,
}

#[derive(Subcommand)]
enum MeasurementCommand {
    /// Diffs: right by git's own counts, and as fast as diffy (in process) and npm `diff` (as a whole
    /// process)
    Diff(diff::Options),
    /// Webhooks: processor time, delay, memory and the highest rate, beside Fastify, BullMQ and Redis
    Ingress(ingress::Options),
    /// Many processes: reviews a minute with 1 to 8 workers on Redis and PostgreSQL, and the part that holds
    /// them up
    Workers(workers::Options),
    /// Millions of records: the time of commands and of finding what is due, and of moving a store to another
    /// engine
    Records(records::Options),
    /// Rules of syntax: the same findings as ast-grep's command line, at least as fast
    Rules(rules::Options),
    /// Linters: the findings that are reported of a history's commits, beside the linter and a filter of
    /// added lines
    Linters(linters::Options),
    /// Linters on pull requests of several pushes: comments posted, repeated and left, beside reviewdog's
    /// rules
    Pushes(pushes::Options),
    /// A loop of `truing converge`: what it takes by itself, beside git laying the same files out
    Converge(converge::Options),
    /// A whole review of 10,000 changed lines: what it takes beyond `git diff`, in time and memory
    Review(review::Options),
    /// One scripted review held by each runtime: seconds, processor time and memory, beside the claude
    /// program alone
    Runtimes(runtimes::Options),
}

/// Measures. Returns `false` if a promise does not hold.
pub(crate) fn run(options: &Options) -> Result<bool> {
    match &options.what {
        MeasurementCommand::Diff(options) => diff::run(options),
        MeasurementCommand::Ingress(options) => ingress::run(options),
        MeasurementCommand::Workers(options) => workers::run(options),
        MeasurementCommand::Records(options) => records::run(options),
        MeasurementCommand::Rules(options) => rules::run(options),
        MeasurementCommand::Linters(options) => linters::run(options),
        MeasurementCommand::Pushes(options) => pushes::run(options),
        MeasurementCommand::Converge(options) => converge::run(options),
        MeasurementCommand::Review(options) => review::run(options),
        MeasurementCommand::Runtimes(options) => runtimes::run(options),
    }
}
