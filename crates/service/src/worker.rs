//! A worker does the step of one lease, renews the lease during the step, and reports the end of the step.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use async_trait::async_trait;
use opentelemetry::trace::FutureExt as _;
use tokio::sync::watch;
use tracing::Instrument as _;
use truing_core::id::{PrId, Sha, SlotKey, TimeSpan};
use truing_core::outcome::{ReviewOutcome, ReviewOutcomeKind, ReviewRuntime};
use truing_core::port::{
    ForgeError, ForgeRead as _, HistoryEvent, RunReference, SlotDescription, StoreError, WriteGate,
};
use truing_core::publish::CommentProducer;
use truing_core::slot::{LoopKind, StepOutcome, WaitReason};
use truing_core::switch::RepositoryRef;
use truing_forge::ForgeServer as _;
use truing_forge::publisher::ReconcileOutcome;
use truing_forge::remote::RemotePurpose;
use truing_loops::agent::ModelAgent;
use truing_loops::checkout;
use truing_loops::checkout::CheckoutContext;
use truing_loops::machine::new_run_id;
use truing_loops::review::{AnnouncedHead, LeasedReview, RunCounter as _};
use truing_loops::slots::SlotCommandError;
use truing_loops::step_stop_reason::StepStopReason;
use truing_loops::telemetry;

use super::context::ServiceContext;
use super::converge_runs::{self, ConvergeRunContext, ConvergeRunEnd};
use super::lease::Lease;
use super::lease_driver::{
    self, LeaseDriver, LeaseSuccessor, LeasedStep, NextSlotState, trace_stop, wait_for_return_request,
};

/// The longest time of one review step, by the wall clock.
pub const MAX_STEP_TIME: Duration = Duration::from_mins(20);
/// The longest time to update the pull request after the last attempt at a review has failed.
const GIVE_UP_TIMEOUT: Duration = Duration::from_mins(2);
/// Timeout of the wait until the aborted model calls of a run are settled.
const MODEL_CALLS_SETTLE_TIMEOUT: Duration = Duration::from_secs(1);
/// The settle delay for requests that only read. The delay is zero, because after a read no write has to
/// become visible.
const READ_SETTLE_DELAY: TimeSpan = TimeSpan(0);

/// Does a step under a lease, with heartbeats. The step stops if the lease is lost, or if the service stops
/// and gives the lease back. Returns the outcome of the step, or `None` if the end of the lease could not be
/// recorded.
///
/// If the store fails at that point, the lease expires later, and the next lease continues the work.
#[truing_core::boxed_future]
pub async fn drive_lease(
    context: &ServiceContext,
    lease: Lease,
    heartbeat: Duration,
    return_requested: watch::Receiver<bool>,
) -> Option<Result<StepOutcome, StepStopReason>> {
    let run = RunReference { id: new_run_id(), key: lease.key.clone(), token: lease.token };
    // Every log line of the run contains the key and the id of the run.
    let span = tracing::error_span!("run", key = %run.key, review_id = %run.id);
    let began = std::time::Instant::now();
    let working = async {
        tracing::info!(token = lease.token.0, asked = lease.is_requested, "leased");
        let work = WorkerStep { context, lease: &lease, run: &run };
        let given = (&lease, LeaseSuccessor::Server);
        let ended = context
            .driver()
            .drive(given.0, given.1, heartbeat, wait_for_return_request(return_requested), &work)
            .await;
        ended.inspect_err(|error| tracing::error!(%error, "cannot end the lease")).ok()
    };
    let ended = working.instrument(span).await;
    context.metrics.observe_run_duration(began.elapsed());
    ended
}

/// Does the step and ends the lease, without sending heartbeats. Returns the outcome of the step.
///
/// # Errors
/// [`SlotCommandError`] if the end of the lease could not be recorded.
#[truing_core::boxed_future]
pub async fn run_step(
    context: &ServiceContext,
    lease: &Lease,
    run: &RunReference,
) -> Result<Result<StepOutcome, StepStopReason>, SlotCommandError> {
    let work = WorkerStep { context, lease, run };
    context.driver().run_step((lease, LeaseSuccessor::Server), &work, &AtomicBool::new(false)).await
}

