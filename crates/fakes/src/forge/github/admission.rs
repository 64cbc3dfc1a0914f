//! Finds the repository and the pull request in a call's path, if the call's token may see and change them.

use serde_json::{Value, json};

use crate::forge::github::call::{ApiCall, ApiResponse};
use crate::forge::state::access::RepositoryAccess;
use crate::forge::state::apps::{FakeTokenScope, TokenKind};
use crate::forge::state::{FakeForgeState, ForgeInstance, StoredRepository};

impl FakeForgeState {
    /// Returns the repository that the path names, if the caller may make the call.
    pub(crate) fn find_repository(
        &mut self,
        call: &ApiCall,
    ) -> Result<(&mut ForgeInstance, &mut StoredRepository), ApiResponse> {
        let key = format!("{}/{}", call.path_param("owner"), call.path_param("repo")).to_lowercase();
        if let (Some(id), false) = (self.renamed_repositories.get(&key), self.repos.contains_key(&key)) {
            return Err(self.forge.redirect_response(*id, &key, call));
        }
        let repo = self.repos.get_mut(&key).ok_or_else(ApiResponse::not_found)?;
        repo.check_access(call)?;
        Ok((&mut self.forge, repo))
    }

    /// Returns the pull request that the path names.
    pub(crate) fn find_pull(
        &mut self,
        call: &ApiCall,
    ) -> Result<(&mut ForgeInstance, &mut StoredRepository, u64), ApiResponse> {
        let number = call.require_number("number")?;
        let (world, repo) = self.find_repository(call)?;
        if repo.pulls.contains_key(&number) {
            Ok((world, repo, number))
        } else {
            Err(ApiResponse::not_found())
        }
    }
}

impl ForgeInstance {
    /// Returns the redirect to a renamed repository.
    fn redirect_response(&self, id: u64, key: &str, call: &ApiCall) -> ApiResponse {
        let rest = call.path.get("/repos/".len() + key.len()..).unwrap_or_default();
        let to = format!("{}/repositories/{id}{rest}", self.base_url);
        let documentation =
            "https://docs.github.com/rest/guides/best-practices-for-using-the-rest-api#follow-redirects";
        let body = json!({"message": "Moved Permanently", "url": to, "documentation_url": documentation});
        let mut reply = ApiResponse::json(301, body);
        reply.headers.push(("location", to));
        reply
    }
}

impl StoredRepository {
    pub(crate) fn check_access(&self, call: &ApiCall) -> Result<(), ApiResponse> {
        call.token_scope.check_access(self, call)?;
        let refused = |status, message| Err(ApiResponse::error(status, message, Value::Null));
        match self.access {
            RepositoryAccess::Unrestricted => Ok(()),
            RepositoryAccess::Archived if call.method == "GET" => Ok(()),
            RepositoryAccess::Archived => refused(403, "Repository was archived so is read-only."),
            RepositoryAccess::Forbidden => refused(403, call.token_scope.refusal_message()),
            RepositoryAccess::Blocked => refused(451, "Repository access blocked"),
        }
    }

    /// Returns true if the caller may push, and change comments and pull requests of other users.
    pub(crate) fn may_push(&self, call: &ApiCall) -> bool {
        match &call.token_scope {
            FakeTokenScope::Account | FakeTokenScope::AccessToken => {
                ["admin", "write"].contains(&self.permission(&call.login).0)
            }
            FakeTokenScope::App(_) => false,
            FakeTokenScope::Installation { kind: TokenKind::Installation | TokenKind::Actions, .. } => {
                call.token_scope.permits_call("git", "push")
            }
            FakeTokenScope::Installation { .. } => {
                call.token_scope.permits_call("git", "push")
                    && ["admin", "write"].contains(&self.permission(&call.login).0)
            }
        }
    }
}

impl FakeTokenScope {
    /// Returns an error if this kind of token cannot make the call for any repository.
    pub(crate) fn check_token_kind(&self, path: &str) -> Result<(), ApiResponse> {
        let as_app = path == "/app" || path.starts_with("/app/") || path.ends_with("/installation");
        let no_json_web_token =
            || ApiResponse::error(401, "A JSON web token could not be decoded", Value::Null);
        match self {
            Self::App(_) if as_app => Ok(()),
            Self::App(_) => Err(ApiResponse::error(401, "Bad credentials", Value::Null)),
            Self::Account | Self::AccessToken | Self::Installation { .. } if as_app => {
                Err(no_json_web_token())
            }
            Self::Installation { .. } if path.starts_with("/user") && !self.permits_call("GET", path) => {
                Err(self.forbidden_response("GET", path))
            }
            Self::Account | Self::AccessToken | Self::Installation { .. } => Ok(()),
        }
    }

    /// Returns an error if the token may not make this call for the repository.
    pub(crate) fn check_access(&self, repo: &StoredRepository, call: &ApiCall) -> Result<(), ApiResponse> {
        if !self.includes(repo) {
            return Err(ApiResponse::not_found());
        }
        if self.permits_call(&call.method, &call.path) {
            Ok(())
        } else {
            Err(self.forbidden_response(&call.method, &call.path))
        }
    }
}

impl ApiCall {
    /// Returns true if the call's token belongs to an account that may push.
    pub(crate) fn is_pusher(&self, repo: &StoredRepository) -> bool {
        matches!(self.token_scope, FakeTokenScope::Account) && repo.may_push(self)
    }
}
