//! One run of a job that follows a package, on the store that a server may be serving: the slot of the job is leased, the
//! run keeps the lease alive, and its end frees the slot.

use std::path::Path;
use std::time::Duration;

use opentelemetry::trace::FutureExt as _;
use tokio::sync::watch;
use truing_agent::verify::Verifier;
use truing_config::sync::JobConfig;
use truing_core::follow::breaker::End;
use truing_core::follow::job;
use truing_core::follow::record::{Evidence, Record, Result as Outcome, Step, Taken};
use truing_core::id::{Millis, PrId, Token};
use truing_core::money::MicroUsd;
use truing_core::port::{
    Clock as _, Described, Event, Ids as _, Jobs as _, Records as _, RunRef, StoreError, Writer, read_only,
};
use truing_core::publish::Producer;
use truing_core::slot::{Command, Limits, Loop, Refused, Then, Why};
use truing_forge::effects::Effects;
use truing_forge::github::{GitHub, RemoteError};
use truing_git::{Git, Remote};
use truing_loops::checkout;
use truing_loops::machine::{SystemClock, UniqueIds};
use truing_loops::reader::ChildReader;
use truing_loops::slots::{StepError, step};
use truing_loops::sync::port::Porter;
use truing_loops::sync::run::Following;
use truing_loops::telemetry;
use truing_loops::versions;
use truing_loops::write_gate::StoreGate;
use truing_store::Sqlite;
use truing_upstream::archives::Archives;
use truing_upstream::index::Index;

use super::by_hand::{self, NotLeased};
use super::calendar::AGAIN;
use super::switch::KillSwitch;
use super::worker;

/// A job with all that a run of it needs.
#[derive(Debug)]
pub struct JobRun<'a> {
    /// Its name.
    pub name: &'a str,
    /// What it follows.
    pub job: &'a JobConfig,
    /// The project's repository, `owner/name`.
    pub repo: &'a str,
    /// The forge that it is at.
    pub forge: &'a GitHub,
    /// Git.
    pub git: &'a Git,
    /// Where mirrors are.
    pub mirrors: &'a Path,
    /// The package's index.
    pub index: &'a Index,
    /// Where archives are kept.
    pub archives: &'a Archives,
    /// Who reads them.
    pub reader: &'a ChildReader,
    /// Who ports code; none: nobody.
    pub porter: Option<&'a Porter>,
    /// What runs lock commands; none: the job has none.
    pub locker: Option<&'a Verifier>,
    /// What runs the project's own checks; none: none are configured.
    pub verifier: Option<&'a Verifier>,
    /// The limits of slots.
    pub limits: &'a Limits,
    /// How often the lease is renewed.
    pub heartbeat: Duration,
    /// Write nothing at the forge?
    pub dry_run: bool,
}

