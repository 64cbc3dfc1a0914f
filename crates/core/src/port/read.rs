//! Reads one repository of a forge and one of its pull requests. Writes are effects ([`crate::effect`]).

use async_trait::async_trait;

use super::{
    Actor, AppliedLabel, BranchPull, CommitCheck, ConversationComment, ConversationReply, ForgeError,
    MergeSummary, OwnIssue, PullActivity, PullDetails, PullRequest, PullReview, RepositoryDetails,
    ReviewThread,
};
use crate::id::{CommentId, Sha, Topic};
use crate::publish::{CommentSubject, ObservedComment, PublishLimits};

/// Reads a repository and one of its pull requests, on behalf of one producer. The number 0 means that there
/// is no pull request; methods that read the pull request then fail without a call to the forge.
///
/// The implementation verifies the markers in the texts that it reads, and returns the texts without markers.
#[async_trait]
pub trait ForgeRead: Send + Sync {
    /// Returns the current pull request with one call; the result is not cached. The description still
    /// contains the marker.
    async fn pull_request(&self) -> Result<PullRequest, ForgeError>;

    /// Returns the current pull request, with details that need further calls.
    async fn pull_details(&self) -> Result<PullDetails, ForgeError>;

    /// Returns the predicted result of a merge. Some forges start the computation only on this request. The
    /// caller must therefore retry while the result is not known.
    async fn merge_state(&self) -> Result<MergeSummary, ForgeError>;

    /// Returns the newest check of each name for a commit.
    async fn checks(&self, commit: &Sha) -> Result<Vec<CommitCheck>, ForgeError>;

    /// Returns the labels of the pull request, with the accounts that set them.
    async fn labels(&self) -> Result<Vec<AppliedLabel>, ForgeError>;

    /// Returns the reviews of all users, oldest first. Our own reviews include the topic from their marker
    /// ([`PullReview::audit_mark`]).
    async fn reviews(&self) -> Result<Vec<PullReview>, ForgeError>;

    /// Returns all threads on the diff, in the order in which they began.
    async fn threads(&self) -> Result<Vec<ReviewThread>, ForgeError>;

    /// Returns the producer's comments on this pull request. A comment is included if one of our accounts
    /// wrote it and it has a marker for this pull request. A marker that was signed with an unknown key is
    /// accepted, because only Truing uses these accounts.
    ///
    /// `recorded_comments` are the comments in our records. Recorded comments are returned even if a user has
    /// removed the marker from the text. The forge's list may be outdated. A recorded comment that is missing
    /// from the list is therefore requested by its id.
    async fn producer_comments(
        &self,
        recorded_comments: &[(CommentSubject, CommentId)],
    ) -> Result<Vec<ObservedComment>, ForgeError>;

    /// Returns the subject of a comment on the diff if this producer wrote the comment. The comment must be
    /// in `recorded_comments`, or one of our accounts must have written it with a marker for this pull
    /// request.
    async fn comment_subject(
        &self,
        recorded_comments: &[(CommentSubject, CommentId)],
        comment: &CommentId,
    ) -> Result<Option<CommentSubject>, ForgeError>;

    /// Returns the topic of this comment on the diff if the comment is ours and began a thread; otherwise
    /// `None`.
    async fn comment_topic(&self, comment: &CommentId) -> Result<Option<Topic>, ForgeError>;

    /// Returns the conversation comments of all users with the text `text`, apart from surrounding white
    /// space. The oldest comment is first. Such comments are commands that trigger a bot.
    async fn matching_comments(&self, text: &str) -> Result<Vec<ConversationComment>, ForgeError>;

    /// Returns the accounts that reacted with eyes to a comment in the conversation.
    async fn eye_reactions(&self, comment: &CommentId) -> Result<Vec<Actor>, ForgeError>;

    /// Returns the current details of the repository.
    async fn repository(&self) -> Result<RepositoryDetails, ForgeError>;

    /// Returns the pull requests from a branch of this repository itself (not from forks), in any state,
    /// newest first.
    async fn pulls_from_branch(&self, branch: &str) -> Result<Vec<BranchPull>, ForgeError>;

    /// Returns the commits, reviews and comments of the pull request with this number.
    async fn activity(&self, number: u64) -> Result<PullActivity, ForgeError>;

    /// Returns our issues with this label, open and closed, of every topic, newest first. An issue is ours if
    /// one of our accounts opened it and its marker verifies.
    async fn issues(&self, label: &str) -> Result<Vec<OwnIssue>, ForgeError>;

    /// Returns the comments in the conversation of an issue or a pull request, including our own, oldest
    /// first. If `after_comment` is given, only later comments are returned, even if the comment
    /// `after_comment` was deleted.
    async fn replies(
        &self,
        number: u64,
        after_comment: Option<&CommentId>,
    ) -> Result<Vec<ConversationReply>, ForgeError>;

    /// Returns the forge's limits and capabilities that affect publishing.
    fn publish_limits(&self) -> PublishLimits;

    /// Returns the maximum text length of a pull request, issue or comment without its marker, in UTF-16
    /// units. Longer texts are refused.
    fn max_body_length(&self) -> usize {
        self.publish_limits().max_body_length
    }
}
