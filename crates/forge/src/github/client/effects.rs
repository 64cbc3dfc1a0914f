//! Performs the effects on a pull request and its repository at GitHub, and checks whether each effect
//! exists.

use std::sync::Arc;

use async_trait::async_trait;
use truing_core::effect::{Effect, EffectKind};
use truing_core::id::TimeSpan;
use truing_core::port::{EffectOutcome, ForgeError, ForgeWrite, PullDraft, PullState, WritePermit};
use truing_core::publish::{CommentSubject, ThreadState};

use super::GitHubClient;
use crate::github::auth::OptionalWrite;
use crate::github::id::GitHubCommentId;
use crate::marker::{disable_markers, normalize_text, split_marker};

#[async_trait]
impl ForgeWrite for GitHubClient {
    async fn perform(&self, effect: &Effect, permit: &Arc<WritePermit>) -> Result<EffectOutcome, ForgeError> {
        let client = self.with_permit(permit);
        match effect {
            Effect::Review(draft) => client.send_review(draft).await.map(EffectOutcome::Review),
            Effect::ReviewAsComment(draft) => {
                client.post_review_as_comment(draft).await.map(EffectOutcome::Review)
            }
            Effect::Comment { topic, body } => {
                client.upsert_comment(topic, body).await.map(EffectOutcome::Comment)
            }
            Effect::LineComment { commit, location: place, topic, body } => {
                client.upsert_line_comment(commit, place, topic, body).await.map(EffectOutcome::Comment)
            }
            Effect::Reply { first_comment: first, topic, body } => {
                client.reply_to_thread(first, topic, body).await.map(EffectOutcome::Comment)
            }
            Effect::Resolve { thread } => {
                client.set_resolved(thread, true).await.map(|()| EffectOutcome::Applied)
            }
            Effect::Trigger { text, since } => {
                client.ensure_exact_comment(text, *since).await.map(EffectOutcome::ConversationComment)
            }
            Effect::RequestReview { login } => {
                client.request_review(login).await.map(|()| EffectOutcome::Applied)
            }
            Effect::UpdateBranch { head } => {
                client.merge_base_into(head).await.map(|()| EffectOutcome::Applied)
            }
            Effect::MarkReady => client.mark_ready().await.map(|()| EffectOutcome::Applied),
            Effect::Describe { read, body } => client.update_description(read, body).await,
            Effect::OpenPull(draft) => {
                client.create_pull(draft).await.map(|pull| EffectOutcome::Pull(Box::new(pull)))
            }
            Effect::EditPull { number, topic, title, body } => {
                client.rewrite_pull(*number, topic, title, body).await.map(|()| EffectOutcome::Applied)
            }
            Effect::SetDraft { number, draft } => {
                client.set_draft_state(*number, *draft).await.map(|()| EffectOutcome::Applied)
            }
            Effect::ClosePull { number } => client.close_pull(*number).await.map(|()| EffectOutcome::Applied),
            Effect::Label { number, labels } => {
                client.add_labels(*number, labels).await.map(|()| EffectOutcome::Applied)
            }
            Effect::OpenIssue { topic, title, body, label } => {
                let issue = client.create_issue(topic, title, body, label).await;
                issue.map(|issue| EffectOutcome::Issue(Box::new(issue)))
            }
            Effect::EditIssue { number, topic, title, body } => {
                client.rewrite_issue(*number, topic, title, body).await.map(|()| EffectOutcome::Applied)
            }
            Effect::CloseIssue { number } => {
                client.close_issue(*number).await.map(|()| EffectOutcome::Applied)
            }
            Effect::NewComment { number, topic, body } => {
                client.create_comment_if_new(*number, topic, body).await.map(EffectOutcome::Comment)
            }
            Effect::DeleteComment { number, comment } => {
                client.remove_comment(*number, comment).await.map(|()| EffectOutcome::Applied)
            }
            Effect::Summary { body } => {
                let made = client.create_summary(body).await?;
                Ok(EffectOutcome::Comments(vec![(CommentSubject::Summary, made)]))
            }
            Effect::Findings { commit, comments } => {
                client.create_review(commit, comments).await.map(EffectOutcome::Comments)
            }
            Effect::FileFinding { commit, comment } => {
                let made = client.create_file_comment(commit, comment).await?;
                Ok(EffectOutcome::Comments(vec![(comment.item.clone(), made)]))
            }
            Effect::EditComment { item, comment, body } => {
                client.update_comment(item, comment, body).await.map(|()| EffectOutcome::Applied)
            }
            Effect::DeleteDuplicate { comment, .. } => {
                client.delete_comment(comment).await.map(|()| EffectOutcome::Applied)
            }
            Effect::Reopen { thread } => {
                client.set_resolved(thread, false).await.map(|()| EffectOutcome::Applied)
            }
            Effect::Status(status) => client.set_status(status).await.map(|()| EffectOutcome::Applied),
        }
    }

