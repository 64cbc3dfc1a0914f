//! Runs the jobs of a server. A job runs at the times of its cron pattern, and when a run was requested or
//! left unfinished. Jobs run one at a time. Both the server and the command run a job by [`JobRun`].

use futures_util::future::BoxFuture;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use croner::Cron;
use jiff::{Timestamp, tz::TimeZone};
use tokio::sync::watch;
use truing_core::id::UnixMillis;
use truing_core::port::{Clock as _, RecordStore, StoreError};
use truing_core::run::RunOutcome;
use truing_core::slot::{LoopKind, Slot, SlotState};
use truing_core::switch::RepositoryRef;
use truing_core::sync::job;
use truing_core::sync::record::SyncRecord;
use truing_loops::machine::SystemClock;
use truing_loops::review::RunCounter as _;
use truing_loops::step_stop_reason::StepStopReason;

use super::jobs::JobRun;
use super::manual_lease::LeaseError;
use super::metrics::ServiceMetrics;
use super::run_failure::RunFailure;

/// First delay in milliseconds before a job that could not begin is tried again. The delay doubles after each
/// failure.
pub(super) const FIRST_RETRY_DELAY_MS: i64 = 5 * 60 * 1000;
/// Longest delay in milliseconds before a job that could not begin is tried again.
const MAX_RETRY_DELAY_MS: i64 = 24 * 60 * 60 * 1000;

/// The jobs of a server that have a cron pattern.
#[derive(Debug)]
pub struct JobScheduler<'a> {
    /// For each job, the context of its runs and its cron pattern.
    jobs: Vec<(JobRun<'a>, Cron)>,
    /// Time at which the server started.
    started_at: UnixMillis,
    /// Wait of each job that could not begin: its end, and its length in milliseconds.
    retry_waits: BTreeMap<String, (UnixMillis, i64)>,
}

impl<'a> JobScheduler<'a> {
    /// Creates a calendar of the jobs that have a valid cron pattern. Other jobs are left out.
    pub fn new(jobs: Vec<JobRun<'a>>) -> Self {
        let with_pattern = |run: JobRun<'a>| {
            let cron = run.job.config.cron.as_deref()?.parse().ok()?;
            Some((run, cron))
        };
        let jobs = jobs.into_iter().filter_map(with_pattern).collect();
        Self { jobs, started_at: SystemClock.now(), retry_waits: BTreeMap::new() }
    }

    /// Runs the due jobs until a stop is requested. Checks for due jobs once per period `every`.
    pub fn run(
        mut self,
        store: &'a Arc<dyn RecordStore>,
        metrics: &'a ServiceMetrics,
        check_period: Duration,
        mut stop: watch::Receiver<bool>,
    ) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            if self.jobs.is_empty() {
                return;
            }
            loop {
                if let Err(error) = self.run_due_jobs(store, metrics, &stop).await {
                    tracing::warn!(%error, "could not read the jobs");
                }
                tokio::select! {
                    () = tokio::time::sleep(check_period) => {}
                    _ = stop.wait_for(|stop| *stop) => return,
                }
            }
        })
    }

    async fn run_due_jobs(
        &mut self,
        store: &Arc<dyn RecordStore>,
        metrics: &ServiceMetrics,
        stop: &watch::Receiver<bool>,
    ) -> Result<(), StoreError> {
        for (run, cron) in &self.jobs {
            let switches = store.kill_switches().await?;
            if *stop.borrow() || switches.global_switch.engagement().is_some() {
                return Ok(());
            }
            if switches.switch_for(&RepositoryRef::from_name(run.repo)).is_some() {
                continue;
            }
            let key = job::job_key(run.job.name);
            let now = SystemClock.now();
            let waits = self.retry_waits.get(run.job.name).copied();
            if waits.is_some_and(|(until, _)| until > now) {
                continue;
            }
            let slot = store.load_slots(std::slice::from_ref(&key)).await?.pop();
            let last = store.job_records(&key, 1).await?.pop();
            if !is_due(slot.as_ref(), last.as_ref(), cron, self.started_at, now) {
                continue;
            }
            match run.run(store, stop.clone()).await {
                Ok(record) => {
                    self.retry_waits.remove(run.job.name);
                    metrics.count_run(LoopKind::Sync.as_str(), record.detail.result.run_outcome().as_str());
                    metrics.record_run_usage(LoopKind::Sync, record.cost(), record.denied_tool_calls());
                    tracing::info!(
                        job = run.job.name,
                        result = record.detail.result.as_str(),
                        "{}",
                        record.detail.exit_reason
                    );
                }
                // These errors are not failures of the job: a command is running the job, a kill switch is
                // on, or the server stops.
                Err(
                    RunFailure::NotLeased(
                        LeaseError::Leased(_) | LeaseError::OwnedByOtherLoop | LeaseError::KillSwitchOn,
                    )
                    | RunFailure::StepStopped(StepStopReason::Interrupted),
                ) => {}
                // The kill switch was found by the repository's id, which is known only after a request to
                // the forge. The job therefore waits before it asks the forge again.
                Err(RunFailure::StepStopped(StepStopReason::Halted)) => {
                    self.retry_waits.insert(
                        run.job.name.to_owned(),
                        (UnixMillis(now.0.saturating_add(FIRST_RETRY_DELAY_MS)), FIRST_RETRY_DELAY_MS),
                    );
                }
                Err(error) => {
                    if let RunFailure::Remote(_) = &error {
                        metrics.count_run(LoopKind::Sync.as_str(), RunOutcome::Failed.as_str());
                    }
                    tracing::warn!(job = run.job.name, %error, "could not start the job");
                    let long = waits.map_or(FIRST_RETRY_DELAY_MS, |(_, long)| {
                        long.saturating_mul(2).min(MAX_RETRY_DELAY_MS)
                    });
                    self.retry_waits
                        .insert(run.job.name.to_owned(), (UnixMillis(now.0.saturating_add(long)), long));
                }
            }
        }
        Ok(())
    }
}

