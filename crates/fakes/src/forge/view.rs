//! Pull requests and issues for assertions: everything that was ever posted, also what the API no longer
//! shows.

use std::collections::{BTreeMap, HashMap};

use crate::forge::state::CommitStatus;
use crate::forge::state::checks::FakeCheckRun;
use crate::forge::state::issues::StoredIssue;
use crate::forge::state::notes::StoredComment;
use crate::forge::state::pulls::{CurrentLines, FakeReviewVerdict, InlinePlace, StoredPull, StoredReview};
use crate::forge::state::reports::CommitReport;

/// A pull request as it is, also where the API would not show it.
#[derive(Clone, Debug)]
pub struct PullView {
    /// Its title.
    pub title: String,
    /// Its description.
    pub body: String,
    /// Its labels.
    pub labels: Vec<String>,
    /// Its newest commit.
    pub head: String,
    /// The tip of its base branch.
    pub base: String,
    /// Open?
    pub open: bool,
    /// Draft?
    pub draft: bool,
    /// Every comment ever made, by id.
    pub comments: Vec<CommentView>,
    /// Every review, a lone inline comment's own ones included.
    pub reviews: Vec<ReviewView>,
    /// The repository's statuses by commit, oldest first.
    pub statuses: BTreeMap<String, Vec<CommitStatus>>,
    /// The repository's check runs, oldest first.
    pub checks: Vec<FakeCheckRun>,
    /// The repository's reports on commits, oldest first.
    pub reports: Vec<CommitReport>,
    /// Whose review is wanted, at Bitbucket.
    pub reviewers: Vec<String>,
}

impl PullView {
    /// The comments that are there, on the pull request itself.
    pub fn summaries(&self) -> impl Iterator<Item = &CommentView> {
        self.comments.iter().filter(|comment| comment.place.is_none() && !comment.deleted)
    }

    /// The comments that are there, on code.
    pub fn inline(&self) -> impl Iterator<Item = &CommentView> {
        self.comments.iter().filter(|comment| comment.place.is_some() && !comment.deleted)
    }
}

/// A comment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CommentView {
    /// Its id.
    pub id: u64,
    /// Who made it.
    pub author: String,
    /// Its text.
    pub body: String,
    /// Where it was put; none for one on the pull request itself.
    pub place: Option<InlinePlace>,
    /// Its last line at the head; none if outdated or on no line.
    pub line: Option<u32>,
    /// Is its thread resolved?
    pub resolved: bool,
    /// The comment it answers.
    pub in_reply_to: Option<u64>,
    /// The review it belongs to.
    pub review: Option<u64>,
    /// Deleted since?
    pub deleted: bool,
    /// When, seconds since 1970.
    pub created: i64,
}

impl CommentView {
    /// A comment in a conversation.
    pub(crate) fn in_conversation(note: &StoredComment) -> Self {
        Self {
            id: note.id,
            author: note.author.clone(),
            body: note.body.clone(),
            place: None,
            line: None,
            resolved: false,
            in_reply_to: None,
            review: None,
            deleted: note.deleted,
            created: note.created,
        }
    }
}

/// A review.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReviewView {
    /// Its id.
    pub id: u64,
    /// Who made it.
    pub author: String,
    /// Its text.
    pub body: String,
    /// What it says.
    pub state: FakeReviewVerdict,
    /// The commit it is of.
    pub commit: String,
}

/// The view of a pull request; `lines` says where its comments are now.
pub(crate) fn view(
    pull: &StoredPull,
    lines: &HashMap<u64, CurrentLines>,
    all: &[CommitStatus],
    (checks, reports): (&[FakeCheckRun], &[CommitReport]),
) -> PullView {
    let mut statuses: BTreeMap<String, Vec<CommitStatus>> = BTreeMap::new();
    for status in all {
        statuses.entry(status.sha.clone()).or_default().push(status.clone());
    }
    let summaries = pull.summary.iter().map(|note| (note, None));
    let inline = pull.inline.iter().map(|comment| (&comment.note, Some(comment)));
    let mut comments: Vec<CommentView> = summaries
        .chain(inline)
        .map(|(note, inline)| CommentView {
            id: note.id,
            author: note.author.clone(),
            body: note.body.clone(),
            place: inline.map(|comment| comment.place.clone()),
            line: lines.get(&note.id).copied().flatten().map(|(line, _)| line),
            resolved: pull.resolved_by(note.id).is_some() || note.resolved_by.is_some(),
            in_reply_to: inline.and_then(|comment| comment.in_reply_to).or(note.parent),
            review: inline.map(|comment| comment.review),
            deleted: note.deleted,
            created: note.created,
        })
        .collect();
    comments.sort_by_key(|comment| comment.id);
    let review = |review: &StoredReview| ReviewView {
        id: review.id,
        author: review.author.clone(),
        body: review.body.clone(),
        state: review.state,
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
        reviewers: pull.around.reviewers.clone(),
    }
}

/// An issue for assertions, with every comment ever made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IssueView {
    /// Its number.
    pub number: u64,
    /// Its title.
    pub title: String,
    /// Its text.
    pub body: String,
    /// Who opened it.
    pub author: String,
    /// Its labels.
    pub labels: Vec<String>,
    /// Open?
    pub open: bool,
    /// Locked?
    pub locked: bool,
    /// Its comments, deleted ones too.
    pub comments: Vec<CommentView>,
}

/// The view of an issue.
pub(crate) fn issue_view(issue: &StoredIssue) -> IssueView {
    IssueView {
        number: issue.number,
        title: issue.title.clone(),
        body: issue.body.clone(),
        author: issue.author.clone(),
        labels: issue.labels.clone(),
        open: issue.open,
        locked: issue.locked,
        comments: issue.notes.iter().map(CommentView::in_conversation).collect(),
    }
}
