//! Handles calls about comments of pull requests. One list contains comments of all kinds.

use serde_json::Value;

use super::auth::find_pull;
use super::errors::{self, error_response, invalid_field, not_found};
use super::{json, pagination};
use crate::forge::bitbucket::{MAX_COMMENT_CHARS, pull_comments};
use crate::forge::diff::FakeDiffSide;
use crate::forge::http::call::{ApiCall, ApiResponse, CallResult};
use crate::forge::operations::comments::{InlineTarget, add_inline_comment};
use crate::forge::state::event::FakeForgeEvent;
use crate::forge::state::pulls::InlinePlace;
use crate::forge::state::{FakeForgeState, ForgeInstance, StoredRepository};

/// Handles `GET …/comments`, oldest first. A deleted comment that was answered is listed without its text.
pub(super) fn list(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (world, repo, number) = find_pull(state, call)?;
    let missing = || not_found("Pull request");
    let mut ids = pull_comments::list_comment_ids(repo.pulls.get_mut(&number).ok_or_else(missing)?);
    let lines = repo.current_lines(number)?;
    let of = repo.pulls.get(&number).ok_or_else(missing)?;
    let answered = pull_comments::all_comments(of).into_iter().map(|comment| comment.comment);
    ids.extend(
        answered.filter(|note| note.deleted && pull_comments::is_answered(of, note.id)).map(|note| note.id),
    );
    ids.sort_unstable();
    let shown = ids.into_iter().filter_map(|id| {
        let now = lines.get(&id).copied().flatten();
        Some(json::comment(world, repo, of, pull_comments::find_any_comment(of, id)?, now))
    });
    pagination::reply_with_page(world, call, shown.collect(), pagination::MAX_PAGE_LENGTH)
}

/// Handles the call `GET …/comments/{id}`.
pub(super) fn get(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (world, repo, number) = find_pull(state, call)?;
    comment_response(world, repo, number, comment_id(call)?, 200)
}

fn comment_id(call: &ApiCall) -> Result<u64, ApiResponse> {
    call.numeric_path_param("id").ok_or_else(|| not_found("Comment"))
}

fn comment_response(
    forge: &ForgeInstance,
    repo: &mut StoredRepository,
    number: u64,
    id: u64,
    status: u16,
) -> CallResult {
    let now = repo.current_lines(number)?.get(&id).copied().flatten();
    let of = repo.pulls.get(&number).ok_or_else(|| not_found("Pull request"))?;
    let there = |comment: &pull_comments::CommentRef<'_>| {
        !comment.comment.deleted || pull_comments::is_answered(of, id)
    };
    let comment =
        pull_comments::find_any_comment(of, id).filter(there).ok_or_else(|| not_found("Comment"))?;
    Ok(ApiResponse::json(status, json::comment(forge, repo, of, comment, now)))
}

/// Returns the text of a comment. A comment that is too long is rejected with an HTML page, as a server in
/// front of the forge would send.
fn comment_text(call: &ApiCall) -> Result<&str, ApiResponse> {
    let text = call.body["content"]["raw"].as_str().unwrap_or_default();
    if text.trim().is_empty() {
        Err(invalid_field("content.raw", "This field may not be blank."))
    } else if text.chars().count() > MAX_COMMENT_CHARS {
        Err(errors::html_error(400))
    } else {
        Ok(text)
    }
}

/// Returns the file or lines that the body of a new comment names; `None` for a comment in the conversation.
fn parse_place(body: &Value) -> Result<Option<InlinePlace>, ApiResponse> {
    let inline = &body["inline"];
    if inline.is_null() {
        return Ok(None);
    }
    let path =
        inline["path"].as_str().ok_or_else(|| invalid_field("inline.path", "required key not provided"))?;
    let line = |field: &str| {
        let value = &inline[field];
        if value.is_null() {
            return Ok(None);
        }
        let line = value.as_u64().and_then(|line| u32::try_from(line).ok()).filter(|line| *line > 0);
        line.map(Some).ok_or_else(|| invalid_field(&format!("inline.{field}"), "expected a positive number"))
    };
    let (to, from) = (line("to")?, line("from")?);
    let (side, last, first) = match (to, from) {
        (Some(to), _) => (FakeDiffSide::Right, Some(to), line("start_to")?),
        (None, Some(from)) => (FakeDiffSide::Left, Some(from), line("start_from")?),
        (None, None) if line("start_to")?.or(line("start_from")?).is_some() => {
            return Err(invalid_field("inline", "a first line needs a last one"));
        }
        (None, None) => (FakeDiffSide::Right, None, None),
    };
    if first.is_some_and(|first| Some(first) > last) {
        return Err(invalid_field("inline", "the first line must not be below the last one"));
    }
    let first = first.filter(|first| Some(*first) != last);
    Ok(Some(InlinePlace {
        path: path.to_owned(),
        line: last.map(|line| (side, line)),
        start: first.map(|line| (side, line)),
    }))
}

