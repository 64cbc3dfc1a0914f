//! The state of a pull request at the forge. The caller reads the head before and after all other data, and
//! starts again if the head has changed. All data therefore describes the same commit.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::id::{ReviewId, Sha, ThreadId, UnixMillis};
use crate::port::{PullState, ReviewState};

/// A snapshot of a pull request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PullSnapshot {
    pub head: Sha,
    /// Commit time according to the commit itself.
    pub committed: UnixMillis,
    /// Name of the base branch.
    pub base: String,
    /// State of the pull request: open, draft, closed or merged.
    pub state: PullState,
    /// Feedback of the configured reviewers, by name. A reviewer without an entry gave no feedback.
    pub reviewer_feedback: BTreeMap<String, ReviewerFeedback>,
    pub threads: Vec<UnresolvedThread>,
    /// Mergeability, as the forge reports it.
    pub merge: MergeableState,
    /// Names of the head's checks that are still running.
    pub pending: Vec<String>,
    /// Names of the head's checks that failed.
    pub failed_checks: Vec<String>,
    /// True if the rules of the base branch require a review that the pull request lacks.
    pub lacks_review: bool,
}

/// The feedback of one reviewer on the head. A review of another commit does not count.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ReviewerFeedback {
    pub review: Option<ObservedReview>,
    /// State of the reviewer's check run. Present only if the check run proves that the reviewer has examined
    /// the head.
    pub check: Option<ReviewerCheck>,
    /// True if the reviewer has received the request. Either the reviewer added an eyes reaction to the
    /// newest trigger comment, or the forge lists the review as requested.
    pub is_queued: bool,
    /// All reviews of this reviewer, for any commit.
    pub submissions: BTreeSet<ReviewSubmission>,
}

/// One submission of a review. Bitbucket keeps the id if a reviewer repeats its verdict.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct ReviewSubmission {
    pub id: ReviewId,
    /// Time of submission, by the forge's clock.
    #[serde(rename = "at")]
    pub submitted_at: Option<UnixMillis>,
}

/// A review that the forge assigns to the head, or whose text names the head.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ObservedReview {
    pub submission: ReviewSubmission,
    /// True if the text of the review names the head, so the reviewer has read the head.
    pub names_head: bool,
    /// Verdict of the review, as the forge reports it.
    pub state: ReviewState,
    /// Mention of findings in the text of the review.
    pub text: ReviewTextSignal,
    /// Number of the review's comments on lines, resolved or not.
    pub inline: u32,
}

/// The mention of findings in a review's text, according to the configured patterns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReviewTextSignal {
    /// The text does not mention findings.
    NoFindings,
    /// The text mentions findings on lines.
    InlineFindings,
    /// The text mentions findings, which are on lines or in the text itself.
    AnyFindings,
}

/// The state of a reviewer's check run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReviewerCheck {
    /// The check is still running.
    Running,
    /// The check found no problem, or does not report findings.
    Passed,
    /// The check found a problem.
    Failed,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UnresolvedThread {
    pub id: ThreadId,
    /// Author of the thread. If Truing began the thread, this is the author of the last comment.
    pub author: ThreadAuthor,
    /// True if the thread's lines no longer exist at the head.
    pub is_outdated: bool,
    /// Author and meaning of the last comment.
    pub last_comment: LastComment,
}

/// The author to whom a thread is attributed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ThreadAuthor {
    /// A configured reviewer, by name.
    Reviewer(String),
    /// A program that is not a configured reviewer.
    Bot,
    Person,
}

/// The last comment in a thread.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LastComment {
    /// Another account wrote the last comment.
    ByOtherAccount,
    /// Truing wrote the last comment, which reports a fix.
    ReportsFix,
    /// Truing wrote the last comment, which declines the finding.
    Declined,
}

impl UnresolvedThread {
    /// Returns true if the thread concerns the head. A thread of a program on lines that no longer exist does
    /// not concern the head.
    pub(super) fn is_relevant(&self) -> bool {
        match self.author {
            ThreadAuthor::Reviewer(_) | ThreadAuthor::Bot => !self.is_outdated,
            ThreadAuthor::Person => true,
        }
    }
}

/// The mergeability of a pull request, in GitHub's terms.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum MergeableState {
    /// The forge is still computing the mergeability.
    Unknown,
    /// The pull request can be merged.
    Clean,
    /// The pull request can be merged; the merge will run hooks.
    HasHooks,
    /// The pull request can be merged, but checks have not passed.
    Unstable,
    /// Rules of the base branch forbid the merge.
    Blocked,
    /// Rules of the base branch require the branch to contain the base's newest commits.
    Behind,
    /// The branch conflicts with its base.
    Dirty,
    /// The pull request is a draft.
    Draft,
}

/// The state of a reviewer's review of the head. Threads are evaluated separately.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ReviewerVerdict {
    /// The reviewer has no objection, or no longer has one.
    Satisfied,
    /// The reviewer requests changes.
    ChangesRequested,
    /// The reviewer reports findings, but has no visible comments on lines.
    CommentsMissing,
    /// The reviewer's check run is still running.
    Queued,
    /// The reviewer has received the request.
    Acknowledged,
    /// The reviewer has reviewed, but nothing proves that it has read the head.
    Unproven,
    /// The reviewer has not responded.
    Silent,
}

impl ReviewerFeedback {
    /// Returns true if the text of the review may contain the findings.
    pub(super) fn may_hold_findings(&self) -> bool {
        self.review.as_ref().is_some_and(|review| review.text == ReviewTextSignal::AnyFindings)
    }

    /// Returns the verdict. `is_proven` is true if the reviewer has read the head. An objection counts
    /// without this proof.
    pub(super) fn verdict(&self, is_proven: bool) -> ReviewerVerdict {
        let review = self.review.as_ref().filter(|review| match review.state {
            ReviewState::Approved | ReviewState::ChangesRequested | ReviewState::Commented => true,
            ReviewState::Dismissed | ReviewState::Pending => false,
        });
        let speaks = review.is_some_and(|review| match review.text {
            ReviewTextSignal::InlineFindings | ReviewTextSignal::AnyFindings => true,
            ReviewTextSignal::NoFindings => false,
        });
        let is_shown = review.is_some_and(|review| review.inline > 0);
        let asks_for_changes = review.is_some_and(|review| review.state == ReviewState::ChangesRequested);
        if self.check == Some(ReviewerCheck::Running) {
            ReviewerVerdict::Queued
        } else if (speaks || self.check == Some(ReviewerCheck::Failed)) && !is_shown {
            ReviewerVerdict::CommentsMissing
        } else if asks_for_changes {
            ReviewerVerdict::ChangesRequested
        } else if review.is_some() && is_proven || self.check.is_some() {
            ReviewerVerdict::Satisfied
        } else if self.is_queued {
            ReviewerVerdict::Acknowledged
        } else if review.is_some() {
            ReviewerVerdict::Unproven
        } else {
            ReviewerVerdict::Silent
        }
    }
}
