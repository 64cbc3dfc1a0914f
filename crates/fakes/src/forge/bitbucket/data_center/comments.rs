//! Comments of pull requests. Each write names the version that it changes.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::admission::{pull, version};
use super::errors::{invalid, no_comment, no_pull, not_permitted, refused, stale};
use super::{anchor, json};
use crate::forge::bitbucket::{MAX_COMMENT, talk};
use crate::forge::http::call::{ApiCall, ApiReply, CallResult};
use crate::forge::operations::comments::add_inline;
use crate::forge::state::event::FakeForgeEvent;
use crate::forge::state::pulls::StoredPull;
use crate::forge::state::{FakeForgeState, ForgeInstance, StoredRepository};

/// Returns a comment with its answers, limited to the `shown` ones.
pub(super) fn tree(
    world: &ForgeInstance,
    repo: &StoredRepository,
    pull: &StoredPull,
    of: talk::CommentRef<'_>,
    shown: &[u64],
) -> Value {
    let talk::CommentRef { note, inline } = of;
    let answers: Vec<Value> = talk::all(pull)
        .into_iter()
        .filter(|answer| talk::parent(*answer) == Some(note.id) && shown.contains(&answer.note.id))
        .map(|answer| tree(world, repo, pull, answer, shown))
        .collect();
    let resolved = match inline {
        Some(_) => pull.resolved_by(note.id),
        None => {
            let first = talk::first(pull, note.id);
            pull.summary.iter().find(|note| note.id == first).and_then(|note| note.resolved_by.as_deref())
        }
    };
    let mut json = json!({
        "properties": {"repositoryId": repo.id}, "id": note.id, "version": note.version, "text": note.body,
        "author": json::user(world, &note.author), "createdDate": json::time(note.created),
        "updatedDate": json::time(note.updated), "comments": answers, "threadResolved": resolved.is_some(),
        "severity": "NORMAL", "state": "OPEN",
        "permittedOperations": {"editable": true, "transitionable": true, "deletable": true},
    });
    if let Some(by) = resolved.filter(|_| talk::parent(of).is_none()) {
        json["threadResolver"] = json::user(world, by);
        json["threadResolvedDate"] = json::time(note.updated).into();
    }
    json
}

/// Returns a single comment, with its anchor and the comment that it answers.
pub(super) fn alone(
    world: &ForgeInstance,
    repo: &StoredRepository,
    of_pull: &StoredPull,
    of: talk::CommentRef<'_>,
    anchors: &HashMap<u64, Value>,
) -> Value {
    let there: Vec<u64> = talk::all(of_pull)
        .into_iter()
        .filter(|comment| !comment.note.deleted)
        .map(|comment| comment.note.id)
        .collect();
    let mut json = tree(world, repo, of_pull, of, &there);
    if let Some(anchor) = anchors.get(&of.note.id) {
        json["anchor"] = anchor.clone();
    }
    if let Some(parent) = talk::parent(of).and_then(|parent| talk::any(of_pull, parent)) {
        json["parent"] = json!({"id": parent.note.id, "version": parent.note.version});
    }
    json
}

fn shown(
    world: &ForgeInstance,
    repo: &mut StoredRepository,
    number: u64,
    id: u64,
    status: u16,
) -> CallResult {
    let anchors = anchor::all(repo, number)?;
    let of = repo.pulls.get(&number).ok_or_else(no_pull)?;
    let comment = talk::find(of, id).ok_or_else(no_comment)?;
    Ok(ApiReply::json(status, alone(world, repo, of, comment, &anchors)))
}

/// Handles the call `GET …/comments/{id}`.
pub(super) fn one(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (world, repo, number) = pull(state, call)?;
    shown(world, repo, number, call.digits("id").ok_or_else(no_comment)?, 200)
}

fn text(body: &Value) -> Result<&str, ApiReply> {
    let text = body["text"].as_str().unwrap_or_default();
    if text.trim().is_empty() {
        Err(invalid("text", "A comment must have a text."))
    } else if text.chars().count() > MAX_COMMENT {
        Err(invalid("text", "The comment must have fewer than 32768 characters."))
    } else {
        Ok(text)
    }
}

