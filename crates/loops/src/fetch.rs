//! Fetches the commits of a pull request from the target repository. If only a fork has the head, the head is
//! fetched from the fork.

use std::slice;

use truing_core::id::Sha;
use truing_core::port::HeadRepository;
use truing_forge::remote::{RemoteError, RemotePurpose};
use truing_forge::{AnyForgeServer, ForgeServer as _};
use truing_git::{GitError, Mirror};

/// Fetches the head of a pull request, and the commits `other_commits`, from the target repository of the
/// mirror. If only a fork contains the head, the head is fetched from the fork with the same login, into the
/// same mirror.
///
/// # Errors
/// [`GitError::ForkUnreadable`] if the head's fork no longer exists or the login may not read it; otherwise
/// the errors of [`Mirror::fetch`].
#[truing_core::boxed_future]
pub async fn fetch_commits(
    server: &AnyForgeServer,
    mirror: &Mirror,
    head: &Sha,
    repository: Option<&HeadRepository>,
    other_commits: &[Sha],
) -> Result<(), GitError> {
    let Some(fork) = repository.filter(|repository| repository.is_only_source) else {
        return mirror.fetch(&[other_commits, slice::from_ref(head)].concat()).await;
    };
    if !other_commits.is_empty() {
        mirror.fetch(other_commits).await?;
    }
    let unreadable = |reason: String| GitError::ForkUnreadable { fork: fork.name.clone(), reason };
    let remote = server.resolve_remote(&fork.id, &fork.name, RemotePurpose::Fetch).await.map_err(
        |error| match error {
            RemoteError::Forge(error) => unreadable(error.to_string()),
            RemoteError::Git(error) => error,
        },
    )?;
    match mirror.with_remote(&remote).fetch(slice::from_ref(head)).await {
        Err(error @ (GitError::Unauthorized { .. } | GitError::RemoteMissing { .. })) => {
            Err(unreadable(error.to_string()))
        }
        fetched => fetched,
    }
}
