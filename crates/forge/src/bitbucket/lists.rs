//! Converts lists of pull requests and comments of both Bitbuckets, for display and for the sweep.

use truing_core::id::{CommentId, UnixMillis};
use truing_core::port::{
    CommentKind, OpenPull, PullComment, PullListItem, PullRevision, PullState, TextWriter,
};
use url::Url;

use super::bounds::MAX_COMMENT_CHARS;
use super::calls::{BitbucketComment, BitbucketPullRequest};
use crate::listing::CachedListing;

/// Account that wrote the text of a comment. In both Bitbuckets, only the author of a comment can edit its
/// text; administrators can only delete comments.
pub(super) const TEXT_WRITER: TextWriter = TextWriter::Author;

/// Returns true if the head of the pull request is this branch of the base repository.
pub(super) fn is_from_own_branch(pull: &BitbucketPullRequest, branch: &str) -> bool {
    let id = |end: &super::calls::PullRequestRef| end.repository.as_ref().map(|(id, _)| id.clone());
    pull.head.branch == branch && id(&pull.head) == id(&pull.base)
}

pub(super) fn to_open_pull(repo: &str, pull: BitbucketPullRequest) -> OpenPull {
    let draft = pull.state == PullState::Draft;
    let (repository, repo) = pull.base.repository.unwrap_or_else(|| (String::new(), repo.to_owned()));
    let revision = PullRevision { head: pull.head.commit, base: pull.base.commit };
    OpenPull {
        repository_id: repository,
        repository_name: repo,
        number: pull.number,
        url: pull.url,
        revision,
        draft,
    }
}

pub(super) fn to_pull_list_item(pull: BitbucketPullRequest) -> PullListItem {
    PullListItem {
        number: pull.number,
        title: pull.title,
        url: pull.url,
        author: pull.author.map(|user| user.login),
        draft: pull.state == PullState::Draft,
        head: pull.head.commit,
        branch: pull.head.branch,
        base_branch: pull.base.branch,
    }
}

fn comment_kind(comment: &BitbucketComment) -> CommentKind {
    if comment.location.is_some() { CommentKind::Diff } else { CommentKind::Conversation }
}

pub(super) fn to_pull_comment(number: u64, url: &str, comment: BitbucketComment) -> PullComment {
    PullComment {
        kind: comment_kind(&comment),
        id: comment.id,
        first_comment: comment
            .parent
            .filter(|_| comment.location.is_some())
            .map(|_| CommentId::new(comment.first_comment.to_string())),
        number,
        url: url.to_owned(),
        author: comment.author.map(|user| user.to_author_account()),
        body: comment.description.chars().take(MAX_COMMENT_CHARS).collect(),
        text_writer: TEXT_WRITER,
        created: comment.created_at,
        updated: comment.updated_at,
    }
}

/// Returns a pull request's comments that were written or changed at or after `since`, oldest change first.
pub(super) fn pull_comments_since(
    number: u64,
    url: &str,
    comments: Vec<BitbucketComment>,
    since: UnixMillis,
) -> Vec<PullComment> {
    let new = comments.into_iter().filter(|note| !note.is_deleted && note.updated_at >= since);
    let mut comments: Vec<PullComment> = new.map(|note| to_pull_comment(number, url, note)).collect();
    comments.sort_by_key(|comment| (comment.updated, comment.id));
    comments
}

/// Replaces both cached lists. The first list gets these comments, grouped by pull request, from
/// conversations and diffs. The second list becomes empty.
pub(super) fn replace_cached_comments(
    [comment_listing, none]: &mut [CachedListing<PullComment>; 2],
    comments_by_url: Vec<(Url, Vec<PullComment>)>,
    complete: bool,
) {
    comment_listing.replace_parts(comments_by_url, complete);
    *none = CachedListing::empty();
}
