//! Handles requests: rejects a request, counts its tokens, or answers it according to the script, including
//! the script's faults.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use hyper::body::Frame;
use serde_json::{Value, json};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::watch;

use super::bedrock::{self, BedrockOperation};
use super::chat;
use super::events::{self, AnswerEvent, ModelApi, PreparedAnswer};
use super::script::{DEFAULT_API_KEY, ModelFault, StreamPosition};
use super::signature::{self, MESSAGES};
use super::state::{FakeModelShared, PickedAnswer};
use crate::server::ConnectionCloseMarker;

/// Maximum size of a request's body; the API accepts 32 MB.
const MAX_BODY_BYTES: usize = 32 * 1024 * 1024;
/// Maximum number of pieces of an answer in the channel to the connection.
const MAX_BUFFERED_PIECES: usize = 16;
/// HTML error page, as a proxy would send.
const HTML_ERROR_PAGE: &str =
    "<!doctype html>\n<html><head><title>Sign in</title></head><body>Please sign in.</body></html>\n";

/// Returns the routes of the server.
pub(super) fn router(shared: Arc<FakeModelShared>) -> Router {
    Router::new().fallback(handle_request).with_state(shared)
}

async fn handle_request(State(shared): State<Arc<FakeModelShared>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    if head.method == Method::HEAD {
        return StatusCode::OK.into_response();
    }
    let Ok(body) = to_bytes(body, MAX_BODY_BYTES).await else {
        return error_response(413, "request_too_large", "Request exceeds the maximum size");
    };
    let number = shared.log_request(&head, &body);
    if shared.is_stalled(number) {
        shared.wait_until_resumed(number).await;
    }
    let mut response = answer_request(&shared, &head, &body, number).await;
    shared.record_status(number, response.status().as_u16());
    if let Ok(id) = HeaderValue::from_str(&format!("req_{number:06}")) {
        response.headers_mut().insert("request-id", id);
    }
    response
}

async fn answer_request(
    shared: &Arc<FakeModelShared>,
    head: &axum::http::request::Parts,
    body: &Bytes,
    number: u64,
) -> Response {
    if let Some((id, action)) =
        bedrock::parse_call_path(head.uri.path()).filter(|_| head.method == Method::POST)
    {
        return answer_bedrock(shared, head, body, number, &id, action).await;
    }
    if chat::is_chat_completions_path(head.uri.path()) && head.method == Method::POST {
        return answer_chat(shared, head, body, number).await;
    }
    let is_count = match (head.method.as_str(), head.uri.path()) {
        ("POST", "/v1/messages") => false,
        ("POST", "/v1/messages/count_tokens") => true,
        _ => return error_response(404, "not_found_error", "Not found"),
    };
    let key = match request_credential(head, body) {
        Ok(token) if shared.knows_oauth_token(&token) => match check_subscription_request(head, is_count) {
            Ok(()) => token,
            Err((status, kind, what)) => {
                shared.record_violation(number, what);
                return error_response(status, kind, what);
            }
        },
        Ok(key) if shared.knows_key(&key) => key,
        Ok(_) => return error_response(401, "authentication_error", "invalid x-api-key"),
        Err(what) => {
            shared.record_violation(number, what);
            return error_response(401, "authentication_error", what);
        }
    };
    let body: Value = match serde_json::from_slice(body) {
        Ok(body) => body,
        Err(error) => return error_response(400, "invalid_request_error", &format!("not JSON: {error}")),
    };
    let version = head.headers.contains_key("anthropic-version");
    let version = if version { Ok(()) } else { Err("anthropic-version: header is required".to_owned()) };
    if let Err(what) = version.and_then(|()| check_request(&body, is_count)) {
        shared.record_violation(number, &what);
        return error_response(400, "invalid_request_error", &what);
    }
    if is_count {
        return axum::Json(json!({"input_tokens": shared.count_tokens(&body)})).into_response();
    }
    match shared.pick_answer(&key, &head.headers, &body, number) {
        Some(picked) => send_answer(shared, picked, ModelApi::Messages, body["stream"] == true, number).await,
        None => {
            shared.record_violation(number, "the script has no answer left for it");
            error_response(400, "invalid_request_error", "the script has no answer left for this request")
        }
    }
}

