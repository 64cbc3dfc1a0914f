//! Runs that converge on a pull request, whose slot they lease: by hand, or a step at a time by a worker of the service.
//! No review and no other run is at work there meanwhile, and what one began the other can go on with.

use std::path::Path;
use std::time::Duration;

use tokio::sync::watch;
use truing_core::converge::record::Record;
use truing_core::converge::{Code, Exit, Kind, Run};
use truing_core::id::{Key, PrId, Sha, Span, Topic};
use truing_core::markdown;
use truing_core::port::{
    Clock as _, Converges, Conversation, Described, Event, ForgeError, Ids as _, PullNow, Records, Slots,
    StoreError,
};
use truing_core::publish::Producer;
use truing_core::slot::{Command, Limits, Loop, Refused, Then, Why};
use truing_forge::github::{GitHub, RemoteError};
use truing_git::{Git, GitError, Mirror};

use super::by_hand::{self, NotLeased};
use super::scheduler::Lease;
use super::worker;
use crate::config::converge::ConvergeConfig;
use crate::loops::converge::pull::{self, Pull};
use crate::loops::converge::{Crew, Lap, Left, Stint, Told, words};
use crate::loops::review::Stopped;
use crate::loops::versions;
use crate::slots::{StepError, step};
use crate::wiring::{self, SystemClock, UniqueIds};

/// The comment with the report of a served run: one a pull request.
const REPORT: &str = "converge/report";

/// What a service needs to converge.
#[derive(Debug)]
pub struct Converging {
    /// Who works.
    pub crew: Crew,
    /// How it is configured.
    pub config: ConvergeConfig,
}

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

impl NoPullRun {
    /// As a worker has it.
    fn stopped(self, settle: Span) -> Stopped {
        match self {
            Self::Store(error) => error.into(),
            Self::Forge(error) | Self::Remote(RemoteError::Forge(error)) => {
                Stopped::of(error, SystemClock.now(), settle)
            }
            Self::Git(error) | Self::Remote(RemoteError::Git(error)) => error.into(),
            Self::NotLeased(_) | Self::Lost => Stopped::Lost,
        }
    }
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
    /// Leases the slot, goes on with the run that was interrupted or begins one, until there is an end, and frees the slot.
    /// The record, and where its commits are. `say`: what people are told while it goes on.
    ///
    /// # Errors
    /// [`NoPullRun`]
    pub async fn by_hand<S: Slots + Records + Converges>(
        &self,
        store: &S,
        heartbeat: Duration,
        give_back: watch::Receiver<bool>,
        say: impl Fn(&str) + Sync,
    ) -> Result<(Record, Mirror), NoPullRun> {
        let (name, forge) = self.forge;
        let repository = forge.repository(self.repo).await?.id;
        let id = PrId { forge: name.to_owned(), repository, number: self.number };
        let talk = forge.conversation(&id, self.repo, Producer::Converge);
        let now = talk.now().await?;
        let key = id.key();
        let described = Described { name: self.called(), url: now.url.clone(), head: None };
        store.describe(&[(key.clone(), described)]).await?;
        let lease = by_hand::lease(store, &key, Loop::Converge, self.limits).await?;
        tracing::info!(%key, token = lease.token.0, "leased");
        let work = self.whole(store, &lease, (&id, &talk, now), give_back, say);
        let ended = tokio::select! {
            ended = Box::pin(work) => ended,
            () = worker::lost(store, &lease, self.limits, heartbeat) => return Err(NoPullRun::Lost),
        };
        match step(store, &key, Command::Finish(lease.token, Then::Idle), self.limits).await {
            Ok(_) | Err(StepError::Refused(Refused::LeaseLost)) => {}
            Err(error) => return Err(error.into()),
        }
        ended
    }

