//! Returns comments by their node ids, with the accounts that edited them.

use serde_json::{Value, json};

use super::{bare_login, error_json};
use crate::forge::github::call::ApiCall;
use crate::forge::github::json::{format_time, node_id};
use crate::forge::state::notes::StoredComment;
use crate::forge::state::{FakeForgeState, StoredRepository};

/// Returns the comments whose ids are in the variable `ids`, in this order.
pub(super) fn comment_nodes(state: &FakeForgeState, variables: &Value, call: &ApiCall) -> Value {
    let ids: Vec<&str> =
        variables["ids"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let repos: Vec<&StoredRepository> =
        state.repos.values().filter(|repo| call.token_scope.includes(repo)).collect();
    let mut nodes = Vec::new();
    for id in ids {
        let Some(node) = repos.iter().find_map(|repo| find_node(repo, id)) else {
            return error_json(
                "NOT_FOUND",
                &format!("Could not resolve to a node with the global id of '{id}'."),
            );
        };
        nodes.push(node);
    }
    json!({"data": {"nodes": nodes}})
}

fn find_node(repo: &StoredRepository, id: &str) -> Option<Value> {
    let numbers = repo.pull_and_issue_numbers();
    let talk = numbers.iter().flat_map(|number| repo.conversation_comments(*number));
    let talk = talk.map(|comment| ("IssueComment", comment));
    let on_code = repo.pulls.values().flat_map(|pull| &pull.inline_comments);
    let on_code = on_code.map(|comment| ("PullRequestReviewComment", &comment.comment));
    let mut comments = talk.chain(on_code);
    let (kind, comment) =
        comments.find(|(kind, comment)| !comment.deleted && node_id(kind, comment.id) == id)?;
    Some(node_json(kind, comment))
}

fn node_json(kind: &str, comment: &StoredComment) -> Value {
    let edit = comment.last_edit.as_ref();
    json!({
        "__typename": kind, "id": node_id(kind, comment.id), "body": comment.body,
        "createdAt": format_time(comment.created_at), "updatedAt": format_time(comment.updated_at),
        "author": actor_json(&comment.author),
        "lastEditedAt": edit.map(|_| format_time(comment.updated_at)),
        "editor": edit.map(|edit| actor_json(&edit.editor)), "includesCreatedEdit": edit.is_some(),
    })
}

fn actor_json(login: &str) -> Value {
    let bare = bare_login(login);
    json!({"login": bare, "__typename": if login == bare { "User" } else { "Bot" }})
}
