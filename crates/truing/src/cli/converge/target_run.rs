//! Runs the targets of one call concurrently. Each run is independent. The name of a run identifies the run's
//! output.

use std::fmt::Display;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesOrdered;
use tokio::sync::{Semaphore, watch};
use truing_core::converge::record::ConvergeRecord;
use truing_git::Mirror;
use truing_service::converge_runs::ProgressMessage;

use super::outcome::TargetOutcome;
use super::targets::{ConvergeTarget, RequestedTarget};
use super::{ConvergeArgs, local, outcome, pull};
use crate::cli::error::{CliError, CommandExit};
use crate::cli::output::ProgressDisplay;
use crate::cli::{CommandContext, runtime};

/// Maximum number of concurrent runs of one call. The limit is necessary because each run has its own
/// processes, connections and copies.
const MAX_CONCURRENT_RUNS: usize = 20;

/// A run for one of the call's targets.
pub(super) struct TargetRun<'a> {
    pub(super) context: &'a CommandContext,
    /// Name of the run, if the call has several runs.
    pub(super) name: Option<&'a str>,
    /// True after the call was interrupted.
    pub(super) interrupt: watch::Receiver<bool>,
    /// Display for the run's steps; none if progress is not shown.
    pub(super) progress_display: Option<&'a ProgressDisplay>,
}

impl<'a> TargetRun<'a> {
    /// Returns a single run that is never interrupted.
    pub(super) fn for_single_target(context: &'a CommandContext) -> Self {
        let (_, interrupt) = watch::channel(false);
        Self { context, name: None, interrupt, progress_display: None }
    }

    /// Prints a remark for the user.
    pub(super) fn print_note(&self, text: impl Display) {
        let text = self.prefix_with_name(text);
        match self.progress_display {
            Some(bar) => bar.print_note(text),
            None => self.context.output.print_note(text),
        }
    }

    /// Shows the step that begins now and may take minutes.
    pub(super) fn show_step(&self, text: impl Display) {
        let text = self.prefix_with_name(text);
        match self.progress_display {
            Some(bar) => bar.show_step(&text),
            None => self.context.output.print_note(text),
        }
    }

    /// Shows a progress message of a run on a pull request.
    pub(super) fn print_progress(&self, message: ProgressMessage<'_>) {
        match message {
            ProgressMessage::Step(text) => self.show_step(text),
            ProgressMessage::Note(text) => self.print_note(text),
        }
    }

    fn prefix_with_name(&self, text: impl Display) -> String {
        self.name.map_or_else(|| text.to_string(), |name| format!("{name}: {text}"))
    }

    /// Completes after the call was interrupted.
    pub(super) async fn wait_for_stop(&self) {
        if self.interrupt.clone().wait_for(|is_stopped| *is_stopped).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Runs the converge loop on the target.
    pub(super) async fn run(
        &self,
        args: &ConvergeArgs,
        target: &ConvergeTarget,
    ) -> Result<(ConvergeRecord, Mirror), CliError> {
        match target {
            ConvergeTarget::Pull(target) => Box::pin(pull::run(args, self, target)).await,
            ConvergeTarget::Folder(folder) => Box::pin(local::run(args, self, folder)).await,
        }
    }
}

/// Runs all targets and prints their results in the order of the request. After several results, prints one
/// line for each. A failed run does not stop the other runs. A signal stops all runs. Each stopped run can be
/// resumed. If `includes_target_name` is true, the text contains the name of each target.
///
/// # Errors
/// Returns an error if signals cannot be handled or nothing can be printed. The runs are stopped before an
/// error is returned.
pub(super) async fn run_all(
    args: &ConvergeArgs,
    targets: &[RequestedTarget],
    includes_target_name: bool,
    context: &CommandContext,
) -> Result<Vec<TargetOutcome>, CliError> {
    let mut signals = runtime::StopSignals::new()?;
    let (stop_sender, stop_receiver) = watch::channel(false);
    let room = Semaphore::new(if args.run_args.serial { 1 } else { MAX_CONCURRENT_RUNS });
    let bar = context.output.show_step_progress();
    let (room, stop_receiver, bar) = (&room, &stop_receiver, &bar);
    let runs = targets.iter().map(|target| async move {
        let workspace = target.target.as_ref().map_err(CliError::clone)?;
        let name = target.name.as_deref().filter(|_| includes_target_name);
        let turn = TargetRun { context, name, interrupt: stop_receiver.clone(), progress_display: Some(bar) };
        let _place = tokio::select! {
            biased;
            () = turn.wait_for_stop() => return Err(outcome::interrupted_error()),
            place = room.acquire() => place,
        };
        turn.run(args, workspace).await
    });
    let mut runs: FuturesOrdered<_> = runs.collect();
    let (mut names, mut all, mut printed) = (targets.iter(), Vec::with_capacity(targets.len()), Ok(()));
    let mut lines = String::new();
    loop {
        let ended = tokio::select! {
            ended = runs.next() => ended,
            _ = signals.next_signal() => {
                stop_sender.send_replace(true);
                continue;
            }
        };
        let (Some(ended), Some(target)) = (ended, names.next()) else { break };
        bar.pause();
        let folder = match &target.target {
            Ok(ConvergeTarget::Folder(folder)) => Some(folder.as_path()),
            Ok(ConvergeTarget::Pull(_)) | Err(_) => None,
        };
        match outcome::print_outcome(
            target.name.as_deref(),
            folder,
            includes_target_name,
            args,
            ended,
            context,
        )
        .await
        {
            Ok(ended) => {
                lines += &ended.line(target.name.as_deref().unwrap_or_default());
                all.push(ended);
            }
            Err(error) => printed = Err(error),
        }
    }
    printed?;
    if targets.len() > 1 && !context.output.is_json() {
        context.output.print_data(lines)?;
    }
    Ok(all)
}

/// Returns the highest exit code of the results.
pub(super) fn highest_exit(outcomes: &[TargetOutcome]) -> CommandExit {
    outcomes.iter().map(|ended| ended.exit).max().unwrap_or(CommandExit::Success)
}
