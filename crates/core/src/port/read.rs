//! The read side of a forge, for one repository and one pull request of it. Writes are effects
//! ([`crate::effect`]).

use async_trait::async_trait;

use super::{
    Actor, AppliedLabel, BranchPull, CommitCheck, ConversationComment, ConversationReply, ForgeError,
    MergeSummary, OwnIssue, PullActivity, PullDetails, PullRequest, PullReview, RepositoryDetails,
    ReviewThread,
};
use crate::id::{CommentId, Sha, Topic};
use crate::publish::{CommentSubject, ObservedComment, PublishLimits};

/// A repository and one pull request of it, read on behalf of one producer. The pull request number 0 means
/// that there is only the repository. Methods that read a pull request then fail without calling the forge.
///
/// The implementation verifies the markers in the texts that it reads, and returns the texts without them.
#[async_trait]
pub trait ForgeRead: Send + Sync {
    /// Returns the current pull request with one call; the result is not cached. The description still
    /// contains the marker.
    async fn pull_request(&self) -> Result<PullRequest, ForgeError>;

    /// Returns the current pull request, with details that need further calls.
    async fn pull_details(&self) -> Result<PullDetails, ForgeError>;

    /// Returns the predicted result of a merge. At some forges, the request starts the computation, so the
    /// caller must retry while the result is not known.
    async fn merge_state(&self) -> Result<MergeSummary, ForgeError>;

    /// Returns the newest check of each name on a commit.
    async fn checks(&self, commit: &Sha) -> Result<Vec<CommitCheck>, ForgeError>;

    /// Returns the labels of the pull request, with the accounts that set them.
    async fn labels(&self) -> Result<Vec<AppliedLabel>, ForgeError>;

    /// Returns the reviews of all users, oldest first. Our own reviews include the topic from their marker
    /// ([`PullReview::audit_mark`]).
    async fn reviews(&self) -> Result<Vec<PullReview>, ForgeError>;

    /// Returns all threads on the diff, in the order in which they began.
    async fn threads(&self) -> Result<Vec<ReviewThread>, ForgeError>;

    /// Returns the comments that show items of the producer: the comments by our accounts with a marker for
    /// this pull request. A marker that was signed with an unknown key is accepted, because only Truing
    /// writes with these accounts.
    ///
    /// `recorded_comments` are the comments in our records. They are returned even if a user has changed
    /// their text and removed the marker. A recorded comment that is missing from the forge's list is
    /// requested by its id, because the list may be outdated.
    async fn producer_comments(
        &self,
        recorded_comments: &[(CommentSubject, CommentId)],
    ) -> Result<Vec<ObservedComment>, ForgeError>;

    /// Returns the item that a comment on the diff shows, if this producer wrote the comment. The comment
    /// must be in `recorded_comments`, or be by one of our accounts with a marker for this pull request.
    async fn comment_subject(
        &self,
        recorded_comments: &[(CommentSubject, CommentId)],
        comment: &CommentId,
    ) -> Result<Option<CommentSubject>, ForgeError>;

    /// Returns the topic of this comment on the diff, if the comment is ours and began a thread.
    async fn comment_topic(&self, comment: &CommentId) -> Result<Option<Topic>, ForgeError>;

    /// Returns the conversation comments of all users whose text, without surrounding white space, is `text`;
    /// oldest first. Such comments are commands that trigger a bot.
    async fn matching_comments(&self, text: &str) -> Result<Vec<ConversationComment>, ForgeError>;

    /// Returns the accounts that reacted with eyes to a comment in the conversation.
    async fn eye_reactions(&self, comment: &CommentId) -> Result<Vec<Actor>, ForgeError>;

    /// Returns the current details of the repository.
    async fn repository(&self) -> Result<RepositoryDetails, ForgeError>;

    /// Returns the pull requests from a branch of this repository itself (not from forks), in any state,
    /// newest first.
    async fn pulls_from(&self, branch: &str) -> Result<Vec<BranchPull>, ForgeError>;

    /// Returns the commits, reviews and comments of the pull request with this number.
    async fn activity(&self, number: u64) -> Result<PullActivity, ForgeError>;

    /// Returns our issues with this label, open and closed, of every topic, newest first. An issue is ours if
    /// one of our accounts opened it and its marker verifies.
    async fn issues(&self, label: &str) -> Result<Vec<OwnIssue>, ForgeError>;

    /// Returns the comments in the conversation of an issue or a pull request, ours too, oldest first. If
    /// `since` is given, only comments later than that comment are returned. This also works if that comment
    /// was deleted.
    async fn replies(
        &self,
        number: u64,
        since: Option<&CommentId>,
    ) -> Result<Vec<ConversationReply>, ForgeError>;

    /// Returns the forge's limits and capabilities that affect publishing.
    fn publish_limits(&self) -> PublishLimits;

    /// Returns the maximum text length of a pull request, issue or comment without its marker, in UTF-16
    /// units. Longer texts are refused.
    fn max_body_length(&self) -> usize {
        self.publish_limits().max_body_length
    }
}
