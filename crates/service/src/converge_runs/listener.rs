//! Handles `/converge stop` for a run that a person started by a command. A run by the service receives the
//! stop request through its slot. A command may run without any server that receives webhooks. This module
//! therefore lists the comments at the forge.

use std::collections::HashSet;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::Mutex;
use truing_core::id::{PrId, TimeSpan, UnixMillis};
use truing_core::port::{Clock as _, CommentKind, ForgeError, PullComment};
use truing_forge::listing::CachedListing;
use truing_forge::{AnyForgeServer, ForgeServer as _};
use truing_loops::converge::StopRequests;
use truing_loops::machine::SystemClock;

use crate::comment_commands::UserCommand;

/// Largest assumed lag of the forge's clock. The listing of comments begins this much before the start of the
/// run.
const MAX_CLOCK_LAG: TimeSpan = TimeSpan::minutes(10);
/// Largest number of requests to the forge in one check for new comments. Responses that report no change are
/// not counted.
const MAX_CALLS_PER_CHECK: u64 = 20;

/// Finds comments that people write on a pull request after this listener was opened.
#[derive(Debug)]
pub(super) struct StopListener<'a> {
    server: &'a AnyForgeServer,
    repo: &'a str,
    pr: &'a PrId,
    since: UnixMillis,
    received: Mutex<ReceivedComments>,
}

#[derive(Default, Debug)]
struct ReceivedComments {
    comment_lists: [CachedListing<PullComment>; 2],
    /// Comments that do not affect this run: comments that existed at the start, and comments of people
    /// without write access.
    ignored_comments: HashSet<(CommentKind, u64)>,
}

impl<'a> StopListener<'a> {
    /// Creates a listener that ignores all existing comments.
    ///
    /// # Errors
    /// [`ForgeError`] if the comments cannot be listed.
    pub(super) async fn open(
        server: &'a AnyForgeServer,
        repo: &'a str,
        pr: &'a PrId,
    ) -> Result<Self, ForgeError> {
        let since = UnixMillis(SystemClock.now().0.saturating_sub(MAX_CLOCK_LAG.0));
        let listener = Self { server, repo, pr, since, received: Mutex::default() };
        let mut heard = listener.received.lock().await;
        listener.refresh_comments(&mut heard.comment_lists).await?;
        let ReceivedComments { comment_lists: lists, ignored_comments: passed } = &mut *heard;
        passed.extend(lists.iter().flat_map(CachedListing::items).map(|comment| (comment.kind, comment.id)));
        drop(heard);
        Ok(listener)
    }

    async fn refresh_comments(
        &self,
        comment_lists: &mut [CachedListing<PullComment>; 2],
    ) -> Result<(), ForgeError> {
        let of = (self.repo, Some(self.pr.number));
        self.server.refresh_comments_since(of, self.since, comment_lists, &mut { MAX_CALLS_PER_CHECK }).await
    }

    /// Finds the newest `/converge` or `/converge stop` of a person with write access. If the command is
    /// `/converge stop`, returns the login of its author.
    async fn find_stop_request(&self) -> Result<Option<String>, ForgeError> {
        let mut heard = self.received.lock().await;
        self.refresh_comments(&mut heard.comment_lists).await?;
        let ReceivedComments { comment_lists: lists, ignored_comments: passed } = &mut *heard;
        let of_run = |comment: &&PullComment| {
            let is_new = comment.number == self.pr.number && !passed.contains(&(comment.kind, comment.id));
            is_new
                && matches!(
                    UserCommand::parse(&comment.body),
                    Some(UserCommand::Stop | UserCommand::Converge)
                )
        };
        let mut comments: Vec<&PullComment> =
            lists.iter().flat_map(CachedListing::items).filter(of_run).collect();
        comments.sort_by_key(|comment| (comment.created, comment.id));
        for comment in comments.into_iter().rev() {
            if let Some(author) = &comment.author
                && author.is_person
                && !self.server.is_own_account(self.repo, author).await?
                && self.server.may_write(self.repo, author).await?
            {
                match self.read_own_command(comment).await? {
                    Some(UserCommand::Stop) => return Ok(Some(author.login.clone())),
                    Some(UserCommand::Converge) => return Ok(None),
                    Some(_) | None => {}
                }
            }
            passed.insert((comment.kind, comment.id));
        }
        Ok(None)
    }

    /// Reads the comment's present command. Returns `None` if the comment's author did not write it.
    async fn read_own_command(&self, listed: &PullComment) -> Result<Option<UserCommand>, ForgeError> {
        let comment = match self.server.comment(self.pr, self.repo, listed.kind, listed.id).await {
            Ok(Some(comment)) => comment,
            Ok(None) | Err(ForgeError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        if let Some(reason) = comment.text_writer.refusal_reason() {
            tracing::warn!(comment = listed.id, "a command was not run: {reason}");
            return Ok(None);
        }
        Ok(UserCommand::parse(&comment.body))
    }
}

impl StopRequests for StopListener<'_> {
    fn stop_requester(&self) -> BoxFuture<'_, Result<Option<String>, ForgeError>> {
        let stop_text = |requester: String| {
            format!("stopped by `/converge stop` of {requester}: run the same command again to resume")
        };
        self.find_stop_request().map(move |newest| newest.map(|requester| requester.map(stop_text))).boxed()
    }
}
