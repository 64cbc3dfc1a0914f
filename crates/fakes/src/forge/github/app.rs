//! GitHub Apps: JSON Web Tokens, with which an App logs in, installations of Apps, and the tokens of
//! installations. An installation's token is limited to some repositories and permissions, and expires after
//! one hour.

use std::collections::BTreeSet;

use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha512};

use crate::forge::github::call::{ApiCall, ApiResponse, CallResult, PageRequest};
use crate::forge::github::json::format_time;
use crate::forge::state::apps::{FakeTokenScope, IssuedToken, TokenKind};
use crate::forge::state::{FakeForgeState, ForgeInstance, StoredRepository};

/// Lifetime of a token, in seconds.
const TOKEN_LIFETIME_SECONDS: i64 = 3600;
/// Maximum time until the expiry of an App's login, in seconds.
const MAX_LOGIN_LIFETIME_SECONDS: i64 = 600;

impl ForgeInstance {
    /// Returns the account and the scope of a token.
    pub(crate) fn identify_token(&self, token: &str) -> Option<(String, FakeTokenScope)> {
        if let Some(login) = self.tokens.get(token) {
            return Some((login.clone(), FakeTokenScope::Account));
        }
        if let Some(issued) = self.apps.valid_tokens.get(token) {
            return (self.now() < issued.expires_at).then(|| (issued.login.clone(), issued.scope.clone()));
        }
        let app = self.verify_app_login(token)?;
        Some((format!("{}[bot]", self.apps.apps.get(&app)?.slug), FakeTokenScope::App(app)))
    }

    /// Returns the App that signed this login, if the login is valid now.
    fn verify_app_login(&self, token: &str) -> Option<u64> {
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let read = |part: &str| -> Option<Value> {
            serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).ok()?).ok()
        };
        let (header, claims) = (read(header)?, read(claims)?);
        let issuer = &claims["iss"];
        let app = issuer.as_u64().or_else(|| issuer.as_str()?.parse().ok())?;
        let key = &self.apps.apps.get(&app)?.public_key;
        let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key);
        key.verify(signed.as_bytes(), &BASE64_URL_SAFE_NO_PAD.decode(signature).ok()?).ok()?;
        let (from, to, now) = (claims["iat"].as_i64()?, claims["exp"].as_i64()?, self.now());
        (header["alg"] == "RS256" && from <= now && now < to && to <= now + MAX_LOGIN_LIFETIME_SECONDS)
            .then_some(app)
    }
}

/// Returns the App that makes the call.
fn calling_app(call: &ApiCall) -> Result<u64, ApiResponse> {
    match call.token_scope {
        FakeTokenScope::App(app) => Ok(app),
        FakeTokenScope::Account | FakeTokenScope::AccessToken | FakeTokenScope::Installation { .. } => {
            Err(ApiResponse::not_found())
        }
    }
}

/// Handles the call `GET /app`.
pub(crate) fn get_app(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (id, world) = (calling_app(call)?, &state.forge);
    let app = world.apps.apps.get(&id).ok_or_else(ApiResponse::not_found)?;
    Ok(ApiResponse::json(200, world.registered_app_json(id, app)))
}

/// Handles the call `GET /app/installations`.
pub(crate) fn list_installations(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (app, world) = (calling_app(call)?, &state.forge);
    let all: Vec<_> = world.apps.installations.iter().filter(|(_, one)| one.app_id == app).collect();
    let page = PageRequest::from_call(call);
    let shown = page.page_items(&all).iter().map(|(id, one)| world.installation_json(**id, one)).collect();
    Ok(page.reply_with_page(world, call, all.len(), shown))
}

/// Handles `GET /repos/{owner}/{repo}/installation`. The path may contain the id of the repository instead.
pub(crate) fn get_repository_installation(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let app = calling_app(call)?;
    let owner = match call.path_params.get("id") {
        Some(_) => {
            let id = call.require_number("id")?;
            let repo = state.repos.values().find(|repo| repo.id == id).ok_or_else(ApiResponse::not_found)?;
            repo.owner.clone()
        }
        None => state.find_repository(call)?.1.owner.clone(),
    };
    let world = &state.forge;
    let found = world.apps.installations.iter().find(|(_, one)| one.app_id == app && one.owner == owner);
    let (id, one) = found.ok_or_else(ApiResponse::not_found)?;
    Ok(ApiResponse::json(200, world.installation_json(*id, one)))
}

