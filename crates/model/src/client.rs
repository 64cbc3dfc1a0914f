//! Sends one request to a provider over HTTP and reads the response. The client limits the time and size of
//! the response, never follows a redirect, and classifies every failure for the retry table
//! ([`crate::retry`]).

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use jiff::Timestamp;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use tokio::time::{Instant, timeout_at};
use truing_core::line;

use crate::provider::{AttemptKeys, ModelProvider, ProviderError};
use crate::retry::{self, ErrorResponse, FailedAttempt, FailureCause};
use crate::stream::{AnswerAccumulator, CompleteResponse, StreamError, StreamProgress, UsageSoFar};
use crate::subscription::{self, ReachedUsageLimit};
use crate::text::{error_chain, parse_date};
use crate::wire::{self, ProviderCall, ProviderErrorDetail, WireFormat};

/// Maximum number of bytes that are read of the body of an error response.
const MAX_REFUSAL_BYTES: usize = 64 * 1024;
/// Maximum number of characters of a provider's message that are shown.
const MAX_QUOTED_CHARS: usize = 500;
/// Maximum number of characters of a message about unavailable credentials.
const MAX_CREDENTIAL_ERROR_CHARS: usize = 900;
const USER_AGENT: &str = concat!("truing/", env!("CARGO_PKG_VERSION"));
/// Time for which an idle connection is kept. Servers keep idle connections longer, so a request never uses a
/// connection that the server is about to close.
const IDLE_CONNECTION_TIMEOUT: Duration = Duration::from_secs(20);

/// The timeouts and the number of attempts of one call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProviderTimeouts {
    /// Maximum number of attempts of one call.
    pub max_attempts: u32,
    /// Time limit for the start of a response, counted from the first attempt of the call.
    pub response_start: Duration,
    /// Wait between the first and the second attempt. Each further wait is twice as long as the previous
    /// wait.
    pub retry_delay: Duration,
    /// Timeout for opening a connection.
    pub connect: Duration,
    /// Longest time between two chunks of a response.
    pub chunk_interval: Duration,
    /// Longest time between two chunks, not counting pings.
    pub progress_interval: Duration,
    /// Timeout of a whole response.
    pub total: Duration,
}

impl ProviderTimeouts {
    /// Returns the timeouts for servers of Chat Completions. Without a graphics card, a server may process a
    /// long prompt for minutes before it sends the first word. Some models also send nothing while they
    /// think.
    pub fn for_chat() -> Self {
        let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
        Self {
            response_start: minutes(10),
            chunk_interval: minutes(5),
            progress_interval: minutes(10),
            total: minutes(20),
            ..Self::default()
        }
    }
}

impl Default for ProviderTimeouts {
    fn default() -> Self {
        Self {
            max_attempts: 10,
            response_start: Duration::from_secs(45),
            retry_delay: retry::INITIAL_RETRY_DELAY,
            connect: Duration::from_secs(10),
            chunk_interval: Duration::from_secs(60),
            // While a model thinks and its output is hidden, the provider sends only pings.
            progress_interval: Duration::from_secs(180),
            total: Duration::from_secs(15 * 60),
        }
    }
}

/// The progress of a call. The cost of the call depends on it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum CallProgress {
    /// The request is about to be sent.
    BeforeSend,
    /// The provider has reported this usage so far.
    UsageReported(UsageSoFar),
}

/// A response, with the id that the provider gave to the request.
#[derive(Debug)]
pub(crate) struct ProviderAnswer {
    pub(crate) response: CompleteResponse,
    pub(crate) request_id: String,
    /// Limit of the subscription beyond which the provider bills this response by the token.
    pub(crate) exceeded_limit: Option<ReachedUsageLimit>,
}

/// A client of one provider.
#[derive(Debug)]
pub(crate) struct ProviderClient {
    http: reqwest::Client,
    provider: ModelProvider,
    pub(crate) timeouts: ProviderTimeouts,
}

/// A source from which the chunks of a response are read.
pub(crate) trait ChunkStream: Send {
    /// Returns the next chunk; `None` at the end. An error states why no more chunks can be read.
    fn next_chunk(&mut self) -> impl Future<Output = Result<Option<Bytes>, String>> + Send;
}

impl ChunkStream for Response {
    async fn next_chunk(&mut self) -> Result<Option<Bytes>, String> {
        self.chunk().await.map_err(|error| error_chain(&error.without_url()))
    }
}

