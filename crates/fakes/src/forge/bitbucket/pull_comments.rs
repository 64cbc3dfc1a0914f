//! Finds and adds comments of a pull request: in the conversation, on files and on lines. The ids of all
//! comments are from one sequence.

use crate::forge::operations::comments::{CommentCommits, add_reply};
use crate::forge::operations::reviewers::trigger_bots;
use crate::forge::state::notes::{StoredComment, list_visible_comment_ids};
use crate::forge::state::pulls::{StoredInlineComment, StoredPull};
use crate::forge::state::{ForgeInstance, StoredRepository};

/// A reference to a comment in the conversation, on a file or on lines.
#[derive(Clone, Copy)]
pub(super) struct CommentRef<'a> {
    pub(super) comment: &'a StoredComment,
    /// The comment on code, with its file and lines; `None` for a comment in the conversation.
    pub(super) inline_comment: Option<&'a StoredInlineComment>,
}

/// Returns all comments, including deleted ones, oldest first.
pub(super) fn all_comments(pull: &StoredPull) -> Vec<CommentRef<'_>> {
    let summary =
        pull.conversation_comments.iter().map(|note| CommentRef { comment: note, inline_comment: None });
    let inline = pull
        .inline_comments
        .iter()
        .map(|inline| CommentRef { comment: &inline.comment, inline_comment: Some(inline) });
    let mut all: Vec<_> = summary.chain(inline).collect();
    all.sort_by_key(|comment| comment.comment.id);
    all
}

/// Returns the comment with this id, even if it was deleted.
pub(super) fn find_any_comment(pull: &StoredPull, id: u64) -> Option<CommentRef<'_>> {
    all_comments(pull).into_iter().find(|comment| comment.comment.id == id)
}

/// Returns the comment with this id, unless it was deleted.
pub(super) fn find_comment(pull: &StoredPull, id: u64) -> Option<CommentRef<'_>> {
    find_any_comment(pull, id).filter(|comment| !comment.comment.deleted)
}

/// Returns the comment with this id for changes, unless it was deleted.
pub(super) fn find_comment_mut(pull: &mut StoredPull, id: u64) -> Option<&mut StoredComment> {
    let inline = pull.inline_comments.iter_mut().map(|comment| &mut comment.comment);
    pull.conversation_comments.iter_mut().chain(inline).find(|note| note.id == id && !note.deleted)
}

/// Returns the id of the comment to which a comment replies.
pub(super) fn parent_comment_id(comment: CommentRef<'_>) -> Option<u64> {
    comment.comment.parent_key.or_else(|| comment.inline_comment?.in_reply_to)
}

/// Returns the first comment of a comment's thread.
pub(super) fn first_comment_id(pull: &StoredPull, id: u64) -> u64 {
    let mut at = id;
    // The loop follows only parents with a smaller id than the reply, so the loop ends.
    while let Some(before) =
        find_any_comment(pull, at).and_then(parent_comment_id).filter(|before| *before < at)
    {
        at = before;
    }
    at
}

/// Returns true if a comment has a reply. Deleted replies do not count.
pub(super) fn is_answered(pull: &StoredPull, id: u64) -> bool {
    all_comments(pull)
        .into_iter()
        .any(|comment| !comment.comment.deleted && parent_comment_id(comment) == Some(id))
}

/// Returns the ids of the comments that a list shows, oldest first. A test can make a comment invisible in a
/// number of lists; each call of this function counts as one list.
pub(super) fn list_comment_ids(pull: &mut StoredPull) -> Vec<u64> {
    let inline = pull.inline_comments.iter_mut().map(|comment| &mut comment.comment);
    let mut ids = list_visible_comment_ids(pull.conversation_comments.iter_mut().chain(inline));
    ids.sort_unstable();
    ids
}

/// Adds a comment on the pull request, or a reply to a comment in the conversation or on code. Returns the id
/// of the new comment. Returns an error if a bot's script is invalid. Returns `None` if the comment that
/// should get the reply does not exist.
pub(super) fn add_comment(
    forge: &mut ForgeInstance,
    repo: &mut StoredRepository,
    number: u64,
    author: &str,
    parent: Option<u64>,
    text: &str,
) -> Result<Option<u64>, String> {
    let Some(pull) = repo.pulls.get(&number) else { return Ok(None) };
    if let Some(parent) = parent {
        let Some(answered) = find_comment(pull, parent) else { return Ok(None) };
        if answered.inline_comment.is_some() {
            let first = first_comment_id(pull, parent);
            return Ok(add_inline_reply(forge, repo, number, author, first, parent, text));
        }
    }
    let mut note = forge.new_comment(author, text);
    note.parent_key = parent;
    let id = note.id;
    if let Some(pull) = repo.pulls.get_mut(&number) {
        pull.updated_at = note.created_at;
        pull.conversation_comments.push(note);
    }
    trigger_bots(forge, repo, number, id)?;
    Ok(Some(id))
}

/// Adds a reply to a thread on code. The thread's first comment may be deleted.
fn add_inline_reply(
    forge: &mut ForgeInstance,
    repo: &mut StoredRepository,
    number: u64,
    author: &str,
    first_comment: u64,
    parent: u64,
    text: &str,
) -> Option<u64> {
    let pull = repo.pulls.get_mut(&number)?;
    let began = pull.inline_comments.iter_mut().find(|comment| comment.comment.id == first_comment)?;
    // `add_reply` accepts only replies to comments that are not deleted, so the first comment is temporarily
    // marked as not deleted.
    let was_deleted = std::mem::replace(&mut began.comment.deleted, false);
    let id = add_reply(forge, repo, number, author, first_comment, text);
    let pull = repo.pulls.get_mut(&number)?;
    if let Some(began) = pull.inline_comments.iter_mut().find(|comment| comment.comment.id == first_comment) {
        began.comment.deleted = was_deleted;
    }
    if let Some(note) = id.and_then(|id| find_comment_mut(pull, id)) {
        note.parent_key = Some(parent);
    }
    id
}

/// Returns the commits to which a new comment on the head refers.
pub(super) fn commits_at_head(repo: &StoredRepository, number: u64) -> Result<CommentCommits, String> {
    CommentCommits::from_pull(repo, number, None)
}
