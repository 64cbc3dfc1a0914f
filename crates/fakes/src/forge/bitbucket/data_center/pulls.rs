//! Handles calls that read, open, change and decline pull requests, and calls about the participants of pull
//! requests.

use serde_json::{Value, json};

use super::admission::{check_pull_version, find_login, find_pull, find_repository};
use super::errors::{
    edit_error, error_response, error_with_context, invalid_field, invalid_reviewers as bad_reviewers,
    no_pull, not_permitted,
};
use super::{DRAFTS_MIN_VERSION, is_version_at_least, json, page};
use crate::forge::bitbucket::edits::{self, PullEdit};
use crate::forge::bitbucket::{may_write, participants};
use crate::forge::http::call::{ApiCall, ApiResponse, CallResult};
use crate::forge::operations::branches::branch_tip;
use crate::forge::operations::pulls::{NewPull, close_pull, open_pull};
use crate::forge::state::merging::MergeState;
use crate::forge::state::pulls::StoredPull;
use crate::forge::state::{FakeForgeState, ForgeInstance, StoredRepository};

/// Maximum length of a description, in characters.
const MAX_DESCRIPTION_CHARS: usize = 32_768;

/// Handles `GET …/pull-requests`, filtered by `state` (default OPEN) and by the branch `at`. For `direction`
/// INCOMING (the default), `at` is the base branch; for OUTGOING, `at` is the head branch.
pub(super) fn list(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (world, repo) = find_repository(state, call)?;
    let wanted = call.query_param("state").unwrap_or("OPEN").to_ascii_uppercase();
    let outgoing = call.query_param("direction").is_some_and(|way| way.eq_ignore_ascii_case("OUTGOING"));
    let at = call.query_param("at").map(|name| name.strip_prefix("refs/heads/").unwrap_or(name));
    let numbers: Vec<u64> = repo.pulls.keys().rev().copied().collect();
    let mut shown = Vec::new();
    for number in numbers {
        let Some(head) = repo.pulls.get_mut(&number).map(StoredPull::read_head) else { continue };
        let Some(of) = repo.pulls.get(&number) else { continue };
        let branch = if outgoing { &of.head_ref } else { &of.base_ref };
        // The filter selects only branches of this repository, never a branch of a fork.
        let fits = at.is_none_or(|at| at == branch) && !(outgoing && branch.contains(':'));
        let json = json::pull(world, repo, of, &head);
        if fits && (wanted == "ALL" || json["state"] == wanted.as_str()) {
            shown.push(json);
        }
    }
    if call.query_param("order").is_some_and(|order| order.eq_ignore_ascii_case("OLDEST")) {
        shown.reverse();
    }
    page::reply_with_page(call, &shown)
}

/// Handles the call `GET …/pull-requests/{number}`.
pub(super) fn get(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (world, repo, number) = find_pull(state, call)?;
    pull_response(world, repo, number, 200)
}

fn pull_response(forge: &ForgeInstance, repo: &mut StoredRepository, number: u64, status: u16) -> CallResult {
    let head = repo.pulls.get_mut(&number).map(StoredPull::read_head).unwrap_or_default();
    let of = repo.pulls.get(&number).ok_or_else(no_pull)?;
    Ok(ApiResponse::json(status, json::pull(forge, repo, of, &head)))
}

/// Returns the logins of the reviewers in the request's body.
fn parse_reviewers(forge: &ForgeInstance, body: &Value) -> Result<Vec<String>, ApiResponse> {
    let none = Vec::new();
    let named = |reviewer: &Value| {
        let name = reviewer["user"]["name"].as_str().unwrap_or_default();
        find_login(forge, name).ok_or_else(|| bad_reviewers(&format!("{name} is not a user.")))
    };
    body["reviewers"].as_array().unwrap_or(&none).iter().map(named).collect()
}

/// Returns the name of the branch whose ref a request body contains.
fn parse_branch<'a>(body: &'a Value, ref_field: &str) -> Option<&'a str> {
    let id = body[ref_field]["id"].as_str()?;
    Some(id.strip_prefix("refs/heads/").unwrap_or(id))
}

fn parse_description(body: &Value) -> Result<String, ApiResponse> {
    let text = body["description"].as_str().unwrap_or_default();
    if text.chars().count() > MAX_DESCRIPTION_CHARS {
        return Err(invalid_field("description", "The description is too long."));
    }
    Ok(text.to_owned())
}

