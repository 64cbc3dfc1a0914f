//! A server of a forge beyond one repository: what is listed there, who wrote it, and what protects a branch.

use super::{CommentKind, PullRevision};
use crate::id::{AccountId, CommentId, Sha, UnixMillis};

/// The kinds of forges.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ForgeKind {
    /// GitHub, also GitHub Enterprise Server.
    Github,
    /// Bitbucket Cloud.
    Bitbucket,
    /// Bitbucket Data Center.
    BitbucketDc,
}

impl ForgeKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Github, Self::Bitbucket, Self::BitbucketDc];

    /// Its word in a configuration: `forge.NAME.kind`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Github => "github",
            Self::Bitbucket => "bitbucket",
            Self::BitbucketDc => "bitbucket-dc",
        }
    }

    /// The kind that a word names; none for other words.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// A repository as the forge shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ForgeRepository {
    /// The id that lasts through renames and transfers.
    pub id: String,
    /// `owner/name` now.
    pub name: String,
    /// Read only: nobody can comment on its pull requests.
    pub archived: bool,
}

/// An open pull request as a list shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OpenPull {
    /// The id of its repository.
    pub repository: String,
    /// `owner/name` of its repository now.
    pub repo: String,
    /// The number people see.
    pub number: u64,
    /// Its page.
    pub url: String,
    /// Head and base.
    pub revision: PullRevision,
    /// Not ready yet?
    pub draft: bool,
}

/// An open pull request as people see it in a list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PullListItem {
    /// The number people see.
    pub number: u64,
    /// Its title.
    pub title: String,
    /// Its page.
    pub url: String,
    /// Who opened it; none if the account is gone.
    pub author: Option<String>,
    /// Not ready yet?
    pub draft: bool,
    /// Its newest commit.
    pub head: Sha,
    /// The branch that it comes from.
    pub branch: String,
    /// The branch that it goes to.
    pub base_branch: String,
}

/// Who wrote something.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuthorAccount {
    /// The id that lasts through renames.
    pub id: AccountId,
    /// The name now.
    pub login: String,
    /// A person, not an app or a bot.
    pub is_person: bool,
}

/// A comment on a pull request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PullComment {
    /// In the conversation or on the diff.
    pub kind: CommentKind,
    /// Its number, among those of its kind.
    pub id: u64,
    /// The comment that began the thread, for an answer on the diff.
    pub first: Option<CommentId>,
    /// The pull request's number.
    pub number: u64,
    /// The page of the pull request.
    pub url: String,
    /// Who wrote it; none if the account is gone.
    pub author: Option<AuthorAccount>,
    /// Its text, cut.
    pub body: String,
    /// When it was written.
    pub created: UnixMillis,
    /// When it was changed last.
    pub updated: UnixMillis,
}

/// The rules of a branch that may refuse a push.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BranchProtection {
    /// Is it protected? By what, is told to administrators alone.
    pub is_protected: bool,
    /// Kinds of the rules of rulesets that hold for it, such as `required_signatures`.
    pub rules: Vec<String>,
}
