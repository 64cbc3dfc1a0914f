//! One run that converges on a pull request, on the store that a server may be serving: the pull request's slot is leased,
//! the run keeps the lease alive, and its end frees the slot. So no review and no other run is at work there meanwhile.

use std::path::Path;
use std::time::Duration;

use tokio::sync::watch;
use truing_core::converge::record::Record;
use truing_core::converge::{Code, Exit, Run};
use truing_core::id::{PrId, Sha};
use truing_core::port::{
    Clock as _, Converges as _, Conversation, Described, Event, ForgeError, Ids as _, PullNow, Records as _,
    StoreError,
};
use truing_core::publish::Producer;
use truing_core::slot::{Command, Limits, Loop, Refused, Then};
use truing_forge::github::{GitHub, RemoteError};
use truing_git::{Git, GitError, Mirror};
use truing_store::Sqlite;

use super::by_hand::{self, NotLeased};
use super::scheduler::Lease;
use super::worker;
use crate::config::converge::ConvergeConfig;
use crate::loops::converge::pull::{self, Pull};
use crate::loops::converge::pursue::Told;
use crate::loops::converge::{Crew, Lap};
use crate::loops::versions;
use crate::slots::{StepError, step};
use crate::wiring::{self, SystemClock, UniqueIds};

/// A pull request, and all that a run on it needs.
#[derive(Debug)]
pub struct PullRun<'a> {
    /// `owner/name`.
    pub repo: &'a str,
    /// The number that people see.
    pub number: u64,
    /// What the forge is called in the configuration, and its client.
    pub forge: (&'a str, &'a GitHub),
    /// Git.
    pub git: &'a Git,
    /// Where mirrors are.
    pub mirrors: &'a Path,
    /// Who works.
    pub crew: &'a Crew,
    /// How it is configured.
    pub config: &'a ConvergeConfig,
    /// The limits of slots.
    pub limits: &'a Limits,
    /// How often the lease is renewed.
    pub heartbeat: Duration,
}

