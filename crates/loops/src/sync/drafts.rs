//! Keeps an unfinished port at the forge. The port is in a draft pull request with its own branch. People can
//! read this draft, and the next run continues the port.

use truing_config::sync::JobConfig;
use truing_core::effect::Effect;
use truing_core::id::Topic;
use truing_core::port::{BranchPull, ForgeError, ForgeRead as _, PullDraft, PullState};
use truing_core::sync::branch_plan::{BranchActivity, find_activity};
use truing_core::sync::record::{JobPull, JobPullKind};
use truing_forge::{AnyForgeServer, ForgeServer as _, RepositoryClient};

use truing_forge::effects::EffectExecutor;

use super::effects::open_pull;
use super::error::SyncRunError;
use super::texts;

/// The draft pull requests of one job at a forge.
#[derive(Debug)]
pub(super) struct JobDrafts<'a> {
    pub(super) forge: &'a RepositoryClient,
    pub(super) server: &'a AnyForgeServer,
    pub(super) executor: &'a EffectExecutor<'a>,
    pub(super) job: &'a JobConfig,
    pub(super) job_name: &'a str,
}

/// The state of the job's draft pull request at the forge.
#[derive(Debug, Default)]
pub(super) struct JobDraftState {
    /// The open draft of the job.
    pub(super) draft: Option<DraftPullRequest>,
    /// URL of an open pull request from the job's branch that does not belong to the job.
    pub(super) foreign_pull_url: Option<String>,
}

/// The job's draft pull request and its metadata.
#[derive(Debug)]
pub(super) struct DraftPullRequest {
    pub(super) pull: BranchPull,
    /// The release that the draft ports the code to, as the marker in the draft's text says.
    pub(super) version: String,
    /// The activity of people on the draft; `None` if there is none.
    pub(super) activity: Option<BranchActivity>,
}

impl JobDrafts<'_> {
    /// Returns the name of the branch that the job's drafts come from.
    pub(super) fn branch(&self) -> String {
        format!("{}-wip", self.job.branch)
    }

    fn topic(&self, version: &str) -> Topic {
        Topic::new(format!("sync/{}/wip/{version}", self.job_name))
    }

    /// Reads the state of the job's draft from the forge.
    pub(super) async fn load_state(&self) -> Result<JobDraftState, ForgeError> {
        let prefix = self.topic("");
        let mut saved = JobDraftState::default();
        for pull in
            self.forge.pulls_from_branch(&self.branch()).await?.into_iter().filter(BranchPull::is_open)
        {
            let topic = pull.topic.as_ref().map(Topic::as_str).unwrap_or_default();
            match topic.strip_prefix(prefix.as_str()).map(str::to_owned) {
                Some(version) if saved.draft.is_none() => {
                    let activity = self.forge.activity(pull.number).await?;
                    let active = find_activity(&activity, &pull.head, |email| email == self.job.author.email);
                    saved.draft = Some(DraftPullRequest { pull, version, activity: active });
                }
                Some(_) => {}
                None => saved.foreign_pull_url = Some(pull.url),
            }
        }
        Ok(saved)
    }

    /// Opens the draft or updates its text. The caller must already have pushed the draft's branch.
    pub(super) async fn upsert_draft(
        &self,
        draft: Option<&DraftPullRequest>,
        base: &str,
        version: &str,
        title: &str,
        body: &str,
    ) -> Result<JobPull, SyncRunError> {
        let topic = self.topic(version);
        // If the forge has no drafts, the port is in an open pull request, and the text of this pull request
        // says that the port is unfinished.
        let has_drafts = self.server.capability().drafts;
        let pull = match draft {
            Some(draft) => draft.pull.clone(),
            None => {
                let new = PullDraft {
                    topic: topic.clone(),
                    branch: self.branch(),
                    base: base.to_owned(),
                    title: title.to_owned(),
                    body: body.to_owned(),
                    draft: has_drafts,
                };
                open_pull(self.executor, new).await?
            }
        };
        if pull.title != title || pull.body.trim() != body.trim() || pull.topic.as_ref() != Some(&topic) {
            let (number, title, body) = (pull.number, title.to_owned(), body.to_owned());
            self.executor.perform(&Effect::EditPull { number, topic, title, body }).await?;
        }
        if has_drafts && pull.state != PullState::Draft {
            self.executor.perform(&Effect::SetDraft { number: pull.number, draft: true }).await?;
        }
        Ok(JobPull { kind: JobPullKind::Wip, url: pull.url })
    }

    /// Closes the draft and adds the reason to its text. If the draft's text already contains the reason, the
    /// reason is not added again.
    pub(super) async fn close(&self, draft: &DraftPullRequest, reason: &str) -> Result<(), SyncRunError> {
        let DraftPullRequest { pull, version, .. } = draft;
        let (number, body) = (pull.number, texts::closed_draft_text(reason, &pull.body));
        if pull.body.trim() != body.trim() {
            let (topic, title) = (self.topic(version), pull.title.clone());
            self.executor.perform(&Effect::EditPull { number, topic, title, body }).await?;
        }
        self.executor.perform(&Effect::ClosePull { number }).await?;
        Ok(())
    }
}
