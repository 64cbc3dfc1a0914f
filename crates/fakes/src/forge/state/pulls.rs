//! Pull requests, with their comments and reviews.

use crate::forge::diff::FakeDiffSide;
use crate::forge::state::issues::LabelChange;
use crate::forge::state::merging::MergeConditions;
use crate::forge::state::notes::StoredComment;

#[derive(Clone, Debug)]
pub(crate) struct StoredPull {
    pub(crate) id: u64,
    pub(crate) number: u64,
    pub(crate) title: String,
    pub(crate) body: String,
    pub(crate) author: String,
    /// Head branch as `branch`; as `owner:branch` if the branch is in a fork.
    pub(crate) head_ref: String,
    pub(crate) head: String,
    pub(crate) base_ref: String,
    pub(crate) base: String,
    pub(crate) draft: bool,
    pub(crate) labels: Vec<String>,
    pub(crate) label_changes: Vec<LabelChange>,
    pub(crate) merge_conditions: MergeConditions,
    pub(crate) open: bool,
    pub(crate) merged_by: Option<String>,
    pub(crate) created_at: i64,
    pub(crate) updated_at: i64,
    /// Number of changes of the pull request; only at Bitbucket Data Center.
    pub(crate) version: u64,
    pub(crate) closed_at: Option<i64>,
    /// Previous head, and the number of further reads that return the previous head.
    pub(crate) stale_head: Option<(String, u32)>,
    /// Comments on the pull request itself.
    pub(crate) conversation_comments: Vec<StoredComment>,
    pub(crate) inline_comments: Vec<StoredInlineComment>,
    pub(crate) reviews: Vec<StoredReview>,
}

/// A comment on code.
#[derive(Clone, Debug)]
pub(crate) struct StoredInlineComment {
    pub(crate) comment: StoredComment,
    pub(crate) review_id: u64,
    pub(crate) place: InlinePlace,
    /// Commit on which the comment was created. The next field is the merge base of this commit and the base
    /// branch at the time of creation.
    pub(crate) commit: String,
    pub(crate) merge_base: String,
    pub(crate) diff_hunk: String,
    pub(crate) in_reply_to: Option<u64>,
    /// Account that resolved the thread. The account is stored in the thread's first comment, even if this
    /// comment was deleted.
    pub(crate) resolved_by: Option<String>,
}

/// The file and lines of an inline comment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InlinePlace {
    pub path: String,
    /// Side and last line; `None` for a comment on the file.
    pub line: Option<(FakeDiffSide, u32)>,
    /// Side and first line of a comment on several lines; otherwise `None`.
    pub start: Option<(FakeDiffSide, u32)>,
}

#[derive(Clone, Debug)]
pub(crate) struct StoredReview {
    pub(crate) id: u64,
    pub(crate) author: String,
    pub(crate) body: String,
    pub(crate) state: FakeReviewVerdict,
    pub(crate) commit: String,
    pub(crate) created_at: i64,
}

/// The verdict of a review.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FakeReviewVerdict {
    /// No verdict about merging.
    Commented,
    /// The pull request may be merged.
    Approved,
    /// The pull request must be changed before it may be merged.
    ChangesRequested,
}

/// Current last and first line of a comment; `None` if the comment is outdated or is not on a line.
pub(crate) type CurrentLines = Option<(u32, Option<u32>)>;

impl StoredPull {
    /// Moves the reviews of a commit to a later merge of the base, as GitHub has been seen to do. The time of
    /// submission stays.
    pub(crate) fn move_review_commits(&mut self, from: &str, to: &str) {
        for review in self.reviews.iter_mut().filter(|review| review.commit == from) {
            to.clone_into(&mut review.commit);
        }
    }

    /// Returns the head that a read of the pull request returns. After a push, this may be the previous head.
    /// Each call of this function counts as one read.
    pub(crate) fn read_head(&mut self) -> String {
        match self.stale_head.take() {
            Some((old, left)) if left > 0 => {
                self.stale_head = Some((old.clone(), left - 1));
                old
            }
            Some(_) | None => self.head.clone(),
        }
    }

    /// Returns an inline comment that was not deleted.
    pub(crate) fn comment_mut(&mut self, id: u64) -> Option<&mut StoredInlineComment> {
        self.inline_comments.iter_mut().find(|comment| comment.comment.id == id && !comment.comment.deleted)
    }

    /// Returns the id of the first comment in the thread that contains a comment.
    pub(crate) fn thread_of(&self, id: u64) -> Option<u64> {
        self.inline_comments
            .iter()
            .find(|c| c.comment.id == id)
            .map(|c| c.in_reply_to.unwrap_or(c.comment.id))
    }

    /// Resolves or reopens a thread. Returns false if the thread does not exist.
    pub(crate) fn set_resolved(&mut self, thread: u64, resolver: Option<&str>) -> bool {
        let there = self
            .inline_comments
            .iter()
            .any(|c| c.in_reply_to.unwrap_or(c.comment.id) == thread && !c.comment.deleted);
        match self.inline_comments.iter_mut().find(|comment| comment.comment.id == thread) {
            Some(first) if there => {
                first.resolved_by = resolver.map(str::to_owned);
                first.comment.version += 1;
                true
            }
            Some(_) | None => false,
        }
    }

    /// Returns the account that resolved the thread of a comment.
    pub(crate) fn resolved_by(&self, id: u64) -> Option<&str> {
        let thread = self.thread_of(id)?;
        self.inline_comments.iter().find(|comment| comment.comment.id == thread)?.resolved_by.as_deref()
    }
}
