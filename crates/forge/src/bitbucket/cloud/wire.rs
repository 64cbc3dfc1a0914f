//! The fields of Bitbucket Cloud's responses that are read. Unknown fields are ignored.

use serde::Deserialize;
use serde_json::Value;
use truing_core::port::{ForgeError, PullState, ReviewState};

use super::super::address::account_id;
use super::super::bounds::parse_instant;
use super::super::calls::{
    BitbucketComment, BitbucketReviewer, BitbucketUser, CommentLines, ThreadResolution,
};

#[derive(Deserialize)]
pub(super) struct CloudPage<T> {
    pub(super) values: Vec<T>,
    pub(super) next: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct CloudAccount {
    uuid: Option<String>,
    nickname: Option<String>,
    display_name: Option<String>,
    /// `user` for the account of a person.
    #[serde(rename = "type", default)]
    kind: String,
    /// `active` while the account is in use. Only the response to a request for the account itself contains
    /// this field.
    account_status: Option<String>,
}

impl CloudAccount {
    /// Returns true if the response shows that the account is closed.
    pub(super) fn is_closed(&self) -> bool {
        self.account_status.as_deref().is_some_and(|status| status != "active")
    }

    /// Converts the account; returns `None` if the response contains no id because the account no longer
    /// exists.
    pub(super) fn user(self) -> Option<BitbucketUser> {
        Some(BitbucketUser {
            id: account_id(self.uuid?),
            login: self.nickname.or(self.display_name).unwrap_or_default(),
            slug: String::new(),
            is_person: self.kind == "user",
        })
    }
}

#[derive(Deserialize)]
pub(super) struct CloudHref {
    #[serde(default)]
    href: String,
}

#[derive(Deserialize, Default)]
pub(super) struct CloudLinks {
    html: Option<CloudHref>,
}

impl CloudLinks {
    pub(super) fn into_page_url(self) -> String {
        self.html.map(|html| html.href).unwrap_or_default()
    }
}

#[derive(Deserialize)]
pub(super) struct CloudRepository {
    pub(super) uuid: String,
    pub(super) full_name: String,
    /// Main branch; null while the repository is empty.
    #[serde(default)]
    pub(super) mainbranch: Option<CloudBranch>,
    /// Repository from which this repository was forked; `None` if it is not a fork.
    #[serde(default)]
    pub(super) parent: Option<Value>,
}

#[derive(Deserialize)]
pub(super) struct CloudBranch {
    pub(super) name: String,
}

/// The hash of a commit. Most responses contain an abbreviated hash.
#[derive(Deserialize)]
pub(super) struct CloudCommitHash {
    pub(super) hash: String,
}

/// The head or base of a pull request. The repository is null when the fork is gone. The commit is null when
/// the branch is gone.
#[derive(Deserialize)]
pub(super) struct CloudPullRef {
    pub(super) commit: Option<CloudCommitHash>,
    pub(super) branch: Option<CloudBranch>,
    pub(super) repository: Option<CloudRepository>,
}

/// A reviewer or other participant.
#[derive(Deserialize)]
pub(super) struct CloudParticipant {
    user: Option<CloudAccount>,
    #[serde(default)]
    role: String,
    state: Option<String>,
    participated_on: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct CloudPull {
    pub(super) id: u64,
    #[serde(default)]
    pub(super) title: String,
    pub(super) description: Option<String>,
    pub(super) state: String,
    #[serde(default)]
    pub(super) draft: bool,
    #[serde(default)]
    pub(super) links: CloudLinks,
    pub(super) created_on: String,
    pub(super) updated_on: String,
    pub(super) author: Option<CloudAccount>,
    pub(super) source: CloudPullRef,
    pub(super) destination: CloudPullRef,
    pub(super) mergeable: Option<bool>,
    #[serde(default)]
    pub(super) reviewers: Vec<CloudAccount>,
    #[serde(default)]
    pub(super) participants: Vec<CloudParticipant>,
}

impl CloudPull {
    /// Returns true if the head is in the same repository as the base.
    pub(super) fn is_from_same_repository(&self) -> bool {
        fn id(end: &CloudPullRef) -> Option<&str> {
            end.repository.as_ref().map(|of| of.uuid.as_str())
        }
        id(&self.source) == id(&self.destination)
    }

