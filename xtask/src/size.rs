//! `cargo xtask size`: measures the build time, size and start-up time of the release binary.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::{say, workspace};

/// Number of starts of the binary; the median of their times is printed.
const START_COUNT: usize = 20;

/// Builds the release binary in an empty target folder, and prints the three figures.
pub(crate) fn run() -> Result<bool> {
    let root = workspace::workspace_root()?;
    let target = tempfile::tempdir().context("cannot make a temporary target folder")?;

    let start = Instant::now();
    let status = workspace::cargo_command(&root)
        .args(["build", "--release", "--locked", "--package", "truing", "--bin", "truing", "--target-dir"])
        .arg(target.path())
        .status()
        .context("cannot start cargo build")?;
    if !status.success() {
        bail!("the release build failed ({status})");
    }
    let build = start.elapsed();

    let binary = target.path().join("release").join(format!("truing{}", std::env::consts::EXE_SUFFIX));
    let bytes = std::fs::metadata(&binary).context("the release binary is not where cargo puts it")?.len();

    let mut starts = Vec::with_capacity(START_COUNT);
    for _ in 0..START_COUNT {
        let start = Instant::now();
        let status =
            Command::new(&binary).arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).status();
        if !status.is_ok_and(|status| status.success()) {
            bail!("`truing --version` failed");
        }
        starts.push(start.elapsed());
    }

    say::print_line(&format!("release build from clean: {:.0} s", build.as_secs_f64()));
    say::print_line(&format!("binary: {bytes} bytes"));
    say::print_line(&format!(
        "truing --version: {:.1} ms (median of {START_COUNT})",
        median(starts).as_secs_f64() * 1000.0
    ));
    Ok(true)
}

/// Returns the upper median; zero for an empty list.
fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_does_not_care_for_order_or_outliers() {
        assert_eq!(median([9000, 2, 3, 1, 4].map(Duration::from_millis).to_vec()), Duration::from_millis(3));
        assert_eq!(median(Vec::new()), Duration::ZERO);
    }
}
