//! Ports for effects: the log of effects, and the interface that performs effects at a forge.

use std::sync::Arc;

use async_trait::async_trait;

use super::{BranchPull, ConversationComment, ForgeError, OwnIssue, PostedReview, StoreError, WritePermit};
use crate::effect::{Effect, EffectKind};
use crate::id::{CommentId, FencingToken, SlotKey, TimeSpan, Topic, UnixMillis};
use crate::publish::{CommentProducer, CommentSubject};

/// Identifies the run or caller that performs effects, and the slot that the effects belong to.
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
    pub content_digest: String,
    /// Time at which the effect was last announced, failed or completed.
    pub last_event_at: UnixMillis,
    /// Progress of the effect: open or done.
    pub state: EffectEntryState,
}

/// The state of an effect in the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum EffectEntryState {
    /// The effect is announced, but the log does not record yet that it was performed.
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
    /// Entry that the log must contain for the change to succeed; `None` if the log must contain no entry.
    pub expected_entry: Option<EffectEntry>,
    /// Entry that replaces the expected entry; `None` deletes the expected entry.
    pub new_entry: Option<EffectEntry>,
}

/// A durable log of effects. An effect is announced in the log before the call to the forge. Its result is
/// recorded after the call.
#[async_trait]
pub trait EffectLog: Send + Sync {
    /// Returns the entries of `owner` on these topics, in the order of `topics`.
    async fn entries(
        &self,
        owner: &EffectOwner,
        topics: &[Topic],
    ) -> Result<Vec<Option<EffectEntry>>, StoreError>;

    /// Returns the topics on which `owner` has an open effect, with the log entries, oldest first.
    async fn open_entries(&self, owner: &EffectOwner) -> Result<Vec<(Topic, EffectEntry)>, StoreError>;

    /// Makes all of these changes durably in one transaction and returns true. Returns false and changes
    /// nothing if an entry differs from the expected entry. If two processes announce the same effect, only
    /// one of them therefore succeeds.
    ///
    /// Returns [`StoreError::Fenced`] if a run or an entry with the same key has a greater token than
    /// `owner`.
    async fn compare_and_set_entries(
        &self,
        owner: &EffectOwner,
        changes: &[EffectEntryChange],
    ) -> Result<bool, StoreError>;
}

/// The outcome of an effect at the forge.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum EffectOutcome {
    /// The forge shows the effect. The effect has not created an object with an id.
    Applied,
    /// The forge shows the effect as this comment.
    Comment(CommentId),
    /// Comments of the effect, each with its subject. The effect may also have created comments that the
    /// forge does not list yet.
    Comments(Vec<(CommentSubject, CommentId)>),
    /// The review has been posted.
    Review(PostedReview),
    /// The text was posted in the conversation.
    ConversationComment(ConversationComment),
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
            Self::ConversationComment(said) => Some(&said.id),
            Self::Applied
            | Self::Comments(_)
            | Self::Review(PostedReview::Review { .. })
            | Self::Pull(_)
            | Self::Issue(_)
            | Self::Superseded => None,
        }
    }
}

/// Performs effects of one producer at a forge, on one pull request and its repository. Effects on the
/// repository alone use the pull request number 0. The implementation adds markers to the texts that it
/// writes. Only `truing_forge::effects` calls this trait.
#[async_trait]
pub trait ForgeWrite: Send + Sync {
    /// Performs the effect. First searches the forge for the result of an earlier attempt. If there is such a
    /// result, nothing is created. The search is omitted if a publish plan has already searched
    /// ([`crate::effect::EffectKind::is_observed_by_plan`]). The permit is checked before each writing call.
    async fn perform(&self, effect: &Effect, permit: &Arc<WritePermit>) -> Result<EffectOutcome, ForgeError>;

    /// Searches the forge for the result of the effect, and changes nothing.
    async fn find_effect(&self, effect: &Effect) -> Result<Option<EffectOutcome>, ForgeError>;

    /// Returns the maximum time that a new object may be missing from the forge's lists. The caller needs
    /// this time after a lost response.
    fn visibility_delay(&self) -> TimeSpan;

    /// Returns the reason why this forge does not support effects of this kind; `None` if the forge supports
    /// them. The caller checks the support before any other step, because an unsupported effect must not
    /// enter the log.
    fn unsupported_reason(&self, kind: EffectKind) -> Option<&'static str> {
        let _ = kind;
        None
    }

    /// Returns the reason, for users, why the forge refuses effects of this kind to Truing's account. Returns
    /// `None` if no refusal is known, or if reviews depend on effects of this kind.
    fn denial_reason(&self, kind: EffectKind) -> Option<&'static str> {
        let _ = kind;
        None
    }
}