/// Handles `POST /app/installations/{id}/access_tokens`. The token is valid for the whole installation, or
/// only for the repositories and permissions in the request's body.
pub(crate) fn create_access_token(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (app, id) = (calling_app(call)?, call.require_number("id")?);
    let world = &state.forge;
    let found = world.apps.installations.get(&id).filter(|one| one.app_id == app);
    let one = found.ok_or_else(ApiResponse::not_found)?;
    if one.suspended_at.is_some() {
        return Err(ApiResponse::error(403, "This installation has been suspended", Value::Null));
    }
    let empty = Vec::new();
    let list = |name: &str| call.body[name].as_array().unwrap_or(&empty);
    let mut only = BTreeSet::new();
    let own = |repo: &&StoredRepository| repo.owner == one.owner;
    for wanted in list("repository_ids").iter().chain(list("repositories")) {
        let is = |repo: &&StoredRepository| {
            wanted.as_u64() == Some(repo.id)
                || wanted.as_str().is_some_and(|name| name.eq_ignore_ascii_case(&repo.name))
        };
        let repo = state.repos.values().filter(own).find(is).ok_or_else(|| {
            let words = "There is at least one repository that does not exist or is not accessible to the \
                 parent installation.";
            ApiResponse::error(422, words, Value::Null)
        })?;
        only.insert(repo.id);
    }
    let only = (!only.is_empty()).then_some(only);
    let mut permissions = one.permissions.clone();
    if let Some(wanted) = call.body["permissions"].as_object() {
        permissions.clear();
        for (name, level) in wanted {
            let level = level.as_str().unwrap_or_default();
            let granted =
                one.permissions.get(name).is_some_and(|granted| granted == "write" || granted == level);
            if !granted {
                let words = "The permissions requested are not granted to this installation.";
                return Err(ApiResponse::error(422, words, Value::Null));
            }
            permissions.insert(name.clone(), level.to_owned());
        }
    }
    let login = format!("{}[bot]", world.apps.apps.get(&app).map_or("", |app| &app.slug));
    let pass = FakeTokenScope::Installation {
        kind: TokenKind::Installation,
        owner: one.owner.clone(),
        repository_ids: only.clone(),
        permissions: permissions.clone(),
    };
    let shown: Vec<Value> = state
        .repos
        .values()
        .filter(|repo| only.as_ref().is_some_and(|only| only.contains(&repo.id)))
        .map(|repo| world.repository_json(repo))
        .collect();
    let expires = world.now() + TOKEN_LIFETIME_SECONDS;
    let apps = &mut state.forge.apps;
    apps.issued_token_count += 1;
    let token = token_text(app, apps.issued_token_count);
    apps.valid_tokens.insert(token.clone(), IssuedToken { login, scope: pass, expires_at: expires });
    let mut body = json!({
        "token": token, "expires_at": format_time(expires), "permissions": permissions,
        "repository_selection": if only.is_some() { "selected" } else { "all" },
    });
    if let (Some(body), true) = (body.as_object_mut(), only.is_some()) {
        body.insert("repositories".into(), shown.into());
    }
    Ok(ApiResponse::json(201, body))
}

/// Returns the text of a token. The lengths of tokens differ.
fn token_text(app: u64, token_number: u64) -> String {
    let pieces = 3 + token_number % 3;
    let digests = (0..pieces).map(|piece| Sha512::digest(format!("{app} {token_number} {piece}")));
    let words: Vec<String> = digests.map(|digest| BASE64_URL_SAFE_NO_PAD.encode(digest)).collect();
    format!("ghs_{app}_{}", words.join("."))
}

/// Handles the call `GET /users/{login}`.
pub(crate) fn get_user(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let login = call.path_param("login");
    if !state.forge.accounts.contains_key(login) {
        return Err(ApiResponse::not_found());
    }
    Ok(ApiResponse::json(200, state.forge.viewer_json(login)))
}