/// Returns true if a run of the job was requested or left unfinished, or if the cron pattern had a time since
/// the last run.
fn is_due(
    slot: Option<&Slot>,
    last_run: Option<&SyncRecord>,
    cron: &Cron,
    started_at: UnixMillis,
    now: UnixMillis,
) -> bool {
    match slot.map(|slot| &slot.state) {
        Some(SlotState::Waiting { due_at: at, .. }) if *at <= now => return true,
        // The holder of an expired lease has exited. The next run takes the expired lease over.
        Some(SlotState::Leased { deadline, .. }) => return *deadline <= now,
        Some(SlotState::Held { .. }) => return false,
        Some(SlotState::Waiting { .. } | SlotState::Idle) | None => {}
    }
    let since = last_run.map_or(started_at, |record| record.started_at);
    next_run_time(cron, since).is_some_and(|next| next <= now)
}

/// Returns the first time, in UTC, that matches a cron pattern after the given time.
pub fn next_run_time(cron: &Cron, after: UnixMillis) -> Option<UnixMillis> {
    let after = Timestamp::from_millisecond(after.0).ok()?.to_zoned(TimeZone::UTC);
    let next = cron.find_next_occurrence(&after, false).ok()?;
    Some(UnixMillis(next.timestamp().as_millisecond()))
}

#[cfg(test)]
mod tests {
    use truing_core::slot::WaitReason;

    use super::*;

    fn parse_time(text: &str) -> UnixMillis {
        UnixMillis(text.parse::<Timestamp>().unwrap().as_millisecond())
    }

    #[test]
    fn a_pattern_is_in_utc_and_its_time_comes_once() {
        let weekly: Cron = "0 10 * * MON".parse().unwrap();
        assert_eq!(
            next_run_time(&weekly, parse_time("2026-11-21T12:00:00Z")),
            Some(parse_time("2026-11-23T10:00:00Z"))
        );
        assert_eq!(
            next_run_time(&weekly, parse_time("2026-11-23T10:00:00Z")),
            Some(parse_time("2026-11-30T10:00:00Z"))
        );
        let never: Cron = "0 0 31 2 *".parse().unwrap();
        assert_eq!(next_run_time(&never, parse_time("2026-11-21T12:00:00Z")), None);
    }

    #[test]
    fn a_job_is_due_by_its_time_or_if_somebody_left_it() {
        let daily: Cron = "0 10 * * *".parse().unwrap();
        let began = parse_time("2026-11-21T09:00:00Z");
        let due = |slot: Option<&Slot>, now: &str| is_due(slot, None, &daily, began, parse_time(now));
        assert!(
            !due(None, "2026-11-21T09:59:59Z"),
            "what it missed before it was ever run is not made up for"
        );
        assert!(due(None, "2026-11-21T10:00:00Z"));
        let mut slot = Slot::new(job::job_key("demo"));
        assert!(!due(Some(&slot), "2026-11-21T09:30:00Z"));
        slot.state =
            SlotState::Waiting { due_at: parse_time("2026-11-21T09:10:00Z"), reason: WaitReason::Backoff };
        assert!(due(Some(&slot), "2026-11-21T09:30:00Z"));
        assert!(!due(Some(&slot), "2026-11-21T09:05:00Z"));
    }
}
