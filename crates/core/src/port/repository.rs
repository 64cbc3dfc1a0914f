//! Types for a repository at a forge. The loops that use them open pull requests from the repository's own
//! branches, and ask questions in issues. Crate `git` handles branches and commits.

use serde::Serialize;

use super::TextWriter;
use crate::id::{AccountId, CommentId, ReviewId, Sha, Topic, UnixMillis};

/// The current data of a repository at a forge.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RepositoryDetails {
    /// Current full name, as `owner/name`.
    pub name: String,
    /// Default base branch of new pull requests.
    pub default_branch: String,
    /// Truing's permissions to change the repository.
    pub write_access: WriteAccess,
    /// True if the repository is a fork of another one.
    pub is_fork: bool,
}

/// Truing's write permissions in a repository, as the forge reports them. The forge may refuse a call even if
/// these permissions allow the call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WriteAccess {
    /// True if the repository is archived and therefore read-only.
    pub archived: bool,
    /// True if Truing's credential may push branches; `None` if the forge does not report this permission.
    pub can_push: Option<bool>,
    /// True if the repository has issues enabled.
    pub has_issues_enabled: bool,
}

/// A user or an app at the forge.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Actor {
    /// Id of the account. No other account can get this id.
    pub id: AccountId,
    /// Current name of the account. At some forges, several users may have the same name.
    pub login: String,
    /// True if this is a current or former account of Truing.
    pub is_own_account: bool,
    /// True if the forge lists the account as a person's account. The account of an App is not a person's
    /// account.
    pub is_person: bool,
}

impl Actor {
    /// Returns true if `id_or_name` identifies this account (see [`AccountId::matches_name`]).
    pub fn matches_name(&self, id_or_name: &str, unique_names: bool) -> bool {
        self.id.matches_name(&self.login, id_or_name, unique_names)
    }
}

/// The state of a pull request.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum PullState {
    /// Open and ready for review.
    Open,
    /// Open, but marked as a draft.
    Draft,
    /// Merged into its base branch.
    Merged,
    /// Closed without a merge.
    Closed,
}

/// A pull request from a branch of the repository that it targets. Title and body are untrusted, because
/// users may have changed them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BranchPull {
    /// Number that users see.
    pub number: u64,
    /// Address of the web page at the forge.
    pub url: String,
    /// Title of the pull request.
    pub title: String,
    /// Description without our marker.
    pub body: String,
    /// State of the pull request.
    pub state: PullState,
    /// Newest commit of the pull request's branch; for a closed pull request, the newest commit at the time
    /// of closing.
    pub head: Sha,
    /// Branch that contains the changes.
    pub branch: String,
    /// Branch into which the pull request is to be merged.
    pub base_branch: String,
    /// Author of the pull request; `None` if the account was deleted.
    pub author: Option<Actor>,
    /// Topic from the marker, if one of our accounts opened the pull request and the marker verifies.
    /// Otherwise `None`, for example if a user has removed the marker.
    pub topic: Option<Topic>,
    /// Opening time, by the forge's clock.
    pub created: UnixMillis,
    /// Labels of the pull request.
    pub labels: Vec<String>,
}

impl BranchPull {
    /// Returns true if one of our accounts opened the pull request.
    pub fn has_own_author(&self) -> bool {
        self.author.as_ref().is_some_and(|author| author.is_own_account)
    }

    /// Returns true if the pull request is open, as a draft or for review.
    pub fn is_open(&self) -> bool {
        match self.state {
            PullState::Open | PullState::Draft => true,
            PullState::Merged | PullState::Closed => false,
        }
    }
}

/// A pull request to be opened. Its branch must already be pushed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct PullDraft {
    /// Topic for the pull request's marker.
    pub topic: Topic,
    /// Branch of the same repository that contains the changes.
    pub branch: String,
    /// Branch into which the pull request is to be merged.
    pub base: String,
    /// Title of the pull request.
    pub title: String,
    /// Description without a marker.
    pub body: String,
    /// True to open the pull request as a draft.
    pub draft: bool,
}

/// A commit of a pull request. Name and e-mail address of the author come from the git commit; the forge does
/// not verify them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PullCommit {
    /// Full id of the commit.
    pub sha: Sha,
    /// Account to which the author's e-mail address belongs; `None` if the forge knows no such account.
    pub author: Option<Actor>,
    /// Name of the author.
    pub author_name: String,
    /// E-mail address of the author.
    pub author_email: String,
    /// Committer date of the git commit. A rebase changes this date, but not the author.
    pub committed_at: UnixMillis,
}

