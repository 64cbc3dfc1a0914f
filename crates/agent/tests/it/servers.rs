//! Tests of MCP servers that are programs with network access. The tests use the real sandbox, a host on this
//! machine, and an MCP server that makes the requests in its caller's arguments. This test program is also
//! this MCP server.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a helper of tests may fail them"
)]

use std::io::{BufRead as _, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use truing_agent::mcp::client::{McpServer, McpServers, ServerProblem, ServerTransport};
use truing_agent::native::{RunTools, ToolCallOutput};
use truing_agent::proxy::AllowedHost;
use truing_agent::sandbox::SandboxLevel;
use truing_model::messages::ToolDefinition;

use crate::support::{SOON, Test, has_sandbox, sandbox_level};
use crate::verify::{INSIDE, program_path};

/// Argument with which this program acts as the MCP server.
pub(crate) const SERVES: &str = "serves";
/// Argument with which the MCP server sends a network request before a session begins, and then exits.
const EARLY: &str = "early";

/// Returns every test of this file.
pub(crate) fn tests() -> Vec<Test> {
    let staged = |name, test: fn()| Test::new(name, test).needs(has_sandbox);
    vec![
        staged("a_program_reaches_its_hosts_and_no_others", a_program_reaches_its_hosts_and_no_others),
        staged("a_program_without_hosts_has_no_way_out", a_program_without_hosts_has_no_way_out),
        staged("a_host_is_reached_at_public_addresses_alone", a_host_is_reached_at_public_addresses_alone),
        staged("a_program_that_fails_is_told_with_its_tries", a_program_that_fails_is_told_with_its_tries),
    ]
}

/// Acts as the MCP server, inside the sandbox. The server's only tool makes the request in the tool's
/// argument `ask`.
pub(crate) fn serve(words: &[&str]) -> ExitCode {
    if words == [EARLY] {
        asked("tunnel example.net:443");
        return ExitCode::FAILURE;
    }
    for line in std::io::stdin().lock().lines() {
        let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
        let result = match (line["id"].is_null(), line["method"].as_str().unwrap()) {
            (true, _) => continue,
            (false, "initialize") => json!({"protocolVersion": "2025-06-18", "capabilities": {"tools": {}},
                "serverInfo": {"name": "docs", "version": "1"}}),
            (false, "tools/list") => json!({"tools": [{"name": "ask", "inputSchema": {"type": "object"}}]}),
            (false, _) => {
                let text = asked(line["params"]["arguments"]["ask"].as_str().unwrap());
                json!({"content": [{"type": "text", "text": text}]})
            }
        };
        let answer = json!({"jsonrpc": "2.0", "id": line["id"], "result": result});
        println!("{answer}");
    }
    ExitCode::SUCCESS
}

fn asked(ask: &str) -> String {
    match ask.split_once(' ') {
        Some(("tunnel", host)) => {
            let request = format!("CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n\r\n");
            said(&[request.as_bytes(), &hello()].concat())
        }
        Some(("get", url)) => said(format!("GET {url} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()),
        Some(("tcp", address)) => {
            TcpStream::connect_timeout(&address.parse().unwrap(), SOON).is_ok().to_string()
        }
        Some(("count", text)) => text.len().to_string(),
        _ => {
            let mut told: Vec<String> = std::env::vars()
                .filter(|(name, _)| name.to_ascii_lowercase().contains("proxy"))
                .map(|(name, value)| {
                    format!("{name}={}", value.split_inclusive(':').take(2).collect::<String>())
                })
                .collect();
            told.sort();
            // A job without its own network cannot read the machine's table of sockets.
            let sockets = std::fs::read_to_string("/proc/net/tcp").unwrap_or_default();
            let listen = sockets.lines().filter(|line| line.split_whitespace().nth(3) == Some("0A")).count();
            format!("{}; listeners: {listen}", told.join(" "))
        }
    }
}

/// Sends a request to the proxy, and returns the response of the proxy or of the host behind it.
fn said(request: &[u8]) -> String {
    let proxy = std::env::var("https_proxy").unwrap_or_default();
    let Ok(mut stream) = TcpStream::connect(proxy.trim_start_matches("http://")) else {
        return "no proxy".to_owned();
    };
    stream.write_all(request).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// Returns the first message of a TLS 1.3 client, without a host name.
fn hello() -> Vec<u8> {
    let short = |bytes: &[u8]| [&u16::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat();
    let versions = [&[0, 43][..], &short(&[2, 3, 4])].concat();
    let schemes = [&[0, 13][..], &short(&short(&[4, 3]))].concat();
    let extensions = short(&[versions, schemes].concat());
    let body = [&[3, 3][..], &[7; 32], &[0], &short(&[19, 1]), &[1, 0], &extensions].concat();
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    let message = [&[1][..], &length[1..], &body].concat();
    [&[22, 3, 1][..], &short(&message)].concat()
}

/// A host on this machine that answers and records every request.
struct Host {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<u8>>>,
}

impl Host {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = Self { address: listener.local_addr().unwrap(), heard: Arc::default() };
        let heard = host.heard.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, mut part) = (stream.unwrap(), [0; 4096]);
                let count = stream.read(&mut part).unwrap_or(0);
                heard.lock().unwrap().extend_from_slice(&part[..count]);
                let _ = stream.write_all(b"the host answers");
            }
        });
        host
    }

    fn place(&self) -> AllowedHost {
        AllowedHost { allows_private: true, ..AllowedHost::public("127.0.0.1", self.address.port()) }
    }

    fn heard(&self) -> Vec<u8> {
        self.heard.lock().unwrap().clone()
    }
}

/// A run without own tools.
struct NoTools;

