//! Addresses, names and small things that both Bitbuckets spell alike.

use std::collections::HashMap;

use truing_core::id::AccountId;
use truing_core::port::ForgeError;
use url::Url;

use crate::http::HttpDialect;

/// The name of our build statuses and reports.
pub(super) const STATUS_NAME: &str = "truing/review";
/// The hashes and lines that are remembered at once, of each kind.
const MAX_REMEMBERED: usize = 4096;

/// What both have on the wire: JSON, no header of a version, no published limit of calls that create something.
pub(super) const WIRE: HttpDialect = HttpDialect {
    accept: "application/json",
    version: None,
    sign_on: None,
    tells_conflicts: true,
    creations: &[],
};

/// The key of our build status, and at Cloud of our report: two pull requests may have one commit.
pub(super) fn status_key(number: u64) -> String {
    format!("truing-review-{number}")
}

/// The number in the key of a build status.
pub(super) fn number_in(key: &str) -> Option<u64> {
    key.strip_prefix("truing-review-")?.parse().ok()
}

/// An address below another one; each segment is escaped.
pub(super) fn append<'a>(root: &Url, segments: impl IntoIterator<Item = &'a str>) -> Url {
    let mut url = root.clone();
    url.set_query(None);
    url.set_fragment(None);
    // Http addresses always have a path; `login` lets no others in.
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    url
}

/// The same with this query.
pub(super) fn with_query(mut url: Url, query: &[(&str, &str)]) -> Url {
    url.query_pairs_mut().extend_pairs(query);
    url
}

/// Is this a repository's name in two parts, of characters that may stand in an address? `~` begins a person's project at
/// Data Center.
pub(super) fn is_repository_name(text: &str) -> bool {
    let is_right = |part: &str| {
        !matches!(part, "" | "." | "..")
            && part.len() <= 128
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
    };
    text.split_once('/')
        .is_some_and(|(owner, name)| is_right(owner.strip_prefix('~').unwrap_or(owner)) && is_right(name))
}

/// Both parts of a repository's name.
pub(super) fn parts<'a>(what: &str, repo: &'a str) -> Result<(&'a str, &'a str), ForgeError> {
    match repo.split_once('/') {
        Some(parts) if is_repository_name(repo) => Ok(parts),
        Some(_) | None => Err(rejected(what, "the repository is not `owner/name`")),
    }
}

/// The refusal of what this forge has no call for, or of an input that cannot be sent.
pub(super) fn rejected(what: &str, message: &str) -> ForgeError {
    ForgeError::Rejected { what: what.to_owned(), message: message.to_owned() }
}

/// The text in quotes, as queries of both spell it.
pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Remembers something for good, up to a bound.
pub(super) fn remember<V>(known: &mut HashMap<String, V>, key: String, value: V) {
    if known.len() >= MAX_REMEMBERED {
        known.clear();
    }
    known.insert(key, value);
}

/// The account with this id.
pub(super) fn account(id: impl std::fmt::Display) -> AccountId {
    AccountId::new(id.to_string())
}
