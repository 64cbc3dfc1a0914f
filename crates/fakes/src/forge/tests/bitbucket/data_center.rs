//! Tests of Data Center's server, repositories, lists and comments.

use serde_json::{Value, json};

use super::*;
use crate::forge::{FakeDiffSide, TokenKind};

#[tokio::test]
async fn the_server_says_its_version_and_whose_login_it_is() {
    let site = Site::new(ForgeFlavour::DataCenter).await;
    let url = format!("{}/rest/api/latest/application-properties", site.forge.base_url());
    let ask = async || {
        site.client.get(&url).send().await.unwrap().json::<Value>().await.unwrap()["version"].clone()
    };
    assert_eq!(ask().await, "9.4.2");
    site.forge.set_version("8.9.0");
    assert_eq!(ask().await, "8.9.0");
    assert!(site.get(&site.pull()).await.get("draft").is_none(), "drafts are newer");
    let answer = site.send("GET", &site.api, Value::Null).await.unwrap();
    let name = answer.headers()["x-ausername"].to_str().unwrap().to_owned();
    assert_eq!(name, REVIEWER);
    let user = site.get(&format!("/rest/api/latest/users/{name}")).await;
    assert_eq!(user["id"].to_string(), site.forge.account_id(REVIEWER));
}

#[tokio::test]
async fn who_may_not_gets_401() {
    let site = Site::new(ForgeFlavour::DataCenter).await;
    let restrictions = "/rest/branch-permissions/latest/projects/acme/repos/shop/restrictions";
    assert_eq!(site.ask("GET", restrictions, Value::Null).await.0, 401);
    site.shop.set_role(REVIEWER, "admin").await.unwrap();
    let all = site.get(&format!("{restrictions}?matcherType=BRANCH&matcherId=refs%2Fheads%2Fmain")).await;
    assert_eq!(all["values"][0]["matcher"]["displayId"], "main");
    site.shop.set_role(REVIEWER, "none").await.unwrap();
    assert_eq!(site.ask("GET", &site.api, Value::Null).await.0, 401);
    assert_eq!(site.ask("GET", "/rest/api/latest/projects/acme/repos/none", Value::Null).await.0, 404);
}

#[tokio::test]
async fn users_and_repositories_are_listed_by_permission() {
    let site = Site::new(ForgeFlavour::DataCenter).await;
    site.shop.set_role("ann", "read").await.unwrap();
    let users = |permission: &str| {
        format!(
            "/rest/api/latest/users?filter=ann&permission.1={permission}&permission.1.projectKey=ACME&permission.1.repositorySlug=shop"
        )
    };
    assert_eq!(site.get(&users("REPO_WRITE")).await["size"], 0);
    assert_eq!(
        site.get(&users("REPO_READ")).await["values"][0]["id"].to_string(),
        site.forge.account_id("ann")
    );
    let repos = site.get("/rest/api/latest/repos?permission=REPO_WRITE&name=shop").await;
    let id = repos["values"][0]["id"].to_string();
    assert_eq!((repos["size"].as_u64(), id), (Some(1), site.shop.public_id().await.unwrap()));
    assert_eq!(site.get("/rest/api/latest/repos?permission=REPO_ADMIN").await["size"], 0);
    assert_eq!(site.get("default-branch").await["id"], "refs/heads/main");
}

#[tokio::test]
async fn pages_have_fifty_items_at_most() {
    let site = Site::new(ForgeFlavour::DataCenter).await;
    for n in 0..60 {
        site.shop.comment(1, "ann", &n.to_string()).await.unwrap();
    }
    let first = site.get(&format!("{}?limit=100", site.talk())).await;
    assert_eq!(
        (
            first["limit"].as_u64(),
            first["size"].as_u64(),
            first["isLastPage"].as_bool(),
            first["nextPageStart"].as_u64()
        ),
        (Some(50), Some(50), Some(false), Some(50))
    );
    assert_eq!(first["values"][0]["comment"]["text"], "59", "newest first");
    let last = site.get(&format!("{}?limit=100&start=50", site.talk())).await;
    assert_eq!(
        (last["size"].as_u64(), last["isLastPage"].as_bool(), &last["nextPageStart"]),
        (Some(11), Some(true), &Value::Null)
    );
    assert_eq!(last["values"][10]["action"], "OPENED");
}

#[tokio::test]
async fn each_write_of_a_comment_names_its_version() {
    let site = Site::new(ForgeFlavour::DataCenter).await;
    let comments = format!("{}/comments", site.pull());
    let made = site.done(201, "POST", &comments, site.words("One.")).await;
    let own = format!("{comments}/{}", made["id"]);
    assert_eq!(made["version"], 0);
    for body in [json!({"text": "Two."}), json!({"text": "Two.", "version": 7})] {
        let (status, stale) = site.ask("PUT", &own, body).await;
        assert_eq!((status, stale["errors"][0]["currentVersion"].as_u64()), (409, Some(0)), "{stale}");
    }
    let edited = site.done(200, "PUT", &own, json!({"text": "Two.", "version": 0})).await;
    assert_eq!((edited["version"].as_u64(), edited["text"].as_str()), (Some(1), Some("Two.")));
    let answer =
        site.done(201, "POST", &comments, json!({"text": "So.", "parent": {"id": made["id"]}})).await;
    assert_eq!(answer["parent"]["id"], made["id"]);
    let activities = site.get(&site.talk()).await;
    assert_eq!(activities["values"][0]["comment"]["comments"][0]["id"], answer["id"], "answers are inside");
    let resolved = site.done(200, "PUT", &own, json!({"threadResolved": true, "version": 1})).await;
    assert_eq!(
        (resolved["threadResolved"].as_bool(), resolved["threadResolver"]["name"].as_str()),
        (Some(true), Some(REVIEWER))
    );
    assert_eq!(site.ask("DELETE", &own, Value::Null).await.0, 409, "no version");
    assert_eq!(site.ask("DELETE", &format!("{own}?version=2"), Value::Null).await.0, 409, "it was answered");
    site.done(204, "DELETE", &format!("{comments}/{}?version=0", answer["id"]), Value::Null).await;
    site.done(204, "DELETE", &format!("{own}?version=2"), Value::Null).await;
    assert_eq!(site.ask("GET", &own, Value::Null).await.0, 404);
    let (status, refused) = site.ask("POST", &comments, site.words(&"x".repeat(32_768))).await;
    assert_eq!((status, refused["errors"][0]["context"].as_str()), (400, Some("text")));
    let others = site.shop.comment(1, "ann", "Hers.").await.unwrap();
    let (status, _) =
        site.ask("PUT", &format!("{comments}/{others}"), json!({"text": "x", "version": 0})).await;
    assert_eq!((status, site.forge.violations().len()), (401, 1));
}

