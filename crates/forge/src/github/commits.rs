//! Creates commits by the mutation `createCommitOnBranch`. GitHub signs such commits.
//! <https://docs.github.com/en/graphql/reference/mutations#createcommitonbranch>

use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};
use truing_core::id::Sha;
use truing_core::port::{ForgeError, WritePermit};
use truing_git::{CommitApi, CommitDraft};

use super::GitHub;
use super::auth::TokenScope;
use crate::http::unavailable_error;

const CREATE_COMMIT_MUTATION: &str = "\
mutation($input: CreateCommitOnBranchInput!) {
  createCommitOnBranch(input: $input) { commit { oid } }
}";

#[derive(Deserialize)]
struct CreateCommitData {
    #[serde(rename = "createCommitOnBranch")]
    payload: Option<CreateCommitPayload>,
}

#[derive(Deserialize)]
struct CreateCommitPayload {
    commit: Option<CreatedCommit>,
}

#[derive(Deserialize)]
struct CreatedCommit {
    oid: String,
}

/// Creates commits in one repository.
#[derive(Debug)]
pub(super) struct GitHubCommits {
    github: GitHub,
    repository_id: String,
    repository: String,
}

impl GitHubCommits {
    pub(super) fn new(github: &GitHub, repository_id: &str, repository: &str) -> Self {
        Self {
            github: github.clone(),
            repository_id: repository_id.to_owned(),
            repository: repository.to_owned(),
        }
    }
}

#[async_trait]
impl CommitApi for GitHubCommits {
    async fn create_commit(&self, draft: &CommitDraft, permit: &Arc<WritePermit>) -> Result<Sha, ForgeError> {
        let purpose = format!("{}: creating a commit on {}", self.repository, draft.branch);
        let (headline, body) = draft.message.split_once('\n').unwrap_or((&draft.message, ""));
        let additions: Vec<Value> = draft
            .written_files
            .iter()
            .map(|(path, content)| json!({ "path": path, "contents": BASE64_STANDARD.encode(content) }))
            .collect();
        let deletions: Vec<Value> = draft.deleted_paths.iter().map(|path| json!({ "path": path })).collect();
        let input = json!({
            "branch": { "repositoryNameWithOwner": self.repository, "branchName": draft.branch },
            "expectedHeadOid": draft.parent.as_str(),
            "message": { "headline": headline, "body": body.trim() },
            "fileChanges": { "additions": additions, "deletions": deletions },
        });
        let scope = TokenScope::RepositoryPush(&self.repository_id, &self.repository);
        let data: CreateCommitData = self
            .github
            .with_permit(permit)
            .mutate(scope, &purpose, CREATE_COMMIT_MUTATION, json!({ "input": input }))
            .await?;
        let created = data.payload.and_then(|payload| payload.commit);
        let id = created.and_then(|commit| Sha::parse(&commit.oid).ok());
        id.ok_or_else(|| unavailable_error(&purpose, "the response contains no commit"))
    }
}
