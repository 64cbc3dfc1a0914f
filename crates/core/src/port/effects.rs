//! The ports of effects: the record of their intents, and the side of a forge that writes.

use std::sync::Arc;

use async_trait::async_trait;

use super::{BranchPull, ConversationComment, ForgeError, OwnIssue, Permit, PostedReview, StoreError};
use crate::effect::{Effect, EffectKind};
use crate::id::{CommentId, FencingToken, SlotKey, TimeSpan, Topic, UnixMillis};
use crate::publish::{CommentSubject, Producer};

/// Who performs effects, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EffectOwner {
    /// The pull request, or the job.
    pub key: SlotKey,
    /// The loop. Topics of two loops are two topics.
    pub producer: Producer,
    /// The lease's token; none for a caller that holds no lease, and is fenced by none.
    pub token: Option<FencingToken>,
}

/// The record of one effect.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EffectEntry {
    /// The digest of what was to be written.
    pub content: String,
    /// The time at which it was announced, failed or ended: whichever was last.
    pub at: UnixMillis,
    /// Its state.
    pub state: EffectEntryState,
}

/// The state of an effect.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum EffectEntryState {
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
pub struct EffectEntryChange {
    /// The topic.
    pub topic: Topic,
    /// The entry that is there; none: there is none.
    pub known: Option<EffectEntry>,
    /// The one in its place; none: it is deleted.
    pub new: Option<EffectEntry>,
}

/// The record of effects: intents, written before the call, and their ends.
#[async_trait]
pub trait EffectLog: Send + Sync {
    /// The entries of this writer on these topics, in their order.
    async fn effects(
        &self,
        writer: &EffectOwner,
        topics: &[Topic],
    ) -> Result<Vec<Option<EffectEntry>>, StoreError>;

    /// The topics on which this writer announced something whose end is not known, oldest first.
    async fn open_effects(&self, writer: &EffectOwner) -> Result<Vec<(Topic, EffectEntry)>, StoreError>;

    /// Makes all of these changes, durably and in one transaction, and answers true; false, and nothing is changed, if
    /// another entry than the known one is there: of two processes that announce one effect, one does. Refused
    /// ([`StoreError::Fenced`]) while a run or an entry of the same key has a greater token.
    async fn replace_effects(
        &self,
        writer: &EffectOwner,
        changes: &[EffectEntryChange],
    ) -> Result<bool, StoreError>;
}

/// The outcome of an effect.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum EffectOutcome {
    /// It is there.
    Done,
    /// This comment has it.
    Comment(CommentId),
    /// These comments have their items. Others of the effect may be there, too, and the forge has not named them.
    Comments(Vec<(CommentSubject, CommentId)>),
    /// The review is there.
    Review(PostedReview),
    /// The text was said.
    Said(ConversationComment),
    /// This pull request is open.
    Pull(Box<BranchPull>),
    /// This issue is open.
    Issue(Box<OwnIssue>),
    /// Nothing was written: somebody has changed the text that it was to replace.
    Superseded,
}

impl EffectOutcome {
    /// The comment that it made, if it made one.
    pub fn comment(&self) -> Option<&CommentId> {
        match self {
            Self::Comment(comment) | Self::Review(PostedReview::Comment(comment)) => Some(comment),
            Self::Said(said) => Some(&said.id),
            Self::Done
            | Self::Comments(_)
            | Self::Review(PostedReview::Review { .. })
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
    /// Makes it. It is looked for first, unless a plan has looked ([`crate::effect::EffectKind::is_planned`]): no second one is
    /// made. Each call that writes is made by the permit.
    async fn perform(&self, effect: &Effect, permit: &Arc<Permit>) -> Result<EffectOutcome, ForgeError>;

    /// Looks whether it is there, and changes nothing.
    async fn observe(&self, effect: &Effect) -> Result<Option<EffectOutcome>, ForgeError>;

    /// The time that something whose creation was not answered may stay unseen.
    fn settle(&self) -> TimeSpan;

    /// The reason why this forge cannot make effects of this kind at all; none: it can. It is asked before anything else, so
    /// that what cannot be made is neither announced nor listed.
    fn cannot(&self, kind: EffectKind) -> Option<&'static str> {
        let _ = kind;
        None
    }

    /// The reason why effects of this kind are not made here, for people, if the forge is known to refuse them to our login
    /// and a review goes on without them.
    fn denied(&self, kind: EffectKind) -> Option<&'static str> {
        let _ = kind;
        None
    }
}
