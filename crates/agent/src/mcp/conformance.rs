//! Runs the conformance suite of the Model Context Protocol (`@modelcontextprotocol/conformance`). It tests
//! the code behind `truing mcp serve`, and the MCP client that runs use. The result of each scenario is part
//! of the documentation.
//!
//! `cargo xtask test` installs the suite; without it the test checks nothing and prints a note.
//! `UPDATE_DOCS=1` updates the documentation page.

mod page;
mod test_server;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::time::timeout;
use truing_model::messages::ToolDefinition;

use super::ToolsetHandler;
use super::client::{McpServer, McpServers, ServerAddress, ServerTransport};
use super::connections::{ConnectionBounds, serve_connections};
use super::http::McpEndpoint;
use crate::native::{RunTools, ToolCallOutput};
use page::{ProtocolSide, ScenarioRow};
use test_server::ConformanceServer;

/// Timeout of one run of the suite on a busy machine.
const SUITE_TIMEOUT: Duration = Duration::from_secs(240);
/// Timeout of Truing's client when it connects to a server of the suite.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(20);
/// The tested revisions of the protocol: the newest revision that has a handshake, and the newest of all
/// revisions.
const REVISIONS: [&str; 2] = ["2025-11-25", "2026-07-28"];
/// The variable by which the suite passes the scenario to the client that it starts.
const SCENARIO: &str = "MCP_CONFORMANCE_SCENARIO";

/// Returns the paths of Node.js and the suite, where `cargo xtask test` installs them.
fn find_suite() -> Option<(PathBuf, PathBuf)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let installed = root.join("target/tools/npm");
    let read = |file: PathBuf| std::fs::read(file).ok();
    let lock = read(root.join("xtask/npm/package-lock.json"))?;
    if read(installed.join("package-lock.json"))? != lock {
        return None;
    }
    let script = installed.join("node_modules/@modelcontextprotocol/conformance/dist/index.js");
    let node = installed.join("node_modules/.bin/node");
    Some((node.canonicalize().ok()?, script.canonicalize().ok()?))
}

/// Runs the suite's server scenarios or client scenarios for a protocol revision, and returns the result of
/// each scenario.
async fn run_suite(
    (node, script): &(PathBuf, PathBuf),
    revision: &str,
    arguments: &[&str],
) -> Vec<ScenarioRow> {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(node);
    command.arg(script).args(arguments).args(["--requirements", revision]).current_dir(folder.path());
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let output = timeout(SUITE_TIMEOUT, output).await.unwrap().unwrap();
    let output_text = String::from_utf8_lossy(&output.stdout).into_owned();
    let rows: Vec<ScenarioRow> =
        output_text.lines().filter_map(|line| ScenarioRow::from_line(revision, line)).collect();
    assert!(rows.len() > 20, "{}\n{output_text}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn every_scenario_of_the_suite_that_counts_passes() {
    let Some(suite) = find_suite() else { return };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    // The endpoint requires no token, because the suite sends none.
    let door = McpEndpoint::new(None);
    let served = tokio::spawn(serve_connections(
        listener,
        ConnectionBounds::default(),
        |_| true,
        move |request| {
            let door = door.clone();
            async move {
                door.dispatch(
                    || ConformanceServer(ToolsetHandler(Arc::new(test_server::ConformanceTools))),
                    request,
                )
                .await
            }
        },
    ));
    let own = std::env::current_exe().unwrap();
    let client = format!("{} {} --exact --nocapture", own.display(), concat!(module_path!(), "::client"));
    let client = client.replace("truing_agent::", "");
    let (mut servers, mut clients) = (Vec::new(), Vec::new());
    for revision in REVISIONS {
        servers.extend(run_suite(&suite, revision, &["server", "--url", &url]).await);
        clients.extend(run_suite(&suite, revision, &["client", "--command", &client]).await);
    }
    served.abort();
    page::assert_page_is_current(&[ProtocolSide::server(servers), ProtocolSide::client(clients)]);
}

/// The run's own tools; this test has none.
struct NoTools;

#[async_trait]
impl RunTools for NoTools {
    fn tool_definitions(&self) -> Vec<ToolDefinition> {
        Vec::new()
    }

    async fn call(&self, name: &str, _: &Value) -> ToolCallOutput {
        ToolCallOutput { text: format!("there is no tool `{name}`"), is_error: true, is_denied: false }
    }
}

/// The suite starts this test as its client program. The suite passes the scenario in a variable, and the
/// server's URL as the last argument.
#[tokio::test(flavor = "multi_thread")]
async fn client() {
    let Ok(scenario) = std::env::var(SCENARIO) else { return };
    let calls = match scenario.as_str() {
        "tools_call" => vec![("add_numbers", json!({"a": 5, "b": 3}))],
        "sse-retry" => vec![("test_reconnection", json!({}))],
        "elicitation-sep1034-client-defaults" => vec![("test_client_elicitation_defaults", json!({}))],
        "http-standard-headers" => vec![("test_headers", json!({}))],
        "http-invalid-tool-headers" => vec![("valid_tool", json!({"region": "us-west1"}))],
        "http-custom-headers" => {
            let context = std::env::var("MCP_CONFORMANCE_CONTEXT").unwrap();
            let context: Value = serde_json::from_str(&context).unwrap();
            let calls = context["toolCalls"].as_array().unwrap().iter();
            let call = |call: &Value| (call["name"].as_str().unwrap().to_owned(), call["arguments"].clone());
            return call_tools(calls.map(call).collect()).await;
        }
        _ => vec![("any", json!({}))],
    };
    call_tools(calls.into_iter().map(|(name, input)| (name.to_owned(), input)).collect()).await;
}

/// Lists the server's tools and then calls these tools, as a run does.
async fn call_tools(calls: Vec<(String, Value)>) {
    let url = std::env::args().next_back().unwrap();
    let config = McpServer {
        name: "suite".to_owned(),
        transport: ServerTransport::Http(ServerAddress::new(url, None)),
        allowed_tools: calls.iter().map(|(name, _)| name.clone()).collect(),
        timeout: CLIENT_TIMEOUT,
        max_result_bytes: 10_000,
    };
    let servers = McpServers::start(&[config]).await;
    for (tool, input) in calls {
        servers.combine_with(&NoTools).call(&format!("mcp__suite__{tool}"), &input).await;
    }
    // The reported problems are ignored, because the suite itself checks the requests that it received.
    servers.stop().await;
}
