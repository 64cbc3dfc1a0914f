//! Events that webhooks are told of, as data: each forge has its own form for them.

use crate::forge::state::checks::{FakeCheckRun, RerunButton};

/// Something that is told.
#[derive(Clone, Debug)]
pub(crate) enum FakeForgeEvent {
    /// A pull request was changed by somebody.
    Pull { number: u64, change: PullChange, by: String },
    /// A comment in the conversation of a pull request or an issue was made, or edited, by its author.
    Comment { number: u64, id: u64, is_edit: bool },
    /// The same of a comment on the diff.
    Inline { number: u64, id: u64, is_edit: bool },
    /// The thread that a comment on the diff began was resolved, or opened again.
    Thread { number: u64, id: u64, resolved: bool, by: String },
    /// Somebody asks for a check run, or its suite, once more.
    Check { run: Box<FakeCheckRun>, again: RerunButton, by: String },
}

/// A change of a pull request.
#[derive(Clone, Debug)]
pub(crate) enum PullChange {
    Opened,
    Closed,
    Reopened,
    /// Made a draft, or ready.
    Draft(bool),
    /// It goes to another branch than this one, which was at this commit.
    Retargeted {
        branch: String,
        commit: String,
    },
    /// Its text is another: the former title and description, where they have changed.
    Edited {
        title: Option<String>,
        body: Option<String>,
    },
    /// Its branch has moved.
    Pushed {
        before: String,
        after: String,
    },
    /// Others are to review it, at Bitbucket.
    Reviewers {
        added: Vec<String>,
        removed: Vec<String>,
    },
    /// Somebody asked for changes, at Bitbucket.
    WantsChanges,
    /// Somebody no longer asks for changes, at Bitbucket.
    WithdrewChanges,
    /// It was given a label, or has lost it.
    Labelled {
        label: String,
        on: bool,
    },
}
