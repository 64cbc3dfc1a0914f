//! Tests of the token that each call uses, and of the replacement of tokens.

use std::sync::{Arc, OnceLock};

use reqwest::header::AUTHORIZATION;
use serde_json::json;
use truing_core::id::Sha;
use truing_core::port::{ForgeRead as _, OpenPull};
use truing_core::publish::CommentProducer;

use super::*;
use crate::forge_server::ForgeServer as _;
use crate::github::tests::options;
use crate::github::{GitHub, GitHubOptions};
use crate::listing::{CachedListing, RepositoryListing};
use crate::remote::RemotePurpose;
use crate::testing::{
    CANARY, ManualClock, Request, ScriptedHttpReply, Server, open_gate_permit, test_timeouts,
};

const APP: u64 = 77;
/// Start of the tests: 2026-11-20T08:00:00Z.
const NOW: UnixMillis = UnixMillis(1_795_161_600_000);
const HEAD: &str = "1111111111111111111111111111111111111111";

/// Returns a key that is created only once, because creating a key takes a while.
fn key() -> AppKey {
    static KEY: OnceLock<AppKey> = OnceLock::new();
    KEY.get_or_init(AppKey::generate).clone()
}

fn app_at(server: &Server, clock: &ManualClock) -> GitHub {
    let credentials = GitHubCredentials::App { id: APP, key: key() };
    let url = server.url("");
    let options = GitHubOptions { credentials, ..options(url.as_str(), url.as_str()) };
    GitHub::with_timeouts(options, test_timeouts(), Arc::new(clock.clone())).unwrap()
}

fn ok(body: &Value) -> ScriptedHttpReply {
    ScriptedHttpReply::new(200, body.to_string())
}

fn installed(id: u64) -> ScriptedHttpReply {
    ok(&json!({ "id": id, "account": null }))
}

/// Returns the response with a token that is valid for one hour from the start of the tests.
fn minted(token: &str, repository: u64) -> ScriptedHttpReply {
    let body = json!({
        "token": token, "expires_at": "2026-11-20T09:00:00Z", "repositories": [{ "id": repository }],
    });
    ScriptedHttpReply::new(201, body.to_string())
}

fn pull_body(repository: u64) -> ScriptedHttpReply {
    ok(&json!({
        "state": "open", "draft": false, "html_url": "https://x/octo/demo/pull/7",
        "head": { "sha": HEAD, "ref": "mend", "repo": null },
        "base": { "sha": HEAD, "ref": "main", "repo": { "id": repository } },
    }))
}

fn pr() -> PrId {
    PrId { forge: "github".into(), repository: "5".into(), number: 7 }
}

fn line(request: &Request) -> &str {
    &request.line
}

fn bearer(request: &Request) -> String {
    let value = request.headers.get(AUTHORIZATION).unwrap().to_str().unwrap();
    value.strip_prefix("Bearer ").unwrap().to_owned()
}

#[tokio::test]
async fn an_app_gets_a_token_for_the_one_repository_and_what_reviews_need() {
    let server = Server::new([installed(9), minted("ghs_one", 5), pull_body(5), pull_body(5)]).await;
    let github = app_at(&server, &ManualClock::new(NOW));
    assert_eq!(github.app_id(), Some(APP));
    let pull = github.client(&pr(), "octo/demo", CommentProducer::Review).with_permit(&open_gate_permit());
    pull.pull_request().await.unwrap();
    pull.pull_request().await.unwrap();
    let remote = github.resolve_remote(&pr().repository, "octo/demo", RemotePurpose::Fetch).await.unwrap();
    assert!(!format!("{remote:?} {github:?}").contains("ghs_one"));

    let requests = server.requests();
    let expected = [
        "GET /repos/octo/demo/installation",
        "POST /app/installations/9/access_tokens",
        "GET /repos/octo/demo/pulls/7",
        "GET /repos/octo/demo/pulls/7",
    ];
    assert_eq!(requests.iter().map(line).collect::<Vec<_>>(), expected, "one token, for git too");
    let wanted = json!({
        "repository_ids": [5],
        "permissions": {
            "checks": "write", "contents": "read", "issues": "write", "metadata": "read",
            "pull_requests": "write", "statuses": "write",
        },
    });
    assert_eq!(requests[1].json(), wanted);
    assert_eq!(bearer(&requests[0]).split('.').count(), 3, "a signed login");
    assert_eq!(bearer(&requests[2]), "ghs_one");
}

