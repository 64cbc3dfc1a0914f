//! Which of a pull request's comments are ours, and what they show.

use std::collections::{BTreeMap, HashMap, HashSet};

use truing_core::id::CommentId;
use truing_core::port::ForgeError;
use truing_core::publish::{Hold, Item, Observed, Thread};

use super::auth::{Accounts, Whose};
use super::client::GitHubClient;
use super::id::Id;
use super::threads::OfComment;
use super::wire;
use crate::marker::normal;

/// The comments as they are listed.
pub(super) struct Listed<'a> {
    pull: &'a GitHubClient,
    accounts: Accounts<'a>,
    /// What records know.
    known: BTreeMap<Id, &'a Item>,
    seen: HashSet<Id>,
    ours: Vec<Ours>,
    /// Review comments that have answers.
    answered: HashSet<u64>,
}

/// A comment of ours, before its thread is known.
struct Ours {
    id: Id,
    item: Item,
    body: String,
    hold: Hold,
    created: String,
}

impl<'a> Listed<'a> {
    pub(super) fn new(
        pull: &'a GitHubClient,
        known: &'a [(Item, CommentId)],
        accounts: Accounts<'a>,
    ) -> Result<Self, ForgeError> {
        let what = pull.what("looking for its comments");
        let known: Result<_, ForgeError> =
            known.iter().map(|(item, comment)| Ok((Id::parse(&what, comment)?, item))).collect();
        let (seen, ours, answered) = (HashSet::new(), Vec::new(), HashSet::new());
        Ok(Self { pull, accounts, known: known?, seen, ours, answered })
    }

    /// Looks at a comment.
    pub(super) fn see(&mut self, kind: impl Fn(u64) -> Id, comment: wire::Comment) {
        if let Some(first) = comment.in_reply_to_id {
            self.answered.insert(first);
            return;
        }
        let id = kind(comment.id);
        let whose = comment.user.as_ref().and_then(|user| self.accounts.whose(user));
        let (true, Some(whose)) = (self.seen.insert(id), whose) else { return };
        let known = self.known.get(&id).map(|item| (*item).clone());
        let marked = match (self.pull.item_of(&comment), known) {
            // Records say what it is about, whatever key has signed it.
            (Some((_, body, false)), Some(item)) => Some((item, body, true)),
            // Somebody may have edited the marker of a known one away.
            (None, Some(item)) => Some((item, normal(comment.body.as_deref().unwrap_or_default()), true)),
            (marked, _) => marked,
        };
        self.ours.extend(marked.map(|(item, body, known_key)| Ours {
            id,
            item,
            body,
            hold: match (known_key, whose) {
                (false, _) => Hold::UnknownKey,
                (true, Whose::Former) => Hold::Former,
                (true, Whose::Present) => Hold::Ours,
            },
            created: comment.created_at,
        }));
    }

    /// The known ones that were not listed.
    pub(super) fn missing(&self) -> Vec<Id> {
        self.known.keys().filter(|id| !self.seen.contains(id)).copied().collect()
    }

    /// Is one of ours in a thread?
    pub(super) fn has_threads(&self) -> bool {
        self.ours.iter().any(|ours| matches!(ours.id, Id::Review(_)))
    }

    /// What there is of ours.
    pub(super) fn observed(self, what: &str, threads: Vec<OfComment>) -> Result<Vec<Observed>, ForgeError> {
        let mut threads: HashMap<u64, Thread> =
            threads.into_iter().filter_map(|of| Some((of.comment?, of.thread))).collect();
        let mut observed = Vec::with_capacity(self.ours.len());
        for Ours { id, item, body, hold, created } in self.ours {
            let (thread, has_replies) = match id {
                Id::Issue(_) => (None, false),
                Id::Review(number) => (threads.remove(&number), self.answered.contains(&number)),
            };
            let created = wire::instant(what, &created)?;
            observed.push(Observed {
                id: id.text(),
                item,
                body,
                line: None,
                thread,
                has_replies,
                created,
                hold,
            });
        }
        Ok(observed)
    }
}
