//! The client for a forge's HTTP API, with limits on time and size. Only a call that is safe to repeat is
//! retried. Every error response is converted to [`ForgeError`] by its status, headers and text.
//!
//! A call that creates something is sent only once. If the response is lost, the call may have succeeded;
//! only a search for the new object's marker shows whether it did. Credentials never follow a redirect and
//! never appear in an error.

// long: one request path with its retries, limits and circuit; the steps are read in order.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;
use truing_core::id::{TimeSpan, UnixMillis};
use truing_core::loopback::is_loopback;
use truing_core::port::{
    Clock, ForgeError, GateHalt, HaltReason, SharedStateStore, UnavailableCause, WritePermit,
};
use truing_git::SecretString;
use url::Url;

use crate::http::classify::{
    ClassifiedError, classify_error_response, is_same_server_redirect, no_response_error, response_date,
};
use crate::http::limits::RateLimits;
use crate::http::text::TextCleaner;

mod classify;
mod limits;
mod link;
#[cfg(test)]
mod tests;
mod text;

pub(crate) use limits::RateLimitOwner;
pub use limits::RateQuota;

/// Maximum size of a decompressed response: enough for 100 comments of 65,536 characters with four bytes
/// each.
const MAX_RESPONSE_BYTES: usize = 32 * 1024 * 1024;
/// Maximum size of the body of an error response that is read.
const MAX_ERROR_BODY_BYTES: usize = 64 * 1024;
/// Maximum number of retries of a call that is safe to repeat.
const MAX_RETRIES: u32 = 2;
const X_REVIEW_ID: HeaderName = HeaderName::from_static("x-review-id");
const USER_AGENT: &str = concat!("truing/", env!("CARGO_PKG_VERSION"));

/// The properties of a forge's wire format.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HttpDialect {
    /// Media type that requests accept.
    pub(crate) accept: &'static str,
    /// Name and value of the header for the version of the API; `None` if the forge has no such header.
    pub(crate) version_header: Option<(&'static str, &'static str)>,
    /// Header that is in an error response if the token must be authorized for single sign-on; `None` if the
    /// forge has no such header.
    pub(crate) sso_header: Option<&'static str>,
    /// True if the forge uses status 409 for an object that has changed (the call had no effect), and status
    /// 413 for content that is too long.
    pub(crate) reports_conflicts: bool,
    /// Limits on calls that create something. Each limit is a number of calls and a time span.
    pub(crate) creation_limits: &'static [(usize, TimeSpan)],
}

/// The timeouts for requests to a forge.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HttpTimeouts {
    /// Timeout for connecting to the server.
    pub connect: Duration,
    /// Maximum time without new data while a response is read.
    pub read: Duration,
    /// Maximum time from the request to the end of the response.
    pub total: Duration,
    /// Wait before the first retry of a call; the wait doubles for the second retry.
    pub retry_delay: Duration,
}

impl Default for HttpTimeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            read: Duration::from_secs(30),
            total: Duration::from_secs(60),
            retry_delay: Duration::from_millis(250),
        }
    }
}

/// The effect of sending a call again when the forge may already have received the call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum RetrySafety {
    /// A repetition has the same result as one call.
    Idempotent,
    /// Each repetition creates another object.
    Unsafe,
}

#[derive(Debug)]
pub(crate) struct ForgeRequest {
    /// Purpose of the call, as text for people. Every error begins with this text.
    pub(crate) purpose: String,
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) body: Option<Value>,
    pub(crate) retry_safety: RetrySafety,
    /// True if the call changes something at the forge.
    is_write: bool,
    /// Tag of the version that the caller has cached; `None` if the caller has no version. If this version is
    /// still the newest, the forge sends no content.
    etag: Option<HeaderValue>,
    /// True if a redirect to another address of the same server counts as a response
    /// ([`ForgeResponse::location`]). Otherwise, a redirect is an error.
    allows_redirect: bool,
    /// True if the call comments on lines or files of a diff. The forge may reject the location of such a
    /// comment.
    comments_on_diff: bool,
}

impl ForgeRequest {
    /// Builds a call that only reads.
    pub(crate) fn get(purpose: impl Into<String>, url: Url) -> Self {
        let (method, retry_safety) = (Method::GET, RetrySafety::Idempotent);
        Self {
            purpose: purpose.into(),
            method,
            url,
            body: None,
            retry_safety,
            is_write: false,
            etag: None,
            allows_redirect: false,
            comments_on_diff: false,
        }
    }

