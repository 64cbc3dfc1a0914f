//! Ports of effects: the log of intended writes, and the write side of a forge.

use std::sync::Arc;

use async_trait::async_trait;

use super::{BranchPull, ConversationComment, ForgeError, OwnIssue, PostedReview, StoreError, WritePermit};
use crate::effect::{Effect, EffectKind};
use crate::id::{CommentId, FencingToken, SlotKey, TimeSpan, Topic, UnixMillis};
use crate::publish::{CommentProducer, CommentSubject};

/// The run or caller that performs effects, and the slot on which it performs these effects.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EffectOwner {
    /// Slot key of the pull request or the job.
    pub key: SlotKey,
    /// Loop that performs the effects. Two loops may use the same topic without affecting each other.
    pub producer: CommentProducer,
    /// Fencing token of the lease; `None` for a caller that holds no lease and is not fenced.
    pub token: Option<FencingToken>,
}

/// The log entry of one effect.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EffectEntry {
    /// Digest of the content to be written.
    pub content: String,
    /// Time at which the effect was last announced, failed or completed.
    pub last_event_at: UnixMillis,
    /// Progress of the effect: open or done.
    pub state: EffectEntryState,
}

/// The state of an effect in the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum EffectEntryState {
    /// The effect is announced, but the log does not contain its end yet.
    Open {
        /// Number of attempts whose response was lost.
        lost_responses: u32,
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
    /// Entry that replaces the expected entry; `None` deletes the expected entry.
    pub new: Option<EffectEntry>,
}

/// A durable log of effects. An effect is recorded as an intent before the call to the forge, and its end
/// after the call.
#[async_trait]
pub trait EffectLog: Send + Sync {
    /// Returns the entries of `writer` on these topics, in the order of `topics`.
    async fn effects(
        &self,
        writer: &EffectOwner,
        topics: &[Topic],
    ) -> Result<Vec<Option<EffectEntry>>, StoreError>;

    /// Returns the topics of `writer` that have an announced effect without a known end, oldest first.
    async fn open_effects(&self, writer: &EffectOwner) -> Result<Vec<(Topic, EffectEntry)>, StoreError>;

    /// Makes all of these changes durably in one transaction and returns true. Returns false and changes
    /// nothing if an entry differs from the expected entry. If two processes announce the same effect, only
    /// one of them therefore succeeds.
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
    /// The effect is in place, and is not an object with an id of its own.
    Applied,
    /// The effect is in place, as this comment.
    Comment(CommentId),
    /// Comments of the effect, each with its subject. The effect may have created further comments that the
    /// forge has not listed.
    Comments(Vec<(CommentSubject, CommentId)>),
    /// The review has been posted.
    Review(PostedReview),
    /// The text was posted in the conversation.
    Posted(ConversationComment),
    /// This pull request is open.
    Pull(Box<BranchPull>),
    /// This issue is open.
    Issue(Box<OwnIssue>),
    /// Nothing was written, because another user or process has changed the text that the effect should
    /// replace.
    Superseded,
}

impl EffectOutcome {
    /// Returns the comment that the effect created, if it created one.
    pub fn comment(&self) -> Option<&CommentId> {
        match self {
            Self::Comment(comment) | Self::Review(PostedReview::Comment(comment)) => Some(comment),
            Self::Posted(said) => Some(&said.id),
            Self::Applied
            | Self::Comments(_)
            | Self::Review(PostedReview::Review { .. })
            | Self::Pull(_)
            | Self::Issue(_)
            | Self::Superseded => None,
        }
    }
}

/// The write side of a forge for one pull request and its repository, on behalf of one producer. Effects on
/// the repository alone use the pull request number 0. The implementation adds markers to the texts that it
/// writes. Only `truing_forge::effects` calls this trait.
#[async_trait]
pub trait ForgeWrite: Send + Sync {
    /// Performs the effect. First searches the forge for the result of an earlier attempt, and creates
    /// nothing if there is one. The search is omitted if a plan has already searched
    /// ([`crate::effect::EffectKind::is_observed_by_plan`]). The permit is checked before each writing call.
    async fn perform(&self, effect: &Effect, permit: &Arc<WritePermit>) -> Result<EffectOutcome, ForgeError>;

    /// Searches the forge for the result of the effect, and changes nothing.
    async fn find_effect(&self, effect: &Effect) -> Result<Option<EffectOutcome>, ForgeError>;

    /// Returns how long a newly created item may stay invisible at the forge after its response was lost.
    fn visibility_delay(&self) -> TimeSpan;

    /// Returns the reason why this forge does not support effects of this kind; `None` if the forge supports
    /// them. The caller checks the support before any other step, because an unsupported effect must not
    /// enter the log.
    fn unsupported_reason(&self, kind: EffectKind) -> Option<&'static str> {
        let _ = kind;
        None
    }

    /// Returns a reason for users if two conditions hold: the forge is known to refuse effects of this kind
    /// to our login, and reviews can do without such effects.
    fn denial_reason(&self, kind: EffectKind) -> Option<&'static str> {
        let _ = kind;
        None
    }
}
