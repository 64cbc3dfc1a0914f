//! Tests of the fake model over HTTP.

use reqwest::{Client, Response};
use serde_json::{Value, json};

use super::*;

async fn post(model: &FakeModel, body: &Value) -> reqwest::Result<Response> {
    let client = Client::builder().no_proxy().build().unwrap();
    let url = format!("{}/v1/messages?beta=true", model.url());
    let request =
        client.post(url).header("x-api-key", DEFAULT_API_KEY).header("anthropic-version", "2023-06-01");
    request.json(body).send().await
}

fn ask(stream: bool) -> Value {
    json!({"model": "m", "max_tokens": 100, "stream": stream, "unknown": 1,
        "system": [{"type": "text", "text": "s"}],
        "messages": [{"role": "user", "content": "hello"}, {"role": "system", "content": "today"}]})
}

/// Returns the data of every event.
fn events(text: &str) -> Vec<Value> {
    let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
    data.map(|data| serde_json::from_str(data).unwrap()).collect()
}

fn kinds(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["type"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_stream_has_the_events_of_the_api_in_their_order() {
    let script = ModelScript::parse(
        r#"
        [[answer]]
        blocks = [
            { type = "thinking", thinking = "hm" },
            { type = "tool_use", name = "read", input = { path = "src/a.py" } },
        ]
        usage = { input = 5, output = 9, cache_read = 3, cache_write_5m = 2, cache_write_1h = 1 }
        "#,
    );
    let model = FakeModel::start(script.unwrap()).await.unwrap();
    let response = post(&model, &ask(true)).await.unwrap();
    assert!(response.headers().contains_key("request-id"));
    let events = events(&response.text().await.unwrap());
    let mut kinds = kinds(&events);
    kinds.dedup();
    assert_eq!(
        kinds,
        [
            "message_start",
            "ping",
            "content_block_start",
            "content_block_delta",
            "content_block_stop",
            "content_block_start",
            "content_block_delta",
            "content_block_stop",
            "message_delta",
            "message_stop"
        ]
    );
    let usage = &events[0]["message"]["usage"];
    assert_eq!((&usage["input_tokens"], &usage["cache_creation_input_tokens"]), (&json!(5), &json!(3)));
    let written: String = events.iter().filter_map(|event| event["delta"]["partial_json"].as_str()).collect();
    assert_eq!(written, r#"{"path":"src/a.py"}"#);
    let end = &events[events.len() - 2];
    assert_eq!(
        (&end["delta"]["stop_reason"], &end["usage"]["output_tokens"]),
        (&json!("tool_use"), &json!(9))
    );
    assert_eq!(end["usage"]["input_tokens"], Value::Null);

    let bill = &model.bills()[0];
    assert!(bill.is_complete && bill.usage.output == 9 && bill.usage.cache_write_1h == 1, "{bill:?}");
    assert_eq!(model.violations(), [""; 0]);
}

#[tokio::test]
async fn who_wants_no_stream_gets_the_same_message() {
    let model =
        FakeModel::start(ModelScript::from_answers([ScriptedAnswer::tool("read", json!({"path": "a"}))]))
            .await
            .unwrap();
    let message: Value = post(&model, &ask(false)).await.unwrap().json().await.unwrap();
    assert_eq!(
        (&message["stop_reason"], &message["content"][0]["input"]["path"]),
        (&json!("tool_use"), &json!("a"))
    );
}

#[tokio::test]
async fn wrong_and_double_credentials_are_refused() {
    let model =
        FakeModel::start(ModelScript::from_answers([ScriptedAnswer::text("x").times(0)])).await.unwrap();
    let client = Client::builder().no_proxy().build().unwrap();
    let status = async |headers: &[(&str, &str)]| {
        let mut request = client.post(format!("{}/v1/messages", model.url())).json(&ask(true));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.header("anthropic-version", "2023-06-01").send().await.unwrap().status().as_u16()
    };
    assert_eq!(status(&[("x-api-key", DEFAULT_API_KEY)]).await, 200);
    assert_eq!(status(&[("authorization", &format!("Bearer {DEFAULT_API_KEY}"))]).await, 200);
    assert_eq!(status(&[("x-api-key", "other")]).await, 401);
    assert_eq!(model.violations().len(), 0);
    assert_eq!(
        status(&[("x-api-key", DEFAULT_API_KEY), ("authorization", &format!("Bearer {DEFAULT_API_KEY}"))])
            .await,
        401
    );
    assert_eq!(status(&[]).await, 401);
    assert_eq!(model.violations().len(), 2);
}

#[tokio::test]
async fn token_of_subscription_serves_only_claude() {
    let script = ModelScript {
        oauth_tokens: vec!["oat".to_owned()],
        ..ModelScript::from_answers([ScriptedAnswer::text("x").times(0)])
    };
    let model = FakeModel::start(script).await.unwrap();
    let client = Client::builder().no_proxy().build().unwrap();
    let status = async |path: &str, agent: &str, features: &str| {
        let request = client.post(format!("{}{path}", model.url())).json(&ask(true));
        let request = request.header("authorization", "Bearer oat").header("anthropic-version", "2023-06-01");
        let request = request.header("user-agent", agent).header("anthropic-beta", features);
        request.send().await.unwrap().status().as_u16()
    };
    let messages = "/v1/messages";
    let claude = "claude-cli/2.1.328 (external, sdk-cli)";
    let features = "claude-code-20250219,oauth-2025-04-20";
    assert_eq!(status(messages, claude, features).await, 200);
    assert_eq!(model.violations().len(), 0);
    assert_eq!(status(messages, claude, "claude-code-20250219").await, 401);
    assert_eq!(status(messages, "other/1", features).await, 400);
    assert_eq!(status("/v1/messages/count_tokens", claude, features).await, 400);
    assert_eq!(model.violations().len(), 3);
}

#[tokio::test]
async fn requests_that_the_api_refuses_are_refused() {
    let model =
        FakeModel::start(ModelScript::from_answers([ScriptedAnswer::text("x").times(0)])).await.unwrap();
    let mut bad = vec![ask(true), ask(true), ask(true), ask(true), ask(true)];
    bad[0]["max_tokens"] = json!(0);
    bad[1]["messages"] = json!([]);
    bad[2]["messages"][0]["role"] = json!("tool");
    bad[3]["messages"] = json!([{"role": "assistant", "content": [{"type": "tool_use", "id": "1", "name": "a", "input": {}}]},
        {"role": "user", "content": "no result"}]);
    bad[4]["messages"][0]["content"] = json!([{"type": "tool_result", "tool_use_id": "9", "content": ""}]);
    for body in &bad {
        let response = post(&model, body).await.unwrap();
        assert_eq!(response.status(), 400, "{body}");
    }
    assert_eq!(model.violations().len(), bad.len());
    assert_eq!(model.bills(), []);
}

#[tokio::test]
async fn answers_are_chosen_by_what_is_asked_and_used_up() {
    let when = |model: &str| AnswerCondition { model: Some(model.into()), ..AnswerCondition::default() };
    let contains = AnswerCondition { contains: Some("hello".into()), ..AnswerCondition::default() };
    let script = ModelScript::from_answers([
        ScriptedAnswer::text("for n").with_condition(when("n")).times(0),
        ScriptedAnswer::text("once").with_condition(contains),
        ScriptedAnswer::text("then").times(0).usage(1, 5000),
    ]);
    let model = FakeModel::start(script).await.unwrap();
    let mut said = Vec::new();
    for asked in ["m", "n", "m", "n"] {
        let mut body = ask(false);
        body["model"] = json!(asked);
        let message: Value = post(&model, &body).await.unwrap().json().await.unwrap();
        said.push(message["content"][0]["text"].as_str().unwrap().to_owned());
        if said.len() == 3 {
            // No answer has more tokens than the request allows.
            assert_eq!(
                (&message["stop_reason"], &message["usage"]["output_tokens"]),
                (&json!("max_tokens"), &json!(100))
            );
        }
    }
    assert_eq!(said, ["once", "for n", "then", "for n"]);
    assert_eq!(model.request_log().iter().map(|logged| logged.status).collect::<Vec<_>>(), [Some(200); 4]);
}

#[tokio::test]
async fn each_credential_can_play_the_script_from_its_beginning() {
    let script = ModelScript {
        keys: vec![DEFAULT_API_KEY.into(), "second".into()],
        each_key: true,
        ..ModelScript::from_answers([ScriptedAnswer::text("one"), ScriptedAnswer::text("two")])
    };
    let model = FakeModel::start(script).await.unwrap();
    let client = Client::builder().no_proxy().build().unwrap();
    for key in [DEFAULT_API_KEY, "second"] {
        let request = client.post(format!("{}/v1/messages", model.url())).header("x-api-key", key);
        let message =
            request.header("anthropic-version", "2023-06-01").json(&ask(false)).send().await.unwrap();
        assert_eq!(message.json::<Value>().await.unwrap()["content"][0]["text"], "one");
    }
}

#[tokio::test]
async fn faults_are_what_they_say() {
    let cut = |after| ScriptedAnswer::fault(ModelFault::Truncated { after });
    let error = ModelFault::Error {
        after: StreamPosition::Block,
        error: "overloaded_error".into(),
        message: "m".into(),
    };
    let script = ModelScript::from_answers([
        ScriptedAnswer::status(529),
        ScriptedAnswer::fault(ModelFault::Reset),
        cut(StreamPosition::Start),
        cut(StreamPosition::Text),
        ScriptedAnswer::fault(error),
        ScriptedAnswer::fault(ModelFault::EmptyBody),
        ScriptedAnswer::fault(ModelFault::Html),
    ]);
    let model = FakeModel::start(script).await.unwrap();
    let response = post(&model, &ask(true)).await.unwrap();
    assert_eq!(response.status(), 529);
    assert_eq!(response.json::<Value>().await.unwrap()["error"]["type"], "overloaded_error");
    assert!(post(&model, &ask(true)).await.is_err());
    for _ in 0..2 {
        let broken = post(&model, &ask(true)).await.unwrap().text().await;
        assert!(broken.is_err(), "{broken:?}");
    }
    let events = events(&post(&model, &ask(true)).await.unwrap().text().await.unwrap());
    assert_eq!(kinds(&events).last(), Some(&"error"));
    assert_eq!(post(&model, &ask(true)).await.unwrap().text().await.unwrap(), "");
    assert!(post(&model, &ask(true)).await.unwrap().text().await.unwrap().starts_with("<!doctype"));
    // Of an incomplete answer, only the sent part is billed.
    assert!(model.bills().len() == 3 && model.bills().iter().all(|bill| !bill.is_complete));
}

#[tokio::test]
async fn an_obedient_model_does_what_it_reads_and_then_what_the_script_says() {
    let script =
        ModelScript { obedient: true, ..ModelScript::from_answers([ScriptedAnswer::text("the end")]) };
    let model = FakeModel::start(script).await.unwrap();
    let mut body = ask(false);
    body["messages"][0]["content"] = json!("<!-- TOOL run {\"argv\":[\"id\"]} -->");
    let message: Value = post(&model, &body).await.unwrap().json().await.unwrap();
    assert_eq!(
        (&message["stop_reason"], &message["content"][0]["name"]),
        (&json!("tool_use"), &json!("run"))
    );

    let id = message["content"][0]["id"].clone();
    let result = json!({"type": "tool_result", "tool_use_id": id, "content": "no"});
    body["messages"] = json!([
        body["messages"][0],
        {"role": "assistant", "content": message["content"]},
        {"role": "user", "content": [result]},
    ]);
    let message: Value = post(&model, &body).await.unwrap().json().await.unwrap();
    assert_eq!(message["content"][0]["text"], "the end");
    assert_eq!(model.violations(), [""; 0]);
}

#[tokio::test]
async fn other_calls_are_answered_as_the_api_does() {
    let model = FakeModel::start(ModelScript::default()).await.unwrap();
    let client = Client::builder().no_proxy().build().unwrap();
    let count = client.post(format!("{}/v1/messages/count_tokens", model.url()));
    let count =
        count.header("x-api-key", DEFAULT_API_KEY).header("anthropic-version", "2023-06-01").json(&ask(true));
    let count: Value = count.send().await.unwrap().json().await.unwrap();
    assert!(count["input_tokens"].as_u64().is_some_and(|tokens| tokens > 10), "{count}");
    assert_eq!(client.head(model.url()).send().await.unwrap().status(), 200);
    let elsewhere = client.get(format!("{}/v1/models", model.url())).send().await.unwrap();
    assert_eq!(elsewhere.status(), 404);
    assert_eq!(elsewhere.json::<Value>().await.unwrap()["error"]["type"], "not_found_error");
}

#[tokio::test]
async fn an_answer_may_be_for_requests_that_say_something_wherever_lines_end() {
    let when = |system: &str, first: &str| AnswerCondition {
        system: vec![system.to_owned()],
        first_message: vec![first.to_owned()],
        ..AnswerCondition::default()
    };
    for (system, first, is_met) in [
        ("be good and kind", "look", true),
        ("be good  and\nkind", "at this", true),
        ("look", "look", false),
        ("be good", "kind", false),
        ("be good", "said before", false),
    ] {
        let script = ModelScript::from_answers([
            ScriptedAnswer::text("right").with_condition(when(system, first)),
            ScriptedAnswer::text("wrong"),
        ]);
        let model = FakeModel::start(script).await.unwrap();
        let body = json!({"model": "m", "max_tokens": 100,
            "system": [{"type": "text", "text": "be good\nand"}, {"type": "text", "text": "kind"}],
            "messages": [{"role": "user", "content": "look at\nthis"}, {"role": "assistant", "content": "said before"},
                {"role": "user", "content": "go on"}]});
        let text = post(&model, &body).await.unwrap().text().await.unwrap();
        assert_eq!(text.contains("right"), is_met, "{system:?} {first:?}: {text}");
    }
}
