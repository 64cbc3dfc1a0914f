//! Tests of the runtime `cli`. With the real `claude` program, auditors and fixers must have the same results
//! as with the native runtime.

use std::sync::Arc;

use serde_json::{Value, json};
use truing_core::port::Ledger as _;
use truing_fakes::model::{AnswerBlock, KnownBug, ScriptedAnswer, ScriptedFix, ScriptedToolCall};
use truing_loops::machine::SystemClock;
use truing_store::Store;

use crate::converge::claude::find_claude;
use crate::converge::pull::{Site, audit_review_headlines, two_loop_answers};
use crate::converge::scene::{
    BUG_ID, RIGHT, Scene, WRONG, audit_answer, clean_audit_answer, clean_fix_answer, edit, fix_report_answer,
    planted_bug_answer, write,
};
use crate::converge::steady::normalize_output;

/// The results of a run, without values that differ between any two runs of the same case.
#[derive(PartialEq, Debug)]
struct RunFacts {
    exit: i32,
    out: String,
    /// Author, message and diff of the commits that fix the findings.
    fix: String,
    /// Spent and reserved amounts in micro-dollars.
    money: (u64, u64),
    /// The requests to the model, or an empty list if several requests are sent in parallel.
    asked: Vec<String>,
}

impl RunFacts {
    fn from_run(scene: &Scene, arguments: &[&str]) -> Self {
        let (json, exit) = scene.json(arguments);
        let place = &scene.place;
        let fix = scene
            .branch()
            .map(|branch| place.git(["log", "--patch", "--format=%an %s", &format!("topic..{branch}")]));
        let asked =
            scene.model.request_log().into_iter().map(|asked| normalize_output(&asked.body.to_string()));
        Self {
            exit,
            out: normalize_output(&format!("{json:#}")),
            fix: normalize_output(&fix.unwrap_or_default()),
            money: money(scene),
            asked: asked.collect(),
        }
    }
}

fn money(scene: &Scene) -> (u64, u64) {
    let ledger = Store::open(&scene.place.store(), Arc::new(SystemClock)).unwrap();
    let drawn = tokio::runtime::Runtime::new().unwrap().block_on(ledger.current_usage()).unwrap();
    let days = drawn.iter().filter(|drawn| drawn.level.kind.as_str() == "repo_day");
    days.fold((0, 0), |(spent, held), drawn| (spent + drawn.spent.0, held + drawn.reserved.0))
}

/// A test case: name, expected end with code and exit code, configuration, arguments, and the answers of the
/// model.
type Story = (
    &'static str,
    (&'static str, &'static str, i32),
    &'static str,
    &'static [&'static str],
    Vec<ScriptedAnswer>,
);

/// Returns an answer with several tool calls.
fn tool_calls_answer(all: &[ScriptedToolCall]) -> ScriptedAnswer {
    let block = |ScriptedToolCall { tool, input }: &ScriptedToolCall| AnswerBlock::ToolUse {
        name: tool.clone(),
        input: input.clone(),
        json: None,
    };
    ScriptedAnswer { blocks: all.iter().map(block).collect(), ..ScriptedAnswer::default() }.usage(1000, 100)
}

