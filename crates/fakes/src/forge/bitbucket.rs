//! Both kinds of Bitbucket. `cloud` and `data_center` use the same state, but the paths and bodies of their
//! requests differ. `pull_comments` handles the comments of a pull request, `participants` the reviewers and
//! their verdicts, `edits` the changes of a pull request, and `commits` the data of commits.

pub(crate) mod cloud;
mod commits;
pub(crate) mod data_center;
mod edits;
mod participants;
pub(crate) mod permissions;
mod pull_comments;

use crate::forge::state::{ForgeInstance, StoredRepository};

/// Maximum length of a comment, in characters. Bitbucket rejects comments of 32,768 or more characters.
pub(crate) const MAX_COMMENT_CHARS: usize = 32_767;

/// Returns true if this account may see the repository. Every account with a token may see the repository,
/// unless a test has removed the permission.
fn may_read(repo: &StoredRepository, login: &str) -> bool {
    repo.roles.get(login).is_none_or(|role| role != "none")
}

/// Returns true if this account may push, and change pull requests of other users.
fn may_write(repo: &StoredRepository, login: &str) -> bool {
    ["admin", "write"].contains(&repo.permission(login).0)
}

/// Returns true if the account belongs to a token or a service, and false if it belongs to a person.
fn is_bot_account(login: &str) -> bool {
    login.ends_with("[bot]")
}

/// Returns the number of an account; 0 if the account does not exist.
fn account_number(forge: &ForgeInstance, login: &str) -> u64 {
    forge.accounts.get(login).copied().unwrap_or_default()
}

/// Returns the owner and the branch of a pull request's head. Returns no owner if the fork was deleted.
fn parse_head_ref<'a>(repo: &'a StoredRepository, head_ref: &'a str) -> (Option<(&'a str, u64)>, &'a str) {
    match head_ref.split_once(':') {
        Some((owner, branch)) => {
            let fork = repo.forks.get(owner).copied().flatten();
            (fork.map(|id| (owner, id)), branch)
        }
        None => (Some((repo.owner.as_str(), repo.id)), head_ref),
    }
}
