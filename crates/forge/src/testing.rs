//! A server on the loopback address for tests: it sends its replies in order, and records the requests.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use reqwest::header::{HeaderMap, HeaderName};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use truing_core::id::{TimeSpan, UnixMillis};
use truing_core::port::{Clock, HaltReason, WriteGate, WritePermit};
use url::Url;

use crate::HttpTimeouts;

/// Token that must not appear in any output.
pub(crate) const CANARY: &str = "canary-8f14e45f";

/// Returns timeouts with no delay before a retry.
pub(crate) fn test_timeouts() -> HttpTimeouts {
    let long = Duration::from_secs(60);
    HttpTimeouts { connect: long, read: long, total: long, retry_delay: Duration::ZERO }
}

/// Returns short timeouts, for tests in which the server never sends a reply.
pub(crate) fn short_timeouts() -> HttpTimeouts {
    HttpTimeouts { read: Duration::from_millis(400), ..test_timeouts() }
}

/// Returns the permit of a gate that is always open.
pub(crate) fn open_gate_permit() -> Arc<WritePermit> {
    let gate: Arc<dyn WriteGate> = Arc::new(OpenGate);
    let asked = pin!(WritePermit::request_from(&gate, UnixMillis(0)));
    match asked.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(permit) => permit.unwrap(),
        Poll::Pending => panic!("an open gate answers at once"),
    }
}

#[derive(Debug)]
struct OpenGate;

#[async_trait]
impl WriteGate for OpenGate {
    async fn permit_write(&self) -> Result<(), HaltReason> {
        Ok(())
    }
}

/// A clock that is set by hand.
#[derive(Clone, Debug)]
pub(crate) struct ManualClock(Arc<AtomicI64>);

impl ManualClock {
    pub(crate) fn new(now: UnixMillis) -> Self {
        Self(Arc::new(AtomicI64::new(now.0)))
    }

    pub(crate) fn pass(&self, time: TimeSpan) {
        self.0.fetch_add(time.0, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> UnixMillis {
        UnixMillis(self.0.load(Ordering::SeqCst))
    }
}

/// The server's reaction to one request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct ScriptedHttpReply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Bytes,
    kind: ReplyKind,
    always: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ReplyKind {
    Complete,
    BrokenOff,
    HangUp,
    NoReply,
}

impl ScriptedHttpReply {
    pub(crate) fn new(status: u16, body: impl Into<Bytes>) -> Self {
        Self { status, headers: Vec::new(), body: body.into(), kind: ReplyKind::Complete, always: false }
    }

    /// Sends no response and closes the connection.
    pub(crate) fn hang_up() -> Self {
        Self { kind: ReplyKind::HangUp, ..Self::new(200, "") }
    }

    /// Sends no response and keeps the connection open.
    pub(crate) fn no_response() -> Self {
        Self { kind: ReplyKind::NoReply, ..Self::new(200, "") }
    }

    /// Sends only a part of the body, and then closes the connection.
    pub(crate) fn broken_off(self) -> Self {
        Self { kind: ReplyKind::BrokenOff, ..self }
    }

    /// Repeats the reply for all further requests.
    pub(crate) fn repeat_always(self) -> Self {
        Self { always: true, ..self }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn headers<const N: usize>(self, headers: [(&str, &str); N]) -> Self {
        headers.into_iter().fold(self, |reply, (name, value)| reply.header(name, value))
    }
}

/// A request that the server received.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// Method, path and query, as in `GET /x?y`.
    pub(crate) line: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Request {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

#[derive(Default)]
struct Shared {
    replies: VecDeque<ScriptedHttpReply>,
    requests: Vec<Request>,
}

/// The test server, which stops when it is dropped.
pub(crate) struct Server {
    root: Url,
    shared: Arc<Mutex<Shared>>,
    task: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn new(replies: impl IntoIterator<Item = ScriptedHttpReply>) -> Self {
        let shared = Shared { replies: replies.into_iter().collect(), requests: Vec::new() };
        let shared = Arc::new(Mutex::new(shared));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let root = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let state = shared.clone();
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve_connection(stream, state.clone()));
            }
        });
        Self { root, shared, task }
    }

    pub(crate) fn url(&self, path: &str) -> Url {
        self.root.join(path).unwrap()
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.shared.lock().unwrap().requests.clone()
    }

    pub(crate) async fn stop(mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Reads requests of one connection and answers each with the next reply, until a reply ends the connection.
async fn serve_connection(stream: TcpStream, shared: Arc<Mutex<Shared>>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let Some(request) = read_request(&mut stream).await? else {
            return Ok(());
        };
        let reply = {
            let mut shared = shared.lock().unwrap();
            shared.requests.push(request);
            let next = shared.replies.pop_front();
            if let Some(reply) = next.as_ref().filter(|reply| reply.always) {
                shared.replies.push_front(reply.clone());
            }
            next.unwrap_or_else(|| {
                ScriptedHttpReply::new(599, r#"{"message":"the test has no reply for this"}"#)
            })
        };
        let mut head = format!("HTTP/1.1 {} Told\r\n", reply.status);
        for (name, value) in &reply.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        // For a response that ends early, the `Content-Length` is one byte too large.
        let missing = usize::from(reply.kind == ReplyKind::BrokenOff);
        if reply.status != 304 {
            head.push_str(&format!("content-length: {}\r\n", reply.body.len() + missing));
        }
        match reply.kind {
            ReplyKind::HangUp => return Ok(()),
            ReplyKind::NoReply => std::future::pending().await,
            ReplyKind::Complete | ReplyKind::BrokenOff => {
                // The response is sent in one write, because a second small write would wait for the
                // acknowledgement of the first.
                stream.write_all(&[head.as_bytes(), b"\r\n", &reply.body].concat()).await?;
                stream.flush().await?;
            }
        }
        if reply.kind == ReplyKind::BrokenOff {
            return Ok(());
        }
    }
}

/// Reads one request, whose header contains the length of the body; `None` at the end of the connection.
async fn read_request(stream: &mut BufReader<TcpStream>) -> std::io::Result<Option<Request>> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(None);
        }
        if line.trim_end().is_empty() {
            break;
        }
        lines.push(line.trim_end().to_owned());
    }
    let line = lines.remove(0).trim_end_matches(" HTTP/1.1").to_owned();
    let mut headers = HeaderMap::new();
    for line in &lines {
        let (name, value) = line.split_once(": ").unwrap();
        headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
    }
    let length = headers.get("content-length").map_or(0, |value| value.to_str().unwrap().parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(Some(Request { line, headers, body: body.into() }))
}
