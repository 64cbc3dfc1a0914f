//! The asynchronous runtime of a command, and how it is interrupted.

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};

use super::error::CliError;

/// A runtime with a thread a core.
///
/// # Errors
/// Exit 3 if the machine gives no threads.
pub(crate) fn start() -> Result<Runtime, CliError> {
    Builder::new_multi_thread().enable_all().build().map_err(|error| {
        CliError::failed("no_threads", format!("cannot start threads: {error}"))
            .hint("raise the limit of processes (`ulimit -u`), or stop something")
    })
}

/// Who told the process to stop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Told {
    /// SIGTERM: the system.
    Terminate,
    /// SIGINT: a person.
    Interrupt,
}

/// Ends when the process is told to stop.
///
/// # Errors
/// Exit 3 if signals cannot be received.
pub(crate) async fn told_to_stop() -> Result<Told, CliError> {
    let deaf = |error| CliError::failed("no_signals", format!("cannot receive signals: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(deaf)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(deaf)?;
    Ok(tokio::select! {
        _ = terminate.recv() => Told::Terminate,
        _ = interrupt.recv() => Told::Interrupt,
    })
}
