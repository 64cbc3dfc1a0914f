//! The comments of a pull request: in its conversation, on files and on lines, in one row of numbers.

use crate::forge::operations::comments::{CommentCommits, add_reply};
use crate::forge::operations::reviewers::hear;
use crate::forge::state::notes::{StoredComment, visible};
use crate::forge::state::pulls::{StoredInlineComment, StoredPull};
use crate::forge::state::{ForgeInstance, StoredRepository};

/// A comment, wherever it is.
#[derive(Clone, Copy)]
pub(super) struct CommentRef<'a> {
    pub(super) note: &'a StoredComment,
    /// The same with its place; none in the conversation.
    pub(super) inline: Option<&'a StoredInlineComment>,
}

/// All comments, deleted ones too, oldest first.
pub(super) fn all(pull: &StoredPull) -> Vec<CommentRef<'_>> {
    let summary = pull.summary.iter().map(|note| CommentRef { note, inline: None });
    let inline = pull.inline.iter().map(|inline| CommentRef { note: &inline.note, inline: Some(inline) });
    let mut all: Vec<_> = summary.chain(inline).collect();
    all.sort_by_key(|comment| comment.note.id);
    all
}

/// A comment, deleted or not.
pub(super) fn any(pull: &StoredPull, id: u64) -> Option<CommentRef<'_>> {
    all(pull).into_iter().find(|comment| comment.note.id == id)
}

/// A comment that is there.
pub(super) fn find(pull: &StoredPull, id: u64) -> Option<CommentRef<'_>> {
    any(pull, id).filter(|comment| !comment.note.deleted)
}

/// A comment that is there, to be changed.
pub(super) fn note_mut(pull: &mut StoredPull, id: u64) -> Option<&mut StoredComment> {
    let inline = pull.inline.iter_mut().map(|comment| &mut comment.note);
    pull.summary.iter_mut().chain(inline).find(|note| note.id == id && !note.deleted)
}

/// The comment that a comment answers.
pub(super) fn parent(comment: CommentRef<'_>) -> Option<u64> {
    comment.note.parent.or_else(|| comment.inline?.in_reply_to)
}

/// The first comment of a comment's thread.
pub(super) fn first(pull: &StoredPull, id: u64) -> u64 {
    let mut at = id;
    // Numbers grow, so parents come to an end.
    while let Some(before) = any(pull, at).and_then(parent).filter(|before| *before < at) {
        at = before;
    }
    at
}

/// Has anybody answered a comment? Answers that are deleted do not count.
pub(super) fn is_answered(pull: &StoredPull, id: u64) -> bool {
    all(pull).into_iter().any(|comment| !comment.note.deleted && parent(comment) == Some(id))
}

/// The numbers of the comments that a list shows, oldest first; the list counts for those that are to come
/// late.
pub(super) fn shown(pull: &mut StoredPull) -> Vec<u64> {
    let inline = pull.inline.iter_mut().map(|comment| &mut comment.note);
    let mut ids = visible(pull.summary.iter_mut().chain(inline));
    ids.sort_unstable();
    ids
}

/// Comments on the pull request itself, or answers a comment there or on code; the comment's number. The
/// error says what is wrong with a bot's script; none: there is no comment to answer.
pub(super) fn say(
    world: &mut ForgeInstance,
    repo: &mut StoredRepository,
    number: u64,
    by: &str,
    (parent, text): (Option<u64>, &str),
) -> Result<Option<u64>, String> {
    let Some(pull) = repo.pulls.get(&number) else { return Ok(None) };
    if let Some(parent) = parent {
        let Some(answered) = find(pull, parent) else { return Ok(None) };
        if answered.inline.is_some() {
            let first = first(pull, parent);
            return Ok(answer_on_code(world, repo, number, by, (first, parent), text));
        }
    }
    let mut note = world.note(by, text);
    note.parent = parent;
    let id = note.id;
    if let Some(pull) = repo.pulls.get_mut(&number) {
        pull.updated = note.created;
        pull.summary.push(note);
    }
    hear(world, repo, number, id)?;
    Ok(Some(id))
}

/// Answers in a thread on code; the first comment may be deleted by now.
fn answer_on_code(
    world: &mut ForgeInstance,
    repo: &mut StoredRepository,
    number: u64,
    by: &str,
    (first, parent): (u64, u64),
    text: &str,
) -> Option<u64> {
    let pull = repo.pulls.get_mut(&number)?;
    let began = pull.inline.iter_mut().find(|comment| comment.note.id == first)?;
    // The operation answers what is there.
    let was_deleted = std::mem::replace(&mut began.note.deleted, false);
    let id = add_reply(world, repo, number, by, first, text);
    let pull = repo.pulls.get_mut(&number)?;
    if let Some(began) = pull.inline.iter_mut().find(|comment| comment.note.id == first) {
        began.note.deleted = was_deleted;
    }
    if let Some(note) = id.and_then(|id| note_mut(pull, id)) {
        note.parent = Some(parent);
    }
    id
}

/// The spot of a comment on the head.
pub(super) fn at_head(repo: &StoredRepository, number: u64) -> Result<CommentCommits, String> {
    CommentCommits::of(repo, number, None)
}
