//! The calls of a Data Center. Each write is one request with a fixed address and method. No write approves,
//! merges or changes code. Comments and pull requests have a version, which each change must contain. If the
//! version is stale, the server rejects the change. The object is then read again, and the change is decided
//! again.

use std::sync::Arc;

use async_trait::async_trait;
use reqwest::Method;
use serde::Serialize;
use serde_json::{Value, json};
use truing_core::converge::readiness::MergeableState as Mergeable;
use truing_core::id::Sha;
use truing_core::port::{
    AuthorAccount, CheckState, CommitCheck, ForgeError, PullDraft, PullState, RepositoryDetails, WriteAccess,
    WritePermit,
};
use truing_core::publish::DesiredStatus;
use url::Url;

use super::super::address::{rejected_error, split_repository_name, with_query};
use super::super::bounds::parse_sha;
use super::super::calls::{
    BitbucketApi, BitbucketComment, BitbucketCommit, BitbucketPullRequest, MergePreview, NewBitbucketComment,
    PullRequestEdit, ThreadResolution,
};
use super::super::login::OwnAccount;
use super::super::options::BitbucketOptions;
use super::wire::{BRANCH_REF_PREFIX, to_unix_millis};
use super::{BitbucketDataCenter, wire};
use crate::capability::ForgeCapability;
use crate::command_accounts::decide_without_permissions;
use crate::http::{ForgeRequest, unavailable_error};

/// Maximum number of attempts to make a change that conflicts with other accounts' changes.
const MAX_EDIT_ATTEMPTS: u32 = 3;

/// The verdicts that Truing can give. The server's third verdict, approval, is intentionally missing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum ParticipantStatus {
    /// The pull request needs changes before it is merged.
    NeedsWork,
    /// Withdraws an earlier verdict, so the account has no verdict.
    Unapproved,
}

impl BitbucketDataCenter {
    fn comment_url(&self, purpose: &str, repo: &str, number: u64, id: u64) -> Result<Url, ForgeError> {
        self.pull_url(purpose, repo, number, &["comments", &id.to_string()])
    }

    /// Sets Truing's verdict on this commit. If the commit is not the head, the server rejects the verdict.
    async fn set_verdict(
        &self,
        purpose: &str,
        repo: &str,
        number: u64,
        verdict: ParticipantStatus,
        commit: &Sha,
    ) -> Result<(), ForgeError> {
        let own = self.own_account().await?.user;
        let url = self.pull_url(purpose, repo, number, &["participants", &own.slug])?;
        let body = json!({ "status": verdict, "lastReviewedCommit": commit.as_str() });
        self.send(&ForgeRequest::set(purpose, Method::PUT, url, Some(body))).await?.check_body()
    }

    /// Returns true if the server's list of repositories with push permission for this login contains the
    /// repository.
    async fn may_push(&self, purpose: &str, body: &wire::DataCenterRepository) -> Option<bool> {
        let url = self.root_url(["api", "latest", "repos"]);
        let url = with_query(url, &[("permission", "REPO_WRITE"), ("name", &body.name)]);
        let listed: Vec<wire::DataCenterRepository> = self.get_all(purpose, url).await.ok()?;
        Some(listed.iter().any(|one| one.id() == body.id()))
    }

    /// Returns the default branch; an empty text if the repository is empty.
    async fn default_branch(&self, purpose: &str, repo: &str) -> Result<String, ForgeError> {
        match self
            .get::<wire::DataCenterBranch>(purpose, self.repository_url(purpose, repo, &["default-branch"])?)
            .await
        {
            Ok(branch) => Ok(branch.display_id),
            Err(ForgeError::NotFound { .. }) => Ok(String::new()),
            Err(error) => Err(error),
        }
    }
}

#[async_trait]
impl BitbucketApi for BitbucketDataCenter {
    fn options(&self) -> &BitbucketOptions {
        &self.inner.options
    }

