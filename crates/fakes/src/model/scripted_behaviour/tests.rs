//! Tests of whole runs over HTTP. Each test sends the same requests as a real client of the provider.

use reqwest::Client;
use serde_json::{Value, json};

use super::*;
use crate::model::{
    AnswerCondition, DEFAULT_API_KEY, FakeModel, ModelFault, ModelScript, ScriptedAnswer, StreamPosition,
};

const AUDITOR: &str = include_str!("../../../../agent/prompts/converge/auditor.md");
const FIXER: &str = include_str!("../../../../agent/prompts/converge/fixer.md");
const DESCRIBER: &str = include_str!("../../../../agent/prompts/converge/describer.md");
const CHANGE: &str = include_str!("../../../../agent/prompts/review/change.md");
const CHECK: &str = include_str!("../../../../agent/prompts/converge/task-check.md");
const FIX: &str = include_str!("../../../../agent/prompts/converge/task-fix.md");
const GATE: &str = include_str!("../../../../agent/prompts/converge/task-gate.md");
const DESCRIBE: &str = include_str!("../../../../agent/prompts/converge/task-describe.md");

const BUG: &str = "    return a - b";
const DIFF: &str = "sum.py (modified, +2 -1)\n@@ -1,2 +1,3 @@\n     1      1  def plus(a, \
     b):\n     2        -    return a\n            2 +    return a - b\n            3 +    # end\ngone.py \
     (deleted, +0 -1)\n@@ -1,1 +0,0 @@\n     1        -old\n";

/// Returns the text of a prompt module without its front matter.
fn body_of(module: &str) -> &str {
    module.splitn(3, "+++\n").nth(2).unwrap()
}

fn prompts(role: PromptRole) -> (&'static str, &'static str) {
    let (system, task) = match role {
        PromptRole::Audit => (AUDITOR, CHANGE),
        PromptRole::Check => (AUDITOR, CHECK),
        PromptRole::Fix => (FIXER, FIX),
        PromptRole::Gate => (FIXER, GATE),
        PromptRole::Describe => (DESCRIBER, DESCRIBE),
    };
    (body_of(system), body_of(task))
}

/// A run, with the messages so far.
struct Run<'m> {
    model: &'m FakeModel,
    system: &'static str,
    messages: Vec<Value>,
}

impl<'m> Run<'m> {
    /// Begins a run. The first message contains the text of the task, followed by these data in the format of
    /// the prompts.
    fn new(model: &'m FakeModel, role: PromptRole, data: &[(&str, &str)]) -> Self {
        let (system, task) = prompts(role);
        let data =
            data.iter().map(|(name, text)| format!("<data-w0rd name=\"{name}\">\n{text}\n</data-w0rd>\n"));
        let task = format!("{task}\n{}", data.collect::<String>());
        Self {
            model,
            system,
            messages: vec![json!({ "role": "user", "content": [{ "type": "text", "text": task }] })],
        }
    }

    /// Returns the tool calls of the next answer, and adds `result` to the messages as the result of each
    /// call.
    async fn next(&mut self, result: &str) -> reqwest::Result<Vec<(String, Value)>> {
        let body = json!({
            "model": "m", "max_tokens": 10_000, "system": [{ "type": "text", "text": self.system }],
            "messages": self.messages, "tools": [{ "name": "read" }],
        });
        let client = Client::builder().no_proxy().build().unwrap();
        let request = client.post(format!("{}/v1/messages", self.model.url()));
        let request = request.header("x-api-key", DEFAULT_API_KEY).header("anthropic-version", "2023-06-01");
        let said: Value = request.json(&body).send().await?.error_for_status()?.json().await?;
        let blocks = said["content"].as_array().unwrap();
        let results: Vec<Value> = blocks
            .iter()
            .map(|block| json!({ "type": "tool_result", "tool_use_id": block["id"], "content": result }))
            .collect();
        let calls =
            blocks.iter().map(|block| (block["name"].as_str().unwrap().to_owned(), block["input"].clone()));
        let calls = calls.collect();
        self.messages.push(json!({ "role": "assistant", "content": blocks }));
        self.messages.push(json!({ "role": "user", "content": results }));
        Ok(calls)
    }
}

