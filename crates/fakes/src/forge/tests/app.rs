//! Tests of the logins and tokens of Apps: the accepted logins and tokens, and the calls that a token may
//! make.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::RSA_PKCS1_SHA256;
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use truing_core::id::UnixMillis;
use truing_core::port::Clock;

use super::*;
use crate::forge::{FakeApp, TokenKind};

#[derive(Clone)]
struct SettableClock(Arc<AtomicI64>);

impl Clock for SettableClock {
    fn now(&self) -> UnixMillis {
        UnixMillis(self.0.load(Ordering::SeqCst) * 1000)
    }
}

const NOW: i64 = 1_795_161_600;

/// Returns a login with these claims, signed with the App's key.
pub(super) fn login(app: &FakeApp, algorithm: &str, claims: &Value) -> String {
    let text: String = app.private_key.lines().filter(|line| !line.starts_with('-')).collect();
    let key = KeyPair::from_der(&BASE64_STANDARD.decode(text).unwrap()).unwrap();
    let part = |value: Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(json!({"alg": algorithm})), part(claims.clone()));
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature).unwrap();
    format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
}

fn valid(app: &FakeApp) -> String {
    login(app, "RS256", &json!({"iss": app.id.to_string(), "iat": NOW - 60, "exp": NOW + 540}))
}

pub(super) async fn ask(
    forge: &FakeForge,
    token: &str,
    method: &str,
    path: &str,
    body: Value,
) -> (u16, Value) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = client
        .request(method.parse().unwrap(), format!("{}{path}", forge.base_url()))
        .header("user-agent", "truing")
        .bearer_auth(token)
        .body(if body.is_null() { String::new() } else { body.to_string() });
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    (status, serde_json::from_slice(&response.bytes().await.unwrap()).unwrap_or_default())
}

#[tokio::test]
async fn only_a_login_that_the_app_signed_and_that_is_valid_now_is_the_apps() {
    let clock = SettableClock(Arc::new(AtomicI64::new(NOW)));
    let options = FakeForgeOptions { clock: Arc::new(clock.clone()), ..FakeForgeOptions::default() };
    let forge = FakeForge::start(options).await.unwrap();
    let (app, other) = (forge.register_app("truing").unwrap(), forge.register_app("other").unwrap());
    let claims = |from: i64, to: i64| json!({"iss": app.id, "iat": NOW + from, "exp": NOW + to});
    let good = valid(&app);
    for (what, token, status) in [
        ("valid", good.clone(), 200),
        ("ten minutes", login(&app, "RS256", &claims(0, 600)), 200),
        ("longer", login(&app, "RS256", &claims(0, 601)), 401),
        ("over", login(&app, "RS256", &claims(-600, 0)), 401),
        ("not yet", login(&app, "RS256", &claims(5, 100)), 401),
        ("another algorithm", login(&app, "none", &claims(0, 100)), 401),
        ("another key", login(&other, "RS256", &claims(0, 100)), 401),
        ("cut", good.rsplit_once('.').unwrap().0.to_owned(), 401),
        ("no claims", login(&app, "RS256", &json!({"iss": app.id})), 401),
    ] {
        assert_eq!(ask(&forge, &token, "GET", "/app", Value::Null).await.0, status, "{what}");
    }
    assert_eq!(ask(&forge, &good, "GET", "/app", Value::Null).await.1["slug"], "truing");
    assert_eq!(ask(&forge, &good, "GET", "/user", Value::Null).await.0, 401, "it is no user");
    clock.0.fetch_add(541, Ordering::SeqCst);
    assert_eq!(ask(&forge, &good, "GET", "/app", Value::Null).await.0, 401);
}

