//! Tests that each kind of provider leads to the same findings, outcome and turns for the same script, and to
//! a cost at that provider's price.

use serde_json::{Value, json};
use truing_fakes::model::{
    AWS_KEY_ID, AWS_REGION, AWS_WORKSPACE, AnswerCondition, DEFAULT_API_KEY, ScriptedAnswer, aws_secret_key,
};

use crate::review::model::{Scene, finding, read_answer, report_answer};
use crate::review::place::{Place, Ran};

/// A provider: its lines in the operator's file, and its environment variables.
struct Kind {
    name: &'static str,
    config: String,
    variables: Vec<(&'static str, String)>,
    /// Cost in micro-dollars of two answers that use 2,000 input tokens and 200 output tokens together.
    cost: u64,
    /// Path in the URL of the requests.
    path: &'static str,
}

const OWN_KEY: &str = "provider = \"openai\"\napi_key = { env = \"OTHER_KEY\" }\n";
const CHAT: &str = "/chat/completions";
const MESSAGES: &str = "/v1/messages";
const BEDROCK: &str = "/model/eu.anthropic.claude-sonnet-5-5/invoke-with-response-stream";

fn aws_variables() -> Vec<(&'static str, String)> {
    vec![("AWS_ACCESS_KEY_ID", AWS_KEY_ID.to_owned()), ("AWS_SECRET_ACCESS_KEY", aws_secret_key())]
}

fn kinds() -> Vec<Kind> {
    let aws = format!("provider = \"aws\"\nregion = \"{AWS_REGION}\"\nworkspace_id = \"{AWS_WORKSPACE}\"\n");
    let bedrock = format!("provider = \"bedrock\"\nregion = \"{AWS_REGION}\"\n");
    let token = vec![("AWS_BEARER_TOKEN_BEDROCK", DEFAULT_API_KEY.to_owned())];
    let chosen = [
        aws_variables(),
        vec![("CLAUDE_CODE_USE_BEDROCK", "1".to_owned()), ("AWS_REGION", AWS_REGION.to_owned())],
    ];
    let own = "model_ids = { \"claude-sonnet-5-5\" = \"global.anthropic.claude-sonnet-5-5\" }\n";
    let global = "/model/global.anthropic.claude-sonnet-5-5/invoke-with-response-stream";
    let kind = |name, config: &str, variables, cost, path| Kind {
        name,
        config: config.to_owned(),
        variables,
        cost,
        path,
    };
    vec![
        kind("messages", "", Vec::new(), 6000, MESSAGES),
        kind("aws", &aws, aws_variables(), 6000, MESSAGES),
        // The price is 10 % higher, because this model id restricts the processing to one region.
        kind("bedrock", &bedrock, aws_variables(), 6600, BEDROCK),
        kind("bedrock, by a token", &bedrock, token.clone(), 6600, BEDROCK),
        kind("bedrock, by the variables of others", "", chosen.concat(), 6600, BEDROCK),
        kind("bedrock, by an id of one's own", &format!("{bedrock}{own}"), token, 6000, global),
        kind(
            "openai",
            "provider = \"openai\"\n",
            vec![("OPENAI_API_KEY", DEFAULT_API_KEY.to_owned())],
            6000,
            CHAT,
        ),
        kind(
            "openai, by a key of one's own",
            OWN_KEY,
            vec![("OTHER_KEY", DEFAULT_API_KEY.to_owned())],
            6000,
            CHAT,
        ),
    ]
}

/// Returns the parts of the result that must be equal for all providers.
fn comparable_result(result: &Value) -> Value {
    let fields =
        ["path", "start_line", "end_line", "severity", "category", "rule", "title", "anchor", "source"];
    let findings = result["findings"].as_array().unwrap().iter();
    let findings: Vec<Vec<&Value>> =
        findings.map(|finding| fields.iter().map(|field| &finding[field]).collect()).collect();
    json!([result["outcome"], findings, result["turns"], result["coverage"]])
}

#[test]
fn one_script_is_one_review_whoever_serves_the_model() {
    let mut first = None;
    for kind in kinds() {
        let scene = Scene::from_answers([read_answer("pay.py"), report_answer(&[finding()])])
            .with_config(&kind.config);
        let mut command = scene.command(&["--format", "json"]);
        if kind.name != "messages" {
            command.env_remove("ANTHROPIC_API_KEY");
        }
        command.envs(kind.variables.iter().map(|(name, value)| (name, value)));
        let ran = Ran::from(command.output().unwrap());
        assert_eq!(ran.exit, 1, "{}: {}", kind.name, ran.err);
        let told = ran.json();
        let expected = first.get_or_insert_with(|| comparable_result(&told));
        assert_eq!(&comparable_result(&told), expected, "{}", kind.name);
        assert_eq!(told["cost_micro_usd"], json!(kind.cost), "{}", kind.name);
        let log = scene.model.request_log();
        assert_eq!(log.iter().map(|request| request.path.as_str()).collect::<Vec<_>>(), [kind.path; 2]);
        let shown = format!("{log:?} {} {}", ran.out, ran.err);
        assert!(!shown.contains(&aws_secret_key()), "{shown}");
    }
}

#[test]
fn bedrock_without_a_region_a_key_or_an_id_is_told_before_anything_is_sent() {
    let refused = |config: &str, words: &[&str]| {
        let scene = Scene::from_answers([]).with_config(&format!("provider = \"bedrock\"\n{config}"));
        let ran = Ran::from(scene.command(&[]).output().unwrap());
        assert!(ran.exit == 2 && words.iter().all(|word| ran.err.contains(word)), "{} {}", ran.exit, ran.err);
        assert_eq!(scene.model.request_log().len(), 0);
    };
    refused("", &["region"]);
    let token = "region = \"eu-central-1\"\napi_key = { env = \"ANTHROPIC_API_KEY\" }\n";
    refused(&format!("{token}name = \"claude-mythos-5-1\"\n"), &["claude-mythos-5-1", "model_ids"]);
    refused(&format!("{token}model_ids = [\"x\"]\n"), &["model.model_ids", "table"]);
    // A configured id has the price of the model that it stands for. The operator must configure the price of
    // a model that the price table lacks.
    let arn = "arn:aws:bedrock:eu-central-1:1:application-inference-profile/x";
    let own = format!("{token}name = \"own-model\"\nmodel_ids = {{ \"own-model\" = \"{arn}\" }}\n");
    refused(&own, &[arn, "[price.\"own-model\"]"]);
}

#[test]
fn without_a_key_of_aws_its_chain_is_asked_and_half_a_key_is_none() {
    let scene = Scene::from_answers([]).with_config("provider = \"bedrock\"\nregion = \"eu-central-1\"\n");
    let half = scene.command(&[]).env("AWS_SECRET_ACCESS_KEY", aws_secret_key()).output().unwrap();
    let half = Ran::from(half);
    assert!(half.exit == 2 && half.err.contains("AWS_ACCESS_KEY_ID"), "{} {}", half.exit, half.err);
    // The environment contains an Anthropic API key. Truing does not send it to another provider.
    let none =
        scene.command(&["--format", "json"]).env("AWS_EC2_METADATA_DISABLED", "true").output().unwrap();
    let none = Ran::from(none);
    assert!(none.exit != 0, "{}", none.out);
    for place in ["AWS_ACCESS_KEY_ID", "~/.aws/config", "AWS_WEB_IDENTITY_TOKEN_FILE"] {
        assert!(none.out.contains(place), "{place}: {} {}", none.out, none.err);
    }
    assert_eq!(scene.model.request_log().len(), 0);
}

#[test]
fn a_fallback_answers_where_the_model_does_not_and_the_report_says_so() {
    let config = format!(
        "fallback = \"backup\"\n[model.backup]\nprovider = \"bedrock\"\nregion = \"{AWS_REGION}\"\nname \
         = \"claude-opus-5-5\"\nbase_url = \"http://127.0.0.1:9\"\n"
    );
    let down = ScriptedAnswer::status(402).times(0).with_condition(AnswerCondition {
        model: Some("claude-sonnet-5-5".into()),
        ..AnswerCondition::default()
    });
    let scene = Scene::from_answers([down, report_answer(&[finding()])]);
    let config = config.replace("http://127.0.0.1:9", scene.model.url());
    let scene = scene.with_config(&config);
    let mut command = scene.command(&[]);
    command.envs(aws_variables());
    let ran = Ran::from(command.output().unwrap());
    assert!(ran.out.contains("Swallows every error"), "{} {}", ran.out, ran.err);
    let by = "rules and eu.anthropic.claude-opus-5-5 (fallback backup: bedrock): 1 turn, $0.0066";
    assert!(ran.out.replace("\n  ", " ").contains(by), "{}", ran.out);
    assert_eq!(scene.model.request_log().len(), 2);
    // An unknown fallback name is a usage error, even if the review sends no request to a model.
    let scene = Scene::from_answers([]).with_config("fallback = \"nobody\"\n");
    let ran = Ran::from(scene.command(&[]).output().unwrap());
    assert!(ran.exit == 2 && ran.err.contains("model.fallback"), "{} {}", ran.exit, ran.err);
}

#[test]
fn the_prices_of_bedrock_are_shown_where_the_model_or_its_fallback_is_asked_there() {
    let place = Place::new();
    let bedrock = "provider = \"bedrock\"\nregion = \"eu-central-1\"\n";
    for (config, is_there) in [
        (String::new(), false),
        (format!("[model]\n{bedrock}"), true),
        (
            format!("[model]\nfallback = \"other\"\n[model.other]\nname = \"claude-opus-5-5\"\n{bedrock}"),
            true,
        ),
        (format!("[model.other]\nname = \"claude-opus-5-5\"\n{bedrock}"), false),
    ] {
        std::fs::write(place.home().join("op.toml"), &config).unwrap();
        let arguments = ["--config", "../op.toml", "budget", "prices", "--format", "json"];
        let ran = Ran::from(place.command(&arguments).output().unwrap());
        assert_eq!(
            ran.out.contains("eu.anthropic.claude-opus-5-5"),
            is_there,
            "{config}: {} {}",
            ran.out,
            ran.err
        );
    }
}

#[test]
fn a_server_of_chat_completions_gets_no_other_server_s_key() {
    let scene = Scene::from_answers([report_answer(&[finding()])]).with_config("provider = \"openai\"\n");
    // The scene sets an Anthropic API key. Truing does not use it for another provider.
    let told = Ran::from(scene.command(&["--format", "json"]).output().unwrap()).json();
    let reason = told["outcome"]["reason"].as_str().unwrap();
    assert!(reason.contains("rules only, because no access to the provider"), "{told:#}");
    let log = scene.model.request_log();
    assert!(log.iter().all(|request| !request.headers.contains_key("authorization")), "{log:#?}");
    scene.model.clear_violations();

    let of = |address: &str, variables: &[(&str, &str)]| {
        let scene = Scene::from_answers([]).with_config("provider = \"openai\"\n");
        let mut command = scene.command(&[]);
        Ran::from(
            command.env("TRUING_MODEL__BASE_URL", address).envs(variables.iter().copied()).output().unwrap(),
        )
    };
    let without = of("https://api.openai.com/v1", &[]);
    assert!(without.exit == 2 && without.err.contains("OPENAI_API_KEY"), "{without:?}");
    let other = of("https://openrouter.ai/api/v1", &[("OPENAI_API_KEY", "canary")]);
    assert!(
        other.exit == 2
            && other.err.contains("Truing sends `OPENAI_API_KEY` only to OpenAI and to servers on this"),
        "{other:?}"
    );
}

#[test]
fn each_configured_model_is_asked_for_one_word() {
    let scene = Scene::from_answers([ScriptedAnswer::text("yes").usage(10, 1).times(0)]);
    let url = scene.model.url().to_owned();
    let scene = scene.with_config(&format!(
        "[model.chat]\nprovider = \"openai\"\nbase_url = \"{url}/v1\"\napi_key = {{ env = \"CHAT_KEY\" \
         }}\nname = \"m\"\n[model.unset]\napi_key = {{ env = \"UNSET_KEY\" }}\nname \
         = \"claude-opus-5-5\"\n[price.m]\ninput = 1\noutput = 2\n"
    ));
    drop(scene.command(&[])); // this call writes the file
    let mut command =
        scene.place.command(&["--config", "../op.toml", "config", "check", "--live", "--format", "json"]);
    command.env("ANTHROPIC_API_KEY", DEFAULT_API_KEY).env("CHAT_KEY", DEFAULT_API_KEY);
    let ran = Ran::from(command.output().unwrap());
    assert_eq!(ran.exit, 1, "{ran:?}");
    assert!(ran.err.contains("3 models are asked for one word"), "{}", ran.err);
    let rows = ran.json();
    let of = |row: usize, field: &str| rows[row][field].clone();
    assert_eq!(
        [0, 1, 2].map(|row| of(row, "section")),
        ["model", "model.chat", "model.unset"].map(Value::from)
    );
    assert_eq!([0, 1, 2].map(|row| of(row, "ok")), [true, true, false].map(Value::from));
    assert_eq!(of(1, "cost_micro_usd"), json!(12));
    assert!(of(2, "reason").as_str().unwrap().contains("UNSET_KEY"), "{rows:#}");
    assert_eq!(scene.model.request_log().len(), 2);
    // The ledger contains the cost.
    let shown =
        scene.place.command(&["--config", "../op.toml", "budget", "show", "--format", "json"]).output();
    let spent = Ran::from(shown.unwrap()).json();
    let all =
        spent.as_array().unwrap().iter().map(|row| row["spent_micro_usd"].as_u64().unwrap()).sum::<u64>();
    assert!(all >= 12, "{spent:#}");

    let switch = scene.place.command(&["--config", "../op.toml", "kill", "on"]).output().unwrap();
    assert!(switch.status.success(), "{switch:?}");
    let held = scene.place.command(&["--config", "../op.toml", "config", "check", "--live"]).output();
    let held = Ran::from(held.unwrap());
    assert!(held.exit == 4 && held.err.contains("kill switch"), "{held:?}");
    assert_eq!(scene.model.request_log().len(), 2, "no model is asked while it is on");
}
