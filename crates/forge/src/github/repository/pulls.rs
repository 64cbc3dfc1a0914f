//! Opens pull requests from branches of the repository, each only once, and changes only our own pull
//! requests.

use reqwest::Method;
use serde::Deserialize;
use serde_json::json;
use truing_core::branch_name::is_branch_name;
use truing_core::id::{ReviewId, Sha, Topic, UnixMillis};
use truing_core::line;
use truing_core::port::{
    BranchPull, ForgeError, PullActivity, PullCommit, PullDraft, PullRequestComment, PullReview, PullState,
    ReviewState,
};

use super::bodies::{CommitAccount, GitHubCommentItem, GitHubCommit, GitHubPullItem, GitHubReview};
use super::{
    ForgeRequest, GitHubAccounts, GitHubClient, TokenScope, foreign_object_error, to_actor,
    unavailable_error, wire,
};
use crate::github::id::GitHubCommentId;

const CONVERT_TO_DRAFT_MUTATION: &str = "
mutation($id: ID!) {
  convertPullRequestToDraft(input: { pullRequestId: $id }) { pullRequest { isDraft } }
}";
const MARK_READY_MUTATION: &str = "
mutation($id: ID!) {
  markPullRequestReadyForReview(input: { pullRequestId: $id }) { pullRequest { isDraft } }
}";

