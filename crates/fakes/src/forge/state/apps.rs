//! GitHub Apps: what they are installed for, and the tokens that are out.

use std::collections::{BTreeMap, BTreeSet};

/// The permissions that an installation grants unless a test says otherwise: those that reviews need.
pub(crate) const GRANTED: &[(&str, &str)] = &[
    ("checks", "write"),
    ("contents", "read"),
    ("issues", "write"),
    ("metadata", "read"),
    ("pull_requests", "write"),
    ("statuses", "write"),
];

/// All apps, what they are installed for, and the tokens that are out.
#[derive(Debug, Default)]
pub(crate) struct AppRegistry {
    pub(crate) registered: BTreeMap<u64, RegisteredApp>,
    pub(crate) installations: BTreeMap<u64, FakeInstallation>,
    pub(crate) issued: BTreeMap<String, IssuedToken>,
    /// Tokens that were ever given out.
    pub(crate) tokens: u64,
}

/// An App.
#[derive(Debug)]
pub(crate) struct RegisteredApp {
    pub(crate) slug: String,
    pub(crate) public_key: Vec<u8>,
    pub(crate) created: i64,
}

/// An App for the repositories of an owner.
#[derive(Debug)]
pub(crate) struct FakeInstallation {
    pub(crate) app: u64,
    pub(crate) owner: String,
    pub(crate) permissions: BTreeMap<String, String>,
    pub(crate) suspended: Option<i64>,
    pub(crate) created: i64,
}

/// A token that was given out.
#[derive(Clone, Debug)]
pub(crate) struct IssuedToken {
    pub(crate) login: String,
    pub(crate) pass: FakeTokenScope,
    pub(crate) expires: i64,
}

/// The scope of a token.
#[derive(Clone, Debug, Default)]
pub(crate) enum FakeTokenScope {
    /// Everything that its account may.
    #[default]
    Account,
    /// The same, but for what is asked about the account itself: of an access token of Bitbucket Cloud.
    Access,
    /// To speak as the App itself.
    App(u64),
    /// For an installation, perhaps for a part of it; or another token that has permissions.
    Installation {
        kind: TokenKind,
        /// Whose repositories.
        owner: String,
        /// Only these of them.
        only: Option<BTreeSet<u64>>,
        permissions: BTreeMap<String, String>,
    },
}

/// The kinds of tokens that have permissions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TokenKind {
    /// Of an installation of a GitHub App.
    Installation,
    /// A person's, for the repositories of one owner.
    FineGrained,
    /// Of a job of GitHub Actions.
    Actions,
    /// A person's at Bitbucket Cloud, whose permissions are scopes; their levels say nothing.
    ApiToken,
    /// Of a repository, a project or a workspace of Bitbucket Cloud, likewise.
    AccessToken,
    /// Of Bitbucket Data Center, likewise with one of its permissions.
    HttpAccessToken,
}

impl FakeTokenScope {
    /// Is it a person's, or the one of a bot that is used as one?
    pub(crate) fn is_account(&self) -> bool {
        matches!(self, Self::Account)
    }
}
