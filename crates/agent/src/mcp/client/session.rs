//! The session with one server during a run: its start, its calls, and its end.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use reqwest::StatusCode;
use rmcp::RoleClient;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ClientCapabilities, ClientConfig,
    Implementation, JsonObject, JsonRpcMessage, PaginatedRequestParams, ProtocolVersion,
    ServerJsonRpcMessage, Tool,
};
use rmcp::service::{
    ClientInitializeError, ClientLifecycleMode, RunningService, ServiceError, TxJsonRpcMessage,
    serve_client_with_lifecycle,
};
use rmcp::transport::async_rw::AsyncRwTransport;
use rmcp::transport::streamable_http_client::{
    StreamableHttpClientTransport, StreamableHttpClientTransportConfig, StreamableHttpError,
};
use rmcp::transport::{DynamicTransportError, Transport};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;
use tokio::process::{ChildStdin, ChildStdout};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use super::ServerTransport;
use super::byte_limits::{BoundedLines, ServerLimitExceeded, ServerMeter};
use super::http_transport::{WebClient, WebError, error_chain};
use super::sse::SseTransport;
use crate::command::{
    CapturedOutput, CommandLimits, JobProcess, OutputSink as _, spawn_child, wait_for_socket,
};
use crate::mcp::MAX_MESSAGE_BYTES;
use crate::proxy::EgressProxy;
use crate::sandbox::{HELPER_MESSAGE_PREFIX, JobCommand, PROXY_VARIABLES, SandboxJob, SandboxLevel};

/// Maximum number of pages of a list of tools.
const MAX_PAGES: usize = 20;
/// Time that a server gets to respond when its session is closed.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// Capacity, in bytes, of a pipe within this process.
const PIPE_CAPACITY_BYTES: usize = 64 << 10;
/// Error of a program that started without standard streams.
const NO_STREAMS: &str = "its standard streams are missing";
/// Time to wait for the remaining error output of a program that was killed.
const ERROR_OUTPUT_TIMEOUT: Duration = Duration::from_secs(1);

/// An open session with a server.
pub(super) struct McpSession {
    service: McpService,
    handle: ServerHandle,
    meter: ServerMeter,
}

/// The process or task that the session must stop.
enum ServerHandle {
    /// A program in the sandbox.
    Process(Box<ServerProcess>),
    /// A task of this process.
    Task(JoinHandle<()>),
    /// A remote server, which the session does not stop.
    Remote,
}

/// A program in the sandbox. Dropping the value kills the program and all processes that the program started.
struct ServerProcess {
    child: JobProcess,
    /// Reads the program's error stream.
    error_output: JoinHandle<CapturedOutput>,
    /// The task of the program's proxy, if the program has a proxy.
    proxy: JoinSet<()>,
}

/// The reason that a server cannot be used.
#[derive(Debug, Default)]
pub(super) struct ServerFailure {
    /// Description of the failure, in Truing's words.
    pub(super) description: String,
    /// The server's own output about the failure, if there was any.
    pub(super) server_output: String,
}

impl<T: Into<String>> From<T> for ServerFailure {
    fn from(value: T) -> Self {
        Self { description: value.into(), server_output: String::new() }
    }
}

/// The reason that a call failed.
pub(super) enum CallError {
    /// The server rejected the call, but the session can still be used.
    CallRejected(String),
    /// The server cannot be used any more.
    ServerFailed(ServerFailure),
}