    /// All of a run. What is waited for is waited for here.
    async fn whole<S: Records + Converges, C: Conversation>(
        &self,
        store: &S,
        lease: &Lease,
        (id, talk, now): (&PrId, &C, PullNow),
        give_back: watch::Receiver<bool>,
        say: impl Fn(&str) + Sync,
    ) -> Result<(Record, Mirror), NoPullRun> {
        let ground = self.ground(id, now).await?;
        let record = self.record(store, &lease.key, &ground).await?;
        let site = self.site(talk, &ground);
        let mut lap = self.lap(&ground, &site, record, Stint::Whole);
        let work = async {
            let told = Timeline { store, mirror: &ground.mirror, say: &say };
            loop {
                let Left::Until(at, _, what) = lap.pursue(store, lease.token, &told).await? else { break };
                say(&format!("waiting: {what}"));
                let wait = u64::try_from((at - SystemClock.now()).0).unwrap_or(0);
                tokio::time::sleep(Duration::from_millis(wait)).await;
            }
            lap.describe().await;
            Ok::<(), StoreError>(())
        };
        let is_stopped = tokio::select! {
            ended = work => { ended?; false }
            () = worker::told(give_back) => true,
        };
        let mut record = lap.record;
        record.ended = SystemClock.now();
        let why = "interrupted: run it again, it goes on where it was";
        let interrupted = || Some(Exit::new(Code::Interrupted, why));
        if is_stopped && record.state.exit.is_none() {
            record.state.exit = interrupted();
        }
        store.keep_converge(lease.token, &record).await?;
        if is_stopped {
            // What our audit has cleared stays cleared; the caller is told all the same.
            record.state.exit = interrupted();
        }
        note_end(store, &record).await?;
        Ok((record, ground.mirror))
    }

    /// One step of a run under a worker's lease: goes on with the run that there is, or begins one. When it goes on, if it
    /// does; whoever stopped may be told why by a comment.
    ///
    /// # Errors
    /// [`Stopped`]
    pub async fn step<S: Records + Converges>(
        &self,
        store: &S,
        lease: &Lease,
        id: &PrId,
    ) -> Result<Then, Stopped> {
        let talk = self.forge.1.conversation(id, self.repo, Producer::Converge);
        let settle = talk.settle();
        let of = |error: ForgeError| Stopped::of(error, SystemClock.now(), settle);
        let now = talk.now().await.map_err(of)?;
        let ground = self.ground(id, now).await.map_err(|error| error.stopped(settle))?;
        let record = self.record(store, &lease.key, &ground).await.map_err(|error| error.stopped(settle))?;
        let site = self.site(&talk, &ground);
        let mut lap = self.lap(&ground, &site, record, Stint::Step);
        let told = Timeline { store, mirror: &ground.mirror, say: &|line: &str| tracing::info!("{line}") };
        let left = Box::pin(lap.pursue(store, lease.token, &told)).await?;
        if left == Left::Over {
            Box::pin(lap.describe()).await;
        }
        let mut record = lap.record;
        record.ended = SystemClock.now();
        store.keep_converge(lease.token, &record).await?;
        match left {
            Left::Between => return Ok(Then::DueAt(record.ended, Why::Step)),
            Left::Until(at, why, what) => {
                tracing::info!("waiting: {what}");
                return Ok(Then::DueAt(at, why));
            }
            Left::Over => {}
        }
        note_end(store, &record).await?;
        let Some(exit) = &record.state.exit else { return Ok(Then::Idle) };
        if exit.code == Code::Interrupted {
            return Err(Stopped::Halted);
        }
        if exit.code != Code::Infrastructure || lease.last_attempt {
            let body = report(&ground.mirror, &record).await?;
            talk.put_comment(&Topic::new(REPORT), &body).await.map_err(of)?;
        }
        if exit.code == Code::Infrastructure {
            let class = "what converges cannot work";
            return Err(Stopped::Failed { class, what: exit.reason.clone(), not_before: None });
        }
        Ok(Then::Idle)
    }

    /// What people call the pull request.
    fn called(&self) -> String {
        format!("{}#{}", self.repo, self.number)
    }

