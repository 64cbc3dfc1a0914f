//! Both Bitbuckets: `cloud` and `data_center` share no address and no body. What they share is the state of
//! it all: `talk` are the comments of a pull request, `participants` who reviews it and how, `edits` how it
//! is changed, `commits` what hangs on commits.

pub(crate) mod cloud;
mod commits;
pub(crate) mod data_center;
mod edits;
mod participants;
pub(crate) mod permissions;
mod talk;

use crate::forge::state::{ForgeInstance, StoredRepository};

/// Longest comment, in characters (facts: 32,768 and more is refused).
pub(crate) const MAX_COMMENT: usize = 32_767;

/// May this account see the repository? Whoever has a token may, unless a test has taken that away.
fn may_read(repo: &StoredRepository, login: &str) -> bool {
    repo.permissions.get(login).is_none_or(|role| role != "none")
}

/// May this account push, and change what others opened?
fn may_write(repo: &StoredRepository, login: &str) -> bool {
    ["admin", "write"].contains(&repo.permission(login).0)
}

/// Is it an account of a token or a service, and no person's?
fn is_machine(login: &str) -> bool {
    login.ends_with("[bot]")
}

/// The number of an account; zero for one that is not there.
fn number_of(world: &ForgeInstance, login: &str) -> u64 {
    world.accounts.get(login).copied().unwrap_or_default()
}

/// Owner and branch of a pull request's head; the owner of a fork that is gone is none.
fn head_of<'a>(repo: &'a StoredRepository, head_ref: &'a str) -> (Option<(&'a str, u64)>, &'a str) {
    match head_ref.split_once(':') {
        Some((owner, branch)) => {
            let fork = repo.forks.get(owner).copied().flatten();
            (fork.map(|id| (owner, id)), branch)
        }
        None => (Some((repo.owner.as_str(), repo.id)), head_ref),
    }
}
