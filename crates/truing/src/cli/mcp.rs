//! The command `truing mcp`: serves Truing's tools to other agents over the Model Context Protocol.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use truing_agent::mcp::http::McpEndpoint;
use truing_agent::mcp::{Toolset, serve_stdio};
use truing_config::Config;
use truing_config::secret::SecretSource;
use truing_git::Git;
use truing_loops::machine::new_run_id;
use truing_service::mcp::{ForgeTools, ForgeToolsParts, LocalClone};

use super::CommandContext;
use super::error::{CliError, CommandExit};
use super::review::RepositoryTarget;
use super::runtime::{self, StopSignal, StopSignals};
use crate::wiring;

/// Offer tools to agents, over the Model Context Protocol
#[derive(clap::Args, Debug)]
pub struct McpArgs {
    #[command(subcommand)]
    action: McpCommand,
}

/// The command to run.
#[derive(clap::Subcommand, Debug)]
enum McpCommand {
    Serve(McpServeArgs),
}

/// Serve the tools of a forge: read its pull requests, comment on them
///
/// No tool creates, approves, merges or declines a pull request. Each comment is posted only once, even if
/// the tool is called repeatedly. No comment is posted while the kill switch is on. The forge's credentials
/// are known only to this process.
#[derive(clap::Args, Debug)]
struct McpServeArgs {
    /// The `NAME` of the `[forge.NAME]` to serve
    #[arg(long, value_name = "NAME")]
    forge: String,
    /// Serve over standard input and output, until they are closed [default]
    #[arg(long, conflicts_with = "listen")]
    stdio: bool,
    /// Serve over HTTP at this address. Clients must send the session's token as `Authorization: Bearer`
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// The file that holds the session's token [default: the variable MCP_TOKEN]
    #[arg(long, value_name = "FILE", requires = "listen")]
    token_file: Option<PathBuf>,
    /// The X-Review-Id of calls to the forge; an HTTP request can set another id [default: a new id]
    #[arg(long, value_name = "ID", value_parser = parse_review_id)]
    review_id: Option<String>,
}

/// Environment variable with the token of the session.
const TOKEN_VARIABLE: &str = "MCP_TOKEN";
/// Minimum number of bytes of a session's token, so that the token cannot be guessed.
const MIN_TOKEN_BYTES: usize = 16;
/// Header that contains the id of a review.
const REVIEW_ID_HEADER: &str = "x-review-id";
/// Maximum characters of a review's id.
const MAX_REVIEW_ID_CHARS: usize = 128;
/// Maximum time that a stopping process waits for an unfinished read from a terminal. Such a read cannot be
/// interrupted.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_millis(100);

pub(crate) fn run(args: &McpArgs, context: &CommandContext) -> Result<CommandExit, CliError> {
    match &args.action {
        McpCommand::Serve(serve) => {
            let runtime = runtime::start()?;
            let ended = runtime.block_on(serve.run(context));
            runtime.shutdown_within(SHUTDOWN_TIMEOUT);
            ended
        }
    }
}

impl McpServeArgs {
    async fn run(&self, context: &CommandContext) -> Result<CommandExit, CliError> {
        let mut config = context.config(&[])?;
        // The other forges are removed, because they are not used and may have no token.
        config.forges.retain(|name, _| *name == self.forge);
        if !config.forges.contains_key(&self.forge) {
            let usage_error =
                CliError::usage("forge", format!("--forge: [forge.{}] is not configured", self.forge));
            return Err(usage_error.hint("choose one of the sections [forge.NAME] of the configuration"));
        }
        let token = self.listen.map(|_| self.read_token(context)).transpose()?;
        let mut signals = StopSignals::new()?;
        let folder = wiring::ensure_machine_folder(&config)?;
        let git = wiring::open_git(&context.environment).await?;
        let server = wiring::forge_client(&config, &self.forge, &context.environment, &folder)?;
        let local_clone = find_local_clone(&self.forge, &git, &config, context).await;
        let store = wiring::open_store(&config, &context.environment).await?;
        let parts = ForgeToolsParts {
            name: self.forge.clone(),
            server: server.with_shared_rate_limits(store.shared_state()),
            local_clone,
            git,
            mirrors_folder: wiring::mirrors_folder(&folder),
            store: store.as_record_store(),
        };
        let review = self.review_id.clone().unwrap_or_else(|| new_run_id().to_string());
        let tools = ForgeTools::new(parts).for_review(&review);
        tracing::info!(forge = self.forge, review_id = review, tools = tools.tools().len(), "serving tools");
        let serving = async {
            match (self.listen, token) {
                (Some(address), Some(token)) => serve_tools(address, &token, tools, context).await,
                (Some(_) | None, _) => serve_stdio(Arc::new(tools)).await.map_err(|error| {
                    CliError::failure("mcp", error.to_string()).hint("start this command from an MCP client")
                }),
            }
        };
        tokio::select! {
            served = serving => served.map(|()| CommandExit::Success),
            usage_error = signals.next_signal() => Ok(match usage_error {
                StopSignal::Interrupt => CommandExit::Interrupted,
                StopSignal::Terminate | StopSignal::HangUp => CommandExit::Success,
            }),
        }
    }

