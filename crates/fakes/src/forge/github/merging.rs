//! Merges the base branch into the branch of a pull request.

use serde_json::{Value, json};

use crate::forge::github::call::{ApiCall, ApiResponse};
use crate::forge::github::pulls::error_response;
use crate::forge::operations::branches::{branch_tip, record_push, refs_updated_by_push};
use crate::forge::state::FakeForgeState;

/// Handles `PUT …/pulls/{number}/update-branch`: merges the base branch into the pull request's branch.
/// GitHub responds before the merge is complete.
pub(crate) fn update_branch(state: &mut FakeForgeState, call: &ApiCall) -> Result<ApiResponse, ApiResponse> {
    let refused = |words: &str| Err(ApiResponse::error(422, words, Value::Null));
    let (world, repo, number) = state.find_pull(call)?;
    if !repo.may_push(call) {
        return Err(ApiResponse::error(403, "Resource not accessible by integration", Value::Null));
    }
    let pull = repo.pulls.get(&number).ok_or_else(ApiResponse::not_found)?;
    let (head, branch, onto) = (pull.head.clone(), pull.head_ref.clone(), pull.base_ref.clone());
    if call.body["expected_head_sha"].as_str().is_some_and(|expected| expected != head) {
        return refused("expected head sha didn\u{2019}t match current head ref.");
    }
    let base = branch_tip(repo, &onto).map_err(|error| error_response(&error))?;
    if repo.git.merge_base(&base, &head).as_deref() == Some(base.as_str()) {
        return refused("There are no new commits on the base branch.");
    }
    let refs = refs_updated_by_push(repo, &branch);
    let refs: Vec<&str> = refs.iter().map(String::as_str).collect();
    let message = format!("Merge branch '{onto}' into {branch}");
    let Some(merged) = repo.git.merge(&refs, &head, &base, &message)? else {
        return refused("merge conflict between base and head");
    };
    let by = call.login.clone();
    record_push(world, repo, &branch, &merged, &by).map_err(|error| error_response(&error))?;
    if let Some(pull) = repo.pulls.get_mut(&number) {
        pull.move_review_commits(&head, &merged);
    }
    let url = format!("{}/repos/{}/pulls/{number}", world.base_url, repo.full_name());
    Ok(ApiResponse::json(202, json!({"message": "Updating pull request branch.", "url": url})))
}