/// Why there is no record of a run.
#[derive(Debug, thiserror::Error)]
pub enum NoRun {
    /// Somebody else runs it.
    #[error(transparent)]
    NotLeased(#[from] NotLeased),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The repository cannot be had.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// The lease was lost: somebody else has taken over.
    #[error("somebody else has taken it over")]
    Lost,
    /// It was told to stop. Nothing counts as failed.
    #[error("it was told to stop")]
    Stopped,
}

impl From<StepError> for NoRun {
    fn from(error: StepError) -> Self {
        Self::NotLeased(NotLeased::Step(error))
    }
}

impl JobRun<'_> {
    /// Leases the job's slot, runs it, and frees the slot. The record, whatever the run came to.
    ///
    /// # Errors
    /// [`NoRun`]; of a run that did not come to its repository there is a record all the same.
    pub async fn run(&self, store: &Sqlite, give_back: watch::Receiver<bool>) -> Result<Record, NoRun> {
        let key = job::key(self.name);
        let lease = by_hand::lease(store, &key, Loop::Sync, self.limits).await?;
        let token = lease.token;
        let run = RunRef { id: UniqueIds.run(), key, token };
        let began = SystemClock.now();
        // What runs for it ends with it.
        let trace = telemetry::sync(&run.id, &run.key, self.repo, (self.name, &self.job.package));
        let (id, remote) = match self.repository().await {
            Ok(found) => found,
            Err(error) => {
                telemetry::failed(&trace, &error.to_string());
                let ended = self.unreached(store, &run, began, &error).await?;
                // A server tries again soon: the next time of the pattern may be a week away.
                let soon = Then::DueAt(Millis(ended.0.saturating_add(AGAIN)), Why::Backoff);
                let then = if self.job.cron.is_some() { soon } else { Then::Idle };
                self.free(store, &run, token, then).await?;
                return Err(error.into());
            }
        };
        let gate = if self.dry_run { read_only() } else { StoreGate::of_run(store, &run.key, token) };
        let hub = self.forge.hub(&id, self.repo, Producer::Sync, &gate);
        let switch = KillSwitch::default();
        let place = PrId { forge: self.job.forge.clone(), repository: id.clone(), number: 0 };
        let effects = Effects {
            forge: &self.forge.conversation(&place, self.repo, Producer::Sync, &gate),
            log: store,
            gate: &gate,
            clock: &SystemClock,
            writer: Writer { key: run.key.clone(), producer: Producer::Sync, token: Some(token) },
        };
        let following = Following {
            name: self.name,
            job: self.job,
            run: &run,
            hub: &hub,
            effects,
            gate: &switch.gate(store, &SystemClock),
            git: self.git,
            mirror: &checkout::mirror(self.mirrors, &place),
            remote: &remote,
            index: self.index,
            archives: self.archives,
            reader: self.reader,
            porter: self.porter,
            locker: self.locker,
            verifier: self.verifier,
            dry_run: self.dry_run,
        };
        tracing::info!(key = %run.key, token = token.0, "leased");
        let page = remote.url().trim_end_matches(".git").to_owned();
        let named = Described { name: run.key.to_string(), url: page, head: None };
        store.describe(&[(run.key.clone(), named)]).await?;
        let ended = tokio::select! {
            // Whoever has lost the lease to a token that the slots have forgotten has it still, and gives it back below.
            ended = Box::pin(following.run()).with_context(trace.clone()) => match ended {
                Err(StoreError::Fenced { .. }) => Err(NoRun::Lost),
                ended => ended.map_err(NoRun::from),
            },
            () = worker::lost(store, &lease, self.limits, self.heartbeat) => {
                telemetry::failed(&trace, &NoRun::Lost.to_string());
                return Err(NoRun::Lost);
            }
            () = worker::told(give_back) => {
                self.given_back(store, &run).await?;
                Err(NoRun::Stopped)
            }
        };
        match &ended {
            Ok((record, _)) => telemetry::synced(&trace, record),
            Err(error) => telemetry::failed(&trace, &error.to_string()),
        }
        drop(trace);
        if let Ok((record, _)) = &ended {
            let why = record.exit_reason.lines().next().unwrap_or_default();
            let what = format!("{}: {why}", record.result.as_str().replace('_', " "));
            let event = Event { at: record.ended, key: run.key.clone(), run: Some(run.id.clone()), what };
            store.note(&[event]).await?;
        }
        // Only a server serves what is due.
        let again = ended.as_ref().ok().and_then(|(_, again)| *again).filter(|_| self.job.cron.is_some());
        let then = again.map_or(Then::Idle, |until| Then::DueAt(until, Why::Settling));
        self.free(store, &run, token, then).await?;
        ended.map(|(record, _)| record)
    }

    /// The repository's id, and where to push to.
    async fn repository(&self) -> Result<(String, Remote), RemoteError> {
        let id = self.forge.repository(self.repo).await?.id;
        let remote = self.forge.push_remote(&id, self.repo).await?;
        Ok((id, remote))
    }

    /// Remembers a run that did not come to its repository: one that fails so for weeks must not look as if it never ran.
    /// It says nothing of its target, and while the forge is not there nobody could be asked to close the breaker again.
    async fn unreached(
        &self,
        store: &Sqlite,
        run: &RunRef,
        began: Millis,
        error: &RemoteError,
    ) -> Result<Millis, StoreError> {
        let mut job = store.begin_job(run).await?;
        let ended = SystemClock.now();
        job.breaker.lost(self.job.breaker, ended);
        let ms = u64::try_from(ended.0.saturating_sub(began.0)).unwrap_or_default();
        let detect = Taken { id: Step::Detect, turns: 0, tokens: 0, cost_micro_usd: MicroUsd(0), ms };
        let record = Record {
            run: run.id.clone(),
            job: self.name.to_owned(),
            result: Outcome::Failed,
            exit_reason: error.to_string(),
            update_type: None,
            package: self.job.package.clone(),
            from: None,
            to: None,
            highest_step: Step::Detect,
            steps: vec![detect],
            carried_micro_usd: truing_core::money::MicroUsd(0),
            pull: None,
            question: job.question.as_ref().and_then(|question| question.url.clone()),
            model: None,
            prompt_hash: None,
            evidence: Evidence::default(),
            versions: versions(),
            started: began,
            ended,
        };
        store.end_job(run, &job, &record).await?;
        Ok(ended)
    }

    /// A run that was told to stop says nothing of its target.
    async fn given_back(&self, store: &Sqlite, run: &RunRef) -> Result<(), StoreError> {
        let mut job = store.begin_job(run).await?;
        job.breaker.ended(End::GivenBack, self.job.breaker, SystemClock.now());
        store.keep_job(run, &job).await
    }

    async fn free(&self, store: &Sqlite, run: &RunRef, token: Token, then: Then) -> Result<(), NoRun> {
        match step(store, &run.key, Command::Finish(token, then), self.limits).await {
            Ok(_) | Err(StepError::Refused(Refused::LeaseLost)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