    /// Returns the state. A superseded pull request counts as closed.
    pub(super) fn pull_state(&self) -> PullState {
        match (self.state.as_str(), self.draft) {
            ("OPEN", true) => PullState::Draft,
            ("OPEN", false) => PullState::Open,
            ("MERGED", _) => PullState::Merged,
            (_, _) => PullState::Closed,
        }
    }
}

/// Returns all participants with their verdicts, and all requested reviewers. The field `is_asked` is true
/// for requested reviewers.
pub(super) fn merge_reviewers(
    purpose: &str,
    requested_reviewers: Vec<CloudAccount>,
    participants: Vec<CloudParticipant>,
) -> Result<Vec<BitbucketReviewer>, ForgeError> {
    let mut all: Vec<BitbucketReviewer> = Vec::new();
    for one in participants {
        let Some(user) = one.user.and_then(CloudAccount::user) else { continue };
        let state = match one.state.as_deref() {
            Some("approved") => Some(ReviewState::Approved),
            Some("changes_requested") => Some(ReviewState::ChangesRequested),
            Some(_) | None => None,
        };
        let at = one.participated_on.map(|at| parse_instant(purpose, &at)).transpose()?;
        let is_asked = one.role == "REVIEWER";
        all.push(BitbucketReviewer { user, is_requested: is_asked, state, commit: None, verdict_at: at });
    }
    for user in requested_reviewers.into_iter().filter_map(CloudAccount::user) {
        match all.iter_mut().find(|one| one.user.id == user.id) {
            Some(known) => known.is_requested = true,
            None => all.push(BitbucketReviewer {
                user,
                is_requested: true,
                state: None,
                commit: None,
                verdict_at: None,
            }),
        }
    }
    Ok(all)
}

#[derive(Deserialize)]
pub(super) struct CloudParentComment {
    id: u64,
}

#[derive(Deserialize, Default)]
pub(super) struct CloudContent {
    raw: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct CloudInline {
    path: String,
    from: Option<u32>,
    to: Option<u32>,
    #[serde(default)]
    outdated: bool,
}

#[derive(Deserialize)]
pub(super) struct CloudResolution {
    user: Option<CloudAccount>,
}

#[derive(Deserialize)]
pub(super) struct CloudComment {
    pub(super) id: u64,
    parent: Option<CloudParentComment>,
    /// Author; null when the account is gone.
    user: Option<CloudAccount>,
    created_on: String,
    updated_on: Option<String>,
    #[serde(default)]
    content: CloudContent,
    #[serde(default)]
    links: CloudLinks,
    inline: Option<CloudInline>,
    resolution: Option<CloudResolution>,
    #[serde(default)]
    deleted: bool,
    /// True while only the author can see the comment.
    #[serde(default)]
    pub(super) pending: bool,
}

impl CloudComment {
    /// Converts a comment that was read without its thread. If the comment has a parent, the parent is
    /// assumed to be the first comment of the thread.
    pub(super) fn into_comment(self, purpose: &str) -> Result<BitbucketComment, ForgeError> {
        let created = parse_instant(purpose, &self.created_on)?;
        let parent = self.parent.map(|parent| parent.id);
        Ok(BitbucketComment {
            id: self.id,
            version: 0,
            parent,
            first_comment: parent.unwrap_or(self.id),
            author: self.user.and_then(CloudAccount::user),
            created_at: created,
            updated_at: self.updated_on.map_or(Ok(created), |at| parse_instant(purpose, &at))?,
            description: self.content.raw.unwrap_or_default(),
            url: self.links.into_page_url(),
            location: self.inline.map(|inline| CommentLines {
                path: inline.path,
                line: inline.to.or(inline.from),
                commit: None,
                is_outdated: inline.outdated,
            }),
            resolution: match self.resolution {
                None => ThreadResolution::Open,
                Some(resolution) => {
                    ThreadResolution::ResolvedBy(resolution.user.and_then(CloudAccount::user))
                }
            },
            is_deleted: self.deleted,
        })
    }
}

#[derive(Deserialize)]
pub(super) struct CloudCommit {
    pub(super) hash: String,
    pub(super) date: Option<String>,
    pub(super) author: Option<CloudCommitAuthor>,
}

/// The author of a commit: the name and e-mail address in git, and the account with this e-mail address.
#[derive(Deserialize)]
pub(super) struct CloudCommitAuthor {
    #[serde(default)]
    pub(super) raw: String,
    pub(super) user: Option<CloudAccount>,
}

#[derive(Deserialize)]
pub(super) struct CloudStatus {
    pub(super) key: String,
    pub(super) name: Option<String>,
    pub(super) state: String,
    #[serde(default)]
    pub(super) description: Option<String>,
}

/// The permission of an account.
#[derive(Deserialize)]
pub(super) struct CloudPermission {
    pub(super) permission: String,
    pub(super) user: Option<CloudAccount>,
    pub(super) repository: Option<CloudRepositoryId>,
}

#[derive(Deserialize)]
pub(super) struct CloudRepositoryId {
    pub(super) uuid: Option<String>,
}

/// The membership of an account in a workspace.
#[derive(Deserialize)]
pub(super) struct WorkspaceMembership {
    pub(super) workspace: Option<WorkspaceSlug>,
}

#[derive(Deserialize)]
pub(super) struct WorkspaceSlug {
    pub(super) slug: String,
}

/// A restriction of a branch.
#[derive(Deserialize)]
pub(super) struct CloudRestriction {
    pub(super) kind: String,
}
