//! Handles calls about repositories: lists of repositories, all comments of a repository, and permissions.

use serde_json::{Value, json};

use crate::forge::github::call::{ApiCall, ApiResponse, CallResult, PageRequest};
use crate::forge::operations::branches::branch_tip;
use crate::forge::state::notes::{StoredComment, list_visible_comment_ids};
use crate::forge::state::{FakeForgeState, StoredRepository};

/// Handles `GET /repositories/{id}`, the target of every redirect.
pub(crate) fn get_repository_by_id(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let id = call.require_number("id")?;
    let repo = state.repos.values().find(|repo| repo.id == id).ok_or_else(ApiResponse::not_found)?;
    repo.check_access(call)?;
    Ok(ApiResponse::json(200, state.forge.full_repository_json(repo, call.is_pusher(repo))))
}

/// Handles the call `GET /user/repos`.
pub(crate) fn list_user_repositories(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (page, total, shown) = list_repositories(state, call);
    Ok(page.reply_with_page(&state.forge, call, total, shown))
}

/// Handles `GET /installation/repositories`, which only an App's installation may call.
pub(crate) fn list_installation_repositories(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    if !call.login.ends_with("[bot]") {
        let words = "You must authenticate with an installation access token in order to list repositories \
             for an installation.";
        return Err(ApiResponse::error(403, words, Value::Null));
    }
    let (page, total, shown) = list_repositories(state, call);
    let mut reply = page.reply_with_page(&state.forge, call, total, Vec::new());
    reply.body = ApiResponse::json(200, json!({"total_count": total, "repositories": shown})).body;
    Ok(reply)
}

/// Returns one page of the repositories that the token may list, most recently pushed first.
fn list_repositories(state: &FakeForgeState, call: &ApiCall) -> (PageRequest, usize, Vec<Value>) {
    let mut all: Vec<&StoredRepository> =
        state.repos.values().filter(|repo| repo.is_listed && call.token_scope.includes(repo)).collect();
    all.sort_by_key(|repo| (std::cmp::Reverse(repo.pushed_at), repo.id));
    let page = PageRequest::from_call(call);
    let shown = page.page_items(&all).iter().map(|repo| state.forge.repository_json(repo)).collect();
    (page, all.len(), shown)
}

/// Handles `GET …/issues/comments`: lists comments on all pull requests and issues, filtered by `since` and
/// sorted by `sort` (created or updated) and `direction`.
pub(crate) fn list_repository_comments(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (world, repo) = state.find_repository(call)?;
    let order = CommentListQuery::from_call(call, "IssueComment")?;
    let mut found: Vec<(i64, u64, u64)> = Vec::new();
    for number in repo.pull_and_issue_numbers() {
        order.collect_comments(
            number,
            repo.conversation_comments_mut(number).into_iter().flatten(),
            &mut found,
        );
    }
    order.sort(&mut found);
    let page = PageRequest::from_call(call);
    let shown = page.page_items(&found).iter().filter_map(|(_, id, number)| {
        let comment = repo.conversation_comments(*number).iter().find(|comment| comment.id == *id)?;
        Some(world.conversation_comment_json(repo, *number, comment))
    });
    let shown = shown.collect();
    Ok(page.reply_with_page(world, call, found.len(), shown))
}

/// Handles `GET …/pulls/comments`: comments on the diffs of all pull requests. The parameters are the same as
/// for `…/issues/comments`.
pub(crate) fn list_repository_inline_comments(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (world, repo) = state.find_repository(call)?;
    let order = CommentListQuery::from_call(call, "PullRequestReviewComment")?;
    let mut found: Vec<(i64, u64, u64)> = Vec::new();
    for pull in repo.pulls.values_mut() {
        let notes = pull.inline_comments.iter_mut().map(|comment| &mut comment.comment);
        order.collect_comments(pull.number, notes, &mut found);
    }
    order.sort(&mut found);
    let page = PageRequest::from_call(call);
    let mut shown = Vec::new();
    for (_, id, number) in page.page_items(&found) {
        let lines = repo.current_lines(*number)?;
        let Some(pull) = repo.pulls.get(number) else { continue };
        let Some(comment) = pull.inline_comments.iter().find(|comment| comment.comment.id == *id) else {
            continue;
        };
        shown.push(world.inline_comment_json(repo, pull, comment, lines.get(id).copied().flatten()));
    }
    Ok(page.reply_with_page(world, call, found.len(), shown))
}

/// The parameters of a list of a repository's comments.
struct CommentListQuery {
    since: i64,
    sorts_by_update: bool,
    newest_first: bool,
}

