//! The writes of a review, as `truing review --publish` reports them.

use serde::Serialize;
use truing_core::effect::Effect;
use truing_core::finding::CodeLocation;
use truing_core::id::Sha;
use truing_core::port::InlineDraft;
use truing_core::publish::StatusState;

/// One request that writes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case", tag = "action")]
pub enum ReviewWrite {
    CreateSummary,
    /// Comments on lines are posted, in one review.
    CreateReview {
        /// The comments, each on its lines.
        comments: Vec<CodeComment>,
    },
    /// A comment on a file is posted.
    CreateFileComment {
        comment: CodeComment,
    },
    /// A comment is rewritten.
    Update {
        /// The item: `summary`, or a finding's id.
        item: String,
    },
    Resolve,
    Reopen,
    /// A duplicate is deleted.
    Delete {
        /// The item: `summary`, or a finding's id.
        item: String,
    },
    /// The head's status is set.
    Status {
        /// Commit that gets the status.
        head: Sha,
        /// New state of the commit.
        state: StatusState,
        /// Description of the status on one line.
        description: String,
    },
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct CodeComment {
    /// Id of the finding that the comment shows.
    pub item: String,
    /// The lines or the file on which the comment is posted.
    #[serde(flatten)]
    pub location: CodeLocation,
}

impl CodeComment {
    fn from_draft(draft: &InlineDraft) -> Self {
        Self { item: draft.item.as_str().to_owned(), location: draft.location.clone() }
    }
}

impl ReviewWrite {
    /// Returns the write for an effect of a review. None if reviews do not use this effect.
    pub fn from_effect(effect: &Effect) -> Option<Self> {
        Some(match effect {
            Effect::Summary { .. } => Self::CreateSummary,
            Effect::Findings { comments, .. } => {
                Self::CreateReview { comments: comments.iter().map(CodeComment::from_draft).collect() }
            }
            Effect::FileFinding { comment, .. } => {
                Self::CreateFileComment { comment: CodeComment::from_draft(comment) }
            }
            Effect::EditComment { item, .. } => Self::Update { item: item.as_str().to_owned() },
            Effect::Resolve { .. } => Self::Resolve,
            Effect::Reopen { .. } => Self::Reopen,
            Effect::DeleteDuplicate { item, .. } => Self::Delete { item: item.as_str().to_owned() },
            Effect::Status(status) => Self::Status {
                head: status.sha.clone(),
                state: status.state,
                description: status.description.clone(),
            },
            Effect::Review(_)
            | Effect::ReviewAsComment(_)
            | Effect::Comment { .. }
            | Effect::LineComment { .. }
            | Effect::Reply { .. }
            | Effect::Trigger { .. }
            | Effect::RequestReview { .. }
            | Effect::UpdateBranch { .. }
            | Effect::MarkReady
            | Effect::Describe { .. }
            | Effect::OpenPull(_)
            | Effect::EditPull { .. }
            | Effect::SetDraft { .. }
            | Effect::ClosePull { .. }
            | Effect::Label { .. }
            | Effect::OpenIssue { .. }
            | Effect::EditIssue { .. }
            | Effect::CloseIssue { .. }
            | Effect::NewComment { .. }
            | Effect::DeleteComment { .. } => return None,
        })
    }
}
