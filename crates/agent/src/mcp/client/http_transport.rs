//! HTTP requests to one server. Requests contain the server's token and headers, are limited in time and
//! size, and go to no other host.

use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{BoxStream, StreamExt as _, unfold};
use hyper::body::Bytes;
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use rmcp::model::{ClientJsonRpcMessage, JsonRpcMessage, ServerJsonRpcMessage};
use rmcp::transport::streamable_http_client::{
    SseError, StreamableHttpClient, StreamableHttpError, StreamableHttpPostResponse,
};
use sse_stream::{Sse, SseStream};
use truing_core::secret::SecretString;

use super::ServerAddress;
use super::byte_limits::{ServerLimitExceeded, ServerMeter};

/// Timeout for establishing a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Timeout of the request that ends a session.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// The media types of responses: JSON, and the event stream in the next constant.
const JSON_MEDIA_TYPE: &str = "application/json";
pub(super) const EVENT_STREAM_MEDIA_TYPE: &str = "text/event-stream";
/// The header that names a session.
const SESSION_HEADER: &str = "mcp-session-id";

/// An HTTP client for one server. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct WebClient {
    http: reqwest::Client,
    token: Option<SecretString>,
    meter: ServerMeter,
}

/// The reason why a request failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum WebError {
    /// There was no response.
    #[error("it cannot be reached: {0}")]
    Unreachable(String),
    /// The HTTP status of the response is an error.
    #[error("it answers {0}")]
    Status(StatusCode),
    /// The response is too long.
    #[error(transparent)]
    LimitExceeded(#[from] ServerLimitExceeded),
    /// The response is not JSON-RPC.
    #[error("its answer is not JSON-RPC")]
    NotJsonRpc,
}

impl From<reqwest::Error> for WebError {
    fn from(error: reqwest::Error) -> Self {
        Self::Unreachable(error_chain(&error.without_url()))
    }
}

impl From<WebError> for StreamableHttpError<WebError> {
    fn from(error: WebError) -> Self {
        Self::Client(error)
    }
}

/// Joins the messages of an error and its sources, without repetition.
pub(super) fn error_chain(error: &(dyn Error + 'static)) -> String {
    let mut all = vec![error.to_string()];
    let mut next = error.source();
    while let Some(error) = next {
        let words = error.to_string();
        if !all.iter().any(|before| before.contains(&words)) {
            all.push(words);
        }
        next = error.source();
    }
    all.join(": ")
}

impl WebClient {
    pub(super) fn new(address: &ServerAddress, meter: ServerMeter) -> Result<Self, String> {
        let mut http = reqwest::Client::builder()
            .user_agent(concat!("truing/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .default_headers(address.headers.clone())
            .connect_timeout(CONNECT_TIMEOUT);
        // The environment's proxy is not used for a server on this machine, because the proxy serves only
        // internet requests.
        let url = Url::parse(&address.url).map_err(|error| format!("its address is not a URL: {error}"))?;
        if url.host_str().is_some_and(truing_core::loopback::is_loopback) {
            http = http.no_proxy();
        }
        let http = http.build().map_err(|error| error_chain(&error))?;
        Ok(Self { http, token: address.token.clone(), meter })
    }

    /// Builds a request with the server's token.
    pub(super) fn build_request(&self, method: Method, url: &str, accepts: &'static str) -> RequestBuilder {
        let request = self.http.request(method, url).header(ACCEPT, accepts);
        match &self.token {
            Some(token) => request.bearer_auth(token.expose()),
            None => request,
        }
    }

    /// Reads the body of a response, within its bound.
    async fn read_body(&self, mut response: Response) -> Result<Vec<u8>, WebError> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            body.extend_from_slice(&chunk);
            self.meter.count(chunk.len(), body.len())?;
        }
        Ok(body)
    }

    /// Returns the events of a response. An event that is too long ends the stream with an error.
    pub(super) fn event_stream(&self, response: Response) -> BoxStream<'static, Result<Sse, SseError>> {
        let chunks = unfold(Some((response, self.meter.clone(), 0)), |state| async {
            let (mut response, meter, event) = state?;
            match response.chunk().await.map_err(WebError::from) {
                Ok(Some(chunk)) => {
                    let event = pending_event_bytes(event, &chunk);
                    match meter.count(chunk.len(), event) {
                        Ok(()) => Some((Ok(chunk), Some((response, meter, event)))),
                        Err(error) => Some((Err(WebError::from(error)), None)),
                    }
                }
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        });
        SseStream::from_bytes_stream(Box::pin(chunks)).boxed()
    }
}

/// Returns the number of bytes of the unfinished event after this chunk.
fn pending_event_bytes(event_bytes: usize, chunk: &Bytes) -> usize {
    let ends = |end: &[u8]| chunk.windows(end.len()).rposition(|part| part == end).map(|at| at + end.len());
    match ends(b"\n\n").max(ends(b"\r\n\r\n")) {
        Some(end) => chunk.len() - end,
        None => event_bytes.saturating_add(chunk.len()),
    }
}

/// Returns true if the response has this media type.
pub(super) fn has_media_type(headers: &HeaderMap, media: &str) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case(media))
}

