//! The states of a merge, and of the reviews that decide it.

use std::collections::VecDeque;

/// The result that a merge would have now, in GitHub's words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MergeState {
    /// It could be done.
    Clean,
    /// It could be done, and a check that nobody demands has failed or is not done.
    Unstable,
    /// The same as clean, where the server runs hooks before it takes something.
    HasHooks,
    /// It is behind its base, and must not be.
    Behind,
    /// Something that is demanded is missing.
    Blocked,
    /// It conflicts with its base.
    Dirty,
    /// It is a draft.
    Draft,
    /// It is not known yet.
    Unknown,
}

/// The decision on reviews by the rules of a repository.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReviewDecision {
    /// One is missing.
    ReviewRequired,
    /// It may be merged.
    Approved,
    /// It may not, as it is.
    ChangesRequested,
}

/// The circumstances of a pull request's merge.
#[derive(Clone, Debug, Default)]
pub(crate) struct MergeConditions {
    /// Who is asked to review and has not yet.
    pub(crate) requested: Vec<String>,
    /// Those whose review is wanted, whether they have reviewed or not; at Bitbucket alone.
    pub(crate) reviewers: Vec<String>,
    /// The results that its merge would have: one for each time that it is asked, the last for ever. Empty:
    /// as things are.
    pub(crate) merge: VecDeque<MergeState>,
    pub(crate) decision: Option<ReviewDecision>,
    /// May those who may write to the repository push to a fork's branch?
    pub(crate) modifiable: bool,
}
