//! The issue that tells of a job's last runs, if the job wants one: known by its topic, and edited in place. There is one,
//! ever: what people delete or take over is told, and no other one is opened.

use truing_core::effect::Effect;
use truing_core::id::{Key, Millis, Topic};
use truing_core::port::{ForgeError, ForgeRead as _, Runs as _};
use truing_core::sync::job::{Job, Tracked};
use truing_core::sync::record::Record;
use truing_forge::RepositoryClient;

use super::effects::{Writes, open_issue};
use super::run::RunError;
use super::words;

/// Runs that are shown, the last ones.
const SHOWN: usize = 20;

/// The issue of one job at a forge.
#[derive(Debug)]
pub(super) struct Tracking<'a> {
    pub(super) key: &'a Key,
    pub(super) forge: &'a RepositoryClient,
    pub(super) writes: &'a Writes<'a>,
    pub(super) job: &'a str,
    pub(super) label: &'a str,
}

impl Tracking<'_> {
    fn topic(&self) -> Topic {
        Topic::new(format!("sync/{}/outcome", self.job))
    }

    /// Tells of this run and of those before it.
    ///
    /// # Errors
    /// [`RunError`], which fails nothing: the records have it.
    pub(super) async fn tell(&self, job: &mut Job, record: &Record) -> Result<(), RunError> {
        let mut records = vec![record.clone()];
        records.extend(self.writes.log.records(Some(self.key), Millis(0), SHOWN - 1).await?);
        let (title, body) = words::runs(self.job, &records);
        let topic = self.topic();
        let number = match &job.tracked {
            Some(tracked) => Some(tracked.issue),
            None => {
                let mut issues = self.forge.issues(self.label).await?.into_iter();
                issues.find(|issue| issue.topic == topic).map(|issue| issue.number)
            }
        };
        if let Some(number) = number {
            job.tracked = Some(Tracked { issue: number });
            self.writes.perform(&Effect::EditIssue { number, topic, title, body }).await?;
            return Ok(());
        }
        let label = self.label.to_owned();
        let issue = open_issue(self.writes, Effect::OpenIssue { topic, title, body, label }).await?;
        job.tracked = Some(Tracked { issue: issue.number });
        Ok(())
    }
}

/// The reason why it is not kept, for people.
pub(super) fn not_kept(job: &Job, error: &RunError) -> String {
    let number = job.tracked.as_ref().map(|tracked| tracked.issue);
    match (error, number) {
        (RunError::Forge(ForgeError::NotFound { .. }), Some(number)) => format!(
            "the issue #{number} that told of the runs is gone, and no other one is opened; one run with \
             `outcome.issue = false` lets it be forgotten"
        ),
        (error, _) => format!("the issue that tells of the runs cannot be kept: {error}"),
    }
}
