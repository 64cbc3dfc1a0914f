//! Performs effects on a pull request and its repository at a Bitbucket, and checks whether the result of an
//! effect already exists. An effect that Bitbucket does not support is rejected before any call.

use std::sync::Arc;

use async_trait::async_trait;
use truing_core::effect::{Effect, EffectKind};
use truing_core::id::TimeSpan;
use truing_core::port::{EffectOutcome, ForgeError, ForgeWrite, PullDraft, PullState, WritePermit};
use truing_core::publish::CommentSubject;

use super::super::calls::BitbucketApi;
use super::BitbucketClient;

#[async_trait]
impl<C: BitbucketApi> ForgeWrite for BitbucketClient<C> {
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
                client.ensure_thread_reply(first, topic, body).await.map(EffectOutcome::Comment)
            }
            Effect::Resolve { thread } => client.set_thread_resolved(thread, true).await.map(done_outcome),
            Effect::Trigger { text, since } => {
                client.ensure_exact_comment(text, *since).await.map(EffectOutcome::ConversationComment)
            }
            Effect::RequestReview { login } => client.request_review(login).await.map(done_outcome),
            Effect::MarkReady => {
                // This call also reads the server's version. Without it, the limits of the oldest version
                // would apply.
                client.api.own_account().await?;
                client.mark_ready().await.map(done_outcome)
            }
            Effect::Describe { read, body } => client.update_description(read, body).await,
            Effect::OpenPull(draft) => {
                client.open_pull(draft).await.map(|pull| EffectOutcome::Pull(Box::new(pull)))
            }
            Effect::EditPull { number, topic, title, body } => {
                client.rewrite_pull(*number, topic, title, body).await.map(done_outcome)
            }
            Effect::SetDraft { number, draft } => client.set_draft(*number, *draft).await.map(done_outcome),
            Effect::ClosePull { number } => client.close_pull(*number).await.map(done_outcome),
            Effect::UpdateBranch { .. }
            | Effect::Label { .. }
            | Effect::OpenIssue { .. }
            | Effect::EditIssue { .. }
            | Effect::CloseIssue { .. } => Err(client.unsupported_effect_error(effect)),
            Effect::NewComment { number, topic, body } => {
                client.ensure_newest_comment(*number, topic, body).await.map(EffectOutcome::Comment)
            }
            Effect::DeleteComment { number, comment } => {
                client.delete_own_comment(*number, comment).await.map(done_outcome)
            }
            Effect::Summary { body } => client.create_summary(body).await,
            Effect::Findings { commit, comments } => client.create_finding_comments(commit, comments).await,
            Effect::FileFinding { commit, comment } => client.create_file_comment(commit, comment).await,
            Effect::EditComment { item, comment, body } => {
                client.update_comment(item, comment, body).await.map(done_outcome)
            }
            Effect::DeleteDuplicate { comment, .. } => client.delete_comment(comment).await.map(done_outcome),
            Effect::Reopen { thread } => client.set_thread_resolved(thread, false).await.map(done_outcome),
            Effect::Status(status) => {
                let what = client
                    .describe_pull_operation(&format!("setting the status of {}", status.sha.short_sha()));
                client.api.set_status(&what, &client.repo, client.id.number, status).await.map(done_outcome)
            }
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
                return Ok(self.find_topic_comment_with_text(topic, body).await?.map(EffectOutcome::Comment));
            }
            Effect::LineComment { topic, body, .. } => {
                return Ok(self.find_line_comment_with_body(topic, body).await?.map(EffectOutcome::Comment));
            }
            Effect::Reply { first_comment: first, topic, .. } => {
                let what = self.describe_pull_operation(&format!("looking for an answer to comment {first}"));
                return Ok(self.find_thread_reply(&what, first, topic).await?.map(EffectOutcome::Comment));
            }
            Effect::Trigger { text, since } => {
                return Ok(self
                    .find_exact_comment(text, *since)
                    .await?
                    .map(EffectOutcome::ConversationComment));
            }
            Effect::OpenPull(PullDraft { branch, base, .. }) => {
                let there = self.find_open_pull(branch, base).await?;
                return Ok(there.map(|pull| EffectOutcome::Pull(Box::new(pull))));
            }
            Effect::NewComment { number, topic, body } => {
                return Ok(self
                    .find_newest_if_matching(*number, topic, body)
                    .await?
                    .map(EffectOutcome::Comment));
            }
            Effect::Summary { .. } => {
                return self.find_own_comments_on_subjects(&[&CommentSubject::Summary]).await;
            }
            Effect::Findings { comments, .. } => {
                let items: Vec<&CommentSubject> = comments.iter().map(|draft| &draft.item).collect();
                return self.find_own_comments_on_subjects(&items).await;
            }
            Effect::FileFinding { comment, .. } => {
                return self.find_own_comments_on_subjects(&[&comment.item]).await;
            }
            Effect::Resolve { thread } => self.is_thread_open(thread).await? == Some(false),
            Effect::Reopen { thread } => self.is_thread_open(thread).await? == Some(true),
            Effect::RequestReview { login } => self.is_review_requested(login).await?,
            Effect::MarkReady => self.read_pull_details().await?.state == PullState::Open,
            Effect::Describe { body, .. } => self.has_description(body).await?,
            Effect::EditPull { number, topic, title, body } => {
                self.pull_has_text(*number, topic, title, body).await?
            }
            Effect::SetDraft { number, draft } => {
                (self.own_pull_state(*number).await? == PullState::Draft) == *draft
            }
            Effect::ClosePull { number } => {
                matches!(self.own_pull_state(*number).await?, PullState::Merged | PullState::Closed)
            }
            // Bitbucket does not support these effects, so none of them can exist.
            Effect::UpdateBranch { .. }
            | Effect::Label { .. }
            | Effect::OpenIssue { .. }
            | Effect::EditIssue { .. }
            | Effect::CloseIssue { .. } => false,
            Effect::DeleteComment { number, comment } => {
                self.is_own_comment_deleted(*number, comment).await?
            }
            Effect::EditComment { comment, body, .. } => self.comment_has_text(comment, body).await?,
            Effect::DeleteDuplicate { comment, .. } => self.is_comment_deleted(comment).await?,
            Effect::Status(status) => {
                let what = self
                    .describe_pull_operation(&format!("reading the status of {}", status.sha.short_sha()));
                self.api.has_status(&what, &self.repo, self.id.number, status).await?
            }
        };
        Ok(is_so.then_some(EffectOutcome::Applied))
    }

    fn visibility_delay(&self) -> TimeSpan {
        self.settle_delay()
    }

    fn unsupported_reason(&self, kind: EffectKind) -> Option<&'static str> {
        kind.unsupported_reason_at(self.api.forge_capability().kind)
    }
}

fn done_outcome((): ()) -> EffectOutcome {
    EffectOutcome::Applied
}
