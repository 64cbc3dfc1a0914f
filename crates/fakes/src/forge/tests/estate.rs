//! Tests of renamed, blocked and deleted repositories, of permissions, and of 304 responses to callers with a
//! current ETag.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use serde_json::{Value, json};
use truing_core::id::UnixMillis;
use truing_core::port::Clock;

use super::*;
use crate::forge::RepositoryAccess;

#[tokio::test]
async fn a_renamed_repository_redirects_until_somebody_takes_its_name() {
    let stage = Stage::new().await;
    let id = stage.shop.id().await.unwrap();
    let store = stage.shop.rename("mega", "store").await.unwrap();
    let response = stage.send("GET", "/repos/Acme/shop/pulls/1", Value::Null).await.unwrap();
    let to = response.headers()["location"].to_str().unwrap().to_owned();
    assert_eq!(response.status(), 301);
    assert_eq!(to, format!("{}/repositories/{id}/pulls/1", stage.forge.base_url()));
    let (status, body) = stage.ask("GET", &format!("/repositories/{id}"), Value::Null).await;
    assert_eq!((status, body["full_name"].as_str()), (200, Some("mega/store")));
    assert_eq!(stage.get("/repos/mega/store/pulls/1").await["base"]["repo"]["id"], id);

    let other = stage.forge.create_repository("acme", "shop", CommitBuilder::new("New")).await.unwrap();
    assert_ne!(other.id().await.unwrap(), id);
    assert_eq!(stage.get(PULLS).await, json!([]), "the name is the new one's");
    store.delete().await.unwrap();
    assert_eq!(stage.ask("GET", &format!("/repositories/{id}"), Value::Null).await.0, 404);
}

#[tokio::test]
async fn a_repository_may_be_read_only_forbidden_or_blocked() {
    let stage = Stage::new().await;
    for (access, read, write) in [
        (RepositoryAccess::Archived, 200, 403),
        (RepositoryAccess::Forbidden, 403, 403),
        (RepositoryAccess::Blocked, 451, 451),
        (RepositoryAccess::Unrestricted, 200, 201),
    ] {
        stage.shop.set_access(access).await.unwrap();
        assert_eq!(stage.ask("GET", PULLS, Value::Null).await.0, read, "{access:?}");
        let comment = json!({"body": "Hm."});
        let path = "/repos/acme/shop/issues/1/comments";
        assert_eq!(stage.ask("POST", path, comment).await.0, write, "{access:?}");
    }
}

#[tokio::test]
async fn tokens_list_their_repositories() {
    let stage = Stage::new().await;
    let other = stage.forge.create_repository("acme", "other", CommitBuilder::new("First")).await.unwrap();
    let all = stage.get("/installation/repositories?per_page=1").await;
    assert_eq!((all["total_count"].as_u64(), all["repositories"].as_array().unwrap().len()), (Some(2), 1));
    other.set_listed(false).await.unwrap();
    let names: Vec<_> = stage
        .get("/user/repos")
        .await
        .as_array()
        .unwrap()
        .iter()
        .map(|repo| repo["full_name"].clone())
        .collect();
    assert_eq!(names, ["acme/shop"]);
    stage.forge.register_token(TOKEN, "person");
    assert_eq!(stage.ask("GET", "/installation/repositories", Value::Null).await.0, 403, "no app");
}

#[tokio::test]
async fn permissions_are_roles_told_in_older_words() {
    let stage = Stage::new().await;
    stage.shop.comment(1, "reader", "Hm.").await.unwrap();
    for (role, word) in
        [("maintain", "write"), ("write", "write"), ("triage", "read"), ("read", "read"), ("admin", "admin")]
    {
        stage.shop.set_role("ada", role).await.unwrap();
        let told = stage.get("/repos/acme/shop/collaborators/ada/permission").await;
        assert_eq!((told["permission"].as_str(), told["role_name"].as_str()), (Some(word), Some(role)));
        assert_eq!(told["user"]["login"], "ada");
    }
    assert_eq!(stage.get("/repos/acme/shop/collaborators/acme/permission").await["permission"], "admin");
    assert_eq!(stage.get("/repos/acme/shop/collaborators/reader/permission").await["permission"], "none");
    let (status, _) = stage.ask("GET", "/repos/acme/shop/collaborators/nobody/permission", Value::Null).await;
    assert_eq!(status, 404);
}

#[derive(Clone)]
struct SettableClock(Arc<AtomicI64>);