/// Answers a request as Amazon Bedrock does.
async fn answer_bedrock(
    shared: &Arc<FakeModelShared>,
    head: &axum::http::request::Parts,
    body: &Bytes,
    number: u64,
    id: &str,
    operation: BedrockOperation,
) -> Response {
    let wrong = |what: &str| {
        shared.record_violation(number, what);
        bedrock::error_response(400, "", what)
    };
    match bedrock_credential(head, body) {
        Ok(key) if shared.knows_key(&key) => {}
        Ok(_) => {
            return bedrock::error_response(
                403,
                "UnrecognizedClientException",
                "The security token is invalid",
            );
        }
        Err(what) => {
            shared.record_violation(number, what);
            return bedrock::error_response(403, "InvalidSignatureException", what);
        }
    }
    let body = serde_json::from_slice(body).map_err(|error| error.to_string());
    let body = match body.and_then(|body: Value| bedrock::to_messages_request(&body, id, operation)) {
        Ok(body) => body,
        Err(what) => return wrong(&what),
    };
    if let Err(what) = check_request(&body, false) {
        return wrong(&what);
    }
    if operation == BedrockOperation::CountTokens {
        return axum::Json(json!({"inputTokens": shared.count_tokens(&body)})).into_response();
    }
    match shared.pick_answer(DEFAULT_API_KEY, &head.headers, &body, number) {
        Some(picked) => send_answer(shared, picked, ModelApi::Bedrock, true, number).await,
        None => wrong("the script has no answer left for it"),
    }
}

/// Answers a request as servers of Chat Completions do.
async fn answer_chat(
    shared: &Arc<FakeModelShared>,
    head: &axum::http::request::Parts,
    body: &Bytes,
    number: u64,
) -> Response {
    match chat::request_credential(head) {
        Ok(key) if shared.knows_key(&key) => {}
        Ok(_) => return chat::error_response(401, "", "Incorrect API key provided"),
        Err(what) => {
            shared.record_violation(number, what);
            return chat::error_response(401, "", what);
        }
    }
    let wrong = |what: &str| {
        shared.record_violation(number, what);
        chat::error_response(400, "", what)
    };
    let body = serde_json::from_slice(body).map_err(|error| error.to_string());
    let body = match body.and_then(|body: Value| chat::to_messages_request(&body)) {
        Ok(body) => body,
        Err(what) => return wrong(&what),
    };
    if body["stream"] != true {
        return wrong("the fake only streams");
    }
    match shared.pick_answer(DEFAULT_API_KEY, &head.headers, &body, number) {
        Some(mut picked) => {
            picked.answer.usage = chat::uncached_usage(picked.answer.usage);
            send_answer(shared, picked, ModelApi::Chat, true, number).await
        }
        None => wrong("the script has no answer left for it"),
    }
}

/// Returns the credential of a request to Amazon Bedrock: the bearer token, or `KEY` for a signature by the
/// known key.
fn bedrock_credential(head: &axum::http::request::Parts, body: &[u8]) -> Result<String, &'static str> {
    if head.headers.contains_key("x-api-key") || head.headers.contains_key("anthropic-workspace-id") {
        return Err("a header of another service");
    }
    if signature::is_signed(head) {
        let known = signature::is_signed_by_known_key(head, body, &signature::BEDROCK)?;
        return Ok(if known { DEFAULT_API_KEY.to_owned() } else { String::new() });
    }
    let token = head.headers.get("authorization").and_then(|value| value.to_str().ok());
    token.and_then(|value| value.strip_prefix("Bearer ")).map(str::to_owned).ok_or("no credential")
}

