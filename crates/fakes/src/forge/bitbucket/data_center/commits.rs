//! Commits with their builds, reports and annotations. A commit is named by its full id.

use serde_json::{Value, json};

use super::admission::repository;
use super::errors::{invalid, no_commit, not_permitted, refusal, refused};
use super::{is_since, json, page};
use crate::forge::bitbucket::commits::{annotation, put_report, report, report_mut, set_status, state_of};
use crate::forge::bitbucket::may_read;
use crate::forge::http::call::{ApiCall, ApiReply, CallResult};
use crate::forge::http::serve::CallRefusal;
use crate::forge::state::{CommitStatus, FakeForgeState, StoredRepository};

/// Maximum lengths of the key and name, the address, and the parent of a build, in characters.
const MAX_NAME: usize = 255;
const MAX_URL: usize = 450;
const MAX_PARENT: usize = 1_024;
/// Maximum lengths of a title, the details, and the message of an annotation, in characters. The last two are
/// maximum numbers of fields and annotations of a report.
const MAX_TITLE: usize = 450;
const MAX_DETAILS: usize = 2_000;
const MAX_MESSAGE: usize = 2_000;
const MAX_DATA: usize = 6;
const MAX_ANNOTATIONS: usize = 1_000;

/// First version with build statuses of a repository, and first version that returns a single one.
const RICH_BUILDS: (u32, u32) = (7, 4);
const ONE_BUILD: (u32, u32) = (7, 14);

/// Returns 404 if the server is older than the call.
fn since(state: &FakeForgeState, version: (u32, u32)) -> Result<(), ApiReply> {
    if is_since(&state.world.version, version) { Ok(()) } else { Err(refusal(CallRefusal::NoSuchCall)) }
}

fn commit(repo: &StoredRepository, call: &ApiCall) -> Result<String, ApiReply> {
    let sha = call.param("sha");
    if repo.git.contains(sha) { Ok(sha.to_owned()) } else { Err(no_commit(sha)) }
}

/// Handles `GET …/commits/{sha}/builds`: returns one key.
pub(super) fn build(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    since(state, ONE_BUILD)?;
    let (_, repo) = repository(state, call)?;
    let sha = commit(repo, call)?;
    let key = call.asked("key").ok_or_else(|| invalid("key", "A key is required."))?;
    let found = repo.statuses.iter().find(|status| status.sha == sha && status.context == key);
    let missing = || refused(404, "There is no such build.", "build.NoSuchBuildStatusException");
    Ok(ApiReply::json(200, json::build(found.ok_or_else(missing)?)))
}

/// Handles `GET /rest/build-status/latest/commits/{sha}`: all keys, newest first, in every repository that
/// has the commit.
pub(super) fn builds(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let seen = state.repos.values().filter(|repo| may_read(repo, &call.login));
    let of = seen.flat_map(|repo| &repo.statuses).filter(|status| status.sha == call.param("sha"));
    let mut shown: Vec<Value> = of.map(json::build).collect();
    shown.reverse();
    page::reply(call, &shown)
}

/// Handles `POST …/commits/{sha}/builds`: one with the same key is overwritten.
pub(super) fn set(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    since(state, RICH_BUILDS)?;
    let (world, repo) = repository(state, call)?;
    let sha = commit(repo, call)?;
    let text = |field: &str, most: usize| match call.body[field].as_str() {
        Some(text) if text.chars().count() > most => Err(invalid(field, "it is too long")),
        text => Ok(text.map(str::to_owned)),
    };
    let needed = |field: &str, most: usize| {
        let text = text(field, most)?.filter(|text| !text.is_empty());
        text.ok_or_else(|| invalid(field, "it is required"))
    };
    let word = needed("state", MAX_NAME)?;
    let state = state_of(&word).filter(|_| word != "STOPPED");
    let refname = text("ref", MAX_NAME)?;
    if refname.as_deref().is_some_and(|name| !name.starts_with("refs/")) {
        return Err(invalid("ref", "it must begin with refs/"));
    }
    let status = CommitStatus {
        id: 0,
        sha,
        state: state.ok_or_else(|| invalid("state", "it is not a known one"))?.to_owned(),
        description: text("description", usize::MAX)?,
        target_url: Some(needed("url", MAX_URL)?),
        context: needed("key", MAX_NAME)?,
        name: text("name", MAX_NAME)?,
        refname,
        parent: text("parent", MAX_PARENT)?,
        creator: call.login.clone(),
        created: world.now(),
    };
    set_status(world, repo, status);
    Ok(ApiReply::done())
}

