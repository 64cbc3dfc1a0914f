//! One way to call a forge's HTTP API: bounded in time and size, repeated only where repeating is harmless,
//! and with every answer sorted into [`ForgeError`] by status, headers and words.
//!
//! What creates something is sent once: a create whose answer was lost may have worked, and only looking for
//! its marker tells (design.md section 4). Credentials never follow a redirect and never stand in an error.

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
use truing_core::port::{Clock, ForgeError, GateHalt, HaltReason, Permit, SharedStateStore};
use truing_git::SecretString;
use url::Url;

use crate::http::classify::{ClassifiedError, classify, date, leads_elsewhere_here};
use crate::http::limits::RateLimits;
use crate::http::text::TextCleaner;

mod classify;
mod limits;
mod link;
#[cfg(test)]
mod tests;
mod text;

pub(crate) use limits::QuotaPayer;
pub use limits::RateQuota;

/// The largest answer that is read, decompressed: 100 comments of 65,536 characters of four bytes, and
/// change.
const MAX_ANSWER_BYTES: usize = 32 * 1024 * 1024;
/// How much of a refusal's body is read; what it says fits easily.
const MAX_REFUSAL_BYTES: usize = 64 * 1024;
/// How often a harmless call is repeated after its first try.
const MAX_RETRIES: u32 = 2;
const X_REVIEW_ID: HeaderName = HeaderName::from_static("x-review-id");
const USER_AGENT: &str = concat!("truing/", env!("CARGO_PKG_VERSION"));

/// What a kind of forge has of its own on the way there and back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HttpDialect {
    /// The media type of answers that is asked for.
    pub(crate) accept: &'static str,
    /// The header that names a version of the API, and the version, where it has one.
    pub(crate) version: Option<(&'static str, &'static str)>,
    /// The header of a refusal that wants the token authorized for single sign-on, where it has one.
    pub(crate) sign_on: Option<&'static str>,
    /// True where a 409 says that nothing was done, because what was to be changed is another by now, and a
    /// 413 that the content is too long.
    pub(crate) tells_conflicts: bool,
    /// How many calls that create something it takes in a span of time.
    pub(crate) creations: &'static [(usize, TimeSpan)],
}

/// How long to wait for a forge.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HttpTimeouts {
    /// For a connection.
    pub connect: Duration,
    /// Between two pieces of an answer.
    pub read: Duration,
    /// For a whole answer.
    pub total: Duration,
    /// Before the first repetition of a harmless call; twice that before the second.
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

/// May a call be sent again when it is not known whether it arrived?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum RetrySafety {
    /// Once or twice comes to the same.
    Harmless,
    /// Each time makes one more.
    Never,
}

/// One call.
#[derive(Debug)]
pub(crate) struct ForgeRequest {
    /// What it is for, in words for people: the beginning of every error.
    pub(crate) what: String,
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) body: Option<Value>,
    pub(crate) repeat: RetrySafety,
    /// Does it change anything at the forge?
    writes: bool,
    /// What is known already, and need not be sent again.
    etag: Option<HeaderValue>,
    /// Is a redirect to another address of the same server an answer ([`ForgeResponse::location`]), and no
    /// error?
    redirected: bool,
    /// Does it comment on places of a diff, which the forge may refuse?
    comments_on_diff: bool,
}

impl ForgeRequest {
    /// A read.
    pub(crate) fn get(what: impl Into<String>, url: Url) -> Self {
        let (method, repeat) = (Method::GET, RetrySafety::Harmless);
        Self {
            what: what.into(),
            method,
            url,
            body: None,
            repeat,
            writes: false,
            etag: None,
            redirected: false,
            comments_on_diff: false,
        }
    }

    /// A question that is sent as a body.
    pub(crate) fn query(what: impl Into<String>, url: Url, body: Value) -> Self {
        Self { writes: false, ..Self::set(what, Method::POST, url, Some(body)) }
    }

