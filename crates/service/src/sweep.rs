//! Lists the open pull requests of all known repositories, and of all repositories that a forge lists for the
//! token. The sweep marks the changes and commands that no webhook reported. Webhooks may be lost, refused,
//! or sent while the server is down.
//!
//! The sweep works in rounds. In a round, one repository of each forge is swept at a time, within the sweep's
//! share of the rate limit. If the share is too small to finish a round within the configured interval, the
//! round takes longer. [`SweepResults`] contains the actual time between the last two sweeps of each
//! repository. A sweep that finds nothing new writes nothing.

pub mod preview;
mod share;
mod turn;

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use truing_core::id::{SlotKey, TimeSpan, UnixMillis};
use truing_core::port::{
    ForgeError, ForgeRepository, KnownRepository, OpenPull, PullComment, PullRevision, StoreError,
};
use truing_core::switch::{KillSwitches, RepositoryRef};
use truing_forge::listing::{CachedListing, RepositoryListing};
use truing_forge::{AnyForgeServer, ForgeServer as _};

use self::share::{AssumedQuota, CallUsage};
use super::context::ServiceContext;
use super::wall_clock_wait::WallClockWait;

/// Time between two lookups of a repository that no longer exists.
const MISSING_REPOSITORY_RECHECK: TimeSpan = TimeSpan::minutes(24 * 60);
/// Number of consecutive failed calls after which a forge counts as down.
const FAILURES_UNTIL_DOWN: u32 = 3;
/// The first wait for a forge that is down. Each further failure doubles the wait.
const INITIAL_RETRY_DELAY: TimeSpan = TimeSpan::minutes(1);
/// The longest wait for a forge that is down.
const MAX_RETRY_DELAY: TimeSpan = TimeSpan::minutes(10);

/// The results of the sweep, for the status and the metrics of a running server.
#[derive(Clone, Debug, Default)]
pub struct SweepResults(Arc<Mutex<SweepState>>);

#[derive(Debug, Default)]
struct SweepState {
    /// The last sweep of each repository, by forge and id.
    repositories: BTreeMap<(String, String), RepositorySweep>,
    forges: BTreeMap<String, ForgeHealth>,
    /// Number of repositories that the last round of a forge listed.
    listed_counts: BTreeMap<String, usize>,
}

/// The outcome of the sweep's last request to a forge.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ForgeHealth {
    /// The forge answered the last call.
    Up,
    /// The forge refuses the token.
    TokenRefused,
    /// The forge does not answer.
    Unreachable,
}

impl ForgeHealth {
    /// Returns the name of the outcome.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::TokenRefused => "token_refused",
            Self::Unreachable => "away",
        }
    }
}

/// The last sweep of a repository.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RepositorySweep {
    /// Name of the forge, the `NAME` of `[forge.NAME]`.
    pub forge: String,
    /// Name of the repository, `owner/name`.
    pub name: String,
    /// Time of the last sweep.
    pub swept_at: UnixMillis,
    /// Time between the last two sweeps; `None` after the first sweep.
    pub time_since_previous: Option<TimeSpan>,
    /// Number of open pull requests at the last sweep.
    pub open_pulls: usize,
}

impl SweepResults {
    /// Returns the last sweep of each repository since the service began, by forge and id.
    pub fn swept_repositories(&self) -> Vec<RepositorySweep> {
        self.state().repositories.values().cloned().collect()
    }

    /// Returns the result of the last call to a forge; `None` if this process has not called the forge.
    pub fn health(&self, forge: &str) -> Option<ForgeHealth> {
        self.state().forges.get(forge).copied()
    }

    /// Returns the number of repositories that a forge listed in the last round. Returns `None` before the
    /// first round.
    pub fn listed_count(&self, forge: &str) -> Option<usize> {
        self.state().listed_counts.get(forge).copied()
    }

