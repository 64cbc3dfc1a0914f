//! Commits in GitHub's format.

use serde_json::{Value, json};

use crate::forge::github::json::format_time;
use crate::forge::state::{ForgeInstance, StoredRepository};
use crate::repo::{CommitObject, FakeCommitIdentity};

impl ForgeInstance {
    /// Returns a commit (`commit`).
    pub(crate) fn commit_json(&self, repo: &StoredRepository, commit: &CommitObject) -> Value {
        let (base, name, sha) = (&self.base_url, repo.full_name(), &commit.sha);
        let api = format!("{base}/repos/{name}");
        let is_verified = repo.verified_commits.contains(sha);
        let signed = |identity: &FakeCommitIdentity| {
            json!({"name": identity.name, "email": identity.email,
            "date": format_time(identity.timestamp)})
        };
        let parents = commit.parents.iter().map(|parent| {
            json!({
                "sha": parent, "url": format!("{api}/commits/{parent}"),
                "html_url": format!("{base}/{name}/commit/{parent}"),
            })
        });
        json!({
            "url": format!("{api}/commits/{sha}"), "sha": sha,
            "node_id": format!("C_kwDO{}", sha.get(..20).unwrap_or_default()),
            "html_url": format!("{base}/{name}/commit/{sha}"),
            "comments_url": format!("{api}/commits/{sha}/comments"),
            "commit": {
                "url": format!("{api}/git/commits/{sha}"), "author": signed(&commit.author),
                "committer": signed(&commit.committer), "message": commit.message, "comment_count": 0,
                "tree": {"sha": commit.tree, "url": format!("{api}/git/trees/{}", commit.tree)},
                "verification": {
                    "verified": is_verified, "reason": if is_verified { "valid" } else { "unsigned" },
                    "signature": null, "payload": null,
                    "verified_at": null,
                },
            },
            "author": self.commit_account_json(&commit.author),
            "committer": self.commit_account_json(&commit.committer),
            "parents": parents.collect::<Vec<_>>(),
        })
    }

    /// Returns the account that an e-mail address belongs to: `LOGIN@…`, or GitHub's form `ID+LOGIN@…`.
    /// Returns null if no account has the address. No account has an address with a space before the `@`.
    fn commit_account_json(&self, identity: &FakeCommitIdentity) -> Value {
        let login = identity.email.split('@').next().unwrap_or_default();
        let login = login.split_once('+').map_or(login, |(_, login)| login);
        let is_login = !login.contains(char::is_whitespace);
        if is_login && self.accounts.contains_key(login) { self.user_json(login) } else { Value::Null }
    }
}
