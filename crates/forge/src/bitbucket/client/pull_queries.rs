//! Reads a pull request, its reviews, and the pull requests of a branch. This module never writes.

use std::collections::HashMap;

use truing_core::branch_name::is_branch_name;
use truing_core::converge::readiness::MergeableState as Mergeable;
use truing_core::id::{AccountId, CommentId, ReviewId, Topic, UnixMillis};
use truing_core::line;
use truing_core::port::{
    AuditMark, BranchPull, ConversationReply, ForgeError, HeadRepository, MergeSummary, PrState,
    PullActivity, PullCommit, PullDetails, PullHead, PullRequest, PullRequestComment, PullReview,
    PullRevision, PullState, ReviewState,
};

use super::super::address::rejected_error;
use super::super::calls::{BitbucketApi, BitbucketComment, BitbucketPullRequest, PullRequestRef};
use super::super::lists::TEXT_WRITER;
use super::super::login::{BitbucketAccounts, to_actor};
use super::BitbucketClient;
use super::comments::{comment_id, parse_comment_number};
use crate::capability::AnchorCommit;
use crate::marker;

impl<C: BitbucketApi> BitbucketClient<C> {
    pub(super) async fn read_pull_request(&self) -> Result<PullRequest, ForgeError> {
        let what = self.describe_pull_operation("reading the pull request");
        let pull = self.read_pull(&what, self.id.number).await?;
        let state = match pull.state {
            PullState::Open => PrState::Open,
            PullState::Draft => PrState::Draft,
            PullState::Merged | PullState::Closed => PrState::Closed,
        };
        let head_repository = self.head_repository(&pull.head).filter(|repository| repository.is_only_source);
        Ok(PullRequest {
            revision: PullRevision { head: pull.head.commit, base: pull.base.commit },
            base_branch: pull.base.branch,
            state,
            name: format!("{}#{}", self.repo, self.id.number),
            url: pull.url,
            title: pull.title,
            description: pull.description,
            author: pull.author.map(|user| user.to_author_account()),
            labels: None,
            has_unique_logins: self.api.forge_capability().has_unique_account_names,
            branch: pull.head.branch,
            head_repository,
        })
    }

    /// Returns the repository that contains a head; `None` if the repository no longer exists.
    fn head_repository(&self, head: &PullRequestRef) -> Option<HeadRepository> {
        let (id, name) = head.repository.clone()?;
        let is_same = id == self.id.repository;
        Some(HeadRepository {
            id,
            name,
            is_target_repository: is_same,
            is_only_source: !is_same && !self.api.forge_capability().can_fetch_fork_heads,
        })
    }

    pub(super) async fn read_pull_details(&self) -> Result<PullDetails, ForgeError> {
        let what = self.describe_pull_operation("reading the pull request");
        let accounts = self.accounts().await?;
        let pull = self.read_pull(&what, self.id.number).await?;
        let author = to_actor(&accounts, pull.author.as_ref());
        let repository = self.head_repository(&pull.head);
        let push = match &repository {
            None => Some(false),
            Some(repository) if repository.is_target_repository => {
                let what = self.describe_repository_operation("reading the repository");
                let writable =
                    self.api.load_repository(&what, &self.id.repository, &self.repo).await?.write_access;
                if writable.archived { Some(false) } else { writable.can_push }
            }
            // The head is in a fork. If Truing opened the pull request, it may own the fork, so push
            // permission is unknown. Otherwise Truing cannot push.
            Some(_) => author.as_ref().is_none_or(|author| !author.is_own_account).then_some(false),
        };
        let waits = pull.reviewers.iter().filter(|one| one.is_requested && one.state.is_none());
        Ok(PullDetails {
            url: pull.url.clone(),
            title: pull.title.clone(),
            body: marker::split_marker(&pull.description).0,
            state: pull.state,
            author,
            head: PullHead {
                sha: pull.head.commit.clone(),
                branch: pull.head.branch.clone(),
                repository,
                can_push: push,
            },
            base_branch: pull.base.branch.clone(),
            base: pull.base.commit.clone(),
            labels: Vec::new(),
            requested_reviewers: waits.map(|one| accounts.actor(&one.user)).collect(),
        })
    }