    /// A call that creates something each time.
    pub(crate) fn create(what: impl Into<String>, url: Url, body: Value) -> Self {
        let (method, repeat) = (Method::POST, RetrySafety::Never);
        Self {
            what: what.into(),
            method,
            url,
            body: Some(body),
            repeat,
            writes: true,
            etag: None,
            redirected: false,
            comments_on_diff: false,
        }
    }

    /// The same for a comment on places of a diff: a refusal that may be one of a place is
    /// [`ForgeError::Rejected`].
    pub(crate) fn on_diff(self) -> Self {
        Self { comments_on_diff: true, ..self }
    }

    /// The same without a body, for a call that takes none.
    pub(crate) fn without_body(self) -> Self {
        Self { body: None, ..self }
    }

    /// A call that adds to something each time.
    pub(crate) fn append(what: impl Into<String>, url: Url, body: Value) -> Self {
        Self { method: Method::PATCH, ..Self::create(what, url, body) }
    }

    /// A call that sets something, however often.
    pub(crate) fn set(what: impl Into<String>, method: Method, url: Url, body: Option<Value>) -> Self {
        let repeat = RetrySafety::Harmless;
        Self {
            what: what.into(),
            method,
            url,
            body,
            repeat,
            writes: true,
            etag: None,
            redirected: false,
            comments_on_diff: false,
        }
    }

    /// A redirect to another address of the same server is an answer. Nobody follows it here.
    pub(crate) fn redirected(self) -> Self {
        Self { redirected: true, ..self }
    }

    /// Answered by [`ForgeResponse::is_unchanged`] while this is the newest form.
    pub(crate) fn unless(self, etag: Option<HeaderValue>) -> Self {
        Self { etag, ..self }
    }
}

/// A successful answer, whole.
pub(crate) struct ForgeResponse {
    unchanged: bool,
    what: String,
    url: Url,
    headers: HeaderMap,
    body: Vec<u8>,
    clean: TextCleaner,
}

/// A client of one forge. Its clones' calls share its limits.
pub(crate) struct ForgeHttpClient {
    client: reqwest::Client,
    wire: HttpDialect,
    patience: HttpTimeouts,
    limits: Arc<RateLimits>,
    clock: Arc<dyn Clock>,
    /// What its calls are made for.
    review: Option<HeaderValue>,
    /// The permit of calls that write; none: it only reads.
    permit: Option<Arc<Permit>>,
}

/// What a call is allowed by: a credential, and whose rate limit it uses up.
#[derive(Clone)]
pub(crate) struct RequestAuthorization {
    header: HeaderValue,
    secret: SecretString,
    clean: TextCleaner,
    payer: QuotaPayer,
}

impl RequestAuthorization {
    /// The credential in its header; it appears in no error.
    pub(crate) fn bearer(secret: SecretString, payer: QuotaPayer) -> Result<Self, HttpClientError> {
        let mut header = HeaderValue::from_str(&format!("Bearer {}", secret.expose()))
            .map_err(|_| HttpClientError::Token)?;
        header.set_sensitive(true);
        Ok(Self { header, clean: TextCleaner::new(&secret), secret, payer })
    }

    /// A name and a credential in their header. Neither of the credential's two spellings appears in an
    /// error.
    pub(crate) fn basic(
        name: &str,
        secret: SecretString,
        payer: QuotaPayer,
    ) -> Result<Self, HttpClientError> {
        let pair = BASE64_STANDARD.encode(format!("{name}:{}", secret.expose()));
        let mut header =
            HeaderValue::from_str(&format!("Basic {pair}")).map_err(|_| HttpClientError::Token)?;
        header.set_sensitive(true);
        let clean = TextCleaner::new(&secret).and(&SecretString::new(pair));
        Ok(Self { header, clean, secret, payer })
    }

    /// The credential itself.
    pub(crate) fn secret(&self) -> &SecretString {
        &self.secret
    }
}

