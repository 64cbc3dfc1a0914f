//! Handles calls about the server, accounts, repositories, default branches and branch restrictions.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::admission::{find_admin_repository, find_login, find_repository};
use super::errors::{error_response, invalid_field};
use super::{json, page};
use crate::forge::bitbucket::may_read;
use crate::forge::http::call::{ApiCall, ApiResponse, CallResult};
use crate::forge::state::{FakeForgeState, StoredRepository};

/// Handles `GET /rest/api/latest/application-properties`, without a login.
pub(super) fn get_application_properties(state: &mut FakeForgeState, _: &ApiCall) -> CallResult {
    Ok(ApiResponse::json(
        200,
        json!({
            "version": state.forge.version, "buildNumber": "9004002", "buildDate": "1764000000000",
            "displayName": "Bitbucket",
        }),
    ))
}

/// Returns true if the account's role contains the requested permission; `None` for an unknown permission.
fn has_permission(repo: &StoredRepository, login: &str, permission: &str) -> Option<bool> {
    let has = repo.permission(login).0;
    match permission {
        "REPO_ADMIN" => Some(has == "admin"),
        "REPO_WRITE" => Some(["admin", "write"].contains(&has)),
        "REPO_READ" => Some(has != "none"),
        _ => None,
    }
}

/// Handles `GET /rest/api/latest/users`, filtered by `filter` and `permission.1`, `.2`, …. Each permission
/// has its own `projectKey` and `repositorySlug`.
pub(super) fn users(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let FakeForgeState { forge: world, repos, renamed_repositories: _ } = state;
    let filter = call.query_param("filter").unwrap_or_default().to_lowercase();
    let mut logins: Vec<&String> =
        world.accounts.keys().filter(|login| login.to_lowercase().contains(&filter)).collect();
    for at in 1.. {
        let Some(permission) = call.query_param(&format!("permission.{at}")) else { break };
        let part = |name: &str| call.query_param(&format!("permission.{at}.{name}")).unwrap_or_default();
        let key = format!("{}/{}", part("projectKey"), part("repositorySlug")).to_lowercase();
        let missing =
            || error_response(404, "The repository does not exist.", "repository.NoSuchRepositoryException");
        let repo = repos.get(&key).filter(|repo| may_read(repo, &call.login)).ok_or_else(missing)?;
        has_permission(repo, "", permission)
            .ok_or_else(|| invalid_field("permission", "it is not a known one"))?;
        logins.retain(|login| has_permission(repo, login, permission) == Some(true));
    }
    page::reply_with_page(call, &logins.into_iter().map(|login| json::user(world, login)).collect::<Vec<_>>())
}

/// Handles the call `GET /rest/api/latest/users/{slug}`.
pub(super) fn user(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let missing = || error_response(404, "The user does not exist.", "user.NoSuchUserException");
    let found = find_login(&state.forge, call.path_param("slug")).ok_or_else(missing)?;
    Ok(ApiResponse::json(200, json::user(&state.forge, &found)))
}

/// Handles `GET /rest/api/latest/repos`, filtered by `permission`, `name` and `projectkey`.
pub(super) fn repositories(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let FakeForgeState { forge: world, repos, renamed_repositories: _ } = state;
    let permission = call.query_param("permission").unwrap_or("REPO_READ");
    let begins = |name: &str, prefix: Option<&str>| {
        prefix.is_none_or(|prefix| name.to_lowercase().starts_with(&prefix.trim().to_lowercase()))
    };
    let seen = |repo: &&StoredRepository| match permission {
        "REPO_READ" => may_read(repo, &call.login),
        other => has_permission(repo, &call.login, other) == Some(true),
    };
    let shown: Vec<Value> = repos
        .values()
        .filter(|repo| repo.is_listed && begins(&repo.name, call.query_param("name")))
        .filter(|repo| call.query_param("projectkey").is_none_or(|key| repo.owner.eq_ignore_ascii_case(key)))
        .filter(seen)
        .map(|repo| json::repository(world, repo))
        .collect();
    page::reply_with_page(call, &shown)
}

/// Handles the call `GET …/projects/{owner}/repos/{repo}`.
pub(super) fn get_repository(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (world, repo) = find_repository(state, call)?;
    Ok(ApiResponse::json(200, json::repository(world, repo)))
}

/// Handles the call `GET …/default-branch`.
pub(super) fn default_branch(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (_, repo) = find_repository(state, call)?;
    let name = &repo.default_branch;
    Ok(ApiResponse::json(
        200,
        json!({"id": format!("refs/heads/{name}"), "displayId": name, "type": "BRANCH"}),
    ))
}

/// Handles `GET /rest/branch-permissions/latest/…/restrictions`, filtered by `matcherId` and `type`. Only
/// administrators may make this call. The default branch is always restricted.
pub(super) fn list_branch_restrictions(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (_, repo) = find_admin_repository(state, call)?;
    let protected = std::iter::once(repo.default_branch.as_str())
        .chain(repo.protected_branches.iter().map(String::as_str))
        .flat_map(|branch| [(branch, "pull-request-only"), (branch, "fast-forward-only")]);
    let rules = repo
        .branch_rules
        .iter()
        .flat_map(|(branch, kinds)| kinds.iter().map(|kind| (branch.as_str(), kind.as_str())));
    let all: BTreeSet<(&str, &str)> = protected.chain(rules).collect();
    let wanted = |(branch, kind): &(&str, &str)| {
        call.query_param("matcherId").is_none_or(|id| id.strip_prefix("refs/heads/").unwrap_or(id) == *branch)
            && call.query_param("type").is_none_or(|wanted| wanted == *kind)
    };
    let shown: Vec<Value> = all
        .into_iter()
        .filter(wanted)
        .enumerate()
        .map(|(at, (branch, kind))| {
            json!({
                "id": at + 1, "type": kind, "scope": {"type": "REPOSITORY", "resourceId": repo.id},
                "matcher": {
                    "id": format!("refs/heads/{branch}"), "displayId": branch,
                    "type": {"id": "BRANCH", "name": "Branch"},
                },
                "users": [], "groups": [], "accessKeys": [],
            })
        })
        .collect();
    page::reply_with_page(call, &shown)
}
