//! Servers as they are configured, and the ways to them.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::io::DuplexStream;
use truing_core::secret::SecretString;

use crate::mcp::{Toolset, over};
use crate::proxy::{AllowedHost, EgressProxy};

/// One server, as it is configured.
#[derive(Clone, Debug)]
pub struct McpServer {
    /// The part of its tools' names that is its own: `mcp__NAME__TOOL`.
    pub name: String,
    /// The way to it.
    pub way: ServerTransport,
    /// The tools that may be called. All others are as if it had none.
    pub tools: BTreeSet<String>,
    /// The time that it has to be ready, and for one call.
    pub time: Duration,
    /// The most bytes of one answer that a model is shown.
    pub most: usize,
}

impl McpServer {
    /// The way out of its sandbox, if it may have one.
    pub(super) fn proxy(&self) -> Option<EgressProxy> {
        match &self.way {
            ServerTransport::Program { hosts, .. } if !hosts.is_empty() => {
                Some(EgressProxy::new(hosts.clone(), self.hosts_key()))
            }
            ServerTransport::Program { .. }
            | ServerTransport::Http(_)
            | ServerTransport::Sse(_)
            | ServerTransport::Within(_) => None,
        }
    }

    /// The key that lists the hosts of its program.
    pub(super) fn hosts_key(&self) -> String {
        format!("mcp.{}.hosts", self.name)
    }
}

/// The way to a server.
#[derive(Clone)]
pub enum ServerTransport {
    /// A program that speaks over its standard streams, in the sandbox: without any network but these hosts, and without
    /// any file but the system's programs and these folders.
    Program {
        /// The program and its arguments.
        command: Vec<String>,
        /// The empty folder that it runs in, and cannot write to; made where there is none.
        folder: PathBuf,
        /// Folders that it may read and run programs from.
        read: Vec<PathBuf>,
        /// The variables that it finds, besides those of every sandbox.
        variables: Vec<(String, SecretString)>,
        /// The places that it may connect to, through a proxy; none: it has no network at all.
        hosts: Vec<AllowedHost>,
    },
    /// Streamable HTTP.
    Http(ServerAddress),
    /// HTTP with events, as servers spoke it before 2025.
    Sse(ServerAddress),
    /// In this process.
    Within(InProcessServer),
}

/// Where a server is.
#[derive(Clone, Debug)]
pub struct ServerAddress {
    /// Its URL.
    pub url: String,
    /// The secret that opens it.
    pub token: Option<SecretString>,
    /// Other headers of each request, none of which is shown.
    pub(super) headers: HeaderMap,
}

/// A header that cannot be sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum HeaderError {
    /// It has no name of a header.
    #[error("it is no header's name")]
    Name,
    /// Its value has other characters than a header may have.
    #[error("it holds what no header may have, such as a line break")]
    Value,
}

impl ServerAddress {
    /// A server's place, without headers beside its token's.
    pub fn new(url: impl Into<String>, token: Option<SecretString>) -> Self {
        Self { url: url.into(), token, headers: HeaderMap::new() }
    }

    /// Adds a header to each request.
    ///
    /// # Errors
    /// A name or a value that HTTP does not allow; neither is in the error.
    pub fn add_header(&mut self, name: &str, value: &SecretString) -> Result<(), HeaderError> {
        let name: HeaderName = name.parse().map_err(|_| HeaderError::Name)?;
        let mut value = HeaderValue::from_str(value.expose()).map_err(|_| HeaderError::Value)?;
        value.set_sensitive(true);
        self.headers.insert(name, value);
        Ok(())
    }
}

/// Tools of this process, served to whoever holds the other end of a pipe.
#[derive(Clone)]
pub struct InProcessServer(pub(super) Arc<dyn Fn(DuplexStream) -> ServeFuture + Send + Sync>);

pub(super) type ServeFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

impl InProcessServer {
    /// Nobody: a server that ends at once.
    pub fn none() -> Self {
        Self(Arc::new(|_| Box::pin(std::future::ready(()))))
    }

    /// The tools that this makes, for each run anew; without them, there is no server.
    pub fn new<T: Toolset, F: Future<Output = Option<T>> + Send + 'static>(
        make: impl Fn() -> F + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(move |pipe| {
            let made = make();
            Box::pin(async move {
                let (reader, writer) = tokio::io::split(pipe);
                if let Some(tools) = made.await {
                    // Its other end is ours: that it closes is how it ends.
                    let _ = over(Arc::new(tools), reader, writer).await;
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
            Self::Within(_) => f.write_str("Within"),
        }
    }
}
