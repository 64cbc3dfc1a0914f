//! The MCP servers whose tools a model may call.

use std::path::PathBuf;
use std::time::Duration;

use super::problem::{ConfigError, Problem};
use super::secret::Secret;
use super::value::Value;
use super::{Typed, bug};

/// Section `mcp.NAME`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct McpConfig {
    /// The way to it.
    pub way: McpWay,
    /// The tools that may be called; never none.
    pub tools: Vec<String>,
    /// How long it may take to be ready, and for one call.
    pub timeout: Duration,
    /// The most bytes of one answer that a model is shown.
    pub max_output: usize,
}

/// The way to a server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum McpWay {
    /// A program.
    Program {
        /// It and its arguments.
        command: Vec<String>,
        /// Folders that it may read.
        read: Vec<PathBuf>,
        /// Variables that are handed on to it.
        env: Vec<String>,
    },
    /// Streamable HTTP.
    Http {
        /// Where.
        url: String,
        /// What opens it.
        token: Option<Secret>,
    },
    /// HTTP with events.
    Sse {
        /// Where.
        url: String,
        /// What opens it.
        token: Option<Secret>,
    },
}

/// How a server is spoken to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Transport {
    Stdio,
    Http,
    Sse,
}

impl Transport {
    fn of(word: &str) -> Option<Self> {
        match word {
            "stdio" => Some(Self::Stdio),
            "http" => Some(Self::Http),
            "sse" => Some(Self::Sse),
            _ => None,
        }
    }
}

/// Section `mcp.NAME`.
pub(super) fn of(settings: &Typed<'_>, name: &str) -> Result<McpConfig, ConfigError> {
    let path = |key: &str| format!("mcp.{name}.{key}");
    let wrong = |key: &str, wrong: &str| match settings.setting(&path(key)) {
        Ok(setting) => {
            let (at, wrong) = (setting.origin.clone(), wrong.to_owned());
            ConfigError::from(Problem::BadValue { at, key: path(key), wrong })
        }
        Err(error) => error,
    };
    let transport = settings.if_any(&path("transport"), |value| {
        if let Value::Choice(word) = value { Transport::of(word) } else { None }
    })?;
    let command = settings.list(&path("command"))?;
    let (url, token) = (settings.url_if_any(&path("url"))?, settings.secret(&path("token"))?);
    let read: Vec<PathBuf> = settings.list(&path("read"))?.into_iter().map(PathBuf::from).collect();
    let env = settings.list(&path("env"))?;
    let way = match (url, transport) {
        (None, _) if command.is_empty() => {
            return Err(wrong("command", "or `url` has to be said: what the server is"));
        }
        (Some(_), _) if !command.is_empty() => {
            return Err(wrong("url", "does not go with `command`: a server is one of the two"));
        }
        (None, Some(Transport::Http | Transport::Sse)) => {
            return Err(wrong(
                "transport",
                "has to be \"stdio\": a `command` speaks over its standard streams",
            ));
        }
        (Some(_), Some(Transport::Stdio)) => {
            return Err(wrong("transport", "has to be \"http\" or \"sse\": it has a `url`"));
        }
        (None, _) if token.is_some() => {
            return Err(wrong("token", "goes with a `url`: a program is handed variables by `env`"));
        }
        (None, _) => McpWay::Program { command, read, env },
        (Some(_), _) if !read.is_empty() => return Err(wrong("read", "goes with a `command`")),
        (Some(_), _) if !env.is_empty() => return Err(wrong("env", "goes with a `command`")),
        (Some(url), Some(Transport::Sse)) => McpWay::Sse { url, token },
        (Some(url), Some(Transport::Http) | None) => McpWay::Http { url, token },
    };
    let tools = settings.if_any(&path("tools"), |value| {
        if let Value::List(tools) = value { Some(tools.clone()) } else { None }
    })?;
    let tools = tools.unwrap_or_default();
    if tools.is_empty() {
        return Err(wrong("tools", "has to name the tools that a model may call"));
    }
    let max_output = usize::try_from(settings.number::<i64>(&path("max_output"))?);
    Ok(McpConfig {
        way,
        tools,
        timeout: settings.duration(&path("timeout"))?,
        max_output: max_output.map_err(|_| bug(&path("max_output")))?,
    })
}
