//! The words for people on a run on a pull request: line by line while it goes on, and in a comment at its end.

use async_trait::async_trait;
use truing_core::converge::record::Record;
use truing_core::converge::{Act, Code, Kind};
use truing_core::markdown;
use truing_core::money::MicroUsd;
use truing_core::port::{Clock, Event, RecordStore, StoreError};
use truing_core::run::End;
use truing_git::{GitError, Mirror};
use truing_loops::converge::{Observer, words};
use truing_loops::machine::SystemClock;

/// The end of a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ended {
    /// Its end.
    pub end: End,
    /// The part of its cost that was paid since it was gone on with.
    pub cost: MicroUsd,
}

impl Ended {
    /// The end that is recorded; a run without one is put off.
    pub(super) fn of(record: &Record) -> Self {
        Self { end: record.end().unwrap_or(End::Deferred), cost: record.paid_now() }
    }

    /// A run that was given up.
    pub(super) fn failed(record: &Record) -> Self {
        Self { end: End::Failed, cost: record.paid_now() }
    }
}

/// The next step of whoever asked.
pub(super) const AGAIN: &str = "\n\nTo try it again, write `/converge`.";

/// The words on a run while it goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Said<'a> {
    /// What begins now, and may take minutes.
    Step(&'a str),
    /// What is done, or has to be known.
    Line(&'a str),
}

impl<'a> Said<'a> {
    /// The line.
    pub fn text(self) -> &'a str {
        match self {
            Self::Step(text) | Self::Line(text) => text,
        }
    }
}

/// Tells what is new in the log of a run, a line each, and lets `truing why` tell it, too.
pub(super) struct Timeline<'a> {
    pub(super) store: &'a dyn RecordStore,
    pub(super) mirror: &'a Mirror,
    pub(super) say: &'a (dyn Fn(Said<'_>) + Sync),
}

#[async_trait]
impl Observer for Timeline<'_> {
    fn begins(&self, record: &Record, act: &Act) {
        if let Some(line) = words::beginning(record, act) {
            (self.say)(Said::Step(&line));
        }
    }

    async fn grown(&self, record: &Record, before: usize) {
        // What cannot be told was done all the same.
        let lines = words::progress(self.mirror, record, before).await.unwrap_or_default();
        let events: Vec<Event> =
            lines.iter().map(|line| event(record, format!("converge: {line}"))).collect();
        lines.iter().for_each(|line| (self.say)(Said::Line(line)));
        if !events.is_empty()
            && let Err(error) = self.store.note(&events).await
        {
            tracing::warn!(key = %record.key, %error, "steps are missing from the history");
        }
    }
}

/// An event of a run.
pub(super) fn event(record: &Record, what: String) -> Event {
    Event { at: SystemClock.now(), key: record.key.clone(), run: Some(record.run.clone()), what }
}

/// Notes how a run has ended, for `truing why`.
pub(super) async fn note_end(store: &dyn RecordStore, record: &Record) -> Result<(), StoreError> {
    let Some(exit) = &record.detail.state.exit else { return Ok(()) };
    let what = format!("converge: {}: {}", exit.kind().as_str(), exit.reason);
    store.note(&[event(record, what)]).await
}

/// The report of a run as a comment. What models and people wrote in it is data.
pub(super) async fn report(mirror: &Mirror, record: &Record) -> Result<String, GitError> {
    let exit = record.detail.state.exit.as_ref();
    let kind = exit.map_or("unfinished", |exit| exit.kind().as_str());
    let again = match exit {
        Some(exit) if exit.code == Code::Budget => {
            "\n\nTo continue: raise the limit (`budget.converge_usd`, if no other is named above), then write \
             `/converge`."
        }
        Some(exit) if exit.kind() != Kind::Converged => AGAIN,
        Some(_) | None => "",
    };
    let report = markdown::fence("text", &words::report(mirror, record).await?);
    Ok(format!("## /converge: {kind}\n\n{report}{again}"))
}