    fn state(&self) -> MutexGuard<'_, SweepState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_health(&self, forge: &str, health: ForgeHealth) {
        self.state().forges.insert(forge.to_owned(), health);
    }

    fn record_sweep(&self, repository: &KnownRepository, open_pulls: usize, swept_at: UnixMillis) {
        let periods = &mut self.state().repositories;
        let key = (repository.forge.clone(), repository.id.clone());
        let period = periods.get(&key).map(|before| swept_at - before.swept_at);
        let (forge, name) = (repository.forge.clone(), repository.name.clone());
        periods
            .insert(key, RepositorySweep { forge, name, swept_at, time_since_previous: period, open_pulls });
    }

    /// Starts a round of a forge with the repositories `ids`, and removes the results of the forge's other
    /// repositories.
    fn start_round(&self, forge: &str, ids: &HashSet<&str>) {
        let mut state = self.state();
        state.repositories.retain(|(of, id), _| of != forge || ids.contains(id.as_str()));
        state.listed_counts.insert(forge.to_owned(), ids.len());
    }
}

/// The sweep rounds of all forges.
#[derive(Debug)]
pub struct ForgeSweeps {
    interval: TimeSpan,
    forges: BTreeMap<String, ForgeSweepRound>,
    /// True if the last access to the store failed.
    is_failing: bool,
}

/// The current round of one forge, and the state from earlier rounds.
#[derive(Debug, Default)]
struct ForgeSweepRound {
    /// Beginning of the current or last round, by the store's clock.
    started_at: Option<UnixMillis>,
    /// The wait until the next round.
    next_round_wait: Option<WallClockWait>,
    /// The repositories that are still to be swept in this round.
    queue: VecDeque<SweepTask>,
    /// A wait during which the sweep sends no requests to the forge.
    request_pause: Option<WallClockWait>,
    call_usage: CallUsage,
    /// True if the log already contains an entry that the sweep's share of the rate limit is used up.
    is_share_logged: bool,
    /// Number of consecutive failures. `is_down` is true if the log already contains an entry that the forge
    /// is down.
    failures: u32,
    is_down: bool,
    listing: RepositoryListing,
    /// True if the last attempt to list the token's repositories failed.
    unlisted: bool,
    repositories: HashMap<String, RepositorySnapshot>,
}

/// The turn of one repository in a round.
#[derive(Clone, Debug)]
struct SweepTask {
    repository: KnownRepository,
    /// The repository's entry in the token's list; `None` if the repository is not in the list.
    list_entry: Option<ForgeRepository>,
    /// True if an earlier turn of this repository in the same round failed.
    is_retry: bool,
}

/// The state of a repository that is kept between its turns.
#[derive(Debug, Default)]
struct RepositorySnapshot {
    pulls: CachedListing<OpenPull>,
    /// Comments of both kinds: on the pull request, and on the diff.
    comments: [CachedListing<PullComment>; 2],
    /// Held slots that the sweep has marked. The value is the revision at which a slot was marked; `None` for
    /// a pull request that is no longer listed, whether its slot was marked or must stay parked.
    woken_slots: HashMap<SlotKey, Option<PullRevision>>,
    /// Time of the last lookup, if the lookup did not find the repository.
    missing_checked_at: Option<UnixMillis>,
    /// True if the repository's last turn failed.
    is_failing: bool,
}

/// Reasons why a turn fails.
#[derive(Debug, thiserror::Error)]
enum SweepError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Forge(#[from] ForgeError),
}

/// Sweeps all forges. Never returns.
#[truing_core::boxed_future]
pub async fn run(context: Arc<ServiceContext>, sweep_interval: Duration, poll_interval: Duration) {
    let mut sweep = ForgeSweeps::new(sweep_interval);
    let mut poll = tokio::time::interval(poll_interval);
    poll.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        // During a round, each turn begins immediately after the previous turn.
        if !context.duty_lease_expiry.is_held() || !sweep.sweep_next(&context).await {
            poll.tick().await;
        }
    }
}

impl ForgeSweeps {
    /// Creates a sweep whose rounds begin at intervals of `interval`. The first round begins immediately.
    pub fn new(interval: Duration) -> Self {
        let interval = TimeSpan(i64::try_from(interval.as_millis()).unwrap_or(i64::MAX));
        Self { interval, forges: BTreeMap::new(), is_failing: false }
    }

