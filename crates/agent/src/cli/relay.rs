//! The only server that a `claude` program can reach. The server accepts model requests and tool calls,
//! passes them to the run ([`super::conversation`]) and returns the run's responses.
//!
//! Refusals use status 403: the program retries any other error status for minutes (measured with
//! [`CLI_VERSION`](truing_core::agent::CLI_VERSION)).

use std::convert::Infallible;
use std::sync::Arc;

use async_trait::async_trait;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use truing_core::line::clean_line;
use truing_core::secret::SecretString;

use super::invocation::MCP_SERVER_NAME;
use super::wire;
use crate::mcp::connections::{self, ConnectionBounds};
use crate::mcp::http::{McpEndpoint, McpResponse};
use crate::mcp::{McpTool, ToolCallResult, Toolset};
use crate::native::ToolCallOutput;
use crate::schema::MAX_QUOTED_NAME_CHARS;

/// Maximum number of bytes of a model request; the API accepts no more.
const MAX_BODY_BYTES: usize = 32 << 20;
/// Path of model requests.
const MESSAGES_PATH: &str = "/v1/messages";
/// Header that names the program's subagent; absent on requests of the main agent.
const SUBAGENT_HEADER: &str = "x-claude-code-agent-id";

/// A message from the program to the run.
pub(super) enum ProgramMessage {
    /// A request to the model.
    ModelRequest {
        headers: HeaderMap,
        body: Bytes,
        subagent: Option<String>,
        reply_sender: oneshot::Sender<RelayReply>,
    },
    /// A call of one of the run's tools.
    ToolCall { name: String, input: Value, reply_sender: oneshot::Sender<ToolCallOutput> },
}

/// The run's response to a model request.
pub(super) enum RelayReply {
    /// A response in the format of the API.
    Response { body: Vec<u8>, streams: bool },
    /// A refusal with its reason.
    Refusal(String),
}

/// The server of one run.
#[derive(Clone)]
pub(super) struct CliRelay {
    endpoint: McpEndpoint,
    tools: Arc<ToolBridge>,
}

/// The MCP tools of a run. Each call of a tool is forwarded to the run.
struct ToolBridge {
    mcp_tools: Vec<McpTool>,
    message_sender: mpsc::Sender<ProgramMessage>,
}

#[async_trait]
impl Toolset for ToolBridge {
    fn name(&self) -> &str {
        MCP_SERVER_NAME
    }

    fn instructions(&self) -> Option<&str> {
        None
    }

    fn tools(&self) -> Vec<McpTool> {
        self.mcp_tools.clone()
    }

    async fn call(&self, name: &str, input: Value) -> ToolCallResult {
        let (back, answer) = oneshot::channel();
        let call = ProgramMessage::ToolCall { name: name.to_owned(), input, reply_sender: back };
        if self.message_sender.send(call).await.is_err() {
            return ToolCallResult::from_error("the run is over");
        }
        match answer.await {
            Ok(ToolCallOutput { text, is_error, is_denied: _ }) => {
                ToolCallResult { text, structured: None, is_error }
            }
            Err(_) => ToolCallResult::from_error("the run is over"),
        }
    }
}

impl CliRelay {
    /// Builds a server that accepts only this token, and that sends the program's messages to `run`.
    pub(super) fn new(
        token: &SecretString,
        mcp_tools: Vec<McpTool>,
        message_sender: mpsc::Sender<ProgramMessage>,
    ) -> Self {
        Self {
            endpoint: McpEndpoint::new(Some(token)),
            tools: Arc::new(ToolBridge { mcp_tools, message_sender }),
        }
    }

    /// Serves all connections until the future is dropped.
    pub(super) async fn serve(self, listener: TcpListener) {
        let door = self.endpoint.clone();
        let answer = move |request: Request<Incoming>| {
            let relay = self.clone();
            async move { relay.route_request(request).await }
        };
        let knows = move |headers: &HeaderMap| door.has_valid_token(headers);
        // A server error is ignored. Without the server, the program exits, and its exit is reported.
        let _ = connections::serve_connections(listener, ConnectionBounds::default(), knows, answer).await;
    }

    async fn route_request(&self, request: Request<Incoming>) -> McpResponse {
        match (request.method(), request.uri().path()) {
            (&Method::POST, MESSAGES_PATH) if !self.endpoint.has_valid_token(request.headers()) => {
                refusal_response("the token is not valid for this run")
            }
            (&Method::POST, MESSAGES_PATH) => self.forward_to_run(request).await,
            (_, "/mcp") => self.endpoint.answer_request(self.tools.clone(), request).await,
            (&Method::HEAD, _) => build_response(StatusCode::OK, "text/plain", Vec::new()),
            (_, _) => build_response(
                StatusCode::NOT_FOUND,
                "application/json",
                wire::encode_refusal("there is no resource at this path"),
            ),
        }
    }

    async fn forward_to_run(&self, request: Request<Incoming>) -> McpResponse {
        let subagent = subagent_id(request.headers());
        let (head, body) = request.into_parts();
        let body = match Limited::new(body, MAX_BODY_BYTES).collect().await {
            Ok(body) => body.to_bytes(),
            Err(_) => return refusal_response("the request is too long or incomplete"),
        };
        let (back, reply) = oneshot::channel();
        if self
            .tools
            .message_sender
            .send(ProgramMessage::ModelRequest { headers: head.headers, body, subagent, reply_sender: back })
            .await
            .is_err()
        {
            return refusal_response("the run is over");
        }
        match reply.await {
            Ok(RelayReply::Response { body, streams: true }) => {
                build_response(StatusCode::OK, "text/event-stream", body)
            }
            Ok(RelayReply::Response { body, streams: false }) => {
                build_response(StatusCode::OK, "application/json", body)
            }
            Ok(RelayReply::Refusal(why)) => refusal_response(&why),
            Err(_) => refusal_response("the run is over"),
        }
    }
}

fn subagent_id(headers: &HeaderMap) -> Option<String> {
    headers
        .get(SUBAGENT_HEADER)
        .map(|id| clean_line(&String::from_utf8_lossy(id.as_bytes()), MAX_QUOTED_NAME_CHARS))
}

fn refusal_response(reason: &str) -> McpResponse {
    build_response(StatusCode::FORBIDDEN, "application/json", wire::encode_refusal(reason))
}

fn build_response(status: StatusCode, media_type: &'static str, body: Vec<u8>) -> McpResponse {
    let never = |never: Infallible| match never {};
    let mut answer = Response::new(Full::new(Bytes::from(body)).map_err(never).boxed());
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    answer
}
