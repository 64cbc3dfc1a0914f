//! Effects: each write that a loop wants of a forge, as data, with its topic (the key of idempotency), how it is found
//! again, and what a refusal leads to. `truing_forge::effects` performs them, by one path.

mod cases;
mod kind;

use serde::Serialize;
use sha2::{Digest as _, Sha256};

pub use self::cases::{EffectCase, EffectCaseOutcome};
pub use self::kind::{EffectKind, ObservationMethod};

use crate::finding::CodeLocation;
use crate::id::{CommentId, Sha, ThreadId, Topic, UnixMillis};
use crate::port::{InlineDraft, PullDraft, ReviewDraft};
use crate::publish::{CommentSubject, DesiredStatus};

/// The number of lost answers after which an effect is given up, or replaced if another one can take its place.
pub const MAX_LOST: u32 = 2;

/// One write: from [`Effect::OpenPull`] to [`Effect::DeleteComment`] to the repository, every other to its one pull request.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub enum Effect {
    /// A review, with its comments on lines. A finding that has an open thread gets no second one.
    Review(ReviewDraft),
    /// All of a review in one comment, for one that cannot be posted.
    ReviewAsComment(ReviewDraft),
    /// One comment in the conversation on this topic, with this text.
    Comment {
        /// The subject of the comment.
        topic: Topic,
        /// The text, without marker.
        body: String,
    },
    /// One comment on the diff on this topic, with this text.
    LineComment {
        /// The commit that a new one is placed on.
        commit: Sha,
        /// The lines.
        place: CodeLocation,
        /// The subject of the comment.
        topic: Topic,
        /// The text, without marker.
        body: String,
    },
    /// An answer in the thread that a comment began.
    Reply {
        /// That comment.
        first: CommentId,
        /// The subject of the answer.
        topic: Topic,
        /// The text, without marker.
        body: String,
    },
    /// A thread is resolved.
    Resolve {
        /// The thread.
        thread: ThreadId,
    },
    /// A comment of exactly this text, without marker, because a bot takes no other. It is there if our account has said
    /// it at that time, by the forge's clock, or later.
    Trigger {
        /// The whole text.
        text: String,
        /// The earliest time that counts.
        since: UnixMillis,
    },
    /// Somebody is asked for a review.
    RequestReview {
        /// The account's name.
        login: String,
    },
    /// The base branch is merged into the branch, if that is still at this commit.
    UpdateBranch {
        /// The commit.
        head: Sha,
    },
    /// The pull request is made ready for review.
    MarkReady,
    /// The pull request has another description, if it still has the one that was read.
    Describe {
        /// The description that was read.
        read: String,
        /// The new one, without marker.
        body: String,
    },
    /// A pull request from this branch to this base is open. One that is open already, whoever opened it, stays as it is.
    OpenPull(PullDraft),
    /// A pull request of ours has this title and this text.
    EditPull {
        /// Its number.
        number: u64,
        /// The subject, for its marker.
        topic: Topic,
        /// The title.
        title: String,
        /// The text, without marker.
        body: String,
    },
    /// A pull request of ours is a draft, or ready for review.
    SetDraft {
        /// Its number.
        number: u64,
        /// True: a draft.
        draft: bool,
    },
    /// A pull request of ours is closed, not merged.
    ClosePull {
        /// Its number.
        number: u64,
    },
    /// A pull request has these labels, beside those that it has.
    Label {
        /// Its number.
        number: u64,
        /// The labels. One that the repository does not have is created.
        labels: Vec<String>,
    },
    /// An issue of ours on this topic is open.
    OpenIssue {
        /// The subject.
        topic: Topic,
        /// The title of a new one.
        title: String,
        /// The text of a new one, without marker.
        body: String,
        /// The label that it is found by.
        label: String,
    },
    /// An issue of ours has this title and this text.
    EditIssue {
        /// Its number.
        number: u64,
        /// The subject, for its marker.
        topic: Topic,
        /// The title.
        title: String,
        /// The text, without marker.
        body: String,
    },
    /// An issue of ours is closed as completed.
    CloseIssue {
        /// Its number.
        number: u64,
    },
    /// The newest comment of ours in the conversation of a pull request or an issue is on this topic, with this text.
    NewComment {
        /// The number of the pull request or issue.
        number: u64,
        /// The subject of the comment.
        topic: Topic,
        /// The text, without marker.
        body: String,
    },
    /// A comment of ours is deleted.
    DeleteComment {
        /// The number of the pull request or issue.
        number: u64,
        /// The comment.
        comment: CommentId,
    },
    /// A new comment in the conversation is the summary.
    Summary {
        /// The text, without marker.
        body: String,
    },
    /// New comments on lines, each of its item, in one call: all of them or none.
    Findings {
        /// The commit that they are placed on.
        commit: Sha,
        /// The comments.
        comments: Vec<InlineDraft>,
    },
    /// A new comment on a file of the diff.
    FileFinding {
        /// The commit that it is placed on.
        commit: Sha,
        /// The comment.
        comment: InlineDraft,
    },
    /// A comment of ours has this text.
    EditComment {
        /// The subject of the comment.
        item: CommentSubject,
        /// The comment.
        comment: CommentId,
        /// The text, without marker.
        body: String,
    },
    /// A comment of ours that says again what another one of ours says, that landed on another line, or that is retracted, is deleted.
    DeleteDuplicate {
        /// The subject.
        item: CommentSubject,
        /// The comment.
        comment: CommentId,
    },
    /// A thread that we had resolved is open again.
    Reopen {
        /// The thread.
        thread: ThreadId,
    },
    /// A commit has this status.
    Status(DesiredStatus),
}