/// The verdict of a review.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ReviewState {
    /// The reviewer approves a merge.
    Approved,
    /// The reviewer requires changes before a merge.
    ChangesRequested,
    /// The review has comments and no verdict.
    Commented,
    /// The review was dismissed later.
    Dismissed,
    /// The review is not submitted yet. Only its author can see the review.
    Pending,
}

/// A review of a pull request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PullReview {
    /// Forge's id of the review.
    pub id: ReviewId,
    /// Author of the review; `None` if the account was deleted.
    pub author: Option<Actor>,
    /// Verdict of the review.
    pub state: ReviewState,
    /// Commit that was reviewed; `None` if this commit no longer exists.
    pub commit: Option<Sha>,
    /// Time of submission, by the forge's clock; `None` for a pending review.
    pub submitted_at: Option<UnixMillis>,
    /// Text of the review, without our marker. Empty if the review has only comments on the diff.
    pub body: String,
    /// Topic from the marker, if one of our accounts wrote the review and the marker verifies.
    pub topic: Option<Topic>,
}

/// A comment on a pull request, in its conversation or on its diff.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PullRequestComment {
    /// Forge's id of the comment.
    pub id: CommentId,
    /// Author of the comment; `None` if the account was deleted.
    pub author: Option<Actor>,
    /// Commit that a comment on the diff was made on; `None` in the conversation.
    pub commit: Option<Sha>,
    /// Time of the comment, by the forge's clock.
    pub created: UnixMillis,
    /// Text of the comment, without our marker.
    pub body: String,
    /// Topic from the marker, if one of our accounts wrote the comment and the marker verifies.
    pub topic: Option<Topic>,
}

/// The activity of all users on a pull request. Each list is sorted, oldest first.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PullActivity {
    /// Commits of the pull request. A forge may limit the number of commits in the list (GitHub: 250).
    pub commits: Vec<PullCommit>,
    /// Reviews of the pull request.
    pub reviews: Vec<PullReview>,
    /// Comments on the pull request: first the comments in the conversation, then the comments on the diff.
    pub comments: Vec<PullRequestComment>,
}

/// An issue that one of our accounts opened, with our marker. Users may have changed its title and body.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OwnIssue {
    /// Number that users see.
    pub number: u64,
    /// Address of the web page at the forge.
    pub url: String,
    /// Title of the issue.
    pub title: String,
    /// Text of the issue, without our marker.
    pub body: String,
    /// Topic from our marker.
    pub topic: Topic,
    /// True if the issue is open.
    pub open: bool,
    /// True if only users with write permission to the repository may comment.
    pub locked: bool,
    /// Opening time, by the forge's clock.
    pub created: UnixMillis,
}

/// A reply in an issue or in a pull request's conversation. Its text is untrusted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConversationReply {
    /// Forge's id of the comment.
    pub id: CommentId,
    /// Author of the comment; `None` if the account was deleted.
    pub author: Option<Actor>,
    /// True if the author is a person with current write permission to the repository. Replies of other
    /// accounts have no effect. Our own accounts are never trusted.
    pub is_author_trusted: bool,
    /// Time at which the reply was written, by the forge's clock.
    pub created: UnixMillis,
    /// Text of the reply, without our marker.
    pub body: String,
    /// Account that wrote the present text.
    pub text_writer: TextWriter,
    /// Topic from the marker, if one of our accounts wrote the reply and the marker verifies.
    pub topic: Option<Topic>,
}

impl ConversationReply {
    /// True if the reply is an answer of a person with write permission, in this person's own words.
    pub fn is_trusted_answer(&self) -> bool {
        self.is_author_trusted && self.text_writer == TextWriter::Author
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_an_account_only_where_names_are_unique_and_an_id_always_does() {
        let actor = |id: &str, login: &str| Actor {
            id: AccountId::new(id),
            login: login.to_owned(),
            is_own_account: false,
            is_person: true,
        };
        let (ann, cloud) = (actor("7", "Ann"), actor("{0a-1}", "ann"));
        assert!(ann.matches_name("ann", true) && ann.matches_name("7", true) && ann.matches_name("7", false));
        assert!(
            !ann.matches_name("ann", false) && !ann.matches_name("eve", true) && !ann.matches_name("", true)
        );
        assert!(cloud.matches_name("{0A-1}", false) && !cloud.matches_name("ann", false));
        // An account does not match an id of another account, even if the account's login equals this id.
        for liar in [actor("8", "7"), actor("{0a-2}", "{0a-1}")] {
            assert!(!liar.matches_name(&liar.login, true), "{liar:?}");
        }
        assert!(!actor("", "").matches_name("x", true));
    }
}
