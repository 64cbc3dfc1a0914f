//! Handles REST calls. Each handler checks in GitHub's order whether the object exists, whether the call is
//! allowed, and whether the call is valid. The handler then performs the call.

use serde_json::Value;

use crate::forge::diff::FakeDiffSide;
use crate::forge::github::call::{ApiCall, ApiResponse, CallResult, PageRequest};
use crate::forge::operations::comments::{CommentCommits, InlineTarget, add_inline_comment, add_reply};
use crate::forge::state::notes::list_visible_comment_ids;
use crate::forge::state::pulls::{
    FakeReviewVerdict, InlinePlace, StoredInlineComment, StoredPull, StoredReview,
};
use crate::forge::state::{CommitStatus, FakeForgeState, ForgeInstance, StoredRepository};

/// Maximum length of a comment, in characters.
pub const MAX_COMMENT_CHARS: usize = 65_536;
/// Maximum length of the description of a status, in characters.
pub const MAX_STATUS_DESCRIPTION_CHARS: usize = 140;
/// Maximum number of statuses of one context on one commit.
const MAX_STATUSES_PER_CONTEXT: usize = 1_000;
/// Fields that a comment in the body of a new review may have. A new review cannot contain a comment on a
/// whole file.
const REVIEW_COMMENT_FIELDS: &[&str] =
    &["path", "position", "body", "line", "side", "start_line", "start_side"];
pub(crate) const BODY_TOO_LONG_MESSAGE: &str = "Body is too long (maximum is 65536 characters)";

// ------------------------------------------------------------------------------------------------ reading

/// Handles the call `GET /user`.
pub(crate) fn get_current_user(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    Ok(ApiResponse::json(200, state.forge.viewer_json(&call.login)))
}

/// Handles the call `GET /repos/{owner}/{repo}`.
pub(crate) fn get_repository(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (world, repo) = state.find_repository(call)?;
    Ok(ApiResponse::json(200, world.full_repository_json(repo, call.is_pusher(repo))))
}

/// Handles `GET /repos/{owner}/{repo}/pulls`, filtered by `state`, `head` (`owner:branch`) and `base`. The
/// list is sorted by `sort` (created or updated) and `direction`.
pub(crate) fn list_pulls(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (world, repo) = state.find_repository(call)?;
    let asked = |name: &str| call.query_params.get(name).map(String::as_str);
    let wanted = asked("state").unwrap_or("open");
    let from = asked("head").map(|head| head.strip_prefix(&format!("{}:", repo.owner)).unwrap_or(head));
    let mut numbers: Vec<u64> = repo
        .pulls
        .values()
        .filter(|pull| wanted == "all" || pull.open == (wanted == "open"))
        .filter(|pull| from.is_none_or(|from| pull.head_ref == from))
        .filter(|pull| asked("base").is_none_or(|base| pull.base_ref == base))
        .map(|pull| pull.number)
        .collect();
    let by_update = asked("sort") == Some("updated");
    numbers.sort_by_key(|number| {
        (repo.pulls.get(number).filter(|_| by_update).map(|pull| pull.updated_at), *number)
    });
    // The newest pull requests are first if the call's `direction` is missing or descending.
    if asked("direction").unwrap_or("desc") == "desc" {
        numbers.reverse();
    }
    let page = PageRequest::from_call(call);
    let mut shown = Vec::new();
    for number in page.page_items(&numbers) {
        let Some(pull) = repo.pulls.get_mut(number) else { continue };
        let head = pull.read_head();
        shown.extend(repo.pulls.get(number).map(|pull| world.pull_json(repo, pull, &head, None)));
    }
    Ok(page.reply_with_page(world, call, numbers.len(), shown))
}

/// Handles the call `GET /repos/{owner}/{repo}/pulls/{number}`.
pub(crate) fn get_pull(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (world, repo, number) = state.find_pull(call)?;
    let head = repo.pulls.get_mut(&number).map(StoredPull::read_head).unwrap_or_default();
    let stats = repo.pull_sizes(number, &head)?;
    let pull = repo.pulls.get(&number).ok_or_else(ApiResponse::not_found)?;
    Ok(ApiResponse::json(200, world.pull_json(repo, pull, &head, Some(stats))))
}

