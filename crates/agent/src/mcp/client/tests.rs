//! Tests of the client of MCP servers, over a pipe in this process and over HTTP on this machine. Some of the
//! servers behave incorrectly.

// long: one test for each kind of server response; the tests share the servers.

use std::borrow::Cow;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::{Request, Response, StatusCode};
use rmcp::ServerHandler;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, ErrorData, ListToolsResult, PaginatedRequestParams,
    ProtocolVersion, ServerConfig,
};
use rmcp::service::{RequestContext, RoleServer};
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use truing_core::secret::SecretString;

use super::*;
use crate::mcp::Toolset;
use crate::mcp::connections::{ConnectionBounds, serve_connections};
use crate::mcp::http::{McpEndpoint, McpResponse};
use crate::mcp::{McpTool, ToolCallResult, ToolHints, ToolsetHandler};

mod headers;
mod shared;

const TOKEN: &str = "the-right-token";

/// The run's own tools.
struct OwnTestTools;

#[async_trait]
impl RunTools for OwnTestTools {
    fn tool_definitions(&self) -> Vec<ToolDefinition> {
        vec![ToolDefinition {
            name: "read".into(),
            description: String::new(),
            input_schema: json!({"type": "object"}),
            cache_control: None,
        }]
    }

    async fn call(&self, name: &str, _: &Value) -> ToolCallOutput {
        ToolCallOutput { text: format!("own {name}"), is_error: false, is_denied: false }
    }
}

/// Tools in this process: one tool repeats its input, and some tools change data.
struct EchoTools;

#[async_trait]
impl Toolset for EchoTools {
    fn name(&self) -> &str {
        "echo"
    }

    fn instructions(&self) -> Option<&str> {
        None
    }

    fn tools(&self) -> Vec<McpTool> {
        let offer = |name: &str, read_only, destructive| McpTool {
            name: name.into(),
            title: String::new(),
            description: "Says \u{1b}[31mit again".into(),
            input_schema: json!({"type": "object", "properties": {"word": {"type": "string"}}}),
            output_schema: None,
            hints: ToolHints { read_only, destructive, idempotent: true, open_world: false },
        };
        vec![
            offer("say", true, false),
            offer("other", true, false),
            offer("write", false, false),
            offer("wipe", false, true),
        ]
    }

    async fn call(&self, name: &str, input: Value) -> ToolCallResult {
        let Some(word) = input["word"].as_str() else {
            return ToolCallResult::from_error("`word` has to be text");
        };
        ToolCallResult { text: format!("{name}: {word}"), structured: None, is_error: false }
    }
}

fn server(transport: ServerTransport, tools: &[&str]) -> McpServer {
    let tools = tools.iter().map(|name| (*name).to_owned()).collect();
    McpServer {
        name: "docs".into(),
        transport,
        allowed_tools: tools,
        timeout: Duration::from_secs(30),
        max_result_bytes: 1000,
    }
}

fn names(tools: &dyn RunTools) -> Vec<String> {
    tools.tool_definitions().into_iter().map(|tool| tool.name).collect()
}

fn told(problems: &[ServerProblem]) -> Vec<&str> {
    problems.iter().map(|problem| problem.description.as_str()).collect()
}

/// The action of a scripted server after a request.
enum ScriptedReaction {
    Result(Value),
    Error(&'static str),
    Later(Duration, Value),
    Nothing,
    Leaves,
    Says(Vec<u8>),
}

/// Returns a server on a pipe. The function `does` returns the server's reaction to a method and the method's
/// parameters.
fn scripted(does: impl Fn(&str, &Value) -> ScriptedReaction + Send + Sync + 'static) -> ServerTransport {
    let does = Arc::new(does);
    ServerTransport::InProcess(InProcessServer(Arc::new(move |pipe| {
        let does = does.clone();
        Box::pin(async move {
            let (reader, mut writer) = tokio::io::split(pipe);
            let mut lines = BufReader::new(reader).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let asked: Value = serde_json::from_str(&line).unwrap();
                if asked.get("id").is_none() {
                    continue;
                }
                let answer = |field: &str, value: Value| {
                    format!("{}\n", json!({"jsonrpc": "2.0", "id": asked["id"], field: value})).into_bytes()
                };
                let said = match does(asked["method"].as_str().unwrap(), &asked["params"]) {
                    ScriptedReaction::Result(result) => answer("result", result),
                    ScriptedReaction::Error(message) => {
                        answer("error", json!({"code": -32000, "message": message}))
                    }
                    ScriptedReaction::Later(time, result) => {
                        tokio::time::sleep(time).await;
                        answer("result", result)
                    }
                    ScriptedReaction::Nothing => continue,
                    ScriptedReaction::Leaves => return,
                    ScriptedReaction::Says(bytes) => bytes,
                };
                if writer.write_all(&said).await.is_err() {
                    return;
                }
            }
        })
    })))
}

