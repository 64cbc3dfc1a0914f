//! Effects: the writes that loops request from a forge, as data. Each effect has a topic (its idempotency
//! key), a method to find it again at the forge and, in some cases, a fallback after a refusal.
//! `truing_forge::effects` performs the effects.

mod incidents;
mod kind;

use serde::Serialize;
use sha2::{Digest as _, Sha256};

pub use self::incidents::{EffectIncident, EffectIncidentOutcome};
pub use self::kind::{EffectKind, ObservationMethod};

use crate::finding::CodeLocation;
use crate::id::{CommentId, Sha, ThreadId, Topic, UnixMillis};
use crate::port::{InlineDraft, PullDraft, ReviewDraft};
use crate::publish::{CommentSubject, DesiredStatus};

/// Truing abandons an effect after this number of lost responses. If the effect has a fallback, the
/// fallback replaces the effect.
pub const MAX_LOST_RESPONSES: u32 = 2;

/// One write. The effects from [`Effect::OpenPull`] to [`Effect::DeleteComment`] apply to the repository. All
/// other effects apply to one pull request.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub enum Effect {
    /// Posts a review with its inline comments. If a finding already has an open thread, no second thread is
    /// posted.
    Review(ReviewDraft),
    /// Posts a whole review as one comment, because the forge refused the review.
    ReviewAsComment(ReviewDraft),
    /// Creates the conversation comment on this topic, or updates its text.
    Comment {
        /// Subject of the comment.
        topic: Topic,
        /// Text without the marker.
        body: String,
    },
    /// Creates the diff comment on this topic, or updates its text.
    LineComment {
        /// Commit on which a new comment is placed.
        commit: Sha,
        #[serde(rename = "place")]
        location: CodeLocation,
        /// Subject of the comment.
        topic: Topic,
        /// Text without the marker.
        body: String,
    },
    /// Posts a reply in the thread that begins with this comment.
    Reply {
        /// First comment of the thread.
        #[serde(rename = "first")]
        first_comment: CommentId,
        /// Subject of the reply.
        topic: Topic,
        /// Text without the marker.
        body: String,
    },
    /// Resolves a review thread.
    Resolve { thread: ThreadId },
    /// Posts a comment with exactly this text and without a marker, because the addressed bot accepts no
    /// other text. The effect counts as done if Truing's account posted the text at or after `since`, by the
    /// forge's clock.
    Trigger {
        /// Complete text of the comment.
        text: String,
        /// Earliest time at which an existing comment counts as this effect.
        since: UnixMillis,
    },
    /// Requests a review from an account.
    RequestReview { login: String },
    /// Merges the base branch into the pull request's branch, if the head of this branch is still `head`.
    UpdateBranch { head: Sha },
    /// Marks the pull request as ready for review.
    MarkReady,
    /// Replaces the pull request's description, if the description is still the one that was read.
    Describe {
        /// Description as it was read.
        read: String,
        /// New description without the marker.
        body: String,
    },
    /// Opens a pull request from this branch to this base. If an open pull request from this branch to this
    /// base exists, it stays unchanged, regardless of its author.
    OpenPull(PullDraft),
    /// Sets the title and text of a pull request that Truing opened.
    EditPull {
        number: u64,
        /// Subject of the text, for the marker.
        topic: Topic,
        title: String,
        /// Text without the marker.
        body: String,
    },
    /// Converts a pull request that Truing opened to a draft, or marks it as ready for review.
    SetDraft {
        number: u64,
        /// True to convert to a draft; false to mark as ready.
        draft: bool,
    },
    /// Closes a pull request that Truing opened, without merging it.
    ClosePull { number: u64 },
    /// Adds labels to a pull request, and keeps its other labels.
    Label {
        number: u64,
        /// Labels to add. A label missing from the repository is created.
        labels: Vec<String>,
    },
    /// Opens an issue on this topic, unless an issue of Truing on this topic is already open.
    OpenIssue {
        topic: Topic,
        /// Title of a new issue.
        title: String,
        /// Text of a new issue, without the marker.
        body: String,
        /// Label by which Truing finds the issue again.
        label: String,
    },
    /// Sets the title and text of an issue that Truing opened.
    EditIssue {
        number: u64,
        /// Subject of the text, for the marker.
        topic: Topic,
        title: String,
        /// Text without the marker.
        body: String,
    },
    /// Closes an issue that Truing opened, as completed.
    CloseIssue { number: u64 },
    /// Posts a new comment on this topic to a pull request or issue. Does nothing if Truing's newest comment
    /// there already has this topic and text.
    NewComment {
        /// Number of the pull request or issue.
        number: u64,
        /// Subject of the comment.
        topic: Topic,
        /// Text without the marker.
        body: String,
    },
    /// Deletes a comment that Truing posted.
    DeleteComment {
        /// Number of the pull request or issue.
        number: u64,
        comment: CommentId,
    },
    /// Posts the summary as a new conversation comment.
    Summary {
        /// Text without the marker.
        body: String,
    },
    /// Posts new inline comments in one request. The forge creates all of them or none.
    Findings {
        /// Commit on which the comments are placed.
        commit: Sha,
        comments: Vec<InlineDraft>,
    },
    /// Posts a new comment on a whole file of the diff.
    FileFinding {
        /// Commit on which the comment is placed.
        commit: Sha,
        comment: InlineDraft,
    },
    /// Replaces the text of a comment that Truing posted.
    EditComment {
        /// Subject of the comment.
        item: CommentSubject,
        comment: CommentId,
        /// Text without the marker.
        body: String,
    },
    /// Deletes a comment of Truing that duplicates another comment, is on the wrong line, or is retracted.
    DeleteDuplicate {
        /// Subject of the comment.
        item: CommentSubject,
        comment: CommentId,
    },
    /// Reopens a thread that we had resolved.
    Reopen { thread: ThreadId },
    /// Sets this status on a commit.
    Status(DesiredStatus),
}

