//! Views of pull requests and issues for assertions in tests. A view contains all posted objects, including
//! objects that the API no longer returns.

use std::collections::{BTreeMap, HashMap};

use crate::forge::state::CommitStatus;
use crate::forge::state::checks::FakeCheckRun;
use crate::forge::state::issues::StoredIssue;
use crate::forge::state::notes::StoredComment;
use crate::forge::state::pulls::{CurrentLines, FakeReviewVerdict, InlinePlace, StoredPull, StoredReview};
use crate::forge::state::reports::CommitReport;

/// A pull request with its actual state, including objects that the API would not return.
#[derive(Clone, Debug)]
pub struct PullView {
    pub title: String,
    /// Description of the pull request.
    pub body: String,
    pub labels: Vec<String>,
    /// Newest commit of the head branch.
    pub head: String,
    /// Newest commit of the base branch.
    pub base: String,
    pub open: bool,
    pub draft: bool,
    /// All comments, including deleted comments, ordered by id.
    pub comments: Vec<CommentView>,
    /// Every review, including the review of a single inline comment.
    pub reviews: Vec<ReviewView>,
    /// Statuses of the repository by commit, oldest first.
    pub statuses: BTreeMap<String, Vec<CommitStatus>>,
    /// Check runs of the repository, oldest first.
    pub checks: Vec<FakeCheckRun>,
    /// Reports on commits of the repository, oldest first.
    pub reports: Vec<CommitReport>,
    /// Accounts that are reviewers, at Bitbucket.
    pub reviewers: Vec<String>,
}

impl PullView {
    /// Returns the existing comments on the pull request itself.
    pub fn conversation_comments(&self) -> impl Iterator<Item = &CommentView> {
        self.comments.iter().filter(|comment| comment.place.is_none() && !comment.deleted)
    }

    /// Returns the existing comments on code.
    pub fn inline_comments(&self) -> impl Iterator<Item = &CommentView> {
        self.comments.iter().filter(|comment| comment.place.is_some() && !comment.deleted)
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CommentView {
    pub id: u64,
    pub author: String,
    pub body: String,
    /// File and lines when the comment was created; `None` for a comment on the pull request itself.
    pub place: Option<InlinePlace>,
    /// Current last line at the head; `None` if the comment is outdated or is not on a line.
    pub line: Option<u32>,
    /// True if the thread of the comment is resolved.
    pub resolved: bool,
    /// Comment to which this comment replies.
    pub in_reply_to: Option<u64>,
    /// Review to which the comment belongs.
    pub review_id: Option<u64>,
    /// True if the comment was deleted.
    pub deleted: bool,
    /// Time of creation, in seconds since 1970.
    pub created_at: i64,
}

impl CommentView {
    /// Returns the view of a comment in a conversation.
    pub(crate) fn from_conversation_comment(comment: &StoredComment) -> Self {
        Self {
            id: comment.id,
            author: comment.author.clone(),
            body: comment.body.clone(),
            place: None,
            line: None,
            resolved: false,
            in_reply_to: None,
            review_id: None,
            deleted: comment.deleted,
            created_at: comment.created_at,
        }
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReviewView {
    pub id: u64,
    pub author: String,
    pub body: String,
    /// Verdict of the review.
    pub verdict: FakeReviewVerdict,
    /// Commit that was reviewed.
    pub commit: String,
}

/// Returns the view of a pull request; `lines` contains the current lines of the pull request's comments.
pub(crate) fn pull_view(
    pull: &StoredPull,
    lines: &HashMap<u64, CurrentLines>,
    all_statuses: &[CommitStatus],
    checks: &[FakeCheckRun],
    reports: &[CommitReport],
) -> PullView {
    let mut statuses: BTreeMap<String, Vec<CommitStatus>> = BTreeMap::new();
    for status in all_statuses {
        statuses.entry(status.sha.clone()).or_default().push(status.clone());
    }
    let summaries = pull.conversation_comments.iter().map(|note| (note, None));
    let inline = pull.inline_comments.iter().map(|comment| (&comment.comment, Some(comment)));
    let mut comments: Vec<CommentView> = summaries
        .chain(inline)
        .map(|(note, inline)| CommentView {
            id: note.id,
            author: note.author.clone(),
            body: note.body.clone(),
            place: inline.map(|comment| comment.place.clone()),
            line: lines.get(&note.id).copied().flatten().map(|(line, _)| line),
            resolved: pull.resolved_by(note.id).is_some() || note.resolved_by.is_some(),
            in_reply_to: inline.and_then(|comment| comment.in_reply_to).or(note.parent_key),
            review_id: inline.map(|comment| comment.review_id),
            deleted: note.deleted,
            created_at: note.created_at,
        })
        .collect();
    comments.sort_by_key(|comment| comment.id);
    let review = |review: &StoredReview| ReviewView {
        id: review.id,
        author: review.author.clone(),
        body: review.body.clone(),
        verdict: review.state,
        commit: review.commit.clone(),
    };
    PullView {
        title: pull.title.clone(),
        body: pull.body.clone(),
        labels: pull.labels.clone(),
        head: pull.head.clone(),
        base: pull.base.clone(),
        open: pull.open,
        draft: pull.draft,
        comments,
        reviews: pull.reviews.iter().map(review).collect(),
        statuses,
        checks: checks.to_vec(),
        reports: reports.to_vec(),
        reviewers: pull.merge_conditions.reviewers.clone(),
    }
}

/// An issue for assertions in tests, with all comments, including deleted comments.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IssueView {
    pub number: u64,
    pub title: String,
    pub body: String,
    /// Account that opened the issue.
    pub author: String,
    pub labels: Vec<String>,
    pub open: bool,
    pub locked: bool,
    /// Comments of the issue, including deleted ones.
    pub comments: Vec<CommentView>,
}

/// Returns the view of an issue.
pub(crate) fn issue_view(issue: &StoredIssue) -> IssueView {
    IssueView {
        number: issue.number,
        title: issue.title.clone(),
        body: issue.body.clone(),
        author: issue.author.clone(),
        labels: issue.labels.clone(),
        open: issue.open,
        locked: issue.locked,
        comments: issue.comments.iter().map(CommentView::from_conversation_comment).collect(),
    }
}
