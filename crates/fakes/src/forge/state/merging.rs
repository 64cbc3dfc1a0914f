//! The merge states and the review decisions of pull requests.

use std::collections::VecDeque;

/// The current merge state of a pull request, with GitHub's names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MergeState {
    /// A merge is possible.
    Clean,
    /// A merge is possible, but a check that is not required has failed or is not complete.
    Unstable,
    /// The same as `Clean`, but the server runs hooks before it accepts a change.
    HasHooks,
    /// The branch is behind its base, and the rules require that the branch is up to date.
    Behind,
    /// A requirement is not met.
    Blocked,
    /// The branch conflicts with its base.
    Dirty,
    /// The pull request is a draft.
    Draft,
    /// The state is not known yet.
    Unknown,
}

/// The decision that a repository's rules derive from the reviews.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReviewDecision {
    /// A review is missing.
    ReviewRequired,
    /// The pull request may be merged.
    Approved,
    /// The pull request must be changed before it may be merged.
    ChangesRequested,
}

/// The conditions of a pull request's merge.
#[derive(Clone, Debug, Default)]
pub(crate) struct MergeConditions {
    /// Accounts whose review was requested, but is still missing.
    pub(crate) requested: Vec<String>,
    /// Accounts that are reviewers, whether or not they have reviewed. Only at Bitbucket.
    pub(crate) reviewers: Vec<String>,
    /// Scripted merge states. Each request gets the next state, and the last state is repeated. If the list
    /// is empty, the actual state is returned.
    pub(crate) merge: VecDeque<MergeState>,
    pub(crate) decision: Option<ReviewDecision>,
    /// True if accounts with write access to the repository may push to the branch of a fork.
    pub(crate) modifiable: bool,
}
