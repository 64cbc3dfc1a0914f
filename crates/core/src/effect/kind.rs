//! The kinds of effects: how each is found again, how long it may stay unseen, and what a refusal of it leads to.

use crate::id::TimeSpan;
use crate::port::ForgeKind;

/// The kinds of effects.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum EffectKind {
    /// [`super::Effect::Review`]
    Review,
    /// [`super::Effect::ReviewAsComment`]
    ReviewAsComment,
    /// [`super::Effect::Comment`]
    Comment,
    /// [`super::Effect::LineComment`]
    LineComment,
    /// [`super::Effect::Reply`]
    Reply,
    /// [`super::Effect::Resolve`]
    Resolve,
    /// [`super::Effect::Trigger`]
    Trigger,
    /// [`super::Effect::RequestReview`]
    RequestReview,
    /// [`super::Effect::UpdateBranch`]
    UpdateBranch,
    /// [`super::Effect::MarkReady`]
    MarkReady,
    /// [`super::Effect::Describe`]
    Describe,
    /// [`super::Effect::OpenPull`]
    OpenPull,
    /// [`super::Effect::EditPull`]
    EditPull,
    /// [`super::Effect::SetDraft`]
    SetDraft,
    /// [`super::Effect::ClosePull`]
    ClosePull,
    /// [`super::Effect::Label`]
    Label,
    /// [`super::Effect::OpenIssue`]
    OpenIssue,
    /// [`super::Effect::EditIssue`]
    EditIssue,
    /// [`super::Effect::CloseIssue`]
    CloseIssue,
    /// [`super::Effect::NewComment`]
    NewComment,
    /// [`super::Effect::DeleteComment`]
    DeleteComment,
    /// [`super::Effect::Summary`]
    Summary,
    /// [`super::Effect::Findings`]
    Findings,
    /// [`super::Effect::FileFinding`]
    FileFinding,
    /// [`super::Effect::EditComment`]
    EditComment,
    /// [`super::Effect::DeleteDuplicate`]
    DeleteDuplicate,
    /// [`super::Effect::Reopen`]
    Reopen,
    /// [`super::Effect::Status`]
    Status,
    /// [`super::BranchPush`]
    Push,
}

/// The reasons why a forge lacks what some kinds need.
struct MissingFeatures {
    labels: Option<&'static str>,
    issues: Option<&'static str>,
    update_branch: Option<&'static str>,
}

/// The way in which an effect is found again at the forge.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ObservationMethod {
    /// By the marker in a text of ours. Lists may show it late.
    Marker,
    /// By its text, our account and the time. Lists may show it late.
    Text,
    /// By the state that it leads to. Making it again leads to the same state.
    State,
}

impl EffectKind {
    /// All of them.
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

    /// Its name, as tests and documents have it.
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

    /// The way in which it is found again.
    pub fn observed(self) -> ObservationMethod {
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
            // The forge opens no second one from a branch to a base.
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

    /// The time that it may stay unseen after it was made, `forge` being the forge's settle delay.
    pub fn settle(self, forge: TimeSpan) -> TimeSpan {
        match self.observed() {
            ObservationMethod::Marker | ObservationMethod::Text => forge,
            ObservationMethod::State => TimeSpan(0),
        }
    }

    /// The kind that is performed where this one is refused.
    pub fn instead(self) -> Option<Self> {
        (self == Self::Review).then_some(Self::ReviewAsComment)
    }

    /// The reason why a kind of forge cannot make it at all; none: it can. The loops read the fields of its row, and do not
    /// ask for it there.
    pub fn lacking_at(self, forge: ForgeKind) -> Option<&'static str> {
        let lacking = match forge {
            ForgeKind::Github => MissingFeatures { labels: None, issues: None, update_branch: None },
            ForgeKind::Bitbucket => MissingFeatures {
                labels: Some("its pull requests have no labels"),
                issues: Some("its issues were taken away in August 2026"),
                update_branch: Some(
                    "no call of it merges a base into a branch: git does, and the branch is pushed",
                ),
            },
            ForgeKind::BitbucketDc => MissingFeatures {
                labels: Some("its labels are those of repositories"),
                issues: Some("it has no issues"),
                update_branch: Some("its one call rewrites commits: git merges, and the branch is pushed"),
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

    /// True where it is made by several calls: a limit or a gate may end it when some of it is there.
    pub fn takes_several_calls(self) -> bool {
        self == Self::Review
    }

    /// True if its call does not look first, because the plan has just looked: performed twice, it would write twice. If
    /// it turns out to be there, the next plan adopts it.
    pub fn is_planned(self) -> bool {
        matches!(self, Self::Summary | Self::Findings | Self::FileFinding)
    }

    /// True where its caller needs the number that the forge gave it, which its record does not hold.
    pub fn has_number(self) -> bool {
        matches!(self, Self::OpenPull | Self::OpenIssue)
    }
}
