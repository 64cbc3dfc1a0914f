//! Recordings of the real program's output. With the recordings, the tests check how runs end even on
//! machines that lack the program. Another test runs the program itself if it is installed.
//!
//! `UPDATE_STREAMS=1 cargo test -p truing-agent --lib -- recorded` makes new recordings. It runs the program
//! that `cargo xtask test` installs, in the version that this runtime was measured with. Host names,
//! identifiers of a run and times are removed from the recordings.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test helper may panic to \
    make a test fail"
)]

use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Duration;
use truing_core::ledger::TokenUsage;
use truing_core::money::MicroUsd;
use truing_core::secret::SecretString;
use truing_model::messages::{KnownBlock, MessageBlock, MessageRole, ModelMessage};

use super::conversation::HINTS;
use super::relay::{CliRelay, ProgramMessage, RelayReply};
use super::stream::CliStream;
use truing_core::agent::CLI_VERSION;

use super::{BASE_URL_VARIABLE, MESSAGE_QUEUE_CAPACITY, invocation, wire};
use crate::mcp::McpTool;
use crate::native::{RunLimits, ToolCallOutput};

/// A model whose price the program knows.
const MODEL: &str = "claude-sonnet-5-5";
/// Number of tool calls in one scripted response.
const CALLS: usize = 4;
/// Time in which a parallel call would certainly arrive, since parallel calls arrive within a few
/// milliseconds.
const PARALLEL_CALL_WINDOW: Duration = Duration::from_millis(400);

/// A scripted response to one of the program's model requests, or to a tool call.
#[derive(Clone, Copy)]
enum ScriptedReply {
    /// A response that has only text.
    Text,
    /// A call of the only tool, in a response that reports this token usage.
    Call(u64),
    /// A text response with which the model declines the task.
    Refusal,
    /// A response that denies the request.
    Forbidden,
    /// The program is killed by this signal.
    Kill(Signal),
}

struct RecordedCase {
    name: &'static str,
    /// Number of prompts sent to the program.
    prompt_count: usize,
    /// Responses to the program's model requests, and the response to its tool calls. Further model requests
    /// get the last response again.
    model_replies: &'static [ScriptedReply],
    tool_reply: ScriptedReply,
    /// Expected prefix of the run's end in its debug format.
    end: &'static str,
}

const RECORDED_CASES: [RecordedCase; 8] = [
    RecordedCase {
        name: "clean",
        prompt_count: 1,
        model_replies: &[ScriptedReply::Call(10), ScriptedReply::Text],
        tool_reply: ScriptedReply::Text,
        end: "ProgramFailed(\"claude ended (success) before the model sent its report\")",
    },
    RecordedCase {
        name: "max-turns",
        prompt_count: 1,
        model_replies: &[ScriptedReply::Call(10)],
        tool_reply: ScriptedReply::Text,
        end: "Limit(Turns)",
    },
    RecordedCase {
        name: "money",
        prompt_count: 1,
        model_replies: &[ScriptedReply::Call(9_000_000)],
        tool_reply: ScriptedReply::Text,
        end: "Limit(Money)",
    },
    RecordedCase {
        name: "refusal",
        prompt_count: 1,
        model_replies: &[ScriptedReply::Refusal],
        tool_reply: ScriptedReply::Text,
        end: "ProgramFailed(\"claude ended with api_error: API Error: Sonnet 5.5's safeguards flagged this \
            message",
    },
    RecordedCase {
        name: "forbidden",
        prompt_count: 1,
        model_replies: &[ScriptedReply::Forbidden],
        tool_reply: ScriptedReply::Text,
        end: "ProgramFailed(\"claude ended with api_error: Failed to authenticate. API Error: 403 this run's \
              money is used up",
    },
    RecordedCase {
        name: "two-results",
        prompt_count: 2,
        model_replies: &[ScriptedReply::Text, ScriptedReply::Forbidden],
        tool_reply: ScriptedReply::Text,
        end: "ProgramFailed(\"claude ended with api_error: Failed to authenticate. API Error: 403 this run's \
              money is used up",
    },
    RecordedCase {
        name: "interrupted",
        prompt_count: 1,
        model_replies: &[ScriptedReply::Kill(Signal::INT)],
        tool_reply: ScriptedReply::Text,
        end: "ProgramFailed(\"claude ended with aborted_streaming: ",
    },
    RecordedCase {
        name: "killed",
        prompt_count: 1,
        model_replies: &[ScriptedReply::Call(10)],
        tool_reply: ScriptedReply::Kill(Signal::KILL),
        end: "ProgramFailed(\"claude ended (signal: 9 (SIGKILL)) without a result\")",
    },
];

