//! The configuration of MCP servers, and the transports to them.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::io::DuplexStream;
use truing_core::secret::SecretString;

use crate::mcp::{Toolset, serve_pipe};
use crate::proxy::{AllowedHost, EgressProxy};
use crate::sandbox::SandboxLevel;

/// The configuration of one server.
#[derive(Clone, Debug)]
pub struct McpServer {
    /// Name of the server, which is part of the names of its tools: `mcp__NAME__TOOL`.
    pub name: String,
    pub transport: ServerTransport,
    /// The tools that may be called. All other tools are hidden.
    pub allowed_tools: BTreeSet<String>,
    /// Timeout of the server's start, and of each call.
    pub timeout: Duration,
    /// Maximum number of bytes that a model receives of one result.
    pub max_result_bytes: usize,
}

impl McpServer {
    /// Returns the proxy for network access from the server's sandbox, if any hosts are allowed.
    pub(super) fn proxy(&self) -> Option<EgressProxy> {
        match &self.transport {
            ServerTransport::Program { hosts, .. } if !hosts.is_empty() => {
                Some(EgressProxy::new(hosts.clone(), self.hosts_key()))
            }
            ServerTransport::Program { .. }
            | ServerTransport::Http(_)
            | ServerTransport::Sse(_)
            | ServerTransport::InProcess(_) => None,
        }
    }

    /// Returns the configuration key that lists the allowed hosts of the server's program.
    pub(super) fn hosts_key(&self) -> String {
        format!("mcp.{}.hosts", self.name)
    }
}

/// The transport to a server.
#[derive(Clone)]
pub enum ServerTransport {
    /// A program in the sandbox that communicates over its standard streams. The program can connect only to
    /// `hosts`, and can read only the system's programs and the folders in `read`.
    Program {
        /// The program and its arguments.
        command: Vec<String>,
        sandbox_level: SandboxLevel,
        /// The empty, read-only folder that the program runs in. The folder is created if it does not exist.
        folder: PathBuf,
        /// Folders that the program may read and run other programs from.
        readable_paths: Vec<PathBuf>,
        /// Environment variables of the program, in addition to the variables that every sandbox sets.
        variables: Vec<(String, SecretString)>,
        /// The hosts that the program may connect to through a proxy. If there are none, the program has no
        /// network at all.
        hosts: Vec<AllowedHost>,
    },
    /// A server over streamable HTTP.
    Http(ServerAddress),
    /// HTTP with server-sent events, the transport of servers before 2025.
    Sse(ServerAddress),
    /// A server in this process.
    InProcess(InProcessServer),
}

/// The address of a server, with its credentials.
#[derive(Clone, Debug)]
pub struct ServerAddress {
    pub url: String,
    /// Bearer token of each request.
    pub token: Option<SecretString>,
    /// Other headers of each request, whose values are never shown.
    pub(super) headers: HeaderMap,
}

/// The reason why a header cannot be sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum HeaderError {
    /// The name is not a valid header name.
    #[error("it is not a valid header name")]
    Name,
    /// The value has characters that a header may not have.
    #[error("it contains characters that are invalid in a header, such as a line break")]
    Value,
}

impl ServerAddress {
    /// Returns the address of a server. Requests contain the token, but no other configured headers.
    pub fn new(url: impl Into<String>, token: Option<SecretString>) -> Self {
        Self { url: url.into(), token, headers: HeaderMap::new() }
    }

    /// Adds a header to each request.
    ///
    /// # Errors
    /// [`HeaderError`] for a name or a value that HTTP does not allow. The error contains neither the name
    /// nor the value.
    pub fn add_header(&mut self, name: &str, value: &SecretString) -> Result<(), HeaderError> {
        let name: HeaderName = name.parse().map_err(|_| HeaderError::Name)?;
        let mut value = HeaderValue::from_str(value.expose()).map_err(|_| HeaderError::Value)?;
        value.set_sensitive(true);
        self.headers.insert(name, value);
        Ok(())
    }
}

/// Tools of this process, served over an in-memory pipe.
#[derive(Clone)]
pub struct InProcessServer(pub(super) Arc<dyn Fn(DuplexStream) -> ServeFuture + Send + Sync>);

pub(super) type ServeFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

impl InProcessServer {
    /// Returns a server without tools, which stops immediately.
    pub fn without_tools() -> Self {
        Self(Arc::new(|_| Box::pin(std::future::ready(()))))
    }

    /// Returns a server whose tools `make` creates for each run. If `make` returns `None`, the server stops
    /// immediately.
    pub fn new<T: Toolset, F: Future<Output = Option<T>> + Send + 'static>(
        make: impl Fn() -> F + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(move |pipe| {
            let made = make();
            Box::pin(async move {
                let (reader, writer) = tokio::io::split(pipe);
                if let Some(tools) = made.await {
                    // The result is ignored, because the session is expected to end when this process closes
                    // the other end.
                    let _ = serve_pipe(Arc::new(tools), reader, writer).await;
                }
            })
        }))
    }
}

impl fmt::Debug for ServerTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Program { command, .. } => f.debug_tuple("Program").field(command).finish(),
            Self::Http(address) => f.debug_tuple("Http").field(address).finish(),
            Self::Sse(address) => f.debug_tuple("Sse").field(address).finish(),
            Self::InProcess(_) => f.write_str("Within"),
        }
    }
}
