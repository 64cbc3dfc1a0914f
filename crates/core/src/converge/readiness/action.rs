//! The steps and waits of a pull request until it is ready.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::converge::exit::ConvergeExit;
use crate::id::{ThreadId, UnixMillis};

/// Feedback of others to which Truing has not replied.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct UnansweredFeedback {
    pub threads: BTreeSet<ThreadId>,
    /// Reviewers whose feedback is the review itself, not a thread.
    pub reviews: BTreeSet<String>,
}

impl UnansweredFeedback {
    pub fn is_empty(&self) -> bool {
        self.threads.is_empty() && self.reviews.is_empty()
    }
}

/// The next step until the pull request is ready.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ReadinessAction {
    /// Our own audit must clear the head, so the run continues. If the run had converged or does not know the
    /// head, it first gets a [`ConvergeEvent::HeadChanged`](crate::converge::ConvergeEvent::HeadChanged) or
    /// [`ConvergeEvent::BaseMerged`](crate::converge::ConvergeEvent::BaseMerged)
    /// ([`PullReadiness::is_requested_base_merge`](super::PullReadiness::is_requested_base_merge)). After the
    /// run has converged, the caller must call
    /// [`PullReadiness::record_clearance`](super::PullReadiness::record_clearance).
    AuditHead,
    /// Request a review from this reviewer, then call
    /// [`PullReadiness::record_request`](super::PullReadiness::record_request).
    RequestReview(String),
    /// Check again at this time, or sooner.
    Wait {
        until: UnixMillis,
        /// Reason for the wait.
        reason: ReadinessWaitReason,
    },
    /// Fix or answer this feedback: the run gets a
    /// [`ConvergeEvent::FeedbackReceived`](crate::converge::ConvergeEvent::FeedbackReceived). The caller must
    /// store this state and the run in one transaction, because feedback is passed on only once at each head.
    Fix(UnansweredFeedback),
    /// Request the merge of the base into the branch, which creates the next head. Then call
    /// [`PullReadiness::record_push`](super::PullReadiness::record_push), or check again.
    UpdateBranch,
    /// Mark the pull request ready, then call
    /// [`PullReadiness::record_ready_mark`](super::PullReadiness::record_ready_mark).
    MarkReady,
    /// The pull request is ready at this head.
    Ready {
        /// Notes that the user should read.
        notes: Vec<String>,
    },
    /// The pull request cannot become ready.
    End(ConvergeExit),
}

/// The reason for which the run waits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "why", content = "of")]
pub enum ReadinessWaitReason {
    /// The head is so new that its state at the forge may be incomplete.
    Settling,
    /// This reviewer has not answered yet.
    Answer(String),
    /// This reviewer has reviewed, but nothing proves that it has read the head.
    Proof(String),
    /// This reviewer has announced comments that are not visible yet.
    Inline(String),
    /// The forge is still computing the mergeability.
    Merge,
    /// Checks of the head are running.
    Checks,
}

impl fmt::Display for ReadinessWaitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Settling => f.write_str("the head was pushed only a moment ago"),
            Self::Answer(name) => write!(f, "{name} has not answered"),
            Self::Proof(name) => write!(f, "{name} has reviewed, but it is not proven that it read the head"),
            Self::Inline(name) => write!(f, "{name} reports findings, but its comments are not visible yet"),
            Self::Merge => f.write_str("the forge does not report whether the pull request can be merged"),
            Self::Checks => f.write_str("checks are still running"),
        }
    }
}
