//! Rules for pushes, as a test sets them.

use crate::forge::error::FakeError;
use crate::forge::people::FakeRepo;

impl FakeRepo {
    /// Protects a branch: nobody may push to it. The default branch is protected always.
    pub async fn protect(&self, branch: &str) -> Result<(), FakeError> {
        let branch = branch.to_owned();
        self.with(move |_, repo| {
            repo.protected.insert(branch);
            Ok(())
        })
        .await
    }

    /// Lets a ruleset have a rule of this kind for a branch, such as `required_signatures`. Pushes are let
    /// through.
    pub async fn rule(&self, branch: &str, kind: &str) -> Result<(), FakeError> {
        let (branch, kind) = (branch.to_owned(), kind.to_owned());
        self.with(move |_, repo| {
            repo.rules.entry(branch).or_default().insert(kind);
            Ok(())
        })
        .await
    }

    /// Has a hook decline the next push, in these words; once more each time that this is called.
    pub async fn decline(&self, words: &str) -> Result<(), FakeError> {
        let words = words.to_owned();
        self.with(move |_, repo| {
            repo.declines.push_back(words);
            Ok(())
        })
        .await
    }

    /// Lets a branch be pushed to again.
    pub async fn unprotect(&self, branch: &str) -> Result<(), FakeError> {
        let branch = branch.to_owned();
        self.with(move |_, repo| {
            repo.protected.remove(&branch);
            Ok(())
        })
        .await
    }
}
