//! Sets the results on a commit at a Data Center: first a report with annotations on lines (Code Insights),
//! then a build status. A new report or status with the same key replaces the old one. Annotations have no
//! key, so the old annotations are deleted before new annotations are posted.
//!
//! The settings of a repository can require a report by its key, and a build by its parent's key. Truing uses
//! the same two keys for all pull requests. A commit has only one report, but may be the head of several pull
//! requests. The report therefore shows the worst result of these pull requests.

use reqwest::Method;
use serde_json::{Value, json};
use truing_core::finding::DiffSide;
use truing_core::id::Sha;
use truing_core::port::ForgeError;
use truing_core::publish::{CheckAnnotation, CheckConclusion, DesiredStatus, StatusState};
use url::Url;

use super::super::address::{STATUS_NAME, pull_number_from_key, status_key, with_query};
use super::{BitbucketDataCenter, wire};
use crate::body::truncate_text;
use crate::capability::BITBUCKET_DC;
use crate::http::ForgeRequest;

/// Key of Truing's report, and parent key of Truing's build statuses.
const REQUIRED_CHECK_KEY: &str = "truing-review";
/// Maximum length of a report's text, in characters.
const MAX_REPORT_DETAILS_CHARS: usize = 2_000;
/// Maximum length of the message of an annotation, in characters.
const MAX_ANNOTATION_MESSAGE_CHARS: usize = 2_000;
/// Maximum length of the web address in a build status, in characters. A build status without an address is
/// rejected.
const MAX_STATUS_URL_CHARS: usize = 450;

/// Returns the state and description of a build status in Bitbucket's terms.
fn status_fields(status: &DesiredStatus) -> (&'static str, String) {
    let state = match status.state {
        StatusState::Success => "SUCCESSFUL",
        StatusState::Failure => "FAILED",
        StatusState::Pending => "INPROGRESS",
    };
    (state, truncate_text(&status.description, BITBUCKET_DC.max_status_description_chars, "…"))
}

/// Builds an annotation. Returns `None` for lines on the old side, and for a path that JSON cannot represent.
fn annotation_json(index: usize, annotation: &CheckAnnotation) -> Option<Value> {
    let place = &annotation.location;
    if place.side == DiffSide::Old {
        return None;
    }
    let message = format!("{}\n{}", annotation.title, annotation.message);
    Some(json!({
        "externalId": format!("{REQUIRED_CHECK_KEY}-{index}"),
        "path": place.path.as_str()?,
        "line": place.end_line,
        "message": truncate_text(message.trim(), MAX_ANNOTATION_MESSAGE_CHARS, "…"),
        "severity": if annotation.blocks { "HIGH" } else { "MEDIUM" },
        "type": "BUG",
    }))
}

impl BitbucketDataCenter {
    /// Returns the address of Truing's report on a commit, with these segments appended.
    fn report_url(
        &self,
        purpose: &str,
        repo: &str,
        status: &DesiredStatus,
        path_segments: &[&str],
    ) -> Result<Url, ForgeError> {
        let path = ["commits", status.sha.as_str(), "reports", REQUIRED_CHECK_KEY];
        let path: Vec<&str> = path.into_iter().chain(path_segments.iter().copied()).collect();
        self.repository_api_url(purpose, "insights", repo, &path)
    }

    /// Sets the report. If the login may not set reports, or the report is rejected, only the build status is
    /// set. Merges depend only on the build status. A report that another account has created stays
    /// unchanged.
    pub(super) async fn set_report(
        &self,
        purpose: &str,
        repo: &str,
        number: u64,
        status: &DesiredStatus,
    ) -> Result<(), ForgeError> {
        match self.put_report(purpose, repo, (number, status)).await {
            Err(
                error @ (ForgeError::Forbidden { .. }
                | ForgeError::NotFound { .. }
                | ForgeError::Rejected { .. }),
            ) => {
                tracing::warn!(
                    repo,
                    %error,
                    "could not set the report on the commit; the build status is set without the report"
                );
                Ok(())
            }
            set => set,
        }
    }

