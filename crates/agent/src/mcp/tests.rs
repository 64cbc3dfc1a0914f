//! Tests of the MCP server's responses to clients, over a pipe and over HTTP on this machine.

use std::sync::Arc;

use async_trait::async_trait;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use truing_core::secret::SecretString;

use super::http::McpEndpoint;
use super::*;

/// The newest version of the protocol, which the `claude` CLI tries first.
const NEWEST: &str = "2026-07-28";
/// An older version of the protocol, which has a handshake.
const SHAKEN: &str = "2025-11-25";
const TOKEN: &str = "right-token";

/// A tool that repeats its input.
struct Echo;

#[async_trait]
impl Toolset for Echo {
    fn name(&self) -> &str {
        "echo"
    }

    fn instructions(&self) -> Option<&str> {
        Some("Say something.")
    }

    fn tools(&self) -> Vec<McpTool> {
        let schema = json!({"type": "object", "properties": {"word": {"type": "string"}}});
        vec![McpTool {
            name: "say".into(),
            title: "Say it".into(),
            description: "Says it again".into(),
            input_schema: schema.clone(),
            output_schema: Some(schema),
            hints: ToolHints { read_only: true, destructive: false, idempotent: true, open_world: false },
        }]
    }

    async fn call(&self, name: &str, input: Value) -> ToolCallResult {
        let Some(word) = input["word"].as_str() else {
            return ToolCallResult::from_error("`word` has to be text");
        };
        ToolCallResult { text: format!("{name}: {word}"), structured: Some(input.clone()), is_error: false }
    }
}

fn asks(id: u64, method: &str, params: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}

/// Adds the data about the client to `params`. In the newest protocol version, every request contains this
/// data.
fn newest(mut params: Value) -> Value {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": NEWEST,
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    params
}

fn initialize() -> Value {
    let client = json!({"name": "test", "version": "1"});
    asks(1, "initialize", json!({"protocolVersion": SHAKEN, "capabilities": {}, "clientInfo": client}))
}

/// A client that is connected to the server by a pipe.
struct PipedClient {
    pipe: BufReader<DuplexStream>,
    served: JoinHandle<Result<(), McpServeError>>,
}

impl PipedClient {
    fn new() -> Self {
        let (ours, theirs) = tokio::io::duplex(64 << 10);
        let (reader, writer) = tokio::io::split(theirs);
        Self { pipe: BufReader::new(ours), served: tokio::spawn(serve_pipe(Arc::new(Echo), reader, writer)) }
    }

    async fn says(&mut self, line: &str) {
        self.pipe.write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }

    async fn asks(&mut self, message: Value) -> Value {
        self.says(&message.to_string()).await;
        let mut line = String::new();
        self.pipe.read_line(&mut line).await.unwrap();
        serde_json::from_str(&line).unwrap()
    }

    /// Disconnects, and returns the result of the server after it has stopped.
    async fn leaves(self) -> Result<(), McpServeError> {
        drop(self.pipe);
        self.served.await.unwrap()
    }
}

