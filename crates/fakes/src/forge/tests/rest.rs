//! Tests that reads, writes and rejections of the REST API behave as at GitHub.

use serde_json::{Value, json};

use super::*;
use crate::forge::FakeDiffSide;

#[tokio::test]
async fn a_review_is_all_or_nothing_and_its_errors_are_strings_that_do_not_say_which() {
    let stage = Stage::new().await;
    let good = json!({"path": "src/a.py", "line": 10, "body": "a"});
    let cases = [
        (json!({"path": "src/a.py", "line": 20, "body": "b"}), "line must be part of the diff"),
        (
            json!({"path": "src/a.py", "line": 30, "start_line": 9, "body": "b"}),
            "must be part of the same hunk",
        ),
        (json!({"path": "nowhere.py", "line": 1, "body": "b"}), "Path could not be resolved"),
        (json!({"path": "src/a.py", "line": 10, "side": "MIDDLE", "body": "b"}), "Side is not included"),
        (json!({"path": "src/a.py", "body": "b"}), "Line could not be resolved"),
        (json!({"path": "src/a.py", "line": 10, "body": " "}), "can't be blank"),
        (json!({"path": "src/a.py", "line": 10, "body": "x".repeat(65_537)}), "Body is too long"),
    ];
    for (bad, words) in cases {
        let (status, body) = stage.review(json!([good, bad])).await;
        assert_eq!(status, 422, "{words}");
        let errors = body["errors"].as_array().unwrap();
        assert!(errors.iter().all(|error| error.as_str().unwrap().contains(words)), "{body}");
        assert_eq!(body["status"], "422");
    }
    let (status, body) =
        stage.review(json!([good, {"path": "src/a.py", "subject_type": "file", "body": "b"}])).await;
    assert_eq!((status, body["message"].as_str().unwrap().contains("subject_type")), (422, true), "{body}");
    assert_eq!(stage.get(&format!("{PULLS}/1/comments")).await, json!([]));

    let left = json!({"path": "src/a.py", "line": 10, "side": "LEFT", "body": "é".repeat(65_536)});
    let several = json!({"path": "src/a.py", "line": 12, "start_line": 8, "side": "RIGHT", "start_side": "RIGHT", "body": "c"});
    let (status, review) = stage.review(json!([good, left, several])).await;
    assert_eq!((status, review["state"].as_str()), (200, Some("COMMENTED")));
    let list = stage.get(&format!("{PULLS}/1/comments")).await;
    let lines: Vec<_> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|c| (c["line"].as_u64(), c["start_line"].as_u64(), c["side"].as_str().unwrap()))
        .collect();
    assert_eq!(lines, [(Some(10), None, "RIGHT"), (Some(10), None, "LEFT"), (Some(12), Some(8), "RIGHT")]);
    assert_eq!(list[0]["user"], json!(list[1]["user"]));
    assert_eq!(
        (list[0]["user"]["login"].as_str(), list[0]["user"]["type"].as_str()),
        (Some(BOT), Some("Bot"))
    );
    assert!(
        list[0]["created_at"].as_str().unwrap().ends_with('Z')
            && !list[0]["created_at"].as_str().unwrap().contains('.')
    );
    assert_eq!(
        stage.get(&format!("{PULLS}/1/reviews/{}/comments", review["id"])).await.as_array().unwrap().len(),
        3
    );
    assert_eq!(stage.forge.violations(), [""; 0]);
}

#[tokio::test]
async fn approving_and_unknown_calls_are_violations() {
    let stage = Stage::new().await;
    let body = json!({"event": "APPROVE", "body": "x"});
    assert_eq!(stage.ask("POST", &format!("{PULLS}/1/reviews"), body).await.0, 403);
    assert_eq!(
        stage.ask("POST", &format!("{PULLS}/1/reviews"), json!({"body": "x"})).await.0,
        422,
        "no event: pending"
    );
    assert_eq!(stage.ask("PUT", &format!("{PULLS}/1/merge"), json!({})).await.0, 404);
    assert_eq!(stage.ask("DELETE", "/repos/acme/shop/git/refs/heads/x", Value::Null).await.0, 404);
    assert_eq!(
        stage.ask("DELETE", &format!("{PULLS}/1"), Value::Null).await.0,
        404,
        "a known path, not for this method"
    );
    let merge =
        json!({"query": "mutation { mergePullRequest(input: {pullRequestId: \"x\"}) { clientMutationId } }"});
    stage.ask("POST", "/graphql", merge).await;
    assert_eq!(stage.forge.violations().len(), 6, "{:?}", stage.forge.violations());
    assert_eq!(stage.forge.pull("acme", "shop", 1).await.unwrap().reviews, []);
}

