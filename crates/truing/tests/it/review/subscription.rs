//! Tests of reviews and audits that a subscription pays for. The tests of whole runs use the real `claude`
//! program.

use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use truing_fakes::model::{ModelFault, ModelScript, ScriptedAnswer};

use crate::review::claude::find_claude;
use crate::review::cli::with_program;
use crate::review::model::{self, Scene, finding};
use crate::review::place::Ran;

const TOKEN: &str = "sk-ant-oat01-fake-token";

/// Returns the script of a model that accepts only the token of the subscription.
fn script(answers: impl IntoIterator<Item = ScriptedAnswer>) -> ModelScript {
    ModelScript {
        keys: Vec::new(),
        oauth_tokens: vec![TOKEN.to_owned()],
        ..ModelScript::from_answers(answers)
    }
}

/// Returns a scene with these answers and the `claude` program, or `None` if the program is not installed.
fn scene(answers: impl IntoIterator<Item = ScriptedAnswer>) -> Option<Scene> {
    Some(with_program(Scene::new(script(answers)), &find_claude()?.display().to_string()))
}

/// Runs a command with the token and without an API key.
fn run(mut command: Command) -> Ran {
    command.env_remove("ANTHROPIC_API_KEY").env("CLAUDE_CODE_OAUTH_TOKEN", TOKEN);
    Ran::from(command.output().unwrap())
}

fn read_answer() -> ScriptedAnswer {
    ScriptedAnswer::tool("mcp__truing__read", json!({ "path": "pay.py" })).usage(1000, 100)
}

fn report_answer() -> ScriptedAnswer {
    let report = json!({ "findings": [finding()] });
    ScriptedAnswer::tool("mcp__truing__report", report).usage(1000, 100)
}

/// Returns the error of the weekly limit, which resets in an hour, and the time of the reset.
fn weekly_limit_answer() -> (ScriptedAnswer, String) {
    let reset = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + 3600;
    let headers = [
        ("anthropic-ratelimit-unified-status", "rejected".to_owned()),
        ("anthropic-ratelimit-unified-representative-claim", "seven_day".to_owned()),
        ("anthropic-ratelimit-unified-reset", reset.to_string()),
    ];
    let fault = ModelFault::Status {
        status: 429,
        error: "rate_limit_error".to_owned(),
        message: "This request would exceed your account's rate limit.".to_owned(),
        headers: headers.map(|(name, value)| (name.to_owned(), value)).into(),
    };
    let time = jiff::Timestamp::from_second(i64::try_from(reset).unwrap()).unwrap();
    (ScriptedAnswer { fault: Some(fault), ..ScriptedAnswer::default() }, time.to_string())
}

#[test]
fn review_marks_cost_as_covered() {
    let Some(scene) = scene([read_answer(), report_answer(), report_answer()]) else { return };
    let ran = run(scene.command(&["--format", "json"]));
    assert_eq!(ran.exit, 1, "{}", ran.err);
    let told = ran.json();
    assert_eq!((&told["outcome"]["kind"], &told["outcome"]["runtime"]), (&json!("reviewed"), &json!("cli")));
    assert_eq!(told["findings"].as_array().unwrap().len(), 2, "one of the rules, one of the model");
    assert!(told["cost_micro_usd"].as_u64().unwrap() > 0, "{told}");
    assert_eq!(told["covered_micro_usd"], told["cost_micro_usd"]);
    for sent in scene.model.request_log() {
        // The provider gets the program's own request, and the run's system prompt.
        assert!(sent.headers["user-agent"].starts_with("claude-cli/"), "{sent:?}");
        assert_eq!(sent.headers["authorization"], format!("Bearer {TOKEN}"));
        let tools = sent.body["tools"].as_array().unwrap().iter();
        let names: Vec<&str> = tools.map(|tool| tool["name"].as_str().unwrap()).collect();
        assert!(names.iter().all(|name| name.starts_with("mcp__truing__")), "{names:?}");
        assert!(sent.body["system"].to_string().contains("review"), "{}", sent.body["system"]);
        assert!(sent.body["system"].as_array().unwrap().len() > 1, "{}", sent.body["system"]);
    }
    let text = run(scene.command(&["--no-record"])).out;
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("at list price, covered by a subscription"), "{text}");
}