#[tokio::test]
async fn a_client_of_a_pipe_shakes_hands_and_calls_a_tool() {
    let mut client = PipedClient::new();
    let begun = client.asks(initialize()).await;
    assert_eq!(begun["result"]["protocolVersion"], SHAKEN);
    assert_eq!(begun["result"]["serverInfo"]["name"], "echo");
    assert_eq!(begun["result"]["instructions"], "Say something.");
    client.says(r#"{"jsonrpc": "2.0", "method": "notifications/initialized"}"#).await;

    let listed = client.asks(asks(2, "tools/list", json!({}))).await;
    let tool = &listed["result"]["tools"][0];
    assert_eq!((&tool["name"], &tool["title"]), (&json!("say"), &json!("Say it")));
    assert_eq!(tool["outputSchema"]["properties"]["word"]["type"], "string");
    assert_eq!(
        tool["annotations"],
        json!({"readOnlyHint": true, "destructiveHint": false, "idempotentHint": true, "openWorldHint": false})
    );

    let called =
        client.asks(asks(3, "tools/call", json!({"name": "say", "arguments": {"word": "hm"}}))).await;
    let content = json!([{"type": "text", "text": "say: hm"}]);
    assert_eq!(
        called["result"],
        json!({"content": content, "structuredContent": {"word": "hm"}, "isError": false})
    );
    let failed = client.asks(asks(4, "tools/call", json!({"name": "say"}))).await;
    assert_eq!(failed["result"]["isError"], true);
    assert!(failed["result"].get("structuredContent").is_none());
    client.leaves().await.unwrap();
}

#[tokio::test]
async fn whatever_a_client_of_a_pipe_tries_is_answered_and_it_goes_on() {
    let mut client = PipedClient::new();
    let found = client.asks(asks(1, "server/discover", newest(json!({})))).await;
    assert!(found["result"]["supportedVersions"].as_array().unwrap().contains(&json!(NEWEST)), "{found}");
    let bare = client.asks(asks(2, "server/discover", json!({}))).await;
    assert_eq!(bare["error"]["code"], -32602, "{bare}");
    client.says("no JSON").await;
    let early = client.asks(asks(3, "no/such", json!({}))).await;
    assert!(early["error"]["code"].is_i64(), "{early}");

    assert!(client.asks(initialize()).await["result"].is_object());
    let unknown = client.asks(asks(4, "no/such", json!({}))).await;
    assert_eq!(unknown["error"]["code"], -32601, "{unknown}");
    // Methods for prompts and resources are unknown as well, because the server has only tools.
    for (id, method) in (5..).zip(["prompts/list", "resources/list", "resources/templates/list"]) {
        let unknown = client.asks(asks(id, method, json!({}))).await;
        assert_eq!(unknown["error"]["code"], -32601, "{method}: {unknown}");
    }
    let tool = client.asks(asks(5, "tools/call", json!({"name": "none"}))).await;
    assert_eq!(tool["error"]["code"], -32602, "{tool}");
    assert!(tool["error"]["message"].as_str().unwrap().contains("`none`"), "{tool}");
    assert_eq!(client.asks(asks(6, "ping", json!({}))).await["result"], json!({}));
    client.leaves().await.unwrap();
}

#[tokio::test]
async fn a_client_that_leaves_a_pipe_without_a_word_is_no_error() {
    PipedClient::new().leaves().await.unwrap();
}

/// A tool that never answers, and counts its calls.
#[derive(Default)]
struct UnansweredTool(std::sync::atomic::AtomicUsize);

#[async_trait]
impl Toolset for UnansweredTool {
    fn name(&self) -> &str {
        "slow"
    }

    fn instructions(&self) -> Option<&str> {
        None
    }

    fn tools(&self) -> Vec<McpTool> {
        Echo.tools()
    }

    async fn call(&self, _: &str, _: Value) -> ToolCallResult {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        std::future::pending().await
    }
}

/// Returns a server whose tool never answers. A client has already written this number of calls to the
/// server's pipe.
async fn calling(calls: u64) -> (Arc<UnansweredTool>, DuplexStream, JoinHandle<Result<(), McpServeError>>) {
    let (mut ours, theirs) = tokio::io::duplex(1 << 20);
    let (reader, writer) = tokio::io::split(theirs);
    let slow = Arc::new(UnansweredTool::default());
    let tools: Arc<dyn Toolset> = slow.clone();
    let served = tokio::spawn(serve_pipe(tools, reader, writer));
    let mut said = format!("{}\n", initialize());
    said.push_str("{\"jsonrpc\": \"2.0\", \"method\": \"notifications/initialized\"}\n");
    for id in 2..calls + 2 {
        said.push_str(&format!("{}\n", asks(id, "tools/call", json!({"name": "say", "arguments": {}}))));
    }
    ours.write_all(said.as_bytes()).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    (slow, ours, served)
}

#[tokio::test(start_paused = true)]
async fn no_more_calls_are_taken_than_are_worked_on() {
    let (slow, ours, served) = calling(500).await;
    assert_eq!(slow.0.load(std::sync::atomic::Ordering::Relaxed), pace::MAX_IN_FLIGHT_CALLS);
    drop(ours);
    served.abort();
}

#[tokio::test(start_paused = true)]
async fn calls_that_last_do_not_keep_a_server_whose_client_has_left() {
    let (slow, ours, served) = calling(3).await;
    assert_eq!(slow.0.load(std::sync::atomic::Ordering::Relaxed), 3);
    drop(ours);
    tokio::time::timeout(2 * pace::PENDING_CALLS_TIMEOUT, served).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_client_that_calls_often_and_reads_late_is_answered_each_time() {
    let mut client = PipedClient::new();
    client.asks(initialize()).await;
    client.says(r#"{"jsonrpc": "2.0", "method": "notifications/initialized"}"#).await;
    let (reader, mut writer) = tokio::io::split(client.pipe);
    let write = async {
        for id in 2..1002 {
            let call = asks(id, "tools/call", json!({"name": "say", "arguments": {"word": "hm"}}));
            writer.write_all(format!("{call}\n").as_bytes()).await.unwrap();
        }
    };
    let read = async {
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        let mut lines = BufReader::new(reader).lines();
        for _ in 2..1002 {
            let line = lines.next_line().await.unwrap().unwrap();
            assert!(line.contains("say: hm"), "{line}");
        }
    };
    tokio::join!(write, read);
}

/// A server on this machine, which is stopped when this value is dropped.
struct LoopbackServer {
    port: u16,
    server: JoinHandle<std::io::Result<()>>,
}

impl Drop for LoopbackServer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

type Headers<'a> = &'a [(&'a str, &'a str)];

impl LoopbackServer {
    async fn new(door: McpEndpoint) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let tools = Arc::new(Echo);
        Self { port, server: tokio::spawn(door.serve(listener, move |_| tools.clone())) }
    }

    /// Sends a request, and returns the status and the body of the response. The given headers replace the
    /// headers of the same name that a valid client sends.
    async fn asked(&self, method: &str, headers: Headers<'_>, body: String) -> (StatusCode, String) {
        let host = format!("127.0.0.1:{}", self.port);
        let token = format!("Bearer {TOKEN}");
        let mut all = vec![
            ("host", host.as_str()),
            ("authorization", &token),
            ("content-type", "application/json"),
            ("accept", "application/json, text/event-stream"),
        ];
        all.retain(|(name, _)| !headers.iter().any(|(other, _)| other == name));
        let request = Request::builder().method(method).uri("/mcp");
        let request = all.iter().chain(headers).fold(request, |request, (name, value)| {
            if value.is_empty() { request } else { request.header(*name, *value) }
        });
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let answer = sender.send_request(request.body(Full::new(Bytes::from(body))).unwrap()).await.unwrap();
        let status = answer.status();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn posted(&self, headers: Headers<'_>, message: Value) -> (StatusCode, Value) {
        let (status, body) = self.asked("POST", headers, message.to_string()).await;
        (status, serde_json::from_str(&body).unwrap_or(Value::String(body)))
    }
}

fn door() -> McpEndpoint {
    McpEndpoint::new(Some(&SecretString::new(TOKEN)))
}

#[tokio::test]
async fn a_client_of_http_calls_a_tool_with_either_protocol() {
    let served = LoopbackServer::new(door()).await;
    let (status, begun) = served.posted(&[], initialize()).await;
    assert_eq!((status, &begun["result"]["protocolVersion"]), (StatusCode::OK, &json!(SHAKEN)));
    let say = json!({"name": "say", "arguments": {"word": "hm"}});
    let shaken = [("mcp-protocol-version", SHAKEN)];
    let (status, called) = served.posted(&shaken, asks(2, "tools/call", say.clone())).await;
    assert_eq!((status, &called["result"]["structuredContent"]["word"]), (StatusCode::OK, &json!("hm")));

    let with = |method| [("mcp-protocol-version", NEWEST), ("mcp-method", method), ("mcp-name", "")];
    let (status, found) =
        served.posted(&with("server/discover"), asks(3, "server/discover", newest(json!({})))).await;
    assert_eq!(status, StatusCode::OK, "{found}");
    assert!(found["result"]["supportedVersions"].as_array().unwrap().contains(&json!(NEWEST)), "{found}");
    let headers = [("mcp-protocol-version", NEWEST), ("mcp-method", "tools/call"), ("mcp-name", "say")];
    let (status, called) = served.posted(&headers, asks(4, "tools/call", newest(say))).await;
    assert_eq!((status, &called["result"]["structuredContent"]["word"]), (StatusCode::OK, &json!("hm")));
}

#[tokio::test]
async fn a_method_of_http_that_is_not_known_is_answered_with_an_error() {
    let served = LoopbackServer::new(door()).await;
    let (status, shaken) =
        served.posted(&[("mcp-protocol-version", SHAKEN)], asks(1, "no/such", json!({}))).await;
    assert_eq!((status, &shaken["error"]["code"]), (StatusCode::OK, &json!(-32601)));
    let headers = [("mcp-protocol-version", NEWEST), ("mcp-method", "no/such")];
    let (status, newer) = served.posted(&headers, asks(2, "no/such", newest(json!({})))).await;
    assert_eq!((status, &newer["error"]["code"]), (StatusCode::NOT_FOUND, &json!(-32601)));
    // The server offers no event stream (GET), and has no session that a client could end (DELETE).
    for method in ["GET", "DELETE"] {
        assert_eq!(served.asked(method, &[], String::new()).await.0, StatusCode::METHOD_NOT_ALLOWED);
    }
}

#[tokio::test]
async fn who_does_not_know_the_token_is_told_so_and_nothing_else() {
    let served = LoopbackServer::new(door()).await;
    for said in ["", "Bearer", "Bearer ", "Bearer wrong-token", "Basic right-token", "Bearer right-token2"] {
        let (status, body) = served.posted(&[("authorization", said)], initialize()).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{said:?}: {body}");
        assert!(!body.to_string().contains(TOKEN));
    }
    // The name of an authentication scheme is case-insensitive.
    let (status, _) = served.posted(&[("authorization", "bearer right-token")], initialize()).await;
    assert_eq!(status, StatusCode::OK);
    let open = LoopbackServer::new(McpEndpoint::new(None)).await;
    assert_eq!(open.posted(&[("authorization", "")], initialize()).await.0, StatusCode::OK);
}

#[tokio::test]
async fn pages_and_names_of_elsewhere_are_refused() {
    let served = LoopbackServer::new(door().with_hosts(["tools.example".to_owned()])).await;
    let cases = [
        (("host", "evil.example"), StatusCode::FORBIDDEN),
        (("host", "localhost:1"), StatusCode::OK),
        (("host", "tools.example"), StatusCode::OK),
        (("origin", "http://evil.example"), StatusCode::FORBIDDEN),
        (("origin", "null"), StatusCode::FORBIDDEN),
        (("origin", "http://localhost:3000"), StatusCode::OK),
        (("origin", "http://[::1]:3000"), StatusCode::OK),
    ];
    for (header, expected) in cases {
        let (status, body) = served.posted(&[header], initialize()).await;
        assert_eq!(status, expected, "{header:?}: {body}");
    }
}

#[tokio::test]
async fn a_body_that_is_too_long_or_no_message_is_refused() {
    let served = LoopbackServer::new(door()).await;
    let long =
        asks(1, "tools/call", json!({"name": "say", "arguments": {"word": "x".repeat(MAX_MESSAGE_BYTES)}}));
    assert_eq!(served.posted(&[], long).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    let (status, _) = served.asked("POST", &[], "no JSON".into()).await;
    assert!(status.is_client_error(), "{status}");
    assert_eq!(served.posted(&[], initialize()).await.0, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let served = LoopbackServer::new(door()).await;
    let mut stream = TcpStream::connect(("127.0.0.1", served.port)).await.unwrap();
    let head = format!(
        "POST /mcp HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {TOKEN}\r\ncontent-length: 9\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
}

#[tokio::test]
async fn connections_that_never_say_who_they_are_keep_nobody_out() {
    let served = LoopbackServer::new(door()).await;
    let mut held = Vec::new();
    for _ in 0..200 {
        let mut stream = TcpStream::connect(("127.0.0.1", served.port)).await.unwrap();
        // The error is ignored, because the write fails if the server has already closed the connection.
        let _ = stream.write_all(b"POST /mcp HTTP/1.1\r\n").await;
        held.push(stream);
    }
    assert_eq!(served.posted(&[], initialize()).await.0, StatusCode::OK);
    let wrong = [("authorization", "Bearer wrong-token")];
    assert_eq!(served.posted(&wrong, initialize()).await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_the_token_ends_after_five_seconds() {
    let served = LoopbackServer::new(door()).await;
    let begun = tokio::time::Instant::now();
    let mut stream = TcpStream::connect(("127.0.0.1", served.port)).await.unwrap();
    stream.write_all(b"POST /mcp HTTP/1.1\r\nhost: localhost\r\n").await.unwrap();
    let mut answer = Vec::new();
    // The error is ignored, because the operating system may close or reset the connection.
    let _ = stream.read_to_end(&mut answer).await;
    assert_eq!((answer.as_slice(), begun.elapsed().as_secs()), (&[][..], 5));
}
