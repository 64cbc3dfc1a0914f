//! Handles REST calls about comments in the conversation of pull requests and issues.

use crate::forge::github::call::{ApiCall, ApiResponse, CallResult, PageRequest};
use crate::forge::github::rest_handlers::{BODY_TOO_LONG_MESSAGE, check_comment_text};
use crate::forge::github::reviewers::bot_script_error;
use crate::forge::operations::reviewers::trigger_bots;
use crate::forge::state::notes::list_visible_comment_ids;
use crate::forge::state::{FakeForgeState, ForgeInstance, StoredRepository};

impl FakeForgeState {
    /// Returns the pull request or issue that the path names.
    fn find_conversation(
        &mut self,
        call: &ApiCall,
    ) -> Result<(&mut ForgeInstance, &mut StoredRepository, u64), ApiResponse> {
        let number = call.require_number("number")?;
        let (world, repo) = self.find_repository(call)?;
        let there = repo.pulls.contains_key(&number) || repo.issues.contains_key(&number);
        if there { Ok((world, repo, number)) } else { Err(ApiResponse::not_found()) }
    }
}

/// Handles `GET …/issues/{number}/comments`, oldest first.
pub(crate) fn list(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (world, repo, number) = state.find_conversation(call)?;
    let ids = list_visible_comment_ids(repo.conversation_comments_mut(number).into_iter().flatten());
    let page = PageRequest::from_call(call);
    let shown = page.page_items(&ids).iter().filter_map(|id| {
        let comment = repo.conversation_comments(number).iter().find(|comment| comment.id == *id)?;
        Some(world.conversation_comment_json(repo, number, comment))
    });
    let shown = shown.collect();
    Ok(page.reply_with_page(world, call, ids.len(), shown))
}

/// Handles the call `POST …/issues/{number}/comments`.
pub(crate) fn create(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (world, repo, number) = state.find_conversation(call)?;
    let body = comment_body(call)?;
    if repo.issues.get(&number).is_some_and(|issue| issue.locked) && !repo.may_push(call) {
        let words = "Unable to create comment because issue is locked.";
        return Err(ApiResponse::error(403, words, serde_json::Value::Null));
    }
    let comment = world.new_comment(&call.login, body);
    repo.set_updated_at(number, comment.created_at);
    repo.conversation_comments_mut(number).into_iter().for_each(|notes| notes.push(comment.clone()));
    trigger_bots(world, repo, number, comment.id).map_err(|words| bot_script_error(&words))?;
    Ok(ApiResponse::json(201, world.conversation_comment_json(repo, number, &comment)))
}

fn comment_body(call: &ApiCall) -> Result<&str, ApiResponse> {
    let body = call.body["body"].as_str().unwrap_or_default();
    check_comment_text(body).map(|()| body).map_err(|error| {
        let (code, field) = if error == BODY_TOO_LONG_MESSAGE {
            ("unprocessable", "data")
        } else {
            ("missing_field", "body")
        };
        ApiResponse::invalid("IssueComment", field, code, &error)
    })
}

/// Handles the call `PATCH …/issues/comments/{id}`.
pub(crate) fn update(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (number, id) = find_comment(state, call)?;
    let (world, repo) = state.find_repository(call)?;
    let body = comment_body(call)?.to_owned();
    let now = world.now();
    let mut notes = repo.conversation_comments_mut(number).into_iter().flatten();
    let comment = notes.find(|comment| comment.id == id).ok_or_else(ApiResponse::not_found)?;
    comment.set_body(&body, now, &call.login);
    let comment = comment.clone();
    Ok(ApiResponse::json(200, world.conversation_comment_json(repo, number, &comment)))
}

/// Handles the call `DELETE …/issues/comments/{id}`.
pub(crate) fn delete(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (number, id) = find_comment(state, call)?;
    let (_, repo) = state.find_repository(call)?;
    let mut notes = repo.conversation_comments_mut(number).into_iter().flatten();
    notes.find(|comment| comment.id == id).ok_or_else(ApiResponse::not_found)?.deleted = true;
    Ok(ApiResponse::no_content())
}

/// Returns the id of the comment in the path, and the number of the comment's pull request or issue. Returns
/// an error if the caller is not the author of the comment.
fn find_comment(state: &mut FakeForgeState, call: &ApiCall) -> Result<(u64, u64), ApiResponse> {
    let id = call.require_number("id")?;
    let (world, repo) = state.find_repository(call)?;
    let found = repo.pull_and_issue_numbers().into_iter().find_map(|number| {
        let mut notes = repo.conversation_comments(number).iter();
        notes.find(|note| note.id == id && !note.deleted).map(|note| (number, note))
    });
    let (number, note) = found.ok_or_else(ApiResponse::not_found)?;
    if note.author == call.login {
        Ok((number, id))
    } else {
        world.record_violation(format!("{} touched comment {id} of {}", call.login, note.author));
        Err(ApiResponse::error(403, "Resource not accessible by integration", serde_json::Value::Null))
    }
}

impl StoredRepository {
    /// Sets the time of the last change of a pull request or issue.
    fn set_updated_at(&mut self, number: u64, now: i64) {
        if let Some(pull) = self.pulls.get_mut(&number) {
            pull.updated_at = now;
        }
        if let Some(issue) = self.issues.get_mut(&number) {
            issue.updated_at = now;
        }
    }
}
