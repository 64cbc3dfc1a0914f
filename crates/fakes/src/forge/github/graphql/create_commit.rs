//! The mutation `createCommitOnBranch`. It writes files with the mode 100644 and no others, and the new
//! commit is verified. <https://docs.github.com/en/graphql/reference/mutations#createcommitonbranch>

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::error_json;
use crate::forge::github::call::{ApiCall, ApiResponse};
use crate::forge::operations::branches::push_commit;
use crate::forge::state::{FakeForgeState, ref_name};
use crate::repo::CommitBuilder;

/// Type of the error for a request whose content is not accepted.
const UNPROCESSABLE: &str = "UNPROCESSABLE";

/// Creates the commit that the variable `input` describes.
pub(super) fn create_commit(
    state: &mut FakeForgeState,
    variables: &Value,
    call: &ApiCall,
) -> Result<Value, ApiResponse> {
    let input = &variables["input"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let name = text(&input["branch"]["repositoryNameWithOwner"]);
    let branch = text(&input["branch"]["branchName"]);
    let FakeForgeState { forge, repos, renamed_repositories: _ } = state;
    let repo = repos.get_mut(&name.to_lowercase()).filter(|repo| call.token_scope.includes(repo));
    let Some(repo) = repo else {
        let message = format!("Could not resolve to a Repository with the name '{name}'.");
        return Ok(error_json("NOT_FOUND", &message));
    };
    if !repo.may_push(call) {
        return Ok(error_json("FORBIDDEN", call.token_scope.refusal_message()));
    }
    let Some(tip) = repo.git.tip(&ref_name(&branch)).map(str::to_owned) else {
        return Ok(error_json("NOT_FOUND", &format!("Could not resolve to a Ref with the name '{branch}'.")));
    };
    let expected = text(&input["expectedHeadOid"]);
    if expected != tip {
        let message =
            format!("Expected branch to point to \"{expected}\" but it did not. Pull and try again.");
        return Ok(error_json("STALE_DATA", &message));
    }
    if branch == repo.default_branch || repo.protected_branches.contains(&branch) {
        if branch == repo.default_branch {
            forge.record_violation(format!("a commit on {branch} by {}", call.login));
        }
        return Ok(error_json(UNPROCESSABLE, "Changes must be made through a pull request."));
    }
    if let Some(message) = repo.push_rejection_messages.pop_front() {
        return Ok(error_json(UNPROCESSABLE, &message));
    }
    let message = [text(&input["message"]["headline"]), text(&input["message"]["body"])];
    let message = message.join("\n\n").trim_end().to_owned();
    let mut commit = CommitBuilder::new(message).with_author(&call.login);
    for addition in input["fileChanges"]["additions"].as_array().into_iter().flatten() {
        let Ok(content) = BASE64_STANDARD.decode(text(&addition["contents"])) else {
            return Ok(error_json(UNPROCESSABLE, "contents is not valid base64"));
        };
        commit = commit.write(text(&addition["path"]), content);
    }
    for deletion in input["fileChanges"]["deletions"].as_array().into_iter().flatten() {
        let path = text(&deletion["path"]);
        if !repo.git.has_path(&tip, &path)? {
            let message = format!(
                "A path was requested for deletion which does not exist as of commit oid `{tip}`: `{path}`"
            );
            return Ok(error_json(UNPROCESSABLE, &message));
        }
        commit = commit.delete(path);
    }
    let sha = push_commit(forge, repo, &branch, &tip, &commit).map_err(ApiResponse::internal_error)?;
    repo.verified_commits.insert(sha.clone());
    Ok(json!({"data": {"createCommitOnBranch": {"clientMutationId": null, "commit": {"oid": sha}}}}))
}
