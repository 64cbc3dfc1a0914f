//! The words for people on a run on a pull request: line by line while it goes on, and in a comment at its end.

use async_trait::async_trait;
use truing_core::converge::record::ConvergeRecord;
use truing_core::converge::{ConvergeAction, ConvergeExitCode, ConvergeExitKind};
use truing_core::markdown;
use truing_core::money::MicroUsd;
use truing_core::port::{Clock, HistoryEvent, RecordStore, StoreError};
use truing_core::run::RunOutcome;
use truing_git::{GitError, Mirror};
use truing_loops::converge::{RunObserver, words};
use truing_loops::machine::SystemClock;

/// The end of a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConvergeRunEnd {
    /// Its end.
    pub end: RunOutcome,
    /// The part of its cost that was paid since it was gone on with.
    pub cost: MicroUsd,
    /// Calls of tools that were denied since then.
    pub denied: u32,
}

impl ConvergeRunEnd {
    /// The end that is recorded; a run without one is put off.
    pub(super) fn of(record: &ConvergeRecord) -> Self {
        Self { end: record.end().unwrap_or(RunOutcome::Deferred), ..Self::failed(record) }
    }

    /// A run that was given up.
    pub(super) fn failed(record: &ConvergeRecord) -> Self {
        Self { end: RunOutcome::Failed, cost: record.paid_now(), denied: record.denied_now() }
    }
}

/// The next step of whoever asked.
pub(super) const AGAIN: &str = "\n\nTo try it again, write `/converge`.";

/// The words on a run while it goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProgressMessage<'a> {
    /// What begins now, and may take minutes.
    Step(&'a str),
    /// What is done, or has to be known.
    Line(&'a str),
}

impl<'a> ProgressMessage<'a> {
    /// The line.
    pub fn text(self) -> &'a str {
        match self {
            Self::Step(text) | Self::Line(text) => text,
        }
    }
}

/// Tells what is new in the log of a run, a line each, and lets `truing why` tell it, too.
pub(super) struct RunTimeline<'a> {
    pub(super) store: &'a dyn RecordStore,
    pub(super) mirror: &'a Mirror,
    pub(super) say: &'a (dyn Fn(ProgressMessage<'_>) + Sync),
}

#[async_trait]
impl RunObserver for RunTimeline<'_> {
    fn begins(&self, record: &ConvergeRecord, act: &ConvergeAction) {
        if let Some(line) = words::beginning(record, act) {
            (self.say)(ProgressMessage::Step(&line));
        }
    }

    async fn grown(&self, record: &ConvergeRecord, before: usize) {
        // What cannot be told was done all the same.
        let lines = words::progress(self.mirror, record, before).await.unwrap_or_default();
        let events: Vec<HistoryEvent> =
            lines.iter().map(|line| event(record, format!("converge: {line}"))).collect();
        lines.iter().for_each(|line| (self.say)(ProgressMessage::Line(line)));
        if !events.is_empty()
            && let Err(error) = self.store.note(&events).await
        {
            tracing::warn!(key = %record.key, %error, "steps are missing from the history");
        }
    }
}

/// An event of a run.
pub(super) fn event(record: &ConvergeRecord, what: String) -> HistoryEvent {
    HistoryEvent { at: SystemClock.now(), key: record.key.clone(), run: Some(record.run.clone()), what }
}

/// Notes how a run has ended, for `truing why`.
pub(super) async fn note_end(store: &dyn RecordStore, record: &ConvergeRecord) -> Result<(), StoreError> {
    let Some(exit) = &record.detail.state.exit else { return Ok(()) };
    let what = format!("converge: {}: {}", exit.kind().as_str(), exit.reason);
    store.note(&[event(record, what)]).await
}

/// The report of a run as a comment. What models and people wrote in it is data.
pub(super) async fn report(mirror: &Mirror, record: &ConvergeRecord) -> Result<String, GitError> {
    let exit = record.detail.state.exit.as_ref();
    let kind = exit.map_or("unfinished", |exit| exit.kind().as_str());
    let again = match exit {
        Some(exit) if exit.code == ConvergeExitCode::Budget => {
            "\n\nTo continue: raise the limit (`budget.converge_usd`, if no other is named above), then write \
             `/converge`."
        }
        Some(exit) if exit.kind() != ConvergeExitKind::Converged => AGAIN,
        Some(_) | None => "",
    };
    let report = markdown::fence("text", &words::report(mirror, record).await?);
    Ok(format!("## /converge: {kind}\n\n{report}{again}"))
}
