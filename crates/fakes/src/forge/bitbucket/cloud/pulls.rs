//! Pull requests: read, opened, changed and declined.

use serde_json::{Value, json};

use super::admission::{pull, repository};
use super::errors::{against, invalid, not_found, refused};
use super::estate::login_of;
use super::{json, page};
use crate::forge::bitbucket::edits::{self, PullEdit};
use crate::forge::bitbucket::{may_write, participants};
use crate::forge::http::call::{ApiCall, ApiReply, CallResult};
use crate::forge::operations::branches::tip;
use crate::forge::operations::pulls::{NewPull, close, is_there, open};
use crate::forge::state::merging::MergeState;
use crate::forge::state::pulls::StoredPull;
use crate::forge::state::{FakeForgeState, ForgeInstance, StoredRepository};

/// Handles `GET …/pullrequests`: open ones, unless `state` (repeatable) or the filter requests others.
pub(super) fn list(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let filter = page::query(call)?;
    let (world, repo) = repository(state, call)?;
    let mut states: Vec<&str> =
        call.fields.iter().filter(|(name, _)| name == "state").map(|(_, value)| value.as_str()).collect();
    if states.is_empty() && !filter.is_some_and(|filter| filter.names("state")) {
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
    page::reply(world, call, shown, page::MOST_PULLS)
}

/// Handles the call `GET …/pullrequests/{number}`.
pub(super) fn one(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (world, repo, number) = pull(state, call)?;
    shown(world, repo, number, 200)
}

fn shown(world: &ForgeInstance, repo: &mut StoredRepository, number: u64, status: u16) -> CallResult {
    let head = repo.pulls.get_mut(&number).map(StoredPull::read_head).unwrap_or_default();
    let of = repo.pulls.get(&number).ok_or_else(|| not_found("Pull request"))?;
    let mergeable = match repo.merge_state(of) {
        MergeState::Clean | MergeState::Unstable | MergeState::HasHooks => !repo.conflicts(of)?,
        MergeState::Behind
        | MergeState::Blocked
        | MergeState::Dirty
        | MergeState::Draft
        | MergeState::Unknown => false,
    };
    Ok(ApiReply::json(status, json::whole_pull(world, repo, of, &head, mergeable)))
}

/// Returns the logins of the reviewers that a body names by their ids, if none of their accounts is closed.
fn reviewers(world: &ForgeInstance, body: &Value) -> Result<Vec<String>, ApiReply> {
    let none = Vec::new();
    let named = |reviewer: &Value| {
        let found = login_of(world, reviewer["uuid"].as_str().unwrap_or_default());
        let open = found.filter(|login| !world.closed_accounts.contains(*login));
        open.map(str::to_owned).ok_or_else(|| invalid("reviewers", "Malformed reviewers list"))
    };
    body["reviewers"].as_array().unwrap_or(&none).iter().map(named).collect()
}

/// Handles `POST …/pullrequests`, from a branch of the repository itself.
pub(super) fn create(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (world, repo) = repository(state, call)?;
    let text = |field: &str| call.body[field].as_str().unwrap_or_default();
    let branch = |end: &str| call.body[end]["branch"]["name"].as_str();
    if text("title").is_empty() {
        return Err(invalid("title", "This field is required."));
    }
    let head = branch("source").ok_or_else(|| invalid("source", "This field is required."))?;
    let base = branch("destination").unwrap_or(&repo.default_branch).to_owned();
    let head_tip = tip(repo, head).map_err(|_| invalid("source.branch.name", "branch not found"))?;
    let base_tip = tip(repo, &base).map_err(|_| invalid("destination.branch.name", "branch not found"))?;
    if !may_write(repo, &call.login) {
        world.violation(format!("{} opened a pull request without the right to", call.login));
        return Err(refused(403, "You do not have write access to the source repository."));
    }
    if repo.git.count(&base_tip, &head_tip) == 0 {
        return Err(refused(400, "There are no changes to be pulled"));
    }
    if is_there(repo, head, &base) {
        return Err(refused(400, &format!("There is already an open pull request from {head} to {base}")));
    }
    let reviewers = reviewers(world, &call.body)?;
    edits::admissible(repo, &call.login, &reviewers).map_err(|why| against(&why))?;
    let new = NewPull {
        title: text("title").to_owned(),
        body: text("description").to_owned(),
        author: call.login.clone(),
        head: head.to_owned(),
        base,
        draft: call.body["draft"].as_bool().unwrap_or(false),
    };
    let number = open(world, repo, new).map_err(ApiReply::failed)?;
    if !reviewers.is_empty() {
        let edit = PullEdit { reviewers: Some(reviewers), ..PullEdit::default() };
        edits::make(world, repo, number, &call.login, edit).map_err(|why| against(&why))?;
    }
    shown(world, repo, number, 201)
}

/// Handles `PUT …/pullrequests/{number}`: description and reviewers are cleared if they are left out.
pub(super) fn update(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (world, repo, number) = pull(state, call)?;
    let text = |field: &str| call.body[field].as_str().map(str::to_owned);
    let title = text("title").filter(|title| !title.is_empty());
    let title = title.ok_or_else(|| invalid("title", "This field is required."))?;
    if repo.pulls.get(&number).is_some_and(|pull| !pull.open) {
        return Err(refused(400, "This pull request is already closed."));
    }
    let edit = PullEdit {
        title: Some(title),
        body: Some(text("description").unwrap_or_default()),
        draft: call.body["draft"].as_bool(),
        reviewers: Some(reviewers(world, &call.body)?),
        base: call.body["destination"]["branch"]["name"].as_str().map(str::to_owned),
    };
    edits::check(world, repo, number, &call.login, &edit).map_err(|why| against(&why))?;
    edits::make(world, repo, number, &call.login, edit).map_err(|why| against(&why))?;
    shown(world, repo, number, 200)
}

/// Handles `POST …/pullrequests/{number}/decline`, which cannot be undone.
pub(super) fn decline(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (world, repo, number) = pull(state, call)?;
    let of = repo.pulls.get(&number).ok_or_else(|| not_found("Pull request"))?;
    if of.author != call.login {
        world.violation(format!("{} declined pull request {number} of {}", call.login, of.author));
        return Err(refused(403, "You do not have permission to decline this pull request."));
    }
    if !of.open {
        return Err(refused(400, "This pull request is already closed."));
    }
    close(world, repo, number, None).map_err(ApiReply::failed)?;
    shown(world, repo, number, 200)
}

/// Handles the call `POST …/pullrequests/{number}/request-changes`.
pub(super) fn request_changes(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (world, repo, number) = pull(state, call)?;
    if repo.pulls.get(&number).is_some_and(|pull| pull.author == call.login) {
        return Err(refused(400, "You cannot request changes on your own pull request."));
    }
    participants::want_changes(world, repo, number, &call.login)?;
    let of = repo.pulls.get(&number).ok_or_else(|| not_found("Pull request"))?;
    let all = participants::of(of);
    let one = all.iter().find(|one| one.login == call.login).ok_or_else(|| not_found("Participant"))?;
    Ok(ApiReply::json(200, json::participant(world, one)))
}

/// Handles `DELETE …/pullrequests/{number}/request-changes`: the caller's own request.
pub(super) fn withdraw_changes(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (world, repo, number) = pull(state, call)?;
    participants::withdraw(world, repo, number, &call.login)?;
    Ok(ApiReply::done())
}

/// Handles `GET …/pullrequests/{number}/commits`, newest first.
pub(super) fn commits(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (world, repo, number) = pull(state, call)?;
    let of = repo.pulls.get(&number).ok_or_else(|| not_found("Pull request"))?;
    let all = repo.git.log(&of.base, &of.head)?;
    let shown = all.iter().rev().map(|commit| json::commit(world, repo, commit)).collect();
    page::reply(world, call, shown, page::MOST)
}

/// Handles `GET …/pullrequests/{number}/conflicts` with a redirect.
pub(super) fn elsewhere(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (world, repo, number) = pull(state, call)?;
    let of = repo.pulls.get(&number).ok_or_else(|| not_found("Pull request"))?;
    let spec = format!("{}..{}", json::short(&of.head), json::short(&of.base));
    let to = format!("{}/file-conflicts/{spec}?from_pullrequest_id={number}", json::api(world, repo));
    Ok(ApiReply::bytes(302, "text/plain", "").header("location", to))
}

/// Returns the commits of `A..B` in an address. The order of the two is the opposite of git's.
fn compared(repo: &StoredRepository, call: &ApiCall) -> Result<(String, String), ApiReply> {
    let missing = || not_found("Commit");
    let (head, base) = call.param("spec").split_once("..").ok_or_else(missing)?;
    let whole = |sha: &str| repo.git.expand(sha).map(str::to_owned).ok_or_else(missing);
    Ok((whole(base)?, whole(head)?))
}

/// Handles the call `GET …/file-conflicts/{spec}`.
pub(super) fn conflicts(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (world, repo) = repository(state, call)?;
    let (base, head) = compared(repo, call)?;
    let number = call.asked("from_pullrequest_id").and_then(|number| number.parse().ok()).unwrap_or(0);
    let told = repo.pulls.get(&number).and_then(|pull| pull.around.merge.front()).copied();
    repo.ask_merge_state(number);
    let paths = match told {
        Some(MergeState::Dirty) => vec!["a file".to_owned()],
        Some(_) => Vec::new(),
        None => repo.git.conflicting(&base, &head)?,
    };
    let shown = paths.into_iter().map(|path| {
        json!({"type": "file_conflict", "path": path, "scenario": "content", "message": "both have changed it"})
    });
    page::reply(world, call, shown.collect(), page::MOST)
}
