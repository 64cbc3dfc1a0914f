//! Previews the start of a server: which repositories and open pull requests the sweep would find, and which
//! pull requests it would mark. Reads from the forges and the store, and writes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Serialize;
use truing_core::id::TimeSpan;
use truing_core::port::{ForgeError, KnownRepository, OpenPull, RecordStore, StoreError};
use truing_core::slot::SlotState;
use truing_forge::listing::{CachedListing, RepositoryListing};
use truing_forge::{AnyForgeServer, ForgeServer as _};

use super::share::{AssumedQuota, CallUsage};
use super::turn::{self, SlotMarkAction};
use super::{ForgeHealth, is_the_forges};
use crate::context::ServiceContext;

/// Largest number of requests to one forge. The sweep's share of the forge's rate limit applies as well.
const MAX_PREVIEW_CALLS: u64 = 500;

/// The preview of one forge.
#[derive(Clone, PartialEq, Eq, Serialize, Debug)]
pub struct ForgePreview {
    /// Name of the forge, the `NAME` of `[forge.NAME]`.
    pub name: String,
    /// The name of a [`ForgeHealth`].
    pub state: &'static str,
    /// The error of the forge. If the forge is up, the reason why the token's repositories cannot be listed.
    pub problem: Option<String>,
    /// False if not everything was read, because the limit of requests was reached or the forge failed.
    pub is_complete: bool,
    /// Number of repositories that the token can see but the setting `repositories` does not admit.
    pub not_admitted: usize,
    /// The numbers of pull requests, over all repositories.
    #[serde(flatten)]
    pub pulls: PullCounts,
    /// The repositories that the sweep would read, in the forge's order.
    pub repositories: Vec<RepositoryPreview>,
}

/// The preview of one repository.
#[derive(Clone, PartialEq, Eq, Serialize, Debug)]
pub struct RepositoryPreview {
    /// Name of the repository, `owner/name`.
    pub name: String,
    /// The reason why the repository's pull requests cannot be listed.
    pub problem: Option<String>,
    /// The numbers of the repository's pull requests.
    #[serde(flatten)]
    pub pulls: PullCounts,
}

/// Numbers of open pull requests, by the action that a start would take. Each pull request is part of the
/// total, and of one further number.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Debug, Default)]
pub struct PullCounts {
    /// Number of all open pull requests.
    pub open_pull_requests: usize,
    /// Number of pull requests that would be reviewed.
    pub will_be_reviewed: usize,
    /// Number of pull requests that are skipped until they change, because they were open when the server
    /// first saw their repository.
    pub left_until_changed: usize,
    /// Number of pull requests that would not be marked, because the records contain their present state.
    pub already_known: usize,
    /// Number of drafts, which are reviewed when they are ready.
    pub drafts: usize,
}

impl PullCounts {
    fn add(&mut self, other: Self) {
        self.open_pull_requests += other.open_pull_requests;
        self.will_be_reviewed += other.will_be_reviewed;
        self.left_until_changed += other.left_until_changed;
        self.already_known += other.already_known;
        self.drafts += other.drafts;
    }
}

/// A repository to preview.
struct ListedRepository {
    id: String,
    name: String,
    onboarded: bool,
}

/// The requests to one forge that the preview may still send.
struct CallBudget {
    remaining: u64,
    call_usage: CallUsage,
    assumed_quota: Option<AssumedQuota>,
}

impl CallBudget {
    fn allowed_calls(&mut self, context: &ServiceContext, server: &AnyForgeServer) -> u64 {
        let now = context.clock.now();
        self.call_usage.allowed_calls(server.quota(), self.assumed_quota, now).min(self.remaining)
    }

    fn use_up(&mut self, calls: u64) {
        self.call_usage.use_up(calls);
        self.remaining = self.remaining.saturating_sub(calls);
    }
}

