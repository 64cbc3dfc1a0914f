//! Limits for lists and comments at Cloud and Data Center, and parsers for times and hashes.

use jiff::Timestamp;
use truing_core::id::{Sha, UnixMillis};
use truing_core::port::ForgeError;

use crate::http::unavailable_error;

/// Maximum number of pages that are read from one list. In practice, a pull request's lists are shorter. A
/// page has 50 items.
pub(super) const MAX_PAGES: usize = 200;
/// Maximum number of pages that a sweep reads from a repository's list of open pull requests.
pub(super) const MAX_PULL_PAGES: usize = 60;
/// Maximum number of pages that are read from the list of accessible repositories.
pub(super) const MAX_REPOSITORY_PAGES: usize = 100;
/// Maximum number of characters of a comment that are kept. Commands are at the beginning of a comment, so
/// the rest is not needed.
pub(super) const MAX_COMMENT_CHARS: usize = 4096;

/// Returns the error for a list with more than `max_pages` pages.
pub(super) fn too_many_pages_error(purpose: &str, max_pages: usize) -> ForgeError {
    unavailable_error(purpose, &format!("the list has more than {max_pages} pages, or its pages form a loop"))
}

/// Parses an instant (ISO 8601 with an offset).
pub(super) fn parse_instant(purpose: &str, text: &str) -> Result<UnixMillis, ForgeError> {
    match text.parse::<Timestamp>() {
        Ok(instant) => Ok(UnixMillis(instant.as_millisecond())),
        Err(_) => Err(unavailable_error(purpose, "a time is not ISO 8601")),
    }
}

/// Formats an instant for a query.
pub(super) fn format_instant(instant: UnixMillis) -> String {
    Timestamp::from_second(instant.0.div_euclid(1000)).unwrap_or_default().to_string()
}

/// Parses a full commit hash.
pub(super) fn parse_sha(purpose: &str, text: &str) -> Result<Sha, ForgeError> {
    Sha::parse(text).map_err(|error| unavailable_error(purpose, &error.to_string()))
}
