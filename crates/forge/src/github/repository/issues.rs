//! Issues that ask people a question, and labels.

use reqwest::Method;
use serde_json::json;
use truing_core::id::Topic;
use truing_core::port::{ForgeError, OwnIssue};

use super::bodies::GitHubIssue;
use super::{ForgeRequest, GitHubAccounts, GitHubClient, foreign_object_error, unavailable_error, wire};

impl GitHubClient {
    pub(in crate::github) async fn list_issues(&self, label: &str) -> Result<Vec<OwnIssue>, ForgeError> {
        let request = self.repository_purpose(&format!("listing issues with the label {label}"));
        if label.is_empty() || label.contains(',') {
            let message = "issues can be listed by only one label, without a comma".to_owned();
            return Err(ForgeError::Rejected { request, message });
        }
        let accounts = self.accounts().await?;
        let query = [("labels", label), ("state", "all"), ("sort", "created"), ("direction", "desc")];
        let url = self.list_url(&request, &["issues"], &query)?;
        let mut issues: Vec<GitHubIssue> = Vec::new();
        self.github.read_pages(self.scope(), &request, url, |issue| issues.push(issue)).await?;
        let issues =
            issues.into_iter().filter_map(|issue| self.to_own_issue(&request, &accounts, issue).transpose());
        issues.collect()
    }

    pub(in crate::github) async fn create_issue(
        &self,
        topic: &Topic,
        title: &str,
        body: &str,
        label: &str,
    ) -> Result<OwnIssue, ForgeError> {
        if let Some(issue) = self.find_open_issue(topic, label).await? {
            return Ok(issue);
        }
        let what = self.repository_purpose("opening an issue");
        let accounts = self.accounts().await?;
        let new = json!({ "title": title, "body": self.add_topic_marker(0, topic, body), "labels": [label] });
        let call = ForgeRequest::create(what.as_str(), self.url(&what, &["issues"])?, new);
        let issue = self.github.send(self.scope(), &call).await?.json()?;
        let made = self.to_own_issue(&what, &accounts, issue)?;
        made.ok_or_else(|| {
            unavailable_error(
                &what,
                "the forge reports success, but the new issue does not have the requested content",
            )
        })
    }

    pub(in crate::github) async fn rewrite_issue(
        &self,
        number: u64,
        topic: &Topic,
        title: &str,
        body: &str,
    ) -> Result<(), ForgeError> {
        let what = self.repository_purpose(&format!("rewriting issue {number}"));
        self.read_own_issue(&what, number).await?;
        let url = self.url(&what, &["issues", &number.to_string()])?;
        let new = json!({ "title": title, "body": self.add_topic_marker(0, topic, body) });
        self.send_set(what, Method::PATCH, url, Some(new)).await
    }

    pub(in crate::github) async fn close_issue(&self, number: u64) -> Result<(), ForgeError> {
        let what = self.repository_purpose(&format!("closing issue {number}"));
        if !self.read_own_issue(&what, number).await?.open {
            return Ok(());
        }
        let url = self.url(&what, &["issues", &number.to_string()])?;
        let closed = json!({ "state": "closed", "state_reason": "completed" });
        self.send_set(what, Method::PATCH, url, Some(closed)).await
    }

    pub(in crate::github) async fn add_labels(
        &self,
        number: u64,
        labels: &[String],
    ) -> Result<(), ForgeError> {
        if labels.is_empty() {
            return Ok(());
        }
        let what = self.repository_purpose(&format!("labelling {number}"));
        let url = self.url(&what, &["issues", &number.to_string(), "labels"])?;
        // Existing labels stay and are not duplicated. The response is a list.
        let call = ForgeRequest::set(what, Method::POST, url, Some(json!({ "labels": labels })));
        self.github.send(self.scope(), &call).await?.json::<Vec<serde::de::IgnoredAny>>().map(drop)
    }

    /// Reads an issue; returns an error if the issue is not ours.
    pub(super) async fn read_own_issue(&self, purpose: &str, number: u64) -> Result<OwnIssue, ForgeError> {
        let accounts = self.accounts().await?;
        let url = self.url(purpose, &["issues", &number.to_string()])?;
        let issue = self.github.send(self.scope(), &ForgeRequest::get(purpose, url)).await?.json()?;
        self.to_own_issue(purpose, &accounts, issue)?.ok_or_else(|| foreign_object_error(purpose))
    }

    /// Returns the issue; `None` if it is not ours, or is a pull request.
    fn to_own_issue(
        &self,
        purpose: &str,
        accounts: &GitHubAccounts<'_>,
        issue: GitHubIssue,
    ) -> Result<Option<OwnIssue>, ForgeError> {
        let is_ours = issue.user.as_ref().is_some_and(|user| accounts.account_kind(user).is_some());
        let (Some(topic), body) = self.read_topic(0, is_ours, issue.body.as_deref()) else { return Ok(None) };
        if issue.pull_request.is_some() {
            return Ok(None);
        }
        Ok(Some(OwnIssue {
            number: issue.number,
            url: issue.html_url,
            title: issue.title,
            body,
            topic,
            open: issue.state == "open",
            locked: issue.locked,
            created: wire::parse_instant(purpose, &issue.created_at)?,
        }))
    }
}
