//! The kinds of effects. The kind decides how an effect is found again at the forge, how long it may stay
//! invisible, and which effect replaces it after a refusal.

use crate::id::TimeSpan;
use crate::port::ForgeKind;

/// The kinds of effects.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum EffectKind {
    Review,
    ReviewAsComment,
    Comment,
    LineComment,
    Reply,
    Resolve,
    Trigger,
    RequestReview,
    UpdateBranch,
    MarkReady,
    Describe,
    OpenPull,
    EditPull,
    SetDraft,
    ClosePull,
    Label,
    OpenIssue,
    EditIssue,
    CloseIssue,
    NewComment,
    DeleteComment,
    Summary,
    Findings,
    FileFinding,
    EditComment,
    DeleteDuplicate,
    Reopen,
    Status,
    /// Push of a branch, [`super::BranchPush`].
    Push,
}

/// The reasons for which a forge lacks features that certain kinds require.
struct MissingFeatures {
    labels: Option<&'static str>,
    issues: Option<&'static str>,
    update_branch: Option<&'static str>,
}

/// The method by which an effect is found again at the forge.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ObservationMethod {
    /// By the marker in a text that Truing wrote. The forge's lists may show the text with a delay.
    Marker,
    /// By the text of the comment, Truing's account, and the time. The forge's lists may show the comment
    /// with a delay.
    Text,
    /// By the state that the effect causes. A repetition causes the same state.
    State,
}

impl EffectKind {
    /// All kinds, in order.
    pub const ALL: [Self; 29] = [
        Self::Review,
        Self::ReviewAsComment,
        Self::Comment,
        Self::LineComment,
        Self::Reply,
        Self::Resolve,
        Self::Trigger,
        Self::RequestReview,
        Self::UpdateBranch,
        Self::MarkReady,
        Self::Describe,
        Self::OpenPull,
        Self::EditPull,
        Self::SetDraft,
        Self::ClosePull,
        Self::Label,
        Self::OpenIssue,
        Self::EditIssue,
        Self::CloseIssue,
        Self::NewComment,
        Self::DeleteComment,
        Self::Summary,
        Self::Findings,
        Self::FileFinding,
        Self::EditComment,
        Self::DeleteDuplicate,
        Self::Reopen,
        Self::Status,
        Self::Push,
    ];

