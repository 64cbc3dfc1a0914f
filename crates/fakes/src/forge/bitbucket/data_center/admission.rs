//! Finds the account of a request. Also finds the repository and the pull request in the request's path, if
//! the account may see them. Without permission, the response is 401.

use axum::http::{HeaderMap, header};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use super::errors::{error_response, no_pull, no_repository, not_permitted, stale_version};
use super::json;
use crate::forge::bitbucket::may_read;
use crate::forge::http::call::{ApiCall, ApiResponse};
use crate::forge::http::git_call;
use crate::forge::state::access::RepositoryAccess;
use crate::forge::state::apps::FakeTokenScope;
use crate::forge::state::{FakeForgeState, ForgeInstance, StoredRepository};

/// Returns the account of a request. The request contains only a token, or a token and the name of the
/// token's account.
pub(super) fn authenticate_request(
    forge: &mut ForgeInstance,
    headers: &HeaderMap,
    _: &'static str,
) -> Option<(String, FakeTokenScope)> {
    let token = git_call::request_token(headers)?;
    let issued = forge.apps.valid_tokens.get(&token);
    let login = issued.map_or_else(|| forge.tokens.get(&token), |issued| Some(&issued.login))?.clone();
    // Tokens of projects and repositories have no account name and are therefore rejected in a `Basic` login.
    if basic_user(headers).is_some_and(|user| user != login) {
        return None;
    }
    let pass = issued.map_or(FakeTokenScope::Account, |issued| issued.scope.clone());
    Some((login, pass))
}

/// Rejects a call if the token lacks the required permission.
pub(super) fn check_permission(call: &ApiCall) -> Result<(), ApiResponse> {
    if call.token_scope.permits_call(&call.method, &call.path) { Ok(()) } else { Err(not_permitted()) }
}

/// Returns the user name of a `Basic` login.
fn basic_user(headers: &HeaderMap) -> Option<String> {
    let (scheme, value) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = String::from_utf8(BASE64_STANDARD.decode(value.trim()).ok()?).ok()?;
    pair.split_once(':').map(|(user, _)| user.to_owned())
}

/// Returns the repository that the path names, if the caller may make the call.
pub(super) fn find_repository<'a>(
    state: &'a mut FakeForgeState,
    call: &ApiCall,
) -> Result<(&'a mut ForgeInstance, &'a mut StoredRepository), ApiResponse> {
    let FakeForgeState { forge: world, repos, renamed_repositories: _ } = state;
    let name = format!("{}/{}", call.path_param("owner"), call.path_param("repo"));
    let repo = repos.get_mut(&name.to_lowercase()).ok_or_else(|| no_repository(&name))?;
    if !may_read(repo, &call.login) {
        return Err(not_permitted());
    }
    match repo.access {
        RepositoryAccess::Archived if call.method != "GET" => {
            Err(error_response(403, "The repository is archived.", "repository.RepositoryArchivedException"))
        }
        RepositoryAccess::Unrestricted | RepositoryAccess::Archived => Ok((world, repo)),
        RepositoryAccess::Forbidden => Err(not_permitted()),
        RepositoryAccess::Blocked => {
            Err(error_response(451, "The repository is not available.", "ServiceException"))
        }
    }
}

/// Returns the repository, if the caller is its administrator.
pub(super) fn find_admin_repository<'a>(
    state: &'a mut FakeForgeState,
    call: &ApiCall,
) -> Result<(&'a mut ForgeInstance, &'a mut StoredRepository), ApiResponse> {
    let (world, repo) = find_repository(state, call)?;
    if repo.role(&call.login) == "admin" { Ok((world, repo)) } else { Err(not_permitted()) }
}

/// Returns the pull request that the path names.
pub(super) fn find_pull<'a>(
    state: &'a mut FakeForgeState,
    call: &ApiCall,
) -> Result<(&'a mut ForgeInstance, &'a mut StoredRepository, u64), ApiResponse> {
    let number = call.numeric_path_param("number").ok_or_else(no_pull)?;
    let (world, repo) = find_repository(state, call)?;
    if repo.pulls.contains_key(&number) { Ok((world, repo, number)) } else { Err(no_pull()) }
}

/// Returns the version that a call sends in its query or its body.
pub(super) fn request_version(call: &ApiCall) -> Option<u64> {
    call.query_param("version").map_or_else(|| call.body["version"].as_u64(), |version| version.parse().ok())
}

/// Returns an error with status 409 if the call does not contain the current version of the pull request.
pub(super) fn check_pull_version(
    forge: &ForgeInstance,
    repo: &StoredRepository,
    number: u64,
    call: &ApiCall,
) -> Result<(), ApiResponse> {
    let of = repo.pulls.get(&number).ok_or_else(no_pull)?;
    let sent = request_version(call);
    if sent == Some(of.version) {
        return Ok(());
    }
    let now: Value = json::pull(forge, repo, of, &of.head);
    Err(stale_version(sent, of.version, Some(now)))
}

/// Returns the login of the account with this name or slug.
pub(super) fn find_login(forge: &ForgeInstance, name: &str) -> Option<String> {
    let is = |login: &&String| login.eq_ignore_ascii_case(name) || json::slug(login) == name;
    forge.accounts.keys().find(is).cloned()
}
