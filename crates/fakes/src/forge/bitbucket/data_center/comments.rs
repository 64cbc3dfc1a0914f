//! Handles calls about comments of pull requests. A request that changes a comment must contain the comment's
//! current version.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::admission::{find_pull, request_version};
use super::errors::{error_response, invalid_field, no_comment, no_pull, not_permitted, stale_version};
use super::{anchor, json};
use crate::forge::bitbucket::{MAX_COMMENT_CHARS, pull_comments};
use crate::forge::http::call::{ApiCall, ApiResponse, CallResult};
use crate::forge::operations::comments::{InlineTarget, add_inline_comment};
use crate::forge::state::event::FakeForgeEvent;
use crate::forge::state::pulls::StoredPull;
use crate::forge::state::{FakeForgeState, ForgeInstance, StoredRepository};

/// Returns a comment with its replies whose ids are in `shown_ids`.
pub(super) fn comment_tree(
    instance: &ForgeInstance,
    repo: &StoredRepository,
    pull: &StoredPull,
    comment_ref: pull_comments::CommentRef<'_>,
    shown_ids: &[u64],
) -> Value {
    let pull_comments::CommentRef { comment: note, inline_comment: inline } = comment_ref;
    let answers: Vec<Value> = pull_comments::all_comments(pull)
        .into_iter()
        .filter(|answer| {
            pull_comments::parent_comment_id(*answer) == Some(note.id)
                && shown_ids.contains(&answer.comment.id)
        })
        .map(|answer| comment_tree(instance, repo, pull, answer, shown_ids))
        .collect();
    let resolved = match inline {
        Some(_) => pull.resolved_by(note.id),
        None => {
            let first = pull_comments::first_comment_id(pull, note.id);
            pull.conversation_comments
                .iter()
                .find(|note| note.id == first)
                .and_then(|note| note.resolved_by.as_deref())
        }
    };
    let mut json = json!({
        "properties": {"repositoryId": repo.id}, "id": note.id, "version": note.version, "text": note.body,
        "author": json::user(instance, &note.author), "createdDate": json::epoch_millis(note.created_at),
        "updatedDate": json::epoch_millis(note.updated_at), "comments": answers,
        "threadResolved": resolved.is_some(),
        "severity": "NORMAL", "state": "OPEN",
        "permittedOperations": {"editable": true, "transitionable": true, "deletable": true},
    });
    if let Some(by) = resolved.filter(|_| pull_comments::parent_comment_id(comment_ref).is_none()) {
        json["threadResolver"] = json::user(instance, by);
        json["threadResolvedDate"] = json::epoch_millis(note.updated_at).into();
    }
    json
}

/// Returns a single comment, with its anchor and the comment that it answers.
pub(super) fn comment_with_anchor_and_parent(
    instance: &ForgeInstance,
    repo: &StoredRepository,
    pull: &StoredPull,
    comment_ref: pull_comments::CommentRef<'_>,
    anchors: &HashMap<u64, Value>,
) -> Value {
    let there: Vec<u64> = pull_comments::all_comments(pull)
        .into_iter()
        .filter(|comment| !comment.comment.deleted)
        .map(|comment| comment.comment.id)
        .collect();
    let mut json = comment_tree(instance, repo, pull, comment_ref, &there);
    if let Some(anchor) = anchors.get(&comment_ref.comment.id) {
        json["anchor"] = anchor.clone();
    }
    if let Some(parent) = pull_comments::parent_comment_id(comment_ref)
        .and_then(|parent| pull_comments::find_any_comment(pull, parent))
    {
        json["parent"] = json!({"id": parent.comment.id, "version": parent.comment.version});
    }
    json
}

fn comment_response(
    instance: &ForgeInstance,
    repo: &mut StoredRepository,
    number: u64,
    id: u64,
    status: u16,
) -> CallResult {
    let anchors = anchor::current_anchors(repo, number)?;
    let of = repo.pulls.get(&number).ok_or_else(no_pull)?;
    let comment = pull_comments::find_comment(of, id).ok_or_else(no_comment)?;
    Ok(ApiResponse::json(status, comment_with_anchor_and_parent(instance, repo, of, comment, &anchors)))
}

/// Handles the call `GET …/comments/{id}`.
pub(super) fn get(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (world, repo, number) = find_pull(state, call)?;
    comment_response(world, repo, number, call.numeric_path_param("id").ok_or_else(no_comment)?, 200)
}

fn comment_text(body: &Value) -> Result<&str, ApiResponse> {
    let text = body["text"].as_str().unwrap_or_default();
    if text.trim().is_empty() {
        Err(invalid_field("text", "A comment must have a text."))
    } else if text.chars().count() > MAX_COMMENT_CHARS {
        Err(invalid_field("text", "The comment must have fewer than 32768 characters."))
    } else {
        Ok(text)
    }
}

