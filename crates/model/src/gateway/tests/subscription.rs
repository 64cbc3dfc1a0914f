//! Tests of calls that a subscription pays for.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use reqwest::header::{HeaderMap, HeaderValue, USER_AGENT};
use serde_json::{Map, json};
use truing_core::secret::SecretString;
use truing_fakes::model::{ModelFault, ModelScript, ScriptedAnswer};

use super::stage::{Stage, patience, prices, request, user};
use crate::gateway::{LanguageModel as _, ModelError, ModelGateway};
use crate::messages::{ModelRequest, ProgramParts};
use crate::provider::{ModelProvider, ProviderCredentials};
use crate::subscription::SubscriptionLogin;

const TOKEN: &str = "sk-ant-oat01-fake";
const HOUR: u64 = 3600;

async fn stage(login: SubscriptionLogin, answers: impl IntoIterator<Item = ScriptedAnswer>) -> Stage {
    let script = ModelScript { oauth_tokens: vec![TOKEN.to_owned()], ..ModelScript::from_answers(answers) };
    let stage = Stage::new(script).await;
    let credentials = ProviderCredentials::Subscription(login);
    let provider = ModelProvider::new(stage.model.url(), credentials).unwrap();
    let ledger = Arc::new(stage.book.clone());
    let clock = stage.wall.clone();
    let gateway = ModelGateway::new(provider, prices(), ledger, clock, None, patience()).unwrap();
    Stage { gateway, ..stage }
}

fn token() -> SubscriptionLogin {
    SubscriptionLogin::Token(SecretString::new(TOKEN))
}

/// Returns a request of the program `claude`.
fn program_request() -> ModelRequest {
    let mut headers = HeaderMap::new();
    headers.insert(USER_AGENT, HeaderValue::from_static("claude-cli/2.1.328 (external, sdk-cli)"));
    headers.insert("anthropic-beta", HeaderValue::from_static("claude-code-20250219,effort-2025-11-24"));
    let fields = Map::from_iter([("metadata".to_owned(), json!({"user_id": "u"}))]);
    ModelRequest { program: Some(Box::new(ProgramParts { headers, fields })), ..request(&[user("hello")]) }
}

fn seconds_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn limit_answer(headers: &[(&str, String)]) -> ScriptedAnswer {
    let named = headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
    let fault = ModelFault::Status {
        status: 429,
        error: String::new(),
        message: String::new(),
        headers: BTreeMap::from_iter(named),
    };
    ScriptedAnswer { fault: Some(fault), ..ScriptedAnswer::default() }
}

#[tokio::test]
async fn sends_request_of_program_with_token() {
    let stage = stage(token(), [ScriptedAnswer::text("hi")]).await;
    assert!(stage.gateway.uses_subscription());
    let session = stage.session();
    assert!(session.serves_only_program());
    let answer = session.request_answer(&program_request()).await.unwrap();
    assert!(answer.cost.0 > 0, "the ledger counts list prices");
    let log = stage.model.request_log();
    let sent = log.last().unwrap();
    let expected = "claude-code-20250219,effort-2025-11-24,oauth-2025-04-20";
    assert_eq!(sent.headers["anthropic-beta"], expected);
    assert_eq!(sent.headers["authorization"], format!("Bearer {TOKEN}"));
    assert_eq!(sent.body["metadata"], json!({"user_id": "u"}));
    assert_eq!(stage.model.violations(), Vec::<String>::new());
}

#[tokio::test]
async fn refuses_request_of_another_program() {
    let stage = stage(token(), [ScriptedAnswer::text("hi")]).await;
    let refused = stage.session().request_answer(&request(&[user("hello")])).await.unwrap_err();
    assert!(matches!(&refused, ModelError::NotAllowed(why) if why.contains("`cli`")), "{refused}");
    assert_eq!(stage.requests(), 0);
}

#[tokio::test]
async fn waits_for_reset_of_reached_limit() {
    let reset = seconds_now() + HOUR;
    let headers = [
        ("anthropic-ratelimit-unified-status", "rejected".to_owned()),
        ("anthropic-ratelimit-unified-representative-claim", "five_hour".to_owned()),
        ("anthropic-ratelimit-unified-reset", reset.to_string()),
        // Without the headers above, this error would be a rate limit that ends soon.
        ("retry-after", "1".to_owned()),
    ];
    let stage = stage(token(), [limit_answer(&headers), ScriptedAnswer::text("hi")]).await;
    stage.wall.later(-1_000_000_000_000);
    let reset_millis = i64::try_from(reset * 1000).unwrap();
    let session = stage.session();
    for _ in 0..2 {
        let refused = session.request_answer(&program_request()).await.unwrap_err();
        let ModelError::UsageLimit { limit, next_attempt_at } = refused else { panic!("{refused}") };
        assert_eq!(
            (limit.as_str(), next_attempt_at.0),
            ("the 5-hour limit of the subscription", reset_millis)
        );
        assert_eq!(stage.requests(), 1, "no request is sent before the reset");
    }
    assert_eq!((stage.book.spent(), stage.book.open()), (0, 0));
    stage.wall.later(2_000_000_000_000);
    assert!(session.request_answer(&program_request()).await.is_ok());
}

#[tokio::test]
async fn retries_rate_limit_that_is_no_usage_limit() {
    let allowed =
        [("anthropic-ratelimit-unified-status", "allowed".to_owned()), ("retry-after", "0".to_owned())];
    let stage = stage(token(), [limit_answer(&allowed), ScriptedAnswer::text("hi")]).await;
    assert!(stage.session().request_answer(&program_request()).await.is_ok());
    assert_eq!(stage.requests(), 2);
}

fn write_login(folder: &Path, access_token: &str, expires_in: i64) {
    let expires_at = (i64::try_from(seconds_now()).unwrap() + expires_in) * 1000;
    let login = json!({"claudeAiOauth": {"accessToken": access_token, "expiresAt": expires_at}});
    std::fs::write(folder.join(".credentials.json"), login.to_string()).unwrap();
}

#[tokio::test]
async fn follows_login_that_program_renews() {
    let folder = tempfile::tempdir().unwrap();
    let login = SubscriptionLogin::ConfigFolder(folder.path().to_owned());
    let stage = stage(login, [ScriptedAnswer::text("hi")]).await;
    let session = stage.session();
    write_login(folder.path(), TOKEN, -1);
    let refused = session.request_answer(&program_request()).await.unwrap_err();
    let ModelError::Unauthorized { message } = &refused else { panic!("{refused}") };
    assert!(message.contains("expired at") && message.contains("claude setup-token"), "{message}");
    assert_eq!(stage.requests(), 0);
    write_login(folder.path(), TOKEN, 60);
    assert!(session.request_answer(&program_request()).await.is_ok());
}

#[tokio::test]
async fn stops_when_provider_bills_beside_subscription() {
    let headers =
        ["anthropic-ratelimit-unified-overage-in-use"].map(|name| (name.to_owned(), "true".to_owned()));
    let billed = ScriptedAnswer { headers: BTreeMap::from(headers), ..ScriptedAnswer::text("hi") };
    let stage = stage(token(), [billed]).await;
    stage.wall.later(-1_000_000_000_000);
    let session = stage.session();
    assert!(session.request_answer(&program_request()).await.is_ok());
    let refused = session.request_answer(&program_request()).await.unwrap_err();
    assert!(matches!(refused, ModelError::UsageLimit { .. }), "{refused}");
    assert_eq!(stage.requests(), 1);
}
