//! The runs of one call, side by side: each by itself, and told apart by its name.

use std::fmt::Display;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesOrdered;
use tokio::sync::{Semaphore, watch};
use truing_core::converge::record::Record;
use truing_git::Mirror;

use super::targets::{Asked, Site};
use super::{Args, local, outcome, pull};
use crate::cli::error::{CliError, Exit};
use crate::cli::{Context, runtime};

/// So many runs of one call are at work at once: each has processes, connections and copies of its own.
const MAX_AT_ONCE: usize = 20;

/// One run of a call.
pub(super) struct Turn<'a> {
    pub(super) context: &'a Context,
    /// What it is called where there are others.
    pub(super) name: Option<&'a str>,
    /// Whether the call was told to stop.
    pub(super) told: watch::Receiver<bool>,
}

impl<'a> Turn<'a> {
    /// The only one, which nobody tells to stop.
    pub(super) fn alone(context: &'a Context) -> Self {
        let (_, told) = watch::channel(false);
        Self { context, name: None, told }
    }

    /// A remark for a person.
    pub(super) fn say(&self, text: impl Display) {
        match self.name {
            Some(name) => self.context.output.say(format_args!("{name}: {text}")),
            None => self.context.output.say(text),
        }
    }

    /// Ends when the call is told to stop.
    pub(super) async fn stopped(&self) {
        if self.told.clone().wait_for(|told| *told).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Works on it.
    pub(super) async fn run(&self, args: &Args, site: &Site) -> Result<(Record, Mirror), CliError> {
        match site {
            Site::Pull(target) => Box::pin(pull::run(args, self, target)).await,
            Site::Folder(folder) => Box::pin(local::run(args, self, folder)).await,
        }
    }
}

/// Runs them all, and prints what each came to in the order in which they were asked for. One that fails ends no other
/// one; a signal ends them all, each where it can be gone on with. The highest exit code.
///
/// # Errors
/// Signals cannot be heard, or nothing can be printed; what was begun is ended before.
pub(super) async fn run_all(args: &Args, asked: &[Asked], context: &Context) -> Result<Exit, CliError> {
    let mut signals = runtime::Signals::new()?;
    let (tell, told) = watch::channel(false);
    let room = Semaphore::new(if args.serial { 1 } else { MAX_AT_ONCE });
    let is_one_of_many = asked.len() > 1;
    let (room, told) = (&room, &told);
    let runs = asked.iter().map(|asked| async move {
        let site = asked.site.as_ref().map_err(CliError::clone)?;
        let name = asked.name.as_deref().filter(|_| is_one_of_many);
        let turn = Turn { context, name, told: told.clone() };
        let _place = tokio::select! {
            biased;
            () = turn.stopped() => return Err(outcome::interrupted()),
            place = room.acquire() => place,
        };
        turn.run(args, site).await
    });
    let mut runs: FuturesOrdered<_> = runs.collect();
    let (mut names, mut worst, mut printed) = (asked.iter(), Exit::Done, Ok(()));
    loop {
        let ended = tokio::select! {
            ended = runs.next() => ended,
            _ = signals.next() => {
                tell.send_replace(true);
                continue;
            }
        };
        let (Some(ended), Some(asked)) = (ended, names.next()) else { break };
        match outcome::print(asked.name.as_deref(), is_one_of_many, ended, context).await {
            Ok(exit) => worst = worst.max(exit),
            Err(error) => printed = Err(error),
        }
    }
    printed.map(|()| worst)
}
