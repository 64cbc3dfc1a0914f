//! Changes a pull request of Bitbucket Cloud. The call removes all reviewers that it does not name, so it
//! must name all of them. If one of them has left the workspace, Bitbucket rejects the whole call.

use reqwest::Method;
use serde_json::{Value, json};
use truing_core::port::{ForgeError, PullState};

use super::super::address::{rejected_error, split_repository_name};
use super::super::calls::{BitbucketApi as _, BitbucketPullRequest, BitbucketUser, PullRequestEdit};
use super::{BitbucketCloud, wire};
use crate::http::ForgeRequest;

/// Prefix that `http::classify` adds to a rejection message about reviewers. The message is not parsed,
/// because it contains names that accounts can choose freely.
const REVIEWER_REJECTION_PREFIX: &str = "reviewers: ";
/// Maximum number of reviewers of one pull request that are checked. Reviewers beyond this number are never
/// removed.
const MAX_CHECKED_REVIEWERS: usize = 50;

impl BitbucketCloud {
    /// Changes a pull request. The call contains every field, because it clears omitted fields. If the call
    /// is rejected because of its reviewers, it is sent once more without the reviewers who have certainly
    /// left the workspace. All other reviewers stay, including a reviewer who is requested by this change.
    pub(super) async fn update_pull(
        &self,
        purpose: &str,
        repo: &str,
        pull: &BitbucketPullRequest,
        change: PullRequestEdit<'_>,
        new_reviewer: Option<&str>,
    ) -> Result<(), ForgeError> {
        let there = pull.reviewers.iter().filter(|one| one.is_requested).map(|one| &one.user);
        let there: Vec<&BitbucketUser> = there.collect();
        let refused =
            match self.update_pull_with_reviewers(purpose, repo, pull, change, new_reviewer, &there).await {
                Err(ForgeError::Rejected { message, .. }) if message.contains(REVIEWER_REJECTION_PREFIX) => {
                    message
                }
                sent => return sent,
            };
        let gone = self.departed_reviewers(purpose, repo, &there).await?;
        if gone.is_empty() {
            return Err(rejected_reviewers_error(purpose, &refused, new_reviewer));
        }
        let ids: Vec<&str> = gone.iter().map(|user| user.id.as_str()).collect();
        tracing::warn!(
            repo,
            number = pull.number,
            reviewers = %ids.join(", "),
            "the forge refuses reviewers who have left the workspace: the pull request is changed without \
                these reviewers"
        );
        let left: Vec<&BitbucketUser> = there.into_iter().filter(|user| !gone.contains(user)).collect();
        match self.update_pull_with_reviewers(purpose, repo, pull, change, new_reviewer, &left).await {
            Err(ForgeError::Rejected { message, .. }) if message.contains(REVIEWER_REJECTION_PREFIX) => {
                Err(rejected_reviewers_error(purpose, &message, new_reviewer))
            }
            sent => sent,
        }
    }

    /// Sends the change with the existing reviewers and with `new_reviewer`, if there is one.
    async fn update_pull_with_reviewers(
        &self,
        purpose: &str,
        repo: &str,
        pull: &BitbucketPullRequest,
        change: PullRequestEdit<'_>,
        new_reviewer: Option<&str>,
        existing_reviewers: &[&BitbucketUser],
    ) -> Result<(), ForgeError> {
        let existing_reviewers = existing_reviewers.iter().map(|user| user.id.as_str());
        let reviewers: Vec<Value> =
            existing_reviewers.chain(new_reviewer).map(|uuid| json!({ "uuid": uuid })).collect();
        let body = json!({
            "title": change.title.unwrap_or(&pull.title),
            "description": change.description.unwrap_or(&pull.description),
            "draft": change.draft.unwrap_or(pull.state == PullState::Draft),
            "reviewers": reviewers,
        });
        let url = self.pull_url(purpose, repo, pull.number, &[])?;
        self.send(&ForgeRequest::set(purpose, Method::PUT, url, Some(body))).await?.check_body()
    }

    /// Returns the reviewers who have certainly left: their account is closed, or they are not members of the
    /// workspace.
    async fn departed_reviewers<'a>(
        &self,
        purpose: &str,
        repo: &str,
        existing_reviewers: &[&'a BitbucketUser],
    ) -> Result<Vec<&'a BitbucketUser>, ForgeError> {
        let (workspace, _) = split_repository_name(purpose, repo)?;
        let own = self.own_account().await?.user;
        // If the token cannot even see Truing's own membership, a missing membership of another account
        // proves nothing.
        let tells = self.is_member(purpose, workspace, &own).await? == Some(true);
        let mut gone = Vec::new();
        for user in existing_reviewers.iter().take(MAX_CHECKED_REVIEWERS) {
            let is_gone = self.is_closed(purpose, user).await?
                || (tells && self.is_member(purpose, workspace, user).await? == Some(false));
            if is_gone {
                gone.push(*user);
            }
        }
        Ok(gone)
    }

    /// Returns true if the account is closed. An account that the token cannot read counts as open.
    async fn is_closed(&self, purpose: &str, user: &BitbucketUser) -> Result<bool, ForgeError> {
        match self.get::<wire::CloudAccount>(purpose, self.root_url(["users", user.id.as_str()])).await {
            Ok(account) => Ok(account.is_closed()),
            Err(
                ForgeError::NotFound { .. } | ForgeError::Forbidden { .. } | ForgeError::Unauthorized { .. },
            ) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Returns true if the account is a member of the workspace; `None` if the token may not read
    /// memberships.
    async fn is_member(
        &self,
        purpose: &str,
        workspace: &str,
        user: &BitbucketUser,
    ) -> Result<Option<bool>, ForgeError> {
        let url = self.root_url(["workspaces", workspace, "members", user.id.as_str()]);
        match self.get::<Value>(purpose, url).await {
            Ok(_) => Ok(Some(true)),
            Err(ForgeError::NotFound { .. }) => Ok(Some(false)),
            Err(ForgeError::Forbidden { .. } | ForgeError::Unauthorized { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Returns the error for rejected reviewers when no reviewer is known to have left. If the change does not
/// request a new reviewer, the error adds advice to the forge's message.
fn rejected_reviewers_error(
    purpose: &str,
    rejection_message: &str,
    new_reviewer: Option<&str>,
) -> ForgeError {
    let hint = match new_reviewer {
        Some(_) => "",
        None => {
            "; remove reviewers who have left the workspace from the pull request, or use a token that may \
                read the members of the workspace (docs/bitbucket.md)"
        }
    };
    rejected_error(purpose, &format!("{rejection_message}{hint}"))
}