#[tokio::test]
async fn a_known_token_and_a_user_agent_are_compulsory() {
    let stage = Stage::new().await;
    let url = format!("{}/user", stage.forge.base_url());
    let status =
        |request: reqwest::RequestBuilder| async move { request.send().await.unwrap().status().as_u16() };
    assert_eq!(status(stage.client.get(&url).header("user-agent", "x").bearer_auth("wrong")).await, 401);
    assert_eq!(status(stage.client.get(&url).header("user-agent", "x")).await, 401);
    assert_eq!(status(stage.client.get(&url).bearer_auth(TOKEN)).await, 403);
    assert_eq!(stage.get("/user").await["login"], BOT);
    stage.forge.revoke_token(TOKEN);
    assert_eq!(stage.ask("GET", "/user", Value::Null).await.0, 401);
    let bad_json = stage.client.post(format!("{}{PULLS}/1/reviews", stage.forge.base_url()));
    stage.forge.register_token(TOKEN, BOT);
    assert_eq!(status(bad_json.header("user-agent", "x").bearer_auth(TOKEN).body("{")).await, 400);
}

#[tokio::test]
async fn summaries_and_comments_are_changed_and_deleted_by_their_author_only() {
    let stage = Stage::new().await;
    let issue = "/repos/acme/shop/issues";
    let (status, made) =
        stage.ask("POST", &format!("{issue}/1/comments"), json!({"body": "one\r\n<!-- m -->"})).await;
    assert_eq!((status, made["body"].as_str()), (201, Some("one\r\n<!-- m -->")));
    let own = format!("{issue}/comments/{}", made["id"]);
    assert_eq!(stage.ask("PATCH", &own, json!({"body": "two"})).await.1["body"], "two");
    let (status, refused) = stage.ask("PATCH", &own, json!({"body": "x".repeat(65_537)})).await;
    assert_eq!((status, refused["errors"][0]["code"].as_str()), (422, Some("unprocessable")));
    let others = stage.shop.comment(1, "reader", "Thanks!").await.unwrap();
    assert_eq!(stage.ask("DELETE", &format!("{issue}/comments/{others}"), Value::Null).await.0, 403);
    assert_eq!(stage.forge.violations().len(), 1);
    assert_eq!(stage.ask("DELETE", &own, Value::Null).await.0, 204);
    assert_eq!(stage.ask("PATCH", &own, json!({"body": "x"})).await.0, 404);
    let list = stage.get(&format!("{issue}/1/comments")).await;
    assert_eq!((list.as_array().unwrap().len(), list[0]["user"]["login"].as_str()), (1, Some("reader")));

    let id = stage.inline(10).await;
    let own = format!("{PULLS}/comments/{id}");
    assert_eq!(
        stage.ask("PATCH", &own, json!({"body": "better"})).await,
        (200, stage.get(&format!("{PULLS}/1/comments")).await[0].clone())
    );
    assert_eq!(stage.ask("DELETE", &own, Value::Null).await.0, 204);
    let view = stage.forge.pull("acme", "shop", 1).await.unwrap();
    assert_eq!(
        view.comments.iter().map(|c| (c.body.as_str(), c.deleted)).collect::<Vec<_>>(),
        [("two", true), ("Thanks!", false), ("better", true)]
    );
    assert_eq!((view.conversation_comments().count(), view.inline_comments().count()), (1, 0));
}