/// A push that moves a branch to a commit, if the branch is still at the expected commit.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct BranchPush {
    pub branch: String,
    pub commit: Sha,
    /// Commit at which the branch must be before the push. If it is `None`, the branch must not exist.
    pub expected: Option<Sha>,
}

/// The description of an effect that is recorded before the effect is performed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EffectIntent {
    pub kind: EffectKind,
    /// Parts of the effect that are searched for separately at the forge. All effects except
    /// [`Effect::Findings`] have exactly one part.
    pub parts: Vec<IntentPart>,
    /// Description of the write, as error messages contain it.
    pub description: String,
}

/// One part of an intent, which is recognised separately at the forge.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IntentPart {
    /// Idempotency key, scoped to one writer on one slot key.
    pub topic: Topic,
    /// Digest of all content that the effect writes.
    pub content_digest: String,
}

impl Effect {
    pub fn kind(&self) -> EffectKind {
        match self {
            Self::Review(_) => EffectKind::Review,
            Self::ReviewAsComment(_) => EffectKind::ReviewAsComment,
            Self::Comment { .. } => EffectKind::Comment,
            Self::LineComment { .. } => EffectKind::LineComment,
            Self::Reply { .. } => EffectKind::Reply,
            Self::Resolve { .. } => EffectKind::Resolve,
            Self::Trigger { .. } => EffectKind::Trigger,
            Self::RequestReview { .. } => EffectKind::RequestReview,
            Self::UpdateBranch { .. } => EffectKind::UpdateBranch,
            Self::MarkReady => EffectKind::MarkReady,
            Self::Describe { .. } => EffectKind::Describe,
            Self::OpenPull(_) => EffectKind::OpenPull,
            Self::EditPull { .. } => EffectKind::EditPull,
            Self::SetDraft { .. } => EffectKind::SetDraft,
            Self::ClosePull { .. } => EffectKind::ClosePull,
            Self::Label { .. } => EffectKind::Label,
            Self::OpenIssue { .. } => EffectKind::OpenIssue,
            Self::EditIssue { .. } => EffectKind::EditIssue,
            Self::CloseIssue { .. } => EffectKind::CloseIssue,
            Self::NewComment { .. } => EffectKind::NewComment,
            Self::DeleteComment { .. } => EffectKind::DeleteComment,
            Self::Summary { .. } => EffectKind::Summary,
            Self::Findings { .. } => EffectKind::Findings,
            Self::FileFinding { .. } => EffectKind::FileFinding,
            Self::EditComment { .. } => EffectKind::EditComment,
            Self::DeleteDuplicate { .. } => EffectKind::DeleteDuplicate,
            Self::Reopen { .. } => EffectKind::Reopen,
            Self::Status(_) => EffectKind::Status,
        }
    }