// No derived Debug: it is a credential.
impl fmt::Debug for RequestAuthorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestAuthorization").field("payer", &self.payer).finish_non_exhaustive()
    }
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum HttpClientError {
    /// It cannot stand in a header.
    #[error("the forge token holds characters that no token has (a line end?): check where it is read from")]
    Token,
    /// The TLS stack could not be set up.
    #[error("cannot set up the HTTP client: {0}")]
    Client(String),
}

impl fmt::Debug for ForgeHttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForgeHttpClient").field("quota", &self.quota()).finish_non_exhaustive()
    }
}

impl ForgeHttpClient {
    /// A client for `api`.
    pub(crate) fn new(
        api: &Url,
        wire: HttpDialect,
        patience: HttpTimeouts,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, HttpClientError> {
        let mut client = reqwest::Client::builder()
            .user_agent(USER_AGENT)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .connect_timeout(patience.connect)
            .read_timeout(patience.read)
            .timeout(patience.total);
        // The environment's proxy is for the way out; a forge on this machine is not on it.
        if api.host_str().is_some_and(is_loopback) {
            client = client.no_proxy();
        }
        let client = client.build().map_err(|error| HttpClientError::Client(text::chain(&error)))?;
        let limits = Arc::new(RateLimits::of(wire.creations, clock.clone()));
        Ok(Self { client, wire, patience, limits, clock, review: None, permit: None })
    }

    /// The same, with the same limits; each call names this review.
    pub(crate) fn for_review(&self, id: &str) -> Self {
        Self { review: HeaderValue::from_str(id).ok(), ..self.again() }
    }

    /// The same, with the same limits; it makes calls that write by this permit.
    pub(crate) fn with_permit(&self, permit: Arc<Permit>) -> Self {
        Self { permit: Some(permit), ..self.again() }
    }

    /// The same, with limits that other processes of this login keep, too. `login`: its name, without
    /// anything secret.
    pub(crate) fn sharing(&self, common: Arc<dyn SharedStateStore>, api: &Url, login: &str) -> Self {
        let limits = RateLimits::of(self.wire.creations, self.clock.clone());
        let limits = limits.sharing(common, format!("limits:{api}:{login}"));
        Self { limits: Arc::new(limits), ..self.again() }
    }

    fn again(&self) -> Self {
        let Self { client, wire, patience, limits, clock, review, permit } = self;
        Self {
            client: client.clone(),
            wire: *wire,
            patience: *patience,
            limits: limits.clone(),
            clock: clock.clone(),
            review: review.clone(),
            permit: permit.clone(),
        }
    }

    /// The primary rate limit as of the last answer that told, of whoever has the fewest calls left; none
    /// before one.
    pub(crate) fn quota(&self) -> Option<RateQuota> {
        self.limits.quota()
    }

    /// The wall clock.
    pub(crate) fn now(&self) -> UnixMillis {
        self.clock.now()
    }

    /// Sends a call, again if that is harmless and what went wrong may pass at once.
    pub(crate) async fn send(
        &self,
        by: &RequestAuthorization,
        call: &ForgeRequest,
    ) -> Result<ForgeResponse, ForgeError> {
        let mut retries = 0;
        let mut before = None;
        loop {
            let refusal = match self.send_once(by, call).await {
                Ok(answer) => return Ok(answer),
                // A try before it may have been carried out: what is known is what that one came to.
                Err(ClassifiedError { error: ForgeError::Halted(_), .. }) if let Some(error) = before => {
                    return Err(error);
                }
                Err(refusal) => refusal,
            };
            if !refusal.passing || call.repeat == RetrySafety::Never || retries == MAX_RETRIES {
                return Err(refusal.error);
            }
            before = Some(refusal.error);
            retries += 1;
            tokio::time::sleep(self.patience.retry_delay * retries).await;
        }
    }

    async fn send_once(
        &self,
        by: &RequestAuthorization,
        call: &ForgeRequest,
    ) -> Result<ForgeResponse, ClassifiedError> {
        // Until the answer is read.
        let _place = self.limits.admit(by.payer, call).await.map_err(ClassifiedError::lasting)?;
        if call.writes {
            // Each try is a write: the gate's answer to the one that failed says nothing of this one.
            let confirmed = match &self.permit {
                Some(permit) => permit.confirm(self.clock.now()).await,
                None => Err(HaltReason::ReadOnly),
            };
            let halted = |reason| ClassifiedError::lasting(GateHalt::before(&call.what, reason).into());
            confirmed.map_err(halted)?;
        } else if let Some(permit) = &self.permit {
            permit.expire();
        }
        let mut request = self
            .client
            .request(call.method.clone(), call.url.clone())
            .header(header::AUTHORIZATION, by.header.clone())
            .header(header::ACCEPT, self.wire.accept);
        if let Some((name, version)) = self.wire.version {
            request = request.header(name, version);
        }
        if let Some(review) = &self.review {
            request = request.header(X_REVIEW_ID, review.clone());
        }
        if let Some(body) = &call.body {
            request = request.json(body);
        }
        if let Some(etag) = &call.etag {
            request = request.header(header::IF_NONE_MATCH, etag.clone());
        }
        let mut response = request.send().await.map_err(|error| unanswered(by, call, error))?;
        let status = response.status();
        self.limits.note(by.payer, response.headers()).await;
        let unchanged = status == StatusCode::NOT_MODIFIED && call.etag.is_some();

        let limit = if status.is_success() { MAX_ANSWER_BYTES } else { MAX_REFUSAL_BYTES };
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(piece)) if body.len() + piece.len() <= limit => body.extend_from_slice(&piece),
                Ok(None) => break,
                // A refusal is one by its status, whatever becomes of its body.
                Ok(Some(_)) | Err(_) if !status.is_success() => break,
                Ok(Some(_)) => {
                    let message = format!("the answer is larger than {MAX_ANSWER_BYTES} bytes");
                    return Err(ClassifiedError::lasting(unavailable(&call.what, &message)));
                }
                Err(error) => return Err(unanswered(by, call, error)),
            }
        }

        let elsewhere =
            call.redirected && status.is_redirection() && leads_elsewhere_here(call, response.headers());
        if !status.is_success() && !unchanged && !elsewhere {
            return Err(self.refused(by, call, status, response.headers(), &body).await);
        }
        self.limits.went_well(by.payer).await;
        Ok(ForgeResponse {
            unchanged,
            what: call.what.clone(),
            url: call.url.clone(),
            headers: response.headers().clone(),
            body,
            clean: by.clean.clone(),
        })
    }

    async fn refused(
        &self,
        by: &RequestAuthorization,
        call: &ForgeRequest,
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
    ) -> ClassifiedError {
        let answer = (status, headers, body);
        let (mut refusal, brake) = classify(call, answer, self.wire, &by.clean, self.clock.now());
        if let (ForgeError::RateLimited { wait, .. }, Some(brake)) = (&mut refusal.error, brake) {
            *wait = self.limits.hit(by.payer, brake, *wait).await;
        }
        refusal
    }
}

