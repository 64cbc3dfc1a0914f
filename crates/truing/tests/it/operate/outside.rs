//! Tests of the tools of `truing mcp serve` with an external agent: the real `claude` program, whose scripted
//! model calls the tools.

use serde_json::json;
use truing_fakes::model::{DEFAULT_API_KEY, FakeModel, ModelScript, ScriptedAnswer};

use super::*;
use crate::operate::claude::find_claude;

/// Token that a session with the HTTP server must send.
const SESSION: &str = "session-token-canary";

/// Returns the tool calls of the model, in order.
fn model_calls() -> [(&'static str, Value); 6] {
    let pull = |more: Value| {
        let mut input = json!({"repository": "o/r", "number": 1});
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        input
    };
    let line = |body: &str| pull(json!({"path": "a.py", "line": 2, "body": body}));
    [
        ("gh_list_pull_requests", json!({"repository": "o/r"})),
        ("gh_get_pull_request_diff", pull(json!({}))),
        ("gh_comment_pull_request", pull(json!({"body": "Mind the gap."}))),
        ("gh_comment_pull_request", pull(json!({"body": "Mind the gap."}))),
        ("gh_upsert_inline_comment", line("A breakpoint.")),
        ("gh_upsert_inline_comment", line("Still a breakpoint.")),
    ]
}

/// Starts a model that makes these tool calls, one per answer, and then ends the conversation.
pub(super) async fn start_model(calls: &[(&str, Value)]) -> FakeModel {
    let calls = calls.iter().map(|(tool, input)| {
        ScriptedAnswer::tool(format!("mcp__truing__{tool}"), input.clone()).usage(100, 10)
    });
    FakeModel::start(ModelScript::from_answers(calls.chain([ScriptedAnswer::text("Done.").usage(100, 10)])))
        .await
        .unwrap()
}

/// Runs the `claude` program with this MCP server and returns the events that the program prints.
pub(super) fn run_agent(program: &Path, folder: &Path, model: &FakeModel, server: &Value) -> Vec<Value> {
    let home = tempfile::tempdir().unwrap();
    let output = Command::new(program)
        .args(["--print", "Comment on the pull request.", "--output-format", "stream-json", "--verbose"])
        .args(["--strict-mcp-config", "--mcp-config", &json!({"mcpServers": {"truing": server}}).to_string()])
        .args(["--setting-sources=", "--tools", "", "--allowedTools", "mcp__truing"])
        .args(["--permission-mode", "dontAsk", "--permission-prompts", "none", "--no-session-persistence"])
        .args(["--model", "claude-sonnet-5-5"])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", home.path())
        .env("ANTHROPIC_BASE_URL", model.url())
        .env("ANTHROPIC_API_KEY", DEFAULT_API_KEY)
        .env("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1")
        .env("CLAUDE_CODE_MAX_RETRIES", "0")
        .env("FORGE_TOKEN", TOKEN)
        .env("SESSION_TOKEN", SESSION)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let events: Vec<Value> = said.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let result = events.iter().rfind(|event| event["type"] == "result");
    let done = result.is_some_and(|result| result["is_error"] == false && result["result"] == "Done.");
    assert!(output.status.success() && done, "{output:?}");
    events
}

/// Returns the results of the model's tool calls, in order: the text, and true for an error. They are taken
/// from the last request.
pub(super) fn call_results(model: &FakeModel) -> Vec<(String, bool)> {
    let log = model.request_log();
    let messages = log.last().unwrap().body["messages"].as_array().unwrap().clone();
    let blocks = messages.iter().filter_map(|message| message["content"].as_array()).flatten();
    let results = blocks.filter(|block| block["type"] == "tool_result");
    let text = |content: &Value| {
        content.as_str().or(content[0]["text"].as_str()).map(str::to_owned).unwrap_or_default()
    };
    results.map(|block| (text(&block["content"]), block["is_error"] == true)).collect()
}

/// Returns an MCP configuration with which the `claude` program starts `truing mcp serve` itself.
fn stdio_server_config(site: &Site) -> Value {
    let file = site.home.path().join("truing.toml");
    json!({
        "type": "stdio",
        "command": env!("CARGO_BIN_EXE_truing"),
        "args": ["--config", file, "mcp", "serve", "--forge", "github", "--review-id", "review-9"],
        "env": {"HOME": site.home.path(), "GITHUB_TOKEN": "${FORGE_TOKEN}"},
    })
}

/// Starts an HTTP server with the tools. Returns the server, and an MCP configuration for the `claude`
/// program.
fn start_http_server(site: &Site) -> (Server, Value) {
    let mut command = site.command(&["mcp", "serve", "--forge", "github", "--listen", "127.0.0.1:0", "-vv"]);
    let address = |line: String| Some(line.split_once("tools: ")?.1.to_owned());
    let server = Server::start_announced(command.env("MCP_TOKEN", SESSION), address);
    let headers = json!({"Authorization": "Bearer ${SESSION_TOKEN}", "X-Review-Id": "review-9"});
    let told = json!({"type": "http", "url": server.url, "headers": headers});
    (server, told)
}

/// Checks that the `claude` program makes all calls, and that each comment exists only once.
async fn assert_program_works(program: &Path, site: &Site, server: &Value) {
    let number = site.open("one").await;
    let model = start_model(&model_calls()).await;
    let events = run_agent(program, site.home.path(), &model, server);

    let begun = events.iter().find(|event| event["subtype"] == "init").unwrap();
    assert_eq!(begun["mcp_servers"][0]["name"], "truing", "{begun}");
    assert_eq!(begun["mcp_servers"][0]["status"], "connected", "{begun}");
    let log = model.request_log();
    // The request may also contain tools of the `claude` program.
    let all = log[0].body["tools"].as_array().unwrap();
    let is_of_server = |tool: &&Value| tool["name"].as_str().is_some_and(|name| name.starts_with("mcp__"));
    let offered: Vec<_> = all.iter().filter(is_of_server).collect();
    let mut names: Vec<_> = offered.iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "mcp__truing__gh_comment_pull_request",
            "mcp__truing__gh_current_repo",
            "mcp__truing__gh_get_pull_request",
            "mcp__truing__gh_get_pull_request_diff",
            "mcp__truing__gh_list_pull_requests",
            "mcp__truing__gh_upsert_inline_comment",
        ]
    );
    for tool in &offered {
        assert_eq!(tool["input_schema"]["type"], "object", "{tool}");
        assert!(tool["description"].as_str().is_some_and(|text| text.len() > 40), "{tool}");
    }

    let results = call_results(&model);
    assert_eq!(results.len(), model_calls().len(), "{results:#?}");
    assert!(results.iter().all(|(_, is_error)| !is_error), "{results:#?}");
    assert!(results[0].0.contains("\"branch\":\"one\""), "{results:#?}");
    assert!(results[1].0.contains("+breakpoint()"), "{results:#?}");
    assert_eq!(results[2], results[3], "the same comment");
    assert_eq!(results[4], results[5], "the same comment");
    let view = site.repo.pull(number).await.unwrap();
    let said: Vec<_> = view.conversation_comments().map(|comment| comment.body.clone()).collect();
    assert!(said.len() == 1 && said[0].starts_with("Mind the gap."), "{said:#?}");
    let lines: Vec<_> = view.inline_comments().map(|comment| comment.body.clone()).collect();
    assert!(lines.len() == 1 && lines[0].starts_with("Still a breakpoint."), "{lines:#?}");
    let calls = site.forge.request_log();
    let mut named = calls.iter().filter(|call| !call.path.contains(".git/"));
    assert!(named.all(|call| call.review_id.as_deref() == Some("review-9")), "{calls:#?}");

    assert_eq!(model.violations(), [""; 0]);
    let asked: String = log.iter().map(|request| request.body.to_string()).collect();
    for secret in [TOKEN, SESSION] {
        assert!(!asked.contains(secret) && !format!("{events:?}").contains(secret), "{secret}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_claude_program_starts_a_server_and_each_comment_is_there_once() {
    let Some(program) = find_claude() else { return };
    let site = Site::new().await;
    assert_program_works(&program, &site, &stdio_server_config(&site)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_claude_program_is_let_in_over_http_and_each_comment_is_there_once() {
    let Some(program) = find_claude() else { return };
    let site = Site::new().await;
    let (server, told) = start_http_server(&site);
    assert_program_works(&program, &site, &told).await;
    server.signal("-TERM");
    let (status, log) = server.wait_for_end();
    assert_eq!(status.code(), Some(0), "{log}");
    for secret in [TOKEN, SESSION] {
        assert!(!log.contains(secret), "a secret is in the log");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_tool_refuses_reaches_the_model_behind_the_claude_program_as_an_error() {
    let Some(program) = find_claude() else { return };
    let site = Site::new().await;
    let number = site.open("one").await;
    assert_eq!(site.run(&["kill", "on", "--mode", "stop"]).exit, 0);
    let model = start_model(&model_calls()[1..3]).await;
    run_agent(&program, site.home.path(), &model, &stdio_server_config(&site));
    let results = call_results(&model);
    assert!(!results[0].1 && results[0].0.contains("+breakpoint()"), "{results:#?}");
    assert!(results[1].1 && results[1].0.contains("the kill switch is on"), "{results:#?}");
    assert!(site.repo.pull(number).await.unwrap().comments.is_empty());
}

/// Runs the MCP inspector on a server and returns its output, or `None` if the inspector is not installed.
pub(super) fn run_inspector(folder: &Path, before: &[&str], after: &[&str]) -> Option<Value> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let packages = root.join("target/tools/npm/node_modules").canonicalize().ok()?;
    let output = Command::new(packages.join(".bin/node"))
        .arg(packages.join(".bin/mcp-inspector"))
        .arg("--cli")
        .args(before)
        .args(after)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", folder)
        .env("MCP_INSPECTOR_SECRET_STORE", "memory")
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    Some(serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}")))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_protocols_inspector_lists_the_tools_and_calls_one_over_pipes_and_over_http() {
    let site = Site::new().await;
    site.open("one").await;
    let (server, _) = start_http_server(&site);
    let mut program = stdio_server_config(&site);
    program["env"]["GITHUB_TOKEN"] = TOKEN.into();
    let file = site.home.path().join("servers.json");
    std::fs::write(&file, json!({"mcpServers": {"truing": program}}).to_string()).unwrap();
    let file = file.display().to_string();
    let pipes = ["--config", &file, "--server", "truing"];
    let bearer = format!("Authorization: Bearer {SESSION}");
    let http = [server.url.as_str(), "--transport", "http", "--header", &bearer];
    for before in [&pipes[..], &http] {
        let Some(listed) = run_inspector(site.home.path(), before, &["--method", "tools/list"]) else {
            return;
        };
        assert_eq!(listed["tools"].as_array().map(Vec::len), Some(6), "{listed}");
        let call = ["--method", "tools/call", "--tool-name", "gh_list_pull_requests"];
        let with = ["--tool-arg", "repository=o/r"];
        let called = run_inspector(site.home.path(), before, &[&call[..], &with].concat()).unwrap();
        assert_eq!(called["structuredContent"]["pull_requests"][0]["branch"], "one", "{called}");
    }
}