/// Handles `GET …/pulls/{number}/comments`, oldest first.
pub(crate) fn list_pull_inline_comments(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    list_inline_comments(state, call, None)
}

/// Handles `GET …/pulls/{number}/reviews/{id}/comments`. The comments have GitHub's older format, without
/// line numbers.
pub(crate) fn list_review_comments(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let review = call.require_number("id")?;
    let (_, repo, number) = state.find_pull(call)?;
    if !repo.pulls.get(&number).is_some_and(|pull| pull.reviews.iter().any(|known| known.id == review)) {
        return Err(ApiResponse::not_found());
    }
    list_inline_comments(state, call, Some(review))
}

fn list_inline_comments(state: &mut FakeForgeState, call: &ApiCall, review_id: Option<u64>) -> CallResult {
    let (world, repo, number) = state.find_pull(call)?;
    let of_review =
        |comment: &&mut StoredInlineComment| review_id.is_none_or(|review| comment.review_id == review);
    let pull = repo.pulls.get_mut(&number).ok_or_else(ApiResponse::not_found)?;
    let ids = list_visible_comment_ids(
        pull.inline_comments.iter_mut().filter(of_review).map(|comment| &mut comment.comment),
    );
    let lines = repo.current_lines(number)?;
    let pull = repo.pulls.get(&number).ok_or_else(ApiResponse::not_found)?;
    let page = PageRequest::from_call(call);
    let shown = page.page_items(&ids).iter().filter_map(|id| {
        let comment = pull.inline_comments.iter().find(|comment| comment.comment.id == *id)?;
        let now = lines.get(id).copied().flatten();
        Some(match review_id {
            Some(_) => world.review_comment_json(repo, pull, comment, now),
            None => world.inline_comment_json(repo, pull, comment, now),
        })
    });
    let shown = shown.collect();
    Ok(page.reply_with_page(world, call, ids.len(), shown))
}

/// Handles `GET …/commits/{sha}/statuses`, newest first.
pub(crate) fn list_commit_statuses(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (world, repo) = state.find_repository(call)?;
    let all: Vec<&CommitStatus> =
        repo.statuses.iter().rev().filter(|status| status.sha == call.path_param("sha")).collect();
    let page = PageRequest::from_call(call);
    let shown = page.page_items(&all).iter().map(|status| world.status_json(repo, status)).collect();
    Ok(page.reply_with_page(world, call, all.len(), shown))
}

// ------------------------------------------------------------------------------------------------ reviews