impl CommentListQuery {
    fn from_call(call: &ApiCall, resource: &str) -> Result<Self, ApiResponse> {
        let asked = |name: &str| call.query_params.get(name).map(String::as_str);
        let since = asked("since").map(|text| text.replace("%3A", ":"));
        let since = match since.map(|text| text.parse::<jiff::Timestamp>()).transpose() {
            Ok(since) => since.map_or(i64::MIN, jiff::Timestamp::as_second),
            Err(_) => return Err(ApiResponse::invalid(resource, "since", "invalid", "since is not a time")),
        };
        Ok(Self {
            since,
            sorts_by_update: asked("sort") == Some("updated"),
            // GitHub ignores the direction if the call contains no `sort`.
            newest_first: asked("sort").is_some() && asked("direction") != Some("asc"),
        })
    }

    fn collect_comments<'a>(
        &self,
        number: u64,
        comments: impl Iterator<Item = &'a mut StoredComment>,
        comment_keys: &mut Vec<(i64, u64, u64)>,
    ) {
        let mut notes: Vec<&mut StoredComment> = comments.collect();
        let ids = list_visible_comment_ids(notes.iter_mut().map(|note| &mut **note));
        for note in notes.iter().filter(|note| ids.contains(&note.id) && note.updated_at >= self.since) {
            let by = if self.sorts_by_update { note.updated_at } else { note.created_at };
            comment_keys.push((by, note.id, number));
        }
    }

    fn sort(&self, comment_keys: &mut [(i64, u64, u64)]) {
        comment_keys.sort_unstable();
        if self.newest_first {
            comment_keys.reverse();
        }
    }
}

/// Handles the call `GET …/issues/comments/{id}`.
pub(crate) fn get_conversation_comment(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let id = call.require_number("id")?;
    let (world, repo) = state.find_repository(call)?;
    let found = repo.pull_and_issue_numbers().into_iter().find_map(|number| {
        let mut there = repo.conversation_comments(number).iter().filter(|comment| !comment.deleted);
        there.find(|comment| comment.id == id).map(|comment| (number, comment))
    });
    let (number, comment) = found.ok_or_else(ApiResponse::not_found)?;
    Ok(ApiResponse::json(200, world.conversation_comment_json(repo, number, comment)))
}

/// Handles the call `GET …/collaborators/{login}/permission`.
pub(crate) fn get_collaborator_permission(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (world, repo) = state.find_repository(call)?;
    let login = call.path_param("login");
    if !world.accounts.contains_key(login) {
        return Err(ApiResponse::error(404, &format!("{login} is not a user"), Value::Null));
    }
    let (word, role) = repo.permission(login);
    let can = |words: &[&str]| words.contains(&role.as_str());
    let mut user = world.user_json(login);
    if let Some(user) = user.as_object_mut() {
        let permissions = json!({
            "pull": word != "none", "triage": can(&["triage", "write", "maintain", "admin"]),
            "push": can(&["write", "maintain", "admin"]), "maintain": can(&["maintain", "admin"]),
            "admin": can(&["admin"]),
        });
        user.insert("permissions".into(), permissions);
        user.insert("role_name".into(), role.clone().into());
    }
    Ok(ApiResponse::json(200, json!({"permission": word, "role_name": role, "user": user})))
}

/// Handles the call `GET …/branches/{branch}`.
pub(crate) fn get_branch(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (world, repo) = state.find_repository(call)?;
    let name = call.path_param("branch");
    let tip = branch_tip(repo, name).map_err(|_| ApiResponse::error(404, "Branch not found", Value::Null))?;
    let commit =
        repo.git.commits_between(&format!("{tip}^"), &tip)?.pop().ok_or_else(ApiResponse::not_found)?;
    let protected = name == repo.default_branch || repo.protected_branches.contains(name);
    let url = format!("{}/repos/{}/branches/{name}", world.base_url, repo.full_name());
    let protection = format!("{url}/protection");
    let checks = json!({ "enforcement_level": "off", "contexts": [], "checks": [] });
    Ok(ApiResponse::json(
        200,
        json!({
            "name": name, "commit": world.commit_json(repo, &commit),
            "_links": { "self": url, "html": format!("{}/{}/tree/{name}", world.base_url, repo.full_name()) },
            "protected": protected,
            "protection": { "enabled": protected, "required_status_checks": checks },
            "protection_url": protection,
        }),
    ))
}

/// Handles the call `GET …/rules/branches/{branch}`.
pub(crate) fn list_branch_rules(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (_, repo) = state.find_repository(call)?;
    let name = repo.full_name();
    let rule = |kind: &String| {
        json!({ "type": kind, "ruleset_source_type": "Repository",
        "ruleset_source": name, "ruleset_id": 1 })
    };
    let rules: Vec<Value> =
        repo.branch_rules.get(call.path_param("branch")).into_iter().flatten().map(rule).collect();
    Ok(ApiResponse::json(200, Value::Array(rules)))
}
