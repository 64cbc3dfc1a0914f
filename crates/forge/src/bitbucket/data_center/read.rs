//! Parses pull requests and comments of a Data Center into the types that both Bitbuckets share.

use std::collections::BTreeMap;

use truing_core::id::Sha;
use truing_core::port::{ForgeError, PullState};

use super::super::bounds::parse_sha;
use super::super::calls::{
    BitbucketComment, BitbucketPullRequest, CommentLines, PullRequestRef, ThreadResolution,
};
use super::wire::{BRANCH_REF_PREFIX, DataCenterActivity, DataCenterComment, to_unix_millis};
use super::{BitbucketDataCenter, wire};

/// Action of an activity that contains a comment.
const COMMENTED_ACTION: &str = "COMMENTED";
/// Comment action of an activity whose comment was deleted.
const DELETED_COMMENT_ACTION: &str = "DELETED";
/// State of a comment that only its author can see.
const PENDING_COMMENT_STATE: &str = "PENDING";

impl BitbucketDataCenter {
    /// Parses a pull request from a response.
    pub(super) fn convert_pull(
        &self,
        purpose: &str,
        repo: &str,
        body: wire::DataCenterPull,
    ) -> Result<BitbucketPullRequest, ForgeError> {
        let state = body.pull_state();
        let is_open = matches!(state, PullState::Open | PullState::Draft);
        let reviewers = body.reviewers.into_iter().filter_map(|one| one.into_reviewer(true));
        let others = body.participants.into_iter().filter_map(|one| one.into_reviewer(false));
        Ok(BitbucketPullRequest {
            number: body.id,
            version: body.version,
            url: self.pull_page_url(purpose, repo, body.id)?.to_string(),
            title: body.title,
            description: body.description.unwrap_or_default(),
            state,
            created_at: to_unix_millis(body.created_date),
            author: body.author.and_then(|author| author.user.into_account()),
            head: convert_pull_ref(purpose, body.from_ref, is_open)?,
            base: convert_pull_ref(purpose, body.to_ref, is_open)?,
            is_mergeable: None,
            reviewers: reviewers.chain(others).collect(),
        })
    }

    /// Lists all comments, oldest first. The server has no list of comments, so the comments are read from
    /// the activities of the pull request.
    pub(super) async fn read_comments(
        &self,
        purpose: &str,
        repo: &str,
        number: u64,
    ) -> Result<Vec<BitbucketComment>, ForgeError> {
        let page = self.pull_page_url(purpose, repo, number)?.to_string();
        let activities: Vec<DataCenterActivity> =
            self.get_all(purpose, self.pull_url(purpose, repo, number, &["activities"])?).await?;
        let mut notes: BTreeMap<u64, BitbucketComment> = BTreeMap::new();
        // Activities are listed newest first. The first activity about a comment therefore contains the
        // comment's current state.
        for activity in activities {
            let DataCenterActivity { action, comment_action, comment: Some(comment), comment_anchor } =
                activity
            else {
                continue;
            };
            if action != COMMENTED_ACTION || notes.contains_key(&comment.id) {
                continue;
            }
            let is_gone = comment_action.as_deref() == Some(DELETED_COMMENT_ACTION);
            let on = comment_anchor
                .as_ref()
                .or(comment.anchor.as_ref())
                .map(wire::DataCenterAnchor::to_comment_lines);
            collect_comments(&mut notes, &page, comment, on, is_gone);
        }
        // Deleted comments still appear in activities.
        notes.retain(|_, note| !note.is_deleted);
        Ok(notes.into_values().collect())
    }

    /// Converts a comment that the server returned without its thread.
    pub(super) fn convert_comment(
        &self,
        purpose: &str,
        repo: &str,
        number: u64,
        comment: DataCenterComment,
    ) -> Result<BitbucketComment, ForgeError> {
        let page = self.pull_page_url(purpose, repo, number)?.to_string();
        let on = comment.anchor.as_ref().map(wire::DataCenterAnchor::to_comment_lines);
        let parent = comment.parent.as_ref().map(|parent| parent.id);
        let first = parent.unwrap_or(comment.id);
        Ok(build_comment(&page, comment, parent, first, on))
    }
}

/// Converts the head or the base of a pull request. If the commit of a closed pull request is gone, the hash
/// is `Sha::null`.
fn convert_pull_ref(
    purpose: &str,
    body: wire::DataCenterPullRef,
    is_open: bool,
) -> Result<PullRequestRef, ForgeError> {
    let commit = match body.latest_commit {
        None if !is_open => Sha::null(),
        commit => parse_sha(purpose, &commit.unwrap_or_default())?,
    };
    let branch = body.id.strip_prefix(BRANCH_REF_PREFIX).unwrap_or(&body.id).to_owned();
    Ok(PullRequestRef { commit, branch, repository: body.repository.map(|of| (of.id(), of.full_name())) })
}

/// Collects a comment and all replies in its thread. Each reply gets the lines of the first comment.
fn collect_comments(
    comments: &mut BTreeMap<u64, BitbucketComment>,
    pull_page_url: &str,
    first_comment: DataCenterComment,
    location: Option<CommentLines>,
    is_deleted: bool,
) {
    let root = first_comment.id;
    let mut left = vec![(first_comment, None)];
    while let Some((mut comment, parent)) = left.pop() {
        let answers = std::mem::take(&mut comment.comments);
        let id = comment.id;
        left.extend(answers.into_iter().map(|answer| (answer, Some(id))));
        if comment.state.as_deref() == Some(PENDING_COMMENT_STATE) {
            continue;
        }
        let mut read = build_comment(pull_page_url, comment, parent, root, location.clone());
        read.is_deleted = is_deleted && parent.is_none();
        comments.insert(id, read);
    }
}

fn build_comment(
    pull_page_url: &str,
    comment: DataCenterComment,
    parent: Option<u64>,
    first_comment: u64,
    location: Option<CommentLines>,
) -> BitbucketComment {
    let created = to_unix_millis(comment.created_date);
    BitbucketComment {
        id: comment.id,
        version: comment.version,
        parent,
        first_comment,
        author: comment.author.and_then(wire::DataCenterUser::into_account),
        created_at: created,
        updated_at: comment.updated_date.map_or(created, to_unix_millis),
        description: comment.text,
        url: format!("{pull_page_url}/overview?commentId={}", comment.id),
        location,
        resolution: if comment.thread_resolved {
            ThreadResolution::ResolvedBy(comment.thread_resolver.and_then(wire::DataCenterUser::into_account))
        } else {
            ThreadResolution::Open
        },
        is_deleted: false,
    }
}