    /// Sweeps the next repository of each forge, if a turn is due. Does nothing while the kill switch is on,
    /// and skips a repository whose own switch is on. When a switch is turned off, a round begins
    /// immediately. Returns true if another repository can be swept without a wait.
    #[truing_core::boxed_future]
    pub async fn sweep_next(&mut self, context: &ServiceContext) -> bool {
        let looked = self.sweep_if_due(context).await;
        if let (Err(error), false) = (&looked, self.is_failing) {
            tracing::error!(%error, "the sweep could not read or write the store");
        }
        self.is_failing = looked.is_err();
        looked.unwrap_or(false)
    }

    async fn sweep_if_due(&mut self, context: &ServiceContext) -> Result<bool, StoreError> {
        let switches = context.kill_switches().await;
        if switches.global_switch.engagement().is_some() {
            return Ok(false);
        }
        let wanted = context.store.sweep_request_time().await?;
        let (mut over, mut more) = (true, false);
        for (forge, server) in context.forges.servers() {
            let round = self.forges.entry(forge.clone()).or_default();
            let now = context.clock.now();
            if round.is_due(now, wanted) {
                round.start_round(context, forge, server, self.interval).await?;
            } else {
                round.go_on(context, &switches, server, self.interval).await?;
            }
            more |= !round.queue.is_empty() && round.request_pause.is_none();
            over &= round.queue.is_empty() && round.started_at.is_some_and(|began| Some(began) >= wanted);
        }
        if let (Some(wanted), true) = (wanted, over) {
            context.store.clear_sweep_request(wanted).await?;
        }
        Ok(more)
    }
}

impl ForgeSweepRound {
    fn is_due(&self, now: UnixMillis, requested_at: Option<UnixMillis>) -> bool {
        if self.request_pause.is_some_and(|pause| pause.is_active(now)) {
            return false;
        }
        let (Some(began), Some(period)) = (self.started_at, self.next_round_wait) else { return true };
        requested_at.is_some_and(|requested_at| began < requested_at)
            || (self.queue.is_empty() && !period.is_active(now))
    }

    /// Begins a round: collects the repositories of the forge. The repositories in the token's list are
    /// first, in the forge's order.
    async fn start_round(
        &mut self,
        context: &ServiceContext,
        forge: &str,
        server: &AnyForgeServer,
        sweep_interval: TimeSpan,
    ) -> Result<(), StoreError> {
        let now = context.clock.now();
        self.request_pause = None;
        let mut calls = self.allowed_calls(server, sweep_interval, now);
        if calls == 0 {
            self.run_short(forge, now);
            return Ok(());
        }
        let before = calls;
        let listed = server.refresh_repositories(&mut self.listing, &mut calls).await;
        self.call_usage.use_up(before - calls);
        match listed {
            Ok(()) => {
                self.record_success(forge, &context.sweep_results);
                self.unlisted = false;
            }
            Err(error) if is_the_forges(&error) => {
                // The failed request was for the list of repositories, so the forge as a whole fails. After a
                // single such failure, the forge counts as down.
                self.failures = self.failures.max(FAILURES_UNTIL_DOWN - 1);
                self.record_failure(forge, &error, &context.sweep_results, now);
                return Ok(());
            }
            // Without this list, the sweep still covers repositories that webhooks have reported.
            Err(error) if !self.unlisted => {
                tracing::warn!(forge, %error, "could not list the repositories: only repositories that \
                    webhooks have reported are swept");
                self.unlisted = true;
            }
            Err(_) => {}
        }
        let cursor = context.store.now().await?;
        let known = context.store.repositories(forge).await?;
        let mut known: BTreeMap<String, KnownRepository> =
            known.into_iter().map(|repository| (repository.id.clone(), repository)).collect();
        let wanted = |name: &str| context.repository_filter.admits_repository(forge, name);
        let mut queue = VecDeque::new();
        let mut names = HashSet::new();
        for seen in self.listing.items().filter(|seen| wanted(&seen.name)) {
            let (forge, id, name) = (forge.to_owned(), seen.id.clone(), seen.name.clone());
            let new = KnownRepository { forge, id, name, cursor, missing_since: None, onboarded: false };
            let repository = known.remove(&seen.id).unwrap_or(new);
            if names.insert(seen.id.clone()) {
                queue.push_back(SweepTask { repository, list_entry: Some(seen.clone()), is_retry: false });
            }
        }
        let others = known.into_values().filter(|one| {
            wanted(&one.name) && (one.missing_since.is_none() || self.may_be_back(&one.id, now))
        });
        queue.extend(others.map(|repository| SweepTask { repository, list_entry: None, is_retry: false }));
        let queued: HashSet<&str> = queue.iter().map(|task| task.repository.id.as_str()).collect();
        // The state of missing repositories is kept, because it contains the time of their last lookup.
        self.repositories.retain(|id, one| queued.contains(id.as_str()) || one.missing_checked_at.is_some());
        context.sweep_results.start_round(forge, &queued);
        // A sweep request is stored with the store's clock, which may be slightly ahead of the wall clock.
        // The later of both times is used here.
        self.started_at = Some(cursor.max(now));
        self.next_round_wait = Some(WallClockWait::new(now, sweep_interval));
        self.queue = queue;
        Ok(())
    }