#[test]
fn limit_in_mid_review_defers_it_until_reset() {
    let (limit, reset) = weekly_limit_answer();
    let Some(scene) = scene([read_answer(), limit]) else { return };
    let ran = run(scene.command(&["--format", "json"]));
    let told = ran.json();
    assert_eq!((ran.exit, &told["outcome"]["kind"]), (4, &json!("deferred")), "{}", ran.err);
    assert_eq!(told["outcome"]["until"], json!(reset));
    let expected = format!("review skipped: the weekly limit of the subscription is used up until {reset}");
    assert_eq!(told["outcome"]["reason"], json!(expected));
    assert_eq!(told["covered_micro_usd"], told["cost_micro_usd"], "the first answer was given");
    assert_eq!(told["findings"].as_array().unwrap().len(), 1, "the rules have reviewed");
}

#[test]
fn limit_in_mid_audit_is_refusal_with_its_time() {
    let (limit, reset) = weekly_limit_answer();
    let Some(scene) = scene([read_answer(), limit.times(0)]) else { return };
    scene.place.git(["checkout", "--quiet", "-b", "topic"]);
    scene.place.commit_unchecked("pay");
    // This call writes the configuration file.
    scene.command(&[]);
    let mut command = scene.place.command(&["audit", "--config", "../op.toml", "--format", "json"]);
    command.env("RUNTIME_MODE", "cli");
    let ran = run(command);
    assert_eq!(ran.exit, 4, "{ran:?}");
    let told: Value = serde_json::from_str(&ran.out).unwrap();
    let reason = told["reason"].as_str().unwrap();
    assert!(reason.contains(&format!("limit of the subscription is used up until {reset}")), "{told}");
}

#[test]
fn api_key_takes_precedence() {
    let Some(program) = find_claude() else { return };
    let scene = Scene::from_answers([model::report_answer(&[finding()])]);
    let scene = with_program(scene, &program.display().to_string());
    let mut command = scene.command(&["--format", "json"]);
    let ran = Ran::from(command.env("CLAUDE_CODE_OAUTH_TOKEN", TOKEN).output().unwrap());
    assert!(ran.json().get("covered_micro_usd").is_none(), "{ran:?}");
}

/// Each case is refused before a request is sent.
#[test]
fn unusable_subscription_is_refused_with_next_command() {
    let program = "/bin/true";
    for (runtime, config, token, message, hint) in [
        ("native", "", TOKEN, "serves only the runtime `cli`", "set review.runtime = \"cli\""),
        (
            "cli",
            "https://gateway.example",
            TOKEN,
            "only to https://api.anthropic.com",
            "unset ANTHROPIC_BASE_URL",
        ),
        (
            "cli",
            "https://api.anthropic.com:8443",
            TOKEN,
            "only to https://api.anthropic.com",
            "unset ANTHROPIC",
        ),
        ("cli", "", "can\u{212b}ary", "the token of the subscription contains characters", ""),
        ("cli", "", "can\nary", "the token of the subscription contains characters", ""),
        ("cli", "", " canary", "the token of the subscription contains characters", ""),
        ("cli", "", " ", "ANTHROPIC_API_KEY is not set", "CLAUDE_CODE_OAUTH_TOKEN"),
        (
            "cli",
            "fallback = \"other\"\n[model.other]\nname = \"m\"\napi_key = { env = \"K\" }\n",
            TOKEN,
            "model.fallback cannot be used",
            "unset model.fallback",
        ),
        (
            "cli",
            "claude_config_dir = \"gone\"\n",
            "",
            ".credentials.json cannot be used: the file cannot be read",
            "claude /login",
        ),
        ("cli", "claude_config_dir = \"old\"\n", "", "expired at 1970-01-01T00:00:01Z", "claude setup-token"),
        ("cli", "", "", "ANTHROPIC_API_KEY is not set", "CLAUDE_CODE_OAUTH_TOKEN"),
    ] {
        let scene = Scene::new(script([])).with_runtime(runtime);
        let old = scene.place.home().join("old");
        std::fs::create_dir(&old).unwrap();
        let login = json!({"claudeAiOauth": {"accessToken": "t", "expiresAt": 1000}});
        std::fs::write(old.join(".credentials.json"), login.to_string()).unwrap();
        let address = config.starts_with("https://").then_some(config);
        let config = if address.is_some() { "" } else { config };
        let scene = scene.with_config(&format!("{config}[review]\nclaude = {program:?}\n"));
        let mut command = scene.command(&[]);
        command.env_remove("ANTHROPIC_API_KEY").env("CLAUDE_CODE_OAUTH_TOKEN", token);
        command.envs(address.map(|address| ("ANTHROPIC_BASE_URL", address)));
        let ran = Ran::from(command.output().unwrap());
        let said = ran.err.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(ran.exit, 2, "{message}: {said}");
        assert!(said.contains(message) && said.contains(hint), "{message}: {said}");
        assert!(token.trim().is_empty() || !said.contains(token), "{said}");
        assert_eq!(scene.model.request_log().len(), 0);
    }
}
