//! Bitbucket Data Center (ADR 78): one server with one login.

mod anchor;
mod calls;
mod read;
mod server;
mod status;
mod version;
pub(crate) mod webhook;
mod wire;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use serde::de::DeserializeOwned;
use tokio::sync::OnceCell;
use truing_core::port::{Clock, ForgeError, SharedStateStore};
use url::Url;

use super::address::{append_segments, insert_bounded, split_repository_name, with_query};
use super::bounds::{MAX_PAGES, too_many_pages_error};
use super::login::{OwnAccount, build_client};
use super::options::{BitbucketOptions, BitbucketOptionsError};
use crate::capability::BITBUCKET_DC;
use crate::http::{ForgeHttpClient, ForgeRequest, ForgeResponse, HttpTimeouts, RequestAuthorization};
use anchor::PullDiff;
use version::{ACCOUNT_NAME_HEADER, DataCenterVersion};

/// One Bitbucket Data Center with one login. Cloning is cheap; clones share connections and cached data.
#[derive(Clone, Debug)]
pub struct BitbucketDataCenter {
    inner: Arc<DataCenterInner>,
}

#[derive(Debug)]
struct DataCenterInner {
    options: BitbucketOptions,
    http: ForgeHttpClient,
    authorization: RequestAuthorization,
    cache: Arc<DataCenterCache>,
    /// Cached diff of the pull request of the latest comment. One diff is sufficient, because each run has
    /// its own client.
    diff: Arc<CachedPullDiff>,
}

/// The number of a pull request and its diff.
type CachedPullDiff = Mutex<Option<(u64, Arc<PullDiff>)>>;

/// The data that all clones share.
#[derive(Debug)]
struct DataCenterCache {
    own_account: OnceCell<OwnAccount>,
    version: OnceLock<DataCenterVersion>,
    /// Names of repositories by id.
    repository_names: Mutex<HashMap<String, String>>,
}

impl BitbucketDataCenter {
    /// Builds a client. Sends no request.
    ///
    /// # Errors
    /// [`BitbucketOptionsError`] for an invalid address, or a token that cannot be sent.
    pub fn new(options: BitbucketOptions, clock: Arc<dyn Clock>) -> Result<Self, BitbucketOptionsError> {
        Self::with_timeouts(options, HttpTimeouts::default(), clock)
    }

    /// Builds a client with these limits for waiting times.
    ///
    /// # Errors
    /// As [`BitbucketDataCenter::new`].
    pub fn with_timeouts(
        options: BitbucketOptions,
        timeouts: HttpTimeouts,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, BitbucketOptionsError> {
        let (http, login) = build_client(&options, timeouts, clock)?;
        let learnt = DataCenterCache {
            own_account: OnceCell::new(),
            version: OnceLock::new(),
            repository_names: Mutex::default(),
        };
        Ok(Self {
            inner: Arc::new(DataCenterInner {
                options,
                http,
                authorization: login,
                cache: Arc::new(learnt),
                diff: Arc::default(),
            }),
        })
    }

    fn with_http(&self, http: ForgeHttpClient) -> Self {
        let DataCenterInner { options, authorization: login, cache: learnt, .. } = &*self.inner;
        let (options, login, learnt) = (options.clone(), login.clone(), learnt.clone());
        Self {
            inner: Arc::new(DataCenterInner {
                options,
                http,
                authorization: login,
                cache: learnt,
                diff: Arc::default(),
            }),
        }
    }

    /// Returns a client whose rate limits are shared by all processes with this login. Call this function
    /// before the first request, because the limits that were recorded so far are discarded.
    #[must_use]
    pub fn with_shared_rate_limits(&self, shared_state: Arc<dyn SharedStateStore>) -> Self {
        let DataCenterInner { options, http, .. } = &*self.inner;
        let login = format!("token/{}", options.token.public_fingerprint());
        self.with_http(http.with_shared_limits(shared_state, &options.api_url, &login))
    }

    /// Sends a request. Data Center responds with 401 if the token is invalid, but also if a permission is
    /// missing. After a 401, a second request checks whether the token is valid.
    async fn send(&self, call: &ForgeRequest) -> Result<ForgeResponse, ForgeError> {
        let DataCenterInner { http, authorization: login, .. } = &*self.inner;
        match http.send(login, call).await {
            Err(ForgeError::Unauthorized { request }) if self.is_token_valid().await => {
                Err(forbidden_error(request, "status 401, although the token is valid", call))
            }
            Err(ForgeError::Forbidden { request, message }) => Err(forbidden_error(request, &message, call)),
            sent => sent,
        }
    }

    /// Returns true if the server knows the token. In this case, the response to a request for the server's
    /// version contains the account name. Every caller gets the version, but only a caller that is logged in
    /// gets the account name.
    async fn is_token_valid(&self) -> bool {
        let DataCenterInner { http, authorization: login, .. } = &*self.inner;
        let call =
            ForgeRequest::get("checking whether the token is valid", self.application_properties_url());
        let answer = http.send(login, &call).await;
        answer.is_ok_and(|answer| answer.header(ACCOUNT_NAME_HEADER).is_some_and(|name| !name.is_empty()))
    }

    /// Returns the address at which the server reports its version.
    fn application_properties_url(&self) -> Url {
        self.root_url(["api", "latest", "application-properties"])
    }

    async fn get<T: DeserializeOwned>(&self, purpose: &str, url: Url) -> Result<T, ForgeError> {
        self.send(&ForgeRequest::get(purpose, url)).await?.json()
    }

    /// Reads all items of a list. A page may be shorter than requested, so each response contains the start
    /// of the next page.
    async fn get_all<T: DeserializeOwned + Send>(
        &self,
        purpose: &str,
        list_url: Url,
    ) -> Result<Vec<T>, ForgeError> {
        let mut all = Vec::new();
        let mut add_page = |answer: &ForgeResponse| {
            let page: wire::DataCenterPage<T> = answer.json()?;
            let next = page.next_start();
            all.extend(page.values);
            Ok(next)
        };
        self.read_pages(purpose, &list_url, &mut add_page).await?;
        Ok(all)
    }

    /// Passes each page of a list to `add_page`, which returns the start of the next page.
    async fn read_pages(
        &self,
        purpose: &str,
        list_url: &Url,
        add_page: &mut (dyn FnMut(&ForgeResponse) -> Result<Option<u64>, ForgeError> + Send),
    ) -> Result<(), ForgeError> {
        let mut start = 0;
        for _ in 0..MAX_PAGES {
            let answer = self.send(&ForgeRequest::get(purpose, list_page_url(list_url, start))).await?;
            match add_page(&answer)? {
                None => return Ok(()),
                Some(next) if next <= start => {
                    return Err(too_many_pages_error(purpose, MAX_PAGES));
                }
                Some(next) => start = next,
            }
        }
        Err(too_many_pages_error(purpose, MAX_PAGES))
    }

    /// Returns an address below the root of the server.
    fn root_url<'a>(&self, path_segments: impl IntoIterator<Item = &'a str>) -> Url {
        append_segments(&self.inner.options.api_url, ["rest"].into_iter().chain(path_segments))
    }