/// A recording: the program's version, its exit status and its output.
struct ProgramRecording {
    version: String,
    status: ExitStatus,
    lines: String,
}

fn should_rerecord() -> bool {
    std::env::var_os("UPDATE_STREAMS").is_some()
}

fn recordings_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli/recordings")
}

fn load_recording(name: &str) -> ProgramRecording {
    let text = std::fs::read_to_string(recordings_folder().join(format!("{name}.jsonl"))).unwrap();
    let (head, lines) = text.split_once('\n').unwrap();
    let head: Value = serde_json::from_str(head).unwrap();
    let status = head["status"].as_i64().and_then(|status| i32::try_from(status).ok()).unwrap();
    let version = head["claude"].as_str().unwrap().to_owned();
    ProgramRecording { version, status: ExitStatus::from_raw(status), lines: lines.to_owned() }
}

fn run_end(lines: &[u8], status: ExitStatus) -> String {
    let mut stream = CliStream::default();
    // The lines are read in small chunks, because the result must not depend on the size of the chunks.
    for part in lines.chunks(7) {
        stream.read(part);
    }
    stream.finish_line();
    format!("{:?}", stream.run_end(status, ""))
}

#[tokio::test]
async fn what_the_program_printed_comes_to_the_end_that_it_had() {
    if should_rerecord() {
        for story in &RECORDED_CASES {
            record_case(story).await;
        }
    }
    for story in &RECORDED_CASES {
        let ProgramRecording { version, status, lines } = load_recording(story.name);
        assert_eq!(
            version, CLI_VERSION,
            "{}: the recording is of another version: make a new recording as described above",
            story.name
        );
        let told = run_end(lines.as_bytes(), status);
        assert!(told.starts_with(story.end), "{}: {told}", story.name);
        // The recording contains no path or host name of the machine that made it.
        for word in ["/home/", "/root", "/tmp", "127.0.0.1", "localhost", ".local"] {
            assert!(!lines.contains(word), "{}: {word}", story.name);
        }
    }
}

/// A stream that is cut short or mixed with other output is never read as a successful run.
#[test]
fn a_stream_that_is_cut_or_disturbed_is_never_more_than_it_was() {
    if should_rerecord() {
        return; // They are being written.
    }
    let good = load_recording("clean");
    let whole = good.lines.trim_end();
    let result = whole.rfind('\n').unwrap() + 1;
    assert!(whole[result..].contains("\"terminal_reason\":\"completed\""), "{}", &whole[result..]);
    for cut in (0..whole.len()).filter(|cut| whole.is_char_boundary(*cut)) {
        let told = run_end(&whole.as_bytes()[..cut], good.status);
        assert_eq!(told, "ProgramFailed(\"claude ended (exit status: 0) without a result\")", "{cut}");
    }
    let other = load_recording("max-turns");
    let noise = "\u{0}\n[]\nnull\n{\"type\":\"result\"\n7\n\
                 {\"type\":\"result_\",\"terminal_reason\":\"x\"}\n\u{fffd}\n";
    let disturbed: String = other.lines.lines().map(|line| format!("{noise}{line}\n{noise}")).collect();
    assert_eq!(run_end(disturbed.as_bytes(), other.status), "Limit(Turns)");
    // If the stream contains two results, the error takes precedence.
    for mixed in [[&good.lines, &other.lines], [&other.lines, &good.lines]] {
        assert_eq!(run_end(mixed.map(String::as_str).concat().as_bytes(), good.status), "Limit(Turns)");
    }
}

/// Returns the path of the program, if it is installed.
fn find_program() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.join("target/tools/claude").join(CLI_VERSION).join("claude").canonicalize().ok()
}

