//! Ports of effects: the log of intended writes, and the write side of a forge.

use std::sync::Arc;

use async_trait::async_trait;

use super::{BranchPull, ConversationComment, ForgeError, OwnIssue, PostedReview, StoreError, WritePermit};
use crate::effect::{Effect, EffectKind};
use crate::id::{CommentId, FencingToken, SlotKey, TimeSpan, Topic, UnixMillis};
use crate::publish::{CommentProducer, CommentSubject};

/// The run or caller that performs effects, and the slot that it performs them on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EffectOwner {
    /// Slot key of the pull request or the job.
    pub key: SlotKey,
    /// Loop that performs the effects. The same topic of two loops counts as two topics.
    pub producer: CommentProducer,
    /// Fencing token of the lease; `None` for a caller that holds no lease and is not fenced.
    pub token: Option<FencingToken>,
}

/// The log entry of one effect.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EffectEntry {
    /// Digest of the content to be written.
    pub content: String,
    /// Time of the latest event of the effect: announced, failed or completed.
    pub at: UnixMillis,
    /// Progress of the effect: open or done.
    pub state: EffectEntryState,
}

/// The state of an effect in the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum EffectEntryState {
    /// The effect is announced, and its end is not known.
    Open {
        /// Number of attempts whose response was lost.
        lost: u32,
    },
    /// The effect was performed.
    Done {
        /// Comment that the effect created, if it created one.
        comment: Option<CommentId>,
    },
}

/// A change of one entry of the effect log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EffectEntryChange {
    /// Topic whose entry changes.
    pub topic: Topic,
    /// Entry that the caller expects in the log; `None` if it expects no entry.
    pub expected: Option<EffectEntry>,
    /// Entry that replaces it; `None` deletes the entry.
    pub new: Option<EffectEntry>,
}

/// A durable log of effects: intents, written before the call to the forge, and their ends.
#[async_trait]
pub trait EffectLog: Send + Sync {
    /// Returns the entries of this writer on these topics, in the order of `topics`.
    async fn effects(
        &self,
        writer: &EffectOwner,
        topics: &[Topic],
    ) -> Result<Vec<Option<EffectEntry>>, StoreError>;

    /// Returns this writer's topics with an announced effect whose end is not known, oldest first.
    async fn open_effects(&self, writer: &EffectOwner) -> Result<Vec<(Topic, EffectEntry)>, StoreError>;

    /// Makes all of these changes durably in one transaction and returns true. Returns false and changes
    /// nothing if an entry differs from the known one: of two processes that announce one effect, only one
    /// succeeds.
    ///
    /// Returns [`StoreError::Fenced`] if a run or an entry of the same key has a greater token.
    async fn replace_effects(
        &self,
        writer: &EffectOwner,
        changes: &[EffectEntryChange],
    ) -> Result<bool, StoreError>;
}

/// The outcome of an effect at the forge.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum EffectOutcome {
    /// The effect is in place, and has created nothing to refer to.
    Done,
    /// The effect is in place as this comment.
    Comment(CommentId),
    /// These comments contain their subjects. Other comments of the effect may exist that the forge has not
    /// named.
    Comments(Vec<(CommentSubject, CommentId)>),
    /// The review has been posted.
    Review(PostedReview),
    /// The text was posted in the conversation.
    Posted(ConversationComment),
    /// This pull request is open.
    Pull(Box<BranchPull>),
    /// This issue is open.
    Issue(Box<OwnIssue>),
    /// Nothing was written: another user or process has changed the text that the effect was to replace.
    Superseded,
}

impl EffectOutcome {
    /// Returns the comment that the effect created, if it created one.
    pub fn comment(&self) -> Option<&CommentId> {
        match self {
            Self::Comment(comment) | Self::Review(PostedReview::Comment(comment)) => Some(comment),
            Self::Posted(said) => Some(&said.id),
            Self::Done
            | Self::Comments(_)
            | Self::Review(PostedReview::Review { .. })
            | Self::Pull(_)
            | Self::Issue(_)
            | Self::Superseded => None,
        }
    }
}

/// The write side of a forge for one pull request and its repository, on behalf of one producer. Number 0
/// stands for no pull request: effects on the repository alone use it. The implementation adds markers to
/// the texts that it writes. Only `truing_forge::effects` calls this trait.
#[async_trait]
pub trait ForgeWrite: Send + Sync {
    /// Performs the effect. Looks for an existing one first and creates no second one, unless a plan has
    /// looked already ([`crate::effect::EffectKind::is_observed_by_plan`]). Each call that writes asks the
    /// permit first.
    async fn perform(&self, effect: &Effect, permit: &Arc<WritePermit>) -> Result<EffectOutcome, ForgeError>;

    /// Looks for the effect at the forge, and changes nothing.
    async fn find_effect(&self, effect: &Effect) -> Result<Option<EffectOutcome>, ForgeError>;

    /// Returns how long a newly created item may stay invisible at the forge after its response was lost.
    fn visibility_delay(&self) -> TimeSpan;

    /// Returns the reason why this forge does not support effects of this kind; `None` if it does. The
    /// caller asks this first: an unsupported effect is neither announced nor listed.
    fn unsupported_reason(&self, kind: EffectKind) -> Option<&'static str> {
        let _ = kind;
        None
    }

    /// Returns a reason, for users, if the forge is known to refuse effects of this kind to our login and a
    /// review goes on without them.
    fn denial_reason(&self, kind: EffectKind) -> Option<&'static str> {
        let _ = kind;
        None
    }
}