    async fn put_report(
        &self,
        purpose: &str,
        repo: &str,
        pull_and_status: (u64, &DesiredStatus),
    ) -> Result<(), ForgeError> {
        let (number, status) = pull_and_status;
        let mut report = json!({
            "title": STATUS_NAME,
            "details": truncate_text(&status.check.summary, MAX_REPORT_DETAILS_CHARS, "…"),
            "reporter": "Truing",
            "link": self.pull_page_url(purpose, repo, number)?.as_str(),
            "data": [],
        });
        // The API has no value for a neutral result, so the field is omitted in this case.
        match self.worst_conclusion(purpose, repo, pull_and_status.0, pull_and_status.1).await? {
            CheckConclusion::Success => report["result"] = "PASS".into(),
            CheckConclusion::Failure => report["result"] = "FAIL".into(),
            CheckConclusion::Neutral => {}
        }
        let url = self.report_url(purpose, repo, status, &[])?;
        self.send(&ForgeRequest::set(purpose, Method::PUT, url, Some(report))).await?.check_body()?;
        let url = self.report_url(purpose, repo, status, &["annotations"])?;
        self.send(&ForgeRequest::set(purpose, Method::DELETE, url.clone(), None)).await?.check_body()?;
        let all = status.check.annotations.iter().enumerate();
        let all: Vec<Value> = all
            .filter_map(|(at, annotation)| annotation_json(at, annotation))
            // If there are more annotations than the limit, the server rejects all of them.
            .take(BITBUCKET_DC.max_annotations_per_report)
            .collect();
        for batch in all.chunks(BITBUCKET_DC.max_annotations_per_call) {
            // A retry may post annotations a second time. The next status deletes all of them.
            let call = ForgeRequest::create(purpose, url.clone(), json!({ "annotations": batch }));
            self.send(&call).await?.check_body()?;
        }
        Ok(())
    }

    /// Returns the worst conclusion of the repository's pull requests with this commit. If only one pull
    /// request's conclusion counted, another pull request with the same commit could replace a failure. For
    /// example, it could target a branch that already contains the changes, and pass.
    async fn worst_conclusion(
        &self,
        purpose: &str,
        repo: &str,
        number: u64,
        status: &DesiredStatus,
    ) -> Result<CheckConclusion, ForgeError> {
        let mut worst = status.check.conclusion;
        if worst == CheckConclusion::Failure {
            return Ok(worst);
        }
        for build in self.list_build_statuses(purpose, &status.sha).await? {
            let Some(other) = pull_number_from_key(&build.key).filter(|other| *other != number) else {
                continue;
            };
            // A fork can have the same commit and the same pull request number. Only statuses that link to a
            // pull request of this repository count.
            if build.url != Some(self.build_page_url(purpose, repo, other)?) {
                continue;
            }
            match build.state.as_str() {
                "SUCCESSFUL" => {}
                "INPROGRESS" | "UNKNOWN" => worst = CheckConclusion::Neutral,
                _ => return Ok(CheckConclusion::Failure),
            }
        }
        Ok(worst)
    }

    /// Lists the build statuses of a commit, in all repositories. The newer API call is not used, because it
    /// returns only the status of one key.
    pub(super) async fn list_build_statuses(
        &self,
        purpose: &str,
        commit: &Sha,
    ) -> Result<Vec<wire::BuildStatus>, ForgeError> {
        self.get_all(purpose, self.root_url(["build-status", "latest", "commits", commit.as_str()])).await
    }

    /// Returns the web address for a build status: the pull request's address, or the server's address if the
    /// pull request's address is too long.
    fn build_page_url(&self, purpose: &str, repo: &str, number: u64) -> Result<String, ForgeError> {
        let page = self.pull_page_url(purpose, repo, number)?.to_string();
        Ok(if page.len() <= MAX_STATUS_URL_CHARS { page } else { self.inner.options.api_url.to_string() })
    }

    fn build_statuses_url(
        &self,
        purpose: &str,
        repo: &str,
        status: &DesiredStatus,
    ) -> Result<Url, ForgeError> {
        self.repository_url(purpose, repo, &["commits", status.sha.as_str(), "builds"])
    }

    pub(super) async fn set_build_status(
        &self,
        purpose: &str,
        repo: &str,
        number: u64,
        status: &DesiredStatus,
    ) -> Result<(), ForgeError> {
        let (state, description) = status_fields(status);
        let body = json!({
            "key": status_key(number),
            "parent": REQUIRED_CHECK_KEY,
            "state": state,
            "name": STATUS_NAME,
            "description": description,
            "url": self.build_page_url(purpose, repo, number)?,
        });
        let url = self.build_statuses_url(purpose, repo, status)?;
        self.send(&ForgeRequest::set(purpose, Method::POST, url, Some(body))).await?.check_body()
    }

    /// Returns true if the commit has this build status, set by Truing.
    pub(super) async fn has_build_status(
        &self,
        purpose: &str,
        repo: &str,
        number: u64,
        status: &DesiredStatus,
    ) -> Result<bool, ForgeError> {
        let url =
            with_query(self.build_statuses_url(purpose, repo, status)?, &[("key", &status_key(number))]);
        let there: wire::BuildStatus = match self.get(purpose, url).await {
            Ok(there) => there,
            Err(ForgeError::NotFound { .. }) => return Ok(false),
            Err(error) => return Err(error),
        };
        let (state, description) = status_fields(status);
        Ok(there.state == state && there.description == Some(description))
    }
}