impl McpSession {
    /// Opens a session: starts the server and completes the handshake.
    pub(super) async fn open(
        transport: &ServerTransport,
        proxy: Option<EgressProxy>,
    ) -> Result<Self, ServerFailure> {
        let meter = ServerMeter::default();
        let (began, handle) = match transport {
            ServerTransport::Program {
                command,
                sandbox_level,
                folder,
                readable_paths: read,
                variables,
                hosts: _,
            } => {
                let job = server_job(*sandbox_level, command, folder, read, variables)?;
                let (began, process) = match proxy {
                    None => {
                        let (mut process, writer) = ServerProcess::start(&job)?;
                        (connect_pipe(process.take_output()?, writer, &meter).await, process)
                    }
                    Some(proxy) => {
                        let (mut process, writer) = ServerProcess::start_with_proxy(job, proxy).await?;
                        (connect_pipe(process.take_output()?, writer, &meter).await, process)
                    }
                };
                (began, ServerHandle::Process(Box::new(process)))
            }
            ServerTransport::InProcess(within) => {
                let (ours, theirs) = tokio::io::duplex(PIPE_CAPACITY_BYTES);
                let task = tokio::spawn((within.0)(theirs));
                let (reader, writer) = tokio::io::split(ours);
                (connect_pipe(reader, writer, &meter).await, ServerHandle::Task(task))
            }
            ServerTransport::Http(address) => {
                let web = WebClient::new(address, meter.clone())?;
                (connect_http(&web, &address.url).await, ServerHandle::Remote)
            }
            ServerTransport::Sse(address) => {
                let events =
                    SseTransport::open(WebClient::new(address, meter.clone())?, &address.url).await?;
                (open_service(events).await, ServerHandle::Remote)
            }
        };
        match began {
            Ok(service) => Ok(Self { service, handle, meter }),
            Err(why) => Err(handle.stop_after_failure(why, &meter).await),
        }
    }

    /// Lists the server's tools until all `tool_names` are found or the list ends.
    pub(super) async fn tools(&self, tool_names: &BTreeSet<String>) -> Result<Vec<Tool>, ServerFailure> {
        let (mut tools, mut missing) = (Vec::new(), tool_names.len());
        let mut cursor = None;
        for _ in 0..MAX_PAGES {
            let page = PaginatedRequestParams::default().with_cursor(cursor);
            let page =
                self.service.peer().list_tools(Some(page)).await.map_err(|error| {
                    match call_error(error) {
                        CallError::CallRejected(server_output) => ServerFailure {
                            description: "it rejected the request for its list of tools".to_owned(),
                            server_output,
                        },
                        CallError::ServerFailed(why) => why,
                    }
                })?;
            let found = page.tools.into_iter().filter(|tool| tool_names.contains(tool.name.as_ref()));
            tools.extend(found.inspect(|_| missing = missing.saturating_sub(1)));
            cursor = page.next_cursor;
            if missing == 0 || cursor.is_none() {
                return Ok(tools);
            }
        }
        Err(format!("its list of tools has more than {MAX_PAGES} pages").into())
    }

    /// Calls a tool and returns its result.
    pub(super) async fn call(&self, tool: &str, arguments: JsonObject) -> Result<CallToolResult, CallError> {
        let request = CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments);
        // Requests for more input, and tasks that continue after the call, are not supported.
        match self.service.peer().call_tool_once(request).await.map_err(call_error)? {
            CallToolResponse::Complete(result) => Ok(result),
            CallToolResponse::InputRequired(_) | CallToolResponse::Task(_) => Err(CallError::CallRejected(
                "the tool requires more input or a task, but only simple calls are supported".to_owned(),
            )),
            // Later versions of the library may add other kinds of results.
            _ => Err(CallError::CallRejected("the tool's answer is of an unknown kind".to_owned())),
        }
    }

    /// Ends a session that failed. Returns the reason, with the program's error output.
    pub(super) async fn close_after_failure(self, reason: ServerFailure) -> ServerFailure {
        let Self { service, handle, meter } = self;
        drop(service);
        handle.stop_after_failure(reason, &meter).await
    }

    /// Ends the session and its server.
    pub(super) async fn close(mut self) {
        // A server that does not respond is killed below.
        let _ = self.service.close_with_timeout(CLOSE_TIMEOUT).await;
        self.handle.stop().await;
    }
}

impl ServerHandle {
    async fn stop(self) -> String {
        match self {
            Self::Process(process) => process.stop().await,
            Self::Task(task) => {
                task.abort();
                String::new()
            }
            Self::Remote => String::new(),
        }
    }

    /// Stops the server. If the server exceeded its byte limit, the returned reason is this limit instead of
    /// `reason`.
    async fn stop_after_failure(self, reason: ServerFailure, meter: &ServerMeter) -> ServerFailure {
        let server_output = self.stop().await;
        let reason =
            if meter.is_exceeded() { ServerFailure::from(ServerLimitExceeded.to_string()) } else { reason };
        if server_output.is_empty() { reason } else { ServerFailure { server_output, ..reason } }
    }
}

impl ServerProcess {
    /// Starts the program and returns its standard input.
    fn start(job: &SandboxJob) -> Result<(Self, ChildStdin), ServerFailure> {
        let mut command = job.command().map_err(describe_start_failure)?;
        command.stdin(Stdio::piped());
        let mut process = Self::spawn(command)?;
        let input = process.child.stdin.take().ok_or(NO_STREAMS)?;
        Ok((process, input))
    }