impl ProviderClient {
    pub(crate) fn new(provider: ModelProvider, timeouts: ProviderTimeouts) -> Result<Self, ProviderError> {
        let mut http = reqwest::Client::builder()
            .user_agent(USER_AGENT)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .pool_idle_timeout(IDLE_CONNECTION_TIMEOUT)
            .connect_timeout(timeouts.connect)
            .timeout(timeouts.total.saturating_add(timeouts.response_start));
        // The environment's proxy is only for other machines, so a server on this machine is called directly.
        if provider.is_on_this_machine() {
            http = http.no_proxy();
        }
        let http = http.build().map_err(|error| ProviderError::TlsSetup(error_chain(&error)))?;
        Ok(Self { http, provider, timeouts })
    }

    /// Returns the wire format of the provider.
    pub(crate) fn wire(&self) -> &WireFormat {
        self.provider.wire()
    }

    /// Returns true if a subscription covers the cost of all requests.
    pub(crate) fn uses_subscription(&self) -> bool {
        self.provider.uses_subscription()
    }

    /// Requests one streamed response. The response must begin before the time `begin`. `on_progress`
    /// receives the progress of the call.
    pub(crate) async fn stream_answer(
        &self,
        call: ProviderCall,
        begin_deadline: Instant,
        mut on_progress: impl FnMut(CallProgress) + Send,
    ) -> Result<ProviderAnswer, FailedAttempt> {
        let mut response = self.post(call, begin_deadline, || on_progress(CallProgress::BeforeSend)).await?;
        let request_id = request_id(response.headers());
        let exceeded_limit = if self.uses_subscription() {
            subscription::limit_of_billed_answer(response.headers(), Timestamp::now())
        } else {
            None
        };
        let meter = |meter| on_progress(CallProgress::UsageReported(meter));
        let complete = read_answer(&mut response, self.wire(), &self.timeouts, begin_deadline, meter).await;
        match complete {
            Ok(complete) => Ok(ProviderAnswer { response: complete, request_id, exceeded_limit }),
            Err(failure) => Err(self.with_request_id(failure, &request_id)),
        }
    }

    /// Asks the provider how many tokens a request has. This call is free.
    pub(crate) async fn count_tokens(
        &self,
        call: ProviderCall,
        begin_deadline: Instant,
    ) -> Result<u64, FailedAttempt> {
        let mut response = self.post(call, begin_deadline, || {}).await?;
        let body = read_body_start(&mut response, begin_deadline).await;
        wire::parse_token_count(&body).map_err(|error| FailedAttempt {
            cause: FailureCause::InvalidResponse,
            message: format!(
                "the response with the token count is not as expected: {}",
                self.redact_line(&error.to_string())
            ),
        })
    }

    /// Sends a call, and returns the response if its status is 200 (OK). `on_send` is called just before each
    /// HTTP request.
    async fn post(
        &self,
        call: ProviderCall,
        begin_deadline: Instant,
        mut on_send: impl FnMut() + Send,
    ) -> Result<Response, FailedAttempt> {
        let access = self.wait_for_keys(self.provider.fetch_keys(), begin_deadline).await?;
        let mut response = self.send(&call, &access, begin_deadline, &mut on_send).await?;
        if response.status() == StatusCode::OK {
            return Ok(response);
        }
        let mut body = read_body_start(&mut response, begin_deadline).await;
        let refusal = self.wire().parse_error_response(response.headers(), &body);
        // Credentials may expire or be replaced early. The call is then repeated once with other credentials.
        let other = self.provider.replacement_keys(&access, &refusal);
        if let Some(access) = self.wait_for_keys(other, begin_deadline).await? {
            response = self.send(&call, &access, begin_deadline, &mut on_send).await?;
            if response.status() == StatusCode::OK {
                return Ok(response);
            }
            body = read_body_start(&mut response, begin_deadline).await;
        }
        let request_id = request_id(response.headers());
        Err(self
            .with_request_id(self.refusal_failure(response.status(), response.headers(), &body), &request_id))
    }

    /// Waits for credentials, at most until `begin`, the deadline by which a response must begin.
    async fn wait_for_keys<T>(
        &self,
        fetch: impl Future<Output = Result<T, FailedAttempt>> + Send,
        begin_deadline: Instant,
    ) -> Result<T, FailedAttempt> {
        match timeout_at(begin_deadline, fetch).await {
            Ok(fetched) => fetched.map_err(|failure| {
                let message = line::truncate_text(
                    self.provider.redact_secrets(&line::visible_line(&failure.message)),
                    MAX_CREDENTIAL_ERROR_CHARS,
                );
                FailedAttempt { message, ..failure }
            }),
            Err(_) => {
                let message =
                    format!("the credentials for {} did not arrive in time", self.provider.origin());
                Err(FailedAttempt { cause: FailureCause::Unsent, message })
            }
        }
    }

