//! Posts our reviews: one review for each audit, even if a response was lost or a comment was rejected.

use std::collections::HashMap;

use serde_json::{Value, json};
use truing_core::finding::CodeLocation;
use truing_core::id::{CommentId, ReviewId, Sha, Topic};
use truing_core::port::{
    AuditMark, ForgeError, LineComment, LineDraft, PostedReview, PullReview, ReviewDraft, ReviewEvent,
    ReviewThread,
};
use truing_core::publish::ThreadState;

use super::{GitHubClient, bodies};
use crate::github::id::GitHubCommentId;
use crate::github::{location_fields, wire};
use crate::http::ForgeRequest;

/// A thread that we began.
struct GitHubOwnThread {
    /// Comment that began the thread.
    first_comment: CommentId,
    /// Address of the page of the thread.
    url: String,
    is_open: bool,
}

/// Returns the comments that began the threads.
fn first_comments(own_threads: &HashMap<Topic, GitHubOwnThread>) -> HashMap<Topic, CommentId> {
    own_threads
        .iter()
        .map(|(topic, own_threads)| (topic.clone(), own_threads.first_comment.clone()))
        .collect()
}

/// Returns our threads on the diff by topic. If a topic has several threads, returns the newest open thread,
/// or the newest thread if none is open.
fn own_threads_by_topic(threads: &[ReviewThread]) -> HashMap<Topic, GitHubOwnThread> {
    let mut own: HashMap<Topic, GitHubOwnThread> = HashMap::new();
    for thread in threads {
        let is_open = is_open(thread);
        let Some(first) = thread.comments.first() else { continue };
        let Some(topic) = first.topic.clone() else { continue };
        if is_open || !own.get(&topic).is_some_and(|known| known.is_open) {
            own.insert(
                topic,
                GitHubOwnThread { first_comment: first.id.clone(), url: first.url.clone(), is_open },
            );
        }
    }
    own
}

/// Returns true if a thread is open. A thread without a known state counts as open, because GitHub may not
/// list the thread of a new comment yet.
fn is_open(thread: &ReviewThread) -> bool {
    thread.thread.as_ref().is_none_or(|known| known.state == ThreadState::Open)
}

/// Returns the address of the open thread in which one of our reviews shows this finding on these lines. A
/// thread on other lines is about another occurrence of the same text in the file.
fn open_thread_url<'a>(threads: &'a [ReviewThread], finding: &LineDraft) -> Option<&'a str> {
    let LineDraft { location: place, topic, .. } = finding;
    let is_here = |first: &&LineComment| {
        let is_there = |line: u32| (place.start_line..=place.end_line).contains(&line);
        first.finding_topic.as_ref() == Some(topic) && first.line.is_some_and(is_there)
    };
    let path = place.path.to_string();
    let open = threads.iter().filter(|thread| is_open(thread) && thread.path == path);
    open.filter_map(|thread| thread.comments.first()).find(is_here).map(|first| first.url.as_str())
}

