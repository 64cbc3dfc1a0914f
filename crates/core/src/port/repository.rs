//! A repository at a forge, for loops that bring changes to it: pull requests from branches of its own, and questions that
//! are asked in issues. Branches and commits are git's (crate `git`).

use serde::Serialize;

use crate::id::{AccountId, CommentId, ReviewId, Sha, Topic, UnixMillis};

/// A repository at a forge, as it is now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RepositoryDetails {
    /// `owner/name` as it is now.
    pub name: String,
    /// The branch that pull requests go to unless told otherwise.
    pub default_branch: String,
    /// What of it can be changed by us at all.
    pub writable: WriteAccess,
    /// Is it a fork of another one?
    pub is_fork: bool,
}

/// What a repository lets us do, as far as the forge says so before it is tried. A call may be refused all the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WriteAccess {
    /// Is it archived? Then nothing of it can be changed.
    pub archived: bool,
    /// May our credential push branches? None: the forge does not tell.
    pub push: Option<bool>,
    /// Has it issues?
    pub issues: bool,
}

/// Somebody at the forge.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Actor {
    /// The id of their account, which nobody else can take over.
    pub id: AccountId,
    /// Their name now. At some forges anybody may choose the name of somebody else.
    pub login: String,
    /// Is it one of our accounts, present or former?
    pub ours: bool,
    /// Is it a person's account, as the forge has it? An App's is not.
    pub person: bool,
}

impl Actor {
    /// True if this is the account of a name: [`AccountId::is_called`].
    pub fn is_called(&self, called: &str, unique_names: bool) -> bool {
        self.id.is_called(&self.login, called, unique_names)
    }
}

/// How a pull request stands.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum PullState {
    /// Open, for review.
    Open,
    /// Open, a draft.
    Draft,
    /// Merged.
    Merged,
    /// Closed, not merged.
    Closed,
}

/// A pull request from a branch of the very repository that it goes to. Title and body are text that people may have
/// changed: data.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BranchPull {
    /// The number that people see.
    pub number: u64,
    /// Its page.
    pub url: String,
    /// Its title.
    pub title: String,
    /// Its text, without our marker.
    pub body: String,
    /// How it stands.
    pub state: PullState,
    /// Its newest commit. Of one that is closed: the newest that it had.
    pub head: Sha,
    /// The branch that it comes from.
    pub branch: String,
    /// The branch that it goes to.
    pub base: String,
    /// Who opened it; none if the account is gone.
    pub author: Option<Actor>,
    /// What it is about, if one of our accounts opened it and our marker in its text verifies; otherwise it is none
    /// of ours, or somebody has taken the marker away.
    pub topic: Option<Topic>,
    /// When it was opened, by the forge's clock.
    pub created: UnixMillis,
    /// Its labels.
    pub labels: Vec<String>,
}

impl BranchPull {
    /// Did one of our accounts open it?
    pub fn is_ours(&self) -> bool {
        self.author.as_ref().is_some_and(|author| author.ours)
    }

    /// Is it open, as a draft or for review?
    pub fn is_open(&self) -> bool {
        match self.state {
            PullState::Open | PullState::Draft => true,
            PullState::Merged | PullState::Closed => false,
        }
    }
}

/// A pull request to be opened. Its branch is pushed before.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct PullDraft {
    /// What it is about: in its marker.
    pub topic: Topic,
    /// The branch that it comes from, of the same repository.
    pub branch: String,
    /// The branch that it goes to.
    pub base: String,
    /// Its title.
    pub title: String,
    /// Its text, without marker.
    pub body: String,
    /// As a draft?
    pub draft: bool,
}

/// A commit of a pull request. Who wrote it is what git has: nothing proves it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PullCommit {
    /// The commit.
    pub sha: Sha,
    /// The account that the forge takes for its author (by the address); none if it knows none.
    pub author: Option<Actor>,
    /// The author's name.
    pub name: String,
    /// The author's address.
    pub email: String,
    /// When it was committed, as the commit has it. A rebase changes that and not the author.
    pub committed: UnixMillis,
}

