//! `cargo xtask fuzz`: feeds randomly damaged input to the parsers of untrusted bytes. Each round has its own
//! seed, so a failed round can be repeated without the rounds before it.

mod diff;
pub(crate) mod random;

use std::path::PathBuf;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};

use crate::{say, workspace};
use random::SeededRandom;

/// Time after which a round counts as a hang.
const ROUND_TIMEOUT: Duration = Duration::from_secs(120);

/// The parser to feed.
#[derive(Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    command: FuzzCommand,
}

#[derive(Subcommand)]
enum FuzzCommand {
    /// Diffs: parse them, anchor line ranges in them, and track line ranges through them
    Diff(FuzzLengthArgs),
    /// Small texts that are expensive to parse, although within the limits. In the first half of the time,
    /// the command reads source files as the service reads them; in the second half, it reads every other
    /// format of external text
    ///
    /// For each language and format, the command prints the highest memory and time, with the seed of the
    /// text.
    Bombs(BombFuzzArgs),
}

/// The duration, the first seed, and the folder for texts that exceed a limit.
#[derive(Args)]
struct BombFuzzArgs {
    #[command(flatten)]
    length: FuzzLengthArgs,
    /// Store texts that exceed a limit in this folder, each in a file named after its seed
    #[arg(long, value_name = "FOLDER")]
    keep: Option<PathBuf>,
}

/// Duration of the fuzzing, and the first seed.
#[derive(Args)]
struct FuzzLengthArgs {
    /// Start no new round after this number of seconds
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// The seed of the first round; the seed of a failed round repeats the failure
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Feeds inputs to the parsers until the time is over. An input for which a parser panics, hangs or
/// contradicts itself is an error.
pub(crate) fn run(options: &Options) -> Result<bool> {
    match &options.command {
        FuzzCommand::Diff(length) => {
            let corpus = diff::corpus()?;
            let bytes = corpus.iter().map(Vec::len).sum::<usize>() >> 10;
            say::print_line(&format!("corpus: {} diffs, {bytes} KiB", corpus.len()));
            let end = Instant::now() + Duration::from_secs(length.seconds);
            let rounds = run_rounds(
                length.seed,
                move |_| Instant::now() < end,
                move |random| diff::run_round(&corpus, random),
            )?;
            say::print_line(&format!(
                "{rounds} inputs, seeds {} to {}: 0 panics, 0 hangs",
                length.seed,
                length.seed + rounds - 1
            ));
            Ok(true)
        }
        FuzzCommand::Bombs(bombs) => bombs.run(),
    }
}

impl BombFuzzArgs {
    /// Runs, for the requested time, the tests that generate and parse expensive texts. In a normal test run,
    /// these tests read only a few texts.
    fn run(&self) -> Result<bool> {
        let FuzzLengthArgs { seconds, seed } = self.length;
        let folder = match &self.keep {
            Some(folder) => std::path::absolute(folder)?,
            None => PathBuf::new(),
        };
        let mut passed = true;
        for (program, tests) in [("it", "reader::bombs::generated_bombs"), ("bombs", "generated_bombs")] {
            let ran = workspace::cargo_command(&workspace::workspace_root()?)
                .args(["test", "--package", "truing", "--locked", "--test", program, "--", "--nocapture"])
                .arg(tests)
                .env("TRUING_FUZZ_BOMBS", format!("{},{seed},{}", seconds / 2, folder.display()))
                .status()
                .context("cannot start cargo")?;
            passed &= ran.success();
        }
        Ok(passed)
    }
}

/// Runs rounds while `more` returns true. Returns the number of rounds.
fn run_rounds(
    seed: u64,
    should_continue: impl Fn(u64) -> bool + Send + 'static,
    run_round: impl Fn(&mut SeededRandom) + Send + 'static,
) -> Result<u64> {
    // The thread announces each round before the round starts. A round counts as a hang if the next
    // announcement does not arrive in time.
    let (begin, begun) = sync_channel(0);
    let feeder = std::thread::spawn(move || {
        let mut done = 0;
        while done == 0 || should_continue(done) {
            if begin.send(done).is_err() {
                break;
            }
            run_round(&mut SeededRandom::new(seed + done));
            done += 1;
        }
        done
    });
    let mut last = 0;
    loop {
        match begun.recv_timeout(ROUND_TIMEOUT) {
            Ok(round) => last = round,
            Err(RecvTimeoutError::Timeout) => {
                bail!("seed {} has not ended after {} s", seed + last, ROUND_TIMEOUT.as_secs())
            }
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    match feeder.join() {
        Ok(done) => Ok(done),
        Err(_) => bail!("seed {} panicked: see above; `--seed {0} --seconds 0` repeats it", seed + last),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_diffs_do_no_harm() {
        let corpus = diff::corpus().unwrap();
        assert_eq!(
            run_rounds(1, |done| done < 1500, move |random| diff::run_round(&corpus, random)).unwrap(),
            1500
        );
    }

    #[test]
    fn a_panic_is_told_with_its_seed() {
        let bad = SeededRandom::new(42).next_below(1_000_000);
        let error = run_rounds(40, |_| true, move |random| assert_ne!(random.next_below(1_000_000), bad))
            .unwrap_err();
        assert!(error.to_string().starts_with("seed 42 panicked"), "{error}");
    }
}
