//! Tests of Cloud's repositories, pull requests and comments.

use serde_json::{Value, json};

use super::*;
use crate::forge::{BotReview, BotStep, FakeBot, FakeReviewVerdict, MergeState, TokenKind};

const PULLS: &str = "pullrequests";

#[tokio::test]
async fn hashes_are_short_in_pull_requests_and_whole_by_commit() {
    let site = Site::new(ForgeFlavour::Cloud).await;
    let head = site.shop.tip("feature").await.unwrap();
    let pull = site.get(&site.pull()).await;
    let short = pull["source"]["commit"]["hash"].as_str().unwrap();
    assert!(short.len() == 12 && head.starts_with(short));
    assert_eq!(site.get(&format!("commit/{short}")).await["hash"], head);
    assert_eq!(site.get("commit/feature").await["hash"], head, "a branch");
    assert_eq!(site.ask("GET", "commit/123456789012", Value::Null).await.0, 404);
    assert_eq!(site.get(&format!("{}/commits", site.pull())).await["size"], 1);
    assert_eq!(
        (pull["mergeable"].as_bool(), pull["draft"].as_bool(), pull["reviewers"].clone()),
        (Some(true), Some(false), json!([]))
    );
    let list = site.get(PULLS).await;
    assert!(list["values"][0].get("reviewers").is_none(), "only the pull request itself has them");
}

#[tokio::test]
async fn a_repository_is_found_by_its_id_and_a_deleted_fork_is_null() {
    let site = Site::new(ForgeFlavour::Cloud).await;
    let id = site.shop.public_id().await.unwrap().replace('{', "%7B").replace('}', "%7D");
    for path in [format!("/2.0/repositories/%7B%7D/{id}"), site.api.clone()] {
        let repo = site.get(&path).await;
        assert_eq!(
            (repo["full_name"].as_str(), repo["mainbranch"]["name"].as_str()),
            (Some("acme/shop"), Some("main"))
        );
    }
    assert_eq!(site.get("/2.0/user").await["uuid"], site.forge.account_id(REVIEWER).as_str());
    let workspaces = site.get("/2.0/user/workspaces").await;
    assert_eq!(workspaces["values"][0]["workspace"]["slug"], "acme");
    assert_eq!(site.get("/2.0/repositories/acme?role=contributor").await["size"], 1);
    assert_eq!(site.get("/2.0/repositories/acme?role=admin").await["size"], 0);
    let own = "/2.0/user/workspaces/acme/permissions/repositories?q=repository.name%3D%22shop%22";
    assert_eq!(site.get(own).await["values"][0]["permission"], "write");
    site.shop.push("someone:fix", CommitBuilder::new("Fix").write("f", "1")).await.unwrap();
    let number = site.shop.open_pull(NewPull::from_branch("someone:fix")).await.unwrap();
    let path = format!("{PULLS}/{number}");
    assert_eq!(site.get(&path).await["source"]["repository"]["full_name"], "someone/shop");
    site.shop.delete_fork("someone").await.unwrap();
    assert_eq!(site.get(&path).await["source"]["repository"], Value::Null);
}

