//! One server while a run lasts: how it is begun, asked, and ended.

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
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use super::ServerTransport;
use super::bound::{BoundedLines, ServerMeter, ServerOverflow};
use super::sse::SseTransport;
use super::web::{WebClient, WebError, chain};
use crate::command::{CapturedOutput, CommandBounds, OutputSink as _, begin, socket};
use crate::mcp::MAX_MESSAGE;
use crate::proxy::EgressProxy;
use crate::sandbox::{COMPLAINT, JobCommand, PROXY, SandboxJob, SandboxLevel};

/// The most pages of a list of tools.
const MAX_PAGES: usize = 20;
/// How long a server may take to hear that it is over.
const LEAVE: Duration = Duration::from_secs(2);
/// Bytes of a pipe within this process.
const PIPE: usize = 64 << 10;
/// A program that was started without a way to speak with it.
const NO_STREAMS: &str = "it has no streams";
/// How long the last words of a program that was ended are waited for.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A server that was begun.
pub(super) struct McpSession {
    service: McpService,
    behind: ServerHandle,
    meter: ServerMeter,
}

/// What answers, where that is ours to end.
enum ServerHandle {
    /// A program.
    Process(Box<ServerProcess>),
    /// A task of this process.
    Task(JoinHandle<()>),
    /// Others.
    Nobody,
}

/// A program in the sandbox. Letting go of it ends it, with everything that it has started.
struct ServerProcess {
    child: Child,
    /// What it says on its error stream.
    words: JoinHandle<CapturedOutput>,
    /// The proxy of its program, if it has one.
    proxy: JoinSet<()>,
}

/// Why a server is of no use.
#[derive(Debug, Default)]
pub(super) struct ServerFailure {
    /// What it did, in our words.
    pub(super) what: String,
    /// What it said of it, if it did.
    pub(super) said: String,
}

impl<T: Into<String>> From<T> for ServerFailure {
    fn from(what: T) -> Self {
        Self { what: what.into(), said: String::new() }
    }
}

/// Why a call came to nothing.
pub(super) enum CallError {
    /// The server says that it cannot be done.
    Refused(String),
    /// The server is of no use any more.
    Lost(ServerFailure),
}

impl McpSession {
    /// Begins one: the server runs, and has said what it is.
    pub(super) async fn open(
        way: &ServerTransport,
        proxy: Option<EgressProxy>,
    ) -> Result<Self, ServerFailure> {
        let meter = ServerMeter::default();
        let (began, behind) = match way {
            ServerTransport::Program { command, folder, read, variables, hosts: _ } => {
                let job = job(command, folder, read, variables)?;
                let (began, process) = match proxy {
                    None => {
                        let (mut process, writer) = ServerProcess::start(&job)?;
                        (over(process.output()?, writer, &meter).await, process)
                    }
                    Some(proxy) => {
                        let (mut process, writer) = ServerProcess::start_with(job, proxy).await?;
                        (over(process.output()?, writer, &meter).await, process)
                    }
                };
                (began, ServerHandle::Process(Box::new(process)))
            }
            ServerTransport::Within(within) => {
                let (ours, theirs) = tokio::io::duplex(PIPE);
                let task = tokio::spawn((within.0)(theirs));
                let (reader, writer) = tokio::io::split(ours);
                (over(reader, writer, &meter).await, ServerHandle::Task(task))
            }
            ServerTransport::Http(address) => {
                let web = WebClient::new(address, meter.clone())?;
                (over_http(&web, &address.url).await, ServerHandle::Nobody)
            }
            ServerTransport::Sse(address) => {
                let events =
                    SseTransport::open(WebClient::new(address, meter.clone())?, &address.url).await?;
                (begun(events).await, ServerHandle::Nobody)
            }
        };
        match began {
            Ok(service) => Ok(Self { service, behind, meter }),
            Err(why) => Err(behind.lost(why, &meter).await),
        }
    }

    /// Its tools, of which these are wanted.
    pub(super) async fn tools(&self, wanted: &BTreeSet<String>) -> Result<Vec<Tool>, ServerFailure> {
        let (mut tools, mut missing) = (Vec::new(), wanted.len());
        let mut cursor = None;
        for _ in 0..MAX_PAGES {
            let page = PaginatedRequestParams::default().with_cursor(cursor);
            let page =
                self.service.peer().list_tools(Some(page)).await.map_err(|error| match words(error) {
                    CallError::Refused(said) => {
                        ServerFailure { what: "it does not list its tools".to_owned(), said }
                    }
                    CallError::Lost(why) => why,
                })?;
            let found = page.tools.into_iter().filter(|tool| wanted.contains(tool.name.as_ref()));
            tools.extend(found.inspect(|_| missing = missing.saturating_sub(1)));
            cursor = page.next_cursor;
            if missing == 0 || cursor.is_none() {
                return Ok(tools);
            }
        }
        Err(format!("its list of tools has more than {MAX_PAGES} pages").into())
    }

