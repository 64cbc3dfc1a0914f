//! Handles calls that read, open, change and decline pull requests.

use serde_json::{Value, json};

use super::accounts_and_repositories::login_of;
use super::auth::{find_pull, find_repository};
use super::errors::{edit_error, error_response, invalid_field, not_found};
use super::{json, pagination};
use crate::forge::bitbucket::edits::{self, PullEdit};
use crate::forge::bitbucket::{may_write, participants};
use crate::forge::http::call::{ApiCall, ApiResponse, CallResult};
use crate::forge::operations::branches::branch_tip;
use crate::forge::operations::pulls::{NewPull, close_pull, has_open_pull, open_pull};
use crate::forge::state::merging::MergeState;
use crate::forge::state::pulls::StoredPull;
use crate::forge::state::{FakeForgeState, ForgeInstance, StoredRepository};

/// Handles `GET …/pullrequests`: lists the pull requests in the states that `state` (repeatable) or the
/// filter requests; by default, the open pull requests.
pub(super) fn list(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let filter = pagination::parse_filter(call)?;
    let (world, repo) = find_repository(state, call)?;
    let mut states: Vec<&str> = call
        .query_fields
        .iter()
        .filter(|(name, _)| name == "state")
        .map(|(_, value)| value.as_str())
        .collect();
    if states.is_empty() && !filter.is_some_and(|filter| filter.mentions_field("state")) {
        states.push("OPEN");
    }
    let numbers: Vec<u64> = repo.pulls.keys().rev().copied().collect();
    let mut shown = Vec::new();
    for number in numbers {
        let Some(head) = repo.pulls.get_mut(&number).map(StoredPull::read_head) else { continue };
        let Some(of) = repo.pulls.get(&number) else { continue };
        let json = json::pull(world, repo, of, &head);
        if states.is_empty() || states.iter().any(|state| json["state"] == *state) {
            shown.push(json);
        }
    }
    pagination::reply_with_page(world, call, shown, pagination::MAX_PULLS_PAGE_LENGTH)
}

/// Handles the call `GET …/pullrequests/{number}`.
pub(super) fn get(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (world, repo, number) = find_pull(state, call)?;
    pull_response(world, repo, number, 200)
}

fn pull_response(forge: &ForgeInstance, repo: &mut StoredRepository, number: u64, status: u16) -> CallResult {
    let head = repo.pulls.get_mut(&number).map(StoredPull::read_head).unwrap_or_default();
    let of = repo.pulls.get(&number).ok_or_else(|| not_found("Pull request"))?;
    let mergeable = match repo.merge_state(of) {
        MergeState::Clean | MergeState::Unstable | MergeState::HasHooks => !repo.has_conflicts(of)?,
        MergeState::Behind
        | MergeState::Blocked
        | MergeState::Dirty
        | MergeState::Draft
        | MergeState::Unknown => false,
    };
    Ok(ApiResponse::json(status, json::full_pull(forge, repo, of, &head, mergeable)))
}

/// Returns the logins of the reviewers whose ids are in the request's body. Returns an error if a reviewer's
/// account is closed.
fn parse_reviewers(forge: &ForgeInstance, body: &Value) -> Result<Vec<String>, ApiResponse> {
    let none = Vec::new();
    let named = |reviewer: &Value| {
        let found = login_of(forge, reviewer["uuid"].as_str().unwrap_or_default());
        let open = found.filter(|login| !forge.closed_accounts.contains(*login));
        open.map(str::to_owned).ok_or_else(|| invalid_field("reviewers", "Malformed reviewers list"))
    };
    body["reviewers"].as_array().unwrap_or(&none).iter().map(named).collect()
}

/// Handles `POST …/pullrequests`: opens a pull request from a branch of the same repository.
pub(super) fn create(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (world, repo) = find_repository(state, call)?;
    let text = |field: &str| call.body[field].as_str().unwrap_or_default();
    let branch = |end: &str| call.body[end]["branch"]["name"].as_str();
    if text("title").is_empty() {
        return Err(invalid_field("title", "This field is required."));
    }
    let head = branch("source").ok_or_else(|| invalid_field("source", "This field is required."))?;
    let base = branch("destination").unwrap_or(&repo.default_branch).to_owned();
    let head_tip =
        branch_tip(repo, head).map_err(|_| invalid_field("source.branch.name", "branch not found"))?;
    let base_tip =
        branch_tip(repo, &base).map_err(|_| invalid_field("destination.branch.name", "branch not found"))?;
    if !may_write(repo, &call.login) {
        world.record_violation(format!("{} opened a pull request without the right to", call.login));
        return Err(error_response(403, "You do not have write access to the source repository."));
    }
    if repo.git.count_ahead(&base_tip, &head_tip) == 0 {
        return Err(error_response(400, "There are no changes to be pulled"));
    }
    if has_open_pull(repo, head, &base) {
        return Err(error_response(
            400,
            &format!("There is already an open pull request from {head} to {base}"),
        ));
    }
    let reviewers = parse_reviewers(world, &call.body)?;
    edits::check_reviewers(repo, &call.login, &reviewers).map_err(|reason| edit_error(&reason))?;
    let new = NewPull {
        title: text("title").to_owned(),
        body: text("description").to_owned(),
        author: call.login.clone(),
        head: head.to_owned(),
        base,
        draft: call.body["draft"].as_bool().unwrap_or(false),
    };
    let number = open_pull(world, repo, new).map_err(ApiResponse::internal_error)?;
    if !reviewers.is_empty() {
        let edit = PullEdit { reviewers: Some(reviewers), ..PullEdit::default() };
        edits::apply_edit(world, repo, number, &call.login, edit).map_err(|reason| edit_error(&reason))?;
    }
    pull_response(world, repo, number, 201)
}

