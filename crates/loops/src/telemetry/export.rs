//! Exports traces as OTLP over HTTP. The traces wait in a queue, and Truing's HTTP client sends them in
//! batches on Truing's own runtime. A queue collects the traces. While the queue is full, new traces are
//! dropped.

use std::cell::Cell;
use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use opentelemetry::global;
use opentelemetry::trace::{SpanId, TraceId};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator, SdkTracerProvider};
use tokio::runtime::Handle;
use url::Url;

use truing_config::TelemetryConfig;
use truing_config::environment::Environment;
use truing_config::secret::SecretError;

/// Time limit of one export.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(10);
/// Time limit of the last export, for which the process waits before it exits.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);
/// The URL path for traces, which the OTLP protocol appends to the address of an endpoint.
const OTLP_TRACES_PATH: &str = "/v1/traces";
/// The URL path for traces, which is appended to the address of a Langfuse server.
const LANGFUSE_TRACES_PATH: &str = "/api/public/otel/v1/traces";
/// Address of the Langfuse server that is used if no other address is configured.
const DEFAULT_LANGFUSE_URL: &str = "https://cloud.langfuse.com";
/// Maximum number of bytes of the endpoint's response that are read. The content of the response is not used.
const MAX_ANSWER_BYTES: usize = 64 << 10;

/// True if traces may contain the texts of prompts, answers and tools.
static CAPTURES_TEXTS: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// The id for the next trace that begins on this thread.
    static NEXT_TRACE_ID: Cell<Option<TraceId>> = const { Cell::new(None) };
}

/// The reason why traces cannot be exported.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The headers cannot be read.
    #[error("telemetry.headers: {0}")]
    Secret(#[from] SecretError),
    /// The headers are not in the form `NAME=VALUE`.
    #[error("telemetry.headers must be a list of NAME=VALUE, separated by commas")]
    InvalidHeaders,
    /// The exporter cannot be set up.
    #[error("cannot export traces: {0}")]
    SetUp(String),
}

/// The running export of traces. Dropping this value sends the queued traces, within a short time limit.
pub struct TraceExport(SdkTracerProvider);

impl Drop for TraceExport {
    fn drop(&mut self) {
        if let Err(error) = self.0.shutdown_with_timeout(SHUTDOWN_TIMEOUT) {
            tracing::warn!(%error, "could not send the last traces");
        }
    }
}

/// True if traces may contain the texts of prompts, answers and tools.
pub(super) fn can_capture_texts() -> bool {
    CAPTURES_TEXTS.load(Ordering::Relaxed)
}

/// Sets the id of the next trace on this thread.
pub(super) fn set_next_trace_id(id: TraceId) {
    NEXT_TRACE_ID.set(Some(id));
}

/// Starts the export of traces, if an endpoint is configured.
///
/// # Errors
/// [`TelemetryError`]: the configuration cannot be used.
pub fn start_trace_export(
    config: &TelemetryConfig,
    environment: &Environment,
    runtime: &Handle,
) -> Result<Option<TraceExport>, TelemetryError> {
    let Some((endpoint, headers)) = export_target(config, environment)? else { return Ok(None) };
    let set_up = |error: &dyn std::fmt::Display| TelemetryError::SetUp(error.to_string());
    let mut http =
        reqwest::Client::builder().timeout(EXPORT_TIMEOUT).redirect(reqwest::redirect::Policy::none());
    // No proxy is used for addresses of this machine, because proxies are for external hosts.
    let host = Url::parse(&endpoint).ok().and_then(|url| url.host_str().map(str::to_owned));
    if host.is_some_and(|host| matches!(host.as_str(), "localhost" | "127.0.0.1" | "[::1]")) {
        http = http.no_proxy();
    }
    let sender =
        RuntimeHttpSender { http: http.build().map_err(|error| set_up(&error))?, runtime: runtime.clone() };
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(sender)
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(endpoint)
        .with_headers(headers)
        .with_timeout(EXPORT_TIMEOUT)
        .build()
        .map_err(|error| set_up(&error))?;
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_id_generator(TraceIdGenerator::default())
        .with_resource(Resource::builder().with_service_name("truing").build())
        .build();
    CAPTURES_TEXTS.store(config.capture_content, Ordering::Relaxed);
    global::set_tracer_provider(provider.clone());
    Ok(Some(TraceExport(provider)))
}

