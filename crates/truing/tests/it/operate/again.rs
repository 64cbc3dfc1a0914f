//! Tests of a model that does not mention its earlier finding after another push. The finding stays open,
//! both in the output and at the forge.

use serde_json::json;
use truing_fakes::model::{DEFAULT_API_KEY, FakeModel, ModelScript, ScriptedAnswer};

use super::*;

const FIRST: &str =
    "def pay(order):\n    try:\n        charge(order)\n    except Exception:\n        return None\n";

fn report_answer(findings: Value, verdicts: Value) -> ScriptedAnswer {
    ScriptedAnswer::tool("report", json!({ "findings": findings, "verdicts": verdicts })).usage(1000, 100)
}

fn finding() -> Value {
    json!([{ "path": "pay.py", "start_line": 4, "end_line": 4, "severity": "P1", "category": "F",
        "title": "Swallows every error", "body": "A failed charge looks like success.",
        "excerpt": "except Exception:" }])
}

struct ReviewResult {
    exit: i32,
    told: Value,
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_model_forgets_after_a_push_stays_open_on_its_one_comment() {
    test_forgetful_model("native", None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_claude_program_in_between_changes_nothing_of_that() {
    let Some(program) = crate::operate::claude::find_claude() else { return };
    test_forgetful_model("cli", Some(&program)).await;
}

/// Tests a model that omits its earlier finding, with this runtime and, for `cli`, this `claude` program.
async fn test_forgetful_model(runtime: &str, program: Option<&Path>) {
    let site = Site::new().await;
    let push = async |text: &str| {
        site.repo.push("pay", CommitBuilder::new("pay").write("pay.py", text)).await.unwrap()
    };
    push(FIRST).await;
    let number = site.repo.open_pull(NewPull::from_branch("pay")).await.unwrap();
    let model = FakeModel::start(ModelScript::from_answers([])).await.unwrap();
    let page = site.page(number);
    let review = |answer: ScriptedAnswer, more: &[&str]| {
        model.set_script(ModelScript::from_answers([answer.times(0)]));
        let fixed = ["review", "--pr", &page, "--runtime", runtime, "--format", "json"];
        let mut command = site.command(&[&fixed, more].concat());
        command.env("TRUING_MODEL__BASE_URL", model.url()).env("ANTHROPIC_API_KEY", DEFAULT_API_KEY);
        if let Some(program) = program {
            command.env("TRUING_REVIEW__CLAUDE", program);
        }
        let ran = Ran::from(command.output().unwrap());
        assert!(ran.exit < 2, "{ran:?}");
        let told: Value = serde_json::from_str(&ran.out).unwrap();
        assert_eq!(
            (&told["outcome"]["kind"], &told["outcome"]["runtime"]),
            (&json!("reviewed"), &json!(runtime))
        );
        ReviewResult { exit: ran.exit, told }
    };
    let view = async || site.repo.pull(number).await.unwrap();
    let first = review(report_answer(finding(), json!([])), &["--publish"]);
    let id = first.told["findings"][0]["id"].clone();
    let comment = view().await.inline_comments().next().unwrap().id;

    // This push changes the line of the finding without fixing it. The model then reports nothing.
    let renamed = FIRST.replace("Exception:", "Exception as error:");
    let second = push(&renamed).await;
    for more in [&[][..], &["--publish"][..]] {
        let again = review(report_answer(json!([]), json!([])), more);
        let one = &again.told["findings"][0];
        assert_eq!(
            (again.exit, &one["id"], &one["unverified"]),
            (1, &id, &json!("no_verdict")),
            "{}",
            again.told
        );
    }
    let shown = view().await;
    let ours: Vec<_> = shown.inline_comments().collect();
    assert_eq!((ours.len(), ours[0].id, ours[0].resolved), (1, comment, false), "{shown:#?}");
    assert!(ours[0].body.contains("not verified as still present"), "{}", ours[0].body);
    assert!(
        shown.statuses[&second].iter().all(|status| format!("{status:?}").contains("ailure")),
        "{shown:#?}"
    );
    let asked = model.request_log().last().unwrap().body.to_string();
    assert!(asked.contains("What was reviewed before") && asked.contains("1 new commit"), "{asked}");
    assert!(asked.contains("Lines that are new:"), "{asked}");
    let (_, later_diff) = asked.split_once("The diff since the last review:").unwrap();
    let (later_diff, _) = later_diff.split_once("These findings of earlier reviews").unwrap();
    assert!(later_diff.contains("except Exception:") && later_diff.contains("as error:"), "{later_diff}");

    // After a forced push, the prompt still contains the earlier finding.
    let base = site.repo.tip("main").await.unwrap();
    site.repo
        .force_push("pay", &base, CommitBuilder::new("pay").write("pay.py", renamed.as_str()))
        .await
        .unwrap();
    review(report_answer(json!([]), json!([])), &["--publish"]);
    let asked = model.request_log().last().unwrap().body.to_string();
    assert!(asked.contains("The branch was rewritten since"), "{asked}");

    // The finding counts as fixed only if the model quotes the code that proves this.
    push(&FIRST.replace("Exception:", "Refused:")).await;
    let shown = json!([{ "id": id, "verdict": "fixed", "start_line": 4, "excerpt": "except Refused:" }]);
    for more in [&[][..], &["--publish"][..]] {
        let fixed = review(report_answer(json!([]), shown.clone()), more);
        assert_eq!((fixed.exit, &fixed.told["findings"]), (0, &json!([])), "{}", fixed.told);
    }
    let last = view().await;
    let ours: Vec<_> = last.inline_comments().collect();
    assert_eq!((ours.len(), ours[0].id, ours[0].resolved), (1, comment, true), "{last:#?}");
    assert!(ours[0].body.contains("**Fixed in"), "{}", ours[0].body);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_look_without_publishing_found_is_known_to_the_first_review_that_publishes() {
    let site = Site::new().await;
    site.repo.push("pay", CommitBuilder::new("pay").write("pay.py", FIRST)).await.unwrap();
    let number = site.repo.open_pull(NewPull::from_branch("pay")).await.unwrap();
    let model = FakeModel::start(ModelScript::from_answers([])).await.unwrap();
    let page = site.page(number);
    let review = |answer: ScriptedAnswer, more: &[&str]| {
        model.set_script(ModelScript::from_answers([answer.times(0)]));
        let fixed = ["review", "--pr", &page, "--runtime", "native", "--format", "json"];
        let mut command = site.command(&[&fixed, more].concat());
        command.env("TRUING_MODEL__BASE_URL", model.url()).env("ANTHROPIC_API_KEY", DEFAULT_API_KEY);
        let ran = Ran::from(command.output().unwrap());
        assert_eq!(ran.exit, 1, "{ran:?}");
        let told: Value = serde_json::from_str(&ran.out).unwrap();
        told["findings"][0]["id"].clone()
    };
    let looked = review(report_answer(finding(), json!([])), &[]);
    // The model reports nothing in the second review.
    assert_eq!(review(report_answer(json!([]), json!([])), &["--publish"]), looked);
    let shown = site.repo.pull(number).await.unwrap();
    assert_eq!(shown.inline_comments().count(), 1, "{shown:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_summary_names_the_commit_that_was_pushed_while_the_model_looked() {
    let site = Site::new().await;
    let push = async |text: &str| {
        site.repo.push("pay", CommitBuilder::new("pay").write("pay.py", text)).await.unwrap()
    };
    let first = push(FIRST).await;
    let number = site.repo.open_pull(NewPull::from_branch("pay")).await.unwrap();
    let model = FakeModel::start(ModelScript::from_answers([report_answer(json!([]), json!([])).times(0)]))
        .await
        .unwrap();
    let page = site.page(number);
    let mut command = site.command(&["review", "--pr", &page, "--runtime", "native", "--publish"]);
    command.env("TRUING_MODEL__BASE_URL", model.url()).env("ANTHROPIC_API_KEY", DEFAULT_API_KEY);
    model.stall_request(1);
    let running = tokio::task::spawn_blocking(move || Ran::from(command.output().unwrap()));
    model.wait_until_stalled().await;
    let second = push(&FIRST.replace("order", "purchase")).await;
    // The second request is part of the review of the new head. Before that review starts, the first one is
    // published.
    model.stall_request(2);
    model.wait_until_stalled().await;
    let summary = async || {
        let view = site.repo.pull(number).await.unwrap();
        let all: Vec<String> = view.conversation_comments().map(|comment| comment.body.clone()).collect();
        assert_eq!(all.len(), 1, "{all:#?}");
        all.into_iter().next().unwrap()
    };
    let text = summary().await;
    assert!(text.contains(&format!("Reviewed commit `{}`", &first[..10])), "{text}");
    assert!(text.contains(&format!("The pull request has moved on to `{}`", &second[..10])), "{text}");
    model.resume();
    let ran = running.await.unwrap();
    let text = summary().await;
    assert!(ran.exit < 2 && text.contains(&format!("Reviewed commit `{}`", &second[..10])), "{ran:?} {text}");
    assert!(!text.contains("moved on"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_comment_suppresses_is_not_called_fixed_and_one_that_does_nothing_is_told() {
    let site = Site::new().await;
    let push = async |text: &str| {
        site.repo.push("debug", CommitBuilder::new("debug").write("b.py", text)).await.unwrap()
    };
    push("breakpoint()\n").await;
    let number = site.repo.open_pull(NewPull::from_branch("debug")).await.unwrap();
    let page = site.page(number);
    let review = || {
        let ran = site.run(&["review", "--pr", &page, "--publish", "--format", "json"]);
        assert!(ran.exit < 2, "{ran:?}");
        serde_json::from_str::<Value>(&ran.out).unwrap()
    };
    let first = review();
    let id = &first["findings"][0]["id"];

    // A user adds a suppression comment that matches the finding, and several that have no effect. One of the
    // comments without an effect contains a key.
    let key = ["AKIA", "QYLPMN5HHHFPZAM2"].concat();
    let idle: String =
        (0..7).map(|line| format!("x_{line} = 1  # truing: ignore[core/no-{line}] why\n")).collect();
    push(&format!(
        "breakpoint()  # truing: ignore[core/python-debugger] started by hand @team\n\
         y = 1  # truing: ignore[{key}] why\n{idle}"
    ))
    .await;
    let told = review();
    assert_eq!(
        (&told["fixed"], &told["suppressed"][0]["id"], &told["suppressed"][0]["reason"]),
        (&Value::Null, id, &json!("started by hand @team")),
        "{told:#}"
    );
    let view = site.repo.pull(number).await.unwrap();
    let ours: Vec<_> = view.inline_comments().collect();
    let suppressed: Vec<_> = ours.iter().filter(|comment| comment.body.contains("**Suppressed:**")).collect();
    assert_eq!((suppressed.len(), suppressed[0].resolved), (1, true), "{ours:#?}");
    assert!(
        suppressed[0].body.contains("started by hand") && !suppressed[0].body.contains("Fixed in"),
        "{ours:#?}"
    );
    let summary = view.conversation_comments().next().unwrap().body.clone();
    assert!(summary.contains("1 finding suppressed by a comment in the code."), "{summary}");
    assert!(summary.contains("1 new, 1 suppressed."), "{summary}");
    assert!(!summary.contains("fixed") && !summary.contains("@team"), "{summary}");
    assert_eq!(summary.matches("has no effect: there is no such rule").count(), 5, "{summary}");
    assert!(summary.contains("- and 3 more without effect"), "{summary}");
    assert!(!summary.contains(&key), "{summary}");

    // After the suppression comment is removed, the finding is open again in the same thread. When the line
    // of the finding is removed, the thread is resolved.
    push("breakpoint()\n\n").await;
    let told = review();
    assert_eq!((&told["findings"][0]["id"], &told["suppressed"]), (id, &Value::Null), "{told:#}");
    push("x = 1\n").await;
    let told = review();
    assert_eq!((&told["findings"], &told["fixed"][0]["id"]), (&json!([]), id), "{told:#}");
    let view = site.repo.pull(number).await.unwrap();
    let is_fixed = |body: &str| body.contains("Debugger call") && body.contains("**Fixed in");
    let fixed = view.inline_comments().filter(|comment| is_fixed(&comment.body)).count();
    assert_eq!(fixed, 1, "{view:#?}");
}