    /// Returns the intent to record before the effect is performed.
    pub fn intent(&self) -> EffectIntent {
        let of = |kind: EffectKind, rest: &str| Topic::new(format!("{}/{rest}", kind.as_str()));
        let kind = self.kind();
        let (topic, description) = match self {
            Self::Review(draft) => {
                (draft.mark.topic(), format!("posting the review of audit {}", draft.mark.audit))
            }
            Self::ReviewAsComment(draft) => (
                of(kind, draft.mark.topic().as_str()),
                format!("posting the review of audit {} as a comment", draft.mark.audit),
            ),
            Self::Comment { topic, .. } => (topic.clone(), "commenting".to_owned()),
            Self::LineComment { topic, .. } => (topic.clone(), "commenting on the diff".to_owned()),
            Self::Reply { topic, first_comment: first, .. } => {
                (topic.clone(), format!("answering comment {first}"))
            }
            Self::Resolve { thread } => (of(kind, thread.as_str()), "resolving a thread".to_owned()),
            Self::Trigger { text, since } => {
                let text = digest(text.as_bytes());
                (of(kind, &format!("{text}/{}", since.0)), "triggering a reviewer".to_owned())
            }
            Self::RequestReview { login } => (of(kind, login), format!("requesting a review from {login}")),
            Self::UpdateBranch { head } => {
                (of(kind, head.as_str()), "merging the base branch into the pull request's branch".to_owned())
            }
            Self::MarkReady => (of(kind, ""), "marking the pull request as ready for review".to_owned()),
            Self::Describe { .. } => {
                (of(kind, ""), "changing the description of the pull request".to_owned())
            }
            Self::OpenPull(PullDraft { branch, base, .. }) => {
                (of(kind, &format!("{branch}/{base}")), format!("opening a pull request from {branch}"))
            }
            Self::EditPull { number, .. } => {
                (of(kind, &number.to_string()), format!("rewriting pull request {number}"))
            }
            Self::SetDraft { number, draft } => {
                let state = if *draft { "a draft" } else { "ready for review" };
                (of(kind, &number.to_string()), format!("making pull request {number} {state}"))
            }
            Self::ClosePull { number } => {
                (of(kind, &number.to_string()), format!("closing pull request {number}"))
            }
            Self::Label { number, .. } => (of(kind, &number.to_string()), format!("labelling {number}")),
            Self::OpenIssue { topic, .. } => (of(kind, topic.as_str()), "opening an issue".to_owned()),
            Self::EditIssue { number, .. } => {
                (of(kind, &number.to_string()), format!("rewriting issue {number}"))
            }
            Self::CloseIssue { number } => (of(kind, &number.to_string()), format!("closing issue {number}")),
            Self::NewComment { number, topic, .. } => {
                (of(kind, &format!("{number}/{topic}")), format!("commenting in {number}"))
            }
            Self::DeleteComment { number, comment } => {
                (of(kind, &format!("{number}/{comment}")), format!("deleting comment {comment} in {number}"))
            }
            Self::Summary { .. } => (CommentSubject::Summary.topic(), "posting the summary".to_owned()),
            Self::Findings { comments, .. } => {
                let part = |draft: &InlineDraft| IntentPart {
                    topic: draft.item.topic(),
                    content_digest: content_digest(draft),
                };
                let description = format!("posting a review (inline comments: {})", comments.len());
                return EffectIntent { kind, parts: comments.iter().map(part).collect(), description };
            }
            Self::FileFinding { comment, .. } => {
                (comment.item.topic(), "posting a comment on a file".to_owned())
            }
            Self::EditComment { comment, .. } => {
                (of(kind, comment.as_str()), format!("rewriting comment {comment}"))
            }
            Self::DeleteDuplicate { comment, .. } => {
                (of(kind, comment.as_str()), format!("deleting comment {comment}"))
            }
            Self::Reopen { thread } => (of(kind, thread.as_str()), "reopening a thread".to_owned()),
            Self::Status(status) => {
                (of(kind, status.sha.as_str()), format!("setting the status of {}", status.sha.short_sha()))
            }
        };
        EffectIntent {
            kind,
            parts: vec![IntentPart { topic, content_digest: content_digest(self) }],
            description,
        }
    }

