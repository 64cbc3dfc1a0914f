//! The pull request of a job at the forge: reads its state, and submits changes in it.

use std::path::Path;

use truing_config::sync::JobConfig;
use truing_core::effect::Effect;
use truing_core::id::{Sha, Topic};
use truing_core::port::{BranchPull, ForgeError, ForgeRead as _, PullDraft, PullRequestComment, PullState};
use truing_core::sync::SyncVerdict;
use truing_core::sync::branch_plan::{BranchActivity, BranchPlan, JobPullState, find_activity, plan_branch};
use truing_core::sync::record::{JobPull, JobPullKind};
use truing_forge::{AnyForgeServer, ForgeServer as _, RepositoryClient};

use super::change;
use truing_forge::effects::EffectExecutor;

use super::effects::open_pull;
use super::error::SyncRunError;
use super::texts::{self, ReleaseSubject};

/// The pull requests of one job at a forge.
#[derive(Debug)]
pub(super) struct JobPullRequests<'a> {
    pub(super) repository_client: &'a RepositoryClient,
    pub(super) server: &'a AnyForgeServer,
    pub(super) executor: &'a EffectExecutor<'a>,
    pub(super) job: &'a JobConfig,
    pub(super) subject: ReleaseSubject<'a>,
    /// The repository's template for pull requests; empty if the repository has none.
    pub(super) template: String,
}

/// The state of the job's branch and pull requests at the forge.
#[derive(Debug)]
pub(super) struct JobBranchState {
    /// The newest final pull request of the job. It may be open, merged or closed.
    pub(super) final_pull: Option<BranchPull>,
    /// URL of an open pull request from a branch with the job's branch name, if the pull request does not
    /// belong to the job.
    pub(super) foreign_pull_url: Option<String>,
    /// True if the newest final pull request is for the release to follow or for a later release.
    reaches_release: bool,
    /// The activity of people on the open final pull request; `None` if there is none.
    pub(super) activity: Option<BranchActivity>,
    /// The job's comments on the open final pull request that report a waiting release.
    blocked_comments: Vec<PullRequestComment>,
}

impl JobPullRequests<'_> {
    /// Returns the topic of a final pull request. The topic contains the release. Only Truing can write the
    /// marker that contains the topic.
    fn topic(&self, version: &str) -> Topic {
        Topic::new(format!("sync/{}/final/{version}", self.subject.job_name))
    }

    fn blocked_topic(&self) -> Topic {
        Topic::new(format!("sync/{}/blocked", self.subject.job_name))
    }

    /// Reads the state of the job's branch and pull requests. `reaches_release` returns true for the version
    /// of the release to follow and for later versions.
    pub(super) async fn load_state(
        &self,
        reaches_release: impl Fn(&str) -> bool,
    ) -> Result<JobBranchState, ForgeError> {
        let prefix = self.topic("");
        let all = self.repository_client.pulls_from_branch(&self.job.branch).await?;
        let is_ours = |pull: &&BranchPull| {
            pull.topic.as_ref().is_some_and(|topic| topic.as_str().starts_with(prefix.as_str()))
        };
        let foreign = all.iter().find(|pull| pull.is_open() && !is_ours(pull)).map(|pull| pull.url.clone());
        let last = all.iter().find(is_ours).cloned();
        let version =
            last.as_ref().and_then(|pull| pull.topic.as_ref()?.as_str().strip_prefix(prefix.as_str()));
        let covers = version.is_some_and(reaches_release);
        let (mut somebody, mut waiting_comments) = (None, Vec::new());
        if let Some(pull) = last.as_ref().filter(|pull| pull.is_open()) {
            let activity = self.repository_client.activity(pull.number).await?;
            somebody = find_activity(&activity, &pull.head, |email| email == self.job.author.email);
            let blocked = self.blocked_topic();
            waiting_comments = activity
                .comments
                .into_iter()
                .filter(|remark| remark.topic.as_ref() == Some(&blocked))
                .collect();
        }
        Ok(JobBranchState {
            final_pull: last,
            foreign_pull_url: foreign,
            reaches_release: covers,
            activity: somebody,
            blocked_comments: waiting_comments,
        })
    }

    /// Opens the final pull request or updates its text. The caller must already have pushed the pull
    /// request's branch.
    pub(super) async fn upsert_pull_request(
        &self,
        branch_state: &JobBranchState,
        base: &str,
        verdict: SyncVerdict,
        text: &str,
    ) -> Result<JobPull, SyncRunError> {
        let title = texts::pull_title(self.subject, verdict);
        let body = texts::pull_body(self.subject, verdict, self.job.body.as_ref(), &self.template, text);
        let body = body.as_str();
        let topic = self.topic(self.subject.version);
        let open = branch_state.final_pull.as_ref().filter(|pull| pull.is_open());
        let pull = match open {
            Some(pull) => pull.clone(),
            None => {
                let draft = PullDraft {
                    topic: topic.clone(),
                    branch: self.job.branch.clone(),
                    base: base.to_owned(),
                    title: title.clone(),
                    body: body.to_owned(),
                    draft: false,
                };
                open_pull(self.executor, draft).await?
            }
        };
        // If the pull request already existed, its text may be outdated.
        if pull.title != title || pull.body.trim() != body.trim() || pull.topic.as_ref() != Some(&topic) {
            let (number, body) = (pull.number, body.to_owned());
            self.executor.perform(&Effect::EditPull { number, topic, title, body }).await?;
        }
        if pull.state == PullState::Draft {
            self.executor.perform(&Effect::SetDraft { number: pull.number, draft: false }).await?;
        }
        self.add_missing_labels(&pull).await?;
        self.delete_blocked_comments(branch_state, &pull).await?;
        Ok(JobPull { kind: JobPullKind::Final, url: pull.url })
    }

    /// Adds the missing labels to a pull request.
    pub(super) async fn add_missing_labels(&self, pull: &BranchPull) -> Result<(), SyncRunError> {
        // Some forges have no labels for pull requests.
        if !self.server.capability().labels {
            return Ok(());
        }
        let wanted = self.job.labels.iter().filter(|label| !has_label(pull, label));
        let labels: Vec<String> = wanted.cloned().collect();
        if !labels.is_empty() {
            self.executor.perform(&Effect::Label { number: pull.number, labels }).await?;
        }
        Ok(())
    }

    /// Deletes the job's comments that report a waiting release.
    async fn delete_blocked_comments(
        &self,
        branch_state: &JobBranchState,
        pull: &BranchPull,
    ) -> Result<(), SyncRunError> {
        for remark in &branch_state.blocked_comments {
            let (number, comment) = (pull.number, remark.id.clone());
            self.executor.perform(&Effect::DeleteComment { number, comment }).await?;
        }
        Ok(())
    }

    /// Posts a comment that a release waits until people have finished their work on the pull request. An
    /// earlier comment that reports a waiting release is deleted.
    pub(super) async fn post_blocked_comment(
        &self,
        branch_state: &JobBranchState,
        pull: &BranchPull,
    ) -> Result<JobPull, SyncRunError> {
        let reason = branch_state.activity.as_ref().map(BranchActivity::activity_text).unwrap_or_default();
        let text = texts::waiting_release_comment(self.subject, &reason);
        let shown = JobPull { kind: JobPullKind::Final, url: pull.url.clone() };
        if branch_state.blocked_comments.iter().any(|remark| remark.body.trim() == text.trim()) {
            return Ok(shown);
        }
        self.delete_blocked_comments(branch_state, pull).await?;
        let (number, topic) = (pull.number, self.blocked_topic());
        self.executor.perform(&Effect::NewComment { number, topic, body: text }).await?;
        Ok(shown)
    }
}

