//! Provides a command's asynchronous runtime, and the signals that interrupt the command.

use std::pin::Pin;
use std::time::Duration;

use tokio::runtime::{self, Builder, Handle};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::timeout;
use truing_model::gateway;

use super::error::CliError;

/// Maximum time that a command, before it exits, waits until cancelled model calls are settled. If a call is
/// not settled in this time, the call's budget reservation later expires, and the full reserved amount counts
/// as spent.
const SETTLE_TIMEOUT: Duration = Duration::from_millis(800);

/// A runtime that waits, before it stops, until cancelled model calls are settled.
pub(crate) struct CommandRuntime {
    // This field is dropped before `runtime`, because its drop needs the running runtime.
    settlement_guard: SettlementGuard,
    runtime: runtime::Runtime,
}

impl CommandRuntime {
    /// Runs a future to completion.
    pub(crate) fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        // The future is boxed, so the compiler generates the runtime's code once per result type instead of
        // once per command.
        let work: Pin<Box<dyn Future<Output = T> + '_>> = Box::pin(work);
        self.runtime.block_on(work)
    }

    /// Returns the handle of the runtime.
    pub(crate) fn handle(&self) -> &Handle {
        self.runtime.handle()
    }

    /// Stops the runtime. Waits for blocking threads for at most this time.
    pub(crate) fn shutdown_within(self, timeout: Duration) {
        let Self { settlement_guard: settling, runtime } = self;
        drop(settling);
        runtime.shutdown_timeout(timeout);
    }
}

/// A guard that waits on drop until cancelled model calls are settled, or until `SETTLE_TIMEOUT` has passed.
struct SettlementGuard(Handle);

impl Drop for SettlementGuard {
    fn drop(&mut self) {
        let _ = self.0.block_on(async { timeout(SETTLE_TIMEOUT, gateway::wait_until_settled()).await });
    }
}

/// Starts a runtime with one thread per core.
///
/// # Errors
/// Returns exit 3 if threads cannot be started.
pub(crate) fn start() -> Result<CommandRuntime, CliError> {
    let runtime =
        Builder::new_multi_thread().enable_all().build().map_err(|error| thread_start_error(&error))?;
    Ok(CommandRuntime { settlement_guard: SettlementGuard(runtime.handle().clone()), runtime })
}

/// Returns the error (exit 3) for threads that cannot be started.
pub(crate) fn thread_start_error(error: &std::io::Error) -> CliError {
    CliError::failure("no_threads", format!("cannot start threads: {error}"))
        .hint("raise the limit of processes (`ulimit -u`), or stop other processes")
}

/// The kind of signal that stops the process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum StopSignal {
    /// SIGTERM, from the system.
    Terminate,
    /// SIGINT or SIGQUIT, from a person.
    Interrupt,
    /// SIGHUP, from a closed terminal. SIGHUP is not handled if the process was started with SIGHUP ignored,
    /// as with `nohup`.
    HangUp,
}

/// Completes when the process receives a stop signal.
///
/// # Errors
/// Returns exit 3 if signals cannot be received.
pub(crate) async fn wait_for_stop_signal() -> Result<StopSignal, CliError> {
    Ok(StopSignals::new()?.next_signal().await)
}

/// The signals that stop a process. After a value of this type was created, these signals no longer kill the
/// process. Instead, the code that receives a signal stops the process.
pub(crate) struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
    hang_up: Option<Signal>,
}

impl StopSignals {
    /// Registers the signal handlers.
    ///
    /// # Errors
    /// Returns exit 3 if signals cannot be received.
    pub(crate) fn new() -> Result<Self, CliError> {
        let deaf = |error| CliError::failure("no_signals", format!("cannot receive signals: {error}"));
        let hang_up = (!truing_system::ignores_sighup())
            .then(|| signal(SignalKind::hangup()))
            .transpose()
            .map_err(deaf)?;
        Ok(Self {
            terminate: signal(SignalKind::terminate()).map_err(deaf)?,
            interrupt: signal(SignalKind::interrupt()).map_err(deaf)?,
            quit: signal(SignalKind::quit()).map_err(deaf)?,
            hang_up,
        })
    }

    /// Waits for the next signal.
    pub(crate) async fn next_signal(&mut self) -> StopSignal {
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
