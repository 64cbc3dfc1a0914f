//! Measures CPU time, because other work on the machine affects CPU time less than elapsed time.

use std::fs;
use std::hint::black_box;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Number of clock ticks per second in Linux's `/proc`. The number is equal on all known machines.
pub(crate) const TICKS_PER_SECOND: u32 = 100;

/// Number of measurements of each of the two functions; the shortest time is used.
const ROUNDS: usize = 7;

const MIN_MEASUREMENT_TIME: Duration = Duration::from_millis(600);

/// Measures two functions alternately, and returns the best time of each, in seconds.
pub(crate) fn measure_alternately<A, B>(
    mut ours: impl FnMut() -> A,
    mut theirs: impl FnMut() -> B,
) -> (f64, f64) {
    let mut best = (f64::MAX, f64::MAX);
    for _ in 0..ROUNDS {
        best.0 = best.0.min(time_work(&mut ours));
        best.1 = best.1.min(time_work(&mut theirs));
    }
    best
}

/// Returns the seconds that `work` takes.
fn time_work<T>(work: &mut impl FnMut() -> T) -> f64 {
    // The file begins with the thread's CPU time in nanoseconds. If the file is missing, the elapsed time is
    // used instead.
    let on_processor = || -> Option<u64> {
        fs::read_to_string("/proc/thread-self/schedstat").ok()?.split_whitespace().next()?.parse().ok()
    };
    let (before, clock) = (on_processor(), Instant::now());
    black_box(work());
    match (before, on_processor()) {
        (Some(before), Some(after)) if after > before => Duration::from_nanos(after - before).as_secs_f64(),
        (Some(_) | None, Some(_) | None) => clock.elapsed().as_secs_f64(),
    }
}

/// Runs two commands alternately, and returns the best time of each, in seconds.
pub(crate) fn measure_processes_alternately(ours: &mut Command, theirs: &mut Command) -> Result<(f64, f64)> {
    let mut best = (f64::MAX, f64::MAX);
    for _ in 0..3 {
        best.0 = best.0.min(time_process(ours)?);
        best.1 = best.1.min(time_process(theirs)?);
    }
    Ok(best)
}

/// Returns the average CPU time of a command over several runs, in seconds.
fn time_process(command: &mut Command) -> Result<f64> {
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let (before, clock, mut runs) = (child_cpu_ticks(), Instant::now(), 0_u32);
    while runs == 0 || clock.elapsed() < MIN_MEASUREMENT_TIME {
        let status = command.status().with_context(|| format!("cannot start {command:?}"))?;
        if !status.success() {
            bail!("{command:?} failed ({status})");
        }
        runs += 1;
    }
    let all = match (before, child_cpu_ticks()) {
        (Some(before), Some(after)) if after > before => {
            f64::from(after - before) / f64::from(TICKS_PER_SECOND)
        }
        (Some(_) | None, Some(_) | None) => clock.elapsed().as_secs_f64(),
    };
    Ok(all / f64::from(runs))
}

/// Returns the CPU time, in clock ticks, of all child processes that have exited.
fn child_cpu_ticks() -> Option<u32> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The process name may contain any character, so the fields after the name are counted: `cutime` and
    // `cstime` are the 14th and the 15th of them.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(13);
    let mut next = || fields.next()?.parse::<u32>().ok();
    Some(next()? + next()?)
}

/// The times of one run of a command, in seconds.
pub(super) struct RunDurations {
    /// CPU time on all processors together.
    pub(super) cpu_seconds: f64,
    pub(super) elapsed_seconds: f64,
}

/// Runs a command and reads its output. The exit code 1 is accepted, because linters and reviews exit with 1
/// if they report findings.
pub(super) fn measure_run(command: &mut Command) -> Result<RunDurations> {
    let (before, begun) = (child_cpu_ticks(), Instant::now());
    let output = command.output().with_context(|| format!("cannot start {command:?}"))?;
    let clock = begun.elapsed().as_secs_f64();
    if !matches!(output.status.code(), Some(0 | 1)) {
        bail!("{command:?} failed ({})", output.status);
    }
    let ticks = before.zip(child_cpu_ticks()).map(|(before, after)| after.saturating_sub(before));
    let processor = ticks.map_or(clock, |ticks| f64::from(ticks) / f64::from(TICKS_PER_SECOND));
    Ok(RunDurations { cpu_seconds: processor, elapsed_seconds: clock })
}

/// Returns the median. Returns NaN for an empty list, and the higher of the two middle values for an even
/// number of values.
pub(super) fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}