/// Retracts the comments on withdrawn findings of a pull request. The comments are changed under the id of
/// the review that posted them. The slot is not changed, so a due step stays due. A review in progress on the
/// pull request is fenced off from further writes, and must begin again.
///
/// # Errors
/// [`StepStopReason`]. Comments that were retracted before the error stay retracted.
#[truing_core::boxed_future]
pub async fn retract_comments(
    context: &ServiceContext,
    key: &SlotKey,
) -> Result<StepOutcome, StepStopReason> {
    let token = context.store.fresh_token().await?;
    let reopened = context.store.take_over_review(key, token, context.clock.now()).await?;
    let Some(id) = reopened else { return Ok(StepOutcome::Done) };
    let run = RunReference { id, key: key.clone(), token };
    let lease = Lease {
        key: key.clone(),
        token,
        loop_kind: LoopKind::Review,
        is_requested: false,
        is_last_attempt: false,
        last_event_at: None,
        converge_request: None,
        is_retraction: true,
    };
    run_pull_step(context, &lease, &run).await
}

/// The step that a worker does under a lease.
struct WorkerStep<'a> {
    context: &'a ServiceContext,
    lease: &'a Lease,
    run: &'a RunReference,
}

#[async_trait]
impl LeasedStep for WorkerStep<'_> {
    type Output = StepOutcome;

    async fn step(&self) -> Result<(NextSlotState, StepOutcome), StepStopReason> {
        let then = run_pull_step(self.context, self.lease, self.run).await?;
        Ok((NextSlotState::Outcome(then), then))
    }

    async fn record_stop(&self, reason: &StepStopReason) -> Result<(), StoreError> {
        let Self { context, lease, run } = self;
        match reason {
            StepStopReason::HeadChanged | StepStopReason::LeaseLost | StepStopReason::Fenced(_) => Ok(()),
            StepStopReason::Interrupted => record_interrupted_cost(context, lease.loop_kind, run).await,
            StepStopReason::Halted => {
                context.record_halt(run).await?;
                record_interrupted_cost(context, lease.loop_kind, run).await
            }
            StepStopReason::RateLimited { message, .. } => {
                record_event(context, run, format!("waiting for the forge's rate limit: {message}")).await
            }
            StepStopReason::StepFailed { failure_class: class, message, .. } => {
                record_failure(context, lease, run, class, message).await
            }
            StepStopReason::NotFound { message } => {
                record_failure(context, lease, run, "the forge refuses access", message).await
            }
        }
    }
}

/// Records the cost of a review that was interrupted. The cost of an interrupted converge run is recorded
/// when the run is resumed.
async fn record_interrupted_cost(
    context: &ServiceContext,
    loop_kind: LoopKind,
    run: &RunReference,
) -> Result<(), StoreError> {
    match loop_kind {
        LoopKind::Review => {}
        LoopKind::Converge | LoopKind::Sync => return Ok(()),
    }
    wait_for_settlement(context).await;
    context.store.mark_interrupted(run, context.clock.now()).await
}

/// Waits until all model calls are settled, because the cost of a run is known only after that. The wait has
/// a time limit, because calls of other runs use the same gateway.
async fn wait_for_settlement(context: &ServiceContext) {
    if let Some(agent) = &context.agent {
        let _ = tokio::time::timeout(MODEL_CALLS_SETTLE_TIMEOUT, agent.gateway.wait_until_idle()).await;
    }
}

