//! Tests of a model's tools that run in a separate reader process.

use serde_json::{Value, json};
use truing_agent::native::{RunTools as _, ToolCallOutput};
use truing_loops::reader::{MAX_PROCESSES_PER_RUN, ReaderTools};
use truing_reader::protocol::{MAX_CALL_BYTES, ToolsRequest};
use truing_reader::tools::MAX_REPLY_BYTES;

use super::*;

const CHANGE: &[u8] = b"--- a/a.py\n+++ b/a.py\n@@ -0,0 +1 @@\n+x\n";

fn reader_tools(stage: &Stage, program: impl Into<PathBuf>) -> ReaderTools {
    let request = ToolsRequest { tree: stage.path("tree"), readable_files: None, always: vec![] };
    ChildProcessReader::new(program).tools(request, CHANGE).with_time_limit(PATIENCE)
}

async fn read_through_tools(tools: &ReaderTools) -> ToolCallOutput {
    tools.call("read", &json!({"path": "a.py", "end_line": 1})).await
}

#[tokio::test]
async fn one_process_carries_out_the_calls_of_a_run_and_dies_with_it() {
    let stage = Stage::new();
    let program =
        stage.write_impostor(&format!("echo $$ > $0.pid; echo x >> $0.starts; exec {TRUING} \"$@\""));
    let tools = reader_tools(&stage, program);
    let names: Vec<String> = tools.tool_definitions().into_iter().map(|tool| tool.name).collect();
    assert_eq!(names, ["read", "list", "glob", "grep", "symbol", "diff"]);
    let pattern = json!({"pattern": "two"});
    let (first, second) = tokio::join!(read_through_tools(&tools), tools.call("grep", &pattern));
    assert_eq!(first.text, "a.py, lines 1 to 1 of 5\n     1\t<<<<<<< HEAD\n");
    assert_eq!(second.text, "1 match for `two`\na.py\n     4: two\n");
    for (name, input, told) in [
        ("read", json!({"path": "/etc/passwd"}), "is not a valid path in this tree"),
        ("read", json!("x".repeat(MAX_CALL_BYTES)), "the call is too long"),
        ("write", Value::Null, "there is no tool `write`; there are: read, list, glob, grep, symbol, diff"),
        ("diff", json!({"path": "b.py"}), "does not touch `b.py`"),
    ] {
        let wrong = tools.call(name, &input).await;
        assert!(wrong.is_error && wrong.text.contains(told), "{}", wrong.text);
    }
    assert!(!read_through_tools(&tools).await.is_error);
    assert_eq!(std::fs::read_to_string(stage.path("impostor.starts")).unwrap(), "x\n");
    assert_eq!(tools.failures().await, [""; 0]);
    let pid = stage.impostor_pid("pid").await;
    assert!(!is_dead(pid));
    drop(tools);
    wait_until("the process is dead", || is_dead(pid)).await;
}

#[tokio::test]
async fn a_tree_that_has_changed_is_looked_at_anew_as_often_as_it_does() {
    let stage = Stage::new();
    // If a tree contains a git folder, the reader gets access to each other entry of the tree separately. It
    // can therefore open only entries that existed when it started.
    std::fs::create_dir(stage.path("tree/.git")).unwrap();
    let tools = reader_tools(&stage, TRUING);
    assert!(!read_through_tools(&tools).await.is_error);
    for turn in 0..=MAX_PROCESSES_PER_RUN {
        let name = format!("new-{turn}");
        stage.write(&name, b"made\n");
        let look = json!({ "path": name });
        assert!(tools.call("read", &look).await.is_error);
        tools.clear_cache().await;
        let seen = tools.call("read", &look).await;
        assert!(seen.text.contains("     1\tmade\n"), "{}", seen.text);
    }
    assert_eq!(tools.failures().await, [""; 0]);
}

