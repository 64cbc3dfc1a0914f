//! When jobs run in a server: by their cron patterns, and again if one was asked for and nobody finished it. One at a
//! time; each by [`JobRun`], as the command runs it.

use futures_util::future::BoxFuture;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use croner::Cron;
use jiff::{Timestamp, tz::TimeZone};
use tokio::sync::watch;
use truing_core::id::Millis;
use truing_core::port::{Clock as _, RecordStore, StoreError};
use truing_core::run::End;
use truing_core::slot::{Loop, Slot, State};
use truing_core::switch::RepositoryRef;
use truing_core::sync::job;
use truing_core::sync::record::Record;
use truing_loops::machine::SystemClock;
use truing_loops::review::Counts as _;
use truing_loops::stopped::Stopped;

use super::by_hand::NotLeased;
use super::jobs::JobRun;
use super::metrics::Metrics;
use super::no_run::NoRun;

/// First wait of a job that could not begin, in milliseconds; doubled each time.
pub(super) const AGAIN: i64 = 5 * 60 * 1000;
/// Longest such wait.
const AGAIN_AT_MOST: i64 = 24 * 60 * 60 * 1000;

/// The jobs of a server.
#[derive(Debug)]
pub struct Calendar<'a> {
    /// Each with all that a run needs, and its pattern.
    jobs: Vec<(JobRun<'a>, Cron)>,
    /// When the server began.
    began: Millis,
    /// Jobs that could not begin: until when they wait, and how long that is.
    waiting: BTreeMap<String, (Millis, i64)>,
}

impl<'a> Calendar<'a> {
    /// Those jobs that have a pattern.
    pub fn new(jobs: Vec<JobRun<'a>>) -> Self {
        let with_pattern = |run: JobRun<'a>| {
            let cron = run.job.config.cron.as_deref()?.parse().ok()?;
            Some((run, cron))
        };
        let jobs = jobs.into_iter().filter_map(with_pattern).collect();
        Self { jobs, began: SystemClock.now(), waiting: BTreeMap::new() }
    }

    /// Runs what is due, looking every so often, until it is told to stop.
    pub fn run(
        mut self,
        (store, metrics): (&'a Arc<dyn RecordStore>, &'a Metrics),
        every: Duration,
        mut told: watch::Receiver<bool>,
    ) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            if self.jobs.is_empty() {
                return;
            }
            loop {
                if let Err(error) = self.round((store, metrics), &told).await {
                    tracing::warn!(%error, "the jobs cannot be looked at");
                }
                tokio::select! {
                    () = tokio::time::sleep(every) => {}
                    _ = told.wait_for(|told| *told) => return,
                }
            }
        })
    }

    async fn round(
        &mut self,
        (store, metrics): (&Arc<dyn RecordStore>, &Metrics),
        told: &watch::Receiver<bool>,
    ) -> Result<(), StoreError> {
        for (run, cron) in &self.jobs {
            let switches = store.switch().await?;
            if *told.borrow() || switches.all.engaged().is_some() {
                return Ok(());
            }
            if switches.at(&RepositoryRef::named(run.repo)).is_some() {
                continue;
            }
            let key = job::key(run.job.name);
            let now = SystemClock.now();
            let waits = self.waiting.get(run.job.name).copied();
            if waits.is_some_and(|(until, _)| until > now) {
                continue;
            }
            let slot = store.load(std::slice::from_ref(&key)).await?.pop();
            let last = store.job_records(&key, 1).await?.pop();
            if !is_due(slot.as_ref(), last.as_ref(), cron, (self.began, now)) {
                continue;
            }
            match run.run(store, told.clone()).await {
                Ok(record) => {
                    self.waiting.remove(run.job.name);
                    metrics.run_ended(Loop::Sync.as_str(), record.detail.result.end().as_str());
                    metrics.run_cost(Loop::Sync, record.cost());
                    tracing::info!(
                        job = run.job.name,
                        result = record.detail.result.as_str(),
                        "{}",
                        record.detail.exit_reason
                    );
                }
                // A command runs it.
                Err(
                    NoRun::NotLeased(NotLeased::Busy(_) | NotLeased::Owned | NotLeased::SwitchedOff)
                    | NoRun::Stopped(Stopped::Interrupted),
                ) => {}
                // The forge had to be asked which repository it is.
                Err(NoRun::Stopped(Stopped::Halted)) => {
                    self.waiting
                        .insert(run.job.name.to_owned(), (Millis(now.0.saturating_add(AGAIN)), AGAIN));
                }
                Err(error) => {
                    if let NoRun::Remote(_) = &error {
                        metrics.run_ended(Loop::Sync.as_str(), End::Failed.as_str());
                    }
                    tracing::warn!(job = run.job.name, %error, "the job could not begin");
                    let long = waits.map_or(AGAIN, |(_, long)| long.saturating_mul(2).min(AGAIN_AT_MOST));
                    self.waiting.insert(run.job.name.to_owned(), (Millis(now.0.saturating_add(long)), long));
                }
            }
        }
        Ok(())
    }
}