impl GitHubClient {
    pub(super) async fn send_review(&self, draft: &ReviewDraft) -> Result<PostedReview, ForgeError> {
        let what = self.pull_purpose(&format!("posting the review of audit {}", draft.mark.audit));
        let threads = self.list_threads().await?;
        let own = own_threads_by_topic(&threads);
        let mut there = first_comments(&own);
        if let Some(posted) = self.find_posted_review(&what, draft, &there).await? {
            return Ok(posted);
        }
        let event = self.review_event_name(&what, draft.event).await?;
        // A finding whose thread was resolved gets a new comment if it is found again. A finding whose thread
        // is open gets no new comment, because the open thread already contains the discussion.
        let page = |finding: &LineDraft| {
            let own = own.get(&finding.topic).filter(|own| own.is_open).map(|own| own.url.as_str());
            own.or_else(|| open_thread_url(&threads, finding))
        };
        let open: Vec<(&LineDraft, &str)> =
            draft.findings.iter().filter_map(|finding| Some((finding, page(finding)?))).collect();
        let new: Vec<&LineDraft> = draft.findings.iter().filter(|finding| page(finding).is_none()).collect();
        let text = |rejected_findings: &[&LineDraft]| {
            draft.render_text(rejected_findings, &open, self.max_text_length())
        };
        let rejected_findings = match self.post_review(&what, &draft.mark, event, &new, text(&[])).await {
            Err(rejected_findings @ ForgeError::Rejected { .. }) => rejected_findings,
            Ok(id) => return Ok(self.with_comments(&what, draft, id, there).await),
            Err(error) => return Err(error),
        };
        if new.is_empty() {
            return Err(rejected_findings);
        }
        // If one location is invalid, GitHub rejects the whole review without naming the location. So each
        // finding is posted separately, and the review lists the rejected findings. After an interruption,
        // the next try finds the comments that were already posted.
        let mut bad = Vec::new();
        for finding in new {
            let LineDraft { location: place, topic, body, .. } = finding;
            match self.create_line_comment(&what, &draft.mark.commit, place, topic, body).await {
                Ok(comment) => {
                    there.insert(finding.topic.clone(), comment);
                }
                Err(ForgeError::Rejected { .. }) => bad.push(finding),
                Err(error) => return Err(error),
            }
        }
        let id = self.post_review(&what, &draft.mark, event, &[], text(&bad)).await?;
        Ok(self.with_comments(&what, draft, id, there).await)
    }

    /// Returns the review of the draft's audit, if the review was posted.
    pub(super) async fn find_sent_review(
        &self,
        draft: &ReviewDraft,
    ) -> Result<Option<PostedReview>, ForgeError> {
        let what = self.pull_purpose(&format!("looking for the review of audit {}", draft.mark.audit));
        let there = first_comments(&own_threads_by_topic(&self.list_threads().await?));
        self.find_posted_review(&what, draft, &there).await
    }

    /// Returns the review of the draft's audit, or our comment that contains the complete review; `None` if
    /// neither exists.
    pub(super) async fn find_review_or_comment(
        &self,
        draft: &ReviewDraft,
    ) -> Result<Option<PostedReview>, ForgeError> {
        if let Some(posted) = self.find_sent_review(draft).await? {
            return Ok(Some(posted));
        }
        let text = draft.render_as_comment(self.max_text_length());
        Ok(self.find_comment_with_body(&draft.mark.topic(), &text).await?.map(PostedReview::Comment))
    }

    pub(super) async fn post_review_as_comment(
        &self,
        draft: &ReviewDraft,
    ) -> Result<PostedReview, ForgeError> {
        if let Some(posted) = self.find_sent_review(draft).await? {
            return Ok(posted);
        }
        let text = draft.render_as_comment(self.max_text_length());
        Ok(PostedReview::Comment(self.upsert_comment(&draft.mark.topic(), &text).await?))
    }

    /// Returns the maximum length of the text of a review or comment.
    fn max_text_length(&self) -> usize {
        crate::capability::GITHUB.publish_limits(self.github.inner.options.settle_delay).max_body_length
    }

    async fn find_posted_review(
        &self,
        purpose: &str,
        draft: &ReviewDraft,
        posted_comments: &HashMap<Topic, CommentId>,
    ) -> Result<Option<PostedReview>, ForgeError> {
        let reviews = self.list_reviews(purpose).await?;
        let is_it =
            |review: &PullReview| review.audit_mark().is_some_and(|mark| mark.is_same_audit(&draft.mark));
        let found = reviews.into_iter().find(is_it);
        Ok(found.map(|review| PostedReview::Review {
            id: review.id,
            comments: finding_comments(draft, posted_comments),
        }))
    }

