//! Bitbucket Cloud (ADR 78): one server with one login.

mod calls;
mod hash;
mod read;
mod reviewers;
mod server;
mod status;
pub(crate) mod webhook;
mod wire;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use serde::de::DeserializeOwned;
use tokio::sync::OnceCell;
use truing_core::id::{AccountId, Sha};
use truing_core::port::{Clock, ForgeError, SharedStateStore};
use url::Url;

use super::address::{append_segments, insert_bounded, split_repository_name};
use super::bounds::{MAX_PAGES, too_many_pages_error};
use super::login::{OwnAccount, build_client};
use super::options::{BitbucketOptions, BitbucketOptionsError};
use crate::http::{ForgeHttpClient, ForgeRequest, ForgeResponse, HttpTimeouts, RequestAuthorization};

/// Bitbucket Cloud with one login. Cloning is cheap; clones share connections and cached data.
#[derive(Clone, Debug)]
pub struct BitbucketCloud {
    inner: Arc<CloudInner>,
}

#[derive(Debug)]
struct CloudInner {
    options: BitbucketOptions,
    http: ForgeHttpClient,
    authorization: RequestAuthorization,
    cache: Arc<CloudCache>,
}

/// The data that all clones share.
#[derive(Debug, Default)]
struct CloudCache {
    own_account: OnceCell<OwnAccount>,
    /// Account to which the token belongs; set only if it differs from the configured account.
    token_account: OnceLock<AccountId>,
    /// Cache of full hashes, by repository and abbreviated hash.
    full_hashes: Mutex<HashMap<String, Sha>>,
}

impl BitbucketCloud {
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
    /// As [`BitbucketCloud::new`].
    pub fn with_timeouts(
        options: BitbucketOptions,
        timeouts: HttpTimeouts,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, BitbucketOptionsError> {
        let (http, login) = build_client(&options, timeouts, clock)?;
        Ok(Self {
            inner: Arc::new(CloudInner { options, http, authorization: login, cache: Arc::default() }),
        })
    }

    fn with_http(&self, http: ForgeHttpClient) -> Self {
        let CloudInner { options, authorization: login, cache: learnt, .. } = &*self.inner;
        let (options, login, learnt) = (options.clone(), login.clone(), learnt.clone());
        Self { inner: Arc::new(CloudInner { options, http, authorization: login, cache: learnt }) }
    }

    /// Returns a client whose rate limits are shared by all processes with this login. Call this function
    /// before the first request, because the limits that were recorded so far are discarded.
    #[must_use]
    pub fn with_shared_rate_limits(&self, shared_state: Arc<dyn SharedStateStore>) -> Self {
        let CloudInner { options, http, .. } = &*self.inner;
        let login = format!("token/{}", options.token.public_fingerprint());
        self.with_http(http.with_shared_limits(shared_state, &options.api_url, &login))
    }

    async fn send(&self, call: &ForgeRequest) -> Result<ForgeResponse, ForgeError> {
        self.inner.http.send(&self.inner.authorization, call).await
    }

    async fn send_owned(&self, call: ForgeRequest) -> Result<ForgeResponse, ForgeError> {
        self.send(&call).await
    }

    async fn get<T: DeserializeOwned>(&self, purpose: &str, url: Url) -> Result<T, ForgeError> {
        self.send(&ForgeRequest::get(purpose, url)).await?.json()
    }

    /// Adds advice to the error of a request that an access token may not make. The new message names the
    /// configuration key that replaces the request.
    fn add_access_token_advice(&self, error: ForgeError, key: &str, value: &str) -> ForgeError {
        let options = &self.inner.options;
        if options.email.is_some() {
            return error;
        }
        let ForgeError::Forbidden { request, message } = error else { return error };
        let name = &options.name;
        let message =
            format!("{message}; if the token is an access token, set forge.{name}.{key} to {value}");
        ForgeError::Forbidden { request, message }
    }

    /// Reads all items of a list. Each response gives the address of the next page, which must be on the same
    /// host.
    async fn get_all<T: DeserializeOwned + Send>(
        &self,
        purpose: &str,
        first_url: Url,
    ) -> Result<Vec<T>, ForgeError> {
        let mut all = Vec::new();
        let mut add_page = |answer: &ForgeResponse| {
            let (items, next) = parse_page(answer)?;
            all.extend::<Vec<T>>(items);
            Ok(next)
        };
        self.read_pages(purpose, first_url, &mut add_page).await?;
        Ok(all)
    }

    /// Passes each page of a list to `add_page`, which returns the address of the next page.
    async fn read_pages(
        &self,
        purpose: &str,
        first_url: Url,
        add_page: &mut (dyn FnMut(&ForgeResponse) -> Result<Option<Url>, ForgeError> + Send),
    ) -> Result<(), ForgeError> {
        let (mut url, mut seen) = (first_url, Vec::new());
        loop {
            let answer = self.send(&ForgeRequest::get(purpose, url.clone())).await?;
            let next = add_page(&answer)?;
            seen.push(url);
            match next {
                None => return Ok(()),
                Some(next) if seen.len() == MAX_PAGES || seen.contains(&next) => {
                    return Err(too_many_pages_error(purpose, MAX_PAGES));
                }
                Some(next) => url = next,
            }
        }
    }

    /// Returns an address below the root of the API.
    fn root_url<'a>(&self, path_segments: impl IntoIterator<Item = &'a str>) -> Url {
        append_segments(&self.inner.options.api_url, path_segments)
    }

    /// Returns an address below a repository's address.
    fn repository_url(&self, purpose: &str, repo: &str, path_segments: &[&str]) -> Result<Url, ForgeError> {
        let (workspace, slug) = split_repository_name(purpose, repo)?;
        Ok(self.root_url(["repositories", workspace, slug].into_iter().chain(path_segments.iter().copied())))
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
            ["pullrequests", &number].into_iter().chain(path_segments.iter().copied()).collect();
        self.repository_url(purpose, repo, &path)
    }

    /// Returns the address of a pull request's web page. The address is built without a request.
    fn pull_page_url(&self, purpose: &str, repo: &str, number: u64) -> Result<Url, ForgeError> {
        let (workspace, slug) = split_repository_name(purpose, repo)?;
        Ok(append_segments(
            &self.inner.options.git_url,
            [workspace, slug, "pull-requests", &number.to_string()],
        ))
    }

    /// Returns the cached full hash for this key.
    fn cached_hash(&self, key: &str) -> Option<Sha> {
        self.inner.cache.full_hashes.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    fn cache_hash(&self, key: String, sha: Sha) {
        insert_bounded(
            &mut self.inner.cache.full_hashes.lock().unwrap_or_else(PoisonError::into_inner),
            key,
            sha,
        );
    }
}

/// Returns the items of a page and the address of the next page.
fn parse_page<T: DeserializeOwned>(answer: &ForgeResponse) -> Result<(Vec<T>, Option<Url>), ForgeError> {
    let page: wire::CloudPage<T> = answer.json()?;
    let next = page.next.map(|next| answer.parse_server_url(&next)).transpose()?;
    Ok((page.values, next))
}
