//! Parses pull requests and comments of Bitbucket Cloud into the types that both Bitbuckets share.

use std::collections::HashMap;

use truing_core::id::Sha;
use truing_core::port::{ForgeError, PullState};

use super::super::address::{is_repository_name, with_query};
use super::super::bounds::parse_instant;
use super::super::calls::{BitbucketComment, BitbucketPullRequest, CommentLines, PullRequestRef};
use super::{BitbucketCloud, wire};

impl BitbucketCloud {
    /// Converts a pull request from a response. If `with_base` is true, the full hash of the base is read
    /// from the cache or with a call. If it is false, the hash is [`Sha::null`].
    pub(super) async fn convert_pull(
        &self,
        purpose: &str,
        repo: &str,
        body: wire::CloudPull,
        with_base: bool,
    ) -> Result<BitbucketPullRequest, ForgeError> {
        let state = body.pull_state();
        let is_open = matches!(state, PullState::Open | PullState::Draft);
        let base = if with_base {
            self.convert_pull_ref(purpose, repo, body.destination, is_open).await?
        } else {
            build_pull_ref(body.destination, Sha::null())
        };
        let asked = (body.id, body.updated_on.as_str());
        let head = match &body.source.commit {
            Some(commit) if is_open => {
                let read = self.full_head_hash(purpose, repo, asked.0, asked.1, &commit.hash).await;
                Some(read.map_err(|error| fork_commit_error(error, fork_name(repo, &body.source)))?)
            }
            Some(_) | None => None,
        };
        let head = match head {
            Some(commit) => build_pull_ref(body.source, commit),
            None => self.convert_pull_ref(purpose, repo, body.source, is_open).await?,
        };
        Ok(BitbucketPullRequest {
            number: body.id,
            version: 0,
            url: body.links.into_page_url(),
            title: body.title,
            description: body.description.unwrap_or_default(),
            state,
            created_at: parse_instant(purpose, &body.created_on)?,
            author: body.author.and_then(wire::CloudAccount::user),
            head,
            base,
            is_mergeable: body.mergeable,
            reviewers: wire::merge_reviewers(purpose, body.reviewers, body.participants)?,
        })
    }

    /// Reads one pull request of a list. If the commits of an open pull request are gone or in a fork that
    /// the token cannot read, logs a warning and returns `None`. This allows the caller to read the other
    /// pull requests of the list.
    pub(super) async fn convert_listed_pull(
        &self,
        purpose: &str,
        repo: &str,
        body: wire::CloudPull,
        with_base: bool,
    ) -> Result<Option<BitbucketPullRequest>, ForgeError> {
        let number = body.id;
        match self.convert_pull(purpose, repo, body, with_base).await {
            Err(error @ (ForgeError::NotFound { .. } | ForgeError::Forbidden { .. })) => {
                tracing::warn!(repo, number, %error, "a pull request is left out of a list: its commits \
                     cannot be read");
                Ok(None)
            }
            read => read.map(Some),
        }
    }

    /// Converts the head or the base of a pull request. If the commit of a closed pull request is gone, the
    /// hash is `Sha::null`.
    async fn convert_pull_ref(
        &self,
        purpose: &str,
        repo: &str,
        body: wire::CloudPullRef,
        is_open: bool,
    ) -> Result<PullRequestRef, ForgeError> {
        let fork = fork_name(repo, &body);
        let commit = match &body.commit {
            None if is_open => {
                return Err(ForgeError::NotFound { request: format!("{purpose} (commit of the branch)") });
            }
            None => Sha::null(),
            Some(commit) => match (self.full_hash(purpose, repo, &commit.hash, fork).await, fork) {
                (Err(ForgeError::NotFound { .. }), _) if !is_open => Sha::null(),
                (read, fork) => read.map_err(|error| fork_commit_error(error, fork))?,
            },
        };
        Ok(build_pull_ref(body, commit))
    }

    pub(super) async fn read_comments(
        &self,
        purpose: &str,
        repo: &str,
        number: u64,
    ) -> Result<Vec<BitbucketComment>, ForgeError> {
        let url = with_query(self.pull_url(purpose, repo, number, &["comments"])?, &[("pagelen", "100")]);
        let comments: Vec<wire::CloudComment> = self.get_all(purpose, url).await?;
        let seen = comments.into_iter().filter(|comment| !comment.pending);
        let mut notes = seen
            .map(|comment| comment.into_comment(purpose))
            .collect::<Result<Vec<BitbucketComment>, _>>()?;
        notes.sort_by_key(|note| note.id);
        assign_threads(&mut notes);
        Ok(notes)
    }
}

fn build_pull_ref(body: wire::CloudPullRef, commit: Sha) -> PullRequestRef {
    PullRequestRef {
        commit,
        branch: body.branch.map(|branch| branch.name).unwrap_or_default(),
        repository: body.repository.map(|of| (of.uuid, of.full_name)),
    }
}

/// Returns the name of the fork that contains a head or base; `None` if the repository itself contains it.
fn fork_name<'a>(repo: &str, pull_ref: &'a wire::CloudPullRef) -> Option<&'a str> {
    let name = pull_ref.repository.as_ref().map(|of| of.full_name.as_str());
    name.filter(|name| *name != repo && is_repository_name(name))
}

/// Converts an error for a commit in a fork. If the commit was not found, the new error reports a missing
/// fork, because `NotFound` would mean a missing pull request.
fn fork_commit_error(error: ForgeError, fork: Option<&str>) -> ForgeError {
    match (error, fork) {
        (ForgeError::NotFound { request }, Some(fork)) => {
            let message = "the fork no longer exists, or the token may not read the fork".to_owned();
            ForgeError::Forbidden { request: format!("{request}, from the fork {fork}"), message }
        }
        (error, _) => error,
    }
}

/// Sets the thread's first comment, and the lines of that comment, in each reply.
fn assign_threads(comments: &mut [BitbucketComment]) {
    let parents: HashMap<u64, u64> =
        comments.iter().filter_map(|note| note.parent.map(|parent| (note.id, parent))).collect();
    let lines: HashMap<u64, CommentLines> =
        comments.iter().filter_map(|note| note.location.clone().map(|on| (note.id, on))).collect();
    for note in comments {
        let mut first = note.id;
        // The limit on the number of steps stops the loop if the forge returns a cycle of parents.
        for _ in 0..=parents.len() {
            match parents.get(&first) {
                Some(parent) => first = *parent,
                None => break,
            }
        }
        note.first_comment = first;
        if note.location.is_none() {
            note.location = lines.get(&first).cloned();
        }
    }
}