/// Handles `POST …/pulls/{number}/reviews`. If one comment is invalid, no comment is posted; the error does
/// not name the invalid comment.
pub(crate) fn create_review(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (world, repo, number) = state.find_pull(call)?;
    match call.body["event"].as_str() {
        Some("COMMENT" | "REQUEST_CHANGES") => {}
        Some(event @ "APPROVE") => {
            world.record_violation(format!("{event} of {}#{number} by {}", repo.full_name(), call.login));
            return Err(ApiResponse::error(403, "Resource not accessible by integration", Value::Null));
        }
        other => {
            world.record_violation(format!("a review of {}#{number} with event {other:?}", repo.full_name()));
            return Err(review_error(vec!["Event is invalid".into()]));
        }
    }
    let state = if call.body["event"] == "COMMENT" {
        FakeReviewVerdict::Commented
    } else {
        FakeReviewVerdict::ChangesRequested
    };
    let own = repo.pulls.get(&number).is_some_and(|pull| pull.author == call.login);
    if own && state == FakeReviewVerdict::ChangesRequested {
        return Err(review_error(vec!["Review Can not request changes on your own pull request".into()]));
    }
    let text = call.body["body"].as_str().unwrap_or_default();
    let mut errors = Vec::new();
    check_comment_text(text).unwrap_or_else(|error| errors.push(error));
    let spot = CommentCommits::from_pull(repo, number, comment_commit_id(&call.body))
        .map_err(|error| review_error(vec![error]))?;
    let none = Vec::new();
    let mut drafts = Vec::new();
    for comment in call.body["comments"].as_array().unwrap_or(&none) {
        let unknown = comment
            .as_object()
            .and_then(|o| o.keys().find(|key| !REVIEW_COMMENT_FIELDS.contains(&key.as_str())));
        if let Some(field) = unknown {
            let message = format!("Invalid request.\n\n\"{field}\" is not a permitted key.");
            return Err(ApiResponse::error(422, &message, Value::Null));
        }
        let body = comment["body"].as_str().unwrap_or_default();
        let checked = check_comment_text(body)
            .and_then(|()| parse_place(comment).map_err(str::to_owned))
            .and_then(|place| {
                let hunk = spot.find_commented_hunk(repo, number, &place)?;
                Ok((place, hunk))
            });
        match checked {
            Ok((place, hunk)) => drafts.push((body, place, hunk)),
            Err(error) => errors.push(error),
        }
    }
    if !errors.is_empty() {
        errors.dedup();
        return Err(review_error(errors));
    }
    let review = StoredReview {
        id: world.next_id(),
        author: call.login.clone(),
        body: text.to_owned(),
        state,
        commit: spot.commit().to_owned(),
        created_at: world.now(),
    };
    let notes: Vec<_> = drafts
        .into_iter()
        .map(|(body, place, hunk)| {
            spot.new_comment(world.new_comment(&call.login, body), review.id, place, hunk)
        })
        .collect();
    let now = world.now();
    let pull = repo.pulls.get_mut(&number).ok_or_else(ApiResponse::not_found)?;
    pull.updated_at = now;
    pull.inline_comments.extend(notes);
    pull.reviews.push(review.clone());
    let pull = repo.pulls.get(&number).ok_or_else(ApiResponse::not_found)?;
    Ok(ApiResponse::json(200, world.review_json(repo, pull, &review)))
}

/// Handles `POST …/pulls/{number}/comments`: creates a comment on lines. With `subject_type: file`, it
/// creates a comment on a file; with `in_reply_to`, it creates a reply.
pub(crate) fn create_inline_comment(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    if let Some(first) = call.body["in_reply_to"].as_u64() {
        return add_comment_reply(state, call, first);
    }
    let (world, repo, number) = state.find_pull(call)?;
    let resource = "PullRequestReviewComment";
    let invalid = |field: &str, message: String| ApiResponse::invalid(resource, field, "custom", &message);
    let body = call.body["body"].as_str().unwrap_or_default();
    check_comment_text(body).map_err(|message| invalid("body", message))?;
    if call.body["commit_id"].is_null() {
        return Err(ApiResponse::invalid(resource, "commit_id", "missing_field", "commit_id is missing"));
    }
    let spot = CommentCommits::from_pull(repo, number, comment_commit_id(&call.body))
        .map_err(|message| invalid("commit_id", message))?;
    let place = match call.body["subject_type"].as_str() {
        Some("file") => match call.body["path"].as_str() {
            Some(path) => Ok(InlinePlace { path: path.to_owned(), line: None, start: None }),
            None => Err("path is missing"),
        },
        Some("line") | None => parse_place(&call.body),
        Some(_) => Err("subject_type is invalid"),
    };
    let place = place.map_err(|message| invalid("pull_request_review_thread", message.to_owned()))?;
    let hunk = spot
        .find_commented_hunk(repo, number, &place)
        .map_err(|message| invalid("pull_request_review_thread.line", message))?;
    let comment = add_inline_comment(
        world,
        repo,
        number,
        &call.login,
        body,
        InlineTarget { commits: spot, place, hunk },
    );
    inline_comment_response(world, repo, number, comment)
}