    fn site<'b, C>(&'b self, talk: &'b C, ground: &'b Ground) -> Pull<'b, C> {
        let head = &ground.now.head;
        Pull {
            talk,
            mirror: &ground.mirror,
            forge: self.forge.1,
            home: (&ground.home.0, &ground.home.1),
            onto: &ground.now.base_branch,
            event: self.config.event,
            resolves: self.config.resolve_threads,
            calls: pull::called(self.config),
            read_only: (head.push == Some(false)).then(|| {
                format!("{} cannot be pushed to: its author does not let maintainers edit it", head.branch)
            }),
        }
    }

    fn lap<'b, C>(
        &'b self,
        ground: &'b Ground,
        site: &'b Pull<'b, C>,
        record: Record,
        stint: Stint,
    ) -> Lap<'b, Pull<'b, C>> {
        Lap {
            site,
            mirror: &ground.mirror,
            crew: self.crew,
            config: self.config,
            repository: Some(self.repo),
            record,
            baseline: None,
            taken: Default::default(),
            stint,
            has_asked: false,
        }
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
    async fn record<S: Converges>(
        &self,
        store: &S,
        key: &Key,
        Ground { mirror, now, base, .. }: &Ground,
    ) -> Result<Record, NoPullRun> {
        let last = store.last_converge(key).await?;
        let limits = self.config.limits.clone();
        if let Some(last) = last.as_ref().filter(|last| last.is_unfinished() && last.base == *base) {
            let mut record = last.clone();
            record.state.resume();
            record.state.limits = limits;
            return Ok(record);
        }
        // What we found clean, as we remember it: a review that says so may be forged.
        let clean = last.as_ref().filter(|last| {
            let exit = last.state.exit.as_ref();
            last.base == *base
                && exit.is_some_and(|exit| matches!(exit.code, Code::Clean | Code::AlreadyClean))
        });
        let head = now.head.sha.clone();
        let tree = mirror.tree_of(&head).await?;
        let described = last.as_ref().and_then(|last| last.described.clone());
        let state = Run::begin(limits, (head, tree), clean.map(|last| &last.state.head));
        let began = SystemClock.now();
        Ok(Record {
            run: UniqueIds.run(),
            key: key.clone(),
            name: self.called(),
            branch: now.head.branch.clone(),
            base: base.clone(),
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

/// Tells what is new in the log of a run, a line each, and lets `truing why` tell it, too.
struct Timeline<'a, S, F> {
    store: &'a S,
    mirror: &'a Mirror,
    say: &'a F,
}

impl<S: Records, F: Fn(&str) + Sync> Told for Timeline<'_, S, F> {
    async fn grown(&self, record: &Record, before: usize) {
        // What cannot be told was done all the same.
        let lines = words::progress(self.mirror, record, before).await.unwrap_or_default();
        let events: Vec<Event> =
            lines.iter().map(|line| event(record, format!("converge: {line}"))).collect();
        lines.iter().for_each(|line| (self.say)(line));
        if !events.is_empty()
            && let Err(error) = self.store.note(&events).await
        {
            tracing::warn!(key = %record.key, %error, "steps are missing from the history");
        }
    }
}

fn event(record: &Record, what: String) -> Event {
    Event { at: SystemClock.now(), key: record.key.clone(), run: Some(record.run.clone()), what }
}

async fn note_end<S: Records>(store: &S, record: &Record) -> Result<(), StoreError> {
    let Some(exit) = &record.state.exit else { return Ok(()) };
    let what = format!("converge: {}: {}", exit.kind().as_str(), exit.reason);
    store.note(&[event(record, what)]).await
}

/// The report of a run as a comment. What models and people wrote in it is data.
async fn report(mirror: &Mirror, record: &Record) -> Result<String, GitError> {
    let exit = record.state.exit.as_ref();
    let kind = exit.map_or("unfinished", |exit| exit.kind().as_str());
    let again = match exit.map(Exit::kind) {
        Some(Kind::Converged) | None => "",
        Some(_) => "\n\nTo try it again, write `/converge`.",
    };
    let report = markdown::fence("text", &words::report(mirror, record).await?);
    Ok(format!("## /converge: {kind}\n\n{report}{again}"))
}
