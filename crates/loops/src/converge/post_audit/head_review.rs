//! Finds a reviewer's newest review of the head. The commit that a forge reports for a review proves little:
//! GitHub records the head at the time of submission, which the reviewer may not have read, and has been seen
//! to move the commit of old reviews to later merges of the base.

use regex::Regex;
use truing_config::converge::ReviewerConfig;
use truing_core::id::Sha;
use truing_core::port::{CommitCheck, PullReview, ReviewState, ReviewThread};

use super::is_by_reviewer;

/// Minimum length of an abbreviated commit id in the text of a review.
const MIN_COMMIT_ID_CHARS: usize = 7;
/// Ending of an App's login.
const APP_LOGIN_ENDING: &str = "[bot]";

/// A review of the head.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeadReview<'a> {
    pub(super) review: &'a PullReview,
    /// True if the text of the review names the head. If false, only the forge assigns the review to the
    /// head.
    pub(super) names_head: bool,
}

/// Returns the reviewer's newest review of the head. If the text of a review names a commit, the forge's
/// assignment is ignored.
pub(super) fn newest_head_review<'a>(
    reviews: &'a [PullReview],
    threads: &[ReviewThread],
    reviewer: &ReviewerConfig,
    head: &Sha,
    has_unique_names: bool,
) -> Option<HeadReview<'a>> {
    // The pattern is valid, because loading the configuration has already compiled it.
    let pattern = reviewer.commit_pattern.as_deref().and_then(|pattern| Regex::new(pattern).ok());
    let mut theirs = reviews.iter().rev().filter(|review| {
        is_by_reviewer(review.author.as_ref(), reviewer, has_unique_names) && !is_reply(review, threads)
    });
    theirs.find_map(|review| match pattern.as_ref().and_then(|pattern| named_commit(pattern, &review.body)) {
        Some(commit) => head.as_str().starts_with(&commit).then_some(HeadReview { review, names_head: true }),
        None => (review.commit.as_ref() == Some(head)).then_some(HeadReview { review, names_head: false }),
    })
}

/// Returns the commit id, possibly abbreviated, that the last match of the pattern contains. A review may
/// quote other texts, but names its own commit at its end.
fn named_commit(pattern: &Regex, body: &str) -> Option<String> {
    let found = pattern.captures_iter(body).last()?;
    let commit = found.get(1).or_else(|| found.get(0))?.as_str().to_ascii_lowercase();
    let is_id = commit.len() >= MIN_COMMIT_ID_CHARS && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_id.then_some(commit)
}

/// Returns true if the review only contains replies in threads. GitHub creates such a review for each reply.
fn is_reply(review: &PullReview, threads: &[ReviewThread]) -> bool {
    if review.state != ReviewState::Commented || !review.body.trim().is_empty() {
        return false;
    }
    let comments = threads.iter().flat_map(|thread| thread.comments.iter().enumerate());
    let mut own_positions = comments
        .filter(|(_, comment)| comment.review.as_ref() == Some(&review.id))
        .map(|(position, _)| position)
        .peekable();
    own_positions.peek().is_some() && own_positions.all(|position| position > 0)
}

/// Returns true if the reviewer's App created the check run. The creator of a commit status is unknown. An
/// account in the configuration that is a number or a UUID cannot be compared with the name of an App.
pub(super) fn is_check_of_reviewer(check: &CommitCheck, reviewer: &ReviewerConfig) -> bool {
    let is_id = |login: &&String| login.starts_with('{') || login.bytes().all(|byte| byte.is_ascii_digit());
    let Some(app) = &check.app else { return true };
    let mut names = reviewer.logins.iter().filter(|login| !is_id(login)).peekable();
    names.peek().is_none()
        || names.any(|login| login.strip_suffix(APP_LOGIN_ENDING).unwrap_or(login).eq_ignore_ascii_case(app))
}
