//! Tests of the fake forge through its interfaces: HTTP with plain JSON, and git.

mod app;
mod bitbucket;
mod estate;
mod faults;
mod git;
mod hooks;
mod issues;
mod kept;
mod push;
mod rest;
mod reviewers;

use std::sync::{Arc, LazyLock};

use reqwest::Response;
use serde_json::{Value, json};
use truing_contract::{ExchangePart, ForgeContract};

use super::{ApiExchange, ExchangeObserver, FakeForge, FakeForgeOptions, FakeRepo, NewPull};
use crate::repo::CommitBuilder;

const TOKEN: &str = "ghs_reviewer";
const BOT: &str = "truing[bot]";
const PULLS: &str = "/repos/acme/shop/pulls";

/// GitHub's published description of its API.
static GITHUB: LazyLock<ForgeContract> = LazyLock::new(|| ForgeContract::github().unwrap());

/// Compares every exchange with GitHub's published description. Some tests send invalid requests. If the
/// forge rejects a request, only the response's JSON is therefore checked.
struct ContractObserver;

impl ExchangeObserver for ContractObserver {
    fn observe_exchange(&self, exchange: &ApiExchange<'_>) -> Vec<String> {
        let ApiExchange { method, target, request, response: answer } = *exchange;
        let found = GITHUB.check(&truing_contract::WireExchange {
            method,
            target,
            request_body: request,
            response: answer,
        });
        let json = answer.and_then(|(_, json)| json);
        let refused = answer.is_some_and(|(status, _)| status >= 300)
            || json.is_some_and(|json| json["errors"].is_array());
        let counts = |part: ExchangePart| match part {
            ExchangePart::Request | ExchangePart::Status(_) => !refused,
            ExchangePart::ResponseBody(_) => !refused || json.is_some(),
        };
        found
            .into_iter()
            .filter(|violation| counts(violation.part))
            .map(|violation| format!("unlike GitHub: {violation}"))
            .collect()
    }
}

/// A forge with the repository `acme/shop` and pull request 1. In the pull request, `src/a.py` has 40 lines;
/// line 10 is changed and line 30 is new.
struct Stage {
    forge: FakeForge,
    shop: FakeRepo,
    client: reqwest::Client,
}

fn numbered(count: u32) -> Vec<String> {
    (1..=count).map(|n| format!("line {n}")).collect()
}

impl Drop for Stage {
    fn drop(&mut self) {
        let unlike: Vec<_> =
            self.forge.violations().into_iter().filter(|what| what.starts_with("unlike GitHub")).collect();
        assert!(std::thread::panicking() || unlike.is_empty(), "{}", unlike.join("\n"));
    }
}

impl Stage {
    async fn new() -> Self {
        let forge = FakeForge::start(FakeForgeOptions {
            observer: Some(Arc::new(ContractObserver)),
            ..FakeForgeOptions::default()
        });
        let forge = forge.await.unwrap();
        forge.register_token(TOKEN, BOT);
        let mut lines = numbered(40);
        let first =
            CommitBuilder::new("First").write("src/a.py", lines.join("\n")).write("README.md", "# Shop\n");
        let shop = forge.create_repository("acme", "shop", first).await.unwrap();
        lines[9] = "changed".into();
        lines.insert(29, "new".into());
        shop.push("feature", CommitBuilder::new("Change").write("src/a.py", lines.join("\n"))).await.unwrap();
        assert_eq!(shop.open_pull(NewPull::from_branch("feature")).await.unwrap(), 1);
        let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
        Self { forge, shop, client: client.build().unwrap() }
    }

    async fn send(&self, method: &str, path: &str, body: Value) -> reqwest::Result<Response> {
        let url = if path.starts_with("http") {
            path.to_owned()
        } else {
            format!("{}{path}", self.forge.base_url())
        };
        let mut request = self
            .client
            .request(method.parse().unwrap(), url)
            .header("user-agent", "truing")
            .bearer_auth(TOKEN);
        if !body.is_null() {
            request = request.body(body.to_string());
        }
        request.send().await
    }

    /// Makes a call. Returns the response's status and body.
    async fn ask(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let response = self.send(method, path, body).await.unwrap();
        let status = response.status().as_u16();
        (status, serde_json::from_slice(&response.bytes().await.unwrap()).unwrap_or_default())
    }

    async fn get(&self, path: &str) -> Value {
        let (status, body) = self.ask("GET", path, Value::Null).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    async fn review(&self, comments: Value) -> (u16, Value) {
        let body = json!({"event": "COMMENT", "body": "See below.", "comments": comments});
        self.ask("POST", &format!("{PULLS}/1/reviews"), body).await
    }

    /// Posts a review with one valid inline comment and returns the id of the comment.
    async fn inline(&self, line: u32) -> u64 {
        let (status, review) =
            self.review(json!([{"path": "src/a.py", "line": line, "side": "RIGHT", "body": "Hm."}])).await;
        assert_eq!(status, 200, "{review}");
        let of_review = self.get(&format!("{PULLS}/1/reviews/{}/comments", review["id"])).await;
        of_review[0]["id"].as_u64().unwrap()
    }
}
