//! Handles calls about commits, and about the statuses, reports and annotations of commits.

use serde_json::{Value, json};

use super::auth::find_repository;
use super::errors::{error_response, invalid_field, not_found, report_error};
use super::{json, pagination};
use crate::forge::bitbucket::commits::{
    find_report, new_annotation, parse_build_state, put_report, report_mut, set_status,
};
use crate::forge::http::call::{ApiCall, ApiResponse, CallResult};
use crate::forge::operations::branches::branch_tip;
use crate::forge::state::{CommitStatus, FakeForgeState, StoredRepository};

/// Minimum length of an abbreviated commit id.
const MIN_SHORT_SHA_DIGITS: usize = 7;
/// Maximum number of data fields of a report. The constant below is the maximum number of annotations in one
/// call.
const MAX_REPORT_DATA_FIELDS: usize = 10;
const MAX_CALL_ANNOTATIONS: usize = 100;
/// Maximum number of annotations of a report.
const MAX_ANNOTATIONS: usize = 1_000;
/// Maximum length of the summary of an annotation, in characters (observed).
const MAX_SUMMARY_CHARS: usize = 450;

/// Returns the commit that the path names by an id, an abbreviated id, or a branch.
fn find_commit(repo: &StoredRepository, call: &ApiCall) -> Result<String, ApiResponse> {
    let named = call.path_param("sha");
    let by_id = Some(named)
        .filter(|named| named.len() >= MIN_SHORT_SHA_DIGITS)
        .and_then(|named| repo.git.expand_sha(named));
    by_id.map(str::to_owned).or_else(|| branch_tip(repo, named).ok()).ok_or_else(|| not_found("Commit"))
}

/// Handles `GET …/commit/{sha}`; the response contains the full id.
pub(super) fn get_commit(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (world, repo) = find_repository(state, call)?;
    let sha = find_commit(repo, call)?;
    let found = repo.git.find_commit(&sha)?.ok_or_else(|| not_found("Commit"))?;
    Ok(ApiResponse::json(200, json::commit(world, repo, &found)))
}

/// Handles the call `GET …/commit/{sha}/statuses`.
pub(super) fn list_build_statuses(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (world, repo) = find_repository(state, call)?;
    let sha = find_commit(repo, call)?;
    let of = repo.statuses.iter().filter(|status| status.sha == sha);
    let shown = of.map(|status| json::status(world, repo, status)).collect();
    pagination::reply_with_page(world, call, shown, pagination::MAX_PAGE_LENGTH)
}

/// Handles the call `GET …/commit/{sha}/statuses/build/{key}`.
pub(super) fn get_build_status(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (world, repo) = find_repository(state, call)?;
    let sha = find_commit(repo, call)?;
    let is = |status: &&CommitStatus| status.sha == sha && status.context == call.path_param("key");
    let status = repo.statuses.iter().find(is).ok_or_else(|| not_found("Build status"))?;
    Ok(ApiResponse::json(200, json::status(world, repo, status)))
}

/// Handles `POST …/commit/{sha}/statuses/build`: a status replaces the existing one with the same key.
pub(super) fn set_build_status(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (world, repo) = find_repository(state, call)?;
    let sha = find_commit(repo, call)?;
    let text = |field: &str| call.body[field].as_str().map(str::to_owned);
    let key = text("key").filter(|key| !key.is_empty());
    let key = key.ok_or_else(|| invalid_field("key", "This field is required."))?;
    let word = text("state").unwrap_or_default();
    let state = parse_build_state(&word).filter(|_| word != "CANCELLED");
    let state = state.ok_or_else(|| invalid_field("state", "Select a valid choice."))?.to_owned();
    let url = text("url").ok_or_else(|| invalid_field("url", "This field is required."))?;
    let status = CommitStatus {
        id: 0,
        sha,
        state,
        description: text("description"),
        target_url: Some(url),
        context: key,
        name: text("name"),
        refname: text("refname"),
        parent_key: None,
        creator: call.login.clone(),
        created_at: world.now(),
    };
    let id = set_status(world, repo, status);
    let status =
        repo.statuses.iter().find(|status| status.id == id).ok_or_else(|| not_found("Build status"))?;
    Ok(ApiResponse::json(201, json::status(world, repo, status)))
}

/// Handles the call `GET …/commit/{sha}/reports/{key}`.
pub(super) fn get_report(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (_, repo) = find_repository(state, call)?;
    let sha = find_commit(repo, call)?;
    let found = find_report(repo, &sha, call.path_param("key"))
        .ok_or_else(|| report_error(404, "Report not found"))?;
    Ok(ApiResponse::json(200, json::report(found)))
}

