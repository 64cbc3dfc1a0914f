//! Bounds of lists and comments that both Bitbuckets have, and reading of times and hashes.

use jiff::Timestamp;
use truing_core::id::{Sha, UnixMillis};
use truing_core::port::ForgeError;

use crate::http::unavailable;

/// The most pages of one list that are followed: at 50 items a page more than any pull request shows.
pub(super) const MAX_PAGES: usize = 200;
/// Pages of a repository's open pull requests that a sweep reads.
pub(super) const MAX_PULL_PAGES: usize = 60;
/// Pages of the repositories that we may see.
pub(super) const MAX_REPOSITORY_PAGES: usize = 100;
/// The most of a comment that is kept, in characters: commands are its beginning.
pub(super) const MAX_COMMENT_CHARS: usize = 4096;

/// The error of a list without an end, of which so many pages were read at most.
pub(super) fn endless(what: &str, most: usize) -> ForgeError {
    unavailable(what, &format!("the list has more than {most} pages, or they go round in a circle"))
}

/// Reads an instant (ISO 8601 with an offset).
pub(super) fn instant(what: &str, text: &str) -> Result<UnixMillis, ForgeError> {
    match text.parse::<Timestamp>() {
        Ok(instant) => Ok(UnixMillis(instant.as_millisecond())),
        Err(_) => Err(unavailable(what, "a time is not ISO 8601")),
    }
}

/// An instant as queries spell it.
pub(super) fn spelled(at: UnixMillis) -> String {
    Timestamp::from_second(at.0.div_euclid(1000)).unwrap_or_default().to_string()
}

/// Reads a full hash.
pub(super) fn sha(what: &str, text: &str) -> Result<Sha, ForgeError> {
    Sha::parse(text).map_err(|error| unavailable(what, &error.to_string()))
}