    /// Builds a call that only reads and that sends the query as its body.
    pub(crate) fn query(purpose: impl Into<String>, url: Url, body: Value) -> Self {
        Self { is_write: false, ..Self::set(purpose, Method::POST, url, Some(body)) }
    }

    /// Builds a call that creates something each time it is sent.
    pub(crate) fn create(purpose: impl Into<String>, url: Url, body: Value) -> Self {
        let (method, retry_safety) = (Method::POST, RetrySafety::Unsafe);
        Self {
            purpose: purpose.into(),
            method,
            url,
            body: Some(body),
            retry_safety,
            is_write: true,
            etag: None,
            allows_redirect: false,
            comments_on_diff: false,
        }
    }

    /// Marks a call that comments on lines or files of a diff. An error status that the forge may use for a
    /// rejected location becomes [`ForgeError::Rejected`].
    pub(crate) fn for_diff_comment(self) -> Self {
        Self { comments_on_diff: true, ..self }
    }

    /// Removes the body, for a call that must not have a body.
    pub(crate) fn without_body(self) -> Self {
        Self { body: None, ..self }
    }

    /// Builds a call that appends something each time it is sent.
    pub(crate) fn append(purpose: impl Into<String>, url: Url, body: Value) -> Self {
        Self { method: Method::PATCH, ..Self::create(purpose, url, body) }
    }

    /// Builds a call that sets a value and can be repeated.
    pub(crate) fn set(purpose: impl Into<String>, method: Method, url: Url, body: Option<Value>) -> Self {
        let retry_safety = RetrySafety::Idempotent;
        Self {
            purpose: purpose.into(),
            method,
            url,
            body,
            retry_safety,
            is_write: true,
            etag: None,
            allows_redirect: false,
            comments_on_diff: false,
        }
    }

    /// Accepts a redirect to another address of the same server as a response. The client does not follow the
    /// redirect.
    pub(crate) fn allow_redirect(self) -> Self {
        Self { allows_redirect: true, ..self }
    }

    /// Makes the call conditional: if `etag` is the tag of the newest version,
    /// [`ForgeResponse::is_unchanged`] returns true.
    pub(crate) fn if_none_match(self, etag: Option<HeaderValue>) -> Self {
        Self { etag, ..self }
    }
}

/// A successful and complete response.
pub(crate) struct ForgeResponse {
    unchanged: bool,
    purpose: String,
    url: Url,
    headers: HeaderMap,
    body: Vec<u8>,
    cleaner: TextCleaner,
}

/// A client of one forge. All clones of a client share its limits.
pub(crate) struct ForgeHttpClient {
    client: reqwest::Client,
    dialect: HttpDialect,
    timeouts: HttpTimeouts,
    limits: Arc<RateLimits>,
    clock: Arc<dyn Clock>,
    /// Id of the review, which is sent in each call.
    review_id: Option<HeaderValue>,
    /// Permit for calls that write; `None` for a client that only reads.
    permit: Option<Arc<WritePermit>>,
}

/// The credential of a call, and the owner of the rate limit that the call uses.
#[derive(Clone)]
pub(crate) struct RequestAuthorization {
    header: HeaderValue,
    secret: SecretString,
    cleaner: TextCleaner,
    limit_owner: RateLimitOwner,
}

impl RequestAuthorization {
    /// Builds a Bearer header. Errors never contain the credential.
    pub(crate) fn bearer(secret: SecretString, limit_owner: RateLimitOwner) -> Result<Self, HttpClientError> {
        let mut header = HeaderValue::from_str(&format!("Bearer {}", secret.expose()))
            .map_err(|_| HttpClientError::Token)?;
        header.set_sensitive(true);
        Ok(Self { header, cleaner: TextCleaner::new(&secret), secret, limit_owner })
    }

