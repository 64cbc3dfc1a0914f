//! What is written to a forge, told to whoever asked for it. In a rehearsal nothing is written: it is only told.

use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use truing_core::effect::Effect;
use truing_core::finding::Place;
use truing_core::id::{CommentId, Sha, Span, Topic};
use truing_core::port::{
    Actor, BranchPull, CommitCheck, ForgeError, ForgeRead, ForgeWrite, InlineDraft, Merge, OwnIssue,
    Performed, PullActivity, PullNow, PullRequest, PullReview, Reply, RepositoryNow, ReviewThread, Said,
    SetLabel,
};
use truing_core::publish::{Bounds, Hold, Item, Observed, StatusState};
use truing_loops::telemetry;

/// One call that writes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case", tag = "action")]
pub enum Write {
    /// The summary is posted.
    CreateSummary,
    /// Comments on lines are posted, in one review.
    CreateReview {
        /// Each.
        comments: Vec<Comment>,
    },
    /// A comment on a file is posted.
    CreateFileComment {
        /// The comment.
        comment: Comment,
    },
    /// A comment is rewritten.
    Update {
        /// What it is about: `summary`, or a finding's id.
        item: String,
    },
    /// A thread is resolved.
    Resolve,
    /// A thread is reopened.
    Reopen,
    /// A duplicate is deleted.
    Delete {
        /// What it is about.
        item: String,
    },
    /// The head's status is set.
    Status {
        /// The commit.
        head: Sha,
        /// Which.
        state: StatusState,
        /// Its line.
        description: String,
    },
}

/// A comment on code.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Comment {
    /// The finding's id.
    pub item: String,
    /// Where.
    #[serde(flatten)]
    pub place: Place,
}

impl Comment {
    fn of(draft: &InlineDraft) -> Self {
        Self { item: draft.item.as_str().to_owned(), place: draft.place.clone() }
    }
}

/// The calls so far, in their order. Cheap to clone; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Writes(Arc<Mutex<Vec<Write>>>);

impl Writes {
    /// All of them.
    pub fn list(&self) -> Vec<Write> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn push(&self, write: Write) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(write);
    }
}

/// The way that writes are told.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    /// Is nothing to be written?
    pub rehearsal: bool,
    /// The writes that were made, or would have been, if somebody wants to know them.
    pub writes: Option<Writes>,
}

impl Watch {
    /// A pull request whose writes are told.
    pub fn of<F>(&self, inner: F) -> WatchedPull<F> {
        WatchedPull { inner, watch: self.clone() }
    }
}

/// A pull request whose writes are traced and told. In a rehearsal none is made.
#[derive(Debug)]
pub struct WatchedPull<F> {
    inner: F,
    watch: Watch,
}

impl<F: ForgeRead> ForgeRead for WatchedPull<F> {
    async fn pull_request(&self) -> Result<PullRequest, ForgeError> {
        self.inner.pull_request().await
    }

    async fn now(&self) -> Result<PullNow, ForgeError> {
        self.inner.now().await
    }

    async fn merge(&self) -> Result<Merge, ForgeError> {
        self.inner.merge().await
    }

    async fn checks(&self, commit: &Sha) -> Result<Vec<CommitCheck>, ForgeError> {
        self.inner.checks(commit).await
    }

    async fn labels(&self) -> Result<Vec<SetLabel>, ForgeError> {
        self.inner.labels().await
    }

    async fn reviews(&self) -> Result<Vec<PullReview>, ForgeError> {
        self.inner.reviews().await
    }

    async fn threads(&self) -> Result<Vec<ReviewThread>, ForgeError> {
        self.inner.threads().await
    }

    async fn comments(&self, known: &[(Item, CommentId)]) -> Result<Vec<Observed>, ForgeError> {
        let observed = self.inner.comments(known).await?;
        let unknown = observed.iter().filter(|seen| seen.hold == Hold::UnknownKey).count();
        if unknown > 0 {
            tracing::warn!(
                comments = unknown,
                "comments of ours are signed with a key that is not configured: they are left as they are, a summary \
                 too; list the key in `previous_marker_keys` of this forge"
            );
        }
        Ok(observed)
    }

    async fn item_at(
        &self,
        known: &[(Item, CommentId)],
        comment: &CommentId,
    ) -> Result<Option<Item>, ForgeError> {
        self.inner.item_at(known, comment).await
    }

    async fn topic_at(&self, comment: &CommentId) -> Result<Option<Topic>, ForgeError> {
        self.inner.topic_at(comment).await
    }

    async fn said(&self, text: &str) -> Result<Vec<Said>, ForgeError> {
        self.inner.said(text).await
    }

