//! Scopes and permissions that each call requires, by kind of token. Tests check the documentation and the
//! clients against the same tables.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

use crate::forge::state::apps::{FakeTokenScope, TokenKind};

static CLOUD_PERMISSION_TABLE: LazyLock<Vec<BitbucketCallRow>> =
    LazyLock::new(|| parse_rows(include_str!("../../../../contract/data/bitbucket-cloud-permissions.toml")));
static DATA_CENTER_PERMISSION_TABLE: LazyLock<Vec<BitbucketCallRow>> =
    LazyLock::new(|| parse_rows(include_str!("../../../../contract/data/bitbucket-dc-permissions.toml")));

/// Permissions of HTTP access tokens. Each permission includes all permissions before it in this list.
const HTTP_TOKEN_PERMISSIONS: [&str; 3] = ["REPO_READ", "REPO_WRITE", "REPO_ADMIN"];

fn parse_rows(text: &str) -> Vec<BitbucketCallRow> {
    toml::from_str::<BitbucketPermissions>(text).map(|table| table.calls).unwrap_or_default()
}

#[derive(Deserialize)]
struct BitbucketPermissions {
    calls: Vec<BitbucketCallRow>,
}

/// A call, and the scopes or the permission that the call requires of each kind of token.
#[derive(Deserialize)]
struct BitbucketCallRow {
    call: String,
    #[serde(default)]
    api_token: String,
    #[serde(default)]
    access_token: String,
    #[serde(default)]
    permission: String,
}

impl BitbucketCallRow {
    fn matches_call(&self, verb: &str, path: &str) -> bool {
        let Some((its_verb, its_path)) = self.call.split_once(' ') else { return false };
        let its: Vec<&str> = its_path.split('/').collect();
        let asked: Vec<&str> = path.split('/').collect();
        let is_rest = its.last().is_some_and(|last| last.starts_with("{*"));
        its_verb == verb
            && (its.len() == asked.len() || (is_rest && asked.len() > its.len()))
            && its.iter().zip(&asked).all(|(its, part)| its.starts_with('{') || its == part)
    }
}

/// Returns the scopes or the permission that a token of this kind needs for a call; `None` if the call is
/// missing from the table.
fn required_permission(kind: TokenKind, verb: &str, path: &str) -> Option<&'static str> {
    let of = |table: &'static [BitbucketCallRow], root: &str| {
        let path = path.strip_prefix(root).unwrap_or(path);
        table.iter().find(|row| row.matches_call(verb, path))
    };
    match kind {
        TokenKind::ApiToken => of(&CLOUD_PERMISSION_TABLE, "/2.0").map(|row| row.api_token.as_str()),
        TokenKind::AccessToken => of(&CLOUD_PERMISSION_TABLE, "/2.0").map(|row| row.access_token.as_str()),
        TokenKind::HttpAccessToken => {
            of(&DATA_CENTER_PERMISSION_TABLE, "/rest").map(|row| row.permission.as_str())
        }
        TokenKind::Installation | TokenKind::FineGrained | TokenKind::Actions => None,
    }
}

/// Returns true if a token has this scope or permission, or another scope or permission that includes it.
fn has_permission(kind: TokenKind, permissions: &BTreeMap<String, String>, permission: &str) -> bool {
    match kind {
        // No scope of an API token includes another: "This scope does not imply the read:repository:bitbucket
        // scope".
        TokenKind::ApiToken => permissions.contains_key(permission),
        TokenKind::HttpAccessToken => HTTP_TOKEN_PERMISSIONS
            .iter()
            .skip_while(|level| **level != permission)
            .any(|level| permissions.contains_key(*level)),
        TokenKind::AccessToken | TokenKind::Installation | TokenKind::FineGrained | TokenKind::Actions => {
            permissions.contains_key(permission) || permissions.contains_key(&format!("{permission}:write"))
        }
    }
}

/// Returns true if a token of this kind with these permissions may make this call. A call that is missing
/// from the table is permitted, because another check reports such a call.
pub(crate) fn permits_call(
    kind: TokenKind,
    permissions: &BTreeMap<String, String>,
    verb: &str,
    path: &str,
) -> bool {
    match required_permission(kind, verb, path) {
        None | Some("any" | "open") => true,
        Some(need) => need.split(" + ").all(|one| has_permission(kind, permissions, one)),
    }
}