/// Handles `POST …/comments`: creates a comment in the conversation or at an anchor, or creates a reply.
/// Unknown fields are ignored.
pub(super) fn create(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (world, repo, number) = find_pull(state, call)?;
    let text = comment_text(&call.body)?;
    for (field, known) in [("severity", "NORMAL"), ("state", "OPEN")] {
        if call.body[field].as_str().is_some_and(|word| word != known) {
            // Truing must not post a task, which could block a merge, or a pending comment, which only its
            // author can see.
            world.record_violation(format!(
                "{} posted a comment with {field} {}",
                call.login, call.body[field]
            ));
            return Err(invalid_field(field, "the fake takes no such comment"));
        }
    }
    let id = &call.body["parent"]["id"];
    let parent = match id.is_null() {
        true => None,
        false => Some(id.as_u64().ok_or_else(no_comment)?),
    };
    if let (None, false) = (parent, call.body["anchor"].is_null()) {
        let (spot, place, hunk) = anchor::parse_anchor(repo, number, &world.version, &call.body["anchor"])?;
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
    comment_response(world, repo, number, comment.ok_or_else(no_comment)?, 201)
}

/// Returns the comment that the path names, if the call contains the comment's current version.
fn check_comment_version<'a>(
    state: &'a mut FakeForgeState,
    call: &ApiCall,
) -> Result<(&'a mut ForgeInstance, &'a mut StoredRepository, u64, u64), ApiResponse> {
    let id = call.numeric_path_param("id").ok_or_else(no_comment)?;
    let (world, repo, number) = find_pull(state, call)?;
    let of = repo.pulls.get(&number).ok_or_else(no_pull)?;
    let now = pull_comments::find_comment(of, id).ok_or_else(no_comment)?.comment.version;
    let sent = request_version(call);
    if sent == Some(now) { Ok((world, repo, number, id)) } else { Err(stale_version(sent, now, None)) }
}

/// Checks that the caller is the author of the comment, because only the author may change or delete a
/// comment.
fn check_comment_author(
    instance: &mut ForgeInstance,
    repo: &StoredRepository,
    number: u64,
    id: u64,
    login: &str,
) -> Result<(), ApiResponse> {
    let of = repo.pulls.get(&number).ok_or_else(no_pull)?;
    let author = &pull_comments::find_comment(of, id).ok_or_else(no_comment)?.comment.author;
    if author == login {
        return Ok(());
    }
    instance.record_violation(format!("{login} touched comment {id} of {author}"));
    Err(not_permitted())
}

/// Handles `PUT …/comments/{id}`: changes the text, or resolves or reopens the thread.
pub(super) fn update(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (world, repo, number, id) = check_comment_version(state, call)?;
    let now = world.now();
    if !call.body["text"].is_null() {
        let text = comment_text(&call.body)?;
        let of = repo.pulls.get(&number).ok_or_else(no_pull)?;
        if pull_comments::find_comment(of, id).is_some_and(|comment| comment.comment.body != text) {
            check_comment_author(world, repo, number, id, &call.login)?;
            let pull = repo.pulls.get_mut(&number).ok_or_else(no_pull)?;
            pull_comments::find_comment_mut(pull, id).ok_or_else(no_comment)?.set_body(
                text,
                now,
                &call.login,
            );
            pull.updated_at = now;
        }
    }
    if let Some(resolved) = call.body["threadResolved"].as_bool() {
        let pull = repo.pulls.get_mut(&number).ok_or_else(no_pull)?;
        let first = pull_comments::first_comment_id(pull, id);
        if first != id {
            return Err(invalid_field(
                "threadResolved",
                "Only the first comment of a thread can be resolved.",
            ));
        }
        let by = resolved.then_some(call.login.as_str());
        let is_inline =
            pull_comments::find_comment(pull, id).is_some_and(|comment| comment.inline_comment.is_some());
        if is_inline {
            pull.set_resolved(id, by);
        } else if let Some(note) = pull_comments::find_comment_mut(pull, id) {
            note.resolved_by = by.map(str::to_owned);
            note.version += 1;
        }
        world.deliver_event(
            repo,
            &FakeForgeEvent::ThreadResolution {
                number,
                id,
                is_resolved: resolved,
                actor: call.login.clone(),
            },
        )?;
    }
    comment_response(world, repo, number, id, 200)
}

/// Handles `DELETE …/comments/{id}?version=`. A comment with replies cannot be deleted.
pub(super) fn delete(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (world, repo, number, id) = check_comment_version(state, call)?;
    check_comment_author(world, repo, number, id, &call.login)?;
    let pull = repo.pulls.get_mut(&number).ok_or_else(no_pull)?;
    if pull_comments::is_answered(pull, id) {
        let words = "A comment that was answered cannot be deleted.";
        return Err(error_response(409, words, "comment.CommentDeletionException"));
    }
    pull_comments::find_comment_mut(pull, id).ok_or_else(no_comment)?.deleted = true;
    Ok(ApiResponse::no_content())
}
