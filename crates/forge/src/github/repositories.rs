//! Lists the repositories that our login can access. The login is a person, an installation, or an App with
//! all its installations.

use serde::Deserialize;
use truing_core::port::{ForgeError, ForgeRepository};
use url::Url;

use super::GitHub;
use super::address::append_segments;
use super::auth::TokenScope;
use super::server::{GitHubRepositoryBody, convert_repositories};
use super::session::paged_url;
use crate::http::ForgeResponse;
use crate::listing::{CachedListing, RepositoryListing};

/// Maximum number of pages of one list of repositories: 10,000 repositories.
const MAX_REPOSITORY_PAGES: usize = 100;
/// Maximum number of pages of an App's installations: 10,000 installations.
const MAX_INSTALLATION_PAGES: usize = 100;

/// The response with an installation's repositories: an object that contains the list.
#[derive(Deserialize)]
struct InstallationRepositories {
    repositories: Vec<GitHubRepositoryBody>,
}

#[derive(Deserialize)]
struct ListedInstallation {
    id: u64,
    /// Time of suspension; null while active. A suspended installation issues no tokens.
    suspended_at: Option<String>,
}

/// Returns the name of an installation's list: its number with leading zeros, which sorts the lists by
/// number.
fn installation_list_name(installation: u64) -> String {
    format!("{installation:020}")
}

impl GitHub {
    /// Lists the repositories that our login can access. For a GitHub App, these are the repositories that
    /// the App is installed for. For the token of an installation, these are the repositories of the
    /// installation. For a person, these are the repositories that the person owns, collaborates on or can
    /// access through an organization, most recently pushed first. Makes at most `calls_left` calls, and
    /// subtracts the number of calls made from `calls_left`.
    ///
    /// # Errors
    /// [`ForgeError`]; the pages that could be read are updated, and the other pages stay unchanged.
    pub(super) async fn list_repositories(
        &self,
        listing: &mut RepositoryListing,
        calls_left: &mut u64,
    ) -> Result<(), ForgeError> {
        let root = &self.inner.options.api_url;
        if self.app_id().is_none() {
            let list = listing.lists.entry(String::new()).or_default();
            if !self.inner.auth.is_identity_known() {
                *calls_left = calls_left.saturating_sub(1);
            }
            return if self.identity(TokenScope::App).await?.is_installation {
                self.list_installation(TokenScope::App, list, calls_left).await
            } else {
                let what = "listing the token's repositories";
                let url = paged_url(append_segments(root, ["user", "repos"]), &[("sort", "pushed")]);
                let read = |answer: &ForgeResponse| {
                    Ok(convert_repositories(answer.json::<Vec<GitHubRepositoryBody>>()?))
                };
                list.refresh(
                    |call| self.send_owned(TokenScope::App, call),
                    what,
                    url,
                    MAX_REPOSITORY_PAGES,
                    calls_left,
                    read,
                )
                .await
            };
        }
        let what = "listing the App's installations";
        let url = paged_url(append_segments(root, ["app", "installations"]), &[]);
        let read = |answer: &ForgeResponse| {
            let all = answer.json::<Vec<ListedInstallation>>()?.into_iter();
            Ok(all
                .filter(|one| one.suspended_at.is_none())
                .map(|one| installation_list_name(one.id))
                .collect())
        };
        let known = &mut listing.list_names;
        known
            .refresh(
                |call| self.send_owned(TokenScope::App, call),
                what,
                url,
                MAX_INSTALLATION_PAGES,
                calls_left,
                read,
            )
            .await?;
        let names: Vec<String> = known.items().cloned().collect();
        listing.lists.retain(|name, _| names.contains(name));
        let mut refused = Ok(());
        for name in names {
            let Ok(id) = name.parse() else { continue };
            let list = listing.lists.entry(name).or_default();
            match self.list_installation(TokenScope::Installation(id), list, calls_left).await {
                // If one installation rejects the request, the others are still read.
                Err(error @ (ForgeError::Forbidden { .. } | ForgeError::NotFound { .. })) => {
                    refused = Err(error);
                }
                listed => listed?,
            }
        }
        refused
    }

    async fn list_installation(
        &self,
        scope: TokenScope<'_>,
        list: &mut CachedListing<ForgeRepository>,
        calls_left: &mut u64,
    ) -> Result<(), ForgeError> {
        let what = "listing the installation's repositories";
        let url: Url =
            paged_url(append_segments(&self.inner.options.api_url, ["installation", "repositories"]), &[]);
        let read = |answer: &ForgeResponse| {
            Ok(convert_repositories(answer.json::<InstallationRepositories>()?.repositories))
        };
        list.refresh(|call| self.send_owned(scope, call), what, url, MAX_REPOSITORY_PAGES, calls_left, read)
            .await
    }
}