    /// Returns GitHub's name for the event of a review. On our own pull request, the event is `COMMENT`,
    /// because GitHub does not let authors request changes on their own pull request.
    async fn review_event_name(&self, purpose: &str, event: ReviewEvent) -> Result<&'static str, ForgeError> {
        let own = match event {
            // A verdict is withdrawn by dismissing its review. This client cannot dismiss a review, so it
            // posts only a comment.
            ReviewEvent::Comment | ReviewEvent::Withdraw => true,
            ReviewEvent::RequestChanges => {
                let accounts = self.accounts().await?;
                self.read_raw_pull(purpose)
                    .await?
                    .user
                    .is_some_and(|user| accounts.account_kind(&user).is_some())
            }
        };
        Ok(if own { "COMMENT" } else { "REQUEST_CHANGES" })
    }

    async fn post_review(
        &self,
        purpose: &str,
        mark: &AuditMark,
        event: &str,
        line_drafts: &[&LineDraft],
        text: String,
    ) -> Result<ReviewId, ForgeError> {
        let body = self.add_topic_marker(self.id.number, &mark.topic(), &text);
        let comments = line_drafts
            .iter()
            .map(|finding| self.line_comment_body(purpose, &finding.location, &finding.topic, &finding.body));
        let review = json!({
            "commit_id": mark.commit.as_str(), "event": event, "body": body,
            "comments": comments.collect::<Result<Vec<_>, _>>()?,
        });
        let url = self.url(purpose, &["pulls", &self.number(), "reviews"])?;
        let call = ForgeRequest::create(purpose, url, review);
        let call = if line_drafts.is_empty() { call } else { call.for_diff_comment() };
        let made: wire::CreatedItem = self.send(&call).await?.json()?;
        Ok(ReviewId::new(made.id.to_string()))
    }

    /// Creates a single comment on lines of the diff.
    pub(super) async fn create_line_comment(
        &self,
        purpose: &str,
        commit: &Sha,
        location: &CodeLocation,
        topic: &Topic,
        body: &str,
    ) -> Result<CommentId, ForgeError> {
        let mut comment = self.line_comment_body(purpose, location, topic, body)?;
        comment["commit_id"] = commit.as_str().into();
        let url = self.url(purpose, &["pulls", &self.number(), "comments"])?;
        let made: wire::CreatedItem =
            self.send(&ForgeRequest::create(purpose, url, comment).for_diff_comment()).await?.json()?;
        Ok(GitHubCommentId::Review(made.id).to_comment_id())
    }

    fn line_comment_body(
        &self,
        purpose: &str,
        location: &CodeLocation,
        topic: &Topic,
        body: &str,
    ) -> Result<Value, ForgeError> {
        let mut comment = location_fields(purpose, location)?;
        comment["body"] = self.add_topic_marker(self.id.number, topic, body).into();
        Ok(comment)
    }

    /// Adds the comments of a new review to the posted comments, and returns the review with them. A comment
    /// that cannot be listed now is found by its topic later, so errors are ignored.
    async fn with_comments(
        &self,
        purpose: &str,
        draft: &ReviewDraft,
        id: ReviewId,
        mut posted_comments: HashMap<Topic, CommentId>,
    ) -> PostedReview {
        let url = self.list_url(purpose, &["pulls", &self.number(), "reviews", id.as_str(), "comments"], &[]);
        if let Ok(url) = url {
            let each = |comment: bodies::ReviewComment| {
                let (topic, _) = self.read_verified_topic(self.id.number, true, comment.body.as_deref());
                posted_comments
                    .extend(topic.map(|topic| (topic, GitHubCommentId::Review(comment.id).to_comment_id())));
            };
            // The review exists. After an error, callers would assume that the review does not exist.
            let _ = self.github.read_pages(self.scope(), purpose, url, each).await;
        }
        PostedReview::Review { id, comments: finding_comments(draft, &posted_comments) }
    }
}

/// Returns the posted comment of each finding, in the order of the draft. Findings without a posted comment
/// are omitted.
fn finding_comments(
    draft: &ReviewDraft,
    posted_comments: &HashMap<Topic, CommentId>,
) -> Vec<(Topic, CommentId)> {
    let topics = draft.findings.iter().map(|finding| &finding.topic);
    topics.filter_map(|topic| Some((topic.clone(), posted_comments.get(topic)?.clone()))).collect()
}