    /// Starts the program with a proxy as its only network access. Returns the program's standard input, a
    /// stream over which the sandbox first handed over the proxy's socket.
    async fn start_with_proxy(
        mut job: SandboxJob,
        proxy: EgressProxy,
    ) -> Result<(Self, UnixStream), ServerFailure> {
        job.has_input_stream = true;
        // Node.js ignores `HTTPS_PROXY` unless this variable is set.
        job.variables.push(("NODE_USE_ENV_PROXY".to_owned(), "1".to_owned()));
        let (command, listening) =
            job.command_with_socket(&PROXY_VARIABLES).map_err(describe_start_failure)?;
        let mut process = Self::spawn(command)?;
        let handed = wait_for_socket(listening).await;
        match handed.and_then(|(socket, listening)| Ok((socket, listening.into_stream()?))) {
            Ok((socket, input)) => {
                process.proxy.spawn(proxy.serve(socket));
                Ok((process, input))
            }
            Err(error) => Err(ServerFailure {
                description: describe_start_failure(error),
                server_output: process.stop().await,
            }),
        }
    }

    fn take_output(&mut self) -> Result<ChildStdout, ServerFailure> {
        Ok(self.child.stdout.take().ok_or(NO_STREAMS)?)
    }

    fn spawn(command: Command) -> Result<Self, String> {
        let mut child = spawn_child(command).map_err(describe_start_failure)?;
        let stream = child.stderr.take();
        let error_output = tokio::spawn(async move {
            let mut heard = CapturedOutput::new(&CommandLimits {
                time: Duration::MAX,
                write_limit: None,
                keeps_whole_output: false,
            });
            // If the error stream exceeds its limit, the rest is not read.
            let _ = heard.read_stream(stream).await;
            heard
        });
        Ok(Self { child, error_output, proxy: JoinSet::new() })
    }

    /// Kills the program and returns its error output.
    async fn stop(mut self) -> String {
        // An error is ignored, because the program may already have exited.
        let _ = self.child.kill().await;
        let heard = timeout(ERROR_OUTPUT_TIMEOUT, self.error_output).await;
        let text = heard.ok().and_then(Result::ok).map(|heard| heard.text()).unwrap_or_default();
        text.trim().trim_start_matches(HELPER_MESSAGE_PREFIX).to_owned()
    }
}

fn describe_start_failure(error: impl std::fmt::Display) -> String {
    format!("it cannot be started: {error}")
}

/// Builds the sandbox job of a server's program, with the files that it may read.
fn server_job(
    sandbox_level: SandboxLevel,
    command: &[String],
    folder: &Path,
    readable_paths: &[PathBuf],
    variables: &[(String, truing_core::secret::SecretString)],
) -> Result<SandboxJob, String> {
    // The folder is read-only for the program. All servers may therefore share it, and a killed server leaves
    // no files in it.
    std::fs::create_dir_all(folder).map_err(describe_start_failure)?;
    let run = JobCommand::Program(command.iter().map(Into::into).collect());
    let mut job = SandboxJob::new(sandbox_level, folder, run).map_err(describe_start_failure)?;
    // Sockets are allowed, because event loops use them to wake themselves.
    job.allows_sockets = true;
    for folder in readable_paths {
        let missing_folder_error = |error: std::io::Error| {
            format!("cannot find the folder {}, which its program may read: {error}", folder.display())
        };
        job.readable_paths.push(folder.canonicalize().map_err(missing_folder_error)?);
    }
    let variables = variables.iter().map(|(name, value)| (name.clone(), value.expose().to_owned()));
    job.variables = variables.collect();
    Ok(job)
}

type ServiceResult = Result<McpService, ServerFailure>;

/// Opens a session over a pipe.
async fn connect_pipe(
    reader: impl AsyncRead + Send + Unpin + 'static,
    writer: impl AsyncWrite + Send + Unpin + 'static,
    meter: &ServerMeter,
) -> ServiceResult {
    let lines = BoundedLines::new(reader, meter.clone());
    open_service(AsyncRwTransport::new_client(lines, writer).with_max_line_length(MAX_MESSAGE_BYTES)).await
}