    /// Builds a Basic header from a name and a credential. Errors contain neither the plain nor the encoded
    /// credential.
    pub(crate) fn basic(
        name: &str,
        secret: SecretString,
        limit_owner: RateLimitOwner,
    ) -> Result<Self, HttpClientError> {
        let pair = BASE64_STANDARD.encode(format!("{name}:{}", secret.expose()));
        let mut header =
            HeaderValue::from_str(&format!("Basic {pair}")).map_err(|_| HttpClientError::Token)?;
        header.set_sensitive(true);
        let clean = TextCleaner::new(&secret).with_secret(&SecretString::new(pair));
        Ok(Self { header, cleaner: clean, secret, limit_owner })
    }

    pub(crate) fn secret(&self) -> &SecretString {
        &self.secret
    }
}

// `Debug` is not derived, because the fields contain a credential.
impl fmt::Debug for RequestAuthorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestAuthorization").field("payer", &self.limit_owner).finish_non_exhaustive()
    }
}

/// The error of building an HTTP client or its credential.
#[derive(Debug, thiserror::Error)]
pub enum HttpClientError {
    /// The token cannot be part of a header.
    #[error(
        "the forge token contains characters that are invalid in a token, such as a line end: check \
        the source of the token"
    )]
    Token,
    /// The TLS library could not be set up.
    #[error("cannot set up the HTTP client: {0}")]
    Client(String),
}

impl fmt::Debug for ForgeHttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForgeHttpClient").field("quota", &self.quota()).finish_non_exhaustive()
    }
}

