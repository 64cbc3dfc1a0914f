//! The states of a merge, and of the reviews that decide it.

use std::collections::VecDeque;

/// The result that a merge would have now, by GitHub's names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MergeState {
    /// A merge is possible.
    Clean,
    /// A merge is possible, but a check that is not required has failed or is not complete.
    Unstable,
    /// As `Clean`, at a server that runs hooks before it accepts a change.
    HasHooks,
    /// The branch is behind its base, and must not be.
    Behind,
    /// A requirement is not met.
    Blocked,
    /// It conflicts with its base.
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
    /// The pull request may not be merged as it is.
    ChangesRequested,
}

/// The conditions of a pull request's merge.
#[derive(Clone, Debug, Default)]
pub(crate) struct MergeConditions {
    /// Accounts whose review is requested and missing.
    pub(crate) requested: Vec<String>,
    /// Accounts whose review is wanted, given or not; only at Bitbucket.
    pub(crate) reviewers: Vec<String>,
    /// Scripted results of a merge: each request gets the next one, and the last one stays. If empty, the
    /// actual state is returned.
    pub(crate) merge: VecDeque<MergeState>,
    pub(crate) decision: Option<ReviewDecision>,
    /// True if accounts with write access to the repository may push to the branch of a fork.
    pub(crate) modifiable: bool,
}