#[tokio::test]
async fn permissions_and_restrictions_are_for_administrators() {
    let site = Site::new(ForgeFlavour::Cloud).await;
    let id = site.forge.account_id("ann");
    let mut url = reqwest::Url::parse("http://x/2.0/workspaces/acme/permissions/repositories/shop").unwrap();
    url.query_pairs_mut().append_pair("q", &format!("user.uuid=\"{id}\""));
    let path = format!("{}?{}", url.path(), url.query().unwrap());
    for path in [path.as_str(), "branch-restrictions?pattern=main"] {
        assert_eq!(site.ask("GET", path, Value::Null).await.0, 403);
    }
    site.shop.set_role(REVIEWER, "admin").await.unwrap();
    assert_eq!(site.get(&path).await["values"], json!([]));
    site.shop.set_role("ann", "write").await.unwrap();
    assert_eq!(site.get(&path).await["values"][0]["permission"], "write");
    let main = site.get("branch-restrictions?pattern=main").await;
    let kinds: Vec<_> =
        main["values"].as_array().unwrap().iter().map(|rule| rule["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["force", "push"]);
    site.shop.set_role(REVIEWER, "none").await.unwrap();
    assert_eq!(site.ask("GET", &site.api, Value::Null).await.0, 404, "who may not see it");
}

#[tokio::test]
async fn lists_are_filtered_and_go_on_where_they_say() {
    let site = Site::new(ForgeFlavour::Cloud).await;
    for n in 0..7 {
        site.shop.comment(1, "ann", &n.to_string()).await.unwrap();
    }
    let mut next = Some(format!("{}?pagelen=3&sort=-id", site.talk()));
    let mut seen = Vec::new();
    while let Some(path) = next.take() {
        let page = site.get(&path).await;
        next = page["next"].as_str().map(str::to_owned);
        seen.extend(
            page["values"]
                .as_array()
                .unwrap()
                .iter()
                .map(|c| c["content"]["raw"].as_str().unwrap().to_owned()),
        );
    }
    assert_eq!(seen, ["6", "5", "4", "3", "2", "1", "0"]);
    assert_eq!(site.ask("GET", &format!("{PULLS}?pagelen=51"), Value::Null).await.0, 400);
    assert_eq!(site.ask("GET", &format!("{PULLS}?q=state%3D"), Value::Null).await.0, 400);
    site.shop.close_pull(1).await.unwrap();
    let branch = "source.branch.name%3D%22feature%22";
    for (path, count) in [
        (PULLS.to_owned(), 0),
        (format!("{PULLS}?q=state%3D%22OPEN%22%20AND%20(draft%3Dtrue%20OR%20draft%3Dfalse)"), 0),
        (format!("{PULLS}?state=OPEN&state=MERGED&state=DECLINED&state=SUPERSEDED&q={branch}"), 1),
        (format!("{PULLS}?state=MERGED&q={branch}"), 0),
    ] {
        assert_eq!(site.get(&path).await["size"], count, "{path}");
    }
}

#[tokio::test]
async fn comments_stand_where_they_are_put() {
    let site = Site::new(ForgeFlavour::Cloud).await;
    let post = async |inline: Value| {
        site.ask("POST", &site.talk(), json!({"content": {"raw": "Hm."}, "inline": inline})).await
    };
    for (inline, from, to, start) in [
        (json!({"path": "src/a.py", "to": 10}), None, Some(10), None),
        (json!({"path": "src/a.py", "from": 10}), Some(10), None, None),
        (json!({"path": "src/a.py", "start_to": 8, "to": 12}), None, Some(12), Some(8)),
        (json!({"path": "src/a.py"}), None, None, None),
    ] {
        let (status, made) = post(inline).await;
        let shown = &made["inline"];
        assert_eq!(status, 201, "{made}");
        let seen = (shown["from"].as_u64(), shown["to"].as_u64(), shown["start_to"].as_u64());
        assert_eq!((seen, shown["outdated"].as_bool()), ((from, to, start), Some(false)));
        assert_eq!(site.get(&format!("{}/{}", site.talk(), made["id"])).await, made);
    }
    for bad in [
        json!({"path": "src/a.py", "start_to": 12, "to": 8}),
        json!({"to": 1}),
        json!({"path": "src/a.py", "to": 0}),
    ] {
        assert_eq!(post(bad.clone()).await.0, 400, "{bad}");
    }
    let (status, outside) = post(json!({"path": "src/a.py", "to": 20})).await;
    assert_eq!((status, outside["inline"]["outdated"].as_bool()), (201, Some(true)), "taken all the same");
    assert_eq!(site.ask("POST", &site.talk(), site.words(" ")).await.0, 400);
    let long = site.send("POST", &site.talk(), site.words(&"x".repeat(32_768))).await.unwrap();
    assert_eq!(long.status().as_u16(), 400);
    assert!(long.text().await.unwrap().contains("<html>"));
    site.done(201, "POST", &site.talk(), site.words(&"é".repeat(32_767))).await;
    let line = site.shop.pull(1).await.unwrap().inline_comments().next().unwrap().line;
    assert_eq!(line, Some(10));
}

#[tokio::test]
async fn threads_are_answered_resolved_and_deleted() {
    let site = Site::new(ForgeFlavour::Cloud).await;
    let on_line = json!({"content": {"raw": "Hm."}, "inline": {"path": "src/a.py", "to": 10}});
    let first = site.done(201, "POST", &site.talk(), on_line).await["id"].as_u64().unwrap();
    let answer = async |parent: u64| {
        let body = json!({"content": {"raw": "So."}, "parent": {"id": parent}});
        site.done(201, "POST", &site.talk(), body).await
    };
    let second = answer(first).await;
    let third = answer(second["id"].as_u64().unwrap()).await;
    assert_eq!((&second["parent"]["id"], &third["parent"]["id"]), (&json!(first), &second["id"]), "nested");
    let general = site.shop.comment(1, "ann", "General.").await.unwrap();
    assert_eq!(answer(general).await["parent"]["id"], general);
    let own = format!("{}/{first}", site.talk());
    let resolve = format!("{own}/resolve");
    assert_eq!(site.ask("DELETE", &resolve, Value::Null).await.0, 404, "it is open");
    assert_eq!(site.done(200, "POST", &resolve, Value::Null).await["user"]["nickname"], REVIEWER);
    assert_eq!(site.ask("POST", &resolve, Value::Null).await.0, 409);
    assert_eq!(site.get(&own).await["resolution"]["user"]["nickname"], REVIEWER);
    for other in [general, second["id"].as_u64().unwrap()] {
        let path = format!("{}/{other}/resolve", site.talk());
        assert_eq!(site.ask("POST", &path, Value::Null).await.0, 403, "not the first, or not on the diff");
    }
    site.done(204, "DELETE", &resolve, Value::Null).await;
    assert!(site.get(&own).await.get("resolution").is_none());
    let told: Vec<_> = site.forge.take_deliveries().into_iter().map(|delivery| delivery.action).collect();
    assert_eq!(told, ["comment_created", "comment_resolved", "comment_reopened"]);

    let edited = site.done(200, "PUT", &own, site.words("Better.")).await;
    assert_eq!(edited["content"]["raw"], "Better.");
    site.done(204, "DELETE", &own, Value::Null).await;
    let list = site.get(&format!("{}?pagelen=100", site.talk())).await;
    let gone = list["values"].as_array().unwrap().iter().find(|comment| comment["id"] == first).unwrap();
    assert_eq!(
        (gone["deleted"].as_bool(), gone["content"]["raw"].as_str()),
        (Some(true), Some("")),
        "it was answered"
    );
    let last = format!("{}/{}", site.talk(), third["id"]);
    site.done(204, "DELETE", &last, Value::Null).await;
    assert_eq!(site.ask("GET", &last, Value::Null).await.0, 404);
    let others = format!("{}/{general}", site.talk());
    assert_eq!(site.ask("PUT", &others, site.words("x")).await.0, 403);
    assert_eq!(site.forge.violations().len(), 1);
}

#[tokio::test]
async fn a_change_of_a_pull_request_says_all_of_it() {
    let site = Site::new(ForgeFlavour::Cloud).await;
    site.shop.set_role("ann", "write").await.unwrap();
    site.shop.push("ours", CommitBuilder::new("Ours").write("o", "1")).await.unwrap();
    let ann = site.forge.account_id("ann");
    let new = json!({
        "title": "Ours", "description": "Why.", "source": {"branch": {"name": "ours"}}, "draft": true,
        "destination": {"branch": {"name": "main"}}, "reviewers": [{"uuid": ann}], "close_source_branch": false,
    });
    let made = site.done(201, "POST", PULLS, new.clone()).await;
    let own = format!("{PULLS}/{}", made["id"]);
    assert_eq!((made["draft"].as_bool(), made["reviewers"][0]["uuid"].as_str()), (Some(true), Some(&*ann)));
    assert_eq!(site.ask("POST", PULLS, new).await.0, 400, "there is one from this branch");
    let same = json!({"title": "x", "source": {"branch": {"name": "main"}}});
    assert_eq!(site.ask("POST", PULLS, same).await.0, 400, "no changes");
    let (status, refused) = site.ask("PUT", &own, json!({"draft": false})).await;
    assert_eq!((status, refused["error"]["fields"]["title"].is_array()), (400, true), "{refused}");
    let me = site.forge.account_id(REVIEWER);
    let by_author = json!({"title": "Ours", "reviewers": [{"uuid": me}]});
    let (status, refused) = site.ask("PUT", &own, by_author).await;
    assert!(status == 400 && refused.to_string().contains("is the author"), "{refused}");
    let stranger = site.forge.account_id("stranger");
    assert_eq!(
        site.ask("PUT", &own, json!({"title": "Ours", "reviewers": [{"uuid": stranger}]})).await.0,
        400
    );
    let left_out =
        site.done(200, "PUT", &own, json!({"title": "Better", "description": "Why.", "draft": false})).await;
    assert_eq!((left_out["reviewers"].clone(), left_out["draft"].as_bool()), (json!([]), Some(false)));
    assert_eq!(site.done(200, "POST", &format!("{own}/decline"), Value::Null).await["state"], "DECLINED");
    assert_eq!(site.ask("POST", &format!("{own}/decline"), Value::Null).await.0, 400, "once");
    let told: Vec<_> = site.forge.take_deliveries().into_iter().map(|delivery| delivery.action).collect();
    assert_eq!(told, ["created", "updated", "updated", "updated", "updated", "rejected"]);
    assert_eq!(site.forge.violations(), [""; 0]);
    let (status, _) = site.ask("POST", &format!("{}/decline", site.pull()), Value::Null).await;
    assert_eq!((status, site.forge.violations().len()), (403, 1), "somebody else's");
}

#[tokio::test]
async fn a_list_of_reviewers_with_one_who_has_left_is_refused() {
    let site = Site::new(ForgeFlavour::Cloud).await;
    let [ann, bob] = ["ann", "bob"].map(|login| site.forge.account_id(login));
    for login in ["ann", "bob"] {
        site.shop.set_role(login, "write").await.unwrap();
    }
    let change = |all: &[&String]| {
        let all: Vec<_> = all.iter().map(|id| json!({"uuid": id})).collect();
        json!({"title": "Change feature", "description": "What it does.", "reviewers": all})
    };
    site.done(200, "PUT", &site.pull(), change(&[&ann, &bob])).await;
    let escaped = bob.replace('{', "%7B").replace('}', "%7D");
    let (user, member) = (format!("/2.0/users/{escaped}"), format!("/2.0/workspaces/acme/members/{escaped}"));
    assert_eq!(site.get(&user).await["account_status"], "active");
    assert_eq!(site.get(&member).await["user"]["uuid"], bob.as_str());
    site.shop.set_role("bob", "none").await.unwrap();
    let (status, refused) = site.ask("PUT", &site.pull(), change(&[&ann, &bob])).await;
    let words = refused["error"]["fields"]["reviewers"][0].as_str().unwrap();
    assert!(status == 400 && words.starts_with("bob is not a member of this workspace"), "{refused}");
    assert_eq!(site.ask("GET", &member, Value::Null).await.0, 404);
    site.shop.set_role("bob", "write").await.unwrap();
    site.forge.close_account("bob");
    let (status, refused) = site.ask("PUT", &site.pull(), change(&[&ann, &bob])).await;
    assert!(status == 400 && refused.to_string().contains("Malformed reviewers list"), "{refused}");
    assert_eq!(site.get(&user).await["account_status"], "inactive");
    let left = site.done(200, "PUT", &site.pull(), change(&[&ann])).await;
    assert_eq!(left["reviewers"][0]["uuid"], ann.as_str());
}

#[tokio::test]
async fn verdicts_are_of_participants_and_reviewers_may_be_bots() {
    let site = Site::new(ForgeFlavour::Cloud).await;
    site.shop.review(1, "ann", FakeReviewVerdict::ChangesRequested, "Not so.").await.unwrap();
    let path = format!("{}/request-changes", site.pull());
    assert_eq!(site.done(200, "POST", &path, Value::Null).await["state"], "changes_requested");
    let pull = site.get(&site.pull()).await;
    let states: Vec<_> =
        pull["participants"].as_array().unwrap().iter().map(|one| one["state"].as_str()).collect();
    assert_eq!(states, [Some("changes_requested"); 2]);
    assert_eq!(site.ask("DELETE", &path, Value::Null).await.0, 204);
    let pull = site.get(&site.pull()).await;
    let states: Vec<_> =
        pull["participants"].as_array().unwrap().iter().map(|one| one["state"].as_str()).collect();
    assert_eq!(states, [Some("changes_requested")], "one's own alone");
    assert_eq!(site.texts().await, ["Not so."], "the text of a review is a comment");
    let review =
        BotReview { verdict: FakeReviewVerdict::Commented, body: "Seen.".into(), comments: Vec::new() };
    let steps = [BotStep { review: Some(review), ..BotStep::default() }].into();
    site.shop.add_bot(FakeBot { login: "bug[bot]".into(), steps, ..FakeBot::default() }).await.unwrap();
    let bot = site.forge.account_id("bug[bot]");
    let asked =
        json!({"title": "Change feature", "description": "What it does.", "reviewers": [{"uuid": bot}]});
    assert_eq!(site.done(200, "PUT", &site.pull(), asked).await["reviewers"][0]["type"], "app_user");
    assert_eq!(site.texts().await, ["Not so.", "Seen."]);
}

#[tokio::test]
async fn conflicts_are_elsewhere() {
    let site = Site::new(ForgeFlavour::Cloud).await;
    let look = async || {
        let answer = site.send("GET", &format!("{}/conflicts", site.pull()), Value::Null).await.unwrap();
        assert_eq!(answer.status().as_u16(), 302);
        let to = answer.headers()["location"].to_str().unwrap().to_owned();
        let mergeable = site.get(&site.pull()).await["mergeable"].as_bool().unwrap();
        (site.get(&to).await["size"].as_u64().unwrap(), mergeable)
    };
    assert_eq!(look().await, (0, true));
    site.shop.push("main", CommitBuilder::new("Other").write("src/a.py", "other\n")).await.unwrap();
    assert_eq!(look().await, (1, false));
    site.shop.set_merge_states(1, &[MergeState::Clean]).await.unwrap();
    assert_eq!(look().await, (0, true));
}

#[tokio::test]
async fn a_scope_that_is_missing_is_named_beside_those_that_are_there() {
    let site = Site::new(ForgeFlavour::Cloud).await;
    let held = [("read:repository:bitbucket", "")];
    site.forge.register_limited_token("limited", TokenKind::ApiToken, "ann", "acme", &held);
    let ask = async |path: &str| {
        let request = site.client.get(format!("{}{path}", site.forge.base_url()));
        let answer = request.basic_auth("ann@example.com", Some("limited")).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    assert_eq!(ask("/2.0/repositories/acme/shop").await.0, 200);
    let (status, body) = ask("/2.0/repositories/acme/shop/pullrequests/1").await;
    let detail =
        json!({"required": ["read:pullrequest:bitbucket"], "granted": ["read:repository:bitbucket"]});
    assert_eq!((status, &body["error"]["detail"]), (403, &detail));
}