/// Returns the reaction of a correct server to this method.
fn well(method: &str) -> ScriptedReaction {
    ScriptedReaction::Result(match method {
        "initialize" => json!({"protocolVersion": "2025-06-18", "capabilities": {"tools": {}},
            "serverInfo": {"name": "docs", "version": "1"}}),
        "tools/list" => json!({"tools": [{"name": "say", "inputSchema": {"type": "object"}}]}),
        _ => json!({"content": [{"type": "text", "text": "well"}]}),
    })
}

/// Starts a server, calls the server's tool, and stops the server. Returns the output and the server's
/// problems.
async fn tried(way: ServerTransport) -> (ToolCallOutput, Vec<ServerProblem>) {
    let servers = McpServers::start(&[server(way, &["say"])]).await;
    let output = servers.combine_with(&OwnTestTools).call("mcp__docs__say", &json!({"word": "x"})).await;
    (output, servers.stop().await)
}

#[tokio::test]
async fn what_the_operator_allows_and_what_reads_is_offered_beside_the_runs_own_tools() {
    let way = ServerTransport::InProcess(InProcessServer::new(|| async { Some(EchoTools) }));
    let servers = McpServers::start(&[server(way, &["say", "write", "wipe", "gone"])]).await;
    let tools = servers.combine_with(&OwnTestTools);
    assert_eq!(names(&tools), ["read", "mcp__docs__say"]);
    let said = &tools.tool_definitions()[1];
    assert!(
        said.description.contains("`docs`") && said.description.ends_with("Says [31mit again"),
        "{said:?}"
    );
    assert_eq!(tools.call("read", &json!({})).await.text, "own read");
    assert_eq!(tools.call("mcp__docs__say", &json!({"word": "hello"})).await.text, "say: hello");
    let failed = tools.call("mcp__docs__say", &json!({"word": 1})).await;
    assert!(failed.is_error && failed.text.contains("has to be text"), "{failed:?}");
    // A tool that the server does not list is not called.
    assert_eq!(tools.call("mcp__docs__other", &json!({"word": "x"})).await.text, "own mcp__docs__other");
    let problems = servers.stop().await;
    assert_eq!(
        told(&problems),
        [
            "tool `write` is left out: the server declares that the tool is not read-only",
            "tool `wipe` is left out: the server declares that the tool is not read-only",
            "it has no tool `gone`",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_server_that_fails_is_let_go_of_and_the_run_goes_on() {
    type Script = fn(&str, &Value) -> ScriptedReaction;
    let on = |at: &'static str, does: fn() -> ScriptedReaction| {
        scripted(move |method, _| if method == at { does() } else { well(method) })
    };
    let flood = || ScriptedReaction::Says(vec![b'x'; 80 << 20]);
    let lines = || {
        let notice =
            json!({"jsonrpc": "2.0", "method": "notifications/x", "params": {"x": "x".repeat(1 << 20)}});
        ScriptedReaction::Says(format!("{notice}\n").repeat(70).into_bytes())
    };
    let rubbish = || ScriptedReaction::Says(b"\xff\xfe not JSON\n".to_vec());
    let other = || ScriptedReaction::Result(json!({"tools": "none"}));
    let pages: Script = |method, _| match method {
        "tools/list" => ScriptedReaction::Result(json!({"tools": [], "nextCursor": "more"})),
        _ => well(method),
    };
    for (name, way, reason, starts) in [
        (
            "hangs at once",
            on("initialize", || ScriptedReaction::Nothing),
            "it was not ready within 30 s",
            false,
        ),
        (
            "hangs later",
            on("tools/list", || ScriptedReaction::Nothing),
            "it was not ready within 30 s",
            false,
        ),
        (
            "hangs in a call",
            on("tools/call", || ScriptedReaction::Nothing),
            "did not answer a call of `say` within 30 s",
            true,
        ),
        (
            "leaves at once",
            on("initialize", || ScriptedReaction::Leaves),
            "its connection closed before a session began",
            false,
        ),
        ("leaves later", on("tools/list", || ScriptedReaction::Leaves), "it ended", false),
        ("leaves in a call", on("tools/call", || ScriptedReaction::Leaves), "it ended", true),
        ("rubbish at once", on("initialize", rubbish), "it was not ready", false),
        ("rubbish in a call", on("tools/call", rubbish), "did not answer a call", true),
        (
            "another result",
            on("initialize", other),
            "it did not begin a session as the protocol requires",
            false,
        ),
        (
            "refuses",
            on("initialize", || ScriptedReaction::Error("no")),
            "it refused to begin a session",
            false,
        ),
        (
            "lists nothing",
            on("tools/list", || ScriptedReaction::Error("no")),
            "it rejected the request for its list of tools",
            false,
        ),
        ("a long line", on("tools/call", flood), "its output is too large", true),
        ("too many lines", on("tools/call", lines), "its output is too large", true),
        ("endless pages", scripted(pages), "its list of tools has more than 20 pages", false),
    ] {
        let (output, problems) = tried(way).await;
        let what = told(&problems);
        assert!(what.len() == 1 && what[0].contains(reason), "{name}: {what:?}");
        if starts {
            assert!(output.is_error && output.text.contains("go on without it"), "{name}: {output:?}");
        } else {
            assert_eq!(output.text, "own mcp__docs__say", "{name}: the tool is not offered");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_failure_nothing_more_is_asked() {
    let asked = Arc::new(Mutex::new(0));
    let counted = asked.clone();
    let way = scripted(move |method, _| {
        if method == "tools/call" {
            *counted.lock().unwrap() += 1;
            return ScriptedReaction::Nothing;
        }
        well(method)
    });
    let servers = McpServers::start(&[server(way, &["say"])]).await;
    let tools = servers.combine_with(&OwnTestTools);
    for _ in 0..3 {
        assert!(tools.call("mcp__docs__say", &json!({})).await.is_error);
    }
    assert_eq!(*asked.lock().unwrap(), 1);
    assert_eq!(servers.stop().await.len(), 1, "told once");
}

#[tokio::test]
async fn a_refused_call_is_an_answer_and_no_failure() {
    let way = scripted(|method, _| match method {
        "tools/call" => ScriptedReaction::Error("no such\u{202e} word"),
        _ => well(method),
    });
    let (output, problems) = tried(way).await;
    assert_eq!((output.is_error, output.text.as_str()), (true, "no such word"));
    assert_eq!(problems, []);
}

#[tokio::test]
async fn a_schema_that_lies_takes_its_tool_with_it_and_a_good_one_is_written_anew() {
    let mut deep = json!({"type": "string"});
    for _ in 0..40 {
        deep = json!({"type": "array", "items": deep});
    }
    let of = |fields: Value| json!({"type": "object", "properties": fields});
    for (schema, reason) in [
        (json!({}), "does not describe an object"),
        (json!({"type": "string"}), "does not describe an object"),
        (json!({"type": ["object"]}), "does not describe an object"),
        (of(json!([])), "`properties` in its schema"),
        (of(json!({"a b": {}})), "a name in its schema"),
        (of(json!({"a": {"type": "text"}})), "`type` in its schema"),
        (of(json!({"a": 1})), "not a valid schema"),
        (of(json!({"a": deep})), "more than 16 levels deep"),
        (of(json!({"a": {"description": "x".repeat(40 << 10)}})), "bytes"),
        (json!({"type": "object", "required": "a"}), "`required` in its schema"),
        (json!({"type": "object", "required": ["a"]}), "requires a field"),
        (of(json!({"a": {"enum": []}})), "`enum` in its schema"),
        (of(json!({"a": {"minLength": -1}})), "`minLength` in its schema"),
    ] {
        let listed = schema.clone();
        let way = scripted(move |method, _| match method {
            "tools/list" => {
                ScriptedReaction::Result(json!({"tools": [{"name": "say", "inputSchema": listed}]}))
            }
            _ => well(method),
        });
        let (output, problems) = tried(way).await;
        assert_eq!(output.text, "own mcp__docs__say", "{schema}");
        let what = told(&problems);
        assert!(what.len() == 1 && what[0].contains(reason), "{schema}: {what:?}");
    }

    let schema = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object", "title": "Ask", "additionalProperties": false, "anyOf": [{"required": []}],
        "properties": {
            "words": {"type": "string", "pattern": "(a+)+$", "description": "What\u{0} to \
                find", "minLength": 1},
            "how": {"anyOf": [{"$ref": "#/$defs/How"}, {"type": "null"}], "default": null},
            "where": {"$ref": "https://example.org/elsewhere"},
        },
        "required": ["words"],
        "$defs": {"How": {"enum": ["all", "any"], "type": "string"}},
    });
    let written = schema::rewrite_schema(schema.as_object().unwrap()).unwrap();
    assert_eq!(
        written,
        json!({
            "type": "object", "title": "Ask", "additionalProperties": false,
            "properties": {
                "words": {"type": "string", "description": "What to find", "minLength": 1},
                "how": {"anyOf": [{"$ref": "#/$defs/How"}, {"type": "null"}], "default": null},
                "where": {},
            },
            "required": ["words"],
            "$defs": {"How": {"enum": ["all", "any"], "type": "string"}},
        })
    );
}

#[tokio::test]
async fn an_answer_is_plain_text_within_its_bound() {
    let secret = format!("ghp_{}", "a1B2c3D4e5F6".repeat(3));
    for (result, shown) in [
        (
            json!({"content": [{"type": "text", "text": "a\u{1b}[2J\u{202e}b\nc\td"}]}),
            "a[2Jb\nc\td".to_owned(),
        ),
        (json!({"content": []}), "[an empty answer]".to_owned()),
        (json!({"content": [], "structuredContent": {"a": 1}}), "{\"a\":1}".to_owned()),
        (
            json!({"content": [{"type": "text", "text": "x".repeat(5000)}]}),
            format!("{}\n[… 4000 bytes are left out: at most 1000 are shown]", "x".repeat(1000)),
        ),
        (
            json!({"content": [
                {"type": "text", "text": "seen"},
                {"type": "image", "data": "aaaa", "mimeType": "image/png"},
            ]}),
            "seen\n[left out: parts of the answer that are not text (1)]".to_owned(),
        ),
        (json!({"content": [{"type": "text", "text": secret}]}), "ghp_…".to_owned()),
    ] {
        let said = result.clone();
        let way = scripted(move |method, _| match method {
            "tools/call" => ScriptedReaction::Result(said.clone()),
            _ => well(method),
        });
        let (output, problems) = tried(way).await;
        assert_eq!((output.text, problems), (shown, vec![]), "{result}");
    }
}

#[tokio::test]
async fn no_secret_and_nothing_endless_is_handed_to_a_server() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hears = heard.clone();
    let way = scripted(move |method, params| {
        if method == "tools/call" {
            hears.lock().unwrap().push(params["arguments"].clone());
        }
        well(method)
    });
    let servers = McpServers::start(&[server(way, &["say"])]).await;
    let tools = servers.combine_with(&OwnTestTools);
    let key = format!("AKIA{}", "ABCDEFGHIJKLMNOP");
    let token = format!("ghp_{}", "a1B2c3D4e5F6".repeat(3));
    truing_core::given_secrets::register_secret("a-word-of-the-operators");
    // Input is also refused if it contains a password without a recognisable format, or a registered secret.
    let password = ["hun", "ter2abc"].concat();
    for input in [
        json!({"a": token}),
        json!({"a": [{"b": format!("see {key} here")}]}),
        json!({ (token.clone()): 1 }),
        json!({"password": password}),
        json!({"a": format!("login failed: password={password}")}),
        json!({"a": format!("GET https://joe:{password}@example.com/")}),
        json!({"a": "what is a-word-of-the-operators?"}),
    ] {
        let output = tools.call("mcp__docs__say", &input).await;
        assert!(output.is_denied && output.is_error, "{input}: {output:?}");
    }
    let long = tools.call("mcp__docs__say", &json!({"a": "x".repeat(40 << 10)})).await;
    assert!(long.is_error && !long.is_denied, "{long:?}");
    assert!(tools.call("mcp__docs__say", &json!([])).await.is_error);
    let asked = json!({"a": "where is password = form[\"password\"] tested?"});
    assert_eq!(tools.call("mcp__docs__say", &asked).await.text, "well");
    assert_eq!(*heard.lock().unwrap(), [asked]);
    assert_eq!(servers.stop().await, []);
}

/// Starts an HTTP server on this machine that answers requests with the given function. Returns the server's
/// address.
async fn listens<F: Future<Output = McpResponse> + Send + 'static>(
    answer: impl Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve_connections(listener, ConnectionBounds::default(), |_| true, answer));
    format!("http://{address}/mcp")
}