impl ServiceContext {
    /// Returns the preview of each forge. `records` is `None` if no records exist yet. `sweep_interval` is
    /// the interval of the sweep. The number of requests depends on this interval if a forge does not report
    /// its remaining calls.
    ///
    /// # Errors
    /// [`StoreError`] if the records cannot be read.
    #[truing_core::boxed_future]
    pub async fn preview(
        &self,
        records: Option<&dyn RecordStore>,
        sweep_interval: Duration,
    ) -> Result<Vec<ForgePreview>, StoreError> {
        let every = TimeSpan(i64::try_from(sweep_interval.as_millis()).unwrap_or(i64::MAX));
        let mut forges = Vec::new();
        for (name, server) in self.forges.servers() {
            let assumed_quota = AssumedQuota::from_hourly_rate(server.capability().max_calls_per_hour, every);
            let calls =
                CallBudget { remaining: MAX_PREVIEW_CALLS, call_usage: CallUsage::default(), assumed_quota };
            let found = ForgePreview {
                name: name.clone(),
                state: ForgeHealth::Up.as_str(),
                problem: None,
                is_complete: true,
                not_admitted: 0,
                pulls: PullCounts::default(),
                repositories: Vec::new(),
            };
            let mut preview = PreviewRun { context: self, records, server, calls, preview: found };
            preview.preview_forge().await?;
            forges.push(preview.preview);
        }
        Ok(forges)
    }
}

/// A preview of one forge in progress.
struct PreviewRun<'a> {
    context: &'a ServiceContext,
    records: Option<&'a dyn RecordStore>,
    server: &'a AnyForgeServer,
    calls: CallBudget,
    preview: ForgePreview,
}

