//! Permissions that each call requires, by kind of token. Tests check docs/github.md and the client against
//! the same table.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::Value;

use crate::forge::bitbucket;
use crate::forge::github::call::ApiResponse;
use crate::forge::state::apps::{FakeTokenScope, TokenKind};

static PERMISSION_TABLE: LazyLock<Vec<GitHubCallRow>> = LazyLock::new(|| {
    let text = include_str!("../../../../contract/data/github-permissions.toml");
    toml::from_str::<GitHubPermissions>(text).map(|table| table.calls).unwrap_or_default()
});

#[derive(Deserialize)]
struct GitHubPermissions {
    calls: Vec<GitHubCallRow>,
}

#[derive(Deserialize)]
struct GitHubCallRow {
    call: String,
    app: String,
    fine_grained: String,
    actions: String,
}

impl GitHubCallRow {
    fn required_permission(&self, kind: TokenKind) -> &str {
        match kind {
            TokenKind::Installation => &self.app,
            TokenKind::FineGrained => &self.fine_grained,
            TokenKind::Actions => &self.actions,
            TokenKind::ApiToken | TokenKind::AccessToken | TokenKind::HttpAccessToken => "never",
        }
    }
}

/// Returns the table row of a call. `verb` and `path` are `GET` and a path, `git` and the operation, or
/// `query` or `mutation` and the requested field. If several rows match, returns the row with the most
/// literal parts.
fn find_call_row(verb: &str, path: &str) -> Option<&'static GitHubCallRow> {
    let parts: Vec<&str> = path.split('/').collect();
    let named = |row: &GitHubCallRow| {
        let (its_verb, its_path) = row.call.split_once(' ')?;
        let its_parts: Vec<&str> = its_path.split('/').collect();
        let fits = its_verb == verb
            && its_parts.len() == parts.len()
            && its_parts.iter().zip(&parts).all(|(its, part)| its.starts_with('{') || its == part);
        fits.then(|| its_parts.iter().filter(|its| !its.starts_with('{')).count())
    };
    PERMISSION_TABLE
        .iter()
        .filter_map(|row| Some((named(row)?, row)))
        .max_by_key(|(count, _)| *count)
        .map(|(_, row)| row)
}

/// Returns true if these permissions satisfy an entry of the table.
fn satisfies_need(requirement: &str, permissions: &BTreeMap<String, String>) -> bool {
    let has = |permission: &str| {
        permission.split_once(": ").is_some_and(|(name, level)| {
            permissions.get(name).is_some_and(|granted| granted == "write" || granted == level)
        })
    };
    requirement == "any" || requirement.split(" | ").any(|permission| permission.split(" + ").all(has))
}

impl FakeTokenScope {
    /// Returns true if the token may make this call. For tokens with limited permissions, a call that is
    /// missing from the table is rejected.
    pub(crate) fn permits_call(&self, verb: &str, path: &str) -> bool {
        match self {
            Self::Account | Self::AccessToken | Self::App(_) => true,
            Self::Installation {
                kind: kind @ (TokenKind::ApiToken | TokenKind::AccessToken | TokenKind::HttpAccessToken),
                permissions,
                ..
            } => bitbucket::permissions::permits_call(*kind, permissions, verb, path),
            Self::Installation { kind, permissions, .. } => find_call_row(verb, path)
                .is_some_and(|row| satisfies_need(row.required_permission(*kind), permissions)),
        }
    }

    /// Returns the message with which GitHub rejects the call.
    pub(crate) fn refusal_message(&self) -> &'static str {
        match self {
            Self::Account | Self::AccessToken | Self::Installation { kind: TokenKind::FineGrained, .. } => {
                "Resource not accessible by personal access token"
            }
            Self::App(_) | Self::Installation { .. } => "Resource not accessible by integration",
        }
    }

    /// Returns the response that rejects the call, with the permission that the call requires.
    /// <https://docs.github.com/en/rest/using-the-rest-api/troubleshooting-the-rest-api>
    pub(crate) fn forbidden_response(&self, verb: &str, path: &str) -> ApiResponse {
        let mut reply = ApiResponse::error(403, self.refusal_message(), Value::Null);
        if let (Self::Installation { kind, .. }, Some(row)) = (self, find_call_row(verb, path)) {
            let need =
                row.required_permission(*kind).replace(": ", "=").replace(" | ", "; ").replace(" + ", ",");
            if need.contains('=') {
                reply.headers.push(("x-accepted-github-permissions", need));
            }
        }
        reply
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holding(kind: TokenKind, held: &[(&str, &str)]) -> FakeTokenScope {
        let permissions = held.iter().map(|(name, level)| ((*name).into(), (*level).into())).collect();
        FakeTokenScope::Installation { kind, owner: "acme".into(), repository_ids: None, permissions }
    }

    #[test]
    fn a_call_has_the_row_that_names_most_of_it() {
        let call = |verb, path| find_call_row(verb, path).map_or("", |row| row.call.as_str());
        assert_eq!(call("GET", "/repos/a/b/pulls/comments"), "GET /repos/{owner}/{repo}/pulls/comments");
        assert_eq!(call("GET", "/repos/a/b/pulls/7"), "GET /repos/{owner}/{repo}/pulls/{number}");
        assert_eq!(call("git", "push"), "git push");
        assert_eq!(call("mutation", "mergePullRequest"), "");
    }

    #[test]
    fn one_of_several_or_all_of_several_is_asked_for() {
        use TokenKind::{Actions, FineGrained, Installation};
        let comment = ("POST", "/repos/a/b/issues/7/comments");
        let resolve = ("mutation", "resolveReviewThread");
        let checks = ("GET", "/repos/a/b/commits/c/check-runs");
        for (kind, held, (verb, path), may) in [
            (Installation, &[("issues", "write")] as &[_], comment, true),
            (Actions, &[("pull_requests", "write")], comment, true),
            (FineGrained, &[("pull_requests", "read")], comment, false),
            (Installation, &[("pull_requests", "write"), ("contents", "read")], resolve, false),
            (Installation, &[("pull_requests", "write"), ("contents", "write")], resolve, true),
            (Installation, &[("checks", "write")], checks, true),
            (FineGrained, &[("checks", "write")], checks, false),
            (Installation, &[("contents", "write")], ("GET", "/user"), false),
            (FineGrained, &[], ("GET", "/user"), true),
        ] {
            assert_eq!(holding(kind, held).permits_call(verb, path), may, "{kind:?} {held:?} {verb} {path}");
        }
    }
}