/// The output of one run of the program. `names` are the run's folder and address, with the texts that
/// replace them in a recording.
struct ProgramRun {
    output: std::process::Output,
    names: [(String, &'static str); 2],
}

/// Runs the program and sends it the prompt `lines` times. `answers` answers the program's messages in place
/// of a run.
async fn run_program<F: Future<Output = ()>>(
    program: &Path,
    prompt_count: usize,
    answers: impl FnOnce(mpsc::Receiver<ProgramMessage>, Pid) -> F,
) -> ProgramRun {
    let place = tempfile::tempdir().unwrap();
    let token = SecretString::new("run-token");
    let (message_sender, message_receiver) = mpsc::channel(MESSAGE_QUEUE_CAPACITY);
    let offer = McpTool {
        name: "read".to_owned(),
        title: "read".to_owned(),
        description: "Shows a file".to_owned(),
        input_schema: json!({ "type": "object", "properties": { "path": { "type": "string" } } }),
        output_schema: None,
        hints: HINTS,
    };
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(CliRelay::new(&token, vec![offer], message_sender).serve(listener));

    let limits = RunLimits { turns: 0, max_cost: Some(MicroUsd(1_000_000)), ..RunLimits::default() };
    let mut command = tokio::process::Command::new(program);
    command.args(invocation::program_arguments(MODEL, &limits, invocation::PLACEHOLDER_PROMPT));
    command.current_dir(place.path()).env_clear();
    command.envs(invocation::environment_variables(token.expose())).env(BASE_URL_VARIABLE, &address);
    for home in ["HOME", "TMPDIR", "CLAUDE_CONFIG_DIR", "CLAUDE_CODE_TMPDIR"] {
        command.env(home, place.path());
    }
    let file = place.path().join("words");
    std::fs::write(&file, wire::encode_task("Go.").repeat(prompt_count)).unwrap();
    command.stdin(std::fs::File::open(file).unwrap()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.kill_on_drop(true).spawn().unwrap();
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw).unwrap();
    let output = tokio::select! {
        output = child.wait_with_output() => output.unwrap(),
        () = answers(message_receiver, pid) => panic!("the server ended"),
    };
    server.abort();
    ProgramRun { output, names: [(place.path().display().to_string(), "/run"), (address, "http://run")] }
}

/// Runs the program and stores its output as a recording.
async fn record_case(story: &RecordedCase) {
    let program = find_program().expect("the program is where `cargo xtask test` puts it");
    let ran =
        run_program(&program, story.prompt_count, |messages, pid| answer_messages(story, messages, pid))
            .await;
    let mut text =
        json!({ "claude": CLI_VERSION, "status": ran.output.status.into_raw() }).to_string() + "\n";
    for line in String::from_utf8(ran.output.stdout).unwrap().lines() {
        let mut event: Value = serde_json::from_str(line).unwrap();
        strip_run_names(&mut event, &ran.names);
        text += &format!("{event}\n");
    }
    std::fs::create_dir_all(recordings_folder()).unwrap();
    std::fs::write(recordings_folder().join(format!("{}.jsonl", story.name)), text).unwrap();
}

/// The program makes the calls of one response one after another, because a tool's effect may depend on the
/// previous call.
#[tokio::test]
async fn the_program_makes_the_calls_of_one_answer_one_after_another() {
    let Some(program) = find_program() else { return };
    let (tell, told) = oneshot::channel();
    let answers = async |mut messages: mpsc::Receiver<ProgramMessage>, _: Pid| {
        let (mut made, mut tell) = (Vec::new(), Some(tell));
        while let Some(one) = messages.recv().await {
            match one {
                ProgramMessage::ModelRequest { headers, body, reply_sender: back, .. } => {
                    let asked = wire::read_request(&body, &headers).unwrap();
                    let blocks = if made.is_empty() {
                        (0..CALLS)
                            .map(|number| call_block(number, json!({ "path": number.to_string() })))
                            .collect()
                    } else {
                        tell.take().map(|tell| tell.send(std::mem::take(&mut made)));
                        vec![MessageBlock::text("That is all.")]
                    };
                    drop(back.send(scripted_response(blocks, 1, 10, &asked)));
                }
                ProgramMessage::ToolCall { input, reply_sender: back, .. } => {
                    made.push(input["path"].as_str().unwrap().to_owned());
                    // A parallel call would arrive immediately, before the response to this call.
                    let next = tokio::time::timeout(PARALLEL_CALL_WINDOW, messages.recv()).await;
                    assert!(
                        next.is_err(),
                        "the program made another call before the last call of {made:?} was answered"
                    );
                    drop(back.send(ToolCallOutput {
                        text: "x".to_owned(),
                        is_error: false,
                        is_denied: false,
                    }));
                }
            }
        }
    };
    let ran = run_program(&program, 1, answers).await;
    assert!(ran.output.status.success(), "{:?}", ran.output);
    let all: Vec<String> = (0..CALLS).map(|number| number.to_string()).collect();
    assert_eq!(told.await.unwrap(), all);
}

/// Answers the program's messages from the script.
async fn answer_messages(story: &RecordedCase, mut messages: mpsc::Receiver<ProgramMessage>, pid: Pid) {
    let mut asked = 0;
    // Response channels of unanswered requests, which stay open until the program exits.
    let mut open = Vec::new();
    while let Some(message) = messages.recv().await {
        match message {
            ProgramMessage::ModelRequest { headers, body, reply_sender: back, .. } => {
                let meets = story.model_replies.get(asked).or(story.model_replies.last()).copied().unwrap();
                asked += 1;
                let read = wire::read_request(&body, &headers).unwrap();
                if let ScriptedReply::Kill(signal) = meets {
                    open.push(Box::new(back) as Box<dyn Send>);
                    kill_process(pid, signal).unwrap();
                    continue;
                }
                drop(back.send(reply_to_request(meets, asked, &read)));
            }
            ProgramMessage::ToolCall { reply_sender: back, .. } => {
                if let ScriptedReply::Kill(signal) = story.tool_reply {
                    open.push(Box::new(back));
                    kill_process(pid, signal).unwrap();
                    continue;
                }
                drop(back.send(ToolCallOutput {
                    text: "x = 1".to_owned(),
                    is_error: false,
                    is_denied: false,
                }));
            }
        }
    }
}

fn reply_to_request(reply: ScriptedReply, nth: usize, request: &wire::CliRequest) -> RelayReply {
    match reply {
        ScriptedReply::Forbidden | ScriptedReply::Kill(_) => {
            RelayReply::Refusal("this run's money is used up".to_owned())
        }
        ScriptedReply::Call(tokens) => {
            scripted_response(vec![call_block(nth, json!({ "path": "a.py" }))], nth, tokens, request)
        }
        ScriptedReply::Text => scripted_response(vec![MessageBlock::text("That is all.")], nth, 10, request),
        ScriptedReply::Refusal => {
            match scripted_response(vec![MessageBlock::text("That is all.")], nth, 10, request) {
                RelayReply::Response { body, streams } => {
                    let body = String::from_utf8(body).unwrap().replace("end_turn", "refusal");
                    RelayReply::Response { body: body.into_bytes(), streams }
                }
                refused @ RelayReply::Refusal(_) => refused,
            }
        }
    }
}

fn call_block(nth: usize, input: Value) -> MessageBlock {
    MessageBlock::Known(KnownBlock::ToolUse { id: format!("toolu_{nth:08}"), name: "read".to_owned(), input })
}

fn scripted_response(
    content: Vec<MessageBlock>,
    nth: usize,
    tokens: u64,
    request: &wire::CliRequest,
) -> RelayReply {
    let message = ModelMessage { role: MessageRole::Assistant, content };
    let usage = TokenUsage { input: tokens, output: 10, ..TokenUsage::default() };
    let id = format!("msg_{nth:08}");
    RelayReply::Response {
        body: wire::encode_answer(&message, &id, &request.model, &usage, request.streams),
        streams: request.streams,
    }
}

/// Removes host names, identifiers of a run and times.
fn strip_run_names(value: &mut Value, names: &[(String, &str)]) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let is_time = ["_ms", "timestamp", "ttft", "duration"].iter().any(|part| name.contains(part));
                let is_name =
                    ["uuid", "session_id", "request_id", "messaging_socket_path"].contains(&name.as_str());
                match value {
                    Value::Number(_) if is_time => *value = json!(1),
                    Value::String(_) if is_time || is_name => *value = json!("x"),
                    Value::Null
                    | Value::Bool(_)
                    | Value::Number(_)
                    | Value::String(_)
                    | Value::Array(_)
                    | Value::Object(_) => strip_run_names(value, names),
                }
            }
        }
        Value::Array(all) => all.iter_mut().for_each(|value| strip_run_names(value, names)),
        Value::String(text) => {
            for (name, by) in names {
                *text = text.replace(name, by);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
