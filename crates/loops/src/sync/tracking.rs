//! The notice that reports a job's last runs, if the job's configuration enables it. The notice is identified
//! by its topic, and Truing edits the same notice after each run. Each job has at most one such notice. If
//! people have deleted the notice or use it for another purpose, the run reports this problem and opens no
//! other notice.

use truing_core::id::{SlotKey, Topic};
use truing_core::port::{ForgeError, RunStore};
use truing_core::sync::job::{JobState, TrackingIssue};
use truing_core::sync::record::SyncRecord;

use super::error::SyncRunError;
use super::notices::JobNotices;
use super::words;

/// Number of last runs that are shown.
const MAX_SHOWN_RUNS: usize = 20;

/// The notice of one job at a forge.
pub(super) struct TrackingNotice<'a> {
    pub(super) store: &'a dyn RunStore,
    pub(super) key: &'a SlotKey,
    pub(super) notices: JobNotices<'a>,
    pub(super) job: &'a str,
}

impl TrackingNotice<'_> {
    fn topic(&self) -> Topic {
        Topic::new(format!("sync/{}/outcome", self.job))
    }

    /// Reports this run and the previous ones.
    ///
    /// # Errors
    /// [`SyncRunError`]. The error does not make the run fail, because the records contain the results.
    pub(super) async fn report_run(
        &self,
        job: &mut JobState,
        record: &SyncRecord,
    ) -> Result<(), SyncRunError> {
        let mut records = vec![record.clone()];
        records.extend(self.store.job_records(self.key, MAX_SHOWN_RUNS - 1).await?);
        let (title, body) = words::render_recent_runs(self.job, &records);
        let (topic, body) = (self.topic(), self.notices.adapt_text(&body));
        let number = match &job.tracked {
            Some(tracked) => Some(tracked.issue),
            None => self.notices.list_notices(&topic).await?.first().map(|notice| notice.number),
        };
        if let Some(number) = number {
            job.tracked = Some(TrackingIssue { issue: number });
            return self.notices.edit(number, topic, title, body).await;
        }
        let opened = self.notices.open(topic, &title, &body).await?;
        job.tracked = Some(TrackingIssue { issue: opened.number });
        Ok(())
    }
}

/// Returns the reason, for people, why the notice could not be updated.
pub(super) fn notice_failure_reason(job: &JobState, noun: &str, error: &SyncRunError) -> String {
    let number = job.tracked.as_ref().map(|tracked| tracked.issue);
    match (error, number) {
        (SyncRunError::Forge(ForgeError::NotFound { .. }), Some(number)) => format!(
            "the {noun} #{number} with the results of the runs was deleted, and Truing opens no other; to \
                reset this, run the job once with `outcome.issue = false`"
        ),
        (error, _) => format!("cannot update the {noun} with the results of the runs: {error}"),
    }
}
