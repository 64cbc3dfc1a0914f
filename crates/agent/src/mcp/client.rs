//! MCP servers that the operator has configured for a run's tools. The servers are started when the run
//! begins and stopped when it ends.
//!
//! No output of a server is trusted. Its tools are checked before a model sees them (`tool_filter`), its
//! results become plain text of limited size (`tool_result`), and its bytes and times are limited
//! (`session`). A server that cannot be started, crashes, hangs, sends too much or sends invalid data is
//! dropped. The run continues without the server and receives a [`ServerProblem`].

mod byte_limits;
mod http_transport;
mod schema;
mod server;
mod session;
mod sse;
#[cfg(test)]
mod tests;
mod tool_filter;
mod tool_result;

use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::sync::PoisonError;

use async_trait::async_trait;
use futures_util::future::join_all;
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout, timeout_at};
use truing_model::messages::ToolDefinition;
use truing_reader::redact::redact_secrets;

use truing_core::agent::MAX_OUTPUT_BYTES;

use crate::native::{RunTools, ToolCallOutput};
use crate::proxy::{ConnectionRefusal, EgressProxy, HostAccess};
pub use server::{HeaderError, InProcessServer, McpServer, ServerAddress, ServerTransport};

use server::ServeFuture;
use session::{CallError, McpSession, ServerFailure};
use tool_filter::OfferedTool;

/// Maximum number of bytes of one call's input.
const MAX_CALL_INPUT_BYTES: usize = 32 << 10;
/// Maximum number of characters of a message about a failed server.
const MAX_MESSAGE_CHARS: usize = 200;
/// Maximum number of problems that are reported for one server.
const MAX_PROBLEMS: usize = 8;

/// A problem of a server, for people: each text is one line without secrets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServerProblem {
    /// Name of the server.
    pub server: String,
    /// Description of the problem, in Truing's words.
    pub description: String,
    /// The server's own last output, if there was any. It is meant for operators, not for every reader of a
    /// review.
    pub server_output: String,
}

impl fmt::Display for ServerProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.server, self.description)
    }
}

/// The servers of one run.
#[derive(Default)]
pub struct McpServers {
    servers: Vec<RunningServer>,
    /// The tools by the name that the model uses. The value is the index of the server and the server's own
    /// name for the tool.
    tools: BTreeMap<String, (usize, String)>,
    offered_tools: Vec<ToolDefinition>,
    problems: std::sync::Mutex<Vec<ServerProblem>>,
}

/// A running server. A server that was dropped has no session.
struct RunningServer {
    config: McpServer,
    /// The proxy for network access from the server's sandbox, if network access is allowed.
    proxy: Option<EgressProxy>,
    session: Mutex<Option<McpSession>>,
}

impl McpServers {
    /// Starts all servers in parallel and requests their tools. A failure is a [`ServerProblem`], not an
    /// error.
    #[truing_core::boxed_future]
    pub async fn start(servers: &[McpServer]) -> Self {
        let mut started = Self::default();
        let proxies: Vec<Option<EgressProxy>> = servers.iter().map(McpServer::proxy).collect();
        let ready = servers.iter().zip(&proxies).map(|(config, proxy)| start_server(config, proxy.clone()));
        for ((config, ready), proxy) in servers.iter().zip(join_all(ready).await).zip(proxies) {
            let session = match ready {
                Ok((session, tools)) => {
                    started.add_tools(config, tools);
                    Some(session)
                }
                Err(why) => {
                    started.add_problem(config, &why);
                    None
                }
            };
            started.servers.push(RunningServer {
                config: config.clone(),
                proxy,
                session: Mutex::new(session),
            });
        }
        started
    }

    /// Adds the tools of a server that the caller then appends to `servers`.
    fn add_tools(&mut self, config: &McpServer, tools: Vec<rmcp::model::Tool>) {
        let (offered, wrong) = tool_filter::check_offered_tools(config, tools);
        for what in wrong.into_iter().take(MAX_PROBLEMS) {
            self.add_problem(config, &what.into());
        }
        for OfferedTool { server_tool_name: name, definition: tool } in offered {
            self.tools.insert(tool.name.clone(), (self.servers.len(), name));
            self.offered_tools.push(tool);
        }
    }

    fn add_problem(&self, config: &McpServer, reason: &ServerFailure) {
        let line = |text: &str| truing_core::line::clean_line(&redact_secrets(text), MAX_MESSAGE_CHARS);
        let problem = ServerProblem {
            server: config.name.clone(),
            description: line(&reason.description),
            server_output: line(&reason.server_output),
        };
        self.problems.lock().unwrap_or_else(PoisonError::into_inner).push(problem);
    }

    /// Logs the hosts that the server's program connected to. A refused connection is reported as a problem,
    /// because the program may have needed the connection.
    fn note_connections(&self, config: &McpServer, host_accesses: &[HostAccess]) {
        let mut refusals = 0;
        for HostAccess { host, port, refusal: refused, times, sent, received } in host_accesses {
            let (server, host) = (&config.name, truing_core::line::clean_line(host, MAX_MESSAGE_CHARS));
            let Some(refused) = refused else {
                tracing::info!(
                    event = "mcp.connected",
                    server,
                    host,
                    port,
                    times,
                    sent,
                    received,
                    "an MCP server's program has connected"
                );
                continue;
            };
            let why = refused.to_message(&config.hosts_key());
            tracing::warn!(
                event = "mcp.kept_from",
                server,
                host,
                port,
                times,
                why,
                "an MCP server's program was denied access to a host"
            );
            // An allowed host that is unreachable is not reported as a problem: the host may respond the next
            // time, and the server itself reports a failed call.
            let was_kept = !matches!(refused, ConnectionRefusal::Unreachable(_));
            refusals += usize::from(was_kept);
            if was_kept && refusals <= MAX_PROBLEMS {
                self.add_problem(
                    config,
                    &format!("its program tried to connect to {host}:{port}, which {why}").into(),
                );
            }
        }
    }

