//! Tests of the six MCP tools with Bitbucket Cloud and Data Center. Their names and results are the ones that
//! existing agents expect.

use serde_json::{Value, json};
use truing_fakes::forge::{FakeDiffSide, FakeForgeOptions, FakeRepo, ForgeFlavour, NewPull};
use truing_fakes::repo::CommitBuilder;

use super::claude::find_claude;
use super::mcp::Agent;
use super::outside;

use crate::support::home::Home;

use super::watch::Watched;

const TOKEN: &str = super::TOKEN;
const BOT: &str = "truing[bot]";
const BOTH: [ForgeFlavour; 2] = [ForgeFlavour::Cloud, ForgeFlavour::DataCenter];

struct Site {
    home: Home,
    forge: Watched,
    repo: FakeRepo,
    head: String,
}

impl Site {
    /// Creates a site with a repository, an open pull request that adds a line, and a clone of the
    /// repository.
    async fn new(flavour: ForgeFlavour) -> Self {
        let forge = Watched::start_as(flavour, FakeForgeOptions::default()).await;
        forge.register_token(TOKEN, BOT);
        let begin = CommitBuilder::new("begin").write("a.py", "a = 1\n");
        let repo = forge.create_repository("acme", "shop", begin).await.unwrap();
        repo.set_role(BOT, forge.lookup_permission()).await.unwrap();
        let debug = CommitBuilder::new("debug").write("a.py", "a = 1\nbreakpoint()\n");
        let head = repo.push("one", debug).await.unwrap();
        repo.open_pull(NewPull {
            title: "Debug it".into(),
            body: "Why not.".into(),
            ..NewPull::from_branch("one")
        })
        .await
        .unwrap();
        let home =
            Home::with_config(&forge.operator_config()).with_variable(forge.secret_variables()[0], TOKEN);
        let site = Self { home, forge, repo, head };
        site.git(&["init", "--quiet", "--initial-branch", "one"]);
        site.git(&["remote", "add", "origin", site.repo.clone_url()]);
        site
    }

    fn git(&self, arguments: &[&str]) {
        let done = truing_fakes::repo::git_command(self.home.path()).args(arguments).output().unwrap();
        assert!(done.status.success(), "{done:?}");
    }

