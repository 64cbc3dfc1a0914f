//! The runs of one call, side by side: each by itself, and told apart by its name.

use std::fmt::Display;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesOrdered;
use tokio::sync::{Semaphore, watch};
use truing_core::converge::record::ConvergeRecord;
use truing_git::Mirror;
use truing_service::converges::ProgressMessage;

use super::outcome::TargetOutcome;
use super::targets::{ConvergeTarget, RequestedTarget};
use super::{ConvergeArgs, local, outcome, pull};
use crate::cli::error::{CliError, CommandExit};
use crate::cli::output::ProgressDisplay;
use crate::cli::{CommandContext, runtime};

/// So many runs of one call are at work at once: each has processes, connections and copies of its own.
const MAX_AT_ONCE: usize = 20;

/// One run of a call.
pub(super) struct TargetRun<'a> {
    pub(super) context: &'a CommandContext,
    /// What it is called where there are others.
    pub(super) name: Option<&'a str>,
    /// Whether the call was told to stop.
    pub(super) told: watch::Receiver<bool>,
    /// Where its steps are shown; none: nobody watches them.
    pub(super) bar: Option<&'a ProgressDisplay>,
}

impl<'a> TargetRun<'a> {
    /// The only one, which nobody tells to stop.
    pub(super) fn alone(context: &'a CommandContext) -> Self {
        let (_, told) = watch::channel(false);
        Self { context, name: None, told, bar: None }
    }

    /// A remark for a person.
    pub(super) fn say(&self, text: impl Display) {
        let text = self.named(text);
        match self.bar {
            Some(bar) => bar.say(text),
            None => self.context.output.say(text),
        }
    }

    /// What begins now, and may take minutes.
    pub(super) fn step(&self, text: impl Display) {
        let text = self.named(text);
        match self.bar {
            Some(bar) => bar.step(&text),
            None => self.context.output.say(text),
        }
    }

    /// What a run on a pull request says.
    pub(super) fn show(&self, said: ProgressMessage<'_>) {
        match said {
            ProgressMessage::Step(text) => self.step(text),
            ProgressMessage::Line(text) => self.say(text),
        }
    }

    fn named(&self, text: impl Display) -> String {
        self.name.map_or_else(|| text.to_string(), |name| format!("{name}: {text}"))
    }

    /// Ends when the call is told to stop.
    pub(super) async fn stopped(&self) {
        if self.told.clone().wait_for(|told| *told).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Works on it.
    pub(super) async fn run(
        &self,
        args: &ConvergeArgs,
        workspace: &ConvergeTarget,
    ) -> Result<(ConvergeRecord, Mirror), CliError> {
        match workspace {
            ConvergeTarget::Pull(target) => Box::pin(pull::run(args, self, target)).await,
            ConvergeTarget::Folder(folder) => Box::pin(local::run(args, self, folder)).await,
        }
    }
}

/// Runs them all, and prints what each came to in the order in which they were asked for. One that fails ends no other
/// one; a signal ends them all, each where it can be gone on with. What each came to. `is_named`: what is for people
/// tells each by its name.
///
/// # Errors
/// Signals cannot be heard, or nothing can be printed; what was begun is ended before.
pub(super) async fn run_all(
    args: &ConvergeArgs,
    asked: &[RequestedTarget],
    is_named: bool,
    context: &CommandContext,
) -> Result<Vec<TargetOutcome>, CliError> {
    let mut signals = runtime::StopSignals::new()?;
    let (tell, told) = watch::channel(false);
    let room = Semaphore::new(if args.way.serial { 1 } else { MAX_AT_ONCE });
    let bar = context.output.steps();
    let (room, told, bar) = (&room, &told, &bar);
    let runs = asked.iter().map(|asked| async move {
        let workspace = asked.workspace.as_ref().map_err(CliError::clone)?;
        let name = asked.name.as_deref().filter(|_| is_named);
        let turn = TargetRun { context, name, told: told.clone(), bar: Some(bar) };
        let _place = tokio::select! {
            biased;
            () = turn.stopped() => return Err(outcome::interrupted()),
            place = room.acquire() => place,
        };
        turn.run(args, workspace).await
    });
    let mut runs: FuturesOrdered<_> = runs.collect();
    let (mut names, mut all, mut printed) = (asked.iter(), Vec::with_capacity(asked.len()), Ok(()));
    loop {
        let ended = tokio::select! {
            ended = runs.next() => ended,
            _ = signals.next() => {
                tell.send_replace(true);
                continue;
            }
        };
        let (Some(ended), Some(asked)) = (ended, names.next()) else { break };
        bar.rest();
        let folder = match &asked.workspace {
            Ok(ConvergeTarget::Folder(folder)) => Some(folder.as_path()),
            Ok(ConvergeTarget::Pull(_)) | Err(_) => None,
        };
        match outcome::print(asked.name.as_deref(), folder, (is_named, args), ended, context).await {
            Ok(ended) => all.push(ended),
            Err(error) => printed = Err(error),
        }
    }
    printed.map(|()| all)
}

/// The highest exit code of these.
pub(super) fn highest(all: &[TargetOutcome]) -> CommandExit {
    all.iter().map(|ended| ended.exit).max().unwrap_or(CommandExit::Done)
}
