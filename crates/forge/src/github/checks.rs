//! Check runs: what a GitHub App shows beside a commit (facts/forges.md 4.1).
//!
//! Making one is not idempotent, and annotations are only ever added, 50 a call. So a check run says in its
//! `external_id` whose it is and which annotations it is to hold: one that is there is continued from those
//! that it has, and an answer that was lost is made up for by looking.

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

/// The longest summary that GitHub takes, in characters.
const MAX_SUMMARY_CHARS: usize = 65_535;
/// The longest title of an annotation, in characters.
const MAX_TITLE_CHARS: usize = 255;
/// Digits of the hash of what a check run holds.
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

/// The pull request that a check run of ours is for, by its `external_id`.
pub(super) fn pull_of_check(external_id: &str) -> Option<PrId> {
    let (whose, _) = external_id.split_once('#')?;
    PrId::from_key(&SlotKey::new(whose))
}

impl GitHubClient {
    /// Lets the commit have this check run, under our name: the one that holds these very annotations, or the
    /// first of them; else one that holds none yet; else a new one, which is shown instead.
    pub(super) async fn set_check(&self, app: u64, status: &DesiredStatus) -> Result<(), ForgeError> {
        let what = self.what(&format!("setting the check of {}", status.sha.short()));
        let all: Vec<Value> = status.check.annotations.iter().filter_map(annotation).collect();
        let whose = self.id.key();
        let name = format!("{whose}#{}", digest(&all));
        let runs = self.our_checks(&what, app, status, whose.as_str()).await?;
        let begun = runs.iter().find(|run| run.external_id.as_deref() == Some(name.as_str()));
        let blank = || runs.iter().find(|run| run.output.annotations_count == 0);
        let mut rest = all.as_slice();
        let id = match begun.or_else(blank) {
            Some(run) => {
                rest = rest.get(run.output.annotations_count..).unwrap_or_default();
                // Also where it says all of this already: somebody who asked for it again waits for its end.
                if rest.is_empty() {
                    let url = self.one_check(&what, run.id)?;
                    let wanted = content(status, &name, &[]);
                    self.send(&ForgeRequest::set(what.as_str(), Method::PATCH, url, Some(wanted)))
                        .await?
                        .done()?;
                }
                run.id
            }
            None => {
                let mut body = content(status, &name, take(&mut rest));
                body["name"] = STATUS_CONTEXT.into();
                body["head_sha"] = status.sha.as_str().into();
                let url = self.url(&what, &["check-runs"])?;
                self.send(&ForgeRequest::create(what.as_str(), url, body)).await?.json::<ListedCheckRun>()?.id
            }
        };
        while !rest.is_empty() {
            let body = content(status, &name, take(&mut rest));
            self.send(&ForgeRequest::append(what.as_str(), self.one_check(&what, id)?, body))
                .await?
                .done()?;
        }
        Ok(())
    }

    /// The check runs of this pull request on the commit that we made; another one may have the same commit.
    async fn our_checks(
        &self,
        what: &str,
        app: u64,
        status: &DesiredStatus,
        whose: &str,
    ) -> Result<Vec<ListedCheckRun>, ForgeError> {
        let mut url = self.url(what, &["commits", status.sha.as_str(), "check-runs"])?;
        url.query_pairs_mut()
            .append_pair("check_name", STATUS_CONTEXT)
            .append_pair("app_id", &app.to_string())
            .append_pair("filter", "all")
            .append_pair("per_page", &GITHUB.page.to_string());
        let mut runs = self.send(&ForgeRequest::get(what, url)).await?.json::<CheckRunList>()?.check_runs;
        let ours = |id: &str| id.strip_prefix(whose).is_some_and(|rest| rest.starts_with('#'));
        runs.retain(|run| run.external_id.as_deref().is_some_and(ours));
        Ok(runs)
    }

    fn one_check(&self, what: &str, id: u64) -> Result<url::Url, ForgeError> {
        self.url(what, &["check-runs", &id.to_string()])
    }
}

/// Takes as many annotations off as a call may have.
fn take<'a>(rest: &mut &'a [Value]) -> &'a [Value] {
    let (batch, left) = rest.split_at(rest.len().min(GITHUB.annotations));
    *rest = left;
    batch
}

/// Tells apart what check runs hold and cannot lose.
fn digest(annotations: &[Value]) -> String {
    let mut hash = Sha256::new();
    for annotation in annotations {
        hash.update(annotation.to_string());
    }
    let mut digest = hex::encode(hash.finalize());
    digest.truncate(DIGEST_DIGITS);
    digest
}

/// What is sent, with these annotations to be added.
fn content(status: &DesiredStatus, name: &str, annotations: &[Value]) -> Value {
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
            "title": body::cut(&status.description, MAX_TITLE_CHARS, "…"),
            "summary": body::cut(&status.check.summary, MAX_SUMMARY_CHARS, "\n\n… (truncated)"),
            "annotations": annotations,
        },
    })
}

/// None for lines that the head does not have, and for a path that JSON cannot hold.
fn annotation(annotation: &CheckAnnotation) -> Option<Value> {
    let place = &annotation.place;
    if place.side == DiffSide::Old {
        return None;
    }
    Some(json!({
        "path": place.path.as_str()?,
        "start_line": place.start_line,
        "end_line": place.end_line,
        "annotation_level": if annotation.blocks { "failure" } else { "warning" },
        "title": body::cut(&annotation.title, MAX_TITLE_CHARS, "…"),
        "message": annotation.message,
    }))
}