#[tokio::test]
async fn a_token_is_replaced_before_it_ends_and_when_it_is_refused() {
    let clock = ManualClock::new(NOW);
    let fresh = |token: &str| {
        let body = json!({ "token": token, "expires_at": "2026-11-20T10:00:00Z" });
        ScriptedHttpReply::new(201, body.to_string())
    };
    let server = Server::new([
        installed(9),
        minted("ghs_one", 5),
        pull_body(5),
        installed(9),
        fresh("ghs_two"),
        pull_body(5),
        // The token expires during the run and is replaced once.
        ScriptedHttpReply::new(401, ""),
        installed(9),
        fresh("ghs_three"),
        pull_body(5),
        ScriptedHttpReply::new(401, ""),
        installed(9),
        fresh("ghs_four"),
        ScriptedHttpReply::new(401, ""),
    ])
    .await;
    let pull = app_at(&server, &clock)
        .client(&pr(), "octo/demo", CommentProducer::Review)
        .with_permit(&open_gate_permit());
    pull.pull_request().await.unwrap();
    clock.pass(TimeSpan::minutes(50));
    pull.pull_request().await.unwrap();
    pull.pull_request().await.unwrap();
    let error = pull.pull_request().await.unwrap_err();
    assert!(matches!(error, ForgeError::Unauthorized { .. }), "{error}");
    let requests = server.requests();
    let used = [2, 5, 6, 9, 10, 13].map(|at| bearer(&requests[at]));
    assert_eq!(used, ["ghs_one", "ghs_two", "ghs_two", "ghs_three", "ghs_three", "ghs_four"]);
    assert_eq!(requests.len(), 14);
}

#[tokio::test]
async fn how_long_a_token_lasts_is_counted_by_the_forges_clock() {
    // The forge's clock is two hours behind the client's clock.
    let clock = ManualClock::new(NOW + TimeSpan::minutes(120));
    let token = minted("ghs_one", 5).header("date", "Fri, 20 Nov 2026 08:00:00 GMT");
    let server = Server::new([installed(9), token, pull_body(5), pull_body(5)]).await;
    let pull = app_at(&server, &clock)
        .client(&pr(), "octo/demo", CommentProducer::Review)
        .with_permit(&open_gate_permit());
    pull.pull_request().await.unwrap();
    clock.pass(TimeSpan::minutes(49));
    pull.pull_request().await.unwrap();
}

#[tokio::test]
async fn workers_wait_for_one_token_instead_of_each_asking_for_its_own() {
    let server = Server::new([installed(9), minted("ghs_one", 5), pull_body(5).repeat_always()]).await;
    let github = app_at(&server, &ManualClock::new(NOW));
    let pull = github.client(&pr(), "octo/demo", CommentProducer::Review).with_permit(&open_gate_permit());
    let (a, b, c) = tokio::join!(pull.pull_request(), pull.pull_request(), pull.pull_request());
    assert!(a.is_ok() && b.is_ok() && c.is_ok());
    assert_eq!(server.requests().len(), 5);
}

