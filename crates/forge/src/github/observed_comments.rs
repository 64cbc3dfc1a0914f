//! Finds our comments on a pull request and the items they show.

use std::collections::{BTreeMap, HashMap, HashSet};

use truing_core::id::CommentId;
use truing_core::port::ForgeError;
use truing_core::publish::{CommentRights, CommentSubject, ForgeThread, ObservedComment};

use super::auth::{GitHubAccountKind, GitHubAccounts};
use super::client::GitHubClient;
use super::id::GitHubCommentId;
use super::threads::ListedThread;
use super::wire;
use crate::marker::normalize_text;

/// The listed comments that were recognised as ours.
pub(super) struct ObservedComments<'a> {
    pull: &'a GitHubClient,
    accounts: GitHubAccounts<'a>,
    /// Items in our records, by the comment that shows them.
    recorded_items: BTreeMap<GitHubCommentId, &'a CommentSubject>,
    listed_ids: HashSet<GitHubCommentId>,
    own_comments: Vec<OwnComment>,
    /// Review comments that have answers.
    answered_review_comments: HashSet<u64>,
}

/// A comment of ours, before its thread is known.
struct OwnComment {
    id: GitHubCommentId,
    item: CommentSubject,
    body: String,
    rights: CommentRights,
    created: String,
}

impl<'a> ObservedComments<'a> {
    pub(super) fn new(
        pull: &'a GitHubClient,
        recorded_comments: &'a [(CommentSubject, CommentId)],
        accounts: GitHubAccounts<'a>,
    ) -> Result<Self, ForgeError> {
        let what = pull.pull_purpose("reading the comments");
        let recorded_comments: Result<_, ForgeError> = recorded_comments
            .iter()
            .map(|(item, comment)| Ok((GitHubCommentId::parse(&what, comment)?, item)))
            .collect();
        let (seen_ids, own_comments, answered) = (HashSet::new(), Vec::new(), HashSet::new());
        Ok(Self {
            pull,
            accounts,
            recorded_items: recorded_comments?,
            listed_ids: seen_ids,
            own_comments,
            answered_review_comments: answered,
        })
    }

    /// Adds a listed comment if it is ours. A reply is not added; its thread is recorded as answered.
    pub(super) fn add_comment(
        &mut self,
        to_comment_id: impl Fn(u64) -> GitHubCommentId,
        comment: wire::GitHubComment,
    ) {
        if let Some(first) = comment.in_reply_to_id {
            self.answered_review_comments.insert(first);
            return;
        }
        let id = to_comment_id(comment.id);
        let whose = comment.user.as_ref().and_then(|user| self.accounts.account_kind(user));
        let (true, Some(whose)) = (self.listed_ids.insert(id), whose) else { return };
        let known = self.recorded_items.get(&id).map(|item| (*item).clone());
        let marked = match (self.pull.parse_comment_subject(&comment), known) {
            // The records contain this comment, so its item is known even if an unknown key signed the
            // marker.
            (Some((_, body, false)), Some(item)) => Some((item, body, true)),
            // The records contain this comment. An edit may have removed its marker.
            (None, Some(item)) => {
                Some((item, normalize_text(comment.body.as_deref().unwrap_or_default()), true))
            }
            (marked, _) => marked,
        };
        self.own_comments.extend(marked.map(|(item, body, known_key)| OwnComment {
            id,
            item,
            body,
            rights: match (known_key, whose) {
                (false, _) => CommentRights::UnknownKey,
                (true, GitHubAccountKind::Former) => CommentRights::FormerAccount,
                (true, GitHubAccountKind::Current) => CommentRights::CurrentAccount,
            },
            created: comment.created_at,
        }));
    }

    /// Returns the comments in our records that were not listed.
    pub(super) fn missing_comments(&self) -> Vec<GitHubCommentId> {
        self.recorded_items.keys().filter(|id| !self.listed_ids.contains(id)).copied().collect()
    }

    /// Returns true if one of our comments is in a thread.
    pub(super) fn has_threads(&self) -> bool {
        self.own_comments.iter().any(|ours| matches!(ours.id, GitHubCommentId::Review(_)))
    }

    /// Returns all comments of ours, with the state of their threads.
    pub(super) fn into_observed(
        self,
        purpose: &str,
        threads: Vec<ListedThread>,
    ) -> Result<Vec<ObservedComment>, ForgeError> {
        let mut threads: HashMap<u64, ForgeThread> =
            threads.into_iter().filter_map(|of| Some((of.first_comment?, of.thread))).collect();
        let mut observed = Vec::with_capacity(self.own_comments.len());
        for OwnComment { id, item, body, rights: hold, created } in self.own_comments {
            let (thread, has_replies) = match id {
                GitHubCommentId::Issue(_) => (None, false),
                GitHubCommentId::Review(number) => {
                    (threads.remove(&number), self.answered_review_comments.contains(&number))
                }
            };
            let created = wire::parse_instant(purpose, &created)?;
            observed.push(ObservedComment {
                id: id.to_comment_id(),
                subject: item,
                body,
                line: None,
                thread,
                has_replies,
                created,
                rights: hold,
            });
        }
        Ok(observed)
    }
}
