//! GitHub Apps, with their installations and valid tokens.

use std::collections::{BTreeMap, BTreeSet};

/// Default permissions of an installation: the permissions that reviews require.
pub(crate) const DEFAULT_INSTALLATION_PERMISSIONS: &[(&str, &str)] = &[
    ("checks", "write"),
    ("contents", "read"),
    ("issues", "write"),
    ("metadata", "read"),
    ("pull_requests", "write"),
    ("statuses", "write"),
];

/// All apps, their installations, and their valid tokens.
#[derive(Debug, Default)]
pub(crate) struct AppRegistry {
    pub(crate) apps: BTreeMap<u64, RegisteredApp>,
    pub(crate) installations: BTreeMap<u64, FakeInstallation>,
    pub(crate) valid_tokens: BTreeMap<String, IssuedToken>,
    /// Number of tokens issued so far.
    pub(crate) issued_token_count: u64,
}

/// A GitHub App that was registered.
#[derive(Debug)]
pub(crate) struct RegisteredApp {
    pub(crate) slug: String,
    pub(crate) public_key: Vec<u8>,
    pub(crate) created_at: i64,
}

/// An installation of an App for the repositories of an owner.
#[derive(Debug)]
pub(crate) struct FakeInstallation {
    pub(crate) app_id: u64,
    pub(crate) owner: String,
    pub(crate) permissions: BTreeMap<String, String>,
    pub(crate) suspended_at: Option<i64>,
    pub(crate) created_at: i64,
}

/// A token that was issued.
#[derive(Clone, Debug)]
pub(crate) struct IssuedToken {
    pub(crate) login: String,
    pub(crate) scope: FakeTokenScope,
    pub(crate) expires_at: i64,
}

/// The scope of a token.
#[derive(Clone, Debug, Default)]
pub(crate) enum FakeTokenScope {
    /// All permissions of the token's account.
    #[default]
    Account,
    /// All permissions of the token's account, except calls about the account itself. Access tokens of
    /// Bitbucket Cloud have this scope.
    AccessToken,
    /// The App itself, with this number.
    App(u64),
    /// The scope of a token with limited permissions, such as the token of an App's installation or of some
    /// of the installation's repositories.
    Installation {
        kind: TokenKind,
        /// Owner of the repositories.
        owner: String,
        /// Ids of the repositories to which the token is limited; `None` for all repositories of the owner.
        repository_ids: Option<BTreeSet<u64>>,
        permissions: BTreeMap<String, String>,
    },
}

/// The kinds of tokens that have limited permissions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TokenKind {
    /// A token of an installation of a GitHub App.
    Installation,
    /// A person's token for the repositories of one owner.
    FineGrained,
    /// A token of a GitHub Actions job.
    Actions,
    /// A person's token at Bitbucket Cloud. The token's permissions are scopes, whose levels are ignored.
    ApiToken,
    /// A token of a repository, a project or a workspace at Bitbucket Cloud. The token's permissions are
    /// scopes, as with `ApiToken`.
    AccessToken,
    /// A token of Bitbucket Data Center, with one of Data Center's permissions.
    HttpAccessToken,
}

impl FakeTokenScope {
    /// Returns true if the token belongs to a person, or to a bot account that is used like a person's
    /// account.
    pub(crate) fn is_account(&self) -> bool {
        matches!(self, Self::Account)
    }
}