/// Handles `POST …/pull-requests`: opens a pull request from a branch of the same repository.
pub(super) fn create(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (world, repo) = find_repository(state, call)?;
    let title = call.body["title"].as_str().unwrap_or_default();
    if title.is_empty() {
        return Err(invalid_field("title", "A title is required."));
    }
    let missing = |name: &str| {
        error_response(404, &format!("The branch {name} does not exist."), "repository.NoSuchBranchException")
    };
    let (head, base) = (parse_branch(&call.body, "fromRef"), parse_branch(&call.body, "toRef"));
    let head = head.ok_or_else(|| invalid_field("fromRef", "A source branch is required."))?;
    let base = base.ok_or_else(|| invalid_field("toRef", "A target branch is required."))?;
    let head_tip = branch_tip(repo, head).map_err(|_| missing(head))?;
    let base_tip = branch_tip(repo, base).map_err(|_| missing(base))?;
    let same = |pull: &&StoredPull| pull.open && pull.head_ref == head && pull.base_ref == base;
    if let Some(existing) = repo.pulls.values().find(same) {
        let words = "Only one pull request may be open for a given source and target branch";
        let more = json!({"existingPullRequest": json::pull(world, repo, existing, &existing.head)});
        return Err(error_with_context(409, None, words, "pull.DuplicatePullRequestException", more));
    }
    if repo.git.count_ahead(&base_tip, &head_tip) == 0 {
        let words = format!("{head} is already up-to-date with {base}");
        return Err(error_response(409, &words, "pull.EmptyPullRequestException"));
    }
    let reviewers = parse_reviewers(world, &call.body)?;
    edits::check_reviewers(repo, &call.login, &reviewers).map_err(|reason| edit_error(&reason))?;
    let has_drafts = is_version_at_least(&world.version, DRAFTS_MIN_VERSION);
    let new = NewPull {
        title: title.to_owned(),
        body: parse_description(&call.body)?,
        author: call.login.clone(),
        head: head.to_owned(),
        base: base.to_owned(),
        draft: has_drafts && call.body["draft"].as_bool().unwrap_or(false),
    };
    let number = open_pull(world, repo, new).map_err(ApiResponse::internal_error)?;
    if !reviewers.is_empty() {
        let edit = PullEdit { reviewers: Some(reviewers), ..PullEdit::default() };
        edits::apply_edit(world, repo, number, &call.login, edit).map_err(|reason| edit_error(&reason))?;
    }
    pull_response(world, repo, number, 201)
}

/// Handles `PUT …/pull-requests/{number}`. Description and reviewers are cleared if the request omits them;
/// title and draft state are kept.
pub(super) fn update(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (world, repo, number) = find_pull(state, call)?;
    check_pull_version(world, repo, number, call)?;
    if repo.pulls.get(&number).is_some_and(|pull| !pull.open) {
        return Err(error_response(
            409,
            "The pull request is closed.",
            "pull.IllegalPullRequestStateException",
        ));
    }
    let has_drafts = is_version_at_least(&world.version, DRAFTS_MIN_VERSION);
    let edit = PullEdit {
        title: call.body["title"].as_str().filter(|title| !title.is_empty()).map(str::to_owned),
        body: Some(parse_description(&call.body)?),
        draft: call.body["draft"].as_bool().filter(|_| has_drafts),
        reviewers: Some(parse_reviewers(world, &call.body)?),
        base: parse_branch(&call.body, "toRef").map(str::to_owned),
    };
    edits::check_edit_permission(world, repo, number, &call.login, &edit)
        .map_err(|reason| edit_error(&reason))?;
    edits::apply_edit(world, repo, number, &call.login, edit).map_err(|reason| edit_error(&reason))?;
    pull_response(world, repo, number, 200)
}

/// Handles `POST …/pull-requests/{number}/decline`, with the version in the query or the body.
pub(super) fn decline(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (world, repo, number) = find_pull(state, call)?;
    let of = repo.pulls.get(&number).ok_or_else(no_pull)?;
    if of.author != call.login {
        world.record_violation(format!("{} declined pull request {number} of {}", call.login, of.author));
        return Err(not_permitted());
    }
    check_pull_version(world, repo, number, call)?;
    if repo.pulls.get(&number).is_some_and(|pull| !pull.open) {
        return Err(error_response(
            409,
            "The pull request is closed.",
            "pull.IllegalPullRequestStateException",
        ));
    }
    close_pull(world, repo, number, None).map_err(ApiResponse::internal_error)?;
    pull_response(world, repo, number, 200)
}

