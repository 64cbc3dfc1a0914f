//! The writes of a review, in the form in which `truing review --publish` reports them.

use serde::Serialize;
use truing_core::effect::Effect;
use truing_core::finding::CodeLocation;
use truing_core::id::Sha;
use truing_core::port::InlineDraft;
use truing_core::publish::StatusState;

/// A request to the forge that writes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case", tag = "action")]
pub enum ReviewWrite {
    CreateSummary,
    /// Posts comments on lines, in one review.
    CreateReview {
        /// The comments, each on its lines.
        comments: Vec<CodeComment>,
    },
    /// Posts a comment on a file.
    CreateFileComment {
        comment: CodeComment,
    },
    /// Changes the text of a comment.
    Update {
        /// The subject of the comment: `summary`, or the id of a finding.
        item: String,
    },
    Resolve,
    Reopen,
    /// Deletes a duplicate comment.
    Delete {
        /// The subject of the comment: `summary`, or the id of a finding.
        item: String,
    },
    /// Sets the status of the head.
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
    /// The lines or the file that the comment is about.
    #[serde(flatten)]
    pub location: CodeLocation,
}

impl CodeComment {
    fn from_draft(draft: &InlineDraft) -> Self {
        Self { item: draft.item.as_str().to_owned(), location: draft.location.clone() }
    }
}

impl ReviewWrite {
    /// Returns the write that an effect of a review makes. Returns `None` for effects that reviews do not
    /// use.
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