impl ForgeHttpClient {
    /// Builds a client for the server at `api`.
    pub(crate) fn new(
        api: &Url,
        dialect: HttpDialect,
        timeouts: HttpTimeouts,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, HttpClientError> {
        let mut client = reqwest::Client::builder()
            .user_agent(USER_AGENT)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .connect_timeout(timeouts.connect)
            .read_timeout(timeouts.read)
            .timeout(timeouts.total);
        // The environment's proxy is for traffic to other machines, so a forge on this machine is called
        // without the proxy.
        if api.host_str().is_some_and(is_loopback) {
            client = client.no_proxy();
        }
        let client =
            client.build().map_err(|error| HttpClientError::Client(text::format_error_chain(&error)))?;
        let limits = Arc::new(RateLimits::new(dialect.creation_limits, clock.clone()));
        Ok(Self { client, dialect, timeouts, limits, clock, review_id: None, permit: None })
    }

    /// Returns a client with the same limits that sends the id of this review in each call.
    pub(crate) fn for_review(&self, id: &str) -> Self {
        Self { review_id: HeaderValue::from_str(id).ok(), ..self.copy_client() }
    }

    /// Returns a client with the same limits that checks this permit before each write call.
    pub(crate) fn with_permit(&self, permit: Arc<WritePermit>) -> Self {
        Self { permit: Some(permit), ..self.copy_client() }
    }

    /// Returns a client whose limits are shared with other processes that use this login. `login` is the name
    /// of the login, without any secret.
    pub(crate) fn with_shared_limits(
        &self,
        shared_state: Arc<dyn SharedStateStore>,
        api: &Url,
        login: &str,
    ) -> Self {
        let limits = RateLimits::new(self.dialect.creation_limits, self.clock.clone());
        let limits = limits.with_shared_limits(shared_state, format!("limits:{api}:{login}"));
        Self { limits: Arc::new(limits), ..self.copy_client() }
    }

    fn copy_client(&self) -> Self {
        let Self { client, dialect: wire, timeouts, limits, clock, review_id: review, permit } = self;
        Self {
            client: client.clone(),
            dialect: *wire,
            timeouts: *timeouts,
            limits: limits.clone(),
            clock: clock.clone(),
            review_id: review.clone(),
            permit: permit.clone(),
        }
    }

    /// Returns the last reported primary rate limit, of the limit owner with the fewest calls left. Returns
    /// `None` until a response has reported a limit.
    pub(crate) fn quota(&self) -> Option<RateQuota> {
        self.limits.quota()
    }

    pub(crate) fn now(&self) -> UnixMillis {
        self.clock.now()
    }

    /// Sends a call. Retries the call if it is safe to repeat and the error may be temporary.
    pub(crate) async fn send(
        &self,
        authorization: &RequestAuthorization,
        call: &ForgeRequest,
    ) -> Result<ForgeResponse, ForgeError> {
        let mut retries = 0;
        let mut before = None;
        loop {
            let refusal = match self.send_once(authorization, call).await {
                Ok(answer) => return Ok(answer),
                // The gate has halted a retry. The forge may have performed the earlier try, so the error of
                // that try is returned.
                Err(ClassifiedError { error: ForgeError::Halted(_), .. }) if let Some(error) = before => {
                    return Err(error);
                }
                Err(refusal) => refusal,
            };
            if !refusal.is_temporary || call.retry_safety == RetrySafety::Unsafe || retries == MAX_RETRIES {
                return Err(refusal.error);
            }
            before = Some(refusal.error);
            retries += 1;
            tokio::time::sleep(self.timeouts.retry_delay * retries).await;
        }
    }

    async fn send_once(
        &self,
        authorization: &RequestAuthorization,
        call: &ForgeRequest,
    ) -> Result<ForgeResponse, ClassifiedError> {
        // `_place` makes the call count as one of the concurrent calls until its response has been read.
        let _place =
            self.limits.admit(authorization.limit_owner, call).await.map_err(ClassifiedError::permanent)?;
        if call.is_write {
            // Each try is a write, so the permit is checked before each try.
            let confirmed = match &self.permit {
                Some(permit) => permit.confirm_write(self.clock.now()).await,
                None => Err(HaltReason::ReadOnly),
            };
            let halted =
                |reason| ClassifiedError::permanent(GateHalt::before_write(&call.purpose, reason).into());
            confirmed.map_err(halted)?;
        } else if let Some(permit) = &self.permit {
            permit.expire();
        }
        let mut request = self
            .client
            .request(call.method.clone(), call.url.clone())
            .header(header::AUTHORIZATION, authorization.header.clone())
            .header(header::ACCEPT, self.dialect.accept);
        if let Some((name, version)) = self.dialect.version_header {
            request = request.header(name, version);
        }
        if let Some(review) = &self.review_id {
            request = request.header(X_REVIEW_ID, review.clone());
        }
        if let Some(body) = &call.body {
            request = request.json(body);
        }
        if let Some(etag) = &call.etag {
            request = request.header(header::IF_NONE_MATCH, etag.clone());
        }
        let mut response =
            request.send().await.map_err(|error| no_response_error(call, &authorization.cleaner, error))?;
        let status = response.status();
        self.limits.record_headers(authorization.limit_owner, response.headers()).await;
        let unchanged = status == StatusCode::NOT_MODIFIED && call.etag.is_some();

        let limit = if status.is_success() { MAX_RESPONSE_BYTES } else { MAX_ERROR_BODY_BYTES };
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(piece)) if body.len() + piece.len() <= limit => body.extend_from_slice(&piece),
                Ok(None) => break,
                // If reading the body of an error response fails, the error is classified without the rest of
                // the body.
                Ok(Some(_)) | Err(_) if !status.is_success() => break,
                Ok(Some(_)) => {
                    let message = format!("the answer is larger than {MAX_RESPONSE_BYTES} bytes");
                    return Err(ClassifiedError::permanent(unavailable_error(&call.purpose, &message)));
                }
                Err(error) => return Err(no_response_error(call, &authorization.cleaner, error)),
            }
        }

        let elsewhere = call.allows_redirect
            && status.is_redirection()
            && is_same_server_redirect(call, response.headers());
        if !status.is_success() && !unchanged && !elsewhere {
            return Err(self.classify_refusal(authorization, call, status, response.headers(), &body).await);
        }
        self.limits.record_success(authorization.limit_owner).await;
        Ok(ForgeResponse {
            unchanged,
            purpose: call.purpose.clone(),
            url: call.url.clone(),
            headers: response.headers().clone(),
            body,
            cleaner: authorization.cleaner.clone(),
        })
    }

    async fn classify_refusal(
        &self,
        authorization: &RequestAuthorization,
        call: &ForgeRequest,
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
    ) -> ClassifiedError {
        let answer = (status, headers, body);
        let (mut refusal, brake) = classify_error_response(
            call,
            answer.0,
            answer.1,
            answer.2,
            self.dialect,
            &authorization.cleaner,
            self.clock.now(),
        );
        if let (ForgeError::RateLimited { wait, .. }, Some(brake)) = (&mut refusal.error, brake) {
            *wait = self.limits.record_secondary_limit(authorization.limit_owner, brake, *wait).await;
        }
        refusal
    }
}