fn at(url: &str, token: Option<&str>) -> ServerAddress {
    ServerAddress::new(url, token.map(SecretString::new))
}

#[tokio::test]
async fn a_server_over_http_is_asked_with_its_token() {
    let door = McpEndpoint::new(Some(&SecretString::new(TOKEN)));
    let url = listens(move |request| {
        let door = door.clone();
        async move { door.answer_request(Arc::new(EchoTools), request).await }
    })
    .await;
    let (output, problems) = tried(ServerTransport::Http(at(&url, Some(TOKEN)))).await;
    assert_eq!((output.text.as_str(), problems), ("say: x", vec![]));
    for token in [None, Some("another")] {
        let (_, problems) = tried(ServerTransport::Http(at(&url, token))).await;
        assert_eq!(told(&problems), ["it answers 401 Unauthorized"]);
    }
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let (_, problems) = tried(ServerTransport::Http(at(&format!("http://{gone}/mcp"), None))).await;
    assert!(told(&problems)[0].starts_with("it cannot be reached: "), "{problems:?}");
}

/// A server that supports only the newest protocol version, which has no handshake.
struct NewestProtocolServer(ToolsetHandler);

impl ServerHandler for NewestProtocolServer {
    fn get_info(&self) -> ServerConfig {
        self.0.get_info()
    }