    /// Returns the name of the kind in tests and documents.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Review => "review",
            Self::ReviewAsComment => "review_as_comment",
            Self::Comment => "comment",
            Self::LineComment => "line_comment",
            Self::Reply => "reply",
            Self::Resolve => "resolve",
            Self::Trigger => "trigger",
            Self::RequestReview => "request_review",
            Self::UpdateBranch => "update_branch",
            Self::MarkReady => "mark_ready",
            Self::Describe => "describe",
            Self::OpenPull => "open_pull",
            Self::EditPull => "edit_pull",
            Self::SetDraft => "set_draft",
            Self::ClosePull => "close_pull",
            Self::Label => "label",
            Self::OpenIssue => "open_issue",
            Self::EditIssue => "edit_issue",
            Self::CloseIssue => "close_issue",
            Self::NewComment => "new_comment",
            Self::DeleteComment => "delete_comment",
            Self::Summary => "summary",
            Self::Findings => "findings",
            Self::FileFinding => "file_finding",
            Self::EditComment => "edit_comment",
            Self::DeleteDuplicate => "delete_duplicate",
            Self::Reopen => "reopen",
            Self::Status => "status",
            Self::Push => "push",
        }
    }

    /// Returns the method by which an effect of this kind is found again.
    pub fn observation_method(self) -> ObservationMethod {
        match self {
            Self::Review
            | Self::ReviewAsComment
            | Self::Comment
            | Self::LineComment
            | Self::Reply
            | Self::OpenIssue
            | Self::NewComment
            | Self::Summary
            | Self::Findings
            | Self::FileFinding => ObservationMethod::Marker,
            Self::Trigger => ObservationMethod::Text,
            Self::Resolve
            | Self::RequestReview
            | Self::UpdateBranch
            | Self::MarkReady
            | Self::Describe
            // An existing pull request is recognised by its state, because a forge never opens a second one
            // from the same branch to the same base.
            | Self::OpenPull
            | Self::EditPull
            | Self::SetDraft
            | Self::ClosePull
            | Self::Label
            | Self::EditIssue
            | Self::CloseIssue
            | Self::DeleteComment
            | Self::EditComment
            | Self::DeleteDuplicate
            | Self::Reopen
            | Self::Status
            | Self::Push => ObservationMethod::State,
        }
    }

    /// Returns the time for which a performed effect of this kind may stay invisible. `forge` is the forge's
    /// settle delay.
    pub fn settle_time(self, forge_settle_delay: TimeSpan) -> TimeSpan {
        match self.observation_method() {
            ObservationMethod::Marker | ObservationMethod::Text => forge_settle_delay,
            ObservationMethod::State => TimeSpan(0),
        }
    }

    /// Returns the kind of effect that replaces an effect of this kind after a refusal. Returns `None` if
    /// there is no such kind.
    pub fn fallback(self) -> Option<Self> {
        (self == Self::Review).then_some(Self::ReviewAsComment)
    }

    /// Returns the reason for which a forge does not support this kind of effect. Returns `None` if the forge
    /// supports it. The loops call this function first, and do not attempt unsupported effects.
    pub fn unsupported_reason_at(self, forge: ForgeKind) -> Option<&'static str> {
        let lacking = match forge {
            ForgeKind::Github => MissingFeatures { labels: None, issues: None, update_branch: None },
            ForgeKind::Bitbucket => MissingFeatures {
                labels: Some("pull requests have no labels"),
                issues: Some("issues were removed in August 2026"),
                update_branch: Some(
                    "the API cannot merge a base into a branch, so Truing merges with git and pushes the \
                        branch",
                ),
            },
            ForgeKind::BitbucketDc => MissingFeatures {
                labels: Some("only repositories have labels, not pull requests"),
                issues: Some("this forge has no issues"),
                update_branch: Some(
                    "the forge has only one API call that updates a branch, and this call rewrites \
                    commits. Truing therefore merges with git and pushes the branch",
                ),
            },
        };
        match self {
            Self::Label => lacking.labels,
            Self::OpenIssue | Self::EditIssue | Self::CloseIssue => lacking.issues,
            Self::UpdateBranch => lacking.update_branch,
            Self::Review
            | Self::ReviewAsComment
            | Self::Comment
            | Self::LineComment
            | Self::Reply
            | Self::Resolve
            | Self::Trigger
            | Self::RequestReview
            | Self::MarkReady
            | Self::Describe
            | Self::OpenPull
            | Self::EditPull
            | Self::SetDraft
            | Self::ClosePull
            | Self::NewComment
            | Self::DeleteComment
            | Self::Summary
            | Self::Findings
            | Self::FileFinding
            | Self::EditComment
            | Self::DeleteDuplicate
            | Self::Reopen
            | Self::Status
            | Self::Push => None,
        }
    }

    /// Returns true if an effect of this kind takes several calls. A limit or a gate may then stop the effect
    /// after only a part was performed.
    pub fn takes_several_calls(self) -> bool {
        self == Self::Review
    }

    /// Returns true if the plan has searched for an existing effect, and the call does not search again. A
    /// repeated call would write twice. If the effect exists after all, the next plan adopts it.
    pub fn is_observed_by_plan(self) -> bool {
        matches!(self, Self::Summary | Self::Findings | Self::FileFinding)
    }

    /// Returns true if the caller needs the number that the forge assigns to the new object. The effect log
    /// does not contain this number.
    pub fn needs_assigned_number(self) -> bool {
        matches!(self, Self::OpenPull | Self::OpenIssue)
    }
}