/// No answer, or not all of it. Whether the call arrived is unknown.
fn unanswered(by: &RequestAuthorization, call: &ForgeRequest, error: reqwest::Error) -> ClassifiedError {
    let (timeout, connect) = (error.is_timeout(), error.is_connect());
    let cause = by.clean.text(&text::chain(&error.without_url()));
    let message = match (connect, timeout) {
        (true, _) => format!("cannot connect to {}: {cause}", host(&call.url)),
        (false, true) => "no answer in time".to_owned(),
        (false, false) => format!("the connection broke before the answer was complete: {cause}"),
    };
    // A second wait as long as the first would not be short.
    ClassifiedError { error: unavailable(&call.what, &message), passing: connect || !timeout }
}

impl ForgeResponse {
    /// Is what the caller knows the newest form? Then there is nothing else in here.
    pub(crate) fn is_unchanged(&self) -> bool {
        self.unchanged
    }

    /// The name of this form.
    pub(crate) fn etag(&self) -> Option<HeaderValue> {
        self.headers.get(header::ETAG).cloned()
    }

    /// The text of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        classify::text(&self.headers, name)
    }

    /// The address of the same server that it leads to, in place of an answer; for calls that are
    /// [`ForgeRequest::redirected`].
    pub(crate) fn location(&self) -> Option<Url> {
        let to = self.url.join(self.header(header::LOCATION.as_str())?).ok()?;
        (to.origin() == self.url.origin()).then_some(to)
    }

    /// An address of this server that an answer names. Credentials go to it, so one of another server is an
    /// error.
    pub(crate) fn address(&self, text: &str) -> Result<Url, ForgeError> {
        match self.url.join(text) {
            Ok(url) if url.origin() == self.url.origin() => Ok(url),
            Ok(url) => {
                let message =
                    format!("the next page is said to be at another place, {}: not followed", host(&url));
                Err(unavailable(&self.what, &self.clean.text(&message)))
            }
            Err(_) => Err(unavailable(&self.what, "the next page's address cannot be read")),
        }
    }

    /// The answer's JSON.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, ForgeError> {
        let problem = match serde_json::from_slice(&self.body) {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let is_html = self.body.trim_ascii_start().starts_with(b"<");
        let message = if is_html {
            "the answer is HTML instead of JSON (a proxy, or a wrong api_url?)".to_owned()
        } else if problem.is_eof() {
            "the answer's JSON is cut off".to_owned()
        } else {
            format!("the answer's JSON is not as expected: {}", self.clean.text(&problem.to_string()))
        };
        Err(unavailable(&self.what, &message))
    }

    /// Nothing of the answer is needed but that it comes from the forge: it has no body, or a JSON object.
    /// The page of a proxy has status 200, too.
    pub(crate) fn done(&self) -> Result<(), ForgeError> {
        if self.body.is_empty() { Ok(()) } else { self.json::<serde_json::Map<_, _>>().map(drop) }
    }

    /// As [`ForgeResponse::json`], of an answer that holds a secret: an error repeats nothing of it.
    pub(crate) fn secret_json<T: DeserializeOwned>(&self) -> Result<T, ForgeError> {
        serde_json::from_slice(&self.body)
            .map_err(|_| unavailable(&self.what, "the answer's JSON is cut off, or not as expected"))
    }

    /// The forge's own time.
    pub(crate) fn date(&self) -> Option<UnixMillis> {
        date(&self.headers)
    }

    /// How long until there are calls again, if this answer says that none is left. `now` is only used if it
    /// has no date of its own.
    pub(crate) fn spent(&self, now: UnixMillis) -> Option<TimeSpan> {
        limits::told(&self.headers, now).filter(|told| told.quota.remaining == 0).map(|told| told.wait)
    }

    /// Words of this answer, for an error.
    pub(crate) fn clean(&self, words: &str) -> String {
        self.clean.text(words)
    }

    /// The list's next page. Credentials go to it, so it must be at the same origin.
    pub(crate) fn next(&self) -> Result<Option<Url>, ForgeError> {
        let links = self.headers.get_all(header::LINK).iter().filter_map(|value| value.to_str().ok());
        let Some(next) = links.flat_map(link::next).next() else {
            return Ok(None);
        };
        self.address(next).map(Some)
    }
}

/// The error for what may or may not have been done.
pub(crate) fn unavailable(what: &str, message: &str) -> ForgeError {
    ForgeError::Unavailable { what: what.to_owned(), message: message.to_owned() }
}

/// Scheme, host and port, for people.
fn host(url: &Url) -> String {
    url.origin().ascii_serialization()
}
