//! The side of a forge that reads: one repository, and one pull request of it. Writes are effects ([`crate::effect`]).

use std::future::Future;

use super::{
    Actor, BranchPull, CommitCheck, ForgeError, Merge, OwnIssue, PullActivity, PullNow, PullRequest,
    PullReview, Reply, RepositoryNow, ReviewThread, Said, SetLabel,
};
use crate::id::{CommentId, Sha, Topic};
use crate::publish::{Bounds, Item, Observed};

/// A repository and one pull request of it, as one producer reads them. Of the pull request with the number 0, which is the
/// repository alone, nothing can be read: that is refused before any call.
///
/// The implementation verifies markers on what it reads; texts are given without.
pub trait ForgeRead: Send + Sync {
    /// The pull request now, by one call. Not cached. Its description is given as it stands, with the marker.
    fn pull_request(&self) -> impl Future<Output = Result<PullRequest, ForgeError>> + Send;

    /// The pull request now, with what other calls tell of it.
    fn now(&self) -> impl Future<Output = Result<PullNow, ForgeError>> + Send;

    /// The result of a merge. Asking makes some forges find out: ask again while it is not known.
    fn merge(&self) -> impl Future<Output = Result<Merge, ForgeError>> + Send;

    /// The checks of a commit, the newest of each name.
    fn checks(&self, commit: &Sha) -> impl Future<Output = Result<Vec<CommitCheck>, ForgeError>> + Send;

    /// Its labels, and who set them.
    fn labels(&self) -> impl Future<Output = Result<Vec<SetLabel>, ForgeError>> + Send;

    /// All reviews, by anybody, oldest first; ours with their topic ([`PullReview::audit`]).
    fn reviews(&self) -> impl Future<Output = Result<Vec<PullReview>, ForgeError>> + Send;

    /// All threads on the diff, in the order in which they began.
    fn threads(&self) -> impl Future<Output = Result<Vec<ReviewThread>, ForgeError>> + Send;

    /// The comments that show items of the producer: those by one of our accounts, with a marker for this pull request. A
    /// marker under a key that we do not have counts: nobody else writes with our accounts. Those that records `know` as
    /// ours count whatever their text is by now, and are asked for one by one if the forge's list misses them: it may be
    /// behind.
    fn comments(
        &self,
        known: &[(Item, CommentId)],
    ) -> impl Future<Output = Result<Vec<Observed>, ForgeError>> + Send;

    /// The item that a comment on the diff shows, if it is one of ours by this producer: one that records `know`, else one
    /// by an account of ours with a marker for here.
    fn item_at(
        &self,
        known: &[(Item, CommentId)],
        comment: &CommentId,
    ) -> impl Future<Output = Result<Option<Item>, ForgeError>> + Send;

    /// The topic of a comment of ours on the diff, if it began a thread.
    fn topic_at(&self, comment: &CommentId)
    -> impl Future<Output = Result<Option<Topic>, ForgeError>> + Send;

    /// The comments in the conversation whose whole text is this, white space around it aside, by anybody, oldest
    /// first: what wakes a bot.
    fn said(&self, text: &str) -> impl Future<Output = Result<Vec<Said>, ForgeError>> + Send;

    /// Who reacted with eyes to a comment in the conversation.
    fn eyes(&self, comment: &CommentId) -> impl Future<Output = Result<Vec<Actor>, ForgeError>> + Send;

    /// The repository now.
    fn repository(&self) -> impl Future<Output = Result<RepositoryNow, ForgeError>> + Send;

    /// The pull requests from a branch of this very repository (not from forks), in any state, newest first.
    fn pulls_from(&self, branch: &str) -> impl Future<Output = Result<Vec<BranchPull>, ForgeError>> + Send;

    /// What was done on the pull request with this number.
    fn activity(&self, number: u64) -> impl Future<Output = Result<PullActivity, ForgeError>> + Send;

    /// The issues with this label that one of our accounts opened and whose marker verifies, of every topic, open and
    /// closed, newest first.
    fn issues(&self, label: &str) -> impl Future<Output = Result<Vec<OwnIssue>, ForgeError>> + Send;

    /// The comments in the conversation of an issue or a pull request, ours too, oldest first; those that came after
    /// `since`, if given, whether that one is still there or not.
    fn replies(
        &self,
        number: u64,
        since: Option<&CommentId>,
    ) -> impl Future<Output = Result<Vec<Reply>, ForgeError>> + Send;

    /// The limits of the forge.
    fn bounds(&self) -> Bounds;

    /// The longest text of a pull request, an issue or a comment without its marker, in UTF-16 units: a longer one is
    /// refused.
    fn longest_body(&self) -> usize {
        self.bounds().body
    }
}
