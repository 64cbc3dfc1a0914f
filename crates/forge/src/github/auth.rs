//! Our login at GitHub: a configured token or a GitHub App. An App requests a token for each repository. A
//! token is valid for one hour and has only the permissions that the loop needs.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::sync::Mutex as AsyncMutex;
use truing_core::id::{PrId, TimeSpan, UnixMillis};
use truing_core::port::ForgeError;
use truing_core::slot::LoopKind;
use truing_git::SecretString;
use url::Url;

use super::address::{append_segments, is_repository_name};
use super::wire;
use crate::http::{
    ForgeHttpClient, ForgeRequest, ForgeResponse, HttpClientError, RateLimitOwner, RequestAuthorization,
    unavailable_error,
};

mod accounts;
mod key;
mod permissions;
mod refusals;
#[cfg(test)]
mod tests;

pub use accounts::GitHubAccountKind;
pub(super) use accounts::GitHubAccounts;
pub use key::{AppKey, AppKeyError};
pub use permissions::{AppPermission, loop_permissions};
pub(super) use refusals::{KnownRefusals, OptionalWrite};

/// A token is replaced if it expires within this time. This margin lets a task that starts with a token
/// finish before the token expires.
const RENEWAL_MARGIN: TimeSpan = TimeSpan::minutes(10);
/// Maximum number of cached tokens, and maximum number of cached repository ids. When the tokens reach the
/// maximum, expired tokens that no caller uses are dropped. When the ids reach the maximum, all ids are
/// dropped.
const MAX_CACHE_ENTRIES: usize = 1024;

/// The credentials to log in with.
#[derive(Clone, Debug)]
pub enum GitHubCredentials {
    /// A token of a person (fine-grained or classic), or of an installation, such as the token that GitHub
    /// Actions issues.
    Token(SecretString),
    /// A GitHub App with its private key.
    App {
        /// Number of the App, which the App's settings page shows.
        id: u64,
        /// Private key of the App.
        key: AppKey,
    },
}

/// The repository or other object that a call accesses. The token of the call is valid only for this object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum TokenScope<'a> {
    /// The repository with this name.
    RepositoryName(&'a str),
    /// The repository with this id.
    RepositoryId(&'a str),
    /// The repository with this id and this last known name.
    Repository(&'a str, &'a str),
    /// The repository with this id and name, for a push.
    RepositoryPush(&'a str, &'a str),
    /// The repository with this id and name, for changes that require write access: changing the draft state
    /// of a pull request, and resolving or reopening threads.
    RepositoryWrite(&'a str, &'a str),
    /// The list of repositories of the installation with this number.
    Installation(u64),
    /// The App itself, not an installation.
    App,
}

impl<'a> TokenScope<'a> {
    pub(super) fn for_pull(id: &'a PrId, repo: &'a str) -> Self {
        Self::Repository(&id.repository, repo)
    }

    /// Returns a description of the scope for people.
    fn describe(self) -> String {
        match self {
            Self::RepositoryName(name)
            | Self::Repository(_, name)
            | Self::RepositoryPush(_, name)
            | Self::RepositoryWrite(_, name) => name.to_owned(),
            Self::RepositoryId(id) => format!("repository {id}"),
            Self::Installation(id) => format!("installation {id}"),
            Self::App => "the App".to_owned(),
        }
    }
}

/// The account that the login belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct GitHubIdentity {
    pub(super) id: u64,
    /// True for an installation of a GitHub App, which is not a person.
    pub(super) is_installation: bool,
}

/// Selects the credential of each call, and requests the tokens of an App.
pub(super) struct GitHubAuth {
    api: Url,
    auth_method: GitHubAuthMethod,
    tokens: Mutex<TokenCache>,
    /// Our own account; empty until GitHub has returned the account.
    identity: tokio::sync::OnceCell<GitHubIdentity>,
    /// Optional writes that GitHub is known to reject. A review continues without these writes.
    pub(super) refusals: KnownRefusals,
}

enum GitHubAuthMethod {
    Token(RequestAuthorization),
    App { id: u64, key: AppKey },
}

#[derive(Default)]
struct TokenCache {
    /// Cached tokens. For each purpose, only one caller at a time requests a token; the other callers wait
    /// for that token.
    tokens: HashMap<TokenCacheKey, Arc<AsyncMutex<Option<CachedToken>>>>,
    /// Ids of the repositories for which a token was requested by name. The key is the name in lower case.
    repository_ids: HashMap<String, String>,
}