/// Counts and records a failed attempt, for `truing report` and `truing why`. Each attempt at a review is
/// recorded as a separate run, while a converge run is continued by the next attempt.
async fn record_failure(
    context: &ServiceContext,
    lease: &Lease,
    run: &RunReference,
    class: &'static str,
    reason: &str,
) -> Result<(), StoreError> {
    context.metrics.record_failed_attempt(lease.loop_kind, class, lease.is_last_attempt);
    record_event(context, run, format!("failed: {reason}")).await?;
    match lease.loop_kind {
        LoopKind::Review => {}
        LoopKind::Converge if lease.is_last_attempt => {
            return record_abandoned_run(context, lease, reason).await;
        }
        LoopKind::Converge | LoopKind::Sync => return Ok(()),
    }
    wait_for_settlement(context).await;
    let runtime = context.agent.as_ref().map_or(ReviewRuntime::Rules, ModelAgent::review_runtime);
    let outcome = ReviewOutcome {
        kind: ReviewOutcomeKind::Failed,
        reason: Some(class.to_owned()),
        next_attempt_at: None,
        runtime,
    };
    match context.store.mark_failed(run, &outcome, context.clock.now()).await {
        Ok(()) => context.metrics.count_run(lease.loop_kind.as_str(), outcome.kind.as_str()),
        // A newer run has taken over the slot, and records its own end.
        Err(StoreError::Fenced { .. }) => {}
        Err(error) => return Err(error),
    }
    Ok(())
}

/// Records that a converge run was given up although its pull request could not be updated.
async fn record_abandoned_run(
    context: &ServiceContext,
    lease: &Lease,
    reason: &str,
) -> Result<(), StoreError> {
    let described = context.store.descriptions(std::slice::from_ref(&lease.key)).await?.pop().flatten();
    let name = described.map_or_else(|| lease.key.to_string(), |described| described.name);
    match converge_runs::record_abandonment(&*context.store, lease, name, reason).await {
        Ok(ended) => count_run_end(context, lease.loop_kind, ended),
        // A newer run has taken over the slot, and records its own end.
        Err(StoreError::Fenced { .. }) => {}
        Err(error) => return Err(error),
    }
    Ok(())
}

/// Counts the end and the cost of a converge run.
fn count_run_end(
    context: &ServiceContext,
    loop_kind: LoopKind,
    ConvergeRunEnd { end, cost, denied_calls: denied }: ConvergeRunEnd,
) {
    context.metrics.count_run(loop_kind.as_str(), end.as_str());
    context.metrics.record_run_usage(loop_kind, cost, denied);
}

/// Does one step on a pull request. Finds the repository by its recorded name. If the repository no longer
/// has that name, finds it by its id.
async fn run_pull_step(
    context: &ServiceContext,
    lease: &Lease,
    run: &RunReference,
) -> Result<StepOutcome, StepStopReason> {
    let id = PrId::from_key(&lease.key)
        .ok_or_else(|| misconfigured_reason(format!("{} is not a pull request", lease.key)))?;
    let names = context.store.descriptions(std::slice::from_ref(&lease.key)).await?;
    let described = names.into_iter().flatten().next();
    let name = described.as_ref().map_or("", |described| described.name.as_str());
    let repo = name.rsplit_once('#').map_or("", |(repo, _)| repo);
    let head = described.as_ref().and_then(|described| described.head.clone());
    let ended = run_repository_step(context, lease, run, &id, repo, head.clone()).await;
    let Err(StepStopReason::NotFound { message }) = ended else { return ended };
    match resolve_repository_name(context, run, &id).await? {
        Some(name) if name != repo => {
            record_event(context, run, format!("{repo} was renamed to {name}")).await?;
            run_repository_step(context, lease, run, &id, &name, head).await
        }
        Some(_) | None => Err(StepStopReason::NotFound { message }),
    }
}

/// Does one step on the pull request of the repository with the name `repo`.
async fn run_repository_step(
    context: &ServiceContext,
    lease: &Lease,
    run: &RunReference,
    id: &PrId,
    repo: &str,
    head: Option<Sha>,
) -> Result<StepOutcome, StepStopReason> {
    // The operator may have removed the repository from the configuration since the mark, or the repository
    // may have been renamed.
    if !lease.is_retraction && !context.repository_filter.admits_repository(&id.forge, repo) {
        record_event(context, run, format!("skipped: {repo} is not in forge.{}.repositories", id.forge))
            .await?;
        return Ok(StepOutcome::Done);
    }
    let ended = match lease.loop_kind {
        LoopKind::Review => run_review_step(context, lease, run, id, repo, head).await,
        LoopKind::Converge => run_converge_step(context, lease, run, id, repo).await,
        // A pull request's slot never has a sync step, because jobs have separate slots.
        LoopKind::Sync => Ok(StepOutcome::Done),
    };
    ended.map_err(|stopped| stopped.with_forge_name(&id.forge))
}

