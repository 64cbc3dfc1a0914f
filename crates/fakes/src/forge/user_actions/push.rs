//! Functions with which a test sets the rules that decide on pushes.

use crate::forge::error::FakeError;
use crate::forge::user_actions::FakeRepo;

impl FakeRepo {
    /// Protects a branch against every push. The default branch is always protected.
    pub async fn protect(&self, branch: &str) -> Result<(), FakeError> {
        let branch = branch.to_owned();
        self.with_repository(move |_, repo| {
            repo.protected_branches.insert(branch);
            Ok(())
        })
        .await
    }

    /// Adds a ruleset rule of this kind for a branch. `required_signatures` makes the forge refuse pushes
    /// with new commits that are not verified; other rules are only shown.
    pub async fn add_rule(&self, branch: &str, kind: &str) -> Result<(), FakeError> {
        let (branch, kind) = (branch.to_owned(), kind.to_owned());
        self.with_repository(move |_, repo| {
            repo.branch_rules.entry(branch).or_default().insert(kind);
            Ok(())
        })
        .await
    }

    /// Registers a public SSH key. Pushed commits with a signature of this key are verified.
    pub async fn register_signing_key(&self, public_key: &str) -> Result<(), FakeError> {
        let public_key = public_key.trim().to_owned();
        self.with_repository(move |_, repo| {
            repo.signing_keys.push(public_key);
            Ok(())
        })
        .await
    }

    /// Returns the names of all branches, in order.
    pub async fn branches(&self) -> Result<Vec<String>, FakeError> {
        self.with_repository(move |_, repo| {
            let branches =
                repo.git.refs("refs/heads/").filter_map(|(name, _)| name.strip_prefix("refs/heads/"));
            let mut branches: Vec<String> = branches.map(str::to_owned).collect();
            branches.sort();
            Ok(branches)
        })
        .await
    }

    /// Returns true if the forge calls the commit verified.
    pub async fn is_verified(&self, sha: &str) -> Result<bool, FakeError> {
        let sha = sha.to_owned();
        self.with_repository(move |_, repo| Ok(repo.verified_commits.contains(&sha))).await
    }

    /// Makes a hook reject the next push with this message. Each further call of this function rejects one
    /// more push.
    pub async fn decline_next_push(&self, message: &str) -> Result<(), FakeError> {
        let words = message.to_owned();
        self.with_repository(move |_, repo| {
            repo.push_rejection_messages.push_back(words);
            Ok(())
        })
        .await
    }

    /// Removes the protection of a branch.
    pub async fn unprotect(&self, branch: &str) -> Result<(), FakeError> {
        let branch = branch.to_owned();
        self.with_repository(move |_, repo| {
            repo.protected_branches.remove(&branch);
            Ok(())
        })
        .await
    }
}
