//! Tests that a model classifies and ports with the same results in both runtimes. The runtime `cli` uses the
//! real `claude` program.

use serde_json::{Value, json};
use truing_fakes::model::{AnswerBlock, ScriptedAnswer};

use super::bump::{CHECK, PORT, Scene, parse_result, report_answer, right_port_answers, write};
use super::classify::two_verdicts_answer;
use super::claude::find_claude;
use super::site::BRANCH;
use super::steady::normalize_output;

/// A test case: name, job configuration, further configuration, release, result with exit code, and the
/// model's answers.
type Story =
    (&'static str, &'static str, &'static str, &'static str, (&'static str, i32), Vec<ScriptedAnswer>);

fn tool_call(name: &str, input: Value) -> AnswerBlock {
    AnswerBlock::ToolUse { name: name.to_owned(), input, json: None }
}

fn read_answer(path: &str) -> ScriptedAnswer {
    ScriptedAnswer::tool("read", json!({ "path": path }))
}

/// Returns the fields of a run's record that do not depend on time.
fn stable_record(record: &Value) -> Value {
    let steps = record["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| json!([step["id"], step["turns"], step["tokens"], step["cost_micro_usd"]]));
    let fields = ["exit_reason", "update_type", "model", "prompt_hash", "evidence", "cost_micro_usd", "to"];
    let fields: Value = fields.iter().map(|name| json!([name, record[*name]])).collect();
    json!([fields, steps.collect::<Value>()])
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_script_comes_to_the_same_in_both_runtimes() {
    let Some(program) = find_claude() else { return };
    const CODE: &str = "mode = \"code\"";
    // All calls are in one answer. Each call needs the effect of the previous one, and the last two calls
    // show the result.
    let chain = ScriptedAnswer {
        blocks: vec![
            tool_call("write", json!({ "path": "ours/m.py", "content": "one\n" })),
            tool_call("edit", json!({ "path": "ours/m.py", "old": "one", "new": "two" })),
            tool_call("write", json!({ "path": "pyproject.toml", "content": "x\n" })),
            tool_call("edit", json!({ "path": "ours/m.py", "old": "two\n", "new": PORT })),
            tool_call("run", json!({ "argv": ["git", "diff", "--stat"] })),
            tool_call("read", json!({ "path": "ours/m.py" })),
        ],
        ..ScriptedAnswer::default()
    };
    let look = ["before/demo/m.py", "after/demo/m.py", "project/ours/m.py", "pyproject.toml"];
    let looks = || look.into_iter().map(read_answer);
    let half = write("ours/m.py", "# HALF\ndef pinned(a):\n    return a\n");
    let stories: [Story; 8] = [
        (
            "nothing has to be ported",
            "",
            "",
            "1.0.5",
            ("relaxed", 0),
            looks().chain([two_verdicts_answer("no-port", "no-port")]).collect(),
        ),
        ("one has", "", "", "1.0.5", ("asked", 1), vec![two_verdicts_answer("no-port", "port")]),
        (
            "an answer that does not fit is mended once",
            "",
            "",
            "1.0.5",
            ("relaxed", 0),
            vec![
                ScriptedAnswer::tool("report", json!({ "functions": [] })),
                two_verdicts_answer("no-port", "no-port"),
            ],
        ),
        (
            "a refusal",
            "",
            "",
            "1.0.5",
            ("asked", 1),
            vec![ScriptedAnswer::text("").with_stop_reason("refusal").times(0)],
        ),
        (
            "no turns",
            "limits.turns = 3",
            "",
            "1.0.5",
            ("asked", 1),
            vec![ScriptedAnswer::tool("list", json!({})).times(0)],
        ),
        ("a port", CODE, CHECK, "1.0.4", ("bumped", 0), right_port_answers()),
        (
            "calls of one answer",
            CODE,
            CHECK,
            "1.0.4",
            ("bumped", 0),
            vec![chain, report_answer(&["pinned"], &[])],
        ),
        (
            "half a port",
            CODE,
            CHECK,
            "1.0.4",
            ("saved", 1),
            vec![half, report_answer(&["more"], &["pinned"])],
        ),
    ];
    for (what, job, more, release, ends, answers) in stories {
        let mut all = Vec::new();
        for program in [None, Some(program.clone())] {
            let mut scene = Scene::new(job, more, answers.clone()).await;
            scene.site.program = program;
            scene.site.publish_release(release);
            let ran = scene.run().await;
            assert_eq!(parse_result(&ran), (&json!(ends.0), ends.1), "{what}: {ran:?}");
            let asked: Vec<String> = scene
                .model
                .request_log()
                .into_iter()
                .map(|asked| normalize_output(&asked.body.to_string()))
                .collect();
            assert_eq!(scene.model.violations(), Vec::<String>::new(), "{what}");
            let (pulls, drafts) = scene.pulls_and_drafts().await;
            let shown = pulls
                .into_iter()
                .chain(drafts)
                .map(|pull| (normalize_output(&pull.title), normalize_output(&pull.body)));
            let questions =
                scene.site.questions().await.into_iter().map(|one| (one.title, normalize_output(&one.body)));
            let shown: Vec<(String, String)> = shown.chain(questions).collect();
            let file = match ends.0 {
                "bumped" => scene.site.file(BRANCH, "ours/m.py").await,
                _ => String::new(),
            };
            all.push((asked, normalize_output(&stable_record(&ran.json).to_string()), shown, file));
        }
        let (cli, native) = (&all[1], &all[0]);
        for (at, (cli, native)) in cli.0.iter().zip(&native.0).enumerate() {
            assert_eq!(cli, native, "{what}: request {at}");
        }
        assert_eq!(cli, native, "{what}");
        assert!(!cli.2.is_empty(), "{what}: something is shown");
    }
}
