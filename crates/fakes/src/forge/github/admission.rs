//! The repository and pull request that a call names, if its token may see and change them.

use serde_json::{Value, json};

use crate::forge::github::call::{Call, Reply};
use crate::forge::state::access::Access;
use crate::forge::state::apps::{Pass, TokenKind};
use crate::forge::state::{Repository, State, World};

impl State {
    /// The repository that the path names, if it answers such a call.
    pub(crate) fn repo(&mut self, call: &Call) -> Result<(&mut World, &mut Repository), Reply> {
        let key = format!("{}/{}", call.param("owner"), call.param("repo")).to_lowercase();
        if let (Some(id), false) = (self.moved.get(&key), self.repos.contains_key(&key)) {
            return Err(self.world.moved(*id, &key, call));
        }
        let repo = self.repos.get_mut(&key).ok_or_else(Reply::not_found)?;
        repo.admits(call)?;
        Ok((&mut self.world, repo))
    }

    /// The pull request that the path names.
    pub(crate) fn pull(&mut self, call: &Call) -> Result<(&mut World, &mut Repository, u64), Reply> {
        let number = call.number("number")?;
        let (world, repo) = self.repo(call)?;
        if repo.pulls.contains_key(&number) { Ok((world, repo, number)) } else { Err(Reply::not_found()) }
    }
}

impl World {
    /// The redirect of a repository that has another name by now.
    fn moved(&self, id: u64, key: &str, call: &Call) -> Reply {
        let rest = call.path.get("/repos/".len() + key.len()..).unwrap_or_default();
        let to = format!("{}/repositories/{id}{rest}", self.base_url);
        let documentation =
            "https://docs.github.com/rest/guides/best-practices-for-using-the-rest-api#follow-redirects";
        let body = json!({"message": "Moved Permanently", "url": to, "documentation_url": documentation});
        let mut reply = Reply::json(301, body);
        reply.headers.push(("location", to));
        reply
    }
}

impl Repository {
    pub(crate) fn admits(&self, call: &Call) -> Result<(), Reply> {
        call.pass.admits(self, call)?;
        let refused = |status, message| Err(Reply::error(status, message, Value::Null));
        match self.access {
            Access::Open => Ok(()),
            Access::Archived if call.method == "GET" => Ok(()),
            Access::Archived => refused(403, "Repository was archived so is read-only."),
            Access::Forbidden => refused(403, call.pass.refusal()),
            Access::Blocked => refused(451, "Repository access blocked"),
        }
    }

    /// May whoever calls push, and change what others wrote?
    pub(crate) fn may_push(&self, call: &Call) -> bool {
        match &call.pass {
            Pass::Account | Pass::Access => ["admin", "write"].contains(&self.permission(&call.login).0),
            Pass::App(_) => false,
            Pass::Installation { kind: TokenKind::Installation | TokenKind::Actions, .. } => {
                call.pass.may("git", "push")
            }
            Pass::Installation { .. } => {
                call.pass.may("git", "push") && ["admin", "write"].contains(&self.permission(&call.login).0)
            }
        }
    }
}

impl Pass {
    /// Is this call for such a token at all?
    pub(crate) fn may_call(&self, path: &str) -> Result<(), Reply> {
        let as_app = path == "/app" || path.starts_with("/app/") || path.ends_with("/installation");
        let no_json_web_token = || Reply::error(401, "A JSON web token could not be decoded", Value::Null);
        match self {
            Self::App(_) if as_app => Ok(()),
            Self::App(_) => Err(Reply::error(401, "Bad credentials", Value::Null)),
            Self::Account | Self::Access | Self::Installation { .. } if as_app => Err(no_json_web_token()),
            Self::Installation { .. } if path.starts_with("/user") && !self.may("GET", path) => {
                Err(self.forbidden("GET", path))
            }
            Self::Account | Self::Access | Self::Installation { .. } => Ok(()),
        }
    }

    /// May it make this call of a repository that the path names?
    pub(crate) fn admits(&self, repo: &Repository, call: &Call) -> Result<(), Reply> {
        if !self.sees(repo) {
            return Err(Reply::not_found());
        }
        if self.may(&call.method, &call.path) {
            Ok(())
        } else {
            Err(self.forbidden(&call.method, &call.path))
        }
    }
}

impl Call {
    /// Is it an account's that may push?
    pub(crate) fn is_pusher(&self, repo: &Repository) -> bool {
        matches!(self.pass, Pass::Account) && repo.may_push(self)
    }
}
