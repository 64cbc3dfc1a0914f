//! Handles calls about review requests, and about reactions to comments.

use serde_json::{Value, json};

use crate::forge::github::call::{ApiCall, ApiResponse, CallResult, PageRequest};
use crate::forge::github::json::{format_time, node_id};
use crate::forge::operations::reviewers::run_bots;
use crate::forge::state::FakeForgeState;
use crate::forge::state::notes::FakeReaction;

/// Handles `GET …/issues/comments/{id}/reactions`, filtered by `content`, oldest first.
pub(crate) fn list_reactions(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let id = call.require_number("id")?;
    let (world, repo) = state.find_repository(call)?;
    let mut notes =
        repo.pull_and_issue_numbers().into_iter().flat_map(|number| repo.conversation_comments(number));
    let note = notes.find(|note| note.id == id && !note.deleted).ok_or_else(ApiResponse::not_found)?;
    let wanted = |reaction: &&FakeReaction| {
        call.query_params.get("content").is_none_or(|content| *content == reaction.content)
    };
    let all: Vec<&FakeReaction> = note.reactions.iter().filter(wanted).collect();
    let page = PageRequest::from_call(call);
    let shown = page.page_items(&all).iter().map(|reaction| {
        json!({
            "id": reaction.id, "node_id": node_id("Reaction", reaction.id),
            "user": world.user_json(&reaction.account),
            "content": reaction.content, "created_at": format_time(reaction.created_at),
        })
    });
    let shown = shown.collect();
    Ok(page.reply_with_page(world, call, all.len(), shown))
}

/// Handles the call `POST …/pulls/{number}/requested_reviewers`.
pub(crate) fn request_reviewers(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (world, repo, number) = state.find_pull(call)?;
    let none = Vec::new();
    let asked: Vec<&str> =
        call.body["reviewers"].as_array().unwrap_or(&none).iter().filter_map(Value::as_str).collect();
    let author = repo.pulls.get(&number).map(|pull| pull.author.clone()).unwrap_or_default();
    let mut wanted = Vec::new();
    for login in asked {
        let is = |name: &str| name.eq_ignore_ascii_case(login);
        if is(&author) {
            let words = "Review cannot be requested from pull request author.";
            return Err(ApiResponse::error(422, words, Value::Null));
        }
        if repo.bots.iter().any(|bot| bot.line_comment_author.as_deref().is_some_and(is)) {
            continue;
        }
        let bot = repo.bots.iter().find(|bot| is(&bot.login)).map(|bot| bot.login.clone());
        let person = || (repo.role(login) != "none").then(|| login.to_owned());
        match bot.or_else(person) {
            Some(login) => wanted.push(login),
            None => {
                let words = format!(
                    "Reviews may only be requested from collaborators. One or more of the users or teams you \
                     specified is not a collaborator of the {} repository.",
                    repo.full_name()
                );
                return Err(ApiResponse::error(422, &words, Value::Null));
            }
        }
    }
    for login in &wanted {
        let around = &mut repo.pulls.get_mut(&number).ok_or_else(ApiResponse::not_found)?.merge_conditions;
        if !around.requested_reviewers.contains(login) {
            around.requested_reviewers.push(login.clone());
            run_bots(world, repo, number, |bot| bot.login == *login, None)
                .map_err(|words| bot_script_error(&words))?;
        }
    }
    let pull = repo.pulls.get(&number).ok_or_else(ApiResponse::not_found)?;
    Ok(ApiResponse::json(201, world.pull_json(repo, pull, &pull.head, None)))
}

/// Returns 500, because the test's script contains a step that a bot cannot perform.
pub(crate) fn bot_script_error(message: &str) -> ApiResponse {
    ApiResponse::error(500, &format!("the script is wrong: {message}"), Value::Null)
}