fn no_report() -> ApiReply {
    refused(404, "There is no such report.", "codeinsights.NoSuchReportException")
}

/// Handles the call `GET …/commits/{sha}/reports/{key}`.
pub(super) fn one_report(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (_, repo) = repository(state, call)?;
    let sha = commit(repo, call)?;
    Ok(ApiReply::json(200, json::report(report(repo, &sha, call.param("key")).ok_or_else(no_report)?)))
}

/// Handles `PUT …/commits/{sha}/reports/{key}`: only the account that created a report can replace it.
pub(super) fn put(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (world, repo) = repository(state, call)?;
    let (sha, key) = (commit(repo, call)?, call.param("key"));
    let text = |field: &str| call.body[field].as_str().unwrap_or_default();
    if text("title").is_empty() {
        return Err(invalid("title", "it is required"));
    }
    for (field, most) in [("title", MAX_TITLE), ("details", MAX_DETAILS), ("reporter", MAX_TITLE)] {
        if text(field).chars().count() > most {
            return Err(invalid(field, "it is too long"));
        }
    }
    if !["", "PASS", "FAIL"].contains(&text("result")) {
        return Err(invalid("result", "it is not a known one"));
    }
    if call.body["data"].as_array().is_some_and(|data| data.len() > MAX_DATA) {
        return Err(invalid("data", "a report has at most 6 fields"));
    }
    if report(repo, &sha, key).is_some_and(|known| known.creator != call.login) {
        return Err(not_permitted());
    }
    put_report(world, repo, &sha, key, &call.login, call.body.clone());
    Ok(ApiReply::json(200, json::report(report(repo, &sha, key).ok_or_else(no_report)?)))
}

/// Handles the call `GET …/reports/{key}/annotations`.
pub(super) fn annotations(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (_, repo) = repository(state, call)?;
    let sha = commit(repo, call)?;
    let of = report(repo, &sha, call.param("key")).ok_or_else(no_report)?;
    let shown: Vec<Value> = of.annotations.iter().map(|one| json::annotation(of, one)).collect();
    Ok(ApiReply::json(200, json!({"annotations": shown})))
}

/// Handles `POST …/reports/{key}/annotations`: all or none are added. One with an existing `externalId` is
/// added a second time.
pub(super) fn annotate(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (world, repo) = repository(state, call)?;
    let (sha, key) = (commit(repo, call)?, call.param("key"));
    let of = report(repo, &sha, key).ok_or_else(no_report)?;
    if of.creator != call.login {
        return Err(not_permitted());
    }
    let sent = call.body["annotations"].as_array().filter(|sent| !sent.is_empty());
    let sent = sent.ok_or_else(|| invalid("annotations", "there must be some"))?;
    if of.annotations.len() + sent.len() > MAX_ANNOTATIONS {
        return Err(invalid("annotations", "a report has at most 1000 annotations"));
    }
    for one in sent {
        let message = one["message"].as_str().unwrap_or_default();
        if message.is_empty() || message.chars().count() > MAX_MESSAGE {
            return Err(invalid("message", "it is required, with at most 2000 characters"));
        }
        if !["LOW", "MEDIUM", "HIGH"].contains(&one["severity"].as_str().unwrap_or_default()) {
            return Err(invalid("severity", "it is not a known one"));
        }
    }
    let new: Vec<_> = sent.iter().map(|fields| annotation(world, fields.clone())).collect();
    report_mut(repo, &sha, key).ok_or_else(no_report)?.annotations.extend(new);
    Ok(ApiReply::done())
}

/// Handles `DELETE …/reports/{key}/annotations`: deletes all, or those with one `externalId`.
pub(super) fn clear(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (_, repo) = repository(state, call)?;
    let sha = commit(repo, call)?;
    let of = report_mut(repo, &sha, call.param("key")).ok_or_else(no_report)?;
    match call.asked("externalId") {
        Some(id) => of.annotations.retain(|one| one.fields["externalId"] != id),
        None => of.annotations.clear(),
    }
    Ok(ApiReply::done())
}
