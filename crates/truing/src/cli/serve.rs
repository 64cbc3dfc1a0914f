//! `truing serve`: the service on this machine, until it is told to stop.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use truing_core::port::Clock as _;
use truing_forge::webhook::HookSecret;
use truing_store::{LockError, ServeLock};

use super::Context;
use super::error::{CliError, Exit};
use super::runtime::{self, Told};
use crate::config::Config;
use crate::config::layer::Flag;
use crate::environment::Environment;
use crate::serve::housekeeping;
use crate::serve::ingress::Settings;
use crate::serve::notify::keep_telling;
use crate::serve::{ServeError, Service};
use crate::wiring::{self, SystemClock};

/// Serve webhooks and review pull requests
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The address to listen on, instead of server.listen
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, CliError> {
    let listen = args.listen.iter().map(|listen| Flag {
        name: "--listen",
        key: "server.listen",
        values: vec![listen.clone()],
    });
    let config = context.config(&listen.collect::<Vec<_>>())?;
    let secrets = secrets(&config, &context.environment)?;
    runtime::start()?.block_on(serve(&config, secrets, context))
}

async fn serve(
    config: &Config,
    secrets: BTreeMap<String, HookSecret>,
    context: &Context,
) -> Result<Exit, CliError> {
    let path = config.store.database()?;
    let store = wiring::open_store(path)?;
    let _lock =
        ServeLock::take(path, &config.server.listen.to_string(), SystemClock.now()).map_err(locked)?;
    let house = wiring::house(
        config,
        &context.environment,
        store,
        wiring::child_reader(config.rules.dir.as_deref())?,
    )
    .await?;
    let sinks = wiring::sinks(&config.notify, &context.environment)?;
    let operations = house.store.clone();
    let listener = TcpListener::bind(config.server.listen).await.map_err(|error| {
        CliError::failed("listen", format!("cannot listen on {}: {error}", config.server.listen))
            .hint("stop what listens there, or choose another address: `--listen ADDR`")
    })?;
    let address = listener.local_addr().unwrap_or(config.server.listen);
    for name in config.forges.keys() {
        context.output.say(format_args!("webhooks of forge {name}: http://{address}/webhooks/{name}"));
    }
    tracing::info!(%address, database = %path.display(), "serving");
    let (tell, told) = oneshot::channel();
    let stop = async move {
        // Deaf to signals: serve on; a second signal of another kind still ends the process.
        match runtime::told_to_stop().await {
            Ok(by) => drop(tell.send(by)),
            Err(_) => std::future::pending().await,
        }
    };
    let ingress = Settings {
        trusted_proxies: config.server.trusted_proxies.clone(),
        rate_limit: config.server.rate_limit,
        ..Settings::new(secrets)
    };
    let (every, keep) = (config.server.poll, wiring::span(config.retention.audit));
    // Ends with this function.
    let mut telling = JoinSet::new();
    telling.spawn(async move { keep_telling(&operations, &sinks, every, keep).await });
    let (store, keep) = (house.store.clone(), wiring::span(config.retention.runs));
    telling.spawn(async move { housekeeping::run(&store, keep).await });
    let service = Service { house: Arc::new(house), pace: wiring::pace(config), ingress };
    service.run(listener, stop).await.map_err(|error| match error {
        ServeError::Store(error) => CliError::failed("store", error.to_string()),
    })?;
    tracing::info!("stopped");
    Ok(match told.await {
        Ok(Told::Interrupt) => Exit::Interrupted,
        Ok(Told::Terminate) | Err(_) => Exit::Done,
    })
}

/// The webhook secret of each forge: without one anybody could mark slots.
fn secrets(config: &Config, environment: &Environment) -> Result<BTreeMap<String, HookSecret>, CliError> {
    if config.forges.is_empty() {
        return Err(CliError::usage("no_forge", "no forge is configured: there is nothing to serve")
            .hint("add a section such as [forge.github] to the configuration; `truing init` writes one"));
    }
    let secret = |(name, forge): (&String, &crate::config::ForgeConfig)| {
        let text = forge.webhook_secret.read(environment).map_err(|error| {
            CliError::usage("no_webhook_secret", format!("forge.{name}.webhook_secret: {error}"))
                .hint("webhooks are taken only with a secret: set it here and at the forge's webhook")
        })?;
        Ok((name.clone(), HookSecret::new(text.expose().as_bytes())))
    };
    config.forges.iter().map(secret).collect()
}

fn locked(error: LockError) -> CliError {
    match error {
        LockError::Held { .. } => CliError::refused("already_serving", error.to_string()),
        LockError::Io { .. } => CliError::failed("lock", error.to_string()),
    }
}
