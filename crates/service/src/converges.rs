//! Runs that converge on a pull request, whose slot they lease: by hand, or a step at a time by a worker of the service.
//! No review and no other run is at work there meanwhile, and what one began the other can go on with.

mod listener;
mod no_run;
mod progress;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use truing_config::Config;
use truing_config::converge::ConvergeConfig;
use truing_core::converge::record::Record;
use truing_core::converge::{Code, Exit, Kind, Run};
use truing_core::dismissal::Dismissal;
use truing_core::id::{Key, PrId, Sha, Token, Version};
use truing_core::markdown;
use truing_core::port::{
    Clock as _, Converges, Conversation as _, Described, Event, ForgeError, ForgeWrite as _, Ids as _,
    PullNow, Records, Slots, StoreError, WriteGate, Writer, read_only,
};
use truing_core::publish::Producer;
use truing_core::slot::{Command, Limits, Loop, Refused, State, Then, Why, Wish};
use truing_forge::effects::Effects;
use truing_forge::github::{GitHub, GitHubConversation};
use truing_git::{Git, GitError, Mirror};
use truing_loops::checkout::{self, Rules};
use truing_loops::converge::pull::{self, PullRequestWorkspace};
use truing_loops::converge::{Agents, Looks, Progress, RunMode, Runner, words};
use truing_loops::machine::{SystemClock, UniqueIds};
use truing_loops::review::Stopped;
use truing_loops::slots::{StepError, step};
use truing_loops::versions;
use truing_loops::write_gate::StoreGate;
use truing_store::Sqlite;

use super::by_hand::{self, NotLeased};
use super::scheduler::Lease;
use super::worker;

use listener::StopListener;
pub(super) use no_run::give_up;
pub use no_run::{NoPullRun, Unusable};
use no_run::{failed, reported, tell_given_up, unreported};
use progress::{AGAIN, Timeline, event, note_end, report};
pub use progress::{Ended, Said};

type LooksOf = dyn Fn(&Config) -> Result<Looks, Unusable> + Send + Sync;

type Writes<'a> = Effects<'a, GitHubConversation, Sqlite>;

/// What it takes to converge on pull requests.
pub struct Converging {
    /// Who works.
    pub agents: Agents,
    /// How the operator has configured it, and who else may.
    pub rules: Rules,
    /// Makes what a head is looked at with, of a configuration that the repository's own file has added to.
    pub looks: Box<LooksOf>,
}

impl fmt::Debug for Converging {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Converging")
            .field("agents", &self.agents)
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}

impl Converging {
    /// How it is configured.
    pub fn config(&self) -> &ConvergeConfig {
        &self.rules.operator().converge
    }
}

/// Why a run ends that a person has stopped.
const STOPPED: &str = "stopped by `/converge stop`: `/converge` resumes it";

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
    /// Who works, and how.
    pub converging: &'a Converging,
    /// The limits of slots.
    pub limits: &'a Limits,
}

/// What a run works on.
struct Ground {
    mirror: Mirror,
    /// The id and the name of the repository that the branch is in.
    home: (String, String),
    now: PullNow,
    base: Sha,
    looks: Looks,
}