    /// Sends a call once, and returns the response regardless of its status.
    async fn send(
        &self,
        call: &ProviderCall,
        attempt_keys: &AttemptKeys,
        begin_deadline: Instant,
        on_send: &mut (impl FnMut() + Send),
    ) -> Result<Response, FailedAttempt> {
        let ProviderCall { path, headers, body } = call;
        let (url, mut headers) = (self.provider.url(path), headers.clone());
        let unsent = |message| FailedAttempt { cause: FailureCause::Unsent, message };
        self.provider
            .authorize_headers(attempt_keys, &url, &mut headers, body, SystemTime::now())
            .map_err(unsent)?;
        let request = self.http.post(url).headers(headers).body(body.clone());
        on_send();
        match timeout_at(begin_deadline, request.send()).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(self.connection_failure(error)),
            Err(_) => Err(FailedAttempt {
                cause: FailureCause::NoResponse,
                message: "the provider did not answer in time".to_owned(),
            }),
        }
    }

    fn connection_failure(&self, error: reqwest::Error) -> FailedAttempt {
        let is_connect = error.is_connect();
        let cause = self.redact_line(&error_chain(&error.without_url()));
        if is_connect {
            let message = format!("cannot connect to {}: {cause}", self.provider.origin());
            FailedAttempt { cause: FailureCause::Unsent, message }
        } else {
            FailedAttempt {
                cause: FailureCause::NoResponse,
                message: format!("the connection broke before an answer began: {cause}"),
            }
        }
    }

    fn refusal_failure(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> FailedAttempt {
        let refusal = self.wire().parse_error_response(headers, body);
        let at = header_text(headers, DATE.as_str()).and_then(parse_date);
        let clock = self.provider.clock_skew_hint(&refusal, at, SystemTime::now());
        let ProviderErrorDetail { kind: name, message } = refusal;
        let name = name.filter(|name| !name.is_empty());
        let kind = self.wire().error_kind(name.as_deref().unwrap_or_default(), &message);
        let status = status.as_u16();
        let retry_after = retry_after(headers);
        let limit = if self.uses_subscription() {
            subscription::limit_of_refusal(status, headers, &message, retry_after, Timestamp::now())
        } else {
            None
        };
        let words = match (name, message.is_empty()) {
            (Some(kind), false) => format!("status {status}, {kind}: {message}"),
            (Some(kind), true) => format!("status {status}, {kind}"),
            (None, false) => format!("status {status}: {message}"),
            (None, true) if (300..400).contains(&status) => {
                format!(
                    "status {status}: redirects are not followed, because they would disclose the key; is \
                     base_url right?"
                )
            }
            (None, true) => format!("status {status}"),
        };
        let words = clock.map_or_else(|| words.clone(), |clock| format!("{clock} ({words})"));
        let response = ErrorResponse {
            status,
            kind,
            retry_after,
            should_retry: header_text(headers, "x-should-retry").and_then(|value| value.parse().ok()),
        };
        let cause = limit.map_or(FailureCause::ErrorStatus(response), FailureCause::UsageLimit);
        FailedAttempt { cause, message: self.redact_line(&words) }
    }

    fn with_request_id(&self, failure: FailedAttempt, request_id: &str) -> FailedAttempt {
        let message = self.redact_line(&failure.message);
        let message =
            if request_id.is_empty() { message } else { format!("{message} (request {request_id})") };
        FailedAttempt { message, ..failure }
    }

    /// Returns a text as one line of visible characters with limited length. The API key is removed.
    fn redact_line(&self, text: &str) -> String {
        // The key is removed before the text is cut, because the cut could leave a part of the key.
        line::truncate_text(self.provider.redact_secrets(&line::visible_line(text)), MAX_QUOTED_CHARS)
    }
}

