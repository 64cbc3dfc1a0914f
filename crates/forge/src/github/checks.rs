//! Check runs: a GitHub App's results for a commit.
//!
//! Creating a check run is not idempotent, and annotations can only be added, at most 50 in one call. So the
//! `external_id` of a check run identifies its pull request and its complete list of annotations. If an
//! existing check run has only the first annotations of this list, the missing annotations are added. If the
//! response to a creation was lost, the existing check run is searched for.

use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use truing_core::finding::DiffSide;
use truing_core::id::{PrId, SlotKey};
use truing_core::port::ForgeError;
use truing_core::publish::{CheckAnnotation, CheckConclusion, DesiredStatus};

use super::client::GitHubClient;
use super::{STATUS_CONTEXT, body};
use crate::capability::GITHUB;
use crate::http::ForgeRequest;

/// Maximum length of a summary that GitHub accepts, in characters.
const MAX_SUMMARY_CHARS: usize = 65_535;
/// Maximum length of the title of an annotation, in characters.
const MAX_TITLE_CHARS: usize = 255;
/// Number of digits of the hash of a check run's annotations.
const DIGEST_DIGITS: usize = 16;

#[derive(Deserialize)]
struct CheckRunList {
    check_runs: Vec<ListedCheckRun>,
}

#[derive(Deserialize)]
struct ListedCheckRun {
    id: u64,
    external_id: Option<String>,
    output: CheckRunOutput,
}

#[derive(Deserialize)]
struct CheckRunOutput {
    annotations_count: usize,
}

/// Returns the pull request that the `external_id` of our check run names.
pub(super) fn parse_check_external_id(external_id: &str) -> Option<PrId> {
    let (whose, _) = external_id.split_once('#')?;
    PrId::from_key(&SlotKey::new(whose))
}

impl GitHubClient {
    /// Creates or updates our check run on the commit. If a check run was begun for exactly these
    /// annotations, it is updated, and missing annotations are added. Otherwise, an existing check run
    /// without annotations is updated. If neither exists, a new check run is created; GitHub shows it in
    /// place of the older check runs.
    pub(super) async fn set_check(&self, app_id: u64, status: &DesiredStatus) -> Result<(), ForgeError> {
        let what = self.pull_purpose(&format!("setting the check run of commit {}", status.sha.short_sha()));
        let all: Vec<Value> = status.check.annotations.iter().filter_map(build_annotation).collect();
        let whose = self.id.key();
        let name = format!("{whose}#{}", annotations_digest(&all));
        let runs = self.list_own_check_runs(&what, app_id, status, whose.as_str()).await?;
        let begun = runs.iter().find(|run| run.external_id.as_deref() == Some(name.as_str()));
        let blank = || runs.iter().find(|run| run.output.annotations_count == 0);
        let mut rest = all.as_slice();
        let id = match begun.or_else(blank) {
            Some(run) => {
                rest = rest.get(run.output.annotations_count..).unwrap_or_default();
                // The update is sent even if the check run is complete: an account that requested a rerun
                // waits for the new completion.
                if rest.is_empty() {
                    let url = self.check_run_url(&what, run.id)?;
                    let wanted = check_run_body(status, &name, &[]);
                    self.send(&ForgeRequest::set(what.as_str(), Method::PATCH, url, Some(wanted)))
                        .await?
                        .check_body()?;
                }
                run.id
            }
            None => {
                let mut body = check_run_body(status, &name, take_batch(&mut rest));
                body["name"] = STATUS_CONTEXT.into();
                body["head_sha"] = status.sha.as_str().into();
                let url = self.url(&what, &["check-runs"])?;
                self.send(&ForgeRequest::create(what.as_str(), url, body)).await?.json::<ListedCheckRun>()?.id
            }
        };
        while !rest.is_empty() {
            let body = check_run_body(status, &name, take_batch(&mut rest));
            self.send(&ForgeRequest::append(what.as_str(), self.check_run_url(&what, id)?, body))
                .await?
                .check_body()?;
        }
        Ok(())
    }

    /// Lists our check runs for this pull request on the commit. Check runs for another pull request with the
    /// same commit are omitted.
    async fn list_own_check_runs(
        &self,
        purpose: &str,
        app_id: u64,
        status: &DesiredStatus,
        external_id_prefix: &str,
    ) -> Result<Vec<ListedCheckRun>, ForgeError> {
        let mut url = self.url(purpose, &["commits", status.sha.as_str(), "check-runs"])?;
        url.query_pairs_mut()
            .append_pair("check_name", STATUS_CONTEXT)
            .append_pair("app_id", &app_id.to_string())
            .append_pair("filter", "all")
            .append_pair("per_page", &GITHUB.max_page_size.to_string());
        let mut runs = self.send(&ForgeRequest::get(purpose, url)).await?.json::<CheckRunList>()?.check_runs;
        let ours = |id: &str| id.strip_prefix(external_id_prefix).is_some_and(|rest| rest.starts_with('#'));
        runs.retain(|run| run.external_id.as_deref().is_some_and(ours));
        Ok(runs)
    }

    fn check_run_url(&self, purpose: &str, id: u64) -> Result<url::Url, ForgeError> {
        self.url(purpose, &["check-runs", &id.to_string()])
    }
}

/// Removes from `remaining_annotations` as many annotations as one call may contain, and returns them.
fn take_batch<'a>(remaining_annotations: &mut &'a [Value]) -> &'a [Value] {
    let (batch, left) =
        remaining_annotations.split_at(remaining_annotations.len().min(GITHUB.max_annotations_per_call));
    *remaining_annotations = left;
    batch
}

/// Returns a hash of the annotations. Annotations cannot be removed from a check run, so the hash shows
/// whether an existing check run can be used.
fn annotations_digest(annotations: &[Value]) -> String {
    let mut hash = Sha256::new();
    for annotation in annotations {
        hash.update(annotation.to_string());
    }
    let mut digest = hex::encode(hash.finalize());
    digest.truncate(DIGEST_DIGITS);
    digest
}

/// Returns the request body that sets the result of the check run and adds these annotations.
fn check_run_body(status: &DesiredStatus, name: &str, annotations: &[Value]) -> Value {
    let conclusion = match status.check.conclusion {
        CheckConclusion::Success => "success",
        CheckConclusion::Failure => "failure",
        CheckConclusion::Neutral => "neutral",
    };
    json!({
        "external_id": name,
        "status": "completed",
        "conclusion": conclusion,
        "output": {
            "title": body::truncate_text(&status.description, MAX_TITLE_CHARS, "…"),
            "summary": body::truncate_text(&status.check.summary, MAX_SUMMARY_CHARS, "\n\n… (truncated)"),
            "annotations": annotations,
        },
    })
}

/// Builds an annotation. Returns `None` for lines on the old side of the diff, and for a path that JSON
/// cannot represent.
fn build_annotation(annotation: &CheckAnnotation) -> Option<Value> {
    let place = &annotation.location;
    if place.side == DiffSide::Old {
        return None;
    }
    Some(json!({
        "path": place.path.as_str()?,
        "start_line": place.start_line,
        "end_line": place.end_line,
        "annotation_level": if annotation.blocks { "failure" } else { "warning" },
        "title": body::truncate_text(&annotation.title, MAX_TITLE_CHARS, "…"),
        "message": annotation.message,
    }))
}
