//! A converge run on a pull request.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use truing_core::converge::ConvergeExitCode;
use truing_core::converge::record::{ConvergeRecord, abandoned_key};
use truing_core::id::RunId;
use truing_core::port::{OperatorAction, OperatorStore as _};
use truing_core::slot::SlotLimits;
use truing_core::switch::RepositoryRef;
use truing_forge::{AnyForgeServer, ForgeServer as _};
use truing_git::{Git, Mirror};
use truing_loops::machine::{SystemClock, new_run_id};
use truing_loops::run_gate::SwitchReader;
use truing_loops::text::format_instant;
use truing_service::converge_runs::{ConvergeRunContext, ConvergeSetup};
use truing_service::manual_lease::LeaseError;
use truing_service::run_failure::RunFailure;
use truing_store::Store;

use super::local::record_failed_start;
use super::target_run::TargetRun;
use super::{ConvergeArgs, refusal_error};
use crate::cli::error::CliError;
use crate::cli::review::PullTarget;
use crate::cli::run_failure::{RunConflict, run_failure_error};
use crate::cli::target::{acquire_command_lock, actor_name, check_kill_switches, store_error};
use crate::wiring;

/// Begins a run, or resumes the run that was interrupted.
pub(super) async fn run(
    args: &ConvergeArgs,
    target_run: &TargetRun<'_>,
    target: &PullTarget,
) -> Result<(ConvergeRecord, Mirror), CliError> {
    let place = PullRunContext::open(args, target_run, target).await?;
    let (store, name) = (&place.store, place.name());
    if args.dry_run {
        return Box::pin(place.run_context().plan_run(store)).await.map_err(|error| run_error(&name, error));
    }
    let act = OperatorAction::new(&actor_name(&target_run.context.environment), "converge", &name, &name);
    store.append_audit_log(&[act]).await.map_err(store_error)?;
    let _at_work = acquire_command_lock(store, &place.limits).await?;
    // An interrupted run releases its lease, and its requests end with it.
    let stop_receiver = target_run.interrupt.clone();
    let records = store.as_record_store();
    let ended = Box::pin(place.run_context().run_by_operator(
        &records,
        place.heartbeat_interval,
        stop_receiver,
        &|progress| target_run.print_progress(progress),
    ))
    .await;
    place.record_early_failure(ended, false).await
}

/// Audits the head of the pull request once. Nothing is posted on the pull request.
pub(super) async fn audit_pull(
    args: &ConvergeArgs,
    target_run: &TargetRun<'_>,
    target: &PullTarget,
) -> Result<ConvergeRecord, CliError> {
    let place = PullRunContext::open(args, target_run, target).await?;
    let _at_work = acquire_command_lock(&place.store, &place.limits).await?;
    let ended = Box::pin(place.run_context().audit_once(&place.store, target_run.interrupt.clone())).await;
    place.record_early_failure(ended, true).await
}

/// The values that a run on a pull request needs.
struct PullRunContext<'a> {
    run: RunId,
    target: &'a PullTarget,
    store: Store,
    client: AnyForgeServer,
    git: Git,
    mirrors_folder: PathBuf,
    converge_setup: ConvergeSetup,
    limits: SlotLimits,
    switches: Arc<SwitchReader>,
    heartbeat_interval: Duration,
}

impl<'a> PullRunContext<'a> {
    async fn open(
        args: &ConvergeArgs,
        target_run: &TargetRun<'_>,
        target: &'a PullTarget,
    ) -> Result<Self, CliError> {
        let config = args.run_args.apply_to(target.config.clone())?;
        let folder = wiring::ensure_machine_folder(&config)?;
        let store = wiring::open_store(&config, &target_run.context.environment).await?;
        check_kill_switches(&store, &RepositoryRef::from_name(&target.repo)).await?;
        let environment = &target_run.context.environment;
        let run = new_run_id();
        let client = wiring::forge_client(&config, &target.forge, environment, &folder)?;
        Ok(Self {
            target,
            client: client.with_shared_rate_limits(store.shared_state()).with_review_id(run.as_str()),
            run,
            git: wiring::open_git(environment).await?,
            mirrors_folder: wiring::mirrors_folder(&folder),
            converge_setup: wiring::converge::converge_setup(config.clone(), environment, &store, None)?,
            limits: wiring::slot_limits(&config.review, config.server.lease_duration),
            heartbeat_interval: config.server.heartbeat_interval,
            switches: SwitchReader::new(store.as_record_store(), Arc::new(SystemClock)),
            store,
        })
    }

    /// Records a failure that occurred before the run had a record (ADR 56). Does nothing if the pull request
    /// is unknown.
    async fn record_early_failure<T>(
        &self,
        result: Result<T, RunFailure>,
        is_audit: bool,
    ) -> Result<T, CliError> {
        let name = self.name();
        let error = match result {
            Ok(result) => return Ok(result),
            Err(error) => error,
        };
        // These errors may occur after the run already has a record. No second record is written for them.
        let may_have_one = matches!(error, RunFailure::Store(_) | RunFailure::NotLeased(LeaseError::Step(_)));
        let error = run_error(&name, error);
        if may_have_one {
            return Err(error);
        }
        if let Ok(Some(key)) = self.store.find_pull_key(&name).await {
            record_failed_start(&self.store, abandoned_key(&key), name, is_audit, &error).await;
        }
        Err(error)
    }

    fn name(&self) -> String {
        format!("{}#{}", self.target.repo, self.target.number)
    }

    fn run_context(&self) -> ConvergeRunContext<'_> {
        ConvergeRunContext {
            run: &self.run,
            repo: &self.target.repo,
            number: self.target.number,
            forge: (&self.target.forge, &self.client),
            git: &self.git,
            mirrors_folder: &self.mirrors_folder,
            setup: &self.converge_setup,
            limits: &self.limits,
            switches: &self.switches,
        }
    }
}

fn run_error(name: &str, error: RunFailure) -> CliError {
    run_failure_error(name, error, |elsewhere| match elsewhere {
        RunConflict::Leased(until) => {
            let message = format!(
                "already running: {name} (lease until {}, renewed while it runs)",
                format_instant(until)
            );
            refusal_error(ConvergeExitCode::AlreadyRunning, &message)
                .hint(format!("wait until the run finishes: `truing why {name}` shows its progress"))
        }
        RunConflict::Running(run) => {
            refusal_error(ConvergeExitCode::AlreadyRunning, &format!("already running: {run}"))
                .hint(format!("that run is working on {name}: `truing why {name}` shows its progress"))
        }
        RunConflict::OtherLoop => refusal_error(
            ConvergeExitCode::AlreadyRunning,
            &format!("already running: another loop is working on {name}"),
        )
        .hint(format!("`truing why {name}` shows which loop")),
        RunConflict::TakenOver => refusal_error(
            ConvergeExitCode::AlreadyRunning,
            &format!("{name}: another process took over the run"),
        )
        .hint(format!("see which process, and how the run ended: `truing why {name}`")),
    })
}
