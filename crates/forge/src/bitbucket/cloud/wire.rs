//! The fields of Bitbucket Cloud's answers that are read. Unknown fields pass.

use serde::Deserialize;
use serde_json::Value;
use truing_core::port::{ForgeError, PullState, ReviewState};

use super::super::address::account;
use super::super::bounds::instant;
use super::super::calls::{Note, On, Reviewer, Settled, User};

/// A page of a list.
#[derive(Deserialize)]
pub(super) struct Page<T> {
    pub(super) values: Vec<T>,
    pub(super) next: Option<String>,
}

/// An account.
#[derive(Deserialize)]
pub(super) struct Account {
    uuid: Option<String>,
    nickname: Option<String>,
    display_name: Option<String>,
    /// `user` for a person's.
    #[serde(rename = "type", default)]
    kind: String,
    /// `active` while it is in use. Told where the account itself is asked for.
    account_status: Option<String>,
}

impl Account {
    /// Does the answer say that it is no longer in use?
    pub(super) fn is_closed(&self) -> bool {
        self.account_status.as_deref().is_some_and(|status| status != "active")
    }

    /// None: it is gone, and nothing tells which it was.
    pub(super) fn user(self) -> Option<User> {
        Some(User {
            id: account(self.uuid?),
            login: self.nickname.or(self.display_name).unwrap_or_default(),
            slug: String::new(),
            is_person: self.kind == "user",
        })
    }
}

#[derive(Deserialize)]
pub(super) struct Href {
    #[serde(default)]
    href: String,
}

#[derive(Deserialize, Default)]
pub(super) struct Links {
    html: Option<Href>,
}

impl Links {
    pub(super) fn page(self) -> String {
        self.html.map(|html| html.href).unwrap_or_default()
    }
}

/// A repository.
#[derive(Deserialize)]
pub(super) struct Repository {
    pub(super) uuid: String,
    pub(super) full_name: String,
    /// Null while it is empty.
    #[serde(default)]
    pub(super) mainbranch: Option<Named>,
    /// There, if it is a fork.
    #[serde(default)]
    pub(super) parent: Option<Value>,
}

#[derive(Deserialize)]
pub(super) struct Named {
    pub(super) name: String,
}

/// A commit, by the digits that are given of it.
#[derive(Deserialize)]
pub(super) struct Hash {
    pub(super) hash: String,
}

/// One end of a pull request. The repository is null when the fork is gone, the commit when the branch is.
#[derive(Deserialize)]
pub(super) struct End {
    pub(super) commit: Option<Hash>,
    pub(super) branch: Option<Named>,
    pub(super) repository: Option<Repository>,
}

/// Somebody who reviews, or has taken part.
#[derive(Deserialize)]
pub(super) struct Participant {
    user: Option<Account>,
    #[serde(default)]
    role: String,
    state: Option<String>,
    participated_on: Option<String>,
}

/// A pull request.
#[derive(Deserialize)]
pub(super) struct Pull {
    pub(super) id: u64,
    #[serde(default)]
    pub(super) title: String,
    pub(super) description: Option<String>,
    pub(super) state: String,
    #[serde(default)]
    pub(super) draft: bool,
    #[serde(default)]
    pub(super) links: Links,
    pub(super) created_on: String,
    pub(super) updated_on: String,
    pub(super) author: Option<Account>,
    pub(super) source: End,
    pub(super) destination: End,
    pub(super) mergeable: Option<bool>,
    #[serde(default)]
    pub(super) reviewers: Vec<Account>,
    #[serde(default)]
    pub(super) participants: Vec<Participant>,
}

impl Pull {
    /// Is it from the very repository that it goes to?
    pub(super) fn is_of_here(&self) -> bool {
        fn id(end: &End) -> Option<&str> {
            end.repository.as_ref().map(|of| of.uuid.as_str())
        }
        id(&self.source) == id(&self.destination)
    }

    /// One that another took the place of is closed.
    pub(super) fn stands(&self) -> PullState {
        match (self.state.as_str(), self.draft) {
            ("OPEN", true) => PullState::Draft,
            ("OPEN", false) => PullState::Open,
            ("MERGED", _) => PullState::Merged,
            (_, _) => PullState::Closed,
        }
    }
}

