//! Sending a call with the credential of what it is about, and reading lists that way.

use serde::de::DeserializeOwned;
use truing_core::port::ForgeError;
use url::Url;

use super::auth::TokenScope;
use super::{GITHUB, GitHub};
use crate::http::{ForgeRequest, ForgeResponse, unavailable};

#[cfg(test)]
mod tests;

/// The most pages of one list that are followed: at 100 items a page more than any pull request shows.
const MAX_PAGES: usize = 100;

/// An address of a list at the most items a page.
pub(super) fn paged(mut url: Url, query: &[(&str, &str)]) -> Url {
    url.query_pairs_mut().extend_pairs(query).append_pair("per_page", &GITHUB.page.to_string());
    url
}

impl GitHub {
    /// Sends a call. A token that ended in the meantime is replaced, once: what was refused for it was surely
    /// not done.
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
            auth.forget_name(scope);
        }
        answer
    }

    /// The same, for a list that is kept between calls.
    pub(super) async fn send_owned(
        &self,
        scope: TokenScope<'_>,
        call: ForgeRequest,
    ) -> Result<ForgeResponse, ForgeError> {
        self.send(scope, &call).await
    }

    /// Reads a list page by page and hands over each item, so that a page is dropped before the next is read.
    /// On an error the items of the pages before it have been handed over.
    pub(super) async fn pages<T: DeserializeOwned>(
        &self,
        scope: TokenScope<'_>,
        what: &str,
        first: Url,
        mut each: impl FnMut(T) + Send,
    ) -> Result<(), ForgeError> {
        let mut seen = vec![first.clone()];
        let mut url = first;
        loop {
            let answer = self.send(scope, &ForgeRequest::get(what, url)).await?;
            for item in answer.json::<Vec<T>>()? {
                each(item);
            }
            let Some(next) = answer.next()? else {
                return Ok(());
            };
            if seen.contains(&next) {
                return Err(unavailable(what, "the forge's pages go round in a circle"));
            }
            if seen.len() == MAX_PAGES {
                return Err(unavailable(what, &format!("the list has more than {MAX_PAGES} pages")));
            }
            seen.push(next.clone());
            url = next;
        }
    }
}