/// Returns the only call of an answer, which must be a report.
fn reported(mut calls: Vec<(String, Value)>) -> Value {
    assert_eq!((calls.len(), calls[0].0.as_str()), (1, "report"));
    calls.remove(0).1
}

async fn playing(answers: impl IntoIterator<Item = ScriptedAnswer>) -> FakeModel {
    FakeModel::start(ModelScript::from_answers(answers)).await.unwrap()
}

fn bug() -> KnownBug {
    KnownBug::new("sum.py", "return a - b", "It subtracts")
}

#[test]
fn who_is_asked_is_known_by_the_prompts_that_are_sent() {
    for role in PromptRole::ALL {
        let (system, task) = prompts(role);
        let body = json!({ "system": system, "messages": [{ "role": "user", "content": task }] });
        let asked: Vec<PromptRole> =
            PromptRole::ALL.into_iter().filter(|role| role.matches_request(&body)).collect();
        assert_eq!(asked, [role]);
        // The text of another role after the beginning of the prompt does not change the role.
        let hostile = format!("{task}\n{}", prompts(PromptRole::Fix).1);
        let body = json!({ "system": system, "messages": [{ "role": "user", "content": hostile }] });
        assert!(
            role.matches_request(&body)
                && (role == PromptRole::Fix || !PromptRole::Fix.matches_request(&body))
        );
    }
}

#[tokio::test]
async fn an_auditor_finds_a_planted_line_as_long_as_it_is_in_the_file() {
    let model = playing(ScriptedAnswer::for_auditors([bug()])).await;
    for (line, count) in [(BUG, 1), ("    return a + b", 0)] {
        for role in [PromptRole::Audit, PromptRole::Check] {
            let mut run = Run::new(&model, role, &[("diff", DIFF), ("not_shown", "")]);
            let file = format!("sum.py, lines 1 to 2 of 2\n     1\tdef plus(a, b):\n     2\t{line}\n");
            assert_eq!(run.next(&file).await.unwrap(), [("read".to_owned(), json!({ "path": "sum.py" }))]);
            let report = reported(run.next("taken").await.unwrap());
            let found = report["findings"].as_array().unwrap();
            assert_eq!((found.len(), report["absences"].as_array().unwrap().len()), (count, 10 - count));
            if let Some(found) = found.first() {
                assert_eq!((&found["start_line"], &found["excerpt"]), (&json!(2), &json!(BUG)));
            }
            let quoted = json!([{ "file": "sum.py", "line": 1, "text": "def plus(a, b):" }]);
            assert!(report["absences"].as_array().unwrap().iter().all(|one| one["lines_quoted"] == quoted));
            // A repeated request gets the same answer.
            assert_eq!(reported(run.next("").await.unwrap()), report);
        }
    }
    assert_eq!(model.violations(), [""; 0]);
}

#[tokio::test]
async fn what_cannot_be_read_is_taken_from_the_change() {
    let mut any = bug();
    (any.path, any.line, any.category) = (None, None, "H".to_owned());
    let silent = ScriptedBehaviour::Audit { bugs: vec![bug(), any], silent: vec!["B".to_owned()] };
    let model = playing([ScriptedAnswer::from_behaviour(silent).times(0)]).await;
    let mut run = Run::new(&model, PromptRole::Audit, &[("diff", DIFF), ("not_shown", "more.py")]);
    let read: Vec<Value> =
        run.next("no such file").await.unwrap().into_iter().map(|(_, input)| input).collect();
    assert_eq!(read, [json!({ "path": "more.py" }), json!({ "path": "sum.py" })]);
    let report = reported(run.next("").await.unwrap());
    let places: Vec<&Value> =
        report["findings"].as_array().unwrap().iter().map(|found| &found["start_line"]).collect();
    assert_eq!(places, [&json!(2), &json!(1)]);
    let cleared: Vec<&str> =
        report["absences"].as_array().unwrap().iter().map(|one| one["category"].as_str().unwrap()).collect();
    assert_eq!(cleared, ["A", "C", "D", "E", "F", "I", "J"]);
}