/// Handles `POST …/pulls/{number}/comments/{id}/replies`. The id in the path must be the id of a thread's
/// first comment.
pub(crate) fn create_comment_reply(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let first = call.require_number("id")?;
    add_comment_reply(state, call, first)
}

fn add_comment_reply(state: &mut FakeForgeState, call: &ApiCall, first_comment: u64) -> CallResult {
    let (forge, repo, number) = state.find_pull(call)?;
    let body = call.body["body"].as_str().unwrap_or_default();
    check_comment_text(body)
        .map_err(|error| ApiResponse::invalid("PullRequestReviewComment", "body", "custom", &error))?;
    let comment = add_reply(forge, repo, number, &call.login, first_comment, body)
        .ok_or_else(ApiResponse::not_found)?;
    inline_comment_response(forge, repo, number, comment)
}

fn inline_comment_response(
    world: &ForgeInstance,
    repo: &mut StoredRepository,
    number: u64,
    id: u64,
) -> CallResult {
    let now = repo.current_lines(number)?.get(&id).copied().flatten();
    let found = repo
        .pulls
        .get(&number)
        .and_then(|pull| Some((pull, pull.inline_comments.iter().find(|c| c.comment.id == id)?)));
    let (pull, comment) = found.ok_or_else(ApiResponse::not_found)?;
    Ok(ApiResponse::json(201, world.inline_comment_json(repo, pull, comment, now)))
}

/// Returns the commit in a comment's fields; `None` means the head. If the value is not a text, returns an
/// empty text, which matches no commit.
fn comment_commit_id(comment: &Value) -> Option<&str> {
    let commit = &comment["commit_id"];
    (!commit.is_null()).then(|| commit.as_str().unwrap_or_default())
}

/// Returns the file and the lines in a comment's fields.
fn parse_place(comment: &Value) -> Result<InlinePlace, &'static str> {
    let given = |field: &str| Some(&comment[field]).filter(|value| !value.is_null());
    let number = |field| {
        let line =
            |value: &Value| value.as_u64().and_then(|n| u32::try_from(n).ok()).ok_or("Line is not a number");
        given(field).map(line).transpose()
    };
    let side = |field| {
        let known = |value: &Value| {
            value.as_str().and_then(FakeDiffSide::from_name).ok_or("Side is not included in the list")
        };
        given(field).map_or(Ok(FakeDiffSide::Right), known)
    };
    let path = comment["path"].as_str().ok_or("Path can't be blank")?.to_owned();
    let line = number("line")?.ok_or("Line could not be resolved")?;
    let start_side = if comment["start_side"].is_null() { "side" } else { "start_side" };
    let start = match number("start_line")? {
        Some(first) => Some((side(start_side)?, first)),
        None => None,
    };
    Ok(InlinePlace { path, line: Some((side("side")?, line)), start })
}

/// Checks that a text exists and is not too long.
pub(crate) fn check_comment_text(body: &str) -> Result<(), String> {
    if body.trim().is_empty() {
        Err("Body can't be blank".into())
    } else if body.chars().count() > MAX_COMMENT_CHARS {
        Err(BODY_TOO_LONG_MESSAGE.into())
    } else {
        Ok(())
    }
}

/// Returns 422 in the error format of reviews, in which the errors are strings.
fn review_error(errors: Vec<String>) -> ApiResponse {
    ApiResponse::error(422, "Unprocessable Entity", errors.into())
}

// ----------------------------------------------------------------------------------- comments, statuses

/// Handles the call `PATCH …/pulls/comments/{id}`.
pub(crate) fn update_inline_comment(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (number, id) = find_own_inline_comment(state, call)?;
    let (world, repo) = state.find_repository(call)?;
    let body = call.body["body"].as_str().unwrap_or_default();
    check_comment_text(body)
        .map_err(|error| ApiResponse::invalid("PullRequestReviewComment", "body", "custom", &error))?;
    let now = world.now();
    let pull = repo.pulls.get_mut(&number).ok_or_else(ApiResponse::not_found)?;
    let comment = pull.comment_mut(id).ok_or_else(ApiResponse::not_found)?;
    comment.comment.set_body(body, now, &call.login);
    let mut reply = inline_comment_response(world, repo, number, id)?;
    reply.status = 200;
    Ok(reply)
}