/// Handles `POST …/comments`: creates a comment in the conversation, on a file or on lines, or creates a
/// reply. Accepts lines outside the diff.
pub(super) fn create(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (world, repo, number) = find_pull(state, call)?;
    let text = comment_text(call)?;
    let id = &call.body["parent"]["id"];
    let parent = match id.is_null() {
        true => None,
        false => Some(id.as_u64().ok_or_else(|| invalid_field("parent", "expected a number"))?),
    };
    if let (None, Some(place)) = (parent, parse_place(&call.body)?) {
        let spot =
            pull_comments::commits_at_head(repo, number).map_err(|words| error_response(400, &words))?;
        // Cloud accepts every line. A comment on a line outside the diff is shown as outdated.
        let hunk = spot.find_commented_hunk(repo, number, &place).unwrap_or_default();
        let id = add_inline_comment(
            world,
            repo,
            number,
            &call.login,
            text,
            InlineTarget { commits: spot, place, hunk },
        );
        return comment_response(world, repo, number, id, 201);
    }
    let comment = pull_comments::add_comment(world, repo, number, &call.login, parent, text)
        .map_err(ApiResponse::internal_error)?;
    let id = comment.ok_or_else(|| invalid_field("parent", "the comment does not exist"))?;
    comment_response(world, repo, number, id, 201)
}

/// Returns the comment that the path names, if the caller wrote it.
fn find_own_comment<'a>(
    state: &'a mut FakeForgeState,
    call: &ApiCall,
) -> Result<(&'a mut ForgeInstance, &'a mut StoredRepository, u64, u64), ApiResponse> {
    let id = comment_id(call)?;
    let (world, repo, number) = find_pull(state, call)?;
    let of = repo.pulls.get(&number).and_then(|pull| pull_comments::find_comment(pull, id));
    let author = &of.ok_or_else(|| not_found("Comment"))?.comment.author;
    if *author != call.login {
        world.record_violation(format!("{} touched comment {id} of {author}", call.login));
        return Err(error_response(403, "You do not have permission to change this comment."));
    }
    Ok((world, repo, number, id))
}

/// Handles `PUT …/comments/{id}`: replaces the text without a check of the old text.
pub(super) fn update(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (world, repo, number, id) = find_own_comment(state, call)?;
    let (text, now) = (comment_text(call)?, world.now());
    let pull = repo.pulls.get_mut(&number).ok_or_else(|| not_found("Pull request"))?;
    pull_comments::find_comment_mut(pull, id).ok_or_else(|| not_found("Comment"))?.set_body(
        text,
        now,
        &call.login,
    );
    pull.updated_at = now;
    comment_response(world, repo, number, id, 200)
}

/// Handles the call `DELETE …/comments/{id}`.
pub(super) fn delete(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (_, repo, number, id) = find_own_comment(state, call)?;
    let pull = repo.pulls.get_mut(&number).ok_or_else(|| not_found("Pull request"))?;
    pull_comments::find_comment_mut(pull, id).ok_or_else(|| not_found("Comment"))?.deleted = true;
    Ok(ApiResponse::no_content())
}

/// Returns the thread on code whose first comment is in the path, and the account that resolved the thread.
fn find_thread<'a>(
    state: &'a mut FakeForgeState,
    call: &ApiCall,
) -> Result<(&'a mut ForgeInstance, &'a mut StoredRepository, u64, u64, Option<String>), ApiResponse> {
    let id = comment_id(call)?;
    let (world, repo, number) = find_pull(state, call)?;
    let of = repo.pulls.get(&number).and_then(|pull| pull_comments::find_comment(pull, id));
    let comment = of.ok_or_else(|| not_found("Comment"))?;
    match comment.inline_comment.filter(|inline| inline.in_reply_to.is_none()) {
        Some(inline) => {
            let by = inline.resolved_by.clone();
            Ok((world, repo, number, id, by))
        }
        None => Err(error_response(403, "Only the first comment of a thread on the diff can be resolved.")),
    }
}

/// Handles the call `POST …/comments/{id}/resolve`.
pub(super) fn resolve(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (world, repo, number, id, by) = find_thread(state, call)?;
    if by.is_some() {
        return Err(error_response(409, "This comment thread is resolved already."));
    }
    set_resolved(world, repo, number, id, &call.login, true)?;
    let of = repo.pulls.get(&number).and_then(|pull| pull_comments::find_comment(pull, id));
    let note = of.ok_or_else(|| not_found("Comment"))?.comment;
    Ok(ApiResponse::json(200, json::resolution(world, &call.login, note)))
}

/// Handles `DELETE …/comments/{id}/resolve`: reopens the thread. Returns 404 if the thread is already open.
pub(super) fn reopen(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (world, repo, number, id, by) = find_thread(state, call)?;
    by.ok_or_else(|| not_found("Resolution"))?;
    set_resolved(world, repo, number, id, &call.login, false)?;
    Ok(ApiResponse::no_content())
}

fn set_resolved(
    forge: &mut ForgeInstance,
    repo: &mut StoredRepository,
    number: u64,
    id: u64,
    actor: &str,
    is_resolved: bool,
) -> Result<(), ApiResponse> {
    let pull = repo.pulls.get_mut(&number).ok_or_else(|| not_found("Pull request"))?;
    pull.set_resolved(id, is_resolved.then_some(actor));
    Ok(forge.deliver_event(
        repo,
        &FakeForgeEvent::ThreadResolution { number, id, is_resolved, actor: actor.to_owned() },
    )?)
}