/// Returns the credential of a request. Returns an error if the request does not have exactly one credential.
/// A signature by the known key counts as [`KEY`].
fn request_credential(head: &axum::http::request::Parts, body: &[u8]) -> Result<String, &'static str> {
    let headers = &head.headers;
    if signature::is_signed(head) && !headers.contains_key("x-api-key") {
        return signature::is_signed_by_known_key(head, body, &MESSAGES)
            .map(|known| if known { DEFAULT_API_KEY.to_owned() } else { String::new() });
    }
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let bearer = text("authorization").map(|value| value.strip_prefix("Bearer ").unwrap_or(value));
    match (text("x-api-key"), bearer) {
        (Some(_), Some(_)) => Err("two credentials in one request"),
        (Some(key), None) | (None, Some(key)) => Ok(key.to_owned()),
        (None, None) => Err("no credential"),
    }
}

/// Checks a request with the token of a subscription. The API requires the name of a feature, accepts only
/// requests of `claude`, and counts no tokens. Returns the status, type and message of the error.
fn check_subscription_request(
    head: &axum::http::request::Parts,
    is_count: bool,
) -> Result<(), (u16, &'static str, &'static str)> {
    let text = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_named = |feature: &str| text("anthropic-beta").split(',').any(|name| name.trim() == feature);
    if !is_named("oauth-2025-04-20") || head.headers.contains_key("x-api-key") {
        return Err((401, "authentication_error", "OAuth authentication is currently not supported."));
    }
    if !text("user-agent").starts_with("claude-cli/") || !is_named("claude-code-20250219") {
        return Err((
            400,
            "invalid_request_error",
            "This credential is only authorized for use with Claude Code and cannot be used for other API \
            requests.",
        ));
    }
    if is_count {
        return Err((400, "invalid_request_error", "max_tokens: Extra inputs are not permitted"));
    }
    Ok(())
}

/// Checks a request as the API does. Accepts unknown keys and betas, as the API does.
fn check_request(body: &Value, is_token_count: bool) -> Result<(), String> {
    if body["model"].as_str().is_none_or(str::is_empty) {
        return Err("model: Field required".to_owned());
    }
    if !is_token_count && body["max_tokens"].as_u64().is_none_or(|tokens| tokens == 0) {
        return Err("max_tokens: Field required".to_owned());
    }
    let Some(messages) = body["messages"].as_array().filter(|messages| !messages.is_empty()) else {
        return Err("messages: at least one message is required".to_owned());
    };
    let mut calls: Vec<&str> = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        let blocks = || message["content"].as_array().into_iter().flatten();
        match message["role"].as_str() {
            Some("user") => {
                let results: Vec<&str> = blocks().filter_map(|block| block["tool_use_id"].as_str()).collect();
                if let Some(call) = calls.iter().find(|call| !results.contains(call)) {
                    return Err(format!("messages.{index}: `tool_use` {call} without `tool_result`"));
                }
                if let Some(result) = results.iter().find(|result| !calls.contains(result)) {
                    return Err(format!("messages.{index}: `tool_result` for unknown `tool_use` {result}"));
                }
                calls.clear();
            }
            Some("assistant") => {
                calls = blocks()
                    .filter(|block| block["type"] == "tool_use")
                    .filter_map(|block| block["id"].as_str())
                    .collect();
            }
            Some("system") => {}
            Some(_) | None => return Err(format!("messages.{index}.role: unknown role")),
        }
    }
    Ok(())
}

/// Returns an error response with a body in the API's format.
fn error_response(status: u16, kind: &str, message: &str) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = json!({"type": "error", "error": {"type": kind, "message": message}});
    (status, axum::Json(body)).into_response()
}

/// Returns the error type that the API sends with a status.
fn error_kind(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        504 => "timeout_error",
        529 => "overloaded_error",
        500..=599 => "api_error",
        _ => "invalid_request_error",
    }
}