/// The repository or installation that a cached token is for, and whether the token is for a push or another
/// change.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum TokenCacheKey {
    RepositoryName(String),
    RepositoryId(String),
    RepositoryPush(String),
    RepositoryWrite(String),
    Installation(u64),
}

#[derive(Clone)]
struct CachedToken {
    authorization: RequestAuthorization,
    /// Time at which to replace the token, by our own clock.
    renew_at: UnixMillis,
}

#[derive(Deserialize)]
struct AppInstallation {
    id: u64,
    #[serde(default)]
    permissions: HashMap<String, String>,
}

#[derive(Deserialize)]
struct MintedToken {
    token: String,
    expires_at: String,
    #[serde(default)]
    repositories: Vec<wire::GitHubRepositoryId>,
}

impl fmt::Debug for GitHubAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("GitHubAuth");
        match &self.auth_method {
            GitHubAuthMethod::Token(_) => shown.field("login", &"a token"),
            GitHubAuthMethod::App { id, .. } => shown.field("app", id),
        };
        shown.finish_non_exhaustive()
    }
}

impl GitHubAuth {
    pub(super) fn new(api: Url, credentials: GitHubCredentials) -> Result<Self, HttpClientError> {
        let login = match credentials {
            GitHubCredentials::Token(token) => {
                GitHubAuthMethod::Token(RequestAuthorization::bearer(token, RateLimitOwner::Token)?)
            }
            GitHubCredentials::App { id, key } => GitHubAuthMethod::App { id, key },
        };
        let (identity, refusals) = (tokio::sync::OnceCell::new(), KnownRefusals::default());
        Ok(Self { api, auth_method: login, tokens: Mutex::default(), identity, refusals })
    }

    pub(super) fn is_app(&self) -> bool {
        self.app_id().is_some()
    }

    /// Returns the id of the App that the client logs in as; `None` if the login is a configured token.
    pub(super) fn app_id(&self) -> Option<u64> {
        match &self.auth_method {
            GitHubAuthMethod::App { id, .. } => Some(*id),
            GitHubAuthMethod::Token(_) => None,
        }
    }

    /// Returns true if our own account is already known.
    pub(super) fn is_identity_known(&self) -> bool {
        self.identity.initialized()
    }

    /// Returns the authorization for a call of this scope.
    pub(super) async fn authorization(
        &self,
        http: &ForgeHttpClient,
        scope: TokenScope<'_>,
    ) -> Result<RequestAuthorization, ForgeError> {
        let Some(holder) = self.token_purpose(scope) else { return self.authorize_as_app(http.now()) };
        let cell = self.token_cell(&holder, http.now());
        let mut held = cell.lock().await;
        if let Some(held) = held.as_ref().filter(|held| http.now() < held.renew_at) {
            return Ok(held.authorization.clone());
        }
        let (fresh, repository) = self.request_token(http, scope).await?;
        if let (TokenScope::RepositoryName(name) | TokenScope::Repository(_, name), Some(repository)) =
            (scope, repository)
        {
            self.cache_repository_id(name, &holder, &repository, &fresh);
        }
        Ok(held.insert(fresh).authorization.clone())
    }

    /// Drops a token that the forge no longer accepts. Returns true if a retry gets another token.
    pub(super) async fn discard(
        &self,
        http: &ForgeHttpClient,
        scope: TokenScope<'_>,
        rejected_authorization: &RequestAuthorization,
    ) -> bool {
        let Some(holder) = self.token_purpose(scope) else { return false };
        let cell = self.token_cell(&holder, http.now());
        let mut held = cell.lock().await;
        // Another caller whose call was rejected may already have replaced the token. Only the rejected token
        // is dropped.
        if held.as_ref().is_some_and(|held| held.authorization.secret() == rejected_authorization.secret()) {
            *held = None;
        }
        true
    }

    /// Returns the purpose of the token for a call of this scope; `None` for the App itself, and if a single
    /// token is configured.
    fn token_purpose(&self, scope: TokenScope<'_>) -> Option<TokenCacheKey> {
        if !self.is_app() {
            return None;
        }
        Some(match scope {
            TokenScope::App => return None,
            TokenScope::Installation(installation) => TokenCacheKey::Installation(installation),
            TokenScope::RepositoryId(id) | TokenScope::Repository(id, _) => {
                TokenCacheKey::RepositoryId(id.to_owned())
            }
            TokenScope::RepositoryPush(id, _) => TokenCacheKey::RepositoryPush(id.to_owned()),
            TokenScope::RepositoryWrite(id, _) => TokenCacheKey::RepositoryWrite(id.to_owned()),
            TokenScope::RepositoryName(name) => {
                let name = name.to_lowercase();
                let id = self.tokens().repository_ids.get(&name).cloned();
                id.map_or(TokenCacheKey::RepositoryName(name), TokenCacheKey::RepositoryId)
            }
        })
    }