/// Is a job due? Somebody asked for a run that nobody finished, or its time came after its last run.
fn is_due(slot: Option<&Slot>, last: Option<&Record>, cron: &Cron, (began, now): (Millis, Millis)) -> bool {
    match slot.map(|slot| &slot.state) {
        Some(State::Waiting { at, .. }) if *at <= now => return true,
        // The lease of somebody who is dead by now: taking it over is what a run begins with.
        Some(State::Leased { deadline, .. }) => return *deadline <= now,
        Some(State::Held { .. }) => return false,
        Some(State::Waiting { .. } | State::Idle) | None => {}
    }
    let since = last.map_or(began, |record| record.started);
    next(cron, since).is_some_and(|next| next <= now)
}

/// The first time of a pattern after then, in UTC.
pub fn next(cron: &Cron, after: Millis) -> Option<Millis> {
    let after = Timestamp::from_millisecond(after.0).ok()?.to_zoned(TimeZone::UTC);
    let next = cron.find_next_occurrence(&after, false).ok()?;
    Some(Millis(next.timestamp().as_millisecond()))
}

#[cfg(test)]
mod tests {
    use truing_core::slot::Why;

    use super::*;

    fn at(text: &str) -> Millis {
        Millis(text.parse::<Timestamp>().unwrap().as_millisecond())
    }

    #[test]
    fn a_pattern_is_in_utc_and_its_time_comes_once() {
        let weekly: Cron = "0 10 * * MON".parse().unwrap();
        assert_eq!(next(&weekly, at("2026-11-21T12:00:00Z")), Some(at("2026-11-23T10:00:00Z")));
        assert_eq!(next(&weekly, at("2026-11-23T10:00:00Z")), Some(at("2026-11-30T10:00:00Z")));
        let never: Cron = "0 0 31 2 *".parse().unwrap();
        assert_eq!(next(&never, at("2026-11-21T12:00:00Z")), None);
    }

    #[test]
    fn a_job_is_due_by_its_time_or_if_somebody_left_it() {
        let daily: Cron = "0 10 * * *".parse().unwrap();
        let began = at("2026-11-21T09:00:00Z");
        let due = |slot: Option<&Slot>, now: &str| is_due(slot, None, &daily, (began, at(now)));
        assert!(
            !due(None, "2026-11-21T09:59:59Z"),
            "what it missed before it was ever run is not made up for"
        );
        assert!(due(None, "2026-11-21T10:00:00Z"));
        let mut slot = Slot::new(job::key("demo"));
        assert!(!due(Some(&slot), "2026-11-21T09:30:00Z"));
        slot.state = State::Waiting { at: at("2026-11-21T09:10:00Z"), why: Why::Backoff };
        assert!(due(Some(&slot), "2026-11-21T09:30:00Z"));
        assert!(!due(Some(&slot), "2026-11-21T09:05:00Z"));
    }
}
