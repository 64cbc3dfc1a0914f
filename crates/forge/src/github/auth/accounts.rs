//! Our current account and our former accounts at GitHub, and which of them wrote a comment.

use serde::Deserialize;
use serde_json::json;
use truing_core::port::ForgeError;

use super::{GitHubAuthMethod, GitHubIdentity, TokenScope};
use crate::github::address::append_segments;
use crate::github::graphql::graphql_url;
use crate::github::{GitHub, wire};
use crate::http::{ForgeRequest, unavailable_error};

/// Suffix of the name of an App's account.
const BOT_LOGIN_SUFFIX: &str = "[bot]";
const VIEWER_QUERY: &str = "query { viewer { login } }";

/// The kind of an account of ours: current or former.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GitHubAccountKind {
    /// The account that we write as now.
    Current,
    /// A former account of ours. Its comments are recognised as ours, but the current account cannot change
    /// them.
    Former,
}

/// All our accounts, the current one and former ones.
#[derive(Clone, Copy, Debug)]
pub(in crate::github) struct GitHubAccounts<'a> {
    own_id: u64,
    previous_accounts: &'a [String],
}

impl GitHubAccounts<'_> {
    /// Returns the kind of an account of ours; `None` if the account is not ours.
    pub(in crate::github) fn account_kind(&self, user: &wire::GitHubUser) -> Option<GitHubAccountKind> {
        if user.id == self.own_id {
            return Some(GitHubAccountKind::Current);
        }
        // A configured account that consists of digits is an id, never a name.
        let is = |account: &String| match account.parse::<u64>() {
            Ok(id) => id == user.id,
            Err(_) => user.login.as_ref().is_some_and(|login| login.eq_ignore_ascii_case(account)),
        };
        self.previous_accounts.iter().any(is).then_some(GitHubAccountKind::Former)
    }
}

#[derive(Deserialize)]
struct AppSlug {
    slug: String,
}

#[derive(Deserialize)]
struct ViewerReply {
    data: Option<ViewerData>,
}

#[derive(Deserialize)]
struct ViewerData {
    viewer: Viewer,
}

#[derive(Deserialize)]
struct Viewer {
    login: String,
}

impl GitHub {
    /// Returns our accounts. If the current account is not known yet, it is requested with the credentials of
    /// this scope.
    pub(in crate::github) async fn accounts(
        &self,
        scope: TokenScope<'_>,
    ) -> Result<GitHubAccounts<'_>, ForgeError> {
        let own = self.identity(scope).await?.id;
        Ok(GitHubAccounts { own_id: own, previous_accounts: &self.inner.options.previous_accounts })
    }

    /// Returns our own account, which is requested once.
    pub(in crate::github) async fn identity(
        &self,
        scope: TokenScope<'_>,
    ) -> Result<GitHubIdentity, ForgeError> {
        let auth = &self.inner.auth;
        let ask = || async {
            match &auth.auth_method {
                GitHubAuthMethod::Token(_) => self.identity_of_token(scope).await,
                GitHubAuthMethod::App { .. } => self.identity_of_app(scope).await,
            }
        };
        auth.identity.get_or_try_init(ask).await.copied()
    }

    async fn identity_of_app(&self, scope: TokenScope<'_>) -> Result<GitHubIdentity, ForgeError> {
        let call = ForgeRequest::get(
            "reading the GitHub App's name",
            append_segments(&self.inner.auth.api, ["app"]),
        );
        let app: AppSlug = self.inner.auth.send_as_app(&self.inner.http, call).await?.json()?;
        self.read_bot_identity(scope, &format!("{}{BOT_LOGIN_SUFFIX}", app.slug)).await
    }

    async fn identity_of_token(&self, scope: TokenScope<'_>) -> Result<GitHubIdentity, ForgeError> {
        let what = "reading the account of the token";
        match self
            .send(scope, &ForgeRequest::get(what, append_segments(&self.inner.auth.api, ["user"])))
            .await
        {
            Ok(answer) => {
                Ok(GitHubIdentity { id: answer.json::<wire::GitHubUser>()?.id, is_installation: false })
            }
            // GitHub rejects this request if the token is for an installation, so the account is requested
            // with GraphQL.
            Err(ForgeError::Forbidden { .. }) => {
                let body = json!({ "query": VIEWER_QUERY });
                let url = graphql_url(&self.inner.auth.api);
                let call = ForgeRequest::query(what, url, body);
                let reply: ViewerReply = self.send(scope, &call).await?.json()?;
                let viewer = reply
                    .data
                    .ok_or_else(|| unavailable_error(what, "the response contains no account"))?
                    .viewer;
                // Some responses contain the App's name without the suffix.
                let name = viewer.login.strip_suffix(BOT_LOGIN_SUFFIX).unwrap_or(&viewer.login);
                self.read_bot_identity(scope, &format!("{name}{BOT_LOGIN_SUFFIX}")).await
            }
            Err(error) => Err(error),
        }
    }

    async fn read_bot_identity(
        &self,
        scope: TokenScope<'_>,
        login: &str,
    ) -> Result<GitHubIdentity, ForgeError> {
        let call = ForgeRequest::get(
            format!("reading the account {login}"),
            append_segments(&self.inner.auth.api, ["users", login]),
        );
        let id = self.send(scope, &call).await?.json::<wire::GitHubUser>()?.id;
        Ok(GitHubIdentity { id, is_installation: true })
    }
}
