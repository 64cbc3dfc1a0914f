//! Determines the merge state of a pull request: the state that a test has set, or else a state that depends
//! on checks and statuses.

use std::collections::BTreeMap;

use crate::forge::state::StoredRepository;
use crate::forge::state::merging::MergeState;
use crate::forge::state::pulls::StoredPull;
use crate::repo::FakeGitError;

impl StoredRepository {
    /// Returns the merge state without advancing the scripted merge states.
    pub(crate) fn merge_state(&self, pull: &StoredPull) -> MergeState {
        if let Some(forced_state) = pull.merge_conditions.scripted_merge_states.front() {
            return *forced_state;
        }
        if !pull.open {
            return MergeState::Unknown;
        }
        if pull.draft {
            return MergeState::Draft;
        }
        // Of several checks with the same name, only the newest check counts. Checks are stored in order of
        // time, so the newest check overwrites earlier checks.
        let mut passed = BTreeMap::new();
        for run in self.checks.iter().filter(|run| run.sha == pull.head) {
            let good = run
                .conclusion
                .as_deref()
                .is_some_and(|word| matches!(word, "success" | "neutral" | "skipped"));
            passed.insert((&run.name, &run.creator), good);
        }
        for status in self.statuses.iter().filter(|status| status.sha == pull.head) {
            passed.insert((&status.context, &status.sha), status.state == "success");
        }
        let unstable = passed.values().any(|good| !good);
        if unstable { MergeState::Unstable } else { MergeState::Clean }
    }

    /// Returns true if a merge of the pull request into its base would have conflicts.
    pub(crate) fn has_conflicts(&self, pull: &StoredPull) -> Result<bool, FakeGitError> {
        match pull.merge_conditions.scripted_merge_states.front() {
            Some(forced_state) => Ok(*forced_state == MergeState::Dirty),
            None => Ok(!self.git.conflicting_files(&pull.base, &pull.head)?.is_empty()),
        }
    }

    /// Returns the merge state, and advances to the next merge state that a test has scripted.
    pub(crate) fn next_merge_state(&mut self, number: u64) -> Option<MergeState> {
        let state = self.merge_state(self.pulls.get(&number)?);
        let merge = &mut self.pulls.get_mut(&number)?.merge_conditions.scripted_merge_states;
        if merge.len() > 1 {
            merge.pop_front();
        }
        Some(state)
    }
}