/// Handles `PUT …/commit/{sha}/reports/{key}`: replaces the report, but keeps its annotations.
pub(super) fn replace_report(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (world, repo) = find_repository(state, call)?;
    let (sha, key) = (find_commit(repo, call)?, call.path_param("key"));
    let text = |field: &str| call.body[field].as_str().unwrap_or_default();
    for field in ["title", "details"] {
        if text(field).is_empty() {
            return Err(report_error(400, &format!("The report's {field} must be provided")));
        }
    }
    if !["SECURITY", "COVERAGE", "TEST", "BUG"].contains(&text("report_type")) {
        return Err(report_error(400, "The report's type is not a known one"));
    }
    if !["", "PASSED", "FAILED", "PENDING"].contains(&text("result")) {
        return Err(report_error(400, "The report's result is not a known one"));
    }
    if call.body["data"].as_array().is_some_and(|data| data.len() > MAX_REPORT_DATA_FIELDS) {
        return Err(report_error(400, "A report can have at most 10 data fields"));
    }
    put_report(world, repo, &sha, key, &call.login, call.body.clone());
    let made = find_report(repo, &sha, key).ok_or_else(|| report_error(404, "Report not found"))?;
    Ok(ApiResponse::json(200, json::report(made)))
}

/// Handles `DELETE …/commit/{sha}/reports/{key}`: deletes the report and its annotations.
pub(super) fn delete_report(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (_, repo) = find_repository(state, call)?;
    let sha = find_commit(repo, call)?;
    repo.reports.retain(|report| report.sha != sha || report.key != call.path_param("key"));
    Ok(ApiResponse::no_content())
}

/// Handles the call `GET …/reports/{key}/annotations`.
pub(super) fn list_annotations(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (world, repo) = find_repository(state, call)?;
    let sha = find_commit(repo, call)?;
    let found = find_report(repo, &sha, call.path_param("key"))
        .ok_or_else(|| report_error(404, "Report not found"))?;
    let shown = found.annotations.iter().map(json::annotation).collect();
    pagination::reply_with_page(world, call, shown, pagination::MAX_PAGE_LENGTH)
}

/// Returns the error message for an invalid annotation.
fn annotation_error(annotation: &Value) -> Option<&'static str> {
    let text = |field: &str| annotation[field].as_str().unwrap_or_default();
    if !["VULNERABILITY", "CODE_SMELL", "BUG"].contains(&text("annotation_type")) {
        return Some("The annotation's type is not a known one");
    }
    if text("external_id").is_empty() {
        return Some("The annotation's external_id must be provided");
    }
    if text("summary").is_empty() {
        return Some("The annotation's summary must be provided");
    }
    if text("summary").chars().count() > MAX_SUMMARY_CHARS {
        return Some("The annotation's summary is too long");
    }
    let severities = ["", "CRITICAL", "HIGH", "MEDIUM", "LOW"];
    (!severities.contains(&text("severity"))).then_some("The annotation's severity is not a known one")
}

/// Handles `POST …/reports/{key}/annotations`, whose body is a list. An annotation replaces the existing one
/// with the same `external_id`.
pub(super) fn upsert_annotations(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (world, repo) = find_repository(state, call)?;
    let (sha, key) = (find_commit(repo, call)?, call.path_param("key"));
    let found = find_report(repo, &sha, key).ok_or_else(|| report_error(404, "Report not found"))?;
    let sent = call.body.as_array().ok_or_else(|| error_response(400, "a list is expected"))?;
    if sent.len() > MAX_CALL_ANNOTATIONS {
        return Err(report_error(400, "Bulk upload supports a maximum of 100 annotations"));
    }
    if let Some(words) = sent.iter().find_map(annotation_error) {
        return Err(report_error(400, words));
    }
    let mut all = found.annotations.clone();
    let mut made = Vec::new();
    for fields in sent {
        let new = new_annotation(world, fields.clone());
        made.push(json::annotation(&new));
        let same = all.iter_mut().find(|known| known.fields["external_id"] == fields["external_id"]);
        match same {
            Some(known) => *known = new,
            None => all.push(new),
        }
    }
    if all.len() > MAX_ANNOTATIONS {
        return Err(report_error(400, "A report can have at most 1000 annotations"));
    }
    if let Some(report) = report_mut(repo, &sha, key) {
        report.annotations = all;
    }
    Ok(ApiResponse::json(200, json!(made)))
}