    /// Calls a tool.
    pub(super) async fn call(&self, tool: &str, arguments: JsonObject) -> Result<CallToolResult, CallError> {
        let request = CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments);
        // A request for more input, or a task that goes on, is none that anybody here would answer.
        match self.service.peer().call_tool_once(request).await.map_err(words)? {
            CallToolResponse::Complete(result) => Ok(result),
            CallToolResponse::InputRequired(_) | CallToolResponse::Task(_) => Err(CallError::Refused(
                "the tool wants more than a call: that is not offered here".to_owned(),
            )),
            // What the library may know one day.
            _ => Err(CallError::Refused("the tool's answer is of no known kind".to_owned())),
        }
    }

    /// Ends what is of no use any more; why that is so, with what its program says.
    pub(super) async fn lost(self, why: ServerFailure) -> ServerFailure {
        let Self { service, behind, meter } = self;
        drop(service);
        behind.lost(why, &meter).await
    }

    /// Ends it.
    pub(super) async fn end(mut self) {
        // What does not hear it is ended below.
        let _ = self.service.close_with_timeout(LEAVE).await;
        self.behind.end().await;
    }
}

impl ServerHandle {
    async fn end(self) -> String {
        match self {
            Self::Process(process) => process.end().await,
            Self::Task(task) => {
                task.abort();
                String::new()
            }
            Self::Nobody => String::new(),
        }
    }

    /// Ends it. That it said too much comes before all other reasons.
    async fn lost(self, why: ServerFailure, meter: &ServerMeter) -> ServerFailure {
        let said = self.end().await;
        let why = if meter.is_over() { ServerFailure::from(ServerOverflow.to_string()) } else { why };
        if said.is_empty() { why } else { ServerFailure { said, ..why } }
    }
}

impl ServerProcess {
    /// Starts it, and gives what it reads from.
    fn start(job: &SandboxJob) -> Result<(Self, ChildStdin), ServerFailure> {
        let mut command = job.command().map_err(not_started)?;
        command.stdin(Stdio::piped());
        let mut process = Self::begin(command)?;
        let input = process.child.stdin.take().ok_or(NO_STREAMS)?;
        Ok((process, input))
    }

    /// The same, with a proxy as its one way out. It reads from what the proxy's socket came by.
    async fn start_with(
        mut job: SandboxJob,
        proxy: EgressProxy,
    ) -> Result<(Self, UnixStream), ServerFailure> {
        job.hears = true;
        // Node uses `HTTPS_PROXY` only with this variable.
        job.variables.push(("NODE_USE_ENV_PROXY".to_owned(), "1".to_owned()));
        let (command, listening) = job.listening(&PROXY).map_err(not_started)?;
        let mut process = Self::begin(command)?;
        let handed = socket(listening).await;
        match handed.and_then(|(socket, listening)| Ok((socket, listening.into_stream()?))) {
            Ok((socket, input)) => {
                process.proxy.spawn(proxy.serve(socket));
                Ok((process, input))
            }
            Err(error) => Err(ServerFailure { what: not_started(error), said: process.end().await }),
        }
    }

    fn output(&mut self) -> Result<ChildStdout, ServerFailure> {
        Ok(self.child.stdout.take().ok_or(NO_STREAMS)?)
    }

    fn begin(command: Command) -> Result<Self, String> {
        let mut child = begin(command).map_err(not_started)?;
        let stream = child.stderr.take();
        let words = tokio::spawn(async move {
            let mut heard =
                CapturedOutput::of(&CommandBounds { time: Duration::MAX, written: None, whole: false });
            // Beyond its bound it may write to nobody.
            let _ = heard.hear(stream).await;
            heard
        });
        Ok(Self { child, words, proxy: JoinSet::new() })
    }

    /// What it said on its error stream.
    async fn end(mut self) -> String {
        // It may have ended.
        let _ = self.child.kill().await;
        let heard = timeout(LAST_WORDS, self.words).await;
        let text = heard.ok().and_then(Result::ok).map(|heard| heard.text()).unwrap_or_default();
        text.trim().trim_start_matches(COMPLAINT).to_owned()
    }
}

fn not_started(error: impl std::fmt::Display) -> String {
    format!("it cannot be started: {error}")
}