/// Reads a response from its chunks as they arrive.
pub(crate) async fn read_answer(
    chunks: &mut impl ChunkStream,
    wire: &WireFormat,
    timeouts: &ProviderTimeouts,
    begin_deadline: Instant,
    mut on_usage: impl FnMut(UsageSoFar) + Send,
) -> Result<CompleteResponse, FailedAttempt> {
    // The first bytes of the response. If the response is not a stream, they may contain an error message.
    let mut head = Vec::new();
    let mut fold = AnswerAccumulator::new(wire.stream_format());
    let end = Instant::now() + timeouts.total;
    let mut moved = None;
    let mut deadline = begin_deadline.min(end);
    loop {
        let piece = match timeout_at(deadline, chunks.next_chunk()).await {
            Ok(Ok(Some(piece))) => piece,
            Ok(Ok(None)) => return fold.finish().map_err(|broken| stream_failure(wire, broken, &head)),
            Ok(Err(message)) => {
                let message = format!("the answer broke off: {message}");
                return Err(FailedAttempt { cause: FailureCause::Truncated, message });
            }
            Err(_) => return Err(stall_failure(deadline == end, moved.is_some())),
        };
        let progress = fold.push(&piece);
        on_usage(fold.usage_so_far());
        if !fold.has_begun() && head.len() + piece.len() <= MAX_REFUSAL_BYTES {
            head.extend_from_slice(&piece);
        }
        let now = Instant::now();
        match progress.map_err(|broken| stream_failure(wire, broken, &head))? {
            StreamProgress::Complete => {
                return fold.finish().map_err(|broken| stream_failure(wire, broken, &head));
            }
            StreamProgress::Advanced => moved = Some(now),
            StreamProgress::Idle => moved = moved.or(Some(now)),
        }
        let progress = moved.unwrap_or(now) + timeouts.progress_interval;
        deadline = (now + timeouts.chunk_interval).min(progress).min(end);
    }
}

fn stall_failure(is_total_timeout: bool, has_begun: bool) -> FailedAttempt {
    let (cause, what) = match (is_total_timeout, has_begun) {
        (true, _) => (FailureCause::TotalTimeout, "the answer exceeds the time limit"),
        (false, true) => (FailureCause::Truncated, "the answer stalled for too long"),
        (false, false) => (FailureCause::NoResponse, "no part of the answer came in time"),
    };
    FailedAttempt { cause, message: what.to_owned() }
}

/// Classifies the failure of a stream. `first_bytes` is the beginning of the response. If the response is not
/// a stream, `first_bytes` is parsed as an error.
fn stream_failure(wire: &WireFormat, error: StreamError, first_bytes: &[u8]) -> FailedAttempt {
    let what = error.to_string();
    // Some servers send an error response with a success status.
    if error == StreamError::NotAStream {
        let ProviderErrorDetail { kind: name, message: words } =
            wire.parse_error_response(&HeaderMap::new(), first_bytes);
        if !words.is_empty() {
            let cause =
                FailureCause::ErrorEvent(wire.error_kind(name.as_deref().unwrap_or_default(), &words));
            return FailedAttempt {
                cause,
                message: format!("the provider returned an error instead of an answer: {words}"),
            };
        }
    }
    let cause = match error {
        StreamError::Truncated => FailureCause::Truncated,
        StreamError::ProviderError { kind, message } => {
            FailureCause::ErrorEvent(wire.error_kind(&kind, &message))
        }
        StreamError::Damaged(_) => FailureCause::DamagedResponse,
        StreamError::EmptyStream
        | StreamError::Html
        | StreamError::NotAStream
        | StreamError::BadEvent(_)
        | StreamError::Contradiction(_)
        | StreamError::UnknownStopReason(_)
        | StreamError::TooLarge(_) => FailureCause::InvalidResponse,
    };
    FailedAttempt { cause, message: what }
}

/// Reads the beginning of a response's body, until the size limit or the deadline.
async fn read_body_start(response: &mut Response, deadline: Instant) -> Vec<u8> {
    let mut body = Vec::new();
    while let Ok(Ok(Some(piece))) = timeout_at(deadline, response.chunk()).await {
        if body.len() + piece.len() > MAX_REFUSAL_BYTES {
            break;
        }
        body.extend_from_slice(&piece);
    }
    body
}

fn request_id(headers: &HeaderMap) -> String {
    let id = ["request-id", "x-request-id", "x-amzn-requestid"]
        .into_iter()
        .find_map(|name| header_text(headers, name));
    line::clean_line(id.unwrap_or_default(), 100)
}

fn header_text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim)
}

/// Returns the wait that an error response requests: in milliseconds, in seconds or until a date. The time
/// until this date is measured from the response's own date, not from this machine's clock.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    if let Some(millis) = header_text(headers, "retry-after-ms").and_then(|value| value.parse().ok()) {
        return Some(Duration::from_millis(millis));
    }
    let value = header_text(headers, RETRY_AFTER.as_str())?;
    if let Ok(seconds) = value.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let from = parse_date(header_text(headers, DATE.as_str())?)?;
    Duration::try_from(parse_date(value)?.duration_since(from)).ok()
}