impl Clock for SettableClock {
    fn now(&self) -> UnixMillis {
        UnixMillis(self.0.load(Ordering::SeqCst) * 1000)
    }
}

/// Builds a stage like [`Stage::new`], with a clock that the test sets.
async fn stage_at(clock: &SettableClock) -> Stage {
    let forge =
        FakeForge::start(FakeForgeOptions { clock: Arc::new(clock.clone()), ..FakeForgeOptions::default() })
            .await
            .unwrap();
    forge.register_token(TOKEN, BOT);
    let shop =
        forge.create_repository("acme", "shop", CommitBuilder::new("First").write("a", "1\n")).await.unwrap();
    shop.push("feature", CommitBuilder::new("Change").write("a", "2\n")).await.unwrap();
    shop.open_pull(NewPull::from_branch("feature")).await.unwrap();
    Stage { forge, shop, client: reqwest::Client::builder().no_proxy().build().unwrap() }
}

#[tokio::test]
async fn comments_of_a_repository_are_listed_by_change_since_an_instant() {
    let clock = SettableClock(Arc::new(AtomicI64::new(1_000)));
    let stage = stage_at(&clock).await;
    let mut ids = Vec::new();
    for body in ["one", "two", "three"] {
        clock.0.fetch_add(10, Ordering::SeqCst);
        ids.push(stage.shop.comment(1, "reader", body).await.unwrap());
    }
    clock.0.fetch_add(10, Ordering::SeqCst);
    stage.shop.edit_comment(1, ids[0], "one, edited").await.unwrap();
    let list = async |query: &str| -> Vec<u64> {
        let list = stage.get(&format!("/repos/acme/shop/issues/comments{query}")).await;
        list.as_array().unwrap().iter().map(|comment| comment["id"].as_u64().unwrap()).collect()
    };
    assert_eq!(list("").await, ids);
    assert_eq!(list("?sort=updated&direction=asc").await, [ids[1], ids[2], ids[0]]);
    assert_eq!(list("?sort=updated&since=1970-01-01T00%3A17%3A10Z").await, [ids[0], ids[2]]);
    assert_eq!(list("?since=1970-01-01T00:17:10Z").await, [ids[0], ids[2]]);
    let edited = stage.get(&format!("/repos/acme/shop/issues/comments/{}", ids[0])).await;
    assert_eq!(edited["body"], "one, edited");
    assert!(edited["created_at"].as_str() < edited["updated_at"].as_str());
    let events: Vec<_> = stage
        .forge
        .take_deliveries()
        .iter()
        .map(|event| format!("{} {}", event.event, event.action))
        .collect();
    assert_eq!(
        events[1..],
        ["issue_comment created", "issue_comment created", "issue_comment created", "issue_comment edited"]
    );
}

#[tokio::test]
async fn what_has_not_changed_is_not_sent_again_and_costs_nothing() {
    let clock = SettableClock(Arc::new(AtomicI64::new(7_200)));
    let stage = stage_at(&clock).await;
    stage.forge.set_rate_limit(3);
    let ask = async |etag: Option<&str>| {
        let request = stage.client.get(format!("{}{PULLS}", stage.forge.base_url()));
        let request = request.header("user-agent", "truing").bearer_auth(TOKEN);
        let request = etag.iter().fold(request, |request, etag| request.header("if-none-match", *etag));
        let response = request.send().await.unwrap();
        let header =
            |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let (left, etag) = (header("x-ratelimit-remaining").unwrap(), header("etag"));
        (response.status().as_u16(), left, etag, response.text().await.unwrap().is_empty())
    };
    let (status, left, etag, empty) = ask(None).await;
    assert_eq!((status, left.as_str(), empty), (200, "2", false));
    for _ in 0..5 {
        let (status, left, again, empty) = ask(etag.as_deref()).await;
        assert_eq!((status, left.as_str(), empty), (304, "2", true));
        assert_eq!(again, etag);
    }
    stage.shop.retitle(1, "Another").await.unwrap();
    assert_eq!(ask(etag.as_deref()).await.0, 200, "it has changed");
    assert_eq!(ask(None).await.0, 200);
    let (status, left, ..) = ask(None).await;
    assert_eq!((status, left.as_str()), (403, "0"), "the limit is spent");
    clock.0.fetch_add(3_600, Ordering::SeqCst);
    assert_eq!(ask(None).await.0, 200, "until the next hour");
}
