//! The calls of [`super::GitHubClient`] on a repository, used by loops that propose changes to the
//! repository. Branches are pushed with git, to the remote that [`crate::ForgeServer::resolve_remote`]
//! returns.
//!
//! A pull request, issue or comment is changed only if one of our accounts wrote it and its text has our
//! marker; both are checked before each change. Our pull requests are closed, never merged.

pub(super) mod bodies;
mod effect_checks;
mod issues;
pub(super) mod pulls;
mod replies;
#[cfg(test)]
mod tests;

use reqwest::Method;
use serde_json::Value;
use truing_core::id::{PrId, TimeSpan, Topic};
use truing_core::port::{Actor, ForgeError, RepositoryDetails, WriteAccess};
use url::Url;

use super::address::append_segments;
use super::auth::{GitHubAccounts, TokenScope};
use super::body::with_marker;
use super::client::GitHubClient;
use super::{account_id, wire};
use crate::http::{ForgeRequest, unavailable_error};

impl GitHubClient {
    /// Returns the id for the marker of a text in this pull request or issue.
    pub(super) fn marker_pr_id(&self, number: u64) -> PrId {
        PrId { number, ..self.id.clone() }
    }

    /// Returns a text with the marker as its last line, ready to post. `number` is the number of the pull
    /// request or issue whose conversation contains the comment. For the description of a pull request or an
    /// issue, `number` is 0.
    pub(super) fn add_topic_marker(&self, number: u64, topic: &Topic, text: &str) -> String {
        with_marker(text, &self.marker_keys().sign_topic(&self.marker_pr_id(number), self.producer, topic))
    }

    /// Returns the text without its marker, and the topic if one of our accounts wrote the text.
    fn read_topic(&self, number: u64, is_own_text: bool, text: Option<&str>) -> (Option<Topic>, String) {
        let (topic, body) = self.marker_keys().find_topic(
            &self.marker_pr_id(number),
            self.producer,
            text.unwrap_or_default(),
        );
        (topic.filter(|_| is_own_text), body)
    }

    /// Returns the topic and the text as `read_topic` does, but accepts only a marker that verifies.
    pub(super) fn read_verified_topic(
        &self,
        number: u64,
        is_own_text: bool,
        text: Option<&str>,
    ) -> (Option<Topic>, String) {
        let text = text.unwrap_or_default();
        let (topic, body) =
            self.marker_keys().find_verified_topic(&self.marker_pr_id(number), self.producer, text);
        (topic.filter(|_| is_own_text), body)
    }

    /// Sends a call that sets a value.
    pub(super) async fn send_set(
        &self,
        purpose: String,
        method: Method,
        url: Url,
        body: Option<Value>,
    ) -> Result<(), ForgeError> {
        self.github.send(self.scope(), &ForgeRequest::set(purpose, method, url, body)).await?.check_body()
    }
}

/// Returns an account as an actor, marked if it is ours.
pub(super) fn to_actor(accounts: &GitHubAccounts<'_>, user: &wire::GitHubUser) -> Actor {
    Actor {
        id: account_id(user.id),
        login: user.login.clone().unwrap_or_default(),
        is_own_account: accounts.account_kind(user).is_some(),
        is_person: user.kind == "User",
    }
}

/// Returns the error for a change of an object that we did not create.
fn foreign_object_error(purpose: &str) -> ForgeError {
    let message = "Truing did not write this text: the author or the marker is not Truing's".to_owned();
    ForgeError::Rejected { request: purpose.to_owned(), message }
}

impl GitHubClient {
    /// Returns the time for which a new object may stay invisible if the response to its creation was lost.
    pub(super) fn settle_delay(&self) -> TimeSpan {
        self.github.inner.options.settle_delay
    }

    /// Reads the current state of the repository.
    pub(super) async fn read_repository(&self) -> Result<RepositoryDetails, ForgeError> {
        let what = self.repository_purpose("reading the repository");
        let url = append_segments(&self.github.inner.options.api_url, ["repositories", &self.id.repository]);
        let body: bodies::GitHubRepository =
            self.github.send(self.scope(), &ForgeRequest::get(what, url)).await?.json()?;
        let writable = WriteAccess {
            archived: body.archived,
            can_push: self.may_push(body.permissions.map(|permissions| permissions.push)).await?,
            has_issues_enabled: body.has_issues,
        };
        let (name, default_branch) = (body.full_name, body.default_branch);
        Ok(RepositoryDetails { name, default_branch, write_access: writable, is_fork: body.fork })
    }

    /// Returns true if we may push to the repository; `None` if the permission is unknown.
    /// `reported_permission` is the permission that the repository reports for the requesting account.
    async fn may_push(&self, reported_permission: Option<bool>) -> Result<Option<bool>, ForgeError> {
        if self.github.app_id().is_none() {
            // A repository reports the permission of an account. An installation's token has no account, so
            // its reported permission is ignored.
            let installation = self.github.identity(self.scope()).await?.is_installation;
            return Ok(reported_permission.filter(|_| !installation));
        }
        let (auth, http) = (&self.github.inner.auth, &self.github.inner.http);
        let pushing = TokenScope::RepositoryPush(&self.id.repository, &self.repo);
        match auth.authorization(http, pushing).await {
            Ok(_) => Ok(Some(true)),
            Err(ForgeError::Forbidden { .. }) => Ok(Some(false)),
            Err(error) => Err(error),
        }
    }
}
