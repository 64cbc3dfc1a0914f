//! Renders messages about a run on a pull request for people: a line for each event of the run, and a comment
//! at the end.

use async_trait::async_trait;
use truing_core::converge::record::ConvergeRecord;
use truing_core::converge::{ConvergeAction, ConvergeExitCode, ConvergeExitKind};
use truing_core::markdown;
use truing_core::money::MicroUsd;
use truing_core::port::{Clock, HistoryEvent, RecordStore, StoreError};
use truing_core::run::RunOutcome;
use truing_git::{GitError, Mirror};
use truing_loops::converge::{RunObserver, run_texts};
use truing_loops::machine::SystemClock;

/// The end of a run, in the terms that the metrics count.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConvergeRunEnd {
    pub end: RunOutcome,
    /// The cost of the run since it was last resumed.
    pub cost: MicroUsd,
    /// Number of tool calls that were denied since the run was last resumed.
    pub denied_calls: u32,
}

impl ConvergeRunEnd {
    /// Returns the recorded end. If no end is recorded, the end is deferred.
    pub(super) fn from_record(record: &ConvergeRecord) -> Self {
        Self { end: record.run_outcome().unwrap_or(RunOutcome::Deferred), ..Self::from_failed_record(record) }
    }

    /// Returns the end of a run that Truing gave up.
    pub(super) fn from_failed_record(record: &ConvergeRecord) -> Self {
        Self {
            end: RunOutcome::Failed,
            cost: record.cost_since_resume(),
            denied_calls: record.denials_since_resume(),
        }
    }
}

/// Hint at the end of a report that explains how to retry the run.
pub(super) const RETRY_HINT: &str = "\n\nTo try it again, write `/converge`.";

/// A message about a run in progress.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProgressMessage<'a> {
    /// An action that begins now, and that may take minutes.
    Step(&'a str),
    /// An action that is done, or a fact that people should know.
    Note(&'a str),
}

impl<'a> ProgressMessage<'a> {
    pub fn text(self) -> &'a str {
        match self {
            Self::Step(text) | Self::Note(text) => text,
        }
    }
}

/// Reports each new entry of a run's log as one line. Records each entry in the history, for `truing why`.
pub(super) struct RunTimeline<'a> {
    pub(super) store: &'a dyn RecordStore,
    pub(super) mirror: &'a Mirror,
    pub(super) report_progress: &'a (dyn Fn(ProgressMessage<'_>) + Sync),
}

#[async_trait]
impl RunObserver for RunTimeline<'_> {
    fn on_action_start(&self, record: &ConvergeRecord, act: &ConvergeAction) {
        if let Some(line) = run_texts::describe_action_start(record, act) {
            (self.report_progress)(ProgressMessage::Step(&line));
        }
    }

    async fn on_log_update(&self, record: &ConvergeRecord, previous_log_length: usize) {
        // If the lines for an action cannot be rendered, the run continues.
        let lines =
            run_texts::render_progress(self.mirror, record, previous_log_length).await.unwrap_or_default();
        let events: Vec<HistoryEvent> =
            lines.iter().map(|line| run_event(record, format!("converge: {line}"))).collect();
        lines.iter().for_each(|line| (self.report_progress)(ProgressMessage::Note(line)));
        if !events.is_empty()
            && let Err(error) = self.store.append_history(&events).await
        {
            tracing::warn!(key = %record.key, %error, "steps are missing from the history");
        }
    }
}

/// Returns a history event of a run.
pub(super) fn run_event(record: &ConvergeRecord, description: String) -> HistoryEvent {
    HistoryEvent {
        at: SystemClock.now(),
        key: record.key.clone(),
        run: Some(record.run.clone()),
        description,
    }
}

/// Records the end of a run in the history, for `truing why`.
pub(super) async fn record_end_event(
    store: &dyn RecordStore,
    record: &ConvergeRecord,
) -> Result<(), StoreError> {
    let Some(exit) = &record.detail.state.exit else { return Ok(()) };
    let what = format!("converge: {}: {}", exit.kind().as_str(), exit.reason);
    store.append_history(&[run_event(record, what)]).await
}

/// Renders the report of a run as a comment. The report is in a code block, because it contains untrusted
/// text of models and people.
pub(super) async fn render_report(mirror: &Mirror, record: &ConvergeRecord) -> Result<String, GitError> {
    let exit = record.detail.state.exit.as_ref();
    let kind = exit.map_or("unfinished", |exit| exit.kind().as_str());
    let again = match exit {
        Some(exit) if exit.code == ConvergeExitCode::Budget => {
            "\n\nTo continue: raise the limit (`budget.converge_usd`, unless another limit is named above), \
             then write `/converge`."
        }
        Some(exit) if exit.kind() != ConvergeExitKind::Converged => RETRY_HINT,
        Some(_) | None => "",
    };
    let report = markdown::code_block("text", &run_texts::render_report(mirror, record).await?);
    Ok(format!("## /converge: {kind}\n\n{report}{again}"))
}