    pub(super) async fn read_merge_summary(&self) -> Result<MergeSummary, ForgeError> {
        let what = self.describe_pull_operation("checking whether the pull request can be merged");
        let pull = self.read_pull(&what, self.id.number).await?;
        let merging = self.api.preview_merge(&what, &self.repo, &pull).await?;
        let state = if pull.state == PullState::Draft { Mergeable::Draft } else { merging.state };
        // Cloud and Data Center do not combine the reviews into one decision.
        Ok(MergeSummary {
            head: pull.head.commit,
            has_conflicts: merging.has_conflicts,
            state,
            review_decision: None,
        })
    }

    /// Returns the reviews of a pull request. Each comment by Truing with the marker of an audit is a review.
    /// Each verdict of another account is also a review. Reviews without a time are first, followed by the
    /// others, oldest first.
    pub(super) fn collect_reviews(
        &self,
        accounts: &BitbucketAccounts<'_>,
        pull: &BitbucketPullRequest,
        comments: &[BitbucketComment],
    ) -> Vec<PullReview> {
        let audits =
            comments.iter().filter(|note| note.location.is_none() && !note.is_deleted).filter_map(|note| {
                let is_ours = accounts.is_own_account(note.author.as_ref());
                let (topic, body) = self.read_verified_topic(pull.number, is_ours, &note.description);
                let mark = AuditMark::from_topic(topic.as_ref()?)?;
                Some(PullReview {
                    id: ReviewId::new(note.id.to_string()),
                    author: to_actor(accounts, note.author.as_ref()),
                    state: ReviewState::Commented,
                    commit: Some(mark.commit),
                    submitted_at: Some(note.created_at),
                    body,
                    topic,
                })
            });
        let verdicts = pull.reviewers.iter().filter(|one| !accounts.is_own_account(Some(&one.user)));
        let verdicts = verdicts.filter_map(|one| {
            Some(PullReview {
                id: ReviewId::new(format!("verdict/{}", one.user.id)),
                author: Some(accounts.actor(&one.user)),
                state: one.state?,
                commit: one.commit.clone(),
                submitted_at: one.verdict_at,
                body: String::new(),
                topic: None,
            })
        });
        let mut reviews: Vec<PullReview> = audits.chain(verdicts).collect();
        reviews.sort_by_key(|review| review.submitted_at);
        reviews
    }

    pub(super) async fn list_pulls(&self, branch: &str) -> Result<Vec<BranchPull>, ForgeError> {
        let what = self.describe_repository_operation(&format!("listing pull requests from {branch}"));
        self.check_branch(&what, branch)?;
        let accounts = self.accounts().await?;
        let mut pulls = self.api.list_pulls_from_branch(&what, &self.repo, branch).await?;
        // The list is filtered again: forges ignore filters that they do not support, and a fork may have a
        // branch with the same name.
        pulls.retain(|pull| {
            let of_here = pull.head.repository.as_ref().is_some_and(|(id, _)| *id == self.id.repository);
            of_here && pull.head.branch == branch
        });
        Ok(pulls.into_iter().map(|pull| self.convert_branch_pull(&accounts, pull)).collect())
    }

    pub(super) fn check_branch(&self, purpose: &str, branch: &str) -> Result<(), ForgeError> {
        if is_branch_name(branch) {
            Ok(())
        } else {
            let branch = line::visible_line(branch);
            Err(rejected_error(purpose, &format!("`{branch}` is not a valid branch name")))
        }
    }

    pub(super) fn convert_branch_pull(
        &self,
        accounts: &BitbucketAccounts<'_>,
        pull: BitbucketPullRequest,
    ) -> BranchPull {
        let author = to_actor(accounts, pull.author.as_ref());
        let is_ours = author.as_ref().is_some_and(|author| author.is_own_account);
        let (topic, body) = self.read_topic(0, is_ours, &pull.description);
        BranchPull {
            number: pull.number,
            url: pull.url,
            title: pull.title,
            body,
            state: pull.state,
            head: pull.head.commit,
            branch: pull.head.branch,
            base_branch: pull.base.branch,
            author,
            topic,
            created: pull.created_at,
            labels: Vec::new(),
        }
    }

