//! Reads the current state of the pull request, its reviewers and its checks. This module never writes.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::json;
use truing_core::converge::readiness::MergeableState as Mergeable;
use truing_core::id::{CommentId, ReviewId, Sha, Topic};
use truing_core::port::{
    Actor, AppliedLabel, CheckState, CommitCheck, ForgeError, HeadRepository, LineComment, MergeSummary,
    PullDetails, PullHead, PullReview, PullReviewDecision, PullState, ReviewThread,
};
use truing_core::publish::{CommentProducer, CommentSubject, ForgeThread};

use super::{GitHubClient, bodies};
use crate::github::auth::GitHubAccounts;
use crate::github::id::GitHubCommentId;
use crate::github::repository::{bodies::GitHubReview, pulls::parse_sha, to_actor};
use crate::github::{GITHUB, wire};
use crate::http::{ForgeRequest, unavailable_error};
use crate::marker::{self, MarkerMatch};

/// Maximum number of pages of check runs that are read. A page has 100 check runs, and GitHub allows 1,000
/// check runs for one name. The pages are therefore enough for three names.
const MAX_CHECK_PAGES: usize = 30;

const MERGE_STATE_QUERY: &str = "
query($owner: String!, $name: String!, $number: Int!) {
  repository(owner: $owner, name: $name) {
    pullRequest(number: $number) { headRefOid mergeable mergeStateStatus reviewDecision }
  }
}";

impl GitHubClient {
    /// Reads the pull request, and returns the fields of GitHub's response.
    pub(super) async fn read_raw_pull(&self, purpose: &str) -> Result<bodies::GitHubPullDetails, ForgeError> {
        let url = self.url(purpose, &["pulls", &self.number()])?;
        let pull: bodies::GitHubPullDetails = self.send(&ForgeRequest::get(purpose, url)).await?.json()?;
        // A name can later belong to another repository; an id cannot.
        let there = pull.base.repo.as_ref().map(|repo| repo.id.to_string());
        if there.is_some_and(|id| id != self.id.repository) {
            let request = format!("{purpose} (the name {} now belongs to a different repository)", self.repo);
            return Err(ForgeError::NotFound { request });
        }
        Ok(pull)
    }

    pub(super) async fn read_pull_details(&self) -> Result<PullDetails, ForgeError> {
        let what = self.pull_purpose("reading the pull request");
        let accounts = self.accounts().await?;
        let pull = self.read_raw_pull(&what).await?;
        let author = pull.user.as_ref().map(|user| to_actor(&accounts, user));
        let state = pull_state(&pull);
        let head = self.head(&what, &pull, author.as_ref()).await?;
        let requested = pull.requested_reviewers.iter().filter(|user| user.login.is_some());
        let requested = requested.map(|user| to_actor(&accounts, user)).collect();
        Ok(PullDetails {
            url: pull.html_url,
            title: pull.title,
            body: marker::split_marker(pull.body.as_deref().unwrap_or_default()).0,
            state,
            author,
            head,
            base: parse_sha(&what, &pull.base.sha)?,
            base_branch: pull.base.branch,
            labels: pull.labels.into_iter().map(|label| label.name).collect(),
            requested_reviewers: requested,
        })
    }

    async fn head(
        &self,
        purpose: &str,
        pull: &bodies::GitHubPullDetails,
        author: Option<&Actor>,
    ) -> Result<PullHead, ForgeError> {
        let repository = pull.head.repo.as_ref().map(|repo| {
            let (id, name) = (repo.id.to_string(), repo.full_name.clone());
            HeadRepository { is_target_repository: id == self.id.repository, is_only_source: false, id, name }
        });
        let push = match &repository {
            None => Some(false),
            Some(repository) if repository.is_target_repository => self.can_push_repository().await?,
            // An installation's token is valid only for the repositories of one owner. A fork belongs to
            // another owner, so the App cannot push to the fork.
            Some(_) if self.github.app_id().is_some() => Some(false),
            Some(_) if pull.maintainer_can_modify => self.can_push_repository().await?,
            // If we opened the pull request, the fork may be ours, so the permission is unknown.
            Some(_) => author.is_none_or(|author| !author.is_own_account).then_some(false),
        };
        let (sha, branch) = (parse_sha(purpose, &pull.head.sha)?, pull.head.branch.clone());
        Ok(PullHead { sha, branch, repository, can_push: push })
    }

