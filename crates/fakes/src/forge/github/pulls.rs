//! Handles the calls with which loops open and change pull requests.

use serde_json::Value;

use crate::forge::error::FakeError;
use crate::forge::github::call::{ApiCall, ApiResponse, CallResult, PageRequest};
use crate::forge::github::issues::{check_body_length, check_title};
use crate::forge::github::json::node_id;
use crate::forge::operations::branches::branch_tip;
use crate::forge::operations::pulls::{NewPull, close_pull, has_open_pull, open_pull};
use crate::forge::state::event::PullChange;
use crate::forge::state::pulls::StoredPull;
use crate::forge::state::{FakeForgeState, ForgeInstance, StoredRepository};

/// Maximum number of commits that a pull request's list of commits contains.
const MAX_COMMITS: usize = 250;

/// Converts an error of the fake to a response in GitHub's format.
pub(crate) fn error_response(error: &FakeError) -> ApiResponse {
    ApiResponse::error(500, &format!("the fake forge failed: {error}"), Value::Null)
}

/// Returns the pull request that the path names, if the caller may change it. In this fake, a caller with
/// write access may change only the description of another account's pull request.
fn find_editable_pull<'a>(
    state: &'a mut FakeForgeState,
    call: &ApiCall,
) -> Result<(&'a mut ForgeInstance, &'a mut StoredRepository, u64), ApiResponse> {
    let (world, repo, number) = state.find_pull(call)?;
    let author = repo.pulls.get(&number).map(|pull| pull.author.clone()).unwrap_or_default();
    let describes = call.body.as_object().is_some_and(|fields| fields.keys().all(|field| field == "body"));
    if author == call.login || (describes && (!call.token_scope.is_account() || repo.may_push(call))) {
        return Ok((world, repo, number));
    }
    world.record_violation(format!("{} touched pull request {number} of {author}", call.login));
    Err(ApiResponse::error(403, "Resource not accessible by integration", Value::Null))
}

fn pull_response(forge: &ForgeInstance, repo: &mut StoredRepository, number: u64, status: u16) -> CallResult {
    let head = repo.pulls.get(&number).map(|pull| pull.head.clone()).unwrap_or_default();
    let stats = repo.pull_sizes(number, &head)?;
    let pull = repo.pulls.get(&number).ok_or_else(ApiResponse::not_found)?;
    Ok(ApiResponse::json(status, forge.pull_json(repo, pull, &head, Some(stats))))
}

/// Handles `POST …/pulls`: opens a pull request from a branch of the same repository.
pub(crate) fn create(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (world, repo) = state.find_repository(call)?;
    let text = |field: &str| call.body[field].as_str();
    let invalid = |field: &str| ApiResponse::invalid("PullRequest", field, "invalid", "");
    check_title("PullRequest", text("title"))?;
    let body = text("body").unwrap_or_default();
    check_body_length("PullRequest", body)?;
    let own = format!("{}:", repo.owner);
    let (head, base) = (text("head").unwrap_or_default(), text("base").unwrap_or_default());
    let head = head.strip_prefix(&own).unwrap_or(head);
    let base_tip = branch_tip(repo, base).map_err(|_| invalid("base"))?;
    let head_tip = branch_tip(repo, head).map_err(|_| invalid("head"))?;
    let custom = |words: String| ApiResponse::invalid("PullRequest", "", "custom", &words);
    if repo.git.count_ahead(&base_tip, &head_tip) == 0 {
        return Err(custom(format!("No commits between {base} and {head}")));
    }
    if has_open_pull(repo, head, base) {
        return Err(custom(format!("A pull request already exists for {own}{head}.")));
    }
    let new = NewPull {
        title: text("title").unwrap_or_default().to_owned(),
        body: body.to_owned(),
        author: call.login.clone(),
        head: head.to_owned(),
        base: base.to_owned(),
        draft: call.body["draft"].as_bool().unwrap_or(false),
    };
    let number = open_pull(world, repo, new).map_err(|error| error_response(&error))?;
    pull_response(world, repo, number, 201)
}

