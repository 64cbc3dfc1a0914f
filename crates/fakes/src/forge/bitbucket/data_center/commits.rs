//! Handles calls about commits, and about the builds, reports and annotations of commits. A commit is
//! identified by its full id.

use serde_json::{Value, json};

use super::admission::find_repository;
use super::errors::{error_response, invalid_field, no_commit, not_permitted, refusal_response};
use super::{is_version_at_least, json, page};
use crate::forge::bitbucket::commits::{
    find_report, new_annotation, parse_build_state, put_report, report_mut, set_status,
};
use crate::forge::bitbucket::may_read;
use crate::forge::http::call::{ApiCall, ApiResponse, CallResult};
use crate::forge::http::serve::CallRefusal;
use crate::forge::state::{CommitStatus, FakeForgeState, StoredRepository};

/// Maximum lengths, in characters, of a build's key and name. The constants below limit the build's address
/// and parent.
const MAX_BUILD_NAME_CHARS: usize = 255;
const MAX_BUILD_URL_CHARS: usize = 450;
const MAX_BUILD_PARENT_CHARS: usize = 1_024;
/// Maximum length of a report's title, in characters. The constants below limit the lengths of a report's
/// details and an annotation's message, and the numbers of data fields and annotations of a report.
const MAX_REPORT_TITLE_CHARS: usize = 450;
const MAX_REPORT_DETAILS_CHARS: usize = 2_000;
const MAX_ANNOTATION_MESSAGE_CHARS: usize = 2_000;
const MAX_REPORT_DATA_FIELDS: usize = 6;
const MAX_ANNOTATIONS: usize = 1_000;

/// First version that stores build statuses per repository. The constant below is the first version that
/// returns a single build status.
const REPOSITORY_BUILDS_MIN_VERSION: (u32, u32) = (7, 4);
const SINGLE_BUILD_MIN_VERSION: (u32, u32) = (7, 14);

/// Returns an error with status 404 if the server's version is older than the first version that supports the
/// call.
fn require_version(state: &FakeForgeState, version: (u32, u32)) -> Result<(), ApiResponse> {
    if is_version_at_least(&state.forge.version, version) {
        Ok(())
    } else {
        Err(refusal_response(CallRefusal::NoSuchCall))
    }
}

fn find_commit(repo: &StoredRepository, call: &ApiCall) -> Result<String, ApiResponse> {
    let sha = call.path_param("sha");
    if repo.git.contains(sha) { Ok(sha.to_owned()) } else { Err(no_commit(sha)) }
}

/// Handles `GET …/commits/{sha}/builds`: returns the build with one key.
pub(super) fn get_build_status(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    require_version(state, SINGLE_BUILD_MIN_VERSION)?;
    let (_, repo) = find_repository(state, call)?;
    let sha = find_commit(repo, call)?;
    let key = call.query_param("key").ok_or_else(|| invalid_field("key", "A key is required."))?;
    let found = repo.statuses.iter().find(|status| status.sha == sha && status.context == key);
    let missing = || error_response(404, "There is no such build.", "build.NoSuchBuildStatusException");
    Ok(ApiResponse::json(200, json::build(found.ok_or_else(missing)?)))
}

/// Handles `GET /rest/build-status/latest/commits/{sha}`: returns the builds of all keys, newest first, from
/// every repository that contains the commit.
pub(super) fn list_build_statuses(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let seen = state.repos.values().filter(|repo| may_read(repo, &call.login));
    let of = seen.flat_map(|repo| &repo.statuses).filter(|status| status.sha == call.path_param("sha"));
    let mut shown: Vec<Value> = of.map(json::build).collect();
    shown.reverse();
    page::reply_with_page(call, &shown)
}

/// Handles `POST …/commits/{sha}/builds`: a build status replaces the existing one with the same key.
pub(super) fn set_build_status(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    require_version(state, REPOSITORY_BUILDS_MIN_VERSION)?;
    let (world, repo) = find_repository(state, call)?;
    let sha = find_commit(repo, call)?;
    let text = |field: &str, max_chars: usize| match call.body[field].as_str() {
        Some(text) if text.chars().count() > max_chars => Err(invalid_field(field, "it is too long")),
        text => Ok(text.map(str::to_owned)),
    };
    let needed = |field: &str, max_chars: usize| {
        let text = text(field, max_chars)?.filter(|text| !text.is_empty());
        text.ok_or_else(|| invalid_field(field, "it is required"))
    };
    let word = needed("state", MAX_BUILD_NAME_CHARS)?;
    let state = parse_build_state(&word).filter(|_| word != "STOPPED");
    let refname = text("ref", MAX_BUILD_NAME_CHARS)?;
    if refname.as_deref().is_some_and(|name| !name.starts_with("refs/")) {
        return Err(invalid_field("ref", "it must begin with refs/"));
    }
    let status = CommitStatus {
        id: 0,
        sha,
        state: state.ok_or_else(|| invalid_field("state", "it is not a known one"))?.to_owned(),
        description: text("description", usize::MAX)?,
        target_url: Some(needed("url", MAX_BUILD_URL_CHARS)?),
        context: needed("key", MAX_BUILD_NAME_CHARS)?,
        name: text("name", MAX_BUILD_NAME_CHARS)?,
        refname,
        parent_key: text("parent", MAX_BUILD_PARENT_CHARS)?,
        creator: call.login.clone(),
        created_at: world.now(),
    };
    set_status(world, repo, status);
    Ok(ApiResponse::no_content())
}