impl PullRun<'_> {
    /// Leases the slot, goes on with an interrupted run or begins one until it ends, and frees the slot. `say`: the progress.
    ///
    /// # Errors
    /// [`NoPullRun`]
    pub async fn by_hand<S: Slots + Records + Converges>(
        &self,
        store: &S,
        heartbeat: Duration,
        give_back: watch::Receiver<bool>,
        say: impl Fn(Said<'_>) + Sync,
    ) -> Result<(Record, Mirror), NoPullRun> {
        let (name, forge) = self.forge;
        let repository = forge.repository(self.repo).await?.id;
        let id = PrId { forge: name.to_owned(), repository, number: self.number };
        let now = forge.conversation(&id, self.repo, Producer::Converge, &read_only()).now().await?;
        let key = id.key();
        let described = Described { name: self.called(), url: now.url.clone(), head: None };
        store.describe(&[(key.clone(), described)]).await?;
        let slots = store.load(std::slice::from_ref(&key)).await?;
        let is_served = slots.first().is_some_and(|slot| slot.owner == Some(Loop::Converge));
        // A review may be at work there as well: then no run of ours is, though one may wait to go on.
        let of = slots.first().map(|slot| &slot.state);
        let is_run = matches!(of, Some(State::Leased { of: Loop::Converge, .. }));
        let lease = match by_hand::lease(store, &key, Loop::Converge, self.limits).await {
            Err(busy @ NotLeased::Busy(_)) if is_run => {
                let last = store.last_converge(&key).await?.filter(Record::is_unfinished);
                return Err(last.map_or(busy.into(), |last| NoPullRun::Running(last.run)));
            }
            leased => leased?,
        };
        tracing::info!(%key, token = lease.token.0, "leased");
        let gate = self.gate(&lease);
        let talk = forge.conversation(&id, self.repo, Producer::Converge, &gate);
        let work = self.whole(store, &lease, (&id, &talk, now), &gate, give_back, say);
        let ended = tokio::select! {
            ended = Box::pin(work) => ended,
            () = worker::lost(store, &lease, self.limits, heartbeat) => return Err(NoPullRun::Lost),
        };
        if let Err(NoPullRun::Store(StoreError::Fenced { last, .. })) = &ended {
            // The slots have forgotten a token: the next one is greater.
            store.raise(Version(last.0)).await?;
        }
        // What a server was at, and is not at its end, it goes on with.
        let is_over = ended.as_ref().is_ok_and(|(record, _)| !record.is_unfinished());
        let end = if is_served && !is_over {
            Command::HandBack(lease.token)
        } else {
            Command::Finish(lease.token, Then::Idle)
        };
        match step(store, &key, end, self.limits).await {
            Ok(_) | Err(StepError::Refused(Refused::LeaseLost)) => {}
            Err(error) => return Err(error.into()),
        }
        ended.map_err(NoPullRun::or_lost)
    }

    /// The run that there would be. Nothing is leased, kept or said.
    ///
    /// # Errors
    /// [`NoPullRun`]
    pub async fn dry<S: Converges>(&self, store: &S) -> Result<(Record, Mirror), NoPullRun> {
        let (name, forge) = self.forge;
        let repository = forge.repository(self.repo).await?.id;
        let id = PrId { forge: name.to_owned(), repository, number: self.number };
        let now = forge.conversation(&id, self.repo, Producer::Converge, &read_only()).now().await?;
        let ground = self.ground(&id, now).await?;
        let (key, last) = (id.key(), store.last_converge(&id.key()).await?);
        let said = store.dismissals(&key).await?;
        let record = self.record((last, &said), &key, &ground).await?;
        Ok((record, ground.mirror))
    }

    /// One audit of the head, of which nothing is said anywhere, until it is to stop. Where nobody is at work on the pull
    /// request, it is kept so that a run goes on from what it found; else beside the runs, for what it cost.
    ///
    /// # Errors
    /// [`NoPullRun`]
    pub async fn audited<S: Slots + Records + Converges>(
        &self,
        store: &S,
        give_back: watch::Receiver<bool>,
    ) -> Result<Record, NoPullRun> {
        let (name, forge) = self.forge;
        let repository = forge.repository(self.repo).await?.id;
        let id = PrId { forge: name.to_owned(), repository, number: self.number };
        let looks = read_only();
        let talk = forge.conversation(&id, self.repo, Producer::Converge, &looks);
        let now = talk.now().await?;
        let url = now.url.clone();
        let ground = self.ground(&id, now).await?;
        let key = id.key();
        let workspace = self.workspace(self.effects(&talk, &looks, (&key, None)), &ground);
        let mut record = self.audit(None, &key, &ground).await?;
        record.state.dismiss(store.dismissals(&key).await?);
        store.keep_converge(Token(0), &record.set_aside()).await?;
        let mut runner = self.runner(&ground, &workspace, record, RunMode::Whole);
        let stopped = tokio::select! {
            () = Box::pin(runner.audit_once()) => false,
            () = worker::told(give_back) => true,
        };
        runner.audited(stopped).await?;
        store.describe(&[(key.clone(), Described { name: self.called(), url, head: None })]).await?;
        let slots = store.load(std::slice::from_ref(&key)).await?;
        let is_free = slots.first().is_none_or(|slot| slot.state == State::Idle && slot.pending.is_empty());
        let unfinished = store.last_converge(&key).await?.is_some_and(|last| last.is_unfinished());
        if is_free
            && !unfinished
            && let Some(kept) = runner.record.as_audit()
        {
            match by_hand::lease(store, &key, Loop::Converge, self.limits).await {
                Ok(lease) => {
                    store.keep_converge(lease.token, &kept).await?;
                    step(store, &key, Command::Finish(lease.token, Then::Idle), self.limits).await?;
                    return Ok(runner.record);
                }
                // Whoever is at work there audits by itself.
                Err(NotLeased::Busy(_) | NotLeased::Owned) => {}
                Err(error @ NotLeased::Step(_)) => return Err(error.into()),
            }
        }
        let mut kept = runner.record.set_aside();
        kept.state.exit.get_or_insert_with(|| runner.record.state.audit_end());
        store.keep_converge(Token(0), &kept).await?;
        Ok(runner.record)
    }

    /// All of a run. What is waited for is waited for here.
    async fn whole<S: Records + Converges>(
        &self,
        store: &S,
        lease: &Lease,
        (id, talk, now): (&PrId, &GitHubConversation, PullNow),
        gate: &Arc<dyn WriteGate>,
        give_back: watch::Receiver<bool>,
        say: impl Fn(Said<'_>) + Sync,
    ) -> Result<(Record, Mirror), NoPullRun> {
        // What is said while the commits are fetched counts.
        let listener = StopListener::open(self.forge.1, (self.repo, self.number)).await?;
        let ground = self.ground(id, now).await?;
        let last = store.last_converge(&lease.key).await?;
        let said = store.dismissals(&lease.key).await?;
        let before = last.clone();
        let record = self.record((last, &said), &lease.key, &ground).await?;
        let record = Record { paid_before: record.cost(), ..record };
        if let Some(before) = before.filter(|last| last.run == record.run && is_stuck(last)) {
            say(Said::Line(&words::stuck_before(&before)));
        }
        let most = self.converging.agents.auditor.budgets.most_of_converge();
        for line in words::opening(&record, most) {
            say(Said::Line(&line));
        }
        let effects = self.effects(talk, gate, (&lease.key, Some(lease.token)));
        let workspace = PullRequestWorkspace { stops: Some(&listener), ..self.workspace(effects, &ground) };
        let mut runner = self.runner(&ground, &workspace, record, RunMode::Whole);
        let work = async {
            let told = Timeline { store, mirror: &ground.mirror, say: &say };
            loop {
                match runner.pursue(store, lease.token, &told).await? {
                    Progress::Until(at, _, what) => {
                        say(Said::Step(&format!("waiting: {what}")));
                        let wait = u64::try_from((at - SystemClock.now()).0).unwrap_or(0);
                        tokio::time::sleep(Duration::from_millis(wait)).await;
                    }
                    Progress::Failed(exit) => return Ok::<_, StoreError>(Some(exit)),
                    Progress::Between => {}
                    Progress::Over => break,
                }
            }
            runner.describe().await
        };
        let left = tokio::select! {
            ended = work => ended?,
            () = worker::told(give_back) => {
                let why = "interrupted: run it again, it goes on where it was";
                Some(Exit::new(Code::Interrupted, why))
            }
        };
        if left.is_some() {
            runner.interrupted().await?;
        }
        let mut record = runner.record;
        record.ended = SystemClock.now();
        if let Some(exit) = &left {
            record.halt(exit.clone());
        }
        record.is_told = true;
        store.keep_converge(lease.token, &record).await?;
        if left.is_some() {
            // What our audit has cleared stays cleared; the caller is told all the same.
            record.state.exit = left;
        }
        note_end(store, &record).await?;
        Ok((record, ground.mirror))
    }

    /// One step of a run under a worker's lease: goes on with the run that there is, or begins one. When it goes on, if it
    /// does, and else how it ended; whoever stopped may be told why by a comment.
    ///
    /// # Errors
    /// [`Stopped`]
    pub async fn step<S: Records + Converges>(
        &self,
        store: &S,
        lease: &Lease,
        id: &PrId,
    ) -> Result<(Then, Option<Ended>), Stopped> {
        let gate = self.gate(lease);
        let talk = self.forge.1.conversation(id, self.repo, Producer::Converge, &gate);
        let stepped = Box::pin(self.stepped(store, lease, id, (&talk, &gate))).await;
        match stepped {
            // Reviews are not to wait for it: whoever asked may ask again.
            Err(Stopped::Failed { class, what, .. }) if lease.last_attempt => {
                tracing::warn!(class, "given up: {what}");
                let ended = give_up(store, lease, self.called(), &what).await?;
                let gone = format!("converge: given up: {class}: {what}");
                let at = SystemClock.now();
                store.note(&[Event { at, key: lease.key.clone(), run: None, what: gone }]).await?;
                let body = format!("## /converge: error\n\n{}{AGAIN}", markdown::fence("text", &what));
                tell_given_up(&self.effects(&talk, &gate, (&lease.key, Some(lease.token))), body).await;
                Ok((Then::Idle, Some(ended)))
            }
            Err(stopped) => Err(stopped),
            Ok(Then::Idle) => {
                let last = store.last_converge(&lease.key).await?;
                Ok((Then::Idle, last.as_ref().map(Ended::of)))
            }
            Ok(then) => Ok((then, None)),
        }
    }

    async fn stepped<S: Records + Converges>(
        &self,
        store: &S,
        lease: &Lease,
        id: &PrId,
        (talk, gate): (&GitHubConversation, &Arc<dyn WriteGate>),
    ) -> Result<Then, Stopped> {
        let settle = talk.settle();
        let of = |error: ForgeError| NoPullRun::Forge(error).stopped(settle);
        let last = store.last_converge(&lease.key).await?;
        let effects = || self.effects(talk, gate, (&lease.key, Some(lease.token)));
        if lease.wish == Some(Wish::Stop) {
            return self.stopped(store, lease, last, &effects()).await;
        }
        let now = talk.now().await.map_err(of)?;
        let ground = self.ground(id, now).await.map_err(|error| error.stopped(settle))?;
        let record = match last {
            // What has ended is told before another one begins.
            Some(last) if !last.is_told && !last.is_unfinished() => last,
            last if lease.wish == Some(Wish::Audit) => self.audit(last, &lease.key, &ground).await?,
            last => {
                let said = store.dismissals(&lease.key).await?;
                self.record((last, &said), &lease.key, &ground).await?
            }
        };
        let workspace = self.workspace(effects(), &ground);
        let mut runner = self.runner(&ground, &workspace, record, RunMode::Step);
        let told = Timeline {
            store,
            mirror: &ground.mirror,
            say: &|said: Said<'_>| tracing::info!("{}", said.text()),
        };
        let mut left = Box::pin(runner.pursue(store, lease.token, &told)).await?;
        if left == Progress::Over {
            left = Box::pin(runner.describe()).await?.map_or(left, Progress::Failed);
        }
        let mut record = runner.record;
        record.ended = SystemClock.now();
        store.keep_converge(lease.token, &record).await?;
        match left {
            Progress::Between => return Ok(Then::DueAt(record.ended, Why::Step)),
            Progress::Until(at, why, what) => {
                tracing::info!("waiting: {what}");
                return Ok(Then::DueAt(at, why));
            }
            Progress::Failed(exit) => return Err(failed(&exit)),
            Progress::Over => {}
        }
        let is_failed = |exit: &&Exit| matches!(exit.code, Code::Interrupted | Code::Infrastructure);
        // Auditors that gave no valid answer were asked again already.
        let exit = record.state.exit.as_ref().filter(|_| !record.state.is_degraded_audit());
        if let Some(exit) = exit.filter(is_failed) {
            return Err(failed(exit));
        }
        note_end(store, &record).await?;
        // An audit's review tells what it found. Of a closed pull request, `truing why` and `truing report` tell.
        let is_review = |exit: &Exit| matches!(exit.kind(), Kind::Converged | Kind::CapReached);
        let is_shown = record.state.audits_only && record.state.exit.as_ref().is_some_and(is_review);
        if !is_shown && exit_code(&record) != Some(Code::Closed) {
            let body = report(&ground.mirror, &record).await?;
            if let Err(error) = effects().perform(&reported(body)).await {
                return unreported(error, settle);
            }
        }
        record.is_told = true;
        store.keep_converge(lease.token, &record).await?;
        Ok(Then::Idle)
    }

    /// The end of a run that a person has stopped, which the pull request is told. It can be resumed.
    async fn stopped<S: Records + Converges>(
        &self,
        store: &S,
        lease: &Lease,
        last: Option<Record>,
        effects: &Writes<'_>,
    ) -> Result<Then, Stopped> {
        let Some(mut record) = last.filter(Record::is_unfinished) else { return Ok(Then::Idle) };
        let exit = Exit::new(Code::Interrupted, STOPPED);
        // What our audit has cleared stays cleared.
        record.halt(exit.clone());
        record.ended = SystemClock.now();
        let body = format!("## /converge: {}\n\n{STOPPED}.", exit.kind().as_str());
        if let Err(error) = effects.perform(&reported(body)).await {
            return unreported(error, effects.forge.settle());
        }
        store.note(&[event(&record, format!("converge: {}: {}", exit.kind().as_str(), exit.reason))]).await?;
        record.is_told = true;
        store.keep_converge(lease.token, &record).await?;
        Ok(Then::Idle)
    }

    fn config(&self) -> &ConvergeConfig {
        self.converging.config()
    }

    /// What people call the pull request.
    fn called(&self) -> String {
        format!("{}#{}", self.repo, self.number)
    }

    /// What is asked right before each write under this lease.
    fn gate(&self, lease: &Lease) -> Arc<dyn WriteGate> {
        StoreGate::of_run(&self.converging.agents.auditor.ledger, &lease.key, lease.token)
    }

    /// Every write to the pull request, under this lease.
    fn effects<'b>(
        &'b self,
        talk: &'b GitHubConversation,
        gate: &'b Arc<dyn WriteGate>,
        (key, token): (&Key, Option<Token>),
    ) -> Writes<'b> {
        let writer = Writer { key: key.clone(), producer: Producer::Converge, token };
        let log = &self.converging.agents.auditor.ledger;
        Effects { forge: talk, log, gate: &**gate, clock: &SystemClock, writer }
    }

    fn workspace<'b>(&'b self, effects: Writes<'b>, ground: &'b Ground) -> PullRequestWorkspace<'b> {
        let head = &ground.now.head;
        PullRequestWorkspace {
            talk: effects.forge,
            effects,
            mirror: &ground.mirror,
            forge: self.forge.1,
            home: (&ground.home.0, &ground.home.1),
            onto: &ground.now.base_branch,
            event: self.config().event,
            resolves: self.config().resolve_threads,
            calls: pull::called(self.config()),
            stops: None,
            read_only: (head.push == Some(false)).then(|| {
                format!(
                    "Truing may not push to {}: it is in a fork that does not allow edits by maintainers, or the \
                     token lacks the right to push",
                    head.branch
                )
            }),
        }
    }

    fn runner<'b>(
        &'b self,
        ground: &'b Ground,
        workspace: &'b PullRequestWorkspace<'b>,
        record: Record,
        mode: RunMode,
    ) -> Runner<'b, PullRequestWorkspace<'b>> {
        let how = (&self.converging.agents, &ground.looks, self.config());
        Runner::new((workspace, &ground.mirror), how, Some(self.repo), record, mode)
    }

    /// The commits, and where the branch is that fixes are pushed to.
    async fn ground(&self, id: &PrId, now: PullNow) -> Result<Ground, NoPullRun> {
        let (_, forge) = self.forge;
        let theirs = forge.push_remote(&id.repository, self.repo).await?;
        let home = match now.head.repository.as_ref().filter(|head| !head.is_same) {
            Some(fork) => (fork.id.clone(), fork.name.clone()),
            None => (id.repository.clone(), self.repo.to_owned()),
        };
        let mirror = self.git.mirror(&checkout::mirror(self.mirrors, id), &theirs).await?;
        let base = pull::base(&mirror, (&now.base_branch, &now.base), &now.head.sha).await?;
        let Converging { rules, looks, .. } = self.converging;
        let config = rules.configuration((self.git, &mirror), (self.forge.0, &now.base_branch)).await?;
        let looks = looks(&config).map_err(NoPullRun::Looks)?;
        Ok(Ground { mirror, home, now, base, looks })
    }

    /// The run that was interrupted, or is stuck where nothing is new, or a new one.
    async fn record(
        &self,
        (last, said): (Option<Record>, &[Dismissal]),
        key: &Key,
        Ground { mirror, now, base, looks, .. }: &Ground,
    ) -> Result<Record, GitError> {
        let (limits, looks) = (self.config().limits.clone(), &looks.name);
        let head = now.head.sha.clone();
        let tree = mirror.tree_of(&head).await?;
        if let Some(mut record) = last.clone().filter(|last| last.is_audit_of(&head, base, looks, said)) {
            record.take_up(limits);
            return Ok(record);
        }
        let known = (looks.as_str(), self.converging.agents.auditor.model.as_str());
        let is_stuck = |last: &Record| last.state.head == head && last.is_stuck_with(base, known, said);
        if let Some(mut record) = last.clone().filter(is_stuck) {
            record.retry(limits);
            return Ok(record);
        }
        if let Some(mut record) = last.clone().filter(Record::is_unfinished) {
            record.resume(limits.clone(), looks);
            record.state.take_up(limits);
            // Another head is looked at when its turn comes; the same one is another change now.
            if record.base != *base && record.state.head == head {
                record.base = base.clone();
                // A run that is over stays so.
                let _ = record.state.after(truing_core::converge::Event::Moved { head, tree });
            }
            return Ok(record);
        }
        // What we found clean, as we remember it: a review that says so may be forged.
        let clean = last.as_ref().and_then(|last| last.found_clean(base, looks, said));
        let state = Run::begin(limits, (head, tree), clean);
        Ok(self.begun(last.as_ref(), key, (base, &now.head.branch), looks, state))
    }

    /// The audit that was interrupted, or a new one. Nothing is fixed.
    async fn audit(
        &self,
        last: Option<Record>,
        key: &Key,
        Ground { mirror, now, base, looks, .. }: &Ground,
    ) -> Result<Record, GitError> {
        let (limits, looks, head) = (self.config().limits.clone(), &looks.name, now.head.sha.clone());
        let is_same = |last: &Record| {
            last.state.audits_only && last.is_unfinished() && last.base == *base && last.state.head == head
        };
        if let Some(mut record) = last.clone().filter(is_same) {
            record.resume(limits, looks);
            return Ok(record);
        }
        let tree = mirror.tree_of(&head).await?;
        let state = Run::audit(limits, (head, tree));
        Ok(self.begun(last.as_ref(), key, (base, &now.head.branch), looks, state))
    }

    /// A new record, after the last one there was.
    fn begun(
        &self,
        last: Option<&Record>,
        key: &Key,
        (base, branch): (&Sha, &str),
        looks: &str,
        state: Run,
    ) -> Record {
        Record {
            described: last.and_then(|last| last.described.clone()),
            // Whom we have called at another head has seen that one.
            wakes: last.map(|last| last.wakes.clone()).unwrap_or_default(),
            looks: looks.to_owned(),
            versions: versions(),
            ..Record::begin(
                (UniqueIds.run(), key.clone()),
                (self.called(), branch.to_owned()),
                (base.clone(), state),
                SystemClock.now(),
            )
        }
    }
}

fn is_stuck(record: &Record) -> bool {
    record.state.exit.as_ref().is_some_and(|exit| exit.kind() == Kind::Stuck)
}

fn exit_code(record: &Record) -> Option<Code> {
    record.state.exit.as_ref().map(|exit| exit.code)
}
