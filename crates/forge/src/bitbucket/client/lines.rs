//! Creates comments on lines, for loops and tools. Each topic has at most one comment, which is created only
//! on the commit for which it was written.

use truing_core::finding::CodeLocation;
use truing_core::id::{CommentId, Sha, Topic};
use truing_core::port::{ForgeError, LineComment, ReviewThread};

use super::super::address::rejected_error;
use super::super::calls::{BitbucketApi, DiffPlace, NewBitbucketComment};
use super::BitbucketClient;
use super::comments::{comment_id, is_same_text, parse_comment_number};
use crate::capability::AnchorCommit;
use crate::http::unavailable_error;
use crate::marker::strip_legacy_marker;

/// Returns the error for a comment on a commit that is no longer the head.
fn head_moved_error(purpose: &str) -> ForgeError {
    rejected_error(purpose, "the head of the pull request has changed")
}

/// Converts an error that occurred after comments were created. The new error reports that a comment may
/// exist on a line of another commit.
fn to_uncertain_comment_error(error: ForgeError) -> ForgeError {
    match error {
        ForgeError::Unavailable { .. } => error,
        ForgeError::Unauthorized { ref request }
        | ForgeError::Forbidden { ref request, .. }
        | ForgeError::NotFound { ref request }
        | ForgeError::Moved { ref request }
        | ForgeError::Rejected { ref request, .. }
        | ForgeError::Stale { ref request, .. }
        | ForgeError::RateLimited { ref request, .. } => uncertain_comment_error(request, &error),
        ForgeError::Halted(ref halt) => {
            uncertain_comment_error(halt.withheld_write.as_deref().unwrap_or_default(), &error)
        }
    }
}

fn uncertain_comment_error(purpose: &str, error: &ForgeError) -> ForgeError {
    unavailable_error(purpose, &format!("a comment was posted, but may be on the wrong line: {error}"))
}

/// Returns Truing's line comment on this topic, if the comment's lines still exist.
fn own_line_comment<'a>(threads: &'a [ReviewThread], topic: &Topic) -> Option<&'a LineComment> {
    let mut comments = threads.iter().flat_map(|thread| &thread.comments);
    comments.find(|comment| comment.topic.as_ref() == Some(topic) && comment.line.is_some())
}

/// Returns the comment with the same text on the same line, if the tool used before Truing wrote this
/// comment. Truing's account must have written it.
fn find_predecessor_line_comment<'a>(
    threads: &'a [ReviewThread],
    location: &CodeLocation,
    body: &str,
) -> Option<&'a LineComment> {
    let here = threads.iter().filter(|thread| Some(thread.path.as_str()) == location.path.as_str());
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    here.filter_map(|thread| thread.comments.first()).find(|comment| {
        comment.author.as_ref().is_some_and(|author| author.is_own_account)
            && comment.topic.is_none()
            && comment.line == Some(location.end_line)
            && strip_legacy_marker(&comment.body).is_some_and(|text| words(&text) == words(body))
    })
}

impl<C: BitbucketApi> BitbucketClient<C> {
    /// Returns Truing's line comment on this topic, if the comment has this text and its lines still exist.
    pub(super) async fn find_line_comment_with_body(
        &self,
        topic: &Topic,
        body: &str,
    ) -> Result<Option<CommentId>, ForgeError> {
        let threads = self.list_threads().await?;
        let found = own_line_comment(&threads, topic).filter(|comment| is_same_text(&comment.body, body));
        Ok(found.map(|comment| comment.id.clone()))
    }

    pub(super) async fn upsert_line_comment(
        &self,
        commit: &Sha,
        location: &CodeLocation,
        topic: &Topic,
        body: &str,
    ) -> Result<CommentId, ForgeError> {
        let threads = self.list_threads().await?;
        let found = own_line_comment(&threads, topic)
            .or_else(|| find_predecessor_line_comment(&threads, location, body));
        let Some(comment) = found.cloned() else {
            let what = self.describe_pull_operation("commenting on the diff");
            let mut made = self.post_line_comments(&what, commit, &[(location, topic, body)]).await?;
            return made.pop().unwrap_or_else(|| Err(head_moved_error(&what)));
        };
        if comment.topic.is_none() || !is_same_text(&comment.body, body) {
            let id = parse_comment_number(&self.describe_pull_operation("rewriting a comment"), &comment.id)?;
            self.rewrite_comment(id, &self.add_topic_marker(self.id.number, topic, body)).await?;
        }
        Ok(comment.id)
    }

    /// Creates comments on lines of this commit. For each draft, the result contains the comment, or the
    /// error with which the forge rejected it. Some forges always attach comments to the current head. At
    /// such a forge, this commit must be the head before and after the calls. Otherwise the created comments
    /// are deleted, and the result contains errors.
    pub(super) async fn post_line_comments(
        &self,
        purpose: &str,
        commit: &Sha,
        drafts: &[(&CodeLocation, &Topic, &str)],
    ) -> Result<Vec<Result<CommentId, ForgeError>>, ForgeError> {
        if drafts.is_empty() {
            return Ok(Vec::new());
        }
        if !self.is_head(purpose, commit).await? {
            return Ok(drafts.iter().map(|_| Err(head_moved_error(purpose))).collect());
        }
        let mut placed = Vec::with_capacity(drafts.len());
        for (place, topic, body) in drafts {
            match self.post_diff_comment(purpose, DiffPlace::Lines(commit, place), topic, body).await {
                posted @ (Ok(_) | Err(ForgeError::Rejected { .. })) => placed.push(posted),
                Err(error) => return Err(error),
            }
        }
        if placed.iter().any(Result::is_ok)
            && !self.is_head(purpose, commit).await.map_err(to_uncertain_comment_error)?
        {
            for posted in &mut placed {
                if let Ok(comment) = posted {
                    self.delete_comment(comment).await.map_err(to_uncertain_comment_error)?;
                    *posted = Err(head_moved_error(purpose));
                }
            }
        }
        Ok(placed)
    }

    /// Returns true if this commit is the head. If the forge attaches comments to the commit in the call, no
    /// request is needed, and the result is always true.
    async fn is_head(&self, purpose: &str, commit: &Sha) -> Result<bool, ForgeError> {
        let follows_head = self.api.forge_capability().anchor_commit == AnchorCommit::Head;
        Ok(!follows_head || self.read_pull(purpose, self.id.number).await?.head.commit == *commit)
    }

    async fn post_diff_comment(
        &self,
        purpose: &str,
        diff_place: DiffPlace<'_>,
        topic: &Topic,
        body: &str,
    ) -> Result<CommentId, ForgeError> {
        let text = self.add_topic_marker(self.id.number, topic, body);
        let new = NewBitbucketComment { description: &text, parent: None, location: Some(diff_place) };
        Ok(comment_id(self.api.create_comment(purpose, &self.repo, self.id.number, new).await?.id))
    }
}
