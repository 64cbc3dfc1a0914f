//! A worker: takes one lease to its end, keeps it alive meanwhile, and says how it ended.

use std::time::Duration;

use opentelemetry::trace::{FutureExt as _, TraceContextExt as _};
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::Instrument as _;
use truing_core::follow::record::Kind as End;
use truing_core::id::{Millis, PrId, Sha, Span, Version};
use truing_core::outcome::{Outcome, OutcomeKind, Runtime};
use truing_core::port::{
    Clock, Converges, Described, Event, Forge as _, ForgeError, Ids, Operations, Reader, Records, RunRef,
    Slots, StoreError,
};
use truing_core::slot::{Command, Limits, Loop, Refused, Then, Why};
use truing_forge::github::RemoteError;
use truing_forge::publisher::Reconciled;
use truing_loops::agent::Agent;
use truing_loops::checkout;
use truing_loops::checkout::Checkout;
use truing_loops::review::{Counts as _, Heard, Served, Stopped};
use truing_loops::slots::{StepError, step};
use truing_loops::telemetry;

use super::converges::{self, PullRun};
use super::scheduler::Lease;
use super::writes::TracedPull;
use super::{Forges, House, notify};

/// Wall clock of one review step (design.md section 2).
pub const STEP_TIME: Duration = Duration::from_mins(20);
/// How long the pull request of a failed step may take to be told so.
const GIVE_UP_TIME: Duration = Duration::from_mins(2);
/// How long calls to a model that were cut with a failed run may take to be settled.
const SETTLE_TIME: Duration = Duration::from_secs(1);
/// What a call that only asks leaves to become visible.
const NOTHING_MADE: Span = Span(0);

/// Works on a lease with heartbeats until it ends, is lost, or is to be given back because the service stops. The
/// answer is how its run ended; none if it was cut short.
///
/// A store that fails while the end is recorded leaves the lease to expire; the next one goes on from there.
pub async fn work<S, W, R, C, I>(
    house: &House<S, W, R, C, I>,
    lease: Lease,
    heartbeat: Duration,
    give_back: watch::Receiver<bool>,
) -> Option<Result<Then, Stopped>>
where
    S: Slots + Records + Operations + Converges,
    W: Forges,
    R: Reader,
    C: Clock,
    I: Ids,
{
    let run = RunRef { id: house.ids.run(), key: lease.key.clone(), token: lease.token };
    // Every line of the run says whose it is, wherever it comes from.
    let span = tracing::error_span!("run", key = %run.key, review_id = %run.id);
    let began = std::time::Instant::now();
    let working = async {
        tracing::info!(token = lease.token.0, asked = lease.asked, "leased");
        let ended = tokio::select! {
            ended = take(house, &lease, &run) => ended.map(Some),
            () = lost(&house.store, &lease, &house.limits, heartbeat) => {
                tracing::warn!("the lease is lost; stopped");
                return None;
            }
            () = told(give_back) => {
                // The lease is given back whatever becomes of that.
                if let Err(error) = interrupted(house, lease.of, &run).await {
                    tracing::warn!(%error, "what the run has cost is not told");
                }
                step(&house.store, &lease.key, Command::HandBack(lease.token), &house.limits)
                    .await.map(|_| None)
            }
        };
        ended.unwrap_or_else(|error| {
            if !matches!(error, StepError::Refused(Refused::LeaseLost)) {
                tracing::error!(%error, "cannot end the lease");
            }
            None
        })
    };
    let ended = working.instrument(span).await;
    house.metrics.run_took(began.elapsed());
    ended
}

