//! What is shown beside a commit at a Data Center: a report with notes on lines (Code Insights), then a build status. One
//! with the same key again takes the place of the old; notes are deleted before they are posted, as nothing tells them apart.

use reqwest::Method;
use serde_json::{Value, json};
use truing_core::finding::Side;
use truing_core::port::ForgeError;
use truing_core::publish::{Annotation, Conclusion, DesiredStatus, StatusState};
use url::Url;

use super::super::address::{STATUS_NAME, status_key, with_query};
use super::{BitbucketDataCenter, wire};
use crate::body::cut;
use crate::capability::BITBUCKET_DC;
use crate::http::Call;

/// The longest text of a report, in characters.
const MAX_DETAILS: usize = 2_000;
/// The longest message of a note, in characters.
const MAX_MESSAGE: usize = 2_000;
/// The longest address of a build status, in characters; it is required.
const MAX_URL: usize = 450;

/// A build status in Bitbucket's words.
fn told(status: &DesiredStatus) -> (&'static str, String) {
    let state = match status.state {
        StatusState::Success => "SUCCESSFUL",
        StatusState::Failure => "FAILED",
        StatusState::Pending => "INPROGRESS",
    };
    (state, cut(&status.description, BITBUCKET_DC.status_text, "…"))
}

/// None for lines that the head does not have, and for a path that JSON cannot hold.
fn note(key: &str, at: usize, annotation: &Annotation) -> Option<Value> {
    let place = &annotation.place;
    if place.side == Side::Old {
        return None;
    }
    let message = format!("{}\n{}", annotation.title, annotation.message);
    Some(json!({
        "externalId": format!("{key}-{at}"),
        "path": place.path.as_str()?,
        "line": place.end_line,
        "message": cut(message.trim(), MAX_MESSAGE, "…"),
        "severity": if annotation.blocks { "HIGH" } else { "MEDIUM" },
        "type": "BUG",
    }))
}

impl BitbucketDataCenter {
    /// An address below our report's on a commit.
    fn report_url(
        &self,
        what: &str,
        repo: &str,
        (number, status): (u64, &DesiredStatus),
        tail: &[&str],
    ) -> Result<Url, ForgeError> {
        let key = status_key(number);
        let path = ["commits", status.sha.as_str(), "reports", key.as_str()];
        let path: Vec<&str> = path.into_iter().chain(tail.iter().copied()).collect();
        self.in_api(what, "insights", repo, &path)
    }

    /// Sets the report. A login that may not has the build status alone, and so has a report that is refused: the build status
    /// is what merges wait for. A report that another account made stays.
    pub(super) async fn set_report(
        &self,
        what: &str,
        repo: &str,
        number: u64,
        status: &DesiredStatus,
    ) -> Result<(), ForgeError> {
        match self.put_report(what, repo, (number, status)).await {
            Err(
                error @ (ForgeError::Forbidden { .. }
                | ForgeError::NotFound { .. }
                | ForgeError::Rejected { .. }),
            ) => {
                tracing::warn!(
                    repo,
                    %error,
                    "could not set the report on the commit; the build status is set without it"
                );
                Ok(())
            }
            set => set,
        }
    }

    async fn put_report(&self, what: &str, repo: &str, of: (u64, &DesiredStatus)) -> Result<(), ForgeError> {
        let (number, status) = of;
        let mut report = json!({
            "title": STATUS_NAME,
            "details": cut(&status.check.summary, MAX_DETAILS, "…"),
            "reporter": "Truing",
            "link": self.page_of(what, repo, number)?.as_str(),
            "data": [],
        });
        // There is no word for neither.
        match status.check.conclusion {
            Conclusion::Success => report["result"] = "PASS".into(),
            Conclusion::Failure => report["result"] = "FAIL".into(),
            Conclusion::Neutral => {}
        }
        let url = self.report_url(what, repo, of, &[])?;
        self.send(&Call::set(what, Method::PUT, url, Some(report))).await?.done()?;
        let url = self.report_url(what, repo, of, &["annotations"])?;
        self.send(&Call::set(what, Method::DELETE, url.clone(), None)).await?.done()?;
        let key = status_key(number);
        let all = status.check.annotations.iter().enumerate();
        let all: Vec<Value> = all
            .filter_map(|(at, annotation)| note(&key, at, annotation))
            // One too many and all are refused.
            .take(BITBUCKET_DC.report_annotations)
            .collect();
        for batch in all.chunks(BITBUCKET_DC.annotations) {
            // Posted twice they are there twice: the next status deletes both.
            let call = Call::create(what, url.clone(), json!({ "annotations": batch }));
            self.send(&call).await?.done()?;
        }
        Ok(())
    }

    fn builds_url(&self, what: &str, repo: &str, status: &DesiredStatus) -> Result<Url, ForgeError> {
        self.url(what, repo, &["commits", status.sha.as_str(), "builds"])
    }

    pub(super) async fn set_build(
        &self,
        what: &str,
        repo: &str,
        number: u64,
        status: &DesiredStatus,
    ) -> Result<(), ForgeError> {
        let (state, description) = told(status);
        let page = self.page_of(what, repo, number)?.to_string();
        let body = json!({
            "key": status_key(number),
            "state": state,
            "name": STATUS_NAME,
            "description": description,
            "url": if page.len() <= MAX_URL { page.as_str() } else { self.inner.options.api_url.as_str() },
        });
        let url = self.builds_url(what, repo, status)?;
        self.send(&Call::set(what, Method::POST, url, Some(body))).await?.done()
    }

    /// Has the commit this build status of ours?
    pub(super) async fn has_build(
        &self,
        what: &str,
        repo: &str,
        number: u64,
        status: &DesiredStatus,
    ) -> Result<bool, ForgeError> {
        let url = with_query(self.builds_url(what, repo, status)?, &[("key", &status_key(number))]);
        let there: wire::Build = match self.get(what, url).await {
            Ok(there) => there,
            Err(ForgeError::NotFound { .. }) => return Ok(false),
            Err(error) => return Err(error),
        };
        let (state, description) = told(status);
        Ok(there.state == state && there.description == Some(description))
    }
}
