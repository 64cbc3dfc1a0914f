//! Handles the operations that only GraphQL offers: reading and resolving review threads, the merge state and
//! the draft state of a pull request. A query is not parsed, but searched for the operation's name and for
//! arguments, which are literals or variables.

mod comment_nodes;
mod create_commit;
mod select;

use serde_json::{Value, json};

use crate::forge::github::call::{ApiCall, ApiResponse};
use crate::forge::github::json::{format_time, node_id};
use crate::forge::github::pulls;
use crate::forge::state::notes::list_visible_comment_ids;
use crate::forge::state::pulls::{CurrentLines, StoredInlineComment, StoredPull};
use crate::forge::state::{FakeForgeState, ForgeInstance, StoredRepository};

/// Default and maximum number of nodes on a page.
const MAX_NODES: usize = 100;
/// Operations that a reviewer must never use.
const FORBIDDEN_OPERATIONS: &[&str] =
    &["mergePullRequest", "addPullRequestReview", "submitPullRequestReview", "closePullRequest", "deleteRef"];

/// Operations that make a pull request a draft, or ready for review.
const DRAFT_OPERATIONS: &[(&str, bool)] =
    &[("convertPullRequestToDraft", true), ("markPullRequestReadyForReview", false)];

/// Operations for which the token's permissions are checked.
const CHECKED_OPERATIONS: &[(&str, &str)] = &[
    ("query", "reviewThreads"),
    ("query", "mergeStateStatus"),
    ("query", "lastEditedAt"),
    ("mutation", "resolveReviewThread"),
    ("mutation", "unresolveReviewThread"),
    ("mutation", "createCommitOnBranch"),
    ("mutation", "convertPullRequestToDraft"),
    ("mutation", "markPullRequestReadyForReview"),
];

/// Handles `POST /graphql`. As at GitHub, responses with errors have the status 200 and contain the errors in
/// the body.
pub(crate) fn answer_query(state: &mut FakeForgeState, call: &ApiCall) -> Result<ApiResponse, ApiResponse> {
    let (query, variables) = (call.body["query"].as_str().unwrap_or_default(), &call.body["variables"]);
    let asks = |name: &str| texts_after_name(query, name).next().is_some();
    let drafts = DRAFT_OPERATIONS.iter().find(|(name, _)| asks(name));
    let forbidden = || error_json("FORBIDDEN", call.token_scope.refusal_message());
    let is_refused = |(verb, name): &(&str, &str)| asks(name) && !call.token_scope.permits_call(verb, name);
    let data = if CHECKED_OPERATIONS.iter().any(is_refused) {
        forbidden()
    } else if FORBIDDEN_OPERATIONS.iter().any(|name| asks(name)) {
        state.forge.record_violation(format!("a forbidden GraphQL operation by {}", call.login));
        forbidden()
    } else if asks("createCommitOnBranch") {
        create_commit::create_commit(state, variables, call)?
    } else if asks("resolveReviewThread") {
        set_resolved(state, call, "resolveReviewThread", query, variables, true)
    } else if asks("unresolveReviewThread") {
        set_resolved(state, call, "unresolveReviewThread", query, variables, false)
    } else if let Some((operation, draft)) = drafts {
        set_draft(state, call, operation, *draft, query, variables)?
    } else if asks("mergeStateStatus") {
        merge_state(state, query, variables, call)
    } else if asks("lastEditedAt") {
        comment_nodes::comment_nodes(state, variables, call)
    } else if asks("reviewThreads") {
        review_threads(state, query, variables, call)?
    } else if asks("viewer") {
        json!({"data": {"viewer": {"login": bare_login(&call.login)}}})
    } else {
        state.forge.record_violation(format!("an unknown GraphQL operation by {}", call.login));
        error_json("undefinedField", "Field doesn't exist on type 'Query'")
    };
    Ok(ApiResponse::json(200, select::select_fields(query, data)))
}