/// Those who are asked, and those who have said something without.
pub(super) fn reviewers(
    what: &str,
    asked: Vec<Account>,
    participants: Vec<Participant>,
) -> Result<Vec<Reviewer>, ForgeError> {
    let mut all: Vec<Reviewer> = Vec::new();
    for one in participants {
        let Some(user) = one.user.and_then(Account::user) else { continue };
        let state = match one.state.as_deref() {
            Some("approved") => Some(ReviewState::Approved),
            Some("changes_requested") => Some(ReviewState::ChangesRequested),
            Some(_) | None => None,
        };
        let at = one.participated_on.map(|at| instant(what, &at)).transpose()?;
        let is_asked = one.role == "REVIEWER";
        all.push(Reviewer { user, is_asked, state, commit: None, at });
    }
    for user in asked.into_iter().filter_map(Account::user) {
        match all.iter_mut().find(|one| one.user.id == user.id) {
            Some(known) => known.is_asked = true,
            None => all.push(Reviewer { user, is_asked: true, state: None, commit: None, at: None }),
        }
    }
    Ok(all)
}

#[derive(Deserialize)]
pub(super) struct Parent {
    id: u64,
}

#[derive(Deserialize, Default)]
pub(super) struct Content {
    raw: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Inline {
    path: String,
    from: Option<u32>,
    to: Option<u32>,
    #[serde(default)]
    outdated: bool,
}

#[derive(Deserialize)]
pub(super) struct Resolution {
    user: Option<Account>,
}

/// A comment.
#[derive(Deserialize)]
pub(super) struct Comment {
    pub(super) id: u64,
    parent: Option<Parent>,
    /// Null when the account is gone.
    user: Option<Account>,
    created_on: String,
    updated_on: Option<String>,
    #[serde(default)]
    content: Content,
    #[serde(default)]
    links: Links,
    inline: Option<Inline>,
    resolution: Option<Resolution>,
    #[serde(default)]
    deleted: bool,
    /// Only its author sees it.
    #[serde(default)]
    pub(super) pending: bool,
}

impl Comment {
    /// As it is by itself: its thread is the one of the comment that it answers.
    pub(super) fn note(self, what: &str) -> Result<Note, ForgeError> {
        let created = instant(what, &self.created_on)?;
        let parent = self.parent.map(|parent| parent.id);
        Ok(Note {
            id: self.id,
            version: 0,
            parent,
            first: parent.unwrap_or(self.id),
            author: self.user.and_then(Account::user),
            created,
            updated: self.updated_on.map_or(Ok(created), |at| instant(what, &at))?,
            text: self.content.raw.unwrap_or_default(),
            url: self.links.page(),
            on: self.inline.map(|inline| On {
                path: inline.path,
                line: inline.to.or(inline.from),
                commit: None,
                is_outdated: inline.outdated,
            }),
            settled: match self.resolution {
                None => Settled::Open,
                Some(resolution) => Settled::By(resolution.user.and_then(Account::user)),
            },
            is_deleted: self.deleted,
        })
    }
}

/// A commit of a pull request.
#[derive(Deserialize)]
pub(super) struct Commit {
    pub(super) hash: String,
    pub(super) date: Option<String>,
    pub(super) author: Option<Signed>,
}

/// Somebody in a commit: as git has them, and the account that the address is of.
#[derive(Deserialize)]
pub(super) struct Signed {
    #[serde(default)]
    pub(super) raw: String,
    pub(super) user: Option<Account>,
}

/// A status of a commit.
#[derive(Deserialize)]
pub(super) struct Status {
    pub(super) key: String,
    pub(super) name: Option<String>,
    pub(super) state: String,
    #[serde(default)]
    pub(super) description: Option<String>,
}

/// What somebody may do.
#[derive(Deserialize)]
pub(super) struct Permission {
    pub(super) permission: String,
    pub(super) user: Option<Account>,
    pub(super) repository: Option<Identified>,
}

#[derive(Deserialize)]
pub(super) struct Identified {
    pub(super) uuid: Option<String>,
}

/// Our membership in a workspace.
#[derive(Deserialize)]
pub(super) struct Membership {
    pub(super) workspace: Option<Slug>,
}

#[derive(Deserialize)]
pub(super) struct Slug {
    pub(super) slug: String,
}

/// A rule of a branch.
#[derive(Deserialize)]
pub(super) struct Restriction {
    pub(super) kind: String,
}