/// Why there is no record of a run.
#[derive(Debug, thiserror::Error)]
pub enum NoPullRun {
    /// Somebody else is at work on it.
    #[error(transparent)]
    NotLeased(#[from] NotLeased),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The forge.
    #[error(transparent)]
    Forge(#[from] ForgeError),
    /// The repository cannot be had.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// Git.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The lease was lost: somebody else has taken over.
    #[error("somebody else has taken it over")]
    Lost,
}

impl From<StepError> for NoPullRun {
    fn from(error: StepError) -> Self {
        Self::NotLeased(NotLeased::Step(error))
    }
}

/// What a run works on.
struct Ground {
    mirror: Mirror,
    /// The id and the name of the repository that the branch is in.
    home: (String, String),
    now: PullNow,
    base: Sha,
}

impl PullRun<'_> {
    /// Leases the slot, goes on with the run that was interrupted or begins one, and frees the slot. The record, and where
    /// its commits are. `told`: what people are told while it goes on.
    ///
    /// # Errors
    /// [`NoPullRun`]
    pub async fn run(
        &self,
        store: &Sqlite,
        give_back: watch::Receiver<bool>,
        told: impl AsyncFn(&Mirror, &Record, Told<'_>),
    ) -> Result<(Record, Mirror), NoPullRun> {
        let (name, forge) = self.forge;
        let repository = forge.repository(self.repo).await?.id;
        let id = PrId { forge: name.to_owned(), repository, number: self.number };
        let talk = forge.conversation(&id, self.repo, Producer::Converge);
        let now = talk.now().await?;
        let key = id.key();
        let called = format!("{}#{}", self.repo, self.number);
        let described = Described { name: called.clone(), url: now.url.clone(), head: None };
        store.describe(&[(key.clone(), described)]).await?;
        let lease = by_hand::lease(store, &key, Loop::Converge, self.limits).await?;
        tracing::info!(%key, token = lease.token.0, "leased");
        let ended = Box::pin(self.leased(store, &lease, (&id, &talk), (called, now), give_back, told)).await;
        match step(store, &key, Command::Finish(lease.token, Then::Idle), self.limits).await {
            Ok(_) | Err(StepError::Refused(Refused::LeaseLost)) => {}
            Err(error) => return Err(error.into()),
        }
        ended
    }

    async fn leased<C: Conversation>(
        &self,
        store: &Sqlite,
        lease: &Lease,
        (id, talk): (&PrId, &C),
        (called, now): (String, PullNow),
        give_back: watch::Receiver<bool>,
        told: impl AsyncFn(&Mirror, &Record, Told<'_>),
    ) -> Result<(Record, Mirror), NoPullRun> {
        let Ground { mirror, home, now, base } = self.ground(id, now).await?;
        let mut record = self.record(store, lease, &mirror, (called, &now, base)).await?;
        if record.state.exit.is_none() && now.head.push == Some(false) {
            let why = format!(
                "{} cannot be pushed to: its author does not let maintainers edit it",
                now.head.branch
            );
            record.state.exit = Some(Exit::new(Code::ReadOnly, why));
        }
        let site = Pull {
            talk,
            mirror: &mirror,
            forge: self.forge.1,
            home: (&home.0, &home.1),
            onto: &now.base_branch,
            event: self.config.event,
            resolves: self.config.resolve_threads,
            calls: pull::called(self.config),
        };
        let mut lap = Lap {
            site: &site,
            mirror: &mirror,
            crew: self.crew,
            config: self.config,
            repository: Some(self.repo),
            record,
            baseline: None,
            taken: Default::default(),
        };
        let tell = async |record: &Record, what: Told<'_>| told(&mirror, record, what).await;
        let work = async {
            lap.pursue(store, lease.token, tell).await?;
            lap.describe().await;
            Ok::<(), StoreError>(())
        };
        let stopped = tokio::select! {
            ended = work => { ended?; false }
            () = worker::lost(store, lease, self.limits, self.heartbeat) => return Err(NoPullRun::Lost),
            () = worker::told(give_back) => true,
        };
        let mut record = lap.record;
        record.ended = SystemClock.now();
        let interrupted = || {
            let why = "interrupted: run it again, it goes on where it was";
            Some(Exit::new(Code::Interrupted, why))
        };
        if stopped && record.state.exit.is_none() {
            record.state.exit = interrupted();
        }
        store.keep_converge(lease.token, &record).await?;
        if stopped {
            // What our audit has cleared stays cleared; the caller is told all the same.
            record.state.exit = interrupted();
        }
        if let Some(exit) = &record.state.exit {
            let what = format!("converge: {}: {}", exit.kind().as_str(), exit.reason);
            let run = Some(record.run.clone());
            store.note(&[Event { at: record.ended, key: lease.key.clone(), run, what }]).await?;
        }
        Ok((record, mirror))
    }

    /// The commits, and where the branch is that fixes are pushed to.
    async fn ground(&self, id: &PrId, now: PullNow) -> Result<Ground, NoPullRun> {
        let (_, forge) = self.forge;
        let theirs = forge.push_remote(&id.repository, self.repo).await?;
        let home = match now.head.repository.as_ref().filter(|head| !head.is_same) {
            Some(fork) => (fork.id.clone(), fork.name.clone()),
            None => (id.repository.clone(), self.repo.to_owned()),
        };
        let mirror = self.git.mirror(&wiring::mirror(self.mirrors, id), &theirs).await?;
        let base = pull::base(&mirror, (&now.base_branch, &now.base), &now.head.sha).await?;
        Ok(Ground { mirror, home, now, base })
    }

    /// The run that was interrupted, or a new one.
    async fn record(
        &self,
        store: &Sqlite,
        lease: &Lease,
        mirror: &Mirror,
        (called, now, base): (String, &PullNow, Sha),
    ) -> Result<Record, NoPullRun> {
        let last = store.last_converge(&lease.key).await?;
        let limits = self.config.limits.clone();
        if let Some(last) = last.as_ref().filter(|last| last.is_unfinished() && last.base == base) {
            let mut record = last.clone();
            record.state.resume();
            record.state.limits = limits;
            return Ok(record);
        }
        // What we found clean, as we remember it: a review that says so may be forged.
        let clean = last.as_ref().filter(|last| {
            let exit = last.state.exit.as_ref();
            last.base == base
                && exit.is_some_and(|exit| matches!(exit.code, Code::Clean | Code::AlreadyClean))
        });
        let head = now.head.sha.clone();
        let tree = mirror.tree_of(&head).await?;
        let described = last.as_ref().and_then(|last| last.described.clone());
        let state = Run::begin(limits, (head, tree), clean.map(|last| &last.state.head));
        let began = SystemClock.now();
        Ok(Record {
            run: UniqueIds.run(),
            key: lease.key.clone(),
            name: called,
            branch: now.head.branch.clone(),
            base,
            state,
            readiness: None,
            is_pursued: false,
            wakes: Default::default(),
            described,
            taken: Default::default(),
            model: None,
            prompt_hash: None,
            warnings: Vec::new(),
            versions: versions(),
            started: began,
            ended: began,
        })
    }
}