#[async_trait]
impl RunTools for NoTools {
    fn tool_definitions(&self) -> Vec<ToolDefinition> {
        Vec::new()
    }

    async fn call(&self, name: &str, _: &Value) -> ToolCallOutput {
        ToolCallOutput { text: format!("no tool {name}"), is_error: true, is_denied: false }
    }
}

/// Starts the server, calls its tool with each of these requests, and returns the outputs and the problems of
/// the server.
fn run(command: &[&str], hosts: Vec<AllowedHost>, asks: &[String]) -> (Vec<String>, Vec<ServerProblem>) {
    let folder = TempDir::new().unwrap();
    let transport = ServerTransport::Program {
        command: command.iter().map(|word| (*word).to_owned()).collect(),
        sandbox_level: sandbox_level(),
        folder: folder.path().canonicalize().unwrap().join("empty"),
        readable_paths: Vec::new(),
        variables: Vec::new(),
        hosts,
    };
    let tools = ["ask".to_owned()].into();
    let server = McpServer {
        name: "docs".into(),
        transport,
        allowed_tools: tools,
        timeout: SOON,
        max_result_bytes: 1000,
    };
    Runtime::new().unwrap().block_on(async {
        let servers = McpServers::start(&[server]).await;
        let mut answers = Vec::new();
        for ask in asks {
            let output = servers.combine_with(&NoTools).call("mcp__docs__ask", &json!({"ask": ask})).await;
            answers.push(output.text);
        }
        (answers, servers.stop().await)
    })
}

fn what(problems: &[ServerProblem]) -> Vec<&str> {
    problems.iter().map(|problem| problem.description.as_str()).collect()
}

fn a_program_reaches_its_hosts_and_no_others() {
    let host = Host::new();
    let (address, port) = (host.address, host.address.port());
    let asks = [
        "look".to_owned(),
        format!("tunnel {address}"),
        "tunnel example.net:443".to_owned(),
        format!("get http://{address}/"),
        format!("tcp {address}"),
        format!("count {}", "x".repeat(30_000)),
    ];
    let (answers, problems) = run(&[&program_path(), INSIDE, SERVES], vec![host.place()], &asks);
    let [look, reached, unlisted, plain, direct, long] = answers.as_slice() else { panic!("{answers:?}") };
    let variables = ["HTTPS_PROXY", "HTTP_PROXY", "http_proxy", "https_proxy"];
    for name in variables {
        assert!(look.contains(&format!("{name}=http://127.0.0.1:")), "{name}: {look}");
    }
    assert!(look.contains("NODE_USE_ENV_PROXY=1") && look.contains("; listeners: "), "{look}");
    if sandbox_level() == SandboxLevel::Full {
        assert!(look.ends_with("; listeners: 1"), "{look}");
    }
    assert!(reached.starts_with("HTTP/1.1 200") && reached.ends_with("the host answers"), "{reached}");
    assert_eq!(host.heard(), hello(), "the first message and nothing else");
    assert!(unlisted.starts_with("HTTP/1.1 403"), "{unlisted}");
    assert!(unlisted.contains("example.net:443 is not listed in `mcp.docs.hosts`"), "{unlisted}");
    assert!(plain.starts_with("HTTP/1.1 403") && plain.contains("may be reached only by TLS"), "{plain}");
    assert_eq!((direct.as_str(), long.as_str()), ("false", "30000"));
    assert_eq!(
        what(&problems),
        [
            format!("its program tried to connect to 127.0.0.1:{port}, which may be reached only by TLS")
                .as_str(),
            "its program tried to connect to example.net:443, which is not listed in `mcp.docs.hosts`",
        ]
    );
}

fn a_program_without_hosts_has_no_way_out() {
    let host = Host::new();
    let asks = ["look".to_owned(), format!("tunnel {}", host.address), format!("tcp {}", host.address)];
    let (answers, problems) = run(&[&program_path(), INSIDE, SERVES], Vec::new(), &asks);
    assert_eq!(answers, ["; listeners: 0", "no proxy", "false"]);
    assert_eq!(problems, []);
    assert!(host.heard().is_empty());
    // For comparison: outside the sandbox, the host can be reached.
    assert!(TcpStream::connect(host.address).is_ok());
}

fn a_host_is_reached_at_public_addresses_alone() {
    let host = Host::new();
    let port = host.address.port();
    let places = vec![AllowedHost::public("localhost", port), AllowedHost::public("127.0.0.1", port)];
    let asks = [format!("tunnel localhost:{port}"), format!("tunnel 127.0.0.1:{port}")];
    let (answers, problems) = run(&[&program_path(), INSIDE, SERVES], places, &asks);
    assert!(answers.iter().all(|answer| answer.starts_with("HTTP/1.1 403")), "{answers:?}");
    assert_eq!(
        what(&problems),
        [
            format!("its program tried to connect to 127.0.0.1:{port}, which has no public address"),
            format!("its program tried to connect to localhost:{port}, which has no public address"),
        ]
    );
    assert!(host.heard().is_empty());
}

fn a_program_that_fails_is_told_with_its_tries() {
    let places = || vec![AllowedHost::public("api.example.org", 443)];
    let (_, problems) = run(&[&program_path(), INSIDE, SERVES, EARLY], places(), &[]);
    assert_eq!(
        what(&problems),
        [
            "its connection closed before a session began",
            "its program tried to connect to example.net:443, which is not listed in `mcp.docs.hosts`",
        ]
    );
    let (_, problems) = run(&["/no/such/server"], places(), &[]);
    assert_eq!(what(&problems), ["its connection closed before a session began"]);
    assert!(problems[0].server_output.contains("No such file"), "{problems:?}");
}