    /// Reads the session's token. The token is not an argument, because every user of a machine can see the
    /// arguments of processes.
    fn read_token(&self, context: &CommandContext) -> Result<truing_core::secret::SecretString, CliError> {
        let from = match &self.token_file {
            Some(file) => SecretSource::File(context.environment.directory().join(file)),
            None => SecretSource::Env(TOKEN_VARIABLE.to_owned()),
        };
        let hint = format!(
            "create a token (`openssl rand -hex 32`), and pass the token in {TOKEN_VARIABLE} or with \
                --token-file FILE"
        );
        let wrong = |reason: String| {
            CliError::usage("no_token", format!("the session's token: {reason}")).hint(&hint)
        };
        let token = from.read(&context.environment).map_err(|error| wrong(error.to_string()))?;
        if token.expose().len() < MIN_TOKEN_BYTES {
            return Err(wrong(format!("{from} has fewer than {MIN_TOKEN_BYTES} characters")));
        }
        Ok(truing_core::secret::SecretString::new(token.expose()))
    }
}

async fn serve_tools(
    address: SocketAddr,
    token: &truing_core::secret::SecretString,
    tools: ForgeTools,
    context: &CommandContext,
) -> Result<(), CliError> {
    let failed = |error: std::io::Error| {
        CliError::failure("listen", format!("cannot listen on {address}: {error}"))
            .hint("stop the program that listens there, or choose another address: `--listen ADDR`")
    };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().unwrap_or(address);
    context.output.print_note(format_args!("tools: http://{bound}/mcp"));
    if !bound.ip().is_loopback() {
        context.output.warn(format_args!(
            "{bound} is reachable from other machines, and the token is sent unencrypted: put a proxy with \
             TLS in front, or listen on 127.0.0.1"
        ));
    }
    let door = McpEndpoint::new(Some(token)).with_hosts([bound.ip().to_string()]);
    let usual = Arc::new(tools);
    let chosen = move |headers: &axum::http::HeaderMap| -> Arc<dyn Toolset> {
        let named = headers.get(REVIEW_ID_HEADER).and_then(|id| parse_review_id(id.to_str().ok()?).ok());
        match named {
            Some(id) => Arc::new(usual.for_review(&id)),
            None => usual.clone(),
        }
    };
    door.serve(listener, chosen).await.map_err(failed)
}

/// Returns the repository of the current folder, if it was cloned from this forge.
async fn find_local_clone(
    forge: &str,
    git: &Git,
    config: &Config,
    context: &CommandContext,
) -> Option<LocalClone> {
    let repository = git.open_without_commits(context.environment.directory()).await.ok()?;
    let home = RepositoryTarget::from_remote(repository.origin_url()?, config, &context.environment)?;
    let branch = repository.current_branch().await.ok().flatten();
    (home.forge == forge).then_some(LocalClone { repository: home.repo, branch })
}

/// Parses a review id. A valid id is also a valid value of a header.
fn parse_review_id(text: &str) -> Result<String, String> {
    let right =
        (1..=MAX_REVIEW_ID_CHARS).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    if right {
        Ok(text.to_owned())
    } else {
        Err(format!("the id must have 1 to {MAX_REVIEW_ID_CHARS} visible ASCII characters"))
    }
}
