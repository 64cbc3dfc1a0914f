//! Sends calls and reads lists, each with the credential of its scope.

use serde::de::DeserializeOwned;
use truing_core::port::ForgeError;
use url::Url;

use super::auth::TokenScope;
use super::{GITHUB, GitHub};
use crate::http::{ForgeRequest, ForgeResponse, unavailable_error};

#[cfg(test)]
mod tests;

/// Maximum number of pages of one list that are read. At 100 items a page, this is more than any pull request
/// shows.
const MAX_PAGES: usize = 100;

/// Returns the address of a list with the maximum page size.
pub(super) fn paged_url(mut url: Url, query: &[(&str, &str)]) -> Url {
    url.query_pairs_mut().extend_pairs(query).append_pair("per_page", &GITHUB.max_page_size.to_string());
    url
}

impl GitHub {
    /// Sends a call. If GitHub rejects the token as invalid, the token is replaced and the call is sent once
    /// more. Sending the call again is safe, because GitHub did not perform the rejected call.
    pub(super) async fn send(
        &self,
        scope: TokenScope<'_>,
        call: &ForgeRequest,
    ) -> Result<ForgeResponse, ForgeError> {
        let (http, auth) = (&self.inner.http, &self.inner.auth);
        let by = auth.authorization(http, scope).await?;
        let answer = match http.send(&by, call).await {
            Err(ForgeError::Unauthorized { .. }) if auth.discard(http, scope, &by).await => {
                http.send(&auth.authorization(http, scope).await?, call).await
            }
            answer => answer,
        };
        if matches!(answer, Err(ForgeError::NotFound { .. })) {
            auth.drop_cached_repository_id(scope);
        }
        answer
    }

    /// Sends a call that is passed by value, as the refresh of a cached list requires.
    pub(super) async fn send_owned(
        &self,
        scope: TokenScope<'_>,
        call: ForgeRequest,
    ) -> Result<ForgeResponse, ForgeError> {
        self.send(scope, &call).await
    }

    /// Reads a list page by page and passes each item to `handle_item`, so each page is dropped before the
    /// next page is read. If a page cannot be read, the items of the earlier pages have already been passed
    /// on.
    pub(super) async fn read_pages<T: DeserializeOwned>(
        &self,
        scope: TokenScope<'_>,
        purpose: &str,
        first_url: Url,
        mut handle_item: impl FnMut(T) + Send,
    ) -> Result<(), ForgeError> {
        let mut handle_page = |answer: &ForgeResponse| {
            answer.json::<Vec<T>>()?.into_iter().for_each(&mut handle_item);
            Ok(())
        };
        self.read_raw_pages(scope, purpose, first_url, &mut handle_page).await
    }

    async fn read_raw_pages(
        &self,
        scope: TokenScope<'_>,
        purpose: &str,
        first_url: Url,
        handle_page: &mut (dyn FnMut(&ForgeResponse) -> Result<(), ForgeError> + Send),
    ) -> Result<(), ForgeError> {
        let mut seen = vec![first_url.clone()];
        let mut url = first_url;
        loop {
            let answer = self.send(scope, &ForgeRequest::get(purpose, url)).await?;
            handle_page(&answer)?;
            let Some(next) = answer.next_page()? else {
                return Ok(());
            };
            if seen.contains(&next) {
                return Err(unavailable_error(purpose, "the forge's pages form a loop"));
            }
            if seen.len() == MAX_PAGES {
                return Err(unavailable_error(purpose, &format!("the list has more than {MAX_PAGES} pages")));
            }
            seen.push(next.clone());
            url = next;
        }
    }
}
