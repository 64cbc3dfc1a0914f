//! Creates the context of the service from the configuration.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use truing_agent::runtime::AgentRuntime;
use truing_config::environment::Environment;
use truing_config::{Config, value};
use truing_core::port::RepositoryReader;
use truing_loops::checkout::OperatorRules;
use truing_loops::machine::SystemClock;
use truing_loops::run_gate::SwitchReader;
use truing_service::metrics::ServiceMetrics;
use truing_service::repository_filter::RepositoryFilter;
use truing_service::{ConfiguredForges, ServiceContext};
use truing_store::Store;

use super::forges::forge_server;
use super::{
    agent, converge, invalid_glob_error, line_digest_key, mirrors_folder, open_git_in, slot_limits, tools,
};
use crate::cli::error::CliError;

/// Returns the context of the service. `ledger` is the store that records costs, and temporary files are
/// written to `temp`. With `server_runtime`, all models use this runtime, and the configured runtime is not
/// checked.
///
/// # Errors
/// Returns exit 2 for an invalid configuration, and exit 3 for files that cannot be opened.
pub async fn service_context(
    config: &Config,
    environment: &Environment,
    store: Store,
    ledger: Store,
    reader: Box<dyn RepositoryReader>,
    temp: &Path,
    server_runtime: Option<&AgentRuntime>,
) -> Result<ServiceContext, CliError> {
    // The folder of the configured store is used, because the open store may be a copy without keys and
    // mirrors.
    let folder = config.store.local_data_folder()?.to_owned();
    let (mut forges, mut repositories) = (BTreeMap::new(), BTreeMap::new());
    for (name, forge) in &config.forges {
        let server = forge_server(name, forge, config, environment, &folder)?
            .with_shared_rate_limits(ledger.shared_state());
        forges.insert(name.clone(), server);
        let wanted = value::compile_repository_globs(&forge.repositories)
            .map_err(|error| CliError::usage("bad_value", format!("forge.{name}.repositories: {error}")))?;
        repositories.insert(name.clone(), wanted);
    }
    let repositories = RepositoryFilter::new(repositories);
    let repositories = if config.review.skips_existing_pulls {
        repositories.skipping_existing_pulls()
    } else {
        repositories
    };
    Ok(ServiceContext {
        forges: Box::new(ConfiguredForges(forges)),
        reader,
        clock: Arc::new(SystemClock),
        git: open_git_in(environment, temp).await?,
        mirrors_folder: mirrors_folder(&folder),
        slot_limits: slot_limits(&config.review, config.server.lease_duration),
        repository_filter: repositories,
        rules: OperatorRules::new(config.clone(), line_digest_key(config, environment)?)
            .map_err(invalid_glob_error)?,
        max_inline_comments: config.review.max_inline_comments,
        agent: agent::service_agent(config, environment, ledger, server_runtime)?,
        converge_setup: converge::service_setup(config, environment, &store, server_runtime),
        switches: SwitchReader::new(store.as_record_store(), Arc::new(SystemClock)),
        held_slots: truing_service::kill_switch::HeldSlots::default(),
        write_monitor: truing_loops::telemetry::WRITE_MONITOR.clone(),
        sweep_results: truing_service::sweep::SweepResults::default(),
        metrics: service_metrics(&store)?,
        scheduler_waker: truing_service::scheduler_waker::SchedulerWaker::default(),
        linter_sources: tools::service_linters(config, environment)?,
        duty_lease_expiry: truing_service::duty_lease::DutyLeaseExpiry::default(),
        max_step_time: truing_service::worker::MAX_STEP_TIME,
        store: store.as_record_store(),
    })
}

fn service_metrics(store: &Store) -> Result<ServiceMetrics, CliError> {
    let metrics = ServiceMetrics::new().map_err(|error| CliError::failure("metrics", error.to_string()))?;
    metrics.attach_store(store);
    Ok(metrics)
}