    fn supported_protocol_versions(&self) -> Cow<'static, [ProtocolVersion]> {
        vec![ProtocolVersion::V_2026_07_28].into()
    }

    async fn list_tools(
        &self,
        page: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        self.0.list_tools(page, context).await
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        self.0.call_tool(request, context).await
    }
}

#[tokio::test]
async fn a_server_that_does_not_shake_hands_is_asked_in_its_own_way_and_at_its_very_address() {
    let door = McpEndpoint::new(Some(&SecretString::new(TOKEN)));
    let url = listens(move |request: Request<Incoming>| {
        let door = door.clone();
        async move {
            if request.uri() != "/mcp/?of=docs" {
                return words(StatusCode::NOT_FOUND, "text/plain", "");
            }
            door.dispatch(|| NewestProtocolServer(ToolsetHandler(Arc::new(EchoTools))), request).await
        }
    })
    .await;
    let (output, problems) = tried(ServerTransport::Http(at(&format!("{url}/?of=docs"), Some(TOKEN)))).await;
    assert_eq!((output.text.as_str(), problems), ("say: x", vec![]));
    let (_, problems) = tried(ServerTransport::Http(at(&url, Some(TOKEN)))).await;
    assert_eq!(told(&problems), ["it answers 404 Not Found"]);
}