    fn forge_capability(&self) -> &'static ForgeCapability {
        self.version_capability()
    }

    fn with_permit(&self, permit: &Arc<WritePermit>) -> Self {
        let super::DataCenterInner { options, http, authorization: login, cache: learnt, diff } =
            &*self.inner;
        let (http, options, login) = (http.with_permit(permit.clone()), options.clone(), login.clone());
        let (learnt, diff) = (learnt.clone(), diff.clone());
        Self {
            inner: Arc::new(super::DataCenterInner {
                options,
                http,
                authorization: login,
                cache: learnt,
                diff,
            }),
        }
    }

    async fn own_account(&self) -> Result<OwnAccount, ForgeError> {
        self.load_own_account().await
    }

    async fn pull(&self, purpose: &str, repo: &str, number: u64) -> Result<BitbucketPullRequest, ForgeError> {
        let body: wire::DataCenterPull =
            self.get(purpose, self.pull_url(purpose, repo, number, &[])?).await?;
        self.convert_pull(purpose, repo, body)
    }

    async fn list_pulls_from_branch(
        &self,
        purpose: &str,
        repo: &str,
        branch: &str,
    ) -> Result<Vec<BitbucketPullRequest>, ForgeError> {
        let at = format!("{BRANCH_REF_PREFIX}{branch}");
        let query = [("state", "ALL"), ("direction", "OUTGOING"), ("at", at.as_str())];
        let url = with_query(self.repository_url(purpose, repo, &["pull-requests"])?, &query);
        let bodies: Vec<wire::DataCenterPull> = self.get_all(purpose, url).await?;
        let pulls = bodies.into_iter().map(|body| self.convert_pull(purpose, repo, body));
        let mut pulls = pulls.collect::<Result<Vec<BitbucketPullRequest>, _>>()?;
        pulls.sort_by_key(|pull| std::cmp::Reverse((pull.created_at, pull.number)));
        Ok(pulls)
    }

    async fn list_comments(
        &self,
        purpose: &str,
        repo: &str,
        number: u64,
    ) -> Result<Vec<BitbucketComment>, ForgeError> {
        self.read_comments(purpose, repo, number).await
    }

    async fn load_comment(
        &self,
        purpose: &str,
        repo: &str,
        pull_and_comment: (u64, u64),
    ) -> Result<BitbucketComment, ForgeError> {
        let comment: wire::DataCenterComment = self
            .get(purpose, self.comment_url(purpose, repo, pull_and_comment.0, pull_and_comment.1)?)
            .await?;
        self.convert_comment(purpose, repo, pull_and_comment.0, comment)
    }

    async fn create_comment(
        &self,
        purpose: &str,
        repo: &str,
        number: u64,
        new: NewBitbucketComment<'_>,
    ) -> Result<BitbucketComment, ForgeError> {
        let mut body = json!({ "text": new.description });
        if let Some(parent) = new.parent {
            body["parent"] = json!({ "id": parent });
        }
        if let Some(on) = new.location {
            body["anchor"] = self.build_anchor(purpose, repo, number, on).await?;
        }
        let anchor = body.get("anchor").cloned();
        let url = self.pull_url(purpose, repo, number, &["comments"])?;
        let call = ForgeRequest::create(purpose, url, body);
        let call = if anchor.is_some() { call.for_diff_comment() } else { call };
        let made: wire::DataCenterComment = self.send(&call).await?.json()?;
        if let Some(anchor) = anchor {
            self.warn_if_anchor_differs(repo, &anchor, made.anchor.as_ref());
        }
        self.convert_comment(purpose, repo, number, made)
    }

    async fn edit_comment(
        &self,
        purpose: &str,
        repo: &str,
        pull_and_comment: (u64, u64),
        text: &str,
    ) -> Result<(), ForgeError> {
        let first = self.load_comment(purpose, repo, pull_and_comment).await?;
        let (mut version, mut tries) = (first.version, 0);
        loop {
            let url = self.comment_url(purpose, repo, pull_and_comment.0, pull_and_comment.1)?;
            let body = json!({ "text": text, "version": version });
            tries += 1;
            let stale = match self.send(&ForgeRequest::set(purpose, Method::PUT, url, Some(body))).await {
                Err(stale @ ForgeError::Stale { .. }) => stale,
                sent => return sent?.check_body(),
            };
            let now = self.load_comment(purpose, repo, pull_and_comment).await?;
            if now.description == text {
                // An earlier attempt whose response was lost has made this change.
                return Ok(());
            }
            // The text has changed since the caller decided on this edit, so the caller must decide again.
            if now.description != first.description || tries == MAX_EDIT_ATTEMPTS {
                return Err(stale);
            }
            version = now.version;
        }
    }

    async fn delete_comment(
        &self,
        purpose: &str,
        repo: &str,
        pull_and_comment: (u64, u64),
    ) -> Result<(), ForgeError> {
        let mut tries = 0;
        loop {
            let version = match self.load_comment(purpose, repo, pull_and_comment).await {
                Ok(note) => note.version,
                Err(ForgeError::NotFound { .. }) => return Ok(()),
                Err(error) => return Err(error),
            };
            let url = with_query(
                self.comment_url(purpose, repo, pull_and_comment.0, pull_and_comment.1)?,
                &[("version", &version.to_string())],
            );
            tries += 1;
            match self.send(&ForgeRequest::set(purpose, Method::DELETE, url, None)).await {
                // `NotFound` is a success: an earlier attempt whose response was lost may have deleted the
                // comment.
                Ok(_) | Err(ForgeError::NotFound { .. }) => return Ok(()),
                Err(ForgeError::Stale { request, message }) if tries == MAX_EDIT_ATTEMPTS => {
                    // The server has rejected the current version each time. The reason must be that the
                    // comment has replies and cannot be deleted.
                    return Err(ForgeError::Rejected { request, message });
                }
                Err(ForgeError::Stale { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }

    async fn set_thread_resolved(
        &self,
        purpose: &str,
        repo: &str,
        number: u64,
        first_comment: u64,
        resolved: bool,
    ) -> Result<(), ForgeError> {
        let mut tries = 0;
        loop {
            let note = self.load_comment(purpose, repo, (number, first_comment)).await?;
            if (note.resolution != ThreadResolution::Open) == resolved {
                return Ok(());
            }
            let url = self.comment_url(purpose, repo, number, first_comment)?;
            // The body omits the text, because only the comment's author may change the text.
            let body = json!({ "threadResolved": resolved, "version": note.version });
            tries += 1;
            match self.send(&ForgeRequest::set(purpose, Method::PUT, url, Some(body))).await {
                Err(ForgeError::Stale { .. }) if tries < MAX_EDIT_ATTEMPTS => {}
                Ok(answer) if answer.json::<wire::DataCenterComment>()?.thread_resolved == resolved => {
                    return Ok(());
                }
                // The response shows that the state has not changed: older versions of the server ignore the
                // field `threadResolved`.
                Ok(_) => {
                    return Err(unavailable_error(
                        purpose,
                        "the forge reports success, but the state of the thread has not changed",
                    ));
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn change_pull(
        &self,
        purpose: &str,
        repo: &str,
        pull: &BitbucketPullRequest,
        change: PullRequestEdit<'_>,
    ) -> Result<(), ForgeError> {
        // If the list of reviewers is omitted, the call clears it, and may also clear other omitted fields.
        // All fields are therefore sent.
        let there = pull.reviewers.iter().filter(|one| one.is_requested);
        let reviewers: Vec<Value> = there.map(|one| json!({ "user": { "name": one.user.login } })).collect();
        let mut body = json!({
            "version": pull.version,
            "title": change.title.unwrap_or(&pull.title),
            "description": change.description.unwrap_or(&pull.description),
            "reviewers": reviewers,
        });
        if self.version_capability().drafts {
            body["draft"] = change.draft.unwrap_or(pull.state == PullState::Draft).into();
        }
        let url = self.pull_url(purpose, repo, pull.number, &[])?;
        self.send(&ForgeRequest::set(purpose, Method::PUT, url, Some(body))).await?.check_body()
    }

    async fn create_pull(
        &self,
        purpose: &str,
        repo: &str,
        draft: &PullDraft,
        text: &str,
    ) -> Result<BitbucketPullRequest, ForgeError> {
        let (key, slug) = split_repository_name(purpose, repo)?;
        let end = |branch: &str| {
            let repository = json!({ "slug": slug, "project": { "key": key } });
            json!({ "id": format!("{BRANCH_REF_PREFIX}{branch}"), "repository": repository })
        };
        let mut body = json!({
            "title": draft.title,
            "description": text,
            "fromRef": end(&draft.branch),
            "toRef": end(&draft.base),
        });
        if draft.draft {
            body["draft"] = true.into();
        }
        let url = self.repository_url(purpose, repo, &["pull-requests"])?;
        let made: wire::DataCenterPull =
            self.send(&ForgeRequest::create(purpose, url, body)).await?.json()?;
        self.convert_pull(purpose, repo, made)
    }

    async fn decline(
        &self,
        purpose: &str,
        repo: &str,
        pull: &BitbucketPullRequest,
    ) -> Result<(), ForgeError> {
        let version = pull.version.to_string();
        let url = self.pull_url(purpose, repo, pull.number, &["decline"])?;
        let url = with_query(url, &[("version", &version)]);
        // The request is not retried: after the pull request is declined, a second attempt would be rejected.
        let call = ForgeRequest::create(purpose, url, json!({ "version": pull.version }));
        self.send(&call).await?.check_body()
    }

    async fn request_reviewer(
        &self,
        purpose: &str,
        repo: &str,
        pull: &BitbucketPullRequest,
        login: &str,
    ) -> Result<(), ForgeError> {
        let url = self.pull_url(purpose, repo, pull.number, &["participants"])?;
        // Requesting a reviewer who is already requested changes nothing.
        let body = json!({ "user": { "name": login }, "role": "REVIEWER" });
        self.send(&ForgeRequest::set(purpose, Method::POST, url, Some(body))).await?.check_body()
    }

    async fn request_changes(
        &self,
        purpose: &str,
        repo: &str,
        number: u64,
        commit: &Sha,
    ) -> Result<(), ForgeError> {
        self.set_verdict(purpose, repo, number, ParticipantStatus::NeedsWork, commit).await
    }

    async fn withdraw_changes(
        &self,
        purpose: &str,
        repo: &str,
        number: u64,
        commit: &Sha,
    ) -> Result<(), ForgeError> {
        self.set_verdict(purpose, repo, number, ParticipantStatus::Unapproved, commit).await
    }

    async fn commits(
        &self,
        purpose: &str,
        repo: &str,
        number: u64,
    ) -> Result<Vec<BitbucketCommit>, ForgeError> {
        let url = self.pull_url(purpose, repo, number, &["commits"])?;
        let newest_first: Vec<wire::DataCenterCommit> = self.get_all(purpose, url).await?;
        let read = |commit: wire::DataCenterCommit| {
            let author = commit.author.map(|author| {
                let (name, email) = (author.name(), author.email_address);
                (name, email, author.user.into_account())
            });
            let (name, email, user) = author.unwrap_or_default();
            let committed = to_unix_millis(commit.committer_timestamp);
            Ok(BitbucketCommit {
                sha: parse_sha(purpose, &commit.id)?,
                user,
                author_name: name,
                author_email: email,
                committed_at: committed,
            })
        };
        newest_first.into_iter().rev().map(read).collect()
    }

    async fn preview_merge(
        &self,
        purpose: &str,
        repo: &str,
        pull: &BitbucketPullRequest,
    ) -> Result<MergePreview, ForgeError> {
        let url = self.pull_url(purpose, repo, pull.number, &["merge"])?;
        let mergeability: wire::DataCenterMergeability = match self.get(purpose, url).await {
            Ok(mergeability) => mergeability,
            // The server rejects the call because the pull request is not open.
            Err(ForgeError::Stale { .. } | ForgeError::Rejected { .. }) => {
                return Ok(MergePreview { has_conflicts: None, state: Mergeable::Unknown });
            }
            Err(error) => return Err(error),
        };
        let conflicts = match (mergeability.outcome.as_deref(), mergeability.conflicted) {
            (Some("CONFLICTED"), _) | (None, Some(true)) => Some(true),
            (Some("CLEAN"), _) | (None, Some(false)) => Some(false),
            (Some(_), _) | (None, None) => None,
        };
        let state = match conflicts {
            Some(true) => Mergeable::Dirty,
            Some(false) if !mergeability.vetoes.is_empty() || mergeability.can_merge == Some(false) => {
                Mergeable::Blocked
            }
            Some(false) => Mergeable::Clean,
            None => Mergeable::Unknown,
        };
        Ok(MergePreview { has_conflicts: conflicts, state })
    }

    async fn checks(&self, purpose: &str, _: &str, commit: &Sha) -> Result<Vec<CommitCheck>, ForgeError> {
        let builds = self.list_build_statuses(purpose, commit).await?;
        let check = |build: wire::BuildStatus| CommitCheck {
            name: build.name.filter(|name| !name.is_empty()).unwrap_or(build.key),
            app: None,
            state: match build.state.as_str() {
                "SUCCESSFUL" => CheckState::Passed,
                "INPROGRESS" | "UNKNOWN" => CheckState::Pending,
                _ => CheckState::Failed,
            },
        };
        Ok(builds.into_iter().map(check).collect())
    }

    async fn set_status(
        &self,
        purpose: &str,
        repo: &str,
        number: u64,
        status: &DesiredStatus,
    ) -> Result<(), ForgeError> {
        // Setting a status does not need the account, but reading the account also checks that the server's
        // version is supported.
        self.load_own_account().await?;
        self.set_report(purpose, repo, number, status).await?;
        self.set_build_status(purpose, repo, number, status).await
    }

    async fn has_status(
        &self,
        purpose: &str,
        repo: &str,
        number: u64,
        status: &DesiredStatus,
    ) -> Result<bool, ForgeError> {
        self.has_build_status(purpose, repo, number, status).await
    }

    async fn load_repository(
        &self,
        purpose: &str,
        id: &str,
        repo: &str,
    ) -> Result<RepositoryDetails, ForgeError> {
        let body = self.read_repository_by_id(purpose, id, repo).await?;
        let (name, push) = (body.full_name(), self.may_push(purpose, &body).await);
        Ok(RepositoryDetails {
            default_branch: self.default_branch(purpose, &name).await?,
            write_access: WriteAccess { archived: body.archived, can_push: push, has_issues_enabled: false },
            is_fork: body.origin.is_some(),
            name,
        })
    }

    async fn has_write_access(&self, repo: &str, author: &AuthorAccount) -> Result<bool, ForgeError> {
        let what = format!("{repo}: reading the permissions of {}", author.login);
        let (key, slug) = split_repository_name(&what, repo)?;
        if author.login.is_empty() {
            return Err(rejected_error(&what, "the account has no name"));
        }
        let query = [
            ("filter", author.login.as_str()),
            ("permission.1", "REPO_WRITE"),
            ("permission.1.projectKey", key),
            ("permission.1.repositorySlug", slug),
        ];
        let url = with_query(self.root_url(["api", "latest", "users"]), &query);
        let listed: Vec<wire::DataCenterUser> = match self.get_all(&what, url).await {
            Ok(listed) => listed,
            Err(error @ ForgeError::Forbidden { .. }) => {
                return decide_without_permissions(&self.options().command_accounts, author, error);
            }
            Err(error) => return Err(error),
        };
        // The filter also matches parts of names, so the ids are compared here.
        Ok(listed.into_iter().filter_map(wire::DataCenterUser::into_account).any(|user| user.id == author.id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_verdict_is_the_servers_word() {
        assert_eq!(json!(ParticipantStatus::NeedsWork), "NEEDS_WORK");
    }
}