    /// Returns true if we may push to the pull request's own repository; `None` if the permission is unknown.
    async fn can_push_repository(&self) -> Result<Option<bool>, ForgeError> {
        let writable = self.read_repository().await?.write_access;
        Ok(if writable.archived { Some(false) } else { writable.can_push })
    }

    pub(super) async fn read_merge_state(&self) -> Result<MergeSummary, ForgeError> {
        let request = self.pull_purpose("checking whether the pull request can be merged");
        let (owner, name) = self.repo.split_once('/').unwrap_or_default();
        let variables = json!({ "owner": owner, "name": name, "number": self.id.number });
        let data: bodies::MergeData =
            self.github.graphql(self.scope(), &request, MERGE_STATE_QUERY, variables).await?;
        let pull = data.repository.and_then(|repository| repository.pull_request);
        let Some(pull) = pull else { return Err(ForgeError::NotFound { request }) };
        Ok(MergeSummary {
            head: parse_sha(&request, &pull.head_ref_oid)?,
            has_conflicts: match pull.mergeable.as_str() {
                "MERGEABLE" => Some(false),
                "CONFLICTING" => Some(true),
                _ => None,
            },
            state: match pull.merge_state_status.as_str() {
                "CLEAN" => Mergeable::Clean,
                "HAS_HOOKS" => Mergeable::HasHooks,
                "UNSTABLE" => Mergeable::Unstable,
                "BEHIND" => Mergeable::Behind,
                "BLOCKED" => Mergeable::Blocked,
                "DIRTY" => Mergeable::Dirty,
                "DRAFT" => Mergeable::Draft,
                _ => Mergeable::Unknown,
            },
            review_decision: match pull.review_decision.as_deref() {
                Some("APPROVED") => Some(PullReviewDecision::Approved),
                Some("CHANGES_REQUESTED") => Some(PullReviewDecision::ChangesRequested),
                // An unknown decision does not count as an approval.
                Some(_) => Some(PullReviewDecision::Required),
                None => None,
            },
        })
    }

    pub(super) async fn list_checks(&self, commit: &Sha) -> Result<Vec<CommitCheck>, ForgeError> {
        let what = self.pull_purpose(&format!("reading the checks of commit {}", commit.short_sha()));
        let mut checks = Vec::new();
        for page in 1..=MAX_CHECK_PAGES {
            let mut url = self.list_url(&what, &["commits", commit.as_str(), "check-runs"], &[])?;
            url.query_pairs_mut().append_pair("page", &page.to_string());
            let runs: bodies::CheckRuns = self.send(&ForgeRequest::get(what.as_str(), url)).await?.json()?;
            let is_last = runs.check_runs.len() < GITHUB.max_page_size;
            checks.extend(runs.check_runs.into_iter().map(|run| {
                let state = check_state(&run.status, run.conclusion.as_deref());
                CommitCheck { name: run.name, app: run.app.map(|app| app.slug), state }
            }));
            if is_last {
                break;
            }
            if page == MAX_CHECK_PAGES {
                return Err(unavailable_error(&what, "the commit has more check runs than Truing reads"));
            }
        }
        let url = self.list_url(&what, &["commits", commit.as_str(), "statuses"], &[])?;
        let mut seen = HashSet::new();
        let each = |status: bodies::GitHubCommitStatus| {
            // Statuses are listed newest first, so only the first status of each context is used.
            if seen.insert(status.context.clone()) {
                let state = match status.state.as_str() {
                    "success" => CheckState::Passed,
                    "pending" => CheckState::Pending,
                    _ => CheckState::Failed,
                };
                checks.push(CommitCheck { name: status.context, app: None, state });
            }
        };
        self.github.read_pages(self.scope(), &what, url, each).await?;
        Ok(checks)
    }