/// Opens a session over streamable HTTP. If the server rejects the handshake, opens the session with the
/// newest protocol, which has no handshake.
async fn connect_http(web: &WebClient, url: &str) -> ServiceResult {
    let transport = || {
        let config = StreamableHttpClientTransportConfig::with_uri(url)
            .control_request_timeout(CLOSE_TIMEOUT)
            .reinit_on_expired_session(false);
        StreamableHttpClientTransport::with_client(web.clone(), config)
    };
    let refused = match initialize_client(transport(), ClientLifecycleMode::Initialize).await {
        Err(error) if is_handshake_rejection(&error) => error,
        began => return began.map_err(|error| initialize_failure(&error)),
    };
    let newest = ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::V_2026_07_28] };
    initialize_client(transport(), newest).await.map_err(|_| initialize_failure(&refused))
}

/// Returns true if the server rejects the handshake itself (400 or 404). A server that requires other
/// credentials responds with a different status.
fn is_handshake_rejection(error: &ClientInitializeError) -> bool {
    if let ClientInitializeError::TransportError { error, .. } = error {
        let error = error.error.downcast_ref::<StreamableHttpError<WebError>>();
        return matches!(
            error,
            Some(StreamableHttpError::Client(WebError::Status(
                StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND
            )))
        );
    }
    matches!(error, ClientInitializeError::JsonRpcError(_))
}

/// Opens a session with the older handshake. Nearly all servers support the older handshake, and an older
/// server may not respond to the newer handshake at all.
async fn open_service<T: Transport<RoleClient> + 'static>(transport: T) -> ServiceResult {
    initialize_client(transport, ClientLifecycleMode::Initialize)
        .await
        .map_err(|error| initialize_failure(&error))
}

type McpService = RunningService<RoleClient, ClientConfig>;

async fn initialize_client<T: Transport<RoleClient> + 'static>(
    transport: T,
    lifecycle_mode: ClientLifecycleMode,
) -> Result<McpService, ClientInitializeError> {
    let client = Implementation::new("truing", env!("CARGO_PKG_VERSION"));
    let config = ClientConfig::new(ClientCapabilities::default(), client);
    serve_client_with_lifecycle(config, QuietTransport(transport), lifecycle_mode).await
}

/// Describes the failure to open a session.
fn initialize_failure(error: &ClientInitializeError) -> ServerFailure {
    if let ClientInitializeError::TransportError { error, .. } = error {
        return send_failure(error);
    }
    if let ClientInitializeError::JsonRpcError(error) = error {
        return ServerFailure {
            description: "it refused to begin a session".to_owned(),
            server_output: error.message.to_string(),
        };
    }
    if let ClientInitializeError::ConnectionClosed(_) = error {
        return ServerFailure::from("its connection closed before a session began");
    }
    ServerFailure::from("it did not begin a session as the protocol requires")
}

fn call_error(error: ServiceError) -> CallError {
    if let ServiceError::McpError(error) = error {
        return CallError::CallRejected(error.message.into_owned());
    }
    CallError::ServerFailed(if let ServiceError::TransportSend(error) = error {
        send_failure(&error)
    } else if let ServiceError::UnexpectedResponse = error {
        "its answer does not match the request".into()
    } else {
        "it ended".into()
    })
}

/// Describes a failure to send. Returns only the cause, without the text that the library adds.
fn send_failure(error: &DynamicTransportError) -> ServerFailure {
    let error = error.error.as_ref();
    match error.downcast_ref::<StreamableHttpError<WebError>>() {
        Some(StreamableHttpError::Client(error)) => error.to_string().into(),
        Some(_) | None => error_chain(error).into(),
    }
}

/// A transport that drops a server's notifications, because a run does not use them and they would only fill
/// logs.
struct QuietTransport<T>(T);

impl<T: Transport<RoleClient>> Transport<RoleClient> for QuietTransport<T> {
    type Error = T::Error;

    fn send(
        &mut self,
        item: TxJsonRpcMessage<RoleClient>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send + 'static {
        self.0.send(item)
    }

    async fn receive(&mut self) -> Option<ServerJsonRpcMessage> {
        loop {
            let message = self.0.receive().await?;
            if !matches!(message, JsonRpcMessage::Notification(_)) {
                return Some(message);
            }
        }
    }

    async fn close(&mut self) -> Result<(), Self::Error> {
        self.0.close().await
    }
}