    /// Returns an address below a repository's address, in one of the server's APIs.
    fn repository_api_url(
        &self,
        purpose: &str,
        api: &str,
        repo: &str,
        path_segments: &[&str],
    ) -> Result<Url, ForgeError> {
        let (key, slug) = split_repository_name(purpose, repo)?;
        let path = [api, "latest", "projects", key, "repos", slug];
        Ok(self.root_url(path.into_iter().chain(path_segments.iter().copied())))
    }

    /// Returns an address below a repository's address in the main API.
    fn repository_url(&self, purpose: &str, repo: &str, path_segments: &[&str]) -> Result<Url, ForgeError> {
        self.repository_api_url(purpose, "api", repo, path_segments)
    }

    /// Returns an address below a pull request's address.
    fn pull_url(
        &self,
        purpose: &str,
        repo: &str,
        number: u64,
        path_segments: &[&str],
    ) -> Result<Url, ForgeError> {
        let number = number.to_string();
        let path: Vec<&str> =
            ["pull-requests", &number].into_iter().chain(path_segments.iter().copied()).collect();
        self.repository_url(purpose, repo, &path)
    }

    /// Returns the address of a pull request's web page.
    fn pull_page_url(&self, purpose: &str, repo: &str, number: u64) -> Result<Url, ForgeError> {
        let (key, slug) = split_repository_name(purpose, repo)?;
        let path = ["projects", key, "repos", slug, "pull-requests", &number.to_string()];
        Ok(append_segments(&self.inner.options.api_url, path))
    }

    fn cache_repository_name(&self, id: &str, name: &str) {
        let mut names = self.inner.cache.repository_names.lock().unwrap_or_else(PoisonError::into_inner);
        insert_bounded(&mut names, id.to_owned(), name.to_owned());
    }

    fn cached_repository_name(&self, id: &str) -> Option<String> {
        self.inner.cache.repository_names.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }
}

/// Returns the error for a forbidden call. The message names the permission that the call requires, because
/// the server's response does not contain it.
fn forbidden_error(request: String, message: &str, call: &ForgeRequest) -> ForgeError {
    let permission = required_permission(call.method.as_str(), call.url.path());
    let message = format!("{message} (the call requires the permission {permission})");
    ForgeError::Forbidden { request, message }
}

/// Returns the permission that an HTTP access token needs for a call. The file
/// crates/contract/data/bitbucket-dc-permissions.toml gives the source of each permission. Any permission is
/// sufficient to read accounts and lists, and each token has at least one permission.
pub(super) fn required_permission(method: &str, path: &str) -> &'static str {
    let parent = path.rsplit('/').nth(1).unwrap_or_default();
    let changes = (method == "PUT" && parent == "pull-requests")
        || (method == "POST" && path.ends_with("/participants"));
    if path.ends_with("/restrictions") {
        "REPO_ADMIN"
    } else if changes {
        "REPO_WRITE"
    } else {
        "REPO_READ"
    }
}

/// Returns the address of the list page that begins at this item, with the maximum page size.
fn list_page_url(list_url: &Url, start: u64) -> Url {
    let (start, limit) = (start.to_string(), BITBUCKET_DC.max_page_size.to_string());
    with_query(list_url.clone(), &[("start", &start), ("limit", &limit)])
}