/// Handles `POST …/comments`: in the conversation, at an anchor, or an answer. Unknown fields are ignored.
pub(super) fn create(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (world, repo, number) = pull(state, call)?;
    let text = text(&call.body)?;
    for (field, known) in [("severity", "NORMAL"), ("state", "OPEN")] {
        if call.body[field].as_str().is_some_and(|word| word != known) {
            // A task could block a merge, and a pending comment is visible only to its author.
            world.violation(format!("{} posted a comment with {field} {}", call.login, call.body[field]));
            return Err(invalid(field, "the fake takes no such comment"));
        }
    }
    let id = &call.body["parent"]["id"];
    let parent = match id.is_null() {
        true => None,
        false => Some(id.as_u64().ok_or_else(no_comment)?),
    };
    if let (None, false) = (parent, call.body["anchor"].is_null()) {
        let (spot, place, hunk) = anchor::read(repo, number, &world.version, &call.body["anchor"])?;
        let id = add_inline(world, repo, number, &call.login, text, (&spot, place, hunk));
        return shown(world, repo, number, id, 201);
    }
    let said = talk::say(world, repo, number, &call.login, parent, text).map_err(ApiReply::failed)?;
    shown(world, repo, number, said.ok_or_else(no_comment)?, 201)
}

/// Returns the comment that the path names, if it has the version that the call names.
fn current<'a>(
    state: &'a mut FakeForgeState,
    call: &ApiCall,
) -> Result<(&'a mut ForgeInstance, &'a mut StoredRepository, u64, u64), ApiReply> {
    let id = call.digits("id").ok_or_else(no_comment)?;
    let (world, repo, number) = pull(state, call)?;
    let of = repo.pulls.get(&number).ok_or_else(no_pull)?;
    let now = talk::find(of, id).ok_or_else(no_comment)?.note.version;
    let sent = version(call);
    if sent == Some(now) { Ok((world, repo, number, id)) } else { Err(stale(sent, now, None)) }
}

/// Checks that the caller is the author: only the author changes or deletes a comment.
fn is_own(
    world: &mut ForgeInstance,
    repo: &StoredRepository,
    number: u64,
    id: u64,
    login: &str,
) -> Result<(), ApiReply> {
    let of = repo.pulls.get(&number).ok_or_else(no_pull)?;
    let author = &talk::find(of, id).ok_or_else(no_comment)?.note.author;
    if author == login {
        return Ok(());
    }
    world.violation(format!("{login} touched comment {id} of {author}"));
    Err(not_permitted())
}

/// Handles `PUT …/comments/{id}`: changes the text, or resolves or reopens the thread.
pub(super) fn update(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (world, repo, number, id) = current(state, call)?;
    let now = world.now();
    if !call.body["text"].is_null() {
        let text = text(&call.body)?;
        let of = repo.pulls.get(&number).ok_or_else(no_pull)?;
        if talk::find(of, id).is_some_and(|comment| comment.note.body != text) {
            is_own(world, repo, number, id, &call.login)?;
            let pull = repo.pulls.get_mut(&number).ok_or_else(no_pull)?;
            talk::note_mut(pull, id).ok_or_else(no_comment)?.rewrite(text, now);
            pull.updated = now;
        }
    }
    if let Some(resolved) = call.body["threadResolved"].as_bool() {
        let pull = repo.pulls.get_mut(&number).ok_or_else(no_pull)?;
        let first = talk::first(pull, id);
        if first != id {
            return Err(invalid("threadResolved", "Only the first comment of a thread can be resolved."));
        }
        let by = resolved.then_some(call.login.as_str());
        let is_inline = talk::find(pull, id).is_some_and(|comment| comment.inline.is_some());
        if is_inline {
            pull.resolve(id, by);
        } else if let Some(note) = talk::note_mut(pull, id) {
            note.resolved_by = by.map(str::to_owned);
            note.version += 1;
        }
        world.tell(repo, &FakeForgeEvent::Thread { number, id, resolved, by: call.login.clone() })?;
    }
    shown(world, repo, number, id, 200)
}

/// Handles `DELETE …/comments/{id}?version=`: rejected if the comment was answered.
pub(super) fn delete(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (world, repo, number, id) = current(state, call)?;
    is_own(world, repo, number, id, &call.login)?;
    let pull = repo.pulls.get_mut(&number).ok_or_else(no_pull)?;
    if talk::is_answered(pull, id) {
        let words = "A comment that was answered cannot be deleted.";
        return Err(refused(409, words, "comment.CommentDeletionException"));
    }
    talk::note_mut(pull, id).ok_or_else(no_comment)?.deleted = true;
    Ok(ApiReply::done())
}