/// Returns the merge state of a pull request.
fn merge_state(state: &mut FakeForgeState, query: &str, variables: &Value, call: &ApiCall) -> Value {
    let text =
        |name| argument_value(query, variables, name).and_then(|value| value.as_str().map(str::to_owned));
    let number =
        argument_value(query, variables, "number").and_then(|value| value.as_u64()).unwrap_or_default();
    let (owner, name) = (text("owner").unwrap_or_default(), text("name").unwrap_or_default());
    let repo = state.repos.get_mut(&format!("{owner}/{name}").to_lowercase());
    let Some(repo) = repo.filter(|repo| call.token_scope.includes(repo)) else {
        let message = format!("Could not resolve to a Repository with the name '{owner}/{name}'.");
        return error_json("NOT_FOUND", &message);
    };
    let told = repo.next_merge_state(number);
    let Some((told, pull)) = told.zip(repo.pulls.get(&number)) else {
        return error_json(
            "NOT_FOUND",
            &format!("Could not resolve to a PullRequest with the number of {number}."),
        );
    };
    json!({"data": {"repository": {"pullRequest": pull.graphql_merge_json(told)}}})
}

/// Returns one page of a pull request's threads.
fn review_threads(
    state: &mut FakeForgeState,
    query: &str,
    variables: &Value,
    call: &ApiCall,
) -> Result<Value, ApiResponse> {
    let viewer = call.login.as_str();
    let text =
        |name| argument_value(query, variables, name).and_then(|value| value.as_str().map(str::to_owned));
    let number = argument_value(query, variables, "number").and_then(|value| value.as_u64());
    let (owner, name) = (text("owner").unwrap_or_default(), text("name").unwrap_or_default());
    let FakeForgeState { forge: world, repos, renamed_repositories: _ } = state;
    let repo = repos.get_mut(&format!("{owner}/{name}").to_lowercase());
    let Some(repo) = repo.filter(|repo| call.token_scope.includes(repo)) else {
        let message = format!("Could not resolve to a Repository with the name '{owner}/{name}'.");
        return Ok(error_json("NOT_FOUND", &message));
    };
    let number = number.unwrap_or_default();
    let Some(pull) = repo.pulls.get_mut(&number) else {
        let message = format!("Could not resolve to a PullRequest with the number of {number}.");
        return Ok(error_json("NOT_FOUND", &message));
    };
    let shown = list_visible_comment_ids(pull.inline_comments.iter_mut().map(|comment| &mut comment.comment));
    let lines = repo.current_lines(number)?;
    let Some(pull) = repo.pulls.get(&number) else { return Ok(Value::Null) };
    // A thread consists of its first comment and the replies. The first comment may be deleted.
    let mut threads: Vec<u64> = pull
        .inline_comments
        .iter()
        .filter(|c| shown.contains(&c.comment.id))
        .filter_map(|c| pull.thread_of(c.comment.id))
        .collect();
    threads.sort_unstable();
    threads.dedup();
    let (own, inner) = (
        text_after_field(query, "reviewThreads"),
        text_after_field(text_after_field(query, "reviewThreads"), "comments"),
    );
    let size = |text| {
        argument_value(text, variables, "first")
            .and_then(|value| value.as_u64())
            .map_or(MAX_NODES, |n| n as usize)
    };
    let (size_of_page, comments) = (size(own).min(MAX_NODES), size(inner).min(MAX_NODES));
    let cursor =
        argument_value(own, variables, "after").and_then(|value| value.as_str()?.parse::<u64>().ok());
    let rest: Vec<u64> =
        threads.iter().copied().filter(|id| cursor.is_none_or(|cursor| *id > cursor)).collect();
    let page: Vec<u64> = rest.iter().copied().take(size_of_page).collect();
    let may_change = call.token_scope.permits_call("mutation", "resolveReviewThread");
    let nodes: Vec<Value> = page
        .iter()
        .map(|thread| {
            let of_thread: Vec<&StoredInlineComment> = pull
                .inline_comments
                .iter()
                .filter(|c| pull.thread_of(c.comment.id) == Some(*thread))
                .collect();
            let now = lines.get(thread).copied().flatten();
            let alive: Vec<_> = of_thread.iter().copied().filter(|c| shown.contains(&c.comment.id)).collect();
            let mut shown = thread_json(
                world,
                repo,
                pull,
                *thread,
                of_thread.first().copied(),
                now,
                &alive,
                comments,
                viewer,
            );
            // github.com returns false if the token may not use the mutation.
            // https://github.com/derailed-dash/gemini-review-action/pull/47
            for field in ["viewerCanResolve", "viewerCanUnresolve"] {
                shown[field] = (shown[field] == true && may_change).into();
            }
            shown
        })
        .collect();
    let connection = json!({
        "totalCount": threads.len(), "nodes": nodes,
        "edges": nodes.iter().map(|node| json!({"node": node})).collect::<Vec<_>>(),
        "pageInfo": {
            "hasNextPage": rest.len() > page.len(), "hasPreviousPage": cursor.is_some(),
            "startCursor": page.first().map(u64::to_string), "endCursor": page.last().map(u64::to_string),
        },
    });
    Ok(json!({"data": {
        "viewer": {"login": bare_login(viewer)},
        "repository": {"pullRequest": {"id": node_id("PullRequest", pull.id), "number": number,
            "reviewThreads": connection}},
    }}))
}