    /// Returns true if a repository that no longer exists may be looked up again.
    fn may_be_back(&self, id: &str, now: UnixMillis) -> bool {
        let asked = self.repositories.get(id).and_then(|watched| watched.missing_checked_at);
        asked.is_none_or(|asked| now - asked >= MISSING_REPOSITORY_RECHECK)
    }

    /// Does the turn of the next repository.
    async fn go_on(
        &mut self,
        context: &ServiceContext,
        switches: &KillSwitches,
        server: &AnyForgeServer,
        sweep_interval: TimeSpan,
    ) -> Result<(), StoreError> {
        let now = context.clock.now();
        if self.request_pause.is_some_and(|pause| pause.is_active(now)) {
            return Ok(());
        }
        self.request_pause = None;
        let Some(mut task) = self.queue.front().cloned() else { return Ok(()) };
        let KnownRepository { forge, id, name, .. } = task.repository.clone();
        if switches.switch_for(&RepositoryRef::from_id(&forge, &id).with_name(&name)).is_some() {
            self.queue.pop_front();
            return Ok(());
        }
        let mut calls = self.allowed_calls(server, sweep_interval, now);
        if calls == 0 {
            self.run_short(&forge, now);
            return Ok(());
        }
        let before = calls;
        let watched = self.repositories.entry(task.repository.id.clone()).or_default();
        let turn = watched.sweep_repository(context, server, &mut task, &mut calls).await;
        self.call_usage.use_up(before - calls);
        let error = match turn {
            Ok(()) => {
                // If no calls are left, part of the repository may be unread. Even then, the next turn is for
                // the next repository.
                if calls == 0 {
                    self.run_short(&forge, now);
                } else {
                    self.is_share_logged = false;
                }
                self.queue.pop_front();
                self.record_success(&forge, &context.sweep_results);
                let mut open = 0;
                if let Some(watched) = self.repositories.get_mut(&task.repository.id) {
                    watched.mark_recovered(&task.repository);
                    open = watched.pulls.items().count();
                }
                context.sweep_results.record_sweep(&task.repository, open, now);
                return Ok(());
            }
            Err(SweepError::Store(error @ (StoreError::Unavailable(_) | StoreError::Fenced { .. }))) => {
                return Err(error);
            }
            // If the stored data of one repository is unreadable, the other repositories are still swept.
            Err(error @ (SweepError::Store(StoreError::Corrupt(_)) | SweepError::Forge(_))) => error,
        };
        self.queue.pop_front();
        match &error {
            SweepError::Forge(error) if is_the_forges(error) => {
                self.record_failure(&forge, error, &context.sweep_results, now);
                if self.request_pause.is_some() || !task.is_retry {
                    // The repository is retried after the turns of all other repositories.
                    self.queue.push_back(SweepTask { is_retry: true, ..task });
                    return Ok(());
                }
            }
            SweepError::Forge(_) => self.record_success(&forge, &context.sweep_results),
            SweepError::Store(_) => {}
        }
        if let Some(watched) = self.repositories.get_mut(&task.repository.id) {
            watched.record_failure(&task.repository, &error);
        }
        Ok(())
    }