#[tokio::test]
async fn comments_on_files_and_answers_are_made_one_by_one() {
    let stage = Stage::new().await;
    let comments = format!("{PULLS}/1/comments");
    let head = stage.shop.tip("feature").await.unwrap();
    let on_file =
        json!({"commit_id": head, "path": "src/a.py", "subject_type": "file", "body": "All of it."});
    let (status, made) = stage.ask("POST", &comments, on_file).await;
    assert_eq!((status, made["subject_type"].as_str(), &made["line"]), (201, Some("file"), &Value::Null));
    for (path, line) in [("README.md", Value::Null), ("src/a.py", 20.into())] {
        let kind = if line.is_null() { "file" } else { "line" };
        let body = json!({"commit_id": head, "path": path, "line": line, "subject_type": kind, "body": "x"});
        let (status, refused) = stage.ask("POST", &comments, body).await;
        assert_eq!(status, 422);
        assert_eq!(refused["errors"][0]["resource"], "PullRequestReviewComment", "objects here: {refused}");
    }
    let first = made["id"].as_u64().unwrap();
    let (status, answer) =
        stage.ask("POST", &format!("{comments}/{first}/replies"), json!({"body": "Why?"})).await;
    assert_eq!((status, answer["in_reply_to_id"].as_u64()), (201, Some(first)));
    let (status, _) =
        stage.ask("POST", &format!("{comments}/{}/replies", answer["id"]), json!({"body": "x"})).await;
    assert_eq!(status, 404, "answers go to the first comment");
    assert_eq!(
        stage.shop.pull(1).await.unwrap().inline_comments().map(|c| c.in_reply_to).collect::<Vec<_>>(),
        [None, Some(first)]
    );
}

#[tokio::test]
async fn lists_come_in_pages_with_links() {
    let stage = Stage::new().await;
    for n in 0..7 {
        stage.shop.comment(1, "reader", &n.to_string()).await.unwrap();
    }
    let mut next = Some("/repos/acme/shop/issues/1/comments?per_page=3".to_owned());
    let (mut seen, mut sizes) = (Vec::new(), Vec::new());
    while let Some(path) = next.take() {
        let response = stage.send("GET", &path, Value::Null).await.unwrap();
        let link =
            response.headers().get("link").map(|link| link.to_str().unwrap().to_owned()).unwrap_or_default();
        next = link
            .split(", ")
            .find(|part| part.ends_with("rel=\"next\""))
            .map(|part| part[1..part.find('>').unwrap()].to_owned());
        let page: Vec<Value> = response.json().await.unwrap();
        sizes.push(page.len());
        seen.extend(page.into_iter().map(|comment| comment["body"].as_str().unwrap().to_owned()));
    }
    assert_eq!(sizes, [3, 3, 1]);
    assert_eq!(seen, ["0", "1", "2", "3", "4", "5", "6"]);
    assert_eq!(stage.get("/repos/acme/shop/issues/1/comments?page=9").await, json!([]));
    for n in 0..120 {
        stage.shop.comment(1, "reader", &n.to_string()).await.unwrap();
    }
    let most = stage.get("/repos/acme/shop/issues/1/comments?per_page=500").await;
    assert_eq!(most.as_array().unwrap().len(), 100);
}

