//! Provides a receiver of traces that are sent in OTLP over HTTP.

#![allow(dead_code, reason = "each test takes what it needs")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// The `authorization` header of each request, and all received spans.
#[derive(Default)]
struct ReceivedTraces {
    logins: Vec<String>,
    spans: Vec<Span>,
}

/// A receiver that listens on this machine.
pub(crate) struct Receiver {
    came: Arc<Mutex<ReceivedTraces>>,
    pub(crate) url: String,
    _runtime: Runtime,
}

impl Receiver {
    pub(crate) fn start() -> Self {
        let runtime = Runtime::new().unwrap();
        let came = Arc::new(Mutex::new(ReceivedTraces::default()));
        let router = axum::Router::new()
            .route("/in/v1/traces", axum::routing::post(receive_request))
            .with_state(came.clone());
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}/in", listener.local_addr().unwrap());
        runtime.spawn(async move { axum::serve(listener, router).await });
        Self { came, url, _runtime: runtime }
    }

    /// Returns the spans received since the last call. The command that sends them must have exited.
    pub(crate) fn spans(&self) -> Vec<Span> {
        std::mem::take(&mut self.came.lock().unwrap().spans)
    }

    /// Returns the `authorization` header of each request, or an empty text for a request without this
    /// header.
    pub(crate) fn logins(&self) -> Vec<String> {
        self.came.lock().unwrap().logins.clone()
    }
}

async fn receive_request(
    State(came): State<Arc<Mutex<ReceivedTraces>>>,
    headers: HeaderMap,
    body: Bytes,
) -> &'static str {
    assert_eq!(headers["content-type"], "application/x-protobuf");
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    let mut came = came.lock().unwrap();
    came.logins.push(headers.get("authorization").map_or("", |login| login.to_str().unwrap()).to_owned());
    let scopes = request.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
    came.spans.extend(scopes.flat_map(|scope| scope.spans));
    ""
}

/// Returns the attributes of a span by key, with their values as text.
pub(crate) fn span_attributes(span: &Span) -> BTreeMap<&str, String> {
    let text = |pair: &KeyValue| match pair.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::DoubleValue(number)) => number.to_string(),
        Some(Value::BoolValue(yes)) => yes.to_string(),
        other => format!("{other:?}"),
    };
    span.attributes.iter().map(|pair| (pair.key.as_str(), text(pair))).collect()
}

pub(crate) fn spans_named<'a>(spans: &'a [Span], name: &str) -> Vec<&'a Span> {
    spans.iter().filter(|span| span.name == name).collect()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