/// Handles `PATCH …/pulls/{number}`: changes the title or the body, or closes the pull request without
/// merging.
pub(crate) fn update(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (world, repo, number) = find_editable_pull(state, call)?;
    let text = |field: &str| call.body[field].as_str();
    if text("title").is_some() {
        check_title("PullRequest", text("title"))?;
    }
    check_body_length("PullRequest", text("body").unwrap_or_default())?;
    let pull = repo.pulls.get_mut(&number).ok_or_else(ApiResponse::not_found)?;
    let replaced = |field: &str, old: &mut String| {
        let new = text(field).filter(|new| *new != old.as_str())?;
        Some(std::mem::replace(old, new.to_owned()))
    };
    let (title, body) = (replaced("title", &mut pull.title), replaced("body", &mut pull.body));
    let is_open = pull.open;
    if title.is_some() || body.is_some() {
        world.record_change(
            repo,
            number,
            &call.login,
            PullChange::Edited { previous_title: title, previous_body: body },
        )?;
    }
    match (text("state"), is_open) {
        (Some("closed"), true) => {
            close_pull(world, repo, number, None).map_err(|error| error_response(&error))?;
        }
        (Some("open"), false) => {
            world.record_violation(format!("{} reopened pull request {number}", call.login));
            return Err(ApiResponse::error(403, "Resource not accessible by integration", Value::Null));
        }
        (Some(_) | None, _) => {}
    }
    pull_response(world, repo, number, 200)
}

/// Handles `GET …/pulls/{number}/commits`: lists at most 250 commits, oldest first.
pub(crate) fn list_commits(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (world, repo, number) = state.find_pull(call)?;
    let pull = repo.pulls.get(&number).ok_or_else(ApiResponse::not_found)?;
    let mut all = repo.git.commits_between(&pull.base, &pull.head)?;
    all.truncate(MAX_COMMITS);
    let page = PageRequest::from_call(call);
    let shown = page.page_items(&all).iter().map(|commit| world.commit_json(repo, commit)).collect();
    Ok(page.reply_with_page(world, call, all.len(), shown))
}

/// Handles `GET …/pulls/{number}/reviews`, oldest first.
pub(crate) fn list_reviews(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (world, repo, number) = state.find_pull(call)?;
    let pull = repo.pulls.get(&number).ok_or_else(ApiResponse::not_found)?;
    let page = PageRequest::from_call(call);
    let shown =
        page.page_items(&pull.reviews).iter().map(|review| world.review_json(repo, pull, review)).collect();
    Ok(page.reply_with_page(world, call, pull.reviews.len(), shown))
}

/// Makes the pull request with this GraphQL id a draft, or ready for review. Returns false if the caller may
/// not make this change. The author and accounts with write access may change the state. Truing must never
/// make another account's pull request a draft. An installation needs the permission `contents: write`
/// (<https://github.com/cli/cli/issues/8910>).
pub(crate) fn set_draft(
    state: &mut FakeForgeState,
    call: &ApiCall,
    node_ids: &[String],
    is_draft: bool,
) -> Result<bool, ApiResponse> {
    let FakeForgeState { forge: world, repos, renamed_repositories: _ } = state;
    for repo in repos.values_mut().filter(|repo| call.token_scope.includes(repo)) {
        let is = |pull: &&mut StoredPull| node_ids.contains(&node_id("PullRequest", pull.id));
        let Some(pull) = repo.pulls.values_mut().find(is) else { continue };
        let own = pull.author == call.login;
        let (number, may_push) = (pull.number, repo.may_push(call));
        let pull = repo.pulls.get_mut(&number).ok_or_else(ApiResponse::not_found)?;
        let may = may_push || (own && call.token_scope.is_account());
        if !may {
            return Ok(false);
        }
        if !own && is_draft {
            world.record_violation(format!(
                "{} touched pull request {} of {}",
                call.login, pull.number, pull.author
            ));
            return Ok(false);
        }
        let (number, was) = (pull.number, std::mem::replace(&mut pull.draft, is_draft));
        if was != is_draft {
            world.record_change(repo, number, &call.login, PullChange::DraftChanged(is_draft))?;
        }
        return Ok(true);
    }
    Ok(false)
}