impl ForgeResponse {
    /// Returns true if the version that the caller has cached is still the newest. The response is then
    /// empty.
    pub(crate) fn is_unchanged(&self) -> bool {
        self.unchanged
    }

    /// Returns the tag of the version that this response contains.
    pub(crate) fn etag(&self) -> Option<HeaderValue> {
        self.headers.get(header::ETAG).cloned()
    }

    /// Returns the text of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        classify::header_text(&self.headers, name)
    }

    /// Returns the redirect's target on the same server. Only responses to calls with
    /// [`ForgeRequest::allow_redirect`] can be redirects.
    pub(crate) fn location(&self) -> Option<Url> {
        let to = self.url.join(self.header(header::LOCATION.as_str())?).ok()?;
        (to.origin() == self.url.origin()).then_some(to)
    }

    /// Parses an address that a response contains. The client sends its credentials to this address, so an
    /// address of another server is an error.
    pub(crate) fn parse_server_url(&self, text: &str) -> Result<Url, ForgeError> {
        match self.url.join(text) {
            Ok(url) if url.origin() == self.url.origin() => Ok(url),
            Ok(url) => {
                let message = format!(
                    "the next page is on another server, {}, so Truing does not request this page",
                    url_origin(&url)
                );
                Err(unavailable_error(&self.purpose, &self.cleaner.clean_line(&message)))
            }
            Err(_) => Err(unavailable_error(&self.purpose, "the next page's address is invalid")),
        }
    }

    /// Parses the JSON of the response.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, ForgeError> {
        let problem = match serde_json::from_slice(&self.body) {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let is_html = self.body.trim_ascii_start().starts_with(b"<");
        let message = if is_html {
            "the response is HTML instead of JSON (does a proxy answer, or is api_url wrong?)".to_owned()
        } else if problem.is_eof() {
            "the answer's JSON is cut off".to_owned()
        } else {
            format!("the answer's JSON is not as expected: {}", self.cleaner.clean_line(&problem.to_string()))
        };
        Err(unavailable_error(&self.purpose, &message))
    }

    /// Returns an error unless the body is empty or a JSON object. Any other body may be a proxy's page,
    /// which can also have status 200.
    pub(crate) fn check_body(&self) -> Result<(), ForgeError> {
        if self.body.is_empty() { Ok(()) } else { self.json::<serde_json::Map<_, _>>().map(drop) }
    }

    /// Parses JSON that contains a secret. Unlike the errors of [`ForgeResponse::json`], an error contains no
    /// part of the response.
    pub(crate) fn secret_json<T: DeserializeOwned>(&self) -> Result<T, ForgeError> {
        serde_json::from_slice(&self.body)
            .map_err(|_| unavailable_error(&self.purpose, "the answer's JSON is cut off, or not as expected"))
    }

    /// Returns the time of the response by the forge's own clock.
    pub(crate) fn date(&self) -> Option<UnixMillis> {
        response_date(&self.headers)
    }

    /// Returns the time until calls are available again, if this response reports that no calls are left.
    /// `now` is used only if the response has no date.
    pub(crate) fn quota_wait(&self, now: UnixMillis) -> Option<TimeSpan> {
        limits::parse_limit_headers(&self.headers, now)
            .filter(|limit| limit.quota.remaining == 0)
            .map(|limit| limit.wait)
    }

    /// Cleans a text of this response, for use in an error message.
    pub(crate) fn clean(&self, text: &str) -> String {
        self.cleaner.clean_line(text)
    }

    /// Returns the address of the next page of a list; `None` on the last page. The client sends its
    /// credentials to this address, so it must have the same origin.
    pub(crate) fn next_page(&self) -> Result<Option<Url>, ForgeError> {
        let links = self.headers.get_all(header::LINK).iter().filter_map(|value| value.to_str().ok());
        let Some(next) = links.flat_map(link::next_page_url).next() else {
            return Ok(None);
        };
        self.parse_server_url(next).map(Some)
    }
}

/// Returns the error for a call that may have been performed, although its response cannot be used.
pub(crate) fn unavailable_error(purpose: &str, message: &str) -> ForgeError {
    let cause = UnavailableCause::InvalidAnswer;
    ForgeError::Unavailable { request: purpose.to_owned(), message: message.to_owned(), cause }
}

/// Returns the scheme, host and port of an address as text for people.
fn url_origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}