type WebResult<T> = Result<T, StreamableHttpError<WebError>>;

impl StreamableHttpClient for WebClient {
    type Error = WebError;

    async fn post_message(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session: Option<Arc<str>>,
        _: Option<String>,
        headers: HashMap<HeaderName, HeaderValue>,
    ) -> WebResult<StreamableHttpPostResponse> {
        let mut request = self.build_request(Method::POST, &uri, "application/json, text/event-stream");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        if let Some(session) = &session {
            request = request.header(SESSION_HEADER, session.as_ref());
        }
        let response = request.json(&message).send().await.map_err(WebError::from)?;
        let status = response.status();
        let wants_answer = matches!(message, JsonRpcMessage::Request(_));
        if status.is_success() && !wants_answer {
            return Ok(StreamableHttpPostResponse::Accepted);
        }
        let own =
            response.headers().get(SESSION_HEADER).and_then(|value| value.to_str().ok()).map(str::to_owned);
        if status.is_success() && has_media_type(response.headers(), EVENT_STREAM_MEDIA_TYPE) {
            return Ok(StreamableHttpPostResponse::Sse(self.event_stream(response), own));
        }
        let is_json = has_media_type(response.headers(), JSON_MEDIA_TYPE);
        let body = self.read_body(response).await?;
        let said: Option<ServerJsonRpcMessage> =
            is_json.then(|| serde_json::from_slice(&body).ok()).flatten();
        match said {
            Some(said) if status.is_success() || matches!(said, JsonRpcMessage::Error(_)) => {
                Ok(StreamableHttpPostResponse::Json(said, own))
            }
            Some(_) | None if !status.is_success() => Err(WebError::Status(status).into()),
            Some(_) | None => Err(WebError::NotJsonRpc.into()),
        }
    }

    async fn delete_session(
        &self,
        uri: Arc<str>,
        session: Arc<str>,
        _: Option<String>,
        headers: HashMap<HeaderName, HeaderValue>,
    ) -> WebResult<()> {
        let mut request = self
            .build_request(Method::DELETE, &uri, JSON_MEDIA_TYPE)
            .header(SESSION_HEADER, session.as_ref())
            .timeout(CLOSE_TIMEOUT);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        // The response's status is ignored, because the server decides how to end its session.
        request.send().await.map_err(WebError::from)?;
        Ok(())
    }

    /// Always returns an error, because messages that a server sends without a request are not read.
    async fn get_stream(
        &self,
        _: Arc<str>,
        _: Option<Arc<str>>,
        _: Option<String>,
        _: Option<String>,
        _: HashMap<HeaderName, HeaderValue>,
    ) -> WebResult<BoxStream<'static, Result<Sse, SseError>>> {
        Err(StreamableHttpError::ServerDoesNotSupportSse)
    }
}