    pub(super) async fn list_labels(&self) -> Result<Vec<AppliedLabel>, ForgeError> {
        let what = self.pull_purpose("reading the accounts that set the labels");
        let accounts = self.accounts().await?;
        let pull = self.read_raw_pull(&what).await?;
        let mut set_by: HashMap<String, wire::GitHubUser> = HashMap::new();
        let url = self.list_url(&what, &["issues", &self.number(), "events"], &[])?;
        let each = |event: bodies::IssueEvent| {
            if let (Some(label), true) = (event.label, event.event == "labeled") {
                match event.actor {
                    Some(actor) => set_by.insert(label.name, actor),
                    None => set_by.remove(&label.name),
                };
            }
        };
        self.github.read_pages(self.scope(), &what, url, each).await?;
        let (mut known, mut labels) = (HashMap::new(), Vec::new());
        for label in pull.labels {
            let user = set_by.remove(&label.name);
            let by = user.as_ref().map(|user| to_actor(&accounts, user));
            let trusted = match (user, &by) {
                (Some(user), Some(by)) if by.is_person && !by.is_own_account => {
                    self.is_trusted(&mut known, user).await?
                }
                (_, _) => false,
            };
            labels.push(AppliedLabel { name: label.name, set_by: by, is_setter_trusted: trusted });
        }
        Ok(labels)
    }

    pub(super) async fn list_reviews(&self, purpose: &str) -> Result<Vec<PullReview>, ForgeError> {
        let accounts = self.accounts().await?;
        let url = self.list_url(purpose, &["pulls", &self.number(), "reviews"], &[])?;
        let mut reviews: Vec<GitHubReview> = Vec::new();
        self.github.read_pages(self.scope(), purpose, url, |review| reviews.push(review)).await?;
        let read = |review| self.convert_review(purpose, self.id.number, &accounts, review);
        reviews.into_iter().map(read).collect()
    }

    /// Lists all comments on the diff, oldest first, each with the number of the comment that began its
    /// thread.
    pub(super) async fn list_line_comments(
        &self,
        purpose: &str,
    ) -> Result<Vec<(u64, String, LineComment)>, ForgeError> {
        let accounts = self.accounts().await?;
        let url = self.list_url(purpose, &["pulls", &self.number(), "comments"], &[])?;
        let mut comments: Vec<bodies::LineComment> = Vec::new();
        self.github.read_pages(self.scope(), purpose, url, |comment| comments.push(comment)).await?;
        comments.sort_by_key(|comment| comment.id);
        comments.into_iter().map(|comment| self.convert_line_comment(purpose, &accounts, comment)).collect()
    }

    fn convert_line_comment(
        &self,
        purpose: &str,
        accounts: &GitHubAccounts<'_>,
        comment: bodies::LineComment,
    ) -> Result<(u64, String, LineComment), ForgeError> {
        let author = comment.user.as_ref().map(|user| to_actor(accounts, user));
        let is_ours = author.as_ref().is_some_and(|author| author.is_own_account);
        let (topic, body) = self.read_verified_topic(self.id.number, is_ours, comment.body.as_deref());
        let reviewed = self.finding_topic(comment.body.as_deref()).filter(|_| is_ours);
        let read = LineComment {
            id: GitHubCommentId::Review(comment.id).to_comment_id(),
            url: comment.html_url,
            review: comment.pull_request_review_id.map(|id| ReviewId::new(id.to_string())),
            author,
            commit: comment.original_commit_id.map(|commit| parse_sha(purpose, &commit)).transpose()?,
            line: comment.line,
            created: wire::parse_instant(purpose, &comment.created_at)?,
            body,
            topic,
            finding_topic: reviewed,
        };
        Ok((comment.in_reply_to_id.unwrap_or(comment.id), comment.path, read))
    }

