//! Tests of a model that classifies changes of unpinned code: the files that it can read, the verdicts that
//! are accepted, and the questions to users in cases of doubt.

use futures_util::StreamExt as _;
use serde_json::{Value, json};
use truing_fakes::model::{ModelFault, ModelScript, ScriptedAnswer, StreamPosition};

use super::AT_ONCE;
use super::bump::{Scene, parse_result, write};
use super::site::{BRANCH, Site};

/// Each of the two functions that 1.0.5 changes, with the number and the text of one of its lines.
const OTHER: (&str, u32, &str) = ("other", 8, "    return 3");
const MORE: (&str, u32, &str) = ("more", 11, "    return 1");

fn verdict_json((function, line, excerpt): (&str, u32, &str), verdict: &str) -> Value {
    json!({
        "file": "demo/m.py", "function": function, "verdict": verdict, "reason": format!("of {function} | \
            <b>"),
        "release": "after", "start_line": line, "excerpt": excerpt,
    })
}

fn classification_answer(functions: &[Value]) -> ScriptedAnswer {
    ScriptedAnswer::tool("report", json!({ "functions": functions }))
}

pub(super) fn two_verdicts_answer(other: &str, more: &str) -> ScriptedAnswer {
    classification_answer(&[verdict_json(OTHER, other), verdict_json(MORE, more)])
}

