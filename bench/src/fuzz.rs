//! `cargo xtask fuzz`: feeds readers of foreign bytes with corpora that are damaged at random. Each round has
//! its own seed, which repeats a failure at once.

mod diff;
pub(crate) mod random;

use std::path::PathBuf;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};

use crate::{say, workspace};
use random::SeededRandom;

/// Time after which one input counts as a hang.
const MAX_ROUND: Duration = Duration::from_secs(120);

/// What to feed.
#[derive(Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    what: FuzzCommand,
}

#[derive(Subcommand)]
enum FuzzCommand {
    /// Diffs: parsed, anchored in and tracked by
    Diff(FuzzLengthArgs),
    /// Small texts that cost a parser much, each within its bounds: languages, read as the service reads
    /// files, in the first half of the time, and every other form of text that comes from outside in the
    /// second
    ///
    /// The worst memory and time are printed for each language and form, with the seed of its text.
    Bombs(BombFuzzArgs),
}

/// The time, the first seed and the folder.
#[derive(Args)]
struct BombFuzzArgs {
    #[command(flatten)]
    length: FuzzLengthArgs,
    /// Keep texts that pass a bound in this folder, each named by its seed
    #[arg(long, value_name = "FOLDER")]
    keep: Option<PathBuf>,
}

/// How long, and from where on.
#[derive(Args)]
struct FuzzLengthArgs {
    /// Begin no new round after so many seconds
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// The seed of the first round; that of a failure repeats it
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Feeds inputs until the time is over. An input that makes a reader panic, hang or contradict itself is an
/// error.
pub(crate) fn run(options: &Options) -> Result<bool> {
    match &options.what {
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
    /// Runs the tests' own harness, which normally reads only a few of the texts.
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

/// Runs rounds while `more` returns true, and returns their number.
fn run_rounds(
    seed: u64,
    more: impl Fn(u64) -> bool + Send + 'static,
    round: impl Fn(&mut SeededRandom) + Send + 'static,
) -> Result<u64> {
    // The round is announced before it begins; one that hangs shows by the missing next announcement.
    let (begin, begun) = sync_channel(0);
    let feeder = std::thread::spawn(move || {
        let mut done = 0;
        while done == 0 || more(done) {
            if begin.send(done).is_err() {
                break;
            }
            round(&mut SeededRandom::new(seed + done));
            done += 1;
        }
        done
    });
    let mut last = 0;
    loop {
        match begun.recv_timeout(MAX_ROUND) {
            Ok(round) => last = round,
            Err(RecvTimeoutError::Timeout) => {
                bail!("seed {} has not ended after {} s", seed + last, MAX_ROUND.as_secs())
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
        let bad = SeededRandom::new(42).below(1_000_000);
        let error =
            run_rounds(40, |_| true, move |random| assert_ne!(random.below(1_000_000), bad)).unwrap_err();
        assert!(error.to_string().starts_with("seed 42 panicked"), "{error}");
    }
}
