//! Bounds of lists that both Bitbuckets have, and reading of times.

use jiff::Timestamp;
use truing_core::id::{Millis, Sha};
use truing_core::port::ForgeError;

use crate::http::unavailable;

/// The most pages of one list that are followed: at 50 items a page more than any pull request shows.
pub(super) const MAX_PAGES: usize = 200;
/// Pages of a repository's open pull requests that a sweep reads.
pub(super) const MAX_PULL_PAGES: usize = 60;
/// Pages of the repositories that we may see.
pub(super) const MAX_REPOSITORY_PAGES: usize = 100;
/// How much of a comment is kept for commands, in characters: they are its first line.
pub(super) const MAX_COMMENT_CHARS: usize = 4096;

/// The error of a list without an end.
pub(super) fn endless(what: &str) -> ForgeError {
    unavailable(what, &format!("the list has more than {MAX_PAGES} pages, or they go round in a circle"))
}

/// Reads an instant (ISO 8601 with an offset).
pub(super) fn instant(what: &str, text: &str) -> Result<Millis, ForgeError> {
    match text.parse::<Timestamp>() {
        Ok(instant) => Ok(Millis(instant.as_millisecond())),
        Err(_) => Err(unavailable(what, "a time is not an instant")),
    }
}

/// An instant as queries spell it.
pub(super) fn spelled(at: Millis) -> String {
    Timestamp::from_second(at.0.div_euclid(1000)).unwrap_or_default().to_string()
}

/// Reads a full hash.
pub(super) fn sha(what: &str, text: &str) -> Result<Sha, ForgeError> {
    Sha::parse(text).map_err(|error| unavailable(what, &error.to_string()))
}
