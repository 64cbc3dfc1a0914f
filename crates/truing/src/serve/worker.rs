//! A worker: takes one lease to its end, keeps it alive meanwhile, and says how it ended.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use truing_core::id::PrId;
use truing_core::port::{Clock, Event, Ids, Reader, Records, RunRef, Slots, StoreError};
use truing_core::slot::{Command, Refused, Then, Why};
use truing_forge::publisher::Reconciled;

use super::scheduler::Lease;
use super::{Forges, House};
use crate::loops::review::{Served, Stopped};
use crate::slots::{StepError, step};

/// Wall clock of one review step (design.md section 2).
const STEP_TIME: Duration = Duration::from_mins(20);

/// Works on a lease with heartbeats until it ends, is lost, or the service stops with it unfinished.
///
/// A store that fails while the end is recorded leaves the lease to expire; the next one goes on from there.
pub async fn work<S, W, R, C, I>(
    house: &House<S, W, R, C, I>,
    lease: Lease,
    heartbeat: Duration,
    stopping: watch::Receiver<bool>,
) where
    S: Slots + Records,
    W: Forges,
    R: Reader,
    C: Clock,
    I: Ids,
{
    let run = RunRef { id: house.ids.run(), key: lease.key.clone(), token: lease.token };
    let ended = tokio::select! {
        ended = take(house, &lease, &run) => ended,
        () = lost(house, &lease, heartbeat) => {
            tracing::warn!(key = %lease.key, review_id = %run.id, "the lease is lost; stopped");
            return;
        }
        () = given_up(stopping) => step(&house.store, &lease.key, Command::HandBack(lease.token), &house.limits)
            .await.map(drop),
    };
    match ended {
        Ok(()) | Err(StepError::Refused(Refused::LeaseLost)) => {}
        Err(error) => tracing::error!(key = %lease.key, review_id = %run.id, %error, "cannot end the lease"),
    }
}

/// Runs the loop and finishes the slot.
///
/// # Errors
/// [`StepError`] if the end could not be recorded.
pub async fn take<S, W, R, C, I>(
    house: &House<S, W, R, C, I>,
    lease: &Lease,
    run: &RunRef,
) -> Result<(), StepError>
where
    S: Slots + Records,
    W: Forges,
    R: Reader,
    C: Clock,
    I: Ids,
{
    let token = lease.token;
    let command = match tokio::time::timeout(STEP_TIME, review(house, lease, run)).await {
        Ok(Ok(then)) => Command::Finish(token, then),
        Ok(Err(Stopped::Lost)) => return Ok(()),
        Ok(Err(Stopped::RateLimited { until, what })) => {
            say(house, run, format!("waits for the forge: {what}")).await?;
            Command::Finish(token, Then::DueAt(until, Why::RateLimit))
        }
        Ok(Err(Stopped::Failed { what, not_before, .. })) => {
            say(house, run, format!("failed: {what}")).await?;
            Command::Fail(token, not_before)
        }
        Err(_) => {
            say(house, run, format!("failed: took longer than {} minutes", STEP_TIME.as_secs() / 60)).await?;
            Command::Fail(token, None)
        }
    };
    step(&house.store, &lease.key, command, &house.limits).await.map(drop)
}

async fn review<S, W, R, C, I>(
    house: &House<S, W, R, C, I>,
    lease: &Lease,
    run: &RunRef,
) -> Result<Then, Stopped>
where
    S: Slots + Records,
    W: Forges,
    R: Reader,
    C: Clock,
    I: Ids,
{
    let failed =
        |what: String| Stopped::Failed { class: "the server is not set up for it", what, not_before: None };
    let id =
        PrId::from_key(&lease.key).ok_or_else(|| failed(format!("{} is not a pull request", lease.key)))?;
    let names = house.store.described(std::slice::from_ref(&lease.key)).await?;
    let name = names.into_iter().flatten().next().map(|described| described.name).unwrap_or_default();
    let repo = name.rsplit_once('#').map_or("", |(repo, _)| repo);
    let unknown = || failed(format!("[forge.{}] is not configured", id.forge));
    let forge = house.forges.pull(&id, repo).ok_or_else(unknown)?;
    let remote = house.forges.remote(&id.forge, repo).ok_or_else(unknown)??;
    let served = Served {
        store: &house.store,
        forge: &forge,
        reader: &house.reader,
        clock: &house.clock,
        ids: &house.ids,
        git: &house.git,
        mirror: &house.mirrors.join(&id.forge).join(format!("{}.git", id.repository)),
        remote: &remote,
        limits: &house.limits,
        scope: &house.scope,
        max_inline: house.max_inline,
        run,
        asked: lease.asked,
    };
    let ended = served.run().await;
    let Err(Stopped::Failed { class, .. }) = &ended else { return ended };
    if !lease.last_attempt {
        return ended;
    }
    match served.give_up(class).await {
        Ok(Reconciled::Done) => ended,
        // What a former lease began to say may still become visible: this attempt is not over.
        Ok(Reconciled::Settling { until }) => Ok(Then::DueAt(until, Why::Settling)),
        Err(limited @ Stopped::RateLimited { .. }) => Err(limited),
        Err(error @ (Stopped::Lost | Stopped::Failed { .. })) => {
            say(house, run, format!("the pull request could not be told: {error}")).await?;
            ended
        }
    }
}

/// Sends heartbeats; ends when the lease is lost, or none was acknowledged for so long that it may be.
async fn lost<S, W, R, C, I>(house: &House<S, W, R, C, I>, lease: &Lease, every: Duration)
where
    S: Slots + Records,
{
    let patience = Duration::from_millis(u64::try_from(house.limits.self_stop().0).unwrap_or(0));
    let mut acknowledged = Instant::now();
    loop {
        tokio::time::sleep(every).await;
        match step(&house.store, &lease.key, Command::Heartbeat(lease.token), &house.limits).await {
            Ok(_) => acknowledged = Instant::now(),
            Err(StepError::Refused(_)) => return,
            Err(StepError::Store(error)) => {
                tracing::warn!(key = %lease.key, %error, "heartbeat not acknowledged");
                if acknowledged.elapsed() >= patience {
                    return;
                }
            }
        }
    }
}

/// Ends a little before the service stops waiting for its workers.
async fn given_up(mut stopping: watch::Receiver<bool>) {
    if stopping.wait_for(|stop| *stop).await.is_err() {
        return std::future::pending().await;
    }
    tokio::time::sleep(super::DRAIN.mul_f32(0.9)).await;
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
    tracing::warn!(key = %run.key, review_id = %run.id, "{what}");
    let event = Event { at: house.clock.now(), key: run.key.clone(), run: Some(run.id.clone()), what };
    house.store.note(&[event]).await
}
