//! GitHub: what one review needs of its REST and GraphQL APIs (facts/forges.md 4.1).
//!
//! [`GitHub`] is one server with one login; [`GitHubClient`] one repository of it, and one pull request of
//! that, for one producer: it reads, and performs effects. Nothing here approves, merges or changes code, or
//! closes what others opened: those calls do not exist.

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use truing_core::finding::{CodeLocation, DiffSide};
use truing_core::id::{AccountId, TimeSpan};
use truing_core::port::{Clock, ForgeError, Permit, SharedStateStore};
use truing_diff::RepoPath;
use truing_git::{Remote, SecretString};
use url::Url;

use crate::body;
use crate::capability::GITHUB;
use crate::http::{ForgeHttpClient, HttpClientError, HttpDialect, HttpTimeouts};
use crate::marker::MarkerKeys;
use crate::remote::RemoteError;
use address::append;
use auth::{GitHubAuth, TokenScope};

mod address;
mod auth;
mod checks;
mod client;
mod comments;
mod graphql;
mod id;
mod observed;
mod repositories;
mod repository;
mod server;
mod session;
#[cfg(test)]
mod tests;
mod threads;
pub(crate) mod webhook;
mod wire;

pub use auth::{AppKey, AppKeyError, AppPermission, GitHubAccountKind, GitHubCredentials, permissions};
pub use client::GitHubClient;

/// The context of our commit statuses, and the name of our checks.
const STATUS_CONTEXT: &str = "truing/review";
/// The longest description of a commit status, in characters.
const MAX_STATUS_CHARS: usize = GITHUB.status_text;
/// The hosts of GitHub's own service, each with all below it. Other servers have no limit of calls that
/// create something unless they say so.
const OWN_SERVICE: [&str; 2] = ["github.com", "ghe.com"];

/// What GitHub has of its own on the wire, at this server. What people create in the web interface counts,
/// too. <https://docs.github.com/en/rest/about-the-rest-api/api-versions>
pub(crate) fn wire_of(api: &Url) -> HttpDialect {
    let host = api.host_str().unwrap_or_default();
    let is_own = OWN_SERVICE
        .iter()
        .any(|own| host.strip_suffix(own).is_some_and(|before| before.is_empty() || before.ends_with('.')));
    HttpDialect {
        accept: "application/vnd.github+json",
        version: Some(("x-github-api-version", "2022-11-28")),
        sign_on: Some("x-github-sso"),
        tells_conflicts: false,
        creations: if is_own { GITHUB.creations } else { &[] },
    }
}

/// One server and how to speak to it.
#[derive(Clone, Debug)]
pub struct GitHubOptions {
    /// The `NAME` of `[forge.NAME]`: part of every marker.
    pub name: String,
    /// The root of the REST API: `https://api.github.com`, or `https://HOST/api/v3`.
    pub api_url: Url,
    /// The root of git over HTTP: `https://github.com`.
    pub git_url: Url,
    /// What to log in with.
    pub credentials: GitHubCredentials,
    /// Accounts that we wrote as before: names, or ids, which nobody else can take over.
    pub accounts: Vec<String>,
    /// What signs markers.
    pub markers: MarkerKeys,
    /// How long a comment whose creation was not answered may stay unseen.
    pub settle: TimeSpan,
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum GitHubError {
    /// An address that requests cannot go to.
    #[error("forge.{name}: {url} is not an http or https address without user name and password")]
    Url {
        /// The forge.
        name: String,
        /// The address, without credentials.
        url: Url,
    },
    /// No HTTP client.
    #[error("forge.{name}: {cause}")]
    Client {
        /// The forge.
        name: String,
        /// Why.
        cause: HttpClientError,
    },
}

/// One GitHub server with one login. Cheap to clone; clones share connections and what was learnt.
#[derive(Clone, Debug)]
pub struct GitHub {
    inner: Arc<GitHubInner>,
}

#[derive(Debug)]
struct GitHubInner {
    options: GitHubOptions,
    http: ForgeHttpClient,
    auth: Arc<GitHubAuth>,
}

/// The account with this number.
fn account(number: u64) -> AccountId {
    AccountId::new(number.to_string())
}

impl GitHub {
    /// A client. Sends nothing yet. Tokens and limits end by `clock`.
    ///
    /// # Errors
    /// [`GitHubError`] for addresses and tokens that cannot be sent to or sent.
    pub fn new(options: GitHubOptions, clock: Arc<dyn Clock>) -> Result<Self, GitHubError> {
        Self::with_patience(options, HttpTimeouts::default(), clock)
    }