#[tokio::test]
async fn a_name_and_an_id_of_one_repository_share_its_token() {
    let server = Server::new([
        installed(9),
        minted("ghs_one", 5),
        ok(&json!([])),
        pull_body(5),
        ok(&json!([])),
        // The repository's name is not found, so the next call looks up the repository's installation again.
        ScriptedHttpReply::new(404, ""),
        installed(9),
        minted("ghs_two", 6),
        ok(&json!([])),
    ])
    .await;
    let github = app_at(&server, &ManualClock::new(NOW));
    let pulls = async || {
        let mut list = CachedListing::<OpenPull>::default();
        github.refresh_open_pulls("Octo/demo", &mut list, &mut 9).await
    };
    pulls().await.unwrap();
    github
        .client(&pr(), "octo/demo", CommentProducer::Review)
        .with_permit(&open_gate_permit())
        .pull_request()
        .await
        .unwrap();
    pulls().await.unwrap();
    assert!(pulls().await.is_err());
    pulls().await.unwrap();
    let requests = server.requests();
    assert_eq!(requests[1].json()["repositories"], json!(["demo"]));
    assert_eq!(bearer(&requests[8]), "ghs_two");
}

#[tokio::test]
async fn a_repository_is_found_by_its_id_alone() {
    let found = ok(&json!({ "id": 5, "full_name": "octo/new" }));
    let server = Server::new([installed(9), minted("ghs_one", 5), found]).await;
    let seen = app_at(&server, &ManualClock::new(NOW)).repository_by_id("5").await.unwrap();
    assert_eq!(seen.name, "octo/new");
    let requests = server.requests();
    let expected = [
        "GET /repositories/5/installation",
        "POST /app/installations/9/access_tokens",
        "GET /repositories/5",
    ];
    assert_eq!(requests.iter().map(line).collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn an_apps_repositories_are_those_of_its_installations() {
    let page = |id: u64, name: &str| {
        ok(&json!({ "total_count": 1, "repositories": [{ "id": id, "full_name": name }] }))
    };
    let all = json!([
        { "id": 9, "suspended_at": null },
        { "id": 10, "suspended_at": "2026-11-01T00:00:00Z" },
        { "id": 11 },
    ]);
    let server = Server::new([
        ok(&all),
        minted("ghs_nine", 1),
        page(5, "octo/demo"),
        minted("ghs_eleven", 2),
        page(6, "hexa/demo"),
        ok(&json!([{ "id": 11 }])),
        page(6, "hexa/demo"),
        // Installation 7 was just suspended. The list still contains this installation, but the forge issues
        // no token for it.
        ok(&json!([{ "id": 7 }, { "id": 11 }])),
        ScriptedHttpReply::new(403, r#"{"message":"This installation has been suspended"}"#),
        page(8, "hexa/new"),
    ])
    .await;
    let github = app_at(&server, &ManualClock::new(NOW));
    let mut list = RepositoryListing::default();
    github.refresh_repositories(&mut list, &mut 9).await.unwrap();
    assert_eq!(list.items().map(|seen| seen.name.as_str()).collect::<Vec<_>>(), ["octo/demo", "hexa/demo"]);
    let requests = server.requests();
    assert_eq!(requests[1].json(), json!({ "permissions": { "metadata": "read" } }), "for its list alone");
    assert_eq!(requests[2].line, "GET /installation/repositories?per_page=100");
    assert_eq!(bearer(&requests[2]), "ghs_nine");
    // In the second list, one installation is missing because it was removed.
    github.refresh_repositories(&mut list, &mut 9).await.unwrap();
    assert_eq!(list.items().map(|seen| seen.name.as_str()).collect::<Vec<_>>(), ["hexa/demo"]);
    // If one installation rejects the request, the repositories of the other installations are still listed.
    let error = github.refresh_repositories(&mut list, &mut 9).await.unwrap_err();
    assert!(error.to_string().starts_with("installation 7: getting a token"), "{error}");
    assert_eq!(list.items().map(|seen| seen.name.as_str()).collect::<Vec<_>>(), ["hexa/new"]);
}

#[tokio::test]
async fn an_app_writes_as_its_bot_and_knows_its_former_accounts() {
    let server = Server::new([
        ok(&json!({ "slug": "truing-acme" })),
        installed(9),
        minted("ghs_one", 5),
        ok(&json!({ "id": 42, "login": "truing-acme[bot]" })),
    ])
    .await;
    let url = server.url("");
    let options = GitHubOptions {
        credentials: GitHubCredentials::App { id: APP, key: key() },
        previous_accounts: vec!["Ada".into(), "17".into()],
        ..options(url.as_str(), url.as_str())
    };
    let github = GitHub::with_timeouts(options, test_timeouts(), Arc::new(ManualClock::new(NOW))).unwrap();
    let accounts = github.accounts(TokenScope::RepositoryName("octo/demo")).await.unwrap();
    let whose = |id: u64, login: &str| {
        accounts.account_kind(&wire::GitHubUser { id, login: Some(login.into()), kind: String::new() })
    };
    assert_eq!(whose(42, "renamed"), Some(GitHubAccountKind::Current));
    assert_eq!(whose(1, "ada"), Some(GitHubAccountKind::Former));
    assert_eq!(whose(17, "anybody"), Some(GitHubAccountKind::Former));
    assert_eq!(whose(2, "17"), None, "digits are an id, not a name");
    assert_eq!(accounts.account_kind(&wire::GitHubUser { id: 3, login: None, kind: String::new() }), None);
    github.accounts(TokenScope::RepositoryName("octo/demo")).await.unwrap();
    let requests = server.requests();
    let expected = [
        "GET /app",
        "GET /repos/octo/demo/installation",
        "POST /app/installations/9/access_tokens",
        "GET /users/truing-acme[bot]",
    ];
    assert_eq!(requests.iter().map(line).collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn what_an_app_may_not_is_told_with_what_it_needs() {
    let not_granted = r#"{"message":"The permissions requested are not granted to this installation."}"#;
    let cases: [(Vec<ScriptedHttpReply>, &str); 7] = [
        (vec![ScriptedHttpReply::new(401, "")], "do app_id and private_key belong to the same App"),
        (vec![ScriptedHttpReply::new(404, "")], "(is the App installed for this repository?): not found"),
        (
            vec![ScriptedHttpReply::new(301, "").header("location", "/repositories/5/installation")],
            "has another address now",
        ),
        (
            vec![installed(9), ScriptedHttpReply::new(422, not_granted)],
            "the App needs checks: write, contents: read",
        ),
        (
            vec![
                installed(9),
                ScriptedHttpReply::new(403, r#"{"message":"This installation has been suspended"}"#),
            ],
            "(403): This installation has been suspended",
        ),
        (
            vec![installed(9), ScriptedHttpReply::new(201, format!(r#"{{"token":"{CANARY}"}}"#))],
            "not as expected",
        ),
        (vec![installed(9), ScriptedHttpReply::new(201, format!(r#""{CANARY}""#))], "not as expected"),
    ];
    for (replies, expected) in cases {
        let server = Server::new(replies).await;
        let github = app_at(&server, &ManualClock::new(NOW));
        let error = github
            .client(&pr(), "octo/demo", CommentProducer::Review)
            .with_permit(&open_gate_permit())
            .pull_request()
            .await
            .unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert!(error.to_string().starts_with("octo/demo: getting a token as GitHub App"), "{error}");
        assert!(!format!("{error:?} {github:?}").contains(CANARY));
        assert!(error.has_no_effect() || matches!(error, ForgeError::Unavailable { .. }));
    }
    let server = Server::new([installed(9), minted(&format!("{CANARY}\u{7f}"), 5)]).await;
    let github = app_at(&server, &ManualClock::new(NOW));
    let error = github
        .client(&pr(), "octo/demo", CommentProducer::Review)
        .with_permit(&open_gate_permit())
        .set_status(&status())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("characters that are invalid in a token"), "{error}");
    assert!(!error.to_string().contains(CANARY));
}

fn status() -> truing_core::publish::DesiredStatus {
    truing_core::publish::DesiredStatus {
        sha: Sha::parse(HEAD).unwrap(),
        state: truing_core::publish::StatusState::Success,
        description: "done".into(),
        check: Default::default(),
    }
}
