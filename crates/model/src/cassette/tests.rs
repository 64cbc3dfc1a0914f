//! Tests the recording and playback of model calls. The same requests get the same responses; any other
//! request results in a drift error.

use std::sync::Mutex;

use async_trait::async_trait;
use serde_json::json;
use truing_core::ledger::TokenUsage;
use truing_core::money::MicroUsd;

use super::*;
use crate::gateway::{ModelAnswer, ModelError};
use crate::messages::{MessageBlock, MessageRole, ModelMessage, ModelRequest, StopReason};

/// A model with prepared responses.
struct Scripted(Mutex<Vec<Result<ModelAnswer, ModelError>>>);

#[async_trait]
impl LanguageModel for Scripted {
    async fn request_answer(&self, _: &ModelRequest) -> Result<ModelAnswer, ModelError> {
        self.0.lock().unwrap().remove(0)
    }

    async fn cost(&self) -> MicroUsd {
        MicroUsd(0)
    }
}

fn user(text: &str) -> ModelMessage {
    ModelMessage { role: MessageRole::User, content: vec![MessageBlock::text(text)] }
}

fn request(messages: &[ModelMessage]) -> ModelRequest {
    ModelRequest {
        model: "m".into(),
        max_tokens: 100,
        system: vec![MessageBlock::text("s")],
        messages: messages.to_vec(),
        tools: Vec::new(),
        tool_choice: Some(json!({"type": "auto", "a": 1})),
        thinking: None,
        output_config: None,
        program: None,
    }
}

fn answer(text: &str) -> ModelAnswer {
    let thinking = MessageBlock::Other(json!({"type": "thinking", "thinking": "hm", "signature": "c2ln"}));
    ModelAnswer {
        message: ModelMessage {
            role: MessageRole::Assistant,
            content: vec![thinking, MessageBlock::text(text)],
        },
        stop: StopReason::EndTurn,
        usage: TokenUsage { input: 3, output: 2, ..TokenUsage::default() },
        cost: MicroUsd(7),
        model: "m".into(),
        served_by: None,
        request_id: "req_1".into(),
    }
}

/// Sends a question, then a second question in the same conversation, and then a question in a new
/// conversation, which fails.
async fn talk(model: &dyn LanguageModel) -> Vec<Result<ModelAnswer, ModelError>> {
    let mut said = vec![user("one")];
    let first = model.request_answer(&request(&said)).await;
    if let Ok(first) = &first {
        said.extend([first.message.clone(), user("two")]);
    }
    let second = model.request_answer(&request(&said)).await;
    vec![first, second, model.request_answer(&request(&[user("three")])).await]
}

async fn recorded(folder: &tempfile::TempDir) -> (std::path::PathBuf, Vec<Result<ModelAnswer, ModelError>>) {
    let path = folder.path().join("cassette.jsonl");
    let down = ModelError::Unavailable { message: "x".into(), next_attempt_at: None };
    let model = Scripted(Mutex::new(vec![Ok(answer("1")), Ok(answer("2")), Err(down)]));
    let recording = CassetteRecording::create(&path, SecretRedactor::default()).await.unwrap();
    let results = talk(&recording.recorder(Box::new(model), "review", "main")).await;
    (path, results)
}

#[tokio::test]
async fn what_was_recorded_is_played() {
    let folder = tempfile::tempdir().unwrap();
    let (path, results) = recorded(&folder).await;
    let cassette = Cassette::read(&path, SecretRedactor::default()).unwrap();
    assert_eq!(talk(&cassette.player("review", "main")).await, results);
    // A cassette can be played several times.
    assert_eq!(talk(&cassette.player("review", "main")).await, results);
    assert!(
        CassetteRecording::create(&path, SecretRedactor::default()).await.is_err(),
        "Truing does not overwrite it"
    );
}

#[tokio::test]
async fn lines_hold_what_is_new() {
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = recorded(&folder).await;
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3);
    assert!(lines[0]["request"]["head"].is_object() && lines[1]["request"]["head"].is_null());
    assert_eq!(
        (&lines[1]["request"]["same"], lines[1]["request"]["messages"].as_array().unwrap().len()),
        (&json!(1), 2)
    );
    assert_eq!(lines[2]["request"]["same"], 0);
}

