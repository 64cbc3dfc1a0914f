//! Functions with which a test sets merge states, review decisions and statuses.

use crate::forge::error::FakeError;
use crate::forge::operations::pulls::pull_mut;
use crate::forge::state::CommitStatus;
use crate::forge::state::merging::{MergeState, ReviewDecision};
use crate::forge::user_actions::FakeRepo;

impl FakeRepo {
    /// Sets the merge states of a pull request. Each request for the merge state returns the next state;
    /// after the list's end, the last state is repeated. With an empty list, requests return the state that
    /// checks and statuses determine.
    pub async fn set_merge_states(&self, number: u64, states: &[MergeState]) -> Result<(), FakeError> {
        let states = states.iter().copied().collect();
        self.with_repository(move |_, repo| {
            pull_mut(repo, number)?.merge_conditions.scripted_merge_states = states;
            Ok(())
        })
        .await
    }

    /// Sets the review decision of the pull request.
    pub async fn set_review_decision(
        &self,
        number: u64,
        decision: Option<ReviewDecision>,
    ) -> Result<(), FakeError> {
        self.with_repository(move |_, repo| {
            pull_mut(repo, number)?.merge_conditions.decision = decision;
            Ok(())
        })
        .await
    }

    /// Allows or forbids accounts with write access to the repository to push to a pull request's branch in a
    /// fork.
    pub async fn set_maintainer_can_modify(&self, number: u64, is_allowed: bool) -> Result<(), FakeError> {
        self.with_repository(move |_, repo| {
            pull_mut(repo, number)?.merge_conditions.maintainer_can_modify = is_allowed;
            Ok(())
        })
        .await
    }

    /// As an account, sets a status of a commit.
    pub async fn set_status(
        &self,
        sha: &str,
        context: &str,
        state: &str,
        actor: &str,
    ) -> Result<(), FakeError> {
        let (sha, context, state, actor) =
            (sha.to_owned(), context.to_owned(), state.to_owned(), actor.to_owned());
        self.with_repository(move |world, repo| {
            world.ensure_account(&actor);
            let (id, created) = (world.next_id(), world.now());
            let (description, target_url) = (None, None);
            let creator = actor;
            let (name, refname, parent) = (None, None, None);
            let status = CommitStatus {
                id,
                sha,
                state,
                description,
                target_url,
                context,
                name,
                refname,
                parent_key: parent,
                creator,
                created_at: created,
            };
            repo.statuses.push(status);
            Ok(())
        })
        .await
    }
}
