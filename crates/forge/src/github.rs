//! Client for the calls of GitHub's REST and GraphQL APIs that the loops need.
//!
//! [`GitHub`] is one server with one login. [`GitHubClient`] accesses one repository on this server and one
//! of its pull requests, and writes comments for one producer. The client reads from GitHub, and performs
//! effects. No call of the client approves or merges a pull request, changes code, or closes a pull request
//! that another account opened.

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use truing_core::finding::{CodeLocation, DiffSide};
use truing_core::id::{AccountId, TimeSpan};
use truing_core::port::{Clock, ForgeError, SharedStateStore, WritePermit};
use truing_diff::RepoPath;
use truing_git::{Remote, SecretString};
use url::Url;

use crate::body;
use crate::capability::GITHUB;
use crate::http::{ForgeHttpClient, HttpClientError, HttpDialect, HttpTimeouts};
use crate::marker::MarkerKeys;
use crate::remote::{CommitOptions, RemoteError};
use address::append_segments;
use auth::{GitHubAuth, TokenScope};

mod address;
mod auth;
mod checks;
mod client;
mod comment_texts;
mod comments;
mod commits;
mod graphql;
mod id;
mod observed_comments;
mod repositories;
mod repository;
mod server;
mod session;
#[cfg(test)]
mod tests;
mod threads;
pub(crate) mod webhook;
mod wire;

pub use auth::{AppKey, AppKeyError, AppPermission, GitHubAccountKind, GitHubCredentials, loop_permissions};
pub use client::GitHubClient;

/// Context of our commit statuses, and name of our checks.
const STATUS_CONTEXT: &str = "truing/review";
/// Maximum length of the description of a commit status, in characters.
const MAX_STATUS_DESCRIPTION_CHARS: usize = GITHUB.max_status_description_chars;
/// Hosts of GitHub's own service, including all subdomains. Other servers limit the creation of objects only
/// if one of their responses reports such a limit.
const GITHUB_CLOUD_HOSTS: [&str; 2] = ["github.com", "ghe.com"];

/// Returns GitHub's wire format for this server. GitHub's limit on creations also counts objects that people
/// create in the web interface. <https://docs.github.com/en/rest/about-the-rest-api/api-versions>
pub(crate) fn http_dialect(api: &Url) -> HttpDialect {
    let host = api.host_str().unwrap_or_default();
    let is_own = GITHUB_CLOUD_HOSTS
        .iter()
        .any(|own| host.strip_suffix(own).is_some_and(|before| before.is_empty() || before.ends_with('.')));
    HttpDialect {
        accept: "application/vnd.github+json",
        version_header: Some(("x-github-api-version", "2022-11-28")),
        sso_header: Some("x-github-sso"),
        reports_conflicts: false,
        creation_limits: if is_own { GITHUB.creation_limits } else { &[] },
    }
}

/// The address of one server, and our login and settings on that server.
#[derive(Clone, Debug)]
pub struct GitHubOptions {
    /// `NAME` of the configuration section `[forge.NAME]`; every marker contains this name.
    pub name: String,
    /// Root of the REST API: `https://api.github.com`, or `https://HOST/api/v3`.
    pub api_url: Url,
    /// Root of git over HTTP: `https://github.com`.
    pub git_url: Url,
    /// Credentials to log in with.
    pub credentials: GitHubCredentials,
    /// Our former accounts, each given as a name or an id. A name can later belong to another account; an id
    /// cannot.
    pub previous_accounts: Vec<String>,
    /// Accounts whose commands count while the login may not read who has write access.
    pub command_accounts: Vec<AccountId>,
    /// Keys that sign the markers.
    pub marker_keys: MarkerKeys,
    /// Time for which a new comment may stay invisible if the response to its creation was lost.
    pub settle_delay: TimeSpan,
    pub commits: CommitOptions,
}

/// The error for options from which no client can be built.
#[derive(Debug, thiserror::Error)]
pub enum GitHubError {
    /// An address that requests cannot be sent to.
    #[error("forge.{name}: {url} must be an http or https address, without user name and password")]
    Url {
        /// Name of the forge in the configuration.
        name: String,
        /// Address of the server, without credentials.
        url: Url,
    },
    /// The HTTP client could not be built.
    #[error("forge.{name}: {cause}")]
    Client {
        /// Name of the forge in the configuration.
        name: String,
        cause: HttpClientError,
    },
}

/// One GitHub server with one login. Cheap to clone; clones share connections and cached facts.
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