    /// Drops the cached id of a repository name that GitHub did not find, because the name may now belong to
    /// another repository.
    pub(super) fn drop_cached_repository_id(&self, scope: TokenScope<'_>) {
        if let TokenScope::RepositoryName(name) = scope {
            self.tokens().repository_ids.remove(&name.to_lowercase());
        }
    }

    /// Returns the configured token. For an App, returns a login as the App itself, which is valid for a few
    /// minutes.
    fn authorize_as_app(&self, now: UnixMillis) -> Result<RequestAuthorization, ForgeError> {
        let (id, key) = match &self.auth_method {
            GitHubAuthMethod::Token(token) => return Ok(token.clone()),
            GitHubAuthMethod::App { id, key } => (id, key),
        };
        let failed = |error: &dyn fmt::Display| {
            unavailable_error(&format!("logging in as GitHub App {id}"), &error.to_string())
        };
        let login = key.sign_jwt(*id, now).map_err(|error| failed(&error))?;
        RequestAuthorization::bearer(login, RateLimitOwner::App).map_err(|error| failed(&error))
    }

    /// Sends a call as the App itself.
    pub(super) async fn send_as_app(
        &self,
        http: &ForgeHttpClient,
        call: ForgeRequest,
    ) -> Result<ForgeResponse, ForgeError> {
        let by = self.authorize_as_app(http.now())?;
        http.send(&by, &call).await.map_err(|error| {
            let ForgeError::Unauthorized { request } = error else { return error };
            let request = format!(
                "{request} (do app_id and private_key belong to the same App, and is this machine's clock \
                    right?)"
            );
            ForgeError::Unauthorized { request }
        })
    }

    /// Requests a new token. Returns the token, and the id of the repository if the token is for exactly one
    /// repository.
    async fn request_token(
        &self,
        http: &ForgeHttpClient,
        scope: TokenScope<'_>,
    ) -> Result<(CachedToken, Option<String>), ForgeError> {
        let request = format!("{}: getting a token as GitHub App", scope.describe());
        let AppInstallation { id: installation, permissions: granted } =
            self.find_installation(http, &request, scope).await?;
        let mut body = Map::new();
        let narrow = match scope {
            TokenScope::RepositoryName(name) => {
                body.insert("repositories".into(), json!([name.rsplit('/').next().unwrap_or_default()]));
                loop_permissions(LoopKind::Review)
            }
            TokenScope::RepositoryId(id) | TokenScope::Repository(id, _) => {
                body.insert("repository_ids".into(), json!([parse_repository_id(&request, id)?]));
                loop_permissions(LoopKind::Review)
            }
            TokenScope::RepositoryPush(id, _) => {
                body.insert("repository_ids".into(), json!([parse_repository_id(&request, id)?]));
                permissions::PUSH_PERMISSIONS
            }
            TokenScope::RepositoryWrite(id, _) => {
                body.insert("repository_ids".into(), json!([parse_repository_id(&request, id)?]));
                permissions::STATE_CHANGE_PERMISSIONS
            }
            TokenScope::Installation(_) | TokenScope::App => permissions::REPOSITORY_LIST_PERMISSIONS,
        };
        let narrow = permissions::select_granted(narrow, &granted).map_err(|lacking| {
            let message = format!(
                "the App lacks the permission {lacking}: add this permission in the App's settings, and \
                    accept the new permission in each account where the App is installed"
            );
            ForgeError::Forbidden { request: request.clone(), message }
        })?;
        let wanted: Map<String, Value> =
            narrow.iter().map(|(name, level)| ((*name).to_owned(), (*level).into())).collect();
        body.insert("permissions".into(), wanted.into());

        let tail = ["app", "installations", &installation.to_string(), "access_tokens"];
        // The call may be retried: a retry can create a second token, but an unused token does no harm.
        let url = append_segments(&self.api, tail);
        let call = ForgeRequest::query(request.as_str(), url, body.into());
        let answer = self.send_as_app(http, call).await.map_err(|error| {
            // GitHub rejected the requested scope: the App lacks a permission, or the repository was removed
            // from the installation.
            let ForgeError::Rejected { request, message } = error else { return error };
            let all: Vec<String> = narrow.iter().map(|(name, level)| format!("{name}: {level}")).collect();
            ForgeError::Forbidden {
                request,
                message: format!("{message} (the App needs {})", all.join(", ")),
            }
        })?;
        let minted: MintedToken = answer.secret_json()?;
        let expires = wire::parse_instant(&request, &minted.expires_at)?;
        let now = http.now();
        // The remaining lifetime is computed with the forge's own clock, so an error of our clock does no
        // harm.
        let lasts = expires - answer.date().unwrap_or(now);
        let authorization = RequestAuthorization::bearer(
            SecretString::new(minted.token),
            RateLimitOwner::Installation(installation),
        )
        .map_err(|error| unavailable_error(&request, &error.to_string()))?;
        let held =
            CachedToken { authorization, renew_at: now + TimeSpan(lasts.0.saturating_sub(RENEWAL_MARGIN.0)) };
        let repository = match minted.repositories.as_slice() {
            [one] => Some(one.id.to_string()),
            _ => None,
        };
        if let Some(repository) = repository.as_ref().filter(|_| !granted.is_empty()) {
            for (extra, needs) in permissions::OPTIONAL_WRITE_PERMISSIONS {
                if needs.iter().all(|need| permissions::is_granted(need, &granted)) {
                    self.refusals.record_success(repository, *extra);
                } else {
                    self.refusals.record_permission(repository, *extra, false, now);
                }
            }
        }
        Ok((held, repository))
    }