/// Runs the loop and finishes the slot. The answer is how the run ended.
///
/// # Errors
/// [`StepError`] if the end could not be recorded.
pub async fn take<S, W, R, C, I>(
    house: &House<S, W, R, C, I>,
    lease: &Lease,
    run: &RunRef,
) -> Result<Result<Then, Stopped>, StepError>
where
    S: Slots + Records + Operations + Converges,
    W: Forges,
    R: Reader,
    C: Clock,
    I: Ids,
{
    let token = lease.token;
    let ended = one(house, lease, run).await;
    // Runs count by the wall clock, and slots by the store's.
    let lead = house.lead().await?;
    let command = match &ended {
        Ok(Then::DueAt(at, why)) => Command::Finish(token, Then::DueAt(*at + lead, *why)),
        Ok(then @ (Then::Idle | Then::Again | Then::Held(_))) => Command::Finish(token, *then),
        Err(Stopped::Moved) => Command::Finish(token, Then::Again),
        Err(Stopped::Lost) => return Ok(ended),
        // If the lease is ours still, the slots have forgotten a token: the next one is greater.
        Err(Stopped::Fenced(last)) => {
            house.store.raise(Version(last.0)).await?;
            Command::HandBack(token)
        }
        Err(Stopped::Halted) => {
            house.halted(run).await?;
            interrupted(house, lease.of, run).await?;
            Command::HandBack(token)
        }
        Err(Stopped::RateLimited { until, what }) => {
            say(house, run, format!("waits for the forge: {what}")).await?;
            Command::Finish(token, Then::DueAt(*until + lead, Why::RateLimit))
        }
        Err(Stopped::Failed { class, what, not_before }) => {
            failed(house, lease, run, (*class, what)).await?;
            Command::Fail(token, not_before.map(|instant| instant + lead))
        }
        Err(Stopped::NotThere { what }) => {
            failed(house, lease, run, ("the forge refuses access", what)).await?;
            Command::Fail(token, None)
        }
    };
    if lease.last_attempt && matches!(command, Command::Fail(..)) {
        notify::parking(&house.store, &lease.key, house.limits.attempts, house.clock.now()).await;
    }
    let after = step(&house.store, &lease.key, command, &house.limits).await?;
    tracing::info!("the lease has ended: the slot is {}", after.slot.state);
    Ok(ended)
}

/// A review was told to stop: what it has cost is told. A run that converges tells it when it goes on.
async fn interrupted<S, W, R, C, I>(
    house: &House<S, W, R, C, I>,
    of: Loop,
    run: &RunRef,
) -> Result<(), StoreError>
where
    S: Records,
    C: Clock,
{
    match of {
        Loop::Review => {}
        Loop::Converge | Loop::Sync => return Ok(()),
    }
    quiet(house).await;
    house.store.interrupted(run, house.clock.now()).await
}

/// The cost of a run is known when what it asked is settled; others ask through the same gateway.
async fn quiet<S, W, R, C, I>(house: &House<S, W, R, C, I>) {
    if let Some(agent) = &house.agent {
        let _ = tokio::time::timeout(SETTLE_TIME, agent.gateway.quiet()).await;
    }
}

