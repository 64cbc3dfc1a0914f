//! The merge states and the review decisions of pull requests.

use std::collections::VecDeque;

/// The current merge state of a pull request; the variants are named as at GitHub.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MergeState {
    /// A merge is possible.
    Clean,
    /// A merge is possible, but a check that is not required has failed or is not complete.
    Unstable,
    /// A merge is possible, and the server runs hooks before it accepts the merge.
    HasHooks,
    /// The branch is behind its base, and the rules require that the branch is up to date.
    Behind,
    /// A requirement is not met.
    Blocked,
    /// The branch conflicts with its base.
    Dirty,
    /// The pull request is a draft.
    Draft,
    /// The forge has not determined the state yet.
    Unknown,
}

/// The decision that a repository's rules derive from the reviews.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReviewDecision {
    /// A required review is missing.
    ReviewRequired,
    /// The pull request may be merged.
    Approved,
    /// The pull request must be changed before it may be merged.
    ChangesRequested,
}

/// The data that decide whether a pull request can be merged.
#[derive(Clone, Debug, Default)]
pub(crate) struct MergeConditions {
    /// Accounts whose review was requested, but is still missing.
    pub(crate) requested_reviewers: Vec<String>,
    /// All reviewers of the pull request, with or without a verdict; only at Bitbucket.
    pub(crate) reviewers: Vec<String>,
    /// Scripted merge states. Each request returns the next state; after the list's end, the last state is
    /// repeated. If the list is empty, requests return the state that checks and statuses determine.
    pub(crate) scripted_merge_states: VecDeque<MergeState>,
    pub(crate) decision: Option<ReviewDecision>,
    /// True if accounts with write access to the repository may push to the pull request's branch in a fork.
    pub(crate) maintainer_can_modify: bool,
}
