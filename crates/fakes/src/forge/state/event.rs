//! Events that webhooks report, as data: each forge has its own form for them.

use crate::forge::state::checks::{FakeCheckRun, RerunButton};

/// An event that a webhook can report.
#[derive(Clone, Debug)]
pub(crate) enum FakeForgeEvent {
    /// An account changed a pull request.
    Pull { number: u64, change: PullChange, by: String },
    /// A comment in the conversation of a pull request or an issue was created or edited by its author.
    Comment { number: u64, id: u64, is_edit: bool },
    /// A comment on the diff was created or edited by its author.
    Inline { number: u64, id: u64, is_edit: bool },
    /// The thread that a comment on the diff began was resolved or reopened.
    Thread { number: u64, id: u64, resolved: bool, by: String },
    /// An account requests a check run, or its suite, again.
    Check { run: Box<FakeCheckRun>, again: RerunButton, by: String },
}

/// A change of a pull request.
#[derive(Clone, Debug)]
pub(crate) enum PullChange {
    Opened,
    Closed,
    Reopened,
    /// It was made a draft or ready.
    Draft(bool),
    /// Its base was changed from this branch, which was at this commit.
    Retargeted {
        branch: String,
        commit: String,
    },
    /// Its text was changed: the previous title and description, where they differ.
    Edited {
        title: Option<String>,
        body: Option<String>,
    },
    /// Commits were pushed to its branch.
    Pushed {
        before: String,
        after: String,
    },
    /// Its reviewers were changed, at Bitbucket.
    Reviewers {
        added: Vec<String>,
        removed: Vec<String>,
    },
    /// An account requested changes, at Bitbucket.
    WantsChanges,
    /// An account withdrew its request for changes, at Bitbucket.
    WithdrewChanges,
    /// A label was added or removed.
    Labelled {
        label: String,
        is_added: bool,
    },
}
