//! What is written to a forge, told to whoever asked for it. In a rehearsal nothing is written: it is only told.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use truing_core::finding::Place;
use truing_core::id::{CommentId, PrId, Sha, ThreadId};
use truing_core::port::{Forge, ForgeError, InlineDraft, PullRequest};
use truing_core::publish::{Bounds, DesiredStatus, Hold, Item, Observed, Producer, StatusState};
use truing_forge::github::{GitHub, RemoteError};
use truing_git::Remote;
use truing_loops::telemetry;

use super::Forges;

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

/// Forges whose writes are told.
#[derive(Debug)]
pub struct Watched<W> {
    /// The forges.
    pub inner: W,
    /// Is nothing to be written?
    pub rehearsal: bool,
    /// What was written, or would have been.
    pub writes: Writes,
}

impl<W: Forges> Forges for Watched<W> {
    type Pull = WatchedPull<W::Pull>;

    fn pull(&self, id: &PrId, repo: &str) -> Option<Self::Pull> {
        let inner = self.inner.pull(id, repo)?;
        Some(WatchedPull { inner, rehearsal: self.rehearsal, writes: self.writes.clone() })
    }

    fn servers(&self) -> &BTreeMap<String, GitHub> {
        self.inner.servers()
    }

    async fn remote(&self, id: &PrId, repo: &str) -> Option<Result<Remote, RemoteError>> {
        self.inner.remote(id, repo).await
    }
}

/// A pull request whose writes are told.
#[derive(Debug)]
pub struct WatchedPull<F> {
    inner: F,
    rehearsal: bool,
    writes: Writes,
}

impl<F: Forge> WatchedPull<F> {
    /// Makes the call, unless this is a rehearsal, in which it would have been answered like this; and tells of it
    /// when it is done.
    async fn write<T>(
        &self,
        write: Write,
        rehearsed: T,
        call: impl Future<Output = Result<T, ForgeError>>,
    ) -> Result<T, ForgeError> {
        let answer = if self.rehearsal { rehearsed } else { call.await? };
        self.writes.push(write);
        Ok(answer)
    }
}

/// A comment that would have been made.
fn rehearsed(item: &Item) -> CommentId {
    CommentId::new(format!("rehearsed/{}", item.as_str()))
}

impl<F: Forge> Forge for WatchedPull<F> {
    async fn pull_request(&self) -> Result<PullRequest, ForgeError> {
        self.inner.pull_request().await
    }

    async fn comments(
        &self,
        producer: Producer,
        known: &[(Item, CommentId)],
    ) -> Result<Vec<Observed>, ForgeError> {
        self.inner.comments(producer, known).await
    }

    async fn create_review(
        &self,
        producer: Producer,
        commit: &Sha,
        comments: &[InlineDraft],
    ) -> Result<Vec<(Item, CommentId)>, ForgeError> {
        let made = comments.iter().map(|draft| (draft.item.clone(), rehearsed(&draft.item))).collect();
        let write = Write::CreateReview { comments: comments.iter().map(Comment::of).collect() };
        self.write(write, made, self.inner.create_review(producer, commit, comments)).await
    }

    async fn create_file_comment(
        &self,
        producer: Producer,
        commit: &Sha,
        comment: &InlineDraft,
    ) -> Result<CommentId, ForgeError> {
        let write = Write::CreateFileComment { comment: Comment::of(comment) };
        let call = self.inner.create_file_comment(producer, commit, comment);
        self.write(write, rehearsed(&comment.item), call).await
    }

    async fn create_summary(&self, producer: Producer, body: &str) -> Result<CommentId, ForgeError> {
        let call = self.inner.create_summary(producer, body);
        self.write(Write::CreateSummary, rehearsed(&Item::Summary), call).await
    }

    async fn update(
        &self,
        producer: Producer,
        item: &Item,
        comment: &CommentId,
        body: &str,
    ) -> Result<(), ForgeError> {
        let write = Write::Update { item: item.as_str().to_owned() };
        self.write(write, (), self.inner.update(producer, item, comment, body)).await
    }

    async fn resolve(&self, thread: &ThreadId, resolved: bool) -> Result<(), ForgeError> {
        let write = if resolved { Write::Resolve } else { Write::Reopen };
        self.write(write, (), self.inner.resolve(thread, resolved)).await
    }

    async fn delete(&self, item: &Item, comment: &CommentId) -> Result<(), ForgeError> {
        let write = Write::Delete { item: item.as_str().to_owned() };
        self.write(write, (), self.inner.delete(item, comment)).await
    }

    async fn set_status(&self, status: &DesiredStatus) -> Result<(), ForgeError> {
        let (head, state, description) = (status.sha.clone(), status.state, status.description.clone());
        self.write(Write::Status { head, state, description }, (), self.inner.set_status(status)).await
    }

    fn bounds(&self) -> Bounds {
        self.inner.bounds()
    }
}

/// A pull request whose writes are traced.
#[derive(Debug)]
pub struct TracedPull<F>(pub F);

impl<F: Forge> Forge for TracedPull<F> {
    async fn pull_request(&self) -> Result<PullRequest, ForgeError> {
        self.0.pull_request().await
    }

    async fn comments(
        &self,
        producer: Producer,
        known: &[(Item, CommentId)],
    ) -> Result<Vec<Observed>, ForgeError> {
        let observed = self.0.comments(producer, known).await?;
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

    async fn create_review(
        &self,
        producer: Producer,
        commit: &Sha,
        comments: &[InlineDraft],
    ) -> Result<Vec<(Item, CommentId)>, ForgeError> {
        traced("create_review", comments.len(), self.0.create_review(producer, commit, comments)).await
    }

    async fn create_file_comment(
        &self,
        producer: Producer,
        commit: &Sha,
        comment: &InlineDraft,
    ) -> Result<CommentId, ForgeError> {
        traced("create_file_comment", 1, self.0.create_file_comment(producer, commit, comment)).await
    }

    async fn create_summary(&self, producer: Producer, body: &str) -> Result<CommentId, ForgeError> {
        traced("create_summary", 1, self.0.create_summary(producer, body)).await
    }

    async fn update(
        &self,
        producer: Producer,
        item: &Item,
        comment: &CommentId,
        body: &str,
    ) -> Result<(), ForgeError> {
        traced("update", 1, self.0.update(producer, item, comment, body)).await
    }

    async fn resolve(&self, thread: &ThreadId, resolved: bool) -> Result<(), ForgeError> {
        let action = if resolved { "resolve" } else { "reopen" };
        traced(action, 1, self.0.resolve(thread, resolved)).await
    }

    async fn delete(&self, item: &Item, comment: &CommentId) -> Result<(), ForgeError> {
        traced("delete", 1, self.0.delete(item, comment)).await
    }

    async fn set_status(&self, status: &DesiredStatus) -> Result<(), ForgeError> {
        traced("set_status", 1, self.0.set_status(status)).await
    }

    fn bounds(&self) -> Bounds {
        self.0.bounds()
    }
}

/// One call, as a span of the review that is traced.
async fn traced<T>(
    action: &'static str,
    items: usize,
    call: impl Future<Output = Result<T, ForgeError>>,
) -> Result<T, ForgeError> {
    let step = telemetry::write(action, items);
    let answer = call.await;
    if let Err(error) = &answer {
        step.failed("forge", &error.to_string());
    }
    answer
}
