//! Events that webhooks report. The events have the same form for all forges; each forge converts events to
//! its own format.

use crate::forge::state::checks::{FakeCheckRun, RerunButton};

/// An event that a webhook can report.
#[derive(Clone, Debug)]
pub(crate) enum FakeForgeEvent {
    /// An account changed a pull request.
    Pull { number: u64, change: PullChange, actor: String },
    /// A comment in the conversation of a pull request or an issue was created or edited.
    Comment { number: u64, id: u64, is_edit: bool },
    /// A comment on the diff was created or edited.
    InlineComment { number: u64, id: u64, is_edit: bool },
    /// A thread on the diff was resolved or reopened; `id` is the id of the thread's first comment.
    ThreadResolution { number: u64, id: u64, is_resolved: bool, actor: String },
    /// An account requests a rerun of a check run, or of the suite of this check run.
    RerunRequest { run: Box<FakeCheckRun>, button: RerunButton, actor: String },
}

/// A change of a pull request.
#[derive(Clone, Debug)]
pub(crate) enum PullChange {
    Opened,
    Closed,
    Reopened,
    /// The pull request was made a draft, or ready for review.
    DraftChanged(bool),
    /// The base branch was changed. The fields are the previous base branch and its commit.
    Retargeted {
        previous_branch: String,
        previous_commit: String,
    },
    /// The title or the description was changed. A field contains the previous value, or `None` if the value
    /// was not changed.
    Edited {
        previous_title: Option<String>,
        previous_body: Option<String>,
    },
    /// Commits were pushed to the branch of the pull request.
    Pushed {
        before: String,
        after: String,
    },
    /// The reviewers of the pull request were changed; only at Bitbucket.
    ReviewersChanged {
        added: Vec<String>,
        removed: Vec<String>,
    },
    /// An account requested changes; only at Bitbucket.
    ChangesRequested,
    /// An account withdrew its request for changes; only at Bitbucket.
    ChangesRequestWithdrawn,
    /// A label was added or removed.
    LabelChanged {
        label: String,
        is_added: bool,
    },
}