    /// A client that waits as long as it is told.
    ///
    /// # Errors
    /// As [`GitHub::new`].
    pub fn with_patience(
        options: GitHubOptions,
        patience: HttpTimeouts,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, GitHubError> {
        for url in [&options.api_url, &options.git_url] {
            let right = matches!(url.scheme(), "http" | "https")
                && url.has_host()
                && url.username().is_empty()
                && url.password().is_none();
            if !right {
                let mut url = url.clone();
                // Fails only for addresses that cannot have credentials.
                let _ = url.set_username("");
                let _ = url.set_password(None);
                return Err(GitHubError::Url { name: options.name, url });
            }
        }
        let wrong = |cause| GitHubError::Client { name: options.name.clone(), cause };
        let http = ForgeHttpClient::new(&options.api_url, wire_of(&options.api_url), patience, clock)
            .map_err(wrong)?;
        let auth = GitHubAuth::new(options.api_url.clone(), options.credentials.clone()).map_err(wrong)?;
        Ok(Self { inner: Arc::new(GitHubInner { options, http, auth: Arc::new(auth) }) })
    }

    /// The same, with limits that all processes of this login keep together. To be called before anything is
    /// sent: what was learnt of limits is forgotten.
    #[must_use]
    pub fn sharing(&self, common: Arc<dyn SharedStateStore>) -> Self {
        let GitHubInner { options, http, .. } = &*self.inner;
        let login = match &options.credentials {
            GitHubCredentials::Token(token) => format!("token/{}", token.name()),
            GitHubCredentials::App { id, .. } => format!("app/{id}"),
        };
        self.by(http.sharing(common, &options.api_url, &login))
    }

    /// The same; it makes calls that write by this permit.
    fn with_permit(&self, permit: &Arc<Permit>) -> Self {
        self.by(self.inner.http.with_permit(permit.clone()))
    }

    fn by(&self, http: ForgeHttpClient) -> Self {
        let GitHubInner { options, auth, .. } = &*self.inner;
        Self { inner: Arc::new(GitHubInner { options: options.clone(), http, auth: auth.clone() }) }
    }

    /// The id of the GitHub App that it logs in as, if it does. Only those may create check runs, whatever a
    /// token's permissions are.
    fn app(&self) -> Option<u64> {
        self.inner.auth.app()
    }

    async fn git_remote(&self, scope: TokenScope<'_>, repo: &str) -> Result<Remote, RemoteError> {
        let url = append(&self.inner.options.git_url, format!("{repo}.git").split('/'));
        let by = self.inner.auth.authorization(&self.inner.http, scope).await?;
        let basic = BASE64_STANDARD.encode(format!("x-access-token:{}", by.secret().expose()));
        Ok(Remote::new(url.as_str(), Some(SecretString::new(format!("Basic {basic}"))))?)
    }
}

/// The fields that say where a comment goes. GitHub wants `start_line` for several lines only.
fn placed(what: &str, place: &CodeLocation) -> Result<Value, ForgeError> {
    let side = match place.side {
        DiffSide::Old => "LEFT",
        DiffSide::New => "RIGHT",
    };
    let mut anchor = json!({ "path": path_text(what, &place.path)?, "line": place.end_line, "side": side });
    if place.start_line < place.end_line {
        anchor["start_line"] = place.start_line.into();
        anchor["start_side"] = side.into();
    }
    Ok(anchor)
}

fn path_text<'a>(what: &str, path: &'a RepoPath) -> Result<&'a str, ForgeError> {
    path.as_str().ok_or_else(|| ForgeError::Rejected {
        what: what.to_owned(),
        message: "a path that is not UTF-8 cannot be named to GitHub".to_owned(),
    })
}