/// Creates a scene with a job and a model, in which 1.0.5 changes unpinned code.
async fn scene(job: &str, more: &str, answers: Vec<ScriptedAnswer>) -> Scene {
    let scene = Scene::new(job, more, answers).await;
    scene.site.publish_release("1.0.5");
    scene
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_that_need_no_port_widen_the_range_with_the_evidence_in_sight() {
    let look = ["before/demo/m.py", "after/demo/m.py", "project/ours/m.py", "pyproject.toml"];
    let mut answers: Vec<ScriptedAnswer> =
        look.iter().map(|path| ScriptedAnswer::tool("read", json!({ "path": path }))).collect();
    answers.push(two_verdicts_answer("no-port", "no-port"));
    let scene = scene("", "", answers).await;
    let dry = scene.site.run(&["sync", "run", "demo", "--dry-run"]).await;
    assert_eq!(parse_result(&dry), (&json!("rehearsed"), 0), "{dry:?}");
    let reason = dry.json["exit_reason"].as_str().unwrap();
    assert!(reason.contains("other in demo/m.py") && scene.model.request_log().is_empty(), "{reason}");

    let ran = scene.run().await;
    assert_eq!(parse_result(&ran), (&json!("relaxed"), 0), "{ran:?}");
    assert_eq!(ran.json["update_type"], "relax");
    assert_eq!(scene.site.file(BRANCH, "pyproject.toml").await, Site::project_file(">= 0.9, < 1.0.6"));
    let step = ran.json["steps"].as_array().unwrap().iter().find(|step| step["id"] == "decide").unwrap();
    assert!(step["turns"] == 5 && step["cost_micro_usd"].as_u64() > Some(0), "{step}");
    assert_eq!(step["cost_micro_usd"], ran.json["cost_micro_usd"]);
    let said = ran.json["evidence"]["classification"]["functions"].as_array().unwrap();
    assert_eq!(
        (said.len(), &said[0]["verdict"], &said[0]["excerpt"]),
        (2, &json!("no-port"), &json!(OTHER.2))
    );
    let body = &scene.pulls_and_drafts().await.0[0].body;
    assert!(body.contains("| no-port |") && body.contains("of other") && !body.contains("<b>"), "{body}");

    // The model can read the two releases' files and their counterparts in the project, and no other file.
    let log = scene.model.request_log();
    let asked = log[0].body.to_string();
    assert!(asked.contains("other: changed") && asked.contains("+    return 3"), "{asked}");
    let tools = log[0].body["tools"].as_array().unwrap();
    let tools: Vec<&str> = tools.iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    assert_eq!(tools, ["read", "list", "glob", "grep", "symbol", "report"]);
    let failed: Vec<bool> = log[4].body["messages"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|message| message["content"].as_array().unwrap())
        .filter(|block| block["type"] == "tool_result")
        .map(|block| block["is_error"] == true)
        .collect();
    assert_eq!(failed, [false, false, false, true]);

    assert_eq!(parse_result(&scene.run().await).0, "covered");
    assert_eq!(scene.model.request_log().len(), log.len(), "the same is not asked twice");
    assert_eq!(scene.model.violations(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_look_costs_is_what_the_ledger_has_settled() {
    let torn = ScriptedAnswer {
        fault: Some(ModelFault::Truncated { after: StreamPosition::Text }),
        ..ScriptedAnswer::text("Let me see.")
    };
    let answers = vec![torn.usage(4000, 90), two_verdicts_answer("no-port", "no-port")];
    let scene = scene("", "", answers).await;
    let ran = scene.run().await;
    assert_eq!(parse_result(&ran), (&json!("relaxed"), 0), "{ran:?}");
    let levels = scene.site.run(&["budget", "show"]).await.json;
    let run = levels.as_array().unwrap().iter().find(|level| level["level"] == "run").unwrap();
    assert!(run["spent_micro_usd"].as_u64() > Some(2 * 4000), "{run}");
    let report = scene.site.run(&["report"]).await.json;
    assert_eq!(
        (&ran.json["cost_micro_usd"], &report["totals"]["cost_micro_usd"]),
        (&run["spent_micro_usd"], &run["spent_micro_usd"])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_function_to_be_ported_makes_it_a_port_which_people_may_overrule() {
    let scene = scene("", "", vec![two_verdicts_answer("no-port", "port")]).await;
    for _ in 0..2 {
        let ran = scene.run().await;
        assert_eq!(
            (parse_result(&ran), &ran.json["update_type"]),
            ((&json!("asked"), 1), &json!("bump")),
            "{ran:?}"
        );
    }
    assert_eq!(scene.model.request_log().len(), 1, "the same is not asked twice");
    let question = scene.site.questions().await.remove(0);
    assert!(
        question.body.contains("more has to be ported") && question.body.contains("`relax`"),
        "{}",
        question.body
    );
    scene.site.repo.comment(question.number, "ann", "relax: we do not have it").await.unwrap();
    assert_eq!(parse_result(&scene.run().await), (&json!("relaxed"), 0));
    assert_eq!(scene.model.request_log().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_may_write_code_ports_what_the_model_found() {
    let done = json!({ "summary": "s", "completed": ["more"], "remaining": [] });
    let answers = vec![
        two_verdicts_answer("ambiguous", "port"),
        write("ours/m.py", "def more():\n    return 1\n"),
        ScriptedAnswer::tool("report", done),
    ];
    let scene = scene("mode = \"code\"", "", answers).await;
    let ran = scene.run().await;
    assert_eq!(parse_result(&ran), (&json!("bumped"), 0), "{ran:?}");
    assert_eq!(scene.site.file(BRANCH, "pyproject.toml").await, Site::project_file(">= 1.0.5, < 1.0.6"));
    let asked = scene.model.request_log()[1].body.to_string();
    assert!(asked.contains("port according to a model, which gives this reason: of more"), "{asked}");
    let turns: Vec<_> = ["decide", "change"]
        .iter()
        .map(|id| {
            ran.json["steps"].as_array().unwrap().iter().find(|step| step["id"] == *id).unwrap()["turns"]
                .clone()
        })
        .collect();
    assert_eq!(turns, [1, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_does_not_fit_is_mended_once() {
    let scene = scene(
        "",
        "",
        vec![
            classification_answer(&[verdict_json(OTHER, "no-port")]),
            two_verdicts_answer("no-port", "no-port"),
        ],
    )
    .await;
    let ran = scene.run().await;
    assert_eq!((parse_result(&ran), scene.model.request_log().len()), ((&json!("relaxed"), 0), 2), "{ran:?}");
    let again = scene.model.request_log()[1].body.to_string();
    assert!(again.contains("1 functions have no answer, such as more in demo/m.py"), "{again}");
}

/// In each case of doubt, the run asks a question and does not widen the range.
#[tokio::test(flavor = "multi_thread")]
async fn doubt_asks_people_whatever_it_is() {
    let no = |of| verdict_json(of, "no-port");
    let elsewhere = (MORE.0, MORE.1 + 1, MORE.2);
    let invented = ("pinned", 1, "def pinned(a):");
    let dead = ScriptedAnswer::status(401).times(0);
    let cases: Vec<(&str, ScriptedAnswer, &str, &str)> = vec![
        ("ambiguous", two_verdicts_answer("no-port", "ambiguous"), "", "cannot decide on more"),
        ("a missing function", classification_answer(&[no(OTHER)]), "", "no answer"),
        ("none at all", classification_answer(&[]), "", "no answer"),
        ("a made-up one", classification_answer(&[no(OTHER), no(MORE), no(invented)]), "", "not among"),
        ("one twice", classification_answer(&[no(OTHER), no(MORE), no(MORE)]), "", "more than one answer"),
        ("other lines", classification_answer(&[no(OTHER), no(elsewhere)]), "", "excerpt"),
        (
            "other words",
            classification_answer(&[no(OTHER), no((MORE.0, MORE.1, "    return 2"))]),
            "",
            "excerpt",
        ),
        ("prose", ScriptedAnswer::text("None of them matters."), "", "plain text"),
        ("no model", dead, "", "no access to the provider"),
        ("a refusal", ScriptedAnswer::text("").with_stop_reason("refusal"), "", "declines"),
        (
            "no money",
            two_verdicts_answer("no-port", "no-port"),
            "[budget]\nsync_usd = 0.000001\n",
            "does not cover a request",
        ),
        ("no turns", ScriptedAnswer::tool("list", json!({})).times(0), "", "turns"),
    ];
    let each = async |(name, answer, more, why): (&str, ScriptedAnswer, &str, &str)| {
        let job = if name == "no turns" { "limits.turns = 3" } else { "" };
        let scene = scene(job, more, vec![answer.times(0)]).await;
        let ran = scene.run().await;
        assert_eq!(parse_result(&ran), (&json!("asked"), 1), "{name}: {ran:?}");
        assert_eq!(ran.json["update_type"], "ask", "{name}");
        let reason = ran.json["exit_reason"].as_str().unwrap();
        assert!(reason.contains(why), "{name}: {reason}");
        assert!(scene.model.request_log().len() <= 3, "{name}: one repair");
        let questions = scene.site.questions().await;
        assert_eq!((questions.len(), scene.site.pulls().await.len()), (1, 0), "{name}");
    };
    assert_eq!(cases.len(), 12);
    futures_util::stream::iter(cases).for_each_concurrent(AT_ONCE, each).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_obeys_what_the_package_says_comes_to_a_question() {
    let scene = scene("", "", vec![]).await;
    let obedient = ModelScript {
        obedient: true,
        ..ModelScript::from_answers([ScriptedAnswer::text("I have done what I was told.").times(0)])
    };
    scene.model.set_script(obedient);
    let ran = scene.run().await;
    assert_eq!(
        (parse_result(&ran), &ran.json["update_type"]),
        ((&json!("asked"), 1), &json!("ask")),
        "{ran:?}"
    );
    assert!(scene.site.pulls().await.is_empty());
    // The text of the package is in a data block whose key is unknown to the package's author.
    let asked =
        scene.model.request_log()[0].body["messages"][0]["content"][0]["text"].as_str().unwrap().to_owned();
    let at = asked.find("TOOL report").unwrap();
    let (before, after) = asked.split_at(at);
    let mark = before.rfind("<data-").unwrap();
    let word: String = before[mark + 6..].chars().take_while(char::is_ascii_alphanumeric).collect();
    assert!(!before[mark..].contains("</data-") && after.contains(&format!("</data-{word}>")), "{asked}");
    let later = scene.model.request_log().last().unwrap().body.to_string();
    assert!(later.contains("denied: this run has no such tool"), "{later}");
    assert!(!later.contains(&std::fs::read_to_string("/etc/hostname").unwrap_or("\0".into())), "{later}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_in_the_environment_alone_spends_nothing() {
    let site = Site::new().await;
    site.publish_release("1.0.5");
    let ran = site.run(&["sync", "run", "demo"]).await;
    assert_eq!(parse_result(&ran), (&json!("asked"), 1), "{ran:?}");
    assert!(ran.json["evidence"]["classification"].is_null() && ran.json["model"].is_null(), "{ran:?}");
    let scene = scene("classify = false", "", vec![two_verdicts_answer("no-port", "no-port")]).await;
    assert_eq!(
        (parse_result(&scene.run().await), scene.model.request_log().len()),
        ((&json!("asked"), 1), 0)
    );
}