impl PreviewRun<'_> {
    async fn preview_forge(&mut self) -> Result<(), StoreError> {
        let mut list = RepositoryListing::default();
        let mut calls = self.calls.allowed_calls(self.context, self.server);
        let before = calls;
        let listed = self.server.refresh_repositories(&mut list, &mut calls).await;
        self.calls.use_up(before - calls);
        if let Err(error) = &listed {
            if is_the_forges(error) {
                self.record_forge_failure(error);
                return Ok(());
            }
            self.preview.problem = Some(format!(
                "the repositories cannot be listed, so only repositories that webhooks have reported \
                are swept: {error}"
            ));
        }
        self.preview.is_complete = listed.is_err() || list.is_complete();
        let known = match self.records {
            Some(records) => records.repositories(&self.preview.name).await?,
            None => Vec::new(),
        };
        for repository in self.admitted_repositories(&list, known).await {
            if !self.preview_repository(&repository).await? {
                break;
            }
        }
        Ok(())
    }

    /// Returns the repositories that a sweep would read. Repositories in the token's list are first, then
    /// further repositories in the records.
    async fn admitted_repositories(
        &mut self,
        list: &RepositoryListing,
        known_repositories: Vec<KnownRepository>,
    ) -> Vec<ListedRepository> {
        let mut known_repositories: BTreeMap<String, KnownRepository> =
            known_repositories.into_iter().map(|repository| (repository.id.clone(), repository)).collect();
        let (mut admitted, mut ids) = (Vec::new(), BTreeSet::new());
        for seen in list.items().filter(|seen| !seen.archived) {
            if !self.context.repository_filter.admits_repository(&self.preview.name, &seen.name) {
                self.preview.not_admitted += 1;
            } else if ids.insert(seen.id.clone()) {
                let onboarded = known_repositories
                    .get(&seen.id)
                    .is_some_and(|known_repositories| known_repositories.onboarded);
                admitted.push(ListedRepository { id: seen.id.clone(), name: seen.name.clone(), onboarded });
            }
        }
        known_repositories.retain(|id, repository| repository.missing_since.is_none() && !ids.contains(id));
        for (id, KnownRepository { name, onboarded, .. }) in known_repositories {
            if !self.context.repository_filter.admits_repository(&self.preview.name, &name) {
                continue;
            }
            if self.calls.allowed_calls(self.context, self.server) == 0 {
                self.preview.is_complete = false;
                break;
            }
            self.calls.use_up(1);
            match self.server.repository_by_id(&id).await {
                Ok(seen)
                    if seen.archived
                        || !self
                            .context
                            .repository_filter
                            .admits_repository(&self.preview.name, &seen.name) => {}
                Ok(seen) => admitted.push(ListedRepository { id, name: seen.name, onboarded }),
                Err(ForgeError::NotFound { .. }) => {}
                Err(error) => self.record_unreadable(name, &error),
            }
        }
        admitted
    }

    /// Previews one repository. Returns false if no further repository can be previewed.
    async fn preview_repository(&mut self, repository: &ListedRepository) -> Result<bool, StoreError> {
        let mut calls = self.calls.allowed_calls(self.context, self.server);
        if calls == 0 {
            self.preview.is_complete = false;
            return Ok(false);
        }
        let before = calls;
        let mut list = CachedListing::default();
        let listed = self.server.refresh_open_pulls(&repository.name, &mut list, &mut calls).await;
        self.calls.use_up(before - calls);
        match listed {
            Ok(()) => {}
            Err(error) if is_the_forges(&error) => {
                self.record_forge_failure(&error);
                return Ok(false);
            }
            Err(error) => {
                self.record_unreadable(repository.name.clone(), &error);
                return Ok(true);
            }
        }
        self.preview.is_complete &= list.is_complete();
        let open: Vec<&OpenPull> = list.items().collect();
        let pulls = self.count_pulls(repository, &open).await?;
        self.preview.pulls.add(pulls);
        self.preview.repositories.push(RepositoryPreview {
            name: repository.name.clone(),
            problem: None,
            pulls,
        });
        Ok(true)
    }

    /// Counts the open pull requests of a repository by the action that a start would take.
    async fn count_pulls(
        &self,
        repository: &ListedRepository,
        open_pulls: &[&OpenPull],
    ) -> Result<PullCounts, StoreError> {
        let keys: Vec<_> = open_pulls
            .iter()
            .map(|pull| turn::slot_key(&self.preview.name, &repository.id, pull.number))
            .collect();
        let known = match self.records {
            Some(records) => turn::load_known_pulls(records, &keys).await?,
            None => keys.into_iter().map(turn::unrecorded_pull).map(Some).collect(),
        };
        let leaves = !repository.onboarded && self.context.repository_filter.skips_existing_pulls();
        let mut counts = PullCounts { open_pull_requests: open_pulls.len(), ..PullCounts::default() };
        for (pull, known) in open_pulls.iter().zip(known) {
            let Some((slot, reviews)) = known else {
                counts.already_known += 1;
                continue;
            };
            let is_due = match slot.state {
                SlotState::Waiting { .. } | SlotState::Leased { .. } => true,
                SlotState::Idle | SlotState::Held { .. } => {
                    turn::pull_mark_action(&slot, pull, &reviews) != SlotMarkAction::NoMark
                }
            };
            if leaves && slot.version.0 == 0 {
                counts.left_until_changed += 1;
            } else if !is_due {
                counts.already_known += 1;
            } else if pull.draft {
                counts.drafts += 1;
            } else {
                counts.will_be_reviewed += 1;
            }
        }
        Ok(counts)
    }

    /// Records that a repository cannot be previewed.
    fn record_unreadable(&mut self, name: String, error: &ForgeError) {
        let (problem, pulls) = (Some(error.to_string()), PullCounts::default());
        self.preview.repositories.push(RepositoryPreview { name, problem, pulls });
    }

    /// Records an error of the forge as a whole, not of a single repository.
    fn record_forge_failure(&mut self, error: &ForgeError) {
        self.preview.is_complete = false;
        self.preview.problem = Some(error.to_string());
        let health = match error {
            ForgeError::Unauthorized { .. } => ForgeHealth::TokenRefused,
            ForgeError::RateLimited { .. } => ForgeHealth::Up,
            ForgeError::Unavailable { .. }
            | ForgeError::Forbidden { .. }
            | ForgeError::NotFound { .. }
            | ForgeError::Moved { .. }
            | ForgeError::Rejected { .. }
            | ForgeError::Stale { .. }
            | ForgeError::Halted(_) => ForgeHealth::Unreachable,
        };
        self.preview.state = health.as_str();
    }
}