    fn start_agent(&self) -> Agent {
        Agent::from_command(self.home.command(&["mcp", "serve", "--forge", self.forge.forge_name()]))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_tool_has_the_name_and_the_answer_that_the_seed_s_has() {
    for flavour in BOTH {
        let site = Site::new(flavour).await;
        let mut agent = site.start_agent();
        let listed = agent.request("tools/list", json!({}));
        let tools = listed["tools"].as_array().unwrap();
        let names: Vec<_> = tools.iter().map(|tool| tool["name"].as_str().unwrap()).collect();
        assert_eq!(
            names,
            [
                "bb_current_repo",
                "bb_list_pull_requests",
                "bb_get_pull_request",
                "bb_get_pull_request_diff",
                "bb_comment_pull_request",
                "bb_upsert_inline_comment"
            ]
        );
        let mut answered = |name: &str, input: Value| {
            let tool = tools.iter().find(|tool| tool["name"] == name).unwrap();
            let schema = |which: &str| jsonschema::validator_for(&tool[which]).unwrap();
            assert!(schema("inputSchema").is_valid(&input), "{name}: {input}");
            let answer = agent.call_tool(name, input);
            assert!(schema("outputSchema").is_valid(&answer), "{name}: {answer}");
            answer
        };
        let here = answered("bb_current_repo", json!({}));
        let id = site.repo.public_id().await.unwrap();
        assert_eq!(
            here,
            json!({
                "forge": site.forge.forge_name(), "repository": "acme/shop", "workspace": "acme", "repo_slug": "shop", "id": id,
                "archived": false, "branch": "one",
            })
        );
        let (base, head) = (site.repo.tip("main").await.unwrap(), &site.head);
        let all = answered("bb_list_pull_requests", json!({}));
        let url = all["pull_requests"][0]["url"].clone();
        assert!(url.as_str().unwrap().ends_with("/pull-requests/1"), "{url}");
        assert_eq!(
            all,
            json!({
                "repository": "acme/shop", "complete": true,
                "pull_requests": [{
                    "number": 1, "title": "Debug it", "url": url, "author": all["pull_requests"][0]["author"],
                    "draft": false, "head": head, "branch": "one", "base_branch": "main",
                }],
            })
        );
        let one = answered("bb_get_pull_request", json!({"number": 1}));
        assert_eq!(
            one,
            json!({
                "repository": "acme/shop", "number": 1, "url": url, "title": "Debug it", "description": "Why not.",
                "state": "open", "author": one["author"], "head": head, "branch": "one",
                "head_repository": "acme/shop", "base": base, "base_branch": "main", "labels": [],
                "requested_reviewers": [],
            })
        );
        assert!(one["author"].is_string(), "{one}");
        let diff = answered("bb_get_pull_request_diff", json!({"number": 1}));
        assert!(diff["diff"].as_str().unwrap().ends_with("\n a = 1\n+breakpoint()\n"), "{diff}");
        assert_eq!(
            (&diff["base"], &diff["head"], &diff["left_out"]),
            (&json!(base), &json!(head), &json!([]))
        );

        let said = answered("bb_comment_pull_request", json!({"number": 1, "body": "Hm."}));
        let on = json!({"number": 1, "body": "Why?", "path": "a.py", "line": 2});
        let inline = answered("bb_comment_pull_request", on.clone());
        let upserted = json!({"number": 1, "body": "Not here.", "path": "a.py", "line": 2});
        let line = answered("bb_upsert_inline_comment", upserted.clone());
        // A text that differs only in white space is the same comment; any other text is a new comment.
        let again = json!({"number": 1, "body": "Not  here.\n", "path": "a.py", "line": 2});
        assert_eq!(answered("bb_upsert_inline_comment", again), line);
        assert_eq!(answered("bb_comment_pull_request", on), inline);
        let other = json!({"number": 1, "body": "Nor there.", "path": "a.py", "line": 2});
        let other = answered("bb_upsert_inline_comment", other);
        for one in [&said, &inline, &line, &other] {
            assert_eq!(
                *one,
                json!({"repository": "acme/shop", "number": 1, "comment": one["comment"]}),
                "{flavour:?}"
            );
            assert!(one["comment"].is_string(), "{one}");
        }
        let wrong = agent
            .call_failing_tool("bb_comment_pull_request", json!({"number": 1, "body": "Hm.", "line": 2}));
        assert!(wrong.contains("`path`"), "{wrong}");
        assert_eq!(
            agent.call_raw("bb_merge_pull_request", json!({"number": 1})),
            Value::Null,
            "there is no such tool"
        );
        let told = agent.close();
        assert!(!told.contains(TOKEN), "{told}");

        // In a new session, the tool finds the existing comment.
        let mut agent = site.start_agent();
        assert_eq!(agent.call_tool("bb_upsert_inline_comment", upserted), line);
        agent.close();
        let view = site.repo.pull(1).await.unwrap();
        let first = |body: &str| body.lines().next().unwrap_or_default().to_owned();
        let talk: Vec<_> = view.conversation_comments().map(|comment| first(&comment.body)).collect();
        assert_eq!(talk, ["Hm."]);
        let lines: Vec<_> =
            view.inline_comments().map(|comment| (first(&comment.body), comment.line)).collect();
        let expected = ["Why?", "Not here.", "Nor there."].map(|text| (text.to_owned(), Some(2)));
        assert_eq!(lines, expected, "{flavour:?}");
        assert!(view.open && view.statuses.is_empty() && view.reviewers.is_empty(), "{view:#?}");
        assert_eq!(site.forge.violations(), Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_comment_of_the_tool_that_is_replaced_is_updated_and_not_posted_again() {
    for flavour in BOTH {
        let site = Site::new(flavour).await;
        let mark = "<!-- claude-reviewer:inline:0f3a9c -->";
        let theirs = format!("{mark}\nWhy  not\nhere?");
        site.repo.comment_on_line(1, "mallory", "a.py", (FakeDiffSide::Right, 2), &theirs).await.unwrap();
        let old = site.repo.comment_on_line(1, BOT, "a.py", (FakeDiffSide::Right, 2), &theirs).await.unwrap();
        let mut agent = site.start_agent();
        let same = json!({"number": 1, "body": "Why not here?", "path": "a.py", "line": 2});
        for _ in 0..2 {
            let found = agent.call_tool("bb_upsert_inline_comment", same.clone());
            assert_eq!(found["comment"], json!(old.to_string()), "{flavour:?}");
        }
        let other = json!({"number": 1, "body": "Nor there.", "path": "a.py", "line": 2});
        assert_ne!(agent.call_tool("bb_upsert_inline_comment", other)["comment"], json!(old.to_string()));
        agent.close();
        let view = site.repo.pull(1).await.unwrap();
        let bodies: Vec<_> = view.inline_comments().map(|comment| comment.body.as_str()).collect();
        assert_eq!(bodies.len(), 3, "{flavour:?}: {bodies:#?}");
        assert_eq!(bodies[0], theirs);
        assert!(bodies[1].starts_with("Why not here?\n") && !bodies[1].contains(mark), "{}", bodies[1]);
    }
}

/// Returns an MCP configuration with which an agent starts `truing mcp serve` itself.
fn stdio_server_config(site: &Site, token: &str) -> Value {
    let name = site.forge.forge_name();
    json!({
        "type": "stdio",
        "command": env!("CARGO_BIN_EXE_truing"),
        "args": ["--config", site.home.path().join("truing.toml"), "mcp", "serve", "--forge", name, "--review-id", "review-9"],
        "env": {"HOME": site.home.path(), site.forge.secret_variables()[0]: token},
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_claude_program_uses_all_six_and_each_comment_is_there_once() {
    let Some(program) = find_claude() else { return };
    for flavour in BOTH {
        let site = Site::new(flavour).await;
        let line = |body: &str| json!({"number": 1, "path": "a.py", "line": 2, "body": body});
        let calls = [
            ("bb_current_repo", json!({})),
            ("bb_list_pull_requests", json!({})),
            ("bb_get_pull_request", json!({"number": 1})),
            ("bb_get_pull_request_diff", json!({"number": 1})),
            ("bb_comment_pull_request", json!({"number": 1, "body": "Mind the gap."})),
            ("bb_comment_pull_request", json!({"number": 1, "body": "Mind the gap."})),
            ("bb_upsert_inline_comment", line("A breakpoint.")),
            ("bb_upsert_inline_comment", line("A  breakpoint.")),
        ];
        let model = outside::start_model(&calls).await;
        let events = outside::run_agent(
            &program,
            site.home.path(),
            &model,
            &stdio_server_config(&site, "${FORGE_TOKEN}"),
        );
        let results = outside::call_results(&model);
        assert!(results.len() == 8 && results.iter().all(|(_, is_error)| !is_error), "{results:#?}");
        assert!(results[0].0.contains("\"workspace\":\"acme\""), "{results:#?}");
        assert!(results[3].0.contains("+breakpoint()"), "{results:#?}");
        assert_eq!((&results[4], &results[6]), (&results[5], &results[7]), "the same comments");
        let view = site.repo.pull(1).await.unwrap();
        assert_eq!(
            (view.conversation_comments().count(), view.inline_comments().count()),
            (1, 1),
            "{flavour:?}: {view:#?}"
        );
        let log = site.forge.request_log();
        let mut named = log.iter().filter(|call| !call.path.contains(".git/"));
        assert!(named.all(|call| call.review_id.as_deref() == Some("review-9")), "{log:#?}");
        let asked: String = model.request_log().iter().map(|request| request.body.to_string()).collect();
        assert!(!asked.contains(TOKEN) && !format!("{events:?}").contains(TOKEN), "the token is told");
        assert_eq!(site.forge.violations(), Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_protocols_inspector_lists_them_and_calls_one() {
    for flavour in BOTH {
        let site = Site::new(flavour).await;
        let file = site.home.path().join("servers.json");
        std::fs::write(
            &file,
            json!({"mcpServers": {"truing": stdio_server_config(&site, TOKEN)}}).to_string(),
        )
        .unwrap();
        let file = file.display().to_string();
        let before = ["--config", &file, "--server", "truing"];
        let inspected = |after: &[&str]| outside::run_inspector(site.home.path(), &before, after);
        let Some(listed) = inspected(&["--method", "tools/list"]) else { return };
        assert_eq!(listed["tools"].as_array().map(Vec::len), Some(6), "{listed}");
        let call = ["--method", "tools/call", "--tool-name", "bb_get_pull_request", "--tool-arg", "number=1"];
        let called = inspected(&call).unwrap();
        assert_eq!(called["structuredContent"]["branch"], "one", "{called}");
    }
}