/// Converts the number of an account to its id.
fn account_id(number: u64) -> AccountId {
    AccountId::new(number.to_string())
}

impl GitHub {
    /// Builds a client. Sends no request. `clock` determines when tokens and rate limits expire.
    ///
    /// # Errors
    /// [`GitHubError`] for an invalid address, or a token that cannot be sent.
    pub fn new(options: GitHubOptions, clock: Arc<dyn Clock>) -> Result<Self, GitHubError> {
        Self::with_timeouts(options, HttpTimeouts::default(), clock)
    }

    /// Builds a client with the timeouts in `timeouts`.
    ///
    /// # Errors
    /// As [`GitHub::new`].
    pub fn with_timeouts(
        options: GitHubOptions,
        timeouts: HttpTimeouts,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, GitHubError> {
        for url in [&options.api_url, &options.git_url] {
            let right = matches!(url.scheme(), "http" | "https")
                && url.has_host()
                && url.username().is_empty()
                && url.password().is_none();
            if !right {
                let mut url = url.clone();
                // `set_username` and `set_password` fail only for an address that cannot contain credentials,
                // so their errors are ignored.
                let _ = url.set_username("");
                let _ = url.set_password(None);
                return Err(GitHubError::Url { name: options.name, url });
            }
        }
        let wrong = |cause| GitHubError::Client { name: options.name.clone(), cause };
        let http = ForgeHttpClient::new(&options.api_url, http_dialect(&options.api_url), timeouts, clock)
            .map_err(wrong)?;
        let auth = GitHubAuth::new(options.api_url.clone(), options.credentials.clone()).map_err(wrong)?;
        Ok(Self { inner: Arc::new(GitHubInner { options, http, auth: Arc::new(auth) }) })
    }

    /// Returns a client whose rate limits are shared by all processes with this login. Call this function
    /// before the first request: the returned client does not have the limits that this client has recorded.
    #[must_use]
    pub fn with_shared_limits(&self, shared_state: Arc<dyn SharedStateStore>) -> Self {
        let GitHubInner { options, http, .. } = &*self.inner;
        let login = match &options.credentials {
            GitHubCredentials::Token(token) => format!("token/{}", token.public_fingerprint()),
            GitHubCredentials::App { id, .. } => format!("app/{id}"),
        };
        self.with_http(http.with_shared_limits(shared_state, &options.api_url, &login))
    }

    /// Returns a copy of the client that checks this permit before each write call.
    fn with_permit(&self, permit: &Arc<WritePermit>) -> Self {
        self.with_http(self.inner.http.with_permit(permit.clone()))
    }

    fn with_http(&self, http: ForgeHttpClient) -> Self {
        let GitHubInner { options, auth, .. } = &*self.inner;
        Self { inner: Arc::new(GitHubInner { options: options.clone(), http, auth: auth.clone() }) }
    }

    /// Returns the id of the GitHub App that the client logs in as; `None` if the login is not an App. Only
    /// Apps can create check runs; other logins cannot, even with every permission.
    fn app_id(&self) -> Option<u64> {
        self.inner.auth.app_id()
    }

    async fn git_remote(&self, scope: TokenScope<'_>, repo: &str) -> Result<Remote, RemoteError> {
        let url = append_segments(&self.inner.options.git_url, format!("{repo}.git").split('/'));
        let by = self.inner.auth.authorization(&self.inner.http, scope).await?;
        let basic = BASE64_STANDARD.encode(format!("x-access-token:{}", by.secret().expose()));
        Ok(Remote::new(url.as_str(), Some(SecretString::new(format!("Basic {basic}"))))?)
    }
}

/// Returns the JSON fields for the location of a comment on the diff. GitHub accepts `start_line` only if the
/// comment covers several lines.
fn location_fields(purpose: &str, location: &CodeLocation) -> Result<Value, ForgeError> {
    let side = match location.side {
        DiffSide::Old => "LEFT",
        DiffSide::New => "RIGHT",
    };
    let mut anchor =
        json!({ "path": path_text(purpose, &location.path)?, "line": location.end_line, "side": side });
    if location.start_line < location.end_line {
        anchor["start_line"] = location.start_line.into();
        anchor["start_side"] = side.into();
    }
    Ok(anchor)
}

fn path_text<'a>(purpose: &str, path: &'a RepoPath) -> Result<&'a str, ForgeError> {
    path.as_str().ok_or_else(|| ForgeError::Rejected {
        request: purpose.to_owned(),
        message: "GitHub does not accept a path that is not UTF-8".to_owned(),
    })
}
