//! The effects on a pull request at GitHub, and on its repository: each made, and each looked for.

use std::sync::Arc;

use async_trait::async_trait;
use truing_core::effect::{Effect, Kind};
use truing_core::id::Span;
use truing_core::port::{ForgeError, ForgeWrite, Performed, Permit, PullDraft, PullState};
use truing_core::publish::{Item, ThreadState};

use super::GitHubClient;
use crate::github::auth::ExtraWrite;
use crate::github::id::Id;
use crate::marker::{normal, split, strip};

#[async_trait]
impl ForgeWrite for GitHubClient {
    async fn perform(&self, effect: &Effect, permit: &Arc<Permit>) -> Result<Performed, ForgeError> {
        let client = self.with_permit(permit);
        match effect {
            Effect::Review(draft) => client.send_review(draft).await.map(Performed::Review),
            Effect::ReviewAsComment(draft) => client.say_review(draft).await.map(Performed::Review),
            Effect::Comment { topic, body } => client.say_once(topic, body).await.map(Performed::Comment),
            Effect::LineComment { commit, place, topic, body } => {
                client.say_once_on(commit, place, (topic, body)).await.map(Performed::Comment)
            }
            Effect::Reply { first, topic, body } => {
                client.answer(first, topic, body).await.map(Performed::Comment)
            }
            Effect::Resolve { thread } => client.set_resolved(thread, true).await.map(|()| Performed::Done),
            Effect::Trigger { text, since } => client.say_exactly(text, *since).await.map(Performed::Said),
            Effect::RequestReview { login } => client.request(login).await.map(|()| Performed::Done),
            Effect::UpdateBranch { head } => client.merge_base_into(head).await.map(|()| Performed::Done),
            Effect::MarkReady => client.make_ready().await.map(|()| Performed::Done),
            Effect::Describe { read, body } => client.redescribe(read, body).await,
            Effect::OpenPull(draft) => {
                client.create_pull(draft).await.map(|pull| Performed::Pull(Box::new(pull)))
            }
            Effect::EditPull { number, topic, title, body } => {
                client.rewrite_pull(*number, (topic, title, body)).await.map(|()| Performed::Done)
            }
            Effect::SetDraft { number, draft } => {
                client.change_draft(*number, *draft).await.map(|()| Performed::Done)
            }
            Effect::ClosePull { number } => client.end_pull(*number).await.map(|()| Performed::Done),
            Effect::Label { number, labels } => client.label(*number, labels).await.map(|()| Performed::Done),
            Effect::OpenIssue { topic, title, body, label } => {
                let issue = client.create_issue((topic, title, body), label).await;
                issue.map(|issue| Performed::Issue(Box::new(issue)))
            }
            Effect::EditIssue { number, topic, title, body } => {
                client.rewrite_issue(*number, (topic, title, body)).await.map(|()| Performed::Done)
            }
            Effect::CloseIssue { number } => client.end_issue(*number).await.map(|()| Performed::Done),
            Effect::NewComment { number, topic, body } => {
                client.append_comment(*number, topic, body).await.map(Performed::Comment)
            }
            Effect::DeleteComment { number, comment } => {
                client.remove_comment(*number, comment).await.map(|()| Performed::Done)
            }
            Effect::Summary { body } => {
                let made = client.create_summary(body).await?;
                Ok(Performed::Comments(vec![(Item::Summary, made)]))
            }
            Effect::Findings { commit, comments } => {
                client.create_review(commit, comments).await.map(Performed::Comments)
            }
            Effect::FileFinding { commit, comment } => {
                let made = client.create_file_comment(commit, comment).await?;
                Ok(Performed::Comments(vec![(comment.item.clone(), made)]))
            }
            Effect::EditComment { item, comment, body } => {
                client.update(item, comment, body).await.map(|()| Performed::Done)
            }
            Effect::DeleteDuplicate { comment, .. } => client.delete(comment).await.map(|()| Performed::Done),
            Effect::Reopen { thread } => client.set_resolved(thread, false).await.map(|()| Performed::Done),
            Effect::Status(status) => client.set_status(status).await.map(|()| Performed::Done),
        }
    }