    async fn eyes(&self, comment: &CommentId) -> Result<Vec<Actor>, ForgeError> {
        self.inner.eyes(comment).await
    }

    async fn repository(&self) -> Result<RepositoryNow, ForgeError> {
        self.inner.repository().await
    }

    async fn pulls_from(&self, branch: &str) -> Result<Vec<BranchPull>, ForgeError> {
        self.inner.pulls_from(branch).await
    }

    async fn activity(&self, number: u64) -> Result<PullActivity, ForgeError> {
        self.inner.activity(number).await
    }

    async fn issues(&self, label: &str) -> Result<Vec<OwnIssue>, ForgeError> {
        self.inner.issues(label).await
    }

    async fn replies(&self, number: u64, since: Option<&CommentId>) -> Result<Vec<Reply>, ForgeError> {
        self.inner.replies(number, since).await
    }

    fn bounds(&self) -> Bounds {
        self.inner.bounds()
    }
}

impl<F: ForgeWrite> ForgeWrite for WatchedPull<F> {
    async fn perform(&self, effect: &Effect) -> Result<Performed, ForgeError> {
        let (action, items) = traced(effect);
        let step = telemetry::write(action, items);
        let answer =
            if self.watch.rehearsal { Ok(rehearsed(effect)) } else { self.inner.perform(effect).await };
        match &answer {
            Ok(_) => {
                if let Some((writes, write)) = self.watch.writes.as_ref().zip(Write::of(effect)) {
                    writes.push(write);
                }
            }
            Err(error) => step.failed("forge", &error.to_string()),
        }
        answer
    }

    async fn observe(&self, effect: &Effect) -> Result<Option<Performed>, ForgeError> {
        self.inner.observe(effect).await
    }

    fn settle(&self) -> Span {
        self.inner.settle()
    }
}

impl Write {
    /// The write that an effect of a review is.
    fn of(effect: &Effect) -> Option<Self> {
        Some(match effect {
            Effect::Summary { .. } => Self::CreateSummary,
            Effect::Findings { comments, .. } => {
                Self::CreateReview { comments: comments.iter().map(Comment::of).collect() }
            }
            Effect::FileFinding { comment, .. } => Self::CreateFileComment { comment: Comment::of(comment) },
            Effect::EditComment { item, .. } => Self::Update { item: item.as_str().to_owned() },
            Effect::Resolve { .. } => Self::Resolve,
            Effect::Reopen { .. } => Self::Reopen,
            Effect::DeleteDuplicate { item, .. } => Self::Delete { item: item.as_str().to_owned() },
            Effect::Status(status) => Self::Status {
                head: status.sha.clone(),
                state: status.state,
                description: status.description.clone(),
            },
            Effect::Review(_)
            | Effect::ReviewAsComment(_)
            | Effect::Comment { .. }
            | Effect::LineComment { .. }
            | Effect::Reply { .. }
            | Effect::Trigger { .. }
            | Effect::RequestReview { .. }
            | Effect::UpdateBranch { .. }
            | Effect::MarkReady
            | Effect::Describe { .. }
            | Effect::OpenPull(_)
            | Effect::EditPull { .. }
            | Effect::SetDraft { .. }
            | Effect::ClosePull { .. }
            | Effect::Label { .. }
            | Effect::OpenIssue { .. }
            | Effect::EditIssue { .. }
            | Effect::CloseIssue { .. }
            | Effect::NewComment { .. }
            | Effect::DeleteComment { .. } => return None,
        })
    }
}

/// The name of an effect in traces, and the number of its comments.
fn traced(effect: &Effect) -> (&'static str, usize) {
    match Write::of(effect) {
        Some(Write::CreateSummary) => ("create_summary", 1),
        Some(Write::CreateReview { comments }) => ("create_review", comments.len()),
        Some(Write::CreateFileComment { .. }) => ("create_file_comment", 1),
        Some(Write::Update { .. }) => ("update", 1),
        Some(Write::Resolve) => ("resolve", 1),
        Some(Write::Reopen) => ("reopen", 1),
        Some(Write::Delete { .. }) => ("delete", 1),
        Some(Write::Status { .. }) => ("set_status", 1),
        None => (effect.kind().as_str(), 1),
    }
}

/// The answer that a forge would have given.
fn rehearsed(effect: &Effect) -> Performed {
    let made = |item: Item| {
        let comment = CommentId::new(format!("rehearsed/{}", item.as_str()));
        (item, comment)
    };
    let parts = effect.intended().parts;
    let made: Vec<_> = parts.iter().filter_map(|part| Item::of_topic(&part.topic)).map(made).collect();
    if made.is_empty() { Performed::Done } else { Performed::Comments(made) }
}
