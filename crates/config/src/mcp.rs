//! Configuration of the MCP servers whose tools a model may call.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::problem::{ConfigError, ConfigProblem};
use super::secret::SecretSource;
use super::value::{ConfigValue, McpHost, parse_host};
use super::{TypedSettings, table_mismatch};

/// Section `mcp.NAME` of the configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct McpConfig {
    /// Transport to the server.
    pub transport: McpTransport,
    /// Names of the tools that a model may call; never empty.
    pub tools: Vec<String>,
    /// Timeout for the start of the server, and for each call.
    pub timeout: Duration,
    /// Maximum number of bytes of one tool result that a model receives.
    pub max_result_bytes: usize,
}

/// The transport to a server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum McpTransport {
    /// A program that Truing starts as the server.
    Program {
        /// Program and its arguments.
        command: Vec<String>,
        /// Folders that the program may read.
        readable_folders: Vec<PathBuf>,
        /// Names of the variables that the program receives from the environment.
        env_names: Vec<String>,
        /// Hosts that the program may connect to. If the list is empty, the program has no network.
        hosts: Vec<McpHost>,
    },
    /// A connection by streamable HTTP.
    Http {
        /// Address of the server.
        url: String,
        /// Bearer token of the server.
        token: Option<SecretSource>,
        /// Other headers of each request.
        headers: BTreeMap<String, SecretSource>,
    },
    /// A connection by HTTP with server-sent events.
    Sse {
        /// Address of the server.
        url: String,
        /// Bearer token of the server.
        token: Option<SecretSource>,
        /// Other headers of each request.
        headers: BTreeMap<String, SecretSource>,
    },
    /// Truing's own tools for this forge.
    InProcessForge(String),
}

/// The kind of transport in the configuration.
#[derive(Clone, Copy, PartialEq, Eq)]
enum TransportKind {
    Stdio,
    Http,
    Sse,
}

impl TransportKind {
    fn from_word(word: &str) -> Option<Self> {
        match word {
            "stdio" => Some(Self::Stdio),
            "http" => Some(Self::Http),
            "sse" => Some(Self::Sse),
            _ => None,
        }
    }
}

/// Reads the section `mcp.NAME`.
pub(super) fn read_section(settings: &TypedSettings<'_>, name: &str) -> Result<McpConfig, ConfigError> {
    let path = |key: &str| format!("mcp.{name}.{key}");
    let requirement = |key: &str, requirement: &str| match settings.setting(&path(key)) {
        Ok(setting) => {
            let (origin, requirement) = (setting.origin.clone(), requirement.to_owned());
            ConfigError::from(ConfigProblem::BadValue { origin, key: path(key), requirement })
        }
        Err(error) => error,
    };
    let transport = settings.get_if_any(&path("transport"), |value| {
        if let ConfigValue::Choice(word) = value { TransportKind::from_word(word) } else { None }
    })?;
    let command = settings.list(&path("command"))?;
    let (url, token) = (settings.url_if_any(&path("url"))?, settings.secret(&path("token"))?);
    let headers = settings.secret_table(&path("headers"))?;
    let read: Vec<PathBuf> = settings.list(&path("read"))?.into_iter().map(PathBuf::from).collect();
    let env = settings.list(&path("env"))?;
    let hosts = settings.list(&path("hosts"))?;
    let hosts = hosts.iter().map(|text| parse_host(text).map_err(|_| table_mismatch(&path("hosts"))));
    let hosts: Vec<McpHost> = hosts.collect::<Result<_, _>>()?;
    let forge = settings.text_if_any(&path("forge"))?;
    // These keys are valid only with certain kinds of transport.
    for (key, is_set, fits, ways) in [
        ("read", !read.is_empty(), !command.is_empty(), "a `command`"),
        ("env", !env.is_empty(), !command.is_empty(), "a `command`"),
        ("hosts", !hosts.is_empty(), !command.is_empty(), "a `command`"),
        ("token", token.is_some(), url.is_some(), "a `url`"),
        ("headers", !headers.is_empty(), url.is_some(), "a `url`"),
        ("transport", transport.is_some(), forge.is_none(), "a `command` or a `url`"),
    ] {
        if is_set && !fits {
            return Err(requirement(key, &format!("is valid only together with {ways}")));
        }
    }
    if token.is_some() && headers.keys().any(|name| name.eq_ignore_ascii_case("authorization")) {
        return Err(requirement(
            "headers",
            "must not set `Authorization` if `token` is set, because that header carries the token",
        ));
    }
    let server_transport = match ((!command.is_empty()).then_some(command), url, forge) {
        (None, None, None) => {
            return Err(requirement("command", "or `url` or `forge` is required"));
        }
        (Some(command), None, None) if matches!(transport, Some(TransportKind::Stdio) | None) => {
            McpTransport::Program { command, readable_folders: read, env_names: env, hosts }
        }
        (None, Some(url), None) if transport == Some(TransportKind::Sse) => {
            McpTransport::Sse { url, token, headers }
        }
        (None, Some(url), None) if transport != Some(TransportKind::Stdio) => {
            McpTransport::Http { url, token, headers }
        }
        (None, None, Some(forge)) => McpTransport::InProcessForge(forge),
        (Some(_), None, None) => {
            return Err(requirement("transport", "must be \"stdio\", because the server is a `command`"));
        }
        (None, Some(_), None) => {
            return Err(requirement(
                "transport",
                "must be \"http\" or \"sse\", because the server has a `url`",
            ));
        }
        (Some(_), Some(_), _) => {
            return Err(requirement(
                "url",
                "cannot be combined with `command`: a server has only one of the two",
            ));
        }
        (_, _, Some(_)) => {
            return Err(requirement(
                "forge",
                "cannot be combined with `command` or `url`: a server has only one of the three",
            ));
        }
    };
    let tools = settings.get_if_any(&path("tools"), |value| {
        if let ConfigValue::StringList(tools) = value { Some(tools.clone()) } else { None }
    })?;
    let tools = tools.unwrap_or_default();
    if tools.is_empty() {
        return Err(requirement("tools", "must list the tools that a model may call"));
    }
    let max_output = usize::try_from(settings.number::<i64>(&path("max_output"))?);
    Ok(McpConfig {
        transport: server_transport,
        tools,
        timeout: settings.duration(&path("timeout"))?,
        max_result_bytes: max_output.map_err(|_| table_mismatch(&path("max_output")))?,
    })
}

#[cfg(test)]
mod tests;