    /// Combines a run's own tools with the tools of the servers.
    pub fn combine_with<'a>(&'a self, tools: &'a dyn RunTools) -> CombinedTools<'a> {
        CombinedTools { tools, servers: self }
    }

    /// Stops all running servers. Returns the problems of all servers.
    #[truing_core::boxed_future]
    pub async fn stop(mut self) -> Vec<ServerProblem> {
        let sessions = self.servers.iter_mut().filter_map(|running| running.session.get_mut().take());
        join_all(sessions.map(|session| Box::pin(session.close()) as ServeFuture)).await;
        for RunningServer { config, proxy, .. } in &self.servers {
            if let Some(proxy) = proxy {
                self.note_connections(config, &proxy.host_accesses());
            }
        }
        self.problems.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    async fn call_tool(&self, (server_index, tool): &(usize, String), input: &Value) -> ToolCallOutput {
        let failed = |text: String| ToolCallOutput { text, is_error: true, is_denied: false };
        let Some(RunningServer { config, session, proxy: _ }) = self.servers.get(*server_index) else {
            return failed("there is no such server".to_owned());
        };
        let Value::Object(arguments) = input else {
            return failed("the input has to be an object".to_owned());
        };
        if input.to_string().len() > MAX_CALL_INPUT_BYTES {
            return failed(format!("the input is longer than {MAX_CALL_INPUT_BYTES} bytes: ask for less"));
        }
        if tool_result::holds_a_secret(input) {
            let text = "denied: the input seems to contain a secret, and secrets are not sent to MCP \
                servers";
            return ToolCallOutput { text: text.to_owned(), is_error: true, is_denied: true };
        }
        let end = Instant::now() + config.timeout;
        let busy = || {
            let time = config.timeout.as_secs_f32();
            failed(format!(
                "the server `{}` was busy with other calls and did not answer this call within {time} s: \
                    call the tool again later, or go on without this server",
                config.name
            ))
        };
        // Several models of one run share the session, so a call's timeout includes the wait for the session.
        let (mut session, has_waited) = match session.try_lock() {
            Ok(session) => (session, false),
            Err(_) => match timeout_at(end, session.lock()).await {
                Ok(session) => (session, true),
                Err(_) => return busy(),
            },
        };
        // During a call, the session is moved out of the mutex. If the call is cancelled, the session is
        // dropped, so no later call can receive the cancelled call's response.
        let Some(open) = session.take() else {
            return failed(format!("the server `{}` cannot be used any more: go on without it", config.name));
        };
        let called = timeout_at(end, open.call(tool, arguments.clone())).await;
        let lost = match called {
            Ok(Ok(result)) => {
                *session = Some(open);
                return tool_result::render_result(&result, config.max_result_bytes.min(MAX_OUTPUT_BYTES));
            }
            Ok(Err(CallError::CallRejected(why))) => {
                *session = Some(open);
                return failed(tool_result::redact_and_truncate(
                    &tool_result::strip_invisible_chars(&why),
                    config.max_result_bytes.min(MAX_OUTPUT_BYTES),
                ));
            }
            Ok(Err(CallError::ServerFailed(why))) => open.close_after_failure(why).await,
            // The call first waited for the session, so it had less than its full time. The server is not at
            // fault, and the session is kept. A late response is not mistaken for the response to another
            // call, because it contains the number of this call.
            Err(_) if has_waited => {
                *session = Some(open);
                return busy();
            }
            Err(_) => {
                open.close().await;
                format!("it did not answer a call of `{tool}` within {} s", config.timeout.as_secs_f32())
                    .into()
            }
        };
        self.add_problem(config, &lost);
        failed(format!("the server `{}` failed and cannot be used any more: go on without it", config.name))
    }
}

/// A running server and its tools.
type ServerStartResult = Result<(McpSession, Vec<rmcp::model::Tool>), ServerFailure>;

/// Starts a server and requests its tools, within its timeout.
fn start_server(
    config: &McpServer,
    proxy: Option<EgressProxy>,
) -> Pin<Box<dyn Future<Output = ServerStartResult> + Send + '_>> {
    Box::pin(async move {
        let begun = async {
            let session = McpSession::open(&config.transport, proxy).await?;
            match session.tools(&config.allowed_tools).await {
                Ok(tools) => Ok((session, tools)),
                Err(why) => Err(session.close_after_failure(why).await),
            }
        };
        timeout(config.timeout, begun).await.unwrap_or_else(|_| {
            Err(format!("it was not ready within {} s", config.timeout.as_secs_f32()).into())
        })
    })
}

/// A run's own tools, combined with those of MCP servers.
pub struct CombinedTools<'a> {
    tools: &'a dyn RunTools,
    servers: &'a McpServers,
}

#[async_trait]
impl RunTools for CombinedTools<'_> {
    fn tool_definitions(&self) -> Vec<ToolDefinition> {
        self.tools.tool_definitions().into_iter().chain(self.servers.offered_tools.iter().cloned()).collect()
    }

    async fn call(&self, name: &str, input: &Value) -> ToolCallOutput {
        match self.servers.tools.get(name) {
            // The future is boxed, because the type of a server call's future is very large.
            Some(tool) => {
                let called: Pin<Box<dyn Future<Output = ToolCallOutput> + Send + '_>> =
                    Box::pin(self.servers.call_tool(tool, input));
                called.await
            }
            None => self.tools.call(name, input).await,
        }
    }

    async fn clear_cache(&self) {
        self.tools.clear_cache().await;
    }
}
