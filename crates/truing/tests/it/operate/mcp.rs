//! Tests of the tools of `truing mcp serve`. A client calls them in the real program, over pipes and over
//! HTTP.

use std::io::Write as _;
use std::process::ChildStdin;

use serde_json::json;
use truing_fakes::forge::FakeReviewVerdict;

use super::*;

const SESSION: &str = "session-token-canary";
const COMMENTS: &str = "/repos/{owner}/{repo}/issues/{number}/comments";
const LINES: &str = "/repos/{owner}/{repo}/pulls/{number}/comments";

/// An MCP client that talks to the program over pipes.
pub(super) struct Agent {
    child: Child,
    input: Option<ChildStdin>,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
    asked: u64,
}

impl Agent {
    fn start(site: &Site, more: &[&str]) -> Self {
        Self::from_command(site.command(&[&["mcp", "serve", "--forge", "github"], more].concat()))
    }

    /// Starts the program with this command, and initialises the MCP session.
    pub(super) fn from_command(mut command: Command) -> Self {
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut agent = Self { input: child.stdin.take(), child, lines, asked: 0 };
        let client = json!({"name": "test", "version": "1"});
        agent.request(
            "initialize",
            json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client}),
        );
        agent.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
        agent
    }

    fn send(&mut self, message: &Value) {
        writeln!(self.input.as_mut().unwrap(), "{message}").unwrap();
    }

    pub(super) fn request(&mut self, method: &str, params: Value) -> Value {
        self.asked += 1;
        self.send(&json!({"jsonrpc": "2.0", "id": self.asked, "method": method, "params": params}));
        let mut answer: Value = serde_json::from_str(&self.lines.next().unwrap().unwrap()).unwrap();
        assert_eq!(answer["id"], self.asked, "{answer}");
        answer["result"].take()
    }

    pub(super) fn call_raw(&mut self, tool: &str, input: Value) -> Value {
        self.request("tools/call", json!({"name": tool, "arguments": input}))
    }

    /// Calls a tool, which must succeed, and returns the result.
    pub(super) fn call_tool(&mut self, tool: &str, input: Value) -> Value {
        let result = self.call_raw(tool, input);
        assert_eq!(result["isError"], false, "{tool}: {result}");
        let text = result["content"][0]["text"].as_str().unwrap();
        assert_eq!(serde_json::from_str::<Value>(text).unwrap(), result["structuredContent"]);
        result["structuredContent"].clone()
    }

    /// Calls a tool, which must fail, and returns the error.
    pub(super) fn call_failing_tool(&mut self, tool: &str, input: Value) -> String {
        let result = self.call_raw(tool, input);
        assert_eq!(result["isError"], true, "{tool}: {result}");
        result["content"][0]["text"].as_str().unwrap().to_owned()
    }

    /// Closes the input of the program, and returns its remaining output.
    pub(super) fn close(mut self) -> String {
        drop(self.input.take());
        let mut said = String::new();
        std::io::Read::read_to_string(&mut self.child.stderr.take().unwrap(), &mut said).unwrap();
        assert_eq!(self.child.wait().unwrap().code(), Some(0), "{said}");
        said
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn line_comment_input(body: &str) -> Value {
    json!({"repository": "o/r", "number": 1, "path": "a.py", "line": 2, "body": body})
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_reads_a_pull_request_with_the_six_tools_that_there_are() {
    let site = Site::new().await;
    site.open("one").await;
    let mut agent = Agent::start(&site, &["--review-id", "review-7"]);
    let listed = agent.request("tools/list", json!({}));
    let tools = listed["tools"].as_array().unwrap();
    let names: Vec<_> = tools.iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        [
            "gh_current_repo",
            "gh_list_pull_requests",
            "gh_get_pull_request",
            "gh_get_pull_request_diff",
            "gh_comment_pull_request",
            "gh_upsert_inline_comment"
        ]
    );
    for tool in tools {
        let writes = names[4..].contains(&tool["name"].as_str().unwrap());
        assert_eq!(tool["annotations"]["readOnlyHint"], !writes, "{tool}");
        assert_eq!(tool["annotations"]["destructiveHint"], false, "{tool}");
        for schema in ["inputSchema", "outputSchema"] {
            assert!(jsonschema::meta::is_valid(&tool[schema]), "{tool}");
        }
    }
    let one = json!({"repository": "o/r", "number": 1});
    let calls = [
        ("gh_list_pull_requests", json!({"repository": "o/r"})),
        ("gh_get_pull_request", one.clone()),
        ("gh_get_pull_request_diff", one.clone()),
        ("gh_get_pull_request_diff", json!({"repository": "o/r", "number": 1, "path": "a.py"})),
        ("gh_comment_pull_request", json!({"repository": "o/r", "number": 1, "body": "Hm."})),
        ("gh_upsert_inline_comment", line_comment_input("Hm.")),
    ];
    let mut answers = Vec::new();
    for (name, input) in calls {
        let tool = tools.iter().find(|tool| tool["name"] == name).unwrap();
        let schema = |which: &str| jsonschema::validator_for(&tool[which]).unwrap();
        assert!(schema("inputSchema").is_valid(&input), "{name}: {input}");
        let answer = agent.call_tool(name, input);
        let wrong: Vec<_> =
            schema("outputSchema").iter_errors(&answer).map(|error| error.to_string()).collect();
        assert!(wrong.is_empty(), "{name}: {wrong:?}: {answer}");
        answers.push(answer);
    }
    let view = site.repo.pull(1).await.unwrap();
    assert_eq!(answers[0]["pull_requests"][0]["branch"], "one");
    assert_eq!((&answers[0]["complete"], &answers[1]["state"]), (&json!(true), &json!("open")));
    assert_eq!(answers[1]["head"], view.head);
    assert!(answers[2]["diff"].as_str().unwrap().ends_with("\n a = 1\n+breakpoint()\n"), "{}", answers[2]);
    assert_eq!(answers[2]["diff"], answers[3]["diff"]);

    // Invalid input results in an error, and the tool does nothing.
    assert!(agent.call_failing_tool("gh_get_pull_request", json!({"number": 1})).contains("OWNER/NAME"));
    assert!(
        agent
            .call_failing_tool("gh_get_pull_request", json!({"repository": "o/r", "number": 9}))
            .contains("404")
    );
    assert!(
        agent
            .call_failing_tool("gh_get_pull_request", json!({"repository": "o/r", "number": 1, "x": 1}))
            .contains("`x`")
    );
    assert!(agent.call_failing_tool("gh_current_repo", json!({})).contains("name the repository"));
    let said = agent.close();
    assert!(!said.contains(TOKEN), "{said}");

    let (git, rest): (Vec<_>, Vec<_>) =
        site.forge.request_log().into_iter().partition(|call| call.path.contains(".git/"));
    assert!(!git.is_empty() && !rest.is_empty());
    let unnamed: Vec<_> = rest.iter().filter(|call| call.review_id.as_deref() != Some("review-7")).collect();
    assert!(unnamed.is_empty(), "calls without the review's id: {unnamed:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_repository_of_the_folder_is_meant_where_none_is_named() {
    let site = Site::new().await;
    site.open("one").await;
    let git = |arguments: &[&str]| {
        let done = truing_fakes::repo::git_command(site.home.path()).args(arguments).output().unwrap();
        assert!(done.status.success(), "{done:?}");
    };
    git(&["init", "--quiet", "--initial-branch", "one"]);
    git(&["remote", "add", "origin", &format!("{}/o/r.git", site.forge.base_url())]);
    let mut agent = Agent::start(&site, &["--stdio"]);
    let here = agent.call_tool("gh_current_repo", json!({}));
    assert_eq!(
        (&here["repository"], &here["branch"], &here["forge"]),
        (&json!("o/r"), &json!("one"), &json!("github"))
    );
    assert_eq!(agent.call_tool("gh_get_pull_request", json!({"number": 1}))["repository"], "o/r");
    agent.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_comment_is_there_once_however_often_it_is_asked_for() {
    let site = Site::new().await;
    let number = site.open("one").await;
    let say = |body: &str, key: &str| json!({"repository": "o/r", "number": 1, "body": body, "key": key});
    let plain = json!({"repository": "o/r", "number": 1, "body": "Mind the gap. @everyone"});
    let first = {
        let mut agent = Agent::start(&site, &[]);
        let first = agent.call_tool("gh_comment_pull_request", plain.clone());
        assert_eq!(agent.call_tool("gh_comment_pull_request", plain.clone()), first);
        let line = agent.call_tool("gh_upsert_inline_comment", line_comment_input("A breakpoint."));
        assert_eq!(
            agent.call_tool("gh_upsert_inline_comment", line_comment_input("Still a breakpoint.")),
            line
        );
        agent.close();
        first
    };
    // A new session knows nothing about earlier calls, but finds the existing comment.
    let mut agent = Agent::start(&site, &[]);
    assert_eq!(agent.call_tool("gh_comment_pull_request", plain), first);
    let keyed = agent.call_tool("gh_comment_pull_request", say("1 of 2", "progress"));
    assert_eq!(agent.call_tool("gh_comment_pull_request", say("2 of 2", "progress")), keyed);
    agent.call_tool("gh_upsert_inline_comment", line_comment_input("Still a breakpoint."));
    agent.close();

    let view = site.repo.pull(number).await.unwrap();
    let said: Vec<_> = view.conversation_comments().map(|comment| comment.body.clone()).collect();
    assert_eq!(said.len(), 2, "{said:#?}");
    assert!(said[0].starts_with("Mind the gap.") && !said[0].contains(" @everyone"), "{}", said[0]);
    assert!(said[1].starts_with("2 of 2\n"), "{}", said[1]);
    let lines: Vec<_> = view.inline_comments().collect();
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert!(lines[0].body.starts_with("Still a breakpoint."), "{}", lines[0].body);
    // The tools write comments, but no verdict of a review and no status.
    assert!(view.statuses.is_empty() && view.checks.is_empty() && view.open);
    assert!(
        view.reviews.iter().all(|review| review.verdict == FakeReviewVerdict::Commented),
        "{:#?}",
        view.reviews
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_comment_whose_answer_was_lost_is_not_posted_again() {
    let site = Site::new().await;
    let number = site.open("one").await;
    let mut agent = Agent::start(&site, &[]);
    let say = json!({"repository": "o/r", "number": 1, "body": "Hm."});
    for (path, tool, input) in [
        (COMMENTS, "gh_comment_pull_request", say),
        (LINES, "gh_upsert_inline_comment", line_comment_input("Hm.")),
    ] {
        site.forge.add_fault(ForgeFault::on_call("POST", path, ForgeFaultKind::LostResponse));
        let lost = agent.call_failing_tool(tool, input.clone());
        assert!(lost.contains("Call this tool again"), "{lost}");
        agent.call_tool(tool, input);
    }
    agent.close();
    let view = site.repo.pull(number).await.unwrap();
    assert_eq!((view.conversation_comments().count(), view.inline_comments().count()), (1, 1), "{view:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_that_are_not_in_the_diff_or_not_of_this_head_get_no_comment() {
    let site = Site::new().await;
    let number = site.open("one").await;
    let mut agent = Agent::start(&site, &[]);
    let with = |name: &str, value: Value| {
        let mut input = line_comment_input("Hm.");
        input[name] = value;
        input
    };
    for (input, told) in [
        (with("line", json!(40)), "not in the diff"),
        (with("path", json!("b.py")), "`b.py`"),
        (with("start_line", json!(3)), "empty"),
        (with("side", json!("old")), "not in the diff"),
        (with("commit", json!("a".repeat(40))), "the head is now"),
        (with("body", json!(" \n")), "`body` is empty"),
        (with("body", json!("x".repeat(10_001))), "shorten it"),
        (with("key", json!("")), "`key`"),
    ] {
        let reason = agent.call_failing_tool("gh_upsert_inline_comment", input.clone());
        assert!(reason.contains(told), "{input}: {reason}");
    }
    let head = site.repo.pull(number).await.unwrap().head;
    agent.call_tool("gh_upsert_inline_comment", with("commit", json!(head)));
    agent.close();
    assert_eq!(site.repo.pull(number).await.unwrap().comments.len(), 1);
}

/// Returns calls of both tools that write: for each tool, one call with a first text and one with a text that
/// replaces it.
fn write_calls() -> [(&'static str, Value); 4] {
    let say = |body: &str| json!({"repository": "o/r", "number": 1, "body": body, "key": "k"});
    [
        ("gh_comment_pull_request", say("Hm.")),
        ("gh_comment_pull_request", say("Ah.")),
        ("gh_upsert_inline_comment", line_comment_input("Hm.")),
        ("gh_upsert_inline_comment", line_comment_input("Ah.")),
    ]
}

/// Returns, for each comment, true if it is an inline comment, and the first line of its text.
async fn all_comments(site: &Site) -> Vec<(bool, String)> {
    let view = site.repo.pull(1).await.unwrap();
    let first = |body: &str| body.lines().next().unwrap_or_default().to_owned();
    view.comments.iter().map(|comment| (comment.place.is_some(), first(&comment.body))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_kill_switch_is_on_tools_read_and_do_not_write_whichever_mode_it_is_in() {
    let turns: [(&str, &[&str], &[&str]); 3] = [
        ("finish", &["--mode", "finish"], &[]),
        ("stop", &["--mode", "stop"], &[]),
        ("of this repository", &["--repo", "o/r"], &["--repo", "o/r"]),
    ];
    for (mode, on, off) in turns {
        let site = Site::new().await;
        assert_eq!(site.run(&["kill", "on", "--repo", "o/other"]).exit, 0);
        site.open("one").await;
        let mut agent = Agent::start(&site, &[]);
        for (tool, input) in write_calls() {
            let before = all_comments(&site).await;
            assert_eq!(site.run(&[&["kill", "on"], on].concat()).exit, 0);
            let reason = agent.call_failing_tool(tool, input.clone());
            assert!(reason.contains("the kill switch is on"), "{mode}: {reason}");
            agent.call_tool("gh_get_pull_request", json!({"repository": "o/r", "number": 1}));
            assert_eq!(all_comments(&site).await, before, "{mode}: {tool}");
            assert_eq!(site.run(&[&["kill", "off"], off].concat()).exit, 0);
            agent.call_tool(tool, input);
        }
        agent.close();
        assert_eq!(
            all_comments(&site).await,
            [(false, "Ah.".to_owned()), (true, "Ah.".to_owned())],
            "{mode}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_switch_that_is_turned_while_a_tool_looks_lets_it_write_nothing() {
    let site = Site::new().await;
    site.open("one").await;
    let mut agent = Agent::start(&site, &[]);
    for (tool, input) in write_calls() {
        let before = all_comments(&site).await;
        let path = if tool == "gh_comment_pull_request" { COMMENTS } else { LINES };
        site.forge.add_fault(ForgeFault::on_call("GET", path, ForgeFaultKind::HeldResponse));
        let reason = std::thread::scope(|scope| {
            let runtime = tokio::runtime::Handle::current();
            let site = &site;
            scope.spawn(move || {
                runtime.block_on(site.forge.wait_for_held_request());
                assert_eq!(site.run(&["kill", "on"]).exit, 0);
                site.forge.release_held_requests();
            });
            agent.call_failing_tool(tool, input.clone())
        });
        assert!(reason.contains("the kill switch is on"), "{reason}");
        assert_eq!(all_comments(&site).await, before, "{tool}");
        assert_eq!(site.run(&["kill", "off"]).exit, 0);
        agent.call_tool(tool, input);
    }
    agent.close();
    assert_eq!(all_comments(&site).await, [(false, "Ah.".to_owned()), (true, "Ah.".to_owned())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn over_http_the_token_opens_and_each_request_may_name_its_review() {
    let site = Site::new().await;
    site.open("one").await;
    let arguments = ["mcp", "serve", "--forge", "github", "--listen", "127.0.0.1:0"];
    let without = site.run(&arguments);
    assert!(without.exit == 2 && without.err.contains("MCP_TOKEN"), "{without:?}");
    let short = Ran::from(site.command(&arguments).env("MCP_TOKEN", "short").output().unwrap());
    assert!(short.exit == 2 && short.err.contains("fewer than 16"), "{short:?}");
    std::fs::write(site.home.path().join("token"), format!("{SESSION}\n")).unwrap();
    let mut command = site.command(&[&arguments[..], &["--token-file", "token", "-vv"]].concat());
    let server = Server::start_announced(&mut command, |line| Some(line.split_once("tools: ")?.1.to_owned()));

    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let call = json!({
        "jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {"name": "gh_list_pull_requests", "arguments": {"repository": "o/r"}},
    });
    let asked = |token: &'static str, review: Option<&'static str>| {
        let request = client.post(&server.url).header("accept", "application/json, text/event-stream");
        let request = request.header("authorization", token).json(&call);
        review.into_iter().fold(request, |request, review| request.header("x-review-id", review)).send()
    };
    let refused = asked("Bearer session-token-other!", None).await.unwrap();
    assert_eq!(refused.status(), 401);
    assert!(site.forge.request_log().is_empty());
    for review in [Some("review-1"), Some("review-2"), Some("not an id"), None] {
        let answer = asked("Bearer session-token-canary", review).await.unwrap();
        assert_eq!(answer.status(), 200);
        let answer: Value = answer.json().await.unwrap();
        assert_eq!(answer["result"]["structuredContent"]["pull_requests"][0]["number"], 1, "{answer}");
    }
    let named: Vec<_> = site.forge.request_log().into_iter().map(|call| call.review_id.unwrap()).collect();
    assert_eq!(named.len(), 4, "{named:?}");
    assert_eq!(named[..2], ["review-1", "review-2"]);
    assert!(named[2] == named[3] && named[2].len() == 36, "one id of the server's own: {named:?}");
    server.signal("-TERM");
    let (status, log) = server.wait_for_end();
    assert_eq!(status.code(), Some(0), "{log}");
    for secret in [TOKEN, SESSION] {
        assert!(!log.contains(secret), "a secret is in the log");
    }
}
