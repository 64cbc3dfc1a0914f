//! Time on the processor, which other work on the machine does not lengthen as it does that of the clock.

use std::fs;
use std::hint::black_box;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// How many clock ticks Linux counts a second in `/proc`, on every machine we know.
pub(crate) const TICKS: u32 = 100;

/// How often each of two peers is measured; the best counts.
const ROUNDS: usize = 7;

/// How long a process is run again and again, so that ticks tell enough.
const PROCESS_TIME: Duration = Duration::from_millis(600);

/// The best time that each of two ways of doing the same took, measured by turns.
pub(crate) fn by_turns<A, B>(mut ours: impl FnMut() -> A, mut theirs: impl FnMut() -> B) -> (f64, f64) {
    let mut best = (f64::MAX, f64::MAX);
    for _ in 0..ROUNDS {
        best.0 = best.0.min(of_thread(&mut ours));
        best.1 = best.1.min(of_thread(&mut theirs));
    }
    best
}

/// Seconds that `work` takes.
fn of_thread<T>(work: &mut impl FnMut() -> T) -> f64 {
    // Nanoseconds on a processor, then others; by the clock where there is no such file.
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

/// The best time that each of two commands took as a whole process, measured by turns.
pub(crate) fn processes_by_turns(ours: &mut Command, theirs: &mut Command) -> Result<(f64, f64)> {
    let mut best = (f64::MAX, f64::MAX);
    for _ in 0..3 {
        best.0 = best.0.min(of_process(ours)?);
        best.1 = best.1.min(of_process(theirs)?);
    }
    Ok(best)
}

/// Seconds that a command takes, on average over some runs. What it prints is thrown away.
fn of_process(command: &mut Command) -> Result<f64> {
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let (before, clock, mut runs) = (children(), Instant::now(), 0_u32);
    while runs == 0 || clock.elapsed() < PROCESS_TIME {
        let status = command.status().with_context(|| format!("cannot start {command:?}"))?;
        if !status.success() {
            bail!("{command:?} failed ({status})");
        }
        runs += 1;
    }
    let all = match (before, children()) {
        (Some(before), Some(after)) if after > before => f64::from(after - before) / f64::from(TICKS),
        (Some(_) | None, Some(_) | None) => clock.elapsed().as_secs_f64(),
    };
    Ok(all / f64::from(runs))
}

/// Ticks that ended children have spent.
fn children() -> Option<u32> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // Behind the name, which may hold anything, `cutime` and `cstime` are the 14th and 15th field.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(13);
    let mut next = || fields.next()?.parse::<u32>().ok();
    Some(next()? + next()?)
}

/// What one run of a command took, in seconds.
pub(super) struct RunTimes {
    /// On all processors together.
    pub(super) processor: f64,
    pub(super) clock: f64,
}

/// Runs a command and reads what it prints. It may end with 1: there are findings.
pub(super) fn run(command: &mut Command) -> Result<RunTimes> {
    let (before, begun) = (children(), Instant::now());
    let output = command.output().with_context(|| format!("cannot start {command:?}"))?;
    let clock = begun.elapsed().as_secs_f64();
    if !matches!(output.status.code(), Some(0 | 1)) {
        bail!("{command:?} failed ({})", output.status);
    }
    let ticks = before.zip(children()).map(|(before, after)| after.saturating_sub(before));
    let processor = ticks.map_or(clock, |ticks| f64::from(ticks) / f64::from(TICKS));
    Ok(RunTimes { processor, clock })
}

/// The upper median; not a number of nothing.
pub(super) fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}
