//! What a forge shows of a pull request. Whoever looks reads the head before and after the rest, and looks again if it
//! differs: all of this is about one commit.

use std::collections::BTreeMap;

use crate::id::{Sha, ThreadId, UnixMillis};
use crate::port::{PullState, ReviewState};

/// A pull request as it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PullSnapshot {
    /// Its head.
    pub head: Sha,
    /// When that was committed, as the commit has it.
    pub committed: UnixMillis,
    /// The branch that it goes to.
    pub base: String,
    /// Open, a draft, or over.
    pub state: PullState,
    /// What reviewers of the configuration have said, by name. Who is not here has said nothing.
    pub views: BTreeMap<String, ReviewerFeedback>,
    /// The threads that are not resolved.
    pub threads: Vec<UnresolvedThread>,
    /// Whether it can be merged, as the forge has it.
    pub merge: MergeableState,
    /// Names of checks of the head that have not ended.
    pub pending: Vec<String>,
    /// Names of checks of the head that failed.
    pub failed: Vec<String>,
    /// Do the rules of its base ask for a review that it does not have?
    pub lacks_review: bool,
}

/// What one reviewer has said of the head. A review of another commit says nothing.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ReviewerFeedback {
    /// Its newest review.
    pub review: Option<ObservedReview>,
    /// Its check run, if that shows that it has looked.
    pub check: Option<ReviewerCheck>,
    /// It knows that it is asked: its eyes are on the newest trigger, or a review of it is requested.
    pub is_queued: bool,
}

/// A review.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ObservedReview {
    /// What it is to the forge.
    pub state: ReviewState,
    /// What its text tells of findings.
    pub text: ReviewTextSignal,
    /// Its comments on lines, whatever became of them.
    pub inline: u32,
}

/// What the text of a review tells of findings, by the patterns of the configuration.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReviewTextSignal {
    /// Nothing.
    Silent,
    /// That there are some, on lines.
    Counts,
    /// That there are some: on lines, or in this very text.
    Holds,
}

/// A check run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReviewerCheck {
    /// It has not ended.
    Running,
    /// It found nothing, or does not say.
    Passed,
    /// It found something.
    Failed,
}

/// A thread of comments that is not resolved.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UnresolvedThread {
    /// Which.
    pub id: ThreadId,
    /// Who began it; of one that is ours, who has the last word.
    pub by: ThreadAuthor,
    /// Are its lines gone from the head?
    pub is_outdated: bool,
    /// The last word in it.
    pub last: LastWord,
}

/// Who talks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ThreadAuthor {
    /// A reviewer of the configuration.
    Reviewer(String),
    /// Another program.
    Bot,
    /// A person.
    Person,
}

/// The last word in a thread.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LastWord {
    /// Not ours.
    Theirs,
    /// Ours: it is fixed.
    Fixed,
    /// Ours: it is not.
    Declined,
}

impl UnresolvedThread {
    /// Does it say anything of the head? What a program said of lines that are gone does not.
    pub(super) fn counts(&self) -> bool {
        match self.by {
            ThreadAuthor::Reviewer(_) | ThreadAuthor::Bot => !self.is_outdated,
            ThreadAuthor::Person => true,
        }
    }
}

/// Whether a pull request can be merged: the words of GitHub.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum MergeableState {
    /// The forge is finding out.
    Unknown,
    /// It can.
    Clean,
    /// It can; hooks will look at it.
    HasHooks,
    /// It can, but checks have not passed.
    Unstable,
    /// The rules of its base forbid it.
    Blocked,
    /// The rules of its base want it to hold what is new there.
    Behind,
    /// It conflicts with its base.
    Dirty,
    /// It is a draft.
    Draft,
}

/// What follows from what a reviewer has said of the head; threads are looked at by themselves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ReviewerVerdict {
    /// It has nothing (more) against it.
    Content,
    /// It asks for changes.
    Against,
    /// It has something, and does not show where.
    Lags,
    /// It is at work.
    Queued,
    /// It knows that it is called.
    Called,
    /// It has not been heard of.
    Silent,
}

impl ReviewerFeedback {
    /// Can its text be what it has found?
    pub(super) fn holds(&self) -> bool {
        self.review.is_some_and(|review| review.text == ReviewTextSignal::Holds)
    }

    pub(super) fn verdict(&self) -> ReviewerVerdict {
        let review = self.review.filter(|review| match review.state {
            ReviewState::Approved | ReviewState::ChangesRequested | ReviewState::Commented => true,
            ReviewState::Dismissed | ReviewState::Pending => false,
        });
        let speaks = review.is_some_and(|review| match review.text {
            ReviewTextSignal::Counts | ReviewTextSignal::Holds => true,
            ReviewTextSignal::Silent => false,
        });
        let is_shown = review.is_some_and(|review| review.inline > 0);
        let asks_for_changes = review.is_some_and(|review| review.state == ReviewState::ChangesRequested);
        if self.check == Some(ReviewerCheck::Running) {
            ReviewerVerdict::Queued
        } else if (speaks || self.check == Some(ReviewerCheck::Failed)) && !is_shown {
            ReviewerVerdict::Lags
        } else if asks_for_changes {
            ReviewerVerdict::Against
        } else if review.is_some() || self.check.is_some() {
            ReviewerVerdict::Content
        } else if self.is_queued {
            ReviewerVerdict::Called
        } else {
            ReviewerVerdict::Silent
        }
    }
}
