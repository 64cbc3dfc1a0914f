//! Tests both kinds of Bitbucket through HTTP with plain JSON, and through git. The exchanges are compared
//! with Atlassian's published API descriptions.

mod cloud;
mod cloud_commits;
mod data_center;
mod data_center_commits;
mod data_center_pulls;
mod faults;
mod git;
mod hooks;
mod people;

use std::sync::{Arc, LazyLock};

use reqwest::Response;
use serde_json::Value;
use truing_contract::{ExchangePart, ForgeContract};

use crate::forge::{
    ApiExchange, ExchangeObserver, FakeForge, FakeForgeOptions, FakeRepo, ForgeFlavour, NewPull,
};
use crate::repo::CommitBuilder;

pub(super) const TOKEN: &str = "bb_reviewer";
/// Login of the account that makes the calls.
pub(super) const REVIEWER: &str = "truing";

static CLOUD: LazyLock<Option<ForgeContract>> =
    LazyLock::new(|| told("Cloud", ForgeContract::bitbucket_cloud().unwrap()));
static DATA_CENTER: LazyLock<Option<ForgeContract>> =
    LazyLock::new(|| told("Data Center", ForgeContract::bitbucket_data_center().unwrap()));

fn told(name: &str, contract: Option<ForgeContract>) -> Option<ForgeContract> {
    if contract.is_none() {
        println!("not compared with what Atlassian publishes of {name}: ../shared/data/openapi is not there");
    }
    contract
}

/// Compares every exchange with Atlassian's published description. Some tests send invalid requests. If the
/// forge rejects a request, only the response's JSON is therefore checked.
struct Published(ForgeFlavour);

impl ExchangeObserver for Published {
    fn observe_exchange(&self, exchange: &ApiExchange<'_>) -> Vec<String> {
        let ApiExchange { method, target, request, response: answer } = *exchange;
        let contract = if self.0 == ForgeFlavour::Cloud { &*CLOUD } else { &*DATA_CENTER };
        let Some(contract) = contract else { return Vec::new() };
        let found = contract.check(&truing_contract::WireExchange {
            method,
            target,
            request_body: request,
            response: answer,
        });
        let json = answer.and_then(|(_, json)| json);
        let refused = answer.is_some_and(|(status, _)| status >= 300);
        let counts = |part: ExchangePart| match part {
            ExchangePart::Request | ExchangePart::Status(_) => !refused,
            ExchangePart::ResponseBody(_) => !refused || json.is_some(),
        };
        found
            .into_iter()
            .filter(|violation| counts(violation.part))
            .map(|violation| format!("unlike Bitbucket: {violation}"))
            .collect()
    }
}

/// A forge with the repository `acme/shop` and pull request 1. In the pull request, `src/a.py` has 40 lines;
/// line 10 is changed and line 30 is new. The caller has write access.
pub(super) struct Site {
    pub(super) forge: FakeForge,
    pub(super) shop: FakeRepo,
    pub(super) client: reqwest::Client,
    /// URL that all API calls for the repository start with.
    pub(super) api: String,
}

impl Drop for Site {
    fn drop(&mut self) {
        let unlike: Vec<_> =
            self.forge.violations().into_iter().filter(|what| what.starts_with("unlike")).collect();
        assert!(std::thread::panicking() || unlike.is_empty(), "{}", unlike.join("\n"));
    }
}

impl Site {
    pub(super) async fn new(flavour: ForgeFlavour) -> Self {
        let options =
            FakeForgeOptions { observer: Some(Arc::new(Published(flavour))), ..FakeForgeOptions::default() };
        let forge = FakeForge::start_as(flavour, options).await.unwrap();
        forge.register_token(TOKEN, REVIEWER);
        let mut lines = super::numbered(40);
        let first =
            CommitBuilder::new("First").write("src/a.py", lines.join("\n")).write("README.md", "# Shop\n");
        let shop = forge.create_repository("acme", "shop", first).await.unwrap();
        shop.set_role(REVIEWER, "write").await.unwrap();
        lines[9] = "changed".into();
        lines.insert(29, "new".into());
        shop.push("feature", CommitBuilder::new("Change").write("src/a.py", lines.join("\n"))).await.unwrap();
        assert_eq!(shop.open_pull(NewPull::from_branch("feature")).await.unwrap(), 1);
        forge.take_deliveries();
        let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
        let api = match flavour {
            ForgeFlavour::DataCenter => "/rest/api/latest/projects/acme/repos/shop",
            ForgeFlavour::Cloud | ForgeFlavour::GitHub => "/2.0/repositories/acme/shop",
        };
        Self { forge, shop, client: client.build().unwrap(), api: api.to_owned() }
    }

    pub(super) async fn both() -> [Self; 2] {
        [Self::new(ForgeFlavour::Cloud).await, Self::new(ForgeFlavour::DataCenter).await]
    }

    pub(super) fn is_cloud(&self) -> bool {
        self.forge.flavour() == ForgeFlavour::Cloud
    }

    /// Returns the API URL of pull request 1.
    pub(super) fn pull(&self) -> String {
        format!("{}/{}/1", self.api, if self.is_cloud() { "pullrequests" } else { "pull-requests" })
    }

    /// Returns the API URL that lists the comments of pull request 1.
    pub(super) fn talk(&self) -> String {
        format!("{}/{}", self.pull(), if self.is_cloud() { "comments" } else { "activities" })
    }

    /// Returns the body of a comment in a conversation.
    pub(super) fn words(&self, text: &str) -> Value {
        if self.is_cloud() {
            serde_json::json!({"content": {"raw": text}})
        } else {
            serde_json::json!({"text": text})
        }
    }

    pub(super) async fn send(&self, method: &str, path: &str, body: Value) -> reqwest::Result<Response> {
        let url = match path {
            _ if path.starts_with("http") => path.to_owned(),
            _ if path.starts_with('/') => format!("{}{path}", self.forge.base_url()),
            _ => format!("{}{}/{path}", self.forge.base_url(), self.api),
        };
        let request = self.client.request(method.parse().unwrap(), url);
        let mut request = if self.is_cloud() {
            request.basic_auth("truing@example.com", Some(TOKEN))
        } else {
            request.bearer_auth(TOKEN)
        };
        if !body.is_null() {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        request.send().await
    }

    /// Makes a call. Returns the response's status and body.
    pub(super) async fn ask(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let response = self.send(method, path, body).await.unwrap();
        let status = response.status().as_u16();
        (status, serde_json::from_slice(&response.bytes().await.unwrap()).unwrap_or_default())
    }

    pub(super) async fn get(&self, path: &str) -> Value {
        let (status, body) = self.ask("GET", path, Value::Null).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// Makes a call whose response must have this status. Returns the response's body.
    pub(super) async fn done(&self, status: u16, method: &str, path: &str, body: Value) -> Value {
        let (seen, answer) = self.ask(method, path, body).await;
        assert_eq!(seen, status, "{method} {path}: {answer}");
        answer
    }

    /// Returns the texts of the listed comments of pull request 1, without replies.
    pub(super) async fn texts(&self) -> Vec<String> {
        let all = if self.is_cloud() { "pagelen=100" } else { "limit=100" };
        let body = self.get(&format!("{}?{all}", self.talk())).await;
        let text = |item: &Value| {
            let text = if self.is_cloud() { &item["content"]["raw"] } else { &item["comment"]["text"] };
            text.as_str().map(str::to_owned)
        };
        body["values"].as_array().unwrap().iter().filter_map(text).collect()
    }
}