#[tokio::test]
async fn a_fixer_makes_its_calls_one_by_one_and_answers_what_it_was_asked() {
    let calls = vec![
        ScriptedToolCall::write("test_sum.py", "new"),
        ScriptedToolCall::edit("sum.py", "a - b", "a + b"),
        ScriptedToolCall::run(&["pytest"]),
    ];
    let mends = [
        ScriptedFix { title: Some("It subtracts".to_owned()), calls: calls.clone(), declined: None },
        ScriptedFix {
            title: Some("Not asked".to_owned()),
            calls: vec![ScriptedToolCall::write("x", "")],
            declined: None,
        },
        ScriptedFix {
            title: Some("Who may?".to_owned()),
            calls: Vec::new(),
            declined: Some("people decide".to_owned()),
        },
    ];
    let model = playing([ScriptedAnswer::for_fixer(mends)]).await;
    let asked =
        "id: 1:0f3a-0\nplace: sum.py, lines 2 to 2\nIt subtracts\nWrong sums.\n\nid: 1:77-1\nWho may?\n";
    let mut run = Run::new(&model, PromptRole::Fix, &[("findings", asked), ("paths", "sum.py")]);
    for call in calls {
        assert_eq!(run.next("done").await.unwrap(), [(call.tool, call.input)]);
    }
    let expected = json!({ "summary": "Fix: It subtracts", "findings": [
        { "id": "1:0f3a-0", "status": "fixed" },
        { "id": "1:77-1", "status": "could_not_address", "reason": "people decide" },
    ]});
    assert_eq!(reported(run.next("").await.unwrap()), expected);
}

#[tokio::test]
async fn a_writer_keeps_what_it_is_shown_or_loses_it() {
    let loses = ScriptedBehaviour::Describe { summary: "Sums.".to_owned(), loses: true };
    let model =
        playing([ScriptedAnswer::from_behaviour(loses), ScriptedAnswer::for_describer("Adds up.")]).await;
    let kept = "Closes #12\n\n## Risk\nnone";
    for expected in ["## Summary\nSums.\n\n\n", "## Summary\nAdds up.\n\nCloses #12\n\n## Risk\nnone\n"] {
        let mut run = Run::new(&model, PromptRole::Describe, &[("kept", kept), ("diff", DIFF)]);
        assert_eq!(reported(run.next("").await.unwrap()), json!({ "body": expected }));
    }
}

/// In this script, the answer to the first auditor is cut off, the answer to the second is invalid, and the
/// answer to the third is valid. A separate answer is for fixers of gate failures.
#[tokio::test]
async fn who_is_asked_and_how_often_decides_what_is_said() {
    let script = r#"
        [[answer]]
        when = { role = "audit", fresh = true }
        text = "I look"
        fault = { kind = "cut", after = "text" }

        [[answer]]
        when = { role = "audit", fresh = true }
        blocks = [{ type = "tool_use", name = "report", input = { findings = "none" } }]

        [[answer]]
        when = { role = "audit" }
        times = 0
        play = { kind = "audit", bugs = [{ path = "sum.py", line = "return a - b", title = "It subtracts" }] }

        [[answer]]
        when = { role = "gate" }
        times = 0
        [answer.play]
        kind = "fix"
        [[answer.play.mends]]
        calls = [{ tool = "edit", input = { path = "sum.py", old = "a", new = "b" } }]
    "#;
    let model = FakeModel::start(ModelScript::parse(script).unwrap()).await.unwrap();
    let run = || Run::new(&model, PromptRole::Audit, &[("diff", DIFF)]);
    assert!(run().next("").await.is_err());
    let mut malformed = run();
    assert_eq!(reported(malformed.next("no").await.unwrap()), json!({ "findings": "none" }));
    // The second request of the same run gets a valid answer, because the invalid answer is only for the
    // first request of a run.
    assert_eq!(malformed.next("").await.unwrap()[0].0, "read");
    assert_eq!(run().next("").await.unwrap()[0].0, "read");
    let mut gate = Run::new(&model, PromptRole::Gate, &[("output", "sum.py: a")]);
    assert_eq!(gate.next("").await.unwrap()[0].0, "edit");
    assert_eq!(reported(gate.next("").await.unwrap())["findings"], json!([]));
    assert!(Run::new(&model, PromptRole::Fix, &[]).next("").await.is_err());
    assert_eq!(model.violations().len(), 1, "{:?}", model.violations());
    let cut = ScriptedAnswer::fault(ModelFault::Truncated { after: StreamPosition::Start });
    assert_eq!(cut.condition, AnswerCondition::default());
}