#[derive(Deserialize)]
struct DraftData {
    #[serde(alias = "convertPullRequestToDraft", alias = "markPullRequestReadyForReview")]
    change: Option<DraftChange>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DraftChange {
    pull_request: Option<DraftPull>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DraftPull {
    is_draft: bool,
}

impl GitHubClient {
    pub(in crate::github) async fn list_pulls(&self, branch: &str) -> Result<Vec<BranchPull>, ForgeError> {
        let purpose = self.repository_purpose(&format!("listing pull requests from {branch}"));
        check_branch(&purpose, branch)?;
        let accounts = self.accounts().await?;
        let owner = self.repo.split('/').next().unwrap_or_default();
        let head = format!("{owner}:{branch}");
        let query = [("state", "all"), ("head", &head), ("sort", "created"), ("direction", "desc")];
        let url = self.list_url(&purpose, &["pulls"], &query)?;
        let mut pulls = Vec::new();
        self.github.read_pages(self.scope(), &purpose, url, |pull: GitHubPullItem| pulls.push(pull)).await?;
        // The query names only the owner and the branch, so it also finds branches of this name in the
        // owner's forks.
        let of_here = |pull: &GitHubPullItem| {
            let repo = pull.head.repo.as_ref().map(|repo| repo.id.to_string());
            repo.as_deref() == Some(&self.id.repository) && pull.head.branch == branch
        };
        pulls.retain(of_here);
        pulls.into_iter().map(|pull| self.convert_pull(&purpose, &accounts, pull)).collect()
    }

    pub(in crate::github) async fn create_pull(
        &self,
        new_pull: &PullDraft,
    ) -> Result<BranchPull, ForgeError> {
        let PullDraft { topic, branch, base, title, body, draft: new_pull } = new_pull;
        let what = self.repository_purpose(&format!("opening a pull request from {branch}"));
        check_branch(&what, branch)?;
        check_branch(&what, base)?;
        let accounts = self.accounts().await?;
        let new = json!({
            "title": title, "head": branch, "base": base, "body": self.add_topic_marker(0, topic, body),
            "draft": new_pull,
        });
        let call = ForgeRequest::create(what.as_str(), self.url(&what, &["pulls"])?, new);
        let refused = match self.github.send(self.scope(), &call).await {
            Ok(answer) => return self.convert_pull(&what, &accounts, answer.json()?),
            Err(refused @ ForgeError::Rejected { .. }) => refused,
            Err(error) => return Err(error),
        };
        // GitHub allows only one open pull request from a branch to a base, so an existing one may be the
        // reason for the rejection.
        self.find_open_pull(branch, base).await?.ok_or(refused)
    }

    pub(in crate::github) async fn rewrite_pull(
        &self,
        number: u64,
        topic: &Topic,
        title: &str,
        body: &str,
    ) -> Result<(), ForgeError> {
        let what = self.repository_purpose(&format!("rewriting pull request {number}"));
        self.read_own_pull(&what, number).await?;
        let url = self.url(&what, &["pulls", &number.to_string()])?;
        let new = json!({ "title": title, "body": self.add_topic_marker(0, topic, body) });
        self.send_set(what, Method::PATCH, url, Some(new)).await
    }

    pub(in crate::github) async fn set_draft_state(
        &self,
        number: u64,
        draft: bool,
    ) -> Result<(), ForgeError> {
        let doing = if draft { "a draft" } else { "ready for review" };
        let what = self.repository_purpose(&format!("making pull request {number} {doing}"));
        let pull = self.read_own_pull(&what, number).await?;
        if pull.draft == draft { Ok(()) } else { self.send_draft_state(&what, &pull.node_id, draft).await }
    }

    /// Makes the pull request with this GraphQL id a draft, or ready for review.
    pub(in crate::github) async fn send_draft_state(
        &self,
        purpose: &str,
        node_id: &str,
        draft: bool,
    ) -> Result<(), ForgeError> {
        let mutation = if draft { CONVERT_TO_DRAFT_MUTATION } else { MARK_READY_MUTATION };
        let scope = TokenScope::RepositoryWrite(&self.id.repository, &self.repo);
        let data: DraftData = self.github.mutate(scope, purpose, mutation, json!({ "id": node_id })).await?;
        match data.change.and_then(|change| change.pull_request) {
            Some(pull) if pull.is_draft == draft => Ok(()),
            Some(_) | None => Err(unavailable_error(
                purpose,
                "the forge reports success, but the draft state has not changed",
            )),
        }
    }

    /// Sends a call that changes a branch. The call uses the token that also makes pull requests ready for
    /// review.
    pub(in crate::github) async fn send_branch_change(&self, call: &ForgeRequest) -> Result<(), ForgeError> {
        let scope = TokenScope::RepositoryWrite(&self.id.repository, &self.repo);
        self.github.send(scope, call).await?.check_body()
    }

    pub(in crate::github) async fn close_pull(&self, number: u64) -> Result<(), ForgeError> {
        let what = self.repository_purpose(&format!("closing pull request {number}"));
        let pull = self.read_own_pull(&what, number).await?;
        if pull.state != "open" {
            return Ok(());
        }
        let url = self.url(&what, &["pulls", &number.to_string()])?;
        self.send_set(what, Method::PATCH, url, Some(json!({ "state": "closed" }))).await
    }

    /// Lists the labels of a pull request of any account.
    pub(super) async fn labels_of(&self, purpose: &str, number: u64) -> Result<Vec<String>, ForgeError> {
        let url = self.url(purpose, &["pulls", &number.to_string()])?;
        let pull: GitHubPullItem =
            self.github.send(self.scope(), &ForgeRequest::get(purpose, url)).await?.json()?;
        Ok(pull.labels.into_iter().map(|label| label.name).collect())
    }

    /// Reads a pull request; returns an error if the pull request is not ours.
    pub(super) async fn read_own_pull(
        &self,
        purpose: &str,
        number: u64,
    ) -> Result<GitHubPullItem, ForgeError> {
        let accounts = self.accounts().await?;
        let url = self.url(purpose, &["pulls", &number.to_string()])?;
        let pull: GitHubPullItem =
            self.github.send(self.scope(), &ForgeRequest::get(purpose, url)).await?.json()?;
        let is_ours = pull.user.as_ref().is_some_and(|user| accounts.account_kind(user).is_some());
        match self.read_topic(0, is_ours, pull.body.as_deref()) {
            (Some(_), _) => Ok(pull),
            (None, _) => Err(foreign_object_error(purpose)),
        }
    }

    fn convert_pull(
        &self,
        purpose: &str,
        accounts: &GitHubAccounts<'_>,
        pull: GitHubPullItem,
    ) -> Result<BranchPull, ForgeError> {
        let author = pull.user.as_ref().map(|user| to_actor(accounts, user));
        let is_ours = author.as_ref().is_some_and(|author| author.is_own_account);
        let (topic, body) = self.read_topic(0, is_ours, pull.body.as_deref());
        let state = match (pull.state.as_str(), pull.draft) {
            _ if pull.merged_at.is_some() => PullState::Merged,
            ("open", true) => PullState::Draft,
            ("open", false) => PullState::Open,
            (_, _) => PullState::Closed,
        };
        Ok(BranchPull {
            number: pull.number,
            url: pull.html_url,
            title: pull.title,
            body,
            state,
            head: parse_sha(purpose, &pull.head.sha)?,
            branch: pull.head.branch,
            base_branch: pull.base.branch,
            author,
            topic,
            created: wire::parse_instant(purpose, &pull.created_at)?,
            labels: pull.labels.into_iter().map(|label| label.name).collect(),
        })
    }

    pub(in crate::github) async fn read_activity(&self, number: u64) -> Result<PullActivity, ForgeError> {
        let what = self.repository_purpose(&format!("reading the activity on pull request {number}"));
        let accounts = self.accounts().await?;
        let of = number.to_string();
        let mut activity = PullActivity::default();

        let mut commits: Vec<GitHubCommit> = Vec::new();
        let url = self.list_url(&what, &["pulls", &of, "commits"], &[])?;
        self.github.read_pages(self.scope(), &what, url, |commit| commits.push(commit)).await?;
        for commit in commits {
            activity.commits.push(convert_commit(&what, &accounts, commit)?);
        }

        let mut reviews: Vec<GitHubReview> = Vec::new();
        let url = self.list_url(&what, &["pulls", &of, "reviews"], &[])?;
        self.github.read_pages(self.scope(), &what, url, |review| reviews.push(review)).await?;
        for review in reviews {
            activity.reviews.push(self.convert_review(&what, number, &accounts, review)?);
        }

        for comment in self.list_conversation(&what, number).await? {
            activity.comments.push(self.convert_comment(
                &what,
                number,
                &accounts,
                GitHubCommentId::Issue,
                comment,
            )?);
        }
        let mut comments: Vec<GitHubCommentItem> = Vec::new();
        let url = self.list_url(&what, &["pulls", &of, "comments"], &[])?;
        self.github.read_pages(self.scope(), &what, url, |comment| comments.push(comment)).await?;
        for comment in comments {
            activity.comments.push(self.convert_comment(
                &what,
                number,
                &accounts,
                GitHubCommentId::Review,
                comment,
            )?);
        }
        Ok(activity)
    }

    /// Converts a review from a response.
    pub(in crate::github) fn convert_review(
        &self,
        purpose: &str,
        number: u64,
        accounts: &GitHubAccounts<'_>,
        review: GitHubReview,
    ) -> Result<PullReview, ForgeError> {
        let state = match review.state.as_str() {
            "APPROVED" => ReviewState::Approved,
            "CHANGES_REQUESTED" => ReviewState::ChangesRequested,
            "COMMENTED" => ReviewState::Commented,
            "DISMISSED" => ReviewState::Dismissed,
            "PENDING" => ReviewState::Pending,
            _ => return Err(unavailable_error(purpose, "a review has an unknown state")),
        };
        let author = review.user.as_ref().map(|user| to_actor(accounts, user));
        let is_ours = author.as_ref().is_some_and(|author| author.is_own_account);
        let (topic, body) = self.read_verified_topic(number, is_ours, review.body.as_deref());
        Ok(PullReview {
            id: ReviewId::new(review.id.to_string()),
            author,
            state,
            commit: review.commit_id.map(|commit| parse_sha(purpose, &commit)).transpose()?,
            submitted_at: review.submitted_at.map(|at| wire::parse_instant(purpose, &at)).transpose()?,
            body,
            topic,
        })
    }

    fn convert_comment(
        &self,
        purpose: &str,
        number: u64,
        accounts: &GitHubAccounts<'_>,
        to_github_id: fn(u64) -> GitHubCommentId,
        comment: GitHubCommentItem,
    ) -> Result<PullRequestComment, ForgeError> {
        let author = comment.user.as_ref().map(|user| to_actor(accounts, user));
        let is_ours = author.as_ref().is_some_and(|author| author.is_own_account);
        let (topic, body) = self.read_topic(number, is_ours, comment.body.as_deref());
        Ok(PullRequestComment {
            id: to_github_id(comment.id).to_comment_id(),
            author,
            commit: comment.original_commit_id.map(|commit| parse_sha(purpose, &commit)).transpose()?,
            created: wire::parse_instant(purpose, &comment.created_at)?,
            body,
            topic,
        })
    }
}

fn convert_commit(
    purpose: &str,
    accounts: &GitHubAccounts<'_>,
    commit: GitHubCommit,
) -> Result<PullCommit, ForgeError> {
    let account = commit.author.as_ref().and_then(|account| match account {
        CommitAccount::Known(user) => Some(user),
        CommitAccount::Empty {} => None,
    });
    let committed = commit.commit.committer.and_then(|committer| committer.date);
    let (name, email) = commit.commit.author.map(|author| (author.name, author.email)).unwrap_or_default();
    Ok(PullCommit {
        sha: parse_sha(purpose, &commit.sha)?,
        author: account.map(|user| to_actor(accounts, user)),
        author_name: name,
        author_email: email,
        committed_at: committed.map_or(Ok(UnixMillis(0)), |at| wire::parse_instant(purpose, &at))?,
    })
}

pub(in crate::github) fn parse_sha(purpose: &str, text: &str) -> Result<Sha, ForgeError> {
    Sha::parse(text).map_err(|error| unavailable_error(purpose, &error.to_string()))
}

fn check_branch(purpose: &str, branch: &str) -> Result<(), ForgeError> {
    if is_branch_name(branch) {
        return Ok(());
    }
    let message = format!("`{}` is not a valid branch name", line::visible_line(branch));
    Err(ForgeError::Rejected { request: purpose.to_owned(), message })
}