/// Handles `GET …/pull-requests/{number}/merge`: reports whether a merge is possible.
pub(super) fn get_merge_status(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (_, repo, number) = find_pull(state, call)?;
    let of = repo.pulls.get(&number).ok_or_else(no_pull)?;
    if !of.open {
        let words = "The pull request is closed.";
        return Err(error_response(409, words, "pull.IllegalPullRequestStateException"));
    }
    let conflicted = repo.has_conflicts(of)?;
    let state = repo.next_merge_state(number).ok_or_else(no_pull)?;
    let veto = |summary: &str, detail: &str| json!([{"summaryMessage": summary, "detailedMessage": detail}]);
    let none = json!([]);
    let (outcome, vetoes) = match state {
        MergeState::Unknown => ("UNKNOWN", none.clone()),
        MergeState::Dirty => ("CONFLICTED", none.clone()),
        MergeState::Clean | MergeState::Unstable | MergeState::HasHooks => ("CLEAN", none.clone()),
        MergeState::Draft => ("CLEAN", veto("Draft", "A draft cannot be merged.")),
        MergeState::Behind => ("CLEAN", veto("Not up to date", "The source branch is behind its target.")),
        MergeState::Blocked => {
            ("CLEAN", veto("Not all required reviewers have approved yet", "One is missing."))
        }
    };
    let outcome = if conflicted && outcome == "CLEAN" { "CONFLICTED" } else { outcome };
    let can = outcome == "CLEAN" && vetoes == none;
    Ok(ApiResponse::json(
        200,
        json!({
            "canMerge": can, "conflicted": outcome == "CONFLICTED", "outcome": outcome, "vetoes": vetoes,
        }),
    ))
}

/// Handles `GET …/pull-requests/{number}/commits`, newest first.
pub(super) fn list_commits(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (_, repo, number) = find_pull(state, call)?;
    let of = repo.pulls.get(&number).ok_or_else(no_pull)?;
    let all = repo.git.commits_between(&of.base, &of.head)?;
    page::reply_with_page(call, &all.iter().rev().map(json::commit).collect::<Vec<_>>())
}

fn participant_response(
    forge: &ForgeInstance,
    repo: &StoredRepository,
    number: u64,
    login: &str,
) -> CallResult {
    let of = repo.pulls.get(&number).ok_or_else(no_pull)?;
    let all = participants::list_participants(of);
    let one = all.iter().find(|one| one.login == login).ok_or_else(no_pull)?;
    Ok(ApiResponse::json(200, json::participant(forge, one)))
}

/// Handles `POST …/pull-requests/{number}/participants`: adds a reviewer; the caller needs write access.
pub(super) fn add_reviewer(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (world, repo, number) = find_pull(state, call)?;
    if call.body["role"] != "REVIEWER" {
        return Err(invalid_field("role", "Only reviewers can be added."));
    }
    if !may_write(repo, &call.login) {
        return Err(not_permitted());
    }
    let name = call.body["user"]["name"].as_str().unwrap_or_default();
    let who = find_login(world, name).ok_or_else(|| bad_reviewers(&format!("{name} is not a user.")))?;
    let of = repo.pulls.get(&number).ok_or_else(no_pull)?;
    edits::check_reviewers(repo, &of.author, std::slice::from_ref(&who))
        .map_err(|reason| edit_error(&reason))?;
    let mut all = of.merge_conditions.reviewers.clone();
    if !all.contains(&who) {
        all.push(who.clone());
    }
    let edit = PullEdit { reviewers: Some(all), ..PullEdit::default() };
    edits::apply_edit(world, repo, number, &call.login, edit).map_err(|reason| edit_error(&reason))?;
    participant_response(world, repo, number, &who)
}

/// Handles `PUT …/pull-requests/{number}/participants/{slug}`: sets the caller's own verdict. If the request
/// contains a reviewed commit, this commit must be the head. Rejects an approval and records it as a
/// violation.
pub(super) fn set_verdict(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (world, repo, number) = find_pull(state, call)?;
    if json::slug(&call.login) != call.path_param("slug") {
        return Err(not_permitted());
    }
    let of = repo.pulls.get(&number).ok_or_else(no_pull)?;
    if of.author == call.login {
        let words = "Authors do not review their own pull requests.";
        return Err(error_response(409, words, "pull.InvalidPullRequestRoleException"));
    }
    if call.body["lastReviewedCommit"].as_str().is_some_and(|commit| commit != of.head) {
        let words = "The last reviewed commit is not the newest one.";
        return Err(error_response(409, words, "pull.PullRequestOutOfDateException"));
    }
    match call.body["status"].as_str() {
        Some("NEEDS_WORK") => {
            participants::request_changes(world, repo, number, &call.login)?;
            participant_response(world, repo, number, &call.login)
        }
        Some("UNAPPROVED") => {
            participants::withdraw_verdict(world, repo, number, &call.login)?;
            participant_response(world, repo, number, &call.login)
        }
        Some("APPROVED") => {
            world.record_violation(format!("approval of {}#{number} by {}", repo.full_name(), call.login));
            Err(not_permitted())
        }
        Some(_) | None => Err(invalid_field("status", "it is not a known one")),
    }
}
