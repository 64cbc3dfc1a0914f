//! Converts the reviews and threads of other reviewers to the input of the readiness check.

use std::collections::BTreeSet;

use regex::Regex;
use truing_config::converge::{ReviewerConfig, ReviewerDetector};
use truing_core::converge::readiness::{
    LastComment, ObservedReview, ReviewSubmission, ReviewTextSignal, ReviewerCheck, ReviewerFeedback,
    ThreadAuthor, UnresolvedThread,
};
use truing_core::id::Topic;
use truing_core::port::{CheckState, CommitCheck, LineComment, PullReview, ReviewThread};
use truing_core::publish::ThreadState;

use super::super::pull::{ANSWER_TOPIC_PREFIX, FINDING_TOPIC_PREFIX, FIX_REPORT_PREFIX};
use super::head_review::{HeadReview, is_check_of_reviewer};
use super::{is_relevant_comment, is_reviewer_account};

/// Summarises the feedback of a reviewer on the head.
pub(super) fn summarise_feedback(
    reviewer: &ReviewerConfig,
    head_review: Option<HeadReview<'_>>,
    threads: &[ReviewThread],
    checks: &[CommitCheck],
    is_queued: bool,
) -> ReviewerFeedback {
    let inline = |review: &PullReview| {
        let comments = threads.iter().flat_map(|thread| &thread.comments);
        let many = comments.filter(|comment| comment.review.as_ref() == Some(&review.id)).count();
        u32::try_from(many).unwrap_or(u32::MAX)
    };
    // The pattern is valid, because loading the configuration has already compiled it.
    let dirty = reviewer.findings_pattern.as_deref().and_then(|pattern| Regex::new(pattern).ok());
    let text = |review: &PullReview| match &dirty {
        Some(dirty) if dirty.is_match(&review.body) && reviewer.reports_count_only => {
            ReviewTextSignal::InlineFindings
        }
        Some(dirty) if dirty.is_match(&review.body) => ReviewTextSignal::AnyFindings,
        Some(_) | None => ReviewTextSignal::NoFindings,
    };
    let check = match &reviewer.detector {
        ReviewerDetector::Review => None,
        ReviewerDetector::CheckRun(name) => {
            checks.iter().find(|check| check.name == *name && is_check_of_reviewer(check, reviewer))
        }
    };
    ReviewerFeedback {
        review: head_review.map(|HeadReview { review, names_head }| ObservedReview {
            submission: review_submission(review),
            names_head,
            state: review.state,
            text: text(review),
            inline: inline(review),
        }),
        check: check.map(|check| match check.state {
            CheckState::Pending => ReviewerCheck::Running,
            CheckState::Passed | CheckState::Neutral | CheckState::Skipped => ReviewerCheck::Passed,
            CheckState::Failed => ReviewerCheck::Failed,
        }),
        is_queued,
        submissions: BTreeSet::new(),
    }
}

pub(super) fn review_submission(review: &PullReview) -> ReviewSubmission {
    ReviewSubmission { id: review.id.clone(), submitted_at: review.submitted_at }
}

/// True if the thread is open, Truing began it, and it needs no further answer. Such a thread needs no answer
/// if a person has dismissed its finding. A thread also needs no answer if its finding is no longer reported
/// and the last comment is ours.
pub(super) fn should_resolve_thread(
    thread: &ReviewThread,
    reported_topics: &BTreeSet<Topic>,
    dismissed_topics: &BTreeSet<Topic>,
) -> bool {
    let is_open = thread.thread.as_ref().is_some_and(|known| known.state == ThreadState::Open);
    let about = thread.comments.first().and_then(|first| first.topic.as_ref());
    let is_gone = about.is_some_and(|about| {
        about.as_str().starts_with(FINDING_TOPIC_PREFIX) && !reported_topics.contains(about)
    });
    let is_none = about.is_some_and(|about| dismissed_topics.contains(about));
    is_open && (is_none || is_gone && thread.comments.last().is_some_and(is_own_comment))
}

pub(super) fn is_own_comment(comment: &LineComment) -> bool {
    comment.author.as_ref().is_some_and(|author| author.is_own_account)
}

/// Converts a thread to the input of the readiness check; `None` if the thread is resolved.
pub(super) fn unresolved_thread(
    thread: &ReviewThread,
    reviewers: &[&ReviewerConfig],
    has_unique_names: bool,
) -> Option<UnresolvedThread> {
    let known = thread.thread.as_ref().filter(|known| known.state == ThreadState::Open)?;
    let (first, last) = (thread.comments.first()?, thread.comments.last()?);
    // For our own threads, the author of the last comment counts as the author of the thread, because our
    // account always writes the first comment.
    let who = if is_own_comment(first) { last } else { first };
    let by = match &who.author {
        Some(author) => {
            match reviewers.iter().find(|other| is_reviewer_account(author, other, has_unique_names)) {
                Some(other) => ThreadAuthor::Reviewer(other.name.clone()),
                // Truing may use a person's token. Its own account therefore does not count as a person.
                None if author.is_person && !author.is_own_account => ThreadAuthor::Person,
                None => ThreadAuthor::Bot,
            }
        }
        None => ThreadAuthor::Person,
    };
    // The state of the thread depends on the last comment by Truing or by a configured reviewer. Comments by
    // other accounts are ignored, because they are addressed to people.
    let last = thread
        .comments
        .iter()
        .rfind(|comment| is_relevant_comment(comment, reviewers, has_unique_names))
        .unwrap_or(last);
    let is_answer = last.topic.as_ref().is_some_and(|topic| topic.as_str().starts_with(ANSWER_TOPIC_PREFIX));
    let last_comment = match (is_own_comment(last), is_answer) {
        (false, _) => LastComment::ByOtherAccount,
        (true, true) if !last.body.starts_with(FIX_REPORT_PREFIX) => LastComment::Declined,
        // The last comment is ours: it reports a fix, or shows one of our findings that no audit reports any
        // more.
        (true, _) => LastComment::ReportsFix,
    };
    Some(UnresolvedThread { id: known.id.clone(), author: by, is_outdated: thread.outdated, last_comment })
}