async fn send_answer(
    shared: &Arc<FakeModelShared>,
    picked: PickedAnswer,
    api: ModelApi,
    is_stream: bool,
    number: u64,
) -> Response {
    let PickedAnswer { answer: ready, headers, fault } = picked;
    match &fault {
        Some(ModelFault::Status { status, error, message, headers }) => {
            let message = if message.is_empty() { "the script says so" } else { message };
            let mut response = match api {
                ModelApi::Messages if error.is_empty() => {
                    error_response(*status, error_kind(*status), message)
                }
                ModelApi::Messages => error_response(*status, error, message),
                ModelApi::Bedrock => bedrock::error_response(*status, error, message),
                ModelApi::Chat => chat::error_response(*status, error, message),
            };
            set_headers(&mut response, headers);
            return response;
        }
        Some(ModelFault::Reset) => return connection_close_response(),
        Some(ModelFault::EmptyBody) => return StatusCode::OK.into_response(),
        Some(ModelFault::Html) => return axum::response::Html(HTML_ERROR_PAGE).into_response(),
        Some(ModelFault::Slow { millis }) => tokio::time::sleep(Duration::from_millis(*millis)).await,
        Some(
            ModelFault::Truncated { .. }
            | ModelFault::Error { .. }
            | ModelFault::BadJson { .. }
            | ModelFault::Drip { .. }
            | ModelFault::Stall { .. }
            | ModelFault::Endless
            | ModelFault::Pings { .. },
        )
        | None => {}
    }
    if !is_stream {
        return match fault {
            None | Some(ModelFault::Slow { .. }) => {
                shared.record_bill(number, &ready, ready.usage.output, true);
                axum::Json(events::answer_message(&ready)).into_response()
            }
            Some(_) => connection_close_response(),
        };
    }
    let (sender, receiver) = channel(MAX_BUFFERED_PIECES);
    let (written, seen) = watch::channel(None);
    let stream = AnswerStream {
        shared: shared.clone(),
        api,
        sender,
        sent_pieces: 0,
        written_pieces: seen,
        request_number: number,
    };
    tokio::spawn(async move { stream.send(&ready, fault).await });
    let pieces = StreamBody { receiver, sent_pieces: 0, last_empty_poll: None, written_pieces: written };
    let mut response = Response::new(Body::new(pieces));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(api.content_type()));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    set_headers(&mut response, &headers);
    response
}

/// Sets the valid ones of these headers.
fn set_headers(response: &mut Response, headers: &BTreeMap<String, String>) {
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(value)) {
            response.headers_mut().insert(name, value);
        }
    }
}

fn connection_close_response() -> Response {
    let mut response = StatusCode::OK.into_response();
    response.extensions_mut().insert(ConnectionCloseMarker);
    response
}

/// A body that is sent piece by piece; an error closes the connection.
struct StreamBody {
    receiver: Receiver<io::Result<Bytes>>,
    /// Number of pieces that the connection has received from the sender.
    sent_pieces: usize,
    /// Value of `sent_pieces` when the connection last requested a piece and no piece was ready.
    last_empty_poll: Option<usize>,
    /// Number of pieces that the connection has written; `None` until the number is first known.
    written_pieces: watch::Sender<Option<usize>>,
}

impl hyper::body::Body for StreamBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let polled = self.receiver.poll_recv(cx);
        match &polled {
            Poll::Ready(_) => self.sent_pieces += 1,
            // A connection writes its data before it requests more data. After two consecutive requests for
            // which no piece is ready, the connection has therefore written all pieces.
            Poll::Pending if self.last_empty_poll == Some(self.sent_pieces) => {
                self.written_pieces.send_replace(self.last_empty_poll);
            }
            Poll::Pending => {
                self.last_empty_poll = Some(self.sent_pieces);
                cx.waker().wake_by_ref();
            }
        }
        polled.map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}

/// The premature end of a stream, because the client has disconnected or a fault ends the stream.
struct StreamEnd;

/// A stream that is being sent.
struct AnswerStream {
    shared: Arc<FakeModelShared>,
    api: ModelApi,
    sender: Sender<io::Result<Bytes>>,
    /// Number of pieces that were sent.
    sent_pieces: usize,
    /// Number of pieces that the connection has written.
    written_pieces: watch::Receiver<Option<usize>>,
    request_number: u64,
}