/// Handles `PUT …/pullrequests/{number}`. Description and reviewers are cleared if the request omits them.
pub(super) fn update(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (world, repo, number) = find_pull(state, call)?;
    let text = |field: &str| call.body[field].as_str().map(str::to_owned);
    let title = text("title").filter(|title| !title.is_empty());
    let title = title.ok_or_else(|| invalid_field("title", "This field is required."))?;
    if repo.pulls.get(&number).is_some_and(|pull| !pull.open) {
        return Err(error_response(400, "This pull request is already closed."));
    }
    let edit = PullEdit {
        title: Some(title),
        body: Some(text("description").unwrap_or_default()),
        draft: call.body["draft"].as_bool(),
        reviewers: Some(parse_reviewers(world, &call.body)?),
        base: call.body["destination"]["branch"]["name"].as_str().map(str::to_owned),
    };
    edits::check_edit_permission(world, repo, number, &call.login, &edit)
        .map_err(|reason| edit_error(&reason))?;
    edits::apply_edit(world, repo, number, &call.login, edit).map_err(|reason| edit_error(&reason))?;
    pull_response(world, repo, number, 200)
}

/// Handles `POST …/pullrequests/{number}/decline`. A declined pull request cannot be reopened.
pub(super) fn decline(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (world, repo, number) = find_pull(state, call)?;
    let of = repo.pulls.get(&number).ok_or_else(|| not_found("Pull request"))?;
    if of.author != call.login {
        world.record_violation(format!("{} declined pull request {number} of {}", call.login, of.author));
        return Err(error_response(403, "You do not have permission to decline this pull request."));
    }
    if !of.open {
        return Err(error_response(400, "This pull request is already closed."));
    }
    close_pull(world, repo, number, None).map_err(ApiResponse::internal_error)?;
    pull_response(world, repo, number, 200)
}

/// Handles the call `POST …/pullrequests/{number}/request-changes`.
pub(super) fn request_changes(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (world, repo, number) = find_pull(state, call)?;
    if repo.pulls.get(&number).is_some_and(|pull| pull.author == call.login) {
        return Err(error_response(400, "You cannot request changes on your own pull request."));
    }
    participants::request_changes(world, repo, number, &call.login)?;
    let of = repo.pulls.get(&number).ok_or_else(|| not_found("Pull request"))?;
    let all = participants::list_participants(of);
    let one = all.iter().find(|one| one.login == call.login).ok_or_else(|| not_found("Participant"))?;
    Ok(ApiResponse::json(200, json::participant(world, one)))
}

/// Handles `DELETE …/pullrequests/{number}/request-changes`: withdraws the caller's own request.
pub(super) fn withdraw_change_request(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (world, repo, number) = find_pull(state, call)?;
    participants::withdraw_verdict(world, repo, number, &call.login)?;
    Ok(ApiResponse::no_content())
}

/// Handles `GET …/pullrequests/{number}/commits`, newest first.
pub(super) fn list_commits(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (world, repo, number) = find_pull(state, call)?;
    let of = repo.pulls.get(&number).ok_or_else(|| not_found("Pull request"))?;
    let all = repo.git.commits_between(&of.base, &of.head)?;
    let shown = all.iter().rev().map(|commit| json::commit(world, repo, commit)).collect();
    pagination::reply_with_page(world, call, shown, pagination::MAX_PAGE_LENGTH)
}

/// Handles `GET …/pullrequests/{number}/conflicts` with a redirect.
pub(super) fn redirect_conflicts(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (world, repo, number) = find_pull(state, call)?;
    let of = repo.pulls.get(&number).ok_or_else(|| not_found("Pull request"))?;
    let spec = format!("{}..{}", json::short_sha(&of.head), json::short_sha(&of.base));
    let to = format!(
        "{}/file-conflicts/{spec}?from_pullrequest_id={number}",
        json::repository_api_url(world, repo)
    );
    Ok(ApiResponse::bytes(302, "text/plain", "").header("location", to))
}

/// Returns the base and the head of the range `HEAD..BASE` in a URL. In git's ranges, the base is first; in
/// the URL, it is last.
fn compared_commits(repo: &StoredRepository, call: &ApiCall) -> Result<(String, String), ApiResponse> {
    let missing = || not_found("Commit");
    let (head, base) = call.path_param("spec").split_once("..").ok_or_else(missing)?;
    let whole = |sha: &str| repo.git.expand_sha(sha).map(str::to_owned).ok_or_else(missing);
    Ok((whole(base)?, whole(head)?))
}

/// Handles the call `GET …/file-conflicts/{spec}`.
pub(super) fn list_conflicts(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (world, repo) = find_repository(state, call)?;
    let (base, head) = compared_commits(repo, call)?;
    let number = call.query_param("from_pullrequest_id").and_then(|number| number.parse().ok()).unwrap_or(0);
    let forced_state =
        repo.pulls.get(&number).and_then(|pull| pull.merge_conditions.scripted_merge_states.front()).copied();
    repo.next_merge_state(number);
    let paths = match forced_state {
        Some(MergeState::Dirty) => vec!["a file".to_owned()],
        Some(_) => Vec::new(),
        None => repo.git.conflicting_files(&base, &head)?,
    };
    let shown = paths.into_iter().map(|path| {
        json!({"type": "file_conflict", "path": path, "scenario": "content",
            "message": "both have changed it"})
    });
    pagination::reply_with_page(world, call, shown.collect(), pagination::MAX_PAGE_LENGTH)
}
