//! Caches of lists that are read repeatedly. For an unchanged page, the forge sends no content, and the
//! request does not count against the rate limit.

use std::collections::BTreeMap;
use std::future::Future;

use reqwest::header::HeaderValue;
use truing_core::port::{ForgeError, ForgeRepository};
use url::Url;

use crate::http::{ForgeRequest, ForgeResponse};

/// A cached list, as the forge last returned it.
#[derive(Clone, Debug)]
pub struct CachedListing<T> {
    pages: Vec<ListingPage<T>>,
    complete: bool,
    in_order: bool,
}

#[derive(Clone, Debug)]
struct ListingPage<T> {
    url: Url,
    etag: Option<HeaderValue>,
    items: Vec<T>,
    next_url: Option<Url>,
}

impl<T> Default for CachedListing<T> {
    fn default() -> Self {
        Self { pages: Vec::new(), complete: false, in_order: true }
    }
}

impl<T> CachedListing<T> {
    /// Returns an empty list that counts as complete, for a forge without such a list.
    pub fn empty() -> Self {
        Self { complete: true, ..Self::default() }
    }

    /// Returns the items, in the forge's order.
    pub fn items(&self) -> impl Iterator<Item = &T> {
        self.pages.iter().flat_map(|page| &page.items)
    }

    /// Replaces the cached items with `items`, which were read from this address.
    pub(crate) fn replace(&mut self, url: Url, items: Vec<T>, complete: bool) {
        self.replace_parts(vec![(url, items)], complete);
    }

    /// Replaces the cached items with these parts. Each part was read from its own address.
    pub(crate) fn replace_parts(&mut self, parts: Vec<(Url, Vec<T>)>, complete: bool) {
        let page = |(url, items): (Url, Vec<T>)| ListingPage { url, etag: None, items, next_url: None };
        self.pages = parts.into_iter().map(page).collect();
        (self.complete, self.in_order) = (complete, false);
    }

    /// Returns the cached items that were read from this address; `None` if there are none.
    pub(crate) fn items_from(&self, url: &Url) -> Option<&[T]> {
        self.pages.iter().find(|page| page.url == *url).map(|page| page.items.as_slice())
    }

    /// Marks the list as incomplete, so it is read again.
    pub(crate) fn mark_stale(&mut self) {
        self.complete = false;
    }

    /// Returns true if the list was read to its end. If it returns false, the forge may have more items.
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// Returns true if all items are in the order that the request specified. If such a list is truncated,
    /// only items after its last item are missing. A list that was joined from parts is not in order, and any
    /// item may be missing.
    pub fn is_in_order(&self) -> bool {
        self.in_order
    }

    /// Reads the list again from `first_url`, at most `max_pages` pages. Each call is subtracted from
    /// `calls_left`, except for an unchanged page. After an error, the pages that were already read are
    /// updated, and the other pages stay unchanged. `send` sends a call.
    pub(crate) async fn refresh<F>(
        &mut self,
        send: impl Fn(ForgeRequest) -> F,
        purpose: &str,
        first_url: Url,
        max_pages: usize,
        calls_left: &mut u64,
        parse_items: impl Fn(&ForgeResponse) -> Result<Vec<T>, ForgeError>,
    ) -> Result<(), ForgeError>
    where
        F: Future<Output = Result<ForgeResponse, ForgeError>>,
    {
        let read = |answer: &ForgeResponse| Ok((parse_items(answer)?, answer.next_page()?));
        self.refresh_with_body_links(send, purpose, first_url, max_pages, calls_left, read).await
    }

    /// Reads the list as `refresh` does, if the body of a response contains the address of the next page.
    /// `parse_page` returns the items and the address of the next page.
    pub(crate) async fn refresh_with_body_links<F>(
        &mut self,
        send: impl Fn(ForgeRequest) -> F,
        purpose: &str,
        first_url: Url,
        max_pages: usize,
        calls_left: &mut u64,
        parse_page: impl Fn(&ForgeResponse) -> Result<(Vec<T>, Option<Url>), ForgeError>,
    ) -> Result<(), ForgeError>
    where
        F: Future<Output = Result<ForgeResponse, ForgeError>>,
    {
        self.complete = false;
        let (mut url, mut at) = (first_url, 0);
        loop {
            if at == max_pages || *calls_left == 0 {
                self.pages.truncate(at);
                return Ok(());
            }
            let known = self.pages.get(at).filter(|page| page.url == url);
            let call = ForgeRequest::get(purpose, url.clone())
                .if_none_match(known.and_then(|page| page.etag.clone()));
            // The call is counted before it is sent, so a call without a response also counts.
            *calls_left -= 1;
            let answer = send(call).await?;
            if answer.is_unchanged() {
                *calls_left += 1;
            } else {
                let (etag, (items, next)) = (answer.etag(), parse_page(&answer)?);
                self.pages.splice(
                    at..self.pages.len().min(at + 1),
                    [ListingPage { url, etag, items, next_url: next }],
                );
            }
            match self.pages.get(at).and_then(|page| page.next_url.clone()) {
                Some(next) => (url, at) = (next, at + 1),
                None => {
                    self.pages.truncate(at + 1);
                    self.complete = true;
                    return Ok(());
                }
            }
        }
    }
}

/// The cached repositories: one list, or several lists if the forge returns them separately.
#[derive(Clone, Debug, Default)]
pub struct RepositoryListing {
    /// Names of the lists, if the forge has several lists.
    pub(crate) list_names: CachedListing<String>,
    /// Lists of repositories by name of the list.
    pub(crate) lists: BTreeMap<String, CachedListing<ForgeRepository>>,
}

impl RepositoryListing {
    /// Returns all listed repositories, list by list in the forge's order.
    pub fn items(&self) -> impl Iterator<Item = &ForgeRepository> {
        self.lists.values().flat_map(CachedListing::items)
    }

    /// Returns true if each list was read to its end. If it returns false, there may be more repositories.
    pub fn is_complete(&self) -> bool {
        self.lists.values().all(CachedListing::is_complete)
    }
}
