//! Changes the reviewers, the description and the draft state of the pull request, and merges its base into
//! its branch.

use reqwest::Method;
use serde_json::json;
use truing_core::id::Sha;
use truing_core::port::{EffectOutcome, ForgeError, PullState};

use super::GitHubClient;
use super::pull_queries::pull_state;
use crate::github::body::with_marker;
use crate::http::ForgeRequest;
use crate::marker::{disable_markers, normalize_text, split_marker};

impl GitHubClient {
    pub(super) async fn request_review(&self, login: &str) -> Result<(), ForgeError> {
        let what = self.pull_purpose(&format!("requesting a review from {login}"));
        let url = self.url(&what, &["pulls", &self.number(), "requested_reviewers"])?;
        // Requesting an account that is already requested changes nothing.
        self.send_set(what, Method::POST, url, Some(json!({ "reviewers": [login] }))).await
    }

    pub(super) async fn merge_base_into(&self, head: &Sha) -> Result<(), ForgeError> {
        let what = self.pull_purpose("merging the base branch into the pull request's branch");
        let url = self.url(&what, &["pulls", &self.number(), "update-branch"])?;
        // GitHub rejects the call if `head` is no longer the head, so the base is not merged into commits
        // that the loop has not seen.
        let call = ForgeRequest::set(what, Method::PUT, url, Some(json!({ "expected_head_sha": head })));
        self.send_branch_change(&call).await
    }

    pub(super) async fn mark_ready(&self) -> Result<(), ForgeError> {
        let request = self.pull_purpose("marking the pull request as ready for review");
        let pull = self.read_raw_pull(&request).await?;
        match pull_state(&pull) {
            PullState::Open => Ok(()),
            PullState::Draft => self.send_draft_state(&request, &pull.node_id, false).await,
            PullState::Merged | PullState::Closed => {
                let message = "it is closed".to_owned();
                Err(ForgeError::Rejected { request, message })
            }
        }
    }

    pub(super) async fn update_description(
        &self,
        expected_body: &str,
        body: &str,
    ) -> Result<EffectOutcome, ForgeError> {
        let what = self.pull_purpose("changing the description of the pull request");
        let accounts = self.accounts().await?;
        let pull = self.read_raw_pull(&what).await?;
        let (now, marker) = split_marker(pull.body.as_deref().unwrap_or_default());
        let new = normalize_text(&disable_markers(body));
        if now == new {
            return Ok(EffectOutcome::Applied);
        }
        if now != normalize_text(expected_body) {
            return Ok(EffectOutcome::Superseded);
        }
        // If the pull request is ours, its marker is kept, because a loop recognises its pull request by the
        // marker. A marker in another account's text is not kept.
        let is_ours = pull.user.as_ref().is_some_and(|user| accounts.account_kind(user).is_some());
        let new = match marker.filter(|_| is_ours) {
            Some(marker) => with_marker(body, &marker),
            None => new,
        };
        let url = self.url(&what, &["pulls", &self.number()])?;
        self.send_set(what, Method::PATCH, url, Some(json!({ "body": new }))).await?;
        Ok(EffectOutcome::Applied)
    }
}
