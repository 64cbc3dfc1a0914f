//! Creates comments on code, and checks the file and lines of such a comment.

use crate::forge::diff::DiffPlaceError;
use crate::forge::state::notes::StoredComment;
use crate::forge::state::pulls::{FakeReviewVerdict, InlinePlace, StoredInlineComment, StoredReview};
use crate::forge::state::{ForgeInstance, StoredRepository};

/// The commit to which comments refer, and the merge base of this commit and the pull request's base.
pub(crate) struct CommentCommits {
    commit: String,
    merge_base: String,
}

impl CommentCommits {
    /// Returns the given commit, or the head if no commit is given, together with the merge base.
    pub(crate) fn from_pull(
        repo: &StoredRepository,
        number: u64,
        commit: Option<&str>,
    ) -> Result<Self, String> {
        let no_commit = || format!("No commit found for SHA: {}", commit.unwrap_or_default());
        let pull = repo.pulls.get(&number).ok_or_else(no_commit)?;
        let sha = commit.unwrap_or(&pull.head);
        let merge_base = repo.git.merge_base(&pull.base, sha).ok_or_else(no_commit)?;
        Ok(Self { commit: sha.to_owned(), merge_base })
    }

    /// Checks, as GitHub does, that the file and lines are part of the diff. Returns the hunk that a forge
    /// shows with the comment.
    pub(crate) fn find_commented_hunk(
        &self,
        repo: &mut StoredRepository,
        number: u64,
        place: &InlinePlace,
    ) -> Result<String, String> {
        let Some(pull) = repo.pulls.get(&number) else { return Err("the pull request is gone".into()) };
        let diff =
            repo.diffs.pull_diff(&repo.git, &pull.base, &self.commit).map_err(|error| error.to_string())?;
        let thread = "Pull request review thread";
        match place.line {
            None if diff.has_file(&place.path) => Ok(String::new()),
            None => Err("Path could not be resolved".into()),
            Some(line) => diff.check_place(&place.path, line, place.start).map_err(|bad| match bad {
                DiffPlaceError::FileNotInDiff => "Path could not be resolved".to_owned(),
                DiffPlaceError::LineNotInDiff => format!("{thread} line must be part of the diff"),
                DiffPlaceError::InvalidStartLine => {
                    format!("{thread} start line must be part of the same hunk as the line.")
                }
            }),
        }
    }

    /// Returns the commit to which the comments refer.
    pub(crate) fn commit(&self) -> &str {
        &self.commit
    }

    /// Returns a comment on this file or these lines.
    pub(crate) fn new_comment(
        &self,
        comment: StoredComment,
        review_id: u64,
        place: InlinePlace,
        diff_hunk: String,
    ) -> StoredInlineComment {
        let (commit, merge_base) = (self.commit.clone(), self.merge_base.clone());
        StoredInlineComment {
            comment,
            review_id,
            place,
            commit,
            merge_base,
            diff_hunk,
            in_reply_to: None,
            resolved_by: None,
        }
    }
}

/// The commits, the file and lines, and the hunk of a new comment on code.
pub(crate) struct InlineTarget {
    pub(crate) commits: CommentCommits,
    pub(crate) place: InlinePlace,
    /// The hunk that contains the lines.
    pub(crate) hunk: String,
}

/// Adds a comment on code in a separate review, as GitHub does, and returns the id of the comment.
pub(crate) fn add_inline_comment(
    forge: &mut ForgeInstance,
    repo: &mut StoredRepository,
    number: u64,
    author: &str,
    body: &str,
    target: InlineTarget,
) -> u64 {
    let InlineTarget { commits: spot, place, hunk } = target;
    let note = forge.new_comment(author, body);
    let commit = spot.commit.clone();
    let review = StoredReview {
        id: forge.next_id(),
        author: author.to_owned(),
        body: String::new(),
        state: FakeReviewVerdict::Commented,
        commit,
        created_at: note.created_at,
    };
    let comment = spot.new_comment(note, review.id, place, hunk);
    let id = comment.comment.id;
    if let Some(pull) = repo.pulls.get_mut(&number) {
        pull.updated_at = comment.comment.created_at;
        pull.inline_comments.push(comment);
        pull.reviews.push(review);
    }
    id
}

/// Adds a reply to the thread whose first comment has this id. Returns `None` if the comment is not the first
/// comment of a thread.
pub(crate) fn add_reply(
    forge: &mut ForgeInstance,
    repo: &mut StoredRepository,
    number: u64,
    author: &str,
    first_comment: u64,
    body: &str,
) -> Option<u64> {
    let pull = repo.pulls.get_mut(&number)?;
    let began = pull.comment_mut(first_comment).filter(|comment| comment.in_reply_to.is_none())?.clone();
    let spot = CommentCommits { commit: began.commit, merge_base: began.merge_base };
    let target = InlineTarget { commits: spot, place: began.place, hunk: began.diff_hunk };
    let id = add_inline_comment(forge, repo, number, author, body, target);
    repo.pulls.get_mut(&number)?.comment_mut(id)?.in_reply_to = Some(first_comment);
    Some(id)
}