/// The address of an endpoint, and the headers of requests to it.
type ExportTarget = (String, HashMap<String, String>);

/// Returns the address and the headers from the configuration, otherwise from the environment variables of
/// OpenTelemetry and Langfuse.
fn export_target(
    config: &TelemetryConfig,
    environment: &Environment,
) -> Result<Option<ExportTarget>, TelemetryError> {
    let variable = |name: &str| {
        environment.get(name).and_then(|value| value.to_str()).filter(|value| !value.trim().is_empty())
    };
    let own = match &config.headers {
        Some(secret) => {
            Some(parse_headers(secret.read(environment)?.expose()).ok_or(TelemetryError::InvalidHeaders)?)
        }
        None => None,
    };
    let foreign = variable("OTEL_EXPORTER_OTLP_TRACES_HEADERS").or(variable("OTEL_EXPORTER_OTLP_HEADERS"));
    let given = own.or_else(|| parse_headers(foreign?)).unwrap_or_default();
    if let Some(endpoint) = &config.otlp_endpoint {
        return Ok(Some((traces_address(endpoint), given)));
    }
    Ok(endpoint_of_variables(environment).map(|ForeignEndpoint { address, login, .. }| match login {
        Some(login) => (address, HashMap::from([("authorization".to_owned(), login)])),
        None => (address, given),
    }))
}

/// Returns the address for traces below a receiver's address.
fn traces_address(base: &str) -> String {
    format!("{}{OTLP_TRACES_PATH}", base.trim_end_matches('/').trim_end_matches(OTLP_TRACES_PATH))
}

/// The receiver of the traces that variables of other programs name.
pub struct ForeignEndpoint {
    /// The variable that names the receiver.
    pub variable: &'static str,
    /// Address to which traces are sent.
    pub address: String,
    /// Value of the header `authorization`, if variables contain a login.
    login: Option<String>,
}

/// Returns the receiver of the traces by the variables of OpenTelemetry and Langfuse. It applies if
/// `telemetry.otlp_endpoint` is not set.
pub fn endpoint_of_variables(environment: &Environment) -> Option<ForeignEndpoint> {
    let variable = |name: &'static str| {
        let value = environment.get(name).and_then(|value| value.to_str());
        value.filter(|value| !value.trim().is_empty()).map(|value| (name, value))
    };
    let whole = variable("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT").map(|(name, value)| (name, value.to_owned()));
    let base = || variable("OTEL_EXPORTER_OTLP_ENDPOINT").map(|(name, value)| (name, traces_address(value)));
    if let Some((variable, address)) = whole.or_else(base) {
        return Some(ForeignEndpoint { variable, address, login: None });
    }
    let ((public_name, public), (_, secret)) =
        variable("LANGFUSE_PUBLIC_KEY").zip(variable("LANGFUSE_SECRET_KEY"))?;
    let (name, base) = variable("LANGFUSE_BASE_URL").unwrap_or((public_name, DEFAULT_LANGFUSE_URL));
    Some(ForeignEndpoint {
        variable: name,
        address: format!("{}{LANGFUSE_TRACES_PATH}", base.trim_end_matches('/')),
        login: Some(format!("Basic {}", STANDARD.encode(format!("{public}:{secret}")))),
    })
}

/// Parses `NAME=VALUE` pairs, separated by commas, with percent-encoded values.
fn parse_headers(text: &str) -> Option<HashMap<String, String>> {
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=')?;
        // The decoder is for query strings and converts plus signs to spaces. Plus signs are therefore
        // escaped first.
        let value = value.trim().replace('+', "%2B");
        let decoded = url::form_urlencoded::parse(value.as_bytes()).next();
        let value = decoded.map(|(value, _)| value.into_owned()).unwrap_or_default();
        (!name.trim().is_empty()).then(|| (name.trim().to_lowercase(), value))
    };
    text.split(',').filter(|part| !part.trim().is_empty()).map(pair).collect()
}