#[tokio::test]
async fn another_request_is_drift_and_shown() {
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = recorded(&folder).await;
    let cassette = Cassette::read(&path, SecretRedactor::default()).unwrap();
    let drift = cassette.player("review", "main").request_answer(&request(&[user("uno")])).await.unwrap_err();
    let shown = drift.to_string();
    assert!(matches!(drift, ModelError::Drift { .. }));
    for line in ["-      \"text\": \"one\"", "+      \"text\": \"uno\""] {
        assert!(shown.contains(line), "{shown}");
    }
    for (run, agent) in [("review", "other"), ("another", "main")] {
        let drift = cassette.player(run, agent).request_answer(&request(&[user("one")])).await.unwrap_err();
        assert!(drift.to_string().contains(&format!("`{agent}`")), "{drift}");
    }
    let player = cassette.player("review", "main");
    talk(&player).await;
    assert!(matches!(player.request_answer(&request(&[user("four")])).await, Err(ModelError::Drift { .. })));
}

#[tokio::test]
async fn the_order_of_keys_is_no_drift() {
    let folder = tempfile::tempdir().unwrap();
    let (path, results) = recorded(&folder).await;
    let turned = ModelRequest {
        tool_choice: Some(serde_json::from_str(r#"{"a":1,"type":"auto"}"#).unwrap()),
        ..request(&[user("one")])
    };
    let played = Cassette::read(&path, SecretRedactor::default())
        .unwrap()
        .player("review", "main")
        .request_answer(&turned)
        .await;
    assert_eq!(played, results[0]);
}

#[tokio::test]
async fn a_damaged_cassette_names_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = recorded(&folder).await;
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    for (damaged, line) in [
        (format!("{}\nrubbish\n", lines[0]), "line 2"),
        (format!("{}\n{}\n", lines[0], lines[1].replace("two", "too")), "line 2"),
        (format!("{}\n", lines[1]), "line 1"),
    ] {
        let error = Cassette::parse(&damaged, "c.jsonl", SecretRedactor::default()).unwrap_err().to_string();
        assert!(error.contains(line), "{error}");
    }
}

#[tokio::test]
async fn a_secret_is_on_no_cassette_and_no_drift() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cassette.jsonl");
    let redact = |text: &str| text.replace("FORMED", "F…");
    let hide =
        SecretRedactor { secrets: vec![truing_core::secret::SecretString::new("canary-12345")], redact };
    let model = Scripted(Mutex::new(vec![
        Ok(answer("you said FORMED; my key is canary-12345")),
        Err(ModelError::InvalidRequest { message: "no such key: canary-12345".into() }),
    ]));
    let recording = CassetteRecording::create(&path, hide).await.unwrap();
    let recorder = recording.recorder(Box::new(model), "review", "main");
    let ask = |model: CassettePlayer, heard: String| async move {
        let mut said = vec![user("a FORMED secret")];
        let first = model.request_answer(&request(&said)).await.unwrap();
        said.extend([first.message, user(&heard)]);
        model.request_answer(&request(&said)).await
    };
    let mut said = vec![user("a FORMED secret")];
    said.extend([recorder.request_answer(&request(&said)).await.unwrap().message, user("and?")]);
    recorder.request_answer(&request(&said)).await.unwrap_err();
    assert!(recording.is_complete());
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(!text.contains("canary") && !text.contains("FORMED") && text.contains("F…"), "{text}");
    // The player has no key.
    let cassette = Cassette::read(&path, SecretRedactor { secrets: Vec::new(), redact }).unwrap();
    let second = ask(cassette.player("review", "main"), "and?".into()).await;
    assert!(matches!(second, Err(ModelError::InvalidRequest { .. })), "{second:?}");
    let drift =
        ask(cassette.player("review", "main"), "a FORMED other".into()).await.unwrap_err().to_string();
    assert!(drift.contains("F… other") && !drift.contains("FORMED"), "{drift}");
}

#[test]
fn only_a_plain_file_of_a_bounded_size_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for path in [pipe.as_path(), std::path::Path::new("/dev/zero")] {
        let error = Cassette::read(path, SecretRedactor::default()).unwrap_err();
        assert!(
            matches!(&error, CassetteError::File { error, .. } if error.to_string().contains("regular file"))
        );
    }
    // A sparse file, whose zeros take no space on the disk.
    let large = folder.path().join("large");
    std::fs::File::create(&large).unwrap().set_len(MAX_CASSETTE_BYTES + 1).unwrap();
    let error = Cassette::read(&large, SecretRedactor::default()).unwrap_err();
    assert!(matches!(error, CassetteError::TooLarge { .. }), "{error}");
}