    /// Finds the App's installation for this scope.
    async fn find_installation(
        &self,
        http: &ForgeHttpClient,
        purpose: &str,
        scope: TokenScope<'_>,
    ) -> Result<AppInstallation, ForgeError> {
        let url = match scope {
            TokenScope::Installation(id) => return Ok(AppInstallation { id, permissions: HashMap::new() }),
            TokenScope::App => {
                return Err(unavailable_error(purpose, "the App itself has no token"));
            }
            TokenScope::RepositoryId(id) => append_segments(&self.api, ["repositories", id, "installation"]),
            TokenScope::RepositoryName(name)
            | TokenScope::Repository(_, name)
            | TokenScope::RepositoryPush(_, name)
            | TokenScope::RepositoryWrite(_, name) => match name.split_once('/') {
                Some((owner, repo)) if is_repository_name(name) => {
                    append_segments(&self.api, ["repos", owner, repo, "installation"])
                }
                Some(_) | None => {
                    let message = "the repository's name does not have the form `owner/name`".to_owned();
                    return Err(ForgeError::Rejected { request: purpose.to_owned(), message });
                }
            },
        };
        let call = ForgeRequest::get(format!("{purpose} (is the App installed for this repository?)"), url);
        self.send_as_app(http, call).await?.json()
    }

    /// Caches the id of the repository with this name, and caches the token for later calls that name the
    /// repository by id.
    fn cache_repository_id(
        &self,
        name: &str,
        token_key: &TokenCacheKey,
        repository_id: &str,
        token: &CachedToken,
    ) {
        let by_id = TokenCacheKey::RepositoryId(repository_id.to_owned());
        let mut tokens = self.tokens();
        if tokens.repository_ids.len() >= MAX_CACHE_ENTRIES {
            tokens.repository_ids.clear();
        }
        tokens.repository_ids.insert(name.to_lowercase(), repository_id.to_owned());
        if *token_key != by_id {
            tokens.tokens.remove(token_key);
            let cell = Arc::new(AsyncMutex::new(Some(token.clone())));
            tokens.tokens.entry(by_id).or_insert(cell);
        }
    }

    fn token_cell(&self, token_key: &TokenCacheKey, now: UnixMillis) -> Arc<AsyncMutex<Option<CachedToken>>> {
        let mut tokens = self.tokens();
        if tokens.tokens.len() >= MAX_CACHE_ENTRIES {
            // A cell with more than one reference is in use: a caller has locked the cell or waits for its
            // token.
            tokens.tokens.retain(|_, cell| {
                Arc::strong_count(cell) > 1
                    || cell.try_lock().is_ok_and(|held| held.as_ref().is_some_and(|held| now < held.renew_at))
            });
        }
        tokens.tokens.entry(token_key.clone()).or_default().clone()
    }

    fn tokens(&self) -> MutexGuard<'_, TokenCache> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Parses the numeric id of a repository.
fn parse_repository_id(purpose: &str, id: &str) -> Result<u64, ForgeError> {
    id.parse().map_err(|_| {
        let message = "the repository id is not a number, so it is not from this forge".to_owned();
        ForgeError::Rejected { request: purpose.to_owned(), message }
    })
}
