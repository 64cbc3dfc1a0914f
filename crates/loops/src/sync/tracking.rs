//! The tracking notice, which reports the last runs of a job if the job enables it. The topic identifies the
//! notice, and each run edits the same notice. Each job has at most one such notice. If people have deleted
//! the notice, or use it for something else, the run reports this and does not open another notice.

use truing_core::id::{SlotKey, Topic};
use truing_core::port::{ForgeError, RunStore};
use truing_core::sync::job::{JobState, TrackingIssue};
use truing_core::sync::record::SyncRecord;

use super::error::SyncRunError;
use super::notices::JobNotices;
use super::texts;

/// Maximum number of runs that the notice shows.
const MAX_SHOWN_RUNS: usize = 20;

/// The notice of one job at a forge.
pub(super) struct TrackingNotice<'a> {
    pub(super) store: &'a dyn RunStore,
    pub(super) key: &'a SlotKey,
    pub(super) notices: JobNotices<'a>,
    pub(super) job_name: &'a str,
}

impl TrackingNotice<'_> {
    fn topic(&self) -> Topic {
        Topic::new(format!("sync/{}/outcome", self.job_name))
    }

    /// Reports this run and the previous runs in the notice.
    ///
    /// # Errors
    /// [`SyncRunError`]. If the report fails, the run does not fail, because the records contain the results.
    pub(super) async fn report_run(
        &self,
        job_name: &mut JobState,
        record: &SyncRecord,
    ) -> Result<(), SyncRunError> {
        let mut records = vec![record.clone()];
        records.extend(self.store.job_records(self.key, MAX_SHOWN_RUNS - 1).await?);
        let (title, body) = texts::render_recent_runs(self.job_name, &records);
        let (topic, body) = (self.topic(), self.notices.adapt_text(&body));
        let number = match &job_name.tracked {
            Some(tracked) => Some(tracked.issue),
            None => self.notices.list_notices(&topic).await?.first().map(|notice| notice.number),
        };
        if let Some(number) = number {
            job_name.tracked = Some(TrackingIssue { issue: number });
            return self.notices.edit(number, topic, title, body).await;
        }
        let opened = self.notices.open(topic, &title, &body).await?;
        job_name.tracked = Some(TrackingIssue { issue: opened.number });
        Ok(())
    }
}

/// Returns the reason why the notice could not be updated, as text for people.
pub(super) fn notice_failure_reason(job: &JobState, noun: &str, error: &SyncRunError) -> String {
    let number = job.tracked.as_ref().map(|tracked| tracked.issue);
    match (error, number) {
        (SyncRunError::Forge(ForgeError::NotFound { .. }), Some(number)) => format!(
            "the {noun} #{number} with the results of the runs was deleted, and Truing does not open it \
            again; to get a new one, first run the job once with `outcome.issue = false`"
        ),
        (error, _) => format!("cannot update the {noun} with the results of the runs: {error}"),
    }
}