impl FakeTokenScope {
    /// If the token lacks a required scope, returns the scopes that the call requires and the scopes that the
    /// token has.
    pub(crate) fn missing_scopes(&self, verb: &str, path: &str) -> Option<(Vec<&'static str>, Vec<String>)> {
        match self {
            Self::Installation { kind, permissions, .. } if !permits_call(*kind, permissions, verb, path) => {
                let required =
                    required_permission(*kind, verb, path).unwrap_or_default().split(" + ").collect();
                Some((required, permissions.keys().cloned().collect()))
            }
            Self::Account | Self::AccessToken | Self::App(_) | Self::Installation { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::MethodFilter;

    use super::*;
    use crate::forge::bitbucket::{cloud, data_center};
    use crate::forge::http::serve::{ForgeProtocol, RouteAction};

    /// Returns the method and path of each API call that a forge supports.
    fn served_calls(protocol: &'static ForgeProtocol) -> Vec<(&'static str, &'static str)> {
        let verb = |filter: MethodFilter| {
            let verbs = [
                (MethodFilter::GET, "GET"),
                (MethodFilter::POST, "POST"),
                (MethodFilter::PUT, "PUT"),
                (MethodFilter::DELETE, "DELETE"),
            ];
            verbs.into_iter().find(|(known, _)| *known == filter).unwrap().1
        };
        let rest = protocol
            .routes
            .iter()
            .filter(|(.., how)| matches!(how, RouteAction::RestCall(_) | RouteAction::PublicRestCall(_)));
        rest.map(|(filter, path, _)| (verb(*filter), *path)).collect()
    }

    #[test]
    fn each_call_that_is_answered_has_a_row_and_each_row_is_a_call() {
        use TokenKind::{ApiToken, HttpAccessToken};
        for (kind, protocol, table) in [
            (ApiToken, &cloud::PROTOCOL, &CLOUD_PERMISSION_TABLE),
            (HttpAccessToken, &data_center::PROTOCOL, &DATA_CENTER_PERMISSION_TABLE),
        ] {
            let served = served_calls(protocol);
            for (verb, path) in &served {
                assert!(
                    required_permission(kind, verb, path).is_some_and(|need| !need.is_empty()),
                    "{verb} {path}"
                );
            }
            let of_git = table.iter().filter(|row| row.call.starts_with("git ")).count();
            assert_eq!((table.len(), of_git), (served.len() + 2, 2));
        }
    }

    #[test]
    fn a_scope_contains_what_its_forge_says() {
        use TokenKind::{AccessToken, ApiToken, HttpAccessToken};
        let comment = ("POST", "/2.0/repositories/a/b/pullrequests/7/comments");
        let change = ("PUT", "/2.0/repositories/a/b/pullrequests/7");
        let update = ("PUT", "/rest/api/latest/projects/a/repos/b/pull-requests/7");
        let diff = ("GET", "/rest/api/latest/projects/a/repos/b/pull-requests/7/diff/src/a.py");
        for (kind, held, call, expected) in [
            (ApiToken, &["read:pullrequest:bitbucket"] as &[_], comment, true),
            (ApiToken, &["write:pullrequest:bitbucket"], comment, false),
            (ApiToken, &["write:pullrequest:bitbucket"], change, false),
            (ApiToken, &["read:pullrequest:bitbucket", "write:pullrequest:bitbucket"], change, true),
            (ApiToken, &["read:user:bitbucket"], ("GET", "/2.0/user"), true),
            (AccessToken, &["account"], ("GET", "/2.0/user"), false),
            (AccessToken, &["pullrequest:write"], comment, true),
            (AccessToken, &["pullrequest"], change, false),
            (AccessToken, &["repository:admin"], ("git", "fetch"), false),
            (HttpAccessToken, &["REPO_READ"], update, false),
            (HttpAccessToken, &["REPO_ADMIN"], update, true),
            (HttpAccessToken, &["REPO_READ"], diff, true),
            (HttpAccessToken, &[], diff, false),
            (HttpAccessToken, &[], ("GET", "/rest/api/latest/users"), true),
        ] {
            let held: BTreeMap<String, String> =
                held.iter().map(|name| ((*name).into(), String::new())).collect();
            assert_eq!(permits_call(kind, &held, call.0, call.1), expected, "{kind:?} {held:?} {call:?}");
        }
    }
}