/// Returns a response with this content type, whose body never ends.
fn endless(kind: &'static str, piece: &'static [u8]) -> McpResponse {
    let piece = Bytes::from(piece.repeat(1000));
    let pieces = futures_util::stream::repeat_with(move || Ok::<_, Infallible>(Frame::data(piece.clone())));
    let mut answer = Response::new(StreamBody::new(pieces).boxed());
    answer.headers_mut().insert(CONTENT_TYPE, kind.parse().unwrap());
    answer
}

fn words(status: StatusCode, kind: &'static str, text: &str) -> McpResponse {
    let mut answer = Response::new(http_body_util::Full::new(Bytes::from(text.to_owned())).boxed());
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, kind.parse().unwrap());
    answer
}

#[tokio::test]
async fn what_a_server_over_http_does_instead_of_answering_is_bounded_and_told() {
    type ServerScript = fn() -> McpResponse;
    let serves: [(ServerScript, &str); 6] = [
        (|| endless("application/json", b"[[[[[[[[[[[[[[[["), "its output is too large"),
        (|| endless("text/event-stream", b"data: xxxxxxxxxx\n"), "its output is too large"),
        (|| words(StatusCode::OK, "text/html", "<html>"), "its answer is not JSON-RPC"),
        (|| words(StatusCode::OK, "application/json", "{}"), "its answer is not JSON-RPC"),
        (|| words(StatusCode::BAD_GATEWAY, "text/html", "<html>"), "it answers 502"),
        (
            || {
                let mut moved = words(StatusCode::TEMPORARY_REDIRECT, "text/plain", "");
                moved.headers_mut().insert("location", "http://127.0.0.1:1/other".parse().unwrap());
                moved
            },
            "it answers 307",
        ),
    ];
    for (serves, reason) in serves {
        let url = listens(move |_| async move { serves() }).await;
        let (_, problems) = tried(ServerTransport::Http(at(&url, None))).await;
        let what = told(&problems);
        assert!(what.len() == 1 && what[0].contains(reason), "{reason}: {what:?}");
    }
}

