//! The asynchronous runtime of a command, and how it is interrupted.

use std::pin::Pin;
use std::time::Duration;

use tokio::runtime::{self, Builder, Handle};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::timeout;
use truing_model::gateway;

use super::error::CliError;

/// How long the end of a command may take to settle calls to models that were cut. What is not settled by then expires,
/// and counts in full.
const SETTLE: Duration = Duration::from_millis(800);

/// A runtime whose end waits until calls to models that were cut are settled.
pub(crate) struct CommandRuntime {
    // The first to be dropped.
    settling: SettleGuard,
    runtime: runtime::Runtime,
}

impl CommandRuntime {
    /// Runs this to its end.
    pub(crate) fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        // In a box, so that the runtime's own code is generated once a result, and not once a command.
        let work: Pin<Box<dyn Future<Output = T> + '_>> = Box::pin(work);
        self.runtime.block_on(work)
    }

    /// The way to it.
    pub(crate) fn handle(&self) -> &Handle {
        self.runtime.handle()
    }

    /// Ends it without waiting longer than this for threads that block.
    pub(crate) fn end_within(self, leave: Duration) {
        let Self { settling, runtime } = self;
        drop(settling);
        runtime.shutdown_timeout(leave);
    }
}

/// Waits for what is to be settled when it is dropped.
struct SettleGuard(Handle);

impl Drop for SettleGuard {
    fn drop(&mut self) {
        let _ = self.0.block_on(async { timeout(SETTLE, gateway::settled()).await });
    }
}

/// A runtime with a thread a core.
///
/// # Errors
/// Exit 3 if the machine gives no threads.
pub(crate) fn start() -> Result<CommandRuntime, CliError> {
    let runtime = Builder::new_multi_thread().enable_all().build().map_err(|error| no_threads(&error))?;
    Ok(CommandRuntime { settling: SettleGuard(runtime.handle().clone()), runtime })
}

/// The machine gives no threads. Exit 3.
pub(crate) fn no_threads(error: &std::io::Error) -> CliError {
    CliError::failed("no_threads", format!("cannot start threads: {error}"))
        .hint("raise the limit of processes (`ulimit -u`), or stop something")
}

/// Who told the process to stop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum StopSignal {
    /// SIGTERM: the system.
    Terminate,
    /// SIGINT, SIGQUIT: a person.
    Interrupt,
    /// SIGHUP: its terminal is gone. Not heard where it was to be ignored from the start, as `nohup` does.
    HangUp,
}

/// Ends when the process is told to stop.
///
/// # Errors
/// Exit 3 if signals cannot be received.
pub(crate) async fn told_to_stop() -> Result<StopSignal, CliError> {
    Ok(StopSignals::new()?.next().await)
}

/// The signals by which a process is told to stop. From its making on none of them ends the process by itself.
pub(crate) struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
    hang_up: Option<Signal>,
}

impl StopSignals {
    /// Listens.
    ///
    /// # Errors
    /// Exit 3 if signals cannot be received.
    pub(crate) fn new() -> Result<Self, CliError> {
        let deaf = |error| CliError::failed("no_signals", format!("cannot receive signals: {error}"));
        let hang_up = (!ignores_hang_up()).then(|| signal(SignalKind::hangup())).transpose().map_err(deaf)?;
        Ok(Self {
            terminate: signal(SignalKind::terminate()).map_err(deaf)?,
            interrupt: signal(SignalKind::interrupt()).map_err(deaf)?,
            quit: signal(SignalKind::quit()).map_err(deaf)?,
            hang_up,
        })
    }

    /// The next one.
    pub(crate) async fn next(&mut self) -> StopSignal {
        let hang_up = async {
            match &mut self.hang_up {
                Some(signal) => drop(signal.recv().await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.terminate.recv() => StopSignal::Terminate,
            _ = self.interrupt.recv() => StopSignal::Interrupt,
            _ = self.quit.recv() => StopSignal::Interrupt,
            () = hang_up => StopSignal::HangUp,
        }
    }
}

/// Was the process started with SIGHUP ignored? Where the system does not tell, it was not.
fn ignores_hang_up() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| ignored_first(&status))
}

/// Is the first signal, SIGHUP, in the mask of ignored ones? `SigIgn:` is a hexadecimal number, a bit a signal.
fn ignored_first(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::ignored_first;

    #[test]
    fn the_mask_of_ignored_signals_tells_of_the_first() {
        for (status, ignored) in [
            ("Name:\ttruing\nSigBlk:\t0000000000000001\nSigIgn:\t0000000000001001\n", true),
            ("SigIgn:\t0000000000001000\nSigCgt:\t0000000000000001\n", false),
            ("SigIgn:\tx\n", false),
            ("", false),
        ] {
            assert_eq!(ignored_first(status), ignored, "{status}");
        }
    }
}