fn anchor(line: u32, kind: &str) -> Value {
    let side = if kind == "REMOVED" { "FROM" } else { "TO" };
    json!({"path": "src/a.py", "line": line, "lineType": kind, "fileType": side})
}

#[tokio::test]
async fn anchors_say_the_kind_of_their_line() {
    let site = Site::new(ForgeFlavour::DataCenter).await;
    let comments = format!("{}/comments", site.pull());
    let post =
        async |anchor: Value| site.ask("POST", &comments, json!({"text": "Hm.", "anchor": anchor})).await;
    let (base, head) = (site.shop.tip("main").await.unwrap(), site.shop.tip("feature").await.unwrap());
    for good in
        [anchor(10, "ADDED"), anchor(10, "REMOVED"), anchor(12, "CONTEXT"), json!({"path": "src/a.py"})]
    {
        let mut sent = good.clone();
        for (field, value) in [("diffType", "EFFECTIVE"), ("fromHash", &*base), ("toHash", &*head)] {
            sent[field] = value.into();
        }
        let (status, made) = post(sent).await;
        assert_eq!(status, 201, "{made}");
        for field in ["line", "lineType", "fileType", "path"] {
            assert_eq!(made["anchor"][field], good[field], "{made}");
        }
        assert_eq!(
            (made["anchor"]["orphaned"].as_bool(), made["anchor"]["toHash"].as_str()),
            (Some(false), Some(&*head))
        );
    }
    for bad in [
        anchor(10, "CONTEXT"),
        anchor(12, "ADDED"),
        anchor(20, "CONTEXT"),
        json!({"path": {"name": "a.py"}, "line": 10, "lineType": "ADDED"}),
        json!({"path": "src/a.py", "line": 10, "lineType": "ADDED", "toHash": head}),
        json!({"path": "nowhere", "line": 10, "lineType": "ADDED"}),
    ] {
        assert_eq!(post(bad.clone()).await.0, 400, "{bad}");
    }
    site.shop.push("feature", CommitBuilder::new("Other").write("src/a.py", "all\nnew\n")).await.unwrap();
    let activities = site.get(&site.talk()).await;
    let orphaned = activities["values"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| one["commentAnchor"]["orphaned"] == true);
    assert_eq!(orphaned.count(), 2, "the removed line is still one, and a file has none");
}

#[tokio::test]
async fn comments_on_several_lines_need_a_version_that_knows_them() {
    let site = Site::new(ForgeFlavour::DataCenter).await;
    let comments = format!("{}/comments", site.pull());
    let mut several = anchor(12, "CONTEXT");
    several["multilineMarker"] = json!({"startLine": 8, "startLineType": "CONTEXT"});
    several["multilineSpan"] = json!({"dstSpanStart": 8, "dstSpanEnd": 12});
    for (version, starts) in [("9.3.0", Some(8)), ("9.2.1", None)] {
        site.forge.set_version(version);
        let made = site.done(201, "POST", &comments, json!({"text": "Hm.", "anchor": several})).await;
        assert_eq!(made["anchor"]["multilineMarker"]["startLine"].as_u64(), starts, "{version}");
        let place = site.shop.pull(1).await.unwrap().comments.pop().unwrap().place.unwrap();
        assert_eq!(
            (place.line, place.start),
            (Some((FakeDiffSide::Right, 12)), starts.map(|_| (FakeDiffSide::Right, 8)))
        );
    }
}

#[tokio::test]
async fn a_token_without_the_permission_gets_401_and_is_known_all_the_same() {
    let site = Site::new(ForgeFlavour::DataCenter).await;
    site.forge.register_limited_token(
        "limited",
        TokenKind::HttpAccessToken,
        "ann",
        "acme",
        &[("REPO_READ", "")],
    );
    let ask = async |method: &str, path: &str| {
        let url = format!("{}{}/{path}", site.forge.base_url(), site.api);
        let request = site.client.request(method.parse().unwrap(), url).bearer_auth("limited");
        let reviewer = json!({"user": {"name": "ann"}, "role": "REVIEWER"});
        let request = if method == "POST" { request.json(&reviewer) } else { request };
        let answer = request.send().await.unwrap();
        let name = answer.headers()["x-ausername"].to_str().unwrap().to_owned();
        (answer.status().as_u16(), name, answer.json::<Value>().await.unwrap())
    };
    assert_eq!(ask("GET", "pull-requests/1").await.0, 200);
    let (status, name, body) = ask("POST", "pull-requests/1/participants").await;
    assert_eq!((status, name.as_str()), (401, "ann"));
    assert_eq!(body["errors"][0]["exceptionName"], "com.atlassian.bitbucket.AuthorisationException");
}