    /// Returns the number of requests that the sweep may send now.
    fn allowed_calls(&mut self, server: &AnyForgeServer, sweep_interval: TimeSpan, now: UnixMillis) -> u64 {
        let untold = AssumedQuota::from_hourly_rate(server.capability().max_calls_per_hour, sweep_interval);
        self.call_usage.allowed_calls(server.quota(), untold, now)
    }

    /// Pauses the forge's round until the next window of the rate limit.
    fn run_short(&mut self, forge: &str, now: UnixMillis) {
        let wait = self.call_usage.renewal_time(now) - now;
        if !self.is_share_logged {
            let seconds = wait.0 / 1000;
            tracing::info!(
                forge,
                seconds,
                "the sweep's share of the rate limit is used up until the next window"
            );
        }
        self.is_share_logged = true;
        self.request_pause = Some(WallClockWait::new(now, wait));
    }

    /// Records a failed request whose cause is the forge as a whole.
    fn record_failure(&mut self, forge: &str, error: &ForgeError, results: &SweepResults, now: UnixMillis) {
        if let ForgeError::RateLimited { wait, .. } = error {
            tracing::debug!(forge, %error, "the sweep waits");
            self.request_pause = Some(WallClockWait::new(now, *wait));
            return;
        }
        self.failures = self.failures.saturating_add(1);
        let refused = matches!(error, ForgeError::Unauthorized { .. });
        if self.failures < FAILURES_UNTIL_DOWN && !refused {
            return; // the reason may be one repository
        }
        let times = self.failures.saturating_sub(FAILURES_UNTIL_DOWN).min(16);
        let wait = INITIAL_RETRY_DELAY.0.saturating_mul(1 << times).min(MAX_RETRY_DELAY.0);
        self.request_pause = Some(WallClockWait::new(now, TimeSpan(wait)));
        results.set_health(forge, if refused { ForgeHealth::TokenRefused } else { ForgeHealth::Unreachable });
        if !self.is_down {
            tracing::warn!(forge, %error, "could not sweep the forge; the sweep is retried from time to \
                time");
        }
        self.is_down = true;
    }

    /// Records that the forge has answered a request.
    fn record_success(&mut self, forge: &str, results: &SweepResults) {
        results.set_health(forge, ForgeHealth::Up);
        if self.is_down {
            tracing::info!(forge, "the forge can be swept again");
        }
        (self.failures, self.is_down) = (0, false);
    }
}

impl RepositorySnapshot {
    fn record_failure(&mut self, repository: &KnownRepository, error: &SweepError) {
        if !self.is_failing {
            tracing::warn!(repository = %repository.name, %error, "could not sweep a repository");
        }
        self.is_failing = true;
    }

    fn mark_recovered(&mut self, repository: &KnownRepository) {
        if self.is_failing {
            tracing::info!(repository = %repository.name, "the repository can be swept again");
        }
        self.is_failing = false;
    }
}

/// Returns true if the forge as a whole fails. Returns false if the forge refuses only this request.
fn is_the_forges(error: &ForgeError) -> bool {
    match error {
        ForgeError::Unauthorized { .. } | ForgeError::RateLimited { .. } | ForgeError::Unavailable { .. } => {
            true
        }
        ForgeError::Forbidden { .. }
        | ForgeError::NotFound { .. }
        | ForgeError::Moved { .. }
        | ForgeError::Rejected { .. }
        | ForgeError::Stale { .. }
        | ForgeError::Halted(_) => false,
    }
}
