//! Handles calls about accounts, workspaces, repositories, permissions and branch restrictions.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::auth::{find_admin_repository, find_repository, reject_access_token};
use super::errors::not_found;
use super::{json, pagination};
use crate::forge::bitbucket::{may_read, may_write};
use crate::forge::flavour::uuid_from_id;
use crate::forge::http::call::{ApiCall, ApiResponse, CallResult};
use crate::forge::state::{FakeForgeState, ForgeInstance, StoredRepository};

/// Handles the call `GET /2.0/user`.
pub(super) fn get_current_user(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    reject_access_token(call)?;
    Ok(ApiResponse::json(200, json::account(&state.forge, &call.login)))
}

/// Returns the login of the account with this id.
pub(super) fn login_of<'a>(forge: &'a ForgeInstance, id: &str) -> Option<&'a str> {
    forge.accounts.iter().find(|(_, number)| uuid_from_id(**number) == id).map(|(login, _)| login.as_str())
}

/// Handles `GET /2.0/users/{user}`; the path contains the account's id.
pub(super) fn get_user(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    reject_access_token(call)?;
    let world = &state.forge;
    let login = login_of(world, call.path_param("user")).ok_or_else(|| not_found("User"))?;
    let mut account_json = json::account(world, login);
    let status = if world.closed_accounts.contains(login) { "inactive" } else { "active" };
    account_json["account_status"] = status.into();
    Ok(ApiResponse::json(200, account_json))
}

/// Handles `GET /2.0/workspaces/{owner}/members/{user}`. The members are all accounts with a role in a
/// repository of the workspace, and the bots of these repositories.
pub(super) fn get_workspace_member(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    reject_access_token(call)?;
    let FakeForgeState { forge: world, repos, renamed_repositories: _ } = state;
    let login = login_of(world, call.path_param("user")).ok_or_else(|| not_found("User"))?;
    let is_in = |repo: &StoredRepository| {
        repo.owner.eq_ignore_ascii_case(call.path_param("owner"))
            && (repo.role(login) != "none" || repo.bots.iter().any(|bot| bot.login == login))
    };
    if !repos.values().any(is_in) {
        return Err(not_found("User"));
    }
    let (user, workspace) = (json::account(world, login), json::workspace(world, call.path_param("owner")));
    Ok(ApiResponse::json(200, json!({"type": "workspace_membership", "user": user, "workspace": workspace})))
}

/// Handles `GET /2.0/user/workspaces`: lists the workspaces of the repositories that the caller may see.
pub(super) fn list_caller_workspaces(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    reject_access_token(call)?;
    let FakeForgeState { forge: world, repos, renamed_repositories: _ } = state;
    let seen = repos.values().filter(|repo| repo.is_listed && may_read(repo, &call.login));
    let owners: BTreeSet<&str> = seen.map(|repo| repo.owner.as_str()).collect();
    let shown = owners.into_iter().map(|owner| {
        let workspace = json::workspace(world, owner);
        let workspace = json!({
            "type": "workspace_base", "uuid": workspace["uuid"], "slug": owner,
            "links": {"avatar": workspace["links"]["avatar"], "self": workspace["links"]["self"]},
        });
        json!({"type": "workspace_access", "administrator": owner == call.login, "workspace": workspace})
    });
    pagination::reply_with_page(world, call, shown.collect(), pagination::MAX_PAGE_LENGTH)
}

/// Handles `GET /2.0/repositories/{owner}`: lists repositories in which the caller has the requested `role`.
pub(super) fn repositories(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let FakeForgeState { forge: world, repos, renamed_repositories: _ } = state;
    let of = |repo: &&StoredRepository| repo.owner.eq_ignore_ascii_case(call.path_param("owner"));
    let mut all = repos.values().filter(of).peekable();
    all.peek().ok_or_else(|| not_found("Workspace"))?;
    let login = call.login.as_str();
    let has_role = |repo: &&StoredRepository| match call.query_param("role") {
        Some("admin" | "owner") => repo.role(login) == "admin",
        Some("contributor") => may_write(repo, login),
        Some(_) | None => may_read(repo, login),
    };
    let shown = all.filter(|repo| repo.is_listed).filter(has_role).map(|repo| json::repository(world, repo));
    pagination::reply_with_page(world, call, shown.collect(), pagination::MAX_PAGE_LENGTH)
}

/// Handles `GET /2.0/repositories/{owner}/{repo}`. The path may also contain an empty owner and the
/// repository's id.
pub(super) fn get_repository(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (world, repo) = find_repository(state, call)?;
    Ok(ApiResponse::json(200, json::repository(world, repo)))
}

fn permission_json(forge: &ForgeInstance, repo: &StoredRepository, login: &str) -> Value {
    json!({
        "type": "repository_permission", "permission": repo.permission(login).0,
        "user": json::account(forge, login), "repository": json::embedded_repository(forge, repo),
    })
}

/// Handles `GET /2.0/user/workspaces/{owner}/permissions/repositories`: lists the caller's own permissions.
pub(super) fn list_caller_permissions(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let FakeForgeState { forge: world, repos, renamed_repositories: _ } = state;
    let of = |repo: &&StoredRepository| repo.owner.eq_ignore_ascii_case(call.path_param("owner"));
    let known = repos.values().filter(of).filter(|repo| repo.permission(&call.login).0 != "none");
    let shown = known.map(|repo| permission_json(world, repo, &call.login)).collect();
    pagination::reply_with_page(world, call, shown, pagination::MAX_PAGE_LENGTH)
}

/// Handles `GET /2.0/workspaces/{owner}/permissions/repositories/{repo}`, which only administrators of the
/// repository may call.
pub(super) fn list_repository_permissions(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (world, repo) = find_admin_repository(state, call)?;
    let mut logins: BTreeSet<&str> = repo.roles.keys().map(String::as_str).collect();
    logins.insert(&repo.owner);
    let known = logins.into_iter().filter(|login| repo.permission(login).0 != "none");
    let shown = known.map(|login| permission_json(world, repo, login)).collect();
    pagination::reply_with_page(world, call, shown, pagination::MAX_PAGE_LENGTH)
}

/// Handles `GET …/branch-restrictions`, filtered by `pattern` and `kind`. Only administrators may make this
/// call. The default branch is always restricted.
pub(super) fn list_branch_restrictions(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (world, repo) = find_admin_repository(state, call)?;
    let own = json::repository_api_url(world, repo);
    let protected = std::iter::once(repo.default_branch.as_str())
        .chain(repo.protected_branches.iter().map(String::as_str))
        .flat_map(|branch| [(branch, "push"), (branch, "force")]);
    let rules = repo
        .branch_rules
        .iter()
        .flat_map(|(branch, kinds)| kinds.iter().map(move |kind| (branch.as_str(), kind.as_str())));
    let wanted = |(branch, kind): &(&str, &str)| {
        call.query_param("pattern").is_none_or(|pattern| pattern == *branch)
            && call.query_param("kind").is_none_or(|wanted| wanted == *kind)
    };
    let all: BTreeSet<(&str, &str)> = protected.chain(rules).filter(wanted).collect();
    let shown = all.into_iter().enumerate().map(|(at, (branch, kind))| {
        json!({
            "type": "branchrestriction", "id": at + 1, "kind": kind, "branch_match_kind": "glob",
            "pattern": branch, "value": null, "users": [], "groups": [],
            "links": {"self": {"href": format!("{own}/branch-restrictions/{}", at + 1)}},
        })
    });
    pagination::reply_with_page(world, call, shown.collect(), pagination::MAX_PAGE_LENGTH)
}
