//! The side of a forge that reads: one repository, and one pull request of it. Writes are effects ([`crate::effect`]).

use async_trait::async_trait;

use super::{
    Actor, AppliedLabel, BranchPull, CommitCheck, ConversationComment, ConversationReply, ForgeError,
    MergeSummary, OwnIssue, PullActivity, PullDetails, PullRequest, PullReview, RepositoryDetails,
    ReviewThread,
};
use crate::id::{CommentId, Sha, Topic};
use crate::publish::{CommentSubject, ObservedComment, PublishLimits};

/// A repository and one pull request of it, as one producer reads them. Of the pull request with the number 0, which is the
/// repository alone, nothing can be read: that is refused before any call.
///
/// The implementation verifies markers on what it reads; texts are given without.
#[async_trait]
pub trait ForgeRead: Send + Sync {
    /// The pull request now, by one call. Not cached. Its description is given as it stands, with the marker.
    async fn pull_request(&self) -> Result<PullRequest, ForgeError>;

    /// The pull request now, with what other calls tell of it.
    async fn now(&self) -> Result<PullDetails, ForgeError>;

    /// The result of a merge. Asking makes some forges find out: ask again while it is not known.
    async fn merge(&self) -> Result<MergeSummary, ForgeError>;

    /// The checks of a commit, the newest of each name.
    async fn checks(&self, commit: &Sha) -> Result<Vec<CommitCheck>, ForgeError>;

    /// Its labels, and who set them.
    async fn labels(&self) -> Result<Vec<AppliedLabel>, ForgeError>;

    /// All reviews, by anybody, oldest first; ours with their topic ([`PullReview::audit`]).
    async fn reviews(&self) -> Result<Vec<PullReview>, ForgeError>;

    /// All threads on the diff, in the order in which they began.
    async fn threads(&self) -> Result<Vec<ReviewThread>, ForgeError>;

    /// The comments that show items of the producer: those by one of our accounts, with a marker for this pull request. A
    /// marker under a key that we do not have counts: nobody else writes with our accounts. Those that records `know` as
    /// ours count whatever their text is by now, and are asked for one by one if the forge's list misses them: it may be
    /// behind.
    async fn comments(
        &self,
        known: &[(CommentSubject, CommentId)],
    ) -> Result<Vec<ObservedComment>, ForgeError>;

    /// The item that a comment on the diff shows, if it is one of ours by this producer: one that records `know`, else one
    /// by an account of ours with a marker for here.
    async fn item_at(
        &self,
        known: &[(CommentSubject, CommentId)],
        comment: &CommentId,
    ) -> Result<Option<CommentSubject>, ForgeError>;

    /// The topic of a comment of ours on the diff, if it began a thread.
    async fn topic_at(&self, comment: &CommentId) -> Result<Option<Topic>, ForgeError>;

    /// The comments in the conversation whose whole text is this, white space around it aside, by anybody, oldest
    /// first: what wakes a bot.
    async fn said(&self, text: &str) -> Result<Vec<ConversationComment>, ForgeError>;

    /// Who reacted with eyes to a comment in the conversation.
    async fn eyes(&self, comment: &CommentId) -> Result<Vec<Actor>, ForgeError>;

    /// The repository now.
    async fn repository(&self) -> Result<RepositoryDetails, ForgeError>;

    /// The pull requests from a branch of this very repository (not from forks), in any state, newest first.
    async fn pulls_from(&self, branch: &str) -> Result<Vec<BranchPull>, ForgeError>;

    /// What was done on the pull request with this number.
    async fn activity(&self, number: u64) -> Result<PullActivity, ForgeError>;

    /// The issues with this label that one of our accounts opened and whose marker verifies, of every topic, open and
    /// closed, newest first.
    async fn issues(&self, label: &str) -> Result<Vec<OwnIssue>, ForgeError>;

    /// The comments in the conversation of an issue or a pull request, ours too, oldest first; those that came after
    /// `since`, if given, whether that one is still there or not.
    async fn replies(
        &self,
        number: u64,
        since: Option<&CommentId>,
    ) -> Result<Vec<ConversationReply>, ForgeError>;

    /// The limits of the forge.
    fn bounds(&self) -> PublishLimits;

    /// The longest text of a pull request, an issue or a comment without its marker, in UTF-16 units: a longer one is
    /// refused.
    fn longest_body(&self) -> usize {
        self.bounds().body
    }
}