/// An attempt has failed: it is counted, and `truing report` and `truing why` tell of it. A review is a run of its own
/// at each attempt; a run that converges goes on with the next.
async fn failed<S, W, R, C, I>(
    house: &House<S, W, R, C, I>,
    lease: &Lease,
    run: &RunRef,
    (class, what): (&'static str, &str),
) -> Result<(), StoreError>
where
    S: Slots + Records + Converges,
    C: Clock,
{
    house.metrics.attempt_failed(class, lease.last_attempt);
    say(house, run, format!("failed: {what}")).await?;
    match lease.of {
        Loop::Review => {}
        Loop::Converge if lease.last_attempt => return gave_up(house, lease, what).await,
        Loop::Converge | Loop::Sync => return Ok(()),
    }
    quiet(house).await;
    let runtime = house.agent.as_ref().map_or(Runtime::Rules, Agent::named);
    let outcome = Outcome { kind: OutcomeKind::Failed, reason: Some(class.to_owned()), until: None, runtime };
    match house.store.failed(run, &outcome, house.clock.now()).await {
        Ok(()) => house.metrics.run_ended(lease.of.as_str(), outcome.kind.as_str()),
        // Somebody else is ahead, and tells of it.
        Err(StoreError::Fenced { .. }) => {}
        Err(error) => return Err(error),
    }
    Ok(())
}

/// A run that converges was given up where the pull request cannot be told so: it has ended all the same.
async fn gave_up<S: Records + Converges, W, R, C, I>(
    house: &House<S, W, R, C, I>,
    lease: &Lease,
    what: &str,
) -> Result<(), StoreError> {
    let described = house.store.described(std::slice::from_ref(&lease.key)).await?.pop().flatten();
    let name = described.map_or_else(|| lease.key.to_string(), |described| described.name);
    match converges::give_up(&house.store, lease, name, what).await {
        Ok(()) => house.metrics.run_ended(lease.of.as_str(), End::Failed.as_str()),
        // Somebody else is ahead, and tells of it.
        Err(StoreError::Fenced { .. }) => {}
        Err(error) => return Err(error),
    }
    Ok(())
}

/// One step on a pull request, by the name of its repository; where that leads elsewhere by now, by the repository's
/// id.
async fn one<S, W, R, C, I>(
    house: &House<S, W, R, C, I>,
    lease: &Lease,
    run: &RunRef,
) -> Result<Then, Stopped>
where
    S: Slots + Records + Operations + Converges,
    W: Forges,
    R: Reader,
    C: Clock,
    I: Ids,
{
    let id = PrId::from_key(&lease.key)
        .ok_or_else(|| misconfigured(format!("{} is not a pull request", lease.key)))?;
    let names = house.store.described(std::slice::from_ref(&lease.key)).await?;
    let described = names.into_iter().flatten().next();
    let name = described.as_ref().map_or("", |described| described.name.as_str());
    let repo = name.rsplit_once('#').map_or("", |(repo, _)| repo);
    let head = described.as_ref().and_then(|described| described.head.clone());
    let ended = one_at(house, lease, run, (&id, repo), head.clone()).await;
    let Err(Stopped::NotThere { what }) = ended else { return ended };
    match whereabouts(house, &id).await? {
        Some(name) if name != repo => {
            say(house, run, format!("{repo} is called {name} by now")).await?;
            one_at(house, lease, run, (&id, &name), head).await
        }
        Some(_) | None => Err(Stopped::NotThere { what }),
    }
}

/// One step on the pull request of the repository that is called `repo`.
async fn one_at<S, W, R, C, I>(
    house: &House<S, W, R, C, I>,
    lease: &Lease,
    run: &RunRef,
    (id, repo): (&PrId, &str),
    head: Option<Sha>,
) -> Result<Then, Stopped>
where
    S: Slots + Records + Operations + Converges,
    W: Forges,
    R: Reader,
    C: Clock,
    I: Ids,
{
    // It was marked before the operator said so, or has got another name.
    if !house.repositories.has(&id.forge, repo) {
        say(house, run, format!("not reviewed: {repo} is not in forge.{}.repositories", id.forge)).await?;
        return Ok(Then::Idle);
    }
    match lease.of {
        Loop::Review => review_at(house, lease, run, (id, repo), head).await,
        Loop::Converge => converge_at(house, lease, run, (id, repo)).await,
        // Jobs have slots of their own.
        Loop::Sync => Ok(Then::Idle),
    }
}

/// One step of a run that converges.
async fn converge_at<S, W, R, C, I>(
    house: &House<S, W, R, C, I>,
    lease: &Lease,
    run: &RunRef,
    (id, repo): (&PrId, &str),
) -> Result<Then, Stopped>
where
    S: Slots + Records + Operations + Converges,
    W: Forges,
    C: Clock,
{
    let converging = match &house.converging {
        Ok(converging) => converging,
        Err(why) => {
            say(house, run, format!("it does not converge: {why}")).await?;
            return Ok(Then::Idle);
        }
    };
    let forge = house.forges.servers().get(&id.forge);
    let forge = forge.ok_or_else(|| misconfigured(format!("[forge.{}] is not configured", id.forge)))?;
    let pull = PullRun {
        repo,
        number: id.number,
        forge: (&id.forge, forge),
        git: &house.git,
        mirrors: &house.mirrors,
        converging,
        limits: &house.limits,
    };
    let (then, end) = Box::pin(pull.step(&house.store, lease, id)).await?;
    if let Some(end) = end {
        house.metrics.run_ended(lease.of.as_str(), end.as_str());
    }
    Ok(then)
}

/// What the repository is called now, by its id, and remembers it; none if the forge does not show the pull request.
async fn whereabouts<S, W, R, C, I>(
    house: &House<S, W, R, C, I>,
    id: &PrId,
) -> Result<Option<String>, Stopped>
where
    S: Records,
    W: Forges,
    C: Clock,
{
    let Some(github) = house.forges.servers().get(&id.forge) else { return Ok(None) };
    let found = async {
        let name = github.repository_by_id(&id.repository).await?.name;
        let pull = github.pull(id.clone(), &name).pull_request().await?;
        Ok::<_, ForgeError>((name, pull))
    };
    let (name, pull) = match found.await {
        Ok(found) => found,
        Err(ForgeError::NotFound { .. } | ForgeError::Moved { .. }) => return Ok(None),
        Err(error) => return Err(Stopped::of(error, house.clock.now(), NOTHING_MADE)),
    };
    let described = Described { name: pull.name, url: pull.url, head: None };
    house.store.describe(&[(id.key(), described)]).await?;
    Ok(Some(name))
}

fn misconfigured(what: String) -> Stopped {
    Stopped::Failed { class: "the server is not set up for it", what, not_before: None }
}

/// What a step is stopped by that the forge or git does not serve. `settle`: how long what it may have made all the
/// same stays unseen.
pub(super) fn unserved(error: RemoteError, now: Millis, settle: Span) -> Stopped {
    let error = match error {
        RemoteError::Git(error) => return error.into(),
        RemoteError::Forge(error) => error,
    };
    match error {
        ForgeError::NotFound { .. } | ForgeError::Moved { .. } => {
            Stopped::NotThere { what: error.with_hint() }
        }
        ForgeError::RateLimited { .. }
        | ForgeError::Unauthorized { .. }
        | ForgeError::Forbidden { .. }
        | ForgeError::Rejected { .. }
        | ForgeError::Unavailable { .. }
        | ForgeError::Withheld { .. } => Stopped::of(error, now, settle),
    }
}

/// Reviews the pull request of the repository that is called `repo`.
async fn review_at<S, W, R, C, I>(
    house: &House<S, W, R, C, I>,
    lease: &Lease,
    run: &RunRef,
    (id, repo): (&PrId, &str),
    head: Option<Sha>,
) -> Result<Then, Stopped>
where
    S: Slots + Records + Operations + Converges,
    W: Forges,
    R: Reader,
    C: Clock,
    I: Ids,
{
    let unknown = || misconfigured(format!("[forge.{}] is not configured", id.forge));
    let forge = TracedPull(house.forges.pull(id, repo).ok_or_else(unknown)?);
    let remote = house.forges.remote(id, repo).await.ok_or_else(unknown)?;
    let remote = remote.map_err(|error| unserved(error, house.clock.now(), NOTHING_MADE))?;
    let lead = house.lead().await?;
    let heard = head.zip(lease.marked).map(|(head, at)| Heard { head, at: at + Span(-lead.0) });
    let served = Served {
        store: &house.store,
        forge: &forge,
        clock: &house.clock,
        ids: &house.ids,
        checkout: Checkout {
            git: &house.git,
            forge: &id.forge,
            mirror: &checkout::mirror(&house.mirrors, id),
            remote: &remote,
            rules: &house.rules,
            reader: &house.reader,
        },
        agent: house.agent.as_ref(),
        limits: &house.limits,
        max_inline: house.max_inline,
        run,
        asked: lease.asked,
        heard,
        gate: &house.gate(),
        counts: &house.metrics,
    };
    // What runs for it, children too, ends with it.
    let trace = telemetry::review(&run.id, &run.key, Some(repo), Some(id.number));
    let ended = within(house.step_time, Box::pin(served.run())).with_context(trace.clone()).await;
    match &ended {
        Ok(_) | Err(Stopped::Moved | Stopped::RateLimited { .. }) => {}
        Err(stopped @ Stopped::Halted) => {
            trace.span().add_event("KillSwitchEngaged", Vec::new());
            telemetry::failed(&trace, &stopped.to_string());
        }
        Err(
            stopped
            @ (Stopped::Lost | Stopped::Fenced(_) | Stopped::NotThere { .. } | Stopped::Failed { .. }),
        ) => {
            telemetry::failed(&trace, &stopped.to_string());
        }
    }
    drop(trace);
    let Err(Stopped::Failed { class, .. }) = &ended else { return ended };
    if !lease.last_attempt {
        return ended;
    }
    match within(house.step_time.min(GIVE_UP_TIME), Box::pin(served.give_up(class))).await {
        Ok(Reconciled::Done) => ended,
        // What a former lease began to say may still become visible: this attempt is not over.
        Ok(Reconciled::Settling { until }) => Ok(Then::DueAt(until, Why::Settling)),
        Err(later @ (Stopped::RateLimited { .. } | Stopped::Halted)) => Err(later),
        Err(
            error @ (Stopped::Lost
            | Stopped::Fenced(_)
            | Stopped::NotThere { .. }
            | Stopped::Moved
            | Stopped::Failed { .. }),
        ) => {
            say(house, run, format!("could not update the pull request: {error}")).await?;
            ended
        }
    }
}

/// Lets it take so long.
async fn within<T>(time: Duration, work: impl Future<Output = Result<T, Stopped>>) -> Result<T, Stopped> {
    tokio::time::timeout(time, work).await.unwrap_or_else(|_| {
        let what = format!("took longer than {} s", time.as_secs());
        Err(Stopped::Failed { class: "the review took too long", what, not_before: None })
    })
}

impl<S: Slots, W, R, C: Clock, I> House<S, W, R, C, I> {
    /// How far the store's instant leads the wall clock, which was set back.
    async fn lead(&self) -> Result<Span, StoreError> {
        let wall = self.clock.now();
        Ok(Span((self.store.now().await? - wall).0.max(0)))
    }
}

/// Sends heartbeats; ends when the lease is lost, or none was acknowledged for so long that it may be.
pub(super) async fn lost<S: Slots + Records>(store: &S, lease: &Lease, limits: &Limits, every: Duration) {
    let patience = Duration::from_millis(u64::try_from(limits.self_stop().0).unwrap_or(0));
    let mut acknowledged = Instant::now();
    loop {
        tokio::time::sleep(every).await;
        let sent = Instant::now();
        let beat = step(store, &lease.key, Command::Heartbeat(lease.token), limits);
        match tokio::time::timeout_at(acknowledged + patience, beat).await {
            Ok(Ok(_)) => acknowledged = sent,
            Ok(Err(StepError::Refused(_))) | Err(_) => return,
            Ok(Err(StepError::Store(error))) => {
                tracing::warn!(key = %lease.key, %error, "heartbeat not acknowledged");
                // A store that refuses at once never runs into the limit above.
                if acknowledged.elapsed() >= patience {
                    return;
                }
            }
        }
    }
}

/// Ends when it is told to.
pub(super) async fn told(mut give_back: watch::Receiver<bool>) {
    if give_back.wait_for(|told| *told).await.is_err() {
        std::future::pending::<()>().await;
    }
}

async fn say<S, W, R, C, I>(
    house: &House<S, W, R, C, I>,
    run: &RunRef,
    what: String,
) -> Result<(), StoreError>
where
    S: Slots + Records,
    C: Clock,
{
    tracing::warn!("{what}");
    let event = Event { at: house.clock.now(), key: run.key.clone(), run: Some(run.id.clone()), what };
    house.store.note(&[event]).await
}
