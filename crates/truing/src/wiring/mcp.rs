//! Creates the MCP servers that models use in reviews, from the sections `[mcp.NAME]`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use truing_agent::mcp::client::{InProcessServer, McpServer, ServerAddress, ServerTransport};
use truing_agent::proxy::AllowedHost;
use truing_agent::sandbox::{SandboxLevel, require_level};
use truing_config::Config;
use truing_config::environment::Environment;
use truing_config::mcp::{McpConfig, McpTransport};
use truing_config::secret::SecretSource;
use truing_config::value::ConfigValue;
use truing_core::secret::SecretString as Hidden;
use truing_loops::agent;
use truing_service::mcp::OwnToolServer;
use truing_store::Store;

use super::conceal::CREDENTIAL_VARIABLES;
use crate::cli::error::CliError;

/// Name of the working folder of all MCP programs, beside the database.
const WORKING_FOLDER_NAME: &str = "mcp";

/// Returns the configured MCP servers, and Truing's own MCP servers. Starts no server and sends no request.
///
/// # Errors
/// Returns exit 2 for a missing variable or folder, or for a variable that must not be passed to a program.
/// Returns exit 3 if no sandbox is strong enough for a program.
pub(super) fn configured_servers(
    config: &Config,
    environment: &Environment,
    store: &Store,
) -> Result<(Vec<McpServer>, Vec<agent::ToolServerFactory>), CliError> {
    let is_program = |server: &McpConfig| matches!(server.transport, McpTransport::Program { .. });
    let mut sandbox_level = SandboxLevel::None;
    if config.mcp.values().any(is_program) {
        sandbox_level =
            require_level(SandboxLevel::MIN_FOR_FOREIGN_CODE, truing_loops::machine::sandbox_level())
                .map_err(|error| {
                    CliError::failure("sandbox_weak", format!("[mcp]: {error}"))
                        .hint(super::sandbox_hint())
                        .hint("or run the MCP server elsewhere, and set `url` to the server's address")
                })?;
    }
    let (mut servers, mut own) = (Vec::new(), Vec::new());
    for (name, McpConfig { transport: way, tools, timeout, max_result_bytes: max_output }) in &config.mcp {
        let server = |way| McpServer {
            name: name.clone(),
            transport: way,
            allowed_tools: tools.iter().cloned().collect(),
            timeout: *timeout,
            max_result_bytes: *max_output,
        };
        match way {
            McpTransport::Program { command, readable_folders: read, env_names: env, hosts } => {
                let variables =
                    env.iter().map(|variable| read_passed_variable(name, variable, config, environment));
                servers.push(server(ServerTransport::Program {
                    command: command.clone(),
                    sandbox_level,
                    folder: super::ensure_machine_folder(config)?.join(WORKING_FOLDER_NAME),
                    readable_paths: check_folders(name, read)?,
                    variables: variables.collect::<Result<_, _>>()?,
                    hosts: hosts.iter().map(|host| AllowedHost::public(&host.name, host.port)).collect(),
                }));
            }
            McpTransport::Http { url, token, headers } => {
                servers.push(server(ServerTransport::Http(server_address(
                    name,
                    url,
                    token.as_ref(),
                    headers,
                    environment,
                )?)));
            }
            McpTransport::Sse { url, token, headers } => {
                servers.push(server(ServerTransport::Sse(server_address(
                    name,
                    url,
                    token.as_ref(),
                    headers,
                    environment,
                )?)));
            }
            McpTransport::InProcessForge(forge) => {
                let folder = super::ensure_machine_folder(config)?;
                let at = super::forge_client(config, forge, environment, &folder)?;
                let tools = OwnToolServer {
                    // `server_for_review` replaces this transport for each review.
                    server: server(ServerTransport::InProcess(InProcessServer::without_tools())),
                    forge: forge.clone(),
                    forge_client: at,
                    mirrors_folder: super::mirrors_folder(&folder),
                    store: store.as_record_store(),
                    git: super::git_options(environment),
                };
                own.push(Box::new(move |forge: &str, repository: &str, review: &str| {
                    tools.server_for_review(forge, repository, review)
                }) as agent::ToolServerFactory);
            }
        }
    }
    Ok((servers, own))
}

fn check_folders(name: &str, folders: &[PathBuf]) -> Result<Vec<PathBuf>, CliError> {
    match folders.iter().find(|folder| !folder.is_absolute() || !folder.is_dir()) {
        Some(folder) => {
            let message =
                format!("mcp.{name}.read: `{}` is not the full path of an existing folder", folder.display());
            Err(CliError::usage("no_folder", message)
                .hint("specify the full path of each folder, without `~`"))
        }
        None => Ok(folders.to_owned()),
    }
}

/// Reads a variable that is passed to an external program.
fn read_passed_variable(
    name: &str,
    variable: &str,
    config: &Config,
    environment: &Environment,
) -> Result<(String, Hidden), CliError> {
    let wrong = |reason: String| CliError::usage("mcp_variable", format!("mcp.{name}.env: {reason}"));
    let keeps = |value: &ConfigValue| {
        value
            .secret_sources()
            .iter()
            .any(|secret| matches!(secret, SecretSource::Env(kept) if kept == variable))
    };
    let is_ours = variable.starts_with("TRUING_")
        || CREDENTIAL_VARIABLES.contains(&variable)
        || config.settings().any(|(_, setting)| keeps(&setting.value));
    if is_ours {
        return Err(wrong(format!(
            "{variable} contains a credential of Truing, which Truing passes to no MCP server"
        ))
        .hint("store a credential for this server in another variable, and use that variable"));
    }
    match environment.get(variable).and_then(|value| value.to_str()) {
        Some(value) => Ok((variable.to_owned(), Hidden::new(value))),
        None => Err(wrong(format!("variable {variable} is not set, or not UTF-8"))
            .hint("set the variable, or remove it from `env`")),
    }
}

fn server_address(
    name: &str,
    url: &str,
    token: Option<&SecretSource>,
    headers: &BTreeMap<String, SecretSource>,
    environment: &Environment,
) -> Result<ServerAddress, CliError> {
    let read = |secret: &SecretSource| match secret.read(environment) {
        Ok(token) => Ok(Hidden::new(token.expose())),
        Err(error) => Err(CliError::usage("mcp_token", format!("mcp.{name}.token: {error}"))
            .hint("set the configured variable or file to the server's token, or remove `token`")),
    };
    let mut address = ServerAddress::new(url, token.map(read).transpose()?);
    for (header, secret) in headers {
        let wrong = |reason: String| {
            CliError::usage("mcp_header", format!("mcp.{name}.headers.{header:?}: {reason}")).hint(
                "set the configured variable or file to the header's value, in one line, or remove \
                    the header",
            )
        };
        let value = secret.read(environment).map_err(|error| wrong(error.to_string()))?;
        address
            .add_header(header, &Hidden::new(value.expose()))
            .map_err(|error| wrong(format!("{secret}: {error}")))?;
    }
    Ok(address)
}