/// Starts a server that sends its responses as an event stream, and returns its address. Every request must
/// have the header `header` with the value `opens`. The first event contains `place`, the path to which the
/// client must send its requests.
async fn with_events(place: &'static str, header: &'static str, opens: String) -> String {
    let (say, said) = tokio::sync::mpsc::channel::<String>(8);
    let said = Arc::new(Mutex::new(Some(said)));
    listens(move |request| {
        let (say, said, opens) = (say.clone(), said.clone(), opens.clone());
        async move {
            if request.headers()[header] != opens {
                return words(StatusCode::UNAUTHORIZED, "text/plain", "");
            }
            if request.method() == hyper::Method::GET {
                let said = said.lock().unwrap().take().unwrap();
                say.send(format!("event: endpoint\ndata: {place}\n\n")).await.unwrap();
                let events = futures_util::stream::unfold(said, |mut said| async move {
                    let event = said.recv().await?;
                    Some((Ok::<_, Infallible>(Frame::data(Bytes::from(event))), said))
                });
                let mut answer = Response::new(StreamBody::new(events).boxed());
                answer.headers_mut().insert(CONTENT_TYPE, "text/event-stream".parse().unwrap());
                return answer;
            }
            let body = request.into_body().collect().await.unwrap().to_bytes();
            let asked: Value = serde_json::from_slice(&body).unwrap();
            if let (Some(id), ScriptedReaction::Result(result)) =
                (asked.get("id"), well(asked["method"].as_str().unwrap()))
            {
                let message = json!({"jsonrpc": "2.0", "id": id, "result": result});
                say.send(format!("event: message\ndata: {message}\n\n")).await.unwrap();
            }
            words(StatusCode::ACCEPTED, "text/plain", "")
        }
    })
    .await
}

#[tokio::test]
async fn an_older_server_answers_with_events_and_learns_the_token_alone() {
    let url = with_events("/messages?session=1", "authorization", format!("Bearer {TOKEN}")).await;
    let (output, problems) = tried(ServerTransport::Sse(at(&url, Some(TOKEN)))).await;
    assert_eq!((output.text.as_str(), problems), ("well", vec![]));
    let url = with_events("http://127.0.0.1:1/messages", "authorization", format!("Bearer {TOKEN}")).await;
    let (_, problems) = tried(ServerTransport::Sse(at(&url, Some(TOKEN)))).await;
    assert_eq!(told(&problems), ["its address for messages is on another server"]);
    let url = listens(|_| async { endless("text/event-stream", b"data: xxxxxxxxxx\n") }).await;
    let (_, problems) = tried(ServerTransport::Sse(at(&url, None))).await;
    assert_eq!(told(&problems).len(), 1, "{problems:?}");
    let url = listens(|_| async { words(StatusCode::OK, "text/html", "") }).await;
    let (_, problems) = tried(ServerTransport::Sse(at(&url, None))).await;
    assert_eq!(told(&problems), ["its response is not a stream of events"]);
}
