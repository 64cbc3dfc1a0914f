//! The HTTP client for AWS's library. The client limits the time and size of each response and follows no
//! redirect. For addresses that only this machine can reach, the client uses no proxy. Each request is
//! recorded with its result, for error messages.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use jiff::Timestamp;
use reqwest::header::{DATE, HeaderMap};
use reqwest::{Method, Response};
use truing_core::line;
use truing_core::loopback::is_loopback;
use truing_core::secret::SecretString;
use url::{Host, Url, form_urlencoded};

use super::error_body::{AwsErrorBody, parse_error_body};
use crate::text::{error_chain, parse_date};

/// Timeout for opening a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Timeout of a response, if the library does not set a shorter timeout.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum number of bytes of a response.
const MAX_RESPONSE_BYTES: usize = 1024 * 1024;
/// Maximum number of failed attempts of the same request. After this number of failures, Truing does not
/// send the library's further retries.
const MAX_FAILURES: usize = 2;
/// Maximum number of characters that are shown of a message in a response.
const MAX_QUOTED_CHARS: usize = 200;
/// The error for a request to an address where other machines could read the traffic.
pub(super) const UNPROTECTED_ADDRESS_MESSAGE: &str =
    "the address does not begin with https:// and is not on this machine, so others could read the traffic";

/// A request, and its result.
#[derive(Clone, Debug)]
pub(super) struct HttpExchange {
    /// The request's method, and its URL without the query.
    pub(super) request_line: String,
    /// Scheme, host and port of the URL.
    pub(super) address: String,
    /// True for a request to STS.
    pub(super) is_sts: bool,
    /// The role that the request asks STS to assume.
    pub(super) role: Option<String>,
    pub(super) result: ExchangeResult,
}

/// The result of a request.
#[derive(Clone, Debug)]
pub(super) enum ExchangeResult {
    /// A response of any status.
    Response {
        status: u16,
        /// The time of the response, by the service's clock.
        date: Option<Timestamp>,
        /// Error code and message of an error response; empty after a success.
        refusal: AwsErrorBody,
    },
    /// No response arrived, for this reason.
    NoResponse(String),
    /// The request was not sent, because other machines could read the traffic
    /// ([`UNPROTECTED_ADDRESS_MESSAGE`]).
    UnprotectedAddress,
}

impl HttpExchange {
    pub(super) fn has_failed(&self) -> bool {
        match &self.result {
            ExchangeResult::Response { status, .. } => !(200..300).contains(status),
            ExchangeResult::NoResponse(_) | ExchangeResult::UnprotectedAddress => true,
        }
    }

    pub(super) fn has_response(&self) -> bool {
        match &self.result {
            ExchangeResult::Response { .. } => true,
            ExchangeResult::NoResponse(_) | ExchangeResult::UnprotectedAddress => false,
        }
    }
}

/// The HTTP client for AWS's library, with the requests since [`RecordingHttpClient::without_exchanges`] and
/// their results.
#[derive(Clone)]
pub(super) struct RecordingHttpClient {
    proxied_client: reqwest::Client,
    /// A client without a proxy.
    direct_client: reqwest::Client,
    exchanges: Arc<Mutex<Vec<HttpExchange>>>,
}

impl RecordingHttpClient {
    pub(super) fn new() -> Result<Self, reqwest::Error> {
        let builder = || {
            reqwest::Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .retry(reqwest::retry::never())
                .connect_timeout(CONNECT_TIMEOUT)
                // Idle connections are not kept, because requests are sent about once an hour.
                .pool_max_idle_per_host(0)
        };
        let out = builder().build()?;
        let direct_client = builder().no_proxy().build()?;
        Ok(Self { proxied_client: out, direct_client, exchanges: Arc::default() })
    }

    /// Returns the same client with an empty record of requests.
    pub(super) fn without_exchanges(&self) -> Self {
        Self { exchanges: Arc::default(), ..self.clone() }
    }