/// Returns a thread with every field that a query can select.
#[expect(clippy::too_many_arguments, reason = "one call, a plain list of facts")]
fn thread_json(
    forge: &ForgeInstance,
    repo: &StoredRepository,
    pull: &StoredPull,
    thread: u64,
    first_comment: Option<&StoredInlineComment>,
    current_lines: CurrentLines,
    comments: &[&StoredInlineComment],
    max_comments: usize,
    viewer: &str,
) -> Value {
    let place = first_comment.map(|comment| &comment.place);
    let on_line = place.is_some_and(|place| place.line.is_some());
    let resolved = pull.resolved_by(thread);
    let nodes: Vec<Value> = comments
        .iter()
        .take(max_comments)
        .map(|comment| {
            let note = &comment.comment;
            json!({
                "id": node_id("PullRequestReviewComment", note.id), "databaseId": note.id,
                "fullDatabaseId": note.id.to_string(), "body": note.body,
                "createdAt": format_time(note.created_at),
                "updatedAt": format_time(note.updated_at), "path": comment.place.path, "outdated": on_line
                && current_lines.is_none(),
                "author": {"login": bare_login(&note.author),
                    "__typename": if note.author == bare_login(&note.author) { "User" } else { "Bot" }},
                "viewerDidAuthor": note.author == viewer, "isMinimized": false,
                "replyTo": comment.in_reply_to.map(|id| json!({"databaseId": id})),
                "url": format!("{}/{}/pull/{}#discussion_r{}", forge.base_url, repo.full_name(),
                    pull.number, note.id),
            })
        })
        .collect();
    json!({
        "id": node_id("PullRequestReviewThread", thread), "isResolved": resolved.is_some(),
        "isOutdated": on_line && current_lines.is_none(), "isCollapsed": resolved.is_some(),
        "viewerCanResolve": resolved.is_none(), "viewerCanUnresolve": resolved.is_some(),
        "resolvedBy": resolved.map(|login| json!({"login": bare_login(login)})),
        "path": place.map(|place| &place.path), "line": current_lines.map(|(line, _)| line),
        "startLine": current_lines.and_then(|(_, first_comment)| first_comment),
        "originalLine": place.and_then(|place| place.line).map(|(_, line)| line),
        "diffSide": place.and_then(|place| place.line).map_or("RIGHT", |(side, _)| side.as_str()),
        "subjectType": if on_line { "LINE" } else { "FILE" },
        "comments": {
            "totalCount": comments.len(), "nodes": nodes,
            "pageInfo": {"hasNextPage": comments.len() > max_comments, "endCursor": Value::Null},
        },
    })
}

/// Resolves or reopens the thread whose id is in the query or in the query's variables.
fn set_resolved(
    state: &mut FakeForgeState,
    call: &ApiCall,
    operation: &str,
    query: &str,
    variables: &Value,
    is_resolved: bool,
) -> Value {
    let by = is_resolved.then_some(call.login.as_str());
    let mut strings = Vec::new();
    collect_strings(variables, &mut strings);
    strings.extend(query.split('"').skip(1).step_by(2).map(str::to_owned));
    let seen = state.repos.values_mut().filter(|repo| call.token_scope.includes(repo));
    for pull in seen.flat_map(|repo| repo.pulls.values_mut()) {
        let threads: Vec<u64> =
            pull.inline_comments.iter().filter(|c| c.in_reply_to.is_none()).map(|c| c.comment.id).collect();
        for thread in threads {
            let id = node_id("PullRequestReviewThread", thread);
            if strings.contains(&id) && pull.set_resolved(thread, by) {
                let thread = json!({"id": id, "isResolved": by.is_some(),
                    "resolvedBy": by.map(|login| json!({"login": bare_login(login)}))});
                return json!({"data": {operation: {"clientMutationId": null, "thread": thread}}});
            }
        }
    }
    let id = strings.first().cloned().unwrap_or_default();
    error_json("NOT_FOUND", &format!("Could not resolve to a node with the global id of '{id}'."))
}

