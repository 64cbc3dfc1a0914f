//! Functions with which a test renames, deletes or blocks repositories, and sets limits and roles.

use crate::forge::FakeForge;
use crate::forge::error::FakeError;
use crate::forge::state::access::RepositoryAccess;
use crate::forge::user_actions::{FakeRepo, run_blocking};

impl FakeForge {
    /// Sets the primary rate limit: the number of calls per hour of the forge's clock. From now on, the forge
    /// rejects calls that exceed the limit.
    pub fn set_rate_limit(&self, calls_per_hour: u64) {
        let world = &mut self.shared.lock().forge;
        world.primary_rate_limit = Some(calls_per_hour);
        world.hour_and_call_count = (world.now().div_euclid(3600), 0);
    }

    /// Renames an account, which keeps its id. Another account can then get the old name. Comments and roles
    /// of the old name do not move to the new name.
    pub fn rename_account(&self, login: &str, new_login: &str) {
        let world = &mut self.shared.lock().forge;
        world.ensure_account(login);
        if let Some(id) = world.accounts.remove(login) {
            world.accounts.insert(new_login.to_owned(), id);
        }
    }

    /// Closes an account. After this, Bitbucket Cloud reports the account as closed, and rejects lists of
    /// reviewers that contain the account.
    pub fn close_account(&self, login: &str) {
        let world = &mut self.shared.lock().forge;
        world.ensure_account(login);
        world.closed_accounts.insert(login.to_owned());
    }

    /// Sets the secondary rate limit: the number of comments and reviews that may be created per minute of
    /// the forge's clock. Calls that exceed the limit are rejected with the time to wait. GitHub's limit is
    /// 80. By default, the fake has no secondary limit.
    pub fn set_creation_limit(&self, max_per_minute: usize) {
        self.shared.lock().forge.secondary_rate_limit = Some((max_per_minute, Default::default()));
    }
}

impl FakeRepo {
    /// Renames the repository, or moves it to another owner. The old name redirects to the repository until
    /// another repository gets this name.
    pub async fn rename(&self, owner: &str, name: &str) -> Result<Self, FakeError> {
        let new = self.with_name(owner, name);
        let (from, to) = (self.key.clone(), new.key.clone());
        let (owner, name) = (owner.to_owned(), name.to_owned());
        run_blocking(&self.shared, move |shared| {
            let state = &mut *shared.lock();
            if state.repos.contains_key(&to) {
                return Err(FakeError::Refused(format!("the repository {to} already exists")));
            }
            let mut repo =
                state.repos.remove(&from).ok_or_else(|| FakeError::Missing(format!("repository {from}")))?;
            state.forge.ensure_account(&owner);
            (repo.owner, repo.name) = (owner, name);
            state.renamed_repositories.insert(from, repo.id);
            state.renamed_repositories.remove(&to);
            state.repos.insert(to, repo);
            Ok(())
        })
        .await?;
        Ok(new)
    }

    /// Deletes the repository; another repository can then get its name.
    pub async fn delete(&self) -> Result<(), FakeError> {
        let key = self.key.clone();
        run_blocking(&self.shared, move |shared| {
            let removed = shared.lock().repos.remove(&key);
            removed.map(drop).ok_or_else(|| FakeError::Missing(format!("repository {key}")))
        })
        .await
    }

    /// Sets how the repository answers calls.
    pub async fn set_access(&self, access: RepositoryAccess) -> Result<(), FakeError> {
        self.with_repository(move |_, repo| {
            repo.access = access;
            Ok(())
        })
        .await
    }

    /// Includes this repository in lists of the caller's repositories, or removes it from them.
    pub async fn set_listed(&self, listed: bool) -> Result<(), FakeError> {
        self.with_repository(move |_, repo| {
            repo.is_listed = listed;
            Ok(())
        })
        .await
    }

    /// Assigns a role to an account: `admin`, `maintain`, `write`, `triage`, `read`, `none`.
    pub async fn set_role(&self, login: &str, role: &str) -> Result<(), FakeError> {
        let (login, role) = (login.to_owned(), role.to_owned());
        self.with_repository(move |world, repo| {
            world.ensure_account(&login);
            repo.roles.insert(login, role);
            Ok(())
        })
        .await
    }
}