    /// Returns the fallback for a refused effect. Only a review has a fallback.
    pub fn fallback(&self) -> Option<Self> {
        if let Self::Review(draft) = self { Some(Self::ReviewAsComment(draft.clone())) } else { None }
    }
}

impl BranchPush {
    /// Returns the intent to record before the push.
    pub fn intent(&self) -> EffectIntent {
        let Self { branch, commit, .. } = self;
        let topic = Topic::new(format!("{}/{branch}/{commit}", EffectKind::Push.as_str()));
        let description = format!("pushing {} to {branch}", commit.short_sha());
        EffectIntent {
            kind: EffectKind::Push,
            parts: vec![IntentPart { topic, content_digest: content_digest(self) }],
            description,
        }
    }
}

/// Returns a digest of a value. If the value cannot be serialised as JSON, the digest is empty. An empty
/// digest never counts as equal to another digest.
fn content_digest(value: &impl Serialize) -> String {
    serde_json::to_vec(value).map(|json| digest(&json)).unwrap_or_default()
}

fn digest(bytes: &[u8]) -> String {
    let mut hex = hex::encode(Sha256::digest(bytes));
    hex.truncate(32);
    hex
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::id::TimeSpan;

    #[test]
    fn effects_on_one_topic_differ_by_their_content() {
        let comment = |body: &str| Effect::Comment { topic: Topic::new("report"), body: body.into() };
        let (one, other) = (comment("1").intent(), comment("2").intent());
        assert_eq!((&one.parts[0].topic, one.kind), (&other.parts[0].topic, EffectKind::Comment));
        assert_ne!(one.parts[0].content_digest, other.parts[0].content_digest);
        assert_eq!(one, comment("1").intent());
    }

    #[test]
    fn what_is_said_at_another_time_is_another_effect() {
        let trigger =
            |since| Effect::Trigger { text: "bugbot run".into(), since: UnixMillis(since) }.intent();
        assert_ne!(trigger(1).parts[0].topic, trigger(2).parts[0].topic);
    }

    #[test]
    fn every_kind_has_a_name_of_its_own_and_only_what_lists_show_settles() {
        let names: BTreeSet<&str> = EffectKind::ALL.iter().map(|kind| kind.as_str()).collect();
        assert_eq!(names.len(), EffectKind::ALL.len());
        for kind in EffectKind::ALL {
            let waits = kind.settle_time(TimeSpan::seconds(30)) > TimeSpan(0);
            assert_eq!(waits, kind.observation_method() != ObservationMethod::State, "{}", kind.as_str());
        }
    }
}
