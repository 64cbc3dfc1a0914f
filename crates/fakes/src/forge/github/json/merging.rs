//! Converts the merge state of a pull request to GitHub's names and JSON fields.

use serde_json::{Value, json};

use crate::forge::state::StoredRepository;
use crate::forge::state::merging::{MergeState, ReviewDecision};
use crate::forge::state::pulls::StoredPull;

impl MergeState {
    /// Returns GitHub's name of the state.
    fn as_str(self) -> &'static str {
        match self {
            Self::Clean => "CLEAN",
            Self::Unstable => "UNSTABLE",
            Self::HasHooks => "HAS_HOOKS",
            Self::Behind => "BEHIND",
            Self::Blocked => "BLOCKED",
            Self::Dirty => "DIRTY",
            Self::Draft => "DRAFT",
            Self::Unknown => "UNKNOWN",
        }
    }

    /// Returns true if the pull request has no conflict with its base; `None` if this is unknown.
    fn is_mergeable(self) -> Option<bool> {
        match self {
            Self::Unknown => None,
            Self::Dirty => Some(false),
            Self::Clean | Self::Unstable | Self::HasHooks | Self::Behind | Self::Blocked | Self::Draft => {
                Some(true)
            }
        }
    }
}

impl ReviewDecision {
    fn as_str(self) -> &'static str {
        match self {
            Self::ReviewRequired => "REVIEW_REQUIRED",
            Self::Approved => "APPROVED",
            Self::ChangesRequested => "CHANGES_REQUESTED",
        }
    }
}

impl StoredRepository {
    /// Returns the fields about merging that a pull request has in REST responses.
    pub(crate) fn rest_merge_json(&self, pull: &StoredPull) -> Value {
        let state = self.merge_state(pull);
        json!({
            "mergeable": state.is_mergeable(), "rebaseable": state.is_mergeable(),
            "mergeable_state": state.as_str().to_lowercase(),
        })
    }
}

impl StoredPull {
    /// Returns the fields about merging that a pull request has in GraphQL responses.
    pub(crate) fn graphql_merge_json(&self, state: MergeState) -> Value {
        let mergeable = match state.is_mergeable() {
            Some(true) => "MERGEABLE",
            Some(false) => "CONFLICTING",
            None => "UNKNOWN",
        };
        json!({
            "headRefOid": self.head, "mergeable": mergeable, "mergeStateStatus": state.as_str(),
            "reviewDecision": self.merge_conditions.decision.map(ReviewDecision::as_str),
            "isDraft": self.draft,
        })
    }
}
