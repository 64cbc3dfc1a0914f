//! Reviews of ours: one for each audit, whatever answer was lost and whatever place is refused.

use std::collections::HashMap;

use serde_json::{Value, json};
use truing_core::finding::Place;
use truing_core::id::{CommentId, ReviewId, Sha, Topic};
use truing_core::port::{ForgeError, LineDraft, Posted, ReviewDraft, ReviewEvent};

use super::{GitHubConversation, bodies};
use crate::github::id::Id;
use crate::github::{placed, wire};
use crate::http::Call;

impl GitHubConversation {
    pub(super) async fn send_review(&self, draft: &ReviewDraft) -> Result<Posted, ForgeError> {
        let what = self.what(&format!("posting the review of audit {}", draft.mark.audit));
        let mut there = self.own_lines(&what).await?;
        if let Some(posted) = self.posted(&what, draft, &there).await? {
            return Ok(posted);
        }
        let event = self.event(&what, draft.event).await?;
        let new: Vec<&LineDraft> =
            draft.findings.iter().filter(|finding| !there.contains_key(&finding.topic)).collect();
        let refused = match self.create(&what, draft, event, (&new, &[])).await {
            Err(refused @ ForgeError::Rejected { .. }) => refused,
            Ok(id) => return Ok(self.with_comments(&what, draft, id, there).await),
            Err(error) => return Err(error),
        };
        if new.is_empty() {
            return Err(refused);
        }
        // One bad place loses the review, and GitHub does not say which: each finding goes by itself, and the review
        // tells of those that are refused. Who is stopped in between finds what is there already.
        let mut bad = Vec::new();
        for finding in new {
            match self.create_line(&what, &draft.mark.commit, of_draft(finding)).await {
                Ok(comment) => {
                    there.insert(finding.topic.clone(), comment);
                }
                Err(ForgeError::Rejected { .. }) => bad.push(finding),
                Err(error) => return Err(error),
            }
        }
        let id = self.create(&what, draft, event, (&[], &bad)).await?;
        Ok(self.with_comments(&what, draft, id, there).await)
    }

    pub(super) async fn say_review(&self, draft: &ReviewDraft) -> Result<Posted, ForgeError> {
        let what = self.what(&format!("looking for the review of audit {}", draft.mark.audit));
        let there = self.own_lines(&what).await?;
        if let Some(posted) = self.posted(&what, draft, &there).await? {
            return Ok(posted);
        }
        let text = draft.whole(crate::capability::GITHUB.bounds(self.hub.github.inner.options.settle).body);
        Ok(Posted::Comment(self.say_once(&draft.mark.topic(), &text).await?))
    }

    /// The comments on the diff that began threads of ours, by topic.
    async fn own_lines(&self, what: &str) -> Result<HashMap<Topic, CommentId>, ForgeError> {
        let lines = self.lines(what).await?.into_iter();
        Ok(lines.filter_map(|(_, _, comment)| Some((comment.topic?, comment.id))).collect())
    }

    /// The review, if it is there.
    async fn posted(
        &self,
        what: &str,
        draft: &ReviewDraft,
        there: &HashMap<Topic, CommentId>,
    ) -> Result<Option<Posted>, ForgeError> {
        let mark = Some(&draft.mark);
        let reviews = self.list_reviews(what).await?;
        let found = reviews.into_iter().find(|review| review.audit().as_ref() == mark);
        Ok(found.map(|review| Posted::Review { id: review.id, comments: of(draft, there) }))
    }

    /// GitHub takes no verdict of an account on its own pull request.
    async fn event(&self, what: &str, event: ReviewEvent) -> Result<&'static str, ForgeError> {
        let own = match event {
            ReviewEvent::Comment => true,
            ReviewEvent::RequestChanges => {
                let accounts = self.hub.accounts().await?;
                self.raw(what).await?.user.is_some_and(|user| accounts.whose(&user).is_some())
            }
        };
        Ok(if own { "COMMENT" } else { "REQUEST_CHANGES" })
    }

    async fn create(
        &self,
        what: &str,
        draft: &ReviewDraft,
        event: &str,
        (inline, refused): (&[&LineDraft], &[&LineDraft]),
    ) -> Result<ReviewId, ForgeError> {
        let most = crate::capability::GITHUB.bounds(self.hub.github.inner.options.settle).body;
        let body = self.hub.marked(self.number(), &draft.mark.topic(), &draft.text(refused, most));
        let comments = inline.iter().map(|finding| self.comment(what, of_draft(finding)));
        let review = json!({
            "commit_id": draft.mark.commit.as_str(), "event": event, "body": body,
            "comments": comments.collect::<Result<Vec<_>, _>>()?,
        });
        let url = self.pull.url(what, &["pulls", &self.pull.number(), "reviews"])?;
        let made: wire::Made = self.pull.send(&Call::create(what, url, review)).await?.json()?;
        Ok(ReviewId::new(made.id.to_string()))
    }

    /// A comment on lines alone.
    pub(super) async fn create_line(
        &self,
        what: &str,
        commit: &Sha,
        line: (&Place, &Topic, &str),
    ) -> Result<CommentId, ForgeError> {
        let mut comment = self.comment(what, line)?;
        comment["commit_id"] = commit.as_str().into();
        let url = self.pull.url(what, &["pulls", &self.pull.number(), "comments"])?;
        let made: wire::Made = self.pull.send(&Call::create(what, url, comment)).await?.json()?;
        Ok(Id::Review(made.id).text())
    }

    fn comment(&self, what: &str, (place, topic, body): (&Place, &Topic, &str)) -> Result<Value, ForgeError> {
        let mut comment = placed(what, place)?;
        comment["body"] = self.hub.marked(self.number(), topic, body).into();
        Ok(comment)
    }

    /// What a new review made. What cannot be learnt now is found by its topic later, so this has no error.
    async fn with_comments(
        &self,
        what: &str,
        draft: &ReviewDraft,
        id: ReviewId,
        mut there: HashMap<Topic, CommentId>,
    ) -> Posted {
        let url =
            self.pull.list_url(what, &["pulls", &self.pull.number(), "reviews", id.as_str(), "comments"]);
        if let Ok(url) = url {
            let each = |comment: bodies::ReviewComment| {
                let (topic, _) = self.hub.verified(self.number(), true, comment.body.as_deref());
                there.extend(topic.map(|topic| (topic, Id::Review(comment.id).text())));
            };
            // The review is there: an error here would say that it may not be.
            let _ = self.hub.github.pages(self.hub.scope(), what, url, each).await;
        }
        Posted::Review { id, comments: of(draft, &there) }
    }
}

/// A finding's comment.
fn of_draft(finding: &LineDraft) -> (&Place, &Topic, &str) {
    (&finding.place, &finding.topic, &finding.body)
}

/// The comments of a draft's findings, in its order.
fn of(draft: &ReviewDraft, there: &HashMap<Topic, CommentId>) -> Vec<(Topic, CommentId)> {
    let topics = draft.findings.iter().map(|finding| &finding.topic);
    topics.filter_map(|topic| Some((topic.clone(), there.get(topic)?.clone()))).collect()
}