#[tokio::test]
async fn a_process_that_does_not_reply_well_fails_its_call_and_is_told_by_what_it_did() {
    let stage = Stage::new();
    let opened = r#"hello; read -r request; say '{"Ok":null}'; read -r call"#;
    let long = MAX_REPLY_BYTES + 1;
    for (body, told) in [
        ("exit 0", "exited before it answered (exit status: 0)"),
        ("echo 'no room' >&2; exit 3", "(exit status: 3); its output: no room"),
        ("echo Welcome; exec cat", "its hello cannot be parsed"),
        ("exec cat /dev/zero", "its hello is too long"),
        (r#"say '{"protocol":2,"version":"0.0.0","sandbox":"full"}'; exec cat"#, "restart the service"),
        ("hello; exec cat /dev/zero", "its answer is too long"),
        (r#"hello; say '{"Err":{"Failed":"no \u001b[2J\nroom"}}'; exec cat"#, "no [2J; room"),
        ("OPENED; exec cat /dev/zero", "its reply is too long"),
        ("OPENED; say nonsense; exec cat", "its reply cannot be parsed"),
        ("OPENED; kill -SEGV $$", "exited before it answered (signal: 11"),
        (
            r#"OPENED; say '{"number":2,"reply":{"text":"","is_error":false}}'; exec cat"#,
            "the reader replied to call 2, not to call 1",
        ),
        (
            r#"OPENED; printf '{"number":1,"reply":{"is_error":false,"text":"'; head -c LONG /dev/zero |
               tr '\0' x; say '"}}'; exec cat"#,
            "the text of the reply is too long",
        ),
    ] {
        let body = body.replace("OPENED", opened).replace("LONG", &long.to_string());
        let tools = reader_tools(&stage, stage.write_impostor(&body));
        let failed = read_through_tools(&tools).await;
        assert!(failed.is_error && failed.text.contains("could not be carried out"), "{}", failed.text);
        let failures = tools.failures().await;
        assert!(failures.len() == 1 && failures[0].contains(told), "{body}: {failures:?}");
    }
}

#[tokio::test]
async fn after_a_failure_there_is_a_new_process_but_not_for_ever() {
    let stage = Stage::new();
    let once = format!("[ -e $0.was ] && exec {TRUING} \"$@\"\ntouch $0.was; exit 1");
    let mended = reader_tools(&stage, stage.write_impostor(&once));
    assert!(read_through_tools(&mended).await.is_error);
    assert!(!read_through_tools(&mended).await.is_error);
    assert_eq!(mended.failures().await.len(), 1);

    let broken = reader_tools(&stage, "/no/such/program");
    for _ in 0..MAX_PROCESSES_PER_RUN {
        assert!(read_through_tools(&broken).await.text.contains("could not be carried out"));
    }
    let refused = read_through_tools(&broken).await;
    assert!(refused.is_error && refused.text.contains("cannot be used any more"), "{}", refused.text);
    assert_eq!(broken.failures().await.len(), MAX_PROCESSES_PER_RUN);
    // The tool `diff` does not need a reader process, so it still works.
    assert!(broken.call("diff", &json!({})).await.text.contains("           1 +x\n"));
}

#[tokio::test]
async fn a_process_that_hangs_in_a_call_is_killed_in_time_or_with_its_run() {
    let stage = Stage::new();
    let body = r#"hello; read -r request; say '{"Ok":null}'; read -r call; echo $$ > $0.pid; kill -STOP $$"#;
    // On a busy machine, the time limit may expire before the child hangs. The test then repeats the call
    // with twice the limit.
    let mut time = Duration::from_millis(500);
    let failures = loop {
        let hanging = reader_tools(&stage, stage.write_impostor(body)).with_time_limit(time);
        assert!(read_through_tools(&hanging).await.is_error);
        let failures = hanging.failures().await;
        if stage.path("impostor.pid").exists() {
            break failures;
        }
        time *= 2;
        assert!(time < PATIENCE, "it never hung: {failures:?}");
    };
    let told = format!("did not answer within {} s and was killed", time.as_secs_f32());
    assert!(failures[0].contains(&told), "{failures:?}");
    let pid = stage.impostor_pid("pid").await;
    wait_until("it is dead", || is_dead(pid)).await;

    std::fs::remove_file(stage.path("impostor.pid")).unwrap();
    let given_up = reader_tools(&stage, stage.path("impostor"));
    let pid = tokio::select! {
        output = read_through_tools(&given_up) => panic!("{output:?}"),
        pid = stage.impostor_pid("pid") => pid,
    };
    wait_until("it is dead", || is_dead(pid)).await;
}
