//! `cargo xtask soak`: what is worth running longer than a test may take, again and again until the time is over:
//! random schedules of the slot machine, and the demonstration's storm.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::Value;

use crate::{say, workspace};

/// Schedules a round: some ten seconds' worth.
const SCHEDULES: u32 = 50_000;

/// How long to go on.
#[derive(Args)]
pub(crate) struct Options {
    /// Begin no new round after so many minutes
    #[arg(long, default_value_t = 10)]
    minutes: u64,
}

/// Runs rounds until the time is over or one fails.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let root = workspace::root()?;
    let end = Instant::now() + Duration::from_secs(options.minutes.saturating_mul(60));
    let mut rounds = 0_u32;
    let mut pushes = 0_u64;
    loop {
        let mut schedules = workspace::cargo(&root);
        schedules.args(["test", "--release", "--locked", "--quiet", "--package", "truing-core", "--lib"]);
        schedules.arg("slot::schedules").env("PROPTEST_CASES", SCHEDULES.to_string());
        workspace::output(&mut schedules).context("the slot machine broke a promise")?;
        let mut storm = workspace::cargo(&root);
        storm.args(["run", "--release", "--locked", "--quiet", "--package", "truing", "--"]);
        storm.args(["demo", "--quiet", "--format", "json"]);
        let report = told(&mut storm)?;
        rounds += 1;
        pushes += report.get("pushes").and_then(Value::as_u64).unwrap_or(0);
        say::line(&format!("round {rounds}: {SCHEDULES} schedules; storm {report}"));
        if Instant::now() >= end {
            break;
        }
    }
    say::line(&format!("{rounds} rounds, {pushes} pushes, every promise kept"));
    Ok(true)
}

/// The demonstration's report; its exit code is an error if a promise was broken.
fn told(storm: &mut Command) -> Result<Value> {
    let text = workspace::output(storm).context("the storm broke a promise")?;
    let Some(line) = text.lines().last() else { bail!("the demonstration printed nothing") };
    serde_json::from_str(line).context("the demonstration's report is not JSON")
}
