//! The issue that tells of a job's last runs, if the job wants one: known by its topic, and edited in place. There is one,
//! ever: what people delete or take over is told, and no other one is opened.

use truing_core::follow::job::{Job, Tracked};
use truing_core::follow::record::Record;
use truing_core::id::{Millis, Topic};
use truing_core::port::{ForgeError, Hub, Jobs, RunRef};

use super::run::RunError;
use super::words;

/// Runs that are shown, the last ones.
const SHOWN: usize = 20;

/// The issue of one job at a forge.
#[derive(Debug)]
pub(super) struct Tracking<'a, S, H> {
    pub(super) store: &'a S,
    pub(super) run: &'a RunRef,
    pub(super) hub: &'a H,
    pub(super) job: &'a str,
    pub(super) label: &'a str,
}

impl<S: Jobs, H: Hub> Tracking<'_, S, H> {
    fn topic(&self) -> Topic {
        Topic::new(format!("sync/{}/outcome", self.job))
    }

    /// Tells of this run and of those before it.
    ///
    /// # Errors
    /// [`RunError`], which fails nothing: the records have it.
    pub(super) async fn tell(&self, job: &mut Job, record: &Record, now: Millis) -> Result<(), RunError> {
        let mut records = vec![record.clone()];
        records.extend(self.store.job_records(Some(&self.run.key), Millis(0), SHOWN - 1).await?);
        let (title, text) = words::runs(self.job, &records);
        let number = match job.tracked.as_ref().and_then(|tracked| tracked.issue) {
            Some(number) => number,
            None => {
                match self.hub.issues(self.label).await?.into_iter().find(|issue| issue.topic == self.topic())
                {
                    Some(issue) => issue.number,
                    None => return self.open(job, (&title, &text), now).await,
                }
            }
        };
        job.tracked = Some(Tracked { issue: Some(number), begun: now });
        Ok(self.hub.edit_issue(number, &self.topic(), &title, &text).await?)
    }

    /// Opens it, unless one that was to be opened may still show. That it is about to be is kept before.
    async fn open(&self, job: &mut Job, (title, text): (&str, &str), now: Millis) -> Result<(), RunError> {
        if job.tracked.as_ref().is_some_and(|begun| begun.begun + self.hub.settle() > now) {
            return Err(RunError::Settling);
        }
        job.tracked = Some(Tracked { issue: None, begun: now });
        self.store.keep_job(self.run, job).await?;
        match self.hub.open_issue(&self.topic(), title, text, &[self.label.to_owned()]).await {
            Ok(issue) => {
                job.tracked = Some(Tracked { issue: Some(issue.number), begun: now });
                Ok(())
            }
            Err(error) if error.surely_undone() => {
                job.tracked = None;
                Err(error.into())
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Why it is not kept, for people.
pub(super) fn not_kept(job: &Job, error: &RunError) -> String {
    let number = job.tracked.as_ref().and_then(|tracked| tracked.issue);
    match (error, number) {
        (RunError::Forge(ForgeError::NotFound { .. }), Some(number)) => format!(
            "the issue #{number} that told of the runs is gone, and no other one is opened; one run with \
             `outcome.issue = false` lets it be forgotten"
        ),
        (error, _) => format!("the issue that tells of the runs cannot be kept: {error}"),
    }
}