/// Does one step of a converge run.
async fn run_converge_step(
    context: &ServiceContext,
    lease: &Lease,
    run: &RunReference,
    id: &PrId,
    repo: &str,
) -> Result<StepOutcome, StepStopReason> {
    let converging = match &context.converge_setup {
        Ok(converging) => converging,
        Err(why) => {
            record_event(context, run, format!("converge skipped: {why}")).await?;
            return Ok(StepOutcome::Done);
        }
    };
    let forge = context.forges.servers().get(&id.forge);
    let forge = forge.ok_or_else(|| forge_not_configured(id))?.with_review_id(run.id.as_str());
    let pull = ConvergeRunContext {
        run: &run.id,
        repo,
        number: id.number,
        forge: (&id.forge, &forge),
        git: &context.git,
        mirrors_folder: &context.mirrors_folder,
        setup: converging,
        limits: &context.slot_limits,
        switches: &context.switches,
    };
    let (then, end) = Box::pin(pull.step(&*context.store, lease, run, id)).await?;
    if let Some(ended) = end {
        count_run_end(context, lease.loop_kind, ended);
    }
    Ok(then)
}

/// Looks up the present name of a repository by the repository's id, and records the name. Returns `None` if
/// the forge does not show the pull request.
async fn resolve_repository_name(
    context: &ServiceContext,
    run: &RunReference,
    id: &PrId,
) -> Result<Option<String>, StepStopReason> {
    let Some(server) = context.forges.servers().get(&id.forge) else { return Ok(None) };
    let server = server.with_review_id(run.id.as_str());
    let found = async {
        let name = server.repository_by_id(&id.repository).await?.name;
        let pull = server.client(id, &name, CommentProducer::Review).pull_request().await?;
        Ok::<_, ForgeError>((name, pull))
    };
    let (name, pull) = match found.await {
        Ok(found) => found,
        Err(ForgeError::NotFound { .. } | ForgeError::Moved { .. }) => return Ok(None),
        Err(error) => {
            let stopped = StepStopReason::from_forge_error(error, context.clock.now(), READ_SETTLE_DELAY);
            return Err(stopped.with_forge_name(&id.forge));
        }
    };
    let described = SlotDescription { name: pull.name, url: pull.url, head: None };
    context.store.store_descriptions(&[(id.key(), described)]).await?;
    Ok(Some(name))
}

fn forge_not_configured(id: &PrId) -> StepStopReason {
    misconfigured_reason(format!("[forge.{}] is not configured", id.forge))
}

fn misconfigured_reason(message: String) -> StepStopReason {
    StepStopReason::StepFailed {
        failure_class: "the server is not configured for this review",
        message,
        not_before: None,
    }
}