/// Generates trace ids: the id that was set for the next trace, or else a random id.
#[derive(Debug, Default)]
struct TraceIdGenerator(RandomIdGenerator);

impl IdGenerator for TraceIdGenerator {
    fn new_trace_id(&self) -> TraceId {
        NEXT_TRACE_ID.take().unwrap_or_else(|| self.0.new_trace_id())
    }

    fn new_span_id(&self) -> SpanId {
        self.0.new_span_id()
    }
}

/// Sends the exporter's HTTP requests on Truing's own runtime, because the exporter's thread has no runtime.
#[derive(Debug)]
struct RuntimeHttpSender {
    http: reqwest::Client,
    runtime: Handle,
}

type SendFuture<'a> = Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'a>>;

impl HttpClient for RuntimeHttpSender {
    fn send_bytes<'a, 'b>(&'a self, request: Request<Bytes>) -> SendFuture<'b>
    where
        'a: 'b,
        Self: 'b,
    {
        let sending = self.runtime.spawn(send(self.http.clone(), request));
        Box::pin(async move {
            let sent = sending.await.unwrap_or_else(|error| Err(error.into()));
            match &sent {
                Ok(response) if response.status().is_success() => {}
                Ok(response) => {
                    tracing::warn!(status = response.status().as_u16(), "the endpoint refused the traces");
                }
                Err(error) => tracing::warn!(%error, "could not send traces"),
            }
            sent
        })
    }
}

async fn send(http: reqwest::Client, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
    let request = reqwest::Request::try_from(request)?;
    let mut answer = http.execute(request).await.map_err(reqwest::Error::without_url)?;
    let (status, headers) = (answer.status(), answer.headers().clone());
    let mut body = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(reqwest::Error::without_url)? {
        if body.len() + piece.len() <= MAX_ANSWER_BYTES {
            body.extend_from_slice(&piece);
        }
    }
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}

#[cfg(test)]
mod tests {
    use truing_config::secret::{SecretSource, SecretText};

    use super::*;

    fn telemetry_config(endpoint: Option<&str>, headers: Option<&str>) -> TelemetryConfig {
        let headers = headers.map(|text| SecretSource::PlainText(SecretText::new(text)));
        TelemetryConfig { otlp_endpoint: endpoint.map(str::to_owned), headers, capture_content: false }
    }

    #[test]
    fn our_own_keys_win_over_the_variables_of_others() {
        let all = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://otel.example/"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "X-A=b%20c, d=e+f"),
            ("LANGFUSE_PUBLIC_KEY", "pk"),
            ("LANGFUSE_SECRET_KEY", "sk"),
            ("LANGFUSE_BASE_URL", "https://langfuse.example/"),
        ];
        let of = |config: &TelemetryConfig, variables: &[(&str, &str)]| {
            export_target(config, &Environment::new(variables.iter().copied(), "/")).unwrap()
        };
        assert_eq!(of(&telemetry_config(None, None), &[]), None);
        assert_eq!(of(&telemetry_config(None, None), &all[2..3]), None, "half a login is none");
        let (endpoint, headers) =
            of(&telemetry_config(Some("http://127.0.0.1:4318"), Some("k=v")), &all).unwrap();
        assert_eq!(
            (endpoint.as_str(), &headers["k"], headers.len()),
            ("http://127.0.0.1:4318/v1/traces", &"v".into(), 1)
        );
        let (endpoint, headers) = of(&telemetry_config(None, None), &all).unwrap();
        assert_eq!(endpoint, "https://otel.example/v1/traces");
        assert_eq!((headers["x-a"].as_str(), headers["d"].as_str()), ("b c", "e+f"));
        let (endpoint, headers) = of(&telemetry_config(None, None), &all[2..]).unwrap();
        assert_eq!(endpoint, "https://langfuse.example/api/public/otel/v1/traces");
        assert_eq!(headers["authorization"], "Basic cGs6c2s=");
        let wrong =
            export_target(&telemetry_config(Some("https://h"), Some("no pair")), &Environment::default());
        assert_eq!(wrong, Err(TelemetryError::InvalidHeaders));
    }
}