    pub(super) async fn read_activity(&self, number: u64) -> Result<PullActivity, ForgeError> {
        let what =
            self.describe_repository_operation(&format!("reading the activity on pull request {number}"));
        let accounts = self.accounts().await?;
        let pull = self.read_pull(&what, number).await?;
        let commits = self.api.commits(&what, &self.repo, number).await?.into_iter();
        let commits = commits.map(|commit| PullCommit {
            sha: commit.sha,
            author: to_actor(&accounts, commit.user.as_ref()),
            author_name: commit.author_name,
            author_email: commit.author_email,
            committed_at: commit.committed_at,
        });
        let commits: Vec<PullCommit> = commits.collect();
        let head = &pull.head.commit;
        // A comment or verdict that is not older than the head is assigned to the head if the response gives
        // no commit. The age of the head comes from the committer's clock. If Truing committed, this is
        // Truing's clock. If another user committed, the branch has other users' work in any case.
        let no_commit = self.api.forge_capability().anchor_commit == AnchorCommit::Head;
        let newest = commits.iter().find(|commit| no_commit && commit.sha == *head);
        let since = newest.map(|commit| commit.committed_at).filter(|since| *since > UnixMillis(0));
        let on_head = |at: Option<UnixMillis>| {
            let is_since = at.zip(since).is_some_and(|(at, since)| at >= since);
            is_since.then(|| head.clone())
        };
        let notes = self.api.list_comments(&what, &self.repo, number).await?;
        let mut reviews = self.collect_reviews(&accounts, &pull, &notes);
        for review in reviews.iter_mut().filter(|review| review.commit.is_none()) {
            review.commit = on_head(review.submitted_at);
        }
        let remark = |note: &BitbucketComment| {
            let author = to_actor(&accounts, note.author.as_ref());
            let is_ours = author.as_ref().is_some_and(|author| author.is_own_account);
            let (topic, body) = self.read_topic(number, is_ours, &note.description);
            let on = note.location.as_ref();
            PullRequestComment {
                id: comment_id(note.id),
                author,
                commit: on.and_then(|on| on.commit.clone().or_else(|| on_head(Some(note.created_at)))),
                created: note.created_at,
                body,
                topic,
            }
        };
        let there = || notes.iter().filter(|note| !note.is_deleted);
        let talk = there().filter(|note| note.location.is_none());
        let remarks = talk.chain(there().filter(|note| note.location.is_some())).map(remark).collect();
        Ok(PullActivity { commits, reviews, comments: remarks })
    }

    pub(super) async fn list_replies(
        &self,
        number: u64,
        after_comment: Option<&CommentId>,
    ) -> Result<Vec<ConversationReply>, ForgeError> {
        let what = self.describe_repository_operation(&format!("reading the answers in {number}"));
        // Comments with greater numbers are newer.
        let after_comment = after_comment
            .map(|after_comment| parse_comment_number(&what, after_comment))
            .transpose()?
            .unwrap_or(0);
        let accounts = self.accounts().await?;
        let notes = self.api.list_comments(&what, &self.repo, number).await?.into_iter();
        let notes =
            notes.filter(|note| note.location.is_none() && !note.is_deleted && note.id > after_comment);
        let mut known: HashMap<AccountId, bool> = HashMap::new();
        let mut replies = Vec::new();
        for note in notes {
            let author = to_actor(&accounts, note.author.as_ref());
            let is_ours = author.as_ref().is_some_and(|author| author.is_own_account);
            let (topic, body) = self.read_topic(number, is_ours, &note.description);
            let trusted = match note.author.filter(|user| user.is_person && !is_ours) {
                None => false,
                Some(user) => match known.get(&user.id) {
                    Some(trusted) => *trusted,
                    None => {
                        let trusted =
                            self.api.has_write_access(&self.repo, &user.to_author_account()).await?;
                        known.insert(user.id, trusted);
                        trusted
                    }
                },
            };
            replies.push(ConversationReply {
                id: comment_id(note.id),
                author,
                is_author_trusted: trusted,
                created: note.created_at,
                body,
                text_writer: TEXT_WRITER,
                topic,
            });
        }
        Ok(replies)
    }

    /// Returns the topic of a text by this producer, and the text without the marker. If `is_own_text` is
    /// false, the topic is `None`.
    pub(super) fn read_topic(&self, number: u64, is_own_text: bool, text: &str) -> (Option<Topic>, String) {
        let (topic, body) = self.marker_keys().find_topic(&self.marker_pull_id(number), self.producer, text);
        (topic.filter(|_| is_own_text), body)
    }

    /// Like `read_topic`, but accepts only a marker with a valid signature.
    pub(super) fn read_verified_topic(
        &self,
        number: u64,
        is_own_text: bool,
        text: &str,
    ) -> (Option<Topic>, String) {
        let (topic, body) =
            self.marker_keys().find_verified_topic(&self.marker_pull_id(number), self.producer, text);
        (topic.filter(|_| is_own_text), body)
    }
}