/// Reviews the pull request of the repository with the name `repo`.
async fn run_review_step(
    context: &ServiceContext,
    lease: &Lease,
    run: &RunReference,
    id: &PrId,
    repo: &str,
    head: Option<Sha>,
) -> Result<StepOutcome, StepStopReason> {
    let unknown = || forge_not_configured(id);
    let gate = context.gate(RepositoryRef::from_key(&lease.key).with_name(repo));
    let gate = gate.with_lease(&context.store, &lease.key, lease.token);
    let gate: Arc<dyn WriteGate> = Arc::new(if lease.is_retraction { gate.for_retraction() } else { gate });
    let forge = context.forges.pull_client(&run.id, id, repo, CommentProducer::Review).ok_or_else(unknown)?;
    let server = context.forges.servers().get(&id.forge).ok_or_else(unknown)?.with_review_id(run.id.as_str());
    let remote = server.resolve_remote(&id.repository, repo, RemotePurpose::Fetch).await;
    let remote = remote
        .map_err(|error| StepStopReason::from_remote_error(error, context.clock.now(), READ_SETTLE_DELAY))?;
    let lead = lease_driver::clock_lead(&*context.store, &*context.clock).await?;
    let announced_head = head
        .zip(lease.last_event_at)
        .map(|(head, at)| AnnouncedHead { head, arrived_at: at + TimeSpan(-lead.0) });
    let served = LeasedReview {
        store: &*context.store,
        forge: &*forge,
        clock: &*context.clock,
        checkout: CheckoutContext {
            git: &context.git,
            forge: &id.forge,
            server: &server,
            mirror: &checkout::mirror_path(&context.mirrors_folder, id),
            remote: &remote,
            rules: &context.rules,
            reader: &*context.reader,
            linter_sources: &context.linter_sources,
            trust: truing_agent::verify::CacheScope::new(format!("review {}", run.key.as_str())),
        },
        agent: context.agent.as_ref(),
        limits: &context.slot_limits,
        max_inline_comments: context.max_inline_comments,
        run,
        is_requested: lease.is_requested,
        announced_head,
        gate: &gate,
        write_monitor: &context.write_monitor,
        run_counter: &context.metrics,
    };
    // The trace ends only when all work in the trace has ended, including child processes.
    let trace = telemetry::start_review_trace(&run.id, &run.key, Some(repo), Some(id.number));
    let step =
        async { if lease.is_retraction { served.publish_retractions().await } else { served.run().await } };
    let ended = with_time_limit(context.max_step_time, Box::pin(step)).with_context(trace.clone()).await;
    if let Err(stopped) = &ended {
        trace_stop(&trace, stopped);
    }
    drop(trace);
    let Err(StepStopReason::StepFailed { failure_class: class, .. }) = &ended else { return ended };
    if !lease.is_last_attempt {
        return ended;
    }
    match with_time_limit(
        context.max_step_time.min(GIVE_UP_TIMEOUT),
        Box::pin(served.publish_abandonment(class)),
    )
    .await
    {
        Ok(ReconcileOutcome::Done) => ended,
        // The step must be repeated, because comments of an earlier lease may still become visible.
        Ok(ReconcileOutcome::Settling { until }) => Ok(StepOutcome::DueAt(until, WaitReason::Settling)),
        Err(later @ (StepStopReason::RateLimited { .. } | StepStopReason::Halted)) => Err(later),
        Err(
            error @ (StepStopReason::LeaseLost
            | StepStopReason::Interrupted
            | StepStopReason::Fenced(_)
            | StepStopReason::NotFound { .. }
            | StepStopReason::HeadChanged
            | StepStopReason::StepFailed { .. }),
        ) => {
            let error = error.with_forge_name(&id.forge);
            record_event(context, run, format!("could not update the pull request: {error}")).await?;
            ended
        }
    }
}

/// Stops the work after `time`. The step then counts as failed.
async fn with_time_limit<T>(
    time: Duration,
    work: impl Future<Output = Result<T, StepStopReason>>,
) -> Result<T, StepStopReason> {
    tokio::time::timeout(time, work).await.unwrap_or_else(|_| {
        let message = format!("took longer than {} s", time.as_secs());
        Err(StepStopReason::StepFailed {
            failure_class: "the review took too long",
            message,
            not_before: None,
        })
    })
}

impl ServiceContext {
    /// Returns the driver for the leases of the service's workers.
    fn driver(&self) -> LeaseDriver<'_> {
        LeaseDriver { store: &self.store, clock: &*self.clock, limits: &self.slot_limits }
    }
}

async fn record_event(
    context: &ServiceContext,
    run: &RunReference,
    description: String,
) -> Result<(), StoreError> {
    tracing::warn!("{description}");
    let event = HistoryEvent {
        at: context.clock.now(),
        key: run.key.clone(),
        run: Some(run.id.clone()),
        description,
    };
    context.store.append_history(&[event]).await
}
