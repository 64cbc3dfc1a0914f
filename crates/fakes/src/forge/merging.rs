//! What stands around a pull request: what its merge would be now, what reviews decide, who is asked to review.

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Value, json};

use crate::forge::FakeError;
use crate::forge::people::{Repo, pushed, refs_of, there, tip};
use crate::forge::pulls::failed;
use crate::forge::routes::{Call, Reply};
use crate::forge::state::{Pull, Repository, State, Status};

/// What a merge would be now, in GitHub's words.
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

impl MergeState {
    /// GitHub's word.
    pub(crate) fn as_str(self) -> &'static str {
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

    /// Is there no conflict? None: not known.
    fn mergeable(self) -> Option<bool> {
        match self {
            Self::Unknown => None,
            Self::Dirty => Some(false),
            Self::Clean | Self::Unstable | Self::HasHooks | Self::Behind | Self::Blocked | Self::Draft => {
                Some(true)
            }
        }
    }
}

/// What the rules of a repository have reviews decide.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decision {
    /// One is missing.
    ReviewRequired,
    /// It may be merged.
    Approved,
    /// It may not, as it is.
    ChangesRequested,
}

impl Decision {
    fn as_str(self) -> &'static str {
        match self {
            Self::ReviewRequired => "REVIEW_REQUIRED",
            Self::Approved => "APPROVED",
            Self::ChangesRequested => "CHANGES_REQUESTED",
        }
    }
}

/// What stands around a pull request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Around {
    /// Who is asked to review and has not yet.
    pub(crate) requested: Vec<String>,
    /// What its merge would be: one for each time that it is asked, the last for ever. Empty: as things are.
    merge: VecDeque<MergeState>,
    decision: Option<Decision>,
    /// May those who may write to the repository push to a fork's branch?
    pub(crate) modifiable: bool,
}

impl Repository {
    /// What a merge would be, without counting as asked.
    pub(crate) fn merge_state(&self, pull: &Pull) -> MergeState {
        if let Some(told) = pull.around.merge.front() {
            return *told;
        }
        if !pull.open {
            return MergeState::Unknown;
        }
        if pull.draft {
            return MergeState::Draft;
        }
        // The newest of a name counts; those of one name follow each other in time.
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

    /// What a merge would be, asked once more.
    pub(crate) fn ask_merge_state(&mut self, number: u64) -> Option<MergeState> {
        let told = self.merge_state(self.pulls.get(&number)?);
        let merge = &mut self.pulls.get_mut(&number)?.around.merge;
        if merge.len() > 1 {
            merge.pop_front();
        }
        Some(told)
    }

    /// The fields of a pull request at REST that say so.
    pub(crate) fn merge_json(&self, pull: &Pull) -> Value {
        let state = self.merge_state(pull);
        json!({
            "mergeable": state.mergeable(), "rebaseable": state.mergeable(),
            "mergeable_state": state.as_str().to_lowercase(),
        })
    }
}

impl Pull {
    /// The fields at GraphQL that say so.
    pub(crate) fn merge_fields(&self, state: MergeState) -> Value {
        let mergeable = match state.mergeable() {
            Some(true) => "MERGEABLE",
            Some(false) => "CONFLICTING",
            None => "UNKNOWN",
        };
        json!({
            "headRefOid": self.head, "mergeable": mergeable, "mergeStateStatus": state.as_str(),
            "reviewDecision": self.around.decision.map(Decision::as_str), "isDraft": self.draft,
        })
    }
}

// -------------------------------------------------------------------------------------------------- calls

/// `PUT …/pulls/{number}/update-branch`: merges the base branch into the branch. GitHub answers before it has.
pub(crate) fn update_branch(state: &mut State, call: &Call) -> Result<Reply, Reply> {
    let refused = |words: &str| Err(Reply::error(422, words, Value::Null));
    let (world, repo, number) = state.pull(call)?;
    if !repo.may_push(call) {
        return Err(Reply::error(403, "Resource not accessible by integration", Value::Null));
    }
    let pull = repo.pulls.get(&number).ok_or_else(Reply::not_found)?;
    let (head, branch, onto) = (pull.head.clone(), pull.head_ref.clone(), pull.base_ref.clone());
    if call.body["expected_head_sha"].as_str().is_some_and(|expected| expected != head) {
        return refused("expected head sha didn\u{2019}t match current head ref.");
    }
    let base = tip(repo, &onto).map_err(|error| failed(&error))?;
    if repo.git.merge_base(&base, &head).as_deref() == Some(base.as_str()) {
        return refused("There are no new commits on the base branch.");
    }
    let refs = refs_of(repo, &branch);
    let refs: Vec<&str> = refs.iter().map(String::as_str).collect();
    let message = format!("Merge branch '{onto}' into {branch}");
    let Some(merged) = repo.git.merge(&refs, (&head, &base), &message)? else {
        return refused("merge conflict between base and head");
    };
    let by = call.login.clone();
    pushed(world, repo, &branch, &merged, &by).map_err(|error| failed(&error))?;
    let url = format!("{}/repos/{}/pulls/{number}", world.base_url, repo.full_name());
    Ok(Reply::json(202, json!({"message": "Updating pull request branch.", "url": url})))
}

// ------------------------------------------------------------------------------------------------- people

impl Repo {
    /// Says what a pull request's merge would be: one for each time that GraphQL is asked, the last for ever. None: as
    /// things are.
    pub async fn set_merge(&self, number: u64, states: &[MergeState]) -> Result<(), FakeError> {
        let states = states.iter().copied().collect();
        self.with(move |_, repo| {
            there(repo, number)?.around.merge = states;
            Ok(())
        })
        .await
    }

    /// Says what reviews decide.
    pub async fn decide(&self, number: u64, decision: Option<Decision>) -> Result<(), FakeError> {
        self.with(move |_, repo| {
            there(repo, number)?.around.decision = decision;
            Ok(())
        })
        .await
    }

    /// Lets those who may write to the repository push to the branch of a fork, or not.
    pub async fn let_modify(&self, number: u64, may: bool) -> Result<(), FakeError> {
        self.with(move |_, repo| {
            there(repo, number)?.around.modifiable = may;
            Ok(())
        })
        .await
    }

    /// Sets a status of a commit as somebody.
    pub async fn set_status(&self, sha: &str, context: &str, state: &str, by: &str) -> Result<(), FakeError> {
        let (sha, context, state, by) = (sha.to_owned(), context.to_owned(), state.to_owned(), by.to_owned());
        self.with(move |world, repo| {
            world.account(&by);
            let (id, created) = (world.id(), world.now());
            let (description, target_url) = (None, None);
            let creator = by;
            repo.statuses.push(Status { id, sha, state, description, target_url, context, creator, created });
            Ok(())
        })
        .await
    }
}