#[tokio::test]
async fn open_pulls_are_listed_newest_first() {
    let stage = Stage::new().await;
    stage.shop.push("other", CommitBuilder::new("x").write("x", "1")).await.unwrap();
    stage.shop.open_pull(NewPull { draft: true, ..NewPull::from_branch("other") }).await.unwrap();
    let numbers = |list: Value| {
        list.as_array().unwrap().iter().map(|pull| pull["number"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(numbers(stage.get(&format!("{PULLS}?state=open")).await), [2, 1]);
    stage.shop.close_pull(2).await.unwrap();
    assert_eq!(numbers(stage.get(PULLS).await), [1]);
    assert_eq!(numbers(stage.get(&format!("{PULLS}?state=closed")).await), [2]);
    assert_eq!(numbers(stage.get(&format!("{PULLS}?state=all&sort=created&direction=asc")).await), [1, 2]);
    let pull = stage.get(&format!("{PULLS}/2")).await;
    assert_eq!(
        (pull["draft"].as_bool(), pull["state"].as_str(), pull["merged"].as_bool()),
        (Some(true), Some("closed"), Some(false))
    );
    assert_eq!(stage.ask("GET", &format!("{PULLS}/3"), Value::Null).await.0, 404);
    assert_eq!(stage.ask("GET", "/repos/acme/none", Value::Null).await.0, 404);
    assert_eq!(stage.get("/repos/ACME/Shop").await["full_name"], "acme/shop");
}

#[tokio::test]
async fn statuses_are_checked() {
    let stage = Stage::new().await;
    let head = stage.shop.tip("feature").await.unwrap();
    let path = format!("/repos/acme/shop/statuses/{head}");
    for (state, description, expected) in [
        ("success", "ok", 201),
        ("failure", &"x".repeat(140), 201),
        ("green", "", 422),
        ("error", &"x".repeat(141), 422),
    ] {
        let body = json!({"state": state, "description": description, "context": "truing"});
        assert_eq!(stage.ask("POST", &path, body).await.0, expected, "{state}");
    }
    let nowhere = format!("/repos/acme/shop/statuses/{}", "1".repeat(40));
    assert_eq!(stage.ask("POST", &nowhere, json!({"state": "success"})).await.0, 422);
    let list = stage.get(&format!("/repos/acme/shop/commits/{head}/statuses")).await;
    assert_eq!(
        (list[0]["state"].as_str(), list[1]["state"].as_str()),
        (Some("failure"), Some("success")),
        "newest first"
    );
    let view = stage.shop.pull(1).await.unwrap();
    assert_eq!(
        view.statuses[&head].iter().map(|s| s.state.as_str()).collect::<Vec<_>>(),
        ["success", "failure"]
    );
}

#[tokio::test]
async fn a_comment_moves_with_its_line_and_is_outdated_when_the_line_changes() {
    let stage = Stage::new().await;
    stage.inline(10).await;
    stage.inline(30).await;
    let at = |list: &Value| {
        list.as_array()
            .unwrap()
            .iter()
            .map(|c| (c["line"].as_u64(), c["original_line"].as_u64()))
            .collect::<Vec<_>>()
    };
    let mut lines = numbered(40);
    lines[9] = "changed".into();
    lines.insert(29, "newer".into());
    lines.insert(0, "top".into());
    let head = stage
        .shop
        .push("feature", CommitBuilder::new("More").write("src/a.py", lines.join("\n")))
        .await
        .unwrap();
    let list = stage.get(&format!("{PULLS}/1/comments")).await;
    assert_eq!(at(&list), [(Some(11), Some(10)), (None, Some(30))]);
    assert_eq!(list[0]["commit_id"], head);
    assert_ne!(list[1]["commit_id"], head);
    assert_eq!(
        stage.shop.pull(1).await.unwrap().comments.iter().map(|c| c.line).collect::<Vec<_>>(),
        [Some(11), None]
    );
}

#[tokio::test]
async fn threads_are_listed_resolved_and_opened_again_by_graphql() {
    let stage = Stage::new().await;
    let first = stage.inline(10).await;
    let answer = stage.shop.reply(1, "reader", first, "No.").await.unwrap();
    let second =
        stage.shop.comment_on_line(1, "reader", "src/a.py", (FakeDiffSide::Left, 10), "Why?").await.unwrap();
    let query = "query($owner: String!, $name: String!, $number: Int!, $after: String) \
         { repository(owner: $owner, name: $name) { \
        pullRequest(number: $number) \
         { reviewThreads(first: 1, after: $after) { pageInfo { hasNextPage endCursor } nodes { id isResolved \
        isOutdated resolvedBy { login } comments(first: 5) { nodes { fullDatabaseId } } } } } } }";
    let threads = async |after: Value| {
        let variables = json!({"owner": "acme", "name": "shop", "number": 1, "after": after});
        let (status, body) =
            stage.ask("POST", "/graphql", json!({"query": query, "variables": variables})).await;
        assert_eq!(status, 200);
        body["data"]["repository"]["pullRequest"]["reviewThreads"].clone()
    };
    let page = threads(Value::Null).await;
    let ids = |page: &Value| {
        page["nodes"][0]["comments"]["nodes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|c| c["fullDatabaseId"].as_str().unwrap().parse::<u64>().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!((ids(&page), page["nodes"].as_array().unwrap().len()), (vec![first, answer], 1));
    let next = threads(page["pageInfo"]["endCursor"].clone()).await;
    assert_eq!(
        (ids(&next), &page["pageInfo"]["hasNextPage"], &next["pageInfo"]["hasNextPage"]),
        (vec![second], &json!(true), &json!(false))
    );

    let set = async |operation: &str| {
        let query = format!(
            "mutation($id: ID!) {{ {operation}(input: {{threadId: $id}}) {{ thread {{ isResolved }} }} }}"
        );
        stage
            .ask("POST", "/graphql", json!({"query": query, "variables": {"id": page["nodes"][0]["id"]}}))
            .await
            .1
    };
    assert_eq!(set("resolveReviewThread").await["data"]["resolveReviewThread"]["thread"]["isResolved"], true);
    assert_eq!(threads(Value::Null).await["nodes"][0]["isResolved"], true);
    assert_eq!(
        stage.shop.pull(1).await.unwrap().comments.iter().map(|c| c.resolved).collect::<Vec<_>>(),
        [true, true, false]
    );
    assert_eq!(
        set("unresolveReviewThread").await["data"]["unresolveReviewThread"]["thread"]["isResolved"],
        false
    );
    stage.shop.resolve_thread(1, second, "reader").await.unwrap();
    assert_eq!(
        threads(page["pageInfo"]["endCursor"].clone()).await["nodes"][0]["resolvedBy"]["login"],
        "reader"
    );
    stage.shop.delete_comment(1, second).await.unwrap();
    assert_eq!(
        threads(page["pageInfo"]["endCursor"].clone()).await["nodes"],
        json!([]),
        "a thread ends with its last comment"
    );

    let nobody = json!({"query": "mutation { resolveReviewThread(input: {threadId: \"PRRT_none\"}) { \
        thread { id } } }"});
    assert_eq!(stage.ask("POST", "/graphql", nobody).await.1["errors"][0]["type"], "NOT_FOUND");
    let viewer = stage.ask("POST", "/graphql", json!({"query": "{ viewer { login } }"})).await.1;
    assert_eq!(viewer["data"]["viewer"]["login"], "truing", "GraphQL shows no [bot]");
    assert_eq!(stage.forge.violations(), [""; 0]);
}

#[tokio::test]
async fn calls_are_counted_by_route_and_logged() {
    let stage = Stage::new().await;
    stage.get(&format!("{PULLS}?state=all")).await;
    stage.get(PULLS).await;
    assert_eq!(stage.forge.call_counts()["GET /repos/{owner}/{repo}/pulls"], 2);
    let log = stage.forge.request_log();
    assert_eq!(
        (log[0].path.as_str(), log[0].status, log[0].login.as_deref()),
        ("/repos/acme/shop/pulls?state=all", Some(200), Some(BOT))
    );
}

#[tokio::test]
async fn check_runs_are_for_apps_alone() {
    let stage = Stage::new().await;
    let head = stage.shop.tip("feature").await.unwrap();
    let run = json!({"name": "x", "head_sha": head, "conclusion": "success"});
    let (status, body) = stage.ask("POST", "/repos/acme/shop/check-runs", run).await;
    assert_eq!((status, body["message"].as_str()), (403, Some("You must authenticate via a GitHub App.")));
    assert_eq!(stage.get(&format!("/repos/acme/shop/commits/{head}/check-runs")).await["total_count"], 0);
}

#[tokio::test]
async fn a_person_sees_a_pull_request_and_its_comments_without_a_token() {
    let stage = Stage::new().await;
    stage.review(json!([{"path": "src/a.py", "line": 10, "body": "look here\n<!-- not shown -->"}])).await;
    let base = stage.forge.base_url().to_owned();
    let page = |path: &str| {
        let asked = stage.client.get(format!("{base}{path}")).header("user-agent", "a browser").send();
        async move { asked.await.unwrap().text().await.unwrap() }
    };
    let list = page("/acme/shop/pulls").await;
    assert!(list.contains("/acme/shop/pull/1\n"), "{list}");
    let pull = page("/acme/shop/pull/1").await;
    assert!(pull.contains(" on src/a.py, line 10\nlook here\n") && !pull.contains("<!--"), "{pull}");
}