    pub(super) fn exchanges(&self) -> Vec<HttpExchange> {
        self.exchanges.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn record_exchange(&self, exchange: HttpExchange) {
        self.exchanges.lock().unwrap_or_else(PoisonError::into_inner).push(exchange);
    }

    async fn send(self, request: HttpRequest, time_limit: Duration) -> Result<HttpResponse, ConnectorError> {
        let url = Url::parse(request.uri()).map_err(|error| ConnectorError::user(error.into()))?;
        let asking = PendingExchange::new(&url, &request);
        let failed = |old: &HttpExchange| old.request_line == asking.request_line && old.has_failed();
        if self.exchanges().into_iter().filter(failed).count() >= MAX_FAILURES {
            return Err(ConnectorError::user("this request has already failed too often".into()));
        }
        let Some(client) = select_client(&url, &self) else {
            self.record_exchange(asking.into_exchange(ExchangeResult::UnprotectedAddress));
            return Err(ConnectorError::user(UNPROTECTED_ADDRESS_MESSAGE.into()));
        };
        let answer = match tokio::time::timeout(time_limit, send_request(client, &url, &request)).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("no answer within {} s", time_limit.as_secs())),
        };
        let seen = match &answer {
            Ok((response, body)) => asking.response_result(response, body),
            Err(cause) => ExchangeResult::NoResponse(line::clean_line(cause, MAX_QUOTED_CHARS)),
        };
        self.record_exchange(asking.into_exchange(seen));
        let (head, body) = answer.map_err(|cause| ConnectorError::io(cause.into()))?;
        let status = StatusCode::try_from(head.status).map_err(|error| ConnectorError::user(error.into()))?;
        let mut response = HttpResponse::new(status, SdkBody::from(body));
        for (name, value) in &head.headers {
            // The library only accepts header values that are text, so all other headers are dropped.
            if let Ok(value) = value.to_str() {
                let _ = response.headers_mut().try_append(name.as_str().to_owned(), value.to_owned());
            }
        }
        Ok(response)
    }
}

impl std::fmt::Debug for RecordingHttpClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Http")
    }
}

impl HttpClient for RecordingHttpClient {
    fn http_connector(&self, settings: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        let connect = settings.connect_timeout().unwrap_or(CONNECT_TIMEOUT).min(CONNECT_TIMEOUT);
        let limit = settings.read_timeout().unwrap_or(RESPONSE_TIMEOUT).min(RESPONSE_TIMEOUT) + connect;
        SharedHttpConnector::new(TimedClient { http: self.clone(), time_limit: limit })
    }
}

/// The client with the time limit for one request and its response.
#[derive(Debug)]
struct TimedClient {
    http: RecordingHttpClient,
    time_limit: Duration,
}

impl HttpConnector for TimedClient {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::new(self.http.clone().send(request, self.time_limit))
    }
}

/// The head of a response.
struct ResponseHead {
    status: u16,
    headers: HeaderMap,
}

/// A request whose result is not known yet.
struct PendingExchange {
    request_line: String,
    address: String,
    is_sts: bool,
    role: Option<String>,
    /// Secrets in the request. If the response repeats a secret, the secret is hidden.
    secrets: Vec<SecretString>,
}

impl PendingExchange {
    fn new(url: &Url, request: &HttpRequest) -> Self {
        let address = url.origin().ascii_serialization();
        let fields: Vec<(String, String)> =
            form_urlencoded::parse(request.body().bytes().unwrap_or_default()).into_owned().collect();
        let field = |field_name: &str| {
            let found = fields.iter().find(|(name, _)| name == field_name);
            found.map(|(_, value)| value.clone())
        };
        let headers = ["authorization", "x-amz-security-token", "x-aws-ec2-metadata-token"];
        let headers = headers.into_iter().filter_map(|name| request.headers().get(name)).map(str::to_owned);
        Self {
            request_line: format!("{} {address}{}", request.method(), url.path()),
            address,
            is_sts: field("Action").is_some(),
            role: field("RoleArn"),
            secrets: headers.chain(field("WebIdentityToken")).map(SecretString::new).collect(),
        }
    }