    /// Returns the topic of the finding that the text of a review comment shows.
    fn finding_topic(&self, text: Option<&str>) -> Option<Topic> {
        match self.marker_keys().find_marker(&self.marker_pr_id(self.id.number), text?) {
            MarkerMatch::Verified {
                producer: CommentProducer::Review,
                item: CommentSubject::Finding(id),
                ..
            } => Some(Topic::for_finding(&id)),
            MarkerMatch::Verified { .. }
            | MarkerMatch::UnknownKey { .. }
            | MarkerMatch::Forged
            | MarkerMatch::NoMarker => None,
        }
    }

    pub(super) async fn list_threads(&self) -> Result<Vec<ReviewThread>, ForgeError> {
        let what = self.pull_purpose("reading the threads");
        let mut groups: BTreeMap<u64, (String, Vec<LineComment>)> = BTreeMap::new();
        for (first, path, comment) in self.list_line_comments(&what).await? {
            groups.entry(first).or_insert_with(|| (path, Vec::new())).1.push(comment);
        }
        if groups.is_empty() {
            return Ok(Vec::new());
        }
        // Threads are matched by any of their comments, because the comment that began a thread may be
        // deleted.
        let mut known: HashMap<CommentId, (bool, ForgeThread)> = HashMap::new();
        for of in self.thread_states().await? {
            if let Some(comment) = of.first_comment {
                known.insert(GitHubCommentId::Review(comment).to_comment_id(), (of.outdated, of.thread));
            }
        }
        let threads = groups.into_values().map(|(path, comments)| {
            let found = comments.iter().find_map(|comment| known.remove(&comment.id));
            let (outdated, thread) =
                found.map_or((false, None), |(outdated, thread)| (outdated, Some(thread)));
            ReviewThread { thread, outdated, path, comments }
        });
        Ok(threads.collect())
    }

    pub(super) async fn list_eye_reactions(&self, comment: &CommentId) -> Result<Vec<Actor>, ForgeError> {
        let request = self.pull_purpose(&format!("reading the reactions to comment {comment}"));
        let GitHubCommentId::Issue(id) = GitHubCommentId::parse(&request, comment)? else {
            let message = "the comment is on the diff, not in the conversation".to_owned();
            return Err(ForgeError::Rejected { request, message });
        };
        let accounts = self.accounts().await?;
        let mut url = self.list_url(&request, &["issues", "comments", &id.to_string(), "reactions"], &[])?;
        url.query_pairs_mut().append_pair("content", "eyes");
        let mut eyes = Vec::new();
        let each = |reaction: bodies::CommentReaction| {
            if let (Some(user), "eyes") = (reaction.user, reaction.content.as_str()) {
                eyes.push(to_actor(&accounts, &user));
            }
        };
        self.github.read_pages(self.scope(), &request, url, each).await?;
        Ok(eyes)
    }
}

/// Returns the state of a pull request.
pub(super) fn pull_state(pull: &bodies::GitHubPullDetails) -> PullState {
    match (pull.state.as_str(), pull.draft) {
        _ if pull.merged_at.is_some() => PullState::Merged,
        ("open", true) => PullState::Draft,
        ("open", false) => PullState::Open,
        (_, _) => PullState::Closed,
    }
}

fn check_state(status: &str, conclusion: Option<&str>) -> CheckState {
    match (status, conclusion) {
        ("completed", Some("success")) => CheckState::Passed,
        ("completed", Some("neutral")) => CheckState::Neutral,
        ("completed", Some("skipped")) => CheckState::Skipped,
        ("completed", _) => CheckState::Failed,
        (_, _) => CheckState::Pending,
    }
}