/// True if the pull request has this label. Forges ignore case in the names of labels.
fn has_label(pull: &BranchPull, label: &str) -> bool {
    pull.labels.iter().any(|one| one.to_lowercase() == label.to_lowercase())
}

/// Returns the repository's template for pull requests; empty if there is none, or if the template is too
/// long.
pub(super) fn read_pull_template(project: &Path) -> String {
    let found = TEMPLATE_FOLDERS.iter().flat_map(|folder| {
        let entries = std::fs::read_dir(project.join(folder)).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        names
            .filter(|name| TEMPLATE_FILE_NAMES.contains(&name.to_lowercase().as_str()))
            .map(move |name| format!("{folder}{name}"))
    });
    let text = found
        .filter_map(|path| change::read_regular_file(project, &path).ok().flatten())
        .next()
        .unwrap_or_default();
    let text = String::from_utf8(text).unwrap_or_default().replace("\r\n", "\n");
    if text.len() > MAX_TEMPLATE_BYTES { String::new() } else { text.trim().to_owned() }
}

/// The folders in which a repository may have its template, and the file names that a template may have.
const TEMPLATE_FOLDERS: [&str; 3] = [".github/", "", "docs/"];
const TEMPLATE_FILE_NAMES: [&str; 3] =
    ["pull_request_template.md", "pull_request_template.txt", "pull_request_template"];
/// Maximum number of bytes of a template. The text of the pull request must also have space for the
/// description of the change.
const MAX_TEMPLATE_BYTES: usize = 16 << 10;

/// True if this pull request contains a finished port: it is merged or ready to be merged.
fn is_finished_port(pull: &BranchPull) -> bool {
    match pull.state {
        PullState::Open | PullState::Merged => true,
        PullState::Draft | PullState::Closed => false,
    }
}

impl JobBranchState {
    /// Returns the plan for a decision to relax or to bump. `has_current_base` is true if the branch is based
    /// on the intended commit.
    pub(super) fn choose_plan(
        &self,
        verdict: SyncVerdict,
        has_draft: bool,
        has_current_base: bool,
    ) -> BranchPlan {
        let existing = JobPullState {
            newest_pull: self.final_pull.as_ref(),
            covers: self.reaches_release,
            has_foreign_work: self.activity.is_some(),
            // If the final pull request already contains the port, the draft does not count as open, because
            // it must be closed and not continued.
            is_draft_open: has_draft
                && !(self.reaches_release && self.final_pull.as_ref().is_some_and(is_finished_port)),
        };
        plan_branch(existing, verdict, has_current_base)
    }

    /// Returns the head of the open pull request; `None` if no pull request is open.
    pub(super) fn head(&self) -> Option<&Sha> {
        self.final_pull.as_ref().filter(|pull| pull.is_open()).map(|pull| &pull.head)
    }
}