fn no_report() -> ApiResponse {
    error_response(404, "There is no such report.", "codeinsights.NoSuchReportException")
}

/// Handles the call `GET …/commits/{sha}/reports/{key}`.
pub(super) fn get_report(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (_, repo) = find_repository(state, call)?;
    let sha = find_commit(repo, call)?;
    Ok(ApiResponse::json(
        200,
        json::report(find_report(repo, &sha, call.path_param("key")).ok_or_else(no_report)?),
    ))
}

/// Handles `PUT …/commits/{sha}/reports/{key}`: only the account that created a report can replace it.
pub(super) fn replace_report(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (world, repo) = find_repository(state, call)?;
    let (sha, key) = (find_commit(repo, call)?, call.path_param("key"));
    let text = |field: &str| call.body[field].as_str().unwrap_or_default();
    if text("title").is_empty() {
        return Err(invalid_field("title", "it is required"));
    }
    for (field, most) in [
        ("title", MAX_REPORT_TITLE_CHARS),
        ("details", MAX_REPORT_DETAILS_CHARS),
        ("reporter", MAX_REPORT_TITLE_CHARS),
    ] {
        if text(field).chars().count() > most {
            return Err(invalid_field(field, "it is too long"));
        }
    }
    if !["", "PASS", "FAIL"].contains(&text("result")) {
        return Err(invalid_field("result", "it is not a known one"));
    }
    if call.body["data"].as_array().is_some_and(|data| data.len() > MAX_REPORT_DATA_FIELDS) {
        return Err(invalid_field("data", "a report has at most 6 fields"));
    }
    if find_report(repo, &sha, key).is_some_and(|known| known.creator != call.login) {
        return Err(not_permitted());
    }
    put_report(world, repo, &sha, key, &call.login, call.body.clone());
    Ok(ApiResponse::json(200, json::report(find_report(repo, &sha, key).ok_or_else(no_report)?)))
}

/// Handles the call `GET …/reports/{key}/annotations`.
pub(super) fn list_annotations(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (_, repo) = find_repository(state, call)?;
    let sha = find_commit(repo, call)?;
    let of = find_report(repo, &sha, call.path_param("key")).ok_or_else(no_report)?;
    let shown: Vec<Value> = of.annotations.iter().map(|one| json::annotation(of, one)).collect();
    Ok(ApiResponse::json(200, json!({"annotations": shown})))
}

/// Handles `POST …/reports/{key}/annotations`: adds all annotations, or adds no annotation if one of them is
/// invalid. An annotation with an existing `externalId` is added a second time.
pub(super) fn add_annotations(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (world, repo) = find_repository(state, call)?;
    let (sha, key) = (find_commit(repo, call)?, call.path_param("key"));
    let of = find_report(repo, &sha, key).ok_or_else(no_report)?;
    if of.creator != call.login {
        return Err(not_permitted());
    }
    let sent = call.body["annotations"].as_array().filter(|sent| !sent.is_empty());
    let sent = sent.ok_or_else(|| invalid_field("annotations", "there must be some"))?;
    if of.annotations.len() + sent.len() > MAX_ANNOTATIONS {
        return Err(invalid_field("annotations", "a report has at most 1000 annotations"));
    }
    for one in sent {
        let message = one["message"].as_str().unwrap_or_default();
        if message.is_empty() || message.chars().count() > MAX_ANNOTATION_MESSAGE_CHARS {
            return Err(invalid_field("message", "it is required, with at most 2000 characters"));
        }
        if !["LOW", "MEDIUM", "HIGH"].contains(&one["severity"].as_str().unwrap_or_default()) {
            return Err(invalid_field("severity", "it is not a known one"));
        }
    }
    let new: Vec<_> = sent.iter().map(|fields| new_annotation(world, fields.clone())).collect();
    report_mut(repo, &sha, key).ok_or_else(no_report)?.annotations.extend(new);
    Ok(ApiResponse::no_content())
}

/// Handles `DELETE …/reports/{key}/annotations`: deletes all annotations, or the annotations with one
/// `externalId`.
pub(super) fn delete_annotations(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (_, repo) = find_repository(state, call)?;
    let sha = find_commit(repo, call)?;
    let of = report_mut(repo, &sha, call.path_param("key")).ok_or_else(no_report)?;
    match call.query_param("externalId") {
        Some(id) => of.annotations.retain(|one| one.fields["externalId"] != id),
        None => of.annotations.clear(),
    }
    Ok(ApiResponse::no_content())
}
