//! The notices of a job: with them, the job asks people and reports its runs. Each notice is an issue or, at
//! a forge without issues, an open draft pull request that changes no file. In both cases, people answer in
//! the comments of the notice.

use std::path::Path;

use truing_core::effect::Effect;
use truing_core::id::Topic;
use truing_core::port::{BranchPull, ForgeError, ForgeRead as _, OwnIssue, PullDraft};
use truing_forge::capability::ForgeCapability;
use truing_forge::{AnyForgeServer, ForgeServer as _, RepositoryClient};
use truing_git::{NewCommit, PrivateFolder, Remote};

use truing_forge::effects::EffectExecutor;

use super::effects::{check_push_outcome, open_issue, open_pull};
use super::error::SyncRunError;
use super::job::SyncJob;

/// The text that is added to a notice if the notice is a pull request.
const EMPTY_PULL_REQUEST_NOTE: &str = "Do not merge this pull request: it changes nothing, and exists \
    only for the discussion in its comments. Declining this pull request has the same effect as closing \
    a question without an answer.";

/// The notices of one kind: either the job's questions, or the results of the job's runs.
#[derive(Debug)]
pub(super) struct JobNotices<'a> {
    pub(super) forge: &'a RepositoryClient,
    pub(super) server: &'a AnyForgeServer,
    pub(super) executor: &'a EffectExecutor<'a>,
    pub(super) job: &'a SyncJob<'a>,
    /// The path of the repository's mirror, which follows `remote`.
    pub(super) mirror_path: &'a Path,
    pub(super) remote: &'a Remote,
    /// The label that all issues of this kind have.
    pub(super) label: &'a str,
    /// The suffix in the name of the branch, if notices are pull requests.
    pub(super) branch_suffix: &'static str,
}

impl JobNotices<'_> {
    fn forge_capability(&self) -> &'static ForgeCapability {
        self.server.capability()
    }

    /// Returns the noun for a notice at this forge: an issue or a pull request.
    pub(super) fn notice_noun(&self) -> &'static str {
        if self.forge_capability().issues { "issue" } else { "pull request" }
    }

    fn branch(&self) -> String {
        format!("{}-{}", self.job.config.branch, self.branch_suffix)
    }

    /// Adapts the text of a notice to the forge: if the notice is a pull request, adds an explanation.
    pub(super) fn adapt_text(&self, text: &str) -> String {
        if self.forge_capability().issues {
            text.to_owned()
        } else {
            format!("{}\n\n{EMPTY_PULL_REQUEST_NOTE}", text.trim_end())
        }
    }

    /// Returns the notices on this topic, newest first.
    pub(super) async fn list_notices(&self, topic: &Topic) -> Result<Vec<OwnIssue>, ForgeError> {
        let mut all = if self.forge_capability().issues {
            self.forge.issues(self.label).await?
        } else {
            self.forge.pulls_from_branch(&self.branch()).await?.into_iter().filter_map(to_notice).collect()
        };
        all.retain(|notice| notice.topic == *topic);
        Ok(all)
    }

    /// Opens a notice. If a notice on the same topic is already open, returns this notice.
    pub(super) async fn open(&self, topic: Topic, title: &str, text: &str) -> Result<OwnIssue, SyncRunError> {
        if self.forge_capability().issues {
            return open_issue(self.executor, self.issue_effect(topic, title, text)).await;
        }
        let branch = self.branch();
        let there = self.forge.pulls_from_branch(&branch).await?;
        if let Some(foreign) = there.into_iter().find(|pull| pull.is_open() && pull.topic.is_none()) {
            return Err(SyncRunError::ForeignWork { branch, url: foreign.url });
        }
        let base = self.forge.repository().await?.default_branch;
        self.push_empty_commit(&branch, title).await?;
        let draft = PullDraft {
            topic,
            branch: branch.clone(),
            base,
            title: title.to_owned(),
            body: text.to_owned(),
            draft: self.forge_capability().drafts,
        };
        let pull = open_pull(self.executor, draft).await?;
        let url = pull.url.clone();
        to_notice(pull).ok_or(SyncRunError::ForeignWork { branch, url })
    }

    /// Pushes an empty commit to the branch, because forges require a commit for a pull request.
    async fn push_empty_commit(&self, branch: &str, title: &str) -> Result<(), SyncRunError> {
        let mirror = self.job.git.open_mirror(self.mirror_path, self.remote).await?;
        let tip = mirror.default_tip().await?.ok_or(SyncRunError::NoCommits)?;
        mirror.fetch(std::slice::from_ref(&tip)).await?;
        let folder = PrivateFolder::new().map_err(SyncRunError::TemporaryFolder)?;
        let staged = mirror.stage_changed_files(&tip, folder.path(), &[], &[]).await?;
        let author = self.job.config.author.clone();
        let at = self.executor.clock.now();
        let new = NewCommit {
            message: title.to_owned(),
            author: author.clone(),
            committer: author,
            commit_time: at,
        };
        let commit = staged.commit(&new).await?;
        // The branch may exist from a closed pull request, or from a run that was killed before it opened a
        // pull request.
        let expected = mirror.branch_tip(branch).await?;
        let outcome = self.executor.push(&commit, self.remote, branch, expected.as_ref()).await?;
        // An empty commit changes no file, so every API can create it.
        check_push_outcome(outcome, branch).map(drop)
    }

    fn issue_effect(&self, topic: Topic, title: &str, text: &str) -> Effect {
        let (title, body, label) = (title.to_owned(), text.to_owned(), self.label.to_owned());
        Effect::OpenIssue { topic, title, body, label }
    }

    /// True if a run that was killed may have opened a notice on this topic.
    pub(super) async fn may_have_been_opened(&self, topic: &Topic) -> Result<bool, SyncRunError> {
        if self.forge_capability().issues {
            return Ok(self
                .executor
                .recover_unfinished_effect(&self.issue_effect(topic.clone(), "", ""))
                .await?
                .is_some());
        }
        Ok(self.list_notices(topic).await?.iter().any(|notice| notice.open))
    }

    /// Sets the title and the text of a notice.
    pub(super) async fn edit(
        &self,
        number: u64,
        topic: Topic,
        title: String,
        body: String,
    ) -> Result<(), SyncRunError> {
        let edit = if self.forge_capability().issues {
            Effect::EditIssue { number, topic, title, body }
        } else {
            Effect::EditPull { number, topic, title, body }
        };
        self.executor.perform(&edit).await?;
        Ok(())
    }

    /// Closes the notice of this number.
    pub(super) async fn close(&self, number: u64) -> Result<(), SyncRunError> {
        let close = if self.forge_capability().issues {
            Effect::CloseIssue { number }
        } else {
            Effect::ClosePull { number }
        };
        self.executor.perform(&close).await?;
        Ok(())
    }
}

/// Converts a pull request of the job to a notice. Returns `None` for the pull request of another person,
/// because it has no topic.
fn to_notice(pull: BranchPull) -> Option<OwnIssue> {
    let open = pull.is_open();
    let BranchPull { number, url, title, body, topic, created, .. } = pull;
    Some(OwnIssue { number, url, title, body, topic: topic?, open, locked: false, created })
}
