//! Both kinds of Bitbucket. `cloud` and `data_center` use the same state, but the addresses and bodies of
//! their calls differ. `talk` has the comments of a pull request, `participants` its reviewers and their
//! verdicts, `edits` its changes, `commits` the data of commits.

pub(crate) mod cloud;
mod commits;
pub(crate) mod data_center;
mod edits;
mod participants;
pub(crate) mod permissions;
mod talk;

use crate::forge::state::{ForgeInstance, StoredRepository};

/// Maximum length of a comment, in characters. Bitbucket rejects 32,768 and more.
pub(crate) const MAX_COMMENT: usize = 32_767;

/// Returns true if this account may see the repository. Every account with a token may see it, unless a test
/// has removed the permission.
fn may_read(repo: &StoredRepository, login: &str) -> bool {
    repo.permissions.get(login).is_none_or(|role| role != "none")
}

/// Returns true if this account may push and change what others opened.
fn may_write(repo: &StoredRepository, login: &str) -> bool {
    ["admin", "write"].contains(&repo.permission(login).0)
}

/// Returns true for the account of a token or a service, not of a person.
fn is_machine(login: &str) -> bool {
    login.ends_with("[bot]")
}

/// Returns the number of an account; zero for a missing one.
fn number_of(world: &ForgeInstance, login: &str) -> u64 {
    world.accounts.get(login).copied().unwrap_or_default()
}

/// Returns owner and branch of a pull request's head; no owner for a fork that is gone.
fn head_of<'a>(repo: &'a StoredRepository, head_ref: &'a str) -> (Option<(&'a str, u64)>, &'a str) {
    match head_ref.split_once(':') {
        Some((owner, branch)) => {
            let fork = repo.forks.get(owner).copied().flatten();
            (fork.map(|id| (owner, id)), branch)
        }
        None => (Some((repo.owner.as_str(), repo.id)), head_ref),
    }
}
