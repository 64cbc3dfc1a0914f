//! Creates and changes our comments on a pull request at GitHub, and sets the status of its head. Also checks
//! whether each of these writes was made.

use reqwest::Method;
use serde::Deserialize;
use serde_json::json;
use truing_core::id::{CommentId, Sha, ThreadId};
use truing_core::port::{ForgeError, InlineDraft};
use truing_core::publish::{CommentRights, CommentSubject, DesiredStatus, StatusState, ThreadState};

use super::auth::OptionalWrite;
use super::body::with_marker;
use super::client::GitHubClient;
use super::id::GitHubCommentId;
use super::{MAX_STATUS_DESCRIPTION_CHARS, STATUS_CONTEXT, body, location_fields, path_text, wire};
use crate::http::ForgeRequest;
use crate::marker::{disable_markers, normalize_text, split_marker};

/// Body of a review, which GitHub requires. The summary comment and the inline comments contain the actual
/// results.
pub(super) const REVIEW_BODY: &str =
    "The summary of this review is in Truing's comment on this pull request.";
/// Id in the marker of a review body. No finding has this id, because the ids of findings begin with a
/// version and a colon.
pub(super) const REVIEW_BODY_ID: &str = "review-body";

/// A commit status in GitHub's list.
#[derive(Deserialize)]
struct ListedCommitStatus {
    context: String,
    state: String,
    description: Option<String>,
}

/// Returns the state and description of a status in GitHub's terms.
fn status_fields(status: &DesiredStatus) -> (&'static str, String) {
    let state = match status.state {
        StatusState::Success => "success",
        StatusState::Failure => "failure",
        StatusState::Pending => "pending",
    };
    (state, body::truncate_text(&status.description, MAX_STATUS_DESCRIPTION_CHARS, "…"))
}

impl GitHubClient {
    /// Posts inline comments on `commit` in one call: either all are posted or none. The result contains the
    /// comments that can be listed now; the others are found by their markers later.
    pub(super) async fn create_review(
        &self,
        commit: &Sha,
        comments: &[InlineDraft],
    ) -> Result<Vec<(CommentSubject, CommentId)>, ForgeError> {
        if comments.is_empty() {
            return Ok(Vec::new());
        }
        let what = self.pull_purpose(&format!("posting a review (inline comments: {})", comments.len()));
        let mut drafts = Vec::with_capacity(comments.len());
        for draft in comments {
            let mut comment = location_fields(&what, &draft.location)?;
            comment["body"] = self.add_subject_marker(&draft.item, &draft.body).into();
            drafts.push(comment);
        }
        let body = self.add_subject_marker(&CommentSubject::from_word(REVIEW_BODY_ID), REVIEW_BODY);
        let review =
            json!({ "commit_id": commit.as_str(), "event": "COMMENT", "body": body, "comments": drafts });
        let url = self.url(&what, &["pulls", &self.number(), "reviews"])?;
        let made: wire::CreatedItem =
            self.send(&ForgeRequest::create(what, url, review).for_diff_comment()).await?.json()?;
        Ok(self.find_review_comments(made.id).await)
    }

    /// Posts one comment on a file of the diff.
    pub(super) async fn create_file_comment(
        &self,
        commit: &Sha,
        comment: &InlineDraft,
    ) -> Result<CommentId, ForgeError> {
        let what = self.pull_purpose("posting a comment on a file");
        let body = json!({
            "commit_id": commit.as_str(),
            "path": path_text(&what, &comment.location.path)?,
            "subject_type": "file",
            "body": self.add_subject_marker(&comment.item, &comment.body),
        });
        let url = self.url(&what, &["pulls", &self.number(), "comments"])?;
        let made: wire::CreatedItem =
            self.send(&ForgeRequest::create(what, url, body).for_diff_comment()).await?.json()?;
        Ok(GitHubCommentId::Review(made.id).to_comment_id())
    }

    pub(super) async fn create_summary(&self, body: &str) -> Result<CommentId, ForgeError> {
        let what = self.pull_purpose("posting the summary");
        let body = json!({ "body": self.add_subject_marker(&CommentSubject::Summary, body) });
        let url = self.url(&what, &["issues", &self.number(), "comments"])?;
        let made: wire::CreatedItem = self.send(&ForgeRequest::create(what, url, body)).await?.json()?;
        Ok(GitHubCommentId::Issue(made.id).to_comment_id())
    }

    /// Replaces the text of a comment of ours.
    pub(super) async fn update_comment(
        &self,
        item: &CommentSubject,
        comment: &CommentId,
        body: &str,
    ) -> Result<(), ForgeError> {
        let what = self.pull_purpose(&format!("rewriting comment {comment}"));
        let url = self.comment_url(&what, comment)?;
        let body = json!({ "body": self.add_subject_marker(item, body) });
        self.send(&ForgeRequest::set(what, Method::PATCH, url, Some(body))).await?.check_body()
    }