/// A program in the sandbox, and what it may see.
fn job(
    command: &[String],
    folder: &Path,
    read: &[PathBuf],
    variables: &[(String, truing_core::secret::SecretString)],
) -> Result<SandboxJob, String> {
    // Nothing is written to it, so that all may run in the same, and nothing is left of one that is killed.
    std::fs::create_dir_all(folder).map_err(not_started)?;
    let run = JobCommand::Program(command.iter().map(Into::into).collect());
    // Only there it has no network but its own.
    let mut job = SandboxJob::new(SandboxLevel::Full, folder, run).map_err(not_started)?;
    // Event loops are woken over sockets of their own.
    job.sockets = true;
    for folder in read {
        let told =
            |error: std::io::Error| format!("it may read {}, which is not there: {error}", folder.display());
        job.read.push(folder.canonicalize().map_err(told)?);
    }
    let variables = variables.iter().map(|(name, value)| (name.clone(), value.expose().to_owned()));
    job.variables = variables.collect();
    Ok(job)
}

type ServiceResult = Result<McpService, ServerFailure>;

/// Over a pipe.
async fn over(
    reader: impl AsyncRead + Send + Unpin + 'static,
    writer: impl AsyncWrite + Send + Unpin + 'static,
    meter: &ServerMeter,
) -> ServiceResult {
    let lines = BoundedLines::new(reader, meter.clone());
    begun(AsyncRwTransport::new_client(lines, writer).with_max_line_length(MAX_MESSAGE)).await
}

/// Over streamable HTTP. A server that refuses to shake hands may be of the newest protocol, which knows no such thing: it
/// is asked again, in its own way.
async fn over_http(web: &WebClient, url: &str) -> ServiceResult {
    let transport = || {
        let config = StreamableHttpClientTransportConfig::with_uri(url)
            .control_request_timeout(LEAVE)
            .reinit_on_expired_session(false);
        StreamableHttpClientTransport::with_client(web.clone(), config)
    };
    let refused = match greeted(transport(), ClientLifecycleMode::Initialize).await {
        Err(error) if is_refusal(&error) => error,
        began => return began.map_err(|error| unbegun(&error)),
    };
    let newest = ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::V_2026_07_28] };
    greeted(transport(), newest).await.map_err(|_| unbegun(&refused))
}

/// Does the server say that it does not shake hands? One that is to be opened otherwise does not say that.
fn is_refusal(error: &ClientInitializeError) -> bool {
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

/// Shakes hands: a server that is older may answer nothing at all to the newer way to begin, and nearly all know this one.
async fn begun<T: Transport<RoleClient> + 'static>(transport: T) -> ServiceResult {
    greeted(transport, ClientLifecycleMode::Initialize).await.map_err(|error| unbegun(&error))
}

type McpService = RunningService<RoleClient, ClientConfig>;

async fn greeted<T: Transport<RoleClient> + 'static>(
    transport: T,
    how: ClientLifecycleMode,
) -> Result<McpService, ClientInitializeError> {
    let client = Implementation::new("truing", env!("CARGO_PKG_VERSION"));
    let config = ClientConfig::new(ClientCapabilities::default(), client);
    serve_client_with_lifecycle(config, QuietTransport(transport), how).await
}

/// Why a session could not be begun.
fn unbegun(error: &ClientInitializeError) -> ServerFailure {
    if let ClientInitializeError::TransportError { error, .. } = error {
        return sending(error);
    }
    if let ClientInitializeError::JsonRpcError(error) = error {
        return ServerFailure {
            what: "it does not begin a session".to_owned(),
            said: error.message.to_string(),
        };
    }
    if let ClientInitializeError::ConnectionClosed(_) = error {
        return ServerFailure::from("it ended before it had begun a session");
    }
    ServerFailure::from("it does not begin a session as the protocol says")
}

fn words(error: ServiceError) -> CallError {
    if let ServiceError::McpError(error) = error {
        return CallError::Refused(error.message.into_owned());
    }
    CallError::Lost(if let ServiceError::TransportSend(error) = error {
        sending(&error)
    } else if let ServiceError::UnexpectedResponse = error {
        "its answer is none to what it was asked".into()
    } else {
        "it ended".into()
    })
}

/// Why nothing could be sent, without the library's own words around ours.
fn sending(error: &DynamicTransportError) -> ServerFailure {
    let error = error.error.as_ref();
    match error.downcast_ref::<StreamableHttpError<WebError>>() {
        Some(StreamableHttpError::Client(error)) => error.to_string().into(),
        Some(_) | None => chain(error).into(),
    }
}

/// A transport without what nobody asked for: notices of a server are of no use to a run, and only fill logs.
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