/// Makes a pull request a draft, or ready for review. The pull request's id is in the query or in the query's
/// variables.
fn set_draft(
    state: &mut FakeForgeState,
    call: &ApiCall,
    operation: &str,
    is_draft: bool,
    query: &str,
    variables: &Value,
) -> Result<Value, ApiResponse> {
    let mut strings = Vec::new();
    collect_strings(variables, &mut strings);
    strings.extend(query.split('"').skip(1).step_by(2).map(str::to_owned));
    let id = strings.first().cloned().unwrap_or_default();
    if pulls::set_draft(state, call, &strings, is_draft)? {
        let pull = json!({"id": id, "isDraft": is_draft});
        return Ok(json!({"data": {operation: {"clientMutationId": null, "pullRequest": pull}}}));
    }
    Ok(error_json("NOT_FOUND", &format!("Could not resolve to a node with the global id of '{id}'.")))
}

fn error_json(kind: &str, message: &str) -> Value {
    json!({"data": null, "errors": [{"type": kind, "path": [], "locations": [], "message": message}]})
}

/// Returns a login as GraphQL shows it: without the suffix `[bot]` of an app's login.
fn bare_login(login: &str) -> &str {
    login.strip_suffix("[bot]").unwrap_or(login)
}

/// Returns the part of the query after the first occurrence of a field's name.
fn text_after_field<'a>(query: &'a str, name: &str) -> &'a str {
    texts_after_name(query, name).next().unwrap_or_default()
}

/// For each occurrence of `name` as a whole word, returns the rest of the query after this occurrence.
/// Variables of this name are skipped.
fn texts_after_name<'a>(query: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    query.match_indices(name).filter_map(move |(at, found)| {
        let (before, rest) = (query.get(..at)?, query.get(at + found.len()..)?);
        let whole = !before.ends_with(|c| word(c) || c == '$') && !rest.starts_with(word);
        whole.then_some(rest)
    })
}

/// Returns the value of the first argument with this name. If the argument is a variable, returns the
/// variable's value.
fn argument_value(query: &str, variables: &Value, name: &str) -> Option<Value> {
    texts_after_name(query, name).find_map(|rest| {
        let value = rest.trim_start().strip_prefix(':')?.trim_start();
        let end = |rest: &str, extra_chars: &str| {
            rest.find(|c: char| !(c.is_ascii_alphanumeric() || extra_chars.contains(c))).unwrap_or(rest.len())
        };
        match value.strip_prefix('$') {
            Some(variable) => variables.get(variable.get(..end(variable, "_"))?).cloned(),
            None => match value.strip_prefix('"') {
                Some(text) => text.split('"').next().map(Value::from),
                None => value.get(..end(value, "-"))?.parse::<u64>().ok().map(Value::from),
            },
        }
    })
}

/// Collects every string of a value.
fn collect_strings(value: &Value, strings: &mut Vec<String>) {
    match value {
        Value::String(text) => strings.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| collect_strings(item, strings)),
        Value::Object(fields) => fields.values().for_each(|item| collect_strings(item, strings)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_found_as_literals_and_as_variables() {
        let query = "query Threads($owner: String!, $n: Int!) { repository(owner: $owner, name: \"shop\") \
            { pullRequest(number: $n) { reviewThreads(first: 50, after: $cursor) { nodes { comments(first: \
            1) { nodes { databaseId } } } } } } }";
        let variables = json!({"owner": "acme", "n": 7, "cursor": null});
        let ask = |text, name| argument_value(text, &variables, name);
        assert_eq!(ask(query, "owner"), Some("acme".into()));
        assert_eq!(ask(query, "name"), Some("shop".into()));
        assert_eq!(ask(query, "number"), Some(7.into()));
        assert_eq!(ask(text_after_field(query, "reviewThreads"), "first"), Some(50.into()));
        assert_eq!(ask(text_after_field(query, "comments"), "first"), Some(1.into()));
        assert_eq!(ask(query, "after"), Some(Value::Null));
        assert_eq!(ask("mutation { unresolveReviewThread }", "resolveReviewThread"), None);
    }
}