    async fn find_effect(&self, effect: &Effect) -> Result<Option<EffectOutcome>, ForgeError> {
        let is_so = match effect {
            Effect::Review(draft) => {
                return Ok(self.find_sent_review(draft).await?.map(EffectOutcome::Review));
            }
            Effect::ReviewAsComment(draft) => {
                return Ok(self.find_review_or_comment(draft).await?.map(EffectOutcome::Review));
            }
            Effect::Comment { topic, body } => {
                return Ok(self.find_comment_with_body(topic, body).await?.map(EffectOutcome::Comment));
            }
            Effect::LineComment { topic, body, .. } => {
                return Ok(self.find_line_comment_with_body(topic, body).await?.map(EffectOutcome::Comment));
            }
            Effect::Reply { first_comment: first, topic, .. } => {
                let what = self.pull_purpose(&format!("looking for an answer to comment {first}"));
                let GitHubCommentId::Review(first) = GitHubCommentId::parse(&what, first)? else {
                    return Ok(None);
                };
                return Ok(self.find_thread_reply(&what, first, topic).await?.map(EffectOutcome::Comment));
            }
            Effect::Trigger { text, since } => {
                return Ok(self
                    .find_exact_comment(text, *since)
                    .await?
                    .map(EffectOutcome::ConversationComment));
            }
            Effect::Resolve { thread } => {
                let threads = self.list_threads().await?;
                let known =
                    threads.iter().filter_map(|one| one.thread.as_ref()).find(|one| one.id == *thread);
                known.is_some_and(|known| known.state != ThreadState::Open)
            }
            Effect::RequestReview { login } => {
                let now = self.read_pull_details().await?;
                now.requested_reviewers.iter().any(|asked| asked.login.eq_ignore_ascii_case(login))
            }
            Effect::UpdateBranch { head } => self.read_pull_details().await?.head.sha != *head,
            Effect::MarkReady => self.read_pull_details().await?.state == PullState::Open,
            Effect::Describe { body, .. } => {
                let pull = self.read_raw_pull(&self.pull_purpose("reading the description")).await?;
                split_marker(pull.body.as_deref().unwrap_or_default()).0
                    == normalize_text(&disable_markers(body))
            }
            Effect::OpenPull(PullDraft { branch, base, .. }) => {
                let there = self.find_open_pull(branch, base).await?;
                return Ok(there.map(|pull| EffectOutcome::Pull(Box::new(pull))));
            }
            Effect::EditPull { number, topic, title, body } => {
                self.pull_has_text(*number, topic, title, body).await?
            }
            Effect::SetDraft { number, draft } => self.is_draft(*number).await? == *draft,
            Effect::ClosePull { number } => !self.is_open_pull(*number).await?,
            Effect::Label { number, labels } => self.has_labels(*number, labels).await?,
            Effect::OpenIssue { topic, label, .. } => {
                let there = self.find_open_issue(topic, label).await?;
                return Ok(there.map(|issue| EffectOutcome::Issue(Box::new(issue))));
            }
            Effect::EditIssue { number, topic, title, body } => {
                self.issue_has_text(*number, topic, title, body).await?
            }
            Effect::CloseIssue { number } => !self.is_open_issue(*number).await?,
            Effect::NewComment { number, topic, body } => {
                return Ok(self
                    .newest_comment_if_matching(*number, topic, body)
                    .await?
                    .map(EffectOutcome::Comment));
            }
            Effect::DeleteComment { number, comment } => {
                self.is_own_comment_deleted(*number, comment).await?
            }
            Effect::Summary { .. } => return self.find_item_comments(&[&CommentSubject::Summary]).await,
            Effect::Findings { comments, .. } => {
                let items: Vec<&CommentSubject> = comments.iter().map(|draft| &draft.item).collect();
                return self.find_item_comments(&items).await;
            }
            Effect::FileFinding { comment, .. } => return self.find_item_comments(&[&comment.item]).await,
            Effect::EditComment { comment, body, .. } => self.has_text(comment, body).await?,
            Effect::DeleteDuplicate { comment, .. } => self.is_comment_deleted(comment).await?,
            Effect::Reopen { thread } => self.is_thread_open(thread).await?,
            Effect::Status(status) => self.has_status(status).await?,
        };
        Ok(is_so.then_some(EffectOutcome::Applied))
    }

    fn visibility_delay(&self) -> TimeSpan {
        self.settle_delay()
    }

    fn unsupported_reason(&self, kind: EffectKind) -> Option<&'static str> {
        self.denial_reason(kind)
            .filter(|_| !self.required_optional_writes(kind).iter().any(|extra| self.may_try_write(*extra)))
    }

    fn denial_reason(&self, kind: EffectKind) -> Option<&'static str> {
        let extras = self.required_optional_writes(kind);
        extras
            .first()
            .filter(|_| extras.iter().all(|extra| self.is_write_refused(*extra)))
            .map(|extra| extra.omission_reason())
    }
}

impl GitHubClient {
    /// Returns the optional writes that can perform an effect of this kind; empty if the effect needs none.
    /// One allowed write is enough.
    fn required_optional_writes(&self, kind: EffectKind) -> &'static [OptionalWrite] {
        if matches!(kind, EffectKind::Resolve | EffectKind::Reopen) {
            &[OptionalWrite::ThreadResolution]
        } else if kind != EffectKind::Status {
            &[]
        } else if self.github.app_id().is_some() {
            &[OptionalWrite::Checks, OptionalWrite::Statuses]
        } else {
            &[OptionalWrite::Statuses]
        }
    }

    /// Returns our comments that show these items; `None` if there are none.
    async fn find_item_comments(
        &self,
        items: &[&CommentSubject],
    ) -> Result<Option<EffectOutcome>, ForgeError> {
        let shown = self.find_shown_items(items).await?;
        Ok((!shown.is_empty()).then_some(EffectOutcome::Comments(shown)))
    }
}
