//! Sets the results on a commit at Bitbucket Cloud: first a report with annotations on lines (Code Insights),
//! then a build status. A new report or status with the same key replaces the existing one, so no search is
//! needed before the write.

use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use truing_core::finding::DiffSide;
use truing_core::port::ForgeError;
use truing_core::publish::{CheckAnnotation, CheckConclusion, DesiredStatus, StatusState};
use url::Url;

use super::super::address::{STATUS_NAME, status_key};
use super::{BitbucketCloud, wire};
use crate::body::truncate_text;
use crate::capability::BITBUCKET_CLOUD;
use crate::http::ForgeRequest;

/// Maximum length of a report's text, in characters. Bitbucket's own limit is not published.
const MAX_REPORT_DETAILS_CHARS: usize = 2_000;
/// Maximum length of the summary of an annotation, in characters (observed).
const MAX_ANNOTATION_SUMMARY_CHARS: usize = 450;

/// Returns the state and description of a build status in Bitbucket's terms.
fn status_fields(status: &DesiredStatus) -> (&'static str, String) {
    let state = match status.state {
        StatusState::Success => "SUCCESSFUL",
        StatusState::Failure => "FAILED",
        StatusState::Pending => "INPROGRESS",
    };
    (state, truncate_text(&status.description, BITBUCKET_CLOUD.max_status_description_chars, "…"))
}

/// Builds an annotation. Returns `None` for lines on the old side, and for a path that JSON cannot represent.
fn annotation_json(key: &str, index: usize, annotation: &CheckAnnotation) -> Option<Value> {
    let place = &annotation.location;
    if place.side == DiffSide::Old {
        return None;
    }
    let path = place.path.as_str()?;
    // Equal annotations have equal ids, so sending an annotation again replaces the existing one.
    let mut hash = Sha256::new();
    for part in [path, &annotation.title, &annotation.message] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let mut digest = hex::encode(hash.finalize());
    digest.truncate(16);
    Some(json!({
        "external_id": format!("{key}-{index}-{digest}"),
        "annotation_type": "BUG",
        "path": path,
        "line": place.end_line,
        "summary": truncate_text(&annotation.title, MAX_ANNOTATION_SUMMARY_CHARS, "…"),
        "details": truncate_text(&annotation.message, MAX_REPORT_DETAILS_CHARS, "…"),
        "severity": if annotation.blocks { "HIGH" } else { "MEDIUM" },
    }))
}

impl BitbucketCloud {
    fn report_url(
        &self,
        purpose: &str,
        repo: &str,
        commit: &str,
        path_segments: &[&str],
    ) -> Result<Url, ForgeError> {
        let path: Vec<&str> =
            ["commit", commit, "reports"].into_iter().chain(path_segments.iter().copied()).collect();
        self.repository_url(purpose, repo, &path)
    }

    /// Sets the report. If the login may not set reports, or the report is rejected, only the build status is
    /// set. Only the build status can block a merge.
    pub(super) async fn set_report(
        &self,
        purpose: &str,
        repo: &str,
        number: u64,
        status: &DesiredStatus,
    ) -> Result<(), ForgeError> {
        match self.put_report(purpose, repo, number, status).await {
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
        number: u64,
        status: &DesiredStatus,
    ) -> Result<(), ForgeError> {
        let key = status_key(number);
        let commit = status.sha.as_str();
        let result = match status.check.conclusion {
            CheckConclusion::Success => "PASSED",
            CheckConclusion::Failure => "FAILED",
            CheckConclusion::Neutral => "PENDING",
        };
        // A report without details is rejected.
        let details = [&status.check.summary, &status.description].into_iter().find(|text| !text.is_empty());
        let details = details.map_or(STATUS_NAME, String::as_str);
        let report = json!({
            "title": STATUS_NAME,
            "details": truncate_text(details, MAX_REPORT_DETAILS_CHARS, "…"),
            "report_type": "BUG",
            "reporter": "Truing",
            "link": self.pull_page_url(purpose, repo, number)?.as_str(),
            "result": result,
        });
        let url = self.report_url(purpose, repo, commit, &[&key])?;
        // Deleting the report also deletes the annotations of an earlier report on this commit.
        match self.send(&ForgeRequest::set(purpose, Method::DELETE, url.clone(), None)).await {
            Ok(_) | Err(ForgeError::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
        self.send(&ForgeRequest::set(purpose, Method::PUT, url, Some(report))).await?.check_body()?;
        let all = status.check.annotations.iter().enumerate();
        let all: Vec<Value> = all
            .filter_map(|(at, annotation)| annotation_json(&key, at, annotation))
            .take(BITBUCKET_CLOUD.max_annotations_per_report)
            .collect();
        for batch in all.chunks(BITBUCKET_CLOUD.max_annotations_per_call) {
            let url = self.report_url(purpose, repo, commit, &[&key, "annotations"])?;
            // The request body is a JSON array of annotations, without an enclosing object.
            let call = ForgeRequest::set(purpose, Method::POST, url, Some(batch.to_vec().into()));
            self.send(&call).await?.json::<serde::de::IgnoredAny>()?;
        }
        Ok(())
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
            "state": state,
            "name": STATUS_NAME,
            "description": description,
            "url": self.pull_page_url(purpose, repo, number)?.as_str(),
        });
        let url =
            self.repository_url(purpose, repo, &["commit", status.sha.as_str(), "statuses", "build"])?;
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
        let key = status_key(number);
        let url =
            self.repository_url(purpose, repo, &["commit", status.sha.as_str(), "statuses", "build", &key])?;
        let there: wire::CloudStatus = match self.get(purpose, url).await {
            Ok(there) => there,
            Err(ForgeError::NotFound { .. }) => return Ok(false),
            Err(error) => return Err(error),
        };
        let (state, description) = status_fields(status);
        Ok(there.state == state && there.description == Some(description))
    }
}
