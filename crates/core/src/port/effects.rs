//! The ports of effects: the record of their intents, and the side of a forge that writes.

use std::sync::Arc;

use async_trait::async_trait;

use super::{BranchPull, ForgeError, OwnIssue, Permit, Posted, Said, StoreError};
use crate::effect::{Effect, Kind};
use crate::id::{CommentId, Key, Millis, Span, Token, Topic};
use crate::publish::{Item, Producer};

/// Who performs effects, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Writer {
    /// The pull request, or the job.
    pub key: Key,
    /// The loop. Topics of two loops are two topics.
    pub producer: Producer,
    /// The lease's token; none for a caller that holds no lease, and is fenced by none.
    pub token: Option<Token>,
}

/// The record of one effect.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// The digest of what was to be written.
    pub content: String,
    /// The time at which it was announced, failed or ended: whichever was last.
    pub at: Millis,
    /// Its state.
    pub state: EntryState,
}

/// The state of an effect.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum EntryState {
    /// It is announced, and no end is known. So many answers were lost.
    Open {
        /// The number of them.
        lost: u32,
    },
    /// It is made.
    Done {
        /// The comment that it made, if it made one.
        comment: Option<CommentId>,
    },
}

/// A change of one entry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Replacement {
    /// The topic.
    pub topic: Topic,
    /// The entry that is there; none: there is none.
    pub known: Option<Entry>,
    /// The one in its place; none: it is deleted.
    pub new: Option<Entry>,
}

/// The record of effects: intents, written before the call, and their ends.
#[async_trait]
pub trait EffectLog: Send + Sync {
    /// The entries of this writer on these topics, in their order.
    async fn effects(&self, writer: &Writer, topics: &[Topic]) -> Result<Vec<Option<Entry>>, StoreError>;

    /// The topics on which this writer announced something whose end is not known, oldest first.
    async fn open_effects(&self, writer: &Writer) -> Result<Vec<(Topic, Entry)>, StoreError>;

    /// Makes all of these changes, durably and in one transaction, and answers true; false, and nothing is changed, if
    /// another entry than the known one is there: of two processes that announce one effect, one does. Refused
    /// ([`StoreError::Fenced`]) while a run or an entry of the same key has a greater token.
    async fn replace_effects(&self, writer: &Writer, changes: &[Replacement]) -> Result<bool, StoreError>;
}

/// The outcome of an effect.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Performed {
    /// It is there.
    Done,
    /// This comment has it.
    Comment(CommentId),
    /// These comments have their items. Others of the effect may be there, too, and the forge has not named them.
    Comments(Vec<(Item, CommentId)>),
    /// The review is there.
    Review(Posted),
    /// The text was said.
    Said(Said),
    /// This pull request is open.
    Pull(Box<BranchPull>),
    /// This issue is open.
    Issue(Box<OwnIssue>),
    /// Nothing was written: somebody has changed the text that it was to replace.
    Superseded,
}

impl Performed {
    /// The comment that it made, if it made one.
    pub fn comment(&self) -> Option<&CommentId> {
        match self {
            Self::Comment(comment) | Self::Review(Posted::Comment(comment)) => Some(comment),
            Self::Said(said) => Some(&said.id),
            Self::Done
            | Self::Comments(_)
            | Self::Review(Posted::Review { .. })
            | Self::Pull(_)
            | Self::Issue(_)
            | Self::Superseded => None,
        }
    }
}

/// The side of a forge that writes to one pull request and to its repository, for one producer; number 0 is that
/// of no pull request: effects on the repository alone use it. The implementation adds markers to what it writes.
/// Only `truing_forge::effects` calls it.
#[async_trait]
pub trait ForgeWrite: Send + Sync {
    /// Makes it. It is looked for first, unless a plan has looked ([`crate::effect::Kind::is_planned`]): no second one is
    /// made. Each call that writes is made by the permit.
    async fn perform(&self, effect: &Effect, permit: &Arc<Permit>) -> Result<Performed, ForgeError>;

    /// Looks whether it is there, and changes nothing.
    async fn observe(&self, effect: &Effect) -> Result<Option<Performed>, ForgeError>;

    /// The time that something whose creation was not answered may stay unseen.
    fn settle(&self) -> Span;

    /// The reason why this forge cannot make effects of this kind at all; none: it can. It is asked before anything else, so
    /// that what cannot be made is neither announced nor listed.
    fn cannot(&self, kind: Kind) -> Option<&'static str> {
        let _ = kind;
        None
    }

    /// The reason why effects of this kind are not made here, for people, if the forge is known to refuse them to our login
    /// and a review goes on without them.
    fn denied(&self, kind: Kind) -> Option<&'static str> {
        let _ = kind;
        None
    }
}