#[test]
fn the_same_script_comes_to_the_same_in_both_runtimes() {
    let Some(program) = find_claude() else { return };
    const CHECK: &str = "[verify]\ncheck = [[\"sh\", \"-c\", \"! grep -q 'xs. + 1' total.py || \
         { echo out of range; exit 1; }\"]]\n";
    const GATE: &str = "[converge]\ngate = [[\"sh\", \"-c\", \"! grep -n 'xs. - 1' total.py | sed \
         's/^/total.py:/' | grep .\"]]\n";
    const FEW: &str = "[review]\nmax_turns = 3\n";
    let wrong = "    for i in range(len(xs) + 1):\n";
    let read = || ScriptedAnswer::tool("read", json!({ "path": "total.py" })).usage(300, 7);
    // Each edit requires the result of the previous edit, and the last two calls show the result of all
    // edits.
    let step = |number: u32| format!("# step {number}\n");
    let test = "from total import total\n\ndef test_total():\n    assert total([1, 2]) == 3\n";
    let first = [
        ScriptedToolCall::write("test_total.py", &step(0)),
        ScriptedToolCall::run(&["git", "status", "--short"]),
    ];
    let steps =
        (0..20).map(|number| ScriptedToolCall::edit("test_total.py", &step(number), &step(number + 1)));
    let last = [
        ScriptedToolCall::edit("test_total.py", &step(20), test),
        ScriptedToolCall::edit("total.py", WRONG, RIGHT),
        ScriptedToolCall::run(&["git", "diff", "--stat"]),
        ScriptedToolCall { tool: "read".to_owned(), input: json!({ "path": "test_total.py" }) },
    ];
    let chain = tool_calls_answer(&first.into_iter().chain(steps).chain(last).collect::<Vec<_>>());
    let stories: [Story; 10] = [
        ("a bug is mended", ("converged", "clean", 0), "", &[], two_loop_answers().into()),
        (
            "what a fixer may not do is denied, and it is told",
            ("converged", "clean", 0),
            "",
            &[],
            vec![
                read(),
                ScriptedAnswer::tool("shell", json!({ "command": "id" })).usage(10, 2),
                planted_bug_answer(),
                write(".github/workflows/ci.yml", "on: push\n"),
                tool_calls_answer(&[
                    ScriptedToolCall::run(&["curl", "example.org"]),
                    ScriptedToolCall::run(&["git", "log", "-1", "--format=%s"]),
                ]),
                edit("total.py", WRONG, RIGHT),
                fix_report_answer(&[(BUG_ID, None)]),
                clean_fix_answer(),
                clean_audit_answer(),
            ],
        ),
        (
            "calls of one answer are made in their order",
            ("converged", "clean", 0),
            "",
            &[],
            vec![
                planted_bug_answer(),
                chain,
                fix_report_answer(&[(BUG_ID, None)]),
                clean_fix_answer(),
                clean_audit_answer(),
            ],
        ),
        (
            "a check that fails is told to the next fixer",
            ("converged", "clean", 0),
            CHECK,
            &[],
            vec![
                planted_bug_answer(),
                edit("total.py", WRONG, wrong),
                fix_report_answer(&[(BUG_ID, None)]),
                edit("total.py", wrong, RIGHT),
                fix_report_answer(&[(BUG_ID, None)]),
                clean_fix_answer(),
                clean_audit_answer(),
            ],
        ),
        (
            "what the gate says is mended",
            ("converged", "clean", 0),
            GATE,
            &[],
            vec![edit("total.py", WRONG, RIGHT), fix_report_answer(&[]), clean_audit_answer()],
        ),
        (
            "nobody can mend it",
            ("stuck", "nothing_fixed", 1),
            "",
            &[],
            vec![planted_bug_answer(), fix_report_answer(&[(BUG_ID, Some("the callers rely on it"))])],
        ),
        (
            "a fixer at its limit of turns has mended what it has mended",
            ("converged", "clean", 0),
            FEW,
            &[],
            vec![
                planted_bug_answer(),
                edit("total.py", WRONG, RIGHT),
                read().times(2),
                clean_fix_answer(),
                clean_audit_answer(),
            ],
        ),
        (
            "an auditor at its limit of turns has given no answer",
            ("error", "infrastructure", 3),
            FEW,
            &[],
            vec![read().times(0)],
        ),
        (
            "the money is used up",
            ("error", "budget", 4),
            "[budget]\nconverge_usd = 0.005\n",
            &[],
            vec![planted_bug_answer().times(0)],
        ),
        (
            "a report that leaves out a category is asked for once",
            ("cap-reached", "max_audits", 1),
            "",
            &["--max-audits", "1"],
            vec![audit_answer(&[], "J"), planted_bug_answer()],
        ),
    ];
    for (what, (kind, code, exit), config, arguments, answers) in stories {
        let played = |program| {
            let scene = Scene::new(answers.clone()).with_config(config).with_program(program);
            let told = RunFacts::from_run(&scene, arguments);
            assert_eq!(scene.model.violations(), Vec::<String>::new(), "{what}");
            told
        };
        let native = played(None);
        let ended = serde_json::from_str::<Value>(&native.out).unwrap();
        assert_eq!(
            (&ended["exit"], &ended["code"], native.exit),
            (&json!(kind), &json!(code), exit),
            "{what}: {ended:#}"
        );
        let cli = played(Some(program.clone()));
        for (at, (cli, native)) in cli.asked.iter().zip(&native.asked).enumerate() {
            assert_eq!(cli, native, "{what}: request {at}");
        }
        assert_eq!(cli, native, "{what}");
        assert_eq!(cli.money.1, 0, "{what}: nothing stays set aside");
    }
}