/// Handles the call `GET …/pulls/comments/{id}`.
pub(crate) fn get_inline_comment(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let id = call.require_number("id")?;
    let (world, repo) = state.find_repository(call)?;
    let there = |pull: &StoredPull| {
        pull.inline_comments.iter().any(|comment| comment.comment.id == id && !comment.comment.deleted)
    };
    let number = repo.pulls.values().find(|pull| there(pull)).map(|pull| pull.number);
    let mut reply = inline_comment_response(world, repo, number.ok_or_else(ApiResponse::not_found)?, id)?;
    reply.status = 200;
    Ok(reply)
}

/// Handles `DELETE …/pulls/comments/{id}`. The replies to the comment are kept.
pub(crate) fn delete_inline_comment(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (number, id) = find_own_inline_comment(state, call)?;
    let (_, repo) = state.find_repository(call)?;
    let pull = repo.pulls.get_mut(&number).ok_or_else(ApiResponse::not_found)?;
    pull.comment_mut(id).ok_or_else(ApiResponse::not_found)?.comment.deleted = true;
    Ok(ApiResponse::no_content())
}

/// Returns the id of the comment on code in the path, and the comment's pull request. Returns an error if the
/// caller is not the author of the comment.
fn find_own_inline_comment(state: &mut FakeForgeState, call: &ApiCall) -> Result<(u64, u64), ApiResponse> {
    let id = call.require_number("id")?;
    let (world, repo) = state.find_repository(call)?;
    let found = repo.pulls.values().find_map(|pull| {
        let mut notes = pull.inline_comments.iter().map(|comment| &comment.comment);
        notes.find(|note| note.id == id && !note.deleted).map(|note| (pull.number, note))
    });
    let (number, note) = found.ok_or_else(ApiResponse::not_found)?;
    if note.author == call.login {
        Ok((number, id))
    } else {
        world.record_violation(format!("{} touched comment {id} of {}", call.login, note.author));
        Err(ApiResponse::error(403, "Resource not accessible by integration", Value::Null))
    }
}

/// Handles the call `POST …/statuses/{sha}`.
pub(crate) fn create_status(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (world, repo) = state.find_repository(call)?;
    let sha = call.path_param("sha");
    if !repo.git.contains(sha) {
        return Err(ApiResponse::error(422, &format!("No commit found for SHA: {sha}"), Value::Null));
    }
    let invalid = |field: &str, message: &str| ApiResponse::invalid("Status", field, "custom", message);
    let text = |field: &str| call.body[field].as_str().map(str::to_owned);
    let value =
        text("state").filter(|state| matches!(state.as_str(), "error" | "failure" | "pending" | "success"));
    let value = value.ok_or_else(|| invalid("state", "state is not included in the list"))?;
    let description = text("description");
    if description.as_ref().is_some_and(|words| words.chars().count() > MAX_STATUS_DESCRIPTION_CHARS) {
        return Err(invalid("description", "description is too long (maximum is 140 characters)"));
    }
    let context = text("context").unwrap_or_else(|| "default".into());
    let same = repo.statuses.iter().filter(|status| status.sha == sha && status.context == context).count();
    if same >= MAX_STATUSES_PER_CONTEXT {
        return Err(invalid("base", "This SHA and context has reached the maximum number of statuses."));
    }
    let status = CommitStatus {
        id: world.next_id(),
        sha: sha.to_owned(),
        state: value,
        description,
        target_url: text("target_url"),
        context,
        name: None,
        refname: None,
        parent_key: None,
        creator: call.login.clone(),
        created_at: world.now(),
    };
    let reply = ApiResponse::json(201, world.status_json(repo, &status));
    repo.statuses.push(status);
    Ok(reply)
}