/// What a review says.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ReviewState {
    /// It may be merged.
    Approved,
    /// It may not, as it is.
    ChangesRequested,
    /// Neither.
    Commented,
    /// Somebody took it back.
    Dismissed,
    /// It is not submitted: only its author sees it.
    Pending,
}

/// A review that somebody submitted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PullReview {
    /// The review.
    pub id: ReviewId,
    /// Who; none if the account is gone.
    pub author: Option<Actor>,
    /// What it says.
    pub state: ReviewState,
    /// The commit that it was made on; none if that is gone.
    pub commit: Option<Sha>,
    /// When, by the forge's clock; none for a pending one.
    pub at: Option<UnixMillis>,
    /// Its text, without our marker. Empty if it has only comments.
    pub body: String,
    /// What it is about, if it is ours: one of our accounts wrote it, and our marker verifies.
    pub topic: Option<Topic>,
}

/// A comment on a pull request, in its conversation or on its diff.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PullRemark {
    /// The comment.
    pub id: CommentId,
    /// Who; none if the account is gone.
    pub author: Option<Actor>,
    /// On the diff: the commit that it was made on. None in the conversation.
    pub commit: Option<Sha>,
    /// When, by the forge's clock.
    pub at: UnixMillis,
    /// Its text, without our marker.
    pub body: String,
    /// What it is about, if it is ours: one of our accounts wrote it, and our marker verifies.
    pub topic: Option<Topic>,
}

/// What was done on a pull request, by anybody; each list oldest first.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PullActivity {
    /// Its commits; a forge may list so many only (GitHub: 250).
    pub commits: Vec<PullCommit>,
    /// Its reviews.
    pub reviews: Vec<PullReview>,
    /// Its comments: those of the conversation, then those on the diff.
    pub remarks: Vec<PullRemark>,
}

/// An issue that one of our accounts opened, with our marker. Title and body are text that people may have changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OwnIssue {
    /// The number that people see.
    pub number: u64,
    /// Its page.
    pub url: String,
    /// Its title.
    pub title: String,
    /// Its text, without our marker.
    pub body: String,
    /// What it is about.
    pub topic: Topic,
    /// Is it open?
    pub open: bool,
    /// May only those who may write to the repository comment on it?
    pub locked: bool,
    /// When it was opened, by the forge's clock.
    pub created: UnixMillis,
}

/// An answer in an issue or in a pull request's conversation. Its text is data.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConversationReply {
    /// The comment.
    pub id: CommentId,
    /// Who; none if the account is gone.
    pub author: Option<Actor>,
    /// Is it a person who may write to the repository, as the forge says now? Nobody else is obeyed; never one of
    /// our accounts.
    pub trusted: bool,
    /// When it was written, by the forge's clock.
    pub at: UnixMillis,
    /// Its text, without our marker.
    pub body: String,
    /// What it is about, if it is ours: one of our accounts wrote it, and our marker verifies.
    pub topic: Option<Topic>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_an_account_only_where_names_are_unique_and_an_id_always_does() {
        let actor = |id: &str, login: &str| Actor {
            id: AccountId::new(id),
            login: login.to_owned(),
            ours: false,
            person: true,
        };
        let (ann, cloud) = (actor("7", "Ann"), actor("{0a-1}", "ann"));
        assert!(ann.is_called("ann", true) && ann.is_called("7", true) && ann.is_called("7", false));
        assert!(!ann.is_called("ann", false) && !ann.is_called("eve", true) && !ann.is_called("", true));
        assert!(cloud.is_called("{0A-1}", false) && !cloud.is_called("ann", false));
        // Whoever takes an id for a name is not the account with that id.
        for liar in [actor("8", "7"), actor("{0a-2}", "{0a-1}")] {
            assert!(!liar.is_called(&liar.login, true), "{liar:?}");
        }
        assert!(!actor("", "").is_called("x", true));
    }
}