/// One push: the branch is at the commit, if it was where it is expected.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct BranchPush {
    /// The branch.
    pub branch: String,
    /// The commit.
    pub commit: Sha,
    /// The commit that the branch is at before; none: it must not be there.
    pub expected: Option<Sha>,
}

/// The part of an effect that its intent holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EffectIntent {
    /// The kind.
    pub kind: EffectKind,
    /// The parts that are found again each by itself: one, but for [`Effect::Findings`].
    pub parts: Vec<IntentPart>,
    /// The write in words, for errors.
    pub what: String,
}

/// One part of an intent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IntentPart {
    /// The key of idempotency, of one writer on one key.
    pub topic: Topic,
    /// A digest of everything that is to be written.
    pub content: String,
}

impl Effect {
    /// Its kind.
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

    /// Its intent.
    pub fn intended(&self) -> EffectIntent {
        let of = |kind: EffectKind, rest: &str| Topic::new(format!("{}/{rest}", kind.as_str()));
        let kind = self.kind();
        let (topic, what) = match self {
            Self::Review(draft) => {
                (draft.mark.topic(), format!("posting the review of audit {}", draft.mark.audit))
            }
            Self::ReviewAsComment(draft) => (
                of(kind, draft.mark.topic().as_str()),
                format!("posting the review of audit {} as a comment", draft.mark.audit),
            ),
            Self::Comment { topic, .. } => (topic.clone(), "commenting".to_owned()),
            Self::LineComment { topic, .. } => (topic.clone(), "commenting on the diff".to_owned()),
            Self::Reply { topic, first, .. } => (topic.clone(), format!("answering comment {first}")),
            Self::Resolve { thread } => (of(kind, thread.as_str()), "resolving a thread".to_owned()),
            Self::Trigger { text, since } => {
                let text = digest(text.as_bytes());
                (of(kind, &format!("{text}/{}", since.0)), "waking a reviewer".to_owned())
            }
            Self::RequestReview { login } => (of(kind, login), format!("asking {login} for a review")),
            Self::UpdateBranch { head } => {
                (of(kind, head.as_str()), "merging its base into its branch".to_owned())
            }
            Self::MarkReady => (of(kind, ""), "making it ready for review".to_owned()),
            Self::Describe { .. } => (of(kind, ""), "changing its description".to_owned()),
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
                let part =
                    |draft: &InlineDraft| IntentPart { topic: draft.item.topic(), content: content(draft) };
                let what = format!("posting a review (inline comments: {})", comments.len());
                return EffectIntent { kind, parts: comments.iter().map(part).collect(), what };
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
                (of(kind, status.sha.as_str()), format!("setting the status of {}", status.sha.short()))
            }
        };
        EffectIntent { kind, parts: vec![IntentPart { topic, content: content(self) }], what }
    }

    /// The effect that is performed where this one is refused.
    pub fn instead(&self) -> Option<Self> {
        if let Self::Review(draft) = self { Some(Self::ReviewAsComment(draft.clone())) } else { None }
    }
}

impl BranchPush {
    /// Its intent.
    pub fn intended(&self) -> EffectIntent {
        let Self { branch, commit, .. } = self;
        let topic = Topic::new(format!("{}/{branch}/{commit}", EffectKind::Push.as_str()));
        let what = format!("pushing {} to {branch}", commit.short());
        EffectIntent {
            kind: EffectKind::Push,
            parts: vec![IntentPart { topic, content: content(self) }],
            what,
        }
    }
}

/// A digest of a value. One that cannot be written as JSON has an empty digest, which never counts as equal.
fn content(value: &impl Serialize) -> String {
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
        let (one, other) = (comment("1").intended(), comment("2").intended());
        assert_eq!((&one.parts[0].topic, one.kind), (&other.parts[0].topic, EffectKind::Comment));
        assert_ne!(one.parts[0].content, other.parts[0].content);
        assert_eq!(one, comment("1").intended());
    }

    #[test]
    fn what_is_said_at_another_time_is_another_effect() {
        let trigger =
            |since| Effect::Trigger { text: "bugbot run".into(), since: UnixMillis(since) }.intended();
        assert_ne!(trigger(1).parts[0].topic, trigger(2).parts[0].topic);
    }

    #[test]
    fn every_kind_has_a_name_of_its_own_and_only_what_lists_show_settles() {
        let names: BTreeSet<&str> = EffectKind::ALL.iter().map(|kind| kind.as_str()).collect();
        assert_eq!(names.len(), EffectKind::ALL.len());
        for kind in EffectKind::ALL {
            let waits = kind.settle(TimeSpan::seconds(30)) > TimeSpan(0);
            assert_eq!(waits, kind.observed() != ObservationMethod::State, "{}", kind.as_str());
        }
    }
}
