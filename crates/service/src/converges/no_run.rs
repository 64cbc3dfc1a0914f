//! A run on a pull request that has no record, or no report: the reasons, and the worker's answer to each; and the record
//! of one that is given up.

use truing_core::converge::record::Record;
use truing_core::converge::{Code, Exit, Kind};
use truing_core::effect::Effect;
use truing_core::id::{RunId, Span, Topic};
use truing_core::port::{Clock as _, Converges, ForgeError, Ids as _, StoreError};
use truing_core::slot::{Then, Why};
use truing_forge::effects::{EffectError, Effects};
use truing_forge::github::{GitHubConversation, RemoteError};
use truing_git::GitError;
use truing_loops::checkout::CheckoutError;
use truing_loops::machine::{SystemClock, UniqueIds};
use truing_loops::review::Stopped;
use truing_loops::slots::StepError;
use truing_loops::versions;
use truing_store::Sqlite;

use crate::by_hand::NotLeased;
use crate::scheduler::Lease;
use crate::worker;

use super::progress::Ended;

/// The class of failures of a run, in logs and `truing why`.
pub(super) const CLASS: &str = "the converge run cannot work";
/// The topic of the comment with the report.
const REPORT: &str = "converge/report";
/// The topic of the comment with which a run is given up.
const GIVEN_UP: &str = "converge/given-up";

/// The reason why what a run works with cannot be made of the configuration, for whoever reports it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unusable {
    /// The configuration is wrong; else the machine lacks something.
    pub is_wrong_use: bool,
    /// A stable word for scripts, in snake case.
    pub code: &'static str,
    /// The thing and what is wrong with it: one line.
    pub message: String,
    /// The next things to do, a line each.
    pub hints: Vec<String>,
}

/// The reason why there is no record of a run.
#[derive(Debug, thiserror::Error)]
pub enum NoPullRun {
    /// Somebody else is at work on it.
    #[error(transparent)]
    NotLeased(#[from] NotLeased),
    /// It is this run that is.
    #[error("already running: {0}")]
    Running(RunId),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The forge.
    #[error(transparent)]
    Forge(#[from] ForgeError),
    /// The repository cannot be had.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// Git.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The repository's own configuration.
    #[error(transparent)]
    Checkout(#[from] CheckoutError),
    /// What a head is looked at with cannot be used.
    #[error("{}", .0.message)]
    Looks(Unusable),
    /// The lease was lost: somebody else has taken over.
    #[error("somebody else has taken it over")]
    Lost,
}

impl NoPullRun {
    /// A write that the records refuse because somebody else has taken over is a lost lease.
    pub(super) fn or_lost(self) -> Self {
        if matches!(self, Self::Store(StoreError::Fenced { .. })) { Self::Lost } else { self }
    }

    /// As a worker has it.
    pub(super) fn stopped(self, settle: Span) -> Stopped {
        match self {
            Self::Store(error) => error.into(),
            Self::Forge(error) => worker::unserved(error.into(), SystemClock.now(), settle),
            Self::Remote(error) => worker::unserved(error, SystemClock.now(), settle),
            Self::Git(error) => error.into(),
            Self::Checkout(error) => error.into(),
            Self::Looks(error) => {
                let what = [error.message].into_iter().chain(error.hints).collect::<Vec<_>>().join("; ");
                Stopped::Failed { class: CLASS, what, not_before: None }
            }
            Self::NotLeased(_) | Self::Running(_) | Self::Lost => Stopped::Lost,
        }
    }
}

impl From<StepError> for NoPullRun {
    fn from(error: StepError) -> Self {
        Self::NotLeased(NotLeased::Step(error))
    }
}

/// A step that keeps its run from going on.
pub(super) fn failed(exit: &Exit) -> Stopped {
    if exit.code == Code::Interrupted {
        return Stopped::Halted;
    }
    Stopped::Failed { class: CLASS, what: exit.reason.clone(), not_before: None }
}

/// A run that is given up has ended so, also where nothing was known of the branch yet (ADR 56). The answer is its end.
///
/// # Errors
/// [`StoreError`]: it is not recorded.
pub(crate) async fn give_up<S: Converges>(
    store: &S,
    lease: &Lease,
    name: String,
    what: &str,
) -> Result<Ended, StoreError> {
    let (exit, now) = (Exit::new(Code::Infrastructure, what), SystemClock.now());
    let record = match store.last_converge(&lease.key).await?.filter(Record::is_unfinished) {
        // What our audit has cleared stays cleared.
        Some(last) if last.state.exit.as_ref().is_some_and(|exit| exit.kind() != Kind::Converged) => {
            return Ok(Ended::failed(&last));
        }
        Some(mut last) => {
            last.halt(exit);
            last.ended = now;
            last
        }
        None => {
            let names = (name, String::new());
            let versions = versions();
            let record = Record::never_begun((UniqueIds.run(), lease.key.clone()), names, exit, now);
            Record { is_told: true, versions, ..record }
        }
    };
    store.keep_converge(lease.token, &record).await.map(|()| Ended::failed(&record))
}

/// The comment with the report of a served run: one a pull request.
pub(super) fn reported(body: String) -> Effect {
    Effect::Comment { topic: Topic::new(REPORT), body }
}

/// Tells the pull request that a run is given up: in its report, or in a comment of its own where a report that was
/// written just now may not be shown yet. No later step of the run would tell it.
pub(super) async fn tell_given_up(effects: &Effects<'_, GitHubConversation, Sqlite>, body: String) {
    let mut told = effects.perform(&reported(body.clone())).await;
    if matches!(told, Err(EffectError::Settling { .. })) {
        told = effects.perform(&Effect::Comment { topic: Topic::new(GIVEN_UP), body }).await;
    }
    if let Err(error) = told {
        tracing::warn!(%error, "could not update the pull request");
    }
}

/// A step whose report is not known to be there.
pub(super) fn unreported(error: EffectError, settle: Span) -> Result<Then, Stopped> {
    let why = error.to_string();
    Err(match error {
        EffectError::Settling { until, .. } => {
            tracing::info!("waiting: {why}");
            return Ok(Then::DueAt(until, Why::Settling));
        }
        EffectError::Withheld { what, why } => {
            NoPullRun::Forge(ForgeError::Withheld { what, why }).stopped(settle)
        }
        EffectError::Refused(error) | EffectError::Unanswered { error, .. } => {
            NoPullRun::Forge(error).stopped(settle)
        }
        EffectError::Store(error) => error.into(),
        EffectError::Git(error) => error.into(),
    })
}
