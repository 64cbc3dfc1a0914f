//! Tests of `truing findings match` with the real program.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

/// Runs `truing findings match` with this input. Returns the exit code, the parsed output, and the text on
/// standard error.
fn run_match(input: &str) -> (i32, Vec<Value>, String) {
    let home = tempfile::tempdir().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_truing"))
        .args(["findings", "match"])
        .env_clear()
        .env("HOME", home.path())
        .current_dir(home.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let lines = String::from_utf8(output.stdout).unwrap();
    let answers = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    (output.status.code().unwrap(), answers, String::from_utf8(output.stderr).unwrap())
}

const AWAIT: &str = "Missing `await` on `client.get_object` in `fetch_blob`: the call returns a coroutine.";
const AWAIT_AGAIN: &str = "The coroutine from get_object() is never awaited in fetch_blob.";

fn match_line(id: Value, a: (&str, &str), b: (&str, &str)) -> String {
    let said = |(path, text): (&str, &str)| json!({ "path": path, "text": text });
    format!("{}\n", json!({ "id": id, "a": said(a), "b": said(b), "same": "further fields are no error" }))
}

#[test]
fn other_words_are_the_same_finding_and_another_function_or_file_is_not() {
    let input = match_line(json!("reworded"), ("a.py", AWAIT), ("a.py", AWAIT_AGAIN))
        + "\n"
        + &match_line(json!(2), ("a.py", AWAIT), ("a.py", &AWAIT.replace("fetch_blob", "fetch_list")))
        + &match_line(Value::Null, ("a.py", AWAIT), ("b.py", AWAIT));
    let (exit, answers, err) = run_match(&input);
    assert_eq!((exit, err.as_str()), (0, ""));
    let told: Vec<_> = answers.iter().map(|answer| (answer["id"].clone(), answer["same"].clone())).collect();
    assert_eq!(
        told,
        [(json!("reworded"), json!(true)), (json!(2), json!(false)), (Value::Null, json!(false))]
    );
    for answer in answers {
        let score = answer["score"].as_f64().unwrap();
        assert!((0.0..=1.0).contains(&score) && (score >= 0.5) == answer["same"], "{answer}");
    }
}

#[test]
fn the_code_tells_two_places_apart_that_are_described_alike() {
    let text = "The result of this call is ignored.";
    let pair = |a: &str, b: &str| {
        let said = |snippet: &str| json!({ "path": "a.go", "text": text, "snippet": snippet });
        json!({ "id": 1, "a": said(a), "b": said(b) }).to_string()
    };
    let same = pair("_ = store.SaveOrder(ctx, order)", "    _ = store.SaveOrder(ctx, order)");
    let other = pair("_ = store.SaveOrder(ctx, order)", "_ = mailer.SendReceipt(customer)");
    let (_, answers, _) = run_match(&format!("{same}\n{other}\n"));
    assert_eq!((&answers[0]["same"], &answers[1]["same"]), (&json!(true), &json!(false)));
}

#[test]
fn a_bad_line_is_told_with_its_number_after_the_answers_before_it() {
    let good = match_line(json!(1), ("a.py", AWAIT), ("a.py", AWAIT));
    for (bad, what) in [
        ("{\"id\":2,\"a\":{\"path\":\"a.py\"}}", "missing field `text`"),
        ("nonsense", "expected ident"),
        ("{\"id\":2,\"a\":7}", "invalid type"),
    ] {
        let (exit, answers, err) = run_match(&format!("{good}{bad}\n{good}"));
        assert_eq!((exit, answers.len()), (2, 1), "{bad}");
        assert!(err.starts_with("error: line 2 of standard input: "), "{err}");
        assert!(err.contains(what) && err.contains("\nhint: "), "{err}");
    }
    assert_eq!(run_match("").0, 0);
}