/// Several `claude` programs run in parallel, each with a separate conversation.
#[test]
fn several_auditors_look_side_by_side_in_both_runtimes() {
    let Some(program) = find_claude() else { return };
    let told = [None, Some(program)].map(|program| {
        let mend = ScriptedFix {
            title: Some("The last element is left out".to_owned()),
            calls: vec![ScriptedToolCall::edit("total.py", WRONG, RIGHT)],
            declined: None,
        };
        let bug = KnownBug::new("total.py", WRONG.trim(), "The last element is left out");
        let audits =
            ScriptedAnswer::for_auditors([bug]).into_iter().chain([ScriptedAnswer::for_fixer([mend])]);
        let scene = Scene::new(audits)
            .with_config("[converge]\nparallel_from = 1\nauditors = 3\n")
            .with_program(program);
        let told = RunFacts::from_run(&scene, &[]);
        (RunFacts { asked: Vec::new(), ..told }, scene.request_count())
    });
    let [(native, asked), cli] = told;
    assert!(native.out.contains("\"exit\": \"converged\"") && asked > 8, "{asked}: {native:#?}");
    assert_eq!(cli, (native, asked));
}

/// A second model is the fixer; the `claude` program does not know its price.
#[test]
fn another_model_mends_in_both_runtimes() {
    let Some(program) = find_claude() else { return };
    let told = [None, Some(program)].map(|program| {
        let scene = Scene::new(two_loop_answers()).with_program(program);
        let config = format!(
            "[model.mender]\nbase_url = {:?}\napi_key = {{ env = \"ANTHROPIC_API_KEY\" }}\nname \
             = \"mender-1\"\n[price.\"mender-1\"]\ninput = 100\noutput = 100\n",
            scene.model.url()
        );
        let scene = scene.with_config(&config);
        let told = RunFacts::from_run(&scene, &["--fixer", "mender"]);
        let models: Vec<Value> =
            scene.model.request_log().into_iter().map(|asked| asked.body["model"].clone()).collect();
        assert_eq!(models[1..3], [json!("mender-1"), json!("mender-1")]);
        told
    });
    let [native, cli] = told;
    assert_eq!((native.exit, cli), (0, native));
}

/// On a pull request, both runtimes post the same texts and push the same commits. With the `cli` runtime,
/// the `claude` program also writes the description.
#[tokio::test(flavor = "multi_thread")]
async fn a_pull_request_shows_the_same_by_both_runtimes() {
    let Some(program) = find_claude() else { return };
    let mut shown = Vec::new();
    for is_cli in [false, true] {
        let site = Site::new("", two_loop_answers()).await;
        let mut command = site.command(&["--format", "json", &format!("acme/shop#{}", site.number)]);
        if is_cli {
            command.env("RUNTIME_MODE", "cli").env("TRUING_REVIEW__CLAUDE", &program);
        }
        let ran = site.run_command(command).await;
        let told = ran.json();
        assert_eq!((ran.exit, &told["exit"], &told["loops"]), (0, &json!("converged"), &json!(2)), "{ran:?}");
        let pull = site.pull_view().await;
        let inline: Vec<_> = pull
            .inline_comments()
            .map(|comment| (normalize_output(&comment.body), comment.line, comment.resolved))
            .collect();
        assert_eq!(site.model.violations(), Vec::<String>::new());
        shown.push((
            audit_review_headlines(&pull),
            inline,
            normalize_output(&pull.body),
            pull.draft,
            told["cost_micro_usd"].clone(),
        ));
    }
    assert_eq!(shown[1], shown[0]);
}