impl AnswerStream {
    /// Sends the events, applies the fault at its position, and bills the events that were sent.
    async fn send(mut self, answer: &PreparedAnswer, fault: Option<ModelFault>) {
        let mut written = 0;
        if self.apply_fault(&fault, StreamPosition::Headers, &[]).await.is_err() {
            return;
        }
        let events = self.api.answer_events(answer);
        for (index, event) in events.iter().enumerate() {
            if let Some(ModelFault::Drip { millis }) = fault {
                tokio::time::sleep(Duration::from_millis(millis)).await;
            }
            written += event.content_bytes;
            let is_last = index + 1 == events.len();
            // The event is billed before it is sent, because the provider has generated its tokens. The
            // provider cannot know whether a client that disconnects has received the event.
            self.bill_written(answer, written, is_last);
            if self.send_event(&event.data).await.is_err() {
                return;
            }
            let rest: &[AnswerEvent] = events.get(index + 1..).unwrap_or_default();
            let over = match event.position {
                Some(place) => self.apply_fault(&fault, place, rest).await,
                None => Ok(()),
            };
            if over.is_err() {
                return;
            }
        }
    }

    fn bill_written(&self, answer: &PreparedAnswer, content_bytes: usize, is_last: bool) {
        let content_bytes = u64::try_from(content_bytes.div_ceil(4)).unwrap_or(u64::MAX);
        let output = if is_last { answer.usage.output } else { content_bytes.min(answer.usage.output) };
        self.shared.record_bill(self.request_number, answer, output, is_last);
    }

    /// Waits until the connection has written all sent pieces, or until the connection is closed.
    async fn wait_until_flushed(&mut self) {
        let sent = self.sent_pieces;
        let _ = self.written_pieces.wait_for(|written| *written >= Some(sent)).await;
    }

    async fn send_event(&mut self, data: &Value) -> Result<(), StreamEnd> {
        self.send_piece(self.api.event(data)).await
    }

    async fn send_piece(&mut self, bytes: Vec<u8>) -> Result<(), StreamEnd> {
        self.sent_pieces += 1;
        self.sender.send(Ok(Bytes::from(bytes))).await.map_err(|_| StreamEnd)
    }

    /// Performs the fault if the fault's position is this position.
    async fn apply_fault(
        &mut self,
        fault: &Option<ModelFault>,
        position: StreamPosition,
        remaining_events: &[AnswerEvent],
    ) -> Result<(), StreamEnd> {
        match fault {
            Some(ModelFault::Truncated { after }) if *after == position => {
                let next =
                    remaining_events.first().map(|event| self.api.event(&event.data)).unwrap_or_default();
                let half = next.get(..next.len() / 2).unwrap_or_default();
                self.send_piece(half.to_vec()).await?;
                self.wait_until_flushed().await;
                let _ = self.sender.send(Err(io::Error::other("cut on purpose"))).await;
                Err(StreamEnd)
            }
            Some(ModelFault::Error { after, error, message }) if *after == position => {
                self.send_piece(self.api.error(error, message)).await?;
                Err(StreamEnd)
            }
            Some(ModelFault::BadJson { after }) if *after == position => {
                self.send_piece(self.api.bad_event()).await
            }
            Some(ModelFault::Stall { after }) if *after == position => {
                self.wait_until_flushed().await;
                self.shared.record_stalled_answer();
                self.sender.closed().await;
                Err(StreamEnd)
            }
            Some(ModelFault::Endless) if position == StreamPosition::Start => {
                self.send_piece(self.api.encode_text_block_start()).await?;
                loop {
                    self.send_piece(self.api.encode_text_delta("and so on, ")).await?;
                }
            }
            Some(ModelFault::Pings { millis }) if position == StreamPosition::Start => loop {
                self.send_piece(self.api.ping()).await?;
                tokio::time::sleep(Duration::from_millis(*millis)).await;
            },
            Some(
                ModelFault::Truncated { .. }
                | ModelFault::Error { .. }
                | ModelFault::BadJson { .. }
                | ModelFault::Stall { .. }
                | ModelFault::Endless
                | ModelFault::Pings { .. }
                | ModelFault::Drip { .. }
                | ModelFault::Slow { .. }
                | ModelFault::Status { .. }
                | ModelFault::Reset
                | ModelFault::EmptyBody
                | ModelFault::Html,
            )
            | None => Ok(()),
        }
    }
}
