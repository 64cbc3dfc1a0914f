//! Who calls, and the repository and pull request that a call names, if they may see it.

use axum::http::{HeaderMap, header};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::errors::{lacks_scope, not_found, refused};
use crate::forge::bitbucket::may_read;
use crate::forge::flavour::uuid;
use crate::forge::http::call::{ApiCall, ApiReply};
use crate::forge::http::git_call;
use crate::forge::http::serve::GIT;
use crate::forge::state::access::RepositoryAccess;
use crate::forge::state::apps::{FakeTokenScope, TokenKind};
use crate::forge::state::{FakeForgeState, ForgeInstance, StoredRepository};

/// The users that git has with a token: an access token's and an API token's.
const GIT_USERS: &[&str] = &["x-token-auth", "x-bitbucket-api-token-auth"];

/// The account of a request: an access token alone, or an API token with its account's e-mail address. App
/// passwords, which went with a user's name, are refused (facts: gone since July 2026).
pub(super) fn bearer(
    world: &mut ForgeInstance,
    headers: &HeaderMap,
    resource: &'static str,
) -> Option<(String, FakeTokenScope)> {
    let user = basic_user(headers);
    if let Some(user) = &user {
        let is_git = resource == GIT && GIT_USERS.contains(&user.as_str());
        if !is_git && !user.contains('@') {
            return None;
        }
    }
    let token = git_call::token(headers)?;
    if let Some(issued) = world.apps.issued.get(&token) {
        return Some((issued.login.clone(), issued.pass.clone()));
    }
    let pass = if user.is_some() { FakeTokenScope::Account } else { FakeTokenScope::Access };
    Some((world.tokens.get(&token)?.clone(), pass))
}

/// Refuses a token whose scopes are not enough.
pub(super) fn scoped(call: &ApiCall) -> Result<(), ApiReply> {
    match call.pass.lacking(&call.method, &call.path) {
        // What no scope is enough for is refused in other words.
        Some((required, granted)) if required != ["never"] => Err(lacks_scope(&required, &granted)),
        Some(_) | None => Ok(()),
    }
}

/// Refuses what access tokens may not ask, whatever their scopes: who they are, and who may do what.
pub(super) fn personal(call: &ApiCall) -> Result<(), ApiReply> {
    match call.pass {
        FakeTokenScope::Access | FakeTokenScope::Installation { kind: TokenKind::AccessToken, .. } => {
            Err(refused(403, "This API is not accessible by this authentication mechanism."))
        }
        FakeTokenScope::Account | FakeTokenScope::App(_) | FakeTokenScope::Installation { .. } => Ok(()),
    }
}

/// The user of a login by `Basic`; empty if there is a login that cannot be read.
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

/// The repository that the path names, by its slugs or its id, if it answers such a call.
pub(super) fn repository<'a>(
    state: &'a mut FakeForgeState,
    call: &ApiCall,
) -> Result<(&'a mut ForgeInstance, &'a mut StoredRepository), ApiReply> {
    let FakeForgeState { world, repos, moved: _ } = state;
    let (owner, name) = (call.param("owner"), call.param("repo"));
    let repo = if name.starts_with('{') {
        // The owner is empty, an id or a name: the repository's id says it all.
        repos.values_mut().find(|repo| uuid(repo.id) == name)
    } else {
        repos.get_mut(&format!("{owner}/{name}").to_lowercase())
    };
    let missing = || not_found(&format!("Repository {owner}/{name}"));
    let repo = repo.filter(|repo| may_read(repo, &call.login)).ok_or_else(missing)?;
    match repo.access {
        RepositoryAccess::Archived if call.method != "GET" => {
            Err(refused(403, "This repository is read-only"))
        }
        RepositoryAccess::Open | RepositoryAccess::Archived => Ok((world, repo)),
        RepositoryAccess::Forbidden => {
            Err(refused(403, "Your credentials lack one or more required privilege scopes."))
        }
        RepositoryAccess::Blocked => Err(refused(451, "This repository is not available")),
    }
}

/// The repository, for whoever is its administrator.
pub(super) fn administered<'a>(
    state: &'a mut FakeForgeState,
    call: &ApiCall,
) -> Result<(&'a mut ForgeInstance, &'a mut StoredRepository), ApiReply> {
    personal(call)?;
    let (world, repo) = repository(state, call)?;
    if repo.role(&call.login) == "admin" {
        Ok((world, repo))
    } else {
        Err(refused(403, "You must have admin access to view this resource."))
    }
}

/// The pull request that the path names.
pub(super) fn pull<'a>(
    state: &'a mut FakeForgeState,
    call: &ApiCall,
) -> Result<(&'a mut ForgeInstance, &'a mut StoredRepository, u64), ApiReply> {
    let number = call.digits("number").ok_or_else(|| not_found("Pull request"))?;
    let (world, repo) = repository(state, call)?;
    if repo.pulls.contains_key(&number) { Ok((world, repo, number)) } else { Err(not_found("Pull request")) }
}
