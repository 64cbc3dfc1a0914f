//! Finds the account of a request. Also finds the repository and the pull request in the request's path, if
//! the account may see them.

use axum::http::{HeaderMap, header};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::errors::{error_response, missing_scope_error, not_found};
use crate::forge::bitbucket::may_read;
use crate::forge::flavour::uuid_from_id;
use crate::forge::http::call::{ApiCall, ApiResponse};
use crate::forge::http::git_call;
use crate::forge::http::serve::GIT_RESOURCE;
use crate::forge::state::access::RepositoryAccess;
use crate::forge::state::apps::{FakeTokenScope, TokenKind};
use crate::forge::state::{FakeForgeState, ForgeInstance, StoredRepository};

/// User names that git sends with an access token, and with an API token.
const GIT_USERS: &[&str] = &["x-token-auth", "x-bitbucket-api-token-auth"];

/// Returns the account of a request. The request contains only an access token, or an API token and the
/// e-mail address of the token's account. App passwords, which are sent with a user name, are rejected,
/// because Cloud has rejected them since July 2026.
pub(super) fn authenticate_request(
    forge: &mut ForgeInstance,
    headers: &HeaderMap,
    rate_limit_resource: &'static str,
) -> Option<(String, FakeTokenScope)> {
    let user = basic_user(headers);
    if let Some(user) = &user {
        let is_git = rate_limit_resource == GIT_RESOURCE && GIT_USERS.contains(&user.as_str());
        if !is_git && !user.contains('@') {
            return None;
        }
    }
    let token = git_call::request_token(headers)?;
    if let Some(issued) = forge.apps.valid_tokens.get(&token) {
        return Some((issued.login.clone(), issued.scope.clone()));
    }
    let pass = if user.is_some() { FakeTokenScope::Account } else { FakeTokenScope::AccessToken };
    Some((forge.tokens.get(&token)?.clone(), pass))
}

/// Rejects a token whose scopes do not suffice.
pub(super) fn check_scopes(call: &ApiCall) -> Result<(), ApiResponse> {
    match call.token_scope.missing_scopes(&call.method, &call.path) {
        // If no scope permits a call, the error message differs.
        Some((required, granted)) if required != ["never"] => Err(missing_scope_error(&required, &granted)),
        Some(_) | None => Ok(()),
    }
}

/// Rejects calls that are not possible with an access token of any scope: calls about the token's account,
/// and about permissions.
pub(super) fn reject_access_token(call: &ApiCall) -> Result<(), ApiResponse> {
    match call.token_scope {
        FakeTokenScope::AccessToken | FakeTokenScope::Installation { kind: TokenKind::AccessToken, .. } => {
            Err(error_response(403, "This API is not accessible by this authentication mechanism."))
        }
        FakeTokenScope::Account | FakeTokenScope::App(_) | FakeTokenScope::Installation { .. } => Ok(()),
    }
}

/// Returns the user name of a `Basic` login; empty if the login cannot be parsed.
fn basic_user(headers: &HeaderMap) -> Option<String> {
    let (scheme, value) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = BASE64_STANDARD.decode(value.trim()).ok().and_then(|pair| String::from_utf8(pair).ok());
    Some(
        pair.as_deref()
            .and_then(|pair| pair.split_once(':'))
            .map_or_else(String::new, |(user, _)| user.to_owned()),
    )
}

/// Returns the repository in the path, if the caller may make the call. The path contains the owner's and the
/// repository's slugs, or the repository's id.
pub(super) fn find_repository<'a>(
    state: &'a mut FakeForgeState,
    call: &ApiCall,
) -> Result<(&'a mut ForgeInstance, &'a mut StoredRepository), ApiResponse> {
    let FakeForgeState { forge: world, repos, renamed_repositories: _ } = state;
    let (owner, name) = (call.path_param("owner"), call.path_param("repo"));
    let repo = if name.starts_with('{') {
        // The repository's id is sufficient, so the owner in the path may be empty, an id or a name.
        repos.values_mut().find(|repo| uuid_from_id(repo.id) == name)
    } else {
        repos.get_mut(&format!("{owner}/{name}").to_lowercase())
    };
    let missing = || not_found(&format!("Repository {owner}/{name}"));
    let repo = repo.filter(|repo| may_read(repo, &call.login)).ok_or_else(missing)?;
    match repo.access {
        RepositoryAccess::Archived if call.method != "GET" => {
            Err(error_response(403, "This repository is read-only"))
        }
        RepositoryAccess::Unrestricted | RepositoryAccess::Archived => Ok((world, repo)),
        RepositoryAccess::Forbidden => {
            Err(error_response(403, "Your credentials lack one or more required privilege scopes."))
        }
        RepositoryAccess::Blocked => Err(error_response(451, "This repository is not available")),
    }
}

/// Returns the repository, if the caller is its administrator.
pub(super) fn find_admin_repository<'a>(
    state: &'a mut FakeForgeState,
    call: &ApiCall,
) -> Result<(&'a mut ForgeInstance, &'a mut StoredRepository), ApiResponse> {
    reject_access_token(call)?;
    let (world, repo) = find_repository(state, call)?;
    if repo.role(&call.login) == "admin" {
        Ok((world, repo))
    } else {
        Err(error_response(403, "You must have admin access to view this resource."))
    }
}

/// Returns the pull request that the path names.
pub(super) fn find_pull<'a>(
    state: &'a mut FakeForgeState,
    call: &ApiCall,
) -> Result<(&'a mut ForgeInstance, &'a mut StoredRepository, u64), ApiResponse> {
    let number = call.numeric_path_param("number").ok_or_else(|| not_found("Pull request"))?;
    let (world, repo) = find_repository(state, call)?;
    if repo.pulls.contains_key(&number) { Ok((world, repo, number)) } else { Err(not_found("Pull request")) }
}