    async fn observe(&self, effect: &Effect) -> Result<Option<Performed>, ForgeError> {
        let is_so = match effect {
            Effect::Review(draft) => return Ok(self.sent_review(draft).await?.map(Performed::Review)),
            Effect::ReviewAsComment(draft) => {
                return Ok(self.said_review(draft).await?.map(Performed::Review));
            }
            Effect::Comment { topic, body } => {
                return Ok(self.said_once(topic, body).await?.map(Performed::Comment));
            }
            Effect::LineComment { topic, body, .. } => {
                return Ok(self.said_once_on(topic, body).await?.map(Performed::Comment));
            }
            Effect::Reply { first, topic, .. } => {
                let what = self.what(&format!("looking for an answer to comment {first}"));
                let Id::Review(first) = Id::parse(&what, first)? else { return Ok(None) };
                return Ok(self.answered(&what, first, topic).await?.map(Performed::Comment));
            }
            Effect::Trigger { text, since } => {
                return Ok(self.said_exactly(text, *since).await?.map(Performed::Said));
            }
            Effect::Resolve { thread } => {
                let threads = self.list_threads().await?;
                let known =
                    threads.iter().filter_map(|one| one.thread.as_ref()).find(|one| one.id == *thread);
                known.is_some_and(|known| known.state != ThreadState::Open)
            }
            Effect::RequestReview { login } => {
                let now = self.look().await?;
                now.requested.iter().any(|asked| asked.login.eq_ignore_ascii_case(login))
            }
            Effect::UpdateBranch { head } => self.look().await?.head.sha != *head,
            Effect::MarkReady => self.look().await?.state == PullState::Open,
            Effect::Describe { body, .. } => {
                let pull = self.raw(&self.what("reading its description")).await?;
                split(pull.body.as_deref().unwrap_or_default()).0 == normal(&strip(body))
            }
            Effect::OpenPull(PullDraft { branch, base, .. }) => {
                let there = self.opened_pull(branch, base).await?;
                return Ok(there.map(|pull| Performed::Pull(Box::new(pull))));
            }
            Effect::EditPull { number, topic, title, body } => {
                self.says_pull(*number, (topic, title, body)).await?
            }
            Effect::SetDraft { number, draft } => self.is_draft(*number).await? == *draft,
            Effect::ClosePull { number } => !self.is_open_pull(*number).await?,
            Effect::Label { number, labels } => self.has_labels(*number, labels).await?,
            Effect::OpenIssue { topic, label, .. } => {
                let there = self.opened_issue(topic, label).await?;
                return Ok(there.map(|issue| Performed::Issue(Box::new(issue))));
            }
            Effect::EditIssue { number, topic, title, body } => {
                self.says_issue(*number, (topic, title, body)).await?
            }
            Effect::CloseIssue { number } => !self.is_open_issue(*number).await?,
            Effect::NewComment { number, topic, body } => {
                return Ok(self.newest_comment(*number, topic, body).await?.map(Performed::Comment));
            }
            Effect::DeleteComment { number, comment } => self.is_deleted(*number, comment).await?,
            Effect::Summary { .. } => return self.shown(&[&Item::Summary]).await,
            Effect::Findings { comments, .. } => {
                let items: Vec<&Item> = comments.iter().map(|draft| &draft.item).collect();
                return self.shown(&items).await;
            }
            Effect::FileFinding { comment, .. } => return self.shown(&[&comment.item]).await,
            Effect::EditComment { comment, body, .. } => self.says(comment, body).await?,
            Effect::DeleteDuplicate { comment, .. } => self.is_gone(comment).await?,
            Effect::Reopen { thread } => self.is_open(thread).await?,
            Effect::Status(status) => self.has_status(status).await?,
        };
        Ok(is_so.then_some(Performed::Done))
    }

    fn settle(&self) -> Span {
        self.settle_delay()
    }

    fn cannot(&self, kind: Kind) -> Option<&'static str> {
        self.denied(kind).filter(|_| !self.extras(kind).iter().any(|extra| self.may_try(*extra)))
    }

    fn denied(&self, kind: Kind) -> Option<&'static str> {
        let extras = self.extras(kind);
        extras.first().filter(|_| extras.iter().all(|extra| self.is_refused(*extra))).map(|extra| extra.why())
    }
}

impl GitHubClient {
    /// The writes that make effects of this kind, if a review goes on without them: any one is enough.
    fn extras(&self, kind: Kind) -> &'static [ExtraWrite] {
        if matches!(kind, Kind::Resolve | Kind::Reopen) {
            &[ExtraWrite::Threads]
        } else if kind != Kind::Status {
            &[]
        } else if self.github.app().is_some() {
            &[ExtraWrite::Checks, ExtraWrite::Statuses]
        } else {
            &[ExtraWrite::Statuses]
        }
    }

    /// The comments of ours on these items; none: there is none of them.
    async fn shown(&self, items: &[&Item]) -> Result<Option<Performed>, ForgeError> {
        let shown = self.shown_items(items).await?;
        Ok((!shown.is_empty()).then_some(Performed::Comments(shown)))
    }
}