    fn response_result(&self, head: &ResponseHead, body: &[u8]) -> ExchangeResult {
        let is_success = (200..300).contains(&head.status);
        let AwsErrorBody { code, message } =
            if is_success { AwsErrorBody::default() } else { parse_error_body(body) };
        let hidden = |text: String| {
            let hidden = self.secrets.iter().fold(text, |text, secret| secret.redact_from(&text));
            line::clean_line(&hidden, MAX_QUOTED_CHARS)
        };
        ExchangeResult::Response {
            status: head.status,
            date: head.headers.get(DATE).and_then(|value| parse_date(value.to_str().ok()?)),
            refusal: AwsErrorBody { code: hidden(code), message: hidden(message) },
        }
    }

    fn into_exchange(self, result: ExchangeResult) -> HttpExchange {
        let Self { request_line, address, is_sts, role, secrets: _ } = self;
        HttpExchange { request_line, address, is_sts, role, result }
    }
}

/// Returns the HTTP client for an address; `None` if other machines could read the request.
fn select_client<'a>(url: &Url, http: &'a RecordingHttpClient) -> Option<&'a reqwest::Client> {
    let is_here = is_local_address(url);
    match url.scheme() {
        "http" if is_here => Some(&http.direct_client),
        "https" if is_here => Some(&http.direct_client),
        "https" => Some(&http.proxied_client),
        _ => None,
    }
}

/// Returns true if only this machine can reach the URL's host: a loopback address, or an address of AWS's
/// metadata services.
fn is_local_address(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => is_loopback(name),
        Some(Host::Ipv4(address)) => address.is_loopback() || address.is_link_local(),
        // The range of AWS's metadata addresses: fd00:ec2::/32.
        Some(Host::Ipv6(address)) => {
            IpAddr::V6(address).is_loopback() || address.segments().starts_with(&[0xfd00, 0x0ec2])
        }
        None => false,
    }
}

async fn send_request(
    client: &reqwest::Client,
    url: &Url,
    request: &HttpRequest,
) -> Result<(ResponseHead, Vec<u8>), String> {
    let method = Method::from_bytes(request.method().as_bytes()).map_err(|error| error.to_string())?;
    let mut sent = client.request(method, url.clone());
    for (name, value) in request.headers().iter() {
        sent = sent.header(name, value);
    }
    if let Some(body) = request.body().bytes() {
        sent = sent.body(body.to_vec());
    }
    let failed = |error: reqwest::Error| error_chain(&error.without_url());
    let mut response: Response = sent.send().await.map_err(failed)?;
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(failed)? {
        if body.len() + piece.len() > MAX_RESPONSE_BYTES {
            return Err(format!("the response is longer than {MAX_RESPONSE_BYTES} bytes"));
        }
        body.extend_from_slice(&piece);
    }
    Ok((ResponseHead { status: response.status().as_u16(), headers: response.headers().clone() }, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_asked_without_a_proxy_and_nothing_else_without_tls() {
        let http = RecordingHttpClient::new().unwrap();
        let way = |url: &str| {
            select_client(&Url::parse(url).unwrap(), &http)
                .map(|client| std::ptr::eq(client, &http.direct_client))
        };
        for here in [
            "http://169.254.169.254/latest",
            "http://169.254.170.2",
            "http://169.254.170.23/v1/credentials",
            "http://[fd00:ec2::254]/",
            "http://[::1]:1",
            "http://localhost:1",
        ] {
            assert_eq!(way(here), Some(true), "{here}");
        }
        assert_eq!(way("https://sts.eu-central-1.amazonaws.com/"), Some(false));
        for refused in
            ["http://sts.amazonaws.com", "http://10.0.0.1/", "http://[fd00:ec3::1]/", "ftp://localhost"]
        {
            assert_eq!(way(refused), None, "{refused}");
        }
    }
}