    /// Deletes a comment of ours.
    pub(super) async fn delete_comment(&self, comment: &CommentId) -> Result<(), ForgeError> {
        let what = self.pull_purpose(&format!("deleting comment {comment}"));
        let url = self.comment_url(&what, comment)?;
        match self.send(&ForgeRequest::set(what, Method::DELETE, url, None)).await {
            // A comment that does not exist counts as deleted: an earlier try, whose response was lost, may
            // have deleted it.
            Ok(_) | Err(ForgeError::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Sets the commit's status under our context.
    pub(super) async fn set_status(&self, status: &DesiredStatus) -> Result<(), ForgeError> {
        if let Some(app) = self.github.app_id().filter(|_| self.may_try_write(OptionalWrite::Checks)) {
            match self.record_write_result(OptionalWrite::Checks, self.set_check(app, status).await) {
                Err(_)
                    if self.is_write_refused(OptionalWrite::Checks)
                        && self.may_try_write(OptionalWrite::Statuses) => {}
                set => return set,
            }
        }
        let what = self.pull_purpose(&format!("setting the status of commit {}", status.sha.short_sha()));
        let (state, description) = status_fields(status);
        let body = json!({ "state": state, "context": STATUS_CONTEXT, "description": description });
        let url = self.url(&what, &["statuses", status.sha.as_str()])?;
        // Each call adds a row to the status history of the commit, so the call is never repeated
        // automatically.
        let set = self.send(&ForgeRequest::create(what, url, body)).await;
        self.record_write_result(OptionalWrite::Statuses, set)?.check_body()
    }

    /// Returns true if the commit has this status under our context. Check runs are not searched, because
    /// setting a check run again only updates the existing check run.
    pub(super) async fn has_status(&self, status: &DesiredStatus) -> Result<bool, ForgeError> {
        if self.github.app_id().is_some() && !self.is_write_refused(OptionalWrite::Checks) {
            return Ok(false);
        }
        let what = self.pull_purpose(&format!("reading the status of commit {}", status.sha.short_sha()));
        let url = self.list_url(&what, &["commits", status.sha.as_str(), "statuses"], &[])?;
        let newest_first: Vec<ListedCommitStatus> =
            self.send(&ForgeRequest::get(what.as_str(), url)).await?.json()?;
        let ours = newest_first.into_iter().find(|one| one.context == STATUS_CONTEXT);
        let (state, description) = status_fields(status);
        Ok(ours.is_some_and(|ours| ours.state == state && ours.description == Some(description)))
    }

    /// Returns the given items that comments of our current account show, each with the id of its comment.
    pub(super) async fn find_shown_items(
        &self,
        items: &[&CommentSubject],
    ) -> Result<Vec<(CommentSubject, CommentId)>, ForgeError> {
        let seen = self.list_observed(&[]).await?.into_iter();
        let ours = seen
            .filter(|seen| seen.rights == CommentRights::CurrentAccount && items.contains(&&seen.subject));
        Ok(ours.map(|seen| (seen.subject, seen.id)).collect())
    }

    /// Returns true if this comment of ours has this text.
    pub(super) async fn has_text(&self, comment: &CommentId, text: &str) -> Result<bool, ForgeError> {
        let read = self.read_comment(comment).await?;
        Ok(read.is_some_and(|read| split_marker(&read).0 == normalize_text(&disable_markers(text))))
    }

    /// Returns true if this comment is gone.
    pub(super) async fn is_comment_deleted(&self, comment: &CommentId) -> Result<bool, ForgeError> {
        Ok(self.read_comment(comment).await?.is_none())
    }

    /// Returns true if this thread is open.
    pub(super) async fn is_thread_open(&self, thread: &ThreadId) -> Result<bool, ForgeError> {
        let threads = self.thread_states().await?;
        let mut these = threads.iter().filter(|one| one.thread.id == *thread);
        Ok(these.any(|one| one.thread.state == ThreadState::Open))
    }

    /// Reads the text of a comment, including its marker; `None` if the comment is gone.
    async fn read_comment(&self, comment: &CommentId) -> Result<Option<String>, ForgeError> {
        let what = self.pull_purpose(&format!("reading comment {comment}"));
        let url = self.comment_url(&what, comment)?;
        match self.send(&ForgeRequest::get(what.as_str(), url)).await {
            Ok(answer) => Ok(Some(answer.json::<wire::GitHubComment>()?.body.unwrap_or_default())),
            Err(ForgeError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns a text with the marker of an item as its last line, ready to post.
    fn add_subject_marker(&self, item: &CommentSubject, text: &str) -> String {
        with_marker(text, &self.marker_keys().sign(&self.id, self.producer, item))
    }

    /// Returns the ids of the comments of a new review, found by their markers. A comment that cannot be
    /// listed now is found by its marker later, so errors are ignored.
    async fn find_review_comments(&self, review: u64) -> Vec<(CommentSubject, CommentId)> {
        let what = self.pull_purpose("listing the comments of a new review");
        let mut known = Vec::new();
        let url =
            self.list_url(&what, &["pulls", &self.number(), "reviews", &review.to_string(), "comments"], &[]);
        if let Ok(url) = url {
            let each = |comment: wire::GitHubComment| {
                if let Some((item, ..)) = self.parse_comment_subject(&comment) {
                    known.push((item, GitHubCommentId::Review(comment.id).to_comment_id()));
                }
            };
            // The review exists. An error would suggest that the review may not exist.
            let _ = self.github.read_pages(self.scope(), &what, url, each).await;
        }
        known
    }
}
