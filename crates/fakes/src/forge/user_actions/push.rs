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

    /// Adds a ruleset rule of this kind for a branch, such as `required_signatures`. Pushes are still
    /// accepted.
    pub async fn add_rule(&self, branch: &str, kind: &str) -> Result<(), FakeError> {
        let (branch, kind) = (branch.to_owned(), kind.to_owned());
        self.with_repository(move |_, repo| {
            repo.branch_rules.entry(branch).or_default().insert(kind);
            Ok(())
        })
        .await
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
