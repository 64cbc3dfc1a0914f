//! Data of a forge that are not requested for one pull request: lists of repositories, pull requests and
//! comments, accounts of authors, and branch protection.

use super::{CommentKind, PullRevision, TextWriter};
use crate::id::{AccountId, CommentId, Sha, UnixMillis};

/// The supported kinds of forge.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ForgeKind {
    /// GitHub.com or GitHub Enterprise Server.
    Github,
    /// Bitbucket Cloud, hosted by Atlassian.
    Bitbucket,
    /// Bitbucket Data Center, hosted by its operator.
    BitbucketDc,
}

impl ForgeKind {
    /// All supported kinds of forge.
    pub const ALL: [Self; 3] = [Self::Github, Self::Bitbucket, Self::BitbucketDc];

    /// Returns the value of `forge.NAME.kind` in the configuration that selects this kind.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Github => "github",
            Self::Bitbucket => "bitbucket",
            Self::BitbucketDc => "bitbucket-dc",
        }
    }

    /// Returns the kind with this word; `None` for other words.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// A repository in a list that the forge returned.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ForgeRepository {
    /// Forge's id, which survives renames and transfers.
    pub id: String,
    /// Current full name, as `owner/name`.
    pub name: String,
    /// True if the repository is read-only: its pull requests accept no comments.
    pub archived: bool,
}

/// An open pull request in a list that the forge returned.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OpenPull {
    /// Id of the pull request's repository.
    pub repository_id: String,
    /// Current full name of the pull request's repository, as `owner/name`.
    pub repository_name: String,
    /// Number that users see.
    pub number: u64,
    /// Address of the web page at the forge.
    pub url: String,
    /// Head and base commits.
    pub revision: PullRevision,
    /// True while the pull request is a draft.
    pub draft: bool,
}

/// An open pull request in a list for users.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PullListItem {
    /// Number that users see.
    pub number: u64,
    /// Title of the pull request.
    pub title: String,
    /// Address of the web page at the forge.
    pub url: String,
    /// Login of the author; `None` if the account was deleted.
    pub author: Option<String>,
    /// True while the pull request is a draft.
    pub draft: bool,
    /// Newest commit of the pull request's branch.
    pub head: Sha,
    /// Branch that contains the changes.
    pub branch: String,
    /// Branch into which the pull request is to be merged.
    pub base_branch: String,
}

/// An account that wrote something at the forge.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuthorAccount {
    /// Forge's id, which survives renames.
    pub id: AccountId,
    /// Current login of the account.
    pub login: String,
    /// True if the account belongs to a person; false for an app or a bot.
    pub is_person: bool,
}

/// A comment on a pull request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PullComment {
    /// Kind of the comment: in the conversation or on the diff.
    pub kind: CommentKind,
    /// Forge's number of the comment, unique among the comments of its kind.
    pub id: u64,
    /// Comment that began the thread, if this comment is a reply on the diff.
    pub first_comment: Option<CommentId>,
    /// Number of the pull request.
    pub number: u64,
    /// Web page of the pull request.
    pub url: String,
    /// Author of the comment; `None` if the account was deleted.
    pub author: Option<AuthorAccount>,
    /// Text of the comment, shortened.
    pub body: String,
    /// Account that wrote the present text. GitHub's lists of comments do not show this account.
    pub text_writer: TextWriter,
    /// Time at which the comment was written.
    pub created: UnixMillis,
    /// Time of the last change.
    pub updated: UnixMillis,
}

/// The protection of a branch. The forge may refuse a push because of the rules of this protection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BranchProtection {
    /// True if the branch is protected. The forge shows the details of this protection only to
    /// administrators.
    pub is_protected: bool,
    /// Types of the rules in rulesets that apply to the branch, such as `required_signatures`.
    pub rules: Vec<String>,
}