#[tokio::test]
async fn a_token_is_for_its_repositories_its_permissions_and_an_hour() {
    let clock = SettableClock(Arc::new(AtomicI64::new(NOW)));
    let options = FakeForgeOptions { clock: Arc::new(clock.clone()), ..FakeForgeOptions::default() };
    let forge = FakeForge::start(options).await.unwrap();
    let app = forge.register_app("truing").unwrap();
    let mut repos = Vec::new();
    for (owner, name) in [("acme", "shop"), ("acme", "other"), ("mega", "store")] {
        let repo = forge.create_repository(owner, name, CommitBuilder::new("First")).await.unwrap();
        repo.push("feature", CommitBuilder::new("Change").write("a", "b")).await.unwrap();
        repo.open_pull(NewPull::from_branch("feature")).await.unwrap();
        repos.push(repo);
    }
    let shop = repos[0].id().await.unwrap();
    let installation = forge.install(&app, "acme");
    let login = valid(&app);
    let (status, found) = ask(&forge, &login, "GET", "/repos/acme/shop/installation", Value::Null).await;
    assert_eq!((status, found["id"].as_u64()), (200, Some(installation)));
    assert_eq!(ask(&forge, &login, "GET", "/repos/mega/store/installation", Value::Null).await.0, 404);
    let by_id = format!("/repositories/{shop}/installation");
    assert_eq!(ask(&forge, &login, "GET", &by_id, Value::Null).await.1["id"], installation);

    let mint = async |body: Value| {
        ask(&forge, &login, "POST", &format!("/app/installations/{installation}/access_tokens"), body).await
    };
    let (status, minted) =
        mint(json!({"repository_ids": [shop], "permissions": {"pull_requests": "read", "metadata": "read"}}))
            .await;
    assert_eq!((status, &minted["expires_at"]), (201, &json!("2026-11-20T09:00:00Z")));
    let token = minted["token"].as_str().unwrap();
    let comment = json!({"body": "Hm."});
    for (method, path, body, status) in [
        ("GET", "/repos/acme/shop/pulls/1", Value::Null, 200),
        ("GET", "/repos/acme/shop", Value::Null, 200),
        ("POST", "/repos/acme/shop/issues/1/comments", comment, 403),
        ("GET", "/repos/acme/shop/commits/x/statuses", Value::Null, 403),
        ("GET", "/repos/acme/other/pulls/1", Value::Null, 404),
        ("GET", "/repos/mega/store/pulls/1", Value::Null, 404),
        ("GET", "/user", Value::Null, 403),
        ("GET", "/app", Value::Null, 401),
    ] {
        assert_eq!(ask(&forge, token, method, path, body).await.0, status, "{method} {path}");
    }
    let listed = ask(&forge, token, "GET", "/installation/repositories", Value::Null).await.1;
    assert_eq!(listed["total_count"], 1);
    for body in [
        json!({"repositories": ["store"]}),
        json!({"repository_ids": [shop], "permissions": {"administration": "write"}}),
        json!({"permissions": {"contents": "write"}}),
    ] {
        assert_eq!(mint(body.clone()).await.0, 422, "{body}");
    }
    let all = mint(json!({"repositories": ["SHOP", "other"]})).await.1;
    assert_eq!(all["repositories"].as_array().unwrap().len(), 2);
    assert_ne!(all["token"].as_str().unwrap().len(), token.len(), "no length can be relied on");

    clock.0.fetch_add(3600, Ordering::SeqCst);
    assert_eq!(ask(&forge, token, "GET", "/repos/acme/shop", Value::Null).await.0, 401);
    clock.0.fetch_sub(3600, Ordering::SeqCst);
    forge.suspend(installation);
    assert_eq!(mint(Value::Null).await.0, 403);
    assert_eq!(ask(&forge, token, "GET", "/repos/acme/shop", Value::Null).await.0, 401);
}

#[tokio::test]
async fn whoever_may_not_is_refused_in_githubs_words_for_his_kind_of_token() {
    let forge = FakeForge::start(FakeForgeOptions::default()).await.unwrap();
    let repo = forge.create_repository("acme", "shop", CommitBuilder::new("First")).await.unwrap();
    repo.push("feature", CommitBuilder::new("Change").write("a", "b")).await.unwrap();
    repo.open_pull(NewPull::from_branch("feature")).await.unwrap();
    let held = [("contents", "read"), ("metadata", "read"), ("pull_requests", "write")];
    let query =
        json!({"query": "mutation { resolveReviewThread(input: {threadId: \"T\"}) { thread { id } } }"});
    for (kind, words) in [
        (TokenKind::Installation, "Resource not accessible by integration"),
        (TokenKind::Actions, "Resource not accessible by integration"),
        (TokenKind::FineGrained, "Resource not accessible by personal access token"),
    ] {
        forge.register_limited_token("limited", kind, "ada", "acme", &held);
        let (status, refused) = ask(&forge, "limited", "POST", "/graphql", query.clone()).await;
        assert_eq!((status, &refused["errors"][0]["type"]), (200, &json!("FORBIDDEN")), "{refused}");
        assert_eq!(refused["errors"][0]["message"], words);
        let status_of = json!({"state": "success"});
        let path = format!("/repos/acme/shop/statuses/{}", "a".repeat(40));
        let (status, refused) = ask(&forge, "limited", "POST", &path, status_of).await;
        assert_eq!((status, &refused["message"]), (403, &json!(words)));
        let (status, _) =
            ask(&forge, "limited", "GET", "/repos/acme/shop/issues/1/comments", Value::Null).await;
        assert_eq!(status, 200, "pull_requests is enough for a pull request's conversation");
        forge.register_limited_token("limited", kind, "ada", "mega", &held);
        assert_eq!(
            ask(&forge, "limited", "GET", "/repos/acme/shop", Value::Null).await.0,
            404,
            "it is not seen"
        );
    }
}
