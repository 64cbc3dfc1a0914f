//! Helpers for addresses and names that Bitbucket Cloud and Data Center share.

use std::collections::HashMap;

use truing_core::id::AccountId;
use truing_core::port::ForgeError;
use url::Url;

use crate::http::HttpDialect;

/// Name of Truing's build statuses and reports.
pub(super) const STATUS_NAME: &str = "truing/review";
/// Maximum number of entries in each cache of a server.
const MAX_CACHE_ENTRIES: usize = 4096;

/// HTTP format of Cloud and Data Center: JSON, without a version header. Bitbucket publishes no rate limit
/// for create calls.
pub(super) const BITBUCKET_HTTP_DIALECT: HttpDialect = HttpDialect {
    accept: "application/json",
    version_header: None,
    sso_header: None,
    reports_conflicts: true,
    creation_limits: &[],
};

/// Returns the key of Truing's build status; at Cloud, also the key of Truing's report. Two pull requests may
/// have the same commit, so the key contains the number of the pull request.
pub(super) fn status_key(number: u64) -> String {
    format!("truing-review-{number}")
}

/// Parses the number of the pull request from the key of a build status; returns `None` if Truing did not set
/// the status.
pub(super) fn pull_number_from_key(key: &str) -> Option<u64> {
    key.strip_prefix("truing-review-")?.parse().ok()
}

/// Appends the segments, percent-encoded, to an address.
pub(super) fn append_segments<'a>(root: &Url, segments: impl IntoIterator<Item = &'a str>) -> Url {
    let mut url = root.clone();
    url.set_query(None);
    url.set_fragment(None);
    // An HTTP address always has a path, and `login` accepts only HTTP addresses.
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    url
}

/// Adds query parameters to an address.
pub(super) fn with_query(mut url: Url, query: &[(&str, &str)]) -> Url {
    url.query_pairs_mut().extend_pairs(query);
    url
}

/// Returns true if the text is a repository name `owner/name` that contains only characters allowed in
/// addresses. At Data Center, the owner of a repository in a personal project begins with `~`.
pub(super) fn is_repository_name(text: &str) -> bool {
    let is_right = |part: &str| {
        !matches!(part, "" | "." | "..")
            && part.len() <= 128
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
    };
    text.split_once('/')
        .is_some_and(|(owner, name)| is_right(owner.strip_prefix('~').unwrap_or(owner)) && is_right(name))
}

/// Returns the owner and the name of a repository from `owner/name`.
pub(super) fn split_repository_name<'a>(
    purpose: &str,
    repo: &'a str,
) -> Result<(&'a str, &'a str), ForgeError> {
    match repo.split_once('/') {
        Some(parts) if is_repository_name(repo) => Ok(parts),
        Some(_) | None => {
            Err(rejected_error(purpose, "the repository's name does not have the form `owner/name`"))
        }
    }
}

/// Returns the error for an operation that this forge does not support, or for input that cannot be sent to
/// it.
pub(super) fn rejected_error(purpose: &str, message: &str) -> ForgeError {
    ForgeError::Rejected { request: purpose.to_owned(), message: message.to_owned() }
}

/// Quotes a text for a search query. The syntax is the same at Cloud and Data Center.
pub(super) fn quote_text(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Caches a value without expiry. If the cache is full, it is cleared first.
pub(super) fn insert_bounded<V>(cache: &mut HashMap<String, V>, key: String, value: V) {
    if cache.len() >= MAX_CACHE_ENTRIES {
        cache.clear();
    }
    cache.insert(key, value);
}

pub(super) fn account_id(id: impl std::fmt::Display) -> AccountId {
    AccountId::new(id.to_string())
}
